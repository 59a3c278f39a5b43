//! Linear algebra in the DSL: Cholesky factors, triangular solves, determinants. Written out entry by entry, so that everything below
//! (differentiation, stages, kernels) sees plain arithmetic: a factor of parameters is computed once per call, a solve for per-sample vectors in
//! the loop, and batches along leading dimensions broadcast.

use super::Expr;
use crate::error::{Mistake, Place};
use crate::graph::{Arrangement, Op};
use crate::shape::Dims;
use std::sync::Arc;

/// Rows at most: the work written out grows with their cube.
const MAX_ROWS: usize = 64;

impl<'g> Expr<'g> {
    /// The lower triangular `L` with positive diagonal and `L L^T` this symmetric positive definite matrix (the last two dimensions; only the lower
    /// triangle is read). NaN from the first pivot that isn't positive, which the report of a non-finite number names as `sqrt`.
    ///
    /// Golub and Van Loan, "Matrix Computations", algorithm 4.2.1.
    #[track_caller]
    pub fn cholesky(self) -> Expr<'g> {
        let Some(n) = self.square_rows("cholesky") else { return self.poisoned() };
        let mut factor: Vec<Vec<Expr>> = Vec::with_capacity(n);
        for i in 0..n {
            let mut row: Vec<Expr> = Vec::with_capacity(i + 1);
            for (j, above) in factor.iter().enumerate() {
                let rest = row.iter().zip(above).fold(self.entry(i, j), |rest, (a, b)| rest - *a * *b);
                row.push(rest / above[j]);
            }
            let pivot = row.iter().fold(self.entry(i, i), |rest, a| rest - *a * *a);
            row.push(pivot.sqrt());
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
        if rows != columns || rows > MAX_ROWS {
            let op = if rows == columns { format!("{op} (at most {MAX_ROWS} rows)") } else { op.into() };
            self.graph().mistake(Mistake::Shapes { op, shapes: vec![shape], place: Some(Place::caller()) });
            return None;
        }
        Some(rows)
    }
}
