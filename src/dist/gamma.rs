//! The gamma distribution.

use super::gammas::stirling_error;
use super::support::{beside, minus_infinity, x_ln};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::Distribution as _;
use std::f64::consts::TAU;

/// A gamma distribution; make it with [`gamma`].
#[derive(Clone, Copy, Debug)]
pub struct Gamma<'g> {
    shape: Expr<'g>,
    rate: Expr<'g>,
}

/// The gamma distribution with `shape > 0` and `rate > 0` (one over the scale); its mean is `shape / rate`.
pub fn gamma<'g>(shape: Expr<'g>, rate: impl Operand<'g>) -> Gamma<'g> {
    Gamma { shape, rate: beside(shape, rate) }
}

impl<'g> Gamma<'g> {
    /// The log density `shape ln rate - ln_gamma(shape) + (shape - 1) ln x - rate x` of `x >= 0`. With `r = x rate / shape` it is written
    /// `(shape - 1) ln r - shape (r - 1) + ln(rate / shape) + ln(shape / 2 pi) / 2 - stirling_error(shape)`,
    /// in which nothing large cancels for large shapes (Loader, "Fast and accurate computation of binomial probabilities", 2000).
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let (x, a) = (beside(self.shape, x), self.shape);
        let per_mean = self.rate / a;
        let r = x * per_mean;
        let norm = per_mean.ln() + 0.5 * (a * (1.0 / TAU)).ln() - stirling_error(a);
        minus_infinity(x.lt(0.0).or(r.eq(f64::INFINITY)), x_ln(a - 1.0, r) - a * (r - 1.0) + norm)
    }

    /// The mean, `shape / rate`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.shape / self.rate
    }

    /// The variance, `shape / rate^2`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        self.shape / self.rate.square()
    }

    /// The Kullback-Leibler divergence of `other` from this one, with shapes `a`, `c` and rates `b`, `d`:
    /// `(a - c) digamma(a) - ln_gamma(a) + ln_gamma(c) + c ln(b / d) + a (d - b) / b`.
    #[track_caller]
    pub fn kl(self, other: Gamma<'g>) -> Expr<'g> {
        let (a, b, c, d) = (self.shape, self.rate, other.shape, other.rate);
        (a - c) * a.digamma() - (a.ln_gamma() - c.ln_gamma()) + c * (b / d).ln() + a * ((d - b) / b)
    }
}

univariate!(Gamma, "gamma", |d| (positive shape = d.shape, positive rate = d.rate) => {
    let draw = rand_distr::Gamma::new(shape, 1.0).expect("a positive shape");
    move |rng| draw.sample(rng) / rate
});
