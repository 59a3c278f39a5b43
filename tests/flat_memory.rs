//! Many calls of the hot path leave memory as it was: on every backend the allocator's bytes and the resident set are after the last call what they were
//! after the first few.
//!
//! `TAPELESS_CALLS` sets how many calls each model makes on each backend (default 30,000; 10,000,000 takes some minutes).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;
use tapeless::backend::Backend;
use tapeless::prelude::*;
use tapeless::{Real, compile};

/// Counts what the calling thread asks of the system's allocator: a call over few samples has no other, and what the test's runner does is not of interest.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// Bytes held: those asked for less those given back.
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    CALLS.set(CALLS.get() + 1);
    BYTES.set(BYTES.get() + bytes);
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of the caller's.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps `alloc`'s contract, which is this function's own.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: `at` came from `System.alloc` above.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: `at` came from `System.alloc` above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const N: usize = 11;

type Model = for<'g> fn(&'g Graph) -> Expr<'g>;

const MODELS: [(&str, Model); 4] = [
    ("mean squared error", |g| (g.param("w") * g.data("x") + g.param("b")).square().mean()),
    ("Gaussian", |g| {
        let scale = g.param("s").softplus();
        (((g.data("x") - g.param("m")) / scale).square() + scale.ln()).sum()
    }),
    ("two passes", |g| {
        let r = (g.param("w") * g.data("x")).exp();
        (r - r.mean()).square().mean()
    }),
    ("random effects", |g| (g.data("x") - g.param_with("a", &[3]).gather(g.labels("site"))).square().sum()),
];

/// The resident set in KiB, by the page tables and not by the kernel's running estimate; `None` where the system doesn't tell.
fn resident() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    text.lines().find_map(|line| line.strip_prefix("Rss:"))?.split_whitespace().next()?.parse().ok()
}

/// What so many calls leave behind: calls of the allocator and bytes held by those of `value_and_grad_into` and `value`, bytes held by those of
/// `value_and_grad`, KiB resident.
fn growth<T: Real>(model: Model, backend: Backend, calls: u64) -> (u64, i64, i64, i64) {
    let g = Graph::new();
    let program = compile::<T>(model(&g), &Options::new().backend(backend)).unwrap();
    let x: Vec<T> = (0..N).map(|i| T::from_f64(0.1 + (i as f64 * 0.618).fract())).collect();
    let site: Vec<u32> = (0..N as u32).map(|i| i % 3).collect();
    let columns = program.dag().data().iter().map(|input| (&input.name, if input.labels.is_some() { Columns::from(&site) } else { Columns::from(&x) }));
    let data = program.bind(columns).unwrap();
    let (mut theta, mut grad) = (program.zeros(), program.grad_zeros());
    let mut round = |calls: u64, allocating: bool| {
        for k in 0..calls {
            theta.values_mut().iter_mut().enumerate().for_each(|(j, v)| *v = T::from_f64(0.3 + 0.01 * ((k + j as u64) % 10) as f64));
            if allocating {
                std::hint::black_box(data.value_and_grad(&theta).unwrap());
            } else if k % 4 == 3 {
                std::hint::black_box(data.value(&theta).unwrap());
            } else {
                std::hint::black_box(data.value_and_grad_into(&theta, &mut grad).unwrap());
            }
        }
    };
    // The working memory is made, and what the measuring itself needs.
    round(100, false);
    round(100, true);
    resident();
    let before = resident();
    let (first_calls, first_bytes) = (CALLS.get(), BYTES.get());
    round(calls, false);
    let (into_calls, into_bytes) = (CALLS.get() - first_calls, BYTES.get() - first_bytes);
    let held = BYTES.get();
    round(calls, true);
    let bytes = BYTES.get() - held;
    (into_calls, into_bytes, bytes, resident().zip(before).map_or(0, |(after, before)| after - before))
}

#[test]
fn memory_is_flat() {
    let calls = std::env::var("TAPELESS_CALLS").ok().and_then(|v| v.parse().ok()).unwrap_or(30_000);
    let before = (CALLS.get(), BYTES.get());
    let held = std::hint::black_box(vec![1u8; 100]);
    assert!(CALLS.get() > before.0 && BYTES.get() == before.1 + 100, "the counter counts");
    drop(held);
    for backend in Backend::available() {
        for (name, model) in MODELS {
            for single in [false, true] {
                let begun = Instant::now();
                let found = if single { growth::<f32>(model, backend, calls) } else { growth::<f64>(model, backend, calls) };
                let (allocations, bytes, bytes_of_allocating, kib) = found;
                let what = format!("{}, {name}, {}: {calls} calls", backend.name(), if single { "f32" } else { "f64" });
                println!(
                    "{what}: {allocations} calls of the allocator, {bytes} bytes more held; as many of `value_and_grad`: {bytes_of_allocating} bytes more; \
                     {kib} KiB more resident; {:.1} s",
                    begun.elapsed().as_secs_f64()
                );
                assert_eq!((allocations, bytes, bytes_of_allocating), (0, 0, 0), "{what}");
                // The allocator may touch pages that it had before; a byte lost in each of ten million calls would be 9,800 KiB.
                assert!(kib <= 256, "{what}: {kib} KiB");
            }
        }
    }
}
