//! Mean, variance and covariance of samples, and samples brought to given ones.

use crate::error::{Error, Result};
use crate::real::Real;
use nalgebra::{DMatrix, DVector};

/// The mean; NaN of no samples.
pub fn mean<T: Real>(samples: &[T]) -> f64 {
    let n = samples.len() as f64;
    let rough = samples.iter().map(|x| x.to_f64()).sum::<f64>() / n;
    // What rounding left of the sum, taken off in a second pass.
    rough + samples.iter().map(|x| x.to_f64() - rough).sum::<f64>() / n
}

/// The variance around the mean, divided by the number of samples (not one less): the maximum-likelihood estimate. NaN of no samples.
pub fn variance<T: Real>(samples: &[T]) -> f64 {
    let m = mean(samples);
    samples.iter().map(|x| (x.to_f64() - m).powi(2)).sum::<f64>() / samples.len() as f64
}

/// The mean and the covariance, divided by the number of samples, of samples in the rows of a matrix.
pub fn covariance(samples: &DMatrix<f64>) -> (DVector<f64>, DMatrix<f64>) {
    let mean = DVector::from_iterator(samples.ncols(), samples.column_iter().map(|c| mean(c.as_slice())));
    let mut centred = samples.clone();
    for (mut column, m) in centred.column_iter_mut().zip(mean.iter()) {
        column.add_scalar_mut(-m);
    }
    let covariance = centred.tr_mul(&centred) / samples.nrows() as f64;
    (mean, covariance)
}

/// Shifts and scales samples so that their mean and variance (divided by their number) are the given ones.
///
/// A Gaussian likelihood depends on its samples through these two alone, so any samples brought to the moments of others give the same fit.
///
/// ```
/// # fn main() -> tapeless::Result<()> {
/// use tapeless::data::{match_moments, mean, variance};
/// let mut samples = [1.0, 2.0, 4.0, 9.0];
/// match_moments(&mut samples, -1.0, 0.25)?;
/// assert!((mean(&samples) + 1.0).abs() < 1e-15 && (variance(&samples) - 0.25).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Setting`] for a negative variance, or samples that don't vary (which are then moved to 0).
pub fn match_moments(samples: &mut [f64], mean: f64, variance: f64) -> Result<()> {
    // Moved to 0 first: samples far from it have a mean that is rounded.
    let far = self::mean(samples);
    samples.iter_mut().for_each(|x| *x -= far);
    let (m, v) = (self::mean(samples), self::variance(samples));
    if !(variance >= 0.0 && mean.is_finite() && variance.is_finite()) {
        return bad("moments", format!("no samples have mean {mean} and variance {variance}"));
    }
    if !(v > 0.0 && v.is_finite()) {
        return bad("samples", format!("their variance is {v}: they can't be scaled to another"));
    }
    let scale = (variance / v).sqrt();
    samples.iter_mut().for_each(|x| *x = mean + (*x - m) * scale);
    Ok(())
}

/// Shifts and maps samples, the rows of a matrix, so that their mean and covariance (divided by their number) are the given ones: `L_to L_from^-1` of
/// the Cholesky factors is the map.
///
/// # Errors
/// [`Error::Setting`] if a covariance, the given one or that of the samples, isn't positive definite, or the dimensions differ.
pub fn match_covariance(samples: &DMatrix<f64>, mean: &[f64], covariance: &DMatrix<f64>) -> Result<DMatrix<f64>> {
    let d = samples.ncols();
    if mean.len() != d || covariance.shape() != (d, d) {
        let (rows, columns) = covariance.shape();
        return bad("moments", format!("samples of {d} numbers can't have a mean of {} and a covariance of {rows} by {columns}", mean.len()));
    }
    let (m, own) = self::covariance(samples);
    let (Some(from), Some(to)) = (own.cholesky(), covariance.clone().cholesky()) else {
        return bad("moments", "the covariance, the given one or that of the samples, is not positive definite".into());
    };
    let mut out = samples.transpose();
    for mut x in out.column_iter_mut() {
        x -= &m;
    }
    // The factor of a positive definite matrix has no zero on its diagonal.
    from.l_dirty().solve_lower_triangular_mut(&mut out);
    out = to.l() * out;
    for mut x in out.column_iter_mut() {
        x += DVector::from_column_slice(mean);
    }
    Ok(out.transpose())
}

fn bad<T>(name: &str, message: String) -> Result<T> {
    Err(Error::Setting { name: name.into(), message })
}
