//! The log-normal distribution: of a positive number whose logarithm is normal.

use super::support::{beside, minus_infinity, standard_normal_cdf};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, StandardNormal};

/// A log-normal distribution; make it with [`log_normal`].
#[derive(Clone, Copy, Debug)]
pub struct LogNormal<'g> {
    loc: Expr<'g>,
    scale: Expr<'g>,
}

/// The distribution of `exp(y)` for normal `y` with mean `loc` and standard deviation `scale > 0`.
pub fn log_normal<'g>(loc: Expr<'g>, scale: impl Operand<'g>) -> LogNormal<'g> {
    LogNormal { loc, scale: beside(loc, scale) }
}

impl<'g> LogNormal<'g> {
    /// The log density `-((ln x - loc) / scale)^2 / 2 - ln scale - ln x - ln(2 pi) / 2` of `x > 0`.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.loc, x);
        let ln_x = x.ln();
        let z = (ln_x - self.loc) / self.scale;
        minus_infinity(x.le(0.0), -0.5 * z.square() - self.scale.ln() - ln_x - 0.5 * std::f64::consts::TAU.ln())
    }

    /// The mean, `exp(loc + scale^2 / 2)`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        (self.loc + 0.5 * self.scale.square()).exp()
    }

    /// The variance, `(exp(scale^2) - 1) exp(2 loc + scale^2)`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        let square = self.scale.square();
        square.exp_m1() * (2.0 * self.loc + square).exp()
    }

    /// The probability of at most `x`, accurate in the left tail.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.loc, x);
        x.le(0.0).select(0.0, standard_normal_cdf((x.ln() - self.loc) / self.scale))
    }
}

univariate!(LogNormal, "log_normal", |d| (finite loc = d.loc, positive scale = d.scale) => move |rng| {
    let z: f64 = StandardNormal.sample(rng);
    (loc + scale * z).exp()
}; cdf);
