//! A formula 100,000 operations deep builds, differentiates, compiles, evaluates, prints and drops on a small stack, in time and memory
//! in proportion to its length.

use std::time::{Duration, Instant};
use tapeless::Options;
use tapeless::prelude::*;

const DEPTH: usize = 100_000;
const STACK: usize = 512 << 10;

/// Runs on a thread with a small stack.
fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(f).unwrap().join().unwrap();
}

/// One round of twelve operations, one upon the other, that keep a number between -1 and 1 and don't simplify away; `k` differs each time.
fn round<'g>(t: Expr<'g>, x: Expr<'g>, w: Expr<'g>, k: usize) -> Expr<'g> {
    let t = (t * (1.0 + k as f64 * 1e-9) + w).sin();
    let t = (t - x * 0.3).tanh();
    let t = (t.square() + 1.0).sqrt() * 0.5;
    (-t.square()).exp()
}

/// The same on a number and its derivative by `w`; `d` is that of the step so far.
fn round_by_hand((t, d): (f64, f64), x: (f64, f64), (w, dw): (f64, f64), k: usize) -> (f64, f64) {
    let c = 1.0 + k as f64 * 1e-9;
    let u = t * c + w;
    let (t, d) = (u.sin(), u.cos() * (d * c + dw));
    let t_new = (t - x.0 * 0.3).tanh();
    let d = (1.0 - t_new * t_new) * (d - x.1 * 0.3);
    let t = t_new;
    let root = (t * t + 1.0).sqrt();
    let (t, d) = (root * 0.5, 0.5 * t * d / root);
    let e = (-t * t).exp();
    (e, -2.0 * t * d * e)
}

const ROUNDS: usize = DEPTH.div_ceil(12);

fn peak_memory_mib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib >> 10)
}

/// What depends on what: the chain may belong to the loop, to the call or to the binding.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Loop,
    Call,
    Bind,
}

fn check(place: Where) {
    let mut clock = Instant::now();
    let mut lap = |what: &str| {
        let t = clock.elapsed();
        println!("{place:?} {what:<12} {:>8.1} ms, peak {:?} MiB", t.as_secs_f64() * 1e3, peak_memory_mib());
        clock = Instant::now();
        t
    };
    let g = Graph::new();
    let (x, w) = (g.data("x"), g.param("w"));
    // The operands of a round, and what the end of the chain meets.
    let (a, b) = match place {
        Where::Loop => (x, w),
        Where::Call => (w * 0.5, w),
        Where::Bind => (x, x * 0.25),
    };
    let mut t = a;
    for k in 0..ROUNDS {
        t = round(t, a, b, k);
    }
    let loss = match place {
        Where::Loop => t.sum(),
        _ => (t * w * x).sum(),
    };
    lap("build");
    assert!(g.dag().nodes().len() > DEPTH);
    let p = loss.compile().unwrap();
    lap("compile");
    let x: Vec<f64> = (0..37).map(|i| (i as f64 * 0.618).sin()).collect();
    let w = 0.4;
    let bound = p.bind([("x", &x)]).unwrap();
    let theta = p.params([("w", w)]).unwrap();
    let (value, grad) = bound.value_and_grad(&theta).unwrap();
    lap("first call");
    assert_eq!(bound.value_and_grad(&theta).unwrap(), (value, grad.clone()));
    lap("second call");
    assert_eq!(bound.find_non_finite(&theta).unwrap(), None);
    lap("trace");

    // The same by hand: value and derivative together.
    let (mut v, mut d) = (0.0, 0.0);
    for &x in &x {
        let (a, b) = match place {
            Where::Loop => ((x, 0.0), (w, 1.0)),
            Where::Call => ((w * 0.5, 0.5), (w, 1.0)),
            Where::Bind => ((x, 0.0), (x * 0.25, 0.0)),
        };
        let (t, dt) = (0..ROUNDS).fold(a, |t, k| round_by_hand(t, a, b, k));
        if place == Where::Loop {
            v += t;
            d += dt;
        } else {
            v += t * w * x;
            d += (dt * w + t) * x;
        }
    }
    lap("by hand");
    assert!((value - v).abs() <= 1e-11 * v.abs(), "{value} against {v}");
    assert!((grad.values()[0] - d).abs() <= 1e-10 * d.abs(), "{} against {d}", grad.values()[0]);

    // Every text there is, and back.
    let formula = p.formula();
    assert!(formula.lines().count() > 100 && formula.ends_with('\n'));
    let (source, report, schedule, kernels) = (p.gradient_source(), p.report(), p.schedule(), p.kernels());
    assert!(source.len() > formula.len() && !report.is_empty() && schedule.len() > DEPTH && !kernels.is_empty());
    assert!(p.graph_dot().len() > DEPTH && !format!("{p:?}{g:?}{loss:?}").is_empty());
    lap("print");
    let text = p.graph_text();
    let back = tapeless::graph::text::parse(&text).unwrap();
    assert_eq!(tapeless::graph::text::print(&back), text);
    lap("parse");
    drop((p, bound, back, g));
    lap("drop");
}

#[test]
fn a_hundred_thousand_operations_deep() {
    for place in [Where::Loop, Where::Call, Where::Bind] {
        let start = Instant::now();
        on_a_small_stack(move || check(place));
        assert!(start.elapsed() < Duration::from_secs(60), "{place:?} took {:?}: something is not linear", start.elapsed());
    }
    if let Some(peak) = peak_memory_mib() {
        assert!(peak < 2048, "{peak} MiB at the peak");
    }
}

#[test]
fn without_the_simplifier_and_with_two_gradients() {
    on_a_small_stack(|| {
        let g = Graph::new();
        let (x, w) = (g.data("x"), g.param("w"));
        let t = (0..ROUNDS / 10).fold(x, |t, k| round(t, x, w, k));
        let loss = t.sum();
        let p = Options::new().without_simplifier().compile(loss).unwrap();
        let samples = [0.1, -0.5, 0.9];
        let by_program = p.bind([("x", &samples)]).unwrap().value_and_grad(&p.params([("w", 0.4)]).unwrap()).unwrap().1.scalar("w").unwrap();
        // The gradient as an expression, differentiated again.
        let slope = loss.gradient(&[w]).unwrap()[0];
        let curvature = slope.gradient(&[w]).unwrap()[0];
        let f = tapeless::compile_function::<f64>(&[("slope", slope), ("curvature", curvature)], &Options::new()).unwrap();
        let at = |w: f64| {
            let out = f.bind([("x", &samples)]).unwrap().eval(&f.params([("w", w)]).unwrap()).unwrap();
            (out[0].numbers[0], out[1].numbers[0])
        };
        let (slope, curvature) = at(0.4);
        assert!((slope - by_program).abs() <= 1e-12 * slope.abs(), "{slope} against {by_program}");
        let h = 1e-5;
        let difference = (at(0.4 + h).0 - at(0.4 - h).0) / (2.0 * h);
        assert!((curvature - difference).abs() <= 1e-7 * (1.0 + curvature.abs()), "{curvature} against {difference}");
    });
}
