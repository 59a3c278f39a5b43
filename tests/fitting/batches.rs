//! Batches: the order of the samples, a batch's bits against a fresh binding's, training over batches against loops written out.

use super::{bits, setting};
use std::cell::RefCell;
use std::ops::ControlFlow::{Break, Continue};
use tapeless::fit::{Adam, Batches, EarlyStopping, OnPlateau, Schedule, Sgd, Stepper, Stop, Training};
use tapeless::prelude::*;
use tapeless::{Error, Real, Result, compile};

/// Numbers between 0 and 1 in no visible order.
fn spread<T: Real>(n: usize, seed: f64) -> Vec<T> {
    (0..n).map(|i| T::from_f64((seed + (i + 1) as f64 * 0.618_033_988_749_895).fract())).collect()
}

/// All rows in the order of an epoch, from 0.
fn epoch(batches: &mut Batches, epoch: u64) -> Vec<usize> {
    let steps = epoch * batches.per_epoch() + 1..=(epoch + 1) * batches.per_epoch();
    steps.flat_map(|step| batches.rows(step).to_vec()).collect()
}

#[test]
fn an_epoch_sees_each_row_once() -> Result<()> {
    for (n, size) in [(1, 1), (10, 4), (1000, 256), (1000, 1), (1000, 1000), (7, 100), (7, usize::MAX), (1024, 256)] {
        for mut batches in [Batches::new(n, size)?, Batches::new(n, size)?.shuffle(9)] {
            assert_eq!(batches.per_epoch() as usize, n.div_ceil(size));
            for e in [0, 1, 5] {
                for step in e * batches.per_epoch() + 1..=(e + 1) * batches.per_epoch() {
                    let last = step.is_multiple_of(batches.per_epoch());
                    let short = if n % size == 0 { size.min(n) } else { n % size };
                    assert_eq!(batches.rows(step).len(), if last { short } else { size });
                }
                let mut rows = epoch(&mut batches, e);
                rows.sort_unstable();
                assert_eq!(rows, (0..n).collect::<Vec<_>>());
            }
        }
    }
    assert_eq!(setting(Batches::new(10, 0)), "batch_size");
    assert_eq!(setting(Batches::new(0, 10)), "batch_size");
    Ok(())
}

#[test]
fn the_order_is_a_function_of_seed_epoch_and_length() -> Result<()> {
    // From a program of its own (Python's whole numbers), after the description in the documentation: these must never change.
    let mut batches = Batches::new(10, 3)?.shuffle(7);
    assert_eq!(epoch(&mut batches, 0), [4, 1, 9, 2, 5, 8, 0, 7, 3, 6]);
    assert_eq!(epoch(&mut batches, 1), [7, 3, 2, 5, 6, 9, 8, 0, 1, 4]);
    assert_eq!(epoch(&mut Batches::new(10, 10)?.shuffle(u64::MAX), 12345), [5, 4, 6, 7, 1, 3, 0, 9, 8, 2]);
    // Back again, and in the middle.
    assert_eq!(batches.rows(2), [2, 5, 8]);
    assert_eq!(batches.rows(0).to_vec(), batches.rows(1));
    assert!(batches.rows(u64::MAX).len() <= 3);
    // Every place gets every row about equally often: chi-square of 81 degrees of freedom is below 126.1 with probability 0.999.
    let mut counts = [[0u32; 10]; 10];
    let mut batches = Batches::new(10, 10)?.shuffle(1);
    (0..5000).for_each(|e| epoch(&mut batches, e).iter().enumerate().for_each(|(place, row)| counts[place][*row] += 1));
    let chi: f64 = counts.iter().flatten().map(|c| (f64::from(*c) - 500.0).powi(2) / 500.0).sum();
    assert!(chi < 126.1, "{chi}");
    Ok(())
}

type Model = for<'g> fn(&'g Graph) -> Expr<'g>;

/// With terms of data alone, several stages, selections, vectors, no data.
const MODELS: [(&str, Model); 6] = [
    ("data-only sums", |g| {
        let (x, y) = (g.data("x"), g.data("y"));
        (g.param("a") * x - y).square().sum() + (x * y.exp()).sum() / y.sum() + x.max_samples() * g.param("b")
    }),
    ("two stages", |g| {
        let r = (g.param("a") * g.data("x")).exp();
        (r - r.mean()).square().mean() + g.param("b").square()
    }),
    ("centred on the data's mean", |g| {
        let (x, y) = (g.data("x"), g.data("y"));
        (g.param("a") * (x - x.mean()) + g.param("b") - y).square().mean()
    }),
    ("largest", |g| (g.param("a") * g.data("x") + g.param("b") * g.data("y")).tanh().max_samples()),
    ("vectors", |g| (g.data_with("z", &[3]) * g.param_with("w", &[3])).sum_dim(-1).softplus().sum() + g.param("a") * g.data("x").mean()),
    ("no data", |g| g.param("a").square() + g.param("b")),
];

fn batch_bits<T: Real>() -> Result<()> {
    const N: usize = 60_000;
    let columns: Vec<Vec<T>> = (0..5).map(|k| spread(N, f64::from(k) * 0.17)).collect();
    let pools: Vec<_> = [1, 2, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads")).into();
    for (name, model) in MODELS {
        let g = Graph::new();
        let program = compile::<T>(model(&g), &Options::new())?;
        let declared: Vec<String> = program.value_dag().data().iter().map(|input| input.name.clone()).collect();
        let bind = |columns: &'static [Vec<T>]| -> Result<Bound<'static, T>> {
            let slices = |name: &String| match name.as_str() {
                "x" => vec![&columns[0][..]],
                "y" => vec![&columns[1][..]],
                _ => columns[2..].iter().map(Vec::as_slice).collect(),
            };
            program.bind(declared.iter().map(|name| (name.clone(), slices(name))))
        };
        // Leaked: a batch is taken of one binding, and others are made of copies.
        let data = bind(Box::leak(columns.clone().into_boxed_slice()))?;
        let mut theta = program.zeros();
        theta.values_mut().iter_mut().enumerate().for_each(|(k, v)| *v = T::from_f64(0.7 - 0.3 * k as f64));
        let whole: Vec<usize> = epoch(&mut Batches::new(N, 256)?.shuffle(3), 0);
        let (mut batch, mut part) = (data.batch(), data.batch());
        let choices: [&[usize]; 7] = [&whole[..256], &whole[..7], &[5; 9], &whole[1000..6000], &[0], &whole, &whole[300..556]];
        for rows in choices {
            if data.samples() == 0 {
                continue;
            }
            let copies: Vec<Vec<T>> = columns.iter().map(|c| rows.iter().map(|r| c[*r]).collect()).collect();
            let fresh = bind(Box::leak(copies.into_boxed_slice()))?;
            let (value, grad) = fresh.value_and_grad(&theta)?;
            for pool in &pools {
                pool.install(|| -> Result<()> {
                    let mut found = program.grad_zeros();
                    batch.select(rows)?;
                    if let Some(first) = whole.windows(rows.len()).position(|w| w == rows) {
                        part.select(&whole)?;
                        part.narrow(first..first + rows.len())?;
                        assert!(part.rows().eq(rows.iter().copied()));
                    } else {
                        part.select(rows)?;
                    }
                    for batch in [&mut batch, &mut part] {
                        let both = batch.value_and_grad_into(&theta, &mut found)?;
                        assert_eq!((both, bits(&found)), (value, bits(&grad)), "{name}, {} rows", rows.len());
                        assert_eq!(batch.value(&theta)?, fresh.value(&theta)?, "{name}, {} rows", rows.len());
                    }
                    Ok(())
                })?;
            }
            assert!(batch.rows().eq(rows.iter().copied()));
        }
    }
    Ok(())
}

#[test]
fn a_batch_has_the_bits_of_a_fresh_binding() -> Result<()> {
    batch_bits::<f64>()?;
    batch_bits::<f32>()
}

#[test]
fn a_batch_of_bad_rows_is_an_error_and_keeps_what_was_chosen() -> Result<()> {
    let g = Graph::new();
    let program = (g.param("a") * g.data("x")).mean().compile()?;
    let x = [1.0, 2.0, 4.0];
    let data = program.bind([("x", &x)])?;
    let theta = program.params([("a", 1.0)])?;
    let mut batch = data.batch();
    assert!(matches!(batch.value(&theta), Err(Error::NoSamples { .. })));
    assert!(matches!(batch.value_and_grad_into(&theta, &mut program.grad_zeros()), Err(Error::NoSamples { .. })));
    batch.select(&[2, 1])?;
    assert_eq!(setting(batch.select(&[0, 3])), "rows");
    assert!(matches!(batch.select(&[]), Err(Error::NoSamples { .. })));
    assert_eq!((batch.value(&theta)?, batch.rows().collect::<Vec<_>>()), (3.0, vec![2, 1]));
    // Parts of what was chosen, and rows where they lie.
    batch.narrow(1..2)?;
    assert_eq!((batch.value(&theta)?, batch.rows().collect::<Vec<_>>()), (2.0, vec![1]));
    batch.select_range(1..3)?;
    assert_eq!((batch.value(&theta)?, batch.rows().collect::<Vec<_>>()), (3.0, vec![1, 2]));
    #[allow(clippy::reversed_empty_ranges)]
    for wrong in [0..4, 2..1, 3..4] {
        assert_eq!(setting(batch.select_range(wrong)), "rows");
    }
    assert_eq!(setting(batch.narrow(1..3)), "rows");
    assert!(matches!(batch.narrow(1..1), Err(Error::NoSamples { .. })));
    batch.narrow(0..2)?;
    assert_eq!((batch.value(&theta)?, batch.rows().collect::<Vec<_>>()), (3.0, vec![2, 1]));
    let other = g.param("z").square().compile()?;
    assert!(matches!(batch.value(&other.zeros()), Err(Error::Layout { .. })));
    assert!(matches!(batch.value_and_grad_into(&theta, &mut other.grad_zeros()), Err(Error::Layout { .. })));
    // A sum has a value over no samples.
    let g = Graph::new();
    let sum = (g.param("a") * g.data("x")).sum().compile()?;
    let data = sum.bind([("x", &x)])?;
    let mut batch = data.batch();
    assert_eq!(batch.value(&sum.zeros())?, 0.0);
    Ok(())
}

/// Logistic regression with a small penalty: its optimum is the full batch's.
fn logistic<T: Real>() -> Result<Program<T>> {
    let g = Graph::new();
    let (x, y, w, b) = (g.data_with("x", &[3]), g.data("y"), g.param_with("w", &[3]), g.param("b"));
    let score = (x * w).sum_dim(-1) + b;
    compile((score.softplus() - y * score).mean() + 1e-3 * w.square().sum(), &Options::new())
}

/// Three features and labels that follow them, not always.
fn labelled<T: Real>(n: usize) -> (Vec<Vec<T>>, Vec<T>) {
    let x: Vec<Vec<T>> = [0.0, 0.31, 0.77].map(|s| spread::<T>(n, s).iter().map(|v| T::from_f64(2.0 * v.to_f64() - 1.0)).collect()).into();
    let noise = |i: usize| ((i * i) as f64 * 0.754_877_666).fract() * 2.0 - 1.0;
    let y = (0..n).map(|i| T::from_f64(f64::from(u8::from(1.5 * x[0][i].to_f64() - x[1][i].to_f64() + 0.3 + noise(i) > 0.0)))).collect();
    (x, y)
}

fn bind<'d, T: Real>(program: &Program<T>, x: &'d [Vec<T>], y: &'d [T], rows: std::ops::Range<usize>) -> Result<Bound<'d, T>> {
    program.bind([("x", x.iter().map(|c| &c[rows.clone()]).collect::<Vec<_>>()), ("y", vec![&y[rows]])])
}

#[test]
fn batches_converge_to_the_full_optimum() -> Result<()> {
    let program = logistic::<f64>()?;
    let (x, y) = labelled(5000);
    let data = bind(&program, &x, &y, 0..5000)?;
    let mut best = program.zeros();
    Training::new(&data, Adam::new(0.05)).steps(4000).record_every(0).schedule(Schedule::cosine(0.05, 0.0, 4000)).run(&mut best)?;
    let (_, grad) = data.value_and_grad(&best)?;
    assert!(grad.norm() < 1e-8, "{}", grad.norm());
    let mut theta = program.zeros();
    let schedule = Schedule::exponential(1.0, 0.99).by_epoch();
    let mut training = Training::new(&data, Sgd::new(1.0).momentum(0.5)).batch_size(128).shuffle(11).epochs(800).record_every(0).schedule(schedule);
    assert_eq!(training.run(&mut theta)?.steps, 800 * 40);
    let excess = data.value(&theta)? - data.value(&best)?;
    assert!((0.0..1e-6).contains(&excess), "{excess}");
    // The loss is flat there: with a curvature of about 0.1 an excess of 1e-6 is 4e-3 away.
    for (found, expected) in theta.values().iter().zip(best.values()) {
        assert!((found - expected).abs() < 5e-3 * expected.abs().max(1.0), "{theta}, {best}");
    }
    Ok(())
}

fn same_on_any_number_of_threads<T: Real>() -> Result<()> {
    let program = logistic::<T>()?;
    let (x, y) = labelled::<T>(200_000);
    let data = bind(&program, &x, &y, 0..180_000)?;
    let held_out = bind(&program, &x, &y, 180_000..200_000)?;
    let run = |threads: usize, seed: u64, copy: bool| -> Result<Vec<u64>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut theta = program.zeros();
            let stopping = EarlyStopping::new(&held_out).patience(2);
            let mut training = Training::new(&data, Adam::new(0.1)).batch_size(65_536).shuffle(seed).epochs(4).copy_samples(copy).early_stopping(stopping);
            training.run(&mut theta)?;
            let losses = training.history().losses().map(|x| x.to_f64().to_bits());
            Ok(bits(&theta).into_iter().chain(losses).collect())
        })
    };
    let one = run(1, 5, true)?;
    assert_eq!(one.len(), 4 + 12);
    assert_eq!((&run(2, 5, true)?, &run(3, 5, false)?, &run(1, 5, false)?), (&one, &one, &one));
    assert_ne!(run(1, 6, true)?, one);
    Ok(())
}

#[test]
fn threads_change_no_bit() -> Result<()> {
    same_on_any_number_of_threads::<f64>()?;
    same_on_any_number_of_threads::<f32>()
}

/// The plain twin: batches bound one by one, and the rules of early stopping and a plateau written out.
#[test]
fn a_training_is_the_loop_written_out() -> Result<()> {
    let program = logistic::<f64>()?;
    let (x, y) = labelled::<f64>(1100);
    let data = bind(&program, &x, &y, 0..1000)?;
    let held_out = bind(&program, &x, &y, 1000..1100)?;
    let (epochs, seen) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let mut theta = program.zeros();
    let plateau = OnPlateau::new(0.5).factor(0.5).patience(1).threshold(1e-3);
    let stopping = EarlyStopping::new(&held_out).every(3).patience(9).min_delta(1e-5);
    let mut training = Training::new(&data, Sgd::new(7.0).momentum(0.5))
        .batch_size(300)
        .shuffle(2)
        .steps(500)
        .schedule(plateau.clone())
        .early_stopping(stopping)
        .record_every(7)
        .observe(|p| {
            seen.borrow_mut().push((p.step, p.epoch, p.loss, p.learning_rate));
            Continue(())
        })
        .observe_epochs(|e| {
            epochs.borrow_mut().push((e.epoch, e.step, e.loss, e.validation));
            Continue(())
        });
    let outcome = training.run(&mut theta)?;
    assert_eq!(outcome.reason, Stop::EarlyStopping);

    let (mut sgd, mut schedule) = (Sgd::new(0.5).momentum(0.5), Schedule::from(plateau));
    let mut batches = Batches::new(1000, 300)?.shuffle(2);
    let (mut at, mut best, mut stale, mut step) = (program.zeros(), (f64::INFINITY, 0, program.zeros()), 0, 0);
    let (mut validations, mut losses) = (Vec::new(), Vec::new());
    let mut last = 0.0;
    while stale < 9 {
        step += 1;
        let rows = batches.rows(step);
        let copies: Vec<Vec<f64>> = x.iter().map(|c| rows.iter().map(|r| c[*r]).collect()).collect();
        let labels: Vec<f64> = rows.iter().map(|r| y[*r]).collect();
        let (loss, grad) = bind(&program, &copies, &labels, 0..rows.len())?.value_and_grad(&at)?;
        let rate = schedule.rate(step - 1);
        assert_eq!(seen.borrow()[step as usize - 1], (step, (step - 1) / 4 + 1, loss, rate));
        sgd.set_learning_rate(rate);
        sgd.step(&mut at, &grad)?;
        (last, _) = (loss, losses.push(loss * rows.len() as f64));
        let mut validation = None;
        if step % 3 == 0 {
            let value = held_out.value(&at)?;
            validations.push((step, value));
            validation = Some(value);
            if value < best.0 - 1e-5 {
                (best, stale) = ((value, step, at.clone()), 0);
            } else {
                stale += 1;
            }
            schedule.observe(step - 1, value);
        }
        if step % 4 == 0 {
            let mean = losses.drain(..).sum::<f64>() / 1000.0;
            let (number, at, loss, held) = epochs.borrow()[step as usize / 4 - 1];
            assert_eq!((number, at, held), (step / 4, step, validation));
            assert!((loss - mean).abs() < 1e-14);
        }
    }
    assert!(schedule.rate(0) < 0.5, "the plateau was reached");
    assert_eq!((outcome.steps, outcome.loss), (step, last));
    assert_eq!(training.validations(), validations);
    assert_eq!((bits(&theta), training.best()), (bits(&best.2), Some((best.0, best.1, &best.2))));
    let rows: Vec<u64> = training.history().rows().map(|row| row.step).collect();
    let due = (1..=step).filter(|s| *s == 1 || s % 7 == 0 || *s == step);
    assert_eq!(rows, due.collect::<Vec<_>>());
    assert_eq!(training.history().last().map(|row| row.loss), Some(last));
    Ok(())
}

#[test]
fn epochs_count_and_observers_break_off() -> Result<()> {
    let program = logistic::<f64>()?;
    let (x, y) = labelled::<f64>(100);
    let data = bind(&program, &x, &y, 0..100)?;
    let mut theta = program.zeros();
    let mut training = Training::new(&data, Sgd::new(0.1)).batch_size(30).epochs(3);
    let outcome = training.run(&mut theta)?;
    assert_eq!((outcome.steps, outcome.reason), (12, Stop::Steps));
    let mut training = training.steps(2);
    assert_eq!(training.run(&mut theta)?.steps, 2);
    let mut training = training.epochs(2);
    assert_eq!(training.run(&mut theta)?.steps, 6, "the rest of an epoch, and one more");
    assert_eq!(training.history().last().map(|row| row.step), Some(20));

    let mut training = Training::new(&data, Sgd::new(0.1)).batch_size(30).observe_epochs(|e| if e.epoch == 5 { Break(()) } else { Continue(()) });
    let outcome = training.run(&mut theta)?;
    assert_eq!((outcome.steps, outcome.reason), (20, Stop::Observer));

    // Without batches an epoch is a step.
    let held_out = bind(&program, &x, &y, 0..50)?;
    let mut epochs = 0;
    let mut training = Training::new(&data, Sgd::new(0.1)).epochs(5).early_stopping(EarlyStopping::new(&held_out)).observe_epochs(|e| {
        epochs += 1;
        assert!(e.validation.is_some() && e.epoch == e.step);
        Continue(())
    });
    assert_eq!(training.run(&mut theta)?.steps, 5);
    assert_eq!(training.validations().len(), 5);
    drop(training);
    assert_eq!(epochs, 5);
    // A run that ends between evaluations looks at its last point too.
    let mut training = Training::new(&data, Sgd::new(0.1)).steps(5).early_stopping(EarlyStopping::new(&held_out).every(3));
    training.run(&mut theta)?;
    assert_eq!(training.validations().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(training.best().map(|(value, ..)| value), Some(held_out.value(&theta)?));
    Ok(())
}

#[test]
fn what_is_not_finite_is_named_with_its_row() -> Result<()> {
    let g = Graph::new();
    let program = (g.param("w") * g.data("x")).ln().mean().compile()?;
    let mut x = vec![1.0; 100];
    x[83] = -1.0;
    let data = program.bind([("x", &x)])?;
    let mut theta = program.params([("w", 1.0)])?;
    let mut batches = Batches::new(100, 9)?.shuffle(4);
    let at = (1..=12).find(|step| batches.rows(*step).contains(&83)).expect("in some batch");
    let mut training = Training::new(&data, Sgd::new(1e-3)).batch_size(9).shuffle(4);
    let Err(Error::NonFinite(report)) = training.run(&mut theta) else { panic!("a logarithm of -1") };
    assert_eq!((report.node.as_str(), report.sample, report.step), ("ln", Some(83), Some(at)));
    assert_eq!(training.history().len() as u64, at - 1);
    // In the validation: the point before the update stays.
    let good = program.bind([("x", &x[..50])])?;
    let mut theta = program.params([("w", 1.0)])?;
    let mut training = Training::new(&good, Sgd::new(1e-3)).early_stopping(EarlyStopping::new(&data));
    let Err(Error::NonFinite(report)) = training.run(&mut theta) else { panic!("a logarithm of -1") };
    assert_eq!((report.node.as_str(), report.sample, report.step), ("ln", Some(83), Some(1)));
    assert_eq!((theta.values(), training.best().is_none(), training.failed_at().is_some()), (&[1.0][..], true, true));
    Ok(())
}

#[test]
fn bad_settings_are_errors_that_name_them() -> Result<()> {
    let program = logistic::<f64>()?;
    let (x, y) = labelled::<f64>(10);
    let data = bind(&program, &x, &y, 0..10)?;
    let none = bind(&program, &x, &y, 0..0);
    assert!(matches!(none, Err(Error::NoSamples { .. })));
    type Loop<'a> = Training<'a, 'a, f64, Sgd>;
    let run = |change: &dyn for<'a> Fn(Loop<'a>) -> Loop<'a>| {
        let data = bind(&program, &x, &y, 0..10)?;
        change(Training::new(&data, Sgd::new(0.1))).run(&mut program.zeros())
    };
    assert_eq!(setting(run(&|t| t.batch_size(0))), "batch_size");
    assert_eq!(setting(run(&|t| t.epochs(0))), "epochs");
    assert_eq!(setting(run(&|t| t.clip_norm(-1.0))), "clip_norm");
    assert_eq!(setting(run(&|t| t.checkpoint_every(0, |_| Continue(())))), "checkpoint_every");
    assert_eq!(setting(run(&|t| t.schedule(Schedule::constant(-1.0)))), "schedule constant rate");
    assert_eq!(setting(run(&|t| t.schedule(Schedule::step_decay(0.1, 0, 0.5)))), "schedule step_decay every");
    assert_eq!(setting(run(&|t| t.schedule(Schedule::cosine(0.1, 0.0, 0)))), "schedule cosine period");
    assert_eq!(setting(run(&|t| t.schedule(Schedule::cosine(0.1, f64::NAN, 5)))), "schedule cosine minimum");
    assert_eq!(setting(run(&|t| t.schedule(Schedule::exponential(0.1, f64::INFINITY)))), "schedule exponential factor");
    assert_eq!(setting(run(&|t| t.schedule(Schedule::constant(0.1).warm_up(5, -0.1)))), "schedule warm_up start");
    assert_eq!(setting(run(&|t| t.schedule(OnPlateau::new(0.1).factor(1.0)))), "schedule on_plateau factor");
    let stop = |change: fn(EarlyStopping<'_>) -> EarlyStopping<'_>| {
        setting(Training::new(&data, Sgd::new(0.1)).early_stopping(change(EarlyStopping::new(&data))).run(&mut program.zeros()))
    };
    assert_eq!(stop(|s| s.patience(0)), "early_stopping patience");
    assert_eq!(stop(|s| s.every(0)), "early_stopping every");
    assert_eq!(stop(|s| s.min_delta(f64::NAN)), "early_stopping min_delta");
    // No samples to make batches of; parameters of another program; a validation of another program.
    let g = Graph::new();
    let sum = (g.param("a") * g.data("x")).sum().compile()?;
    let empty = sum.bind([("x", &[] as &[f64])])?;
    assert_eq!(setting(Training::new(&empty, Sgd::new(0.1)).batch_size(4).run(&mut sum.zeros())), "batch_size");
    assert!(matches!(Training::new(&data, Sgd::new(0.1)).batch_size(4).run(&mut sum.zeros()), Err(Error::Layout { .. })));
    let foreign = Training::new(&data, Sgd::new(0.1)).early_stopping(EarlyStopping::new(&empty)).run(&mut program.zeros());
    assert!(matches!(foreign, Err(Error::Layout { .. })));
    Ok(())
}

/// The last step that observers are told is where the run ends, by steps or epochs, from any step on.
#[test]
fn observers_know_where_a_run_ends() -> Result<()> {
    let g = Graph::new();
    let program = (g.param("w") - g.data("x")).square().mean().compile()?;
    let x: Vec<f64> = (0..10).map(f64::from).collect();
    let data = program.bind([("x", &x)])?;
    let mut theta = program.zeros();
    for (epochs, first, expected) in [(None, 1, 7), (Some(2), 1, 6), (Some(2), 3, 6), (Some(2), 2, 6), (Some(1), 4, 6), (None, 3, 9)] {
        let seen = std::cell::RefCell::new(Vec::new());
        let training = Training::new(&data, Sgd::new(0.1)).batch_size(4).first_step(first);
        let training = if let Some(epochs) = epochs { training.epochs(epochs) } else { training.steps(7) };
        let mut training = training.observe(|p| {
            seen.borrow_mut().push((p.step, p.last_step));
            std::ops::ControlFlow::Continue(())
        });
        training.run(&mut theta)?;
        let seen = seen.borrow();
        assert!(seen.iter().all(|(_, last)| *last == expected) && seen.last() == Some(&(expected, expected)), "{epochs:?} {first}: {seen:?}");
    }
    Ok(())
}
