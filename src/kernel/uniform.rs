//! The call stage's program: values without samples, computed in `f64` whatever the samples' type, by the same lowering and recipes as the
//! kernels, interpreted over one number.

use super::arith;
use super::lower;
use crate::graph::dense::Dense;
use crate::graph::{Arrangement, Axis, Dag, Fold, NodeId, Op};
use crate::op::Elem;
use crate::shape::{Dims, Shape, strides};
use smallvec::SmallVec;
use std::ops::Range;

/// An operand: where it starts among the slots, and how its entries follow those of the result.
#[derive(Clone, Debug)]
struct Operand {
    base: usize,
    index: Index,
}

#[derive(Clone, Debug, PartialEq)]
enum Index {
    /// Always the first.
    One,
    /// The same entry.
    Same,
    /// For each axis of the [`Walk`] how far it moves.
    Strides(Dims),
}

/// The entries of a result in row-major order, by the fewest axes that all operands move evenly along. No list of entries: a value may have
/// millions of them, and a formula that says so is one line.
#[derive(Clone, Debug, Default)]
struct Walk {
    axes: Dims,
}

/// Axes of extent 1 are left out of a walk, and no value has 2^32 entries.
const MOST_AXES: usize = 32;

impl Walk {
    /// The walk over `dims`, and these operands along it.
    fn new(dag: &Dag, slots: &[usize], args: &[NodeId], dims: &[usize]) -> (Self, SmallVec<[Operand; 3]>) {
        let entries: usize = dims.iter().product();
        let each: SmallVec<[Dims; 3]> = args.iter().map(|a| strides(dag.shape(*a).dims(), dims)).collect();
        let mut walk = Walk::default();
        let mut moves: SmallVec<[Dims; 3]> = args.iter().map(|_| Dims::new()).collect();
        for (axis, extent) in dims.iter().enumerate().filter(|(_, extent)| **extent > 1) {
            let on = |(moves, own): (&Dims, &Dims)| moves.last().is_some_and(|step| *step == own[axis] * extent);
            if let Some(last) = walk.axes.last_mut()
                && moves.iter().zip(&each).all(on)
            {
                *last *= extent;
                moves.iter_mut().zip(&each).for_each(|(moves, own)| *moves.last_mut().expect("the walk has an axis") = own[axis]);
            } else {
                walk.axes.push(*extent);
                moves.iter_mut().zip(&each).for_each(|(moves, own)| moves.push(own[axis]));
            }
        }
        let operand = |(a, moves): (&NodeId, Dims)| {
            let index = match dag.shape(*a).entries() {
                1 => Index::One,
                n if n == entries => Index::Same,
                _ => Index::Strides(moves),
            };
            Operand { base: slots[a.index()], index }
        };
        (walk, args.iter().zip(moves).map(operand).collect())
    }

    /// Visits every entry of the result with each operand's slot; an absent operand stays at slot 0.
    #[inline(always)]
    fn visit(&self, args: &[Operand], mut entry: impl FnMut(usize, &[usize; 3])) {
        self.runs(args, |first, run, at, step| {
            for k in 0..run {
                entry(first + k, &std::array::from_fn(|arg| at[arg] + k * step[arg]));
            }
        });
    }

    /// Visits the entries along the last axis, again for each index of the others: the first entry, how many, and for each operand its slot and how far
    /// it moves from entry to entry.
    #[inline(always)]
    fn runs(&self, args: &[Operand], mut along: impl FnMut(usize, usize, &[usize; 3], &[usize; 3])) {
        let (run, outer) = self.axes.split_last().map_or((1, &[][..]), |(run, outer)| (*run, outer));
        let mut at = [0; 3];
        let mut step = [0; 3];
        for ((at, step), arg) in at.iter_mut().zip(&mut step).zip(args) {
            *at = arg.base;
            *step = match &arg.index {
                Index::One => 0,
                Index::Same => 1,
                Index::Strides(moves) => moves.last().copied().unwrap_or_default(),
            };
        }
        let mut index = [0; MOST_AXES];
        let mut first = 0;
        loop {
            along(first, run, &at, &step);
            first += run;
            // The axes from `turned` on have ended and begin again; the one before goes on. If none does, that was all.
            let mut turned = outer.len();
            loop {
                if turned == 0 {
                    return;
                }
                index[turned - 1] += 1;
                if index[turned - 1] < outer[turned - 1] {
                    break;
                }
                index[turned - 1] = 0;
                turned -= 1;
            }
            for (at, arg) in at.iter_mut().zip(args) {
                match &arg.index {
                    Index::One => {}
                    Index::Same => *at += run,
                    Index::Strides(moves) => {
                        *at += moves[turned - 1];
                        for axis in turned..outer.len() {
                            *at -= moves[axis] * (outer[axis] - 1);
                        }
                    }
                }
            }
        }
    }
}

/// One number from numbers: slot from slots. An operation of fewer than three operands repeats its first.
#[derive(Clone, Copy, Debug)]
struct Scalar {
    op: Elem,
    out: u32,
    args: [u32; 3],
}

/// Entries of an arrangement, one after the other, that come from slots evenly apart; or zeros.
#[derive(Clone, Copy, Debug)]
struct Piece {
    len: u32,
    /// The slot of the first; `None` for zeros.
    from: Option<u32>,
    step: i32,
}

/// An arrangement of operands that begin at these slots, in pieces from its first entry on, each as long as it goes.
fn pieces(arrangement: &Arrangement, operands: &[usize]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for source in &arrangement.sources {
        let slot = source.map(|(operand, at)| operands[operand as usize] as u32 + at);
        if let Some(last) = out.last_mut() {
            let fits = match (last.from, slot) {
                (None, None) => true,
                // The second says how far apart they are.
                (Some(first), Some(slot)) => {
                    let apart = i64::from(slot) - i64::from(first);
                    if last.len == 1 {
                        last.step = i32::try_from(apart).unwrap_or(0);
                    }
                    apart == i64::from(last.len) * i64::from(last.step)
                }
                _ => false,
            };
            if fits {
                last.len += 1;
                continue;
            }
        }
        out.push(Piece { len: 1, from: slot, step: 0 });
    }
    out
}

#[derive(Clone, Debug)]
enum Instruction {
    /// A run of these: the common case, without index arithmetic.
    Scalars(Vec<Scalar>),
    Elem {
        op: Elem,
        out: usize,
        entries: usize,
        walk: Walk,
        args: SmallVec<[Operand; 3]>,
    },
    Copy {
        out: usize,
        entries: usize,
        walk: Walk,
        from: SmallVec<[Operand; 3]>,
    },
    /// Numbers from anywhere, and zeros.
    Arrange {
        out: usize,
        pieces: Vec<Piece>,
    },
    /// Linear algebra of a batch of matrices.
    Dense {
        op: Dense,
        out: usize,
        entries: usize,
        left: Range<usize>,
        right: Range<usize>,
        sizes: [usize; 3],
    },
    /// Folds over one dimension: `outer` times `inner` results, each of `count` numbers that lie `inner` apart.
    Fold {
        fold: Fold,
        out: usize,
        from: usize,
        outer: usize,
        count: usize,
        inner: usize,
    },
}

/// A straight-line program over slots.
#[derive(Clone, Debug, Default)]
pub struct UniformProgram {
    instructions: Vec<Instruction>,
}

impl UniformProgram {
    /// The program that computes these nodes. Inputs, constants and the count have their slots filled already.
    pub fn new(dag: &Dag, slots: &[usize], nodes: &[NodeId]) -> Self {
        let mut instructions: Vec<Instruction> = Vec::new();
        for id in nodes {
            let node = dag.node(*id);
            let out = slots[id.index()];
            let entries = node.shape.entries();
            let instruction = match &node.op {
                // The slots of inputs are filled already; the same numbers in another shape have the same slots.
                Op::Const(_) | Op::Param(_) | Op::Count | Op::Data(_) | Op::Reshape(_) | Op::Detach => continue,
                Op::Elem(op) if entries == 1 => {
                    let at = |k: usize| slots[node.args.get(k).unwrap_or(&node.args[0]).index()] as u32;
                    let scalar = Scalar { op: *op, out: out as u32, args: [at(0), at(1), at(2)] };
                    if let Some(Instruction::Scalars(run)) = instructions.last_mut() {
                        run.push(scalar);
                        continue;
                    }
                    Instruction::Scalars(vec![scalar])
                }
                Op::Elem(op) => {
                    let (walk, args) = Walk::new(dag, slots, &node.args, node.shape.dims());
                    Instruction::Elem { op: *op, out, entries, walk, args }
                }
                Op::Broadcast(_) => {
                    let (walk, from) = Walk::new(dag, slots, &node.args, node.shape.dims());
                    Instruction::Copy { out, entries, walk, from }
                }
                Op::Arrange(a) => {
                    let operands: SmallVec<[usize; 3]> = node.args.iter().map(|a| slots[a.index()]).collect();
                    Instruction::Arrange { out, pieces: pieces(a, &operands) }
                }
                Op::Reduce(fold, Axis::Dim(k)) => {
                    let dims = dag.shape(node.args[0]).dims();
                    let (outer, rest) = dims.split_at(dims.len() - 1 - *k as usize);
                    let (count, inner) = (rest[0], rest[1..].iter().product());
                    Instruction::Fold { fold: *fold, out, from: slots[node.args[0].index()], outer: outer.iter().product(), count, inner }
                }
                Op::Dense(op) => {
                    let shapes: SmallVec<[&Shape; 2]> = node.args.iter().map(|a| dag.shape(*a)).collect();
                    let range = |k: usize| node.args.get(k).map_or(0..0, |a| slots[a.index()]..slots[a.index()] + dag.shape(*a).entries());
                    Instruction::Dense { op: *op, out, entries, left: range(0), right: range(1), sizes: op.sizes(&shapes) }
                }
                Op::Gather => unreachable!("a gathered row belongs to a sample"),
                Op::Reduce(_, Axis::Samples) | Op::SumBy(_) => unreachable!("a pass computes reductions over samples"),
            };
            instructions.push(instruction);
        }
        UniformProgram { instructions }
    }

    /// How many instructions there are.
    pub fn len(&self) -> usize {
        self.instructions.iter().map(|i| if let Instruction::Scalars(run) = i { run.len() } else { 1 }).sum()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.instructions.is_empty()
    }

    /// Runs over the slots, compiled for the baseline.
    pub fn run(&self, slots: &mut [f64]) {
        let elem = |op: Elem, x: &[f64; 3]| lower::elem(&mut arith::Scalar::<f64>::new(), op, x);
        self.run_with(slots, elem, |long, slots| long.run(slots, elem));
    }

    /// Runs over the slots, compiled into the caller; `elem` is [`lower::elem`] over numbers, as compiled for the caller, and `long` is [`Long::run`], a
    /// function by itself: what it needs room for, the few numbers of most call stages don't.
    #[inline(always)]
    pub fn run_with(&self, slots: &mut [f64], elem: impl Fn(Elem, &[f64; 3]) -> f64, long: impl Fn(Long<'_>, &mut [f64])) {
        for instruction in &self.instructions {
            let Instruction::Scalars(run) = instruction else {
                long(Long(instruction), slots);
                continue;
            };
            for Scalar { op, out, args } in run {
                let x = |k: usize| slots[args[k] as usize];
                // The common ones need no call.
                slots[*out as usize] = match op {
                    Elem::Add => x(0) + x(1),
                    Elem::Sub => x(0) - x(1),
                    Elem::Mul => x(0) * x(1),
                    Elem::Div => x(0) / x(1),
                    Elem::Square => x(0) * x(0),
                    Elem::Recip => 1.0 / x(0),
                    Elem::Neg => -x(0),
                    other => elem(*other, &[x(0), x(1), x(2)]),
                };
            }
        }
    }
}

/// An instruction that is anything but a run of scalars.
#[derive(Clone, Copy, Debug)]
pub struct Long<'p>(&'p Instruction);

impl Long<'_> {
    /// Runs it over the slots; `elem` as in [`UniformProgram::run_with`].
    #[inline(always)]
    pub fn run(&self, slots: &mut [f64], elem: impl Fn(Elem, &[f64; 3]) -> f64) {
        match self.0 {
            Instruction::Scalars(_) => unreachable!("the program runs them itself"),
            Instruction::Elem { op, out, entries, walk, args } => {
                // Slots are given in the order of the nodes, so the operands lie before the result.
                let (held, fresh) = slots.split_at_mut(*out);
                if arithmetic(*op, walk, args, held, &mut fresh[..*entries]) {
                    return;
                }
                walk.visit(args, |e, at| {
                    let x = at.map(|at| held[at]);
                    fresh[e] = elem(*op, &x);
                });
            }
            Instruction::Copy { out, entries, walk, from } => {
                let (held, fresh) = slots.split_at_mut(*out);
                match &from[0] {
                    Operand { base, index: Index::Same } => fresh[..*entries].copy_from_slice(&held[*base..base + entries]),
                    _ => walk.visit(from, |e, at| fresh[e] = held[at[0]]),
                }
            }
            Instruction::Arrange { out, pieces } => {
                let (held, mut fresh) = slots.split_at_mut(*out);
                for Piece { len, from, step } in pieces {
                    let (now, later) = fresh.split_at_mut(*len as usize);
                    match (from.map(|from| from as usize), *step) {
                        (None, _) => now.fill(0.0),
                        (Some(from), 1) => now.copy_from_slice(&held[from..from + now.len()]),
                        (Some(from), step) => now.iter_mut().enumerate().for_each(|(k, o)| *o = held[from.wrapping_add_signed(k as isize * step as isize)]),
                    }
                    fresh = later;
                }
            }
            Instruction::Dense { op, out, entries, left, right, sizes } => {
                let (held, fresh) = slots.split_at_mut(*out);
                op.run(&held[left.clone()], &held[right.clone()], &mut fresh[..*entries], *sizes);
            }
            Instruction::Fold { fold, out, from, outer, count, inner } => {
                for o in 0..*outer {
                    let (from, out) = (from + o * count * inner, out + o * inner);
                    // Neighbours side by side, each with its own sums in its own order.
                    let mut e = 0;
                    while e + BESIDE <= *inner {
                        let folded: [f64; BESIDE] = pairwise(*fold, slots, from + e, *inner, *count);
                        slots[out + e..][..BESIDE].copy_from_slice(&folded);
                        e += BESIDE;
                    }
                    for e in e..*inner {
                        [slots[out + e]] = pairwise(*fold, slots, from + e, *inner, *count);
                    }
                }
            }
        }
    }
}

/// The four rules of arithmetic, as loops along the last axis that the compiler vectorises; the same operations as the lowering's. False where it
/// is something else.
#[inline(always)]
fn arithmetic(op: Elem, walk: &Walk, args: &[Operand], held: &[f64], out: &mut [f64]) -> bool {
    macro_rules! along {
        (|$x:ident, $y:ident| $f:expr) => {{
            let f = |$x: f64, $y: f64| $f;
            walk.runs(args, |first, n, at, step| {
                let out = &mut out[first..first + n];
                match (step[0], step[1]) {
                    (1, 1) => out.iter_mut().zip(&held[at[0]..at[0] + n]).zip(&held[at[1]..at[1] + n]).for_each(|((o, x), y)| *o = f(*x, *y)),
                    (1, 0) => out.iter_mut().zip(&held[at[0]..at[0] + n]).for_each(|(o, x)| *o = f(*x, held[at[1]])),
                    (0, 1) => out.iter_mut().zip(&held[at[1]..at[1] + n]).for_each(|(o, y)| *o = f(held[at[0]], *y)),
                    (s, t) => out.iter_mut().enumerate().for_each(|(k, o)| *o = f(held[at[0] + k * s], held[at[1] + k * t])),
                }
            });
        }};
    }
    match op {
        Elem::Add => along!(|x, y| x + y),
        Elem::Sub => along!(|x, y| x - y),
        Elem::Mul => along!(|x, y| x * y),
        Elem::Div => along!(|x, y| x / y),
        Elem::Square => along!(|x, _y| x * x),
        Elem::Neg => along!(|x, _y| -x),
        _ => return false,
    }
    true
}

/// Folds of neighbours that are made together.
const BESIDE: usize = 8;

/// Folds of neighbours in halves, so that the error of a long sum grows with the logarithm of its length: `count` slots from `first` on, `step` apart, and as many from the
/// next slot on.
#[inline(always)]
fn pairwise<const N: usize>(fold: Fold, slots: &[f64], first: usize, step: usize, count: usize) -> [f64; N] {
    match fold {
        Fold::Sum => halves(&|a, b| a + b, fold.identity(), slots, first, step, count),
        _ => halves(&|a, b| fold.combine(a, b), fold.identity(), slots, first, step, count),
    }
}

fn halves<const N: usize>(combine: &impl Fn(f64, f64) -> f64, identity: f64, slots: &[f64], first: usize, step: usize, count: usize) -> [f64; N] {
    if count <= 16 {
        let mut held = [identity; N];
        for k in 0..count {
            held.iter_mut().zip(&slots[first + k * step..][..N]).for_each(|(a, x)| *a = combine(*a, *x));
        }
        return held;
    }
    let left = count / 2;
    let mut held: [f64; N] = halves(combine, identity, slots, first, step, left);
    let right: [f64; N] = halves(combine, identity, slots, first + left * step, step, count - left);
    held.iter_mut().zip(right).for_each(|(a, b)| *a = combine(*a, b));
    held
}
