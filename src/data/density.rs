//! A density estimated from samples.

use super::moments::variance;
use crate::real::Real;

/// Points at which a density is estimated.
const POINTS: usize = 200;

/// A kernel density estimate of samples, as points `(x, density)` from three bandwidths below the smallest sample to three above the largest: the mean of
/// normal densities around the samples. The standard deviation of these, the bandwidth, is `0.9 min(s, IQR / 1.34) n^(-1/5)` with the samples' standard
/// deviation `s` and interquartile range (Silverman, *Density estimation for statistics and data analysis*, 1986, equation 3.31). No points of fewer than two samples
/// or samples that don't vary; samples that aren't finite are left out.
pub fn density<T: Real>(samples: &[T]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<f64> = samples.iter().map(|x| x.to_f64()).filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let (Some(low), Some(high)) = (sorted.first().copied(), sorted.last().copied()) else { return Vec::new() };
    let s = variance(&sorted).sqrt();
    let iqr = (sorted[(3 * n / 4).min(n - 1)] - sorted[n / 4]) / 1.34;
    let h = 0.9 * if iqr > 0.0 { s.min(iqr) } else { s } * (n as f64).powf(-0.2);
    if h.is_nan() || h <= 0.0 {
        return Vec::new();
    }
    let (from, to) = (low - 3.0 * h, high + 3.0 * h);
    let at = |x: f64| {
        // Beyond nine bandwidths a kernel is below 1e-17 of its height.
        let (a, b) = (sorted.partition_point(|y| *y < x - 9.0 * h), sorted.partition_point(|y| *y <= x + 9.0 * h));
        let sum: f64 = sorted[a..b].iter().map(|y| (-0.5 * ((x - y) / h).powi(2)).exp()).sum();
        sum / (n as f64 * h * std::f64::consts::TAU.sqrt())
    };
    (0..POINTS).map(|k| from + (to - from) * k as f64 / (POINTS - 1) as f64).map(|x| (x, at(x))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two samples at -1 and 1: s = 1, IQR 2, h = 0.9 * 2^(-1/5) = 0.78350; at a sample the density is (phi(0) + phi(2/h)) / (2 h).
    #[test]
    fn two_samples_have_two_kernels() {
        let points = density(&[1.0, f64::NAN, -1.0]);
        let h = 0.9 * 2f64.powf(-0.2);
        assert!((points[0].0 + 1.0 + 3.0 * h).abs() < 1e-14 && points.len() == POINTS);
        let phi = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        for (x, y) in points {
            assert!((y - (phi((x - 1.0) / h) + phi((x + 1.0) / h)) / (2.0 * h)).abs() < 1e-15);
        }
        assert!(density::<f64>(&[]).is_empty() && density(&[1.0]).is_empty() && density(&[2.0, 2.0]).is_empty());
    }

    /// Quantiles of the standard normal give back its density.
    #[test]
    fn a_normal_sample_gives_a_normal_density() {
        let mut random = crate::random::SplitMix64::stream(1, 1);
        let samples: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let points = density(&samples);
        let area: f64 = points.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        assert!((area - 1.0).abs() < 1e-3, "{area}");
        for (x, y) in points {
            assert!((y - (-0.5 * x * x).exp() / 2.5066282746310002).abs() < 0.02, "{x} {y}");
        }
    }
}
