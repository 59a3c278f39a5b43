//! Distributions as expressions: parameters in, log densities out.

mod normal;

pub use normal::{Normal, normal};
