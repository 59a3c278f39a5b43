//! Phase two: one block of samples into instructions over the registers that linear scan gives out: instructions, addresses, values. The
//! operations themselves: `operations.rs`.
//!
//! ```text
//! AVX-512  zmm0..   the block's values      ..zmm31  accumulators and invariants pinned for the whole loop
//!          k1       lanes of a partial block that exist         k2..k7  the block's masks
//! AVX2     ymm0..   the block's values      ..ymm14  accumulators and invariants pinned for the whole loop
//!          ymm15    lanes of a partial block that exist; masks are vectors
//! ```
//! General registers and the frame: `frame.rs`.

use super::code::{Code, Label, Note};
use super::frame::{Frame, words};
use super::isa::{Isa, Vop};
use super::machine::{Entry, Home, Op, Program, Table, Val};
use super::registers::Registers;
use crate::lines::LINE;
use iced_x86::{Code as Encoding, IcedError, Instruction, MemoryOperand, Register};
use std::collections::HashMap;
use std::marker::PhantomData;

/// Vector registers, as a kind.
pub const VECTORS: usize = 0;
/// Mask registers, as a kind.
pub const MASKS: usize = 1;
/// Holds where the tile buffers are, less the tile's first sample; in a function that has none, one more pointer.
pub const TILES: Register = Register::R10;

/// The last operand of an instruction.
#[derive(Clone, Copy)]
pub enum Rm {
    /// A register.
    Reg(Register),
    /// Memory.
    Mem(MemoryOperand),
}

/// Sizes that code depends on.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Numbers are `f64`.
    pub double: bool,
    /// Bytes of a number.
    pub number: usize,
    /// Bytes of a tile buffer.
    pub tile: usize,
    /// Bytes of an accumulator's lanes.
    pub lanes: usize,
    /// How many columns come before the outputs.
    pub columns: usize,
    /// How far ahead of the samples that are read the cache is asked for more, in bytes.
    pub ahead: usize,
    /// Bytes of a leaf of one column.
    pub leaf: usize,
}

/// Emits blocks.
pub struct Body<'p, I> {
    /// What is emitted.
    pub program: &'p Program,
    /// Where to.
    pub code: Code,
    /// Who is where.
    pub registers: Registers,
    /// The frame.
    pub frame: Frame,
    /// Sizes.
    pub sizes: Sizes,
    /// Registers of accumulators: for each entry one a vector of its lanes. Empty where they are in memory.
    pub held: HashMap<Entry, Vec<u8>>,
    /// Registers of sums that go through tile buffers: for each entry one a block.
    pub sums: HashMap<Entry, Vec<u8>>,
    /// General registers that hold an entry's pointer: few, in one order, so that the same program is the same code.
    pub pointers: Vec<((Table, Entry), Register)>,
    /// The block is partial, its mask in `k1` or `ymm15`.
    pub partial: bool,
    /// Accumulators' lanes are found by `r11`.
    pub rotating: bool,
    /// The first block's number in the unrolled loop.
    pub first: usize,
    /// That of the operation at hand.
    pub block: usize,
    /// IR instructions whose loads of a column ask for samples further ahead; none outside of a loop over whole blocks.
    pub asking: &'p [bool],
    /// Where samples are gone through in several ways, those to come are asked for in their order: [`ASKED`] says how far that is, and this is the first block of the way's share.
    pub asks_apart: Option<usize>,
    /// Whose pointer `rax` holds: within a block, where nobody else writes it but a slow path.
    pub(super) in_rax: Option<(Table, Entry)>,
    /// A block's operations are being emitted.
    pub(super) in_block: bool,
    /// Where the slow path starts, if it is used.
    pub slow: Option<Label>,
    pub(super) now: u32,
    pub(super) note: Note,
    isa: PhantomData<I>,
}

/// How far the samples to come were asked for, where [`Body::asks_apart`] is given.
pub const ASKED: Register = Register::R11;

/// The mask of a partial block.
pub fn tail<I: Isa>() -> Register {
    if I::MASKS { Register::K1 } else { Register::YMM15 }
}

/// The instruction, which the emitter vouches for.
pub fn sound(made: Result<Instruction, IcedError>) -> Instruction {
    made.unwrap_or_else(|e| panic!("an instruction with operands that it doesn't take: {e}"))
}

/// Memory at a register and a distance.
pub fn memory(base: Register, displacement: i64) -> MemoryOperand {
    indexed(base, Register::None, displacement)
}

fn indexed(base: Register, index: Register, displacement: i64) -> MemoryOperand {
    MemoryOperand::new(base, index, 1, displacement, u32::from(displacement != 0), false, Register::None)
}

/// Mask register `n`.
pub fn mask_register(n: u8) -> Register {
    Register::K0 + u32::from(n)
}

/// The entry whose pointer an access goes through: a column each its own, entries of anything else that lie in a row the first one's.
pub fn pointed(table: Table, entry: Entry) -> Entry {
    match entry {
        Entry::Strided(k, _) if !matches!(table, Table::Column | Table::Output) => Entry::Strided(k, 0),
        _ => entry,
    }
}

impl<'p, I: Isa> Body<'p, I> {
    /// Nothing emitted yet; programs of so many `values` at most.
    pub fn new(program: &'p Program, values: usize, sizes: Sizes, frame: Frame) -> Self {
        let vectors = if I::MASKS { u32::MAX } else { 0x7fff };
        Body {
            program,
            code: Code::default(),
            registers: Registers::new(values, vectors, 0b1111_1100),
            frame,
            sizes,
            held: HashMap::new(),
            sums: HashMap::new(),
            pointers: Vec::new(),
            partial: false,
            rotating: false,
            first: 0,
            block: 0,
            asking: &[],
            asks_apart: None,
            in_rax: None,
            in_block: false,
            slow: None,
            now: 0,
            note: Note::Frame,
            isa: PhantomData,
        }
    }

    #[cfg_attr(test, track_caller)]
    pub(super) fn emit(&mut self, instruction: Instruction) {
        self.code.push(instruction, self.note);
    }

    /// The note of what is emitted from here on.
    pub fn note(&mut self, note: Note) {
        self.note = note;
    }

    pub(super) fn encoding(&self, op: Vop) -> Encoding {
        I::code(op, self.sizes.double)
    }

    /// `x = op z`, or a store of `z` if `x` is memory.
    #[cfg_attr(test, track_caller)]
    pub fn one(&mut self, op: Vop, x: Register, z: Rm) {
        let code = self.encoding(op);
        let made = match z {
            Rm::Reg(z) => Instruction::with2(code, x, z),
            Rm::Mem(z) => Instruction::with2(code, x, z),
        };
        self.emit(sound(made));
    }

    /// A store.
    #[cfg_attr(test, track_caller)]
    pub fn store(&mut self, op: Vop, to: MemoryOperand, z: Register) {
        let made = Instruction::with2(self.encoding(op), to, z);
        self.emit(sound(made));
    }

    /// `x = y op z`
    #[cfg_attr(test, track_caller)]
    pub fn two(&mut self, op: Vop, x: Register, y: Register, z: Rm) {
        let made = self.made_of_two(op, x, y, z);
        self.emit(made);
    }

    fn made_of_two(&self, op: Vop, x: Register, y: Register, z: Rm) -> Instruction {
        let code = self.encoding(op);
        sound(match z {
            Rm::Reg(z) => Instruction::with3(code, x, y, z),
            Rm::Mem(z) => Instruction::with3(code, x, y, z),
        })
    }

    /// As `two`, but lanes outside of the mask keep what they have.
    #[cfg_attr(test, track_caller)]
    pub(super) fn two_masked(&mut self, op: Vop, x: Register, y: Register, z: Rm, mask: Register) {
        let mut made = self.made_of_two(op, x, y, z);
        made.set_op_mask(mask);
        self.emit(made);
    }

    #[cfg_attr(test, track_caller)]
    pub(super) fn one_immediate(&mut self, op: Vop, x: Register, z: Rm, immediate: u8) {
        let code = self.encoding(op);
        let immediate = u32::from(immediate);
        let made = match z {
            Rm::Reg(z) => Instruction::with3(code, x, z, immediate),
            Rm::Mem(z) => Instruction::with3(code, x, z, immediate),
        };
        self.emit(sound(made));
    }

    #[cfg_attr(test, track_caller)]
    pub(super) fn compare(&mut self, x: Register, y: Register, z: Rm, predicate: u8, mask: Option<Register>) {
        let code = self.encoding(Vop::Compare);
        let predicate = u32::from(predicate);
        let mut made = sound(match z {
            Rm::Reg(z) => Instruction::with4(code, x, y, z, predicate),
            Rm::Mem(z) => Instruction::with4(code, x, y, z, predicate),
        });
        if let Some(mask) = mask {
            made.set_op_mask(mask);
        }
        self.emit(made);
    }

    /// `x = mask ? z : y`
    #[cfg_attr(test, track_caller)]
    pub(super) fn blend(&mut self, x: Register, y: Register, z: Rm, mask: Register) {
        if I::MASKS {
            self.two_masked(Vop::Blend, x, y, z, mask);
            return;
        }
        let code = self.encoding(Vop::Blend);
        let made = match z {
            Rm::Reg(z) => Instruction::with4(code, x, y, z, mask),
            Rm::Mem(z) => Instruction::with4(code, x, y, z, mask),
        };
        self.emit(sound(made));
    }

    /// An instruction made by the encoder's constructors.
    #[cfg_attr(test, track_caller)]
    pub fn put(&mut self, made: Result<Instruction, IcedError>) {
        self.emit(sound(made));
    }

    // ---- Addresses.

    /// The register that holds an entry's pointer.
    pub fn pointer(&self, table: Table, entry: Entry) -> Option<Register> {
        self.pointers.iter().find_map(|(held, register)| (*held == (table, entry)).then_some(*register))
    }

    /// Where an entry of a table lies, for the block at hand. May use `rax`, so at most one of an instruction's operands comes from here,
    /// and the last.
    pub fn address(&mut self, table: Table, entry: Entry) -> MemoryOperand {
        let ahead = (self.block * I::BYTES) as i64;
        let (base, n) = match (table, entry) {
            (Table::Tile, Entry::Fixed(n)) => (TILES, i64::from(n)),
            (Table::Uniform, Entry::Fixed(n)) => (Register::RDX, i64::from(n)),
            (Table::Accumulator, Entry::Fixed(n)) => (Register::RCX, i64::from(n)),
            (_, Entry::Strided(_, n)) => (self.pointed_to(table, entry), i64::from(n)),
            (_, Entry::Fixed(_)) => (self.pointed_to(table, entry), 0),
        };
        match table {
            Table::Column | Table::Output => indexed(base, Register::R8, ahead),
            Table::Tile => indexed(base, Register::R8, n * self.sizes.tile as i64 + ahead),
            Table::Uniform => memory(base, n * self.sizes.number as i64),
            Table::Accumulator => {
                let at = n * self.sizes.lanes as i64 + ahead % self.sizes.lanes as i64;
                if self.rotating { indexed(base, Register::R11, at) } else { memory(base, at) }
            }
        }
    }

    /// The register with an entry's pointer. In `rax` it may be already: blocks side by side read the same column one after the other.
    fn pointed_to(&mut self, table: Table, entry: Entry) -> Register {
        let of = pointed(table, entry);
        if let Some(register) = self.pointer(table, of) {
            return register;
        }
        if self.in_rax != Some((table, of)) {
            self.load_pointer(Register::RAX, table, of);
            self.in_rax = self.in_block.then_some((table, of));
        }
        Register::RAX
    }

    /// An entry's pointer into a register.
    pub fn load_pointer(&mut self, into: Register, table: Table, of: Entry) {
        let columns = matches!(table, Table::Column | Table::Output);
        let from = match of {
            Entry::Fixed(n) => {
                let first = words::COLUMNS + if table == Table::Output { self.sizes.columns } else { 0 };
                memory(Register::RDI, 8 * (first as i64 + i64::from(n)))
            }
            Entry::Strided(k, _) => memory(Register::RSP, self.frame.pointer(k as usize)),
        };
        self.put(Instruction::with2(Encoding::Mov_r64_rm64, into, from));
        // Of columns, what moves is where their addresses are.
        if let (true, Entry::Strided(_, n)) = (columns, of) {
            self.put(Instruction::with2(Encoding::Mov_r64_rm64, into, memory(into, 8 * i64::from(n))));
        }
    }

    // ---- Values.

    pub(super) fn file(&self, v: Val) -> usize {
        if self.program.values[v.index()].mask { MASKS } else { VECTORS }
    }

    fn name(&self, v: Val, r: u8) -> Register {
        if self.program.values[v.index()].mask { mask_register(r) } else { I::vector(r) }
    }

    pub(super) fn take(&mut self, file: usize) -> u8 {
        let (r, evicted) = self.registers.take(self.program, file, self.now);
        if let Some(e) = evicted {
            let to = memory(Register::RSP, self.frame.slot(e.slot));
            if file == MASKS {
                self.put(Instruction::with2(Encoding::VEX_Kmovw_m16_kr, to, mask_register(e.register)));
            } else {
                self.store(Vop::Spill, to, I::vector(e.register));
            }
        }
        r
    }

    /// Reads a value from its home or slot.
    pub fn load(&mut self, v: Val, into: Register) {
        if let Some(slot) = self.registers.slot(v) {
            let from = memory(Register::RSP, self.frame.slot(slot));
            if self.program.values[v.index()].mask {
                self.put(Instruction::with2(Encoding::VEX_Kmovw_kr_km16, into, from));
            } else {
                self.one(Vop::Move, into, Rm::Mem(from));
            }
            return;
        }
        match self.program.values[v.index()].home {
            Home::Constant(n) => self.constant_into(n, into),
            Home::Uniform(e) => {
                let from = self.address(Table::Uniform, e);
                self.one(Vop::Broadcast, into, Rm::Mem(from));
            }
            Home::Column(e) => {
                let from = self.address(Table::Column, e);
                if !self.partial {
                    self.ask(v, from);
                    self.one(Vop::Load, into, Rm::Mem(from));
                } else if I::MASKS {
                    let mut made = sound(Instruction::with2(self.encoding(Vop::Load), into, from));
                    made.set_op_mask(tail::<I>());
                    made.set_zeroing_masking(true);
                    self.emit(made);
                } else {
                    self.two(Vop::MaskedLoad, into, tail::<I>(), Rm::Mem(from));
                }
            }
            Home::Tile(e) => {
                let from = self.address(Table::Tile, e);
                self.one(Vop::Load, into, Rm::Mem(from));
            }
            Home::Computed => unreachable!("a computed value is in a register or in the frame"),
        }
    }

    /// Asks the cache for the samples that come some way after those at `at`, once a line. Past the column's end nothing happens.
    fn ask(&mut self, v: Val, at: MemoryOperand) {
        let asks = self.asking.get(self.program.values[v.index()].origin as usize).is_some_and(|asks| *asks);
        // One that is read again was asked for when it was read first.
        let first = self.program.uses(v).first() == Some(&self.now) && !self.program.values[v.index()].again;
        let (index, from, ahead) = self.asks_apart.map_or((at.index, 0, self.sizes.ahead), |from| (ASKED, from, 0));
        if asks && first && ((self.block - from) * I::BYTES).is_multiple_of(LINE) {
            let displacement = at.displacement + ahead as i64 - (from * I::BYTES) as i64;
            self.put(Instruction::with1(Encoding::Prefetcht0_m8, indexed(at.base, index, displacement)));
        }
    }

    /// Loads a constant of the pool.
    #[cfg_attr(test, track_caller)]
    pub fn constant_into(&mut self, n: u32, into: Register) {
        let from = self.constant(n);
        let op = if I::MASKS { Vop::Broadcast } else { Vop::Load };
        self.one(op, into, Rm::Mem(from));
    }

    fn constant(&self, n: u32) -> MemoryOperand {
        let size = if I::MASKS { self.sizes.number } else { I::BYTES };
        memory(Register::RSI, super::machine::Pool::WINDOW as i64 + i64::from(n) * size as i64)
    }

    /// The register of an operand, loaded if need be, and locked.
    pub(super) fn register(&mut self, v: Val) -> Register {
        let file = self.file(v);
        if let Some(r) = self.registers.register(v) {
            self.registers.lock(file, r);
            return self.name(v, r);
        }
        let r = self.take(file);
        let name = self.name(v, r);
        self.load(v, name);
        self.registers.hold(file, v, r);
        name
    }

    /// Whether an operand that is in no register should be read from memory by the operation itself.
    pub(super) fn folds(&mut self, v: Val) -> bool {
        if self.registers.register(v).is_some() || self.program.values[v.index()].mask {
            return false;
        }
        match self.program.values[v.index()].home {
            Home::Computed => true,
            Home::Constant(_) => I::MASKS || !self.registers.is_used_soon(self.program, v, self.now),
            Home::Uniform(_) => I::MASKS,
            Home::Column(_) if self.partial => false,
            Home::Column(_) | Home::Tile(_) => !self.registers.is_used_after(self.program, v, self.now),
        }
    }

    /// The memory of an operand that `folds`.
    pub(super) fn folded(&mut self, v: Val) -> Rm {
        if let Some(slot) = self.registers.slot(v) {
            return Rm::Mem(memory(Register::RSP, self.frame.slot(slot)));
        }
        let mut at = match self.program.values[v.index()].home {
            Home::Constant(n) => self.constant(n),
            Home::Uniform(e) => self.address(Table::Uniform, e),
            Home::Column(e) => self.address(Table::Column, e),
            Home::Tile(e) => self.address(Table::Tile, e),
            Home::Computed => unreachable!("a computed value is in a register or in the frame"),
        };
        self.ask(v, at);
        at.is_broadcast = I::MASKS && self.program.is_invariant(v);
        Rm::Mem(at)
    }

    /// An operand as the last of an instruction.
    pub(super) fn operand(&mut self, v: Val) -> Rm {
        if self.folds(v) { self.folded(v) } else { Rm::Reg(self.register(v)) }
    }

    /// Gives back the registers of operands that are not needed after this operation.
    pub(super) fn leave(&mut self, op: &Op) {
        for v in op.args {
            if v != Val::NONE && !self.registers.is_used_after(self.program, v, self.now) {
                self.registers.leave(self.file(v), v);
            }
        }
    }

    /// The register of the result. Operands' registers must have been left, and slots not yet.
    pub(super) fn result(&mut self, op: &Op) -> Register {
        let file = self.file(op.result);
        let r = self.take(file);
        self.registers.hold(file, op.result, r);
        self.name(op.result, r)
    }
}
