//! One entry of every row of a table: what a row-major source has where a columnar one has a slice.

use std::ops::{Index, Range};

/// A column whose numbers lie a fixed distance apart, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'d, T> {
    numbers: &'d [T],
    first: usize,
    stride: usize,
    len: usize,
}

impl<'d, T: Copy> Strided<'d, T> {
    /// The `len` numbers at `first`, `first + stride`, and so on; `None` if the last would lie outside.
    pub fn new(numbers: &'d [T], first: usize, stride: usize, len: usize) -> Option<Self> {
        let inside = match len.checked_sub(1) {
            None => true,
            Some(steps) => steps.checked_mul(stride)?.checked_add(first)? < numbers.len(),
        };
        inside.then_some(Strided { numbers, first, stride, len })
    }

    /// Everything the numbers lie among.
    pub fn numbers(&self) -> &'d [T] {
        self.numbers
    }

    /// Where sample 0 lies in [`Strided::numbers`].
    pub fn first(&self) -> usize {
        self.first
    }

    /// How far apart two samples lie.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The samples of a range.
    ///
    /// # Panics
    /// If they aren't all there.
    pub fn slice(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "samples {range:?} of {}", self.len);
        // No samples may start anywhere: nothing is read there.
        Strided { first: self.first.saturating_add(range.start.saturating_mul(self.stride)), len: range.len(), ..self }
    }

    /// The samples in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'d, T> {
        let Strided { numbers, first, stride, len } = *self;
        (0..len).map(move |i| numbers[first + i * stride])
    }

    /// The slice that this is where the numbers lie side by side.
    pub fn as_slice(&self) -> Option<&'d [T]> {
        match (self.len, self.stride) {
            (0, _) => Some(&[]),
            (len, stride) if stride == 1 || len == 1 => Some(&self.numbers[self.first..self.first + len]),
            _ => None,
        }
    }
}

impl<T: Copy> Index<usize> for Strided<'_, T> {
    type Output = T;

    /// The number at a sample; panics if there is no such sample, as a slice does.
    #[inline]
    fn index(&self, i: usize) -> &T {
        assert!(i < self.len, "sample {i} of {}", self.len);
        &self.numbers[self.first + i * self.stride]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_must_be_inside() {
        let numbers = [0, 1, 2, 3, 4, 5];
        let of = |first, stride, len| Strided::new(&numbers, first, stride, len).map(|s| s.iter().collect::<Vec<_>>());
        assert_eq!(of(1, 2, 3), Some(vec![1, 3, 5]));
        assert_eq!(of(1, 2, 4), None);
        assert_eq!(of(6, 2, 1), None);
        assert_eq!(of(9, 2, 0), Some(vec![]));
        assert_eq!(of(3, 0, 2), Some(vec![3, 3]));
        assert_eq!(of(1, usize::MAX, 3), None);
        assert_eq!(of(usize::MAX, 1, 2), None);
        let strided = Strided::new(&numbers, 0, 2, 3).unwrap();
        assert_eq!((strided.slice(1..3).iter().collect::<Vec<_>>(), strided[2]), (vec![2, 4], 4));
        assert!(strided.slice(3..3).is_empty() && strided.as_slice().is_none());
        assert_eq!(Strided::new(&numbers, 2, 1, 3).unwrap().as_slice(), Some(&[2, 3, 4][..]));
        assert_eq!(strided.slice(1..2).as_slice(), Some(&[2][..]));
    }
}
