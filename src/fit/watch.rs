//! What sees the steps of a training.

use super::progress::Progress;
use crate::real::Real;
use std::ops::ControlFlow;

/// Sees each step of a run, and its end: see [`Training::watch`](super::Training::watch).
pub trait Watch<T: Real> {
    /// A step, before its update. `ControlFlow::Break(())` ends the run there, without the update.
    fn step(&mut self, progress: &Progress<'_, T>) -> ControlFlow<()>;

    /// The run has ended, however it did.
    fn end(&mut self) {}
}

/// A closure that sees the steps.
pub(super) struct Observer<F>(pub(super) F);

impl<T: Real, F: FnMut(&Progress<'_, T>) -> ControlFlow<()>> Watch<T> for Observer<F> {
    fn step(&mut self, progress: &Progress<'_, T>) -> ControlFlow<()> {
        (self.0)(progress)
    }
}
