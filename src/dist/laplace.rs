//! The Laplace distribution: the logarithm of its density falls off linearly to both sides.

use super::support::beside;
use super::univariate;
use crate::expr::{Expr, Operand};
use rand::RngExt;
use rand_distr::{Distribution as _, Exp1};

/// A Laplace distribution; make it with [`laplace`].
#[derive(Clone, Copy, Debug)]
pub struct Laplace<'g> {
    loc: Expr<'g>,
    scale: Expr<'g>,
}

/// The Laplace distribution around `loc`, with mean absolute deviation `scale > 0`.
pub fn laplace<'g>(loc: Expr<'g>, scale: impl Operand<'g>) -> Laplace<'g> {
    Laplace { loc, scale: beside(loc, scale) }
}

impl<'g> Laplace<'g> {
    /// The log density `-|x - loc| / scale - ln(2 scale)`. At `x = loc` its derivative is 0, the mean of the one-sided ones.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        -((beside(self.loc, x) - self.loc).abs() / self.scale) - (2.0 * self.scale).ln()
    }

    /// The mean.
    pub fn mean(self) -> Expr<'g> {
        self.loc
    }

    /// The variance, `2 scale^2`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        2.0 * self.scale.square()
    }

    /// The probability of at most `x`, accurate in the left tail: `exp(z) / 2` to the left, `1 - exp(-z) / 2` to the right.
    #[track_caller]
    pub fn cdf(self, x: impl Operand<'g>) -> Expr<'g> {
        let z = (beside(self.loc, x) - self.loc) / self.scale;
        let tail = 0.5 * (-z.abs()).exp();
        z.lt(0.0).select(tail, 1.0 - tail)
    }

    /// The Kullback-Leibler divergence of `other` from this one: `(scale exp(-d / scale) + d) / scale_other - ln(scale / scale_other) - 1`
    /// with `d = |loc - loc_other|`.
    #[track_caller]
    pub fn kl(self, other: Laplace<'g>) -> Expr<'g> {
        let d = (self.loc - other.loc).abs();
        (self.scale * (-(d / self.scale)).exp() + d) / other.scale - (self.scale / other.scale).ln() - 1.0
    }
}

univariate!(Laplace, "laplace", |d| (finite loc = d.loc, positive scale = d.scale) => move |rng| {
    let size: f64 = Exp1.sample(&mut *rng);
    let left: bool = rng.random();
    loc + if left { -scale * size } else { scale * size }
}; cdf);
