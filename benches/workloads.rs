//! Every workload of the peers, and mixtures of Gaussians: value and gradient, value alone, compilation.
//!
//! `cargo bench --bench workloads`, or a part of them by name: `cargo bench --bench workloads -- 'mixture 1000x'`. Before a workload is timed its
//! gradient is held against differences on its first samples. Mixtures print what fraction of the machine's peak they reach, measured in the same run.

mod common;

use common::{Data, Failure, MIXTURES, Steps, WORKLOADS, Workload, peak};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tapeless::Real;
use tapeless::prelude::*;

/// Samples on which a gradient is checked.
const CHECKED: usize = 200;
/// Parameters above which it is checked along directions instead of component by component.
const FEW: usize = 500;

fn one<T: Real>(c: &mut Criterion, work: &Workload, flops: Option<(usize, f64)>) -> Result<(), Failure> {
    let data: Data<T> = work.generate(work.samples).into();
    let g = Graph::new();
    let loss = (work.loss)(&g);
    let start = Instant::now();
    let program: Program<T> = tapeless::compile(loss, &Options::new())?;
    let compile = start.elapsed();
    let theta = work.point(&program, &data.params)?;
    let mut grad = program.grad_zeros();
    checked(work, &program, &data, &theta)?;
    let bound = program.bind(work.columns(&data, work.samples))?;

    let name = work.title(T::NAME);
    println!("{name}: first compilation {compile:.1?}, {}", program.report().lines().last().unwrap_or_default());
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    group.bench_function("compile", |b| b.iter(|| tapeless::compile::<T>(loss, &Options::new())));
    group.throughput(Throughput::Elements(flops.map_or(work.samples, |(each, _)| each * work.samples) as u64));
    for threads in [1, 2] {
        let pool = common::pool(threads)?;
        if let Some((steps, which)) = work.training {
            group.bench_function(format!("training, {threads} threads"), |b| {
                pool.install(|| {
                    b.iter(|| -> tapeless::Result<Params<T>> {
                        let mut theta = theta.clone();
                        let mut stepper: Box<dyn Stepper<T>> = match which {
                            Steps::Sgd(rate) => Box::new(Sgd::new(rate)),
                            Steps::Adam(rate) => Box::new(Adam::new(rate)),
                        };
                        for _ in 0..steps {
                            bound.value_and_grad_into(&theta, &mut grad)?;
                            stepper.step(&mut theta, &grad)?;
                        }
                        Ok(theta)
                    });
                });
            });
            continue;
        }
        if let Some((each, peak)) = flops {
            let mut call = || drop(black_box(bound.value_and_grad_into(&theta, &mut grad)));
            let [times] = pool.install(|| common::in_turns(Duration::from_millis(500), [&mut call]));
            let median = common::median(&times);
            let rate = (each * work.samples) as f64 / median / 1e6;
            println!("{median:.3} ms on {threads} threads: {rate:.1} GFLOP/s, {:.3} of {threads} x {peak:.1}", rate / (peak * threads as f64));
        }
        group.bench_function(format!("value and gradient, {threads} threads"), |b| {
            pool.install(|| b.iter(|| bound.value_and_grad_into(black_box(&theta), &mut grad)));
        });
        group.bench_function(format!("value, {threads} threads"), |b| pool.install(|| b.iter(|| bound.value(black_box(&theta)))));
    }
    group.finish();
    Ok(())
}

/// Holds the gradient against differences of the value on the first samples.
fn checked<T: Real>(work: &Workload, program: &Program<T>, data: &Data<T>, theta: &Params<T>) -> Result<(), Failure> {
    let bound = program.bind(work.columns(data, CHECKED.min(work.samples)))?;
    if theta.values().len() <= FEW {
        let report = tapeless::check::gradient(&bound, theta)?;
        return if report.failed() { Err(format!("{}: {report}", work.name).into()) } else { Ok(()) };
    }
    // Along a direction whose components all count, by central differences of fourth order.
    let (_, grad) = bound.value_and_grad(theta)?;
    let direction = |k: usize| ((k as f64 + 0.5) * 0.754_877_666).fract() - 0.5;
    let at = |h: f64| {
        let mut moved = theta.clone();
        moved.values_mut().iter_mut().enumerate().for_each(|(k, x)| *x = T::from_f64(x.to_f64() + h * direction(k)));
        bound.value(&moved).map(T::to_f64)
    };
    let (h, within) = if T::DOUBLE { (1e-4, 1e-7) } else { (1e-2, 1e-2) };
    let slope = (8.0 * (at(h)? - at(-h)?) - (at(2.0 * h)? - at(-2.0 * h)?)) / (12.0 * h);
    let along: f64 = grad.values().iter().enumerate().map(|(k, d)| d.to_f64() * direction(k)).sum();
    let scale = grad.norm().to_f64();
    if (slope - along).abs() <= within * scale { Ok(()) } else { Err(format!("{}: slope {along} against {slope}", work.name).into()) }
}

fn workloads(c: &mut Criterion) {
    let wanted = |name: &str| std::env::args().skip(1).filter(|a| !a.starts_with('-')).all(|filter| name.contains(filter.as_str()));
    for work in WORKLOADS {
        for double in [true, false] {
            if wanted(&work.title(if double { "f64" } else { "f32" })) {
                if double { one::<f64>(c, work, None) } else { one::<f32>(c, work, None) }.expect(work.name);
            }
        }
    }
    for mixture in MIXTURES {
        for double in [true, false] {
            if !wanted(&mixture.work.title(if double { "f64" } else { "f32" })) {
                continue;
            }
            let Some(peak) = peak::gflops(double, 1) else {
                println!("no fused multiply-add to compare a mixture with");
                return;
            };
            let flops = Some((common::mixture_flops(mixture.k, mixture.d), peak));
            if double { one::<f64>(c, &mixture.work, flops) } else { one::<f32>(c, &mixture.work, flops) }.expect("a mixture");
        }
    }
}

criterion_group!(benches, workloads);
criterion_main!(benches);
