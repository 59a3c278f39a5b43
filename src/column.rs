//! A column of samples, borrowed: real numbers, side by side or as an entry of rows, or labels.

use crate::labels::LabelColumn;
use crate::real::Real;
use crate::strided::Strided;
use std::ops::Range;

/// One column: a number or a label for each sample.
#[derive(Clone, Copy, Debug)]
pub enum Column<'d, T> {
    /// Real numbers.
    Real(&'d [T]),
    /// Real numbers, one in each row of a table.
    Strided(Strided<'d, T>),
    /// Labels: whole numbers from 0.
    Labels(LabelColumn<'d>),
}

impl<'d, T: Real> Column<'d, T> {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Column::Real(x) => x.len(),
            Column::Strided(x) => x.len(),
            Column::Labels(x) => x.len(),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers where they lie side by side; empty for entries of rows.
    pub(crate) fn side_by_side(self) -> &'d [T] {
        match self {
            Column::Real(x) => x,
            Column::Strided(_) => &[],
            Column::Labels(_) => unreachable!("binding checked what is bound"),
        }
    }

    /// The samples of a range.
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Column::Real(x) => Column::Real(&x[range]),
            Column::Strided(x) => Column::Strided(x.slice(range)),
            Column::Labels(x) => Column::Labels(x.slice(range)),
        }
    }

    /// A sample as a number; NaN for a label that is missing.
    pub fn number(&self, i: usize) -> f64 {
        match self {
            Column::Real(x) => x[i].to_f64(),
            Column::Strided(x) => x[i].to_f64(),
            Column::Labels(x) => x.get(i).map_or(f64::NAN, |n| n as f64),
        }
    }
}
