//! Losses: by closed forms and by mpmath (tools/losses.py), reductions, weights, labels that aren't any.

use tapeless::dist;
use tapeless::loss::*;
use tapeless::prelude::*;
use tapeless::{Array, check};

/// An expression of columns `a`, `b` and `w`.
fn eval(build: impl for<'g> Fn(Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>, a: &[f64], b: &[f64], w: &[f64]) -> Array<f64> {
    let g = Graph::new();
    let f = build(g.data("a"), g.data("b"), g.data("w")).compile_function().unwrap();
    f.bind([("a", a), ("b", b), ("w", w)]).unwrap().eval(&f.params::<&str, f64>([]).unwrap()).unwrap().remove(0)
}

fn constant(build: impl for<'g> Fn(&'g Graph) -> Expr<'g>) -> f64 {
    let g = Graph::new();
    let f = build(&g).compile_function().unwrap();
    let out = f.bind::<&str, &[f64]>([]).unwrap().eval(&f.params::<&str, f64>([]).unwrap()).unwrap().remove(0);
    assert_eq!(out.numbers.len(), 1);
    out.numbers[0]
}

#[track_caller]
fn close(got: f64, want: f64) {
    assert!(got == want || (got - want).abs() <= 4e-15 * want.abs(), "{got:e} {want:e}");
}

const A: [f64; 4] = [1.0, -2.0, 0.5, 10.0];
const B: [f64; 4] = [1.5, -2.0, 3.5, 4.0];
const W: [f64; 4] = [1.0, 0.5, 2.0, 0.0];

#[test]
fn of_numbers() {
    // Residuals -0.5, 0, -3, 6.
    assert_eq!(eval(|a, b, _| squared_error(a, b), &A, &B, &W).numbers, [0.25, 0.0, 9.0, 36.0]);
    assert_eq!(eval(|a, b, _| absolute_error(a, b), &A, &B, &W).numbers, [0.5, 0.0, 3.0, 6.0]);
    // delta 3: r^2 / 2 up to it, 3 (|r| - 1.5) beyond.
    assert_eq!(eval(|a, b, _| huber(a, b, 3.0), &A, &B, &W).numbers, [0.125, 0.0, 4.5, 13.5]);
    assert_eq!(eval(|a, b, _| mse(a, b), &A, &B, &W).numbers, [45.25 / 4.0]);
    assert_eq!(eval(|a, b, _| mae(a, b), &A, &B, &W).numbers, [9.5 / 4.0]);
    assert_eq!(eval(|a, _, _| mse(a, 1.0), &A, &B, &W).numbers, [(9.0 + 0.25 + 81.0) / 4.0]);
}

#[test]
fn reductions_and_weights() {
    assert_eq!(eval(|a, b, w| weighted_sum(squared_error(a, b), w), &A, &B, &W).numbers, [0.25 + 18.0]);
    assert_eq!(eval(|a, b, w| weighted_mean(squared_error(a, b), w), &A, &B, &W).numbers, [18.25 / 3.5]);
    // A weight for all, without samples: the plain mean.
    assert_eq!(eval(|a, b, _| weighted_mean(squared_error(a, b), 3.0), &A, &B, &W).numbers, [45.25 / 4.0]);
    // Two losses a sample, one weight: each counts for both.
    let g = Graph::new();
    let (a, w) = (g.data_with("a", &[2]), g.data_with("w", &[1]));
    let program = weighted_mean(a, w).compile().unwrap();
    let columns: [&[f64]; 2] = [&[1.0, 2.0], &[3.0, 4.0]];
    let data = program.bind([("a", columns.to_vec()), ("w", vec![&[1.0, 3.0][..]])]).unwrap();
    assert_eq!(data.value(&program.zeros()).unwrap(), (4.0 + 18.0) / 8.0);
    assert_eq!(program.passes().call, 0, "of data alone, computed at binding");
    assert!(eval(|a, _, w| weighted_mean(a, 0.0 * w), &A, &B, &W).numbers[0].is_nan());
}

#[test]
fn of_labels() {
    // softplus by mpmath; the label turns the sign.
    let z = [-745.0, -40.0, 0.0, 1.5, 40.0, 800.0];
    let want = [5e-324, 4.248354255291589e-18, std::f64::consts::LN_2, 1.7014132779827524, 40.0, 800.0];
    let flipped: Vec<f64> = z.iter().map(|z| -z).collect();
    let label = |y: f64| [y; 6];
    for (scores, y01, y11) in [(&z[..], 0.0, -1.0), (&flipped, 1.0, 1.0)] {
        let (a, b) =
            (eval(|z, y, _| log_loss(z, y), scores, &label(y01), &label(0.0)), eval(|z, y, _| log_loss_signed(z, y), scores, &label(y11), &label(0.0)));
        for ((a, b), want) in a.numbers.iter().zip(&b.numbers).zip(want) {
            close(*a, want);
            close(*b, want);
        }
    }
    let soft = eval(|z, p, _| soft_log_loss(z, p), &[1.5, -40.0], &[0.3, 0.0], &[0.0; 2]).numbers;
    close(soft[0], 1.2514132779827524);
    close(soft[1], want[1]);
    // What isn't a label makes the loss NaN, and the report names it.
    assert!(eval(|z, y, _| log_loss(z, y), &[1.0; 4], &[0.5, -1.0, 2.0, f64::NAN], &W).numbers.iter().all(|l| l.is_nan()));
    assert!(eval(|z, y, _| log_loss_signed(z, y), &[1.0; 4], &[0.0, 0.5, -2.0, f64::NAN], &W).numbers.iter().all(|l| l.is_nan()));
    let g = Graph::new();
    let program = log_loss(g.param("w") * g.data("x"), g.data("y")).sum().compile().unwrap();
    let data = program.bind([("x", &[1.0, 1.0]), ("y", &[1.0, -1.0])]).unwrap();
    let found = data.find_non_finite(&program.params([("w", 1.0)]).unwrap()).unwrap().unwrap();
    assert_eq!(found.sample, Some(1), "{found}");
    assert!(found.node.contains("select") && found.place.is_some_and(|p| p.file.ends_with("losses.rs")), "{found}");
}

#[test]
fn of_classes() {
    // Logits (2, -1, 0.5) for each of three labels, by scipy.special.log_softmax.
    let g = Graph::new();
    let (x, y, weight) = (g.data_with("x", &[3]), g.labels("y"), g.array(&[3], &[1.0, 2.0, 0.5]));
    let each = cross_entropy(x, y).compile_function().unwrap();
    let columns: [&[f64]; 3] = [&[2.0; 3], &[-1.0; 3], &[0.5; 3]];
    let bound = || [("x", Columns::from(columns.to_vec())), ("y", Columns::from(&[0u8, 1, 2]))];
    let out = each.bind(bound()).unwrap().eval(&each.zeros()).unwrap();
    let want = [0.24131129665715703, 3.241311296657157, 1.7413112966571571];
    (0..3).for_each(|k| close(out[0].numbers[k], want[k]));
    let mean = weighted_mean(cross_entropy(x, y), weight.gather(y)).compile().unwrap();
    close(mean.bind(bound()).unwrap().value(&mean.zeros()).unwrap(), (want[0] + 2.0 * want[1] + 0.5 * want[2]) / 3.5);
    let bad = [("x", Columns::from(columns.to_vec())), ("y", Columns::from(&[0u8, 1, 3]))];
    assert!(mean.bind(bad).unwrap_err().to_string().contains('3'));
}

#[test]
fn gradients() {
    let g = Graph::new();
    let (x, y, z) = (g.data("x"), g.data("y"), g.data("z"));
    let (w, b) = (g.param("w"), g.param("b"));
    let s = w * x + b;
    let signed = 2.0 * y - 1.0;
    let loss = log_loss(s, y).mean()
        + log_loss_signed(s * 0.7, signed).sum()
        + huber(s, z, 0.8).sum()
        + mae(s, z)
        + weighted_mean(soft_log_loss(s, y * 0.8 + 0.1), x.abs());
    let program = loss.compile().unwrap();
    assert_eq!(program.passes().call, 1);
    let data = program.bind([("x", &[0.3, -1.2, 2.0]), ("y", &[0.0, 1.0, 1.0]), ("z", &[0.4, 3.0, -0.1])]).unwrap();
    let report = check::gradient(&data, &program.params([("w", 0.4), ("b", -0.2)]).unwrap()).unwrap();
    assert!(report.passed(), "{report}");
    // Logistic regression: sum of (p - y) x, however certain.
    let program = log_loss(w * x, y).sum().compile().unwrap();
    let data = program.bind([("x", &[40.0, -40.0]), ("y", &[1.0, 0.0])]).unwrap();
    let (loss, grad) = data.value_and_grad(&program.params([("w", 1.0), ("b", 0.0)]).unwrap()).unwrap();
    close(loss, 2.0 * 4.248354255291589e-18);
    close(grad.scalar("w").unwrap(), -2.0 * 40.0 * 4.248354255291589e-18);
}

#[test]
fn regressions_take_one_pass() {
    let g = Graph::new();
    let (x, y, c) = (g.data_with("x", &[5]), g.data("y"), g.labels("c"));
    let (w, b, m) = (g.param_with("w", &[5]), g.param("b"), g.param_with("m", &[5, 3]));
    let s = x.dot(w) + b;
    for (name, loss) in [
        ("log_loss", log_loss(s, y).mean()),
        ("signed", log_loss_signed(s, y).sum()),
        ("weighted", weighted_mean(log_loss(s, y), y + 1.0)),
        ("cross entropy", cross_entropy(x.matmul(m), c).mean()),
        ("huber", huber(s, y, 0.5).mean()),
        ("poisson", -dist::poisson_log_rate(s).log_prob(y).sum()),
        ("bernoulli", -dist::bernoulli_logit(s).log_prob(y).sum()),
        ("negative binomial", -dist::negative_binomial_mean(s.exp(), b.exp()).log_prob(y).sum()),
    ] {
        assert_eq!(loss.compile().unwrap().passes().call, 1, "{name}");
    }
}

#[test]
fn divergences() {
    close(constant(|g| kl(g.array(&[3], &[0.5, 0.25, 0.25]), g.array(&[3], &[0.25, 0.25, 0.5]))), 0.17328679513998633);
    assert_eq!(constant(|g| kl(g.array(&[2], &[0.5, 0.5]), g.array(&[2], &[1.0, 0.0]))), f64::INFINITY);
    close(constant(|g| kl_logits(g.array(&[3], &[1.0, 2.0, -3.0]), g.array(&[3], &[0.0, 0.5, 4.0]))), 3.053721627981885);
    close(constant(|g| soft_cross_entropy(g.array(&[3], &[0.0, 0.5, 4.0]), g.array(&[3], &[0.2, 0.5, 0.3]))), 2.59737299122649);
    close(constant(|g| dist::normal(g.constant(1.0), 2.0).kl(dist::normal(g.constant(-0.5), 3.0))), 0.2526873303303866);
    close(constant(|g| dist::laplace(g.constant(1.0), 2.0).kl(dist::laplace(g.constant(-0.5), 3.0))), 0.22037614326884085);
    close(constant(|g| dist::exponential(g.constant(2.0)).kl(dist::exponential(g.constant(0.5)))), 0.6362943611198906);
    close(constant(|g| dist::gamma(g.constant(3.0), 2.0).kl(dist::gamma(g.constant(0.5), 5.0))), 6.228033234173845);
    close(constant(|g| dist::poisson(g.constant(3.0)).kl(dist::poisson_log_rate(g.constant(5f64.ln())))), 0.467523128702028);
    close(constant(|g| dist::bernoulli(g.constant(0.3)).kl(dist::bernoulli(g.constant(0.2)))), 0.028167557595283478);
    close(constant(|g| dist::bernoulli(g.constant(1.0)).kl(dist::bernoulli_logit(g.constant(0.0)))), std::f64::consts::LN_2);
    let (p, q) = ([0.0, 1.0], [1.0, -1.0]);
    close(
        constant(|g| {
            let (l, m) = (g.array(&[2, 2], &[1.0, 0.0, 0.5, 2.0]), g.array(&[2, 2], &[2.0, 0.0, -1.0, 1.5]));
            dist::multivariate_normal_cholesky(g.array(&[2], &p), l).kl(dist::multivariate_normal_cholesky(g.array(&[2], &q), m))
        }),
        1.2665762192192755,
    );
    close(
        constant(|g| {
            let scales = g.array(&[2], &[0.5, 0.5]);
            dist::multivariate_normal_diagonal(g.array(&[2], &p), scales).kl(dist::multivariate_normal_isotropic(g.array(&[2], &q), 2.0))
        }),
        2.460088722239781,
    );
    // Of equals nothing, to the last bit where that can be had.
    assert_eq!(constant(|g| dist::normal(g.constant(1.0), 2.0).kl(dist::normal(g.constant(1.0), 2.0))), 0.0);
}
