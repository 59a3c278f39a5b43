//! Long chains in two halves: the main loop computes the second half of one group of blocks beside the first half of the next one.
//!
//! A chain through `exp`, `ln` and two divisions takes longer than its group has operations for, and the group after it is further off than a CPU looks ahead. So the loop is turned:
//!
//! ```text
//! first       first half of group 0
//! turn        second half of group k, first half of group k + 1, their operations in one order
//! second      second half of the last group
//! ```
//! What the second half takes from the first lies in the frame from one turn to the next. All folds are in the second half, so each keeps the order of the blocks: the bits are the interpreter's.

use super::beside::{self, BLOCKS, UNROLLED};
use super::isa::Isa;
use super::machine::{Home, Kind, Op, Program, Val, Value};
use super::order;

/// Operations of a group from which on it is cut, if its longest chain takes [`CHAIN`] quarters of a cycle or more for each of a block's operations. Measured (Zen 3 server, 512 samples, cycles a
/// sample without and with, `f64`): logistic 13.4, 11.9, on 10 columns 22.2, 18.8, Huber's loss 13.8, 12.4, Student-t 10.5, 8.9; exponential decay, whose groups have 68, 5.9, 6.1. With
/// AVX-512 nothing was measured: by LLVM's models of Zen 4, Sapphire Rapids and Ice Lake the logistic on 10 columns takes 0.64, 0.57 and 0.56 of the cycles.
const LONG: usize = 96;
/// See [`LONG`].
const CHAIN: usize = 6;
/// Cycles of the longest chain from which on shorter groups are cut too: about as long as what a CPU has in view takes. Measured as for [`LONG`], the value alone: logistic 8.3, 7.4, Huber's
/// loss 8.4, 7.5, in `f32` 3.06, 3.02 and 3.06, 3.02, logistic on 10 columns in `f32` 4.5, 3.8; the `tanh` of a perceptron, a chain of 86, no difference.
const FAR: u32 = 100;
/// Where a chain is cut at the latest, in twentieths of it: where fewest values pass, but a first half that is much the longer one ends late in its turn. Measured as for [`LONG`] with two
/// thirds, 11 and 10 twentieths: logistic 9.6, 9.2, 9.1 (the value alone 7.4, 7.2, 7.2), on 10 columns 15.0, 14.3, 14.3 (12.0, 8.9, 9.0), Huber's loss 10.3, 11.5, 11.1 (7.5, 7.2, 7.2).
const LATEST: u32 = 11;
/// Values of a block that pass from one half to the other, at most.
const PASSING: usize = 6;
/// How far ahead an operation may be taken, at least: what isn't urgent is late already, so less is alive than in a block in its own order. Measured (Zen 3 server, 1,500 samples, cycles a
/// sample with 24, 48, 96, 160): logistic 10.88, 10.82, 10.64, 10.62, on 10 columns 17.08, 16.03, 16.09, 16.00, `f32` 7.44, 7.43, 7.36, 7.34, Huber's loss 11.5, 11.6, 10.9, 11.1; Student-t 8.1 with any.
const WINDOW: usize = 96;

/// The three programs of the loop.
pub struct Halves {
    /// First half of a group.
    pub first: Program,
    /// Second half of a group, and first half of the next one, whose blocks are numbered on.
    pub both: Program,
    /// Second half of a group.
    pub second: Program,
    /// Vectors that lie in the frame in between.
    pub handed: usize,
}

/// When each operation has to start at the latest for the longest chain to be no longer, and that chain's length.
fn latest(program: &Program) -> (Vec<u32>, u32) {
    let mut at = vec![0; program.values.len()];
    let mut all = 0;
    for op in &program.ops {
        let end = args(op).map(|v| at[v.index()]).max().unwrap_or(0) + order::latency(op);
        if op.result != Val::NONE {
            at[op.result.index()] = end;
        }
        all = all.max(end);
    }
    let mut needed = vec![all; program.values.len()];
    let mut late = vec![0; program.ops.len()];
    for (k, op) in program.ops.iter().enumerate().rev() {
        let end = if op.result == Val::NONE { all } else { needed[op.result.index()] };
        late[k] = end - order::latency(op);
        for v in args(op) {
            needed[v.index()] = needed[v.index()].min(late[k]);
        }
    }
    (late, all)
}

fn args(op: &Op) -> impl Iterator<Item = Val> {
    op.args.into_iter().filter(|v| *v != Val::NONE)
}

/// A group of blocks in two halves, if that pays and its chains can be cut where few values pass.
pub fn halves<I: Isa>(program: &Program) -> Option<Halves> {
    let n = program.ops.len();
    let fits = || beside::computed(program) <= if I::MASKS { I::REGISTERS / BLOCKS } else { I::REGISTERS };
    if !(order::FEW..=UNROLLED / BLOCKS).contains(&n) || !fits() {
        return None;
    }
    let (late, all) = latest(program);
    if BLOCKS * n < LONG && all < FAR || all as usize * 4 < CHAIN * n {
        return None;
    }
    let mut times: Vec<u32> = late.iter().copied().filter(|t| (all / 3..=all * LATEST / 20).contains(t)).collect();
    times.sort_unstable();
    times.dedup();
    let cuts = times.into_iter().filter_map(|at| Some((passing(program, &late, at)?, at)));
    let (passing, at) = cuts.min_by_key(|(values, at)| (values.len(), at.abs_diff(all / 2)))?;
    let cut = Cut { program, late, at, passing };
    (cut.passing.len() <= PASSING).then(|| cut.halves(WINDOW.max(BLOCKS * order::window(I::MASKS))))
}

/// The computed values that are made before a time and used after it; none if a mask is among them.
fn passing(program: &Program, late: &[u32], at: u32) -> Option<Vec<Val>> {
    let made = program.ops.iter().zip(late).filter(|(op, late)| **late < at && op.result != Val::NONE).map(|(op, _)| op.result);
    let out: Vec<Val> = made.filter(|v| program.uses(*v).iter().any(|u| late[*u as usize] >= at)).collect();
    (!out.iter().any(|v| program.values[v.index()].mask)).then_some(out)
}

/// Where a block's operations are cut: those that have to start before a time, and the others.
struct Cut<'p> {
    program: &'p Program,
    late: Vec<u32>,
    at: u32,
    passing: Vec<Val>,
}

/// One half's operations of a block, each with the time from the half's start by which it has to start.
struct Half {
    ops: Vec<(u32, Op)>,
    first: bool,
}

impl Cut<'_> {
    fn halves(&self, window: usize) -> Halves {
        let (first, second) = (self.half(true), self.half(false));
        Halves {
            first: self.side_by_side(&[&first], window),
            both: self.side_by_side(&[&second, &first], window),
            second: self.side_by_side(&[&second], window),
            handed: self.passing.len() * BLOCKS,
        }
    }

    fn half(&self, first: bool) -> Half {
        let mut ops = Vec::with_capacity(self.program.ops.len() + self.passing.len());
        let none = [Val::NONE; 3];
        for (op, late) in self.program.ops.iter().zip(&self.late) {
            let passes = self.passing.iter().position(|v| *v == op.result);
            let made = late + order::latency(op);
            if let (false, Some(k)) = (first, passes) {
                // Before the next one takes its place.
                let uses = self.program.uses(op.result).iter().map(|u| self.late[*u as usize]).filter(|late| *late >= self.at);
                let needed = uses.min().unwrap_or(self.at) - self.at;
                ops.push((needed.min(made), Op { kind: Kind::Handed(k as u32), args: none, ..*op }));
            }
            if (*late < self.at) == first {
                ops.push((if first { *late } else { late - self.at }, *op));
            }
            if let (true, Some(k)) = (first, passes) {
                ops.push((made, Op { kind: Kind::Hand(k as u32), args: [op.result, Val::NONE, Val::NONE], result: Val::NONE, ..*op }));
            }
        }
        Half { ops, first }
    }

    /// Halves of so many groups of blocks as one program, what has to start first first.
    fn side_by_side(&self, halves: &[&Half], window: usize) -> Program {
        let program = self.program;
        let n = program.values.len();
        // What the first half reads was asked for there.
        let mut read = vec![false; n];
        let first = program.ops.iter().zip(&self.late).filter(|(_, late)| **late < self.at);
        first.flat_map(|(op, _)| args(op)).for_each(|v| read[v.index()] = program.values[v.index()].home != Home::Computed);
        let (mut timed, mut values) = (Vec::new(), Vec::with_capacity(halves.len() * BLOCKS * n));
        for (from, half) in halves.iter().enumerate() {
            for (time, op) in &half.ops {
                for block in 0..BLOCKS {
                    let number = from * BLOCKS + block;
                    let at = |v: Val| if v == Val::NONE || program.is_invariant(v) { v } else { Val(v.0 + (number * n) as u32) };
                    let place = |k: u32| k * BLOCKS as u32 + block as u32;
                    let kind = match op.kind {
                        Kind::Hand(k) => Kind::Hand(place(k)),
                        Kind::Handed(k) => Kind::Handed(place(k)),
                        other => other,
                    };
                    timed.push((*time, Op { kind, args: op.args.map(at), result: at(op.result), block: number as u8, ..*op }));
                }
            }
            for _ in 0..BLOCKS {
                values.extend(program.values.iter().zip(&read).map(|(value, read)| Value { again: *read && !half.first, ..*value }));
            }
        }
        timed.sort_by_key(|(time, _)| *time);
        let mut ops = timed.into_iter().map(|(_, op)| op).collect();
        order::interleave(&mut ops, values.len(), window);
        Program::of(values, ops, program.strided.clone(), program.dims.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::{Avx2, Avx512};
    use super::super::machine::Pool;
    use super::*;
    use crate::graph::Fold;
    use crate::kernel::ir::{Access, Bin, Inst, Kernel, V};

    /// `x`, so many times multiplied by itself and added to a sum.
    fn chain(n: u32) -> Program {
        let mut insts = vec![Inst::Column(Access::fixed(0))];
        insts.extend((0..n).map(|k| Inst::Bin(Bin::Mul, V(k), V(0))));
        insts.push(Inst::Accumulate(Fold::Sum, Access::fixed(0), V(n)));
        Program::new::<f64>(&Kernel { insts, ..Kernel::default() }, &mut Pool::default(), false).unwrap()
    }

    #[test]
    fn a_chain_is_cut_in_its_middle() {
        let halves = halves::<Avx2>(&chain(60)).unwrap();
        assert_eq!(halves.handed, BLOCKS);
        // 60 products and a sum, and a value handed on.
        let lengths = [&halves.first, &halves.second, &halves.both].map(|p| p.ops.len() / BLOCKS);
        assert_eq!(lengths[2], 60 + 1 + 2);
        assert_eq!(lengths[0] + lengths[1], lengths[2]);
        assert!(lengths[0].abs_diff(lengths[1]) <= 2, "{lengths:?}");
        let place = |kind: Kind| halves.both.ops.iter().position(|op| op.kind == kind).unwrap();
        for n in 0..BLOCKS as u32 {
            assert!(place(Kind::Handed(n)) < place(Kind::Hand(n)), "what lies in the frame is taken before it is written over");
        }
        // The second half is the earlier group's.
        let folds: Vec<u8> = halves.both.ops.iter().filter(|op| matches!(op.kind, Kind::Accumulate(..))).map(|op| op.block).collect();
        assert_eq!(folds, [0, 1]);
    }

    #[test]
    fn what_has_enough_to_do_stays_whole() {
        assert!(halves::<Avx512>(&chain(60)).is_some());
        assert!(halves::<Avx512>(&chain(FAR / 4 - 2)).is_none(), "few operations");
        assert!(halves::<Avx512>(&chain(LONG as u32 / 2 - 8)).is_some(), "few, but in a long chain");
        assert!(halves::<Avx512>(&chain(UNROLLED as u32 / 2)).is_none(), "too many");
    }
}
