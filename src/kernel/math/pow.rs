//! `pow`: a power with any exponent, with the special cases of C99 (annex F).
//!
//! `|x|^y = e^(y ln |x|)`. An error of `ln |x|` is multiplied by up to 745 (`f64`; 104 in `f32`), so the logarithm is
//! computed as a pair that is right to about 2^-66 (2^-36): `ln(1 + f) = 2s + s^3 (2/3 + s^2 T(s^2))` with
//! `s = f / (2 + f)`, where `s`, its square and cube, 2/3 and the bracket are pairs and only `T`, which counts for
//! `s^4/5 < 2^-12` of the result, is a single number.

use super::super::arith::Arith;
use super::exp::{Powers, exp_pair};
use super::log::split_any;
use super::{fast_two_sum, ln2, pick, poly, sign_mask, two_product};

/// `tools/minimax.py POWLOG64`: relative error of `ln(1 + f)` 2^-73.5.
const POWLOG64: [f64; 8] = [
    0.3999999999999998,
    0.2857142857144384,
    0.2222222221778972,
    0.18181818843997088,
    0.1538455842821263,
    0.1333626450999478,
    0.11675780581054918,
    0.119817532920093,
];

/// `tools/minimax.py POWLOG32`: relative error of `ln(1 + f)` 2^-43.7.
const POWLOG32: [f64; 4] = [0.3999999761581421, 0.28571972250938416, 0.22179730236530304, 0.1955634355545044];

/// `ln x` as a pair, for finite positive `x`; the second part is at most a few last places of the first.
#[inline(always)]
fn ln_pair<A: Arith>(a: &mut A, x: A::F) -> (A::F, A::F) {
    let parts = split_any(a, x);
    let (m, n) = (parts.mantissa, parts.exponent);
    let one = a.lit(1.0);
    let two = a.lit(2.0);
    // s = f / (2 + f), where 2 + f = m + 1 is a pair too.
    let f = a.sub(m, one);
    let (below, below_rest) = fast_two_sum(a, one, m);
    let inverse = a.div(one, below);
    let s = a.mul(f, inverse);
    let minus = a.neg(s);
    let left = a.fma(minus, below, f);
    let left = a.fma(minus, below_rest, left);
    let s_rest = a.mul(left, inverse);
    // z = s^2.
    let (z, z_rest) = two_product(a, s, s);
    let s_twice = a.add(s, s);
    let z_rest = a.fma(s_twice, s_rest, z_rest);
    // The bracket b = 2/3 + z T(z).
    let z2 = a.mul(z, z);
    let t = poly(a, z, z2, pick::<A, &[f64]>(&POWLOG64, &POWLOG32));
    let [third, third_rest] = pick::<A, [f64; 2]>([0.6666666666666666, 3.700743415417188e-17], [0.6666666865348816, -1.9868215517249155e-08]);
    let third = a.lit(third);
    let third_rest = a.lit(third_rest);
    let (w, w_rest) = two_product(a, z, t);
    let w_rest = a.fma(z_rest, t, w_rest);
    let w_rest = a.add(w_rest, third_rest);
    let (b, b_rest) = fast_two_sum(a, third, w);
    let b_rest = a.add(b_rest, w_rest);
    // c = s^3, v = c b.
    let (c, c_rest) = two_product(a, z, s);
    let c_rest = a.fma(z, s_rest, c_rest);
    let c_rest = a.fma(z_rest, s, c_rest);
    let (v, v_rest) = two_product(a, c, b);
    let v_rest = a.fma(c, b_rest, v_rest);
    let v_rest = a.fma(c_rest, b, v_rest);
    // 2 s + v, and n ln 2 before it: exact sums, the rests gathered.
    let (sum, lost) = fast_two_sum(a, s_twice, v);
    let rest = a.add(lost, v_rest);
    let rest = a.fma(s_rest, two, rest);
    let (ln2, ln2_rest) = ln2::<A>();
    let ln2 = a.lit(ln2);
    let ln2_rest = a.lit(ln2_rest);
    let (p, p_rest) = two_product(a, n, ln2);
    let p_rest = a.fma(n, ln2_rest, p_rest);
    let (total, lost) = fast_two_sum(a, p, sum);
    let rest = a.add(rest, p_rest);
    (total, a.add(rest, lost))
}

/// `x` to the power `y`.
#[inline(always)]
pub fn pow<A: Arith>(a: &mut A, x: A::F, y: A::F) -> A::F {
    let zero = a.lit(0.0);
    let one = a.lit(1.0);
    let infinity = a.lit(f64::INFINITY);
    let size = a.abs(x);
    let (log, log_rest) = ln_pair(a, size);
    // ln 0 = -inf, ln inf = inf, NaN stays: the product with y then decides between 0, infinity and NaN.
    let finite = a.lt(size, infinity);
    let log = a.select(finite, log, size);
    let minus_infinity = a.lit(f64::NEG_INFINITY);
    let nought = a.eq(x, zero);
    let log = a.select(nought, minus_infinity, log);
    let (e, e_rest) = two_product(a, y, log);
    let e_rest = a.fma(y, log_rest, e_rest);
    // Where the result is sure to overflow or vanish the rest is of no account and may be NaN.
    let bound = a.lit(1024.0);
    let e_size = a.abs(e);
    let tame = a.lt(e_size, bound);
    let e_rest = a.select(tame, e_rest, zero);
    let power = exp_pair(a, e, e_rest, Powers::All);
    // 1^y = 1 also for a y that is infinite or NaN (the product was NaN), and (-1)^y = +-1.
    let unit = a.eq(size, one);
    let power = a.select(unit, one, power);
    // Integer y keep the sign of x when odd; other y have no power of a negative number.
    let whole = a.floor(y);
    let integer = a.eq(whole, y);
    let half = a.lit(0.5);
    let half_y = a.mul(y, half);
    let half_whole = a.floor(half_y);
    let uneven = a.ne(half_whole, half_y);
    let odd = a.both(integer, uneven);
    let mask = sign_mask(a);
    let x_bits = a.bits(x);
    let sign = a.iand(x_bits, mask);
    let sign = a.real(sign);
    let sign = a.select(odd, sign, zero);
    let sign = a.bits(sign);
    let bits = a.bits(power);
    let bits = a.ior(bits, sign);
    let power = a.real(bits);
    let below = a.lt(x, zero);
    let fraction = a.not(integer);
    let outside = a.both(below, fraction);
    let outside = a.both(outside, finite);
    let nan = a.lit(f64::NAN);
    let power = a.select(outside, nan, power);
    // x^0 = 1, NaN included.
    let no_power = a.eq(y, zero);
    a.select(no_power, one, power)
}
