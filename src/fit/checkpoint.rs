//! A training's saved state, exact to the bit, and its text form.

use super::plateau::Plateau;
use super::state::State;
use super::text::{Vectors, bits, once, read_param, whole, words, write_param, write_setting, write_vector};
use crate::error::{Error, Result};
use crate::graph::Input;
use crate::runtime::params::Layout;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The first line of the text form.
const HEADER: &str = "tapeless training 1";
/// The line after which the stepper's state comes.
const STEPPER: &str = "stepper";
const THETA: &str = "theta";
const BEST: &str = "best";

/// All that a training's next steps depend on: what [`Training::save`](super::Training::save) gives and [`Training::resume`](super::Training::resume) takes.
///
/// It holds the parameters, the stepper's state, where in its epoch the training is, what the schedule and the early stopping have seen, and
/// the settings that the resumed training must have too. Data and closures are not in it, nor is the history.
///
/// The text form, from `Display` and read by `FromStr`, holds numbers as bit patterns, as [`State`]'s does: what is read is what was written, to the bit.
///
/// ```
/// use tapeless::fit::{Adam, Checkpoint, Training};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().mean().compile()?;
/// let data = program.bind([("x", &[1.0, 2.0, 6.0, 7.0, 9.0])])?;
/// let training = || Training::new(&data, Adam::new(0.1)).batch_size(2).shuffle(3);
///
/// let mut straight = program.zeros();
/// training().steps(20).run(&mut straight)?;
///
/// let mut theta = program.zeros();
/// let mut first = training().steps(7);                    // in the middle of the third epoch
/// first.run(&mut theta)?;
/// let text = first.save(&theta).to_string();
///
/// let mut second = training().steps(13);
/// let mut theta = second.resume(&text.parse::<Checkpoint>()?)?;
/// second.run(&mut theta)?;
/// assert_eq!(theta, straight);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    pub(super) number: String,
    pub(super) samples: u64,
    pub(super) seed: Option<u64>,
    pub(super) settings: Vec<(String, f64)>,
    pub(super) step: u64,
    pub(super) run: Counts,
    pub(super) tally: Tally,
    pub(super) plateau: Option<Plateau>,
    pub(super) stopping: Option<Watched>,
    pub(super) layout: Arc<Layout>,
    pub(super) theta: Vec<f64>,
    pub(super) stepper: State,
}

/// How far a run is that hasn't ended.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Counts {
    pub(super) steps: u64,
    pub(super) epochs: u64,
    /// In how many steps in a row the loss has been within the tolerance.
    pub(super) calm: u64,
    /// The loss of the last step.
    pub(super) loss: Option<f64>,
}

/// The losses of an epoch so far: their sum, each times its samples, and the samples.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Tally {
    pub(super) loss: f64,
    pub(super) samples: u64,
}

/// What early stopping has seen.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Watched {
    pub(super) stale: u64,
    /// The best value, its step, the parameters there.
    pub(super) best: Option<(f64, u64, Vec<f64>)>,
}

impl Checkpoint {
    /// The last step taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The stepper's state.
    pub fn stepper(&self) -> &State {
        &self.stepper
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = f64::to_bits;
        writeln!(f, "{HEADER}\nnumber {:?}\nsamples {}", self.number, self.samples)?;
        if let Some(seed) = self.seed {
            writeln!(f, "seed {seed}")?;
        }
        for (name, value) in &self.settings {
            write_setting(f, name, *value)?;
        }
        writeln!(f, "step {}", self.step)?;
        let Counts { steps, epochs, calm, loss } = self.run;
        writeln!(f, "run {steps} {epochs} {calm}{}", loss.map_or(String::new(), |loss| format!(" {:016x} # loss {loss}", hex(loss))))?;
        writeln!(f, "epoch {} {:016x}", self.tally.samples, hex(self.tally.loss))?;
        if let Some(Plateau { rate, best, bad, cooling }) = self.plateau {
            writeln!(f, "plateau {:016x} {:016x} {bad} {cooling} # rate {rate}, best loss {best}", hex(rate), hex(best))?;
        }
        for name in self.layout.names() {
            write_param(f, &self.layout, name, "")?;
        }
        write_vector(f, THETA, &self.theta)?;
        if let Some(Watched { stale, best }) = &self.stopping {
            match best {
                Some((value, step, params)) => {
                    writeln!(f, "stopping {stale} {step} {:016x} # best value {value}", hex(*value))?;
                    write_vector(f, BEST, params)?;
                }
                None => writeln!(f, "stopping {stale}")?,
            }
        }
        write!(f, "{STEPPER}\n{}", self.stepper)
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// Reads the text form. [`Error::Parse`] names the line that is not one.
    fn from_str(text: &str) -> Result<Checkpoint> {
        let head = text.lines().take_while(|line| *line != STEPPER).count();
        let mut reader = Reader::default();
        for (k, line) in text.lines().take(head).enumerate() {
            reader.line(k, line).map_err(|message| Error::Parse { line: k + 1, message })?;
        }
        let fail = |message: String| Error::Parse { line: head + 1, message };
        let rest: Vec<&str> = text.lines().skip(head + 1).collect();
        if rest.is_empty() {
            return Err(fail(format!("the training ends before the line `{STEPPER}` and the stepper's state")));
        }
        // The last line must be whole.
        let stepper: State = format!("{}{}", rest.join("\n"), if text.ends_with('\n') { "\n" } else { "" }).parse().map_err(|error| match error {
            Error::Parse { line, message } => Error::Parse { line: line + head + 1, message },
            other => other,
        })?;
        reader.finish(stepper).map_err(fail)
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    number: Option<String>,
    samples: Option<u64>,
    seed: Option<u64>,
    settings: Vec<(String, f64)>,
    step: Option<u64>,
    run: Option<Counts>,
    tally: Option<Tally>,
    plateau: Option<Plateau>,
    /// How many evaluations were no improvement, and the best one's step and value.
    stopping: Option<(u64, Option<(u64, f64)>)>,
    params: Vec<Input>,
    vectors: Vectors,
}

impl Reader {
    fn line(&mut self, k: usize, line: &str) -> Result<(), String> {
        let words = words(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if k == 0 {
            return if words.join(" ") == HEADER { Ok(()) } else { Err(format!("a training begins with `{HEADER}`")) };
        }
        if words.is_empty() || self.vectors.take(&words)? {
            return Ok(());
        }
        match *words.as_slice() {
            ["number", name] => set(&mut self.number, "number", name.to_string()),
            ["samples", count] => set(&mut self.samples, "samples", whole(count)?),
            ["seed", seed] => set(&mut self.seed, "seed", whole(seed)?),
            ["setting", name, value] => {
                self.settings.push((name.into(), bits(value)?));
                Ok(())
            }
            ["step", step] => set(&mut self.step, "step", whole(step)?),
            ["run", steps, epochs, calm, ref loss @ ..] if loss.len() < 2 => {
                let loss = loss.first().map(|loss| bits(loss)).transpose()?;
                set(&mut self.run, "run", Counts { steps: whole(steps)?, epochs: whole(epochs)?, calm: whole(calm)?, loss })
            }
            ["epoch", samples, loss] => set(&mut self.tally, "epoch", Tally { loss: bits(loss)?, samples: whole(samples)? }),
            ["plateau", rate, best, bad, cooling] => {
                let plateau = Plateau { rate: bits(rate)?, best: bits(best)?, bad: whole(bad)?, cooling: whole(cooling)? };
                set(&mut self.plateau, "plateau", plateau)
            }
            ["stopping", stale] => set(&mut self.stopping, "stopping", (whole(stale)?, None)),
            ["stopping", stale, step, value] => set(&mut self.stopping, "stopping", (whole(stale)?, Some((whole(step)?, bits(value)?)))),
            ["param", name, ref dims @ ..] => read_param(&mut self.params, name, dims),
            ["vector", name, count] => self.vectors.begin(name, count),
            [first, ..] => Err(format!("not a line of a training, or not all of it: `{first} ...`")),
            [] => Ok(()),
        }
    }

    fn finish(self, stepper: State) -> Result<Checkpoint, String> {
        let layout = Layout::new(&self.params);
        if let Some(message) = self.vectors.misfit(&layout) {
            return Err(message);
        }
        let mut vectors = self.vectors.list;
        let mut vector = |name: &str| vectors.iter().position(|(n, _)| n == name).map(|k| vectors.swap_remove(k).1);
        let theta = vector(THETA).ok_or("a training has its parameters in the vector \"theta\"")?;
        let stopping = match self.stopping {
            Some((stale, best)) => {
                let best = best.map(|(step, value)| Ok::<_, String>((value, step, vector(BEST).ok_or("the best parameters are missing")?))).transpose()?;
                Some(Watched { stale, best })
            }
            None => None,
        };
        if let Some((name, _)) = vectors.first() {
            return Err(format!("a training has no vector {name:?}"));
        }
        let (Some(number), Some(samples), Some(step), Some(run), Some(tally)) = (self.number, self.samples, self.step, self.run, self.tally) else {
            return Err("a training has a number type, samples, a step, a run and an epoch".into());
        };
        let (seed, settings, plateau) = (self.seed, self.settings, self.plateau);
        Ok(Checkpoint { number, samples, seed, settings, step, run, tally, plateau, stopping, layout: Arc::new(layout), theta, stepper })
    }
}

/// Sets what may come once.
fn set<V>(to: &mut Option<V>, what: &str, value: V) -> Result<(), String> {
    once(&mut to.is_some(), what)?;
    *to = Some(value);
    Ok(())
}
