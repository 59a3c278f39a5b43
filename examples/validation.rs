//! Training and validation: a model held against readings it hasn't seen, early stopping, and a model that overfits until it is made to behave.
//!
//! `cargo run --release --example validation`

use tapeless::data::{Affine, Frame, Scaling};
use tapeless::fit::EarlyStopping;
use tapeless::loss::mse;
use tapeless::plot::{Chart, losses, sampled};
use tapeless::{Function, prelude::*};

const DEGREE: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let readings = Frame::new([
        ("t_u", vec![35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]),
        ("t_c", vec![0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]),
    ])?;
    let (train, held_out) = readings.split(0.2, 7)?;
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
        std::ops::ControlFlow::Continue(())
    });
    training.run(&mut theta)?;
    losses("A straight line: both losses fall", &training)
        .x("epoch")
        .y("mean squared error (degrees Celsius squared)")
        .save("target/plots/validation_line.svg")?;
    let line = tenth.undo(&theta, &Affine::new("w", ["t_u"]).bias("b"))?;
    println!("  the line: {line}\n");

    println!("A polynomial of degree {DEGREE} on {} readings, Adam with rate 0.03, 20,000 epochs", train.rows());
    println!("  model             training loss   validation loss   lowest validation loss (epoch)");
    let both = Scaling::standardise(&train, ["t_u", "t_c"])?;
    let (train, held_out) = (both.apply(&train)?, both.apply(&held_out)?);
    let noisy = train.with_noise("t_u", 0.15, 30, 11)?;
    let mut chart = Chart::new("A polynomial of degree 8 through nine readings").x("reading (standardised)").y("temperature (standardised)").y_range(-2.2..2.4);
    let mut curves = Chart::new("Overfitting, and two cures").x("epoch").y("validation loss (standardised)").log_y();
    for (name, samples, penalty) in [("plain", &train, 0.0), ("penalised", &train, 0.01), ("noise added", &noisy, 0.0)] {
        let (training, validation, best, f) = polynomial(samples, &train, &held_out, penalty)?;
        println!("  {name:<16} {training:>14.4} {:>17.4} {:>15.4} ({})", validation.last().map_or(f64::NAN, |v| v.1), best.0, best.1);
        chart = chart.line(name, f);
        curves = curves.line(name, validation);
    }
    let points =
        |frame: &Frame| -> tapeless::Result<Vec<(f64, f64)>> { Ok(frame.column("t_u")?.iter().copied().zip(frame.column("t_c")?.iter().copied()).collect()) };
    chart.points("training readings", points(&train)?).points("validation readings", points(&held_out)?).save("target/plots/validation_fits.svg")?;
    curves.save("target/plots/validation_losses.svg")?;
    println!("\nDrawn: target/plots/validation_line.svg, target/plots/validation_losses.svg, target/plots/validation_fits.svg");
    Ok(())
}

type Fitted = (f64, Vec<(f64, f64)>, (f64, u64), Vec<(f64, f64)>);

/// Fits the polynomial; gives the training loss at the end, the validation losses, the lowest and its epoch, and the fitted curve.
fn polynomial(samples: &Frame, train: &Frame, held_out: &Frame, penalty: f64) -> tapeless::Result<Fitted> {
    let g = Graph::new();
    let (t_u, t_c, w) = (g.data("t_u"), g.data("t_c"), g.param_with("w", &[DEGREE + 1]));
    let prediction = (1..=DEGREE).rev().fold(w.index(&[DEGREE]), |p, k| p * t_u + w.index(&[k - 1]));
    let error = mse(prediction, t_c);
    let program = (error + penalty * w.slice(0, 1..DEGREE + 1).square().sum()).compile()?;
    let value_only = Options::new().wrt([""; 0]).compile(error)?;
    let (data, fresh, validation) = (program.bind(samples.columns())?, value_only.bind(train.columns())?, value_only.bind(held_out.columns())?);
    let mut theta = program.zeros();
    let stopping = EarlyStopping::new(&validation).every(50).patience(u64::MAX);
    let mut end = theta.clone();
    let mut training = Training::new(&data, Adam::new(0.03)).steps(20_000).record_every(0).early_stopping(stopping).observe(|p| {
        end = p.theta.clone();
        std::ops::ControlFlow::Continue(())
    });
    training.run(&mut theta)?;
    let losses = training.validations().iter().map(|(epoch, loss)| (*epoch as f64, *loss)).collect();
    let best = training.best().map_or((f64::NAN, 0), |(loss, epoch, _)| (loss, epoch));
    drop(training);
    let curve: Function = prediction.compile_function()?;
    let xs: Vec<f64> = sampled(-1.9..2.0, |x| x).into_iter().map(|p| p.0).collect();
    let ys = curve.bind([("t_u", &xs)])?.eval(&end)?.remove(0).numbers;
    Ok((fresh.value(&end)?, losses, best, xs.into_iter().zip(ys).collect()))
}
