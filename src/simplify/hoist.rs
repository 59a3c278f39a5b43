//! Sums of products whose factor is a combination of others: `sum(s * (a + u b))` is `sum(s * a) + u sum(s * b)`, and where `sum(s * b)` is needed in any
//! case, `a + u b` needn't be made for each sample.
//!
//! Substitution backwards through a triangle is made of nothing else: the gradient of a solve by its triangle sums `y z^T` with `y = L^-T v`, which is `L^-T` times
//! the sum of `v z^T`. So the samples are spared a third of the work of a Gaussian with a Cholesky factor (the identity is that of the adjoint of a linear solve: Giles, "Collected matrix
//! derivative results for forward and reverse mode algorithmic differentiation", 2008, with the sum moved inside).
//!
//! Only combinations that nothing but such sums needs are taken apart: a residual, which the loss squares too, stays what it is, and so does one of data alone. Sums are never more than before.

use super::Builder;
use crate::graph::{Args, Axis, Dag, Fold, NodeId, Op};
use crate::known::Known;
use crate::op::Elem;

/// Terms taken off at most, in all sums together: each is a product and a difference once a call, and two nodes to compile. A triangle of `n` rows has some `n^3 / 6`; one of 16
/// has 800 and gains 2 ns a sample.
const MOST: usize = 1024;

/// Its name in statistics.
pub(super) const NAME: &str = "sum_of_combination";

/// A sum over samples by what it adds up: a product, its factors in order, or a value alone.
type Terms = (Option<NodeId>, NodeId);

/// What can be taken apart in a graph, and the sums made so far.
pub(super) struct Hoist<'d> {
    from: &'d Dag,
    /// Combinations that only sums need.
    apart: Vec<bool>,
    sums: Known<Terms, NodeId>,
}

fn is_sum(op: &Op) -> bool {
    *op == Op::Reduce(Fold::Sum, Axis::Samples)
}

fn is_combination(op: &Op) -> bool {
    matches!(op, Op::Elem(Elem::Add | Elem::Sub))
}

fn terms(s: Option<NodeId>, t: NodeId) -> Terms {
    s.map_or((None, t), |s| (Some(s.min(t)), s.max(t)))
}

/// The new node of an old one.
fn new(map: &[Option<NodeId>], id: NodeId) -> NodeId {
    map[id.index()].expect("operands come first")
}

/// A value that varies over samples times one that doesn't: the two of them, the latter first.
fn scaled(from: &Dag, id: NodeId) -> Option<(NodeId, NodeId)> {
    let node = from.node(id);
    let varies = |k: usize| from.shape(node.args[k]).varies_over_samples();
    match node.op {
        Op::Elem(Elem::Mul) if varies(1) && !varies(0) => Some((node.args[0], node.args[1])),
        Op::Elem(Elem::Mul) if varies(0) && !varies(1) => Some((node.args[1], node.args[0])),
        _ => None,
    }
}

/// Whether it puts values of one entry a sample side by side.
fn columns(from: &Dag, id: NodeId) -> bool {
    from.node(id).args.iter().all(|a| from.shape(*a).varies_over_samples() && from.shape(*a).entries() == 1)
}

/// For each node whether it can be taken apart: a combination of values of parameters that sums alone need, by itself, or times something. `None` if there is none.
fn combinations(from: &Dag) -> Option<Vec<bool>> {
    let live = from.live();
    let varies = |id: NodeId| from.shape(id).varies_over_samples();
    let mut params = vec![false; live.len()];
    let mut any = false;
    for id in from.ids().filter(|id| live[id.index()]) {
        let node = from.node(id);
        params[id.index()] = matches!(node.op, Op::Param(_)) || node.args.iter().any(|a| params[a.index()]);
        any |= is_combination(&node.op) && varies(id) && node.args.iter().any(|a| scaled(from, *a).is_some());
    }
    if !any {
        return None;
    }
    // From the results down: who is needed by sums alone, and who by what comes to sums without another operation than sums, differences and products.
    let (mut summed, mut linear) = (vec![true; live.len()], vec![true; live.len()]);
    from.outputs().iter().for_each(|(_, id)| (summed[id.index()], linear[id.index()]) = (false, false));
    let mut apart = vec![false; live.len()];
    for id in from.ids().rev().filter(|id| live[id.index()]) {
        let node = from.node(id);
        let (summed_here, linear_here) = (summed[id.index()], linear[id.index()]);
        let combines = is_combination(&node.op) && varies(id);
        for (k, a) in node.args.iter().enumerate() {
            summed[a.index()] &= is_sum(&node.op);
            linear[a.index()] &= match &node.op {
                op if is_sum(op) => true,
                _ if combines => linear_here,
                Op::Elem(Elem::Mul) if node.args[0] == node.args[1] => false,
                Op::Elem(Elem::Mul) if varies(node.args[1 - k]) => summed_here,
                Op::Elem(Elem::Mul) => linear_here,
                Op::Arrange(_) => summed_here && columns(from, id),
                _ => false,
            };
        }
        apart[id.index()] = combines && linear_here && node.args.iter().all(|a| params[a.index()] && from.shape(*a) == &node.shape);
    }
    apart.contains(&true).then_some(apart)
}

/// How many terms can be taken off in all sums together, at most.
fn terms_to_take_off(from: &Dag, apart: &[bool]) -> usize {
    let live = from.live();
    // Of each value.
    let mut own = vec![0usize; live.len()];
    let mut all = 0usize;
    for id in from.ids().filter(|id| live[id.index()]) {
        let node = from.node(id);
        let below = node.args.iter().map(|a| own[a.index()]);
        own[id.index()] = if apart[id.index()] {
            below.max().unwrap_or(0).saturating_add(node.args.iter().filter(|a| scaled(from, **a).is_some()).count())
        } else if matches!(node.op, Op::Elem(Elem::Mul) | Op::Arrange(_)) {
            below.fold(0, usize::saturating_add)
        } else {
            0
        };
        if is_sum(&node.op) {
            all = all.saturating_add(own[node.args[0].index()]);
        }
    }
    all
}

impl<'d> Hoist<'d> {
    /// `None` if there is nothing to take apart, or too much.
    pub fn of(from: &'d Dag) -> Option<Self> {
        let apart = combinations(from)?;
        (terms_to_take_off(from, &apart) <= MOST).then(|| Hoist { from, apart, sums: Known::default() })
    }

    /// The sum `id`, taken apart if that can be. `map` has the new nodes of all before it.
    pub fn sum(&mut self, builder: &mut Builder<'_>, map: &[Option<NodeId>], id: NodeId, steps: &mut u32) -> NodeId {
        let x = self.from.node(id).args[0];
        let node = self.from.node(x);
        let product = self.product(x);
        let made = match (product, &node.op) {
            (Some((p, q)), _) => {
                let found = self.total(builder, map, Some(p), q, steps);
                if found.is_some() { found } else { self.total(builder, map, Some(q), p, steps) }
            }
            (None, Op::Arrange(_)) if columns(self.from, x) && node.args.iter().any(|a| self.apart[scaled(self.from, *a).map_or(*a, |(_, b)| b).index()]) => {
                // The first to be made is the one that others are combined with.
                let mut order: Vec<usize> = (0..node.args.len()).collect();
                order.sort_by_key(|k| scaled(self.from, node.args[*k]).map_or(node.args[*k], |(_, b)| b));
                let mut sums: Args = node.args.clone();
                for k in order {
                    sums[k] = match scaled(self.from, node.args[k]) {
                        Some((u, b)) => {
                            let sum = self.leaf(builder, map, None, b, steps);
                            builder.emit(Op::Elem(Elem::Mul), smallvec::smallvec![new(map, u), sum], steps)
                        }
                        None => self.leaf(builder, map, None, node.args[k], steps),
                    };
                }
                Some(builder.emit(node.op.clone(), sums, steps))
            }
            _ => self.total(builder, map, None, x, steps),
        };
        let made = made.unwrap_or_else(|| builder.emit(self.from.node(id).op.clone(), smallvec::smallvec![new(map, x)], steps));
        let key = product.map_or((None, x), |(p, q)| terms(Some(p), q));
        self.sums.entry(key).or_insert(made);
        made
    }

    /// The factors of a product of two values that vary.
    fn product(&self, x: NodeId) -> Option<(NodeId, NodeId)> {
        let node = self.from.node(x);
        let varies = |a: &NodeId| self.from.shape(*a).varies_over_samples();
        (node.op == Op::Elem(Elem::Mul) && node.args.iter().all(varies)).then(|| (node.args[0], node.args[1]))
    }

    /// The sum of `s t`, of `t` if there is no `s`: taken apart, or made.
    fn leaf(&mut self, builder: &mut Builder<'_>, map: &[Option<NodeId>], s: Option<NodeId>, t: NodeId, steps: &mut u32) -> NodeId {
        let apart = if self.sums.contains_key(&terms(s, t)) { None } else { self.total(builder, map, s, t, steps) };
        match apart {
            Some(sum) => *self.sums.entry(terms(s, t)).or_insert(sum),
            None => self.made(builder, map, s, t, steps),
        }
    }

    /// The sum of `s t` as it is, unless it is there.
    fn made(&mut self, builder: &mut Builder<'_>, map: &[Option<NodeId>], s: Option<NodeId>, t: NodeId, steps: &mut u32) -> NodeId {
        *self.sums.entry(terms(s, t)).or_insert_with(|| {
            let t = new(map, t);
            let added = s.map_or(t, |s| builder.emit(Op::Elem(Elem::Mul), smallvec::smallvec![new(map, s), t], steps));
            builder.emit(Op::Reduce(Fold::Sum, Axis::Samples), smallvec::smallvec![added], steps)
        })
    }

    /// The sum of `s t` where `t` is a combination with something whose own sum with `s` is there.
    fn total(&mut self, builder: &mut Builder<'_>, map: &[Option<NodeId>], s: Option<NodeId>, t: NodeId, steps: &mut u32) -> Option<NodeId> {
        // What is left of `t`, and the sums of what has been taken off, the last first.
        let mut rest = t;
        let mut taken: Vec<(Elem, NodeId, NodeId)> = Vec::new();
        while self.apart[rest.index()] {
            let node = self.from.node(rest);
            let Op::Elem(op) = node.op else { break };
            let off = |(k, a): (usize, &NodeId)| {
                let (u, b) = scaled(self.from, *a)?;
                // `u b - a` is no `a` with something taken off.
                let first = op == Elem::Sub && k == 0;
                let sum = self.sums.get(&terms(s, b)).filter(|_| !first)?;
                Some((node.args[1 - k], u, *sum))
            };
            let Some((next, u, sum)) = node.args.iter().enumerate().rev().find_map(off) else { break };
            taken.push((op, u, sum));
            rest = next;
        }
        if taken.is_empty() {
            return None;
        }
        let mut sum = self.made(builder, map, s, rest, steps);
        for (op, u, other) in taken.into_iter().rev() {
            let scaled = builder.push(Op::Elem(Elem::Mul), smallvec::smallvec![new(map, u), other]);
            sum = builder.push(Op::Elem(op), smallvec::smallvec![sum, scaled]);
        }
        builder.counted(NAME);
        Some(sum)
    }
}
