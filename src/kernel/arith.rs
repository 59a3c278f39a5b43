//! `Arith`: the primitives of the kernel IR as a trait, so that a math recipe is written once and interpreted twice:
//! over numbers ([`Scalar`], what the interpreter's loops and the call stage run) and over the kernel builder (IR for a native backend).
//! Both give the same bits, because a recipe fixes every operation and its order.

use crate::real::{Bits, Real};
use std::marker::PhantomData;

/// Argument ranges that cannot be computed in lanes and are mended lane by lane afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Slow {
    /// `sin` of an argument too large for the recipe's range reduction.
    Sin,
    /// `cos` of such an argument.
    Cos,
    /// `tan` of such an argument.
    Tan,
}

/// The primitives. `F` is a lane of reals, `I` a lane of their bit patterns as integers, `M` a mask.
pub trait Arith {
    /// The number type; picks the constants.
    type Real: Real;
    /// A real.
    type F: Copy;
    /// An integer as wide as the real (wrapping arithmetic).
    type I: Copy;
    /// A truth value.
    type M: Copy;

    /// A constant, rounded to the number type.
    fn lit(&mut self, c: f64) -> Self::F;
    /// Sum.
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// Difference.
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// Product.
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// Quotient.
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The sign bit flipped.
    fn neg(&mut self, a: Self::F) -> Self::F;
    /// The sign bit cleared.
    fn abs(&mut self, a: Self::F) -> Self::F;
    /// Square root, correctly rounded.
    fn sqrt(&mut self, a: Self::F) -> Self::F;
    /// Towards minus infinity.
    fn floor(&mut self, a: Self::F) -> Self::F;
    /// To the nearest integer, ties to even.
    fn round(&mut self, a: Self::F) -> Self::F;
    /// `if a < b { a } else { b }`: `b` when either is NaN or both are zero.
    fn min(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `if a > b { a } else { b }`: `b` when either is NaN or both are zero.
    fn max(&mut self, a: Self::F, b: Self::F) -> Self::F;

    /// `a < b`
    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a <= b`
    fn le(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a == b`
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// True when either is NaN.
    fn ne(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// Both masks.
    fn both(&mut self, a: Self::M, b: Self::M) -> Self::M;
    /// Either mask.
    fn either(&mut self, a: Self::M, b: Self::M) -> Self::M;
    /// The mask turned round.
    fn not(&mut self, a: Self::M) -> Self::M;
    /// `if m { a } else { b }`; both are computed.
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// The bit pattern of a real.
    fn bits(&mut self, a: Self::F) -> Self::I;
    /// The real with this bit pattern.
    fn real(&mut self, a: Self::I) -> Self::F;
    /// An integer constant, truncated to the width.
    fn int(&mut self, c: i64) -> Self::I;
    /// Wrapping sum.
    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Wrapping difference.
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise and.
    fn iand(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise or.
    fn ior(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise exclusive or.
    fn ixor(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Shift left by a constant.
    fn shl(&mut self, a: Self::I, n: u32) -> Self::I;
    /// Logical shift right by a constant.
    fn shr(&mut self, a: Self::I, n: u32) -> Self::I;

    /// `fast`, except where `x` lies in `slow`'s range: there the slow path's value of `x`.
    fn patch(&mut self, slow: Slow, x: Self::F, fast: Self::F) -> Self::F;
}

/// `Arith` over one number. With `PATCH = false` slow ranges are left unmended, so that a loop over lanes has no branch
/// and vectorises; the caller mends those lanes in a second loop.
#[derive(Clone, Copy, Default, Debug)]
pub struct Scalar<T, const PATCH: bool = true>(PhantomData<T>);

impl<T, const PATCH: bool> Scalar<T, PATCH> {
    /// The interpretation over numbers.
    #[inline(always)]
    pub fn new() -> Self {
        Scalar(PhantomData)
    }
}

impl<T: Real, const PATCH: bool> Arith for Scalar<T, PATCH> {
    type Real = T;
    type F = T;
    type I = T::Bits;
    type M = bool;

    #[inline(always)]
    fn lit(&mut self, c: f64) -> T {
        T::from_f64(c)
    }
    #[inline(always)]
    fn add(&mut self, a: T, b: T) -> T {
        a + b
    }
    #[inline(always)]
    fn sub(&mut self, a: T, b: T) -> T {
        a - b
    }
    #[inline(always)]
    fn mul(&mut self, a: T, b: T) -> T {
        a * b
    }
    #[inline(always)]
    fn div(&mut self, a: T, b: T) -> T {
        a / b
    }
    #[inline(always)]
    fn fma(&mut self, a: T, b: T, c: T) -> T {
        a.fma(b, c)
    }
    #[inline(always)]
    fn neg(&mut self, a: T) -> T {
        -a
    }
    #[inline(always)]
    fn abs(&mut self, a: T) -> T {
        a.abs()
    }
    #[inline(always)]
    fn sqrt(&mut self, a: T) -> T {
        a.sqrt()
    }
    #[inline(always)]
    fn floor(&mut self, a: T) -> T {
        a.floor()
    }
    #[inline(always)]
    fn round(&mut self, a: T) -> T {
        a.round_even()
    }
    #[inline(always)]
    fn min(&mut self, a: T, b: T) -> T {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn max(&mut self, a: T, b: T) -> T {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn lt(&mut self, a: T, b: T) -> bool {
        a < b
    }
    #[inline(always)]
    fn le(&mut self, a: T, b: T) -> bool {
        a <= b
    }
    #[inline(always)]
    fn eq(&mut self, a: T, b: T) -> bool {
        a == b
    }
    #[inline(always)]
    fn ne(&mut self, a: T, b: T) -> bool {
        a != b
    }
    #[inline(always)]
    fn both(&mut self, a: bool, b: bool) -> bool {
        a & b
    }
    #[inline(always)]
    fn either(&mut self, a: bool, b: bool) -> bool {
        a | b
    }
    #[inline(always)]
    fn not(&mut self, a: bool) -> bool {
        !a
    }
    #[inline(always)]
    fn select(&mut self, m: bool, a: T, b: T) -> T {
        if m { a } else { b }
    }
    #[inline(always)]
    fn bits(&mut self, a: T) -> T::Bits {
        a.bits()
    }
    #[inline(always)]
    fn real(&mut self, a: T::Bits) -> T {
        T::from_bits(a)
    }
    #[inline(always)]
    fn int(&mut self, c: i64) -> T::Bits {
        T::Bits::truncate(c as u64)
    }
    #[inline(always)]
    fn iadd(&mut self, a: T::Bits, b: T::Bits) -> T::Bits {
        a.add(b)
    }
    #[inline(always)]
    fn isub(&mut self, a: T::Bits, b: T::Bits) -> T::Bits {
        a.sub(b)
    }
    #[inline(always)]
    fn iand(&mut self, a: T::Bits, b: T::Bits) -> T::Bits {
        a.and(b)
    }
    #[inline(always)]
    fn ior(&mut self, a: T::Bits, b: T::Bits) -> T::Bits {
        a.or(b)
    }
    #[inline(always)]
    fn ixor(&mut self, a: T::Bits, b: T::Bits) -> T::Bits {
        a.xor(b)
    }
    #[inline(always)]
    fn shl(&mut self, a: T::Bits, n: u32) -> T::Bits {
        a.shl(n)
    }
    #[inline(always)]
    fn shr(&mut self, a: T::Bits, n: u32) -> T::Bits {
        a.shr(n)
    }
    #[inline(always)]
    fn patch(&mut self, slow: Slow, x: T, fast: T) -> T {
        if PATCH { super::math::slow::mend(slow, x, fast) } else { fast }
    }
}
