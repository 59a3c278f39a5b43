//! The DSL: expressions that read like formulas. Operators and methods are generated from the table of operations.

mod labels;
mod linalg;
mod reductions;
mod structure;

use crate::error::{Mistake, Place};
use crate::graph::{Args, Axis, Dag, Fold, NodeId, Op};
use crate::op::{Elem, Num, table};
use crate::shape::{Dims, Shape};
use std::cell::{Cell, Ref, RefCell};
use std::fmt;

pub use labels::Labels;

/// A graph under construction: where data, parameters and expressions are made.
///
/// ```
/// use tapeless::prelude::*;
/// let g = Graph::new();
/// let (x, y) = (g.data("x"), g.data("y"));
/// let (w, b) = (g.param("w"), g.param("b"));
/// let loss = (w * x + b - y).square().mean();
/// assert_eq!(loss.shape().to_string(), "[]");
/// ```
#[derive(Default)]
pub struct Graph {
    dag: RefCell<Dag>,
    mistakes: RefCell<Vec<Mistake>>,
    /// While a pass builds nodes on the user's behalf: the place they belong to.
    place: Cell<Option<Place>>,
}

/// A value of a [`Graph`]: a graph reference and an index, free to copy.
///
/// Operands broadcast as in NumPy, the samples axis on its own. A mistake (shapes that don't fit, an operand of another graph) is kept with
/// the caller's file and line and returned by `compile()`.
#[derive(Clone, Copy)]
pub struct Expr<'g> {
    graph: &'g Graph,
    id: NodeId,
}

/// What a mistaken operation returns; everything made from it is as poisoned, without further reports.
fn poison() -> NodeId {
    NodeId::new(u32::MAX as usize)
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A graph that goes on from a finished one.
    pub fn from_dag(dag: Dag) -> Self {
        Graph { dag: RefCell::new(dag), ..Self::default() }
    }

    /// A data column: one number per sample.
    #[track_caller]
    pub fn data(&self, name: &str) -> Expr<'_> {
        self.data_with(name, &[])
    }

    /// Data with static dimensions: a vector or matrix per sample, shape `[samples, dims..]`.
    #[track_caller]
    pub fn data_with(&self, name: &str, dims: &[usize]) -> Expr<'_> {
        self.input(name, Shape::per_sample(dims), Dag::add_data)
    }

    /// A parameter: one number.
    #[track_caller]
    pub fn param(&self, name: &str) -> Expr<'_> {
        self.param_with(name, &[])
    }

    /// A parameter vector, matrix, ... of the given dimensions.
    #[track_caller]
    pub fn param_with(&self, name: &str, dims: &[usize]) -> Expr<'_> {
        self.input(name, Shape::new(dims), Dag::add_param)
    }

    /// A constant.
    pub fn constant(&self, value: f64) -> Expr<'_> {
        self.expr(self.dag.borrow_mut().constant(value))
    }

    /// The number of samples, as a value in the graph.
    #[track_caller]
    pub fn count(&self) -> Expr<'_> {
        self.push(Op::Count, Args::new(), Place::caller())
    }

    #[track_caller]
    fn input(&self, name: &str, shape: Shape, add: fn(&mut Dag, &str, Shape, Option<Place>) -> NodeId) -> Expr<'_> {
        let place = Some(Place::caller());
        if !shape.is_sound() {
            return self.mistake(Mistake::UnusableShape { what: format!("`{name}`"), shape, place });
        }
        let taken = {
            let dag = self.dag.borrow();
            dag.data().iter().chain(dag.params()).find(|i| i.name == name).map(|i| i.shape.clone())
        };
        match taken {
            Some(first) => self.mistake(Mistake::DuplicateName { name: name.into(), first, second: shape, place }),
            None => self.expr(add(&mut self.dag.borrow_mut(), name, shape, place)),
        }
    }

    /// The named results of a graph that was parsed or finished, as expressions to go on from.
    ///
    /// ```
    /// use tapeless::{Graph, graph::text};
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::from_dag(text::parse("data x [samples]\n%0 = data x\n%1 = square %0\noutput s %1")?);
    /// let (_, s) = &g.outputs()[0];
    /// let program = s.mean().compile()?;
    /// assert_eq!(program.bind([("x", &[3.0, 1.0])])?.value(&program.zeros())?, 5.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn outputs(&self) -> Vec<(String, Expr<'_>)> {
        self.dag.borrow().outputs().iter().map(|(name, id)| (name.clone(), self.expr(*id))).collect()
    }

    /// The graph as built so far.
    pub fn dag(&self) -> Ref<'_, Dag> {
        self.dag.borrow()
    }

    /// The finished graph.
    pub fn into_dag(self) -> Dag {
        self.dag.into_inner()
    }

    /// The mistakes made so far, in order.
    pub fn mistakes(&self) -> Vec<Mistake> {
        self.mistakes.borrow().clone()
    }

    /// An operation of the table applied by its row, for code that walks the table.
    #[track_caller]
    pub fn apply<'g>(&'g self, op: Elem, operands: &[Expr<'g>]) -> Expr<'g> {
        match operands {
            [first, rest @ ..] if operands.len() == op.arity() => first.elem(op, rest),
            _ => self.mistake(Mistake::Shapes { op: op.name().into(), shapes: operands.iter().map(|e| e.shape()).collect(), place: Some(Place::caller()) }),
        }
    }

    /// The expression of a node.
    ///
    /// # Panics
    /// If this graph has no such node.
    pub fn node(&self, id: NodeId) -> Expr<'_> {
        assert!(id.index() < self.dag.borrow().nodes().len(), "{id} is not in this graph");
        self.expr(id)
    }

    fn expr(&self, id: NodeId) -> Expr<'_> {
        Expr { graph: self, id }
    }

    pub(crate) fn mistake(&self, mistake: Mistake) -> Expr<'_> {
        self.mistakes.borrow_mut().push(mistake);
        self.expr(poison())
    }

    /// Where nodes that are pushed now belong to.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place.get()
    }

    /// Nodes made until the next call belong to this place; `None` returns to the callers' own.
    pub(crate) fn set_place(&self, place: Option<Place>) {
        self.place.set(place);
    }

    /// Adds a node on a pass's behalf; its operands must fit.
    pub(crate) fn push_op(&self, op: Op, args: &[NodeId]) -> NodeId {
        self.dag.borrow_mut().push(op, Args::from_slice(args), self.place.get()).expect("a pass builds fitting nodes")
    }

    /// Adds the nodes of a graph that has the inputs of this one, and gives its outputs.
    pub(crate) fn graft(&self, dag: &Dag) -> Vec<Expr<'_>> {
        let mut here: Vec<NodeId> = Vec::with_capacity(dag.nodes().len());
        for node in dag.nodes() {
            let args = node.args.iter().map(|a| here[a.index()]).collect();
            here.push(self.dag.borrow_mut().push(node.op.clone(), args, node.place).expect("what fits there fits here"));
        }
        dag.outputs().iter().map(|(_, id)| self.expr(here[id.index()])).collect()
    }

    /// A node of any number of operands; `what` is how a mistake names it.
    #[track_caller]
    pub(crate) fn gathered<'g>(&'g self, what: &str, operands: &[Expr<'g>], op: Op) -> Expr<'g> {
        let place = Place::caller();
        if let Some(foreign) = operands.iter().find(|e| !std::ptr::eq(e.graph, self)) {
            let mistake = Mistake::ForeignExpression { op: what.into(), place: Some(place) };
            foreign.graph.mistake(mistake.clone());
            return self.mistake(mistake);
        }
        self.push(op, operands.iter().map(|e| e.id).collect(), place)
    }

    fn push(&self, op: Op, args: Args, caller: Place) -> Expr<'_> {
        if args.iter().any(|a| *a == poison()) {
            return self.expr(poison());
        }
        let place = Some(self.place.get().unwrap_or(caller));
        let pushed = self.dag.borrow_mut().push(op.clone(), args.clone(), place);
        match pushed {
            Some(id) => self.expr(id),
            None => {
                let shapes = args.iter().map(|a| self.dag.borrow().shape(*a).clone()).collect();
                let op = match &op {
                    Op::Elem(e) => e.name().to_string(),
                    Op::Gather => "gather".into(),
                    Op::SumBy(_) => "sum_by".into(),
                    Op::Broadcast(to) => format!("broadcast to {to}"),
                    Op::Reshape(dims) => format!("reshape to {}", Shape::new(dims)),
                    other => format!("{other:?}"),
                };
                self.mistake(Mistake::Shapes { op, shapes, place })
            }
        }
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.dag.borrow(), f)
    }
}

impl fmt::Debug for Expr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_poisoned() { f.write_str("(mistake)") } else { write!(f, "{} {}", self.id, self.shape()) }
    }
}

/// What an operation takes beside an expression: an expression or a number.
pub trait Operand<'g> {
    /// The operand as an expression of the given graph; one of another graph stays of that graph.
    fn in_graph(self, graph: &'g Graph) -> Expr<'g>;
}

impl<'g> Operand<'g> for Expr<'g> {
    fn in_graph(self, _: &'g Graph) -> Expr<'g> {
        self
    }
}

impl<'g> Operand<'g> for f64 {
    fn in_graph(self, graph: &'g Graph) -> Expr<'g> {
        graph.constant(self)
    }
}

impl<'g> Operand<'g> for i32 {
    fn in_graph(self, graph: &'g Graph) -> Expr<'g> {
        graph.constant(f64::from(self))
    }
}

impl<'g> Expr<'g> {
    /// The graph this belongs to.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// The node in that graph.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// What a mistake on the way here gives.
    pub(crate) fn poisoned(self) -> Expr<'g> {
        self.graph.expr(poison())
    }

    /// A mistake of a function made of expressions: operands of these shapes do not fit.
    #[track_caller]
    pub(crate) fn refused(self, op: &str, shapes: Vec<Shape>) -> Expr<'g> {
        self.graph.mistake(Mistake::Shapes { op: op.into(), shapes, place: Some(Place::caller()) })
    }

    /// Whether a mistake was made on the way here.
    pub(crate) fn is_poisoned(self) -> bool {
        self.id == poison()
    }

    /// The shape; `[]` after a mistake.
    pub fn shape(self) -> Shape {
        if self.is_poisoned() { Shape::default() } else { self.graph.dag.borrow().shape(self.id).clone() }
    }

    #[track_caller]
    fn elem(self, op: Elem, rest: &[Expr<'g>]) -> Expr<'g> {
        let place = Place::caller();
        let mut args = Args::with_capacity(op.arity());
        args.push(self.id);
        for e in rest {
            if !std::ptr::eq(e.graph, self.graph) {
                let mistake = Mistake::ForeignExpression { op: op.name().into(), place: Some(place) };
                // Both graphs refuse to compile: either may be the one the user goes on with.
                e.graph.mistake(mistake.clone());
                return self.graph.mistake(mistake);
            }
            args.push(e.id);
        }
        self.graph.push(Op::Elem(op), args, place)
    }

    #[track_caller]
    fn unary(self, op: Op) -> Expr<'g> {
        self.graph.push(op, smallvec::smallvec![self.id], Place::caller())
    }

    /// The same value repeated to larger dimensions; the samples axis stays as it is.
    #[track_caller]
    pub fn broadcast_to(self, dims: &[usize]) -> Expr<'g> {
        let to = Shape::new(dims).with_samples(self.shape().varies_over_samples());
        if self.shape() == to { self } else { self.unary(Op::Broadcast(to)) }
    }

    /// The same entries, in row-major order, under other dimensions.
    #[track_caller]
    pub fn reshape(self, dims: &[usize]) -> Expr<'g> {
        if self.shape().dims() == dims { self } else { self.unary(Op::Reshape(Dims::from_slice(dims))) }
    }

    /// One reduction over the dimension counted from the right, which keeps extent 1.
    #[track_caller]
    pub(crate) fn fold_keeping(self, fold: Fold, from_right: usize) -> Expr<'g> {
        self.unary(Op::Reduce(fold, Axis::Dim(from_right as u32)))
    }

    #[track_caller]
    fn fold_dim(self, fold: Fold, what: &str, axis: isize) -> Expr<'g> {
        if self.is_poisoned() {
            return self;
        }
        let shape = self.shape();
        let rank = shape.dims().len() as isize;
        let at = if axis < 0 { axis + rank } else { axis };
        if at < 0 || at >= rank {
            return self.graph.mistake(Mistake::NoSuchAxis { op: what.into(), axis: axis.to_string(), shape, place: Some(Place::caller()) });
        }
        let mut dims = Dims::from_slice(shape.dims());
        dims.remove(at as usize);
        self.fold_keeping(fold, (rank - 1 - at) as usize).reshape(&dims)
    }

    #[track_caller]
    pub(crate) fn fold_samples(self, fold: Fold, what: &str) -> Expr<'g> {
        if self.is_poisoned() {
            return self;
        }
        let shape = self.shape();
        if !shape.varies_over_samples() {
            return self.graph.mistake(Mistake::NoSuchAxis { op: what.into(), axis: "samples".into(), shape, place: Some(Place::caller()) });
        }
        self.unary(Op::Reduce(fold, Axis::Samples))
    }

    #[track_caller]
    fn fold_all(self, fold: Fold) -> Expr<'g> {
        let mut out = self;
        let dims = self.shape();
        for (k, extent) in dims.dims().iter().rev().enumerate() {
            if *extent > 1 {
                out = out.fold_keeping(fold, k);
            }
        }
        out = out.reshape(&[]);
        if dims.varies_over_samples() { out.fold_samples(fold, "reduction") } else { out }
    }

    #[track_caller]
    fn divided_by_count(self, of: &Shape, entries: usize) -> Expr<'g> {
        match (of.varies_over_samples(), entries) {
            (true, 1) => self / self.graph.count(),
            (true, n) => self / (self.graph.count() * n as f64),
            (false, n) => self / n as f64,
        }
    }

    /// The sum of everything: over samples, if there are any, and all dimensions. Gives one number.
    #[track_caller]
    pub fn sum(self) -> Expr<'g> {
        self.fold_all(Fold::Sum)
    }

    /// The mean of everything. Gives one number; of no samples it has no value, which binding reports.
    #[track_caller]
    pub fn mean(self) -> Expr<'g> {
        let shape = self.shape();
        self.sum().divided_by_count(&shape, shape.entries())
    }

    /// The smallest of everything (NaN if any is NaN). Equal ones share the derivative.
    #[track_caller]
    pub fn min_all(self) -> Expr<'g> {
        self.fold_all(Fold::Min)
    }

    /// The largest of everything (NaN if any is NaN). Equal ones share the derivative.
    #[track_caller]
    pub fn max_all(self) -> Expr<'g> {
        self.fold_all(Fold::Max)
    }

    /// The sum over samples; keeps the dimensions.
    #[track_caller]
    pub fn sum_samples(self) -> Expr<'g> {
        self.fold_samples(Fold::Sum, "sum_samples")
    }

    /// The mean over samples; keeps the dimensions.
    #[track_caller]
    pub fn mean_samples(self) -> Expr<'g> {
        let shape = self.shape();
        self.fold_samples(Fold::Sum, "mean_samples").divided_by_count(&shape, 1)
    }

    /// The smallest over samples; keeps the dimensions.
    #[track_caller]
    pub fn min_samples(self) -> Expr<'g> {
        self.fold_samples(Fold::Min, "min_samples")
    }

    /// The largest over samples; keeps the dimensions.
    #[track_caller]
    pub fn max_samples(self) -> Expr<'g> {
        self.fold_samples(Fold::Max, "max_samples")
    }

    /// The sum over one dimension, which goes; negative axes count from the end.
    #[track_caller]
    pub fn sum_dim(self, axis: isize) -> Expr<'g> {
        self.fold_dim(Fold::Sum, "sum_dim", axis)
    }

    /// The mean over one dimension, which goes; negative axes count from the end.
    #[track_caller]
    pub fn mean_dim(self, axis: isize) -> Expr<'g> {
        let before = self.shape().entries();
        let out = self.fold_dim(Fold::Sum, "mean_dim", axis);
        let extent = before / out.shape().entries().max(1);
        out / extent as f64
    }

    /// The smallest over one dimension, which goes; negative axes count from the end.
    #[track_caller]
    pub fn min_dim(self, axis: isize) -> Expr<'g> {
        self.fold_dim(Fold::Min, "min_dim", axis)
    }

    /// The largest over one dimension, which goes; negative axes count from the end.
    #[track_caller]
    pub fn max_dim(self, axis: isize) -> Expr<'g> {
        self.fold_dim(Fold::Max, "max_dim", axis)
    }
}

macro_rules! methods {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident $name:ident ($first:ident in $flo:literal .. $fhi:literal $(, $rest:ident in $rlo:literal .. $rhi:literal)* $(; $attr:ident : $aty:ty)?)
            = $value:expr, |$y:ident, $d:ident| [$($pull:expr),+];
    )*) => {
        // The operators' methods (`add`, `neg`, ...) are here beside the others; the operator traits below call them.
        #[allow(clippy::should_implement_trait)]
        impl<'g> Expr<'g> {
            $(
                $(#[doc = $doc])*
                #[track_caller]
                pub fn $name(self $(, $rest: impl Operand<'g>)* $(, $attr: $aty)?) -> Expr<'g> {
                    self.elem(Elem::$variant $(($attr))?, &[$($rest.in_graph(self.graph)),*])
                }
            )*
        }

        impl<'g> Num for Expr<'g> {
            fn lift(self, c: f64) -> Self {
                self.graph.constant(c)
            }
            $(
                #[track_caller]
                fn $name(self $(, $rest: Self)* $(, $attr: $aty)?) -> Self {
                    self.elem(Elem::$variant $(($attr))?, &[$($rest),*])
                }
            )*
        }
    };
}
table!(methods);

macro_rules! operators {
    ($($trait:ident $method:ident $elem:ident;)*) => {$(
        impl<'g, R: Operand<'g>> std::ops::$trait<R> for Expr<'g> {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, right: R) -> Expr<'g> {
                self.elem(Elem::$elem, &[right.in_graph(self.graph)])
            }
        }
        operators!(@left $trait $method $elem f64);
        operators!(@left $trait $method $elem i32);
    )*};
    (@left $trait:ident $method:ident $elem:ident $number:ty) => {
        impl<'g> std::ops::$trait<Expr<'g>> for $number {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, right: Expr<'g>) -> Expr<'g> {
                self.in_graph(right.graph).elem(Elem::$elem, &[right])
            }
        }
    };
}
operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

impl<'g> std::ops::Neg for Expr<'g> {
    type Output = Expr<'g>;
    #[track_caller]
    fn neg(self) -> Expr<'g> {
        self.elem(Elem::Neg, &[])
    }
}
