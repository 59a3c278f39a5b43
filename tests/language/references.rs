//! Values and first derivatives against tables made with mpmath: every function of the table over its range, and reductions with extreme entries.
//! (Cholesky factors, determinants, solves and inverses: `tests/language/dense.rs`. Values of the functions at hard points: `src/kernel/math`.)

use tapeless::op::Elem;
use tapeless::prelude::*;

fn numbers(text: &str) -> Vec<f64> {
    text.split(' ').map(|n| n.parse().unwrap()).collect()
}

fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, Vec<f64>, f64, Vec<f64>)> {
    table.lines().filter(|l| !l.starts_with('#')).map(|line| {
        let [name, at, value, slopes] = line.split(';').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (name, numbers(at), value.parse().unwrap(), numbers(slopes))
    })
}

fn operation(name: &str) -> Elem {
    match name {
        "polygamma2" => Elem::Polygamma(2),
        "polygamma3" => Elem::Polygamma(3),
        _ => Elem::from_name(name, None).unwrap(),
    }
}

/// How good derivatives are: relative, and absolute where they are small differences (documented in `docs/numerics.md`).
fn tolerance(name: &str, x: f64) -> (f64, f64) {
    match name {
        // 1 - tanh^2.
        "tanh" => (1e-15, 2.3e-16),
        // 1 - x^2, good to an ulp of 1.
        "asin" | "acos" => (1e-15 + 2.3e-16 / (1.0 - x * x), 0.0),
        // exp(-x^2): an ulp of x^2.
        "erf" | "erfc" => (2e-15 + 2.3e-16 * x * x, 0.0),
        // 1 + tan^2 of a tangent good to an ulp.
        "ln_gamma" | "digamma" => (4e-15, 4e-16),
        "trigamma" | "polygamma2" | "polygamma3" => (1e-14, 0.0),
        "powf" => (4e-15, 0.0),
        _ => (2e-15, 0.0),
    }
}

#[test]
fn derivatives_of_every_function_over_its_range() {
    let mut seen = std::collections::HashSet::new();
    let mut worst: Vec<(f64, String)> = Vec::new();
    for (name, at, value, slopes) in rows(include_str!("../tables/derivatives.txt")) {
        seen.insert(name);
        let op = operation(name);
        // In the loop over samples and at the call stage: the same recipes.
        for per_sample in [false, true] {
            let g = Graph::new();
            let names = &["x", "z"][..op.arity()];
            let operands: Vec<Expr> = names.iter().map(|n| if per_sample { g.data(n) } else { g.param(n) }).collect();
            let y = g.apply(op, &operands);
            let by = y.sum().gradient(&operands).unwrap();
            let results: Vec<(&str, Expr)> = std::iter::once(("y", y)).chain(["dx", "dz"].into_iter().zip(by)).collect();
            let f = tapeless::compile_function::<f64>(&results, &Options::new()).unwrap();
            let columns: Vec<Vec<f64>> = at.iter().map(|x| vec![*x; 3]).collect();
            let bound = f.bind(names.iter().zip(&columns).filter(|_| per_sample)).unwrap();
            let theta = f.params(names.iter().zip(at.iter().copied()).filter(|_| !per_sample)).unwrap();
            let out = bound.eval(&theta).unwrap();
            let found = out[0].numbers[0];
            let (relative, absolute) = tolerance(name, at[0]);
            // Within the documented bounds of the recipes.
            assert!(
                (found - value).abs() <= 4e-15 * value.abs() + 4e-16 * f64::from(matches!(op, Elem::LnGamma | Elem::Digamma)),
                "{name} at {at:?}: {found} {value}"
            );
            for (k, want) in slopes.iter().enumerate() {
                let found = out[k + 1].numbers[0];
                let off = (found - want).abs();
                let allowed = relative * want.abs() + absolute + f64::MIN_POSITIVE;
                worst.push((off / want.abs(), format!("{name} at {at:?} by {k}: {found} {want}")));
                assert!(off <= allowed || found == *want, "{name} at {at:?} by {k}: {found} where {want}, off by {:e} relative", off / want.abs());
            }
        }
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (off, what) in worst.iter().take(12) {
        println!("{off:.1e} {what}");
    }
    // What isn't in the table has a derivative that is one of these functions, or none.
    let trivial = "neg abs sign square powi add sub mul div min max floor ceil round relu and or not lt le gt ge eq ne select pivot polygamma";
    for op in Elem::ALL {
        assert!(seen.contains(op.name()) || trivial.split(' ').any(|n| n == op.name()), "{op:?} has no reference");
    }
}

/// Every way to write a formula of a vector.
fn ways<'g>(name: &str, v: Expr<'g>, at: &[f64]) -> Vec<Expr<'g>> {
    let (g, n) = (v.graph(), at.len());
    let top = (0..n).fold(0, |b, k| if at[k] > at[b] { k } else { b });
    match name {
        // Over a dimension, over everything, and written naively.
        "log_sum_exp" => vec![v.log_sum_exp_dim(-1), v.log_sum_exp(), v.exp().sum_dim(-1).ln()],
        "softmax" => vec![v.softmax(-1).index(&[top])],
        "log_softmax" => vec![v.log_softmax(-1).index(&[top]), v.softmax(-1).ln().index(&[top])],
        "var" => vec![v.var(), v.var_dim(0)],
        "std" => vec![v.std(), v.std_dim(0)],
        "norm" => vec![v.norm(), v.norm_dim(-1)],
        "quadratic_form" => {
            let entries: Vec<f64> = (0..n * n).map(|k| 1.0 / (k / n + 2 * (k % n) + 1) as f64).collect();
            vec![g.array(&[n, n], &entries).quadratic_form(v)]
        }
        other => panic!("{other}"),
    }
}

#[test]
fn reductions_with_extreme_entries() {
    let mut seen = std::collections::HashSet::new();
    for (name, at, value, slopes) in rows(include_str!("../tables/formulas.txt")) {
        seen.insert(name);
        let n = at.len();
        let many = ways(name, Graph::new().param_with("v", &[n]), &at).len();
        for way in 0..many {
            for per_sample in [false, true] {
                let g = Graph::new();
                let v = if per_sample { g.data_with("v", &[n]) } else { g.param_with("v", &[n]) };
                let y = ways(name, v, &at)[way];
                // Over samples there would be more entries than these.
                if per_sample && y.shape() == Shape::default() {
                    continue;
                }
                let by = y.sum().gradient(&[v]).unwrap()[0];
                let f = tapeless::compile_function::<f64>(&[("y", y), ("by", by)], &Options::new()).unwrap();
                let columns: Vec<Vec<f64>> = at.iter().map(|x| vec![*x; 2]).collect();
                let bound = if per_sample {
                    f.bind([("v", columns.iter().map(Vec::as_slice).collect::<Vec<_>>())]).unwrap()
                } else {
                    f.bind::<&str, Vec<&[f64]>>([]).unwrap()
                };
                let theta = if per_sample { f.zeros() } else { f.params([("v", at.clone())]).unwrap() };
                let out = bound.eval(&theta).unwrap();
                let step = if per_sample { 2 } else { 1 };
                // Differences of entries near 1e8 are exact to an ulp of those.
                let spread = at.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
                let rounding = if matches!(name, "var" | "std") { 1e-15 * spread * slopes.iter().fold(0.0f64, |m, x| m.max(x.abs())) } else { 0.0 };
                let found = out[0].numbers[0];
                assert!(found == value || (found - value).abs() <= 1e-14 * value.abs() + rounding, "{name} of {at:?}, way {way}: {found} {value}");
                for (k, want) in slopes.iter().enumerate() {
                    let found = out[1].numbers[k * step];
                    let size = slopes.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                    assert!(
                        (found - want).abs() <= 1e-14 * want.abs() + 4e-16 * size.min(1.0) + rounding / spread * 4.0,
                        "{name} of {at:?}, way {way}, by {k}: {found} {want}"
                    );
                }
            }
        }
    }
    assert_eq!(seen.len(), 7);
}
