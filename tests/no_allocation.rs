//! P5: once warm, a repeated `value_and_grad_into` allocates nothing, nor does a step of a training in batches. One test alone in its binary, so that
//! nothing else runs beside it but the test's runner, whose thread doesn't count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tapeless::fit::Schedule;
use tapeless::prelude::*;

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The thread of the test's runner, by [`thread`]: the first in the process to allocate. It goes on to note that the test has begun and to wait for its
/// end, both with allocations, while the test runs.
static RUNNER: AtomicUsize = AtomicUsize::new(UNKNOWN);
const UNKNOWN: usize = 0;
/// The runner's while it runs the test itself (`--test-threads=1`), when it does nothing beside.
const NONE: usize = usize::MAX;

/// What tells the calling thread from others, without allocating.
fn thread() -> usize {
    thread_local!(static MARK: Cell<u8> = const { Cell::new(0) });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

fn count_one() {
    let thread = thread();
    let _ = RUNNER.compare_exchange(UNKNOWN, thread, SeqCst, SeqCst);
    if RUNNER.load(SeqCst) != thread {
        CALLS.fetch_add(1, SeqCst);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of the caller's.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps `alloc`'s contract, which is this function's own.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count_one();
        // SAFETY: `at` came from `System.alloc` above.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: `at` came from `System.alloc` above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LONGEST: usize = 3000;

/// How often each number is there in a row-major table: rows are as wide as the widest data.
const WIDTH: usize = 4;

/// The declared data are one column, four, or one and labels; each column is the same. `table` has every number of `x` four times in a row, for row-major data.
fn columns<'d, T: tapeless::Real>(program: &Program<T>, x: &'d [T], table: Option<&'d [T]>) -> Vec<(&'static str, Columns<'d, T>)> {
    static LABELS: [i64; LONGEST] = [2; LONGEST];
    let entries = program.value_dag().data()[0].shape.entries();
    let of_rows = |table| Columns::from_rows(table, WIDTH).entries(0..entries);
    let mut columns = vec![("x", table.map_or_else(|| Columns::from(vec![x; entries]), of_rows))];
    if program.value_dag().data().len() > 1 {
        columns.push(("site", Columns::from(&LABELS[..x.len()])));
    }
    columns
}

/// Allocations and releases of 100 calls after a few warm ones.
fn count<T: tapeless::Real>(program: &Program<T>, x: &[T], table: Option<&[T]>, n: usize) -> (usize, usize) {
    let bound = program.bind(columns(program, &x[..n], table.map(|t| &t[..n * WIDTH]))).unwrap();
    let mut theta = program.zeros();
    let mut grad = program.grad_zeros();
    let mut calls = |times: usize, theta: &mut Params<T>| {
        let before = CALLS.load(SeqCst);
        for k in 0..times {
            for (j, v) in theta.values_mut().iter_mut().enumerate() {
                *v = T::from_f64(0.3 + 0.01 * ((k + j) % 10) as f64);
            }
            bound.value_and_grad_into(theta, &mut grad).unwrap();
        }
        CALLS.load(SeqCst) - before
    };
    calls(3, &mut theta);
    let both = calls(100, &mut theta);
    assert!(grad.is_finite() && (n == 1 || grad.norm() > 0.0));
    bound.value(&theta).unwrap();
    let before = CALLS.load(SeqCst);
    for _ in 0..100 {
        bound.value(&theta).unwrap();
    }
    (both, CALLS.load(SeqCst) - before)
}

/// Allocations and releases of a training of so many epochs of short batches, clipped and shuffled; with those of its making.
fn count_training<T: tapeless::Real>(program: &Program<T>, x: &[T], table: Option<&[T]>, epochs: u64) -> usize {
    let bound = program.bind(columns(program, x, table)).unwrap();
    let mut theta = program.zeros();
    let before = CALLS.load(SeqCst);
    let training = Training::new(&bound, Adam::new(0.01)).batch_size(700).shuffle(1).epochs(epochs).clip_norm(1.0);
    training.schedule(Schedule::exponential(0.01, 0.9).by_epoch()).record_every(0).tolerance(0.0).run(&mut theta).unwrap();
    CALLS.load(SeqCst) - before
}

#[test]
fn a_repeated_call_allocates_nothing() {
    let _ = RUNNER.compare_exchange(thread(), NONE, SeqCst, SeqCst);
    let x: Vec<f64> = (0..LONGEST).map(|i| 0.1 + (i as f64 * 0.618).fract()).collect();
    let x32: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    let table: Vec<f64> = x.iter().flat_map(|x| [*x; WIDTH]).collect();
    let table32: Vec<f32> = x32.iter().flat_map(|x| [*x; WIDTH]).collect();
    type Model = for<'g> fn(&'g Graph) -> Expr<'g>;
    let models: [(&str, Model); 9] = [
        ("a large matrix", |g| {
            let w = g.param_with("w", &[20, 20]);
            let a = w.matmul(w.transpose()) + g.identity(20);
            (g.data("x") - a.cholesky().solve_lower(w.sum_dim(-1) + 1.0).sum()).square().sum() + a.log_det()
        }),
        ("mean squared error", |g| (g.param("w") * g.data("x") + g.param("b")).square().mean()),
        ("Gaussian", |g| {
            let scale = g.param("s").softplus();
            (((g.data("x") - g.param("m")) / scale).square() + scale.ln()).sum()
        }),
        ("two stages", |g| {
            let r = (g.param("w") * g.data("x")).exp();
            (r - r.mean()).square().mean()
        }),
        ("logarithm of a sum of exponentials", |g| (g.param("w") * g.data("x")).exp().sum().ln()),
        ("largest", |g| (g.param("w") * g.data("x")).tanh().max_samples()),
        ("random effects", |g| (g.data("x") - g.param_with("a", &[5, 2]).gather(g.labels("site")).sum_dim(-1)).square().sum()),
        // Two passes, the first with sums by groups and the second without.
        ("sums by groups", |g| (g.param("w") * g.data("x")).exp().sum_by(g.labels("site"), 5).ln_1p().sum()),
        ("vectors", |g| (g.data_with("x", &[4]) * g.param_with("w", &[4])).sum_dim(-1).softplus().sum()),
    ];
    let before = CALLS.load(SeqCst);
    drop(std::hint::black_box(vec![1u8; 100]));
    assert!(CALLS.load(SeqCst) > before, "the counter counts");
    for (name, model) in models {
        let g = Graph::new();
        let loss = model(&g);
        let (p, p32) = (loss.compile().unwrap(), Options::new().compile_f32(loss).unwrap());
        for (table, table32) in [(None, None), (Some(&table[..]), Some(&table32[..]))] {
            let name = format!("{name}, {}", if table.is_some() { "rows" } else { "columns" });
            for n in [1, 11, 1000, LONGEST] {
                assert_eq!(count(&p, &x, table, n), (0, 0), "{name}, f64, {n} samples");
                assert_eq!(count(&p32, &x32, table32, n), (0, 0), "{name}, f32, {n} samples");
            }
            // A longer training allocates no more than a short one.
            assert_eq!(count_training(&p, &x, table, 30), count_training(&p, &x, table, 2), "{name}, f64, batches");
            assert_eq!(count_training(&p32, &x32, table32, 30), count_training(&p32, &x32, table32, 2), "{name}, f32, batches");
        }
    }
}
