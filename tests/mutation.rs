//! Breaks what differentiation and the simplifier hold true, one place at a time, without building anything again, and asks the checks that the
//! other tests use whether they notice. A break that nothing notices is listed here with the reason why it is none.

mod mutants;
mod random;
mod rule_check;
mod stability_cases;
#[path = "mutants/table.rs"]
mod table;

use mutants::formula::formula;
use mutants::{patterns, pullbacks};
use rule_check::RuleSet;
use stability_cases::{CASES, close};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tapeless::Columns;
use tapeless::check::{self, Fault};
use tapeless::diff::Defect;
use tapeless::expr::Labels;
use tapeless::graph::{Args, Op, eval};
use tapeless::op::Elem;
use tapeless::prelude::*;
use tapeless::simplify::apply;
use tapeless::simplify::rules::{RULES, Rule, STABLE, compile};

const X: [f64; 5] = [0.3, -1.1, 0.8, 1.9, -0.4];

/// Every row, with attributes that make a difference.
fn rows() -> Vec<Elem> {
    let mut rows: Vec<Elem> = Elem::ALL.to_vec();
    rows.extend([Elem::Powi(-2), Elem::Powi(3), Elem::Polygamma(1), Elem::Polygamma(3)]);
    rows
}

/// What the checker says of a broken operation.
#[derive(Clone, PartialEq, Debug)]
enum Said {
    /// It is wrong, and this operation is to blame.
    Blamed(String),
    /// It is wrong.
    Wrong(String),
    Nothing,
}

/// The checker's word on an operation applied to numbers that are spread over its range.
fn judge(op: Elem, defect: Option<&Defect>) -> Said {
    let g = Graph::new();
    let loss = formula(&g, op);
    let mut options = Options::new();
    if let Some(defect) = defect {
        options = options.with_defect(op.name(), defect.clone());
    }
    let program = options.compile(loss).expect("it compiles");
    let data = program.bind([("x", &X)]).expect("the column fits");
    let theta = program.params([("w", 0.7), ("v", -0.4)]).expect("the parameters fit");
    said(&check::gradient(&data, &theta).expect("it checks"))
}

fn said(report: &check::Report) -> Said {
    match &report.fault {
        Some(Fault::Operation(c)) => Said::Blamed(c.op.clone()),
        _ if report.failed() => Said::Wrong(report.to_string()),
        _ => Said::Nothing,
    }
}

/// Points where an operation's derivative is a convention, or where what is not chosen is not finite: operands, and by which of them.
fn corners(op: Elem) -> Vec<(Vec<f64>, Vec<usize>)> {
    let all = |points: &[&[f64]]| points.iter().map(|p| (p.to_vec(), (0..p.len()).collect())).collect();
    let inside: Vec<f64> = op.ranges().iter().map(|(lo, hi)| lo + 0.63 * (hi - lo)).collect();
    let mut points = match op {
        Elem::Abs | Elem::Relu => all(&[&[0.0], &[2.0], &[-2.0]]),
        Elem::Min | Elem::Max => all(&[&[1.5, 1.5], &[1.0, 2.0], &[2.0, 1.0]]),
        Elem::Hypot => all(&[&[0.0, 0.0], &[3.0, 4.0]]),
        Elem::Select => all(&[&[0.0, 2.0, 3.0], &[1.0, 2.0, 3.0]]),
        Elem::Powf => vec![(vec![0.0, 2.0], vec![1]), (vec![2.0, 0.0], vec![0, 1])],
        Elem::Powi(n) if n > 0 => all(&[&[0.0]]),
        Elem::Xlogy => vec![(vec![0.0, 0.0], vec![1]), (vec![2.0, 3.0], vec![0, 1])],
        _ => Vec::new(),
    };
    points.push((inside, (0..op.arity()).collect()));
    points
}

/// The checker's word at one of these points, the operation alone.
fn judge_at(op: Elem, point: &[f64], by: &[usize], defect: Option<&Defect>) -> Said {
    let g = Graph::new();
    let names = ["a", "b", "c"];
    let operands: Vec<Expr> = (0..op.arity()).map(|k| g.param(names[k])).collect();
    // The adjoint that comes in is not 1.
    let loss = 3.0 * g.apply(op, &operands);
    let mut options = Options::new().wrt(by.iter().map(|k| names[*k]));
    if let Some(defect) = defect {
        options = options.with_defect(op.name(), defect.clone());
    }
    let program = options.compile(loss).expect("it compiles");
    let data = program.bind::<&str, &[f64]>([]).expect("no data");
    let theta = program.params(names.iter().copied().zip(point.iter().copied())).expect("the parameters fit");
    said(&check::gradient(&data, &theta).expect("it checks"))
}

/// Broken pullbacks that are none: operation, what was done, why it makes no difference.
const EQUIVALENT: &[(&str, &str, &str)] = &[
    ("Powi(2)", "%3: powi is its operand 0", "the power is 1"),
    ("Hypot", "%5: ne is its operand 0", "`select` asks whether its condition is 0, as `ne` does"),
    ("Xlogy", "%7: ne is its operand 0", "`select` asks whether its condition is 0, as `ne` does"),
];

#[test]
fn every_broken_pullback_is_caught() {
    let (mut made, mut survivors, mut unnamed) = (0, Vec::new(), Vec::new());
    for op in rows() {
        assert_eq!(judge(op, None), Said::Nothing, "{op:?}");
        for (point, by) in corners(op) {
            assert_eq!(judge_at(op, &point, &by, None), Said::Nothing, "{op:?} at {point:?}");
        }
        for mutant in pullbacks::mutants(op) {
            made += 1;
            let defect = Defect::Pullback(Arc::new(mutant.pullback));
            let verdict = || {
                let first = judge(op, Some(&defect));
                if first != Said::Nothing {
                    return first;
                }
                let rest = corners(op).into_iter().map(|(point, by)| judge_at(op, &point, &by, Some(&defect)));
                rest.into_iter().find(|s| *s != Said::Nothing).unwrap_or(Said::Nothing)
            };
            let said = catch_unwind(AssertUnwindSafe(verdict)).expect("the checker gives a verdict");
            let name = format!("{op:?}: {}", mutant.what);
            match said {
                Said::Blamed(blamed) if blamed == op.name() => {}
                Said::Nothing => survivors.push(name),
                other => unnamed.push(format!("{name}: {other:?}")),
            }
            let _ = mutant.seeded;
        }
    }
    println!("{made} broken pullbacks");
    assert_eq!(survivors.iter().filter(|s| EQUIVALENT.iter().any(|(op, what, _)| **s == format!("{op}: {what}"))).count(), EQUIVALENT.len());
    survivors.retain(|s| !EQUIVALENT.iter().any(|(op, what, _)| *s == format!("{op}: {what}")));
    assert!(survivors.is_empty() && unnamed.is_empty(), "not caught:\n{}\nnot named:\n{}", survivors.join("\n"), unnamed.join("\n"));
}

/// A structural operation inside a loss: what to break, how, and a formula of labels `group`, a column vector `m` `[samples, 3]`, a vector `v` `[3]`, a
/// matrix `k` `[2, 3]` and a number `s`.
struct Structure {
    op: &'static str,
    formula: for<'g> fn(Inputs<'g>) -> Expr<'g>,
    defects: &'static [Defect],
}

#[derive(Clone, Copy)]
struct Inputs<'g> {
    group: Labels<'g>,
    m: Expr<'g>,
    v: Expr<'g>,
    k: Expr<'g>,
    s: Expr<'g>,
}

const OFF: Defect = Defect::Factor(None, 1.0001);
const UNDER: Defect = Defect::Factor(None, 0.9999);
const NEGATED: Defect = Defect::Factor(None, -1.0);
const DROPPED: Defect = Defect::Factor(None, 0.0);

/// Weights that tell the entries apart.
fn weighed(x: Expr<'_>) -> Expr<'_> {
    let n = x.shape().entries();
    let weights: Vec<f64> = (0..n).map(|k| 1.0 + 0.7 * k as f64).collect();
    (x * x.graph().array(x.shape().dims(), &weights)).sum_entries()
}

trait SumEntries<'g> {
    fn sum_entries(self) -> Expr<'g>;
}

impl<'g> SumEntries<'g> for Expr<'g> {
    /// The sum over all dimensions, samples kept.
    fn sum_entries(self) -> Expr<'g> {
        let mut out = self;
        while !out.shape().dims().is_empty() {
            out = out.sum_dim(0);
        }
        out
    }
}

/// The first two are equal at every sample: extremes that are shared.
fn tied<'g>(i: Inputs<'g>) -> Expr<'g> {
    let x = i.m * i.v;
    let g = x.graph();
    g.concat(&[x.slice(0, 0..1), x.slice(0, 0..1), 0.5 * x.slice(0, 1..2)], 0)
}

const STRUCTURES: &[Structure] = &[
    Structure {
        op: "sum over samples",
        formula: |i| weighed((i.m * i.v).sin().sum_samples().sin()),
        defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Unseeded, Defect::Reversed],
    },
    Structure { op: "sum over a dimension", formula: |i| weighed((i.k * i.v).sum_dim(1).sin()), defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Reversed] },
    Structure { op: "sum over a dimension", formula: |i| weighed((i.k * i.v).sum_dim(0).sin()), defects: &[OFF, NEGATED, Defect::Reversed] },
    Structure { op: "sum over a dimension", formula: |i| (i.m * i.v).sum_dim(0).sin().sum(), defects: &[OFF, NEGATED, DROPPED] },
    Structure {
        op: "max over samples",
        formula: |i| weighed((i.m * i.v).max_samples().square()),
        defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Unguarded, Defect::Unseeded, Defect::Reversed],
    },
    Structure {
        op: "min over samples",
        formula: |i| weighed((i.m * i.v).min_samples().square()),
        defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Unguarded, Defect::Unseeded, Defect::Reversed],
    },
    Structure { op: "max over samples", formula: |i| ((i.m * 0.0 + i.v) * 2.0).max_samples().sum().square(), defects: &[OFF, Defect::Unshared] },
    Structure { op: "min over samples", formula: |i| ((i.m * 0.0 + i.v) * 2.0).min_samples().sum().square(), defects: &[OFF, Defect::Unshared] },
    Structure {
        op: "max over a dimension",
        formula: |i| weighed((i.k * i.v).max_dim(1).square()),
        defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Unguarded, Defect::Reversed],
    },
    Structure {
        op: "min over a dimension",
        formula: |i| weighed((i.k * i.v).min_dim(0).square()),
        defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Unguarded, Defect::Reversed],
    },
    Structure { op: "max over a dimension", formula: |i| tied(i).max_dim(0).sin().sum(), defects: &[OFF, Defect::Unshared, Defect::Unguarded] },
    Structure { op: "min over a dimension", formula: |i| tied(i).min_dim(0).sin().sum(), defects: &[OFF, Defect::Unshared, Defect::Unguarded] },
    Structure {
        op: "broadcast",
        formula: |i| weighed(i.v.broadcast_to(&[2, 3]).reshape(&[3, 2]).sin()),
        defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Reversed],
    },
    Structure { op: "broadcast", formula: |i| i.v.sin().broadcast_to(&[4, 3]).sum().sin(), defects: &[OFF, Defect::Uncounted] },
    Structure { op: "reshape", formula: |i| weighed((i.k.sin().reshape(&[3, 2])).square()), defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Reversed] },
    Structure { op: "reshape", formula: |i| weighed((i.m * i.v).reshape(&[3, 1]).sin()).sum(), defects: &[OFF, Defect::Reversed] },
    Structure { op: "arrange", formula: |i| weighed((i.k.transpose()).sin()), defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Reversed] },
    Structure { op: "arrange", formula: |i| weighed(i.v.graph().concat(&[i.v.sin(), i.v.square()], 0)), defects: &[OFF, Defect::Exchanged, Defect::Reversed] },
    Structure { op: "arrange", formula: |i| weighed(tied(i).sin()).sum(), defects: &[OFF, Defect::FirstUse, Defect::Reversed] },
    Structure { op: "detach", formula: |i| (i.v.detach() * i.v * 2.0).sum(), defects: &[Defect::Unguarded] },
    Structure { op: "gather", formula: |i| weighed((i.k.transpose().gather(i.group)).sin()).sum(), defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Reversed] },
    Structure { op: "sum_by", formula: |i| weighed((i.m * i.v).sum_by(i.group, 3).sin()), defects: &[OFF, UNDER, NEGATED, DROPPED, Defect::Reversed] },
    // What an adjoint that is smaller than its node is counted by.
    Structure { op: "add", formula: |i| (i.s.sin() + i.v).sum().sin(), defects: &[Defect::Uncounted] },
    Structure { op: "sub", formula: |i| (i.m - i.s).sum().sin(), defects: &[Defect::Uncounted] },
    Structure { op: "mul", formula: |i| ((i.s * i.v) * i.m).sum().sin(), defects: &[OFF, Defect::Exchanged] },
    // A value with two uses.
    Structure {
        op: "sin",
        formula: |i| {
            let y = i.v.square();
            (y.sin() + y.exp()).sum()
        },
        defects: &[Defect::Replaced],
    },
];

#[test]
fn every_broken_structural_adjoint_is_caught() {
    let mut made = 0;
    for (index, structure) in STRUCTURES.iter().enumerate() {
        let word = |defect: Option<&Defect>| {
            let g = Graph::new();
            let inputs =
                Inputs { group: g.labels("group"), m: g.data_with("m", &[3]), v: g.param_with("v", &[3]), k: g.param_with("k", &[2, 3]), s: g.param("s") };
            let mut options = Options::new();
            if let Some(defect) = defect {
                options = options.with_defect(structure.op, defect.clone());
            }
            let program = options.compile((structure.formula)(inputs)).unwrap();
            let columns: [&[f64]; 3] = [&[0.7, -1.3, 2.1, 0.4], &[1.1, 0.2, -0.6, 1.9], &[-0.9, 1.7, 0.3, -0.2]];
            let groups = [2u32, 0, 2, 1];
            // A formula that has no use for the labels takes none.
            let labelled = structure.op == "gather" || structure.op == "sum_by";
            let bound = [("m", Columns::from(columns.to_vec())), ("group", Columns::from(&groups))];
            let data = program.bind(bound.into_iter().take(if labelled { 2 } else { 1 })).unwrap();
            let theta = program.params([("v", vec![0.7, -0.4, 1.3]), ("k", vec![0.3, 1.2, -0.8, 0.9, -0.1, 0.5]), ("s", vec![0.6])]).unwrap();
            check::gradient(&data, &theta).unwrap()
        };
        let right = word(None);
        assert!(right.passed(), "{} ({index}) is right: {right}", structure.op);
        for defect in structure.defects {
            made += 1;
            let report = word(Some(defect));
            let named = match (&report.fault, defect) {
                // Every contribution is right, and one is lost.
                (Some(Fault::Differentiation), Defect::Replaced) => true,
                (Some(Fault::Operation(c)), _) => structure.op.split(' ').next() == Some(&c.op),
                _ => false,
            };
            assert!(named, "{} ({index}), {defect:?}: {report}", structure.op);
        }
    }
    println!("{made} broken adjoints");
}

/// Rules that are broken and still true: rule, both sides, and why that is no break.
const TRUE_ALL_THE_SAME: &[(&str, &str, &str)] = &[
    ("mul_self", "mul(x, x) => square(neg(x))", EVEN),
    ("abs_abs", "abs(abs(x)) => abs(neg(x))", EVEN),
    ("abs_square", "abs(square(x)) => square(neg(x))", EVEN),
    ("square_abs", "square(abs(x)) => square(neg(x))", EVEN),
    ("powi_two", "powi_2(x) => square(neg(x))", EVEN),
    ("powf_two", "powf(x, 2) => square(neg(x))", EVEN),
    ("square_constant", "square(mul(a, x)) => mul(square(neg(a)), square(x))", EVEN),
    ("square_constant", "square(mul(a, x)) => mul(square(a), square(neg(x)))", EVEN),
    ("invariant_out_of_square", "square(mul(u, s)) => mul(square(neg(u)), square(s))", EVEN),
    ("invariant_out_of_square", "square(mul(u, s)) => mul(square(u), square(neg(s)))", EVEN),
    ("root_of_squares", "sqrt(add(square(x), square(y))) => hypot(neg(x), y)", EVEN),
    ("root_of_squares", "sqrt(add(square(x), square(y))) => hypot(x, neg(y))", EVEN),
    ("root_of_products", "sqrt(add(mul(x, x), mul(y, y))) => hypot(neg(x), y)", EVEN),
    ("root_of_products", "sqrt(add(mul(x, x), mul(y, y))) => hypot(x, neg(y))", EVEN),
    ("root_of_powers", "sqrt(add(powi_2(x), powi_2(y))) => hypot(neg(x), y)", EVEN),
    ("root_of_powers", "sqrt(add(powi_2(x), powi_2(y))) => hypot(x, neg(y))", EVEN),
    ("pick_minus_unit", "sum_dim(select(h, sub(x, w), 0)) => sub(sum_dim(select(neg(h), x, 0)), w)", "-1 is as true as 1"),
    ("pick_minus_unit", "sum_dim(select(h, sub(x, w), 0)) => sub(sum_dim(select(h, x, neg(0))), w)", "-0 is 0"),
    ("mul_neg_invariant", "mul(u, neg(xx)) => neg(mul(u, xx))", COST),
    ("recip_back", "mul(u, recip(xx)) => div(u, xx)", COST),
    ("invariants_together", "mul(xx, mul(v, s)) => mul(mul(xx, v), s)", COST),
    ("invariant_out_of_div", "div(mul(xx, s), t) => mul(xx, div(s, t))", COST),
    ("invariant_out_of_square", "square(mul(xx, s)) => mul(square(xx), square(s))", COST),
    ("invariant_out_of_add", "add(mul(xx, s), mul(xx, t)) => mul(xx, add(s, t))", COST),
    ("invariant_out_of_sub", "sub(mul(xx, s), mul(xx, t)) => mul(xx, sub(s, t))", COST),
    (
        "ln_1m_exp",
        "ln(sub(1, exp(x))) => select(gt(x, -0.6931164952780012), ln(sub(0, exp_m1(x))), ln_1p(sub(0, exp(x))))",
        "both branches are good around -ln 2",
    ),
    ("ln_1m_exp", "ln(sub(1, exp(x))) => select(neg(gt(x, -0.6931471805599453)), ln(sub(0, exp_m1(x))), ln_1p(sub(0, exp(x))))", "-1 is as true as 1"),
    ("ln_1m_exp", "ln(sub(1, exp(x))) => select(gt(x, -0.6931471805599453), ln(sub(neg(0), exp_m1(x))), ln_1p(sub(0, exp(x))))", "-0 is 0"),
    ("ln_1m_exp", "ln(sub(1, exp(x))) => select(gt(x, -0.6931471805599453), ln(sub(0, exp_m1(x))), ln_1p(sub(neg(0), exp(x))))", "-0 is 0"),
];
const EVEN: &str = "the function is even";
const COST: &str = "an identity of any operands; the letter keeps work out of the loop and rewriting from going round";

/// Whether the cases of the stable formulas still come out: value and derivative, where the naive ones are no good.
fn stays_stable(set: RuleSet, rule: &str) -> bool {
    CASES.iter().filter(|case| case.rule == rule).all(|case| {
        let g = Graph::new();
        let y = (case.formula)(g.param("x")).id();
        let mut dag = g.into_dag();
        dag.output("y", y);
        let (mut stable, _) = apply(set.rules, set.before_diff, &dag);
        let x = stable.push(Op::Param(0), Args::new(), None).expect("an input");
        let graph = Graph::from_dag(stable);
        let (_, y) = graph.outputs().remove(0);
        let slope = tapeless::diff::gradient(&graph, y.id(), &[x], None).expect("an input").by[0].id();
        let mut dag = graph.dag().clone();
        dag.output("slope", slope);
        let out = eval::outputs(&dag, &eval::Inputs { samples: 0, data: Vec::new(), params: vec![vec![case.at]] });
        close(out[0].numbers[0], case.value) && close(out[1].numbers[0], case.slope)
    })
}

#[test]
fn every_broken_rule_is_caught() {
    // Many of them fail loudly, which is as good.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut made, mut survivors) = (0, Vec::new());
    for (rules, before_diff) in [(RULES, false), (STABLE, true)] {
        for rule in rules {
            assert!(stays_stable(RuleSet { rules, compiled: &[], before_diff }, rule.name), "{}", rule.name);
        }
        for (index, rule) in rules.iter().enumerate() {
            let broken = patterns::mutants(rule.left, rule.right).into_iter().map(|right| (rule.left.to_string(), right));
            for (left, right) in broken.chain(patterns::relaxed(rule.left, rule.right)) {
                made += 1;
                let mut all: Vec<Rule> = rules.iter().map(|r| Rule { name: r.name, left: r.left, right: r.right, change: r.change }).collect();
                all[index] = Rule { name: rule.name, left: left.clone().leak(), right: right.clone().leak(), change: rule.change };
                let rules: &'static [Rule] = all.leak();
                let set = RuleSet { rules, compiled: compile(rules).leak(), before_diff };
                let tried = catch_unwind(AssertUnwindSafe(|| set.try_all(index)));
                if let Ok(Ok(tried)) = tried
                    && tried.fired > 0
                    && catch_unwind(AssertUnwindSafe(|| stays_stable(set, rule.name))).unwrap_or(false)
                {
                    survivors.push((rule.name, format!("{left} => {right}")));
                }
            }
        }
    }
    let _ = std::panic::take_hook();
    println!("{made} broken rules");
    let listed = |(name, sides): &(&str, String)| TRUE_ALL_THE_SAME.iter().any(|(n, s, _)| n == name && s == sides);
    let stale = TRUE_ALL_THE_SAME.len() - survivors.iter().filter(|s| listed(s)).count();
    survivors.retain(|s| !listed(s));
    assert!(survivors.is_empty() && stale == 0, "{} not caught, {stale} listed that are:\n{survivors:#?}", survivors.len());
}

/// The rule for `ln(sum(exp x))` over samples, written out, right and with something broken: `x - m`, and what becomes of its logarithm and `m`.
type Shifted = for<'g> fn(x: Expr<'g>, top: Expr<'g>) -> Expr<'g>;

const SHIFTS: &[(&str, Shifted)] = &[
    ("m is not added", |x, top| (x - guarded(top)).exp().sum().ln()),
    ("m is taken off again", |x, top| (x - guarded(top)).exp().sum().ln() - guarded(top)),
    ("m is the smallest", |x, _| shifted(x, guarded(x.min_samples().detach()))),
    ("m is added for each sample", |x, top| (x - guarded(top)).exp().sum().ln() + x.graph().count() * guarded(top)),
    ("m has a derivative, once", |x, top| (x - guarded(top)).exp().sum().ln() + guarded(x.max_samples())),
    ("m is not guarded", |x, top| shifted(x, top)),
    ("m is guarded by itself", |x, top| shifted(x, top.abs().lt(f64::INFINITY).select(top, top))),
    ("the guard is turned round", |x, top| shifted(x, top.abs().lt(f64::INFINITY).select(0.0, top))),
    ("the guard lets one infinity through", |x, top| shifted(x, top.lt(f64::INFINITY).select(top, 0.0))),
    ("the guard is for large numbers", |x, top| shifted(x, top.abs().lt(100.0).select(top, 0.0))),
    ("the exponents are turned round", |x, top| (guarded(top) - x).exp().sum().ln() + guarded(top)),
];

fn guarded(top: Expr<'_>) -> Expr<'_> {
    top.abs().lt(f64::INFINITY).select(top, 0.0)
}

fn shifted<'g>(x: Expr<'g>, m: Expr<'g>) -> Expr<'g> {
    (x - m).exp().sum().ln() + m
}

/// Whether value, slope and number of passes are right: at exponents of +-1000, over leaves of which some have nothing but minus infinity.
fn shift_is_right(formula: Shifted) -> bool {
    let g = Graph::new();
    let x = g.param("a") * g.data("x") + g.param("b");
    let program = formula(x, x.max_samples().detach()).compile().expect("it compiles");
    let at = |x: &[f64], value: f64| {
        let data = program.bind([("x", x)]).expect("the column fits");
        let theta = program.params([("a", 1.0), ("b", 0.0)]).expect("the parameters fit");
        let (found, grad) = data.value_and_grad(&theta).expect("it runs");
        let right = found == value || (found - value).abs() <= 1e-14 * value.abs();
        right && (!value.is_finite() || (grad.values()[1] - 1.0).abs() <= 1e-14)
    };
    let nothing = [f64::NEG_INFINITY; 4096];
    program.passes().call == 1
        && at(&[1000.0, 1000.0, -1000.0], 1000.0 + 2f64.ln())
        && at(&[-1000.0, -1000.0], -1000.0 + 2f64.ln())
        && at(&[0.0], 0.0)
        && at(&nothing[..3], f64::NEG_INFINITY)
        && at(&[&nothing[..], &[-1000.0, -1000.0]].concat(), -1000.0 + 2f64.ln())
        && at(&[1.0, f64::INFINITY], f64::INFINITY)
}

#[test]
fn every_broken_shift_is_caught() {
    assert!(shift_is_right(|x, top| shifted(x, guarded(top))) && shift_is_right(|x, _| x.exp().sum().ln()));
    let survivors: Vec<&str> = SHIFTS.iter().filter(|(_, formula)| shift_is_right(*formula)).map(|(name, _)| *name).collect();
    assert!(survivors.is_empty(), "{survivors:?}");
}
