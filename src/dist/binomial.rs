//! The binomial distribution: of the number of successes in independent trials.

use super::gammas::ln_beta;
use super::support::{beside, counted, no_count, x_ln, x_ln_1p};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::Distribution as _;

/// A binomial distribution; make it with [`binomial`] or [`binomial_logit`].
#[derive(Clone, Copy, Debug)]
pub struct Binomial<'g> {
    count: Expr<'g>,
    parameter: Expr<'g>,
    logit: bool,
}

/// The binomial distribution of `count` trials with this probability of success each.
pub fn binomial<'g>(count: impl Operand<'g>, probability: Expr<'g>) -> Binomial<'g> {
    Binomial { count: beside(probability, count), parameter: probability, logit: false }
}

/// The binomial distribution of `count` trials whose probability of success is `sigmoid(logit)`. Accurate however certain.
pub fn binomial_logit<'g>(count: impl Operand<'g>, logit: Expr<'g>) -> Binomial<'g> {
    Binomial { count: beside(logit, count), parameter: logit, logit: true }
}

impl<'g> Binomial<'g> {
    /// The log probability `ln C(n, y) + y ln p + (n - y) ln(1 - p)` of `y` from 0 to `n`. The binomial coefficient is
    /// `1 / ((n + 1) B(y + 1, n - y + 1))`, which doesn't cancel; where count and `y` are data it is summed once at binding.
    #[track_caller]
    pub fn log_prob(self, y: impl Operand<'g>) -> Expr<'g> {
        let (y, n, p) = (beside(self.parameter, y), self.count, self.parameter);
        let failures = n - y;
        let chance = if self.logit { y * p.log_sigmoid() + failures * (-p).log_sigmoid() } else { x_ln(y, p) + x_ln_1p(failures, -p) };
        let coefficient = -ln_beta(y + 1.0, failures + 1.0) - (n + 1.0).ln();
        counted(no_count(y).or(y.gt(n)), chance, coefficient)
    }

    /// The mean, `n p`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.count * self.probability()
    }

    /// The variance, `n p (1 - p)`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        let failure = if self.logit { (-self.parameter).sigmoid() } else { 1.0 - self.parameter };
        self.mean() * failure
    }

    #[track_caller]
    fn probability(self) -> Expr<'g> {
        if self.logit { self.parameter.sigmoid() } else { self.parameter }
    }
}

univariate!(Binomial, "binomial", |d| (count count = d.count, probability probability = d.probability()) => {
    let draw = rand_distr::Binomial::new(count as u64, probability).expect("a probability");
    move |rng| draw.sample(rng) as f64
});
