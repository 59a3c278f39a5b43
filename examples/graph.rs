//! Shapes and graphs: how operands broadcast, and the graph of a likelihood as written, as differentiated and as simplified.
//!
//! `cargo run --release --example graph`

use std::f64::consts::TAU;
use tapeless::{Shape, plot, prelude::*};

fn main() -> tapeless::Result<()> {
    println!("Operands broadcast as in NumPy; samples are an axis of their own\n");
    let g = Graph::new();
    let (x, y, z, a) = (g.param("x"), g.param_with("y", &[3, 1]), g.param_with("z", &[1, 3]), g.param_with("a", &[2, 1, 1]));
    let (s, v, m) = (g.data("s"), g.data_with("v", &[3]), g.param_with("m", &[3, 2]));
    let shape = |e: Expr<'_>| e.shape().to_string();
    let table = [
        ("x", x),
        ("y", y),
        ("z", z),
        ("a", a),
        ("s", s),
        ("v", v),
        ("m", m),
        ("x * y", x * y),
        ("y * z", y * z),
        ("y * z * a", y * z * a),
        ("s * x", s * x),
        ("s * z", s * z),
        ("v + z", v + z),
        ("v.matmul(m)", v.matmul(m)),
        ("v.sum_dim(0)", v.sum_dim(0)),
        ("v.sum_samples()", v.sum_samples()),
        ("v.sum()", v.sum()),
    ];
    for (formula, e) in table {
        println!("  {formula:<16} {}", shape(e));
    }
    println!(
        "  y.matmul(v)      {}\n",
        (y.matmul(v)).sum().compile().map_or_else(|e| e.to_string().replace('\n', "\n                 "), |_| Shape::default().to_string())
    );

    println!("The negative log likelihood of a Gaussian mean in d dimensions, of n samples, divided by n\n");
    let g = Graph::new();
    let (samples, mu, variance) = (g.data_with("samples", &[100]), g.param_with("mu", &[100]), g.param("variance"));
    let d = 100.0;
    let neg_log_likelihood = d / 2.0 * TAU.ln() + d / 2.0 * variance.ln() + 0.5 / variance * (samples - mu).norm().square() / g.count();
    let program = neg_log_likelihood.compile()?;
    println!("as written\n{}\nsimplified, with its gradient\n{}", indent(&program.formula()), indent(&program.gradient_source()));

    let stages = [("written", program.formula_dag()), ("differentiated", program.derived_dag()), ("simplified", program.dag())];
    for (name, dag) in stages {
        let files = plot::graph(dag, format!("target/plots/graph_{name}"))?;
        let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        println!("{name:<15} {:>3} nodes   Drawn: {}", dag.live_nodes(), files.join(", "));
    }
    println!("\n(The SVG is made where the program `dot` of Graphviz is installed.)\n");
    println!("What the simplifier did:\n{}", indent(&program.statistics().to_string()));
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("    {l}\n")).collect()
}
