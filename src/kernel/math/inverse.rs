//! The inverse trigonometric functions: `asin`, `acos`, `atan`, `atan2`.
//!
//! An arc tangent is reduced to `|t| <= tan(pi/8)` by `t = y/x`, `(y - x) / (y + x)` or `-x/y`, which take nothing,
//! `pi/4` or `pi/2` from it; arc sine and cosine above 1/2 by `acos x = 2 asin sqrt((1 - x) / 2)`. Where the reduced
//! argument is rounded, what it lost is carried along.

use super::super::arith::Arith;
use super::{fast_two_sum, lit, pick, poly, with_sign};
use std::f64::consts::FRAC_PI_2;

/// `tools/minimax.py ATAN64`: `(atan t / t - 1) / t^2` of `t^2`; relative error of the result 2^-59.4.
const ATAN64: [f64; 11] = [
    -0.333333333333332,
    0.19999999999953666,
    -0.14285714280198594,
    0.11111110783438799,
    -0.0909089775586169,
    0.0769206017915574,
    -0.06663103724054219,
    0.058478879168186705,
    -0.05039303740731809,
    0.038064682926580516,
    -0.017907510512264694,
];

/// `tools/minimax.py ATAN32`: the same; relative error of the result 2^-30.4.
const ATAN32: [f64; 5] = [-0.33333316445350647, 0.19998528063297272, -0.14244391024112701, 0.1059916764497757, -0.06090044975280762];

/// `tools/minimax.py ASIN64`: `(asin x / x - 1) / x^2` of `x^2`; relative error of the result 2^-59.8.
const ASIN64: [f64; 13] = [
    0.1666666666666676,
    0.07499999999970863,
    0.04464285717456521,
    0.03038194270961346,
    0.02237221494376788,
    0.017351612705101275,
    0.01398081309672919,
    0.011398968143272606,
    0.010779960275177674,
    0.0037074555521617605,
    0.02170500249608848,
    -0.020995705842520165,
    0.03262656886170892,
];

/// `tools/minimax.py ASIN32`: the same; relative error of the result 2^-31.7.
const ASIN32: [f64; 6] = [0.16666659712791443, 0.07500521838665009, 0.044513385742902756, 0.03183872997760773, 0.014317953959107399, 0.03768891096115112];

/// The tangent of `pi/8`, and of `3 pi/8`.
const EIGHTH: f64 = 0.41421356237309503;
const THREE_EIGHTHS: f64 = 2.414213562373095;

/// `pi/2` rounded to the number type, and the rest of it (`tools/minimax.py SPLITS`, as other such pairs here).
#[inline(always)]
fn half_pi<A: Arith>() -> (f64, f64) {
    pick::<A, (f64, f64)>((FRAC_PI_2, 6.123233995736766e-17), (1.5707963705062866, -4.371138828673793e-08))
}

/// `atan(y / x)` as a pair whose sum is to be rounded, for `x` and `y` not negative whose sum does not overflow.
#[inline(always)]
fn angle<A: Arith>(a: &mut A, y: A::F, x: A::F) -> (A::F, A::F) {
    let low = a.lit(EIGHTH);
    let high = a.lit(THREE_EIGHTHS);
    let low = a.mul(x, low);
    let high = a.mul(x, high);
    let flat = a.lt(y, low);
    let steep = a.lt(high, y);
    let large = a.max(x, y);
    let little = a.min(x, y);
    let (sum, sum_rest) = fast_two_sum(a, large, little);
    // y - x as a pair: the smaller taken off the larger, and the sign put back.
    let minus_little = a.neg(little);
    let (gap, gap_rest) = fast_two_sum(a, large, minus_little);
    let under = a.lt(y, x);
    let minus_gap = a.neg(gap);
    let minus_gap_rest = a.neg(gap_rest);
    let gap = a.select(under, minus_gap, gap);
    let gap_rest = a.select(under, minus_gap_rest, gap_rest);
    let zero = a.lit(0.0);
    let minus_x = a.neg(x);
    let (half, half_rest) = half_pi::<A>();
    let (half, half_rest) = (a.lit(half), a.lit(half_rest));
    let (quarter, quarter_rest) = half_pi::<A>();
    let (quarter, quarter_rest) = (a.lit(quarter / 2.0), a.lit(quarter_rest / 2.0));
    let top = a.select(steep, minus_x, gap);
    let top = a.select(flat, y, top);
    let bottom = a.select(steep, y, sum);
    let bottom = a.select(flat, x, bottom);
    let base = a.select(steep, half, quarter);
    let base = a.select(flat, zero, base);
    let base_rest = a.select(steep, half_rest, quarter_rest);
    let base_rest = a.select(flat, zero, base_rest);
    let whole = a.either(flat, steep);
    let top_rest = a.select(whole, zero, gap_rest);
    let bottom_rest = a.select(whole, zero, sum_rest);
    let one = a.lit(1.0);
    let inverse = a.div(one, bottom);
    let t = a.mul(top, inverse);
    let minus = a.neg(t);
    let left = a.fma(minus, bottom, top);
    let rest = a.fma(minus, bottom_rest, top_rest);
    let left = a.add(left, rest);
    let t_rest = a.mul(left, inverse);
    // base + t + t^3 A(t^2), summed from the small end; Fast2Sum is right also where base is 0.
    let z = a.mul(t, t);
    let z2 = a.mul(z, z);
    let p = poly(a, z, z2, pick::<A, &[f64]>(&ATAN64, &ATAN32));
    let cube = a.mul(z, t);
    let (sum, lost) = fast_two_sum(a, base, t);
    let rest = a.add(t_rest, base_rest);
    let rest = a.fma(cube, p, rest);
    (sum, a.add(lost, rest))
}

/// The arc tangent.
#[inline(always)]
pub fn atan<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let one = a.lit(1.0);
    // From here on the result is the same as at infinity; NaN stays.
    let limit = lit(a, 1e20, 1e12);
    let cut = a.min(limit, size);
    let (sum, rest) = angle(a, cut, one);
    let result = a.add(sum, rest);
    with_sign(a, result, x)
}

/// The angle of the point `(x, y)`, from `-pi` to `pi`, with the special cases of C99 (annex F).
#[inline(always)]
pub fn atan2<A: Arith>(a: &mut A, y: A::F, x: A::F) -> A::F {
    let zero = a.lit(0.0);
    let one = a.lit(1.0);
    let infinity = a.lit(f64::INFINITY);
    let (height, width) = (a.abs(y), a.abs(x));
    // Scaled, so that neither the sum overflows nor a remainder of the division underflows.
    let large = a.max(height, width);
    let (huge, tiny) = pick::<A, (f64, f64)>((2.0f64.powi(500), 2.0f64.powi(-500)), (2.0f64.powi(60), 2.0f64.powi(-60)));
    let (down, up) = pick::<A, (f64, f64)>((2.0f64.powi(-530), 2.0f64.powi(560)), (2.0f64.powi(-68), 2.0f64.powi(88)));
    let (huge, tiny, down, up) = (a.lit(huge), a.lit(tiny), a.lit(down), a.lit(up));
    let over = a.lt(huge, large);
    let under = a.lt(large, tiny);
    let factor = a.select(under, up, one);
    let factor = a.select(over, down, factor);
    let dy = a.mul(height, factor);
    let dx = a.mul(width, factor);
    // Infinities count as 1 and all else as 0 beside them; of two zeros the width counts as 1.
    let endless = a.eq(large, infinity);
    let high = a.eq(height, infinity);
    let wide = a.eq(width, infinity);
    let dy_endless = a.select(high, one, zero);
    let dx_endless = a.select(wide, one, zero);
    let dy = a.select(endless, dy_endless, dy);
    let dx = a.select(endless, dx_endless, dx);
    let nought = a.eq(large, zero);
    let dx = a.select(nought, one, dx);
    let (sum, rest) = angle(a, dy, dx);
    // A quotient that underflows is rounded once.
    let plain = a.add(sum, rest);
    let plain = quotient_if_small(a, plain, height, width);
    // pi minus it where x is negative (-0 included, by its bits).
    let (half, half_rest) = half_pi::<A>();
    let straight = a.lit(2.0 * half);
    let straight_rest = a.lit(2.0 * half_rest);
    let minus_sum = a.neg(sum);
    let (turned, lost) = fast_two_sum(a, straight, minus_sum);
    let lost = a.sub(lost, rest);
    let lost = a.add(lost, straight_rest);
    let turned = a.add(turned, lost);
    let unit = with_sign(a, one, x);
    let backward = a.lt(unit, zero);
    let result = a.select(backward, turned, plain);
    let result = with_sign(a, result, y);
    let sound_x = a.eq(x, x);
    let sound_y = a.eq(y, y);
    let sound = a.both(sound_x, sound_y);
    let nan = a.lit(f64::NAN);
    a.select(sound, result, nan)
}

/// `angle`, or `y / x` where that is so small that it is its own arc tangent.
#[inline(always)]
fn quotient_if_small<A: Arith>(a: &mut A, angle: A::F, y: A::F, x: A::F) -> A::F {
    let bound = lit(a, 2.0f64.powi(-900), 2.0f64.powi(-90));
    let small = a.lt(angle, bound);
    let direct = a.div(y, x);
    let zero = a.lit(0.0);
    let some = a.lt(zero, y);
    let small = a.both(small, some);
    a.select(small, direct, angle)
}

/// `asin x - x` for `|x|` up to 1/2, given the square.
#[inline(always)]
fn asin_tail<A: Arith>(a: &mut A, x: A::F, z: A::F) -> A::F {
    let z2 = a.mul(z, z);
    let p = poly(a, z, z2, pick::<A, &[f64]>(&ASIN64, &ASIN32));
    let cube = a.mul(x, z);
    a.mul(cube, p)
}

/// `s`, `s^2`, what the root lost of `s` (only for large `size`) and whether `size` is large, above 1/2: `s` is `size`, or then
/// the sine `sqrt((1 - size) / 2)` of half the angle that is left to `pi/2`.
#[inline(always)]
fn half_angle<A: Arith>(a: &mut A, size: A::F) -> (A::F, A::F, A::F, A::M) {
    let half = a.lit(0.5);
    let minus_half = a.lit(-0.5);
    let steep = a.lt(half, size);
    let z_high = a.fma(size, minus_half, half);
    let z_low = a.mul(size, size);
    let z = a.select(steep, z_high, z_low);
    let root = a.sqrt(z_high);
    let s = a.select(steep, root, size);
    let minus = a.neg(root);
    let left = a.fma(minus, root, z_high);
    // At 1 the root is 0 and exact.
    let twice = a.add(root, root);
    let tiny = lit(a, f64::MIN_POSITIVE, f64::from(f32::MIN_POSITIVE));
    let twice = a.max(tiny, twice);
    let rest = a.div(left, twice);
    (s, z, rest, steep)
}

/// The arc sine.
#[inline(always)]
pub fn asin<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let (s, z, lost, steep) = half_angle(a, size);
    let tail = asin_tail(a, s, z);
    let near = a.add(s, tail);
    // pi/2 - 2 (s + lost + tail).
    let (half, half_rest) = half_pi::<A>();
    let half = a.lit(half);
    let half_rest = a.lit(half_rest);
    let minus_two = a.lit(-2.0);
    let double = a.mul(s, minus_two);
    let (sum, rest) = fast_two_sum(a, half, double);
    let small = a.add(tail, lost);
    let small = a.fma(small, minus_two, half_rest);
    let small = a.add(small, rest);
    let far = a.add(sum, small);
    let result = a.select(steep, far, near);
    with_sign(a, result, x)
}

/// The arc cosine.
#[inline(always)]
pub fn acos<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let size = a.abs(x);
    let zero = a.lit(0.0);
    let (s, z, lost, steep) = half_angle(a, size);
    let tail = asin_tail(a, s, z);
    let negative = a.lt(x, zero);
    let lost = a.select(steep, lost, zero);
    let small = a.add(tail, lost);
    // Of an angle v = s + small: pi/2 -+ v, or for large |x| 2 v or pi - 2 v; that is base -+ v or base -+ 2 v.
    let (half, half_rest) = half_pi::<A>();
    let straight = a.lit(2.0 * half);
    let straight_rest = a.lit(2.0 * half_rest);
    let straight = a.select(negative, straight, zero);
    let straight_rest = a.select(negative, straight_rest, zero);
    let right = a.lit(half);
    let right_rest = a.lit(half_rest);
    let base = a.select(steep, straight, right);
    let base_rest = a.select(steep, straight_rest, right_rest);
    let one = a.lit(1.0);
    let two = a.lit(2.0);
    let many = a.select(steep, two, one);
    let fewer = a.neg(many);
    // The angle is subtracted for small positive x and large negative x.
    let grows = a.select(negative, one, fewer);
    let shrinks = a.select(negative, fewer, many);
    let factor = a.select(steep, shrinks, grows);
    let first = a.mul(s, factor);
    let (sum, rest) = fast_two_sum(a, base, first);
    let small = a.fma(small, factor, base_rest);
    let small = a.add(small, rest);
    a.add(sum, small)
}
