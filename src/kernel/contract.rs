//! Contraction of a product and the sum it goes into to one `fma`: half the roundings, one instruction. Decided here, once, for every backend.

use super::ir::{Bin, Inst, Kernel, Un, V};
use crate::graph::Fold;

/// Fuses products that have one use into the addition, subtraction, fold or accumulation that uses them.
pub fn contract(kernel: &Kernel) -> Kernel {
    let uses = kernel.uses();
    let mut out = kernel.clone();
    for k in 0..kernel.insts.len() {
        // A product that only this instruction reads.
        let product = |v: V| match kernel.insts[v.index()] {
            Inst::Bin(Bin::Mul, a, b) if uses[v.index()] == 1 => Some((a, b)),
            _ => None,
        };
        // `-(a * b)` that only this instruction reads.
        let negated = |v: V| match kernel.insts[v.index()] {
            Inst::Un(Un::Neg, p) if uses[v.index()] == 1 => product(p),
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
