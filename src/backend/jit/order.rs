//! The order of a block's operations: long chains side by side instead of one after the other.
//!
//! A CPU runs ahead of what waits, but only so far: with a chain of forty operations behind another one it fills up with operations that wait. So a
//! machine with two units and plenty of patience is played here, and its order is the order of the code. What it may look ahead bounds how many
//! values are alive at the same time.

use super::isa::Vop;
use super::machine::{Entry, Kind, Op, Val};
use crate::known::Known;

/// How far ahead of the oldest operation that waits another one may be taken, with 32 registers. Measured (one thread, data in cache, Zen 5 server,
/// 2026-11-22; ns a sample without, with 32, 64, 96): softmax of 10 classes 23.4, 22.0, 21.6, 21.8; a perceptron of 64 by 64 237, 239, 235, 235.
const AHEAD: usize = 64;
/// With 16: softmax without, with 24, 48: 52.6, 50.7, 59.5 (what is alive no longer fits).
const AHEAD_OF_FEW: usize = 24;
/// How far ahead on a machine with mask registers, or without.
pub fn window(masks: bool) -> usize {
    if masks { AHEAD } else { AHEAD_OF_FEW }
}

/// Operations below which all of a block fits into what a CPU looks at.
pub const FEW: usize = 16;
/// Operations begun in a cycle.
const WIDTH: u32 = 2;

/// Puts operations that wait behind those that needn't.
pub fn interleave(ops: &mut Vec<Op>, values: usize, window: usize) {
    let n = ops.len();
    if n < FEW {
        return;
    }
    const UNKNOWN: u32 = u32::MAX;
    // When each value is there; what is in memory always is.
    let mut at = vec![0u32; values];
    for op in ops.iter().filter(|op| op.result != Val::NONE) {
        at[op.result.index()] = UNKNOWN;
    }
    // What each fold comes after.
    let after_fold = folds(ops);
    let mut done = vec![false; if after_fold.is_empty() { 0 } else { n }];
    // What each operation was last seen to wait for: a value that wasn't begun.
    let mut waits = vec![Val::NONE; n];
    let mut order = Vec::with_capacity(n);
    // The operations that wait, oldest first, as a list.
    let mut next: Vec<usize> = (1..=n).collect();
    let (mut first, mut cycle) = (0, 0);
    while first < n {
        let (mut begun, mut soonest) = (0, UNKNOWN);
        let (mut before, mut k) = (None, first);
        for _ in 0..window {
            if k == n || begun == WIDTH {
                break;
            }
            let after = next[k];
            if after_fold.get(k).is_some_and(|of| *of != NO_FOLD && !done[*of as usize]) {
                (before, k) = (Some(k), after);
                continue;
            }
            if waits[k] != Val::NONE && at[waits[k].index()] == UNKNOWN {
                (before, k) = (Some(k), after);
                continue;
            }
            let mut ready = 0;
            for v in ops[k].args.iter().filter(|v| **v != Val::NONE) {
                ready = ready.max(at[v.index()]);
                if at[v.index()] == UNKNOWN {
                    waits[k] = *v;
                }
            }
            if ready <= cycle {
                if ops[k].result != Val::NONE {
                    at[ops[k].result.index()] = cycle + latency(&ops[k]);
                }
                order.push(k);
                if let Some(done) = done.get_mut(k) {
                    *done = true;
                }
                begun += 1;
                match before {
                    None => first = after,
                    Some(before) => next[before] = after,
                }
            } else {
                soonest = soonest.min(ready);
                before = Some(k);
            }
            k = after;
        }
        cycle = if begun > 0 { cycle + 1 } else { soonest };
    }
    *ops = order.into_iter().map(|k| ops[k]).collect();
}

/// No fold.
const NO_FOLD: u32 = u32::MAX;

/// For each operation the fold that comes before it; nothing if none does. Into an accumulator: the one before it into the same, block by block. Into
/// tile buffers, where entries may be the same under two names: the one before it in its block. Into the frame: what takes the value that lies there, for an earlier block.
fn folds(ops: &[Op]) -> Vec<u32> {
    #[derive(PartialEq, Eq, Hash)]
    enum Into {
        Accumulator(Entry),
        Tile(u8),
        Frame(u32),
    }
    let mut all: Vec<(u8, usize, Into)> = Vec::new();
    for (k, op) in ops.iter().enumerate() {
        match op.kind {
            Kind::Accumulate(_, e) | Kind::AccumulateProduct(e) => all.push((op.block, k, Into::Accumulator(e))),
            Kind::Fold(..) | Kind::FoldProduct(..) => all.push((op.block, k, Into::Tile(op.block))),
            Kind::Hand(n) | Kind::Handed(n) => all.push((op.block, k, Into::Frame(n))),
            _ => {}
        }
    }
    all.sort_unstable_by_key(|(block, k, _)| (*block, *k));
    let mut last: Known<Into, usize> = Known::default();
    let mut out = Vec::new();
    for (_, k, into) in all {
        if let Some(before) = last.insert(into, k) {
            out.resize(ops.len(), NO_FOLD);
            out[k] = before as u32;
        }
    }
    out
}

/// Cycles until the value is there: typical of today's server CPUs.
pub fn latency(op: &Op) -> u32 {
    match op.kind {
        Kind::Two { op: Vop::Div, .. } => 14,
        Kind::One { op: Vop::Sqrt, .. } => 20,
        Kind::One { .. } => 6,
        Kind::Two { op: Vop::And | Vop::Or | Vop::Xor | Vop::IntAdd | Vop::IntSub, .. } | Kind::Shift { .. } | Kind::Masks(_) | Kind::MaskNot => 1,
        Kind::Select | Kind::Patch(_) => 2,
        _ => 4,
    }
}
