//! The test of one rule: what its left side describes is built, rewritten, and both are evaluated.

use crate::random::Numbers;
use crate::random::bounds::{self, Precision};
use std::sync::Arc;
use tapeless::graph::eval::{self, Inputs};
use tapeless::graph::{Args, Arrangement, Axis, Dag, Fold, NodeId, Op, text, verify};
use tapeless::op::Elem;
use tapeless::shape::Shape;
use tapeless::simplify::rules::{Change, Compiled, Kind, Pattern, Rule};
use tapeless::simplify::{Statistics, apply};

const SAMPLES: usize = 37;
/// The dimension that `sum_dim` reduces, from the right.
const AXIS: u32 = 1;

/// What a variable can stand for in a test.
#[derive(Clone, Copy, Debug)]
enum Actor {
    Param(&'static [usize]),
    /// `exp` of a parameter.
    Invariant(&'static [usize]),
    Data(&'static [usize]),
    /// `sin` of a column.
    Bent(&'static [usize]),
    /// `sin` of a parameter times a column.
    Curve(&'static [usize]),
    Constant(f64),
    /// Labels below 3 as a vector of so many entries, its other dimensions of one entry.
    Hot(&'static [usize]),
}

/// Who can play a variable of this kind; within `sum_dim` all but unit axes need the axis.
fn actors(kind: Kind, in_sum_dim: bool) -> &'static [Actor] {
    use Actor::*;
    match (kind, in_sum_dim) {
        (Kind::UnitAxis, _) => &[Param(&[]), Data(&[]), Curve(&[1, 2]), Param(&[3, 1, 2]), Bent(&[2])],
        (Kind::Any, true) => &[Data(&[3, 2]), Param(&[3, 1]), Curve(&[2, 3, 2])],
        (Kind::Any, false) => &[Data(&[]), Param(&[]), Curve(&[3]), Invariant(&[3]), Bent(&[2, 1])],
        (Kind::Invariant, _) => &[Param(&[]), Invariant(&[3]), Param(&[2, 1])],
        (Kind::PerSample, _) => &[Data(&[]), Curve(&[3]), Bent(&[2, 1])],
        (Kind::Curved, _) => &[Curve(&[]), Bent(&[3]), Curve(&[2, 1])],
        (Kind::CurvedData, _) => &[Bent(&[]), Bent(&[3]), Bent(&[2, 1])],
        (Kind::NotNegative, _) => &[Invariant(&[]), Invariant(&[3])],
        (Kind::OneHot, _) => &[Hot(&[3, 1]), Hot(&[1, 3, 1])],
        (Kind::Constant, _) => &[Constant(1.75), Constant(-0.6)],
    }
}

/// The kinds of a pattern's variables, by slot.
fn kinds(pattern: &Pattern, out: &mut Vec<Kind>) {
    match pattern {
        Pattern::Var(slot, kind) => {
            if *slot == out.len() {
                out.push(*kind);
            }
        }
        Pattern::Number(_) | Pattern::Count | Pattern::Extent => {}
        Pattern::Sum(inner) | Pattern::SumDim(inner) | Pattern::Once(inner) => kinds(inner, out),
        Pattern::Elem(_, inner) => inner.iter().for_each(|p| kinds(p, out)),
    }
}

/// A graph with inputs for every actor.
struct Stage {
    dag: Dag,
    inputs: Inputs,
    numbers: Numbers,
    /// Gives awkward numbers too.
    awkward: bool,
}

impl Stage {
    fn fresh(&mut self, n: usize) -> Vec<f64> {
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, -1.0, 5e-324, f64::MAX];
        let one = |numbers: &mut Numbers| match numbers.bits() % 3 {
            0 => special[(numbers.bits() % special.len() as u64) as usize],
            _ => numbers.around(),
        };
        (0..n).map(|_| if self.awkward { one(&mut self.numbers) } else { self.numbers.around() }).collect()
    }

    fn push(&mut self, op: Op, args: &[NodeId]) -> Option<NodeId> {
        self.dag.push(op, Args::from_slice(args), None)
    }

    fn elem(&mut self, op: Elem, args: &[NodeId]) -> NodeId {
        self.push(Op::Elem(op), args).expect("fits")
    }

    fn data(&mut self, dims: &[usize]) -> NodeId {
        let numbers = self.fresh(dims.iter().product::<usize>() * SAMPLES);
        self.inputs.data.push(numbers);
        self.dag.add_data(&format!("x{}", self.inputs.data.len()), Shape::per_sample(dims), None)
    }

    fn param(&mut self, dims: &[usize]) -> NodeId {
        let numbers = self.fresh(dims.iter().product());
        self.inputs.params.push(numbers);
        self.dag.add_param(&format!("w{}", self.inputs.params.len()), Shape::new(dims), None)
    }

    fn actor(&mut self, actor: Actor) -> NodeId {
        match actor {
            Actor::Param(dims) => self.param(dims),
            Actor::Invariant(dims) => {
                let w = self.param(dims);
                self.elem(Elem::Exp, &[w])
            }
            Actor::Data(dims) => self.data(dims),
            Actor::Bent(dims) => {
                let x = self.data(dims);
                self.elem(Elem::Sin, &[x])
            }
            Actor::Curve(dims) => {
                let (w, x) = (self.param(&[]), self.data(dims));
                let wx = self.elem(Elem::Mul, &[w, x]);
                self.elem(Elem::Sin, &[wx])
            }
            Actor::Constant(c) => self.dag.constant(c),
            Actor::Hot(dims) => {
                let labels = (0..SAMPLES).map(|_| (self.numbers.bits() % 3) as f64).collect();
                self.inputs.data.push(labels);
                let label = self.dag.add_labels(&format!("y{}", self.inputs.data.len()), 3, None);
                let numbers: Vec<NodeId> = (0..3).map(|k| self.dag.constant(f64::from(k))).collect();
                let sources = (0..3).map(|k| Some((k, 0))).collect();
                let array = self.push(Op::Arrange(Arc::new(Arrangement { dims: dims.into(), sources })), &numbers).expect("fits");
                self.elem(Elem::Eq, &[label, array])
            }
        }
    }

    /// A pattern's graph; `None` where the actors' shapes don't fit it.
    fn play(&mut self, pattern: &Pattern, actors: &[NodeId]) -> Option<NodeId> {
        match pattern {
            Pattern::Var(slot, _) => Some(actors[*slot]),
            Pattern::Number(c) => Some(self.dag.constant(*c)),
            Pattern::Count => self.push(Op::Count, &[]),
            // Only on right sides.
            Pattern::Extent => None,
            Pattern::Once(inner) => self.play(inner, actors),
            Pattern::Sum(inner) => {
                let x = self.play(inner, actors)?;
                self.push(Op::Reduce(Fold::Sum, Axis::Samples), &[x])
            }
            Pattern::SumDim(inner) => {
                let x = self.play(inner, actors)?;
                self.push(Op::Reduce(Fold::Sum, Axis::Dim(AXIS)), &[x])
            }
            Pattern::Elem(op, inner) => {
                let args: Option<Vec<NodeId>> = inner.iter().map(|p| self.play(p, actors)).collect();
                self.push(Op::Elem(*op), &args?)
            }
        }
    }
}

/// Whether a pattern sums over a dimension somewhere.
pub fn sums_dim(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::SumDim(_) => true,
        Pattern::Sum(inner) | Pattern::Once(inner) => sums_dim(inner),
        Pattern::Elem(_, inner) => inner.iter().any(sums_dim),
        Pattern::Var(..) | Pattern::Number(_) | Pattern::Count | Pattern::Extent => false,
    }
}

/// Every choice of actors for a rule's variables.
fn casts(kinds: &[Kind], in_sum_dim: bool) -> Vec<Vec<Actor>> {
    kinds.iter().fold(vec![Vec::new()], |casts, kind| {
        casts.iter().flat_map(|cast| actors(*kind, in_sum_dim).iter().map(|a| cast.iter().copied().chain([*a]).collect())).collect()
    })
}

/// The rules of one phase.
#[derive(Clone, Copy)]
pub struct RuleSet {
    pub rules: &'static [Rule],
    pub compiled: &'static [Compiled],
    /// Formulas are made stable: what is replaced may be worse than what replaces it.
    pub before_diff: bool,
}

impl RuleSet {
    fn change_of(self, name: &str) -> Change {
        // The rule that no pattern can write rounds.
        self.rules.iter().find(|r| r.name == name).map_or(Change::Rounding, |r| r.change)
    }

    fn simplify(self, dag: &Dag) -> (Dag, Statistics) {
        apply(self.rules, self.before_diff, dag)
    }

    /// A rule with every cast of actors that fits.
    pub fn try_all(self, index: usize) -> Result<Tried, String> {
        let left = &self.compiled[index].left;
        let mut needed = Vec::new();
        kinds(left, &mut needed);
        let in_sum_dim = sums_dim(left);
        let mut tried = Tried::default();
        for (seed, cast) in casts(&needed, in_sum_dim).iter().enumerate() {
            for awkward in [false, true] {
                let Some(fires) = try_rule(self, index, cast, awkward, seed as u64)? else { continue };
                tried.played += 1;
                tried.fired += usize::from(fires);
                let is_scalar = |a: &Actor| match a {
                    Actor::Param(d) | Actor::Invariant(d) | Actor::Data(d) | Actor::Bent(d) | Actor::Curve(d) | Actor::Hot(d) => d.is_empty(),
                    Actor::Constant(_) => true,
                };
                if cast.iter().all(is_scalar) {
                    tried.scalars += usize::from(fires);
                } else {
                    tried.arrays += usize::from(fires);
                }
            }
        }
        Ok(tried)
    }
}

/// How often a rule was tried, and fired.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tried {
    pub played: usize,
    pub fired: usize,
    pub scalars: usize,
    pub arrays: usize,
}

/// The table's test of one rule with one cast; whether the rule fired. What is wrong is said in words.
fn try_rule(set: RuleSet, index: usize, cast: &[Actor], awkward: bool, seed: u64) -> Result<Option<bool>, String> {
    let rule = &set.rules[index];
    let left = &set.compiled[index].left;
    let mut stage = Stage { dag: Dag::new(), inputs: Inputs { samples: SAMPLES, ..Inputs::default() }, numbers: Numbers(seed), awkward };
    let actors: Vec<NodeId> = cast.iter().map(|a| stage.actor(*a)).collect();
    let Some(root) = stage.play(left, &actors) else { return Ok(None) };
    stage.dag.output("result", root);
    let Stage { dag, inputs, .. } = stage;
    let (simple, statistics) = set.simplify(&dag);
    let shown = || format!("{}: {} => {}\nof {cast:?}\n{dag:?}becomes\n{simple:?}{statistics}", rule.name, rule.left, rule.right);
    verify::verify(&simple).map_err(|broken| format!("{broken}\n{}", shown()))?;
    if simple.shape(simple.outputs()[0].1) != dag.shape(root) {
        return Err(format!("another shape\n{}", shown()));
    }

    // Idempotent: a second time changes nothing.
    let (again, second) = set.simplify(&simple);
    if !second.applied.is_empty() || text::print(&again) != text::print(&simple) {
        return Err(format!("a second time applies {:?}\n{}", second.applied, shown()));
    }

    // No more changes than the rules applied say.
    let says = |change: Change| statistics.applied.iter().all(|(name, _)| set.change_of(name) == Change::Exact || set.change_of(name) == change);
    let (before, after) = (eval::outputs(&dag, &inputs).remove(0), eval::outputs(&simple, &inputs).remove(0));
    if (before.rows, before.numbers.len()) != (after.rows, after.numbers.len()) {
        return Err(format!("another size\n{}", shown()));
    }
    let bounds = |dag: &Dag| bounds::outputs(dag, &inputs, Precision::F64).remove(0).errors;
    let owns = bounds(&dag);
    let errors: Vec<f64> = owns.iter().zip(bounds(&simple)).map(|(a, b)| a + b).collect();
    for (k, (((b, a), error), own)) in before.numbers.iter().zip(&after.numbers).zip(errors).zip(owns).enumerate() {
        let same = b.to_bits() == a.to_bits() || (b.is_nan() && a.is_nan());
        let fine = if says(Change::Exact) {
            same
        } else if says(Change::ZeroSign) {
            same || b == a
        } else {
            // Awkward numbers may overflow on the way. A formula that is made stable is held to its value where that was worth something, and is
            // then as good.
            let known = |error: f64| error <= 1e-12 * b.abs().max(1.0);
            same || b == a || awkward || if set.before_diff && !known(own) { true } else { (b - a).abs() <= 4.0 * error && known(error) }
        };
        if !fine {
            return Err(format!("number {k} was {b:e} and is {a:e}\n{}", shown()));
        }
    }
    Ok(Some(statistics.applied.iter().any(|(name, _)| *name == rule.name)))
}
