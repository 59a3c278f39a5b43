//! A row's pullback as a graph of single numbers, and every way to break it in one place: another operation, an operand dropped or exchanged,
//! another constant, a contribution scaled, negated, dropped or given to the wrong operand.

use tapeless::graph::{Args, Dag, NodeId, Op};
use tapeless::op::Elem;
use tapeless::prelude::*;
use tapeless::shape::Shape;

/// One broken pullback.
pub struct Mutant {
    /// What was done.
    pub what: String,
    /// Parameters are the operands, the answer and the adjoint; outputs what goes to each operand.
    pub pullback: Dag,
    /// A contribution is off by the least factor that must be caught.
    pub seeded: bool,
}

/// The relative error that must be caught, whatever the operation.
const LEAST: f64 = 1.0001;

/// The pullback as its row has it.
pub fn pullback(op: Elem) -> Dag {
    let graph = Graph::new();
    let names = ["x0", "x1", "x2"];
    let operands: Vec<Expr> = names[..op.arity()].iter().map(|n| graph.param(n)).collect();
    let (y, d) = (graph.param("y"), graph.param("d"));
    let out: Vec<NodeId> = op.pullback(&operands, y, d).into_iter().map(|e| e.id()).collect();
    let mut dag = graph.into_dag();
    for (k, id) in out.into_iter().enumerate() {
        dag.output(&format!("to {k}"), id);
    }
    dag
}

/// What a node becomes.
enum Change {
    /// Another operation of the same operands, or of exchanged ones.
    Other(Op, Args),
    /// One of its operands.
    Operand(usize),
}

/// Operations that are easily mistaken for this one; any of as many operands will do.
fn mistaken(op: Elem) -> Vec<Elem> {
    use Elem::*;
    match op {
        Add => vec![Sub, Mul],
        Sub => vec![Add, Div],
        Mul => vec![Add, Div],
        Div => vec![Mul, Sub],
        Sin => vec![Cos],
        Cos => vec![Sin],
        Sinh => vec![Cosh],
        Cosh => vec![Sinh],
        Sqrt => vec![Square],
        Square => vec![Sqrt, Powi(3)],
        Exp => vec![ExpM1, Exp2],
        Ln => vec![Log2, Ln1p],
        Sigmoid => vec![Tanh, Softplus],
        Sign => vec![Abs],
        Digamma => vec![Trigamma, LnGamma],
        Trigamma => vec![Digamma],
        Polygamma(n) => vec![Polygamma(n + 1), Polygamma(n - 1)],
        Powi(n) => vec![Powi(n + 1), Powi(n - 1)],
        Powf => vec![Mul],
        Lt => vec![Ge, Le],
        Le => vec![Gt, Lt],
        Gt => vec![Le, Ge],
        Ge => vec![Lt, Gt],
        Eq => vec![Ne],
        Ne => vec![Eq],
        _ => Vec::new(),
    }
}

fn changes(dag: &Dag, id: NodeId) -> Vec<(String, Change)> {
    let node = dag.node(id);
    let mut out = Vec::new();
    match node.op {
        Op::Const(c) => {
            let c = c.value();
            let others = if c == 0.0 { vec![1.0] } else { vec![LEAST * c, -c, c + 1.0] };
            out.extend(others.into_iter().map(|to| (format!("constant {c} is {to}"), Change::Other(Op::Const(to.into()), Args::new()))));
        }
        Op::Elem(op) => {
            out.extend(mistaken(op).into_iter().map(|e| (format!("{} is {}", op.name(), e.name()), Change::Other(Op::Elem(e), node.args.clone()))));
            out.extend((0..op.arity()).map(|k| (format!("{} is its operand {k}", op.name()), Change::Operand(k))));
            for (a, b) in [(0, 1), (1, 2)] {
                if b < op.arity() && !op.commutes() && node.args[a] != node.args[b] {
                    let mut args = node.args.clone();
                    args.swap(a, b);
                    out.push((format!("operands {a} and {b} of {} exchanged", op.name()), Change::Other(Op::Elem(op), args)));
                }
            }
        }
        _ => {}
    }
    out
}

/// The graph with one node changed.
fn changed(dag: &Dag, at: NodeId, change: &Change) -> Dag {
    let mut out = Dag::with_inputs_of(dag);
    let mut map: Vec<NodeId> = Vec::new();
    for id in dag.ids() {
        let node = dag.node(id);
        let moved = |args: &Args| -> Args { args.iter().map(|a| map[a.index()]).collect() };
        let made = match change {
            Change::Operand(k) if id == at => moved(&node.args)[*k],
            Change::Other(op, args) if id == at => out.push(op.clone(), moved(args), None).expect("single numbers fit"),
            _ => out.push(node.op.clone(), moved(&node.args), None).expect("single numbers fit"),
        };
        map.push(made);
    }
    for (name, id) in dag.outputs() {
        out.output(name, map[id.index()]);
    }
    out
}

/// The graph with other outputs.
fn with_outputs(dag: &Dag, make: impl FnOnce(&mut Dag, Vec<NodeId>) -> Vec<NodeId>) -> Dag {
    let mut out = Dag::with_inputs_of(dag);
    for node in dag.nodes() {
        out.push(node.op.clone(), node.args.clone(), None).expect("a copy fits");
    }
    let made = make(&mut out, dag.outputs().iter().map(|(_, id)| *id).collect());
    for (k, id) in made.into_iter().enumerate() {
        out.output(&format!("to {k}"), id);
    }
    out
}

/// Every broken version of an operation's pullback.
pub fn mutants(op: Elem) -> Vec<Mutant> {
    let right = pullback(op);
    let live = right.live();
    let mut out = Vec::new();
    for id in right.ids().filter(|id| live[id.index()]) {
        for (what, change) in changes(&right, id) {
            out.push(Mutant { what: format!("{id}: {what}"), pullback: changed(&right, id, &change), seeded: false });
        }
    }
    let is_zero = |k: usize| right.as_constant(right.outputs()[k].1) == Some(0.0);
    let arity = op.arity();
    for k in (0..arity).filter(|k| !is_zero(*k)) {
        for factor in [LEAST, 1.0 / LEAST, -1.0, 0.0] {
            let scaled = with_outputs(&right, |dag, mut outs| {
                let factor = dag.constant(factor);
                outs[k] = dag.push(Op::Elem(Elem::Mul), Args::from_slice(&[outs[k], factor]), None).expect("single numbers fit");
                outs
            });
            out.push(Mutant { what: format!("contribution {k} times {factor}"), pullback: scaled, seeded: factor > 0.0 });
        }
    }
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        if b < arity && right.outputs()[a].1 != right.outputs()[b].1 {
            let exchanged = with_outputs(&right, |_, mut outs| {
                outs.swap(a, b);
                outs
            });
            out.push(Mutant { what: format!("contributions {a} and {b} exchanged"), pullback: exchanged, seeded: false });
        }
    }
    assert!(right.outputs().iter().all(|(_, id)| *right.shape(*id) == Shape::default()));
    out
}
