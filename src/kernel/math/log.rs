//! The natural logarithm: `ln`, `ln_1p`, and the parts that `softplus` and `pow` need.
//!
//! A positive number is `2^n (1 + f)` with `1 + f` in `[sqrt(1/2), sqrt 2)`. In `f64`, `ln(1 + f) = 2 atanh(s)` with
//! `s = f / (2 + f)`, rearranged as `f - (f^2/2 - s (f^2/2 + s^2 L(s^2)))` so that the leading term is exact (the form
//! of Ng's fdlibm, 1993); in `f32` a direct polynomial is as short and needs no division. `n ln 2 + f` is carried as a
//! pair, so that the cancellation at `n = -1` costs nothing.

use super::super::arith::Arith;
use super::{lit, ln2, pick, poly};
use crate::real::Real;

/// `tools/minimax.py LOG64`: relative error of `ln(1 + f)` 2^-59.5.
const LOG64: [f64; 7] =
    [0.6666666666666734, 0.39999999999416663, 0.2857142874202172, 0.2222219860563853, 0.18183562829674157, 0.15314085144236636, 0.147956327053378];

/// `tools/minimax.py LOG32`: relative error of `ln(1 + f)` 2^-30.3.
const LOG32: [f64; 9] = [
    0.3333331346511841,
    -0.25000008940696716,
    0.2000207155942917,
    -0.16667988896369934,
    0.14220358431339264,
    -0.12406235188245773,
    0.11883555352687836,
    -0.11670084297657013,
    0.0674920454621315,
];

/// What the quotient of `LOGUP` is without: about `(ln(1 + e) - e) / e^2` at 1, where it counts most.
const LOGUP_END: f64 = -5.0 / 16.0;

/// `tools/minimax.py LOGUP64`: `(ln(1 + e) - e) / e^2 + 5/16`, a quotient; relative error of `ln(1 + e)` 2^-55.9.
const LOGUP64_TOP: [f64; 6] =
    [-0.18749999999999636, -0.19574330119478658, 0.13412108676483403, 0.21626459104728735, 0.07417683875992025, 0.0069301819458642095];
const LOGUP64_BOTTOM: [f64; 7] =
    [1.0, 2.821742050814823, 2.9677845165397914, 1.42699414175584, 0.30519195374444436, 0.022270007627359728, -2.747943676463501e-06];

/// `tools/minimax.py LOGUP32`: relative error 2^-27.6.
const LOGUP32_TOP: [f64; 4] = [-0.1874997466802597, 0.08512009680271149, 0.11722919344902039, 0.0005045370198786259];
const LOGUP32_BOTTOM: [f64; 3] = [1.0, 1.3237686157226562, 0.39512476325035095];

/// A positive normal number taken apart as `2^n m`, with `m` in `[sqrt(1/2), sqrt 2)`.
pub(super) struct Split<A: Arith> {
    /// `m`.
    pub mantissa: A::F,
    /// `n`, given the `offset` that [`split`] wants.
    pub exponent: A::F,
    /// Bits whose exponent field (with the sign bit) holds `n` plus the bias.
    pub field: A::I,
}

/// Takes `x` apart; `offset` is [`split_offset`], and what the caller has scaled `x` up by on top.
///
/// Adding the distance from `sqrt(1/2)` to 1 to the bits carries into the exponent field just when the mantissa is to
/// be halved.
#[inline(always)]
pub(super) fn split<A: Arith>(a: &mut A, x: A::F, offset: A::F) -> Split<A> {
    let (one, root, low) =
        pick::<A, (i64, i64, i64)>((0x3ff0_0000_0000_0000, 0x3fe6_a09e_667f_3bcd, 0x000f_ffff_ffff_ffff), (0x3f80_0000, 0x3f35_04f3, 0x007f_ffff));
    let bits = a.bits(x);
    let distance = a.int(one - root);
    let moved = a.iadd(bits, distance);
    let low = a.int(low);
    let mantissa = a.iand(moved, low);
    let root = a.int(root);
    let mantissa = a.iadd(mantissa, root);
    // An integer below 2^MANTISSA or-ed into the bits of 2^MANTISSA is that number plus the integer.
    let count = a.shr(moved, A::Real::MANTISSA);
    let base = a.int(pick::<A, i64>(0x4330_0000_0000_0000, 0x4b00_0000));
    let count = a.ior(count, base);
    let count = a.real(count);
    Split { mantissa: a.real(mantissa), exponent: a.sub(count, offset), field: moved }
}

/// What to subtract in [`split`]: the field's bias and the `2^MANTISSA` under the count.
#[inline(always)]
pub(super) fn split_offset<A: Arith>() -> f64 {
    pick::<A, f64>(4503599627370496.0 + 1023.0, 8388608.0 + 127.0)
}

/// Takes a positive number apart that may be subnormal: such are scaled up first.
#[inline(always)]
pub(super) fn split_any<A: Arith>(a: &mut A, x: A::F) -> Split<A> {
    let normal = lit(a, f64::MIN_POSITIVE, f64::from(f32::MIN_POSITIVE));
    let up = lit(a, 18014398509481984.0, 33554432.0);
    let plain = a.lit(split_offset::<A>());
    let more = a.lit(split_offset::<A>() + pick::<A, f64>(54.0, 25.0));
    let subnormal = a.lt(x, normal);
    let scaled = a.mul(x, up);
    let x = a.select(subnormal, scaled, x);
    let offset = a.select(subnormal, more, plain);
    split(a, x, offset)
}

/// `ln(1 + f) - f + small`.
#[inline(always)]
pub(super) fn ln_tail<A: Arith>(a: &mut A, f: A::F, small: A::F) -> A::F {
    let f2 = a.mul(f, f);
    if A::Real::DOUBLE {
        let half = a.lit(0.5);
        let two = a.lit(2.0);
        let below = a.add(two, f);
        let s = a.div(f, below);
        let z = a.mul(s, s);
        let z2 = a.mul(z, z);
        let l = poly(a, z, z2, &LOG64);
        let h = a.mul(f2, half);
        let sum = a.fma(z, l, h);
        let rest = a.sub(small, h);
        a.fma(s, sum, rest)
    } else {
        let p = poly(a, f, f2, &LOG32);
        let half = a.lit(-0.5);
        let sum = a.fma(f, p, half);
        a.fma(f2, sum, small)
    }
}

/// `n ln 2 + ln(1 + f) + rest`, for a small `rest`.
#[inline(always)]
fn combine<A: Arith>(a: &mut A, n: A::F, f: A::F, rest: Option<A::F>) -> A::F {
    let (sum, small) = combine_pair(a, n, f, rest);
    a.add(sum, small)
}

/// The same before its last sum, whose second part is below a fifth of the first.
#[inline(always)]
fn combine_pair<A: Arith>(a: &mut A, n: A::F, f: A::F, rest: Option<A::F>) -> (A::F, A::F) {
    let (ln2, ln2_rest) = ln2::<A>();
    let ln2 = a.lit(ln2);
    let ln2_rest = a.lit(ln2_rest);
    // `n ln2 - sum` is exact: a multiple of the last place of ln2, and no larger than about f.
    let sum = a.fma(n, ln2, f);
    let minus = a.neg(sum);
    let lost = a.fma(n, ln2, minus);
    let mut lost = a.add(lost, f);
    if let Some(rest) = rest {
        lost = a.add(lost, rest);
    }
    let small = a.fma(n, ln2_rest, lost);
    (sum, ln_tail(a, f, small))
}

/// The natural logarithm of what was taken apart, as a pair whose sum is to be rounded.
#[inline(always)]
pub(super) fn ln_of<A: Arith>(a: &mut A, parts: &Split<A>) -> (A::F, A::F) {
    let one = a.lit(1.0);
    let f = a.sub(parts.mantissa, one);
    combine_pair(a, parts.exponent, f, None)
}

/// The natural logarithm.
#[inline(always)]
pub fn ln<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let parts = split_any(a, x);
    let one = a.lit(1.0);
    let f = a.sub(parts.mantissa, one);
    let result = combine(a, parts.exponent, f, None);
    outside(a, x, 0.0, result)
}

/// `result`, but -inf where `x` is at `pole`, NaN below it, and `x` where it is NaN or +inf.
#[inline(always)]
pub(super) fn outside<A: Arith>(a: &mut A, x: A::F, pole: f64, result: A::F) -> A::F {
    let pole = a.lit(pole);
    let infinity = a.lit(f64::INFINITY);
    let minus_infinity = a.lit(f64::NEG_INFINITY);
    let nan = a.lit(f64::NAN);
    let finite = a.lt(x, infinity);
    let result = a.select(finite, result, x);
    let at = a.eq(x, pole);
    let result = a.select(at, minus_infinity, result);
    let below = a.lt(x, pole);
    a.select(below, nan, result)
}

/// `ln(1 + x)`.
///
/// `1 + x` is split as a rounded sum, and what it lost is put back to first order: `ln(u + c) = ln u + c / u`, where
/// `c / u` needs no more than a few correct bits, except that near 0 it is the low part of `x` and must be exact to
/// first order in `x`.
#[inline(always)]
pub fn ln_1p<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let one = a.lit(1.0);
    let u = a.add(one, x);
    let large = a.max(x, one);
    let little = a.min(x, one);
    let taken = a.sub(u, large);
    let lost = a.sub(little, taken);
    let offset = a.lit(split_offset::<A>());
    let parts = split(a, u, offset);
    let f = a.sub(parts.mantissa, one);
    // 2^-n, made 2^k too large and `lost` as much smaller, so that n = 1024 (128) keeps within the exponent field.
    let (top, down) = pick::<A, (i64, f64)>(((2046 + 60) << 52, 8.673617379884035e-19), ((254 + 30) << 23, 9.313225746154785e-10));
    let top = a.int(top);
    let field = a.int(pick::<A, i64>(-1 << 52, -1 << 23));
    let field = a.iand(parts.field, field);
    let inverse = a.isub(top, field);
    let inverse = a.real(inverse);
    let down = a.lit(down);
    let lost = a.mul(lost, down);
    let lost = a.mul(lost, inverse);
    // Times 1 / (1 + f), roughly 1 - f + 0.8 f^2: best for the larger f, where what was lost is up to 2 ulp of the
    // result.
    let bend = a.lit(0.8);
    let minus_one = a.lit(-1.0);
    let slope = a.fma(f, bend, minus_one);
    let step = a.mul(f, slope);
    let rest = a.fma(lost, step, lost);
    let result = combine(a, parts.exponent, f, Some(rest));
    let result = outside(a, x, -1.0, result);
    // The sum loses the sign of -0 and the scaling the last bits of a subnormal.
    let tiny = lit(a, f64::EPSILON / 4.0, 2.0f64.powi(-26));
    let size = a.abs(x);
    let small = a.lt(size, tiny);
    a.select(small, x, result)
}

/// `ln(1 + e)` for `e` in `[0, 1]`.
#[inline(always)]
pub(super) fn ln_of_one_to_two<A: Arith>(a: &mut A, e: A::F) -> A::F {
    let (e2, quotient) = ln_quotient(a, e);
    a.fma(e2, quotient, e)
}

/// `e^2` and `(ln(1 + e) - e) / e^2` for `e` in `[0, 1]`. No power of two is taken out for the larger `e`: a quotient that holds for all of them takes fewer operations;
/// and added to [`LOGUP_END`] at last, it is so small that its errors hardly count.
#[inline(always)]
pub(super) fn ln_quotient<A: Arith>(a: &mut A, e: A::F) -> (A::F, A::F) {
    let e2 = a.mul(e, e);
    let top = poly(a, e, e2, pick::<A, &[f64]>(&LOGUP64_TOP, &LOGUP32_TOP));
    let bottom = poly(a, e, e2, pick::<A, &[f64]>(&LOGUP64_BOTTOM, &LOGUP32_BOTTOM));
    let quotient = a.div(top, bottom);
    let end = a.lit(LOGUP_END);
    (e2, a.add(quotient, end))
}
