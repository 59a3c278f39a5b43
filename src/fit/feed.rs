//! What the steps of a training in batches are over: the order of the samples, and the batch that follows it.

use super::batches::Batches;
use crate::error::Result;
use crate::real::Real;
use crate::runtime::batch::Batch;

/// The order and the batch.
pub(super) struct Feed<'a, 'd, T: Real> {
    pub(super) batches: Batches,
    pub(super) batch: Batch<'a, 'd, T>,
    way: Way,
}

/// How the samples come to the batch.
enum Way {
    /// In the order of the rows, where they lie.
    InPlace,
    /// Copied once for each epoch, in its order; the epoch that is there, from 0.
    ByEpoch(Option<u64>),
    /// Copied batch by batch.
    ByBatch,
}

impl<'a, 'd, T: Real> Feed<'a, 'd, T> {
    pub(super) fn new(batches: Batches, batch: Batch<'a, 'd, T>, shuffled: bool, by_epoch: bool) -> Self {
        let way = match (shuffled, by_epoch) {
            (false, _) => Way::InPlace,
            (true, true) => Way::ByEpoch(None),
            (true, false) => Way::ByBatch,
        };
        Feed { batches, batch, way }
    }

    /// Brings the samples of a step; gives back how many they are.
    pub(super) fn bring(&mut self, step: u64) -> Result<usize> {
        let places = self.batches.places(step);
        let samples = places.len();
        match &mut self.way {
            Way::InPlace => self.batch.select_range(places)?,
            Way::ByBatch => self.batch.select(self.batches.rows(step))?,
            Way::ByEpoch(there) => {
                let epoch = Some(self.batches.epoch(step));
                if *there != epoch {
                    self.batch.select(self.batches.order(step))?;
                    *there = epoch;
                }
                self.batch.narrow(places)?;
            }
        }
        Ok(samples)
    }
}
