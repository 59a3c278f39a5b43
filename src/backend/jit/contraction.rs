//! Sums over a dimension that stay in registers: some blocks of samples go through the nest together, so that `z[k] += x[j] * w[j, k]` reads each `x`
//! and each `w` once for several products, and `z` is read and written once for all `j`:
//!
//! ```text
//! turn      while whole groups of blocks are left
//!   for k by some                 sums of these entries and blocks into registers
//!     for j                       w[j, k..] into registers; for each block x[j], and a product for each of its sums
//!                                 sums back into the tile
//!   the same for other parts of the nest, if there are any
//! rest      what is left, point by point
//! ```
//! Each sum has the order of `j`, whoever else is in registers beside it: the bits are the interpreter's.

use super::body::{Rm, Sizes, TILES, memory};
use super::code::{Code, Note, When};
use super::frame::words;
use super::function::{Emitted, Function, Role, Samples, frame_size};
use super::isa::{Isa, Vop};
use super::machine::{Entry, Kind, Pool, Program};
use super::order;
use iced_x86::{Code as Encoding, Instruction, MemoryOperand, Register};

/// Emits a step of several nests, each with whether its sums start in it: whole groups of blocks, each through all of them, then what is left. What they share of a group's samples stays in the first cache.
///
/// # Errors
/// If the frame would be too large for the stack.
pub fn step<I: Isa>(programs: &[(Program, bool)], sizes: Sizes, pool: &mut Pool, role: Role<'_>) -> Result<Emitted, String> {
    // Where registers are few, what a point reads stays in one for all blocks, not for good.
    let together: Vec<Option<Program>> =
        programs.iter().map(|(program, _)| (!I::MASKS).then(|| program.side_by_side(role.blocks, order::window(I::MASKS)))).collect();
    let mut all: Vec<Function<'_, I>> = Vec::with_capacity(programs.len());
    for ((program, first), together) in programs.iter().zip(&together) {
        let mut f = Function::new(program, together.as_ref(), None, sizes, pool, role);
        f.starts_sums = *first;
        all.push(f);
    }
    // Each nest for whole groups, and for what is left.
    let mut nests: Vec<[Code; 2]> = Vec::new();
    let (mut size, mut slots, mut used) = (0, 0, Vec::new());
    for f in &mut all {
        f.fixed();
        f.nest(Samples::Together);
        let group = std::mem::take(&mut f.body.code);
        let registers: Vec<u8> = f.sums.iter().flat_map(|(_, r)| r.iter().copied()).collect();
        f.body.registers.give_back(&registers);
        f.fixed();
        f.nest(Samples::Rest);
        nests.push([group, std::mem::take(&mut f.body.code)]);
        slots = slots.max(f.body.registers.slots);
        size = size.max(frame_size(f.body.frame, f.body.registers.slots)?);
        used.extend(f.used());
    }
    used.sort_unstable();
    used.dedup();
    let Some(mut f) = all.into_iter().next() else { return Err("a step of nothing".into()) };
    let group = (f.blocks * I::BYTES) as i32;
    f.base();
    let (turn, rest, done) = (f.body.code.label(), f.body.code.label(), f.body.code.label());
    f.body.note(Note::Loop);
    f.mov(Register::R8, memory(Register::RDI, words::START));
    f.body.code.place(turn);
    f.body.put(Instruction::with2(Encoding::Lea_r64_m, Register::RAX, memory(Register::R8, i64::from(group))));
    f.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::RAX, memory(Register::RDI, words::END)));
    f.body.code.jump(When::Above, rest, Note::Loop);
    let (whole, left): (Vec<Code>, Vec<Code>) = nests.into_iter().map(|[whole, left]| (whole, left)).unzip();
    whole.into_iter().for_each(|code| f.body.code.append(code));
    f.body.put(Instruction::with2(Encoding::Add_rm64_imm32, Register::R8, group));
    f.body.code.jump(When::Always, turn, Note::Loop);
    f.body.code.place(rest);
    f.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, memory(Register::RDI, words::END)));
    f.body.code.jump(When::AboveOrEqual, done, Note::Loop);
    f.body.put(Instruction::with2(Encoding::Mov_rm64_r64, memory(Register::RDI, words::START), Register::R8));
    left.into_iter().for_each(|code| f.body.code.append(code));
    f.body.code.place(done);
    Ok(Emitted { code: f.exit(size, &used), slots, starts: false, sums: false })
}

impl<I: Isa> Function<'_, I> {
    /// Gives the sums their registers.
    pub(super) fn reserve_sums(&mut self) {
        if self.blocks == 0 {
            return;
        }
        for op in &self.program.ops {
            if let Kind::Fold(_, e) | Kind::FoldProduct(e) = op.kind
                && !self.sums.iter().any(|(s, _)| *s == e)
            {
                let registers = (0..self.blocks).map(|_| self.body.registers.reserve()).collect();
                self.sums.push((e, registers));
            }
        }
    }

    /// The sums of the blocks at hand from the tile into registers, or back. Between points no pointer is in a register.
    pub(super) fn sums_to_and_fro(&mut self, into: bool) {
        self.body.note(Note::Accumulators);
        for (e, registers) in self.sums.clone() {
            if into && self.starts_sums {
                for r in registers.into_iter().map(I::vector) {
                    self.body.two(Vop::Xor, r, r, Rm::Reg(r));
                }
                continue;
            }
            let (base, at) = match e {
                Entry::Fixed(n) => (TILES, i64::from(n)),
                Entry::Strided(k, beyond) => {
                    self.mov(Register::RAX, memory(Register::RSP, self.body.frame.pointer(k as usize)));
                    (Register::RAX, i64::from(beyond))
                }
            };
            for (block, r) in registers.into_iter().enumerate() {
                let distance = at * self.sizes.tile as i64 + (block * I::BYTES) as i64;
                let at = MemoryOperand::new(base, Register::R8, 1, distance, u32::from(distance != 0), false, Register::None);
                if into {
                    self.body.one(Vop::Load, I::vector(r), Rm::Mem(at));
                } else {
                    self.body.store(Vop::Store, at, I::vector(r));
                }
            }
        }
    }

    /// The blocks at one point.
    pub(super) fn blocks_at_point(&mut self) {
        self.body.partial = false;
        self.body.rotating = false;
        self.body.sums = self.sums.iter().cloned().collect();
        self.body.asking = self.asking;
        self.body.program = self.pair.unwrap_or(self.program);
        for block in (0..self.blocks).step_by(if self.pair.is_some() { self.blocks } else { 1 }) {
            self.body.first = block;
            self.body.block();
        }
        self.body.program = self.program;
        self.body.asking = &[];
        self.body.first = 0;
        self.body.block = 0;
        self.body.sums.clear();
    }
}
