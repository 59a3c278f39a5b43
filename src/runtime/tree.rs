//! The reduction tree: leaves combined pairwise in a fixed shape, streamed so that it needs one partial result a level.
//!
//! Node `(l, k)` combines `(l - 1, 2k)` and `(l - 1, 2k + 1)`; where the right one is missing it is the left one. An aligned run of `2^l`
//! leaves is therefore a value of its own, whoever computes it, and combining such values gives the same bits as combining the leaves.

use crate::graph::Fold;

/// A stream of partial results on its way up the tree.
#[derive(Clone, Debug)]
pub struct Tree {
    folds: Vec<Fold>,
    /// One row of partial results a level; row `l` is occupied if bit `l` of `count` is set.
    levels: Vec<f64>,
    count: usize,
}

impl Tree {
    /// An empty tree for up to `leaves` leaves.
    pub fn new(folds: Vec<Fold>, leaves: usize) -> Self {
        let levels = (usize::BITS - leaves.leading_zeros()) as usize + 1;
        Tree { levels: vec![0.0; levels * folds.len()], folds, count: 0 }
    }

    /// Forgets everything pushed.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds the next leaf. `sums` is used up.
    pub fn push(&mut self, sums: &mut [f64]) {
        let width = self.folds.len();
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            combine(&self.folds, &self.levels[level * width..][..width], sums);
            level += 1;
        }
        self.levels[level * width..][..width].copy_from_slice(sums);
        self.count += 1;
    }

    /// The result over all leaves; each fold's identity if there were none.
    pub fn finish(&self, out: &mut [f64]) {
        let width = self.folds.len();
        let mut started = false;
        for level in (0..(usize::BITS - self.count.leading_zeros()) as usize).filter(|l| self.count >> l & 1 == 1) {
            let row = &self.levels[level * width..][..width];
            if started {
                combine(&self.folds, row, out);
            } else {
                out.copy_from_slice(row);
                started = true;
            }
        }
        if !started {
            for (o, fold) in out.iter_mut().zip(&self.folds) {
                *o = fold.identity();
            }
        }
    }
}

/// `right = left combined with right`, entry by entry.
fn combine(folds: &[Fold], left: &[f64], right: &mut [f64]) {
    for ((fold, l), r) in folds.iter().zip(left).zip(right) {
        *r = fold.combine(*l, *r);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(leaves: &[f64]) -> f64 {
        let mut tree = Tree::new(vec![Fold::Sum], leaves.len());
        for l in leaves {
            tree.push(&mut [*l]);
        }
        let mut out = [0.0];
        tree.finish(&mut out);
        out[0]
    }

    #[test]
    fn aligned_runs_combine_to_the_same_bits() {
        let leaves: Vec<f64> = (0..1000).map(|k| (k as f64 * 0.7).sin() * 1e3f64.powi(k % 7)).collect();
        for n in [1, 2, 3, 63, 64, 65, 255, 999, 1000] {
            for run in [1, 2, 4, 16, 128] {
                let partials: Vec<f64> = leaves[..n].chunks(run).map(total).collect();
                assert_eq!(total(&partials).to_bits(), total(&leaves[..n]).to_bits(), "{n} leaves in runs of {run}");
            }
        }
        assert_eq!(total(&[]), 0.0);
    }
}
