//! Steps of a pass: per-sample nodes grouped into loops.
//!
//! Small nodes are unrolled and share loops without a nest; large ones run in a nest of their own dimensions. A node joins the earliest step
//! whose nest it has and whose earlier steps have computed what it needs; what crosses from one step to another goes through tile buffers.

use super::{Pass, Step, UNROLL, UNROLL_LONG};
use crate::graph::{Axis, Dag, NodeId, Op};
use crate::known::Known;
use crate::shape::Dims;

/// Where a per-sample node is computed.
#[derive(Clone, PartialEq)]
enum Home {
    /// Nowhere: a column, or the entries of another node under other dimensions.
    Alias,
    /// In the step of this level and nest.
    Step { level: usize, dims: Dims },
    /// As `Step`, but only complete when that step's nest is.
    Folded { level: usize, dims: Dims },
}

/// The column or computed node whose entries an alias has.
pub(crate) fn source(dag: &Dag, mut id: NodeId) -> NodeId {
    while is_alias(dag, id) && !is_column(dag, id) {
        id = dag.node(id).args[0];
    }
    id
}

/// What the runtime hands to a kernel as columns: data, and the rows of a table by label.
pub(crate) fn is_column(dag: &Dag, id: NodeId) -> bool {
    matches!(dag.node(id).op, Op::Data(_) | Op::Gather)
}

/// Columns, reshapes of columns, and reshapes too large to be unrolled.
fn is_alias(dag: &Dag, id: NodeId) -> bool {
    let node = dag.node(id);
    match node.op {
        Op::Data(_) | Op::Gather => true,
        Op::Reshape(_) => node.shape.entries() > UNROLL || is_alias(dag, node.args[0]) && is_column(dag, source(dag, node.args[0])),
        _ => false,
    }
}

/// Groups what the reductions and outputs need into steps.
pub(super) fn pass(dag: &Dag, reductions: Vec<NodeId>, outputs: Vec<NodeId>) -> Pass {
    // The per-sample nodes needed, found backwards from the sinks.
    let mut needed = vec![false; dag.nodes().len()];
    let roots = reductions.iter().map(|r| dag.node(*r).args[0]).chain(outputs.iter().copied());
    let mut stack: Vec<NodeId> = roots.collect();
    while let Some(id) = stack.pop() {
        if !needed[id.index()] && dag.shape(id).varies_over_samples() {
            needed[id.index()] = true;
            stack.extend(&dag.node(id).args);
        }
    }

    let mut homes: Known<NodeId, Home> = Known::default();
    for id in dag.ids().filter(|id| needed[id.index()]) {
        let node = dag.node(id);
        if is_alias(dag, id) {
            homes.insert(id, Home::Alias);
            continue;
        }
        let (dims, folds) = match node.op {
            Op::Reduce(_, Axis::Dim(_)) => {
                let from = dag.shape(node.args[0]);
                let unrolled = nest(dag, node.args[0]).is_empty();
                (if unrolled { Dims::new() } else { from.dims().into() }, !unrolled)
            }
            // Entries from anywhere: always unrolled.
            Op::Arrange(_) => (Dims::new(), false),
            _ => (nest(dag, id), false),
        };
        let level = node.args.iter().map(|a| ready(dag, &homes, *a, &dims)).max().unwrap_or(0);
        homes.insert(id, if folds { Home::Folded { level, dims } } else { Home::Step { level, dims } });
    }
    postpone(dag, &needed, &mut homes);

    let mut steps: Vec<((usize, Dims), Step)> = Vec::new();
    let mut index: Known<(usize, Dims), usize> = Known::default();
    let mut step_at = |steps: &mut Vec<((usize, Dims), Step)>, level: usize, dims: &Dims| {
        *index.entry((level, dims.clone())).or_insert_with(|| {
            steps.push(((level, dims.clone()), Step { dims: dims.clone(), ..Step::default() }));
            steps.len() - 1
        })
    };
    let mut stored = vec![false; dag.nodes().len()];
    for id in dag.ids().filter(|id| needed[id.index()]) {
        if let Home::Step { level, dims } | Home::Folded { level, dims } = &homes[&id] {
            let at = step_at(&mut steps, *level, dims);
            steps[at].1.nodes.push(id);
            store_operands(dag, &homes, &dag.node(id).args, *level, dims, &mut stored);
        }
    }
    // Sinks go into the step that computes their value, or the first one that can read it.
    for (sink, value, is_reduction) in reductions.iter().map(|r| (*r, dag.node(*r).args[0], true)).chain(outputs.iter().map(|o| (*o, *o, false))) {
        let dims = nest(dag, value);
        let level = ready(dag, &homes, value, &dims);
        let at = step_at(&mut steps, level, &dims);
        store_operands(dag, &homes, &[value], level, &dims, &mut stored);
        let step = &mut steps[at].1;
        if is_reduction {
            step.reductions.push(sink);
        } else {
            step.outputs.push(sink);
        }
    }
    steps.sort_by_key(|((level, _), _)| *level);
    let stored = dag.ids().filter(|id| stored[id.index()]).collect();
    Pass { steps: steps.into_iter().map(|(_, s)| s).collect(), stored, reductions, outputs, ahead: None }
}

/// What is made of columns alone could be computed in any step: it goes where it is first needed, and through no tile buffer on its way there.
fn postpone(dag: &Dag, needed: &[bool], homes: &mut Known<NodeId, Home>) {
    let mut free = vec![false; needed.len()];
    for id in dag.ids().filter(|id| needed[id.index()]) {
        let Home::Step { dims, .. } = &homes[&id] else { continue };
        free[id.index()] = dag.node(id).args.iter().filter(|a| dag.shape(**a).varies_over_samples()).all(|a| {
            let beside = matches!(&homes[a], Home::Step { dims: own, .. } if own == dims) && free[a.index()];
            beside || homes[a] == Home::Alias && is_column(dag, source(dag, *a))
        });
    }
    // The latest step that is early enough for all that use it, whose own places are final when their operands' turn comes.
    let mut latest: Vec<Option<usize>> = vec![None; needed.len()];
    for id in dag.ids().rev().filter(|id| needed[id.index()]) {
        if free[id.index()]
            && let (Some(to), Some(Home::Step { level, .. })) = (latest[id.index()], homes.get_mut(&id))
        {
            *level = to.max(*level);
        }
        for a in dag.node(id).args.iter().filter(|a| needed[a.index()]) {
            let at = match (&homes[&id], &homes[a]) {
                (Home::Step { level, dims } | Home::Folded { level, dims }, Home::Step { dims: own, .. }) => {
                    if dims == own {
                        *level
                    } else {
                        level.saturating_sub(1)
                    }
                }
                // Whoever uses an alias of it is not known here.
                _ => 0,
            };
            let held = &mut latest[a.index()];
            *held = Some(held.map_or(at, |h| h.min(at)));
        }
    }
}

/// The nest a node is computed in: none if it is small.
fn nest(dag: &Dag, id: NodeId) -> Dims {
    let shape = dag.shape(id);
    let most = match dag.node(id).op {
        Op::Elem(op) if op.is_long() => UNROLL_LONG,
        _ => UNROLL,
    };
    if shape.entries() <= most { Dims::new() } else { shape.dims().into() }
}

/// The first level at which a step with this nest can read the node.
fn ready(dag: &Dag, homes: &Known<NodeId, Home>, id: NodeId, dims: &Dims) -> usize {
    if !dag.shape(id).varies_over_samples() {
        return 0;
    }
    match &homes[&id] {
        Home::Step { level, dims: own } if own == dims => *level,
        Home::Step { level, .. } | Home::Folded { level, .. } => level + 1,
        Home::Alias => {
            let from = source(dag, id);
            match homes.get(&from) {
                Some(Home::Step { level, .. } | Home::Folded { level, .. }) => level + 1,
                _ => 0,
            }
        }
    }
}

/// Marks operands that a step reads but doesn't compute.
fn store_operands(dag: &Dag, homes: &Known<NodeId, Home>, args: &[NodeId], level: usize, dims: &Dims, stored: &mut [bool]) {
    for a in args.iter().filter(|a| dag.shape(**a).varies_over_samples()) {
        let here = matches!(&homes[a], Home::Step { level: l, dims: d } if *l == level && d == dims);
        let from = source(dag, *a);
        if !here && !is_column(dag, from) {
            stored[from.index()] = true;
        }
    }
}
