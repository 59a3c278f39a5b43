//! Breaks what differentiation and the simplifier hold true, one place at a time, without building anything again, and asks the checks that the
//! other tests use whether they notice. A break that nothing notices is listed here with the reason why it is none.

mod mutants;

use mutants::formula::formula;
use mutants::pullbacks;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tapeless::check::{self, Fault};
use tapeless::diff::Defect;
use tapeless::op::Elem;
use tapeless::prelude::*;

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
    survivors.retain(|s| !EQUIVALENT.iter().any(|(op, what, _)| *s == format!("{op}: {what}")));
    assert!(survivors.is_empty() && unnamed.is_empty(), "not caught:\n{}\nnot named:\n{}", survivors.join("\n"), unnamed.join("\n"));
}
