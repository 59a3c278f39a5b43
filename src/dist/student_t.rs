//! Student's t distribution: like the normal one, with heavier tails.

use super::gammas::ln_rising;
use super::support::beside;
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, StandardNormal};

/// Student's t distribution; make it with [`student_t`].
#[derive(Clone, Copy, Debug)]
pub struct StudentT<'g> {
    df: Expr<'g>,
    loc: Expr<'g>,
    scale: Expr<'g>,
}

/// Student's t distribution with `df > 0` degrees of freedom, moved to `loc` and stretched by `scale > 0` (which is not its standard deviation).
///
/// ```
/// use tapeless::{dist::student_t, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, loc) = (g.data("x"), g.param("loc"));
/// let program = (-student_t(4.0, loc, 1.0).log_prob(x).sum()).compile()?;
/// let data = program.bind([("x", &[0.9, 1.1, 1.0, 50.0])])?;      // an outlier
/// let mut theta = program.params([("loc", 0.0)])?;
/// let mut adam = Adam::new(0.05);
/// for _ in 0..500 {
///     let (_loss, grad) = data.value_and_grad(&theta)?;
///     adam.step(&mut theta, &grad)?;
/// }
/// assert!((theta.scalar("loc")? - 1.0).abs() < 0.1);              // hardly moves the estimate
/// # Ok(())
/// # }
/// ```
pub fn student_t<'g>(df: impl Operand<'g>, loc: Expr<'g>, scale: impl Operand<'g>) -> StudentT<'g> {
    StudentT { df: beside(loc, df), loc, scale: beside(loc, scale) }
}

impl<'g> StudentT<'g> {
    /// The log density, with `z = (x - loc) / scale`:
    /// `ln_gamma((df + 1) / 2) - ln_gamma(df / 2) - ln(pi df) / 2 - ln scale - (df + 1) / 2 ln(1 + z^2 / df)`, for `|z|` below 1e154.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let z = (beside(self.loc, x) - self.loc) / self.scale;
        let norm = ln_rising(0.5 * self.df, self.df.graph().constant(0.5)) - 0.5 * (std::f64::consts::PI * self.df).ln() - self.scale.ln();
        norm - 0.5 * (self.df + 1.0) * (z.square() / self.df).ln_1p()
    }

    /// The mean, `loc`; NaN for `df <= 1`, where it doesn't exist.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.df.gt(1.0).select(self.loc, f64::NAN)
    }

    /// The variance, `scale^2 df / (df - 2)` for `df > 2`; infinite for `df` above 1 up to 2, NaN below.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        let finite = self.scale.square() * self.df / (self.df - 2.0);
        self.df.gt(2.0).select(finite, self.df.gt(1.0).select(f64::INFINITY, f64::NAN))
    }
}

univariate!(StudentT, "student_t", |d| (positive df = d.df, finite loc = d.loc, positive scale = d.scale) => {
    let half = rand_distr::Gamma::new(0.5 * df, 2.0 / df).expect("a positive shape and scale");
    move |rng| {
        let z: f64 = StandardNormal.sample(rng);
        loc + scale * z / half.sample(rng).sqrt()
    }
});
