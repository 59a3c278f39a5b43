//! Logarithms of sums of exponentials: `logaddexp` and `log_sigmoid`.

use super::super::arith::Arith;
use super::exp::{Powers, exp_pair, softplus};
use super::log::ln_quotient;

/// `ln(e^x + e^y)`, as the larger plus `ln(1 + e^-|x - y|)`.
///
/// What the difference loses is put back: where the larger is next to 0, the relative error of the exponential is that of
/// the result. Where the result is near 0 the two terms cancel: there the error is in proportion to the logarithm.
#[inline(always)]
pub fn logaddexp<A: Arith>(a: &mut A, x: A::F, y: A::F) -> A::F {
    let zero = a.lit(0.0);
    let large = a.max(x, y);
    let little = a.min(x, y);
    // little - large and, as neither need be the larger in magnitude, its error by Knuth's 2Sum.
    let gap = a.sub(little, large);
    let from = a.sub(gap, little);
    let back = a.sub(gap, from);
    let lost = a.sub(little, back);
    let more = a.add(large, from);
    let lost = a.sub(lost, more);
    // That of infinities is NaN where they are equal, and its error always.
    let bound = a.lit(-1024.0);
    let tame = a.lt(bound, gap);
    let lost = a.select(tame, lost, zero);
    let equal = a.eq(x, y);
    let gap = a.select(equal, zero, gap);
    let e = exp_pair(a, gap, lost, Powers::Below);
    let (e2, quotient) = ln_quotient(a, e);
    let log = a.fma(e2, quotient, e);
    // Where a negative argument and the logarithm cancel, the difference of the leading parts is exact or nearly.
    let part = a.add(large, e);
    let part = a.fma(e2, quotient, part);
    let minus_quarter = a.lit(-0.25);
    let bound = a.mul(log, minus_quarter);
    let whole = a.add(large, log);
    let cancels = a.lt(large, bound);
    let result = a.select(cancels, part, whole);
    // `max` and `min` pass over an x that is NaN.
    let sound = a.eq(x, x);
    a.select(sound, result, x)
}

/// `ln(1 / (1 + e^-x))`.
#[inline(always)]
pub fn log_sigmoid<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let minus = a.neg(x);
    let result = softplus(a, minus);
    a.neg(result)
}
