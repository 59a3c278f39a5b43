//! One error type: a user's mistakes, each naming the node, the shapes, the column or parameter, and the place in the user's source.

use crate::shape::Shape;
use std::fmt;
use std::panic::Location;

/// Where in the user's source something was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file, as the compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl Place {
    #[track_caller]
    pub(crate) fn caller() -> Self {
        let location = Location::caller();
        Place { file: location.file(), line: location.line() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a number stopped being finite.
#[derive(Clone, PartialEq, Debug)]
pub struct NonFinite {
    /// The operation, or the input that was not finite to begin with.
    pub node: String,
    /// Where the user wrote it; for an operation of the gradient, the operation it was derived from.
    pub place: Option<Place>,
    /// The sample, from 0; `None` for a value without samples.
    pub sample: Option<usize>,
    /// The training step, from 1, in a training loop.
    pub step: Option<u64>,
    /// What went in: each operand and its number.
    pub inputs: Vec<(String, f64)>,
    /// What came out.
    pub value: f64,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gave {}", self.node, plain(self.value))?;
        for (k, (name, x)) in self.inputs.iter().enumerate() {
            write!(f, "{}{name} = {}", if k == 0 { " from " } else { ", " }, plain(*x))?;
        }
        if let Some(i) = self.sample {
            write!(f, ", at sample {i}")?;
        }
        if let Some(step) = self.step {
            write!(f, ", in step {step}")?;
        }
        self.place.map_or(Ok(()), |p| write!(f, " (at {p})"))
    }
}

/// A mistake made while writing an expression. Operators can't return it, so it is kept and comes back from `compile()`.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Mistake {
    /// Operand shapes that don't broadcast.
    Shapes {
        /// The operation.
        op: String,
        /// The operands' shapes, in order.
        shapes: Vec<Shape>,
        /// Where it was written.
        place: Option<Place>,
    },
    /// An operand that belongs to another graph.
    ForeignExpression {
        /// The operation.
        op: String,
        /// Where it was written.
        place: Option<Place>,
    },
    /// An axis that the operand doesn't have.
    NoSuchAxis {
        /// The reduction.
        op: String,
        /// The axis asked for: `samples`, or a dimension's number.
        axis: String,
        /// The operand's shape.
        shape: Shape,
        /// Where it was written.
        place: Option<Place>,
    },
    /// A shape that no value can have: an empty dimension, or more than 2^28 entries.
    UnusableShape {
        /// What was to have this shape.
        what: String,
        /// The shape.
        shape: Shape,
        /// Where it was written.
        place: Option<Place>,
    },
    /// Values of too many entries together: their numbers could not be counted in 32 bits.
    TooManyEntries {
        /// The value with the most.
        what: String,
        /// Its shape.
        shape: Shape,
        /// The entries of all values of the program.
        entries: usize,
        /// Where the value with the most was written.
        place: Option<Place>,
    },
    /// Two parameters, or two data columns, of one name; a parameter with the name of a column.
    DuplicateName {
        /// The name.
        name: String,
        /// The first use and its shape.
        first: Shape,
        /// The second use and its shape.
        second: Shape,
        /// Where the second was written.
        place: Option<Place>,
    },
    /// A loss to be differentiated that isn't one number.
    NotScalar {
        /// What was asked.
        what: String,
        /// Its shape.
        shape: Shape,
        /// Where it was written.
        place: Option<Place>,
    },
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self {
            Mistake::Shapes { op, shapes, place } => {
                write!(f, "{op}: shapes ")?;
                for (k, s) in shapes.iter().enumerate() {
                    write!(f, "{}{s}", if k == 0 { "" } else { " and " })?;
                }
                f.write_str(" do not fit")?;
                place
            }
            Mistake::ForeignExpression { op, place } => {
                write!(f, "{op}: an operand belongs to another graph")?;
                place
            }
            Mistake::NoSuchAxis { op, axis, shape, place } => {
                write!(f, "{op}: {shape} has no axis {axis}")?;
                place
            }
            Mistake::UnusableShape { what, shape, place } => {
                write!(f, "{what}: no value can have shape {shape} (empty, or more than 2^28 entries)")?;
                place
            }
            Mistake::TooManyEntries { what, shape, entries, place } => {
                write!(f, "the values of the program have {entries} entries together, more than 2^31; {what} of shape {shape} has the most")?;
                place
            }
            Mistake::DuplicateName { name, first, second, place } => {
                write!(f, "the name `{name}` is taken: first {first}, then {second}")?;
                place
            }
            Mistake::NotScalar { what, shape, place } => {
                write!(f, "{what} must be one number, but has shape {shape}; reduce it with sum() or mean()")?;
                place
            }
        };
        match place {
            Some(place) => write!(f, " (at {place})"),
            None => Ok(()),
        }
    }
}

/// Everything that can go wrong by a user's doing. Each message says what was given and what was expected.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// Mistakes made while writing the expression: all of them, in the order they were made.
    Expression(Vec<Mistake>),
    /// A column was bound that the program doesn't use.
    UnknownColumn {
        /// The name given.
        name: String,
        /// The program's columns.
        known: Vec<String>,
    },
    /// A column that isn't among those there are.
    NoColumn {
        /// The name asked for.
        name: String,
        /// The columns there are.
        known: Vec<String>,
    },
    /// A cell of a table that can't be used.
    Cell {
        /// The file, if it is one.
        file: Option<String>,
        /// The row of numbers, from 1: a header and empty lines are none.
        row: u64,
        /// The column.
        column: String,
        /// What is wrong there.
        message: String,
    },
    /// A file that can't be read or written.
    File {
        /// Its path.
        path: String,
        /// What the system says.
        message: String,
    },
    /// A column the program needs wasn't bound.
    MissingColumn {
        /// The column.
        name: String,
    },
    /// One column was bound twice.
    RepeatedColumn {
        /// The column.
        name: String,
    },
    /// Columns of different lengths.
    ColumnLength {
        /// The column that differs.
        name: String,
        /// Its number of samples.
        found: usize,
        /// The number of samples of the column it is held against.
        expected: usize,
        /// That column.
        other: String,
    },
    /// A matrix of samples with another number of columns than declared.
    ColumnShape {
        /// The data input.
        name: String,
        /// Columns given.
        found: usize,
        /// The declared dimensions.
        expected: Shape,
    },
    /// Columns that aren't where they were said to be: no whole number of rows, a view that ends outside of its numbers.
    ColumnSource {
        /// The data input.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A number that is missing from a column whose source knows of missing ones. (NaN is a number.)
    Null {
        /// The data input.
        name: String,
        /// The first sample without a number, from 0.
        sample: usize,
    },
    /// Labels bound to a data input of real numbers.
    ColumnKind {
        /// The data input.
        name: String,
        /// Where it was declared.
        place: Option<Place>,
    },
    /// A label that is missing, negative, or too large for what it is used for.
    Label {
        /// The column.
        name: String,
        /// The sample, from 0.
        sample: usize,
        /// What is wrong with its label.
        message: String,
        /// The use that says how large labels may be.
        place: Option<Place>,
    },
    /// A reduction that has no value without samples (mean, min, max), and no samples.
    NoSamples {
        /// The reduction.
        op: String,
        /// Where it was written.
        place: Option<Place>,
    },
    /// A parameter that the program doesn't have.
    UnknownParam {
        /// The name given.
        name: String,
        /// The program's parameters.
        known: Vec<String>,
    },
    /// A parameter without a value.
    MissingParam {
        /// The parameter.
        name: String,
    },
    /// A parameter was given twice.
    RepeatedParam {
        /// The parameter.
        name: String,
    },
    /// A parameter value of another shape than declared.
    ParamShape {
        /// The parameter.
        name: String,
        /// Numbers given.
        found: usize,
        /// The declared shape.
        expected: Shape,
    },
    /// A matrix given for a parameter of other dimensions.
    ParamMatrix {
        /// The parameter.
        name: String,
        /// Rows and columns given.
        found: Shape,
        /// The declared shape.
        expected: Shape,
    },
    /// Parameters or a gradient laid out for another program.
    Layout {
        /// What the program has.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A gradient was asked with respect to something that is neither a parameter nor data.
    NotAnInput {
        /// What was given.
        what: String,
        /// Where it was written.
        place: Option<Place>,
    },
    /// A number went wrong in a training loop or was asked for: the report names the node that made it.
    NonFinite(Box<NonFinite>),
    /// A matrix whose Cholesky factor was asked for isn't positive definite.
    NotDefinite {
        /// The operation.
        op: String,
        /// The pivot that isn't positive.
        pivot: f64,
        /// Its row, where the factor is one node of the graph.
        row: Option<usize>,
        /// The sample, for a matrix that varies over samples.
        sample: Option<usize>,
        /// Where the factor was written.
        place: Option<Place>,
    },
    /// Text that isn't what it is read as: a graph, a saved state.
    Parse {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A backend that doesn't exist or that this machine can't run.
    Backend {
        /// The one asked for.
        asked: String,
        /// The ones there are.
        available: Vec<String>,
    },
    /// A parameter of a distribution outside of its domain, where samples are drawn.
    Distribution {
        /// The distribution.
        distribution: String,
        /// The parameter.
        parameter: String,
        /// The number it has.
        value: f64,
        /// What it must be.
        expected: String,
    },
    /// A setting out of its range (a learning rate, a number of steps, a saved state of another stepper).
    Setting {
        /// The setting.
        name: String,
        /// What is wrong with it.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Expression(mistakes) => {
                write!(f, "{} mistake{} in the expression", mistakes.len(), if mistakes.len() == 1 { "" } else { "s" })?;
                for m in mistakes {
                    write!(f, "\n  {m}")?;
                }
                Ok(())
            }
            Error::UnknownColumn { name, known } => write!(f, "no data column `{name}`; the program has {}", list(known)),
            Error::NoColumn { name, known } => write!(f, "no data column `{name}`; there are {}", list(known)),
            Error::Cell { file, row, column, message } => {
                file.as_ref().map_or(Ok(()), |file| write!(f, "{file}: "))?;
                write!(f, "row {row}, column `{column}`: {message}")
            }
            Error::File { path, message } => write!(f, "{path}: {message}"),
            Error::MissingColumn { name } => write!(f, "data column `{name}` is not bound"),
            Error::RepeatedColumn { name } => write!(f, "data column `{name}` is bound twice"),
            Error::ColumnLength { name, found, expected, other } => {
                write!(f, "data column `{name}` has {found} samples, but `{other}` has {expected}")
            }
            Error::ColumnShape { name, found, expected } => {
                write!(f, "data `{name}` has {found} columns, but is declared {expected}")
            }
            Error::ColumnSource { name, message } => write!(f, "data `{name}`: {message}"),
            Error::Null { name, sample } => write!(f, "data `{name}`, sample {sample}: the number is missing"),
            Error::ColumnKind { name, place } => {
                write!(f, "data column `{name}` is given integers, but is declared as real numbers")?;
                place.map_or(Ok(()), |p| write!(f, " (at {p})"))
            }
            Error::Label { name, sample, message, place } => {
                write!(f, "label column `{name}`, sample {sample}: {message}")?;
                place.map_or(Ok(()), |p| write!(f, " (used at {p})"))
            }
            Error::NoSamples { op, place } => {
                write!(f, "{op} over no samples has no value")?;
                place.map_or(Ok(()), |p| write!(f, " (at {p})"))
            }
            Error::UnknownParam { name, known } => write!(f, "no parameter `{name}`; the program has {}", list(known)),
            Error::MissingParam { name } => write!(f, "parameter `{name}` has no value"),
            Error::RepeatedParam { name } => write!(f, "parameter `{name}` is given twice"),
            Error::ParamShape { name, found, expected } => {
                write!(f, "parameter `{name}` is given {found} number{}, but is declared {expected}", if *found == 1 { "" } else { "s" })
            }
            Error::ParamMatrix { name, found, expected } => write!(f, "parameter `{name}` is given a matrix {found}, but is declared {expected}"),
            Error::Layout { expected, found } => write!(f, "parameters of another program: expected {expected}, found {found}"),
            Error::NotAnInput { what, place } => {
                write!(f, "a gradient is taken with respect to parameters and data, not {what}")?;
                place.map_or(Ok(()), |p| write!(f, " (at {p})"))
            }
            Error::NotDefinite { op, pivot, row, sample, place } => {
                write!(f, "{op}: the matrix is not positive definite: pivot {pivot:e}")?;
                row.map_or(Ok(()), |row| write!(f, " in row {row}"))?;
                sample.map_or(Ok(()), |sample| write!(f, " at sample {sample}"))?;
                place.map_or(Ok(()), |p| write!(f, " (at {p})"))
            }
            Error::NonFinite(report) => fmt::Display::fmt(report, f),
            Error::Parse { line, message } => write!(f, "line {line}: {message}"),
            Error::Backend { asked, available } => write!(f, "backend `{asked}` can't be used here; available: {}", list(available)),
            Error::Distribution { distribution, parameter, value, expected } => write!(f, "{distribution}: {parameter} must be {expected}, but is {value}"),
            Error::Setting { name, message } => write!(f, "{name}: {message}"),
        }
    }
}

impl std::error::Error for Error {}

/// A number without a hundred zeros.
fn plain(x: f64) -> String {
    if x.is_finite() && x.abs() >= 1e16 { format!("{x:e}") } else { format!("{x}") }
}

/// `Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}
