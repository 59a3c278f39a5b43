//! Where a distribution has no mass. Each test is false for NaN, which so stays NaN.

use crate::expr::{Expr, Operand};

/// Not one of 0, 1, 2, ...
#[track_caller]
pub(super) fn no_count(y: Expr<'_>) -> Expr<'_> {
    y.lt(0.0).or((y - y.floor()).gt(0.0)).or(y.eq(f64::INFINITY))
}

/// `inside`, and minus infinity with derivative 0 where `outside` holds.
#[track_caller]
pub(super) fn minus_infinity<'g>(outside: Expr<'g>, inside: Expr<'g>) -> Expr<'g> {
    outside.select(f64::NEG_INFINITY, inside)
}

/// The log probability of a count as two terms: one that depends on the parameters, and one of data alone, which so can be summed once at binding
/// (`-ln_gamma(y + 1)`). Minus infinity with derivative 0 where `outside` holds.
#[track_caller]
pub(super) fn counted<'g>(outside: Expr<'g>, of_parameters: Expr<'g>, of_data: Expr<'g>) -> Expr<'g> {
    outside.select(0.0, of_parameters) + outside.select(f64::NEG_INFINITY, of_data)
}

/// `c ln x`, and 0 where both are 0. Unlike `xlogy` it shares the logarithm with its derivative by `c` (which where both are 0 is 0).
#[track_caller]
pub(super) fn x_ln<'g>(c: Expr<'g>, x: Expr<'g>) -> Expr<'g> {
    c.eq(0.0).and(x.eq(0.0)).select(0.0, c * x.ln())
}

/// `c ln(1 + x)`, and 0 where `c` is 0 and `x` is -1.
#[track_caller]
pub(super) fn x_ln_1p<'g>(c: Expr<'g>, x: Expr<'g>) -> Expr<'g> {
    c.eq(0.0).and(x.eq(-1.0)).select(0.0, c * x.ln_1p())
}

/// The probability of at most `z` for a standard normal: `erfc(-z / sqrt 2) / 2`, accurate in the left tail.
#[track_caller]
pub(super) fn standard_normal_cdf(z: Expr<'_>) -> Expr<'_> {
    0.5 * (z * -std::f64::consts::FRAC_1_SQRT_2).erfc()
}

/// The operand in the graph of an expression, broadcast when it meets others.
pub(super) fn beside<'g>(e: Expr<'g>, other: impl Operand<'g>) -> Expr<'g> {
    other.in_graph(e.graph())
}

/// A number for each entry and sample of `like`: what a moment that is the same for all parameters is.
#[track_caller]
pub(super) fn everywhere<'g>(like: Expr<'g>, value: f64) -> Expr<'g> {
    let dims = like.shape();
    like.graph().constant(value).broadcast_to(dims.dims())
}
