//! Losses as expressions.

use crate::expr::{Expr, Operand};

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
    (prediction - target.in_graph(prediction.graph())).square().mean()
}
