//! What this CPU can run, asked at run time. A token is made by asking, nowhere else: holding one opens the door to the native code.

/// The CPU has AVX-512 F, DQ and VL.
#[derive(Clone, Copy, Debug)]
pub struct HasAvx512(());

/// The CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct HasAvx2(());

impl HasAvx512 {
    /// Asks the CPU.
    pub fn ask() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl");
        (all && HasAvx2::ask().is_some()).then_some(HasAvx512(()))
    }
}

impl HasAvx2 {
    /// Asks the CPU.
    pub fn ask() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(HasAvx2(()))
    }
}

/// The instruction set that code was made for, with the proof that this CPU has it.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// 512-bit vectors.
    Avx512(HasAvx512),
    /// 256-bit vectors.
    Avx2(HasAvx2),
}
