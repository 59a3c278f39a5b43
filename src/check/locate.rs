//! Finding the operation at fault: each contribution that differentiation recorded is held against differences of its own operation,
//! on the first samples, with the oracle's numbers.

use super::local::{Doubtful, pull, slope};
use super::ridders::NOTHING;
use super::{Culprit, Fault};
use crate::diff::Outgoing;
use crate::graph::eval::{Value, eval, exact};
use crate::graph::{Dag, Op};
use crate::real::Real;
use crate::runtime::params::{Grad, Params};
use crate::runtime::program::Bound;
use crate::shape::broadcast_index;
use smallvec::SmallVec;

/// Samples looked at, where values are small.
const PROBE: usize = 64;
/// Numbers of one node looked at.
const NUMBERS: usize = 1 << 15;
/// A local derivative off by more than this fraction is at fault.
const OFF: f64 = 1e-6;
/// What a number that was computed may be off by.
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// A number that was computed. Below the normal range it may be off by as much as the least number in it; one that is 0 may have underflowed.
fn computed(value: f64) -> Doubtful {
    Doubtful { value, doubt: ROUNDING * value.abs().max(f64::MIN_POSITIVE) }
}

/// The operation whose contribution is most wrong, if any is.
pub(super) fn culprit<T: Real>(bound: &Bound<'_, T>, theta: &Params<T>) -> Option<Culprit> {
    let compiled = &bound.compiled;
    let derived = &compiled.derived;
    let largest = compiled.contributions.iter().map(|c| derived.shape(c.node).entries()).max().unwrap_or(1);
    let probe = bound.inputs(theta, (NUMBERS / largest).clamp(1, PROBE));
    let values = eval(derived, &probe, exact);
    let mut worst: Option<Culprit> = None;
    for c in &compiled.contributions {
        // The adjoint that came in, over the node's full shape.
        let node = derived.node(c.node);
        let rows = if node.shape.varies_over_samples() { probe.samples } else { 1 };
        let mut d = vec![Doubtful::default(); node.shape.entries() * rows];
        for (seed, coefficient) in &c.incoming {
            let index = broadcast_index(derived.shape(*coefficient).dims(), node.shape.dims());
            let seed_index = seed.map(|s| broadcast_index(derived.shape(s).dims(), node.shape.dims()));
            for (e, from) in index.iter().enumerate() {
                for i in 0..rows {
                    let coefficient = values[coefficient.index()].at(*from, i);
                    let seed = seed.map_or(1.0, |s| values[s.index()].at(seed_index.as_ref().map_or(0, |t| t[e]), 0));
                    // Terms may cancel: what is left is as good as they were.
                    if coefficient != 0.0 {
                        d[e * rows + i].add(computed(seed * coefficient));
                    }
                }
            }
        }
        let operand = node.args[c.operand];
        let Some(expected) = expected(derived, &values, c.node, c.operand, &d, rows) else { continue };
        // What differentiation made of it.
        let shape = derived.shape(operand);
        let operand_rows = if shape.varies_over_samples() { probe.samples } else { 1 };
        let mut found = vec![Doubtful::default(); shape.entries() * operand_rows];
        for outgoing in c.outgoing.iter().flatten() {
            match outgoing {
                Outgoing::Whole(id) => {
                    let index = broadcast_index(derived.shape(*id).dims(), shape.dims());
                    for (e, from) in index.iter().enumerate() {
                        for i in 0..operand_rows {
                            found[e * operand_rows + i].add(computed(values[id.index()].at(*from, i)));
                        }
                    }
                }
                // Not summed over the samples yet, where the operand has none.
                Outgoing::Placed(id, places) => {
                    for (from, e) in places.iter() {
                        for i in 0..rows {
                            found[*e as usize * operand_rows + i % operand_rows].add(computed(values[id.index()].at(*from as usize, i)));
                        }
                    }
                }
            }
        }
        for (Doubtful { value: want, doubt }, Doubtful { value: got, doubt: more }) in expected.iter().zip(&found) {
            // What isn't a number where one is expected is as wrong as can be.
            let doubt = doubt + if more.is_finite() { *more } else { 0.0 };
            let off = if got.is_finite() { ((want - got).abs() - 20.0 * doubt - NOTHING) / want.abs().max(got.abs()) } else { f64::INFINITY };
            let certain = want.is_finite() && doubt.is_finite();
            if certain && off > OFF && worst.as_ref().is_none_or(|w| off > w.relative_error) {
                worst = Some(Culprit { op: crate::diff::op_name(&node.op).into(), place: node.place, operand: c.operand, relative_error: off });
            }
        }
    }
    worst
}

/// The contribution an operation should make to one operand; `None` where the operation has nothing local to check.
fn expected(dag: &Dag, values: &[Value], id: crate::graph::NodeId, operand: usize, d: &[Doubtful], rows: usize) -> Option<Vec<Doubtful>> {
    let node = dag.node(id);
    let tables: Vec<Vec<usize>> = match node.op {
        Op::Elem(_) => node.args.iter().map(|a| broadcast_index(dag.shape(*a).dims(), node.shape.dims())).collect(),
        _ => Vec::new(),
    };
    pull(dag, values, id, operand, d, rows, |e, i| {
        let Op::Elem(op) = node.op else { unreachable!("only an elementwise operation has slopes") };
        let mut x: SmallVec<[f64; 3]> = node.args.iter().zip(&tables).map(|(a, t)| values[a.index()].at(t[e], i)).collect();
        slope(op, &mut x, operand)
    })
}

/// Where a wrong component comes from when every operation's own derivative is right. `reference` is the gradient of the formula.
pub(super) fn stage<T: Real>(bound: &Bound<'_, T>, theta: &Params<T>, grad: &Grad<T>, reference: &[f64]) -> Fault {
    let compiled = &bound.compiled;
    // The same samples for both graphs, so that their oracles can be held against each other.
    let Some(plan) = &compiled.gradient else { return Fault::Unknown };
    let all = bound.inputs(theta, usize::MAX);
    let gradients = |dag: &Dag| -> Vec<f64> {
        let values = eval(dag, &all, exact);
        dag.outputs()[1..].iter().flat_map(|(_, id)| values[id.index()].numbers.clone()).collect()
    };
    let (plain, simplified) = (gradients(&compiled.derived), gradients(&plan.dag));
    let scale = plain.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let tolerance = scale * if T::DOUBLE { 1e-8 } else { 1e-3 };
    let differ = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > tolerance || a.is_nan() != b.is_nan());
    let program: Vec<f64> = grad.values().iter().map(|x| x.to_f64()).collect();
    if differ(&plain, &simplified) {
        Fault::Simplifier
    } else if differ(&simplified, &program) {
        Fault::Kernels
    } else if differ(&plain, reference) {
        Fault::Differentiation
    } else {
        Fault::Unknown
    }
}
