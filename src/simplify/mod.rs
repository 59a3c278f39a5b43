//! The simplifier: rebuilds a graph bottom up, applying named rules to each node until none fits, within limits.
//!
//! Beside the rules: equal nodes are one node, constants fold, nodes nobody needs go, and repetitions that broadcasting implies are dropped.

mod heads;
mod hoist;
pub mod rules;
mod stable;

use crate::error::Place;
use crate::graph::{Args, Arrangement, Axis, Bits, Dag, Fold, NodeId, Op, verify};
use crate::known::Known;
use crate::op::Elem;
use crate::shape::{Shape, broadcast_entry};
use heads::{ByHead, Look, by_head, simplifying, stabilising};
use hoist::Hoist;
use rules::{Compiled, Kind, Pattern, RULES, Rule, STABLE};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// What no pattern can write, by its name in statistics: the counts after those of the rules.
const NO_RULES: [&str; 3] = [stable::OVER_DIMENSIONS, stable::OVER_SAMPLES, hoist::NAME];
/// Rebuilds of the whole graph at most; most graphs are done after one.
const MAX_SWEEPS: usize = 4;
/// Rules applied to one node at most, counting those inside a replacement.
const MAX_STEPS: u32 = 64;

/// How often each rule was applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Rule and count, in the order of the rules; only those applied.
    pub applied: Vec<(&'static str, usize)>,
    /// Nodes before.
    pub before: usize,
    /// Nodes after.
    pub after: usize,
    /// How often the graph was rebuilt.
    pub sweeps: usize,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes -> {} in {} sweeps", self.before, self.after, self.sweeps)?;
        for (name, n) in &self.applied {
            write!(f, "\n  {n:>5} {name}")?;
        }
        Ok(())
    }
}

/// When rules are applied, and which.
#[derive(Clone, Copy)]
struct Phase {
    name: &'static str,
    rules: &'static [Rule],
    by_head: &'static ByHead,
    /// Before differentiation: detached values stay, formulas are made stable.
    before_diff: bool,
}

/// Simplifies what the outputs need. The result computes the same up to what each applied rule's [`rules::Change`] says.
pub fn simplify(dag: &Dag) -> (Dag, Statistics) {
    run(&Phase { name: "simplify", rules: RULES, by_head: simplifying(), before_diff: false }, dag)
}

/// Replaces what the outputs need by stable formulas of the same value, for differentiation.
pub fn stabilise(dag: &Dag) -> (Dag, Statistics) {
    run(&Phase { name: "stabilise", rules: STABLE, by_head: stabilising(), before_diff: true }, dag)
}

/// Either phase with other rules than its own: for tests that break them.
#[doc(hidden)]
pub fn apply(rules: &'static [Rule], before_diff: bool, dag: &Dag) -> (Dag, Statistics) {
    let compiled: &'static [Compiled] = Vec::leak(rules::compile(rules));
    run(&Phase { name: "other rules", rules, by_head: Box::leak(Box::new(by_head(compiled))), before_diff }, dag)
}

fn run(phase: &Phase, dag: &Dag) -> (Dag, Statistics) {
    let mut statistics = Statistics { before: dag.live_nodes(), ..Statistics::default() };
    let mut counts = vec![0usize; phase.rules.len() + NO_RULES.len()];
    let (mut current, mut rough) = sweep(phase, dag, None, &mut counts);
    statistics.sweeps = 1;
    while statistics.sweeps < MAX_SWEEPS && rough {
        (current, rough) = sweep(phase, &current, None, &mut counts);
        statistics.sweeps += 1;
    }
    if !phase.before_diff
        && let Some(hoist) = Hoist::of(&current)
    {
        current = sweep(phase, &current, Some(hoist), &mut counts).0;
        statistics.sweeps += 1;
    }
    let out = current.without_dead_nodes();
    statistics.after = out.live_nodes();
    let names = phase.rules.iter().map(|r| r.name).chain(NO_RULES);
    statistics.applied = names.zip(counts).filter(|(_, n)| *n > 0).collect();
    verify::check(&out, phase.name);
    (out, statistics)
}

/// One rebuild, bottom up, and whether another may find something: every node was held against the rules when it was made, but for those that a replacement
/// was widened with, and where the steps ran out.
fn sweep(phase: &Phase, dag: &Dag, mut hoist: Option<Hoist<'_>>, counts: &mut [usize]) -> (Dag, bool) {
    let live = dag.live();
    let mut builder = Builder { phase, dag: Dag::with_inputs_of(dag), facts: Vec::new(), counts, place: None, rough: false };
    builder.dag.reserve(dag.nodes().len());
    let mut map: Vec<Option<NodeId>> = vec![None; live.len()];
    for id in dag.ids().filter(|id| live[id.index()]) {
        let node = dag.node(id);
        builder.place = node.place;
        let mut steps = MAX_STEPS;
        let args = node.args.iter().map(|a| map[a.index()].expect("operands of a live node are live")).collect();
        map[id.index()] = Some(match &mut hoist {
            Some(hoist) if node.op == Op::Reduce(Fold::Sum, Axis::Samples) => hoist.sum(&mut builder, &map, id, &mut steps),
            // Every node has its simplest form by then.
            Some(_) => builder.push_shaped(node.op.clone(), args, node.shape.clone()),
            None => builder.emit(node.op.clone(), args, &mut steps),
        });
    }
    let Builder { dag: mut out, rough, .. } = builder;
    for (name, id) in dag.outputs() {
        out.output(name, map[id.index()].expect("outputs are live"));
    }
    (out, rough)
}

/// What the rules ask of a node.
#[derive(Clone, Copy)]
struct Facts {
    /// Depends on a parameter.
    params: bool,
    /// A data column, or sums, differences and invariant multiples of such.
    affine: bool,
    /// Not below 0, or NaN.
    not_negative: bool,
    /// An operand of another node.
    needed: bool,
    /// What tells most rules at once that they don't fit.
    look: Look,
}

struct Builder<'c> {
    phase: &'c Phase,
    dag: Dag,
    facts: Vec<Facts>,
    counts: &'c mut [usize],
    place: Option<Place>,
    /// Some node was made that no rule was held against.
    rough: bool,
}

/// What the variables of a pattern stand for.
#[derive(Clone, Copy, Default)]
struct Binding {
    vars: [Option<NodeId>; 4],
    /// The dimension of `sum_dim`.
    axis: Option<u32>,
    /// How many entries are along it.
    extent: usize,
}

impl Builder<'_> {
    /// Adds a node in its simplest form; the answer has the shape the node would have had.
    fn emit(&mut self, op: Op, mut args: Args, steps: &mut u32) -> NodeId {
        if let Op::Elem(e) = op {
            self.drop_repetition(&op, &mut args);
            if let Some(folded) = self.fold(e, &args) {
                return self.push(Op::Const(Bits::from(folded)), Args::new());
            }
            if e.commutes() {
                self.order(&mut args);
            }
        }
        let shape = self.dag.infer(&op, &args).expect("a simplified operand keeps its shape");
        if let Some(same) = self.trivial(&op, &args, &shape, steps) {
            return same;
        }
        self.rough |= *steps == 0;
        if *steps > 0 {
            let look = |k: usize| args.get(k).map_or(Look::ABSENT, |a| self.facts[a.index()].look);
            let looks = [look(0), look(1)];
            for candidate in self.phase.by_head.of(&op) {
                let rule = candidate.rule;
                if !candidate.may_fit(looks) {
                    debug_assert!(self.matches_root(&rule.left, &op, &args).is_none(), "ruled out, and it fits: {:?}", rule.left);
                    continue;
                }
                let Some(binding) = self.matches_root(&rule.left, &op, &args) else { continue };
                *steps -= 1;
                self.counts[rule.index] += 1;
                let id = self.build(&rule.right, &binding, steps);
                return self.widen(id, &shape);
            }
        }
        self.push_shaped(op, args, shape)
    }

    /// Counts one of [`NO_RULES`].
    fn counted(&mut self, name: &str) {
        let own = NO_RULES.iter().position(|n| *n == name).expect("one of them");
        self.counts[self.phase.rules.len() + own] += 1;
    }

    fn push(&mut self, op: Op, args: Args) -> NodeId {
        let shape = self.dag.infer(&op, &args).expect("a simplified node fits");
        self.push_shaped(op, args, shape)
    }

    /// Adds a node of this shape, which is the one that follows from its operands.
    fn push_shaped(&mut self, op: Op, args: Args, shape: Shape) -> NodeId {
        let id = self.dag.push_shaped(op, args, shape, self.place);
        if id.index() == self.facts.len() {
            let node = self.dag.node(id);
            let of = |k: usize| self.facts[node.args[k].index()];
            let varies = |k: usize| self.dag.shape(node.args[k]).varies_over_samples();
            let params = matches!(node.op, Op::Param(_)) || (0..node.args.len()).any(|k| of(k).params);
            let affine = match &node.op {
                Op::Data(_) => true,
                Op::Elem(Elem::Neg) | Op::Broadcast(_) | Op::Reshape(_) | Op::Reduce(Fold::Sum, Axis::Dim(_)) => of(0).affine,
                Op::Arrange(_) => (0..node.args.len()).all(|k| !varies(k) || of(k).affine),
                Op::Elem(Elem::Add | Elem::Sub) => (0..2).all(|k| !varies(k) || of(k).affine),
                Op::Elem(Elem::Mul) => (varies(0) != varies(1)) && (0..2).all(|k| !varies(k) || of(k).affine),
                Op::Elem(Elem::Div) => varies(0) && of(0).affine && !varies(1),
                _ => false,
            };
            let not_negative = match &node.op {
                Op::Const(c) => c.value() >= 0.0,
                Op::Count | Op::Elem(Elem::Square | Elem::Abs | Elem::Exp | Elem::Exp2 | Elem::Sqrt | Elem::Softplus | Elem::Sigmoid | Elem::Relu) => true,
                Op::Elem(Elem::Add | Elem::Mul | Elem::Div | Elem::Min | Elem::Max) => (0..2).all(|k| of(k).not_negative),
                Op::Broadcast(_) | Op::Reshape(_) | Op::Reduce(..) | Op::Detach => of(0).not_negative,
                Op::Arrange(_) => (0..node.args.len()).all(|k| of(k).not_negative),
                _ => false,
            };
            node.args.iter().for_each(|a| self.facts[a.index()].needed = true);
            let look = Look::of(&node.op, node.shape.varies_over_samples());
            self.facts.push(Facts { params, affine, not_negative, needed: false, look });
        }
        id
    }

    /// The value, if all operands are constants.
    fn fold(&self, e: Elem, args: &Args) -> Option<f64> {
        let values: Option<SmallVec<[f64; 3]>> = args.iter().map(|a| self.dag.as_constant(*a)).collect();
        values.map(|v| e.value(&v))
    }

    /// Constants first, then by age: equal products become equal nodes.
    fn order(&self, args: &mut Args) {
        let key = |a: NodeId| (self.dag.as_constant(a).is_none(), a);
        if args.len() == 2 && key(args[1]) < key(args[0]) {
            args.swap(0, 1);
        }
    }

    /// Replaces a repeated (or merely re-ranked) operand by its source where broadcasting gives the same shape.
    fn drop_repetition(&self, op: &Op, args: &mut Args) {
        for k in 0..args.len() {
            let node = self.dag.node(args[k]);
            let source = match &node.op {
                Op::Broadcast(_) => node.args[0],
                Op::Reshape(_) if node.shape.entries() == 1 => node.args[0],
                _ => continue,
            };
            let before = self.dag.infer(op, args);
            let held = std::mem::replace(&mut args[k], source);
            if self.dag.infer(op, args) != before {
                args[k] = held;
            }
        }
    }

    /// Reductions and rearrangements that do nothing.
    fn trivial(&mut self, op: &Op, args: &Args, shape: &Shape, steps: &mut u32) -> Option<NodeId> {
        let inner = |k: NodeId| self.dag.node(k);
        match op {
            Op::Broadcast(_) | Op::Reshape(_) if self.dag.shape(args[0]) == shape => Some(args[0]),
            Op::Broadcast(_) if matches!(inner(args[0]).op, Op::Broadcast(_)) => {
                let source = smallvec::smallvec![inner(args[0]).args[0]];
                Some(self.emit(op.clone(), source, steps))
            }
            Op::Reshape(_) if matches!(inner(args[0]).op, Op::Reshape(_)) => {
                let source = smallvec::smallvec![inner(args[0]).args[0]];
                Some(self.emit(op.clone(), source, steps))
            }
            // Differentiation is over.
            Op::Detach if !self.phase.before_diff => Some(args[0]),
            Op::Elem(Elem::Ln) if self.phase.before_diff => {
                let shifted = self.shift_exponents(args[0]);
                self.rough |= shifted.is_some();
                shifted
            }
            Op::Arrange(arrangement) => self.compose(arrangement, args, steps),
            Op::Reduce(_, Axis::Dim(axis)) if self.dag.shape(args[0]).extent_from_right(*axis as usize) == 1 => Some(args[0]),
            // Samples are reduced entry by entry, under whatever dimensions: rules see what is below.
            Op::Reduce(_, Axis::Samples) if matches!(inner(args[0]).op, Op::Reshape(_)) => {
                let source = smallvec::smallvec![inner(args[0]).args[0]];
                let reduced = self.emit(op.clone(), source, steps);
                Some(self.widen(reduced, shape))
            }
            // A reduction over samples of something repeated to the samples.
            Op::Reduce(fold, Axis::Samples) => {
                let node = inner(args[0]);
                if !matches!(node.op, Op::Broadcast(_)) || self.dag.shape(node.args[0]).varies_over_samples() {
                    return None;
                }
                let source = node.args[0];
                let full = self.emit(Op::Broadcast(shape.clone()), smallvec::smallvec![source], steps);
                if *fold != Fold::Sum {
                    return Some(full);
                }
                let count = self.push(Op::Count, Args::new());
                Some(self.emit(Op::Elem(Elem::Mul), smallvec::smallvec![full, count], steps))
            }
            _ => None,
        }
    }

    /// An arrangement of arrangements is one; one that changes nothing goes.
    fn compose(&mut self, arrangement: &Arrangement, args: &Args, steps: &mut u32) -> Option<NodeId> {
        let same = |(e, source): (usize, &Option<(u32, u32)>)| *source == Some((0, e as u32));
        if args.len() == 1 && self.dag.shape(args[0]).dims() == &arrangement.dims[..] && arrangement.sources.iter().enumerate().all(same) {
            return Some(args[0]);
        }
        // Where an operand's entry comes from, one level down; reshapes and broadcasts are arrangements too. Asked entry by entry: one entry of a
        // large value needs no list of all of them.
        let below = |a: NodeId, e: u32| -> Option<(NodeId, u32)> {
            let node = self.dag.node(a);
            match &node.op {
                Op::Arrange(b) => b.sources[e as usize].map(|(k, e)| (node.args[k as usize], e)),
                Op::Reshape(_) => Some((node.args[0], e)),
                Op::Broadcast(to) if to.varies_over_samples() == self.dag.shape(node.args[0]).varies_over_samples() => {
                    Some((node.args[0], broadcast_entry(self.dag.shape(node.args[0]).dims(), to.dims(), e as usize) as u32))
                }
                _ => Some((a, e)),
            }
        };
        let mut operands = Args::new();
        let mut places: Known<NodeId, u32> = Known::default();
        let mut sources = Vec::with_capacity(arrangement.sources.len());
        for source in &arrangement.sources {
            let found = source.and_then(|(k, e)| below(args[k as usize], e));
            sources.push(found.filter(|(a, _)| self.dag.as_constant(*a) != Some(0.0)).map(|(a, e)| {
                let at = *places.entry(a).or_insert_with(|| {
                    operands.push(a);
                    operands.len() as u32 - 1
                });
                (at, e)
            }));
        }
        let composed = Arrangement { dims: arrangement.dims.clone(), sources };
        if operands == *args && composed == *arrangement {
            return None;
        }
        // What is left of the operands decides whether there are samples: the shape must stay.
        let samples = |list: &Args| list.iter().any(|a| self.dag.shape(*a).varies_over_samples());
        if samples(&operands) != samples(args) {
            return None;
        }
        Some(self.emit(Op::Arrange(Arc::new(composed)), operands, steps))
    }

    /// Repeats a replacement to the shape of what it replaces.
    fn widen(&mut self, id: NodeId, shape: &Shape) -> NodeId {
        if self.dag.shape(id) == shape {
            return id;
        }
        self.rough = true;
        if self.dag.shape(id).entries() == shape.entries() && self.dag.shape(id).dims() != shape.dims() {
            let dims = shape.dims().into();
            let id = self.push(Op::Reshape(dims), smallvec::smallvec![id]);
            return self.widen(id, shape);
        }
        self.push(Op::Broadcast(shape.clone()), smallvec::smallvec![id])
    }

    fn matches_root(&self, pattern: &Pattern, op: &Op, args: &Args) -> Option<Binding> {
        let mut binding = Binding::default();
        self.matches_op(pattern, op, args, &mut binding).then_some(binding)
    }

    fn matches_op(&self, pattern: &Pattern, op: &Op, args: &Args, binding: &mut Binding) -> bool {
        match (pattern, op) {
            (Pattern::Elem(e, inner), Op::Elem(f)) if e == f => {
                let before = *binding;
                if inner.iter().zip(args).all(|(p, a)| self.matches(p, *a, binding)) {
                    return true;
                }
                *binding = before;
                if e.commutes() && self.matches(&inner[0], args[1], binding) && self.matches(&inner[1], args[0], binding) {
                    return true;
                }
                *binding = before;
                false
            }
            (Pattern::Sum(inner), Op::Reduce(Fold::Sum, Axis::Samples)) => self.matches(inner, args[0], binding),
            (Pattern::SumDim(inner), Op::Reduce(Fold::Sum, Axis::Dim(axis))) => {
                binding.axis = Some(*axis);
                binding.extent = self.dag.shape(args[0]).extent_from_right(*axis as usize);
                self.matches(inner, args[0], binding)
            }
            _ => false,
        }
    }

    fn matches(&self, pattern: &Pattern, id: NodeId, binding: &mut Binding) -> bool {
        match pattern {
            Pattern::Var(slot, kind) => {
                if let Some(bound) = binding.vars[*slot] {
                    return bound == id;
                }
                let fits = self.is(*kind, id, binding);
                if fits {
                    binding.vars[*slot] = Some(id);
                }
                fits
            }
            Pattern::Number(c) => self.dag.as_constant(id) == Some(*c),
            Pattern::Count => self.dag.node(id).op == Op::Count,
            Pattern::Extent => self.dag.as_constant(id) == Some(binding.extent as f64),
            Pattern::Once(inner) => !self.facts[id.index()].needed && self.matches(inner, id, binding),
            _ => {
                let node = self.dag.node(id);
                self.matches_op(pattern, &node.op, &node.args, binding)
            }
        }
    }

    fn is(&self, kind: Kind, id: NodeId, binding: &Binding) -> bool {
        let shape = self.dag.shape(id);
        let facts = self.facts[id.index()];
        match kind {
            Kind::Any => true,
            Kind::Invariant => !shape.varies_over_samples(),
            Kind::PerSample => shape.varies_over_samples(),
            Kind::Curved => shape.varies_over_samples() && !facts.affine,
            Kind::CurvedData => shape.varies_over_samples() && !facts.affine && !facts.params,
            Kind::UnitAxis => shape.extent_from_right(binding.axis.expect("inside sum_dim") as usize) == 1,
            Kind::NotNegative => facts.not_negative,
            Kind::OneHot => self.is_one_hot(id, binding.axis.expect("inside sum_dim")),
            Kind::Constant => matches!(self.dag.node(id).op, Op::Const(_)),
        }
    }

    /// Whether the value is `labels == [0, 1, ..]` along an axis, with an entry for every label: one entry is true, the others are false.
    fn is_one_hot(&self, id: NodeId, axis: u32) -> bool {
        let reshaped = |mut id: NodeId| {
            while let Op::Reshape(_) = self.dag.node(id).op {
                id = self.dag.node(id).args[0];
            }
            id
        };
        let shape = self.dag.shape(id);
        let (entries, node) = (shape.entries(), self.dag.node(reshaped(id)));
        if shape.extent_from_right(axis as usize) != entries || node.op != Op::Elem(Elem::Eq) {
            return false;
        }
        let [a, b] = [0, 1].map(|k| reshaped(node.args[k]));
        let labels = |id: NodeId| self.dag.labels(id).is_some_and(|limit| limit.below as usize <= entries);
        let counts_up = |id: NodeId| {
            let Op::Arrange(arrangement) = &self.dag.node(id).op else { return false };
            let number = |from: &Option<(u32, u32)>| from.map_or(Some(0.0), |(k, _)| self.dag.as_constant(self.dag.node(id).args[k as usize]));
            arrangement.sources.iter().enumerate().all(|(e, from)| number(from) == Some(e as f64))
        };
        labels(a) && counts_up(b) || labels(b) && counts_up(a)
    }

    fn build(&mut self, pattern: &Pattern, binding: &Binding, steps: &mut u32) -> NodeId {
        let none = Args::new;
        match pattern {
            Pattern::Var(slot, _) => binding.vars[*slot].expect("a variable of the right side is on the left"),
            Pattern::Number(c) => self.push(Op::Const(Bits::from(*c)), none()),
            Pattern::Count => self.push(Op::Count, none()),
            Pattern::Extent => self.push(Op::Const(Bits::from(binding.extent as f64)), none()),
            Pattern::Once(_) => unreachable!("only what is replaced is looked at so"),
            Pattern::Sum(inner) => {
                let inner = self.build(inner, binding, steps);
                self.emit(Op::Reduce(Fold::Sum, Axis::Samples), smallvec::smallvec![inner], steps)
            }
            Pattern::SumDim(inner) => {
                let inner = self.build(inner, binding, steps);
                let axis = Axis::Dim(binding.axis.expect("bound on the left"));
                self.emit(Op::Reduce(Fold::Sum, axis), smallvec::smallvec![inner], steps)
            }
            Pattern::Elem(e, inner) => {
                let args = inner.iter().map(|p| self.build(p, binding, steps)).collect();
                self.emit(Op::Elem(*e), args, steps)
            }
        }
    }
}
