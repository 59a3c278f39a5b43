//! Reverse mode by source transformation: from a graph with a scalar to a graph with its gradient. One walk from the result to the inputs.
//!
//! The adjoint of a per-sample node is kept as a sum of `seed * coefficient`: the seed is the adjoint of the reduction over samples that
//! the node feeds, the same for every sample (a vector where the reduction has dimensions), and the coefficient is the per-sample rest. At the border where an
//! operand has no samples the coefficient is summed over samples and *then* multiplied by its seed. So the loop over samples never waits for
//! a seed: for `ln(sum f)` the seed `1 / sum f` is known after the pass, and the gradient `1 / sum f * sum f'` needs only the same pass.
//!
//! A coefficient that is selected to be 0 (`select`, the smaller operand of `max`) has the condition beside it as a guard, which is applied after
//! the operations further down: `select(x > 0, ln x, 0)` has adjoint `select(x > 0, d / x, 0)`, not `select(x > 0, d, 0) / x`, which is 0 / 0 at 0.
//!
//! An adjoint may be smaller than its node where it is the same along an axis (a scalar for the entries of a summed vector);
//! it is broadcast when something needs the full shape.

mod dense;
mod fault;
mod picks;

use crate::error::{Error, Place, Result};
use crate::expr::{Expr, Graph};
use crate::graph::{Arrangement, Axis, Fold, NodeId, Op};
use crate::known::Known;
use crate::op::{Elem, Num};
use crate::shape::Shape;
pub use fault::{Defect, Fault};
use picks::Pick;
pub use picks::Places;
use smallvec::SmallVec;

/// One operand's share of the walk: what `node` added to the adjoint of its operand.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// The node that was differentiated.
    pub node: NodeId,
    /// Which operand.
    pub operand: usize,
    /// The adjoint that came in, as seed and coefficient.
    pub incoming: Vec<(Option<NodeId>, NodeId)>,
    /// What went out to the operand, one for each incoming term.
    pub outgoing: Vec<Option<Outgoing>>,
}

/// An adjoint on its way to an operand.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Of the operand's shape, or one that broadcasts to it.
    Whole(NodeId),
    /// These of its entries, `(from, to)`, to those of the operand.
    Placed(NodeId, Places),
}

/// A gradient's expressions, and how they came about.
#[derive(Debug)]
pub struct Gradient<'g> {
    /// The derivative by each of the inputs asked for, of the input's shape.
    pub by: Vec<Expr<'g>>,
    /// Every contribution, in the order of the walk.
    pub contributions: Vec<Contribution>,
}

/// One term of an adjoint: `coefficient` where `guard` is not 0, else 0; times `seed` if there is one.
#[derive(Clone, Copy)]
struct Term<'g> {
    seed: Option<Expr<'g>>,
    guard: Option<Expr<'g>>,
    coefficient: Expr<'g>,
}

impl<'g> Term<'g> {
    fn plain(coefficient: Expr<'g>) -> Self {
        Term { seed: None, guard: None, coefficient }
    }

    /// The same term with the guard applied.
    fn applied(self) -> Self {
        match self.guard {
            Some(guard) => Term { guard: None, coefficient: guard.select(self.coefficient, 0.0), ..self },
            None => self,
        }
    }

    /// The product of everything.
    fn whole(self) -> Expr<'g> {
        let coefficient = self.applied().coefficient;
        self.seed.map_or(coefficient, |seed| seed * coefficient)
    }
}

type Terms<'g> = SmallVec<[Term<'g>; 1]>;

/// A vector of at most this many seeds is taken apart where its entries would mix, which multiplies the work below by their number but saves a pass.
const MOST_SEEDS: usize = 8;

/// Adds the gradient of `result`, one number, to its graph, by the inputs `wrt` (parameters and data).
///
/// # Errors
/// [`Error::NotAnInput`] if one of `wrt` is neither a parameter nor data.
///
/// # Panics
/// If `result` isn't one number.
pub fn gradient<'g>(graph: &'g Graph, result: NodeId, wrt: &[NodeId], fault: Option<&Fault>) -> Result<Gradient<'g>> {
    let (needed, len) = {
        let dag = graph.dag();
        assert!(*dag.shape(result) == Shape::default(), "a gradient is taken of one number");
        for id in wrt {
            let node = dag.node(*id);
            if !matches!(node.op, Op::Data(_) | Op::Param(_)) || dag.labels(*id).is_some() {
                return Err(Error::NotAnInput { what: dag.describe(*id), place: node.place });
            }
        }
        // Only nodes that depend on an input asked for get an adjoint.
        let mut depends = vec![false; dag.nodes().len()];
        for id in wrt {
            depends[id.index()] = true;
        }
        for id in dag.ids() {
            if dag.node(id).args.iter().any(|a| depends[a.index()]) {
                depends[id.index()] = true;
            }
        }
        (depends, dag.nodes().len())
    };
    let (adjoints, picked) = (vec![Terms::new(); len], Known::default());
    let mut walk = Walk { graph, fault, adjoints, picked, needed, contributions: Vec::new(), late: Vec::new(), defect: None };
    walk.add(result, Term::plain(graph.constant(1.0)));
    for k in (0..=result.index()).rev() {
        walk.place_picks(NodeId::new(k));
        if walk.needed[k] && !walk.adjoints[k].is_empty() {
            walk.pull_back(NodeId::new(k));
        }
    }
    let by = wrt
        .iter()
        .map(|id| {
            let shape = graph.dag().shape(*id).clone();
            let total = walk.total(*id).unwrap_or_else(|| graph.constant(0.0));
            if total.shape() == shape { total } else { broadcast(graph, total, &shape) }
        })
        .collect();
    graph.set_place(None);
    Ok(Gradient { by, contributions: walk.contributions })
}

fn broadcast<'g>(graph: &'g Graph, x: Expr<'g>, to: &Shape) -> Expr<'g> {
    let id = graph.push_op(Op::Broadcast(to.clone()), &[x.id()]);
    graph.node(id)
}

struct Walk<'g, 'f> {
    graph: &'g Graph,
    fault: Option<&'f Fault>,
    /// What is wrong with the operation at hand, on purpose.
    defect: Option<&'f Defect>,
    adjoints: Vec<Terms<'g>>,
    /// What arrangements that took a part of a node hand back, until its turn comes.
    picked: Known<NodeId, Vec<Pick<'g>>>,
    needed: Vec<bool>,
    contributions: Vec<Contribution>,
    /// For each node of the graph as far as it was asked: whether it waits for a pass over the samples that depends on parameters.
    late: Vec<bool>,
}

impl<'g> Walk<'g, '_> {
    /// Adds a term to a node's adjoint, merging what can share a walk.
    fn add(&mut self, id: NodeId, term: Term<'g>) {
        if self.is_zero(term.coefficient) {
            return;
        }
        let same = |t: &Term<'g>| t.seed.map(Expr::id) == term.seed.map(Expr::id);
        if let Some(at) = self.adjoints[id.index()].iter().position(same) {
            let held = &mut self.adjoints[id.index()][at];
            if held.guard.map(Expr::id) == term.guard.map(Expr::id) {
                held.coefficient = held.coefficient + term.coefficient;
            } else {
                *held = Term { coefficient: held.applied().coefficient + term.applied().coefficient, guard: None, ..*held };
            }
            return;
        }
        self.adjoints[id.index()].push(term);
        // Seeds that are known before the pass need no walk of their own: several of them become one plain coefficient.
        let early: SmallVec<[bool; 2]> = self.adjoints[id.index()].clone().iter().map(|t| t.seed.is_none_or(|s| !self.is_late(s.id()))).collect();
        if early.iter().filter(|e| **e).count() > 1 {
            let terms = std::mem::take(&mut self.adjoints[id.index()]);
            let mut merged: Option<Expr<'g>> = None;
            let mut rest = Terms::new();
            for (t, early) in terms.into_iter().zip(early) {
                if early {
                    let whole = t.whole();
                    merged = Some(merged.map_or(whole, |m| m + whole));
                } else {
                    rest.push(t);
                }
            }
            rest.extend(merged.map(Term::plain));
            self.adjoints[id.index()] = rest;
        }
    }

    /// Whether the node depends on a reduction over samples of something that depends on parameters.
    fn is_late(&mut self, id: NodeId) -> bool {
        let dag = self.graph.dag();
        // (late, depends on a parameter) is folded into one vector of two entries a node.
        for k in self.late.len() / 2..=id.index() {
            let node = &dag.nodes()[k];
            let of_params = matches!(node.op, Op::Param(_)) || node.args.iter().any(|a| self.late[2 * a.index() + 1]);
            let late = node.args.iter().any(|a| self.late[2 * a.index()]) || (of_params && node.op.ends_pass());
            self.late.push(late);
            self.late.push(of_params);
        }
        self.late[2 * id.index()]
    }

    fn is_zero(&self, x: Expr<'g>) -> bool {
        self.graph.dag().as_constant(x.id()) == Some(0.0)
    }

    /// The whole adjoint as one expression.
    fn total(&self, id: NodeId) -> Option<Expr<'g>> {
        self.adjoints[id.index()].iter().map(|t| t.whole()).reduce(|a, b| a + b)
    }

    /// Hands the adjoint of a node on to its operands.
    fn pull_back(&mut self, id: NodeId) {
        let (op, args, place): (Op, SmallVec<[NodeId; 3]>, Option<Place>) = {
            let dag = self.graph.dag();
            let node = dag.node(id);
            (node.op.clone(), node.args.clone(), node.place)
        };
        self.graph.set_place(place);
        let terms = self.adjoints[id.index()].clone();
        self.defect = self.fault.filter(|f| f.is_of(&op)).map(|f| &f.defect);
        let operands: SmallVec<[Expr<'g>; 3]> = args.iter().map(|a| self.graph.node(*a)).collect();
        let answer = self.graph.node(id);
        let mut records: Vec<Contribution> = (0..args.len())
            .filter(|k| self.needed[args[*k].index()])
            .map(|operand| Contribution {
                node: id,
                operand,
                incoming: terms.iter().map(|t| (t.seed.map(Expr::id), t.applied().coefficient.id())).collect(),
                outgoing: Vec::new(),
            })
            .collect();
        for term in &terms {
            if let Op::Arrange(arrangement) = &op
                && self.defect.is_none()
                && operands.iter().any(|x| x.shape().entries() > arrangement.sources.len())
            {
                let adjoint = self.arranged_adjoint(term.applied(), answer);
                for record in &mut records {
                    record.outgoing.push(self.pick(args[record.operand], picks::places(arrangement, record.operand), adjoint, answer));
                }
                continue;
            }
            let pulls = self.pulls(&op, &operands, answer, *term);
            for record in &mut records {
                let mut pull = pulls[record.operand];
                match self.defect {
                    Some(Defect::Factor(of, factor)) if of.is_none_or(|k| k == record.operand) => pull.coefficient = pull.coefficient * *factor,
                    Some(Defect::Exchanged) => pull = pulls.get(1 - record.operand.min(1)).copied().unwrap_or(pull),
                    Some(Defect::Reversed) if pull.coefficient.shape().entries() > 1 => pull.coefficient = fault::reversed(self.graph, pull.coefficient),
                    Some(Defect::Reversed) => pull.seed = pull.seed.map(|s| fault::reversed(self.graph, s)),
                    _ => {}
                }
                let outgoing: Terms<'g> = match op {
                    // A rearranged adjoint has the operand's dimensions already.
                    Op::Reshape(_) | Op::Arrange(_) => smallvec::smallvec![self.settle_samples(pull, answer, operands[record.operand])],
                    // These come in the operand's shape.
                    Op::Gather | Op::SumBy(_) | Op::Dense(_) => smallvec::smallvec![Term::plain(pull.whole())],
                    _ => self.settle(pull, answer, operands[record.operand]),
                };
                for term in outgoing {
                    record.outgoing.push((!self.is_zero(term.coefficient)).then(|| Outgoing::Whole(term.whole().id())));
                    if matches!(self.defect, Some(Defect::Replaced)) {
                        self.adjoints[args[record.operand].index()].clear();
                    }
                    self.add(args[record.operand], term);
                }
            }
        }
        self.contributions.append(&mut records);
    }

    /// The contribution of one term to each operand, still of the answer's shape (or smaller).
    fn pulls(&self, op: &Op, operands: &[Expr<'g>], answer: Expr<'g>, term: Term<'g>) -> SmallVec<[Term<'g>; 3]> {
        if let Op::Elem(e) = op {
            let pulls = match self.defect {
                Some(Defect::Pullback(other)) => {
                    let inputs: SmallVec<[Expr<'g>; 5]> = operands.iter().copied().chain([answer, term.coefficient]).collect();
                    fault::instantiate(self.graph, other, &inputs)
                }
                _ => e.pullback(operands, answer, term.coefficient),
            };
            return pulls.into_iter().map(|coefficient| self.guarded(Term { coefficient, ..term })).collect();
        }
        // Where the adjoint is only repeated or reshaped the guard can follow: rows that a selection leaves out stay out, whatever is in them.
        match op {
            Op::Reduce(Fold::Sum, Axis::Dim(_)) => return smallvec::smallvec![term],
            Op::Reshape(_) => {
                let reshape = |x| self.reshape_back(x, operands[0], answer);
                let seed = term.seed.map(|s| if s.shape().entries() == 1 { s } else { reshape(s) });
                return smallvec::smallvec![Term { seed, guard: term.guard.map(reshape), coefficient: reshape(term.coefficient) }];
            }
            _ => {}
        }
        let term = if matches!(op, Op::Arrange(_)) { self.arranged_adjoint(term.applied(), answer) } else { term.applied() };
        let d = term.coefficient;
        let seeded = |coefficient| Term { coefficient, ..term };
        match op {
            Op::Broadcast(_) => smallvec::smallvec![term],
            Op::Arrange(arrangement) => (0..operands.len()).map(|k| seeded(self.arrange_back(arrangement, k, operands[k], d))).collect(),
            Op::Reduce(_, Axis::Dim(axis)) => {
                // Equal extremes share: each has 1 / (how many there are).
                let hit = operands[0].eq(answer);
                let share = match self.defect {
                    Some(Defect::Unshared) => d,
                    _ => d / hit.fold_keeping(Fold::Sum, *axis as usize),
                };
                let guard = Some(hit).filter(|_| !matches!(self.defect, Some(Defect::Unguarded)));
                smallvec::smallvec![Term { guard, coefficient: share, ..term }]
            }
            Op::Reduce(fold, Axis::Samples) => {
                let whole = term.whole();
                let (whole, guard) = match fold {
                    Fold::Sum => (whole, None),
                    Fold::Min | Fold::Max => {
                        let hit = operands[0].eq(answer);
                        match self.defect {
                            Some(Defect::Unshared) => (whole, Some(hit)),
                            Some(Defect::Unguarded) => (whole / hit.fold_samples(Fold::Sum, "ties"), None),
                            _ => (whole / hit.fold_samples(Fold::Sum, "ties"), Some(hit)),
                        }
                    }
                };
                let whole = if matches!(self.defect, Some(Defect::Unseeded)) { whole.lift(1.0) } else { whole };
                let seed = if whole.shape().entries() == 1 { whole.reshape(&[]) } else { whole };
                smallvec::smallvec![Term { seed: Some(seed), guard, coefficient: d.lift(1.0) }]
            }
            Op::Dense(dense) => {
                let whole = broadcast_if(self.graph, term.whole(), &answer.shape());
                dense::pullback(*dense, operands, answer, whole).into_iter().map(Term::plain).collect()
            }
            // Each row of the table gets the adjoints of the samples that took it; the labels have no derivative.
            Op::Gather => {
                let rows = operands[0].shape().dims()[0] as u32;
                let whole = if d.shape() == answer.shape() { d } else { broadcast(self.graph, d, &answer.shape()) };
                let summed = self.graph.node(self.graph.push_op(Op::SumBy(rows), &[whole.id(), operands[1].id()]));
                smallvec::smallvec![seeded(summed), seeded(d.lift(0.0))]
            }
            // Each sample gets the adjoint of its group, which is known when the pass that sums is over.
            Op::SumBy(_) => {
                let whole = term.whole();
                let table = if whole.shape() == answer.shape() { whole } else { broadcast(self.graph, whole, &answer.shape()) };
                let rows = self.graph.node(self.graph.push_op(Op::Gather, &[table.id(), operands[1].id()]));
                smallvec::smallvec![Term::plain(rows), Term::plain(d.lift(0.0))]
            }
            Op::Elem(_) | Op::Reshape(_) => unreachable!("done above"),
            Op::Detach if matches!(self.defect, Some(Defect::Unguarded)) => smallvec::smallvec![term],
            Op::Detach => smallvec::smallvec![seeded(d.lift(0.0))],
            Op::Const(_) | Op::Data(_) | Op::Param(_) | Op::Count => SmallVec::new(),
        }
    }

    /// A part of a reshape's adjoint, which may be smaller than the answer, in the operand's dimensions.
    fn reshape_back(&self, x: Expr<'g>, operand: Expr<'g>, answer: Expr<'g>) -> Expr<'g> {
        let to = operand.shape();
        if x.shape().entries() == 1 {
            let ones: SmallVec<[usize; 4]> = smallvec::smallvec![1; to.dims().len()];
            return x.reshape(&ones);
        }
        let full = answer.shape().with_samples(x.shape().varies_over_samples());
        broadcast_if(self.graph, x, &full).reshape(to.dims())
    }

    /// A term of an arrangement's adjoint with every entry in its place.
    fn arranged_adjoint(&self, mut term: Term<'g>, answer: Expr<'g>) -> Term<'g> {
        // The entries of a vector of seeds stay with theirs as long as they keep their places.
        if term.seed.is_some_and(|s| s.shape().entries() > 1) {
            term = Term::plain(term.whole());
        }
        let full = answer.shape().with_samples(term.coefficient.shape().varies_over_samples());
        Term { coefficient: broadcast_if(self.graph, term.coefficient, &full), ..term }
    }

    /// The adjoint of one operand of an arrangement: each of its entries gets the adjoints of the places it went to.
    fn arrange_back(&self, arrangement: &Arrangement, operand: usize, x: Expr<'g>, d: Expr<'g>) -> Expr<'g> {
        let uses = if matches!(self.defect, Some(Defect::FirstUse)) { 1 } else { usize::MAX };
        picks::sum(self.graph, x.shape().dims(), &[(d, picks::places(arrangement, operand))], uses).unwrap_or_else(|| x.lift(0.0))
    }

    /// Keeps what an arrangement hands back to an operand.
    fn pick(&mut self, operand: NodeId, places: Places, adjoint: Term<'g>, answer: Expr<'g>) -> Option<Outgoing> {
        if self.is_zero(adjoint.coefficient) || places.is_empty() {
            return None;
        }
        let outgoing = Outgoing::Placed(adjoint.whole().id(), places.clone());
        let Term { seed, coefficient, .. } = adjoint;
        let pick = Pick { seed, adjoint: coefficient, samples: answer.shape().varies_over_samples(), places, place: self.graph.place() };
        self.picked.entry(operand).or_default().push(pick);
        Some(outgoing)
    }

    /// Adds what arrangements handed back to a node's adjoint, all that have one seed together.
    fn place_picks(&mut self, id: NodeId) {
        let mut left = self.picked.remove(&id).unwrap_or_default();
        if left.is_empty() {
            return;
        }
        let operand = self.graph.node(id).shape();
        self.defect = None;
        while let Some(Pick { seed, samples, place, .. }) = left.first().cloned() {
            let like = |p: &Pick<'g>| p.samples == samples && p.seed.map(Expr::id) == seed.map(Expr::id);
            let (here, others): (Vec<_>, Vec<_>) = left.into_iter().partition(like);
            left = others;
            self.graph.set_place(place);
            let here: Vec<_> = here.into_iter().map(|p| (p.adjoint, p.places)).collect();
            if let Some(coefficient) = picks::sum(self.graph, operand.dims(), &here, usize::MAX) {
                let term = Term { seed, guard: None, coefficient };
                self.add(id, self.settle_shapes(term, &operand.with_samples(samples), &operand));
            }
        }
    }

    /// A term whose coefficient was selected to be 0 somewhere: the condition becomes its guard.
    fn guarded(&self, term: Term<'g>) -> Term<'g> {
        let (args, op) = {
            let dag = self.graph.dag();
            let node = dag.node(term.coefficient.id());
            (node.args.clone(), node.op.clone())
        };
        if op != Op::Elem(Elem::Select) {
            return term;
        }
        let [condition, chosen, other] = [args[0], args[1], args[2]].map(|a| self.graph.node(a));
        let (condition, coefficient) = if self.is_zero(other) {
            (condition, chosen)
        } else if self.is_zero(chosen) {
            (condition.eq(0.0), other)
        } else {
            return term;
        };
        let guard = match term.guard {
            Some(outer) => outer.select(condition, 0.0),
            None => condition,
        };
        Term { guard: Some(guard), coefficient, ..term }
    }

    /// Brings a contribution to the operand's shape: sums over the axes along which the operand was broadcast.
    ///
    /// Where that would mix the entries of a vector of seeds that are not known before the pass, each entry goes its own way from here.
    fn settle(&mut self, term: Term<'g>, answer: Expr<'g>, operand: Expr<'g>) -> Terms<'g> {
        let (answer, target) = (answer.shape(), operand.shape());
        if self.is_zero(term.coefficient) || answer == target {
            return smallvec::smallvec![term];
        }
        let stays_per_sample = target.varies_over_samples() || !answer.varies_over_samples();
        if let Some(seed) = term.seed.filter(|_| stays_per_sample) {
            let dims = seed.shape();
            let spanned: SmallVec<[usize; 4]> = (0..dims.dims().len()).filter(|a| dims.extent_from_right(*a) > 1).collect();
            let mixes = !spanned.is_empty() && spanned.iter().all(|a| target.extent_from_right(*a) == 1);
            if mixes && dims.entries() <= MOST_SEEDS && self.is_late(seed.id()) {
                let split = self.split(term.applied(), seed, &spanned);
                return split.into_iter().map(|t| self.fold(t, &answer, &target, &spanned)).collect();
            }
        }
        smallvec::smallvec![self.fold(term, &answer, &target, &[])]
    }

    /// One term for each entry of a vector of seeds: the coefficient at that entry, along the axes that the seeds span.
    fn split(&self, term: Term<'g>, seed: Expr<'g>, spanned: &[usize]) -> Terms<'g> {
        let dims: SmallVec<[usize; 4]> = seed.shape().dims().into();
        let flat = seed.reshape(&[seed.shape().entries()]);
        let entries = (0..seed.shape().entries()).map(|entry| {
            let mut coefficient = term.coefficient;
            let mut rest = entry;
            for from_right in 0..dims.len() {
                let extent = dims[dims.len() - 1 - from_right];
                let index = rest % extent;
                rest /= extent;
                if spanned.contains(&from_right) && coefficient.shape().extent_from_right(from_right) > 1 {
                    coefficient = coefficient.slice(-(from_right as isize) - 1, index..index + 1);
                }
            }
            Term { seed: Some(flat.index(&[entry])), coefficient, ..term }
        });
        entries.collect()
    }

    /// Sums over the axes along which the operand was broadcast, but those that are done.
    fn fold(&self, term: Term<'g>, answer: &Shape, target: &Shape, done: &[usize]) -> Term<'g> {
        // What is summed is what the guard lets through. (A reduction's operand is the larger one: there is nothing to sum.)
        let grows =
            target.dims().len() >= answer.dims().len() && target.entries() >= answer.entries() && target.varies_over_samples() >= answer.varies_over_samples();
        let mut term = if grows { term } else { term.applied() };
        let crosses = answer.varies_over_samples() && !target.varies_over_samples();
        // A vector of seeds goes in before its entries are summed, and that after the samples are, if they are.
        let spans = |axis: usize| term.seed.is_some_and(|s| s.shape().extent_from_right(axis) > 1 && target.extent_from_right(axis) == 1);
        let early = (0..answer.dims().len()).any(spans);
        if early {
            term = if crosses { self.settle_shapes(term, answer, target) } else { Term::plain(term.whole()) };
        }
        let Term { mut seed, guard, mut coefficient } = term;
        let rank = answer.dims().len().max(coefficient.shape().dims().len());
        for axis in 0..rank {
            let (met, wanted) = (answer.extent_from_right(axis), target.extent_from_right(axis));
            if met > wanted && wanted == 1 && !done.contains(&axis) {
                let held = coefficient.shape().extent_from_right(axis);
                coefficient = match (held, self.defect) {
                    (1, Some(Defect::Uncounted)) => coefficient,
                    (1, _) => coefficient * met as f64,
                    _ => coefficient.fold_keeping(Fold::Sum, axis),
                };
            }
        }
        // Axes left of the operand's rank have extent 1 by now.
        let held = coefficient.shape();
        if held.dims().len() > target.dims().len() {
            let dims: SmallVec<[usize; 4]> = held.dims()[held.dims().len() - target.dims().len()..].into();
            coefficient = coefficient.reshape(&dims);
        }
        if let Some(s) = seed
            && s.shape().dims().len() > target.dims().len()
        {
            let held = s.shape();
            seed = Some(s.reshape(&held.dims()[held.dims().len() - target.dims().len()..]));
        }
        if early {
            return Term { seed, guard, coefficient };
        }
        self.settle_shapes(Term { seed, guard, coefficient }, answer, target)
    }

    /// Brings a contribution of the operand's dimensions to its samples axis.
    fn settle_samples(&self, term: Term<'g>, answer: Expr<'g>, operand: Expr<'g>) -> Term<'g> {
        if self.is_zero(term.coefficient) {
            return term;
        }
        self.settle_shapes(term, &answer.shape(), &operand.shape())
    }

    fn settle_shapes(&self, term: Term<'g>, answer: &Shape, target: &Shape) -> Term<'g> {
        let Term { seed, guard, coefficient } = term;
        if answer.varies_over_samples() && !target.varies_over_samples() {
            let summed = match self.defect {
                _ if coefficient.shape().varies_over_samples() => coefficient.fold_samples(Fold::Sum, "adjoint"),
                Some(Defect::Uncounted) => coefficient,
                _ => coefficient * self.graph.count(),
            };
            return Term::plain(Term { seed, guard, coefficient: summed }.whole());
        }
        Term { seed, guard, coefficient }
    }
}

fn broadcast_if<'g>(graph: &'g Graph, x: Expr<'g>, to: &Shape) -> Expr<'g> {
    if x.shape() == *to { x } else { broadcast(graph, x, to) }
}

/// The name a [`Fault`] goes by.
pub(crate) fn op_name(op: &Op) -> &str {
    match op {
        Op::Elem(e) => e.name(),
        Op::Reduce(fold, _) => fold.name(),
        Op::Broadcast(_) => "broadcast",
        Op::Reshape(_) => "reshape",
        Op::Detach => "detach",
        Op::Arrange(_) => "arrange",
        Op::Dense(d) => d.name(),
        Op::Gather => "gather",
        Op::SumBy(_) => "sum_by",
        Op::Const(_) | Op::Data(_) | Op::Param(_) | Op::Count => "input",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::eval::{Inputs, outputs};

    /// The gradient by `w` at `w` of a formula in `x` and `w`, by the oracle.
    fn slope(formula: impl for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g>, x: &[f64], w: f64) -> f64 {
        let graph = Graph::new();
        let (data, param) = (graph.data("x"), graph.param("w"));
        let loss = formula(data, param);
        let by = gradient(&graph, loss.id(), &[param.id()], None).unwrap().by[0].id();
        let mut dag = graph.into_dag();
        dag.output("d_w", by);
        outputs(&dag, &Inputs { samples: x.len(), data: vec![x.to_vec()], params: vec![vec![w]] })[0].numbers[0]
    }

    #[test]
    fn an_operand_not_chosen_contributes_exactly_nothing() {
        let x = [0.0, -1.0, 2.0];
        assert_eq!(slope(|x, w| (x * w).gt(0.0).select((x * w).ln(), 0.0).sum(), &x, 4.0), 0.25);
        assert_eq!(slope(|x, w| (x * w).le(0.0).select(7.0, (x * w).sqrt()).sum(), &x, 2.0), 0.5);
        assert_eq!(slope(|x, w| (x * w).ln().max(-50.0).sum(), &[0.0, 2.0], 4.0), 0.25);
        assert_eq!(slope(|x, w| (x * w).recip().powi(2).max_all(), &[1.0, 2.0], 2.0), -0.25);
        assert_eq!(slope(|x, w| (x * w).sqrt().max_all(), &[0.0, 1.0], 4.0), 0.25);
    }
}
