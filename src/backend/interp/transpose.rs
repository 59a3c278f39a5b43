//! Rows to columns, in square blocks that a set of vector registers holds.

use super::level::prefetch;
use crate::real::Real;

/// Rows, and columns, of a block. Measured of plain copies on a Zen 5 server (2026-11-22, f64, rows of 96, from main memory, ns a number): 8 by 8 .39, 4 by 4 .65; f32: 8 by 8 .31,
/// 16 by 16 1.7, which the compiler leaves to scalars.
const SIDE: usize = 8;

/// How far ahead of a block's rows cache lines are asked for: eight short rows at a time are no stream to the CPU's own prefetcher. Measured as above, rows of 100
/// numbers in `f64` and `f32`, ns a number: without 0.93 and 0.69, 4 KiB 0.48 and 0.25, 8 KiB 0.34 and 0.23, 16 KiB 0.26 and 0.23, 32 KiB 0.28; in rows of 10 alike.
const AHEAD_BYTES: usize = 16 << 10;

/// Columns that lie side by side in the rows.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Where sample 0 of the first lies.
    pub first: usize,
    /// How many.
    pub len: usize,
}

/// Copies `n` numbers of each column of the runs, one run after the other: sample `i` of a run's column `k` lies in `rows` at `first + k + i * stride`; column `c` of all
/// comes to `out` from `c * pitch` on. `square` copies eight columns of eight rows.
#[inline(always)]
pub fn transpose<T: Real>(out: &mut [T], pitch: usize, rows: &[T], stride: usize, runs: &[Run], n: usize, square: impl Fn(&mut [T], usize, &[T], usize)) {
    let whole = n / SIDE * SIDE;
    for i in (0..whole).step_by(SIDE) {
        let mut place = i;
        for run in runs {
            let mut k = 0;
            while k < run.len {
                // The last square of a long run has columns in common with the one before.
                let back = if run.len < SIDE { 0 } else { SIDE.saturating_sub(run.len - k) };
                k -= back;
                place -= back * pitch;
                let (rows, out) = (&rows[i * stride + run.first + k..], &mut out[place..]);
                for r in 0..SIDE {
                    prefetch(rows, r * stride + AHEAD_BYTES / size_of::<T>());
                }
                let done = match run.len - k {
                    8.. => {
                        square(out, pitch, rows, stride);
                        8
                    }
                    4.. => {
                        block::<T, 4>(out, pitch, rows, stride);
                        4
                    }
                    2.. => {
                        block::<T, 2>(out, pitch, rows, stride);
                        2
                    }
                    _ => {
                        block::<T, 1>(out, pitch, rows, stride);
                        1
                    }
                };
                k += done;
                place += done * pitch;
            }
        }
    }
    let columns = runs.iter().flat_map(|run| run.first..run.first + run.len);
    for (c, first) in columns.enumerate() {
        for i in whole..n {
            out[c * pitch + i] = rows[i * stride + first];
        }
    }
}

/// `C` numbers of each of eight rows.
#[inline(always)]
pub fn block<T: Real, const C: usize>(out: &mut [T], pitch: usize, rows: &[T], stride: usize) {
    let lines: [&[T; C]; SIDE] = std::array::from_fn(|r| line(rows, r * stride));
    #[allow(clippy::needless_range_loop)] // `k` goes across the lines.
    for k in 0..C {
        let column: &mut [T; SIDE] = line_mut(out, k * pitch);
        *column = std::array::from_fn(|r| lines[r][k]);
    }
}

#[inline(always)]
fn line<T, const B: usize>(numbers: &[T], at: usize) -> &[T; B] {
    numbers[at..].first_chunk().expect("binding checked that the last row is there")
}

#[inline(always)]
fn line_mut<T, const B: usize>(numbers: &mut [T], at: usize) -> &mut [T; B] {
    numbers[at..].first_chunk_mut().expect("the buffer has room for every column")
}

#[cfg(test)]
mod tests {
    use super::super::level::Level;
    use super::*;

    /// Every number of a table whose numbers are their own places.
    fn right<T: Real>(level: Level) {
        let of = |first, len| Run { first, len };
        for (stride, runs) in [
            (1, vec![of(0, 1)]),
            (3, vec![of(0, 3)]),
            (40, vec![of(0, 40)]),
            (40, vec![of(3, 27)]),
            (37, vec![of(0, 1), of(2, 2), of(30, 1), of(36, 1)]),
            (2, vec![of(1, 1)]),
            (9, vec![of(4, 1), of(4, 5)]),
        ] {
            let firsts: Vec<usize> = runs.iter().flat_map(|run| run.first..run.first + run.len).collect();
            for n in [0, 1, 7, 8, 15, 16, 17, 33, 64] {
                let rows: Vec<T> = (0..stride * n).map(|k| T::from_f64(k as f64)).collect();
                let pitch = n + 3;
                let mut out = vec![T::from_f64(-1.0); firsts.len() * pitch];
                level.transpose(&mut out, pitch, &rows, stride, &runs, n);
                for (c, first) in firsts.iter().enumerate() {
                    for i in 0..pitch {
                        let expected = if i < n { (first + i * stride) as f64 } else { -1.0 };
                        assert_eq!(out[c * pitch + i].to_f64(), expected, "column {c} of {firsts:?}, sample {i} of {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_number_comes_to_its_place_and_no_other_changes() {
        for level in Level::all() {
            right::<f64>(level);
            right::<f32>(level);
        }
    }
}
