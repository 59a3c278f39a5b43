//! True values of every function of the table, to about 100 bits, by other ways than the recipes: Taylor series in double-double, Newton's
//! steps, exact reduction by big integers. `check.rs` holds them against mpmath.

pub mod check;
pub mod dd;
pub mod error_function;
pub mod exact;
pub mod exp;
pub mod gamma;
pub mod inverse;
pub mod points;
pub mod rows;
pub mod trig;
