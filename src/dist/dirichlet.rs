//! The Dirichlet distribution: of probabilities that sum to 1.

use super::Distribution;
use super::draw::{Draw, Parameter, positive};
use super::support::{beside, minus_infinity, x_ln};
use crate::error::Result;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, Open01};

/// How far from 1 the entries may sum up to: what rounding to `f32` leaves of a few hundred of them.
const TOLERANCE: f64 = 1e-5;

/// A Dirichlet distribution; make it with [`dirichlet`].
#[derive(Clone, Copy, Debug)]
pub struct Dirichlet<'g> {
    concentration: Expr<'g>,
}

/// The Dirichlet distribution with these positive concentrations, `[k]`; all 1 is uniform on the simplex.
pub fn dirichlet(concentration: Expr<'_>) -> Dirichlet<'_> {
    Dirichlet { concentration }
}

impl<'g> Dirichlet<'g> {
    /// The log density `sum((a - 1) ln x) + ln_gamma(sum a) - sum(ln_gamma(a))` of vectors `[.., k]` of numbers from 0 that sum to 1 (within 1e-5):
    /// one number each. The density is that of the first `k - 1` entries.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let (x, a) = (beside(self.concentration, x), self.concentration);
        let (found, expected) = (x.shape(), a.shape());
        if found.dims().last() != expected.dims().last() && !x.is_poisoned() && !a.is_poisoned() {
            return x.refused("dirichlet", vec![found, expected]);
        }
        let norm = a.sum_dim(-1).ln_gamma() - a.ln_gamma().sum_dim(-1);
        let outside = x.min_dim(-1).lt(0.0).or((x.sum_dim(-1) - 1.0).abs().gt(TOLERANCE));
        minus_infinity(outside, x_ln(a - 1.0, x).sum_dim(-1) + norm)
    }

    /// The mean, `a / sum(a)`, `[k]`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.concentration / self.total()
    }

    /// The variance of each entry, `m (1 - m) / (sum(a) + 1)` for mean `m`, `[k]`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        let m = self.mean();
        m * (1.0 - m) / (self.total() + 1.0)
    }

    /// The sum of the concentrations, as a dimension of extent 1.
    #[track_caller]
    fn total(self) -> Expr<'g> {
        let sum = self.concentration.sum_dim(-1);
        let mut dims = sum.shape().dims().to_vec();
        dims.push(1);
        sum.reshape(&dims)
    }
}

impl<'g> Distribution<'g> for Dirichlet<'g> {
    fn log_prob(&self, x: Expr<'g>) -> Expr<'g> {
        Dirichlet::log_prob(*self, x)
    }
    fn mean(&self) -> Expr<'g> {
        Dirichlet::mean(*self)
    }
    fn variance(&self) -> Expr<'g> {
        Dirichlet::variance(*self)
    }
    fn parameters(&self) -> Vec<Parameter<'g>> {
        vec![Parameter { name: "concentration", value: self.concentration, dims: 1 }]
    }
    fn draw(&self, numbers: &[&[f64]]) -> Result<Draw> {
        let mut gammas = Vec::new();
        for a in numbers[0] {
            let a = positive("dirichlet", "concentration", *a)?;
            gammas.push((a, rand_distr::Gamma::new(a + 1.0, 1.0).expect("a positive shape")));
        }
        Ok(Draw::vector(gammas.len(), move |rng, out| {
            // A gamma number of shape `a` is one of shape `a + 1` times `u^(1/a)` (Marsaglia and Tsang 2000): by logarithms, because for small `a`
            // all of them may underflow.
            for (x, (a, gamma)) in out.iter_mut().zip(&gammas) {
                let u: f64 = Open01.sample(&mut *rng);
                *x = gamma.sample(&mut *rng).ln() + u.ln() / a;
            }
            let largest = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            out.iter_mut().for_each(|x| *x = (*x - largest).exp());
            let sum: f64 = out.iter().sum();
            out.iter_mut().for_each(|x| *x /= sum);
        }))
    }
}
