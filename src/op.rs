//! THE TABLE of elementwise operations: one row gives the DSL method, the oracle's value, constant folding, the pullback,
//! the text name and the ranges that tests draw from.
//!
//! A row reads
//!
//! ```text
//! /// what it is
//! Variant name (x in LO..HI, z in LO..HI) = value in f64, |y, d| [pullback to x, pullback to z];
//! ```
//!
//! where `y` is the answer and `d` the incoming adjoint. The pullback is written over anything number-like ([`Num`]), so the same line is
//! run on numbers by the checker and builds the gradient's graph in `diff`. A contribution of `x.lift(0.0)` is dropped.
//!
//! Kinks follow one convention: the derivative is the mean of the two one-sided ones (`abs` at 0 has 0, `max` of equals gives each half);
//! steps (comparisons, `sign`) have derivative 0 everywhere; `select` passes the adjoint by selecting, never by multiplying. A contribution
//! written `c.select(.., x.lift(0.0))` is exactly 0 where `c` is 0 however infinite what follows on the way to the inputs is: `diff` keeps the
//! condition apart and applies it last.

use crate::special;
use smallvec::SmallVec;

macro_rules! table {
    ($consumer:ident) => {
        $consumer! {
            /// `-x`
            Neg neg (x in -4.0..4.0) = -x, |y, d| [-d];
            /// The absolute value; its derivative at 0 is 0.
            Abs abs (x in -4.0..4.0) = x.abs(), |y, d| [d * x.sign()];
            /// -1, 0 or 1; keeps NaN and the sign of zero. Its derivative is 0.
            Sign sign (x in -4.0..4.0) = if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }, |y, d| [x.lift(0.0)];
            /// `1 / x`
            Recip recip (x in 0.2..4.0) = 1.0 / x, |y, d| [-(d * y.square())];
            /// The square root.
            Sqrt sqrt (x in 0.1..9.0) = x.sqrt(), |y, d| [d * 0.5 / y];
            /// The square root of a positive number, NaN of any other: the diagonal entry of a Cholesky factor from its pivot.
            Pivot pivot (x in 0.1..9.0) = if x > 0.0 { x.sqrt() } else { f64::NAN }, |y, d| [d * 0.5 / y];
            /// `x * x`
            Square square (x in -3.0..3.0) = x * x, |y, d| [d * (x * 2.0)];
            /// `x` to a fixed integer power, by repeated multiplication.
            Powi powi (x in 0.3..2.5; n: i32) = x.powi(n), |y, d| [if n == 0 { x.lift(0.0) } else { d * (x.powi(n.saturating_sub(1)) * f64::from(n)) }];
            /// `x` to the power `z`, as C's `pow`. The derivative by `z` at `x = 0` is 0.
            Powf powf (x in 0.2..3.0, z in -2.0..2.0) = x.powf(z), |y, d| [d * (z * x.powf(z - 1.0)), x.eq(x.lift(0.0)).select(x.lift(0.0), d * (y * x.ln()))];
            /// The exponential.
            Exp exp (x in -3.0..3.0) = x.exp(), |y, d| [d * y];
            /// `exp(x) - 1`, accurate near 0.
            ExpM1 exp_m1 (x in -3.0..3.0) = x.exp_m1(), |y, d| [d * x.exp()];
            /// The natural logarithm.
            Ln ln (x in 0.1..9.0) = x.ln(), |y, d| [d / x];
            /// `ln(1 + x)`, accurate near 0.
            Ln1p ln_1p (x in -0.8..6.0) = x.ln_1p(), |y, d| [d / (x + 1.0)];
            /// The sine of an angle in radians.
            Sin sin (x in -5.0..5.0) = x.sin(), |y, d| [d * x.cos()];
            /// The cosine of an angle in radians.
            Cos cos (x in -5.0..5.0) = x.cos(), |y, d| [-(d * x.sin())];
            /// The hyperbolic tangent.
            Tanh tanh (x in -3.0..3.0) = x.tanh(), |y, d| [d * (x.lift(1.0) - y.square())];
            /// The logistic function `1 / (1 + exp(-x))`, accurate in both tails.
            Sigmoid sigmoid (x in -5.0..5.0) = if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { let e = x.exp(); e / (1.0 + e) }, |y, d| [d * (y * (-x).sigmoid())];
            /// `ln(1 + exp(x))`, accurate in both tails.
            Softplus softplus (x in -5.0..5.0) = if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }, |y, d| [d * x.sigmoid()];
            /// `2^x`
            Exp2 exp2 (x in -3.0..3.0) = x.exp2(), |y, d| [d * (y * std::f64::consts::LN_2)];
            /// The logarithm to base 2.
            Log2 log2 (x in 0.1..9.0) = x.log2(), |y, d| [d / x * std::f64::consts::LOG2_E];
            /// The logarithm to base 10.
            Log10 log10 (x in 0.1..9.0) = x.log10(), |y, d| [d / x * std::f64::consts::LOG10_E];
            /// The cube root, of negative numbers too.
            Cbrt cbrt (x in 0.1..9.0) = x.cbrt(), |y, d| [d / (y.square() * 3.0)];
            /// The tangent of an angle in radians.
            Tan tan (x in -1.3..1.3) = x.tan(), |y, d| [d * (y.square() + 1.0)];
            /// The arc sine, in radians.
            Asin asin (x in -0.9..0.9) = x.asin(), |y, d| [d / (x.lift(1.0) - x.square()).sqrt()];
            /// The arc cosine, in radians.
            Acos acos (x in -0.9..0.9) = x.acos(), |y, d| [-(d / (x.lift(1.0) - x.square()).sqrt())];
            /// The arc tangent, in radians.
            Atan atan (x in -4.0..4.0) = x.atan(), |y, d| [d / (x.square() + 1.0)];
            /// The angle, in radians, of the point with ordinate `x` and abscissa `z`, as C's `atan2`.
            Atan2 atan2 (x in 0.3..4.0, z in -4.0..4.0) = x.atan2(z), |y, d| [d * (z / (x.square() + z.square())), -(d * (x / (x.square() + z.square())))];
            /// The hyperbolic sine.
            Sinh sinh (x in -3.0..3.0) = x.sinh(), |y, d| [d * x.cosh()];
            /// The hyperbolic cosine.
            Cosh cosh (x in -3.0..3.0) = x.cosh(), |y, d| [d * x.sinh()];
            /// `ln(sigmoid(x))`, accurate in both tails.
            LogSigmoid log_sigmoid (x in -5.0..5.0) = if x.is_nan() { x } else { -((-x).max(0.0) + (-x.abs()).exp().ln_1p()) }, |y, d| [d * (-x).sigmoid()];
            /// `ln(exp(x) + exp(z))`, without overflow.
            Logaddexp logaddexp (x in -4.0..4.0, z in -4.0..4.0) = special::logaddexp(x, z), |y, d| [d * (x - z).sigmoid(), d * (z - x).sigmoid()];
            /// The error function.
            Erf erf (x in -2.5..2.5) = special::erf(x), |y, d| [d * ((-x.square()).exp() * std::f64::consts::FRAC_2_SQRT_PI)];
            /// `1 - erf(x)`, accurate in the right tail.
            Erfc erfc (x in -2.5..2.5) = special::erfc(x), |y, d| [-(d * ((-x.square()).exp() * std::f64::consts::FRAC_2_SQRT_PI))];
            /// The logarithm of the absolute value of the gamma function.
            LnGamma ln_gamma (x in 0.3..9.0) = special::ln_gamma(x), |y, d| [d * x.digamma()];
            /// The derivative of `ln_gamma`.
            Digamma digamma (x in 0.3..9.0) = special::polygamma(0, x), |y, d| [d * x.trigamma()];
            /// The second derivative of `ln_gamma`.
            Trigamma trigamma (x in 0.3..9.0) = special::polygamma(1, x), |y, d| [d * x.polygamma(2)];
            /// The derivative of order `n + 1` of `ln_gamma`: `polygamma(0)` is `digamma`, `polygamma(1)` is `trigamma`. From order 4 on for `x > 0` only.
            Polygamma polygamma (x in 0.5..9.0; n: i32) = special::polygamma(n, x), |y, d| [d * x.polygamma(n.saturating_add(1))];
            /// `x + z`
            Add add (x in -4.0..4.0, z in -4.0..4.0) = x + z, |y, d| [d, d];
            /// `x - z`
            Sub sub (x in -4.0..4.0, z in -4.0..4.0) = x - z, |y, d| [d, -d];
            /// `x * z`
            Mul mul (x in -4.0..4.0, z in -4.0..4.0) = x * z, |y, d| [d * z, d * x];
            /// `x / z`
            Div div (x in -4.0..4.0, z in 0.3..4.0) = x / z, |y, d| [d / z, -(d / z * y)];
            /// The smaller of two; NaN if either is NaN. Of equals each has half of the derivative.
            Min min (x in -4.0..4.0, z in -4.0..4.0) = if x.is_nan() || x < z { x } else { z }, |y, d| [
                x.le(z).select(x.eq(z).select(d * 0.5, d), x.lift(0.0)),
                z.le(x).select(x.eq(z).select(d * 0.5, d), x.lift(0.0))
            ];
            /// The larger of two; NaN if either is NaN. Of equals each has half of the derivative.
            Max max (x in -4.0..4.0, z in -4.0..4.0) = if x.is_nan() || x > z { x } else { z }, |y, d| [
                x.ge(z).select(x.eq(z).select(d * 0.5, d), x.lift(0.0)),
                z.ge(x).select(x.eq(z).select(d * 0.5, d), x.lift(0.0))
            ];
            /// Towards minus infinity; its derivative is 0.
            Floor floor (x in -4.0..4.0) = x.floor(), |y, d| [x.lift(0.0)];
            /// Towards plus infinity; its derivative is 0.
            Ceil ceil (x in -4.0..4.0) = x.ceil(), |y, d| [x.lift(0.0)];
            /// To the nearest integer, ties to even; its derivative is 0.
            Round round (x in -4.0..4.0) = x.round_ties_even(), |y, d| [x.lift(0.0)];
            /// `max(x, 0)`; NaN stays NaN. Its derivative at 0 is one half.
            Relu relu (x in -4.0..4.0) = if x.is_nan() || x > 0.0 { x } else { 0.0 }, |y, d| [
                x.ge(x.lift(0.0)).select(x.eq(x.lift(0.0)).select(d * 0.5, d), x.lift(0.0))
            ];
            /// `sqrt(x^2 + z^2)` without overflow or underflow on the way. At the origin both derivatives are 0.
            Hypot hypot (x in 0.3..4.0, z in -4.0..4.0) = x.hypot(z), |y, d| [
                y.ne(y.lift(0.0)).select(d * (x / y), x.lift(0.0)),
                y.ne(y.lift(0.0)).select(d * (z / y), x.lift(0.0))
            ];
            /// `x * ln(z)`, and 0 where `x` is 0 and `z` is not NaN.
            Xlogy xlogy (x in 0.1..4.0, z in 0.1..9.0) = if x == 0.0 && !z.is_nan() { 0.0 } else { x * z.ln() }, |y, d| [
                d * z.ln(),
                x.ne(x.lift(0.0)).select(d * (x / z), x.lift(0.0))
            ];
            /// 1 where both are not 0, else 0.
            And and (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x != 0.0 && z != 0.0), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// 1 where either is not 0, else 0.
            Or or (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x != 0.0 || z != 0.0), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// 1 where `x` is 0, else 0.
            Not not (x in -4.0..4.0) = f64::from(x == 0.0), |y, d| [x.lift(0.0)];
            /// 1 where `x < z`, else 0 (also for NaN).
            Lt lt (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x < z), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// 1 where `x <= z`, else 0 (also for NaN).
            Le le (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x <= z), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// 1 where `x > z`, else 0 (also for NaN).
            Gt gt (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x > z), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// 1 where `x >= z`, else 0 (also for NaN).
            Ge ge (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x >= z), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// 1 where `x == z`, else 0 (also for NaN).
            Eq eq (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x == z), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// 1 where `x != z` or either is NaN, else 0.
            Ne ne (x in -4.0..4.0, z in -4.0..4.0) = f64::from(x != z), |y, d| [x.lift(0.0), x.lift(0.0)];
            /// The second operand where the first is not 0, else the third: `(x.gt(0.0)).select(x.ln(), 0.0)`.
            /// The operand not chosen has derivative exactly 0, whatever its value.
            Select select (c in -4.0..4.0, x in -4.0..4.0, z in -4.0..4.0) = if c != 0.0 { x } else { z }, |y, d| [
                x.lift(0.0),
                c.select(d, x.lift(0.0)),
                c.select(x.lift(0.0), d)
            ];
        }
    };
}
pub(crate) use table;

/// A pattern that ignores an attribute of the given type.
macro_rules! any {
    ($t:ty) => {
        _
    };
}

/// The attribute that `Elem::ALL` shows.
macro_rules! two {
    ($t:ty) => {
        2 as $t
    };
}

macro_rules! operations {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident $name:ident ($first:ident in $flo:literal .. $fhi:literal $(, $rest:ident in $rlo:literal .. $rhi:literal)* $(; $attr:ident : $aty:ty)?)
            = $value:expr, |$y:ident, $d:ident| [$($pull:expr),+];
    )*) => {
        /// An elementwise operation: a row of the table.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Elem {
            $( $(#[doc = $doc])* $variant $(($aty))?, )*
        }

        /// Anything the pullbacks can be written over: numbers, and handles of nodes in a graph under construction.
        pub trait Num: Copy
            + std::ops::Neg<Output = Self>
            + std::ops::Add<Output = Self> + std::ops::Sub<Output = Self>
            + std::ops::Mul<Output = Self> + std::ops::Div<Output = Self>
            + std::ops::Add<f64, Output = Self> + std::ops::Sub<f64, Output = Self> + std::ops::Mul<f64, Output = Self>
        {
            /// A constant that lives where `self` lives.
            fn lift(self, c: f64) -> Self;
            $( $(#[doc = $doc])* fn $name(self $(, $rest: Self)* $(, $attr: $aty)?) -> Self; )*
        }

        impl Num for f64 {
            fn lift(self, c: f64) -> f64 {
                c
            }
            $(
                fn $name(self $(, $rest: f64)* $(, $attr: $aty)?) -> f64 {
                    Elem::$variant $(($attr))?.value(&[self $(, $rest)*])
                }
            )*
        }

        impl Elem {
            /// Every operation once, in the order of the table; an integer attribute is 2.
            pub const ALL: &'static [Elem] = &[ $( Elem::$variant $((two!($aty)))? ),* ];

            /// The position in the table.
            pub(crate) fn row(self) -> usize {
                enum Row {
                    $( $variant ),*
                }
                match self {
                    $( Elem::$variant $((any!($aty)))? => Row::$variant as usize, )*
                }
            }

            /// The name in the text form, and of the DSL method.
            pub fn name(self) -> &'static str {
                match self {
                    $( Elem::$variant $((any!($aty)))? => stringify!($name), )*
                }
            }

            /// How many operands.
            pub fn arity(self) -> usize {
                self.ranges().len()
            }

            /// The operand ranges that tests draw from: inside the domain, away from overflow.
            pub fn ranges(self) -> &'static [(f64, f64)] {
                match self {
                    $( Elem::$variant $((any!($aty)))? => &[($flo, $fhi) $(, ($rlo, $rhi))*], )*
                }
            }

            /// The value in `f64`, by the standard library: the oracle's, and what constants fold to.
            ///
            /// # Panics
            /// If there are fewer operands than the arity.
            pub fn value(self, args: &[f64]) -> f64 {
                match self {
                    $( Elem::$variant $(($attr))? => {
                        let mut args = args.iter().copied();
                        let $first: f64 = args.next().expect("operand");
                        $( let $rest: f64 = args.next().expect("operand"); )*
                        $value
                    } )*
                }
            }

            /// The contribution to each operand's adjoint, given the operands, the answer `y` and its adjoint `d`.
            ///
            /// # Panics
            /// If there are fewer operands than the arity.
            pub fn pullback<N: Num>(self, args: &[N], y: N, d: N) -> SmallVec<[N; 3]> {
                match self {
                    $( Elem::$variant $(($attr))? => {
                        let mut args = args.iter().copied();
                        let $first: N = args.next().expect("operand");
                        $( let $rest: N = args.next().expect("operand"); )*
                        let ($y, $d) = (y, d);
                        let _ = ($first $(, $rest)*, $y, $d);
                        smallvec::smallvec![$($pull),+]
                    } )*
                }
            }
        }
    };
}

table!(operations);

impl Elem {
    /// The integer attribute (the power of `powi`).
    pub fn attribute(self) -> Option<i32> {
        match self {
            Elem::Powi(n) | Elem::Polygamma(n) => Some(n),
            _ => None,
        }
    }

    /// The operation of this name; `attribute` replaces that of `Elem::ALL`.
    pub fn from_name(name: &str, attribute: Option<i32>) -> Option<Elem> {
        let found = *Elem::ALL.iter().find(|e| e.name() == name)?;
        match (found, attribute) {
            (Elem::Powi(_), Some(n)) => Some(Elem::Powi(n)),
            (Elem::Polygamma(_), Some(n)) => Some(Elem::Polygamma(n)),
            (Elem::Powi(_) | Elem::Polygamma(_), None) => None,
            (other, None) => Some(other),
            (_, Some(_)) => None,
        }
    }

    /// Whether it takes tens of instructions: all but arithmetic, comparisons and roundings.
    pub fn is_long(self) -> bool {
        use Elem::*;
        !matches!(
            self,
            Neg | Abs
                | Sign
                | Recip
                | Sqrt
                | Pivot
                | Square
                | Powi(_)
                | Add
                | Sub
                | Mul
                | Div
                | Min
                | Max
                | Floor
                | Ceil
                | Round
                | Relu
                | Hypot
                | And
                | Or
                | Not
                | Lt
                | Le
                | Eq
                | Ne
                | Select
        )
    }

    /// Whether the operands may change places.
    pub fn commutes(self) -> bool {
        matches!(self, Elem::Add | Elem::Mul | Elem::Eq | Elem::Ne)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few points of each operand's range, away from the ends.
    fn points(range: (f64, f64), seed: usize) -> f64 {
        let t = ((seed as f64 + 0.5) * 0.618_033_988_749_895).fract();
        range.0 + (range.1 - range.0) * (0.02 + 0.96 * t)
    }

    #[test]
    fn every_pullback_agrees_with_finite_differences() {
        let mut rows: Vec<Elem> = Elem::ALL.to_vec();
        rows.extend([-3, -1, 0, 1, 3, 5].map(Elem::Powi));
        rows.extend([0, 1, 3, 4].map(Elem::Polygamma));
        for op in rows {
            for k in 0..60 {
                let args: Vec<f64> = op.ranges().iter().enumerate().map(|(j, &r)| points(r, 7 * k + 3 * j + 1)).collect();
                let y = op.value(&args);
                let d = 1.7;
                let pulls = op.pullback(&args, y, d);
                assert_eq!(pulls.len(), op.arity(), "{op:?}");
                for j in 0..args.len() {
                    let shifted = |h: f64| {
                        let mut a = args.clone();
                        a[j] += h;
                        op.value(&a)
                    };
                    // Fifth-order central difference.
                    let h = 1e-3;
                    let slope = (8.0 * (shifted(h) - shifted(-h)) - (shifted(2.0 * h) - shifted(-2.0 * h))) / (12.0 * h);
                    let near_kink = match op {
                        Elem::Abs | Elem::Sign | Elem::Select | Elem::Relu => args[0].abs() < 3.0 * h,
                        Elem::Floor | Elem::Ceil => (args[0] - args[0].round()).abs() < 3.0 * h,
                        Elem::Round => (args[0] - args[0].floor() - 0.5).abs() < 3.0 * h,
                        _ if op.arity() == 2 => (args[0] - args[1]).abs() < 3.0 * h,
                        _ => false,
                    };
                    if !near_kink {
                        assert!((pulls[j] - d * slope).abs() <= 1e-8 * (1.0 + slope.abs()), "{op:?} {args:?}[{j}]: {} against {}", pulls[j], d * slope);
                    }
                }
            }
        }
    }

    #[test]
    fn kinks_follow_the_convention() {
        assert_eq!(Elem::Abs.pullback(&[0.0], 0.0, 1.0)[0], 0.0);
        assert_eq!(Elem::Max.pullback(&[2.0, 2.0], 2.0, 1.0)[..], [0.5, 0.5]);
        assert_eq!(Elem::Min.pullback(&[2.0, 2.0], 2.0, 1.0)[..], [0.5, 0.5]);
        assert_eq!(Elem::Select.pullback(&[0.0, f64::NAN, 1.0], 1.0, f64::INFINITY)[..], [0.0, 0.0, f64::INFINITY]);
        assert!(Elem::Max.value(&[f64::NAN, 1.0]).is_nan() && Elem::Max.value(&[1.0, f64::NAN]).is_nan());
        assert_eq!(Elem::Softplus.value(&[f64::INFINITY]), f64::INFINITY);
        assert!(Elem::Softplus.value(&[f64::NAN]).is_nan());
    }

    #[test]
    fn names_read_back() {
        for &op in Elem::ALL {
            assert_eq!(Elem::from_name(op.name(), op.attribute()), Some(op));
        }
        assert_eq!(Elem::from_name("nope", None), None);
    }
}
