//! Every rule of the simplifier, by table: it fires on what its left side describes, changes no more than it says, and rewriting ends.

mod random;

use random::bounds::{self, Precision};
use random::{Numbers, Style, build, check, fail};
use std::cell::{Cell, RefCell};
use tapeless::graph::eval::{self, Inputs};
use tapeless::graph::{Args, Axis, Bits, Dag, Fold, NodeId, Op, text, verify};
use tapeless::op::Elem;
use tapeless::prelude::*;
use tapeless::shape::Shape;
use tapeless::simplify::rules::{Change, Kind, Pattern, RULES, compiled};
use tapeless::simplify::simplify;

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
        Pattern::Sum(inner) | Pattern::SumDim(inner) => kinds(inner, out),
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

/// Every choice of actors for a rule's variables.
fn casts(kinds: &[Kind], in_sum_dim: bool) -> Vec<Vec<Actor>> {
    kinds.iter().fold(vec![Vec::new()], |casts, kind| {
        casts.iter().flat_map(|cast| actors(*kind, in_sum_dim).iter().map(|a| cast.iter().copied().chain([*a]).collect())).collect()
    })
}

fn change_of(name: &str) -> Change {
    RULES.iter().find(|r| r.name == name).expect("a rule").change
}

/// The table's test of one rule with one cast; whether the rule fired.
fn try_rule(index: usize, cast: &[Actor], awkward: bool, seed: u64) -> Option<bool> {
    let rule = &RULES[index];
    let left = &compiled()[index].left;
    let mut stage = Stage { dag: Dag::new(), inputs: Inputs { samples: SAMPLES, ..Inputs::default() }, numbers: Numbers(seed), awkward };
    let actors: Vec<NodeId> = cast.iter().map(|a| stage.actor(*a)).collect();
    let root = stage.play(left, &actors)?;
    stage.dag.output("result", root);
    let Stage { dag, inputs, .. } = stage;
    let (simple, statistics) = simplify(&dag);
    let shown = format!("{}: {} => {}\nof {cast:?}\n{dag:?}becomes\n{simple:?}{statistics}", rule.name, rule.left, rule.right);
    verify::verify(&simple).unwrap_or_else(|broken| panic!("{broken}\n{shown}"));
    assert_eq!(simple.shape(simple.outputs()[0].1), dag.shape(root), "{shown}");

    // Idempotent: a second time changes nothing.
    let (again, second) = simplify(&simple);
    assert!(second.applied.is_empty(), "a second time applies {:?}\n{shown}", second.applied);
    assert_eq!(text::print(&again), text::print(&simple), "{shown}");

    // No more changes than the rules applied say.
    let says = |change: Change| statistics.applied.iter().all(|(name, _)| change_of(name) == Change::Exact || change_of(name) == change);
    let (before, after) = (eval::outputs(&dag, &inputs).remove(0), eval::outputs(&simple, &inputs).remove(0));
    assert_eq!((before.rows, before.numbers.len()), (after.rows, after.numbers.len()), "{shown}");
    let bounds = |dag: &Dag| bounds::outputs(dag, &inputs, Precision::F64).remove(0).errors;
    let errors: Vec<f64> = bounds(&dag).iter().zip(bounds(&simple)).map(|(a, b)| a + b).collect();
    for (k, ((b, a), error)) in before.numbers.iter().zip(&after.numbers).zip(errors).enumerate() {
        let same = b.to_bits() == a.to_bits() || (b.is_nan() && a.is_nan());
        let fine = if says(Change::Exact) {
            same
        } else if says(Change::ZeroSign) {
            same || b == a
        } else {
            // Awkward numbers may overflow on the way.
            same || b == a || awkward || (b - a).abs() <= 4.0 * error && error <= 1e-12 * b.abs().max(1.0)
        };
        assert!(fine, "number {k} was {b:e} and is {a:e}\n{shown}");
    }
    Some(statistics.applied.iter().any(|(name, _)| *name == rule.name))
}

#[test]
fn every_rule_fires_and_keeps_the_value() {
    for (index, rule) in RULES.iter().enumerate() {
        let left = &compiled()[index].left;
        assert_eq!(compiled()[index].index, index);
        let mut needed = Vec::new();
        kinds(left, &mut needed);
        let in_sum_dim = matches!(left, Pattern::SumDim(_));
        let (mut fired, mut played) = (0, 0);
        let mut shapes = [0, 0];
        for (seed, cast) in casts(&needed, in_sum_dim).iter().enumerate() {
            for awkward in [false, true] {
                let Some(fires) = try_rule(index, cast, awkward, seed as u64) else { continue };
                played += 1;
                fired += usize::from(fires);
                let is_scalar = |a: &Actor| match a {
                    Actor::Param(d) | Actor::Invariant(d) | Actor::Data(d) | Actor::Bent(d) | Actor::Curve(d) => d.is_empty(),
                    Actor::Constant(_) => true,
                };
                shapes[usize::from(!cast.iter().all(is_scalar))] += usize::from(fires);
            }
        }
        println!("{:24} fires in {fired} of {played} casts, {} of them of scalars", rule.name, shapes[0]);
        assert!(fired > 0, "`{}: {} => {}` never fires, in {played} casts", rule.name, rule.left, rule.right);
        assert!(shapes[1] > 0, "`{}` never fires on anything but scalars", rule.name);
        assert!(in_sum_dim || shapes[0] > 0, "`{}` never fires on scalars", rule.name);
    }
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<&str> = RULES.iter().map(|r| r.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|w| w[0] != w[1]));
}

/// A rule's right side is made of the left side's variables, and is no larger: rewriting ends.
#[test]
fn right_sides_use_what_the_left_sides_bind() {
    fn slots(pattern: &Pattern) -> Vec<usize> {
        match pattern {
            Pattern::Var(slot, _) => vec![*slot],
            Pattern::Number(_) | Pattern::Count | Pattern::Extent => Vec::new(),
            Pattern::Sum(inner) | Pattern::SumDim(inner) => slots(inner),
            Pattern::Elem(_, inner) => inner.iter().flat_map(slots).collect(),
        }
    }
    for (rule, compiled) in RULES.iter().zip(compiled()) {
        let left = slots(&compiled.left);
        assert!(slots(&compiled.right).iter().all(|s| left.contains(s)), "{}", rule.name);
    }
}

#[test]
fn simplifying_random_graphs_ends_by_itself() {
    let style = Style::ALL;
    let (graphs, again, grown, most) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0.0f64));
    let worst = RefCell::new((0.0, String::new()));
    check(50, style.recipes(), |recipe| {
        let built = build(&recipe);
        let graph = Graph::from_dag(built.dag.clone());
        let program = Options::new().without_simplifier().compile(graph.node(built.loss)).expect("it compiles");
        let derived = program.dag();
        let (simple, first) = simplify(derived);
        let shown = || format!("{}\nderived\n{derived:?}simplified\n{simple:?}{first}", built.describe());
        for (name, count) in &first.applied {
            let rate = *count as f64 / first.before as f64;
            if rate > worst.borrow().0 {
                *worst.borrow_mut() = (rate, name.to_string());
            }
            if *count > 8 * first.before {
                return Err(fail(format!("`{name}` was applied {count} times to {} nodes\n{}", first.before, shown())));
            }
        }
        // The rule for rules: never more work in the loop over samples.
        let work = |dag: &Dag| {
            let live = dag.live();
            dag.ids().filter(|id| live[id.index()] && matches!(dag.node(*id).op, Op::Elem(_)) && dag.shape(*id).varies_over_samples()).count()
        };
        let (were, are) = (work(derived), work(&simple));
        grown.set(grown.get() + usize::from(are > were));
        most.set(most.get().max(are as f64 / were.max(1) as f64));
        // A factor taken out of a value that something else uses too makes that value twice; it must stay an exception.
        if are > were + 2 + were / 8 {
            return Err(fail(format!("{were} operations per sample became {are}\n{}", shown())));
        }
        let (_, second) = simplify(&simple);
        graphs.set(graphs.get() + 1);
        again.set(again.get() + usize::from(!second.applied.is_empty()));
        let left: usize = second.applied.iter().map(|(_, n)| n).sum();
        if left > 4 + first.before / 10 || second.after > simple.live_nodes() + 1 {
            return Err(fail(format!("a second time applies {:?}, {} nodes become {}\n{}", second.applied, simple.live_nodes(), second.after, shown())));
        }
        Ok(())
    });
    println!("{} of {} graphs have more operations per sample than before, {:.2} times as many at most", grown.get(), graphs.get(), most.get());
    assert!(grown.get() * 20 <= graphs.get(), "{} of {} graphs have more operations per sample than before", grown.get(), graphs.get());
    println!("{} graphs, {} of them changed by a second time; the busiest rule: {:?}", graphs.get(), again.get(), worst.borrow());
    assert!(again.get() * 50 <= graphs.get(), "{} of {} graphs are changed by a second time", again.get(), graphs.get());
}

/// `Bits` compares as numbers' bits, so constants of a pattern are found whatever made them.
#[test]
fn constants_are_compared_by_bits() {
    assert_ne!(Bits::from(0.0), Bits::from(-0.0));
    assert_eq!(Bits::from(f64::NAN), Bits::from(f64::NAN));
}
