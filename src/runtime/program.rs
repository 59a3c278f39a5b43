//! What users hold: a compiled objective or function, and the same with data bound.

use super::batch::Batch;
use super::columns::{Columns, Table};
use super::params::{Grad, Layout, Numbers, Params};
use super::plan::{BoundPlan, Plan, Slot};
use crate::column::Column;
use crate::diff::Contribution;
use crate::error::{Error, NonFinite, Place, Result};
use crate::graph::eval::Inputs;
use crate::graph::{Dag, dot, infix, text, trace};
use crate::real::Real;
use crate::schedule::Passes;
use crate::shape::Shape;
use crate::simplify::Statistics;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

/// A plan that is made when it is first needed.
pub type Late<T> = LazyLock<Plan<T>, Box<dyn FnOnce() -> Plan<T> + Send>>;

/// Everything a compilation made, kept to be read.
#[derive(Debug)]
pub struct Compiled<T> {
    /// The formula as written.
    pub primal: Dag,
    /// The formula, made stable, and its gradient as differentiation left them; the formula alone where there is no gradient.
    pub derived: Dag,
    /// Who contributed what during differentiation.
    pub contributions: Vec<Contribution>,
    /// What the simplifier did to `derived`.
    pub statistics: Statistics,
    /// The value alone: no adjoint in it. Beside a gradient it is compiled when it is first asked for: most programs never are.
    pub value: Late<T>,
    /// Value and gradient.
    pub gradient: Option<Plan<T>>,
    /// Value, gradient and Hessian-vector product, the vector as parameters after the formula's own; if that was asked for.
    pub curvature: Option<Plan<T>>,
    /// All parameters of the graph.
    pub layout: Arc<Layout>,
    /// Those the gradient is taken by.
    pub grad_layout: Arc<Layout>,
    /// Which data inputs the formula needs.
    pub needed: Vec<bool>,
    /// A reduction that has no value without samples.
    pub needs_samples: Option<(String, Option<Place>)>,
}

impl<T: Real> Compiled<T> {
    fn table<'d, N: AsRef<str>, C: Into<Columns<'d, T>>>(&self, columns: impl IntoIterator<Item = (N, C)>) -> Result<Table<'d, T>> {
        let table = Table::check(self.primal.data(), &self.needed, columns)?;
        self.check_samples(table.samples)?;
        Ok(table)
    }

    /// Whether the formula has a value over this many samples.
    pub(super) fn check_samples(&self, samples: usize) -> Result<()> {
        match &self.needs_samples {
            Some((op, place)) if samples == 0 => Err(Error::NoSamples { op: op.clone(), place: *place }),
            _ => Ok(()),
        }
    }

    /// Value and gradient, if there is one.
    pub(crate) fn whole(&self) -> &Plan<T> {
        self.gradient.as_ref().unwrap_or_else(|| &self.value)
    }

    /// The plan that gives the gradient too.
    #[inline]
    pub(super) fn gradient(&self) -> Result<&Plan<T>> {
        let missing = || Error::Setting { name: "gradient".into(), message: "the program was compiled for its value alone".into() };
        self.gradient.as_ref().ok_or_else(missing)
    }

    pub(super) fn check_grad(&self, grad: &Grad<T>) -> Result<()> {
        if grad.fits(&self.grad_layout) { Ok(()) } else { Err(self.grad_layout.mismatch(grad.layout())) }
    }

    pub(super) fn check_theta(&self, theta: &Params<T>) -> Result<()> {
        if theta.fits(&self.layout) { Ok(()) } else { Err(self.layout.mismatch(theta.layout())) }
    }
}

/// A compiled objective: one number, and its gradient by parameters. Owned, `Send + Sync`, independent of the graph it was made from.
pub struct Program<T: Real = f64> {
    pub(crate) compiled: Arc<Compiled<T>>,
}

impl<T: Real> Clone for Program<T> {
    fn clone(&self) -> Self {
        Program { compiled: self.compiled.clone() }
    }
}

impl<T: Real> fmt::Debug for Program<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program<{}>\n{}", T::NAME, self.report())
    }
}

impl<T: Real> Program<T> {
    /// A point in parameter space, every parameter by name.
    ///
    /// # Errors
    /// A name that isn't there, is missing or is given twice; another number of entries than the shape has.
    pub fn params<N: AsRef<str>, V: Into<Numbers>>(&self, named: impl IntoIterator<Item = (N, V)>) -> Result<Params<T>> {
        Params::from_named(&self.compiled.layout, named)
    }

    /// The point at the origin.
    pub fn zeros(&self) -> Params<T> {
        Params::zeros(&self.compiled.layout)
    }

    /// A gradient to be filled by [`Bound::value_and_grad_into`].
    pub fn grad_zeros(&self) -> Grad<T> {
        Params::zeros(&self.compiled.grad_layout)
    }

    /// Binds columns, borrowed: checks names and lengths once and computes what depends on data alone. Columns may start anywhere; those that start at a
    /// multiple of 64 bytes, as a [`Frame`](crate::data::Frame)'s and Arrow's do, are read up to a tenth faster.
    ///
    /// # Errors
    /// A column that is unknown, missing, bound twice, of another length than the others or with another number of columns than declared;
    /// no samples, where the formula has a mean, minimum or maximum over them.
    pub fn bind<'d, N: AsRef<str>, C: Into<Columns<'d, T>>>(&self, columns: impl IntoIterator<Item = (N, C)>) -> Result<Bound<'d, T>> {
        let table = self.compiled.table(columns)?;
        Ok(Bound::over(&self.compiled, table))
    }

    /// How many passes over the samples value and gradient take together.
    pub fn passes(&self) -> Passes {
        self.compiled.whole().passes()
    }

    /// How many passes over the samples the value alone takes.
    pub fn value_passes(&self) -> Passes {
        self.compiled.value.passes()
    }

    /// What was compiled, in words: nodes, rules, passes, backend.
    pub fn report(&self) -> String {
        let c = &self.compiled;
        let plan = c.whole();
        let passes = plan.passes();
        format!(
            "formula: {} nodes; with gradient by {} of {} parameters\nsimplified: {}\npasses over the samples: {} at binding, {} per call (value alone: {})\n{}",
            c.primal.live_nodes(),
            c.grad_layout.names().count(),
            c.layout.names().count(),
            c.statistics,
            passes.bind,
            passes.call,
            c.value.passes().call,
            plan.describe()
        )
    }

    /// The formula as written.
    pub fn formula(&self) -> String {
        infix::print(&self.compiled.primal)
    }

    /// The formula's and its gradient's source after simplification.
    pub fn gradient_source(&self) -> String {
        infix::print(self.dag())
    }

    /// The graph of the formula as written.
    pub fn formula_dag(&self) -> &Dag {
        &self.compiled.primal
    }

    /// The graph of value and gradient as differentiation left it, before it is simplified; of the value alone if there is no gradient.
    pub fn derived_dag(&self) -> &Dag {
        &self.compiled.derived
    }

    /// The simplified graph of value and gradient.
    pub fn dag(&self) -> &Dag {
        &self.compiled.whole().dag
    }

    /// The simplified graph of the value alone.
    pub fn value_dag(&self) -> &Dag {
        &self.compiled.value.dag
    }

    /// The simplified graph of value and gradient in the text form, which [`crate::graph::text::parse`] reads back
    /// ([`crate::graph::text::parse_within`], if its values have more than 2^20 entries).
    pub fn graph_text(&self) -> String {
        text::print(self.dag())
    }

    /// The simplified graph of value and gradient in Graphviz's language.
    pub fn graph_dot(&self) -> String {
        dot::print(self.dag())
    }

    /// Stages, passes and steps.
    pub fn schedule(&self) -> String {
        let plan = self.compiled.whole();
        plan.schedule.describe(&plan.dag)
    }

    /// The kernels of every pass.
    pub fn kernels(&self) -> String {
        self.compiled.whole().kernels()
    }

    /// The machine code of value and gradient: each instruction with the value of the kernel (functions expanded into primitives) that it
    /// computes. A pass that the interpreter runs has none, and says so.
    pub fn assembly(&self) -> String {
        self.compiled.whole().assembly()
    }

    /// What the simplifier did.
    pub fn statistics(&self) -> &Statistics {
        &self.compiled.statistics
    }

    /// Names and shapes of the parameters.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.compiled.layout
    }
}

/// An objective with its data: borrows the columns, shares the program.
pub struct Bound<'d, T: Real = f64> {
    pub(crate) compiled: Arc<Compiled<T>>,
    pub(crate) table: Table<'d, T>,
    value: OnceLock<BoundPlan<'d, T>>,
    gradient: OnceLock<BoundPlan<'d, T>>,
    pub(super) curvature: OnceLock<BoundPlan<'d, T>>,
}

impl<T: Real> fmt::Debug for Bound<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bound<{}> over {} samples", T::NAME, self.table.samples)
    }
}

impl<'d, T: Real> Bound<'d, T> {
    pub(super) fn over(compiled: &Arc<Compiled<T>>, table: Table<'d, T>) -> Self {
        Bound { compiled: compiled.clone(), table, value: OnceLock::new(), gradient: OnceLock::new(), curvature: OnceLock::new() }
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.table.samples
    }

    /// The program this binds.
    pub fn program(&self) -> Program<T> {
        Program { compiled: self.compiled.clone() }
    }

    /// The value, without computing anything of the gradient. It may differ from that of [`Bound::value_and_grad`] in the last digits: a product that the
    /// gradient needs as a number of its own is rounded there before it is added to something. The program's first call compiles it, which takes about as long
    /// again as `compile` took.
    ///
    /// # Errors
    /// [`Error::Layout`] for a point of another program.
    pub fn value(&self, theta: &Params<T>) -> Result<T> {
        self.compiled.check_theta(theta)?;
        let plan: &Plan<T> = &self.compiled.value;
        let bound = bound_plan(&self.value, plan, &self.table);
        Ok(bound.evaluate(plan, theta.values(), &mut [], |slots| scalar(plan, slots)))
    }

    /// Value and gradient in one go.
    ///
    /// # Errors
    /// [`Error::Layout`] for a point of another program.
    pub fn value_and_grad(&self, theta: &Params<T>) -> Result<(T, Grad<T>)> {
        let mut grad = Params::zeros(&self.compiled.grad_layout);
        let value = self.value_and_grad_into(theta, &mut grad)?;
        Ok((value, grad))
    }

    /// Value and gradient into a gradient made before: once the first call has made the working memory, a call on one thread allocates
    /// nothing and waits for nobody.
    ///
    /// # Errors
    /// [`Error::Layout`] for a point or a gradient of another program; [`Error::Setting`] if the program was compiled without a gradient.
    pub fn value_and_grad_into(&self, theta: &Params<T>, grad: &mut Grad<T>) -> Result<T> {
        self.compiled.check_theta(theta)?;
        self.compiled.check_grad(grad)?;
        let plan = self.compiled.gradient()?;
        let bound = bound_plan(&self.gradient, plan, &self.table);
        Ok(bound.evaluate(plan, theta.values(), &mut [], |slots| value_and_grad(plan, slots, grad)))
    }

    /// Some of the samples, to be chosen and chosen again: see [`Batch`].
    pub fn batch(&self) -> Batch<'_, 'd, T> {
        Batch::new(self)
    }

    /// Looks for the node that made the value or the gradient at this point not finite: in the formula, then in the gradient.
    /// `None` if both are finite.
    ///
    /// # Errors
    /// [`Error::Layout`] for a point of another program.
    pub fn find_non_finite(&self, theta: &Params<T>) -> Result<Option<NonFinite>> {
        self.compiled.check_theta(theta)?;
        let c = &self.compiled;
        // What the program gives decides; the graphs say where it comes from.
        let mut results = vec![("value".to_string(), self.value(theta)?)];
        if c.gradient.is_some() {
            let (value, grad) = self.value_and_grad(theta)?;
            results.push(("value".to_string(), value));
            results.extend(grad.iter().flat_map(|(name, d)| d.iter().map(move |d| (format!("gradient by `{name}`"), *d))));
        }
        let Some((node, value)) = results.into_iter().find(|(_, x)| !x.is_finite()) else { return Ok(None) };
        let params = split(theta);
        let simplified = &c.whole().dag;
        let find = |dag| trace::find(dag, &self.table.inputs, self.table.samples, &params);
        let found = find(&c.derived).or_else(|| find(simplified)).or_else(|| find(&c.primal));
        // Where each operation by itself stays in the range, as an `f32` sum of both signs may not in some lane, the result is all there is to name.
        let place = c.primal.node(c.primal.outputs()[0].1).place;
        Ok(found.or_else(|| Some(NonFinite { node, place, sample: None, step: None, inputs: Vec::new(), value: value.to_f64() })))
    }

    /// The inputs as the oracle takes them: copies of the first `samples` samples, and the point.
    pub(crate) fn inputs(&self, theta: &Params<T>, samples: usize) -> Inputs {
        let n = samples.min(self.table.samples);
        let column = |columns: &Vec<Column<'_, T>>| columns.iter().flat_map(|c| (0..n).map(|i| c.number(i))).collect();
        Inputs { samples: n, data: self.table.inputs.iter().map(column).collect(), params: split(theta) }
    }
}

/// The bound plan, made on first use. It is made outside of the cell: binding may run on rayon, whose threads may meanwhile take up another
/// call of the same program, which must not wait for this one. Two threads may so make it twice; one is dropped.
#[inline]
pub(super) fn bound_plan<'c, 'd, T: Real>(cell: &'c OnceLock<BoundPlan<'d, T>>, plan: &Plan<T>, table: &Table<'d, T>) -> &'c BoundPlan<'d, T> {
    match cell.get() {
        Some(bound) => bound,
        None => {
            let made = BoundPlan::new(plan, table);
            cell.get_or_init(|| made)
        }
    }
}

/// The first output, as a number.
#[inline]
pub(super) fn scalar<T: Real>(plan: &Plan<T>, slots: &[f64]) -> T {
    match &plan.outputs[0] {
        Slot::Uniform(range) => T::from_f64(slots[range.start]),
        Slot::Columns(_) => unreachable!("an objective is one number"),
    }
}

/// The first output as a number, the others as the gradient.
#[inline]
pub(super) fn value_and_grad<T: Real>(plan: &Plan<T>, slots: &[f64], grad: &mut Grad<T>) -> T {
    plan.rest.read(slots, grad.values_mut(), T::from_f64);
    scalar(plan, slots)
}

/// Each parameter's numbers in `f64`.
pub(super) fn split<T: Real>(theta: &Params<T>) -> Vec<Vec<f64>> {
    theta.iter().map(|(_, values)| values.iter().map(|x| x.to_f64()).collect()).collect()
}

/// One result of a [`Function`].
#[derive(Clone, PartialEq, Debug)]
pub struct Array<T> {
    /// The shape; with a samples axis the numbers are columns, one entry's samples after the other's.
    pub shape: Shape,
    /// The number of samples, 1 without a samples axis.
    pub rows: usize,
    /// Entry `e` at sample `i` is `numbers[e * rows + i]`.
    pub numbers: Vec<T>,
}

/// Compiled expressions of any shape, per-sample ones included: predictions, residuals, gradients by data.
pub struct Function<T: Real = f64> {
    pub(crate) compiled: Arc<Compiled<T>>,
}

impl<T: Real> fmt::Debug for Function<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function<{}>\n{}", T::NAME, self.compiled.value.describe())
    }
}

impl<T: Real> Function<T> {
    /// A point in parameter space, as [`Program::params`].
    ///
    /// # Errors
    /// A name that isn't there, is missing or is given twice; another number of entries than the shape has.
    pub fn params<N: AsRef<str>, V: Into<Numbers>>(&self, named: impl IntoIterator<Item = (N, V)>) -> Result<Params<T>> {
        Params::from_named(&self.compiled.layout, named)
    }

    /// The point at the origin.
    pub fn zeros(&self) -> Params<T> {
        Params::zeros(&self.compiled.layout)
    }

    /// Binds columns, as [`Program::bind`].
    ///
    /// # Errors
    /// As there.
    pub fn bind<'d, N: AsRef<str>, C: Into<Columns<'d, T>>>(&self, columns: impl IntoIterator<Item = (N, C)>) -> Result<BoundFunction<'d, T>> {
        let table = self.compiled.table(columns)?;
        let bound = BoundPlan::new(&self.compiled.value, &table);
        Ok(BoundFunction { compiled: self.compiled.clone(), samples: table.samples, bound })
    }

    /// The value of a function of parameters alone: all numbers of all results, one after the other.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let scale = g.param("raw_scale").softplus().compile_function()?;
    /// assert_eq!(scale.at(&scale.params([("raw_scale", 0.0)])?)?, [2f64.ln()]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Layout`] for a point of another program; [`Error::MissingColumn`] if it needs data.
    pub fn at(&self, theta: &Params<T>) -> Result<Vec<T>> {
        let results = self.bind::<&str, &[T]>([])?.eval(theta)?;
        Ok(results.into_iter().flat_map(|array| array.numbers).collect())
    }

    /// How many passes over the samples it takes.
    pub fn passes(&self) -> Passes {
        self.compiled.value.passes()
    }

    /// The simplified graph.
    pub fn dag(&self) -> &Dag {
        &self.compiled.value.dag
    }

    /// The kernels of every pass.
    pub fn kernels(&self) -> String {
        self.compiled.value.kernels()
    }

    /// The machine code, as [`Program::assembly`].
    pub fn assembly(&self) -> String {
        self.compiled.value.assembly()
    }
}

/// A function with its data.
pub struct BoundFunction<'d, T: Real = f64> {
    compiled: Arc<Compiled<T>>,
    samples: usize,
    bound: BoundPlan<'d, T>,
}

impl<T: Real> fmt::Debug for BoundFunction<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundFunction<{}> over {} samples", T::NAME, self.samples)
    }
}

impl<T: Real> BoundFunction<'_, T> {
    /// Every result, in the order given at compilation.
    ///
    /// # Errors
    /// [`Error::Layout`] for a point of another program.
    pub fn eval(&self, theta: &Params<T>) -> Result<Vec<Array<T>>> {
        self.compiled.check_theta(theta)?;
        let plan: &Plan<T> = &self.compiled.value;
        let mut columns = self.bound.output_columns(plan);
        let uniform: Vec<Option<Vec<T>>> = self.bound.evaluate(plan, theta.values(), &mut columns, |slots| {
            let read = |slot: &Slot| match slot {
                Slot::Uniform(range) => Some(slots[range.clone()].iter().map(|x| T::from_f64(*x)).collect()),
                Slot::Columns(_) => None,
            };
            plan.outputs.iter().map(read).collect()
        });
        let results = plan.outputs.iter().zip(plan.dag.outputs()).zip(uniform);
        Ok(results
            .map(|((slot, (_, id)), uniform)| {
                let shape = plan.dag.shape(*id).clone();
                match (slot, uniform) {
                    (Slot::Columns(range), _) => Array { shape, rows: self.samples, numbers: columns[range.clone()].concat() },
                    (_, uniform) => Array { shape, rows: 1, numbers: uniform.unwrap_or_default() },
                }
            })
            .collect())
    }
}
