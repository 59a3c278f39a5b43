//! Differences of `ln_gamma` that don't cancel: of arguments above 10 the large terms of Stirling's series are subtracted in closed form.
//!
//! DiDonato and Morris, "Algorithm 708", ACM TOMS 18 (1992), functions `algdiv`, `bcorr`, `betaln`; Abramowitz and Stegun 6.1.40.

use crate::expr::Expr;
use std::f64::consts::TAU;

/// Where the series takes over: eight terms leave less than 4e-17.
const LARGE: f64 = 10.0;

/// `B_2k / (2k (2k - 1))`
const COEFFICIENTS: [f64; 8] = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0, -3617.0 / 122_400.0];

/// Stirling's error for large `x`: `ln_gamma(x) - ((x - 1/2) ln x - x + ln(2 pi) / 2)` by its asymptotic series.
#[track_caller]
fn series(x: Expr<'_>) -> Expr<'_> {
    let w = x.recip();
    let w2 = w.square();
    let (last, rest) = COEFFICIENTS.split_last().expect("eight of them");
    rest.iter().rev().fold(x.graph().constant(*last), |sum, c| sum * w2 + *c) * w
}

/// Stirling's error for `x > 0`.
#[track_caller]
pub(super) fn stirling_error(x: Expr<'_>) -> Expr<'_> {
    x.ge(LARGE).select(series(x), x.ln_gamma() - (x - 0.5) * x.ln() + x - 0.5 * TAU.ln())
}

/// `ln(gamma(q + p) / gamma(q))` for positive `q` and `p`: the logarithm of the rising factorial, without cancellation for large `q`.
///
/// Both branches are computed. Per sample, in the negative binomial, that takes twice the time of two calls of `ln_gamma`, which for `q = 1e6` would be off
/// by 1e-9 and for `q = 1e10` by 2e-5; a shift of ten steps of the recurrence instead of the branch was no faster, and overflowed in `f32`.
#[track_caller]
pub(super) fn ln_rising<'g>(q: Expr<'g>, p: Expr<'g>) -> Expr<'g> {
    let sum = q + p;
    let large = (q - 0.5) * (p / q).ln_1p() + (p * sum.ln() - p) + (series(sum) - series(q));
    q.ge(LARGE).select(large, sum.ln_gamma() - q.ln_gamma())
}

/// `ln(gamma(a) gamma(b) / gamma(a + b))` for positive `a` and `b`.
#[track_caller]
pub(super) fn ln_beta<'g>(a: Expr<'g>, b: Expr<'g>) -> Expr<'g> {
    let (smaller, larger) = (a.min(b), a.max(b));
    smaller.ln_gamma() - ln_rising(larger, smaller)
}
