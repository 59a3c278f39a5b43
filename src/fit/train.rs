//! The training loop: evaluate, check, record, observe, update; stops when told, when the loss settles, or at the first number that isn't finite.

use super::history::History;
use super::stepper::{Stepper, bad};
use crate::error::{Error, NonFinite, Result};
use crate::real::Real;
use crate::runtime::params::{Grad, Params};
use crate::runtime::program::Bound;
use std::ops::ControlFlow;

/// What an observer sees in each step, before the step's update.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'p, T: Real = f64> {
    /// The step, from 1.
    pub step: u64,
    /// The loss at `theta`.
    pub loss: T,
    /// The parameters.
    pub theta: &'p Params<T>,
    /// The gradient at `theta`.
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

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Stop {
    /// All steps were taken.
    Steps,
    /// The loss settled: see [`Training::tolerance`].
    Tolerance,
    /// The observer broke off.
    Observer,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Outcome<T: Real = f64> {
    /// How many steps this run evaluated.
    pub steps: u64,
    /// The loss of the last of them, before its update. With [`Stop::Steps`] the parameters are one update further; otherwise they are where this
    /// loss was evaluated.
    pub loss: T,
    /// Why it ended.
    pub reason: Stop,
}

type Observer<'a, T> = Box<dyn FnMut(&Progress<'_, T>) -> ControlFlow<()> + 'a>;

/// A training loop over bound data: full-batch steps of a [`Stepper`].
///
/// Step `t = 1, 2, ...` is: evaluate loss and gradient at `theta`; check that both are finite; record; show the observer; update `theta`. So the
/// loss recorded for step `t` is the loss *before* its update, as loops written in PyTorch print it.
///
/// Beside what the history keeps, a step in the steady state allocates nothing.
///
/// ```
/// use tapeless::fit::{Sgd, Stop, Training};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y, w, b) = (g.data("x"), g.data("y"), g.param("w"), g.param("b"));
/// let program = (w * x + b - y).square().mean().compile()?;
/// let data = program.bind([("x", &[0.0, 1.0, 2.0, 3.0]), ("y", &[1.0, 3.0, 5.0, 7.0])])?;
/// let mut theta = program.zeros();
///
/// let mut training = Training::new(&data, Sgd::new(0.1).momentum(0.5)).steps(2000).record_every(10);
/// let outcome = training.run(&mut theta)?;
/// assert_eq!((outcome.reason, outcome.steps), (Stop::Steps, 2000));
/// assert!((theta.scalar("w")? - 2.0).abs() < 1e-9 && (theta.scalar("b")? - 1.0).abs() < 1e-9);
/// println!("{}", training.history());
/// # Ok(())
/// # }
/// ```
///
/// When a loss or a gradient isn't finite, the run ends with a report of the operation that made it:
///
/// ```
/// use tapeless::fit::{Sgd, Training};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w * x).exp().sum().compile()?;
/// let data = program.bind([("x", &[-1.0, 2.0])])?;
/// let mut theta = program.params([("w", 3.0)])?;
/// let mut training = Training::new(&data, Sgd::new(1.0));
/// let error = training.run(&mut theta).unwrap_err();
/// let tapeless::Error::NonFinite(report) = error else { panic!("{error}") };
/// assert_eq!((report.node.as_str(), report.sample, report.step), ("exp", Some(0), Some(2)));
/// assert_eq!(theta.scalar("w")?, 3.0); // the last point at which all was finite
/// assert!(training.failed_at().is_some_and(|bad| bad.values()[0] < -800.0));
/// assert_eq!(training.history().len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Training<'a, 'd, T: Real, S> {
    bound: &'a Bound<'d, T>,
    stepper: S,
    steps: u64,
    tolerance: Option<f64>,
    patience: u64,
    record_every: u64,
    record_params: bool,
    observer: Option<Observer<'a, T>>,
    schedule: Option<Box<dyn FnMut(u64) -> f64 + 'a>>,
    history: History<T>,
    failed_at: Option<Params<T>>,
    /// The last step taken; the next is one more.
    done: u64,
}

impl<'a, 'd, T: Real, S: Stepper<T>> Training<'a, 'd, T, S> {
    /// A loop of 1000 steps with this stepper (or a `&mut` to it) that records every step and doesn't stop early.
    pub fn new(bound: &'a Bound<'d, T>, stepper: S) -> Self {
        Training {
            bound,
            stepper,
            steps: 1000,
            tolerance: None,
            patience: 5,
            record_every: 1,
            record_params: false,
            observer: None,
            schedule: None,
            history: History::new(),
            failed_at: None,
            done: 0,
        }
    }

    /// How many steps a run takes at most (at least 1; default 1000).
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Stops when the loss settles: at step `t`, if `|loss[t] - loss[t-1]| <= tolerance * max(|loss[t]|, |loss[t-1]|)` held there and in the steps
    /// just before it, [`Training::patience`] steps in a row, all of one run. The last of these steps has no update (finite, at least 0;
    /// by default a run doesn't stop so). A loss that goes to 0 by a constant factor never settles in this sense.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// In how many steps in a row the loss must be within the tolerance (at least 1; default 5): steppers with momentum overshoot, and the loss stands still
    /// for a step where they turn.
    pub fn patience(mut self, patience: u64) -> Self {
        self.patience = patience;
        self
    }

    /// Records step 1, every step that is a multiple of this, and the last of a run (default 1: all; 0: none).
    pub fn record_every(mut self, every: u64) -> Self {
        self.record_every = every;
        self
    }

    /// Records the parameters too (default off); takes effect if nothing is recorded yet.
    pub fn record_params(mut self, record: bool) -> Self {
        self.record_params = record;
        self
    }

    /// Shows each step to this closure, before the step's update. `ControlFlow::Break(())` ends the run there, without the update.
    pub fn observe(mut self, observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()> + 'a) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Sets the learning rate of each step: a function of the step, from 1 (by default it stays what the stepper has).
    pub fn learning_rate(mut self, schedule: impl FnMut(u64) -> f64 + 'a) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// The number of the next step, where a training goes on that was saved (default 1).
    pub fn first_step(mut self, step: u64) -> Self {
        self.done = step.saturating_sub(1);
        self
    }

    /// Trains from `theta`, in place. A further run goes on from there, with its steps numbered on and recorded in the same history.
    ///
    /// # Errors
    /// [`Error::NonFinite`] at the first step whose loss or gradient isn't finite, with a report of the operation that made it (see
    /// [`Bound::find_non_finite`]), or whose update made a finite parameter infinite or NaN. `theta` is then the last point at which loss and gradient were
    /// finite (the first point, if they never were), the offending one is in [`Training::failed_at`], and the history is kept; the stepper has taken the
    /// step that led to the offending point.
    ///
    /// [`Error::Setting`] for settings out of their range, the stepper's included; [`Error::Layout`] for parameters of another program.
    pub fn run(&mut self, theta: &mut Params<T>) -> Result<Outcome<T>> {
        self.check()?;
        self.failed_at = None;
        if self.record_params {
            self.history.with_params(theta.layout());
        }
        let mut grad = self.bound.program().grad_zeros();
        let mut good = theta.clone();
        let mut settling = Settling { previous: None, calm: 0 };
        let mut taken = 0;
        loop {
            let step = self.done.saturating_add(1);
            let loss = self.bound.value_and_grad_into(theta, &mut grad)?;
            if !loss.is_finite() || !grad.is_finite() {
                let report = self.report(theta, loss, &grad)?;
                return Err(self.fail(report, step, theta, &good));
            }
            taken += 1;
            good.values_mut().copy_from_slice(theta.values());
            if let Some(schedule) = &mut self.schedule {
                self.stepper.set_learning_rate(schedule(step));
            }
            let progress = Progress { step, loss, theta, grad: &grad, learning_rate: self.stepper.learning_rate() };
            let observed = self.observer.as_mut().is_some_and(|observe| observe(&progress).is_break());
            let settled = self.tolerance.is_some_and(|tolerance| settling.next(loss.to_f64(), tolerance) >= self.patience);
            let stop = match (observed, settled) {
                (true, _) => Some(Stop::Observer),
                (false, true) => Some(Stop::Tolerance),
                (false, false) => (taken == self.steps).then_some(Stop::Steps),
            };
            if self.record_every > 0 && (step == 1 || step.is_multiple_of(self.record_every) || stop.is_some()) {
                self.history.push(step, loss, grad.norm(), theta.values());
            }
            if matches!(stop, None | Some(Stop::Steps)) {
                self.stepper.step(theta, &grad)?;
                if let Some(report) = overshot(&good, theta, &grad) {
                    return Err(self.fail(report, step, theta, &good));
                }
            }
            self.done = step;
            if let Some(reason) = stop {
                return Ok(Outcome { steps: taken, loss, reason });
            }
        }
    }

    /// What was recorded, in all runs.
    pub fn history(&self) -> &History<T> {
        &self.history
    }

    /// The point whose loss or gradient was not finite, if the last run ended so.
    pub fn failed_at(&self) -> Option<&Params<T>> {
        self.failed_at.as_ref()
    }

    /// The stepper.
    pub fn stepper(&self) -> &S {
        &self.stepper
    }

    /// The stepper, to change its learning rate or to restore it.
    pub fn stepper_mut(&mut self) -> &mut S {
        &mut self.stepper
    }

    fn check(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(bad("steps", "must be at least 1".into()));
        }
        if self.patience == 0 {
            return Err(bad("patience", "must be at least 1".into()));
        }
        match self.tolerance {
            Some(t) if !(t >= 0.0 && t.is_finite()) => Err(bad("tolerance", format!("must be finite and at least 0, but is {t}"))),
            _ => Ok(()),
        }
    }

    /// Which operation made a loss or gradient that isn't finite.
    fn report(&self, theta: &Params<T>, loss: T, grad: &Grad<T>) -> Result<NonFinite> {
        if let Some(report) = self.bound.find_non_finite(theta)? {
            return Ok(report);
        }
        // The kernels' arithmetic may leave the range where that of the search, operation by operation in another order, doesn't.
        let plain = |node: String, inputs, value: T| NonFinite { node, place: None, sample: None, step: None, inputs, value: value.to_f64() };
        let position = grad.values().iter().position(|g| !g.is_finite());
        Ok(match position.filter(|_| loss.is_finite()) {
            Some(k) => plain(format!("gradient by {}", entry(grad, k)), vec![("loss".into(), loss.to_f64())], grad.values()[k]),
            None => plain("loss".into(), Vec::new(), loss),
        })
    }

    /// Keeps the offending point, goes back to the last good one, and gives the error.
    fn fail(&mut self, mut report: NonFinite, step: u64, theta: &mut Params<T>, good: &Params<T>) -> Error {
        report.step = Some(step);
        self.failed_at = Some(theta.clone());
        theta.values_mut().copy_from_slice(good.values());
        Error::NonFinite(Box::new(report))
    }
}

/// How long the loss has been within the tolerance.
struct Settling {
    previous: Option<f64>,
    calm: u64,
}

impl Settling {
    /// In how many steps up to this one, in a row, the loss changed by no more than the tolerance.
    fn next(&mut self, loss: f64, tolerance: f64) -> u64 {
        let within = |before: f64| (loss - before).abs() <= tolerance * loss.abs().max(before.abs());
        self.calm = if self.previous.is_some_and(within) { self.calm + 1 } else { 0 };
        self.previous = Some(loss);
        self.calm
    }
}

/// The first parameter that was finite before the update and isn't after.
fn overshot<T: Real>(before: &Params<T>, after: &Params<T>, grad: &Grad<T>) -> Option<NonFinite> {
    let k = before.values().iter().zip(after.values()).position(|(b, a)| b.is_finite() && !a.is_finite())?;
    let (name, e) = after.layout().at(k)?;
    let g = grad.layout().range(name).map(|range| grad.values()[range.start + e].to_f64());
    let inputs = std::iter::once(("before".to_string(), before.values()[k].to_f64())).chain(g.map(|g| ("gradient".to_string(), g))).collect();
    let node = format!("update of {}", entry(after, k));
    Some(NonFinite { node, place: None, sample: None, step: None, inputs, value: after.values()[k].to_f64() })
}

/// The name of the number at a position, as messages print it.
fn entry<T: Real>(params: &Params<T>, position: usize) -> String {
    match params.layout().at(position) {
        Some((name, e)) if params.get(name).is_ok_and(|numbers| numbers.len() > 1) => format!("param `{name}` entry {e}"),
        Some((name, _)) => format!("param `{name}`"),
        None => format!("number {position}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_counts_steps_in_a_row() {
        let mut s = Settling { previous: None, calm: 0 };
        let counts = [1.0, 1.0, 1.1, 1.101, 1.101, 1.0, 0.0, 0.0].map(|loss| s.next(loss, 0.01));
        assert_eq!(counts, [0, 1, 0, 1, 2, 0, 0, 1]);
    }
}
