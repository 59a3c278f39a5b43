//! Breaks of the emitter that make no difference, and why.

/// The source line, or any; what is done there (several ways between bars, each in parts joined by `&`); why it makes no difference.
pub const EQUIVALENT: &[(&str, &str, &str)] = &[
    (
        "*",
        "Vaddp&: Swapped|Vaddsd&: Swapped|Vmulp&: Swapped|Vandp&: Swapped|Vorp&: Swapped|Vxorp&: Swapped|Vpadd&: Swapped|Kandw&: Swapped|Korw&: Swapped",
        "the operands may change places",
    ),
    ("*", "Vfmadd231&: Swapped|Vfmsub231&: Swapped|Vfnmadd231&: Swapped|Vfnmsub231&: Swapped", "the two are the factors"),
    (
        "*",
        "Vmovup&Code(VEX_Vmovup|Vmovup&Code(EVEX_Vmovup|Vmovap&Code(VEX_Vmovap|Vmovap&Code(EVEX_Vmovap|Vandp&Code(VEX_Vandp|Vandp&Code(EVEX_Vandp|Vorp&Code(VEX_Vorp|Vorp&Code(EVEX_Vorp\
         |Vxorp&Code(VEX_Vxorp|Vxorp&Code(EVEX_Vxorp|Vblendvpd&Code(VEX_Vblendvps|Vmaskmovpd&Code(VEX_Vmaskmovps",
        "moves and bitwise operations of whole registers or whole numbers do the same to either number type",
    ),
    ("*", "Prefetcht0", "asking the cache computes nothing"),
    ("*", "Vzeroupper: Dropped", "costs time after, in code that uses the older instructions"),
    (
        "*",
        "Vcmppd&Immediate(-7)|Vcmppd&Immediate(11)|Vcmppd&Immediate(22)|Vcmpps&Immediate(-7)|Vcmpps&Immediate(11)|Vcmpps&Immediate(22)",
        "of a number and itself: equal, at most and at least hold, as ordered does, unless it is NaN",
    ),
    (
        "*",
        "Vmovupd_ymm&Code(VEX_Vbroadcastsd_ymm_m64)|Vmovups_ymm&Code(VEX_Vbroadcastss_ymm_m32)",
        "where they survive they load a constant, which lies there once for each lane, or a buffer at the identity of its fold",
    ),
    ("combine.rs: code.jump(When::NotZero, turn, Note::Sums);", "Jump(Above)", DOWN),
    ("function.rs: self.body.code.jump(When::NotZero, labels[axis], Note::Loop);", "Jump(Above)", DOWN),
    ("contraction.rs: f.body.code.jump(When::Always, turn, Note::Loop);", "jump", REST),
    ("contraction.rs: f.body.code.jump(When::AboveOrEqual, done, Note::Loop);", "Dropped|Jump(Above)", NOTHING),
    ("contraction.rs: f.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, memory(Register::RDI, words::END)));", "Cmp", NOTHING),
    (
        "contraction.rs: self.body.two(Vop::Xor, r, r, Rm::Reg(r));",
        "Register",
        "where the sums' registers are pairs, each is set to 0 in place of its neighbour",
    ),
    (
        "function.rs: way_in.put(Instruction::with2(Encoding::And_rm64_imm32, Register::RSP, -64));",
        "Immediate(-64)|Immediate(1)",
        "aligned to more; or a bit that is never set",
    ),
    (
        "function.rs: way_in.put(Instruction::with2(Encoding::Sub_rm64_imm32, Register::RSP, total as i32));",
        "Immediate(1)|Immediate(8)",
        "a larger frame, or what the alignment takes off again",
    ),
    (
        "function.rs: way_in.put(Instruction::with2(Encoding::Test_rm32_r32, memory(Register::RSP, -page * PAGE), Register::EAX));",
        "Test",
        "touches the pages of the stack in order: seen only where the stack ends in between",
    ),
    (
        "function.rs: self.body.put(Instruction::with2(Encoding::VEX_Kmovw_kr_km16, Register::K0 + n as u32, at(frame.general::<I>(n))));",
        "Dropped",
        "the function that mends lanes has no use for mask registers today, and may have tomorrow",
    ),
    (
        "operations.rs: self.code.jump(When::Always, back, self.note);",
        "Above|NotZero",
        "the flags are those of the last addition to the stack pointer, which is neither 0 nor carries",
    ),
    ("operations.rs: self.code.jump(When::NotZero, slow, self.note);", "Jump(Always)|Above|Below", OFTEN),
    ("operations.rs: self.put(Instruction::with2(Encoding::VEX_Kortestw_kr_kr, m, m));", "Dropped|Register", OFTEN),
    ("operations.rs: self.put(Instruction::with2(Encoding::VEX_Vptest_ymm_ymmm256, m, m));", "Dropped|Register", OFTEN),
    ("samples.rs: self.body.code.jump(When::AboveOrEqual, done, Note::Loop);", "Dropped|Jump(Above)", SOMETIMES),
    ("samples.rs: self.body.code.jump(When::Below, near, Note::Loop);", "jump", NEAR),
    ("samples.rs: self.body.code.jump(When::Always, done, Note::Loop);", "jump", NEAR),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, memory(Register::RDI, words::FAR), 1));", "Cmp", NEAR),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, memory(Register::RDI, words::FAR), 2));", "Cmp", NEAR),
    ("samples.rs: self.body.code.jump(When::AboveOrEqual, far, Note::Loop);", "jump", "decides in how many ways the same samples are gone through"),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Mov_rm64_r64, groups, end));", "Displaced|Dropped", REST),
    ("samples.rs: self.mov(sample, memory(Register::RDI, words::START));", "memory: Register", REST),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, sample, end));", "Swapped|Register", REST),
    ("samples.rs: self.body.code.jump(When::AboveOrEqual, none, Note::Accumulators);", "Jump(Always)", REST),
    ("samples.rs: self.mov(Register::RAX, groups);", "Displaced", REST),
    ("function.rs: self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, memory(Register::RDI, words::FAR), 1));", "Cmp", NEAR),
    ("function.rs: self.body.code.jump(When::Below, done, Note::Loop);", "jump", NEAR),
    ("function.rs: self.mov(Register::RAX, memory(Register::RSP, self.body.frame.counter(0)));", "Mov", SHARE),
    ("function.rs: self.body.put(Instruction::with2(Encoding::Cmp_rm64_imm32, Register::RAX, limit as i32));", "Cmp", SHARE),
    ("function.rs: self.body.code.jump(When::Above, done, Note::Loop);", "jump", SHARE),
    ("function.rs: self.mov(Register::R11, pointer);", "Mov", AHEAD),
    ("function.rs: self.body.put(Instruction::with2(Encoding::Add_r64_rm64, Register::R11, memory(Register::RDI, words::START)));", "Add", AHEAD),
    ("samples.rs: self.mov(end, memory(Register::RDI, words::AT_ONCE));", "Displaced|Dropped", AT_ONCE),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Add_r64_rm64, end, Register::R8));", "Dropped", AT_ONCE),
    ("samples.rs: self.mov(ASKED, memory(Register::RDI, words::AT_ONCE));", "Mov", AHEAD),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Add_r64_rm64, ASKED, Register::R8));", "Add", AHEAD),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Add_rm64_imm32, ASKED, (share * I::BYTES).max(LINE) as i32));", "Add", AHEAD),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Cmovl_r64_rm64, end, Register::RAX));", "Code(Mov_r64_rm64)", AT_ONCE),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, groups));", "Dropped|Displaced|Register", REST),
    (
        "samples.rs: self.body.code.jump(When::Always, done, Note::Accumulators);",
        "Jump(Below)|Jump(NotZero)",
        "what was compared before was below, and loads leave it at that",
    ),
    ("samples.rs: self.body.code.jump(When::Below, on, Note::Loop);", "Dropped|Jump(Above)|NotZero", REST),
    ("samples.rs: self.body.code.jump(When::AboveOrEqual, done, Note::Tail);", "Jump(Above)", NOTHING),
    ("samples.rs: self.body.code.jump(When::AboveOrEqual, whole, Note::Loop);", "Dropped|Jump(Above)", NOTHING),
    (
        "samples.rs: self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, memory(Register::RDI, words::LEAF_END)));",
        "Displaced(8)|Register",
        NOTHING,
    ),
    (
        "samples.rs: self.body.put(Instruction::with2(Encoding::Cmp_r64_rm64, Register::R8, memory(Register::RDI, words::END)));",
        "Register",
        "both hold where this leaf ends",
    ),
    ("samples.rs: self.body.code.jump(When::Below, leaf, Note::Loop);", "NotZero", STEPS),
    ("samples.rs: self.body.code.jump(When::Below, turn, Note::Loop);", "NotZero", STEPS),
    ("samples.rs: self.body.put(Instruction::with2(Encoding::And_rm64_imm32, Register::R9, -group));", "Immediate(1)", "an address of numbers has no such bit"),
    (
        "samples.rs: self.body.put(Instruction::with2(Encoding::Add_r64_rm64, Register::R9, Register::R8));",
        "Dropped",
        "a run that starts at the first sample adds 0; one that doesn't leaves whole groups to the loop over what is left",
    ),
    (
        "operations.rs: self.two(what, to, x, y);",
        "Vpaddd&Vpaddq|Vpsubd&Vpsubq|Vpsubq&Vpsubd",
        "in exponents of recipes no carry or borrow leaves a lane, and their lower halves are 0",
    ),
    (
        "operations.rs: Some(i) => self.one_immediate(what, to, x, i),",
        "Immediate",
        "of a uniform: whether a power's exponent is an integer is asked of what was rounded either way",
    ),
    ("body.rs: self.emit(made);", "masked: Merging", "lanes beyond the last sample are computed from what they held, and go nowhere"),
];
const DOWN: &str = "the counter goes down to 0 and no further";
const REST: &str = "decides whether a whole group is taken at once; what isn't is done block by block, to the same bits";
const NOTHING: &str = "where nothing is left, what follows does nothing";
const NEAR: &str = "decides whether the loop asks the cache for what comes";
const AHEAD: &str = "decides which samples to come the cache is asked for";
const SHARE: &str = "decides which column's address is read to ask for what comes; that it is one of the columns' is tested of `shares`";
const AT_ONCE: &str = "so many samples are gone through in one way before the next";
const STEPS: &str = "goes on by whole steps to the very end, and not beyond";
const OFTEN: &str =
    "takes the slow path more often than it need be, which leaves lanes alone that needn't be mended; where it is taken less often that is noticed";
/// By what lies in memory: not asked to be seen.
pub const SOMETIMES: &str = "where nothing is left, what follows does nothing, unless it finds rubbish to start from";
