//! Errors put into differentiation on purpose: what a checker is worth is seen by what it catches.

use crate::expr::{Expr, Graph};
use crate::graph::{Arrangement, Axis, Dag, NodeId, Op};
use smallvec::SmallVec;
use std::sync::Arc;

/// An error put into one operation's pullback.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The operation's name in the table; `sum`, `min`, `max` for a reduction, or with the axis `sum over samples`, `max over a dimension`;
    /// `broadcast`, `reshape`, `detach`, `arrange`.
    pub op: String,
    /// What is wrong.
    pub defect: Defect,
}

/// What can be wrong with a pullback.
#[derive(Clone, Debug)]
pub enum Defect {
    /// What goes to this operand (to all of them) is multiplied by a factor.
    Factor(Option<usize>, f64),
    /// An elementwise operation has another pullback: a graph of single numbers, its parameters the operands, the answer and the incoming
    /// adjoint, its outputs what goes to each operand.
    Pullback(Arc<Dag>),
    /// What goes to the first two operands changes places.
    Exchanged,
    /// The entries of what goes to each operand are in reverse order.
    Reversed,
    /// What must not pass, passes: the adjoint of a detached value; of a minimum, to every entry.
    Unguarded,
    /// Equal extremes get the whole adjoint each.
    Unshared,
    /// An adjoint that is the same along an axis is counted once where it should be added up.
    Uncounted,
    /// A reduction over samples forgets its own adjoint.
    Unseeded,
    /// Of an entry that an arrangement uses several times only the first use counts.
    FirstUse,
    /// A contribution replaces what other uses of the operand have contributed.
    Replaced,
}

impl Fault {
    /// Whether it is this operation's.
    pub(super) fn is_of(&self, op: &Op) -> bool {
        let name = super::op_name(op);
        match op {
            Op::Reduce(_, axis) => {
                let over = if *axis == Axis::Samples { "samples" } else { "a dimension" };
                self.op == name || self.op == format!("{name} over {over}")
            }
            _ => self.op == name,
        }
    }
}

/// A pullback that is given as a graph.
pub(super) fn instantiate<'g>(graph: &'g Graph, pullback: &Dag, inputs: &[Expr<'g>]) -> SmallVec<[Expr<'g>; 3]> {
    let mut made: Vec<Expr<'g>> = Vec::with_capacity(pullback.nodes().len());
    for node in pullback.nodes() {
        let args: SmallVec<[NodeId; 3]> = node.args.iter().map(|a| made[a.index()].id()).collect();
        made.push(match &node.op {
            Op::Param(k) => inputs[*k as usize],
            op => graph.node(graph.push_op(op.clone(), &args)),
        });
    }
    pullback.outputs().iter().map(|(_, id)| made[id.index()]).collect()
}

/// The entries in reverse order.
pub(super) fn reversed<'g>(graph: &'g Graph, x: Expr<'g>) -> Expr<'g> {
    let shape = x.shape();
    let sources = (0..shape.entries() as u32).rev().map(|e| Some((0, e))).collect();
    graph.node(graph.push_op(Op::Arrange(Arc::new(Arrangement { dims: shape.dims().into(), sources })), &[x.id()]))
}
