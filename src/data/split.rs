//! Which samples to train on and which to hold out.

use crate::error::{Error, Result};
use crate::random::SplitMix64;

/// Rows to train on and rows to validate on: of a random permutation of `samples` rows, the last `validation` share (rounded down), and the rest.
///
/// The permutation is Fisher and Yates's shuffle by SplitMix64: a function of the seed and the number of rows alone, the same on every platform.
///
/// ```
/// # fn main() -> tapeless::Result<()> {
/// let (train, validation) = tapeless::data::split(11, 0.2, 7)?;
/// assert_eq!((train.len(), validation.len()), (9, 2));
/// let mut all = [train, validation].concat();
/// all.sort();
/// assert_eq!(all, (0..11).collect::<Vec<_>>());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Setting`] for a share outside `(0, 1)`, or one that leaves no samples for one of the two.
pub fn split(samples: usize, validation: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>)> {
    let bad = |message: String| Err(Error::Setting { name: "validation".into(), message });
    if !(validation > 0.0 && validation < 1.0) {
        return bad(format!("the share must be between 0 and 1, but is {validation}"));
    }
    // A share such as 0.29 of 100 is a hair below 29.
    let held_out = (validation * samples as f64 * (1.0 + 4.0 * f64::EPSILON)).floor() as usize;
    if held_out == 0 || held_out >= samples {
        return bad(format!("a share of {validation} of {samples} samples leaves none to {}", if held_out == 0 { "validate on" } else { "train on" }));
    }
    let mut train = vec![0; samples];
    SplitMix64::stream(seed, 0).permutation(&mut train);
    let validation = train.split_off(samples - held_out);
    Ok((train, validation))
}
