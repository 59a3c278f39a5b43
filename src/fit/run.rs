//! The training loop: choose a batch, evaluate, check, observe, record, clip, update, validate; stop when told, when a loss settles, or at the first
//! number that isn't finite.

use super::autosave::Autosave;
use super::checkpoint::Counts;
use super::clip::clip_norm;
use super::progress::{EpochEnd, Outcome, Progress, Stop};
use super::report;
use super::stepper::Stepper;
use super::train::{Limit, Rates, Training};
use crate::error::{Error, NonFinite, Result};
use crate::real::Real;
use crate::runtime::params::{Grad, Params};
use std::time::Instant;

impl<T: Real, S: Stepper<T>> Training<'_, '_, T, S> {
    /// Trains from `theta`, in place. A further run goes on from there, with its steps and epochs numbered on and recorded in the same history.
    ///
    /// # Errors
    /// [`Error::NonFinite`] at the first step whose loss or gradient isn't finite, with a report of the operation that made it (see
    /// [`crate::Bound::find_non_finite`](crate::Bound::find_non_finite)), whose update made a finite parameter infinite or NaN, or whose validation loss isn't finite. `theta` is then the last point at which loss and gradient were
    /// finite (the first point, if they never were), the offending one is in [`Training::failed_at`], and the history is kept; the stepper has taken the
    /// step that led to the offending point.
    ///
    /// [`Error::File`] where a checkpoint couldn't be written (see [`Training::checkpoint_to`]); a further run goes on with this one.
    ///
    /// [`Error::Setting`] for settings out of their range, the stepper's included; [`Error::Layout`] for parameters of another program.
    pub fn run(&mut self, theta: &mut Params<T>) -> Result<Outcome<T>> {
        self.check()?;
        self.prepare()?;
        (self.failed_at, self.paused) = (None, false);
        self.autosave.iter_mut().for_each(Autosave::begin);
        if self.record_params {
            self.history.with_params(theta.layout());
        }
        let outcome = self.go(theta);
        self.watches.iter_mut().for_each(|watch| watch.end());
        if !self.paused {
            self.counts = Counts::default();
            if let Some(stopping) = &mut self.stopping {
                stopping.stale = 0;
            }
        }
        outcome
    }

    fn go(&mut self, theta: &mut Params<T>) -> Result<Outcome<T>> {
        let per_epoch = self.per_epoch();
        let mut grad = self.bound.program().grad_zeros();
        let mut good = theta.clone();
        loop {
            let step = self.done.saturating_add(1);
            let (loss, samples) = self.evaluate(step, theta, &mut grad)?;
            if !loss.is_finite() || !grad.is_finite() {
                let report = report::evaluation(self.find(theta)?, loss, &grad);
                return Err(self.fail(report, step, theta, &good));
            }
            good.values_mut().copy_from_slice(theta.values());
            self.counts.steps = self.counts.steps.saturating_add(1);
            match &mut self.rates {
                Rates::Stepper => {}
                Rates::Function(rate) => self.stepper.set_learning_rate(rate(step)),
                Rates::Schedule(schedule) => self.stepper.set_learning_rate(schedule.rate(schedule.time(step, per_epoch))),
            }
            let learning_rate = self.stepper.learning_rate();
            let (epoch, ends_epoch) = ((step - 1) / per_epoch + 1, step.is_multiple_of(per_epoch));
            let progress = Progress { step, last_step: self.last_step(ends_epoch), epoch, loss, theta, grad: &grad, learning_rate };
            // All of them see the step, whatever the others say.
            let mut observed = false;
            self.watches.iter_mut().for_each(|watch| observed |= watch.step(&progress).is_break());
            let mut stop = match (observed, self.settled(loss)) {
                (true, _) => Some(Stop::Observer),
                (false, true) => Some(Stop::Tolerance),
                (false, false) => self.limit_reached(ends_epoch).then_some(Stop::Steps),
            };
            let updates = matches!(stop, None | Some(Stop::Steps));
            let mut recorded = self.record_every == 0;
            if !recorded && (step == 1 || step.is_multiple_of(self.record_every) || stop.is_some()) {
                self.history.push(step, loss, grad.norm(), theta.values());
                recorded = true;
            }
            let mut norm = None;
            if updates {
                norm = self.clip.map(|max| clip_norm(&mut grad, max)).transpose()?;
                self.stepper.step(theta, &grad)?;
                if let Some(report) = report::overshot(&good, theta, &grad) {
                    return Err(self.fail(report, step, theta, &good));
                }
            }
            self.done = step;
            self.tally.loss += loss.to_f64() * samples as f64;
            self.tally.samples = self.tally.samples.saturating_add(samples as u64);
            let mut validation = None;
            if let Some(stopping) = &mut self.stopping {
                stopping.fresh &= !updates;
                if updates && stopping.due(step, ends_epoch) {
                    validation = Some(self.validate(step, theta, &good)?);
                    stop = stop.or(self.stopping.as_ref().is_some_and(|s| s.exhausted()).then_some(Stop::EarlyStopping));
                }
            }
            let mean = self.tally.loss / self.tally.samples.max(1) as f64;
            if let Rates::Schedule(schedule) = &mut self.rates {
                let told = if self.stopping.is_some() { validation.map(|v| v.to_f64()) } else { ends_epoch.then_some(mean) };
                let t = schedule.time(step, per_epoch);
                told.into_iter().for_each(|loss| schedule.observe(t, loss));
            }
            if ends_epoch {
                self.counts.epochs = self.counts.epochs.saturating_add(1);
                self.tally = Default::default();
                let end = EpochEnd { epoch, step, loss: mean, validation, theta, learning_rate };
                if self.epoch_observer.as_mut().is_some_and(|observe| observe(&end).is_break()) {
                    stop = stop.or(Some(Stop::Observer));
                }
            }
            if stop.is_none() {
                self.write_if_due(theta)?;
            }
            if let (None, Some((every, _))) = (stop, &self.checkpoint)
                && step.is_multiple_of(*every)
            {
                let saved = self.save(theta);
                if self.checkpoint.as_mut().is_some_and(|(_, receive)| receive(&saved).is_break()) {
                    self.paused = true;
                    return Ok(Outcome { steps: self.counts.steps, loss, reason: Stop::Paused });
                }
            }
            if let Some(reason) = stop {
                if !recorded {
                    self.history.push(step, loss, norm.unwrap_or_else(|| grad.norm()), good.values());
                }
                self.end_at_best(theta, &good)?;
                return Ok(Outcome { steps: self.counts.steps, loss, reason });
            }
        }
    }

    /// Writes the checkpoint's file after a step, if it is due. Where that fails the run isn't over.
    fn write_if_due(&mut self, theta: &Params<T>) -> Result<()> {
        let Some(autosave) = self.autosave.as_ref().filter(|autosave| autosave.due(self.done)) else { return Ok(()) };
        let began = Instant::now();
        let written = self.save(theta).write(&autosave.path);
        self.autosave.iter_mut().for_each(|autosave| autosave.written(began));
        self.paused = written.is_err();
        written
    }

    /// Loss and gradient of a step, and over how many samples.
    fn evaluate(&mut self, step: u64, theta: &Params<T>, grad: &mut Grad<T>) -> Result<(T, usize)> {
        let Some(feed) = &mut self.feed else {
            return Ok((self.bound.value_and_grad_into(theta, grad)?, self.bound.samples()));
        };
        let samples = feed.bring(step)?;
        Ok((feed.batch.value_and_grad_into(theta, grad)?, samples))
    }

    fn find(&self, theta: &Params<T>) -> Result<Option<NonFinite>> {
        match &self.feed {
            Some(feed) => feed.batch.find_non_finite(theta),
            None => self.bound.find_non_finite(theta),
        }
    }

    /// Whether the loss has been within the tolerance for long enough.
    fn settled(&mut self, loss: T) -> bool {
        let Some(tolerance) = self.tolerance else { return false };
        let loss = loss.to_f64();
        let within = |before: f64| (loss - before).abs() <= tolerance * loss.abs().max(before.abs());
        self.counts.calm = if self.counts.loss.is_some_and(within) { self.counts.calm.saturating_add(1) } else { 0 };
        self.counts.loss = Some(loss);
        self.counts.calm >= self.patience
    }

    /// Whether the present step is the run's last.
    fn limit_reached(&self, ends_epoch: bool) -> bool {
        match self.limit {
            Limit::Steps(steps) => self.counts.steps >= steps,
            Limit::Epochs(epochs) => ends_epoch && self.counts.epochs.saturating_add(1) >= epochs,
        }
    }

    /// The step at which the run ends, if nothing ends it before; asked within the step after `done`, which has been counted.
    fn last_step(&self, ends_epoch: bool) -> u64 {
        let left = match self.limit {
            Limit::Steps(steps) => steps.saturating_sub(self.counts.steps),
            Limit::Epochs(epochs) => {
                let per_epoch = self.per_epoch();
                let more = epochs.saturating_sub(self.counts.epochs).saturating_sub(1);
                let in_this = if ends_epoch { 0 } else { per_epoch - (self.done + 1) % per_epoch };
                more.saturating_mul(per_epoch).saturating_add(in_this)
            }
        };
        self.done.saturating_add(1).saturating_add(left)
    }

    /// Evaluates the validation loss after a step.
    fn validate(&mut self, step: u64, theta: &mut Params<T>, good: &Params<T>) -> Result<T> {
        let Some(stopping) = &mut self.stopping else { return Ok(T::default()) };
        let value = stopping.evaluate(step, theta)?;
        if value.is_finite() {
            self.validations.push((step, value));
            return Ok(value);
        }
        let report = stopping.report(theta)?.unwrap_or_else(|| report::plain("validation loss".into(), Vec::new(), value));
        Err(self.fail(report, step, theta, good))
    }

    /// With early stopping, goes to the best parameters; the present ones are looked at too.
    fn end_at_best(&mut self, theta: &mut Params<T>, good: &Params<T>) -> Result<()> {
        if self.stopping.as_ref().is_some_and(|stopping| !stopping.fresh) {
            self.validate(self.done, theta, good)?;
        }
        if let Some((_, _, best)) = self.best() {
            theta.values_mut().copy_from_slice(best.values());
        }
        Ok(())
    }

    /// Keeps the offending point, goes back to the last good one, and gives the error.
    fn fail(&mut self, mut report: NonFinite, step: u64, theta: &mut Params<T>, good: &Params<T>) -> Error {
        report.step = Some(step);
        self.failed_at = Some(theta.clone());
        theta.values_mut().copy_from_slice(good.values());
        Error::NonFinite(Box::new(report))
    }
}
