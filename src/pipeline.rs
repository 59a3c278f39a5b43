//! Every pass in order: the only room that sees all of them.

use crate::backend::Backend;
use crate::diff::{self, Contribution, Defect, Fault};
use crate::error::{Error, Mistake, Place, Result};
use crate::expr::{Expr, Graph};
use crate::graph::{Axis, Dag, Fold, Node, NodeId, Op, verify};
use crate::op::Elem;
use crate::real::Real;
use crate::runtime::params::Layout;
use crate::runtime::plan::Plan;
use crate::runtime::program::{Compiled, Function, Late, Program};
use crate::shape::Shape;
use crate::simplify::{Statistics, simplify, stabilise};
use std::sync::{Arc, LazyLock};

/// How to compile an expression. `loss.compile()` uses the defaults: `f64`, the gradient by every parameter, the best backend.
///
/// ```
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w, b) = (g.data("x"), g.param("w"), g.param("b"));
/// let loss = (w * x + b).square().sum();
/// let program = Options::new().wrt(["w"]).compile_f32(loss)?;
/// let data = program.bind([("x", &[1.0f32, 2.0])])?;
/// let (value, grad) = data.value_and_grad(&program.params([("w", 1.0), ("b", 0.5)])?)?;
/// assert_eq!((value, grad.scalar("w")?), (1.5 * 1.5 + 2.5 * 2.5, 2.0 * 1.5 * 1.0 + 2.0 * 2.5 * 2.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    wrt: Option<Vec<String>>,
    backend: Backend,
    unsimplified: bool,
    curvature: bool,
    fault: Option<Fault>,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the gradient by these parameters only; none of them compiles the value alone.
    pub fn wrt<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.wrt = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Compiles the second derivative too, for [`crate::Bound::hessian_vector_product`] and [`crate::Bound::hessian`].
    pub fn with_curvature(mut self) -> Self {
        self.curvature = true;
        self
    }

    /// Forces a backend.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Leaves the simplifier out: for holding its result against the unsimplified program.
    pub fn without_simplifier(mut self) -> Self {
        self.unsimplified = true;
        self
    }

    /// Puts an error into an operation's pullback, to see that the checker finds it.
    #[doc(hidden)]
    pub fn with_fault(self, op: &str, factor: f64) -> Self {
        self.with_defect(op, Defect::Factor(None, factor))
    }

    /// Breaks an operation's pullback, to see that the checker finds it.
    #[doc(hidden)]
    pub fn with_defect(mut self, op: &str, defect: Defect) -> Self {
        self.fault = Some(Fault { op: op.into(), defect });
        self
    }

    /// Compiles an objective in `f64`.
    ///
    /// # Errors
    /// Every mistake made while writing the expression, a loss that isn't one number, an unknown parameter, an unusable backend.
    pub fn compile(&self, loss: Expr<'_>) -> Result<Program<f64>> {
        compile(loss, self)
    }

    /// Compiles an objective in `f32`: samples and per-sample arithmetic in `f32`, sums over samples carried in `f64`.
    ///
    /// # Errors
    /// As [`Options::compile`].
    pub fn compile_f32(&self, loss: Expr<'_>) -> Result<Program<f32>> {
        compile(loss, self)
    }
}

/// Compiles an objective.
///
/// # Errors
/// As [`Options::compile`].
pub fn compile<T: Real>(loss: Expr<'_>, options: &Options) -> Result<Program<T>> {
    let backend = options.backend.resolve()?;
    // Asking for this is the mistake, not the expression: it is reported, and the graph stays as it is.
    let not_scalar = (!loss.is_poisoned() && loss.shape() != Shape::default()).then(|| {
        let place = loss.graph().dag().node(loss.id()).place;
        Mistake::NotScalar { what: "the loss".into(), shape: loss.shape(), place }
    });
    let primal = finished(&[("loss", loss)], not_scalar)?;
    let wrt: Vec<usize> = match &options.wrt {
        None => (0..primal.params().len()).collect(),
        Some(names) => {
            let layout = Layout::new(primal.params());
            let find = |name: &String| primal.params().iter().position(|p| p.name == *name).ok_or_else(|| layout.unknown(name));
            if let Some((_, name)) = names.iter().enumerate().find(|(k, name)| names[..*k].contains(name)) {
                return Err(Error::RepeatedParam { name: name.clone() });
            }
            names.iter().map(find).collect::<Result<_>>()?
        }
    };
    let grad_layout = Arc::new(Layout::new(wrt.iter().map(|k| &primal.params()[*k])));

    // The recipe.
    let stable = stabilised(&primal, options);
    let (derived, contributions) = differentiate(&stable, &wrt, options.fault.as_ref())?;
    let (gradient_graph, statistics) = simplified(&derived, options);
    countable(&gradient_graph)?;
    // The value alone is the first of the gradient's results, simplified with them.
    let value_graph = gradient_graph.for_outputs(&gradient_graph.outputs()[..1]);
    let value = Late::new(Box::new(move || Plan::new(value_graph, backend)));
    let gradient = (!wrt.is_empty()).then(|| Plan::new(gradient_graph, backend));
    if gradient.is_none() {
        LazyLock::force(&value);
    }
    let curvature = match options.curvature && !wrt.is_empty() {
        true => {
            let twice = simplified(&differentiate_twice(&stable, &wrt)?, options).0;
            countable(&twice)?;
            Some(Plan::new(twice, backend))
        }
        false => None,
    };

    let compiled = assemble(primal, derived, contributions, statistics, value, gradient, grad_layout);
    Ok(Program { compiled: Arc::new(Compiled { curvature, ..compiled }) })
}

/// Compiles expressions of any shape into a function that computes them all.
///
/// # Errors
/// Every mistake made while writing the expressions, an unusable backend.
pub fn compile_function<T: Real>(results: &[(&str, Expr<'_>)], options: &Options) -> Result<Function<T>> {
    let backend = options.backend.resolve()?;
    let primal = finished(results, None)?;
    let stable = stabilised(&primal, options);
    let (graph, statistics) = simplified(&stable, options);
    countable(&graph)?;
    let value = Late::new(Box::new(move || Plan::new(graph, backend)));
    LazyLock::force(&value);
    let compiled = assemble(primal, stable, Vec::new(), statistics, value, None, Arc::default());
    Ok(Function { compiled: Arc::new(compiled) })
}

/// Whether the entries of all values can be counted in 32 bits, as plans do.
fn countable(dag: &Dag) -> Result<()> {
    const MOST: usize = 1 << 31;
    // Parameters have their places whether they are used or not.
    let params: usize = dag.params().iter().map(|p| p.shape.entries()).sum();
    let entries = params + dag.nodes().iter().map(|n| n.shape.entries()).sum::<usize>();
    if entries <= MOST {
        return Ok(());
    }
    let largest = dag.ids().max_by_key(|id| dag.shape(*id).entries()).expect("only a value has entries");
    let Node { shape, place, .. } = dag.node(largest).clone();
    Err(Error::Expression(vec![Mistake::TooManyEntries { what: dag.describe(largest), shape, entries, place }]))
}

/// The graph of these results, if no mistake was made, be it in the graph or in what is asked of it.
fn finished(results: &[(&str, Expr<'_>)], asked: Option<Mistake>) -> Result<Dag> {
    let Some((_, first)) = results.first() else { return Ok(Dag::new()) };
    let graph = first.graph();
    let mut mistakes = graph.mistakes();
    mistakes.extend(asked);
    for (name, e) in results {
        if !std::ptr::eq(e.graph(), graph) {
            mistakes.push(Mistake::ForeignExpression { op: format!("result `{name}`"), place: None });
        }
    }
    if !mistakes.is_empty() {
        return Err(Error::Expression(mistakes));
    }
    let outputs: Vec<(String, NodeId)> = results.iter().map(|(name, e)| (name.to_string(), e.id())).collect();
    let dag = graph.dag().for_outputs(&outputs);
    verify::check(&dag, "building");
    Ok(dag)
}

/// The value and its gradient as one graph.
fn differentiate(primal: &Dag, wrt: &[usize], fault: Option<&Fault>) -> Result<(Dag, Vec<Contribution>)> {
    let graph = Graph::from_dag(primal.clone());
    let loss = primal.outputs()[0].1;
    // A parameter that the loss doesn't use has no node yet.
    let nodes: Vec<NodeId> = wrt.iter().map(|k| graph.push_op(Op::Param(*k as u32), &[])).collect();
    let gradient = diff::gradient(&graph, loss, &nodes, fault)?;
    let outputs: Vec<(String, NodeId)> = std::iter::once(("loss".to_string(), loss))
        .chain(wrt.iter().zip(&gradient.by).map(|(k, e)| (format!("d_{}", primal.params()[*k].name), e.id())))
        .collect();
    let contributions = gradient.contributions;
    let mut derived = graph.into_dag();
    derived.set_outputs(outputs);
    verify::check(&derived, "diff");
    Ok((derived, contributions))
}

/// Value, gradient and Hessian-vector product as one graph; the vectors are parameters after the formula's own.
fn differentiate_twice(primal: &Dag, wrt: &[usize]) -> Result<Dag> {
    let graph = Graph::from_dag(primal.clone());
    let loss = graph.node(primal.outputs()[0].1);
    let node = |k: &usize| graph.node(graph.push_op(Op::Param(*k as u32), &[]));
    let inputs: Vec<Expr> = wrt.iter().map(node).collect();
    let taken = |name: &str| primal.params().iter().chain(primal.data()).any(|i| i.name == name);
    let vector = |k: &usize| {
        let mut name = format!("along_{}", primal.params()[*k].name);
        while taken(&name) {
            name.push('_');
        }
        graph.param_with(&name, primal.params()[*k].shape.dims())
    };
    let along: Vec<Expr> = wrt.iter().map(vector).collect();
    let nodes: Vec<NodeId> = inputs.iter().map(|e| e.id()).collect();
    let first = diff::gradient(&graph, loss.id(), &nodes, None)?.by;
    let slope = first.iter().zip(&along).map(|(d, v)| (*d * *v).sum()).reduce(|a, b| a + b).expect("there is something to differentiate by");
    let second = diff::gradient(&graph, slope.id(), &nodes, None)?.by;
    let named = |prefix: &str, list: &[Expr]| -> Vec<(String, NodeId)> {
        wrt.iter().zip(list).map(|(k, e)| (format!("{prefix}_{}", primal.params()[*k].name), e.id())).collect()
    };
    let mut outputs = vec![("loss".to_string(), loss.id())];
    outputs.extend(named("d", &first));
    outputs.extend(named("h", &second));
    let mut twice = graph.into_dag();
    twice.set_outputs(outputs);
    verify::check(&twice, "diff, twice");
    Ok(twice)
}

fn stabilised(dag: &Dag, options: &Options) -> Dag {
    if options.unsimplified { dag.without_dead_nodes() } else { stabilise(dag).0 }
}

fn simplified(dag: &Dag, options: &Options) -> (Dag, Statistics) {
    if options.unsimplified {
        return (dag.without_dead_nodes(), Statistics::default());
    }
    simplify(dag)
}

fn assemble<T: Real>(
    primal: Dag,
    derived: Dag,
    contributions: Vec<Contribution>,
    statistics: Statistics,
    value: Late<T>,
    gradient: Option<Plan<T>>,
    grad_layout: Arc<Layout>,
) -> Compiled<T> {
    let mut needed = vec![false; primal.data().len()];
    let mut needs_samples: Option<(String, Option<Place>)> = None;
    for node in primal.nodes() {
        match node.op {
            Op::Data(k) => needed[k as usize] = true,
            Op::Reduce(fold @ (Fold::Min | Fold::Max), Axis::Samples) => needs_samples = Some((fold.name().into(), node.place)),
            Op::Elem(Elem::Div) if counts(&primal, node.args[1]) => needs_samples = Some(("mean".into(), node.place)),
            _ => {}
        }
    }
    let layout = Arc::new(Layout::new(primal.params()));
    Compiled { primal, derived, contributions, statistics, value, gradient, curvature: None, layout, grad_layout, needed, needs_samples }
}

/// Whether a node is the number of samples, or that times a constant: what a mean divides by.
fn counts(dag: &Dag, id: NodeId) -> bool {
    let node = dag.node(id);
    match node.op {
        Op::Count => true,
        Op::Elem(Elem::Mul) => node.args.iter().any(|a| dag.node(*a).op == Op::Count),
        _ => false,
    }
}

impl Expr<'_> {
    /// Compiles this objective, one number, with its gradient by every parameter, in `f64`.
    ///
    /// # Errors
    /// As [`Options::compile`].
    pub fn compile(self) -> Result<Program<f64>> {
        compile(self, &Options::new())
    }

    /// Compiles this expression, of any shape, in `f64`; evaluating gives one [`crate::Array`].
    ///
    /// # Errors
    /// Every mistake made while writing the expression, an unusable backend.
    pub fn compile_function(self) -> Result<Function<f64>> {
        compile_function(&[("result", self)], &Options::new())
    }
}
