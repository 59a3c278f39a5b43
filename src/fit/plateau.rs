//! A learning rate that falls when the loss has stopped falling, as `torch.optim.lr_scheduler.ReduceLROnPlateau` defines it.

use super::stepper::bad;
use crate::error::Result;

/// A learning rate that is multiplied by a factor when the loss hasn't improved for a while: a [`Schedule`](super::Schedule) that watches the validation
/// loss, or without one the mean loss of each epoch.
///
/// The rules are those of `torch.optim.lr_scheduler.ReduceLROnPlateau` with `mode="min"` and `threshold_mode="rel"`, for each loss in turn:
///
/// ```text
/// if loss < best - threshold * |best|:  best = loss, bad = 0
/// else:                                 bad += 1
/// if cooling > 0:                       cooling -= 1, bad = 0
/// if bad > patience:                    lr = max(lr * factor, minimum), cooling = cooldown, bad = 0
/// ```
///
/// where a change of the rate by no more than 1e-8 isn't made. PyTorch has `best * (1 - threshold)`, which is the same for losses above 0 and would take a
/// loss a little worse for a better one below 0, where log-likelihoods often are.
///
/// ```
/// use tapeless::fit::{OnPlateau, Schedule};
/// let schedule: Schedule = OnPlateau::new(0.1).factor(0.5).patience(3).cooldown(2).minimum(1e-4).into();
/// assert!(schedule.check().is_ok());
/// assert_eq!(schedule.rate(0), 0.1);
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct OnPlateau {
    start: f64,
    factor: f64,
    patience: u64,
    cooldown: u64,
    minimum: f64,
    threshold: f64,
    pub(super) now: Plateau,
}

/// What the losses so far have made of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Plateau {
    pub(super) rate: f64,
    pub(super) best: f64,
    pub(super) bad: u64,
    pub(super) cooling: u64,
}

/// PyTorch's `eps`: a smaller change of the rate isn't made.
const LEAST: f64 = 1e-8;

impl OnPlateau {
    /// From this rate: by default multiplied by 0.1 after more than 10 losses without an improvement by 1e-4 of the best, no cooldown, no minimum.
    pub fn new(rate: f64) -> Self {
        let now = Plateau { rate, best: f64::INFINITY, bad: 0, cooling: 0 };
        OnPlateau { start: rate, factor: 0.1, patience: 10, cooldown: 0, minimum: 0.0, threshold: 1e-4, now }
    }

    /// What the rate is multiplied by (at least 0, below 1).
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How many losses without improvement are let pass: the rate falls at the next.
    pub fn patience(mut self, patience: u64) -> Self {
        self.patience = patience;
        self
    }

    /// After how many losses they count again when the rate has fallen.
    pub fn cooldown(mut self, cooldown: u64) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// The lowest rate.
    pub fn minimum(mut self, minimum: f64) -> Self {
        self.minimum = minimum;
        self
    }

    /// The share of the best loss by which another must be below it to be an improvement.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The present rate.
    pub fn rate(&self) -> f64 {
        self.now.rate
    }

    pub(super) fn observe(&mut self, loss: f64) {
        let now = &mut self.now;
        // Nothing is below infinity by a share of it: the first loss is compared by itself.
        if now.best == f64::INFINITY && loss < now.best || loss < now.best - self.threshold * now.best.abs() {
            (now.best, now.bad) = (loss, 0);
        } else {
            now.bad = now.bad.saturating_add(1);
        }
        if now.cooling > 0 {
            (now.cooling, now.bad) = (now.cooling - 1, 0);
        }
        if now.bad > self.patience {
            let lower = (now.rate * self.factor).max(self.minimum);
            if now.rate - lower > LEAST {
                now.rate = lower;
            }
            (now.cooling, now.bad) = (self.cooldown, 0);
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.factor < 1.0 { Ok(()) } else { Err(bad("schedule on_plateau factor", format!("must be below 1, but is {}", self.factor))) }
    }

    pub(super) fn settings(&self) -> Vec<(&'static str, f64)> {
        let whole = [("patience", self.patience as f64), ("cooldown", self.cooldown as f64)];
        let real = [("rate", self.start), ("factor", self.factor), ("minimum", self.minimum), ("threshold", self.threshold)];
        real.into_iter().chain(whole).collect()
    }
}
