//! Mixtures: a component is chosen by weight, then the value is drawn from it.

use super::Distribution;
use super::draw::{Draw, Parameter, chooser};
use super::support::beside;
use crate::error::{Error, Result};
use crate::expr::{Expr, Operand};
use crate::shape::Shape;
use std::fmt;
use std::rc::Rc;

type Boxed<'g> = Box<dyn Distribution<'g> + 'g>;

/// A mixture; make it with [`mixture`] or [`mixture_log_weights`].
#[derive(Clone)]
pub struct Mixture<'g> {
    log_weights: Expr<'g>,
    components: Rc<[Boxed<'g>]>,
}

impl fmt::Debug for Mixture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mixture of {} components with log weights {:?}", self.components.len(), self.log_weights)
    }
}

/// What a mixture can be made of: an array or a vector of distributions of one kind, a tuple of distributions of several, or boxed ones.
pub trait Components<'g> {
    /// The distributions, boxed.
    fn boxed(self) -> Vec<Box<dyn Distribution<'g> + 'g>>;
}

impl<'g, D: Distribution<'g> + 'g, const N: usize> Components<'g> for [D; N] {
    fn boxed(self) -> Vec<Boxed<'g>> {
        self.into_iter().map(|d| Box::new(d) as Boxed<'g>).collect()
    }
}

impl<'g, D: Distribution<'g> + 'g> Components<'g> for Vec<D> {
    fn boxed(self) -> Vec<Boxed<'g>> {
        self.into_iter().map(|d| Box::new(d) as Boxed<'g>).collect()
    }
}

macro_rules! tuples {
    ($(($($d:ident)+))+) => {$(
        impl<'g, $($d: Distribution<'g> + 'g),+> Components<'g> for ($($d,)+) {
            #[allow(non_snake_case)] // A type parameter's name serves for its value.
            fn boxed(self) -> Vec<Boxed<'g>> {
                let ($($d,)+) = self;
                vec![$(Box::new($d)),+]
            }
        }
    )+};
}
tuples! { (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

impl<'g> Distribution<'g> for Boxed<'g> {
    fn log_prob(&self, x: Expr<'g>) -> Expr<'g> {
        (**self).log_prob(x)
    }
    fn mean(&self) -> Expr<'g> {
        (**self).mean()
    }
    fn variance(&self) -> Expr<'g> {
        (**self).variance()
    }
    fn cdf(&self, x: Expr<'g>) -> Option<Expr<'g>> {
        (**self).cdf(x)
    }
    fn parameters(&self) -> Vec<Parameter<'g>> {
        (**self).parameters()
    }
    fn draw(&self, numbers: &[&[f64]]) -> Result<Draw> {
        (**self).draw(numbers)
    }
}

/// The mixture of these components with weights `softmax(logits)`, `[k]` for `k` components (or `[samples, k]`).
///
/// Components whose parameters are the entries of vectors: `(0..k).map(|j| normal(loc.index(&[j]), 1.0)).collect::<Vec<_>>()`.
///
/// ```
/// use tapeless::{dist::{cauchy, mixture, normal}, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, loc, logits) = (g.data("x"), g.param("loc"), g.param_with("logits", &[2]));
/// let clean = mixture(logits, [normal(loc, 1.0), normal(-loc, 1.0)]);     // two of a kind
/// let dirty = mixture(logits, (clean, cauchy(loc, 10.0)));                // and of different kinds, one of them a mixture
/// let program = dirty.log_prob(x).sum().compile()?;
/// let data = program.bind([("x", &[0.5, -3.0])])?;
/// let value = data.value(&program.params([("loc", vec![0.0]), ("logits", vec![0.0, 0.0])])?)?;
/// let one = |x: f64| (0.5 * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt() + 0.5 / (std::f64::consts::PI * 10.0 * (1.0 + x * x / 100.0))).ln();
/// assert!((value - one(0.5) - one(-3.0)).abs() < 1e-14);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn mixture<'g>(logits: Expr<'g>, components: impl Components<'g>) -> Mixture<'g> {
    mixture_log_weights(logits.log_softmax(-1), components)
}

/// The mixture of these components whose weights have these logarithms, `[k]`, and sum to 1 as they are.
#[track_caller]
pub fn mixture_log_weights<'g>(log_weights: Expr<'g>, components: impl Components<'g>) -> Mixture<'g> {
    let components = components.boxed();
    let found = log_weights.shape();
    let log_weights = if found.dims().last() == Some(&components.len()) || log_weights.is_poisoned() {
        log_weights
    } else {
        log_weights.refused("mixture", vec![found, Shape::new(&[components.len()])])
    };
    Mixture { log_weights, components: components.into() }
}

impl<'g> Mixture<'g> {
    /// The log density `log_sum_exp(log_weight + log_prob)` over the components; where all of them are minus infinity it is too.
    #[track_caller]
    pub fn log_prob(&self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.log_weights, x);
        let logs = self.stacked(self.components.iter().map(|c| c.log_prob(x)).collect());
        (logs + self.log_weights).log_sum_exp_dim(-1)
    }

    /// The mean: the components', weighted.
    #[track_caller]
    pub fn mean(&self) -> Expr<'g> {
        self.weighted(|c| c.mean())
    }

    /// The variance: the components' variances, and how far their means lie from the mixture's, weighted.
    #[track_caller]
    pub fn variance(&self) -> Expr<'g> {
        let mean = self.mean();
        self.weighted(|c| c.variance() + (c.mean() - mean).square())
    }

    /// The probability of at most `x`, if each component has it.
    #[track_caller]
    pub fn cdf(&self, x: impl Operand<'g>) -> Option<Expr<'g>> {
        let x = beside(self.log_weights, x);
        let each: Vec<Expr> = self.components.iter().map(|c| c.cdf(x)).collect::<Option<_>>()?;
        Some((self.stacked(each) * self.log_weights.exp()).sum_dim(-1))
    }

    /// The sum over components of weight times a value (a number, or the entries of a vector).
    #[track_caller]
    fn weighted(&self, of: impl Fn(&Boxed<'g>) -> Expr<'g>) -> Expr<'g> {
        let weights = self.log_weights.exp();
        let axis = self.log_weights.shape().dims().len() as isize - 1;
        let terms = self.components.iter().enumerate().map(|(k, c)| {
            let weight = weights.slice(axis, k..k + 1);
            let value = of(c);
            // `[.., 1]` broadcasts over a vector's entries; a number loses that axis.
            if value.shape().dims().is_empty() { weight.reshape(&weight.shape().dims()[..axis.max(0) as usize]) * value } else { weight * value }
        });
        terms.reduce(|a, b| a + b).unwrap_or_else(|| self.log_weights.poisoned())
    }

    /// Values of the components side by side along a new last axis.
    #[track_caller]
    fn stacked(&self, values: Vec<Expr<'g>>) -> Expr<'g> {
        let common = values.iter().try_fold(Shape::default(), |s, e| s.broadcast(&e.shape()));
        let Some(common) = common else { return self.log_weights.refused("mixture", values.iter().map(|e| e.shape()).collect()) };
        let same: Vec<Expr> = values.iter().map(|e| e.broadcast_to(common.dims())).collect();
        self.log_weights.graph().stack(&same, common.dims().len())
    }
}

impl<'g> Distribution<'g> for Mixture<'g> {
    fn log_prob(&self, x: Expr<'g>) -> Expr<'g> {
        Mixture::log_prob(self, x)
    }
    fn mean(&self) -> Expr<'g> {
        Mixture::mean(self)
    }
    fn variance(&self) -> Expr<'g> {
        Mixture::variance(self)
    }
    fn cdf(&self, x: Expr<'g>) -> Option<Expr<'g>> {
        Mixture::cdf(self, x)
    }
    fn parameters(&self) -> Vec<Parameter<'g>> {
        let weights = Parameter { name: "log_weights", value: self.log_weights, dims: 1 };
        std::iter::once(weights).chain(self.components.iter().flat_map(|c| c.parameters())).collect()
    }
    fn draw(&self, numbers: &[&[f64]]) -> Result<Draw> {
        let (log_weights, mut rest) = (numbers[0], &numbers[1..]);
        let index = chooser("mixture", log_weights)?;
        let mut draws = Vec::new();
        for c in self.components.iter() {
            let (own, others) = rest.split_at(c.parameters().len());
            draws.push(c.draw(own)?);
            rest = others;
        }
        let Some(first) = draws.first() else {
            return Err(Error::Setting { name: "mixture".into(), message: "has no components".into() });
        };
        let (entries, vector) = (first.len(), first.is_vector());
        if draws.iter().any(|d| d.len() != entries || d.is_vector() != vector) {
            return Err(Error::Setting { name: "mixture".into(), message: "the components draw values of different lengths".into() });
        }
        let choose = move |rng: &mut dyn rand::Rng, out: &mut [f64]| draws[index(&mut *rng)].fill(rng, out);
        Ok(if vector {
            Draw::vector(entries, choose)
        } else {
            Draw::number(move |rng| {
                let mut x = [0.0];
                choose(rng, &mut x);
                x[0]
            })
        })
    }
}
