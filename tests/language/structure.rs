//! Entries, slices, stacks, triangles and products: values by closed forms, gradients by the checker, mistakes with both shapes.

use tapeless::graph::text;
use tapeless::prelude::*;
use tapeless::{Error, check};

/// Evaluates an expression of a 2 by 3 matrix `a` (1..6), a 3-vector `v` (7, 8, 9) and per-sample pairs `x`.
fn eval(build: impl for<'g> Fn(&'g Graph, Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>) -> (String, Vec<f64>) {
    let g = Graph::new();
    let (a, v, x) = (g.param_with("a", &[2, 3]), g.param_with("v", &[3]), g.data_with("x", &[2]));
    let result = build(&g, a, v, x);
    let shape = result.shape().to_string();
    let f = result.compile_function().unwrap();
    let columns: [&[f64]; 2] = [&[1.0, 2.0], &[10.0, 20.0]];
    let theta = f.params([("a", vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), ("v", vec![7.0, 8.0, 9.0])]);
    // Parameters that the expression doesn't use still belong to the graph.
    let out = f.bind([("x", columns.to_vec())]).unwrap().eval(&theta.unwrap()).unwrap();
    // The gradient of its weighted sum passes the checker, and the graph reads back.
    let weighted = (result.sin() * 1.3 + result).sum() + 0.01 * (a.square().sum() + v.square().sum()) + 0.1 * x.sum();
    let program = weighted.compile().unwrap();
    let theta = program.params([("a", vec![0.1, -0.2, 0.3, 0.4, -0.5, 0.6]), ("v", vec![0.7, 0.8, -0.9])]).unwrap();
    let report = check::gradient(&program.bind([("x", columns.to_vec())]).unwrap(), &theta).unwrap();
    assert!(report.passed(), "{report}");
    let printed = program.graph_text();
    assert_eq!(text::print(&text::parse(&printed).unwrap()), printed);
    (shape, out[0].numbers.clone())
}

#[test]
fn values_by_closed_forms() {
    type Build = for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>;
    let cases: &[(&str, Build, &str, &[f64])] = &[
        ("index", |_, a, _, _| a.index(&[1, 2]), "[]", &[6.0]),
        ("slice rows", |_, a, _, _| a.slice(0, 1..2), "[1, 3]", &[4.0, 5.0, 6.0]),
        ("slice columns", |_, a, _, _| a.slice(-1, 1..3), "[2, 2]", &[2.0, 3.0, 5.0, 6.0]),
        ("transpose", |_, a, _, _| a.transpose(), "[3, 2]", &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        ("diag", |_, a, _, _| a.diag(), "[2]", &[1.0, 5.0]),
        ("to_diag", |_, _, v, _| v.slice(0, 0..2).to_diag(), "[2, 2]", &[7.0, 0.0, 0.0, 8.0]),
        ("tril", |_, a, _, _| a.tril(), "[2, 3]", &[1.0, 0.0, 0.0, 4.0, 5.0, 0.0]),
        ("triu", |_, a, _, _| a.triu(), "[2, 3]", &[1.0, 2.0, 3.0, 0.0, 5.0, 6.0]),
        ("trace", |_, a, _, _| a.trace(), "[]", &[6.0]),
        ("dot", |_, _, v, _| v.dot(v), "[]", &[194.0]),
        ("outer", |_, a, v, _| a.index(&[0, 1]) * v.slice(0, 0..2).outer(v), "[2, 3]", &[98.0, 112.0, 126.0, 112.0, 128.0, 144.0]),
        ("matrix vector", |_, a, v, _| a.matmul(v), "[2]", &[50.0, 122.0]),
        ("matrix matrix", |_, a, _, _| a.matmul(a.transpose()), "[2, 2]", &[14.0, 32.0, 32.0, 77.0]),
        ("samples matrix", |_, a, _, x| x.matmul(a), "[samples, 3]", &[41.0, 82.0, 52.0, 104.0, 63.0, 126.0]),
        ("per-sample entry", |_, _, _, x| x.index(&[1]) - x.index(&[0]), "[samples]", &[9.0, 18.0]),
        ("stack", |g, a, _, x| g.stack(&[x.index(&[0]), a.index(&[0, 0])], 0), "[samples, 2]", &[1.0, 2.0, 1.0, 1.0]),
        ("concat", |g, _, v, _| g.concat(&[v, v.slice(0, 1..2)], 0), "[4]", &[7.0, 8.0, 9.0, 8.0]),
        ("identity", |g, a, _, _| g.identity(2).matmul(a) - a, "[2, 3]", &[0.0; 6]),
        ("array", |g, _, v, _| g.array(&[3], &[1.0, 0.0, -1.0]).dot(v), "[]", &[-2.0]),
        ("quadratic form", |_, a, _, x| x.matmul(a.slice(1, 0..2)).dot(x), "[samples]", &[561.0, 2244.0]),
    ];
    for (name, build, shape, numbers) in cases {
        assert_eq!(eval(*build), (shape.to_string(), numbers.to_vec()), "{name}");
    }
}

/// Entries picked once, several times and never; by slices that overlap, in a function of a mean over samples, beside data.
#[test]
fn picks_of_one_value_add_up() {
    let g = Graph::new();
    let (w, x) = (g.param_with("w", &[6]), g.data_with("x", &[7]));
    // d/dw of the sum of k (w_k..w_k+3)^2 over k = 1, 2, 3 at offsets 0, 1, 2, and w_4^3: twice w by the weights below, and 3 w_4^2.
    let windows = (0..3).map(|k| (k + 1) as f64 * w.slice(0, k..k + 3).square().sum()).reduce(|a, b| a + b).unwrap();
    let loss = windows + w.index(&[4]).powi(3);
    let program = loss.compile().unwrap();
    let theta = program.params([("w", vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]).unwrap();
    let bound = program.bind::<&str, &[f64]>([]).unwrap();
    let (value, grad) = bound.value_and_grad(&theta).unwrap();
    assert_eq!(value, 14.0 + 2.0 * 29.0 + 3.0 * 50.0 + 125.0);
    assert_eq!(grad.values(), [2.0, 2.0 * 3.0 * 2.0, 2.0 * 6.0 * 3.0, 2.0 * 5.0 * 4.0, 2.0 * 3.0 * 5.0 + 75.0, 0.0]);

    let columns: Vec<Vec<f64>> = (0..7).map(|k| (0..50).map(|i| ((i * (k + 2)) as f64 * 0.37).sin()).collect()).collect();
    let (a, b) = (x.slice(-1, 0..3) * w.slice(0, 1..4), x.slice(-1, 2..5) * w.slice(0, 0..3));
    let mixed = g.stack(&[x.index(&[6]), w.index(&[1]), w.index(&[4])], 0);
    let per_sample = a.sum_dim(-1).exp() + b.sum_dim(-1).sin() * mixed.index(&[1]) + mixed.square().sum_dim(-1);
    // A row of what differs by sample, too, and a seed that is known after the pass.
    let products = x * w.index(&[2]);
    let picked = products.index(&[3]) * products.index(&[5]) + products.slice(-1, 3..6).tanh().sum_dim(-1);
    for loss in [per_sample.mean().ln() + picked.mean().exp(), (per_sample + picked).mean().sqrt() + w.index(&[3]).exp(), windows * per_sample.mean()] {
        let program = loss.compile().unwrap();
        let theta = program.params([("w", vec![0.3, -0.2, 0.5, 0.1, 0.7, -0.4])]).unwrap();
        let bound = program.bind([("x", columns.iter().map(Vec::as_slice).collect::<Vec<_>>())]).unwrap();
        let report = check::gradient(&bound, &theta).unwrap();
        assert!(report.passed(), "{report}");
        // The recorded contributions are right, too: a broken operation before the picks is named, and no pick.
        let broken = Options::new().with_fault("exp", 1.0 + 1e-4).compile(loss).unwrap();
        let bound = broken.bind([("x", columns.iter().map(Vec::as_slice).collect::<Vec<_>>())]).unwrap();
        let report = check::gradient(&bound, &theta).unwrap();
        assert!(matches!(&report.fault, Some(check::Fault::Operation(culprit)) if culprit.op == "exp"), "{report}");
    }
}

#[test]
fn large_arrangements_meet_loops() {
    // 10 by 12 per-sample products, transposed, a triangle of them summed: more entries than are unrolled.
    let g = Graph::new();
    let (x, y, w) = (g.data_with("x", &[10]), g.data_with("y", &[12]), g.param_with("w", &[12, 10]));
    let loss = ((x.outer(y).transpose() * w).tril().square() + x.outer(y).transpose()).sum_dim(0).sum();
    let program = loss.compile().unwrap();
    let columns: Vec<Vec<f64>> = (0..22).map(|c| (0..5).map(|i| ((c * 7 + i * 3) as f64 * 0.61).sin()).collect()).collect();
    let slices = |r: std::ops::Range<usize>| columns[r].iter().map(Vec::as_slice).collect::<Vec<_>>();
    let data = program.bind([("x", slices(0..10)), ("y", slices(10..22))]).unwrap();
    let w: Vec<f64> = (0..120).map(|k| (k as f64 * 0.37).cos()).collect();
    let term = |i: usize, r: usize, c: usize| {
        let product = columns[c][i] * columns[10 + r][i];
        product + if r >= c { (product * w[r * 10 + c]).powi(2) } else { 0.0 }
    };
    let expected: f64 = (0..5 * 120).map(|k| term(k / 120, k % 120 / 10, k % 10)).sum();
    let theta = program.params([("w", w)]).unwrap();
    assert!((data.value(&theta).unwrap() - expected).abs() < 1e-12);
    let report = check::gradient(&data, &theta).unwrap();
    assert!(!report.failed(), "{report}");
}

#[test]
fn mistakes_name_shapes_and_place() {
    let g = Graph::new();
    let (a, v) = (g.param_with("a", &[2, 3]), g.param_with("v", &[2]));
    let bad = a.matmul(v).sum() + a.index(&[2, 0]) + a.slice(0, 1..4).sum() + v.transpose().sum() + g.concat(&[a, v], 0).sum() + g.param("s").matmul(v);
    let Err(Error::Expression(mistakes)) = bad.compile() else { panic!("six mistakes") };
    let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 6, "{all:#?}");
    for (text, words) in all.iter().zip([
        "matmul: shapes [2, 3] and [2]",
        "no axis [2, 0]",
        "entries 1..4",
        "transpose: [2] has no axis -2",
        "concat along axis 0",
        "matmul: shapes [] and [2]",
    ]) {
        assert!(text.contains(words) && text.contains("structure.rs"), "{text}");
    }
}

/// Sums of products with a triangle leave out what it lacks; value and gradient are those of loops over what it has.
#[test]
fn triangles_are_gone_through_without_what_they_lack() {
    const D: usize = 40;
    let number = |k: usize| ((k as f64 * 0.618_033_988_749_895).fract() - 0.5) * 0.8;
    let samples = 37;
    let columns: Vec<Vec<f64>> = (0..D).map(|j| (0..samples).map(|i| number(j * samples + i)).collect()).collect();
    let (raw, mean): (Vec<f64>, Vec<f64>) = ((0..2 * D * D).map(|k| number(k + 7)).collect(), (0..D).map(|k| number(k + 3)).collect());
    for lower in [true, false] {
        let inside = |i: usize, j: usize| if lower { j <= i } else { j >= i };
        let g = Graph::new();
        let (x, m, t) = (g.data_with("x", &[D]), g.param_with("m", &[D]), g.param_with("t", &[2, D, D]));
        let t = if lower { t.tril() } else { t.triu() };
        let z = t.matmul((x - m).reshape(&[D, 1])).reshape(&[2, D]);
        let program = z.square().sum().compile().unwrap();
        assert!(program.kernels().contains(if lower { "of the last two 0..8 x 0..8, 8..16 x 0..16" } else { "of the last two 0..8 x 0..40, 8..16 x 8..40" }));
        let theta = program.params([("m", mean.clone()), ("t", raw.clone())]).unwrap();
        let data = program.bind([("x", columns.iter().map(Vec::as_slice).collect::<Vec<_>>())]).unwrap();
        let (value, grad) = data.value_and_grad(&theta).unwrap();
        let (mut expected, mut by_t, mut by_m) = (0.0, vec![0.0; 2 * D * D], vec![0.0; D]);
        for s in 0..samples {
            let y: Vec<f64> = columns.iter().zip(&mean).map(|(x, m)| x[s] - m).collect();
            for row in 0..2 * D {
                let own = (0..D).filter(|j| inside(row % D, *j));
                let z: f64 = own.clone().map(|j| raw[row * D + j] * y[j]).sum();
                expected += z * z;
                for j in own {
                    by_t[row * D + j] += 2.0 * z * y[j];
                    by_m[j] -= 2.0 * z * raw[row * D + j];
                }
            }
        }
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + b.abs());
        assert!(close(value, expected), "{value} {expected}");
        for (name, expected) in [("t", &by_t), ("m", &by_m)] {
            let found = grad.get(name).unwrap();
            assert!(found.iter().zip(expected).all(|(a, b)| close(*a, *b)), "{name}, lower: {lower}");
        }

        // Sums over matrices: entries that none of them has are 0 for each sample.
        let pairs = g.data_with("pairs", &[2, 1, D / 2]);
        let stack = g.param_with("stack", &[2, D / 2, D / 2]);
        let both = ((if lower { stack.tril() } else { stack.triu() }) * pairs).sum_dim(0);
        let mut expected = 0.0;
        for s in 0..samples {
            let x: Vec<f64> = columns.iter().map(|x| x[s]).collect();
            for (i, j) in (0..D / 2).flat_map(|i| (0..D / 2).map(move |j| (i, j))).filter(|(i, j)| inside(*i, *j)) {
                let sum: f64 = (0..2).map(|k| raw[(k * D / 2 + i) * D / 2 + j] * x[k * D / 2 + j]).sum();
                expected += sum.cos() - 1.0;
            }
        }
        for backend in tapeless::backend::Backend::available() {
            let program = Options::new().backend(backend).compile((both.cos() - 1.0).sum()).unwrap();
            let theta = program.params([("m", mean.clone()), ("t", raw.clone()), ("stack", raw[..D * D / 2].to_vec())]).unwrap();
            let data =
                program.bind([("x", columns.iter().map(Vec::as_slice).collect::<Vec<_>>()), ("pairs", columns.iter().map(Vec::as_slice).collect())]).unwrap();
            assert!(close(data.value(&theta).unwrap(), expected), "{backend:?}, lower: {lower}\n{}", program.kernels());
        }

        // Back through the triangle for each sample: sums over its rows, and nothing else in that step.
        let fixed = g.param_with("fixed", &[2, D, D]).detach();
        let fixed = if lower { fixed.tril() } else { fixed.triu() };
        let z = fixed.matmul((x * m).reshape(&[D, 1]));
        let mut by_m = vec![0.0; D];
        for s in 0..samples {
            let x: Vec<f64> = columns.iter().map(|x| x[s]).collect();
            for row in 0..2 * D {
                let own = (0..D).filter(|j| inside(row % D, *j));
                let z: f64 = own.clone().map(|j| raw[row * D + j] * x[j] * mean[j]).sum();
                own.for_each(|j| by_m[j] += z.cos() * raw[row * D + j] * x[j]);
            }
        }
        for backend in tapeless::backend::Backend::available() {
            let program = Options::new().backend(backend).compile(z.sin().sum()).unwrap();
            let theta = program.params([("m", mean.clone()), ("t", raw.clone()), ("stack", raw[..D * D / 2].to_vec()), ("fixed", raw.clone())]).unwrap();
            let data =
                program.bind([("x", columns.iter().map(Vec::as_slice).collect::<Vec<_>>()), ("pairs", columns.iter().map(Vec::as_slice).collect())]).unwrap();
            let (_, grad) = data.value_and_grad(&theta).unwrap();
            assert!(grad.get("m").unwrap().iter().zip(&by_m).all(|(a, b)| close(*a, *b)), "{backend:?}, lower: {lower}\n{}", program.kernels());
        }
    }
}

/// Values without samples that are longer than a run of anything: every number from its indices, exactly. Arrangements evenly apart and zeros between, operands
/// along rows and columns, sums over each axis with neighbours made together and some left over.
#[test]
fn large_values_by_their_indices() {
    const ROWS: usize = 37;
    const COLUMNS: usize = 21;
    type Build = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;
    let a = |i: usize, j: usize| (100 * i + j) as f64;
    let v = |j: usize| (j * j) as f64;
    let each = |f: &dyn Fn(usize, usize) -> f64| (0..ROWS * COLUMNS).map(|e| f(e / COLUMNS, e % COLUMNS)).collect::<Vec<f64>>();
    let cases: Vec<(&str, Build, Vec<f64>)> = vec![
        ("tril", |a, _| a.tril(), each(&|i, j| if j <= i { a(i, j) } else { 0.0 })),
        ("transpose", |a, _| a.transpose(), (0..ROWS * COLUMNS).map(|e| a(e % ROWS, e / ROWS)).collect()),
        ("diagonal", |a, _| a.diag(), (0..COLUMNS).map(|j| a(j, j)).collect()),
        (
            "diagonal of zeros else",
            |a, _| a.diag().to_diag(),
            (0..COLUMNS * COLUMNS).map(|e| if e / COLUMNS == e % COLUMNS { a(e / COLUMNS, e / COLUMNS) } else { 0.0 }).collect(),
        ),
        ("two shapes", |a, _| a.reshape(&[COLUMNS, ROWS]).slice(0, 1..2), (ROWS..2 * ROWS).map(|e| a(e / COLUMNS, e % COLUMNS)).collect()),
        ("a row to each", |a, v| a * v - v, each(&|i, j| a(i, j) * v(j) - v(j))),
        ("a column to each", |a, _| a.slice(1, 3..4) - a, each(&|i, j| a(i, 3) - a(i, j))),
        ("each by a row, and by one", |a, v| v.sum() - a / (v + 1.0), each(&|i, j| (0..COLUMNS).map(v).sum::<f64>() - a(i, j) / (v(j) + 1.0))),
        ("sum over rows", |a, _| a.sum_dim(0), (0..COLUMNS).map(|j| (0..ROWS).map(|i| a(i, j)).sum()).collect()),
        ("sum over columns", |a, _| a.sum_dim(1), (0..ROWS).map(|i| (0..COLUMNS).map(|j| a(i, j)).sum()).collect()),
        ("largest of rows", |a, _| (-a).max_dim(0), (0..COLUMNS).map(|j| -a(0, j)).collect()),
    ];
    let (matrix, vector): (Vec<f64>, Vec<f64>) = (each(&a), (0..COLUMNS).map(v).collect());
    for (name, build, expected) in cases {
        let g = Graph::new();
        let f = build(g.param_with("a", &[ROWS, COLUMNS]), g.param_with("v", &[COLUMNS])).compile_function().unwrap();
        let theta = f.params([("a", &matrix), ("v", &vector)]).unwrap();
        let none: [(&str, &[f64]); 0] = [];
        assert_eq!(f.bind(none).unwrap().eval(&theta).unwrap()[0].numbers, expected, "{name}");
    }
}
