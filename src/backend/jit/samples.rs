//! The loops over samples at a point of the nest: whole groups of blocks, what is left of them under masks, and leaf by leaf where one function does all.

use super::beside::BLOCKS;
use super::body::{ASKED, Rm, memory, tail};
use super::code::{Label, Note, When};
use super::combine::{Lanes, Sum};
use super::frame::words;
use super::function::{Function, LONG};
use super::isa::{Isa, Vop};
use super::machine::{Entry, Pool, Table};
use crate::lines::LINE;
use iced_x86::{Code as Encoding, Instruction, MemoryOperand, Register};

/// Operations of an unrolled loop that is there twice, at most: once asking the cache for samples to come, once not.
const TWICE: usize = 64;

impl<I: Isa> Function<'_, I> {
    /// The samples of the range at one point of the nest.
    pub(super) fn point(&mut self, main: bool) {
        self.body.note(Note::Loop);
        self.mov(Register::R8, memory(Register::RDI, words::START));
        let rotates = self.sizes.lanes > I::BYTES && (self.kept.len() + self.entries.len()) > 0;
        if self.adds_up {
            self.leaves(rotates);
            return;
        }
        if main && self.program.ops.len() <= LONG {
            self.main(rotates && self.unroll < self.vectors, words::END);
            if (self.starts || self.begins) && self.ways == 1 {
                self.accumulators(0, false);
            }
        }
        self.rest(rotates, words::END);
    }

    /// Leaf by leaf, a row of sums each. Most leaves have whole groups of blocks only: their accumulators never leave the registers. In several ways they do.
    fn leaves(&mut self, rotates: bool) {
        let (leaf, whole) = (self.body.code.label(), self.body.code.label());
        self.body.code.place(leaf);
        self.body.put(Instruction::with2(Encoding::Lea_r64_m, Register::RAX, memory(Register::R8, self.sizes.leaf as i64)));
        self.mov(Register::R9, memory(Register::RDI, words::END));
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::RAX, Register::R9));
        self.body.put(Instruction::with2(Encoding::Cmovl_r64_rm64, Register::R9, Register::RAX));
        self.body.put(Instruction::with2(Encoding::Mov_rm64_r64, memory(Register::RDI, words::LEAF_END), Register::R9));
        if self.ways > 1 {
            self.zeros();
            self.main(false, words::LEAF_END);
            self.rest(rotates, words::LEAF_END);
        } else {
            self.main(false, words::LEAF_END);
            self.body.note(Note::Loop);
            self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, memory(Register::RDI, words::LEAF_END)));
            self.body.code.jump(When::AboveOrEqual, whole, Note::Loop);
            self.last();
            self.body.code.place(whole);
        }
        self.body.note(Note::Sums);
        self.mov(Register::RAX, memory(Register::RDI, words::SUMS));
        for (e, registers) in self.kept.clone() {
            let Entry::Fixed(n) = e else { unreachable!("an accumulator at a point of no nest") };
            let lanes = if self.ways > 1 {
                Lanes::Memory { from: i64::from(n) * self.sizes.lanes as i64, bytes: self.sizes.lanes }
            } else {
                Lanes::Registers(&registers)
            };
            let sum = Sum::<I>::new(self.sizes.number, lanes);
            sum.emit(memory(Register::RAX, 8 * i64::from(n)), &mut |made| self.body.put(made));
        }
        self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, memory(Register::RDI, words::SUMS), 8 * self.kept.len() as i32));
        self.body.note(Note::Loop);
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, memory(Register::RDI, words::END)));
        self.body.code.jump(When::Below, leaf, Note::Loop);
    }

    /// Whole groups of blocks, up to where the word `end` says. Accumulators are left in their registers if they start here or may, else in memory.
    fn main(&mut self, rotates: bool, end: i64) {
        let group = (self.unroll * I::BYTES) as i32;
        let rest = self.body.code.label();
        self.mov(Register::R9, memory(Register::RDI, end));
        self.body.put(Instruction::with2(Encoding::Sub_r64_rm64, Register::R9, Register::R8));
        self.body.put(Instruction::with2(Encoding::And_rm64_imm32, Register::R9, -group));
        self.body.put(Instruction::with2(Encoding::Add_r64_rm64, Register::R9, Register::R8));
        if self.ways > 1 && !self.program.dims.is_empty() {
            self.ways_at_point(group);
            return;
        }
        // Those that start here are written in any case.
        let here = self.starts || self.begins;
        let none = if here {
            self.begin(0);
            self.body.code.label()
        } else {
            rest
        };
        self.body.note(Note::Loop);
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, Register::R9));
        self.body.code.jump(When::AboveOrEqual, none, Note::Loop);
        if self.ways > 1 {
            self.in_ways(group);
            self.body.code.place(rest);
            return;
        }
        if !here {
            self.accumulators(0, true);
        }
        self.near_or_far(rotates, group, 0);
        if here {
            self.body.code.place(none);
        } else {
            self.accumulators(0, false);
            self.body.code.place(rest);
        }
    }

    /// A way's share of the whole groups. Where the columns lie in a cache, asking for them costs more than it brings.
    fn near_or_far(&mut self, rotates: bool, group: i32, way: usize) {
        if self.asking.contains(&true) && self.program.ops.len() * self.unroll <= TWICE {
            let (near, done) = (self.body.code.label(), self.body.code.label());
            self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, memory(Register::RDI, words::FAR), 1));
            self.body.code.jump(When::Below, near, Note::Loop);
            self.turns(rotates, group, way, true);
            self.body.code.jump(When::Always, done, Note::Loop);
            self.body.code.place(near);
            self.turns(rotates, group, way, false);
            self.body.code.place(done);
        } else {
            self.turns(rotates, group, way, true);
        }
    }

    /// Whole groups at a point of a nest, where the registers hold a part of each accumulator: a tile's samples stay near, so it is way by way.
    fn ways_at_point(&mut self, group: i32) {
        let (sample, end) = (Register::R8, Register::R9);
        for way in 0..self.ways {
            let none = self.body.code.label();
            self.body.note(Note::Loop);
            self.mov(sample, memory(Register::RDI, words::START));
            if self.starts || self.begins {
                self.begin(way);
            } else {
                self.accumulators(way, true);
            }
            self.body.note(Note::Loop);
            self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, sample, end));
            self.body.code.jump(When::AboveOrEqual, none, Note::Accumulators);
            self.near_or_far(false, group, way);
            self.body.code.place(none);
            self.accumulators(way, false);
        }
    }

    /// A way's share of the accumulators into their registers: what their folds start from, if these needn't be a leaf's first samples, else their lanes.
    fn begin(&mut self, way: usize) {
        if self.starts {
            self.identities(way);
            return;
        }
        let (first, done) = (self.body.code.label(), self.body.code.label());
        self.body.note(Note::Accumulators);
        self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, memory(Register::RDI, words::FIRST), 1));
        self.body.code.jump(When::AboveOrEqual, first, Note::Accumulators);
        self.accumulators(way, true);
        self.body.code.jump(When::Always, done, Note::Accumulators);
        self.body.code.place(first);
        self.identities(way);
        self.body.code.place(done);
    }

    /// The loop over whole groups where the registers hold a part of each accumulator: some samples at a time, which stay near, in as many ways, each through its share of every
    /// group's blocks. Each asks for its share of as many samples after those, one line after the other, as memory likes it best; and it wants each line once, so columns that come
    /// from there and don't start at a line are gone through in one way, the accumulators that don't fit in memory.
    fn in_ways(&mut self, group: i32) {
        let (on, far, done) = (self.body.code.label(), self.body.code.label(), self.body.code.label());
        let (end, groups) = (Register::R9, memory(Register::RDI, words::GROUPS_END));
        self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, memory(Register::RDI, words::FAR), 2));
        self.body.code.jump(When::AboveOrEqual, far, Note::Loop);
        self.body.put(Instruction::with2(Encoding::Mov_rm64_r64, groups, end));
        self.body.code.place(on);
        self.body.put(Instruction::with2(Encoding::Mov_rm64_r64, memory(Register::RDI, words::START), Register::R8));
        self.mov(ASKED, memory(Register::RDI, words::AT_ONCE));
        self.body.put(Instruction::with2(Encoding::Add_r64_rm64, ASKED, Register::R8));
        for way in 0..self.ways {
            self.mov(Register::R8, memory(Register::RDI, words::START));
            self.mov(Register::RAX, groups);
            self.mov(end, memory(Register::RDI, words::AT_ONCE));
            self.body.put(Instruction::with2(Encoding::Add_r64_rm64, end, Register::R8));
            self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::RAX, end));
            self.body.put(Instruction::with2(Encoding::Cmovl_r64_rm64, end, Register::RAX));
            self.accumulators(way, true);
            // A share of less than a line is asked for with its neighbour's.
            let from = way * self.unroll / self.ways;
            self.body.asks_apart = Some(from);
            self.turns(false, group, way, (from * I::BYTES).is_multiple_of(LINE));
            self.body.asks_apart = None;
            self.accumulators(way, false);
            self.body.note(Note::Loop);
        }
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, groups));
        self.body.code.jump(When::Below, on, Note::Loop);
        self.body.code.jump(When::Always, done, Note::Loop);
        self.body.code.place(far);
        // As many accumulators as the same registers hold whole.
        let registers: Vec<u8> = self.kept.iter().flat_map(|(_, r)| r.iter().copied()).collect();
        let whole = registers.chunks_exact(self.vectors).zip(&self.kept).map(|(r, (e, _))| (*e, r.to_vec())).collect();
        let (ways, kept) = (std::mem::replace(&mut self.ways, 1), std::mem::replace(&mut self.kept, whole));
        self.accumulators(0, true);
        self.turns(false, group, 0, true);
        self.accumulators(0, false);
        (self.ways, self.kept) = (ways, kept);
        self.body.code.place(done);
    }

    /// The loop over whole groups of blocks, of which there is one at least: a way's share of each. Where it goes in halves, it begins with a first half and ends with a second one.
    fn turns(&mut self, rotates: bool, group: i32, way: usize, asking: bool) {
        let (turn, last) = (self.body.code.label(), self.body.code.label());
        let (sample, end) = (Register::R8, Register::R9);
        self.body.partial = false;
        self.body.rotating = rotates;
        self.body.held = self.kept.iter().cloned().collect();
        self.body.asking = if asking { self.asking } else { &[] };
        if let Some(halves) = self.halves {
            self.body.program = &halves.first;
            self.body.block();
            self.body.note(Note::Loop);
            self.body.put(Instruction::with2(Encoding::Sub_rm64_imm32, end, group));
            self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, sample, end));
            self.body.code.jump(When::AboveOrEqual, last, Note::Loop);
        }
        self.body.code.align();
        self.body.code.place(turn);
        if rotates {
            self.rotate();
        }
        let share = self.unroll / self.ways;
        self.body.program = self.pair.unwrap_or(self.program);
        for block in (way * share..(way + 1) * share).step_by(if self.pair.is_some() { BLOCKS } else { 1 }) {
            self.body.first = block;
            self.body.block();
        }
        self.body.first = 0;
        self.body.note(Note::Loop);
        if self.body.asks_apart.is_some() {
            self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, ASKED, (share * I::BYTES).max(LINE) as i32));
        }
        self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, sample, group));
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, sample, end));
        self.body.code.jump(When::Below, turn, Note::Loop);
        if let Some(halves) = self.halves {
            self.body.code.place(last);
            if rotates {
                self.rotate();
            }
            self.body.program = &halves.second;
            self.body.block();
            self.body.note(Note::Loop);
            self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, sample, group));
        }
        self.body.program = self.program;
        self.body.asking = &[];
        self.body.block = 0;
        self.body.held.clear();
        self.body.rotating = false;
    }

    /// The registers of a way's share from what their folds start from.
    fn identities(&mut self, way: usize) {
        self.body.note(Note::Accumulators);
        for (e, registers) in self.kept.clone() {
            let share = registers.len();
            for (k, r) in registers.into_iter().enumerate() {
                if self.begins {
                    self.body.block = way * share + k;
                    let at = self.body.address(Table::Accumulator, e);
                    self.ask_accumulators(k, e, at);
                }
                let r = I::vector(r);
                match self.identities.get(&e) {
                    Some(n) => self.body.constant_into(*n, r),
                    None => self.body.two(Vop::Xor, r, r, Rm::Reg(r)),
                }
            }
        }
        self.body.block = 0;
    }

    /// Accumulators' lanes, in memory, from what sums start from.
    fn zeros(&mut self) {
        self.body.note(Note::Accumulators);
        let zero = I::vector(0);
        self.body.two(Vop::Xor, zero, zero, Rm::Reg(zero));
        for (e, _) in self.kept.clone() {
            for block in 0..self.vectors {
                self.body.block = block;
                let at = self.body.address(Table::Accumulator, e);
                self.body.store(Vop::Store, at, zero);
            }
        }
        self.body.block = 0;
    }

    /// Which of the accumulators' vectors the block belongs to.
    fn rotate(&mut self) {
        self.body.note(Note::Loop);
        self.body.put(Instruction::with2(Encoding::Mov_r32_rm32, Register::R11D, Register::R8D));
        self.body.put(Instruction::with2(Encoding::And_rm32_imm32, Register::R11D, self.sizes.lanes as i32 - 1));
    }

    /// A way's share of the accumulators into their registers, or back.
    fn accumulators(&mut self, way: usize, into: bool) {
        self.body.note(Note::Accumulators);
        self.body.rotating = false;
        for (e, registers) in self.kept.clone() {
            for (k, r) in registers.iter().enumerate() {
                self.body.block = way * registers.len() + k;
                let at = self.body.address(Table::Accumulator, e);
                if !into {
                    self.body.store(Vop::Store, at, I::vector(*r));
                    continue;
                }
                self.body.one(Vop::Load, I::vector(*r), Rm::Mem(at));
                self.ask_accumulators(k, e, at);
            }
        }
        self.body.block = 0;
    }

    /// Asks for vector `k` of an accumulator of the next point, given this one's address: it comes from afar while this point's samples are gone through.
    fn ask_accumulators(&mut self, k: usize, e: Entry, at: MemoryOperand) {
        if let (0, true, Entry::Strided(n, _)) = (k % (LINE / I::BYTES), self.asks_accumulators, e)
            && let Some(stride) = self.program.strided[n as usize].1.strides.last().filter(|s| **s != 0)
        {
            let next = memory(at.base, at.displacement + i64::from(*stride) * self.sizes.lanes as i64);
            self.body.put(Instruction::with1(Encoding::Prefetcht0_m8, next));
        }
    }

    /// What is left, less than a group, in one group of blocks under masks; accumulators stay in their registers.
    fn last(&mut self) {
        self.mov(Register::R9, memory(Register::RDI, words::LEAF_END));
        self.body.partial = true;
        self.body.rotating = false;
        self.body.held = self.kept.iter().cloned().collect();
        let done = self.body.code.label();
        for block in 0..self.unroll {
            self.body.first = block;
            self.mask(block, done);
            self.body.block();
        }
        self.body.first = 0;
        self.body.block = 0;
        self.body.held.clear();
        self.body.partial = false;
        self.body.note(Note::Loop);
        self.body.code.place(done);
        self.body.put(Instruction::with2(Encoding::Mov_r64_rm64, Register::R8, Register::R9));
    }

    /// The mask of the samples of a block that come before `r9`; there are some in the first, and where there are none later, all are `done`.
    fn mask(&mut self, block: usize, done: Label) {
        // A window of ones, then zeros: so far from its middle that as many ones are seen as there are samples, a whole block of them at most.
        self.body.note(Note::Tail);
        self.body.put(Instruction::with2(Encoding::Lea_r64_m, Register::RAX, memory(Register::R8, (block * I::BYTES) as i64)));
        self.body.put(Instruction::with2(Encoding::Sub_r64_rm64, Register::RAX, Register::R9));
        if block > 0 {
            self.body.code.jump(When::AboveOrEqual, done, Note::Tail);
        }
        self.body.put(Instruction::with2(Encoding::Mov_r64_imm64, Register::R11, -(I::BYTES as i64)));
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::RAX, Register::R11));
        self.body.put(Instruction::with2(Encoding::Cmovl_r64_rm64, Register::RAX, Register::R11));
        let window = MemoryOperand::new(Register::RSI, Register::RAX, 1, Pool::WINDOW as i64 / 2, 1, false, Register::None);
        if I::MASKS {
            // Nothing of a block is in a register yet.
            self.body.one(Vop::Load, I::vector(0), Rm::Mem(window));
            self.body.one(Vop::Signs, tail::<I>(), Rm::Reg(I::vector(0)));
        } else {
            self.body.one(Vop::Load, tail::<I>(), Rm::Mem(window));
        }
    }

    /// What is left, up to where the word `end` says, block by block under a mask.
    fn rest(&mut self, rotates: bool, end: i64) {
        let (turn, done) = (self.body.code.label(), self.body.code.label());
        self.body.note(Note::Loop);
        self.mov(Register::R9, memory(Register::RDI, end));
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, Register::R9));
        self.body.code.jump(When::AboveOrEqual, done, Note::Loop);
        self.body.code.place(turn);
        self.mask(0, done);
        if rotates {
            self.rotate();
        }
        self.body.partial = true;
        self.body.rotating = rotates;
        self.body.first = 0;
        let accumulators: Vec<u8> = self.kept.iter().flat_map(|(_, r)| r.iter().copied()).collect();
        self.body.registers.give_back(&accumulators);
        self.body.block();
        self.body.partial = false;
        self.body.note(Note::Loop);
        self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, Register::R8, I::BYTES as i32));
        self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, Register::R9));
        self.body.code.jump(When::Below, turn, Note::Loop);
        self.body.code.place(done);
    }
}
