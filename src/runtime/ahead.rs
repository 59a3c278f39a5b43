//! A leaf whose sums are relative to the largest exponent of its own samples (`schedule/relative.rs`), which isn't known before the samples were seen.
//!
//! Any shift will do as long as it is near: the sums are rescaled to the true one afterwards, by one `exp` a leaf. So a few samples of both ends of the leaf
//! are looked at first, the leaf's sums are made relative to the largest of these, and its true maximum beside them: one reading. Where the
//! ends differ much, the guess would be a bad one, and the leaf is looked through for its maximum first; where the guess was too far off after all,
//! the sums are made again. Both read the leaf's samples from the cache. What is done depends on the leaf's samples alone, so the
//! bits don't depend on threads or backend.

use super::LEAF;
use super::tree::{Factor, level};
use super::twins::{Scratches, Twins};
use crate::backend::{Backend, Leaf};
use crate::kernel::ir::{PassKernels, Shift};
use crate::real::Real;

/// Samples looked at, at either end.
const PROBE: usize = 32;
/// A leaf of at most so many samples is looked through at once.
const SHORT: usize = 4 * PROBE;
/// How far a shift may be off. A term `exp(x - shift)` has an error of up to `|x - shift| / 2` ulp from the difference, which is 4 ulp here at most; an
/// exact shift has none for the largest terms. Nothing overflows or is lost that far from it.
const NEAR: f64 = 8.0;
/// How far apart the two ends' maxima may be for a guess. Of independent normal exponents with standard deviation `s`, the maxima of 32 differ by `0.6 s`,
/// and the largest of 4096 lies `1.2 s` above the larger one.
const CALM: f64 = NEAR / 2.0;
/// Bytes of a leaf's columns that are still in the L2 cache when they are read again.
const TWICE_READ: usize = 512 << 10;
/// Samples in a leaf at least, so that its ends are a small part of it.
const SHORTEST_LEAF: usize = 1024;

/// Samples in a leaf with so many bytes a sample: a part of [`LEAF`] that depends on the pass only.
pub fn leaf(bytes: usize) -> usize {
    let mut leaf = LEAF;
    while leaf > SHORTEST_LEAF && leaf * bytes > TWICE_READ {
        leaf /= 2;
    }
    leaf
}

/// What finds maxima, and what is made of them.
pub struct Ahead<T> {
    /// Runs the kernels of the maxima alone.
    pub executable: Twins<T>,
    shifts: Vec<Shift>,
    /// Whether kernels read nothing that was made for the leaf from its first sample on, so that they can look at its end.
    ends: bool,
}

/// One thread's working memory.
pub struct Worker<T> {
    scratch: Scratches<T>,
    /// The maxima found at either end.
    first: Vec<f64>,
    last: Vec<f64>,
    /// The pass's uniforms with the shifts in their places.
    uniforms: Vec<T>,
    /// The shifts, as the sums have them.
    held: Vec<f64>,
}

impl<T: Real> Ahead<T> {
    /// Prepares what finds a pass's maxima, if some of its sums are relative to any.
    pub fn new(kernels: &PassKernels, backend: Backend) -> Option<Self> {
        let ahead = kernels.ahead.as_ref()?;
        Some(Ahead { executable: Twins::new(&ahead.maxima, backend), shifts: ahead.shifts.clone(), ends: kernels.made.is_empty() })
    }

    /// Working memory for one thread.
    pub fn new_worker(&self, kernels: &PassKernels) -> Worker<T> {
        let maxima = kernels.ahead.as_ref().map_or(0, |ahead| ahead.maxima.accumulators.len());
        Worker {
            scratch: self.executable.scratches(),
            first: vec![0.0; maxima],
            last: vec![0.0; maxima],
            uniforms: Vec::with_capacity(kernels.uniforms.len()),
            held: vec![0.0; self.shifts.len()],
        }
    }

    /// Runs a pass over a leaf: its sums are relative to its own maxima, which are beside them.
    #[inline(never)]
    pub fn run(&self, pass: &Twins<T>, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratches<T>, worker: &mut Worker<T>, sums: &mut [f64]) {
        self.guess(leaf, worker);
        let Worker { uniforms, held, .. } = worker;
        uniforms.clear();
        uniforms.extend_from_slice(leaf.uniforms);
        for (shift, by) in self.shifts.iter().zip(held.iter()) {
            shift.uniforms.iter().for_each(|at| uniforms[*at as usize] = T::from_f64(*by));
        }
        let mut run = |uniforms: &[T], sums: &mut [f64]| {
            let Leaf { columns, rows, made, start, len, outputs, terms, .. } = &mut *leaf;
            let mut leaf = Leaf { columns, rows: *rows, made, start: *start, len: *len, uniforms, outputs, terms };
            pass.run_here(&mut leaf, scratch, sums);
        };
        run(uniforms, sums);
        let mut far = false;
        for (shift, by) in self.shifts.iter().zip(held.iter_mut()) {
            let top = top(shift, sums);
            if (top - *by).abs() > NEAR {
                far = true;
                *by = top;
                shift.uniforms.iter().for_each(|at| uniforms[*at as usize] = T::from_f64(top));
            }
        }
        if far {
            run(uniforms, sums);
        }
        for (shift, by) in self.shifts.iter().zip(held.iter()) {
            let factor = Factor::between(*by, top(shift, sums));
            shift.sums.iter().for_each(|sum| sums[*sum as usize] = factor.of(sums[*sum as usize]));
        }
    }

    /// Shifts that are probably near: `held`.
    fn guess(&self, leaf: &Leaf<'_, '_, T>, worker: &mut Worker<T>) {
        let Worker { scratch, first, last, held, .. } = worker;
        let mut look = |start: usize, len: usize, maxima: &mut [f64]| {
            let Leaf { columns, rows, made, uniforms, .. } = *leaf;
            self.executable.run_here(&mut Leaf { columns, rows, made, start, len, uniforms, outputs: &mut [], terms: &mut [] }, scratch, maxima);
        };
        let of = |shift: &Shift, maxima: &[f64]| level(shift.tops.iter().map(|(_, top)| maxima[*top as usize]));
        let mut calm = self.ends && leaf.len > SHORT;
        if calm {
            look(leaf.start, PROBE, first);
            look(leaf.start + leaf.len - PROBE, PROBE, last);
            calm = self.shifts.iter().all(|shift| (of(shift, first) - of(shift, last)).abs() <= CALM);
        }
        if !calm {
            look(leaf.start, leaf.len, first);
        }
        for (shift, by) in self.shifts.iter().zip(held) {
            *by = if calm { of(shift, first).max(of(shift, last)) } else { of(shift, first) };
        }
    }
}

/// The shift that belongs to the maxima beside the sums.
fn top(shift: &Shift, sums: &[f64]) -> f64 {
    level(shift.tops.iter().map(|(top, _)| sums[*top as usize]))
}
