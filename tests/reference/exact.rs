//! True values with an exponent of their own, and how far a computed number is from one.

use super::dd::{Dd, ONE, ZERO, power_of_two, scaled, split, two_sum};
use tapeless::Real;

/// `part 2^exponent`: what a `Dd` can't hold, because it or its rest would over- or underflow.
#[derive(Clone, Copy, Debug)]
pub struct Wide {
    pub part: Dd,
    pub exponent: i32,
}

impl From<Dd> for Wide {
    fn from(part: Dd) -> Wide {
        Wide { part, exponent: 0 }
    }
}

impl From<f64> for Wide {
    /// Any finite number; the part of one that isn't 0 is between 1 and 2.
    fn from(x: f64) -> Wide {
        if x == 0.0 {
            return Wide::from(ZERO);
        }
        let (m, exponent) = split(x);
        Wide { part: Dd::from(m), exponent }
    }
}

impl Wide {
    /// The same number, the part between 1 and 2 if it isn't 0.
    pub fn normal(self) -> Wide {
        if self.part.hi == 0.0 {
            return self;
        }
        let (_, e) = split(self.part.hi);
        let part = super::dd::dd(scaled(self.part.hi, -e), scaled(self.part.lo, -e));
        Wide { part, exponent: self.exponent + e }
    }

    pub fn times(self, other: impl Into<Wide>) -> Wide {
        let (a, b) = (self.normal(), other.into().normal());
        Wide { part: a.part * b.part, exponent: a.exponent + b.exponent }
    }

    pub fn plus(self, other: impl Into<Wide>) -> Wide {
        let (a, b) = (self.normal(), other.into().normal());
        if a.part.hi == 0.0 || b.part.hi == 0.0 {
            return if a.part.hi == 0.0 { b } else { a };
        }
        let (large, little) = if a.exponent >= b.exponent { (a, b) } else { (b, a) };
        let shift = little.exponent - large.exponent;
        if shift < -300 {
            return large;
        }
        Wide { part: large.part + little.part.times(power_of_two(shift)), exponent: large.exponent }
    }

    pub fn minus(self) -> Wide {
        Wide { part: -self.part, ..self }
    }

    pub fn recip(self) -> Wide {
        let a = self.normal();
        Wide { part: ONE / a.part, exponent: -a.exponent }
    }

    pub fn powi(self, n: u32) -> Wide {
        let (mut left, mut square, mut product) = (n, self, Wide::from(ONE));
        while left > 0 {
            if left & 1 == 1 {
                product = product.times(square);
            }
            left >>= 1;
            if left > 0 {
                square = square.times(square);
            }
        }
        product
    }

    pub fn sqrt(self) -> Wide {
        let a = self.normal();
        let odd = a.exponent.rem_euclid(2);
        Wide { part: a.part.times(power_of_two(odd)).sqrt(), exponent: (a.exponent - odd) / 2 }
    }
}

/// What a function's value is.
#[derive(Clone, Copy, Debug)]
pub enum Exact {
    /// A number that any type holds, 0 with its sign, an infinity, or NaN.
    Special(f64),
    /// Any other.
    Number(Wide),
}

pub const NAN: Exact = Exact::Special(f64::NAN);
pub const INFINITY: Exact = Exact::Special(f64::INFINITY);

impl<W: Into<Wide>> From<W> for Exact {
    fn from(w: W) -> Exact {
        Exact::Number(w.into())
    }
}

/// `x g`, for functions that are about `x` next to 0; 0 keeps its sign.
pub fn about(x: f64, g: Dd) -> Exact {
    if x == 0.0 { Exact::Special(x) } else { Wide::from(x).times(g).into() }
}

/// A number type's digits, smallest normal exponent, and the exponent that overflows.
pub struct Format {
    digits: i32,
    least: i32,
    top: i32,
}

pub fn format<T: Real>() -> Format {
    if T::DOUBLE { Format { digits: 53, least: -1022, top: 1024 } } else { Format { digits: 24, least: -126, top: 128 } }
}

/// The exponent of 1 ulp where the true value, rounded to the type, lies; of the binade of `unit`, if that is more.
fn ulp(format: &Format, wide: Wide, unit: f64) -> i32 {
    let m = wide.part.hi;
    let rounded_up = format.digits == 24 && (m as f32).abs() == 2.0;
    let mut e = wide.exponent + i32::from(rounded_up);
    if unit > 0.0 {
        e = e.max(split(unit).1);
    }
    e.clamp(format.least, format.top - 1) - (format.digits - 1)
}

/// `(computed - exact) / ulp`, where the ulp is that of the binade of the correctly rounded value (of the smallest subnormal for subnormal ones, of
/// `unit` for values of smaller magnitude). Infinite for a wrong special value or, if `unit` is 0, a zero of the wrong sign.
pub fn error<T: Real>(computed: T, exact: Exact, unit: f64) -> f64 {
    let computed = computed.to_f64();
    let wide = match exact {
        Exact::Special(s) => return if computed.to_bits() == s.to_bits() || computed.is_nan() && s.is_nan() { 0.0 } else { f64::INFINITY },
        Exact::Number(w) => w.normal(),
    };
    if computed.is_nan() || wide.part.hi.is_nan() {
        return f64::INFINITY;
    }
    let format = format::<T>();
    let q = ulp(&format, wide, unit);
    let negative = wide.part.hi < 0.0;
    let whole = if computed.is_infinite() {
        // Counted as the number after the largest.
        if computed.is_sign_negative() != negative {
            return f64::INFINITY;
        }
        if wide.exponent >= format.top {
            return 0.0;
        }
        scaled(if negative { -1.0 } else { 1.0 }, format.top - q)
    } else {
        scaled(computed, -q)
    };
    if computed == 0.0 && unit == 0.0 && computed.is_sign_negative() != negative {
        return f64::INFINITY;
    }
    if wide.exponent - q > 1000 {
        return f64::INFINITY;
    }
    // Where the two are close, as they should be, the difference of the leading parts is exact.
    let (hi, lo) = (scaled(wide.part.hi, wide.exponent - q), scaled(wide.part.lo, wide.exponent - q));
    let difference = two_sum(whole, -hi);
    difference.hi + (difference.lo - lo)
}
