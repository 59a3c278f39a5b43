//! The peers' workloads and a mixture: formulas, generators, sizes, parameter values. Shared by every bench that measures them.
//!
//! Formulas and distributions are those of `peers.py`; so are the numbers themselves where they are read from what `peers.py --tool dump` wrote.
// Compiled into each bench that names it: `peers` reads dumped columns, `workloads` and `rows` make their own, `scaling` needs the clock alone; what is dead in one is used in another.
#![allow(dead_code)]

pub mod limits;
pub mod peak;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tapeless::lines::LINE;
use tapeless::prelude::*;
use tapeless::{Real, dist::normal};

pub type Failure = Box<dyn Error + Send + Sync>;

/// A workload in one size.
pub struct Workload {
    pub name: &'static str,
    /// The folder its dumped numbers are in.
    pub folder: &'static str,
    /// Its size as the peers print it.
    pub n: &'static str,
    /// How many samples are used.
    pub samples: usize,
    /// The data inputs and their entries, in the order of the files; the parameters.
    pub data: &'static [(&'static str, usize)],
    pub params: &'static [&'static str],
    pub loss: for<'g> fn(&'g Graph) -> Expr<'g>,
    generate: fn(&mut StdRng, usize) -> Numbers,
    /// A training instead of one call.
    pub training: Option<(usize, Steps)>,
}

#[derive(Clone, Copy)]
pub enum Steps {
    Sgd(f64),
    Adam(f64),
}

/// A workload's numbers: real inputs column by column, labels, parameters.
#[derive(Default)]
pub struct Numbers {
    pub reals: Vec<Vec<f64>>,
    pub labels: Vec<u32>,
    pub params: Vec<Vec<f64>>,
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

/// A mixture of `K` Gaussians in `D` dimensions: weights `softmax(alpha)`, means `mu`, inverse covariance factors `q`, lower triangular:
/// `-sum_i ln sum_k softmax(alpha)_k det(Q_k) exp(-|Q_k (x_i - mu_k)|^2 / 2)`, constants left out.
fn mixture<const K: usize, const D: usize>(g: &Graph) -> Expr<'_> {
    let (x, alpha, mu, q) = (g.data_with("x", &[D]), g.param_with("alpha", &[K]), g.param_with("mu", &[K, D]), g.param_with("q", &[K, D, D]).tril());
    let z = q.matmul((x - mu).reshape(&[K, D, 1])).reshape(&[K, D]);
    let each = alpha.log_softmax(-1) + q.diag().ln().sum_dim(-1) - 0.5 * z.square().sum_dim(-1);
    -each.log_sum_exp_dim(-1).sum()
}

/// Floating-point operations of the mixture's value and gradient that can't be saved, a sample: `Q_k (x - mu_k)` and the sum of `r z (x - mu)^T`, each half of a
/// matrix of multiplications and additions. (The gradient by `mu` is `Q_k^T` times a sum.) Exponentials aren't counted.
pub const fn mixture_flops(k: usize, d: usize) -> usize {
    2 * k * d * (d + 1)
}

fn normals(rng: &mut StdRng, n: usize) -> Vec<f64> {
    rng.sample_iter(StandardNormal).take(n).collect()
}

fn scaled(mut x: Vec<f64>, by: f64, plus: f64) -> Vec<f64> {
    x.iter_mut().for_each(|x| *x = *x * by + plus);
    x
}

fn gauss_numbers(rng: &mut StdRng, n: usize, scale: f64, params: &[f64]) -> Numbers {
    Numbers { reals: vec![scaled(normals(rng, n), scale, 1.5)], params: params.iter().map(|p| vec![*p]).collect(), ..Numbers::default() }
}

fn linreg1_numbers(rng: &mut StdRng, n: usize) -> Numbers {
    let t: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    let c = t.iter().zip(normals(rng, n)).map(|(t, e)| 2.0 * t + 0.5 + 0.1 * e).collect();
    Numbers { reals: vec![t, c], params: vec![vec![1.0], vec![0.0]], ..Numbers::default() }
}

fn logistic_numbers<const D: usize>(rng: &mut StdRng, n: usize) -> Numbers {
    let x = normals(rng, n * D);
    let true_w = scaled(normals(rng, D), 1.0 / (D as f64).sqrt(), 0.0);
    let z = |i: usize| (0..D).map(|j| x[j * n + i] * true_w[j]).sum::<f64>();
    let y = (0..n)
        .map(|i| {
            let u: f64 = rng.random_range(1e-12..1.0);
            if z(i) + (u / (1.0 - u)).ln() > 0.0 { 1.0 } else { -1.0 }
        })
        .collect();
    Numbers { params: vec![scaled(normals(rng, D), 0.1, 0.0)], reals: vec![x, y], ..Numbers::default() }
}

fn softmax_numbers(rng: &mut StdRng, n: usize) -> Numbers {
    let (x, labels) = (normals(rng, n * 32), (0..n).map(|_| rng.random_range(0..10)).collect());
    Numbers { reals: vec![x], labels, params: vec![scaled(normals(rng, 320), 0.1, 0.0), vec![0.0; 10]] }
}

/// A lower triangular matrix near the identity.
fn near_identity(rng: &mut StdRng, d: usize, by: f64) -> Vec<f64> {
    let e = normals(rng, d * d);
    (0..d * d).map(|k| if k / d == k % d { 1.0 + by * e[k] } else { if k / d > k % d { by * e[k] } else { 0.0 } }).collect()
}

fn mvn_numbers(rng: &mut StdRng, n: usize) -> Numbers {
    // Neighbours correlate.
    let mut x = normals(rng, n * 8);
    for k in n..8 * n {
        x[k] += 0.3 * x[k - n];
    }
    Numbers { reals: vec![x], params: vec![scaled(normals(rng, 8), 0.1, 0.0), near_identity(rng, 8, 0.1)], ..Numbers::default() }
}

fn mlp_numbers(rng: &mut StdRng, n: usize) -> Numbers {
    let x = normals(rng, n * 64);
    let y = (0..n).map(|i| ((0..64).map(|j| x[j * n + i]).sum::<f64>() / 8.0).sin()).collect();
    let params = vec![scaled(normals(rng, 64 * 64), 0.125, 0.0), scaled(normals(rng, 64), 0.1, 0.0), scaled(normals(rng, 64), 0.125, 0.0), vec![0.05]];
    Numbers { reals: vec![x, y], params, ..Numbers::default() }
}

fn mixture_numbers<const K: usize, const D: usize>(rng: &mut StdRng, n: usize) -> Numbers {
    let (x, mu) = (normals(rng, n * D), normals(rng, K * D));
    let q = (0..K).flat_map(|_| near_identity(rng, D, 0.3 / (D as f64).sqrt())).collect();
    Numbers { reals: vec![x], params: vec![normals(rng, K), mu, q], ..Numbers::default() }
}

const fn call(
    (name, folder, n, samples): (&'static str, &'static str, &'static str, usize),
    data: &'static [(&'static str, usize)],
    params: &'static [&'static str],
    loss: for<'g> fn(&'g Graph) -> Expr<'g>,
    generate: fn(&mut StdRng, usize) -> Numbers,
) -> Workload {
    Workload { name, folder, n, samples, data, params, loss, generate, training: None }
}

const X: &[(&str, usize)] = &[("x", 1)];
const LOC: &[&str] = &["loc"];
const LOC_SCALE: &[&str] = &["loc", "raw"];

const fn gauss(folder: &'static str, n: &'static str, samples: usize) -> Workload {
    call(("gauss_loc", folder, n, samples), X, LOC, gauss_loc, |rng, n| gauss_numbers(rng, n, 1.0, &[0.3]))
}

const fn gauss_scale(name: &'static str, n: &'static str, samples: usize) -> Workload {
    call((name, "gauss_loc_scale_10000000", n, samples), X, LOC_SCALE, gauss_loc_scale, |rng, n| gauss_numbers(rng, n, 0.7, &[0.3, 0.2]))
}

const fn linreg(folder: &'static str, n: &'static str, samples: usize) -> Workload {
    call(("linreg1", folder, n, samples), &[("t", 1), ("c", 1)], &["w", "b"], linreg1, linreg1_numbers)
}

/// The suite as the peers have it.
pub const WORKLOADS: &[Workload] = &[
    gauss("gauss_loc_10000", "10000", 10_000),
    gauss("gauss_loc_10000000", "10000000", 10_000_000),
    gauss_scale("gauss_loc_scale", "10000000", 10_000_000),
    linreg("linreg1_11", "11", 11),
    linreg("linreg1_10000000", "10000000", 10_000_000),
    call(("logistic", "logistic_200000x100", "[200000, 100]", 200_000), &[("x", 100), ("y", 1)], &["w"], logistic::<100>, logistic_numbers::<100>),
    call(("logistic", "logistic_1000000x10", "[1000000, 10]", 1_000_000), &[("x", 10), ("y", 1)], &["w"], logistic::<10>, logistic_numbers::<10>),
    call(("softmax_ce", "softmax_ce_200000x32", "[200000, 32]", 200_000), &[("x", 32), ("y", 1)], &["w", "b"], softmax_ce, softmax_numbers),
    call(("mvn_chol", "mvn_chol_1000000x8", "[1000000, 8]", 1_000_000), &[("x", 8)], &["loc", "p"], mvn_chol, mvn_numbers),
    call(("mlp", "mlp_100000x64", "[100000, 64]", 100_000), &[("x", 64), ("y", 1)], &["w1", "b1", "w2", "b2"], mlp, mlp_numbers),
    Workload { name: "sgd_10k", training: Some((10_000, Steps::Sgd(1e-6))), ..gauss("gauss_loc_10000", "10000", 10_000) },
    Workload { training: Some((5_100, Steps::Adam(1e-2))), ..gauss_scale("adam_5100", "10000", 10_000) },
];

/// A mixture with its number of components and dimensions.
pub struct Mixture {
    pub k: usize,
    pub d: usize,
    pub work: Workload,
}

const fn of_gaussians<const K: usize, const D: usize>(n: &'static str, samples: usize, data: &'static [(&'static str, usize)]) -> Mixture {
    Mixture { k: K, d: D, work: call(("mixture", "", n, samples), data, &["alpha", "mu", "q"], mixture::<K, D>, mixture_numbers::<K, D>) }
}

/// Mixtures of Gaussians with full covariance factors.
pub const MIXTURES: &[Mixture] = &[
    of_gaussians::<25, 10>("[1000, 25, 10]", 1_000, &[("x", 10)]),
    of_gaussians::<25, 10>("[100000, 25, 10]", 100_000, &[("x", 10)]),
    of_gaussians::<50, 32>("[1000, 50, 32]", 1_000, &[("x", 32)]),
    of_gaussians::<50, 32>("[100000, 50, 32]", 100_000, &[("x", 32)]),
    of_gaussians::<100, 64>("[1000, 100, 64]", 1_000, &[("x", 64)]),
    of_gaussians::<100, 64>("[100000, 100, 64]", 100_000, &[("x", 64)]),
];

/// A workload's numbers in the type of a program, from a cache line on: so are a [`tapeless::data::Frame`]'s.
pub struct Data<T> {
    reals: Vec<Vec<T>>,
    labels: Vec<u32>,
    pub params: Vec<Vec<f64>>,
}

impl<T: Real> From<Numbers> for Data<T> {
    fn from(numbers: Numbers) -> Self {
        let cast = |x: Vec<f64>| {
            let mut out: Vec<T> = Vec::with_capacity(x.len() + LINE / size_of::<T>());
            on_huge_pages(&mut out);
            out.resize(out.as_ptr().align_offset(LINE), T::from_f64(0.0));
            out.extend(x.into_iter().map(T::from_f64));
            out
        };
        Data { reals: numbers.reals.into_iter().map(cast).collect(), labels: numbers.labels, params: numbers.params }
    }
}

/// Asks for huge pages under the room of a vector that nothing is in yet, as NumPy does for its arrays: a hundred columns are more streams than small pages are held for.
// The one system call of the benches, which nobody has wrapped for memory that is a vector's.
#[allow(unsafe_code)]
fn on_huge_pages<T>(numbers: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let room = numbers.spare_capacity_mut();
        let skip = room.as_ptr().addr().next_multiple_of(PAGE) - room.as_ptr().addr();
        let whole = size_of_val(room).saturating_sub(skip) / PAGE * PAGE;
        // SAFETY: whole pages of this vector's own memory; the advice changes what they lie on, not what is in them. It may be refused, which is no error.
        unsafe { libc::madvise(room.as_mut_ptr().cast::<u8>().wrapping_add(skip).cast(), whole, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = numbers;
}

impl Workload {
    /// As benches print it: `logistic 200000x100 f64`.
    pub fn title(&self, dtype: &str) -> String {
        format!("{} {} {dtype}", self.name, self.n.trim_matches(['[', ']']).replace(", ", "x"))
    }

    /// Made-up numbers, the same in every run, for so many samples.
    pub fn generate(&self, samples: usize) -> Numbers {
        (self.generate)(&mut StdRng::seed_from_u64(20240607), samples)
    }

    /// The numbers that `peers.py --tool dump` wrote.
    pub fn read(&self, dir: &Path) -> Result<Numbers, Failure> {
        let folder = dir.join(self.folder);
        let reals = |file: String| -> Result<Vec<f64>, Failure> { Ok(words(folder.join(file))?.into_iter().map(f64::from_bits).collect()) };
        let mut numbers = Numbers::default();
        for k in 0..self.data.len() {
            if self.name == "softmax_ce" && k == 1 {
                numbers.labels = words(folder.join("data1.bin"))?.into_iter().map(|l| l as u32).collect();
            } else {
                numbers.reals.push(reals(format!("data{k}.bin"))?);
            }
        }
        numbers.params = (0..self.params.len()).map(|k| reals(format!("param{k}.bin"))).collect::<Result<_, _>>()?;
        Ok(numbers)
    }

    /// The columns to bind: of every input the first `samples` samples.
    pub fn columns<'d, T: Real>(&self, data: &'d Data<T>, samples: usize) -> Vec<(&'static str, Columns<'d, T>)> {
        let mut columns: Vec<(&str, Columns<'_, T>)> = Vec::new();
        for ((name, entries), numbers) in self.data.iter().zip(&data.reals) {
            let numbers = &numbers[numbers.as_ptr().align_offset(LINE)..];
            let rows = numbers.len() / entries;
            columns.push((name, (0..*entries).map(|j| &numbers[j * rows..][..samples]).collect::<Vec<&[T]>>().into()));
        }
        if !data.labels.is_empty() {
            columns.push(("y", Columns::from(&data.labels[..samples])));
        }
        columns
    }

    /// The parameters by name.
    pub fn point<T: Real>(&self, program: &Program<T>, params: &[Vec<f64>]) -> Result<Params<T>, Failure> {
        Ok(program.params(self.params.iter().copied().zip(params))?)
    }
}

/// Little-endian words of a file.
fn words(path: PathBuf) -> Result<Vec<u64>, Failure> {
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect())
}

/// A time shorter than this is measured over several calls, so that the clock's own doesn't count.
const SHORT: Duration = Duration::from_micros(20);

/// How many calls make one measurement.
fn calls_at_once(call: &mut dyn FnMut()) -> u32 {
    call();
    let start = Instant::now();
    call();
    (SHORT.as_nanos() / start.elapsed().as_nanos().max(1)) as u32 + 1
}

/// The times of calls that take turns, in milliseconds, sorted: a machine that is busy for a while is busy for all of them.
pub fn in_turns<const N: usize>(least: Duration, mut calls: [&mut dyn FnMut(); N]) -> [Vec<f64>; N] {
    let at_once = calls.each_mut().map(|call| calls_at_once(call));
    let (mut times, mut total) = ([(); N].map(|()| Vec::new()), Duration::ZERO);
    while (total < least || times[0].len() < 5) && times[0].len() < 20_000 {
        for ((call, n), times) in calls.iter_mut().zip(at_once).zip(&mut times) {
            let start = Instant::now();
            (0..n).for_each(|_| call());
            let took = start.elapsed();
            total += took;
            times.push(took.as_secs_f64() * 1e3 / f64::from(n));
        }
    }
    times.iter_mut().for_each(|t| t.sort_by(f64::total_cmp));
    times
}

/// The one in the middle.
pub fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// A rayon pool of so many threads.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool, Failure> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
}
