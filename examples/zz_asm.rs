use tapeless::kernel::{build::expand, ir::PassKernels, text};
use tapeless::prelude::*;
fn show(name: &str, p: &Program<f64>, asm: bool) {
    println!("=== {name}\n{}", p.gradient_source());
    println!("{}", p.kernels());
    let plan = tapeless::runtime::plan::Plan::<f64>::new(p.dag().clone(), Backend::Interp);
    for k in plan.pass_kernels() {
        let e = PassKernels { steps: k.steps.iter().map(expand::<f64>).collect(), ..k.clone() };
        println!("{}", text::print(&e, &[]));
    }
    if asm {
        println!("{}", p.assembly());
    }
}
fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    let g = Graph::new();
    let (x, y, a, b, c) = (g.data("x"), g.data("y"), g.param("a"), g.param("b"), g.param("c"));
    let p = match which.as_str() {
        "gauss" => (-tapeless::dist::normal(a, b.softplus()).log_prob(x).sum()).compile().unwrap(),
        "exp" => (y - a * (-b * x).exp() - c).square().sum().compile().unwrap(),
        "logistic" => {
            let z = a * x + b;
            (z.softplus() - y * z).sum().compile().unwrap()
        }
        "student" => {
            let z = (x - a) / b;
            (2.5 * (z.square() / 4.0).ln_1p() + b.ln()).sum().compile().unwrap()
        }
        _ => panic!(),
    };
    show(&which, &p, true);
}
