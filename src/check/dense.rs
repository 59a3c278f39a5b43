//! Dense linear algebra backwards, for the checker: the loops of the factorisation and of substitution run in reverse, one scalar operation after
//! the other, where differentiation uses the matrix formulas. Its doubt is what it changes by when its operands are nudged.
//!
//! S. P. Smith, "Differentiation of the Cholesky algorithm", Journal of Computational and Graphical Statistics 4 (1995) 134-147.

use super::local::Doubtful;
use crate::graph::dense::Dense;
use crate::graph::eval::Value;
use crate::graph::{Dag, NodeId, Op};

/// The operands' roundings, and those of the operation, change a result by this many times what one nudge does.
const CARE: f64 = 16.0;

/// The adjoint of each operand, given the operands, the answer and its adjoint, for one matrix.
fn reverse(op: Dense, a: &[f64], b: &[f64], y: &[f64], d: &[f64], [rows, inner, columns]: [usize; 3]) -> [Vec<f64>; 2] {
    let (mut to_a, mut to_b) = (vec![0.0; a.len()], vec![0.0; b.len()]);
    match op {
        Dense::Matmul => {
            for i in 0..rows {
                for k in 0..inner {
                    for j in 0..columns {
                        to_a[i * inner + k] += d[i * columns + j] * b[k * columns + j];
                        to_b[k * columns + j] += a[i * inner + k] * d[i * columns + j];
                    }
                }
            }
        }
        Dense::Cholesky => {
            let n = rows;
            for i in 0..n {
                to_a[i * n..=i * n + i].copy_from_slice(&d[i * n..=i * n + i]);
            }
            for i in (0..n).rev() {
                for j in (0..=i).rev() {
                    let root = y[j * n + j];
                    if i == j {
                        to_a[i * n + i] *= 0.5 / root;
                    } else {
                        to_a[i * n + j] /= root;
                        to_a[j * n + j] -= to_a[i * n + j] * y[i * n + j];
                    }
                    let f = to_a[i * n + j];
                    for k in (0..j).rev() {
                        to_a[i * n + k] -= f * y[j * n + k];
                        to_a[j * n + k] -= f * y[i * n + k];
                    }
                }
            }
        }
        // x_i = (b_i - sum_j t_ij x_j) / t_ii, in the order of rows that makes the x_j known.
        Dense::SolveLower | Dense::SolveLowerTransposed => {
            let n = rows;
            let at = |i: usize, j: usize| if op == Dense::SolveLower { i * n + j } else { j * n + i };
            let mut x = d.to_vec();
            let order: Vec<usize> = if op == Dense::SolveLower { (0..n).collect() } else { (0..n).rev().collect() };
            for (k, i) in order.iter().enumerate().rev() {
                for c in 0..columns {
                    let r = x[i * columns + c] / a[at(*i, *i)];
                    to_b[i * columns + c] = r;
                    to_a[at(*i, *i)] -= r * y[i * columns + c];
                    for j in &order[..k] {
                        to_a[at(*i, *j)] -= r * y[j * columns + c];
                        x[j * columns + c] -= a[at(*i, *j)] * r;
                    }
                }
            }
        }
    }
    [to_a, to_b]
}

/// Numbers moved up or down by their own doubt, or by their last rounding.
fn nudged(x: &[f64], doubt: impl Fn(usize) -> f64, seed: usize) -> Vec<f64> {
    let side = |k: usize| if (k.wrapping_add(seed).wrapping_mul(0x9e37_79b9) >> 7) & 1 == 0 { 1.0 } else { -1.0 };
    x.iter().enumerate().map(|(k, x)| x + side(k) * doubt(k).max(f64::EPSILON * x.abs())).collect()
}

fn matrices(op: Dense, dag: &Dag, id: NodeId) -> [usize; 3] {
    let shapes: Vec<_> = dag.node(id).args.iter().map(|a| dag.shape(*a)).collect();
    op.sizes(&shapes)
}

/// One operation on one matrix, from its operands.
fn forward(op: Dense, a: &[f64], b: &[f64], sizes: [usize; 3]) -> Vec<f64> {
    let mut out = vec![0.0; sizes[0] * sizes[2]];
    op.run(a, b, &mut out, sizes);
    out
}

/// What the roundings of the operands and of the operation can have done to each number of its answer.
pub(super) fn errors(op: Dense, dag: &Dag, values: &[Value], held: &[Vec<f64>], id: NodeId) -> Vec<f64> {
    let node = dag.node(id);
    let sizes @ [rows, inner, columns] = matrices(op, dag, id);
    let y = &values[id.index()].numbers;
    let mut out = vec![0.0; y.len()];
    let part = |k: usize, m: usize, size: usize| match node.args.get(k) {
        Some(a) => (&values[a.index()].numbers[m * size..][..size], &held[a.index()][m * size..][..size]),
        None => (&[][..], &[][..]),
    };
    let right = if op == Dense::Matmul { inner * columns } else { rows * columns };
    for m in 0..y.len() / (rows * columns) {
        let ((a, ea), (b, eb)) = (part(0, m, rows * inner), part(1, m, right));
        for seed in 0..3 {
            let moved = forward(op, &nudged(a, |k| ea[k], seed), &nudged(b, |k| eb[k], seed + 7), sizes);
            for (k, moved) in moved.iter().enumerate() {
                let change = CARE * (moved - y[m * rows * columns + k]).abs();
                let error = &mut out[m * rows * columns + k];
                *error = if change.is_nan() { f64::INFINITY } else { error.max(change) };
            }
        }
    }
    out
}

/// The adjoint of one operand, with its doubt. `held` has the errors of the values, if they are known.
pub(super) fn pull(op: Dense, dag: &Dag, values: &[Value], held: Option<&[Vec<f64>]>, id: NodeId, operand: usize, d: &[Doubtful]) -> Vec<Doubtful> {
    let node = dag.node(id);
    let sizes @ [rows, inner, columns] = matrices(op, dag, id);
    let size = rows * columns;
    let right = if op == Dense::Matmul { inner * columns } else { size };
    let part = |k: usize, m: usize, size: usize| node.args.get(k).map_or(&[][..], |a| &values[a.index()].numbers[m * size..][..size]);
    let doubt = |k: usize, m: usize, size: usize, at: usize| {
        let held = held.zip(node.args.get(k)).map(|(held, a)| held[a.index()][m * size + at]);
        held.unwrap_or(0.0)
    };
    let mut out = Vec::new();
    for m in 0..d.len() / size {
        let (a, b) = (part(0, m, rows * inner), part(1, m, right));
        let d = &d[m * size..][..size];
        let given: Vec<f64> = d.iter().map(|d| d.value).collect();
        let y = &values[id.index()].numbers[m * size..][..size];
        let here = &reverse(op, a, b, y, &given, sizes)[operand];
        let mut doubts = vec![0.0f64; here.len()];
        for seed in 0..3 {
            let (na, nb) = (nudged(a, |k| doubt(0, m, rows * inner, k), seed), nudged(b, |k| doubt(1, m, right, k), seed + 7));
            let nd = nudged(&given, |k| d[k].doubt, seed + 13);
            let there = &reverse(op, &na, &nb, &forward(op, &na, &nb, sizes), &nd, sizes)[operand];
            for (doubt, (here, there)) in doubts.iter_mut().zip(here.iter().zip(there)) {
                let change = CARE * (here - there).abs();
                *doubt = if change.is_nan() { f64::INFINITY } else { doubt.max(change) };
            }
        }
        // Entries are sums of many products: what cancels leaves the roundings of the largest.
        let largest = here.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        out.extend(here.iter().zip(doubts).map(|(x, doubt)| Doubtful { value: *x, doubt: doubt + 4.0 * f64::EPSILON * largest }));
    }
    out
}

/// The operation of a node, if it is one of these.
pub(super) fn of(op: &Op) -> Option<Dense> {
    match op {
        Op::Dense(op) => Some(*op),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each entry of the adjoint against a difference of `sum(d y)`.
    #[test]
    fn reversed_loops_agree_with_differences() {
        let number = |k: usize| ((k as f64 + 0.5) * 0.618_033_988_749_895).fract() - 0.5;
        let (n, width) = (4, 3);
        let b: Vec<f64> = (0..n * width).map(|k| number(5 * k + 2)).collect();
        for op in Dense::ALL {
            let columns = if op == Dense::Cholesky { n } else { width };
            let sizes = [n, n, columns];
            let a: Vec<f64> = (0..n * n).map(|k| 0.3 * number(k.min(k % n * n + k / n)) + if k / n == k % n { 2.0 } else { 0.0 }).collect();
            let d: Vec<f64> = (0..n * columns).map(|k| number(3 * k + 1)).collect();
            let value = |a: &[f64], b: &[f64]| forward(op, a, b, sizes).iter().zip(&d).map(|(y, d)| y * d).sum::<f64>();
            let found = reverse(op, &a, &b, &forward(op, &a, &b, sizes), &d, sizes);
            for (operand, x) in [&a, &b].into_iter().enumerate().take(op.arity()) {
                for k in 0..x.len() {
                    let at = |h: f64| {
                        let mut moved = x.clone();
                        moved[k] += h;
                        if operand == 0 { value(&moved, &b) } else { value(&a, &moved) }
                    };
                    let slope = (8.0 * (at(1e-3) - at(-1e-3)) - (at(2e-3) - at(-2e-3))) / 0.012;
                    assert!((found[operand][k] - slope).abs() <= 1e-9, "{op:?} {operand} {k}: {} {slope}", found[operand][k]);
                }
            }
        }
    }
}
