//! An unknown thermometer, calibrated: eleven readings beside those of one in Celsius, a straight line between them.
//!
//! `cargo run --release --example thermometer` prints the formula, the gradient as derived, the checker's verdict and two fits, and draws the
//! readings with the fitted line.

use plotters::prelude::*;
use std::error::Error;
use std::fs;
use tapeless::fit::{Adam, Sgd, Stepper, Training};
use tapeless::loss::mse;
use tapeless::{Bound, Graph, Params, Program, check};

const T_C: [f64; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
const T_U: [f64; 11] = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];

fn main() -> Result<(), Box<dyn Error>> {
    let g = Graph::new();
    let (t_u, t_c) = (g.data("t_u"), g.data("t_c"));
    let (w, b) = (g.param("w"), g.param("b"));
    let program = mse(w * t_u + b, t_c).compile()?;

    println!("The formula\n{}", indent(&program.formula()));
    println!("The gradient's source, as derived and simplified\n{}", indent(&program.gradient_source()));

    let data = program.bind([("t_u", &T_U), ("t_c", &T_C)])?;
    let start = program.params([("w", 1.0), ("b", 0.0)])?;
    let (loss, exact) = data.value_and_grad(&start)?;
    println!("At w = 1, b = 0 the loss is {loss:.4}.\n");

    let difference = check::central_difference(&data, &start, 0.1)?;
    println!("Its rates of change       by w          by b");
    println!("  central difference {:>9.4}    {:>9.4}    (delta 0.1)", difference.scalar("w")?, difference.scalar("b")?);
    println!("  exact gradient     {:>9.4}    {:>9.4}\n", exact.scalar("w")?, exact.scalar("b")?);
    println!("{}\n", check::gradient(&data, &start)?);

    // The raw readings are some fifty times larger than 1, and plain gradient descent would need a tiny rate for w: scaled by a tenth they fit.
    let scaled: Vec<f64> = T_U.iter().map(|t| 0.1 * t).collect();
    let scaled_data = program.bind([("t_u", &scaled[..]), ("t_c", &T_C[..])])?;
    fit("SGD, learning rate 1e-2, readings times 0.1", &program, &scaled_data, Sgd::new(1e-2), 5000)?;
    let line = fit("Adam, learning rate 1e-1, raw readings", &program, &data, Adam::new(1e-1), 2000)?;

    let (w, b) = (line.scalar("w")?, line.scalar("b")?);
    println!("The fitted line: t_c = {w:.4} * t_u {} {:.4}.", if b < 0.0 { "-" } else { "+" }, b.abs());
    println!("A degree of the unknown scale is {w:.4} degrees Celsius, and at 0 C the unknown thermometer reads {:.1}.", -b / w);
    println!("(Fahrenheit has 0.5556 and 32.)\n");

    let path = "target/plots/thermometer.svg";
    fs::create_dir_all("target/plots")?;
    draw(path, w, b)?;
    println!("Drawn: {path}");
    Ok(())
}

/// Trains from `w = 1, b = 0` and prints a short table.
fn fit<S: Stepper<f64>>(title: &str, program: &Program, data: &Bound<'_>, stepper: S, steps: u64) -> Result<Params<f64>, Box<dyn Error>> {
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    println!("{title}\n   epoch       loss          w          b");
    let mut training = Training::new(data, stepper).steps(steps).observe(|p| {
        if p.step == 1 || p.step % (steps / 5) == 0 {
            println!("  {:>6} {:>10.4} {:>10.4} {:>10.4}", p.step, p.loss, p.theta.values()[0], p.theta.values()[1]);
        }
        std::ops::ControlFlow::Continue(())
    });
    training.run(&mut theta)?;
    println!("  fitted {:>10.4} {:>10.4} {:>10.4}\n", data.value(&theta)?, theta.scalar("w")?, theta.scalar("b")?);
    Ok(theta)
}

/// The readings and the line.
fn draw(path: &str, w: f64, b: f64) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (720, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("An unknown thermometer, calibrated", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(15.0..90.0, -10.0..35.0)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("reading (degrees of the unknown scale)")
        .y_desc("temperature (degrees Celsius)")
        .axis_desc_style(("sans-serif", 16))
        .draw()?;
    let label = format!("{w:.4} t_u {} {:.4}", if b < 0.0 { "-" } else { "+" }, b.abs());
    chart
        .draw_series(LineSeries::new([15.0, 90.0].map(|t| (t, w * t + b)), RED.stroke_width(2)))?
        .label(label)
        .legend(|(x, y)| PathElement::new([(x, y), (x + 24, y)], RED.stroke_width(2)));
    chart
        .draw_series(T_U.iter().zip(&T_C).map(|(u, c)| Circle::new((*u, *c), 4, BLUE.filled())))?
        .label("readings")
        .legend(|(x, y)| Circle::new((x + 12, y), 4, BLUE.filled()));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 15))
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.filled())
        .draw()?;
    root.present()?;
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("    {l}\n")).collect()
}
