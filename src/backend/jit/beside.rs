//! Two blocks side by side: where one block's chains leave the CPU waiting and the registers hold the values of two, the main loop computes two at
//! once, their operations in one order (`order.rs`).
//!
//! ```text
//! turn        while whole groups of blocks are left
//!   block 0, block 1: exp's range reduction, exp's range reduction, ..
//!   folds into an accumulator in the order of the blocks: the bits are the interpreter's
//! ```

use super::isa::Isa;
use super::machine::{Home, Program, Val};
use super::order;

/// How many blocks. Measured (one thread, 131,072 samples of `f64`, AVX-512, Zen 5 server, 2026-11-22; the time of one block after the other is 1): exponential
/// decay 0.81, logistic 0.87, Student-t 0.85.
///
/// AVX2's 15 registers hold a block and a half of these, and CPUs without AVX-512 look less far ahead: two pay although some values go through the frame, as long as no more are alive in one block
/// than there are registers (4096 samples, Zen 3 server): decay 0.84, Poisson 0.94, Student-t 0.91, logistic 0.78, on 10 columns 0.86, Huber's loss 0.86; with more, a sine 1.21, an 8-dimensional Gaussian 1.3.
/// (AVX2 forced on the Zen 5 server, whose window is twice as long: decay 1.5, logistic 0.88, Student-t 1.27.)
pub const BLOCKS: usize = 2;

/// Operations of an unrolled loop, at most: beyond, the code of a loop would leave the instruction cache for nothing.
pub const UNROLLED: usize = 400;

/// Two blocks as one program, if that pays: `entries` accumulators have so many `vectors` each.
pub fn pair<I: Isa>(program: &Program, entries: usize, vectors: usize) -> Option<Program> {
    let n = program.ops.len();
    // Short ones are unrolled and few enough that a CPU sees several blocks of them.
    let chains = n >= order::FEW && BLOCKS.max(vectors) * n <= UNROLLED;
    let fits = || if I::MASKS { BLOCKS * pressure(program) + entries * vectors <= I::REGISTERS } else { computed(program) <= I::REGISTERS };
    (chains && fits()).then(|| program.side_by_side(BLOCKS, BLOCKS * order::window(I::MASKS)))
}

/// Computed values, and columns read more than once, that are alive at the same time, at most.
pub fn pressure(program: &Program) -> usize {
    alive(program, true)
}

/// Computed values that are alive at the same time, at most: a column can be read again.
pub fn computed(program: &Program) -> usize {
    alive(program, false)
}

fn alive(program: &Program, columns: bool) -> usize {
    let (mut now, mut most) = (0usize, 0);
    let counts = |v: Val| {
        let value = &program.values[v.index()];
        !value.mask && (value.home == Home::Computed || columns && !program.is_invariant(v) && program.uses(v).len() > 1)
    };
    for (k, op) in program.ops.iter().enumerate() {
        for (j, v) in op.args.iter().enumerate().filter(|(_, v)| **v != Val::NONE && counts(**v)) {
            if program.values[v.index()].home != Home::Computed && program.uses(*v)[0] == k as u32 && !op.args[..j].contains(v) {
                now += 1;
            }
        }
        most = most.max(now);
        for (j, v) in op.args.iter().enumerate().filter(|(_, v)| **v != Val::NONE && counts(**v)) {
            if program.uses(*v).last() == Some(&(k as u32)) && !op.args[..j].contains(v) {
                now -= 1;
            }
        }
        if op.result != Val::NONE && counts(op.result) && !program.uses(op.result).is_empty() {
            now += 1;
        }
        most = most.max(now);
    }
    most
}
