//! The Poisson distribution: of the number of independent events in an interval.

use super::support::{beside, counted, no_count, x_ln};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// A Poisson distribution; make it with [`poisson`] or [`poisson_log_rate`].
#[derive(Clone, Copy, Debug)]
pub struct Poisson<'g> {
    parameter: Expr<'g>,
    log: bool,
}

/// The Poisson distribution with this mean, which may be 0.
pub fn poisson(rate: Expr<'_>) -> Poisson<'_> {
    Poisson { parameter: rate, log: false }
}

/// The Poisson distribution with mean `exp(log_rate)`: what Poisson regression fits.
///
/// ```
/// use tapeless::{dist::poisson_log_rate, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y, w, b) = (g.data("x"), g.data("y"), g.param("w"), g.param("b"));
/// let program = (-poisson_log_rate(w * x + b).log_prob(y).sum()).compile()?;
/// assert_eq!((program.passes().bind, program.passes().call), (1, 1));     // the factorials are summed once
/// # Ok(())
/// # }
/// ```
pub fn poisson_log_rate(log_rate: Expr<'_>) -> Poisson<'_> {
    Poisson { parameter: log_rate, log: true }
}

impl<'g> Poisson<'g> {
    /// The log probability `y ln(rate) - rate - ln_gamma(y + 1)` of `y` from 0, 1, 2, ...; the last term, of data alone, is summed once at binding.
    #[track_caller]
    pub fn log_prob(self, y: impl Operand<'g>) -> Expr<'g> {
        let y = beside(self.parameter, y);
        let chance = if self.log { y * self.parameter - self.parameter.exp() } else { x_ln(y, self.parameter) - self.parameter };
        counted(no_count(y), chance, -(y + 1.0).ln_gamma())
    }

    /// The mean: the rate.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        if self.log { self.parameter.exp() } else { self.parameter }
    }

    /// The variance: the rate.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        self.mean()
    }

    /// The Kullback-Leibler divergence of `other` from this one: `r ln(r / s) - r + s` for their rates `r` and `s`.
    #[track_caller]
    pub fn kl(self, other: Poisson<'g>) -> Expr<'g> {
        let ln = |p: Poisson<'g>| if p.log { p.parameter } else { p.parameter.ln() };
        let (r, s) = (self.mean(), other.mean());
        r.eq(0.0).select(s, r * (ln(self) - ln(other)) - (r - s))
    }
}

univariate!(Poisson, "poisson", |d| (not_negative rate = d.mean()) => sampler(rate));

/// Above this rate a normal number with the same mean and variance, rounded, is as good as can be told: Poisson's skewness is 1e-8, one over the
/// root of the rate.
const LARGE: f64 = 1e16;

/// Draws events of a rate that is finite and not negative.
pub(super) fn sampler(rate: f64) -> impl Fn(&mut dyn Rng) -> f64 + Send + Sync {
    let exact = if rate > 0.0 && rate < LARGE { rand_distr::Poisson::new(rate).ok() } else { None };
    move |rng| match &exact {
        Some(events) => events.sample(rng),
        None => {
            let z: f64 = StandardNormal.sample(rng);
            (rate + rate.sqrt() * z).round()
        }
    }
}
