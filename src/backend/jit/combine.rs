//! The last function of a pass: adds up the lanes of accumulators that are sums, in `f64`, in the fixed tree of `combine_lanes`: the upper half
//! onto the lower, until one is left.
//!
//! ```text
//! rcx  the accumulator's lanes     rax  its sum     r11  accumulators to go     vectors 0..  halves on their way
//! ```

use super::body::memory;
use super::code::{Code, Note, When};
use super::frame::words;
use super::isa::{Isa, Vop};
use crate::graph::Fold;
use iced_x86::{Code as Encoding, IcedError, Instruction, Register};

/// Emits the function for these accumulators, each of `bytes` bytes of numbers of `number` bytes.
pub fn sums<I: Isa>(folds: &[Fold], bytes: usize, number: usize) -> Code {
    let mut e = Emitter::<I> { code: Code::default(), number, isa: std::marker::PhantomData };
    e.put(Instruction::with2(Encoding::Mov_r64_rm64, Register::RCX, memory(Register::RDI, words::LANES)));
    e.put(Instruction::with2(Encoding::Mov_r64_rm64, Register::RAX, memory(Register::RDI, words::SUMS)));
    let mut at = 0;
    while at < folds.len() {
        // Runs of sums, and what lies between them.
        let is_sum = folds[at] == Fold::Sum;
        let run = folds[at..].iter().take_while(|f| (**f == Fold::Sum) == is_sum).count();
        let skip = if is_sum { 1 } else { run };
        let turn = e.code.label();
        if is_sum {
            e.put(Instruction::with2(Encoding::Mov_r32_imm32, Register::R11D, run as u32));
            e.code.place(turn);
            e.sum(bytes / number);
        }
        e.put(Instruction::with2(Encoding::Add_rm64_imm32, Register::RCX, (skip * bytes) as i32));
        e.put(Instruction::with2(Encoding::Add_rm64_imm32, Register::RAX, (skip * 8) as i32));
        if is_sum {
            e.put(Instruction::with2(Encoding::Sub_rm32_imm32, Register::R11D, 1));
            e.code.jump(When::NotZero, turn, Note::Sums);
        }
        at += run;
    }
    e.put(Ok(Instruction::with(Encoding::VEX_Vzeroupper)));
    e.put(Ok(Instruction::with(Encoding::Retnq)));
    e.code
}

struct Emitter<I> {
    code: Code,
    number: usize,
    isa: std::marker::PhantomData<I>,
}

impl<I: Isa> Emitter<I> {
    fn put(&mut self, made: Result<Instruction, IcedError>) {
        self.code.push(made.unwrap_or_else(|e| panic!("an instruction with operands that it doesn't take: {e}")), Note::Sums);
    }

    /// One accumulator.
    fn sum(&mut self, lanes: usize) {
        // Vectors of `f64` that the lanes are.
        let vectors = (lanes * 8 / I::BYTES).max(1);
        self.vector(0, 1, vectors, 0);
        let (x, y, x2, y2) = (Register::XMM0, Register::XMM1, Register::YMM0, Register::YMM1);
        if I::BYTES == 64 {
            self.put(Instruction::with3(Encoding::EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8, y2, Register::ZMM0, 1));
            self.put(Instruction::with3(Encoding::VEX_Vaddpd_ymm_ymm_ymmm256, x2, x2, y2));
        }
        self.put(Instruction::with3(Encoding::VEX_Vextractf128_xmmm128_ymm_imm8, y, x2, 1));
        self.put(Instruction::with3(Encoding::VEX_Vaddpd_xmm_xmm_xmmm128, x, x, y));
        self.put(Instruction::with3(Encoding::VEX_Vunpckhpd_xmm_xmm_xmmm128, y, x, x));
        self.put(Instruction::with3(Encoding::VEX_Vaddsd_xmm_xmm_xmmm64, x, x, y));
        self.put(Instruction::with2(Encoding::VEX_Vmovsd_m64_xmm, memory(Register::RAX, 0), x));
    }

    /// Vector `k` of the `level` that are left when the halves above have been added, out of `all`, into a register.
    fn vector(&mut self, k: usize, level: usize, all: usize, register: u8) {
        let to = I::vector(register);
        if level == all {
            let from = memory(Register::RCX, (k * I::BYTES * self.number / 8) as i64);
            let code = match (self.number, I::BYTES) {
                (8, _) => I::code(Vop::Load, true),
                (_, 64) => Encoding::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae,
                _ => Encoding::VEX_Vcvtps2pd_ymm_xmmm128,
            };
            self.put(Instruction::with2(code, to, from));
            return;
        }
        self.vector(k, 2 * level, all, register);
        self.vector(k + level, 2 * level, all, register + 1);
        self.put(Instruction::with3(I::code(Vop::Add, true), to, to, I::vector(register + 1)));
    }
}
