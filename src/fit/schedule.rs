//! Learning-rate schedules: the rate as a function of the step or epoch, and one that follows the loss.

use super::plateau::OnPlateau;
use super::stepper::bad;
use crate::error::Result;

/// A learning rate that changes in the course of a training: see [`Training::schedule`](super::Training::schedule).
///
/// With rate `r` and time `t = 0, 1, 2, ...`, counted in steps or, after [`Schedule::by_epoch`], in epochs:
///
/// | schedule | rate at `t` | PyTorch's |
/// |---|---|---|
/// | [`constant`](Schedule::constant) | `r` | |
/// | [`step_decay`](Schedule::step_decay) | `r * factor^floor(t / every)` | `StepLR` |
/// | [`milestones`](Schedule::milestones) | `r * factor^(how many milestones are <= t)` | `MultiStepLR` |
/// | [`exponential`](Schedule::exponential) | `r * factor^t` | `ExponentialLR` |
/// | [`cosine`](Schedule::cosine) | `min + (r - min) * (1 + cos(pi * t / period)) / 2` up to `t = period`, then `min` | `CosineAnnealingLR`, which goes up again after the period |
/// | [`OnPlateau`] | falls when the loss has stopped falling | `ReduceLROnPlateau` |
///
/// [`warm_up`](Schedule::warm_up) puts a linear rise before any of them. The rates are computed from `t`, not from the rate before, so they are those of a
/// resumed training too. Cosine annealing: Loshchilov and Hutter, *SGDR: stochastic gradient descent with warm restarts* (2017, arXiv:1608.03983).
///
/// ```
/// use tapeless::fit::Schedule;
/// let schedule = Schedule::cosine(0.1, 0.001, 100).warm_up(10, 0.1);
/// let rates = [0, 5, 10, 60, 110, 500].map(|t| schedule.rate(t));
/// for (rate, expected) in rates.iter().zip([0.01, 0.055, 0.1, 0.0505, 0.001, 0.001]) {
///     assert!((rate - expected).abs() < 1e-12);
/// }
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    kind: Kind,
    warm_up: Option<(u64, f64)>,
    by_epoch: bool,
}

#[derive(Clone, PartialEq, Debug)]
enum Kind {
    Constant { rate: f64 },
    StepDecay { rate: f64, every: u64, factor: f64 },
    Milestones { rate: f64, at: Vec<u64>, factor: f64 },
    Exponential { rate: f64, factor: f64 },
    Cosine { rate: f64, minimum: f64, period: u64 },
    Plateau(OnPlateau),
}

impl From<OnPlateau> for Schedule {
    fn from(plateau: OnPlateau) -> Self {
        Schedule::of(Kind::Plateau(plateau))
    }
}

impl Schedule {
    fn of(kind: Kind) -> Self {
        Schedule { kind, warm_up: None, by_epoch: false }
    }

    /// Always this rate: for a warm-up alone.
    pub fn constant(rate: f64) -> Self {
        Self::of(Kind::Constant { rate })
    }

    /// The rate, multiplied by `factor` after each `every` (at least 1) steps or epochs.
    pub fn step_decay(rate: f64, every: u64, factor: f64) -> Self {
        Self::of(Kind::StepDecay { rate, every, factor })
    }

    /// The rate, multiplied by `factor` at each of these times.
    pub fn milestones(rate: f64, at: impl IntoIterator<Item = u64>, factor: f64) -> Self {
        Self::of(Kind::Milestones { rate, at: at.into_iter().collect(), factor })
    }

    /// The rate, multiplied by `factor` in each step or epoch.
    pub fn exponential(rate: f64, factor: f64) -> Self {
        Self::of(Kind::Exponential { rate, factor })
    }

    /// From the rate to `minimum` along half a cosine of `period` (at least 1) steps or epochs; there it stays.
    pub fn cosine(rate: f64, minimum: f64, period: u64) -> Self {
        Self::of(Kind::Cosine { rate, minimum, period })
    }

    /// Begins with `length` steps or epochs in which the rate rises linearly, from `start` times the first rate at `t = 0` to that rate at `t = length`,
    /// where the schedule itself begins (PyTorch: `SequentialLR` of `LinearLR` and the schedule).
    pub fn warm_up(mut self, length: u64, start: f64) -> Self {
        self.warm_up = Some((length, start));
        self
    }

    /// Counts epochs and not steps.
    pub fn by_epoch(mut self) -> Self {
        self.by_epoch = true;
        self
    }

    /// The rate at a time, from 0. After a plateau it is what the losses so far have made of it.
    pub fn rate(&self, t: u64) -> f64 {
        match self.warm_up {
            Some((length, start)) if t < length => self.after_warm_up(0) * (start + (1.0 - start) * (t as f64 / length as f64)),
            Some((length, _)) => self.after_warm_up(t - length),
            None => self.after_warm_up(t),
        }
    }

    fn after_warm_up(&self, t: u64) -> f64 {
        match &self.kind {
            Kind::Constant { rate } => *rate,
            Kind::StepDecay { rate, every, factor } => rate * factor.powf((t / (*every).max(1)) as f64),
            Kind::Milestones { rate, at, factor } => rate * factor.powf(at.iter().filter(|m| **m <= t).count() as f64),
            Kind::Exponential { rate, factor } => rate * factor.powf(t as f64),
            Kind::Cosine { minimum, period, .. } if t >= *period => *minimum,
            Kind::Cosine { rate, minimum, period } => {
                let turn = std::f64::consts::PI * (t as f64 / *period as f64);
                minimum + (rate - minimum) * (1.0 + turn.cos()) / 2.0
            }
            Kind::Plateau(plateau) => plateau.rate(),
        }
    }

    /// The time of a step, from 1, in a training of so many steps an epoch.
    pub(super) fn time(&self, step: u64, per_epoch: u64) -> u64 {
        let done = step.saturating_sub(1);
        if self.by_epoch { done / per_epoch.max(1) } else { done }
    }

    /// Tells the loss after the step or epoch at this time, in a loop of one's own: a [`Training`](super::Training) does it by itself. Only a plateau listens, and not
    /// during its warm-up.
    pub fn observe(&mut self, t: u64, loss: f64) {
        if let Kind::Plateau(plateau) = &mut self.kind
            && self.warm_up.is_none_or(|(length, _)| t >= length)
        {
            plateau.observe(loss);
        }
    }

    pub(super) fn plateau(&self) -> Option<&OnPlateau> {
        if let Kind::Plateau(plateau) = &self.kind { Some(plateau) } else { None }
    }

    pub(super) fn plateau_mut(&mut self) -> Option<&mut OnPlateau> {
        if let Kind::Plateau(plateau) = &mut self.kind { Some(plateau) } else { None }
    }

    /// Whether all settings are in their ranges; a training looks too.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that isn't.
    pub fn check(&self) -> Result<()> {
        if let Some((name, value)) = self.settings().into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            return Err(bad(&name, format!("must be finite and at least 0, but is {value}")));
        }
        match &self.kind {
            Kind::StepDecay { every: 0, .. } => Err(bad("schedule step_decay every", "must be at least 1".into())),
            Kind::Cosine { period: 0, .. } => Err(bad("schedule cosine period", "must be at least 1".into())),
            Kind::Plateau(plateau) => plateau.check(),
            _ => Ok(()),
        }
    }

    /// Every setting by name: what a saved training and the one resumed from it must have in common.
    pub(super) fn settings(&self) -> Vec<(String, f64)> {
        let (name, own): (&str, Vec<(&str, f64)>) = match &self.kind {
            Kind::Constant { rate } => ("constant", vec![("rate", *rate)]),
            Kind::StepDecay { rate, every, factor } => ("step_decay", vec![("rate", *rate), ("every", *every as f64), ("factor", *factor)]),
            Kind::Milestones { rate, factor, .. } => ("milestones", vec![("rate", *rate), ("factor", *factor)]),
            Kind::Exponential { rate, factor } => ("exponential", vec![("rate", *rate), ("factor", *factor)]),
            Kind::Cosine { rate, minimum, period } => ("cosine", vec![("rate", *rate), ("minimum", *minimum), ("period", *period as f64)]),
            Kind::Plateau(plateau) => ("on_plateau", plateau.settings()),
        };
        let mut all: Vec<(String, f64)> = own.into_iter().map(|(setting, value)| (format!("schedule {name} {setting}"), value)).collect();
        if let Kind::Milestones { at, .. } = &self.kind {
            all.extend(at.iter().enumerate().map(|(k, at)| (format!("schedule milestones {k}"), *at as f64)));
        }
        if let Some((length, start)) = self.warm_up {
            all.extend([("schedule warm_up length".into(), length as f64), ("schedule warm_up start".into(), start)]);
        }
        all.push(("schedule by_epoch".into(), f64::from(u8::from(self.by_epoch))));
        all
    }
}
