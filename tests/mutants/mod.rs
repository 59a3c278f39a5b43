//! Broken versions of what the library holds true: of a pullback, as the graph it builds; of a rule's right side, as text.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod formula;
pub mod patterns;
pub mod pullbacks;
