//! Running a compiled plan: parameters, bound columns, chunks in parallel, and a reduction whose order depends on nothing but the samples.

mod ahead;
#[cfg(feature = "arrow")]
mod arrow;
pub mod batch;
pub mod columns;
mod curvature;
mod definite;
mod groups;
mod lease;
pub mod params;
pub mod pass;
pub mod plan;
pub mod program;
mod rows;
pub mod tree;
mod twins;

pub use crate::backend::LEAF;
