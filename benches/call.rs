//! The cost of one call at N = 11 (the thermometer): value and gradient into a gradient made before, and the value alone.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tapeless::prelude::*;

const T_C: [f64; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
const T_U: [f64; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];

fn call(c: &mut Criterion) {
    let g = Graph::new();
    let (t_u, t_c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    let program = (w * t_u + b - t_c).square().mean().compile().expect("a sound formula");
    let data = program.bind([("t_u", &T_U), ("t_c", &T_C)]).expect("fitting columns");
    let theta = program.params([("w", 1.0), ("b", 0.0)]).expect("both parameters");
    let mut grad = program.grad_zeros();

    let loss = data.value_and_grad_into(&theta, &mut grad).expect("a gradient");
    assert!((loss - 1763.88455).abs() < 5e-5 && (grad.values()[0] - 4517.29636).abs() < 5e-5 && (grad.values()[1] - 82.6).abs() < 5e-5);

    c.bench_function("value and gradient, 11 samples", |b| b.iter(|| data.value_and_grad_into(black_box(&theta), &mut grad)));
    c.bench_function("value, 11 samples", |b| b.iter(|| data.value(black_box(&theta))));
}

criterion_group!(benches, call);
criterion_main!(benches);
