//! One pass over bound samples: leaves in chunks, chunks in parallel where that pays, partial results combined in the fixed tree.

use super::LEAF;
use super::ahead::{self, Ahead};
use super::groups::{Carried, LeafColumns};
use super::tree::{Combine, Tree};
use super::twins::{Scratches, Twins};
use crate::backend::rows::{LeafRows, RowColumns};
use crate::backend::{Backend, Leaf, environment};
use crate::column::Column;
use crate::kernel::ir::{Inst, PassKernels};
use crate::labels::LabelColumn;
use crate::ranges::Places;
use crate::real::Real;
use crossbeam_queue::ArrayQueue;
use rayon::prelude::*;
use std::fmt;

/// At most this many chunks, whatever the number of samples: enough to balance dozens of threads, few enough that partial results stay small.
const MAX_CHUNKS: usize = 64;
/// Work (samples times instructions) below which a pass stays on the calling thread. Measured on a Gaussian likelihood (Zen 5 server, 2026-11-22):
/// 100,000 samples, half a million here, take 41.7 us on one thread and 23.3 on two, so entering rayon costs about 2.5 us; at this threshold
/// one thread needs some 22 us.
const PARALLEL_WORK: usize = 1 << 18;

/// Leaves a thread computes in one wave of a pass with sums by groups. The bits don't depend on it: it bounds the memory held for terms.
const WAVE_LEAVES: usize = 2;

/// A pass ready to run.
pub struct CompiledPass<T> {
    /// What it does.
    pub kernels: PassKernels,
    executable: Twins<T>,
    /// Leaves in one call of it.
    leaves: usize,
    /// What finds the maxima that sums are relative to.
    ahead: Option<Ahead<T>>,
    combine: Combine,
    /// Samples in a leaf: [`LEAF`], or an aligned part of it.
    leaf: usize,
    cost: usize,
    /// The call stage's slots that the pass reads, in the order of its uniforms, and those its totals go to.
    uniforms: Places,
    results: Places,
    /// Whether some step writes per-sample results.
    pub writes_outputs: bool,
}

/// What a pass runs over: a range of whole columns, and the call stage's values.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, T> {
    /// In the order of the pass's columns; those of `rows` are empty here.
    pub columns: &'a [&'a [T]],
    /// Columns that are entries of rows, where there are any.
    pub rows: Option<LeafRows<'a, T>>,
    /// In the order of the pass's labels.
    pub labels: &'a [LabelColumn<'a>],
    /// In the order of its uniforms.
    pub uniforms: &'a [T],
    /// All of the call stage's values, for tables that labels index.
    pub slots: &'a [f64],
    /// The first sample.
    pub start: usize,
    /// How many.
    pub len: usize,
}

/// One thread's working memory.
pub struct Worker<T> {
    scratch: Scratches<T>,
    ahead: Option<ahead::Worker<T>>,
    sums: Vec<f64>,
    tree: Tree,
    columns: LeafColumns<T>,
}

/// What a pass gives: each accumulator's total, each group's sum, per-sample results.
#[derive(Debug)]
pub struct Results<'a, T> {
    /// In the order of the pass's accumulators.
    pub totals: &'a mut [f64],
    /// For each sum by groups a table, cleared before.
    pub groups: &'a mut [Vec<Carried>],
    /// For each per-sample result its samples.
    pub outputs: &'a mut [Vec<T>],
}

/// Workers of one pass over one binding, handed out without a lock.
pub struct Workers<T> {
    idle: ArrayQueue<Box<Worker<T>>>,
    /// Of the whole binding.
    samples: usize,
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("accumulators", &self.sums.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Workers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("idle", &self.idle.len()).field("samples", &self.samples).finish()
    }
}

impl<T> fmt::Debug for CompiledPass<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledPass").field("kernels", &self.kernels).field("leaf", &self.leaf).field("leaves", &self.leaves).finish_non_exhaustive()
    }
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
        let executable = Twins::new(&kernels, backend);
        let ahead = Ahead::new(&kernels, backend);
        let leaf = ahead.as_ref().map_or(LEAF, |_| ahead::leaf(kernels.columns.len() * size_of::<T>()));
        let writes_outputs = kernels.steps.iter().flat_map(|s| &s.insts).any(|i| matches!(i, Inst::Output(at, _) if (at.base as usize) < kernels.outputs));
        // Sums relative to a leaf's own maximum are made leaf by leaf.
        let leaves = if ahead.is_some() { 1 } else { executable.for_columns().leaves() };
        let (uniforms, results) =
            (Places::new(kernels.uniforms.iter().map(|slot| *slot as usize)), Places::new(kernels.accumulators.iter().map(|(_, slot)| *slot as usize)));
        CompiledPass {
            writes_outputs,
            cost: kernels.cost().max(1),
            combine: Combine::of(&kernels),
            executable,
            leaves,
            ahead,
            leaf,
            uniforms,
            results,
            kernels,
        }
    }

    /// Those of the pass's columns that are entries of rows; what runs over them is made ready.
    pub fn row_columns<'d>(&self, columns: impl Iterator<Item = Column<'d, T>>) -> Option<RowColumns<'d, T>> {
        let rows = RowColumns::new(columns)?;
        self.executable.ready_for_rows(&self.kernels);
        if let (Some(ahead), Some(kernels)) = (&self.ahead, &self.kernels.ahead) {
            ahead.executable.ready_for_rows(&kernels.maxima);
        }
        Some(rows)
    }

    /// Reads the pass's uniforms, as many as it has, from the slots.
    #[inline]
    pub fn read_uniforms(&self, slots: &[f64], uniforms: &mut [T]) {
        self.uniforms.read(slots, uniforms, T::from_f64);
    }

    /// Writes the pass's totals to the slots.
    #[inline]
    pub fn write_totals(&self, totals: &[f64], slots: &mut [f64]) {
        self.results.write(totals, slots);
    }

    /// What runs it.
    pub fn describe(&self) -> String {
        match &self.ahead {
            Some(ahead) => format!(
                "{}; maxima ahead, leaves of {} samples: {}",
                self.executable.for_columns().describe(),
                self.leaf,
                ahead.executable.for_columns().describe()
            ),
            None => self.executable.for_columns().describe(),
        }
    }

    /// Its machine code, if it has any; `columns` names the data.
    pub fn assembly(&self, columns: &[String]) -> Option<String> {
        let own = self.executable.for_columns().assembly(&self.kernels, columns)?;
        match (&self.ahead, &self.kernels.ahead) {
            (Some(ahead), Some(kernels)) => Some(format!("maxima ahead\n{}{own}", ahead.executable.for_columns().assembly(&kernels.maxima, columns)?)),
            _ => Some(own),
        }
    }

    /// Working memory for one thread, made anew.
    pub fn new_worker(&self, samples: usize) -> Worker<T> {
        Worker {
            scratch: self.executable.scratches(),
            ahead: self.ahead.as_ref().map(|ahead| ahead.new_worker(&self.kernels)),
            sums: vec![0.0; self.combine.width() * self.leaves],
            tree: Tree::new(self.combine.clone(), samples.div_ceil(self.leaf)),
            columns: LeafColumns::new(&self.kernels, samples),
        }
    }

    fn idle_worker(&self, workers: &Workers<T>) -> Box<Worker<T>> {
        workers.idle.pop().unwrap_or_else(|| Box::new(self.new_worker(workers.samples)))
    }

    /// Runs over the samples with the caller's worker, and others where threads pay. `partials` is room for chunks' partial results. The caller has
    /// set the floating-point environment ([`environment::with_default`]).
    #[inline]
    pub fn run(&self, data: Samples<'_, T>, own: &mut Worker<T>, workers: &Workers<T>, partials: &mut Vec<f64>, results: Results<'_, T>) {
        if results.outputs.is_empty() && !self.threads_pay(data.len) {
            self.run_chunk(data, own, results.totals, results.groups, &mut []);
        } else {
            self.run_all(data, own, workers, partials, results);
        }
    }

    fn threads_pay(&self, samples: usize) -> bool {
        samples.saturating_mul(self.cost) >= PARALLEL_WORK && samples > chunk_samples(samples) && rayon::current_num_threads() > 1
    }

    /// The same, of many samples or with per-sample results.
    fn run_all(&self, data: Samples<'_, T>, own: &mut Worker<T>, workers: &Workers<T>, partials: &mut Vec<f64>, results: Results<'_, T>) {
        let Results { totals, groups, outputs } = results;
        let samples = data.len;
        let mut slices: Vec<&mut [T]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        if !self.threads_pay(samples) {
            self.run_chunk(data, own, totals, groups, &mut slices);
            return;
        }
        if !groups.is_empty() {
            self.run_in_waves(data, own, workers, totals, groups, &mut slices);
            return;
        }
        let chunk = chunk_samples(samples);
        let part = |c: usize| Samples { start: c * chunk, len: chunk.min(samples - c * chunk), ..data };
        // A full queue of idle workers only means that this one is made anew another time.
        let run = |c: usize, row: &mut [f64], slices: &mut [&mut [T]]| {
            let mut worker = self.idle_worker(workers);
            environment::with_default(|| self.run_chunk(part(c), &mut worker, row, &mut [], slices));
            let _ = workers.idle.push(worker);
        };
        let width = self.combine.width();
        let chunks = samples.div_ceil(chunk);
        partials.resize(chunks * width, 0.0);
        if width == 0 || !slices.is_empty() {
            // Per-sample results: each chunk gets its part of every column.
            let mut parts: Vec<Vec<&mut [T]>> = (0..chunks).map(|_| Vec::with_capacity(slices.len())).collect();
            for column in slices {
                for (part, piece) in parts.iter_mut().zip(column.chunks_mut(chunk)) {
                    part.push(piece);
                }
            }
            let mut rows: Vec<&mut [f64]> = if width == 0 { (0..chunks).map(|_| Default::default()).collect() } else { partials.chunks_mut(width).collect() };
            rows.par_iter_mut().zip(parts.par_iter_mut()).enumerate().for_each(|(c, (row, part))| run(c, row, part));
        } else {
            partials.par_chunks_mut(width).enumerate().for_each(|(c, row)| run(c, row, &mut []));
        }
        if width > 0 {
            combine_chunks(&mut own.tree, partials, totals);
        }
    }

    /// One chunk's partial result: its leaves, combined, and their groups' terms added up.
    #[inline(always)]
    fn run_chunk(&self, data: Samples<'_, T>, worker: &mut Worker<T>, out: &mut [f64], groups: &mut [Vec<Carried>], outputs: &mut [&mut [T]]) {
        let Samples { start, len, .. } = data;
        if len <= self.leaf && len > 0 {
            self.run_leaves(data, worker, out, outputs);
            worker.columns.add_to(groups, &self.kernels, data.labels, start, len);
        } else {
            self.run_many(data, worker, out, groups, outputs);
        }
    }

    /// The same, of none or more than one.
    fn run_many(&self, data: Samples<'_, T>, worker: &mut Worker<T>, out: &mut [f64], groups: &mut [Vec<Carried>], outputs: &mut [&mut [T]]) {
        let Samples { start, len, .. } = data;
        // Rows come tile by tile, to one leaf at a time.
        let run = if data.rows.is_some() { self.leaf } else { self.leaves * self.leaf };
        let mut sums = std::mem::take(&mut worker.sums);
        worker.tree.clear();
        let mut done = 0;
        while done < len {
            let n = run.min(len - done);
            // A leaf is a power of two.
            let leaves = ((n - 1) >> self.leaf.trailing_zeros()) + 1;
            let rows = &mut sums[..leaves * self.combine.width()];
            let part = Samples { start: start + done, len: n, ..data };
            if outputs.is_empty() {
                self.run_leaves(part, worker, rows, &mut []);
            } else {
                let mut parts: Vec<&mut [T]> = outputs.iter_mut().map(|o| &mut o[done..done + n]).collect();
                self.run_leaves(part, worker, rows, &mut parts);
            }
            worker.tree.combine_run(leaves, rows, out);
            // A run of leaves is a node of the tree, as a leaf is.
            if len > run {
                worker.tree.push(out);
            }
            worker.columns.add_to(groups, &self.kernels, data.labels, start + done, n);
            done += n;
        }
        worker.sums = sums;
        if len == 0 || len > run {
            worker.tree.finish(out);
        }
    }

    /// As many leaves as the executable takes in one call, at most: their accumulators into `sums`, a row for each, groups' terms into the worker's
    /// columns.
    #[inline(always)]
    fn run_leaves(&self, data: Samples<'_, T>, worker: &mut Worker<T>, sums: &mut [f64], outputs: &mut [&mut [T]]) {
        let Worker { scratch, ahead, columns: made, .. } = worker;
        let Samples { columns, rows, labels, uniforms, slots, start, len } = data;
        made.fill(&self.kernels, labels, slots, start, len);
        let mut leaf = Leaf { columns, rows, made: &made.made, start, len, uniforms, outputs, terms: &mut made.terms };
        match (&self.ahead, ahead) {
            (Some(own), Some(worker)) => own.run(&self.executable, &mut leaf, scratch, worker, sums),
            _ => self.executable.run_here(&mut leaf, scratch, sums),
        }
    }

    /// A pass with sums by groups, on several threads: waves of leaves, each computed in parallel while the one before it is added up in order.
    fn run_in_waves(
        &self,
        data: Samples<'_, T>,
        own: &mut Worker<T>,
        workers: &Workers<T>,
        totals: &mut [f64],
        groups: &mut [Vec<Carried>],
        outputs: &mut [&mut [T]],
    ) {
        let leaves = data.len.div_ceil(self.leaf);
        // The outputs' samples leaf by leaf.
        let mut parts: Vec<Vec<&mut [T]>> = (0..leaves).map(|_| Vec::new()).collect();
        for column in outputs {
            for (part, piece) in parts.iter_mut().zip(column.chunks_mut(self.leaf)) {
                part.push(piece);
            }
        }
        let width = (WAVE_LEAVES * rayon::current_num_threads()).min(leaves);
        let wave = || (0..width).map(|_| self.idle_worker(workers)).collect::<Vec<_>>();
        let (mut ahead, mut behind) = (wave(), wave());
        let leaf = |k: usize| Samples { start: data.start + k * self.leaf, len: self.leaf.min(data.len - k * self.leaf), ..data };
        own.tree.clear();
        let mut waves = parts.chunks_mut(width).enumerate().map(|(w, parts)| (w * width, parts));
        let compute = |wave: &mut Vec<Box<Worker<T>>>, (first, parts): (usize, &mut [Vec<&mut [T]>])| {
            wave.par_iter_mut().zip(parts).enumerate().for_each(|(k, (worker, part))| {
                let mut sums = std::mem::take(&mut worker.sums);
                environment::with_default(|| self.run_leaves(leaf(first + k), worker, &mut sums[..self.combine.width()], part));
                worker.sums = sums;
            });
        };
        let mut add_up = |wave: &mut Vec<Box<Worker<T>>>, first: usize, count: usize| {
            for (k, worker) in wave.iter_mut().take(count).enumerate() {
                own.tree.push(&mut worker.sums[..self.combine.width()]);
                let part = leaf(first + k);
                worker.columns.add_to(groups, &self.kernels, part.labels, part.start, part.len);
            }
        };
        let mut done: Option<(usize, usize)> = None;
        loop {
            let next = waves.next();
            let coming = next.as_ref().map(|(first, parts)| (*first, parts.len()));
            rayon::join(
                || {
                    if let Some((first, count)) = done {
                        environment::with_default(|| add_up(&mut behind, first, count));
                    }
                },
                || {
                    if let Some(next) = next {
                        compute(&mut ahead, next);
                    }
                },
            );
            if coming.is_none() {
                break;
            }
            done = coming;
            std::mem::swap(&mut ahead, &mut behind);
        }
        own.tree.finish(totals);
        for worker in ahead.into_iter().chain(behind) {
            let _ = workers.idle.push(worker);
        }
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
