//! Row-major data beside columns: a logistic regression whose samples are rows of 10 and of 100 numbers, value and gradient.
//!
//! `cargo bench --bench rows`. The two take turns; a line gives both times and their quotient. What rows cost more is their transposition, tile by tile.
//! Recorded 2026-11-22 (two virtual cores of a Zen 5 server, other work on the machine, one thread), rows over columns: 200,000 by 100, `f64` 1.5, `f32` 1.2; 1,000,000 by 10,
//! `f64` 1.8, `f32` 2.1. `whole copy first` is what the library saves its users: columns made of all rows before each call.

mod common;

use common::{Data, Failure, WORKLOADS, Workload, in_turns, median};
use std::hint::black_box;
use std::time::Duration;
use tapeless::Real;
use tapeless::prelude::*;

/// The rows of a column-major table.
fn rows_of<T: Copy>(columns: &[T], width: usize) -> Vec<T> {
    let n = columns.len() / width;
    (0..n).flat_map(|i| (0..width).map(move |j| columns[j * n + i])).collect()
}

fn run<T: Real>(work: &Workload) -> Result<(), Failure> {
    let numbers = work.generate(work.samples);
    let width = work.data[0].1;
    let rows: Vec<T> = rows_of(&numbers.reals[0], width).into_iter().map(T::from_f64).collect();
    let data: Data<T> = numbers.into();
    let g = Graph::new();
    let program: Program<T> = tapeless::compile((work.loss)(&g), &Options::new())?;
    let theta = work.point(&program, &data.params)?;
    let mut columns = work.columns(&data, work.samples);
    let of_columns = program.bind(columns.clone())?;
    columns[0].1 = Columns::from_rows(&rows, width);
    let of_rows = program.bind(columns.clone())?;
    let (mut grad, mut other) = (program.grad_zeros(), program.grad_zeros());
    for threads in [1, 2] {
        common::pool(threads)?.install(|| -> Result<(), Failure> {
            let (value, same) = (of_columns.value_and_grad_into(&theta, &mut grad)?, of_rows.value_and_grad_into(&theta, &mut other)?);
            assert!(value == same && grad.values() == other.values(), "the bits differ");
            let mut call = || drop(black_box(of_columns.value_and_grad_into(&theta, &mut grad)));
            let mut by_rows = || drop(black_box(of_rows.value_and_grad_into(&theta, &mut other)));
            let mut turned = vec![T::default(); rows.len()];
            let mut copy = || {
                for (i, row) in rows.chunks_exact(width).enumerate() {
                    for (j, x) in row.iter().enumerate() {
                        turned[j * work.samples + i] = *x;
                    }
                }
                black_box(&turned);
            };
            let [a, b, c] = in_turns(Duration::from_secs(2), [&mut call, &mut by_rows, &mut copy]).map(|times| median(&times));
            let each = 1e6 / (work.samples * width) as f64;
            println!(
                "{}, {threads} threads: columns {a:.3} ms, rows {b:.3} ms ({:.2} times; {:.3} ns a number more), whole copy first {:.3} ms",
                work.title(T::NAME),
                b / a,
                (b - a) * each,
                a + c
            );
            Ok(())
        })?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    for work in WORKLOADS.iter().filter(|w| w.name == "logistic") {
        run::<f64>(work)?;
        run::<f32>(work)?;
    }
    Ok(())
}
