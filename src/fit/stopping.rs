//! Early stopping: a validation loss watched in the course of a training, the best parameters kept.

use super::stepper::{bad, not_negative};
use crate::error::{NonFinite, Result};
use crate::real::Real;
use crate::runtime::params::Params;
use crate::runtime::program::Bound;
use std::fmt;

/// What a training is held against: samples it doesn't train on.
pub(super) trait Validation<T: Real> {
    fn value(&self, theta: &Params<T>) -> Result<T>;
    fn report(&self, theta: &Params<T>) -> Result<Option<NonFinite>>;
}

impl<T: Real> Validation<T> for Bound<'_, T> {
    fn value(&self, theta: &Params<T>) -> Result<T> {
        Bound::value(self, theta)
    }
    fn report(&self, theta: &Params<T>) -> Result<Option<NonFinite>> {
        self.find_non_finite(theta)
    }
}

/// Watches a validation loss, stops a training when it has stopped falling, and keeps the best parameters: see
/// [`Training::early_stopping`](super::Training::early_stopping).
///
/// The loss is the value of a binding, usually of the same program to samples that are held out; it may be another program of the same parameters. Of it
/// only the value is computed. An evaluation improves if it is below the best so far by more than `min_delta`; when `patience` evaluations in a row
/// haven't, the training stops. A training that ends, for whatever reason, ends at the best parameters.
///
/// ```
/// use tapeless::fit::{EarlyStopping, Sgd, Stop, Training};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().mean().compile()?;
/// let data = program.bind([("x", &[2.0, 3.0, 4.0])])?;
/// let held_out = program.bind([("x", &[2.0])])?;
/// let mut theta = program.zeros();
/// let mut training = Training::new(&data, Sgd::new(0.05)).early_stopping(EarlyStopping::new(&held_out).patience(3));
/// assert_eq!(training.run(&mut theta)?.reason, Stop::EarlyStopping);
/// assert!((theta.scalar("w")? - 2.0).abs() < 0.06);       // where the way to 3 passes 2
/// # Ok(())
/// # }
/// ```
pub struct EarlyStopping<'a, T: Real = f64> {
    validation: &'a dyn Validation<T>,
    every: Option<u64>,
    patience: u64,
    min_delta: f64,
    /// Evaluations in a row without an improvement.
    pub(super) stale: u64,
    /// The lowest value, its step, and the parameters there.
    pub(super) best: Option<(T, u64, Params<T>)>,
    /// Whether the present parameters have been evaluated.
    pub(super) fresh: bool,
}

impl<T: Real> fmt::Debug for EarlyStopping<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EarlyStopping {{ patience: {}, min_delta: {}, every: {:?}, stale: {} }}", self.patience, self.min_delta, self.every, self.stale)
    }
}

impl<'a, T: Real> EarlyStopping<'a, T> {
    /// Evaluates at the end of each epoch; stops after 10 evaluations in a row without any improvement.
    pub fn new(validation: &'a Bound<'_, T>) -> Self {
        EarlyStopping { validation, every: None, patience: 10, min_delta: 0.0, stale: 0, best: None, fresh: false }
    }

    /// Evaluates after each `steps` steps (at least 1) and not at the end of each epoch.
    pub fn every(mut self, steps: u64) -> Self {
        self.every = Some(steps);
        self
    }

    /// After how many evaluations in a row without an improvement it stops (at least 1; default 10).
    pub fn patience(mut self, patience: u64) -> Self {
        self.patience = patience;
        self
    }

    /// By how much an evaluation must be below the best to be an improvement (finite, at least 0; default 0).
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.patience == 0 || self.every == Some(0) {
            let name = if self.patience == 0 { "early_stopping patience" } else { "early_stopping every" };
            return Err(bad(name, "must be at least 1".into()));
        }
        not_negative::<T>("early_stopping min_delta", self.min_delta)
    }

    pub(super) fn settings(&self) -> [(String, f64); 3] {
        let every = self.every.unwrap_or(0) as f64;
        [("every", every), ("patience", self.patience as f64), ("min_delta", self.min_delta)].map(|(name, x)| (format!("early_stopping {name}"), x))
    }

    /// Whether an evaluation is due after this step.
    pub(super) fn due(&self, step: u64, ends_epoch: bool) -> bool {
        self.every.map_or(ends_epoch, |every| step.is_multiple_of(every))
    }

    /// Evaluates; keeps the parameters if they are the best so far. The value may be one that isn't finite: then nothing is kept.
    pub(super) fn evaluate(&mut self, step: u64, theta: &Params<T>) -> Result<T> {
        let value = self.validation.value(theta)?;
        self.fresh = true;
        match &mut self.best {
            _ if !value.is_finite() => {}
            Some((best, at, params)) if value.to_f64() < best.to_f64() - self.min_delta => {
                (*best, *at, self.stale) = (value, step, 0);
                params.values_mut().copy_from_slice(theta.values());
            }
            Some(_) => self.stale = self.stale.saturating_add(1),
            none => (*none, self.stale) = (Some((value, step, theta.clone())), 0),
        }
        Ok(value)
    }

    pub(super) fn report(&self, theta: &Params<T>) -> Result<Option<NonFinite>> {
        self.validation.report(theta)
    }

    /// Whether it is time to stop.
    pub(super) fn exhausted(&self) -> bool {
        self.stale >= self.patience
    }
}
