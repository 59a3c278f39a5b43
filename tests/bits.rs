//! P4: the same bits with any number of threads and in repeated runs, for every length; and sums as accurate as compensated ones.

use rayon::{ThreadPool, ThreadPoolBuilder};
use tapeless::prelude::*;
use tapeless::{Columns, Real, compile_function};

const LENGTHS: [usize; 10] = [0, 1, 7, 8, 9, 4095, 4096, 4097, 65537, 1_000_003];

fn pools() -> Vec<ThreadPool> {
    [1, 2, 3, 8].iter().map(|n| ThreadPoolBuilder::new().num_threads(*n).build().unwrap()).collect()
}

/// Numbers that don't add up exactly in any order: signs, and eight powers of ten.
fn numbers<T: Real>(n: usize, seed: usize) -> Vec<T> {
    let one = |i: usize| {
        let t = ((i + 1) as f64 * 0.618_033_988_749_895 + seed as f64 * 0.37).fract() - 0.5;
        T::from_f64(t * [3.0, 1e-3, 1.0, 1e-5, 2.0, 0.1, 1e-2, 0.7][(i / 3) % 8])
    };
    (0..n).map(one).collect()
}

/// A number's bits, whatever its type: an `f32` is exact in `f64`; one NaN is as good as another.
fn bits<T: Real>(x: T) -> u64 {
    let x = x.to_f64();
    if x.is_nan() { u64::MAX } else { x.to_bits() }
}

struct Model {
    name: &'static str,
    /// Columns of the data `x`.
    columns: usize,
    /// The objective, and something per sample.
    make: for<'g> fn(&'g Graph) -> (Expr<'g>, Expr<'g>),
    /// Whether it has a value without samples.
    empty: bool,
}

const MODELS: &[Model] = &[
    Model {
        name: "Gaussian",
        columns: 1,
        make: |g| {
            let (x, loc, scale) = (g.data("x"), g.param("loc"), g.param("scale").softplus());
            let z = (x - loc) / scale;
            ((0.5 * z.square() + scale.ln()).sum(), z)
        },
        empty: true,
    },
    Model {
        name: "exp, softplus and a selection",
        columns: 1,
        make: |g| {
            let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
            let z = x.gt(0.2).select((a * x).exp(), (b - x).softplus() * x.sin());
            (z.sum(), z)
        },
        empty: true,
    },
    Model {
        name: "linear in 100 columns",
        columns: 100,
        make: |g| {
            let (x, w, b) = (g.data_with("x", &[100]), g.param_with("w", &[100]), g.param("b"));
            let z = (x * w).sum_dim(-1) + b;
            ((z.softplus() - 0.3 * z).sum(), z.sigmoid())
        },
        empty: true,
    },
    Model {
        name: "extremes over samples",
        columns: 1,
        make: |g| {
            let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
            let z = (a * x).sin() + b * x;
            (z.max_samples() - 2.0 * z.min_samples(), z)
        },
        empty: false,
    },
    Model {
        name: "logarithm of a sum of exponentials",
        columns: 1,
        make: |g| {
            let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
            let e = (a * x + b).exp();
            (e.sum().ln(), e)
        },
        empty: true,
    },
    Model {
        name: "log-sum-exp, steep, of ten columns",
        columns: 10,
        make: |g| {
            let (x, w, b) = (g.data_with("x", &[10]), g.param_with("w", &[10]), g.param("b"));
            let z = 400.0 * (x * w).sum_dim(-1) + b;
            (z.exp().mean().ln() - (x * w).log_sum_exp_samples().square().sum(), z)
        },
        empty: false,
    },
    Model {
        name: "two passes",
        columns: 1,
        make: |g| {
            let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
            let r = (a * x).tanh() - b * x;
            let centred = r - r.mean();
            (centred.square().mean().sqrt(), centred)
        },
        empty: false,
    },
];

/// Everything a model gives, as bits.
fn evaluate<T: Real>(bound: &Bound<'_, T>, function: &tapeless::BoundFunction<'_, T>, theta: &Params<T>) -> Vec<u64> {
    let (value, grad) = bound.value_and_grad(theta).unwrap();
    let alone = bound.value(theta).unwrap();
    let outputs = function.eval(theta).unwrap();
    let samples = outputs.iter().flat_map(|o| o.numbers.iter().copied());
    [value, alone].into_iter().chain(grad.values().iter().copied()).chain(samples).map(bits).collect()
}

fn same_bits<T: Real>(model: &Model) {
    let pools = pools();
    let g = Graph::new();
    let (loss, per_sample) = (model.make)(&g);
    let p = tapeless::compile::<T>(loss, &Options::new()).unwrap();
    let f = compile_function::<T>(&[("per sample", per_sample), ("loss", loss)], &Options::new()).unwrap();
    let mut theta = p.zeros();
    for (k, v) in theta.values_mut().iter_mut().enumerate() {
        *v = T::from_f64(0.7 - 0.013 * k as f64);
    }
    // A hundred columns are 8, each bound at 12 or 13 places, and not as long.
    let longest = if model.columns == 1 { *LENGTHS.last().unwrap() } else { 262_145 };
    let held: Vec<Vec<T>> = (0..model.columns.min(8)).map(|seed| numbers(longest, seed)).collect();
    for n in LENGTHS {
        let n = n.min(longest);
        if n == 0 && !model.empty {
            continue;
        }
        let columns: Vec<&[T]> = (0..model.columns).map(|j| &held[j % held.len()][..n]).collect();
        let bind = || {
            let x: Columns<'_, T> = columns.clone().into();
            (p.bind([("x", x.clone())]).unwrap(), f.bind([("x", x)]).unwrap())
        };
        let (bound, function) = bind();
        let expected = pools[0].install(|| evaluate(&bound, &function, &theta));
        let repeats = if n > 100_000 { 1 } else { 3 };
        for pool in &pools {
            let threads = pool.current_num_threads();
            for k in 0..repeats {
                let found = pool.install(|| evaluate(&bound, &function, &theta));
                assert!(found == expected, "{}, {}, {n} samples, {threads} threads, run {k}", model.name, T::NAME);
            }
            // Bound afresh on that pool: the binding's passes as well.
            let found = pool.install(|| {
                let (bound, function) = bind();
                evaluate(&bound, &function, &theta)
            });
            assert!(found == expected, "{}, {}, {n} samples, {threads} threads, bound afresh", model.name, T::NAME);
        }
        // Something was computed.
        assert!(n < 2 || expected.iter().any(|b| *b != 0 && *b != u64::MAX), "{}", model.name);
    }
}

#[test]
fn threads_and_runs_agree_in_f64() {
    MODELS.iter().for_each(same_bits::<f64>);
}

#[test]
fn threads_and_runs_agree_in_f32() {
    MODELS.iter().for_each(same_bits::<f32>);
}

/// Neumaier's compensated sum.
fn compensated(numbers: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for x in numbers {
        let next = sum + x;
        lost += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    sum + lost
}

const MANY: usize = 10_000_000;

/// A name, the numbers, a bound.
type Column = (&'static str, fn(usize) -> f64, f64);

/// Columns of ten million numbers to add up, and how far the `f64` sum may be off. Equal numbers are the worst there is: every rounding of
/// a lane is the same one, and nothing cancels. They have the bound of docs/numerics.md instead: 128 additions a lane, then the tree's.
const SUMS: [Column; 4] = [
    ("uniform in 0 to 1", |i| ((i + 1) as f64 * 0.618_033_988_749_895).fract(), 1e-15),
    ("squares over six decades", |i| 10f64.powf(((i + 1) as f64 * 0.324_717_957_244_746).fract() * 6.0 - 3.0), 1e-15),
    ("one number over and over", |_| 0.1, (128.0 + 5.0 + 12.0) / (1u64 << 53) as f64),
    ("growing", |i| 1.0 + i as f64 * 1.1e-3, 1e-15),
];

#[test]
fn sums_are_accurate() {
    let g = Graph::new();
    let loss = (g.param("w") * g.data("x")).sum();
    // Without the simplifier, so that it is the loop of a call that adds up; with it the sum is the binding's.
    for options in [Options::new(), Options::new().without_simplifier()] {
        let p = options.compile(loss).unwrap();
        let p32 = options.compile_f32(loss).unwrap();
        for (name, f, bound) in SUMS {
            let x: Vec<f64> = (0..MANY).map(f).collect();
            let exact = compensated(x.iter().copied());
            let sum = p.bind([("x", &x)]).unwrap().value(&p.params([("w", 1.0)]).unwrap()).unwrap();
            let error = ((sum - exact) / exact).abs();
            assert!(error <= bound, "{name}: f64 sum off by {error:.1e}");
            let x: Vec<f32> = x.iter().map(|x| *x as f32).collect();
            let exact = compensated(x.iter().map(|x| f64::from(*x)));
            let sum = p32.bind([("x", &x)]).unwrap().value(&p32.params([("w", 1.0)]).unwrap()).unwrap();
            let error = ((f64::from(sum) - exact) / exact).abs();
            assert!(error <= 1e-6, "{name}: f32 sum off by {error:.1e}");
        }
    }
}
