//! Distributions against mpmath (tests/distributions.txt, made by tools/distributions.py): log densities, gradients, distribution functions, moments.

use tapeless::dist::{self, Distribution};
use tapeless::prelude::*;
use tapeless::{Columns, compile_function};

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
    for line in include_str!("distributions.txt").lines() {
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

/// The distribution of this name with these parameters.
fn make<'g>(name: &str, p: &[Expr<'g>]) -> Box<dyn Distribution<'g> + 'g> {
    match name {
        "normal" => Box::new(dist::normal(p[0], p[1])),
        "log_normal" => Box::new(dist::log_normal(p[0], p[1])),
        "half_normal" => Box::new(dist::half_normal(p[0])),
        "student_t" => Box::new(dist::student_t(p[0], p[1], p[2])),
        "cauchy" => Box::new(dist::cauchy(p[0], p[1])),
        "laplace" => Box::new(dist::laplace(p[0], p[1])),
        "logistic" => Box::new(dist::logistic(p[0], p[1])),
        "exponential" => Box::new(dist::exponential(p[0])),
        "gamma" => Box::new(dist::gamma(p[0], p[1])),
        "inverse_gamma" => Box::new(dist::inverse_gamma(p[0], p[1])),
        "beta" => Box::new(dist::beta(p[0], p[1])),
        "uniform" => Box::new(dist::uniform(p[0], p[1])),
        "weibull" => Box::new(dist::weibull(p[0], p[1])),
        "bernoulli" => Box::new(dist::bernoulli(p[0])),
        "bernoulli_logit" => Box::new(dist::bernoulli_logit(p[0])),
        "binomial" => Box::new(dist::binomial(p[0], p[1])),
        "binomial_logit" => Box::new(dist::binomial_logit(p[0], p[1])),
        "poisson" => Box::new(dist::poisson(p[0])),
        "poisson_log_rate" => Box::new(dist::poisson_log_rate(p[0])),
        "geometric" => Box::new(dist::geometric(p[0])),
        "negative_binomial" => Box::new(dist::negative_binomial(p[0], p[1])),
        "negative_binomial_mean" => Box::new(dist::negative_binomial_mean(p[0], p[1])),
        _ => panic!("{name} is in the table, but not here"),
    }
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
