//! Running a compiled plan: parameters, bound columns, chunks in parallel, and a reduction whose order depends on nothing but the samples.

pub mod batch;
pub mod columns;
mod curvature;
mod definite;
mod groups;
pub mod params;
pub mod pass;
pub mod plan;
pub mod program;
pub mod tree;

pub use crate::backend::LEAF;
