use tapeless::prelude::*;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let reps: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let g = Graph::new();
    let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    let loss = -tapeless::dist::normal(a, b.softplus()).log_prob(x).sum();
    let xs: Vec<f64> = (0..200000).map(|i| (i as f64 * 0.618).fract()).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let p = loss.compile().unwrap();
    let theta = p.params([("a", 0.3), ("b", 0.2)]).unwrap();
    let d = p.bind([("x", &xs[..n])]).unwrap();
    let mut gr = p.grad_zeros();
    pool.install(|| {
        for _ in 0..reps {
            std::hint::black_box(d.value_and_grad_into(std::hint::black_box(&theta), &mut gr).unwrap());
        }
    });
}
