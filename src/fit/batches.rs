//! Which samples make which step's batch: epochs in order or shuffled, a function of the seed, the epoch and the number of samples alone.

use super::stepper::bad;
use crate::error::Result;
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
            shuffle(&mut self.rows, seed, epoch);
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

fn shuffle(rows: &mut [usize], seed: u64, epoch: u64) {
    for (k, row) in rows.iter_mut().enumerate() {
        *row = k;
    }
    let mut random = SplitMix64(SplitMix64(SplitMix64(seed).next() ^ epoch).next());
    for last in (1..rows.len()).rev() {
        rows.swap(last, random.below(last as u64 + 1) as usize);
    }
}

/// Steele, Lea and Flood's generator: a counter that steps by the golden ratio, and a mixing function.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`, each as likely as the others: the high half of a product, whose low half tells the few draws that would favour some.
    fn below(&mut self, n: u64) -> u64 {
        let mut product = u128::from(self.next()) * u128::from(n);
        if (product as u64) < n {
            let unfair = n.wrapping_neg() % n;
            while (product as u64) < unfair {
                product = u128::from(self.next()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation, Sebastiano Vigna's `splitmix64.c`.
    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = SplitMix64(1234567);
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
        assert_eq!([(); 5].map(|()| random.next()), expected);
    }

    #[test]
    fn small_numbers_come_equally_often() {
        let mut random = SplitMix64(1);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        // Chi-square of 6 degrees of freedom is below 22.5 with probability 0.999.
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 1e4).powi(2) / 1e4).sum();
        assert!(chi < 22.5, "{counts:?}");
        assert!((0..100).all(|_| random.below(1) == 0 && random.below(u64::MAX) < u64::MAX && random.below((1 << 63) + 1) <= 1 << 63));
    }
}
