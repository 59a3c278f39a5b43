//! The floating-point environment: kernels round to nearest and keep subnormals whatever the caller has set, and leave the setting as it was.

// One of the rooms with `unsafe`: the two instructions that read and write the setting.
#![allow(unsafe_code)]

/// Runs `f` with rounding to nearest, subnormals kept and exceptions masked.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn with_default<R>(f: impl FnOnce() -> R) -> R {
    /// Everything but the six flags that say which exceptions have happened.
    const CONTROL: u32 = !0x3f;
    const DEFAULT: u32 = 0x1f80;
    // Put back also when `f` panics.
    struct Restore(Option<u32>);
    impl Drop for Restore {
        #[inline]
        fn drop(&mut self) {
            if let Some(found) = self.0 {
                write(found);
            }
        }
    }
    // One place that calls `f`: it is compiled into the caller then.
    let found = read();
    let other = found & CONTROL != DEFAULT;
    let _restore = Restore(other.then_some(found));
    if other {
        write(DEFAULT);
    }
    f()
}

/// Runs `f`: elsewhere the setting is left alone.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn with_default<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn read() -> u32 {
    let mut setting = 0u32;
    // SAFETY: `stmxcsr` writes four bytes to the address it is given.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut setting, options(nostack, preserves_flags)) };
    setting
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn write(setting: u32) {
    // SAFETY: `ldmxcsr` reads four bytes; the setting is the default, or one that was in force before, so no reserved bit is set.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &setting, options(nostack, preserves_flags)) };
}
