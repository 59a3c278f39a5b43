//! Square blocks of rows to columns by vector shuffles. The compiler makes single moves of them, four times as many instructions.

// The number types are told apart, and blocks loaded and stored as vectors, here.
#![allow(unsafe_code)]

use crate::real::Real;
use std::arch::x86_64::*;

/// A block's side.
const SIDE: usize = 8;

/// The 8 numbers at a place.
fn line<T>(numbers: &[T], at: usize) -> &[T; SIDE] {
    numbers[at..].first_chunk().expect("binding checked that the last row is there")
}

/// The same, to be written.
fn line_mut<T>(numbers: &mut [T], at: usize) -> &mut [T; SIDE] {
    numbers[at..].first_chunk_mut().expect("the buffer has room for every column")
}

/// A slice of `T` as what `T` is.
fn same<T: Real, U: Real>(numbers: &[T]) -> &[U] {
    assert_eq!(T::DOUBLE, U::DOUBLE, "two number types");
    // SAFETY: `Real` is sealed and has two types, which `DOUBLE` tells apart: `T` and `U` are one.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) }
}

/// The same, to be written.
fn same_mut<T: Real, U: Real>(numbers: &mut [T]) -> &mut [U] {
    assert_eq!(T::DOUBLE, U::DOUBLE, "two number types");
    // SAFETY: as above, and the slice is borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len()) }
}

/// 8 numbers of each of 8 rows, `stride` apart, to 8 columns, `pitch` apart.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn doubles<T: Real>(out: &mut [T], pitch: usize, rows: &[T], stride: usize) {
    let (out, rows) = (same_mut::<T, f64>(out), same::<T, f64>(rows));
    // SAFETY: 64 bytes of 8 numbers.
    let row = |r: usize| unsafe { _mm512_loadu_pd(line(rows, r * stride).as_ptr()) };
    let r: [__m512d; SIDE] = std::array::from_fn(row);
    // Pairs of rows: even and odd entries. Then every second pair of lanes, of four rows and of all.
    let even: [__m512d; 4] = std::array::from_fn(|k| _mm512_unpacklo_pd(r[2 * k], r[2 * k + 1]));
    let odd: [__m512d; 4] = std::array::from_fn(|k| _mm512_unpackhi_pd(r[2 * k], r[2 * k + 1]));
    let mut columns = [r[0]; SIDE];
    for (first, p) in [(0, even), (1, odd)] {
        let (a, b) = (_mm512_shuffle_f64x2::<0x88>(p[0], p[1]), _mm512_shuffle_f64x2::<0x88>(p[2], p[3]));
        let (c, d) = (_mm512_shuffle_f64x2::<0xdd>(p[0], p[1]), _mm512_shuffle_f64x2::<0xdd>(p[2], p[3]));
        columns[first] = _mm512_shuffle_f64x2::<0x88>(a, b);
        columns[first + 2] = _mm512_shuffle_f64x2::<0x88>(c, d);
        columns[first + 4] = _mm512_shuffle_f64x2::<0xdd>(a, b);
        columns[first + 6] = _mm512_shuffle_f64x2::<0xdd>(c, d);
    }
    for (k, column) in columns.into_iter().enumerate() {
        // SAFETY: 64 bytes of 8 numbers, borrowed mutably.
        unsafe { _mm512_storeu_pd(line_mut(out, k * pitch).as_mut_ptr(), column) };
    }
}

/// The same of single precision.
#[inline]
#[target_feature(enable = "avx2")]
pub fn singles<T: Real>(out: &mut [T], pitch: usize, rows: &[T], stride: usize) {
    let (out, rows) = (same_mut::<T, f32>(out), same::<T, f32>(rows));
    // SAFETY: 32 bytes of 8 numbers.
    let row = |r: usize| unsafe { _mm256_loadu_ps(line(rows, r * stride).as_ptr()) };
    let r: [__m256; SIDE] = std::array::from_fn(row);
    // Pairs of rows, then four: each vector has four rows of one column in its lower half and of the fourth next in its upper.
    let low: [__m256; 4] = std::array::from_fn(|k| _mm256_unpacklo_ps(r[2 * k], r[2 * k + 1]));
    let high: [__m256; 4] = std::array::from_fn(|k| _mm256_unpackhi_ps(r[2 * k], r[2 * k + 1]));
    let mut columns = [r[0]; SIDE];
    for (first, p) in [(0, low), (2, high)] {
        let (a, b) = (_mm256_shuffle_ps::<0x44>(p[0], p[1]), _mm256_shuffle_ps::<0x44>(p[2], p[3]));
        let (c, d) = (_mm256_shuffle_ps::<0xee>(p[0], p[1]), _mm256_shuffle_ps::<0xee>(p[2], p[3]));
        columns[first] = _mm256_permute2f128_ps::<0x20>(a, b);
        columns[first + 1] = _mm256_permute2f128_ps::<0x20>(c, d);
        columns[first + 4] = _mm256_permute2f128_ps::<0x31>(a, b);
        columns[first + 5] = _mm256_permute2f128_ps::<0x31>(c, d);
    }
    for (k, column) in columns.into_iter().enumerate() {
        // SAFETY: 32 bytes of 8 numbers, borrowed mutably.
        unsafe { _mm256_storeu_ps(line_mut(out, k * pitch).as_mut_ptr(), column) };
    }
}
