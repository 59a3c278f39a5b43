//! A training: what it trains on, its settings, and what it has recorded.

use super::autosave::{Autosave, Every};
use super::batches::Batches;
use super::checkpoint::{Checkpoint, Counts, Tally};
use super::clip;
use super::feed::Feed;
use super::history::History;
use super::progress::{EpochEnd, Progress};
use super::schedule::Schedule;
use super::stepper::{Stepper, bad};
use super::stopping::EarlyStopping;
use super::watch::{Observer, Watch};
use crate::error::Result;
use crate::real::Real;
use crate::runtime::params::Params;
use crate::runtime::program::Bound;
use std::cell::OnceCell;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

type EpochObserver<'a, T> = Box<dyn FnMut(&EpochEnd<'_, T>) -> ControlFlow<()> + 'a>;
type Receiver<'a> = Box<dyn FnMut(&Checkpoint) -> ControlFlow<()> + 'a>;

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Steps(u64),
    Epochs(u64),
}

/// Where the learning rate comes from.
pub(super) enum Rates<'a> {
    Stepper,
    Function(Box<dyn FnMut(u64) -> f64 + 'a>),
    Schedule(Schedule),
}

/// A training loop over bound data: steps of a [`Stepper`] over all samples at once or over batches of them.
///
/// Step `t = 1, 2, ...` is: choose the batch; evaluate loss and gradient over it at `theta`; check that both are finite; set the learning rate; show the
/// observer; record; clip the gradient; update `theta`. So the loss recorded for step `t` is the loss *before* its update, as loops written in
/// PyTorch print it. Then, where they are due: evaluate the validation loss, tell the schedule, show the epoch's observer, hand out a checkpoint.
///
/// Beside what the history keeps, a step in the steady state allocates nothing; a checkpoint does.
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
///
/// # Batches
///
/// [`Training::batch_size`] and [`Training::shuffle`] go through the samples in mini-batches. The loss of a batch is the program's over the batch's samples
/// alone: write it with `mean()`, so that its size doesn't depend on the batch and a penalty on the parameters keeps its weight.
///
/// ```
/// use tapeless::fit::{Adam, EarlyStopping, Schedule, Training};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y, w, b) = (g.data("x"), g.data("y"), g.param("w"), g.param("b"));
/// let program = ((w * x + b - y).square().mean() + 1e-6 * w.square()).compile()?;
/// let x: Vec<f64> = (0..1200).map(|i| (i as f64 * 0.618).fract()).collect();
/// let y: Vec<f64> = x.iter().enumerate().map(|(i, x)| 2.0 * x + 1.0 + 0.1 * (i as f64).sin()).collect();
/// let data = program.bind([("x", &x[..1000]), ("y", &y[..1000])])?;
/// let held_out = program.bind([("x", &x[1000..]), ("y", &y[1000..])])?;
///
/// let mut theta = program.zeros();
/// let mut training = Training::new(&data, Adam::new(0.1))
///     .batch_size(64)
///     .shuffle(7)
///     .epochs(40)
///     .schedule(Schedule::cosine(0.1, 0.001, 40).by_epoch())
///     .clip_norm(10.0)
///     .early_stopping(EarlyStopping::new(&held_out).patience(10))
///     .record_every(0);
/// training.run(&mut theta)?;
/// assert!((theta.scalar("w")? - 2.0).abs() < 0.05 && (theta.scalar("b")? - 1.0).abs() < 0.05);
/// # Ok(())
/// # }
/// ```
pub struct Training<'a, 'd, T: Real, S> {
    pub(super) bound: &'a Bound<'d, T>,
    pub(super) stepper: S,
    pub(super) limit: Limit,
    batch_size: Option<usize>,
    pub(super) seed: Option<u64>,
    by_epoch: bool,
    pub(super) clip: Option<f64>,
    pub(super) tolerance: Option<f64>,
    pub(super) patience: u64,
    pub(super) record_every: u64,
    pub(super) record_params: bool,
    pub(super) watches: Vec<Box<dyn Watch<T> + 'a>>,
    pub(super) epoch_observer: Option<EpochObserver<'a, T>>,
    pub(super) checkpoint: Option<(u64, Receiver<'a>)>,
    pub(super) autosave: Option<Autosave>,
    pub(super) rates: Rates<'a>,
    pub(super) stopping: Option<EarlyStopping<'a, T>>,
    pub(super) history: History<T>,
    pub(super) validations: Vec<(u64, T)>,
    pub(super) failed_at: Option<Params<T>>,
    /// The order of the samples and the batch's buffers, made by the first run.
    pub(super) feed: Option<Feed<'a, 'd, T>>,
    /// The last step taken; the next is one more.
    pub(super) done: u64,
    pub(super) counts: Counts,
    pub(super) tally: Tally,
    /// Whether the run has been left before its end, to be gone on with.
    pub(super) paused: bool,
    /// The formula's fingerprint, once it has been asked for.
    pub(super) formula: OnceCell<u64>,
}

impl<T: Real, S> fmt::Debug for Training<'_, '_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Training").field("bound", &self.bound).field("batch_size", &self.batch_size).field("done", &self.done).finish_non_exhaustive()
    }
}

impl<'a, 'd, T: Real, S: Stepper<T>> Training<'a, 'd, T, S> {
    /// A loop of 1000 steps with this stepper (or a `&mut` to it), each over all samples, that records every step and doesn't stop early.
    pub fn new(bound: &'a Bound<'d, T>, stepper: S) -> Self {
        Training {
            bound,
            stepper,
            limit: Limit::Steps(1000),
            batch_size: None,
            seed: None,
            by_epoch: true,
            clip: None,
            tolerance: None,
            patience: 5,
            record_every: 1,
            record_params: false,
            watches: Vec::new(),
            epoch_observer: None,
            checkpoint: None,
            autosave: None,
            rates: Rates::Stepper,
            stopping: None,
            history: History::new(),
            validations: Vec::new(),
            failed_at: None,
            feed: None,
            done: 0,
            counts: Counts::default(),
            tally: Tally::default(),
            paused: false,
            formula: OnceCell::new(),
        }
    }

    /// How many steps a run takes at most (at least 1; default 1000).
    pub fn steps(mut self, steps: u64) -> Self {
        self.limit = Limit::Steps(steps);
        self
    }

    /// How many epochs a run takes at most (at least 1), in place of [`Training::steps`]. An epoch is one pass over the samples; without batches it is
    /// one step. The rest of an epoch that an earlier run began counts as one.
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.limit = Limit::Epochs(epochs);
        self
    }

    /// Takes a batch of this many samples in each step (at least 1), the last of an epoch short where they don't divide. By default a step is over all samples.
    pub fn batch_size(mut self, samples: usize) -> Self {
        (self.batch_size, self.feed) = (Some(samples), None);
        self
    }

    /// Shuffles the samples anew for each epoch; without [`Training::batch_size`] it does nothing. The order is that of [`Batches::shuffle`]: the same seed
    /// gives the same order everywhere.
    pub fn shuffle(mut self, seed: u64) -> Self {
        (self.seed, self.feed) = (Some(seed), None);
        self
    }

    /// Whether a shuffled training copies its samples once for each epoch, in the epoch's order (default on). That takes as much memory as the data; without
    /// it each batch is copied by itself, which takes next to none and twice the time. The bits are the same.
    pub fn copy_samples(mut self, copy: bool) -> Self {
        (self.by_epoch, self.feed) = (copy, None);
        self
    }

    /// Clips the gradient of each step to this norm, by the rule of [`clip_norm`](super::clip_norm) (at least 0; by default it isn't clipped). Observer and
    /// history have the norm before.
    pub fn clip_norm(mut self, max: f64) -> Self {
        self.clip = Some(max);
        self
    }

    /// Stops when the loss settles: at step `t`, if `|loss[t] - loss[t-1]| <= tolerance * max(|loss[t]|, |loss[t-1]|)` held there and in the steps
    /// just before it, [`Training::patience`] steps in a row, all of one run. The last of these steps has no update (finite, at least 0;
    /// by default a run doesn't stop so). A loss that goes to 0 by a constant factor never settles in this sense, nor do the losses of batches.
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

    /// Shows each step to this closure, before the step's update. `ControlFlow::Break(())` ends the run there, without the update. Of several, all see
    /// each step, in order.
    pub fn observe(self, observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()> + 'a) -> Self {
        self.watch(Observer(observer))
    }

    /// As [`Training::observe`], with something that is told of a run's end too: the `ProgressBar` of the feature `progress`, say.
    pub fn watch(mut self, watch: impl Watch<T> + 'a) -> Self {
        self.watches.push(Box::new(watch));
        self
    }

    /// Shows the end of each epoch to this closure, after its last update. `ControlFlow::Break(())` ends the run there.
    pub fn observe_epochs(mut self, observer: impl FnMut(&EpochEnd<'_, T>) -> ControlFlow<()> + 'a) -> Self {
        self.epoch_observer = Some(Box::new(observer));
        self
    }

    /// Hands the training's state to this closure after each `steps` steps (at least 1), to be written down, unless the run ends there.
    /// `ControlFlow::Break(())` pauses the run: it goes on when [`Training::run`] is called again, or [`Training::resume`]d, as if it had never stopped.
    pub fn checkpoint_every(mut self, steps: u64, receiver: impl FnMut(&Checkpoint) -> ControlFlow<()> + 'a) -> Self {
        self.checkpoint = Some((steps, Box::new(receiver)));
        self
    }

    /// Writes the training's state to a file in the course of each run, every so many steps or so much time, unless the run ends there:
    /// [`Checkpoint::write`]. Killed at any moment and [`Training::resume`]d from what [`Checkpoint::read`] finds, a training ends with the bits and the
    /// history it would have had.
    ///
    /// A checkpoint that can't be written ends [`Training::run`] with [`Error::File`](crate::Error::File), between two steps and without loss: the parameters
    /// are those after the last step, the file is the last that could be written, and a further `run` goes on as if nothing had been.
    ///
    /// ```
    /// use tapeless::fit::{Adam, Checkpoint, Every, Training};
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, w) = (g.data("x"), g.param("w"));
    /// let program = (w - x).square().mean().compile()?;
    /// let data = program.bind([("x", &[1.0, 2.0, 6.0, 7.0, 9.0])])?;
    /// # let path = std::env::temp_dir().join(format!("tapeless-doc-{}.checkpoint", std::process::id()));
    /// # let _ = std::fs::remove_file(&path);
    /// // let path = Path::new("fit.checkpoint");
    ///
    /// let mut training = Training::new(&data, Adam::new(0.1)).batch_size(2).shuffle(3).steps(2000).checkpoint_to(&path, Every::Steps(500));
    /// // The program begins anew or goes on, whichever it is.
    /// let mut theta = if path.exists() { training.resume(&Checkpoint::read(&path)?)? } else { program.zeros() };
    /// training.run(&mut theta)?;
    /// assert_eq!(Checkpoint::read(&path)?.step(), 1500);
    /// # std::fs::remove_file(&path).expect("it was written");
    /// # Ok(())
    /// # }
    /// ```
    pub fn checkpoint_to(mut self, path: impl Into<PathBuf>, every: Every) -> Self {
        self.autosave = Some(Autosave::new(path.into(), every));
        self
    }

    /// Sets the learning rate of each step: a function of the step, from 1 (by default it stays what the stepper has).
    pub fn learning_rate(mut self, rate: impl FnMut(u64) -> f64 + 'a) -> Self {
        self.rates = Rates::Function(Box::new(rate));
        self
    }

    /// Sets the learning rate of each step by a schedule, in place of what the stepper has. One that follows the loss is told each validation loss or, in
    /// a training without [`Training::early_stopping`], the mean loss of each epoch.
    pub fn schedule(mut self, schedule: impl Into<Schedule>) -> Self {
        self.rates = Rates::Schedule(schedule.into());
        self
    }

    /// Watches a validation loss and keeps the best parameters: `theta` is left at them when a run ends.
    pub fn early_stopping(mut self, stopping: EarlyStopping<'a, T>) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// The number of the next step, where a training goes on that was saved (default 1).
    pub fn first_step(mut self, step: u64) -> Self {
        self.done = step.saturating_sub(1);
        self
    }

    /// What was recorded, in all runs.
    pub fn history(&self) -> &History<T> {
        &self.history
    }

    /// Every validation loss in all runs, oldest first, with the step after which it was evaluated.
    pub fn validations(&self) -> &[(u64, T)] {
        &self.validations
    }

    /// The lowest validation loss in all runs, the step after which it was evaluated, and the parameters there.
    pub fn best(&self) -> Option<(T, u64, &Params<T>)> {
        let (value, step, params) = self.stopping.as_ref()?.best.as_ref()?;
        Some((*value, *step, params))
    }

    /// The point whose loss, gradient or validation loss was not finite, if the last run ended so.
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

    /// Whether all settings are in their ranges, but for the stepper's, which it checks itself.
    pub(super) fn check(&self) -> Result<()> {
        let whole = [
            ("steps", matches!(self.limit, Limit::Steps(0))),
            ("epochs", matches!(self.limit, Limit::Epochs(0))),
            ("patience", self.patience == 0),
            ("checkpoint_every", matches!(self.checkpoint, Some((0, _)))),
        ];
        if let Some((name, _)) = whole.iter().find(|(_, zero)| *zero) {
            return Err(bad(name, "must be at least 1".into()));
        }
        if let Some(t) = self.tolerance.filter(|t| !(*t >= 0.0 && t.is_finite())) {
            return Err(bad("tolerance", format!("must be finite and at least 0, but is {t}")));
        }
        self.clip.map_or(Ok(()), clip::check)?;
        self.autosave.as_ref().map_or(Ok(()), Autosave::check)?;
        self.stopping.as_ref().map_or(Ok(()), EarlyStopping::check)?;
        if let Rates::Schedule(schedule) = &self.rates { schedule.check() } else { Ok(()) }
    }

    /// Makes the order of the samples and the batch's buffers, if they aren't made yet.
    pub(super) fn prepare(&mut self) -> Result<()> {
        if let (Some(size), None) = (self.batch_size, &self.feed) {
            let batches = Batches::new(self.bound.samples(), size)?;
            let batches = if let Some(seed) = self.seed { batches.shuffle(seed) } else { batches };
            self.feed = Some(Feed::new(batches, self.bound.batch(), self.seed.is_some(), self.by_epoch));
        }
        Ok(())
    }

    /// How many steps an epoch has.
    pub(super) fn per_epoch(&self) -> u64 {
        self.feed.as_ref().map_or(1, |feed| feed.batches.per_epoch())
    }

    /// Every setting that the bits of the next steps depend on, by name; the stepper has its own.
    pub(super) fn settings(&self) -> Vec<(String, f64)> {
        let own = [("batch_size", self.batch_size.map(|size| size as f64)), ("clip_norm", self.clip), ("tolerance", self.tolerance)];
        let mut all: Vec<(String, f64)> = own.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect();
        if self.tolerance.is_some() {
            all.push(("patience".into(), self.patience as f64));
        }
        if let Rates::Schedule(schedule) = &self.rates {
            all.extend(schedule.settings());
        }
        all.extend(self.stopping.iter().flat_map(EarlyStopping::settings));
        all
    }
}
