//! The beta distribution: of a number from 0 to 1.

use super::gammas::ln_beta;
use super::support::{beside, minus_infinity, x_ln, x_ln_1p};
use super::univariate;
use crate::expr::{Expr, Operand};
use rand_distr::Distribution as _;

/// A beta distribution; make it with [`beta`].
#[derive(Clone, Copy, Debug)]
pub struct Beta<'g> {
    a: Expr<'g>,
    b: Expr<'g>,
}

/// The beta distribution with exponents `a - 1` of `x` and `b - 1` of `1 - x`, both of `a` and `b` positive.
pub fn beta<'g>(a: Expr<'g>, b: impl Operand<'g>) -> Beta<'g> {
    Beta { a, b: beside(a, b) }
}

impl<'g> Beta<'g> {
    /// The log density `(a - 1) ln x + (b - 1) ln(1 - x) - ln B(a, b)` of `x` from 0 to 1; the beta function's logarithm by Algorithm 708.
    #[track_caller]
    pub fn log_prob(self, x: impl Operand<'g>) -> Expr<'g> {
        let x = beside(self.a, x);
        let inside = x_ln(self.a - 1.0, x) + x_ln_1p(self.b - 1.0, -x) - ln_beta(self.a, self.b);
        minus_infinity(x.lt(0.0).or(x.gt(1.0)), inside)
    }

    /// The mean, `a / (a + b)`.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        self.a / (self.a + self.b)
    }

    /// The variance, `a b / ((a + b)^2 (a + b + 1))`.
    #[track_caller]
    pub fn variance(self) -> Expr<'g> {
        let sum = self.a + self.b;
        (self.a / sum) * (self.b / sum) / (sum + 1.0)
    }
}

univariate!(Beta, "beta", |d| (positive a = d.a, positive b = d.b) => {
    let draw = rand_distr::Beta::new(a, b).expect("positive exponents");
    move |rng| draw.sample(rng)
});
