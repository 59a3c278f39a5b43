//! Backends: what turns a pass's kernels into something that runs. They know primitives, not mathematics.
//!
//! `interp`, the portable tile interpreter, is the definition: any other backend must give the same bits.

pub mod interp;

use crate::error::{Error, Result};
use crate::kernel::ir::PassKernels;
use crate::real::Real;

/// Which backend runs the kernels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The fastest this machine has, unless the environment variable `TAPELESS_BACKEND` names one.
    #[default]
    Auto,
    /// The portable tile interpreter.
    Interp,
}

/// The environment variable that forces a backend.
pub const VARIABLE: &str = "TAPELESS_BACKEND";

impl Backend {
    /// The names that [`VARIABLE`] understands.
    pub const NAMES: [&'static str; 1] = ["interp"];

    /// What `Auto` stands for here and now.
    ///
    /// # Errors
    /// [`Error::Backend`] if the environment variable names a backend that isn't there.
    pub fn resolve(self) -> Result<Backend> {
        if self != Backend::Auto {
            return Ok(self);
        }
        // A name that is no Unicode is no backend either.
        match std::env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned()) {
            None => Ok(Backend::Interp),
            Some(name) if name.is_empty() || name == "interp" => Ok(Backend::Interp),
            Some(name) => Err(Error::Backend { asked: name, available: Self::NAMES.map(String::from).to_vec() }),
        }
    }
}

/// The samples of one leaf: columns, the range, call-stage values, where per-sample results go.
pub struct Leaf<'a, 'o, T> {
    /// Whole columns, in the order of [`PassKernels::columns`].
    pub columns: &'a [&'a [T]],
    /// Columns made for this leaf, in the order of [`PassKernels::made`]; their first number belongs to the leaf's first sample.
    pub made: &'a [Box<[T]>],
    /// The first sample.
    pub start: usize,
    /// How many, at most [`crate::runtime::LEAF`].
    pub len: usize,
    /// In the order of [`PassKernels::uniforms`].
    pub uniforms: &'a [T],
    /// For each per-sample result column its samples of this leaf.
    pub outputs: &'a mut [&'o mut [T]],
    /// Room for the terms of sums by groups, which kernels write as the outputs after [`PassKernels::outputs`].
    pub terms: &'a mut [Box<[T]>],
}

/// A pass that can run.
pub trait Executable<T>: Send + Sync {
    /// Working memory for one thread.
    fn scratch(&self) -> Scratch<T>;

    /// Runs all steps over the samples of a leaf and gives each accumulator's fold over them, its lanes combined.
    fn run(&self, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>, sums: &mut [f64]);

    /// What ran: the backend and the CPU level.
    fn describe(&self) -> String;
}

/// Working memory of one thread.
pub struct Scratch<T> {
    /// Tile buffers and registers.
    pub registers: Vec<Box<[T]>>,
    /// Accumulator lanes.
    pub lanes: Vec<T>,
}

/// Prepares a pass for a backend.
pub fn prepare<T: Real>(backend: Backend, pass: &PassKernels) -> Box<dyn Executable<T>> {
    match backend {
        Backend::Auto | Backend::Interp => Box::new(interp::Interp::<T>::new(pass)),
    }
}

/// Combines an accumulator's lanes in a fixed tree: the upper half onto the lower, until one is left. In `f64`.
pub fn combine_lanes<T: Real>(fold: crate::graph::Fold, lanes: &[T]) -> f64 {
    let mut held = [0.0f64; 64];
    let mut n = lanes.len();
    for (h, l) in held.iter_mut().zip(lanes) {
        *h = l.to_f64();
    }
    while n > 1 {
        n /= 2;
        for k in 0..n {
            held[k] = fold.combine(held[k], held[k + n]);
        }
    }
    held[0]
}
