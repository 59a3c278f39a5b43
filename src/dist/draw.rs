//! Drawing from a distribution whose parameters are numbers: the checks of their domains, and the closure that draws.

use crate::error::{Error, Result};
use crate::expr::Expr;
use rand::{Rng, RngExt};

/// A parameter as sampling sees it.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'g> {
    /// Its name in messages.
    pub name: &'static str,
    /// The expression to be evaluated.
    pub value: Expr<'g>,
    /// How many of its last dimensions belong to one draw: 0 for a number, 1 for a vector (of logits), 2 for a matrix. The others are independent draws.
    pub dims: usize,
}

/// Draws values of a distribution with given parameters, and as many numbers a value as it has entries.
pub struct Draw {
    entries: Option<usize>,
    fill: Box<Fill>,
}

type Fill = dyn Fn(&mut dyn Rng, &mut [f64]) + Send + Sync;

impl std::fmt::Debug for Draw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Draw of {} numbers", self.len())
    }
}

impl Draw {
    /// Draws one number.
    pub fn number(draw: impl Fn(&mut dyn Rng) -> f64 + Send + Sync + 'static) -> Self {
        Draw { entries: None, fill: Box::new(move |rng, out| out.iter_mut().for_each(|x| *x = draw(&mut *rng))) }
    }

    /// Draws a vector: `fill` sets all of its entries.
    pub fn vector(entries: usize, fill: impl Fn(&mut dyn Rng, &mut [f64]) + Send + Sync + 'static) -> Self {
        Draw { entries: Some(entries), fill: Box::new(fill) }
    }

    /// Whether a value is a vector (even if of one entry).
    pub fn is_vector(&self) -> bool {
        self.entries.is_some()
    }

    /// Numbers a value.
    #[allow(clippy::len_without_is_empty)] // A value without numbers doesn't exist.
    pub fn len(&self) -> usize {
        self.entries.unwrap_or(1)
    }

    /// Draws one value into `out`, which has as many entries.
    pub fn fill(&self, rng: &mut dyn Rng, out: &mut [f64]) {
        (self.fill)(rng, out);
    }
}

fn refused(distribution: &str, parameter: &str, value: f64, expected: &str) -> Error {
    Error::Distribution { distribution: distribution.into(), parameter: parameter.into(), value, expected: expected.into() }
}

/// Draws an index with the probabilities whose logarithms, up to a common term, are given.
pub(super) fn chooser(distribution: &str, log_weights: &[f64]) -> Result<impl Fn(&mut dyn Rng) -> usize + Send + Sync + 'static> {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    let mut upto = Vec::new();
    for w in log_weights {
        total += (log_weight(distribution, "log_weights", *w)? - log_weight(distribution, "largest of log_weights", largest)?).exp();
        upto.push(total);
    }
    finite(distribution, "sum of weights", total)?;
    let last = upto.iter().position(|w| *w == total).unwrap_or(0);
    Ok(move |rng: &mut dyn Rng| {
        let u = rng.random::<f64>() * total;
        upto.iter().position(|w| u < *w).unwrap_or(last)
    })
}

macro_rules! domains {
    ($($(#[doc = $doc:literal])* $name:ident($x:ident) $expected:literal if $test:expr;)*) => {$(
        $(#[doc = $doc])*
        pub(super) fn $name(distribution: &str, parameter: &str, $x: f64) -> Result<f64> {
            if $test { Ok($x) } else { Err(refused(distribution, parameter, $x, $expected)) }
        }
    )*};
}

domains! {
    /// A number.
    finite(x) "finite" if x.is_finite();
    /// A scale, a rate, a shape.
    positive(x) "positive and finite" if x > 0.0 && x < f64::INFINITY;
    /// A rate that may be 0.
    not_negative(x) "finite and not negative" if (0.0..f64::INFINITY).contains(&x);
    /// A probability.
    probability(x) "from 0 to 1" if (0.0..=1.0).contains(&x);
    /// The probability of an event that is waited for.
    success(x) "above 0 and at most 1" if x > 0.0 && x <= 1.0;
    /// A number of trials, exact in `f64`.
    count(x) "an integer from 0 to 2^53" if (0.0..=9_007_199_254_740_992.0).contains(&x) && x.fract() == 0.0;
    /// The logarithm of a weight.
    log_weight(x) "a number, or minus infinity" if x < f64::INFINITY;
}
