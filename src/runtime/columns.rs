//! Columns of samples, borrowed: names, lengths and numbers of columns are checked once.

use crate::error::{Error, Result};
use crate::graph::Input;
use crate::real::Real;

/// What data can be bound as: a slice or vector for one column; a matrix with samples as rows, or a list of slices, for several.
#[derive(Clone, Debug)]
pub struct Columns<'d, T>(Vec<&'d [T]>);

impl<'d, T: Real> From<&'d [T]> for Columns<'d, T> {
    fn from(x: &'d [T]) -> Self {
        Columns(vec![x])
    }
}
impl<'d, T: Real> From<&'d Vec<T>> for Columns<'d, T> {
    fn from(x: &'d Vec<T>) -> Self {
        Columns(vec![x])
    }
}
impl<'d, T: Real, const N: usize> From<&'d [T; N]> for Columns<'d, T> {
    fn from(x: &'d [T; N]) -> Self {
        Columns(vec![x])
    }
}
impl<'d, T: Real> From<Vec<&'d [T]>> for Columns<'d, T> {
    fn from(x: Vec<&'d [T]>) -> Self {
        Columns(x)
    }
}
impl<'d, T: Real + nalgebra::Scalar> From<&'d nalgebra::DVector<T>> for Columns<'d, T> {
    fn from(x: &'d nalgebra::DVector<T>) -> Self {
        Columns(vec![x.as_slice()])
    }
}
impl<'d, T: Real + nalgebra::Scalar> From<&'d nalgebra::DMatrix<T>> for Columns<'d, T> {
    fn from(x: &'d nalgebra::DMatrix<T>) -> Self {
        // Stored column by column, so each is a slice; of no rows every column is empty.
        let rows = x.nrows();
        Columns((0..x.ncols()).map(|j| &x.as_slice()[j * rows..(j + 1) * rows]).collect())
    }
}

/// Checked columns: for each data input of a graph its entries' slices, empty for inputs that aren't needed.
#[derive(Clone, Debug)]
pub struct Table<'d, T> {
    /// One list of slices a data input.
    pub inputs: Vec<Vec<&'d [T]>>,
    /// The number of samples.
    pub samples: usize,
}

impl<'d, T: Real> Table<'d, T> {
    /// Checks named columns against the declared inputs; only those marked `needed` must be there.
    pub(crate) fn check<N: AsRef<str>, C: Into<Columns<'d, T>>>(declared: &[Input], needed: &[bool], named: impl IntoIterator<Item = (N, C)>) -> Result<Self> {
        let mut inputs: Vec<Option<Vec<&'d [T]>>> = vec![None; declared.len()];
        let mut first: Option<(String, usize)> = None;
        for (name, columns) in named {
            let name = name.as_ref();
            let Some(k) = declared.iter().position(|i| i.name == name) else {
                return Err(Error::UnknownColumn { name: name.into(), known: declared.iter().map(|i| i.name.clone()).collect() });
            };
            let Columns(columns) = columns.into();
            if columns.len() != declared[k].shape.entries() {
                return Err(Error::ColumnShape { name: name.into(), found: columns.len(), expected: declared[k].shape.clone() });
            }
            for column in &columns {
                let (other, expected) = first.get_or_insert_with(|| (name.to_string(), column.len()));
                if column.len() != *expected {
                    return Err(Error::ColumnLength { name: name.into(), found: column.len(), expected: *expected, other: other.clone() });
                }
            }
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
