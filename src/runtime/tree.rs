//! The reduction tree: leaves combined pairwise in a fixed shape, streamed so that it needs one partial result a level.
//!
//! Node `(l, k)` combines `(l - 1, 2k)` and `(l - 1, 2k + 1)`; where the right one is missing it is the left one. An aligned run of `2^l`
//! leaves is therefore a value of its own, whoever computes it, and combining such values gives the same bits as combining the leaves.

use crate::graph::Fold;
use crate::kernel::arith::Scalar;
use crate::kernel::ir::{self, PassKernels};
use crate::kernel::lower;
use crate::op::Elem;

/// How partial results meet: a row of numbers, each with its fold; some sums are relative to maxima of the same row.
#[derive(Clone, Debug, Default)]
pub struct Combine {
    folds: Vec<Fold>,
    shifts: Vec<Shift>,
    /// Those that just fold: all but the sums of `shifts`.
    plain: Vec<usize>,
}

/// Numbers of the row that have `exp(-shift)` as a factor, and the maxima whose largest the shift is.
#[derive(Clone, Debug)]
struct Shift {
    tops: Vec<usize>,
    sums: Vec<usize>,
}

impl Combine {
    /// Each with its fold.
    pub fn folds(folds: Vec<Fold>) -> Self {
        Combine { plain: (0..folds.len()).collect(), folds, shifts: Vec::new() }
    }

    /// A pass's accumulators.
    pub fn of(kernels: &PassKernels) -> Self {
        let folds: Vec<Fold> = kernels.accumulators.iter().map(|(fold, _)| *fold).collect();
        let shift =
            |s: &ir::Shift| Shift { tops: s.tops.iter().map(|(top, _)| *top as usize).collect(), sums: s.sums.iter().map(|sum| *sum as usize).collect() };
        let shifts: Vec<Shift> = kernels.ahead.iter().flat_map(|ahead| &ahead.shifts).map(shift).collect();
        let mut relative = vec![false; folds.len()];
        shifts.iter().flat_map(|s| &s.sums).for_each(|sum| relative[*sum] = true);
        Combine { plain: (0..folds.len()).filter(|k| !relative[*k]).collect(), folds, shifts }
    }

    /// How many numbers a row has.
    pub fn width(&self) -> usize {
        self.folds.len()
    }

    /// `right = left combined with right`.
    #[inline]
    fn rows(&self, left: &[f64], right: &mut [f64]) {
        if self.shifts.is_empty() {
            for ((fold, l), r) in self.folds.iter().zip(left).zip(right) {
                *r = fold.combine(*l, *r);
            }
        } else {
            self.shifted(left, right);
        }
    }

    fn shifted(&self, left: &[f64], right: &mut [f64]) {
        for Shift { tops, sums } in &self.shifts {
            let shift = |row: &dyn Fn(usize) -> f64| level(tops.iter().map(|top| row(*top)));
            let to = shift(&|top| Fold::Max.combine(left[top], right[top]));
            let (from_left, from_right) = (Factor::between(shift(&|top| left[top]), to), Factor::between(shift(&|top| right[top]), to));
            for sum in sums {
                right[*sum] = from_left.of(left[*sum]) + from_right.of(right[*sum]);
            }
        }
        for k in &self.plain {
            right[*k] = self.folds[*k].combine(left[*k], right[*k]);
        }
    }
}

/// The shift that belongs to some maxima: the largest, or 0 where that is not finite.
pub fn level(maxima: impl Iterator<Item = f64>) -> f64 {
    let top = maxima.fold(Fold::Max.identity(), |a, b| Fold::Max.combine(a, b));
    if top.is_finite() { top } else { 0.0 }
}

/// What turns sums relative to one shift into sums relative to another.
#[derive(Clone, Copy, Debug)]
pub struct Factor(f64);

impl Factor {
    /// By the kernels' own `exp`, so that every machine has the same bits.
    pub fn between(from: f64, to: f64) -> Self {
        Factor(if from == to { 1.0 } else { lower::elem(&mut Scalar::<f64>::new(), Elem::Exp, &[from - to]) })
    }

    /// The sum, rescaled. Of nothing but zeros it stays 0: exponents of minus infinity alone are shifted by 0, from which the factor may be infinite.
    pub fn of(self, sum: f64) -> f64 {
        if sum == 0.0 { sum } else { sum * self.0 }
    }
}

/// A stream of partial results on its way up the tree.
#[derive(Clone, Debug)]
pub struct Tree {
    combine: Combine,
    /// One row of partial results a level; row `l` is occupied if bit `l` of `count` is set.
    levels: Vec<f64>,
    count: usize,
}

impl Tree {
    /// An empty tree for up to `leaves` leaves.
    pub fn new(combine: Combine, leaves: usize) -> Self {
        let levels = (usize::BITS - leaves.leading_zeros()) as usize + 1;
        Tree { levels: vec![0.0; levels * combine.width()], combine, count: 0 }
    }

    /// Forgets everything pushed.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds the next leaf. `sums` is used up.
    pub fn push(&mut self, sums: &mut [f64]) {
        let width = self.combine.width();
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            self.combine.rows(&self.levels[level * width..][..width], sums);
            level += 1;
        }
        self.levels[level * width..][..width].copy_from_slice(sums);
        self.count += 1;
    }

    /// Combines the rows of an aligned run of so many leaves, one row each, as the tree does. The rows are used up.
    ///
    /// Numbers go one by one from row to row, not as copies of rows: what is read here was written one by one just before, and a wider read would
    /// wait until those writes have reached the cache.
    pub fn combine_run(&self, leaves: usize, rows: &mut [f64], out: &mut [f64]) {
        let width = self.combine.width();
        if leaves < 2 {
            out.copy_from_slice(rows);
            return;
        }
        // What covers leaves `[first, first + 2 * half)` lies in the row of the last of them.
        let mut half = 1;
        while 2 * half < leaves {
            let mut first = 0;
            while first + half < leaves {
                let last = (first + 2 * half).min(leaves) - 1;
                let (left, right) = rows.split_at_mut(last * width);
                self.combine.rows(&left[(first + half - 1) * width..][..width], &mut right[..width]);
                first += 2 * half;
            }
            half *= 2;
        }
        let (left, right) = rows.split_at(half * width);
        let (left, right) = (&left[left.len() - width..], &right[right.len() - width..]);
        if !self.combine.shifts.is_empty() {
            out.copy_from_slice(right);
            self.combine.rows(left, out);
            return;
        }
        for (((fold, l), r), out) in self.combine.folds.iter().zip(left).zip(right).zip(out) {
            *out = fold.combine(*l, *r);
        }
    }

    /// The result over all leaves; each fold's identity if there were none.
    pub fn finish(&self, out: &mut [f64]) {
        let width = self.combine.width();
        let mut started = false;
        for level in (0..(usize::BITS - self.count.leading_zeros()) as usize).filter(|l| self.count >> l & 1 == 1) {
            let row = &self.levels[level * width..][..width];
            if started {
                self.combine.rows(row, out);
            } else {
                out.copy_from_slice(row);
                started = true;
            }
        }
        if !started {
            for (o, fold) in out.iter_mut().zip(&self.combine.folds) {
                *o = fold.identity();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(leaves: &[f64]) -> f64 {
        let mut tree = Tree::new(Combine::folds(vec![Fold::Sum]), leaves.len());
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
            Tree::new(Combine::folds(vec![Fold::Sum]), n).combine_run(n, &mut rows, &mut out);
            assert_eq!(out[0].to_bits(), total(&leaves[..n]).to_bits(), "{n} leaves in one run");
            for run in [1, 2, 4, 16, 128] {
                let partials: Vec<f64> = leaves[..n].chunks(run).map(total).collect();
                assert_eq!(total(&partials).to_bits(), total(&leaves[..n]).to_bits(), "{n} leaves in runs of {run}");
            }
        }
        assert_eq!(total(&[]), 0.0);
    }
}
