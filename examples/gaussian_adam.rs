//! Location and scale of a Gaussian by Adam: the location alone, then both, the scale through softplus so that it stays positive.
//!
//! `cargo run --release --example gaussian_adam`

use rand::{SeedableRng, rngs::StdRng};
use tapeless::data::{density, match_moments, mean, variance};
use tapeless::dist::normal;
use tapeless::plot::{Chart, losses, sampled};
use tapeless::{prelude::*, sample::Sample};

fn main() -> tapeless::Result<()> {
    let g = Graph::new();
    let mut samples = normal(g.constant(0.0), 1.0).sample(10_000, &mut StdRng::seed_from_u64(1))?;
    match_moments(&mut samples, -0.017394587, 1.0097441)?;
    println!("{} samples; in closed form: location {:.6}, scale {:.6}\n", samples.len(), mean(&samples), variance(&samples).sqrt());

    println!("The location alone");
    let g = Graph::new();
    fit(&samples, g.param("loc"), g.constant(1.0), &[("loc", -10.0)], 3_100)?;

    println!("Location and scale");
    let g = Graph::new();
    let scale = g.param("raw_scale").softplus();
    let [loc, scale] = fit(&samples, g.param("loc"), scale, &[("loc", -10.0), ("raw_scale", 2.0)], 5_100)?;

    Chart::new("10,000 samples and the Gaussian fitted to them")
        .x("x")
        .y("density")
        .area("samples (kernel density estimate)", density(&samples))
        .line("fitted normal density", sampled(-4.5..4.5, |x| (-0.5 * ((x - loc) / scale).powi(2)).exp() / (scale * std::f64::consts::TAU.sqrt())))
        .save("target/plots/gaussian_adam_density.svg")?;
    println!("Drawn: target/plots/gaussian_adam_density.svg, target/plots/gaussian_adam_loss.svg");
    Ok(())
}

/// Minimises the negative log likelihood by Adam, with a row every 500 steps: loss, location and scale before the step's update.
fn fit(samples: &Vec<f64>, loc: Expr<'_>, scale: Expr<'_>, start: &[(&str, f64)], steps: u64) -> tapeless::Result<[f64; 2]> {
    let g = loc.graph();
    let estimates = g.stack(&[loc, scale], 0).compile_function()?;
    let program = (-normal(loc, scale).log_prob(g.data("x")).sum()).compile()?;
    println!("{}  iteration        loss    location      scale", program.formula());
    let data = program.bind([("x", samples)])?;
    let mut theta = program.params(start.iter().copied())?;
    let mut training = Training::new(&data, Adam::new(0.01)).steps(steps).observe(|p| {
        if p.step % 500 == 1 {
            let now = estimates.at(p.theta).expect("the same parameters");
            println!("  {:>9} {:>11.2} {:>11.2} {:>10.2}", p.step - 1, p.loss, now[0], now[1]);
        }
        std::ops::ControlFlow::Continue(())
    });
    training.run(&mut theta)?;
    losses("Adam on a Gaussian's negative log likelihood", &training).y("negative log likelihood (nats)").save("target/plots/gaussian_adam_loss.svg")?;
    let fitted = estimates.at(&theta)?;
    println!("     fitted              {:>11.6} {:>10.6}\n", fitted[0], fitted[1]);
    Ok([fitted[0], fitted[1]])
}
