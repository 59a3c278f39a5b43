//! The logarithm of the gamma function and its derivative: `ln_gamma`, `digamma`.
//!
//! Below 1/2 the argument is `1 - w` (negative) or `w - 1`, with `w >= 1`: reflection, `gamma(-z) gamma(1 + z) = -pi / sin(pi z)`,
//! or the recurrence. Then `w` up to 4.5 is moved next to 2, where there is a polynomial, by `gamma(w + 1) = w gamma(w)`, and
//! beyond is Stirling's series. Distances from integers are taken from `b = w - 1`, which is exact where `w` is not.

use super::super::arith::Arith;
use super::log::{ln_of, split, split_any, split_offset};
use super::{pick, poly};

/// `tools/minimax.py LGAMMA64`: `ln gamma(2 + y) / y`; relative error of the result 2^-56.2.
const LGAMMA64: [f64; 18] = [
    0.42278433509846713,
    0.3224670334241132,
    -0.06735230105319617,
    0.02058080842777705,
    -0.007385551028885021,
    0.002890510331437466,
    -0.0011927539025878675,
    0.0005096695023815677,
    -0.00022315495331539856,
    9.945787098595427e-05,
    -4.49239268377492e-05,
    2.050397683741054e-05,
    -9.455374254835944e-06,
    4.392029161815958e-06,
    -1.9765032233894806e-06,
    9.026717398863902e-07,
    -5.789844329914204e-07,
    2.9556638092252417e-07,
];

/// `tools/minimax.py LGAMMA32`: the same; relative error of the result 2^-25.9.
const LGAMMA32: [f64; 9] = [
    0.42278432846069336,
    0.32246702909469604,
    -0.06735147535800934,
    0.020581379532814026,
    -0.007401761133223772,
    0.002880060812458396,
    -0.0010893389116972685,
    0.0005691859405487776,
    -0.0004407030937727541,
];

/// `tools/minimax.py STIRLING64`: what Stirling's formula lacks, times `w`, of `1 / w^2`; relative error of the result 2^-60.5.
const STIRLING64: [f64; 8] = [
    0.0833333333333309,
    -0.0027777777763906223,
    0.0007936505082981162,
    -0.0005952086192878326,
    0.0008400076278239796,
    -0.0018548790322179488,
    0.005010835415270373,
    -0.009980761543041774,
];

/// `tools/minimax.py STIRLING32`: the same; relative error of the result 2^-34.6.
const STIRLING32: [f64; 3] = [0.083333320915699, -0.002776268869638443, 0.0007408168748952448];

/// `tools/minimax.py PSI64`: `digamma(2 + y)`; error 2^-56.3.
const PSI64: [f64; 19] = [
    0.42278433509846713,
    0.6449340668482266,
    -0.20205690315959465,
    0.08232323371107356,
    -0.03692775514324093,
    0.01734306198954861,
    -0.008349277389564272,
    0.0040773560256093175,
    -0.002008392622906748,
    0.0009945782021427798,
    -0.0004941915805288011,
    0.00024605482727010626,
    -0.00012268731670725885,
    6.144353149474779e-05,
    -3.072728817897935e-05,
    1.4578220518335072e-05,
    -7.195155184272183e-06,
    5.161560960557742e-06,
    -2.661589129223461e-06,
];

/// `tools/minimax.py PSI32`: the same; error 2^-26.5.
const PSI32: [f64; 9] = [
    0.42278432846069336,
    0.6449339389801025,
    -0.20205625891685486,
    0.0823305994272232,
    -0.03694121539592743,
    0.017231903970241547,
    -0.008236859925091267,
    0.004675994161516428,
    -0.0024139576125890017,
];

/// `tools/minimax.py PSI_TAIL64`: what `ln w - 1/(2w)` lacks, times `w^2`, of `1 / w^2`; relative error of the result 2^-61.5.
const PSI_TAIL64: [f64; 9] = [
    -0.0833333333333309,
    0.00833333333150425,
    -0.003968253476563669,
    0.0041666000926094526,
    -0.0075705257615712425,
    0.020836476967893463,
    -0.07520744764418312,
    0.2729428723992995,
    -0.6177944321470392,
];

/// `tools/minimax.py PSI_TAIL32`: the same; relative error of the result 2^-33.2.
const PSI_TAIL32: [f64; 3] = [-0.08333323895931244, 0.008322571404278278, -0.003600527998059988];

/// `tools/minimax.py SINPI64`: `sin(pi r) / pi = r - r^3 S(r^2)`; relative error of the result 2^-61.3.
const SINPI64: [f64; 8] = [
    1.6449340668482264,
    -0.8117424252833462,
    0.19075182412167532,
    -0.026147847807942538,
    0.002346080913287338,
    -0.00014842791654725288,
    6.972267210191591e-06,
    -2.451831559449203e-07,
];

/// `tools/minimax.py SINPI32`: the same; relative error of the result 2^-27.2.
const SINPI32: [f64; 4] = [1.6449333429336548, -0.811715841293335, 0.1904432773590088, -0.024716347455978394];

/// An argument moved to the right of 1/2.
pub(super) struct Moved<A: Arith> {
    /// `|x|`.
    pub size: A::F,
    /// `x < 0`.
    pub negative: A::M,
    /// `x < 1/2`.
    pub low: A::M,
    /// `1 + |x|` where `low`, else `x`.
    pub w: A::F,
    /// `w - 1`, exact.
    pub b: A::F,
}

/// Moves the argument.
#[inline(always)]
pub(super) fn right_half<A: Arith>(a: &mut A, x: A::F) -> Moved<A> {
    let zero = a.lit(0.0);
    let half = a.lit(0.5);
    let one = a.lit(1.0);
    let size = a.abs(x);
    let negative = a.lt(x, zero);
    let low = a.lt(x, half);
    let grown = a.add(size, one);
    let less = a.sub(size, one);
    let w = a.select(low, grown, x);
    let b = a.select(low, size, less);
    Moved { size, negative, low, w, b }
}

/// `x` less the nearest integer, exact; NaN for infinities.
#[inline(always)]
pub(super) fn off_integer<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let whole = a.round(x);
    a.sub(x, whole)
}

/// `sin(pi r) / pi` for `|r|` up to 1/2.
#[inline(always)]
pub(super) fn sin_pi<A: Arith>(a: &mut A, r: A::F) -> A::F {
    let z = a.mul(r, r);
    let z2 = a.mul(z, z);
    let s = poly(a, z, z2, pick::<A, &[f64]>(&SINPI64, &SINPI32));
    let cube = a.mul(r, z);
    let minus = a.neg(cube);
    a.fma(minus, s, r)
}

/// `cos(pi r)` for `|r|` up to 1/2: the sine of what is left to 1/2, which is exact where the cosine is small.
#[inline(always)]
pub(super) fn cos_pi<A: Arith>(a: &mut A, r: A::F) -> A::F {
    let half = a.lit(0.5);
    let pi = a.lit(std::f64::consts::PI);
    let size = a.abs(r);
    let left = a.sub(half, size);
    let sine = sin_pi(a, left);
    a.mul(sine, pi)
}

/// Is `x` 0 or a negative integer, given `r`, what `|x|` is off an integer?
#[inline(always)]
pub(super) fn pole<A: Arith>(a: &mut A, x: A::F, r: A::F) -> A::M {
    let zero = a.lit(0.0);
    let left = a.le(x, zero);
    let whole = a.eq(r, zero);
    a.both(left, whole)
}

/// The logarithm of the absolute value of the gamma function.
#[inline(always)]
pub fn ln_gamma<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let one = a.lit(1.0);
    let Moved { size, negative, low, w, b } = right_half(a, x);
    // gamma(w) = gamma(2 + y) / l for k = 0, l gamma(2 + y) for 1 to 3; beyond, the series wants ln w.
    let k = a.round(b);
    let y = a.sub(b, k);
    let (two, three) = (a.lit(2.0), a.lit(3.0));
    let before = a.sub(b, one);
    let both = a.mul(b, before);
    let at_two = a.eq(k, one);
    let at_three = a.eq(k, two);
    let at_four = a.eq(k, three);
    let l = a.select(at_two, one, w);
    let l = a.select(at_three, b, l);
    let l = a.select(at_four, both, l);
    let offset = a.lit(split_offset::<A>());
    let parts = split(a, l, offset);
    let (log, log_rest) = ln_of(a, &parts);
    // Next to 2.
    let y2 = a.mul(y, y);
    let p = poly(a, y, y2, pick::<A, &[f64]>(&LGAMMA64, &LGAMMA32));
    let core = a.mul(y, p);
    let minus_log = a.neg(log);
    let minus_rest = a.neg(log_rest);
    let first = a.lt(k, one);
    let head = a.select(first, minus_log, log);
    let rest = a.select(first, minus_rest, log_rest);
    let near = a.add(core, rest);
    let near = a.add(head, near);
    // (w - 1/2) (ln w - 1) + (ln(2 pi) - 1) / 2 + S / w.
    let inverse = a.div(one, w);
    let z = a.mul(inverse, inverse);
    let z2 = a.mul(z, z);
    let s = poly(a, z, z2, pick::<A, &[f64]>(&STIRLING64, &STIRLING32));
    let constant = a.lit(0.4189385332046727);
    let s = a.fma(s, inverse, constant);
    let less = a.sub(log, one);
    let less = a.add(less, log_rest);
    let half = a.lit(0.5);
    let factor = a.sub(w, half);
    let far = a.fma(factor, less, s);
    let close = a.le(k, three);
    let right = a.select(close, near, far);
    // Left of 1/2: -ln x + ln gamma(1 + x), or of z = -x: -ln(|sin(pi z)| / pi) - ln gamma(1 + z).
    let r = off_integer(a, size);
    let sine = sin_pi(a, r);
    let sine = a.abs(sine);
    let l = a.select(negative, sine, size);
    let parts = split_any(a, l);
    let (log, log_rest) = ln_of(a, &parts);
    let minus = a.neg(right);
    let signed = a.select(negative, minus, right);
    let left = a.sub(signed, log_rest);
    let left = a.sub(left, log);
    let result = a.select(low, left, right);
    // Infinite at poles and infinities.
    let at_pole = pole(a, x, r);
    let infinity = a.lit(f64::INFINITY);
    let endless = a.eq(size, infinity);
    let endless = a.either(endless, at_pole);
    a.select(endless, infinity, result)
}

/// The derivative of `ln_gamma`; NaN at the poles, 0 among them.
#[inline(always)]
pub fn digamma<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let zero = a.lit(0.0);
    let one = a.lit(1.0);
    let Moved { size, negative, low, w, b } = right_half(a, x);
    let k = a.round(b);
    let y = a.sub(b, k);
    let (two, three) = (a.lit(2.0), a.lit(3.0));
    // digamma(w) is that of 2 + y less 1/w for k = 0, plus 1/b for 2; that of w + 1, by the series, less 1/w for 3.
    let minus_b = a.neg(b);
    let at_two = a.eq(k, one);
    let at_three = a.eq(k, two);
    let at_four = a.eq(k, three);
    let bottom = a.select(at_three, minus_b, w);
    let step = a.div(one, bottom);
    let beyond = a.lt(three, k);
    let none = a.either(at_two, beyond);
    let step = a.select(none, zero, step);
    let y2 = a.mul(y, y);
    let core = poly(a, y, y2, pick::<A, &[f64]>(&PSI64, &PSI32));
    let near = a.sub(core, step);
    // ln q - 1/(2q) + D / q^2.
    let next = a.add(w, one);
    let q = a.select(at_four, next, w);
    let offset = a.lit(split_offset::<A>());
    let parts = split(a, q, offset);
    let (log, log_rest) = ln_of(a, &parts);
    let inverse = a.div(one, q);
    let z = a.mul(inverse, inverse);
    let z2 = a.mul(z, z);
    let d = poly(a, z, z2, pick::<A, &[f64]>(&PSI_TAIL64, &PSI_TAIL32));
    let minus_half = a.lit(-0.5);
    let rest = a.fma(inverse, minus_half, log_rest);
    let rest = a.fma(z, d, rest);
    let rest = a.sub(rest, step);
    let far = a.add(log, rest);
    let close = a.le(k, two);
    let right = a.select(close, near, far);
    // Left of 1/2: digamma(1 + x) - 1/x, or of z = -x: digamma(1 + z) + pi cot(pi z).
    let r = off_integer(a, size);
    let sine = sin_pi(a, r);
    let cosine = cos_pi(a, r);
    let minus_one = a.lit(-1.0);
    let top = a.select(negative, cosine, minus_one);
    let bottom = a.select(negative, sine, size);
    let extra = a.div(top, bottom);
    let left = a.add(right, extra);
    let result = a.select(low, left, right);
    let infinity = a.lit(f64::INFINITY);
    let nan = a.lit(f64::NAN);
    let at_end = a.eq(x, infinity);
    let result = a.select(at_end, infinity, result);
    let at_pole = pole(a, x, r);
    a.select(at_pole, nan, result)
}
