//! The mean of a Gaussian by gradient descent: one step taken apart, the whole descent, and what happens with other starts and other data.
//!
//! `cargo run --release --example gaussian_mean`

use rand::{SeedableRng, rngs::StdRng};
use tapeless::data::{density, match_moments, mean};
use tapeless::dist::normal;
use tapeless::plot::{Chart, losses, sampled};
use tapeless::{prelude::*, sample::Sample};

const RATE: f64 = 1e-7;

fn main() -> tapeless::Result<()> {
    let samples = draw(10_000, 0.0)?;
    println!("{} samples of a normal distribution; their mean: {:.5}\n", samples.len(), mean(&samples));

    let g = Graph::new();
    let (x, location) = (g.data("x"), g.param("location"));
    let program = (-normal(location, 1.0).log_prob(x).sum()).compile()?;
    let data = program.bind([("x", &samples)])?;

    println!("One step, taken apart");
    let mut theta = program.params([("location", 1.0)])?;
    println!("  prediction  a normal distribution around {theta}");
    let (loss, gradient) = data.value_and_grad(&theta)?;
    println!("  loss        {loss:.2} is the negative log likelihood of all samples");
    println!("  gradient    location = {:.4}", gradient.scalar("location")?);
    let mut sgd = Sgd::new(RATE);
    sgd.step(&mut theta, &gradient)?;
    println!("  update      location = {:.8}, which is 1 - {RATE:e} * gradient", theta.scalar("location")?);
    println!("  reset       nothing to do: each gradient is a new one\n");

    println!("The descent from there\n  step       loss    estimate    to the mean");
    let mut training = Training::new(&data, sgd).steps(10_000).observe(|p| {
        if p.step % 500 == 0 {
            let estimate = p.theta.values()[0];
            println!("{:>6} {:>10.3} {:>11.5} {:>14.5}", p.step, p.loss, estimate, estimate - mean(&samples));
        }
        std::ops::ControlFlow::Continue(())
    });
    training.run(&mut theta)?;
    losses("Gradient descent to a Gaussian's mean", &training).y("negative log likelihood (nats)").save("target/plots/gaussian_mean_loss.svg")?;

    println!("\nEach step shrinks the distance by the factor 1 - rate * n, whatever the data:");
    println!("    rate      n   factor   steps to 1e-4 of the start");
    for (rate, n) in [(1e-7, 10_000.0), (1e-6, 10_000.0), (1e-7, 100.0), (1e-4, 10_000.0)] {
        let factor: f64 = 1.0 - rate * n;
        let steps = if factor > 0.0 { (1e-4f64.ln() / factor.ln()).ceil() } else { 1.0 };
        println!("{rate:>8.0e} {n:>6}   {factor:<6}   {steps:>6}");
    }

    println!("\nOther cases                               rate    steps     estimate         mean");
    fit("the same at the rate the text names", &samples, 1.0, 1e-6, 2_000)?;
    fit("start at -5000", &samples, -5000.0, 1e-6, 2_000)?;
    fit("true mean 5000", &draw(10_000, 5000.0)?, 1.0, 1e-6, 2_000)?;
    fit("only 100 samples, the rate unchanged", &draw(100, 0.0)?, 1.0, 1e-7, 10_000)?;
    fit("only 100 samples, the rate times 100", &draw(100, 0.0)?, 1.0, 1e-5, 10_000)?;
    fit("rate 1 / n: there in one step", &samples, 1.0, 1e-4, 1)?;

    let fitted = theta.scalar("location")?;
    Chart::new("10,000 samples and the fitted Gaussian")
        .x("x")
        .y("density")
        .area("samples (kernel density estimate)", density(&samples))
        .line("fitted normal density", sampled(-4.5..4.5, |x| (-0.5 * (x - fitted).powi(2)).exp() / std::f64::consts::TAU.sqrt()))
        .vertical("fitted mean", fitted)
        .save("target/plots/gaussian_mean_density.svg")?;
    println!("\nDrawn: target/plots/gaussian_mean_loss.svg, target/plots/gaussian_mean_density.svg");
    Ok(())
}

/// Samples of a normal distribution of scale 1, brought to the moments of the tutorial's.
fn draw(n: usize, location: f64) -> tapeless::Result<Vec<f64>> {
    let g = Graph::new();
    let mut samples = normal(g.constant(0.0), 1.0).sample(n, &mut StdRng::seed_from_u64(1))?;
    match_moments(&mut samples, location - 0.00150459, 1.0139177)?;
    Ok(samples)
}

fn fit(title: &str, samples: &[f64], start: f64, rate: f64, steps: u64) -> tapeless::Result<()> {
    let g = Graph::new();
    let program = (-normal(g.param("location"), 1.0).log_prob(g.data("x")).sum()).compile()?;
    let data = program.bind([("x", samples)])?;
    let mut theta = program.params([("location", start)])?;
    Training::new(&data, Sgd::new(rate)).steps(steps).run(&mut theta)?;
    println!("  {title:<38} {rate:>5.0e} {steps:>8} {:>12.5} {:>12.5}", theta.scalar("location")?, mean(samples));
    Ok(())
}
