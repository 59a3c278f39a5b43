//! tapeless
pub mod backend;
pub mod diff;
pub mod error;
pub mod expr;
pub mod graph;
pub mod kernel;
pub mod op;
pub mod pipeline;
pub mod real;
pub mod runtime;
pub mod schedule;
pub mod shape;
pub mod simplify;
pub use error::{Error, Result};
pub use runtime::program::Array;
pub use shape::Shape;
/// What most programs need.
pub mod prelude { pub use crate::expr::{Graph, Expr}; pub use crate::pipeline::Options; pub use crate::runtime::program::{Program, Bound, Function}; }
