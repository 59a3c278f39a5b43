//! The uniform distribution on an interval.

use super::support::{beside, minus_infinity};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand::RngExt;

/// A uniform distribution; make it with [`uniform`].
#[derive(Clone, Copy, Debug)]
pub struct Uniform<'g> {
    low: Expr<'g>,
    high: Expr<'g>,
}

/// The uniform distribution from `low` to `high > low`.
pub fn uniform<'g>(low: Expr<'g>, high: impl Operand<'g>) -> Uniform<'g> {
    Uniform { low, high: beside(low, high) }
}

impl<'g> Uniform<'g> {
    /// The log density `-ln(high - low)` of `x` from `low` to `high`, both included.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.low, x);
        // The density doesn't depend on x, but NaN stays NaN.
        minus_infinity(x.lt(self.low).or(x.gt(self.high)), x.eq(x).select(-(self.high - self.low).ln(), f64::NAN))
    }

    /// The mean, the middle.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        0.5 * (self.low + self.high)
    }

    /// The variance, `(high - low)^2 / 12`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        (self.high - self.low).square() / 12.0
    }

    /// The probability of at most `x`: `(x - low) / (high - low)` from 0 to 1.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        ((beside(self.low, x) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

univariate!(Uniform, "uniform", |d| (finite low = d.low, positive width = d.high - d.low) => move |rng| {
    let u: f64 = rng.random();
    low + width * u
}; cdf);
