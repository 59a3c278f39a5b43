//! The Weibull distribution: of the time until something that ages fails.

use super::support::{beside, minus_infinity, x_ln};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, Exp1};

/// A Weibull distribution; make it with [`weibull`].
#[derive(Clone, Copy, Debug)]
pub struct Weibull<'g> {
    shape: Expr<'g>,
    scale: Expr<'g>,
}

/// The Weibull distribution with `shape > 0` and `scale > 0`.
pub fn weibull<'g>(shape: Expr<'g>, scale: impl Operand<'g>) -> Weibull<'g> {
    Weibull { shape, scale: beside(shape, scale) }
}

impl<'g> Weibull<'g> {
    /// The log density `ln(shape / scale) + (shape - 1) ln z - z^shape` of `x >= 0`, with `z = x / scale`; the power is `exp(shape ln z)`.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.shape, x);
        let z = x / self.scale;
        let inside = (self.shape / self.scale).ln() + x_ln(self.shape - 1.0, z) - (self.shape * z.ln()).exp();
        minus_infinity(x.lt(0.0).or(z.eq(f64::INFINITY)), inside)
    }

    /// The mean, `scale gamma(1 + 1 / shape)`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.scale * (self.shape.recip() + 1.0).ln_gamma().exp()
    }

    /// The variance, `scale^2 (gamma(1 + 2 / shape) - gamma(1 + 1 / shape)^2)`. The two cancel for large shapes, to about `3e-16 shape^2` of it.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        let first = (self.shape.recip() + 1.0).ln_gamma();
        let second = (2.0 / self.shape + 1.0).ln_gamma();
        (self.scale * first.exp()).square() * (second - 2.0 * first).exp_m1()
    }

    /// The probability of at most `x`, `1 - exp(-z^shape)`, accurate near 0.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.shape, x);
        x.le(0.0).select(0.0, -(-(self.shape * (x / self.scale).ln()).exp()).exp_m1())
    }
}

univariate!(Weibull, "weibull", |d| (positive shape = d.shape, positive scale = d.scale) => move |rng| {
    let x: f64 = Exp1.sample(rng);
    scale * x.powf(shape.recip())
}; cdf);
