//! Our side of the comparison with other tools, on the columns and parameters that their side dumped:
//!
//! `cargo bench --bench peers -- --data DIR --workload NAME|all --dtype f64|f32 --threads N --min-seconds S`
//!
//! One JSON line a workload: `{"tool": "tapeless", "workload", "n", "dtype", "threads", "ms_min", "ms_median", "compile_ms", "value", "grad_norm"}`.

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tapeless::prelude::*;
use tapeless::{Real, dist::normal};

type Failure = Box<dyn Error + Send + Sync>;

/// A workload of the peers, in one size.
struct Workload {
    name: &'static str,
    /// The folder its numbers are in, and how many of its samples are used.
    folder: &'static str,
    /// As it is printed.
    n: &'static str,
    samples: usize,
    /// Columns of the data inputs, in the order of the files; the parameters' entries.
    data: &'static [(&'static str, usize)],
    params: &'static [&'static str],
    loss: for<'g> fn(&'g Graph) -> Expr<'g>,
    /// A training instead of one call.
    training: Option<(usize, Steps)>,
}

#[derive(Clone, Copy)]
enum Steps {
    Sgd(f64),
    Adam(f64),
}

fn gauss_loc(g: &Graph) -> Expr<'_> {
    -normal(g.param("loc"), 1.0).log_prob(g.data("x")).sum()
}

fn gauss_loc_scale(g: &Graph) -> Expr<'_> {
    -normal(g.param("loc"), g.param("raw").softplus()).log_prob(g.data("x")).sum()
}

fn linreg1(g: &Graph) -> Expr<'_> {
    (g.param("w") * g.data("t") + g.param("b") - g.data("c")).square().mean()
}

fn logistic<const D: usize>(g: &Graph) -> Expr<'_> {
    (-g.data("y") * g.data_with("x", &[D]).dot(g.param_with("w", &[D]))).softplus().sum()
}

fn softmax_ce(g: &Graph) -> Expr<'_> {
    let z = g.data_with("x", &[32]).matmul(g.param_with("w", &[32, 10])) + g.param_with("b", &[10]);
    -z.log_softmax(-1).pick(g.labels("y")).mean()
}

fn mvn_chol(g: &Graph) -> Expr<'_> {
    let (x, loc, l) = (g.data_with("x", &[8]), g.param_with("loc", &[8]), g.param_with("p", &[8, 8]).tril());
    let z = l.solve_lower(x - loc);
    g.count() * l.diag().ln().sum() + 0.5 * z.square().sum() + g.count() * (4.0 * std::f64::consts::TAU.ln())
}

fn mlp(g: &Graph) -> Expr<'_> {
    let (x, y) = (g.data_with("x", &[64]), g.data("y"));
    let h = (x.matmul(g.param_with("w1", &[64, 64])) + g.param_with("b1", &[64])).tanh();
    (h.dot(g.param_with("w2", &[64])) + g.param("b2") - y).square().mean()
}

const fn call(
    name: &'static str,
    folder: &'static str,
    n: &'static str,
    samples: usize,
    data: &'static [(&'static str, usize)],
    params: &'static [&'static str],
    loss: for<'g> fn(&'g Graph) -> Expr<'g>,
) -> Workload {
    Workload { name, folder, n, samples, data, params, loss, training: None }
}

const X: &[(&str, usize)] = &[("x", 1)];
const WORKLOADS: &[Workload] = &[
    call("gauss_loc", "gauss_loc_10000", "10000", 10_000, X, &["loc"], gauss_loc),
    call("gauss_loc", "gauss_loc_10000000", "10000000", 10_000_000, X, &["loc"], gauss_loc),
    call("gauss_loc_scale", "gauss_loc_scale_10000000", "10000000", 10_000_000, X, &["loc", "raw"], gauss_loc_scale),
    call("linreg1", "linreg1_11", "11", 11, &[("t", 1), ("c", 1)], &["w", "b"], linreg1),
    call("linreg1", "linreg1_10000000", "10000000", 10_000_000, &[("t", 1), ("c", 1)], &["w", "b"], linreg1),
    call("logistic", "logistic_200000x100", "[200000, 100]", 200_000, &[("x", 100), ("y", 1)], &["w"], logistic::<100>),
    call("logistic", "logistic_1000000x10", "[1000000, 10]", 1_000_000, &[("x", 10), ("y", 1)], &["w"], logistic::<10>),
    call("softmax_ce", "softmax_ce_200000x32", "[200000, 32]", 200_000, &[("x", 32), ("y", 1)], &["w", "b"], softmax_ce),
    call("mvn_chol", "mvn_chol_1000000x8", "[1000000, 8]", 1_000_000, &[("x", 8)], &["loc", "p"], mvn_chol),
    call("mlp", "mlp_100000x64", "[100000, 64]", 100_000, &[("x", 64), ("y", 1)], &["w1", "b1", "w2", "b2"], mlp),
    Workload { training: Some((10_000, Steps::Sgd(1e-6))), ..call("sgd_10k", "gauss_loc_10000", "10000", 10_000, X, &["loc"], gauss_loc) },
    Workload {
        training: Some((5_100, Steps::Adam(1e-2))),
        ..call("adam_5100", "gauss_loc_scale_10000000", "10000", 10_000, X, &["loc", "raw"], gauss_loc_scale)
    },
];

/// Little-endian words of a file.
fn words(path: PathBuf) -> Result<Vec<u64>, Failure> {
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect())
}

/// The median and the least of repeated calls, in milliseconds; the first two don't count.
fn timed(least: Duration, mut call: impl FnMut() -> Result<(), Failure>) -> Result<(f64, f64), Failure> {
    call()?;
    call()?;
    let (mut times, mut total) = (Vec::new(), Duration::ZERO);
    while (total < least || times.len() < 5) && times.len() < 20_000 {
        let start = Instant::now();
        call()?;
        let took = start.elapsed();
        total += took;
        times.push(took.as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[0], times[times.len() / 2]))
}

fn run<T: Real>(work: &Workload, dir: &Path, threads: usize, least: Duration) -> Result<String, Failure> {
    let folder = dir.join(work.folder);
    let numbers = |file: String| -> Result<Vec<f64>, Failure> { Ok(words(folder.join(file))?.into_iter().map(f64::from_bits).collect()) };
    let mut reals: Vec<Vec<T>> = Vec::new();
    let mut labels: Vec<u32> = Vec::new();
    for k in 0..work.data.len() {
        if work.name == "softmax_ce" && k == 1 {
            labels = words(folder.join("data1.bin"))?.into_iter().map(|l| l as u32).collect();
        } else {
            reals.push(numbers(format!("data{k}.bin"))?.into_iter().map(T::from_f64).collect());
        }
    }
    let mut columns: Vec<(&str, Columns<'_, T>)> = Vec::new();
    for ((name, entries), numbers) in work.data.iter().zip(&reals) {
        let rows = numbers.len() / entries;
        columns.push((name, (0..*entries).map(|j| &numbers[j * rows..][..work.samples]).collect::<Vec<&[T]>>().into()));
    }
    if !labels.is_empty() {
        columns.push(("y", Columns::from(&labels)));
    }
    let params: Vec<(&str, Vec<f64>)> =
        work.params.iter().enumerate().map(|(k, name)| Ok((*name, numbers(format!("param{k}.bin"))?))).collect::<Result<_, Failure>>()?;

    let g = Graph::new();
    let loss = (work.loss)(&g);
    let first = Instant::now();
    let program: Program<T> = tapeless::compile(loss, &Options::new())?;
    let compile_only = first.elapsed();
    let start = program.params(params)?;
    let data = program.bind(columns)?;
    let mut grad = program.grad_zeros();
    let (value, norm, (min, median));
    match work.training {
        None => {
            value = data.value_and_grad_into(&start, &mut grad)?.to_f64();
            norm = grad.norm().to_f64();
            (min, median) = timed(least, || Ok(data.value_and_grad_into(black_box(&start), &mut grad).map(|_| ())?))?;
        }
        Some((steps, which)) => {
            let train = || -> Result<(f64, f64), Failure> {
                let (mut theta, mut grad) = (start.clone(), program.grad_zeros());
                let mut stepper: Box<dyn Stepper<T>> = match which {
                    Steps::Sgd(rate) => Box::new(Sgd::new(rate)),
                    Steps::Adam(rate) => Box::new(Adam::new(rate)),
                };
                let mut loss = T::default();
                for _ in 0..steps {
                    loss = data.value_and_grad_into(&theta, &mut grad)?;
                    stepper.step(&mut theta, &grad)?;
                }
                Ok((loss.to_f64(), theta.norm().to_f64()))
            };
            (value, norm) = train()?;
            (min, median) = timed(least, || black_box(train()).map(|_| ()))?;
        }
    }
    let compile = compile_only.as_secs_f64() * 1e3;
    Ok(format!(
        "{{\"tool\": \"tapeless\", \"workload\": \"{}\", \"n\": {}, \"dtype\": \"{}\", \"threads\": {threads}, \"ms_min\": {min:.6}, \"ms_median\": {median:.6}, \"compile_ms\": {compile:.3}, \"value\": {value:?}, \"grad_norm\": {norm:?}}}",
        work.name,
        work.n,
        T::NAME
    ))
}

fn main() -> Result<(), Failure> {
    let (mut dir, mut workload, mut dtype, mut threads, mut seconds) = (None, String::from("all"), String::from("f64"), 1usize, 1.0f64);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("data") => dir = Some(PathBuf::from(args.value()?)),
            Long("workload") => workload = args.value()?.string()?,
            Long("dtype") => dtype = args.value()?.string()?,
            Long("threads") => threads = args.value()?.parse()?,
            Long("min-seconds") => seconds = args.value()?.parse()?,
            // Given by cargo.
            Long("bench") => {}
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(dir) = dir else {
        eprintln!("peers: no --data DIR with dumped columns; nothing to run");
        return Ok(());
    };
    let chosen: Vec<&Workload> = WORKLOADS.iter().filter(|w| workload == "all" || workload.split(',').any(|name| name == w.name)).collect();
    if chosen.is_empty() {
        return Err(format!("no workload `{workload}`").into());
    }
    let least = Duration::from_secs_f64(seconds);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    for work in chosen {
        let line = pool.install(|| match dtype.as_str() {
            "f64" => run::<f64>(work, &dir, threads, least),
            "f32" => run::<f32>(work, &dir, threads, least),
            other => Err(format!("no type `{other}`").into()),
        })?;
        println!("{line}");
    }
    Ok(())
}
