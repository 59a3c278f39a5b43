//! The hyperbolic sine and cosine.
//!
//! Both are made of half of `e^|x|`, carried as a pair, and its inverse; halving first keeps the power of two within
//! range where the exponential overflows and the result does not. Below 1 the sine is `x + x^3 P(x^2)`, as the difference
//! would cancel.

use super::super::arith::Arith;
use super::exp::{EXP32, EXP64, exp_tail, scale, two_biases};
use super::{fast_two_sum, lit, ln2, pick, poly, to_integer, with_sign};
use std::f64::consts::LOG2_E;

/// `tools/minimax.py SINH64`: `(sinh x / x - 1) / x^2` of `x^2`; relative error of the result 2^-61.8.
const SINH64: [f64; 7] = [
    0.16666666666666669,
    0.008333333333332912,
    0.00019841269841593416,
    2.755731910673806e-06,
    2.5052131008239808e-08,
    1.605665761817362e-10,
    7.776679042475933e-13,
];

/// `tools/minimax.py SINH32`: the same; relative error of the result 2^-31.6.
const SINH32: [f64; 4] = [0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.7822136416943977e-06];

/// `e^x / 2` as a pair without its power of two, that power's bits for `scale`, and `e^-x / 2`; `x` is not negative.
///
/// The inverse needs few correct bits where it is small, and where it is not the power of two is.
#[inline(always)]
fn halves<A: Arith>(a: &mut A, x: A::F) -> (A::F, A::F, A::I, A::F) {
    // Beyond this the result is infinite; NaN stays.
    let limit = lit(a, 711.0, 90.0);
    let x = a.min(limit, x);
    let (n, biased) = to_integer(a, x, LOG2_E, two_biases::<A>() - 1);
    let (ln2, ln2_rest) = ln2::<A>();
    let minus_ln2 = a.lit(-ln2);
    let minus_rest = a.lit(-ln2_rest);
    let r = a.fma(n, minus_ln2, x);
    let rest = a.mul(n, minus_rest);
    let (r, rest) = fast_two_sum(a, r, rest);
    let one = a.lit(1.0);
    let (sum, lost) = fast_two_sum(a, one, r);
    let lost = a.add(lost, rest);
    let tail = exp_tail(a, r, lost, pick::<A, &[f64]>(&EXP64, &EXP32));
    let p = a.add(sum, tail);
    let quarter = a.lit(0.25);
    let whole = scale(a, p, biased);
    let inverse = a.div(quarter, whole);
    (sum, tail, biased, inverse)
}

/// The hyperbolic cosine.
#[inline(always)]
pub fn cosh<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let (sum, tail, biased, inverse) = halves(a, size);
    let sum = scale(a, sum, biased);
    let tail = scale(a, tail, biased);
    let tail = a.add(tail, inverse);
    a.add(sum, tail)
}

/// The hyperbolic sine.
#[inline(always)]
pub fn sinh<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let (sum, tail, biased, inverse) = halves(a, size);
    let sum = scale(a, sum, biased);
    let tail = scale(a, tail, biased);
    let tail = a.sub(tail, inverse);
    let far = a.add(sum, tail);
    let z = a.mul(size, size);
    let z2 = a.mul(z, z);
    let p = poly(a, z, z2, pick::<A, &[f64]>(&SINH64, &SINH32));
    let cube = a.mul(z, size);
    let near = a.fma(cube, p, size);
    let one = a.lit(1.0);
    let small = a.lt(size, one);
    let result = a.select(small, near, far);
    with_sign(a, result, x)
}
