//! The functions that are measured: how each is written, its true value, its bound, and where it may go wrong.

use super::exact::Exact;
use super::{error_function as e, exp as x, gamma as g, inverse as i, trig as t};
use tapeless::prelude::*;

/// How a second operand is drawn.
#[derive(Clone, Copy, PartialEq)]
pub enum Pairs {
    /// There is none.
    None,
    /// Like the first.
    Free,
    /// So that the power is neither 0 nor infinite, mostly.
    Power,
    /// Of similar size.
    Similar,
    /// So that exponentials are of similar size.
    Sum,
}

pub struct Row {
    pub name: &'static str,
    /// What the recipes' table of hard points calls it.
    pub in_table: &'static str,
    /// In ulp, `f64` and `f32`.
    pub bounds: (f64, f64),
    pub pairs: Pairs,
    pub periodic: bool,
    pub formula: for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>,
    pub exact: fn(f64, f64) -> Exact,
    /// The magnitude (in `f64` or not) below which errors are counted in ulps of it.
    pub unit: fn(f64, f64, bool) -> f64,
    /// Zeros, poles, breakpoints.
    pub spots: &'static [f64],
    /// Ranges of interest.
    pub spans: &'static [(f64, f64)],
    /// Of how many points one is taken, for what is slow to compute exactly.
    pub every: usize,
}

const ONE: Row = Row {
    name: "",
    in_table: "",
    bounds: (0.5, 0.5),
    pairs: Pairs::None,
    periodic: false,
    formula: |x, _| x,
    exact: |_, _| Exact::Special(0.0),
    unit: |_, _, _| 0.0,
    spots: &[],
    spans: &[(-10.0, 10.0)],
    every: 1,
};
const TWO: Row = Row { pairs: Pairs::Free, ..ONE };

/// The ranges of exponentials.
const EXP: &[(f64, f64)] = &[(-746.0, 710.0), (-104.5, 89.0), (-45.0, 45.0), (-2.0, 2.0)];
const LOG: &[(f64, f64)] = &[(0.0, 0.5), (0.5, 2.0), (0.7, 1.42), (0.0, 1e-300), (0.0, 1e-37), (1.0, 1e6)];
const TURNS: &[(f64, f64)] = &[(-0.8, 0.8), (-10.0, 10.0), (-1e6, 1e6), (-3e5, 3e5), (-2e12, 2e12)];
const RIGHT: &[(f64, f64)] = &[(0.0, 3.0), (0.0, 12.0), (0.4, 5.0), (-12.0, 0.0), (0.0, 300.0)];
const GAMMA_SPOTS: &[f64] =
    &[0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 1.4616321449683622, -1.0, -2.0, -3.0, -7.0, -0.5, -1.5, -20.0, -0.504083008264455, 4503599627370496.0];
const POSITIVE: &[(f64, f64)] = &[(0.0, 3.0), (0.0, 30.0), (0.4, 5.0), (0.0, 300.0)];

/// The magnitude below which the errors of `ln_gamma` count in ulps of it: 4 of them are 2^-52 near 1 and 2. Left of 0 it is as exact as the larger
/// term of its reflection.
fn ln_gamma_unit(x: f64, _: f64, double: bool) -> f64 {
    let size = x.abs();
    match double {
        _ if !x.is_finite() => 0.0,
        _ if x > 0.0 => 0.25,
        _ => 1.0 + size * size.ln_1p(),
    }
}

fn digamma_unit(x: f64, _: f64, _: bool) -> f64 {
    match x {
        _ if !x.is_finite() => 0.0,
        _ if x > 0.0 => 0.125,
        _ => 1.0 + x.abs().ln_1p(),
    }
}

/// Negative powers below the smallest normal number may vanish, because the positive power overflowed. (Where the positive power is subnormal it
/// lacks up to two digits: that is in the bounds.)
fn powi_unit(value: f64, double: bool) -> f64 {
    let (normal, digits) = if double { (f64::MIN_POSITIVE, 52) } else { (f64::from(f32::MIN_POSITIVE), 23) };
    if value.abs() < normal { normal * f64::from(digits).exp2() } else { 0.0 }
}

pub const ROWS: &[Row] = &[
    Row { name: "add", formula: |x, y| x + y, exact: i::add, spans: &[(-4.0, 4.0)], pairs: Pairs::Similar, ..TWO },
    Row { name: "sub", formula: |x, y| x - y, exact: i::sub, spans: &[(-4.0, 4.0)], pairs: Pairs::Similar, ..TWO },
    Row { name: "mul", formula: |x, y| x * y, exact: i::mul, ..TWO },
    Row { name: "div", formula: |x, y| x / y, exact: i::div, ..TWO },
    Row { name: "recip", formula: |x, _| x.recip(), exact: |x, _| i::recip(x), ..ONE },
    Row { name: "square", formula: |x, _| x.square(), exact: |x, _| i::square(x), ..ONE },
    Row { name: "sqrt", formula: |x, _| x.sqrt(), exact: |x, _| i::sqrt(x), spans: LOG, ..ONE },
    Row { name: "exp", in_table: "exp", bounds: (1.0, 1.0), formula: |x, _| x.exp(), exact: |v, _| x::exp(v), spans: EXP, ..ONE },
    Row { name: "exp_m1", in_table: "exp_m1", bounds: (1.0, 1.0), formula: |x, _| x.exp_m1(), exact: |v, _| x::exp_m1(v), spans: EXP, ..ONE },
    Row {
        name: "ln",
        in_table: "ln",
        bounds: (1.0, 1.0),
        formula: |x, _| x.ln(),
        exact: |v, _| x::ln(v),
        spots: &[1.0, std::f64::consts::SQRT_2, std::f64::consts::FRAC_1_SQRT_2, 2.0, 0.5],
        spans: LOG,
        ..ONE
    },
    Row {
        name: "ln_1p",
        in_table: "ln_1p",
        bounds: (1.0, 1.0),
        formula: |x, _| x.ln_1p(),
        exact: |v, _| x::ln_1p(v),
        spots: &[0.0, -1.0, 0.41421356237309503, -0.2928932188134524, 1.0],
        spans: &[(-1.0, 2.0), (-0.5, 0.5), (0.0, 1e6), (-0.1, 0.1)],
        ..ONE
    },
    Row {
        name: "sin",
        in_table: "sin",
        bounds: (1.0, 1.0),
        formula: |x, _| x.sin(),
        exact: |v, _| t::sin(v),
        periodic: true,
        spots: TURN_SPOTS,
        spans: TURNS,
        ..ONE
    },
    Row {
        name: "cos",
        in_table: "cos",
        bounds: (1.0, 1.0),
        formula: |x, _| x.cos(),
        exact: |v, _| t::cos(v),
        periodic: true,
        spots: TURN_SPOTS,
        spans: TURNS,
        ..ONE
    },
    Row {
        name: "tan",
        in_table: "tan",
        bounds: (1.5, 1.5),
        formula: |x, _| x.tan(),
        exact: |v, _| t::tan(v),
        periodic: true,
        spots: TURN_SPOTS,
        spans: TURNS,
        ..ONE
    },
    Row {
        name: "atan",
        in_table: "atan",
        bounds: (1.0, 1.0),
        formula: |x, _| x.atan(),
        exact: |v, _| i::atan(v),
        spots: &[0.41421356237309503, 2.414213562373095, 1.0, 0.0],
        spans: &[(-0.45, 0.45), (0.4, 2.5), (-4.0, 4.0), (-100.0, 100.0)],
        ..ONE
    },
    Row {
        name: "powf",
        in_table: "pow",
        bounds: (1.0, 1.0),
        formula: |x, y| x.powf(y),
        exact: x::powf,
        pairs: Pairs::Power,
        spots: &[1.0, -1.0, 2.0, 10.0, std::f64::consts::SQRT_2],
        spans: LOG,
        ..TWO
    },
    Row {
        name: "erf",
        in_table: "erf",
        bounds: (1.0, 1.0),
        formula: |x, _| x.erf(),
        exact: |v, _| e::erf(v),
        spots: &[0.8, 0.0, 6.0, 3.9],
        spans: &[(-1.1, 1.1), (-7.0, 7.0), (0.7, 0.9), (-4.0, 4.0)],
        ..ONE
    },
    Row {
        name: "tanh",
        in_table: "tanh",
        bounds: (1.5, 1.5),
        formula: |x, _| x.tanh(),
        exact: |v, _| i::tanh(v),
        spots: &[0.0, 0.75, 0.8664339756999316, 1.2130075659799042],
        spans: &[(-25.0, 25.0), (-2.0, 2.0), (-0.8, 0.8), (0.7, 1.3)],
        ..ONE
    },
    Row { name: "sigmoid", in_table: "sigmoid", bounds: (2.0, 2.0), formula: |x, _| x.sigmoid(), exact: |v, _| x::sigmoid(v), spans: EXP, ..ONE },
    Row { name: "softplus", in_table: "softplus", bounds: (2.0, 2.0), formula: |x, _| x.softplus(), exact: |v, _| x::softplus(v), spans: EXP, ..ONE },
    Row {
        name: "log_sigmoid",
        in_table: "log_sigmoid",
        bounds: (2.0, 2.0),
        formula: |x, _| x.log_sigmoid(),
        exact: |v, _| x::log_sigmoid(v),
        spans: EXP,
        ..ONE
    },
    Row {
        name: "logaddexp",
        in_table: "logaddexp",
        bounds: (2.0, 2.0),
        formula: |x, y| x.logaddexp(y),
        exact: x::logaddexp,
        unit: |x, y, _| if x.is_finite() && y.is_finite() && x.max(y) < 0.0 { (-(x - y).abs()).exp().ln_1p() } else { 0.0 },
        pairs: Pairs::Sum,
        spots: &[0.0, -std::f64::consts::LN_2],
        spans: EXP,
        ..TWO
    },
    Row {
        name: "erfc",
        in_table: "erfc",
        bounds: (2.0, 2.0),
        formula: |x, _| x.erfc(),
        exact: |v, _| e::erfc(v),
        spots: &[0.5, 0.0, 26.5, 27.2, 9.1, 10.05],
        spans: &[(-1.0, 1.0), (-7.0, 7.0), (0.4, 0.6), (0.0, 27.3), (0.0, 10.3), (26.0, 27.3), (9.0, 10.1)],
        ..ONE
    },
    Row {
        name: "exp2",
        in_table: "exp2",
        bounds: (1.0, 1.0),
        formula: |x, _| x.exp2(),
        exact: |v, _| x::exp2(v),
        spans: &[(-1.0, 1.0), (-20.0, 20.0), (-1080.0, 1024.0), (-1075.0, -1020.0), (-151.0, 128.0), (-150.0, -126.0)],
        ..ONE
    },
    Row {
        name: "log2",
        in_table: "log2",
        bounds: (1.0, 1.0),
        formula: |x, _| x.log2(),
        exact: |v, _| x::log2(v),
        spots: &[1.0, 2.0, 0.5, std::f64::consts::SQRT_2],
        spans: LOG,
        ..ONE
    },
    Row {
        name: "log10",
        in_table: "log10",
        bounds: (1.0, 1.0),
        formula: |x, _| x.log10(),
        exact: |v, _| x::log10(v),
        spots: &[1.0, 10.0, 100.0, 0.1, 1e22],
        spans: LOG,
        ..ONE
    },
    Row {
        name: "cbrt",
        in_table: "cbrt",
        bounds: (1.0, 1.0),
        formula: |x, _| x.cbrt(),
        exact: |v, _| i::cbrt(v),
        spots: &[1.0, 8.0, 27.0, 0.125],
        spans: &[(-10.0, 10.0), (1.0, 8.0), (0.0, 1e-300), (0.0, 1e-37)],
        ..ONE
    },
    Row {
        name: "asin",
        in_table: "asin",
        bounds: (1.0, 1.0),
        formula: |x, _| x.asin(),
        exact: |v, _| i::asin(v),
        spots: &[0.5, 1.0, -1.0, 0.0, -0.5],
        spans: &[(-1.0, 1.0), (0.45, 0.55)],
        ..ONE
    },
    Row {
        name: "acos",
        in_table: "acos",
        bounds: (1.0, 1.0),
        formula: |x, _| x.acos(),
        exact: |v, _| i::acos(v),
        spots: &[0.5, 1.0, -1.0, 0.0, -0.5],
        spans: &[(-1.0, 1.0), (0.45, 0.55)],
        ..ONE
    },
    Row {
        name: "atan2",
        in_table: "atan2",
        bounds: (2.0, 2.0),
        formula: |x, y| x.atan2(y),
        exact: i::atan2,
        pairs: Pairs::Similar,
        spans: &[(-3.0, 3.0)],
        ..TWO
    },
    Row {
        name: "sinh",
        in_table: "sinh",
        bounds: (1.5, 1.5),
        formula: |x, _| x.sinh(),
        exact: |v, _| i::sinh(v),
        spots: &[710.4758600739439, 89.4159, 0.0, 0.34657359027997264],
        spans: &[(-1.1, 1.1), (-4.0, 4.0), (-40.0, 40.0), (-711.0, 711.0), (-90.0, 90.0)],
        ..ONE
    },
    Row {
        name: "cosh",
        in_table: "cosh",
        bounds: (1.5, 1.5),
        formula: |x, _| x.cosh(),
        exact: |v, _| i::cosh(v),
        spots: &[710.4758600739439, 89.4159, 0.0, 0.34657359027997264],
        spans: &[(-1.1, 1.1), (-4.0, 4.0), (-40.0, 40.0), (-711.0, 711.0), (-90.0, 90.0)],
        ..ONE
    },
    Row {
        name: "ln_gamma",
        in_table: "ln_gamma",
        bounds: (4.0, 4.0),
        formula: |x, _| x.ln_gamma(),
        exact: |v, _| g::ln_gamma(v),
        unit: ln_gamma_unit,
        spots: GAMMA_SPOTS,
        spans: RIGHT,
        ..ONE
    },
    Row {
        name: "digamma",
        in_table: "digamma",
        bounds: (8.0, 8.0),
        formula: |x, _| x.digamma(),
        exact: |v, _| g::digamma(v),
        unit: digamma_unit,
        spots: GAMMA_SPOTS,
        spans: RIGHT,
        ..ONE
    },
    Row {
        name: "trigamma",
        in_table: "trigamma",
        bounds: (8.0, 8.0),
        formula: |x, _| x.trigamma(),
        exact: |v, _| g::polygamma(1, v),
        spots: GAMMA_SPOTS,
        spans: RIGHT,
        ..ONE
    },
    Row {
        name: "polygamma(2)",
        in_table: "tetragamma",
        bounds: (16.0, 16.0),
        formula: |x, _| x.polygamma(2),
        exact: |v, _| g::polygamma(2, v),
        unit: |x, _, _| if x < 0.0 && x.is_finite() { 1.0 } else { 0.0 },
        spots: GAMMA_SPOTS,
        spans: RIGHT,
        ..ONE
    },
    Row {
        name: "polygamma(3)",
        in_table: "pentagamma",
        bounds: (16.0, 16.0),
        formula: |x, _| x.polygamma(3),
        exact: |v, _| g::polygamma(3, v),
        spots: GAMMA_SPOTS,
        spans: RIGHT,
        ..ONE
    },
    Row {
        name: "polygamma(4)",
        bounds: (16.0, 16.0),
        formula: |x, _| x.polygamma(4),
        exact: |v, _| g::polygamma(4, v),
        spots: &[1.0],
        spans: POSITIVE,
        every: 4,
        ..ONE
    },
    Row {
        name: "polygamma(10)",
        bounds: (28.0, 28.0),
        formula: |x, _| x.polygamma(10),
        exact: |v, _| g::polygamma(10, v),
        spots: &[1.0],
        spans: POSITIVE,
        every: 8,
        ..ONE
    },
    Row {
        name: "polygamma(100)",
        bounds: (208.0, 208.0),
        formula: |x, _| x.polygamma(100),
        exact: |v, _| g::polygamma(100, v),
        spots: &[1.0, 100.0],
        spans: POSITIVE,
        every: 16,
        ..ONE
    },
    Row { name: "hypot", bounds: (2.5, 2.5), formula: |x, y| x.hypot(y), exact: i::hypot, pairs: Pairs::Similar, spans: &[(-3.0, 3.0)], ..TWO },
    Row { name: "powi(3)", bounds: (2.0, 2.0), formula: |x, _| x.powi(3), exact: |x, _| i::powi(x, 3), ..ONE },
    Row { name: "powi(10)", bounds: (9.0, 9.0), formula: |x, _| x.powi(10), exact: |x, _| i::powi(x, 10), ..ONE },
    Row { name: "powi(-2)", bounds: (4.5, 4.5), formula: |x, _| x.powi(-2), exact: |x, _| i::powi(x, -2), unit: |x, _, d| powi_unit(x.powi(-2), d), ..ONE },
    Row { name: "powi(-7)", bounds: (9.5, 9.5), formula: |x, _| x.powi(-7), exact: |x, _| i::powi(x, -7), unit: |x, _, d| powi_unit(x.powi(-7), d), ..ONE },
    Row { name: "xlogy", bounds: (2.5, 2.5), formula: |x, y| x.xlogy(y), exact: x::xlogy, spots: &[1.0], spans: LOG, ..TWO },
];

const TURN_SPOTS: &[f64] =
    &[0.0, std::f64::consts::FRAC_PI_4, std::f64::consts::FRAC_PI_2, std::f64::consts::PI, 262144.0, 1099511627776.0, 5.319372648326541e255];

/// Operations of the table that have no error to measure: exact ones, and `pivot`, which is `sqrt`.
pub const EXACT: &[&str] =
    &["neg", "abs", "sign", "pivot", "min", "max", "floor", "ceil", "round", "relu", "and", "or", "not", "lt", "le", "gt", "ge", "eq", "ne", "select"];
