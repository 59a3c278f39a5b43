//! The two number types kernels run on, `f64` and `f32`, and what the compiler must know of their bits.

use crate::labels::LabelColumn;
use crate::strided::Strided;
use std::fmt::{Debug, Display};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for f32 {}
}

/// The bit pattern of a number as an integer that wraps at its own width.
pub trait Bits: sealed::Sealed + Copy + Default + PartialEq + Eq + Debug + Send + Sync + 'static {
    /// The low bits of a wider integer.
    fn truncate(x: u64) -> Self;
    /// Zero-extended.
    fn widen(self) -> u64;
    /// Wrapping sum.
    fn add(self, other: Self) -> Self;
    /// Wrapping difference.
    fn sub(self, other: Self) -> Self;
    /// Bitwise and.
    fn and(self, other: Self) -> Self;
    /// Bitwise or.
    fn or(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    fn xor(self, other: Self) -> Self;
    /// Shift left.
    fn shl(self, n: u32) -> Self;
    /// Logical shift right.
    fn shr(self, n: u32) -> Self;
}

macro_rules! bits {
    ($t:ident) => {
        impl sealed::Sealed for $t {}
        impl Bits for $t {
            #[inline(always)]
            fn truncate(x: u64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn widen(self) -> u64 {
                u64::from(self)
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn shl(self, n: u32) -> Self {
                self << n
            }
            #[inline(always)]
            fn shr(self, n: u32) -> Self {
                self >> n
            }
        }
    };
}

bits!(u64);
bits!(u32);

/// A number type of samples and of the arithmetic on them: `f64` or `f32`.
///
/// The trait is sealed. Sums over samples are carried in `f64` whatever the type.
pub trait Real:
    sealed::Sealed
    + Copy
    + Default
    + PartialEq
    + PartialOrd
    + Debug
    + Display
    + Send
    + Sync
    + 'static
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    /// `u64` or `u32`.
    type Bits: Bits;
    /// `"f64"` or `"f32"`, as programs and kernels print it.
    const NAME: &'static str;
    /// True for `f64`: picks the constants of the wider type in a math recipe.
    const DOUBLE: bool;
    /// Stored bits of the significand (52 or 23).
    const MANTISSA: u32;
    /// Distance from 1 to the next number.
    const EPSILON: f64;

    /// Rounds to nearest.
    fn from_f64(x: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// The bit pattern.
    fn bits(self) -> Self::Bits;
    /// The number with this bit pattern.
    fn from_bits(bits: Self::Bits) -> Self;
    /// `self * a + b` with one rounding.
    fn fma(self, a: Self, b: Self) -> Self;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The sign bit cleared.
    fn abs(self) -> Self;
    /// Towards minus infinity.
    fn floor(self) -> Self;
    /// To the nearest integer, ties to even.
    fn round_even(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Whole numbers among the reals, read as labels.
    #[doc(hidden)]
    fn as_labels(x: &[Self]) -> LabelColumn<'_>;
    /// The same of an entry of rows.
    #[doc(hidden)]
    fn as_strided_labels(x: Strided<'_, Self>) -> LabelColumn<'_>;
}

macro_rules! real {
    ($t:ident, $name:literal, $double:literal, $mantissa:literal, $bits:ident) => {
        impl Real for $t {
            type Bits = $bits;
            const NAME: &'static str = $name;
            const DOUBLE: bool = $double;
            const MANTISSA: u32 = $mantissa;
            const EPSILON: f64 = $t::EPSILON as f64;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn bits(self) -> $bits {
                self.to_bits()
            }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                $t::from_bits(bits)
            }
            #[inline(always)]
            fn fma(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn floor(self) -> Self {
                $t::floor(self)
            }
            #[inline(always)]
            fn round_even(self) -> Self {
                self.round_ties_even()
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            fn as_labels(x: &[Self]) -> LabelColumn<'_> {
                x.into()
            }
            fn as_strided_labels(x: Strided<'_, Self>) -> LabelColumn<'_> {
                x.into()
            }
        }
    };
}

real!(f64, "f64", true, 52, u64);
real!(f32, "f32", false, 23, u32);
