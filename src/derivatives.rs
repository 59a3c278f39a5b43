//! Derivatives as expressions of the graph they are taken in: gradients, Jacobians of a short vector, Hessian-vector products.

use crate::diff;
use crate::error::{Error, Mistake, Place, Result};
use crate::expr::Expr;
use crate::graph::NodeId;
use crate::shape::Shape;
use crate::simplify::stabilise;

impl<'g> Expr<'g> {
    /// The gradient of this number by parameters or data of its graph, as expressions of the same graph: they can be combined,
    /// compiled and differentiated again. By data it has a number for every sample.
    ///
    /// What is differentiated is the stable formula, as in [`Expr::compile`]: the gradient of a naive `ln(1 + exp(x))` is finite everywhere.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, w) = (g.data("x"), g.param("w"));
    /// let loss = (w * x).sin().sum();
    /// let by_x = loss.gradient(&[x])?[0];
    /// let f = by_x.compile_function()?;
    /// let out = f.bind([("x", &[0.0, 1.0])])?.eval(&f.params([("w", 2.0)])?)?;
    /// assert!((out[0].numbers[1] - 2.0 * 2.0f64.cos()).abs() < 1e-15);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Mistakes made so far, this among them if it isn't one number; something in `wrt` that is neither a parameter nor data.
    #[track_caller]
    pub fn gradient(self, wrt: &[Expr<'g>]) -> Result<Vec<Expr<'g>>> {
        let place = Some(Place::caller());
        let not_scalar = (!self.is_poisoned() && self.shape() != Shape::default()).then(|| Mistake::NotScalar {
            what: "what is differentiated".into(),
            shape: self.shape(),
            place,
        });
        check(self, wrt, "gradient", place, not_scalar)?;
        let nodes: Vec<NodeId> = wrt.iter().map(|e| e.id()).collect();
        Ok(diff::gradient(self.graph(), self.stable().id(), &nodes, None)?.by)
    }

    /// The Jacobian of a short vector of losses: of this value `[m..]` without samples, for each of `wrt` the derivatives `[m.., dims..]`, with
    /// `dims` that parameter's dimensions. Row by row a gradient each, so the work grows with the number of entries; all of it takes the passes over the
    /// samples that one of them does.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    /// let losses = g.stack(&[(a * x).square().sum(), (b * x + a).sum()], 0);
    /// let by = losses.jacobian(&[a, b])?;
    /// assert_eq!(by[0].shape().to_string(), "[2]");
    /// let f = compile_function(&[("by a", by[0]), ("by b", by[1])], &Options::new())?;
    /// let out = f.bind([("x", &[1.0, 2.0])])?.eval(&f.params([("a", 3.0), ("b", 0.0)])?)?;
    /// assert_eq!((&out[0].numbers[..], &out[1].numbers[..]), (&[30.0, 2.0][..], &[0.0, 3.0][..]));
    /// # Ok(())
    /// # }
    /// # use tapeless::compile_function;
    /// ```
    ///
    /// # Errors
    /// Mistakes made so far, this among them if it has samples or something in `wrt` does; something in `wrt` that is no parameter.
    #[track_caller]
    pub fn jacobian(self, wrt: &[Expr<'g>]) -> Result<Vec<Expr<'g>>> {
        let place = Some(Place::caller());
        let with_samples = std::iter::once(&self).chain(wrt).find(|e| !e.is_poisoned() && e.shape().varies_over_samples());
        let mistake = with_samples.map(|e| Mistake::NotScalar { what: "each entry of a Jacobian".into(), shape: e.shape(), place });
        check(self, wrt, "jacobian", place, mistake)?;
        let own = self.shape();
        let flat = self.reshape(&[own.entries()]);
        let rows: Vec<Vec<Expr<'g>>> = (0..own.entries()).map(|k| flat.index(&[k]).gradient(wrt)).collect::<Result<_>>()?;
        let by = |k: usize| {
            let column: Vec<Expr<'g>> = rows.iter().map(|r| r[k]).collect();
            let dims: Vec<usize> = own.dims().iter().chain(wrt[k].shape().dims()).copied().collect();
            self.graph().stack(&column, 0).reshape(&dims)
        };
        Ok((0..wrt.len()).map(by).collect())
    }

    /// The Hessian of this number by `wrt` times the vectors `along`, one for each of `wrt` and of its shape: the gradient of `gradient . along`. A
    /// vector that depends on `wrt` counts as a constant.
    ///
    /// Value, gradient and product share their work and, for an objective that takes one pass over the samples, take one pass together.
    /// [`crate::Bound::hessian_vector_product`] is this for a compiled program.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, w, v) = (g.data("x"), g.param("w"), g.param("v"));
    /// let product = (w * x).exp().sum().hessian_vector(&[w], &[v])?[0].compile_function()?;
    /// let out = product.bind([("x", &[1.0, 2.0])])?.eval(&product.params([("w", 0.0), ("v", 10.0)])?)?;
    /// assert_eq!(out[0].numbers, [50.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Expr::gradient`]; another number of vectors than of `wrt`, or a vector of another shape.
    #[track_caller]
    pub fn hessian_vector(self, wrt: &[Expr<'g>], along: &[Expr<'g>]) -> Result<Vec<Expr<'g>>> {
        let place = Some(Place::caller());
        let shapes = |list: &[Expr<'g>]| list.iter().map(|e| e.shape()).collect::<Vec<_>>();
        let mistake = (shapes(wrt) != shapes(along)).then(|| Mistake::Shapes {
            op: "hessian_vector".into(),
            shapes: shapes(wrt).into_iter().chain(shapes(along)).collect(),
            place,
        });
        check(self, wrt, "hessian_vector", place, mistake)?;
        check(self, along, "hessian_vector", place, None)?;
        let first = self.gradient(wrt)?;
        match first.iter().zip(along).map(|(d, v)| (*d * v.detach()).sum()).reduce(|a, b| a + b) {
            Some(slope) => slope.gradient(wrt),
            None => Ok(Vec::new()),
        }
    }

    /// The same value by the stable formula.
    fn stable(self) -> Expr<'g> {
        let mut dag = self.graph().dag().clone();
        dag.set_outputs(vec![("stable".into(), self.id())]);
        self.graph().graft(&stabilise(&dag).0)[0]
    }
}

/// Whether these can be worked with: no mistake so far, all of one graph, and nothing asked that can't be.
fn check<'g>(of: Expr<'g>, with: &[Expr<'g>], what: &str, place: Option<Place>, asked: Option<Mistake>) -> Result<()> {
    let mut mistakes = of.graph().mistakes();
    mistakes.extend(asked);
    if with.iter().any(|e| !std::ptr::eq(e.graph(), of.graph())) {
        mistakes.push(Mistake::ForeignExpression { op: what.into(), place });
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Error::Expression(mistakes)) }
}
