//! The oracle: whole columns, one operation after the other, in plain `f64` of the standard library. Slow, and obvious on purpose.

use super::{Axis, Dag, Fold, NodeId, Op};
use crate::shape::broadcast_index;

/// A value: `entries` columns of `rows` numbers, one after the other; `rows` is 1 for a value without samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Numbers per entry.
    pub rows: usize,
    /// Entry `e` at row `i` is `numbers[e * rows + i]`.
    pub numbers: Vec<f64>,
}

impl Value {
    /// The number of entry `e` at row `i`; a value without samples has the same at every row.
    pub fn at(&self, e: usize, i: usize) -> f64 {
        self.numbers[e * self.rows + if self.rows == 1 { 0 } else { i }]
    }
}

/// The inputs of an evaluation, in the order of the graph's data and parameters.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// How many samples.
    pub samples: usize,
    /// For each data input its entries' columns, one after the other.
    pub data: Vec<Vec<f64>>,
    /// For each parameter its entries in row-major order.
    pub params: Vec<Vec<f64>>,
}

/// Rounds every result to the number type a program runs in, so that an overflow in `f32` is seen here too.
pub type Rounding = fn(f64) -> f64;

/// No rounding beyond that of `f64`.
pub fn exact(x: f64) -> f64 {
    x
}

/// The value of every node, in order. Sums are Neumaier's compensated ones, so the oracle is the more accurate side of a comparison.
///
/// # Panics
/// If the inputs don't have the declared shapes.
pub fn eval(dag: &Dag, inputs: &Inputs, rounding: Rounding) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::with_capacity(dag.nodes().len());
    for id in dag.ids() {
        let value = eval_node(dag, id, inputs.samples, rounding, |a| &values[a.index()], inputs);
        values.push(value);
    }
    values
}

/// The values of the outputs, in order.
///
/// # Panics
/// If the inputs don't have the declared shapes.
pub fn outputs(dag: &Dag, inputs: &Inputs) -> Vec<Value> {
    let values = eval(dag, inputs, exact);
    dag.outputs().iter().map(|(_, id)| values[id.index()].clone()).collect()
}

/// One node from the values of its operands, over `samples` rows.
pub(crate) fn eval_node<'v>(dag: &Dag, id: NodeId, samples: usize, rounding: Rounding, value: impl Fn(NodeId) -> &'v Value, inputs: &Inputs) -> Value {
    let node = dag.node(id);
    let entries = node.shape.entries();
    let rows = if node.shape.varies_over_samples() { samples } else { 1 };
    let mut numbers = Vec::with_capacity(entries * rows);
    match &node.op {
        Op::Const(c) => numbers.push(c.value()),
        Op::Count => numbers.push(inputs.samples as f64),
        Op::Data(k) => {
            numbers.extend_from_slice(&inputs.data[*k as usize]);
            assert_eq!(numbers.len(), entries * rows, "data of the declared shape");
        }
        Op::Param(k) => {
            numbers.extend_from_slice(&inputs.params[*k as usize]);
            assert_eq!(numbers.len(), entries, "a parameter of the declared shape");
        }
        Op::Elem(op) => {
            let args: Vec<(&Value, Vec<usize>)> = node.args.iter().map(|a| (value(*a), broadcast_index(dag.shape(*a).dims(), node.shape.dims()))).collect();
            let mut operands = vec![0.0; args.len()];
            for e in 0..entries {
                for i in 0..rows {
                    for (operand, (v, index)) in operands.iter_mut().zip(&args) {
                        *operand = v.at(index[e], if v.rows == 1 { 0 } else { i });
                    }
                    numbers.push(rounding(op.value(&operands)));
                }
            }
        }
        Op::Reduce(fold, Axis::Samples) => {
            let v = value(node.args[0]);
            for e in 0..entries {
                numbers.push(reduce(*fold, (0..samples).map(|i| v.at(e, i))));
            }
        }
        Op::Reduce(fold, Axis::Dim(axis)) => {
            let v = value(node.args[0]);
            let from = dag.shape(node.args[0]);
            // Entries of the operand that go into each entry of the result.
            let into = broadcast_index(node.shape.dims(), from.dims());
            let mut groups = vec![Vec::with_capacity(from.extent_from_right(*axis as usize)); entries];
            for (e, target) in into.into_iter().enumerate() {
                groups[target].push(e);
            }
            for group in &groups {
                for i in 0..rows {
                    numbers.push(rounding(reduce(*fold, group.iter().map(|e| v.at(*e, i)))));
                }
            }
        }
        Op::Broadcast(to) => {
            let v = value(node.args[0]);
            for e in broadcast_index(dag.shape(node.args[0]).dims(), to.dims()) {
                numbers.extend((0..rows).map(|i| v.at(e, i)));
            }
        }
        Op::Reshape(_) | Op::Detach => numbers.extend_from_slice(&value(node.args[0]).numbers),
        Op::Arrange(a) => {
            for source in &a.sources {
                numbers.extend((0..rows).map(|i| source.map_or(0.0, |(operand, e)| value(node.args[operand as usize]).at(e as usize, i))));
            }
        }
        Op::Dense(op) => {
            let shapes: Vec<_> = node.args.iter().map(|a| dag.shape(*a)).collect();
            let second = node.args.get(1).map_or(&[][..], |b| &value(*b).numbers);
            numbers = super::dense::oracle(*op, &value(node.args[0]).numbers, second, op.sizes(&shapes));
        }
        Op::Gather => {
            let (table, labels) = (value(node.args[0]), value(node.args[1]));
            for e in 0..entries {
                numbers.extend((0..rows).map(|i| table.numbers[labels.at(0, i) as usize * entries + e]));
            }
        }
        Op::SumBy(groups) => {
            let (terms, labels) = (value(node.args[0]), value(node.args[1]));
            let mut members = vec![Vec::new(); *groups as usize];
            for i in 0..samples {
                members[labels.at(0, i) as usize].push(i);
            }
            let width = entries / *groups as usize;
            for group in &members {
                numbers.extend((0..width).map(|e| reduce(Fold::Sum, group.iter().map(|i| terms.at(e, *i)))));
            }
        }
    }
    Value { rows, numbers }
}

/// A reduction of a sequence; the sum is compensated (Neumaier 1974).
pub(crate) fn reduce(fold: Fold, numbers: impl Iterator<Item = f64>) -> f64 {
    if fold != Fold::Sum {
        return numbers.fold(fold.identity(), |a, b| fold.combine(a, b));
    }
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for x in numbers {
        let next = sum + x;
        lost += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    if lost.is_finite() { sum + lost } else { sum }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;

    #[test]
    fn a_matrix_product_by_broadcasting() {
        // sum over samples of (x outer w), x = [1, 2 | 3, 4] columns, w = [10, 100].
        let dag = parse("data x [samples, 2, 1]\nparam w [2]\n%0 = data x\n%1 = param w\n%2 = mul %0, %1\n%3 = reduce_sum samples %2\n%4 = reduce_max 1 %3\n%5 = reshape [2] %4\noutput a %3\noutput b %5").unwrap();
        let inputs = Inputs { samples: 2, data: vec![vec![1.0, 2.0, 3.0, 4.0]], params: vec![vec![10.0, 100.0]] };
        let out = outputs(&dag, &inputs);
        assert_eq!(out[0].numbers, [30.0, 300.0, 70.0, 700.0]);
        assert_eq!(out[1].numbers, [70.0, 700.0]);
    }

    #[test]
    fn sums_are_compensated_and_extremes_carry_nan() {
        assert_eq!(reduce(Fold::Sum, [1e16, 1.0, -1e16].into_iter()), 1.0);
        assert!(reduce(Fold::Max, [1.0, f64::NAN, 2.0].into_iter()).is_nan());
        assert_eq!(reduce(Fold::Min, [].into_iter()), f64::INFINITY);
        assert_eq!(reduce(Fold::Sum, [f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
    }
}
