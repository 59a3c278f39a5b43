//! Phase two, the operations: each as the instructions it takes. The registers and everything below: `body.rs`.

use super::body::{Body, MASKS, Rm, VECTORS, mask_register, memory, sound, tail};
use super::code::{Note, When};
use super::isa::{Form, Isa, Vop, fused};
use super::machine::{Entry, Kind, Op, Table, Val};
use crate::graph::Fold;
use crate::kernel::ir::Mask;
use iced_x86::{Code as Encoding, Instruction, Register};

impl<I: Isa> Body<'_, I> {
    /// All operations for one block of samples.
    pub fn block(&mut self) {
        self.registers.begin();
        self.in_block = true;
        let program = self.program;
        for (k, op) in program.ops.iter().enumerate() {
            self.now = k as u32;
            self.block = self.first + usize::from(op.block);
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
        (self.in_block, self.in_rax) = (false, None);
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
            Kind::Patch(which) => {
                self.patch(op, which as u32);
                // The slow path leaves something else there.
                self.in_rax = None;
            }
            Kind::Hand(n) => {
                let x = self.register(a);
                self.store(Vop::Spill, memory(Register::RSP, self.frame.handed(n)), x);
            }
            Kind::Handed(n) => {
                let to = self.result(op);
                self.one(Vop::Move, to, Rm::Mem(memory(Register::RSP, self.frame.handed(n))));
            }
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
            Kind::Fold(fold, e) if self.sums.contains_key(&e) => self.onto(I::vector(self.sums[&e][self.block]), a, None, fold),
            Kind::FoldProduct(e) if self.sums.contains_key(&e) => self.onto(I::vector(self.sums[&e][self.block]), a, Some(b), Fold::Sum),
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

    /// Folds a value, or the product of two, onto a register.
    fn onto(&mut self, h: Register, a: Val, b: Option<Val>, fold: Fold) {
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
    }

    /// Folds a value, or the product of two, into an accumulator; lanes that don't exist keep what they have.
    fn accumulate(&mut self, e: Entry, a: Val, b: Option<Val>, fold: Fold) {
        if let Some(held) = self.held.get(&e) {
            let h = I::vector(held[self.block % held.len()]);
            if self.partial {
                let x = self.register(a);
                let y = b.map(|b| self.register(b));
                self.accumulate_existing(h, x, y, fold);
            } else {
                self.onto(h, a, b, fold);
            }
            return;
        }
        let x = self.register(a);
        let y = b.map(|b| self.register(b));
        let held = self.take(VECTORS);
        let h = I::vector(held);
        // A sum of all lanes reads the accumulator as its operand.
        let from = self.address(Table::Accumulator, e);
        if y.is_none() && fold == Fold::Sum && !self.partial {
            self.two(Vop::Add, h, x, Rm::Mem(from));
        } else {
            self.one(Vop::Load, h, Rm::Mem(from));
            self.accumulate_existing(h, x, y, fold);
        }
        let to = self.address(Table::Accumulator, e);
        self.store(Vop::Store, to, h);
        self.registers.free(VECTORS, held);
    }

    /// The same in a register, in the block's lanes that exist.
    fn accumulate_existing(&mut self, h: Register, x: Register, y: Option<Register>, fold: Fold) {
        let mask = self.partial.then(tail::<I>);
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
