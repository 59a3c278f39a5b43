//! Cost per sample and memory beside the data, from 10^5 to 10^8 samples: value and gradient of a Gaussian (`gauss_loc_scale`) and of a logistic regression on 10 columns.
//!
//! `cargo bench --bench scaling -- [--most N] [--plot FILE] [--seconds S]` prints a table in Markdown and draws the plot (`target/plots/scaling.svg` if no file is named).
//! Sizes whose data wouldn't fit into half of the memory that the system has left are left out, and the table says so. Memory is counted by the allocator: what binding and
//! calling allocate at most at the same time, columns not included. Each answer is held against the exact value of a smaller prefix by its own program.
#![allow(unsafe_code)] // The counting allocator passes calls on.

mod common;

use common::{Failure, in_turns, median};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tapeless::plot::Chart;
use tapeless::prelude::*;
use tapeless::{Real, dist::normal};

/// Counts the bytes in use, and the most there were.
struct Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is this function's own.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `at` came from `System.alloc` above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Powers of ten and halves of them.
const SIZES: [usize; 7] = [100_000, 316_228, 1_000_000, 3_162_278, 10_000_000, 31_622_777, 100_000_000];

struct Model {
    name: &'static str,
    columns: usize,
    loss: for<'g> fn(&'g Graph) -> Expr<'g>,
    point: &'static [(&'static str, &'static [f64])],
}

const MODELS: [Model; 2] = [
    Model {
        name: "gauss_loc_scale",
        columns: 1,
        loss: |g| -normal(g.param("loc"), g.param("raw").softplus()).log_prob(g.data("x")).sum(),
        point: &[("loc", &[0.3]), ("raw", &[0.2])],
    },
    Model {
        name: "logistic x 10",
        columns: 11,
        loss: |g| (-g.data("y") * g.data_with("x", &[10]).dot(g.param_with("w", &[10]))).softplus().sum(),
        point: &[("w", &[0.1, -0.05, 0.2, 0.0, 0.15, -0.1, 0.07, 0.02, -0.2, 0.1])],
    },
];

/// Made-up numbers in (-1.7, 1.7), which have variance 1; the last of several columns is of signs.
fn column<T: Real>(k: usize, n: usize, signs: bool) -> Vec<T> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(k as u64 + 1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 3.46
    };
    (0..n).map(|_| T::from_f64(if signs { next().signum() } else { next() })).collect()
}

/// Bytes the system can still give.
fn free_memory() -> Option<usize> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib << 10)
}

/// One row of the table.
struct Row {
    samples: usize,
    /// ns a sample on one thread and on two.
    ns: [f64; 2],
    /// Bytes beside the data.
    bytes: [usize; 2],
}

fn measure<T: Real>(model: &Model, most: usize, least: Duration) -> Result<Vec<Row>, Failure> {
    let g = Graph::new();
    let loss = (model.loss)(&g);
    let mut rows = Vec::new();
    let sizes = SIZES.into_iter().filter(|n| *n <= most);
    let fits = |n: &usize| free_memory().is_none_or(|free| n * model.columns * size_of::<T>() <= free / 2);
    let Some(longest) = sizes.clone().filter(fits).max() else { return Ok(rows) };
    let columns: Vec<Vec<T>> = (0..model.columns).map(|k| column(k, longest, model.columns > 1 && k + 1 == model.columns)).collect();
    let mut each = None;
    for samples in sizes.filter(|n| *n <= longest) {
        let parts: Vec<&[T]> = columns.iter().map(|c| &c[..samples]).collect();
        let (mut ns, mut bytes) = ([0.0; 2], [0; 2]);
        for (k, threads) in [1, 2].into_iter().enumerate() {
            let program: Program<T> = tapeless::compile(loss, &Options::new())?;
            common::pool(threads)?.install(|| -> Result<(), Failure> {
                let theta = program.params(model.point.iter().map(|(name, x)| (*name, x.to_vec())))?;
                let mut grad = program.grad_zeros();
                let before = NOW.load(Relaxed);
                MOST.store(before, Relaxed);
                let x = Columns::from(parts[..parts.len().saturating_sub(1).max(1)].to_vec());
                let mut named = vec![("x", x)];
                if parts.len() > 1 {
                    named.push(("y", Columns::from(parts[parts.len() - 1])));
                }
                let bound = program.bind(named)?;
                for _ in 0..3 {
                    bound.value_and_grad_into(&theta, &mut grad)?;
                }
                let value = bound.value_and_grad_into(&theta, &mut grad)?.to_f64() / samples as f64;
                bytes[k] = MOST.load(Relaxed) - before;
                // The mean over twice the samples is about the same.
                let expected = *each.get_or_insert(value);
                assert!((value - expected).abs() < 0.02 * expected.abs(), "{}: {value} a sample, {expected} before", model.name);
                let [times] = in_turns(least, [&mut || drop(black_box(bound.value_and_grad_into(&theta, &mut grad)))]);
                ns[k] = median(&times) * 1e6 / samples as f64;
                Ok(())
            })?;
        }
        rows.push(Row { samples, ns, bytes });
    }
    Ok(rows)
}

fn main() -> Result<(), Failure> {
    let (mut most, mut plot, mut seconds) = (usize::MAX, String::from("target/plots/scaling.svg"), 1.0);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("most") => most = args.value()?.parse()?,
            Long("plot") => plot = args.value()?.string()?,
            Long("seconds") => seconds = args.value()?.parse()?,
            // Given by cargo.
            Long("bench") => {}
            other => return Err(other.unexpected().into()),
        }
    }
    let least = Duration::from_secs_f64(seconds);
    println!("| model | type | samples | ns a sample, 1 thread | 2 threads | KiB beside the data, 1 thread | 2 threads |\n|---|---|---|---|---|---|---|");
    let mut chart = Chart::new("Value and gradient: cost per sample").x("log10 of the number of samples").y("ns a sample").log_y();
    for model in &MODELS {
        for double in [true, false] {
            let (dtype, rows) = if double { ("f64", measure::<f64>(model, most, least)?) } else { ("f32", measure::<f32>(model, most, least)?) };
            for Row { samples, ns, bytes } in &rows {
                let kib = bytes.map(|b| b as f64 / 1024.0);
                println!("| {} | {dtype} | {samples} | {:.4} | {:.4} | {:.1} | {:.1} |", model.name, ns[0], ns[1], kib[0], kib[1]);
            }
            if rows.len() < SIZES.iter().filter(|n| **n <= most).count() {
                println!("| {} | {dtype} | larger | no memory | | | |", model.name);
            }
            for threads in [0, 1] {
                let points = rows.iter().map(|row| ((row.samples as f64).log10(), row.ns[threads]));
                chart = chart.path(&format!("{}, {dtype}, {} thread{}", model.name, threads + 1, if threads == 0 { "" } else { "s" }), points);
            }
        }
    }
    chart.save(&plot)?;
    eprintln!("{plot}");
    Ok(())
}
