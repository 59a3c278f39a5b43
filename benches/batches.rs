//! An epoch of shuffled mini-batches over a million samples beside one full-batch gradient of the same samples: what choosing, copying and calling cost.
//! `cargo bench --bench batches`.
//!
//! Recorded 2026-11-21 on one of two virtual cores of an AMD EPYC (1 MiB L2 each, 32 MiB L3), `f64`, ms an epoch: full batch 9.9; batches of 256, 4096
//! and 65536 in order 11.9, 10.3, 10.8, shuffled 39.7, 36.8, 42.1. Of a shuffled epoch 22.2 go into copying it and 1.7 into the order;
//! copied batch by batch it would be 43.5.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tapeless::fit::{Batches, Sgd, Training};
use tapeless::prelude::*;

const SAMPLES: usize = 1_000_000;

fn batches(c: &mut Criterion) {
    let g = Graph::new();
    let (x, y, w, b) = (g.data_with("x", &[8]), g.data("y"), g.param_with("w", &[8]), g.param("b"));
    let score = (x * w).sum_dim(-1) + b;
    let program = (score.softplus() - y * score).mean().compile().expect("a sound formula");
    let column = |k: usize| (0..SAMPLES).map(|i| ((i * (k + 3)) as f64 * 0.618_033_988_749).fract()).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..9).map(column).collect();
    let x: Vec<&[f64]> = columns[..8].iter().map(Vec::as_slice).collect();
    let data = program.bind([("x", x), ("y", vec![&columns[8][..]])]).expect("fitting columns");

    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut group = c.benchmark_group("an epoch, logistic, 8 features");
    group.throughput(Throughput::Elements(SAMPLES as u64)).sample_size(10);
    let (theta, mut grad) = (program.zeros(), program.grad_zeros());
    group.bench_function("full batch", |b| pool.install(|| b.iter(|| data.value_and_grad_into(&theta, &mut grad))));
    for size in [256, 4096, 65_536] {
        for seed in [None, Some(7)] {
            let name = if seed.is_some() { "shuffled" } else { "in order" };
            group.bench_with_input(BenchmarkId::new(name, size), &size, |b, _| {
                pool.install(|| {
                    let mut training = Training::new(&data, Sgd::new(1e-9)).batch_size(size).epochs(1).record_every(0);
                    if let Some(seed) = seed {
                        training = training.shuffle(seed);
                    }
                    let mut theta = program.zeros();
                    b.iter(|| training.run(&mut theta));
                });
            });
        }
    }
    let mut order = Batches::new(SAMPLES, SAMPLES).expect("samples").shuffle(7);
    let mut epoch = 0;
    group.bench_function("shuffling alone", |b| {
        b.iter(|| {
            epoch += 1;
            order.rows(epoch)[0]
        })
    });
    // Copying alone: batch by batch, and the epoch at once.
    let mut batch = data.batch();
    let mut batches = Batches::new(SAMPLES, 256).expect("samples").shuffle(7);
    group.bench_function("copying batches", |b| pool.install(|| b.iter(|| (1..=batches.per_epoch()).try_for_each(|step| batch.select(batches.rows(step))))));
    group.bench_function("copying the epoch", |b| pool.install(|| b.iter(|| batch.select(batches.order(1)))));
    group.finish();
}

criterion_group!(benches, batches);
criterion_main!(benches);
