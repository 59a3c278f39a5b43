//! Adam, AMSGrad and AdamW, as `torch.optim.Adam` and `torch.optim.AdamW` define them.

use super::groups::settings_of_parameters;
use super::matching::Matching;
use super::state::State;
use super::stepper::{Stepper, fraction, not_negative};
use crate::backend::interp::Level;
use crate::error::Result;
use crate::real::Real;
use crate::runtime::params::{Grad, Params};

const MEAN: &str = "exp_avg";
const SQUARE: &str = "exp_avg_sq";
const LARGEST: &str = "max_exp_avg_sq";

/// Adam: steps scaled by running averages of the gradient and of its square, with the rules of `torch.optim.Adam`.
///
/// With gradient `g` in a parameter's step `t = 1, 2, ...`, everything elementwise:
///
/// ```text
/// g     <- g + weight_decay * theta                    if weight_decay != 0
/// m     <- beta1 * m + (1 - beta1) * g
/// v     <- beta2 * v + (1 - beta2) * g^2
/// u     <- max(u, v)  with amsgrad, else  v
/// theta <- theta - lr / (1 - beta1^t) * m / (sqrt(u) / sqrt(1 - beta2^t) + eps)
/// ```
///
/// Kingma and Ba, *Adam: a method for stochastic optimization* (2015, arXiv:1412.6980); AMSGrad: Reddi, Kale and Kumar, *On the convergence of Adam
/// and beyond* (2018, arXiv:1904.09237), which takes the largest `v` so far. Weight decay here is the gradient of `weight_decay/2 * |theta|^2`
/// and so is scaled like the rest of the gradient; [`AdamW`] decays the parameters themselves.
///
/// [`Adam::learning_rate_factor`] and [`Adam::weight_decay_of`] give single parameters their own `lr` and `weight_decay`.
///
/// Arithmetic is in the program's number type; settings and the bias corrections `1 - beta^t` are made in `f64` and rounded to it.
/// A setting out of its range doesn't panic: [`Adam::check`] and every step return [`Error::Setting`](crate::Error::Setting) naming it.
///
/// ```
/// use tapeless::fit::{Adam, Stepper};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().mean().compile()?;
/// let data = program.bind([("x", &[1.0, 2.0, 6.0])])?;
/// let mut theta = program.params([("w", 0.0)])?;
/// let mut adam = Adam::new(0.1);
/// for _ in 0..500 {
///     let (_, grad) = data.value_and_grad(&theta)?;
///     adam.step(&mut theta, &grad)?;
/// }
/// assert!((theta.scalar("w")? - 3.0).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Adam<T: Real = f64> {
    learning_rate: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    /// Weight decay shrinks the parameters and doesn't enter the gradient: this is AdamW.
    decoupled: bool,
    amsgrad: bool,
    matching: Matching,
    mean: Vec<T>,
    square: Vec<T>,
    /// Stays empty without `amsgrad`.
    largest: Vec<T>,
    level: Level,
}

impl<T: Real> Adam<T> {
    /// Adam with this learning rate (finite, at least 0; PyTorch's default is 1e-3), betas 0.9 and 0.999, eps 1e-8, no weight decay, no `amsgrad`.
    pub fn new(learning_rate: f64) -> Self {
        Adam {
            learning_rate,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            amsgrad: false,
            matching: Matching::new(),
            mean: Vec::new(),
            square: Vec::new(),
            largest: Vec::new(),
            level: Level::best(),
        }
    }

    /// The shares of the running averages of gradient and square that are kept in each step (each in `[0, 1)`; default 0.9 and 0.999).
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (beta1, beta2);
        self
    }

    /// What is added to the root of the average square (finite, at least 0; default 1e-8).
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Weight decay (finite, at least 0; default 0).
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Scales by the largest average square so far (default off).
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.amsgrad = amsgrad;
        self
    }

    settings_of_parameters! { "Adam::weight_decay" }

    /// Whether all settings are in their ranges; every step looks too.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the first that isn't.
    pub fn check(&self) -> Result<()> {
        not_negative::<T>("learning_rate", self.learning_rate)?;
        fraction("beta1", self.betas.0)?;
        fraction("beta2", self.betas.1)?;
        not_negative::<T>("eps", self.eps)?;
        not_negative::<T>("weight_decay", self.weight_decay)?;
        self.matching.check::<T>()
    }

    fn name(&self) -> &'static str {
        if self.decoupled { "adamw" } else { "adam" }
    }

    fn settings(&self) -> Vec<(&str, f64)> {
        let amsgrad = f64::from(u8::from(self.amsgrad));
        let own = [("beta1", self.betas.0), ("beta2", self.betas.1), ("eps", self.eps), ("weight_decay", self.weight_decay), ("amsgrad", amsgrad)];
        own.into_iter().chain(self.matching.settings()).collect()
    }
}

impl<T: Real> Stepper<T> for Adam<T> {
    fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()> {
        self.check()?;
        let runs = self.matching.begin(theta.layout(), grad.layout())?;
        let n = theta.values().len();
        self.mean.resize(n, T::default());
        self.square.resize(n, T::default());
        self.largest.resize(if self.amsgrad { n } else { 0 }, T::default());
        for run in runs {
            let (rate, decay) = run.settings(self.learning_rate, self.weight_decay);
            let rule = Rule::new(rate, self.betas, self.eps, run.count);
            let (x, g) = (&mut theta.values_mut()[run.theta.clone()], &grad.values()[run.grad.clone()]);
            let (m, v) = (&mut self.mean[run.theta.clone()], &mut self.square[run.theta.clone()]);
            let u: &mut [T] = if self.amsgrad { &mut self.largest[run.theta.clone()] } else { &mut [] };
            let level = run.level(self.level);
            if decay == 0.0 {
                level.here(|| rule.update(x, g, (m, v, u), |_, g| g, |x| x));
            } else if self.decoupled {
                let shrink = T::from_f64(1.0 - rate * decay);
                level.here(|| rule.update(x, g, (m, v, u), |_, g| g, |x| x * shrink));
            } else {
                let decay = T::from_f64(decay);
                level.here(|| rule.update(x, g, (m, v, u), |x, g| g + decay * x, |x| x));
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
        let mut state = State::new::<T>(self.name(), self.learning_rate).settings(&self.settings());
        state = state.vector(MEAN, &self.mean).vector(SQUARE, &self.square);
        if self.amsgrad {
            state = state.vector(LARGEST, &self.largest);
        }
        self.matching.save(&mut state);
        state
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let names = [MEAN, SQUARE, LARGEST];
        let mut vectors = state.check::<T>(self.name(), &self.settings(), &names[..if self.amsgrad { 3 } else { 2 }])?.into_iter();
        self.matching.restore(state)?;
        self.learning_rate = state.learning_rate;
        self.mean = vectors.next().unwrap_or_default();
        self.square = vectors.next().unwrap_or_default();
        self.largest = vectors.next().unwrap_or_default();
        Ok(())
    }
}

/// The numbers of one step, rounded to the number type.
#[derive(Clone, Copy)]
struct Rule<T> {
    keep: (T, T),
    take: (T, T),
    eps: T,
    step_size: T,
    root: T,
}

impl<T: Real> Rule<T> {
    /// With the bias corrections of step `t`, from 1.
    fn new(learning_rate: f64, betas: (f64, f64), eps: f64, t: u64) -> Self {
        let number = T::from_f64;
        Rule {
            keep: (number(betas.0), number(betas.1)),
            take: (number(1.0 - betas.0), number(1.0 - betas.1)),
            eps: number(eps),
            step_size: number(learning_rate / correction(betas.0, t)),
            root: number(correction(betas.1, t).sqrt()),
        }
    }

    /// One step of a run of numbers, scaled by the largest average square if there is room for it. `decayed` puts weight decay into the gradient, and
    /// `shrunk` into the parameter, or they don't: nothing is decided inside of the loops.
    #[inline(always)]
    fn update(self, x: &mut [T], g: &[T], (m, v, u): (&mut [T], &mut [T], &mut [T]), decayed: impl Fn(T, T) -> T, shrunk: impl Fn(T) -> T) {
        let Rule { keep, take, eps, step_size, root } = self;
        let average = |g: T, m: &mut T, v: &mut T| {
            *m = keep.0 * *m + take.0 * g;
            *v = keep.1 * *v + take.1 * g * g;
        };
        let moved = |x: T, m: T, v: T| x - step_size * m / (v.sqrt() / root + eps);
        if u.is_empty() {
            for (((x, g), m), v) in x.iter_mut().zip(g).zip(m).zip(v) {
                average(decayed(*x, *g), m, v);
                *x = moved(shrunk(*x), *m, *v);
            }
        } else {
            for ((((x, g), m), v), u) in x.iter_mut().zip(g).zip(m).zip(v).zip(u) {
                average(decayed(*x, *g), m, v);
                // Written so that a NaN stays.
                *u = if *v <= *u { *u } else { *v };
                *x = moved(shrunk(*x), *m, *u);
            }
        }
    }
}

/// `1 - beta^t`.
fn correction(beta: f64, t: u64) -> f64 {
    // ln(beta) is at most beta - 1: the power is below 2^-57 and the difference 1, without the power's 10 ns.
    if (1.0 - beta) * t as f64 > 40.0 { 1.0 } else { 1.0 - beta.powf(t as f64) }
}

/// AdamW: Adam with weight decay applied to the parameters and not to the gradient, with the rules of `torch.optim.AdamW`.
///
/// Each step first shrinks the parameters, `theta <- theta - lr * weight_decay * theta`, then goes on as [`Adam`] without weight decay.
///
/// Loshchilov and Hutter, *Decoupled weight decay regularization* (2019, arXiv:1711.05101).
///
/// ```
/// use tapeless::fit::{AdamW, Stepper};
/// let adamw = AdamW::<f64>::new(1e-3).weight_decay(0.1);
/// assert!(adamw.check().is_ok());
/// let error = AdamW::<f64>::new(1e-3).betas(0.9, 1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "beta2: must be at least 0 and below 1, but is 1");
/// ```
#[derive(Clone, Debug)]
pub struct AdamW<T: Real = f64>(Adam<T>);

impl<T: Real> AdamW<T> {
    /// AdamW with this learning rate (finite, at least 0; PyTorch's default is 1e-3), betas 0.9 and 0.999, eps 1e-8, weight decay 1e-2, no `amsgrad`.
    pub fn new(learning_rate: f64) -> Self {
        AdamW(Adam { decoupled: true, weight_decay: 1e-2, ..Adam::new(learning_rate) })
    }

    /// As [`Adam::betas`].
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        AdamW(self.0.betas(beta1, beta2))
    }

    /// As [`Adam::eps`].
    pub fn eps(self, eps: f64) -> Self {
        AdamW(self.0.eps(eps))
    }

    /// The share, times the learning rate, that parameters lose in each step (finite, at least 0; default 1e-2).
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        AdamW(self.0.weight_decay(weight_decay))
    }

    /// As [`Adam::amsgrad`].
    pub fn amsgrad(self, amsgrad: bool) -> Self {
        AdamW(self.0.amsgrad(amsgrad))
    }

    /// As [`Adam::learning_rate_factor`].
    pub fn learning_rate_factor(self, param: &str, factor: f64) -> Self {
        AdamW(self.0.learning_rate_factor(param, factor))
    }

    /// As [`Adam::weight_decay_of`].
    pub fn weight_decay_of(self, param: &str, weight_decay: f64) -> Self {
        AdamW(self.0.weight_decay_of(param, weight_decay))
    }

    /// As [`Adam::check`].
    ///
    /// # Errors
    /// As there.
    pub fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl<T: Real> Stepper<T> for AdamW<T> {
    fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()> {
        self.0.step(theta, grad)
    }
    fn learning_rate(&self) -> f64 {
        self.0.learning_rate
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.0.set_learning_rate(learning_rate);
    }
    fn state(&self) -> State {
        self.0.state()
    }
    fn restore(&mut self, state: &State) -> Result<()> {
        self.0.restore(state)
    }
}
