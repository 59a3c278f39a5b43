//! A training killed by `kill -9` at random moments and resumed from its file each time ends with the bits and the history of one that never was; no moment
//! leaves a file that can't be read.
//!
//! `TAPELESS_KILLS` sets how many kills (default 30), `TAPELESS_SEED` which moments.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tapeless::fit::{AdamW, Checkpoint, EarlyStopping, Every, OnPlateau};
use tapeless::prelude::*;
use tapeless::{Real, Result, compile};

/// How many trainings there are.
const KINDS: u64 = 3;
/// Steps of each.
const STEPS: u64 = 150;
/// Tells the child its training and its file.
const KIND: &str = "TAPELESS_KILLS_KIND";
const FILE: &str = "TAPELESS_KILLS_FILE";
/// The child's last word before its first step.
const READY: &str = "ready to be killed";

fn numbers<T: Real>(n: usize, seed: f64) -> Vec<T> {
    (0..n).map(|i| T::from_f64((seed + (i + 1) as f64 * 0.618_033_988_749_895).fract())).collect()
}

/// Trains to the end: from the file if there is one, and writing to it after each step; without interruption if no file is given. All that is left, as text:
/// parameters, the stepper's state, history, validation losses.
fn train<T: Real>(kind: u64, path: Option<&Path>) -> Result<String> {
    let g = Graph::new();
    let hidden = (g.data("x") * g.param_with("v", &[5]) + g.param_with("c", &[5])).tanh();
    let prediction = (hidden * g.param_with("w", &[5])).sum_dim(-1) + g.param("b");
    let program = compile::<T>((prediction - g.data("y")).square().mean(), &Options::new())?;
    let (x, y) = (numbers::<T>(260, 0.0), numbers::<T>(260, 0.5));
    let data = program.bind([("x", &x[..200]), ("y", &y[..200])])?;
    let held_out = program.bind([("x", &x[200..]), ("y", &y[200..])])?;
    let stepper = AdamW::new(0.02);
    let training = Training::new(&data, stepper).steps(STEPS);
    let mut training = match kind {
        0 => training.batch_size(48).shuffle(7).clip_norm(0.5).record_params(true),
        1 => {
            let stopping = EarlyStopping::new(&held_out).every(2).patience(STEPS);
            training.batch_size(64).shuffle(u64::MAX).schedule(OnPlateau::new(0.1).factor(0.5).patience(4)).early_stopping(stopping).record_every(3)
        }
        _ => training.tolerance(0.0).patience(STEPS),
    };
    let mut theta = program.zeros();
    theta.values_mut().iter_mut().enumerate().for_each(|(k, v)| *v = T::from_f64(((k + 1) as f64 * 0.7).sin()));
    if let Some(path) = path {
        training = training.checkpoint_to(path, Every::Steps(1));
        if path.exists() {
            theta = training.resume(&Checkpoint::read(path)?)?;
        }
        println!("{READY}");
    }
    training.run(&mut theta)?;
    Ok(training.save(&theta).to_string())
}

fn train_kind(kind: u64, path: Option<&Path>) -> Result<String> {
    if kind == 2 { train::<f32>(kind, path) } else { train::<f64>(kind, path) }
}

/// Where the child puts what it ends with.
fn end_of(path: &Path) -> PathBuf {
    path.with_extension("end")
}

#[test]
// Ignored here, and run in every suite all the same: the test below starts it, again and again.
#[ignore = "run by the test below in processes of its own"]
fn child() -> Result<()> {
    let (Ok(kind), Ok(path)) = (std::env::var(KIND), std::env::var(FILE)) else { return Ok(()) };
    let (kind, path) = (kind.parse().expect("a kind"), PathBuf::from(path));
    let end = train_kind(kind, Some(&path))?;
    std::fs::write(end_of(&path), end).expect("it can be written");
    Ok(())
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// What the kills have hit.
#[derive(Default, Debug)]
struct Tally {
    kills: u64,
    /// Children that ended before they were killed.
    late: u64,
    /// Kills after which there was no file yet, and after which there was one.
    without_file: u64,
    readable: u64,
    /// Kills in the middle of writing, which left half a file beside.
    in_writing: u64,
    trainings: u64,
}

/// Starts the child on a training; kills it at some moment, or waits for its end. Whether it ended by itself.
fn live_and_die(kind: u64, path: &Path, moment: Option<&mut StdRng>) -> bool {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(KIND, kind.to_string())
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("this test starts");
    if let Some(moments) = moment {
        // One in eight dies before its first step, or near it; the others in their first steps.
        if moments.random_range(0..8) > 0 {
            let lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
            for line in lines.map_while(std::io::Result::ok) {
                if line.contains(READY) {
                    break;
                }
            }
        }
        let after = Duration::from_micros(moments.random_range(0..60_000));
        let begun = Instant::now();
        // Sleeping is coarser than the moments are.
        std::thread::sleep(after.saturating_sub(Duration::from_millis(1)));
        while begun.elapsed() < after {
            std::hint::spin_loop();
        }
        // SIGKILL, on Unix.
        child.kill().expect("it can be killed");
    }
    // Drains the pipe, too.
    child.wait_with_output().expect("it ends").status.success()
}

#[test]
fn kill_9_at_any_moment_loses_nothing() -> Result<()> {
    let kills = variable("TAPELESS_KILLS", 30);
    let mut moments = StdRng::seed_from_u64(variable("TAPELESS_SEED", 1));
    let folder = std::env::temp_dir().join(format!("tapeless-kills-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a new folder");
    let path = folder.join("fit.checkpoint");
    let count = |extension: &str| {
        let entries = std::fs::read_dir(&folder).expect("it is there").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.extension().is_some_and(|e| e == extension)).count() as u64
    };
    let mut tally = Tally::default();
    // A training is killed some fifty times, and then goes to its end.
    let each = (kills / KINDS).clamp(1, 50);
    while tally.kills < kills {
        let kind = tally.trainings % KINDS;
        let expected: Checkpoint = train_kind(kind, None)?.parse()?;
        let mut reached = 0;
        for _ in 0..each.min(kills - tally.kills) {
            let ended = live_and_die(kind, &path, Some(&mut moments));
            tally.kills += u64::from(!ended);
            tally.late += u64::from(ended);
            if !path.exists() {
                assert_eq!(reached, 0, "the file is gone");
                tally.without_file += 1;
                continue;
            }
            let saved = Checkpoint::read(&path)?;
            tally.readable += 1;
            // It never goes back, and has what the uninterrupted training had so far.
            assert!(saved.step() >= reached);
            reached = saved.step();
            let rows = saved.history().rows().len();
            assert!(saved.history().rows().eq(expected.history().rows().take(rows)), "step {reached} of training {kind}");
            assert_eq!(rows, expected.history().rows().filter(|row| row.step <= reached).count());
            if ended {
                break;
            }
        }
        assert!(live_and_die(kind, &path, None), "training {kind} comes to its end");
        let end = std::fs::read_to_string(end_of(&path)).expect("the child wrote it");
        assert!(end == expected.to_string(), "training {kind}:\n{end}\nand uninterrupted\n{expected}");
        tally.trainings += 1;
        tally.in_writing += count("tmp");
        std::fs::remove_dir_all(&folder).and_then(|()| std::fs::create_dir(&folder)).expect("it is ours");
    }
    println!("{tally:?}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
    assert!(tally.readable > kills / 2 && tally.late < kills, "{tally:?}");
    Ok(())
}
