//! One step as a function: entry, the loop nest, the loop over whole blocks, the loop over partial ones, exit.
//!
//! ```text
//! entry       saves registers, makes the frame, loads base registers and what is the same for every sample
//! nest        for each point: pointers move by their strides
//!   main      while whole groups of blocks are left: the unrolled blocks; accumulators in registers if they fit
//!   rest      while samples are left: one block under a mask; accumulators in memory
//! exit
//! ```
//! A step that is alone in its pass and keeps all accumulators in registers runs over several leaves and adds up the lanes of each by itself:
//! ```text
//! leaf        where the leaf at hand ends
//!   main
//!   last      if samples are left: one group of blocks, each under a mask
//!   sums      each accumulator's lanes, in registers, added up in the fixed tree; written, one row a leaf
//! ```
//! Sums over a dimension of the nest that stay in registers: `contraction.rs`. The loops at a point: `samples.rs`. Register and stack map: `frame.rs` and
//! `body.rs`.

use super::beside::{self, UNROLLED, computed, pressure};
use super::body::{Body, Rm, Sizes, TILES, memory, pointed};
use super::code::{Code, Note, When};
use super::frame::{Frame, words};
use super::halves::{self, Halves};
use super::isa::{Isa, Vop};
use super::machine::{Entry, Home, Kind, Pool, Program, Table, Val};
use super::tiles::shares;
use crate::graph::Fold;
use crate::kernel::ir::Access;
use crate::lines::LINE;
use iced_x86::{Code as Encoding, Instruction, MemoryOperand, Register};
use std::collections::HashMap;
use std::ops::Range;

/// Registers that stay free for a block's values and copies, however much could be pinned.
const WORKING: usize = 6;
/// Registers that an operation takes at most beside its result's.
const OPERANDS: usize = 3;
/// Operations above which there is one loop, every block of it under a mask, instead of two.
pub(super) const LONG: usize = 3000;
/// Short loops without accumulators are unrolled to about so many operations, which hides the loop's own.
const SHORT: usize = 24;
/// General registers for pointers: these are the caller's.
const POINTERS: [Register; 6] = [Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15, Register::RBP];

/// Bytes of a page of the stack.
const PAGE: i64 = 4096;
/// Bytes of a frame, at most: a thread's stack holds it many times over.
const LARGEST_FRAME: i64 = 256 << 10;

/// Which samples a nest takes at each point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    /// All of the range.
    All,
    /// All of the range, block by block: few.
    Rest,
    /// Some blocks, their sums over the last dimension in registers.
    Together,
}

/// A step's function.
pub struct Emitted {
    /// Its code.
    pub code: Code,
    /// Values in the frame at the same time, at most.
    pub slots: u32,
    /// Its accumulators start from their identities by themselves, in a leaf's first samples; otherwise from what their lanes hold.
    pub starts: bool,
    /// It runs over several leaves and adds up the lanes of each: no other function is needed.
    pub sums: bool,
}

/// What a step's function is for.
#[derive(Clone, Copy, Debug)]
pub struct Role<'p> {
    /// It is run once over all samples of a leaf.
    pub whole: bool,
    /// The step is the pass's only one, and the pass has so many accumulators, all of them sums.
    pub alone: Option<usize>,
    /// The IR instructions that ask the cache for samples further ahead.
    pub asking: &'p [bool],
    /// Columns that the points of its nest ask the cache for, a tile ahead.
    pub asks_columns: Option<&'p Range<usize>>,
    /// How many blocks go through the nest together, if not all do.
    pub blocks: usize,
    /// It takes one turn of its outermost loop, which the call's words say.
    pub one_turn: bool,
    /// The accumulators are more than the second cache holds.
    pub many_accumulators: bool,
}

/// Emits a step of one nest.
///
/// # Errors
/// If its frame would be too large for the stack.
pub fn step<I: Isa>(program: &Program, sizes: Sizes, pool: &mut Pool, role: Role<'_>) -> Result<Emitted, String> {
    let vectors = (sizes.lanes / I::BYTES).max(1);
    let halves = halves::halves::<I>(program);
    let pair = if halves.is_none() { beside::pair::<I>(program, accumulators(program).len(), vectors) } else { None };
    let beside = halves.as_ref().map(|h| &h.both).or(pair.as_ref());
    Function::<I>::new(program, beside, halves.as_ref(), sizes, pool, role).emit()
}

/// Bytes of a frame with so many spilled values.
///
/// # Errors
/// If that is too large for the stack.
pub(super) fn frame_size(frame: Frame, slots: u32) -> Result<i64, String> {
    let size = frame.size(slots);
    if size > LARGEST_FRAME { Err(format!("{slots} values to spill need a frame of {size} bytes")) } else { Ok(size) }
}

/// What a fold starts from, as bits.
fn identity(fold: Fold, double: bool) -> u64 {
    if double { fold.identity().to_bits() } else { u64::from((fold.identity() as f32).to_bits()) }
}

/// The accumulators' entries, each once.
fn accumulators(program: &Program) -> Vec<Entry> {
    let mut out = Vec::new();
    for op in &program.ops {
        if let Kind::Accumulate(_, e) | Kind::AccumulateProduct(e) = op.kind
            && !out.contains(&e)
        {
            out.push(e);
        }
    }
    out
}

pub(super) struct Function<'p, I> {
    pub(super) body: Body<'p, I>,
    pub(super) asking: &'p [bool],
    pub(super) program: &'p Program,
    pub(super) sizes: Sizes,
    pub(super) entries: Vec<Entry>,
    /// Vectors of lanes an accumulator has.
    pub(super) vectors: usize,
    /// Blocks in a turn of the main loop.
    pub(super) unroll: usize,
    /// Invariants and their registers.
    pub(super) pinned: Vec<(Val, u8)>,
    /// In how many ways the main loop goes through the samples, each with its share of an accumulator's vectors.
    pub(super) ways: usize,
    /// Accumulators and their registers.
    pub(super) kept: Vec<(Entry, Vec<u8>)>,
    /// Blocks that go through the nest together, or 0.
    pub(super) blocks: usize,
    /// The outermost loop takes one turn, which the call's words say.
    one_turn: bool,
    /// Columns that the points of the nest ask the cache for, a tile ahead.
    asks_columns: Option<&'p Range<usize>>,
    /// At a point of the nest the cache is asked for the next one's accumulators.
    pub(super) asks_accumulators: bool,
    /// Sums through tile buffers that those blocks keep in registers.
    pub(super) sums: Vec<(Entry, Vec<u8>)>,
    /// Those start from 0 here, and not from what the buffers hold.
    pub(super) starts_sums: bool,
    /// Accumulators start from their identities here.
    pub(super) starts: bool,
    /// They do in a leaf's first samples.
    pub(super) begins: bool,
    /// The identities of those that are not sums, as positions of the pool.
    pub(super) identities: HashMap<Entry, u32>,
    /// Runs over several leaves and adds up the lanes of each.
    pub(super) adds_up: bool,
    /// Several blocks as one program, which the main loop runs.
    pub(super) pair: Option<&'p Program>,
    /// Those are the halves of two groups, and this is each by itself.
    pub(super) halves: Option<&'p Halves>,
}

impl<'p, I: Isa> Function<'p, I> {
    /// A function about to be emitted, registers given out.
    pub(super) fn new(program: &'p Program, pair: Option<&'p Program>, halves: Option<&'p Halves>, sizes: Sizes, pool: &mut Pool, role: Role<'p>) -> Self {
        let slow = program.ops.iter().any(|op| matches!(op.kind, Kind::Patch(_)));
        let frame = Frame::new::<I>(program.strided.len(), program.dims.len(), slow, halves.map_or(0, |h| h.handed));
        let values = pair.unwrap_or(program).values.len();
        let mut f = Function {
            body: Body::<I>::new(program, values, sizes, frame),
            asking: role.asking,
            program,
            sizes,
            entries: accumulators(program),
            vectors: (sizes.lanes / I::BYTES).max(1),
            unroll: 1,
            pinned: Vec::new(),
            ways: 1,
            kept: Vec::new(),
            blocks: role.blocks,
            one_turn: role.one_turn,
            asks_columns: role.asks_columns,
            asks_accumulators: role.many_accumulators,
            sums: Vec::new(),
            starts_sums: false,
            starts: false,
            begins: false,
            identities: HashMap::new(),
            adds_up: false,
            pair,
            halves,
        };
        f.plan();
        f.pointers();
        let in_registers = f.entries.is_empty() && (f.ways == 1 || !program.dims.is_empty()) && program.ops.len() <= LONG;
        f.starts = role.whole && in_registers;
        f.begins = !role.whole && in_registers && f.blocks == 0 && !f.kept.is_empty();
        let in_ways = role.whole && f.ways > 1 && program.ops.len() <= LONG;
        f.adds_up = (f.starts || in_ways) && program.dims.is_empty() && role.alone == Some(f.kept.len());
        if f.starts || f.begins {
            for op in &program.ops {
                if let Kind::Accumulate(fold @ (Fold::Min | Fold::Max), e) = op.kind {
                    f.identities.insert(e, pool.position(identity(fold, sizes.double)));
                }
            }
        }
        f
    }

    /// How far the loop is unrolled, and who gets a register for good.
    fn plan(&mut self) {
        let n = self.program.ops.len().max(1);
        self.reserve_sums();
        self.unroll = if self.entries.is_empty() {
            (SHORT / n).clamp(1, 4).next_power_of_two()
        } else if n * self.vectors <= UNROLLED {
            self.vectors
        } else {
            1
        };
        if self.halves.is_some() {
            self.unroll = beside::BLOCKS;
        } else if self.pair.is_some() {
            self.unroll = self.unroll.max(beside::BLOCKS);
        }
        let usable = self.body.registers.usable();
        let room_beside = |values: usize| usable.saturating_sub(values.max(WORKING - 2) + 2);
        let mut room = room_beside(pressure(self.pair.unwrap_or(self.program)));
        // As many accumulators as fit; an accumulator in memory costs a load and a store a block, an invariant there a load, as does a column that is read again.
        let ways_in = |room: usize| Some((self.ways_in(room)?, room));
        // A body that computes nothing needs what it reads more than once, and an operation's operands.
        let bare = if !I::MASKS && self.in_nest() { usable.saturating_sub(pressure(self.program).max(OPERANDS)) } else { 0 };
        let ways = ways_in(room).or_else(|| ways_in(room_beside(computed(self.program)))).or_else(|| ways_in(bare));
        if let Some((ways, place)) = ways.filter(|(ways, _)| *ways > 1) {
            (self.ways, room) = (ways, place);
            for e in std::mem::take(&mut self.entries) {
                let registers: Vec<u8> = (0..self.vectors / self.ways).map(|_| self.body.registers.reserve()).collect();
                room -= registers.len();
                self.kept.push((e, registers));
            }
        } else if self.unroll.is_multiple_of(self.vectors) {
            let fit = (room / self.vectors).min(self.entries.len());
            for e in self.entries.drain(..fit) {
                let registers = (0..self.vectors).map(|_| self.body.registers.reserve()).collect();
                self.kept.push((e, registers));
            }
            room -= fit * self.vectors;
        }
        // The most used first.
        let mut invariants: Vec<Val> = (0..self.program.values.len() as u32).map(Val).filter(|v| self.program.is_invariant(*v)).collect();
        invariants.retain(|v| !self.program.uses(*v).is_empty());
        invariants.sort_by_key(|v| std::cmp::Reverse(self.program.uses(*v).len()));
        for v in invariants.into_iter().take(room) {
            let r = self.body.registers.reserve();
            self.body.registers.pin(v, r);
            self.pinned.push((v, r));
        }
    }

    /// Nothing but sums over samples at the points of a nest, of what is read.
    fn in_nest(&self) -> bool {
        let sums = self.program.ops.iter().all(|op| matches!(op.kind, Kind::Accumulate(Fold::Sum, _) | Kind::AccumulateProduct(_)));
        sums && !self.program.dims.is_empty()
    }

    /// In how many ways a loop over samples has to go through them so that its accumulators stay in so many registers; none if they never would.
    fn ways_in(&self, room: usize) -> Option<usize> {
        let plain = (self.program.dims.is_empty() || !I::MASKS && self.in_nest()) && self.pair.is_none() && self.blocks == 0 && self.unroll == self.vectors;
        let all = self.entries.len();
        (1..=if plain { self.vectors } else { 1 }).find(|ways| self.vectors.is_multiple_of(*ways) && all * (self.vectors / ways) <= room)
    }

    /// General registers for the pointers that are used most.
    fn pointers(&mut self) {
        let mut counts: Vec<((Table, Entry), usize)> = Vec::new();
        let mut count = |(table, entry): (Table, Entry), n: usize| {
            let key = (table, pointed(table, entry));
            match counts.iter().position(|(k, _)| *k == key) {
                Some(at) => counts[at].1 += n,
                // Beyond this many there is nothing to choose from that would matter.
                None if counts.len() < 64 => counts.push((key, n)),
                None => {}
            }
        };
        for (k, value) in self.program.values.iter().enumerate() {
            let uses = self.program.uses(Val(k as u32)).len();
            match value.home {
                Home::Column(e) => count((Table::Column, e), uses),
                Home::Tile(e @ Entry::Strided(..)) => count((Table::Tile, e), uses),
                // One that is pinned is read once at each point: if a register is left.
                Home::Uniform(e @ Entry::Strided(..)) if self.pinned.iter().any(|(v, _)| v.index() == k) => count((Table::Uniform, e), 0),
                Home::Uniform(e @ Entry::Strided(..)) => count((Table::Uniform, e), uses),
                _ => {}
            }
        }
        for op in &self.program.ops {
            match op.kind {
                Kind::Output(e) => count((Table::Output, e), 1),
                // Those in registers are moved between the points.
                Kind::Fold(_, e) | Kind::FoldProduct(e) if self.sums.iter().any(|(s, _)| *s == e) => {}
                Kind::Store(e @ Entry::Strided(..)) | Kind::Fold(_, e @ Entry::Strided(..)) | Kind::FoldProduct(e @ Entry::Strided(..)) => {
                    count((Table::Tile, e), 1)
                }
                Kind::Accumulate(_, e @ Entry::Strided(..)) | Kind::AccumulateProduct(e @ Entry::Strided(..)) => count((Table::Accumulator, e), 1),
                _ => {}
            }
        }
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        // Several nests in one function find it as they left it.
        let free = (self.blocks == 0 && !self.program.uses_tiles()).then_some(TILES);
        for ((key, _), register) in counts.into_iter().zip(POINTERS.into_iter().chain(free)) {
            self.body.pointers.push((key, register));
        }
    }

    #[cfg_attr(test, track_caller)]
    pub(super) fn mov(&mut self, to: Register, from: MemoryOperand) {
        self.body.put(Instruction::with2(Encoding::Mov_r64_rm64, to, from));
    }

    fn emit(mut self) -> Result<Emitted, String> {
        self.base();
        self.fixed();
        self.nest(Samples::All);
        let slots = self.body.registers.slots;
        let size = frame_size(self.body.frame, slots)?;
        let (starts, sums) = (self.starts || self.begins, self.adds_up);
        let used = self.used();
        Ok(Emitted { code: self.exit(size, &used), slots, starts, sums })
    }

    /// Base registers.
    pub(super) fn base(&mut self) {
        self.body.note(Note::Frame);
        for (register, word) in [(Register::RSI, words::CONSTANTS), (Register::RDX, words::UNIFORMS), (Register::RCX, words::LANES), (TILES, words::TILES)] {
            self.mov(register, memory(Register::RDI, word));
        }
    }

    /// Pointers and invariants that are the same for the whole nest.
    pub(super) fn fixed(&mut self) {
        self.body.note(Note::Frame);
        for ((table, entry), register) in self.body.pointers.clone() {
            if matches!(entry, Entry::Fixed(_)) {
                self.body.load_pointer(register, table, entry);
            }
        }
        self.invariants(false);
    }

    /// Registers of the caller's that it uses.
    pub(super) fn used(&self) -> Vec<Register> {
        POINTERS.into_iter().filter(|r| self.body.pointers.iter().any(|(_, p)| p == r)).collect()
    }

    /// Loads the pinned invariants that move with the nest, or those that don't.
    fn invariants(&mut self, moving: bool) {
        for (v, r) in self.pinned.clone() {
            let value = self.program.values[v.index()];
            if matches!(value.home, Home::Uniform(Entry::Strided(..))) == moving {
                self.body.note(Note::Invariant(value.origin));
                self.body.load(v, I::vector(r));
            }
        }
    }

    /// The points of the nest, as nested loops that move the strided addresses.
    pub(super) fn nest(&mut self, samples: Samples) {
        let dims = self.program.dims.clone();
        let strided = self.program.strided.clone();
        let (frame, sizes) = (self.body.frame, self.sizes);
        self.body.note(Note::Loop);
        // A stride in bytes.
        let unit = |table: Table| -> i64 {
            (match table {
                Table::Column | Table::Output => 8,
                Table::Tile => sizes.tile,
                Table::Uniform => sizes.number,
                Table::Accumulator => sizes.lanes,
            }) as i64
        };
        for (k, (table, at)) in strided.iter().enumerate() {
            let (base, first) = match table {
                Table::Column => (Register::RDI, 8 * words::COLUMNS as i64),
                Table::Output => (Register::RDI, 8 * (words::COLUMNS + self.sizes.columns) as i64),
                Table::Tile => (TILES, 0),
                Table::Uniform => (Register::RDX, 0),
                Table::Accumulator => (Register::RCX, 0),
            };
            let from = memory(base, first + i64::from(at.base) * unit(*table));
            self.body.put(Instruction::with2(Encoding::Lea_r64_m, Register::RAX, from));
            let outermost = at.strides.first().map_or(0, |s| i64::from(*s) * unit(*table));
            if self.one_turn && outermost != 0 {
                self.body.put(Instruction::with3(Encoding::Imul_r64_rm64_imm32, Register::R11, memory(Register::RDI, words::TURN), outermost as i32));
                self.body.put(Instruction::with2(Encoding::Add_r64_rm64, Register::RAX, Register::R11));
            }
            self.body.put(Instruction::with2(Encoding::Mov_rm64_r64, memory(Register::RSP, frame.pointer(k)), Register::RAX));
        }
        let together = |axis: usize| samples == Samples::Together && axis + 1 == dims.len();
        let carries = |axis: usize| I::CARRIES && together(axis);
        let carried = self.carried(samples);
        let mut labels = Vec::new();
        for (axis, extent) in dims.iter().enumerate() {
            let extent = if self.one_turn && axis == 0 { &1 } else { extent };
            if !carries(axis) {
                self.body.put(Instruction::with2(Encoding::Mov_rm64_imm32, memory(Register::RSP, frame.counter(axis)), *extent as i32));
            }
            if together(axis) {
                self.sums_to_and_fro(true);
            }
            if carries(axis) {
                self.body.put(Instruction::with2(Encoding::Mov_r32_imm32, Register::R9D, *extent as i32));
                self.carried_pointers(&carried);
            }
            let label = self.body.code.label();
            self.body.code.place(label);
            labels.push(label);
        }
        if let ([points], Some(columns)) = (&dims[..], self.asks_columns) {
            self.ask_columns(*points, columns.clone());
        }
        self.moving_pointers(&carried);
        match samples {
            Samples::All => self.point(true),
            Samples::Rest => self.point(false),
            Samples::Together => self.blocks_at_point(),
        }
        self.body.note(Note::Loop);
        for axis in (0..dims.len()).rev() {
            for (k, (table, at)) in strided.iter().enumerate() {
                let stride = |axis: usize| at.strides.get(axis).map_or(0, |s| i64::from(*s));
                // The inner loop has moved it by its whole extent.
                let moved = axis + 1 < dims.len() && !(axis + 2 == dims.len() && carried[k].is_some());
                let inner = if moved { stride(axis + 1) * dims[axis + 1] as i64 } else { 0 };
                let by = (stride(axis) - inner) * unit(*table);
                if let Some(register) = carried[k].filter(|_| together(axis)) {
                    if by != 0 {
                        self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, register, by as i32));
                    }
                } else if by != 0 {
                    self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, memory(Register::RSP, frame.pointer(k)), by as i32));
                }
            }
            if carries(axis) {
                self.body.put(Instruction::with2(Encoding::Sub_rm64_imm32, Register::R9, 1));
            } else {
                self.body.put(Instruction::with2(Encoding::Sub_rm64_imm32, memory(Register::RSP, frame.counter(axis)), 1));
            }
            self.body.code.jump(When::NotZero, labels[axis], Note::Loop);
            if together(axis) {
                self.sums_to_and_fro(false);
            }
        }
    }

    /// At each of so many points: asks the cache for the next tile of a share of these columns, if they come from further than a cache.
    fn ask_columns(&mut self, points: usize, columns: Range<usize>) {
        assert!(columns.end <= self.sizes.columns, "columns {columns:?} of {}", self.sizes.columns);
        let done = self.body.code.label();
        self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, memory(Register::RDI, words::FAR), 1));
        self.body.code.jump(When::Below, done, Note::Loop);
        // Goes down from the number of points to 1.
        self.mov(Register::RAX, memory(Register::RSP, self.body.frame.counter(0)));
        for (from, limit) in shares(columns, points) {
            if let Some(limit) = limit {
                self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, Register::RAX, limit as i32));
                self.body.code.jump(When::Above, done, Note::Loop);
            }
            let word = 8 * (words::COLUMNS + from - 1) as i64;
            let pointer = MemoryOperand::new(Register::RDI, Register::RAX, 8, word, 1, false, Register::None);
            self.mov(Register::R11, pointer);
            self.body.put(Instruction::with2(Encoding::Add_r64_rm64, Register::R11, memory(Register::RDI, words::START)));
            for line in (0..self.sizes.ahead).step_by(LINE) {
                self.body.put(Instruction::with1(Encoding::Prefetcht0_m8, memory(Register::R11, (self.sizes.ahead + line) as i64)));
            }
        }
        self.body.code.place(done);
    }

    /// For each strided address the register that it stays in through the innermost loop of some blocks, if it does: a column's is only where its address is found.
    fn carried(&self, samples: Samples) -> Vec<Option<Register>> {
        let register = |(k, (table, _)): (usize, &(Table, Access))| {
            let moves = I::CARRIES && samples == Samples::Together && !matches!(table, Table::Column | Table::Output);
            self.body.pointer(*table, Entry::Strided(k as u32, 0)).filter(|_| moves)
        };
        self.program.strided.iter().enumerate().map(register).collect()
    }

    /// Those into their registers.
    fn carried_pointers(&mut self, carried: &[Option<Register>]) {
        self.body.note(Note::Loop);
        for (k, register) in carried.iter().enumerate().filter_map(|(k, r)| Some((k, (*r)?))) {
            self.mov(register, memory(Register::RSP, self.body.frame.pointer(k)));
        }
    }

    /// Registers that point to what lies at the nest's point, and invariants that are read there.
    fn moving_pointers(&mut self, carried: &[Option<Register>]) {
        self.body.note(Note::Loop);
        for ((table, entry), register) in self.body.pointers.clone() {
            if matches!(entry, Entry::Strided(k, _) if carried[k as usize].is_none()) {
                self.body.load_pointer(register, table, entry);
            }
        }
        self.invariants(true);
    }

    /// The way out, the slow path, and in front of all the way in: only now is the frame's size known.
    pub(super) fn exit(mut self, size: i64, used: &[Register]) -> Code {
        // The caller's stack pointer lies at the end of the frame.
        let total = size + 64;
        self.body.note(Note::Frame);
        self.body.put(Ok(Instruction::with(Encoding::VEX_Vzeroupper)));
        self.mov(Register::RSP, memory(Register::RSP, size));
        for r in used.iter().rev() {
            self.body.put(Instruction::with1(Encoding::Pop_r64, *r));
        }
        self.body.put(Ok(Instruction::with(Encoding::Retnq)));
        if let Some(label) = self.body.slow {
            self.body.code.cold(true);
            self.body.code.place(label);
            self.slow_path();
            self.body.code.cold(false);
        }
        let mut way_in = Body::<I>::new(self.program, self.program.values.len(), self.sizes, self.body.frame);
        way_in.note(Note::Frame);
        for r in used {
            way_in.put(Instruction::with1(Encoding::Push_r64, *r));
        }
        way_in.put(Instruction::with2(Encoding::Mov_r64_rm64, Register::RAX, Register::RSP));
        // A stack that ends is noticed page by page: the guard page is never stepped over.
        for page in 1..=total / PAGE {
            way_in.put(Instruction::with2(Encoding::Test_rm32_r32, memory(Register::RSP, -page * PAGE), Register::EAX));
        }
        way_in.put(Instruction::with2(Encoding::Sub_rm64_imm32, Register::RSP, total as i32));
        way_in.put(Instruction::with2(Encoding::And_rm64_imm32, Register::RSP, -64));
        way_in.put(Instruction::with2(Encoding::Mov_rm64_r64, memory(Register::RSP, size), Register::RAX));
        let mut code = way_in.code;
        code.append(self.body.code);
        code
    }

    /// Saves everything, calls the function that mends lanes (which one is in `eax`), and restores everything. The return address is on the
    /// stack, so the frame is 8 bytes further.
    fn slow_path(&mut self) {
        const GENERAL: [Register; 8] = [Register::RCX, Register::RDX, Register::RSI, Register::RDI, Register::R8, Register::R9, Register::R10, Register::R11];
        let frame = self.body.frame;
        let at = |offset: i64| memory(Register::RSP, offset + 8);
        self.body.note(Note::Slow);
        for n in 0..I::REGISTERS {
            self.body.store(Vop::Spill, at(frame.vector(n)), I::vector(n as u8));
        }
        if I::MASKS {
            for n in 0..8 {
                self.body.put(Instruction::with2(Encoding::VEX_Kmovw_m16_kr, at(frame.general::<I>(n)), Register::K0 + n as u32));
            }
        }
        for (n, r) in GENERAL.into_iter().enumerate() {
            self.body.put(Instruction::with2(Encoding::Mov_rm64_r64, at(frame.general::<I>(8 + n)), r));
        }
        // extern "sysv64" fn(argument, value, which)
        self.mov(Register::R11, memory(Register::RDI, words::MEND));
        self.body.put(Instruction::with2(Encoding::Lea_r64_m, Register::RDI, at(frame.argument())));
        self.body.put(Instruction::with2(Encoding::Lea_r64_m, Register::RSI, at(frame.value())));
        self.body.put(Instruction::with2(Encoding::Mov_r32_rm32, Register::EDX, Register::EAX));
        self.body.put(Ok(Instruction::with(Encoding::VEX_Vzeroupper)));
        self.body.put(Instruction::with2(Encoding::Sub_rm64_imm32, Register::RSP, 8));
        self.body.put(Instruction::with1(Encoding::Call_rm64, Register::R11));
        self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, Register::RSP, 8));
        for (n, r) in GENERAL.into_iter().enumerate() {
            self.mov(r, at(frame.general::<I>(8 + n)));
        }
        if I::MASKS {
            for n in 0..8 {
                self.body.put(Instruction::with2(Encoding::VEX_Kmovw_kr_km16, Register::K0 + n as u32, at(frame.general::<I>(n))));
            }
        }
        for n in 0..I::REGISTERS {
            let from = at(frame.vector(n));
            self.body.one(Vop::Move, I::vector(n as u8), Rm::Mem(from));
        }
        self.body.put(Ok(Instruction::with(Encoding::Retnq)));
    }
}
