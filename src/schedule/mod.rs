//! The schedule: which node is computed when (stages), and which per-sample nodes share a loop (passes and steps).
//!
//! | moment | depends on | computed |
//! |---|---|---|
//! | compile | nothing | folded by the simplifier |
//! | bind | data only | once per binding |
//! | call | parameters | once per evaluation |
//! | sample | both | in the loop over samples |
//!
//! Bind and call are each a list of stages: values without samples, then at most one pass over the samples; the pass's reductions are known
//! to the next stage. A pass is as early as its operands allow, so every reduction that does not wait for another one shares the first pass.
//! Nor does a sum of exponentials wait for the largest exponent that it is shifted by (`relative.rs`).

mod relative;
mod steps;

pub use relative::{At, Shift};
pub(crate) use steps::source;

use crate::graph::{Dag, NodeId, Op};
use crate::shape::Dims;
use relative::Relatives;
use std::collections::HashSet;
use std::fmt;

/// A per-sample value of at most this many entries is unrolled into scalars; a larger one stays a loop.
///
/// So many are about the registers there are: beyond, values wait in memory either way, columns are more streams than there are registers to point to them, and code grows with the
/// entries. Measured natively (one thread, Zen 5 server, 2026-11-22): logistic on d columns (f64, data in cache, ns a sample, loops against unrolled), d = 40: 6.3 against 9.3;
/// d = 64: 11.3 against 17.2. A perceptron of 64 by 64, with loops from 33 and from 65 entries on: 22.9 and 23.5 ms a call, 0.36 and 0.85 ms to compile. The interpreter
/// takes the same time either way there; what it unrolls of a logistic on 64 columns takes 0.75 of the time of loops, but that is read from columns.
pub const UNROLL: usize = 32;

/// The same for functions of tens of instructions each (`Elem::is_long`): a loop over them takes a little longer and much less code. A perceptron of 64 by 64
/// (f64 and f32, ms a call of 10^5 samples and ms to compile, one thread, 2026-11-22): unrolled 25.3, 12.1 and 1.33, 1.28; as loops 26.7, 12.4 and 0.72, 0.71. A mixture
/// of 25 Gaussians in 10 dimensions: 22.9 and 1.36 unrolled, 22.4 and 1.10.
pub const UNROLL_LONG: usize = 16;

/// One stage: uniform nodes, then a pass that reads them.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// Values without samples, in order.
    pub uniforms: Vec<NodeId>,
    /// The pass over the samples, if anything needs one.
    pub pass: Option<Pass>,
}

/// One pass over the samples.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Nodes that a later step reads: each has tile buffers.
    pub stored: Vec<NodeId>,
    /// The reductions over samples this pass computes.
    pub reductions: Vec<NodeId>,
    /// The per-sample results it writes.
    pub outputs: Vec<NodeId>,
    /// Maxima that are wanted before the sums of the same samples are made.
    pub ahead: Option<Box<Ahead>>,
}

/// The maxima over samples that some sums of the same pass are relative to. The pass itself has them among its reductions, too.
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    /// The steps that find them, and nothing else.
    pub maxima: Pass,
    /// What is made of them, and the sums relative to that.
    pub shifts: Vec<Shift>,
}

/// Nodes that share a loop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The static loop nest; empty where the nodes are unrolled.
    pub dims: Dims,
    /// What it computes, operands first.
    pub nodes: Vec<NodeId>,
    /// Reductions over samples it accumulates.
    pub reductions: Vec<NodeId>,
    /// Per-sample results it writes.
    pub outputs: Vec<NodeId>,
}

/// The schedule of a graph.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// Once per binding.
    pub bind: Vec<Stage>,
    /// Once per evaluation.
    pub call: Vec<Stage>,
}

/// How many passes over the samples a program makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// When data are bound.
    pub bind: usize,
    /// At every call.
    pub call: usize,
}

#[derive(Clone, Copy, Default)]
struct When {
    /// Depends on a parameter.
    call: bool,
    /// For a value without samples the stage that computes it, for a per-sample one the earliest pass; within its moment.
    stage: usize,
}

impl Schedule {
    /// Schedules what the outputs need.
    pub fn of(dag: &Dag) -> Schedule {
        let live = dag.live();
        let mut when: Vec<When> = Vec::with_capacity(live.len());
        let mut relatives = Relatives::default();
        for id in dag.ids() {
            let node = dag.node(id);
            let call = matches!(node.op, Op::Param(_)) || node.args.iter().any(|a| when[a.index()].call);
            // What the bind moment computed is there at every stage of a call.
            let mut stage = node.args.iter().map(|a| when[a.index()]).filter(|w| w.call == call).map(|w| w.stage).max().unwrap_or(0);
            if node.op.ends_pass() {
                stage += 1;
            }
            if let Some(shared) = relatives.visit(dag, id, call, &when) {
                stage = shared;
            }
            when.push(When { call, stage });
        }
        let mut schedule = Schedule::default();
        for moment in [false, true] {
            let mut stages: Vec<Stage> = Vec::new();
            let mut reductions: Vec<Vec<NodeId>> = Vec::new();
            for id in dag.ids().filter(|id| live[id.index()] && when[id.index()].call == moment) {
                let node = dag.node(id);
                let w = when[id.index()];
                let at = w.stage;
                if node.shape.varies_over_samples() {
                    continue;
                }
                grow(&mut stages, at + 1);
                grow(&mut reductions, at + 1);
                if node.op.ends_pass() {
                    reductions[at - 1].push(id);
                } else {
                    stages[at].uniforms.push(id);
                }
            }
            // Per-sample results are written by the earliest call pass that can; data-only ones too, at every call.
            let mut outputs: Vec<Vec<NodeId>> = Vec::new();
            if moment {
                let mut seen = HashSet::new();
                for (_, id) in dag.outputs().iter().filter(|(_, id)| dag.shape(*id).varies_over_samples()) {
                    let at = if when[id.index()].call { when[id.index()].stage } else { 0 };
                    grow(&mut outputs, at + 1);
                    if seen.insert(*id) {
                        outputs[at].push(*id);
                    }
                }
            }
            let passes = reductions.len().max(outputs.len());
            grow(&mut stages, passes);
            grow(&mut reductions, passes);
            grow(&mut outputs, passes);
            for ((stage, reductions), outputs) in stages.iter_mut().zip(reductions).zip(outputs) {
                if !reductions.is_empty() || !outputs.is_empty() {
                    let shifts = relatives.of(&reductions);
                    stage.pass = Some(pass(dag, reductions, outputs, shifts));
                }
            }
            if moment {
                schedule.call = stages;
            } else {
                schedule.bind = stages;
            }
        }
        schedule
    }

    /// How many passes over the samples there are.
    pub fn passes(&self) -> Passes {
        let count = |stages: &[Stage]| stages.iter().filter(|s| s.pass.is_some()).count();
        Passes { bind: count(&self.bind), call: count(&self.call) }
    }

    /// The schedule in words.
    pub fn describe(&self, dag: &Dag) -> String {
        let mut out = String::new();
        let _ = self.write(dag, &mut out);
        out
    }

    fn write(&self, dag: &Dag, out: &mut impl fmt::Write) -> fmt::Result {
        for (moment, stages) in [("bind", &self.bind), ("call", &self.call)] {
            for (k, stage) in stages.iter().enumerate() {
                if !stage.uniforms.is_empty() {
                    writeln!(out, "{moment} stage {k}: {}", names(dag, &stage.uniforms))?;
                }
                let Some(pass) = &stage.pass else { continue };
                writeln!(out, "{moment} pass {k}:")?;
                if let Some(ahead) = &pass.ahead {
                    ahead.maxima.write(dag, "ahead, ", out)?;
                    for shift in &ahead.shifts {
                        let mut sums: Vec<NodeId> = shift.sums.iter().map(|((sum, _), _)| *sum).collect();
                        sums.dedup();
                        writeln!(out, "  relative to {}: {}", names(dag, &[shift.node]), names(dag, &sums))?;
                    }
                }
                pass.write(dag, "", out)?;
            }
        }
        Ok(())
    }
}

impl Pass {
    /// The steps in words.
    fn write(&self, dag: &Dag, what: &str, out: &mut impl fmt::Write) -> fmt::Result {
        for (s, step) in self.steps.iter().enumerate() {
            write!(out, "  {what}step {s}")?;
            if !step.dims.is_empty() {
                write!(out, " over {:?}", step.dims.as_slice())?;
            }
            writeln!(out, ": {}", names(dag, &step.nodes))?;
            for (what, list) in [("accumulate", &step.reductions), ("write", &step.outputs)] {
                if !list.is_empty() {
                    writeln!(out, "    {what} {}", names(dag, list))?;
                }
            }
        }
        if !self.stored.is_empty() {
            writeln!(out, "  tile buffers: {}", names(dag, &self.stored))?;
        }
        Ok(())
    }
}

/// The pass with these reductions and results, and beside it the steps for the maxima alone that some of its sums are relative to.
fn pass(dag: &Dag, reductions: Vec<NodeId>, outputs: Vec<NodeId>, shifts: Vec<Shift>) -> Pass {
    if shifts.is_empty() {
        return steps::pass(dag, reductions, outputs);
    }
    let tops: HashSet<NodeId> = shifts.iter().flat_map(|s| s.tops.iter().flatten()).map(|(max, _)| *max).collect();
    let maxima = reductions.iter().copied().filter(|id| tops.contains(id)).collect();
    let ahead = Ahead { maxima: steps::pass(dag, maxima, Vec::new()), shifts };
    Pass { ahead: Some(Box::new(ahead)), ..steps::pass(dag, reductions, outputs) }
}

fn grow<T: Default>(list: &mut Vec<T>, len: usize) {
    if list.len() < len {
        list.resize_with(len, T::default);
    }
}

/// `%4 mul, %7 exp`
fn names(dag: &Dag, ids: &[NodeId]) -> String {
    ids.iter().map(|id| format!("{id} {}", dag.describe(*id))).collect::<Vec<_>>().join(", ")
}
