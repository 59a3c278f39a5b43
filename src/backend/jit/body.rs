//! Phase two: one block of samples, operation by operation, into instructions over the registers that linear scan gives out.
//!
//! ```text
//! AVX-512  zmm0..   the block's values      ..zmm31  accumulators and invariants pinned for the whole loop
//!          k1       lanes of a partial block that exist         k2..k7  the block's masks
//! AVX2     ymm0..   the block's values      ..ymm14  accumulators and invariants pinned for the whole loop
//!          ymm15    lanes of a partial block that exist; masks are vectors
//! ```
//! General registers and the frame: `frame.rs`.

use super::code::{Code, Label, Note, When};
use super::frame::{Frame, words};
use super::isa::{Form, Isa, Vop, fused};
use super::machine::{Entry, Home, Kind, Op, Program, Table, Val};
use super::registers::Registers;
use crate::graph::Fold;
use crate::kernel::ir::Mask;
use iced_x86::{Code as Encoding, IcedError, Instruction, MemoryOperand, Register};
use std::collections::HashMap;
use std::marker::PhantomData;

const VECTORS: usize = 0;
const MASKS: usize = 1;

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
    /// Registers of accumulators: for each entry one a vector of its lanes. Empty in a partial block, or if they don't fit.
    pub held: HashMap<Entry, Vec<u8>>,
    /// General registers that hold an entry's pointer.
    pub pointers: HashMap<(Table, Entry), Register>,
    /// The block is partial, its mask in `k1` or `ymm15`.
    pub partial: bool,
    /// Accumulators' lanes are found by `r11`.
    pub rotating: bool,
    /// The block's number in the unrolled loop.
    pub block: usize,
    /// Where the slow path starts, if it is used.
    pub slow: Option<Label>,
    now: u32,
    note: Note,
    isa: PhantomData<I>,
}

/// The mask of a partial block.
pub fn tail<I: Isa>() -> Register {
    if I::MASKS { Register::K1 } else { Register::YMM15 }
}

fn sound(made: Result<Instruction, IcedError>) -> Instruction {
    made.unwrap_or_else(|e| panic!("an instruction with operands that it doesn't take: {e}"))
}

/// Memory at a register and a distance.
pub fn memory(base: Register, displacement: i64) -> MemoryOperand {
    indexed(base, Register::None, displacement)
}

fn indexed(base: Register, index: Register, displacement: i64) -> MemoryOperand {
    MemoryOperand::new(base, index, 1, displacement, u32::from(displacement != 0), false, Register::None)
}

fn mask_register(n: u8) -> Register {
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
    /// Nothing emitted yet.
    pub fn new(program: &'p Program, sizes: Sizes, frame: Frame) -> Self {
        let vectors = if I::MASKS { u32::MAX } else { 0x7fff };
        Body {
            program,
            code: Code::default(),
            registers: Registers::new(program, vectors, 0b1111_1100),
            frame,
            sizes,
            held: HashMap::new(),
            pointers: HashMap::new(),
            partial: false,
            rotating: false,
            block: 0,
            slow: None,
            now: 0,
            note: Note::Frame,
            isa: PhantomData,
        }
    }

    fn emit(&mut self, instruction: Instruction) {
        self.code.push(instruction, self.note);
    }

    /// The note of what is emitted from here on.
    pub fn note(&mut self, note: Note) {
        self.note = note;
    }

    fn encoding(&self, op: Vop) -> Encoding {
        I::code(op, self.sizes.double)
    }

    /// `x = op z`, or a store of `z` if `x` is memory.
    pub fn one(&mut self, op: Vop, x: Register, z: Rm) {
        let code = self.encoding(op);
        let made = match z {
            Rm::Reg(z) => Instruction::with2(code, x, z),
            Rm::Mem(z) => Instruction::with2(code, x, z),
        };
        self.emit(sound(made));
    }

    /// A store.
    pub fn store(&mut self, op: Vop, to: MemoryOperand, z: Register) {
        let made = Instruction::with2(self.encoding(op), to, z);
        self.emit(sound(made));
    }

    /// `x = y op z`
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
    fn two_masked(&mut self, op: Vop, x: Register, y: Register, z: Rm, mask: Register) {
        let mut made = self.made_of_two(op, x, y, z);
        made.set_op_mask(mask);
        self.emit(made);
    }

    fn one_immediate(&mut self, op: Vop, x: Register, z: Rm, immediate: u8) {
        let code = self.encoding(op);
        let immediate = u32::from(immediate);
        let made = match z {
            Rm::Reg(z) => Instruction::with3(code, x, z, immediate),
            Rm::Mem(z) => Instruction::with3(code, x, z, immediate),
        };
        self.emit(sound(made));
    }

    fn compare(&mut self, x: Register, y: Register, z: Rm, predicate: u8, mask: Option<Register>) {
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
    fn blend(&mut self, x: Register, y: Register, z: Rm, mask: Register) {
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
    pub fn put(&mut self, made: Result<Instruction, IcedError>) {
        self.emit(sound(made));
    }

    // ---- Addresses.

    /// Where an entry of a table lies, for the block at hand. May use `rax`, so at most one of an instruction's operands comes from here,
    /// and the last.
    pub fn address(&mut self, table: Table, entry: Entry) -> MemoryOperand {
        let ahead = (self.block * I::BYTES) as i64;
        let pointer = self.pointers.get(&(table, pointed(table, entry))).copied();
        let beyond = if let Entry::Strided(_, n) = entry { i64::from(n) } else { 0 };
        if let Entry::Strided(k, _) = entry
            && pointer.is_none()
        {
            let at = memory(Register::RSP, self.frame.pointer(k as usize));
            self.put(Instruction::with2(Encoding::Mov_r64_rm64, Register::RAX, at));
            if matches!(table, Table::Column | Table::Output) {
                self.put(Instruction::with2(Encoding::Mov_r64_rm64, Register::RAX, memory(Register::RAX, 8 * beyond)));
            }
        }
        let base = pointer.unwrap_or(Register::RAX);
        match (table, entry) {
            (Table::Column | Table::Output, _) => {
                if pointer.is_none()
                    && let Entry::Fixed(n) = entry
                {
                    let first = words::COLUMNS + if table == Table::Output { self.sizes.columns } else { 0 };
                    self.put(Instruction::with2(Encoding::Mov_r64_rm64, Register::RAX, memory(Register::RDI, 8 * (first as i64 + i64::from(n)))));
                }
                indexed(base, Register::R8, ahead)
            }
            (Table::Tile, Entry::Fixed(n)) => indexed(Register::R10, Register::R8, i64::from(n) * self.sizes.tile as i64 + ahead),
            (Table::Tile, Entry::Strided(..)) => indexed(base, Register::R8, beyond * self.sizes.tile as i64 + ahead),
            (Table::Uniform, Entry::Fixed(n)) => memory(Register::RDX, i64::from(n) * self.sizes.number as i64),
            (Table::Uniform, Entry::Strided(..)) => memory(base, beyond * self.sizes.number as i64),
            (Table::Accumulator, _) => {
                let (base, at) = match entry {
                    Entry::Fixed(n) => (Register::RCX, i64::from(n) * self.sizes.lanes as i64),
                    Entry::Strided(..) => (base, beyond * self.sizes.lanes as i64),
                };
                if self.rotating { indexed(base, Register::R11, at) } else { memory(base, at + ahead) }
            }
        }
    }

    // ---- Values.

    fn file(&self, v: Val) -> usize {
        if self.program.values[v.index()].mask { MASKS } else { VECTORS }
    }

    fn name(&self, v: Val, r: u8) -> Register {
        if self.program.values[v.index()].mask { mask_register(r) } else { I::vector(r) }
    }

    fn take(&mut self, file: usize) -> u8 {
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

    /// Loads a constant of the pool.
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
    fn register(&mut self, v: Val) -> Register {
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
    fn folds(&mut self, v: Val) -> bool {
        if self.registers.register(v).is_some() || self.program.values[v.index()].mask {
            return false;
        }
        match self.program.values[v.index()].home {
            Home::Computed => true,
            Home::Constant(_) => true,
            Home::Uniform(_) => I::MASKS,
            Home::Column(_) if self.partial => false,
            Home::Column(_) | Home::Tile(_) => !self.registers.is_used_after(self.program, v, self.now),
        }
    }

    /// The memory of an operand that `folds`.
    fn folded(&mut self, v: Val) -> Rm {
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
        at.is_broadcast = I::MASKS && self.program.is_invariant(v);
        Rm::Mem(at)
    }

    /// An operand as the last of an instruction.
    fn operand(&mut self, v: Val) -> Rm {
        if self.folds(v) { self.folded(v) } else { Rm::Reg(self.register(v)) }
    }

    /// Gives back the registers of operands that are not needed after this operation.
    fn leave(&mut self, op: &Op) {
        for v in op.args {
            if v != Val::NONE && !self.registers.is_used_after(self.program, v, self.now) {
                self.registers.leave(self.file(v), v);
            }
        }
    }

    /// The register of the result. Operands' registers must have been left, and slots not yet.
    fn result(&mut self, op: &Op) -> Register {
        let file = self.file(op.result);
        let r = self.take(file);
        self.registers.hold(file, op.result, r);
        self.name(op.result, r)
    }

    // ---- Operations.

    /// All operations for one block of samples.
    pub fn block(&mut self) {
        self.registers.begin();
        let program = self.program;
        for (k, op) in program.ops.iter().enumerate() {
            self.now = k as u32;
            self.note = Note::Value(op.origin);
            self.registers.unlock();
            for v in op.args {
                if v != Val::NONE
                    && let Some(r) = self.registers.register(v)
                {
                    self.registers.lock(self.file(v), r);
                }
            }
            self.operation(op);
            for v in op.args {
                if v != Val::NONE && !self.registers.is_used_after(program, v, self.now) {
                    self.registers.leave(self.file(v), v);
                    self.registers.leave_slot(v);
                }
            }
            if op.result != Val::NONE && program.uses(op.result).is_empty() {
                self.registers.leave(self.file(op.result), op.result);
            }
        }
    }

    fn operation(&mut self, op: &Op) {
        let [a, b, c] = op.args;
        match op.kind {
            Kind::Two { op: what, swaps } => {
                // A commutative operation reads the one that is not in a register from memory.
                let (a, b) = if swaps && self.registers.register(b).is_some() && self.folds(a) { (b, a) } else { (a, b) };
                let x = self.register(a);
                let y = if a == b { Rm::Reg(x) } else { self.operand(b) };
                // An address in `rax` must not be lost to a spill: spills don't use it.
                self.leave(op);
                let to = self.result(op);
                self.two(what, to, x, y);
            }
            Kind::One { op: what, immediate } => {
                let x = self.operand(a);
                self.leave(op);
                let to = self.result(op);
                match immediate {
                    Some(i) => self.one_immediate(what, to, x, i),
                    None => self.one(what, to, x),
                }
            }
            Kind::Shift { op: what, by } => {
                let x = self.register(a);
                self.leave(op);
                let to = self.result(op);
                self.one_immediate(what, to, Rm::Reg(x), by);
            }
            Kind::Fma { np, nc } => self.fma(op, np, nc),
            Kind::Compare(predicate, changed) => {
                let (a, b, predicate) = if self.registers.register(b).is_some() && self.folds(a) { (b, a, changed) } else { (a, b, predicate) };
                let x = self.register(a);
                let y = if a == b { Rm::Reg(x) } else { self.operand(b) };
                self.leave(op);
                let to = self.result(op);
                self.compare(to, x, y, predicate, None);
            }
            Kind::Masks(what) => {
                let (x, y) = (self.register(a), self.register(b));
                self.leave(op);
                let to = self.result(op);
                let code = if what == Mask::And { Encoding::VEX_Kandw_kr_kr_kr } else { Encoding::VEX_Korw_kr_kr_kr };
                self.put(Instruction::with3(code, to, x, y));
            }
            Kind::MaskNot => {
                let x = self.register(a);
                self.leave(op);
                let to = self.result(op);
                self.put(Instruction::with2(Encoding::VEX_Knotw_kr_kr, to, x));
            }
            Kind::Select => {
                let mask = self.register(a);
                let otherwise = self.register(c);
                let value = if b == c { Rm::Reg(otherwise) } else { self.operand(b) };
                self.leave(op);
                let to = self.result(op);
                self.blend(to, otherwise, value, mask);
            }
            Kind::Patch(which) => self.patch(op, which as u32),
            Kind::Store(e) => {
                let x = self.register(a);
                let to = self.address(Table::Tile, e);
                self.store(Vop::Store, to, x);
            }
            Kind::Output(e) => {
                let x = self.register(a);
                let to = self.address(Table::Output, e);
                if !self.partial {
                    self.store(Vop::Store, to, x);
                } else if I::MASKS {
                    let mut made = sound(Instruction::with2(self.encoding(Vop::Store), to, x));
                    made.set_op_mask(tail::<I>());
                    self.emit(made);
                } else {
                    let made = sound(Instruction::with3(self.encoding(Vop::MaskedStore), to, tail::<I>(), x));
                    self.emit(made);
                }
            }
            Kind::Fold(fold, e) => {
                let x = self.register(a);
                let held = self.take(VECTORS);
                let from = self.address(Table::Tile, e);
                let h = I::vector(held);
                if fold == Fold::Sum {
                    self.two(Vop::Add, h, x, Rm::Mem(from));
                } else {
                    self.one(Vop::Load, h, Rm::Mem(from));
                    self.extreme(fold, h, x, None);
                }
                let to = self.address(Table::Tile, e);
                self.store(Vop::Store, to, h);
                self.registers.free(VECTORS, held);
            }
            Kind::FoldProduct(e) => {
                let x = self.register(a);
                let y = self.register(b);
                let held = self.take(VECTORS);
                let h = I::vector(held);
                let from = self.address(Table::Tile, e);
                self.one(Vop::Load, h, Rm::Mem(from));
                self.two(Vop::Fmadd231, h, x, Rm::Reg(y));
                let to = self.address(Table::Tile, e);
                self.store(Vop::Store, to, h);
                self.registers.free(VECTORS, held);
            }
            Kind::Accumulate(fold, e) => self.accumulate(e, a, None, fold),
            Kind::AccumulateProduct(e) => self.accumulate(e, a, Some(b), Fold::Sum),
        }
    }

    /// `±(a * b) ± c`: over the register of an operand that dies here, if there is one; over a copy otherwise.
    fn fma(&mut self, op: &Op, np: bool, nc: bool) {
        let [a, b, c] = op.args;
        // One operand may stay in memory: the first of these that isn't in a register.
        let memory = [c, b, a].into_iter().find(|v| op.args.iter().filter(|o| *o == v).count() == 1 && self.folds(*v));
        for v in op.args {
            if Some(v) != memory {
                self.register(v);
            }
        }
        let dies = |s: &mut Self, v: Val| Some(v) != memory && !s.registers.is_used_after(s.program, v, s.now) && !s.registers.is_pinned(v, VECTORS);
        let over = [c, a, b].into_iter().find(|v| dies(self, *v));
        let (over, target) = if let Some(v) = over {
            let Some(r) = self.registers.register(v) else { unreachable!("it was loaded") };
            (v, r)
        } else {
            // What comes from memory comes into the new register; or else the addend is copied.
            let r = self.take(VECTORS);
            let v = memory.unwrap_or(c);
            if memory.is_some() {
                self.load(v, I::vector(r));
            } else {
                let from = self.register(v);
                self.one(Vop::Move, I::vector(r), Rm::Reg(from));
            }
            (v, r)
        };
        let memory = memory.filter(|m| *m != over);
        let x = I::vector(target);
        let name = |s: &mut Self, v: Val| if v == over { x } else { s.register(v) };
        let (form, y, z) = if over == c {
            // c = y * z + c
            let (y, z) = if Some(a) == memory { (b, a) } else { (a, b) };
            (Form::F231, y, z)
        } else {
            let other = if over == a { b } else { a };
            if Some(other) == memory { (Form::F132, c, other) } else { (Form::F213, other, c) }
        };
        let y = name(self, y);
        let z = if Some(z) == memory { self.folded(z) } else { Rm::Reg(name(self, z)) };
        self.two(fused(np, nc, form), x, y, z);
        // The register changes hands.
        for v in op.args {
            if !self.registers.is_used_after(self.program, v, self.now) && self.registers.register(v) != Some(target) {
                self.registers.leave(VECTORS, v);
            }
        }
        if self.registers.register(over) == Some(target) {
            self.registers.leave(VECTORS, over);
            self.registers.claim(VECTORS, target);
        }
        self.registers.hold(VECTORS, op.result, target);
    }

    /// `h = min(h, x)` or the like where `h` is not NaN, and in lanes of the mask.
    fn extreme(&mut self, fold: Fold, h: Register, x: Register, mask: Option<Register>) {
        const ORDERED: u8 = 7;
        let op = if fold == Fold::Min { Vop::Min } else { Vop::Max };
        if I::MASKS {
            let k = self.take(MASKS);
            self.compare(mask_register(k), h, Rm::Reg(h), ORDERED, mask);
            self.two_masked(op, h, h, Rm::Reg(x), mask_register(k));
            self.registers.free(MASKS, k);
            return;
        }
        let (m, t) = (self.take(VECTORS), self.take(VECTORS));
        let (mask_name, best) = (I::vector(m), I::vector(t));
        self.compare(mask_name, h, Rm::Reg(h), ORDERED, None);
        if let Some(mask) = mask {
            self.two(Vop::And, mask_name, mask_name, Rm::Reg(mask));
        }
        self.two(op, best, h, Rm::Reg(x));
        self.blend(h, h, Rm::Reg(best), mask_name);
        self.registers.free(VECTORS, m);
        self.registers.free(VECTORS, t);
    }

    /// Folds a value, or the product of two, into an accumulator; lanes that don't exist keep what they have.
    fn accumulate(&mut self, e: Entry, a: Val, b: Option<Val>, fold: Fold) {
        if let Some(held) = self.held.get(&e) {
            let h = I::vector(held[self.block % held.len()]);
            match b {
                None if fold == Fold::Sum => {
                    let x = self.operand(a);
                    self.two(Vop::Add, h, h, x);
                }
                None => {
                    let x = self.register(a);
                    self.extreme(fold, h, x, None);
                }
                Some(b) => {
                    let (a, b) = if self.folds(a) && self.registers.register(b).is_some() { (b, a) } else { (a, b) };
                    let x = self.register(a);
                    let y = if a == b { Rm::Reg(x) } else { self.operand(b) };
                    self.two(Vop::Fmadd231, h, x, y);
                }
            }
            return;
        }
        let x = self.register(a);
        let y = b.map(|b| self.register(b));
        let held = self.take(VECTORS);
        let h = I::vector(held);
        let mask = self.partial.then(tail::<I>);
        // A sum of all lanes reads the accumulator as its operand.
        let from = self.address(Table::Accumulator, e);
        if y.is_none() && fold == Fold::Sum && mask.is_none() {
            self.two(Vop::Add, h, x, Rm::Mem(from));
        } else {
            self.one(Vop::Load, h, Rm::Mem(from));
            match (y, fold, mask) {
                (None, Fold::Min | Fold::Max, _) => self.extreme(fold, h, x, mask),
                (Some(y), _, None) => self.two(Vop::Fmadd231, h, x, Rm::Reg(y)),
                (Some(y), _, Some(mask)) if I::MASKS => self.two_masked(Vop::Fmadd231, h, x, Rm::Reg(y), mask),
                (None, _, Some(mask)) if I::MASKS => self.two_masked(Vop::Add, h, h, Rm::Reg(x), mask),
                (y, _, mask) => {
                    let sum = self.take(VECTORS);
                    let s = I::vector(sum);
                    match y {
                        Some(y) => {
                            self.one(Vop::Move, s, Rm::Reg(h));
                            self.two(Vop::Fmadd231, s, x, Rm::Reg(y));
                        }
                        None => self.two(Vop::Add, s, h, Rm::Reg(x)),
                    }
                    self.blend(h, h, Rm::Reg(s), mask.unwrap_or(s));
                    self.registers.free(VECTORS, sum);
                }
            }
        }
        let to = self.address(Table::Accumulator, e);
        self.store(Vop::Store, to, h);
        self.registers.free(VECTORS, held);
    }

    /// Lanes in a slow range go through memory and a function, which everything else survives; the path is rarely taken.
    fn patch(&mut self, op: &Op, which: u32) {
        let [x, fast, beyond] = op.args;
        let (x, f, m) = (self.register(x), self.register(fast), self.register(beyond));
        // Over the recipe's value if it dies here; the argument's and the mask's registers are read after that is written.
        let dies = !self.registers.is_used_after(self.program, fast, self.now) && !self.registers.is_pinned(fast, VECTORS) && f != x;
        let to = if dies {
            let Some(r) = self.registers.register(fast) else { unreachable!("it was loaded") };
            self.registers.leave(VECTORS, fast);
            self.registers.claim(VECTORS, r);
            r
        } else {
            let r = self.take(VECTORS);
            self.one(Vop::Move, I::vector(r), Rm::Reg(f));
            r
        };
        self.registers.hold(VECTORS, op.result, to);
        let to = I::vector(to);
        let (slow, back) = (self.code.label(), self.code.label());
        if I::MASKS {
            self.put(Instruction::with2(Encoding::VEX_Kortestw_kr_kr, m, m));
        } else {
            self.put(Instruction::with2(Encoding::VEX_Vptest_ymm_ymmm256, m, m));
        }
        self.code.jump(When::NotZero, slow, self.note);
        self.code.place(back);
        self.code.cold(true);
        self.code.place(slow);
        self.store(Vop::Spill, memory(Register::RSP, self.frame.argument()), x);
        self.store(Vop::Spill, memory(Register::RSP, self.frame.value()), to);
        self.put(Instruction::with2(Encoding::Mov_r32_imm32, Register::EAX, which));
        let path = match self.slow {
            Some(label) => label,
            None => {
                let label = self.code.label();
                self.slow = Some(label);
                label
            }
        };
        self.code.jump(When::Call, path, self.note);
        let value = memory(Register::RSP, self.frame.value());
        self.one(Vop::Move, to, Rm::Mem(value));
        self.code.jump(When::Always, back, self.note);
        self.code.cold(false);
    }
}
