//! Exponentials and logarithms.

use super::dd::{Dd, ONE, dd, poly, power_of_two, two_product, two_sum};
use super::exact::{Exact, INFINITY, NAN, Wide, about};
use std::sync::LazyLock;

/// `ln 2` in three parts.
pub const LN2: [f64; 3] = [std::f64::consts::LN_2, 2.3190468138462996e-17, 5.707708438416212e-34];
const LN10: Dd = dd(std::f64::consts::LN_10, -2.1707562233822494e-16);

/// `1 / (k + 1)!`
static FACTORIALS: LazyLock<[Dd; 16]> = LazyLock::new(|| {
    let mut factorial = ONE;
    std::array::from_fn(|k| {
        factorial = factorial * (k as f64 + 1.0);
        factorial.recip()
    })
});

/// `e^r - 1` for `|r|` up to 0.4: the series at a sixteenth of it, and four doublings.
fn small_exp_m1(r: Dd) -> Dd {
    let s = r.times(1.0 / 16.0);
    let mut e = s * poly(s, &*FACTORIALS, 8);
    for _ in 0..4 {
        e = e * (e + 2.0);
    }
    e
}

/// `n` and `e^r - 1` with `x = n ln 2 + r`, for `|x|` up to a few thousand.
fn reduced(x: Dd) -> (i32, Dd) {
    let n = (x.hi / LN2[0]).round();
    let r = x - two_product(n, LN2[0]) - two_product(n, LN2[1]) - n * LN2[2];
    (n as i32, small_exp_m1(r))
}

/// `e^x`. Beyond what any type holds, something that overflows or vanishes as well.
pub fn exp_wide(x: Dd) -> Wide {
    let x = if x.hi.abs() > 2000.0 { Dd::from(2000f64.copysign(x.hi)) } else { x };
    let (n, e) = reduced(x);
    Wide { part: e + 1.0, exponent: n }
}

/// `e^x - 1` for `|x|` up to 700.
pub fn exp_m1_dd(x: Dd) -> Dd {
    let (n, e) = reduced(x);
    let power = power_of_two(n.clamp(-1000, 1000));
    if n == 0 { e } else { e.times(power) + two_sum(power, -1.0) }
}

/// `1 / (2k + 1)`
static ODD: LazyLock<[Dd; 40]> = LazyLock::new(|| std::array::from_fn(|k| (ONE * (2.0 * k as f64 + 1.0)).recip()));

/// `ln(i / 64)`, from `i = 45` on, by the series in `(c - 1) / (c + 1)`.
static LOGARITHMS: LazyLock<[Dd; 47]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let i = i as f64 + 45.0;
        let s = Dd::from(i - 64.0) / (i + 64.0);
        s.times(2.0) * poly(s.square(), &*ODD, 40)
    })
});

/// `ln((1 + s) / (1 - s))` for `|s|` up to 2^-7.
fn twice_atanh(s: Dd) -> Dd {
    s.times(2.0) * poly(s.square(), &ODD[..9], 5)
}

/// `ln x` of a positive number.
pub fn ln_wide(x: Wide) -> Dd {
    let x = x.normal();
    let (m, n) = if x.part.hi > 1.4 { (x.part.times(0.5), x.exponent + 1) } else { (x.part, x.exponent) };
    let i = (m.hi * 64.0).round();
    let c = i / 64.0;
    let near = twice_atanh((m - c) / (m + c)) + LOGARITHMS[i as usize - 45];
    if n == 0 {
        return near;
    }
    let n = f64::from(n);
    near + (two_product(n, LN2[0]) + two_product(n, LN2[1]) + n * LN2[2])
}

pub fn ln_dd(x: Dd) -> Dd {
    ln_wide(Wide::from(x))
}

/// `ln(1 + e)` for `e >= 0`, relative to the result.
pub fn ln_1p_dd(e: Dd) -> Dd {
    if e.hi < 1.0 / 128.0 { twice_atanh(e / (e + 2.0)) } else { ln_dd(e + 1.0) }
}

/// `ln(1 + e^x)` for `x <= 0`.
fn ln_1p_exp(x: Dd) -> Wide {
    let e = exp_wide(x);
    if x.hi < -80.0 { e } else { Wide::from(ln_1p_dd(e.normal_part())) }
}

impl Wide {
    /// As a `Dd`, for numbers of moderate size.
    pub fn normal_part(self) -> Dd {
        self.part.times(power_of_two(self.exponent))
    }
}

pub fn exp(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        f64::INFINITY => INFINITY,
        f64::NEG_INFINITY => Exact::Special(0.0),
        _ => exp_wide(x.into()).into(),
    }
}

pub fn exp_m1(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        f64::INFINITY => INFINITY,
        f64::NEG_INFINITY => Exact::Special(-1.0),
        _ if x.abs() < 1e-30 => about(x, ONE + x / 2.0),
        _ if x > 600.0 => exp_wide(x.into()).into(),
        _ if x < -600.0 => Wide::from(-ONE).into(),
        _ => exp_m1_dd(x.into()).into(),
    }
}

/// `2^x`, where the whole part of `x` is exact.
pub fn exp2(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        f64::INFINITY => INFINITY,
        f64::NEG_INFINITY => Exact::Special(0.0),
        _ => {
            let x = x.clamp(-3000.0, 3000.0);
            let n = x.round();
            let e = small_exp_m1(dd(LN2[0], LN2[1]) * (x - n));
            Wide { part: e + 1.0, exponent: n as i32 }.into()
        }
    }
}

/// The special values of the logarithms.
fn logarithm(x: f64, value: impl Fn(Wide) -> Dd) -> Exact {
    match x {
        _ if x.is_nan() || x < 0.0 => NAN,
        0.0 => Exact::Special(f64::NEG_INFINITY),
        1.0 => Exact::Special(0.0),
        f64::INFINITY => INFINITY,
        _ => value(x.into()).into(),
    }
}

pub fn ln(x: f64) -> Exact {
    logarithm(x, ln_wide)
}

pub fn log2(x: f64) -> Exact {
    logarithm(x, |x| {
        let x = x.normal();
        let (m, n) = if x.part.hi > 1.4 { (x.part.times(0.5), x.exponent + 1) } else { (x.part, x.exponent) };
        ln_dd(m) / dd(LN2[0], LN2[1]) + f64::from(n)
    })
}

pub fn log10(x: f64) -> Exact {
    logarithm(x, |x| ln_wide(x) / LN10)
}

pub fn ln_1p(x: f64) -> Exact {
    match x {
        _ if x.is_nan() || x < -1.0 => NAN,
        -1.0 => Exact::Special(f64::NEG_INFINITY),
        f64::INFINITY => INFINITY,
        _ if x.abs() < 1e-30 => about(x, ONE - x / 2.0),
        _ => ln_dd(two_sum(1.0, x)).into(),
    }
}

pub fn sigmoid(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        f64::INFINITY => Exact::Special(1.0),
        f64::NEG_INFINITY => Exact::Special(0.0),
        _ => {
            let e = exp_wide(Dd::from(-x.abs()));
            let bottom = Wide::from(ONE).plus(e).recip();
            if x < 0.0 { e.times(bottom).into() } else { bottom.into() }
        }
    }
}

pub fn softplus(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        f64::INFINITY => INFINITY,
        f64::NEG_INFINITY => Exact::Special(0.0),
        _ => ln_1p_exp(Dd::from(-x.abs())).plus(x.max(0.0)).into(),
    }
}

pub fn log_sigmoid(x: f64) -> Exact {
    match softplus(-x) {
        Exact::Special(s) => Exact::Special(-s),
        Exact::Number(w) => w.minus().into(),
    }
}

pub fn logaddexp(x: f64, y: f64) -> Exact {
    let (large, little) = (x.max(y), x.min(y));
    match large {
        _ if x.is_nan() || y.is_nan() => NAN,
        _ if large.is_infinite() || little.is_infinite() => {
            if large == 0.0 || large.is_infinite() {
                // Plus 0, because `ln(e^-0)` is the logarithm of 1.
                return Exact::Special(large + 0.0);
            }
            Wide::from(large).into()
        }
        _ => {
            // Half of each, because the difference may overflow.
            let gap = two_sum(little / 2.0, -large / 2.0);
            let gap = if gap.hi < -2000.0 { Dd::from(-2000.0) } else { two_sum(little, -large) };
            Wide::from(large).plus(ln_1p_exp(gap)).into()
        }
    }
}

pub fn powf(x: f64, y: f64) -> Exact {
    if y == 0.0 || x == 1.0 {
        return Exact::Special(1.0);
    }
    if x.is_nan() || y.is_nan() {
        return NAN;
    }
    let whole = y.is_infinite() || y == y.floor();
    let odd = y.is_finite() && whole && (y / 2.0).floor() != y / 2.0;
    let sign = if odd && x.is_sign_negative() { -1.0 } else { 1.0 };
    if x == 0.0 || x.is_infinite() || y.is_infinite() {
        if x == -1.0 {
            return Exact::Special(1.0);
        }
        let grows = (x.abs() > 1.0) == (y > 0.0);
        return Exact::Special(sign * if grows { f64::INFINITY } else { 0.0 });
    }
    if x < 0.0 && !whole {
        return NAN;
    }
    if x == -1.0 {
        return Exact::Special(sign);
    }
    let log = ln_wide(Wide::from(x.abs()));
    let power = if (log.hi * y).abs() < 2000.0 { exp_wide(log * y) } else { exp_wide(Dd::from(2000f64.copysign(log.hi * y))) };
    power.times(sign).into()
}

pub fn xlogy(x: f64, z: f64) -> Exact {
    if x == 0.0 && !z.is_nan() {
        return Exact::Special(0.0);
    }
    match ln(z) {
        Exact::Special(s) => Exact::Special(x * s),
        Exact::Number(_) if !x.is_finite() => Exact::Special(x * z.ln()),
        Exact::Number(w) => w.times(x).into(),
    }
}
