//! `ln_gamma` and its derivatives: the recurrence to where Stirling's series is exact enough, reflection left of 0 (Abramowitz and Stegun,
//! chapter 6).

use super::dd::{Dd, ONE, PI, ZERO, dd, poly, two_sum};
use super::exact::{Exact, INFINITY, NAN, Wide};
use super::exp::{ln_dd, ln_wide};
use super::trig::sin_cos_pi;
use std::sync::LazyLock;

const EULER: Dd = dd(0.5772156649015329, -4.942915152430645e-18);
const HALF_LN_TWO_PI: Dd = dd(0.9189385332046728, -3.8782941580672414e-17);
const LN_PI: Dd = dd(1.1447298858494002, 1.0265951162707826e-17);

/// `B_2k` from `k = 1` on, as fractions of whole numbers.
const FRACTIONS: [(f64, f64); 17] = [
    (1.0, 6.0),
    (-1.0, 30.0),
    (1.0, 42.0),
    (-1.0, 30.0),
    (5.0, 66.0),
    (-691.0, 2730.0),
    (7.0, 6.0),
    (-3617.0, 510.0),
    (43867.0, 798.0),
    (-174611.0, 330.0),
    (854513.0, 138.0),
    (-236364091.0, 2730.0),
    (8553103.0, 6.0),
    (-23749461029.0, 870.0),
    (8615841276005.0, 14322.0),
    (-7709321041217.0, 510.0),
    (2577687858367.0, 6.0),
];
static BERNOULLI: LazyLock<[Dd; 17]> = LazyLock::new(|| FRACTIONS.map(|(a, b)| Dd::from(a) / b));

/// The argument is moved to here or beyond.
const FAR: f64 = 16.0;

/// `sum over k of B_2k / weight(2k) z^k` for `z = 1/w^2`.
fn series(z: Dd, weight: impl Fn(f64) -> Dd) -> Dd {
    let terms = BERNOULLI.iter().enumerate().rev();
    terms.fold(ZERO, |sum, (k, b)| (sum + *b / weight(2.0 * (k as f64 + 1.0))) * z)
}

/// For a positive argument.
fn ln_gamma_right(x: Dd) -> Wide {
    if x.hi < 1e-40 {
        return (-ln_wide(Wide::from(x.hi))).into();
    }
    if x.hi > 1e30 {
        let (l, wide) = (ln_wide(Wide::from(x.hi)), Wide::from(x.hi));
        return wide.times(Wide::from(l - 1.0).plus(wide.recip().times(HALF_LN_TWO_PI - l.times(0.5))));
    }
    let (mut w, mut product) = (x, ONE);
    while w.hi < FAR {
        product = product * w;
        w = w + 1.0;
    }
    let inverse = w.recip();
    let far = (w - 0.5) * ln_dd(w) - w + HALF_LN_TWO_PI + series(inverse.square(), |n| Dd::from(n * (n - 1.0))) * w;
    (if product == ONE { far } else { far - ln_dd(product) }).into()
}

fn digamma_right(x: Dd) -> Dd {
    let (mut w, mut sum) = (x, ZERO);
    while w.hi < FAR {
        sum = sum + w.recip();
        w = w + 1.0;
    }
    let inverse = w.recip();
    ln_dd(w) - inverse.times(0.5) - series(inverse.square(), Dd::from) - sum
}

/// The largest order.
const MAX_ORDER: usize = 100;

/// For each order `n >= 1` the coefficients `B_2k (2k+n-1)! / ((2k)! (n-1)!)`.
static TAILS: LazyLock<Vec<[Dd; 17]>> = LazyLock::new(|| {
    let tail = |n: usize| {
        let order = n as f64;
        let (mut ratio, mut done) = (ONE, 0.0);
        std::array::from_fn(|k| {
            while done < 2.0 * (k as f64 + 1.0) {
                ratio = ratio * (done + order) / (done + 1.0);
                done += 1.0;
            }
            BERNOULLI[k] * ratio
        })
    };
    (0..=MAX_ORDER).map(tail).collect()
});

/// The function of order `n >= 1` at a positive argument, its size.
///
/// `n! x^-(n+1)` times `sum over k of (x / (x + k))^(n+1)` and, from `w` on,
/// `(x/w)^(n+1) w/n (1 + n/(2w) + sum over k of B_2k (2k+n-1)! / ((2k)! (n-1)!) w^-2k)`.
fn polygamma_right(n: u32, x: Dd) -> Wide {
    let order = f64::from(n);
    let far = FAR + 2.0 * order;
    let (mut w, mut sum) = (x, ZERO);
    let mut over = false;
    while w.hi < far {
        let term = (x / w).powi(n + 1);
        sum = sum + term;
        w = w + 1.0;
        // What follows is below 2^-120 of this.
        if term.hi < 1e-40 {
            over = true;
            break;
        }
    }
    let inverse = if w.hi > 1e100 { ZERO } else { w.recip() };
    let mut factorial = ONE;
    for k in 1..=n {
        factorial = factorial * f64::from(k);
    }
    let lead = Wide::from(x.hi).plus(x.lo).recip();
    if !over {
        let z = inverse.square();
        let rest = z * poly(z, &TAILS[n as usize], TAILS[0].len());
        let rest = ONE + inverse * (order / 2.0) + rest;
        if sum == ZERO {
            return lead.powi(n).times(rest * factorial / order);
        }
        sum = sum + (x / w).powi(n + 1) * w * rest / order;
    }
    lead.powi(n + 1).times(factorial).times(sum)
}

/// What a negative number's opposite is off the nearest whole number; exact.
fn off_whole(z: f64) -> f64 {
    z - z.round()
}

fn pole(x: f64) -> bool {
    x <= 0.0 && off_whole(-x) == 0.0
}

pub fn ln_gamma(x: f64) -> Exact {
    match x {
        _ if x.is_nan() => NAN,
        _ if x.is_infinite() || pole(x) => INFINITY,
        1.0 | 2.0 => Exact::Special(0.0),
        _ if x > 0.0 => ln_gamma_right(x.into()).into(),
        _ if x > -1e-40 => (-ln_wide(Wide::from(-x))).into(),
        _ => {
            let (sine, _) = sin_cos_pi(off_whole(-x));
            let left = LN_PI - ln_dd(sine.abs()) - ln_dd(Dd::from(-x));
            Wide::from(left).plus(ln_gamma_right(Dd::from(-x)).minus()).into()
        }
    }
}

pub fn digamma(x: f64) -> Exact {
    match x {
        _ if x.is_nan() || pole(x) || x == f64::NEG_INFINITY => NAN,
        f64::INFINITY => INFINITY,
        _ if x.abs() < 1e-20 => Wide::from(-x).recip().plus(-EULER).plus(x * 1.6449340668482264).into(),
        _ if x > 0.0 => digamma_right(x.into()).into(),
        _ => {
            let (s, c) = sin_cos_pi(off_whole(-x));
            (digamma_right(two_sum(1.0, -x)) + PI * c / s).into()
        }
    }
}

/// The polygamma function of order `n`, from 1 on; those of order 4 and more are NaN left of 0.
pub fn polygamma(n: u32, x: f64) -> Exact {
    let sign = if n % 2 == 1 { 1.0 } else { -1.0 };
    match x {
        _ if x.is_nan() || pole(x) || x == f64::NEG_INFINITY || x < 0.0 && n > 3 => NAN,
        f64::INFINITY => Exact::Special(0.0 * sign),
        _ if x > 0.0 => polygamma_right(n, x.into()).times(sign).into(),
        _ if x > -1e-30 => Wide::from(x).recip().powi(n + 1).times([1.0, 1.0, 2.0, 6.0][n as usize] * sign).into(),
        _ => {
            let (s, c) = sin_cos_pi(off_whole(-x));
            let t = PI / s;
            let outer = match n {
                1 => t.square(),
                2 => (t * t * t * c).times(2.0),
                _ => (t.square().square() * (c.square().times(2.0) + 1.0)).times(2.0),
            };
            // Minus the value at 1 - x for odd orders, plus it for even ones: in both cases minus its size.
            Wide::from(outer).plus(polygamma_right(n, two_sum(1.0, -x)).minus()).into()
        }
    }
}
