//! A training's saved state, exact to the bit: its text form and its file.

use super::history::History;
use super::plateau::Plateau;
use super::records::{Records, write_history, write_validations};
use super::replace::{file_error, replace};
use super::seal::{Seal, Sealing, inspect};
use super::state::State;
use super::text::{Vectors, bits, once, read_param, whole, words, write_param, write_setting, write_vector};
use crate::error::{Error, Result};
use crate::graph::Input;
use crate::real::Real;
use crate::runtime::params::{Layout, Params};
use crate::runtime::program::Program;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// What the first line of the text form begins with; the version follows.
const HEADER: &str = "tapeless training ";
/// The version that is written and read. Version 1 had neither history nor checksum.
const VERSION: u64 = 2;
/// The line after which the stepper's state comes.
const STEPPER: &str = "stepper";
const THETA: &str = "theta";
const BEST: &str = "best";

/// All that a training's next steps depend on, and all it has recorded: what [`Training::save`](super::Training::save) gives and
/// [`Training::resume`](super::Training::resume) takes.
///
/// It holds the parameters, the stepper's state, where in its epoch the training is, what the schedule and the early stopping have seen, the history and the
/// validation losses, the settings that the resumed training must have too, and a fingerprint of the formula. The order of shuffled samples is a function of
/// seed and step, so there is no generator's state. Data and closures are not in it.
///
/// # Text and file
///
/// The text form, from `Display` and read by `FromStr`, holds numbers as bit patterns, as [`State`]'s does: what is read is what was written, to the bit. Its
/// first line says its version, its last line holds a checksum (CRC-64/XZ) of all before it: text that was cut off or changed, by a single bit, is refused.
/// So is version 1, which had no checksum: damage to the version could pass for it.
///
/// [`Checkpoint::write`] puts the text into a file and [`Checkpoint::read`] takes it from there; [`Training::checkpoint_to`](super::Training::checkpoint_to)
/// does the writing in the course of a run. The file is replaced as a whole: a process that is killed at any moment leaves the checkpoint it wrote last.
///
/// A recorded step takes 17 bytes in the file for each of its numbers (loss, gradient norm, parameters if they are recorded) and the digits of its number.
/// All of them are written each time, so that a file is complete by itself: a run of `n` recorded steps with a checkpoint every `k` writes about `20 n^2 / k`
/// bytes in all. Where that matters, record fewer steps ([`Training::record_every`](super::Training::record_every)) or write by time
/// ([`Every::Time`](super::Every)), which never takes more than a twentieth of the run.
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
    /// A fingerprint of the formula and of what its gradient is taken by.
    pub(super) formula: u64,
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
    pub(super) history: History,
    pub(super) validations: Vec<(u64, f64)>,
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

    /// What was recorded; of an `f32` training in `f64`, without loss.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The parameters, as a point of a program that has the same ones. To go on with the training, [`Training::resume`](super::Training::resume) it.
    ///
    /// # Errors
    /// [`Error::Layout`] if the program's parameters are laid out otherwise.
    pub fn params<T: Real>(&self, program: &Program<T>) -> Result<Params<T>> {
        if *self.layout != **program.layout() {
            return Err(program.layout().mismatch(&self.layout));
        }
        Ok(point(program.layout(), &self.theta))
    }

    /// Writes the text form to a file, in place of what was there. The new file is written beside it, brought to the disk and renamed, so whoever reads the
    /// path finds the old checkpoint or the new one, and so does who comes after a process that was killed or a machine that lost power. A killed process may
    /// leave a file named `<name>.<process>.<number>.tmp` behind, which nothing reads.
    ///
    /// # Errors
    /// [`Error::File`] with what the system says. What was at the path is still there.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        replace(path.as_ref(), |to| write!(to, "{self}"))
    }

    /// Reads what [`Checkpoint::write`] has written.
    ///
    /// # Errors
    /// [`Error::File`] with what the system says, or with what is wrong with the file: that it is no saved training, is empty, was cut off, was changed
    /// after it was written, or is of a version that this crate doesn't read.
    pub fn read(path: impl AsRef<Path>) -> Result<Checkpoint> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| file_error(path, error.to_string()))?;
        parse(&bytes).map_err(|error| file_error(path, error.to_string()))
    }

    fn body(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let hex = f64::to_bits;
        writeln!(f, "{HEADER}{VERSION}\nnumber {:?}\nformula {:016x}\nsamples {}", self.number, self.formula, self.samples)?;
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
        write_validations(f, &self.validations)?;
        write_history(f, &self.history)?;
        write!(f, "{STEPPER}\n{}", self.stepper)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sealing = Sealing::new(f);
        self.body(&mut sealing)?;
        sealing.seal()
    }
}

/// A point of these numbers, as many as the layout has.
pub(super) fn point<T: Real>(layout: &Arc<Layout>, numbers: &[f64]) -> Params<T> {
    let mut theta = Params::zeros(layout);
    theta.values_mut().iter_mut().zip(numbers).for_each(|(to, from)| *to = T::from_f64(*from));
    theta
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// Reads the text form. [`Error::Parse`] names the line that is wrong: the first where the text is no saved training or of another version, the last
    /// where it was cut off or changed.
    fn from_str(text: &str) -> Result<Checkpoint> {
        parse(text.as_bytes())
    }
}

/// Reads the text form, which damage may have made anything.
fn parse(bytes: &[u8]) -> Result<Checkpoint> {
    let first = |message: String| Error::Parse { line: 1, message };
    let last =
        |message: &str| Error::Parse { line: bytes.iter().filter(|b| **b == b'\n').count() + usize::from(!bytes.ends_with(b"\n")), message: message.into() };
    let cut = "it doesn't end with its checksum: it was cut off, or something follows";
    let changed = "the checksum isn't that of the text: it was changed after it was written";
    if bytes.is_empty() {
        return Err(first("empty: a saved training was to be here".into()));
    }
    let line = String::from_utf8_lossy(bytes.split(|b| *b == b'\n').next().unwrap_or_default());
    let Some(version) = line.strip_prefix(HEADER).and_then(|version| version.trim_end().parse::<u64>().ok()) else {
        // A cut within the first line is one too.
        return Err(if HEADER.as_bytes().starts_with(bytes) { last(cut) } else { first(format!("no saved training: one begins with `{HEADER}{VERSION}`")) });
    };
    let body = match (inspect(bytes), version) {
        (Seal::Whole(body), VERSION) => body,
        (Seal::Missing, VERSION) => return Err(last(cut)),
        (Seal::Broken, _) => return Err(last(changed)),
        (_, newer) if newer > VERSION => {
            return Err(first(format!("a saved training of version {newer}: a later version of this crate wrote it, this one reads version {VERSION}")));
        }
        (_, older) => {
            return Err(first(format!("a saved training of version {older}, which had no checksum and isn't read any more; this is version {VERSION}")));
        }
    };
    parse_body(std::str::from_utf8(body).map_err(|_| first("a saved training is UTF-8 text".into()))?)
}

/// Reads the text above an intact seal.
fn parse_body(text: &str) -> Result<Checkpoint> {
    let head = text.lines().take_while(|line| *line != STEPPER).count();
    let mut reader = Reader::default();
    for (k, line) in text.lines().enumerate().take(head).skip(1) {
        reader.line(line).map_err(|message| Error::Parse { line: k + 1, message })?;
    }
    let fail = |message: String| Error::Parse { line: head + 1, message };
    let Some((_, rest)) = text.split_once("\nstepper\n") else {
        return Err(fail(format!("the training ends before the line `{STEPPER}` and the stepper's state")));
    };
    let stepper: State = rest.parse().map_err(|error| match error {
        Error::Parse { line, message } => Error::Parse { line: line + head + 1, message },
        other => other,
    })?;
    reader.finish(stepper).map_err(fail)
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    number: Option<String>,
    formula: Option<u64>,
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
    history: Option<Records>,
    validations: Option<Records>,
}

impl Reader {
    /// A line after the first.
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words = words(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() || self.vectors.take(&words)? {
            return Ok(());
        }
        for records in [&mut self.history, &mut self.validations].into_iter().flatten() {
            if records.take(&words)? {
                return Ok(());
            }
        }
        match *words.as_slice() {
            ["number", name] => set(&mut self.number, "number", name.to_string()),
            ["formula", fingerprint] => set(&mut self.formula, "formula", bits(fingerprint)?.to_bits()),
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
            ["history", rows, params] => set(&mut self.history, "history", Records::history(rows, params)?),
            ["validations", rows] => set(&mut self.validations, "validations", Records::validations(rows)?),
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
        let (Some(number), Some(formula), Some(samples), Some(step), Some(run), Some(tally)) =
            (self.number, self.formula, self.samples, self.step, self.run, self.tally)
        else {
            return Err("a training has a number type, a formula, samples, a step, a run and an epoch".into());
        };
        let (Some(history), Some(validations)) = (self.history, self.validations) else {
            return Err("a training has a history and validations, be they empty".into());
        };
        let (history, validations) = (history.into_history(&layout)?, validations.into_validations()?);
        let (seed, settings, plateau, layout) = (self.seed, self.settings, self.plateau, Arc::new(layout));
        Ok(Checkpoint { number, formula, samples, seed, settings, step, run, tally, plateau, stopping, layout, theta, history, validations, stepper })
    }
}

/// Sets what may come once.
fn set<V>(to: &mut Option<V>, what: &str, value: V) -> Result<(), String> {
    once(&mut to.is_some(), what)?;
    *to = Some(value);
    Ok(())
}
