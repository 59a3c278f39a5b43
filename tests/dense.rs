//! Large matrices without samples: against a table made with mpmath (`tools/dense_reference.py`), against the operations written out, and by the
//! checker; what isn't positive definite is named.

use nalgebra::DMatrix;
use tapeless::graph::dense::Dense;
use tapeless::graph::eval::{self, Inputs};
use tapeless::graph::{Dag, Op};
use tapeless::prelude::*;
use tapeless::{Columns, Error, check};

/// The same double as in the tool.
fn number(i: usize, j: usize, salt: usize) -> f64 {
    ((i * 7919 + j * 104729 + 13 * i * j + salt * 611953) % 1009) as f64 / 1009.0 - 0.5
}

fn symmetric(i: usize, j: usize, salt: usize) -> f64 {
    number(i.max(j), i.min(j), salt)
}

fn matrix(kind: &str, n: usize) -> Vec<f64> {
    let entry = |i: usize, j: usize| {
        let well = symmetric(i, j, 1) + if i == j { n as f64 } else { 0.0 };
        if kind == "well" { well } else { 1000.0 + well * 0.5f64.powi(20) }
    };
    (0..n * n).map(|k| entry(k / n, k % n)).collect()
}

/// The scalar that the table has, of a matrix `a`.
fn scalar<'g>(what: &str, a: Expr<'g>, n: usize) -> Expr<'g> {
    let g = a.graph();
    let weights = g.param_with("w", &[n, n]);
    let (b, c) = (g.param_with("b", &[n]), g.param_with("c", &[n]));
    match what {
        "log_det" => a.log_det(),
        "cholesky" => (a.cholesky() * weights).sum(),
        "solve" => a.cholesky().solve_lower(b).dot(c),
        // By both triangles.
        "quadratic" => b.dot(a.cholesky().solve_lower_transposed(a.cholesky().solve_lower(b))),
        "inverse" => (a.inverse() * weights).sum(),
        other => panic!("{other}"),
    }
}

#[test]
fn values_and_derivatives_against_the_table() {
    let table = include_str!("tables/dense.txt");
    let mut rows = 0;
    for line in table.lines().filter(|l| !l.starts_with('#')) {
        let [kind, n, what, value, slope] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let n: usize = n.parse().unwrap();
        let (value, slope): (f64, f64) = (value.parse().unwrap(), slope.parse().unwrap());
        let g = Graph::new();
        let program = Options::new().wrt(["a"]).compile(scalar(what, g.param_with("a", &[n, n]), n)).unwrap();
        let data = program.bind::<&str, &[f64]>([]).unwrap();
        let has = |name: &str| program.layout().range(name).is_some();
        let vector = |j: usize, salt: usize| (0..n).map(|i| number(i, j, salt)).collect::<Vec<_>>();
        let mut params = vec![("a", matrix(kind, n))];
        for (name, numbers) in [("w", (0..n * n).map(|k| number(k / n, k % n, 3)).collect()), ("b", vector(5, 4)), ("c", vector(7, 5))] {
            if has(name) {
                params.push((name, numbers));
            }
        }
        let theta = program.params(params).unwrap();
        let (found, grad) = data.value_and_grad(&theta).unwrap();
        let grad = grad.values();
        // Only the lower triangle is read, so its entries have the derivative of both.
        assert!((0..n * n).all(|k| k / n >= k % n || grad[k] == 0.0), "{line}");
        let (along, size) =
            (0..n * n).filter(|k| k / n >= k % n).map(|k| grad[k] * symmetric(k / n, k % n, 2)).fold((0.0, 0.0f64), |(s, m), x| (s + x, m + x.abs()));
        // Condition numbers are near 1.1 and 2e9.
        let tolerance = if kind == "well" { 2e-14 } else { 1e-6 };
        let near = |found: f64, want: f64, size: f64| (found - want).abs() <= tolerance * size;
        let scale = if what == "cholesky" || what == "inverse" || what == "solve" { value.abs().max(1e-3 * n as f64) } else { value.abs() };
        assert!(near(found, value, scale), "{line}: {found}");
        assert!(near(along, slope, size.max(slope.abs())), "{line}: {along}");
        rows += 1;
    }
    assert_eq!(rows, 40);
}

/// One operation as a node, and written out entry by entry.
#[test]
fn a_node_has_the_bits_of_the_operations_written_out() {
    for n in [1, 2, 3, 7, 16] {
        for (op, width) in [(Dense::Cholesky, n), (Dense::SolveLower, 1), (Dense::SolveLower, 3), (Dense::SolveLowerTransposed, 4), (Dense::Matmul, 2)] {
            let g = Graph::new();
            let (a, b) = (g.param_with("a", &[n, n]), g.param_with("b", &[n, width]));
            let written = match op {
                Dense::Cholesky => a.cholesky() + 0.0 * b.sum(),
                Dense::SolveLower => a.solve_lower(b),
                Dense::SolveLowerTransposed => a.solve_lower_transposed(b),
                Dense::Matmul => a.matmul(b),
            };
            let mut dag: Dag = g.dag().clone();
            let operands = [a.id(), b.id()];
            let node = dag.push(Op::Dense(op), operands[..op.arity()].iter().copied().collect(), None).unwrap();
            let one = Graph::from_dag(dag);
            let (b2, node) = (one.node(b.id()), one.node(node));
            let node = if op == Dense::Cholesky { node + 0.0 * b2.sum() } else { node };
            let weights: Vec<f64> = (0..n * width).map(|k| number(k, 1, 3)).collect();
            let theta = [("a", matrix("well", n)), ("b", (0..n * width).map(|k| number(k / width, k % width, 4)).collect())];
            let run = |y: Expr<'_>| {
                let loss = (y * y.graph().array(y.shape().dims(), &weights)).sum();
                let program = loss.compile().unwrap();
                let data = program.bind::<&str, &[f64]>([]).unwrap();
                let at = program.params(theta.iter().map(|(n, v)| (*n, v))).unwrap();
                let report = check::gradient(&data, &at).unwrap();
                assert!(report.passed(), "{op:?} {n}: {report}");
                let f = y.compile_function().unwrap();
                let values = f.bind::<&str, &[f64]>([]).unwrap().eval(&f.params(theta.iter().map(|(n, v)| (*n, v))).unwrap()).unwrap();
                (values[0].numbers.clone(), data.value_and_grad(&at).unwrap().1.values().to_vec())
            };
            let ((values, grad), (node_values, node_grad)) = (run(written), run(node));
            assert_eq!(values.len(), node_values.len());
            // Sums of products may be made in another order.
            let same = |a: f64, b: f64| if op == Dense::Matmul { (a - b).abs() <= 1e-13 } else { a.to_bits() == b.to_bits() };
            assert!(values.iter().zip(&node_values).all(|(a, b)| same(*a, *b)), "{op:?} {n}: {values:?} {node_values:?}");
            let size = grad.iter().fold(1.0f64, |m, x| m.max(x.abs()));
            assert!(grad.iter().zip(&node_grad).all(|(a, b)| (a - b).abs() <= 1e-13 * size), "{op:?} {n}: {grad:?} {node_grad:?}");
        }
    }
}

/// Per-sample right-hand sides: substituted up to 64 rows, multiplied by the inverse beyond; one pass either way.
#[test]
fn solves_for_samples_with_a_large_factor() {
    for n in [20, 65, 90] {
        let samples = 33;
        let columns: Vec<Vec<f64>> = (0..n).map(|j| (0..samples).map(|i| number(i, j, 8)).collect()).collect();
        let g = Graph::new();
        let factor = g.param_with("a", &[n, n]).cholesky();
        let z = factor.solve_lower(g.data_with("x", &[n]) - g.param_with("m", &[n]));
        let f = z.compile_function().unwrap();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let at = [("a", matrix("well", n)), ("m", (0..n).map(|i| number(i, 2, 6)).collect())];
        let out = f.bind([("x", Columns::from(slices.clone()))]).unwrap().eval(&f.params(at.iter().map(|(n, v)| (*n, v))).unwrap()).unwrap();
        let l = DMatrix::from_row_slice(n, n, &at[0].1).cholesky().unwrap().l();
        let row = |i: usize| nalgebra::DVector::from_fn(n, |j, _| columns[j][i] - at[1].1[j]);
        for (i, r) in (0..samples).map(row).enumerate() {
            let want = l.solve_lower_triangular(&r).unwrap();
            for j in 0..n {
                let found = out[0].numbers[j * samples + i];
                assert!((found - want[j]).abs() <= 1e-13, "{n}: {found} {}", want[j]);
            }
        }
        let loss = 0.5 * z.square().sum() + g.count() * factor.diag().ln().sum();
        let program = Options::new().wrt(["m"]).compile(loss).unwrap();
        assert_eq!(program.passes().call, 1, "{n}");
        let data = program.bind([("x", Columns::from(slices.clone()))]).unwrap();
        let report = check::gradient(&data, &program.params(at.iter().map(|(n, v)| (*n, v))).unwrap()).unwrap();
        assert!(report.passed(), "{n}: {report}");
        assert_eq!(loss.compile().unwrap().passes().call, 1, "{n}");
    }
}

/// By the whole checker, its walk back included: batches, both triangles, upper ones, products.
#[test]
fn the_checker_walks_through_dense_nodes() {
    let n = 18;
    type Formula = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;
    let formulas: [(&str, Formula); 6] = [
        ("log_det", |a, _| a.log_det()),
        ("factor", |a, b| a.cholesky().matmul(b).sin().sum()),
        ("upper", |a, b| a.cholesky().transpose().solve_upper(b).sin().sum()),
        ("lower", |a, b| a.cholesky().solve_lower(b).square().sum()),
        ("inverse", |a, b| a.inverse().matmul(b).sin().sum()),
        ("second", |a, b| a.log_det().gradient(&[a]).map_or(a, |d| d[0]).matmul(b).sin().sum()),
    ];
    for (name, formula) in formulas {
        let g = Graph::new();
        let (a, b) = (g.param_with("a", &[n, n]), g.param_with("b", &[n, 2]));
        let program = formula(a, b).compile().unwrap();
        let data = program.bind::<&str, &[f64]>([]).unwrap();
        let theta = program
            .params(
                [("a", matrix("well", n)), ("b", (0..2 * n).map(|k| number(k, 3, 4)).collect())]
                    .into_iter()
                    .filter(|(p, _)| program.layout().range(p).is_some()),
            )
            .unwrap();
        let report = check::gradient(&data, &theta).unwrap();
        assert!(report.passed(), "{name}: {report}");
        // A wrong pullback is found and named.
        for op in Dense::ALL.iter().filter(|op| program.formula().contains(&format!("{}(", op.name()))) {
            for factor in [1.0001, -1.0] {
                let wrong = Options::new().with_fault(op.name(), factor).compile(formula(a, b)).unwrap();
                let report = check::gradient(&wrong.bind::<&str, &[f64]>([]).unwrap(), &theta).unwrap();
                assert!(matches!(&report.fault, Some(check::Fault::Operation(c)) if c.op == op.name()), "{name} {op:?} {factor}: {report}");
            }
        }
    }
}

#[test]
fn batches_broadcast() {
    let (n, k) = (17, 3);
    let g = Graph::new();
    let (a, b) = (g.param_with("a", &[k, n, n]), g.param_with("b", &[n]));
    let many: Vec<f64> = (0..k).flat_map(|m| matrix("well", n).into_iter().map(move |x| x * (m + 1) as f64)).collect();
    let bs: Vec<f64> = (0..n).map(|i| number(i, 1, 4)).collect();
    let run = |e: Expr<'_>, a: Vec<f64>| {
        let f = e.compile_function().unwrap();
        let theta = f.params([("a", a), ("b", bs.clone())]).unwrap();
        f.bind::<&str, &[f64]>([]).unwrap().eval(&theta).unwrap()[0].numbers.clone()
    };
    let found = run(a.cholesky().solve_lower(b), many.clone());
    for m in 0..k {
        let g = Graph::new();
        let one = g.param_with("a", &[n, n]).cholesky().solve_lower(g.param_with("b", &[n]));
        assert_eq!(found[m * n..][..n], run(one, many[m * n * n..][..n * n].to_vec()));
    }
}

#[test]
fn what_is_not_positive_definite_is_named() {
    for n in [3, 8, 17, 70] {
        let mut a = matrix("well", n);
        a[(n - 1) * n + n - 1] = -1.0;
        let g = Graph::new();
        let line = line!() + 1;
        let factor = g.param_with("a", &[n, n]).cholesky();
        let program = factor.diag().ln().sum().compile().unwrap();
        let data = program.bind::<&str, &[f64]>([]).unwrap();
        let (good, bad) = (program.params([("a", matrix("well", n))]).unwrap(), program.params([("a", a.clone())]).unwrap());
        assert_eq!(data.check_definite(&good), Ok(()));
        assert!(data.value(&bad).unwrap().is_nan());
        let Err(Error::NotDefinite { pivot, row, place, sample, .. }) = data.check_definite(&bad) else { panic!("{n}") };
        assert!(pivot < 0.0 && sample.is_none() && place.unwrap().line == line, "{n}: {pivot}");
        assert!(row.is_none_or(|row| row == n - 1));
        // The last pivot is what is left of the entry.
        let top = DMatrix::from_row_slice(n, n, &a).view((0, 0), (n - 1, n - 1)).into_owned();
        let side = nalgebra::DVector::from_fn(n - 1, |j, _| a[(n - 1) * n + j]);
        let want = -1.0 - (side.transpose() * top.try_inverse().unwrap() * &side)[(0, 0)];
        assert!((pivot - want).abs() <= 1e-12, "{n}: {pivot} {want}");
        // The report of a number that isn't finite names it too.
        let report = data.find_non_finite(&bad).unwrap().unwrap();
        assert!(report.node == "pivot" || report.node == "dense_cholesky", "{report:?}");
        assert_eq!(report.place.unwrap().line, line);
        assert_eq!(report.inputs.len(), 1);
    }
    // One matrix per sample: the first sample whose matrix is bad.
    let g = Graph::new();
    let x = g.data("x");
    let one = g.constant(1.0) + 0.0 * x;
    let program = g.concat(&[one.reshape(&[1]), x.reshape(&[1]), x.reshape(&[1]), one.reshape(&[1])], 0).reshape(&[2, 2]).log_det().sum().compile().unwrap();
    let xs = [0.5, -0.3, 2.0, 5.0];
    let data = program.bind([("x", &xs)]).unwrap();
    assert!(
        matches!(data.check_definite(&program.zeros()), Err(Error::NotDefinite { pivot: -3.0, sample: Some(2), .. })),
        "{:?}",
        data.check_definite(&program.zeros())
    );
    // A zero pivot is none; NaN that comes in is not the matrix's fault.
    let g = Graph::new();
    let program = g.param_with("a", &[2, 2]).log_det().compile().unwrap();
    let data = program.bind::<&str, &[f64]>([]).unwrap();
    let check = |a: [f64; 4]| data.check_definite(&program.params([("a", a)]).unwrap());
    assert!(matches!(check([1.0, 1.0, 1.0, 1.0]), Err(Error::NotDefinite { pivot: 0.0, .. })));
    assert!(matches!(check([1.0, f64::NAN, f64::NAN, 1.0]), Err(Error::NonFinite(_))));
}

#[test]
fn dense_graphs_read_back_and_agree_with_the_oracle() {
    let n = 20;
    let g = Graph::new();
    let a = g.param_with("a", &[n, n]);
    let program = (a.log_det() + a.inverse().trace()).compile().unwrap();
    let text = program.graph_text();
    assert!(text.contains("dense_cholesky") && text.contains("dense_solve_lower") && text.contains("dense_matmul"), "{text}");
    let dag = tapeless::graph::text::parse(&text).unwrap();
    assert_eq!(tapeless::graph::text::print(&dag), text);
    tapeless::graph::verify::verify(&dag).unwrap();
    let out = eval::outputs(&dag, &Inputs { samples: 0, data: Vec::new(), params: vec![matrix("well", n)] });
    let (value, grad) = program.bind::<&str, &[f64]>([]).unwrap().value_and_grad(&program.params([("a", matrix("well", n))]).unwrap()).unwrap();
    assert!((value - out[0].numbers[0]).abs() <= 1e-13 * value.abs());
    assert!(grad.values().iter().zip(&out[1].numbers).all(|(a, b)| (a - b).abs() <= 1e-13));
    for (operands, wrong) in
        [("[3, 4]", "dense_cholesky %0"), ("[3]", "dense_cholesky %0"), ("[3, 4]", "dense_matmul %0, %0"), ("[3, 3]", "dense_solve_lower %0")]
    {
        assert!(tapeless::graph::text::parse(&format!("param a {operands}\n%0 = param a\n%1 = {wrong}")).is_err(), "{wrong} of {operands}");
    }
}
