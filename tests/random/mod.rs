//! Random graphs as proptest values: a recipe of steps that shrinks, turned into a graph with inputs in the same way every time.

// Compiled into each binary that names it, and each uses its own part: `native` the leaves, `rules` the numbers, `properties` nearly all. So some functions
// are dead and some re-exports unused in one binary or another; none is in all.
#![allow(dead_code, unused_imports)]

pub mod bounds;
pub mod leaf;
mod run;
pub mod slope;

use bounds::{Bounds, Precision};
use proptest::prelude::*;
pub use run::{cases, check, fail};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tapeless::graph::dense::Dense;
use tapeless::graph::eval::Inputs;
use tapeless::graph::{Args, Arrangement, Axis, Dag, Fold, NodeId, Op, text};
use tapeless::op::Elem;
use tapeless::shape::Shape;

/// One step of a recipe. Every number has a meaning: what doesn't fit is taken modulo, or replaced by what does.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    kind: u8,
    op: u8,
    picks: [u8; 3],
    extra: u8,
    squash: bool,
}

impl From<[u8; 7]> for Step {
    fn from([kind, op, a, b, c, extra, squash]: [u8; 7]) -> Self {
        Step { kind, op, picks: [a, b, c], extra, squash: squash % 2 == 1 }
    }
}

/// A graph to be. Shows as the graph.
#[derive(Clone)]
pub struct Recipe {
    pub style: Style,
    /// How many samples.
    pub samples: usize,
    /// Where inputs' numbers come from.
    pub seed: u32,
    /// Inputs in halves: many ties and kinks.
    pub coarse: bool,
    pub steps: Vec<Step>,
    /// How the loss is made of what the steps leave.
    pub ending: u8,
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recipe { samples, seed, coarse, steps, ending, .. } = self;
        writeln!(f, "{samples} samples, seed {seed}, coarse {coarse}, ending {ending}, {steps:?}")?;
        let built = catch_unwind(AssertUnwindSafe(|| build(self).describe()));
        f.write_str(&built.unwrap_or_else(|_| "(the recipe can't be followed)".into()))
    }
}

/// What kind of graphs.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Out of which operations.
    pub ops: fn(Elem) -> bool,
    /// Operands are taken as they are, in the domain or not.
    pub wild: bool,
    /// Numbers per node, at most.
    pub work: usize,
    /// Samples: mostly up to this.
    pub samples: usize,
    /// Steps at most.
    pub steps: usize,
    /// Whether inputs may be coarse.
    pub coarse: bool,
}

impl Style {
    pub const ALL: Style = Style { ops: |_| true, wild: false, work: 4000, samples: 200, steps: 14, coarse: true };

    /// Any recipe for this style.
    pub fn recipes(self) -> impl Strategy<Value = Recipe> {
        let short = 1..=self.samples.min(40);
        let long = 1..=self.samples;
        // More than a leaf.
        let longest = if self.samples >= 200 { 4090..=5200usize } else { 1..=self.samples };
        let samples = prop_oneof![60 => short, 38 => long, 2 => longest];
        let step = (any::<u8>(), any::<u8>(), any::<[u8; 3]>(), any::<u8>(), any::<bool>());
        let step = step.prop_map(|(kind, op, picks, extra, squash)| Step { kind, op, picks, extra, squash });
        let coarse = if self.coarse { prop::bool::weighted(0.15).boxed() } else { Just(false).boxed() };
        (samples, any::<u32>(), coarse, prop::collection::vec(step, 1..=self.steps), any::<u8>())
            .prop_map(move |(samples, seed, coarse, steps, ending)| Recipe { style: self, samples, seed, coarse, steps, ending })
    }
}

/// Whether the operation has a second derivative everywhere (polygamma functions of higher orders for positive arguments only).
pub fn is_smooth(op: Elem) -> bool {
    !matches!(op, Elem::Abs | Elem::Relu | Elem::Min | Elem::Max | Elem::Select | Elem::Polygamma(_) | Elem::Trigamma) && !is_step(op)
}

/// Whether the operation has derivative 0 everywhere: comparisons, logic, rounding.
pub fn is_step(op: Elem) -> bool {
    thread_local! {
        static KNOWN: RefCell<HashMap<Elem, bool>> = RefCell::default();
    }
    let probe = || {
        let mut numbers = Numbers(1);
        // A power of 0 is as smooth as can be.
        op.attribute() != Some(0)
            && (0..16).all(|_| {
                let x: Vec<f64> = op.ranges().iter().map(|(lo, hi)| lo + (hi - lo) * numbers.unit()).collect();
                op.pullback(&x, op.value(&x), 1.0).into_iter().all(|d| d == 0.0)
            })
    };
    KNOWN.with_borrow_mut(|known| *known.entry(op).or_insert_with(probe))
}

/// A graph with numbers for its inputs.
pub struct Built {
    /// Its only output is the loss.
    pub dag: Dag,
    pub inputs: Inputs,
    /// The value of every step, in order.
    pub pool: Vec<NodeId>,
    pub loss: NodeId,
}

impl Built {
    /// Graph and sizes, for messages.
    pub fn describe(&self) -> String {
        format!("{} samples\n{}", self.inputs.samples, text::print(&self.dag.without_dead_nodes()))
    }

    /// The columns of data input `k`.
    pub fn columns(&self, k: usize) -> Vec<&[f64]> {
        columns(&self.inputs, k)
    }
}

/// The columns of data input `k`.
pub fn columns(inputs: &Inputs, k: usize) -> Vec<&[f64]> {
    inputs.data[k].chunks(inputs.samples.max(1)).collect()
}

/// SplitMix64, and numbers made of it.
#[derive(Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Near 0, by about 1.
    pub fn around(&mut self) -> f64 {
        (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) * 1.7
    }
}

const DATA: [(&str, &[usize]); 7] = [("x", &[]), ("y", &[]), ("pair", &[2]), ("column", &[3, 1]), ("row", &[1, 3]), ("long", &[70]), ("wide", &[5, 20])];
const PARAMS: [(&str, &[usize]); 8] =
    [("a", &[]), ("b", &[]), ("three", &[3]), ("tower", &[2, 1, 1]), ("square", &[3, 3]), ("far", &[70]), ("five", &[5, 1]), ("twenty", &[20])];
const CONSTANTS: [f64; 8] = [2.0, 0.5, 1.0, -1.0, 0.0, 3.25, -0.3, 10.0];
const POWERS: [i32; 12] = [2, 3, -1, 0, 1, -2, 4, 5, -3, 7, 16, -5];
/// Values stay below this.
const LARGE: f64 = 1e4;

struct Builder {
    dag: Dag,
    inputs: Inputs,
    bounds: Bounds,
    numbers: Numbers,
    coarse: bool,
    style: Style,
    pool: Vec<NodeId>,
    ops: Vec<Elem>,
}

/// Follows a recipe.
pub fn build(recipe: &Recipe) -> Built {
    let style = recipe.style;
    let mut builder = Builder {
        dag: Dag::new(),
        inputs: Inputs { samples: recipe.samples, data: Vec::new(), params: Vec::new() },
        bounds: Bounds::new(Precision::F64),
        numbers: Numbers(u64::from(recipe.seed)),
        coarse: recipe.coarse,
        style,
        pool: Vec::new(),
        ops: Elem::ALL.iter().copied().filter(|op| (style.ops)(*op)).collect(),
    };
    // There is always a column, and something to differentiate by.
    let x = builder.data(0);
    let a = builder.param(0);
    builder.pool.extend([a, x]);
    for step in &recipe.steps {
        let made = builder.step(step);
        let tamed = builder.tame(made);
        builder.pool.push(tamed);
    }
    let loss = builder.loss(recipe.ending);
    builder.dag.output("loss", loss);
    Built { dag: builder.dag, inputs: builder.inputs, pool: builder.pool, loss }
}

impl Builder {
    fn push(&mut self, op: Op, args: &[NodeId]) -> Option<NodeId> {
        let shape = self.dag.infer(&op, args)?;
        let rows = if shape.varies_over_samples() { self.inputs.samples } else { 1 };
        // Single numbers per sample are always allowed.
        if shape.entries() > 4 && shape.entries() * rows > self.style.work {
            return None;
        }
        let id = self.dag.push(op, Args::from_slice(args), None)?;
        self.bounds.extend(&self.dag, &self.inputs);
        Some(id)
    }

    fn must(&mut self, op: Op, args: &[NodeId]) -> NodeId {
        self.push(op, args).expect("fits by construction")
    }

    fn elem(&mut self, op: Elem, args: &[NodeId]) -> NodeId {
        self.must(Op::Elem(op), args)
    }

    fn constant(&mut self, c: f64) -> NodeId {
        self.must(Op::Const(c.into()), &[])
    }

    fn fresh(&mut self, n: usize) -> Vec<f64> {
        let coarse = self.coarse;
        let mut one = || {
            let x = self.numbers.around();
            // Numbers of `f32`, so that programs of both types see the same.
            if coarse { (x * 2.0).round() / 2.0 } else { f64::from(x as f32) }
        };
        (0..n).map(|_| one()).collect()
    }

    fn data(&mut self, k: usize) -> NodeId {
        let (name, dims) = DATA[k];
        if let Some(at) = self.dag.data().iter().position(|i| i.name == name) {
            return self.must(Op::Data(at as u32), &[]);
        }
        let n = dims.iter().product::<usize>() * self.inputs.samples;
        let numbers = self.fresh(n);
        self.inputs.data.push(numbers);
        let id = self.dag.add_data(name, Shape::per_sample(dims), None);
        self.bounds.extend(&self.dag, &self.inputs);
        id
    }

    fn param(&mut self, k: usize) -> NodeId {
        let (name, dims) = PARAMS[k];
        if let Some(at) = self.dag.params().iter().position(|i| i.name == name) {
            return self.must(Op::Param(at as u32), &[]);
        }
        let numbers = self.fresh(dims.iter().product());
        self.inputs.params.push(numbers);
        let id = self.dag.add_param(name, Shape::new(dims), None);
        self.bounds.extend(&self.dag, &self.inputs);
        id
    }

    fn leaf(&mut self, k: usize) -> NodeId {
        let big = self.inputs.samples * 100 <= self.style.work;
        match k % 32 {
            k @ 0..8 => self.constant(CONSTANTS[k]),
            8 => self.must(Op::Count, &[]),
            k @ 9..15 => self.param(k % 2),
            k @ 15..20 => self.data(k % 2),
            k @ 20..23 => self.data(k - 18),
            k @ 23..26 => self.param(k - 21),
            k @ 26..28 if big => self.data(k - 21),
            k @ 28..31 if big => self.param(k - 23),
            k => self.data(k % 5),
        }
    }

    fn pick(&mut self, p: u8) -> NodeId {
        let (how, k) = (p % 4, usize::from(p / 4));
        let len = self.pool.len();
        match how {
            0 | 1 => self.pool[len - 1 - k % len.min(4)],
            2 => self.pool[k % len],
            _ => self.leaf(k),
        }
    }

    fn varies(&self, id: NodeId) -> bool {
        self.dag.shape(id).varies_over_samples()
    }

    fn step(&mut self, step: &Step) -> NodeId {
        let extra = usize::from(step.extra);
        let first = self.pick(step.picks[0]);
        let dims: Vec<usize> = self.dag.shape(first).dims().to_vec();
        match step.kind {
            160..162 if self.varies(first) && (self.style.ops)(Elem::Exp) && (self.style.ops)(Elem::Ln) => self.log_sum_exp(first, extra),
            160..180 if self.varies(first) => self.over_samples(first, extra),
            // Used again for every sample.
            180..195 if self.varies(first) => {
                let one = self.over_samples(first, extra);
                let op = [Elem::Sub, Elem::Mul, Elem::Add, Elem::Max][extra / 4 % 4];
                let op = if (self.style.ops)(op) { op } else { Elem::Sub };
                self.elem(op, &[first, one])
            }
            195..215 if !dims.is_empty() => {
                let made = self.over_dim(first, extra / 4 % dims.len(), extra);
                if extra % 32 < 16 { self.without_axis(made, extra / 4 % dims.len()) } else { made }
            }
            215..222 => self.over_all(first, extra),
            222..229 => self.arranged(first, step),
            229..236 if !dims.is_empty() => {
                let entries: usize = dims.iter().product();
                let mut options = vec![
                    vec![entries],
                    vec![1, entries],
                    vec![entries, 1],
                    dims.iter().rev().copied().collect(),
                    dims.iter().copied().filter(|d| *d != 1).collect(),
                ];
                options.extend((2..entries).filter(|k| entries.is_multiple_of(*k)).map(|k| vec![k, entries / k]));
                let to = &options[extra % options.len()];
                self.must(Op::Reshape(to.as_slice().into()), &[first])
            }
            236..243 => self.by_labels(first, extra),
            243..250 => {
                let mut to = dims.clone();
                if extra.is_multiple_of(2) || to.is_empty() {
                    to.insert(0, [2, 3, 1, 5][extra / 4 % 4]);
                }
                if extra.is_multiple_of(3) {
                    for d in &mut to {
                        if *d == 1 {
                            *d = 3;
                        }
                    }
                }
                let shape = if self.varies(first) { Shape::per_sample(&to) } else { Shape::new(&to) };
                if shape == *self.dag.shape(first) { first } else { self.push(Op::Broadcast(shape), &[first]).unwrap_or(first) }
            }
            250..253 if !self.varies(first) => self.dense(first, extra),
            _ => self.operation(step, first),
        }
    }

    /// Dense linear algebra of a matrix without samples: a product, a factor, a solve.
    fn dense(&mut self, first: NodeId, extra: usize) -> NodeId {
        let matrix = self.param(4);
        let dims = self.dag.shape(matrix).dims().to_vec();
        let other = if self.dag.shape(first).dims() == dims.as_slice() {
            first
        } else {
            let one = self.over_dims(first, Fold::Sum);
            self.must(Op::Broadcast(Shape::new(&dims)), &[one])
        };
        let other = self.squashed(other, -2.0, 2.0);
        let product = self.must(Op::Dense(Dense::Matmul), &[matrix, other]);
        // M M^T + c I, so that there is a factor.
        let transposed = Op::Arrange(Arc::new(Arrangement { dims: dims.as_slice().into(), sources: (0..9).map(|k| Some((0, k % 3 * 3 + k / 3))).collect() }));
        let transposed = self.must(transposed, &[other]);
        let square = self.must(Op::Dense(Dense::Matmul), &[other, transposed]);
        let two = self.constant(2.0);
        let diagonal = Op::Arrange(Arc::new(Arrangement { dims: dims.as_slice().into(), sources: (0..9).map(|k| (k % 4 == 0).then_some((0, 0))).collect() }));
        let diagonal = self.must(diagonal, &[two]);
        let definite = self.elem(Elem::Add, &[square, diagonal]);
        let factor = self.must(Op::Dense(Dense::Cholesky), &[definite]);
        match extra % 4 {
            0 => product,
            1 => factor,
            2 => self.must(Op::Dense(Dense::SolveLower), &[factor, matrix]),
            _ => self.must(Op::Dense(Dense::SolveLowerTransposed), &[factor, matrix]),
        }
    }

    /// A row for each sample, or a sum for each group.
    fn by_labels(&mut self, first: NodeId, extra: usize) -> NodeId {
        let made = if self.varies(first) {
            let groups = [3, 1, 7, 70][extra % 4];
            let labels = self.labels(groups);
            self.push(Op::SumBy(groups as u32), &[first, labels])
        } else {
            let Some(rows) = self.dag.shape(first).dims().first().copied() else {
                // The label as a number, compared.
                let labels = self.labels(3);
                return self.elem(Elem::Eq, &[labels, first]);
            };
            let labels = self.labels(rows);
            self.push(Op::Gather, &[first, labels])
        };
        made.unwrap_or(first)
    }

    /// A column of labels below a number.
    fn labels(&mut self, below: usize) -> NodeId {
        let name = format!("label{below}");
        if let Some(at) = self.dag.data().iter().position(|i| i.name == name) {
            return self.must(Op::Data(at as u32), &[]);
        }
        let numbers = (0..self.inputs.samples).map(|_| (self.numbers.bits() % below as u64) as f64).collect();
        self.inputs.data.push(numbers);
        let id = self.dag.add_labels(&name, below as u32, None);
        self.bounds.extend(&self.dag, &self.inputs);
        id
    }

    /// Entries of two values in another order: some twice, some not at all, some 0; or all of one, transposed.
    fn arranged(&mut self, first: NodeId, step: &Step) -> NodeId {
        let second = self.pick(step.picks[1]);
        let entries = |b: &Self, id| b.dag.shape(id).entries() as u64;
        let (m, n) = (entries(self, first), entries(self, second));
        let mut numbers = Numbers(u64::from(step.extra));
        let dims: Vec<usize> = self.dag.shape(first).dims().to_vec();
        let (to, sources): (Vec<usize>, Vec<_>) = if step.squash && dims.len() > 1 {
            let to: Vec<usize> = dims.iter().rev().copied().collect();
            let transposed = (0..m as usize).map(|e| {
                let (mut rest, mut at) = (e, 0);
                for d in &dims {
                    at = at * d + rest % d;
                    rest /= d;
                }
                Some((0, at as u32))
            });
            (to.clone(), transposed.collect())
        } else {
            let to = [vec![2], vec![3], vec![3, 3], vec![], vec![2, 2], vec![1, 3], vec![5], vec![70]][usize::from(step.op) % 8].clone();
            let source = |_| match numbers.bits() % 8 {
                0 => None,
                1..5 => Some((0, (numbers.bits() % m) as u32)),
                _ => Some((1, (numbers.bits() % n) as u32)),
            };
            (to.clone(), (0..to.iter().product::<usize>()).map(source).collect())
        };
        let op = Op::Arrange(Arc::new(Arrangement { dims: to.as_slice().into(), sources }));
        self.push(op, &[first, second]).unwrap_or(first)
    }

    fn operation(&mut self, step: &Step, first: NodeId) -> NodeId {
        let mut op = self.ops[usize::from(step.op) % self.ops.len()];
        if let Elem::Powi(_) = op {
            op = Elem::Powi(POWERS[usize::from(step.extra) % POWERS.len()]);
        }
        let mut args = vec![first];
        for k in 1..op.arity() {
            let next = self.pick(step.picks[k]);
            args.push(next);
            // What doesn't fit, or makes too many numbers, becomes its mean.
            if self.dag.infer(&Op::Elem(op), &pad(&args, op.arity())).is_none() || !self.affordable(op, &args) {
                args[k] = self.over_dims(next, Fold::Sum);
            }
            if !self.affordable(op, &args) {
                args = args.into_iter().map(|a| self.over_dims(a, Fold::Sum)).collect();
            }
        }
        if !self.style.wild {
            let ranges = op.ranges();
            for k in 0..args.len() {
                if step.squash && step.extra.is_multiple_of(4) || !self.is_safe(op, &args) {
                    let (lo, hi) = ranges[k];
                    args[k] = self.squashed(args[k], lo, hi);
                    // One is often enough.
                    if self.is_safe(op, &args) && !step.squash {
                        break;
                    }
                }
            }
        }
        self.elem(op, &args)
    }

    fn affordable(&self, op: Elem, args: &[NodeId]) -> bool {
        let Some(shape) = self.dag.infer(&Op::Elem(op), &pad(args, op.arity())) else { return false };
        shape.entries() <= 4 || shape.entries() * if shape.varies_over_samples() { self.inputs.samples } else { 1 } <= self.style.work
    }

    /// Whether value and slopes are finite and moderate for the numbers at hand.
    fn is_safe(&self, op: Elem, args: &[NodeId]) -> bool {
        let Some(shape) = self.dag.infer(&Op::Elem(op), args) else { return false };
        let operands: Vec<_> =
            args.iter().map(|a| (&self.bounds.nodes[a.index()].value, bounds::broadcast_index(self.dag.shape(*a).dims(), shape.dims()))).collect();
        let rows = if shape.varies_over_samples() { self.inputs.samples } else { 1 };
        let moderate = |x: f64| x.abs() <= LARGE;
        (0..shape.entries()).all(|e| {
            (0..rows).all(|i| {
                let x: Vec<f64> = operands.iter().map(|(v, index)| v.at(index[e], if v.rows == 1 { 0 } else { i })).collect();
                let y = op.value(&x);
                moderate(y) && op.pullback(&x, y, 1.0).into_iter().all(moderate)
            })
        })
    }

    /// `lo + (hi - lo) sigmoid(x)`
    fn squashed(&mut self, x: NodeId, lo: f64, hi: f64) -> NodeId {
        let s = self.elem(Elem::Sigmoid, &[x]);
        let (lo, width) = (self.constant(lo), self.constant(hi - lo));
        let scaled = self.elem(Elem::Mul, &[width, s]);
        self.elem(Elem::Add, &[lo, scaled])
    }

    fn tame(&mut self, id: NodeId) -> NodeId {
        let small = self.bounds.nodes[id.index()].value.numbers.iter().all(|x| x.abs() <= LARGE);
        if small || self.style.wild { id } else { self.squashed(id, -3.0, 3.0) }
    }

    fn over_samples(&mut self, x: NodeId, extra: usize) -> NodeId {
        let fold = if (self.style.ops)(Elem::Max) { Fold::ALL[[0, 1, 2, 0][extra % 4]] } else { Fold::Sum };
        let folded = self.must(Op::Reduce(fold, Axis::Samples), &[x]);
        if fold != Fold::Sum || extra % 4 == 3 {
            return folded;
        }
        let n = self.must(Op::Count, &[]);
        self.elem(Elem::Div, &[folded, n])
    }

    /// The logarithm of the sum of exponentials over samples, of moderate or of large exponents, at times of a mean, at times over dimensions too.
    fn log_sum_exp(&mut self, x: NodeId, extra: usize) -> NodeId {
        let x = if self.style.wild { x } else { self.squashed(x, -3.0, 3.0) };
        let steep = self.constant([1.0, 0.25, -2.0, 1.0][extra % 4]);
        let x = self.elem(Elem::Mul, &[x, steep]);
        let e = self.elem(Elem::Exp, &[x]);
        let e = if (extra / 4).is_multiple_of(3) { self.over_dims(e, Fold::Sum) } else { e };
        let mut sum = self.must(Op::Reduce(Fold::Sum, Axis::Samples), &[e]);
        if extra.is_multiple_of(2) {
            let n = self.must(Op::Count, &[]);
            sum = self.elem(Elem::Div, &[sum, n]);
        }
        self.elem(Elem::Ln, &[sum])
    }

    fn over_dim(&mut self, x: NodeId, from_right: usize, extra: usize) -> NodeId {
        let fold = if (self.style.ops)(Elem::Max) { Fold::ALL[[0, 1, 2, 0][extra % 4]] } else { Fold::Sum };
        let extent = { self.dag.shape(x).dims()[self.dag.shape(x).dims().len() - 1 - from_right] };
        let folded = self.must(Op::Reduce(fold, Axis::Dim(from_right as u32)), &[x]);
        if fold != Fold::Sum || extra % 4 == 3 {
            return folded;
        }
        let n = self.constant(extent as f64);
        self.elem(Elem::Div, &[folded, n])
    }

    fn without_axis(&mut self, x: NodeId, from_right: usize) -> NodeId {
        let mut dims: Vec<usize> = self.dag.shape(x).dims().to_vec();
        dims.remove(dims.len() - 1 - from_right);
        self.must(Op::Reshape(dims.as_slice().into()), &[x])
    }

    /// One number per sample, or one number. A sum is divided: it is a mean.
    fn over_dims(&mut self, x: NodeId, fold: Fold) -> NodeId {
        let mut out = x;
        let dims: Vec<usize> = self.dag.shape(x).dims().to_vec();
        let entries: usize = dims.iter().product();
        for k in 0..dims.len() {
            out = self.must(Op::Reduce(fold, Axis::Dim(k as u32)), &[out]);
        }
        if !dims.is_empty() {
            out = self.must(Op::Reshape(Default::default()), &[out]);
        }
        if fold == Fold::Sum && entries > 1 {
            let n = self.constant(entries as f64);
            out = self.elem(Elem::Div, &[out, n]);
        }
        out
    }

    fn over_all(&mut self, x: NodeId, extra: usize) -> NodeId {
        let fold = if (self.style.ops)(Elem::Max) { Fold::ALL[[0, 1, 2, 0][extra % 4]] } else { Fold::Sum };
        let out = self.over_dims(x, fold);
        if !self.varies(out) {
            return out;
        }
        let out = self.must(Op::Reduce(fold, Axis::Samples), &[out]);
        if fold != Fold::Sum || extra % 4 == 3 {
            return out;
        }
        let n = self.must(Op::Count, &[]);
        self.elem(Elem::Div, &[out, n])
    }

    /// One number out of the last steps that nothing uses, and of the parameter.
    fn loss(&mut self, ending: u8) -> NodeId {
        let mut used = vec![false; self.dag.nodes().len()];
        for node in self.dag.nodes() {
            for a in &node.args {
                used[a.index()] = true;
            }
        }
        let mut ends: Vec<NodeId> = self.pool.iter().rev().copied().filter(|id| !used[id.index()]).take(4).collect();
        ends.dedup();
        let mut total: Option<NodeId> = None;
        for (k, id) in ends.into_iter().enumerate() {
            let extra = usize::from(ending) / (1 + 2 * k);
            let mut one = self.over_all(id, extra);
            if extra % 5 == 1 {
                one = self.squashed(one, 0.5, 2.5);
                one = self.elem(Elem::Ln, &[one]);
            }
            total = Some(match total {
                Some(t) => self.elem(if extra % 3 == 2 { Elem::Mul } else { Elem::Add }, &[t, one]),
                None => one,
            });
        }
        let total = total.expect("a pool is not empty");
        let mut of_params = vec![false; self.dag.nodes().len()];
        for id in self.dag.ids() {
            of_params[id.index()] = matches!(self.dag.node(id).op, Op::Param(_)) || self.dag.node(id).args.iter().any(|a| of_params[a.index()]);
        }
        if of_params[total.index()] {
            return total;
        }
        let a = self.param(0);
        self.elem(Elem::Mul, &[a, total])
    }
}

/// As many operands as the operation has, the missing ones like the first.
fn pad(args: &[NodeId], arity: usize) -> Vec<NodeId> {
    let mut out = args.to_vec();
    out.resize(arity, args[0]);
    out
}
