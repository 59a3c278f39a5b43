use std::time::Instant;
use tapeless::prelude::*;
fn main() {
    let g = Graph::new();
    let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    let loss = -tapeless::dist::normal(a, b.softplus()).log_prob(x).sum();
    let xs: Vec<f64> = (0..200000).map(|i| (i as f64 * 0.618).fract()).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for b in [Backend::Interp, Backend::Avx2, Backend::Avx512] {
        let p = Options::new().backend(b).compile(loss).unwrap();
        let theta = p.params([("a", 0.3), ("b", 0.2)]).unwrap();
        print!("{:8}", b.name());
        for n in [1usize, 11, 32, 64, 4096, 8192, 131072] {
            let d = p.bind([("x", &xs[..n])]).unwrap();
            let mut gr = p.grad_zeros();
            let mut best = f64::MAX;
            pool.install(|| {
                for _ in 0..200 {
                    let calls = 200000 / n.max(100);
                    let t = Instant::now();
                    for _ in 0..calls {
                        std::hint::black_box(d.value_and_grad_into(std::hint::black_box(&theta), &mut gr).unwrap());
                    }
                    best = best.min(t.elapsed().as_nanos() as f64 / calls as f64);
                }
            });
            print!(" {n}: {best:.0} ns ");
        }
        println!();
    }
}
