//! Samples: against distribution functions by SciPy (tests/tables/sampling.txt, made by tools/sampling.py), moments, seeds, refusals.

use crate::families::make;
use nalgebra::DMatrix;
use rand::{SeedableRng, rngs::StdRng};
use tapeless::Error;
use tapeless::dist::{self, Distribution};
use tapeless::prelude::*;

const DRAWS: usize = 20_000;

/// The largest distance of empirical and true distribution functions at these points stays below Kolmogorov's bound for a chance of 1e-4.
fn follows(x: &[f64], points: impl Iterator<Item = (f64, f64)>, what: &str) {
    let bound = 2.226 / (x.len() as f64).sqrt();
    for (at, want) in points {
        let got = x.iter().filter(|x| **x <= at).count() as f64 / x.len() as f64;
        let allowed = if want == 0.0 || want == 1.0 { 0.0 } else { bound };
        assert!((got - want).abs() <= allowed, "{what}: {got} of the samples are at most {at}, not {want}");
    }
}

fn constants<'g>(g: &'g Graph, numbers: &[f64]) -> Vec<Expr<'g>> {
    numbers.iter().map(|x| g.constant(*x)).collect()
}

#[test]
fn samples_follow_their_distribution_function() {
    let mut rng = StdRng::seed_from_u64(20261122);
    let mut cases = 0;
    for line in include_str!("../tables/sampling.txt").lines() {
        let (head, tail) = line.split_once('|').unwrap();
        let mut words = head.split_whitespace();
        let name = words.next().unwrap();
        let params: Vec<f64> = words.map(|w| w.parse().unwrap()).collect();
        let points: Vec<f64> = tail.split_whitespace().map(|w| w.parse().unwrap()).collect();
        let g = Graph::new();
        let x = make(name, &constants(&g, &params)).sample(DRAWS, &mut rng).unwrap();
        follows(&x, points.chunks(2).map(|p| (p[0], p[1])), line);
        cases += 1;
    }
    assert!(cases >= 40);
}

#[test]
fn the_same_seed_gives_the_same_samples() {
    let g = Graph::new();
    let d = dist::gamma(g.constant(2.0), 3.0);
    let draw = |seed| d.sample(100, &mut StdRng::seed_from_u64(seed)).unwrap();
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

/// Means and covariances of the columns lie within five standard errors of these.
fn moments(x: &DMatrix<f64>, mean: &[f64], covariance: &DMatrix<f64>) {
    let n = x.nrows() as f64;
    for i in 0..mean.len() {
        let m = x.column(i).mean();
        assert!((m - mean[i]).abs() < 5.0 * (covariance[(i, i)] / n).sqrt(), "mean {i}: {m}, not {}", mean[i]);
        for j in 0..mean.len() {
            let c = x.column(i).iter().zip(x.column(j).iter()).map(|(a, b)| (a - mean[i]) * (b - mean[j])).sum::<f64>() / n;
            let error = 5.0 * (2.0 * covariance[(i, i)] * covariance[(j, j)] / n).sqrt();
            assert!((c - covariance[(i, j)]).abs() < error, "covariance {i} {j}: {c}, not {}", covariance[(i, j)]);
        }
    }
}

#[test]
fn vectors() {
    let mut rng = StdRng::seed_from_u64(5);
    let g = Graph::new();
    let loc = g.array(&[3], &[1.0, -2.0, 0.5]);
    let factor = DMatrix::from_row_slice(3, 3, &[1.0, 0.0, 0.0, 0.5, 2.0, 0.0, -1.0, 0.3, 0.7]);
    let full = &factor * factor.transpose();
    let rows = |m: &DMatrix<f64>| m.transpose().iter().copied().collect::<Vec<f64>>();
    let (l, c) = (g.array(&[3, 3], &rows(&factor)), g.array(&[3, 3], &rows(&full)));
    let mean = [1.0, -2.0, 0.5];
    moments(&dist::multivariate_normal_cholesky(loc, l).sample_matrix(DRAWS, &mut rng).unwrap(), &mean, &full);
    moments(&dist::multivariate_normal(loc, c).sample_matrix(DRAWS, &mut rng).unwrap(), &mean, &full);
    let scales = DMatrix::from_diagonal(&nalgebra::DVector::from_row_slice(&[0.25, 4.0, 9.0]));
    moments(&dist::multivariate_normal_diagonal(loc, g.array(&[3], &[0.5, 2.0, 3.0])).sample_matrix(DRAWS, &mut rng).unwrap(), &mean, &scales);
    moments(&dist::multivariate_normal_isotropic(loc, 0.1).sample_matrix(DRAWS, &mut rng).unwrap(), &mean, &(DMatrix::identity(3, 3) * 0.01));

    // Mean a / 3.5 and covariance (delta_ij m_i - m_i m_j) / 4.5 (Johnson and Kotz, chapter 40).
    let a = [0.2, 1.3, 2.0];
    let x = dist::dirichlet(g.array(&[3], &a)).sample_matrix(DRAWS, &mut rng).unwrap();
    let m: Vec<f64> = a.iter().map(|a| a / 3.5).collect();
    moments(&x, &m, &DMatrix::from_fn(3, 3, |i, j| (if i == j { m[i] } else { 0.0 } - m[i] * m[j]) / 4.5));
    assert!(x.row_iter().all(|r| r.min() >= 0.0 && (r.sum() - 1.0).abs() < 1e-14));
    // Concentrations so small that gamma numbers underflow: one entry takes all.
    let corners = dist::dirichlet(g.array(&[2], &[1e-4, 1e-4])).sample_matrix(1000, &mut rng).unwrap();
    assert!(corners.iter().all(|p| p.is_finite()) && corners.row_iter().all(|r| r.max() > 0.99 || r.min() > 1e-6));

    // Independent entries of a vector of parameters are columns.
    let x = dist::normal(loc, g.array(&[3], &[0.5, 2.0, 3.0])).sample_matrix(DRAWS, &mut rng).unwrap();
    moments(&x, &mean, &scales);
}

#[test]
fn mixtures() {
    let mut rng = StdRng::seed_from_u64(11);
    let g = Graph::new();
    let logits = g.array(&[3], &[0.0, 3f64.ln(), f64::NEG_INFINITY]);
    let d = dist::mixture(logits, (dist::normal(g.constant(-2.0), 1.0), dist::exponential(g.constant(0.5)), dist::cauchy(g.constant(1e9), 1.0)));
    let x = d.sample(DRAWS, &mut rng).unwrap();
    // By SciPy: 0.25 norm.cdf(x, -2) + 0.75 expon.cdf(x, scale=2).
    let points = [(-3.0, 0.03966381348286427), (-1.0, 0.21033618651713573), (0.5, 0.41434699636500233), (2.0, 0.72408250131096), (6.0, 0.9626596987241018)];
    follows(&x, points.into_iter(), "mixture");
    let pairs = [dist::multivariate_normal_isotropic(g.array(&[2], &[0.0, 5.0]), 1.0), dist::multivariate_normal_isotropic(g.array(&[2], &[4.0, 5.0]), 1.0)];
    let x = dist::mixture(g.array(&[2], &[0.0, 0.0]), pairs).sample_matrix(DRAWS, &mut rng).unwrap();
    moments(&x, &[2.0, 5.0], &DMatrix::from_row_slice(2, 2, &[5.0, 0.0, 0.0, 1.0]));
}

#[test]
fn labels() {
    let mut rng = StdRng::seed_from_u64(12);
    let g = Graph::new();
    let x = dist::categorical(g.array(&[4], &[0.0, 2f64.ln(), f64::NEG_INFINITY, 1000.0 - 1000.0])).sample(DRAWS, &mut rng).unwrap();
    follows(&x, [(-0.5, 0.0), (0.0, 0.25), (1.0, 0.75), (2.0, 0.75), (3.0, 1.0)].into_iter(), "categorical");
    assert!(x.iter().all(|k| *k != 2.0));
    // Logits far from 0, and none that is possible.
    let sure = dist::categorical(g.array(&[2], &[-1e6, -1e6 - 800.0])).sample(100, &mut rng).unwrap();
    assert_eq!(sure, [0.0; 100]);
    let none = dist::categorical(g.array(&[2], &[f64::NEG_INFINITY; 2])).sample(1, &mut rng).unwrap_err().to_string();
    assert!(none.contains("categorical: sum of weights must be finite, but is NaN"), "{none}");
}

#[test]
fn at_fitted_parameters_and_given_data() {
    let g = Graph::new();
    let (t, x) = (g.data("t"), g.data("x"));
    let (loc, raw, slope) = (g.param("loc"), g.param("raw"), g.param("slope"));
    let model = dist::normal(loc, raw.softplus());
    let program = (-model.log_prob(x).sum()).compile().unwrap();
    let theta = program.params([("loc", 40.0), ("raw", 3.0), ("slope", 2.0)]).unwrap();
    let sampler = model.sampler_at(&theta).unwrap();
    let n = DRAWS;
    let drawn = sampler.sample(n, &mut StdRng::seed_from_u64(3)).unwrap();
    let (mean, scale) = (drawn.iter().sum::<f64>() / n as f64, 3f64.exp().ln_1p());
    assert!((mean - 40.0).abs() < 5.0 * scale / (n as f64).sqrt(), "{mean}");
    // A parameter of later making, which the model doesn't depend on, is not asked for; one that it does depend on is.
    let late = g.param("late");
    assert_eq!(model.sampler_at(&theta).unwrap().sample(n, &mut StdRng::seed_from_u64(3)).unwrap(), drawn);
    assert_eq!(dist::normal(late, 1.0).sampler_at(&theta).unwrap_err(), Error::MissingParam { name: "late".into() });
    assert_eq!(model.sample(1, &mut StdRng::seed_from_u64(3)), Err(Error::MissingParam { name: "loc".into() }));

    let regression = dist::normal(slope * t + loc, 1e-3 * (t + 1.0));
    let ts: Vec<f64> = (0..n).map(|i| i as f64 / n as f64).collect();
    let sampler = regression.sampler_given(&theta, [("t", &ts)]).unwrap();
    let y = sampler.sample(n, &mut StdRng::seed_from_u64(4)).unwrap();
    let z: Vec<f64> = y.iter().zip(&ts).map(|(y, t)| (y - 2.0 * t - 40.0) / (1e-3 * (t + 1.0))).collect();
    follows(&z, [(-2.0, 0.022750131948179195), (0.0, 0.5), (1.0, 0.8413447460685429)].into_iter(), "residuals");
    assert!(
        sampler
            .sample(3, &mut StdRng::seed_from_u64(4))
            .unwrap_err()
            .to_string()
            .contains("3 draws are asked for, but the parameters are given for 20000 samples")
    );
    assert_eq!(regression.sampler_at(&theta).unwrap_err(), Error::MissingColumn { name: "t".into() });
}

#[test]
fn refusals_name_distribution_and_parameter() {
    let g = Graph::new();
    let mut rng = StdRng::seed_from_u64(1);
    let c = |x| g.constant(x);
    let cases: &[(Box<dyn Distribution>, &str)] = &[
        (Box::new(dist::normal(c(0.0), -1.0)), "normal: scale must be positive and finite, but is -1"),
        (Box::new(dist::normal(c(f64::NAN), 1.0)), "normal: loc must be finite, but is NaN"),
        (Box::new(dist::uniform(c(1.0), 1.0)), "uniform: width must be positive and finite, but is 0"),
        (Box::new(dist::gamma(c(0.0), 1.0)), "gamma: shape must be positive"),
        (Box::new(dist::bernoulli(c(1.5))), "bernoulli: probability must be from 0 to 1, but is 1.5"),
        (Box::new(dist::binomial(2.5, c(0.5))), "binomial: count must be an integer"),
        (Box::new(dist::geometric(c(0.0))), "geometric: probability must be above 0"),
        (Box::new(dist::poisson(c(-1.0))), "poisson: rate must be finite and not negative"),
        (Box::new(dist::mixture_log_weights(g.array(&[1], &[f64::NAN]), [dist::normal(c(0.0), 1.0)])), "mixture: log_weights must be"),
        (Box::new(dist::mixture(g.array(&[1], &[0.0]), [dist::laplace(c(0.0), 0.0)])), "laplace: scale must be"),
    ];
    for (d, words) in cases {
        let message = d.sample(1, &mut rng).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let indefinite = dist::multivariate_normal(g.array(&[2], &[0.0, 0.0]), g.array(&[2, 2], &[1.0, 2.0, 2.0, 1.0]));
    let message = indefinite.sample_matrix(1, &mut rng).unwrap_err().to_string();
    assert!(message.contains("diagonal of the Cholesky factor must be positive and finite, but is NaN"), "{message}");
    let message = dist::multivariate_normal_isotropic(g.array(&[2], &[0.0, 0.0]), 1.0).sample(1, &mut rng).unwrap_err().to_string();
    assert!(message.contains("a draw has 2 numbers; sample_matrix"), "{message}");
    let mismatched = dist::multivariate_normal_cholesky(g.array(&[3], &[0.0; 3]), g.identity(2)).sample_matrix(1, &mut rng).unwrap_err().to_string();
    assert!(mismatched.contains("multivariate_normal: shapes [3] and [2, 2] do not fit"), "{mismatched}");
    let g = Graph::new();
    let mismatched = dist::normal(g.array(&[3], &[0.0; 3]), g.array(&[2], &[1.0; 2])).sample_matrix(1, &mut rng).unwrap_err().to_string();
    assert!(mismatched.contains("broadcast to [3]: shapes [2] do not fit"), "{mismatched}");
    let g = Graph::new();
    let c = |x| g.constant(x);
    assert_eq!(dist::geometric(c(1.0)).sample(3, &mut rng).unwrap(), [0.0; 3]);
    let huge = dist::poisson(c(1e30)).sample(100, &mut rng).unwrap();
    assert!(huge.iter().all(|x| (x - 1e30).abs() < 6e15));
}
