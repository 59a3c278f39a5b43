//! Reports of numbers that aren't finite: where a loss, a gradient or an update went wrong.

use crate::error::NonFinite;
use crate::real::Real;
use crate::runtime::params::{Grad, Params};

/// Which operation made a loss or gradient that isn't finite: what `found` says, or if nothing was found the number itself.
pub(super) fn evaluation<T: Real>(found: Option<NonFinite>, loss: T, grad: &Grad<T>) -> NonFinite {
    // The kernels' arithmetic may leave the range where that of the search, operation by operation in another order, doesn't.
    found.unwrap_or_else(|| {
        let position = grad.values().iter().position(|g| !g.is_finite());
        match position.filter(|_| loss.is_finite()) {
            Some(k) => plain(format!("gradient by {}", entry(grad, k)), vec![("loss".into(), loss.to_f64())], grad.values()[k]),
            None => plain("loss".into(), Vec::new(), loss),
        }
    })
}

/// A number by its name alone.
pub(super) fn plain<T: Real>(node: String, inputs: Vec<(String, f64)>, value: T) -> NonFinite {
    NonFinite { node, place: None, sample: None, step: None, inputs, value: value.to_f64() }
}

/// The first parameter that was finite before the update and isn't after.
pub(super) fn overshot<T: Real>(before: &Params<T>, after: &Params<T>, grad: &Grad<T>) -> Option<NonFinite> {
    let k = before.values().iter().zip(after.values()).position(|(b, a)| b.is_finite() && !a.is_finite())?;
    let (name, e) = after.layout().at(k)?;
    let g = grad.layout().range(name).map(|range| grad.values()[range.start + e].to_f64());
    let inputs = std::iter::once(("before".to_string(), before.values()[k].to_f64())).chain(g.map(|g| ("gradient".to_string(), g))).collect();
    let node = format!("update of {}", entry(after, k));
    Some(NonFinite { node, place: None, sample: None, step: None, inputs, value: after.values()[k].to_f64() })
}

/// The name of the number at a position, as messages print it.
fn entry<T: Real>(params: &Params<T>, position: usize) -> String {
    match params.layout().at(position) {
        Some((name, e)) if params.get(name).is_ok_and(|numbers| numbers.len() > 1) => format!("param `{name}` entry {e}"),
        Some((name, _)) => format!("param `{name}`"),
        None => format!("number {position}"),
    }
}
