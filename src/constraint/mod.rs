//! Constraints: an unconstrained parameter in, a constrained expression out, with the logarithm of the Jacobian's determinant.
//!
//! A stepper moves parameters anywhere. A scale must stay positive, weights must sum to 1: so the parameter is a free one, and the model uses a function
//! of it. For a maximum of the likelihood the value is all that is needed; a *density* of the constrained value (a prior) becomes one of the free
//! parameter by adding [`Constrained::log_jacobian`].
//!
//! ```
//! use tapeless::{constraint::{positive, positive_inverse}, dist::{half_normal, normal}, prelude::*};
//! # fn main() -> tapeless::Result<()> {
//! let g = Graph::new();
//! let (x, loc) = (g.data("x"), g.param("loc"));
//! let scale = positive(g.param("raw_scale"));
//! let likelihood = normal(loc, scale.value).log_prob(x).sum();
//! let posterior = likelihood + half_normal(g.constant(5.0)).log_prob(scale.value) + scale.log_jacobian;
//!
//! let program = (-posterior).compile()?;
//! let theta = program.params([("loc", 0.0), ("raw_scale", positive_inverse(2.0)?)])?;     // start at scale 2
//! # assert!(program.bind([("x", &[1.0, 2.0])])?.value(&theta)?.is_finite());
//! # Ok(())
//! # }
//! ```
//!
//! The `..._inverse` functions are for numbers: where the free parameter must start for the constrained value to be a given one.
//!
//! The transforms are those of the Stan reference manual, chapter "Constraint transforms", except where noted.

mod cholesky;
mod vectors;

pub use cholesky::{correlation_cholesky, correlation_cholesky_inverse, covariance_cholesky, covariance_cholesky_inverse};
pub use vectors::{ordered, ordered_inverse, simplex, simplex_inverse};

use crate::error::{Error, Result};
use crate::expr::{Expr, Operand};
use crate::shape::Shape;

/// A constrained value, made of an unconstrained parameter.
#[derive(Clone, Copy, Debug)]
pub struct Constrained<'g> {
    /// The value that obeys the constraint.
    pub value: Expr<'g>,
    /// `ln |det(d value / d raw)|`, summed over all entries: one number (for each sample, if the parameter has them). Where the value has more entries
    /// than degrees of freedom, the determinant is by the free ones, as each function says.
    pub log_jacobian: Expr<'g>,
}

/// Positive numbers of any shape: `softplus(raw)`, which grows linearly, so that a step changes a large scale by as much as a small one.
#[track_caller]
pub fn positive(raw: Expr<'_>) -> Constrained<'_> {
    Constrained { value: raw.softplus(), log_jacobian: over_entries(raw.log_sigmoid()) }
}

/// What [`positive`] makes of this number: `ln(exp(x) - 1)`.
///
/// # Errors
/// [`Error::Setting`] unless `x` is positive and finite.
pub fn positive_inverse(x: f64) -> Result<f64> {
    check("positive", x > 0.0 && x.is_finite(), || format!("{x} is not positive and finite"))?;
    Ok(x + (-(-x).exp_m1()).ln())
}

/// Positive numbers of any shape: `exp(raw)`, so that a step changes large and small ones by the same factor.
#[track_caller]
pub fn positive_exp(raw: Expr<'_>) -> Constrained<'_> {
    Constrained { value: raw.exp(), log_jacobian: over_entries(raw) }
}

/// What [`positive_exp`] makes of this number: `ln x`.
///
/// # Errors
/// [`Error::Setting`] unless `x` is positive and finite.
pub fn positive_exp_inverse(x: f64) -> Result<f64> {
    check("positive_exp", x > 0.0 && x.is_finite(), || format!("{x} is not positive and finite"))?;
    Ok(x.ln())
}

/// Numbers between `low` and `high`, of any shape: `low + (high - low) sigmoid(raw)`. For `|raw|` above 36 a limit itself may be reached by rounding.
#[track_caller]
pub fn interval<'g>(raw: Expr<'g>, low: impl Operand<'g>, high: impl Operand<'g>) -> Constrained<'g> {
    let (low, high) = (low.in_graph(raw.graph()), high.in_graph(raw.graph()));
    let width = high - low;
    let value = low + width * raw.sigmoid();
    if value.shape().dims() != raw.shape().dims() && !value.is_poisoned() {
        return refused("interval", raw, vec![raw.shape(), low.shape(), high.shape()]);
    }
    Constrained { value, log_jacobian: over_entries(width.ln() + raw.log_sigmoid() + (-raw).log_sigmoid()) }
}

/// What [`interval`] makes of this number: `ln((x - low) / (high - x))`.
///
/// # Errors
/// [`Error::Setting`] unless `x` lies strictly between finite limits.
pub fn interval_inverse(x: f64, low: f64, high: f64) -> Result<f64> {
    let inside = low < x && x < high && (high - low).is_finite();
    check("interval", inside, || format!("{x} is not between {low} and {high}"))?;
    Ok((x - low).ln() - (high - x).ln())
}

/// The sum over all dimensions, samples kept.
#[track_caller]
fn over_entries(e: Expr<'_>) -> Expr<'_> {
    e.shape().dims().iter().fold(e, |sum, _| sum.sum_dim(-1))
}

/// A mistake: shapes that this constraint can't be made of.
#[track_caller]
fn refused<'g>(what: &str, raw: Expr<'g>, shapes: Vec<Shape>) -> Constrained<'g> {
    let mistaken = if raw.is_poisoned() { raw } else { raw.refused(what, shapes) };
    Constrained { value: mistaken, log_jacobian: mistaken }
}

fn check(name: &str, holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Setting { name: name.into(), message: message() }) }
}
