//! Sums of products with matrices that lack entries, over any axis: every backend gives the oracle's numbers, with steps in turns and without, and all of them
//! the same bits. `TAPELESS_CASES` and `TAPELESS_SEED` as in `properties`.

mod random;

use proptest::prelude::*;
use random::leaf::run_pass;
use random::{Numbers, check, fail};
use std::cell::Cell;
use tapeless::Columns;
use tapeless::backend::{self, Backend};
use tapeless::graph::eval::{Inputs, eval, exact};
use tapeless::kernel::ir::PassKernels;
use tapeless::prelude::*;
use tapeless::runtime::plan::Plan;

/// A model: `factor` is `[stack, rows, columns]`.
#[derive(Clone, Debug)]
struct Model {
    stack: usize,
    rows: usize,
    columns: usize,
    /// Whole, lower, upper, or two of a kind one above the other.
    kind: u8,
    /// Which axis is summed over.
    axis: usize,
    /// Whether the vector differs from matrix to matrix.
    own: bool,
    /// Whether a gradient by the matrices is taken.
    fixed: bool,
    samples: usize,
    seed: u32,
}

fn models() -> impl Strategy<Value = Model> {
    let sizes = (1..=3usize, 9..=26usize, 9..=26usize);
    (sizes, 0..4u8, 0..3usize, any::<bool>(), any::<bool>(), 1..=90usize, any::<u32>())
        .prop_map(|((stack, rows, columns), kind, axis, own, fixed, samples, seed)| Model { stack, rows, columns, kind, axis, own, fixed, samples, seed })
}

fn loss<'g>(g: &'g Graph, model: &Model) -> Expr<'g> {
    let Model { stack, rows, columns, .. } = *model;
    let factor = |name: &str| {
        let raw = g.param_with(name, &[stack, rows, columns]);
        if model.fixed { raw.detach() } else { raw }
    };
    let lower = factor("lower").tril();
    let matrix = match model.kind {
        0 => factor("whole"),
        1 => lower,
        2 => factor("upper").triu(),
        _ => g.concat(&[lower, factor("upper").triu()], 1),
    };
    let first = if model.own { stack } else { 1 };
    let x = g.data_with("x", &[first, 1, columns]) * g.param_with("scale", &[columns]) + g.param_with("shift", &[first, 1, 1]);
    let summed = (matrix * x).sum_dim(model.axis as isize);
    // A second product goes back through the first for each sample.
    ((summed * 0.3).sin() + summed.square() * 0.1).sum()
}

#[test]
fn every_backend_gives_the_oracles_numbers() {
    let (parts, turned) = (Cell::new(0usize), Cell::new(0usize));
    check(5, models(), |model| {
        let g = Graph::new();
        let program = Options::new().backend(Backend::Interp).compile(loss(&g, &model)).map_err(|e| fail(e.to_string()))?;
        let dag = program.dag();
        let mut numbers = Numbers(u64::from(model.seed));
        let mut made = |n: usize| (0..n).map(|_| numbers.unit() * 2.0 - 1.0).collect::<Vec<f64>>();
        let inputs = Inputs {
            samples: model.samples,
            data: dag.data().iter().map(|i| made(i.shape.entries() * model.samples)).collect(),
            params: dag.params().iter().map(|p| made(p.shape.entries())).collect(),
        };
        let expected = eval(dag, &inputs, exact);
        let expected: Vec<f64> = dag.outputs().iter().flat_map(|(_, id)| expected[id.index()].numbers.clone()).collect();
        let mut first: Option<Vec<f64>> = None;
        for backend in Backend::available() {
            let g = Graph::new();
            let program = Options::new().backend(backend).compile(loss(&g, &model)).map_err(|e| fail(e.to_string()))?;
            let columns = (0..dag.data().len()).map(|k| Columns::from(random::columns(&inputs, k)));
            let data = program.bind(dag.data().iter().map(|i| &i.name).zip(columns)).map_err(|e| fail(e.to_string()))?;
            let theta = program.params(dag.params().iter().map(|p| &p.name).zip(&inputs.params)).map_err(|e| fail(e.to_string()))?;
            let (value, grad) = data.value_and_grad(&theta).map_err(|e| fail(e.to_string()))?;
            let found: Vec<f64> = std::iter::once(value).chain(grad.values().iter().copied()).collect();
            let scale = expected.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
            if let Some(k) = (0..found.len()).find(|k| (found[*k] - expected[*k]).abs() > 1e-11 * scale) {
                return Err(fail(format!("{backend:?}: number {k} is {} where the oracle has {}\n{}", found[k], expected[k], program.kernels())));
            }
            let first = first.get_or_insert_with(|| found.clone());
            if first.iter().zip(&found).any(|(a, b)| a.to_bits() != b.to_bits()) {
                return Err(fail(format!("{backend:?} differs from the interpreter\n{}", program.kernels())));
            }
        }
        // Each pass by itself, in turns too.
        for pass in Plan::<f64>::new(dag.clone(), Backend::Interp).pass_kernels() {
            parts.set(parts.get() + usize::from(pass.steps.iter().any(|s| !s.parts.is_empty())));
            let columns: Vec<Vec<f64>> = (0..pass.columns.len()).map(|_| made(model.samples)).collect();
            let uniforms = made(pass.uniforms.len());
            let run = |backend: Backend, pass: &PassKernels| {
                let executable = backend::prepare::<f64>(backend, pass);
                turned.set(turned.get() + usize::from(executable.describe().contains("in turns")));
                run_pass(&*executable, pass, &columns, &uniforms, 0, model.samples)
            };
            let expected = run(Backend::Interp, pass);
            for backend in Backend::available() {
                if run(backend, &PassKernels { in_turns: true, ..pass.clone() }) != expected {
                    return Err(fail(format!("{backend:?} in turns differs from the interpreter\n{}", program.kernels())));
                }
            }
        }
        Ok(())
    });
    let cases = random::cases(5) as usize;
    println!("{cases} models, {} passes with parts, {} with steps in turns", parts.get(), turned.get());
    assert!(parts.get() * 3 > cases && (turned.get() * 10 > cases || Backend::available().len() == 1), "{} and {} of {cases}", parts.get(), turned.get());
}
