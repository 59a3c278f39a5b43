//! Plots as SVG: curves, points, densities, contours with the path of a stepper over them, and graphs. Needs the feature `plot`.
//!
//! ```
//! use tapeless::plot::Chart;
//! # fn main() -> tapeless::Result<()> {
//! let parabola = (-20..=20).map(|i| 0.1 * i as f64).map(|x| (x, x * x));
//! let svg = Chart::new("A parabola").x("x").y("x squared").line("x^2", parabola).points("minimum", [(0.0, 0.0)]).svg()?;
//! assert!(svg.starts_with("<svg") && svg.contains("A parabola"));
//! # Ok(())
//! # }
//! ```

mod clip;
mod contour;
mod draw;
mod graph;

pub use graph::graph;

use crate::error::{Error, Result};
use crate::fit::{History, Stepper, Training};
use crate::real::Real;
use std::ops::Range;
use std::path::Path;

/// One thing that is drawn.
#[derive(Clone, Debug)]
struct Series {
    label: String,
    form: Form,
    points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Form {
    Line,
    Dashed,
    /// A line with a dot at every point.
    Path,
    Points,
    /// A curve and the area under it.
    Area,
    /// A vertical line at the first point's `x`.
    Vertical,
    /// Line segments, two points each, of a contour at this share of the way from the lowest to the highest.
    Contour(f64),
}

/// A plot with axes, a legend and a title: series are added, then it is written as SVG.
///
/// The ranges are those of the data with a margin, unless they are set. Points that are not finite are left out, and a line is broken there.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x: String,
    y: String,
    log_y: bool,
    x_range: Option<Range<f64>>,
    y_range: Option<Range<f64>>,
    series: Vec<Series>,
}

impl Chart {
    /// An empty chart with this title.
    pub fn new(title: &str) -> Self {
        Chart { title: title.into(), x: String::new(), y: String::new(), log_y: false, x_range: None, y_range: None, series: Vec::new() }
    }

    /// What the horizontal axis shows, with its unit.
    pub fn x(mut self, label: &str) -> Self {
        self.x = label.into();
        self
    }

    /// What the vertical axis shows, with its unit.
    pub fn y(mut self, label: &str) -> Self {
        self.y = label.into();
        self
    }

    /// A logarithmic vertical axis; points that aren't above 0 are left out.
    pub fn log_y(mut self) -> Self {
        self.log_y = true;
        self
    }

    /// The part of the horizontal axis that is shown.
    pub fn x_range(mut self, range: Range<f64>) -> Self {
        self.x_range = Some(range);
        self
    }

    /// The part of the vertical axis that is shown.
    pub fn y_range(mut self, range: Range<f64>) -> Self {
        self.y_range = Some(range);
        self
    }

    /// A line through these points.
    pub fn line(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(label, Form::Line, points)
    }

    /// A dashed line through these points.
    pub fn dashed(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(label, Form::Dashed, points)
    }

    /// A line through these points, with a dot at each: the way of a stepper.
    pub fn path(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(label, Form::Path, points)
    }

    /// Dots.
    pub fn points(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(label, Form::Points, points)
    }

    /// A line through these points, the area down to 0 filled: a density.
    pub fn area(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.add(label, Form::Area, points)
    }

    /// A vertical dashed line.
    pub fn vertical(self, label: &str, x: f64) -> Self {
        self.add(label, Form::Vertical, [(x, f64::NAN)])
    }

    /// The lines on which a function of `x` and `y`, called `name` in the legend, has these values, over the ranges of both axes, which are set by this. The function is evaluated on a
    /// grid of 121 by 121 points.
    ///
    /// # Errors
    /// Those of the function.
    pub fn contours(mut self, name: &str, x: Range<f64>, y: Range<f64>, levels: &[f64], mut f: impl FnMut(f64, f64) -> Result<f64>) -> Result<Self> {
        let grid = contour::Grid::new(&x, &y, &mut f)?;
        for (k, level) in levels.iter().enumerate() {
            let share = k as f64 / (levels.len().max(2) - 1) as f64;
            self = self.add(&format!("{name} {}", draw::number(*level)), Form::Contour(share), grid.segments(*level));
        }
        Ok(self.x_range(x).y_range(y))
    }

    fn add(mut self, label: &str, form: Form, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series.push(Series { label: label.into(), form, points: points.into_iter().collect() });
        self
    }

    /// The plot as SVG.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is nothing to draw, or a range is empty.
    pub fn svg(&self) -> Result<String> {
        draw::svg(self)
    }

    /// Writes the plot to a file; makes its folder if there is none.
    ///
    /// # Errors
    /// As [`Chart::svg`]; [`Error::File`] if it can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.svg()?)
    }
}

/// The losses of a training against its steps, with the validation losses if there are any; logarithmic where they span more than two powers of ten.
pub fn losses<T: Real, S: Stepper<T>>(title: &str, training: &Training<'_, '_, T, S>) -> Chart {
    let train = curve(training.history());
    let validation: Vec<(f64, f64)> = training.validations().iter().map(|(step, loss)| (*step as f64, loss.to_f64())).collect();
    let all = || train.iter().chain(&validation).map(|(_, loss)| *loss);
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let mut chart = Chart::new(title).x("step").y("loss").line("training", train.clone());
    if !validation.is_empty() {
        chart = chart.line("validation", validation);
    }
    if low > 0.0 && high > 100.0 * low { chart.log_y() } else { chart }
}

/// The recorded losses against their steps.
pub fn curve<T: Real>(history: &History<T>) -> Vec<(f64, f64)> {
    history.rows().map(|row| (row.step as f64, row.loss.to_f64())).collect()
}

/// A function of one number at 200 points from one end of a range to the other, to be drawn as a line.
pub fn sampled(range: Range<f64>, mut f: impl FnMut(f64) -> f64) -> Vec<(f64, f64)> {
    (0..200).map(|k| range.start + (range.end - range.start) * f64::from(k) / 199.0).map(|x| (x, f(x))).collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |e: std::io::Error| Error::File { path: path.display().to_string(), message: e.to_string() };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
