//! P6: `find_non_finite` names the operation that made the first number that isn't finite: at which sample, from what, written where.

use nalgebra::DMatrix;
use tapeless::prelude::*;
use tapeless::{Columns, NonFinite, Real};

/// A model of `x` and `a`, and the line of the operation that goes wrong.
type Model = for<'g> fn(x: Expr<'g>, y: Expr<'g>, a: Expr<'g>) -> (Expr<'g>, u32);

struct Case {
    name: &'static str,
    model: Model,
    x: &'static [f64],
    y: &'static [f64],
    a: f64,
    /// Node, sample, operands, result.
    expected: (&'static str, Option<usize>, &'static [(&'static str, f64)], f64),
    /// In `f32` only.
    single: bool,
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "overflow in exp", x: &[1.0, 2.0, 1000.0], y: &[0.0; 3], a: 1.0, single: false,
        model: |x, _, a| ((a * x).exp().sum(), line!()),
        expected: ("exp", Some(2), &[("mul", 1000.0)], INF) },
    Case { name: "ln of a negative", x: &[1.0, -2.0], y: &[0.0; 2], a: 3.0, single: false,
        model: |x, _, a| ((a * x).ln().sum(), line!()),
        expected: ("ln", Some(1), &[("mul", -6.0)], NAN) },
    Case { name: "ln of negative data, at binding", x: &[1.0, 2.0, -3.0], y: &[0.0; 3], a: 3.0, single: false,
        model: |x, _, a| ((a * x - x.ln()).square().mean(), line!()),
        expected: ("ln", Some(2), &[("data `x`", -3.0)], NAN) },
    Case { name: "zero by zero", x: &[1.0, 0.0], y: &[2.0, 0.0], a: 1.0, single: false,
        model: |x, y, a| ((a * x / y).sum(), line!()),
        expected: ("div", Some(1), &[("mul", 0.0), ("data `y`", 0.0)], NAN) },
    Case { name: "one by zero", x: &[1.0, 5.0], y: &[2.0, 0.0], a: 1.0, single: false,
        model: |x, y, a| ((a * x / y).sum(), line!()),
        expected: ("div", Some(1), &[("mul", 5.0), ("data `y`", 0.0)], INF) },
    Case { name: "infinity less infinity: the first infinity is to blame", x: &[1.0, 900.0], y: &[1.0, 800.0], a: 1.0, single: false,
        model: |x, y, a| { let (e, line) = ((a * x).exp(), line!()); ((e - (a * y).exp()).sum(), line) },
        expected: ("exp", Some(1), &[("mul", 900.0)], INF) },
    Case { name: "infinite data less infinite data", x: &[1.0, INF], y: &[1.0, INF], a: 1.0, single: false,
        model: |x, y, a| ((a * (x - y)).sum(), 0),
        expected: ("data `x`", Some(1), &[], INF) },
    Case { name: "NaN in the data", x: &[1.0, 2.0, 3.0, NAN, 4.0], y: &[0.0; 5], a: 1.0, single: false,
        model: |x, _, a| ((a * x).sin().mean(), 0),
        expected: ("data `x`", Some(3), &[], NAN) },
    Case { name: "NaN in the data of a largest", x: &[1.0, 2.0, NAN], y: &[0.0; 3], a: 1.0, single: false,
        model: |x, _, a| ((a * x).max_samples(), 0),
        expected: ("data `x`", Some(2), &[], NAN) },
    Case { name: "a parameter that is NaN", x: &[1.0], y: &[0.0], a: NAN, single: false,
        model: |x, _, a| ((a * x).sum(), 0),
        expected: ("param `a`", None, &[], NAN) },
    Case { name: "a sum that leaves the range", x: &[1e308, 1e308], y: &[0.0; 2], a: 1.0, single: false,
        model: |x, _, a| ((a * x).sin().sum() + x.sum(), line!()),
        expected: ("sum over samples", None, &[("finite terms, samples", 2.0)], INF) },
    Case { name: "overflow in f32 alone", x: &[1.0, 100.0], y: &[0.0; 2], a: 1.0, single: true,
        model: |x, _, a| ((a * x).exp().sum(), line!()),
        expected: ("exp", Some(1), &[("mul", 100.0)], INF) },
    Case { name: "a sum that leaves f32", x: &[3e38, 3e38], y: &[0.0; 2], a: 1.0, single: true,
        model: |x, _, a| ((a.sin() * x).sum() + (a * x).sum(), 0),
        expected: ("", None, &[], INF) },
    Case { name: "a value without samples that leaves f32 on its way into the loop", x: &[1.0, 2.0], y: &[1e-30; 2], a: 100.0, single: true,
        model: |x, y, a| { let (e, line) = (a.exp(), line!()); ((x * y * e).sin().sum(), line) },
        expected: ("exp", None, &[("param `a`", 100.0)], INF) },
    Case { name: "ln of a negative parameter", x: &[1.0, 2.0], y: &[0.0; 2], a: -1.0, single: false,
        model: |x, _, a| { let (scale, line) = (a.ln(), line!()); ((x * scale).sum(), line) },
        expected: ("ln", None, &[("param `a`", -1.0)], NAN) },
    Case { name: "a quotient of sums", x: &[1.0, -1.0], y: &[2.0, -2.0], a: 1.0, single: false,
        model: |x, y, a| ((a * x).sum() / (a * y).sum(), line!()),
        expected: ("div", None, &[("sum over samples", 0.0), ("sum over samples", 0.0)], NAN) },
    Case { name: "the gradient of sqrt at 0", x: &[4.0, 0.0], y: &[0.0; 2], a: 1.0, single: false,
        model: |x, _, a| ((a * x).sqrt().sum(), line!()),
        expected: ("div", Some(1), &[("mul", 0.5), ("sqrt", 0.0)], INF) },
    Case { name: "the gradient of a norm at 0", x: &[4.0, 2.0], y: &[0.0; 2], a: 0.0, single: false,
        model: |x, _, a| ((a * x).square().sum().sqrt(), line!()),
        expected: ("div", None, &[("mul", 0.5), ("sqrt", 0.0)], INF) },
    Case { name: "the second pass", x: &[1.0, 2.0, 3.0], y: &[0.0; 3], a: 1.0, single: false,
        model: |x, _, a| { let r = a * x; ((r - r.mean()).ln().sum(), line!()) },
        expected: ("ln", Some(0), &[("sub", -1.0)], NAN) },
];

/// Numbers that are the same, NaN included.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn find<T: Real>(case: &Case) -> (Option<NonFinite>, bool, u32, u32) {
    let g = Graph::new();
    let (x, y, a, declared) = (g.data("x"), g.data("y"), g.param("a"), line!());
    let (loss, line) = (case.model)(x, y, a);
    let p = tapeless::compile::<T>(loss, &Options::new()).unwrap();
    let column = |x: &[f64]| x.iter().map(|x| T::from_f64(*x)).collect::<Vec<T>>();
    let (xs, ys) = (column(case.x), column(case.y));
    let bound = p.bind([("x", &xs), ("y", &ys)]).unwrap();
    let mut theta = p.zeros();
    theta.values_mut()[0] = T::from_f64(case.a);
    let (value, grad) = bound.value_and_grad(&theta).unwrap();
    (bound.find_non_finite(&theta).unwrap(), value.is_finite() && grad.is_finite(), line, declared)
}

#[test]
fn names_what_went_wrong() {
    for case in CASES {
        let name = case.name;
        let (found, finite, line, declared) = if case.single { find::<f32>(case) } else { find::<f64>(case) };
        assert!(!finite, "{name}: nothing went wrong");
        let found = found.unwrap_or_else(|| panic!("{name}: not found"));
        if case.single {
            let (in_double, finite, ..) = find::<f64>(case);
            assert!(finite && in_double.is_none(), "{name}: in f64 all is well");
        }
        let (node, sample, inputs, value) = case.expected;
        if node.is_empty() {
            // Which of two sums is not said; that it is one is.
            assert!(!found.value.is_finite() && found.sample.is_none() && found.place.unwrap().file == file!(), "{name}: {found:?}");
            continue;
        }
        assert_eq!((found.node.as_str(), found.sample, found.step), (node, sample, None), "{name}: {found}");
        assert!(same(found.value, value), "{name}: {found}");
        assert_eq!(found.inputs.len(), inputs.len(), "{name}: {found}");
        for ((name, x), (expected_name, expected)) in found.inputs.iter().zip(inputs) {
            assert!(name == expected_name && same(*x, *expected), "{}: {found}", case.name);
        }
        let place = found.place.unwrap_or_else(|| panic!("{name}: no place"));
        let line = if line == 0 { declared } else { line };
        assert_eq!((place.file, place.line), (file!(), line), "{name}: {found}");
        // All of it is in the message.
        let message = tapeless::Error::NonFinite(Box::new(found.clone())).to_string();
        let mut parts = vec![node.to_string(), format!("(at {}:{line})", file!())];
        parts.extend(sample.map(|i| format!("at sample {i}")));
        parts.extend(inputs.iter().map(|(name, x)| format!("{name} = {x}")));
        assert!(parts.iter().all(|p| message.contains(p)), "{name}: {message}");
    }
}

#[test]
fn finite_is_finite() {
    // Something on the way isn't finite, the value and the gradient are.
    let harmless: [(&str, Model, &[f64], f64); 4] = [
        ("the operand not selected", |x, _, a| (x.gt(0.0).select((a * x).ln(), 0.0).sum(), 0), &[1.0, -1.0, 0.0], 2.0),
        ("an infinity divided by", |x, _, a| ((1.0 / (1.0 + (a * x).exp())).sum(), 0), &[1.0, 2.0], 1.0),
        ("tails of a softplus", |x, _, a| ((a * x).softplus().sum() + (a * x).sigmoid().sum(), 0), &[1e4, -1e4, 0.0], 1.0),
        ("nothing", |x, _, a| ((a * x).square().mean(), 0), &[1.0], 1.0),
    ];
    for (name, model, x, a) in harmless {
        let case = Case { name, model, x, y: x, a, expected: ("", None, &[], 0.0), single: false };
        for (found, finite, ..) in [find::<f64>(&case), find::<f32>(&case)] {
            assert!(finite && found.is_none(), "{name}: finite is {finite}, found is {found:?}");
        }
    }
    // What the simplifier keeps in the range is in the range: the factor leaves the sum and is never an f32.
    let case = Case {
        name: "a factor beyond f32",
        model: |x, _, a| ((a.exp() * (x * 1e-30)).sum(), 0),
        x: &[1.0, 2.0],
        y: &[0.0; 2],
        a: 100.0,
        expected: ("", None, &[], 0.0),
        single: true,
    };
    let (found, finite, ..) = find::<f32>(&case);
    assert_eq!(found.is_none(), finite, "found is {found:?}, and finite {finite}");
}

#[test]
fn operands_not_chosen_have_derivative_zero() {
    let masked: [(&str, Model, &[f64], f64); 9] = [
        ("ln at 0", |x, _, a| (x.gt(0.0).select((a * x).ln(), 0.0).sum(), 0), &[1.0, 0.0], 2.0),
        ("sqrt at 0", |x, _, a| (x.gt(0.0).select((a * x).sqrt(), 0.0).sum(), 0), &[1.0, 0.0], 2.0),
        ("overflow of exp", |x, _, a| (x.lt(700.0).select((a * x).exp(), 1.0).sum(), 0), &[1.0, 800.0], 1.0),
        ("missing data", |x, _, a| (x.eq(x).select((a * x - 1.0).square(), 0.0).sum(), 0), &[1.0, NAN], 2.0),
        ("the third operand", |x, _, a| (x.le(0.0).select(a, (a * x).ln()).sum(), 0), &[1.0, 0.0], 2.0),
        ("one in another", |x, _, a| (x.ge(0.0).select(x.gt(0.0).select((a * x).ln(), a), a * 0.5).sum(), 0), &[1.0, 0.0, -1.0], 2.0),
        ("within a function", |x, _, a| ((-2.0 * x.gt(0.0).select((a * x).ln(), 0.0).square()).exp().mean(), 0), &[1.0, 0.0], 0.5),
        ("the larger of two", |x, _, a| ((a * x).ln().max(-5.0).sum(), 0), &[1.0, 0.0], 2.0),
        ("the largest over samples", |x, _, a| ((a * x).ln().max_samples(), 0), &[1.0, 0.0], 2.0),
    ];
    for (name, model, x, a) in masked {
        let (found, finite, ..) = find::<f64>(&Case { name, model, x, y: x, a, expected: ("", None, &[], 0.0), single: false });
        assert!(finite, "{name}: {found:?}");
    }
}

#[test]
fn a_masked_row_of_a_matrix_contributes_nothing() {
    let g = Graph::new();
    let (x, keep, w) = (g.data_with("x", &[100]), g.data("keep"), g.param_with("w", &[100]));
    let p = keep.select((x * w).sum_dim(-1).square(), 0.0).sum().compile().unwrap();
    let m = DMatrix::from_fn(3, 100, |i, j| if i == 1 && j % 3 == 0 { NAN } else { (i + j) as f64 * 0.01 });
    let bound = p.bind([("x", Columns::from(&m)), ("keep", (&[1.0, 0.0, 1.0]).into())]).unwrap();
    let (value, grad) = bound.value_and_grad(&p.params([("w", &[0.1; 100][..])]).unwrap()).unwrap();
    let dot = |i: usize| (0..100).map(|j| m[(i, j)] * 0.1).sum::<f64>();
    assert!((value - dot(0).powi(2) - dot(2).powi(2)).abs() < 1e-12 * value);
    for (j, d) in grad.values().iter().enumerate() {
        let expected = 2.0 * (dot(0) * m[(0, j)] + dot(2) * m[(2, j)]);
        assert!((d - expected).abs() < 1e-12 * (1.0 + expected.abs()), "{j}: {d} against {expected}");
    }
}

#[test]
fn deep_in_the_data_and_in_matrices() {
    // The sample is counted over all samples, far beyond one block of the search.
    let g = Graph::new();
    let (x, w) = (g.data_with("x", &[3]), g.param_with("w", &[3]));
    let (logs, line) = ((x * w).ln(), line!());
    let p = logs.sum_dim(-1).mean().compile().unwrap();
    let mut m = DMatrix::from_element(10_000, 3, 2.0);
    let theta = p.params([("w", [1.0, 1.0, 0.5])]).unwrap();
    let find = |m: &DMatrix<f64>| p.bind([("x", m)]).unwrap().find_non_finite(&theta).unwrap();
    assert_eq!(find(&m), None);
    m[(7777, 2)] = -4.0;
    m[(9999, 0)] = f64::NAN;
    let found = find(&m).unwrap();
    assert_eq!((found.node.as_str(), found.sample, found.place.unwrap().line), ("ln", Some(7777), line));
    assert_eq!(found.inputs, [("mul".to_string(), -2.0)]);
    m[(5000, 1)] = f64::NEG_INFINITY;
    let found = find(&m).unwrap();
    assert_eq!((found.node.as_str(), found.sample, found.value), ("data `x`", Some(5000), f64::NEG_INFINITY));
    // A vector's entry without samples.
    let theta = p.params([("w", [1.0, f64::INFINITY, 0.5])]).unwrap();
    let ones = DMatrix::from_element(5, 3, 1.0);
    let x: Columns<'_, f64> = (&ones).into();
    let found = p.bind([("x", x)]).unwrap().find_non_finite(&theta).unwrap().unwrap();
    assert_eq!((found.node.as_str(), found.sample, found.value), ("param `w`", None, f64::INFINITY));
}
