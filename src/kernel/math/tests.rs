//! The recipes against `reference.txt`, true values made by mpmath, and against the special values of C99.

use super::super::arith::{Scalar, Slow};
use super::exp::Powers;
use super::*;
use crate::real::{Bits, Real};

/// Name, bound for `f64` and for `f32`, in ulps.
const BOUNDS: [(&str, f64, f64); 30] = [
    ("exp", 0.9, 0.9),
    ("exp_m1", 0.9, 0.9),
    ("sigmoid", 1.5, 1.5),
    ("softplus", 1.75, 1.75),
    ("tanh", 1.35, 1.2),
    ("ln", 0.9, 0.9),
    ("ln_1p", 0.9, 0.9),
    ("sin", 0.9, 0.9),
    ("cos", 0.9, 0.9),
    ("pow", 0.9, 0.9),
    ("erf", 1.0, 1.0),
    ("erfc", 1.5, 1.5),
    ("ln_gamma", 4.0, 4.0),
    ("digamma", 8.0, 8.0),
    ("trigamma", 8.0, 8.0),
    ("tetragamma", 16.0, 16.0),
    ("pentagamma", 16.0, 16.0),
    ("tan", 1.1, 1.1),
    ("atan", 1.0, 1.0),
    ("asin", 0.75, 0.75),
    ("acos", 0.75, 0.75),
    ("atan2", 1.1, 1.1),
    ("sinh", 0.9, 0.9),
    ("cosh", 1.0, 1.0),
    ("exp2", 0.9, 0.9),
    ("log2", 0.9, 0.9),
    ("log10", 0.9, 0.9),
    ("cbrt", 0.55, 0.55),
    ("logaddexp", 2.0, 2.0),
    ("log_sigmoid", 1.75, 1.75),
];

/// The magnitude below which errors are counted in ulps of it, at the zeros (other than 0) of functions that are made as
/// differences. Left of 0 `ln_gamma` and its derivatives are as exact as the larger term of their reflection.
fn unit(name: &str, x: f64, y: f64) -> f64 {
    let size = x.abs();
    match name {
        "ln_gamma" if x > 0.0 => 0.25,
        "ln_gamma" => 1.0 + size * size.ln_1p(),
        "digamma" if x > 0.0 => 0.125,
        "digamma" => 1.0 + size.ln_1p(),
        "tetragamma" if x < 0.0 => 1.0,
        "logaddexp" if x.max(y) < 0.0 => (-(x - y).abs()).exp().ln_1p(),
        _ => 0.0,
    }
}

fn eval<T: Real>(name: &str, x: T, y: T) -> T {
    let a = &mut Scalar::<T>::new();
    match name {
        "exp" => exp(a, x),
        "exp_m1" => exp_m1(a, x),
        "sigmoid" => sigmoid(a, x),
        "softplus" => softplus(a, x),
        "tanh" => tanh(a, x),
        "ln" => ln(a, x),
        "ln_1p" => ln_1p(a, x),
        "sin" => sin(a, x),
        "cos" => cos(a, x),
        "pow" => pow(a, x, y),
        "erf" => erf(a, x),
        "erfc" => erfc(a, x),
        "ln_gamma" => ln_gamma(a, x),
        "digamma" => digamma(a, x),
        "trigamma" => trigamma(a, x),
        "tetragamma" => tetragamma(a, x),
        "pentagamma" => pentagamma(a, x),
        "tan" => tan(a, x),
        "atan" => atan(a, x),
        "asin" => asin(a, x),
        "acos" => acos(a, x),
        "atan2" => atan2(a, x, y),
        "sinh" => sinh(a, x),
        "cosh" => cosh(a, x),
        "exp2" => exp2(a, x),
        "log2" => log2(a, x),
        "log10" => log10(a, x),
        "cbrt" => cbrt(a, x),
        "logaddexp" => logaddexp(a, x, y),
        "log_sigmoid" => log_sigmoid(a, x),
        _ => panic!("no recipe {name}"),
    }
}

fn parse<T: Real>(hex: &str) -> T {
    T::from_bits(T::Bits::truncate(u64::from_str_radix(hex, 16).unwrap()))
}

/// The distance of 1 ulp at a finite number of the type.
fn ulp<T: Real>(x: f64) -> f64 {
    let least = if T::DOUBLE { -1022 } else { -126 };
    let exponent = ((x.to_bits() >> 52 & 2047) as i32 - 1023).max(least) - T::MANTISSA as i32;
    if exponent < -1022 { f64::from_bits(1 << (exponent + 1074)) } else { f64::from_bits(((exponent + 1023) as u64) << 52) }
}

/// How far `got` is from `near + rest` ulps, in ulps (of `unit`, if that is more); infinite for a wrong special value or
/// sign of zero.
fn error<T: Real>(got: T, near: T, rest: f64, unit: f64) -> f64 {
    let (got, near) = (got.to_f64(), near.to_f64());
    if near.is_nan() || got.is_nan() {
        return if near.is_nan() && got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if near.is_infinite() || got.is_infinite() || (near == 0.0 && got == 0.0) {
        return if got.to_bits() == near.to_bits() { rest.abs() } else { f64::INFINITY };
    }
    let scale = ulp::<T>(near);
    ((got - near) / scale - rest).abs() * (scale / ulp::<T>(unit)).min(1.0)
}

/// Runs the lines of one type and returns the worst error of each function.
fn worst<T: Real>() -> Vec<(f64, String)> {
    let mut worst = vec![(-1.0, String::new()); BOUNDS.len()];
    let mut current = None;
    for line in include_str!("reference.txt").lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        if let Some(i) = BOUNDS.iter().position(|b| b.0 == fields[0]) {
            current = (fields[1] == T::NAME).then_some(i);
            continue;
        }
        let Some(i) = current else { continue };
        let [args @ .., near, rest] = &fields[..] else { panic!("{line}") };
        let x: T = parse(args[0]);
        let y: T = parse(args.get(1).unwrap_or(&"0"));
        let rest = f64::from(f32::from_bits(u32::from_str_radix(rest, 16).unwrap()));
        let got = eval(BOUNDS[i].0, x, y);
        let e = error(got, parse(near), rest, unit(BOUNDS[i].0, x.to_f64(), y.to_f64()));
        if e > worst[i].0 {
            worst[i] = (e, format!("{}({x:?}, {y:?}) = {got:?}, want {:?}", BOUNDS[i].0, parse::<T>(near)));
        }
    }
    worst
}

#[test]
fn accuracy_f64() {
    for ((e, what), (name, bound, _)) in worst::<f64>().into_iter().zip(BOUNDS) {
        assert!((0.0..=bound).contains(&e), "{name}: {e} ulp: {what}");
    }
}

#[test]
fn accuracy_f32() {
    for ((e, what), (name, _, bound)) in worst::<f32>().into_iter().zip(BOUNDS) {
        assert!((0.0..=bound).contains(&e), "{name}: {e} ulp: {what}");
    }
}

/// Checks `name(x)` (or `pow(x, y)`) to the bit for both types; any NaN matches NaN.
fn exactly(name: &str, x: f64, y: f64, want: f64) {
    fn one<T: Real>(name: &str, x: f64, y: f64, want: f64) {
        let got = eval(name, T::from_f64(x), T::from_f64(y)).to_f64();
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{} {name}({x:?}, {y:?}) = {got:?}, want {want:?}", T::NAME);
    }
    one::<f64>(name, x, y, want);
    one::<f32>(name, x, y, want);
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Where many a scale starts.
#[test]
fn the_logarithm_of_two_is_right() {
    assert_eq!((eval("softplus", 0.0, 0.0), eval("log_sigmoid", 0.0, 0.0)), (std::f64::consts::LN_2, -std::f64::consts::LN_2));
    assert_eq!((eval("softplus", 0.0, 0.0), eval("log_sigmoid", 0.0, 0.0)), (std::f32::consts::LN_2, -std::f32::consts::LN_2));
    assert_eq!((eval("logaddexp", 0.0, 0.0), eval("logaddexp", 0.0, 0.0)), (std::f64::consts::LN_2, std::f32::consts::LN_2));
}

#[test]
fn specials_of_one_argument() {
    for (name, cases) in [
        ("exp", &[(0.0, 1.0), (-0.0, 1.0), (1e3, INF), (-1e3, 0.0), (INF, INF), (-INF, 0.0)][..]),
        ("exp_m1", &[(0.0, 0.0), (-0.0, -0.0), (1e3, INF), (-1e3, -1.0), (INF, INF), (-INF, -1.0)]),
        ("sigmoid", &[(0.0, 0.5), (-0.0, 0.5), (1e3, 1.0), (-1e3, 0.0), (INF, 1.0), (-INF, 0.0)]),
        ("softplus", &[(800.0, 800.0), (1e3, 1e3), (-1e3, 0.0), (INF, INF), (-INF, 0.0)]),
        ("tanh", &[(0.0, 0.0), (-0.0, -0.0), (1e3, 1.0), (-1e3, -1.0), (INF, 1.0), (-INF, -1.0)]),
        ("ln", &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-1e-44, NAN), (INF, INF), (-INF, NAN)]),
        ("ln_1p", &[(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-1.5, NAN), (-1e30, NAN), (INF, INF), (-INF, NAN)]),
        ("sin", &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
        ("cos", &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)]),
        ("tan", &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
        ("erf", &[(0.0, 0.0), (-0.0, -0.0), (9.0, 1.0), (-9.0, -1.0), (INF, 1.0), (-INF, -1.0)]),
        ("erfc", &[(0.0, 1.0), (-0.0, 1.0), (30.0, 0.0), (-30.0, 2.0), (INF, 0.0), (-INF, 2.0)]),
        ("ln_gamma", &[(1.0, 0.0), (2.0, 0.0), (0.0, INF), (-0.0, INF), (-3.0, INF), (-1e30, INF), (INF, INF), (-INF, INF)]),
        ("digamma", &[(0.0, NAN), (-0.0, NAN), (-3.0, NAN), (-1e30, NAN), (INF, INF), (-INF, NAN)]),
        ("trigamma", &[(0.0, NAN), (-0.0, NAN), (-3.0, NAN), (-1e30, NAN), (INF, 0.0), (-INF, NAN)]),
        ("tetragamma", &[(0.0, NAN), (-0.0, NAN), (-3.0, NAN), (-1e30, NAN), (INF, -0.0), (-INF, NAN)]),
        ("pentagamma", &[(0.0, NAN), (-0.0, NAN), (-3.0, NAN), (-1e30, NAN), (INF, 0.0), (-INF, NAN)]),
        ("atan", &[(0.0, 0.0), (-0.0, -0.0)]),
        ("asin", &[(0.0, 0.0), (-0.0, -0.0), (1.5, NAN), (-1.5, NAN), (INF, NAN), (-INF, NAN)]),
        ("acos", &[(1.0, 0.0), (1.5, NAN), (-1.5, NAN), (INF, NAN), (-INF, NAN)]),
        ("sinh", &[(0.0, 0.0), (-0.0, -0.0), (1e3, INF), (-1e3, -INF), (INF, INF), (-INF, -INF)]),
        ("cosh", &[(0.0, 1.0), (-0.0, 1.0), (1e3, INF), (-1e3, INF), (INF, INF), (-INF, INF)]),
        ("exp2", &[(0.0, 1.0), (10.0, 1024.0), (-3.0, 0.125), (2e3, INF), (-2e3, 0.0), (INF, INF), (-INF, 0.0)]),
        ("log2", &[(1.0, 0.0), (8.0, 3.0), (0.125, -3.0), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (INF, INF), (-INF, NAN)]),
        ("log10", &[(1.0, 0.0), (1e3, 3.0), (1e10, 10.0), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (INF, INF), (-INF, NAN)]),
        ("cbrt", &[(0.0, 0.0), (-0.0, -0.0), (27.0, 3.0), (-1e15, -1e5), (INF, INF), (-INF, -INF)]),
        ("log_sigmoid", &[(1e3, -0.0), (-1e3, -1e3), (INF, -0.0), (-INF, -INF)]),
    ] {
        for (x, want) in cases {
            exactly(name, *x, 0.0, *want);
        }
        exactly(name, NAN, 0.0, NAN);
        exactly(name, -NAN, 0.0, NAN);
    }
}

#[test]
fn specials_of_pow() {
    for y in [0.0, -0.0, 1.0, -2.5, INF, -INF, NAN] {
        exactly("pow", 1.0, y, 1.0);
        exactly("pow", y, 0.0, 1.0);
        exactly("pow", y, -0.0, 1.0);
    }
    for (x, y, want) in [
        (0.0, 3.0, 0.0),
        (-0.0, 3.0, -0.0),
        (-0.0, 2.0, 0.0),
        (-0.0, 2.5, 0.0),
        (0.0, -3.0, INF),
        (-0.0, -3.0, -INF),
        (-0.0, -2.0, INF),
        (-0.0, -2.5, INF),
        (0.0, INF, 0.0),
        (-0.0, -INF, INF),
        (-1.0, INF, 1.0),
        (-1.0, -INF, 1.0),
        (-1.0, 3.0, -1.0),
        (-1.0, 2.5, NAN),
        (-1.0, NAN, NAN),
        (0.5, INF, 0.0),
        (-0.5, -INF, INF),
        (2.0, INF, INF),
        (-2.0, -INF, 0.0),
        (INF, 2.5, INF),
        (INF, -2.5, 0.0),
        (-INF, 3.0, -INF),
        (-INF, 2.0, INF),
        (-INF, 2.5, INF),
        (-INF, -3.0, -0.0),
        (-INF, -2.0, 0.0),
        (-INF, -2.5, 0.0),
        (-INF, INF, INF),
        (-INF, -INF, 0.0),
        (-2.0, 3.0, -8.0),
        (-2.0, -2.0, 0.25),
        (-8.0, 1.0 / 3.0, NAN),
        (NAN, 1.0, NAN),
        (2.0, NAN, NAN),
        (NAN, INF, NAN),
        (1e30, 1e30, INF),
        (-1e30, 1e30, INF),
        (1e-30, 1e30, 0.0),
        (0.5, 1e30, 0.0),
        (10.0, 3.0, 1000.0),
        (4.0, 0.5, 2.0),
    ] {
        exactly("pow", x, y, want);
    }
}

#[test]
fn specials_of_two_arguments() {
    let pi = std::f64::consts::PI;
    for s in [1.0, -1.0] {
        // Exact results only; multiples of pi are in the reference, rounded to each type.
        for (y, x, want) in [(0.0, 0.0, 0.0), (0.0, 2.5, 0.0), (2.5, INF, 0.0), (0.0, INF, 0.0), (NAN, 1.0, NAN), (1.0, NAN, NAN), (NAN, INF, NAN)] {
            exactly("atan2", s * y, x, s * want);
        }
        let a = &mut Scalar::<f64>::new();
        for (y, x, eighths) in [(0.0, -0.0, 8.0), (0.0, -1.0, 8.0), (1.0, 0.0, 4.0), (1.0, -0.0, 4.0), (INF, INF, 2.0), (INF, -INF, 6.0), (3.0, -INF, 8.0)] {
            assert_eq!(atan2(a, s * y, x), s * eighths * (pi / 8.0), "atan2({}, {x})", s * y);
        }
    }
    for (x, y, want) in [(INF, INF, INF), (INF, -INF, INF), (-INF, -INF, -INF), (-INF, 2.5, 2.5), (INF, 2.5, INF), (NAN, INF, NAN), (1e3, -1e3, 1e3)] {
        exactly("logaddexp", x, y, want);
        exactly("logaddexp", y, x, want);
    }
}

#[test]
fn powers_below_one_round_as_all_powers_do() {
    fn all<T: Real>(least: i64) {
        let a = &mut Scalar::<T>::new();
        for p in [0.02, 0.7072, 0.9, 1.0 - T::EPSILON, 1.0, 1.2345678901234567, 1.4141, f64::NAN].map(T::from_f64) {
            for n in least..=0 {
                let [all, below] =
                    [Powers::All, Powers::Below].map(|powers| powers.times(a, p, T::Bits::truncate((n + i64::from(powers.bias::<Scalar<T>>())) as u64)));
                assert!(all.bits() == below.bits() || all.to_f64().is_nan() && below.to_f64().is_nan(), "{p} * 2^{n}: {all}, {below}");
            }
        }
    }
    all::<f64>(-1076);
    all::<f32>(-153);
}

#[test]
fn slow_range() {
    assert!(!slow::needs(Slow::Sin, 1e12f64) && slow::needs(Slow::Sin, -2e12f64) && slow::needs(Slow::Cos, INF));
    assert!(!slow::needs(Slow::Cos, 2e5f32) && slow::needs(Slow::Cos, 3e5f32) && !slow::needs(Slow::Sin, f32::NAN));
    assert_eq!(slow::mend(Slow::Sin, 1.0f64, 7.0), 7.0);
    // A loop over lanes leaves them for a second loop to mend; together that is the patched recipe.
    for x in [1e13, -1e22, 3e300] {
        let fast = sin(&mut Scalar::<f64, false>::new(), x);
        assert_eq!(slow::mend(Slow::Sin, x, fast), sin(&mut Scalar::<f64>::new(), x));
        let fast = tan(&mut Scalar::<f64, false>::new(), x);
        assert_eq!(slow::mend(Slow::Tan, x, fast), tan(&mut Scalar::<f64>::new(), x));
    }
    // Both ranges agree where they meet (to an ulp or so).
    for i in 1..1000 {
        let x = f64::from(i) * 2e9 + 0.1;
        let (s, c) = (x.sin(), x.cos());
        let a = &mut Scalar::<f64>::new();
        assert!((sin(a, x) - s).abs() < 3e-16 && (cos(a, x) - c).abs() < 3e-16, "{x}");
    }
}
