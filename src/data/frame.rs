//! Named columns of one length.

use crate::error::{Error, Result};
use crate::lines::Aligned;
use crate::random::SplitMix64;
use crate::real::Real;
use crate::runtime::columns::Columns;
use std::fmt;

/// Rows shown at each end of a table too long to be shown whole.
const SHOWN: usize = 4;

/// Columns of numbers, of one length and with names, in an order. Each starts at a cache line, where kernels read it fastest: up to a tenth faster than a `Vec`
/// (`docs/performance.md`, "Tried").
#[derive(Clone, PartialEq)]
pub struct Frame<T: Real = f64> {
    names: Vec<String>,
    columns: Vec<Aligned<T>>,
    rows: usize,
}

impl<T: Real> Frame<T> {
    /// A frame of these columns. Those that don't start at a cache line are copied, for kernels read them faster from there.
    ///
    /// # Errors
    /// [`Error::ColumnLength`] for columns of different lengths, [`Error::RepeatedColumn`] for a name given twice.
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = (N, Vec<T>)>) -> Result<Self> {
        let mut frame = Frame { names: Vec::new(), columns: Vec::new(), rows: 0 };
        for (name, column) in columns {
            frame.push(name.into(), column)?;
        }
        Ok(frame)
    }

    /// The frame with a further column, copied as in [`Frame::new`].
    ///
    /// ```
    /// use tapeless::data::Frame;
    /// # fn main() -> tapeless::Result<()> {
    /// let frame = Frame::new([("x", vec![1.0, 2.0])])?;
    /// let squares = frame.column("x")?.iter().map(|x| x * x).collect();
    /// let frame = frame.with("x2", squares)?;
    /// assert_eq!(frame.column("x2")?, [1.0, 4.0]);
    /// assert_eq!(frame.column("y").unwrap_err().to_string(), "no data column `y`; there are `x`, `x2`");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn with(mut self, name: &str, column: Vec<T>) -> Result<Self> {
        self.push(name.into(), column)?;
        Ok(self)
    }

    fn push(&mut self, name: String, column: Vec<T>) -> Result<()> {
        if self.names.contains(&name) {
            return Err(Error::RepeatedColumn { name });
        }
        match self.names.first() {
            Some(other) if column.len() != self.rows => {
                return Err(Error::ColumnLength { name, found: column.len(), expected: self.rows, other: other.clone() });
            }
            _ => self.rows = column.len(),
        }
        self.names.push(name);
        self.columns.push(column.into());
        Ok(())
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns' names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One column.
    ///
    /// # Errors
    /// [`Error::NoColumn`] if there is none of this name.
    pub fn column(&self, name: &str) -> Result<&[T]> {
        let k = self.names.iter().position(|n| n == name).ok_or_else(|| Error::NoColumn { name: name.into(), known: self.names.clone() })?;
        Ok(&self.columns[k])
    }

    /// All columns with their names, as [`Program::bind`](crate::Program::bind) takes them.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &[T])> {
        self.names.iter().zip(&self.columns).map(|(name, column)| (name.as_str(), &**column))
    }

    /// Some columns with their names, as [`Program::bind`](crate::Program::bind) takes them: a program refuses columns that it doesn't use.
    ///
    /// # Errors
    /// [`Error::NoColumn`] for a name that isn't there.
    pub fn select<'n, const N: usize>(&self, names: [&'n str; N]) -> Result<Vec<(&'n str, &[T])>> {
        names.iter().map(|name| Ok((*name, self.column(name)?))).collect()
    }

    /// Some columns side by side, to be bound as one vector per sample.
    ///
    /// ```
    /// use tapeless::{data::Frame, prelude::*};
    /// # fn main() -> tapeless::Result<()> {
    /// let frame = Frame::new([("a", vec![1.0, 2.0]), ("b", vec![3.0, 4.0]), ("unused", vec![0.0, 0.0])])?;
    /// let g = Graph::new();
    /// let program = g.data_with("x", &[2]).square().sum().compile()?;
    /// assert_eq!(program.bind([("x", frame.vector(["a", "b"])?)])?.value(&program.zeros())?, 30.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoColumn`] for a name that isn't there.
    pub fn vector<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<Columns<'_, T>> {
        let columns: Vec<&[T]> = names.into_iter().map(|name| self.column(name.as_ref())).collect::<Result<_>>()?;
        Ok(columns.into())
    }

    /// Two columns as points, as plots take them.
    ///
    /// # Errors
    /// [`Error::NoColumn`] for a name that isn't there.
    pub fn points(&self, x: &str, y: &str) -> Result<Vec<(f64, f64)>> {
        Ok(self.column(x)?.iter().zip(self.column(y)?).map(|(x, y)| (x.to_f64(), y.to_f64())).collect())
    }

    /// The frame with every number of one column replaced.
    ///
    /// # Errors
    /// [`Error::NoColumn`] if there is none of this name.
    pub fn map(mut self, name: &str, f: impl FnMut(T) -> T) -> Result<Self> {
        self.column(name)?;
        for (n, column) in self.names.iter().zip(&mut self.columns) {
            if n == name {
                *column = column.iter().copied().map(f).collect();
                break;
            }
        }
        Ok(self)
    }

    /// The rows of these numbers, from 0, in their order; a row may be taken more than once.
    ///
    /// # Errors
    /// [`Error::Setting`] for a row that isn't there.
    pub fn take(&self, rows: &[usize]) -> Result<Self> {
        if let Some(row) = rows.iter().find(|row| **row >= self.rows) {
            return Err(Error::Setting { name: "rows".into(), message: format!("there is no row {row}; they are 0 to {}", self.rows as i64 - 1) });
        }
        let columns = self.columns.iter().map(|c| rows.iter().map(|row| c[*row]).collect()).collect();
        Ok(Frame { names: self.names.clone(), columns, rows: rows.len() })
    }

    /// A share of the rows for training, and the rest for validation: see [`split`](super::split).
    ///
    /// # Errors
    /// As there.
    pub fn split(&self, validation: f64, seed: u64) -> Result<(Self, Self)> {
        let (train, validation) = super::split(self.rows, validation, seed)?;
        Ok((self.take(&train)?, self.take(&validation)?))
    }

    /// The frame followed by `copies` of it in which normal noise of this standard deviation is added to one column: samples between the samples, for a
    /// fit that shall not follow each of them. The noise is a function of the seed.
    ///
    /// ```
    /// use tapeless::data::Frame;
    /// # fn main() -> tapeless::Result<()> {
    /// let frame = Frame::<f64>::new([("x", vec![1.0, 2.0]), ("y", vec![5.0, 6.0])])?.with_noise("x", 0.1, 3, 7)?;
    /// assert_eq!(frame.column("y")?, [5.0, 6.0, 5.0, 6.0, 5.0, 6.0, 5.0, 6.0]);
    /// assert!(frame.column("x")?[2] != 1.0 && (frame.column("x")?[2] - 1.0).abs() < 0.5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoColumn`] if there is none of this name; [`Error::Setting`] for a standard deviation that isn't finite and at least 0.
    pub fn with_noise(&self, name: &str, standard_deviation: f64, copies: usize, seed: u64) -> Result<Self> {
        self.column(name)?;
        if !(standard_deviation >= 0.0 && standard_deviation.is_finite()) {
            let message = format!("must be finite and at least 0, but is {standard_deviation}");
            return Err(Error::Setting { name: "standard_deviation".into(), message });
        }
        let mut random = SplitMix64::stream(seed, 0);
        let mut columns: Vec<Vec<T>> = self.columns.iter().map(|column| column.to_vec()).collect();
        for _ in 0..copies {
            for ((n, to), from) in self.names.iter().zip(&mut columns).zip(&self.columns) {
                if n == name {
                    to.extend(from.iter().map(|x| T::from_f64(x.to_f64() + standard_deviation * random.normal())));
                } else {
                    to.extend_from_slice(from);
                }
            }
        }
        Ok(Frame { names: self.names.clone(), columns: columns.into_iter().map(Aligned::from).collect(), rows: self.rows * (copies + 1) })
    }

    /// The same numbers in another type, rounded: `frame.cast::<f32>()` for programs in `f32`.
    pub fn cast<U: Real>(&self) -> Frame<U> {
        let columns = self.columns.iter().map(|c| c.iter().map(|x| U::from_f64(x.to_f64())).collect()).collect();
        Frame { names: self.names.clone(), columns, rows: self.rows }
    }
}

impl<T: Real> fmt::Display for Frame<T> {
    /// A table of the first and the last rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |row: &usize| self.rows <= 2 * SHOWN || *row < SHOWN || *row >= self.rows - SHOWN;
        let mut lines = vec![self.names.clone()];
        for row in (0..self.rows).filter(shown) {
            if self.rows > 2 * SHOWN && row == self.rows - SHOWN {
                lines.push(vec!["...".into(); self.names.len()]);
            }
            lines.push(self.columns.iter().map(|c| c[row].to_string()).collect());
        }
        let width = |k: usize| lines.iter().map(|line| line[k].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.names.len()).map(width).collect();
        for line in &lines {
            for (k, (cell, width)) in line.iter().zip(&widths).enumerate() {
                write!(f, "{}{cell:>width$}", if k == 0 { "" } else { "  " })?;
            }
            writeln!(f)?;
        }
        write!(f, "({} rows)", self.rows)
    }
}

impl<T: Real> fmt::Debug for Frame<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::LINE;

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
        for rows in [0, 1, 2, 3, 7, 100, 1_001, 40_000] {
            frames::<f64>(rows);
            frames::<f32>(rows);
        }
    }
}
