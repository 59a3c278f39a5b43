//! Double-double numbers: an unevaluated sum of two `f64`, some 104 bits (Dekker 1971; Hida, Li and Bailey 2001).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `hi + lo`, where `hi` is the sum rounded to nearest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dd {
    pub hi: f64,
    pub lo: f64,
}

/// Two numbers and no rest.
pub const fn dd(hi: f64, lo: f64) -> Dd {
    Dd { hi, lo }
}

pub const ZERO: Dd = dd(0.0, 0.0);
pub const ONE: Dd = dd(1.0, 0.0);
/// By mpmath, as the constants elsewhere in this folder.
pub const PI: Dd = dd(std::f64::consts::PI, 1.2246467991473532e-16);
pub const HALF_PI: Dd = dd(std::f64::consts::FRAC_PI_2, 6.123233995736766e-17);

/// The sum and what its rounding lost.
pub fn two_sum(a: f64, b: f64) -> Dd {
    let s = a + b;
    let from_b = s - a;
    dd(s, (a - (s - from_b)) + (b - from_b))
}

/// The same where `a` is the larger, or 0.
fn quick(a: f64, b: f64) -> Dd {
    let s = a + b;
    dd(s, b - (s - a))
}

/// The product and what its rounding lost.
pub fn two_product(a: f64, b: f64) -> Dd {
    let p = a * b;
    dd(p, a.mul_add(b, -p))
}

/// `2^k` for a normal result.
pub fn power_of_two(k: i32) -> f64 {
    assert!((-1022..=1023).contains(&k), "2^{k} is no normal number");
    f64::from_bits(((k + 1023) as u64) << 52)
}

/// `x 2^k`, in steps that are exact where the result is.
pub fn scaled(mut x: f64, mut k: i32) -> f64 {
    while k > 1000 && x.is_finite() && x != 0.0 {
        x *= power_of_two(1000);
        k -= 1000;
    }
    while k < -1000 && x != 0.0 {
        x *= power_of_two(-1000);
        k += 1000;
    }
    x * power_of_two(k.clamp(-1000, 1000))
}

/// `m` and `e` with `x = m 2^e` and `1 <= |m| < 2`, for any finite `x` but 0.
pub fn split(x: f64) -> (f64, i32) {
    let field = |x: f64| (x.to_bits() >> 52 & 2047) as i32;
    let (x, shift) = if field(x) == 0 { (x * power_of_two(64), -64) } else { (x, 0) };
    let e = field(x) - 1023;
    (f64::from_bits(x.to_bits() & !(2047 << 52) | 1023 << 52), e + shift)
}

impl From<f64> for Dd {
    fn from(x: f64) -> Dd {
        dd(x, 0.0)
    }
}

impl Dd {
    /// `x^2` and so on.
    pub fn powi(self, n: u32) -> Dd {
        let (mut left, mut square, mut product) = (n, self, ONE);
        while left > 0 {
            if left & 1 == 1 {
                product = product * square;
            }
            square = square * square;
            left >>= 1;
        }
        product
    }

    /// Times a power of two.
    pub fn times(self, power: f64) -> Dd {
        dd(self.hi * power, self.lo * power)
    }

    pub fn square(self) -> Dd {
        self * self
    }

    pub fn recip(self) -> Dd {
        ONE / self
    }

    /// By one of Newton's steps.
    pub fn sqrt(self) -> Dd {
        let root = self.hi.sqrt();
        if root == 0.0 {
            return ZERO;
        }
        let left = self - two_product(root, root);
        quick(root, left.hi / (2.0 * root))
    }

    pub fn abs(self) -> Dd {
        if self.hi < 0.0 { -self } else { self }
    }
}

impl Neg for Dd {
    type Output = Dd;
    fn neg(self) -> Dd {
        dd(-self.hi, -self.lo)
    }
}

impl Add for Dd {
    type Output = Dd;
    fn add(self, other: Dd) -> Dd {
        let (s, t) = (two_sum(self.hi, other.hi), two_sum(self.lo, other.lo));
        let s = quick(s.hi, s.lo + t.hi);
        quick(s.hi, s.lo + t.lo)
    }
}

impl Sub for Dd {
    type Output = Dd;
    fn sub(self, other: Dd) -> Dd {
        self + -other
    }
}

impl Mul for Dd {
    type Output = Dd;
    fn mul(self, other: Dd) -> Dd {
        let p = two_product(self.hi, other.hi);
        quick(p.hi, self.lo.mul_add(other.hi, self.hi.mul_add(other.lo, p.lo)))
    }
}

impl Div for Dd {
    type Output = Dd;
    fn div(self, other: Dd) -> Dd {
        let first = self.hi / other.hi;
        let left = self - other * first;
        let second = left.hi / other.hi;
        let left = left - other * second;
        let sum = quick(first, second);
        quick(sum.hi, sum.lo + left.hi / other.hi)
    }
}

macro_rules! with_number {
    ($($name:ident $method:ident)*) => {$(
        impl $name<f64> for Dd {
            type Output = Dd;
            fn $method(self, other: f64) -> Dd {
                self.$method(dd(other, 0.0))
            }
        }
    )*};
}
with_number!(Add add Sub sub Div div);

impl Mul<f64> for Dd {
    type Output = Dd;
    fn mul(self, other: f64) -> Dd {
        let p = two_product(self.hi, other);
        quick(p.hi, self.lo.mul_add(other, p.lo))
    }
}

/// A polynomial, lowest coefficient first. Those from `exact` on count so little that `f64` does.
pub fn poly(x: Dd, coefficients: &[Dd], exact: usize) -> Dd {
    let (head, tail) = coefficients.split_at(exact.min(coefficients.len()));
    let tail = tail.iter().rev().fold(0.0f64, |sum, c| sum.mul_add(x.hi, c.hi));
    head.iter().rev().fold(Dd::from(tail), |sum, c| sum * x + *c)
}
