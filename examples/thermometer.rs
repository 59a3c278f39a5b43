//! An unknown thermometer, calibrated: eleven readings beside those of one in Celsius, a straight line between them.
//!
//! `cargo run --release --example thermometer` prints the formula, the gradient as derived beside a difference and one derived by hand, what too large a
//! rate does in `f32` and `f64`, and three fits that go well.

use std::ops::ControlFlow::Continue;
use tapeless::data::{Affine, Frame, Scaling};
use tapeless::fit::Stepper;
use tapeless::loss::mse;
use tapeless::plot::{Chart, sampled};
use tapeless::{Bound, Program, Real, check, compile, prelude::*};

fn readings() -> tapeless::Result<Frame> {
    let t_u = vec![35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
    let t_c = vec![0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    Frame::new([("t_u", t_u), ("t_c", t_c)])
}

/// The mean squared error of `w * t_u + b`, in either number type.
fn program<T: Real>() -> tapeless::Result<Program<T>> {
    let g = Graph::new();
    let (t_u, t_c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    compile(mse(w * t_u + b, t_c), &Options::new())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (program, raw) = (program::<f64>()?, readings()?);
    println!("The formula\n{}", indent(&program.formula()));
    println!("The gradient's source, as derived and simplified\n{}", indent(&program.gradient_source()));

    let data = program.bind(raw.columns())?;
    let start = program.params([("w", 1.0), ("b", 0.0)])?;
    let (loss, exact) = data.value_and_grad(&start)?;
    // By hand: the chain rule, factor by factor.
    let by_prediction: Vec<f64> = raw.column("t_u")?.iter().zip(raw.column("t_c")?).map(|(u, c)| 2.0 * (u - c) / 11.0).collect();
    let by_w: f64 = by_prediction.iter().zip(raw.column("t_u")?).map(|(d, u)| d * u).sum();
    println!("At w = 1, b = 0 the loss is {loss:.4}.\n\nIts rates of change       by w          by b");
    println!("  derived by hand    {by_w:>9.4}    {:>9.4}", by_prediction.iter().sum::<f64>());
    println!("  exact gradient     {:>9.4}    {:>9.4}\n\n{}\n", exact.scalar("w")?, exact.scalar("b")?, check::gradient(&data, &start)?);

    println!("Two steps of rate 1e-2 by central differences (delta 0.1), first w, then b");
    by_differences::<f64>()?;
    by_differences::<f32>()?;
    println!("  In f32 the second is the difference of two losses near 6e6, which have steps of 0.5 there: its last digits are rounding.\n");

    println!("Rate 1e-2 on the raw readings is too large: each epoch overshoots more");
    diverge::<f32>()?;
    diverge::<f64>()?;

    fit("Rate 1e-4, raw readings", &data, Sgd::new(1e-4), 100)?;
    println!("  b has hardly moved: its part of the gradient is some fifty times smaller than that of w.\n");
    let tenth = Scaling::new().column("t_u", 0.0, 10.0)?;
    let scaled = tenth.apply(&raw)?;
    let scaled_data = program.bind(scaled.columns())?;
    let sgd = fit("SGD, rate 1e-2, readings times 0.1", &scaled_data, Sgd::new(1e-2), 5000)?;
    let adam = fit("Adam, rate 1e-1, raw readings", &data, Adam::new(1e-1), 2000)?;
    let undone = tenth.undo(&sgd.1, &Affine::new("w", ["t_u"]).bias("b"))?;

    let (w, b) = (adam.1.scalar("w")?, adam.1.scalar("b")?);
    println!("The line by Adam: t_c = {w:.4} * t_u - {:.4}; by SGD, the scaling undone: {:.4} and {:.4}.", -b, undone.scalar("w")?, -undone.scalar("b")?);
    println!("A degree of the unknown scale is {w:.4} degrees Celsius, and at 0 C it reads {:.1}. (Fahrenheit has 0.5556 and 32.)\n", -b / w);

    Chart::new("An unknown thermometer, calibrated")
        .x("reading (degrees of the unknown scale)")
        .y("temperature (degrees Celsius)")
        .points("readings", raw.points("t_u", "t_c")?)
        .line(&format!("{w:.4} t_u - {:.4}", -b), sampled(15.0..90.0, |t| w * t + b))
        .save("target/plots/thermometer.svg")?;
    Chart::new("The ways down: mean squared error (degrees Celsius squared)")
        .contours("loss", -1.0..11.0, -24.0..6.0, &[3.5, 10.0, 30.0, 100.0, 300.0], |w, b| scaled_data.value(&program.params([("w", w), ("b", b)])?))?
        .x("w, per ten degrees of the unknown scale")
        .y("b (degrees Celsius)")
        .path("SGD, readings times 0.1", sgd.0)
        .path("Adam, raw readings", adam.0.into_iter().map(|(w, b)| (10.0 * w, b)))
        .save("target/plots/thermometer_descent.svg")?;
    println!("Drawn: target/plots/thermometer.svg, target/plots/thermometer_descent.svg");
    Ok(())
}

/// One step each, by differences instead of derivatives.
fn by_differences<T: Real>() -> tapeless::Result<()> {
    let (program, frame) = (program::<T>()?, readings()?.cast::<T>());
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut sgd = Sgd::new(1e-2);
    print!("  {}", T::NAME);
    for name in ["w", "b"] {
        let mut slope = check::central_difference(&data, &theta, 0.1)?;
        let other = if name == "w" { "b" } else { "w" };
        slope.set(other, 0.0)?;
        sgd.step(&mut theta, &slope)?;
        print!("   d_{name} {:>10.4}, {name} {:>8.4}", slope.scalar(name)?, theta.scalar(name)?);
    }
    println!();
    Ok(())
}

/// Descent that goes wrong: first as it comes, then by the loop that stops.
fn diverge<T: Real>() -> tapeless::Result<()> {
    let (program, frame) = (program::<T>()?, readings()?.cast::<T>());
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut sgd = Sgd::new(1e-2);
    let (mut infinite, mut nan) = (None, None);
    println!("  {}  epoch          loss                 w, b after it                 gradient", T::NAME);
    for epoch in 1..=200 {
        let (loss, grad) = data.value_and_grad(&theta)?;
        sgd.step(&mut theta, &grad)?;
        if [1, 2, 3, 4, 10, 11].contains(&epoch) {
            let (t, d) = (theta.values(), grad.values());
            println!(
                "       {epoch:>5}  {:>12.6e}   ({:>12.6e}, {:>12.5e})   ({:>12.6e}, {:>12.5e})",
                loss.to_f64(),
                t[0].to_f64(),
                t[1].to_f64(),
                d[0].to_f64(),
                d[1].to_f64()
            );
        }
        infinite = infinite.or((loss.to_f64() == f64::INFINITY).then_some(epoch));
        nan = nan.or(loss.to_f64().is_nan().then_some(epoch));
    }
    println!("       infinite from epoch {}, NaN from epoch {}", infinite.unwrap_or(0), nan.unwrap_or(0));
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let error = Training::new(&data, Sgd::new(1e-2)).run(&mut theta).unwrap_err();
    println!("       the training loop stops and says why: {error}\n");
    Ok(())
}

/// Points `(w, b)` that a training went through.
type Way = Vec<(f64, f64)>;

/// Trains from `w = 1, b = 0`, prints a short table and gives back the way and its end.
fn fit<S: Stepper<f64>>(title: &str, data: &Bound<'_>, stepper: S, epochs: u64) -> tapeless::Result<(Way, Params<f64>)> {
    let program = data.program();
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    println!("{title}\n   epoch       loss          w          b");
    let mut way = Vec::new();
    let mut training = Training::new(data, stepper).steps(epochs).observe(|p| {
        if p.step == 1 || p.step % (epochs / 5) == 0 {
            println!("  {:>6} {:>10.6} {:>10.4} {:>10.4}", p.step, p.loss, p.theta.values()[0], p.theta.values()[1]);
        }
        if p.step <= 50 || p.step % 50 == 0 {
            way.push((p.theta.values()[0], p.theta.values()[1]));
        }
        Continue(())
    });
    training.run(&mut theta)?;
    drop(training);
    println!("  fitted {:>10.6} {:>10.4} {:>10.4}\n", data.value(&theta)?, theta.scalar("w")?, theta.scalar("b")?);
    Ok((way, theta))
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("    {l}\n")).collect()
}
