//! The exponential distribution: of the time until an event that may come at any moment.

use super::support::{beside, minus_infinity};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, Exp1};

/// An exponential distribution; make it with [`exponential`].
#[derive(Clone, Copy, Debug)]
pub struct Exponential<'g> {
    rate: Expr<'g>,
}

/// The exponential distribution with `rate > 0`, one over its mean.
pub fn exponential(rate: Expr<'_>) -> Exponential<'_> {
    Exponential { rate }
}

impl<'g> Exponential<'g> {
    /// The log density `ln rate - rate x` of `x >= 0`.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.rate, x);
        minus_infinity(x.lt(0.0), self.rate.ln() - self.rate * x)
    }

    /// The mean, `1 / rate`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.rate.recip()
    }

    /// The variance, `1 / rate^2`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        self.rate.recip().square()
    }

    /// The probability of at most `x`, `1 - exp(-rate x)`, accurate near 0.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.rate, x);
        x.lt(0.0).select(0.0, -(-(self.rate * x)).exp_m1())
    }

    /// The Kullback-Leibler divergence of `other` from this one: `u - ln(1 + u)` with `u = (rate_other - rate) / rate`.
    #[track_caller]
    pub fn kl(self, other: Exponential<'g>) -> Expr<'g> {
        let u = (other.rate - self.rate) / self.rate;
        u - u.ln_1p()
    }
}

univariate!(Exponential, "exponential", |d| (positive rate = d.rate) => move |rng| {
    let x: f64 = Exp1.sample(rng);
    x / rate
}; cdf);
