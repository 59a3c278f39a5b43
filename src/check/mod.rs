//! The gradient checker: every component against two references that share nothing with differentiation, and where one is wrong, the operation
//! at fault.
//!
//! The first reference is a refined central difference of the program's own value. Where that decides nothing (a kink within its steps, a value that drowns
//! the derivative, a step that leaves the domain) the second does: a walk back through the formula with each operation's slope by differences of
//! its own value, and a bound on what roundings can have done. Beside both, every operation's contribution is held against its own slope.
//!
//! ```
//! use tapeless::{check, prelude::*};
//! # fn main() -> tapeless::Result<()> {
//! let g = Graph::new();
//! let (x, w) = (g.data("x"), g.param("w"));
//! let program = (w * x).sin().sum().compile()?;
//! let data = program.bind([("x", &[0.3, 1.1, -2.0])])?;
//! let report = check::gradient(&data, &program.params([("w", 0.7)])?)?;
//! assert!(report.passed(), "{report}");
//! # Ok(())
//! # }
//! ```

mod chain;
mod dense;
mod local;
mod locate;
pub mod ridders;

use crate::column::Column;
use crate::error::{Place, Result};
use crate::graph::Dag;
use crate::real::Real;
use crate::runtime::columns::Table;
use crate::runtime::params::{Grad, Params};
use crate::runtime::plan::{BoundPlan, Plan, Slot};
use crate::runtime::program::Bound;
use ridders::Derivative;
use std::fmt;

/// What is said of one component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Exact and reference agree.
    Passed,
    /// The reference is not good enough to tell: a kink nearby, or a value drowned in rounding.
    Inconclusive,
    /// They differ by more than the reference can be wrong.
    Failed,
}

/// One component of the gradient, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Component {
    /// The parameter.
    pub param: String,
    /// Which of its entries, in row-major order.
    pub entry: usize,
    /// The compiled gradient's.
    pub exact: f64,
    /// The refined central difference, or the slope put together from the operations' own.
    pub reference: f64,
    /// How wrong that may be.
    pub error: f64,
    /// The scale that differences are held against: the larger of the derivative and `|value / parameter|`.
    pub scale: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// An operation whose local derivative disagrees.
#[derive(Clone, PartialEq, Debug)]
pub struct Culprit {
    /// The operation.
    pub op: String,
    /// Where the user wrote it.
    pub place: Option<Place>,
    /// Which operand's derivative, from 0.
    pub operand: usize,
    /// The largest relative difference found.
    pub relative_error: f64,
}

/// Where a wrong component comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// The derivative rule of an operation.
    Operation(Culprit),
    /// Every local derivative is right; they are not put together rightly.
    Differentiation,
    /// Every local derivative is right; the derived graph and the simplified one differ.
    Simplifier,
    /// The simplified graph is right; the compiled program differs from it.
    Kernels,
    /// Nothing was found: the formula may jump between the points of the difference.
    Unknown,
}

/// The result of a check. Prints the worst components and the fault.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Every component, in the order of the gradient.
    pub components: Vec<Component>,
    /// Where the error is, if there is one.
    pub fault: Option<Fault>,
}

impl Report {
    /// No component failed, none was inconclusive, and every operation's own derivative is right.
    pub fn passed(&self) -> bool {
        self.fault.is_none() && self.count(Verdict::Passed) == self.components.len()
    }

    /// Some component failed, or an operation's own derivative is wrong, be it that no component shows it.
    pub fn failed(&self) -> bool {
        self.fault.is_some() || self.count(Verdict::Failed) > 0
    }

    /// How many components have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.components.iter().filter(|c| c.verdict == verdict).count()
    }

    /// Components by how far they are off, the worst first.
    pub fn worst(&self) -> Vec<&Component> {
        let off = |c: &Component| if c.verdict == Verdict::Passed { (c.exact - c.reference).abs() / c.scale.max(f64::MIN_POSITIVE) } else { f64::INFINITY };
        let mut list: Vec<&Component> = self.components.iter().collect();
        list.sort_by(|a, b| off(b).total_cmp(&off(a)));
        list
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, inconclusive, failed) = (self.count(Verdict::Passed), self.count(Verdict::Inconclusive), self.count(Verdict::Failed));
        write!(f, "gradient check: {passed} of {} components agree with central differences", self.components.len())?;
        if inconclusive > 0 {
            write!(f, ", {inconclusive} inconclusive")?;
        }
        if failed > 0 {
            write!(f, ", {failed} WRONG")?;
        }
        for c in self.worst().into_iter().take(5) {
            let name = if c.entry == 0 { c.param.clone() } else { format!("{}[{}]", c.param, c.entry) };
            let off = (c.exact - c.reference).abs();
            write!(f, "\n  {name:<12} exact {:<24e} difference {:<24e} off by {off:.1e} (reference good to {:.1e})", c.exact, c.reference, c.error)?;
        }
        match &self.fault {
            None => Ok(()),
            Some(Fault::Operation(c)) => {
                write!(f, "\n  at fault: the derivative of `{}` by operand {}, off by {:.1e}", c.op, c.operand, c.relative_error)?;
                c.place.map_or(Ok(()), |p| write!(f, " (at {p})"))
            }
            Some(Fault::Differentiation) => write!(f, "\n  at fault: differentiation; every local derivative is right, their sum is not"),
            Some(Fault::Simplifier) => write!(f, "\n  at fault: the simplifier; every local derivative is right"),
            Some(Fault::Kernels) => write!(f, "\n  at fault: schedule or kernels; the simplified graph is right"),
            Some(Fault::Unknown) => write!(f, "\n  no operation disagrees; the formula may jump near this point"),
        }
    }
}

/// A component passes within this fraction of the scale, for derivatives computed in `f64`.
const PASS: f64 = 1e-8;
/// And for derivatives computed in `f32`, whose rounding accumulates over a formula.
const PASS_F32: f64 = 2e-4;
/// A difference worse than this fraction of the scale decides nothing.
const CONCLUSIVE: f64 = 1e-9;
/// A walk back worse than this fraction of the scale decides nothing.
const DECISIVE: f64 = 1e-6;
/// Numbers in a formula up to which the walk back is made whether the differences decide or not.
const ALWAYS: usize = 1 << 16;
/// Numbers in a formula beyond which it isn't made: it holds about a hundred bytes for each.
const NEVER: usize = 1 << 25;

/// Checks every component of the gradient at a point.
///
/// With `s` the larger of `|g|` and `|f / x|`, a component passes if exact and central difference differ by at most `max(1e-8 s, 20 err) + 1e-13 s`,
/// where `err` is the extrapolation's own estimate; the difference decides nothing if `err > 1e-9 s`. Then, and wherever the formula is
/// small, the walk back through the operations decides, whose bound `b` must be below `1e-6 s`: exact and reference must differ by at most `1e-8 s + 4 b`. An
/// `f32` program is held against differences of the same formula in `f64`, with `2e-4` for `1e-8`.
///
/// A jump between the points of a difference, and a detached value, are seen by a difference and by no derivative: where the two references
/// differ and the walk back agrees with the gradient and with the program's value, that counts.
///
/// # Errors
/// A point of another program; a program compiled without a gradient.
pub fn gradient<T: Real>(bound: &Bound<'_, T>, theta: &Params<T>) -> Result<Report> {
    let (value, grad) = bound.value_and_grad(theta)?;
    let difference = Reference::new(bound, theta);
    let mut components = Vec::new();
    for (k, exact) in grad.values().iter().enumerate() {
        let (param, entry) = grad.layout().at(k).expect("a component belongs to a parameter");
        let position = theta.layout().range(param).expect("a gradient is by parameters").start + entry;
        let (exact, x) = (exact.to_f64(), difference.theta[position]);
        let Derivative { value, error, at } = difference.derivative(position);
        let scale = exact.abs().max(if x == 0.0 { at.abs() } else { (at / x).abs() });
        let mut component = Component { param: param.into(), entry, exact, reference: value, error, scale, verdict: Verdict::Inconclusive };
        component.verdict = by_difference::<T>(&component, at.is_finite());
        components.push(component);
    }
    let formula = only_value(&bound.compiled.derived);
    let size = chain::size(&formula, bound.samples());
    let undecided = components.iter().any(|c| c.verdict != Verdict::Passed);
    if size <= ALWAYS || (undecided && size <= NEVER) {
        let half_ulp = if T::DOUBLE { 0.5 * f64::EPSILON } else { 0.5 * f64::from(f32::EPSILON) };
        let walk = chain::walk(&formula, &bound.inputs(theta, usize::MAX), half_ulp);
        let same_value = (value.to_f64() - walk.value.value).abs() <= chain::CARE * walk.value.doubt + 1e-8 * walk.value.value.abs();
        for c in &mut components {
            let at = theta.layout().names().position(|n| n == c.param).expect("a gradient is by parameters");
            by_walk::<T>(c, walk.by[at][c.entry], same_value);
        }
    }
    let mut report = Report { components, fault: locate::culprit(bound, theta).map(Fault::Operation) };
    if report.count(Verdict::Failed) > 0 && report.fault.is_none() {
        let reference: Vec<f64> = report.components.iter().map(|c| c.reference).collect();
        report.fault = Some(locate::stage(bound, theta, &grad, &reference));
    }
    Ok(report)
}

fn pass<T: Real>() -> f64 {
    if T::DOUBLE { PASS } else { PASS_F32 }
}

/// What the central difference says, of a formula that has a value at the point or hasn't.
fn by_difference<T: Real>(c: &Component, defined: bool) -> Verdict {
    let off = (c.exact - c.reference).abs();
    if !off.is_finite() {
        // No difference, no word; a difference where the gradient isn't a number is one.
        if !c.exact.is_finite() && c.reference.is_finite() && defined { Verdict::Failed } else { Verdict::Inconclusive }
    } else if c.error > CONCLUSIVE.max(pass::<T>() / 10.0) * c.scale + ridders::NOTHING {
        Verdict::Inconclusive
    } else if off > (pass::<T>() * c.scale).max(20.0 * c.error) + 1e-13 * c.scale {
        Verdict::Failed
    } else {
        Verdict::Passed
    }
}

/// What the walk back says, if it says anything.
fn by_walk<T: Real>(c: &mut Component, walk: local::Doubtful, same_value: bool) {
    let bound = chain::CARE * walk.doubt;
    let off = (c.exact - walk.value).abs();
    let agrees = off <= pass::<T>() * c.scale + bound;
    let decisive = bound <= DECISIVE.max(pass::<T>() / 10.0) * c.scale && walk.value.is_finite();
    if !decisive {
        // It can't tell right from wrong, but it can tell that roundings hide what a difference seems to see.
        if c.verdict == Verdict::Failed && c.exact.is_finite() && (agrees || !bound.is_finite()) {
            c.verdict = Verdict::Inconclusive;
        }
        return;
    }
    let verdict = match (agrees, same_value) {
        (false, _) => Verdict::Failed,
        (true, true) => Verdict::Passed,
        // The program's value isn't the formula's: the difference's word stands.
        (true, false) => return,
    };
    if verdict != c.verdict {
        (c.verdict, c.reference, c.error) = (verdict, walk.value, bound);
    }
}

/// The part of a derived graph that its first output, the value, needs.
fn only_value(derived: &Dag) -> Dag {
    let mut dag = derived.clone();
    let outputs = dag.outputs()[..1].to_vec();
    dag.set_outputs(outputs);
    dag.without_dead_nodes()
}

/// The plain central difference `(f(x + delta) - f(x - delta)) / (2 delta)` by every parameter the gradient is taken by.
///
/// # Errors
/// A point of another program.
pub fn central_difference<T: Real>(bound: &Bound<'_, T>, theta: &Params<T>, delta: f64) -> Result<Grad<T>> {
    let mut out = bound.program().grad_zeros();
    let mut point = theta.clone();
    for k in 0..out.values().len() {
        let (param, entry) = out.layout().at(k).expect("a component belongs to a parameter");
        let position = theta.layout().range(param).expect("a gradient is by parameters").start + entry;
        let x = theta.values()[position];
        let mut at = |x: T| {
            point.values_mut()[position] = x;
            bound.value(&point)
        };
        let delta = T::from_f64(delta);
        let (above, below) = (at(x + delta)?, at(x - delta)?);
        at(x)?;
        out.values_mut()[k] = (above - below) / (T::from_f64(2.0) * delta);
    }
    Ok(out)
}

/// A graph and its data in `f64`: for each data input its entries' columns.
type Wide = (Plan<f64>, Vec<Vec<Vec<f64>>>);

/// The formula's value in `f64`, whatever the program's type.
struct Reference<'b, 'd, T: Real> {
    bound: &'b Bound<'d, T>,
    theta: Vec<f64>,
    /// For an `f32` program: the same graph and data in `f64`.
    wide: Option<Wide>,
}

impl<'b, 'd, T: Real> Reference<'b, 'd, T> {
    fn new(bound: &'b Bound<'d, T>, theta: &Params<T>) -> Self {
        let wide = (!T::DOUBLE).then(|| {
            let plan = Plan::<f64>::new(bound.compiled.value.dag.clone(), crate::backend::Backend::Interp);
            let widen = |columns: &Vec<Column<'_, T>>| columns.iter().map(|c| (0..c.len()).map(|i| c.number(i)).collect()).collect();
            (plan, bound.table.inputs.iter().map(widen).collect())
        });
        Reference { bound, theta: theta.values().iter().map(|x| x.to_f64()).collect(), wide }
    }

    fn derivative(&self, position: usize) -> Derivative {
        let mut point = self.theta.clone();
        let x = point[position];
        match &self.wide {
            Some((plan, columns)) => {
                let column = |(wide, own)| match own {
                    &Column::Real(_) | Column::Strided(_) => Column::Real(Vec::as_slice(wide)),
                    Column::Labels(labels) => Column::Labels(*labels),
                };
                let inputs = columns.iter().zip(&self.bound.table.inputs).map(|(wide, own)| wide.iter().zip(own).map(column).collect()).collect();
                let bound = BoundPlan::new(plan, &Table { inputs, samples: self.bound.samples() });
                let Slot::Uniform(range) = &plan.outputs[0] else { unreachable!("an objective is one number") };
                ridders::derivative(x, |x| {
                    point[position] = x;
                    bound.evaluate(plan, &point, &mut [], |slots| slots[range.start])
                })
            }
            None => {
                let mut theta = Params::zeros(&self.bound.compiled.layout);
                ridders::derivative(x, |x| {
                    point[position] = x;
                    for (to, from) in theta.values_mut().iter_mut().zip(&point) {
                        *to = T::from_f64(*from);
                    }
                    self.bound.value(&theta).map_or(f64::NAN, |v| v.to_f64())
                })
            }
        }
    }
}
