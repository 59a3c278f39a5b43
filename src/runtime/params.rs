//! Points in parameter space: a flat vector of numbers with names and shapes. Gradients are laid out the same way.

use crate::error::{Error, Result};
use crate::graph::Input;
use crate::real::Real;
use crate::shape::Shape;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Names, shapes and places of parameters in a flat vector.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Layout {
    entries: Vec<(String, Shape, usize)>,
    total: usize,
}

impl Layout {
    pub(crate) fn new<'i>(inputs: impl IntoIterator<Item = &'i Input>) -> Self {
        let mut layout = Layout::default();
        for input in inputs {
            layout.entries.push((input.name.clone(), input.shape.clone(), layout.total));
            layout.total += input.shape.entries();
        }
        layout
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, ..)| name.as_str())
    }

    /// How many numbers there are in all.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The shape of a parameter.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.entries.iter().find(|(n, ..)| n == name).map(|(_, shape, _)| shape)
    }

    /// Where a parameter's numbers are in the flat vector.
    pub fn range(&self, name: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|(n, ..)| n == name).map(|(_, shape, at)| *at..at + shape.entries())
    }

    /// Which parameter the number at this position belongs to, and which of its entries it is.
    pub fn at(&self, position: usize) -> Option<(&str, usize)> {
        let (name, _, first) = self.entries.iter().rev().find(|(_, shape, first)| *first <= position && position < first + shape.entries())?;
        Some((name, position - first))
    }

    pub(crate) fn unknown(&self, name: &str) -> Error {
        Error::UnknownParam { name: name.into(), known: self.names().map(String::from).collect() }
    }

    pub(crate) fn mismatch(&self, found: &Layout) -> Error {
        Error::Layout { expected: self.to_string(), found: found.to_string() }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entries.is_empty() {
            return f.write_str("no parameters");
        }
        for (k, (name, shape, _)) in self.entries.iter().enumerate() {
            write!(f, "{}{name} {shape}", if k == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// What a parameter can be given as: a number, a list, a vector or a matrix (entries in row-major order).
#[derive(Clone, PartialEq, Debug)]
pub struct Numbers {
    entries: Vec<f64>,
    /// Rows and columns, if they were given as a matrix.
    matrix: Option<[usize; 2]>,
}

impl From<f64> for Numbers {
    fn from(x: f64) -> Self {
        Numbers { entries: vec![x], matrix: None }
    }
}
impl From<f32> for Numbers {
    fn from(x: f32) -> Self {
        Numbers { entries: vec![f64::from(x)], matrix: None }
    }
}
impl From<Vec<f64>> for Numbers {
    fn from(x: Vec<f64>) -> Self {
        Numbers { entries: x, matrix: None }
    }
}
impl From<&[f64]> for Numbers {
    fn from(x: &[f64]) -> Self {
        Numbers { entries: x.to_vec(), matrix: None }
    }
}
impl From<&Vec<f64>> for Numbers {
    fn from(x: &Vec<f64>) -> Self {
        Numbers { entries: x.clone(), matrix: None }
    }
}
impl<const N: usize> From<[f64; N]> for Numbers {
    fn from(x: [f64; N]) -> Self {
        Numbers { entries: x.to_vec(), matrix: None }
    }
}
impl From<&nalgebra::DVector<f64>> for Numbers {
    fn from(x: &nalgebra::DVector<f64>) -> Self {
        Numbers { entries: x.iter().copied().collect(), matrix: None }
    }
}
impl From<&nalgebra::DMatrix<f64>> for Numbers {
    fn from(x: &nalgebra::DMatrix<f64>) -> Self {
        // nalgebra stores columns; entries here go row by row.
        Numbers { entries: x.transpose().iter().copied().collect(), matrix: Some([x.nrows(), x.ncols()]) }
    }
}

/// A point in parameter space, or a gradient at one.
#[derive(Clone, PartialEq, Debug)]
pub struct Params<T> {
    layout: Arc<Layout>,
    values: Vec<T>,
}

/// A gradient: laid out like the parameters it was taken by.
pub type Grad<T> = Params<T>;

impl<T: Real> Params<T> {
    /// All numbers 0.
    pub fn zeros(layout: &Arc<Layout>) -> Self {
        Params { layout: layout.clone(), values: vec![T::default(); layout.len()] }
    }

    /// Every parameter by name.
    ///
    /// # Errors
    /// A name that isn't there, is missing or is given twice; another number of entries than the shape has.
    pub fn from_named<N: AsRef<str>, V: Into<Numbers>>(layout: &Arc<Layout>, named: impl IntoIterator<Item = (N, V)>) -> Result<Self> {
        let mut out = Self::zeros(layout);
        let mut given = vec![false; layout.entries.len()];
        for (name, value) in named {
            let name = name.as_ref();
            let k = layout.entries.iter().position(|(n, ..)| n == name).ok_or_else(|| layout.unknown(name))?;
            if std::mem::replace(&mut given[k], true) {
                return Err(Error::RepeatedParam { name: name.into() });
            }
            out.set(name, value)?;
        }
        match given.iter().position(|g| !g) {
            Some(k) => Err(Error::MissingParam { name: layout.entries[k].0.clone() }),
            None => Ok(out),
        }
    }

    /// Names, shapes and places.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All numbers, one parameter after the other, each in row-major order.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// All numbers, to change.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// One parameter's numbers.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn get(&self, name: &str) -> Result<&[T]> {
        let range = self.layout.range(name).ok_or_else(|| self.layout.unknown(name))?;
        Ok(&self.values[range])
    }

    /// A parameter that is one number.
    ///
    /// # Errors
    /// If there is no such parameter, or it has more than one entry.
    pub fn scalar(&self, name: &str) -> Result<T> {
        match self.get(name)? {
            [x] => Ok(*x),
            _ => Err(Error::ParamShape { name: name.into(), found: 1, expected: self.layout.shape(name).cloned().unwrap_or_default() }),
        }
    }

    /// Sets one parameter.
    ///
    /// # Errors
    /// If there is no such parameter, or it has another number of entries.
    pub fn set(&mut self, name: &str, value: impl Into<Numbers>) -> Result<()> {
        let Numbers { entries: value, matrix } = value.into();
        let range = self.layout.range(name).ok_or_else(|| self.layout.unknown(name))?;
        // A matrix is not a list: its transpose has as many entries, in another order. Axes of extent 1 make no difference.
        if let (Some(found), Some(expected)) = (matrix, self.layout.shape(name))
            && !found.iter().filter(|d| **d != 1).eq(expected.dims().iter().filter(|d| **d != 1))
        {
            return Err(Error::ParamMatrix { name: name.into(), found: Shape::new(&found), expected: expected.clone() });
        }
        if value.len() != range.len() {
            return Err(Error::ParamShape { name: name.into(), found: value.len(), expected: self.layout.shape(name).cloned().unwrap_or_default() });
        }
        for (to, from) in self.values[range].iter_mut().zip(value) {
            *to = T::from_f64(from);
        }
        Ok(())
    }

    /// Each parameter's name and numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[T])> {
        self.layout.entries.iter().map(|(name, shape, at)| (name.as_str(), &self.values[*at..at + shape.entries()]))
    }

    /// The Euclidean norm of all numbers.
    pub fn norm(&self) -> f64 {
        let squares = |scale: f64| self.values.iter().map(|x| (x.to_f64() * scale).powi(2)).sum::<f64>();
        let plain = squares(1.0);
        if plain > 1e-280 && plain < f64::INFINITY {
            return plain.sqrt();
        }
        // The squares left the range of numbers; those of the shares of the largest don't.
        let largest = self.values.iter().map(|x| x.to_f64().abs()).fold(0.0, f64::max);
        if largest > 0.0 && largest < f64::INFINITY {
            let down = if largest > 1.0 { 2f64.powi(-600) } else { 2f64.powi(600) };
            return squares(down).sqrt() / down;
        }
        plain.sqrt()
    }

    /// Whether no number is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        self.values.iter().all(|x| x.is_finite())
    }

    /// Whether the layouts are the same.
    #[inline]
    pub(crate) fn fits(&self, layout: &Arc<Layout>) -> bool {
        /// Not the usual case, so not in its way.
        #[cold]
        fn alike(one: &Layout, other: &Layout) -> bool {
            one == other
        }
        Arc::ptr_eq(&self.layout, layout) || alike(&self.layout, layout)
    }
}

impl<T: Real> fmt::Display for Params<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, (name, values)) in self.iter().enumerate() {
            write!(f, "{}{name} = ", if k == 0 { "" } else { ", " })?;
            match values {
                [x] => write!(f, "{x}")?,
                many => write!(f, "{many:?}")?,
            }
        }
        Ok(())
    }
}
