//! Columns standardised for the fit, and the fitted parameters of a linear model brought back to the columns as they were.

use super::frame::Frame;
use super::moments::{mean, variance};
use crate::error::{Error, Result};
use crate::real::Real;
use crate::runtime::params::Params;
use std::fmt;

/// A shift and a scale for each of some columns: `x' = (x - shift) / scale`.
///
/// Learn it from the training rows alone and apply it to all others, so that nothing of the validation rows enters the fit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scaling {
    columns: Vec<Column>,
}

#[derive(Clone, PartialEq, Debug)]
struct Column {
    name: String,
    shift: f64,
    scale: f64,
}

/// Which parameters make an affine map `y = sum_j w[j] x[j] + b` of which columns: what [`Scaling::undo`] needs to know of a model.
#[derive(Clone, PartialEq, Debug)]
pub struct Affine {
    weights: String,
    inputs: Vec<String>,
    bias: Option<String>,
    targets: Vec<String>,
}

impl Affine {
    /// A map without bias of these columns. The parameter `weights` has shape `[d]` or `[d, k]` for `d` columns (one column: also a single number).
    pub fn new<N: Into<String>>(weights: &str, inputs: impl IntoIterator<Item = N>) -> Self {
        Affine { weights: weights.into(), inputs: inputs.into_iter().map(Into::into).collect(), bias: None, targets: Vec::new() }
    }

    /// The parameter that is added: one number, or `[k]`.
    pub fn bias(mut self, name: &str) -> Self {
        self.bias = Some(name.into());
        self
    }

    /// The columns the map predicts, one for each of the `k` outputs, where they are scaled too.
    pub fn targets<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.targets = names.into_iter().map(Into::into).collect();
        self
    }
}

impl Scaling {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings each of these columns to mean 0 and variance 1 (divided by the number of rows).
    ///
    /// # Errors
    /// [`Error::NoColumn`] for a name that isn't there; [`Error::Cell`] for a number that isn't finite; [`Error::Setting`] for a column that doesn't
    /// vary, which says nothing a bias doesn't.
    pub fn standardise<T: Real, N: AsRef<str>>(frame: &Frame<T>, names: impl IntoIterator<Item = N>) -> Result<Self> {
        names.into_iter().try_fold(Self::new(), |scaling, name| {
            let name = name.as_ref();
            let column = frame.column(name)?;
            if let Some(row) = column.iter().position(|x| !x.is_finite()) {
                return Err(Error::Cell { file: None, row: row as u64 + 1, column: name.into(), message: format!("is {}", column[row]) });
            }
            let (shift, spread) = (mean(column), variance(column).sqrt());
            // Equal numbers keep a trace of rounding.
            if column.is_empty() || spread <= 8.0 * T::EPSILON * shift.abs() || spread == 0.0 {
                return Err(setting(format!("column `{name}`"), "does not vary: it can't be brought to variance 1".into()));
            }
            scaling.column(name, shift, spread)
        })
    }

    /// A further column, with a shift and a scale of one's own: `x' = (x - shift) / scale`.
    ///
    /// # Errors
    /// [`Error::RepeatedColumn`] for a name given twice; [`Error::Setting`] for a shift that isn't finite or a scale that isn't finite and above 0.
    pub fn column(mut self, name: &str, shift: f64, scale: f64) -> Result<Self> {
        if self.columns.iter().any(|c| c.name == name) {
            return Err(Error::RepeatedColumn { name: name.into() });
        }
        if !(shift.is_finite() && scale > 0.0 && scale.is_finite()) {
            return Err(setting(format!("column `{name}`"), format!("can't be shifted by {shift} and scaled by {scale}")));
        }
        self.columns.push(Column { name: name.into(), shift, scale });
        Ok(self)
    }

    /// The shift and the scale of a column.
    ///
    /// # Errors
    /// [`Error::NoColumn`] if it isn't scaled.
    pub fn of(&self, name: &str) -> Result<(f64, f64)> {
        let known = || self.columns.iter().map(|c| c.name.clone()).collect();
        let column = self.columns.iter().find(|c| c.name == name).ok_or_else(|| Error::NoColumn { name: name.into(), known: known() })?;
        Ok((column.shift, column.scale))
    }

    /// The frame with its columns scaled; columns that this doesn't know stay as they are.
    ///
    /// # Errors
    /// [`Error::NoColumn`] if the frame lacks one.
    pub fn apply<T: Real>(&self, frame: &Frame<T>) -> Result<Frame<T>> {
        self.each(frame, |x, c| (x - c.shift) / c.scale)
    }

    /// The frame with its columns scaled back.
    ///
    /// # Errors
    /// [`Error::NoColumn`] if the frame lacks one.
    pub fn restore<T: Real>(&self, frame: &Frame<T>) -> Result<Frame<T>> {
        self.each(frame, |x, c| x * c.scale + c.shift)
    }

    fn each<T: Real>(&self, frame: &Frame<T>, f: impl Fn(f64, &Column) -> f64) -> Result<Frame<T>> {
        self.columns.iter().try_fold(frame.clone(), |frame, c| frame.map(&c.name, |x| T::from_f64(f(x.to_f64(), c))))
    }

    /// The parameters for the columns as they were, of a map fitted to scaled columns.
    ///
    /// With inputs `x'_j = (x_j - m_j) / s_j` and a target `y' = (y - m) / s` (where the target isn't scaled, `m` is 0 and `s` is 1), the map
    /// `y' = sum_j w_j x'_j + b` is `y = sum_j v_j x_j + c` with `v_j = s w_j / s_j` and `c = m + s b - sum_j v_j m_j`. All other parameters stay. The
    /// same program with the raw columns bound then predicts the same. Where the map feeds something else, as the logit of a classifier, there is no
    /// target and that holds all the same; penalties on the weights are not undone.
    ///
    /// # Errors
    /// [`Error::NoColumn`] for a column that isn't scaled here (a scaling by 0 and 1 says that it stays); [`Error::UnknownParam`] for a parameter that
    /// isn't there; [`Error::ParamShape`] for one of other dimensions than the columns have; [`Error::Setting`] if there is no bias to take up a shift.
    pub fn undo<T: Real>(&self, theta: &Params<T>, map: &Affine) -> Result<Params<T>> {
        let inputs: Vec<(f64, f64)> = map.inputs.iter().map(|name| self.of(name)).collect::<Result<_>>()?;
        let targets: Vec<(f64, f64)> = map.targets.iter().map(|name| self.of(name)).collect::<Result<_>>()?;
        let weights: Vec<f64> = theta.get(&map.weights)?.iter().map(|x| x.to_f64()).collect();
        let shape = theta.layout().shape(&map.weights).cloned().unwrap_or_default();
        let fits = match shape.dims() {
            [] => inputs.len() == 1,
            [d] | [d, _] => *d == inputs.len(),
            _ => false,
        };
        if !fits {
            return Err(Error::ParamShape { name: map.weights.clone(), found: inputs.len(), expected: shape });
        }
        let outputs = weights.len() / inputs.len().max(1);
        if !(targets.is_empty() || targets.len() == outputs) {
            return Err(setting("targets".into(), format!("the map has {outputs} outputs, but {} targets", targets.len())));
        }
        let target = |k: usize| targets.get(k).copied().unwrap_or((0.0, 1.0));
        let mut out = theta.clone();
        let mut shifts: Vec<f64> = (0..outputs).map(|k| target(k).0).collect();
        let mut unscaled = Vec::with_capacity(weights.len());
        for (j, (shift, scale)) in inputs.iter().enumerate() {
            for (k, taken) in shifts.iter_mut().enumerate() {
                let v = target(k).1 * weights[j * outputs + k] / scale;
                *taken -= v * shift;
                unscaled.push(v);
            }
        }
        out.set(&map.weights, unscaled)?;
        match &map.bias {
            Some(name) => {
                let bias = theta.get(name)?;
                if bias.len() != outputs {
                    return Err(Error::ParamShape { name: name.clone(), found: outputs, expected: theta.layout().shape(name).cloned().unwrap_or_default() });
                }
                let bias: Vec<f64> = bias.iter().zip(&shifts).enumerate().map(|(k, (b, taken))| target(k).1 * b.to_f64() + taken).collect();
                out.set(name, bias)?;
            }
            None if shifts.iter().any(|s| *s != 0.0) => return Err(setting("bias".into(), "without one the columns' shifts can't be undone".into())),
            None => {}
        }
        Ok(out)
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, c) in self.columns.iter().enumerate() {
            write!(f, "{}{} = ({} - {}) / {}", if k == 0 { "" } else { ", " }, c.name, c.name, c.shift, c.scale)?;
        }
        Ok(())
    }
}

fn setting(name: String, message: String) -> Error {
    Error::Setting { name, message }
}
