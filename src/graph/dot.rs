//! The graph in Graphviz's language.

use super::{Dag, Op};
use crate::shape::Shape;
use std::fmt::Write;

/// The nodes that the outputs need, as a DOT digraph: boxes for inputs, ellipses for operations, an arrow from operand to user.
pub fn print(dag: &Dag) -> String {
    let mut out = String::from("digraph {\n  rankdir=BT;\n  node [fontname=\"Helvetica\", fontsize=11];\n");
    let live = dag.live();
    for id in dag.ids().filter(|id| live[id.index()]) {
        let node = dag.node(id);
        let style = match node.op {
            Op::Data(_) => "shape=box, style=filled, fillcolor=\"#d7e8f7\"",
            Op::Param(_) => "shape=box, style=filled, fillcolor=\"#fde7c8\"",
            Op::Const(_) | Op::Count => "shape=plaintext",
            _ => "shape=ellipse",
        };
        let name = dag.describe(id).replace('`', "");
        let label = if node.args.is_empty() && node.shape == Shape::default() { name } else { format!("{name}\n{}", node.shape) };
        let _ = writeln!(out, "  n{} [label={label:?}, {style}];", id.index());
        for a in &node.args {
            let _ = writeln!(out, "  n{} -> n{};", a.index(), id.index());
        }
    }
    for (k, (name, id)) in dag.outputs().iter().enumerate() {
        let _ = writeln!(out, "  out{k} [label={name:?}, shape=box, style=bold];\n  n{} -> out{k};", id.index());
    }
    out.push_str("}\n");
    out
}
