//! Running error analysis: each number of a graph with a bound on what roundings can have done to it.
//!
//! First order and forward: `error(y) = sum |dy/dx| error(x) + a few ulp of y`, the slopes from the table's own pullbacks. Two ways to compute
//! the same formula may differ by the sum of their bounds and by no more, so a comparison can be as tight as the formula's conditioning allows.
//! A comparison whose operands are nearer than their errors is undecided; a number that depends on one gets a bound that says so. Numbers
//! made by the same operations from the same numbers are equal whatever the roundings: each carries a mark of how it was made.

use tapeless::graph::eval::{Inputs, Value};
use tapeless::graph::{Axis, Dag, Fold, NodeId, Op};
use tapeless::op::Elem;

/// How precisely a program computes.
#[derive(Clone, Copy, Debug)]
pub struct Precision {
    /// Half an ulp of 1.
    pub half_ulp: f64,
    /// Below this a rounding is absolute.
    pub tiny: f64,
}

impl Precision {
    pub const F64: Precision = Precision { half_ulp: 1.0 / (1u64 << 53) as f64, tiny: f64::MIN_POSITIVE };
    pub const F32: Precision = Precision { half_ulp: 1.0 / (1u64 << 24) as f64, tiny: f32::MIN_POSITIVE as f64 };
}

/// Errors count this often where a decision hangs on them: bounds are first order.
const CARE: f64 = 4.0;

/// A node's numbers and their error bounds, laid out alike. A bound is infinite where nothing can be said.
#[derive(Clone, Debug)]
pub struct Bounded {
    pub value: Value,
    pub errors: Vec<f64>,
    /// How each number was made: equal marks, equal bits.
    marks: Vec<u64>,
    /// Of a minimum or maximum: whether only one operand, or several that are equal for certain, can be it. Empty for other nodes.
    alone: Vec<bool>,
}

impl Bounded {
    fn position(&self, e: usize, i: usize) -> usize {
        e * self.value.rows + if self.value.rows == 1 { 0 } else { i }
    }

    fn at(&self, e: usize, i: usize) -> Number {
        let k = self.position(e, i);
        (self.value.numbers[k], self.errors[k], self.marks[k])
    }

    fn is_alone(&self, e: usize, i: usize) -> bool {
        self.alone.get(self.position(e, i)).copied().unwrap_or(false)
    }
}

/// A number, what it may be off by, and its mark.
type Number = (f64, f64, u64);

/// A mark of something made from marked operands.
fn mark(how: u64, operands: impl Iterator<Item = u64>) -> u64 {
    operands.fold(how ^ 0x9e37_79b9_7f4a_7c15, |m, o| (m.rotate_left(23) ^ o).wrapping_mul(0xff51_afd7_ed55_8ccd))
}

/// A mark of an operation.
fn mark_of(op: &Op, varies: bool) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (op, varies).hash(&mut hasher);
    hasher.finish()
}

/// Values and bounds of the nodes of a growing graph.
#[derive(Clone, Debug)]
pub struct Bounds {
    precision: Precision,
    pub nodes: Vec<Bounded>,
}

/// Values and bounds of a graph's outputs.
pub fn outputs(dag: &Dag, inputs: &Inputs, precision: Precision) -> Vec<Bounded> {
    let mut bounds = Bounds::new(precision);
    bounds.extend(dag, inputs);
    dag.outputs().iter().map(|(_, id)| bounds.nodes[id.index()].clone()).collect()
}

impl Bounds {
    pub fn new(precision: Precision) -> Self {
        Bounds { precision, nodes: Vec::new() }
    }

    /// Goes on with the nodes that are new.
    pub fn extend(&mut self, dag: &Dag, inputs: &Inputs) {
        for id in dag.ids().skip(self.nodes.len()) {
            let node = self.node(dag, id, inputs);
            self.nodes.push(node);
        }
    }

    fn node(&self, dag: &Dag, id: NodeId, inputs: &Inputs) -> Bounded {
        let node = dag.node(id);
        let entries = node.shape.entries();
        let rows = if node.shape.varies_over_samples() { inputs.samples } else { 1 };
        let operand = |k: usize| &self.nodes[node.args[k].index()];
        let index = |k: usize| broadcast_index(dag.shape(node.args[k]).dims(), node.shape.dims());
        let mut numbers = Vec::with_capacity(entries * rows);
        let mut errors = Vec::with_capacity(entries * rows);
        let mut marks = Vec::with_capacity(entries * rows);
        let mut alone = Vec::new();
        let how = mark_of(&node.op, node.shape.varies_over_samples());
        match &node.op {
            Op::Const(c) => {
                numbers.push(c.value());
                let error = c.value().abs() * self.precision.half_ulp;
                errors.push(if self.precision.half_ulp < 1e-15 || c.value() as f32 as f64 == c.value() { 0.0 } else { error });
            }
            Op::Count => numbers.push(inputs.samples as f64),
            Op::Data(k) => numbers.extend_from_slice(&inputs.data[*k as usize]),
            Op::Param(k) => numbers.extend_from_slice(&inputs.params[*k as usize]),
            Op::Elem(op) => {
                let same = *op == Elem::Eq && (is_extreme_of(dag, node.args[1], node.args[0]) || is_extreme_of(dag, node.args[0], node.args[1]));
                let step = super::is_step(*op);
                let args: Vec<(&Bounded, Vec<usize>)> = (0..node.args.len()).map(|k| (operand(k), index(k))).collect();
                let mut x = [0.0; 3];
                let mut ex = [0.0; 3];
                let mut mx = [0; 3];
                for e in 0..entries {
                    for i in 0..rows {
                        for (k, (b, index)) in args.iter().enumerate() {
                            (x[k], ex[k], mx[k]) = b.at(index[e], i);
                        }
                        // What a minimum is compared with to find where it was taken has its bits.
                        if same && x[0] == x[1] && args.iter().any(|(b, index)| b.is_alone(index[e], i)) {
                            ex = [0.0; 3];
                        }
                        let n = args.len();
                        let y = op.value(&x[..n]);
                        numbers.push(y);
                        let equal = n == 2 && mx[0] == mx[1];
                        if equal && matches!(op, Elem::Lt | Elem::Le | Elem::Gt | Elem::Ge | Elem::Eq | Elem::Ne | Elem::Sub) {
                            ex = [0.0; 3];
                        }
                        errors.push(self.elementwise(*op, step, &x[..n], &ex[..n], y));
                        // Some give an operand as it is.
                        marks.push(match op {
                            Elem::Abs if x[0] > 0.0 => mx[0],
                            Elem::Min | Elem::Max if equal => mx[0],
                            Elem::Min | Elem::Max if !near(x[0] - x[1], ex[0] + ex[1]) => mx[usize::from(y != x[0])],
                            Elem::Select if !near(x[0], ex[0]) => mx[if x[0] != 0.0 { 1 } else { 2 }],
                            _ => mark(how, mx[..n].iter().copied()),
                        });
                    }
                }
            }
            Op::Reduce(fold, Axis::Samples) => {
                let from = operand(0);
                for e in 0..entries {
                    let (y, error, one) = self.reduce(*fold, (0..inputs.samples).map(|i| from.at(e, i)));
                    numbers.push(y);
                    errors.push(error);
                    alone.push(one);
                    marks.push(mark(how, (0..inputs.samples).map(|i| from.at(e, i).2)));
                }
            }
            Op::Reduce(fold, Axis::Dim(_)) => {
                let from = operand(0);
                let mut groups = vec![Vec::new(); entries];
                for (e, target) in broadcast_index(node.shape.dims(), dag.shape(node.args[0]).dims()).into_iter().enumerate() {
                    groups[target].push(e);
                }
                for group in &groups {
                    for i in 0..rows {
                        let (y, error, one) = self.reduce(*fold, group.iter().map(|e| from.at(*e, i)));
                        numbers.push(y);
                        errors.push(error);
                        alone.push(one);
                        marks.push(mark(how, group.iter().map(|e| from.at(*e, i).2)));
                    }
                }
            }
            Op::Broadcast(_) => {
                for e in index(0) {
                    for i in 0..rows {
                        let (y, error, mark) = operand(0).at(e, i);
                        numbers.push(y);
                        errors.push(error);
                        marks.push(mark);
                        alone.push(operand(0).is_alone(e, i));
                    }
                }
            }
            Op::Arrange(a) => {
                for source in &a.sources {
                    for i in 0..rows {
                        let (y, error, mark) = source.map_or((0.0, 0.0, 0), |(k, e)| operand(k as usize).at(e as usize, i));
                        numbers.push(y);
                        errors.push(error);
                        marks.push(mark);
                        alone.push(source.is_some_and(|(k, e)| operand(k as usize).is_alone(e as usize, i)));
                    }
                }
            }
            Op::Gather => {
                for e in 0..entries {
                    for i in 0..rows {
                        let from = operand(1).at(0, i).0 as usize * entries + e;
                        let (y, error, mark) = operand(0).at(from, 0);
                        // A table entry is read in the samples' type.
                        numbers.push(y);
                        errors.push(error.max(if self.precision.half_ulp < 1e-15 || error == 0.0 && y as f32 as f64 == y {
                            0.0
                        } else {
                            y.abs() * self.precision.half_ulp
                        }));
                        marks.push(mark);
                    }
                }
            }
            Op::Dense(op) => {
                let shapes: Vec<_> = node.args.iter().map(|a| dag.shape(*a)).collect();
                let sizes = op.sizes(&shapes);
                let given = |k: usize| if k < node.args.len() { operand(k).value.numbers.clone() } else { Vec::new() };
                let run = |a: &[f64], b: &[f64]| {
                    let mut out = vec![0.0; entries];
                    op.run(a, b, &mut out, sizes);
                    out
                };
                numbers = run(&given(0), &given(1));
                errors = vec![0.0; entries];
                // What nudges of the operands' errors and last bits do, several times.
                for seed in 0..4u64 {
                    let mut sides = super::Numbers(seed);
                    let mut nudged = |k: usize| -> Vec<f64> {
                        let doubts = if k < node.args.len() { operand(k).errors.clone() } else { Vec::new() };
                        let mut move_one =
                            |(x, e): (f64, f64)| x + if sides.bits() & 1 == 0 { 1.0 } else { -1.0 } * e.max(2.0 * self.precision.half_ulp * x.abs());
                        given(k).into_iter().zip(doubts).map(&mut move_one).collect()
                    };
                    let (a, b) = (nudged(0), nudged(1));
                    for ((error, moved), y) in errors.iter_mut().zip(run(&a, &b)).zip(&numbers) {
                        let change = 16.0 * (moved - y).abs();
                        *error = if change.is_nan() { f64::INFINITY } else { error.max(change) };
                    }
                }
                let all = mark(how, (0..node.args.len()).flat_map(|k| operand(k).marks.clone()));
                marks.extend((0..entries as u64).map(|e| mark(all, [e].into_iter())));
            }
            Op::SumBy(groups) => {
                let width = entries / *groups as usize;
                for group in 0..*groups as usize {
                    for e in 0..width {
                        let members = (0..inputs.samples).filter(|i| operand(1).at(0, *i).0 as usize == group);
                        let (y, error, one) = self.reduce(Fold::Sum, members.clone().map(|i| operand(0).at(e, i)));
                        numbers.push(y);
                        errors.push(error);
                        alone.push(one);
                        marks.push(mark(how ^ group as u64, members.map(|i| operand(0).at(e, i).2)));
                    }
                }
            }
            Op::Reshape(_) | Op::Detach => {
                alone.extend_from_slice(&operand(0).alone);
                numbers.extend_from_slice(&operand(0).value.numbers);
                errors.extend_from_slice(&operand(0).errors);
                marks.extend_from_slice(&operand(0).marks);
            }
        }
        errors.resize(numbers.len(), 0.0);
        marks.resize(numbers.len(), 0);
        // An exact number is itself, however it was made.
        for (mark, x) in marks.iter_mut().zip(&numbers).zip(&errors).filter(|(_, e)| **e == 0.0).map(|(m, _)| m) {
            *mark = x.to_bits();
        }
        Bounded { value: Value { rows, numbers }, errors, marks, alone }
    }

    fn elementwise(&self, op: Elem, step: bool, x: &[f64], ex: &[f64], y: f64) -> f64 {
        match op {
            Elem::Lt | Elem::Le | Elem::Gt | Elem::Ge | Elem::Eq | Elem::Ne => return if near(x[0] - x[1], ex[0] + ex[1]) { 1.0 } else { 0.0 },
            Elem::Sign => return if near(x[0], ex[0]) { 2.0 } else { 0.0 },
            Elem::Select => {
                let chosen = if x[0] != 0.0 { ex[1] } else { ex[2] };
                return if near(x[0], ex[0]) && x[1].to_bits() != x[2].to_bits() { finite_or_unknown((x[1] - x[2]).abs() + ex[1].max(ex[2])) } else { chosen };
            }
            Elem::Min | Elem::Max if near(x[0] - x[1], ex[0] + ex[1]) => return finite_or_unknown(ex[0].max(ex[1])),
            _ => {}
        }
        if x.iter().any(|v| !v.is_finite()) || !y.is_finite() {
            // NaN from NaN, or from outside the domain, is certain; infinities may cancel or not in another order of operations.
            let certain = y.is_nan() && ex.iter().all(|e| *e == 0.0) && x.iter().all(|v| !v.is_infinite());
            let carried = y.is_nan() && x.iter().zip(ex).any(|(v, e)| v.is_nan() && *e == 0.0);
            return if certain || carried { 0.0 } else { f64::INFINITY };
        }
        let slopes = op.pullback(x, y, 1.0);
        let mut error: f64 = (0..x.len()).filter(|k| ex[*k] > 0.0).map(|k| (slopes[k] * ex[k]).abs()).sum();
        // First order is not enough for errors as large as a good part of the operand (an undecided comparison, above all), and says nothing of
        // a step: what is around is tried, 0 among it.
        let tried: Vec<usize> = (0..x.len()).filter(|k| ex[*k] > 0.0 && (step || ex[*k] > 1e-3 * x[*k].abs())).collect();
        let reach = if step { CARE } else { 1.0 };
        let mut moved = x.to_vec();
        for corner in 0..6usize.pow(tried.len() as u32) {
            let mut rest = corner;
            for k in &tried {
                moved[*k] = match rest % 6 {
                    5 if x[*k].abs() <= CARE * ex[*k] => 0.0,
                    n => x[*k] + (n.min(4) as f64 / 2.0 - 1.0) * reach * ex[*k],
                };
                rest /= 6;
            }
            let change = (op.value(&moved) - y).abs();
            error = if change.is_nan() { f64::INFINITY } else { error.max(change) };
        }
        if step {
            return finite_or_unknown(error);
        }
        let roundings = match op {
            Elem::Neg | Elem::Abs | Elem::Min | Elem::Max => return finite_or_unknown(error),
            Elem::Add | Elem::Sub | Elem::Mul | Elem::Div | Elem::Sqrt | Elem::Square | Elem::Recip => 1.0,
            Elem::Powi(n) => f64::from(n).abs() + 1.0,
            // Twice the stated bound in ulp of both sides.
            Elem::Tan | Elem::Sinh | Elem::Cosh | Elem::Hypot => 8.0,
            Elem::Erf | Elem::Erfc => 10.0,
            Elem::LnGamma | Elem::Digamma | Elem::Trigamma => 40.0,
            Elem::Polygamma(_) => 120.0,
            _ => 4.0,
        };
        // Near a zero these are good to an absolute error only, left of 0 of the larger term of the reflection.
        let reflected = |order: i32| {
            let pole = (std::f64::consts::PI / (std::f64::consts::PI * (x[0] - x[0].round())).sin()).abs();
            1.0 + x[0].abs() * x[0].abs().ln_1p() + 2.0 * pole.powi(order)
        };
        let absolute = self.precision.half_ulp
            * match op {
                Elem::LnGamma if x[0] < 0.0 => 16.0 * reflected(0),
                Elem::Digamma if x[0] < 0.0 => 40.0 * reflected(1),
                Elem::Trigamma if x[0] < 0.0 => 40.0 * reflected(2),
                Elem::Polygamma(n) if x[0] < 0.0 => 120.0 * reflected(n.clamp(0, 4) + 1),
                Elem::LnGamma | Elem::Digamma => 16.0,
                // The oracle's sum cancels near a zero.
                Elem::Logaddexp => 4.0 * x[0].abs().max(x[1].abs()),
                _ => 0.0,
            };
        // Every way to compute gives 0 of 0 (`sin`, products, quotients, `exp_m1`).
        if y == 0.0 && error == 0.0 && x.contains(&0.0) {
            return 0.0;
        }
        let underflow = if y.abs() < self.precision.tiny / self.precision.half_ulp { self.precision.tiny } else { 0.0 };
        finite_or_unknown(error + roundings * self.precision.half_ulp * y.abs() + absolute + underflow)
    }

    /// Value, error, and whether one term alone can be the extreme.
    fn reduce(&self, fold: Fold, terms: impl Iterator<Item = Number> + Clone) -> (f64, f64, bool) {
        let y = terms.clone().fold(fold.identity(), |a, (x, ..)| fold.combine(a, x));
        if fold == Fold::Sum {
            let (mut error, mut size, mut n) = (0.0, 0.0, 0.0f64);
            for (x, e, _) in terms {
                error += e;
                size += x.abs();
                n += 1.0;
            }
            if y.is_nan() {
                return (y, if error == 0.0 && size.is_nan() { 0.0 } else { f64::INFINITY }, false);
            }
            // In lanes (8 at least) inside a leaf of 4096 samples, pairwise beyond.
            let roundings = n.min(4096.0) / 8.0 + 8.0;
            return (y, finite_or_unknown(error + roundings * self.precision.half_ulp * size), false);
        }
        if !y.is_finite() {
            return (y, if y.is_nan() && terms.clone().any(|(x, e, _)| x.is_nan() && e == 0.0) { 0.0 } else { f64::INFINITY }, false);
        }
        // Whichever can be the extreme: the error of the winner, and of those within reach.
        let winners = terms.clone().filter(|(x, ..)| *x == y);
        let own = winners.clone().map(|(_, e, _)| e).fold(0.0, f64::max);
        let mut within = terms.filter(|(x, e, _)| (x - y).abs() <= CARE * (own + e));
        let error = within.clone().map(|(_, e, _)| e).fold(0.0, f64::max);
        let mark = within.next().map(|(.., m)| m);
        (y, error, within.all(|(.., m)| Some(m) == mark))
    }
}

/// Whether a gap may as well be none.
fn near(gap: f64, error: f64) -> bool {
    error > 0.0 && (gap.is_nan() || gap.abs() <= CARE * error)
}

fn finite_or_unknown(error: f64) -> f64 {
    if error.is_finite() { error } else { f64::INFINITY }
}

/// Whether one node is the minimum or maximum of the other, repetitions aside.
fn is_extreme_of(dag: &Dag, extreme: NodeId, of: NodeId) -> bool {
    let bare = |mut id: NodeId| {
        while matches!(dag.node(id).op, Op::Broadcast(_) | Op::Reshape(_)) {
            id = dag.node(id).args[0];
        }
        id
    };
    let node = dag.node(bare(extreme));
    matches!(node.op, Op::Reduce(Fold::Min | Fold::Max, _)) && bare(node.args[0]) == bare(of)
}

/// For each entry of `dims` in row-major order, the entry of `operand` that broadcasting reads there. The slow twin of the library's.
pub fn broadcast_index(operand: &[usize], dims: &[usize]) -> Vec<usize> {
    let total: usize = dims.iter().product();
    let mut out = Vec::with_capacity(total);
    for e in 0..total {
        let (mut rest, mut at, mut stride) = (e, 0, 1);
        for (axis, extent) in dims.iter().enumerate().rev() {
            let k = rest % extent;
            rest /= extent;
            let from_right = dims.len() - 1 - axis;
            if from_right < operand.len() {
                let own = operand[operand.len() - 1 - from_right];
                at += if own == 1 { 0 } else { k * stride };
                stride *= own;
            }
        }
        out.push(at);
    }
    out
}
