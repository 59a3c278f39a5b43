//! What every pass promises of the graph it returns, checked after each in debug builds.

use super::{Dag, Op};
use std::collections::HashSet;

/// The first broken promise, in words: operands come first, arities and shapes follow from the operation, equal nodes are one node,
/// names are unique, outputs exist.
///
/// # Errors
/// That promise, with the node that breaks it.
pub fn verify(dag: &Dag) -> Result<(), String> {
    let mut seen = HashSet::new();
    for id in dag.ids() {
        let node = dag.node(id);
        if let Some(late) = node.args.iter().find(|a| **a >= id) {
            return Err(format!("{id} uses {late}, which is not before it"));
        }
        match dag.infer(&node.op, &node.args) {
            None => return Err(format!("{id}: {:?} does not fit its operands", node.op)),
            Some(shape) if shape != node.shape => return Err(format!("{id}: shape {} where the operation gives {shape}", node.shape)),
            Some(_) => {}
        }
        if !seen.insert((&node.op, &node.args)) {
            return Err(format!("{id}: {:?} of the same operands is there already", node.op));
        }
        if let Op::Data(k) = node.op
            && !dag.data()[k as usize].shape.varies_over_samples()
        {
            return Err(format!("{id}: data without samples"));
        }
        if let Op::Param(k) = node.op
            && dag.params()[k as usize].shape.varies_over_samples()
        {
            return Err(format!("{id}: a parameter with samples"));
        }
    }
    let mut names = HashSet::new();
    for input in dag.data().iter().chain(dag.params()) {
        if !names.insert(&input.name) {
            return Err(format!("the input name `{}` is used twice", input.name));
        }
    }
    match dag.outputs().iter().find(|(_, id)| id.index() >= dag.nodes().len()) {
        Some((name, id)) => Err(format!("output `{name}` is {id}, which does not exist")),
        None => Ok(()),
    }
}

/// In debug builds, panics with the graph printed if a pass broke a promise.
pub(crate) fn check(dag: &Dag, pass: &str) {
    if cfg!(debug_assertions)
        && let Err(broken) = verify(dag)
    {
        panic!("after {pass}: {broken}\n{dag:?}");
    }
}
