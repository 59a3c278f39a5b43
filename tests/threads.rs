//! One program and one binding, used from many threads at once, give the bits they give alone; nothing deadlocks, everything may be shared.

use rayon::prelude::*;
use std::sync::{Barrier, mpsc};
use std::time::Duration;
use tapeless::prelude::*;
use tapeless::{Array, BoundFunction, Error, compile_function};

const N: usize = 100_003;
const THREADS: usize = 16;

fn loss(g: &Graph) -> Expr<'_> {
    let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    let r = (a * x).tanh() - b * x;
    // Two passes: the second needs the first one's mean.
    (r - r.mean()).square().mean() + (a * x).exp().sum().ln()
}

fn samples() -> Vec<f64> {
    (0..N).map(|i| (i as f64 * 0.618).sin()).collect()
}

type Bits = Vec<u64>;

fn evaluate(bound: &Bound<'_>, k: usize) -> Bits {
    let theta = bound.program().params([("a", 0.1 + k as f64 * 0.07), ("b", 1.0 - k as f64 * 0.11)]).unwrap();
    let (value, grad) = bound.value_and_grad(&theta).unwrap();
    let alone = bound.value(&theta).unwrap();
    [value, alone].iter().chain(grad.values()).map(|x| x.to_bits()).collect()
}

#[test]
fn sixteen_threads_agree_with_one() {
    let g = Graph::new();
    let p = loss(&g).compile().unwrap();
    let x = samples();
    let expected: Vec<Bits> = {
        let fresh = p.bind([("x", &x)]).unwrap();
        (0..THREADS).map(|k| evaluate(&fresh, k)).collect()
    };
    // Not used before, so that the first evaluations race for what is made once.
    let bound = p.bind([("x", &x)]).unwrap();
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for k in 0..THREADS {
            let (bound, start, expected) = (&bound, &start, &expected);
            scope.spawn(move || {
                start.wait();
                for round in 0..6 {
                    let k = (k + round) % THREADS;
                    assert_eq!(evaluate(bound, k), expected[k], "thread's point {k}, round {round}");
                }
            });
        }
    });
}

#[test]
fn functions_too() {
    let g = Graph::new();
    let (x, a) = (g.data("x"), g.param("a"));
    let f = compile_function::<f64>(&[("curve", (a * x).sin()), ("total", (a * x).sum())], &Options::new()).unwrap();
    let x = samples();
    let bound = f.bind([("x", &x)]).unwrap();
    let eval = |k: usize| bound.eval(&f.params([("a", k as f64)]).unwrap()).unwrap();
    let expected: Vec<Vec<Array<f64>>> = (0..THREADS).map(eval).collect();
    std::thread::scope(|scope| {
        for k in 0..THREADS {
            let (eval, expected) = (&eval, &expected);
            scope.spawn(move || (0..4).for_each(|round| assert_eq!(eval((k + round) % THREADS), expected[(k + round) % THREADS])));
        }
    });
}

#[test]
fn nested_in_pools() {
    let g = Graph::new();
    let p = loss(&g).compile().unwrap();
    let x = samples();
    let expected = evaluate(&p.bind([("x", &x)]).unwrap(), 3);
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let bound = p.bind([("x", &x)]).unwrap();
        // From inside a pool whose threads are all busy with evaluations themselves: work is stolen, not waited for.
        let found: Vec<Bits> = pool.install(|| (0..24).into_par_iter().map(|_| evaluate(&bound, 3)).collect());
        assert!(found.iter().all(|f| *f == expected), "{threads} threads");
        // And a binding made inside.
        assert_eq!(pool.install(|| evaluate(&p.bind([("x", &x)]).unwrap(), 3)), expected);
    }
}

/// Fails after two minutes instead of waiting for ever.
fn in_time(what: &str, work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: a deadlock"),
        // It has ended, or has failed: that is told.
        _ => worker.join().unwrap_or_else(|failure| std::panic::resume_unwind(failure)),
    }
}

/// Programs of each way through a pass: sums over samples in two passes; sums by groups, which run in waves; sums relative to a maximum.
fn programs() -> [Program; 3] {
    let (plain, g, h) = (Graph::new(), Graph::new(), Graph::new());
    let (x, site) = (g.data("x"), g.labels("site"));
    let effects = (x - g.param("a") * g.param_with("e", &[7]).gather(site)).square().sum();
    let grouped = (g.param("b") * x * 1e-3).sum_by(site, 7).square().sum();
    let relative = (h.param("a") * h.data("x") * 300.0 + h.param("b")).log_sum_exp_samples();
    [loss(&plain), effects + grouped, relative].map(|loss| loss.compile().unwrap())
}

/// The samples that thread `k` binds: others than any other thread's, and more of them.
fn samples_of(k: usize) -> (Vec<f64>, Vec<u8>) {
    let n = 60_000 + 7001 * k;
    ((0..n).map(|i| ((i + 31 * k) as f64 * 0.618).sin()).collect(), (0..n).map(|i| ((i * i + k) % 7) as u8).collect())
}

fn bind<'d>(program: &Program, (x, site): &'d (Vec<f64>, Vec<u8>)) -> Bound<'d> {
    let both = [("x", Columns::from(x)), ("site", Columns::from(site))];
    let takes = |name: &str| program.formula_dag().data().iter().any(|input| input.name == name);
    program.bind(both.into_iter().filter(|(name, _)| takes(name))).unwrap()
}

fn evaluate_at(bound: &Bound<'_>, k: usize) -> Bits {
    let mut theta = bound.program().zeros();
    theta.values_mut().iter_mut().enumerate().for_each(|(j, v)| *v = 0.1 + 0.03 * ((j + k) % 16) as f64);
    let (value, grad) = bound.value_and_grad(&theta).unwrap();
    assert!(value.is_finite() && grad.is_finite() && grad.norm() > 0.0);
    [value, bound.value(&theta).unwrap()].iter().chain(grad.values()).map(|x| x.to_bits()).collect()
}

#[test]
fn sixteen_threads_in_pools_of_their_own_with_bindings_of_their_own() {
    in_time("sixteen pools", || {
        for (which, program) in programs().iter().enumerate() {
            let data: Vec<_> = (0..THREADS).map(samples_of).collect();
            let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let expected: Vec<Bits> = alone.install(|| (0..THREADS).map(|k| evaluate_at(&bind(program, &data[k]), k)).collect());
            let start = Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for k in 0..THREADS {
                    let (data, expected, start) = (&data, &expected, &start);
                    scope.spawn(move || {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(1 + k % 4).build().unwrap();
                        let bound = bind(program, &data[k]);
                        start.wait();
                        // Straight; from the pool's own threads, all of them busy with the same; from a pool within the pool.
                        let inner = rayon::ThreadPoolBuilder::new().num_threads(1 + (k + 1) % 3).build().unwrap();
                        let found = pool.install(|| {
                            let mut found = vec![evaluate_at(&bound, k)];
                            found.par_extend((0..3).into_par_iter().map(|_| evaluate_at(&bound, k)));
                            found.push(inner.install(|| evaluate_at(&bound, k)));
                            let (left, right) = rayon::join(|| evaluate_at(&bound, k), || evaluate_at(&bind(program, &data[k]), k));
                            found.extend([left, right]);
                            found
                        });
                        assert!(found.iter().all(|bits| *bits == expected[k]), "program {which}, thread {k}");
                    });
                }
            });
        }
    });
}

#[test]
fn sixteen_threads_share_a_pool_of_one() {
    in_time("a pool of one thread", || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for (which, program) in programs().iter().enumerate() {
            let data = samples_of(5);
            let expected: Vec<Bits> = (0..THREADS).map(|k| evaluate_at(&bind(program, &data), k)).collect();
            let bound = bind(program, &data);
            let start = Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for k in 0..THREADS {
                    let (pool, bound, expected, start) = (&pool, &bound, &expected, &start);
                    scope.spawn(move || {
                        start.wait();
                        // The pool's only thread holds a scope open, in which it evaluates and waits for what it has spawned there, which evaluates too.
                        let found = pool.install(|| {
                            let (sender, receiver) = mpsc::channel();
                            rayon::scope(|s| {
                                let sender = sender.clone();
                                s.spawn(move |_| sender.send(evaluate_at(bound, k)).unwrap());
                                evaluate_at(bound, k)
                            });
                            drop(sender);
                            let mut found: Vec<Bits> = receiver.iter().collect();
                            found.push(evaluate_at(bound, k));
                            found
                        });
                        assert!(found.len() == 2 && found.iter().all(|bits| *bits == expected[k]), "program {which}, thread {k}");
                    });
                }
            });
            // One caller holds the pool's thread for itself while others evaluate outside of it.
            pool.install(|| {
                std::thread::scope(|scope| {
                    let outside: Vec<_> = (0..4)
                        .map(|k| {
                            scope.spawn({
                                let bound = &bound;
                                move || evaluate_at(bound, k)
                            })
                        })
                        .collect();
                    outside.into_iter().enumerate().for_each(|(k, thread)| assert_eq!(thread.join().unwrap(), expected[k]));
                });
            });
        }
    });
}

#[test]
fn a_program_outlives_its_graph_and_moves_between_threads() {
    let p = {
        let g = Graph::new();
        loss(&g).compile().unwrap()
    };
    let x = samples();
    let expected = evaluate(&p.bind([("x", &x)]).unwrap(), 1);
    let moved = std::thread::spawn(move || {
        let x = samples();
        evaluate(&p.bind([("x", &x)]).unwrap(), 1)
    });
    assert_eq!(moved.join().unwrap(), expected);
}

#[test]
fn public_types_are_send_and_sync() {
    fn shared<T: Send + Sync>() {}
    fn owned<T: Send + Sync + 'static>() {}
    owned::<Program>();
    owned::<Program<f32>>();
    owned::<Function>();
    owned::<Params<f64>>();
    owned::<Error>();
    owned::<Options>();
    owned::<Array<f32>>();
    owned::<Shape>();
    shared::<Bound<'_>>();
    shared::<Bound<'_, f32>>();
    shared::<BoundFunction<'_>>();
    shared::<tapeless::Columns<'_, f64>>();
}
