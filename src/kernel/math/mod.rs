//! The vector-math recipes: elementary functions as straight-line programs over the primitives of [`Arith`].
//!
//! Each recipe is written once and fixes every operation and its order, so all its interpretations give the same bits.
//! None branches on a value: special cases are selected at the end, and the only thing left out of lanes is the range
//! reduction of huge arguments of `sin`, `cos` and `tan` ([`slow`]). Accuracy over the whole range, subnormal arguments and
//! results included (the measured maxima are lower, see `tests.rs`):
//!
//! - 1 ulp, with these exceptions;
//! - 1.5 ulp: `tanh`, `erfc`, `tan`, `atan2`; 2: `sigmoid`, `softplus`, `log_sigmoid`, `logaddexp` (where its terms cancel, of
//!   the logarithm);
//! - `ln_gamma` 4 ulp, `digamma` and `trigamma` 8, `tetragamma` and `pentagamma` 16, but at the zeros of the first two no less
//!   than 2^-52 absolutely (2^-23 in `f32`), and left of 0 in proportion to the larger term of the reflection.
//!
//! Two devices recur. A sum `s = a + b` with `|a| >= |b|` loses exactly `(a - s) + b` (Dekker's Fast2Sum), and a
//! product `p = a * b` loses exactly `fma(a, b, -p)`; with them a value is carried as an unevaluated pair of numbers
//! where one number is too coarse. And adding `1.5 * 2^MANTISSA` to a small number rounds it to an integer that stands
//! in the low bits of the sum, which is how floats become integers here.
//!
//! All coefficients are made by `tools/minimax.py`.

mod base;
mod error_function;
mod exp;
mod gamma;
mod hyperbolic;
mod inverse;
mod log;
mod logs;
mod polygamma;
mod pow;
pub mod slow;
#[cfg(test)]
mod tests;
mod trig;

pub use base::{cbrt, exp2, log2, log10};
pub use error_function::{erf, erfc};
pub use exp::{exp, exp_m1, sigmoid, softplus, tanh};
pub use gamma::{digamma, ln_gamma};
pub use hyperbolic::{cosh, sinh};
pub use inverse::{acos, asin, atan, atan2};
pub use log::{ln, ln_1p};
pub use logs::{log_sigmoid, logaddexp};
pub use polygamma::{pentagamma, tetragamma, trigamma};
pub use pow::pow;
pub use trig::{cos, sin, tan};

use super::arith::Arith;
use crate::real::Real;

/// The constant of the number type in use: `double` for `f64`, `single` for `f32`.
#[inline(always)]
fn pick<A: Arith, C>(double: C, single: C) -> C {
    if A::Real::DOUBLE { double } else { single }
}

/// A constant given for each type.
#[inline(always)]
fn lit<A: Arith>(a: &mut A, double: f64, single: f64) -> A::F {
    a.lit(pick::<A, f64>(double, single))
}

/// `c[0] + c[1] x + c[2] x^2 + ..`, given `x2 = x * x`: the even and the odd coefficients by Horner's rule in `x2`,
/// which halves the chain of dependent operations.
#[inline(always)]
fn poly<A: Arith>(a: &mut A, x: A::F, x2: A::F, c: &[f64]) -> A::F {
    let even = stride(a, x2, c, (c.len() - 1) & !1);
    if c.len() == 1 {
        return even;
    }
    let odd = stride(a, x2, c, (c.len() - 2) | 1);
    a.fma(odd, x, even)
}

/// Horner's rule over every second coefficient, from `c[top]` down.
#[inline(always)]
fn stride<A: Arith>(a: &mut A, x: A::F, c: &[f64], top: usize) -> A::F {
    let mut sum = a.lit(c[top]);
    let mut i = top;
    while i >= 2 {
        i -= 2;
        let low = a.lit(c[i]);
        sum = a.fma(sum, x, low);
    }
    sum
}

/// `a + b` and what the rounding lost; needs `|a| >= |b|`, or `a` a multiple of the last place of `b`.
#[inline(always)]
fn fast_two_sum<A: Arith>(a: &mut A, x: A::F, y: A::F) -> (A::F, A::F) {
    let sum = a.add(x, y);
    let rest = a.sub(x, sum);
    let lost = a.add(rest, y);
    (sum, lost)
}

/// `a * b` and what the rounding lost.
#[inline(always)]
fn two_product<A: Arith>(a: &mut A, x: A::F, y: A::F) -> (A::F, A::F) {
    let product = a.mul(x, y);
    let minus = a.neg(product);
    let lost = a.fma(x, y, minus);
    (product, lost)
}

/// The nearest integer of `x * scale`, and an integer whose low bits (as many as an exponent field has, and the sign
/// bit) hold that integer plus `bias`. `|x * scale|` must stay below a quarter of `2^MANTISSA`.
#[inline(always)]
fn to_integer<A: Arith>(a: &mut A, x: A::F, scale: f64, bias: u32) -> (A::F, A::I) {
    // An integer constant that the number type holds exactly: its last place is 1.
    let magic = a.lit(1.5 * (1u64 << A::Real::MANTISSA) as f64 + f64::from(bias));
    let scale = a.lit(scale);
    let shifted = a.fma(x, scale, magic);
    (a.sub(shifted, magic), a.bits(shifted))
}

/// `ln 2` rounded to the number type, and the rest of it.
#[inline(always)]
fn ln2<A: Arith>() -> (f64, f64) {
    pick::<A, (f64, f64)>((std::f64::consts::LN_2, 2.3190468138462996e-17), (0.6931471824645996, -1.9046542121259336e-9))
}

/// The bits that hold the sign.
#[inline(always)]
fn sign_mask<A: Arith>(a: &mut A) -> A::I {
    a.int(pick::<A, i64>(i64::MIN, 1 << 31))
}

/// `x` with the sign of `of` put on; `x` has none.
#[inline(always)]
fn with_sign<A: Arith>(a: &mut A, x: A::F, of: A::F) -> A::F {
    let mask = sign_mask(a);
    let bits = a.bits(of);
    let sign = a.iand(bits, mask);
    let bits = a.bits(x);
    let bits = a.ior(bits, sign);
    a.real(bits)
}
