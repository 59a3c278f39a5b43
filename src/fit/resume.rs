//! Saving a training and going on from what was saved.

use super::checkpoint::{Checkpoint, Watched, point};
use super::seal::checksum;
use super::state::same_settings;
use super::stepper::{Stepper, bad};
use super::train::{Rates, Training};
use crate::error::Result;
use crate::graph::text;
use crate::real::Real;
use crate::runtime::params::Params;

impl<T: Real, S: Stepper<T>> Training<'_, '_, T, S> {
    /// All that the next steps depend on, and all that was recorded. A training that [`Training::resume`]s it goes on as this one would, to the bit.
    ///
    /// With early stopping, the end of a run goes to the best parameters: to interrupt a run and have it go on as if it hadn't been, save it from
    /// [`Training::checkpoint_every`].
    pub fn save(&self, theta: &Params<T>) -> Checkpoint {
        let numbers = |params: &Params<T>| params.values().iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
        let plateau = if let Rates::Schedule(schedule) = &self.rates { schedule.plateau().map(|p| p.now) } else { None };
        let watched = self.stopping.as_ref().map(|stopping| {
            let best = stopping.best.as_ref().map(|(value, step, params)| (value.to_f64(), *step, numbers(params)));
            Watched { stale: stopping.stale, best }
        });
        Checkpoint {
            number: T::NAME.into(),
            formula: self.fingerprint(),
            samples: self.bound.samples() as u64,
            seed: self.seed,
            settings: self.settings(),
            step: self.done,
            run: self.counts,
            tally: self.tally,
            plateau,
            stopping: watched,
            layout: theta.layout().clone(),
            theta: numbers(theta),
            history: self.history.converted(),
            validations: self.validations.iter().map(|(step, value)| (*step, value.to_f64())).collect(),
            stepper: self.stepper.state(),
        }
    }

    /// Goes on from a saved training: gives back its parameters, to be handed to [`Training::run`], which takes the steps that are left of a run
    /// that was saved before its end, or else begins a further one. History and validation losses are those of the saved training, and go on.
    ///
    /// The data are the caller's to bring back as they were. How long a run is, what is recorded, and closures, may be others than before.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the number type, the formula, the parameters it is differentiated by, the number of samples, the seed or a
    /// setting of training, schedule, early stopping or stepper is another one; [`Error::Layout`](crate::Error::Layout) if the parameters are laid out
    /// otherwise. This training is then as before.
    pub fn resume(&mut self, saved: &Checkpoint) -> Result<Params<T>> {
        let program = self.bound.program();
        let differs = |what: &str, saved: String, mine: String| Err(bad(what, format!("the training was saved with {saved}, this one has {mine}")));
        let seed = |seed: Option<u64>| seed.map_or("none".into(), |seed| seed.to_string());
        if saved.number != T::NAME {
            return differs("number type", saved.number.clone(), T::NAME.into());
        }
        if saved.samples != self.bound.samples() as u64 {
            return differs("samples", saved.samples.to_string(), self.bound.samples().to_string());
        }
        if saved.seed != self.seed {
            return differs("seed", seed(saved.seed), seed(self.seed));
        }
        if *saved.layout != **program.layout() {
            return Err(program.layout().mismatch(&saved.layout));
        }
        if saved.formula != self.fingerprint() {
            return Err(bad("formula", "the training was saved of another formula, or of a gradient by other parameters".into()));
        }
        same_settings(&saved.settings, &self.settings(), "training", "one")?;
        let theta = point(program.layout(), &saved.theta);
        let best = saved.stopping.as_ref().and_then(|watched| watched.best.as_ref());
        let best = best.map(|(value, step, numbers)| (T::from_f64(*value), *step, point(program.layout(), numbers)));
        let now = if let Rates::Schedule(schedule) = &mut self.rates { schedule.plateau_mut().map(|p| &mut p.now) } else { None };
        if now.is_some() != saved.plateau.is_some() || self.stopping.is_some() != saved.stopping.is_some() {
            return Err(bad("training", "the saved one lacks what its schedule or its early stopping has seen".into()));
        }
        self.stepper.restore(&saved.stepper)?;
        if let (Some(now), Some(plateau)) = (now, saved.plateau) {
            *now = plateau;
        }
        if let (Some(stopping), Some(watched)) = (&mut self.stopping, &saved.stopping) {
            (stopping.stale, stopping.best, stopping.fresh) = (watched.stale, best, false);
        }
        (self.done, self.counts, self.tally) = (saved.step, saved.run, saved.tally);
        self.history = saved.history.converted();
        self.validations = saved.validations.iter().map(|(step, value)| (*step, T::from_f64(*value))).collect();
        Ok(theta)
    }

    /// A checksum of the formula as written, and of what it is differentiated by: another program's steps would be others.
    fn fingerprint(&self) -> u64 {
        *self.formula.get_or_init(|| {
            let program = self.bound.program();
            let text = format!("{}{}", text::print(program.formula_dag()), program.grad_zeros().layout());
            checksum(text.as_bytes())
        })
    }
}
