//! Breaks the table of operations: each row's value, operand order, attribute; each fact that is read off it. The second opinion on a value is the
//! compiled recipe, which shares no line with it.

use std::collections::BTreeSet;
use tapeless::backend::Backend;
use tapeless::compile_function;
use tapeless::op::Elem;
use tapeless::prelude::*;

/// Where a row is looked at: awkward numbers in all combinations, and points of its ranges.
fn points(op: Elem) -> Vec<Vec<f64>> {
    let awkward = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.5, 3.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 30.0, 0.9995];
    let mut out: Vec<Vec<f64>> = vec![Vec::new()];
    for _ in 0..op.arity() {
        out = out.iter().flat_map(|p| awkward.iter().map(move |x| [p.as_slice(), &[*x]].concat())).collect();
    }
    for k in 0..40 {
        let within = |(j, (lo, hi)): (usize, &(f64, f64))| lo + (hi - lo) * ((k * 3 + j) as f64 * 0.618_033_988_749_895 + 0.1).fract();
        out.push(op.ranges().iter().enumerate().map(within).collect());
    }
    out
}

/// What the compiled operation makes of the points.
fn compiled(op: Elem, points: &[Vec<f64>]) -> Vec<f64> {
    let g = Graph::new();
    let names = ["a", "b", "c"];
    let operands: Vec<Expr> = (0..op.arity()).map(|k| g.data(names[k])).collect();
    let options = Options::new().backend(Backend::Interp).without_simplifier();
    let function = compile_function::<f64>(&[("y", g.apply(op, &operands))], &options).expect("a function");
    let columns: Vec<Vec<f64>> = (0..op.arity()).map(|k| points.iter().map(|p| p[k]).collect()).collect();
    let none: [(&str, f64); 0] = [];
    let theta = function.params(none).expect("no parameters");
    let bound = function.bind(names.into_iter().zip(columns.iter())).expect("columns of one length");
    bound.eval(&theta).expect("values").swap_remove(0).numbers
}

/// Whether two opinions agree: to 1e-10, zeros with their signs, or both NaN.
fn agree(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() || a != b && b.is_finite() && (a - b).abs() <= 1e-10 * b.abs() + 1e-14
}

/// A row's value, broken.
type Broken<'f> = (String, Box<dyn Fn(&[f64]) -> f64 + 'f>);

fn breaks<'f>(op: Elem, rows: &[Elem]) -> Vec<Broken<'f>> {
    let mut out: Vec<Broken<'f>> = vec![
        ("a little more".into(), Box::new(move |x| op.value(x) * (1.0 + 1e-9))),
        ("something added".into(), Box::new(move |x| op.value(x) + 1e-6)),
        ("its negative".into(), Box::new(move |x| -op.value(x))),
        ("0 for NaN".into(), Box::new(move |x| Some(op.value(x)).filter(|y| !y.is_nan()).unwrap_or(0.0))),
        ("no infinity".into(), Box::new(move |x| op.value(x).clamp(-f64::MAX, f64::MAX))),
        ("the sign of zero".into(), Box::new(move |x| if op.value(x) == 0.0 { -op.value(x) } else { op.value(x) })),
    ];
    for k in 0..op.arity() {
        let with = move |x: &[f64], f: fn(f64) -> f64| {
            let mut x = x.to_vec();
            x[k] = f(x[k]);
            op.value(&x)
        };
        out.push((format!("operand {k} negative"), Box::new(move |x| with(x, |v| -v))));
        out.push((format!("operand {k} positive"), Box::new(move |x| with(x, f64::abs))));
        out.push((format!("operand {k} next to it"), Box::new(move |x| with(x, |v| v + 1e-3))));
        for j in 0..k {
            let swapped = move |x: &[f64]| {
                let mut x = x.to_vec();
                x.swap(j, k);
                op.value(&x)
            };
            out.push((format!("operands {j} and {k} swapped"), Box::new(swapped)));
        }
    }
    for other in rows.iter().copied().filter(|o| *o != op && o.arity() == op.arity()) {
        out.push((format!("{other:?}"), Box::new(move |x| other.value(x))));
    }
    out
}

/// Operands whose sign is of no account.
const EVEN: &[(&str, usize)] = &[
    ("Abs", 0),
    ("And", 0),
    ("And", 1),
    ("Cos", 0),
    ("Cosh", 0),
    ("Hypot", 0),
    ("Hypot", 1),
    ("Not", 0),
    ("Or", 0),
    ("Or", 1),
    ("Powi(-2)", 0),
    ("Powi(2)", 0),
    ("Select", 0),
    ("Square", 0),
];
/// Rows that are never NaN: what they say is yes or no.
const YES_OR_NO: &[&str] = &["And", "Eq", "Ge", "Gt", "Le", "Lt", "Ne", "Not", "Or"];
/// Rows that are 0 nowhere, or at no number that a type holds.
const NEVER_ZERO: &[&str] = &["Cos", "Cosh", "Digamma", "Pivot"];
/// Rows that are bounded, or NaN at their poles.
const NEVER_INFINITE: &[&str] = &[
    "Acos",
    "And",
    "Asin",
    "Atan",
    "Atan2",
    "Cos",
    "Eq",
    "Erf",
    "Erfc",
    "Ge",
    "Gt",
    "Le",
    "Lt",
    "Ne",
    "Not",
    "Or",
    "Polygamma(1)",
    "Polygamma(2)",
    "Polygamma(3)",
    "Sigmoid",
    "Sign",
    "Sin",
    "Tan",
    "Tanh",
    "Trigamma",
];
/// Rows that are the same function.
const SAME: &[(&str, &str)] = &[("Polygamma(1)", "Trigamma"), ("Powi(2)", "Square"), ("Square", "Powi(2)"), ("Trigamma", "Polygamma(1)")];

/// Breaks that are none, by what is said of the rows above.
fn none(rows: &[Elem]) -> BTreeSet<(String, String)> {
    let mut out = BTreeSet::new();
    let mut add = |row: &str, what: String| out.insert((row.to_string(), what));
    for (row, k) in EVEN {
        add(row, format!("operand {k} negative"));
        add(row, format!("operand {k} positive"));
    }
    YES_OR_NO.iter().for_each(|row| _ = add(row, "0 for NaN".into()));
    NEVER_ZERO.iter().for_each(|row| _ = add(row, "the sign of zero".into()));
    NEVER_INFINITE.iter().for_each(|row| _ = add(row, "no infinity".into()));
    SAME.iter().for_each(|(row, other)| _ = add(row, other.to_string()));
    for op in rows.iter().filter(|op| op.commutes() || SYMMETRIC.contains(&op.name())) {
        add(&format!("{op:?}"), "operands 0 and 1 swapped".into());
    }
    out
}

#[test]
fn every_broken_value_of_the_table_is_caught() {
    let rows = super::rows();
    let (mut made, mut survivors) = (0, BTreeSet::new());
    for op in rows.iter().copied() {
        let points = points(op);
        let expected = compiled(op, &points);
        for (p, e) in points.iter().zip(&expected) {
            assert!(agree(op.value(p), *e), "{op:?} of {p:?}: {} in the table, {e} compiled", op.value(p));
        }
        for (what, value) in breaks(op, &rows) {
            made += 1;
            if points.iter().zip(&expected).all(|(p, e)| agree(value(p), *e)) {
                survivors.insert((format!("{op:?}"), what));
            }
        }
    }
    let none = none(&rows);
    println!("{made} broken values of the table, {} of them none", none.len());
    let (missed, stale): (Vec<_>, Vec<_>) = (survivors.difference(&none).collect(), none.difference(&survivors).collect());
    assert!(missed.is_empty() && stale.is_empty(), "not noticed: {missed:#?}\nnoticed, though they are said to be none: {stale:#?}");
}

/// Operations whose operands may change places by their values, but that don't say so: the simplifier orders the operands of those that do.
const SYMMETRIC: &[&str] = &["and", "hypot", "logaddexp", "or"];

#[test]
fn facts_of_the_table_are_those_of_the_values() {
    for op in super::rows() {
        let symmetric = op.arity() == 2
            && points(op).iter().all(|p| {
                let (there, back) = (op.value(p), op.value(&[p[1], p[0]]));
                there.to_bits() == back.to_bits() || there.is_nan() && back.is_nan()
            });
        assert_eq!(symmetric, op.commutes() || SYMMETRIC.contains(&op.name()), "{op:?}");
        assert!(!(op.commutes() && SYMMETRIC.contains(&op.name())), "{op:?}");
        // Tests draw from inside of the domain.
        assert_eq!(op.ranges().len(), op.arity());
        for corner in 0..1 << op.arity() {
            let p: Vec<f64> = op.ranges().iter().enumerate().map(|(k, (lo, hi))| if corner >> k & 1 == 0 { *lo } else { *hi }).collect();
            assert!(op.ranges().iter().all(|(lo, hi)| lo < hi) && op.value(&p).is_finite(), "{op:?} of {p:?}");
        }
        // A name and an attribute are enough to find it again, and nothing less or more.
        assert_eq!(Elem::from_name(op.name(), op.attribute()), Some(op));
        assert_eq!(op.attribute().is_some(), matches!(op, Elem::Powi(_) | Elem::Polygamma(_)), "{op:?}");
        let other = if op.attribute().is_some() { None } else { Some(2) };
        assert_eq!(Elem::from_name(op.name(), other), None, "{op:?}");
    }
}

/// Names are what saved graphs say: one that changes makes them unreadable.
#[test]
fn names_stay() {
    let names: Vec<&str> = Elem::ALL.iter().map(|op| op.name()).collect();
    let expected = "neg abs sign recip sqrt pivot square powi powf exp exp_m1 ln ln_1p sin cos tanh sigmoid softplus exp2 log2 log10 cbrt tan asin acos atan \
         atan2 sinh cosh log_sigmoid logaddexp erf erfc ln_gamma digamma trigamma polygamma add sub mul div min max floor ceil round relu hypot xlogy and or \
         not lt le gt ge eq ne select";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
}
