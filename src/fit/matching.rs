//! Which numbers of a gradient belong to which numbers of the parameters, matched by name and kept from step to step.

use super::groups::Groups;
use super::state::State;
use crate::backend::interp::Level;
use crate::error::Result;
use crate::real::Real;
use crate::runtime::params::Layout;
use std::ops::Range;
use std::sync::Arc;

/// Numbers in a run that are too few for wide vectors.
const SHORT: usize = 64;

/// A run of numbers that lie side by side in the parameters and in the gradient, have the same settings and have taken the same number of steps.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Where the run is in the parameters; a stepper's own vectors are laid out like the parameters.
    pub theta: Range<usize>,
    /// Where it is in the gradient.
    pub grad: Range<usize>,
    /// How many steps these numbers have taken, the present one included: 1 in the first.
    pub count: u64,
    /// What the stepper's learning rate is multiplied by for these numbers: 1 unless [`Matching::set_learning_rate_factor`] says otherwise.
    pub learning_rate_factor: f64,
    /// The weight decay of these numbers, if [`Matching::set_weight_decay`] gives them their own.
    pub weight_decay: Option<f64>,
    /// The parameters in it, by their place in the layout.
    params: Range<usize>,
}

impl Run {
    /// The learning rate and the weight decay of these numbers, given the stepper's own.
    #[inline]
    pub fn settings(&self, learning_rate: f64, weight_decay: f64) -> (f64, f64) {
        (learning_rate * self.learning_rate_factor, self.weight_decay.unwrap_or(weight_decay))
    }

    /// The level to compute it at: wide vectors only cost where a run is short.
    #[inline]
    pub(super) fn level(&self, best: Level) -> Level {
        if self.theta.len() < SHORT { Level::BASELINE } else { best }
    }
}

/// The book-keeping that every stepper needs: matches gradients to parameters by name, counts the steps of each parameter, and knows which
/// parameters have a learning rate or a weight decay of their own.
///
/// A gradient may hold a part of the parameters only; the others stay as they are and their count doesn't move, as parameters without a gradient
/// in PyTorch. The matching is made at the first step and kept while the same layouts come in, so that a step in the steady state
/// allocates nothing.
///
/// ```
/// use tapeless::fit::Matching;
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w, b) = (g.data("x"), g.param("w"), g.param("b"));
/// let program = Options::new().wrt(["b"]).compile((w * x + b).square().sum())?;
/// let mut matching = Matching::new();
/// let runs = matching.begin(program.layout(), program.grad_zeros().layout())?;
/// assert_eq!((runs.len(), runs[0].theta.clone(), runs[0].grad.clone(), runs[0].count), (1, 1..2, 0..1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Matching {
    theta: Option<Arc<Layout>>,
    grad: Option<Arc<Layout>>,
    runs: Vec<Run>,
    counts: Vec<u64>,
    steps: u64,
    groups: Groups,
}

impl Matching {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Multiplies the learning rate by this for one parameter. That there is such a parameter is seen at the next step.
    pub fn set_learning_rate_factor(&mut self, name: &str, factor: f64) {
        self.groups.set_learning_rate_factor(name, factor);
        self.grad = None; // The runs are made anew.
    }

    /// Gives one parameter a weight decay of its own. That there is such a parameter is seen at the next step.
    pub fn set_weight_decay(&mut self, name: &str, weight_decay: f64) {
        self.groups.set_weight_decay(name, weight_decay);
        self.grad = None;
    }

    /// Whether the parameters' own settings are in their ranges: finite and at least 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that isn't.
    pub fn check<T: Real>(&self) -> Result<()> {
        self.groups.check::<T>()
    }

    /// The parameters' own settings by name, as a [`State`] holds them.
    pub fn settings(&self) -> impl Iterator<Item = (&str, f64)> {
        self.groups.settings()
    }

    /// Begins a step: the runs to go through, their counts moved on by one.
    ///
    /// # Errors
    /// [`Error::Layout`](crate::Error::Layout) if the gradient holds a parameter that `theta` hasn't, or has in another shape, or if `theta` is laid
    /// out otherwise than in the steps before (or in the restored state); [`Error::UnknownParam`](crate::Error::UnknownParam) for a setting of a
    /// parameter that isn't there. Nothing is counted then.
    #[inline]
    pub fn begin(&mut self, theta: &Arc<Layout>, grad: &Arc<Layout>) -> Result<&[Run]> {
        let known = |kept: &Option<Arc<Layout>>, new| kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, new));
        if !known(&self.theta, theta) || !known(&self.grad, grad) {
            self.rematch(theta, grad)?;
        }
        for run in &mut self.runs {
            run.count += 1;
            self.counts[run.params.clone()].fill(run.count);
        }
        self.steps += 1;
        Ok(&self.runs)
    }

    /// How many steps were begun.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Writes the layout and the counts into a state.
    pub fn save(&self, state: &mut State) {
        state.layout = self.theta.clone().unwrap_or_default();
        state.counts.clone_from(&self.counts);
        state.steps = self.steps;
    }

    /// Takes the layout and the counts of a state over. A state saved before the first step fits every layout.
    ///
    /// # Errors
    /// [`Error::Layout`](crate::Error::Layout) if steps were taken with parameters laid out otherwise; [`Error::Setting`](crate::Error::Setting) if
    /// there isn't one count for each parameter.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        if state.counts.len() != state.layout.names().count() {
            return Err(state.refused(format!("{} counts for {} parameters", state.counts.len(), state.layout.names().count())));
        }
        let fresh = state.steps == 0 && state.layout.is_empty();
        match &self.theta {
            Some(mine) if !fresh && **mine != *state.layout => return Err(mine.mismatch(&state.layout)),
            _ => {}
        }
        let groups = std::mem::take(&mut self.groups);
        let theta = (!fresh).then(|| state.layout.clone());
        *self = Matching { theta, counts: state.counts.clone(), steps: state.steps, groups, ..Matching::default() };
        Ok(())
    }

    fn rematch(&mut self, theta: &Arc<Layout>, grad: &Arc<Layout>) -> Result<()> {
        if let Some(before) = &self.theta
            && !Arc::ptr_eq(before, theta)
            && **before != **theta
        {
            return Err(before.mismatch(theta));
        }
        let position = |name: &str| theta.names().position(|n| n == name);
        if !grad.names().all(|name| theta.shape(name).is_some() && theta.shape(name) == grad.shape(name)) {
            return Err(theta.mismatch(grad));
        }
        self.groups.check_names(theta)?;
        self.counts.resize(theta.names().count(), 0);
        self.runs.clear();
        let places = grad.names().filter_map(|name| Some((name, position(name)?, theta.range(name)?, grad.range(name)?)));
        for (name, k, to, from) in places {
            let count = self.counts[k];
            let (learning_rate_factor, weight_decay) = self.groups.of(name);
            let alike = |run: &Run| run.count == count && run.learning_rate_factor == learning_rate_factor && run.weight_decay == weight_decay;
            match self.runs.last_mut() {
                // Parameters that follow each other in both are one run: fifty scalars are one loop.
                Some(last) if last.theta.end == to.start && last.grad.end == from.start && last.params.end == k && alike(last) => {
                    (last.theta.end, last.grad.end, last.params.end) = (to.end, from.end, k + 1);
                }
                _ => self.runs.push(Run { theta: to, grad: from, count, learning_rate_factor, weight_decay, params: k..k + 1 }),
            }
        }
        (self.theta, self.grad) = (Some(theta.clone()), Some(grad.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::graph::Input;
    use crate::shape::Shape;

    fn layout(entries: &[(&str, &[usize])]) -> Arc<Layout> {
        let inputs: Vec<Input> = entries.iter().map(|(name, dims)| Input::new(name, Shape::new(dims))).collect();
        Arc::new(Layout::new(&inputs))
    }

    #[test]
    fn neighbours_share_a_run_until_their_counts_differ() -> Result<()> {
        let theta = layout(&[("a", &[]), ("b", &[3]), ("c", &[]), ("d", &[2])]);
        let all = |m: &mut Matching| Ok::<_, Error>(m.begin(&theta, &theta.clone())?.iter().map(|r| (r.theta.clone(), r.count)).collect::<Vec<_>>());
        let mut m = Matching::new();
        assert_eq!(all(&mut m)?, [(0..7, 1)]);
        let part = layout(&[("d", &[2]), ("b", &[3])]);
        let runs: Vec<_> = m.begin(&theta, &part)?.iter().map(|r| (r.theta.clone(), r.grad.clone(), r.count)).collect();
        assert_eq!(runs, [(5..7, 0..2, 2), (1..4, 2..5, 2)]);
        assert_eq!(all(&mut m)?, [(0..1, 2), (1..4, 3), (4..5, 2), (5..7, 3)]);
        assert_eq!((m.steps(), m.counts.as_slice()), (3, &[2, 3, 2, 3][..]));
        Ok(())
    }

    #[test]
    fn another_layout_is_an_error_that_counts_nothing() -> Result<()> {
        let theta = layout(&[("a", &[]), ("b", &[3])]);
        let mut m = Matching::new();
        for wrong in [layout(&[("z", &[])]), layout(&[("b", &[2])]), layout(&[("b", &[3, 1])])] {
            assert!(matches!(m.begin(&theta, &wrong), Err(Error::Layout { .. })));
        }
        assert_eq!(m.steps(), 0);
        m.begin(&theta, &theta)?;
        let other = layout(&[("a", &[])]);
        assert!(matches!(m.begin(&other, &other), Err(Error::Layout { .. })));
        assert_eq!(m.steps(), 1);
        Ok(())
    }
}
