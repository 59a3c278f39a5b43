//! Random intercepts by `gather`: value and gradient by 100,000 effects over a million samples, in one pass; beside a plain Rust loop.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tapeless::prelude::*;

const N: usize = 1_000_000;
const GROUPS: usize = 100_000;

fn plain(x: &[f64], y: &[f64], site: &[u32], w: f64, effects: &[f64], grad: &mut [f64]) -> f64 {
    grad.fill(0.0);
    let (mut loss, mut dw) = (0.0, 0.0);
    for ((x, y), s) in x.iter().zip(y).zip(site) {
        let r = y - w * x - effects[*s as usize];
        loss += r * r;
        dw -= 2.0 * r * x;
        grad[1 + *s as usize] -= 2.0 * r;
    }
    grad[0] = dw;
    for (g, a) in grad[1..].iter_mut().zip(effects) {
        loss += a * a;
        *g += 2.0 * a;
    }
    loss
}

fn random_effects(c: &mut Criterion) {
    let x: Vec<f64> = (0..N).map(|i| (i as f64 * 0.618).sin()).collect();
    let y: Vec<f64> = (0..N).map(|i| (i as f64 * 0.377).cos()).collect();
    let site: Vec<u32> = (0..N as u64).map(|i| ((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % GROUPS as u64) as u32).collect();
    let effects: Vec<f64> = (0..GROUPS).map(|i| (i as f64 * 0.1).sin()).collect();

    let g = Graph::new();
    let a = g.param_with("effects", &[GROUPS]);
    let residual = g.data("y") - g.param("w") * g.data("x") - a.gather(g.labels("site"));
    let program = (residual.square().sum() + a.square().sum()).compile().unwrap();
    assert_eq!(program.passes().call, 1);
    let data = program.bind([("x", Columns::from(&x)), ("y", Columns::from(&y)), ("site", Columns::from(&site))]).unwrap();
    let theta = program.params([("effects", effects.clone()), ("w", vec![0.3])]).unwrap();
    let mut grad = program.grad_zeros();
    let value = data.value_and_grad_into(&theta, &mut grad).unwrap();
    let mut by_hand = vec![0.0; GROUPS + 1];
    let expected = plain(&x, &y, &site, 0.3, &effects, &mut by_hand);
    assert!((value / expected - 1.0).abs() < 1e-12, "{value} {expected}");
    assert!((grad.scalar("w").unwrap() / by_hand[0] - 1.0).abs() < 1e-10);
    for (found, expected) in grad.get("effects").unwrap().iter().zip(&by_hand[1..]) {
        assert!((found - expected).abs() < 1e-12 * (1.0 + expected.abs()));
    }

    let mut group = c.benchmark_group("random effects, 1M samples, 100k groups");
    group.sample_size(20).throughput(Throughput::Elements(N as u64));
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        group.bench_function(format!("{threads} threads"), |b| {
            pool.install(|| b.iter(|| data.value_and_grad_into(black_box(&theta), &mut grad).unwrap()));
        });
    }
    group.bench_function("a plain loop, 1 thread", |b| b.iter(|| plain(&x, &y, &site, black_box(0.3), &effects, &mut by_hand)));
    // A mini-batch pays for the groups too: the gradient has an entry for each.
    let mut batch = data.batch();
    batch.select_range(0..256).unwrap();
    group.bench_function("a batch of 256", |b| b.iter(|| batch.value_and_grad_into(black_box(&theta), &mut grad).unwrap()));
    group.finish();
}

criterion_group!(benches, random_effects);
criterion_main!(benches);
