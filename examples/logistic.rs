//! Logistic regression: the log loss of labels -1 and +1, and the same as cross entropy with a vector of weights per class.
//!
//! `cargo run --release --example logistic`

use nalgebra::DMatrix;
use rand::{SeedableRng, rngs::StdRng};
use tapeless::data::mean;
use tapeless::dist::{bernoulli_logit, multivariate_normal_isotropic};
use tapeless::layer::Linear;
use tapeless::loss::{cross_entropy, log_loss_signed};
use tapeless::plot::{Chart, sampled};
use tapeless::{check, prelude::*, sample::Sample};

const N: usize = 2000;

fn main() -> tapeless::Result<()> {
    println!("One sample, x = (1, 2, 3), scores by W = [[4, 5, 6], [7, 8, 9]]");
    let g = Graph::new();
    let scores = g.data_with("x", &[3]).matmul(g.param_with("W", &[2, 3]).transpose());
    let loss = cross_entropy(scores, g.labels("y")).sum().compile()?;
    let w = loss.params([("W", vec![4.0, 5.0, 6.0, 7.0, 8.0, 9.0])])?;
    let one = DMatrix::from_row_slice(1, 3, &[1.0, 2.0, 3.0]);
    for label in [1u8, 0] {
        let value = loss.bind([("x", Columns::from(&one)), ("y", Columns::from(&[label]))])?.value(&w)?;
        println!("  cross entropy of class {label}: {value:.10}");
    }
    println!("  ln(1 + exp(s1 - s0)) with the scores 32 and 50: {:.10}\n", (50.0f64 - 32.0).exp().ln_1p());

    println!("A layer from 3 numbers to 2 scores: its parameters, with two seeds");
    let layer = Linear::new(&Graph::new(), "scores", 3, 2).init(1);
    let other = Linear::new(&Graph::new(), "scores", 3, 2).init(2);
    for ((name, a), (_, b)) in layer.iter().zip(&other) {
        println!("  {name:<14} {a:+.4?}\n{:<16} {b:+.4?}", "");
    }
    println!("  (With its bias it is affine, not linear; `Linear::without_bias` is linear.)\n");

    // Samples in the plane, their labels drawn with log odds 1.5 x0 - 2 x1 + 0.5.
    let (g, mut rng) = (Graph::new(), StdRng::seed_from_u64(1));
    let x = multivariate_normal_isotropic(g.array(&[2], &[0.0; 2]), 1.0).sample_matrix(N, &mut rng)?;
    let score = g.data_with("x", &[2]).dot(g.param_with("w", &[2])) + g.param("b");
    let program = log_loss_signed(score, g.data("y")).mean().compile()?;
    let truth = program.params([("w", vec![1.5, -2.0]), ("b", vec![0.5])])?;
    let y01 = bernoulli_logit(score).sampler_given(&truth, [("x", &x)])?.sample(N, &mut rng)?;
    let signs: Vec<f64> = y01.iter().map(|y| 2.0 * y - 1.0).collect();
    println!("{N} samples, {:.1} % of them +1, drawn with {truth}\n{}", 100.0 * mean(&y01), program.formula());

    let data = program.bind([("x", Columns::from(&x)), ("y", Columns::from(&signs))])?;
    let mut theta = program.zeros();
    let (_, grad) = data.value_and_grad(&theta)?;
    let residual: Vec<f64> = y01.iter().map(|y| 0.5 - y).collect();
    let by_hand: Vec<f64> = x.column_iter().map(|c| c.iter().zip(&residual).map(|(x, r)| x * r).sum::<f64>() / N as f64).collect();
    println!("gradient at 0      {:+.6?}, b {:+.6}", grad.get("w")?, grad.scalar("b")?);
    println!("mean of (p - y) x  {by_hand:+.6?}, b {:+.6}\n{}\n", mean(&residual), check::gradient(&data, &theta)?);

    Training::new(&data, Sgd::new(4.0)).steps(500).run(&mut theta)?;
    println!("one vector of weights   loss {:.10}, {theta}", data.value(&theta)?);
    let h = Graph::new();
    let layer = Linear::new(&h, "scores", 2, 2);
    let two = cross_entropy(layer.apply(h.data_with("x", &[2])), h.labels("class")).mean().compile()?;
    let classes: Vec<u8> = y01.iter().map(|y| *y as u8).collect();
    let data = two.bind([("x", Columns::from(&x)), ("class", Columns::from(&classes))])?;
    let mut per_class = two.params(layer.init(1))?;
    Training::new(&data, Sgd::new(4.0)).steps(500).run(&mut per_class)?;
    let (w, b) = (per_class.get("scores.weight")?, per_class.get("scores.bias")?);
    println!(
        "one vector per class    loss {:.10}, of which only differences count: w = {:?}, b = {}",
        data.value(&per_class)?,
        [w[1] - w[0], w[3] - w[2]],
        b[1] - b[0]
    );

    // Of the samples with about the same score, how many are +1?
    let mut scored: Vec<(f64, f64)> = score.compile_function()?.bind([("x", &x)])?.eval(&theta)?.remove(0).numbers.into_iter().zip(y01).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let group = |g: &[(f64, f64)]| (g.iter().map(|p| p.0).sum::<f64>() / g.len() as f64, g.iter().map(|p| p.1).sum::<f64>() / g.len() as f64);
    Chart::new("Logistic regression: predicted and observed")
        .x("score w . x + b (log odds)")
        .y("probability of +1")
        .line("predicted", sampled(-7.0..7.0, |s| 1.0 / (1.0 + (-s).exp())))
        .points("observed, 100 samples each", scored.chunks(100).map(group))
        .save("target/plots/logistic.svg")?;
    println!("\nDrawn: target/plots/logistic.svg");
    Ok(())
}
