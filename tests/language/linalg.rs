//! Cholesky factors, solves, determinants: values against nalgebra, gradients by the checker, passes counted.

use nalgebra::{DMatrix, DVector};
use tapeless::prelude::*;
use tapeless::{Columns, Error, check};

/// A symmetric positive definite matrix.
fn covariance(n: usize) -> DMatrix<f64> {
    let a = DMatrix::from_fn(n, n, |i, j| ((i * 7 + j * 3) as f64 * 0.61).sin() + if i == j { 1.5 } else { 0.0 });
    &a * a.transpose() + DMatrix::identity(n, n) * 0.3
}

fn row_major(m: &DMatrix<f64>) -> Vec<f64> {
    m.transpose().iter().copied().collect()
}

fn eval(e: Expr<'_>, params: &[(&str, Vec<f64>)]) -> Vec<f64> {
    let f = e.compile_function().unwrap();
    let out = f.bind::<&str, &[f64]>([]).unwrap().eval(&f.params(params.iter().map(|(n, v)| (*n, v))).unwrap()).unwrap();
    out[0].numbers.clone()
}

fn close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= 1e-11 * (1.0 + w.abs()), "{got:?}\n{want:?}");
    }
}

#[test]
fn values_against_nalgebra() {
    for n in [1, 2, 3, 8] {
        let a = covariance(n);
        let factor = a.clone().cholesky().unwrap();
        let b = DMatrix::from_fn(n, 2, |i, j| (i + 3 * j) as f64 * 0.4 - 1.0);
        let v = b.column(0).into_owned();
        let l = factor.l();
        let params = [("a", row_major(&a)), ("b", row_major(&b)), ("v", v.as_slice().to_vec())];
        let g = Graph::new();
        let (ea, eb, ev) = (g.param_with("a", &[n, n]), g.param_with("b", &[n, 2]), g.param_with("v", &[n]));
        let el = ea.cholesky();
        close(&eval(el, &params), &row_major(&l));
        close(&eval(ea.log_det(), &params), &[a.determinant().ln()]);
        close(&eval(ea.inverse(), &params), &row_major(&factor.inverse()));
        close(&eval(el.solve_lower(ev), &params), l.solve_lower_triangular(&v).unwrap().as_slice());
        close(&eval(el.solve_lower(eb), &params), &row_major(&l.solve_lower_triangular(&b).unwrap()));
        close(&eval(el.transpose().solve_upper(ev), &params), l.transpose().solve_upper_triangular(&v).unwrap().as_slice());
        close(&eval(el.solve_lower_transposed(eb), &params), &row_major(&l.transpose().solve_upper_triangular(&b).unwrap()));
        close(&eval(ea.quadratic_form(ev), &params), &[(v.transpose() * &a * &v)[(0, 0)]]);
    }
}

#[test]
fn a_gaussian_with_a_cholesky_factor_takes_one_pass() {
    let (n, d) = (257, 8);
    let g = Graph::new();
    let (x, loc, raw) = (g.data_with("x", &[d]), g.param_with("loc", &[d]), g.param_with("raw", &[d, d]));
    let factor = raw.tril();
    let z = factor.solve_lower(x - loc);
    let loss = (0.5 * z.square().sum_dim(-1) + factor.diag().ln().sum_dim(-1)).sum();
    let program = loss.compile().unwrap();
    assert_eq!((program.passes().call, program.value_passes().call), (1, 1));
    let samples = DMatrix::from_fn(n, d, |i, j| ((i * 13 + j * 5) as f64 * 0.37).sin());
    let l = covariance(d).cholesky().unwrap().l();
    let data = program.bind([("x", Columns::from(&samples))]).unwrap();
    let theta = program.params([("loc", vec![0.1; d]), ("raw", row_major(&l))]).unwrap();
    let report = check::gradient(&data, &theta).unwrap();
    assert!(report.passed(), "{report}");
    let mean = DVector::from_element(d, 0.1);
    let expected: f64 = (0..n).map(|i| 0.5 * l.solve_lower_triangular(&(samples.row(i).transpose() - &mean)).unwrap().norm_squared()).sum();
    let log_det: f64 = l.diagonal().iter().map(|x| x.ln()).sum::<f64>() * n as f64;
    assert!((data.value(&theta).unwrap() - expected - log_det).abs() < 1e-9);
}

#[test]
fn gradients_of_everything_pass_the_checker() {
    let g = Graph::new();
    let (a, v, x) = (g.param_with("a", &[2, 3, 3]), g.param_with("v", &[3]), g.data_with("x", &[3]));
    // Two factors at once, for per-sample vectors: `[2, 3, 3]` with `[samples, 1, 3]`.
    let spd = a.matmul(a.transpose()) + g.identity(3);
    let l = spd.cholesky();
    let z = l.solve_lower((x - v).reshape(&[1, 3]));
    let loss =
        z.square().sum_dim(-1).exp_m1().ln_1p().log_sum_exp_dim(0).sum() + spd.log_det().sum() + spd.inverse().sum() + 0.1 * l.solve_lower_transposed(v).sum();
    let program = loss.compile().unwrap();
    let columns: [&[f64]; 3] = [&[0.3, 1.0, -0.2], &[0.5, -1.0, 0.4], &[0.9, 0.1, -0.7]];
    let a: Vec<f64> = (0..18).map(|k| (k as f64 * 0.7).sin()).collect();
    let theta = program.params([("a", a), ("v", vec![0.2, -0.1, 0.4])]).unwrap();
    let report = check::gradient(&program.bind([("x", columns.to_vec())]).unwrap(), &theta).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn what_is_not_positive_definite_is_named() {
    let g = Graph::new();
    let a = g.param_with("a", &[2, 2]);
    let program = a.log_det().compile().unwrap();
    let data = program.bind::<&str, &[f64]>([]).unwrap();
    let theta = program.params([("a", vec![1.0, 2.0, 2.0, 1.0])]).unwrap();
    assert!(data.value(&theta).unwrap().is_nan());
    let found = data.find_non_finite(&theta).unwrap().unwrap();
    assert_eq!((found.node.as_str(), found.inputs[0].1), ("pivot", -3.0));
    let bad = g.param_with("m", &[2, 3]).cholesky().sum() + a.solve_lower(g.param_with("u", &[3])).sum() + g.param("s").log_det();
    let Err(Error::Expression(mistakes)) = bad.compile() else { panic!("three mistakes") };
    let text: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 3, "{text:#?}");
    assert!(text[0].contains("cholesky") && text[1].contains("[2, 2] and [3]") && text[2].contains("has no axis"), "{text:#?}");
}
