//! More than 2^32 samples: columns of that length exist as addresses only, a few pages of the memory mapped over and over; a last stretch beyond sample 2^32
//! has numbers of its own, so that an index cut to 32 bits finds the wrong ones. All numbers are whole and small, so that every sum has a closed form and is
//! exact.
//!
//! By default the fastest backend runs the whole column, and what lies beyond 2^32 is asked of every backend. `TAPELESS_BEYOND=all` runs whole columns on
//! every backend, in `f32`, row by row, and by groups: a few minutes.

// Mappings need it.
#![allow(unsafe_code)]
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Instant;
use tapeless::backend::Backend;
use tapeless::fit::Batches;
use tapeless::prelude::*;
use tapeless::{Error, Real, Result, compile};

/// The first sample that a 32-bit number can't count.
const BEYOND: usize = 1 << 32;
/// Bytes of the memory behind a column, mapped again and again.
const WINDOW: usize = 1 << 24;

/// A slice that begins with the same window over and over, up to element 2^32, and ends with others.
struct Repeated<T> {
    at: *mut u8,
    bytes: usize,
    len: usize,
    window: Vec<T>,
    tail: Vec<T>,
}

impl<T: Copy> Repeated<T> {
    /// Element `i` below 2^32 is `body(i)` of the place in the window, `tail(i)` beyond: `beyond` of them.
    fn new(beyond: usize, body: impl Fn(usize) -> T, tail: impl Fn(usize) -> T) -> Self {
        let each = WINDOW / size_of::<T>();
        let (window, tail): (Vec<T>, Vec<T>) = ((0..each).map(body).collect(), (0..beyond).map(tail).collect());
        let tail_bytes = (beyond * size_of::<T>()).next_multiple_of(4096);
        let bytes = BEYOND * size_of::<T>() + tail_bytes;
        // SAFETY: a new mapping wherever the system likes, checked below; nothing is reserved for it.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED, "{bytes} bytes of addresses");
        let at: *mut u8 = at.cast();
        let (front, back) = (Self::file(&window, WINDOW), Self::file(&tail, tail_bytes));
        let map = |file: &File, from: usize, bytes: usize| {
            // SAFETY: inside the mapping made above, which nobody else knows of.
            let to = unsafe { at.add(from) };
            // SAFETY: the pages there are replaced by the file's, which has as many bytes.
            let there = unsafe { libc::mmap(to.cast(), bytes, libc::PROT_READ, libc::MAP_SHARED | libc::MAP_FIXED, file.as_raw_fd(), 0) };
            assert_eq!(there, to.cast());
        };
        (0..BEYOND / each).for_each(|k| map(&front, k * WINDOW, WINDOW));
        map(&back, BEYOND * size_of::<T>(), tail_bytes);
        Repeated { at, bytes, len: BEYOND + beyond, window, tail }
    }

    /// Numbers in a file that lies in memory alone.
    fn file(numbers: &[T], bytes: usize) -> File {
        // SAFETY: a name that ends in 0.
        let descriptor = unsafe { libc::memfd_create(c"column".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(descriptor >= 0);
        // SAFETY: a new descriptor, which nobody else has.
        let mut file = unsafe { File::from_raw_fd(descriptor) };
        // SAFETY: plain numbers without padding.
        let text = unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast::<u8>(), size_of_val(numbers)) };
        file.write_all(text).and_then(|()| file.set_len(bytes as u64)).expect("memory for a window");
        file
    }

    fn numbers(&self) -> &[T] {
        // SAFETY: mapped in `new`, element by element, and unmapped when this is dropped; nobody writes.
        unsafe { std::slice::from_raw_parts(self.at.cast(), self.len) }
    }

    /// The sum of a function over all elements.
    fn sum(&self, f: impl Fn(T) -> f64) -> f64 {
        let times = (BEYOND / self.window.len()) as f64;
        times * self.window.iter().map(|x| f(*x)).sum::<f64>() + self.sum_beyond(f)
    }

    /// And over those beyond 2^32.
    fn sum_beyond(&self, f: impl Fn(T) -> f64) -> f64 {
        self.tail.iter().map(|x| f(*x)).sum()
    }
}

impl<T> Drop for Repeated<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        unsafe { libc::munmap(self.at.cast(), self.bytes) };
    }
}

fn all() -> bool {
    std::env::var("TAPELESS_BEYOND").is_ok_and(|v| v == "all")
}

/// Those that run whole columns.
fn whole() -> Vec<Backend> {
    if all() { Backend::available() } else { vec![Backend::Auto] }
}

/// Says how long something took.
fn timed<R>(what: &str, f: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let found = f();
    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    found
}

#[test]
fn value_and_gradient_over_all_samples() -> Result<()> {
    let x = Repeated::<f64>::new(1_000_003, |i| (i % 7) as f64, |i| (100 + i % 11) as f64);
    let n = x.len as f64;
    let g = Graph::new();
    let residual = g.param("w") * g.data("x") - g.param("b");
    // Multiples of a quarter, below 2^53 of them.
    let (sum, mean) = (residual.square().sum(), residual.square().mean());
    let total = x.sum(|x| (0.5 * x - 1.0).powi(2));
    let by = [x.sum(|x| 2.0 * (0.5 * x - 1.0) * x), x.sum(|x| -2.0 * (0.5 * x - 1.0))];
    for backend in whole() {
        let options = Options::new().backend(backend);
        let program = options.compile(sum)?;
        let data = program.bind([("x", x.numbers())])?;
        let theta = program.params([("w", 0.5), ("b", 1.0)])?;
        let (value, grad) = timed(&format!("value and gradient, f64, {}", backend.name()), || data.value_and_grad(&theta))?;
        assert_eq!((value, grad.values()), (total, &by[..]), "{}", backend.name());
        if all() {
            let program = options.compile(mean)?;
            let data = program.bind([("x", x.numbers())])?;
            assert_eq!(data.value(&theta)?, total / n);
            // As many on any number of threads.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
            assert_eq!(pool.install(|| data.value(&theta))?, total / n);
        }
    }
    Ok(())
}

/// What is chosen beyond 2^32 is what is there, on every backend: as a range, as a list of rows, as what a report names.
fn choose<T: Real>() -> Result<()> {
    let x = Repeated::<T>::new(50_000, |i| T::from_f64((i % 7) as f64), |i| if i == 40_000 { T::from_f64(-100.0) } else { T::from_f64((10 + i % 5) as f64) });
    let g = Graph::new();
    let (w, column) = (g.param("w"), g.data("x"));
    for backend in Backend::available() {
        let program = compile::<T>((w * column).square().sum() + w, &Options::new().backend(backend))?;
        let data = program.bind([("x", x.numbers())])?;
        let theta = program.params([("w", 2.0)])?;
        let mut grad = program.grad_zeros();
        let mut batch = data.batch();
        let range = BEYOND - 5..BEYOND + 5000;
        let expected: f64 = range.clone().map(|i| if i < BEYOND { x.window[i % x.window.len()] } else { x.tail[i - BEYOND] }.to_f64().powi(2)).sum();
        batch.select_range(range)?;
        let value = batch.value_and_grad_into(&theta, &mut grad)?.to_f64();
        assert_eq!((value, grad.values()[0].to_f64()), (4.0 * expected + 2.0, 4.0 * expected + 1.0), "{}", backend.name());
        // In another order, the last one first, the same twice.
        batch.select(&[x.len - 1, 3, BEYOND + 2, BEYOND - 1, BEYOND + 2])?;
        let numbers = [x.tail[49_999], x.window[3], x.tail[2], x.window[x.window.len() - 1], x.tail[2]];
        let expected: f64 = numbers.iter().map(|x| x.to_f64().powi(2)).sum();
        assert_eq!(batch.value(&theta)?.to_f64(), 4.0 * expected + 2.0, "{}", backend.name());
        assert!(matches!(batch.select(&[x.len]), Err(Error::Setting { .. })));
        // The sample that a report names.
        let program = compile::<T>((w * column).ln().sum(), &Options::new().backend(backend))?;
        let data = program.bind([("x", x.numbers())])?;
        let mut batch = data.batch();
        batch.select_range(BEYOND + 100..x.len)?;
        let report = batch.find_non_finite(&theta)?.expect("the logarithm of a negative number");
        assert_eq!((report.node.as_str(), report.sample, report.inputs[0].1), ("ln", Some(BEYOND + 40_000), -200.0), "{report}");
    }
    Ok(())
}

#[test]
fn samples_beyond_are_chosen_and_named() -> Result<()> {
    choose::<f64>()?;
    choose::<f32>()
}

#[test]
fn labels_beyond() -> Result<()> {
    // Four sites; the fifth is met beyond 2^32 alone.
    let site = Repeated::<u8>::new(100_003, |i| (i % 4) as u8, |i| (3 + i % 2) as u8);
    let g = Graph::new();
    let (effect, sites) = (g.param_with("effect", &[5]), g.labels("site"));
    let effects = [1.0, 2.0, 3.0, 4.0, 5.0];
    let count = |label: u8| site.sum(|l| f64::from(u8::from(l == label)));
    for backend in whole() {
        let program = Options::new().backend(backend).compile(effect.gather(sites).square().sum())?;
        let data = timed("binding labels", || program.bind([("site", site.numbers())]))?;
        let theta = program.params([("effect", effects)])?;
        if all() {
            let (value, grad) = timed(&format!("random effects, {}", backend.name()), || data.value_and_grad(&theta))?;
            let counts: Vec<f64> = (0..5).map(count).collect();
            assert_eq!(value, counts.iter().zip(effects).map(|(n, e)| n * e * e).sum::<f64>(), "{}", backend.name());
            assert_eq!(grad.values(), counts.iter().zip(effects).map(|(n, e)| 2.0 * n * e).collect::<Vec<_>>(), "{}", backend.name());
        }
        // Beyond, and across.
        let mut batch = data.batch();
        let mut grad = program.grad_zeros();
        batch.select_range(BEYOND - 2..BEYOND + 10_000)?;
        assert_eq!(batch.value_and_grad_into(&theta, &mut grad)?, 9.0 + 16.0 + 5000.0 * (16.0 + 25.0));
        assert_eq!(grad.values(), [0.0, 0.0, 6.0, 8.0 + 40_000.0, 50_000.0]);
        batch.select(&[BEYOND + 1, 0, BEYOND + 2])?;
        assert_eq!(batch.value(&theta)?, 25.0 + 1.0 + 16.0);
    }
    // A label that isn't one, found where it is.
    let site = Repeated::<u8>::new(1000, |i| (i % 4) as u8, |i| if i == 700 { 9 } else { 0 });
    let program = effect.gather(sites).sum().compile()?;
    match timed("a label out of range", || program.bind([("site", site.numbers())])) {
        Err(Error::Label { sample, message, .. }) => assert_eq!((sample, message.as_str()), (BEYOND + 700, "label 9 is not below 5")),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn rows_and_single_precision() -> Result<()> {
    // Nothing but zeros up to 2^32: what lies beyond is exact in f32.
    let table = Repeated::<f32>::new(2 * 3001, |_| 0.0, |i| (i % 3) as f32);
    let g = Graph::new();
    let (w, v) = (g.param("w"), g.param("v"));
    let column = (w * g.data("x")).square().sum() + v;
    let expected = table.sum_beyond(|x| f64::from(4.0 * x * x));
    if all() {
        for backend in Backend::available() {
            let program = Options::new().backend(backend).compile_f32(column)?;
            let data = program.bind([("x", table.numbers())])?;
            let (value, grad) = timed(&format!("value and gradient, f32, {}", backend.name()), || {
                data.value_and_grad(&program.params([("w", 2.0), ("v", 1.0)]).expect("they are its own"))
            })?;
            assert_eq!((f64::from(value), f64::from(grad.scalar("w")?)), (expected + 1.0, expected));
        }
    }
    // Rows of two, half as many; and with a stride of 0, one number for all of more than 2^33 samples.
    let pairs = Columns::from_rows(table.numbers(), 2);
    let g = Graph::new();
    let program = Options::new().compile_f32((g.data_with("r", &[2]) * g.param_with("u", &[2])).sum_dim(-1).square().sum())?;
    let data = program.bind([("r", pairs)])?;
    let mut batch = data.batch();
    batch.select_range(BEYOND / 2 - 1..BEYOND / 2 + 3001)?;
    let theta = program.params([("u", [1.0, 2.0])])?;
    let rows: f64 = table.tail.chunks(2).map(|r| f64::from(r[0] + 2.0 * r[1]).powi(2)).sum();
    assert_eq!(f64::from(batch.value(&theta)?), rows);
    if all() {
        assert_eq!(f64::from(timed("rows of two, f32", || data.value(&theta))?), rows);
        let g = Graph::new();
        let program = Options::new().compile((g.param("w") * g.data("x") - 1.0).square().sum())?;
        let one = Columns::strided(&[3.0], [2 * BEYOND + 1, 1], [0, 1]);
        let data = program.bind([("x", one)])?;
        assert_eq!(data.samples(), 2 * BEYOND + 1);
        let value = timed("one number 2^33 + 1 times", || data.value(&program.params([("w", 1.0)]).expect("its own")))?;
        assert_eq!(value, 4.0 * (2.0 * BEYOND as f64 + 1.0));
    }
    Ok(())
}

#[test]
fn batches_beyond() -> Result<()> {
    let samples = 3 * BEYOND + 10;
    let batches = Batches::new(samples, 1000)?;
    assert_eq!(batches.per_epoch(), (samples as u64).div_ceil(1000));
    let last = batches.per_epoch();
    assert_eq!(batches.places(last), (last as usize - 1) * 1000..samples);
    assert_eq!((batches.epoch(last), batches.epoch(last + 1), batches.places(last + 1)), (0, 1, 0..1000));
    // A training's steps over a column of more than 2^32, in its last batches.
    let x = Repeated::<f32>::new(3000, |_| 1.0, |i| (i % 2) as f32 * 4.0);
    let g = Graph::new();
    let program = Options::new().compile_f32((g.param("w") - g.data("x")).square().mean())?;
    let data = program.bind([("x", x.numbers())])?;
    let size = 1000;
    let steps = (x.len as u64).div_ceil(size);
    let mut losses = Vec::new();
    let mut training = Training::new(&data, Sgd::new(0.5)).batch_size(size as usize).first_step(steps - 1).steps(2).observe(|step| {
        losses.push((step.step, step.loss));
        std::ops::ControlFlow::Continue(())
    });
    let mut theta = program.zeros();
    training.run(&mut theta)?;
    drop(training);
    // With rate 1/2 a step goes to the batch's mean. The last but one is all beyond 2^32: its mean is 2, its mean square 8. The last one's numbers lie 2 from
    // that.
    assert_eq!(losses, [(steps - 1, 8.0), (steps, 4.0)]);
    Ok(())
}
