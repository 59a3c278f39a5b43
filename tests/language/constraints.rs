//! Constraints: what they promise holds, the log-Jacobian is that of a numerical Jacobian, the inverse comes back.

use nalgebra::DMatrix;
use tapeless::constraint::{self, Constrained};
use tapeless::prelude::*;
use tapeless::{Function, check, compile_function};

type Make = for<'g> fn(Expr<'g>) -> Constrained<'g>;

struct Transform {
    f: Function,
}

impl Transform {
    fn new(make: Make, dims: &[usize]) -> Self {
        let g = Graph::new();
        let c = make(g.param_with("raw", dims));
        Transform { f: compile_function(&[("value", c.value), ("log_jacobian", c.log_jacobian)], &Options::new()).unwrap() }
    }

    fn at(&self, raw: &[f64]) -> (Vec<f64>, f64) {
        let out = self.f.bind::<&str, &[f64]>([]).unwrap().eval(&self.f.params([("raw", raw)]).unwrap()).unwrap();
        assert_eq!(out[1].numbers.len(), 1, "the log-Jacobian is one number");
        (out[0].numbers.clone(), out[1].numbers[0])
    }

    /// `ln |det|` of the free entries' derivatives by the parameter, by a central difference of fourth order.
    fn numerical(&self, raw: &[f64], free: &[usize]) -> f64 {
        let n = raw.len();
        assert_eq!(free.len(), n);
        let jacobian = DMatrix::from_fn(n, n, |i, j| {
            let shifted = |h: f64| {
                let mut r = raw.to_vec();
                r[j] += h;
                self.at(&r).0[free[i]]
            };
            let h = 2e-3;
            (8.0 * (shifted(h) - shifted(-h)) - (shifted(2.0 * h) - shifted(-2.0 * h))) / (12.0 * h)
        });
        jacobian.determinant().abs().ln()
    }
}

/// The log-Jacobian at these points, against differences.
fn jacobian(make: Make, dims: &[usize], free: &[usize], points: &[&[f64]]) -> Vec<Vec<f64>> {
    let t = Transform::new(make, dims);
    // As a term of an objective, it has a gradient.
    let g = Graph::new();
    let c = make(g.param_with("raw", dims));
    let program = (c.log_jacobian + (c.value * c.value).sum()).compile().unwrap();
    points
        .iter()
        .map(|raw| {
            let (value, got) = t.at(raw);
            let want = t.numerical(raw, free);
            assert!((got - want).abs() < 1e-8 * (1.0 + want.abs()), "{raw:?}: {got} {want}");
            let report = check::gradient(&program.bind::<&str, &[f64]>([]).unwrap(), &program.params([("raw", *raw)]).unwrap()).unwrap();
            assert!(!report.failed(), "{report}");
            value
        })
        .collect()
}

fn close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs())), "{got:?} {want:?}");
}

#[test]
fn positive() {
    for make in [constraint::positive as Make, constraint::positive_exp] {
        for value in jacobian(make, &[3], &[0, 1, 2], &[&[0.3, -2.0, 4.0], &[0.0, 0.0, 9.0]]) {
            assert!(value.iter().all(|x| *x > 0.0));
        }
    }
    let t = Transform::new(constraint::positive, &[]);
    for raw in [-700.0, -40.0, -1.0, 0.0, 2.5, 50.0, 1e6] {
        let x = t.at(&[raw]).0[0];
        assert!(x > 0.0);
        close(&[constraint::positive_inverse(x).unwrap()], &[raw], 1e-14);
    }
    close(&[constraint::positive_inverse(1e-12).unwrap()], &[-27.63102111592805], 1e-15); // ln(expm1(1e-12)), mpmath
    assert_eq!(constraint::positive_exp_inverse(2.0).unwrap(), 2f64.ln());
    for x in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(constraint::positive_inverse(x).unwrap_err().to_string().contains("positive: "));
        assert!(constraint::positive_exp_inverse(x).is_err());
    }
}

#[test]
fn interval() {
    for value in jacobian(|raw| constraint::interval(raw, -1.0, 4.0), &[2], &[0, 1], &[&[0.3, -2.0], &[5.0, 0.0]]) {
        assert!(value.iter().all(|x| -1.0 < *x && *x < 4.0));
    }
    let t = Transform::new(|raw| constraint::interval(raw, -1.0, 4.0), &[]);
    for raw in [-20.0, -1.0, 0.0, 3.0, 12.0] {
        close(&[constraint::interval_inverse(t.at(&[raw]).0[0], -1.0, 4.0).unwrap()], &[raw], 1e-8);
    }
    for x in [-1.0, 4.0, 7.0, f64::NAN] {
        assert!(constraint::interval_inverse(x, -1.0, 4.0).unwrap_err().to_string().contains("is not between -1 and 4"));
    }
    // Limits for each entry; but not more limits than entries.
    let g = Graph::new();
    assert_eq!(constraint::interval(g.param_with("v", &[2]), g.array(&[2], &[0.0, 1.0]), 2.0).value.shape().to_string(), "[2]");
    let bad = constraint::interval(g.param("s"), g.array(&[2], &[0.0, 1.0]), 2.0);
    assert!((bad.value.sum() + bad.log_jacobian).compile().unwrap_err().to_string().contains("interval: shapes [] and [2] and [] do not fit"));
}

#[test]
fn simplex() {
    for value in jacobian(constraint::simplex, &[3], &[0, 1, 2], &[&[0.3, -2.0, 1.0], &[0.0, 0.0, 0.0], &[3.0, 4.0, -1.0]]) {
        assert!(value.len() == 4 && value.iter().all(|x| *x > 0.0) && (value.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }
    let t = Transform::new(constraint::simplex, &[3]);
    assert_eq!(t.at(&[0.0; 3]).0, [0.25; 4]);
    let x = [0.1, 0.2, 0.3, 0.4];
    close(&t.at(&constraint::simplex_inverse(&x).unwrap()).0, &x, 1e-15);
    for x in [&[0.5, 0.4][..], &[1.0], &[1.5, -0.5], &[f64::NAN, 1.0], &[]] {
        assert!(constraint::simplex_inverse(x).is_err(), "{x:?}");
    }
    // A simplex for every sample.
    let g = Graph::new();
    let c = constraint::simplex(g.data_with("raw", &[2]));
    assert_eq!((c.value.shape().to_string(), c.log_jacobian.shape().to_string()), ("[samples, 3]".into(), "[samples]".into()));
    assert!(constraint::simplex(g.param("s")).value.sum().compile().unwrap_err().to_string().contains("simplex: shapes []"));
}

#[test]
fn ordered() {
    for value in jacobian(constraint::ordered, &[3], &[0, 1, 2], &[&[0.3, -2.0, 1.0], &[-5.0, 0.0, 0.0]]) {
        assert!(value[0] < value[1] && value[1] < value[2]);
    }
    let t = Transform::new(constraint::ordered, &[3]);
    let x = [-2.0, -1.5, 7.0];
    close(&t.at(&constraint::ordered_inverse(&x).unwrap()).0, &x, 1e-15);
    assert_eq!(Transform::new(constraint::ordered, &[1]).at(&[3.0]), (vec![3.0], 0.0));
    assert!(constraint::ordered_inverse(&[1.0, 1.0]).is_err() && constraint::ordered_inverse(&[]).is_err());
}

#[test]
fn correlation_cholesky() {
    let d = 3;
    for value in jacobian(constraint::correlation_cholesky, &[3], &[3, 6, 7], &[&[0.3, -1.0, 0.6], &[0.0, 0.0, 0.0], &[2.0, 0.1, -1.5]]) {
        let l = DMatrix::from_row_slice(d, d, &value);
        let c = &l * l.transpose();
        assert!((0..d).all(|i| (c[(i, i)] - 1.0).abs() < 1e-15 && l[(i, i)] > 0.0 && (i + 1..d).all(|j| l[(i, j)] == 0.0)));
    }
    let t = Transform::new(constraint::correlation_cholesky, &[3]);
    for raw in [[0.3, -1.0, 0.6], [9.0, -7.0, 3.0]] {
        let l = DMatrix::from_row_slice(d, d, &t.at(&raw).0);
        close(&constraint::correlation_cholesky_inverse(&l).unwrap(), &raw, 1e-12);
    }
    // Of two: the correlation is the tanh.
    close(&Transform::new(constraint::correlation_cholesky, &[1]).at(&[0.7]).0[2..3], &[0.7f64.tanh()], 1e-15);
    let mut l = DMatrix::identity(2, 2);
    l[(1, 0)] = 0.5;
    assert!(constraint::correlation_cholesky_inverse(&l).unwrap_err().to_string().contains("row 1 has length 1.118"));
    let g = Graph::new();
    assert!(constraint::correlation_cholesky(g.param_with("two", &[2])).value.sum().compile().unwrap_err().to_string().contains("[2]"));
}

#[test]
fn covariance_cholesky() {
    for value in jacobian(constraint::covariance_cholesky, &[6], &[0, 3, 4, 6, 7, 8], &[&[0.3, -1.0, 0.6, 0.2, -0.4, 1.0]]) {
        let l = DMatrix::from_row_slice(3, 3, &value);
        assert!((0..3).all(|i| l[(i, i)] > 0.0 && (i + 1..3).all(|j| l[(i, j)] == 0.0)));
    }
    let covariance = DMatrix::from_row_slice(2, 2, &[4.0, 1.0, 1.0, 2.0]);
    let l = covariance.clone().cholesky().unwrap().l();
    let raw = constraint::covariance_cholesky_inverse(&l).unwrap();
    let back = DMatrix::from_row_slice(2, 2, &Transform::new(constraint::covariance_cholesky, &[3]).at(&raw).0);
    assert!((&back * back.transpose() - covariance).norm() < 1e-15);
    assert!(
        constraint::covariance_cholesky_inverse(&DMatrix::from_row_slice(2, 2, &[1.0, 0.5, 0.0, 1.0])).unwrap_err().to_string().contains("entry (0, 1) is 0.5")
    );
    assert!(constraint::covariance_cholesky_inverse(&DMatrix::from_row_slice(1, 1, &[-1.0])).is_err());
    assert!(constraint::covariance_cholesky_inverse(&DMatrix::zeros(2, 3)).is_err());
}
