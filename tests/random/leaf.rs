//! Passes over leaves of awkward numbers.

use super::Numbers;
use tapeless::Real;
use tapeless::backend::{Executable, LEAF, Leaf};
use tapeless::kernel::ir::PassKernels;
use tapeless::lines::Aligned;

/// A number from the whole range of the type, the awkward ones often.
pub fn awkward<T: Real>(numbers: &mut Numbers) -> T {
    let least = if T::DOUBLE { 5e-324 } else { f64::from(f32::from_bits(1)) };
    let normal = if T::DOUBLE { f64::MIN_POSITIVE } else { f64::from(f32::MIN_POSITIVE) };
    let largest = if T::DOUBLE { f64::MAX } else { f64::from(f32::MAX) };
    let special = [
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        largest,
        -largest,
        least,
        -least,
        normal,
        -normal,
        normal / 2.0,
        1.0,
        -1.0,
        0.5,
        88.8,
        -104.0,
        709.8,
        -745.2,
        1e5,
        3e9,
        -7e22,
    ];
    let x = match numbers.bits() % 8 {
        0 | 1 => special[(numbers.bits() % special.len() as u64) as usize],
        2 => numbers.around() * 10f64.powi((numbers.bits() % if T::DOUBLE { 600 } else { 76 }) as i32 - if T::DOUBLE { 300 } else { 38 }),
        3 => numbers.around() * 100.0,
        _ => numbers.around(),
    };
    T::from_f64(x)
}

/// Every number a pass gives over one leaf (or as many as the executable takes at once: then a row of sums each), as bits that are equal for all NaNs.
pub fn run_pass<T: Real>(executable: &dyn Executable<T>, pass: &PassKernels, columns: &[Vec<T>], uniforms: &[T], start: usize, len: usize) -> Vec<u64> {
    // Data columns, then those made for the leaf.
    let (data, made) = columns.split_at(pass.columns.len());
    let slices: Vec<&[T]> = data.iter().map(Vec::as_slice).collect();
    let made: Vec<Aligned<T>> = made.iter().map(|c| c[start..].into()).collect();
    let mut terms = vec![Aligned::repeat(T::default(), len); pass.terms()];
    let mut outputs = vec![vec![T::default(); len]; pass.outputs];
    let mut parts: Vec<&mut [T]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let mut sums = vec![0.0; pass.accumulators.len() * len.div_ceil(LEAF).max(1)];
    let mut scratch = executable.scratch();
    executable.run(
        &mut Leaf { columns: &slices, rows: None, made: &made, start, len, uniforms, outputs: &mut parts, terms: &mut terms },
        &mut scratch,
        &mut sums,
    );
    let bits = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    let written = outputs.iter().flatten().chain(terms.iter().flat_map(|terms| terms.iter()));
    sums.into_iter().map(bits).chain(written.map(|x| bits(x.to_f64()))).collect()
}
