//! Losses as expressions: one for every sample, or reduced to one number.
//!
//! [`squared_error`], [`absolute_error`], [`huber`], [`log_loss`], [`log_loss_signed`], [`cross_entropy`], [`kl`] and the others give a loss for every sample, and the
//! reductions of any expression finish the objective: `.sum()`, `.mean()`, or with a weight for every sample [`weighted_sum`] and
//! [`weighted_mean`], which divides by the sum of the weights.
//!
//! ```
//! use tapeless::{loss::{huber, weighted_mean}, prelude::*};
//! # fn main() -> tapeless::Result<()> {
//! let g = Graph::new();
//! let (x, y, weight) = (g.data("x"), g.data("y"), g.data("weight"));
//! let (w, b) = (g.param("w"), g.param("b"));
//! let loss = weighted_mean(huber(w * x + b, y, 1.0), weight);
//! let program = loss.compile()?;
//! let data = program.bind([("x", &[1.0, 2.0, 3.0]), ("y", &[1.0, 2.0, 13.0]), ("weight", &[1.0, 1.0, 2.0])])?;
//! // Residuals 0, 0 and -10, the last with weight 2 of 4 and beyond delta: 1 * (10 - 1/2).
//! assert_eq!(data.value(&program.params([("w", 1.0), ("b", 0.0)])?)?, 0.5 * 9.5);
//! # Ok(())
//! # }
//! ```

mod classification;
mod divergence;
mod regression;

pub use classification::{cross_entropy, log_loss, log_loss_signed, soft_cross_entropy, soft_log_loss};
pub use divergence::{kl, kl_logits};
pub use regression::{absolute_error, huber, mae, mse, squared_error};

use crate::expr::{Expr, Operand};

/// The sum of `weight * loss` over everything: one number.
#[track_caller]
pub fn weighted_sum<'g>(loss: Expr<'g>, weight: impl Operand<'g>) -> Expr<'g> {
    (loss * weight.in_graph(loss.graph())).sum()
}

/// The weighted mean of a loss over everything: the sum of `weight * loss` divided by the sum of the weights (each counted as often as it is
/// broadcast), so that equal weights give the plain mean. Weights that sum to 0 give NaN.
#[track_caller]
pub fn weighted_mean<'g>(loss: Expr<'g>, weight: impl Operand<'g>) -> Expr<'g> {
    let weight = weight.in_graph(loss.graph());
    let product = loss * weight;
    let shape = product.shape();
    let total = weight.broadcast_to(shape.dims()).sum();
    let once_a_sample = shape.varies_over_samples() && !weight.shape().varies_over_samples();
    product.sum() / if once_a_sample { total * loss.graph().count() } else { total }
}
