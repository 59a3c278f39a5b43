//! One pass over bound samples: leaves in chunks, chunks in parallel where that pays, partial results combined in the fixed tree.

use super::LEAF;
use super::tree::Tree;
use crate::backend::{self, Backend, Executable, Leaf, Scratch, environment};
use crate::graph::Fold;
use crate::kernel::ir::{Inst, PassKernels};
use crate::real::Real;
use crossbeam_queue::ArrayQueue;
use rayon::prelude::*;

/// At most this many chunks, whatever the number of samples: enough to balance dozens of threads, few enough that partial results stay small.
const MAX_CHUNKS: usize = 64;
/// Work (samples times instructions) below which a pass stays on the calling thread. Measured on a Gaussian likelihood (Zen 5 server, 2026-11-22):
/// 100,000 samples, half a million here, take 41.7 us on one thread and 23.3 on two, so entering rayon costs about 2.5 us; at this threshold
/// one thread needs some 22 us.
const PARALLEL_WORK: usize = 1 << 18;

/// A pass ready to run.
pub struct CompiledPass<T> {
    /// What it does.
    pub kernels: PassKernels,
    executable: Box<dyn Executable<T>>,
    folds: Vec<Fold>,
    cost: usize,
    /// Whether some step writes per-sample results.
    pub writes_outputs: bool,
}

/// What a pass runs over: a range of whole columns, and the call stage's values.
#[derive(Clone, Copy)]
pub struct Samples<'a, T> {
    /// In the order of the pass's columns.
    pub columns: &'a [&'a [T]],
    /// In the order of its uniforms.
    pub uniforms: &'a [T],
    /// The first sample.
    pub start: usize,
    /// How many.
    pub len: usize,
}

/// One thread's working memory.
pub struct Worker<T> {
    scratch: Scratch<T>,
    sums: Vec<f64>,
    tree: Tree,
}

/// Workers of one pass over one binding, handed out without a lock.
pub struct Workers<T> {
    idle: ArrayQueue<Box<Worker<T>>>,
    /// Of the whole binding.
    samples: usize,
}

impl<T: Real> Workers<T> {
    /// For passes over this many samples.
    pub fn new(samples: usize) -> Self {
        Workers { idle: ArrayQueue::new(256), samples }
    }
}

impl<T: Real> CompiledPass<T> {
    /// Prepares a pass for a backend.
    pub fn new(kernels: PassKernels, backend: Backend) -> Self {
        let executable = backend::prepare(backend, &kernels);
        let folds = kernels.accumulators.iter().map(|(f, _)| *f).collect();
        let writes_outputs = kernels.steps.iter().flat_map(|s| &s.insts).any(|i| matches!(i, Inst::Output(..)));
        CompiledPass { writes_outputs, cost: kernels.cost().max(1), executable, folds, kernels }
    }

    /// What runs it.
    pub fn describe(&self) -> String {
        self.executable.describe()
    }

    /// Its machine code, if it has any; `columns` names the data.
    pub fn assembly(&self, columns: &[String]) -> Option<String> {
        self.executable.assembly(&self.kernels, columns)
    }

    /// Working memory for one thread, made anew.
    pub fn new_worker(&self, samples: usize) -> Worker<T> {
        Worker { scratch: self.executable.scratch(), sums: vec![0.0; self.folds.len()], tree: Tree::new(self.folds.clone(), samples.div_ceil(LEAF)) }
    }

    fn idle_worker(&self, workers: &Workers<T>) -> Box<Worker<T>> {
        workers.idle.pop().unwrap_or_else(|| Box::new(self.new_worker(workers.samples)))
    }

    /// Runs over `samples` samples with the caller's worker, and others where threads pay. `totals` receives each accumulator's result;
    /// `partials` is room for [`Self::room`] numbers.
    pub fn run(&self, data: Samples<'_, T>, own: &mut Worker<T>, workers: &Workers<T>, partials: &mut [f64], totals: &mut [f64], outputs: &mut [Vec<T>]) {
        let samples = data.len;
        let chunk = chunk_samples(samples);
        let parallel = samples > chunk && samples.saturating_mul(self.cost) >= PARALLEL_WORK && rayon::current_num_threads() > 1;
        let mut slices: Vec<&mut [T]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        if !parallel {
            self.run_chunk(data, own, totals, &mut slices);
            return;
        }
        let part = |c: usize| Samples { start: c * chunk, len: chunk.min(samples - c * chunk), ..data };
        // A full queue of idle workers only means that this one is made anew another time.
        let run = |c: usize, row: &mut [f64], slices: &mut [&mut [T]]| {
            let mut worker = self.idle_worker(workers);
            environment::with_default(|| self.run_chunk(part(c), &mut worker, row, slices));
            let _ = workers.idle.push(worker);
        };
        let width = self.folds.len();
        let chunks = samples.div_ceil(chunk);
        if width == 0 || !slices.is_empty() {
            // Per-sample results: each chunk gets its part of every column.
            let mut parts: Vec<Vec<&mut [T]>> = (0..chunks).map(|_| Vec::with_capacity(slices.len())).collect();
            for column in slices {
                for (part, piece) in parts.iter_mut().zip(column.chunks_mut(chunk)) {
                    part.push(piece);
                }
            }
            let mut rows: Vec<&mut [f64]> =
                if width == 0 { (0..chunks).map(|_| Default::default()).collect() } else { partials.chunks_mut(width).take(chunks).collect() };
            rows.par_iter_mut().zip(parts.par_iter_mut()).enumerate().for_each(|(c, (row, part))| run(c, row, part));
        } else {
            partials.par_chunks_mut(width).take(chunks).enumerate().for_each(|(c, row)| run(c, row, &mut []));
        }
        if width > 0 {
            combine_chunks(&mut own.tree, &mut partials[..chunks * width], totals);
        }
    }

    /// One chunk's partial result: its leaves, combined.
    fn run_chunk(&self, data: Samples<'_, T>, worker: &mut Worker<T>, out: &mut [f64], outputs: &mut [&mut [T]]) {
        let Worker { scratch, sums, tree } = worker;
        let Samples { columns, uniforms, start, len } = data;
        if len <= LEAF && len > 0 {
            self.executable.run(&mut Leaf { columns, start, len, uniforms, outputs }, scratch, out);
            return;
        }
        tree.clear();
        let mut done = 0;
        while done < len {
            let n = LEAF.min(len - done);
            let mut parts: Vec<&mut [T]> = outputs.iter_mut().map(|o| &mut o[done..done + n]).collect();
            self.executable.run(&mut Leaf { columns, start: start + done, len: n, uniforms, outputs: &mut parts }, scratch, sums);
            tree.push(sums);
            done += n;
        }
        tree.finish(out);
    }

    /// Numbers that `run` needs for partial results.
    pub fn room(&self, samples: usize) -> usize {
        let chunks = samples.div_ceil(chunk_samples(samples).max(1));
        if chunks > 1 { chunks * self.folds.len() } else { 0 }
    }
}

/// Samples in a chunk: an aligned run of leaves that depends on the number of samples only.
fn chunk_samples(samples: usize) -> usize {
    let leaves = samples.div_ceil(LEAF).max(1);
    leaves.div_ceil(MAX_CHUNKS).next_power_of_two() * LEAF
}

/// Combines chunks' partial results, in the order of the chunks: a function of `(chunk index, sums)` alone.
fn combine_chunks(tree: &mut Tree, partials: &mut [f64], totals: &mut [f64]) {
    tree.clear();
    for row in partials.chunks_mut(totals.len()) {
        tree.push(row);
    }
    tree.finish(totals);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_aligned_and_few() {
        for samples in [0, 1, 4096, 4097, 1_000_003, 10_000_000, 1 << 33] {
            let chunk = chunk_samples(samples);
            assert!((chunk / LEAF).is_power_of_two() && chunk.is_multiple_of(LEAF));
            assert!(samples.div_ceil(chunk) <= MAX_CHUNKS, "{samples}");
        }
    }
}
