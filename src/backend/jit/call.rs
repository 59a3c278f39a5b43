//! The call of machine code, and the call back for lanes in a slow range.

// One of the rooms with `unsafe`: what the emitter made is called here.
#![allow(unsafe_code)]

use super::cpu::Target;
use super::pages::Pages;
use crate::kernel::arith::Slow;
use crate::kernel::math::slow;
use crate::real::Real;

/// The ranges in the order of their numbers.
const RANGES: [Slow; 3] = [Slow::Sin, Slow::Cos, Slow::Tan];

/// Calls the function at an offset of the pages.
///
/// # Safety
/// - The offset is one at which the emitter placed a function for `target`.
/// - `words` are as `frame.rs` describes them: from the first to the last sample every column can be read and every output, with nobody else
///   looking, written; lanes, tile buffers, uniforms and constants are as long as the function was made for.
pub unsafe fn call(pages: &Pages, offset: usize, _target: Target, words: &mut [usize]) {
    let start = &pages.bytes()[offset] as *const u8;
    // SAFETY: the caller vouches for a function of this type at this place. The target proves that the CPU has the instructions, and the pages
    // are executable as long as they are borrowed.
    let function = unsafe { std::mem::transmute::<*const u8, unsafe extern "sysv64" fn(*mut usize)>(start) };
    #[cfg(not(test))]
    // SAFETY: the caller vouches for the words; the function keeps to the calling convention (`function.rs`: entry and exit).
    unsafe {
        function(words.as_mut_ptr())
    };
    #[cfg(test)]
    // SAFETY: as above.
    unsafe {
        strict(function, words.as_mut_ptr())
    };
}

/// The call, and whether the function gives back the registers that are its caller's: a caller that has nothing in them wouldn't notice.
///
/// # Safety
/// As [`call`].
#[cfg(test)]
unsafe fn strict(function: unsafe extern "sysv64" fn(*mut usize), words: *mut usize) {
    let changed: usize;
    // SAFETY: the stack is aligned to 16 bytes here, and again after six registers are on it, which come back in the end; whatever else a call may change
    // is declared.
    unsafe {
        std::arch::asm!(
            "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
            "mov ebx, 101", "mov ebp, 102", "mov r12d, 103", "mov r13d, 104", "mov r14d, 105", "mov r15d, 106",
            "call rax",
            "sub rbx, 101", "sub rbp, 102", "sub r12, 103", "sub r13, 104", "sub r14, 105", "sub r15, 106",
            "or rbx, rbp", "or rbx, r12", "or rbx, r13", "or rbx, r14", "or rbx, r15",
            "mov rax, rbx",
            "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
            inout("rax") function => changed,
            inout("rdi") words => _,
            clobber_abi("sysv64"),
        )
    };
    assert_eq!(changed, 0, "the caller's registers are as they were");
}

/// The address of the function that mends one vector of `bytes` bytes.
pub fn mender<T: Real>(bytes: usize) -> usize {
    if bytes == 64 { mend::<T, 64> as *const () as usize } else { mend::<T, 32> as *const () as usize }
}

/// Mends the lanes of `values` whose argument lies in a slow range.
///
/// # Safety
/// Both pointers are to `BYTES` bytes of numbers that nobody else looks at meanwhile.
unsafe extern "sysv64" fn mend<T: Real, const BYTES: usize>(arguments: *const T, values: *mut T, which: u32) {
    let lanes = BYTES / size_of::<T>();
    // SAFETY: machine code calls this with two vectors in its own frame (`body.rs`, `patch`), aligned to their size, and waits.
    let (arguments, values) = unsafe { (std::slice::from_raw_parts(arguments, lanes), std::slice::from_raw_parts_mut(values, lanes)) };
    let which = RANGES[which as usize];
    for (value, x) in values.iter_mut().zip(arguments) {
        *value = slow::mend(which, *x, *value);
    }
}
