//! The tutorials' thermometer: differences, the derivative by hand, divergence and the fits, in `f64` and `f32`, with the figures printed there.

use std::ops::ControlFlow::Continue;
use tapeless::data::{Affine, Frame, Scaling};
use tapeless::fit::Stepper;
use tapeless::loss::mse;
use tapeless::prelude::*;
use tapeless::{Error, Real, Result, check, compile};

fn readings<T: Real>() -> Result<Frame<T>> {
    let t_u = vec![35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
    let t_c = vec![0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    Ok(Frame::<f64>::new([("t_u", t_u), ("t_c", t_c)])?.cast())
}

fn program<T: Real>() -> Result<Program<T>> {
    let g = Graph::new();
    let (t_u, t_c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    compile(mse(w * t_u + b, t_c), &Options::new())
}

/// A step by central differences with delta 0.1 and rate 1e-2, first of `w`, then of `b`: slope by `w`, then `w` and `b` after it.
fn by_differences<T: Real>() -> Result<[f64; 3]> {
    let (program, frame) = (program::<T>()?, readings::<T>()?);
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut sgd = Sgd::new(1e-2);
    let mut slope = check::central_difference(&data, &theta, 0.1)?;
    let first = slope.scalar("w")?.to_f64();
    slope.set("b", 0.0)?;
    sgd.step(&mut theta, &slope)?;
    let mut slope = check::central_difference(&data, &theta, 0.1)?;
    slope.set("w", 0.0)?;
    sgd.step(&mut theta, &slope)?;
    Ok([first, theta.scalar("w")?.to_f64(), theta.scalar("b")?.to_f64()])
}

#[test]
fn differences_in_f64() -> Result<()> {
    let [slope, w, b] = by_differences::<f64>()?;
    assert!((slope - 4517.2964).abs() < 5e-5 && (w + 44.1730).abs() < 5e-5 && (b - 45.9732).abs() < 5e-5, "{slope} {w} {b}");
    Ok(())
}

/// The tutorial prints 4517.2979, -44.1730 and 46.0250: what is behind the first digits is rounding.
///
/// With `u = 2^-24`, half a unit in the last place of 1: a residual is wrong by `2 u` of itself (product and sum, then the difference), its square by `5 u`, and
/// the mean is rounded once more: a loss near `L` is wrong by at most `6 u L`, and a difference quotient by `6 u (L1 + L2) / (2 delta)`.
#[test]
fn differences_in_f32_are_as_wrong_as_rounding_allows() -> Result<()> {
    let ([exact, _, b64], [slope, w, b]) = (by_differences::<f64>()?, by_differences::<f32>()?);
    let u = 2f64.powi(-24);
    let bound = |loss: f64| 6.0 * u * (2.0 * loss) / (2.0 * 0.1);
    assert!((slope - exact).abs() < bound(1763.9 * 1.6), "{slope}");
    assert!((w + 44.1730).abs() < 5e-4, "{w}");
    // The losses on either side of b = 0 at w = -44.173.
    let (program, frame) = (program::<f64>()?, readings::<f64>()?);
    let loss = program.bind(frame.columns())?.value(&program.params([("w", w), ("b", 0.0)])?)?;
    assert!((5.7e6..5.9e6).contains(&loss), "{loss}");
    assert!((b - b64).abs() < 1e-2 * bound(loss) + 1e-2, "{b} {b64}");
    // The tutorial's own number lies within the same bound, and both are far from exact.
    assert!((46.0250 - b64).abs() < 1e-2 * bound(loss) && (46.0250 - b64).abs() > 0.05 && (b - b64).abs() > 1e-3, "{b} {b64}");
    Ok(())
}

#[test]
fn the_derivative_by_hand() -> Result<()> {
    let (program, frame) = (program::<f64>()?, readings::<f64>()?);
    let data = program.bind(frame.columns())?;
    for (w, b) in [(1.0, 0.0), (-44.1730, -0.8260), (0.5367, -17.3021)] {
        let theta = program.params([("w", w), ("b", b)])?;
        let (_, grad) = data.value_and_grad(&theta)?;
        let d = |u: f64, c: f64| 2.0 * (w * u + b - c) / 11.0;
        let points = frame.points("t_u", "t_c")?;
        let by_hand = (points.iter().map(|(u, c)| d(*u, *c) * u).sum::<f64>(), points.iter().map(|(u, c)| d(*u, *c)).sum::<f64>());
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * (1.0 + w.abs()) * 6e3;
        assert!(close(grad.scalar("w")?, by_hand.0) && close(grad.scalar("b")?, by_hand.1), "{grad} {by_hand:?}");
        assert!(check::gradient(&data, &theta)?.passed());
    }
    Ok(())
}

/// Epochs, losses, parameters after the update and gradients, as the tutorial prints them.
const DIVERGING: [(usize, f64, [f64; 2], [f64; 2]); 5] = [
    (1, 1763.884644, [-44.1730, -0.8260], [4517.2969, 82.6000]),
    (2, 5802485.5, [2568.4014, 45.1637], [-261257.4219, -4598.9712]),
    (3, 19408035840.0, [-148527.7344, -2616.3933], [15109614.0, 266155.7188]),
    (10, 90901154706620645225508955521810432.0, [3.2144e17, 5.6621e15], [-3.2700e19, -5.7600e17]),
    (11, f64::INFINITY, [-1.8590e19, -3.2746e17], [1.8912e21, 3.3313e19]),
];

/// Descent with rate 1e-2 on the raw readings: for each epoch the loss, the parameters after it and the gradient.
fn diverge<T: Real>(epochs: usize) -> Result<Vec<(f64, [f64; 2], [f64; 2])>> {
    let (program, frame) = (program::<T>()?, readings::<T>()?);
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut sgd = Sgd::new(1e-2);
    let pair = |p: &Params<T>| [p.values()[0].to_f64(), p.values()[1].to_f64()];
    (0..epochs)
        .map(|_| {
            let (loss, grad) = data.value_and_grad(&theta)?;
            sgd.step(&mut theta, &grad)?;
            Ok((loss.to_f64(), pair(&theta), pair(&grad)))
        })
        .collect()
}

#[test]
fn divergence_in_f32_is_infinite_from_epoch_11_and_nan_from_23() -> Result<()> {
    let rows = diverge::<f32>(100)?;
    for (epoch, loss, theta, grad) in DIVERGING {
        let row = rows[epoch - 1];
        // Each epoch multiplies the rounding of all before; the later ones are printed to five digits.
        let within = |a: f64, b: f64| a == b || (a - b).abs() <= 2e-5 * b.abs();
        assert!(within(row.0, loss), "{epoch}: {row:?}");
        assert!((0..2).all(|k| within(row.1[k], theta[k]) && within(row.2[k], grad[k])), "{epoch}: {row:?}");
    }
    assert!((rows[3].0 / 64915909902336.0 - 1.0).abs() < 2e-5);
    for (k, (loss, ..)) in rows.iter().enumerate() {
        let expected = if k + 1 < 11 {
            loss.is_finite()
        } else if k + 1 < 23 {
            *loss == f64::INFINITY
        } else {
            loss.is_nan()
        };
        assert!(expected, "epoch {}: {loss}", k + 1);
    }
    // In the printed digits where there are no more roundings than those of the printing: the first epoch.
    assert_eq!(format!("{:.6}", rows[0].0), "1763.884644");
    Ok(())
}

#[test]
fn divergence_in_f64_takes_longer() -> Result<()> {
    let rows = diverge::<f64>(200)?;
    for (epoch, loss, theta, grad) in DIVERGING {
        let row = rows[epoch - 1];
        let within = |a: f64, b: f64| (a - b).abs() <= 2e-5 * b.abs();
        assert!(loss.is_infinite() || within(row.0, loss), "{epoch}: {row:?}");
        assert!((0..2).all(|k| within(row.1[k], theta[k]) && within(row.2[k], grad[k])), "{epoch}: {row:?}");
    }
    // What f32 can't hold: the mean of the squares at epoch 11 is just below its largest number, the squares themselves are not.
    assert!((3.0e38..3.1e38).contains(&rows[10].0), "{}", rows[10].0);
    let first = |found: fn(&f64) -> bool| rows.iter().position(|(loss, ..)| found(loss)).map(|k| k + 1);
    assert_eq!((first(|l| l.is_infinite()), first(|l| l.is_nan())), (Some(88), Some(176)));
    Ok(())
}

fn stops<T: Real>(step: u64, sample: usize) -> Result<()> {
    let (program, frame) = (program::<T>()?, readings::<T>()?);
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut training = Training::new(&data, Sgd::new(1e-2));
    let error = training.run(&mut theta).unwrap_err();
    let Error::NonFinite(report) = &error else { panic!("{error}") };
    assert_eq!((report.node.as_str(), report.step, report.sample), ("square", Some(step), Some(sample)), "{error}");
    assert!(report.value == f64::INFINITY && report.inputs[0].1.is_finite() && T::from_f64(report.inputs[0].1.powi(2)).to_f64().is_infinite());
    assert!(report.place.is_some_and(|p| p.file.ends_with("tutorials_thermometer.rs")), "{error}");
    assert!(theta.is_finite() && training.history().len() as u64 == step - 1);
    Ok(())
}

#[test]
fn the_loop_stops_where_the_loss_goes_wrong() -> Result<()> {
    stops::<f32>(11, 2)?;
    stops::<f64>(88, 0)
}

/// Trains and gives the losses of these epochs (before their update), the parameters after each of them, and the last point.
fn train<T: Real>(scale: f64, stepper: impl Stepper<T>, epochs: u64, shown: &[u64]) -> Result<(Vec<(f64, Vec<f64>)>, Params<T>, f64)> {
    let (program, frame) = (program::<T>()?, Scaling::new().column("t_u", 0.0, 1.0 / scale)?.apply(&readings::<T>()?)?);
    let data = program.bind(frame.columns())?;
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let (mut losses, mut points) = (Vec::new(), Vec::new());
    let mut training = Training::new(&data, stepper).steps(epochs).record_every(0).observe(|p| {
        if shown.contains(&p.step) {
            losses.push(p.loss.to_f64());
        }
        if shown.contains(&(p.step - 1)) {
            points.push(p.theta.values().iter().map(|x| x.to_f64()).collect::<Vec<f64>>());
        }
        Continue(())
    });
    training.run(&mut theta)?;
    drop(training);
    if shown.contains(&epochs) {
        points.push(theta.values().iter().map(|x| x.to_f64()).collect());
    }
    let end = data.value(&theta)?.to_f64();
    Ok((losses.into_iter().zip(points).collect(), theta, end))
}

fn small_rate<T: Real>(rounding: f64) -> Result<()> {
    let expected = [
        (1, 1763.884644, 0.5483, -0.0083),
        (2, 323.090546, 0.3623, -0.0118),
        (3, 78.929634, 0.2858, -0.0135),
        (10, 29.105242, 0.2324, -0.0166),
        (11, 29.104168, 0.2323, -0.0169),
        (99, 29.023582, 0.2327, -0.0435),
        (100, 29.022669, 0.2327, -0.0438),
    ];
    let (rows, ..) = train::<T>(1.0, Sgd::new(1e-4), 100, &expected.map(|e| e.0))?;
    for ((loss, point), (epoch, l, w, b)) in rows.iter().zip(expected) {
        // The printed losses are rounded sums of eleven rounded squares in f32.
        assert!((loss - l).abs() < (4e-7 + rounding) * l, "{epoch}: {loss}");
        assert!((point[0] - w).abs() < 5.1e-5 && (point[1] - b).abs() < 5.1e-5, "{epoch}: {point:?}");
    }
    assert_eq!(rows.len(), expected.len());
    Ok(())
}

fn normalised<T: Real>(rounding: f64) -> Result<()> {
    let expected = [
        (1, 80.364342, 1.7761, 0.1064),
        (2, 37.574917, 2.0848, 0.1303),
        (3, 30.871077, 2.2094, 0.1217),
        (10, 29.030487, 2.3232, -0.0710),
        (11, 28.941875, 2.3284, -0.1003),
        (99, 22.214186, 2.7508, -2.4910),
        (100, 22.148710, 2.7553, -2.5162),
        (4000, 2.927680, f64::NAN, f64::NAN),
        (5000, 2.927648, 5.3671, -17.3012),
    ];
    let (rows, theta, _) = train::<T>(0.1, Sgd::new(1e-2), 5000, &expected.map(|e| e.0))?;
    for ((loss, point), (epoch, l, w, b)) in rows.iter().zip(expected) {
        assert!((loss - l).abs() < (5e-7 + rounding) * l, "{epoch}: {loss}");
        let within = |a: f64, b: f64| b.is_nan() || (a - b).abs() < 6e-5 + 1e2 * rounding;
        assert!(within(point[0], w) && within(point[1], b), "{epoch}: {point:?}");
    }
    // Undone, it is a line for the raw readings with the same loss.
    let raw = Scaling::new().column("t_u", 0.0, 10.0)?.undo(&theta, &Affine::new("w", ["t_u"]).bias("b"))?;
    let frame = readings::<T>()?;
    let loss = program::<T>()?.bind(frame.columns())?.value(&raw)?;
    // In f64 it is 2.92764668: the tutorial's last digit is rounding.
    assert!((loss.to_f64() - 2.92764668).abs() < 1e-8 + 20.0 * T::EPSILON && (loss.to_f64() - 2.927648).abs() < 2e-6, "{loss}");
    Ok(())
}

fn adam<T: Real>(rounding: f64) -> Result<()> {
    let (_, theta, loss) = train::<T>(1.0, Adam::new(1e-1), 2000, &[])?;
    assert!((loss - 2.927646).abs() < 1.1e-6, "{loss}");
    assert!((theta.scalar("w")?.to_f64() - 0.5367).abs() < 6e-5 && (theta.scalar("b")?.to_f64() + 17.3021).abs() < 6e-5 + rounding, "{theta}");
    Ok(())
}

#[test]
fn a_small_rate() -> Result<()> {
    small_rate::<f64>(0.0)?;
    small_rate::<f32>(2e-7)
}

#[test]
fn normalised_readings() -> Result<()> {
    normalised::<f64>(0.0)?;
    normalised::<f32>(1e-6)
}

#[test]
fn adam_on_raw_readings() -> Result<()> {
    adam::<f64>(0.0)?;
    adam::<f32>(2e-3)
}
