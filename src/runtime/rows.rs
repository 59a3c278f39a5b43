//! Data that lie row by row: arrays of a sample's numbers, flat tables, strided views as `ndarray` has them.

use super::columns::{Columns, Fault};
use crate::column::Column;
use crate::real::Real;
use crate::strided::Strided;
use std::ops::Range;

/// Entries at most of a view that has no number of its own for each: one of no samples, or that reads a number again for the next entry. Of others there are no
/// more than numbers.
const MOST_ENTRIES: usize = 1 << 20;
/// Samples at most of a view that reads the same numbers again for each: a sum over 2^40 takes minutes, one over 2^63 would never end.
const MOST_REPEATED: usize = 1 << 40;

impl<'d, T: Real> Columns<'d, T> {
    /// Rows of `width` numbers, one after the other: a row-major matrix with samples as rows. Entry `j` of sample `i` is `numbers[i * width + j]`.
    ///
    /// Nothing is copied: the rows of some hundred samples are transposed at a time, when they are needed, into a buffer that stays in the cache. Results have
    /// the bits that bound columns give. Columns are faster where there is a choice: see `docs/performance.md`.
    ///
    /// ```
    /// use tapeless::prelude::*;
    /// # fn main() -> tapeless::Result<()> {
    /// let g = Graph::new();
    /// let (x, y, w) = (g.data_with("x", &[2]), g.data("y"), g.param_with("w", &[2]));
    /// let program = (x.dot(w) - y).square().sum().compile()?;
    /// // x0, x1, y of two samples.
    /// let table = [1.0, 2.0, 9.0, 3.0, 4.0, 8.0];
    /// let rows = Columns::from_rows(&table, 3);
    /// let data = program.bind([("x", rows.clone().entries(0..2)), ("y", rows.entries(2..3))])?;
    /// assert_eq!(data.value(&program.params([("w", [1.0, 1.0])])?)?, 36.0 + 1.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Binding returns [`crate::Error::ColumnSource`] if the numbers aren't a whole number of rows.
    pub fn from_rows(numbers: &'d [T], width: usize) -> Self {
        match numbers.len().checked_rem(width) {
            Some(0) => Self::strided(numbers, [numbers.len() / width, width], [width, 1]),
            None if numbers.is_empty() => Columns::of(Vec::new()),
            _ => Columns::faulty(Fault::Source(format!("{} numbers are no whole number of rows of {width}", numbers.len()))),
        }
    }

    /// A view of `[samples, entries]` with these strides, counted in numbers: entry `j` of sample `i` is `numbers[i * strides[0] + j * strides[1]]`. Any matrix that lies
    /// in memory can be given so, part of one too: a view of `ndarray` by its slice from the first number on, its shape and strides. Entries whose samples lie
    /// side by side (`strides[0]` of 1) are read where they lie, others as by [`Columns::from_rows`].
    ///
    /// A stride of 0 repeats numbers: one row for all samples, up to 2^40 of them, or one number for all entries, up to 2^20.
    ///
    /// # Errors
    /// Binding returns [`crate::Error::ColumnSource`] if the last number would lie outside of `numbers`, or numbers are repeated more often than that.
    pub fn strided(numbers: &'d [T], [samples, entries]: [usize; 2], strides: [usize; 2]) -> Self {
        let column = |entry: usize| {
            let first = entry.checked_mul(strides[1])?;
            let strided = Strided::new(numbers, first, strides[0], samples)?;
            Some(strided.as_slice().map_or(Column::Strided(strided), Column::Real))
        };
        let repeated = samples > MOST_REPEATED && strides[0] == 0 || entries > MOST_ENTRIES && (strides[1] == 0 || samples == 0);
        if repeated {
            let message = format!("a view of {samples} samples of {entries} entries with strides {strides:?} repeats its {} numbers too often", numbers.len());
            return Columns::faulty(Fault::Source(message));
        }
        // Before a list is made of them.
        let inside = entries.checked_sub(1).is_none_or(|last| column(last).is_some());
        match inside.then(|| (0..entries).map(column).collect::<Option<Vec<_>>>()).flatten() {
            Some(columns) => Columns::of(columns),
            None => {
                let message =
                    format!("a view of {samples} samples of {entries} entries with strides {strides:?} lies outside of its {} numbers", numbers.len());
                Columns::faulty(Fault::Source(message))
            }
        }
    }

    /// Some of the entries: a table's columns for one data input.
    ///
    /// # Errors
    /// Binding returns [`crate::Error::ColumnSource`] if they aren't all there.
    pub fn entries(self, range: Range<usize>) -> Self {
        let (start, end) = (range.start, range.end);
        self.only(range).unwrap_or_else(|there| Columns::faulty(Fault::Source(format!("entries {start} to {end} of {there}"))))
    }
}

impl<'d, T: Real, const D: usize> From<&'d [[T; D]]> for Columns<'d, T> {
    fn from(x: &'d [[T; D]]) -> Self {
        Columns::from_rows(x.as_flattened(), D)
    }
}
impl<'d, T: Real, const D: usize> From<&'d Vec<[T; D]>> for Columns<'d, T> {
    fn from(x: &'d Vec<[T; D]>) -> Self {
        Columns::from_rows(x.as_flattened(), D)
    }
}
impl<'d, T: Real, const D: usize, const N: usize> From<&'d [[T; D]; N]> for Columns<'d, T> {
    fn from(x: &'d [[T; D]; N]) -> Self {
        Columns::from_rows(x.as_flattened(), D)
    }
}
