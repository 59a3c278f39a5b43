//! The second reference: one walk back through the formula, operation by operation, each by differences of its own value, with a bound on what
//! all roundings can have done to the result.
//!
//! A difference of the whole formula fails where a kink lies within its steps, where a large value drowns a small derivative, where a step leaves
//! the domain. One operation has none of that: its kinks are known exactly, its value is of its own size. What can still be undecided is a
//! formula whose branches or cancellations hang on roundings, and then the bound says so.
//!
//! It uses neither the table's pullbacks nor the derived graph nor a kernel: values are the oracle's, slopes are differences, and how adjoints
//! go back through sums and arrangements is written a second time (`local`).

use super::local::{Doubtful, from_kink, is_step, pull, roundings, slope};
use crate::graph::eval::{Inputs, Value, eval, exact};
use crate::graph::{Axis, Dag, Fold, NodeId, Op};
use crate::op::Elem;
use crate::shape::broadcast_index;
use smallvec::SmallVec;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Bounds are first order: where a decision hangs on them they count this often.
pub(super) const CARE: f64 = 4.0;

/// What the walk found.
pub(super) struct Chain {
    /// The formula's value and what roundings can have done to it.
    pub value: Doubtful,
    /// The derivative by each parameter's entries, in the order of the graph's parameters.
    pub by: Vec<Vec<Doubtful>>,
}

/// How many numbers a walk over so many samples holds.
pub(super) fn size(dag: &Dag, samples: usize) -> usize {
    let one = |id: NodeId| dag.shape(id).entries().saturating_mul(if dag.shape(id).varies_over_samples() { samples } else { 1 });
    dag.ids().map(one).fold(0, usize::saturating_add)
}

/// Values with their errors, and the derivative of the first output, one number. `half_ulp` is the program's.
pub(super) fn walk(dag: &Dag, inputs: &Inputs, half_ulp: f64) -> Chain {
    let values = eval(dag, inputs, exact);
    let mut forward = Forward { dag, values: &values, half_ulp, errors: Vec::new(), marks: Vec::new(), slopes: Vec::new() };
    for id in dag.ids() {
        forward.node(id);
    }
    let Forward { errors, marks, slopes, .. } = forward;
    let result = dag.outputs()[0].1;
    let mut adjoints: Vec<Option<Vec<Doubtful>>> = vec![None; dag.nodes().len()];
    adjoints[result.index()] = Some(vec![Doubtful { value: 1.0, doubt: 0.0 }]);
    let mut by: Vec<Vec<Doubtful>> = dag.params().iter().map(|p| vec![Doubtful::default(); p.shape.entries()]).collect();
    for id in dag.ids().rev() {
        let Some(d) = adjoints[id.index()].take() else { continue };
        let node = dag.node(id);
        if let Op::Param(k) = node.op {
            by[k as usize] = d;
            continue;
        }
        let rows = values[id.index()].rows;
        for operand in 0..node.args.len() {
            let arity = node.args.len();
            let table = &slopes[id.index()];
            let dense = super::dense::of(&node.op).map(|op| super::dense::pull(op, dag, &values, Some(&errors), id, operand, &d));
            let Some(mut out) = dense.or_else(|| pull(dag, &values, id, operand, &d, rows, |e, i| table[(e * rows + i) * arity + operand])) else { continue };
            if let Op::Reduce(Fold::Min | Fold::Max, axis) = node.op {
                undecided_extremes(dag, &values, &errors, &marks[node.args[0].index()], id, axis, &d, &mut out);
            }
            // The program's own roundings on the way: a product each, and a sum where the adjoint crosses the samples.
            let crosses = node.shape.varies_over_samples() && !dag.shape(node.args[operand]).varies_over_samples();
            let terms = if crosses { (inputs.samples as f64).min(4096.0) / 8.0 + 12.0 } else { 4.0 };
            let sizes = if crosses { magnitudes(dag, &values, id, operand, &d, rows, |e, i| table[(e * rows + i) * arity + operand]) } else { Vec::new() };
            for (k, x) in out.iter_mut().enumerate() {
                let size = sizes.get(k).copied().unwrap_or(x.value.abs());
                x.doubt += terms * half_ulp * size;
            }
            match &mut adjoints[node.args[operand].index()] {
                Some(held) => held.iter_mut().zip(&out).for_each(|(h, o)| h.add(*o)),
                empty => *empty = Some(out),
            }
        }
    }
    let value = Doubtful { value: values[result.index()].numbers[0], doubt: errors[result.index()][0] };
    Chain { value, by }
}

/// The sum of magnitudes of what an elementwise operation or a repetition adds up over samples, for each entry of an operand without samples.
fn magnitudes(dag: &Dag, values: &[Value], id: NodeId, operand: usize, d: &[Doubtful], rows: usize, slope: impl Fn(usize, usize) -> Doubtful) -> Vec<f64> {
    let node = dag.node(id);
    let from = dag.shape(node.args[operand]);
    let mut out = vec![0.0; from.entries()];
    let table = match &node.op {
        Op::Elem(_) | Op::Broadcast(_) => broadcast_index(from.dims(), node.shape.dims()),
        Op::Reshape(_) => (0..from.entries()).collect(),
        Op::Gather => {
            let (labels, width) = (&values[node.args[1].index()], node.shape.entries());
            for e in 0..width {
                for i in 0..rows {
                    out[labels.at(0, i) as usize * width + e] += d[e * rows + i].value.abs();
                }
            }
            return out;
        }
        Op::Arrange(a) => {
            for (e, source) in a.sources.iter().enumerate() {
                if let Some((k, to)) = source
                    && *k as usize == operand
                {
                    out[*to as usize] += d[e * rows..][..rows].iter().map(|d| d.value.abs()).sum::<f64>();
                }
            }
            return out;
        }
        _ => return Vec::new(),
    };
    for (e, to) in table.into_iter().enumerate() {
        for i in 0..rows {
            let d = d[e * rows + i];
            let factor = if matches!(node.op, Op::Elem(_)) && d != Doubtful::default() { slope(e, i).value.abs() } else { 1.0 };
            out[to] += if d.value == 0.0 { 0.0 } else { d.value.abs() * factor };
        }
    }
    out
}

/// Entries that could as well be the extreme, for all that roundings leave undecided, doubt the adjoint they would get or lose. Entries made
/// alike from equal numbers are equal whatever the roundings, and decided.
#[allow(clippy::too_many_arguments)]
fn undecided_extremes(dag: &Dag, values: &[Value], errors: &[Vec<f64>], marks: &[u64], id: NodeId, axis: Axis, d: &[Doubtful], out: &mut [Doubtful]) {
    let node = dag.node(id);
    let operand = node.args[0];
    let (held, doubts, answer) = (&values[operand.index()], &errors[operand.index()], &values[id.index()]);
    let table = broadcast_index(node.shape.dims(), dag.shape(operand).dims());
    let rows = held.rows;
    let place = |e: usize, i: usize| table[e] * answer.rows + if axis == Axis::Samples || answer.rows == 1 { 0 } else { i };
    let near = |e: usize, i: usize| {
        let (x, y) = (held.at(e, i), answer.numbers[place(e, i)]);
        (x - y).abs() <= CARE * (doubts[e * rows + i] + errors[id.index()][place(e, i)])
    };
    // The mark all candidates share, if they do.
    let mut shared: Vec<Option<Option<u64>>> = vec![None; answer.numbers.len()];
    for e in 0..table.len() {
        for i in (0..rows).filter(|i| near(e, *i)) {
            let (at, mark) = (place(e, i), marks[e * rows + i]);
            shared[at] = Some(match shared[at] {
                None => Some(mark),
                Some(held) => held.filter(|m| *m == mark),
            });
        }
    }
    for e in 0..table.len() {
        for i in (0..rows).filter(|i| near(e, *i)) {
            let at = place(e, i);
            if shared[at] == Some(None) {
                out[e * rows + i].doubt += d[at].value.abs();
            }
        }
    }
}

/// A mark of something made from marked operands.
fn mark_of(how: u64, operands: impl IntoIterator<Item = u64>) -> u64 {
    operands.into_iter().fold(how ^ 0x9e37_79b9_7f4a_7c15, |m, o| (m.rotate_left(23) ^ o).wrapping_mul(0xff51_afd7_ed55_8ccd))
}

/// A mark of an operation, of values with or without samples: the two are computed in different places.
fn mark_of_op(op: &Op, samples: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    (op, samples).hash(&mut hasher);
    hasher.finish()
}

struct Forward<'a> {
    dag: &'a Dag,
    values: &'a [Value],
    half_ulp: f64,
    /// For each node, number by number.
    errors: Vec<Vec<f64>>,
    /// For each node, number by number: how it was made. Equal marks, equal bits.
    marks: Vec<Vec<u64>>,
    /// For each elementwise node: number by number, operand by operand.
    slopes: Vec<Vec<Doubtful>>,
}

impl Forward<'_> {
    fn node(&mut self, id: NodeId) {
        let node = self.dag.node(id);
        let own = &self.values[id.index()];
        let rows = own.rows;
        let mut errors = vec![0.0; own.numbers.len()];
        let mut marks = vec![0; own.numbers.len()];
        let how = mark_of_op(&node.op, node.shape.varies_over_samples());
        let mut slopes = Vec::new();
        let made = |a: NodeId, e: usize, i: usize| {
            let rows = self.values[a.index()].rows;
            self.marks[a.index()][e * rows + if rows == 1 { 0 } else { i }]
        };
        let doubt_of = |a: NodeId, e: usize, i: usize| {
            let rows = self.values[a.index()].rows;
            self.errors[a.index()][e * rows + if rows == 1 { 0 } else { i }]
        };
        match &node.op {
            Op::Const(c) => errors[0] = if self.half_ulp > 1e-12 { c.value().abs() * self.half_ulp } else { 0.0 },
            Op::Data(_) | Op::Param(_) | Op::Count => {}
            Op::Elem(op) => {
                let tables: Vec<Vec<usize>> = node.args.iter().map(|a| broadcast_index(self.dag.shape(*a).dims(), node.shape.dims())).collect();
                let mut m: SmallVec<[u64; 3]> = smallvec::smallvec![0; node.args.len()];
                let mut x: SmallVec<[f64; 3]> = smallvec::smallvec![0.0; node.args.len()];
                let mut ex = x.clone();
                for e in 0..node.shape.entries() {
                    for i in 0..rows {
                        for (k, a) in node.args.iter().enumerate() {
                            x[k] = self.values[a.index()].at(tables[k][e], i);
                            ex[k] = doubt_of(*a, tables[k][e], i);
                            m[k] = made(*a, tables[k][e], i);
                        }
                        let y = own.numbers[e * rows + i];
                        let same = m.len() == 2 && m[0] == m[1];
                        if same && is_step(*op) {
                            ex.fill(0.0);
                        }
                        errors[e * rows + i] = self.elementwise(*op, &mut x, &ex, y, same, &mut slopes);
                        marks[e * rows + i] = match op {
                            // Some give an operand as it is.
                            Elem::Abs | Elem::Relu if x[0] > CARE * ex[0] => m[0],
                            Elem::Min | Elem::Max if same => m[0],
                            Elem::Min | Elem::Max if (x[0] - x[1]).abs() > CARE * (ex[0] + ex[1]) => m[usize::from(y != x[0])],
                            Elem::Select if x[0].abs() > CARE * ex[0] || ex[0] == 0.0 => m[if x[0] != 0.0 { 1 } else { 2 }],
                            _ => mark_of(how, m.iter().copied()),
                        };
                    }
                }
            }
            Op::Broadcast(_) => {
                let table = broadcast_index(self.dag.shape(node.args[0]).dims(), node.shape.dims());
                for (e, from) in table.into_iter().enumerate() {
                    for i in 0..rows {
                        errors[e * rows + i] = doubt_of(node.args[0], from, i);
                        marks[e * rows + i] = made(node.args[0], from, i);
                    }
                }
            }
            Op::Gather => {
                let width = node.shape.entries();
                for e in 0..width {
                    for i in 0..rows {
                        let from = self.values[node.args[1].index()].at(0, i) as usize * width + e;
                        errors[e * rows + i] = doubt_of(node.args[0], from, 0);
                        marks[e * rows + i] = made(node.args[0], from, 0);
                    }
                }
            }
            Op::SumBy(_) => {
                let held = &self.values[node.args[0].index()];
                let width = self.dag.shape(node.args[0]).entries();
                for e in 0..width {
                    for i in 0..held.rows {
                        let group = self.values[node.args[1].index()].at(0, i) as usize * width + e;
                        // Sums by groups carry their errors along: one rounding at the end, of what can't be larger than this.
                        errors[group] += doubt_of(node.args[0], e, i) + self.half_ulp * held.at(e, i).abs();
                        marks[group] = mark_of(marks[group] ^ how, [made(node.args[0], e, i)]);
                    }
                }
            }
            Op::Reshape(_) | Op::Detach => {
                errors.copy_from_slice(&self.errors[node.args[0].index()]);
                marks.copy_from_slice(&self.marks[node.args[0].index()]);
            }
            Op::Arrange(a) => {
                for (e, source) in a.sources.iter().enumerate() {
                    if let Some((k, from)) = source {
                        for i in 0..rows {
                            errors[e * rows + i] = doubt_of(node.args[*k as usize], *from as usize, i);
                            marks[e * rows + i] = made(node.args[*k as usize], *from as usize, i);
                        }
                    }
                }
            }
            Op::Reduce(fold, axis) => {
                let from = node.args[0];
                let held = &self.values[from.index()];
                let table = broadcast_index(node.shape.dims(), self.dag.shape(from).dims());
                let mut sizes = vec![0.0; own.numbers.len()];
                let mut least = vec![f64::INFINITY; own.numbers.len()];
                // Of an extreme: the mark all that can be it share.
                let mut shared: Vec<Option<Option<u64>>> = vec![None; own.numbers.len()];
                let terms = if *axis == Axis::Samples { (held.rows as f64).min(4096.0) / 8.0 + 8.0 } else { table.len() as f64 };
                for (e, to) in table.into_iter().enumerate() {
                    for i in 0..held.rows {
                        let at = to * rows + if rows == 1 { 0 } else { i };
                        let (x, doubt) = (held.at(e, i), doubt_of(from, e, i));
                        marks[at] = mark_of(marks[at] ^ how, [made(from, e, i)]);
                        match fold {
                            Fold::Sum => {
                                errors[at] += doubt;
                                sizes[at] += x.abs();
                                least[at] = least[at].min(last_bit(x));
                            }
                            // Whichever can be the extreme.
                            Fold::Min | Fold::Max if (x - own.numbers[at]).abs() <= CARE * (doubt + errors[at]) || x == own.numbers[at] => {
                                errors[at] = f64::max(errors[at], doubt);
                                let mark = made(from, e, i);
                                shared[at] = Some(shared[at].map_or(Some(mark), |held| held.filter(|m| *m == mark)));
                            }
                            Fold::Min | Fold::Max => {}
                        }
                    }
                }
                for ((error, size), least) in errors.iter_mut().zip(sizes).zip(least) {
                    // Multiples of one power of two that never grow past the mantissa add up exactly, in any order.
                    if *error > 0.0 || size * self.half_ulp >= least {
                        *error += terms * self.half_ulp * size;
                    }
                }
                for (mark, shared) in marks.iter_mut().zip(shared) {
                    *mark = shared.flatten().unwrap_or(*mark);
                }
            }
            Op::Dense(op) => {
                errors = super::dense::errors(*op, self.dag, self.values, &self.errors, id);
                let all = mark_of(how, node.args.iter().flat_map(|a| self.marks[a.index()].iter().copied()));
                for (k, mark) in marks.iter_mut().enumerate() {
                    *mark = mark_of(all, [k as u64]);
                }
            }
        }
        for (error, y) in errors.iter_mut().zip(&own.numbers) {
            if error.is_nan() || !y.is_finite() {
                *error = f64::INFINITY;
            }
        }
        // An exact number is itself, however it was made.
        for ((mark, x), error) in marks.iter_mut().zip(&own.numbers).zip(&errors) {
            if *error == 0.0 {
                *mark = x.to_bits();
            }
        }
        self.errors.push(errors);
        self.marks.push(marks);
        self.slopes.push(slopes);
    }

    /// The error of one number; its slopes are added to `slopes`.
    fn elementwise(&self, op: Elem, x: &mut [f64], ex: &[f64], y: f64, same: bool, slopes: &mut Vec<Doubtful>) -> f64 {
        let exact = ex.iter().all(|e| *e == 0.0) && is_exact(op, x, y, self.half_ulp);
        let own = if exact { 0.0 } else { self.half_ulp * roundings(op) };
        let first = slopes.len();
        for k in 0..x.len() {
            slopes.push(slope(op, x, k));
        }
        let mut error = own * y.abs();
        // Near a zero these are good to an absolute error only.
        error += match op {
            Elem::LnGamma | Elem::Digamma => 40.0 * self.half_ulp * if x[0] < 0.0 { x[0].abs() * x[0].abs().ln_1p() + 1e3 } else { 1.0 },
            Elem::Logaddexp => 4.0 * self.half_ulp * x[0].abs().max(x[1].abs()),
            _ => 0.0,
        };
        for k in 0..x.len() {
            let Doubtful { value, doubt } = slopes[first + k];
            if ex[k] > 0.0 {
                error += ex[k] * (value.abs() + if doubt.is_finite() { doubt } else { 0.0 });
            }
            // More than a good part of the operand, or a jump within reach: first order is not enough.
            if ex[k] > 1e-6 * x[k].abs() || (ex[k] > 0.0 && (is_step(op) || from_kink(op, x).is_some())) {
                // A single point may be what matters: the other operand of an equality, the 0 that is no truth.
                let point = match op {
                    Elem::Eq | Elem::Ne => Some(x[1 - k]),
                    Elem::And | Elem::Or | Elem::Not => Some(0.0),
                    _ => None,
                };
                let within = point.filter(|p| (p - x[k]).abs() <= CARE * ex[k]).unwrap_or(x[k]);
                for moved in [x[k] - CARE * ex[k], x[k] + CARE * ex[k], within] {
                    let change = (replaced(op, x, k, moved) - y).abs();
                    error = if change.is_nan() { f64::INFINITY } else { error.max(change) };
                }
            }
        }
        // Which zero it is may differ from formula to formula: on the cut of the angle it decides.
        if op == Elem::Atan2 {
            for k in 0..2 {
                if x[k] == 0.0 {
                    error = error.max((replaced(op, x, k, -x[k]) - y).abs());
                }
            }
        }
        let bends = !is_step(op) && !matches!(op, Elem::Add | Elem::Sub | Elem::Neg);
        if !bends {
            return error;
        }
        // A choice that roundings may make otherwise.
        if let Some(distance) = from_kink(op, x) {
            let reach = if matches!(op, Elem::Min | Elem::Max) { ex[0] + ex[1] } else { ex[0] };
            if reach > 0.0 && distance <= CARE * reach && !same {
                let chosen = if op == Elem::Select { 1 } else { 0 };
                slopes[first + chosen..].iter_mut().for_each(|s| s.doubt += 1.0);
            }
            return error;
        }
        // How much each slope changes within the operands' errors, their last rounding at least: by how it changes over a longer way.
        for by in 0..x.len() {
            let reach = ex[by].max(self.half_ulp * x[by].abs());
            if reach == 0.0 {
                continue;
            }
            let way = reach.max(1e-3 * x[by].abs()).max(1e-9);
            for k in 0..x.len() {
                let here = quick_slope(op, x, k);
                let held = x[by];
                let change = [held + way, held - way].map(|to| {
                    x[by] = to;
                    let there = quick_slope(op, x, k);
                    x[by] = held;
                    (there - here).abs()
                });
                let change = match change {
                    [a, b] if a.is_nan() && b.is_nan() => f64::INFINITY,
                    [a, b] => a.max(b),
                };
                slopes[first + k].doubt += change * (reach / way);
            }
        }
        error
    }
}

/// The value of a number's last bit that is set; infinite for 0.
fn last_bit(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return f64::INFINITY;
    }
    let bits = x.to_bits() & ((1 << 52) - 1);
    let exponent = x.abs().log2().floor().clamp(-1022.0, 1023.0) as i32;
    // The leading bit is implied.
    let zeros = if bits == 0 { 52 } else { bits.trailing_zeros() as i32 };
    2f64.powi(exponent - 52 + zeros)
}

/// Whether a program with this half of an ulp gets this result of exact operands without a rounding.
fn is_exact(op: Elem, x: &[f64], y: f64, half_ulp: f64) -> bool {
    let held = y == 0.0 || y.abs() < last_bit(y) / half_ulp;
    held && match op {
        Elem::Add | Elem::Sub => {
            let z = if op == Elem::Add { x[1] } else { -x[1] };
            let back = y - x[0];
            (x[0] - (y - back)) + (z - back) == 0.0
        }
        Elem::Mul => x[0].mul_add(x[1], -y) == 0.0,
        Elem::Square => x[0].mul_add(x[0], -y) == 0.0,
        _ => false,
    }
}

fn replaced(op: Elem, x: &mut [f64], k: usize, to: f64) -> f64 {
    let held = std::mem::replace(&mut x[k], to);
    let y = op.value(x);
    x[k] = held;
    y
}

/// A plain central difference: good to six digits or so, which is enough to see how a slope changes.
fn quick_slope(op: Elem, x: &mut [f64], k: usize) -> f64 {
    let h = 1e-5 * x[k].abs().max(1e-3);
    let center = x[k];
    (replaced(op, x, k, center + h) - replaced(op, x, k, center - h)) / ((center + h) - (center - h))
}
