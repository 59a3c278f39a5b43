//! Lowering: a graph operation as primitives. One exhaustive match, written over any interpretation of [`Arith`]: the kernel builder
//! gets instructions from it, the call stage numbers. A new operation is a row in `op.rs` and an arm here.

use super::arith::{Arith, Scalar};
use super::ir::{MathFn, functions};
use super::math;
use crate::op::Elem;
use crate::real::Real;

/// An interpretation that also knows the functions with recipes: by expanding them, or by keeping the call.
pub trait Math: Arith {
    /// The function of `x` (and `y`, for the one that takes two).
    fn math(&mut self, f: MathFn, x: Self::F, y: Self::F) -> Self::F;
}

impl<T: Real, const PATCH: bool> Math for Scalar<T, PATCH> {
    #[inline(always)]
    fn math(&mut self, f: MathFn, x: T, y: T) -> T {
        recipe(self, f, x, y)
    }
}

macro_rules! recipes {
    ({ $($one:ident $one_name:ident,)* } { $($two:ident $two_name:ident,)* }) => {
        /// The recipe of a function, over any interpretation; one of one operand doesn't read `y`.
        #[inline(always)]
        pub fn recipe<A: Arith>(a: &mut A, f: MathFn, x: A::F, y: A::F) -> A::F {
            match f {
                $(MathFn::$one => math::$one_name(a, x),)*
                $(MathFn::$two => math::$two_name(a, x, y),)*
            }
        }
    };
}
functions!(recipes);

/// One elementwise operation.
pub fn elem<A: Math>(a: &mut A, op: Elem, x: &[A::F]) -> A::F {
    elem_here(a, op, x)
}

/// The same, compiled into its caller and so for the caller's CPU.
#[inline(always)]
pub fn elem_here<A: Math>(a: &mut A, op: Elem, x: &[A::F]) -> A::F {
    let compare = |a: &mut A, m: A::M| {
        let (one, zero) = (a.lit(1.0), a.lit(0.0));
        a.select(m, one, zero)
    };
    match op {
        Elem::Neg => a.neg(x[0]),
        Elem::Abs => a.abs(x[0]),
        Elem::Sign => {
            // Keeps zeros and NaN.
            let (zero, one, minus) = (a.lit(0.0), a.lit(1.0), a.lit(-1.0));
            let below = a.lt(x[0], zero);
            let above = a.lt(zero, x[0]);
            let lower = a.select(below, minus, x[0]);
            a.select(above, one, lower)
        }
        Elem::Recip => {
            let one = a.lit(1.0);
            a.div(one, x[0])
        }
        Elem::Sqrt => a.sqrt(x[0]),
        Elem::Pivot => {
            let (zero, nan) = (a.lit(0.0), a.lit(f64::NAN));
            let (root, positive) = (a.sqrt(x[0]), a.lt(zero, x[0]));
            a.select(positive, root, nan)
        }
        Elem::Square => a.mul(x[0], x[0]),
        Elem::Powi(n) => powi(a, x[0], n),
        Elem::Powf => a.math(MathFn::Pow, x[0], x[1]),
        Elem::Exp => a.math(MathFn::Exp, x[0], x[0]),
        Elem::ExpM1 => a.math(MathFn::ExpM1, x[0], x[0]),
        Elem::Ln => a.math(MathFn::Ln, x[0], x[0]),
        Elem::Ln1p => a.math(MathFn::Ln1p, x[0], x[0]),
        Elem::Sin => a.math(MathFn::Sin, x[0], x[0]),
        Elem::Cos => a.math(MathFn::Cos, x[0], x[0]),
        Elem::Tanh => a.math(MathFn::Tanh, x[0], x[0]),
        Elem::Sigmoid => a.math(MathFn::Sigmoid, x[0], x[0]),
        Elem::Softplus => a.math(MathFn::Softplus, x[0], x[0]),
        Elem::Exp2 => a.math(MathFn::Exp2, x[0], x[0]),
        Elem::Log2 => a.math(MathFn::Log2, x[0], x[0]),
        Elem::Log10 => a.math(MathFn::Log10, x[0], x[0]),
        Elem::Cbrt => a.math(MathFn::Cbrt, x[0], x[0]),
        Elem::Tan => a.math(MathFn::Tan, x[0], x[0]),
        Elem::Asin => a.math(MathFn::Asin, x[0], x[0]),
        Elem::Acos => a.math(MathFn::Acos, x[0], x[0]),
        Elem::Atan => a.math(MathFn::Atan, x[0], x[0]),
        Elem::Sinh => a.math(MathFn::Sinh, x[0], x[0]),
        Elem::Cosh => a.math(MathFn::Cosh, x[0], x[0]),
        Elem::LogSigmoid => a.math(MathFn::LogSigmoid, x[0], x[0]),
        Elem::Erf => a.math(MathFn::Erf, x[0], x[0]),
        Elem::Erfc => a.math(MathFn::Erfc, x[0], x[0]),
        Elem::LnGamma => a.math(MathFn::LnGamma, x[0], x[0]),
        Elem::Digamma => a.math(MathFn::Digamma, x[0], x[0]),
        Elem::Trigamma => a.math(MathFn::Trigamma, x[0], x[0]),
        Elem::Atan2 => a.math(MathFn::Atan2, x[0], x[1]),
        Elem::Logaddexp => a.math(MathFn::Logaddexp, x[0], x[1]),
        Elem::Polygamma(n) => polygamma(a, n, x[0]),
        Elem::Add => a.add(x[0], x[1]),
        Elem::Sub => a.sub(x[0], x[1]),
        Elem::Mul => a.mul(x[0], x[1]),
        Elem::Div => a.div(x[0], x[1]),
        // The primitive gives the second operand with NaN on either side: a first operand that is NaN is put back.
        Elem::Min => {
            let (m, nan) = (a.min(x[0], x[1]), a.ne(x[0], x[0]));
            a.select(nan, x[0], m)
        }
        Elem::Max => {
            let (m, nan) = (a.max(x[0], x[1]), a.ne(x[0], x[0]));
            a.select(nan, x[0], m)
        }
        Elem::Floor => a.floor(x[0]),
        Elem::Ceil => {
            let minus = a.neg(x[0]);
            let floor = a.floor(minus);
            a.neg(floor)
        }
        Elem::Round => a.round(x[0]),
        Elem::Relu => {
            // NaN is not below 0 and stays.
            let zero = a.lit(0.0);
            let below = a.le(x[0], zero);
            a.select(below, zero, x[0])
        }
        Elem::Hypot => hypot(a, x[0], x[1]),
        Elem::Xlogy => {
            let zero = a.lit(0.0);
            let ln = a.math(MathFn::Ln, x[1], x[1]);
            let product = a.mul(x[0], ln);
            let nothing = a.eq(x[0], zero);
            let known = a.eq(x[1], x[1]);
            let nothing = a.both(nothing, known);
            a.select(nothing, zero, product)
        }
        Elem::And => {
            let zero = a.lit(0.0);
            let (m, n) = (a.ne(x[0], zero), a.ne(x[1], zero));
            let m = a.both(m, n);
            compare(a, m)
        }
        Elem::Or => {
            let zero = a.lit(0.0);
            let (m, n) = (a.ne(x[0], zero), a.ne(x[1], zero));
            let m = a.either(m, n);
            compare(a, m)
        }
        Elem::Not => {
            let zero = a.lit(0.0);
            let m = a.eq(x[0], zero);
            compare(a, m)
        }
        Elem::Lt => {
            let m = a.lt(x[0], x[1]);
            compare(a, m)
        }
        Elem::Le => {
            let m = a.le(x[0], x[1]);
            compare(a, m)
        }
        Elem::Gt => {
            let m = a.lt(x[1], x[0]);
            compare(a, m)
        }
        Elem::Ge => {
            let m = a.le(x[1], x[0]);
            compare(a, m)
        }
        Elem::Eq => {
            let m = a.eq(x[0], x[1]);
            compare(a, m)
        }
        Elem::Ne => {
            let m = a.ne(x[0], x[1]);
            compare(a, m)
        }
        Elem::Select => {
            let zero = a.lit(0.0);
            let m = a.ne(x[0], zero);
            a.select(m, x[1], x[2])
        }
    }
}

/// `m sqrt(1 + (n / m)^2)` with `m` the larger in size: no square overflows, and one that underflows is too small to matter. About 2 ulp.
fn hypot<A: Arith>(a: &mut A, x: A::F, z: A::F) -> A::F {
    let (x, z) = (a.abs(x), a.abs(z));
    let (larger, smaller) = (a.max(x, z), a.min(x, z));
    let ratio = a.div(smaller, larger);
    let one = a.lit(1.0);
    let sum = a.fma(ratio, ratio, one);
    let root = a.sqrt(sum);
    let product = a.mul(larger, root);
    // 0 / 0 and inf / inf: the larger says it all. An infinity wins over NaN, as in C.
    let infinity = a.lit(f64::INFINITY);
    let zero = a.lit(0.0);
    let origin = a.eq(larger, zero);
    let product = a.select(origin, larger, product);
    let (m, n) = (a.eq(x, infinity), a.eq(z, infinity));
    let infinite = a.either(m, n);
    let product = a.select(infinite, infinity, product);
    // `max` gives its second operand for NaN: a first one that is NaN is put back.
    let nan = a.ne(x, x);
    let finite = a.not(infinite);
    let nan = a.both(nan, finite);
    a.select(nan, x, product)
}

/// The polygamma function of order `n`: recipes for the orders that first and second derivatives of the table need; beyond, for `x > 0`, the
/// recurrence to arguments above 16 and there the asymptotic series (Abramowitz and Stegun 6.4.6, 6.4.11); NaN for `x <= 0` or `n < 0`.
fn polygamma<A: Math>(a: &mut A, n: i32, x: A::F) -> A::F {
    match n {
        0 => return a.math(MathFn::Digamma, x, x),
        1 => return a.math(MathFn::Trigamma, x, x),
        2 => return a.math(MathFn::Tetragamma, x, x),
        3 => return a.math(MathFn::Pentagamma, x, x),
        4..=MAX_ORDER => {}
        _ => return a.lit(f64::NAN),
    }
    const SHIFT: i32 = 16;
    // B_2k from k = 1 on. What follows is too small to show: where the terms fall slowly, for small x or large n, the sum before them is the larger
    // part by far.
    const BERNOULLI: [f64; 7] = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0];
    let bernoulli = if A::Real::DOUBLE { &BERNOULLI[..] } else { &BERNOULLI[..3] };
    let factorial = |k: i32| (1..=k).map(f64::from).product::<f64>();
    // Powers and factorials are large or small where the result isn't: `f / w^m` is taken as `(c / w)^m` with `c^m` next to `f`, and `f / c^m`
    // after it. A `c` of 16 digits is exact in either type.
    let root = |f: f64, m: i32| {
        let c = f.powf(1.0 / f64::from(m));
        let digits = 2f64.powi(15 - c.log2().floor() as i32);
        (c * digits).round() / digits
    };
    let c = root(factorial(n), n + 1);
    let numerator = a.lit(c);
    let ratio = a.div(numerator, x);
    let mut sum = powi(a, ratio, n + 1);
    for k in 1..SHIFT {
        let k = a.lit(f64::from(k));
        let at = a.add(x, k);
        let ratio = a.div(numerator, at);
        let term = powi(a, ratio, n + 1);
        sum = a.add(sum, term);
    }
    let factor = a.lit(factorial(n) / c.powi(n + 1));
    let sum = a.mul(sum, factor);
    let one = a.lit(1.0);
    let shift = a.lit(f64::from(SHIFT));
    let y = a.add(x, shift);
    let inverse = a.div(one, y);
    let square = a.mul(inverse, inverse);
    // (n-1)! / y^n times 1 + n / (2 y) + sum of B_2k (2k+n-1)! / ((2k)! (n-1)! y^2k).
    let mut coefficients = bernoulli.iter().enumerate().rev().map(|(k, b)| {
        let twice = 2 * (k as i32 + 1);
        b * (1..=twice).map(|j| f64::from(n - 1 + j) / f64::from(j)).product::<f64>()
    });
    let mut series = a.lit(coefficients.next().unwrap_or_default());
    for c in coefficients {
        let c = a.lit(c);
        let inner = a.mul(series, square);
        series = a.add(inner, c);
    }
    let series = a.mul(series, square);
    let half = a.lit(f64::from(n) / 2.0);
    let half = a.mul(half, inverse);
    let tail = a.add(series, half);
    let tail = a.add(tail, one);
    let c = root(factorial(n - 1), n);
    let numerator = a.lit(c);
    let ratio = a.div(numerator, y);
    let power = powi(a, ratio, n);
    let tail = a.mul(tail, power);
    let factor = a.lit(factorial(n - 1) / c.powi(n));
    let tail = a.mul(tail, factor);
    let size = a.add(sum, tail);
    let value = if n % 2 == 0 { a.neg(size) } else { size };
    let (zero, nan) = (a.lit(0.0), a.lit(f64::NAN));
    let inside = a.lt(zero, x);
    a.select(inside, value, nan)
}

/// The largest order of a polygamma function whose factorials stay far from overflow in `f64`.
const MAX_ORDER: i32 = 100;

/// An integer power by squaring: at most `2 log2 |n|` products, each rounded; `1 / x^|n|` for a negative power.
fn powi<A: Arith>(a: &mut A, x: A::F, n: i32) -> A::F {
    let mut left = n.unsigned_abs();
    if left == 0 {
        return a.lit(1.0);
    }
    let mut square = x;
    let mut product: Option<A::F> = None;
    while left > 0 {
        if left & 1 == 1 {
            product = Some(match product {
                Some(p) => a.mul(p, square),
                None => square,
            });
        }
        left >>= 1;
        if left > 0 {
            square = a.mul(square, square);
        }
    }
    let power = product.expect("n is not 0");
    if n > 0 {
        power
    } else {
        let one = a.lit(1.0);
        a.div(one, power)
    }
}
