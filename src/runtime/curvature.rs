//! Second derivatives of a compiled program with its data: Hessian-vector products, and dense Hessians for few parameters.

use super::params::{Grad, Params};
use super::plan::{Plan, Slot};
use super::program::{Bound, Program, bound_plan, scalar};
use crate::error::{Error, Result};
use crate::real::Real;
use crate::schedule::Passes;
use nalgebra::DMatrix;

impl<T: Real> Program<T> {
    /// How many passes over the samples value, gradient and Hessian-vector product take together; `None` without
    /// [`crate::Options::with_curvature`].
    pub fn curvature_passes(&self) -> Option<Passes> {
        self.compiled.curvature.as_ref().map(Plan::passes)
    }
}

impl<T: Real> Bound<'_, T> {
    /// Value, gradient, and the Hessian times a vector laid out as the gradient: exact, in one go. For an objective that takes one pass over the
    /// samples it is one pass, at two to three times the arithmetic of the gradient.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    /// let program = Options::new().with_curvature().compile((a * b * x).square().sum())?;   // a^2 b^2 sum(x^2)
    /// let data = program.bind([("x", &[1.0, 2.0])])?;
    /// let theta = program.params([("a", 3.0), ("b", 2.0)])?;
    /// let mut v = program.grad_zeros();
    /// v.set("a", 1.0)?;
    /// let (value, grad, product) = data.hessian_vector_product(&theta, &v)?;
    /// assert_eq!((value, grad.scalar("a")?), (180.0, 120.0));
    /// assert_eq!((product.scalar("a")?, product.scalar("b")?), (40.0, 120.0));              // 2 b^2 S, 4 a b S
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Layout`] for a point or a vector of another program; [`Error::Setting`] if the program was compiled without
    /// [`crate::Options::with_curvature`].
    pub fn hessian_vector_product(&self, theta: &Params<T>, vector: &Grad<T>) -> Result<(T, Grad<T>, Grad<T>)> {
        self.compiled.check_theta(theta)?;
        self.compiled.check_grad(vector)?;
        let mut point: Vec<T> = theta.values().to_vec();
        point.extend_from_slice(vector.values());
        let (mut grad, mut product) = (Params::zeros(&self.compiled.grad_layout), Params::zeros(&self.compiled.grad_layout));
        let value = self.curve(&point, &mut grad, &mut product)?;
        Ok((value, grad, product))
    }

    /// The Hessian by the parameters that the gradient is taken by, in the order of the gradient's entries, made symmetric. One pass over the samples for each
    /// row: for few parameters, such as the standard errors of a fit.
    ///
    /// ```
    /// use tapeless::{dist::normal, prelude::*};
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, loc) = (g.data("x"), g.param("loc"));
    /// let program = Options::new().with_curvature().compile(-normal(loc, 2.0).log_prob(x).sum())?;
    /// let data = program.bind([("x", &[0.0; 100])])?;
    /// let information = data.hessian(&program.zeros())?;
    /// let covariance = information.try_inverse().unwrap();
    /// assert!((covariance[(0, 0)].sqrt() - 0.2).abs() < 1e-15);                             // sigma / sqrt(n)
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Bound::hessian_vector_product`].
    pub fn hessian(&self, theta: &Params<T>) -> Result<DMatrix<f64>> {
        self.compiled.check_theta(theta)?;
        let n = self.compiled.grad_layout.len();
        let mut point: Vec<T> = theta.values().to_vec();
        let own = point.len();
        point.resize(own + n, T::default());
        let (mut grad, mut product) = (Params::zeros(&self.compiled.grad_layout), Params::zeros(&self.compiled.grad_layout));
        let mut rows = DMatrix::zeros(n, n);
        for k in 0..n {
            point[own + k] = T::from_f64(1.0);
            self.curve(&point, &mut grad, &mut product)?;
            point[own + k] = T::default();
            for (j, x) in product.values().iter().enumerate() {
                rows[(k, j)] = x.to_f64();
            }
        }
        // Both triangles are the same derivatives, rounded differently.
        let columns = rows.transpose();
        Ok((rows + columns) * 0.5)
    }

    /// Everything of second order at a point with its vector behind.
    fn curve(&self, point: &[T], grad: &mut Grad<T>, product: &mut Grad<T>) -> Result<T> {
        let missing = || Error::Setting { name: "curvature".into(), message: "the program was compiled without it: see Options::with_curvature".into() };
        let plan = self.compiled.curvature.as_ref().ok_or_else(missing)?;
        let bound = bound_plan(&self.curvature, plan, &self.table);
        Ok(bound.evaluate(plan, point, &mut [], |slots| {
            let mut to = grad.values_mut().iter_mut().chain(product.values_mut());
            for output in &plan.outputs[1..] {
                let Slot::Uniform(range) = output else { unreachable!("derivatives by parameters have no samples") };
                for (from, to) in slots[range.clone()].iter().zip(to.by_ref()) {
                    *to = T::from_f64(*from);
                }
            }
            scalar(plan, slots)
        }))
    }
}
