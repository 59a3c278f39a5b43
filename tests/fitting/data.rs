//! Data on the way to a program: frames, CSV, splits, scaling and its undoing, given moments; and what goes wrong.

use nalgebra::{DMatrix, DVector};
use tapeless::data::{Affine, Frame, Scaling, covariance, match_covariance, match_moments, mean, split, variance};
use tapeless::layer::Linear;
use tapeless::loss::mse;
use tapeless::prelude::*;
use tapeless::{Error, Result};

fn frame() -> Frame {
    let wave = |k: usize, f: f64| (0..40).map(|i| 50.0 * k as f64 + (1.0 + 9.0 * k as f64) * (f * i as f64).sin()).collect::<Vec<f64>>();
    Frame::new([("a", wave(1, 0.7)), ("b", wave(2, 1.3)), ("y", wave(3, 2.1)), ("z", wave(4, 0.3))]).unwrap()
}

#[test]
fn csv_is_read_with_its_quotes_and_line_ends() -> Result<()> {
    let text = "\"t, u\" ,t_c\r\n 35.7,\"0.5\"\r\n\r\n-1e3 , +2\r\n";
    let frame = Frame::from_csv(text.as_bytes())?;
    assert_eq!(frame.names(), ["t, u", "t_c"]);
    assert_eq!((frame.column("t, u")?, frame.column("t_c")?), (&[35.7, -1e3][..], &[0.5, 2.0][..]));
    assert_eq!(Frame::from_csv("a,b\n".as_bytes())?.rows(), 0);
    Ok(())
}

/// Gives one byte at a time, as a pipe may.
struct Trickle<'a>(&'a [u8]);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = 1.min(to.len());
        std::io::Read::read(&mut self.0, &mut to[..n])
    }
}

/// A find of `fuzz/csv`: the byte order mark became part of the first name where it came in pieces.
#[test]
fn a_byte_order_mark_is_no_part_of_a_name_however_it_comes() -> Result<()> {
    let text = "\u{feff}x\n1\n\n2\r3\n\"4\"\n";
    for frame in [Frame::from_csv(text.as_bytes())?, Frame::from_csv(Trickle(text.as_bytes()))?] {
        assert_eq!(frame.column("x")?, [1.0, 2.0, 3.0, 4.0]);
    }
    for short in ["", "x", "\u{feff}", "\u{feff}x", "\u{feff}\n"] {
        let names = [Frame::from_csv(short.as_bytes())?, Frame::from_csv(Trickle(short.as_bytes()))?].map(|f| f.names().to_vec());
        assert_eq!(names[0], names[1], "{short:?}");
        assert_eq!(names[0].concat(), short.trim_matches(['\u{feff}', '\n']), "{short:?}");
    }
    Ok(())
}

#[test]
fn csv_errors_name_row_and_column() {
    let cases = [
        ("a,b\n1,2\n3,x\n", "row 2, column `b`: `x` is no number"),
        ("a,b\n1,2\n\n\n,4\n", "row 2, column `a`: is empty"),
        ("a,b\n1\n", "row 1, column `b`: is missing: the row has 1 cells, the header 2"),
        ("a,b\n1,2,3\n", "row 1, column `3`: the row has 3 cells, the header 2"),
        ("a,a\n1,2\n", "data column `a` is bound twice"),
    ];
    for (text, expected) in cases {
        assert_eq!(Frame::from_csv(text.as_bytes()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn csv_files_are_named_and_their_columns_chosen() -> Result<()> {
    let path = std::env::temp_dir().join(format!("tapeless-data-{}.csv", std::process::id()));
    std::fs::write(&path, "city,t\nOslo,-3\nRome,12.5\n").unwrap();
    let (all, some, none) = (Frame::read_csv(&path), Frame::read_csv_columns(&path, &["t"]), Frame::read_csv_columns(&path, &["u"]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(all.unwrap_err().to_string(), format!("{}: row 1, column `city`: `Oslo` is no number", path.display()));
    assert_eq!(some?.column("t")?, [-3.0, 12.5]);
    assert_eq!(none.unwrap_err().to_string(), "no data column `u`; there are `city`, `t`");
    let missing = Frame::read_csv(&path).unwrap_err();
    assert!(matches!(&missing, Error::File { path: p, .. } if *p == path.display().to_string()), "{missing}");
    Ok(())
}

#[test]
fn frames_refuse_what_does_not_fit() -> Result<()> {
    let ragged = Frame::new([("a", vec![1.0]), ("b", vec![])]).unwrap_err();
    assert_eq!(ragged.to_string(), "data column `b` has 0 samples, but `a` has 1");
    assert!(matches!(frame().with("a", vec![0.0; 40]), Err(Error::RepeatedColumn { .. })));
    assert_eq!(frame().take(&[0, 40]).unwrap_err().to_string(), "rows: there is no row 40; they are 0 to 39");
    assert!(matches!(frame().map("q", |x| x), Err(Error::NoColumn { .. })));
    assert!(matches!(frame().with_noise("a", f64::NAN, 1, 0), Err(Error::Setting { .. })));
    assert!(frame().to_string().lines().count() == 1 + 4 + 1 + 4 + 1);
    assert_eq!(frame().cast::<f32>().column("a")?[3], frame().column("a")?[3] as f32);
    Ok(())
}

#[test]
fn a_split_is_a_partition_and_a_function_of_the_seed() -> Result<()> {
    for (n, share, held_out) in [(11, 0.2, 2), (100, 0.29, 29), (10, 0.7, 7), (2, 0.5, 1), (1000, 0.001, 1)] {
        let (train, validation) = split(n, share, 3)?;
        assert_eq!(validation.len(), held_out, "{n} {share}");
        let mut all = [train.clone(), validation].concat();
        all.sort();
        assert_eq!(all, (0..n).collect::<Vec<_>>());
        assert_eq!(split(n, share, 3)?.0, train);
    }
    assert_ne!(split(100, 0.2, 1)?, split(100, 0.2, 2)?);
    let text = |n, share| split(n, share, 0).unwrap_err().to_string();
    assert_eq!(text(4, 0.2), "validation: a share of 0.2 of 4 samples leaves none to validate on");
    assert_eq!(text(4, f64::NAN), "validation: the share must be between 0 and 1, but is NaN");
    // Each row is held out as often as its share says: of 2000 seeds 400 times, within four standard deviations (18).
    let mut counts = [0i32; 10];
    for seed in 0..2000 {
        split(10, 0.2, seed)?.1.into_iter().for_each(|row| counts[row] += 1);
    }
    assert!(counts.iter().all(|c| (c - 400).abs() < 72), "{counts:?}");
    Ok(())
}

/// The undone parameters predict from raw columns what the fitted ones predict from scaled columns: the losses differ by the target's variance.
#[test]
fn scaling_is_undone_in_the_fitted_parameters() -> Result<()> {
    let raw = frame();
    let scaling = Scaling::standardise(&raw, ["a", "b", "y", "z"])?;
    let scaled = scaling.apply(&raw)?;
    for name in ["a", "b", "y", "z"] {
        assert!(mean(scaled.column(name)?).abs() < 1e-14 && (variance(scaled.column(name)?) - 1.0).abs() < 1e-13);
    }
    let back = scaling.restore(&scaled)?;
    assert!(raw.columns().zip(back.columns()).all(|((_, a), (_, b))| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * a.abs())));

    // Two inputs, two targets.
    let g = Graph::new();
    let layer = Linear::new(&g, "l", 2, 2);
    let predicted = layer.apply(g.data_with("x", &[2]));
    let f = predicted.compile_function()?;
    let theta = f.params([("l.weight", vec![0.3, -0.5, 0.8, 1.7]), ("l.bias", vec![0.25, -2.0])])?;
    let inputs = Affine::new("l.weight", ["a", "b"]).bias("l.bias");
    let on = |frame: &Frame, theta: &Params<f64>| Ok::<_, Error>(f.bind([("x", frame.vector(["a", "b"])?)])?.eval(theta)?.remove(0).numbers);
    let fitted = on(&scaled, &theta)?;
    let undone = on(&raw, &scaling.undo(&theta, &inputs)?)?;
    assert!(fitted.iter().zip(&undone).all(|(a, b)| (a - b).abs() < 1e-12));
    let undone = on(&raw, &scaling.undo(&theta, &inputs.clone().targets(["y", "z"]))?)?;
    for (k, name) in ["y", "z"].into_iter().enumerate() {
        let (shift, scale) = scaling.of(name)?;
        assert!((0..40).all(|i| (fitted[40 * k + i] * scale + shift - undone[40 * k + i]).abs() < 1e-11));
    }
    Ok(())
}

/// The fit on standardised columns, undone, is the least-squares line of the raw columns.
#[test]
fn a_fit_on_scaled_columns_is_least_squares() -> Result<()> {
    let raw = frame();
    let g = Graph::new();
    let (w, b) = (g.param("w"), g.param("b"));
    let program = mse(w * g.data("a") + b, g.data("y")).compile()?;
    let scaling = Scaling::standardise(&raw, ["a", "y"])?;
    let scaled = scaling.apply(&raw)?;
    let data = program.bind(scaled.select(["a", "y"])?)?;
    let mut theta = program.zeros();
    Training::new(&data, Sgd::new(0.4)).steps(60).run(&mut theta)?;
    let line = scaling.undo(&theta, &Affine::new("w", ["a"]).bias("b").targets(["y"]))?;
    let (a, y) = (raw.column("a")?, raw.column("y")?);
    let (ma, my) = (mean(a), mean(y));
    let slope = a.iter().zip(y).map(|(a, y)| (a - ma) * (y - my)).sum::<f64>() / a.iter().map(|a| (a - ma).powi(2)).sum::<f64>();
    assert!((line.scalar("w")? - slope).abs() < 1e-12 && (line.scalar("b")? - (my - slope * ma)).abs() < 1e-10, "{line} {slope}");
    Ok(())
}

#[test]
fn what_can_not_be_scaled_is_said() -> Result<()> {
    let odd = Frame::new([("flat", vec![0.1; 3]), ("hole", vec![1.0, f64::NAN, 2.0]), ("a", vec![1.0, 2.0, 3.0])])?;
    let text = |name: &str| Scaling::standardise(&odd, [name]).unwrap_err().to_string();
    assert_eq!(text("flat"), "column `flat`: does not vary: it can't be brought to variance 1");
    assert_eq!(text("hole"), "row 2, column `hole`: is NaN");
    assert_eq!(text("b"), "no data column `b`; there are `flat`, `hole`, `a`");
    let g = Graph::new();
    let program = (g.param_with("w", &[2]).sum() + g.param("b")).compile()?;
    let scaling = Scaling::standardise(&odd, ["a"])?.column("c", 0.0, 10.0)?;
    let theta = program.params([("w", vec![1.0, 2.0]), ("b", vec![0.0])])?;
    let undo = |map: Affine| scaling.undo(&theta, &map).unwrap_err().to_string();
    assert_eq!(undo(Affine::new("w", ["a", "c"])), "bias: without one the columns' shifts can't be undone");
    assert_eq!(undo(Affine::new("w", ["a", "q"])), "no data column `q`; there are `a`, `c`");
    assert_eq!(undo(Affine::new("w", ["a"])), "parameter `w` is given 1 number, but is declared [2]");
    assert_eq!(undo(Affine::new("v", ["a"])), "no parameter `v`; the program has `w`, `b`");
    assert!(matches!(scaling.clone().column("a", 0.0, 1.0), Err(Error::RepeatedColumn { .. })));
    assert!(matches!(scaling.clone().column("d", 0.0, 0.0), Err(Error::Setting { .. })));
    Ok(())
}

#[test]
fn samples_are_brought_to_given_moments() -> Result<()> {
    let mut x: Vec<f64> = (0..1000).map(|i| 1e6 + (i as f64 * 0.37).sin()).collect();
    match_moments(&mut x, -0.017394587, 1.0097441)?;
    assert!((mean(&x) + 0.017394587).abs() < 1e-14 && (variance(&x) - 1.0097441).abs() < 1e-12);
    assert!(match_moments(&mut [1.0, 1.0], 0.0, 1.0).is_err() && match_moments(&mut [], 0.0, 1.0).is_err() && match_moments(&mut x, 0.0, -1.0).is_err());

    let samples = DMatrix::from_fn(500, 2, |i, j| (i as f64 * (0.7 + j as f64)).sin() + 0.5 * (i as f64 * 0.31).cos());
    let target = DMatrix::from_row_slice(2, 2, &[1.0582, 0.4563, 0.4563, 1.7320]);
    let matched = match_covariance(&samples, &[0.0090, -0.0074], &target)?;
    let (m, c) = covariance(&matched);
    assert!((m - DVector::from_row_slice(&[0.0090, -0.0074])).amax() < 1e-15 && (c - target).amax() < 1e-14);
    for bad in [DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]), DMatrix::identity(1, 1)] {
        assert!(matches!(match_covariance(&samples, &[0.0, 0.0], &bad), Err(Error::Setting { .. })));
    }
    Ok(())
}
