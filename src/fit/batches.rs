//! Which samples make which step's batch: epochs in order or shuffled, a function of the seed, the epoch and the number of samples alone.

use super::stepper::bad;
use crate::error::Result;
use crate::random::SplitMix64;
use std::ops::Range;

/// The order in which a training goes through its samples, batch by batch, epoch by epoch. The last batch of an epoch may be short.
///
/// A shuffled epoch is a permutation of all samples: each is seen exactly once. It is Fisher and Yates's shuffle (Knuth, *The art of computer
/// programming*, vol. 2, algorithm P: from the last place down, each exchanged with one up to it), from the rows in order. Its random numbers are those of
/// SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014), brought into a range without bias by Lemire's
/// multiplication (*Fast random integer generation in an interval*, 2019). Epoch `e`'s generator starts at `mix(mix(seed) xor e)`, where `mix(s)` is the
/// first number of the generator that starts at `s`. So the order depends on nothing but seed, epoch and number of samples, and stays the same on every
/// platform and in every version of this crate.
///
/// Being a function of the step, it has nothing to be saved.
///
/// ```
/// use tapeless::fit::Batches;
/// # fn main() -> tapeless::Result<()> {
/// let mut batches = Batches::new(10, 4)?.shuffle(7);
/// assert_eq!(batches.per_epoch(), 3);
/// let mut seen: Vec<usize> = Vec::new();
/// for step in 1..=3 {
///     seen.extend(batches.rows(step));
/// }
/// assert_eq!(batches.rows(3).len(), 2);
/// seen.sort();
/// assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    samples: usize,
    size: usize,
    seed: Option<u64>,
    /// The epoch whose order `rows` has, from 0, once there is one.
    epoch: Option<u64>,
    rows: Vec<usize>,
}

impl Batches {
    /// Batches of `size` of `samples` samples, in the order of the rows.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there are no samples or none in a batch.
    pub fn new(samples: usize, size: usize) -> Result<Self> {
        if size == 0 {
            return Err(bad("batch_size", "must be at least 1".into()));
        }
        if samples == 0 {
            return Err(bad("batch_size", "there are no samples to make batches of".into()));
        }
        Ok(Batches { samples, size, seed: None, epoch: None, rows: Vec::new() })
    }

    /// Shuffles the samples anew for each epoch.
    pub fn shuffle(mut self, seed: u64) -> Self {
        (self.seed, self.epoch) = (Some(seed), None);
        self
    }

    /// How many batches an epoch has.
    pub fn per_epoch(&self) -> u64 {
        self.samples.div_ceil(self.size) as u64
    }

    /// The epoch of a step, from 0; steps are counted from 1.
    pub fn epoch(&self, step: u64) -> u64 {
        step.saturating_sub(1) / self.per_epoch()
    }

    /// The places of a step's batch in the order of its epoch.
    pub fn places(&self, step: u64) -> Range<usize> {
        let first = (step.saturating_sub(1) % self.per_epoch()) as usize * self.size;
        first..self.samples.min(first.saturating_add(self.size))
    }

    /// All rows in the order of a step's epoch. Going on from step to step costs a shuffle at the beginning of each epoch; so does any jump to another epoch.
    pub fn order(&mut self, step: u64) -> &[usize] {
        let epoch = self.epoch(step);
        if self.epoch.is_none() {
            self.rows = (0..self.samples).collect();
        }
        if let Some(seed) = self.seed
            && self.epoch != Some(epoch)
        {
            SplitMix64::stream(seed, epoch).permutation(&mut self.rows);
        }
        self.epoch = Some(epoch);
        &self.rows
    }

    /// The rows of the batch of a step.
    pub fn rows(&mut self, step: u64) -> &[usize] {
        let places = self.places(step);
        &self.order(step)[places]
    }
}
