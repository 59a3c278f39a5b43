//! Labels at run time: columns made for each leaf (labels as numbers, gathered rows of a table), and sums by groups.
//!
//! A sum by groups adds its terms in the order of the samples, whoever computed them, so its bits don't depend on the number of threads; and it
//! needs one table, not one a chunk. Each sum carries its rounding error along: Knuth's two-sum, exact for a pair of numbers (The Art of
//! Computer Programming, volume 2, section 4.2.2, theorem B).

use super::LEAF;
use crate::kernel::ir::{GroupSum, Made, PassKernels};
use crate::labels::LabelColumn;
use crate::lines::Aligned;
use crate::real::Real;

/// One group's sum so far, and the rounding errors made on the way.
pub type Carried = [f64; 2];

/// Adds a term.
#[inline(always)]
fn add(sum: &mut Carried, x: f64) {
    let [held, lost] = *sum;
    let next = held + x;
    let back = next - held;
    *sum = [next, lost + ((held - (next - back)) + (x - back))];
}

/// The sum; where it left the finite numbers the errors mean nothing.
fn total(sum: Carried) -> f64 {
    let [held, lost] = sum;
    if lost.is_finite() { held + lost } else { held }
}

/// A thread's room for what labels need over one leaf.
pub struct LeafColumns<T> {
    /// In the order of [`PassKernels::made`].
    pub made: Vec<Aligned<T>>,
    /// The terms of sums by groups.
    pub terms: Vec<Aligned<T>>,
    /// Labels in `u32`, in the order of [`PassKernels::labels`], for columns of other types.
    converted: Vec<Box<[u32]>>,
}

impl<T: Real> LeafColumns<T> {
    /// Room for the leaves of a pass over so many samples.
    pub fn new(kernels: &PassKernels, samples: usize) -> Self {
        let room = LEAF.min(samples.max(1));
        let columns = |n: usize| (0..n).map(|_| Aligned::repeat(T::default(), room)).collect();
        LeafColumns {
            made: columns(kernels.made.len()),
            terms: columns(kernels.terms()),
            converted: kernels.labels.iter().map(|_| vec![0; room].into_boxed_slice()).collect(),
        }
    }

    /// Makes the columns for the `n` samples from `start` on. `slots` holds the tables.
    #[inline]
    pub fn fill(&mut self, kernels: &PassKernels, labels: &[LabelColumn<'_>], slots: &[f64], start: usize, n: usize) {
        if !labels.is_empty() {
            self.fill_from(kernels, labels, slots, start, n);
        }
    }

    fn fill_from(&mut self, kernels: &PassKernels, labels: &[LabelColumn<'_>], slots: &[f64], start: usize, n: usize) {
        for (labels, converted) in labels.iter().zip(&mut self.converted) {
            labels.convert(start, &mut converted[..n]);
        }
        for (made, out) in kernels.made.iter().zip(&mut self.made) {
            let (Made::Number { label } | Made::Gather { label, .. }) = made;
            let view = labels[*label as usize].view(start, &self.converted[*label as usize][..n]);
            match made {
                Made::Number { .. } => {
                    for (o, l) in out.iter_mut().zip(view) {
                        *o = T::from_f64(f64::from(*l));
                    }
                }
                Made::Gather { slot, rows, width, entry, .. } => {
                    let table = &slots[*slot as usize..][..(rows * width) as usize];
                    let (width, entry) = (*width as usize, *entry as usize);
                    for (o, l) in out.iter_mut().zip(view) {
                        *o = T::from_f64(table[*l as usize * width + entry]);
                    }
                }
            }
        }
    }

    /// Adds the terms of the `n` samples from `start` on to their groups' sums: one table for each of [`PassKernels::group_sums`].
    #[inline]
    pub fn add_to(&self, groups: &mut [Vec<Carried>], kernels: &PassKernels, labels: &[LabelColumn<'_>], start: usize, n: usize) {
        for (sum, table) in kernels.group_sums.iter().zip(groups) {
            let view = labels[sum.label as usize].view(start, &self.converted[sum.label as usize][..n]);
            let width = sum.width as usize;
            for (entry, terms) in self.terms[sum.terms as usize..][..width].iter().enumerate() {
                for (l, x) in view.iter().zip(&terms[..n]) {
                    add(&mut table[*l as usize * width + entry], x.to_f64());
                }
            }
        }
    }
}

/// Empty sums of all groups. The room is kept from pass to pass, so that repeated calls allocate nothing.
pub fn clear<'g>(room: &'g mut Vec<Vec<Carried>>, sums: &[GroupSum]) -> &'g mut [Vec<Carried>] {
    if room.len() < sums.len() {
        room.resize_with(sums.len(), Vec::new);
    }
    let groups = &mut room[..sums.len()];
    for (table, sum) in groups.iter_mut().zip(sums) {
        table.clear();
        table.resize((sum.groups * sum.width) as usize, [0.0; 2]);
    }
    groups
}

/// Puts the sums into their slots.
pub fn finish(groups: &[Vec<Carried>], sums: &[GroupSum], slots: &mut [f64]) {
    for (table, sum) in groups.iter().zip(sums) {
        for (slot, carried) in slots[sum.slot as usize..].iter_mut().zip(table) {
            *slot = total(*carried);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_carry_their_errors_and_infinities() {
        let sum = |terms: &[f64]| {
            let mut s = [0.0; 2];
            terms.iter().for_each(|x| add(&mut s, *x));
            total(s)
        };
        assert_eq!(sum(&[1e16, 1.0, 1.0, -1e16]), 2.0);
        assert_eq!(sum(&[0.1; 1_000_000]), 100_000.0);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }
}
