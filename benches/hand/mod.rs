//! The same loops by hand: `std::arch` AVX-512 intrinsics, accumulators in registers, four blocks at a time where the kernel is cheap, the
//! recipes' arithmetic operation by operation.

#[cfg(target_arch = "x86_64")]
mod avx512;

/// Whether this machine can run them.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

macro_rules! loops {
    ($($name:ident($($column:ident),*);)*) => {
        $(
            /// Value and gradient.
            pub fn $name($($column: &[f64],)* theta: &[f64]) -> Vec<f64> {
                assert!(available(), "asked before");
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the CPU was asked for the features.
                return unsafe { avx512::$name($($column,)* theta) };
                #[cfg(not(target_arch = "x86_64"))]
                unreachable!()
            }
        )*
    };
}

#[allow(unsafe_code)]
mod checked {
    use super::*;
    loops! {
        gaussian(x);
        decay(x, y);
        logistic(x, y);
        student(x);
    }
}
pub use checked::*;
