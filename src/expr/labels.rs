//! Labels: a column of whole numbers that choose one entry of a vector, or one row of a parameter, for each sample.

use super::{Expr, Graph};
use crate::error::{Mistake, Place};
use crate::graph::{Dag, Op};
use crate::shape::Shape;

/// A column of labels, made by [`Graph::labels`]: a class, a group, a person for each sample.
///
/// They are whole numbers from 0; what they are used for says how large they may be, and binding checks every one.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'g> {
    number: Expr<'g>,
}

impl Graph {
    /// A column of labels, bound as integers of any type (`u32` is read where it lies; the others are read a block at a time), as integers that
    /// may be missing (`Option<u32>`, `Option<i64>`), or as whole numbers among the reals.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (y, site) = (g.data("y"), g.labels("site"));
    /// let effect = g.param_with("effect", &[3]);           // one number a site
    /// let loss = (y - effect.gather(site)).square().sum();
    ///
    /// let program = loss.compile()?;
    /// let data = program.bind([("y", Columns::from(&[1.0, 2.0, 4.0])), ("site", Columns::from(&[2u32, 0, 2]))])?;
    /// let (value, grad) = data.value_and_grad(&program.params([("effect", [0.0, 0.0, 1.0])])?)?;
    /// assert_eq!(value, 13.0);
    /// assert_eq!(grad.get("effect")?, [-4.0, 0.0, -6.0]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn labels(&self, name: &str) -> Labels<'_> {
        let number = self.input(name, Shape::per_sample(&[]), |dag: &mut Dag, name, _, place| dag.add_labels(name, u32::MAX, place));
        Labels { number }
    }
}

impl<'g> Labels<'g> {
    /// The label as a number.
    pub fn number(self) -> Expr<'g> {
        self.number
    }

    /// The label as a vector of `k` entries, 1 at the label and 0 elsewhere: shape `[samples, k]`. Labels are below `k`.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let share = g.labels("class").one_hot(3).mean_samples().compile_function()?;
    /// let shares = share.bind([("class", &[2u8, 0, 2, 2])])?.eval(&share.zeros())?;
    /// assert_eq!(shares[0].numbers, [0.25, 0.0, 0.75]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn one_hot(self, k: usize) -> Expr<'g> {
        let graph = self.number.graph();
        if self.number.is_poisoned() {
            return self.number;
        }
        let shape = Shape::new(&[k]);
        if !shape.is_sound() {
            return graph.mistake(Mistake::UnusableShape { what: "one_hot".into(), shape, place: Some(Place::caller()) });
        }
        self.limit(k, Place::caller());
        self.number.eq(graph.array(&[k], &(0..k).map(|c| c as f64).collect::<Vec<_>>()))
    }

    /// Labels are below `k`.
    fn limit(self, k: usize, place: Place) {
        if !self.number.is_poisoned() {
            self.number.graph().dag.borrow_mut().limit_labels(self.number.id(), k, Some(place));
        }
    }
}

impl<'g> Expr<'g> {
    /// The entry of the last dimension that the label says, for each sample: `[samples, .., k]` or `[.., k]` gives `[samples, ..]`. Labels are below `k`.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// // Cross entropy: minus the logarithm of the softmax at the label.
    /// let g = Graph::new();
    /// let (x, y) = (g.data("x"), g.labels("y"));
    /// let logits = x.reshape(&[1]) * g.param_with("w", &[2]);
    /// let loss = -logits.log_softmax(-1).pick(y).mean();
    /// let program = loss.compile()?;
    /// let data = program.bind([("x", Columns::from(&[1.0, 2.0])), ("y", Columns::from(&[0i64, 1]))])?;
    /// let value = data.value(&program.params([("w", [0.0, 0.0])])?)?;
    /// assert!((value - 2.0f64.ln()).abs() < 1e-15);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn pick(self, labels: Labels<'g>) -> Expr<'g> {
        let shape = self.shape();
        if self.is_poisoned() || labels.number.is_poisoned() {
            return self.poisoned();
        }
        let Some(k) = shape.dims().last().copied() else {
            return self.graph().mistake(Mistake::NoSuchAxis { op: "pick".into(), axis: "-1".into(), shape, place: Some(Place::caller()) });
        };
        if !std::ptr::eq(labels.number.graph(), self.graph()) {
            return self.graph().gathered("pick", &[self, labels.number], Op::Gather);
        }
        if shape.varies_over_samples() {
            let mut hot: crate::shape::Dims = smallvec::smallvec![1; shape.dims().len() - 1];
            hot.push(k);
            return labels.one_hot(k).reshape(&hot).select(self, 0.0).sum_dim(-1);
        }
        // The last dimension first, then one row a sample.
        let rest = shape.entries() / k;
        let table = self.reshape(&[rest, k]).transpose().reshape(&[&[k], &shape.dims()[..shape.dims().len() - 1]].concat());
        table.gather(labels)
    }

    /// The row of a table that the label says, for each sample: `[rows, dims..]` without samples gives `[samples, dims..]`. Labels are below `rows`.
    ///
    /// Random effects (a table `[groups]`) and embeddings (`[words, d]`) are this. The derivative by the table is the sum by groups: see [`Expr::sum_by`].
    #[track_caller]
    pub fn gather(self, labels: Labels<'g>) -> Expr<'g> {
        let shape = self.shape();
        if self.is_poisoned() || labels.number.is_poisoned() {
            return self.poisoned();
        }
        let rows = shape.dims().first().copied();
        let (Some(rows), false) = (rows, shape.varies_over_samples()) else {
            let shapes = vec![shape, labels.number.shape()];
            return self.graph().mistake(Mistake::Shapes { op: "gather (a table without samples, labels)".into(), shapes, place: Some(Place::caller()) });
        };
        if std::ptr::eq(labels.number.graph(), self.graph()) {
            labels.limit(rows, Place::caller());
        }
        self.graph().gathered("gather", &[self, labels.number], Op::Gather)
    }

    /// For each of `groups` groups the sum over the samples with that label: `[samples, dims..]` gives `[groups, dims..]`. Labels are below `groups`;
    /// a group without samples sums to 0.
    ///
    /// Samples are added in their order, with the rounding error carried along (Knuth's two-sum), so the result depends neither on the number of
    /// threads nor much on the number of samples. Memory beside the data: two numbers a group and entry.
    ///
    /// A function of such sums, as a likelihood of persons with several rows each, is differentiated in a second pass over the samples.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let totals = g.data("x").sum_by(g.labels("person"), 3).compile_function()?;
    /// let data = totals.bind([("x", Columns::from(&[1.0, 2.0, 4.0])), ("person", Columns::from(&[2u32, 0, 2]))])?;
    /// assert_eq!(data.eval(&totals.zeros())?[0].numbers, [2.0, 0.0, 5.0]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn sum_by(self, labels: Labels<'g>, groups: usize) -> Expr<'g> {
        let shape = self.shape();
        if self.is_poisoned() || labels.number.is_poisoned() {
            return self.poisoned();
        }
        let place = Some(Place::caller());
        if !shape.varies_over_samples() {
            return self.graph().mistake(Mistake::NoSuchAxis { op: "sum_by".into(), axis: "samples".into(), shape, place });
        }
        let mut dims: crate::shape::Dims = shape.dims().into();
        dims.insert(0, groups);
        let to = Shape::new(&dims);
        if !to.is_sound() {
            return self.graph().mistake(Mistake::UnusableShape { what: "sum_by".into(), shape: to, place });
        }
        if std::ptr::eq(labels.number.graph(), self.graph()) {
            labels.limit(groups, Place::caller());
        }
        self.graph().gathered("sum_by", &[self, labels.number], Op::SumBy(groups as u32))
    }
}
