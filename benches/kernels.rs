//! Native kernels beside loops written by hand with `std::arch` AVX-512 intrinsics that do the same arithmetic, and beside the interpreter:
//! `cargo bench --bench kernels`. One thread. Answers are checked first.
//!
//! Before criterion's figures it prints a table of ratios: our time over the hand-written loop's, each the best of many turns in which they
//! alternate, so that other work on the machine hits all. `pass` is the pass over the samples, leaves and their tree included; `call` the whole
//! call with its stages before and after, which cost some 200 ns whatever the number of samples.

mod hand;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tapeless::prelude::*;
use tapeless::runtime::pass::{CompiledPass, Results, Samples, Workers};
use tapeless::runtime::plan::Plan;

const LENGTHS: [usize; 3] = [8_192, 131_072, 10_000_000];

/// Value and gradient by hand, of the columns `x` and `y` and the parameters.
type ByHand = fn(&[f64], &[f64], &[f64]) -> Vec<f64>;

/// A kernel and its twin.
struct Case {
    name: &'static str,
    /// The objective over the data `x` and `y`.
    loss: for<'g> fn(&'g Graph) -> Expr<'g>,
    theta: &'static [(&'static str, f64)],
    hand: ByHand,
}

const CASES: [Case; 4] = [
    Case {
        name: "gaussian",
        loss: |g| {
            let (x, loc, raw) = (g.data("x"), g.param("loc"), g.param("raw"));
            -tapeless::dist::normal(loc, raw.softplus()).log_prob(x).sum()
        },
        theta: &[("loc", 0.3), ("raw", 0.2)],
        hand: |x, _, theta| hand::gaussian(x, theta),
    },
    Case {
        name: "exponential decay",
        loss: |g| {
            let (x, y, a, b, c) = (g.data("x"), g.data("y"), g.param("a"), g.param("b"), g.param("c"));
            (y - a * (-b * x).exp() - c).square().sum()
        },
        theta: &[("a", 1.2), ("b", 0.4), ("c", -0.1)],
        hand: hand::decay,
    },
    Case {
        name: "logistic",
        loss: |g| {
            let (x, y, a, b) = (g.data("x"), g.data("y"), g.param("a"), g.param("b"));
            let z = a * x + b;
            (z.softplus() - y * z).sum()
        },
        theta: &[("a", 0.8), ("b", -0.3)],
        hand: hand::logistic,
    },
    Case {
        name: "student-t",
        loss: |g| {
            // Location and scale; 4 degrees of freedom.
            let (x, loc, scale) = (g.data("x"), g.param("loc"), g.param("scale"));
            let z = (x - loc) / scale;
            (2.5 * (z.square() / 4.0).ln_1p() + scale.ln()).sum()
        },
        theta: &[("loc", 0.3), ("scale", 1.4)],
        hand: |x, _, theta| hand::student(x, theta),
    },
];

fn samples() -> (Vec<f64>, Vec<f64>) {
    let normal = Normal::new(1.5, 0.7).expect("a positive scale");
    let mut rng = rand::rngs::StdRng::seed_from_u64(20240607);
    let x: Vec<f64> = normal.sample_iter(&mut rng).take(10_000_000).collect();
    let y = x.iter().map(|x| if *x > 1.5 { 1.0 } else { 0.0 }).collect();
    (x, y)
}

/// The best of many turns of each.
fn alternate(work: &mut [&mut dyn FnMut()], turns: usize, calls: usize) -> Vec<Duration> {
    let mut best = vec![Duration::MAX; work.len()];
    for _ in 0..turns {
        for (b, w) in best.iter_mut().zip(work.iter_mut()) {
            let start = Instant::now();
            for _ in 0..calls {
                w();
            }
            *b = (*b).min(start.elapsed().div_f64(calls as f64));
        }
    }
    best
}

fn kernels(c: &mut Criterion) {
    let available = Backend::available();
    let (x, y) = samples();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    println!("times in us      samples | by hand | pass: avx512   avx2  interp | call: avx512 | pass/hand interp/pass call/hand");
    for case in &CASES {
        let g = Graph::new();
        let loss = (case.loss)(&g);
        let compile = |b: Backend| Options::new().backend(b).compile(loss).expect("a sound formula");
        let programs: Vec<(Backend, Program<f64>)> = available.iter().rev().map(|b| (*b, compile(*b))).collect();
        let theta = programs[0].1.params(case.theta.iter().copied()).expect("its parameters");
        let mut group = c.benchmark_group(case.name);
        group.sample_size(20);
        for n in LENGTHS {
            let columns = [("x", &x[..n]), ("y", &y[..n])];
            let used = if uses_y(&programs[0].1) { 2 } else { 1 };
            let bound: Vec<_> = programs.iter().map(|(b, p)| (*b, p.bind(columns[..used].iter().copied()).expect("fitting columns"))).collect();
            let numbers = theta.values();
            let by_hand = || (case.hand)(black_box(&x[..n]), black_box(&y[..n]), black_box(numbers));
            // The answers.
            if hand::available() {
                let expected = by_hand();
                for (b, data) in &bound {
                    let (value, grad) = data.value_and_grad(&theta).expect("a gradient");
                    for (ours, theirs) in std::iter::once(&value).chain(grad.values()).zip(&expected) {
                        assert!((ours - theirs).abs() <= 1e-10 * (theirs.abs() + 1e-3 * n as f64), "{} {n} {}: {ours} by hand {theirs}", case.name, b.name());
                    }
                }
            }
            let mut grads: Vec<_> = programs.iter().map(|(_, p)| p.grad_zeros()).collect();
            let (turns, calls) = if n > 1_000_000 { (12, 1) } else { (60, 2_000_000 / n + 1) };
            // The pass alone: the machine code that was just checked, its uniforms any moderate numbers.
            let plan = Plan::<f64>::new(programs[0].1.dag().clone(), Backend::Interp);
            let kernels = plan.pass_kernels().next().expect("one pass");
            let passes: Vec<CompiledPass<f64>> = available.iter().rev().map(|b| CompiledPass::new(kernels.clone(), *b)).collect();
            let uniforms: Vec<f64> = kernels.uniforms.iter().enumerate().map(|(k, _)| 0.3 + 0.1 * k as f64).collect();
            let read: Vec<&[f64]> =
                kernels.columns.iter().map(|(input, _)| if plan.dag.data()[*input as usize].name == "x" { &x[..n] } else { &y[..n] }).collect();
            let workers = Workers::new(n);
            one.install(|| {
                let mut work: Vec<Box<dyn FnMut()>> = Vec::new();
                if hand::available() {
                    work.push(Box::new(|| drop(black_box(by_hand()))));
                }
                for pass in &passes {
                    let (mut worker, mut totals) = (pass.new_worker(n), vec![0.0; kernels.accumulators.len()]);
                    let (uniforms, columns, workers) = (&uniforms, &read, &workers);
                    work.push(Box::new(move || {
                        let data =
                            Samples { columns: black_box(columns), rows: None, labels: &[], uniforms: black_box(uniforms), slots: &[], start: 0, len: n };
                        let results = Results { totals: &mut totals, groups: &mut [], outputs: &mut [] };
                        pass.run(data, &mut worker, workers, &mut Vec::new(), results);
                        black_box(&totals);
                    }));
                }
                let (_, data) = &bound[0];
                let grad = &mut grads[0];
                work.push(Box::new(|| {
                    let _ = black_box(data.value_and_grad_into(black_box(&theta), grad));
                }));
                let mut work: Vec<&mut dyn FnMut()> = work.iter_mut().map(|w| &mut **w as &mut dyn FnMut()).collect();
                let us: Vec<f64> = alternate(&mut work, turns, calls).iter().map(|d| d.as_secs_f64() * 1e6).collect();
                if let [hand, avx512, avx2, interp, call] = us[..] {
                    println!(
                        "{:17} {n:>8} | {hand:>8.2} | {avx512:>8.2} {avx2:>8.2} {interp:>8.2} | {call:>8.2} | {:.3} {:.2} {:.3}",
                        case.name,
                        avx512 / hand,
                        interp / avx512,
                        call / hand
                    );
                } else {
                    println!("{:17} {n:>8} {us:.2?} (not all of them can run here)", case.name);
                }
            });
            if std::env::var_os("TAPELESS_RATIOS_ONLY").is_some() {
                continue;
            }
            group.throughput(Throughput::Elements(n as u64));
            if hand::available() {
                group.bench_function(BenchmarkId::new("by hand", n), |b| b.iter(by_hand));
            }
            for ((backend, data), grad) in bound.iter().zip(&mut grads) {
                group.bench_function(BenchmarkId::new(backend.name(), n), |b| {
                    one.install(|| b.iter(|| data.value_and_grad_into(black_box(&theta), grad)));
                });
            }
        }
        group.finish();
    }
}

/// Whether the program has the data `y`.
fn uses_y(program: &Program<f64>) -> bool {
    program.dag().data().iter().any(|i| i.name == "y")
}

criterion_group!(benches, kernels);
criterion_main!(benches);
