//! The Cauchy distribution, whose tails are so heavy that it has no mean.

use super::support::{beside, everywhere};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::Distribution as _;
use std::f64::consts::PI;

/// A Cauchy distribution; make it with [`cauchy`].
#[derive(Clone, Copy, Debug)]
pub struct Cauchy<'g> {
    loc: Expr<'g>,
    scale: Expr<'g>,
}

/// The Cauchy distribution with median `loc` and half width at half maximum `scale > 0`.
pub fn cauchy<'g>(loc: Expr<'g>, scale: impl Operand<'g>) -> Cauchy<'g> {
    Cauchy { loc, scale: beside(loc, scale) }
}

impl<'g> Cauchy<'g> {
    /// The log density `-ln(pi scale) - ln(1 + z^2)` with `z = (x - loc) / scale`, for `|z|` below 1e154.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let z = (beside(self.loc, x) - self.loc) / self.scale;
        -(PI * self.scale).ln() - z.square().ln_1p()
    }

    /// NaN: there is no mean.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        everywhere(self.loc, f64::NAN)
    }

    /// NaN: there is no variance.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        everywhere(self.loc, f64::NAN)
    }

    /// The probability of at most `x`, `atan2(1, -z) / pi`, which is `1/2 + atan(z) / pi` and accurate in the left tail.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        let z = (beside(self.loc, x) - self.loc) / self.scale;
        self.loc.graph().constant(1.0).atan2(-z) * (1.0 / PI)
    }
}

univariate!(Cauchy, "cauchy", |d| (finite loc = d.loc, positive scale = d.scale) => {
    let draw = rand_distr::Cauchy::new(loc, scale).expect("a positive scale");
    move |rng| draw.sample(rng)
}; cdf);
