//! The call stage's program: values without samples, computed in `f64` whatever the samples' type, by the same lowering and recipes as the
//! kernels, interpreted over one number.

use super::arith;
use super::lower;
use crate::graph::dense::Dense;
use crate::graph::{Axis, Dag, Fold, NodeId, Op};
use crate::op::Elem;
use crate::shape::{Shape, broadcast_index};
use smallvec::SmallVec;
use std::ops::Range;

/// An operand: where it starts among the slots, and which entry is read for each entry of the result.
#[derive(Clone, Debug)]
struct Operand {
    base: usize,
    index: Index,
}

#[derive(Clone, Debug)]
enum Index {
    /// Always the first.
    One,
    /// The same entry.
    Same,
    /// By table.
    Table(Vec<usize>),
}

impl Operand {
    fn of(dag: &Dag, slots: &[usize], id: NodeId, dims: &[usize]) -> Self {
        let shape = dag.shape(id);
        let entries: usize = dims.iter().product();
        let index = if shape.entries() == 1 {
            Index::One
        } else if shape.entries() == entries {
            Index::Same
        } else {
            Index::Table(broadcast_index(shape.dims(), dims))
        };
        Operand { base: slots[id.index()], index }
    }

    #[inline]
    fn at(&self, e: usize) -> usize {
        self.base
            + match &self.index {
                Index::One => 0,
                Index::Same => e,
                Index::Table(table) => table[e],
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
        args: SmallVec<[Operand; 3]>,
    },
    Copy {
        out: usize,
        entries: usize,
        from: Operand,
    },
    /// Each result is a slot's number, or 0.
    Arrange {
        out: usize,
        sources: Vec<Option<usize>>,
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
    /// Each group of slots folds into one result.
    Fold {
        fold: Fold,
        out: usize,
        groups: Vec<Vec<usize>>,
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
                    let args = node.args.iter().map(|a| Operand::of(dag, slots, *a, node.shape.dims())).collect();
                    Instruction::Elem { op: *op, out, entries, args }
                }
                Op::Broadcast(to) => Instruction::Copy { out, entries, from: Operand::of(dag, slots, node.args[0], to.dims()) },
                Op::Reshape(_) | Op::Detach => Instruction::Copy { out, entries, from: Operand { base: slots[node.args[0].index()], index: Index::Same } },
                Op::Arrange(a) => {
                    let source = |(operand, e): (u32, u32)| slots[node.args[operand as usize].index()] + e as usize;
                    Instruction::Arrange { out, sources: a.sources.iter().map(|s| s.map(source)).collect() }
                }
                Op::Reduce(fold, Axis::Dim(_)) => {
                    let mut groups = vec![Vec::new(); entries];
                    let base = slots[node.args[0].index()];
                    for (e, target) in broadcast_index(node.shape.dims(), dag.shape(node.args[0]).dims()).into_iter().enumerate() {
                        groups[target].push(base + e);
                    }
                    Instruction::Fold { fold: *fold, out, groups }
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
                Instruction::Elem { op, out, entries, args } => {
                    // Slots are given in the order of the nodes, so the operands lie before the result.
                    let (held, fresh) = slots.split_at_mut(*out);
                    if arithmetic(*op, args, held, &mut fresh[..*entries]) {
                        continue;
                    }
                    for e in 0..*entries {
                        let mut x = [0.0; 3];
                        for (x, arg) in x.iter_mut().zip(args) {
                            *x = slots[arg.at(e)];
                        }
                        slots[out + e] = elem(*op, &x);
                    }
                }
                Instruction::Copy { out, entries, from } => {
                    for e in 0..*entries {
                        slots[out + e] = slots[from.at(e)];
                    }
                }
                Instruction::Arrange { out, sources } => {
                    for (e, source) in sources.iter().enumerate() {
                        slots[out + e] = source.map_or(0.0, |at| slots[at]);
                    }
                }
                Instruction::Dense { op, out, entries, left, right, sizes } => {
                    let (held, fresh) = slots.split_at_mut(*out);
                    op.run(&held[left.clone()], &held[right.clone()], &mut fresh[..*entries], *sizes);
                }
                Instruction::Fold { fold, out, groups } => {
                    for (e, group) in groups.iter().enumerate() {
                        slots[out + e] = pairwise(*fold, group, slots);
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

/// A fold in halves, so that the error of a long sum grows with the logarithm of its length.
fn pairwise(fold: Fold, group: &[usize], slots: &[f64]) -> f64 {
    if group.len() <= 16 {
        return group.iter().fold(fold.identity(), |a, at| fold.combine(a, slots[*at]));
    }
    let (left, right) = group.split_at(group.len() / 2);
    fold.combine(pairwise(fold, left, slots), pairwise(fold, right, slots))
}
