//! The inverse gamma distribution: of one over a gamma distributed number.

use super::gammas::stirling_error;
use super::support::{beside, minus_infinity};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::Distribution as _;
use std::f64::consts::TAU;

/// An inverse gamma distribution; make it with [`inverse_gamma`].
#[derive(Clone, Copy, Debug)]
pub struct InverseGamma<'g> {
    shape: Expr<'g>,
    scale: Expr<'g>,
}

/// The inverse gamma distribution with `shape > 0` and `scale > 0`: a common prior of variances.
pub fn inverse_gamma<'g>(shape: Expr<'g>, scale: impl Operand<'g>) -> InverseGamma<'g> {
    InverseGamma { shape, scale: beside(shape, scale) }
}

impl<'g> InverseGamma<'g> {
    /// The log density `shape ln scale - ln_gamma(shape) - (shape + 1) ln x - scale / x` of `x > 0`, written as that of
    /// [`super::Gamma`] with `r = scale / (shape x)`.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let (x, a) = (beside(self.shape, x), self.shape);
        let mode = self.scale / a;
        let r = mode / x;
        let norm = 0.5 * (a * (1.0 / TAU)).ln() - mode.ln() - stirling_error(a);
        minus_infinity(x.le(0.0).or(r.eq(f64::INFINITY)), (a + 1.0) * r.ln() - a * (r - 1.0) + norm)
    }

    /// The mean, `scale / (shape - 1)` for `shape > 1`, infinite below.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.shape.gt(1.0).select(self.scale / (self.shape - 1.0), f64::INFINITY)
    }

    /// The variance, `scale^2 / ((shape - 1)^2 (shape - 2))` for `shape > 2`, infinite below.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        let finite = (self.scale / (self.shape - 1.0)).square() / (self.shape - 2.0);
        self.shape.gt(2.0).select(finite, f64::INFINITY)
    }
}

univariate!(InverseGamma, "inverse_gamma", |d| (positive shape = d.shape, positive scale = d.scale) => {
    let draw = rand_distr::Gamma::new(shape, 1.0).expect("a positive shape");
    move |rng| scale / draw.sample(rng)
});
