//! Drawing samples from distributions: their parameters, which are expressions, are evaluated, checked, and given to samplers of `rand_distr`.
//!
//! ```
//! use rand::{SeedableRng, rngs::StdRng};
//! use tapeless::{dist::{multivariate_normal_cholesky, normal}, prelude::*};
//! # fn main() -> tapeless::Result<()> {
//! let g = Graph::new();
//! let mut rng = StdRng::seed_from_u64(1);
//!
//! // Of constants.
//! let x: Vec<f64> = normal(g.constant(3.0), 2.0).sample(10_000, &mut rng)?;
//!
//! // At fitted parameters.
//! let model = normal(g.param("loc"), g.param("raw_scale").softplus());
//! let program = (-model.log_prob(g.data("x")).sum()).compile()?;
//! let theta = program.params([("loc", 3.0), ("raw_scale", 2.0)])?;
//! let again: Vec<f64> = model.sampler_at(&theta)?.sample(100, &mut rng)?;
//!
//! // For every sample of data its own: a draw of each y given its x.
//! let regression = normal(g.param("w") * g.data("t"), 0.1);
//! let f = regression.mean().compile_function()?;
//! let theta = f.params([("loc", 0.0), ("raw_scale", 0.0), ("w", 2.0)])?;
//! let y = regression.sampler_given(&theta, [("t", &[0.0, 1.0, 2.0])])?.sample(3, &mut rng)?;
//! assert!((y[2] - 4.0).abs() < 1.0);
//!
//! // Vectors: a matrix with samples as rows, as `bind` takes it.
//! let factor = g.array(&[2, 2], &[1.0, 0.0, 0.5, 1.0]);
//! let pairs = multivariate_normal_cholesky(g.array(&[2], &[0.0, 5.0]), factor).sample_matrix(50, &mut rng)?;
//! assert_eq!(pairs.shape(), (50, 2));
//! # Ok(())
//! # }
//! ```
//!
//! The generator is the caller's, so a seeded one gives the same draws again (with the same version of `rand_distr`). Draws are made one sample after
//! the other, the entries of each in row-major order.

use crate::dist::{Distribution, Draw};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::Op;
use crate::pipeline::{Options, compile_function};
use crate::real::Real;
use crate::runtime::columns::Columns;
use crate::runtime::params::Params;
use crate::runtime::program::Function;
use crate::shape::Shape;
use nalgebra::DMatrix;
use rand::Rng;

/// Sampling from every [`Distribution`].
pub trait Sample<'g>: Distribution<'g> {
    /// `n` draws of one number each, of a distribution whose parameters are constants.
    ///
    /// # Errors
    /// As [`Sample::sampler`] and [`Sampler::sample`].
    fn sample(&self, n: usize, rng: &mut impl Rng) -> Result<Vec<f64>> {
        self.sampler()?.sample(n, rng)
    }

    /// `n` draws as the rows of a matrix, of a distribution whose parameters are constants.
    ///
    /// # Errors
    /// As [`Sample::sampler`] and [`Sampler::sample_matrix`].
    fn sample_matrix(&self, n: usize, rng: &mut impl Rng) -> Result<DMatrix<f64>> {
        self.sampler()?.sample_matrix(n, rng)
    }

    /// A sampler of a distribution whose parameters are constants.
    ///
    /// # Errors
    /// As [`Sample::sampler_given`].
    fn sampler(&self) -> Result<Sampler> {
        let none: [(&str, Columns<f64>); 0] = [];
        sampler::<f64, _, _>(self.parameters(), |numbers| self.draw(numbers), None, none)
    }

    /// A sampler at a point in parameter space, such as a fitted one.
    ///
    /// # Errors
    /// As [`Sample::sampler_given`].
    fn sampler_at<T: Real>(&self, theta: &Params<T>) -> Result<Sampler> {
        let none: [(&str, Columns<f64>); 0] = [];
        sampler(self.parameters(), |numbers| self.draw(numbers), Some(theta), none)
    }

    /// A sampler of a distribution whose parameters depend on data: it draws once for each sample of these columns.
    ///
    /// # Errors
    /// Mistakes made while writing the parameters; a parameter or column that they need and that isn't given; columns as [`Function::bind`] refuses them;
    /// [`Error::Distribution`] for a parameter outside of its domain.
    fn sampler_given<'d, T: Real, N: AsRef<str>, C: Into<Columns<'d, f64>>>(
        &self,
        theta: &Params<T>,
        columns: impl IntoIterator<Item = (N, C)>,
    ) -> Result<Sampler> {
        sampler(self.parameters(), |numbers| self.draw(numbers), Some(theta), columns)
    }
}

impl<'g, D: Distribution<'g> + ?Sized> Sample<'g> for D {}

/// A distribution with numbers for parameters, ready to draw.
#[derive(Debug)]
pub struct Sampler {
    /// For each sample of the data (or once, if no parameter depends on data) one for each independent entry.
    draws: Vec<Vec<Draw>>,
    /// Whether there is a list for each sample.
    per_sample: bool,
}

impl Sampler {
    /// Numbers a draw.
    fn width(&self) -> usize {
        self.draws.first().map_or(0, |d| d.iter().map(Draw::len).sum())
    }

    fn checked(&self, n: usize) -> Result<()> {
        let rows = self.draws.len();
        if self.per_sample && n != rows {
            return Err(Error::Setting { name: "sample".into(), message: format!("{n} draws are asked for, but the parameters are given for {rows} samples") });
        }
        Ok(())
    }

    /// Draws one after the other: `width` numbers each.
    fn each(&self, n: usize, rng: &mut dyn Rng, mut put: impl FnMut(usize, &[f64])) {
        let mut one = vec![0.0; self.width()];
        for i in 0..n {
            let mut at = 0;
            for draw in &self.draws[if self.per_sample { i } else { 0 }] {
                draw.fill(rng, &mut one[at..at + draw.len()]);
                at += draw.len();
            }
            put(i, &one);
        }
    }

    /// `n` draws of one number each.
    ///
    /// # Errors
    /// [`Error::Setting`] if a draw is a vector, or if there are parameters for another number of samples.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Result<Vec<f64>> {
        self.checked(n)?;
        let width = self.width();
        if width > 1 {
            return Err(Error::Setting { name: "sample".into(), message: format!("a draw has {width} numbers; sample_matrix takes them") });
        }
        let mut out = Vec::with_capacity(n);
        self.each(n, rng, |_, x| out.push(x[0]));
        Ok(out)
    }

    /// `n` draws as the rows of a matrix.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are parameters for another number of samples.
    pub fn sample_matrix(&self, n: usize, rng: &mut impl Rng) -> Result<DMatrix<f64>> {
        self.checked(n)?;
        let mut out = DMatrix::zeros(n, self.width());
        self.each(n, rng, |i, x| out.row_mut(i).iter_mut().zip(x).for_each(|(to, from)| *to = *from));
        Ok(out)
    }
}

/// Evaluates the parameters and makes a [`Draw`] of each set of them.
fn sampler<'d, T: Real, N: AsRef<str>, C: Into<Columns<'d, f64>>>(
    parameters: Vec<crate::dist::Parameter<'_>>,
    draw: impl Fn(&[&[f64]]) -> Result<Draw>,
    theta: Option<&Params<T>>,
    columns: impl IntoIterator<Item = (N, C)>,
) -> Result<Sampler> {
    // What leads a parameter's own dimensions are independent draws; these broadcast.
    let own: Vec<Vec<usize>> = parameters.iter().map(|p| own_dims(p.value, p.dims).1).collect();
    let mut lead = Shape::default();
    for p in &parameters {
        lead = match lead.broadcast(&own_dims(p.value, p.dims).0) {
            Some(both) => both,
            // The mistake is recorded by the same broadcast in the graph, and compiling returns it.
            None => lead,
        };
    }
    let to = |k: usize| lead.dims().iter().chain(&own[k]).copied().collect::<Vec<usize>>();
    let results: Vec<(&str, Expr)> = parameters.iter().enumerate().map(|(k, p)| (p.name, p.value.broadcast_to(&to(k)))).collect();
    let f: Function<f64> = compile_function(&results, &Options::new())?;
    let out = f.bind(columns)?.eval(&point(&f, theta)?)?;

    let per_sample = out.iter().any(|a| a.shape.varies_over_samples());
    let rows = out.iter().filter(|a| a.shape.varies_over_samples()).map(|a| a.rows).max().unwrap_or(1);
    let mut draws = Vec::with_capacity(rows);
    for i in 0..rows {
        let mut entries = Vec::with_capacity(lead.entries());
        for b in 0..lead.entries() {
            let numbers: Vec<Vec<f64>> = (0..out.len())
                .map(|k| {
                    let (a, size) = (&out[k], own[k].iter().product::<usize>());
                    let row = if a.shape.varies_over_samples() { i } else { 0 };
                    (b * size..(b + 1) * size).map(|e| a.numbers[e * a.rows + row]).collect()
                })
                .collect();
            let slices: Vec<&[f64]> = numbers.iter().map(Vec::as_slice).collect();
            entries.push(draw(&slices)?);
        }
        draws.push(entries);
    }
    Ok(Sampler { draws, per_sample })
}

/// The leading dimensions, and the last ones, which belong to one draw.
fn own_dims(value: Expr<'_>, own: usize) -> (Shape, Vec<usize>) {
    let shape = value.shape();
    let at = shape.dims().len().saturating_sub(own);
    (Shape::new(&shape.dims()[..at]), shape.dims()[at..].to_vec())
}

/// The point as the function takes it: parameters by name, zeros for those of the graph that the distribution doesn't depend on.
fn point<T: Real>(f: &Function<f64>, theta: Option<&Params<T>>) -> Result<Params<f64>> {
    let dag = &f.compiled.primal;
    let mut out = Params::zeros(&f.compiled.layout);
    for (k, input) in dag.params().iter().enumerate() {
        let used = dag.nodes().iter().any(|n| n.op == Op::Param(k as u32));
        match theta.and_then(|t| t.get(&input.name).ok()) {
            Some(numbers) if used => out.set(&input.name, numbers.iter().map(|x| x.to_f64()).collect::<Vec<f64>>())?,
            None if used => return Err(Error::MissingParam { name: input.name.clone() }),
            _ => {}
        }
    }
    Ok(out)
}
