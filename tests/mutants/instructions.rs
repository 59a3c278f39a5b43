//! Kernels with one instruction broken: another operation, operands changed round, an operand instead of the result, another constant.

use tapeless::Real;
use tapeless::kernel::arith::Slow;
use tapeless::kernel::ir::{Bin, Cmp, Inst, Int, Kernel, Mask, Un, V};

/// What is done to an instruction.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// It is another one.
    Other(Inst),
    /// Its value is that of one of its operands.
    Operand(V),
    /// A product and sum that is rounded twice.
    Unfused,
    /// A comparison with one outcome.
    Always(bool),
    /// A constant is changed by so much of itself: a fine change is allowed to pass where a coarse one doesn't.
    Scaled(f64),
    /// An integer constant with something added.
    Added(i64),
}

impl Change {
    /// Whether it is so small that the number may be finer than the bound can see.
    pub fn is_fine(&self) -> bool {
        matches!(self, Change::Scaled(s) if s.abs() < 0.1) || matches!(self, Change::Added(1 | -1))
    }
}

/// How constants are changed: a bit more, a bit less, so that nothing is right any more.
const SCALES: [f64; 4] = [1.0 / 1024.0, -1.0 / 1024.0, 0.5, -0.5];

/// Every way in which one instruction is broken.
pub fn changes<T: Real>(kernel: &Kernel) -> Vec<(usize, Change)> {
    let mut out = Vec::new();
    for (at, inst) in kernel.insts.iter().enumerate() {
        let mut add = |change: Change| out.push((at, change));
        match *inst {
            Inst::Const(bits) => {
                let c = f64::from_bits(bits);
                if c.is_finite() && c != 0.0 {
                    SCALES.into_iter().for_each(|s| add(Change::Scaled(s)));
                    add(Change::Other(Inst::Const((-c).to_bits())));
                } else {
                    let others: &[f64] = if c == 0.0 { &[1.0, -1.0] } else { &[1.0, f64::NAN] };
                    others.iter().filter(|o| !(o.is_nan() && c.is_nan())).for_each(|o| add(Change::Other(Inst::Const(o.to_bits()))));
                }
            }
            Inst::IntConst(_) => [1, -1, 1 << T::MANTISSA, -(1 << T::MANTISSA)].into_iter().for_each(|n| add(Change::Added(n))),
            Inst::Un(op, a) => {
                add(Change::Operand(a));
                match op {
                    Un::Floor => add(Change::Other(Inst::Un(Un::Round, a))),
                    Un::Round => add(Change::Other(Inst::Un(Un::Floor, a))),
                    Un::Neg => add(Change::Other(Inst::Un(Un::Abs, a))),
                    Un::Abs => add(Change::Other(Inst::Un(Un::Neg, a))),
                    Un::Sqrt => {}
                }
            }
            Inst::Bin(op, a, b) => {
                let other = match op {
                    Bin::Add => Bin::Sub,
                    Bin::Sub => Bin::Add,
                    Bin::Mul => Bin::Div,
                    Bin::Div => Bin::Mul,
                    Bin::Min => Bin::Max,
                    Bin::Max => Bin::Min,
                };
                add(Change::Other(Inst::Bin(other, a, b)));
                if a != b {
                    if !matches!(op, Bin::Add | Bin::Mul) {
                        add(Change::Other(Inst::Bin(op, b, a)));
                    }
                    add(Change::Operand(b));
                }
                add(Change::Operand(a));
            }
            Inst::Fma { a, b, c, np, nc } => {
                add(Change::Other(Inst::Fma { a, b, c, np: !np, nc }));
                add(Change::Other(Inst::Fma { a, b, c, np, nc: !nc }));
                add(Change::Other(Inst::Bin(Bin::Mul, a, b)));
                add(Change::Operand(c));
                add(Change::Unfused);
            }
            Inst::Cmp(op, a, b) => {
                let all = [Cmp::Lt, Cmp::Le, Cmp::Eq, Cmp::Ne];
                all.into_iter().filter(|o| *o != op).for_each(|o| add(Change::Other(Inst::Cmp(o, a, b))));
                if matches!(op, Cmp::Lt | Cmp::Le) {
                    add(Change::Other(Inst::Cmp(op, b, a)));
                }
                add(Change::Always(true));
                add(Change::Always(false));
            }
            Inst::Mask(op, a, b) => {
                add(Change::Other(Inst::Mask(if op == Mask::And { Mask::Or } else { Mask::And }, a, b)));
                add(Change::Operand(a));
                add(Change::Operand(b));
            }
            Inst::Not(a) => add(Change::Operand(a)),
            Inst::Select(m, a, b) => {
                add(Change::Other(Inst::Select(m, b, a)));
                add(Change::Operand(a));
                add(Change::Operand(b));
            }
            Inst::Int(op, a, b) => {
                let others: &[Int] = match op {
                    Int::Add => &[Int::Sub],
                    Int::Sub => &[Int::Add],
                    Int::And => &[Int::Or, Int::Xor],
                    Int::Or => &[Int::And, Int::Xor],
                    Int::Xor => &[Int::And, Int::Or],
                };
                others.iter().for_each(|o| add(Change::Other(Inst::Int(*o, a, b))));
                if op == Int::Sub {
                    add(Change::Other(Inst::Int(op, b, a)));
                }
                add(Change::Operand(a));
                add(Change::Operand(b));
            }
            Inst::Shl(a, n) => [Inst::Shl(a, n - 1), Inst::Shl(a, n + 1), Inst::Shr(a, n)].into_iter().for_each(|i| add(Change::Other(i))),
            Inst::Shr(a, n) => [Inst::Shr(a, n - 1), Inst::Shr(a, n + 1), Inst::Shl(a, n)].into_iter().for_each(|i| add(Change::Other(i))),
            Inst::Patch(slow, x, fast) => {
                add(Change::Operand(fast));
                [Slow::Sin, Slow::Cos, Slow::Tan].into_iter().filter(|s| *s != slow).for_each(|s| add(Change::Other(Inst::Patch(s, x, fast))));
            }
            Inst::Column(_) | Inst::Tile(_) | Inst::Uniform(_) | Inst::Bits(_) | Inst::Real(_) | Inst::Math(..) => {}
            Inst::Store(..) | Inst::Output(..) | Inst::Fold(..) | Inst::FoldProduct(..) | Inst::Accumulate(..) | Inst::AccumulateProduct(..) => {}
        }
    }
    out
}

/// The kernel with one instruction changed.
pub fn changed<T: Real>(kernel: &Kernel, at: usize, change: &Change) -> Kernel {
    let mut insts: Vec<Inst> = Vec::with_capacity(kernel.insts.len() + 2);
    let mut map: Vec<V> = Vec::with_capacity(kernel.insts.len());
    let push = |insts: &mut Vec<Inst>, inst: Inst| {
        insts.push(inst);
        V(insts.len() as u32 - 1)
    };
    let real = |c: f64| Inst::Const(T::from_f64(c).to_f64().to_bits());
    for (k, inst) in kernel.insts.iter().enumerate() {
        let v = if k != at {
            push(&mut insts, inst.map(|v| map[v.index()]))
        } else {
            match (change, inst) {
                (Change::Other(other), _) => push(&mut insts, other.map(|v| map[v.index()])),
                (Change::Operand(v), _) => map[v.index()],
                (Change::Unfused, Inst::Fma { a, b, c, np, nc }) => {
                    let product = push(&mut insts, Inst::Bin(Bin::Mul, map[a.index()], map[b.index()]));
                    let (minus, c) = (if *np { push(&mut insts, Inst::Un(Un::Neg, product)) } else { product }, map[c.index()]);
                    push(&mut insts, Inst::Bin(if *nc { Bin::Sub } else { Bin::Add }, minus, c))
                }
                (Change::Always(holds), _) => {
                    let zero = push(&mut insts, real(0.0));
                    push(&mut insts, Inst::Cmp(if *holds { Cmp::Eq } else { Cmp::Ne }, zero, zero))
                }
                (Change::Scaled(by), Inst::Const(bits)) => push(&mut insts, real(f64::from_bits(*bits) * (1.0 + by))),
                (Change::Added(n), Inst::IntConst(c)) => push(&mut insts, Inst::IntConst(c.wrapping_add(*n))),
                _ => unreachable!("{change:?} of {inst:?}"),
            }
        };
        map.push(v);
    }
    Kernel { insts, ..kernel.clone() }
}
