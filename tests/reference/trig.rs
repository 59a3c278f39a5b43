//! `sin`, `cos`, `tan`: the argument reduced exactly with 1500 bits of `2/pi`, then Taylor's series.

use super::dd::{Dd, HALF_PI, ONE, dd, poly, power_of_two};
use super::exact::{Exact, NAN, about};
use std::sync::LazyLock;

/// `2/pi` as a binary fraction, most significant word first (mpmath).
const TWO_OVER_PI: [u64; 24] = [
    0xa2f9836e4e441529,
    0xfc2757d1f534ddc0,
    0xdb6295993c439041,
    0xfe5163abdebbc561,
    0xb7246e3a424dd2e0,
    0x6492eea09d1921c,
    0xfe1deb1cb129a73e,
    0xe88235f52ebb4484,
    0xe99c7026b45f7e41,
    0x3991d639835339f4,
    0x9c845f8bbdf9283b,
    0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f,
    0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d,
    0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea,
    0x6bfb5fb11f8d5d08,
    0x56033046fc7b6bab,
    0xf0cfbc209af4361d,
    0xa9e391615ee61b08,
    0x6599855f14a06840,
    0x8dffd8804d732731,
    0x6061556ca73a8c9,
];

/// Words in the window of `2/pi` that a number's exponent selects.
const WINDOW: usize = 6;

/// 64 bits of `2/pi` from a place on; zeros before the point.
fn bits_from(place: i32) -> u64 {
    let word = |k: i32| usize::try_from(k).ok().and_then(|k| TWO_OVER_PI.get(k)).copied().unwrap_or(0);
    let (k, shift) = (place.div_euclid(64), place.rem_euclid(64));
    let pair = u128::from(word(k)) << 64 | u128::from(word(k + 1));
    (pair << shift >> 64) as u64
}

/// The quarter turn nearest to `x > 0` (its two low bits) and what is left, at most `pi/4` in size.
///
/// Of `x 2/pi` modulo 4 the bits are those of an integer product, modulo 2^384: nothing rounds but its 330 last places.
pub fn reduced(x: f64) -> (u32, Dd) {
    if x < 0.5 {
        return (0, Dd::from(x));
    }
    let bits = x.to_bits();
    let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let exponent = (bits >> 52) as i32 - 1075;
    let mut product = [0u64; WINDOW];
    let mut carry = 0u128;
    for k in (0..WINDOW).rev() {
        let sum = mantissa * u128::from(bits_from(exponent - 2 + 64 * k as i32)) + carry;
        product[k] = sum as u64;
        carry = sum >> 64;
    }
    let mut quarter = (product[0] >> 62) as u32;
    // The fraction: two bits up.
    for k in 0..WINDOW {
        let next = if k + 1 < WINDOW { product[k + 1] >> 62 } else { 0 };
        product[k] = product[k] << 2 | next;
    }
    let over = product[0] >> 63 == 1;
    if over {
        quarter = (quarter + 1) & 3;
        for p in &mut product {
            *p = !*p;
        }
    }
    let first = product.iter().position(|p| *p != 0).expect("2/pi has no long run of zeros");
    let zeros = product[first].leading_zeros();
    let at = |k: usize| product.get(first + k).copied().unwrap_or(0);
    let top = u128::from(at(0)) << 64 | u128::from(at(1));
    let top = if zeros == 0 { top } else { top << zeros | u128::from(at(2) >> (64 - zeros)) };
    let unit = power_of_two(-(64 * first as i32 + zeros as i32) - 53);
    let head = (top >> 75) as f64 * unit;
    let middle = (top >> 22 & ((1 << 53) - 1)) as f64 * unit * power_of_two(-53);
    let rest = (top & ((1 << 22) - 1)) as f64 * unit * power_of_two(-75);
    let r = (Dd::from(head) + middle + rest) * HALF_PI;
    (quarter, if over { -r } else { r })
}

/// `(-1)^k / (2k + 1 - even)!`, from the second term on
fn alternating(even: usize) -> [Dd; 15] {
    let mut term = ONE;
    std::array::from_fn(|k| {
        let n = (2 * k + 3 - even) as f64;
        term = -term / (n * (n - 1.0));
        term
    })
}
static SINE: LazyLock<[Dd; 15]> = LazyLock::new(|| alternating(0));
static COSINE: LazyLock<[Dd; 15]> = LazyLock::new(|| alternating(1));

/// The sine and the cosine of at most `pi/4`.
pub fn sin_cos_small(r: Dd) -> (Dd, Dd) {
    let z = r.square();
    (r + r * (z * poly(z, &*SINE, 9)), z * poly(z, &*COSINE, 9) + ONE)
}

/// The sine and the cosine of any finite number.
pub fn sin_cos(x: f64) -> (Dd, Dd) {
    let (quarter, r) = reduced(x.abs());
    let (s, c) = sin_cos_small(r);
    let (s, c) = match quarter {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    };
    (if x < 0.0 { -s } else { s }, c)
}

pub fn sin(x: f64) -> Exact {
    match x {
        _ if !x.is_finite() => NAN,
        _ if x.abs() < 1e-20 => about(x, ONE - x * x / 6.0),
        _ => sin_cos(x).0.into(),
    }
}

pub fn cos(x: f64) -> Exact {
    if x.is_finite() { sin_cos(x).1.into() } else { NAN }
}

pub fn tan(x: f64) -> Exact {
    match x {
        _ if !x.is_finite() => NAN,
        _ if x.abs() < 1e-20 => about(x, ONE + x * x / 3.0),
        _ => {
            let (s, c) = sin_cos(x);
            (s / c).into()
        }
    }
}

/// `sin(pi r)` and `cos(pi r)` for `|r|` up to 1/2.
pub fn sin_cos_pi(r: f64) -> (Dd, Dd) {
    let size = r.abs();
    let (s, c) = if size <= 0.25 {
        sin_cos_small(super::dd::PI * size)
    } else {
        let (s, c) = sin_cos_small(super::dd::PI * (0.5 - size));
        (c, s)
    };
    (if r < 0.0 { dd(-s.hi, -s.lo) } else { s }, c)
}
