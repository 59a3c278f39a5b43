//! Labels and groups: pick, one-hot, gather, sums by groups; against plain loops, differences and themselves on other threads.

use tapeless::check;
use tapeless::fit::Training;
use tapeless::prelude::*;
use tapeless::{Array, Error, Real, Result};

const GROUPS: usize = 1000;
const N: usize = 50_021;

/// A spread of numbers around 0 that fit `f32`.
fn spread(n: usize, phase: f64) -> Vec<f64> {
    (0..n).map(|i| f64::from(((i as f64 * 0.618 + phase).sin() * 3.0) as f32)).collect()
}

fn site(n: usize, groups: usize) -> Vec<u32> {
    (0..n).map(|i| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u32 % groups as u32).collect()
}

/// Random intercepts and slopes: `sum (y - a[site] - b[site] x)^2 + sum a^2`.
fn random_effects<'g>(g: &'g Graph, groups: usize) -> Expr<'g> {
    let (x, y, site) = (g.data("x"), g.data("y"), g.labels("site"));
    let effects = g.param_with("effects", &[groups, 2]).gather(site);
    let residual = y - effects.index(&[0]) - effects.index(&[1]) * x;
    residual.square().sum() + g.param_with("ridge", &[groups]).square().sum()
}

#[test]
fn random_effects_against_a_plain_loop() -> Result<()> {
    let g = Graph::new();
    let program = random_effects(&g, GROUPS).compile()?;
    assert_eq!((program.passes().call, program.value_passes().call), (1, 1));
    let (x, y, site) = (spread(N, 0.3), spread(N, 1.7), site(N, GROUPS));
    let (effects, ridge) = (spread(2 * GROUPS, 0.2), spread(GROUPS, 0.9));
    let data = program.bind([("x", Columns::from(&x)), ("y", Columns::from(&y)), ("site", Columns::from(&site))])?;
    let theta = program.params([("effects", effects.clone()), ("ridge", ridge.clone())])?;
    let (value, grad) = data.value_and_grad(&theta)?;

    let mut loss: f64 = ridge.iter().map(|a| a * a).sum();
    let mut slope = vec![0.0; 2 * GROUPS];
    for i in 0..N {
        let s = site[i] as usize;
        let r = y[i] - effects[2 * s] - effects[2 * s + 1] * x[i];
        loss += r * r;
        slope[2 * s] -= 2.0 * r;
        slope[2 * s + 1] -= 2.0 * r * x[i];
    }
    assert!((value / loss - 1.0).abs() < 1e-13, "{value} {loss}");
    for (found, expected) in grad.get("effects")?.iter().zip(&slope) {
        assert!((found - expected).abs() < 1e-11 * (1.0 + expected.abs()), "{found} {expected}");
    }
    for (found, a) in grad.get("ridge")?.iter().zip(&ridge) {
        assert_eq!(*found, 2.0 * a);
    }
    Ok(())
}

fn compile<T: Real>(loss: Expr<'_>) -> Result<Program<T>> {
    tapeless::compile(loss, &Options::new())
}

/// Value and gradient bits of the random effects model on so many threads.
fn bits<T: Real>(threads: usize, n: usize, groups: usize, compile: fn(Expr<'_>) -> Result<Program<T>>) -> Vec<u64> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let g = Graph::new();
        let program = compile(random_effects(&g, groups)).unwrap();
        let convert = |x: Vec<f64>| x.into_iter().map(T::from_f64).collect::<Vec<T>>();
        let (x, y, site) = (convert(spread(n, 0.3)), convert(spread(n, 1.7)), site(n, groups));
        let data = program.bind([("x", Columns::from(&x)), ("y", Columns::from(&y)), ("site", Columns::from(&site))]).unwrap();
        let theta = program.params([("effects", spread(2 * groups, 0.2)), ("ridge", spread(groups, 0.9))]).unwrap();
        let mut out = Vec::new();
        for _ in 0..2 {
            let (value, grad) = data.value_and_grad(&theta).unwrap();
            out.extend(std::iter::once(&value).chain(grad.values()).map(|x| x.to_f64().to_bits()));
        }
        out
    })
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    for n in [0, 1, 4095, 4096, 4097, 40_961, 200_000] {
        for groups in [1, 7, 1000] {
            let one = bits(1, n, groups, compile::<f64>);
            let single = bits(1, n, groups, compile::<f32>);
            for threads in [2, 3, 8] {
                assert_eq!(one, bits(threads, n, groups, compile::<f64>), "{n} samples, {groups} groups, {threads} threads");
                assert_eq!(single, bits(threads, n, groups, compile::<f32>), "{n} samples, {groups} groups, {threads} threads, f32");
            }
        }
    }
}

#[test]
fn sums_by_groups_lose_no_digits() -> Result<()> {
    // A million tenths in one group: a plain loop is off by 1e-12 of the sum, f32 by more than a part in ten.
    let n = 1 << 20;
    let g = Graph::new();
    let function = g.data("x").sum_by(g.labels("k"), 2).compile_function()?;
    let (x, k) = (vec![0.1; n], vec![1u8; n]);
    let out = function.bind([("x", Columns::from(&x)), ("k", Columns::from(&k))])?.eval(&function.zeros())?;
    assert_eq!(out[0].numbers, [0.0, 0.1 * n as f64]);
    let function = tapeless::compile_function::<f32>(&[("s", g.data("z").sum_by(g.labels("j"), 2))], &Options::new())?;
    let z = vec![0.1f32; n];
    let out = function.bind([("z", Columns::from(&z)), ("j", Columns::from(&k))])?.eval(&function.zeros())?;
    assert_eq!(out[0].numbers, [0.0, 0.1f32 * n as f32]);
    Ok(())
}

#[test]
fn pick_and_one_hot_against_a_plain_loop() -> Result<()> {
    let (n, k) = (1003, 5);
    let logits: Vec<Vec<f64>> = (0..k).map(|c| spread(n, c as f64)).collect();
    let label = site(n, k);
    let expected: Vec<f64> = (0..n).map(|i| logits[label[i] as usize][i]).collect();
    let g = Graph::new();
    let (z, y) = (g.data_with("z", &[k]), g.labels("y"));
    let vector = g.array(&[k], &[3.0, 1.0, 4.0, 1.0, 5.0]);
    let matrix = g.array(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let mut three = g.labels("three");
    let functions = [("pick", z.pick(y)), ("hot", y.one_hot(k)), ("constant", vector.pick(y)), ("columns", matrix.pick(three))];
    let f = tapeless::compile_function::<f64>(&functions, &Options::new())?;
    let slices: Vec<&[f64]> = logits.iter().map(Vec::as_slice).collect();
    let thirds: Vec<i64> = label.iter().map(|l| i64::from(*l) % 3).collect();
    let bound = f.bind([("z", Columns::from(slices)), ("y", Columns::from(&label)), ("three", Columns::from(&thirds))])?;
    let out: Vec<Array<f64>> = bound.eval(&f.zeros())?;
    assert_eq!(out[0].numbers, expected);
    for i in 0..n {
        for c in 0..k {
            assert_eq!(out[1].numbers[c * n + i], f64::from(u8::from(label[i] as usize == c)));
        }
        assert_eq!(out[2].numbers[i], [3.0, 1.0, 4.0, 1.0, 5.0][label[i] as usize]);
        for r in 0..2 {
            assert_eq!(out[3].numbers[r * n + i], (3 * r + thirds[i] as usize + 1) as f64);
        }
    }
    three = y;
    assert_eq!(three.number().shape().to_string(), "[samples]");
    Ok(())
}

/// Softmax regression with labels: value and gradient `sum (p_c - [y = c]) x`.
#[test]
fn cross_entropy_has_the_textbook_gradient() -> Result<()> {
    let (n, k) = (5000, 4);
    let (x, label) = (spread(n, 0.1), site(n, k));
    let g = Graph::new();
    let (w, b) = (g.param_with("w", &[k]), g.param_with("b", &[k]));
    let logits = g.data("x").reshape(&[1]) * w + b;
    let program = (-logits.log_softmax(-1).pick(g.labels("y")).sum()).compile()?;
    assert_eq!(program.passes().call, 1);
    let labels: Vec<i32> = label.iter().map(|l| *l as i32).collect();
    let data = program.bind([("x", Columns::from(&x)), ("y", Columns::from(&labels))])?;
    let (w, b) = ([0.3, -0.2, 0.5, 1.0], [0.1, 0.0, -0.4, 0.2]);
    let theta = program.params([("w", w), ("b", b)])?;
    let (value, grad) = data.value_and_grad(&theta)?;
    let (mut loss, mut dw, mut db) = (0.0, [0.0; 4], [0.0; 4]);
    for i in 0..n {
        let z: Vec<f64> = (0..k).map(|c| w[c] * x[i] + b[c]).collect();
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        loss += total.ln() - z[label[i] as usize];
        for c in 0..k {
            let r = z[c].exp() / total - if label[i] as usize == c { 1.0 } else { 0.0 };
            dw[c] += r * x[i];
            db[c] += r;
        }
    }
    assert!((value / loss - 1.0).abs() < 1e-13);
    for c in 0..k {
        assert!((grad.get("w")?[c] - dw[c]).abs() < 1e-10 && (grad.get("b")?[c] - db[c]).abs() < 1e-10);
    }
    let report = check::gradient(&data, &theta)?;
    assert!(report.passed(), "{report}");
    Ok(())
}

/// A likelihood of persons with several rows each: the logarithm of a sum by person, in two passes.
#[test]
fn a_function_of_sums_by_groups() -> Result<()> {
    let g = Graph::new();
    let (x, person) = (g.data("x"), g.labels("person"));
    let each = (g.param("w") * x).exp().sum_by(person, 3);
    let program = each.ln().sum().compile()?;
    assert_eq!((program.passes().call, program.value_passes().call), (2, 1));
    let (xs, p) = ([0.5, -1.0, 2.0, 0.25, 1.5], [0u16, 2, 1, 2, 0]);
    let data = program.bind([("x", Columns::from(&xs)), ("person", Columns::from(&p))])?;
    let theta = program.params([("w", 0.7)])?;
    let (value, grad) = data.value_and_grad(&theta)?;
    let (mut s, mut d) = ([0.0; 3], [0.0; 3]);
    for i in 0..5 {
        let e = (0.7 * xs[i]).exp();
        s[p[i] as usize] += e;
        d[p[i] as usize] += e * xs[i];
    }
    let expected: f64 = s.iter().map(|s| s.ln()).sum();
    let slope: f64 = s.iter().zip(&d).map(|(s, d)| d / s).sum();
    assert!((value - expected).abs() < 1e-14 && (grad.scalar("w")? - slope).abs() < 1e-14);
    let report = check::gradient(&data, &theta)?;
    assert!(report.passed(), "{report}");
    Ok(())
}

#[test]
fn batches_of_labelled_samples_are_like_fresh_bindings() -> Result<()> {
    let (n, groups) = (3000, 17);
    let g = Graph::new();
    let program = random_effects(&g, groups).compile()?;
    let (x, y, s) = (spread(n, 0.3), spread(n, 1.7), site(n, groups));
    let wide: Vec<i64> = s.iter().map(|l| i64::from(*l)).collect();
    let data = program.bind([("x", Columns::from(&x)), ("y", Columns::from(&y)), ("site", Columns::from(&wide))])?;
    let theta = program.params([("effects", spread(2 * groups, 0.2)), ("ridge", spread(groups, 0.9))])?;
    let mut batch = data.batch();
    let mut grad = program.grad_zeros();
    let rows: Vec<usize> = (0..256).map(|k| (k * 997 + 13) % n).collect();
    let fresh = |rows: &[usize]| -> Result<(f64, Vec<f64>)> {
        let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|r| (x[*r], y[*r])).unzip();
        let s: Vec<u32> = rows.iter().map(|r| s[*r]).collect();
        let data = program.bind([("x", Columns::from(&x)), ("y", Columns::from(&y)), ("site", Columns::from(&s))])?;
        let (value, grad) = data.value_and_grad(&theta)?;
        Ok((value, grad.values().to_vec()))
    };
    batch.select(&rows)?;
    let value = batch.value_and_grad_into(&theta, &mut grad)?;
    assert_eq!((value, grad.values().to_vec()), fresh(&rows)?);
    batch.narrow(100..131)?;
    let value = batch.value_and_grad_into(&theta, &mut grad)?;
    assert_eq!((value, grad.values().to_vec()), fresh(&rows[100..131])?);
    batch.select_range(1000..1999)?;
    let value = batch.value_and_grad_into(&theta, &mut grad)?;
    assert_eq!((value, grad.values().to_vec()), fresh(&(1000..1999).collect::<Vec<_>>())?);
    // A training in shuffled batches finds the group means.
    let mut theta = program.zeros();
    let outcome = Training::new(&data, Adam::new(0.05)).batch_size(128).shuffle(3).epochs(40).run(&mut theta)?;
    assert!(outcome.loss < data.value(&program.zeros())?);
    Ok(())
}

#[test]
fn labels_that_do_not_fit_are_named() {
    let g = Graph::new();
    let (x, site) = (g.data("x"), g.labels("site"));
    let line = line!() + 1;
    let loss = (x * g.param_with("a", &[4]).gather(site) * g.param_with("b", &[9]).gather(site)).sum();
    let program = loss.compile().unwrap();
    let xs = [1.0, 2.0, 3.0];
    let message = |columns: Columns<'_, f64>| program.bind([("x", Columns::from(&xs)), ("site", columns)]).unwrap_err().to_string();
    let place = format!("(used at {}:{line})", file!());
    assert_eq!(message(Columns::from(&[0u32, 4, 1])), format!("label column `site`, sample 1: label 4 is not below 4 {place}"));
    assert_eq!(message(Columns::from(&[0i64, 3, -1])), format!("label column `site`, sample 2: label -1 is negative {place}"));
    assert_eq!(message(Columns::from(&[Some(0u32), None, Some(1)])), format!("label column `site`, sample 1: the label is missing {place}"));
    assert_eq!(message(Columns::from(&[0.0, 1.0, f64::NAN])), format!("label column `site`, sample 2: the label is missing {place}"));
    assert_eq!(message(Columns::from(&[0.0, 1.5, 1.0])), format!("label column `site`, sample 1: 1.5 is no whole number {place}"));
    assert_eq!(message(Columns::from(&[u64::MAX; 3])), format!("label column `site`, sample 0: label {} is not below 4 {place}", u64::MAX));
    assert!(matches!(program.bind([("x", &xs)]), Err(Error::MissingColumn { name }) if name == "site"));
    let wrong = program.bind([("x", Columns::from(&[1u32, 2, 3])), ("site", Columns::from(&[0u32, 1, 2]))]);
    assert!(matches!(wrong, Err(Error::ColumnKind { name, .. }) if name == "x"));
    let short = program.bind([("x", Columns::from(&xs)), ("site", Columns::from(&[0u32, 1]))]);
    assert!(matches!(short, Err(Error::ColumnLength { name, .. }) if name == "site"));
}

#[test]
fn mistakes_are_kept_with_their_place() {
    let g = Graph::new();
    let other = Graph::new();
    let (x, y) = (g.data("x"), g.labels("y"));
    let line = line!() + 1;
    let _ = [x.gather(y), x.pick(y), g.param("w").sum_by(y, 3), g.param_with("v", &[2]).gather(other.labels("z")), x.sum_by(y, 0), y.one_hot(0)];
    let mistakes = g.mistakes().into_iter().map(|m| m.to_string()).collect::<Vec<_>>();
    let place = format!("(at {}:{line})", file!());
    assert_eq!(
        mistakes,
        [
            format!("gather (a table without samples, labels): shapes [samples] and [samples] do not fit {place}"),
            format!("pick: [samples] has no axis -1 {place}"),
            format!("sum_by: [] has no axis samples {place}"),
            format!("gather: an operand belongs to another graph {place}"),
            format!("sum_by: no value can have shape [0] (empty, or more than 2^28 entries) {place}"),
            format!("one_hot: no value can have shape [0] (empty, or more than 2^28 entries) {place}"),
        ]
    );
}

#[test]
fn a_row_that_is_not_finite_is_found() -> Result<()> {
    let g = Graph::new();
    let (x, site) = (g.data("x"), g.labels("site"));
    let program = (x / g.param_with("a", &[3]).gather(site)).sum_by(site, 3).square().sum().compile()?;
    let data = program.bind([("x", Columns::from(&[1.0, 2.0, 3.0, 5.0])), ("site", Columns::from(&[0u32, 2, 1, 2]))])?;
    let found = data.find_non_finite(&program.params([("a", [1.0, 2.0, 0.0])])?)?.expect("a division by zero");
    assert_eq!((found.node.as_str(), found.sample, found.value), ("div", Some(1), f64::INFINITY));
    let found = data.find_non_finite(&program.params([("a", [1.0, f64::NAN, 1.0])])?)?.expect("a parameter that is no number");
    assert_eq!(found.node, "param `a`");
    Ok(())
}
