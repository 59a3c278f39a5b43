//! Throughput of a Gaussian likelihood with two parameters, from 10^3 to 10^7 samples, on one and two threads, beside plain Rust that
//! hand-fuses the same sums (autovectorised, one thread): `cargo bench --bench throughput`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};
use std::hint::black_box;
use tapeless::prelude::*;

/// Value and gradient from the two sums, by hand; eight independent chains so that the latency of an addition doesn't bound it.
fn by_hand(x: &[f64], loc: f64, raw: f64) -> (f64, f64, f64) {
    let (mut s1, mut s2) = ([0.0f64; 8], [0.0f64; 8]);
    let blocks = x.chunks_exact(8);
    for r in blocks.remainder() {
        s1[0] += r - loc;
        s2[0] += (r - loc) * (r - loc);
    }
    for block in blocks {
        for k in 0..8 {
            let r = block[k] - loc;
            s1[k] += r;
            s2[k] += r * r;
        }
    }
    let (s1, s2): (f64, f64) = (s1.iter().sum(), s2.iter().sum());
    let (n, scale) = (x.len() as f64, raw.exp().ln_1p());
    let value = 0.5 * s2 / (scale * scale) + n * (scale.ln() + 0.5 * std::f64::consts::TAU.ln());
    let d_scale = n / scale - s2 / (scale * scale * scale);
    (value, -s1 / (scale * scale), d_scale / (1.0 + (-raw).exp()))
}

fn throughput(c: &mut Criterion) {
    let g = Graph::new();
    let (x, loc, raw) = (g.data("x"), g.param("loc"), g.param("raw"));
    let program = (-tapeless::dist::normal(loc, raw.softplus()).log_prob(x).sum()).compile().expect("a sound formula");
    let theta = program.params([("loc", 0.3), ("raw", 0.2)]).expect("both parameters");
    let normal = Normal::new(1.5, 0.7).expect("a positive scale");
    let mut rng = rand::rngs::StdRng::seed_from_u64(20240607);
    let samples: Vec<f64> = normal.sample_iter(&mut rng).take(10_000_000).collect();

    let mut group = c.benchmark_group("gaussian, 2 parameters");
    for n in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
        let column = &samples[..n];
        let data = program.bind([("x", column)]).expect("a fitting column");
        let mut grad = program.grad_zeros();
        let value = data.value_and_grad_into(&theta, &mut grad).expect("a gradient");
        let hand = by_hand(column, 0.3, 0.2);
        for (ours, theirs) in [(value, hand.0), (grad.values()[0], hand.1), (grad.values()[1], hand.2)] {
            assert!((ours - theirs).abs() <= 1e-10 * theirs.abs(), "{ours} against {theirs}");
        }
        group.throughput(Throughput::Elements(n as u64)).sample_size(20);
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            group.bench_with_input(BenchmarkId::new(format!("{threads} threads"), n), &n, |b, _| {
                pool.install(|| b.iter(|| data.value_and_grad_into(black_box(&theta), &mut grad)));
            });
        }
        group.bench_with_input(BenchmarkId::new("by hand, 1 thread", n), &n, |b, _| b.iter(|| by_hand(black_box(column), 0.3, 0.2)));
    }
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
