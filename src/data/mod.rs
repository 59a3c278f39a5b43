//! Data on the way to a program: named columns, read from CSV, split into training and validation, standardised and back, brought to given moments.
//!
//! ```
//! use tapeless::data::{Affine, Frame, Scaling};
//! use tapeless::{loss::mse, prelude::*};
//! # fn main() -> tapeless::Result<()> {
//! let readings = Frame::new([
//!     ("t_u", vec![35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]),
//!     ("t_c", vec![0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]),
//! ])?;
//! let (train, validation) = readings.split(0.2, 7)?;
//! assert_eq!((train.rows(), validation.rows()), (9, 2));
//!
//! let g = Graph::new();
//! let (t_u, t_c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
//! let program = mse(w * t_u + b, t_c).compile()?;
//!
//! // Fitted on columns of mean 0 and variance 1, where plain gradient descent does well ...
//! let scaling = Scaling::standardise(&train, ["t_u", "t_c"])?;
//! let scaled = scaling.apply(&train)?;
//! let data = program.bind(scaled.columns())?;
//! let mut theta = program.zeros();
//! Training::new(&data, Sgd::new(0.1)).steps(200).run(&mut theta)?;
//!
//! // ... and read in degrees: the same line for the readings as they are.
//! let line = scaling.undo(&theta, &Affine::new("w", ["t_u"]).bias("b").targets(["t_c"]))?;
//! assert!(program.bind(validation.columns())?.value(&line)? < 20.0);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "csv")]
mod csv;
mod density;
mod frame;
mod moments;
mod scaling;
mod split;

pub use density::density;
pub use frame::Frame;
pub use moments::{covariance, match_covariance, match_moments, mean, variance};
pub use scaling::{Affine, Scaling};
pub use split::split;
