//! What a training shows its observers, and how it says that it ended.

use crate::real::Real;
use crate::runtime::params::{Grad, Params};

/// What an observer sees in each step, before the step's update.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'p, T: Real = f64> {
    /// The step, from 1.
    pub step: u64,
    /// The step at which the run ends if nothing ends it before.
    pub last_step: u64,
    /// The epoch, from 1; in a training without batches each step is one.
    pub epoch: u64,
    /// The loss at `theta`, over the step's batch.
    pub loss: T,
    /// The parameters.
    pub theta: &'p Params<T>,
    /// The gradient at `theta`, over the step's batch and not clipped.
    pub grad: &'p Grad<T>,
    /// The learning rate of this step's update.
    pub learning_rate: f64,
}

impl<T: Real> Progress<'_, T> {
    /// The Euclidean norm of the gradient.
    pub fn grad_norm(&self) -> f64 {
        self.grad.norm()
    }
}

/// What an observer sees at the end of each epoch, after its last update.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EpochEnd<'p, T: Real = f64> {
    /// The epoch, from 1.
    pub epoch: u64,
    /// The last step taken.
    pub step: u64,
    /// The mean of the losses of the epoch's batches, each before its update, weighted by their numbers of samples.
    pub loss: f64,
    /// The validation loss, if one was evaluated after the last update.
    pub validation: Option<T>,
    /// The parameters.
    pub theta: &'p Params<T>,
    /// The learning rate of the last update.
    pub learning_rate: f64,
}

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Stop {
    /// All steps, or all epochs, were taken.
    Steps,
    /// The loss settled: see [`Training::tolerance`](super::Training::tolerance).
    Tolerance,
    /// An observer broke off.
    Observer,
    /// The validation loss has stopped falling: see [`Training::early_stopping`](super::Training::early_stopping).
    EarlyStopping,
    /// The receiver of checkpoints broke off: the run hasn't ended, and goes on when [`Training::run`](super::Training::run) is called again.
    Paused,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Outcome<T: Real = f64> {
    /// How many steps this run evaluated; of a run that was paused or resumed, those before that too.
    pub steps: u64,
    /// The loss of the last of them, before its update. Where a step's observer or the tolerance ended the run, there was no update, and the parameters
    /// are where this loss was evaluated; otherwise they are one update further. With early stopping they are the best ones in any case.
    pub loss: T,
    /// Why it ended.
    pub reason: Stop,
}
