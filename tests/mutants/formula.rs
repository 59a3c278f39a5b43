//! One operation inside a loss: the formula that seeded errors are looked for in.

use tapeless::op::Elem;
use tapeless::prelude::*;

/// The sum over samples of one operation, its operands squashed into the ranges of the table, as a function of two parameters.
pub fn formula(g: &Graph, op: Elem) -> Expr<'_> {
    use tapeless::op::Num;
    let (x, w, v) = (g.data("x"), g.param("w"), g.param("v"));
    let inside = |k: usize, (lo, hi): (f64, f64)| {
        let inner = if k.is_multiple_of(2) { w * x + 0.1 * k as f64 } else { v * x - w };
        lo + (hi - lo) * (0.05 + 0.9 * inner.sigmoid())
    };
    let args: Vec<Expr> = op.ranges().iter().enumerate().map(|(k, r)| inside(k, *r)).collect();
    let y = match op {
        Elem::Powi(n) => args[0].powi(n),
        Elem::Select => args[0].select(args[1], args[2]),
        _ => g.apply(op, &args),
    };
    // Steps have no derivative of their own; something beside them keeps the gradient from being zero.
    (Num::square(y) + 0.3 * y + 0.1 * w * v).sum()
}

/// Operations whose derivative is zero everywhere have no pullback to get wrong.
pub fn is_step(op: Elem) -> bool {
    let inside: Vec<f64> = op.ranges().iter().map(|(lo, hi)| lo + 0.63 * (hi - lo)).collect();
    op.pullback(&inside, op.value(&inside), 1.0).iter().all(|d| *d == 0.0)
}
