//! The half-normal distribution: of the absolute value of a normal number around 0.

use super::support::{beside, minus_infinity};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, StandardNormal};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// A half-normal distribution; make it with [`half_normal`].
#[derive(Clone, Copy, Debug)]
pub struct HalfNormal<'g> {
    scale: Expr<'g>,
}

/// The distribution of `|y|` for normal `y` with mean 0 and standard deviation `scale > 0`: a common prior of scales.
pub fn half_normal(scale: Expr<'_>) -> HalfNormal<'_> {
    HalfNormal { scale }
}

impl<'g> HalfNormal<'g> {
    /// The log density `-(x / scale)^2 / 2 - ln scale + ln(2 / pi) / 2` of `x >= 0`.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.scale, x);
        minus_infinity(x.lt(0.0), -0.5 * (x / self.scale).square() - self.scale.ln() + 0.5 * FRAC_2_PI.ln())
    }

    /// The mean, `scale sqrt(2 / pi)`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.scale * FRAC_2_PI.sqrt()
    }

    /// The variance, `scale^2 (1 - 2 / pi)`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        self.scale.square() * (1.0 - FRAC_2_PI)
    }

    /// The probability of at most `x`, `erf(x / (scale sqrt 2))`, accurate near 0.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.scale, x);
        x.lt(0.0).select(0.0, (x / self.scale * FRAC_1_SQRT_2).erf())
    }
}

univariate!(HalfNormal, "half_normal", |d| (positive scale = d.scale) => move |rng| {
    let z: f64 = StandardNormal.sample(rng);
    scale * z.abs()
}; cdf);
