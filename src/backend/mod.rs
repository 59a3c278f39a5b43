//! Backends: what turns a pass's kernels into something that runs. They know primitives, not mathematics.
//!
//! `interp`, the portable tile interpreter, is the definition: any other backend must give the same bits.

pub mod environment;
pub mod interp;
#[cfg(all(feature = "jit", target_arch = "x86_64", unix))]
pub mod jit;
pub mod rows;

use crate::error::{Error, Result};
use crate::kernel::ir::PassKernels;
use crate::lines::Aligned;
use crate::real::Real;
use rows::LeafRows;
use std::any::Any;

/// Which backend runs the kernels. All give the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The fastest this machine has, unless the environment variable `TAPELESS_BACKEND` names one. Where the system lets nobody have
    /// executable pages it is the interpreter, and the program's report says so.
    #[default]
    Auto,
    /// The portable tile interpreter.
    Interp,
    /// Native code with 256-bit vectors: AVX2 and FMA.
    Avx2,
    /// Native code with 512-bit vectors: AVX-512 F, DQ and VL.
    Avx512,
}

/// The environment variable that forces a backend.
pub const VARIABLE: &str = "TAPELESS_BACKEND";

/// Whether this build and this machine have native code: AVX2, AVX-512.
#[cfg(all(feature = "jit", target_arch = "x86_64", unix))]
fn native() -> (bool, bool) {
    jit::available()
}

#[cfg(not(all(feature = "jit", target_arch = "x86_64", unix)))]
fn native() -> (bool, bool) {
    (false, false)
}

/// Whether the system allows executable pages.
#[cfg(all(feature = "jit", target_arch = "x86_64", unix))]
fn pages() -> bool {
    jit::pages_available().is_ok()
}

#[cfg(not(all(feature = "jit", target_arch = "x86_64", unix)))]
fn pages() -> bool {
    false
}

impl Backend {
    /// The backends that can be forced, the plainest first.
    pub const ALL: [Backend; 3] = [Backend::Interp, Backend::Avx2, Backend::Avx512];

    /// The name that [`VARIABLE`] understands.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Auto => "auto",
            Backend::Interp => "interp",
            Backend::Avx2 => "avx2",
            Backend::Avx512 => "avx512",
        }
    }

    /// Those that this build has and this CPU can run, the plainest first.
    pub fn available() -> Vec<Backend> {
        let (avx2, avx512) = native();
        Self::ALL.into_iter().filter(|b| *b == Backend::Interp || *b == Backend::Avx2 && avx2 || *b == Backend::Avx512 && avx512).collect()
    }

    /// What this stands for here and now.
    ///
    /// # Errors
    /// [`Error::Backend`] if one is forced, by hand or by the environment variable, that isn't there: unknown, not of this CPU, or in need of
    /// executable pages where the system refuses them.
    pub fn resolve(self) -> Result<Backend> {
        let available = Self::available();
        let forced = if self == Backend::Auto {
            // A name that is no Unicode is no backend either.
            match std::env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.is_empty()) {
                None => return Ok(available.last().copied().unwrap_or(Backend::Interp)),
                Some(name) => Self::ALL.into_iter().find(|b| b.name() == name).ok_or(name),
            }
        } else {
            Ok(self)
        };
        let names = |of: &[Backend]| of.iter().map(|b| b.name().to_string()).collect();
        match forced {
            Err(name) => Err(Error::Backend { asked: name, available: names(&available) }),
            Ok(b) if !available.contains(&b) => Err(Error::Backend { asked: b.name().into(), available: names(&available) }),
            Ok(b) if b != Backend::Interp && !pages() => {
                Err(Error::Backend { asked: format!("{} (the system refuses executable pages)", b.name()), available: names(&[Backend::Interp]) })
            }
            Ok(b) => Ok(b),
        }
    }
}

/// Samples in a leaf of the reduction tree. A leaf's sums are made in lanes in a fixed order, and leaves are combined pairwise, so a result
/// depends on the number of samples only. 4096 samples of one `f64` column are 32 KiB: about 0.2 us of work for the cheapest kernel.
pub const LEAF: usize = 4096;

/// The samples of one leaf, or of a run of them: columns, the range, call-stage values, where per-sample results go.
#[derive(Debug)]
pub struct Leaf<'a, 'o, T> {
    /// Whole columns, in the order of [`PassKernels::columns`]; those of `rows` are empty here.
    pub columns: &'a [&'a [T]],
    /// Columns that are entries of rows, where there are any.
    pub rows: Option<LeafRows<'a, T>>,
    /// Columns made for this leaf, in the order of [`PassKernels::made`]; their first number belongs to the leaf's first sample.
    pub made: &'a [Aligned<T>],
    /// The first sample.
    pub start: usize,
    /// How many, at most [`Executable::leaves`] times [`LEAF`].
    pub len: usize,
    /// In the order of [`PassKernels::uniforms`].
    pub uniforms: &'a [T],
    /// For each per-sample result column its samples of this leaf.
    pub outputs: &'a mut [&'o mut [T]],
    /// Room for the terms of sums by groups, which kernels write as the outputs after [`PassKernels::outputs`].
    pub terms: &'a mut [Aligned<T>],
}

/// A pass that can run.
pub trait Executable<T>: Send + Sync {
    /// Working memory for one thread.
    fn scratch(&self) -> Scratch<T>;

    /// Whether it can run over a leaf tile by tile, as [`Leaf::rows`] needs it; if not, one prepared with [`PassKernels::by_tiles`] can.
    fn runs_by_tiles(&self) -> bool {
        true
    }

    /// How many leaves it runs over in one call, at most.
    fn leaves(&self) -> usize {
        1
    }

    /// Runs all steps over the samples and gives each accumulator's fold over them, its lanes combined: a row for each leaf, one row if there are
    /// no samples.
    fn run(&self, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>, sums: &mut [f64]) {
        environment::with_default(|| self.run_here(leaf, scratch, sums));
    }

    /// The same for callers that have set the floating-point environment: in any other than [`environment::with_default`]'s the bits are others.
    fn run_here(&self, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>, sums: &mut [f64]);

    /// What ran: the backend and the CPU level; if it isn't the one asked for, why.
    fn describe(&self) -> String;

    /// The machine code with what each instruction is for, if there is any. `pass` is what it was prepared from; `columns` names the data.
    fn assembly(&self, _pass: &PassKernels, _columns: &[String]) -> Option<String> {
        None
    }
}

/// Working memory of one thread.
#[derive(Debug)]
pub struct Scratch<T> {
    /// Tile buffers and registers.
    pub registers: Vec<Box<[T]>>,
    /// Accumulator lanes.
    pub lanes: Vec<T>,
    /// What native code is given: addresses and lengths.
    pub words: Vec<usize>,
    /// A tile of the columns that are entries of rows: room is made for the first leaf that has some.
    pub rows: Vec<T>,
}

/// Prepares a pass for a backend. What native code can't do, the interpreter does, and says why.
///
/// Everything below is compiled here, once for each number type, and not again in the crates that use this one.
pub fn prepare<T: Real>(backend: Backend, pass: &PassKernels) -> Box<dyn Executable<T>> {
    let made: Box<dyn Any> = if T::DOUBLE { Box::new(double(backend, pass)) } else { Box::new(single(backend, pass)) };
    *made.downcast::<Box<dyn Executable<T>>>().expect("there are two number types")
}

fn double(backend: Backend, pass: &PassKernels) -> Box<dyn Executable<f64>> {
    of_type(backend, pass)
}

fn single(backend: Backend, pass: &PassKernels) -> Box<dyn Executable<f32>> {
    of_type(backend, pass)
}

fn of_type<T: Real>(backend: Backend, pass: &PassKernels) -> Box<dyn Executable<T>> {
    #[cfg(all(feature = "jit", target_arch = "x86_64", unix))]
    {
        let compiled = match backend {
            Backend::Avx512 => Some(jit::Jit::<T>::avx512(pass)),
            Backend::Avx2 => Some(jit::Jit::<T>::avx2(pass)),
            Backend::Auto | Backend::Interp => None,
        };
        match compiled {
            Some(Ok(jit)) => return Box::new(jit),
            Some(Err(why)) => return Box::new(interp::Interp::<T>::instead_of(pass, backend.name(), &why)),
            None => {}
        }
    }
    let _ = backend;
    Box::new(interp::Interp::<T>::new(pass))
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
