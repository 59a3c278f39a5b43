//! CPU levels: the same loops compiled three times. A level is a token: holding one proves that the CPU has what it needs.

// The one place of the interpreter where a function compiled for more than the baseline is called.
#![allow(unsafe_code)]

use super::loops;
use super::tile::TileProgram;
use crate::backend::{Leaf, Scratch};
use crate::real::Real;

/// A CPU level this machine has. Made by asking the CPU, nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Every level this machine has, the plainest first.
    pub fn all() -> Vec<Level> {
        let mut levels = vec![Level(Kind::Baseline)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Level(Kind::Avx2));
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512bw") {
                    levels.push(Level(Kind::Avx512));
                }
            }
        }
        levels
    }

    /// The fastest.
    pub fn best() -> Level {
        *Self::all().last().expect("the baseline is always there")
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }

    /// Runs the loops compiled for this level.
    pub fn run<T: Real>(self, program: &TileProgram<T>, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>) {
        match self.0 {
            Kind::Baseline => loops::run(program, leaf, scratch),
            // SAFETY: a `Level` of this kind is made only after the CPU was asked for avx2 and fma.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { run_avx2(program, leaf, scratch) },
            // SAFETY: a `Level` of this kind is made only after the CPU was asked for every feature named there.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { run_avx512(program, leaf, scratch) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<T: Real>(program: &TileProgram<T>, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>) {
    loops::run(program, leaf, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")]
fn run_avx512<T: Real>(program: &TileProgram<T>, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>) {
    loops::run(program, leaf, scratch);
}
