//! Gradient descent with momentum, dampening, Nesterov's look-ahead and weight decay, as `torch.optim.SGD` defines them.

use super::groups::settings_of_parameters;
use super::matching::Matching;
use super::state::State;
use super::stepper::{Stepper, bad, not_negative};
use crate::backend::interp::Level;
use crate::error::Result;
use crate::real::Real;
use crate::runtime::params::{Grad, Params};

const NAME: &str = "sgd";
const BUFFER: &str = "momentum_buffer";

/// Gradient descent, with the rules of `torch.optim.SGD`.
///
/// With gradient `g` at `theta`, learning rate `lr`, momentum `mu`, dampening `tau` and weight decay `wd`:
///
/// ```text
/// g      <- g + wd * theta                             if wd != 0
/// buffer <- g                                          if mu != 0, in a parameter's first step
/// buffer <- mu * buffer + (1 - tau) * g                if mu != 0, later
/// g      <- g + mu * buffer                            if mu != 0, Nesterov
/// g      <- buffer                                     if mu != 0, otherwise
/// theta  <- theta - lr * g
/// ```
///
/// Stochastic approximation is Robbins and Monro's (1951); momentum is Polyak's heavy ball (1964); the look-ahead is Nesterov's (1983) in the form of
/// Sutskever, Martens, Dahl and Hinton, *On the importance of initialization and momentum in deep learning* (2013). Weight decay is the gradient
/// of `wd/2 * |theta|^2`.
///
/// [`Sgd::learning_rate_factor`] and [`Sgd::weight_decay_of`] give single parameters their own `lr` and `wd`.
///
/// Arithmetic is in the program's number type; settings are `f64` and rounded to it.
/// A setting out of its range doesn't panic: [`Sgd::check`] and every step return [`Error::Setting`](crate::Error::Setting) naming it.
///
/// ```
/// use tapeless::fit::{Sgd, Stepper};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().mean().compile()?;
/// let data = program.bind([("x", &[1.0, 2.0, 6.0])])?;
/// let mut theta = program.params([("w", 0.0)])?;
/// let mut sgd = Sgd::new(0.1).momentum(0.5);
/// for _ in 0..100 {
///     let (_, grad) = data.value_and_grad(&theta)?;
///     sgd.step(&mut theta, &grad)?;
/// }
/// assert!((theta.scalar("w")? - 3.0).abs() < 1e-9);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sgd<T: Real = f64> {
    learning_rate: f64,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    weight_decay: f64,
    matching: Matching,
    buffer: Vec<T>,
    level: Level,
}

impl<T: Real> Sgd<T> {
    /// Plain gradient descent with this learning rate (finite, at least 0): no momentum, no weight decay.
    pub fn new(learning_rate: f64) -> Self {
        let (matching, level) = (Matching::new(), Level::best());
        Sgd { learning_rate, momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0, matching, buffer: Vec::new(), level }
    }

    /// The share of the last step that is kept (finite, at least 0; default 0, which is none).
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// The share of the gradient that doesn't enter the momentum (finite; default 0).
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.dampening = dampening;
        self
    }

    /// Nesterov's look-ahead (default off): needs a momentum and no dampening.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// The factor of the squared-norm penalty's gradient (finite, at least 0; default 0).
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    settings_of_parameters! {
        ///
        /// ```
        /// use tapeless::fit::{Sgd, Stepper};
        /// use tapeless::prelude::*;
        /// # fn main() -> tapeless::Result<()> {
        /// let g = Graph::new();
        /// let program = (g.param("a") + g.param("b")).compile()?;
        /// let data = program.bind::<&str, &[f64]>([])?;
        /// let mut theta = program.zeros();
        /// let (_, grad) = data.value_and_grad(&theta)?;
        /// Sgd::new(0.5).learning_rate_factor("b", 0.25).step(&mut theta, &grad)?;
        /// assert_eq!(theta.values(), [-0.5, -0.125]);
        /// let error = Sgd::new(0.5).weight_decay_of("c", 0.1).step(&mut theta, &grad).unwrap_err();
        /// assert_eq!(error.to_string(), "no parameter `c`; the program has `a`, `b`");
        /// # Ok(())
        /// # }
        /// ```
        "Sgd::weight_decay"
    }

    /// Whether all settings are in their ranges; every step looks too.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that isn't.
    pub fn check(&self) -> Result<()> {
        not_negative::<T>("learning_rate", self.learning_rate)?;
        not_negative::<T>("momentum", self.momentum)?;
        not_negative::<T>("weight_decay", self.weight_decay)?;
        if !T::from_f64(self.dampening).is_finite() {
            return Err(bad("dampening", format!("must be finite, but is {}", self.dampening)));
        }
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            let message = format!("needs a momentum and no dampening, but they are {} and {}", self.momentum, self.dampening);
            return Err(bad("nesterov", message));
        }
        self.matching.check::<T>()
    }

    fn settings(&self) -> Vec<(&str, f64)> {
        let nesterov = f64::from(u8::from(self.nesterov));
        let own = [("momentum", self.momentum), ("dampening", self.dampening), ("nesterov", nesterov), ("weight_decay", self.weight_decay)];
        own.into_iter().chain(self.matching.settings()).collect()
    }
}

impl<T: Real> Stepper<T> for Sgd<T> {
    fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()> {
        self.check()?;
        let runs = self.matching.begin(theta.layout(), grad.layout())?;
        if self.momentum != 0.0 {
            self.buffer.resize(theta.values().len(), T::default());
        }
        for run in runs {
            let (rate, decay) = run.settings(self.learning_rate, self.weight_decay);
            // The first step takes the gradient whole. `0 * 0 + 1 * g` is `g` but for the sign of a zero.
            let (keep, take) = if run.count == 1 { (0.0, 1.0) } else { (self.momentum, 1.0 - self.dampening) };
            let number = T::from_f64;
            let rule = Rule { rate: number(rate), keep: number(keep), take: number(take), momentum: number(self.momentum), nesterov: self.nesterov };
            let (x, g) = (&mut theta.values_mut()[run.theta.clone()], &grad.values()[run.grad.clone()]);
            let buffer: &mut [T] = if self.momentum == 0.0 { &mut [] } else { &mut self.buffer[run.theta.clone()] };
            let level = run.level(self.level);
            if decay == 0.0 {
                level.here(|| rule.update(x, g, buffer, |_, g| g));
            } else {
                let decay = number(decay);
                level.here(|| rule.update(x, g, buffer, |x, g| g + decay * x));
            }
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn state(&self) -> State {
        let mut state = State::new::<T>(NAME, self.learning_rate).settings(&self.settings());
        if self.momentum != 0.0 {
            state = state.vector(BUFFER, &self.buffer);
        }
        self.matching.save(&mut state);
        state
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let vectors: &[&str] = if self.momentum == 0.0 { &[] } else { &[BUFFER] };
        let mut vectors = state.check::<T>(NAME, &self.settings(), vectors)?.into_iter();
        self.matching.restore(state)?;
        self.learning_rate = state.learning_rate;
        self.buffer = vectors.next().unwrap_or_default();
        Ok(())
    }
}

/// The numbers of one step, rounded to the number type.
#[derive(Clone, Copy)]
struct Rule<T> {
    rate: T,
    keep: T,
    take: T,
    momentum: T,
    nesterov: bool,
}

impl<T: Real> Rule<T> {
    /// One step of a run of numbers, without momentum if there is no buffer. `decayed` puts weight decay into the gradient, or doesn't: nothing is
    /// decided inside of the loops.
    #[inline(always)]
    fn update(self, x: &mut [T], g: &[T], buffer: &mut [T], decayed: impl Fn(T, T) -> T) {
        let Rule { rate, keep, take, momentum, nesterov } = self;
        if buffer.is_empty() {
            for (x, g) in x.iter_mut().zip(g) {
                *x = *x - rate * decayed(*x, *g);
            }
        } else if nesterov {
            for ((x, g), b) in x.iter_mut().zip(g).zip(buffer) {
                let g = decayed(*x, *g);
                *b = keep * *b + take * g;
                *x = *x - rate * (g + momentum * *b);
            }
        } else {
            for ((x, g), b) in x.iter_mut().zip(g).zip(buffer) {
                *b = keep * *b + take * decayed(*x, *g);
                *x = *x - rate * *b;
            }
        }
    }
}
