//! Losses of a predicted number.

use crate::expr::{Expr, Operand};

/// `(prediction - target)^2`
#[track_caller]
pub fn squared_error<'g>(prediction: Expr<'g>, target: impl Operand<'g>) -> Expr<'g> {
    (prediction - target.in_graph(prediction.graph())).square()
}

/// `|prediction - target|`; where they are equal its derivative is 0.
#[track_caller]
pub fn absolute_error<'g>(prediction: Expr<'g>, target: impl Operand<'g>) -> Expr<'g> {
    (prediction - target.in_graph(prediction.graph())).abs()
}

/// Huber's loss of the residual `r = prediction - target`: `r^2 / 2` up to `|r| = delta`, from there on the straight line that continues it,
/// `delta (|r| - delta / 2)` (Huber 1964).
#[track_caller]
pub fn huber<'g>(prediction: Expr<'g>, target: impl Operand<'g>, delta: impl Operand<'g>) -> Expr<'g> {
    let size = absolute_error(prediction, target);
    let near = size.min(delta);
    near * (size - 0.5 * near)
}

/// The mean squared error: the mean of `(prediction - target)^2` over everything.
///
/// ```
/// use tapeless::{loss::mse, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y, w) = (g.data("x"), g.data("y"), g.param("w"));
/// let program = mse(w * x, y).compile()?;
/// let data = program.bind([("x", &[1.0, 2.0]), ("y", &[3.0, 5.0])])?;
/// assert_eq!(data.value(&program.params([("w", 2.0)])?)?, 1.0);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn mse<'g>(prediction: Expr<'g>, target: impl Operand<'g>) -> Expr<'g> {
    squared_error(prediction, target).mean()
}

/// The mean absolute error: the mean of `|prediction - target|` over everything.
#[track_caller]
pub fn mae<'g>(prediction: Expr<'g>, target: impl Operand<'g>) -> Expr<'g> {
    absolute_error(prediction, target).mean()
}
