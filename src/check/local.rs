//! One operation's derivative by differences of its own value, and how an adjoint goes back through any operation, written a second time and
//! without the table's pullbacks: what the library differentiates by is held against this.

use super::ridders;
use crate::graph::eval::Value;
use crate::graph::{Axis, Dag, Fold, NodeId, Op};
use crate::op::Elem;
use crate::shape::broadcast_index;

/// A number and how wrong it may be.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Doubtful {
    pub value: f64,
    pub doubt: f64,
}

impl Doubtful {
    fn certain(value: f64) -> Self {
        Doubtful { value, doubt: 0.0 }
    }

    pub(super) fn add(&mut self, other: Doubtful) {
        self.value += other.value;
        self.doubt += other.doubt;
    }

    /// The product. Nothing of zero is nothing, whatever it is multiplied by: an operand that isn't chosen may have any slope.
    pub(super) fn times(self, other: Doubtful) -> Doubtful {
        if self == Doubtful::default() || other == Doubtful::default() {
            return Doubtful::default();
        }
        let doubt = self.value.abs() * other.doubt + self.doubt * other.value.abs() + self.doubt * other.doubt;
        Doubtful { value: self.value * other.value, doubt: if doubt.is_nan() { f64::INFINITY } else { doubt } }
    }
}

/// Whether the operation is constant between jumps, where its derivative is 0 by convention.
pub(super) fn is_step(op: Elem) -> bool {
    use Elem::*;
    matches!(op, Sign | Floor | Ceil | Round | And | Or | Not | Lt | Le | Gt | Ge | Eq | Ne)
}

/// The distance from the kink of an operation made of straight pieces, by the numbers alone; `None` for other operations.
pub(super) fn from_kink(op: Elem, x: &[f64]) -> Option<f64> {
    match op {
        Elem::Abs | Elem::Relu | Elem::Select => Some(x[0].abs()),
        Elem::Min | Elem::Max => Some((x[0] - x[1]).abs()),
        _ => None,
    }
}

/// Of the operation's value, in ulp: how wrong the oracle or a program may be.
pub(super) fn roundings(op: Elem) -> f64 {
    match op {
        Elem::Neg | Elem::Abs | Elem::Min | Elem::Max | Elem::Relu | Elem::Select => 0.0,
        Elem::Add | Elem::Sub | Elem::Mul | Elem::Div | Elem::Sqrt | Elem::Pivot | Elem::Square | Elem::Recip => 1.0,
        Elem::Powi(n) => 1.0 + f64::from(n).abs().min(64.0),
        Elem::LnGamma | Elem::Digamma | Elem::Trigamma => 40.0,
        Elem::Polygamma(_) => 120.0,
        _ => 8.0,
    }
}

/// The derivative of one operation by one operand, by differences of its value. At a kink it is the mean of both sides.
pub(super) fn slope(op: Elem, x: &mut [f64], operand: usize) -> Doubtful {
    if is_step(op) {
        return Doubtful::certain(0.0);
    }
    let center = x[operand];
    if op == Elem::Select {
        let chosen = if x[0] != 0.0 { 1 } else { 2 };
        return Doubtful::certain(f64::from(operand == chosen));
    }
    let distance = from_kink(op, x);
    let mut at = |to: f64| {
        x[operand] = to;
        let y = op.value(x);
        x[operand] = center;
        y
    };
    if let Some(distance) = distance {
        // Straight up to the kink, and at the kink as far as one likes: one difference is exact but for its rounding, which is taken off.
        let h = if distance > 0.0 { 0.5 * distance } else { 1.0 };
        let (above, below) = (center + h, center - h);
        let value = (at(above) - at(below)) / (above - below);
        let nearest = (2.0 * value).round() / 2.0;
        return if (value - nearest).abs() <= 1e-3 { Doubtful::certain(nearest) } else { Doubtful { value: 0.0, doubt: f64::INFINITY } };
    }
    // A cut (the angle of the negative axis) is no slope: there a hair's breadth changes as much as a thousand.
    let hair = 1e-12 * center.abs().max(1.0);
    let mut across = |breadth: f64| {
        let (above, below) = (at(center + breadth), at(center - breadth));
        ((above - below).abs(), above.abs().max(below.abs()))
    };
    let ((near, size), (far, _)) = (across(hair), across(1e3 * hair));
    if near > 0.5 * far && near > 16.0 * f64::EPSILON * roundings(op) * size {
        return Doubtful { value: 0.0, doubt: f64::INFINITY };
    }
    let found = ridders::refined(center, &ridders::LOCAL_STEPS, 0.5 * f64::EPSILON * roundings(op).max(1.0), &mut at);
    if found.value == 0.0 && found.error <= ridders::NOTHING {
        // Certain, so that nothing passes through it.
        Doubtful::certain(0.0)
    } else if found.value.is_finite() && found.error.is_finite() {
        Doubtful { value: found.value, doubt: found.error }
    } else {
        Doubtful { value: 0.0, doubt: f64::INFINITY }
    }
}

/// What a node contributes to one operand's adjoint, given its own adjoint `d` (entry by entry, `rows` numbers each); `slope(e, i)` is the
/// derivative of an elementwise operation by that operand at entry `e` and sample `i`. `None` for an input, which has no operand.
pub(super) fn pull(
    dag: &Dag,
    values: &[Value],
    id: NodeId,
    operand: usize,
    d: &[Doubtful],
    rows: usize,
    mut slope: impl FnMut(usize, usize) -> Doubtful,
) -> Option<Vec<Doubtful>> {
    let node = dag.node(id);
    let from = dag.shape(node.args[operand]);
    // Of no samples none, also where what is made of them is one number.
    let from_rows = values[node.args[operand].index()].rows;
    let mut out = vec![Doubtful::default(); from.entries() * from_rows];
    let held = &values[node.args[operand].index()];
    let row = |i: usize| if from_rows == 1 { 0 } else { i };
    match &node.op {
        Op::Elem(_) => {
            let table = broadcast_index(from.dims(), node.shape.dims());
            for e in 0..node.shape.entries() {
                for i in 0..rows {
                    let d = d[e * rows + i];
                    // An adjoint of zero passes nothing on, whatever the slope.
                    if d != Doubtful::default() {
                        out[table[e] * from_rows + row(i)].add(d.times(slope(e, i)));
                    }
                }
            }
        }
        Op::Broadcast(to) => {
            for (e, source) in broadcast_index(from.dims(), to.dims()).into_iter().enumerate() {
                for i in 0..rows {
                    out[source * from_rows + row(i)].add(d[e * rows + i]);
                }
            }
        }
        Op::Reshape(_) => out.copy_from_slice(d),
        Op::Arrange(a) => {
            for (e, source) in a.sources.iter().enumerate() {
                if let Some((k, from_entry)) = source
                    && *k as usize == operand
                {
                    for i in 0..rows {
                        out[*from_entry as usize * from_rows + row(i)].add(d[e * rows + i]);
                    }
                }
            }
        }
        Op::Reduce(fold, axis) => {
            let table = broadcast_index(node.shape.dims(), from.dims());
            let answer = &values[id.index()];
            let hit = |e: usize, i: usize| *fold == Fold::Sum || held.at(e, i) == answer.at(table[e], i);
            // How many share, for each entry and sample of the answer.
            let mut sharing = vec![0usize; node.shape.entries() * rows];
            let place = |e: usize, i: usize| table[e] * rows + if rows == 1 { 0 } else { i };
            for e in 0..from.entries() {
                for i in (0..from_rows).filter(|i| hit(e, *i)) {
                    sharing[place(e, i)] += 1;
                }
            }
            let sums_samples = *axis == Axis::Samples;
            for e in 0..from.entries() {
                for i in (0..from_rows).filter(|i| hit(e, *i)) {
                    let at = place(e, if sums_samples { 0 } else { i });
                    let share = if *fold == Fold::Sum { 1.0 } else { 1.0 / sharing[at] as f64 };
                    out[e * from_rows + i] = d[at].times(Doubtful::certain(share));
                }
            }
        }
        Op::Dense(op) => return Some(super::dense::pull(*op, dag, values, None, id, operand, d)),
        // Labels have no derivative.
        Op::Gather | Op::SumBy(_) if operand == 1 => return None,
        Op::Gather | Op::SumBy(_) => {
            let labels = &values[node.args[1].index()];
            let gathers = node.op == Op::Gather;
            let width = if gathers { node.shape.entries() } else { from.entries() };
            for e in 0..width {
                for i in 0..labels.numbers.len() {
                    let group = labels.at(0, i) as usize * width + e;
                    if gathers {
                        out[group].add(d[e * rows + i]);
                    } else {
                        out[e * from_rows + i] = d[group];
                    }
                }
            }
        }
        // A detached value passes nothing on, on purpose.
        Op::Detach => {}
        Op::Const(_) | Op::Data(_) | Op::Param(_) | Op::Count => return None,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_good_wherever_the_table_draws_from_and_far_out() {
        for &op in Elem::ALL {
            for k in 0..200 {
                let unit = |j: usize| ((k as f64 + 0.37 * j as f64 + 0.5) * 0.618_033_988_749_895).fract();
                let mut x: Vec<f64> = op.ranges().iter().enumerate().map(|(j, (lo, hi))| lo + (hi - lo) * (0.001 + 0.998 * unit(j))).collect();
                // Small numbers too: a step relative to them alone would see nothing change.
                if k % 5 == 0 && op.ranges()[0].0 < 0.0 {
                    x[0] *= 1e-12;
                }
                let pulls = op.pullback(&x, op.value(&x), 1.0);
                for j in 0..x.len() {
                    let found = slope(op, &mut x, j);
                    let off = (found.value - pulls[j]).abs();
                    assert!(off <= 20.0 * found.doubt + 1e-13 * pulls[j].abs(), "{op:?} at {x:?} by {j}: {found:?} against {}", pulls[j]);
                    assert!(found.doubt <= 1e-9 * (1.0 + pulls[j].abs()), "{op:?} at {x:?} by {j}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_value_that_underflows_leaves_its_slope_in_doubt() {
        // 1e-300 * 1e-30 is 0 in f64 and its slope isn't: small steps see nothing, and must not be sure of it.
        for (op, x) in [(Elem::Mul, [1e-300, 1e-30]), (Elem::Mul, [1e-305, 1.0]), (Elem::Powi(2), [1e-170, 0.0]), (Elem::Powi(16), [1e-21, 0.0])] {
            let mut x = x[..op.arity()].to_vec();
            let pull = op.pullback(&x, op.value(&x), 1.0)[0];
            let found = slope(op, &mut x, 0);
            assert!(pull > 0.0 && (found.value - pull).abs() <= 20.0 * found.doubt + ridders::NOTHING, "{op:?} at {x:?}: {found:?} against {pull}");
        }
    }

    #[test]
    fn negative_arguments_of_the_gamma_family() {
        for op in [Elem::LnGamma, Elem::Digamma, Elem::Trigamma] {
            for k in 1..400 {
                let mut x = [-0.0131 * k as f64 - 0.003];
                let from_pole = (x[0] - x[0].round()).abs();
                let pull = op.pullback(&x, op.value(&x), 1.0)[0];
                let found = slope(op, &mut x, 0);
                let off = (found.value - pull).abs();
                assert!(off <= 20.0 * found.doubt + 1e-12 * pull.abs(), "{op:?} at {x:?}: {found:?} against {pull}");
                assert!(from_pole < 0.01 || found.doubt <= 1e-7 * (1.0 + pull.abs()), "{op:?} at {x:?}: {found:?} {pull}");
            }
        }
    }
}
