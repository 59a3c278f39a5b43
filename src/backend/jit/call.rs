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
    // SAFETY: the caller vouches for the words; the function keeps to the calling convention (`function.rs`: entry and exit).
    unsafe { function(words.as_mut_ptr()) };
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
