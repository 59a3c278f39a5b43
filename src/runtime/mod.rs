//! Running a compiled plan: parameters, bound columns, chunks in parallel, and a reduction whose order depends on nothing but the samples.

mod ahead;
#[cfg(feature = "arrow")]
mod arrow;
pub mod batch;
pub mod columns;
mod curvature;
mod definite;
mod groups;
pub mod params;
pub mod pass;
pub mod plan;
pub mod program;
mod rows;
pub mod tree;
mod twins;

/// Samples in a leaf of the reduction tree. A leaf's sums are made in lanes in a fixed order, and leaves are combined pairwise, so a result
/// depends on the number of samples only. 4096 samples of one `f64` column are 32 KiB: about 2 us of work for the cheapest kernel.
pub const LEAF: usize = 4096;
