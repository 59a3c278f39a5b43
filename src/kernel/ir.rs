//! The kernel IR: about 25 primitives in SSA form over lanes of samples, with affine access to columns, uniforms and tile buffers.
//!
//! A kernel runs once per tile of samples, and inside that once per point of a small static loop nest (`dims`; none for the common
//! unrolled kernel). The value of instruction `k` is named `k`. `fma` is explicit: no backend may fuse on its own.

use super::arith::Slow;
use crate::graph::Fold;
use crate::shape::Dims;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::ops::Range;

/// The value of the instruction at this position.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct V(pub u32);

impl V {
    /// The position.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Entry `base + sum(index[k] * strides[k])` of a table, at a point of the loop nest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// The entry at the origin.
    pub base: u32,
    /// One stride per loop; none for an unrolled kernel.
    pub strides: SmallVec<[u32; 2]>,
}

impl Access {
    /// Always the same entry.
    pub fn fixed(base: usize) -> Self {
        Access { base: base as u32, strides: SmallVec::new() }
    }

    /// All entries that it reaches over a nest.
    pub fn targets(&self, dims: &[usize]) -> Vec<usize> {
        let mut out = vec![self.base as usize];
        for (stride, extent) in self.strides.iter().zip(dims).filter(|(s, _)| **s != 0) {
            out = out.iter().flat_map(|t| (0..*extent).map(move |k| t + k * *stride as usize)).collect();
        }
        out
    }

    /// The last of them.
    pub fn last(&self, dims: &[usize]) -> usize {
        self.base as usize + self.strides.iter().zip(dims).map(|(s, d)| *s as usize * d.saturating_sub(1)).sum::<usize>()
    }

    /// The entry at a point.
    #[inline]
    pub fn at(&self, point: &[usize]) -> usize {
        self.base as usize + self.strides.iter().zip(point).map(|(s, p)| *s as usize * p).sum::<usize>()
    }
}

/// Instructions of one real operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Un {
    /// Sign bit flipped.
    Neg,
    /// Sign bit cleared.
    Abs,
    /// Correctly rounded.
    Sqrt,
    /// Towards minus infinity.
    Floor,
    /// Nearest, ties to even.
    Round,
}

/// Instructions of two real operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bin {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// `a < b ? a : b`
    Min,
    /// `a > b ? a : b`
    Max,
}

/// Comparisons; false with NaN except `Ne`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cmp {
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Equal.
    Eq,
    /// Not equal, or NaN.
    Ne,
}

/// Instructions on masks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mask {
    /// Both.
    And,
    /// Either.
    Or,
}

/// Instructions on bit patterns as integers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Int {
    /// Wrapping sum.
    Add,
    /// Wrapping difference.
    Sub,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
}

/// Every function with a recipe in [`super::math`], once: of one real, then of two.
macro_rules! functions {
    ($consumer:ident) => {
        $consumer! {
            {
                Exp exp, ExpM1 exp_m1, Exp2 exp2, Ln ln, Ln1p ln_1p, Log2 log2, Log10 log10, Cbrt cbrt,
                Sin sin, Cos cos, Tan tan, Asin asin, Acos acos, Atan atan,
                Sinh sinh, Cosh cosh, Tanh tanh, Sigmoid sigmoid, Softplus softplus, LogSigmoid log_sigmoid,
                Erf erf, Erfc erfc, LnGamma ln_gamma, Digamma digamma, Trigamma trigamma, Tetragamma tetragamma, Pentagamma pentagamma,
            }
            { Pow pow, Atan2 atan2, Logaddexp logaddexp, }
        }
    };
}
pub(crate) use functions;

macro_rules! define {
    ({ $($one:ident $one_name:ident,)* } { $($two:ident $two_name:ident,)* }) => {
        /// Functions with a recipe in [`super::math`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum MathFn {
            $(#[doc = concat!("`", stringify!($one_name), "(x)`")] $one,)*
            $(#[doc = concat!("`", stringify!($two_name), "(x, y)`")] $two,)*
        }

        impl MathFn {
            /// All of them.
            pub const ALL: &'static [MathFn] = &[$(MathFn::$one,)* $(MathFn::$two,)*];

            /// Whether it takes two operands.
            pub fn is_binary(self) -> bool {
                matches!(self, $(MathFn::$two)|*)
            }

            /// The ranges that are mended lane by lane, if there are such.
            pub fn slow(self) -> Option<Slow> {
                match self {
                    MathFn::Sin => Some(Slow::Sin),
                    MathFn::Cos => Some(Slow::Cos),
                    MathFn::Tan => Some(Slow::Tan),
                    _ => None,
                }
            }
        }
    };
}
functions!(define);

/// One instruction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Inst {
    /// A data column's samples.
    Column(Access),
    /// A tile buffer that an earlier step wrote.
    Tile(Access),
    /// A call-stage value, the same for every sample.
    Uniform(Access),
    /// A constant, given by its bits as `f64`.
    Const(u64),
    /// A real from a real.
    Un(Un, V),
    /// A real from two.
    Bin(Bin, V, V),
    /// `±(a * b) ± c`, rounded once: the product negated if `np`, the addend if `nc`.
    Fma {
        /// Factor.
        a: V,
        /// Factor.
        b: V,
        /// Addend.
        c: V,
        /// Product negated.
        np: bool,
        /// Addend negated.
        nc: bool,
    },
    /// A mask from two reals.
    Cmp(Cmp, V, V),
    /// A mask from two.
    Mask(Mask, V, V),
    /// A mask turned round.
    Not(V),
    /// The first real where the mask holds, else the second.
    Select(V, V, V),
    /// The bit pattern of a real.
    Bits(V),
    /// The real of a bit pattern.
    Real(V),
    /// An integer constant.
    IntConst(i64),
    /// An integer from two.
    Int(Int, V, V),
    /// Shift left.
    Shl(V, u32),
    /// Logical shift right.
    Shr(V, u32),
    /// The second real, mended where the first lies in the slow range.
    Patch(Slow, V, V),
    /// A function of one or two reals (`x` twice for one), until [`super::build::expand`] replaces it by its recipe.
    Math(MathFn, V, V),
    /// Writes a tile buffer.
    Store(Access, V),
    /// Writes a per-sample output.
    Output(Access, V),
    /// Folds into a tile buffer over the loop nest; the buffer starts at the fold's identity.
    Fold(Fold, Access, V),
    /// Folds a product's sum into a tile buffer: `buffer = fma(a, b, buffer)`.
    FoldProduct(Access, V, V),
    /// Folds into an accumulator over samples.
    Accumulate(Fold, Access, V),
    /// Adds a product to an accumulator over samples: `acc = fma(a, b, acc)`.
    AccumulateProduct(Access, V, V),
}

impl Inst {
    /// The operands.
    pub fn operands(&self) -> SmallVec<[V; 3]> {
        match *self {
            Inst::Column(_) | Inst::Tile(_) | Inst::Uniform(_) | Inst::Const(_) | Inst::IntConst(_) => SmallVec::new(),
            Inst::Un(_, a) | Inst::Not(a) | Inst::Bits(a) | Inst::Real(a) | Inst::Shl(a, _) | Inst::Shr(a, _) => smallvec::smallvec![a],
            Inst::Store(_, a) | Inst::Output(_, a) | Inst::Fold(_, _, a) | Inst::Accumulate(_, _, a) => smallvec::smallvec![a],
            Inst::Math(f, a, _) if !f.is_binary() => smallvec::smallvec![a],
            Inst::Bin(_, a, b) | Inst::Cmp(_, a, b) | Inst::Mask(_, a, b) | Inst::Int(_, a, b) | Inst::Patch(_, a, b) | Inst::Math(_, a, b) => {
                smallvec::smallvec![a, b]
            }
            Inst::FoldProduct(_, a, b) | Inst::AccumulateProduct(_, a, b) => smallvec::smallvec![a, b],
            Inst::Fma { a, b, c, .. } | Inst::Select(a, b, c) => smallvec::smallvec![a, b, c],
        }
    }

    /// The same instruction with other operands.
    pub fn map(&self, mut f: impl FnMut(V) -> V) -> Inst {
        let mut out = self.clone();
        match &mut out {
            Inst::Column(_) | Inst::Tile(_) | Inst::Uniform(_) | Inst::Const(_) | Inst::IntConst(_) => {}
            Inst::Un(_, a) | Inst::Not(a) | Inst::Bits(a) | Inst::Real(a) | Inst::Shl(a, _) | Inst::Shr(a, _) => *a = f(*a),
            Inst::Store(_, a) | Inst::Output(_, a) | Inst::Fold(_, _, a) | Inst::Accumulate(_, _, a) => *a = f(*a),
            Inst::Bin(_, a, b) | Inst::Cmp(_, a, b) | Inst::Mask(_, a, b) | Inst::Int(_, a, b) | Inst::Patch(_, a, b) | Inst::Math(_, a, b) => {
                *a = f(*a);
                *b = f(*b);
            }
            Inst::FoldProduct(_, a, b) | Inst::AccumulateProduct(_, a, b) => {
                *a = f(*a);
                *b = f(*b);
            }
            Inst::Fma { a, b, c, .. } | Inst::Select(a, b, c) => {
                *a = f(*a);
                *b = f(*b);
                *c = f(*c);
            }
        }
        out
    }

    /// What it reads or writes in a table.
    pub fn access_mut(&mut self) -> Option<&mut Access> {
        match self {
            Inst::Column(at) | Inst::Tile(at) | Inst::Uniform(at) | Inst::Store(at, _) | Inst::Output(at, _) => Some(at),
            Inst::Fold(_, at, _) | Inst::FoldProduct(at, ..) | Inst::Accumulate(_, at, _) | Inst::AccumulateProduct(at, ..) => Some(at),
            _ => None,
        }
    }

    /// Whether it writes something, and so stays though nobody uses its value.
    pub fn is_sink(&self) -> bool {
        matches!(self, Inst::Store(..) | Inst::Output(..) | Inst::Fold(..) | Inst::FoldProduct(..) | Inst::Accumulate(..) | Inst::AccumulateProduct(..))
    }
}

impl Kernel {
    /// Takes out loops of one turn, so that nests of the same loops look the same.
    pub fn drop_single_turns(&mut self) {
        let turns: SmallVec<[bool; 8]> = self.dims.iter().map(|extent| *extent != 1).collect();
        let mut keep = turns.iter().cycle();
        self.dims.retain(|_| keep.next() == Some(&true));
        for inst in &mut self.insts {
            if let Some(at) = inst.access_mut() {
                let mut keep = turns.iter();
                at.strides.retain(|_| keep.next() == Some(&true));
            }
        }
    }
}

/// Part of a nest: some turns of the last loop but one, and in each of those the same of the last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Turns of the last loop but one.
    pub rows: Range<u32>,
    /// Turns of the last.
    pub columns: Range<u32>,
}

impl Part {
    /// How many points.
    pub fn points(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// One step of a pass.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Kernel {
    /// The static loop nest, outermost first; empty for a kernel without one.
    pub dims: Dims,
    /// The parts of the two innermost loops that are gone through, one after the other; none if that is all of them.
    pub parts: Vec<Part>,
    /// The instructions in order.
    pub insts: Vec<Inst>,
}

impl Kernel {
    /// How many instructions use each value.
    pub fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0; self.insts.len()];
        for inst in &self.insts {
            for v in inst.operands() {
                uses[v.index()] += 1;
            }
        }
        uses
    }

    /// A copy without instructions that nothing needs.
    pub fn without_dead(&self) -> Kernel {
        let mut live: Vec<bool> = self.insts.iter().map(Inst::is_sink).collect();
        for k in (0..live.len()).rev() {
            if live[k] {
                for v in self.insts[k].operands() {
                    live[v.index()] = true;
                }
            }
        }
        let mut map = vec![V(0); live.len()];
        let mut insts = Vec::with_capacity(live.len());
        for (k, inst) in self.insts.iter().enumerate().filter(|(k, _)| live[*k]) {
            map[k] = V(insts.len() as u32);
            insts.push(inst.map(|v| map[v.index()]));
        }
        Kernel { dims: self.dims.clone(), parts: self.parts.clone(), insts }
    }

    /// How many points it is run at.
    pub fn points(&self) -> usize {
        match (&self.parts[..], self.dims.len().checked_sub(2)) {
            ([], _) | (_, None) => self.dims.iter().product(),
            (parts, Some(outer)) => self.dims[..outer].iter().product::<usize>() * parts.iter().map(Part::points).sum::<usize>(),
        }
    }

    /// The folds into tile buffers, and where to.
    pub fn folds(&self) -> impl Iterator<Item = (Fold, &Access)> {
        self.insts.iter().filter_map(|inst| match inst {
            Inst::Fold(fold, at, _) => Some((*fold, at)),
            Inst::FoldProduct(at, ..) => Some((Fold::Sum, at)),
            _ => None,
        })
    }

    /// Whether each part folds into tile buffers of its own, and all of them together into every one.
    pub fn parts_fold_apart(&self) -> bool {
        // Sums over the columns: each row is in one part.
        let of_rows = |at: &Access| matches!(at.strides[..], [.., row, column] if row != 0 && column == 0);
        self.parts.is_empty() || self.folds().all(|(_, at)| of_rows(at))
    }

    /// Kernels that go through all of their nests, one for each part.
    pub fn whole(&self) -> Cow<'_, [Kernel]> {
        let (false, Some(row)) = (self.parts.is_empty(), self.dims.len().checked_sub(2)) else { return Cow::Borrowed(std::slice::from_ref(self)) };
        let one = |part: &Part| {
            let mut out = Kernel { parts: Vec::new(), ..self.clone() };
            (out.dims[row], out.dims[row + 1]) = (part.rows.len(), part.columns.len());
            for at in out.insts.iter_mut().filter_map(Inst::access_mut) {
                let stride = |axis: usize| at.strides.get(axis).copied().unwrap_or(0);
                at.base += stride(row) * part.rows.start + stride(row + 1) * part.columns.start;
            }
            out
        };
        Cow::Owned(self.parts.iter().map(one).collect())
    }
}

/// A column that the runtime makes for each leaf before the steps run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// The labels as numbers.
    Number {
        /// Which of [`PassKernels::labels`].
        label: u32,
    },
    /// One entry of the rows of a call-stage table that the labels say.
    Gather {
        /// Which of [`PassKernels::labels`].
        label: u32,
        /// The table's first slot.
        slot: u32,
        /// How many rows it has.
        rows: u32,
        /// Entries in a row.
        width: u32,
        /// The entry.
        entry: u32,
    },
}

/// A sum over the samples of each group. Its terms are per-sample results after the pass's own, added up by the runtime in the order of the samples.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSum {
    /// Which of [`PassKernels::labels`].
    pub label: u32,
    /// How many groups.
    pub groups: u32,
    /// Entries of a term.
    pub width: u32,
    /// The column of terms of the first entry, among all groups' terms.
    pub terms: u32,
    /// The first slot of the results, which are `[groups, width]`.
    pub slot: u32,
}

/// Everything one pass over the samples needs, apart from the data.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PassKernels {
    /// The steps, run in order for every tile.
    pub steps: Vec<Kernel>,
    /// For each local uniform the call-stage slot it is copied from.
    pub uniforms: Vec<u32>,
    /// For each local column the data input and its entry.
    pub columns: Vec<(u32, u32)>,
    /// The label inputs used.
    pub labels: Vec<u32>,
    /// Columns after those, made for each leaf.
    pub made: Vec<Made>,
    /// Sums by groups, whose terms are written as outputs after the pass's own.
    pub group_sums: Vec<GroupSum>,
    /// How many tile buffers the steps share.
    pub tiles: usize,
    /// For each accumulator how it folds, and the slot its result goes to.
    pub accumulators: Vec<(Fold, u32)>,
    /// How many per-sample output columns there are; what is written beyond are the terms of sums by groups.
    pub outputs: usize,
    /// Bytes of lanes that each accumulator has: 64, 128 or 256.
    pub lane_bytes: usize,
    /// A leaf is run tile by tile, tile buffers or not: columns come that way.
    pub by_tiles: bool,
    /// Native code takes the turns of an outermost loop that steps share together.
    pub in_turns: bool,
    /// Maxima that are wanted before the sums of the same samples are made.
    pub ahead: Option<Box<Ahead>>,
}

/// Maxima over the samples of a leaf that some of its sums are relative to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ahead {
    /// The kernels that find the maxima and nothing else: columns and uniforms are those of the pass.
    pub maxima: PassKernels,
    /// What is made of them.
    pub shifts: Vec<Shift>,
}

/// What exponents are shifted by: the largest of some maxima, 0 where that is not finite. A leaf's sums may be made with another number near by; where two
/// leaves' sums meet they are rescaled to the shift of both.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shift {
    /// The maxima, as accumulators of the pass and as those of [`Ahead::maxima`].
    pub tops: Vec<(u32, u32)>,
    /// The local uniforms that kernels find it in.
    pub uniforms: Vec<u32>,
    /// Accumulators of the pass that have `exp(-shift)` as a factor.
    pub sums: Vec<u32>,
}

impl PassKernels {
    /// How many lanes each accumulator has: sample `i` of a leaf is added to lane `i % lanes`. It belongs to the kernel, not to the CPU.
    pub fn lanes<T: crate::real::Real>(&self) -> usize {
        self.lane_bytes / size_of::<T>()
    }

    /// Chooses the number of lanes. A cheap kernel with few accumulators waits for its additions unless each has several independent chains:
    /// 256 bytes of lanes are four vectors of AVX-512. More accumulators are chains enough, and lanes that don't fit into registers cost
    /// loads and stores. Where a block's work outlasts an addition, one vector will do.
    pub fn choose_lanes(&mut self) {
        const LONG: usize = 24;
        self.lane_bytes = match self.accumulators.len() {
            _ if self.cost() >= LONG => 64,
            0..=4 => 256,
            5..=8 => 128,
            _ => 64,
        };
    }

    /// How many columns of terms the sums by groups have.
    pub fn terms(&self) -> usize {
        self.group_sums.iter().map(|s| s.width as usize).sum()
    }

    /// Instructions executed per sample, roughly: for deciding whether threads pay.
    pub fn cost(&self) -> usize {
        let math = |k: &Kernel| k.insts.iter().map(|i| if matches!(i, Inst::Math(..)) { 20 } else { 1 }).sum::<usize>();
        self.steps.iter().map(|k| k.points() * math(k)).sum()
    }
}
