//! The logarithm of a sum of exponentials over samples, value and gradient: the naive formula as it stands (which overflows), the same made stable in one pass, and
//! shifted by hand, in two passes. One thread, best of many calls; every answer is checked.
//!
//!     cargo bench --bench log_sum

use std::time::Instant;
use tapeless::Columns;
use tapeless::prelude::*;

/// Nanoseconds a sample.
fn time(program: &Program, columns: &[&[f64]], theta: &Params<f64>, calls: usize, expected: f64) -> f64 {
    let data = program.bind([("x", Columns::from(columns.to_vec()))]).expect("the columns fit");
    let mut grad = program.grad_zeros();
    let mut best = f64::MAX;
    for _ in 0..calls {
        let start = Instant::now();
        let value = data.value_and_grad_into(theta, &mut grad).expect("it runs");
        best = best.min(start.elapsed().as_secs_f64());
        assert!((value - expected).abs() <= 1e-12 * expected.abs() && grad.is_finite(), "{value} {expected}");
    }
    best / columns[0].len() as f64 * 1e9
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    println!("  columns   samples  spread   naive ns/sample   one pass   two passes");
    pool.install(|| {
        for (d, n) in [(1, 4000), (1, 100_000), (1, 4_000_000), (10, 10_000), (10, 1_000_000), (100, 100_000)] {
            let held: Vec<Vec<f64>> = (0..d).map(|j| (0..n).map(|i| ((i * (7919 + 2 * j)) % 2003) as f64 / 1001.0 - 1.0).collect()).collect();
            let columns: Vec<&[f64]> = held.iter().map(Vec::as_slice).collect();
            let g = Graph::new();
            let (x, w) = (g.data_with("x", &[d]), g.param_with("w", &[d]));
            let z = (x * w).sum_dim(-1);
            let top = z.max_samples().detach();
            let naive = Options::new().without_simplifier().compile(z.exp().sum().ln()).expect("it compiles");
            let ours = z.exp().sum().ln().compile().expect("it compiles");
            let two = ((z - top).exp().sum().ln() + top).compile().expect("it compiles");
            assert_eq!((naive.passes().call, ours.passes().call, two.passes().call), (1, 1, 2));
            // Exponents over a few units, where a leaf's ends tell its shift, and over a few hundred, where they don't.
            for size in [1.0, 100.0] {
                let weights: Vec<f64> = (0..d).map(|_| size / (d as f64).sqrt()).collect();
                let theta = ours.params([("w", &weights[..])]).expect("it fits");
                let exponents = (0..n).map(|i| columns.iter().zip(&weights).map(|(x, w)| x[i] * w).sum::<f64>());
                let largest = exponents.clone().fold(f64::MIN, f64::max);
                let expected = largest + exponents.map(|z| (z - largest).exp()).sum::<f64>().ln();
                let calls = (20_000_000 / (n * d)).clamp(5, 1000);
                let mut best = [f64::MAX; 3];
                for _ in 0..4 {
                    for (best, program) in best.iter_mut().zip([&naive, &ours, &two]) {
                        let theta = program.params([("w", theta.get("w").expect("it is there"))]).expect("it fits");
                        *best = best.min(time(program, &columns, &theta, calls, expected));
                    }
                }
                let [naive, ours, two] = best;
                println!("{d:9} {n:9} {:7.0} {naive:17.3} {:10.2} {:12.2}", 2.0 * size, ours / naive, two / naive);
            }
        }
    });
}
