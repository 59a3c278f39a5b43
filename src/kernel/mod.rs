//! Kernels: what one step does to every sample, in SSA form over lanes.

pub mod arith;
pub mod build;
pub mod contract;
pub mod ir;
pub mod lower;
pub mod math;
mod parts;
pub mod pass;
pub mod text;
pub mod uniform;
