//! What the machine can do at most, as the peers' `machine_bench.c` measures it with AVX-512: reading from each level of the memory, and fused multiply-adds.
//! For machines without AVX-512, where that program doesn't run.
#![allow(unsafe_code)] // Functions compiled for more than the baseline are called after the CPU was asked.

use super::peak;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// Numbers in the memory-bound array: 800 MB.
const MAIN_MEMORY: usize = 100_000_000;
/// Numbers read in one measurement, at least.
const READ: usize = 400_000_000;
/// Measurements, of which the best counts.
const TURNS: usize = 12;

/// A sum in 64 independent chains, so that reading is all that takes time.
#[inline(always)]
fn sum(numbers: &[f64]) -> f64 {
    let mut held = [0.0; 64];
    for block in numbers.as_chunks::<64>().0 {
        for (held, x) in held.iter_mut().zip(block) {
            *held += x;
        }
    }
    held.iter().sum()
}

#[cfg(target_arch = "x86_64")]
fn read(numbers: &[f64]) -> f64 {
    #[target_feature(enable = "avx512f")]
    fn wide(numbers: &[f64]) -> f64 {
        sum(numbers)
    }
    #[target_feature(enable = "avx2")]
    fn narrow(numbers: &[f64]) -> f64 {
        sum(numbers)
    }
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the CPU was asked.
        unsafe { wide(numbers) }
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU was asked.
        unsafe { narrow(numbers) }
    } else {
        sum(numbers)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn read(numbers: &[f64]) -> f64 {
    sum(numbers)
}

/// The best of a few times, in seconds, of every thread doing `work` at once: from the first's start to the last's end, as the threads see it
/// (a thread that only waits for them may be late).
pub fn best(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    let once = || {
        let ready = Barrier::new(threads);
        let spans: Vec<[Instant; 2]> = std::thread::scope(|scope| {
            let run = |thread| {
                let (ready, work) = (&ready, &work);
                scope.spawn(move || {
                    ready.wait();
                    let start = Instant::now();
                    work(thread);
                    [start, Instant::now()]
                })
            };
            let running: Vec<_> = (0..threads).map(run).collect();
            running.into_iter().map(|thread| thread.join().expect("reading doesn't panic")).collect()
        });
        let (start, end) = (spans.iter().map(|s| s[0]).min(), spans.iter().map(|s| s[1]).max());
        end.zip(start).map_or(f64::INFINITY, |(end, start)| (end - start).as_secs_f64())
    };
    (0..TURNS).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// GB/s of all threads together: each reads its part of the first `size` numbers, or its own `size` numbers where they are `each`.
fn reading(numbers: &[f64], threads: usize, size: usize, each: bool) -> f64 {
    let part = if each { size } else { size / threads };
    let turns = READ.div_ceil(part * threads);
    let seconds = best(threads, |thread| {
        for _ in 0..turns {
            black_box(read(black_box(&numbers[thread * part..][..part])));
        }
    });
    (8 * part * threads * turns) as f64 / seconds / 1e9
}

/// The file that the peers' `roofline` reads, as `machine.py` would write it; `None` where the peak of multiply-adds can't be measured.
pub fn json() -> Option<String> {
    let numbers = vec![1.0; MAIN_MEMORY];
    let mut found = Vec::new();
    let mut limits = Vec::new();
    for threads in [1, 2] {
        let total = |megabytes: usize| reading(&numbers, threads, megabytes * 125_000, false);
        let (ten, forty, eighty) = (total(10), total(40), total(80));
        let main = reading(&numbers, threads, MAIN_MEMORY, false);
        let l2 = reading(&numbers, threads, 1 << 16, true);
        let (double, single) = (peak::gflops(true, threads)?, peak::gflops(false, threads)?);
        // The peers' script knows the peak by the name of the instructions that their program uses.
        found.push(format!(
            "\"threads_{threads}\": {{\"read_sum_GBs\": {main:.2}, \"read_sum_512KB_per_thread_GBs\": {l2:.1}, \"read_sum_10MB_total_GBs\": {ten:.1}, \"read_sum_40MB_total_GBs\": {forty:.1}, \"read_sum_80MB_total_GBs\": {eighty:.1}, \"fma_f64_avx512_GFLOPs\": {double:.1}, \"fma_f32_avx512_GFLOPs\": {single:.1}}}"
        ));
        limits.push(format!("\"{threads}\": {{\"L3_le_80MB\": {:.2}, \"DRAM_800MB\": {main:.2}}}", ten.max(forty).max(eighty)));
    }
    Some(format!("{{\"best\": {{{}}}, \"roofline_read_GBs\": {{{}}}}}", found.join(", "), limits.join(", ")))
}
