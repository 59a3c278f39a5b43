//! P6: `find_non_finite` names the operation that made the first number that isn't finite: at which sample, from what, written where. A training says the
//! same, and in which step.

use nalgebra::DMatrix;
use tapeless::fit::State;
use tapeless::prelude::*;
use tapeless::{Columns, Error, NonFinite, Real};

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
    Case { name: "infinities of both signs in a sum", x: &[1.0, 30.0, -30.0], y: &[0.0; 3], a: 1.0, single: false,
        model: |x, _, a| ((x * (a * x * x).exp()).sum(), line!()),
        expected: ("exp", Some(1), &[("mul", 900.0)], INF) },
    Case { name: "infinite data of both signs in a sum", x: &[1.0, INF, -INF], y: &[0.0; 3], a: 1.0, single: false,
        model: |x, _, a| ((a * x).sum() + a * a, 0),
        expected: ("data `x`", Some(1), &[], INF) },
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
    let found = bound.find_non_finite(&theta).unwrap();
    // A training from there says the same in its first step, over all samples at once or in a batch of them; one from a finite point says nothing.
    for batch in [None, Some(case.x.len())] {
        let training = Training::new(&bound, Sgd::new(1e-3)).steps(1);
        let mut training = if let Some(size) = batch { training.batch_size(size) } else { training };
        let told = match training.run(&mut theta.clone()) {
            Ok(_) => None,
            Err(Error::NonFinite(report)) => Some(report),
            Err(error) => panic!("{}: {error}", case.name),
        };
        assert_eq!(told.as_ref().map(|report| report.step), found.as_ref().map(|_| Some(1)), "{}", case.name);
        // NaN isn't itself: as text.
        let told = told.map(|report| NonFinite { step: None, ..*report });
        assert_eq!(format!("{told:?}"), format!("{found:?}"), "{}", case.name);
    }
    (found, value.is_finite() && grad.is_finite(), line, declared)
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

/// Goes up by 1 in each step, whatever the gradient.
struct Climb(f64);

impl Stepper<f64> for Climb {
    fn step(&mut self, theta: &mut Params<f64>, _: &Grad<f64>) -> tapeless::Result<()> {
        theta.values_mut()[0] += self.0;
        Ok(())
    }
    fn learning_rate(&self) -> f64 {
        self.0
    }
    fn set_learning_rate(&mut self, rate: f64) {
        self.0 = rate;
    }
    fn state(&self) -> State {
        State::new::<f64>("climb", self.0)
    }
    fn restore(&mut self, state: &State) -> tapeless::Result<()> {
        state.check::<f64>("climb", &[], &[]).map(|_| ())
    }
}

/// A way for numbers to go wrong as `a` goes 1, 2, 3: the formula and the line of the operation.
type Way = for<'g> fn(g: &'g Graph, x: Expr<'g>, a: Expr<'g>) -> (Expr<'g>, u32);

/// Ones on the diagonal and `c` beside: definite for `c` below 1, of any size.
fn correlated<'g>(g: &'g Graph, n: usize, c: Expr<'g>) -> Expr<'g> {
    g.identity(n) * (1.0 - c) + c
}

#[test]
fn each_way_is_named_in_the_course_of_a_training_and_on_request() {
    // Name, formula; the data; the step, the operation, the sample, what went in (a pivot to a few roundings), what came out.
    type Row = (&'static str, Way, &'static [f64], u64, &'static str, Option<usize>, &'static [(&'static str, f64)], f64);
    #[rustfmt::skip]
    let ways: [Row; 9] = [
        ("overflow in exp", |_, x, a| ((a * x).exp().sum(), line!()), &[1.0, 100.0], 8, "exp", Some(1), &[("mul", 800.0)], INF),
        ("ln of a negative", |_, x, a| (((4.5 - a) * x).ln().sum(), line!()), &[1.0, 2.0], 5, "ln", Some(0), &[("mul", -0.5)], NAN),
        ("0/0", |_, x, a| (((a - 3.0) * x / ((a - 3.0) * x).tanh()).sum(), line!()), &[1.0, 2.0], 3, "div", Some(0), &[("mul", 0.0), ("tanh", 0.0)], NAN),
        // c = 5 / 4.5: the second pivot is 1 - c^2.
        ("a small matrix that is definite no more", |g, _, a| { let m = correlated(g, 2, a / 4.5); (m.log_det() + m.inverse().sum(), line!()) },
            &[1.0], 5, "pivot", None, &[("sub", 1.0 - (5.0 / 4.5) * (5.0 / 4.5))], NAN),
        ("a large one", |g, _, a| { let m = correlated(g, 40, a / 4.5); (m.log_det() + m.inverse().sum(), line!()) },
            &[1.0], 5, "dense_cholesky", None, &[("pivot of row 1", 1.0 - (5.0 / 4.5) * (5.0 / 4.5))], NAN),
        ("one for each sample", |g, x, a| { let m = correlated(g, 2, a * x); (m.log_det().sum(), line!()) },
            &[0.1, 0.3, 0.2], 4, "pivot", Some(1), &[("sub", 1.0 - 4.0 * 0.3 * (4.0 * 0.3))], NAN),
        ("infinities of both signs in a sum", |_, x, a| ((x * (a * x.abs()).exp()).sum(), line!()), &[1.0, 200.0, -200.0], 4, "exp", Some(1), &[("mul", 800.0)], INF),
        ("infinity less infinity", |_, x, a| { let (e, line) = ((a * x).exp(), line!()); ((e - (a * (x - 1.0)).exp()).sum(), line) },
            &[2.0, 200.0], 4, "exp", Some(1), &[("mul", 800.0)], INF),
        ("a gradient alone", |_, x, a| (((a - 6.0).abs() * x).sqrt().sum(), line!()), &[4.0, 9.0], 6, "div", Some(0), &[("mul", 0.5), ("sqrt", 0.0)], INF),
    ];
    for (name, way, x, step, node, sample, inputs, value) in ways {
        let g = Graph::new();
        let a = g.param("a");
        let column = g.data("x");
        // Both are part of each formula, and change nothing in it.
        let (formula, line) = way(&g, column, a);
        let program = (formula + 0.0 * column.sum() * a).compile().unwrap();
        let data = program.bind([("x", x)]).unwrap();
        let mut theta = program.params([("a", 1.0)]).unwrap();
        let mut training = Training::new(&data, Climb(1.0));
        let Err(Error::NonFinite(told)) = training.run(&mut theta) else { panic!("{name}: nothing went wrong") };
        let asked = data.find_non_finite(training.failed_at().unwrap()).unwrap().unwrap();
        assert_eq!((told.step, asked.step), (Some(step), None), "{name}: {told}");
        for report in [&*told, &asked] {
            assert_eq!((report.node.as_str(), report.sample), (node, sample), "{name}: {report}");
            assert!(same(report.value, value) && report.inputs.len() == inputs.len(), "{name}: {report}");
            for ((what, x), (expected_what, expected)) in report.inputs.iter().zip(inputs) {
                assert!(what == expected_what && (x - expected).abs() <= 4.0 * f64::EPSILON * (1.0 + expected.abs()), "{name}: {report}");
            }
            assert_eq!(report.place.map(|place| (place.file, place.line)), Some((file!(), line)), "{name}: {report}");
        }
        // The training is back where all was finite, one step before.
        assert_eq!((theta.values()[0], training.history().len() as u64), (step as f64 - 1.0, step - 1), "{name}");
        assert_eq!(data.find_non_finite(&theta).unwrap(), None, "{name}");
    }
}

#[test]
fn a_bad_cell_is_named_when_its_batch_comes() {
    for (cell, what) in [(NAN, "NaN"), (INF, "inf"), (-INF, "-inf")] {
        let g = Graph::new();
        let (x, declared) = (g.data("x"), line!());
        let program = (g.param("a") * x - 1.0).square().mean().compile().unwrap();
        let mut column = vec![0.5; 20];
        column[13] = cell;
        let data = program.bind([("x", &column)]).unwrap();
        let mut theta = program.params([("a", 1.0)]).unwrap();
        let mut training = Training::new(&data, Sgd::new(0.1)).batch_size(3);
        let Err(Error::NonFinite(told)) = training.run(&mut theta) else { panic!("nothing went wrong") };
        let asked = data.find_non_finite(&theta).unwrap().unwrap();
        // Samples 12 to 14 are the fifth batch.
        assert_eq!((told.step, asked.step), (Some(5), None));
        for report in [&*told, &asked] {
            assert_eq!((report.node.as_str(), report.sample, report.inputs.len()), ("data `x`", Some(13), 0), "{report}");
            assert!(same(report.value, cell) && report.place.is_some_and(|p| p.line == declared), "{report}");
            assert!(report.to_string().starts_with(&format!("data `x` gave {what}, at sample 13")), "{report}");
        }
        // The steps before it were taken.
        assert!(theta.values()[0] != 1.0 && training.history().len() == 4);
    }
}
