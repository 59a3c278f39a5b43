//! `sin`, `cos` and `tan`.
//!
//! `x = n pi/2 + r` with `|r|` just over `pi/4` at most, `r` a pair of numbers; then the polynomial of sine or cosine
//! by the parity of `n`, and a sign by its next bit. The reduction takes `pi/2` as three numbers `P1 + P2 + P3` (after
//! Cody and Waite): `x - n P1` is exact as one fma, being a multiple of the last place of `P1` (or of `x`) below 1.
//! From it `n P2`, an exact pair, is subtracted by Fast2Sum, whose condition holds also where the difference cancels:
//! the minuend is a multiple of the last place of `n P2` (Muller et al., Handbook of Floating-Point Arithmetic, 4.3).
//! What the three leave out of `pi/2` is below 2^-161 (`f64`) or 2^-73 (`f32`), times `n`, and no number is nearer than
//! 2^-61 (2^-29) to a multiple of `pi/2`, so up to `FAST64` (`FAST32`) the pair is right to 2^-59 (2^-26) of its size.
//! Larger arguments are mended by `slow.rs`.

use super::super::arith::{Arith, Slow};
use super::exp::quotient;
use super::{fast_two_sum, lit, pick, poly, sign_mask, to_integer, two_product};
use crate::real::Real;
use std::f64::consts::FRAC_2_PI;

/// The largest magnitude the recipes reduce themselves, in `f64`: 2^40.
pub(super) const FAST64: f64 = 1099511627776.0;
/// And in `f32`: 2^18. There the rounding of `2/pi` moves `n` by 0.006 from the nearest, which is why `|r|` may pass
/// `pi/4`.
pub(super) const FAST32: f64 = 262144.0;

/// `tools/minimax.py SIN64`: `sin r = r - r^3 S(r^2)`, relative error 2^-57.9.
const SIN64: [f64; 6] =
    [0.1666666666666663, -0.008333333333321837, 0.0001984126982935418, -2.755731353662498e-06, 2.505073404698478e-08, -1.589541118051184e-10];

/// `tools/minimax.py SIN32`: the same, 2^-27.8.
const SIN32: [f64; 3] = [0.16666653752326965, -0.008332106284797192, 0.00019507890101522207];

/// `tools/minimax.py COS64`: `cos r = 1 - r^2/2 + r^4 C(r^2)`, relative error 2^-63.8.
const COS64: [f64; 6] =
    [0.04166666666666659, -0.0013888888888872186, 2.480158728829534e-05, -2.755731401508315e-07, 2.0875678075609637e-09, -1.1357336038978475e-11];

/// `tools/minimax.py COS32`: the same, 2^-32.7.
const COS32: [f64; 3] = [0.04166664555668831, -0.0013887296663597226, 2.4429864424746484e-05];

/// `x - n pi/2` as `r - minus`, and bits whose two lowest are those of `n + turn`.
#[inline(always)]
fn reduce<A: Arith>(a: &mut A, x: A::F, turn: u32) -> (A::F, A::F, A::I) {
    let (n, bits) = to_integer(a, x, FRAC_2_PI, turn);
    let [p1, p2, p3] = pick::<A, [f64; 3]>(
        [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33],
        [1.570796251296997, 7.549790126404332e-08, -1.7151245100058819e-15],
    );
    let minus_p1 = a.lit(-p1);
    let p2 = a.lit(p2);
    let p3 = a.lit(p3);
    let r = a.fma(n, minus_p1, x);
    let (high, low) = two_product(a, n, p2);
    let sum = a.sub(r, high);
    // Minus what this lost; the order of the operands keeps every zero here positive, see `quadrant`.
    let gone = a.sub(sum, r);
    let lost = a.add(gone, high);
    let minus = a.add(lost, low);
    let minus = a.fma(n, p3, minus);
    (sum, minus, bits)
}

/// The sine and the cosine of `r - minus`, each as a pair whose sum is to be rounded (the sine's: whose difference);
/// `|r|` up to 0.79.
#[inline(always)]
fn sine_and_cosine<A: Arith>(a: &mut A, r: A::F, minus: A::F) -> [A::F; 4] {
    let z = a.mul(r, r);
    let z2 = a.mul(z, z);
    let s = poly(a, z, z2, pick::<A, &[f64]>(&SIN64, &SIN32));
    let c = poly(a, z, z2, pick::<A, &[f64]>(&COS64, &COS32));
    let one = a.lit(1.0);
    let minus_half = a.lit(-0.5);
    let main = a.fma(z, minus_half, one);
    // r - (r^3 S + minus * cos r): at r = -0 the bracket is -0 + 0, so the sign of zero survives.
    let cube = a.mul(r, z);
    let turned = a.mul(minus, main);
    let bracket = a.fma(cube, s, turned);
    // (1 - z/2) + what that lost + z^2 C + r * minus.
    let lost = a.sub(one, main);
    let lost = a.fma(z, minus_half, lost);
    let lost = a.fma(r, minus, lost);
    let tail = a.fma(z2, c, lost);
    [r, bracket, main, tail]
}

/// `sin(r - minus + q pi/2)` for the `q` in the two lowest of `bits`; `|r|` up to 0.79.
#[inline(always)]
pub(super) fn quadrant<A: Arith>(a: &mut A, r: A::F, minus: A::F, bits: A::I) -> A::F {
    let [r, bracket, main, tail] = sine_and_cosine(a, r, minus);
    let sine = a.sub(r, bracket);
    let cosine = a.add(main, tail);
    let (code, odd) = parity(a, bits);
    let chosen = a.select(odd, cosine, sine);
    let mask = sign_mask(a);
    let sign = a.iand(code, mask);
    let chosen = a.bits(chosen);
    let chosen = a.ixor(chosen, sign);
    a.real(chosen)
}

/// Bit 1 as a sign, and bit 0, by way of a bit that makes a number nonzero.
#[inline(always)]
fn parity<A: Arith>(a: &mut A, bits: A::I) -> (A::I, A::M) {
    let code = a.shl(bits, A::Real::MANTISSA + pick::<A, u32>(10, 7));
    let number = a.real(code);
    let zero = a.lit(0.0);
    (code, a.ne(number, zero))
}

/// `tan(r - minus + q pi/2)` for the lowest bit `q` of `bits`: sine over cosine or minus the inverse of that, all pairs.
#[inline(always)]
pub(super) fn half_turn<A: Arith>(a: &mut A, r: A::F, minus: A::F, bits: A::I) -> A::F {
    let [r, bracket, main, tail] = sine_and_cosine(a, r, minus);
    let bracket = a.neg(bracket);
    let (sine, sine_rest) = fast_two_sum(a, r, bracket);
    let (cosine, cosine_rest) = fast_two_sum(a, main, tail);
    let (_, odd) = parity(a, bits);
    let minus_sine = a.neg(sine);
    let minus_sine_rest = a.neg(sine_rest);
    let top = a.select(odd, cosine, sine);
    let top_rest = a.select(odd, cosine_rest, sine_rest);
    let bottom = a.select(odd, minus_sine, cosine);
    let bottom_rest = a.select(odd, minus_sine_rest, cosine_rest);
    quotient(a, top, Some(top_rest), bottom, bottom_rest)
}

/// The sine.
#[inline(always)]
pub fn sin<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let (r, minus, bits) = reduce(a, x, 0);
    let fast = quadrant(a, r, minus, bits);
    a.patch(Slow::Sin, x, fast)
}

/// The cosine: the sine a quarter turn on.
#[inline(always)]
pub fn cos<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let (r, minus, bits) = reduce(a, x, 1);
    let fast = quadrant(a, r, minus, bits);
    a.patch(Slow::Cos, x, fast)
}

/// The tangent.
#[inline(always)]
pub fn tan<A: Arith>(a: &mut A, x: A::F) -> A::F {
    let (r, minus, bits) = reduce(a, x, 0);
    let fast = half_turn(a, r, minus, bits);
    // The quotient's correction loses the sign of -0.
    let tiny = lit(a, f64::EPSILON / 4.0, 2.0f64.powi(-26));
    let size = a.abs(x);
    let small = a.lt(size, tiny);
    let fast = a.select(small, x, fast);
    a.patch(Slow::Tan, x, fast)
}
