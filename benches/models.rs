//! Models over 100,000 samples, value and gradient in one pass each: logistic regression with 100 columns, softmax with 10 classes, an 8-dimensional
//! Gaussian with a Cholesky factor, a two-layer perceptron: `cargo bench --bench models`.
//!
//! Each answer is held against plain Rust first: the value, and the slope along a direction by differences of the plain value.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tapeless::prelude::*;

const N: usize = 100_000;

/// Made-up numbers near 0.
fn column(k: usize) -> Vec<f64> {
    (0..N).map(|i| ((i as f64 + 0.5) * (0.618_033_988 + 0.001_7 * k as f64)).fract() * 2.0 - 1.0).collect()
}

fn numbers(n: usize, scale: f64) -> Vec<f64> {
    (0..n).map(|k| scale * (((k as f64 + 0.5) * 0.754_877_666).fract() - 0.5)).collect()
}

struct Model<'a> {
    name: &'static str,
    loss: Expr<'a>,
    columns: Vec<(&'static str, Columns<'a, f64>)>,
    theta: Vec<(&'static str, Vec<f64>)>,
    /// The loss in plain Rust, of all parameters in the order of `theta`.
    plain: Box<dyn Fn(&[Vec<f64>]) -> f64 + 'a>,
}

fn bench(c: &mut Criterion, model: Model<'_>) {
    let program = model.loss.compile().expect("a sound formula");
    assert_eq!(program.passes().call, 1, "{}: {}", model.name, program.report());
    let data = program.bind(model.columns).expect("fitting columns");
    let theta = program.params(model.theta.iter().map(|(n, v)| (*n, v))).expect("every parameter");
    let mut grad = program.grad_zeros();
    let value = data.value_and_grad_into(&theta, &mut grad).expect("a gradient");
    let at = |h: f64| -> f64 {
        let moved = |(_, v): &(&str, Vec<f64>)| v.iter().enumerate().map(|(k, x)| x + h * (1.0 + (k % 3) as f64)).collect();
        (model.plain)(&model.theta.iter().map(moved).collect::<Vec<_>>())
    };
    assert!((value - at(0.0)).abs() <= 1e-10 * value.abs(), "{}: {value} against {}", model.name, at(0.0));
    let along: f64 =
        model.theta.iter().map(|(n, _)| grad.get(n).expect("a parameter").iter().enumerate().map(|(k, d)| d * (1.0 + (k % 3) as f64)).sum::<f64>()).sum();
    let slope = (8.0 * (at(1e-4) - at(-1e-4)) - (at(2e-4) - at(-2e-4))) / 12e-4;
    assert!((along - slope).abs() <= 1e-6 * slope.abs(), "{}: {along} against {slope}", model.name);

    let mut group = c.benchmark_group("models, 100,000 samples");
    group.throughput(Throughput::Elements(N as u64)).sample_size(20);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        group.bench_function(format!("{}, {threads} threads", model.name), |b| {
            pool.install(|| b.iter(|| data.value_and_grad_into(black_box(&theta), &mut grad).expect("a gradient")));
        });
    }
    group.finish();
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn models(c: &mut Criterion) {
    let x: Vec<Vec<f64>> = (0..100).map(column).collect();
    let slices = |d: usize| Columns::from(x[..d].iter().map(Vec::as_slice).collect::<Vec<_>>());
    let classes: Vec<u32> = (0..N).map(|i| ((i * 7919) % 10) as u32).collect();
    let target: Vec<f64> = classes.iter().map(|c| f64::from(c % 2)).collect();
    let dot = |i: usize, w: &[f64]| w.iter().zip(&x).map(|(w, x)| w * x[i]).sum::<f64>();

    let g = Graph::new();
    let z = g.data_with("x", &[100]).dot(g.param_with("w", &[100])) + g.param("b");
    let loss = (z.softplus() - g.data("t") * z).sum();
    bench(
        c,
        Model {
            name: "logistic, 100 columns",
            loss,
            columns: vec![("x", slices(100)), ("t", Columns::from(&target))],
            theta: vec![("w", numbers(100, 0.6)), ("b", vec![0.2])],
            plain: Box::new(|p| {
                (0..N)
                    .map(|i| {
                        let z = dot(i, &p[0]) + p[1][0];
                        softplus(z) - target[i] * z
                    })
                    .sum()
            }),
        },
    );

    let g = Graph::new();
    let scores = g.data_with("x", &[20]).matmul(g.param_with("w", &[20, 10])) + g.param_with("b", &[10]);
    let loss = -scores.log_softmax(-1).pick(g.labels("y")).sum();
    bench(
        c,
        Model {
            name: "softmax, 20 columns, 10 classes",
            loss,
            columns: vec![("x", slices(20)), ("y", Columns::from(&classes))],
            theta: vec![("w", numbers(200, 1.0)), ("b", numbers(10, 0.3))],
            plain: Box::new(|p| {
                (0..N)
                    .map(|i| {
                        let scores: Vec<f64> = (0..10).map(|k| p[1][k] + (0..20).map(|j| x[j][i] * p[0][j * 10 + k]).sum::<f64>()).collect();
                        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        top + scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln() - scores[classes[i] as usize]
                    })
                    .sum()
            }),
        },
    );

    let g = Graph::new();
    let raw = g.param_with("l", &[8, 8]);
    let factor = raw.tril();
    let z = factor.solve_lower(g.data_with("x", &[8]) - g.param_with("m", &[8]));
    let loss = 0.5 * z.square().sum() + g.count() * factor.diag().ln().sum();
    let lower: Vec<f64> = numbers(64, 0.4).into_iter().enumerate().map(|(k, x)| if k / 8 == k % 8 { 1.0 + x } else { x }).collect();
    bench(
        c,
        Model {
            name: "8-dimensional Gaussian with a Cholesky factor",
            loss,
            columns: vec![("x", slices(8))],
            theta: vec![("l", lower), ("m", numbers(8, 0.5))],
            plain: Box::new(|p| {
                let (l, m) = (&p[0], &p[1]);
                let log_det: f64 = (0..8).map(|k| l[k * 9].ln()).sum();
                (0..N)
                    .map(|i| {
                        let mut z = [0.0; 8];
                        for r in 0..8 {
                            z[r] = (x[r][i] - m[r] - (0..r).map(|c| l[r * 8 + c] * z[c]).sum::<f64>()) / l[r * 9];
                        }
                        0.5 * z.iter().map(|z| z * z).sum::<f64>() + log_det
                    })
                    .sum()
            }),
        },
    );

    let g = Graph::new();
    let hidden = (g.data_with("x", &[10]).matmul(g.param_with("w1", &[10, 16])) + g.param_with("b1", &[16])).tanh();
    let loss = (hidden.dot(g.param_with("w2", &[16])) + g.param("b2") - g.data("t")).square().mean();
    bench(
        c,
        Model {
            name: "two-layer perceptron, 10 - 16 - 1",
            loss,
            columns: vec![("x", slices(10)), ("t", Columns::from(&target))],
            theta: vec![("w1", numbers(160, 1.0)), ("b1", numbers(16, 0.5)), ("w2", numbers(16, 1.2)), ("b2", vec![0.1])],
            plain: Box::new(|p| {
                let total: f64 = (0..N)
                    .map(|i| {
                        let unit = |k: usize| (p[1][k] + (0..10).map(|j| x[j][i] * p[0][j * 16 + k]).sum::<f64>()).tanh();
                        let y = p[3][0] + (0..16).map(|k| p[2][k] * unit(k)).sum::<f64>();
                        (y - target[i]).powi(2)
                    })
                    .sum();
                total / N as f64
            }),
        },
    );
}

criterion_group!(benches, models);
criterion_main!(benches);
