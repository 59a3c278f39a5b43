//! The language: structure, labels, linear algebra, reductions, distributions, constraints, losses, derivatives of derivatives.

mod constraints;
mod dense;
mod distributions;
#[path = "../families/mod.rs"]
mod families;
mod labels;
mod linalg;
mod log_sums;
mod losses;
mod passes;
mod references;
mod sampling;
mod second;
mod structure;
