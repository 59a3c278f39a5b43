//! The stability rules that no pattern can write: the logarithm of a sum of exponentials, over dimensions (`ln_sum_exp`) or over samples too
//! (`ln_sum_exp_samples`), shifted by its largest exponent.
//!
//! Over samples the largest exponent is a reduction of its own; the scheduler sees the two belong together and gives them one pass
//! (`schedule/relative.rs`).

use super::Builder;
use crate::graph::{Args, Axis, Bits, Fold, NodeId, Op};
use crate::op::Elem;

/// Their names in statistics.
pub(super) const OVER_DIMENSIONS: &str = "ln_sum_exp";
pub(super) const OVER_SAMPLES: &str = "ln_sum_exp_samples";

/// Factors passed at most: which side of a product has the sum is found by trying both.
const MOST_FACTORS: usize = 4;

/// What lies between the logarithm and the exponentials.
enum Layer {
    /// A sum or a reshape.
    Moved(Op),
    /// A product with, or a quotient by, a value that all terms share: the other operand, and which operand the terms are.
    Factor(Elem, NodeId, usize),
}

impl Builder<'_> {
    /// `ln` of sums of `exp(x)`: `ln(sum(exp(x - m))) + m` with `m` the largest `x` (0 where that is not finite), detached, because what is taken
    /// off is added again. Factors that all terms share, as a mean's, stay where they are.
    pub(super) fn shift_exponents(&mut self, sum: NodeId) -> Option<NodeId> {
        let (tower, x) = self.tower(sum)?;
        if self.is_shifted(x) {
            return None;
        }
        let one = |a: NodeId| -> Args { smallvec::smallvec![a] };
        // The largest exponent, its reduced dimensions kept at extent 1.
        let mut top = x;
        for layer in tower.iter().rev() {
            if let Layer::Moved(Op::Reduce(_, axis)) = layer {
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
        let over_samples = tower.iter().any(|layer| matches!(layer, Layer::Moved(Op::Reduce(_, Axis::Samples))));
        for layer in tower.into_iter().rev() {
            total = match layer {
                Layer::Moved(op) => self.push(op, one(total)),
                Layer::Factor(op, other, 0) => self.push(Op::Elem(op), smallvec::smallvec![total, other]),
                Layer::Factor(op, other, _) => self.push(Op::Elem(op), smallvec::smallvec![other, total]),
            };
        }
        let ln = self.push(Op::Elem(Elem::Ln), one(total));
        let dims = self.dag.shape(ln).dims().into();
        let shift = if self.dag.shape(shift).dims() == self.dag.shape(ln).dims() { shift } else { self.push(Op::Reshape(dims), one(shift)) };
        self.counted(if over_samples { OVER_SAMPLES } else { OVER_DIMENSIONS });
        Some(self.push(Op::Elem(Elem::Add), smallvec::smallvec![ln, shift]))
    }

    /// From below the logarithm down to the exponentials: the layers passed, and the exponents. `None` if it is no such tower.
    fn tower(&self, sum: NodeId) -> Option<(Vec<Layer>, NodeId)> {
        let mut tower = Vec::new();
        let exponents = self.descend(sum, &mut tower)?;
        tower.iter().any(|layer| matches!(layer, Layer::Moved(Op::Reduce(..)))).then_some((tower, exponents))
    }

    /// One layer further down, and so on.
    fn descend(&self, at: NodeId, tower: &mut Vec<Layer>) -> Option<NodeId> {
        let node = self.dag.node(at);
        let dims_reduced = tower.iter().any(|layer| matches!(layer, Layer::Moved(Op::Reduce(_, Axis::Dim(_)))));
        match node.op {
            Op::Elem(Elem::Exp) => Some(node.args[0]),
            // A reshape below a reduction over a dimension changes what the axes mean: leave such a formula as it is.
            Op::Reshape(_) if dims_reduced => None,
            Op::Reduce(Fold::Sum, _) | Op::Reshape(_) => {
                tower.push(Layer::Moved(node.op.clone()));
                self.descend(node.args[0], tower)
            }
            Op::Elem(op @ (Elem::Mul | Elem::Div)) if tower.iter().filter(|layer| matches!(layer, Layer::Factor(..))).count() < MOST_FACTORS => {
                let sides = if op == Elem::Mul { 0..2 } else { 0..1 };
                sides.into_iter().find_map(|terms| {
                    let other = node.args[1 - terms];
                    let shape = self.dag.shape(other);
                    let shared = !shape.varies_over_samples() && (shape.entries() == 1 || !dims_reduced);
                    if !shared || *self.dag.shape(node.args[terms]) != node.shape {
                        return None;
                    }
                    let passed = tower.len();
                    tower.push(Layer::Factor(op, other, terms));
                    let found = self.descend(node.args[terms], tower);
                    if found.is_none() {
                        tower.truncate(passed);
                    }
                    found
                })
            }
            _ => None,
        }
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
                Op::Arrange(_) if node.args.len() == 1 => node.args[0],
                Op::Elem(Elem::Select) => node.args[1],
                _ => return false,
            };
        }
    }
}
