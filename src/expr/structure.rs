//! Structure in the DSL: entries, slices, stacks, transposes, triangles, products of vectors and matrices. Everything here is an arrangement of
//! entries, or a broadcast product and a sum over a dimension.

use super::linalg::WRITTEN_PRODUCT;
use crate::error::{Mistake, Place};
use crate::expr::{Expr, Graph};
use crate::graph::dense::Dense;
use crate::graph::{Arrangement, Op};
use crate::shape::{Dims, Shape};
use std::ops::Range;
use std::sync::Arc;

type Sources = Vec<Option<(u32, u32)>>;

/// The row-major position of an index.
fn position(dims: &[usize], index: &[usize]) -> u32 {
    dims.iter().zip(index).fold(0, |at, (d, i)| at * d + i) as u32
}

/// Every index of these dimensions in row-major order.
fn indices(dims: &[usize]) -> impl Iterator<Item = Dims> + use<> {
    let dims: Dims = dims.into();
    let total: usize = dims.iter().product();
    (0..total).map(move |mut at| {
        let mut index: Dims = smallvec::smallvec![0; dims.len()];
        for axis in (0..dims.len()).rev() {
            index[axis] = at % dims[axis];
            at /= dims[axis];
        }
        index
    })
}

impl Graph {
    /// The `n` by `n` identity matrix.
    #[track_caller]
    pub fn identity(&self, n: usize) -> Expr<'_> {
        self.constant(1.0).arranged(&[n, n], |i| (i[0] == i[1]).then_some(0))
    }

    /// Constants of the given dimensions, in row-major order.
    #[track_caller]
    pub fn array(&self, dims: &[usize], values: &[f64]) -> Expr<'_> {
        let operands: Vec<Expr> = values.iter().map(|v| self.constant(*v)).collect();
        self.arrange("array", &operands, dims, (0..values.len()).map(|k| Some((k as u32, 0))).collect())
    }

    /// Expressions of one shape side by side along a new axis (0 is the outermost).
    #[track_caller]
    pub fn stack<'g>(&'g self, parts: &[Expr<'g>], axis: usize) -> Expr<'g> {
        let with_axis: Vec<Expr> = parts
            .iter()
            .map(|p| {
                let mut dims: Vec<usize> = p.shape().dims().to_vec();
                dims.insert(axis.min(dims.len()), 1);
                p.reshape(&dims)
            })
            .collect();
        self.concat(&with_axis, axis)
    }

    /// Expressions one after the other along an axis; their other dimensions must be the same.
    #[track_caller]
    pub fn concat<'g>(&'g self, parts: &[Expr<'g>], axis: usize) -> Expr<'g> {
        if let Some(mistaken) = parts.iter().find(|p| p.is_poisoned()) {
            return *mistaken;
        }
        let shapes: Vec<_> = parts.iter().map(|p| p.shape()).collect();
        let mistaken = || Mistake::Shapes { op: format!("concat along axis {axis}"), shapes: shapes.clone(), place: Some(Place::caller()) };
        let Some(first) = shapes.first().filter(|s| axis < s.dims().len()) else { return self.mistake(mistaken()) };
        let mut dims: Dims = first.dims().into();
        dims[axis] = 0;
        for s in &shapes {
            let fits = s.dims().len() == dims.len() && (0..dims.len()).all(|k| k == axis || s.dims()[k] == dims[k]);
            if !fits {
                return self.mistake(mistaken());
            }
            dims[axis] = dims[axis].saturating_add(s.dims()[axis]);
        }
        if let Some(mistaken) = self.unusable("concat", &dims) {
            return mistaken;
        }
        let sources = indices(&dims)
            .map(|mut index| {
                let mut part = 0;
                while index[axis] >= shapes[part].dims()[axis] {
                    index[axis] -= shapes[part].dims()[axis];
                    part += 1;
                }
                Some((part as u32, position(shapes[part].dims(), &index)))
            })
            .collect();
        self.arrange("concat", parts, &dims, sources)
    }

    /// A mistake, if no value can have these dimensions: before a list is made of its entries.
    #[track_caller]
    fn unusable(&self, what: &str, dims: &[usize]) -> Option<Expr<'_>> {
        let shape = Shape::new(dims);
        (!shape.is_sound()).then(|| self.mistake(Mistake::UnusableShape { what: what.into(), shape, place: Some(Place::caller()) }))
    }

    /// An arrangement of operands' entries, checked.
    #[track_caller]
    fn arrange<'g>(&'g self, what: &str, operands: &[Expr<'g>], dims: &[usize], sources: Sources) -> Expr<'g> {
        self.gathered(what, operands, Op::Arrange(Arc::new(Arrangement { dims: dims.into(), sources })))
    }
}

impl<'g> Expr<'g> {
    /// Entries of this one under other dimensions: `from` gives the position for each index, or `None` for 0.
    #[track_caller]
    fn arranged(self, dims: &[usize], from: impl Fn(&[usize]) -> Option<u32>) -> Expr<'g> {
        if let Some(mistaken) = self.graph().unusable("arrange", dims) {
            return mistaken;
        }
        let sources = indices(dims).map(|i| from(&i).map(|e| (0, e))).collect();
        self.graph().arrange("arrange", &[self], dims, sources)
    }

    #[track_caller]
    fn no_axis(self, op: &str, axis: impl ToString) -> Expr<'g> {
        self.graph().mistake(Mistake::NoSuchAxis { op: op.into(), axis: axis.to_string(), shape: self.shape(), place: Some(Place::caller()) })
    }

    /// One entry: an index for each dimension.
    #[track_caller]
    pub fn index(self, index: &[usize]) -> Expr<'g> {
        let shape = self.shape();
        if self.is_poisoned() {
            return self;
        }
        if index.len() != shape.dims().len() || index.iter().zip(shape.dims()).any(|(i, d)| i >= d) {
            return self.no_axis("index", format!("{index:?}"));
        }
        let at = position(shape.dims(), index);
        self.arranged(&[], |_| Some(at))
    }

    /// The entries of a range along one axis; negative axes count from the end.
    #[track_caller]
    pub fn slice(self, axis: isize, range: Range<usize>) -> Expr<'g> {
        let shape = self.shape();
        if self.is_poisoned() {
            return self;
        }
        let rank = shape.dims().len() as isize;
        let at = if axis < 0 { axis + rank } else { axis };
        if at < 0 || at >= rank {
            return self.no_axis("slice", axis);
        }
        let at = at as usize;
        if range.start >= range.end || range.end > shape.dims()[at] {
            return self.no_axis("slice", format!("{axis}, entries {range:?}"));
        }
        let mut dims: Dims = shape.dims().into();
        dims[at] = range.len();
        self.arranged(&dims, |i| {
            let mut from: Dims = i.into();
            from[at] += range.start;
            Some(position(shape.dims(), &from))
        })
    }

    /// The last two dimensions exchanged.
    #[track_caller]
    pub fn transpose(self) -> Expr<'g> {
        let Some((shape, n)) = self.matrix("transpose") else { return self.poisoned() };
        let mut dims = shape.clone();
        dims.swap(n, n + 1);
        self.arranged(&dims, |i| {
            let mut from: Dims = i.into();
            from.swap(n, n + 1);
            Some(position(&shape, &from))
        })
    }

    /// The entries on the diagonal of the last two dimensions.
    #[track_caller]
    pub fn diag(self) -> Expr<'g> {
        let Some((shape, n)) = self.matrix("diag") else { return self.poisoned() };
        let mut dims = shape.clone();
        let len = dims[n].min(dims[n + 1]);
        dims.truncate(n);
        dims.push(len);
        self.arranged(&dims, |i| {
            let mut from: Dims = i.into();
            from.push(i[n]);
            Some(position(&shape, &from))
        })
    }

    /// The diagonal matrix with this vector (the last dimension) on its diagonal.
    #[track_caller]
    pub fn to_diag(self) -> Expr<'g> {
        let shape: Dims = self.shape().dims().into();
        let Some(last) = shape.last().copied() else { return self.no_axis("to_diag", -1) };
        let mut dims = shape.clone();
        dims.push(last);
        let n = shape.len();
        self.arranged(&dims, |i| (i[n - 1] == i[n]).then(|| position(&shape, &i[..n])))
    }

    /// The lower triangle of the last two dimensions, diagonal included, zero above.
    ///
    /// Sums of products with a large one are computed without most of the zeros, so that a factor there that isn't finite may have no part in them.
    #[track_caller]
    pub fn tril(self) -> Expr<'g> {
        let Some((shape, n)) = self.matrix("tril") else { return self.poisoned() };
        self.arranged(&shape, |i| (i[n] >= i[n + 1]).then(|| position(&shape, i)))
    }

    /// The upper triangle of the last two dimensions, diagonal included, zero below; its zeros are left out of sums as those of [`Expr::tril`] are.
    #[track_caller]
    pub fn triu(self) -> Expr<'g> {
        let Some((shape, n)) = self.matrix("triu") else { return self.poisoned() };
        self.arranged(&shape, |i| (i[n] <= i[n + 1]).then(|| position(&shape, i)))
    }

    /// The sum of the diagonal of the last two dimensions.
    #[track_caller]
    pub fn trace(self) -> Expr<'g> {
        self.diag().sum_dim(-1)
    }

    /// The inner product over the last dimension.
    #[track_caller]
    pub fn dot(self, other: Expr<'g>) -> Expr<'g> {
        (self * other).sum_dim(-1)
    }

    /// The outer product of two vectors (their last dimensions): entry `[i, j]` is `self[i] * other[j]`.
    #[track_caller]
    pub fn outer(self, other: Expr<'g>) -> Expr<'g> {
        self.with_last_axis() * other.with_axis_before_last()
    }

    /// The matrix product over the last two dimensions, the others broadcast. A vector on the left is a row, on the right a column:
    /// `[n, k] x [k, m] -> [n, m]`, `[k] x [k, m] -> [m]`, `[n, k] x [k] -> [n]`.
    #[track_caller]
    pub fn matmul(self, other: Expr<'g>) -> Expr<'g> {
        if self.is_poisoned() || other.is_poisoned() {
            return self.poisoned();
        }
        let (a, b) = (self.shape(), other.shape());
        let mistaken = Mistake::Shapes { op: "matmul".into(), shapes: vec![a.clone(), b.clone()], place: Some(Place::caller()) };
        match (a.dims().len(), b.dims().len()) {
            (0, _) | (_, 0) => self.graph().mistake(mistaken),
            (1, 1) if a.dims() == b.dims() => self.dot(other),
            // [n, k] x [k]: the vector along the last axis of the matrix.
            (_, 1) if a.dims().last() == b.dims().last() => self.dot(other),
            // [k] x [k, m]: a column times the matrix, summed over the rows.
            (1, rank) if rank > 1 && a.dims()[0] == b.dims()[rank - 2] => (self.with_last_axis() * other).sum_dim(-2),
            (ra, rb) if ra > 1 && rb > 1 && a.dims()[ra - 1] == b.dims()[rb - 2] => {
                let work = a.dims()[ra - 2].saturating_mul(a.dims()[ra - 1]).saturating_mul(b.dims()[rb - 1]);
                if work > WRITTEN_PRODUCT && !a.varies_over_samples() && !b.varies_over_samples() {
                    return self.dense(Dense::Matmul, &[other]);
                }
                (self.with_last_axis() * other.with_axis_at(rb - 2)).sum_dim(-2)
            }
            _ => self.graph().mistake(mistaken),
        }
    }

    #[track_caller]
    fn with_last_axis(self) -> Expr<'g> {
        self.with_axis_at(self.shape().dims().len())
    }

    #[track_caller]
    fn with_axis_before_last(self) -> Expr<'g> {
        self.with_axis_at(self.shape().dims().len().saturating_sub(1))
    }

    #[track_caller]
    fn with_axis_at(self, at: usize) -> Expr<'g> {
        let mut dims: Dims = self.shape().dims().into();
        dims.insert(at, 1);
        self.reshape(&dims)
    }

    /// The dimensions and the position of the last but one, if there are two.
    #[track_caller]
    fn matrix(self, op: &str) -> Option<(Dims, usize)> {
        let dims: Dims = self.shape().dims().into();
        if dims.len() < 2 && !self.is_poisoned() {
            self.no_axis(op, -2);
        }
        (dims.len() >= 2).then(|| (dims.clone(), dims.len() - 2))
    }
}
