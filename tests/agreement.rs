//! P3: interpreter, AVX2 and AVX-512 give the same bits, or all NaN: value, gradient and per-sample results of random graphs over the whole
//! table, `f64` and `f32`, for lengths around every block's, a quarter of the inputs special.
//!
//! `TAPELESS_CASES` sets how many graphs, `TAPELESS_SEED` which ones. A failing graph is shrunk and printed. The last line says how many graphs
//! were compared, and how many differed.

mod random;

use proptest::test_runner::TestCaseError;
use random::leaf::{awkward, run_pass};
use random::{Numbers, Recipe, Style, build, cases, check, fail};
use std::cell::Cell;
use tapeless::backend::{self, Backend};
use tapeless::graph::{Dag, NodeId};
use tapeless::kernel::ir::PassKernels;
use tapeless::prelude::*;
use tapeless::runtime::plan::Plan;
use tapeless::{Columns, Real};

type Outcome = Result<(), TestCaseError>;

/// Around the blocks of every width, and around a leaf.
const LENGTHS: [usize; 15] = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1023, 4095, 4096, 4097];
/// Over many leaves; rarely.
const LONG: usize = 65537;

/// What was compared.
#[derive(Default)]
struct Tally {
    passes: Cell<u64>,
    numbers: Cell<u64>,
    /// Passes that a native backend left to the interpreter.
    left: Cell<u64>,
    /// Passes with steps in turns.
    turned: Cell<u64>,
}

fn add(cell: &Cell<u64>, n: usize) {
    cell.set(cell.get() + n as u64);
}

/// The native backends of this machine.
fn native() -> Vec<Backend> {
    Backend::available().into_iter().filter(|b| *b != Backend::Interp).collect()
}

fn difference(found: &[u64], expected: &[u64]) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!("{} numbers where there are {}", found.len(), expected.len()));
    }
    let k = (0..found.len()).find(|k| found[*k] != expected[*k])?;
    let (f, e) = (f64::from_bits(found[k]), f64::from_bits(expected[k]));
    Some(format!("number {k} is {f:e} ({:x}) where the interpreter has {e:e} ({:x})", found[k], expected[k]))
}

/// Every pass of a graph, over one leaf of awkward numbers, from a sample that is nowhere aligned.
fn passes_agree<T: Real>(dag: &Dag, len: usize, numbers: &mut Numbers, tally: &Tally) -> Outcome {
    let plan = Plan::<T>::new(dag.clone(), Backend::Interp);
    let len = len.min(4096);
    for pass in plan.pass_kernels() {
        let start = (numbers.bits() % 70) as usize;
        let columns: Vec<Vec<T>> = (0..pass.columns.len() + pass.made.len()).map(|_| (0..start + len).map(|_| awkward(numbers)).collect()).collect();
        let uniforms: Vec<T> = pass.uniforms.iter().map(|_| awkward(numbers)).collect();
        let interp = backend::prepare::<T>(Backend::Interp, pass);
        let expected = run_pass(&*interp, pass, &columns, &uniforms, start, len);
        // And with the turns of outermost loops taken together, which passes of this size are too small for.
        let nests = pass.steps.iter().any(|step| step.dims.len() > 1);
        let turned = PassKernels { in_turns: true, ..pass.clone() };
        let all = native().into_iter().flat_map(|backend| [(backend, Some(pass)), (backend, nests.then_some(&turned))]);
        for (backend, pass) in all.filter_map(|(backend, pass)| Some((backend, pass?))) {
            let executable = backend::prepare::<T>(backend, pass);
            let description = executable.describe();
            if !description.starts_with(backend.name()) {
                add(&tally.left, 1);
            }
            let found = run_pass(&*executable, pass, &columns, &uniforms, start, len);
            if description.contains("in turns") {
                add(&tally.turned, 1);
            }
            add(&tally.passes, 1);
            add(&tally.numbers, found.len());
            if let Some(d) = difference(&found, &expected) {
                return Err(fail(format!("{}, {}, {len} samples from {start}: {d}\n{}\n{dag:?}", T::NAME, executable.describe(), plan.kernels())));
            }
        }
    }
    Ok(())
}

/// A number's bits; one NaN is as good as another.
fn bits<T: Real>(x: T) -> u64 {
    let x = x.to_f64();
    if x.is_nan() { u64::MAX } else { x.to_bits() }
}

/// Value, value alone and gradient of a whole program.
fn programs_agree<T: Real>(dag: &Dag, loss: NodeId, len: usize, numbers: &mut Numbers, tally: &Tally) -> Outcome {
    let graph = Graph::from_dag(dag.clone());
    let columns: Vec<Vec<Vec<T>>> =
        dag.data().iter().map(|input| (0..input.shape.entries()).map(|_| (0..len).map(|_| awkward(numbers)).collect()).collect()).collect();
    let params: Vec<Vec<f64>> = dag.params().iter().map(|input| (0..input.shape.entries()).map(|_| awkward::<T>(numbers).to_f64()).collect()).collect();
    let run = |backend: Backend| -> Result<Vec<u64>, TestCaseError> {
        let program = tapeless::compile::<T>(graph.node(loss), &Options::new().backend(backend)).map_err(|e| fail(e.to_string()))?;
        let named = dag.data().iter().map(|i| &i.name).zip(columns.iter().map(|c| Columns::from(c.iter().map(Vec::as_slice).collect::<Vec<&[T]>>())));
        // A mean of nothing is a mistake, with every backend.
        let Ok(bound) = program.bind(named) else { return Ok(Vec::new()) };
        let theta = program.params(dag.params().iter().map(|p| &p.name).zip(&params)).map_err(|e| fail(e.to_string()))?;
        let (value, grad) = bound.value_and_grad(&theta).map_err(|e| fail(e.to_string()))?;
        let alone = bound.value(&theta).map_err(|e| fail(e.to_string()))?;
        Ok([value, alone].into_iter().chain(grad.values().iter().copied()).map(bits).collect())
    };
    let expected = run(Backend::Interp)?;
    for backend in native() {
        let found = run(backend)?;
        add(&tally.numbers, found.len());
        if let Some(d) = difference(&found, &expected) {
            return Err(fail(format!("program in {}, {}, {len} samples: {d}\n{dag:?}", T::NAME, backend.name())));
        }
    }
    Ok(())
}

/// The graph with other results.
fn with_outputs(dag: &Dag, outputs: &[(&str, NodeId)]) -> Dag {
    let mut out = Dag::with_inputs_of(dag);
    for id in dag.ids() {
        let node = dag.node(id);
        assert_eq!(out.push(node.op.clone(), node.args.clone(), None), Some(id), "nodes keep their ids");
    }
    for (name, id) in outputs {
        out.output(name, *id);
    }
    out.without_dead_nodes()
}

fn agrees(recipe: &Recipe, tally: &Tally) -> Outcome {
    let mut numbers = Numbers(u64::from(recipe.seed) ^ 0x5eed);
    let built = build(recipe);
    let which = (numbers.bits() % (4 * LENGTHS.len() as u64)) as usize;
    let len = LENGTHS[which % LENGTHS.len()];
    let graph = Graph::from_dag(built.dag.clone());
    let program = Options::new().backend(Backend::Interp).compile(graph.node(built.loss)).map_err(|e| fail(e.to_string()))?;
    let results = with_outputs(&built.dag, &[("a", built.pool[built.pool.len() - 1]), ("b", built.pool[built.pool.len() / 2])]);
    for dag in [program.dag(), &results] {
        passes_agree::<f64>(dag, len, &mut numbers, tally)?;
        passes_agree::<f32>(dag, len, &mut numbers, tally)?;
    }
    // Now and then the whole way, over several leaves too.
    let len = match numbers.bits() % 640 {
        0 => LONG,
        1..40 => len,
        _ => return Ok(()),
    };
    if built.dag.data().iter().map(|i| i.shape.entries()).sum::<usize>() * len > 2_000_000 {
        return Ok(());
    }
    programs_agree::<f64>(&built.dag, built.loss, len, &mut numbers, tally)?;
    programs_agree::<f32>(&built.dag, built.loss, len, &mut numbers, tally)
}

fn main() {
    // What `cargo test NAME` and `--list` mean to a file with one test.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        println!("agreement: test");
        return;
    }
    if arguments.iter().any(|a| !a.starts_with('-') && !"agreement".contains(a.as_str()) && a.parse::<usize>().is_err()) {
        println!("agreement: left out by the filter");
        return;
    }
    let tally = Tally::default();
    check(100, Style { samples: 40, ..Style::ALL }.recipes(), |recipe| agrees(&recipe, &tally));
    let (graphs, left) = (cases(100), tally.left.get());
    let names: Vec<&str> = native().iter().map(|b| b.name()).collect();
    assert!(tally.passes.get() >= u64::from(graphs) || names.is_empty(), "a graph has a pass");
    assert_eq!(left, 0, "the native backends run every kernel of the table");
    println!("test agreement ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored");
    let (passes, turned) = (tally.passes.get(), tally.turned.get());
    println!("{passes} passes ({turned} with steps in turns), {} numbers, backends: interp {}", tally.numbers.get(), names.join(" "));
    println!("agreement: {graphs} graphs compared, 0 differences");
}
