//! The exponential and the functions made of it: `exp`, `exp_m1`, `sigmoid`, `softplus`, `tanh`.
//!
//! All start from `x = n ln 2 + r` with `|r| <= ln 2 / 2` (Cody and Waite, Software Manual for the Elementary
//! Functions, 1980) and `e^r = 1 + r + r^2 q(r)`. `ln 2` is split as its nearest number and the rest: the fma
//! `x - n * nearest` is exact, because it is a multiple of the last place of either and smaller than 1/2, so a reduced
//! argument is wrong only by the rounding of `n * rest`, and that can be carried along.

use super::super::arith::Arith;
use super::log::ln_of_one_to_two;
use super::{fast_two_sum, lit, ln2, pick, poly, sign_mask, to_integer, with_sign};
use crate::real::Real;
use std::f64::consts::LOG2_E;

/// `tools/minimax.py EXP64`: relative error of `e^r` 2^-57.9.
pub(super) const EXP64: [f64; 10] = [
    0.5000000000000011,
    0.16666666666666452,
    0.04166666666652805,
    0.008333333333476632,
    0.0013888888943998081,
    0.00019841269535872917,
    2.4801492796121803e-05,
    2.755756541518378e-06,
    2.763034561067639e-07,
    2.5005608920296612e-08,
];

/// `tools/minimax.py EXP32`: relative error of `e^r` 2^-33.2.
pub(super) const EXP32: [f64; 6] = [0.5, 0.1666666567325592, 0.041666463017463684, 0.008333571255207062, 0.0013935096794739366, 0.00019739574054256082];

/// `tools/minimax.py EXPM1_64`: relative error of `e^r - 1` 2^-61.6.
const EXPM1_64: [f64; 11] = [
    0.5,
    0.16666666666666677,
    0.041666666666666685,
    0.00833333333332179,
    0.0013888888888893673,
    0.00019841269885373464,
    2.480158727907765e-05,
    2.7557245102754656e-06,
    2.7557329359549466e-07,
    2.51087103583358e-08,
    2.0894003414969617e-09,
];

/// `tools/minimax.py EXPM1_32`: relative error of `e^r - 1` 2^-31.1.
const EXPM1_32: [f64; 6] = [0.5, 0.1666666567325592, 0.04166649281978607, 0.008333544246852398, 0.0013932340079918504, 0.0001976343774003908];

/// `x` cut to `[low, high]`; NaN stays.
#[inline(always)]
pub(super) fn clamp<A: Arith>(a: &mut A, x: A::F, low: f64, high: f64) -> A::F {
    let low = a.lit(low);
    let high = a.lit(high);
    let x = a.max(low, x);
    a.min(high, x)
}

/// `r^2 q(r) + rest`, so `e^r - 1 - r + rest`, for `|r|` up to half of `ln 2`.
///
/// The first coefficient is added last: `r^2/2` is most of this, so its rounding errors are to be few.
#[inline(always)]
pub(super) fn exp_tail<A: Arith>(a: &mut A, r: A::F, rest: A::F, q: &[f64]) -> A::F {
    let r2 = a.mul(r, r);
    let start = a.lit(q[0]);
    let q = poly(a, r, r2, &q[1..]);
    let q = a.fma(r, q, start);
    a.fma(r2, q, rest)
}

/// `p * 2^n`, given `p` about 1 and the bits of `to_integer` with a bias of twice the exponent's: by two factors of
/// about `2^(n/2)`, which are normal for every `n` that gives a subnormal, a normal or an infinite result, so that only
/// the second product rounds.
#[inline(always)]
pub(super) fn scale<A: Arith>(a: &mut A, p: A::F, biased: A::I) -> A::F {
    let half = a.shr(biased, 1);
    let rest = a.isub(biased, half);
    let half = a.shl(half, A::Real::MANTISSA);
    let rest = a.shl(rest, A::Real::MANTISSA);
    let half = a.real(half);
    let rest = a.real(rest);
    let p = a.mul(p, half);
    a.mul(p, rest)
}

/// Twice the bias of the exponent field, as [`scale`] wants it.
#[inline(always)]
pub(super) fn two_biases<A: Arith>() -> u32 {
    pick::<A, u32>(2046, 254)
}

/// The powers of two that an exponential is made of.
#[derive(Clone, Copy)]
pub(super) enum Powers {
    /// Any.
    All,
    /// None above `2^0`: of what isn't positive.
    Below,
}

/// By how much more than their exponents [`Powers::Below`] are taken first, so that none is subnormal.
const RAISED: i32 = 64;

impl Powers {
    /// `x` cut to where the result is neither surely 0 nor surely infinite.
    #[inline(always)]
    fn clamp<A: Arith>(self, a: &mut A, x: A::F) -> A::F {
        let (low, high) = pick::<A, (f64, f64)>((-746.0, 710.0), (-104.0, 89.0));
        match self {
            Powers::All => clamp(a, x, low, high),
            Powers::Below => {
                let low = a.lit(low);
                a.max(low, x)
            }
        }
    }

    /// What `to_integer` is to add for [`Powers::times`].
    #[inline(always)]
    pub(super) fn bias<A: Arith>(self) -> u32 {
        match self {
            Powers::All => two_biases::<A>(),
            Powers::Below => two_biases::<A>() / 2 + RAISED as u32,
        }
    }

    /// `p * 2^n`, given `p` about 1 and the bits of `to_integer`; only the last product rounds. [`Powers::Below`] take half as many operations.
    #[inline(always)]
    pub(super) fn times<A: Arith>(self, a: &mut A, p: A::F, biased: A::I) -> A::F {
        match self {
            Powers::All => scale(a, p, biased),
            Powers::Below => {
                let raised = a.shl(biased, A::Real::MANTISSA);
                let raised = a.real(raised);
                let p = a.mul(p, raised);
                let lower = a.lit(2.0f64.powi(-RAISED));
                a.mul(p, lower)
            }
        }
    }
}

/// `e^x`.
#[inline(always)]
pub fn exp<A: Arith>(a: &mut A, x: A::F) -> A::F {
    exp_of(a, x, Powers::All)
}

/// `e^-|x|`.
#[inline(always)]
fn exp_of_minus<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let sign = sign_mask(a);
    let bits = a.bits(x);
    let minus = a.ior(bits, sign);
    let minus = a.real(minus);
    exp_of(a, minus, Powers::Below)
}

/// `e^x` by some powers of two.
#[inline(always)]
fn exp_of<A: Arith>(a: &mut A, x: A::F, powers: Powers) -> A::F {
    let x = powers.clamp(a, x);
    let (n, biased) = to_integer(a, x, LOG2_E, powers.bias::<A>());
    let (ln2, ln2_rest) = ln2::<A>();
    let minus_ln2 = a.lit(-ln2);
    let minus_rest = a.lit(-ln2_rest);
    let head = a.fma(n, minus_ln2, x);
    let rest = a.mul(n, minus_rest);
    let r = a.add(head, rest);
    // In 1 + (head + (rest + r^2 q)) only the last two sums round to note, by 1/2 and 1/4 ulp.
    let tail = exp_tail(a, r, rest, pick::<A, &[f64]>(&EXP64, &EXP32));
    let tail = a.add(head, tail);
    let one = a.lit(1.0);
    let p = a.add(one, tail);
    powers.times(a, p, biased)
}

/// `e^(x + rest)`, where `rest` is at most a few last places of `x` (and 0 when `x` is infinite).
#[inline(always)]
pub(super) fn exp_pair<A: Arith>(a: &mut A, x: A::F, rest: A::F, powers: Powers) -> A::F {
    let x = powers.clamp(a, x);
    let (sum, tail, biased) = exp_parts(a, x, rest, powers);
    let p = a.add(sum, tail);
    powers.times(a, p, biased)
}

/// `e^(x + rest)` before its last sum, and what [`Powers::times`] of the same powers wants. `x` is within the limits of [`Powers::clamp`], or but a little below:
/// from -749 on, and from -107 on in `f32`.
///
/// The reduced argument and `1 + r` are carried as pairs, so that nothing but `r^2 q(r)` and the last sum round.
#[inline(always)]
pub(super) fn exp_parts<A: Arith>(a: &mut A, x: A::F, rest: A::F, powers: Powers) -> (A::F, A::F, A::I) {
    let (n, biased) = to_integer(a, x, LOG2_E, powers.bias::<A>());
    let (ln2, ln2_rest) = ln2::<A>();
    let minus_ln2 = a.lit(-ln2);
    let minus_rest = a.lit(-ln2_rest);
    let r = a.fma(n, minus_ln2, x);
    let rest = a.fma(n, minus_rest, rest);
    let (r, rest) = fast_two_sum(a, r, rest);
    let one = a.lit(1.0);
    let (sum, lost) = fast_two_sum(a, one, r);
    let lost = a.add(lost, rest);
    let tail = exp_tail(a, r, lost, pick::<A, &[f64]>(&EXP64, &EXP32));
    (sum, tail, biased)
}

/// `e^x - 1`.
///
/// `2^n (1 + r + r^2 q) - 1` is summed as `(2^n - 1) + 2^n r` with the error of that sum (the first term, 0 or at least
/// 1/2 of the larger of `2^n` and 1, is never the smaller), and the small rest after it. The first term itself rounds
/// only where `n` is beyond the number's digits. Half the result is computed, so that the power of two never overflows before
/// the result does.
#[inline(always)]
pub fn exp_m1<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let (low, high) = pick::<A, (f64, f64)>((-40.0, 709.8), (-20.0, 88.75));
    let cut = clamp(a, x, low, high);
    let (n, biased) = to_integer(a, cut, LOG2_E, pick::<A, u32>(1022, 126));
    let (ln2, ln2_rest) = ln2::<A>();
    let minus_ln2 = a.lit(-ln2);
    let minus_rest = a.lit(-ln2_rest);
    let head = a.fma(n, minus_ln2, cut);
    let rest = a.mul(n, minus_rest);
    // What rounding takes from r changes e^r - 1 - r by r times that.
    let (r, lost_r) = fast_two_sum(a, head, rest);
    let rest = a.fma(lost_r, r, rest);
    let tail = exp_tail(a, r, rest, pick::<A, &[f64]>(&EXPM1_64, &EXPM1_32));
    let power = a.shl(biased, A::Real::MANTISSA);
    let power = a.real(power);
    let minus_half = a.lit(-0.5);
    let (first, lost_first) = fast_two_sum(a, power, minus_half);
    let second = a.mul(power, head);
    let (sum, lost) = fast_two_sum(a, first, second);
    let lost = a.add(lost, lost_first);
    let tail = a.fma(power, tail, lost);
    let half = a.add(sum, tail);
    let result = a.add(half, half);
    // The sum loses the sign of -0, and halving the last bit of a subnormal.
    let tiny = lit(a, f64::EPSILON / 4.0, 2.0f64.powi(-26));
    let size = a.abs(x);
    let small = a.lt(size, tiny);
    a.select(small, x, result)
}

/// `1 / (1 + e^-x)`.
///
/// With `e = e^-|x|`, which cannot overflow, it is `1 / (1 + e)` or, for negative `x`, `e / (1 + e)`. The quotient is
/// corrected for what the sum `1 + e` and the reciprocal lost; the error of `e` counts fully only where the result is
/// about `e`.
#[inline(always)]
pub fn sigmoid<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let e = exp_of_minus(a, x);
    let one = a.lit(1.0);
    let zero = a.lit(0.0);
    let negative = a.lt(x, zero);
    let top = a.select(negative, e, one);
    let (bottom, lost) = fast_two_sum(a, one, e);
    quotient(a, top, None, bottom, lost)
}

/// `(top + top_rest) / (bottom + bottom_rest)`, rounded about once: a product with the reciprocal and one correction by
/// the remainder.
#[inline(always)]
pub(super) fn quotient<A: Arith>(a: &mut A, top: A::F, top_rest: Option<A::F>, bottom: A::F, bottom_rest: A::F) -> A::F {
    let one = a.lit(1.0);
    let inverse = a.div(one, bottom);
    let q = a.mul(top, inverse);
    let minus = a.neg(q);
    let left = a.fma(minus, bottom, top);
    let left = match top_rest {
        Some(top_rest) => {
            let rest = a.fma(minus, bottom_rest, top_rest);
            a.add(left, rest)
        }
        None => a.fma(minus, bottom_rest, left),
    };
    a.fma(left, inverse, q)
}

/// `ln(1 + e^x)`, as `max(x, 0) + ln(1 + e^-|x|)`: both terms are positive and the second is at most `ln 2`.
#[inline(always)]
pub fn softplus<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let e = exp_of_minus(a, x);
    let log = ln_of_one_to_two(a, e);
    let zero = a.lit(0.0);
    let positive = a.max(zero, x);
    a.add(positive, log)
}

/// Below this `tanh x` is `x + x^3 g(x^2)`, from here on `1 - 2 / (e^2x + 1)`: either way the quotient, and with it its error, is the smaller part.
const TANH_NEAR: f64 = 0.75;

/// `tools/minimax.py TANH64`: `(tanh x / x - 1) / x^2` of `x^2`, a quotient; relative error of the result 2^-56.1.
const TANH64_TOP: [f64; 3] = [-0.3333333333333325, -0.020489789467974424, -0.00019877938516965315];
const TANH64_BOTTOM: [f64; 4] = [1.0, 0.4614693684038323, 0.02327932361338148, 0.00020610682982755436];

/// `tools/minimax.py TANH32`: relative error 2^-27.4.
const TANH32_TOP: [f64; 2] = [-0.3333333432674408, -0.014742218889296055];
const TANH32_BOTTOM: [f64; 3] = [1.0, 0.44422662258148193, 0.01578608900308609];

/// `(e^2r - 1) / r` as a polynomial in `r`, from that of `(e^r - 1 - r) / r^2`.
const fn exp_twice<const Q: usize, const N: usize>(q: [f64; Q]) -> [f64; N] {
    let mut out = [2.0; N];
    let mut power = 2.0;
    let mut k = 1;
    while k < N {
        power *= 2.0;
        out[k] = power * q[k - 1];
        k += 1;
    }
    out
}

const EXP_TWICE64: [f64; 11] = exp_twice(EXP64);
const EXP_TWICE32: [f64; 7] = exp_twice(EXP32);

/// The hyperbolic tangent: what is added to `|x|` where that is small and to 1 elsewhere is one quotient; the sign of `x` is put back after.
#[inline(always)]
pub fn tanh<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let one = a.lit(1.0);
    // From here on the result is 1; NaN stays.
    let high = lit(a, 22.0, 10.0);
    let far = a.min(high, size);
    let (n, biased) = to_integer(a, far, 2.0 * LOG2_E, pick::<A, u32>(1023, 127));
    // The rest of ln 2 is left out: a power so large that it counts makes a small quotient.
    let (ln2, _) = ln2::<A>();
    let minus_half_ln2 = a.lit(-ln2 / 2.0);
    let r = a.fma(n, minus_half_ln2, far);
    let r2 = a.mul(r, r);
    let q = poly(a, r, r2, pick::<A, &[f64]>(&EXP_TWICE64, &EXP_TWICE32));
    let tail = a.mul(r, q);
    // 2^n (1 + tail) + 1, rounded to note once.
    let power = a.shl(biased, A::Real::MANTISSA);
    let power = a.real(power);
    let whole = a.add(power, one);
    let far_bottom = a.fma(tail, power, whole);

    let z = a.mul(size, size);
    let z2 = a.mul(z, z);
    let top = poly(a, z, z2, pick::<A, &[f64]>(&TANH64_TOP, &TANH32_TOP));
    let near_bottom = poly(a, z, z2, pick::<A, &[f64]>(&TANH64_BOTTOM, &TANH32_BOTTOM));
    let cube = a.mul(size, z);
    let near_top = a.mul(cube, top);

    let limit = a.lit(TANH_NEAR);
    let near = a.lt(size, limit);
    let minus_two = a.lit(-2.0);
    let top = a.select(near, near_top, minus_two);
    let bottom = a.select(near, near_bottom, far_bottom);
    let start = a.select(near, size, one);
    let quotient = a.div(top, bottom);
    let result = a.add(start, quotient);
    with_sign(a, result, x)
}
