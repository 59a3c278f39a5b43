//! Every rule of the simplifier, by table: it fires on what its left side describes, changes no more than it says, and rewriting ends.

mod random;
mod rule_check;

use random::{Style, build, check, fail};
use rule_check::RuleSet;
use std::cell::{Cell, RefCell};
use tapeless::graph::{Bits, Dag, Op};
use tapeless::prelude::*;
use tapeless::simplify::rules::{Pattern, RULES, STABLE, compiled, compiled_stable};
use tapeless::simplify::simplify;

const SETS: [fn() -> RuleSet; 2] =
    [|| RuleSet { rules: RULES, compiled: compiled(), before_diff: false }, || RuleSet { rules: STABLE, compiled: compiled_stable(), before_diff: true }];

#[test]
fn every_rule_fires_and_keeps_the_value() {
    for set in SETS.map(|set| set()) {
        for (index, rule) in set.rules.iter().enumerate() {
            assert_eq!(set.compiled[index].index, index);
            let tried = set.try_all(index).unwrap_or_else(|wrong| panic!("{wrong}"));
            println!("{:24} {tried:?}", rule.name);
            assert!(tried.fired > 0, "`{}: {} => {}` never fires: {tried:?}", rule.name, rule.left, rule.right);
            assert!(tried.arrays > 0, "`{}` never fires on anything but scalars", rule.name);
            assert!(tried.in_sum_dim || tried.scalars > 0, "`{}` never fires on scalars", rule.name);
        }
    }
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<&str> = RULES.iter().chain(STABLE).map(|r| r.name).collect();
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
    for (rule, compiled) in RULES.iter().zip(compiled()).chain(STABLE.iter().zip(compiled_stable())) {
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
