//! Which rules can fit a node at all, told by what its operands are: most are ruled out by a mask, without a look at their patterns.

use super::rules::{self, Compiled, Kind, Pattern};
use crate::graph::{Axis, Fold, Op};
use crate::op::Elem;
use std::sync::OnceLock;

/// What stands at the head of a pattern or a node: a row of the table, or one of these.
const CONSTANT: usize = Elem::ALL.len();
const COUNT: usize = CONSTANT + 1;
const SUM: usize = CONSTANT + 2;
const SUM_DIM: usize = CONSTANT + 3;
const OTHER: usize = CONSTANT + 4;
const HEADS: usize = CONSTANT + 5;

/// The bits after those of the heads: whether a value varies over samples, and whether there is none.
const INVARIANT: u128 = 1 << HEADS;
const PER_SAMPLE: u128 = 1 << (HEADS + 1);
const NONE: u128 = 1 << (HEADS + 2);

fn head(op: &Op) -> usize {
    match op {
        Op::Elem(e) => e.row(),
        Op::Const(_) => CONSTANT,
        Op::Count => COUNT,
        Op::Reduce(Fold::Sum, Axis::Samples) => SUM,
        Op::Reduce(Fold::Sum, Axis::Dim(_)) => SUM_DIM,
        _ => OTHER,
    }
}

fn head_of_pattern(pattern: &Pattern) -> Option<usize> {
    match pattern {
        Pattern::Elem(e, _) => Some(e.row()),
        Pattern::Sum(_) => Some(SUM),
        Pattern::SumDim(_) => Some(SUM_DIM),
        Pattern::Once(inner) => head_of_pattern(inner),
        Pattern::Number(_) | Pattern::Extent | Pattern::Var(_, Kind::Constant) => Some(CONSTANT),
        Pattern::Count => Some(COUNT),
        Pattern::Var(..) => None,
    }
}

/// A node: the bit of its head, and that of whether it varies over samples.
#[derive(Clone, Copy)]
pub(super) struct Look(u128);

impl Look {
    /// No operand there.
    pub const ABSENT: Look = Look(NONE);

    pub fn of(op: &Op, varies: bool) -> Look {
        Look(1 << head(op) | if varies { PER_SAMPLE } else { INVARIANT })
    }
}

/// Every bit that a node may have which a pattern fits.
fn allowed(pattern: Option<&Pattern>) -> u128 {
    let Some(pattern) = pattern else { return u128::MAX };
    let heads = head_of_pattern(pattern).map_or(INVARIANT - 1, |head| 1 << head);
    heads | samples(pattern)
}

/// The bits of what a pattern's values may do over samples: an operation varies if an operand does.
fn samples(pattern: &Pattern) -> u128 {
    match pattern {
        Pattern::Var(_, Kind::Invariant | Kind::Constant) | Pattern::Number(_) | Pattern::Count | Pattern::Extent | Pattern::Sum(_) => INVARIANT,
        Pattern::Var(_, Kind::PerSample | Kind::Curved | Kind::CurvedData) => PER_SAMPLE,
        Pattern::Var(..) => INVARIANT | PER_SAMPLE,
        Pattern::SumDim(inner) | Pattern::Once(inner) => samples(inner),
        Pattern::Elem(_, inner) if inner.iter().any(|p| samples(p) == PER_SAMPLE) => PER_SAMPLE,
        Pattern::Elem(_, inner) => inner.iter().fold(INVARIANT, |all, p| all | samples(p)),
    }
}

/// A rule for nodes of one head, with what its pattern allows of the first two operands.
pub(super) struct Candidate {
    allowed: [u128; 2],
    /// They may change places.
    commutes: bool,
    pub rule: &'static Compiled,
}

impl Candidate {
    fn new(rule: &'static Compiled) -> Candidate {
        let (operands, commutes) = match &rule.left {
            Pattern::Elem(e, inner) => ([inner.first(), inner.get(1)], e.commutes()),
            Pattern::Sum(inner) | Pattern::SumDim(inner) => ([Some(&**inner), None], false),
            _ => unreachable!("a rule starts with an operation"),
        };
        Candidate { allowed: operands.map(allowed), commutes, rule }
    }

    /// Whether the pattern may fit a node with such operands; if not, it doesn't.
    pub fn may_fit(&self, [first, second]: [Look; 2]) -> bool {
        let fits = |look: Look, k: usize| look.0 & !self.allowed[k] == 0;
        fits(first, 0) && fits(second, 1) || self.commutes && fits(second, 0) && fits(first, 1)
    }
}

/// Rules by what they start with.
pub(super) struct ByHead([Vec<Candidate>; HEADS]);

impl ByHead {
    /// The rules whose left side starts with this operation, in their order.
    pub fn of(&self, op: &Op) -> &[Candidate] {
        &self.0[head(op)]
    }
}

pub(super) fn by_head(rules: &'static [Compiled]) -> ByHead {
    let mut lists = [const { Vec::new() }; HEADS];
    for rule in rules {
        let head = head_of_pattern(&rule.left).expect("a rule starts with an operation");
        lists[head].push(Candidate::new(rule));
    }
    ByHead(lists)
}

pub(super) fn simplifying() -> &'static ByHead {
    static MAP: OnceLock<ByHead> = OnceLock::new();
    MAP.get_or_init(|| by_head(rules::compiled()))
}

pub(super) fn stabilising() -> &'static ByHead {
    static MAP: OnceLock<ByHead> = OnceLock::new();
    MAP.get_or_init(|| by_head(rules::compiled_stable()))
}
