//! Adjoints of values of which entries were picked: a slice, an index, a row. Each pick says where its few entries belong; the whole is made once.
//!
//! A thousand indices into a vector of a thousand entries would otherwise be a thousand vectors, nearly all 0, to be added up.

use crate::error::Place;
use crate::expr::{Expr, Graph};
use crate::graph::{Arrangement, Op};
use crate::shape::Dims;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries of an arrangement's adjoint, and the entries of the operand that they belong to: `(from, to)`.
pub type Places = Arc<[(u32, u32)]>;

/// Where an arrangement took the entries of one operand from: `(place in the result, entry of the operand)`.
pub(super) fn places(arrangement: &Arrangement, operand: usize) -> Places {
    let here = |(place, source): (usize, &Option<(u32, u32)>)| source.filter(|(of, _)| *of as usize == operand).map(|(_, e)| (place as u32, e));
    arrangement.sources.iter().enumerate().filter_map(here).collect()
}

/// One arrangement's share of an operand's adjoint.
#[derive(Clone)]
pub(super) struct Pick<'g> {
    /// The seed that the adjoint is multiplied by.
    pub seed: Option<Expr<'g>>,
    /// The arrangement's adjoint.
    pub adjoint: Expr<'g>,
    /// Whether the arrangement's result has the samples axis.
    pub samples: bool,
    pub places: Places,
    pub place: Option<Place>,
}

type Sources = Vec<Option<(u32, u32)>>;

fn arrange<'g>(graph: &'g Graph, dims: &[usize], from: &[Expr<'g>], sources: Sources) -> Expr<'g> {
    let op = Op::Arrange(Arc::new(Arrangement { dims: dims.into(), sources }));
    let ids: Vec<_> = from.iter().map(|e| e.id()).collect();
    graph.node(graph.push_op(op, &ids))
}

/// A value of dimensions `dims` whose entries are sums of adjoints' entries, 0 where there are none; nothing at all makes nothing. At most `uses` terms of each entry
/// are taken.
///
/// Where an entry was picked several times, what comes after its first time is added up beforehand, over the entries that this concerns alone: the work and
/// the memory are those of all picks together and one value.
pub(super) fn sum<'g>(graph: &'g Graph, dims: &[usize], picks: &[(Expr<'g>, Places)], uses: usize) -> Option<Expr<'g>> {
    let mut terms: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for (k, (_, places)) in picks.iter().enumerate() {
        for (from, to) in places.iter() {
            let held = terms.entry(*to).or_default();
            if held.len() < uses {
                held.push((k as u32, *from));
            }
        }
    }
    let deepest = terms.values().map(Vec::len).max()?;
    // For each depth the entries that have a term there, the deepest last.
    let mut depths: Vec<Vec<u32>> = vec![Vec::new(); deepest];
    for (to, terms) in &terms {
        depths.iter_mut().take(terms.len()).for_each(|depth| depth.push(*to));
    }
    let mut held: Option<(Expr<'g>, &[u32])> = None;
    for (depth, entries) in depths.iter().enumerate().rev() {
        // The first depth is the value itself; those below hold their entries one after the other.
        let own: Dims = if depth == 0 { dims.into() } else { smallvec::smallvec![entries.len()] };
        let all = own.iter().product();
        let at = |k: usize, to: u32| if depth == 0 { to as usize } else { k };
        let mut used: BTreeMap<u32, u32> = BTreeMap::new();
        let mut from = Vec::new();
        let mut sources: Sources = vec![None; all];
        for (k, to) in entries.iter().enumerate() {
            let (pick, e) = terms[to][depth];
            let operand = *used.entry(pick).or_insert_with(|| {
                from.push(picks[pick as usize].0);
                from.len() as u32 - 1
            });
            sources[at(k, *to)] = Some((operand, e));
        }
        let mut total = arrange(graph, &own, &from, sources);
        if let Some((deeper, of)) = held {
            let mut sources: Sources = vec![None; all];
            for (e, to) in of.iter().enumerate() {
                // Both lists ascend, and the deeper one is part of this one.
                let k = entries.binary_search(to).unwrap_or_default();
                sources[at(k, *to)] = Some((0, e as u32));
            }
            total = total + arrange(graph, &own, &[deeper], sources);
        }
        held = Some((total, entries));
    }
    held.map(|(total, _)| total)
}
