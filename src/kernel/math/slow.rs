//! `sin`, `cos` and `tan` of arguments too large for the recipes' range reduction: one number at a time, by integer
//! arithmetic.
//!
//! Payne and Hanek, Radian reduction for trigonometric functions, 1983: of the product of a big number with `2/pi` only
//! the part below 4 matters, and that depends on few bits of `2/pi` if the place to cut is chosen by the number's
//! exponent.

use super::super::arith::{Arith, Scalar, Slow};
use super::trig::{FAST32, FAST64, half_turn, quadrant};
use crate::real::Real;
use std::f64::consts::FRAC_PI_2;

/// `tools/minimax.py TWO_OVER_PI`: 64 zero bits, then `2/pi` as a binary fraction, most significant word first.
const TWO_OVER_PI: [u64; 21] = [
    0,
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
    0xfe1d_eb1c_b129_a73e,
    0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41,
    0x3991_d639_8353_39f4,
    0x9c84_5f8b_bdf9_283b,
    0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f,
    0x6d36_7ecf_27cb_09b7,
    0x4f46_3f66_9e5f_ea2d,
    0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea,
    0x6bfb_5fb1_1f8d_5d08,
    0x5603_3046_fc7b_6bab,
    0xf0cf_bc20_9af4_361d,
];

/// The largest magnitude that the recipe of `slow` computes itself.
#[inline(always)]
pub fn limit<T: Real>(slow: Slow) -> T {
    match slow {
        Slow::Sin | Slow::Cos | Slow::Tan => T::from_f64(if T::DOUBLE { FAST64 } else { FAST32 }),
    }
}

/// Is `x` beyond the range where the recipe of `slow` is accurate? (Infinities are; NaN is not.)
#[inline(always)]
pub fn needs<T: Real>(slow: Slow, x: T) -> bool {
    x.abs() > limit(slow)
}

/// `fast`, except where [`needs`] says that the recipe is not accurate at `x`: there the accurate value.
#[inline(always)]
pub fn mend<T: Real>(slow: Slow, x: T, fast: T) -> T {
    // An f32 result rounded from an f64 one is off by no more than half an ulp and a trifle.
    if needs(slow, x) { T::from_f64(turn(slow, x.to_f64())) } else { fast }
}

/// The sine, cosine or tangent of a number of magnitude above 1.
#[cold]
#[inline(never)]
fn turn(slow: Slow, x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (mut quarters, mut r, mut rest) = reduce(x.abs());
    if x < 0.0 {
        (quarters, r, rest) = (quarters.wrapping_neg(), -r, -rest);
    }
    if slow == Slow::Cos {
        quarters = quarters.wrapping_add(1);
    }
    let a = &mut Scalar::<f64, false>::new();
    let bits = a.int(quarters as i64);
    if slow == Slow::Tan { half_turn(a, r, -rest, bits) } else { quadrant(a, r, -rest, bits) }
}

/// `n` (its low bits) and `x - n pi/2` as a pair, for `x` above 1.
fn reduce(x: f64) -> (u64, f64, f64) {
    let bits = x.to_bits();
    let m = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    // x = m 2^e. Bits of 2/pi of weight 2^(2-e) and more give multiples of 4 quarter turns; the window starts after
    // them, which is bit e - 2 of the fraction, counted from 0, with 64 zeros before it.
    let e = (bits >> 52) as i32 - 1075;
    let start = (e - 2 + 64) as usize;
    let (word, shift) = (start / 64, start % 64);
    let window = |i: usize| {
        let pair = u128::from(TWO_OVER_PI[word + i]) << 64 | u128::from(TWO_OVER_PI[word + i + 1]);
        (pair << shift >> 64) as u64
    };
    // m times a 192-bit window modulo 2^192 is x 2/pi modulo 4, with 190 bits after the point of which all but the last
    // 53 or so are right.
    let low = m * u128::from(window(2));
    let middle = m * u128::from(window(1)) + (low >> 64);
    let high = (m as u64).wrapping_mul(window(0)).wrapping_add((middle >> 64) as u64);
    let top = u128::from(high) << 64 | u128::from(middle as u64);
    let mut quarters = (top >> 126) as u64;
    let mut fraction = top << 2 | u128::from(low as u64 >> 62);
    // To the nearest quarter turn. The fraction is never below 2^-62 nor that close to 1, so 66 bits of it or more are
    // right.
    let over = fraction >> 127 == 1;
    if over {
        quarters = quarters.wrapping_add(1);
        fraction = fraction.wrapping_neg();
    }
    // As a pair of numbers of 53 bits each, then times pi/2, also a pair.
    let zeros = fraction.leading_zeros();
    let bits = fraction << zeros;
    let unit = f64::from_bits((1023 - 53 - u64::from(zeros)) << 52);
    let head = (bits >> 75) as f64 * unit;
    let tail = (bits >> 22 & ((1 << 53) - 1)) as f64 * unit * (1.0 / (1u64 << 53) as f64);
    let r = head * FRAC_PI_2;
    let lost = head.mul_add(FRAC_PI_2, -r);
    let rest = head.mul_add(6.123233995736766e-17, tail.mul_add(FRAC_PI_2, lost));
    if over { (quarters, -r, -rest) } else { (quarters, r, rest) }
}
