//! The mean of a Gaussian in a hundred dimensions by gradient descent, its loss written in three ways that become one.
//!
//! `cargo run --release --example mean_100d`

use nalgebra::DVector;
use rand::{SeedableRng, rngs::StdRng};
use std::f64::consts::TAU;
use tapeless::dist::{multivariate_normal_isotropic, normal, uniform};
use tapeless::plot::Chart;
use tapeless::{prelude::*, sample::Sample};

const N: usize = 500;
const D: usize = 100;

fn main() -> tapeless::Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    let g = Graph::new();
    let samples = multivariate_normal_isotropic(g.array(&[D], &[0.0; D]), 1.0).sample_matrix(N, &mut rng)?;
    let sample_mean: DVector<f64> = samples.row_mean().transpose();
    let start = uniform(g.constant(0.0), 1.0).sample(D, &mut rng)?;

    let (x, mu) = (g.data_with("x", &[D]), g.param_with("mu", &[D]));
    let (variance, n, d) = (1.0f64, g.count(), D as f64);
    let constant = d / 2.0 * (TAU.ln() + variance.ln());
    let ways = [
        ("log density of each dimension", -normal(mu, variance.sqrt()).log_prob(x).sum() / n),
        ("squared norm of each sample", constant + 0.5 / variance * (x - mu).square().sum_dim(-1).mean()),
        ("norm of the matrix", constant + 0.5 / variance * (x - mu).norm().square() / n),
    ];
    for (name, loss) in ways {
        println!("{name}:\n{}", indent(&loss.compile()?.gradient_source()));
    }

    let program = ways[2].1.compile()?;
    let data = program.bind([("x", &samples)])?;
    let mut theta = program.params([("mu", start)])?;
    println!("  step        loss   norm(mu)   gap to the sample mean   shrunk by");
    let mut gaps: Vec<f64> = Vec::new();
    let mut training = Training::new(&data, Sgd::new(0.2)).steps(30).observe(|p| {
        let gap = (DVector::from_column_slice(p.theta.values()) - &sample_mean).norm();
        println!("  {:>4} {:>11.6} {:>10.4} {gap:>18.6e} {:>17.12}", p.step, p.loss, p.theta.norm(), gap / gaps.last().unwrap_or(&gap));
        gaps.push(gap);
        std::ops::ControlFlow::Continue(())
    });
    training.run(&mut theta)?;
    drop(training);
    println!("\nEach step goes 0.2 of the way that is left, over all samples: nothing in it is stochastic.");
    println!("The mean of the samples is what it finds, norm {:.4}; that of the distribution is 0.\n", sample_mean.norm());

    Chart::new("Gradient descent to a mean in 100 dimensions")
        .x("step")
        .y("distance (standard deviations)")
        .log_y()
        .points("to the sample mean", gaps.iter().enumerate().map(|(k, gap)| (k as f64 + 1.0, *gap)))
        .dashed("0.8^step, from the first", (1..=30).map(|k| (f64::from(k), gaps[0] * 0.8f64.powi(k - 1))))
        .save("target/plots/mean_100d.svg")?;
    println!("Drawn: target/plots/mean_100d.svg");
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("    {l}\n")).collect()
}
