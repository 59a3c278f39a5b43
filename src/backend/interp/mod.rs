//! The portable tile interpreter. A kernel becomes a list of operations over tiles of samples that stay in the L1 cache; each operation is
//! a plain loop that the Rust compiler vectorises for several CPU levels, one of which is chosen at run time.

mod exec;
mod level;
mod loops;
#[cfg(target_arch = "x86_64")]
mod shuffle;
mod tile;
mod transpose;

use super::{Executable, Leaf, Scratch, combine_lanes};
use crate::graph::Fold;
use crate::kernel::ir::PassKernels;
use crate::real::Real;
pub(crate) use level::Level;
use std::fmt;
use tile::TileProgram;
pub(super) use transpose::Run;

/// A pass prepared for the interpreter.
pub struct Interp<T> {
    program: TileProgram<T>,
    level: Level,
    /// The backend it stands in for, and why.
    instead: Option<String>,
}

impl<T> fmt::Debug for Interp<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interp").field("level", &self.level).field("instead", &self.instead).finish_non_exhaustive()
    }
}

impl<T: Real> Interp<T> {
    /// Prepares a pass that another backend was asked for and can't run.
    pub fn instead_of(pass: &PassKernels, other: &str, why: &str) -> Self {
        Interp { instead: Some(format!(" instead of {other}: {why}")), ..Self::new(pass) }
    }

    /// Prepares a pass for the best CPU level there is.
    pub fn new(pass: &PassKernels) -> Self {
        Self::at_level(pass, Level::best())
    }

    fn at_level(pass: &PassKernels, level: Level) -> Self {
        Interp { program: TileProgram::new(pass), level, instead: None }
    }

    /// One for each CPU level this machine has: for tests that hold them against each other.
    pub fn at_every_level(pass: &PassKernels) -> Vec<Self> {
        Level::all().into_iter().map(|level| Self::at_level(pass, level)).collect()
    }
}

impl<T: Real> Executable<T> for Interp<T> {
    fn scratch(&self) -> Scratch<T> {
        Scratch {
            registers: (0..self.program.registers).map(|_| vec![T::default(); self.program.tile].into_boxed_slice()).collect(),
            lanes: vec![T::default(); self.program.lanes * self.program.folds.len()],
            words: Vec::new(),
            rows: Vec::new(),
        }
    }

    fn run_here(&self, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>, sums: &mut [f64]) {
        let lanes = self.program.lanes;
        for (fold, held) in self.program.folds.iter().zip(scratch.lanes.chunks_exact_mut(lanes)) {
            held.fill(T::from_f64(fold.identity()));
        }
        exec::run(self.level, &self.program, leaf, scratch);
        for ((fold, held), sum) in self.program.folds.iter().zip(scratch.lanes.chunks_exact(lanes)).zip(sums) {
            // The common folds get a loop of their own length.
            *sum = match (*fold, lanes) {
                (Fold::Sum, 32) => sum_lanes::<T, 32>(held),
                (Fold::Sum, 16) => sum_lanes::<T, 16>(held),
                (Fold::Sum, 8) => sum_lanes::<T, 8>(held),
                _ => combine_lanes(*fold, held),
            };
        }
    }

    fn describe(&self) -> String {
        let instead = self.instead.as_deref().unwrap_or_default();
        format!("interp ({}), tiles of {} samples, {} registers{instead}", self.level.name(), self.program.tile, self.program.registers)
    }
}

/// [`combine_lanes`] for sums of a known number of lanes.
fn sum_lanes<T: Real, const L: usize>(lanes: &[T]) -> f64 {
    let mut held = [0.0f64; L];
    for (h, l) in held.iter_mut().zip(lanes) {
        *h = l.to_f64();
    }
    let mut n = L;
    while n > 1 {
        n /= 2;
        for k in 0..n {
            held[k] += held[k + n];
        }
    }
    held[0]
}
