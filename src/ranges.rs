//! Places in a list, as ranges of those that follow each other.

use std::ops::Range;

/// Neighbours that follow each other, as one range each: the same numbers in the same order, in the fewest ranges.
pub fn ranges(numbers: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for k in numbers {
        match out.last_mut() {
            Some(last) if last.end == k => last.end += 1,
            _ => out.push(k..k + 1),
        }
    }
    out
}

/// So few places are gone through one by one: ranges cost more than that.
const FEW: usize = 16;

/// Places in a list of numbers, to read or to write them all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// All of them, if they are few.
    few: Vec<usize>,
    /// All of them otherwise.
    runs: Vec<Range<usize>>,
}

impl Places {
    /// These places, in this order.
    pub fn new(places: impl Iterator<Item = usize> + Clone) -> Self {
        if places.clone().nth(FEW).is_none() { Places { few: places.collect(), runs: Vec::new() } } else { Places { few: Vec::new(), runs: ranges(places) } }
    }

    /// The numbers there, which `to` has room for.
    #[inline]
    pub fn read<A: Copy, B>(&self, from: &[A], to: &mut [B], number: impl Fn(A) -> B) {
        for (to, at) in to.iter_mut().zip(&self.few) {
            *to = number(from[*at]);
        }
        if !self.runs.is_empty() {
            self.read_runs(from, to, number);
        }
    }

    fn read_runs<A: Copy, B>(&self, from: &[A], mut to: &mut [B], number: impl Fn(A) -> B) {
        for run in &self.runs {
            let (now, later) = to.split_at_mut(run.len());
            for (to, from) in now.iter_mut().zip(&from[run.clone()]) {
                *to = number(*from);
            }
            to = later;
        }
    }

    /// Puts as many numbers there.
    #[inline]
    pub fn write<A: Copy>(&self, from: &[A], to: &mut [A]) {
        for (from, at) in from.iter().zip(&self.few) {
            to[*at] = *from;
        }
        if !self.runs.is_empty() {
            self.write_runs(from, to);
        }
    }

    fn write_runs<A: Copy>(&self, mut from: &[A], to: &mut [A]) {
        for run in &self.runs {
            let (now, later) = from.split_at(run.len());
            to[run.clone()].copy_from_slice(now);
            from = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_places_and_many_are_read_and_written_alike() {
        let numbers: Vec<i32> = (0..100).collect();
        for count in [0, 1, 5, FEW, FEW + 1, 60] {
            // Three that follow each other, then a leap.
            let places: Vec<usize> = (0..count).map(|k| k / 3 * 5 % 90 + k % 3).collect();
            let all = Places::new(places.iter().copied());
            assert_eq!(all.few.is_empty(), count == 0 || count > FEW);
            let mut read = vec![0.0; count];
            all.read(&numbers, &mut read, f64::from);
            assert_eq!(read, places.iter().map(|at| *at as f64).collect::<Vec<_>>());
            let mut written = vec![-1; 100];
            all.write(&places.iter().map(|at| *at as i32).collect::<Vec<_>>(), &mut written);
            for (at, number) in written.iter().enumerate() {
                assert_eq!(*number, if places.contains(&at) { at as i32 } else { -1 });
            }
        }
    }

    #[test]
    fn the_same_numbers_in_the_same_order() {
        assert_eq!(ranges([3, 4, 5, 7, 6, 7, 7].into_iter()), [3..6, 7..8, 6..8, 7..8]);
        assert_eq!(ranges(std::iter::empty()), []);
    }
}
