//! Recorded steps and validation losses in a saved training's text: one line for each, the step and its numbers.

use super::history::History;
use super::text::{bits, whole};
use crate::runtime::params::Layout;
use std::fmt;

/// Numbers of a recorded step before its parameters: loss, gradient norm.
const OWN: usize = 2;

/// What a training recorded, its head and its lines.
pub(super) fn write_history(f: &mut impl fmt::Write, history: &History) -> fmt::Result {
    writeln!(f, "history {} {} # loss, gradient norm and parameters of recorded steps", history.len(), history.param_names().len())?;
    history.rows().try_for_each(|row| line(f, row.step, [row.loss, row.grad_norm].iter().chain(row.params)))
}

/// Every validation loss.
pub(super) fn write_validations(f: &mut impl fmt::Write, validations: &[(u64, f64)]) -> fmt::Result {
    writeln!(f, "validations {}", validations.len())?;
    validations.iter().try_for_each(|(step, value)| line(f, *step, std::iter::once(value)))
}

fn line<'n>(f: &mut impl fmt::Write, step: u64, numbers: impl Iterator<Item = &'n f64>) -> fmt::Result {
    write!(f, "{step}")?;
    for x in numbers {
        write!(f, " {:016x}", x.to_bits())?;
    }
    writeln!(f)
}

/// Lines that are read, as many as their head says.
#[derive(Default)]
pub(super) struct Records {
    /// Lines still to come.
    missing: u64,
    /// Numbers on a line.
    width: usize,
    steps: Vec<u64>,
    numbers: Vec<f64>,
}

impl Records {
    /// Lines of recorded steps.
    pub(super) fn history(rows: &str, params: &str) -> Result<Self, String> {
        let width = whole::<usize>(params)?.checked_add(OWN).ok_or_else(|| format!("`{params}` parameters"))?;
        Ok(Records { missing: whole(rows)?, width, ..Records::default() })
    }

    /// Lines of validation losses.
    pub(super) fn validations(rows: &str) -> Result<Self, String> {
        Ok(Records { missing: whole(rows)?, width: 1, ..Records::default() })
    }

    /// Takes a line, if some are still to come.
    pub(super) fn take(&mut self, words: &[&str]) -> Result<bool, String> {
        if self.missing == 0 {
            return Ok(false);
        }
        let Some((step, numbers)) = words.split_first().filter(|(_, numbers)| numbers.len() == self.width) else {
            return Err(format!("a step and {} number(s) were to come", self.width));
        };
        self.steps.push(whole(step)?);
        for x in numbers {
            self.numbers.push(bits(x)?);
        }
        self.missing -= 1;
        Ok(true)
    }

    fn rows(&self) -> Result<impl Iterator<Item = (u64, &[f64])>, String> {
        if self.missing > 0 {
            return Err(format!("the history ends before all recorded steps came: {} more", self.missing));
        }
        Ok(self.steps.iter().copied().zip(self.numbers.chunks(self.width)))
    }

    pub(super) fn into_history(self, layout: &Layout) -> Result<History, String> {
        let mut history = History::new();
        if self.width > OWN {
            if self.width - OWN != layout.len() {
                return Err(format!("recorded steps have {} numbers of parameters, but the parameters have {}", self.width - OWN, layout.len()));
            }
            history.with_params(layout);
        }
        self.rows()?.for_each(|(step, numbers)| history.push(step, numbers[0], numbers[1], &numbers[OWN..]));
        Ok(history)
    }

    pub(super) fn into_validations(self) -> Result<Vec<(u64, f64)>, String> {
        Ok(self.rows()?.map(|(step, numbers)| (step, numbers[0])).collect())
    }
}
