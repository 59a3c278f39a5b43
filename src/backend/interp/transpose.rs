//! Rows to columns, in square blocks that a set of vector registers holds.

use crate::real::Real;

/// Numbers of a cache line are a block's side.
const F64: usize = 8;
/// The same in `f32`.
const F32: usize = 16;

/// Copies `n` numbers of each column: sample `i` of column `c` lies in `rows` at `firsts[c] + i * stride` and comes to `out` at `c * pitch + i`.
#[inline(always)]
pub fn transpose<T: Real>(out: &mut [T], pitch: usize, rows: &[T], stride: usize, firsts: &[usize], n: usize) {
    if T::DOUBLE { blocks::<T, F64>(out, pitch, rows, stride, firsts, n) } else { blocks::<T, F32>(out, pitch, rows, stride, firsts, n) }
}

#[inline(always)]
fn blocks<T: Real, const B: usize>(out: &mut [T], pitch: usize, rows: &[T], stride: usize, firsts: &[usize], n: usize) {
    let whole = n / B * B;
    for i in (0..whole).step_by(B) {
        let mut c = 0;
        while c < firsts.len() {
            // Entries that lie side by side in the rows.
            let side_by_side = firsts.get(c + B - 1) == Some(&(firsts[c] + B - 1));
            if side_by_side {
                let block: [&[T; B]; B] = std::array::from_fn(|r| line(rows, (i + r) * stride + firsts[c]));
                for k in 0..B {
                    let column: &mut [T; B] = line_mut(out, (c + k) * pitch + i);
                    *column = std::array::from_fn(|r| block[r][k]);
                }
                c += B;
            } else {
                let column: &mut [T; B] = line_mut(out, c * pitch + i);
                *column = std::array::from_fn(|r| rows[(i + r) * stride + firsts[c]]);
                c += 1;
            }
        }
    }
    for (c, first) in firsts.iter().enumerate() {
        for i in whole..n {
            out[c * pitch + i] = rows[i * stride + first];
        }
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
    use super::*;

    /// Every number of a table whose numbers are their own places.
    fn right<T: Real>() {
        for (stride, firsts) in
            [(1, vec![0]), (3, vec![0, 1, 2]), (40, (0..40).collect()), (40, (3..30).collect()), (37, vec![0, 2, 3, 30, 36]), (2, vec![1]), (9, vec![4, 4])]
        {
            for n in [0, 1, 7, 8, 15, 16, 17, 33, 64] {
                let rows: Vec<T> = (0..stride * n).map(|k| T::from_f64(k as f64)).collect();
                let pitch = n + 3;
                let mut out = vec![T::from_f64(-1.0); firsts.len() * pitch];
                transpose(&mut out, pitch, &rows, stride, &firsts, n);
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
        right::<f64>();
        right::<f32>();
    }
}
