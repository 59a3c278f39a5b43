//! Cholesky factors of correlation and covariance matrices.

use super::{Constrained, check, refused};
use crate::error::Result;
use crate::expr::Expr;
use nalgebra::DMatrix;
use std::f64::consts::LN_2;

/// The Cholesky factor `[d, d]` of a correlation matrix, from a vector of `d (d - 1) / 2` free numbers: lower triangular, with positive diagonal and
/// rows of length 1. `scales.to_diag().matmul(factor)` is a factor of the covariance with these standard deviations.
///
/// The numbers fill the lower triangle row by row; their `tanh` are partial correlations, so that the first entries of a row are as likely as the
/// later ones to be large (Lewandowski, Kurowicka and Joe 2009). The Jacobian is that of the entries below the diagonal.
#[track_caller]
pub fn correlation_cholesky(raw: Expr<'_>) -> Constrained<'_> {
    let Some(d) = rows(raw, |d| d * (d - 1) / 2) else { return refused("correlation_cholesky", raw, vec![raw.shape()]) };
    let g = raw.graph();
    let mut entries = vec![g.constant(0.0); d * d];
    entries[0] = g.constant(1.0);
    let mut log_jacobian = g.constant(0.0);
    let mut at = 0;
    for i in 1..d {
        // The logarithm of what length the row has left: half of the sum of ln(1 - tanh^2) = 2 ln sech over the entries so far.
        let mut rest = g.constant(0.0);
        for j in 0..i {
            let y = raw.index(&[at]);
            at += 1;
            let ln_sech = LN_2 - y - (-2.0 * y).softplus();
            entries[i * d + j] = y.tanh() * rest.exp();
            log_jacobian = log_jacobian + rest + 2.0 * ln_sech;
            rest = rest + ln_sech;
        }
        entries[i * d + i] = rest.exp();
    }
    Constrained { value: g.stack(&entries, 0).reshape(&[d, d]), log_jacobian }
}

/// What [`correlation_cholesky`] makes of this factor.
///
/// # Errors
/// [`crate::Error::Setting`] unless it is square, of two rows or more, lower triangular with positive diagonal and rows of length 1 (to 1e-9).
pub fn correlation_cholesky_inverse(factor: &DMatrix<f64>) -> Result<Vec<f64>> {
    let name = "correlation_cholesky";
    check_factor(name, factor)?;
    check(name, factor.nrows() > 1, || "a correlation needs two rows".into())?;
    let mut raw = Vec::new();
    for i in 0..factor.nrows() {
        let length = factor.row(i).norm();
        check(name, (length - 1.0).abs() <= 1e-9, || format!("row {i} has length {length}, not 1"))?;
        // What length is left, from the end of the row: no difference from 1 is taken.
        let left = |j: usize| (j..=i).map(|k| factor[(i, k)].powi(2)).sum::<f64>().sqrt();
        raw.extend((0..i).map(|j| (factor[(i, j)] / left(j + 1)).asinh()));
    }
    Ok(raw)
}

/// The Cholesky factor `[d, d]` of a covariance matrix, from a vector of `d (d + 1) / 2` free numbers, which fill the lower triangle row by row; those on
/// the diagonal are exponentiated. The Jacobian is that of the lower triangle.
///
/// ```
/// use nalgebra::DMatrix;
/// use tapeless::{constraint::{covariance_cholesky, covariance_cholesky_inverse}, dist::multivariate_normal_cholesky, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, loc) = (g.data_with("x", &[2]), g.param_with("loc", &[2]));
/// let factor = covariance_cholesky(g.param_with("raw", &[3])).value;
/// let program = (-multivariate_normal_cholesky(loc, factor).log_prob(x).sum()).compile()?;
/// let start = covariance_cholesky_inverse(&DMatrix::identity(2, 2))?;
/// let theta = program.params([("loc", vec![0.0, 0.0]), ("raw", start)])?;
/// # let columns: [&[f64]; 2] = [&[1.0, 3.0], &[0.0, 1.0]];
/// # assert!(program.bind([("x", columns.to_vec())])?.value(&theta)?.is_finite());
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn covariance_cholesky(raw: Expr<'_>) -> Constrained<'_> {
    let Some(d) = rows(raw, |d| d * (d + 1) / 2) else { return refused("covariance_cholesky", raw, vec![raw.shape()]) };
    let g = raw.graph();
    let mut entries = vec![g.constant(0.0); d * d];
    let mut log_jacobian = g.constant(0.0);
    for i in 0..d {
        for j in 0..=i {
            let free = raw.index(&[i * (i + 1) / 2 + j]);
            entries[i * d + j] = if i == j { free.exp() } else { free };
            if i == j {
                log_jacobian = log_jacobian + free;
            }
        }
    }
    Constrained { value: g.stack(&entries, 0).reshape(&[d, d]), log_jacobian }
}

/// What [`covariance_cholesky`] makes of this factor (of a covariance matrix: `covariance.cholesky()` of `nalgebra` gives it).
///
/// # Errors
/// [`crate::Error::Setting`] unless it is square and lower triangular with positive diagonal.
pub fn covariance_cholesky_inverse(factor: &DMatrix<f64>) -> Result<Vec<f64>> {
    check_factor("covariance_cholesky", factor)?;
    let entry = |i: usize, j: usize| if i == j { factor[(i, i)].ln() } else { factor[(i, j)] };
    Ok((0..factor.nrows()).flat_map(|i| (0..=i).map(move |j| entry(i, j))).collect())
}

/// The number of rows of a matrix for which a vector has this many free numbers, if there is one.
fn rows(raw: Expr<'_>, free: impl Fn(usize) -> usize) -> Option<usize> {
    let shape = raw.shape();
    let &[n] = shape.dims() else { return None };
    (1..).take_while(|d| free(*d) <= n).find(|d| free(*d) == n && n > 0)
}

fn check_factor(name: &str, factor: &DMatrix<f64>) -> Result<()> {
    let (n, m) = factor.shape();
    check(name, n == m && n > 0, || format!("a factor is square, not {n} by {m}"))?;
    for i in 0..n {
        let x = factor[(i, i)];
        check(name, x > 0.0 && x.is_finite(), || format!("entry ({i}, {i}) is {x}, not positive"))?;
        for j in 0..n {
            let x = factor[(i, j)];
            check(name, if j > i { x == 0.0 } else { x.is_finite() }, || format!("entry ({i}, {j}) is {x}"))?;
        }
    }
    Ok(())
}
