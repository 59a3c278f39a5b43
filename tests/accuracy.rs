//! P2: the largest error of every function, type and backend in ulp, measured through compiled programs against the reference in `reference/`, and
//! held to its bound.
//!
//! `cargo test --release --test accuracy -- --nocapture` prints the table. `TAPELESS_POINTS` sets how many random points a function and type get
//! (edges and hard points come on top), `TAPELESS_SEED` which ones, `TAPELESS_ONLY` measures functions whose names contain it.
//!
//! What the points and bounds are worth: `recipes` breaks the recipes one instruction at a time.
//!
//! An error is `|computed - true|` in units of 1 ulp of the binade in which the correctly rounded true value lies; for subnormal values, of the smallest
//! subnormal. Special values and the signs of zeros must be right: else the error is infinite.

#[path = "mutants/instructions.rs"]
mod instructions;
#[path = "mutants/recipes.rs"]
mod recipes;
mod reference;

use rayon::prelude::*;
use reference::exact::error;
use reference::points::{Numbers, draw, edges};
use reference::rows::{Pairs, ROWS, Row};
use std::time::Instant;
use tapeless::prelude::*;
use tapeless::{Real, compile_function};

/// Points that are computed and compared together.
const CHUNK: usize = 8192;

/// A number from the environment.
fn setting(name: &str, default: usize) -> usize {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} is no whole number: {text}"))
}

/// The worst of a backend.
#[derive(Clone, Default)]
struct Worst {
    error: f64,
    at: String,
    what: String,
}

impl Worst {
    fn or(self, other: Worst) -> Worst {
        if other.error > self.error { other } else { self }
    }
}

/// What one backend makes of the points.
fn computed<T: Real>(function: &Function<T>, row: &Row, points: &[(T, T)]) -> Vec<T> {
    let xs: Vec<T> = points.iter().map(|p| p.0).collect();
    let ys: Vec<T> = points.iter().map(|p| p.1).collect();
    let columns = if row.pairs == Pairs::None { vec![("x", &xs)] } else { vec![("x", &xs), ("y", &ys)] };
    let none: [(&str, f64); 0] = [];
    let theta = function.params(none).expect("a function of data alone");
    let mut results = function.bind(columns).expect("columns of one length").eval(&theta).expect("values");
    results.swap_remove(0).numbers
}

/// The worst error of each backend over some points; the true value of each is computed once.
fn measure<T: Real>(row: &Row, functions: &[Function<T>], points: &[(T, T)]) -> Vec<Worst> {
    let found: Vec<Vec<T>> = functions.iter().map(|f| computed(f, row, points)).collect();
    let mut worst = vec![Worst::default(); functions.len()];
    for (k, (x, y)) in points.iter().enumerate() {
        let exact = (row.exact)(x.to_f64(), y.to_f64());
        let unit = (row.unit)(x.to_f64(), y.to_f64(), T::DOUBLE);
        let mut before: Option<(T, f64)> = None;
        for (found, worst) in found.iter().zip(&mut worst) {
            let got = found[k];
            let e = match before {
                Some((same, e)) if same.bits() == got.bits() => e,
                _ => error(got, exact, unit).abs(),
            };
            before = Some((got, e));
            // An error that is NaN would be the reference's mistake.
            assert!(!e.is_nan(), "{}({x:?}, {y:?}): {exact:?}", row.name);
            if e > worst.error {
                let at = if row.pairs == Pairs::None { format!("{x:?}") } else { format!("{x:?}, {y:?}") };
                let what = format!("{}({at}) = {got:?}, true {exact:?}", row.name);
                *worst = Worst { error: e, at, what };
            }
        }
    }
    worst
}

fn function<T: Real>(row: &Row, backend: Backend) -> Function<T> {
    let g = Graph::new();
    let x = g.data("x");
    let y = if row.pairs == Pairs::None { x } else { g.data("y") };
    compile_function(&[("value", (row.formula)(x, y))], &Options::new().backend(backend)).expect("a function")
}

/// One row of the table: each backend's worst, and how many points there were.
fn row<T: Real>(row: &Row, backends: &[Backend], points: usize, seed: u64) -> (usize, Vec<Worst>) {
    let functions: Vec<Function<T>> = backends.iter().map(|b| function(row, *b)).collect();
    let fixed = edges::<T>(row);
    let random = points.div_ceil(row.every);
    let start = row.name.bytes().fold(seed, |h, b| h.wrapping_mul(0x100_0000_01b3) ^ u64::from(b));
    let over_random = (0..random.div_ceil(CHUNK)).into_par_iter().map(|k| {
        let mut numbers = Numbers(start.wrapping_add((k as u64) << 32));
        let points: Vec<(T, T)> = (0..CHUNK.min(random - k * CHUNK)).map(|_| draw(row, &mut numbers)).collect();
        measure(row, &functions, &points)
    });
    let none = || vec![Worst::default(); backends.len()];
    let merge = |a: Vec<Worst>, b: Vec<Worst>| a.into_iter().zip(b).map(|(a, b)| a.or(b)).collect();
    let worst = over_random.reduce(none, merge);
    (fixed.len() + random, merge(worst, measure(row, &functions, &fixed)))
}

/// What an error is held to besides its bound: what docs/numerics.md says was measured, and a twentieth more for what other points may find.
fn measured(row: &Row, double: bool) -> f64 {
    let start = format!("| `{}` |", row.name);
    let Some(line) = include_str!("../docs/numerics.md").lines().find(|l| l.starts_with(&start)) else { panic!("{} isn't in docs/numerics.md", row.name) };
    let cell = line.split('|').map(str::trim).nth(if double { 2 } else { 3 });
    let error: f64 = cell.and_then(|c| c.parse().ok()).unwrap_or_else(|| panic!("no number: {line}"));
    error * 1.05 + 0.005
}

/// Prints the rows of a type and returns what is beyond its bound.
fn table<T: Real>(backends: &[Backend], points: usize, seed: u64, only: &str) -> Vec<String> {
    let mut failures = Vec::new();
    for r in ROWS.iter().filter(|r| r.name.contains(only)) {
        let clock = Instant::now();
        let (count, worst) = row::<T>(r, backends, points, seed);
        let bound = if T::DOUBLE { r.bounds.0 } else { r.bounds.1 };
        let errors: String = worst.iter().map(|w| format!("{:>9.4}", w.error)).collect();
        println!("{:<16}{:<5}{count:>10}{errors}{bound:>8}{:>8.1} s  {}", r.name, T::NAME, clock.elapsed().as_secs_f64(), worst[0].at);
        for (w, b) in worst.iter().zip(backends) {
            // 2^-50 for the reference's own roundings, which a bound of exactly 1/2 would notice.
            if w.error > bound + f64::EPSILON * 4.0 {
                failures.push(format!("{} {}: {} ulp, bound {bound}: {}", T::NAME, b.name(), w.error, w.what));
            } else if w.error > measured(r, T::DOUBLE) {
                failures.push(format!("{} {}: {} ulp, more than docs/numerics.md says was measured: {}", T::NAME, b.name(), w.error, w.what));
            }
        }
    }
    failures
}

#[test]
fn the_reference_agrees_with_mpmath() {
    let ((doubles, mut wrong), (singles, more)) = (reference::check::against_table::<f64>(), reference::check::against_table::<f32>());
    wrong.extend(more);
    wrong.extend(reference::check::against_digits());
    assert!(doubles > 8000 && singles > 8000, "{doubles} and {singles} lines");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), doubles + singles, wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_operation_is_measured_or_exact() {
    for op in tapeless::op::Elem::ALL {
        let name = op.name();
        let measured = ROWS.iter().any(|r| r.name.split('(').next() == Some(name));
        assert_ne!(measured, reference::rows::EXACT.contains(&name), "{name} has a row or is exact");
    }
}

#[test]
fn every_function_keeps_its_bound() {
    let (points, seed) = (setting("TAPELESS_POINTS", 100_000), setting("TAPELESS_SEED", 1) as u64);
    let only = std::env::var("TAPELESS_ONLY").unwrap_or_default();
    let backends = Backend::available();
    let names: String = backends.iter().map(|b| format!("{:>9}", b.name())).collect();
    println!("largest error in ulp; {points} random points a function and type, seed {seed}");
    println!("{:<16}{:<5}{:>10}{names}{:>8}{:>10}  worst at", "function", "type", "points", "bound", "time");
    let mut failures = table::<f64>(&backends, points, seed, &only);
    failures.extend(table::<f32>(&backends, points, seed, &only));
    assert!(failures.is_empty(), "{} beyond their bounds:\n{}", failures.len(), failures.join("\n"));
}
