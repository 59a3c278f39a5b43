//! What is done with a formula: compiled, bound, evaluated, trained, saved and resumed, rightly and wrongly; and what must hold then.

use crate::formulas::entries;
use crate::random::{Numbers, leaf::awkward};
use arbitrary::{Result, Unstructured};
use std::cell::RefCell;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::OnceLock;
use tapeless::backend::Backend;
use tapeless::check;
use tapeless::fit::{Adam, AdamW, Batches, Checkpoint, EarlyStopping, OnPlateau, Schedule, Sgd, State, Stepper, Training};
use tapeless::graph::{Input, text};
use tapeless::prelude::*;
use tapeless::{Columns, Error, Real};

/// Entries of a formula that is compiled.
const ENTRIES: usize = 3000;
const LENGTHS: [usize; 12] = [0, 1, 2, 3, 7, 8, 9, 16, 17, 33, 65, 130];
/// Several leaves, so that threads share them.
const LONG: usize = 9000;

/// Uses a formula in one way or another.
pub fn go(u: &mut Unstructured<'_>, loss: Expr<'_>, pool: &[Expr<'_>]) -> Result<()> {
    if entries(&loss.graph().dag()) > ENTRIES {
        return Ok(());
    }
    if u.ratio(1, 8)? { compiled::<f32>(u, loss, pool) } else { compiled::<f64>(u, loss, pool) }
}

/// An error says something.
fn told(error: &Error) {
    assert!(!error.to_string().is_empty() && !format!("{error:?}").is_empty());
}

fn same_number<T: Real>(a: T, b: T) -> bool {
    bits(&a) == bits(&b)
}

fn bits<T: Real>(x: &T) -> u64 {
    let x = x.to_f64();
    if x.is_nan() { u64::MAX } else { x.to_bits() }
}

fn all_bits<T: Real>(value: T, grad: &Grad<T>) -> Vec<u64> {
    std::iter::once(&value).chain(grad.values()).map(bits).collect()
}

fn compiled<T: Real>(u: &mut Unstructured<'_>, loss: Expr<'_>, pool: &[Expr<'_>]) -> Result<()> {
    let mut options = Options::new();
    options = match u.int_in_range(0..=7)? {
        0 => options.backend(Backend::Interp),
        1 => options.backend(Backend::Avx2),
        2 => options.without_simplifier(),
        _ => options,
    };
    let names: Vec<String> = loss.graph().dag().params().iter().map(|p| p.name.clone()).collect();
    match u.int_in_range(0..=15)? {
        0 => options = options.wrt(["nobody"]),
        1 => options = options.wrt(["p", "p"]),
        2 => options = options.wrt(Vec::<String>::new()),
        3 => options = options.wrt(names.iter().rev().cloned()),
        4 => options = options.wrt(names.iter().filter(|n| n.len() % 2 == 1).cloned()),
        5 => options = options.with_curvature(),
        _ => {}
    }
    let program = match tapeless::compile::<T>(loss, &options) {
        Ok(program) => program,
        Err(error) => {
            told(&error);
            return Ok(());
        }
    };
    let length = u.int_in_range(0..=47)?;
    let length = if length == 47 && entries(program.dag()) < 60 { LONG } else { LENGTHS[length % LENGTHS.len()] };
    let mut numbers = Numbers(u.arbitrary()?);
    let tame = u.ratio(3, 4)?;
    let samples = Samples::<T>::new(program.formula_dag().data(), length, tame, &mut numbers);
    wrong_bindings(u, &program, &samples)?;
    let bound = match program.bind(samples.columns()) {
        Ok(bound) => bound,
        Err(error) => {
            let unlabelled = |i: &Input| i.labels.is_some_and(|l| l.below == 0);
            let excused = matches!(error, Error::NoSamples { .. }) && length == 0 || program.formula_dag().data().iter().any(unlabelled);
            assert!(excused, "{error}\n{program:?}");
            return Ok(());
        }
    };
    let theta = theta(u, &program, tame, &mut numbers)?;
    let Some(expected) = evaluated(u, &program, &bound, &theta)? else { return Ok(()) };
    match u.int_in_range(0..=7)? {
        0 => functions::<T>(u, pool, &options, &samples, &theta)?,
        1 => rows(&program, &samples, &theta, &expected),
        2 => threads(&bound, &theta, &expected),
        3 | 4 => batches(u, &program, &bound, &samples, &theta)?,
        _ => trained(u, &program, &bound, &theta)?,
    }
    Ok(())
}

/// Right numbers for every input.
struct Samples<T> {
    inputs: Vec<(String, Vec<Vec<T>>)>,
    length: usize,
}

impl<T: Real> Samples<T> {
    fn new(inputs: &[Input], length: usize, tame: bool, numbers: &mut Numbers) -> Self {
        let mut column = |below: Option<u32>| -> Vec<T> {
            let one = |_| match below {
                Some(below) => T::from_f64((numbers.bits() % u64::from(below.clamp(1, 100))) as f64),
                None if tame => T::from_f64(numbers.around()),
                None => awkward(numbers),
            };
            (0..length).map(one).collect()
        };
        let inputs = inputs.iter().map(|i| (i.name.clone(), (0..i.shape.entries()).map(|_| column(i.labels.map(|l| l.below))).collect())).collect();
        Samples { inputs, length }
    }

    fn columns(&self) -> impl Iterator<Item = (&String, Columns<'_, T>)> {
        self.inputs.iter().map(|(name, c)| (name, Columns::from(c.iter().map(Vec::as_slice).collect::<Vec<&[T]>>())))
    }

    /// Some of the samples.
    fn only(&self, rows: &[usize]) -> Self {
        let inputs = self.inputs.iter().map(|(name, c)| (name.clone(), c.iter().map(|c| rows.iter().map(|r| c[*r]).collect()).collect())).collect();
        Samples { inputs, length: rows.len() }
    }
}

/// Columns that can't be right, or just might.
fn wrong_bindings<T: Real>(u: &mut Unstructured<'_>, program: &Program<T>, samples: &Samples<T>) -> Result<()> {
    let flat: Vec<T> = samples.inputs.first().map(|(_, c)| c.concat()).unwrap_or_default();
    let labels: Vec<i64> = (0..samples.length as i64).map(|i| i - 1).collect();
    let missing: Vec<Option<u32>> = (0..samples.length as u32).map(|i| (i % 3 > 0).then_some(i)).collect();
    let bytes: Vec<u8> = (0..samples.length).map(|i| i as u8).collect();
    for _ in 0..u.int_in_range(0..=3)? {
        let mut columns: Vec<(String, Columns<'_, T>)> = samples.columns().map(|(n, c)| (n.clone(), c)).collect();
        let at = u.choose_index(columns.len().max(1))?;
        let size = |u: &mut Unstructured<'_>| -> Result<usize> { Ok([0, 1, 2, 3, 5, 100, 1 << 63, usize::MAX][u.choose_index(8)?]) };
        let other = match u.int_in_range(0..=9)? {
            0 => Columns::from(&labels),
            1 => Columns::from(&missing),
            2 => Columns::from(&bytes),
            3 => Columns::from_rows(&flat, size(u)?.min(200)),
            4 => Columns::strided(&flat, [size(u)?, size(u)?.min(200)], [size(u)?, size(u)?]),
            5 => Columns::strided(&flat, [size(u)?, size(u)?.min(200)], [size(u)?, size(u)?]).entries(size(u)?..size(u)?),
            6 => Columns::from(&flat),
            7 => {
                columns.truncate(at);
                Columns::from(&flat)
            }
            8 => {
                columns.push(("nobody".into(), Columns::from(&flat)));
                Columns::from(&flat)
            }
            _ => {
                columns.extend(columns.first().cloned());
                Columns::from(&flat)
            }
        };
        if let Some(column) = columns.get_mut(at) {
            column.1 = other;
        }
        match program.bind(columns) {
            Err(error) => told(&error),
            // It may fit after all.
            Ok(bound) => drop(bound.value_and_grad(&program.zeros())),
        }
    }
    Ok(())
}

fn theta<T: Real>(u: &mut Unstructured<'_>, program: &Program<T>, tame: bool, numbers: &mut Numbers) -> Result<Params<T>> {
    let mut one = || if tame { numbers.around() } else { awkward::<T>(numbers).to_f64() };
    let declared = program.formula_dag().params();
    let mut named: Vec<(String, Vec<f64>)> = declared.iter().map(|p| (p.name.clone(), (0..p.shape.entries()).map(|_| one()).collect())).collect();
    let theta = program.params(named.clone()).expect("every parameter as declared");
    match u.int_in_range(0..=15)? {
        0 => named.push(("nobody".into(), vec![1.0])),
        1 => drop(named.pop()),
        2 => named.iter_mut().for_each(|(_, v)| v.push(0.0)),
        3 => named.extend(named.first().cloned()),
        _ => return Ok(theta),
    }
    if let Err(error) = program.params(named) {
        told(&error);
    }
    Ok(theta)
}

/// Value and gradient, as often as one likes; `None` for a program without a gradient.
fn evaluated<T: Real>(u: &mut Unstructured<'_>, program: &Program<T>, bound: &Bound<'_, T>, theta: &Params<T>) -> Result<Option<Vec<u64>>> {
    let value = bound.value(theta).expect("a right call");
    let (both, grad) = match bound.value_and_grad(theta) {
        Ok(both) => both,
        Err(error) => {
            assert!(matches!(error, Error::Setting { .. }), "{error}");
            return Ok(None);
        }
    };
    // The value alone may differ in its last digits: see `Bound::value`.
    assert!(same_number(value, bound.value(theta).expect("a right call")), "called again");
    let mut again = program.grad_zeros();
    let third = bound.value_and_grad_into(theta, &mut again).expect("a right call");
    let expected = all_bits(both, &grad);
    assert_eq!(all_bits(third, &again), expected, "called again");
    match u.int_in_range(0..=15)? {
        0 => drop(bound.check_definite(theta)),
        1 => {
            let found = bound.find_non_finite(theta).expect("a right call");
            if let Some(found) = found {
                assert!(!found.to_string().is_empty());
            }
        }
        2 if grad.values().len() <= 4 && bound.samples() < 50 => match check::gradient(bound, theta) {
            Ok(report) => assert!(!report.to_string().is_empty()),
            Err(error) => told(&error),
        },
        3 => {
            let text = program.graph_text();
            let back = text::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(text::print(&back), text);
        }
        4 => {
            // Without a pass over samples there is no machine code.
            let _ = program.assembly();
            assert!(!program.report().is_empty() && !program.gradient_source().is_empty());
        }
        5 if program.curvature_passes().is_some() => {
            let (value, first, _) = bound.hessian_vector_product(theta, &grad).expect("a right call");
            let _ = (value, first);
            if grad.values().len() <= 9 {
                bound.hessian(theta).expect("a right call");
            }
        }
        _ => {}
    }
    Ok(Some(expected))
}

/// Expressions of any shape: those that the loss doesn't use, too.
fn functions<T: Real>(u: &mut Unstructured<'_>, pool: &[Expr<'_>], options: &Options, samples: &Samples<T>, theta: &Params<T>) -> Result<()> {
    let named: Vec<(&str, Expr<'_>)> = (0..u.int_in_range(1..=3)?).map(|_| Ok(("result", pool[u.choose_index(pool.len())?]))).collect::<Result<_>>()?;
    let function = match tapeless::compile_function::<T>(&named, options) {
        Ok(function) => function,
        Err(error) => {
            told(&error);
            return Ok(());
        }
    };
    match function.bind(samples.columns()) {
        // The layout is another one where parameters are declared in another graph; here it is the same.
        Ok(bound) => {
            let out = bound.eval(theta).expect("a right call");
            for (array, (_, e)) in out.iter().zip(&named) {
                assert_eq!((&array.shape, array.numbers.len()), (&e.shape(), e.shape().entries() * array.rows));
            }
        }
        Err(error) => told(&error),
    }
    if let Err(error) = function.at(theta) {
        told(&error);
    }
    Ok(())
}

/// The same data, row by row.
fn rows<T: Real>(program: &Program<T>, samples: &Samples<T>, theta: &Params<T>, expected: &[u64]) {
    let tables: Vec<(String, Vec<T>, usize)> =
        samples.inputs.iter().map(|(name, c)| (name.clone(), (0..samples.length).flat_map(|i| c.iter().map(move |c| c[i])).collect(), c.len())).collect();
    let columns = tables.iter().map(|(name, table, width)| (name, Columns::from_rows(table, *width)));
    let bound = program.bind(columns).expect("as columns, so as rows");
    let (value, grad) = bound.value_and_grad(theta).expect("a right call");
    assert_eq!(all_bits(value, &grad), expected, "by rows:\n{program:?}\n{:?}", program.formula_dag());
}

/// The same on three threads.
fn threads<T: Real>(bound: &Bound<'_, T>, theta: &Params<T>, expected: &[u64]) {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    let pool = POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads"));
    let (value, grad) = pool.install(|| bound.value_and_grad(theta)).expect("a right call");
    assert_eq!(all_bits(value, &grad), expected, "on three threads:\n{:?}", bound.program());
}

/// Batches have the bits of fresh bindings.
fn batches<T: Real>(u: &mut Unstructured<'_>, program: &Program<T>, bound: &Bound<'_, T>, samples: &Samples<T>, theta: &Params<T>) -> Result<()> {
    let mut batch = bound.batch();
    let mut grad = program.grad_zeros();
    for _ in 0..u.int_in_range(1..=5)? {
        let row = |u: &mut Unstructured<'_>| -> Result<usize> {
            Ok(if u.ratio(1, 40)? { usize::MAX } else { usize::from(u.arbitrary::<u8>()?) % (samples.length + usize::from(u.ratio(1, 40)?)).max(1) })
        };
        let chosen = match u.int_in_range(0..=3)? {
            0 => {
                let rows: Vec<usize> = (0..u.int_in_range(0..=20)?).map(|_| row(u)).collect::<Result<_>>()?;
                batch.select(&rows)
            }
            1 => batch.select_range(row(u)?..row(u)?),
            2 => batch.narrow(row(u)?..row(u)?),
            _ => match Batches::new(samples.length, usize::from(u.arbitrary::<u8>()?) % 40) {
                Ok(batches) => {
                    let rows = batches.shuffle(u.arbitrary()?).rows(u64::from(u.arbitrary::<u8>()?)).to_vec();
                    batch.select(&rows)
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = chosen {
            told(&error);
            continue;
        }
        let rows: Vec<usize> = batch.rows().collect();
        let alone = batch.value(theta);
        let both = batch.value_and_grad_into(theta, &mut grad);
        let some = samples.only(&rows);
        match program.bind(some.columns()) {
            Err(error) => {
                told(&error);
                assert!(alone.is_err() && both.is_err(), "{error}, but {alone:?} {both:?}");
            }
            Ok(fresh) => {
                let (value, expected) = fresh.value_and_grad(theta).expect("a right call");
                let expected = all_bits(value, &expected);
                assert_eq!(all_bits(both.expect("rows that are there"), &grad), expected, "a batch of {rows:?}:\n{program:?}");
                let value = fresh.value(theta).expect("a right call");
                assert!(same_number(alone.expect("rows that are there"), value), "a batch of {rows:?}, the value alone:\n{program:?}");
            }
        }
    }
    Ok(())
}

fn stepper<T: Real>(u: &mut Unstructured<'_>) -> Result<Box<dyn Fn() -> Box<dyn Stepper<T>>>> {
    let rate = [0.01, 0.1, 1e-3, 1.0, 0.0, -1.0, f64::NAN, 1e300][if u.ratio(1, 10)? { u.choose_index(8)? } else { u.choose_index(3)? }];
    let some = [0.0, 0.5, 0.9, 1e-8, 1.0, -0.1, f64::INFINITY][if u.ratio(1, 6)? { u.choose_index(7)? } else { u.choose_index(4)? }];
    let flag = u.arbitrary()?;
    Ok(match u.int_in_range(0..=3)? {
        0 => Box::new(move || Box::new(Sgd::new(rate).momentum(some).nesterov(flag && some > 0.0))),
        1 => Box::new(move || Box::new(Adam::new(rate).amsgrad(flag).weight_decay(some))),
        2 => Box::new(move || Box::new(Adam::new(rate).betas(some, 0.99).learning_rate_factor("p", 0.5))),
        _ => Box::new(move || Box::new(AdamW::new(rate).weight_decay_of("w", some))),
    })
}

/// Trains, saves, resumes; then resumes what is damaged.
fn trained<T: Real>(u: &mut Unstructured<'_>, program: &Program<T>, bound: &Bound<'_, T>, theta: &Params<T>) -> Result<()> {
    let stepper = stepper::<T>(u)?;
    let steps = u.int_in_range(1..=9)?;
    let pause = u.int_in_range(1..=9)?;
    let (batch, shuffle, seed, copy): (u8, bool, u64, bool) = (u.int_in_range(0..=20)?, u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
    let (schedule, clip, stop): (u8, bool, bool) = (u.int_in_range(0..=7)?, u.ratio(1, 4)?, u.ratio(1, 4)?);
    let training = || {
        let mut t = Training::new(bound, stepper()).steps(steps).record_every(2);
        if batch > 0 {
            t = t.batch_size(usize::from(batch - 1)).copy_samples(copy);
        }
        t = if shuffle { t.shuffle(seed) } else { t };
        t = match schedule {
            0 => t.schedule(Schedule::cosine(0.05, 1e-3, 5).warm_up(2, 0.1)),
            1 => t.schedule(OnPlateau::new(0.2).factor(0.5).patience(0).cooldown(1)),
            2 => t.schedule(Schedule::step_decay(0.1, 0, 0.5)),
            3 => t.schedule(Schedule::milestones(0.1, [3, 1, u64::MAX], 0.5).by_epoch()),
            _ => t,
        };
        t = if clip { t.clip_norm(0.5) } else { t };
        if stop { t.early_stopping(EarlyStopping::new(bound).every(1 + u64::from(batch) % 3).patience(2)) } else { t }
    };
    let mut straight = theta.clone();
    let mut first = training();
    let outcome = first.run(&mut straight);
    let saved = RefCell::new(String::new());
    let mut paused = theta.clone();
    let mut second = training().checkpoint_every(1, |checkpoint: &Checkpoint| {
        *saved.borrow_mut() = checkpoint.to_string();
        if checkpoint.step() >= pause { Break(()) } else { Continue(()) }
    });
    let until = second.run(&mut paused);
    drop(second);
    let text = saved.into_inner();
    if text.is_empty() {
        return Ok(());
    }
    let checkpoint: Checkpoint = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(checkpoint.to_string(), text);
    let mut third = training();
    let mut resumed = third.resume(&checkpoint).unwrap_or_else(|e| panic!("{e}\n{text}"));
    if until.as_ref().is_ok_and(|o| o.reason == tapeless::Stop::Paused) {
        let end = third.run(&mut resumed);
        let same = resumed.values().iter().map(bits).eq(straight.values().iter().map(bits));
        match (&outcome, &end) {
            (Ok(a), Ok(b)) => assert!(same && (a.reason, a.steps) == (b.reason, b.steps), "{a:?} {b:?} {straight:?} {resumed:?}\n{text}"),
            (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
            _ => panic!("straight {outcome:?}, resumed {end:?}\n{text}"),
        }
    }
    // Damage.
    let mut bytes = text.into_bytes();
    for _ in 0..u.int_in_range(1..=4)? {
        if bytes.is_empty() {
            break;
        }
        let at = usize::from(u.arbitrary::<u16>()?) % bytes.len();
        match u.int_in_range(0..=4)? {
            0 => bytes[at] = u.arbitrary()?,
            1 => bytes.truncate(at),
            2 => {
                let end = (at + u.int_in_range(1..=80)?).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let end = (at + u.int_in_range(1..=80)?).min(bytes.len());
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            _ => {
                let number: &[u8] = [&b"18446744073709551615"[..], b"-1", b"ffffffffffffffff", b"0", b"\n", b"99999999999999999999999"][u.choose_index(6)?];
                // In place of a word.
                let end = bytes[at..].iter().position(|b| b.is_ascii_whitespace()).map_or(bytes.len(), |n| at + n);
                bytes.splice(at..end, number.iter().copied());
            }
        }
    }
    let damaged = String::from_utf8_lossy(&bytes);
    let _ = damaged.parse::<State>();
    match damaged.parse::<Checkpoint>() {
        Err(error) => told(&error),
        Ok(checkpoint) => {
            let printed = checkpoint.to_string();
            let again: Checkpoint = printed.parse().unwrap_or_else(|e| panic!("{e}\n{printed}\nfrom\n{damaged}"));
            assert_eq!(again.to_string(), printed);
            let mut training = training();
            match training.resume(&checkpoint) {
                Err(error) => told(&error),
                Ok(mut theta) => {
                    assert_eq!(theta.values().len(), program.layout().len());
                    if let Err(error) = training.run(&mut theta) {
                        told(&error);
                    }
                }
            }
        }
    }
    Ok(())
}
