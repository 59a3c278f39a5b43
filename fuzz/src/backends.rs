//! A graph from text, compiled in every way this machine has and evaluated at the same numbers: all answers have the same bits, or are all NaN.

use crate::random::{Numbers, leaf::awkward};
use tapeless::backend::Backend;
use tapeless::graph::{Dag, dot, text, verify};
use tapeless::prelude::*;
use tapeless::{Columns, Real};

/// Entries of all values together: beyond, up to what a text may ask for, only one graph in eight is evaluated, and over few samples. The numbers alone would
/// take a fuzzer's time.
const ENTRIES: usize = 6000;
/// Nodes in a graph that is compiled.
const NODES: usize = 250;
/// Around the blocks of every width.
const LENGTHS: [usize; 16] = [0, 1, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 130];
/// More than a leaf; rarely.
const LONG: usize = 4100;

/// Reads, checks, prints, compiles and evaluates a graph. What isn't one is refused with its line.
pub fn check(source: &str, numbers: &mut Numbers) {
    let dag = match text::parse(source) {
        Ok(dag) => dag,
        Err(tapeless::Error::Parse { line, message }) => {
            assert!(line >= 1 && line <= source.lines().count() && !message.is_empty(), "line {line}: {message}");
            return;
        }
        Err(other) => panic!("parsing gives parse errors, not {other:?}"),
    };
    if let Err(broken) = verify::verify(&dag) {
        panic!("{broken}\n{dag:?}");
    }
    let printed = text::print(&dag);
    let back = text::parse(&printed).unwrap_or_else(|e| panic!("{e}, where this was printed:\n{printed}"));
    assert_eq!(text::print(&back), printed, "what is printed reads back");
    assert!(!dot::print(&dag).is_empty());
    let entries = dag.nodes().iter().map(|n| n.shape.entries()).chain(dag.data().iter().chain(dag.params()).map(|i| i.shape.entries()));
    let entries = entries.fold(0usize, usize::saturating_add);
    let large = entries > ENTRIES;
    if dag.outputs().is_empty() || dag.nodes().len() > NODES || large && !numbers.bits().is_multiple_of(8) {
        return;
    }
    // One way for each input: the fuzzer finds the others by another byte.
    let len = match numbers.bits() % 64 {
        k if large => k as usize % 3,
        0 if entries < 100 => LONG,
        k => LENGTHS[k as usize % LENGTHS.len()],
    };
    match numbers.bits() % 3 {
        0 => evaluate::<f32>(&dag, len, numbers),
        _ => evaluate::<f64>(&dag, len, numbers),
    }
}

fn evaluate<T: Real>(dag: &Dag, len: usize, numbers: &mut Numbers) {
    let inputs = Given::<T>::new(dag, len, numbers);
    let way = numbers.bits();
    let graph = Graph::from_dag(dag.clone());
    let outputs = graph.outputs();
    let (_, one) = &outputs[(numbers.bits() % outputs.len() as u64) as usize];
    let loss = if one.shape() == Shape::default() { *one } else { one.sum() };
    let options = match way % 8 {
        0 => Options::new().without_simplifier(),
        1 => Options::new().wrt(dag.params().iter().map(|p| p.name.clone()).filter(|_| numbers.bits() % 2 == 0)),
        2 if dag.nodes().len() < 40 => Options::new().with_curvature(),
        _ => Options::new(),
    };
    let mut expected: Option<Answer> = None;
    // The interpreter, and one of the native ones.
    let mut backends = Backend::available();
    if backends.len() > 2 {
        backends.remove(1 + (way / 8 % 2) as usize);
    }
    for backend in backends {
        let options = options.clone().backend(backend);
        let found = match way % 8 {
            3 | 4 => function::<T>(&outputs, &options, &inputs),
            _ => program::<T>(loss, &options, &inputs, backend == Backend::Interp),
        };
        match &expected {
            None => expected = Some(found),
            Some(expected) => assert_eq!(found, *expected, "{}, {}, {len} samples:\n{dag:?}", T::NAME, backend.name()),
        }
    }
}

/// The bits of every number, or what was wrong.
type Answer = Result<Vec<u64>, String>;

/// Numbers for the inputs.
struct Given<T> {
    columns: Vec<(String, Vec<Vec<T>>)>,
    params: Vec<(String, Vec<f64>)>,
    len: usize,
}

impl<T: Real> Given<T> {
    fn new(dag: &Dag, len: usize, numbers: &mut Numbers) -> Self {
        let tame = numbers.bits() % 2 == 0;
        let mut one = || if tame { T::from_f64(numbers.around()) } else { awkward::<T>(numbers) };
        let params = dag.params().iter().map(|p| (p.name.clone(), (0..p.shape.entries()).map(|_| one().to_f64()).collect())).collect();
        let mut column = |below: Option<u32>| -> Vec<T> {
            (0..len)
                .map(|_| match below {
                    // Whole numbers that `f32` has, too.
                    Some(below) => T::from_f64((one().to_f64().to_bits() % u64::from(below.clamp(1, 1 << 20))) as f64),
                    None => one(),
                })
                .collect()
        };
        let columns = dag.data().iter().map(|i| (i.name.clone(), (0..i.shape.entries()).map(|_| column(i.labels.map(|l| l.below))).collect())).collect();
        Given { columns, params, len }
    }

    fn columns(&self) -> impl Iterator<Item = (&String, Columns<'_, T>)> {
        self.columns.iter().map(|(name, c)| (name, Columns::from(c.iter().map(Vec::as_slice).collect::<Vec<&[T]>>())))
    }
}

fn bits<T: Real>(x: &T) -> u64 {
    let x = x.to_f64();
    if x.is_nan() { u64::MAX } else { x.to_bits() }
}

fn program<T: Real>(loss: Expr<'_>, options: &Options, given: &Given<T>, first: bool) -> Answer {
    let told = |e: tapeless::Error| e.to_string();
    let program = tapeless::compile::<T>(loss, options).map_err(told)?;
    let theta = program.params(given.params.iter().map(|(n, v)| (n, v.clone()))).expect("each parameter as declared");
    let bound = program.bind(given.columns()).map_err(told)?;
    let mut out = Vec::new();
    let alone = bound.value(&theta).map_err(told)?;
    out.push(bits(&alone));
    if let Ok((value, grad)) = bound.value_and_grad(&theta) {
        out.push(bits(&value));
        out.extend(grad.values().iter().map(bits));
        if program.curvature_passes().is_some() {
            let (value, grad, product) = bound.hessian_vector_product(&theta, &grad).map_err(told)?;
            out.push(bits(&value));
            out.extend(grad.values().iter().chain(product.values()).map(bits));
        }
    }
    if first {
        // What is there to be read is made of anything, and reads back where it says so.
        let text = program.graph_text();
        assert_eq!(text::print(&text::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))), text);
        assert!(!program.report().is_empty() && !program.graph_dot().is_empty());
        let shown = program.formula().len() + program.gradient_source().len() + program.schedule().len() + program.kernels().len();
        assert!(shown > 0);
        bound.find_non_finite(&theta).map_err(told)?;
        if given.len > 0 {
            let _ = bound.check_definite(&theta);
        }
    }
    Ok(out)
}

fn function<T: Real>(outputs: &[(String, Expr<'_>)], options: &Options, given: &Given<T>) -> Answer {
    let told = |e: tapeless::Error| e.to_string();
    let named: Vec<(&str, Expr<'_>)> = outputs.iter().map(|(n, e)| (n.as_str(), *e)).collect();
    let function = tapeless::compile_function::<T>(&named, options).map_err(told)?;
    let theta = function.params(given.params.iter().map(|(n, v)| (n, v.clone()))).expect("each parameter as declared");
    let results = function.bind(given.columns()).map_err(told)?.eval(&theta).map_err(told)?;
    assert_eq!(results.len(), outputs.len());
    for (array, (_, e)) in results.iter().zip(outputs) {
        assert_eq!((&array.shape, array.numbers.len()), (&e.shape(), e.shape().entries() * array.rows));
    }
    Ok(results.iter().flat_map(|a| a.numbers.iter().map(bits)).collect())
}
