//! When a training writes its checkpoint to a file.

use super::stepper::bad;
use crate::error::Result;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often a training writes itself down: see [`Training::checkpoint_to`](super::Training::checkpoint_to).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Every {
    /// After each step that is a multiple of this (at least 1).
    Steps(u64),
    /// When this time has passed since the last writing, or since the run began. Writing takes a twentieth of the run's time at most: where one took long,
    /// the next waits for nineteen times as long, however short this is.
    Time(Duration),
}

/// Of the time between two writings, in times of what the first took.
const PAUSE: u32 = 19;

/// A file, and when it is due.
#[derive(Debug)]
pub(super) struct Autosave {
    pub(super) path: PathBuf,
    every: Every,
    /// When the last writing ended, or the run began.
    since: Instant,
    /// What the last writing took.
    took: Duration,
}

impl Autosave {
    pub(super) fn new(path: PathBuf, every: Every) -> Self {
        Autosave { path, every, since: Instant::now(), took: Duration::ZERO }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.every == Every::Steps(0) { Err(bad("checkpoint_to", "must be at least 1 step".into())) } else { Ok(()) }
    }

    /// A run begins.
    pub(super) fn begin(&mut self) {
        self.since = Instant::now();
    }

    pub(super) fn due(&self, step: u64) -> bool {
        match self.every {
            Every::Steps(steps) => step.is_multiple_of(steps),
            Every::Time(time) => self.since.elapsed() >= time.max(self.took.saturating_mul(PAUSE)),
        }
    }

    /// It has been written, or has failed to be.
    pub(super) fn written(&mut self, began: Instant) {
        self.since = Instant::now();
        self.took = self.since - began;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_writing_is_followed_by_a_long_pause() {
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the machine has been up for a minute");
        let mut autosave = Autosave::new("x".into(), Every::Time(Duration::from_secs(10)));
        assert!(!autosave.due(1));
        autosave.since = ago(11);
        assert!(autosave.due(1));
        // Two seconds of writing: 38 of pause.
        autosave.written(ago(2));
        autosave.since = ago(37);
        assert!(!autosave.due(1));
        autosave.since = ago(39);
        assert!(autosave.due(1));
        let by_steps = Autosave::new("x".into(), Every::Steps(3));
        assert_eq!([1, 2, 3, 4, 6].map(|step| by_steps.due(step)), [false, false, true, false, true]);
    }
}
