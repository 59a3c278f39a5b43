//! `ln(sum(exp x))` over samples, written naively or not: stable, and one pass. Values and derivatives against mpmath (`tools/log_sums_reference.py`);
//! what isn't finite as NumPy's `logsumexp` has it; and what only looks like it, which takes the passes it needs.

use tapeless::backend::Backend;
use tapeless::prelude::*;
use tapeless::schedule::Passes;
use tapeless::simplify::stabilise;
use tapeless::{Real, check};

/// One line of the table.
struct Row {
    x: Vec<f64>,
    a: f64,
    /// Of `ln(sum(exp(a x)))` by `a`.
    value: f64,
    slope: f64,
    curvature: f64,
}

fn table() -> Vec<Row> {
    let lines = include_str!("../tables/log_sums.txt").lines().filter(|l| !l.starts_with('#'));
    let row = |line: &str| {
        let numbers: Vec<f64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        let [n, p, q, r, k, a, value, slope, curvature] = numbers[..] else { panic!("{line}") };
        let x = |i: usize| ((i as f64 * p) % q - r) * k.exp2();
        Row { x: (0..n as usize).map(x).collect(), a, value, slope, curvature }
    };
    lines.map(row).collect()
}

type Formula = for<'g> fn(Expr<'g>) -> Expr<'g>;

/// Ways to write the same number.
const WAYS: [(&str, Formula); 7] = [
    ("naive", |x| x.exp().sum().ln()),
    ("naive, over samples only", |x| x.exp().sum_samples().ln()),
    ("a mean", |x| x.exp().mean().ln() + x.graph().count().ln()),
    ("a factor", |x| (0.125 * (x.exp() * 3.0).sum()).ln() - 0.375f64.ln()),
    ("a quotient", |x| (x.exp().sum() / (1.0 + x.graph().count())).ln() + (1.0 + x.graph().count()).ln()),
    ("by name, over samples", |x| x.log_sum_exp_samples()),
    ("by name", |x| x.log_sum_exp()),
];

/// Value, slope, Hessian of one entry.
fn evaluate<T: Real>(program: &Program<T>, x: &[f64], a: f64) -> [f64; 3] {
    let x: Vec<T> = x.iter().map(|x| T::from_f64(*x)).collect();
    let data = program.bind([("x", &x)]).unwrap();
    let theta = program.params([("a", a)]).unwrap();
    let (value, grad) = data.value_and_grad(&theta).unwrap();
    assert_eq!(data.value(&theta).unwrap().to_f64().to_bits(), value.to_f64().to_bits(), "the value alone");
    [value.to_f64(), grad.values()[0].to_f64(), data.hessian(&theta).unwrap()[(0, 0)]]
}

/// Whether it is the row's, up to so many roundings.
fn close(found: [f64; 3], row: &Row, epsilon: f64) -> bool {
    let size = row.x.iter().fold(0.0, |s: f64, x| s.max(x.abs()));
    let off = |k: usize, want: f64| (found[k] - want).abs();
    // The value is a logarithm and the largest exponent; the slope a mean; the curvature a difference of means of squares.
    off(0, row.value) <= epsilon * row.value.abs().max(1.0) && off(1, row.slope) <= epsilon * size && off(2, row.curvature) <= 2.0 * epsilon * size * size
}

#[test]
fn every_way_is_stable_and_takes_one_pass() {
    let rows = table();
    for (name, formula) in WAYS {
        let g = Graph::new();
        let loss = formula(g.param("a") * g.data("x"));
        let options = Options::new().with_curvature();
        let (program, single) = (options.compile(loss).unwrap(), options.compile_f32(loss).unwrap());
        let one = Passes { bind: 0, call: 1 };
        assert_eq!((program.passes(), program.value_passes(), program.curvature_passes()), (one, one, Some(one)), "{name}\n{}", program.schedule());
        for row in &rows {
            let found = evaluate(&program, &row.x, row.a);
            assert!(close(found, row, 6e-15), "{name}, {} samples: {found:?} where {:e} {:e} {:e}", row.x.len(), row.value, row.slope, row.curvature);
            let found = evaluate(&single, &row.x, row.a);
            assert!(close(found, row, 3e-6), "{name}, {} samples, f32: {found:?} where {:e} {:e} {:e}", row.x.len(), row.value, row.slope, row.curvature);
        }
    }
}

#[test]
fn naive_ones_are_wrong_without_the_rule() {
    let rows = table();
    let large: Vec<&Row> = rows.iter().filter(|r| r.x.iter().all(|x| x.abs() > 800.0) || r.value > 710.0).collect();
    assert!(large.len() > 20);
    for (name, formula) in &WAYS[..5] {
        let g = Graph::new();
        let loss = formula(g.param("a") * g.data("x"));
        let naive = Options::new().with_curvature().without_simplifier().compile(loss).unwrap();
        for row in &large {
            assert!(!close(evaluate(&naive, &row.x, row.a), row, 6e-15), "{name} is no test: right without the rule");
        }
    }
}

#[test]
fn the_rule_has_a_name_and_fires_once() {
    let fired = |formula: Formula| {
        let g = Graph::new();
        let y = formula(g.param("a") * g.data_with("x", &[2, 3]));
        let mut dag = g.dag().clone();
        dag.output("y", y.id());
        let (stable, statistics) = stabilise(&dag);
        assert!(stabilise(&stable).1.applied.is_empty(), "{}", stabilise(&stable).1);
        statistics.applied
    };
    for (formula, name) in [
        ((|x| x.exp().sum_samples().ln()) as Formula, "ln_sum_exp_samples"),
        (|x| x.exp().sum().ln(), "ln_sum_exp_samples"),
        (|x| x.exp().mean().ln(), "ln_sum_exp_samples"),
        (|x| x.exp().sum_samples().sum_dim(0).ln(), "ln_sum_exp_samples"),
        (|x| (x.graph().param("c").exp() * x.exp().sum_samples()).ln(), "ln_sum_exp_samples"),
        (|x| x.exp().sum_dim(0).ln(), "ln_sum_exp"),
        (|x| (x.exp() / 3.0).sum_dim(1).ln(), "ln_sum_exp"),
    ] {
        assert_eq!(fired(formula), [(name, 1)]);
    }
    // Stable already; no exponentials; weights, of which the largest exponent's may be 0.
    for formula in [
        (|x| x.log_sum_exp_samples()) as Formula,
        |x| x.log_sum_exp(),
        |x| x.square().sum_samples().ln(),
        |x| (x.graph().data("w") * x.exp()).sum_samples().ln(),
        |x| (x.graph().param_with("w", &[3]) * x.exp()).sum().ln(),
        |x| x.exp().reshape(&[6]).sum_dim(0).ln(),
    ] {
        assert_eq!(fired(formula), []);
    }
}

/// Samples that are hard on a leaf, or on a leaf among others: not finite, far apart, nothing to be seen at the ends. What NumPy's `logaddexp.reduce` and
/// SciPy's `logsumexp` say, and closed forms.
fn hard() -> Vec<(&'static str, Vec<f64>, f64)> {
    const LEAF: usize = 4096;
    let (none, top, nan) = (f64::NEG_INFINITY, f64::INFINITY, f64::NAN);
    let with = |n: usize, at: &[(usize, f64)]| {
        let mut x = vec![-1000.0; n];
        at.iter().for_each(|(k, v)| x[*k] = *v);
        x
    };
    let leaves = |of: &[f64]| of.iter().flat_map(|v| vec![*v; LEAF]).collect::<Vec<f64>>();
    let all = (LEAF as f64).ln();
    vec![
        ("nothing, once", vec![none], none),
        ("nothing, three times", vec![none; 3], none),
        ("nothing, over leaves", vec![none; 9000], none),
        ("some nothing", with(5, &[(0, none), (3, none)]), -1000.0 + 3f64.ln()),
        ("nothing first", leaves(&[none, -1000.0]), -1000.0 + all),
        ("nothing last", leaves(&[-1000.0, none]), -1000.0 + all),
        ("nothing between", leaves(&[-1000.0, none, none, -1000.0, none]), -1000.0 + (2.0 * LEAF as f64).ln()),
        ("nothing but one far below", [leaves(&[none, none, none]), vec![-1e300]].concat(), -1e300),
        ("an infinity", with(5, &[(2, top)]), top),
        ("an infinity in a late leaf", with(9000, &[(8500, top)]), top),
        ("an infinity in the first leaf", with(9000, &[(0, top)]), top),
        ("infinities of both signs", with(9000, &[(0, none), (5000, top)]), top),
        ("not a number", with(5, &[(4, nan)]), nan),
        ("not a number, in a late leaf", with(9000, &[(8999, nan)]), nan),
        ("not a number, in the first leaf", with(9000, &[(17, nan)]), nan),
        ("not a number, and an infinity", with(9000, &[(17, nan), (8000, top)]), nan),
        ("a leaf far above the others", leaves(&[-1000.0, 1000.0, -1000.0]), 1000.0 + all),
        // What the ends of a leaf don't show.
        ("one far above the others", with(9000, &[(2000, 1000.0)]), 1000.0),
        ("one far above the others, in a late leaf", with(12288, &[(6000, 1000.0)]), 1000.0),
        ("one a little above the others", with(4096, &[(2000, -995.0)]), -1000.0 + (4095.0 + 5f64.exp()).ln()),
        ("ends far above the middle", with(4096, &[(0, 1000.0), (4095, 1000.0)]), 1000.0 + 2f64.ln()),
        ("one end far above the other", with(4096, &[(4095, 1000.0)]), 1000.0),
        ("ends with nothing", with(4096, &[(0, none), (4095, none)]), -1000.0 + 4094f64.ln()),
    ]
}

fn hard_in<T: Real>(epsilon: f64) {
    for (name, formula) in WAYS {
        let g = Graph::new();
        let (x, b) = (g.data("x"), g.param("b"));
        // In the pass of a call, and in the binding's.
        let called = tapeless::compile::<T>(formula(x + b), &Options::new()).unwrap();
        let at_binding = tapeless::compile::<T>(formula(x) + 0.0 * b, &Options::new()).unwrap();
        assert_eq!(at_binding.passes(), Passes { bind: 1, call: 0 }, "{name}");
        for (case, x, want) in hard() {
            if !T::DOUBLE && x.iter().any(|x| x.abs() == 1e300) {
                continue;
            }
            let x: Vec<T> = x.iter().map(|x| T::from_f64(*x)).collect();
            for program in [&called, &at_binding] {
                let (value, grad) = program.bind([("x", &x)]).unwrap().value_and_grad(&program.params([("b", 0.0)]).unwrap()).unwrap();
                let value = value.to_f64();
                let right = value == want || value.is_nan() && want.is_nan() || want.is_finite() && (value - want).abs() <= epsilon * want.abs();
                assert!(right, "{name}, {case}, {}: {value:e} where {want:e}", T::NAME);
                // A shift of all exponents is one of the result.
                let slope = grad.values()[0].to_f64();
                assert!(!want.is_finite() || std::ptr::eq(program, &at_binding) || (slope - 1.0).abs() <= epsilon, "{name}, {case}, {}: {slope}", T::NAME);
            }
        }
    }
}

#[test]
fn hard_samples_in_f64() {
    hard_in::<f64>(1e-15);
}

#[test]
fn hard_samples_in_f32() {
    hard_in::<f32>(3e-7);
}

#[test]
fn of_no_samples() {
    let g = Graph::new();
    let (x, a) = (g.data("x"), g.param("a"));
    let program = (a * x).exp().sum().ln().compile().unwrap();
    let empty: [f64; 0] = [];
    let value = program.bind([("x", &empty)]).unwrap().value(&program.params([("a", 1.0)]).unwrap()).unwrap();
    assert_eq!(value, f64::NEG_INFINITY, "ln 0, as the naive formula");
    // A maximum of nothing is a mistake, as it is a mean of nothing.
    for loss in [(a * x).log_sum_exp(), (a * x).exp().mean().ln()] {
        let program = loss.compile().unwrap();
        assert!(matches!(program.bind([("x", &empty)]), Err(tapeless::Error::NoSamples { .. })));
    }
}

/// A model of columns `x` `[3]` and `y`, of labels, and of parameters `w` `[3]` and `s`.
struct Model {
    name: &'static str,
    loss: for<'g> fn(Inputs<'g>) -> Expr<'g>,
    /// Of value and gradient, of the value alone, with the curvature.
    passes: [usize; 3],
}

#[derive(Clone, Copy)]
struct Inputs<'g> {
    x: Expr<'g>,
    y: Expr<'g>,
    w: Expr<'g>,
    s: Expr<'g>,
    group: tapeless::expr::Labels<'g>,
}

/// The largest of the samples, as a shift is written out.
fn shift(x: Expr<'_>) -> Expr<'_> {
    let top = x.max_samples().detach();
    top.abs().lt(f64::INFINITY).select(top, 0.0)
}

const MODELS: &[Model] = &[
    Model { name: "entry by entry", loss: |i| (i.x * i.w).exp().sum_samples().ln().square().sum(), passes: [1, 1, 1] },
    Model { name: "over everything", loss: |i| (i.x * i.w + i.s).exp().sum().ln(), passes: [1, 1, 1] },
    Model { name: "samples, then entries", loss: |i| (i.x * i.w).exp().sum_samples().sum().ln(), passes: [1, 1, 1] },
    Model { name: "a linear form", loss: |i| (i.x * i.w).sum_dim(-1).exp().mean().ln() * i.s, passes: [1, 1, 1] },
    Model { name: "a parameter for all entries", loss: |i| (i.x * i.s).exp().sum_samples().ln().sum(), passes: [1, 1, 1] },
    Model { name: "a matrix of entries", loss: |i| (i.x.outer(i.x) * i.w).exp().mean_samples().ln().square().sum(), passes: [1, 1, 1] },
    Model {
        name: "two of them, and a sum beside",
        loss: |i| {
            let (a, b) = (i.x.index(&[0]) * i.s, i.y * i.w.index(&[1]));
            a.exp().sum().ln() * b.exp().sum().ln() + (a * b).sin().sum() + b.log_sum_exp()
        },
        passes: [1, 1, 1],
    },
    Model { name: "free energy difference", loss: |i| (i.x * i.w).sum_dim(-1).log_sum_exp() - (i.y * i.s).log_sum_exp_samples(), passes: [1, 1, 1] },
    Model { name: "of a mixture", loss: |i| (i.x * i.w).log_sum_exp_dim(-1).log_sum_exp_samples(), passes: [1, 1, 1] },
    Model {
        name: "selections, signs and quotients",
        loss: |i| {
            let z = i.x * i.w;
            let e = (z - shift(z)).exp();
            let chosen = i.y.gt(0.2).select(e, 0.0) - i.x * e / (2.0 + i.s.square());
            (chosen.sum_samples() / e.sum_samples()).square().sum()
        },
        passes: [1, 1, 1],
    },
    // The adjoints of entries that change places wait for them, with or without exponentials.
    Model {
        name: "slices",
        loss: |i| {
            let z = i.x * i.w;
            let e = (z - shift(z)).exp();
            ((i.y * e).slice(0, 1..3).sum_samples() / e.slice(0, 1..3).sum_samples()).square().sum()
        },
        passes: [2, 1, 2],
    },
    // Whose the largest is, the gradient asks when it is known; a smallest one is found beside the sums.
    Model { name: "and the largest", loss: |i| (i.y * i.s).exp().sum().ln() * (i.y * i.s).max_samples(), passes: [2, 1, 2] },
    Model { name: "and the smallest", loss: |i| (i.y * i.s).exp().sum().ln() * (i.y * i.s).min_samples(), passes: [2, 1, 2] },
    // The exponents wait for a mean: that is the second pass, and the last.
    Model {
        name: "of centred exponents",
        loss: |i| {
            let z = (i.y * i.s).sin();
            (z - z.mean()).exp().sum().ln()
        },
        passes: [2, 2, 2],
    },
    // Relative twice, not at all, to other exponents, and to a shift that may be infinite.
    Model {
        name: "squares of the terms",
        loss: |i| {
            let z = i.y * i.s;
            let e = (z - shift(z)).exp();
            e.sum().ln() * 2.0 - e.square().sum().ln()
        },
        passes: [2, 2, 2],
    },
    Model {
        name: "the exponents of another column",
        loss: |i| (i.x.index(&[0]) * i.s - shift(i.y * i.s)).exp().sum().ln() + shift(i.y * i.s),
        passes: [2, 2, 2],
    },
    Model {
        name: "another entry's shift",
        loss: |i| {
            let z = i.x * i.w;
            let other = shift(z).slice(0, 1..3);
            ((z.slice(0, 0..2) - other).exp().sum_samples().ln() + other).sum()
        },
        passes: [3, 2, 3],
    },
    Model {
        name: "a shift guarded otherwise",
        loss: |i| {
            let top = (i.y * i.s).max_samples().detach();
            let m = top.abs().lt(4.0).select(top, 0.0);
            (i.y * i.s - m).exp().sum().ln() + m
        },
        passes: [2, 2, 2],
    },
    Model {
        name: "an unguarded shift",
        loss: |i| {
            let z = i.y * i.s;
            let top = z.max_samples().detach();
            (z - top).exp().sum().ln() + top
        },
        passes: [2, 2, 2],
    },
    // The sums by groups of the gradient wait.
    Model { name: "with an effect for each group", loss: |i| (i.w.gather(i.group) + i.y * i.s).exp().sum().ln(), passes: [2, 1, 2] },
];

#[test]
fn models_take_the_passes_they_need_and_are_right() {
    // Exponents over some 40 units, over two leaves and a bit.
    let n = 8300;
    let column = |seed: usize| (0..n).map(|i| ((i * (37 + 10 * seed)) % 509) as f64 / 32.0 - 8.0).collect::<Vec<f64>>();
    let (x, y) = ([column(1), column(2), column(3)], column(5));
    let group: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
    for Model { name, loss, passes } in MODELS {
        let g = Graph::new();
        let inputs = Inputs { x: g.data_with("x", &[3]), y: g.data("y"), w: g.param_with("w", &[3]), s: g.param("s"), group: g.labels("group") };
        let loss = loss(inputs);
        let build = |backend| Options::new().with_curvature().backend(backend).compile(loss).unwrap();
        let program = build(Backend::Auto);
        let found = [program.passes().call, program.value_passes().call, program.curvature_passes().unwrap().call];
        assert_eq!(found, *passes, "{name}\n{}", program.schedule());
        let used = |name: &str| {
            program
                .formula_dag()
                .nodes()
                .iter()
                .any(|node| matches!(node.op, tapeless::graph::Op::Data(k) if program.formula_dag().data()[k as usize].name == name))
        };
        let columns = [
            ("x", tapeless::Columns::from(x.iter().map(Vec::as_slice).collect::<Vec<_>>())),
            ("y", tapeless::Columns::from(&y)),
            ("group", tapeless::Columns::from(&group)),
        ];
        let columns: Vec<_> = columns.into_iter().filter(|(name, _)| used(name)).collect();
        let theta = program.params([("w", vec![1.5, -0.75, 1.0]), ("s", vec![1.25])]).unwrap();
        let data = program.bind(columns.clone()).unwrap();
        // The checker's references know nothing of passes.
        let report = check::gradient(&data, &theta).unwrap();
        assert!(report.passed(), "{name}\n{report}");
        let oracle = tapeless::graph::eval::outputs(program.dag(), &oracle_inputs(program.dag(), &x, &y, &group, &theta));
        let (value, grad) = data.value_and_grad(&theta).unwrap();
        let by_oracle: Vec<f64> = oracle.iter().flat_map(|v| v.numbers.iter().copied()).collect();
        for (found, want) in [value].iter().chain(grad.values()).zip(&by_oracle) {
            assert!((found - want).abs() <= 1e-12 * (1.0 + want.abs()), "{name}: {found:e} where the oracle has {want:e}");
        }
        // The Hessian by differences of the gradient.
        let hessian = data.hessian(&theta).unwrap();
        for k in 0..4 {
            let at = |h: f64| {
                let mut moved = theta.clone();
                moved.values_mut()[k] += h;
                data.value_and_grad(&moved).unwrap().1
            };
            let (h, h2) = (1e-3, 2e-3);
            let (p, m, p2, m2) = (at(h), at(-h), at(h2), at(-h2));
            for j in 0..4 {
                let slope = (8.0 * (p.values()[j] - m.values()[j]) - (p2.values()[j] - m2.values()[j])) / (12.0 * h);
                assert!((hessian[(k, j)] - slope).abs() <= 2e-6 * (1.0 + slope.abs()), "{name}, {k} {j}: {} where {slope}", hessian[(k, j)]);
            }
        }
        let bits = |program: &Program| {
            let data = program.bind(columns.clone()).unwrap();
            let (value, grad) = data.value_and_grad(&theta).unwrap();
            let hessian = data.hessian(&theta).unwrap();
            [value].iter().chain(grad.values()).chain(hessian.iter()).map(|x| x.to_bits()).collect::<Vec<u64>>()
        };
        let expected = bits(&program);
        for backend in Backend::available() {
            assert_eq!(bits(&build(backend)), expected, "{name}, {}", backend.name());
        }
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| bits(&program)), expected, "{name}, {threads} threads");
        }
    }
}

fn oracle_inputs(dag: &tapeless::graph::Dag, x: &[Vec<f64>], y: &[f64], group: &[u32], theta: &Params<f64>) -> tapeless::graph::eval::Inputs {
    let column = |name: &str| match name {
        "x" => x.concat(),
        "y" => y.to_vec(),
        _ => group.iter().map(|g| f64::from(*g)).collect(),
    };
    let data = dag.data().iter().map(|input| column(&input.name)).collect();
    tapeless::graph::eval::Inputs { samples: y.len(), data, params: theta.iter().map(|(_, v)| v.to_vec()).collect() }
}

/// Terms that change with the shift in another way than by a factor, or with two shifts. (They aren't what they are whatever the shift, as a log-sum-exp is, so
/// the detached shift shows: only values are compared.)
#[test]
fn other_functions_of_shifted_exponentials() {
    let g = Graph::new();
    let (x, a) = (g.data("x"), g.param("a"));
    let z = a * x;
    let e = |z| (z - shift(z)).exp();
    let both = g.stack(&[z, -z], 0);
    let n = 9000;
    let xs: Vec<f64> = (0..n).map(|i| ((i * 37) % 2003) as f64 / 64.0 - 7.0).collect();
    let (top, least) = (xs.iter().copied().fold(f64::MIN, f64::max), xs.iter().copied().fold(f64::MAX, f64::min));
    // Of `x`, `exp(x - max x)` and `exp(-x - max -x)`.
    type Term = fn(f64, f64, f64) -> f64;
    let cases: [(&str, Expr, Term, usize); 10] = [
        ("sine", e(z).sin().sum(), |_, e, _| e.sin(), 2),
        ("with a term of its own", (e(z) + x.cos() * a).sum(), |x, e, _| e + x.cos(), 2),
        ("squares", (e(z) * e(z) * x).sum(), |x, e, _| e * e * x, 2),
        ("below", (x / e(z)).sum(), |x, e, _| x / e, 2),
        ("as a condition", e(z).gt(0.5).select(z, 0.0).sum(), |x, e, _| if e > 0.5 { x } else { 0.0 }, 2),
        ("where a condition waits", z.gt(shift(z) - 1.0).select(e(z), 0.0).sum(), |_, e, _| if e > (-1f64).exp() { e } else { 0.0 }, 2),
        ("times what waits", (e(z) * (z - z.max_samples())).sum(), |_, e, _| e * e.ln(), 2),
        ("of two columns", (e(z) * x + e(-z)).sum(), |x, e, f| e * x + f, 2),
        ("entries with shifts of their own", e(both).sum_dim(0).sum(), |_, e, f| e + f, 2),
        // The simplifier counts the ones.
        ("and one", (e(z) + 1.0).sum(), |_, e, _| e + 1.0, 1),
    ];
    for (name, loss, of, passes) in cases {
        let p = Options::new().wrt([] as [&str; 0]).compile(loss).unwrap();
        assert_eq!(p.passes().call, passes, "{name}\n{}", p.schedule());
        let value = p.bind([("x", &xs)]).unwrap().value(&p.params([("a", 1.0)]).unwrap()).unwrap();
        let want: f64 = xs.iter().map(|x| of(*x, (x - top).exp(), (least - x).exp())).sum();
        assert!((value - want).abs() <= 1e-12 * want.abs(), "{name}: {value} {want}");
    }
}

/// Results that need the largest of all samples at each of them come in a pass after.
#[test]
fn weights_of_samples() {
    let g = Graph::new();
    let (x, a) = (g.data("x"), g.param("a"));
    let z = a * x;
    let f = tapeless::compile_function::<f64>(&[("weight", (z - z.log_sum_exp_samples()).exp()), ("total", z.exp().sum().ln())], &Options::new()).unwrap();
    let n = 9001;
    let xs: Vec<f64> = (0..n).map(|i| ((i * 37) % 2003) as f64 - 1000.0).collect();
    let out = f.bind([("x", &xs)]).unwrap().eval(&f.params([("a", 1.0)]).unwrap()).unwrap();
    assert!((out[0].numbers.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let top = xs.iter().copied().fold(f64::MIN, f64::max);
    let total = top + xs.iter().map(|x| (x - top).exp()).sum::<f64>().ln();
    assert!((out[1].numbers[0] - total).abs() <= 4e-15 * total);
    for (w, x) in out[0].numbers.iter().zip(&xs) {
        assert!((w - (x - total).exp()).abs() <= 1e-12 * w, "{w}");
    }
}

/// Columns too many to stay in a cache for a whole leaf: leaves are shorter, and the bits the same everywhere.
#[test]
fn many_columns() {
    const D: usize = 100;
    let g = Graph::new();
    let (x, w) = (g.data_with("x", &[D]), g.param_with("w", &[D]));
    let loss = (x * w).sum_dim(-1).exp().sum().ln();
    let n = 5001;
    let held: Vec<Vec<f64>> = (0..D).map(|j| (0..n).map(|i| ((i * (j + 3) * 7) % 257) as f64 - 128.0).collect()).collect();
    let theta: Vec<f64> = (0..D).map(|j| if j % 2 == 0 { 0.125 } else { -0.25 }).collect();
    // By hand; exponents are sums of exact products.
    let z: Vec<f64> = (0..n).map(|i| (0..D).map(|j| held[j][i] * theta[j]).sum()).collect();
    let top = z.iter().copied().fold(f64::MIN, f64::max);
    assert!(top > 400.0);
    let e: Vec<f64> = z.iter().map(|z| (z - top).exp()).collect();
    let total: f64 = e.iter().sum();
    let mut expected = None;
    for backend in Backend::available() {
        let program = Options::new().backend(backend).compile(loss).unwrap();
        assert_eq!(program.passes().call, 1);
        let data = program.bind([("x", tapeless::Columns::from(held.iter().map(Vec::as_slice).collect::<Vec<_>>()))]).unwrap();
        let at = program.params([("w", &theta[..])]).unwrap();
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (value, grad) = pool.install(|| data.value_and_grad(&at).unwrap());
            assert!((value - (top + total.ln())).abs() <= 1e-15 * value, "{value}");
            for (j, d) in grad.values().iter().enumerate() {
                let want = e.iter().zip(&held[j]).map(|(e, x)| e * x).sum::<f64>() / total;
                assert!((d - want).abs() <= 1e-12, "{j}: {d} {want}");
            }
            let bits: Vec<u64> = [value].iter().chain(grad.values()).map(|x| x.to_bits()).collect();
            assert_eq!(*expected.get_or_insert(bits.clone()), bits, "{}, {threads} threads", backend.name());
        }
    }
}

/// In batches of any rows, as over a binding of them.
#[test]
fn in_batches() {
    let g = Graph::new();
    let program = (g.param("a") * g.data("x")).exp().mean().ln().compile().unwrap();
    let xs: Vec<f64> = (0..6000).map(|i| ((i * 7919) % 2003) as f64 - 1001.0).collect();
    let data = program.bind([("x", &xs)]).unwrap();
    let theta = program.params([("a", 1.0)]).unwrap();
    let mut batch = data.batch();
    let mut grad = program.grad_zeros();
    for rows in [vec![3, 1, 4, 1, 5], (0..5000).rev().collect::<Vec<usize>>(), (0..4097).map(|k| k * k % 6000).collect()] {
        batch.select(&rows).unwrap();
        let value = batch.value_and_grad_into(&theta, &mut grad).unwrap();
        let copy: Vec<f64> = rows.iter().map(|k| xs[*k]).collect();
        let (want, slope) = program.bind([("x", &copy)]).unwrap().value_and_grad(&theta).unwrap();
        assert_eq!((value, grad.values()), (want, slope.values()));
        let top = copy.iter().copied().fold(f64::MIN, f64::max);
        let closed = top + (copy.iter().map(|x| (x - top).exp()).sum::<f64>() / copy.len() as f64).ln();
        assert!((value - closed).abs() <= 4e-15 * closed.abs(), "{value} {closed}");
    }
}
