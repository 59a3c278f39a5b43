//! Distributions against mpmath (tests/tables/distributions.txt, made by tools/distributions.py): log densities, gradients, distribution functions, moments.

use crate::families::make;
use nalgebra::{DMatrix, DVector};
use tapeless::dist::{self, Distribution};
use tapeless::prelude::*;
use tapeless::{Columns, check, compile_function};

const EPS: f64 = f64::EPSILON;

/// A line of the table.
struct Row {
    /// `x`, then the parameters.
    args: Vec<f64>,
    log_prob: f64,
    /// The largest term of the formula.
    size: f64,
    slopes: Vec<f64>,
    slope_conditions: Vec<f64>,
    cdf: f64,
    condition: f64,
    moments: [f64; 2],
}

/// The table by distribution, in its order.
fn table() -> Vec<(String, Vec<Row>)> {
    let mut all: Vec<(String, Vec<Row>)> = Vec::new();
    for line in include_str!("../tables/distributions.txt").lines() {
        let fields: Vec<Vec<&str>> = line.split('|').map(|f| f.split_whitespace().collect()).collect();
        let number = |s: &str| s.parse::<f64>().unwrap();
        let numbers = |k: usize| fields[k].iter().map(|s| number(s)).collect::<Vec<f64>>();
        let name = fields[0][0];
        let row = Row {
            args: fields[0][1..].iter().map(|s| number(s)).collect(),
            log_prob: number(fields[1][0]),
            size: number(fields[1][1]),
            slopes: numbers(2),
            slope_conditions: numbers(3),
            cdf: number(fields[4][0]),
            condition: number(fields[4][1]),
            moments: [number(fields[5][0]), number(fields[5][1])],
        };
        if all.last().is_none_or(|(n, _)| n != name) {
            all.push((name.into(), Vec::new()));
        }
        all.last_mut().unwrap().1.push(row);
    }
    all
}

/// Equal, both infinite to one side, or off by at most `bound`.
fn close(got: f64, want: f64, bound: f64) -> bool {
    got == want || (got - want).abs() <= bound
}

#[test]
fn log_densities_gradients_distribution_functions_and_moments() {
    let mut wrong = Vec::new();
    let mut rows_seen = 0;
    for (name, rows) in table() {
        let arity = rows[0].args.len();
        let columns: Vec<Vec<f64>> = (0..arity).map(|k| rows.iter().map(|r| r.args[k]).collect()).collect();
        // Arguments as data: every row is a sample of its own.
        let g = Graph::new();
        let args: Vec<Expr> = (0..arity).map(|k| g.data(&format!("p{k}"))).collect();
        let d = make(&name, &args[1..]);
        let log_prob = d.log_prob(args[0]);
        let cdf = d.cdf(args[0]);
        let slopes = log_prob.sum().gradient(&args).unwrap();
        let mut results = vec![("log_prob", log_prob), ("mean", d.mean()), ("variance", d.variance()), ("cdf", cdf.unwrap_or(log_prob))];
        results.extend(slopes.iter().map(|s| ("slope", *s)));
        // Rows of another kind than numbers without samples: a moment that no parameter enters.
        let f = compile_function::<f64>(&results, &Options::new()).unwrap();
        let named: Vec<(String, Columns<f64>)> = columns.iter().enumerate().map(|(k, c)| (format!("p{k}"), c.into())).collect();
        let out = f.bind(named).unwrap().eval(&f.params::<&str, f64>([]).unwrap()).unwrap();
        for (i, row) in rows.iter().enumerate() {
            rows_seen += 1;
            let at = |k: usize| out[k].numbers[if out[k].rows == 1 { 0 } else { i }];
            let mut expect = |what: &str, got: f64, want: f64, bound: f64| {
                if !close(got, want, bound) {
                    wrong.push(format!("{name} {:?}: {what} {got:e}, not {want:e}: off by {:.1e}, allowed {bound:.1e}", row.args, (got - want).abs()));
                }
            };
            expect("log_prob", at(0), row.log_prob, 12.0 * EPS * row.size);
            for (k, want) in row.slopes.iter().enumerate() {
                let (got, arg) = (at(4 + k), row.args[k].abs());
                if row.log_prob == f64::NEG_INFINITY {
                    assert_eq!(got, 0.0, "{name} {:?}: gradient outside of the support", row.args);
                } else if !want.is_nan() {
                    expect(&format!("slope {k}"), got, *want, 8.0 * EPS * row.slope_conditions[k] + if arg > 0.0 { 4.0 * EPS * row.size / arg } else { 0.0 });
                }
            }
            if !row.cdf.is_nan() {
                assert!(cdf.is_some(), "{name} has a cdf in the table");
                expect("cdf", at(3), row.cdf, 6.0 * EPS * row.condition);
            }
            for (k, want) in row.moments.iter().enumerate() {
                let got = at(1 + k);
                let loss = if name == "weibull" { 3e-16 * row.args[1].powi(2) } else { 0.0 };
                if want.is_nan() {
                    assert!(got.is_nan(), "{name} {:?}: moment {got}", row.args);
                } else {
                    expect(["mean", "variance"][k], got, *want, (1e-14 + loss) * want.abs());
                }
            }
        }
    }
    assert!(rows_seen > 900, "{rows_seen}");
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Numbers of an expression without data.
fn eval(e: Expr<'_>) -> Vec<f64> {
    let f = e.compile_function().unwrap();
    f.bind::<&str, &[f64]>([]).unwrap().eval(&f.params::<&str, f64>([]).unwrap()).unwrap()[0].numbers.clone()
}

#[test]
fn gradients_by_parameters_pass_the_checker_in_one_pass() {
    for (name, rows) in table() {
        // A point in the middle, from the first set of parameters; the count of a binomial is no parameter.
        let row = &rows[3];
        let inside: Vec<f64> = rows.iter().filter(|r| r.args[1..] == row.args[1..] && r.log_prob.is_finite() && r.size < 1e3).map(|r| r.args[0]).collect();
        let g = Graph::new();
        let x = g.data("x");
        let fixed = if name.starts_with("binomial") { 1 } else { 0 };
        let p: Vec<Expr> = (1..row.args.len()).map(|k| if k <= fixed { g.constant(row.args[k]) } else { g.param(&format!("p{k}")) }).collect();
        let program = (-make(&name, &p).log_prob(x).sum()).compile().unwrap();
        assert_eq!(program.passes().call, 1, "{name}");
        let theta = program.params((1 + fixed..row.args.len()).map(|k| (format!("p{k}"), row.args[k]))).unwrap();
        let data = program.bind([("x", &inside)]).unwrap();
        let report = check::gradient(&data, &theta).unwrap();
        assert!(!report.failed() && report.components.iter().any(|c| c.verdict == check::Verdict::Passed), "{name} at {inside:?}, {theta}: {report}");
        let counts = ["binomial", "binomial_logit", "poisson", "poisson_log_rate", "negative_binomial", "negative_binomial_mean"];
        assert!(program.passes().bind == 1 || !counts.contains(&name.as_str()), "{name}: factorials are summed at binding");
    }
}

#[test]
fn in_f32() {
    let mut wrong = Vec::new();
    for (name, rows) in table() {
        // Arguments that `f32` can tell from 0, infinity and each other.
        let rows: Vec<&Row> = rows.iter().filter(|r| r.args.iter().all(|x| *x == 0.0 || (1e-12..1e12).contains(&x.abs())) && r.size < 1e12).collect();
        let single: Vec<Vec<f32>> = (0..rows[0].args.len()).map(|k| rows.iter().map(|r| r.args[k] as f32).collect()).collect();
        let double: Vec<Vec<f64>> = single.iter().map(|c| c.iter().map(|x| f64::from(*x)).collect()).collect();
        let g = Graph::new();
        let args: Vec<Expr> = (0..single.len()).map(|k| g.data(&format!("p{k}"))).collect();
        let log_prob = make(&name, &args[1..]).log_prob(args[0]);
        let f = compile_function::<f32>(&[("log_prob", log_prob)], &Options::new()).unwrap();
        let names = || (0..single.len()).map(|k| format!("p{k}"));
        let got = f.bind(names().zip(single.iter().map(Columns::from))).unwrap().eval(&f.zeros()).unwrap();
        let f = compile_function::<f64>(&[("log_prob", log_prob)], &Options::new()).unwrap();
        let want = f.bind(names().zip(double.iter().map(Columns::from))).unwrap().eval(&f.zeros()).unwrap();
        for (i, row) in rows.iter().enumerate() {
            let (got, want) = (f64::from(got[0].numbers[i]), want[0].numbers[i]);
            // The rounded arguments may change the value, and so its terms: by less than a hundredth.
            let bound = 16.0 * f64::from(f32::EPSILON) * row.size.max(want.abs()).max(1e-30);
            if want.is_finite() && !close(got, want, bound) {
                wrong.push(format!("{name} {:?}: {got:e}, not {want:e}: off by {:.1e}, allowed {bound:.1e}", row.args, (got - want).abs()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nan_stays_nan() {
    for (name, rows) in table() {
        let g = Graph::new();
        let p: Vec<Expr> = rows[3].args[1..].iter().map(|x| g.constant(*x)).collect();
        let x = g.data("x");
        let d = make(&name, &p);
        let mut results = vec![d.log_prob(x)];
        results.extend(d.cdf(x));
        for e in results {
            let f = e.compile_function().unwrap();
            let out = f.bind([("x", &[f64::NAN, 1.0])]).unwrap().eval(&f.params::<&str, f64>([]).unwrap()).unwrap();
            assert!(out[0].numbers[0].is_nan() && !out[0].numbers[1].is_nan(), "{name}: {:?}", out[0].numbers);
        }
    }
}

#[test]
fn multivariate_normal_in_its_four_forms() {
    let (d, n) = (3, 5);
    let factor = DMatrix::from_row_slice(3, 3, &[1.0, 0.0, 0.0, 0.5, 2.0, 0.0, -1.0, 0.3, 0.7]);
    let covariance = &factor * factor.transpose();
    let scales = [0.5, 2.0, 3.0];
    let row_major = |m: &DMatrix<f64>| m.transpose().iter().copied().collect::<Vec<f64>>();
    let samples = DMatrix::from_fn(n, d, |i, j| ((i * 13 + j * 5) as f64 * 0.37).sin() * 3.0);
    let loc = DVector::from_row_slice(&[0.3, -0.2, 1.0]);
    // By nalgebra: a determinant and an inverse instead of a factor.
    let expected = |c: &DMatrix<f64>| -> f64 {
        let inverse = c.clone().try_inverse().unwrap();
        let log_norm = -0.5 * (c.determinant().ln() + d as f64 * std::f64::consts::TAU.ln());
        (0..n).map(|i| samples.row(i).transpose() - &loc).map(|r| log_norm - 0.5 * (r.transpose() * &inverse * &r)[(0, 0)]).sum()
    };
    type Make = for<'g> fn(Expr<'g>, Expr<'g>) -> dist::MultivariateNormal<'g>;
    // The constructor, its parameter's dimensions and numbers, and the covariance.
    type Form = (Make, Vec<usize>, Vec<f64>, DMatrix<f64>);
    let forms: [Form; 4] = [
        (|l, c| dist::multivariate_normal(l, c), vec![3, 3], row_major(&covariance), covariance.clone()),
        (|l, c| dist::multivariate_normal_cholesky(l, c), vec![3, 3], row_major(&factor), covariance.clone()),
        (
            |l, c| dist::multivariate_normal_diagonal(l, c),
            vec![3],
            scales.to_vec(),
            DMatrix::from_diagonal(&DVector::from_iterator(3, scales.iter().map(|s| s * s))),
        ),
        (|l, c| dist::multivariate_normal_isotropic(l, c), vec![], vec![1.7], DMatrix::identity(3, 3) * 1.7 * 1.7),
    ];
    for (make, dims, numbers, full) in &forms {
        let g = Graph::new();
        let (x, l, p) = (g.data_with("x", &[d]), g.param_with("loc", &[d]), g.param_with("p", dims));
        let m = make(l, p);
        let program = m.log_prob(x).sum().compile().unwrap();
        assert_eq!(program.passes().call, 1);
        let data = program.bind([("x", Columns::from(&samples))]).unwrap();
        let theta = program.params([("loc", loc.as_slice().to_vec()), ("p", numbers.clone())]).unwrap();
        let (got, want) = (data.value(&theta).unwrap(), expected(full));
        assert!((got - want).abs() < 1e-12 * want.abs(), "{got} {want}");
        let report = check::gradient(&data, &theta).unwrap();
        // The upper triangle isn't read: its derivative is 0, and so is the difference.
        assert!(!report.failed(), "{report}");
        let f = compile_function::<f64>(&[("variance", m.variance()), ("covariance", m.covariance()), ("mean", m.mean())], &Options::new()).unwrap();
        let out = f.bind::<&str, &[f64]>([]).unwrap().eval(&f.params([("loc", loc.as_slice().to_vec()), ("p", numbers.clone())]).unwrap()).unwrap();
        for i in 0..d {
            assert!((out[0].numbers[i] - full[(i, i)]).abs() < 1e-14 && out[2].numbers[i] == loc[i]);
            for j in 0..d {
                assert!((out[1].numbers[i * d + j] - full[(i, j)]).abs() < 1e-14);
            }
        }
    }
    // Broadcasting must not make up entries: each of these would have a wrong normalisation.
    let g = Graph::new();
    let (one, two, s, x) = (g.param_with("one", &[1]), g.param_with("two", &[2]), g.param("s"), g.data_with("x", &[3]));
    for (mistaken, shapes) in [
        (dist::multivariate_normal_isotropic(one, 1.0).log_prob(x), "[1] and [samples, 3]"),
        (dist::multivariate_normal_isotropic(two, 1.0).log_prob(x), "[2] and [samples, 3]"),
        (dist::multivariate_normal_isotropic(s, 1.0).log_prob(x), "[] and []"),
        (dist::multivariate_normal_diagonal(two, one).log_prob(two), "[2] and [1]"),
        (dist::multivariate_normal(one, g.identity(2)).log_prob(two), "[1] and [2, 2]"),
        (dist::multivariate_normal_cholesky(two, g.identity(3)).log_prob(two), "[2] and [3, 3]"),
        (dist::dirichlet(one).log_prob(x), "[samples, 3] and [1]"),
    ] {
        let name = if shapes.starts_with("[samples") { "dirichlet" } else { "multivariate_normal" };
        let all = mistaken.sum().compile().unwrap_err().to_string();
        let words = format!("{name}: shapes {shapes} do not fit (at {}", file!());
        assert!(all.contains(&words), "{words}: {all}");
    }
}

#[test]
fn dirichlet_against_scipy() {
    let g = Graph::new();
    let a = g.array(&[3], &[0.5, 2.0, 3.5]);
    let d = dist::dirichlet(a);
    let at = |x: [f64; 3]| eval(d.log_prob(g.array(&[3], &x)))[0];
    // scipy.stats.dirichlet([0.5, 2, 3.5]).logpdf
    for (x, want) in [([0.2, 0.3, 0.5], 0.8820313980015224), ([1e-8, 0.25, 0.74999999], 10.118993993903779), ([0.9, 0.0999, 0.0001], -22.262603067928897)] {
        assert!((at(x) - want).abs() < 1e-12, "{x:?}: {} {want}", at(x));
    }
    assert_eq!(at([-0.1, 0.6, 0.5]), f64::NEG_INFINITY);
    assert_eq!(at([0.1, 0.6, 0.5]), f64::NEG_INFINITY);
    assert!(eval(d.mean()).iter().zip([0.5 / 6.0, 2.0 / 6.0, 3.5 / 6.0]).all(|(a, b)| (a - b).abs() < 1e-15));
    // m (1 - m) / 7
    assert!(eval(d.variance()).iter().zip([2.75 / 252.0, 8.0 / 252.0, 8.75 / 252.0]).all(|(a, b)| (a - b).abs() < 1e-15));
    let (x, p) = (g.data_with("x", &[3]), g.param_with("p", &[3]));
    let program = dist::dirichlet(p).log_prob(x).sum().compile().unwrap();
    let columns: [&[f64]; 3] = [&[0.2, 0.1], &[0.3, 0.6], &[0.5, 0.3]];
    let report = check::gradient(&program.bind([("x", columns.to_vec())]).unwrap(), &program.params([("p", vec![0.5, 2.0, 3.5])]).unwrap()).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn mixtures_of_kinds() {
    let g = Graph::new();
    let (x, logits, loc) = (g.data("x"), g.param_with("logits", &[3]), g.param("loc"));
    let inner = dist::mixture(g.array(&[2], &[0.0, 0.0]), [dist::exponential(g.constant(0.5)), dist::exponential(g.constant(2.0))]);
    let d = dist::mixture(logits, (dist::normal(loc, 1.0), dist::laplace(loc, 2.0), inner));
    let program = d.log_prob(x).sum().compile().unwrap();
    assert_eq!(program.passes().call, 1);
    let columns = [-3.0, 0.2, 1.5, 45.0];
    let data = program.bind([("x", &columns)]).unwrap();
    let theta = program.params([("logits", vec![0.1, -0.4, 0.3]), ("loc", vec![0.7])]).unwrap();
    // scipy: logsumexp of log weights and logpdfs.
    let want = -31.09860560426916;
    let got = data.value(&theta).unwrap();
    assert!((got - want).abs() < 1e-13 * want.abs(), "{got} {want}");
    let report = check::gradient(&data, &theta).unwrap();
    assert!(report.passed(), "{report}");
    let results = [("mean", d.mean()), ("variance", d.variance()), ("cdf", Distribution::cdf(&d, x).unwrap())];
    let f = compile_function::<f64>(&results, &Options::new()).unwrap();
    let out = f.bind([("x", &columns)]).unwrap().eval(&theta).unwrap();
    let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-14 * (1.0 + want.abs()), "{got} {want}");
    close(out[0].numbers[0], 0.9375485620497409);
    close(out[1].numbers[0], 3.304413430547675);
    for (got, want) in out[2].numbers.iter().zip([0.016900108234232068, 0.2843676348945851, 0.7404393751573243, 0.9999999999377158]) {
        close(*got, want);
    }
    // Where no component has any mass; weights as logarithms.
    let g = Graph::new();
    let far =
        dist::mixture_log_weights(g.array(&[2], &[0.25f64.ln(), 0.75f64.ln()]), [dist::uniform(g.constant(0.0), 1.0), dist::uniform(g.constant(0.0), 2.0)]);
    let at: Vec<f64> = [-1.0, 0.5, 1.5].iter().map(|x| eval(far.log_prob(g.constant(*x)))[0]).collect();
    assert!(at[0] == f64::NEG_INFINITY && (at[1] - 0.625f64.ln()).abs() < 1e-15 && (at[2] - 0.375f64.ln()).abs() < 1e-15, "{at:?}");
    let wrong = dist::mixture(g.param_with("logits", &[3]), [dist::normal(g.param("loc"), 1.0), dist::normal(g.param("other"), 2.0)]).log_prob(0.5).sum();
    assert!(wrong.compile().unwrap_err().to_string().contains("mixture: shapes [3] and [2] do not fit"));
}

#[test]
fn categorical() {
    let g = Graph::new();
    let (y, x, logits) = (g.labels("y"), g.data("x"), g.param_with("logits", &[3]));
    let d = dist::categorical(logits);
    let results = [
        ("label", d.log_prob(y)),
        ("number", Distribution::log_prob(&d, x)),
        ("mean", Distribution::mean(&d)),
        ("variance", Distribution::variance(&d)),
        ("probabilities", d.probabilities()),
    ];
    let f = compile_function::<f64>(&results, &Options::new()).unwrap();
    let columns = [("y", Columns::from(&[0u32, 1, 2, 2])), ("x", Columns::from(&[0.0, 1.0, 3.0, 1.5]))];
    let theta = f.params([("logits", [1.0, 3.0, 0.5])]).unwrap();
    let out = f.bind(columns).unwrap().eval(&theta).unwrap();
    // scipy.special.log_softmax([1, 3, 0.5])
    let ln_p: [f64; 3] = [-2.196734096919617, -0.19673409691961713, -2.696734096919617];
    let p: Vec<f64> = ln_p.iter().map(|l| l.exp()).collect();
    let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-15 * (1.0 + want.abs()), "{got} {want}");
    for (k, label) in [0, 1, 2, 2].into_iter().enumerate() {
        close(out[0].numbers[k], ln_p[label]);
    }
    close(out[1].numbers[0], ln_p[0]);
    close(out[1].numbers[1], ln_p[1]);
    assert_eq!(out[1].numbers[2..], [f64::NEG_INFINITY; 2]);
    let mean = p[1] + 2.0 * p[2];
    close(out[2].numbers[0], mean);
    close(out[3].numbers[0], p[1] + 4.0 * p[2] - mean * mean);
    (0..3).for_each(|k| close(out[4].numbers[k], p[k]));
    let program = (d.log_prob(y).sum() + 0.0 * x.sum()).compile().unwrap();
    assert_eq!(program.passes().call, 1);
    let columns = [("y", Columns::from(&[0u32, 1, 2, 2])), ("x", Columns::from(&[0.0; 4]))];
    let report = check::gradient(&program.bind(columns).unwrap(), &theta).unwrap();
    assert!(report.passed(), "{report}");
}
