//! The static graph: an arena of hash-consed nodes in SSA order. A node's operands always come before it.

pub mod dense;
pub mod dot;
pub mod eval;
pub mod infix;
pub mod text;
pub mod trace;
pub mod verify;

use crate::error::Place;
use crate::known::Positions;
use crate::op::Elem;
use crate::shape::{Dims, Shape};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// The index of a node in its graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The position in the arena.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn new(index: usize) -> Self {
        NodeId(u32::try_from(index).expect("a graph has fewer than 2^32 nodes"))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a reduction combines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fold {
    /// The sum; 0 of nothing.
    Sum,
    /// The smallest; NaN if any is NaN.
    Min,
    /// The largest; NaN if any is NaN.
    Max,
}

impl Fold {
    /// All of them.
    pub const ALL: [Fold; 3] = [Fold::Sum, Fold::Min, Fold::Max];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Fold::Sum => "sum",
            Fold::Min => "min",
            Fold::Max => "max",
        }
    }

    /// What a reduction of nothing gives, and what one starts from.
    pub fn identity(self) -> f64 {
        match self {
            Fold::Sum => 0.0,
            Fold::Min => f64::INFINITY,
            Fold::Max => f64::NEG_INFINITY,
        }
    }

    /// One step of the reduction; `Min` and `Max` carry NaN from either side.
    #[inline(always)]
    pub fn combine<T: crate::real::Real>(self, a: T, b: T) -> T {
        match self {
            Fold::Sum => a + b,
            Fold::Min => {
                // Written with `!=` for NaN, so that a loop over it stays free of branches.
                #[allow(clippy::eq_op)]
                if (a < b) | (a != a) { a } else { b }
            }
            Fold::Max =>
            {
                #[allow(clippy::eq_op)]
                if (a > b) | (a != a) {
                    a
                } else {
                    b
                }
            }
        }
    }
}

/// The axis a reduction runs over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Axis {
    /// The samples.
    Samples,
    /// A static dimension, counted from the right (0 is the last); it keeps extent 1.
    Dim(u32),
}

/// A constant's bits: equal constants are one node, and NaN equals itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits(u64);

impl From<f64> for Bits {
    fn from(x: f64) -> Self {
        // One NaN stands for all: which one an operation gives is the CPU's choice, and the text form has one word for it.
        Bits(if x.is_nan() { f64::NAN } else { x }.to_bits())
    }
}

impl Bits {
    /// The number.
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.value())
    }
}

/// Where each entry of a result comes from: slices, transposes, stacks, triangles are all this.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Arrangement {
    /// The dimensions of the result.
    pub dims: Dims,
    /// For each entry, in row-major order, the operand and its entry; `None` is 0.
    pub sources: Vec<Option<(u32, u32)>>,
}

/// What a node computes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// A number.
    Const(Bits),
    /// The data input of this index.
    Data(u32),
    /// The parameter of this index.
    Param(u32),
    /// The number of samples.
    Count,
    /// An elementwise operation; operands broadcast.
    Elem(Elem),
    /// A reduction over one axis.
    Reduce(Fold, Axis),
    /// The operand repeated to a larger shape.
    Broadcast(Shape),
    /// The same entries in row-major order under other dimensions.
    Reshape(Dims),
    /// The operand's value, with no derivative.
    Detach,
    /// Entries of the operands in another arrangement.
    Arrange(Arc<Arrangement>),
    /// A row of a table without samples for each sample, by label: operands `[rows, dims..]` and labels, result `[samples, dims..]`.
    Gather,
    /// For each of so many groups the sum over its samples: operands `[samples, dims..]` and labels, result `[groups, dims..]`.
    SumBy(u32),
    /// Linear algebra of large matrices without samples.
    Dense(dense::Dense),
}

impl Op {
    /// Whether it reduces over samples, and so ends a pass.
    pub fn ends_pass(&self) -> bool {
        matches!(self, Op::Reduce(_, Axis::Samples) | Op::SumBy(_))
    }
}

/// Operands of a node.
pub type Args = SmallVec<[NodeId; 3]>;

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// From which nodes.
    pub args: Args,
    /// The shape of its value.
    pub shape: Shape,
    /// Where the user wrote it; for an adjoint, where the operation it belongs to was written.
    pub place: Option<Place>,
}

/// A data input or a parameter.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// Its name, unique among data and parameters.
    pub name: String,
    /// Its shape: with samples for data, without for parameters.
    pub shape: Shape,
    /// Where it was declared.
    pub place: Option<Place>,
    /// For a column of labels what they must be below.
    pub labels: Option<Limit>,
}

impl Input {
    /// An input of real numbers.
    pub fn new(name: &str, shape: Shape) -> Self {
        Input { name: name.into(), shape, place: None, labels: None }
    }
}

/// What the labels of a column must be below.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limit {
    /// They are from 0 up to this, exclusive.
    pub below: u32,
    /// The use that sets the limit.
    pub place: Option<Place>,
}

/// The static graph.
#[derive(Clone, Default)]
pub struct Dag {
    nodes: Vec<Node>,
    data: Vec<Input>,
    params: Vec<Input>,
    outputs: Vec<(String, NodeId)>,
    /// Of the first so many nodes: the rest follow when the next one is asked for, since copies are mostly read alone.
    index: Positions,
}

impl Dag {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty graph with the inputs of another, so that `Op::Data(i)` and `Op::Param(i)` mean the same in both.
    pub fn with_inputs_of(other: &Dag) -> Self {
        Dag { data: other.data.clone(), params: other.params.clone(), ..Self::default() }
    }

    /// Makes room for so many nodes, before the first.
    pub(crate) fn reserve(&mut self, nodes: usize) {
        debug_assert!(self.nodes.is_empty(), "what was indexed would be indexed again");
        self.nodes.reserve(nodes);
        self.index = Positions::with_capacity(nodes);
    }

    /// All nodes in SSA order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The shape of a node's value.
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.nodes[id.index()].shape
    }

    /// The ids of all nodes, operands first.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId::new)
    }

    /// The data inputs.
    pub fn data(&self) -> &[Input] {
        &self.data
    }

    /// The parameters.
    pub fn params(&self) -> &[Input] {
        &self.params
    }

    /// The named results.
    pub fn outputs(&self) -> &[(String, NodeId)] {
        &self.outputs
    }

    /// Adds a named result.
    pub fn output(&mut self, name: &str, id: NodeId) {
        self.outputs.push((name.to_string(), id));
    }

    /// Declares a data input and returns its node; the name must be free.
    pub fn add_data(&mut self, name: &str, shape: Shape, place: Option<Place>) -> NodeId {
        let k = self.data.len() as u32;
        self.data.push(Input { place, ..Input::new(name, shape) });
        self.push(Op::Data(k), Args::new(), place).expect("an input has a shape")
    }

    /// Declares a column of labels below a number and returns its node, whose value is the label as a number; the name must be free.
    pub fn add_labels(&mut self, name: &str, below: u32, place: Option<Place>) -> NodeId {
        let id = self.add_data(name, Shape::per_sample(&[]), place);
        self.data.last_mut().expect("just added").labels = Some(Limit { below, place });
        id
    }

    /// The limit of a node that is a column of labels.
    pub fn labels(&self, id: NodeId) -> Option<Limit> {
        match self.node(id).op {
            Op::Data(k) => self.data[k as usize].labels,
            _ => None,
        }
    }

    /// Says that the labels of this node must be below a number; the lowest that was said counts.
    pub(crate) fn limit_labels(&mut self, id: NodeId, below: usize, place: Option<Place>) {
        if let Op::Data(k) = self.node(id).op
            && let Some(limit) = &mut self.data[k as usize].labels
            && below < limit.below as usize
        {
            *limit = Limit { below: below as u32, place };
        }
    }

    /// Declares a parameter and returns its node; the name must be free.
    pub fn add_param(&mut self, name: &str, shape: Shape, place: Option<Place>) -> NodeId {
        let k = self.params.len() as u32;
        self.params.push(Input { place, ..Input::new(name, shape) });
        self.push(Op::Param(k), Args::new(), place).expect("an input has a shape")
    }

    /// A constant.
    pub fn constant(&mut self, value: f64) -> NodeId {
        self.push(Op::Const(value.into()), Args::new(), None).expect("a constant has a shape")
    }

    /// The value of a constant node.
    pub fn as_constant(&self, id: NodeId) -> Option<f64> {
        match self.node(id).op {
            Op::Const(bits) => Some(bits.value()),
            _ => None,
        }
    }

    /// Adds a node, or finds the equal one. `None` if the operands' shapes don't fit the operation.
    pub fn push(&mut self, op: Op, args: Args, place: Option<Place>) -> Option<NodeId> {
        let shape = self.infer(&op, &args)?;
        Some(self.push_shaped(op, args, shape, place))
    }

    /// The same with the shape that [`Dag::infer`] gave.
    pub(crate) fn push_shaped(&mut self, op: Op, args: Args, shape: Shape, place: Option<Place>) -> NodeId {
        let nodes = &self.nodes;
        let at = |k: usize| (&nodes[k].op, &nodes[k].args);
        (self.index.noted()..nodes.len()).for_each(|k| self.index.note(k, at));
        let found = self.index.find_or_note(&(&op, &args), nodes.len(), at);
        NodeId::new(found.unwrap_or_else(|| {
            self.nodes.push(Node { op, args, shape, place });
            self.nodes.len() - 1
        }))
    }

    /// The shape an operation gives, `None` where the operands don't fit.
    pub fn infer(&self, op: &Op, args: &[NodeId]) -> Option<Shape> {
        let shape = |k: usize| args.get(k).map(|a| self.shape(*a));
        let arity = match op {
            Op::Const(_) | Op::Data(_) | Op::Param(_) | Op::Count => 0,
            Op::Elem(e) => e.arity(),
            Op::Reduce(..) | Op::Broadcast(_) | Op::Reshape(_) | Op::Detach => 1,
            Op::Arrange(_) => args.len(),
            Op::Gather | Op::SumBy(_) => 2,
            Op::Dense(d) => d.arity(),
        };
        if args.len() != arity {
            return None;
        }
        match op {
            Op::Const(_) | Op::Count => Some(Shape::default()),
            Op::Data(k) => self.data.get(*k as usize).map(|i| i.shape.clone()),
            Op::Param(k) => self.params.get(*k as usize).map(|i| i.shape.clone()),
            Op::Elem(_) => {
                let mut out = shape(0)?.clone();
                for k in 1..arity {
                    out = out.broadcast(shape(k)?)?;
                }
                out.is_sound().then_some(out)
            }
            Op::Reduce(_, Axis::Samples) => {
                let s = shape(0)?;
                s.varies_over_samples().then(|| s.with_samples(false))
            }
            Op::Reduce(_, Axis::Dim(axis)) => {
                let s = shape(0)?;
                let mut dims = Dims::from_slice(s.dims());
                let at = dims.len().checked_sub(1 + *axis as usize)?;
                dims[at] = 1;
                Some(Shape::with(s.varies_over_samples(), dims))
            }
            Op::Detach => shape(0).cloned(),
            Op::Broadcast(to) => {
                let from = shape(0)?;
                (from.broadcast(to).as_ref() == Some(to) && to.is_sound()).then(|| to.clone())
            }
            Op::Reshape(dims) => {
                let from = shape(0)?;
                let to = Shape::with(from.varies_over_samples(), dims.clone());
                (to.is_sound() && to.entries() == from.entries()).then_some(to)
            }
            Op::Arrange(arrangement) => {
                let samples = args.iter().any(|a| self.shape(*a).varies_over_samples());
                let to = Shape::with(samples, arrangement.dims.clone());
                let there = |(operand, entry): &(u32, u32)| args.get(*operand as usize).is_some_and(|a| (*entry as usize) < self.shape(*a).entries());
                (to.is_sound() && to.entries() == arrangement.sources.len() && arrangement.sources.iter().flatten().all(there)).then_some(to)
            }
            Op::Dense(d) => {
                let shapes: SmallVec<[&Shape; 2]> = args.iter().map(|a| self.shape(*a)).collect();
                d.infer(&shapes)
            }
            Op::Gather => {
                let (table, limit) = (shape(0)?, self.labels(args[1])?);
                let (rows, dims) = table.dims().split_first()?;
                (!table.varies_over_samples() && limit.below as usize <= *rows).then(|| Shape::per_sample(dims))
            }
            Op::SumBy(groups) => {
                let (terms, limit) = (shape(0)?, self.labels(args[1])?);
                let mut dims = Dims::from_slice(terms.dims());
                dims.insert(0, *groups as usize);
                let to = Shape::with(false, dims);
                (terms.varies_over_samples() && limit.below <= *groups && to.is_sound()).then_some(to)
            }
        }
    }

    /// For each node, whether some output needs it.
    pub fn live(&self) -> Vec<bool> {
        self.reachable(self.outputs.iter().map(|(_, id)| *id))
    }

    /// For each node, whether one of the roots needs it.
    pub fn reachable(&self, roots: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        for id in roots {
            live[id.index()] = true;
        }
        for k in (0..self.nodes.len()).rev() {
            if live[k] {
                for a in &self.nodes[k].args {
                    live[a.index()] = true;
                }
            }
        }
        live
    }

    /// A copy that holds only what the outputs need (all inputs stay declared).
    pub fn without_dead_nodes(&self) -> Dag {
        self.for_outputs(&self.outputs)
    }

    /// A copy that has these results only, and holds only what they need.
    pub(crate) fn for_outputs(&self, outputs: &[(String, NodeId)]) -> Dag {
        let live = self.reachable(outputs.iter().map(|(_, id)| *id));
        let mut out = Dag::with_inputs_of(self);
        out.nodes.reserve(live.iter().filter(|l| **l).count());
        let mut map: Vec<Option<NodeId>> = vec![None; self.nodes.len()];
        for (k, node) in self.nodes.iter().enumerate() {
            if live[k] {
                let args = node.args.iter().map(|a| map[a.index()].expect("operands of a live node are live")).collect();
                // Nodes that differ still do.
                map[k] = Some(NodeId::new(out.nodes.len()));
                out.nodes.push(Node { op: node.op.clone(), args, shape: node.shape.clone(), place: node.place });
            }
        }
        for (name, id) in outputs {
            out.output(name, map[id.index()].expect("outputs are live"));
        }
        out
    }

    /// How many nodes the outputs need.
    pub fn live_nodes(&self) -> usize {
        self.live().into_iter().filter(|l| *l).count()
    }

    /// Replaces the results.
    pub(crate) fn set_outputs(&mut self, outputs: Vec<(String, NodeId)>) {
        self.outputs = outputs;
    }

    /// How messages name a node: its operation and, for inputs, the name.
    pub fn describe(&self, id: NodeId) -> String {
        match &self.node(id).op {
            Op::Const(c) => format!("{:?}", c.value()),
            Op::Data(k) => format!("{} `{}`", if self.data[*k as usize].labels.is_some() { "labels" } else { "data" }, self.data[*k as usize].name),
            Op::Param(k) => format!("param `{}`", self.params[*k as usize].name),
            Op::Count => "count of samples".into(),
            Op::Elem(e) => match e.attribute() {
                Some(n) => format!("{}({n})", e.name()),
                None => e.name().into(),
            },
            Op::Reduce(fold, Axis::Samples) => format!("{} over samples", fold.name()),
            Op::Reduce(fold, Axis::Dim(k)) => format!("{} over dimension {k} from the right", fold.name()),
            Op::Broadcast(to) => format!("broadcast to {to}"),
            Op::Detach => "detach".into(),
            Op::Reshape(dims) => format!("reshape to {}", Shape::new(dims)),
            Op::Arrange(a) => format!("arrange to {}", Shape::new(&a.dims)),
            Op::Dense(d) => d.name().into(),
            Op::Gather => format!("gather by {}", self.describe(self.node(id).args[1])),
            Op::SumBy(groups) => format!("sum in {groups} groups by {}", self.describe(self.node(id).args[1])),
        }
    }
}

impl fmt::Debug for Dag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::print(self))
    }
}
