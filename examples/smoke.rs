use tapeless::prelude::*;
fn main() -> tapeless::Result<()> {
    let t_c = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    let t_u = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
    let g = Graph::new();
    let (tu, tc, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    let loss = (w * tu + b - tc).square().mean();
    let program = loss.compile()?;
    println!("{}\n{}\n{}\n{}\n{}", program.formula(), program.gradient_source(), program.report(), program.schedule(), program.kernels());
    let data = program.bind([("t_u", &t_u), ("t_c", &t_c)])?;
    let theta = program.params([("w", 1.0), ("b", 0.0)])?;
    println!("{:?}", data.value_and_grad(&theta)?);
    println!("{:?}", data.value(&theta)?);
    let mut grad = program.grad_zeros();
    let t = std::time::Instant::now();
    for _ in 0..1_000_000 { data.value_and_grad_into(&theta, &mut grad)?; }
    println!("{} ns", t.elapsed().as_nanos() as f64 / 1e6);
    let g = Graph::new();
    let (x, loc, raw) = (g.data("x"), g.param("loc"), g.param("raw"));
    let s = raw.softplus();
    let loss = (0.5 * ((x - loc) / s).square() + s.ln() + 0.9189385).sum();
    let t = std::time::Instant::now();
    let program = loss.compile()?;
    println!("compile {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let program = loss.compile()?;
    println!("compile {:?}", t.elapsed());
    println!("{}\n{}\n{}\n{}", program.gradient_source(), program.report(), program.schedule(), program.kernels());
    let x: Vec<f64> = (0..10_000_000).map(|i| ((i as f64 * 0.618).fract() - 0.5) * 4.0).collect();
    for n in [1000, 10_000, 100_000, 10_000_000] {
        let data = program.bind([("x", &x[..n])])?;
        let theta = program.params([("loc", 0.3), ("raw", 0.2)])?;
        let mut grad = program.grad_zeros();
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut best = f64::MAX;
            pool.install(|| for _ in 0..20 { let t = std::time::Instant::now(); data.value_and_grad_into(&theta, &mut grad).unwrap(); best = best.min(t.elapsed().as_secs_f64()); });
            println!("n={n} threads={threads} {:.3} us {:.3} ns/sample {:?}", best * 1e6, best * 1e9 / n as f64, grad.values());
        }
    }
    Ok(())
}
