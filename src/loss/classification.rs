//! Losses of predicted classes: from scores, never from probabilities, so that they are accurate however certain the prediction.

use crate::expr::{Expr, Labels, Operand};

/// The log loss of a label 0 or 1 whose probability of 1 is `sigmoid(logit)`: `softplus(logit)` of 0, `softplus(-logit)` of 1. Any other
/// label makes it NaN, which a training reports; for labels in between there is [`soft_log_loss`].
///
/// ```
/// use tapeless::{loss::log_loss, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y, w) = (g.data("x"), g.data("y"), g.param("w"));
/// let program = log_loss(w * x, y).sum().compile()?;
/// let data = program.bind([("x", &[1.0, 3.0]), ("y", &[0.0, 1.0])])?;
/// let (_, grad) = data.value_and_grad(&program.params([("w", 0.0)])?)?;
/// assert_eq!(grad.scalar("w")?, (0.5 - 0.0) * 1.0 + (0.5 - 1.0) * 3.0);   // sum of (p - y) x
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn log_loss<'g>(logit: Expr<'g>, label: impl Operand<'g>) -> Expr<'g> {
    let y = label.in_graph(logit.graph());
    labelled(y.eq(0.0).or(y.eq(1.0)), ((1.0 - 2.0 * y) * logit).softplus())
}

/// The log loss of a label -1 or +1 whose probability is `sigmoid(label * score)`: `softplus(-label * score)`. Any other label makes it NaN.
#[track_caller]
pub fn log_loss_signed<'g>(score: Expr<'g>, label: impl Operand<'g>) -> Expr<'g> {
    let y = label.in_graph(score.graph());
    labelled(y.abs().eq(1.0), (-(y * score)).softplus())
}

/// The log loss of a probability `target` (from 0 to 1) predicted by a logit: `target softplus(-logit) + (1 - target) softplus(logit)`.
#[track_caller]
pub fn soft_log_loss<'g>(logit: Expr<'g>, target: impl Operand<'g>) -> Expr<'g> {
    let p = target.in_graph(logit.graph());
    p * (-logit).softplus() + (1.0 - p) * logit.softplus()
}

/// The cross entropy of labels `0..k` predicted by logits `[.., k]`: minus the logarithm of the softmax at the label, without the last dimension.
///
/// ```
/// use tapeless::{loss::cross_entropy, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let scores = g.data_with("x", &[3]).matmul(g.array(&[3, 2], &[4.0, 7.0, 5.0, 8.0, 6.0, 9.0]));
/// let program = cross_entropy(scores, g.labels("y")).sum().compile()?;
/// let x: [&[f64]; 3] = [&[1.0], &[2.0], &[3.0]];
/// let loss = |label: u8| program.bind([("x", Columns::from(x.to_vec())), ("y", Columns::from(&[label]))])?.value(&program.zeros());
/// assert_eq!(loss(0)?, (50.0f64 - 32.0).exp().ln_1p());     // the scores are 32 and 50
/// assert!(loss(1)? < 1e-7);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn cross_entropy<'g>(logits: Expr<'g>, labels: Labels<'g>) -> Expr<'g> {
    -logits.log_softmax(-1).pick(labels)
}

/// The cross entropy of probabilities `target` `[.., k]` predicted by logits `[.., k]`: `-sum(target log_softmax(logits))`, without the last dimension.
#[track_caller]
pub fn soft_cross_entropy<'g>(logits: Expr<'g>, target: Expr<'g>) -> Expr<'g> {
    -(target * logits.log_softmax(-1)).sum_dim(-1)
}

#[track_caller]
fn labelled<'g>(known: Expr<'g>, loss: Expr<'g>) -> Expr<'g> {
    known.select(loss, f64::NAN)
}
