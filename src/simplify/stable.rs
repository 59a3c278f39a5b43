//! The one stability rule that no pattern can write: the logarithm of a sum of exponentials over dimensions, shifted by its largest exponent.
//! A sum over samples is left alone: its largest exponent would take a pass of its own (`log_sum_exp_samples` does that when asked).

use super::Builder;
use crate::graph::{Args, Axis, Bits, Fold, NodeId, Op};
use crate::op::Elem;

impl Builder<'_> {
    /// `ln` of sums over dimensions of `exp(x)`: `ln(sum(exp(x - m))) + m` with `m` the largest `x` (0 where that is not
    /// finite), detached, because what is taken off is added again.
    pub(super) fn shift_exponents(&mut self, sum: NodeId) -> Option<NodeId> {
        // From the logarithm down: the reductions and reshapes passed.
        let mut tower = Vec::new();
        let mut at = sum;
        loop {
            let node = self.dag.node(at);
            match node.op {
                Op::Reduce(Fold::Sum, Axis::Dim(_)) | Op::Reshape(_) => {
                    tower.push(node.op.clone());
                    at = node.args[0];
                }
                _ => break,
            }
        }
        let exponents = self.dag.node(at);
        // A reshape below a reduction over a dimension changes what the axes mean: leave such a formula as it is.
        let first_reshape = tower.iter().rposition(|op| matches!(op, Op::Reshape(_))).unwrap_or(0);
        let sound = tower[..first_reshape].iter().all(|op| !matches!(op, Op::Reduce(_, Axis::Dim(_))));
        let reduces = tower.iter().any(|op| matches!(op, Op::Reduce(..)));
        if exponents.op != Op::Elem(Elem::Exp) || !reduces || !sound {
            return None;
        }
        let x = exponents.args[0];
        if self.is_shifted(x) {
            return None;
        }
        let one = |a: NodeId| -> Args { smallvec::smallvec![a] };
        // The largest exponent, its reduced dimensions kept at extent 1.
        let mut top = x;
        for op in tower.iter().rev() {
            if let Op::Reduce(_, axis) = op {
                top = self.push(Op::Reduce(Fold::Max, *axis), one(top));
            }
        }
        let top = self.push(Op::Detach, one(top));
        let size = self.push(Op::Elem(Elem::Abs), one(top));
        let infinity = self.push(Op::Const(Bits::from(f64::INFINITY)), Args::new());
        let zero = self.push(Op::Const(Bits::from(0.0)), Args::new());
        let finite = self.push(Op::Elem(Elem::Lt), smallvec::smallvec![size, infinity]);
        let shift = self.push(Op::Elem(Elem::Select), smallvec::smallvec![finite, top, zero]);
        let shifted = self.push(Op::Elem(Elem::Sub), smallvec::smallvec![x, shift]);
        let mut total = self.push(Op::Elem(Elem::Exp), one(shifted));
        for op in tower.into_iter().rev() {
            total = self.push(op, one(total));
        }
        let ln = self.push(Op::Elem(Elem::Ln), one(total));
        let dims = self.dag.shape(ln).dims().into();
        let shift = if self.dag.shape(shift).dims() == self.dag.shape(ln).dims() { shift } else { self.push(Op::Reshape(dims), one(shift)) };
        *self.counts.last_mut().expect("the last count is this rule's") += 1;
        Some(self.push(Op::Elem(Elem::Add), smallvec::smallvec![ln, shift]))
    }

    /// `x - m` where `m` was made from a detached value: shifted already, by this rule or by `log_sum_exp`.
    fn is_shifted(&self, x: NodeId) -> bool {
        let node = self.dag.node(x);
        if node.op != Op::Elem(Elem::Sub) {
            return false;
        }
        let mut m = node.args[1];
        loop {
            let node = self.dag.node(m);
            m = match node.op {
                Op::Detach => return true,
                Op::Reshape(_) | Op::Broadcast(_) => node.args[0],
                Op::Elem(Elem::Select) => node.args[1],
                _ => return false,
            };
        }
    }
}
