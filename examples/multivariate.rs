//! A Gaussian in two dimensions by Adam: its mean with the covariance known, then both, the covariance by two kinds of factor.
//!
//! `cargo run --release --example multivariate`

use nalgebra::{DMatrix, DVector};
use rand::{SeedableRng, rngs::StdRng};
use tapeless::data::{covariance, match_covariance};
use tapeless::dist::{MultivariateNormal, multivariate_normal, multivariate_normal_cholesky, multivariate_normal_isotropic};
use tapeless::plot::Chart;
use tapeless::{prelude::*, sample::Sample};

fn main() -> tapeless::Result<()> {
    let g = Graph::new();
    let drawn = multivariate_normal_isotropic(g.array(&[2], &[0.0; 2]), 1.0).sample_matrix(1000, &mut StdRng::seed_from_u64(1))?;
    let samples = match_covariance(&drawn, &[0.0090, -0.0074], &DMatrix::from_row_slice(2, 2, &[1.0582, 0.4563, 0.4563, 1.7320]))?;
    let (mean, cov) = covariance(&samples);
    println!("{} samples; in closed form: mean {:.4?}, covariance {:.4?}\n", samples.nrows(), mean.as_slice(), cov.as_slice());

    println!("The mean, with a covariance that is given");
    let g = Graph::new();
    let (x, loc) = (g.data_with("x", &[2]), g.param_with("loc", &[2]));
    let given = multivariate_normal(loc, g.array(&[2, 2], &[1.0, 0.5, 0.5, 2.0]));
    let (way, _) = fit(&samples, x, given, 4_100)?;
    let program = (-given.log_prob(x).sum()).compile()?;
    let data = program.bind([("x", &samples)])?;
    Chart::new("The way of Adam to the mean")
        .contours("nats", -11.0..3.0, -4.0..6.0, &[4e3, 8e3, 16e3, 32e3, 64e3], |a, b| data.value(&program.params([("loc", [a, b])])?))?
        .x("loc[0]")
        .y("loc[1]")
        .path("Adam, every 50 steps", way)
        .save("target/plots/multivariate_descent.svg")?;

    println!("Mean and covariance, the factor any matrix: covariance = factor times its transpose");
    let g = Graph::new();
    let (x, factor) = (g.data_with("x", &[2]), g.param_with("factor", &[2, 2]));
    fit(&samples, x, multivariate_normal(g.param_with("loc", &[2]), factor.matmul(factor.transpose())), 8_100)?;
    println!("  Nothing keeps the entry above the diagonal at 0: it has a gradient and drifts. A whole family of factors has one covariance.\n");

    println!("Mean and covariance, the factor a lower triangle");
    let g = Graph::new();
    let (_, fitted) = fit(&samples, g.data_with("x", &[2]), multivariate_normal_cholesky(g.param_with("loc", &[2]), g.param_with("factor", &[2, 2])), 8_100)?;
    println!("  One number fewer, another way, and the same covariance at its end: the likelihood knows the factor through the covariance alone.\n");

    let inverse = DMatrix::from_row_slice(2, 2, &fitted[2..]).try_inverse().expect("a covariance");
    Chart::new("1,000 samples and the Gaussian fitted to them")
        .points("samples", samples.row_iter().map(|r| (r[0], r[1])))
        .contours("standard deviations:", -4.5..4.5, -5.5..5.5, &[1.0, 2.0, 3.0], |a, b| {
            let z = DVector::from_column_slice(&[a - fitted[0], b - fitted[1]]);
            Ok((&inverse * &z).dot(&z).sqrt())
        })?
        .x("x[0]")
        .y("x[1]")
        .save("target/plots/multivariate.svg")?;
    println!("Drawn: target/plots/multivariate_descent.svg, target/plots/multivariate.svg");
    Ok(())
}

/// Points that a training went through.
type Way = Vec<(f64, f64)>;

/// Minimises the negative log likelihood by Adam from mean (-10, 5) and a lower triangle of ones, with a row every 500 steps. Gives the way of the mean, and
/// mean and covariance at its end.
fn fit<'g>(samples: &DMatrix<f64>, x: Expr<'g>, model: MultivariateNormal<'g>, steps: u64) -> tapeless::Result<(Way, Vec<f64>)> {
    let g = x.graph();
    let program = (-model.log_prob(x).sum()).compile()?;
    let fitted = g.concat(&[model.mean(), model.covariance().reshape(&[4])], 0).compile_function()?;
    let data = program.bind([("x", samples)])?;
    let start = [("loc", vec![-10.0, 5.0]), ("factor", vec![1.0, 0.0, 1.0, 1.0])];
    let mut theta = program.params(start.into_iter().filter(|(name, _)| program.layout().shape(name).is_some()))?;
    println!("  iteration       loss    loc");
    let mut way = Vec::new();
    let mut training = Training::new(&data, Adam::new(0.01)).steps(steps).observe(|p| {
        let loc = p.theta.get("loc").expect("a parameter");
        if p.step % 500 == 1 {
            println!("  {:>9} {:>10.2}    {loc:.4?}", p.step - 1, p.loss);
        }
        if p.step % 50 == 1 {
            way.push((loc[0], loc[1]));
        }
        std::ops::ControlFlow::Continue(())
    });
    training.run(&mut theta)?;
    drop(training);
    let end = fitted.at(&theta)?;
    println!("     fitted {:>10.2}    {:.4?}, covariance {:.4?}", data.value(&theta)?, &end[..2], &end[2..]);
    if let Ok(factor) = theta.get("factor") {
        println!("     factor [[{:.4}, {:.4}], [{:.4}, {:.4}]]", factor[0], factor[1], factor[2], factor[3]);
    }
    println!();
    Ok((way, end))
}
