//! The part of a step's nest that anything depends on: sums of products leave out the entries that a matrix doesn't have (above the diagonal of a lower
//! triangular one), and sums over samples those that nobody reads.
//!
//! Whatever the other factor is at an entry that isn't there, a number or not, it has no part in the sum.

use super::ir::Part;
use crate::graph::{Axis, Dag, Fold, NodeId, Op};
use crate::op::Elem;
use crate::schedule::{Pass, Step};
use crate::shape::broadcast_index;

/// Rows that share a range of columns, at least; and blocks of rows, at most. A block is a loop of its own.
const ROWS: usize = 8;
const BLOCKS: usize = 8;
/// A nest is gone through whole if its parts have more than this fraction of its points.
const WORTH: f64 = 0.8;

/// The parts that matter, or none if that is all; `dims` are the step's without loops of one turn.
pub fn of(dag: &Dag, pass: &Pass, step: &Step, dims: &[usize]) -> Vec<Part> {
    let [.., rows, columns] = dims[..] else { return Vec::new() };
    let Some(needed) = needed(dag, pass, step) else { return Vec::new() };
    // The columns that some row of a block needs, whatever the indices of the outer loops.
    let block = ROWS.max(rows.div_ceil(BLOCKS).next_multiple_of(4));
    let mut parts: Vec<Part> = Vec::new();
    for first in (0..rows).step_by(block) {
        let end = (first + block).min(rows);
        let mut range: Option<(usize, usize)> = None;
        for plane in needed.chunks_exact(rows * columns) {
            for row in plane[first * columns..end * columns].chunks_exact(columns) {
                if let (Some(from), Some(to)) = (row.iter().position(|n| *n), row.iter().rposition(|n| *n)) {
                    range = Some(range.map_or((from, to), |(a, b)| (a.min(from), b.max(to))));
                }
            }
        }
        // A sum of nothing still starts from 0.
        let (from, to) = range.unwrap_or((0, 0));
        let range = from as u32..to as u32 + 1;
        match parts.last_mut() {
            Some(last) if last.columns == range => last.rows.end = end as u32,
            _ => parts.push(Part { rows: first as u32..end as u32, columns: range }),
        }
    }
    let points: usize = parts.iter().map(Part::points).sum();
    if points as f64 <= WORTH * (rows * columns) as f64 { parts } else { Vec::new() }
}

/// For each point of the nest whether some sum of the step needs it; `None` if the step does anything but sums.
fn needed(dag: &Dag, pass: &Pass, step: &Step) -> Option<Vec<bool>> {
    let folds = |id: &NodeId| matches!(dag.node(*id).op, Op::Reduce(..));
    if !step.outputs.is_empty() || step.nodes.iter().any(|id| !folds(id) && pass.stored.binary_search(id).is_ok()) {
        return None;
    }
    let mut needed = vec![false; step.dims.iter().product()];
    let mut any = false;
    for id in step.nodes.iter().filter(|id| folds(id)).chain(&step.reductions) {
        let node = dag.node(*id);
        let of = match node.op {
            Op::Reduce(Fold::Sum, Axis::Dim(_)) => present(dag, node.args[0], step)?,
            Op::Reduce(_, Axis::Samples) => read(dag, *id)?,
            _ => return None,
        };
        if of.len() != needed.len() {
            return None;
        }
        needed.iter_mut().zip(of).for_each(|(n, of)| *n |= of);
        any = true;
    }
    any.then_some(needed)
}

/// Where a product has all of its factors.
fn present(dag: &Dag, product: NodeId, step: &Step) -> Option<Vec<bool>> {
    let node = dag.node(product);
    if node.op != Op::Elem(Elem::Mul) || node.shape.dims() != &step.dims[..] {
        return None;
    }
    let mut out = vec![true; node.shape.entries()];
    let mut any = false;
    for a in &node.args {
        let Some(there) = entries(dag, *a) else { continue };
        any = true;
        for (held, from) in out.iter_mut().zip(broadcast_index(dag.shape(*a).dims(), node.shape.dims())) {
            *held &= there[from];
        }
    }
    any.then_some(out)
}

/// Which entries a value without samples has, if not all of them.
fn entries(dag: &Dag, id: NodeId) -> Option<Vec<bool>> {
    let node = dag.node(id);
    match &node.op {
        Op::Reshape(_) | Op::Detach if !node.shape.varies_over_samples() => entries(dag, node.args[0]),
        Op::Arrange(a) if !node.shape.varies_over_samples() && a.sources.iter().any(Option::is_none) => Some(a.sources.iter().map(Option::is_some).collect()),
        _ => None,
    }
}

/// Which entries of a sum over samples anybody reads, if not all.
fn read(dag: &Dag, sum: NodeId) -> Option<Vec<bool>> {
    let mut out = vec![false; dag.shape(sum).entries()];
    if dag.outputs().iter().any(|(_, id)| *id == sum) {
        return None;
    }
    let live = dag.live();
    for user in dag.ids().filter(|id| live[id.index()]) {
        let node = dag.node(user);
        for (k, _) in node.args.iter().enumerate().filter(|(_, a)| **a == sum) {
            match &node.op {
                Op::Arrange(a) => a.sources.iter().flatten().filter(|(of, _)| *of as usize == k).for_each(|(_, from)| out[*from as usize] = true),
                // Entry by entry.
                Op::Reshape(_) | Op::Elem(_) if node.shape.entries() == out.len() && !node.shape.varies_over_samples() => {
                    read(dag, user)?.into_iter().zip(&mut out).for_each(|(read, held)| *held |= read)
                }
                _ => return None,
            }
        }
    }
    Some(out)
}
