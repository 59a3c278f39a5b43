//! Training and validation: a model held against readings it hasn't seen, early stopping, and a model that overfits until it is made to behave.
//!
//! `cargo run --release --example validation`

use rand::{SeedableRng, rngs::StdRng};
use std::ops::ControlFlow::Continue;
use tapeless::data::{Affine, Frame, Scaling};
use tapeless::dist::{normal, uniform};
use tapeless::fit::{EarlyStopping, ProgressBar};
use tapeless::loss::mse;
use tapeless::plot::{Chart, losses, sampled};
use tapeless::{Bound, prelude::*, sample::Sample};

const DEGREE: usize = 11;
const SEED: u64 = 7;

fn main() -> tapeless::Result<()> {
    let readings = Frame::new([
        ("t_u", vec![35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]),
        ("t_c", vec![0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]),
    ])?;
    let (train, held_out) = readings.split(0.2, 11)?;
    println!("Training on\n{train}\nvalidating on\n{held_out}\n");

    println!("A straight line, readings times 0.1, SGD with rate 1e-2\n  epoch   training loss   validation loss");
    let g = Graph::new();
    let (t_u, t_c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    let loss = mse(w * t_u + b, t_c);
    let program = loss.compile()?;
    // The value alone: no gradient is derived, built or run.
    let value_only = Options::new().wrt([""; 0]).compile(loss)?;
    let tenth = Scaling::new().column("t_u", 0.0, 10.0)?;
    let (scaled, scaled_out) = (tenth.apply(&train)?, tenth.apply(&held_out)?);
    let (data, validation) = (program.bind(scaled.columns())?, value_only.bind(scaled_out.columns())?);
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let stopping = EarlyStopping::new(&validation).patience(u64::MAX);
    let mut training = Training::new(&data, Sgd::new(1e-2)).steps(3000).early_stopping(stopping).observe_epochs(|e| {
        if e.epoch <= 3 || e.epoch % 500 == 0 {
            println!("{:>7} {:>15.4} {:>17.4}", e.epoch, e.loss, e.validation.unwrap_or(f64::NAN));
        }
        Continue(())
    });
    training.run(&mut theta)?;
    losses("A straight line: both losses fall", &training)
        .x("epoch")
        .y("mean squared error (degrees Celsius squared)")
        .save("target/plots/validation_line.svg")?;
    let line = tenth.undo(&theta, &Affine::new("w", ["t_u"]).bias("b"))?;
    println!("  the line: {line}\n");

    println!(
        "A polynomial of degree {DEGREE} on 12 of 24 noisy samples of a sine, Adam with rate 0.03\n  model          training loss   validation loss   lowest (epoch)  epochs"
    );
    let (g, mut rng) = (Graph::new(), StdRng::seed_from_u64(SEED));
    let x = uniform(g.constant(-1.0), 1.0).sample(24, &mut rng)?;
    let y = normal((3.0 * g.data("x")).sin(), 0.3).sampler_given(&program.zeros(), [("x", &x)])?.sample(24, &mut rng)?;
    let (train, held_out) = Frame::new([("x", x), ("y", y)])?.split(0.5, 1)?;
    let noisy = train.with_noise("x", 0.1, 30, 1)?;
    let mut curves = Chart::new("Overfitting, and two cures").x("epoch").y("mean squared error").log_y();
    let mut fits = Chart::new("A polynomial of degree 11 through 12 samples").x("x").y("y").y_range(-2.5..2.5);
    let models =
        [("plain", &train, 0.0, None), ("stopped early", &train, 0.0, Some(10)), ("penalised", &train, 3e-3, None), ("noise added", &noisy, 0.0, None)];
    for (name, samples, penalty, patience) in models {
        let run = polynomial(samples, &train, &held_out, penalty, patience)?;
        let best = run.losses.iter().fold([f64::INFINITY; 3], |a, b| if b[2] < a[2] { *b } else { a });
        println!("  {name:<13} {:>14.4} {:>17.4} {:>10.4} ({:>5}) {:>7}", run.end[0], run.end[1], best[2], best[0], run.steps);
        if name == "plain" {
            curves = curves.dashed("plain, training", run.losses.iter().map(|l| (l[0], l[1])));
        }
        if patience.is_none() {
            curves = curves.line(&format!("{name}, validation"), run.losses.iter().map(|l| (l[0], l[2])));
        }
        fits = fits.line(name, run.curve);
    }
    curves.save("target/plots/validation_losses.svg")?;
    fits = fits.dashed("without noise", sampled(-1.0..1.0, |x| (3.0 * x).sin()));
    fits.points("training", train.points("x", "y")?).points("validation", held_out.points("x", "y")?).save("target/plots/validation_fits.svg")?;
    println!("\nDrawn: target/plots/validation_line.svg, target/plots/validation_losses.svg, target/plots/validation_fits.svg");
    Ok(())
}

struct Run {
    /// Every 50 epochs: epoch, training loss and validation loss, both without penalty and added noise.
    losses: Vec<[f64; 3]>,
    /// Both where the run ended: with early stopping, at the best parameters.
    end: [f64; 2],
    steps: u64,
    curve: Vec<(f64, f64)>,
}

/// Fits the polynomial to `samples`, watching its losses on others.
fn polynomial(samples: &Frame, train: &Frame, held_out: &Frame, penalty: f64, patience: Option<u64>) -> tapeless::Result<Run> {
    let g = Graph::new();
    let (x, y, w) = (g.data("x"), g.data("y"), g.param_with("w", &[DEGREE + 1]));
    let prediction = (0..DEGREE).rev().fold(w.index(&[DEGREE]), |p, k| p * x + w.index(&[k]));
    let error = mse(prediction, y);
    let program = (error + penalty * w.slice(0, 1..DEGREE + 1).square().sum()).compile()?;
    let value_only = Options::new().wrt([""; 0]).compile(error)?;
    let (data, train, held_out) = (program.bind(samples.columns())?, value_only.bind(train.columns())?, value_only.bind(held_out.columns())?);
    let (mut theta, mut losses) = (program.zeros(), Vec::new());
    let mut training = Training::new(&data, Adam::new(0.03)).steps(10_000).record_every(0).watch(ProgressBar::new()).observe_epochs(|e| {
        if e.epoch % 50 == 0 {
            let loss = |data: &Bound<'_>| data.value(e.theta).unwrap_or(f64::NAN);
            losses.push([e.epoch as f64, loss(&train), loss(&held_out)]);
        }
        Continue(())
    });
    if let Some(patience) = patience {
        training = training.early_stopping(EarlyStopping::new(&held_out).every(50).patience(patience));
    }
    let steps = training.run(&mut theta)?.steps;
    drop(training);
    let end = [train.value(&theta)?, held_out.value(&theta)?];
    let xs: Vec<f64> = sampled(-1.0..1.0, |x| x).into_iter().map(|p| p.0).collect();
    let ys = prediction.compile_function()?.bind([("x", &xs)])?.eval(&theta)?.remove(0).numbers;
    Ok(Run { losses, end, steps, curve: xs.into_iter().zip(ys).collect() })
}
