//! Finds the node that made the first non-finite number: evaluates a graph operation by operation over blocks of samples, then walks back
//! from a result that is not finite to the operation whose operands still were. Slow, small in memory, only run when something went wrong.

use super::dense::{self, Dense};
use super::eval::{Inputs, Rounding, Value, eval_node, exact};
use super::{Axis, Dag, Fold, NodeId, Op};
use crate::column::Column;
use crate::error::NonFinite;
use crate::op::Elem;
use crate::real::Real;

/// Samples evaluated at a time.
const BLOCK: usize = 1024;

/// The origin of the first output that is not finite; `None` if all are finite.
pub fn find<T: Real>(dag: &Dag, columns: &[Vec<Column<'_, T>>], samples: usize, params: &[Vec<f64>]) -> Option<NonFinite> {
    let none = vec![None; dag.nodes().len()];
    let mut trace = Trace { dag, columns, samples, params, known: none.clone(), rounded: none };
    trace.forward();
    for (_, id) in dag.outputs() {
        if dag.shape(*id).varies_over_samples() {
            if let Some((i, e)) = trace.first_bad_sample(*id) {
                return Some(trace.back(*id, e, Some(i)));
            }
        } else if let Some(e) = trace.known[id.index()].as_ref()?.numbers.iter().position(|x| !T::from_f64(*x).is_finite()) {
            return Some(trace.back(*id, e, None));
        }
    }
    None
}

struct Trace<'a, 'd, T> {
    dag: &'a Dag,
    columns: &'a [Vec<Column<'d, T>>],
    samples: usize,
    params: &'a [Vec<f64>],
    /// Values without samples.
    known: Vec<Option<Value>>,
    /// The same as per-sample operations read them: in the number type.
    rounded: Vec<Option<Value>>,
}

impl<T: Real> Trace<'_, '_, T> {
    /// Per-sample arithmetic rounds to the number type; values without samples stay in `f64`, as when kernels run.
    fn rounding(&self) -> Rounding {
        if T::DOUBLE { exact } else { |x| f64::from(x as f32) }
    }

    fn inputs(&self, start: usize, len: usize) -> Inputs {
        let column = |columns: &Vec<Column<'_, T>>| columns.iter().flat_map(|c| (start..start + len).map(|i| c.number(i))).collect();
        Inputs { samples: self.samples, data: self.columns.iter().map(column).collect(), params: self.params.to_vec() }
    }

    /// Computes every value without samples, one pass over the samples for each layer of reductions.
    fn forward(&mut self) {
        let dag = self.dag;
        let live = dag.live();
        let inputs = self.inputs(0, 0);
        loop {
            // What can be computed from what is known, and the reductions that can be made from it.
            let mut computable = vec![false; dag.nodes().len()];
            let mut ready = Vec::new();
            for id in dag.ids().filter(|id| live[id.index()]) {
                let node = dag.node(id);
                let operands = node.args.iter().all(|a| computable[a.index()]);
                let reduction = node.op.ends_pass();
                if node.shape.varies_over_samples() || self.known[id.index()].is_some() {
                    computable[id.index()] = operands || self.known[id.index()].is_some();
                } else if operands && reduction {
                    ready.push(id);
                } else if operands {
                    let value = eval_node(dag, id, 1, exact, |a| self.known[a.index()].as_ref().expect("computable"), &inputs);
                    self.keep(id, value);
                    computable[id.index()] = true;
                }
            }
            if ready.is_empty() {
                return;
            }
            let mut totals: Vec<Vec<f64>> = Vec::new();
            for id in &ready {
                totals.push(vec![fold_of(&dag.node(*id).op).identity(); dag.shape(*id).entries()]);
            }
            let needed = dag.reachable(ready.iter().map(|id| dag.node(*id).args[0]));
            for start in (0..self.samples).step_by(BLOCK) {
                let len = BLOCK.min(self.samples - start);
                let values = self.block(start, len, &needed);
                for (id, totals) in ready.iter().zip(&mut totals) {
                    let node = dag.node(*id);
                    let fold = fold_of(&node.op);
                    let value = values[node.args[0].index()].as_ref().expect("needed");
                    let width = dag.shape(node.args[0]).entries();
                    for e in 0..width {
                        for i in 0..len {
                            let total = &mut totals[self.group(*id, start + i) * width + e];
                            *total = fold.combine(*total, value.at(e, i));
                        }
                    }
                }
            }
            for (id, numbers) in ready.into_iter().zip(totals) {
                self.keep(id, Value { rows: 1, numbers });
            }
        }
    }

    /// The group of a sample in a sum by groups; 0 for any other reduction.
    fn group(&self, id: NodeId, sample: usize) -> usize {
        let node = self.dag.node(id);
        match (&node.op, node.args.get(1).map(|labels| &self.dag.node(*labels).op)) {
            (Op::SumBy(_), Some(Op::Data(k))) => self.columns[*k as usize][0].number(sample) as usize,
            _ => 0,
        }
    }

    fn keep(&mut self, id: NodeId, value: Value) {
        let rounding = self.rounding();
        self.rounded[id.index()] = Some(Value { rows: 1, numbers: value.numbers.iter().map(|x| rounding(*x)).collect() });
        self.known[id.index()] = Some(value);
    }

    /// The needed per-sample nodes over a block.
    fn block(&self, start: usize, len: usize, needed: &[bool]) -> Vec<Option<Value>> {
        let inputs = self.inputs(start, len);
        let mut values: Vec<Option<Value>> = vec![None; self.dag.nodes().len()];
        for id in self.dag.ids().filter(|id| needed[id.index()] && self.dag.shape(*id).varies_over_samples()) {
            let value = |a: NodeId| values[a.index()].as_ref().or(self.rounded[a.index()].as_ref()).expect("operands come first");
            values[id.index()] = Some(eval_node(self.dag, id, len, self.rounding(), value, &inputs));
        }
        values
    }

    /// The first sample, and the entry, at which a per-sample node is not finite, among the samples that count.
    fn first_bad_sample(&self, id: NodeId) -> Option<(usize, usize)> {
        self.first_bad_sample_among(id, |_| true)
    }

    fn first_bad_sample_among(&self, id: NodeId, counts: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        let needed = self.dag.reachable([id]);
        for start in (0..self.samples).step_by(BLOCK) {
            let len = BLOCK.min(self.samples - start);
            let values = self.block(start, len, &needed);
            let value = values[id.index()].as_ref()?;
            let entries = self.dag.shape(id).entries();
            for i in (0..len).filter(|i| counts(start + i)) {
                if let Some(e) = (0..entries).find(|e| !value.at(*e, i).is_finite()) {
                    return Some((start + i, e));
                }
            }
        }
        None
    }

    /// From an entry that is not finite to where that began.
    fn back(&self, mut id: NodeId, mut entry: usize, mut sample: Option<usize>) -> NonFinite {
        let dag = self.dag;
        let mut at_sample = sample.map(|i| self.block(i, 1, &dag.reachable([id])));
        loop {
            let node = dag.node(id);
            let number = |values: &Option<Vec<Option<Value>>>, a: NodeId, e: usize| {
                let known = if node.shape.varies_over_samples() { &self.rounded } else { &self.known };
                let held = values.as_ref().and_then(|v| v[a.index()].as_ref()).or(known[a.index()].as_ref());
                held.map_or(f64::NAN, |v| v.at(e, 0))
            };
            if node.op.ends_pass() {
                let fold = fold_of(&node.op);
                let group = entry / dag.shape(node.args[0]).entries();
                let counts = |i| !matches!(node.op, Op::SumBy(_)) || self.group(id, i) == group;
                let Some((i, e)) = self.first_bad_sample_among(node.args[0], counts) else {
                    // Every term is finite: the sum itself left the range, or there was nothing to reduce.
                    let inputs = if fold == Fold::Sum { vec![("finite terms, samples".to_string(), self.samples as f64)] } else { Vec::new() };
                    return self.report(id, None, inputs, number(&at_sample, id, entry));
                };
                (id, entry, sample) = (node.args[0], e, Some(i));
                at_sample = Some(self.block(i, 1, &dag.reachable([id])));
                continue;
            }
            let label = if node.op == Op::Gather { number(&at_sample, node.args[1], 0) } else { 0.0 };
            let operands: Vec<(NodeId, usize)> = self.operands(id, entry, label as usize);
            let numbers: Vec<f64> = operands.iter().map(|(a, e)| number(&at_sample, *a, *e)).collect();
            // A selection made from its chosen operand alone.
            let follows = |k: usize| match node.op {
                Op::Elem(Elem::Select) => k == if numbers[0] != 0.0 { 1 } else { 2 },
                _ => true,
            };
            // A constant that isn't finite was written on purpose: what led to its choice says more.
            let made = |k: usize| !matches!(dag.node(operands[k].0).op, Op::Const(_));
            let bad = (0..operands.len()).filter(|k| follows(*k) && made(*k) && !numbers[*k].is_finite()).min_by_key(|k| operands[*k].0);
            let Some(k) = bad else {
                let inputs = match node.op {
                    // Of a whole matrix the pivot that isn't positive.
                    Op::Dense(Dense::Cholesky) => {
                        let pivot = dense::bad_pivot(&numbers, numbers.len().isqrt());
                        pivot.into_iter().map(|(row, x)| (format!("pivot of row {row}"), x)).collect()
                    }
                    Op::Dense(_) => Vec::new(),
                    _ => operands.iter().zip(&numbers).map(|((a, _), x)| (dag.describe(*a), *x)).collect(),
                };
                return self.report(id, sample.filter(|_| node.shape.varies_over_samples()), inputs, number(&at_sample, id, entry));
            };
            (id, entry) = operands[k];
            if !dag.shape(id).varies_over_samples() {
                sample = None;
            }
        }
    }

    /// The operands' entries that an entry is made from.
    fn operands(&self, id: NodeId, entry: usize, label: usize) -> Vec<(NodeId, usize)> {
        let node = self.dag.node(id);
        match node.op {
            Op::Elem(_) | Op::Broadcast(_) => {
                let table = |a: NodeId| crate::shape::broadcast_index(self.dag.shape(a).dims(), node.shape.dims())[entry];
                node.args.iter().map(|a| (*a, table(*a))).collect()
            }
            Op::Reduce(_, Axis::Dim(_)) => {
                let into = crate::shape::broadcast_index(node.shape.dims(), self.dag.shape(node.args[0]).dims());
                into.iter().enumerate().filter(|(_, t)| **t == entry).map(|(e, _)| (node.args[0], e)).collect()
            }
            // Any entry of the matrices that this one is made from.
            Op::Dense(_) => {
                let batch = |id: NodeId, entry: usize| {
                    let dims = self.dag.shape(id).dims();
                    let size = dims[dims.len() - 2] * dims[dims.len() - 1];
                    (entry / size, size)
                };
                let (matrix, _) = batch(id, entry);
                let all = |a: &NodeId| {
                    let (_, size) = batch(*a, 0);
                    (matrix * size..(matrix + 1) * size).map(|e| (*a, e)).collect::<Vec<_>>()
                };
                node.args.iter().flat_map(all).collect()
            }
            Op::Gather => vec![(node.args[0], label * node.shape.entries() + entry), (node.args[1], 0)],
            Op::Arrange(ref a) => a.sources[entry].iter().map(|(operand, e)| (node.args[*operand as usize], *e as usize)).collect(),
            _ => node.args.iter().map(|a| (*a, entry)).collect(),
        }
    }

    fn report(&self, id: NodeId, sample: Option<usize>, inputs: Vec<(String, f64)>, value: f64) -> NonFinite {
        // A finite `f64` that the number type can't hold.
        let value = if value.is_finite() { T::from_f64(value).to_f64() } else { value };
        NonFinite { node: self.dag.describe(id), place: self.dag.node(id).place, sample, step: None, inputs, value }
    }
}

/// How a reduction over samples combines.
fn fold_of(op: &Op) -> Fold {
    match op {
        Op::Reduce(fold, Axis::Samples) => *fold,
        Op::SumBy(_) => Fold::Sum,
        _ => unreachable!("a reduction over samples"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;

    #[test]
    fn follows_the_chosen_operand_to_the_origin() {
        // sum(select(x > 0, ln x, 0) / exp(w * x)): ln of the negative x is not to blame, the overflow of exp is not either (it gives 0);
        // 0 / 0 would be. With w so that exp overflows upwards the result is finite.
        let dag = parse("data x [samples]\nparam w []\n%0 = data x\n%1 = param w\n%2 = const 0\n%3 = gt %0, %2\n%4 = ln %0\n%5 = select %3, %4, %2\n%6 = mul %1, %0\n%7 = exp %6\n%8 = mul %5, %7\n%9 = reduce_sum samples %8\noutput loss %9").unwrap();
        let x = [1.0, -2.0, 3.0, 800.0];
        let columns = vec![vec![Column::Real(&x[..])]];
        assert_eq!(find(&dag, &columns, 4, &[vec![0.5]]), None);
        let found = find(&dag, &columns, 4, &[vec![1.0]]).unwrap();
        assert_eq!((found.node.as_str(), found.sample, found.inputs[0].1), ("exp", Some(3), 800.0));
        assert_eq!(found.value, f64::INFINITY);
    }

    #[test]
    fn names_a_nan_in_the_data_and_an_overflowing_sum() {
        let dag = parse("data x [samples]\n%0 = data x\n%1 = reduce_sum samples %0\noutput loss %1").unwrap();
        let x = [1.0, f64::NAN];
        let found = find(&dag, &[vec![Column::Real(&x[..])]], 2, &[]).unwrap();
        assert_eq!((found.node.as_str(), found.sample), ("data `x`", Some(1)));
        let x = [f64::MAX, f64::MAX];
        let found = find(&dag, &[vec![Column::Real(&x[..])]], 2, &[]).unwrap();
        assert_eq!((found.node.as_str(), found.sample), ("sum over samples", None));
    }
}
