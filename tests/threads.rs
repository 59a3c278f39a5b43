//! One program and one binding, used from many threads at once, give the bits they give alone; nothing deadlocks, everything may be shared.

use std::sync::Barrier;
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
        let found: Vec<Bits> = pool.install(|| {
            use rayon::prelude::*;
            (0..24).into_par_iter().map(|_| evaluate(&bound, 3)).collect()
        });
        assert!(found.iter().all(|f| *f == expected), "{threads} threads");
        // And a binding made inside.
        assert_eq!(pool.install(|| evaluate(&p.bind([("x", &x)]).unwrap(), 3)), expected);
    }
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
