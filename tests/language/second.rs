//! Second derivatives, Jacobians, weights: exact, and in one pass over the samples.

use nalgebra::DMatrix;
use tapeless::dist::normal;
use tapeless::prelude::*;
use tapeless::{Columns, compile_function};

const N: usize = 501;

/// Columns of odd numbers.
fn column(k: usize) -> Vec<f64> {
    (0..N).map(|i| ((i as f64 + 0.3) * (0.618 + 0.137 * k as f64)).sin() * 1.3).collect()
}

/// 0 or 1, by chance.
fn labels() -> Vec<f64> {
    (0..N).map(|i| f64::from((i as f64 * 0.7548).fract() > 0.4)).collect()
}

/// A likelihood with its data and a point.
struct Model {
    name: &'static str,
    loss: for<'g> fn(&'g Graph) -> Expr<'g>,
    theta: &'static [(&'static str, &'static [f64])],
}

const MODELS: &[Model] = &[
    Model {
        name: "gaussian",
        loss: |g| -normal(g.param("loc"), g.param("raw").softplus()).log_prob(g.data("y")).sum(),
        theta: &[("loc", &[0.3]), ("raw", &[-0.2])],
    },
    Model {
        name: "gaussian by precision, a mean",
        loss: |g| {
            let (r, tau) = (g.data("y") - g.param("loc"), g.param("tau"));
            (0.5 * r.square() * tau.exp() - 0.5 * tau).mean()
        },
        theta: &[("loc", &[0.3]), ("tau", &[0.4])],
    },
    Model {
        name: "logistic",
        loss: |g| {
            let z = g.data_with("x", &[4]).dot(g.param_with("w", &[4])) + g.param("b");
            (z.softplus() - g.data("t") * z).sum()
        },
        theta: &[("w", &[0.3, -0.5, 0.8, 0.1]), ("b", &[0.2])],
    },
    Model {
        name: "softmax",
        loss: |g| {
            let scores = g.data_with("x", &[4]).matmul(g.param_with("w", &[4, 3]));
            let t = g.data("t");
            let chosen = (1.0 - t) * scores.index(&[0]) + t * scores.index(&[2]);
            (scores.log_sum_exp_dim(-1) - chosen).sum()
        },
        theta: &[("w", &[0.3, -0.5, 0.8, 0.1, 0.2, -0.7, 0.4, 0.6, -0.1, 0.9, -0.3, 0.5])],
    },
    Model { name: "logarithm of a sum", loss: |g| (g.data("y") * g.param("a") + g.param("b").sin()).exp().sum().ln(), theta: &[("a", &[0.3]), ("b", &[0.4])] },
    Model {
        name: "correlated gaussian",
        loss: |g| {
            let factor = g.param_with("l", &[2, 2]).tril();
            let z = factor.solve_lower(g.data_with("x", &[4]).slice(-1, 0..2) - g.param_with("m", &[2]));
            0.5 * z.square().sum() + g.count() * factor.diag().ln().sum()
        },
        theta: &[("l", &[1.2, 0.0, 0.3, 0.9]), ("m", &[0.1, -0.2])],
    },
];

fn bind<'d>(program: &Program, x: &'d [Vec<f64>], y: &'d [f64], t: &'d [f64]) -> Bound<'d> {
    let uses = |name: &str| program.formula().split(|c: char| !c.is_alphanumeric()).any(|w| w == name);
    let mut columns: Vec<(&str, Columns<'d, f64>)> = Vec::new();
    if uses("x") {
        columns.push(("x", Columns::from(x.iter().map(Vec::as_slice).collect::<Vec<_>>())));
    }
    if uses("y") {
        columns.push(("y", y.into()));
    }
    if uses("t") {
        columns.push(("t", t.into()));
    }
    program.bind(columns).unwrap()
}

#[test]
fn hessian_vector_products_are_exact_and_take_one_pass() {
    let (x, y, t) = ((0..4).map(column).collect::<Vec<_>>(), column(7), labels());
    for model in MODELS {
        let g = Graph::new();
        let program = Options::new().with_curvature().compile((model.loss)(&g)).unwrap();
        assert_eq!(program.curvature_passes().unwrap().call, 1, "{}", model.name);
        assert_eq!(program.passes().call, 1, "{}", model.name);
        let data = bind(&program, &x, &y, &t);
        let theta = program.params(model.theta.iter().map(|(n, v)| (*n, *v))).unwrap();
        let (value, grad) = data.value_and_grad(&theta).unwrap();
        let mut v = program.grad_zeros();
        for (k, to) in v.values_mut().iter_mut().enumerate() {
            *to = 0.7 - 0.4 * k as f64 + 0.05 * (k * k) as f64;
        }
        let (second_value, second_grad, product) = data.hessian_vector_product(&theta, &v).unwrap();
        assert!((second_value - value).abs() <= 1e-13 * value.abs(), "{}", model.name);
        let size = grad.values().iter().fold(0.0f64, |a, x| a.max(x.abs()));
        for (a, b) in grad.values().iter().zip(second_grad.values()) {
            assert!((a - b).abs() <= 1e-12 * size, "{}: {grad} {second_grad}", model.name);
        }
        // Against differences of the gradient along the vector, extrapolated once.
        let along = |h: f64| -> Vec<f64> {
            let at = |h: f64| {
                let mut moved = theta.clone();
                moved.values_mut().iter_mut().zip(v.values()).for_each(|(x, v)| *x += h * v);
                data.value_and_grad(&moved).unwrap().1
            };
            at(h).values().iter().zip(at(-h).values()).map(|(a, b)| (a - b) / (2.0 * h)).collect()
        };
        let (long, short) = (along(2e-3), along(1e-3));
        let scale = product.values().iter().fold(0.0f64, |a, x| a.max(x.abs()));
        for (k, found) in product.values().iter().enumerate() {
            let want = (4.0 * short[k] - long[k]) / 3.0;
            assert!((found - want).abs() <= 1e-8 * scale, "{}: entry {k} is {found} where differences give {want}", model.name);
        }
        // The dense one, column by column, is the same map.
        let dense = data.hessian(&theta).unwrap();
        let by_matrix = &dense * nalgebra::DVector::from_row_slice(v.values());
        for (a, b) in by_matrix.iter().zip(product.values()) {
            assert!((a - b).abs() <= 1e-11 * scale, "{}: {by_matrix} {product}", model.name);
        }
        assert_eq!(dense, dense.transpose());
    }
}

#[test]
fn standard_errors_of_a_linear_regression() {
    // The Hessian of half the squared residuals is X^T X, whatever the point.
    let (x, y) = ((0..3).map(column).collect::<Vec<_>>(), column(9));
    let g = Graph::new();
    let loss = 0.5 * (g.data_with("x", &[3]).dot(g.param_with("w", &[3])) - g.data("y")).square().sum();
    let program = Options::new().with_curvature().compile(loss).unwrap();
    let matrix = DMatrix::from_fn(N, 3, |i, j| x[j][i]);
    let data = program.bind([("x", Columns::from(&matrix)), ("y", (&y).into())]).unwrap();
    let found = data.hessian(&program.params([("w", [0.3, 1.0, -2.0])]).unwrap()).unwrap();
    let want = matrix.transpose() * &matrix;
    assert!((&found - &want).abs().max() <= 1e-12 * want.abs().max(), "{found} {want}");
}

#[test]
fn a_jacobian_takes_one_pass() {
    let g = Graph::new();
    let (y, a, b) = (g.data("y"), g.param("a"), g.param_with("b", &[2]));
    let terms = [(y * a).sin(), (y - a).square() * b.index(&[1]), (b.index(&[0]) * y).exp()];
    let losses = g.stack(&terms.map(|t| t.sum()), 0);
    let by = losses.jacobian(&[a, b]).unwrap();
    assert_eq!((by[0].shape().to_string(), by[1].shape().to_string()), ("[3]".into(), "[3, 2]".into()));
    let f = compile_function::<f64>(&[("losses", losses), ("a", by[0]), ("b", by[1])], &Options::new()).unwrap();
    assert_eq!(f.passes().call, 1, "{}", f.kernels());
    let ys = column(2);
    let (va, vb) = (0.7, [0.2, -0.3]);
    let out = f.bind([("y", &ys)]).unwrap().eval(&f.params([("a", vec![va]), ("b", vb.to_vec())]).unwrap()).unwrap();
    let sum = |t: &dyn Fn(f64) -> f64| ys.iter().map(|y| t(*y)).sum::<f64>();
    let want = [sum(&|y| y * (y * va).cos()), sum(&|y| -2.0 * (y - va) * vb[1]), 0.0];
    let want_b = [0.0, 0.0, 0.0, sum(&|y| (y - va).powi(2)), sum(&|y| y * (vb[0] * y).exp()), 0.0];
    for (found, want) in out[1].numbers.iter().chain(&out[2].numbers).zip(want.iter().chain(&want_b)) {
        assert!((found - want).abs() <= 1e-11, "{out:?} {want:?} {want_b:?}");
    }
}

#[test]
fn bad_requests_are_errors() {
    let g = Graph::new();
    let (x, w) = (g.data("x"), g.param_with("w", &[2]));
    let loss = (x * w).sum();
    let text = |r: tapeless::Result<Vec<Expr>>| r.unwrap_err().to_string();
    assert!(text((x * w).jacobian(&[w])).contains("[samples, 2]"));
    assert!(text(loss.jacobian(&[x])).contains("[samples]"));
    assert!(text(loss.hessian_vector(&[w], &[])).contains("hessian_vector"));
    assert!(text(loss.hessian_vector(&[w], &[g.param("v")])).contains("[2] and []"));
    assert!(text(loss.hessian_vector(&[w], &[Graph::new().param_with("v", &[2])])).contains("another graph"));
    let program = loss.compile().unwrap();
    let xs = [1.0, 2.0];
    let data = program.bind([("x", &xs)]).unwrap();
    let error = data.hessian_vector_product(&program.zeros(), &program.grad_zeros()).unwrap_err().to_string();
    assert!(error.contains("with_curvature"), "{error}");
    assert!(data.hessian(&program.zeros()).is_err());
    assert!(program.curvature_passes().is_none());
}

/// A parameter whose name is what the vector of another would be called.
#[test]
fn vectors_have_names_of_their_own() {
    let g = Graph::new();
    let (a, b) = (g.param("a"), g.param("along_a"));
    let program = Options::new().with_curvature().wrt(["a"]).compile(a.square() * b).unwrap();
    let data = program.bind::<&str, &[f64]>([]).unwrap();
    let theta = program.params([("a", 3.0), ("along_a", 5.0)]).unwrap();
    assert_eq!(data.hessian(&theta).unwrap()[(0, 0)], 10.0);
}

#[test]
fn second_derivatives_in_f32() {
    let y: Vec<f32> = column(3).iter().map(|x| *x as f32).collect();
    let g = Graph::new();
    let loss = (g.data("y") * g.param("a")).sin().sum();
    let program = Options::new().with_curvature().compile_f32(loss).unwrap();
    let data = program.bind([("y", &y)]).unwrap();
    let found = data.hessian(&program.params([("a", 0.8)]).unwrap()).unwrap()[(0, 0)];
    let want: f64 = y.iter().map(|y| f64::from(*y)).map(|y| -y * y * (0.8f32 as f64 * y).sin()).sum();
    assert!((found - want).abs() <= 1e-5 * y.len() as f64, "{found} {want}");
}

/// A gradient taken by hand is that of the stable formula: finite where the naive one is 0 / 0 or infinite.
#[test]
fn a_gradient_by_hand_is_stable_too() {
    type Formula = for<'g> fn(Expr<'g>) -> Expr<'g>;
    let cases: [(Formula, f64, f64); 5] = [
        (|x| (1.0 + x.exp()).ln(), 1000.0, 1.0),
        (|x| (1.0 / (1.0 + (-x).exp())).ln(), -1000.0, 1.0),
        (|x| (1.0 - x.sigmoid()).ln(), 1000.0, -1.0),
        (|x| x.exp() / (1.0 + x.exp()), 1000.0, 0.0),
        (|x| (x.square() + (2.0 * x).square()).sqrt(), 1e200, 5f64.sqrt()),
    ];
    for (k, (formula, at, want)) in cases.into_iter().enumerate() {
        let g = Graph::new();
        let x = g.param("x");
        let slope = formula(x).gradient(&[x]).unwrap()[0];
        let f = slope.compile_function().unwrap();
        let out = f.bind::<&str, &[f64]>([]).unwrap().eval(&f.params([("x", at)]).unwrap()).unwrap();
        assert!((out[0].numbers[0] - want).abs() <= 1e-15 * want.abs(), "{k}: {out:?}");
        // And of the gradient again.
        let twice = slope.gradient(&[x]).unwrap()[0].compile_function().unwrap();
        let out = twice.bind::<&str, &[f64]>([]).unwrap().eval(&twice.params([("x", at)]).unwrap()).unwrap();
        assert!(out[0].numbers[0].is_finite(), "{k}: {out:?}");
    }
}

/// A sample of weight 3 is three equal samples.
#[test]
fn weights_are_repetitions() {
    let weights = [3.0, 1.0, 0.0, 2.0];
    let (xs, ts) = ([0.4, -1.2, 7.0, 0.9], [1.0, 0.0, 1.0, 1.0]);
    let repeat = |v: &[f64]| -> Vec<f64> { v.iter().zip(&weights).flat_map(|(x, w)| std::iter::repeat_n(*x, *w as usize)).collect() };
    let (long_x, long_t) = (repeat(&xs), repeat(&ts));
    type Likelihood = for<'g> fn(Expr<'g>, Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>;
    let gaussian: Likelihood = |x, _, a, b| -normal(a, b.softplus()).log_prob(x);
    let logistic: Likelihood = |x, t, a, b| {
        let z = a * x + b;
        z.softplus() - t * z
    };
    for per_sample in [gaussian, logistic] {
        let run = |weighted: bool, mean: bool| {
            let g = Graph::new();
            let (x, t, a, b) = (g.data("x"), g.data("t"), g.param("a"), g.param("b"));
            // Both columns are used.
            let loss = per_sample(x, t, a, b) + 0.0 * t;
            let loss = match (weighted, mean) {
                (true, true) => loss.weighted_mean(g.data("w")),
                (true, false) => loss.weighted_sum(g.data("w")),
                (false, true) => loss.mean(),
                (false, false) => loss.sum(),
            };
            let program = loss.compile().unwrap();
            assert_eq!(program.passes().call, 1);
            let theta = program.params([("a", 0.6), ("b", -0.3)]).unwrap();
            let (value, grad) = match weighted {
                true => program.bind([("x", &xs[..]), ("t", &ts), ("w", &weights)]).unwrap().value_and_grad(&theta).unwrap(),
                false => program.bind([("x", &long_x), ("t", &long_t)]).unwrap().value_and_grad(&theta).unwrap(),
            };
            [value, grad.values()[0], grad.values()[1]]
        };
        for mean in [false, true] {
            for (a, b) in run(true, mean).into_iter().zip(run(false, mean)) {
                assert!((a - b).abs() <= 4e-15 * b.abs().max(1.0), "{a} {b}");
            }
        }
    }
    // Weights of the entries, the samples, or neither.
    let g = Graph::new();
    let (m, v) = (g.data_with("m", &[2]), g.param_with("v", &[2]));
    let f = compile_function::<f64>(
        &[("entries", m.weighted_mean(v)), ("one", m.weighted_mean(2.0)), ("samples", m.weighted_mean(m.sum_dim(-1).reshape(&[1])))],
        &Options::new(),
    )
    .unwrap();
    let columns: [&[f64]; 2] = [&[1.0, 2.0], &[3.0, 6.0]];
    let out = f.bind([("m", columns.to_vec())]).unwrap().eval(&f.params([("v", [1.0, 3.0])]).unwrap()).unwrap();
    let found: Vec<f64> = out.iter().map(|a| a.numbers[0]).collect();
    // (1 + 2 + 3 * (3 + 6)) / (2 * 4); (1 + 2 + 3 + 6) / 4; (4 * 4 + 8 * 8) / (2 * 12).
    assert_eq!(found, [30.0 / 8.0, 3.0, 80.0 / 24.0]);
}
