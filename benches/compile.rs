//! Compile times: a likelihood of five parameters, and a graph of a thousand nodes; the whole of it, and the native kernels alone.

use criterion::{Criterion, criterion_group, criterion_main};
use tapeless::backend;
use tapeless::prelude::*;
use tapeless::runtime::plan::Plan;

/// A robust regression: Student-t residuals around a curve, scale growing with the predictor. Five parameters.
fn likelihood(g: &Graph) -> Expr<'_> {
    let (x, y) = (g.data("x"), g.data("y"));
    let (a, b, c, s0, s1) = (g.param("a"), g.param("b"), g.param("c"), g.param("s0"), g.param("s1"));
    let scale = (s0 + s1 * x).softplus();
    let z = (y - (a + b * x + c * x.square())) / scale;
    (2.5 * (z.square() / 4.0).ln_1p() + scale.ln()).sum()
}

/// A chain of a thousand operations that no rule removes.
fn chain(g: &Graph) -> Expr<'_> {
    let (mut x, w) = (g.data("x"), g.param("w"));
    for k in 0..500 {
        x = if k % 2 == 0 { (x * w).sin() } else { (x + w).tanh() };
    }
    x.sum()
}

fn check(program: &Program, columns: &[(&str, &[f64])], theta: &Params<f64>) {
    let data = program.bind(columns.iter().copied()).expect("fitting columns");
    let report = tapeless::check::gradient(&data, theta).expect("a gradient");
    assert!(!report.failed(), "{report}");
}

/// The machine code of a program's passes: from kernels to executable pages.
fn native(c: &mut Criterion, name: &str, program: &Program<f64>) {
    let plan = Plan::<f64>::new(program.dag().clone(), Backend::Interp);
    for backend in Backend::available().into_iter().filter(|b| *b != Backend::Interp) {
        let make = || plan.pass_kernels().map(|pass| backend::prepare::<f64>(backend, pass)).collect::<Vec<_>>();
        for made in make() {
            assert!(made.describe().starts_with(backend.name()), "{}", made.describe());
        }
        c.bench_function(&format!("native kernels, {name}, {}", backend.name()), |b| b.iter(make));
    }
}

fn compile(c: &mut Criterion) {
    let g = Graph::new();
    let loss = likelihood(&g);
    let program = loss.compile().expect("a sound formula");
    let theta = program.params([("a", 0.1), ("b", 0.9), ("c", 0.2), ("s0", 0.3), ("s1", 0.4)]).expect("all parameters");
    check(&program, &[("x", &[0.5, 1.0, 2.0]), ("y", &[1.0, 1.5, 2.5])], &theta);
    c.bench_function("compile, 5 parameters", |b| b.iter(|| loss.compile()));
    native(c, "5 parameters", &program);
    c.bench_function("build and compile, 5 parameters", |b| b.iter(|| likelihood(&Graph::new()).compile()));

    let g = Graph::new();
    let loss = chain(&g);
    let program = loss.compile().expect("a sound formula");
    check(&program, &[("x", &[0.5, 1.0, 2.0])], &program.params([("w", 0.9)]).expect("the parameter"));
    c.bench_function("compile, 1000 nodes", |b| b.iter(|| loss.compile()));
    native(c, "1000 nodes", &program);
}

criterion_group!(benches, compile);
criterion_main!(benches);
