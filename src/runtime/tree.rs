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

    /// Combines the rows of an aligned run of leaves, one row each, as the tree does. The rows are used up.
    ///
    /// Numbers go one by one from row to row, not as copies of rows: what is read here was written one by one just before, and a wider read would
    /// wait until those writes have reached the cache.
    pub fn combine_run(&self, rows: &mut [f64], out: &mut [f64]) {
        let width = self.folds.len();
        let leaves = rows.len() / width.max(1);
        if leaves < 2 {
            out.copy_from_slice(rows);
            return;
        }
        // What covers leaves `[k, k + 2 * half)` lies in the row of the last of them.
        let mut half = 1;
        while 2 * half < leaves {
            for k in (0..leaves - half).step_by(2 * half) {
                let (left, right) = rows.split_at_mut((k + half) * width);
                let last = half.min(leaves - k - half) - 1;
                combine(&self.folds, &left[left.len() - width..], &mut right[last * width..][..width]);
            }
            half *= 2;
        }
        let (left, right) = rows.split_at(half * width);
        let (left, right) = (&left[left.len() - width..], &right[right.len() - width..]);
        for (((fold, l), r), out) in self.folds.iter().zip(left).zip(right).zip(out) {
            *out = fold.combine(*l, *r);
        }
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
        for n in [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 63, 64, 65, 255, 999, 1000] {
            let mut rows = leaves[..n].to_vec();
            let mut out = [0.0];
            Tree::new(vec![Fold::Sum], n).combine_run(&mut rows, &mut out);
            assert_eq!(out[0].to_bits(), total(&leaves[..n]).to_bits(), "{n} leaves in one run");
            for run in [1, 2, 4, 16, 128] {
                let partials: Vec<f64> = leaves[..n].chunks(run).map(total).collect();
                assert_eq!(total(&partials).to_bits(), total(&leaves[..n]).to_bits(), "{n} leaves in runs of {run}");
            }
        }
        assert_eq!(total(&[]), 0.0);
    }
}
