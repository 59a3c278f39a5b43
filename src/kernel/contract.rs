//! Contraction of a product and the sum it goes into to one `fma`: half the roundings, one instruction. Decided here, once, for every backend.
//!
//! Whether a product is contracted is read off the graph, not off the kernel: a value has the same bits in every pass that computes it. The
//! gradient of a minimum finds it by asking which sample equals it, and `x - min(x)` is exactly 0 there.

use super::ir::{Bin, Inst, Kernel, Un, V};
use crate::graph::Fold;
use std::collections::HashSet;

/// Fuses products into the addition, subtraction, fold or accumulation that uses them, but for those the graph uses more than once: `shared`.
pub fn contract(kernel: &Kernel, shared: &HashSet<V>) -> Kernel {
    let mut out = kernel.clone();
    for k in 0..kernel.insts.len() {
        // A product of one use.
        let product = |v: V| match kernel.insts[v.index()] {
            Inst::Bin(Bin::Mul, a, b) if !shared.contains(&v) => Some((a, b)),
            _ => None,
        };
        // `-(a * b)` of one use.
        let negated = |v: V| match kernel.insts[v.index()] {
            Inst::Un(Un::Neg, p) if !shared.contains(&v) => product(p),
            _ => None,
        };
        out.insts[k] = match kernel.insts[k].clone() {
            Inst::Bin(Bin::Add, x, y) if x != y => {
                if let Some((a, b)) = product(x) {
                    Inst::Fma { a, b, c: y, np: false, nc: false }
                } else if let Some((a, b)) = product(y) {
                    Inst::Fma { a, b, c: x, np: false, nc: false }
                } else {
                    continue;
                }
            }
            Inst::Bin(Bin::Sub, x, y) if x != y => {
                if let Some((a, b)) = product(x) {
                    Inst::Fma { a, b, c: y, np: false, nc: true }
                } else if let Some((a, b)) = negated(x) {
                    Inst::Fma { a, b, c: y, np: true, nc: true }
                } else if let Some((a, b)) = product(y) {
                    Inst::Fma { a, b, c: x, np: true, nc: false }
                } else {
                    continue;
                }
            }
            Inst::Fold(Fold::Sum, at, v) => match product(v) {
                Some((a, b)) => Inst::FoldProduct(at, a, b),
                None => continue,
            },
            Inst::Accumulate(Fold::Sum, at, v) => match product(v) {
                Some((a, b)) => Inst::AccumulateProduct(at, a, b),
                None => continue,
            },
            _ => continue,
        };
    }
    out.without_dead()
}
