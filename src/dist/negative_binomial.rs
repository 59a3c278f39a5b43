//! The negative binomial distribution: of counts that vary more than Poisson's.

use super::gammas::ln_rising;
use super::support::{beside, counted, no_count, x_ln, x_ln_1p};
use super::{poisson, univariate};
use crate::expr::{Expr, Operand};
use rand_distr::Distribution as _;

/// A negative binomial distribution; make it with [`negative_binomial`] or [`negative_binomial_mean`].
#[derive(Clone, Copy, Debug)]
pub struct NegativeBinomial<'g> {
    count: Expr<'g>,
    /// The probability of success, or the mean.
    parameter: Expr<'g>,
    by_mean: bool,
}

/// The negative binomial distribution of the failures before success number `count`, each trial with this probability of success (as SciPy's
/// `nbinom`). `count` is any positive number; 1 is [`super::geometric`].
pub fn negative_binomial<'g>(count: Expr<'g>, probability: impl Operand<'g>) -> NegativeBinomial<'g> {
    NegativeBinomial { count, parameter: beside(count, probability), by_mean: false }
}

/// The negative binomial distribution with this positive mean and variance `mean + mean^2 / count`: what a regression of overdispersed counts fits.
/// The larger `count`, the closer to Poisson's.
pub fn negative_binomial_mean<'g>(mean: Expr<'g>, count: impl Operand<'g>) -> NegativeBinomial<'g> {
    NegativeBinomial { count: beside(mean, count), parameter: mean, by_mean: true }
}

impl<'g> NegativeBinomial<'g> {
    /// The log probability `ln(gamma(y + r) / gamma(r)) - ln_gamma(y + 1) + r ln p + y ln(1 - p)` of `y` from 0, 1, 2, ..., with `r` the count and
    /// `p = r / (r + mean)`. The ratio of gamma functions doesn't cancel for large `r`; the factorial, of data alone, is summed once at binding.
    #[track_caller]
    pub fn log_prob(self, y: impl Operand<'g>) -> Expr<'g> {
        let (r, m) = (self.count, self.parameter);
        let y = beside(r, y);
        let chance = if self.by_mean { x_ln(y, m / (r + m)) - r * (m / r).ln_1p() } else { r * m.ln() + x_ln_1p(y, -m) };
        counted(no_count(y), ln_rising(r, y) + chance, -(y + 1.0).ln_gamma())
    }

    /// The mean, `r (1 - p) / p`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        if self.by_mean { self.parameter } else { self.count * (1.0 - self.parameter) / self.parameter }
    }

    /// The variance, `r (1 - p) / p^2`, which is `mean + mean^2 / r`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        if self.by_mean { self.parameter + self.parameter.square() / self.count } else { self.mean() / self.parameter }
    }
}

univariate!(NegativeBinomial, "negative_binomial", |d| (positive count = d.count, not_negative mean = d.mean()) => {
    // Poisson's, with a rate that is gamma distributed; of mean 0 there is no such rate, and no event.
    let rate = rand_distr::Gamma::new(count, mean / count).ok();
    move |rng| rate.as_ref().map_or(0.0, |r| poisson::sampler(r.sample(&mut *rng))(rng))
});
