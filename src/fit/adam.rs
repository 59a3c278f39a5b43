//! Adam, AMSGrad and AdamW, as `torch.optim.Adam` and `torch.optim.AdamW` define them.

use super::matching::Matching;
use super::state::State;
use super::stepper::{Stepper, fraction, not_negative};
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

    /// Multiplies the learning rate by this for one parameter (finite, at least 0), as a parameter group in PyTorch has a learning rate of its own.
    /// A name that no parameter has is an error of the first step.
    pub fn learning_rate_factor(mut self, param: &str, factor: f64) -> Self {
        self.matching.set_learning_rate_factor(param, factor);
        self
    }

    /// The weight decay of one parameter (finite, at least 0), in place of [`Adam::weight_decay`]: 0 for an intercept, say.
    /// A name that no parameter has is an error of the first step.
    pub fn weight_decay_of(mut self, param: &str, weight_decay: f64) -> Self {
        self.matching.set_weight_decay(param, weight_decay);
        self
    }

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
            let (rate, decay) = (self.learning_rate * run.learning_rate_factor, run.weight_decay.unwrap_or(self.weight_decay));
            let rule = Rule::new(rate, self.betas, self.eps, decay, self.decoupled).at(run.count);
            let g = &grad.values()[run.grad.clone()];
            let x = &mut theta.values_mut()[run.theta.clone()];
            let (m, v) = (&mut self.mean[run.theta.clone()], &mut self.square[run.theta.clone()]);
            if self.amsgrad {
                let u = &mut self.largest[run.theta.clone()];
                for ((((x, g), m), v), u) in x.iter_mut().zip(g).zip(m).zip(v).zip(u) {
                    let at = rule.averages(*x, *g, m, v);
                    // Written so that a NaN stays.
                    *u = if *v <= *u { *u } else { *v };
                    *x = rule.moved(at, *m, *u);
                }
            } else {
                for (((x, g), m), v) in x.iter_mut().zip(g).zip(m).zip(v) {
                    let at = rule.averages(*x, *g, m, v);
                    *x = rule.moved(at, *m, *v);
                }
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
    learning_rate: f64,
    betas: (f64, f64),
    keep: (T, T),
    take: (T, T),
    eps: T,
    /// Added to the gradient, times the parameter.
    decay: Option<T>,
    /// What the parameter shrinks by.
    shrink: Option<T>,
    step_size: T,
    root: T,
}

impl<T: Real> Rule<T> {
    fn new(learning_rate: f64, betas: (f64, f64), eps: f64, weight_decay: f64, decoupled: bool) -> Self {
        let decays = weight_decay != 0.0;
        Rule {
            learning_rate,
            betas,
            keep: (T::from_f64(betas.0), T::from_f64(betas.1)),
            take: (T::from_f64(1.0 - betas.0), T::from_f64(1.0 - betas.1)),
            eps: T::from_f64(eps),
            decay: (decays && !decoupled).then(|| T::from_f64(weight_decay)),
            shrink: (decays && decoupled).then(|| T::from_f64(1.0 - learning_rate * weight_decay)),
            step_size: T::default(),
            root: T::default(),
        }
    }

    /// With the bias corrections of step `t`, from 1.
    fn at(mut self, t: u64) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(t as f64);
        self.step_size = T::from_f64(self.learning_rate / correction(self.betas.0));
        self.root = T::from_f64(correction(self.betas.1).sqrt());
        self
    }

    /// Moves the averages on; gives back the parameter, shrunk where decay is decoupled.
    #[inline(always)]
    fn averages(&self, x: T, g: T, m: &mut T, v: &mut T) -> T {
        let g = self.decay.map_or(g, |decay| g + decay * x);
        *m = self.keep.0 * *m + self.take.0 * g;
        *v = self.keep.1 * *v + self.take.1 * g * g;
        self.shrink.map_or(x, |shrink| x * shrink)
    }

    /// The parameter after the step.
    #[inline(always)]
    fn moved(&self, x: T, m: T, v: T) -> T {
        x - self.step_size * m / (v.sqrt() / self.root + self.eps)
    }
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
