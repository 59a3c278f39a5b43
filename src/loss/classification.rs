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

/// The cross entropy of a label predicted by logits `[.., k]`: minus the label's entry of their log-softmax. Labels are checked when data are bound.
///
/// With a weight for every class:
///
/// ```
/// use tapeless::{loss::{cross_entropy, weighted_mean}, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y, w) = (g.data_with("x", &[3]), g.labels("y"), g.param_with("w", &[3, 2]));
/// let class_weight = g.array(&[2], &[1.0, 4.0]);
/// let loss = weighted_mean(cross_entropy(x.matmul(w), y), class_weight.gather(y));
/// # let columns: [&[f64]; 3] = [&[1.0, 1.0], &[2.0, 2.0], &[3.0, 3.0]];
/// let program = loss.compile()?;
/// let data = program.bind([("x", Columns::from(columns.to_vec())), ("y", Columns::from(&[0u32, 1]))])?;
/// let value = data.value(&program.params([("w", [4.0, 7.0, 5.0, 8.0, 6.0, 9.0])])?)?;
/// assert!((value - (1.0 * 18.0 + 4.0 * 0.0) / 5.0).abs() < 1e-7);     // scores 32 and 50
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn cross_entropy<'g>(logits: Expr<'g>, label: Labels<'g>) -> Expr<'g> {
    -logits.log_softmax(-1).pick(label)
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
