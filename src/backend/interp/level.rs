//! CPU levels: the same loops compiled three times, and the call stage twice. A level is a token: holding one proves that the CPU has what it needs.

// The one place of the interpreter where a function compiled for more than the baseline is called.
#![allow(unsafe_code)]

use super::loops::{self, Operand};
#[cfg(target_arch = "x86_64")]
use super::shuffle;
use super::transpose::{self, Run, transpose};
use crate::graph::Fold;
use crate::kernel::arith::Scalar;
use crate::kernel::ir::{Bin, Cmp, Int, Mask, MathFn, Un, functions};
use crate::kernel::lower;
use crate::kernel::uniform::{Long, UniformProgram};
use crate::op::Elem;
use crate::real::Real;

/// A CPU level this machine has. Made by asking the CPU, nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// What every CPU has.
    pub const BASELINE: Level = Level(Kind::Baseline);

    /// Every level this machine has, the plainest first.
    pub fn all() -> Vec<Level> {
        let mut levels = vec![Level(Kind::Baseline)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Level(Kind::Avx2));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                {
                    levels.push(Level(Kind::Avx512));
                }
            }
        }
        levels
    }

    /// The fastest.
    pub fn best() -> Level {
        *Self::all().last().expect("the baseline is always there")
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }
}

/// Asks for the cache line at a place, which may lie behind the numbers: nothing happens then.
#[inline(always)]
pub fn prefetch<T>(numbers: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        let line = numbers.as_ptr().wrapping_add(at).cast();
        // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address; every x86-64 CPU has it.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (numbers, at);
}

impl Level {
    /// Runs `f` as compiled for this level, with everything that is inlined into it.
    #[inline(always)]
    pub fn here<R>(self, f: impl FnOnce() -> R) -> R {
        match self.0 {
            Kind::Baseline => f(),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => {
                #[target_feature(enable = "avx2,fma")]
                fn run<R>(f: impl FnOnce() -> R) -> R {
                    f()
                }
                // SAFETY: a `Level` of this kind is made only after the CPU was asked for avx2 and fma.
                unsafe { run(f) }
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => {
                #[target_feature(enable = "avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")]
                fn run<R>(f: impl FnOnce() -> R) -> R {
                    f()
                }
                // SAFETY: a `Level` of this kind is made only after the CPU was asked for every feature named above.
                unsafe { run(f) }
            }
        }
    }

    /// The call stage's program as compiled for this level. A fused product and sum is a call of the C library without the CPU's own, and
    /// functions are full of them: a softplus takes three times as long.
    #[inline]
    pub fn uniforms(self, program: &UniformProgram, slots: &mut [f64]) {
        match self.0 {
            Kind::Baseline => program.run(slots),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 | Kind::Avx512 => {
                #[target_feature(enable = "avx2,fma")]
                fn elem(op: Elem, x: &[f64; 3]) -> f64 {
                    lower::elem_here(&mut Scalar::<f64>::new(), op, x)
                }
                #[target_feature(enable = "avx2,fma")]
                #[inline(never)]
                fn long(long: Long<'_>, slots: &mut [f64]) {
                    long.run(slots, |op, x| elem(op, x));
                }
                #[target_feature(enable = "avx2,fma")]
                fn run(program: &UniformProgram, slots: &mut [f64]) {
                    program.run_with(slots, |op, x| elem(op, x), |instruction, slots| long(instruction, slots));
                }
                // SAFETY: a `Level` of these kinds is made only after the CPU was asked for avx2 and fma.
                unsafe { run(program, slots) }
            }
        }
    }
}

/// For each loop a method that runs it as compiled for the level.
macro_rules! compiled_for_levels {
    ($(fn $name:ident($($arg:ident: $type:ty),*);)*) => {
        impl Level {
            $(
                #[doc = concat!("[`loops::", stringify!($name), "`] as compiled for this level.")]
                #[inline]
                pub fn $name<T: Real>(self, $($arg: $type),*) {
                    match self.0 {
                        Kind::Baseline => loops::$name($($arg),*),
                        #[cfg(target_arch = "x86_64")]
                        Kind::Avx2 => {
                            #[target_feature(enable = "avx2,fma")]
                            fn run<T: Real>($($arg: $type),*) {
                                loops::$name($($arg),*);
                            }
                            // SAFETY: a `Level` of this kind is made only after the CPU was asked for avx2 and fma.
                            unsafe { run($($arg),*) }
                        }
                        #[cfg(target_arch = "x86_64")]
                        Kind::Avx512 => {
                            #[target_feature(enable = "avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")]
                            fn run<T: Real>($($arg: $type),*) {
                                loops::$name($($arg),*);
                            }
                            // SAFETY: a `Level` of this kind is made only after the CPU was asked for every feature named above.
                            unsafe { run($($arg),*) }
                        }
                    }
                }
            )*
        }
    };
}

impl Level {
    /// Copies `n` samples of the runs' columns from rows to columns: [`transpose`] with the level's own way of turning a square block.
    pub fn transpose<T: Real>(self, out: &mut [T], pitch: usize, rows: &[T], stride: usize, runs: &[Run], n: usize) {
        match self.0 {
            Kind::Baseline => transpose(out, pitch, rows, stride, runs, n, transpose::block::<T, 8>),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => {
                #[target_feature(enable = "avx2,fma")]
                fn run<T: Real>(out: &mut [T], pitch: usize, rows: &[T], stride: usize, runs: &[Run], n: usize) {
                    if T::DOUBLE {
                        transpose(out, pitch, rows, stride, runs, n, transpose::block::<T, 8>);
                    } else {
                        transpose(out, pitch, rows, stride, runs, n, |out, pitch, rows, stride| shuffle::singles(out, pitch, rows, stride));
                    }
                }
                // SAFETY: a `Level` of this kind is made only after the CPU was asked for avx2 and fma.
                unsafe { run(out, pitch, rows, stride, runs, n) }
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => {
                #[target_feature(enable = "avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")]
                fn run<T: Real>(out: &mut [T], pitch: usize, rows: &[T], stride: usize, runs: &[Run], n: usize) {
                    if T::DOUBLE {
                        transpose(out, pitch, rows, stride, runs, n, |out, pitch, rows, stride| shuffle::doubles(out, pitch, rows, stride));
                    } else {
                        transpose(out, pitch, rows, stride, runs, n, |out, pitch, rows, stride| shuffle::singles(out, pitch, rows, stride));
                    }
                }
                // SAFETY: a `Level` of this kind is made only after the CPU was asked for every feature named above.
                unsafe { run(out, pitch, rows, stride, runs, n) }
            }
        }
    }
}

compiled_for_levels! {
    fn unary(op: Un, out: &mut [T], a: Operand<'_, T>);
    fn binary(op: Bin, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>);
    fn compare(op: Cmp, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>);
    fn mask(op: Mask, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>);
    fn not(out: &mut [T], a: Operand<'_, T>);
    fn integer(op: Int, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>);
    fn shift(left: bool, n: u32, out: &mut [T], a: Operand<'_, T>);
    fn fma(np: bool, nc: bool, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, c: Operand<'_, T>);
    fn select(out: &mut [T], m: Operand<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>);
    fn fold_into(fold: Fold, out: &mut [T], a: Operand<'_, T>);
    fn fold_product(out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>);
    fn accumulate(fold: Fold, acc: &mut [T], a: Operand<'_, T>, n: usize);
    fn accumulate_product(acc: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, n: usize);
}

macro_rules! functions_for_levels {
    ({ $($one:ident $one_name:ident,)* } { $($two:ident $two_name:ident,)* }) => {
        compiled_for_levels! {
            $(fn $one_name(out: &mut [T], a: &[T]);)*
            $(fn $two_name(out: &mut [T], a: &[T], b: &[T]);)*
        }

        impl Level {
            /// A function, slow ranges left unmended; one of one operand doesn't read `b`.
            pub fn function<T: Real>(self, f: MathFn, out: &mut [T], a: &[T], b: &[T]) {
                match f {
                    $(MathFn::$one => self.$one_name(out, a),)*
                    $(MathFn::$two => self.$two_name(out, a, b),)*
                }
            }
        }
    };
}
functions!(functions_for_levels);
