//! The tutorials' Gaussians: a mean by gradient descent, location and scale by Adam, mean and covariance by Adam, with the figures printed there.
//!
//! Their samples are not given, but a Gaussian likelihood knows its samples through mean and covariance alone: any samples brought to those
//! printed there must give the tutorials' output, up to the digits in which the moments are known and the rounding of `f32`, in which it was made.

use nalgebra::DMatrix;
use rand::{SeedableRng, rngs::StdRng};
use std::ops::ControlFlow::Continue;
use tapeless::data::{Frame, covariance, match_covariance, match_moments, mean, variance};
use tapeless::dist::{MultivariateNormal, multivariate_normal, multivariate_normal_cholesky, multivariate_normal_isotropic, normal};
use tapeless::prelude::*;
use tapeless::sample::Sample;
use tapeless::{Real, Result, compile};

/// Samples of these moments, as a column `x`.
fn samples<T: Real>(n: usize, mean: f64, variance: f64) -> Result<Frame<T>> {
    let g = Graph::new();
    let mut x = normal(g.constant(0.0), 1.0).sample(n, &mut StdRng::seed_from_u64(1))?;
    match_moments(&mut x, mean, variance)?;
    Ok(Frame::new([("x", x)])?.cast())
}

fn mean_program<T: Real>() -> Result<Program<T>> {
    let g = Graph::new();
    compile(-normal(g.param("location"), 1.0).log_prob(g.data("x")).sum(), &Options::new())
}

/// The table of the first tutorial: step, loss, estimate, distance.
const DESCENT: [(u64, f64, f64, f64); 20] = [
    (500, 16102.988, 0.60579, 0.60729),
    (1000, 14937.011, 0.36674, 0.36825),
    (1500, 14508.284, 0.22179, 0.22330),
    (2000, 14350.645, 0.13390, 0.13540),
    (2500, 14292.682, 0.08060, 0.08211),
    (3000, 14271.368, 0.04828, 0.04979),
    (3500, 14263.533, 0.02869, 0.03019),
    (4000, 14260.650, 0.01680, 0.01831),
    (4500, 14259.591, 0.00960, 0.01110),
    (5000, 14259.201, 0.00523, 0.00673),
    (5500, 14259.059, 0.00258, 0.00408),
    (6000, 14259.006, 0.00097, 0.00248),
    (6500, 14258.986, -0.00000, 0.00150),
    (7000, 14258.979, -0.00059, 0.00091),
    (7500, 14258.977, -0.00095, 0.00055),
    (8000, 14258.977, -0.00117, 0.00033),
    (8500, 14258.977, -0.00130, 0.00020),
    (9000, 14258.975, -0.00138, 0.00012),
    (9500, 14258.976, -0.00143, 0.00007),
    (10000, 14258.976, -0.00146, 0.00005),
];

/// The single step and the descent. `drift` is by how much the number type may move an estimate: each of 10,000 steps rounds, and the later ones keep 0.999 of
/// that, so of independent roundings of 2^-25 near 1 about twenty remain.
fn the_mean<T: Real>(drift: f64) -> Result<()> {
    let frame = samples::<T>(10_000, -0.00150459, 1.0139177)?;
    let m = mean(frame.column("x")?);
    let program = mean_program::<T>()?;
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("location", 1.0)])?;
    let (loss, grad) = data.value_and_grad(&theta)?;
    assert!((loss.to_f64() - 19274.03).abs() < 0.005 + 19274.0 * T::EPSILON, "{loss}");
    assert!((grad.scalar("location")?.to_f64() - 10015.0459).abs() < 5e-5 + 10015.0 * T::EPSILON, "{grad}");
    let mut sgd = Sgd::new(1e-7);
    sgd.step(&mut theta, &grad)?;
    assert!((theta.scalar("location")?.to_f64() - 0.99899850).abs() < 5e-9 + T::EPSILON, "{theta}");
    let mut rows = Vec::new();
    let mut worst = 0.0f64;
    let mut training = Training::new(&data, sgd).steps(10_000).observe(|p| {
        let distance = p.theta.values()[0].to_f64() - m;
        if p.step % 500 == 0 {
            rows.push((p.step, p.loss.to_f64(), distance + m, distance));
        }
        // The step that was taken apart is one more.
        worst = worst.max((distance - (1.0 - m) * 0.999f64.powi(p.step as i32)).abs());
        Continue(())
    });
    training.run(&mut theta)?;
    drop(training);
    assert!(worst <= drift, "the distance strays from the law by {worst}");
    for (row, (step, loss, estimate, distance)) in rows.iter().zip(DESCENT) {
        assert_eq!(row.0, step);
        // The tutorial's losses are sums in f32: multiples of 1/1024, the last digits wrong by some of them.
        assert!((row.1 - loss).abs() < 4e-3 + 14e3 * T::EPSILON + 2e4 * drift * distance, "{row:?} {loss}");
        assert!((row.2 - estimate).abs() < 5.1e-6 + drift && (row.3 - distance).abs() < 5.1e-6 + drift, "{row:?} {estimate} {distance}");
    }
    assert_eq!(rows.len(), DESCENT.len());
    Ok(())
}

#[test]
fn the_mean_of_a_gaussian_in_f64() -> Result<()> {
    the_mean::<f64>(2e-14)
}

#[test]
fn the_mean_of_a_gaussian_in_f32() -> Result<()> {
    the_mean::<f32>(2e-6)
}

/// The tutorial's text has a rate of 1e-6, its output was made with 1e-7: from the same start the first step would go ten times as far.
#[test]
fn the_rate_of_the_text_is_not_that_of_the_output() -> Result<()> {
    let (frame, program) = (samples::<f64>(10_000, -0.00150459, 1.0139177)?, mean_program::<f64>()?);
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("location", 1.0)])?;
    Training::new(&data, Sgd::new(1e-6)).steps(1).run(&mut theta)?;
    assert!((theta.scalar("location")? - (1.0 - 1e-6 * 10015.0459)).abs() < 1e-9);
    Ok(())
}

/// The exercises: another start, another mean, fewer samples. All obey `d(t) = d(0) (1 - rate n)^t`.
#[test]
fn the_exercises() -> Result<()> {
    for (n, true_mean, start, rate, steps) in [
        (10_000, 0.0, -5000.0, 1e-7, 10_000),
        (10_000, 0.0, -5000.0, 1e-6, 2_000),
        (10_000, 5000.0, 1.0, 1e-6, 2_000),
        (100, 0.0, 1.0, 1e-7, 10_000),
        (100, 0.0, 1.0, 1e-5, 10_000),
        (10_000, 0.0, 1.0, 1e-4, 1),
    ] {
        let (frame, program) = (samples::<f64>(n, true_mean - 0.0015, 1.01)?, mean_program::<f64>()?);
        let data = program.bind(frame.columns())?;
        let mut theta = program.params([("location", start)])?;
        Training::new(&data, Sgd::new(rate)).steps(steps).record_every(0).run(&mut theta)?;
        let m = mean(frame.column("x")?);
        let (d, law) = (theta.scalar("location")? - m, (start - m) * (1.0 - rate * n as f64).powi(steps as i32));
        assert!((d - law).abs() < 1e-11 * (start - m).abs(), "{n} {start} {rate}: {d} {law}");
    }
    Ok(())
}

/// Fits with Adam and gives loss, location and scale every 500 steps from the first on, and the last point's location and scale.
fn by_adam<T: Real>(start: &[(&str, f64)], steps: u64) -> Result<Vec<[f64; 3]>> {
    let frame = samples::<T>(10_000, -0.017394587, 1.0097441)?;
    let g = Graph::new();
    let (loc, scale) = (g.param("loc"), if start.len() == 2 { g.param("raw_scale").softplus() } else { g.constant(1.0) });
    let program: Program<T> = compile(-normal(loc, scale).log_prob(g.data("x")).sum(), &Options::new())?;
    let data = program.bind(frame.columns())?;
    let mut theta = program.params(start.iter().copied())?;
    let at = |theta: &Params<T>| {
        let v: Vec<f64> = theta.values().iter().map(|x| x.to_f64()).collect();
        [v[0], v.get(1).map_or(1.0, |raw| raw.exp().ln_1p())]
    };
    let mut rows = Vec::new();
    let mut training = Training::new(&data, Adam::new(0.01)).steps(steps).record_every(0).observe(|p| {
        if p.step % 500 == 1 {
            let [loc, scale] = at(p.theta);
            rows.push([p.loss.to_f64(), loc, scale]);
        }
        Continue(())
    });
    training.run(&mut theta)?;
    drop(training);
    let [loc, scale] = at(&theta);
    rows.push([data.value(&theta)?.to_f64(), loc, scale]);
    Ok(rows)
}

/// `digits` of the loss as printed in the task: half a unit of the last, beside 5e-6 relative.
fn same_rows(rows: &[[f64; 3]], expected: &[(f64, f64, f64)], unit: &[f64]) {
    for ((row, (loss, loc, scale)), unit) in rows.iter().zip(expected).zip(unit) {
        assert!((row[0] - loss).abs() < 5e-6 * loss + 0.5 * unit, "{row:?} {loss}");
        // Two printed digits of numbers that are f32's in the tutorial.
        assert!((row[1] - loc).abs() < 0.0055 && (row[2] - scale).abs() < 0.0055, "{row:?} {loc} {scale}");
    }
    assert!(rows.len() > expected.len());
}

fn location_alone<T: Real>() -> Result<()> {
    let rows = by_adam::<T>(&[("loc", -10.0)], 3_100)?;
    let expected = [(512500.16, -10.0), (170413.5, -5.61), (47114.4, -2.58), (18115.0, -0.90), (14446.38, -0.22), (14242.16, -0.05), (14238.12, -0.02)];
    same_rows(&rows, &expected.map(|(loss, loc)| (loss, loc, 1.0)), &[0.01, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]);
    // 3,100 steps end a thousandth above the estimate, on the way.
    let end = rows.last().map_or(f64::NAN, |row| row[1]);
    assert!((end + 0.017394587).abs() < 1.5e-3, "{end}");
    Ok(())
}

fn location_and_scale<T: Real>() -> Result<()> {
    let rows = by_adam::<T>(&[("loc", -10.0), ("raw_scale", 2.0)], 5_100)?;
    let expected = [
        (127994.02, -10.0, 2.13),
        (37320.1, -6.86, 4.15),
        (29944.3, -4.73, 4.59),
        (26326.1, -2.87, 4.37),
        (22592.9, -1.19, 3.46),
        (15968.4, -0.06, 1.63),
        (14237.87, -0.02, 1.01),
        (14237.87, -0.02, 1.00),
        (14237.87, -0.02, 1.00),
        (14237.87, -0.02, 1.00),
        (14237.87, -0.02, 1.00),
    ];
    same_rows(&rows, &expected, &[0.01, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01]);
    let [_, loc, scale] = rows[rows.len() - 1];
    let x = samples::<T>(10_000, -0.017394587, 1.0097441)?;
    let (m, s) = (mean(x.column("x")?), variance(x.column("x")?).sqrt());
    assert!((loc - m).abs() < 1e-4 && (scale - s).abs() < 1e-4, "{loc} {m} {scale} {s}");
    Ok(())
}

#[test]
fn location_by_adam() -> Result<()> {
    location_alone::<f64>()?;
    location_alone::<f32>()
}

#[test]
fn location_and_scale_by_adam() -> Result<()> {
    location_and_scale::<f64>()?;
    location_and_scale::<f32>()
}

type Model = for<'g> fn(Expr<'g>, Expr<'g>) -> MultivariateNormal<'g>;

/// What a fit in two dimensions gives.
struct Fit {
    /// Every 500 steps from the first on: loss and mean.
    rows: Vec<[f64; 3]>,
    mean: Vec<f64>,
    covariance: Vec<f64>,
    factor: Vec<f64>,
}

fn plane() -> Result<DMatrix<f64>> {
    let g = Graph::new();
    let drawn = multivariate_normal_isotropic(g.array(&[2], &[0.0; 2]), 1.0).sample_matrix(1000, &mut StdRng::seed_from_u64(1))?;
    match_covariance(&drawn, &[0.0090, -0.0074], &DMatrix::from_row_slice(2, 2, &[1.0582, 0.4563, 0.4563, 1.7320]))
}

fn in_the_plane<T: Real + nalgebra::Scalar>(model: Model, steps: u64) -> Result<Fit> {
    let samples = plane()?.map(T::from_f64);
    let g = Graph::new();
    let (x, loc, factor) = (g.data_with("x", &[2]), g.param_with("loc", &[2]), g.param_with("factor", &[2, 2]));
    let model = model(loc, factor);
    let program: Program<T> = compile(-model.log_prob(x).sum(), &Options::new())?;
    let data = program.bind([("x", &samples)])?;
    let mut theta = program.params([("loc", vec![-10.0, 5.0]), ("factor", vec![1.0, 0.0, 1.0, 1.0])])?;
    let numbers = |theta: &Params<T>, name: &str| -> Vec<f64> { theta.get(name).map_or(Vec::new(), |v| v.iter().map(|x| x.to_f64()).collect()) };
    let mut rows = Vec::new();
    let mut training = Training::new(&data, Adam::new(0.01)).steps(steps).record_every(0).observe(|p| {
        if p.step % 500 == 1 {
            let loc = numbers(p.theta, "loc");
            rows.push([p.loss.to_f64(), loc[0], loc[1]]);
        }
        Continue(())
    });
    training.run(&mut theta)?;
    drop(training);
    let f = model.covariance().compile_function()?;
    let covariance = f.at(&f.params([("loc", numbers(&theta, "loc")), ("factor", numbers(&theta, "factor"))])?)?;
    Ok(Fit { rows, mean: numbers(&theta, "loc"), covariance, factor: numbers(&theta, "factor") })
}

/// Losses within 2e-5 relative, or what the tutorial's mean leaves open, known to 5e-5 in each entry: the loss changes by `1000 C^-1 (loc - m)` times that,
/// with `C^-1` about 1 (at iteration 1000 that is 0.18, 2.5e-5 relative). Means to the four printed digits and as much.
fn follows(fit: &Fit, expected: &[(usize, f64, f64, f64)]) {
    for (iteration, loss, a, b) in expected {
        let row = fit.rows[iteration / 500];
        assert!((row[0] - loss).abs() < (2e-5 * loss).max(0.05 * (a.abs() + b.abs())), "{iteration}: {row:?} {loss}");
        assert!((row[1] - a).abs() < 1.6e-4 && (row[2] - b).abs() < 1.6e-4, "{iteration}: {row:?} {a} {b}");
    }
}

fn known_covariance<T: Real + nalgebra::Scalar>() -> Result<()> {
    let fit = in_the_plane::<T>(|loc, _| multivariate_normal(loc, loc.graph().array(&[2, 2], &[1.0, 0.5, 0.5, 2.0])), 4_100)?;
    let expected = [
        (0, 81817.08, -10.0, 5.0),
        (500, 23362.23, -5.6703, 0.9632),
        (1000, 7120.20, -2.7955, -0.8165),
        (1500, 3807.52, -1.1763, -0.8518),
        (2000, 3180.41, -0.4009, -0.3948),
        (2500, 3093.31, -0.0965, -0.1150),
        (3000, 3087.07, -0.0088, -0.0259),
        (3500, 3086.89, 0.0073, -0.0092),
        (4000, 3086.88, 0.0090, -0.0075),
    ];
    follows(&fit, &expected);
    assert!((fit.mean[0] - 0.0090).abs() < 1e-4 && (fit.mean[1] + 0.0074).abs() < 1e-4, "{:?}", fit.mean);
    Ok(())
}

/// The mean of the samples, and their covariance divided by their number.
fn ends_at_the_estimates(fit: &Fit) -> Result<()> {
    let (m, c) = covariance(&plane()?);
    assert!(fit.mean.iter().zip(m.iter()).all(|(a, b)| (a - b).abs() < 1e-4), "{:?}", fit.mean);
    assert!(fit.covariance.iter().zip(c.iter()).all(|(a, b)| (a - b).abs() < 1e-4), "{:?}", fit.covariance);
    Ok(())
}

fn full_factor<T: Real + nalgebra::Scalar>() -> Result<()> {
    let fit = in_the_plane::<T>(|loc, factor| multivariate_normal(loc, factor.matmul(factor.transpose())), 8_100)?;
    let expected = [
        (0, 166143.42, -10.0, 5.0),
        (500, 9512.82, -7.8985, 3.2943),
        (1000, 6411.09, -6.4121, 2.5011),
        (1500, 5248.90, -5.0754, 1.8893),
        (2000, 4647.84, -3.8380, 1.3627),
        (2500, 4289.96, -2.6974, 0.9030),
        (3000, 4056.93, -1.6831, 0.5176),
        (3500, 3885.87, -0.8539, 0.2273),
        (4000, 3722.92, -0.2879, 0.0543),
        (4500, 3495.34, -0.0310, -0.0046),
        (5500, 3080.54, 0.0090, -0.0074),
        (6000, 3080.53, 0.0090, -0.0074),
        (7000, 3080.53, 0.0090, -0.0074),
        (8000, 3080.53, 0.0090, -0.0074),
    ];
    follows(&fit, &expected);
    // The entry above the diagonal, which nothing keeps at 0.
    assert!((fit.factor[1] + 0.29).abs() < 0.005, "{:?}", fit.factor);
    ends_at_the_estimates(&fit)
}

fn triangular_factor<T: Real + nalgebra::Scalar>() -> Result<()> {
    let fit = in_the_plane::<T>(multivariate_normal_cholesky, 8_100)?;
    follows(&fit, &[(0, 166143.42, -10.0, 5.0), (500, 10145.8, -7.9264, 3.0522), (6000, 3080.53, 0.0090, -0.0074)]);
    assert_eq!(fit.factor[1], 0.0);
    ends_at_the_estimates(&fit)
}

#[test]
fn a_mean_in_the_plane() -> Result<()> {
    known_covariance::<f64>()?;
    known_covariance::<f32>()
}

#[test]
fn mean_and_covariance_by_a_full_factor() -> Result<()> {
    full_factor::<f64>()?;
    full_factor::<f32>()
}

#[test]
fn mean_and_covariance_by_a_triangular_factor() -> Result<()> {
    triangular_factor::<f64>()?;
    triangular_factor::<f32>()
}
