//! Every rule of the simplifier, by table: it fires on what its left side describes, changes no more than it says, and rewriting ends.

mod random;
mod rule_check;

use random::{Style, build, check, fail};
use rule_check::{RuleSet, sums_dim};
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
            assert!(sums_dim(&set.compiled[index].left) || tried.scalars > 0, "`{}` never fires on scalars", rule.name);
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
            Pattern::Sum(inner) | Pattern::SumDim(inner) | Pattern::Once(inner) => slots(inner),
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

/// Operations per sample.
fn work(dag: &Dag) -> usize {
    let live = dag.live();
    dag.ids().filter(|id| live[id.index()] && matches!(dag.node(*id).op, Op::Elem(_)) && dag.shape(*id).varies_over_samples()).count()
}

fn applied(program: &Program, rule: &str) -> usize {
    program.statistics().applied.iter().find(|(name, _)| *name == rule).map_or(0, |(_, n)| *n)
}

/// A Gaussian with a Cholesky factor: substitution backwards is done with sums, and the gradient is `-L^-T sum(z)` and `n / L_ii - L^-T sum(z z^T)`.
#[test]
fn substitution_backwards_is_taken_out_of_the_sums() {
    const D: usize = 5;
    const N: usize = 200;
    let g = Graph::new();
    let (x, loc, l) = (g.data_with("x", &[D]), g.param_with("loc", &[D]), g.param_with("l", &[D, D]).tril());
    let z = l.solve_lower(x - loc);
    let loss = g.count() * l.diag().ln().sum() + 0.5 * z.square().sum();
    let program = loss.compile().unwrap();
    assert!(applied(&program, "sum_of_combination") > 0, "{}", program.statistics());
    // Differences, substitution forwards (scaled at the end), squares: then 2 z, and its products with what is left at each row.
    let forwards = 1 + D * (D - 1) + D + 1;
    assert_eq!(work(program.dag()), forwards + 1 + D * (D + 1) / 2, "{:?}", program.dag());

    let triangle = nalgebra::DMatrix::from_fn(D, D, |i, j| if i == j { 1.5 + 0.2 * i as f64 } else { 0.4 * ((3 * i + j) as f64).sin() }).lower_triangle();
    let entry = |i: usize, k: usize| 700.0 + ((i * (k + 2)) as f64 * 0.7).sin() * 3.0;
    let columns: Vec<Vec<f64>> = (0..D).map(|k| (0..N).map(|i| entry(i, k)).collect()).collect();
    let means: Vec<f64> = (0..D).map(|k| 699.5 + 0.3 * k as f64).collect();
    let theta = program.params([("loc", means.clone()), ("l", triangle.transpose().as_slice().to_vec())]).unwrap();
    let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let (_, grad) = program.bind([("x", Columns::from(slices))]).unwrap().value_and_grad(&theta).unwrap();

    let (mut total, mut products) = (nalgebra::DVector::zeros(D), nalgebra::DMatrix::zeros(D, D));
    for i in 0..N {
        let z = triangle.solve_lower_triangular(&nalgebra::DVector::from_fn(D, |k, _| entry(i, k) - means[k])).unwrap();
        products += &z * z.transpose();
        total += z;
    }
    let transposed = triangle.transpose();
    let (by_loc, by_l) = (-transposed.solve_upper_triangular(&total).unwrap(), -transposed.solve_upper_triangular(&products).unwrap());
    for i in 0..D {
        assert!((grad.get("loc").unwrap()[i] - by_loc[i]).abs() < 1e-12 * by_loc.amax(), "{i}: {:?} {by_loc}", grad.get("loc"));
        for j in 0..=i {
            let expected = by_l[(i, j)] + if i == j { N as f64 / triangle[(i, i)] } else { 0.0 };
            let got = grad.get("l").unwrap()[i * D + j];
            assert!((got - expected).abs() < 1e-12 * by_l.amax(), "{i}, {j}: {got} {expected}");
        }
    }
}

/// A residual is a combination too, but taking it apart would cancel: the loss needs it by itself, so it stays; and so does one of data alone.
#[test]
fn residuals_are_not_taken_apart() {
    let g = Graph::new();
    let (x, y, w, b, a) = (g.data("x"), g.data("y"), g.param("w"), g.param("b"), g.param("a"));
    let bent = (a * x).exp();
    let squares = (w * bent + b - y).square().sum() + bent.square().sum();
    // Nothing else needs the residual here, but it is one of data.
    let plain = ((w * x - y) * x).sum() * x.square().sum();
    for loss in [squares, plain] {
        let program = loss.compile().unwrap();
        assert_eq!(applied(&program, "sum_of_combination"), 0, "{:?}", program.dag());
    }
}

/// What looks like one-hot labels and isn't: labels without an entry pick nothing, and an entry that is there twice is picked twice.
#[test]
fn only_one_hot_labels_pick_once() {
    let pick = |numbers: &'static [f64], below: Option<usize>| {
        let g = Graph::new();
        let (x, y, s) = (g.data("x"), g.labels("y"), g.param("s"));
        let all = x * g.array(&[3], &[1.0, 10.0, 100.0]) - s.reshape(&[1]);
        let limited = below.map_or(g.constant(0.0), |k| 0.0 * y.one_hot(k).sum_dim(-1));
        let picked = y.number().eq(g.array(&[3], numbers)).select(all, 0.0).sum_dim(-1) + limited;
        let program = (picked.square().sum() * 1.0).compile().unwrap();
        let data = program.bind([("x", Columns::from(&[1.0, 2.0])), ("y", Columns::from(&[1u32, 2]))]).unwrap();
        let (value, grad) = data.value_and_grad(&program.params([("s", 0.5)]).unwrap()).unwrap();
        (applied(&program, "pick_minus_unit"), value, grad.values()[0])
    };
    let (first, second) = (10.0 - 0.5, 200.0 - 0.5);
    let once = (first * first + second * second, -2.0 * (first + second));
    // Every label has its entry; labels of 3 and more would have none.
    assert_eq!(pick(&[0.0, 1.0, 2.0], Some(3)), (1, once.0, once.1));
    assert_eq!(pick(&[0.0, 1.0, 2.0], None), (0, once.0, once.1));
    assert_eq!(pick(&[0.0, 1.0, 2.0], Some(4)), (0, once.0, once.1));
    // Label 1 is in two entries, and label 2 in none.
    let twice = (10.0 - 0.5) + (100.0 - 0.5);
    assert_eq!(pick(&[0.0, 1.0, 1.0], Some(3)), (0, twice * twice, -4.0 * twice));
}

/// `Bits` compares as numbers' bits, so constants of a pattern are found whatever made them.
#[test]
fn constants_are_compared_by_bits() {
    assert_ne!(Bits::from(0.0), Bits::from(-0.0));
    assert_eq!(Bits::from(f64::NAN), Bits::from(f64::NAN));
}
