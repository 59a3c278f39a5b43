//! The Bernoulli distribution: of a trial that succeeds (1) or fails (0).

use super::support::{beside, minus_infinity};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand::RngExt;

/// A Bernoulli distribution; make it with [`bernoulli`] or [`bernoulli_logit`].
#[derive(Clone, Copy, Debug)]
pub struct Bernoulli<'g> {
    parameter: Expr<'g>,
    logit: bool,
}

/// The Bernoulli distribution with this probability of 1.
pub fn bernoulli(probability: Expr<'_>) -> Bernoulli<'_> {
    Bernoulli { parameter: probability, logit: false }
}

/// The Bernoulli distribution whose probability of 1 is `sigmoid(logit)`: what logistic regression fits. Accurate however certain.
///
/// ```
/// use tapeless::{dist::bernoulli_logit, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y, w) = (g.data("x"), g.data("y"), g.param("w"));
/// let program = bernoulli_logit(w * x).log_prob(y).sum().compile()?;
/// let data = program.bind([("x", &[40.0]), ("y", &[1.0])])?;
/// let (log_prob, grad) = data.value_and_grad(&program.params([("w", 1.0)])?)?;
/// assert_eq!((log_prob, grad.scalar("w")?), (-4.248354255291589e-18, 40.0 * 4.248354255291589e-18));
/// # Ok(())
/// # }
/// ```
pub fn bernoulli_logit(logit: Expr<'_>) -> Bernoulli<'_> {
    Bernoulli { parameter: logit, logit: true }
}

impl<'g> Bernoulli<'g> {
    /// The log probability of `y`, which is 0 or 1: `ln p` of 1 and `ln(1 - p)` of 0; of a logit `log_sigmoid((2 y - 1) logit)`.
    #[track_caller]
    pub fn log_prob(self, y: impl Operand<'g>) -> Expr<'g> {
        let y = beside(self.parameter, y);
        let inside =
            if self.logit { ((2.0 * y - 1.0) * self.parameter).log_sigmoid() } else { y.eq(0.0).select((-self.parameter).ln_1p(), self.parameter.ln()) };
        // NaN is neither 0 nor 1, and stays NaN.
        let outside = y.ne(0.0).and(y.ne(1.0));
        minus_infinity(outside.and(y.eq(y)), outside.select(f64::NAN, inside))
    }

    /// The mean: the probability of 1.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        if self.logit { self.parameter.sigmoid() } else { self.parameter }
    }

    /// The variance, `p (1 - p)`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        self.mean() * self.failure()
    }

    /// The probability of at most `y`: 0 below 0, `1 - p` below 1, 1 from there on.
    #[track_caller]
    pub fn cdf(self, y: impl Operand<'g>) -> Expr<'g> {
        let y = beside(self.parameter, y);
        y.lt(0.0).select(0.0, y.lt(1.0).select(self.failure(), y.eq(y).select(1.0, f64::NAN)))
    }

    /// The probability of 0, as accurate as that of 1.
    #[track_caller]
    fn failure(self) -> Expr<'g> {
        if self.logit { (-self.parameter).sigmoid() } else { 1.0 - self.parameter }
    }

    /// The Kullback-Leibler divergence of `other` from this one, by their probabilities.
    #[track_caller]
    pub fn kl(self, other: Bernoulli<'g>) -> Expr<'g> {
        // Of probabilities 0 and 1 the absent outcome contributes nothing.
        let term = |p: Expr<'g>, ln_p: Expr<'g>, ln_q: Expr<'g>| p.eq(0.0).select(0.0, p * (ln_p - ln_q));
        term(self.mean(), self.ln(true), other.ln(true)) + term(self.failure(), self.ln(false), other.ln(false))
    }

    /// The log probability of 1 or of 0.
    #[track_caller]
    fn ln(self, one: bool) -> Expr<'g> {
        match (self.logit, one) {
            (true, true) => self.parameter.log_sigmoid(),
            (true, false) => (-self.parameter).log_sigmoid(),
            (false, true) => self.parameter.ln(),
            (false, false) => (-self.parameter).ln_1p(),
        }
    }
}

univariate!(Bernoulli, "bernoulli", |d| (probability probability = d.mean()) => move |rng| {
    let u: f64 = rng.random();
    f64::from(u < probability)
}; cdf);
