//! The two instruction sets behind one small trait: how wide, how many registers, whether masks have registers of their own; and the table
//! that gives an operation its encoding in each.

use super::jam::Group;
use iced_x86::{Code, Register};

/// A vector instruction set.
pub trait Isa: Copy + Send + Sync + 'static {
    /// Its name in reports.
    const NAME: &'static str;
    /// Bytes in a register.
    const BYTES: usize;
    /// Vector registers.
    const REGISTERS: usize;
    /// Masks live in mask registers `k1`..`k7`, an operand in memory can be one number for all lanes, and any instruction can be masked.
    /// Otherwise masks are vectors, and constants in memory are whole vectors.
    const MASKS: bool;
    /// Points of a nest taken at once.
    const GROUP: Group;
    /// Where sums over a dimension stay in registers, the pointers and the counter of that dimension's loop do too: a turn of few products takes no longer than a
    /// number in memory takes to be added to and read again.
    const CARRIES: bool;
    /// Bytes that a column is asked for ahead of what is read, where nothing waits in tiles: no nearer and no further.
    const AHEAD: (usize, usize);
    /// Columns, buffers and outputs of a tile together: they stay near, in the L2 cache of the CPU that was measured, from one step to the next.
    const TILE_BYTES: usize;
    /// The same where sums over a dimension stay in registers, so that a tile is gone through by few blocks at a time.
    const TILE_BYTES_OF_SUMS: usize;

    /// Vector register `n`.
    fn vector(n: u8) -> Register;
    /// The encoding of an operation over `f64` or `f32`.
    fn code(op: Vop, double: bool) -> Code;
}

/// AVX-512 F, DQ, VL: 32 registers of 64 bytes.
#[derive(Clone, Copy)]
pub struct Avx512;

/// AVX2 and FMA: 16 registers of 32 bytes.
#[derive(Clone, Copy)]
pub struct Avx2;

impl Isa for Avx512 {
    const NAME: &'static str = "avx512";
    const BYTES: usize = 64;
    const REGISTERS: usize = 32;
    const MASKS: bool = true;
    const GROUP: Group = Group { rows: 4, columns: 5, samples: (4, 5), turns: (8, 2), single: 8, blocks: 4, sums: (5, 5), inner: 2 };
    const CARRIES: bool = false;
    const AHEAD: (usize, usize) = (2 << 10, 8 << 10);
    // Measured (f64, one thread, Zen 5 server with 48 KiB of L1 and 1 MiB of L2, 2026-11-22; ms for 128, 256, 384, 512 KiB): logistic on 100 columns 6.4, 5.5, 5.7, 6.1.
    const TILE_BYTES: usize = 256 << 10;
    // Measured (f64, one thread, the same server, 2026-11-22; ms for 24, 32, 48, 64, 256 KiB): softmax of 10 classes 6.2, 6.0, 6.0, 6.6, 7.1.
    const TILE_BYTES_OF_SUMS: usize = 40 << 10;

    fn vector(n: u8) -> Register {
        Register::ZMM0 + u32::from(n)
    }
    fn code(op: Vop, double: bool) -> Code {
        ENCODINGS[op as usize][usize::from(!double)]
    }
}

impl Isa for Avx2 {
    const NAME: &'static str = "avx2";
    const BYTES: usize = 32;
    const REGISTERS: usize = 16;
    const MASKS: bool = false;
    // Measured (Zen 3 server, 2048 samples or 1000, the best of five; ns a sample with sums by 4 and 1, block by block and pointers in memory; by 6 and 1; by 6 and 2): softmax of 10 classes
    // `f64` 86, 67, 63, `f32` 46, 34, 34; 50 Gaussians in 32 dimensions 15.7, 9.7, 8.7 us and 6.7, 5.4, 4.4 us; first and last of a perceptron of 64 by 64 (best of twelve) 807, 714 and 382, 310.
    const GROUP: Group = Group { rows: 2, columns: 2, samples: (5, 2), turns: (2, 2), single: 4, blocks: 2, sums: (6, 4), inner: 2 };
    const CARRIES: bool = true;
    // Measured (Zen 3 server with 32 KiB of L1, 10^7 samples, one thread, the best of six; ns a sample, the value alone, with 512, 1024, 1536, 2048 bytes and 6 KiB): line through
    // points 0.71, 0.73, 0.82, 0.81, 0.83, `f32` 0.30, 0.34, 0.40, 0.37, 0.36; Gaussian 0.44, 0.49, 0.54, 0.50, 0.50. Logistic on 10 columns: no difference.
    const AHEAD: (usize, usize) = (1 << 10, 1 << 10);
    // Measured (Zen 3 server with 512 KiB of L2, one thread, seven in turns; ns a sample, median and best, for 256, 384, 448 KiB): logistic on 100 columns 65.0, 57.9, 57.6 and 56.4, 48.5, 48.4,
    // `f32` with 256 and 384 29.1, 27.6 and 23.9, 23.5. A perceptron of 64 by 64 with 256, 400, 448 KiB: 1, 0.96, 0.96 of the time; its tiles have 128 samples from 387 KiB on. Eight columns at a time
    // come from main memory as fast as one does if 384 samples of each follow each other, and take 1.1 times as long with 256, 1.2 with 128. Not measured with less L2: there the tile is in L3.
    const TILE_BYTES: usize = 400 << 10;
    // Measured (the same server, samples in cache, the best of four; cycles a sample for 40, 64, 80, 96, 128 KiB): softmax of 10 classes on 32 columns 197, 187, 187, 186, 186, `f32` 85.7, 84.7, 83.8, 83.5, 83.5;
    // on 48 269, 267, 254, 257, 255; on 8, of 3 classes on 8 and of 5 on 16 the same within 2 in a hundred. From main memory 1 to 1.03 of the time with 40 KiB.
    const TILE_BYTES_OF_SUMS: usize = 80 << 10;

    fn vector(n: u8) -> Register {
        Register::YMM0 + u32::from(n)
    }
    fn code(op: Vop, double: bool) -> Code {
        ENCODINGS[op as usize][2 + usize::from(!double)]
    }
}

macro_rules! encodings {
    ($($(#[$doc:meta])* $name:ident: $z64:ident $z32:ident $y64:ident $y32:ident;)*) => {
        /// Vector operations. The last operand may be in memory unless said otherwise.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Vop {
            $($(#[$doc])* $name,)*
        }

        #[cfg(test)]
        const ALL: &[Vop] = &[$(Vop::$name,)*];

        /// For each operation its encoding: AVX-512 `f64`, `f32`, AVX2 `f64`, `f32`.
        static ENCODINGS: &[[Code; 4]] = &[$([Code::$z64, Code::$z32, Code::$y64, Code::$y32],)*];
    };
}

encodings! {
    /// Unaligned load.
    Load: EVEX_Vmovupd_zmm_k1z_zmmm512 EVEX_Vmovups_zmm_k1z_zmmm512 VEX_Vmovupd_ymm_ymmm256 VEX_Vmovups_ymm_ymmm256;
    /// Unaligned store.
    Store: EVEX_Vmovupd_zmmm512_k1z_zmm EVEX_Vmovups_zmmm512_k1z_zmm VEX_Vmovupd_ymmm256_ymm VEX_Vmovups_ymmm256_ymm;
    /// From a register; from the frame.
    Move: EVEX_Vmovapd_zmm_k1z_zmmm512 EVEX_Vmovaps_zmm_k1z_zmmm512 VEX_Vmovapd_ymm_ymmm256 VEX_Vmovaps_ymm_ymmm256;
    /// To the frame.
    Spill: EVEX_Vmovapd_zmmm512_k1z_zmm EVEX_Vmovaps_zmmm512_k1z_zmm VEX_Vmovapd_ymmm256_ymm VEX_Vmovaps_ymmm256_ymm;
    /// One number from memory to all lanes.
    Broadcast: EVEX_Vbroadcastsd_zmm_k1z_xmmm64 EVEX_Vbroadcastss_zmm_k1z_xmmm32 VEX_Vbroadcastsd_ymm_m64 VEX_Vbroadcastss_ymm_m32;
    /// Load under a vector's signs (AVX2).
    MaskedLoad: INVALID INVALID VEX_Vmaskmovpd_ymm_ymm_m256 VEX_Vmaskmovps_ymm_ymm_m256;
    /// Store under a vector's signs (AVX2).
    MaskedStore: INVALID INVALID VEX_Vmaskmovpd_m256_ymm_ymm VEX_Vmaskmovps_m256_ymm_ymm;
    /// A mask register from a vector's signs (AVX-512).
    Signs: EVEX_Vpmovq2m_kr_zmm EVEX_Vpmovd2m_kr_zmm INVALID INVALID;
    /// Sum.
    Add: EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er VEX_Vaddpd_ymm_ymm_ymmm256 VEX_Vaddps_ymm_ymm_ymmm256;
    /// Difference.
    Sub: EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er VEX_Vsubpd_ymm_ymm_ymmm256 VEX_Vsubps_ymm_ymm_ymmm256;
    /// Product.
    Mul: EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er VEX_Vmulpd_ymm_ymm_ymmm256 VEX_Vmulps_ymm_ymm_ymmm256;
    /// Quotient.
    Div: EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er VEX_Vdivpd_ymm_ymm_ymmm256 VEX_Vdivps_ymm_ymm_ymmm256;
    /// `a < b ? a : b`
    Min: EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae VEX_Vminpd_ymm_ymm_ymmm256 VEX_Vminps_ymm_ymm_ymmm256;
    /// `a > b ? a : b`
    Max: EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae VEX_Vmaxpd_ymm_ymm_ymmm256 VEX_Vmaxps_ymm_ymm_ymmm256;
    /// Bitwise and.
    And: EVEX_Vandpd_zmm_k1z_zmm_zmmm512b64 EVEX_Vandps_zmm_k1z_zmm_zmmm512b32 VEX_Vandpd_ymm_ymm_ymmm256 VEX_Vandps_ymm_ymm_ymmm256;
    /// Bitwise or.
    Or: EVEX_Vorpd_zmm_k1z_zmm_zmmm512b64 EVEX_Vorps_zmm_k1z_zmm_zmmm512b32 VEX_Vorpd_ymm_ymm_ymmm256 VEX_Vorps_ymm_ymm_ymmm256;
    /// Bitwise exclusive or.
    Xor: EVEX_Vxorpd_zmm_k1z_zmm_zmmm512b64 EVEX_Vxorps_zmm_k1z_zmm_zmmm512b32 VEX_Vxorpd_ymm_ymm_ymmm256 VEX_Vxorps_ymm_ymm_ymmm256;
    /// Integer sum.
    IntAdd: EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64 EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32 VEX_Vpaddq_ymm_ymm_ymmm256 VEX_Vpaddd_ymm_ymm_ymmm256;
    /// Integer difference.
    IntSub: EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64 EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32 VEX_Vpsubq_ymm_ymm_ymmm256 VEX_Vpsubd_ymm_ymm_ymmm256;
    /// Shift left by a constant; from a register.
    Shl: EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8 EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8 VEX_Vpsllq_ymm_ymm_imm8 VEX_Vpslld_ymm_ymm_imm8;
    /// Logical shift right by a constant; from a register.
    Shr: EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8 EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8 VEX_Vpsrlq_ymm_ymm_imm8 VEX_Vpsrld_ymm_ymm_imm8;
    /// Square root.
    Sqrt: EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er VEX_Vsqrtpd_ymm_ymmm256 VEX_Vsqrtps_ymm_ymmm256;
    /// To an integer, the direction given by a constant.
    Round: EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae VEX_Vroundpd_ymm_ymmm256_imm8 VEX_Vroundps_ymm_ymmm256_imm8;
    /// A mask from two, the predicate given by a constant.
    Compare: EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae VEX_Vcmppd_ymm_ymm_ymmm256_imm8 VEX_Vcmpps_ymm_ymm_ymmm256_imm8;
    /// The last operand where the mask holds, else the one before.
    Blend: EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64 EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32 VEX_Vblendvpd_ymm_ymm_ymmm256_ymm VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
    // Products and sums. 132: `x = x * z + y`; 213: `x = y * x + z`; 231: `x = y * z + x`.
    /// `x * z + y`
    Fmadd132: EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfmadd132pd_ymm_ymm_ymmm256 VEX_Vfmadd132ps_ymm_ymm_ymmm256;
    /// `y * x + z`
    Fmadd213: EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfmadd213pd_ymm_ymm_ymmm256 VEX_Vfmadd213ps_ymm_ymm_ymmm256;
    /// `y * z + x`
    Fmadd231: EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfmadd231pd_ymm_ymm_ymmm256 VEX_Vfmadd231ps_ymm_ymm_ymmm256;
    /// `x * z - y`
    Fmsub132: EVEX_Vfmsub132pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfmsub132ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfmsub132pd_ymm_ymm_ymmm256 VEX_Vfmsub132ps_ymm_ymm_ymmm256;
    /// `y * x - z`
    Fmsub213: EVEX_Vfmsub213pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfmsub213ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfmsub213pd_ymm_ymm_ymmm256 VEX_Vfmsub213ps_ymm_ymm_ymmm256;
    /// `y * z - x`
    Fmsub231: EVEX_Vfmsub231pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfmsub231ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfmsub231pd_ymm_ymm_ymmm256 VEX_Vfmsub231ps_ymm_ymm_ymmm256;
    /// `-x * z + y`
    Fnmadd132: EVEX_Vfnmadd132pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfnmadd132ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfnmadd132pd_ymm_ymm_ymmm256 VEX_Vfnmadd132ps_ymm_ymm_ymmm256;
    /// `-y * x + z`
    Fnmadd213: EVEX_Vfnmadd213pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfnmadd213ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfnmadd213pd_ymm_ymm_ymmm256 VEX_Vfnmadd213ps_ymm_ymm_ymmm256;
    /// `-y * z + x`
    Fnmadd231: EVEX_Vfnmadd231pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfnmadd231ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfnmadd231pd_ymm_ymm_ymmm256 VEX_Vfnmadd231ps_ymm_ymm_ymmm256;
    /// `-x * z - y`
    Fnmsub132: EVEX_Vfnmsub132pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfnmsub132ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfnmsub132pd_ymm_ymm_ymmm256 VEX_Vfnmsub132ps_ymm_ymm_ymmm256;
    /// `-y * x - z`
    Fnmsub213: EVEX_Vfnmsub213pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfnmsub213ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfnmsub213pd_ymm_ymm_ymmm256 VEX_Vfnmsub213ps_ymm_ymm_ymmm256;
    /// `-y * z - x`
    Fnmsub231: EVEX_Vfnmsub231pd_zmm_k1z_zmm_zmmm512b64_er EVEX_Vfnmsub231ps_zmm_k1z_zmm_zmmm512b32_er VEX_Vfnmsub231pd_ymm_ymm_ymmm256 VEX_Vfnmsub231ps_ymm_ymm_ymmm256;
}

/// The operation of an encoding, and its column in the table.
#[cfg(test)]
pub fn found(code: Code) -> Option<(Vop, usize)> {
    ALL.iter().find_map(|op| Some((*op, ENCODINGS[*op as usize].iter().position(|c| *c == code)?)))
}

/// The encoding of an operation in a column.
#[cfg(test)]
pub fn encoding(op: Vop, column: usize) -> Code {
    ENCODINGS[op as usize][column]
}

/// Which operand of a fused product and sum is overwritten: its first factor (the other one or the addend may be in memory), or the addend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `x = x * z + y`
    F132,
    /// `x = y * x + z`
    F213,
    /// `x = y * z + x`
    F231,
}

/// The fused operation with these signs: product negated, addend negated.
pub fn fused(np: bool, nc: bool, form: Form) -> Vop {
    use Vop::*;
    let forms = match (np, nc) {
        (false, false) => [Fmadd132, Fmadd213, Fmadd231],
        (false, true) => [Fmsub132, Fmsub213, Fmsub231],
        (true, false) => [Fnmadd132, Fnmadd213, Fnmadd231],
        (true, true) => [Fnmsub132, Fnmsub213, Fnmsub231],
    };
    forms[form as usize]
}
