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
use std::sync::Arc;

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
            for k in 0..run {
                entry(first + k, &std::array::from_fn(|arg| at[arg] + k * step[arg]));
            }
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
    /// Each result is a number of an operand that begins at one of these slots, or 0.
    Arrange {
        out: usize,
        from: SmallVec<[usize; 3]>,
        arrangement: Arc<Arrangement>,
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
                Op::Const(_) | Op::Param(_) | Op::Count | Op::Data(_) => continue,
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
                Op::Broadcast(_) | Op::Detach => {
                    let (walk, from) = Walk::new(dag, slots, &node.args, node.shape.dims());
                    Instruction::Copy { out, entries, walk, from }
                }
                Op::Reshape(_) => {
                    let (walk, from) = Walk::new(dag, slots, &node.args, dag.shape(node.args[0]).dims());
                    Instruction::Copy { out, entries, walk, from }
                }
                Op::Arrange(a) => Instruction::Arrange { out, from: node.args.iter().map(|a| slots[a.index()]).collect(), arrangement: a.clone() },
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
        self.run_with(slots, |op, x| lower::elem(&mut arith::Scalar::<f64>::new(), op, x));
    }

    /// Runs over the slots, compiled into the caller; `elem` is [`lower::elem`] over numbers, as compiled for the caller.
    #[inline(always)]
    pub fn run_with(&self, slots: &mut [f64], elem: impl Fn(Elem, &[f64; 3]) -> f64) {
        for instruction in &self.instructions {
            match instruction {
                Instruction::Scalars(run) => {
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
                Instruction::Elem { op, out, entries, walk, args } => {
                    // Slots are given in the order of the nodes, so the operands lie before the result.
                    let (held, fresh) = slots.split_at_mut(*out);
                    if arithmetic(*op, args, held, &mut fresh[..*entries]) {
                        continue;
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
                Instruction::Arrange { out, from, arrangement } => {
                    for (e, source) in arrangement.sources.iter().enumerate() {
                        slots[out + e] = source.map_or(0.0, |(operand, at)| slots[from[operand as usize] + at as usize]);
                    }
                }
                Instruction::Dense { op, out, entries, left, right, sizes } => {
                    let (held, fresh) = slots.split_at_mut(*out);
                    op.run(&held[left.clone()], &held[right.clone()], &mut fresh[..*entries], *sizes);
                }
                Instruction::Fold { fold, out, from, outer, count, inner } => {
                    for e in 0..outer * inner {
                        let first = from + e / inner * (count * inner) + e % inner;
                        slots[out + e] = pairwise(*fold, slots, first, *inner, *count);
                    }
                }
            }
        }
    }
}

/// The four rules of arithmetic over long vectors, as loops that the compiler vectorises; the same operations as the lowering's. False where it
/// is something else.
fn arithmetic(op: Elem, args: &[Operand], held: &[f64], out: &mut [f64]) -> bool {
    enum Side<'a> {
        One(f64),
        Same(&'a [f64]),
    }
    let n = out.len();
    let side = |k: usize| match args.get(k).map(|a| (&a.index, a.base)) {
        Some((Index::One, base)) => Some(Side::One(held[base])),
        Some((Index::Same, base)) => Some(Side::Same(&held[base..base + n])),
        _ => None,
    };
    macro_rules! two {
        (|$x:ident, $y:ident| $f:expr) => {
            match (side(0), side(1)) {
                (Some(Side::Same(a)), Some(Side::Same(b))) => out.iter_mut().zip(a).zip(b).for_each(|((o, $x), $y)| *o = $f),
                (Some(Side::Same(a)), Some(Side::One(ref $y))) => out.iter_mut().zip(a).for_each(|(o, $x)| *o = $f),
                (Some(Side::One(ref $x)), Some(Side::Same(b))) => out.iter_mut().zip(b).for_each(|(o, $y)| *o = $f),
                _ => return false,
            }
        };
    }
    match (op, side(0)) {
        (Elem::Add, _) => two!(|x, y| x + y),
        (Elem::Sub, _) => two!(|x, y| x - y),
        (Elem::Mul, _) => two!(|x, y| x * y),
        (Elem::Div, _) => two!(|x, y| x / y),
        (Elem::Square, Some(Side::Same(a))) => out.iter_mut().zip(a).for_each(|(o, x)| *o = x * x),
        (Elem::Neg, Some(Side::Same(a))) => out.iter_mut().zip(a).for_each(|(o, x)| *o = -x),
        _ => return false,
    }
    true
}

/// A fold in halves, so that the error of a long sum grows with the logarithm of its length: `count` slots from `first` on, `step` apart.
fn pairwise(fold: Fold, slots: &[f64], first: usize, step: usize, count: usize) -> f64 {
    if count <= 16 {
        return (0..count).fold(fold.identity(), |a, k| fold.combine(a, slots[first + k * step]));
    }
    let left = count / 2;
    let right = pairwise(fold, slots, first + left * step, step, count - left);
    fold.combine(pairwise(fold, slots, first, step, left), right)
}
