//! Our side of the comparison with other tools, on the columns and parameters that their side dumped:
//!
//! `cargo bench --bench peers -- --data DIR --workload NAME|all --dtype f64|f32 --threads N --min-seconds S`
//!
//! One JSON line a workload: `{"tool": "tapeless", "workload", "n", "dtype", "threads", "ms_min", "ms_median", "compile_ms", "value", "grad_norm"}`,
//! and `"compile_again_ms"`, the median of compiling it again (the first compilation of a process also parses the simplifier's rules), `"value_ms"`, the time of the value alone, and `"over_value"`, what value and gradient together take of it, both called in turns. `--workload mixture`
//! needs no data: its lines have `"gflops"`, of the operations that `common::mixture_flops` counts, and `"of_peak"`, their part of the fused multiply-adds that the machine does.
//! `--listing` prints each workload's machine code instead, for `tools/cycles.py`, and needs none either.
//! `--machine` prints what the machine reads and multiplies at most instead, as `machine.py` writes it for the peers' `roofline`.

mod common;

use common::{Data, Failure, MIXTURES, Numbers, Steps, WORKLOADS, Workload, in_turns, limits, median, peak};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tapeless::Real;
use tapeless::prelude::*;

fn run<T: Real>(work: &Workload, numbers: Numbers, threads: usize, least: Duration, flops: Option<usize>) -> Result<String, Failure> {
    let numbers: Data<T> = numbers.into();
    let g = Graph::new();
    let loss = (work.loss)(&g);
    let first = Instant::now();
    let program: Program<T> = tapeless::compile(loss, &Options::new())?;
    let compile_only = first.elapsed();
    let [again] = in_turns(Duration::ZERO, [&mut || drop(black_box(tapeless::compile::<T>(loss, &Options::new())))]);
    let again = median(&again);
    let start = work.point(&program, &numbers.params)?;
    let data = program.bind(work.columns(&numbers, work.samples))?;
    let mut grad = program.grad_zeros();
    let (value, norm, times);
    let mut more = String::new();
    match work.training {
        None => {
            value = data.value_and_grad_into(&start, &mut grad)?.to_f64();
            norm = grad.norm().to_f64();
            let mut both = || drop(black_box(data.value_and_grad_into(black_box(&start), &mut grad)));
            let mut value_alone = || drop(black_box(data.value(black_box(&start))));
            // By itself first: beside the value alone, its columns would lie in another state of the caches.
            [times] = in_turns(least, [&mut both]);
            let [beside, alone] = in_turns(least / 2, [&mut both, &mut value_alone]);
            more = format!(", \"value_ms\": {:.6}, \"over_value\": {:.3}", median(&alone), median(&beside) / median(&alone));
        }
        Some((steps, which)) => {
            let train = || -> Result<(f64, f64), Failure> {
                let (mut theta, mut grad) = (start.clone(), program.grad_zeros());
                let mut stepper: Box<dyn Stepper<T>> = match which {
                    Steps::Sgd(rate) => Box::new(Sgd::new(rate)),
                    Steps::Adam(rate) => Box::new(Adam::new(rate)),
                };
                let mut loss = T::default();
                for _ in 0..steps {
                    loss = data.value_and_grad_into(&theta, &mut grad)?;
                    stepper.step(&mut theta, &grad)?;
                }
                Ok((loss.to_f64(), theta.norm().to_f64()))
            };
            (value, norm) = train()?;
            [times] = in_turns(least, [&mut || drop(black_box(train()))]);
        }
    }
    if let Some(flops) = flops
        && let Some(peak) = peak::gflops(T::DOUBLE, threads)
    {
        let rate = (flops * work.samples) as f64 / median(&times) / 1e6;
        more += &format!(", \"gflops\": {rate:.2}, \"of_peak\": {:.4}", rate / peak);
    }
    let (min, median, compile) = (times[0], median(&times), compile_only.as_secs_f64() * 1e3);
    Ok(format!(
        "{{\"tool\": \"tapeless\", \"workload\": \"{}\", \"n\": {}, \"dtype\": \"{}\", \"threads\": {threads}, \"ms_min\": {min:.6}, \"ms_median\": {median:.6}, \"compile_ms\": {compile:.3}, \"compile_again_ms\": {again:.3}, \"value\": {value:?}, \"grad_norm\": {norm:?}{more}}}",
        work.name,
        work.n,
        T::NAME
    ))
}

/// The machine code of a workload.
fn listing<T: Real>(work: &Workload) -> Result<String, Failure> {
    let g = Graph::new();
    Ok(tapeless::compile::<T>((work.loss)(&g), &Options::new())?.assembly())
}

fn main() -> Result<(), Failure> {
    let mut listings = false;
    let (mut dir, mut workload, mut dtype, mut threads, mut seconds) = (None, String::from("all"), String::from("f64"), 1usize, 1.0f64);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("data") => dir = Some(PathBuf::from(args.value()?)),
            Long("workload") => workload = args.value()?.string()?,
            Long("dtype") => dtype = args.value()?.string()?,
            Long("threads") => threads = args.value()?.parse()?,
            Long("min-seconds") => seconds = args.value()?.parse()?,
            Long("listing") => listings = true,
            Long("machine") => {
                println!("{}", limits::json().ok_or("no fused multiply-add")?);
                return Ok(());
            }
            // Given by cargo.
            Long("bench") => {}
            other => return Err(other.unexpected().into()),
        }
    }
    let named = |name: &str| workload.split(',').any(|one| one == name);
    let mut chosen: Vec<(&Workload, Option<usize>)> = WORKLOADS.iter().filter(|w| workload == "all" || named(w.name)).map(|w| (w, None)).collect();
    chosen.extend(MIXTURES.iter().filter(|m| named(m.work.name)).map(|m| (&m.work, Some(common::mixture_flops(m.k, m.d)))));
    if chosen.is_empty() {
        return Err(format!("no workload `{workload}`").into());
    }
    if listings {
        for (work, _) in chosen {
            let of = match dtype.as_str() {
                "f64" => listing::<f64>(work)?,
                "f32" => listing::<f32>(work)?,
                other => return Err(format!("no type `{other}`").into()),
            };
            println!("{of}");
        }
        return Ok(());
    }
    if dir.is_none() && chosen.iter().any(|(_, flops)| flops.is_none()) {
        eprintln!("peers: no --data DIR with dumped columns; nothing to run");
        return Ok(());
    }
    let least = Duration::from_secs_f64(seconds);
    let pool = common::pool(threads)?;
    for (work, flops) in chosen {
        let numbers = match &dir {
            Some(dir) if flops.is_none() => work.read(dir)?,
            _ => work.generate(work.samples),
        };
        let line = pool.install(|| match dtype.as_str() {
            "f64" => run::<f64>(work, numbers, threads, least, flops),
            "f32" => run::<f32>(work, numbers, threads, least, flops),
            other => Err(format!("no type `{other}`").into()),
        })?;
        println!("{line}");
    }
    Ok(())
}
