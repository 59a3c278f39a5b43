//! Value and exact gradient of a formula over millions of samples.
//!
//! A likelihood or a loss is written once, as an expression. The library differentiates it before any number is seen, simplifies value and
//! gradient together, and compiles both into one fused loop over the samples: no tape, no cache as long as the data, the same bits on any
//! number of threads.
//!
//! # A first fit
//!
//! ```
//! use tapeless::{dist::normal, prelude::*};
//!
//! # fn main() -> tapeless::Result<()> {
//! # let samples: Vec<f64> = (0..1000).map(|i| 3.0 + 2.0 * ((i as f64 + 0.5) / 1000.0 * 2.0 - 1.0)).collect();
//! let g = Graph::new();
//! let x = g.data("x");                                  // one number per sample
//! let loc = g.param("loc");                             // one number
//! let scale = g.param("raw_scale").softplus();
//! let loss = -normal(loc, scale).log_prob(x).sum();     // summed over the samples
//!
//! let program = loss.compile()?;                        // graph, gradient, kernels
//! let data = program.bind([("x", &samples)])?;          // borrows the columns, checks them once
//! let mut theta = program.params([("loc", -10.0), ("raw_scale", 2.0)])?;
//!
//! let mut adam = Adam::new(0.05);
//! for _ in 0..2000 {
//!     let (_loss, grad) = data.value_and_grad(&theta)?;
//!     adam.step(&mut theta, &grad)?;
//! }
//! assert!((theta.scalar("loc")? - 3.0).abs() < 1e-3);
//! # Ok(())
//! # }
//! ```
//!
//! # The tour
//!
//! **Expressions.** [`Graph`] makes data columns, parameters and constants; [`Expr`] is `Copy`, so formulas read like formulas. Operators take
//! numbers on either side; every operation of the table in [`op`] is a method; shapes broadcast as in NumPy, with the samples axis on its own
//! ([`Shape`]). A mistake inside an operator is kept with your file and line, and `compile()` returns all of them at once:
//!
//! ```
//! use tapeless::prelude::*;
//! let g = Graph::new();
//! let (v, w) = (g.param_with("v", &[2]), g.param_with("w", &[3]));
//! let message = (v + w).sum().compile().unwrap_err().to_string();
//! assert!(message.contains("add: shapes [2] and [3] do not fit (at "), "{message}");
//! ```
//!
//! **Contractions.** What `einsum` writes with letters is a product that broadcasts and a sum over a dimension, and the common ones have names:
//!
//! | einsum | here |
//! |---|---|
//! | `i,i->` | `a.dot(b)` |
//! | `i,j->ij` | `a.outer(b)` |
//! | `ij,j->i`, `i,ij->j`, `ij,jk->ik` | `a.matmul(b)` |
//! | `bij,bjk->bik` (any leading dimensions, broadcast) | `a.matmul(b)` |
//! | `ij,ij->` | `(a * b).sum()` |
//! | `ij->ji`, `ii->i`, `ii->` | `a.transpose()`, `a.diag()`, `a.trace()` |
//! | `i,ij,j->` | `a.quadratic_form(x)` |
//! | `abc,cd->abd`, and whatever else | align by `reshape`, multiply, `sum_dim` |
//!
//! ```
//! use tapeless::prelude::*;
//! # fn main() -> tapeless::Result<()> {
//! let g = Graph::new();
//! let (x, a, b) = (g.data_with("x", &[2]), g.param_with("a", &[2, 2, 3]), g.param_with("b", &[3]));
//! // einsum("ni,ijk,nj,k->n"): per sample, x^T A_k x weighted by b_k. Axes i, j, k from the left.
//! let each = x.reshape(&[2, 1, 1]) * a * x.reshape(&[1, 2, 1]) * b;
//! let y = each.sum_dim(-1).sum_dim(-1).sum_dim(-1).compile_function()?;
//! let columns: [&[f64]; 2] = [&[1.0, 0.0], &[2.0, 1.0]];
//! let numbers: Vec<f64> = (0..12).map(f64::from).collect();
//! let theta = y.params([("a", numbers), ("b", vec![1.0, 0.0, 2.0])])?;
//! let out = y.bind([("x", columns.to_vec())])?.eval(&theta)?;
//! // A_0 + 2 A_2 = [4, 13; 22, 31]
//! assert_eq!(out[0].numbers, [4.0 + 2.0 * (13.0 + 22.0) + 4.0 * 31.0, 31.0]);
//! # Ok(())
//! # }
//! ```
//!
//! **Linear algebra.** [`Expr::cholesky`], [`Expr::solve_lower`] and its kin, [`Expr::log_det`], [`Expr::inverse`], [`Expr::quadratic_form`]: small matrices are written out into
//! the same loops as everything else, large ones without samples are computed at the call stage. [`Bound::check_definite`] makes an error of a matrix that isn't positive definite.
//!
//! **Programs.** `loss.compile()` gives a [`Program`] in `f64` with the gradient by every parameter; [`Options`] choose `f32`, a subset of the
//! parameters, a backend. A [`Function`] computes expressions of any shape, per-sample ones included. Both are owned, `Send + Sync`, and know
//! nothing of data.
//!
//! **Data.** `program.bind(..)` borrows slices, vectors and `nalgebra` matrices (samples as rows), checks names and lengths once, and computes
//! what depends on data alone. Row-major data ([`Columns::from_rows`], `&[[f64; 3]]`) are read where they lie, too. Work runs on rayon's current pool: `pool.install(|| ..)` decides the threads, and the bits don't depend on them.
//!
//! **Labels and groups.** [`Graph::labels`] declares a column of integers; [`Expr::pick`] takes the entry that the label says, [`Expr::gather`] the row of a parameter
//! (a random effect, an embedding), [`Expr::sum_by`] sums by group:
//!
//! ```
//! use tapeless::prelude::*;
//! # fn main() -> tapeless::Result<()> {
//! let g = Graph::new();
//! let effect = g.param_with("effect", &[2]).gather(g.labels("site"));
//! let program = (g.data("y") - effect).square().sum().compile()?;
//! let data = program.bind([("y", Columns::from(&[1.0, 2.0, 4.0])), ("site", Columns::from(&[0u32, 1, 1]))])?;
//! let (value, grad) = data.value_and_grad(&program.params([("effect", [0.0, 3.0])])?)?;
//! assert_eq!((value, grad.get("effect")?), (3.0, &[-2.0, 0.0][..]));
//! # Ok(())
//! # }
//! ```
//!
//! **Calls.** [`Bound::value_and_grad`], [`Bound::value`] (which runs no gradient code), and [`Bound::value_and_grad_into`], which allocates nothing.
//!
//! **Gradients as expressions.** [`Expr::gradient`] gives the gradient by parameters or data as expressions of the same graph, to be combined,
//! compiled, or differentiated again:
//!
//! ```
//! use tapeless::prelude::*;
//! # fn main() -> tapeless::Result<()> {
//! let g = Graph::new();
//! let (x, w) = (g.data("x"), g.param("w"));
//! let loss = (w * x).exp().sum();
//! let slope = loss.gradient(&[w])?[0];
//! let curvature = slope.gradient(&[w])?[0].compile_function()?;
//! let second = curvature.bind([("x", &[1.0, 2.0])])?.eval(&curvature.params([("w", 0.0)])?)?;
//! assert_eq!(second[0].numbers, [5.0]);                 // sum of x^2 exp(0)
//! # Ok(())
//! # }
//! ```
//!
//! **Second derivatives.** [`Options::with_curvature`] compiles value, gradient and Hessian-vector product into one pass
//! ([`Bound::hessian_vector_product`], [`Bound::hessian`]); [`Expr::hessian_vector`] and [`Expr::jacobian`] give them as expressions.
//!
//! **Weights.** `(w * log_prob).sum()` weighs samples; [`Expr::weighted_sum`] and [`Expr::weighted_mean`] say so.
//!
//! **Checking.** [`check::gradient`] holds every component against refined differences and names the operation at fault.
//!
//! **Fitting.** [`fit`] has SGD, Adam and AdamW behind a trait that anyone can implement, and a training loop that stops at the first number
//! that isn't finite and says which operation made it, at which sample, from what. [`Training`] goes through all samples or shuffled mini-batches,
//! with schedules, clipping, early stopping and checkpoints, in memory or in files ([`Training::checkpoint_to`]), from which it goes on to the same bits.
//!
//! **Reading what was made.** [`Program::formula`], [`Program::gradient_source`], [`Program::schedule`], [`Program::kernels`],
//! [`Program::graph_text`] (which [`graph::text::parse`] reads back) and [`Program::graph_dot`] show every stage.
//!
//! # How it works
//!
//! The modules are floors of one house; data walks forward, imports point down: [`error`], [`shape`], [`op`], [`real`], [`strided`], [`labels`], [`lines`], [`mod@column`] - [`graph`] - [`expr`],
//! [`constraint`], [`dist`], [`loss`], [`layer`] - [`diff`], [`simplify`] - [`schedule`] - [`kernel`] - [`backend`] - [`runtime`] - [`pipeline`] - [`fit`], [`check`], [`sample`], [`data`].
//! `docs/architecture.md` follows one expression through all of them; `docs/numerics.md` says how accurate the answers are and why.

pub mod backend;
pub mod check;
pub mod column;
pub mod constraint;
pub mod data;
mod derivatives;
pub mod diff;
pub mod dist;
pub mod error;
pub mod expr;
pub mod fit;
pub mod graph;
pub mod kernel;
pub mod known;
pub mod labels;
pub mod layer;
pub mod lines;
pub mod loss;
#[cfg(all(test, feature = "jit", target_arch = "x86_64", target_os = "linux"))]
mod mutants;
pub mod op;
pub mod pipeline;
#[cfg(feature = "plot")]
pub mod plot;
mod random;
mod ranges;
pub mod real;
pub mod runtime;
pub mod sample;
pub mod schedule;
pub mod shape;
pub mod simplify;
mod special;
pub mod strided;

pub use error::{Error, Mistake, NonFinite, Place, Result};
pub use expr::{Expr, Graph, Labels, Operand};
pub use fit::{Adam, AdamW, History, Outcome, Progress, Sgd, State, Stepper, Stop, Training};
pub use pipeline::{Options, compile, compile_function};
pub use real::Real;
pub use runtime::batch::Batch;
pub use runtime::columns::Columns;
pub use runtime::params::{Grad, Layout, Numbers, Params};
pub use runtime::program::{Array, Bound, BoundFunction, Function, Program};
pub use shape::Shape;

/// What most programs need: `use tapeless::prelude::*;`
pub mod prelude {
    pub use crate::backend::Backend;
    pub use crate::data::Frame;
    pub use crate::expr::{Expr, Graph, Labels};
    pub use crate::fit::{Adam, AdamW, Sgd, Stepper, Training};
    pub use crate::pipeline::Options;
    pub use crate::runtime::columns::Columns;
    pub use crate::runtime::params::{Grad, Params};
    pub use crate::runtime::program::{Bound, Function, Program};
    pub use crate::sample::Sample;
    pub use crate::shape::Shape;
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// So is the guide's code.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
pub struct Guide;
