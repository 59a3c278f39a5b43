//! Shapes: maybe a samples axis, plus static dimensions, with NumPy's broadcasting on the latter.

use smallvec::SmallVec;
use std::fmt;

/// Static dimensions, outermost first.
pub(crate) type Dims = SmallVec<[usize; 4]>;

/// The most entries a value may have beside its samples axis (2^28): larger requests are a mistake, not a plan.
pub(crate) const MAX_ENTRIES: usize = 1 << 28;

/// The shape of an expression: *maybe a samples axis* plus *static dimensions* known when the graph is built.
///
/// Prints as `[]` for one number, `[3, 2]` for a matrix, `[samples]` for a column, `[samples, 8]` for a vector per sample.
///
/// ```
/// use tapeless::Shape;
/// let column = Shape::per_sample(&[3, 1]);
/// let row = Shape::new(&[1, 3]);
/// assert_eq!(column.broadcast(&row).unwrap().to_string(), "[samples, 3, 3]");
/// assert!(Shape::new(&[2]).broadcast(&Shape::new(&[3])).is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    samples: bool,
    dims: Dims,
}

impl Shape {
    /// A shape without samples; `&[]` is one number.
    pub fn new(dims: &[usize]) -> Self {
        Shape { samples: false, dims: Dims::from_slice(dims) }
    }

    /// A shape with the samples axis; `&[]` is one number per sample.
    pub fn per_sample(dims: &[usize]) -> Self {
        Shape { samples: true, dims: Dims::from_slice(dims) }
    }

    pub(crate) fn with(samples: bool, dims: Dims) -> Self {
        Shape { samples, dims }
    }

    /// Whether there is a samples axis.
    pub fn varies_over_samples(&self) -> bool {
        self.samples
    }

    /// The static dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Entries per sample (or in all, without samples): the product of the static dimensions.
    pub fn entries(&self) -> usize {
        self.dims.iter().product()
    }

    /// The extent of the axis counted from the right (0 is the last); 1 beyond the rank, as broadcasting reads it.
    pub(crate) fn extent_from_right(&self, axis: usize) -> usize {
        let rank = self.dims.len();
        if axis < rank { self.dims[rank - 1 - axis] } else { 1 }
    }

    /// The shape both broadcast to: samples if either has them, dimensions aligned at the right, extents equal or 1.
    /// `None` where they don't fit.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        if self.dims == other.dims {
            return Some(Shape { samples: self.samples | other.samples, dims: self.dims.clone() });
        }
        let rank = self.dims.len().max(other.dims.len());
        let mut dims = Dims::with_capacity(rank);
        for axis in (0..rank).rev() {
            match (self.extent_from_right(axis), other.extent_from_right(axis)) {
                (a, b) if a == b => dims.push(a),
                (1, b) => dims.push(b),
                (a, 1) => dims.push(a),
                _ => return None,
            }
        }
        Some(Shape { samples: self.samples | other.samples, dims })
    }

    /// The same dimensions, with or without samples.
    pub(crate) fn with_samples(&self, samples: bool) -> Shape {
        Shape { samples, dims: self.dims.clone() }
    }

    /// Whether the shape names a value that can exist: no empty dimension, not too many entries.
    pub(crate) fn is_sound(&self) -> bool {
        let mut entries = 1usize;
        for &d in &self.dims {
            entries = entries.saturating_mul(d);
        }
        (1..=MAX_ENTRIES).contains(&entries)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let mut separator = "";
        if self.samples {
            f.write_str("samples")?;
            separator = ", ";
        }
        for d in &self.dims {
            write!(f, "{separator}{d}")?;
            separator = ", ";
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For each axis of `dims` (outermost first), how far a row-major operand of shape `operand` moves when that index moves by one:
/// zero where it broadcasts.
pub(crate) fn strides(operand: &[usize], dims: &[usize]) -> Dims {
    let mut out: Dims = smallvec::smallvec![0; dims.len()];
    let mut step = 1;
    let shift = dims.len().saturating_sub(operand.len());
    for axis in (0..operand.len()).rev() {
        if axis + shift < dims.len() && operand[axis] != 1 {
            out[axis + shift] = step;
        }
        step *= operand[axis];
    }
    out
}

/// The entry of `operand` that broadcasting reads at one entry of `dims`: what [`broadcast_index`] has there.
pub(crate) fn broadcast_entry(operand: &[usize], dims: &[usize], mut entry: usize) -> usize {
    let strides = strides(operand, dims);
    let mut at = 0;
    for axis in (0..dims.len()).rev() {
        at += entry % dims[axis] * strides[axis];
        entry /= dims[axis];
    }
    at
}

/// For each entry of `dims` in row-major order, the entry of `operand` that broadcasting reads there.
pub(crate) fn broadcast_index(operand: &[usize], dims: &[usize]) -> Vec<usize> {
    let strides = strides(operand, dims);
    let total: usize = dims.iter().product();
    let mut out = Vec::with_capacity(total);
    let mut index: Dims = smallvec::smallvec![0; dims.len()];
    let mut at = 0;
    for _ in 0..total {
        out.push(at);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= strides[axis] * dims[axis];
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        let s = |d: &[usize]| Shape::new(d);
        assert_eq!(s(&[3, 1]).broadcast(&s(&[1, 3])), Some(s(&[3, 3])));
        assert_eq!(s(&[3, 3]).broadcast(&s(&[2, 1, 1])), Some(s(&[2, 3, 3])));
        assert_eq!(s(&[]).broadcast(&s(&[4])), Some(s(&[4])));
        assert_eq!(s(&[2]).broadcast(&s(&[3])), None);
        assert_eq!(Shape::per_sample(&[]).broadcast(&s(&[5])), Some(Shape::per_sample(&[5])));
    }

    #[test]
    fn broadcast_index_repeats_unit_axes() {
        assert_eq!(broadcast_index(&[3, 1], &[2, 3, 2]), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        assert_eq!(broadcast_index(&[], &[2]), [0, 0]);
        for (operand, dims) in [(&[3, 1][..], &[2, 3, 2][..]), (&[], &[2]), (&[2, 1, 4], &[2, 5, 4]), (&[5], &[5])] {
            let each: Vec<usize> = (0..dims.iter().product()).map(|e| broadcast_entry(operand, dims, e)).collect();
            assert_eq!(each, broadcast_index(operand, dims));
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(!Shape::new(&[usize::MAX, 2]).is_sound());
        assert!(!Shape::new(&[0]).is_sound());
        assert!(Shape::new(&[]).is_sound());
    }
}
