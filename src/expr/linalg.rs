//! Linear algebra in the DSL: Cholesky factors, triangular solves, determinants.
//!
//! Small matrices are written out entry by entry, so that everything below (differentiation, stages, kernels) sees plain arithmetic: a factor of
//! parameters is computed once per call, a solve for per-sample vectors in the loop, and batches along leading dimensions broadcast. Large ones
//! without samples are single nodes of dense linear algebra (`graph/dense.rs`).

use super::Expr;
use crate::error::{Mistake, Place};
use crate::graph::dense::Dense;
use crate::graph::{Arrangement, Op};
use crate::shape::{Dims, Shape};
use smallvec::SmallVec;
use std::sync::Arc;

/// Rows at most of what is written out: the work grows with their cube.
const MAX_ROWS: usize = 64;
/// Rows up to which a matrix without samples is written out. Beyond, one node computes it: the entries written out are a node each for the simplifier and the call
/// stage, some 800 of them for a factor of 16 rows and 2700 for one of 24. Substitution for each sample is written out up to here too; beyond, a product by the inverse is as fast or
/// faster (a Gaussian with a Cholesky factor, 10^5 samples, `f64`, one thread, Zen 5 server, 2026-11-22, ms by substitution and by the inverse: 8 rows 0.38, 0.48; 16: 1.18, 1.34;
/// 20: 2.30, 2.10; 32: 7.5, 4.9; 48: 18.5, 8.7).
const WRITTEN_OUT: usize = 16;
/// Multiplications above which a product of matrices without samples is one node.
pub(super) const WRITTEN_PRODUCT: usize = 4096;

impl<'g> Expr<'g> {
    /// The lower triangular `L` with positive diagonal and `L L^T` this symmetric positive definite matrix (the last two dimensions; only the lower
    /// triangle is read). NaN from the first pivot that isn't positive, which the report of a non-finite number names, and
    /// [`crate::Bound::check_definite`] makes an error.
    ///
    /// Per sample at most 64 rows; without samples as many as memory holds, those of more than 16 rows as one node computed at the call stage.
    ///
    /// Golub and Van Loan, "Matrix Computations", algorithm 4.2.1.
    #[track_caller]
    pub fn cholesky(self) -> Expr<'g> {
        let Some(n) = self.square_rows("cholesky") else { return self.poisoned() };
        if self.is_dense(n) {
            return self.dense(Dense::Cholesky, &[]);
        }
        let mut factor: Vec<Vec<Expr>> = Vec::with_capacity(n);
        for i in 0..n {
            let mut row: Vec<Expr> = Vec::with_capacity(i + 1);
            for (j, above) in factor.iter().enumerate() {
                let rest = row.iter().zip(above).fold(self.entry(i, j), |rest, (a, b)| rest - *a * *b);
                row.push(rest / above[j]);
            }
            let pivot = row.iter().fold(self.entry(i, i), |rest, a| rest - *a * *a);
            row.push(pivot.pivot());
            factor.push(row);
        }
        self.matrix_of("cholesky", n, n, |i, j| (j <= i).then(|| factor[i][j]))
    }

    /// The logarithm of the determinant of this symmetric positive definite matrix, by its Cholesky factor.
    #[track_caller]
    pub fn log_det(self) -> Expr<'g> {
        self.cholesky().diag().ln().sum_dim(-1) * 2.0
    }

    /// The inverse of this symmetric positive definite matrix, by its Cholesky factor.
    #[track_caller]
    pub fn inverse(self) -> Expr<'g> {
        let Some(n) = self.square_rows("inverse") else { return self.poisoned() };
        // As many dimensions as this one has, to be a matrix and no vector.
        let mut dims: Dims = smallvec::smallvec![1; self.shape().dims().len() - 2];
        dims.extend([n, n]);
        let inverse = self.cholesky().solve_lower(self.graph().identity(n).reshape(&dims));
        inverse.transpose().matmul(inverse)
    }

    /// The solution `x` of `L x = b` for this lower triangular matrix (only its lower triangle is read); `b` is a vector `[.., n]`, with or without
    /// samples, or a matrix `[.., n, m]`: of two operands of one rank the second is a matrix.
    ///
    /// Per-sample right-hand sides are substituted in the loop up to 16 rows. Beyond, a triangle without samples is inverted once per call and each sample multiplied
    /// by the inverse: as many operations per sample, without the chain of divisions, and as accurate as substitution up to a factor that the bound of both has in
    /// common (the condition of the triangle; Higham, "Accuracy and Stability of Numerical Algorithms", 14.2), though the residual may be larger.
    #[track_caller]
    pub fn solve_lower(self, b: Expr<'g>) -> Expr<'g> {
        self.solve(b, "solve_lower", |k, _| k, |i, j| (i, j))
    }

    /// The solution `x` of `U x = b` for this upper triangular matrix (only its upper triangle is read), as [`Expr::solve_lower`].
    #[track_caller]
    pub fn solve_upper(self, b: Expr<'g>) -> Expr<'g> {
        self.solve(b, "solve_upper", |k, n| n - 1 - k, |i, j| (i, j))
    }

    /// The solution `x` of `L^T x = b` for this lower triangular matrix, as [`Expr::solve_lower`].
    #[track_caller]
    pub fn solve_lower_transposed(self, b: Expr<'g>) -> Expr<'g> {
        self.solve(b, "solve_lower_transposed", |k, n| n - 1 - k, |i, j| (j, i))
    }

    /// `x^T A x` for this matrix `A` and a vector `x`, with or without samples.
    #[track_caller]
    pub fn quadratic_form(self, x: Expr<'g>) -> Expr<'g> {
        x.dot(self.matmul_vector(x))
    }

    /// The matrix times a vector that may have samples.
    #[track_caller]
    fn matmul_vector(self, x: Expr<'g>) -> Expr<'g> {
        let mut dims: Dims = x.shape().dims().into();
        dims.insert(dims.len().saturating_sub(1), 1);
        (self * x.reshape(&dims)).sum_dim(-1)
    }

    /// Substitution: rows in the order given, the entry `(i, j)` of the triangle where `at` says.
    #[track_caller]
    fn solve(self, b: Expr<'g>, op: &str, order: fn(usize, usize) -> usize, at: fn(usize, usize) -> (usize, usize)) -> Expr<'g> {
        let Some(n) = self.square_rows(op) else { return self.poisoned() };
        if b.is_poisoned() {
            return b;
        }
        let (own, other) = (self.shape(), b.shape());
        let matrix = other.dims().len() >= own.dims().len();
        let axis = other.dims().len().wrapping_sub(if matrix { 2 } else { 1 });
        if other.dims().get(axis) != Some(&n) {
            return self.graph().mistake(Mistake::Shapes { op: op.into(), shapes: vec![own, other], place: Some(Place::caller()) });
        }
        if self.is_dense(n) {
            return self.solve_dense(b, op, matrix);
        }
        // An entry of the triangle next to a row of the right-hand side: one more axis for a matrix.
        let coefficient = |i: usize, j: usize| {
            let (i, j) = at(i, j);
            let e = self.entry(i, j);
            let mut dims: Dims = e.shape().dims().into();
            if matrix {
                dims.push(1);
            }
            e.reshape(&dims)
        };
        let axis_from_end = if matrix { -2 } else { -1 };
        let mut solved: Vec<Option<Expr>> = vec![None; n];
        for k in 0..n {
            let i = order(k, n);
            let mut rest = b.slice(axis_from_end, i..i + 1);
            let mut dims: Dims = rest.shape().dims().into();
            dims.remove(axis);
            rest = rest.reshape(&dims);
            for (j, x) in solved.iter().enumerate().filter_map(|(j, x)| x.map(|x| (j, x))) {
                rest = rest - coefficient(i, j) * x;
            }
            solved[i] = Some(rest / coefficient(i, i));
        }
        let rows: Vec<Expr> = solved.into_iter().flatten().collect();
        let rank = rows[0].shape().dims().len();
        self.graph().stack(&rows, if matrix { rank - 1 } else { rank })
    }

    /// Whether this square matrix is one node's work.
    fn is_dense(self, rows: usize) -> bool {
        rows > WRITTEN_OUT && !self.shape().varies_over_samples()
    }

    /// A dense operation on this matrix and others, leading dimensions broadcast.
    #[track_caller]
    pub(super) fn dense(self, op: Dense, others: &[Expr<'g>]) -> Expr<'g> {
        let operands: SmallVec<[Expr<'g>; 2]> = std::iter::once(self).chain(others.iter().copied()).collect();
        let shapes: SmallVec<[Shape; 2]> = operands.iter().map(|e| e.shape()).collect();
        let leads = shapes.iter().map(|s| Shape::new(&s.dims()[..s.dims().len() - 2]));
        let lead = leads.map(Some).reduce(|a, b| a?.broadcast(&b?)).flatten();
        let Some(lead) = lead else {
            return self.graph().mistake(Mistake::Shapes { op: op.name().into(), shapes: shapes.to_vec(), place: Some(Place::caller()) });
        };
        let full = |(e, s): (&Expr<'g>, &Shape)| {
            let mut dims: Dims = lead.dims().into();
            dims.extend_from_slice(&s.dims()[s.dims().len() - 2..]);
            e.broadcast_to(&dims)
        };
        let operands: SmallVec<[Expr<'g>; 2]> = operands.iter().zip(&shapes).map(full).collect();
        self.graph().gathered(op.name(), &operands, Op::Dense(op))
    }

    /// A solve with this large triangle, by one node, or by its inverse for right-hand sides with samples.
    #[track_caller]
    fn solve_dense(self, b: Expr<'g>, op: &str, matrix: bool) -> Expr<'g> {
        let (triangle, dense) = match op {
            "solve_lower" => (self, Dense::SolveLower),
            "solve_lower_transposed" => (self, Dense::SolveLowerTransposed),
            // An upper triangle is a lower one, transposed.
            _ => (self.transpose(), Dense::SolveLowerTransposed),
        };
        let n = *self.shape().dims().last().expect("a matrix");
        if b.shape().varies_over_samples() {
            let inverse = triangle.dense(dense, &[self.graph().identity(n)]);
            let inverse = if dense == Dense::SolveLower { inverse.tril() } else { inverse.triu() };
            return if matrix { inverse.matmul(b) } else { inverse.matmul_vector(b) };
        }
        if matrix {
            return triangle.dense(dense, &[b]);
        }
        let dims: Dims = b.shape().dims().into();
        let mut column = dims.clone();
        column.push(1);
        let solved = triangle.dense(dense, &[b.reshape(&column)]);
        let mut dims: Dims = solved.shape().dims().into();
        dims.pop();
        solved.reshape(&dims)
    }

    /// Entry `(i, j)` of the last two dimensions, the leading ones kept.
    #[track_caller]
    fn entry(self, i: usize, j: usize) -> Expr<'g> {
        let shape = self.shape();
        let lead: Dims = shape.dims()[..shape.dims().len() - 2].into();
        let columns = shape.dims()[lead.len() + 1];
        let block = shape.dims()[lead.len()] * columns;
        let entries: usize = lead.iter().product();
        let sources = (0..entries).map(|b| Some((0, (b * block + i * columns + j) as u32))).collect();
        self.graph().gathered("entry", &[self], Op::Arrange(Arc::new(Arrangement { dims: lead, sources })))
    }

    /// A matrix of the given entries (`None` is 0), each with this one's leading dimensions.
    #[track_caller]
    fn matrix_of(self, op: &str, rows: usize, columns: usize, entry: impl Fn(usize, usize) -> Option<Expr<'g>>) -> Expr<'g> {
        let shape = self.shape();
        let mut dims: Dims = shape.dims()[..shape.dims().len() - 2].into();
        let blocks: usize = dims.iter().product();
        dims.extend([rows, columns]);
        let mut operands = Vec::new();
        let mut table = Vec::with_capacity(rows * columns);
        for i in 0..rows {
            for j in 0..columns {
                table.push(entry(i, j).map(|e| {
                    operands.push(e);
                    operands.len() as u32 - 1
                }));
            }
        }
        let sources = (0..blocks).flat_map(|b| table.iter().map(move |k| k.map(|k| (k, b as u32)))).collect();
        self.graph().gathered(op, &operands, Op::Arrange(Arc::new(Arrangement { dims, sources })))
    }

    /// The extent of the last two dimensions, if they are a square matrix that can be written out.
    #[track_caller]
    fn square_rows(self, op: &str) -> Option<usize> {
        let shape = self.shape();
        if self.is_poisoned() {
            return None;
        }
        let [.., rows, columns] = *shape.dims() else {
            self.graph().mistake(Mistake::NoSuchAxis { op: op.into(), axis: "-2".into(), shape, place: Some(Place::caller()) });
            return None;
        };
        let too_large = rows > MAX_ROWS && shape.varies_over_samples();
        if rows != columns || too_large {
            let op = if rows == columns { format!("{op} (at most {MAX_ROWS} rows per sample)") } else { op.into() };
            self.graph().mistake(Mistake::Shapes { op, shapes: vec![shape], place: Some(Place::caller()) });
            return None;
        }
        Some(rows)
    }
}
