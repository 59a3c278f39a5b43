//! Linear algebra of matrices without samples that are too large to be written out entry by entry: four operations, each one node. Everything
//! else (determinants, inverses, upper triangles) is made of these and arrangements.
//!
//! Plain loops, rows contiguous, every entry one chain of roundings in a fixed order: the bits are those of the operations written out, on
//! any CPU, and nothing is allocated. (`nalgebra`'s products choose their kernels by CPU. It is the oracle's second opinion instead, and the user's
//! matrix type.) Golub and Van Loan, "Matrix Computations", algorithms 4.2.1 and 3.1.1.

use crate::shape::{Dims, Shape};

/// A dense operation on the last two dimensions; leading ones are a batch, the same for both operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dense {
    /// `L` lower triangular with positive diagonal and `L L^T = A`; reads the lower triangle. NaN from the first pivot that isn't positive.
    Cholesky,
    /// `X` with `L X = B`; reads the lower triangle of `L`.
    SolveLower,
    /// `X` with `L^T X = B`; reads the lower triangle of `L`.
    SolveLowerTransposed,
    /// `A B`
    Matmul,
}

impl Dense {
    /// All of them.
    pub const ALL: [Dense; 4] = [Dense::Cholesky, Dense::SolveLower, Dense::SolveLowerTransposed, Dense::Matmul];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Dense::Cholesky => "dense_cholesky",
            Dense::SolveLower => "dense_solve_lower",
            Dense::SolveLowerTransposed => "dense_solve_lower_transposed",
            Dense::Matmul => "dense_matmul",
        }
    }

    /// How many operands.
    pub fn arity(self) -> usize {
        if self == Dense::Cholesky { 1 } else { 2 }
    }

    /// The shape it gives; `None` where the operands don't fit.
    pub fn infer(self, operands: &[&Shape]) -> Option<Shape> {
        if operands.len() != self.arity() || operands.iter().any(|s| s.varies_over_samples() || s.dims().len() < 2) {
            return None;
        }
        let (lead, [rows, columns]) = operands[0].dims().split_last_chunk::<2>()?;
        if self != Dense::Matmul && rows != columns {
            return None;
        }
        let Some(right) = operands.get(1) else { return Some(operands[0].clone()) };
        let (other, [inner, width]) = right.dims().split_last_chunk::<2>()?;
        let mut dims = Dims::from_slice(lead);
        dims.extend([*rows, *width]);
        let to = Shape::new(&dims);
        (lead == other && columns == inner && to.is_sound()).then_some(to)
    }

    /// Computes it. `rows`, `inner`, `columns` are those of one matrix: the result is `rows x columns`, and `inner` is what a product sums over.
    pub fn run(self, a: &[f64], b: &[f64], out: &mut [f64], [rows, inner, columns]: [usize; 3]) {
        for (k, out) in out.chunks_exact_mut(rows * columns).enumerate() {
            let a = &a[k * rows * inner..][..rows * inner];
            match self {
                Dense::Cholesky => cholesky(a, out, rows),
                Dense::SolveLower => solve_lower(a, &b[k * rows * columns..], out, rows, columns),
                Dense::SolveLowerTransposed => solve_lower_transposed(a, &b[k * rows * columns..], out, rows, columns),
                Dense::Matmul => matmul(a, &b[k * inner * columns..], out, inner, columns),
            }
        }
    }

    /// Rows of the result, what is summed over, and columns of the result, of operands that fit.
    pub fn sizes(self, operands: &[&Shape]) -> [usize; 3] {
        let last = |s: &Shape, k: usize| s.dims()[s.dims().len() - k];
        let (rows, inner) = (last(operands[0], 2), last(operands[0], 1));
        [rows, inner, operands.get(1).map_or(inner, |b| last(b, 1))]
    }
}

/// `y -= f * x`
fn take(y: &mut [f64], f: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y -= f * x;
    }
}

fn cholesky(a: &[f64], out: &mut [f64], n: usize) {
    out.copy_from_slice(a);
    for j in 0..n {
        let pivot = out[j * n + j];
        let root = if pivot > 0.0 { pivot.sqrt() } else { f64::NAN };
        out[j * n + j] = root;
        // The column below goes into the row at the right, above the diagonal, where it is contiguous.
        for i in j + 1..n {
            let entry = out[i * n + j] / root;
            out[i * n + j] = entry;
            out[j * n + i] = entry;
        }
        let (done, rest) = out.split_at_mut((j + 1) * n);
        let column = &done[j * n..];
        for i in j + 1..n {
            let row = &mut rest[(i - j - 1) * n..][..n];
            take(&mut row[j + 1..=i], column[i], &column[j + 1..=i]);
        }
    }
    for i in 0..n {
        out[i * n + i + 1..(i + 1) * n].fill(0.0);
    }
}

fn solve_lower(l: &[f64], b: &[f64], out: &mut [f64], n: usize, width: usize) {
    out.copy_from_slice(&b[..n * width]);
    for i in 0..n {
        let (done, rest) = out.split_at_mut(i * width);
        let row = &mut rest[..width];
        for j in 0..i {
            take(row, l[i * n + j], &done[j * width..][..width]);
        }
        row.iter_mut().for_each(|x| *x /= l[i * n + i]);
    }
}

fn solve_lower_transposed(l: &[f64], b: &[f64], out: &mut [f64], n: usize, width: usize) {
    out.copy_from_slice(&b[..n * width]);
    for i in (0..n).rev() {
        let (rest, done) = out.split_at_mut((i + 1) * width);
        let row = &mut rest[i * width..];
        for j in i + 1..n {
            take(row, l[j * n + i], &done[(j - i - 1) * width..][..width]);
        }
        row.iter_mut().for_each(|x| *x /= l[i * n + i]);
    }
}

fn matmul(a: &[f64], b: &[f64], out: &mut [f64], inner: usize, columns: usize) {
    out.fill(0.0);
    for (row, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
        for (f, b) in row.iter().zip(b.chunks_exact(columns)) {
            for (out, b) in out.iter_mut().zip(b) {
                *out += f * b;
            }
        }
    }
}

/// The first pivot of a Cholesky factorisation that isn't positive: its row and what it is.
pub fn bad_pivot(a: &[f64], n: usize) -> Option<(usize, f64)> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let rest = (0..j).fold(a[i * n + j], |rest, k| rest - l[i * n + k] * l[j * n + k]);
            if i == j && (rest <= 0.0 || rest.is_nan()) {
                return Some((i, rest));
            }
            l[i * n + j] = if i == j { rest.sqrt() } else { rest / l[j * n + j] };
        }
    }
    None
}

/// The oracle's way, by `nalgebra`. Where a number isn't finite or a factor doesn't exist, which entries are NaN is what the loops above say.
pub(super) fn oracle(op: Dense, a: &[f64], b: &[f64], sizes @ [rows, inner, columns]: [usize; 3]) -> Vec<f64> {
    use nalgebra::DMatrix;
    let mut out = Vec::new();
    if a.iter().chain(b).any(|x| !x.is_finite()) {
        out.resize(a.len() / (rows * inner) * rows * columns, 0.0);
        op.run(a, b, &mut out, sizes);
        return out;
    }
    for (k, a) in a.chunks_exact(rows * inner).enumerate() {
        let left = DMatrix::from_row_slice(rows, inner, a);
        let right = |from: usize| DMatrix::from_row_slice(from, columns, &b[k * from * columns..][..from * columns]);
        let unsolved = || {
            let mut out = vec![0.0; rows * columns];
            op.run(a, b.get(k * rows * columns..).unwrap_or(&[]), &mut out, sizes);
            DMatrix::from_row_slice(rows, columns, &out)
        };
        let result = match op {
            Dense::Cholesky => left.cholesky().map_or_else(unsolved, |c| c.l()),
            Dense::SolveLower => left.solve_lower_triangular(&right(rows)).unwrap_or_else(unsolved),
            Dense::SolveLowerTransposed => left.tr_solve_lower_triangular(&right(rows)).unwrap_or_else(unsolved),
            Dense::Matmul => left * right(inner),
        };
        out.extend(result.transpose().iter());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_nalgebra() {
        let number = |k: usize| ((k as f64 + 0.5) * 0.618_033_988_749_895).fract() - 0.5;
        for n in [1, 2, 3, 17, 40] {
            for width in [1, 3, n] {
                let b: Vec<f64> = (0..2 * n * width).map(number).collect();
                let half: Vec<f64> = (0..2 * n * n).map(|k| number(3 * k + 1)).collect();
                // Two matrices: B B^T + n, and their factors.
                let mut a = vec![0.0; 2 * n * n];
                for m in 0..2 {
                    for i in 0..n {
                        for j in 0..n {
                            let dot: f64 = (0..n).map(|k| half[m * n * n + i * n + k] * half[m * n * n + j * n + k]).sum();
                            a[m * n * n + i * n + j] = dot + if i == j { 1.0 } else { 0.0 };
                        }
                    }
                }
                let mut factor = a.clone();
                Dense::Cholesky.run(&a, &[], &mut factor, [n, n, n]);
                let want = oracle(Dense::Cholesky, &a, &[], [n, n, n]);
                let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + b.abs()));
                assert!(close(&factor, &want), "{n}");
                for op in [Dense::SolveLower, Dense::SolveLowerTransposed, Dense::Matmul] {
                    let mut out = vec![0.0; 2 * n * width];
                    op.run(&factor, &b, &mut out, [n, n, width]);
                    assert!(close(&out, &oracle(op, &factor, &b, [n, n, width])), "{op:?} {n} {width}");
                }
            }
        }
        let (a, mut out) = ([1.0, 2.0, 2.0, 1.0], [0.0; 4]);
        Dense::Cholesky.run(&a, &[], &mut out, [2, 2, 2]);
        assert!(out[0] == 1.0 && out[2] == 2.0 && out[3].is_nan());
        assert_eq!(bad_pivot(&a, 2), Some((1, -3.0)));
    }
}
