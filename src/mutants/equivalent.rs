//! Breaks of the emitter that make no difference, and why.

/// The source line; part of what is done there (all of it, if empty); why it makes no difference.
pub const EQUIVALENT: &[(&str, &str, &str)] = &[];
