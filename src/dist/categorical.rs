//! The categorical distribution: of a label, one of `k`.

use super::Distribution;
use super::draw::{Draw, Parameter, chooser};
use super::support::{minus_infinity, no_count};
use crate::error::Result;
use crate::expr::{Expr, Labels};

/// A categorical distribution; make it with [`categorical`].
#[derive(Clone, Copy, Debug)]
pub struct Categorical<'g> {
    logits: Expr<'g>,
}

/// The distribution of labels 0 to `k - 1` with probabilities `softmax(logits)`, `[.., k]`.
///
/// ```
/// use tapeless::{dist::categorical, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (y, logits) = (g.labels("y"), g.param_with("logits", &[3]));
/// let program = (-categorical(logits).log_prob(y).mean()).compile()?;
/// let data = program.bind([("y", &[0u8, 2, 2, 1])])?;
/// let (_, grad) = data.value_and_grad(&program.params([("logits", [0.0, 0.0, 2f64.ln()])])?)?;
/// assert!(grad.norm() < 1e-15);                                   // probabilities 1/4, 1/4, 1/2 are the samples' shares
/// # Ok(())
/// # }
/// ```
pub fn categorical(logits: Expr<'_>) -> Categorical<'_> {
    Categorical { logits }
}

impl<'g> Categorical<'g> {
    /// The log probability of the label: its entry of the log-softmax. Labels are checked when data are bound.
    #[track_caller]
    pub fn log_prob(self, label: Labels<'g>) -> Expr<'g> {
        self.log_probabilities().pick(label)
    }

    /// The probabilities, `[.., k]`.
    #[track_caller]
    pub fn probabilities(self) -> Expr<'g> {
        self.logits.softmax(-1)
    }

    /// The logarithms of the probabilities, `[.., k]`.
    #[track_caller]
    pub fn log_probabilities(self) -> Expr<'g> {
        self.logits.log_softmax(-1)
    }

    /// The Kullback-Leibler divergence of `other` from this one, `sum(p (ln p - ln q))`; what has `p = 0` contributes nothing.
    #[track_caller]
    pub fn kl(self, other: Categorical<'g>) -> Expr<'g> {
        let p = self.probabilities();
        let terms = p * (self.log_probabilities() - other.log_probabilities());
        p.eq(0.0).select(0.0, terms).sum_dim(-1)
    }

    /// The labels as numbers, `[k]`.
    #[track_caller]
    fn numbers(self) -> Expr<'g> {
        let k = self.logits.shape().dims().last().copied().unwrap_or(1);
        self.logits.graph().array(&[k], &(0..k).map(|c| c as f64).collect::<Vec<_>>())
    }
}

/// Of the label as a number.
impl<'g> Distribution<'g> for Categorical<'g> {
    fn log_prob(&self, y: Expr<'g>) -> Expr<'g> {
        let numbers = self.numbers();
        let mut dims = y.shape().dims().to_vec();
        dims.push(1);
        let chosen = y.reshape(&dims).eq(numbers).select(self.log_probabilities(), 0.0).sum_dim(-1);
        let outside = no_count(y).or(y.ge(numbers.shape().entries() as f64));
        minus_infinity(outside, y.eq(y).select(chosen, f64::NAN))
    }
    fn mean(&self) -> Expr<'g> {
        (self.probabilities() * self.numbers()).sum_dim(-1)
    }
    fn variance(&self) -> Expr<'g> {
        let mean = self.mean();
        let mut dims = mean.shape().dims().to_vec();
        dims.push(1);
        (self.probabilities() * (self.numbers() - mean.reshape(&dims)).square()).sum_dim(-1)
    }
    fn parameters(&self) -> Vec<Parameter<'g>> {
        vec![Parameter { name: "logits", value: self.logits, dims: 1 }]
    }
    fn draw(&self, numbers: &[&[f64]]) -> Result<Draw> {
        let index = chooser("categorical", numbers[0])?;
        Ok(Draw::number(move |rng| index(rng) as f64))
    }
}
