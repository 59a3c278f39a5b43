//! Breaks one choice of the emitter at a time: every place of the source that emits an instruction is found by where it is called from, and what it
//! emits can be left out or made another. Only tests of this crate have it; what users build has neither the hook nor a way to it.

use super::code::When;
use super::isa::{self, Vop};
use iced_x86::{Code, Instruction, OpKind, Register};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::Location;

/// A place that emits, and what it emits there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Choice {
    /// The source file.
    pub file: &'static str,
    /// The line.
    pub line: u32,
    column: u32,
    what: What,
}

/// Instructions that one place emits are told apart by their encoding and what is special about their operands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum What {
    Instruction { code: u16, memory: bool, masked: bool, broadcast: bool },
    Jump(u8),
}

/// What is done to it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Defect {
    /// It is left out.
    Dropped,
    /// Another operation.
    Code(Code),
    /// The last two operands change places.
    Swapped,
    /// The address is so many bytes further.
    Displaced(i64),
    /// The address has no index.
    Unindexed,
    /// No mask.
    Unmasked,
    /// Lanes outside of the mask keep what they had, instead of 0.
    Merging,
    /// A vector from memory instead of one number for all lanes, or the other way round.
    Broadcast,
    /// Another constant.
    Immediate(i64),
    /// The result goes to the register next to the right one.
    Register,
    /// Another condition.
    Jump(When),
}

#[derive(Default)]
struct State {
    /// Choices seen since recording began.
    seen: Option<BTreeMap<Choice, Vec<Defect>>>,
    broken: Option<(Choice, Defect)>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

/// The choices made while `f` runs, with how each can be broken.
pub fn record<R>(f: impl FnOnce() -> R) -> (R, BTreeMap<Choice, Vec<Defect>>) {
    STATE.with_borrow_mut(|s| s.seen = Some(BTreeMap::new()));
    let out = f();
    (out, STATE.with_borrow_mut(|s| s.seen.take()).expect("recording was on"))
}

/// From here on, on this thread, this choice is broken.
pub fn inject(choice: Choice, defect: Defect) {
    STATE.with_borrow_mut(|s| s.broken = Some((choice, defect)));
}

/// What is emitted instead of an instruction.
#[track_caller]
pub fn instruction(instruction: Instruction) -> Option<Instruction> {
    let memory = (0..instruction.op_count()).any(|k| instruction.op_kind(k) == OpKind::Memory);
    let what = What::Instruction { code: instruction.code() as u16, memory, masked: instruction.has_op_mask(), broadcast: instruction.is_broadcast() };
    match reached(what, || defects(&instruction, memory)) {
        None => Some(instruction),
        Some(defect) => changed(instruction, defect),
    }
}

/// When a jump is taken instead.
#[track_caller]
pub fn jump(when: When) -> Option<When> {
    use When::*;
    let all = [Always, Below, AboveOrEqual, Above, NotZero];
    let others = || {
        let others = all.into_iter().filter(|o| *o != when && when != Call).map(Defect::Jump);
        others.chain([Defect::Dropped]).collect()
    };
    match reached(What::Jump(when as u8), others) {
        None => Some(when),
        Some(Defect::Jump(other)) => Some(other),
        Some(_) => None,
    }
}

#[track_caller]
fn reached(what: What, defects: impl FnOnce() -> Vec<Defect>) -> Option<Defect> {
    let at = Location::caller();
    let choice = Choice { file: at.file(), line: at.line(), column: at.column(), what };
    STATE.with_borrow_mut(|s| {
        if let Some(seen) = &mut s.seen {
            seen.entry(choice).or_insert_with(defects);
        }
        s.broken.filter(|(broken, _)| *broken == choice).map(|(_, defect)| defect)
    })
}

/// Operations that one might take for this one.
fn siblings(op: Vop) -> &'static [Vop] {
    use Vop::*;
    match op {
        Load => &[Broadcast],
        Broadcast => &[Load],
        Store | Move | Spill | MaskedLoad | MaskedStore | Signs | Round | Compare | Blend => &[],
        Add | Mul => &[Sub],
        Sub => &[Add],
        Div => &[Mul],
        Min => &[Max],
        Max => &[Min],
        And => &[Or, Xor],
        Or => &[And, Xor],
        Xor => &[Or, And],
        IntAdd => &[IntSub],
        IntSub => &[IntAdd],
        Shl => &[Shr],
        Shr => &[Shl],
        Sqrt => &[Move],
        Fmadd132 => &[Fmsub132, Fnmadd132, Fmadd213, Fmadd231],
        Fmadd213 => &[Fmsub213, Fnmadd213, Fmadd132, Fmadd231],
        Fmadd231 => &[Fmsub231, Fnmadd231, Fmadd132, Fmadd213],
        Fmsub132 => &[Fmadd132, Fnmsub132, Fmsub213, Fmsub231],
        Fmsub213 => &[Fmadd213, Fnmsub213, Fmsub132, Fmsub231],
        Fmsub231 => &[Fmadd231, Fnmsub231, Fmsub132, Fmsub213],
        Fnmadd132 => &[Fnmsub132, Fmadd132, Fnmadd213, Fnmadd231],
        Fnmadd213 => &[Fnmsub213, Fmadd213, Fnmadd132, Fnmadd231],
        Fnmadd231 => &[Fnmsub231, Fmadd231, Fnmadd132, Fnmadd213],
        Fnmsub132 => &[Fnmadd132, Fmsub132, Fnmsub213, Fnmsub231],
        Fnmsub213 => &[Fnmadd213, Fmsub213, Fnmsub132, Fnmsub231],
        Fnmsub231 => &[Fnmadd231, Fmsub231, Fnmsub132, Fnmsub213],
    }
}

/// The same for what isn't in the table of vector operations.
fn other_codes(code: Code) -> &'static [Code] {
    use Code::*;
    match code {
        Add_rm64_imm32 => &[Sub_rm64_imm32],
        Sub_rm64_imm32 => &[Add_rm64_imm32],
        Add_r64_rm64 => &[Sub_r64_rm64],
        Sub_r64_rm64 => &[Add_r64_rm64],
        Sub_rm32_imm32 => &[Add_rm32_imm32],
        And_rm64_imm32 => &[Or_rm64_imm32],
        And_rm32_imm32 => &[Or_rm32_imm32],
        Cmovl_r64_rm64 => &[Cmovge_r64_rm64, Mov_r64_rm64],
        Lea_r64_m => &[Mov_r64_rm64],
        VEX_Kandw_kr_kr_kr => &[VEX_Korw_kr_kr_kr],
        VEX_Korw_kr_kr_kr => &[VEX_Kandw_kr_kr_kr],
        VEX_Vaddpd_ymm_ymm_ymmm256 => &[VEX_Vsubpd_ymm_ymm_ymmm256],
        VEX_Vaddpd_xmm_xmm_xmmm128 => &[VEX_Vsubpd_xmm_xmm_xmmm128],
        VEX_Vaddsd_xmm_xmm_xmmm64 => &[VEX_Vsubsd_xmm_xmm_xmmm64],
        VEX_Vunpckhpd_xmm_xmm_xmmm128 => &[VEX_Vunpcklpd_xmm_xmm_xmmm128],
        _ => &[],
    }
}

/// Every way in which an instruction is broken.
fn defects(instruction: &Instruction, memory: bool) -> Vec<Defect> {
    let mut out = vec![Defect::Dropped];
    let code = instruction.code();
    match isa::found(code) {
        Some((op, column)) => {
            out.extend(siblings(op).iter().map(|o| Defect::Code(isa::encoding(*o, column))));
            // The other number type's, and without the mask that is an operand.
            out.push(Defect::Code(isa::encoding(op, column ^ 1)));
            match op {
                Vop::MaskedLoad => out.push(Defect::Code(isa::encoding(Vop::Load, column))),
                Vop::MaskedStore => out.push(Defect::Code(isa::encoding(Vop::Store, column))),
                _ => {}
            }
        }
        None => out.extend(other_codes(code).iter().map(|c| Defect::Code(*c))),
    }
    let n = instruction.op_count();
    let register = |k: u32| (instruction.op_kind(k) == OpKind::Register).then(|| instruction.op_register(k));
    if n >= 2 && register(n - 1).is_some() && register(n - 2).is_some() && register(n - 1) != register(n - 2) {
        out.push(Defect::Swapped);
    }
    if memory {
        out.extend([Defect::Displaced(8), Defect::Displaced(64)]);
        if instruction.memory_index() != Register::None {
            out.push(Defect::Unindexed);
        }
    }
    if instruction.has_op_mask() {
        out.push(Defect::Unmasked);
        if instruction.zeroing_masking() {
            out.push(Defect::Merging);
        }
    }
    // Those whose name says so take one number for all lanes.
    let name = format!("{code:?}");
    if memory && (name.contains("b64") || name.contains("b32")) {
        out.push(Defect::Broadcast);
    }
    match instruction.op_kind(n.max(1) - 1) {
        // Comparisons: each other predicate. Others: one more, one less.
        OpKind::Immediate8 if isa::found(code).is_some_and(|(op, _)| op == Vop::Compare) => {
            let now = i64::from(instruction.immediate8());
            out.extend([0x00, 0x04, 0x07, 0x11, 0x12, 0x1d, 0x1e].into_iter().filter(|p| *p != now).map(|p| Defect::Immediate(p - now)));
        }
        OpKind::Immediate8 => out.extend([Defect::Immediate(1), Defect::Immediate(-1)]),
        OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64 => out.extend([Defect::Immediate(8), Defect::Immediate(-64), Defect::Immediate(1)]),
        _ => {}
    }
    if n > 0 && register(0).is_some() {
        out.push(Defect::Register);
    }
    out
}

fn changed(mut i: Instruction, defect: Defect) -> Option<Instruction> {
    let n = i.op_count();
    match defect {
        Defect::Dropped => return None,
        Defect::Code(code) => {
            // Without the operand that is a mask.
            let mut other = i;
            other.set_code(code);
            if n == 3 && other.op_count() == 2 {
                let made = if i.op_kind(0) == OpKind::Memory {
                    Instruction::with2(code, memory_of(&i), i.op_register(2))
                } else {
                    Instruction::with2(code, i.op_register(0), memory_of(&i))
                };
                return Some(made.expect("operands that it takes"));
            }
            return Some(other);
        }
        Defect::Swapped => {
            let (a, b) = (i.op_register(n - 2), i.op_register(n - 1));
            i.set_op_register(n - 2, b);
            i.set_op_register(n - 1, a);
        }
        Defect::Displaced(by) => {
            i.set_memory_displacement64(i.memory_displacement64().wrapping_add_signed(by));
            i.set_memory_displ_size(1);
        }
        Defect::Unindexed => i.set_memory_index(Register::None),
        Defect::Unmasked => {
            i.set_op_mask(Register::None);
            i.set_zeroing_masking(false);
        }
        Defect::Merging => i.set_zeroing_masking(false),
        Defect::Broadcast => i.set_is_broadcast(!i.is_broadcast()),
        Defect::Immediate(by) => match i.op_kind(n - 1) {
            OpKind::Immediate8 => i.set_immediate8((i64::from(i.immediate8()) + by) as u8),
            OpKind::Immediate32 => i.set_immediate32((i64::from(i.immediate32()) + by) as u32),
            OpKind::Immediate32to64 => i.set_immediate32to64(i.immediate32to64() + by),
            _ => i.set_immediate64(i.immediate64().wrapping_add_signed(by)),
        },
        Defect::Register => i.set_op_register(0, neighbour(i.op_register(0))),
        Defect::Jump(_) => {}
    }
    Some(i)
}

/// The other register of a pair.
fn neighbour(r: Register) -> Register {
    let firsts = [Register::XMM0, Register::YMM0, Register::ZMM0, Register::K0, Register::RAX, Register::EAX];
    let number = firsts.into_iter().map(|first| (r as u32).wrapping_sub(first as u32)).min().expect("a few");
    if number % 2 == 0 { r + 1u32 } else { r - 1u32 }
}

fn memory_of(i: &Instruction) -> iced_x86::MemoryOperand {
    let (base, index) = (i.memory_base(), i.memory_index());
    iced_x86::MemoryOperand::new(base, index, i.memory_index_scale(), i.memory_displacement64() as i64, i.memory_displ_size(), false, Register::None)
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.what {
            What::Instruction { code, memory, masked, broadcast } => {
                let code = Code::try_from(usize::from(code)).expect("a code");
                write!(f, "{code:?}{}{}{}", if memory { " memory" } else { "" }, if masked { " masked" } else { "" }, if broadcast { " broadcast" } else { "" })
            }
            What::Jump(_) => write!(f, "jump"),
        }
    }
}
