//! An error on request where a matrix isn't positive definite.

use super::params::Params;
use super::program::{Bound, split};
use crate::error::{Error, Result};
use crate::graph::dense::Dense;
use crate::graph::{Op, trace};
use crate::op::Elem;
use crate::real::Real;

impl<T: Real> Bound<'_, T> {
    /// Whether every matrix whose Cholesky factor the formula takes is positive definite at this point: the factor itself is NaN where it isn't, as is what is made
    /// from it. Evaluated operation by operation, so it is for a starting point or after a failure, not for every step.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let program = g.param_with("a", &[2, 2]).log_det().compile()?;
    /// let data = program.bind::<&str, &[f64]>([])?;
    /// assert!(data.check_definite(&program.params([("a", [2.0, 1.0, 1.0, 2.0])])?).is_ok());
    /// let error = data.check_definite(&program.params([("a", [1.0, 2.0, 2.0, 1.0])])?).unwrap_err().to_string();
    /// assert!(error.starts_with("cholesky: the matrix is not positive definite: pivot -3e0 (at "), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotDefinite`] with the pivot and the place of the factor in the code; [`Error::NonFinite`] where something else made a pivot NaN;
    /// [`Error::Layout`] for a point of another program.
    pub fn check_definite(&self, theta: &Params<T>) -> Result<()> {
        self.compiled.check_theta(theta)?;
        let mut dag = self.compiled.primal.clone();
        let factors = |op: &Op| matches!(op, Op::Elem(Elem::Pivot) | Op::Dense(Dense::Cholesky));
        let pivots = dag.ids().filter(|id| factors(&dag.node(*id).op)).map(|id| ("pivot".to_string(), id)).collect();
        dag.set_outputs(pivots);
        let Some(found) = trace::find(&dag.without_dead_nodes(), &self.table.inputs, self.table.samples, &split(theta)) else { return Ok(()) };
        // The report has what went in: of a pivot the number itself, of a dense factor the pivot and its row.
        let row = found.inputs.first().and_then(|(name, _)| name.strip_prefix("pivot of row ")).and_then(|row| row.parse().ok());
        let is_factor = found.node == Elem::Pivot.name() || found.node == Dense::Cholesky.name();
        match found.inputs.first() {
            Some((_, pivot)) if is_factor => Err(Error::NotDefinite { op: "cholesky".into(), pivot: *pivot, row, sample: found.sample, place: found.place }),
            _ => Err(Error::NonFinite(Box::new(found))),
        }
    }
}
