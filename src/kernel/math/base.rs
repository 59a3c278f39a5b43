//! Powers, logarithms and roots to a fixed base: `exp2`, `log2`, `log10`, `cbrt`.
//!
//! `exp2` and the logarithms are `exp` and `ln` with the factor `ln 2` or its like as a pair (`tools/minimax.py SPLITS`), multiplied
//! into the large parts without loss.

use super::super::arith::Arith;
use super::exp::{EXP32, EXP64, clamp, exp_tail, scale, two_biases};
use super::log::{Split, ln_tail, outside, split_any};
use super::{fast_two_sum, ln2, pick, poly, to_integer, two_product, with_sign};
use crate::real::Real;

/// `tools/minimax.py CBRT64`: `(1 + f)^(-1/3)`; relative error of the result 2^-20.1.
const CBRT64: [f64; 7] =
    [1.000000754202576, -0.3333431960817167, 0.22207594616902257, -0.17206982201119655, 0.14786473487866025, -0.14134731600136602, 0.09329700903659871];

/// `tools/minimax.py CBRT32`: the same; relative error of the result 2^-11.9.
const CBRT32: [f64; 4] = [0.9997786283493042, -0.3346693813800812, 0.23772147297859192, -0.15854410827159882];

/// `2^x`, as `2^n e^(r ln 2)` with an exact `r`, and `r ln 2` as a pair.
#[inline(always)]
pub fn exp2<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let (low, high) = pick::<A, (f64, f64)>((-1080.0, 1025.0), (-155.0, 129.0));
    let x = clamp(a, x, low, high);
    let (n, biased) = to_integer(a, x, 1.0, two_biases::<A>());
    let r = a.sub(x, n);
    let (ln2, ln2_rest) = ln2::<A>();
    let ln2 = a.lit(ln2);
    let ln2_rest = a.lit(ln2_rest);
    let (head, lost) = two_product(a, r, ln2);
    let rest = a.fma(r, ln2_rest, lost);
    let tail = exp_tail(a, head, rest, pick::<A, &[f64]>(&EXP64, &EXP32));
    let tail = a.add(head, tail);
    let one = a.lit(1.0);
    let p = a.add(one, tail);
    scale(a, p, biased)
}

/// `n c + d ln(1 + f)` where `x = 2^n (1 + f)`, for pairs `c` and `d`.
///
/// `ln(1 + f)` is `f - f^2/2`, a pair, and a tail of at most a tenth of that. The products of `c` and `d` with the large parts
/// are pairs, and their sum is one (`n c`, if it is not 0, is the larger).
#[inline(always)]
fn log_base<A: Arith>(a: &mut A, x: A::F, c: (f64, f64), d: (f64, f64)) -> A::F {
    let Split { mantissa, exponent, .. } = split_any(a, x);
    let one = a.lit(1.0);
    let half = a.lit(0.5);
    let minus_half = a.lit(-0.5);
    let f = a.sub(mantissa, one);
    let (f2, f2_rest) = two_product(a, f, f);
    let h = a.mul(f2, half);
    let tail = ln_tail(a, f, h);
    let tail = a.fma(f2_rest, minus_half, tail);
    let minus_h = a.neg(h);
    let (log, log_lost) = fast_two_sum(a, f, minus_h);
    let tail = a.add(tail, log_lost);
    let (d, d_rest) = (a.lit(d.0), a.lit(d.1));
    let (part, part_lost) = two_product(a, log, d);
    let (first, first_lost) = if c.0 == 1.0 {
        (exponent, part_lost)
    } else {
        let (c, c_rest) = (a.lit(c.0), a.lit(c.1));
        let (first, lost) = two_product(a, exponent, c);
        let lost = a.fma(exponent, c_rest, lost);
        (first, a.add(lost, part_lost))
    };
    let (sum, lost) = fast_two_sum(a, first, part);
    let lost = a.add(lost, first_lost);
    let lost = a.fma(log, d_rest, lost);
    let small = a.fma(tail, d, lost);
    let result = a.add(sum, small);
    outside(a, x, 0.0, result)
}

/// The logarithm to base 2.
#[inline(always)]
pub fn log2<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let inverse = pick::<A, (f64, f64)>((std::f64::consts::LOG2_E, 2.0355273740931033e-17), (1.4426950216293335, 1.925963033500011e-08));
    log_base(a, x, (1.0, 0.0), inverse)
}

/// The logarithm to base 10.
#[inline(always)]
pub fn log10<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let two = pick::<A, (f64, f64)>((std::f64::consts::LOG10_2, -2.8037281277851704e-18), (0.3010300099849701, -1.432098883924482e-08));
    let inverse = pick::<A, (f64, f64)>((std::f64::consts::LOG10_E, 1.098319650216765e-17), (0.4342944920063019, -1.0103049952192578e-08));
    log_base(a, x, two, inverse)
}

/// The cube root.
///
/// `x = 2^(3q) m` with `m` in `[sqrt(1/2) / 2, 2 sqrt 2)`; an approximation `r` of the inverse root of `m` by a polynomial
/// and one step of Newton's, without a division, then `y = m r^2` with a correction by the remainder `m - y^3`.
#[inline(always)]
pub fn cbrt<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let Split { mantissa, exponent, .. } = split_any(a, size);
    let one = a.lit(1.0);
    let zero = a.lit(0.0);
    let f = a.sub(mantissa, one);
    let f2 = a.mul(f, f);
    let r = poly(a, f, f2, pick::<A, &[f64]>(&CBRT64, &CBRT32));
    // The exponent is 3 q + k, with k from -1 to 1.
    let bias = pick::<A, u32>(1023, 127);
    let (q, bits) = to_integer(a, exponent, 1.0 / 3.0, bias);
    let minus_three = a.lit(-3.0);
    let k = a.fma(q, minus_three, exponent);
    let half = a.lit(0.5);
    let two = a.lit(2.0);
    let up = a.lit(1.2599210498948732);
    let down = a.lit(0.7937005259840998);
    let over = a.lt(zero, k);
    let under = a.lt(k, zero);
    let power = a.select(over, two, one);
    let power = a.select(under, half, power);
    let root = a.select(over, down, one);
    let root = a.select(under, up, root);
    let m = a.mul(mantissa, power);
    let r = a.mul(r, root);
    // With e = 1 - m r^3, r (1 + e/3) is right to 2/9 e^2, and the last correction doubles the digits once more.
    let r2 = a.mul(r, r);
    let mr = a.mul(m, r);
    let minus = a.neg(mr);
    let e = a.fma(minus, r2, one);
    let third = a.lit(1.0 / 3.0);
    let step = a.mul(e, third);
    let r = a.fma(r, step, r);
    let r2 = a.mul(r, r);
    let y = a.mul(m, r2);
    // m - y^3, where y^2 is a pair.
    let (square, square_lost) = two_product(a, y, y);
    let minus = a.neg(y);
    let left = a.fma(minus, square, m);
    let left = a.fma(minus, square_lost, left);
    let slope = a.mul(r2, third);
    let y = a.fma(left, slope, y);
    let power = a.shl(bits, A::Real::MANTISSA);
    let power = a.real(power);
    let result = a.mul(y, power);
    let result = with_sign(a, result, x);
    // 0, infinities and NaN are their own; NaN fails the first comparison.
    let infinity = a.lit(f64::INFINITY);
    let finite = a.lt(size, infinity);
    let some = a.lt(zero, size);
    let plain = a.both(finite, some);
    let own = a.add(x, x);
    a.select(plain, result, own)
}
