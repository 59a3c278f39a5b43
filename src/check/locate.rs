//! Finding the operation at fault: each contribution that differentiation recorded is held against finite differences of its own operation,
//! on the first samples, with the oracle's numbers.

use super::{Culprit, Fault, ridders};
use crate::graph::eval::{Value, eval, exact};
use crate::graph::{Axis, Dag, Fold, NodeId, Op};
use crate::op::Elem;
use crate::real::Real;
use crate::runtime::params::{Grad, Params};
use crate::runtime::program::Bound;
use crate::shape::broadcast_index;

/// Samples looked at.
const PROBE: usize = 64;
/// A local derivative off by more than this fraction is at fault.
const OFF: f64 = 1e-6;

/// Where the error is.
pub(super) fn fault<T: Real>(bound: &Bound<'_, T>, theta: &Params<T>, grad: &Grad<T>) -> Fault {
    let compiled = &bound.compiled;
    let derived = &compiled.derived;
    let probe = bound.inputs(theta, PROBE);
    let values = eval(derived, &probe, exact);
    let mut worst: Option<Culprit> = None;
    for c in &compiled.contributions {
        let incoming = c.incoming.iter().map(|(seed, coefficient)| (seed.map(|s| &values[s.index()]), &values[coefficient.index()], *coefficient, *seed));
        // The adjoint that came in, over the node's full shape.
        let node = derived.node(c.node);
        let rows = if node.shape.varies_over_samples() { probe.samples } else { 1 };
        let mut d = vec![0.0; node.shape.entries() * rows];
        for (seed, coefficient, id, seed_id) in incoming {
            let index = broadcast_index(derived.shape(id).dims(), node.shape.dims());
            let seed_index = seed_id.map(|s| broadcast_index(derived.shape(s).dims(), node.shape.dims()));
            for (e, from) in index.iter().enumerate() {
                for i in 0..rows {
                    let seed = seed.map_or(1.0, |s| s.at(seed_index.as_ref().map_or(0, |t| t[e]), 0));
                    d[e * rows + i] += seed * coefficient.at(*from, i);
                }
            }
        }
        let operand = node.args[c.operand];
        let Some(expected) = pull(derived, &values, c.node, c.operand, &d, rows) else { continue };
        // What differentiation made of it.
        let shape = derived.shape(operand);
        let operand_rows = if shape.varies_over_samples() { probe.samples } else { 1 };
        let mut found = vec![0.0; shape.entries() * operand_rows];
        for id in c.outgoing.iter().flatten() {
            let index = broadcast_index(derived.shape(*id).dims(), shape.dims());
            for (e, from) in index.iter().enumerate() {
                for i in 0..operand_rows {
                    found[e * operand_rows + i] += values[id.index()].at(*from, i);
                }
            }
        }
        for ((want, doubt), got) in expected.iter().zip(&found) {
            let size = want.abs().max(got.abs());
            let off = ((want - got).abs() - 20.0 * doubt) / size;
            if off > OFF && worst.as_ref().is_none_or(|w| off > w.relative_error) {
                worst = Some(Culprit { op: crate::diff::op_name(&node.op).into(), place: node.place, operand: c.operand, relative_error: off });
            }
        }
    }
    if let Some(culprit) = worst {
        return Fault::Operation(culprit);
    }
    // The same samples for both graphs, so that their oracles can be held against each other.
    let Some(plan) = &compiled.gradient else { return Fault::Unknown };
    let all = bound.inputs(theta, usize::MAX);
    let gradients = |dag: &Dag| -> Vec<f64> {
        let values = eval(dag, &all, exact);
        dag.outputs()[1..].iter().flat_map(|(_, id)| values[id.index()].numbers.clone()).collect()
    };
    let (plain, simplified) = (gradients(derived), gradients(&plan.dag));
    let scale = plain.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let tolerance = scale * if T::DOUBLE { 1e-8 } else { 1e-3 };
    let differ = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > tolerance);
    let program: Vec<f64> = grad.values().iter().map(|x| x.to_f64()).collect();
    if differ(&plain, &simplified) {
        Fault::Simplifier
    } else if differ(&simplified, &program) {
        Fault::Kernels
    } else {
        Fault::Unknown
    }
}

/// The contribution an operation should make to one operand, each number with its doubt; `None` where the operation has nothing local to check.
fn pull(dag: &Dag, values: &[Value], id: NodeId, operand: usize, d: &[f64], rows: usize) -> Option<Vec<(f64, f64)>> {
    let node = dag.node(id);
    let from = dag.shape(node.args[operand]);
    let from_rows = if from.varies_over_samples() { rows.max(values[node.args[operand].index()].rows) } else { 1 };
    let mut out = vec![(0.0, 0.0); from.entries() * from_rows];
    let held = &values[node.args[operand].index()];
    match &node.op {
        Op::Elem(op) => {
            let tables: Vec<Vec<usize>> = node.args.iter().map(|a| broadcast_index(dag.shape(*a).dims(), node.shape.dims())).collect();
            for e in 0..node.shape.entries() {
                for i in 0..rows {
                    let mut x: Vec<f64> = node.args.iter().zip(&tables).map(|(a, t)| values[a.index()].at(t[e], i)).collect();
                    let (slope, doubt) = slope(*op, &mut x, operand);
                    let to = &mut out[tables[operand][e] * from_rows + if from_rows == 1 { 0 } else { i }];
                    let d = d[e * rows + i];
                    // An adjoint of zero passes nothing on, whatever the slope.
                    if d != 0.0 {
                        to.0 += d * slope;
                        to.1 += (d * doubt).abs();
                    }
                }
            }
        }
        Op::Broadcast(to) => {
            for (e, source) in broadcast_index(from.dims(), to.dims()).into_iter().enumerate() {
                for i in 0..rows {
                    out[source * from_rows + if from_rows == 1 { 0 } else { i }].0 += d[e * rows + i];
                }
            }
        }
        Op::Reshape(_) => {
            for (o, d) in out.iter_mut().zip(d) {
                o.0 = *d;
            }
        }
        Op::Arrange(a) => {
            for (e, source) in a.sources.iter().enumerate() {
                if let Some((k, from_entry)) = source
                    && *k as usize == operand
                {
                    for i in 0..rows {
                        out[*from_entry as usize * from_rows + if from_rows == 1 { 0 } else { i }].0 += d[e * rows + i];
                    }
                }
            }
        }
        Op::Reduce(fold, axis) => {
            let table = broadcast_index(node.shape.dims(), from.dims());
            let answer = &values[id.index()];
            let hit = |e: usize, i: usize| *fold == Fold::Sum || held.at(e, i) == answer.at(table[e], i);
            for e in 0..from.entries() {
                for i in 0..from_rows {
                    let ties = match (fold, axis) {
                        (Fold::Sum, _) => 1,
                        (_, Axis::Samples) => (0..from_rows).filter(|j| hit(e, *j)).count(),
                        (_, Axis::Dim(_)) => (0..from.entries()).filter(|o| table[*o] == table[e] && hit(*o, i)).count(),
                    };
                    let d = d[table[e] * rows + if rows == 1 { 0 } else { i }];
                    if hit(e, i) {
                        out[e * from_rows + i].0 = d / ties as f64;
                    }
                }
            }
        }
        Op::Gather | Op::SumBy(_) => {
            if operand == 1 {
                return None;
            }
            let labels = &values[node.args[1].index()];
            let gathers = node.op == Op::Gather;
            let width = if gathers { node.shape.entries() } else { from.entries() };
            for e in 0..width {
                for i in 0..labels.numbers.len() {
                    let group = labels.at(0, i) as usize * width + e;
                    if gathers {
                        out[group].0 += d[e * rows + i];
                    } else {
                        out[e * from_rows + i].0 += d[group];
                    }
                }
            }
        }
        // A detached value passes nothing on, on purpose.
        Op::Const(_) | Op::Data(_) | Op::Param(_) | Op::Count | Op::Detach => return None,
    }
    Some(out)
}

/// The derivative of one operation by one operand, by differences.
fn slope(op: Elem, x: &mut [f64], operand: usize) -> (f64, f64) {
    let center = x[operand];
    let found = ridders::derivative(center, |at| {
        x[operand] = at;
        op.value(x)
    });
    x[operand] = center;
    if found.value.is_finite() && found.error.is_finite() { (found.value, found.error) } else { (0.0, f64::INFINITY) }
}
