//! P1: an objective `outer(sum_i f_i(params), ...)` takes one pass over the samples for value and gradient together; data-only work is done
//! at binding and parameter-only work outside the loop. Values and gradients are held against closed forms.

use nalgebra::DMatrix;
use tapeless::prelude::*;
use tapeless::schedule::Passes;

const N: usize = 1001;

fn x() -> Vec<f64> {
    (0..N).map(|i| (i as f64 * 0.618).sin() * 1.5).collect()
}

fn y() -> Vec<f64> {
    (0..N).map(|i| 0.1 + (i as f64 * 0.377).fract() * 2.0).collect()
}

/// What is expected of the model `loss(x, y; a, b)`.
struct Case {
    name: &'static str,
    loss: for<'g> fn(x: Expr<'g>, y: Expr<'g>, a: Expr<'g>, b: Expr<'g>) -> Expr<'g>,
    /// At binding and per call, for value and gradient.
    passes: (usize, usize),
    /// The same for the value alone.
    value: (usize, usize),
    /// Value and gradient by `a` and `b`.
    closed: fn(x: &[f64], y: &[f64], a: f64, b: f64) -> [f64; 3],
}

fn sum(x: &[f64], y: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    x.iter().zip(y).map(|(x, y)| f(*x, *y)).sum()
}

fn softplus(x: f64) -> f64 {
    x.exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

const CASES: &[Case] = &[
    Case {
        name: "mean squared error",
        loss: |x, y, a, b| (a * x + b - y).square().mean(),
        passes: (0, 1),
        value: (0, 1),
        closed: |x, y, a, b| {
            let n = x.len() as f64;
            let r = |x: f64, y: f64| a * x + b - y;
            [sum(x, y, |x, y| r(x, y).powi(2)) / n, sum(x, y, |x, y| 2.0 * r(x, y) * x) / n, sum(x, y, |x, y| 2.0 * r(x, y)) / n]
        },
    },
    Case {
        name: "root mean squared error",
        loss: |x, y, a, b| (a * x + b - y).square().mean().sqrt(),
        passes: (0, 1),
        value: (0, 1),
        closed: |x, y, a, b| {
            let n = x.len() as f64;
            let r = |x: f64, y: f64| a * x + b - y;
            let root = (sum(x, y, |x, y| r(x, y).powi(2)) / n).sqrt();
            [root, sum(x, y, |x, y| r(x, y) * x) / n / root, sum(x, y, r) / n / root]
        },
    },
    Case {
        name: "logarithm of a sum",
        loss: |x, y, a, b| (a * x + b * y).exp().sum().ln(),
        passes: (0, 1),
        value: (0, 1),
        closed: |x, y, a, b| {
            let e = |x: f64, y: f64| (a * x + b * y).exp();
            let total = sum(x, y, e);
            [total.ln(), sum(x, y, |x, y| e(x, y) * x) / total, sum(x, y, |x, y| e(x, y) * y) / total]
        },
    },
    Case {
        name: "outer of two sums and parameters",
        loss: |x, y, a, b| {
            let (f, g) = ((a * x).tanh().sum(), (b * y - x).square().sum());
            f * g.sqrt() / (1.0 + a.square()) + (f - 3.0 * b).sin()
        },
        passes: (0, 1),
        value: (0, 1),
        closed: |x, y, a, b| {
            let (f, g) = (sum(x, y, |x, _| (a * x).tanh()), sum(x, y, |x, y| (b * y - x).powi(2)));
            let fa = sum(x, y, |x, _| x * (1.0 - (a * x).tanh().powi(2)));
            let gb = sum(x, y, |x, y| 2.0 * (b * y - x) * y);
            let (q, c) = (1.0 + a * a, (f - 3.0 * b).cos());
            let value = f * g.sqrt() / q + (f - 3.0 * b).sin();
            [value, fa * g.sqrt() / q - f * g.sqrt() * 2.0 * a / (q * q) + c * fa, f * 0.5 / g.sqrt() * gb / q - 3.0 * c]
        },
    },
    Case {
        name: "Gaussian with a softplus scale",
        loss: |x, _, a, b| {
            let scale = b.softplus();
            (0.5 * ((x - a) / scale).square() + scale.ln() + 0.918_938_533_204_672_8).sum()
        },
        passes: (0, 1),
        value: (0, 1),
        closed: |x, y, a, b| {
            let (n, s) = (x.len() as f64, softplus(b));
            let squares = sum(x, y, |x, _| (x - a).powi(2));
            let value = 0.5 * squares / (s * s) + n * (s.ln() + 0.918_938_533_204_672_8);
            [value, -sum(x, y, |x, _| x - a) / (s * s), (n / s - squares / (s * s * s)) * sigmoid(b)]
        },
    },
    Case {
        name: "a data-only mean taken off the data",
        loss: |x, y, a, b| (a * (x - x.mean()) + b - y).square().sum(),
        passes: (1, 1),
        value: (1, 1),
        closed: |x, y, a, b| {
            let mean = sum(x, y, |x, _| x) / x.len() as f64;
            let r = |x: f64, y: f64| a * (x - mean) + b - y;
            [sum(x, y, |x, y| r(x, y).powi(2)), sum(x, y, |x, y| 2.0 * r(x, y) * (x - mean)), sum(x, y, |x, y| 2.0 * r(x, y))]
        },
    },
    Case {
        name: "a data-only logarithm inside a likelihood",
        loss: |x, y, a, b| ((a * x + b).exp() - y * (a * x + b) + y.ln()).sum(),
        passes: (1, 1),
        value: (1, 1),
        closed: |x, y, a, b| {
            let e = |x: f64| (a * x + b).exp();
            [sum(x, y, |x, y| e(x) - y * (a * x + b) + y.ln()), sum(x, y, |x, y| (e(x) - y) * x), sum(x, y, |x, y| e(x) - y)]
        },
    },
    Case {
        name: "a data-only square inside a likelihood",
        loss: |x, y, a, b| ((a * x).sin() * b + y * y).sum(),
        passes: (1, 1),
        value: (1, 1),
        closed: |x, y, a, b| [sum(x, y, |x, y| (a * x).sin() * b + y * y), sum(x, y, |x, _| b * x * (a * x).cos()), sum(x, y, |x, _| (a * x).sin())],
    },
    Case {
        name: "data alone, twice",
        loss: |x, y, a, b| a * ((x - x.mean()) * y).sum() + b * y.max_samples(),
        passes: (2, 0),
        value: (2, 0),
        closed: |x, y, a, b| {
            let mean = sum(x, y, |x, _| x) / x.len() as f64;
            let (s, top) = (sum(x, y, |x, y| (x - mean) * y), y.iter().copied().fold(f64::MIN, f64::max));
            [a * s + b * top, s, top]
        },
    },
    Case {
        name: "largest over samples",
        loss: |x, y, a, b| (a * x + b * y).max_samples(),
        passes: (0, 2),
        value: (0, 1),
        closed: |x, y, a, b| {
            let z = |i: &usize| a * x[*i] + b * y[*i];
            let best = (0..x.len()).max_by(|i, j| z(i).total_cmp(&z(j))).unwrap();
            [z(&best), x[best], y[best]]
        },
    },
    Case {
        name: "variance of residuals",
        loss: |x, y, a, b| {
            let r = (a * x).exp() - b * y;
            (r - r.mean()).square().mean()
        },
        // The sum of y, which the derivative by b needs, depends on data alone.
        passes: (1, 2),
        value: (0, 2),
        closed: |x, y, a, b| {
            let n = x.len() as f64;
            let r = |x: f64, y: f64| (a * x).exp() - b * y;
            let mean = sum(x, y, r) / n;
            let by = |f: &dyn Fn(f64, f64) -> f64| sum(x, y, |x, y| 2.0 * (r(x, y) - mean) * f(x, y)) / n;
            [sum(x, y, |x, y| (r(x, y) - mean).powi(2)) / n, by(&|x, _| x * (a * x).exp()), by(&|_, y| -y)]
        },
    },
];

#[test]
fn passes_and_values() {
    let (x, y) = (x(), y());
    let (a, b) = (0.7, 0.4);
    for case in CASES {
        let g = Graph::new();
        let p = (case.loss)(g.data("x"), g.data("y"), g.param("a"), g.param("b")).compile().unwrap();
        let name = case.name;
        assert_eq!(p.passes(), Passes { bind: case.passes.0, call: case.passes.1 }, "{name}\n{}", p.schedule());
        assert_eq!(p.value_passes(), Passes { bind: case.value.0, call: case.value.1 }, "{name}, value alone\n{}", p.schedule());
        let bound = p.bind([("x", &x), ("y", &y)]).unwrap();
        let theta = p.params([("a", a), ("b", b)]).unwrap();
        let (value, grad) = bound.value_and_grad(&theta).unwrap();
        let expected = (case.closed)(&x, &y, a, b);
        for (k, (found, expected)) in [value, grad.values()[0], grad.values()[1]].into_iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= 2e-12 * (1.0 + expected.abs()), "{name}, number {k}: {found} against {expected}");
        }
        let alone = bound.value(&theta).unwrap();
        assert!((alone - expected[0]).abs() <= 2e-12 * (1.0 + expected[0].abs()), "{name}, value alone: {alone}");
    }
}

#[test]
fn logistic_regression_with_100_columns() {
    let g = Graph::new();
    let (x, y, w, b) = (g.data_with("x", &[100]), g.data("y"), g.param_with("w", &[100]), g.param("b"));
    let z = (x * w).sum_dim(-1) + b;
    let p = (z.softplus() - y * z).sum().compile().unwrap();
    assert_eq!((p.passes().call, p.value_passes().call), (1, 1), "{}", p.schedule());
    let xs = DMatrix::from_fn(513, 100, |i, j| ((i * 100 + j) as f64 * 0.618).sin());
    let ys: Vec<f64> = (0..513).map(|i| f64::from(i % 3 == 0)).collect();
    let ws: Vec<f64> = (0..100).map(|j| (j as f64 * 0.3).cos() * 0.2).collect();
    let theta = p.params([("w", &ws[..]), ("b", &[0.1])]).unwrap();
    let (value, grad) = p.bind([("x", (&xs).into()), ("y", tapeless::Columns::from(&ys))]).unwrap().value_and_grad(&theta).unwrap();
    let (mut v, mut d) = (0.0, vec![0.0; 101]);
    for i in 0..513 {
        let z = 0.1 + (0..100).map(|j| xs[(i, j)] * ws[j]).sum::<f64>();
        v += softplus(z) - ys[i] * z;
        for (j, d) in d.iter_mut().enumerate() {
            *d += (sigmoid(z) - ys[i]) * if j < 100 { xs[(i, j)] } else { 1.0 };
        }
    }
    assert!((value - v).abs() < 1e-11 * v.abs(), "{value} against {v}");
    for (found, expected) in grad.values().iter().zip(&d) {
        assert!((found - expected).abs() < 1e-11, "{found} against {expected}");
    }
}

/// The kernels of the call's passes, an instruction a line.
fn call_kernels(text: &str) -> Vec<&str> {
    let call = text.find("call pass").map_or("", |at| &text[at..]);
    call.lines().filter(|l| l.starts_with("  ")).collect()
}

/// Whether some instruction has this name.
fn has(kernels: &[&str], name: &str) -> bool {
    kernels.iter().any(|l| l.split_whitespace().any(|w| w == name))
}

#[test]
fn parameter_only_work_is_not_in_the_loop() {
    let g = Graph::new();
    let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    let scale = b.softplus();
    let p = (0.5 * ((x - a) / scale).square() + scale.ln() + 0.9).sum().compile().unwrap();
    let text = p.kernels();
    let kernels = call_kernels(&text);
    for name in ["softplus", "ln", "div", "sigmoid", "exp"] {
        assert!(!has(&kernels, name), "{name} in the loop:\n{text}");
    }
    assert!(kernels.len() <= 6, "{text}");
    assert_eq!(kernels.iter().filter(|l| l.contains("column")).count(), 1, "{text}");

    // A factor that doesn't vary over samples leaves the sum.
    type Make = for<'g> fn(Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>;
    let factors: [(&str, Make); 3] = [
        ("a product", |s, a, _| (a.exp() * s).sum()),
        ("a quotient", |s, a, c| (s / a / (1.0 + c.square())).sum()),
        ("deep inside", |s, a, c| -(2.0 * (a * (s * c.tanh()))).mean()),
    ];
    for (name, make) in factors {
        let g = Graph::new();
        let (x, a, b, c) = (g.data("x"), g.param("a"), g.param("b"), g.param("c"));
        let p = make((x * b).sin(), a, c).compile().unwrap();
        let text = p.kernels();
        let kernels = call_kernels(&text);
        assert_eq!(kernels.iter().filter(|l| l.contains("uniform")).count(), 1, "{name}: only b belongs in the loop\n{text}");
        assert!(!has(&kernels, "div"), "{name}\n{text}");
        assert_eq!(p.passes().call, 1, "{name}");
    }

    // What the binding has done is not done again.
    let g = Graph::new();
    let (x, y, a) = (g.data("x"), g.data("y"), g.param("a"));
    let p = ((a * x).exp() - y.ln() + (y * y).sqrt()).sum().compile().unwrap();
    let text = p.kernels();
    let kernels = call_kernels(&text);
    assert!(!has(&kernels, "ln") && !has(&kernels, "sqrt") && !text[text.find("call pass").unwrap()..].contains("(y)"), "{text}");
    assert!(has(&kernels, "exp"), "{text}");
}

#[test]
fn the_value_alone_has_no_adjoint() {
    let g = Graph::new();
    let (x, y, w, b) = (g.data("x"), g.data("y"), g.param("w"), g.param("b"));
    let loss = ((w * x + b).tanh() - y).square().mean();
    let both = loss.compile().unwrap();
    let alone = Options::new().wrt([] as [&str; 0]).compile(loss).unwrap();
    assert_eq!(both.dag().outputs().iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["loss", "d_w", "d_b"]);
    for dag in [both.value_dag(), alone.dag(), alone.value_dag()] {
        assert_eq!(dag.outputs().len(), 1);
        assert!(dag.live_nodes() < both.dag().live_nodes(), "{} of {} nodes", dag.live_nodes(), both.dag().live_nodes());
    }
    assert_eq!(alone.dag().live_nodes(), both.value_dag().live_nodes());
    assert!(both.gradient_source().contains("d_w") && !alone.gradient_source().contains("d_"), "{}", alone.gradient_source());
    assert!(alone.kernels().lines().count() < both.kernels().lines().count());
    // The value needs one accumulator, the gradient two more.
    assert_eq!(alone.kernels().matches("acc ").count(), 1, "{}", alone.kernels());
    assert_eq!(both.kernels().matches("acc ").count(), 3, "{}", both.kernels());
    // One parameter of two: less than both.
    let some = Options::new().wrt(["b"]).compile(loss).unwrap();
    assert_eq!(some.dag().outputs().iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["loss", "d_b"]);
    assert!(some.dag().live_nodes() < both.dag().live_nodes() && some.passes().call == 1);
}

/// A formula of three columns and a vector of three parameters.
type Vectors = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;

#[test]
fn functions_of_vector_valued_sums_take_one_pass() {
    let columns: [&[f64]; 3] = [&[0.3, -1.0, 0.7, 2.0], &[0.5, 1.1, -0.4, 0.9], &[1.3, 0.2, 0.8, -0.6]];
    let cases: [(&str, Vectors, usize); 7] = [
        ("norm of a mean", |x, w| (x * w).sin().mean_samples().norm(), 1),
        ("a scalar parameter for all", |x, w| (x * w.index(&[1])).sin().sum_samples().exp().sum(), 1),
        ("squares of sums", |x, w| (x * w).exp().sum_samples().square().sum() + (w * x).sin().sum_samples().ln_1p().sum(), 1),
        ("a matrix of sums", |x, w| (x.outer(x) * w).sin().mean_samples().square().sum().sqrt(), 1),
        ("extremes", |x, w| (x * w).max_samples().square().sum(), 2),
        // The weight of a row is one number that every column shares: each column's sum has an adjoint of its own.
        ("weighted rows", |x, w| ((x * w).sum_dim(-1).exp().reshape(&[1]) * x).sum_samples().square().sum(), 1),
        ("entries in other places", |x, w| (x * w).sin().slice(0, 1..3).sum_samples().square().sum(), 1),
    ];
    for (name, build, passes) in cases {
        let g = Graph::new();
        let program = build(g.data_with("x", &[3]), g.param_with("w", &[3])).compile().unwrap();
        assert_eq!(program.passes().call, passes, "{name}\n{}", program.schedule());
        let data = program.bind([("x", columns.to_vec())]).unwrap();
        let theta = program.params([("w", [0.7, 0.4, 1.2])]).unwrap();
        let report = tapeless::check::gradient(&data, &theta).unwrap();
        assert!(report.passed(), "{name}\n{report}");
    }
}
