//! The Kullback-Leibler divergence of probability vectors. Of distributions it is their method `kl`.

use crate::dist::categorical;
use crate::expr::Expr;

/// `sum(p ln(p / q))` over the last dimension of two probability vectors `[.., k]`, in nats. An outcome with `p = 0` contributes nothing; one with
/// `q = 0` alone makes it infinite.
///
/// ```
/// use tapeless::{loss::kl, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (p, q) = (g.array(&[2], &[0.0, 1.0]), g.array(&[2], &[0.75, 0.25]));
/// let f = kl(p, q).compile_function()?;
/// let out = f.bind::<&str, &[f64]>([])?.eval(&f.params::<&str, f64>([])?)?;
/// assert_eq!(out[0].numbers, [4f64.ln()]);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn kl<'g>(p: Expr<'g>, q: Expr<'g>) -> Expr<'g> {
    (p.xlogy(p) - p.xlogy(q)).sum_dim(-1)
}

/// [`kl`] of `softmax(p)` and `softmax(q)` over the last dimension, from logits `[.., k]`.
#[track_caller]
pub fn kl_logits<'g>(p: Expr<'g>, q: Expr<'g>) -> Expr<'g> {
    categorical(p).kl(categorical(q))
}
