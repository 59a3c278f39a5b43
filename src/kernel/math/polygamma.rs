//! The higher derivatives of `ln_gamma`: `trigamma`, `tetragamma`, `pentagamma` (the polygamma functions of order 1 to 3); NaN
//! at the poles, 0 among them.
//!
//! The argument is moved to `w >= 1/2` as in `gamma.rs`. Up to 4.5 the first four terms of the sum over
//! `1 / (w + k)^(n + 1)` are taken as one fraction: with `v = w (w + 3)` the terms 0 and 3 as well as 1 and 2 have sums and
//! products that are linear in `v` and `2w + 3`, and nothing is subtracted. The rest, at `w + 4`, is the asymptotic series.

use super::super::arith::Arith;
use super::gamma::{Moved, cos_pi, off_integer, pole, right_half, sin_pi};
use super::{pick, poly};

/// `tools/minimax.py TRI64`: what `1/w + 1/(2 w^2)` lacks, times `w^3`, of `1 / w^2`; relative error of the result 2^-60.1.
const TRI64: [f64; 10] = [
    0.16666666666666402,
    -0.03333333333059664,
    0.023809522828386047,
    -0.03333315827118244,
    0.07573944318065721,
    -0.251930572319152,
    1.115707084296794,
    -5.598208525021043,
    24.26137501324474,
    -58.85903388285011,
];

/// `tools/minimax.py TRI32`: the same; relative error of the result 2^-29.5.
const TRI32: [f64; 3] = [0.16666609048843384, -0.033259522169828415, 0.021076923236250877];

/// `tools/minimax.py TETRA64`: what `1 + 1/w` lacks of the function times `-w^2`, times `w^2`, of `1 / w^2`; relative error of the result 2^-59.3.
const TETRA64: [f64; 11] = [
    0.4999999999999943,
    -0.16666666665952887,
    0.16666666357264676,
    -0.2999993288624807,
    0.8332480376443433,
    -3.283555122297937,
    17.1223022826877,
    -106.2112290347339,
    652.6667985772718,
    -3086.5386590787343,
    7614.564927415461,
];

/// `tools/minimax.py TETRA32`: the same; relative error of the result 2^-31.7.
const TETRA32: [f64; 4] = [0.4999997913837433, -0.16662317514419556, 0.1638277918100357, -0.2239481806755066];

/// `tools/minimax.py PENTA64`: what `2 + 3/w` lacks of the function times `w^3`, times `w^2`, of `1 / w^2`; relative error of the result 2^-56.0.
const PENTA64: [f64; 11] = [
    1.9999999999998845,
    -0.9999999998540868,
    1.3333332694340942,
    -2.9999860107964507,
    9.998206057946227,
    -45.919710180576786,
    271.8904577911118,
    -1857.4665221194396,
    12172.049156362495,
    -59870.316541043896,
    151271.9466252094,
];

/// `tools/minimax.py PENTA32`: the same; relative error of the result 2^-29.3.
const PENTA32: [f64; 4] = [1.9999977350234985, -0.9995191097259521, 1.3014124631881714, -2.126399040222168];

/// Where `w` is below 4.5 (the mask), `2w + 3`, the numerator `n` as a polynomial of `v` and `v (v + 2)`; `1 / q`, its square and
/// the tail `t` of it squared for the argument `q` of the series.
struct Pieces<A: Arith> {
    short: A::M,
    sum: A::F,
    top: A::F,
    bottom: A::F,
    inverse: A::F,
    z: A::F,
    tail: A::F,
}

#[inline(always)]
fn pieces<A: Arith>(a: &mut A, w: A::F, n: &[f64], t: &[f64]) -> Pieces<A> {
    let one = a.lit(1.0);
    let two = a.lit(2.0);
    let three = a.lit(3.0);
    let four = a.lit(4.0);
    let limit = a.lit(4.5);
    let short = a.lt(w, limit);
    let sum = a.fma(w, two, three);
    let end = a.add(w, three);
    let v = a.mul(w, end);
    let v2 = a.mul(v, v);
    let top = poly(a, v, v2, n);
    let bottom = a.fma(v, two, v2);
    let next = a.add(w, four);
    let q = a.select(short, next, w);
    let inverse = a.div(one, q);
    let z = a.mul(inverse, inverse);
    let z2 = a.mul(z, z);
    let tail = poly(a, z, z2, t);
    Pieces { short, sum, top, bottom, inverse, z, tail }
}

/// `series` and, where `short`, `top / bottom`.
#[inline(always)]
fn with_fraction<A: Arith>(a: &mut A, short: A::M, top: A::F, bottom: A::F, series: A::F) -> A::F {
    let fraction = a.div(top, bottom);
    let sum = a.add(fraction, series);
    a.select(short, sum, series)
}

/// `right` where `x` is 1/2 or more; else `outer` and `right` (or minus it, for odd orders and negative `x`); NaN at poles.
#[inline(always)]
fn join<A: Arith>(a: &mut A, x: A::F, r: A::F, moved: &Moved<A>, outer: A::F, right: A::F, odd: bool) -> A::F {
    let inner = if odd {
        let minus = a.neg(right);
        a.select(moved.negative, minus, right)
    } else {
        right
    };
    let left = a.add(outer, inner);
    let result = a.select(moved.low, left, right);
    let nan = a.lit(f64::NAN);
    let at_pole = pole(a, x, r);
    a.select(at_pole, nan, result)
}

/// The derivative of `digamma`.
#[inline(always)]
pub fn trigamma<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let moved = right_half(a, x);
    let half = a.lit(0.5);
    let one = a.lit(1.0);
    let p = pieces(a, moved.w, &[36.0, 44.0, 22.0, 4.0], pick::<A, &[f64]>(&TRI64, &TRI32));
    let series = a.fma(p.inverse, p.tail, half);
    let series = a.fma(p.z, series, p.inverse);
    let bottom = a.mul(p.bottom, p.bottom);
    let right = with_fraction(a, p.short, p.top, bottom, series);
    // 1/x^2 + trigamma(1 + x), or (pi / sin(pi x))^2 - trigamma(1 - x).
    let r = off_integer(a, moved.size);
    let sine = sin_pi(a, r);
    let s = a.select(moved.negative, sine, moved.size);
    let e = a.div(one, s);
    let outer = a.mul(e, e);
    join(a, x, r, &moved, outer, right, true)
}

/// The second derivative of `digamma`.
#[inline(always)]
pub fn tetragamma<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let moved = right_half(a, x);
    let one = a.lit(1.0);
    let two = a.lit(2.0);
    let minus_two = a.lit(-2.0);
    let p = pieces(a, moved.w, &[-144.0, -232.0, -132.0, -36.0, -4.0], pick::<A, &[f64]>(&TETRA64, &TETRA32));
    let series = a.fma(p.z, p.tail, p.inverse);
    let minus_z = a.neg(p.z);
    let series = a.fma(minus_z, series, minus_z);
    let top = a.mul(p.top, p.sum);
    let bottom = a.mul(p.bottom, p.bottom);
    let bottom = a.mul(bottom, p.bottom);
    let right = with_fraction(a, p.short, top, bottom, series);
    // -2/x^3 + tetragamma(1 + x), or 2 pi^3 cos(pi z) / sin(pi z)^3 + tetragamma(1 + z).
    let r = off_integer(a, moved.size);
    let sine = sin_pi(a, r);
    let cosine = cos_pi(a, r);
    let s = a.select(moved.negative, sine, moved.size);
    let e = a.div(one, s);
    let twice = a.mul(cosine, two);
    let factor = a.select(moved.negative, twice, minus_two);
    let outer = a.mul(e, factor);
    let square = a.mul(e, e);
    let outer = a.mul(outer, square);
    join(a, x, r, &moved, outer, right, false)
}

/// The third derivative of `digamma`.
#[inline(always)]
pub fn pentagamma<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let moved = right_half(a, x);
    let one = a.lit(1.0);
    let two = a.lit(2.0);
    let three = a.lit(3.0);
    let four = a.lit(4.0);
    let six = a.lit(6.0);
    let n = [7776.0, 19008.0, 18768.0, 9456.0, 2604.0, 384.0, 24.0];
    let p = pieces(a, moved.w, &n, pick::<A, &[f64]>(&PENTA64, &PENTA32));
    let series = a.fma(p.inverse, three, two);
    let series = a.fma(p.z, p.tail, series);
    let series = a.mul(series, p.inverse);
    let series = a.mul(series, p.z);
    let bottom = a.mul(p.bottom, p.bottom);
    let bottom = a.mul(bottom, bottom);
    let right = with_fraction(a, p.short, p.top, bottom, series);
    // 6/x^4 + pentagamma(1 + x), or 2 pi^4 (1 + 2 cos(pi x)^2) / sin(pi x)^4 - pentagamma(1 - x).
    let r = off_integer(a, moved.size);
    let sine = sin_pi(a, r);
    let cosine = cos_pi(a, r);
    let s = a.select(moved.negative, sine, moved.size);
    let e = a.div(one, s);
    let square = a.mul(cosine, four);
    let factor = a.fma(square, cosine, two);
    let factor = a.select(moved.negative, factor, six);
    let e2 = a.mul(e, e);
    let outer = a.mul(e2, factor);
    let outer = a.mul(outer, e2);
    join(a, x, r, &moved, outer, right, true)
}
