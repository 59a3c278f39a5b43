//! The tutorials' models: a mean in a hundred dimensions written in three ways, logistic regression, training and validation, shapes and graphs.

use nalgebra::{DMatrix, DVector};
use rand::{SeedableRng, rngs::StdRng};
use std::f64::consts::TAU;
use std::ops::ControlFlow::Continue;
use tapeless::data::{Frame, Scaling};
use tapeless::dist::{bernoulli_logit, multivariate_normal_isotropic, normal, uniform};
use tapeless::fit::{EarlyStopping, Stop};
use tapeless::graph::{Op, dot, text};
use tapeless::layer::Linear;
use tapeless::loss::{cross_entropy, log_loss, log_loss_signed, mse};
use tapeless::prelude::*;
use tapeless::sample::Sample;
use tapeless::{Real, Result, check, compile};

const D: usize = 100;

/// The same likelihood by the density of each dimension, the squared norm of each sample, and the norm of the matrix.
fn three_ways<'g>(x: Expr<'g>, mu: Expr<'g>, variance: f64) -> [Expr<'g>; 3] {
    let (n, d) = (x.graph().count(), D as f64);
    let constant = d / 2.0 * (TAU.ln() + variance.ln());
    [
        -normal(mu, variance.sqrt()).log_prob(x).sum() / n,
        constant + 0.5 / variance * (x - mu).square().sum_dim(-1).mean(),
        constant + 0.5 / variance * (x - mu).norm().square() / n,
    ]
}

fn cloud(n: usize, d: usize) -> Result<DMatrix<f64>> {
    let g = Graph::new();
    multivariate_normal_isotropic(g.array(&[d], &vec![0.0; d]), 1.0).sample_matrix(n, &mut StdRng::seed_from_u64(1))
}

#[test]
fn three_ways_to_write_a_loss_are_one_kernel() -> Result<()> {
    let samples = cloud(500, D)?;
    let (mut kernels, mut values, mut passes) = (Vec::new(), Vec::new(), Vec::new());
    for way in 0..3 {
        let g = Graph::new();
        let program = three_ways(g.data_with("x", &[D]), g.param_with("mu", &[D]), 1.0)[way].compile()?;
        let data = program.bind([("x", &samples)])?;
        let (value, grad) = data.value_and_grad(&program.params([("mu", vec![0.3; D])])?)?;
        kernels.push(program.kernels());
        values.push((value, grad.values().to_vec()));
        passes.push(program.passes().call);
    }
    assert!(kernels[0] == kernels[1] && kernels[1] == kernels[2], "{}\n{}\n{}", kernels[0], kernels[1], kernels[2]);
    assert!(kernels[0].contains("sub v0, v1") && !kernels[0].contains("sqrt") && !kernels[0].contains("const"), "{}", kernels[0]);
    assert_eq!(passes, [1, 1, 1]);
    for (value, grad) in &values {
        assert!((value - values[0].0).abs() < 1e-13 * value && grad.iter().zip(&values[0].1).all(|(a, b)| (a - b).abs() < 1e-15));
    }
    // 100 / 2 ln(2 pi) + |x - mu|^2 / 2 n, term by term.
    let by_hand = 50.0 * TAU.ln() + samples.iter().map(|x| (x - 0.3).powi(2)).sum::<f64>() / 1000.0;
    assert!((values[0].0 - by_hand).abs() < 1e-12 * by_hand, "{} {by_hand}", values[0].0);
    Ok(())
}

/// At the samples' own mean nothing is left of the norm, and its derivative is no 0 / 0.
#[test]
fn the_norm_of_nothing_has_a_gradient() -> Result<()> {
    let g = Graph::new();
    let program = three_ways(g.data_with("x", &[D]), g.param_with("mu", &[D]), 1.0)[2].compile()?;
    let samples = DMatrix::from_element(3, D, 0.25);
    let (value, grad) = program.bind([("x", &samples)])?.value_and_grad(&program.params([("mu", vec![0.25; D])])?)?;
    assert!((value - 50.0 * TAU.ln()).abs() < 1e-13 && grad.values().iter().all(|d| *d == 0.0), "{value} {grad}");
    Ok(())
}

fn descent_in_100_dimensions<T: Real + nalgebra::Scalar>(rounding: f64) -> Result<()> {
    let samples = cloud(500, D)?;
    let mean: DVector<f64> = samples.row_mean().transpose();
    let samples = samples.map(T::from_f64);
    let g = Graph::new();
    let start = uniform(g.constant(0.0), 1.0).sample(D, &mut StdRng::seed_from_u64(2))?;
    for way in 0..3 {
        let g = Graph::new();
        let program: Program<T> = compile(three_ways(g.data_with("x", &[D]), g.param_with("mu", &[D]), 1.0)[way], &Options::new())?;
        let data = program.bind([("x", &samples)])?;
        let mut theta = program.params([("mu", start.clone())])?;
        let gap = |theta: &Params<T>| (DVector::from_iterator(D, theta.values().iter().map(|x| x.to_f64())) - &mean).norm();
        let (mut before, mut shrunk, mut losses, mut norms) = (None, Vec::new(), Vec::new(), Vec::new());
        let mut training = Training::new(&data, Sgd::new(0.2)).steps(30).observe(|p| {
            let now = gap(p.theta);
            shrunk.extend(before.map(|b: f64| now / b));
            before = Some(now);
            losses.push(p.loss.to_f64());
            norms.push(p.theta.norm());
            Continue(())
        });
        training.run(&mut theta)?;
        drop(training);
        // In f32 the last gaps are a few hundred units in the last place of the numbers that differ.
        assert!(shrunk.len() == 29 && shrunk.iter().all(|s| (s - 0.8).abs() < rounding), "{shrunk:?}");
        assert!(losses.windows(2).all(|w| w[1] < w[0]) && norms[0] > 5.0 && norms[29] < 0.6, "{losses:?} {norms:?}");
    }
    Ok(())
}

#[test]
fn the_gap_shrinks_by_the_same_factor_each_step() -> Result<()> {
    descent_in_100_dimensions::<f64>(1e-12)?;
    descent_in_100_dimensions::<f32>(2e-4)
}

fn one_sample<T: Real>(eps: f64) -> Result<()> {
    let g = Graph::new();
    let scores = g.data_with("x", &[3]).matmul(g.param_with("W", &[2, 3]).transpose());
    let program: Program<T> = compile(cross_entropy(scores, g.labels("y")).sum(), &Options::new())?;
    let w = program.params([("W", vec![4.0, 5.0, 6.0, 7.0, 8.0, 9.0])])?;
    let x = [1.0, 2.0, 3.0].map(|x| [T::from_f64(x)]);
    let x: Vec<&[T]> = x.iter().map(|c| &c[..]).collect();
    let loss = |label: u8| program.bind([("x", Columns::from(x.clone())), ("y", Columns::from(&[label]))])?.value(&w);
    let other = (50.0f64 - 32.0).exp().ln_1p();
    assert!(loss(1)?.to_f64().abs() < 1e-7, "{}", loss(1)?);
    assert!((loss(0)?.to_f64() - other).abs() < eps && (other - 18.0).abs() < 1e-7, "{}", loss(0)?);
    let outside = loss(2).unwrap_err().to_string();
    assert!(outside.contains('y') && outside.contains('2'), "{outside}");
    Ok(())
}

#[test]
fn cross_entropy_of_one_sample() -> Result<()> {
    one_sample::<f64>(1e-14)?;
    one_sample::<f32>(2e-6)
}

#[test]
fn two_class_cross_entropy_is_logistic_regression() -> Result<()> {
    let n = 1000;
    let x = cloud(n, 2)?;
    let g = Graph::new();
    let score = g.data_with("x", &[2]).dot(g.param_with("w", &[2])) + g.param("b");
    let signed = log_loss_signed(score, g.data("y")).sum().compile()?;
    let truth = signed.params([("w", vec![1.5, -2.0]), ("b", vec![0.5])])?;
    let y01 = bernoulli_logit(score).sampler_given(&truth, [("x", &x)])?.sample(n, &mut StdRng::seed_from_u64(3))?;
    let signs: Vec<f64> = y01.iter().map(|y| 2.0 * y - 1.0).collect();
    let classes: Vec<u8> = y01.iter().map(|y| *y as u8).collect();
    let h = Graph::new();
    let zero_one = log_loss(h.data_with("x", &[2]).dot(h.param_with("w", &[2])) + h.param("b"), h.data("y")).sum().compile()?;
    let k = Graph::new();
    let layer = Linear::new(&k, "scores", 2, 2);
    let two = cross_entropy(layer.apply(k.data_with("x", &[2])), k.labels("y")).sum().compile()?;
    let signed_data = signed.bind([("x", Columns::from(&x)), ("y", Columns::from(&signs))])?;
    let zero_one_data = zero_one.bind([("x", Columns::from(&x)), ("y", Columns::from(&y01))])?;
    let two_data = two.bind([("x", Columns::from(&x)), ("y", Columns::from(&classes))])?;

    for (w, b) in [([0.0, 0.0], 0.0), ([1.0, -0.5], 0.3), ([40.0, -90.0], 7.0)] {
        let at = [("w", w.to_vec()), ("b", vec![b])];
        let (value, grad) = signed_data.value_and_grad(&signed.params(at.clone())?)?;
        let (same, same_grad) = zero_one_data.value_and_grad(&zero_one.params(at)?)?;
        let (third, per_class) = two_data.value_and_grad(&two.params([("scores.weight", vec![0.0, w[0], 0.0, w[1]]), ("scores.bias", vec![0.0, b])])?)?;
        // sum (p - y) x, by hand.
        let mut by_hand = [0.0; 3];
        for i in 0..n {
            let p = 1.0 / (1.0 + (-(w[0] * x[(i, 0)] + w[1] * x[(i, 1)] + b)).exp());
            [x[(i, 0)], x[(i, 1)], 1.0].iter().zip(&mut by_hand).for_each(|(x, d)| *d += (p - y01[i]) * x);
        }
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * n as f64;
        assert!(close(value, same) && (value - third).abs() < 1e-11 * value, "{value} {same} {third}");
        assert!(grad.values().iter().zip(by_hand).all(|(a, b)| close(*a, b)), "{grad} {by_hand:?}");
        assert!(same_grad.values().iter().zip(by_hand).all(|(a, b)| close(*a, b)));
        // The class 1 has this gradient, class 0 its opposite.
        let (dw, db) = (per_class.get("scores.weight")?, per_class.get("scores.bias")?);
        assert!(close(dw[1], by_hand[0]) && close(dw[3], by_hand[1]) && close(db[1], by_hand[2]), "{per_class} {by_hand:?}");
        assert!(close(dw[0], -dw[1]) && close(dw[2], -dw[3]) && close(db[0], -db[1]));
    }

    // Both find the same minimum.
    let mut theta = signed.zeros();
    Training::new(&signed_data, Sgd::new(4e-3)).steps(1500).run(&mut theta)?;
    let mut classes = two.params(layer.init(1))?;
    Training::new(&two_data, Sgd::new(4e-3)).steps(1500).run(&mut classes)?;
    assert!(signed_data.value_and_grad(&theta)?.1.norm() < 1e-9 && check::gradient(&signed_data, &truth)?.passed());
    let (w, b) = (classes.get("scores.weight")?, classes.get("scores.bias")?);
    let differences = [w[1] - w[0], w[3] - w[2], b[1] - b[0]];
    assert!(theta.values().iter().zip(differences).all(|(a, b)| (a - b).abs() < 1e-9), "{theta} {differences:?}");
    // Within four standard errors of what the labels were drawn with: some 0.12 for 1000 samples.
    assert!(theta.values().iter().zip(truth.values()).all(|(a, b)| (a - b).abs() < 0.5), "{theta}");
    Ok(())
}

#[test]
fn a_layer_of_scores_differs_from_seed_to_seed() -> Result<()> {
    let g = Graph::new();
    let layer = Linear::new(&g, "w", 3, 2);
    let program = layer.apply(g.data_with("x", &[3])).sum().compile()?;
    assert_eq!(program.layout().to_string(), "w.weight [3, 2], w.bias [2]");
    let points: Vec<Params<f64>> = (0..20).map(|seed| program.params(layer.init(seed))).collect::<Result<_>>()?;
    for (k, a) in points.iter().enumerate() {
        assert!(a.values().iter().all(|x| x.abs() <= 1.0 / 3f64.sqrt()) && points[..k].iter().all(|b| a != b));
        assert_eq!(*a, program.params(layer.init(k as u64))?);
    }
    Ok(())
}

fn readings() -> Result<Frame> {
    let t_u = vec![35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
    let t_c = vec![0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    Frame::new([("t_u", t_u), ("t_c", t_c)])
}

/// The validation program has no adjoint: its graph is the loss as written, one sum and nothing besides, and it can't be asked for a gradient.
#[test]
fn validation_builds_and_runs_no_gradient_code() -> Result<()> {
    let g = Graph::new();
    let (t_u, t_c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    let loss = mse(w * t_u + b, t_c);
    let (both, value_only) = (loss.compile()?, Options::new().wrt([""; 0]).compile(loss)?);
    let names = |p: &Program| p.dag().outputs().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&both), names(&value_only)), (vec!["loss".into(), "d_w".into(), "d_b".into()], vec!["loss".to_string()]));
    assert_eq!(text::print(value_only.dag()), text::print(both.value_dag()));
    assert_eq!(value_only.derived_dag().live_nodes(), value_only.formula_dag().live_nodes());
    assert!(value_only.kernels().contains("1 accumulator") && both.kernels().contains("3 accumulator"), "{}", value_only.kernels());
    let readings = readings()?;
    let data = value_only.bind(readings.columns())?;
    let theta = both.params([("w", 1.0), ("b", 0.0)])?;
    assert_eq!(data.value(&theta)?, both.bind(readings.columns())?.value(&theta)?);
    assert!(data.value_and_grad_into(&theta, &mut value_only.grad_zeros()).unwrap_err().to_string().contains("value alone"));
    Ok(())
}

#[test]
fn both_losses_fall_and_training_ends_at_the_best() -> Result<()> {
    let (train, held_out) = readings()?.split(0.2, 11)?;
    assert_eq!((train.rows(), held_out.rows()), (9, 2));
    let g = Graph::new();
    let loss = mse(g.param("w") * g.data("t_u") + g.param("b"), g.data("t_c"));
    let (program, value_only) = (loss.compile()?, Options::new().wrt([""; 0]).compile(loss)?);
    let tenth = Scaling::new().column("t_u", 0.0, 10.0)?;
    let (train, held_out) = (tenth.apply(&train)?, tenth.apply(&held_out)?);
    let (data, validation) = (program.bind(train.columns())?, value_only.bind(held_out.columns())?);
    let mut theta = program.params([("w", 1.0), ("b", 0.0)])?;
    let mut rows = Vec::new();
    let mut training =
        Training::new(&data, Sgd::new(1e-2)).steps(3000).early_stopping(EarlyStopping::new(&validation).patience(u64::MAX)).observe_epochs(|e| {
            if e.epoch % 500 == 0 {
                rows.push((e.loss, e.validation.unwrap_or(f64::NAN)));
            }
            Continue(())
        });
    training.run(&mut theta)?;
    let best = training.best().map(|(loss, ..)| loss);
    drop(training);
    assert!(rows.len() == 6 && rows.windows(2).all(|w| w[1].0 < w[0].0 && w[1].1 < w[0].1), "{rows:?}");
    assert_eq!(best, Some(validation.value(&theta)?));
    // The losses by hand, at the end.
    let (w, b) = (theta.scalar("w")?, theta.scalar("b")?);
    let by_hand = held_out.points("t_u", "t_c")?.iter().map(|(u, c)| (w * u + b - c).powi(2)).sum::<f64>() / 2.0;
    assert!((validation.value(&theta)? - by_hand).abs() < 1e-13 * by_hand);
    Ok(())
}

/// A polynomial of degree 11 on 12 samples: left alone it fits them ever better and the others ever worse; a penalty, noisy copies and stopping in time
/// keep it from that.
#[test]
fn overfitting_and_what_helps() -> Result<()> {
    let (g, mut rng) = (Graph::new(), StdRng::seed_from_u64(7));
    let x = uniform(g.constant(-1.0), 1.0).sample(24, &mut rng)?;
    let none = g.constant(0.0).compile_function()?.params::<&str, f64>([])?;
    let y = normal((3.0 * g.data("x")).sin(), 0.3).sampler_given(&none, [("x", &x)])?.sample(24, &mut rng)?;
    let (train, held_out) = Frame::new([("x", x), ("y", y)])?.split(0.5, 1)?;
    let run = |samples: &Frame, penalty: f64, patience: Option<u64>| -> Result<(f64, f64, Stop)> {
        let g = Graph::new();
        let (x, y, w) = (g.data("x"), g.data("y"), g.param_with("w", &[12]));
        let error = mse((0..11).rev().fold(w.index(&[11]), |p, k| p * x + w.index(&[k])), y);
        let program = (error + penalty * w.slice(0, 1..12).square().sum()).compile()?;
        let value_only = Options::new().wrt([""; 0]).compile(error)?;
        let (data, seen, unseen) = (program.bind(samples.columns())?, value_only.bind(train.columns())?, value_only.bind(held_out.columns())?);
        let mut theta = program.zeros();
        let mut training = Training::new(&data, Adam::new(0.03)).steps(10_000).record_every(0);
        if let Some(patience) = patience {
            training = training.early_stopping(EarlyStopping::new(&unseen).every(50).patience(patience));
        }
        let reason = training.run(&mut theta)?.reason;
        Ok((seen.value(&theta)?, unseen.value(&theta)?, reason))
    };
    let noisy = train.with_noise("x", 0.1, 30, 1)?;
    let (plain, early, penalised, noise) = (run(&train, 0.0, None)?, run(&train, 0.0, Some(10))?, run(&train, 3e-3, None)?, run(&noisy, 0.0, None)?);
    assert!(plain.0 < 0.03 && plain.1 > 100.0 * plain.0, "{plain:?}");
    assert_eq!((plain.2, early.2), (Stop::Steps, Stop::EarlyStopping));
    for cure in [early, penalised, noise] {
        assert!(cure.0 > plain.0 && cure.1 < 0.1 * plain.1, "{cure:?} {plain:?}");
    }
    Ok(())
}

#[test]
fn shapes_broadcast_as_the_tutorial_prints() {
    let g = Graph::new();
    let (x, y, z, a) = (g.param("x"), g.param_with("y", &[3, 1]), g.param_with("z", &[1, 3]), g.param_with("a", &[2, 1, 1]));
    let shapes = [x, y, z, a, x * y, y * z, y * z * a].map(|e| e.shape().to_string());
    assert_eq!(shapes, ["[]", "[3, 1]", "[1, 3]", "[2, 1, 1]", "[3, 1]", "[3, 3]", "[2, 3, 3]"]);
    let (s, v) = (g.data("s"), g.data_with("v", &[3]));
    let shapes = [s * x, s * z, v + z, v.sum_dim(0), v.sum_samples(), v.sum()].map(|e| e.shape().to_string());
    assert_eq!(shapes, ["[samples]", "[samples, 1, 3]", "[samples, 1, 3]", "[samples]", "[3]", "[]"]);
}

/// The graph of the likelihood before and after differentiation and simplification, by its operations.
#[test]
fn the_graph_of_a_likelihood() -> Result<()> {
    let g = Graph::new();
    let (samples, mu, variance) = (g.data_with("samples", &[D]), g.param_with("mu", &[D]), g.param("variance"));
    let d = D as f64;
    let loss = d / 2.0 * TAU.ln() + d / 2.0 * variance.ln() + 0.5 / variance * (samples - mu).norm().square() / g.count();
    let program = loss.compile()?;
    let drawn = [program.formula_dag(), program.derived_dag(), program.dag()].map(dot::print);
    let edges = |text: &str| text.matches(" -> ").count();
    for (text, outputs) in drawn.iter().zip([1, 3, 3]) {
        assert!(text.starts_with("digraph") && text.contains("data samples") && text.contains("param mu") && text.contains("param variance"), "{text}");
        assert_eq!(text.matches("style=bold").count(), outputs, "{text}");
        assert!(edges(text) > 15, "{text}");
    }
    let count = |dag: &tapeless::graph::Dag, name: &str| dag.ids().filter(|id| dag.live()[id.index()] && dag.describe(*id) == name).count();
    assert_eq!(count(program.formula_dag(), "sqrt"), 1);
    assert_eq!((count(program.derived_dag(), "sqrt"), count(program.dag(), "sqrt")), (0, 0));
    assert!(program.formula_dag().live_nodes() < program.dag().live_nodes() && program.dag().live_nodes() < program.derived_dag().live_nodes());
    // One residual feeds the loss and the gradient.
    let residuals = program.dag().nodes().iter().filter(|n| n.shape.varies_over_samples() && matches!(n.op, Op::Elem(tapeless::op::Elem::Sub))).count();
    assert_eq!(residuals, 1);
    Ok(())
}
