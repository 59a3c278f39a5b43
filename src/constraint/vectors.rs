//! Vectors: probabilities that sum to 1, and numbers in increasing order.

use super::{Constrained, check, over_entries, refused};
use crate::error::Result;
use crate::expr::Expr;

/// Probabilities `[.., k]` that sum to 1, from `[.., k - 1]` free numbers: the softmax of these and a last 0 (zeros are uniform probabilities). The
/// Jacobian is that of the first `k - 1` probabilities; its determinant is the product of all `k`.
///
/// (Instead of Stan's stick breaking: no entry is treated apart but the last, and no product of remainders is formed.)
#[track_caller]
pub fn simplex(raw: Expr<'_>) -> Constrained<'_> {
    let Some(axis) = raw.shape().dims().len().checked_sub(1) else { return refused("simplex", raw, vec![raw.shape()]) };
    let mut dims = raw.shape().dims().to_vec();
    dims[axis] = 1;
    let g = raw.graph();
    let logits = g.concat(&[raw, g.constant(0.0).broadcast_to(&dims)], axis);
    let log_value = logits.log_softmax(-1);
    Constrained { value: logits.softmax(-1), log_jacobian: over_entries(log_value) }
}

/// What [`simplex`] makes of these probabilities: `ln(x / x_last)` of all but the last.
///
/// # Errors
/// [`crate::Error::Setting`] unless there are at least two, all positive, with sum 1 (to 1e-9).
pub fn simplex_inverse(x: &[f64]) -> Result<Vec<f64>> {
    let sum: f64 = x.iter().sum();
    let inside = x.len() > 1 && x.iter().all(|p| *p > 0.0) && (sum - 1.0).abs() <= 1e-9;
    check("simplex", inside, || format!("{x:?} are not two or more positive numbers with sum 1"))?;
    let (last, rest) = x.split_last().expect("there are two");
    Ok(rest.iter().map(|p| p.ln() - last.ln()).collect())
}

/// Increasing numbers `[.., k]` from as many free ones: the first is itself, each next one is larger by `exp(raw)`.
#[track_caller]
pub fn ordered(raw: Expr<'_>) -> Constrained<'_> {
    let Some(axis) = raw.shape().dims().len().checked_sub(1) else { return refused("ordered", raw, vec![raw.shape()]) };
    let k = raw.shape().dims()[axis];
    if k == 1 {
        return Constrained { value: raw, log_jacobian: raw.graph().constant(0.0) };
    }
    let steps = raw.slice(-1, 1..k);
    let value = raw.graph().concat(&[raw.slice(-1, 0..1), steps.exp()], axis).cumsum(-1);
    Constrained { value, log_jacobian: over_entries(steps) }
}

/// What [`ordered`] makes of these numbers.
///
/// # Errors
/// [`crate::Error::Setting`] unless they are finite and each is larger than the one before.
pub fn ordered_inverse(x: &[f64]) -> Result<Vec<f64>> {
    let inside = !x.is_empty() && x.iter().all(|x| x.is_finite()) && x.windows(2).all(|w| w[0] < w[1]);
    check("ordered", inside, || format!("{x:?} do not increase"))?;
    Ok(std::iter::once(x[0]).chain(x.windows(2).map(|w| (w[1] - w[0]).ln())).collect())
}
