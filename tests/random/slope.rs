//! The slow twin of the gradient: central differences, extrapolated to step 0 (Ridders 1982), with an estimate of their own error.
//! Steps are kept so short that no comparison between them turns out differently.

use tapeless::graph::eval::{self, Inputs};
use tapeless::graph::{Dag, Fold, Op};
use tapeless::op::Elem;

/// A derivative and an estimate of its error.
#[derive(Clone, Copy, Debug)]
pub struct Slope {
    pub value: f64,
    pub error: f64,
    /// Whether the formula stayed on one branch along all steps.
    pub smooth: bool,
}

/// The first output, a number, and a hash of every decision made on the way to it.
fn measure(dag: &Dag, inputs: &Inputs) -> (f64, u64) {
    let values = eval::eval(dag, inputs, eval::exact);
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut note = |decision: f64| hash = (hash ^ decision.to_bits()).wrapping_mul(0x100_0000_01b3).rotate_left(29);
    for id in dag.ids() {
        let node = dag.node(id);
        let own = &values[id.index()];
        let operand = |k: usize| &values[node.args[k].index()];
        match node.op {
            Op::Elem(op) if super::is_step(op) => own.numbers.iter().for_each(|x| note(*x)),
            Op::Elem(Elem::Abs | Elem::Relu) => operand(0).numbers.iter().for_each(|x| note(f64::from(*x > 0.0))),
            Op::Elem(Elem::Select) => operand(0).numbers.iter().for_each(|x| note(f64::from(*x != 0.0))),
            Op::Elem(Elem::Min | Elem::Max) => {
                let index = |k: usize| super::bounds::broadcast_index(dag.shape(node.args[k]).dims(), node.shape.dims());
                let (left, right) = (index(0), index(1));
                for e in 0..left.len() {
                    for i in 0..own.rows {
                        let (a, b) = (operand(0).at(left[e], i), operand(1).at(right[e], i));
                        note(if a < b {
                            0.0
                        } else if a > b {
                            1.0
                        } else {
                            2.0
                        });
                    }
                }
            }
            Op::Reduce(Fold::Min | Fold::Max, _) => {
                // Where the extremes are: without the grouping, which only makes a change less likely to be missed.
                let v = operand(0);
                for e in 0..v.numbers.len() / v.rows {
                    for i in 0..v.rows {
                        note(f64::from(own.numbers.contains(&v.at(e, i))));
                    }
                }
            }
            _ => {}
        }
    }
    let (_, loss) = dag.outputs()[0];
    (values[loss.index()].numbers[0], hash)
}

/// The derivative of a graph's first output along one number of its inputs. `start` is the longest step, relative to the number; `noise` is
/// what roundings can do to that output.
pub fn slope(dag: &Dag, inputs: &Inputs, number: impl Fn(&mut Inputs) -> &mut f64, start: f64, noise: f64) -> Slope {
    let mut moved = inputs.clone();
    let x = *number(&mut moved);
    let (_, here) = measure(dag, inputs);
    let mut both = |h: f64| {
        *number(&mut moved) = x + h;
        let (above, up) = measure(dag, &moved);
        *number(&mut moved) = x - h;
        let (below, down) = measure(dag, &moved);
        // The step that was really made.
        ((above - below) / ((x + h) - (x - h)), up == here && down == here)
    };
    let mut h = start * (1.0 + x.abs());
    let mut first = both(h);
    while !first.1 && h > 1e-6 {
        h /= 5.0;
        first = both(h);
    }
    let smooth = first.1;
    // Neville's table: row k has step h / 1.6^k.
    const SHRINK: f64 = 1.6;
    let mut rows: Vec<Vec<f64>> = vec![vec![first.0]];
    let mut best = Slope { value: first.0, error: f64::INFINITY, smooth };
    for k in 1..9 {
        h /= SHRINK;
        let mut row = vec![both(h).0];
        let mut factor = 1.0;
        for j in 1..=k {
            factor *= SHRINK * SHRINK;
            let next = (row[j - 1] * factor - rows[k - 1][j - 1]) / (factor - 1.0);
            let error = (next - row[j - 1]).abs().max((next - rows[k - 1][j - 1]).abs()) + noise / h;
            if error < best.error {
                best = Slope { value: next, error, smooth };
            }
            row.push(next);
        }
        rows.push(row);
        if best.error < 1e-10 * best.value.abs() {
            break;
        }
    }
    best
}
