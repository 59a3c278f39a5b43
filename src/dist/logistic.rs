//! The logistic distribution, whose distribution function is the sigmoid.

use super::support::beside;
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, Open01};
use std::f64::consts::PI;

/// A logistic distribution; make it with [`logistic`].
#[derive(Clone, Copy, Debug)]
pub struct Logistic<'g> {
    loc: Expr<'g>,
    scale: Expr<'g>,
}

/// The logistic distribution around `loc`, with standard deviation `scale pi / sqrt 3`.
pub fn logistic<'g>(loc: Expr<'g>, scale: impl Operand<'g>) -> Logistic<'g> {
    Logistic { loc, scale: beside(loc, scale) }
}

impl<'g> Logistic<'g> {
    /// The log density `-z - 2 ln(1 + exp(-z)) - ln scale` with `z = (x - loc) / scale`, without overflow.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let z = (beside(self.loc, x) - self.loc) / self.scale;
        -z - 2.0 * (-z).softplus() - self.scale.ln()
    }

    /// The mean.
    pub fn mean(self) -> Expr<'g> {
        self.loc
    }

    /// The variance, `scale^2 pi^2 / 3`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        self.scale.square() * (PI * PI / 3.0)
    }

    /// The probability of at most `x`, `sigmoid(z)`, accurate in the left tail.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        ((beside(self.loc, x) - self.loc) / self.scale).sigmoid()
    }
}

univariate!(Logistic, "logistic", |d| (finite loc = d.loc, positive scale = d.scale) => move |rng| {
    let u: f64 = Open01.sample(rng);
    loc + scale * (u.ln() - (-u).ln_1p())
}; cdf);
