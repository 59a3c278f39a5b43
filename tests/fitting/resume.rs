//! Interrupted trainings: one that goes on from a checkpoint ends with the same bits and the same history as one that was never interrupted; a foreign or broken
//! checkpoint is refused, and one that can't be written costs nothing. `tests/kills.rs` interrupts them by `kill -9`.

use super::bits;
use std::cell::RefCell;
use std::ops::ControlFlow::{Break, Continue};
use std::path::PathBuf;
use std::time::Duration;
use tapeless::fit::{Adam, AdamW, Checkpoint, EarlyStopping, Every, OnPlateau, Schedule, Sgd, Stepper, Stop, Training};
use tapeless::prelude::*;
use tapeless::{Error, History, Real, Result, compile};

fn spread<T: Real>(n: usize, seed: f64) -> Vec<T> {
    (0..n).map(|i| T::from_f64((seed + (i + 1) as f64 * 0.618_033_988_749_895).fract())).collect()
}

fn program<T: Real>() -> Result<Program<T>> {
    let g = Graph::new();
    let hidden = (g.data("x") * g.param_with("v", &[4]) + g.param_with("c", &[4])).tanh();
    let prediction = (hidden * g.param_with("w", &[4])).sum_dim(-1) + g.param("b");
    compile((prediction - g.data("y")).square().mean(), &Options::new())
}

struct Data<T> {
    x: Vec<T>,
    y: Vec<T>,
}

fn data<T: Real>() -> Data<T> {
    let x = spread::<T>(260, 0.0);
    let y = x.iter().enumerate().map(|(i, x)| T::from_f64((6.0 * x.to_f64()).sin() + 0.2 * (i as f64 * 1.7).cos())).collect();
    Data { x, y }
}

fn start<T: Real>(program: &Program<T>) -> Params<T> {
    let mut theta = program.zeros();
    theta.values_mut().iter_mut().enumerate().for_each(|(k, v)| *v = T::from_f64(((k + 1) as f64 * 0.7).sin()));
    theta
}

type Change<T> = for<'a, 'd> fn(Training<'a, 'd, T, Box<dyn Stepper<T>>>, &'a Bound<'d, T>) -> Training<'a, 'd, T, Box<dyn Stepper<T>>>;

/// A name, the stepper, the settings; the binding is of samples that are held out.
type Kind<T> = (&'static str, fn() -> Box<dyn Stepper<T>>, Change<T>);

fn kinds<T: Real>() -> Vec<Kind<T>> {
    vec![
        ("full batch", || Box::new(Sgd::new(0.1).momentum(0.9)), |t, _| t.schedule(Schedule::exponential(0.1, 0.99))),
        ("in order", || Box::new(AdamW::new(0.02)), |t, _| t.batch_size(64)),
        (
            "shuffled, cosine, clipped, groups",
            || Box::new(Adam::new(0.05).amsgrad(true).learning_rate_factor("b", 0.5).weight_decay_of("w", 0.01)),
            |t, _| t.batch_size(48).shuffle(99).clip_norm(0.3).schedule(Schedule::cosine(0.05, 1e-3, 80).warm_up(10, 0.1)),
        ),
        (
            "plateau of epochs' means",
            || Box::new(Sgd::new(1.0).momentum(0.5)),
            |t, _| t.batch_size(48).shuffle(5).schedule(OnPlateau::new(0.2).factor(0.5).patience(0).cooldown(1)),
        ),
        (
            "early stopping, plateau of validations",
            || Box::new(Adam::new(0.05)),
            |t, held_out| {
                let stopping = EarlyStopping::new(held_out).every(4).patience(6).min_delta(1e-2);
                t.batch_size(48).shuffle(u64::MAX).schedule(OnPlateau::new(0.2).factor(0.5).patience(2)).early_stopping(stopping)
            },
        ),
        ("tolerance", || Box::new(Sgd::new(0.05)), |t, _| t.tolerance(2e-3).patience(4)),
    ]
}

/// What a run ends with: bits of parameters, the whole state with history and validation losses, the reason, the steps.
type End<T> = (Vec<u64>, String, Stop, u64, History<T>, Vec<(u64, T)>);

/// A path of this test's own, with nothing there.
fn nowhere(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tapeless-{name}-{}.checkpoint", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn resumed_runs_end_the_same<T: Real>() -> Result<()> {
    let program = program::<T>()?;
    let Data { x, y } = data::<T>();
    let bound = program.bind([("x", &x[..200]), ("y", &y[..200])])?;
    let held_out = program.bind([("x", &x[200..]), ("y", &y[200..])])?;
    let path = nowhere(T::NAME);
    for (k, (name, stepper, change)) in kinds::<T>().into_iter().enumerate() {
        // Every step is recorded, or some; with the parameters, or without.
        let training = || change(Training::new(&bound, stepper()).steps(150).record_every([1, 7][k % 2]).record_params(k % 3 == 0), &held_out);
        let end = |training: &Training<'_, '_, T, _>, theta: &Params<T>, outcome: tapeless::Outcome<T>| -> End<T> {
            // Of what is saved after the end, all but what a further run begins anew.
            let history = training.history().clone();
            (bits(theta), training.save(theta).to_string(), outcome.reason, outcome.steps, history, training.validations().to_vec())
        };
        let mut theta = start(&program);
        let mut straight = training();
        let outcome = straight.run(&mut theta)?;
        let expected = end(&straight, &theta, outcome);
        match name {
            "tolerance" => assert_eq!(outcome.reason, Stop::Tolerance),
            "early stopping, plateau of validations" => assert!(outcome.reason == Stop::EarlyStopping && outcome.steps > 34),
            _ => assert_eq!((outcome.reason, outcome.steps), (Stop::Steps, 150)),
        }
        // Steps 4, 5 and 20 end epochs of some.
        for pause in [1, 2, 4, 5, 7, 20, 33, outcome.steps - 1] {
            // Checkpoints in passing change nothing; at the last one the run pauses.
            let text = RefCell::new(String::new());
            let receive = |saved: &Checkpoint| {
                *text.borrow_mut() = saved.to_string();
                if saved.step() == pause { Break(()) } else { Continue(()) }
            };
            let mut theta = start(&program);
            // Bringing a file to the disk takes its time: one of each run.
            let mut first = training().checkpoint_to(&path, Every::Steps(pause.max(100))).checkpoint_every(1, receive);
            let paused = first.run(&mut theta)?;
            assert_eq!((paused.reason, paused.steps), (Stop::Paused, pause), "{name}");
            let saved: Checkpoint = text.borrow().parse()?;
            assert_eq!((saved.to_string(), saved.step()), (text.borrow().clone(), pause));
            assert_eq!(saved, first.save(&theta));
            if pause >= 100 {
                assert_eq!(saved, Checkpoint::read(&path)?);
            }
            assert_eq!((saved.history().len(), bits(&saved.params(&program)?)), (first.history().len(), bits(&theta)));

            // In another training, from the text.
            let mut second = training();
            let mut there = second.resume(&saved)?;
            assert_eq!(bits(&there), bits(&theta));
            let outcome = second.run(&mut there)?;
            let found = end(&second, &there, outcome);
            assert!(found == expected, "{name}, {}, resumed after step {pause}:\n{found:?}\n{expected:?}", T::NAME);

            // And in the same one.
            let outcome = first.run(&mut theta)?;
            assert!(end(&first, &theta, outcome) == expected, "{name}, {}, gone on after step {pause}", T::NAME);
        }
    }
    std::fs::remove_file(path).expect("it was written");
    Ok(())
}

#[test]
fn resumed_runs_end_with_the_same_bits() -> Result<()> {
    resumed_runs_end_the_same::<f64>()?;
    resumed_runs_end_the_same::<f32>()
}

#[test]
fn runs_in_a_row_are_one_run() -> Result<()> {
    let program = program::<f64>()?;
    let Data::<f64> { x, y } = data();
    let bound = program.bind([("x", &x), ("y", &y)])?;
    let training = || Training::new(&bound, Adam::new(0.05)).batch_size(32).shuffle(1).clip_norm(0.5);
    let mut straight = start(&program);
    training().epochs(9).run(&mut straight)?;
    // Epochs have nine steps. A process for each piece, with what the one before wrote down.
    let mut text = training().save(&start(&program)).to_string();
    for steps in [1, 12, 5, 36, 27] {
        let mut piece = training().steps(steps);
        let mut theta = piece.resume(&text.parse()?)?;
        assert_eq!(piece.run(&mut theta)?.steps, steps);
        text = piece.save(&theta).to_string();
    }
    let mut last = training();
    let theta = last.resume(&text.parse()?)?;
    assert_eq!(bits(&theta), bits(&straight));
    assert_eq!(text.parse::<Checkpoint>()?.stepper().steps, 81);
    Ok(())
}

#[test]
fn a_foreign_checkpoint_is_refused_and_changes_nothing() -> Result<()> {
    let program = program::<f64>()?;
    let Data::<f64> { x, y } = data();
    let bound = program.bind([("x", &x), ("y", &y)])?;
    let fewer = program.bind([("x", &x[1..]), ("y", &y[1..])])?;
    let held_out = program.bind([("x", &x[..9]), ("y", &y[..9])])?;
    let plateau = || OnPlateau::new(0.1).patience(3);
    let stopping = || EarlyStopping::new(&held_out);
    let training = || Training::new(&bound, Adam::new(0.05)).batch_size(32).shuffle(1).schedule(plateau()).early_stopping(stopping()).steps(20);
    let mut first = training();
    let mut theta = start(&program);
    first.run(&mut theta)?;
    let saved = first.save(&theta);
    assert!(training().resume(&saved).is_ok());
    let refused = |mut training: Training<'_, '_, f64, Adam>| {
        let before = training.save(&start(&program));
        let error = match training.resume(&saved) {
            Err(Error::Setting { name, message }) => format!("{name}: {message}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(training.save(&start(&program)), before);
        error
    };
    let base = || Training::new(&bound, Adam::new(0.05)).shuffle(1);
    let cases = [
        (refused(training().shuffle(2)), "seed: the training was saved with 1, this one has 2"),
        (refused(training().batch_size(33)), "batch_size: the training was saved with 32, this one has 33"),
        (refused(base().schedule(plateau()).early_stopping(stopping())), "batch_size: the training was saved with 32, this one doesn't know it"),
        (refused(training().clip_norm(0.5)), "clip_norm: the training doesn't hold it, this one has 0.5"),
        (refused(training().schedule(plateau().patience(4))), "schedule on_plateau patience: the training was saved with 3, this one has 4"),
        (refused(training().schedule(Schedule::constant(0.1))), "schedule constant rate: the training doesn't hold it, this one has 0.1"),
        (refused(training().early_stopping(stopping().patience(5))), "early_stopping patience: the training was saved with 10, this one has 5"),
        (refused(Training::new(&fewer, Adam::new(0.05)).batch_size(32).shuffle(1)), "samples: the training was saved with 260, this one has 259"),
        (
            refused(Training::new(&bound, Adam::new(0.05).eps(1e-6)).batch_size(32).shuffle(1).schedule(plateau()).early_stopping(stopping())),
            "eps: the state was saved with 0.00000001, this stepper has 0.000001",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
    let g = Graph::new();
    let other = ((g.param("a") * g.data("x")).square() + g.data("y")).mean().compile()?;
    let data = other.bind([("x", &x), ("y", &y)])?;
    assert!(matches!(Training::new(&data, Adam::new(0.05)).shuffle(1).resume(&saved), Err(Error::Layout { .. })));
    let program = self::program::<f32>()?;
    let Data::<f32> { x, y } = self::data();
    let single = program.bind([("x", &x), ("y", &y)])?;
    let error = Training::new(&single, Adam::new(0.05)).resume(&saved).unwrap_err();
    assert_eq!(error.to_string(), "number type: the training was saved with f64, this one has f32");
    // The same parameters, data and settings, of another formula; of the same formula, but by some of its parameters.
    let g = Graph::new();
    let hidden = (g.data("x") * g.param_with("v", &[4]) + g.param_with("c", &[4])).tanh();
    let prediction = (hidden * g.param_with("w", &[4])).sum_dim(-1) + g.param("b");
    let loss = (prediction - g.data("y")).abs().mean();
    let other = loss.compile()?;
    let Data::<f64> { x, y } = self::data();
    let data = other.bind([("x", &x), ("y", &y)])?;
    let settings = |training: Training<'_, '_, f64, Adam>| -> Error {
        let mut training = training.batch_size(32).shuffle(1).schedule(plateau());
        training.resume(&saved).unwrap_err()
    };
    let error = settings(Training::new(&data, Adam::new(0.05)));
    assert_eq!(error.to_string(), "formula: the training was saved of another formula, or of a gradient by other parameters");
    // Its parameters can be had all the same.
    assert_eq!(bits(&saved.params(&other)?), bits(&theta));
    let g = Graph::new();
    let other = ((g.param("a") * g.data("x")).square() + g.data("y")).mean().compile()?;
    assert!(matches!(saved.params(&other), Err(Error::Layout { .. })));
    Ok(())
}

/// The checksum, bit by bit, and so the last line.
fn sealed(body: &str) -> String {
    let step = |crc: u64, byte: u8| (0..8).fold(crc ^ u64::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xc96c_5795_d787_0f42 } else { 0 });
    format!("{body}checksum {:016x}\n", !body.bytes().fold(!0, step))
}

#[test]
fn every_cut_and_every_broken_line_is_an_error() -> Result<()> {
    let g = Graph::new();
    let program = (g.param("w") * g.data("x") - g.param_with("odd \"name\" # with\n", &[2]).sum()).square().mean().compile()?;
    let x = [0.5, 1.5, 2.5];
    let data = program.bind([("x", &x)])?;
    let mut theta = program.zeros();
    theta.values_mut().copy_from_slice(&[0.1, -0.0, 0.3]);
    let text = RefCell::new(String::new());
    let mut training = Training::new(&data, Adam::new(0.1))
        .batch_size(2)
        .shuffle(1)
        .schedule(OnPlateau::new(0.1))
        .early_stopping(EarlyStopping::new(&data))
        .tolerance(0.0)
        .record_params(true)
        .checkpoint_every(3, |saved| {
            *text.borrow_mut() = saved.to_string();
            Break(())
        });
    assert_eq!(training.run(&mut theta)?.reason, Stop::Paused);
    drop(training);
    let text = text.into_inner();
    let read: Checkpoint = text.parse()?;
    assert_eq!(read.to_string(), text);
    let body = &text[..text.rfind("checksum ").expect("the last line")];
    assert_eq!(sealed(body), text);
    // Beyond what a checksum is for: texts that were written so.
    for end in (0..body.len() - 1).filter(|end| body.is_char_boundary(*end)) {
        assert!(sealed(&body[..end]).parse::<Checkpoint>().is_err(), "{}", &body[..end]);
    }
    let fails = |from: &str, to: &str| {
        assert!(body.contains(from), "{from}\n{text}");
        match sealed(&body.replacen(from, to, 1)).parse::<Checkpoint>() {
            Err(Error::Parse { line, message }) => (line, message),
            other => panic!("{from} -> {to}: {other:?}"),
        }
    };
    let newer = "a saved training of version 3: a later version of this crate wrote it, this one reads version 2";
    assert_eq!(fails("training 2", "training 3"), (1, newer.into()));
    let older = "a saved training of version 1, which had no checksum and isn't read any more; this is version 2";
    assert_eq!(fails("training 2", "training 1"), (1, older.into()));
    assert_eq!(fails("training 2", "training two"), (1, "no saved training: one begins with `tapeless training 2`".into()));
    assert_eq!(fails("samples 3", "samples three"), (4, "`three` is not a whole number".into()));
    assert_eq!(fails("formula ", "formula x"), (3, format!("`x{}` is not a bit pattern of 16 hexadecimal digits", &body.lines().nth(2).unwrap()[8..])));
    assert_eq!(fails("seed 1", "seed -1").0, 5);
    assert_eq!(fails("history 3", "history 4").1, "the history ends before all recorded steps came: 1 more");
    assert_eq!(fails("validations 1", "validations 2").1, "a step and 1 number(s) were to come");
    assert_eq!(fails("history 3 3", "history 3 2").1, "a step and 4 number(s) were to come");
    assert_eq!(fails("history 3 3", "history 0 3").1, "not a line of a training, or not all of it: `1 ...`");
    assert_eq!(fails("history 3 3", "history 3 18446744073709551615").1, "`18446744073709551615` parameters");
    assert_eq!(fails("validations 1", "validations 0").1, "not a line of a training, or not all of it: `2 ...`");
    assert_eq!(fails("seed 1", "samples 3").1, "`samples` comes twice");
    assert_eq!(fails("seed 1", "sead 1").1, "not a line of a training, or not all of it: `sead ...`");
    assert_eq!(fails("step 3\n", "").1, "a training has a number type, a formula, samples, a step, a run and an epoch");
    assert_eq!(fails("vector \"theta\"", "vector \"thata\"").1, "a training has its parameters in the vector \"theta\"");
    assert_eq!(fails("vector \"best\"", "vector \"worst\"").1, "the best parameters are missing");
    assert_eq!(fails("\nstopping", "\nvector \"more\" 3\n0000000000000000 0000000000000000 0000000000000000\nstopping").1, "a training has no vector \"more\"");
    assert_eq!(fails("vector \"theta\" 3", "vector \"theta\" 2").1, "3 numbers where 2 were to come");
    // A mistake in the stepper's state is counted from the first line.
    let at = body.lines().position(|line| line.starts_with("steps ")).map(|k| k + 1);
    assert_eq!(Some(fails("steps 3", "steps x").0), at);
    Ok(())
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_file_is_an_error_that_says_so() -> Result<()> {
    let g = Graph::new();
    let program = (g.param("w") * g.data("x")).square().mean().compile()?;
    let data = program.bind([("x", &[0.5, 1.5, 2.5])])?;
    let mut theta = program.params([("w", 1.0)])?;
    let mut training = Training::new(&data, Adam::new(0.1)).steps(2);
    training.run(&mut theta)?;
    let saved = training.save(&theta);
    let path = nowhere("damage");
    saved.write(&path)?;
    assert_eq!(Checkpoint::read(&path)?, saved);
    let bytes = std::fs::read(&path).expect("it was written");
    assert_eq!(bytes, saved.to_string().into_bytes());
    let read = |bytes: &[u8]| -> Result<String> {
        std::fs::write(&path, bytes).expect("it can be written");
        match Checkpoint::read(&path) {
            Err(Error::File { path: named, message }) if named == path.display().to_string() => Ok(message),
            other => panic!("{other:?} of {}", String::from_utf8_lossy(bytes)),
        }
    };
    let (foreign, cut) = ("no saved training: one begins with `tapeless training 2`", "it doesn't end with its checksum: it was cut off, or something follows");
    let changed = "the checksum isn't that of the text: it was changed after it was written";
    let head = "tapeless training 2\n".len();
    let mut said = [0; 3];
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let message = read(&damaged)?;
        let kind = [foreign, cut, changed].iter().position(|kind| message.ends_with(kind)).unwrap_or_else(|| panic!("bit {bit}: {message}"));
        assert!((kind == 0) <= (bit / 8 < head) && (kind == 1) <= (bit / 8 >= bytes.len() - 27), "bit {bit}: {message}");
        said[kind] += 1;
    }
    assert!(said.iter().all(|times| *times > 0), "{said:?}");
    for end in 0..bytes.len() {
        let message = read(&bytes[..end])?;
        let expected = if end == 0 { "line 1: empty: a saved training was to be here" } else { cut };
        // Half a line of the checksum is there, but not its checksum.
        assert!(message.ends_with(expected) || (end > bytes.len() - 18 && message.ends_with(changed)), "{end} bytes: {message}");
    }
    // Two halves of different checkpoints, which were each whole.
    training.run(&mut theta)?;
    let other = training.save(&theta).to_string().into_bytes();
    assert!(read(&[&bytes[..bytes.len() / 2], &other[bytes.len() / 2..]].concat())?.ends_with(changed));
    assert!(read(&[&bytes[..], b"\n"].concat())?.ends_with(cut));
    assert!(read(&[&bytes[..], &bytes[..]].concat())?.ends_with(changed));
    for other in [&b"PK\x03\x04"[..], b"\xff\xfe", b"step,loss,grad_norm\n1,0.5,0.25\n", b"tapeless stepper state 1\n", &[0; 4096]] {
        assert!(read(other)?.ends_with(foreign));
    }
    // As versions to come may be, and as the first one was.
    assert!(read(b"tapeless training 7\nunheard of\n")?.contains("line 1: a saved training of version 7: a later version of this crate wrote it"));
    assert!(read(b"tapeless training 1\nnumber \"f64\"\n")?.contains("line 1: a saved training of version 1, which had no checksum"));
    std::fs::remove_file(&path).expect("it was written");
    assert!(matches!(Checkpoint::read(&path), Err(Error::File { path: named, .. }) if named == path.display().to_string()));
    Ok(())
}

#[test]
fn a_checkpoint_that_cannot_be_written_costs_nothing() -> Result<()> {
    let program = program::<f64>()?;
    let Data::<f64> { x, y } = data();
    let bound = program.bind([("x", &x), ("y", &y)])?;
    let held_out = program.bind([("x", &x[..9]), ("y", &y[..9])])?;
    let training = || {
        let stopping = EarlyStopping::new(&held_out).every(3).patience(30);
        Training::new(&bound, Adam::new(0.05)).batch_size(32).shuffle(1).early_stopping(stopping).steps(50).record_params(true)
    };
    let mut straight = start(&program);
    let mut expected = training();
    let outcome = expected.run(&mut straight)?;

    let folder = nowhere("folder");
    let _ = std::fs::remove_dir_all(&folder);
    let make = || std::fs::create_dir(&folder).expect("a new folder");
    let path = folder.join("fit.checkpoint");
    make();
    let mut interrupted = training().checkpoint_to(&path, Every::Steps(10)).observe(|progress| {
        // The disk goes away in step 15.
        if progress.step == 15 {
            std::fs::remove_dir_all(&folder).expect("it is there");
        }
        Continue(())
    });
    let mut theta = start(&program);
    for step in [20, 30] {
        let error = interrupted.run(&mut theta).unwrap_err();
        let Error::File { path: named, message } = &error else { panic!("{error}") };
        assert!(*named == path.display().to_string() && !message.is_empty());
        assert_eq!((interrupted.history().len(), interrupted.save(&theta).step()), (step, step as u64));
    }
    make();
    let found = interrupted.run(&mut theta)?;
    assert_eq!((found, bits(&theta)), (outcome, bits(&straight)));
    assert!(interrupted.history() == expected.history() && interrupted.validations() == expected.validations());
    assert_eq!(Checkpoint::read(&path)?.step(), 40);
    // Where a folder is in the way, nothing is left beside it.
    drop(interrupted);
    std::fs::remove_file(&path).expect("it was written");
    std::fs::create_dir(&path).expect("nothing is there");
    std::fs::write(path.join("something"), "x").expect("a new file");
    assert!(matches!(expected.save(&theta).write(&path), Err(Error::File { .. })));
    assert!(matches!(expected.save(&theta).write("/"), Err(Error::File { .. })));
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 1);
    std::fs::remove_dir_all(&folder).expect("it is there");
    // A setting that can't be.
    let error = training().checkpoint_to(&path, Every::Steps(0)).run(&mut theta).unwrap_err();
    assert_eq!(error.to_string(), "checkpoint_to: must be at least 1 step");
    Ok(())
}

#[test]
fn a_training_writes_itself_down_as_time_passes() -> Result<()> {
    let program = program::<f64>()?;
    let Data::<f64> { x, y } = data();
    let bound = program.bind([("x", &x), ("y", &y)])?;
    let path = nowhere("time");
    let steps = std::cell::Cell::new(0);
    let mut training =
        Training::new(&bound, Adam::new(0.05)).steps(u64::MAX).checkpoint_to(&path, Every::Time(Duration::from_millis(20))).observe(|progress| {
            steps.set(progress.step);
            if path.exists() { Break(()) } else { Continue(()) }
        });
    assert_eq!(training.run(&mut start(&program))?.reason, Stop::Observer);
    drop(training);
    // Written after the step before the last.
    assert_eq!(Checkpoint::read(&path)?.step() + 1, steps.get());
    std::fs::remove_file(path).expect("it was written");
    Ok(())
}
