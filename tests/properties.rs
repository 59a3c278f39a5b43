//! Properties of random graphs over the whole table of operations: every way to compute a formula gives what the oracle gives.
//!
//! `TAPELESS_CASES` sets how many graphs a full-size property sees, `TAPELESS_SEED` which ones. A failing graph is shrunk and printed
//! in the text form; found bugs stay as named tests at the end.

mod random;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use random::bounds::{self, Bounded, Precision};
use random::leaf::{awkward, run_pass};
use random::{Built, Numbers, Recipe, Style, build, check, fail, is_smooth, slope};
use std::cell::Cell;
use tapeless::backend::interp::Interp;
use tapeless::backend::{Backend, Executable};
use tapeless::graph::eval::{self, Inputs, Value};
use tapeless::graph::{Dag, NodeId, Op, text, verify};
use tapeless::kernel::build::expand;
use tapeless::kernel::ir::PassKernels;
use tapeless::prelude::*;
use tapeless::runtime::plan::Plan;
use tapeless::simplify::simplify;
use tapeless::{Columns, Real, compile, compile_function};

type Outcome = Result<(), TestCaseError>;

/// Two computations may differ by this many times the sum of their error bounds.
const CARE: f64 = 4.0;

/// How many numbers were compared, and how many of them loosely or not at all.
#[derive(Default)]
struct Tally {
    compared: Cell<usize>,
    loose: Cell<usize>,
}

impl Tally {
    fn count(&self, loose: bool) {
        self.compared.set(self.compared.get() + 1);
        self.loose.set(self.loose.get() + usize::from(loose));
    }

    /// A test that compares little, or loosely, proves little.
    fn assert(&self, what: &str, hundredths: u32, least_per_case: f64, percent: f64) {
        let cases = random::cases(hundredths);
        let (compared, loose) = (self.compared.get(), self.loose.get());
        println!("{what}: {cases} cases, {compared} numbers compared, {loose} of them loosely or not at all");
        assert!(compared as f64 >= least_per_case * f64::from(cases), "{what}: only {compared} numbers were compared");
        assert!(loose as f64 <= percent / 100.0 * compared as f64, "{what}: {loose} of {compared} comparisons are inconclusive");
    }
}

fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// The graph with `(name, node)` as its outputs, dead nodes gone.
fn with_outputs(dag: &Dag, outputs: &[(&str, NodeId)]) -> Dag {
    let mut out = Dag::with_inputs_of(dag);
    for id in dag.ids() {
        let node = dag.node(id);
        // Nodes keep their ids: operands come first, equal nodes are one.
        assert_eq!(out.push(node.op.clone(), node.args.clone(), None), Some(id));
    }
    for (name, id) in outputs {
        out.output(name, *id);
    }
    out.without_dead_nodes()
}

/// Binds and evaluates a compiled objective: its value and gradient, and the value from the plan without a gradient.
fn run<T: Real>(program: &Program<T>, dag: &Dag, inputs: &Inputs) -> (f64, Vec<f64>, f64) {
    let data: Vec<Vec<Vec<T>>> =
        (0..dag.data().len()).map(|k| random::columns(inputs, k).iter().map(|c| c.iter().map(|x| T::from_f64(*x)).collect()).collect()).collect();
    let columns = data.iter().map(|c| Columns::from(c.iter().map(Vec::as_slice).collect::<Vec<&[T]>>()));
    let bound = program.bind(dag.data().iter().map(|i| &i.name).zip(columns)).expect("the columns fit");
    let theta = program.params(dag.params().iter().map(|p| &p.name).zip(&inputs.params)).expect("the parameters fit");
    let (value, grad) = bound.value_and_grad(&theta).expect("it evaluates");
    let alone = bound.value(&theta).expect("it evaluates");
    (value.to_f64(), grad.values().iter().map(|x| x.to_f64()).collect(), alone.to_f64())
}

/// All numbers of all outputs.
fn flat(values: &[Value]) -> Vec<f64> {
    values.iter().flat_map(|v| v.numbers.iter().copied()).collect()
}

/// What outputs may be off by.
fn errors(bounded: &[Bounded]) -> Vec<f64> {
    bounded.iter().flat_map(|b| b.errors.iter().copied()).collect()
}

/// Compares number by number; `loose` is the relative tolerance beyond which a comparison isn't worth much.
fn compare(what: &str, found: &[f64], expected: &[f64], error: &[f64], loose: f64, tally: &Tally) -> Outcome {
    if found.len() != expected.len() {
        return Err(fail(format!("{what}: {} numbers where there should be {}", found.len(), expected.len())));
    }
    let size = expected.iter().filter(|x| x.is_finite()).fold(0.0f64, |a, x| a.max(x.abs()));
    for (k, ((f, e), error)) in found.iter().zip(expected).zip(error).enumerate() {
        let tolerance = CARE * error;
        let known = error.is_finite() && (e.is_finite() || e.is_nan());
        tally.count(!known || tolerance > loose * (e.abs() + 1e-3 * size + 1e-6));
        if known && !(e.is_nan() && f.is_nan() || (f - e).abs() <= tolerance) {
            return Err(fail(format!("{what}: number {k} is {f:e} where the oracle has {e:e}, give or take {tolerance:.1e}")));
        }
    }
    Ok(())
}

/// The gradient's graph as differentiation leaves it.
fn derived(dag: &Dag, loss: NodeId) -> Program<f64> {
    let graph = Graph::from_dag(dag.clone());
    Options::new().without_simplifier().compile(graph.node(loss)).expect("it compiles")
}

fn reads_back(what: &str, dag: &Dag, inputs: &Inputs) -> Outcome {
    verify::verify(dag).map_err(|broken| fail(format!("{what}: {broken}\n{dag:?}")))?;
    let printed = text::print(dag);
    let read = text::parse(&printed).map_err(|e| fail(format!("{what}: {e}\n{printed}")))?;
    verify::verify(&read).map_err(|broken| fail(format!("{what}, read back: {broken}\n{dag:?}")))?;
    if text::print(&read) != printed {
        return Err(fail(format!("{what} prints as\n{printed}and then as\n{}", text::print(&read))));
    }
    let (a, b) = (flat(&eval::outputs(dag, inputs)), flat(&eval::outputs(&read, inputs)));
    if a.len() != b.len() || a.iter().zip(&b).any(|(a, b)| !same_bits(*a, *b)) {
        return Err(fail(format!("{what}: {a:?} and, read back, {b:?}\n{printed}")));
    }
    Ok(())
}

#[test]
fn graphs_are_sound_and_their_text_reads_back() {
    check(50, Style::ALL.recipes(), |recipe| {
        let built = build(&recipe);
        let primal = built.dag.without_dead_nodes();
        let program = derived(&built.dag, built.loss);
        reads_back("primal", &primal, &built.inputs)?;
        reads_back("derived", program.dag(), &built.inputs)?;
        reads_back("simplified", &simplify(program.dag()).0, &built.inputs)
    });
}

/// Oracle and programs, the simplifier in and out.
fn every_way_agrees(built: &Built, tally: &Tally, single: &Tally) -> Outcome {
    let graph = Graph::from_dag(built.dag.clone());
    let loss = graph.node(built.loss);
    let plain = derived(&built.dag, built.loss);
    let program = Options::new().compile(loss).expect("it compiles");
    let inputs = &built.inputs;
    let expected = flat(&eval::outputs(plain.dag(), inputs));
    let bounds = |dag: &Dag, precision| errors(&bounds::outputs(dag, inputs, precision));
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
    let own = bounds(plain.dag(), Precision::F64);
    let both = sum(&own, &bounds(program.dag(), Precision::F64));
    let in_graph = |e: TestCaseError| fail(format!("{e}\n{}", built.describe()));

    compare("the simplified graph", &flat(&eval::outputs(program.dag(), inputs)), &expected, &both, 1e-9, tally).map_err(in_graph)?;
    for (what, program, error) in [("the program", &program, &both), ("the unsimplified program", &plain, &own)] {
        let (value, grad, alone) = run(program, &built.dag, inputs);
        let found: Vec<f64> = std::iter::once(value).chain(grad).collect();
        compare(what, &found, &expected, error, 1e-9, tally).map_err(in_graph)?;
        // The value alone is another graph after simplification.
        let alone_error = error[0] + bounds(program.value_dag(), Precision::F64)[0];
        compare(&format!("the value alone of {what}"), &[alone], &expected[..1], &[alone_error], 1e-9, tally).map_err(in_graph)?;
    }
    let program: Program<f32> = compile(loss, &Options::new()).expect("it compiles");
    let (value, grad, _) = run(&program, &built.dag, inputs);
    let found: Vec<f64> = std::iter::once(value).chain(grad).collect();
    // Results are rounded to `f32` as well.
    let error: Vec<f64> = sum(&own, &bounds(program.dag(), Precision::F32)).iter().zip(&expected).map(|(e, x)| e + x.abs() * Precision::F32.half_ulp).collect();
    compare("the f32 program", &found, &expected, &error, 1e-2, single).map_err(in_graph)
}

#[test]
fn value_and_gradient_agree_with_the_oracle() {
    let (tally, single) = (Tally::default(), Tally::default());
    check(100, Style::ALL.recipes(), |recipe| every_way_agrees(&build(&recipe), &tally, &single));
    tally.assert("f64", 100, 15.0, 5.0);
    single.assert("f32", 100, 4.0, 6.0);
}

#[test]
fn per_sample_results_agree_with_the_oracle() {
    let tally = Tally::default();
    let style = Style { wild: true, ..Style::ALL };
    let strategy = (any::<bool>(), style.recipes());
    check(50, strategy, |(wild, recipe)| {
        let built = build(&Recipe { style: Style { wild, ..style }, ..recipe });
        let results: Vec<NodeId> = built.pool.iter().rev().copied().take(3).collect();
        let names = ["r0", "r1", "r2"];
        let graph = Graph::from_dag(built.dag.clone());
        let expressions: Vec<(&str, Expr<'_>)> = names.iter().copied().zip(results.iter().map(|id| graph.node(*id))).collect();
        let asked: Vec<(&str, NodeId)> = names.iter().copied().zip(results.iter().copied()).collect();
        let dag = with_outputs(&built.dag, &asked);
        let inputs = &built.inputs;
        let expected = flat(&eval::outputs(&dag, inputs));
        for options in [Options::new(), Options::new().without_simplifier()] {
            let function = compile_function::<f64>(&expressions, &options).expect("it compiles");
            let columns = (0..dag.data().len()).map(|k| Columns::from(built.columns(k)));
            let bound = match function.bind(dag.data().iter().map(|i| &i.name).zip(columns)) {
                Ok(bound) => bound,
                Err(e) => return Err(fail(format!("{e}\n{dag:?}"))),
            };
            let theta = function.params(dag.params().iter().map(|p| &p.name).zip(&inputs.params)).expect("the parameters fit");
            let arrays = bound.eval(&theta).expect("it evaluates");
            let found: Vec<f64> = arrays.iter().flat_map(|a| a.numbers.iter().copied()).collect();
            for (array, (_, id)) in arrays.iter().zip(dag.outputs()) {
                prop_assert_eq!(&array.shape, dag.shape(*id));
            }
            let error: Vec<f64> = errors(&bounds::outputs(&dag, inputs, Precision::F64))
                .iter()
                .zip(errors(&bounds::outputs(function.dag(), inputs, Precision::F64)))
                .map(|(a, b)| a + b)
                .collect();
            compare("the function", &found, &expected, &error, 1e-9, &tally).map_err(|e| fail(format!("{e}\n{} samples\n{dag:?}", inputs.samples)))?;
        }
        Ok(())
    });
    tally.assert("per-sample results", 50, 500.0, 10.0);
}

fn levels_agree<T: Real>(dag: Dag, recipe: &Recipe) -> Outcome {
    let mut numbers = Numbers(u64::from(recipe.seed) ^ 0x5eed);
    let shown = format!("{dag:?}");
    let plan = Plan::<T>::new(dag, Backend::Interp);
    for pass in plan.pass_kernels() {
        let start = (numbers.bits() % 70) as usize;
        let len = recipe.samples.min(4096);
        let count = pass.columns.len() + pass.made.len();
        let columns: Vec<Vec<T>> = (0..count).map(|_| (0..start + len).map(|_| awkward(&mut numbers)).collect()).collect();
        let uniforms: Vec<T> = pass.uniforms.iter().map(|_| awkward(&mut numbers)).collect();
        let expanded = PassKernels { steps: pass.steps.iter().map(expand::<T>).collect(), ..pass.clone() };
        let mut expected: Option<Vec<u64>> = None;
        for (kind, kernels) in [("called", pass), ("expanded", &expanded)] {
            for level in Interp::<T>::at_every_level(kernels) {
                let found = run_pass(&level, kernels, &columns, &uniforms, start, len);
                let expected = expected.get_or_insert_with(|| found.clone());
                if let Some(k) = (0..found.len()).find(|k| found[*k] != expected[*k]) {
                    let (f, e) = (f64::from_bits(found[k]), f64::from_bits(expected[k]));
                    return Err(fail(format!(
                        "{} {}, functions {kind}: number {k} is {f:e} where the baseline has {e:e}\n{}\n{shown}",
                        T::NAME,
                        level.describe(),
                        plan.kernels()
                    )));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_level_gives_the_same_bits() {
    check(50, Style::ALL.recipes(), |recipe| {
        let built = build(&recipe);
        let gradient = simplify(derived(&built.dag, built.loss).dag()).0;
        // A per-sample result beside the gradient.
        let results = with_outputs(&built.dag, &[("a", built.pool[built.pool.len() - 1]), ("b", built.pool[built.pool.len() / 2])]);
        levels_agree::<f64>(gradient.clone(), &recipe)?;
        levels_agree::<f32>(gradient, &recipe)?;
        levels_agree::<f64>(results.clone(), &recipe)?;
        levels_agree::<f32>(results, &recipe)
    });
}

/// Holds derivatives of a graph's first output against finite differences. `number` leads to input number `k`.
fn slopes_agree(
    what: &str,
    primal: &Dag,
    inputs: &Inputs,
    found: &[f64],
    error: &[f64],
    number: impl Fn(&mut Inputs, usize) -> &mut f64,
    tally: &Tally,
) -> Outcome {
    let loss = &bounds::outputs(primal, inputs, Precision::F64)[0];
    let value = loss.value.numbers[0].abs();
    // Where a decision hangs on roundings the bound says nothing; finite differences see by themselves whether it was the same at every step.
    let known = |error: f64, otherwise: f64| if error <= 1e3 * otherwise { error } else { otherwise };
    let (noise, floor) = (known(loss.errors[0], 1e-12 * (1.0 + value)), 1e-6 + 1e-4 * value);
    let size = found.iter().fold(0.0f64, |a, x| a.max(x.abs()));
    for k in 0..found.len() {
        let judge = |start: f64| {
            let slope = slope::slope(primal, inputs, |i| number(i, k), start, noise);
            let scale = slope.value.abs().max(found[k].abs()).max(1e-3 * size).max(floor);
            let tolerance = 10.0 * slope.error + CARE * known(error[k], 1e-9 * scale) + 1e-9 * scale;
            // At a singular point the gradient has no value, and the bounds say so.
            let singular = !found[k].is_finite() && !error[k].is_finite();
            (slope.smooth && tolerance <= 1e-3 * scale && !singular, (found[k] - slope.value).abs() <= tolerance, slope.value, tolerance)
        };
        // Longer steps are more exact, until one crosses a pole.
        let mut verdict = judge(2e-2);
        for start in [1e-3, 5e-5] {
            if !(verdict.0 && verdict.1) {
                let again = judge(start);
                verdict = if again.0 || !verdict.0 { again } else { verdict };
            }
        }
        let (conclusive, agrees, value, tolerance) = verdict;
        tally.count(!conclusive);
        if conclusive && !agrees {
            return Err(fail(format!(
                "{what}: derivative {k} is {:e} where finite differences give {value:e}, give or take {tolerance:.1e}\n{} samples\n{primal:?}",
                found[k], inputs.samples
            )));
        }
    }
    Ok(())
}

/// Number `k` of all parameters in a row.
fn parameter(inputs: &mut Inputs, mut k: usize) -> &mut f64 {
    for p in &mut inputs.params {
        if k < p.len() {
            return &mut p[k];
        }
        k -= p.len();
    }
    unreachable!("a parameter's number")
}

#[test]
fn gradients_agree_with_finite_differences() {
    let style = Style { samples: 24, work: 800, coarse: false, ..Style::ALL };
    let tally = Tally::default();
    check(60, style.recipes(), |recipe| {
        let built = build(&recipe);
        let program = derived(&built.dag, built.loss);
        let found = flat(&eval::outputs(program.dag(), &built.inputs));
        let error = errors(&bounds::outputs(program.dag(), &built.inputs, Precision::F64));
        slopes_agree("by parameters", &built.dag.without_dead_nodes(), &built.inputs, &found[1..], &error[1..], parameter, &tally)
    });
    tally.assert("by parameters", 60, 2.0, 1.0);
}

#[test]
fn gradients_by_data_agree_with_finite_differences() {
    let style = Style { samples: 5, work: 500, coarse: false, steps: 10, ..Style::ALL };
    let tally = Tally::default();
    check(30, style.recipes(), |recipe| {
        let built = build(&recipe);
        let graph = Graph::from_dag(built.dag.clone());
        // Labels have no derivative.
        let real = |id: &NodeId| matches!(built.dag.node(*id).op, Op::Data(_)) && built.dag.labels(*id).is_none();
        let wrt: Vec<Expr<'_>> = built.dag.ids().filter(real).map(|id| graph.node(id)).collect();
        let inputs_by: Vec<usize> = (0..built.dag.data().len()).filter(|k| built.dag.data()[*k].labels.is_none()).collect();
        // Data nodes are in the order of the inputs: both are made by the same call.
        let by = graph.node(built.loss).gradient(&wrt).expect("it is differentiable");
        let dag = graph.dag().clone();
        let names: Vec<String> = (0..by.len()).map(|k| format!("d{k}")).collect();
        let asked: Vec<(&str, NodeId)> = names.iter().map(String::as_str).zip(by.iter().map(|e| e.id())).collect();
        for (d, x) in by.iter().zip(&wrt) {
            prop_assert_eq!(d.shape(), x.shape());
        }
        let dag = with_outputs(&dag, &asked);
        let found = flat(&eval::outputs(&dag, &built.inputs));
        let error = errors(&bounds::outputs(&dag, &built.inputs, Precision::F64));
        slopes_agree("by data", &built.dag.without_dead_nodes(), &built.inputs, &found, &error, |inputs, k| datum_of(inputs, &inputs_by, k), &tally)?;
        // And compiled.
        let expressions: Vec<(&str, Expr<'_>)> = names.iter().map(String::as_str).zip(by.iter().copied()).collect();
        let function = compile_function::<f64>(&expressions, &Options::new()).expect("it compiles");
        let bound =
            function.bind(dag.data().iter().map(|i| &i.name).zip((0..dag.data().len()).map(|k| Columns::from(built.columns(k))))).expect("the columns fit");
        let theta = function.params(dag.params().iter().map(|p| &p.name).zip(&built.inputs.params)).expect("the parameters fit");
        let compiled: Vec<f64> = bound.eval(&theta).expect("it evaluates").iter().flat_map(|a| a.numbers.iter().copied()).collect();
        let error: Vec<f64> = errors(&bounds::outputs(function.dag(), &built.inputs, Precision::F64)).iter().zip(&error).map(|(a, b)| a + b).collect();
        compare("compiled, by data", &compiled, &found, &error, 1e-9, &Tally::default()).map_err(|e| fail(format!("{e}\n{}", built.describe())))
    });
    tally.assert("by data", 30, 10.0, 1.0);
}

/// Number `k` of these data inputs' columns in a row.
fn datum_of<'i>(inputs: &'i mut Inputs, of: &[usize], mut k: usize) -> &'i mut f64 {
    for d in of {
        if k < inputs.data[*d].len() {
            return &mut inputs.data[*d][k];
        }
        k -= inputs.data[*d].len();
    }
    unreachable!("a datum")
}

#[test]
fn second_derivatives_agree_with_finite_differences() {
    let style = Style { samples: 8, work: 200, coarse: false, steps: 7, ops: is_smooth, ..Style::ALL };
    let tally = Tally::default();
    check(30, style.recipes(), |recipe| {
        let built = build(&recipe);
        let graph = Graph::from_dag(built.dag.clone());
        let wrt: Vec<Expr<'_>> = built.dag.ids().filter(|id| matches!(built.dag.node(*id).op, Op::Param(_))).map(|id| graph.node(id)).collect();
        let first = graph.node(built.loss).gradient(&wrt).expect("it is differentiable");
        let along = first.iter().enumerate().map(|(k, d)| (*d * (1.0 - 0.4 * k as f64)).sum()).reduce(|a, b| a + b).expect("there is a parameter");
        let second = along.gradient(&wrt).expect("it is differentiable twice");
        let dag = graph.dag().clone();
        let names: Vec<String> = (0..second.len()).map(|k| format!("d{k}")).collect();
        let asked: Vec<(&str, NodeId)> = names.iter().map(String::as_str).zip(second.iter().map(|e| e.id())).collect();
        let (primal, twice) = (with_outputs(&dag, &[("along", along.id())]), with_outputs(&dag, &asked));
        let found = flat(&eval::outputs(&twice, &built.inputs));
        let error = errors(&bounds::outputs(&twice, &built.inputs, Precision::F64));
        slopes_agree("twice", &primal, &built.inputs, &found, &error, parameter, &tally)?;
        let simple = simplify(&twice).0;
        let error: Vec<f64> = errors(&bounds::outputs(&simple, &built.inputs, Precision::F64)).iter().zip(&error).map(|(a, b)| a + b).collect();
        compare("twice, simplified", &flat(&eval::outputs(&simple, &built.inputs)), &found, &error, 1e-9, &Tally::default())
            .map_err(|e| fail(format!("{e}\n{}", built.describe())))
    });
    tally.assert("second derivatives", 30, 1.0, 1.0);
}

#[test]
fn part_of_a_gradient_is_a_part_of_the_gradient() {
    let tally = Tally::default();
    check(30, (Style::ALL.recipes(), any::<u8>()), |(recipe, mask)| {
        let built = build(&recipe);
        let graph = Graph::from_dag(built.dag.clone());
        let loss = graph.node(built.loss);
        let whole = Options::new().compile(loss).expect("it compiles");
        let names: Vec<&str> = built.dag.params().iter().map(|p| p.name.as_str()).collect();
        // Some of them, the last first.
        let some: Vec<&str> = names.iter().enumerate().filter(|(k, _)| mask >> k & 1 == 1).map(|(_, n)| *n).rev().collect();
        let part = Options::new().wrt(some.iter().copied()).compile(loss).expect("it compiles");
        let (value, grad, _) = run(&whole, &built.dag, &built.inputs);
        if some.is_empty() {
            let columns = (0..built.dag.data().len()).map(|k| Columns::from(built.columns(k)));
            let bound = part.bind(built.dag.data().iter().map(|i| &i.name).zip(columns)).expect("the columns fit");
            let theta = part.params(built.dag.params().iter().map(|p| &p.name).zip(&built.inputs.params)).expect("the parameters fit");
            prop_assert!(bound.value_and_grad(&theta).is_err());
            return Ok(());
        }
        let (part_value, part_grad, _) = run(&part, &built.dag, &built.inputs);
        let errors_of = |program: &Program<f64>| bounds::outputs(program.dag(), &built.inputs, Precision::F64);
        let (whole_errors, part_errors) = (errors_of(&whole), errors_of(&part));
        let (mut expected, mut error) = (vec![value], vec![whole_errors[0].errors[0] + part_errors[0].errors[0]]);
        for (at, name) in some.iter().enumerate() {
            let k = names.iter().position(|n| n == name).expect("one of them");
            expected.extend(&grad[whole.layout().range(name).expect("one of them")]);
            error.extend(whole_errors[k + 1].errors.iter().zip(&part_errors[at + 1].errors).map(|(a, b)| a + b));
        }
        let found: Vec<f64> = std::iter::once(part_value).chain(part_grad).collect();
        compare("a part", &found, &expected, &error, 1e-9, &tally).map_err(|e| fail(format!("{e}\nby {some:?}\n{}", built.describe())))
    });
    tally.assert("parts", 30, 1.0, 6.0);
}

/// The properties that a graph given as text must have, with numbers for its inputs made up.
fn check_graph(written: &str, samples: usize) {
    let dag = text::parse(written).expect("it reads");
    let loss = dag.outputs()[0].1;
    for seed in 0..20 {
        let mut numbers = Numbers(seed);
        let mut fresh = |n: usize| (0..n).map(|_| f64::from(numbers.around() as f32)).collect();
        let data = dag.data().iter().map(|i| fresh(i.shape.entries() * samples)).collect();
        let params = dag.params().iter().map(|p| fresh(p.shape.entries())).collect();
        let inputs = Inputs { samples, data, params };
        let mut bare = dag.clone();
        bare = with_outputs(&bare, &[("loss", loss)]);
        let loss = bare.outputs()[0].1;
        let built = Built { pool: vec![loss], loss, dag: bare, inputs };
        let (tally, single) = (Tally::default(), Tally::default());
        every_way_agrees(&built, &tally, &single).unwrap_or_else(|e| panic!("{e}"));
        assert!(tally.loose.get() == 0, "nothing of this is undecided");
        let program = derived(&built.dag, loss);
        reads_back("derived", program.dag(), &built.inputs).unwrap_or_else(|e| panic!("{e}"));
        let found = flat(&eval::outputs(program.dag(), &built.inputs));
        let error = errors(&bounds::outputs(program.dag(), &built.inputs, Precision::F64));
        slopes_agree("by parameters", &built.dag, &built.inputs, &found[1..], &error[1..], parameter, &tally).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// The second pass made `x * a + b` with one rounding less than the first (the product had another number of uses there), so no sample
/// equalled the minimum: the gradient was 0 / 0.
#[test]
fn a_minimum_is_found_by_the_pass_that_differentiates_it() {
    check_graph(
        "data x [samples]
param a []
param b []
%0 = data x
%1 = param a
%2 = param b
%3 = mul %0, %1
%4 = add %3, %2
%5 = tanh %4
%6 = sin %3
%7 = add %5, %6
%8 = square %7
%9 = reduce_min samples %7
%10 = reduce_max samples %4
%11 = reduce_sum samples %8
%12 = add %9, %10
%13 = add %11, %12
output loss %13",
        13,
    );
    check_graph(
        "data x [samples]\nparam a []\n%0 = data x\n%1 = param a\n%2 = sigmoid %0\n%3 = const 8\n%4 = mul %3, %2\n%5 = const -4\n%6 = add %5, %4\n%7 = recip %1\n%8 = mul %7, %6\n%9 = sigmoid %8\n%10 = const 6.8\n%11 = mul %10, %9\n%12 = const -0.8\n%13 = add %12, %11\n%14 = ln_1p %13\n%15 = reduce_min samples %14\noutput loss %15",
        1,
    );
}

/// With a product contracted where its minimum is subtracted, the smallest difference was not 0 but the product's rounding, and its square
/// root NaN where that was negative.
#[test]
fn the_distance_to_the_minimum_is_exactly_zero_there() {
    let graph = Graph::new();
    let (x, w) = (graph.data("x"), graph.param("w"));
    let p = x * w;
    let loss = (p - p.min_samples()).sqrt().sum();
    let program = Options::new().wrt::<&str>([]).compile(loss).expect("it compiles");
    let mut numbers = Numbers(3);
    for _ in 0..50 {
        let x: Vec<f64> = (0..9).map(|_| numbers.around()).collect();
        let bound = program.bind([("x", &x)]).expect("the column fits");
        let value = bound.value(&program.params([("w", numbers.around())]).expect("the parameter fits")).expect("it evaluates");
        assert!(value.is_finite());
    }
}

/// An operand of lower rank than the answer, with as many entries, got the answer's guard beside a coefficient of its own rank.
#[test]
fn guards_follow_the_operand_to_its_rank() {
    check_graph(
        "data x [samples]
param a []
param five [5, 1]
%0 = data x
%1 = param a
%2 = param five
%3 = reduce_sum 1 %2
%4 = const 5.0
%5 = div %3, %4
%6 = reshape [1] %5
%7 = neg %6
%8 = min %1, %7
%9 = reshape [] %8
%10 = reduce_sum samples %0
%11 = mul %9, %10
output loss %11",
        7,
    );
}
