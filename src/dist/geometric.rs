//! The geometric distribution: of the number of failures before the first success.

use super::support::{beside, minus_infinity, no_count, x_ln_1p};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, Exp1};

/// A geometric distribution; make it with [`geometric`].
#[derive(Clone, Copy, Debug)]
pub struct Geometric<'g> {
    probability: Expr<'g>,
}

/// The geometric distribution of the failures before the first success, 0, 1, 2, ..., with this probability of success, above 0. (Counting the
/// trials instead, success included, as SciPy does, gives one more.)
pub fn geometric(probability: Expr<'_>) -> Geometric<'_> {
    Geometric { probability }
}

impl<'g> Geometric<'g> {
    /// The log probability `ln p + y ln(1 - p)` of `y` from 0, 1, 2, ...
    #[track_caller]
    pub fn log_prob(self, y: impl Operand<'g>) -> Expr<'g> {
        let y = beside(self.probability, y);
        minus_infinity(no_count(y), x_ln_1p(y, -self.probability) + self.probability.ln())
    }

    /// The mean, `(1 - p) / p`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        (1.0 - self.probability) / self.probability
    }

    /// The variance, `(1 - p) / p^2`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        (1.0 - self.probability) / self.probability.square()
    }

    /// The probability of at most `y`, `1 - (1 - p)^(floor(y) + 1)`.
    #[track_caller]
    pub fn cdf(self, y: impl Operand<'g>) -> Expr<'g> {
        let y = beside(self.probability, y);
        y.lt(0.0).select(0.0, -((y.floor() + 1.0) * (-self.probability).ln_1p()).exp_m1())
    }
}

univariate!(Geometric, "geometric", |d| (success probability = d.probability) => {
    // The integer part of an exponential time (Devroye, "Non-uniform random variate generation", X.2.2).
    let rate = -(-probability).ln_1p();
    move |rng| {
        let x: f64 = Exp1.sample(rng);
        (x / rate).floor()
    }
}; cdf);
