//! Broken versions of what the library holds true: of a pullback, as the graph it builds; of a rule's right side, as text.

// Compiled into each binary that names it: `checker` needs the pullbacks alone, `mutation` the patterns of rules too, so what is dead in one is used in the other.
#![allow(dead_code)]

pub mod formula;
pub mod patterns;
pub mod pullbacks;
