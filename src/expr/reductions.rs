//! Reductions and normalisations made of the elementary ones: variance, norm, log-sum-exp, softmax, cumulative sums.

use crate::expr::{Expr, Operand};
use crate::graph::Op;

impl<'g> Expr<'g> {
    /// The same value, through which no derivative passes.
    #[track_caller]
    pub fn detach(self) -> Expr<'g> {
        self.graph().gathered("detach", &[self], Op::Detach)
    }

    /// The value limited to `low..=high`; NaN stays NaN. Outside the derivative is 0, at a limit one half.
    #[track_caller]
    pub fn clamp(self, low: impl Operand<'g>, high: impl Operand<'g>) -> Expr<'g> {
        self.max(low).min(high)
    }

    /// The sum of everything, each entry with its weight, `sum(w x)`: one number. Weights broadcast; one for each sample is the common case, and a
    /// sample of weight 3 counts as three equal samples.
    ///
    /// ```
    /// use tapeless::{dist::normal, prelude::*};
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, count, loc) = (g.data("x"), g.data("count"), g.param("loc"));
    /// let program = (-normal(loc, 1.0).log_prob(x).weighted_sum(count)).compile()?;
    /// let data = program.bind([("x", &[0.5, 2.0]), ("count", &[3.0, 1.0])])?;
    /// let (_, grad) = data.value_and_grad(&program.params([("loc", 1.0)])?)?;
    /// assert_eq!(grad.scalar("loc")?, 3.0 * (1.0 - 0.5) + (1.0 - 2.0));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn weighted_sum(self, weights: impl Operand<'g>) -> Expr<'g> {
        (self * weights).sum()
    }

    /// The weighted mean of everything, `sum(w x) / sum(w)`: one number. Weights broadcast as in [`Expr::weighted_sum`]; their sum must not be 0.
    #[track_caller]
    pub fn weighted_mean(self, weights: impl Operand<'g>) -> Expr<'g> {
        let weights = weights.in_graph(self.graph());
        let weighed = self * weights;
        let all = weighed.shape();
        // Every entry's weight, where several entries share one.
        let total = if weights.shape() == all { weights } else { self.graph().gathered("weighted_mean", &[weights], Op::Broadcast(all)) };
        if weighed.is_poisoned() { weighed } else { weighed.sum() / total.sum() }
    }

    /// The variance of everything, divided by the number of entries (not one less), around the mean: one number.
    #[track_caller]
    pub fn var(self) -> Expr<'g> {
        (self - self.mean()).square().mean()
    }

    /// The standard deviation of everything, as [`Expr::var`].
    #[track_caller]
    pub fn std(self) -> Expr<'g> {
        self.var().sqrt()
    }

    /// The variance over samples, divided by their number; keeps the dimensions.
    #[track_caller]
    pub fn var_samples(self) -> Expr<'g> {
        (self - self.mean_samples()).square().mean_samples()
    }

    /// The standard deviation over samples, as [`Expr::var_samples`].
    #[track_caller]
    pub fn std_samples(self) -> Expr<'g> {
        self.var_samples().sqrt()
    }

    /// The variance over one dimension, divided by its extent; the dimension goes.
    #[track_caller]
    pub fn var_dim(self, axis: isize) -> Expr<'g> {
        let mean = self.mean_dim(axis);
        (self - mean.expand_dim(axis)).square().mean_dim(axis)
    }

    /// The standard deviation over one dimension, as [`Expr::var_dim`].
    #[track_caller]
    pub fn std_dim(self, axis: isize) -> Expr<'g> {
        self.var_dim(axis).sqrt()
    }

    /// The Euclidean norm of everything. At 0 its derivative is not finite.
    #[track_caller]
    pub fn norm(self) -> Expr<'g> {
        self.square().sum().sqrt()
    }

    /// The Euclidean norm over one dimension, which goes.
    #[track_caller]
    pub fn norm_dim(self, axis: isize) -> Expr<'g> {
        self.square().sum_dim(axis).sqrt()
    }

    /// `ln(sum(exp(x)))` over one dimension, which goes, shifted by the largest entry so that nothing overflows and the largest never
    /// underflows. All entries minus infinity give minus infinity.
    #[track_caller]
    pub fn log_sum_exp_dim(self, axis: isize) -> Expr<'g> {
        let shift = self.max_dim(axis).shift();
        (self - shift.expand_dim(axis)).exp().sum_dim(axis).ln() + shift
    }

    /// `ln(sum(exp(x)))` over samples, keeping the dimensions, shifted by the largest as in [`Expr::log_sum_exp_dim`]. It takes one pass with its
    /// derivatives: each leaf of samples is shifted by its own largest, and rescaled where leaves meet. The naive formula is replaced by this one.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let program = (g.param("a") * g.data("x")).exp().sum().ln().compile()?;
    /// let data = program.bind([("x", &[1000.0, 999.0])])?;
    /// let (value, grad) = data.value_and_grad(&program.params([("a", 1.0)])?)?;
    /// assert!((value - 1000.313_261_687_518_2).abs() < 1e-12 && (grad.scalar("a")? - 999.731_058_578_630_0).abs() < 1e-12);
    /// assert_eq!(program.passes().call, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn log_sum_exp_samples(self) -> Expr<'g> {
        let shift = self.max_samples().shift();
        (self - shift).exp().sum_samples().ln() + shift
    }

    /// `ln(sum(exp(x)))` over everything: one number, as [`Expr::log_sum_exp_samples`].
    #[track_caller]
    pub fn log_sum_exp(self) -> Expr<'g> {
        let shift = self.max_all().shift();
        (self - shift).exp().sum().ln() + shift
    }

    /// The logarithm of the softmax over one dimension: `x - ln(sum(exp(x)))`, of shifted entries, so that large ones don't cancel.
    #[track_caller]
    pub fn log_softmax(self, axis: isize) -> Expr<'g> {
        let shifted = self - self.max_dim(axis).shift().expand_dim(axis);
        shifted - shifted.exp().sum_dim(axis).ln().expand_dim(axis)
    }

    /// The softmax over one dimension: `exp(x) / sum(exp(x))`, of shifted entries.
    #[track_caller]
    pub fn softmax(self, axis: isize) -> Expr<'g> {
        let shift = self.max_dim(axis).shift();
        let e = (self - shift.expand_dim(axis)).exp();
        e / e.sum_dim(axis).expand_dim(axis)
    }

    /// Cumulative sums along one dimension: entry `k` is the sum of the entries up to and with `k`.
    #[track_caller]
    pub fn cumsum(self, axis: isize) -> Expr<'g> {
        let rank = self.shape().dims().len() as isize;
        let at = if axis < 0 { axis + rank } else { axis };
        if at < 0 || at >= rank {
            // The slice says what is wrong.
            return self.slice(axis, 0..1);
        }
        let extent = self.shape().dims()[at as usize];
        let mut running = self.slice(axis, 0..1);
        let mut parts = vec![running];
        for k in 1..extent {
            running = running + self.slice(axis, k..k + 1);
            parts.push(running);
        }
        self.graph().concat(&parts, at as usize)
    }

    /// What exponents are shifted by: a finite number near the largest, without a derivative (what is added is taken off again).
    #[track_caller]
    fn shift(self) -> Expr<'g> {
        let top = self.detach();
        top.abs().lt(f64::INFINITY).select(top, 0.0)
    }

    /// A dimension of extent 1 where `sum_dim(axis)` and the like took one away, so that the result broadcasts against their operand.
    #[track_caller]
    fn expand_dim(self, axis: isize) -> Expr<'g> {
        let mut dims = self.shape().dims().to_vec();
        let rank = dims.len() as isize + 1;
        let at = if axis < 0 { axis + rank } else { axis };
        // An axis that isn't there was reported by the reduction.
        if (0..rank).contains(&at) {
            dims.insert(at as usize, 1);
        }
        self.reshape(&dims)
    }
}
