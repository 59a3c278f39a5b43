//! What the machine can do at most: fused multiply-adds of as many independent chains as hide their latency.
#![allow(unsafe_code)] // Functions compiled for more than the baseline are called after the CPU was asked.

/// Billions of floating-point operations a second on so many threads together, a fused multiply-add counted as two; `None` where the CPU has no such unit.
#[cfg(not(target_arch = "x86_64"))]
pub fn gflops(_double: bool, _threads: usize) -> Option<f64> {
    None
}

/// The same.
#[cfg(target_arch = "x86_64")]
pub fn gflops(double: bool, threads: usize) -> Option<f64> {
    x86::gflops(double, threads)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::common::limits;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    const TURNS: usize = 1_000_000;
    /// Chains: enough for two units with a latency of four or five cycles.
    const CHAINS: usize = 12;

    macro_rules! chains {
        ($name:ident, $feature:literal, $set:ident, $fma:ident, $lanes:literal) => {
            /// Numbers multiplied and added.
            #[target_feature(enable = $feature)]
            fn $name() -> usize {
                let (x, y) = (black_box($set(0.999)), black_box($set(1e-3)));
                let mut held = [x; CHAINS];
                for _ in 0..TURNS {
                    for chain in &mut held {
                        *chain = $fma(*chain, x, y);
                    }
                }
                black_box(held);
                TURNS * CHAINS * $lanes
            }
        };
    }
    chains!(f64_avx512, "avx512f", _mm512_set1_pd, _mm512_fmadd_pd, 8);
    chains!(f32_avx512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps, 16);
    chains!(f64_avx2, "avx2,fma", _mm256_set1_pd, _mm256_fmadd_pd, 4);
    chains!(f32_avx2, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps, 8);

    pub fn gflops(double: bool, threads: usize) -> Option<f64> {
        let wide = is_x86_feature_detected!("avx512f");
        if !(wide || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            return None;
        }
        // SAFETY: the CPU was asked for the features of each.
        let once = || unsafe {
            match (double, wide) {
                (true, true) => f64_avx512(),
                (true, false) => f64_avx2(),
                (false, true) => f32_avx512(),
                (false, false) => f32_avx2(),
            }
        };
        let seconds = limits::best(threads, |_| {
            black_box(once());
        });
        Some(2.0 * (once() * threads) as f64 / seconds / 1e9)
    }
}
