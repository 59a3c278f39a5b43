//! The multivariate normal distribution, by covariance, Cholesky factor, standard deviations, or one of these for all.

use super::Distribution;
use super::draw::{Draw, Parameter, finite, positive};
use super::support::beside;
use crate::error::Result;
use crate::expr::{Expr, Operand};
use rand_distr::{Distribution as _, StandardNormal};
use std::f64::consts::TAU;

/// A multivariate normal distribution; make it with [`multivariate_normal`], [`multivariate_normal_cholesky`], [`multivariate_normal_diagonal`] or
/// [`multivariate_normal_isotropic`].
#[derive(Clone, Copy, Debug)]
pub struct MultivariateNormal<'g> {
    loc: Expr<'g>,
    factor: Factor<'g>,
}

/// What a standard normal vector is multiplied by.
#[derive(Clone, Copy, Debug)]
enum Factor<'g> {
    /// A lower triangular matrix `[d, d]`.
    Full(Expr<'g>),
    /// The diagonal of a matrix, `[d]`.
    Diagonal(Expr<'g>),
    /// A number.
    Isotropic(Expr<'g>),
}

/// The normal distribution of vectors with mean `loc`, `[d]`, and this symmetric positive definite covariance, `[d, d]`. The Cholesky factor is
/// computed once per call.
///
/// ```
/// use tapeless::{dist::multivariate_normal, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, loc) = (g.data_with("x", &[2]), g.param_with("loc", &[2]));
/// let covariance = g.array(&[2, 2], &[1.0, 0.5, 0.5, 2.0]);
/// let program = (-multivariate_normal(loc, covariance).log_prob(x).sum()).compile()?;
/// let columns: [&[f64]; 2] = [&[1.0, 3.0], &[0.0, 1.0]];
/// let data = program.bind([("x", columns.to_vec())])?;
/// let (_, grad) = data.value_and_grad(&program.params([("loc", [2.0, 0.5])])?)?;
/// assert!(grad.norm() < 1e-15);                                   // at the mean of the samples
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn multivariate_normal<'g>(loc: Expr<'g>, covariance: Expr<'g>) -> MultivariateNormal<'g> {
    MultivariateNormal { loc, factor: Factor::Full(fitting(loc, covariance.cholesky(), 2)) }
}

/// The normal distribution of vectors with mean `loc`, `[d]`, and covariance `L L^T` for this lower triangular matrix with positive diagonal, `[d, d]`,
/// of which only the lower triangle is read.
#[track_caller]
pub fn multivariate_normal_cholesky<'g>(loc: Expr<'g>, factor: Expr<'g>) -> MultivariateNormal<'g> {
    MultivariateNormal { loc, factor: Factor::Full(fitting(loc, factor.tril(), 2)) }
}

/// The normal distribution of vectors with mean `loc`, `[d]`, and independent entries with these standard deviations, `[d]`.
#[track_caller]
pub fn multivariate_normal_diagonal<'g>(loc: Expr<'g>, scales: Expr<'g>) -> MultivariateNormal<'g> {
    MultivariateNormal { loc, factor: Factor::Diagonal(fitting(loc, scales, 1)) }
}

/// The normal distribution of vectors with mean `loc`, `[d]`, and independent entries, each with this standard deviation.
#[track_caller]
pub fn multivariate_normal_isotropic<'g>(loc: Expr<'g>, scale: impl Operand<'g>) -> MultivariateNormal<'g> {
    MultivariateNormal { loc, factor: Factor::Isotropic(fitting(loc, beside(loc, scale), 0)) }
}

/// The value, if its last `own` dimensions are as many as the vector `loc` has entries: broadcasting must not make up entries.
#[track_caller]
fn fitting<'g>(loc: Expr<'g>, value: Expr<'g>, own: usize) -> Expr<'g> {
    let (vector, shape) = (loc.shape(), value.shape());
    let fits = vector.dims().last().is_some_and(|d| shape.dims().len() >= own && shape.dims().iter().rev().take(own).all(|e| e == d));
    if fits || loc.is_poisoned() || value.is_poisoned() { value } else { value.refused("multivariate_normal", vec![vector, shape]) }
}

impl<'g> MultivariateNormal<'g> {
    /// The log density `-|L^-1 (x - loc)|^2 / 2 - sum(ln diag L) - d ln(2 pi) / 2` of vectors `[.., d]`: one number each.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let residual = fitting(self.loc, beside(self.loc, x), 1) - self.loc;
        let z = match self.factor {
            Factor::Full(l) => l.solve_lower(residual),
            Factor::Diagonal(s) => residual / s,
            Factor::Isotropic(s) => residual / self.with_last_axis(s),
        };
        -0.5 * z.square().sum_dim(-1) - self.ln_det() - 0.5 * self.entries() as f64 * TAU.ln()
    }

    /// The mean, `[d]`.
    pub fn mean(self) -> Expr<'g> {
        self.loc
    }

    /// The variance of each entry, `[d]`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        match self.factor {
            Factor::Full(l) => l.square().sum_dim(-1),
            Factor::Diagonal(s) => s.square(),
            Factor::Isotropic(s) => self.with_last_axis(s).square().broadcast_to(self.loc.shape().dims()),
        }
    }

    /// The covariance matrix, `[d, d]`.
    #[track_caller]
    pub fn covariance(self) -> Expr<'g> {
        match self.factor {
            Factor::Full(l) => l.matmul(l.transpose()),
            Factor::Diagonal(_) | Factor::Isotropic(_) => self.variance().to_diag(),
        }
    }

    /// The Kullback-Leibler divergence of `other` from this one:
    /// `(|M^-1 L|^2 - d + |M^-1 (loc_other - loc)|^2) / 2 + ln(det M / det L)` with `L` and `M` the factors of this one and the other.
    #[track_caller]
    pub fn kl(self, other: MultivariateNormal<'g>) -> Expr<'g> {
        let m = other.matrix();
        let shape = m.solve_lower(self.matrix()).square().sum_dim(-1).sum_dim(-1);
        let offset = m.solve_lower(other.loc - self.loc).square().sum_dim(-1);
        0.5 * (shape - self.entries() as f64 + offset) + (other.ln_det() - self.ln_det())
    }

    /// `d`; 1 where `loc` is no vector, which is then reported as a mistake.
    fn entries(self) -> usize {
        self.loc.shape().dims().last().copied().unwrap_or(1)
    }

    /// The factor, `[d, d]`.
    #[track_caller]
    fn matrix(self) -> Expr<'g> {
        match self.factor {
            Factor::Full(l) => l,
            Factor::Diagonal(s) => s.to_diag(),
            Factor::Isotropic(s) => self.with_last_axis(s).broadcast_to(self.loc.shape().dims()).to_diag(),
        }
    }

    #[track_caller]
    fn ln_det(self) -> Expr<'g> {
        match self.factor {
            Factor::Full(l) => l.diag().ln().sum_dim(-1),
            Factor::Diagonal(s) => s.ln().sum_dim(-1),
            Factor::Isotropic(s) => s.ln() * self.entries() as f64,
        }
    }

    #[track_caller]
    fn with_last_axis(self, s: Expr<'g>) -> Expr<'g> {
        let mut dims = s.shape().dims().to_vec();
        dims.push(1);
        s.reshape(&dims)
    }
}

impl<'g> Distribution<'g> for MultivariateNormal<'g> {
    fn log_prob(&self, x: Expr<'g>) -> Expr<'g> {
        MultivariateNormal::log_prob(*self, x)
    }
    fn mean(&self) -> Expr<'g> {
        self.loc
    }
    fn variance(&self) -> Expr<'g> {
        MultivariateNormal::variance(*self)
    }
    fn parameters(&self) -> Vec<Parameter<'g>> {
        let (value, dims) = match self.factor {
            Factor::Full(l) => (l, 2),
            Factor::Diagonal(s) => (s, 1),
            Factor::Isotropic(s) => (s, 0),
        };
        vec![Parameter { name: "loc", value: self.loc, dims: 1 }, Parameter { name: "factor", value, dims }]
    }
    fn draw(&self, numbers: &[&[f64]]) -> Result<Draw> {
        const NAME: &str = "multivariate_normal";
        let (loc, factor) = (numbers[0].to_vec(), numbers[1].to_vec());
        let d = loc.len();
        for x in &loc {
            finite(NAME, "loc", *x)?;
        }
        let full = matches!(self.factor, Factor::Full(_));
        let isotropic = matches!(self.factor, Factor::Isotropic(_));
        for (k, x) in factor.iter().enumerate() {
            if !full {
                positive(NAME, "scale", *x)?;
            } else if k / d == k % d {
                positive(NAME, "diagonal of the Cholesky factor", *x)?;
            } else {
                finite(NAME, "Cholesky factor", *x)?;
            }
        }
        Ok(Draw::vector(d, move |rng, out| {
            for x in out.iter_mut() {
                *x = StandardNormal.sample(&mut *rng);
            }
            // From the last entry up, so that the standard normal numbers that an entry needs are still there.
            for i in (0..d).rev() {
                out[i] = loc[i]
                    + match (full, isotropic) {
                        (true, _) => (0..=i).map(|j| factor[i * d + j] * out[j]).sum::<f64>(),
                        (_, true) => factor[0] * out[i],
                        _ => factor[i] * out[i],
                    };
            }
        }))
    }
}
