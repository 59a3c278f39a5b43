//! The graph as formulas a person reads: `loss = mean(square(w * t_u + b - t_c))`, shared or long parts named.

use super::{Axis, Dag, Op};
use crate::op::Elem;
use crate::shape::Shape;
use std::fmt::Write;

/// A longer formula is given a name and continued on the next line.
const LONGEST: usize = 72;

/// How tightly a printed operand binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Sum,
    Product,
    Sign,
    Atom,
}

struct Piece {
    text: String,
    binding: Binding,
}

impl Piece {
    fn atom(text: impl Into<String>) -> Self {
        Piece { text: text.into(), binding: Binding::Atom }
    }
    fn at_least(&self, binding: Binding) -> String {
        if self.binding >= binding { self.text.clone() } else { format!("({})", self.text) }
    }
}

/// One line a formula: parts used more than once first, then the outputs by their names.
pub fn print(dag: &Dag) -> String {
    let live = dag.live();
    let mut uses = vec![0usize; dag.nodes().len()];
    for id in dag.ids().filter(|id| live[id.index()]) {
        for a in &dag.node(id).args {
            uses[a.index()] += 1;
        }
    }
    let mut lines = String::new();
    let mut pieces: Vec<Option<Piece>> = Vec::with_capacity(uses.len());
    let mut names = 0;
    for id in dag.ids() {
        if !live[id.index()] {
            pieces.push(None);
            continue;
        }
        let mut piece = formula(dag, id, &pieces);
        let leaf = dag.node(id).args.is_empty();
        let shared = uses[id.index()] > 1 && !leaf;
        if shared || piece.text.len() > LONGEST {
            names += 1;
            let name = format!("t{names}");
            let _ = writeln!(lines, "{name:<8} = {}{}", piece.text, note(dag.shape(id)));
            piece = Piece::atom(name);
        }
        pieces.push(Some(piece));
    }
    for (name, id) in dag.outputs() {
        let text = pieces[id.index()].as_ref().map_or("", |p| p.text.as_str());
        let _ = writeln!(lines, "{name:<8} = {text}{}", note(dag.shape(*id)));
    }
    lines
}

/// What a line says of a shape that isn't one number.
fn note(shape: &Shape) -> String {
    if *shape == Shape::default() { String::new() } else { format!("    # {shape}") }
}

fn formula(dag: &Dag, id: super::NodeId, pieces: &[Option<Piece>]) -> Piece {
    let node = dag.node(id);
    let arg = |k: usize| pieces[node.args[k].index()].as_ref().expect("operands of a live node are live");
    let infix =
        |sign: &str, binding: Binding, right: Binding| Piece { text: format!("{} {sign} {}", arg(0).at_least(binding), arg(1).at_least(right)), binding };
    match &node.op {
        Op::Const(c) => {
            let v = c.value();
            Piece {
                text: if v.fract() == 0.0 && v.abs() < 1e15 { format!("{v}") } else { format!("{v:?}") },
                binding: if v < 0.0 { Binding::Sign } else { Binding::Atom },
            }
        }
        Op::Data(k) => Piece::atom(&dag.data()[*k as usize].name),
        Op::Param(k) => Piece::atom(&dag.params()[*k as usize].name),
        Op::Count => Piece::atom("count"),
        Op::Elem(Elem::Add) => infix("+", Binding::Sum, Binding::Sum),
        Op::Elem(Elem::Sub) => infix("-", Binding::Sum, Binding::Product),
        Op::Elem(Elem::Mul) => infix("*", Binding::Product, Binding::Product),
        Op::Elem(Elem::Div) => infix("/", Binding::Product, Binding::Sign),
        Op::Elem(Elem::Neg) => Piece { text: format!("-{}", arg(0).at_least(Binding::Atom)), binding: Binding::Sign },
        Op::Elem(e) => {
            let mut text = format!("{}(", e.name());
            for k in 0..node.args.len() {
                let _ = write!(text, "{}{}", if k == 0 { "" } else { ", " }, arg(k).text);
            }
            if let Some(n) = e.attribute() {
                let _ = write!(text, ", {n}");
            }
            text.push(')');
            Piece::atom(text)
        }
        Op::Reduce(fold, Axis::Samples) => Piece::atom(format!("{}({})", fold.name(), arg(0).text)),
        Op::Reduce(fold, Axis::Dim(k)) => Piece::atom(format!("{}_dim({}, {k} from the right)", fold.name(), arg(0).text)),
        Op::Dense(d) => {
            let list: Vec<&str> = (0..node.args.len()).map(|k| arg(k).text.as_str()).collect();
            Piece::atom(format!("{}({})", d.name(), list.join(", ")))
        }
        Op::Gather => Piece::atom(format!("{}[{}]", arg(0).at_least(Binding::Atom), arg(1).text)),
        Op::SumBy(groups) => Piece::atom(format!("sum_by({}, {}, {groups} groups)", arg(0).text, arg(1).text)),
        Op::Detach => Piece::atom(format!("detach({})", arg(0).text)),
        Op::Broadcast(to) => Piece::atom(format!("broadcast({}, {to})", arg(0).text)),
        Op::Arrange(a) => {
            let list: Vec<&str> = (0..node.args.len()).map(|k| arg(k).text.as_str()).collect();
            Piece::atom(format!("arrange({}, {})", list.join(", "), Shape::new(&a.dims)))
        }
        Op::Reshape(dims) => {
            if dims.iter().product::<usize>() == 1 {
                Piece { text: arg(0).text.clone(), binding: arg(0).binding }
            } else {
                Piece::atom(format!("reshape({}, {})", arg(0).text, Shape::new(dims)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;

    #[test]
    fn reads_like_a_formula() {
        let dag = parse("data x [samples]\nparam w []\nparam b []\n%0 = data x\n%1 = param w\n%2 = param b\n%3 = mul %1, %0\n%4 = add %3, %2\n%5 = square %4\n%6 = reduce_sum samples %5\n%7 = count\n%8 = div %6, %7\n%9 = sub %2, %4\n%10 = neg %9\noutput loss %8\noutput r %10").unwrap();
        assert_eq!(print(&dag), "t1       = w * x + b    # [samples]\nloss     = sum(square(t1)) / count\nr        = -(b - t1)    # [samples]\n");
    }
}
