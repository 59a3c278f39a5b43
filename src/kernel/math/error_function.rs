//! The error function and its complement.
//!
//! `erf x = x + x P(x^2)` up to 0.8. Beyond, and for the complement from 1/2 on, `erfc x = e^(-x^2) F / (1 + 2x)` where
//! `F = (1 + 2x) e^(x^2) erfc x` stays between 1.15 and 1.29, and as a function of `t = (x - k) / (x + k)` is a polynomial
//! (Shepherd and Laframboise, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x, 1981). All factors are carried as
//! pairs: an error of `x^2` is multiplied by `x^2`, up to 745.

use super::super::arith::Arith;
use super::exp::{Powers, exp_parts};
use super::{fast_two_sum, lit, pick, poly, two_product, with_sign};

/// `tools/minimax.py ERF64`: `erf x / x - 1` of `x^2`; relative error of the result 2^-56.0.
const ERF64: [f64; 12] = [
    0.12837916709551256,
    -0.37612638903183343,
    0.1128379167093695,
    -0.026866170641957194,
    0.005223977596676217,
    -0.0008548325478590722,
    0.00012055280164118709,
    -1.4924456076480313e-05,
    1.6443989534063636e-06,
    -1.6182410144056714e-07,
    1.360831373407925e-08,
    -7.589241095581674e-10,
];

/// `tools/minimax.py ERF32`: the same; relative error of the result 2^-29.4.
const ERF32: [f64; 7] =
    [0.12837916612625122, -0.3761262595653534, 0.11283578723669052, -0.026853347197175026, 0.005187162198126316, -0.0007997852517291903, 7.806897338014096e-05];

/// `tools/minimax.py ERFCX64`: `F - 5/4` of `t`, for `x` from 1/2 to 27.3 with `k = 3.75`; relative error of the result 2^-56.6.
const ERFCX64: [f64; 21] = [
    -0.012487369162172426,
    -0.14024059858554683,
    0.0035854154854668523,
    0.082276738490126,
    -0.10880393014190909,
    0.09230432116117374,
    -0.05869339858546009,
    0.028362277404091734,
    -0.009746579614299656,
    0.0017556260030201114,
    0.0002937141100257434,
    -0.0002901549816273748,
    5.164690155271616e-05,
    2.2387606205219626e-05,
    -1.1437135084316008e-05,
    -9.814898844404105e-07,
    1.7371594796283895e-06,
    -4.570327092136764e-08,
    -2.398510484076016e-07,
    1.369047603647506e-08,
    2.4425168854058724e-08,
];

/// `tools/minimax.py ERFCX32`: the same, for `x` to 10.3 with `k = 2.25`; relative error of the result 2^-28.0.
const ERFCX32: [f64; 10] = [
    0.020979927852749825,
    -0.11025561392307281,
    -0.1307806819677353,
    0.16525639593601227,
    -0.08312130719423294,
    0.011440573260188103,
    0.008016391657292843,
    -0.002610668307170272,
    -0.0009500524029135704,
    0.0003761951520573348,
];

/// `e^(x^2) erfc x` as a pair whose sum is to be rounded, for `x` from 1/2 to where its square's exponential vanishes.
#[inline(always)]
fn scaled_complement<A: Arith>(a: &mut A, x: A::F) -> (A::F, A::F) {
    let one = a.lit(1.0);
    let k = lit(a, 3.75, 2.25);
    let twice = a.add(x, x);
    let (d, d_rest) = fast_two_sum(a, twice, one);
    let b = a.add(x, k);
    // One division for both denominators; the quotients are corrected after.
    let product = a.mul(d, b);
    let inverse = a.div(one, product);
    let inverse_b = a.mul(inverse, d);
    let inverse_d = a.mul(inverse, b);
    let top = a.sub(x, k);
    let t = a.mul(top, inverse_b);
    let minus = a.neg(t);
    let left = a.fma(minus, b, top);
    let t = a.fma(left, inverse_b, t);
    let t2 = a.mul(t, t);
    let g = poly(a, t, t2, pick::<A, &[f64]>(&ERFCX64, &ERFCX32));
    let middle = a.lit(1.25);
    let (f, f_rest) = fast_two_sum(a, middle, g);
    let q = a.mul(f, inverse_d);
    let minus = a.neg(q);
    let left = a.fma(minus, d, f);
    let rest = a.fma(minus, d_rest, f_rest);
    let left = a.add(left, rest);
    (q, a.mul(left, inverse_d))
}

/// `erfc x` for `x` from 1/2 on.
#[inline(always)]
fn complement<A: Arith>(a: &mut A, x: A::F) -> A::F {
    // Beyond this the result is 0; NaN stays.
    let limit = lit(a, 27.3, 10.3);
    let x = a.min(limit, x);
    let (square, rest) = two_product(a, x, x);
    let square = a.neg(square);
    let rest = a.neg(rest);
    let (sum, tail, biased) = exp_parts(a, square, rest, Powers::Below);
    let (q, q_rest) = scaled_complement(a, x);
    let small = a.mul(tail, q);
    let small = a.fma(sum, q_rest, small);
    let p = a.fma(sum, q, small);
    Powers::Below.times(a, p, biased)
}

/// The error function.
#[inline(always)]
pub fn erf<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let z = a.mul(size, size);
    let z2 = a.mul(z, z);
    let p = poly(a, z, z2, pick::<A, &[f64]>(&ERF64, &ERF32));
    let near = a.fma(size, p, size);
    let complement = complement(a, size);
    let one = a.lit(1.0);
    let far = a.sub(one, complement);
    let limit = a.lit(0.8);
    let small = a.lt(size, limit);
    let result = a.select(small, near, far);
    with_sign(a, result, x)
}

/// `1 - erf x`.
#[inline(always)]
pub fn erfc<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let far = complement(a, size);
    let zero = a.lit(0.0);
    let one = a.lit(1.0);
    let two = a.lit(2.0);
    let mirrored = a.sub(two, far);
    let negative = a.lt(x, zero);
    let far = a.select(negative, mirrored, far);
    // 1 - x - x P(x^2), with what the first difference lost.
    let z = a.mul(x, x);
    let z2 = a.mul(z, z);
    let p = poly(a, z, z2, pick::<A, &[f64]>(&ERF64, &ERF32));
    let minus = a.neg(x);
    let (sum, lost) = fast_two_sum(a, one, minus);
    let lost = a.fma(minus, p, lost);
    let near = a.add(sum, lost);
    let half = a.lit(0.5);
    let small = a.lt(size, half);
    a.select(small, near, far)
}
