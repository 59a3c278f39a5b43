//! Phase one: from expanded kernel IR to machine operations over virtual values, each of which knows where in memory it can be read again.
//!
//! Bit patterns are reals under another name and vanish; negation and absolute value become bit operations with a constant; on a machine without
//! mask registers masks become vectors.

use super::isa::Vop;
use super::order;
use crate::graph::Fold;
use crate::kernel::arith::Slow;
use crate::kernel::ir::{Access, Bin, Cmp, Inst, Int, Kernel, Mask, Un, V};
use crate::kernel::math::slow;
use crate::known::Known;
use crate::real::{Bits, Real};

/// A virtual value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Val(pub u32);

impl Val {
    /// No value.
    pub const NONE: Val = Val(u32::MAX);

    /// The position.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a table entry is an entry of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// Data columns.
    Column,
    /// Per-sample outputs.
    Output,
    /// Tile buffers.
    Tile,
    /// Uniforms.
    Uniform,
    /// Accumulators.
    Accumulator,
}

/// An entry of a table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// Always this one.
    Fixed(u32),
    /// So many entries beyond the one that the strided address of this number points to, at the nest's point.
    Strided(u32, i32),
}

/// Where a value can be read, besides the register it may be in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// Nowhere: computed.
    Computed,
    /// The constant at this position of the pool.
    Constant(u32),
    /// A uniform.
    Uniform(Entry),
    /// A column.
    Column(Entry),
    /// A tile buffer.
    Tile(Entry),
}

/// What is known of a value.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// Where it can be read.
    pub home: Home,
    /// Lives in mask registers.
    pub mask: bool,
    /// The IR instruction.
    pub origin: u32,
    /// The loop has read it before, for the block it is of.
    pub again: bool,
}

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// Two operands, the second in memory if need be.
    Two {
        /// Which.
        op: Vop,
        /// The operands may change places.
        swaps: bool,
    },
    /// One operand.
    One {
        /// Which.
        op: Vop,
        /// Its constant, if it takes one.
        immediate: Option<u8>,
    },
    /// A shift by a constant.
    Shift {
        /// Which.
        op: Vop,
        /// How far.
        by: u8,
    },
    /// Product and sum.
    Fma {
        /// Product negated.
        np: bool,
        /// Addend negated.
        nc: bool,
    },
    /// A mask by a predicate, and the predicate for the operands changed round.
    Compare(u8, u8),
    /// A mask register from two: both, or either.
    Masks(Mask),
    /// A mask register turned round.
    MaskNot,
    /// Mask, value where it holds, value elsewhere.
    Select,
    /// Lanes of the second operand mended where the first lies in the slow range, if the third says that any does.
    Patch(Slow),
    /// Leaves a value in the frame for the next turn of the loop.
    Hand(u32),
    /// What was left there.
    Handed(u32),
    /// Writes a tile buffer.
    Store(Entry),
    /// Writes an output.
    Output(Entry),
    /// Folds into a tile buffer.
    Fold(Fold, Entry),
    /// Folds a product into a tile buffer.
    FoldProduct(Entry),
    /// Folds into an accumulator.
    Accumulate(Fold, Entry),
    /// Folds a product into an accumulator.
    AccumulateProduct(Entry),
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// What.
    pub kind: Kind,
    /// Operands; [`Val::NONE`] beyond their number.
    pub args: [Val; 3],
    /// Its value, or [`Val::NONE`].
    pub result: Val,
    /// The IR instruction.
    pub origin: u32,
    /// Which of the blocks that are computed side by side.
    pub block: u8,
}

/// Constants, each once: a window of ones and zeros that partial blocks take their masks from, then the numbers.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    known: Known<u64, u32>,
    bits: Vec<u64>,
}

impl Pool {
    /// Bytes of the window: as many of ones as of zeros.
    pub const WINDOW: usize = 128;

    /// The constant's position.
    pub fn position(&mut self, bits: u64) -> u32 {
        *self.known.entry(bits).or_insert_with(|| {
            self.bits.push(bits);
            self.bits.len() as u32 - 1
        })
    }

    /// The pool as it lies in memory: each constant over `copies` lanes of `size` bytes.
    pub fn memory(&self, size: usize, copies: usize) -> Vec<u8> {
        let mut out = vec![0xff; Self::WINDOW / 2];
        out.resize(Self::WINDOW, 0);
        for bits in &self.bits {
            for _ in 0..copies {
                out.extend_from_slice(&bits.to_le_bytes()[..size]);
            }
        }
        out
    }
}

/// A kernel as machine operations.
pub struct Program {
    /// Every value.
    pub values: Vec<Value>,
    /// The operations in order.
    pub ops: Vec<Op>,
    /// Strided addresses of the nest.
    pub strided: Vec<(Table, Access)>,
    /// The nest.
    pub dims: Vec<usize>,
    /// For each value the range of `uses` that is its own.
    starts: Vec<u32>,
    uses: Vec<u32>,
}

impl Program {
    /// Counts the IR instructions it was made from after so many others.
    pub fn after(&mut self, others: u32) {
        self.values.iter_mut().for_each(|v| v.origin += others);
        self.ops.iter_mut().for_each(|op| op.origin += others);
    }

    /// The operations that use a value, in order.
    pub fn uses(&self, v: Val) -> &[u32] {
        &self.uses[self.starts[v.index()] as usize..self.starts[v.index() + 1] as usize]
    }

    /// Whether the value is the same for all samples.
    pub fn is_invariant(&self, v: Val) -> bool {
        matches!(self.values[v.index()].home, Home::Constant(_) | Home::Uniform(_))
    }

    /// Whether it reads or writes tile buffers.
    pub fn uses_tiles(&self) -> bool {
        let written = |op: &Op| matches!(op.kind, Kind::Store(_) | Kind::Fold(..) | Kind::FoldProduct(_));
        self.values.iter().any(|value| matches!(value.home, Home::Tile(_))) || self.ops.iter().any(written)
    }

    /// Lowers an expanded kernel. `masks`: the machine has mask registers.
    ///
    /// # Errors
    /// What the kernel contains that has no machine operation.
    pub fn new<T: Real>(kernel: &Kernel, pool: &mut Pool, masks: bool) -> Result<Program, String> {
        let mut b = Lowering::<T> {
            pool,
            masks,
            values: Vec::new(),
            ops: Vec::with_capacity(kernel.insts.len()),
            strided: Vec::new(),
            constants: Known::default(),
            negated: Known::default(),
            number: std::marker::PhantomData,
        };
        let mut map = vec![Val::NONE; kernel.insts.len()];
        for (k, inst) in kernel.insts.iter().enumerate() {
            map[k] = b.instruction(k as u32, inst, &|v: V| map[v.index()])?;
        }
        let Lowering { values, mut ops, strided, .. } = b;
        remove_dead(&mut ops, values.len());
        order::interleave(&mut ops, values.len(), order::window(masks));
        Ok(Program::of(values, ops, strided, kernel.dims.to_vec()))
    }

    /// The operations of several blocks as one: what is the same for all samples once, everything else for each block.
    pub fn side_by_side(&self, blocks: usize, window: usize) -> Program {
        let n = self.values.len() as u32;
        let mut values = self.values.clone();
        let mut ops = Vec::with_capacity(blocks * self.ops.len());
        for op in &self.ops {
            for block in 0..blocks as u32 {
                let at = |v: Val| if v == Val::NONE || self.is_invariant(v) { v } else { Val(v.0 + block * n) };
                ops.push(Op { args: op.args.map(at), result: at(op.result), block: block as u8, ..*op });
            }
        }
        (1..blocks).for_each(|_| values.extend_from_slice(&self.values));
        order::interleave(&mut ops, values.len(), window);
        Program::of(values, ops, self.strided.clone(), self.dims.clone())
    }

    pub fn of(values: Vec<Value>, ops: Vec<Op>, strided: Vec<(Table, Access)>, dims: Vec<usize>) -> Program {
        // Uses, value by value, by counting.
        let mut starts = vec![0u32; values.len() + 1];
        let args = |op: &Op| {
            let [a, b, c] = op.args;
            [a, if b == a { Val::NONE } else { b }, if c == a || c == b { Val::NONE } else { c }]
        };
        for v in ops.iter().flat_map(args).filter(|v| *v != Val::NONE) {
            starts[v.index() + 1] += 1;
        }
        for k in 1..starts.len() {
            starts[k] += starts[k - 1];
        }
        let mut next = starts.clone();
        let mut uses = vec![0; starts[values.len()] as usize];
        for (k, op) in ops.iter().enumerate() {
            for v in args(op).into_iter().filter(|v| *v != Val::NONE) {
                uses[next[v.index()] as usize] = k as u32;
                next[v.index()] += 1;
            }
        }
        Program { values, ops, strided, dims, starts, uses }
    }
}

/// Takes out operations whose value nothing needs.
fn remove_dead(ops: &mut Vec<Op>, values: usize) {
    let mut needed = vec![false; values];
    let mut keep = vec![true; ops.len()];
    for (op, keep) in ops.iter().zip(&mut keep).rev() {
        *keep = op.result == Val::NONE || needed[op.result.index()];
        if *keep {
            for v in op.args.into_iter().filter(|v| *v != Val::NONE) {
                needed[v.index()] = true;
            }
        }
    }
    let mut keep = keep.into_iter();
    ops.retain(|_| keep.next() == Some(true));
}

struct Lowering<'p, T> {
    pool: &'p mut Pool,
    masks: bool,
    values: Vec<Value>,
    ops: Vec<Op>,
    strided: Vec<(Table, Access)>,
    /// By bits, so that an integer and a real of the same bits are one.
    constants: Known<u64, Val>,
    /// What a value is the negative of.
    negated: Known<Val, Val>,
    number: std::marker::PhantomData<T>,
}

impl<T: Real> Lowering<'_, T> {
    fn value(&mut self, home: Home, mask: bool, origin: u32) -> Val {
        self.values.push(Value { home, mask, origin, again: false });
        Val(self.values.len() as u32 - 1)
    }

    fn constant(&mut self, bits: u64, origin: u32) -> Val {
        if let Some(v) = self.constants.get(&bits) {
            return *v;
        }
        let position = self.pool.position(bits);
        let v = self.value(Home::Constant(position), false, origin);
        self.constants.insert(bits, v);
        v
    }

    fn entry(&mut self, table: Table, at: &Access) -> Entry {
        if at.strides.iter().all(|s| *s == 0) {
            return Entry::Fixed(at.base);
        }
        // Entries that move together share an address.
        let known = self.strided.iter().position(|(t, a)| *t == table && a.strides == at.strides);
        let k = known.unwrap_or_else(|| {
            self.strided.push((table, at.clone()));
            self.strided.len() - 1
        });
        Entry::Strided(k as u32, at.base.wrapping_sub(self.strided[k].1.base) as i32)
    }

    fn op(&mut self, kind: Kind, args: [Val; 3], origin: u32) -> Val {
        let mask = self.masks && matches!(kind, Kind::Compare(..) | Kind::Masks(_) | Kind::MaskNot);
        let result = self.value(Home::Computed, mask, origin);
        self.ops.push(Op { kind, args, result, origin, block: 0 });
        result
    }

    fn sink(&mut self, kind: Kind, args: [Val; 3], origin: u32) -> Val {
        self.ops.push(Op { kind, args, result: Val::NONE, origin, block: 0 });
        Val::NONE
    }

    fn two(&mut self, op: Vop, a: Val, b: Val, origin: u32) -> Val {
        let swaps = matches!(op, Vop::Add | Vop::Mul | Vop::And | Vop::Or | Vop::Xor | Vop::IntAdd);
        self.op(Kind::Two { op, swaps }, [a, b, Val::NONE], origin)
    }

    /// The sign bit, or all others.
    fn sign(&mut self, others: bool, origin: u32) -> Val {
        let all = T::Bits::truncate(u64::MAX).widen();
        let sign = T::from_f64(-0.0).bits().widen();
        self.constant(if others { all ^ sign } else { sign }, origin)
    }

    fn instruction(&mut self, k: u32, inst: &Inst, at: &dyn Fn(V) -> Val) -> Result<Val, String> {
        const NONE: Val = Val::NONE;
        Ok(match inst {
            Inst::Column(a) => {
                let e = self.entry(Table::Column, a);
                self.value(Home::Column(e), false, k)
            }
            Inst::Tile(a) => {
                let e = self.entry(Table::Tile, a);
                self.value(Home::Tile(e), false, k)
            }
            Inst::Uniform(a) => {
                let e = self.entry(Table::Uniform, a);
                self.value(Home::Uniform(e), false, k)
            }
            Inst::Const(bits) => self.constant(T::from_f64(f64::from_bits(*bits)).bits().widen(), k),
            Inst::IntConst(c) => self.constant(T::Bits::truncate(*c as u64).widen(), k),
            Inst::Un(op, a) => {
                let a = at(*a);
                match op {
                    Un::Neg => {
                        let sign = self.sign(false, k);
                        let v = self.two(Vop::Xor, a, sign, k);
                        self.negated.insert(v, a);
                        v
                    }
                    Un::Abs => {
                        let rest = self.sign(true, k);
                        self.two(Vop::And, a, rest, k)
                    }
                    Un::Sqrt => self.op(Kind::One { op: Vop::Sqrt, immediate: None }, [a, NONE, NONE], k),
                    // Bit 3: no exception is raised for an inexact result. 0: nearest, ties to even; 1: down.
                    Un::Round => self.op(Kind::One { op: Vop::Round, immediate: Some(0b1000) }, [a, NONE, NONE], k),
                    Un::Floor => self.op(Kind::One { op: Vop::Round, immediate: Some(0b1001) }, [a, NONE, NONE], k),
                }
            }
            Inst::Bin(op, a, b) => {
                let op = match op {
                    Bin::Add => Vop::Add,
                    Bin::Sub => Vop::Sub,
                    Bin::Mul => Vop::Mul,
                    Bin::Div => Vop::Div,
                    Bin::Min => Vop::Min,
                    Bin::Max => Vop::Max,
                };
                self.two(op, at(*a), at(*b), k)
            }
            Inst::Fma { a, b, c, np, nc } => {
                // A sign that was flipped is a sign of the product or the addend; the one rounding is the same.
                let (mut np, mut nc) = (*np, *nc);
                let plain = |v: Val, sign: &mut bool| match self.negated.get(&v) {
                    Some(of) => {
                        *sign = !*sign;
                        *of
                    }
                    None => v,
                };
                let args = [plain(at(*a), &mut np), plain(at(*b), &mut np), plain(at(*c), &mut nc)];
                self.op(Kind::Fma { np, nc }, args, k)
            }
            Inst::Cmp(op, a, b) => {
                // Quiet predicates, and those with the operands changed round.
                let (predicate, changed) = match op {
                    Cmp::Lt => (0x11, 0x1e),
                    Cmp::Le => (0x12, 0x1d),
                    Cmp::Eq => (0x00, 0x00),
                    Cmp::Ne => (0x04, 0x04),
                };
                self.op(Kind::Compare(predicate, changed), [at(*a), at(*b), NONE], k)
            }
            Inst::Mask(op, a, b) if self.masks => self.op(Kind::Masks(*op), [at(*a), at(*b), NONE], k),
            Inst::Mask(op, a, b) => self.two(if *op == Mask::And { Vop::And } else { Vop::Or }, at(*a), at(*b), k),
            Inst::Not(a) if self.masks => self.op(Kind::MaskNot, [at(*a), NONE, NONE], k),
            Inst::Not(a) => {
                let ones = self.constant(T::Bits::truncate(u64::MAX).widen(), k);
                self.two(Vop::Xor, at(*a), ones, k)
            }
            Inst::Select(m, a, b) => self.op(Kind::Select, [at(*m), at(*a), at(*b)], k),
            Inst::Bits(a) | Inst::Real(a) => at(*a),
            Inst::Int(op, a, b) => {
                let op = match op {
                    Int::Add => Vop::IntAdd,
                    Int::Sub => Vop::IntSub,
                    Int::And => Vop::And,
                    Int::Or => Vop::Or,
                    Int::Xor => Vop::Xor,
                };
                self.two(op, at(*a), at(*b), k)
            }
            Inst::Shl(a, n) => self.op(Kind::Shift { op: Vop::Shl, by: *n as u8 }, [at(*a), NONE, NONE], k),
            Inst::Shr(a, n) => self.op(Kind::Shift { op: Vop::Shr, by: *n as u8 }, [at(*a), NONE, NONE], k),
            Inst::Patch(which, x, fast) => {
                let limit = self.constant(slow::limit::<T>(*which).bits().widen(), k);
                let rest = self.sign(true, k);
                let size = self.two(Vop::And, at(*x), rest, k);
                // A mask of its own, so that the allocator sees its register; NaN is not beyond the limit.
                let beyond = self.op(Kind::Compare(0x1e, 0x11), [size, limit, NONE], k);
                self.op(Kind::Patch(*which), [at(*x), at(*fast), beyond], k)
            }
            Inst::Store(a, v) => {
                let e = self.entry(Table::Tile, a);
                self.sink(Kind::Store(e), [at(*v), NONE, NONE], k)
            }
            Inst::Output(a, v) => {
                let e = self.entry(Table::Output, a);
                self.sink(Kind::Output(e), [at(*v), NONE, NONE], k)
            }
            Inst::Fold(fold, a, v) => {
                let e = self.entry(Table::Tile, a);
                self.sink(Kind::Fold(*fold, e), [at(*v), NONE, NONE], k)
            }
            Inst::FoldProduct(a, x, y) => {
                let e = self.entry(Table::Tile, a);
                self.sink(Kind::FoldProduct(e), [at(*x), at(*y), NONE], k)
            }
            Inst::Accumulate(fold, a, v) => {
                let e = self.entry(Table::Accumulator, a);
                self.sink(Kind::Accumulate(*fold, e), [at(*v), NONE, NONE], k)
            }
            Inst::AccumulateProduct(a, x, y) => {
                let e = self.entry(Table::Accumulator, a);
                self.sink(Kind::AccumulateProduct(e), [at(*x), at(*y), NONE], k)
            }
            Inst::Math(..) => return Err(format!("no machine code for {inst:?}")),
        })
    }
}
