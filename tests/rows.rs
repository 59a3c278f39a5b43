//! Row-major data: the same bits as columns, on every backend, in every kind of pass, whole or in batches; nothing that isn't there is read.

use tapeless::prelude::*;
use tapeless::{Error, Real, compile_function};

/// Numbers in (-1, 1) that no formula knows.
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn cast<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::from_f64(*x)).collect()
}

/// The columns of a row-major table.
fn transposed<T: Copy>(table: &[T], width: usize) -> Vec<Vec<T>> {
    (0..width).map(|j| table.iter().skip(j).step_by(width).copied().collect()).collect()
}

fn slices<T>(columns: &[Vec<T>]) -> Vec<&[T]> {
    columns.iter().map(Vec::as_slice).collect()
}

/// Value and gradient as bits.
fn bits<T: Real>(data: &Bound<'_, T>, theta: &Params<T>) -> Vec<u64> {
    let (value, grad) = data.value_and_grad(theta).unwrap();
    [value].iter().chain(grad.values()).chain(&[data.value(theta).unwrap()]).map(|x| x.to_f64().to_bits()).collect()
}

/// A formula over data `x` of some width and `y`: what kind of pass it makes is beside it.
type Formula = for<'g> fn(&'g Graph, usize) -> Expr<'g>;
const FORMULAS: &[(&str, Formula)] = &[
    ("a linear map: tile buffers, or one step written out", |g, d| {
        let z = g.data_with("x", &[d]).dot(g.param_with("w", &[d]));
        (-g.data("y") * z).softplus().sum()
    }),
    ("sums of each entry, minima, maxima", |g, d| {
        let (x, w) = (g.data_with("x", &[d]), g.param_with("w", &[d]));
        (x * w).square().sum() + (x - w).max_samples().sum() * g.data("y").min_samples()
    }),
    ("sums at binding", |g, d| {
        let (x, w) = (g.data_with("x", &[d]), g.param_with("w", &[d]));
        ((x * w).exp() + g.data("y").square() + x.sum_dim(-1).abs().sqrt()).mean()
    }),
    ("sums relative to a maximum of their own pass", |g, d| {
        let (x, w) = (g.data_with("x", &[d]), g.param_with("w", &[d]));
        (x.dot(w) * 30.0 + g.data("y")).exp().sum().ln() + (x * w).exp().sum_samples().ln().sum()
    }),
    ("two passes", |g, d| {
        let (x, w) = (g.data_with("x", &[d]), g.param_with("w", &[d]));
        let centre = (x * w).tanh().mean();
        (x.dot(w) - centre * g.data("y")).square().sum()
    }),
];

fn same_bits<T: Real>(backend: Backend) {
    for (what, formula) in FORMULAS {
        for width in [1, 2, 7, 8, 9, 24, 70] {
            let g = Graph::new();
            let program: Program<T> = tapeless::compile(formula(&g, width), &Options::new().backend(backend)).unwrap();
            let theta = program.params([("w", numbers(width, 3))]).unwrap();
            for n in [1, 63, 64, 65, 1000, 4096, 4097, 9001] {
                let table: Vec<T> = cast(&numbers(n * (width + 1), 5));
                let columns = transposed(&table, width + 1);
                let bound = program.bind([("x", Columns::from(slices(&columns[..width]))), ("y", Columns::from(&columns[width]))]).unwrap();
                let expected = bits(&bound, &theta);
                let whole = Columns::from_rows(&table, width + 1);
                let rows = program.bind([("x", whole.clone().entries(0..width)), ("y", whole.entries(width..width + 1))]).unwrap();
                assert_eq!(bits(&rows, &theta), expected, "{what}: {} rows of {width}, {}, {}", n, T::NAME, backend.name());
                // Some of the data in columns.
                let mixed = program.bind([("x", Columns::from_rows(&table, width + 1).entries(0..width)), ("y", Columns::from(&columns[width]))]).unwrap();
                assert_eq!(bits(&mixed, &theta), expected, "{what}: mixed");
            }
        }
    }
}

#[test]
fn rows_give_the_bits_of_columns_on_every_backend() {
    for backend in Backend::available() {
        same_bits::<f64>(backend);
        same_bits::<f32>(backend);
    }
}

#[test]
fn threads_do_not_change_the_bits() {
    let (n, width) = (50_000, 9);
    let g = Graph::new();
    let program = FORMULAS[0].1(&g, width).compile().unwrap();
    let theta = program.params([("w", numbers(width, 3))]).unwrap();
    let (table, y) = (numbers(n * width, 8), numbers(n, 9));
    let columns = transposed(&table, width);
    let expected = bits(&program.bind([("x", Columns::from(slices(&columns))), ("y", Columns::from(&y))]).unwrap(), &theta);
    let rows = program.bind([("x", Columns::from_rows(&table, width)), ("y", Columns::from(&y))]).unwrap();
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| bits(&rows, &theta)), expected, "{threads} threads");
    }
}

#[test]
fn arrays_and_strided_views() {
    let g = Graph::new();
    let program = (g.data_with("x", &[3]).dot(g.param_with("w", &[3]))).square().sum().compile().unwrap();
    let theta = program.params([("w", [1.0, 10.0, 100.0])]).unwrap();
    let value = |columns: Columns<'_, f64>| program.bind([("x", columns)]).unwrap().value(&theta).unwrap();
    let arrays = vec![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let expected = 321f64.powi(2) + 654f64.powi(2);
    assert_eq!(value(Columns::from(&arrays)), expected);
    assert_eq!(value(Columns::from(&arrays[..])), expected);
    assert_eq!(value(Columns::from(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])), expected);
    // Column-major, read where it lies; rows with a gap; every second row, entries in steps of two; one sample; entries in columns of a larger matrix.
    assert_eq!(value(Columns::strided(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], [2, 3], [1, 2])), expected);
    assert_eq!(value(Columns::strided(&[1.0, 2.0, 3.0, -1.0, 4.0, 5.0, 6.0], [2, 3], [4, 1])), expected);
    assert_eq!(value(Columns::strided(&[1.0, 0.0, 2.0, 0.0, 3.0, 9.0, 9.0, 4.0, 0.0, 5.0, 0.0, 6.0], [2, 3], [7, 2])), expected);
    assert_eq!(value(Columns::strided(&[1.0, 2.0, 3.0], [1, 3], [77, 1])), 321f64.powi(2));
    assert_eq!(value(Columns::strided(&[], [0, 3], [3, 1])), 0.0);
    assert_eq!(value(Columns::strided(&[2.0], [4, 3], [0, 0])), 4.0 * 222f64.powi(2));
    // The same entry twice, from the last to the first.
    let (a, b) = (Columns::strided(&[1.0, 2.0, 3.0, 4.0], [2, 1], [2, 0]), Columns::strided(&[1.0, 2.0, 3.0, 4.0], [2, 1], [2, 5]));
    let g = Graph::new();
    let product = (g.data("a") * g.data("b") * g.param("p")).sum().compile().unwrap();
    assert_eq!(product.bind([("a", a.clone()), ("b", a)]).unwrap().value(&product.params([("p", 1.0)]).unwrap()).unwrap(), 10.0);
    drop(b);
}

#[test]
fn what_is_not_there_is_an_error() {
    let g = Graph::new();
    let program = (g.data_with("x", &[3]) * g.param("p")).sum().compile().unwrap();
    let six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let wrong = |columns: Columns<'_, f64>, words: &[&str]| {
        let message = program.bind([("x", columns)]).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    wrong(Columns::from_rows(&six[..5], 3), &["`x`", "5 numbers", "rows of 3"]);
    wrong(Columns::from_rows(&six, 0), &["`x`", "rows of 0"]);
    wrong(Columns::from_rows(&[], 0), &["`x` has 0 columns"]);
    wrong(Columns::from_rows(&six, 2), &["`x` has 2 columns", "[samples, 3]"]);
    wrong(Columns::from_rows(&six, 3).entries(1..4), &["`x`", "entries 1 to 4 of 3"]);
    wrong(Columns::from_rows(&six, 4).entries(0..3), &["`x`", "rows of 4"]);
    let (start, end) = (3, 1);
    wrong(Columns::from_rows(&six, 3).entries(start..end), &["`x`", "entries 3 to 1"]);
    wrong(Columns::from(&[[1.0, 2.0]]), &["`x` has 2 columns"]);
    wrong(Columns::from(&[[0.0; 0]; 4]), &["`x` has 0 columns"]);
    for (shape, strides) in
        [([3, 3], [2, 1]), ([2, 3], [4, 1]), ([usize::MAX, 3], [1, 0]), ([2, 3], [usize::MAX, 1]), ([3, 3], [usize::MAX / 2, usize::MAX]), ([2, 3], [0, 3])]
    {
        wrong(Columns::strided(&six, shape, strides), &["`x`", "lies outside of its 6 numbers"]);
    }
    // 2^28 columns of nothing would be 12 GiB, and 2^63 samples of one row take for ever to be summed.
    for (shape, strides) in [([1, usize::MAX], [0, 0]), ([1, 1 << 28], [3, 0]), ([0, 1 << 28], [1 << 28, 1]), ([1 << 63, 3], [0, 1]), ([usize::MAX, 3], [0, 0])]
    {
        wrong(Columns::strided(&six, shape, strides), &["`x`", "repeats its 6 numbers too often"]);
    }
    wrong(Columns::from_rows(&[], 1 << 28), &["`x`", "repeats its 0 numbers too often"]);
    assert!(matches!(program.bind([("x", Columns::from_rows(&six[..4], 3))]), Err(Error::ColumnSource { .. })));

    let g = Graph::new();
    let two = (g.data_with("x", &[3]).sum() + g.data("y").sum()).compile().unwrap();
    let message = two.bind([("x", Columns::from_rows(&six, 3)), ("y", Columns::from(&six))]).unwrap_err().to_string();
    assert!(message.contains("`y` has 6 samples") && message.contains("`x` has 2"), "{message}");
}

#[test]
fn labels_in_rows() {
    let g = Graph::new();
    let (x, site) = (g.data_with("x", &[2]), g.labels("site"));
    let program = (x.sum_dim(-1) * g.param_with("w", &[3]).gather(site)).sum().compile().unwrap();
    let theta = program.params([("w", [1.0, 10.0, 100.0])]).unwrap();
    let mut table = Vec::new();
    for i in 0..9000 {
        table.extend([f64::from(i % 7), 1.0, f64::from(i % 3)]);
    }
    let columns = transposed(&table, 3);
    let site: Vec<u32> = columns[2].iter().map(|l| *l as u32).collect();
    let expected = bits(&program.bind([("x", Columns::from(slices(&columns[..2]))), ("site", Columns::from(&site))]).unwrap(), &theta);
    let bind = |table: &[f64]| {
        let rows = Columns::from_rows(table, 3);
        program.bind([("x", rows.clone().entries(0..2)), ("site", rows.entries(2..3))]).map(|bound| bits(&bound, &theta))
    };
    assert_eq!(bind(&table).unwrap(), expected);
    table[3 * 4000 + 2] = 1.5;
    assert!(bind(&table).unwrap_err().to_string().contains("`site`, sample 4000: 1.5 is no whole number"));
    table[3 * 4000 + 2] = 3.0;
    assert!(bind(&table).unwrap_err().to_string().contains("label 3 is not below 3"));
    table[3 * 4000 + 2] = f64::NAN;
    assert!(bind(&table).unwrap_err().to_string().contains("the label is missing"));
}

#[test]
fn batches_have_the_bits_of_columns() {
    for width in [3, 40] {
        let n = 20_000;
        let g = Graph::new();
        let program = FORMULAS[2].1(&g, width).compile().unwrap();
        let theta = program.params([("w", numbers(width, 3))]).unwrap();
        let table = numbers(n * (width + 1), 5);
        let columns = transposed(&table, width + 1);
        let of_columns = program.bind([("x", Columns::from(slices(&columns[..width]))), ("y", Columns::from(&columns[width]))]).unwrap();
        let rows = Columns::from_rows(&table, width + 1);
        let of_rows = program.bind([("x", rows.clone().entries(0..width)), ("y", rows.entries(width..width + 1))]).unwrap();
        let (mut a, mut b) = (of_columns.batch(), of_rows.batch());
        let (mut grad_a, mut grad_b) = (program.grad_zeros(), program.grad_zeros());
        let shuffled: Vec<usize> = (0..n).map(|i| i * 7919 % n).collect();
        let mut check = |a: &mut tapeless::Batch<'_, '_>, b: &mut tapeless::Batch<'_, '_>| {
            let values = (a.value_and_grad_into(&theta, &mut grad_a).unwrap(), b.value_and_grad_into(&theta, &mut grad_b).unwrap());
            assert_eq!(values.0.to_bits(), values.1.to_bits());
            assert_eq!(grad_a.values(), grad_b.values());
            assert_eq!(a.value(&theta).unwrap(), b.value(&theta).unwrap());
        };
        for rows in [&shuffled[..1], &shuffled[..100], &shuffled[..], &shuffled[..4097]] {
            a.select(rows).unwrap();
            b.select(rows).unwrap();
            check(&mut a, &mut b);
        }
        a.narrow(17..3001).unwrap();
        b.narrow(17..3001).unwrap();
        check(&mut a, &mut b);
        for range in [0..n, 5..6, 8191..12_345] {
            a.select_range(range.clone()).unwrap();
            b.select_range(range).unwrap();
            check(&mut a, &mut b);
        }
    }
}

#[test]
fn results_a_sample_and_reports_read_rows() {
    let g = Graph::new();
    let (x, w) = (g.data_with("x", &[2]), g.param_with("w", &[2]));
    let named = [("z", x.dot(w)), ("each", (x * w).exp())];
    for backend in Backend::available() {
        let function = compile_function::<f64>(&named, &Options::new().backend(backend)).unwrap();
        let theta = function.params([("w", [0.5, -2.0])]).unwrap();
        let table = numbers(2 * 5000, 4);
        let columns = transposed(&table, 2);
        let of_columns = function.bind([("x", slices(&columns))]).unwrap().eval(&theta).unwrap();
        let of_rows = function.bind([("x", Columns::from_rows(&table, 2))]).unwrap().eval(&theta).unwrap();
        assert_eq!(of_rows, of_columns);
    }

    // The checker, and the search for what isn't finite, read samples one by one.
    let loss = x.dot(w).ln().sum();
    let program = loss.compile().unwrap();
    let mut table = vec![1.0; 2 * 6000];
    let theta = program.params([("w", [0.5, 2.0])]).unwrap();
    let bound = program.bind([("x", Columns::from_rows(&table, 2))]).unwrap();
    assert!(tapeless::check::gradient(&bound, &theta).unwrap().passed());
    table[2 * 5000] = -5.0;
    let bound = program.bind([("x", Columns::from_rows(&table, 2))]).unwrap();
    let report = bound.find_non_finite(&theta).unwrap().unwrap();
    assert_eq!((report.sample, report.node.as_str()), (Some(5000), "ln"));
    let mut batch = bound.batch();
    batch.select_range(4990..5010).unwrap();
    assert_eq!(batch.find_non_finite(&theta).unwrap().unwrap().sample, Some(5000));
}
