//! Columns of samples, borrowed: names, lengths and numbers of columns are checked once.

use crate::column::Column;
use crate::error::{Error, Result};
use crate::graph::Input;
use crate::labels::LabelColumn;
use crate::real::Real;
use std::ops::Range;

/// What data can be bound as: a slice or vector for one column, of numbers or of labels; a matrix with samples as rows,
/// a list of slices, arrays of a sample's numbers (`&[[T; D]]`) or a flat table of them ([`Columns::from_rows`], [`Columns::strided`]) for several.
///
/// Columns of one type are bound as they are, `[("x", &x), ("y", &y)]`; columns of several types by name of this one:
///
/// ```
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// # let g = Graph::new();
/// # let program = (g.data("x") * g.param_with("w", &[2]).gather(g.labels("site"))).sum().compile()?;
/// let (x, site): (Vec<f64>, Vec<u32>) = (vec![1.0, 2.0], vec![1, 0]);
/// let data = program.bind([("x", Columns::from(&x)), ("site", Columns::from(&site))])?;
/// # assert_eq!(data.value(&program.params([("w", [3.0, 5.0])])?)?, 11.0);
/// # Ok(())
/// # }
/// ```
///
/// With the feature `arrow`, Arrow arrays are bound without copying: numbers, integers and dictionaries as labels, lists of fixed size as rows.
#[derive(Clone, Debug)]
pub struct Columns<'d, T> {
    columns: Vec<Column<'d, T>>,
    /// Why they can't be bound: whoever binds them knows their name.
    fault: Option<Fault>,
}

/// What is wrong with columns that were given without a name.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// They aren't where they were said to be.
    Source(String),
    /// The first sample without a value.
    #[cfg(feature = "arrow")]
    Null(usize),
}

impl Fault {
    /// The error where they are bound to this input.
    fn of(self, input: &Input) -> Error {
        let name = input.name.clone();
        match (self, &input.labels) {
            (Fault::Source(message), _) => Error::ColumnSource { name, message },
            #[cfg(feature = "arrow")]
            (Fault::Null(sample), Some(limit)) => Error::Label { name, sample, message: crate::labels::MISSING.into(), place: limit.place },
            #[cfg(feature = "arrow")]
            (Fault::Null(sample), None) => Error::Null { name, sample },
        }
    }
}

impl<'d, T: Copy> Columns<'d, T> {
    pub(crate) fn of(columns: Vec<Column<'d, T>>) -> Self {
        Columns { columns, fault: None }
    }

    pub(crate) fn faulty(fault: Fault) -> Self {
        Columns { columns: Vec::new(), fault: Some(fault) }
    }

    /// The columns of a range, or how many there are; a fault stays.
    pub(crate) fn only(mut self, range: Range<usize>) -> Result<Self, usize> {
        if self.fault.is_none() {
            self.columns = self.columns.get(range).ok_or(self.columns.len())?.to_vec();
        }
        Ok(self)
    }
}

macro_rules! labels_from {
    ($($t:ty)*) => {
        $(
            impl<'d, T: Real> From<&'d [$t]> for Columns<'d, T> {
                fn from(x: &'d [$t]) -> Self {
                    Columns::of(vec![Column::Labels(x.into())])
                }
            }
            impl<'d, T: Real> From<&'d Vec<$t>> for Columns<'d, T> {
                fn from(x: &'d Vec<$t>) -> Self {
                    Columns::of(vec![Column::Labels(x.as_slice().into())])
                }
            }
            impl<'d, T: Real, const N: usize> From<&'d [$t; N]> for Columns<'d, T> {
                fn from(x: &'d [$t; N]) -> Self {
                    Columns::of(vec![Column::Labels(x.as_slice().into())])
                }
            }
        )*
    };
}
labels_from! { u8 u16 u32 u64 usize i8 i16 i32 i64 Option<u32> Option<i64> }

impl<'d, T: Real> From<LabelColumn<'d>> for Columns<'d, T> {
    fn from(x: LabelColumn<'d>) -> Self {
        Columns::of(vec![Column::Labels(x)])
    }
}

impl<'d, T: Real> From<&'d [T]> for Columns<'d, T> {
    fn from(x: &'d [T]) -> Self {
        Columns::of(vec![Column::Real(x)])
    }
}
impl<'d, T: Real> From<&'d Vec<T>> for Columns<'d, T> {
    fn from(x: &'d Vec<T>) -> Self {
        Columns::of(vec![Column::Real(x)])
    }
}
impl<'d, T: Real, const N: usize> From<&'d [T; N]> for Columns<'d, T> {
    fn from(x: &'d [T; N]) -> Self {
        Columns::of(vec![Column::Real(x)])
    }
}
impl<'d, T: Real> From<Vec<&'d [T]>> for Columns<'d, T> {
    fn from(x: Vec<&'d [T]>) -> Self {
        Columns::of(x.into_iter().map(Column::Real).collect())
    }
}
impl<'d, T: Real + nalgebra::Scalar> From<&'d nalgebra::DVector<T>> for Columns<'d, T> {
    fn from(x: &'d nalgebra::DVector<T>) -> Self {
        Columns::of(vec![Column::Real(x.as_slice())])
    }
}
impl<'d, T: Real + nalgebra::Scalar> From<&'d nalgebra::DMatrix<T>> for Columns<'d, T> {
    fn from(x: &'d nalgebra::DMatrix<T>) -> Self {
        // Stored column by column, so each is a slice; of no rows every column is empty.
        let rows = x.nrows();
        Columns::of((0..x.ncols()).map(|j| Column::Real(&x.as_slice()[j * rows..(j + 1) * rows])).collect())
    }
}

/// Checked columns: for each data input of a graph its entries' slices, empty for inputs that aren't needed.
#[derive(Clone, Debug)]
pub struct Table<'d, T> {
    /// One list of slices a data input.
    pub inputs: Vec<Vec<Column<'d, T>>>,
    /// The number of samples.
    pub samples: usize,
}

impl<'d, T: Real> Table<'d, T> {
    /// Checks named columns against the declared inputs; only those marked `needed` must be there.
    pub(crate) fn check<N: AsRef<str>, C: Into<Columns<'d, T>>>(declared: &[Input], needed: &[bool], named: impl IntoIterator<Item = (N, C)>) -> Result<Self> {
        let mut inputs: Vec<Option<Vec<Column<'d, T>>>> = vec![None; declared.len()];
        let mut first: Option<(String, usize)> = None;
        for (name, columns) in named {
            let name = name.as_ref();
            let Some(k) = declared.iter().position(|i| i.name == name) else {
                return Err(Error::UnknownColumn { name: name.into(), known: declared.iter().map(|i| i.name.clone()).collect() });
            };
            let Columns { mut columns, fault } = columns.into();
            if let Some(fault) = fault {
                return Err(fault.of(&declared[k]));
            }
            if columns.len() != declared[k].shape.entries() {
                return Err(Error::ColumnShape { name: name.into(), found: columns.len(), expected: declared[k].shape.clone() });
            }
            for column in &columns {
                let (other, expected) = first.get_or_insert_with(|| (name.to_string(), column.len()));
                if column.len() != *expected {
                    return Err(Error::ColumnLength { name: name.into(), found: column.len(), expected: *expected, other: other.clone() });
                }
            }
            columns.iter_mut().try_for_each(|column| fit(column, &declared[k]))?;
            if inputs[k].replace(columns).is_some() {
                return Err(Error::RepeatedColumn { name: name.into() });
            }
        }
        for (k, input) in declared.iter().enumerate() {
            if needed[k] && inputs[k].is_none() {
                return Err(Error::MissingColumn { name: input.name.clone() });
            }
        }
        Ok(Table { inputs: inputs.into_iter().map(Option::unwrap_or_default).collect(), samples: first.map_or(0, |(_, n)| n) })
    }
}

/// Checks that a column is what its input was declared as. Whole numbers among the reals may be labels.
fn fit<'d, T: Real>(column: &mut Column<'d, T>, declared: &Input) -> Result<()> {
    let labels = match (&declared.labels, *column) {
        (None, Column::Real(_) | Column::Strided(_)) => return Ok(()),
        (None, Column::Labels(_)) => return Err(Error::ColumnKind { name: declared.name.clone(), place: declared.place }),
        (Some(_), Column::Real(x)) => T::as_labels(x),
        (Some(_), Column::Strided(x)) => T::as_strided_labels(x),
        (Some(_), Column::Labels(x)) => x,
    };
    let below = declared.labels.map_or(0, |limit| limit.below);
    if let Some((sample, _)) = labels.first_outside(below) {
        let place = declared.labels.and_then(|limit| limit.place);
        return Err(Error::Label { name: declared.name.clone(), sample, message: labels.describe(sample, below), place });
    }
    *column = Column::Labels(labels);
    Ok(())
}
