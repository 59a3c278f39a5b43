//! What runs a pass: over columns, and over rows that come tile by tile.
//!
//! Native code that keeps its accumulators in registers over a whole leaf is the fastest for columns and can't stop between tiles. Then there are two executables of the
//! same kernels, which give the same bits; the second is compiled when the first rows are bound.

use crate::backend::{self, Backend, Executable, Leaf, Scratch};
use crate::kernel::ir::PassKernels;
use crate::real::Real;
use std::sync::OnceLock;

/// A pass's executables.
pub struct Twins<T> {
    columns: Box<dyn Executable<T>>,
    rows: OnceLock<Box<dyn Executable<T>>>,
    backend: Backend,
}

/// Their working memory on one thread.
pub struct Scratches<T> {
    columns: Scratch<T>,
    /// Made for the first leaf that needs it.
    rows: Option<Scratch<T>>,
}

impl<T: Real> Twins<T> {
    /// Prepares a pass for a backend.
    pub fn new(kernels: &PassKernels, backend: Backend) -> Self {
        Twins { columns: backend::prepare(backend, kernels), rows: OnceLock::new(), backend }
    }

    /// Makes what runs over rows ready, if it isn't. `kernels` is what this was prepared from.
    pub fn ready_for_rows(&self, kernels: &PassKernels) {
        if !self.columns.runs_by_tiles() {
            self.rows.get_or_init(|| backend::prepare(self.backend, &PassKernels { by_tiles: true, ..kernels.clone() }));
        }
    }

    /// Working memory for one thread.
    pub fn scratches(&self) -> Scratches<T> {
        Scratches { columns: self.columns.scratch(), rows: None }
    }

    /// The one for columns.
    pub fn for_columns(&self) -> &dyn Executable<T> {
        &*self.columns
    }

    /// Runs over a leaf, or over as many as the one for columns takes in one call, in the floating-point environment that is there.
    pub fn run_here(&self, leaf: &mut Leaf<'_, '_, T>, scratches: &mut Scratches<T>, sums: &mut [f64]) {
        if leaf.rows.is_none() || self.columns.runs_by_tiles() {
            self.columns.run_here(leaf, &mut scratches.columns, sums);
            return;
        }
        let rows = self.rows.get().expect("binding rows made it ready");
        rows.run_here(leaf, scratches.rows.get_or_insert_with(|| rows.scratch()), sums);
    }
}
