//! Numbers that start at a cache line.

use crate::real::Real;
use std::ops::Deref;

/// Bytes of a cache line.
const LINE: usize = 64;

/// A column's numbers, the first of them at a multiple of 64 bytes: no vector that a kernel reads of them lies in two cache lines. A `Vec` starts where the allocator
/// likes, which for large ones is 16 bytes past a page: half or all of its vectors lie in two, and each of those is two reads.
pub(super) struct Aligned<T> {
    numbers: Vec<T>,
    /// Where they begin.
    start: usize,
}

impl<T: Real> From<&[T]> for Aligned<T> {
    fn from(numbers: &[T]) -> Self {
        let most = LINE / size_of::<T>();
        let mut room: Vec<T> = Vec::with_capacity(numbers.len() + most);
        // No further than the room that was made for it: an answer of "can't be" is taken as "here".
        let start = Some(room.as_ptr().align_offset(LINE)).filter(|start| *start <= most).unwrap_or(0);
        room.resize(start, T::from_f64(0.0));
        room.extend_from_slice(numbers);
        Aligned { numbers: room, start }
    }
}

impl<T: Real> From<Vec<T>> for Aligned<T> {
    fn from(numbers: Vec<T>) -> Self {
        if numbers.as_ptr().align_offset(LINE) == 0 { Aligned { numbers, start: 0 } } else { numbers.as_slice().into() }
    }
}

impl<T: Real> FromIterator<T> for Aligned<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        numbers.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.numbers[self.start..]
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
    use super::LINE;
    use crate::data::Frame;
    use crate::real::Real;

    fn frames<T: Real>(rows: usize) {
        let numbers = |from: usize| (0..rows).map(|k| T::from_f64((from + k) as f64)).collect::<Vec<T>>();
        let frame = Frame::new([("a", numbers(0)), ("b", numbers(7))]).unwrap().with("c", numbers(9)).unwrap();
        let every = |frame: &Frame<T>, name: &str| {
            let column = frame.column(name).unwrap();
            assert_eq!((column.len(), column.as_ptr().addr() % LINE), (frame.rows(), 0), "{name}, {rows} rows");
        };
        let order: Vec<usize> = (0..rows).rev().collect();
        let (taken, noisy) = (frame.take(&order).unwrap(), frame.with_noise("b", 0.5, 2, 1).unwrap());
        for name in ["a", "b", "c"] {
            [&frame, &frame.clone(), &taken, &noisy, &frame.clone().map(name, |x| x).unwrap()].into_iter().for_each(|frame| every(frame, name));
            assert!(frame.column(name).unwrap().iter().rev().eq(taken.column(name).unwrap()));
        }
        assert_eq!(frame.column("b").unwrap(), numbers(7));
        assert_eq!(noisy.column("c").unwrap(), numbers(9).repeat(3));
        assert!(frame == frame.clone() && frame.cast::<f64>().column("a").unwrap().as_ptr().addr() % LINE == 0);
    }

    #[test]
    fn every_column_of_a_frame_starts_at_a_cache_line() {
        for rows in [1, 2, 3, 7, 100, 1_001, 40_000] {
            frames::<f64>(rows);
            frames::<f32>(rows);
        }
    }
}
