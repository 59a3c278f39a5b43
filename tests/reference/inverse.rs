//! Angles by Newton's step, hyperbolic functions from `e^x - 1`, roots.

use super::dd::{Dd, HALF_PI, ONE, PI, power_of_two, split, two_product, two_sum};
use super::exact::{Exact, INFINITY, NAN, Wide, about};
use super::exp::{exp_m1_dd, exp_wide};
use super::trig::sin_cos;

/// The angle of a point whose coordinates are of similar or moderate sizes: the standard library's, turned back by the rest.
fn angle(y: Dd, x: Dd) -> Dd {
    let near = y.hi.atan2(x.hi);
    let (s, c) = sin_cos(near);
    let rest = (y * c - x * s) / (x * c + y * s);
    rest + near
}

fn sign_of(x: f64) -> f64 {
    1f64.copysign(x)
}

pub fn atan2(y: f64, x: f64) -> Exact {
    if y.is_nan() || x.is_nan() {
        return NAN;
    }
    let sign = sign_of(y);
    let quarters = match (y.abs(), x) {
        (f64::INFINITY, f64::INFINITY) => 0.5,
        (f64::INFINITY, f64::NEG_INFINITY) => 1.5,
        (f64::INFINITY, _) => 1.0,
        (_, f64::INFINITY) => 0.0,
        (_, f64::NEG_INFINITY) => 2.0,
        (0.0, _) if x.is_sign_positive() => 0.0,
        (0.0, _) => 2.0,
        (_, 0.0) => 1.0,
        _ => {
            let ((my, ey), (mx, ex)) = (split(y), split(x));
            match ey - ex {
                // Beyond, the series' second term is below 2^-220 of the first, or the first of the angle.
                d if d < -110 && x > 0.0 => return Wide { part: Dd::from(my) / mx, exponent: d }.into(),
                d if d < -110 => return (PI * sign).into(),
                d if d > 110 => return (HALF_PI * sign).into(),
                d => return angle(Dd::from(my * power_of_two(d)), Dd::from(mx)).into(),
            }
        }
    };
    if quarters == 0.0 { Exact::Special(0.0 * sign) } else { (HALF_PI * (quarters * sign)).into() }
}

pub fn atan(x: f64) -> Exact {
    if x == 0.0 { Exact::Special(x) } else { atan2(x, 1.0) }
}

pub fn asin(x: f64) -> Exact {
    match x {
        _ if x.is_nan() || x.abs() > 1.0 => NAN,
        _ if x.abs() < 1e-20 => about(x, ONE + x * x / 6.0),
        _ => angle(x.into(), (two_sum(1.0, -x) * two_sum(1.0, x)).sqrt()).into(),
    }
}

pub fn acos(x: f64) -> Exact {
    match x {
        _ if x.is_nan() || x.abs() > 1.0 => NAN,
        1.0 => Exact::Special(0.0),
        -1.0 => PI.into(),
        _ if x.abs() < 1e-200 => HALF_PI.into(),
        _ => angle((two_sum(1.0, -x) * two_sum(1.0, x)).sqrt(), x.into()).into(),
    }
}

pub fn sinh(x: f64) -> Exact {
    match x {
        _ if x.is_nan() || x.is_infinite() => Exact::Special(x),
        _ if x.abs() < 1e-10 => about(x, two_product(x, x) / 6.0 + ONE + x.powi(4) / 120.0),
        _ if x.abs() > 100.0 => exp_wide(Dd::from(x.abs())).times(0.5 * sign_of(x)).into(),
        _ => {
            let e = exp_m1_dd(Dd::from(x.abs()));
            ((e + e / (e + 1.0)) * (0.5 * sign_of(x))).into()
        }
    }
}

pub fn cosh(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        _ if x.is_infinite() => INFINITY,
        _ => {
            let e = exp_wide(Dd::from(x.abs()));
            e.plus(e.recip()).times(0.5).into()
        }
    }
}

pub fn tanh(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        _ if x.is_infinite() => Exact::Special(sign_of(x)),
        _ if x.abs() < 1e-10 => about(x, ONE - two_product(x, x) / 3.0 + x.powi(4) * (2.0 / 15.0)),
        _ if x.abs() > 100.0 => (ONE * sign_of(x)).into(),
        _ => {
            let e = exp_m1_dd(Dd::from(2.0 * x.abs()));
            (e / (e + 2.0) * sign_of(x)).into()
        }
    }
}

pub fn sqrt(x: f64) -> Exact {
    match x {
        _ if x == 0.0 || x.is_nan() || x == f64::INFINITY => Exact::Special(x),
        _ if x < 0.0 => NAN,
        _ => Wide::from(x).sqrt().into(),
    }
}

/// By Newton's step from the standard library's.
pub fn cbrt(x: f64) -> Exact {
    if x == 0.0 || !x.is_finite() {
        return Exact::Special(x);
    }
    let (m, e) = split(x);
    let third = e.rem_euclid(3);
    let m = Dd::from(m * power_of_two(third));
    let near = Dd::from(m.hi.cbrt());
    let square = near.square();
    Wide { part: near - (square * near - m) / (square * 3.0), exponent: (e - third) / 3 }.into()
}

pub fn hypot(x: f64, y: f64) -> Exact {
    let (x, y) = (x.abs(), y.abs());
    if x.is_infinite() || y.is_infinite() {
        return INFINITY;
    }
    if x.is_nan() || y.is_nan() || x == 0.0 && y == 0.0 {
        return Exact::Special(x + y);
    }
    let (x, y) = (Wide::from(x), Wide::from(y));
    x.times(x).plus(y.times(y)).sqrt().into()
}

/// A whole power of any number but 0 and the like, where the standard library's is right.
pub fn powi(x: f64, n: i32) -> Exact {
    if x == 0.0 || !x.is_finite() || n == 0 {
        return Exact::Special(x.powi(n));
    }
    let power = Wide::from(x).powi(n.unsigned_abs());
    if n < 0 { power.recip().into() } else { power.into() }
}

pub fn recip(x: f64) -> Exact {
    div(1.0, x)
}

pub fn square(x: f64) -> Exact {
    mul(x, x)
}

pub fn add(x: f64, y: f64) -> Exact {
    // The sum in f64 is 0, infinite for infinities, or NaN exactly where the true one is.
    if x.is_finite() && y.is_finite() && x != -y { Wide::from(x).plus(y).into() } else { Exact::Special(x + y) }
}

pub fn sub(x: f64, y: f64) -> Exact {
    add(x, -y)
}

pub fn mul(x: f64, y: f64) -> Exact {
    if x == 0.0 || y == 0.0 || !x.is_finite() || !y.is_finite() { Exact::Special(x * y) } else { Wide::from(x).times(y).into() }
}

pub fn div(x: f64, y: f64) -> Exact {
    if x == 0.0 || y == 0.0 || !x.is_finite() || !y.is_finite() { Exact::Special(x / y) } else { Wide::from(y).recip().times(x).into() }
}
