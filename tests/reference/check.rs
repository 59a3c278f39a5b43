//! The reference against mpmath: every line of the recipes' own table, and numbers of 32 digits for what that table lacks.

use super::dd::{Dd, dd};
use super::exact::{Exact, error};
use super::rows::{ROWS, Row};
use tapeless::Real;
use tapeless::real::Bits;

const TABLE: &str = include_str!("../../src/kernel/math/reference.txt");

/// A line: the arguments, the true value rounded, and what that rounding left out, in ulps.
pub struct Line<T> {
    pub x: T,
    pub y: T,
    near: T,
    rest: f64,
}

fn parse<T: Real>(hex: &str) -> T {
    T::from_bits(T::Bits::truncate(u64::from_str_radix(hex, 16).expect("a bit pattern")))
}

/// The lines of one function and type; none if the table doesn't know it.
pub fn lines<T: Real>(row: &Row) -> Vec<Line<T>> {
    let mut inside = false;
    let mut out = Vec::new();
    for line in TABLE.lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        match &fields[..] {
            [name, of] if *of == "f64" || *of == "f32" => inside = *name == row.in_table && *of == T::NAME,
            [args @ .., near, rest] if inside => out.push(Line {
                x: parse(args[0]),
                y: parse(args.get(1).unwrap_or(&"0")),
                near: parse(near),
                rest: f64::from(f32::from_bits(u32::from_str_radix(rest, 16).expect("a bit pattern"))),
            }),
            _ => {}
        }
    }
    out
}

/// How many lines of the table there are, and the descriptions of those that the reference contradicts.
pub fn against_table<T: Real>() -> (usize, Vec<String>) {
    let (mut count, mut wrong) = (0, Vec::new());
    for row in ROWS {
        for Line { x, y, near, rest } in lines::<T>(row) {
            count += 1;
            let exact = (row.exact)(x.to_f64(), y.to_f64());
            // The rest has 24 bits, the reference some 100, fewer where it takes a difference of terms that the unit stands for.
            let off = (error(near, exact, 0.0) + rest).abs();
            let unit = (row.unit)(x.to_f64(), y.to_f64(), T::DOUBLE);
            let lost = if unit > 0.0 { (unit / near.to_f64()).abs().max(1.0) } else { 1.0 };
            if off.is_nan() || off > rest.abs() * 2f64.powi(-24) + 1e-12 * lost {
                wrong.push(format!("{} {}({x:?}, {y:?}) = {near:?} + {rest} ulp, here {exact:?}: {off} ulp", T::NAME, row.name));
            }
        }
    }
    (count, wrong)
}

/// Values with 32 digits, by mpmath, of what the table lacks; of arguments that are exact.
pub fn against_digits() -> Vec<String> {
    let polygamma = |n: u32| ROWS.iter().find(|r| r.name == format!("polygamma({n})")).expect("a row");
    let mut wrong = Vec::new();
    for (row, x, want) in [
        (polygamma(4), 0.3125, POLYGAMMA[0]),
        (polygamma(4), 2.5, POLYGAMMA[1]),
        (polygamma(4), 17.0, POLYGAMMA[2]),
        (polygamma(4), 300.5, POLYGAMMA[3]),
        (polygamma(10), 0.3125, POLYGAMMA[4]),
        (polygamma(10), 2.5, POLYGAMMA[5]),
        (polygamma(10), 17.0, POLYGAMMA[6]),
        (polygamma(10), 300.5, POLYGAMMA[7]),
        (polygamma(100), 0.3125, POLYGAMMA[8]),
        (polygamma(100), 2.5, POLYGAMMA[9]),
        (polygamma(100), 17.0, POLYGAMMA[10]),
        (polygamma(100), 300.5, POLYGAMMA[11]),
    ] {
        let Exact::Number(w) = (row.exact)(x, 0.0) else { panic!("{} has a value at {x}", row.name) };
        let got: Dd = w.times(super::exact::Wide::from(want).recip()).normal_part();
        let off = got - 1.0;
        if off.hi.abs() > 1e-28 {
            wrong.push(format!("{}({x}) is off by {:e} of its value", row.name, off.hi));
        }
    }
    wrong
}

/// `polygamma(n, x)`, by mpmath's Hurwitz zeta function with 3000 bits (its error is an absolute one), for `n` of 4, 10, 100 and `x` of 0.3125, 2.5, 17, 300.5.
const POLYGAMMA: [Dd; 12] = [
    dd(-8059.67556412008, 3.077730338988459e-13),
    dd(-0.3137559995067314, 2.3341323233950245e-17),
    dd(-8.070307000983783e-05, 5.701523479751084e-22),
    dd(-7.40733882123531e-10, 9.506722957256208e-27),
    dd(-1307413168841.5703, 8.41375230801446e-05),
    dd(-156.229596593233, 2.9883023322520792e-15),
    dd(-2.3860074495655106e-07, 4.726517180195821e-24),
    dd(-6.145091719321398e-20, -8.29364136973016e-37),
    dd(-9.775781027350357e+208, 3.3519422011803763e+192),
    dd(-5.998777844943402e+117, -1.6581935744425537e+101),
    dd(-4.966118634325097e+33, -1.3044930942972292e+16),
    dd(-1.8023935130022686e-92, -1.0933938461869267e-108),
];
