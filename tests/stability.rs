//! Naive formulas get stable ones, before differentiation: value and gradient finite at arguments of +-1000 and accurate near cancellation, and
//! each case is wrong without its rule.

mod stability_cases;

use stability_cases::{CASES, Case, close};
use tapeless::prelude::*;

type Root = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;

/// The rules of two variables.
const ROOTS: &[(&str, Root)] = &[
    ("root_of_squares", |x, z| (x.square() + z.square()).sqrt()),
    ("root_of_products", |x, z| (x * x + z * z).sqrt()),
    ("root_of_powers", |x, z| (x.powi(2) + z.powi(2)).sqrt()),
];

fn evaluate(case: &Case, simplified: bool) -> (f64, f64) {
    let g = Graph::new();
    let loss = (case.formula)(g.param("x"));
    let options = if simplified { Options::new() } else { Options::new().without_simplifier() };
    let program = options.compile(loss).unwrap();
    let data = program.bind::<&str, &[f64]>([]).unwrap();
    let (value, grad) = data.value_and_grad(&program.params([("x", case.at)]).unwrap()).unwrap();
    (value, grad.values()[0])
}

#[test]
fn naive_formulas_are_made_stable_and_are_wrong_otherwise() {
    for case in CASES {
        let (value, slope) = evaluate(case, true);
        assert!(close(value, case.value) && close(slope, case.slope), "{} at {}: {value} {slope} instead of {} {}", case.rule, case.at, case.value, case.slope);
        let (value, slope) = evaluate(case, false);
        assert!(!(close(value, case.value) && close(slope, case.slope)), "{} at {} is no test: right without the rule", case.rule, case.at);
    }
}

#[test]
fn every_rule_has_a_case_and_fires() {
    use tapeless::simplify::{rules::STABLE, stabilise};
    // (A double negation is a step on the way to the others.)
    for rule in STABLE.iter().filter(|r| r.name != "double_neg") {
        let g = Graph::new();
        let y = match CASES.iter().find(|c| c.rule == rule.name) {
            Some(case) => (case.formula)(g.param("x")),
            None => {
                let (_, root) = ROOTS.iter().find(|(name, _)| *name == rule.name).unwrap_or_else(|| panic!("{} has no case", rule.name));
                root(g.param("x"), g.param("z"))
            }
        };
        let mut dag = g.dag().clone();
        dag.output("y", y.id());
        let (stable, statistics) = stabilise(&dag);
        assert!(statistics.applied.iter().any(|(name, _)| *name == rule.name), "{}: {statistics}", rule.name);
        assert!(stabilise(&stable).1.applied.is_empty(), "{}: {}", rule.name, stabilise(&stable).1);
    }
}

#[test]
fn the_root_of_squares_does_not_overflow() {
    for (size, (_, root)) in [1e200, 1e-200].into_iter().flat_map(|size| ROOTS.iter().map(move |r| (size, r))) {
        let g = Graph::new();
        let program = root(g.param("x"), g.param("z")).compile().unwrap();
        let theta = program.params([("x", 3.0 * size), ("z", 4.0 * size)]).unwrap();
        let (value, grad) = program.bind::<&str, &[f64]>([]).unwrap().value_and_grad(&theta).unwrap();
        assert!(close(value, 5.0 * size) && close(grad.values()[0], 0.6) && close(grad.values()[1], 0.8), "{value} {grad}");
    }
}

#[test]
fn log_sum_exp_and_softmax_with_extreme_entries() {
    let g = Graph::new();
    let (z, w) = (g.data_with("z", &[3]), g.param("w"));
    let scores = z * w;
    let columns: [&[f64]; 3] = [&[1000.0, -1000.0, 0.1, -1e300], &[999.0, -1001.0, 0.2, 1e300], &[-1000.0, -999.0, 0.3, 0.0]];
    // By hand: m + ln(sum(exp(x - m))).
    let by_hand = |i: usize| {
        let m = columns.iter().map(|c| c[i]).fold(f64::NEG_INFINITY, f64::max);
        m + columns.iter().map(|c| (c[i] - m).exp()).sum::<f64>().ln()
    };
    for build in [
        (|s| s.exp().sum_dim(-1).ln()) as for<'g> fn(Expr<'g>) -> Expr<'g>,
        |s| s.log_sum_exp_dim(0),
        |s| s.index(&[0]) - s.log_softmax(-1).index(&[0]),
        |s| s.index(&[1]) - s.softmax(-1).ln().index(&[1]),
        |s| s.index(&[2]) - (s.exp() / s.exp().sum_dim(-1).reshape(&[1])).ln().index(&[2]),
    ] {
        let f = build(scores).compile_function().unwrap();
        let out = f.bind([("z", columns.to_vec())]).unwrap().eval(&f.params([("w", 1.0)]).unwrap()).unwrap();
        for i in 0..3 {
            assert!((out[0].numbers[i] - by_hand(i)).abs() <= 4e-13, "{i}: {} {}", out[0].numbers[i], by_hand(i));
        }
        // The gradient is the softmax-weighted mean of z: finite, and checked.
        let program = build(scores).sum().compile().unwrap();
        let data = program.bind([("z", columns.map(|c| &c[..3]).to_vec())]).unwrap();
        let report = tapeless::check::gradient(&data, &program.params([("w", 0.7)]).unwrap()).unwrap();
        assert!(report.passed(), "{report}");
    }
    let f = scores.log_sum_exp_dim(0).compile_function().unwrap();
    let infinite: [&[f64]; 3] = [&[f64::NEG_INFINITY, f64::INFINITY, f64::NAN], &[f64::NEG_INFINITY, 1.0, 1.0], &[f64::NEG_INFINITY, 2.0, 2.0]];
    let out = f.bind([("z", infinite.to_vec())]).unwrap().eval(&f.params([("w", 1.0)]).unwrap()).unwrap();
    assert!(out[0].numbers[0] == f64::NEG_INFINITY && out[0].numbers[1] == f64::INFINITY && out[0].numbers[2].is_nan(), "{:?}", out[0]);
}

#[test]
fn cross_entropy_of_a_naive_probability() {
    let g = Graph::new();
    let (x, y, w) = (g.data("x"), g.data("y"), g.param("w"));
    let p = 1.0 / (1.0 + (-(w * x)).exp());
    let loss = (-y * p.ln() - (1.0 - y) * (1.0 - p).ln()).sum();
    let program = loss.compile().unwrap();
    let (xs, ys) = ([1000.0, -1000.0, 1000.0, -1000.0, 0.5], [1.0, 0.0, 0.0, 1.0, 1.0]);
    let data = program.bind([("x", &xs), ("y", &ys)]).unwrap();
    let (value, grad) = data.value_and_grad(&program.params([("w", 1.0)]).unwrap()).unwrap();
    let (soft, p) = ((-0.5f64).exp().ln_1p(), 1.0 / (1.0 + (-0.5f64).exp()));
    assert!(close(value, 2000.0 + soft) && close(grad.values()[0], 2000.0 + (p - 1.0) * 0.5), "{value} {grad}");
}

#[test]
fn reductions_by_closed_forms() {
    let g = Graph::new();
    let (x, v) = (g.data("x"), g.param_with("v", &[2, 3]));
    let xs = [1.0, 2.0, 4.0, 9.0];
    for (e, want) in [
        (x.var(), vec![9.5]),
        (x.std(), vec![9.5f64.sqrt()]),
        (x.var_samples(), vec![9.5]),
        (x.norm(), vec![102f64.sqrt()]),
        (x.log_sum_exp(), vec![9.0 + (1.0 + (-5f64).exp() + (-7f64).exp() + (-8f64).exp()).ln()]),
        (v.var_dim(-1), vec![2.0 / 3.0, 2.0 / 3.0]),
        (v.std_dim(0), vec![1.5, 1.5, 1.5]),
        (v.norm_dim(1), vec![14f64.sqrt(), 77f64.sqrt()]),
        (v.cumsum(1), vec![1.0, 3.0, 6.0, 4.0, 9.0, 15.0]),
        (v.cumsum(0), vec![1.0, 2.0, 3.0, 5.0, 7.0, 9.0]),
        (v.clamp(2.0, 4.5), vec![2.0, 2.0, 3.0, 4.0, 4.5, 4.5]),
        (v.softmax(1).sum_dim(1), vec![1.0, 1.0]),
    ] {
        let f = e.compile_function().unwrap();
        let out = f.bind([("x", &xs)]).unwrap().eval(&f.params([("v", vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]).unwrap()).unwrap();
        assert_eq!(out[0].numbers.len(), want.len());
        for (a, b) in out[0].numbers.iter().zip(&want) {
            assert!((a - b).abs() <= 4e-15 * b.abs(), "{a} {b}");
        }
    }
}
