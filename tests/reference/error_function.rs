//! `erf` and `erfc`: Taylor's series at 0, and beyond 1/2 that of `e^(x^2) erfc(x)` at the nearest multiple of 1/8.

use super::dd::{Dd, ONE, ZERO, dd, poly, two_product};
use super::exact::{Exact, NAN, Wide, about};
use super::exp::exp_wide;
use std::sync::LazyLock;

const TWO_OVER_SQRT_PI: Dd = dd(std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17);

/// Where `erfc` is far below the smallest subnormal.
const END: f64 = 30.0;
const TERMS: usize = 26;

/// `2/sqrt(pi) (-1)^k / (k! (2k + 1))`
static SERIES: LazyLock<[Dd; 50]> = LazyLock::new(|| {
    let mut term = TWO_OVER_SQRT_PI;
    std::array::from_fn(|k| {
        if k > 0 {
            term = -term / k as f64;
        }
        term / (2.0 * k as f64 + 1.0)
    })
});

/// `erf(x) / x` for small `x`, given `x^2`.
fn over_argument(z: Dd) -> Dd {
    poly(z, &SERIES[..24], 14)
}

/// `e^(x^2) erfc(x)` at a positive multiple of 1/8: `1 - erf` by its series of positive terms, or Laplace's continued fraction.
fn scaled_at(c: f64) -> Dd {
    if c < 2.5 {
        // erf(c) = 2/sqrt(pi) e^(-c^2) sum of 2^k c^(2k+1) / (2k+1)!!.
        let (mut term, mut sum) = (Dd::from(c), ZERO);
        for k in 1..200 {
            sum = sum + term;
            term = term * (2.0 * c * c) / (2.0 * f64::from(k) + 1.0);
        }
        let e = exp_wide(Dd::from(c * c)).normal_part();
        return e - TWO_OVER_SQRT_PI * sum;
    }
    let below = (1..600).rev().fold(Dd::from(c), |below, k| Dd::from(f64::from(k) / 2.0) / below + c);
    TWO_OVER_SQRT_PI.times(0.5) / below
}

/// Taylor coefficients of `w = e^(x^2) erfc(x)` at each multiple of 1/8, from `w' = 2 x w - 2/sqrt(pi)`. What the recurrence does to the error of
/// the first is what the differential equation does: a factor `e^(2 x h)`, at most 40.
static CELLS: LazyLock<Vec<[Dd; TERMS]>> = LazyLock::new(|| {
    let cell = |i: usize| {
        let c = i as f64 / 8.0;
        let mut a = [ZERO; TERMS];
        a[0] = scaled_at(c);
        a[1] = a[0] * (2.0 * c) - TWO_OVER_SQRT_PI;
        for n in 1..TERMS - 1 {
            a[n + 1] = (a[n] * (2.0 * c) + a[n - 1].times(2.0)) / (n as f64 + 1.0);
        }
        a
    };
    (0..=(8.0 * END) as usize).map(cell).collect()
});

/// `erfc(x)` from 1/2 on.
fn tail(x: f64) -> Wide {
    let x = x.min(END);
    let i = (8.0 * x).round();
    let scaled = poly(Dd::from(x - i / 8.0), &CELLS[i as usize], 13);
    exp_wide(-two_product(x, x)).times(scaled)
}

pub fn erf(x: f64) -> Exact {
    let size = x.abs();
    match size {
        _ if x.is_nan() => NAN,
        f64::INFINITY => Exact::Special(1f64.copysign(x)),
        _ if size < 1e-100 => about(x, TWO_OVER_SQRT_PI),
        _ if size < 0.5 => (over_argument(two_product(x, x)) * x).into(),
        _ => Wide::from(ONE).plus(tail(size).minus()).times(1f64.copysign(x)).into(),
    }
}

pub fn erfc(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        f64::INFINITY => Exact::Special(0.0),
        f64::NEG_INFINITY => Exact::Special(2.0),
        _ if x.abs() < 1e-100 => ONE.into(),
        _ if x.abs() < 0.5 => (ONE - over_argument(two_product(x, x)) * x).into(),
        _ if x > 0.0 => tail(x).into(),
        _ => Wide::from(ONE * 2.0).plus(tail(-x).minus()).into(),
    }
}
