//! The normal distribution.

use super::support::{beside, standard_normal_cdf};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, StandardNormal};

/// A normal distribution with expressions for parameters; make it with [`normal`].
#[derive(Clone, Copy, Debug)]
pub struct Normal<'g> {
    loc: Expr<'g>,
    scale: Expr<'g>,
}

/// The normal distribution with mean `loc` and standard deviation `scale` (which must be positive: `raw.softplus()` or `raw.exp()` of an
/// unconstrained parameter is).
pub fn normal<'g>(loc: Expr<'g>, scale: impl Operand<'g>) -> Normal<'g> {
    Normal { loc, scale: beside(loc, scale) }
}

impl<'g> Normal<'g> {
    /// The log density `-((x - loc) / scale)^2 / 2 - ln scale - ln(2 pi) / 2`, broadcast over the shapes of `x` and the parameters.
    ///
    /// ```
    /// use tapeless::{dist::normal, prelude::*};
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, loc) = (g.data("x"), g.param("loc"));
    /// let f = normal(loc, 2.0).log_prob(x).compile_function()?;
    /// let out = f.bind([("x", &[1.0, 3.0])])?.eval(&f.params([("loc", 1.0)])?)?;
    /// assert!((out[0].numbers[0] + 1.6120857137646178).abs() < 1e-15);
    /// assert!((out[0].numbers[1] + 2.1120857137646178).abs() < 1e-15);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let z = (beside(self.loc, x) - self.loc) / self.scale;
        -0.5 * z.square() - self.scale.ln() - 0.5 * std::f64::consts::TAU.ln()
    }

    /// The mean.
    pub fn mean(self) -> Expr<'g> {
        self.loc
    }

    /// The variance.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        self.scale.square()
    }

    /// The probability of at most `x`, accurate in the left tail (by `erfc`). The probability of more than `x` is that of less than `2 loc - x`.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        standard_normal_cdf((beside(self.loc, x) - self.loc) / self.scale)
    }

    /// The Kullback-Leibler divergence of `other` from this one: `(r^2 - 1) / 2 - ln r + ((loc - loc_other) / scale_other)^2 / 2` with
    /// `r = scale / scale_other`, by `exp_m1(2 ln r)`.
    #[track_caller]
    pub fn kl(self, other: Normal<'g>) -> Expr<'g> {
        let ln_r = self.scale.ln() - other.scale.ln();
        0.5 * ((2.0 * ln_r).exp_m1() + ((self.loc - other.loc) / other.scale).square()) - ln_r
    }
}

univariate!(Normal, "normal", |d| (finite loc = d.loc, positive scale = d.scale) => move |rng| {
    let z: f64 = StandardNormal.sample(rng);
    loc + scale * z
}; cdf);
