//! Pullbacks of dense linear algebra: dense linear algebra again, so that they can be differentiated too.
//!
//! I. Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527 (2016), equations 9 and 10; M. Giles, "Collected matrix derivative results
//! for forward and reverse mode algorithmic differentiation" (2008), 2.2 and 2.3.

use crate::expr::{Expr, Graph};
use crate::graph::dense::Dense;
use crate::graph::{Arrangement, NodeId, Op};
use smallvec::SmallVec;
use std::sync::Arc;

fn push<'g>(graph: &'g Graph, op: Dense, operands: &[Expr<'g>]) -> Expr<'g> {
    let ids: SmallVec<[NodeId; 2]> = operands.iter().map(|e| e.id()).collect();
    graph.node(graph.push_op(Op::Dense(op), &ids))
}

/// The lower triangle with its diagonal multiplied by a half (or as it is), zero above.
fn lower<'g>(x: Expr<'g>, halved: bool) -> Expr<'g> {
    if !halved {
        return x.tril();
    }
    // Three numbers, and an arrangement of them: 0 above the diagonal, a half on it, 1 below.
    let graph = x.graph();
    let (one, half) = (graph.constant(1.0), graph.constant(0.5));
    let n = *x.shape().dims().last().expect("a matrix");
    let sources = (0..n * n)
        .map(|k| match (k / n).cmp(&(k % n)) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some((1, 0)),
            std::cmp::Ordering::Greater => Some((0, 0)),
        })
        .collect();
    let mask = Op::Arrange(Arc::new(Arrangement { dims: smallvec::smallvec![n, n], sources }));
    let mask = graph.node(graph.push_op(mask, &[one.id(), half.id()]));
    // Selected, not multiplied: what is above may be infinite.
    mask.eq(0.0).select(0.0, x * mask)
}

/// The contribution to each operand, given the answer and its adjoint, of the answer's shape.
pub(super) fn pullback<'g>(op: Dense, operands: &[Expr<'g>], answer: Expr<'g>, d: Expr<'g>) -> SmallVec<[Expr<'g>; 3]> {
    let graph = answer.graph();
    match op {
        Dense::Cholesky => {
            // S = L^-T P L^-1 with P = tril(L^T d), its diagonal halved; only the lower triangle of A is read, so it gets what both would.
            let p = lower(push(graph, Dense::Matmul, &[answer.transpose(), d.tril()]), true);
            let q = push(graph, Dense::SolveLowerTransposed, &[answer, p]);
            let s = push(graph, Dense::SolveLowerTransposed, &[answer, q.transpose()]);
            smallvec::smallvec![lower(s + s.transpose(), true)]
        }
        Dense::SolveLower => {
            let b = push(graph, Dense::SolveLowerTransposed, &[operands[0], d]);
            let l = -push(graph, Dense::Matmul, &[b, answer.transpose()]);
            smallvec::smallvec![lower(l, false), b]
        }
        Dense::SolveLowerTransposed => {
            let b = push(graph, Dense::SolveLower, &[operands[0], d]);
            let l = -push(graph, Dense::Matmul, &[answer, b.transpose()]);
            smallvec::smallvec![lower(l, false), b]
        }
        Dense::Matmul => {
            let left = push(graph, Dense::Matmul, &[d, operands[1].transpose()]);
            smallvec::smallvec![left, push(graph, Dense::Matmul, &[operands[0].transpose(), d])]
        }
    }
}
