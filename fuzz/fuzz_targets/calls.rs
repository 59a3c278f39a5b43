//! Bytes as a sequence of calls: a formula written with right and wrong operands, compiled in some way, bound to right and wrong columns, evaluated,
//! in batches too, trained, saved, damaged, resumed. Whatever is wrong is an `Err`; what is right has the bits that the documentation promises.

#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use tapeless_fuzz::{formulas, uses};

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Unstructured::new(bytes);
    // Bytes that run out choose the first of everything.
    let _ = formulas::with_one(&mut choices, uses::go);
});
