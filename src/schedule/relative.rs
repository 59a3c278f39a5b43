//! Sums of terms `exp(x - m) * d` where `m` is the largest `x` over the samples: they share the pass that finds `m`.
//!
//! Such a sum is relative to `m`: with another `m'` for `m` it is the same sum times `exp(m - m')`. So a leaf of samples can use its own largest `x`,
//! and where two leaves' results meet both are rescaled to the larger of the two (`runtime/tree.rs`). What comes out is the sum relative to
//! the largest `x` of all, as if there had been a pass for it before: a log-sum-exp over samples and its derivatives of any order take one
//! pass. The form is recognised node by node, and anything else waits for `m` and takes another pass, as it must.

use super::When;
use crate::graph::{Axis, Dag, Fold, NodeId, Op};
use crate::known::Known;
use crate::op::Elem;
use crate::shape::broadcast_index;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::rc::Rc;

/// An entry of a node.
pub type At = (NodeId, u32);

/// A value without samples that exponents are shifted by: the largest of some entries of maxima over samples, or 0 where that is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// The value.
    pub node: NodeId,
    /// For each of its entries the maxima's entries that it is the largest of.
    pub tops: Vec<Vec<At>>,
    /// The sums relative to it: which entry of which sum is relative to which of its entries.
    pub sums: Vec<(At, u32)>,
}

/// A shift as it was found.
struct Found {
    shift: Shift,
    /// What exponents may be: for each entry those that its maxima are over.
    exponents: Vec<HashSet<At>>,
    /// Its moment, and the pass its maxima are computed in.
    call: bool,
    pass: usize,
}

/// A per-sample value that has `exp(-shift)` as a factor, once.
struct Form {
    /// Which shift.
    shift: usize,
    /// For each entry that of the shift; `None` where the value is 0.
    entries: Vec<Option<u32>>,
    /// The stage of everything else in it.
    stage: usize,
}

/// What is known while stages are given out.
#[derive(Default)]
pub struct Relatives {
    found: Vec<Found>,
    /// For each value that was asked for, which shift it is, if it is one.
    shifts: Known<NodeId, Option<usize>>,
    forms: Vec<Option<Rc<Form>>>,
}

impl Relatives {
    /// Looks at the next node, whose moment is known; `when` has those before it. A sum that can share the pass of its maxima gets the stage
    /// after that pass.
    pub fn visit(&mut self, dag: &Dag, id: NodeId, call: bool, when: &[When]) -> Option<usize> {
        debug_assert_eq!(self.forms.len(), id.index());
        let form = if dag.shape(id).varies_over_samples() { self.form(dag, id, call, when) } else { None };
        self.forms.push(form.map(Rc::new));
        let node = dag.node(id);
        if node.op != Op::Reduce(Fold::Sum, Axis::Samples) {
            return None;
        }
        let form = self.forms[node.args[0].index()].clone()?;
        let found = &mut self.found[form.shift];
        let sums = form.entries.iter().enumerate().filter_map(|(e, to)| to.map(|to| ((id, e as u32), to)));
        found.shift.sums.extend(sums);
        Some(found.pass + 1)
    }

    /// The shifts that these reductions, of one pass, need, with the sums among them.
    pub fn of(&self, reductions: &[NodeId]) -> Vec<Shift> {
        let here: HashSet<NodeId> = reductions.iter().copied().collect();
        let shifts = self.found.iter().map(|found| {
            let sums = found.shift.sums.iter().filter(|((sum, _), _)| here.contains(sum)).copied().collect();
            Shift { sums, ..found.shift.clone() }
        });
        shifts.filter(|s| !s.sums.is_empty()).collect()
    }

    /// Whether a per-sample node has a shift as a factor, which one, and where.
    fn form(&mut self, dag: &Dag, id: NodeId, call: bool, when: &[When]) -> Option<Form> {
        let node = dag.node(id);
        let dims = node.shape.dims();
        let index = |a: NodeId| broadcast_index(dag.shape(a).dims(), dims);
        // The stage of an operand that is not relative; what the bind moment computed is there at every stage of a call.
        let stage = |a: NodeId| if when[a.index()].call == call { when[a.index()].stage } else { 0 };
        let held = |a: NodeId| self.forms[a.index()].clone();
        let spread = |form: &Form, a: NodeId| index(a).into_iter().map(|e| form.entries[e]).collect::<Vec<_>>();
        let zero = |a: NodeId| dag.as_constant(a) == Some(0.0);
        let form = match &node.op {
            Op::Elem(Elem::Exp) => return self.exponential(dag, node.args[0], call, when),
            Op::Elem(Elem::Neg) | Op::Detach | Op::Reshape(_) => {
                let form = held(node.args[0])?;
                Form { shift: form.shift, entries: form.entries.clone(), stage: form.stage }
            }
            Op::Broadcast(_) => {
                let form = held(node.args[0])?;
                Form { shift: form.shift, entries: spread(&form, node.args[0]), stage: form.stage }
            }
            Op::Elem(op @ (Elem::Mul | Elem::Div)) => {
                let k = (0..if *op == Elem::Mul { 2 } else { 1 }).find(|k| held(node.args[*k]).is_some())?;
                let form = held(node.args[k])?;
                // Were the other operand relative too, or wait for the maxima, its stage would be too late.
                Form { shift: form.shift, entries: spread(&form, node.args[k]), stage: form.stage.max(stage(node.args[1 - k])) }
            }
            Op::Elem(op @ (Elem::Add | Elem::Sub | Elem::Select)) => {
                let sides = if *op == Elem::Select { 1..3 } else { 0..2 };
                let condition = if *op == Elem::Select { stage(node.args[0]) } else { 0 };
                let mut all: Option<Form> = None;
                for a in node.args[sides].iter().filter(|a| !zero(**a)) {
                    let form = held(*a)?;
                    let entries = spread(&form, *a);
                    all = Some(match all {
                        None => Form { shift: form.shift, entries, stage: form.stage },
                        Some(other) => merged(other, form.shift, entries, form.stage)?,
                    });
                }
                let all = all?;
                Form { stage: all.stage.max(condition), ..all }
            }
            Op::Arrange(arrangement) => {
                let mut all: Option<Form> = None;
                for (place, source) in arrangement.sources.iter().enumerate() {
                    let Some((operand, e)) = source else { continue };
                    let form = held(node.args[*operand as usize])?;
                    let held = all.get_or_insert_with(|| Form { shift: form.shift, entries: vec![None; arrangement.sources.len()], stage: 0 });
                    if held.shift != form.shift {
                        return None;
                    }
                    held.entries[place] = form.entries[*e as usize];
                    held.stage = held.stage.max(form.stage);
                }
                all?
            }
            Op::Reduce(Fold::Sum, Axis::Dim(_)) => {
                let form = held(node.args[0])?;
                let into = broadcast_index(dims, dag.shape(node.args[0]).dims());
                let mut entries: Vec<Option<u32>> = vec![None; node.shape.entries()];
                for (e, target) in form.entries.iter().zip(into) {
                    entries[target] = same(entries[target], *e)?;
                }
                Form { shift: form.shift, entries, stage: form.stage }
            }
            _ => return None,
        };
        let found = &self.found[form.shift];
        (found.call == call && form.stage <= found.pass).then_some(form)
    }

    /// `exp(x - shift)` of an `x` that the shift's maxima are over.
    fn exponential(&mut self, dag: &Dag, shifted: NodeId, call: bool, when: &[When]) -> Option<Form> {
        let node = dag.node(shifted);
        if node.op != Op::Elem(Elem::Sub) || dag.shape(node.args[1]).varies_over_samples() {
            return None;
        }
        let (x, by) = (node.args[0], node.args[1]);
        let known = self.shifts.get(&by).copied();
        let shift = known.unwrap_or_else(|| {
            let found = find(dag, by, when);
            let at = found.map(|found| {
                self.found.push(found);
                self.found.len() - 1
            });
            self.shifts.insert(by, at);
            at
        })?;
        let found = &self.found[shift];
        let (own, places) = (origins(dag, x), broadcast_index(dag.shape(x).dims(), node.shape.dims()));
        let entries = broadcast_index(dag.shape(by).dims(), node.shape.dims());
        let covered = places.iter().zip(&entries).all(|(place, entry)| own[*place].is_some_and(|at| found.exponents[*entry].contains(&at)));
        let stage = if when[x.index()].call == call { when[x.index()].stage } else { 0 };
        let sound = covered && found.call == call && stage <= found.pass;
        sound.then(|| Form { shift, entries: entries.into_iter().map(|e| Some(e as u32)).collect(), stage })
    }
}

/// A form and another of the same value.
fn merged(mut form: Form, shift: usize, entries: Vec<Option<u32>>, stage: usize) -> Option<Form> {
    if form.shift != shift {
        return None;
    }
    for (held, other) in form.entries.iter_mut().zip(entries) {
        *held = same(*held, other)?;
    }
    form.stage = form.stage.max(stage);
    Some(form)
}

/// The one entry that two terms are relative to; nothing if there are two.
fn same(a: Option<u32>, b: Option<u32>) -> Option<Option<u32>> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => None,
        _ => Some(a.or(b)),
    }
}

/// Each entry's origin: that of a node which does more than move entries. `None` is 0.
fn origins(dag: &Dag, id: NodeId) -> Vec<Option<At>> {
    let node = dag.node(id);
    match &node.op {
        Op::Reshape(_) | Op::Detach => origins(dag, node.args[0]),
        Op::Broadcast(to) => {
            let inner = origins(dag, node.args[0]);
            broadcast_index(dag.shape(node.args[0]).dims(), to.dims()).into_iter().map(|e| inner[e]).collect()
        }
        Op::Arrange(a) => {
            let inner: Vec<_> = node.args.iter().map(|a| origins(dag, *a)).collect();
            a.sources.iter().map(|s| s.and_then(|(operand, e)| inner[operand as usize][e as usize])).collect()
        }
        _ => (0..node.shape.entries()).map(|e| Some((id, e as u32))).collect(),
    }
}

/// The value as a shift, if it is one: `select(abs(top) < infinity, top, 0)`, of maxima over samples that one pass computes.
fn find(dag: &Dag, id: NodeId, when: &[When]) -> Option<Found> {
    let mut tops = Vec::new();
    // One select may have many entries: its maxima are looked for once.
    let mut selects: Known<NodeId, Vec<Vec<At>>> = Known::default();
    for origin in origins(dag, id) {
        let (select, e) = origin?;
        let known = match selects.entry(select) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(maxima(dag, finite(dag, select)?)?),
        };
        tops.push(known[e as usize].clone());
    }
    let (first, _) = *tops.first()?.first()?;
    let (call, stage) = (when[first.index()].call, when[first.index()].stage);
    if tops.iter().flatten().any(|(max, _)| when[max.index()].call != call || when[max.index()].stage != stage) {
        return None;
    }
    let mut below: Known<NodeId, Vec<HashSet<At>>> = Known::default();
    for (max, _) in tops.iter().flatten() {
        below.entry(*max).or_insert_with(|| exponents(dag, dag.node(*max).args[0]));
    }
    let exponents = tops.iter().map(|tops| tops.iter().flat_map(|(max, e)| below[max][*e as usize].iter().copied()).collect()).collect();
    Some(Found { shift: Shift { node: id, tops, sums: Vec::new() }, exponents, call, pass: stage - 1 })
}

/// `top` of `select(abs(top) < infinity, top, 0)`, of the same dimensions.
fn finite(dag: &Dag, id: NodeId) -> Option<NodeId> {
    let operands = |id: NodeId, op: Elem| (dag.node(id).op == Op::Elem(op)).then(|| dag.node(id).args.clone());
    let select = operands(id, Elem::Select)?;
    let compared = operands(select[0], Elem::Lt)?;
    let size = operands(compared[0], Elem::Abs)?;
    let guards = dag.as_constant(compared[1]) == Some(f64::INFINITY) && dag.as_constant(select[2]) == Some(0.0);
    let same = size[0] == select[1] && dag.shape(select[1]) == dag.shape(id);
    (guards && same).then_some(select[1])
}

/// For each entry of a value without samples the entries of maxima over samples that it is the largest of.
fn maxima(dag: &Dag, id: NodeId) -> Option<Vec<Vec<At>>> {
    let node = dag.node(id);
    match &node.op {
        Op::Reduce(Fold::Max, Axis::Samples) => Some((0..node.shape.entries()).map(|e| vec![(id, e as u32)]).collect()),
        Op::Reduce(Fold::Max, Axis::Dim(_)) => {
            let inner = maxima(dag, node.args[0])?;
            let mut out = vec![Vec::new(); node.shape.entries()];
            for (list, target) in inner.into_iter().zip(broadcast_index(node.shape.dims(), dag.shape(node.args[0]).dims())) {
                out[target].extend(list);
            }
            Some(out)
        }
        Op::Reshape(_) | Op::Detach => maxima(dag, node.args[0]),
        Op::Broadcast(to) => {
            let inner = maxima(dag, node.args[0])?;
            Some(broadcast_index(dag.shape(node.args[0]).dims(), to.dims()).into_iter().map(|e| inner[e].clone()).collect())
        }
        _ => None,
    }
}

/// For each entry of a per-sample value the entries that are never above it: its own, and those it is the largest of.
fn exponents(dag: &Dag, id: NodeId) -> Vec<HashSet<At>> {
    let node = dag.node(id);
    let from = |id: NodeId| exponents(dag, id);
    match &node.op {
        Op::Reshape(_) | Op::Detach => from(node.args[0]),
        Op::Broadcast(to) => {
            let inner = from(node.args[0]);
            broadcast_index(dag.shape(node.args[0]).dims(), to.dims()).into_iter().map(|e| inner[e].clone()).collect()
        }
        Op::Reduce(Fold::Max, Axis::Dim(_)) => {
            let mut out: Vec<HashSet<At>> = (0..node.shape.entries()).map(|e| HashSet::from([(id, e as u32)])).collect();
            for (list, target) in from(node.args[0]).into_iter().zip(broadcast_index(node.shape.dims(), dag.shape(node.args[0]).dims())) {
                out[target].extend(list);
            }
            out
        }
        _ => origins(dag, id).into_iter().map(|at| at.into_iter().collect()).collect(),
    }
}
