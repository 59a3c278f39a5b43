//! Distributions as expressions: parameters in, log densities, moments and distribution functions out.
//!
//! A constructor takes expressions (a number where it says `impl Operand`) and gives a small `Copy` struct whose methods give expressions again.
//! Shapes broadcast, so a parameter may be one number, a vector, or a value for every sample (the mean of a regression). These conventions hold
//! for all of them:
//!
//! - **Outside of the support** `log_prob` is minus infinity, and its gradient there is exactly 0. NaN gives NaN. At the border of the support it is
//!   the limit from inside, which may be infinite.
//! - **Discrete** distributions take numbers; one that is no integer, or is out of range, lies outside of the support. ([`categorical`] takes
//!   [`Labels`](crate::Labels), which binding checks.)
//! - **Parameters** must lie in their domain (a positive scale, a probability from 0 to 1): make them from unconstrained ones with
//!   [`crate::constraint`]. Outside of it the value is NaN or meaningless; only sampling checks, because only there are they numbers.
//! - **Moments** that don't exist are NaN, infinite ones infinity, as documented at each.
//! - **Accuracy.** In `f64` a value is good to 12 ulp of the largest term of its formula as documented, and a derivative by `p` to 8 ulp of its condition
//!   (how much it changes as the arguments change by their last bits) and 4 of the value's largest term over `p`. `tests/language/distributions.rs` holds
//!   each to these bounds against mpmath, tails included.
//!
//! Drawing samples is in [`crate::sample`].

mod bernoulli;
mod beta;
mod binomial;
mod categorical;
mod cauchy;
mod dirichlet;
mod draw;
mod exponential;
mod gamma;
mod gammas;
mod geometric;
mod half_normal;
mod inverse_gamma;
mod laplace;
mod log_normal;
mod logistic;
mod mixture;
mod multivariate_normal;
mod negative_binomial;
mod normal;
mod poisson;
mod student_t;
mod support;
mod uniform;
mod weibull;

pub use bernoulli::{Bernoulli, bernoulli, bernoulli_logit};
pub use beta::{Beta, beta};
pub use binomial::{Binomial, binomial, binomial_logit};
pub use categorical::{Categorical, categorical};
pub use cauchy::{Cauchy, cauchy};
pub use dirichlet::{Dirichlet, dirichlet};
pub use draw::{Draw, Parameter};
pub use exponential::{Exponential, exponential};
pub use gamma::{Gamma, gamma};
pub use geometric::{Geometric, geometric};
pub use half_normal::{HalfNormal, half_normal};
pub use inverse_gamma::{InverseGamma, inverse_gamma};
pub use laplace::{Laplace, laplace};
pub use log_normal::{LogNormal, log_normal};
pub use logistic::{Logistic, logistic};
pub use mixture::{Components, Mixture, mixture, mixture_log_weights};
pub use multivariate_normal::{
    MultivariateNormal, multivariate_normal, multivariate_normal_cholesky, multivariate_normal_diagonal, multivariate_normal_isotropic,
};
pub use negative_binomial::{NegativeBinomial, negative_binomial, negative_binomial_mean};
pub use normal::{Normal, normal};
pub use poisson::{Poisson, poisson, poisson_log_rate};
pub use student_t::{StudentT, student_t};
pub use uniform::{Uniform, uniform};
pub use weibull::{Weibull, weibull};

use crate::error::Result;
use crate::expr::Expr;

/// What all distributions have in common: what a [`mixture`] is made of, and what [`crate::sample`] draws from. A distribution of one's own that
/// implements it goes wherever these go.
pub trait Distribution<'g> {
    /// The logarithm of the density, or of the probability.
    #[track_caller]
    fn log_prob(&self, x: Expr<'g>) -> Expr<'g>;

    /// The mean.
    #[track_caller]
    fn mean(&self) -> Expr<'g>;

    /// The variance; of a vector each entry's.
    #[track_caller]
    fn variance(&self) -> Expr<'g>;

    /// The probability of at most `x`, where the operations of the table can express it.
    #[track_caller]
    fn cdf(&self, x: Expr<'g>) -> Option<Expr<'g>> {
        let _ = x;
        None
    }

    /// What sampling needs to know in numbers.
    fn parameters(&self) -> Vec<Parameter<'g>>;

    /// How to draw one value, given a number (or as many as it has entries) for each of [`Distribution::parameters`].
    ///
    /// # Errors
    /// [`crate::Error::Distribution`] for a number outside of its domain.
    fn draw(&self, numbers: &[&[f64]]) -> Result<Draw>;
}

/// The trait for a distribution of one number: its own methods passed on, its parameters with the domain that each is checked for, and how to draw.
macro_rules! univariate {
    ($type:ident, $name:literal, |$s:ident| ($($check:ident $p:ident = $e:expr),+) => $draw:expr $(; $cdf:ident)?) => {
        impl<'g> $crate::dist::Distribution<'g> for $type<'g> {
            fn log_prob(&self, x: $crate::expr::Expr<'g>) -> $crate::expr::Expr<'g> {
                $type::log_prob(*self, x)
            }
            fn mean(&self) -> $crate::expr::Expr<'g> {
                $type::mean(*self)
            }
            fn variance(&self) -> $crate::expr::Expr<'g> {
                $type::variance(*self)
            }
            $(fn $cdf(&self, x: $crate::expr::Expr<'g>) -> Option<$crate::expr::Expr<'g>> {
                Some($type::$cdf(*self, x))
            })?
            fn parameters(&self) -> Vec<$crate::dist::Parameter<'g>> {
                let $s = *self;
                vec![$($crate::dist::Parameter { name: stringify!($p), value: $e, dims: 0 }),+]
            }
            fn draw(&self, numbers: &[&[f64]]) -> $crate::error::Result<$crate::dist::Draw> {
                let mut numbers = numbers.iter().map(|n| n[0]);
                $(let $p = $crate::dist::draw::$check($name, stringify!($p), numbers.next().unwrap_or(f64::NAN))?;)+
                Ok($crate::dist::Draw::number($draw))
            }
        }
    };
}
use univariate;
