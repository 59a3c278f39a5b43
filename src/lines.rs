//! Cache lines, and numbers that start at one.

use crate::real::Real;
use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// The numbers from the first on that starts a line.
pub fn aligned<T>(numbers: &mut [T]) -> &mut [T] {
    let skip = to_line(numbers);
    &mut numbers[skip..]
}

/// How many numbers come before it: no more than there are, an answer of "can't be" included.
fn to_line<T>(numbers: &[T]) -> usize {
    numbers.as_ptr().align_offset(LINE).min(numbers.len())
}

/// A column's numbers, the first of them at a multiple of 64 bytes: no vector that a kernel reads of them lies in two cache lines. A `Vec` starts where the allocator
/// likes, which for large ones is 16 bytes past a page: half or all of its vectors lie in two, and each of those is two reads.
#[derive(Default, Debug)]
pub struct Aligned<T> {
    numbers: Vec<T>,
    /// Where they begin.
    start: usize,
}

impl<T: Real> Aligned<T> {
    /// One number so many times.
    pub fn repeat(x: T, n: usize) -> Self {
        std::iter::repeat_n(x, n).collect()
    }

    /// Nothing yet, with room for so many.
    fn with_room(n: usize) -> Self {
        let most = LINE / size_of::<T>();
        let mut numbers = Vec::with_capacity(n + most);
        numbers.resize(most, T::default());
        let start = to_line(&numbers);
        numbers.truncate(start);
        Aligned { numbers, start }
    }
}

impl<T: Real> From<&[T]> for Aligned<T> {
    fn from(numbers: &[T]) -> Self {
        let mut out = Self::with_room(numbers.len());
        out.numbers.extend_from_slice(numbers);
        out
    }
}

impl<T: Real> From<Vec<T>> for Aligned<T> {
    fn from(numbers: Vec<T>) -> Self {
        if numbers.as_ptr().align_offset(LINE) == 0 { Aligned { numbers, start: 0 } } else { numbers.as_slice().into() }
    }
}

impl<T: Real> FromIterator<T> for Aligned<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        let numbers = numbers.into_iter();
        let mut out = Self::with_room(numbers.size_hint().0);
        let room = out.numbers.as_ptr();
        out.numbers.extend(numbers);
        // More than the room that was made for them moved them all.
        if out.numbers.as_ptr() == room { out } else { (*out).into() }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.numbers[self.start..]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers[self.start..]
    }
}

impl<T: Real> Clone for Aligned<T> {
    // Its copy begins elsewhere.
    fn clone(&self) -> Self {
        (**self).into()
    }
}

impl<T: Real> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, LINE};

    #[test]
    fn numbers_that_outgrow_their_room_start_at_a_line_too() {
        // A filter promises none.
        let odd: Aligned<f64> = (0..10_000).map(f64::from).filter(|x| x % 2.0 == 1.0).collect();
        assert_eq!((odd.len(), odd[0], odd[4_999], odd.as_ptr().addr() % LINE), (5_000, 1.0, 9_999.0, 0));
        let halves = Aligned::repeat(0.5f32, 100);
        assert!(halves.len() == 100 && halves.iter().all(|x| *x == 0.5) && halves.as_ptr().addr().is_multiple_of(LINE));
    }
}
