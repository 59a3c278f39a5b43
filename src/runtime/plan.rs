//! A compiled plan: slots for everything without samples, programs for the stages, kernels for the passes.

use super::columns::Table;
use super::groups::{self, Carried};
use super::lease::Leases;
use super::pass::{CompiledPass, Results, Samples, Worker, Workers};
use crate::backend::interp::Level;
use crate::backend::rows::{LeafRows, RowColumns};
use crate::backend::{Backend, environment};
use crate::column::Column;
use crate::graph::{Dag, NodeId, Op};
use crate::kernel::ir::Made;
use crate::kernel::pass::lower_pass;
use crate::kernel::text;
use crate::kernel::uniform::UniformProgram;
use crate::known::Known;
use crate::labels::LabelColumn;
use crate::ranges::Places;
use crate::real::Real;
use crate::schedule::{Passes, Schedule, Stage};
use std::fmt;
use std::ops::Range;

/// A stage ready to run.
pub(super) struct CompiledStage<T> {
    uniforms: UniformProgram,
    level: Level,
    pub(super) pass: Option<CompiledPass<T>>,
}

impl<T> CompiledStage<T> {
    /// Computes the stage's values without samples.
    #[inline]
    pub(super) fn run_uniforms(&self, slots: &mut [f64]) {
        if !self.uniforms.is_empty() {
            self.level.uniforms(&self.uniforms, slots);
        }
    }
}

/// One result of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// Call-stage slots: a value without samples, entries in row-major order.
    Uniform(Range<usize>),
    /// Columns of per-sample results.
    Columns(Range<usize>),
}

/// A graph compiled for one number type and backend. It knows nothing of data.
pub struct Plan<T> {
    /// The graph it was compiled from.
    pub dag: Dag,
    /// Who is computed when.
    pub schedule: Schedule,
    pub(super) bind: Vec<CompiledStage<T>>,
    pub(super) call: Vec<CompiledStage<T>>,
    /// How many slots there are.
    slots: usize,
    constants: Vec<(usize, f64)>,
    pub(super) count: Option<usize>,
    /// The first slots are the parameters, in order.
    pub(super) params: usize,
    /// The results, in the order of the graph's outputs.
    pub outputs: Vec<Slot>,
    /// Where the numbers of all results but the first lie, those without samples: a gradient.
    pub(super) rest: Places,
    output_columns: usize,
}

impl<T> fmt::Debug for Plan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("dag", &self.dag).field("schedule", &self.schedule).field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

impl<T: Real> Plan<T> {
    /// Schedules and lowers a graph.
    pub fn new(dag: Dag, backend: Backend) -> Self {
        let schedule = Schedule::of(&dag);
        let live = dag.live();
        // Slots: parameters first, then every other value without samples.
        let mut slots = vec![usize::MAX; dag.nodes().len()];
        let mut first = Vec::new();
        let mut next = 0;
        for p in dag.params() {
            first.push(next);
            next += p.shape.entries();
        }
        let params = next;
        let mut count = None;
        let mut constants = Vec::new();
        for id in dag.ids().filter(|id| live[id.index()]) {
            let node = dag.node(id);
            if let Op::Param(k) = node.op {
                slots[id.index()] = first[k as usize];
            } else if let (Op::Reshape(_) | Op::Detach, false) = (&node.op, node.shape.varies_over_samples()) {
                // The same numbers in the same order.
                slots[id.index()] = slots[node.args[0].index()];
            } else if !node.shape.varies_over_samples() {
                slots[id.index()] = next;
                match node.op {
                    Op::Const(c) => constants.push((next, c.value())),
                    Op::Count => count = Some(next),
                    _ => {}
                }
                next += node.shape.entries();
            }
        }
        let mut output_column: Known<NodeId, usize> = Known::default();
        let mut output_columns = 0;
        let outputs: Vec<Slot> = dag
            .outputs()
            .iter()
            .map(|(_, id)| {
                let entries = dag.shape(*id).entries();
                if !dag.shape(*id).varies_over_samples() {
                    return Slot::Uniform(slots[id.index()]..slots[id.index()] + entries);
                }
                let column = *output_column.entry(*id).or_insert_with(|| {
                    output_columns += entries;
                    output_columns - entries
                });
                Slot::Columns(column..column + entries)
            })
            .collect();
        let rest = outputs.iter().skip(1).filter_map(|slot| if let Slot::Uniform(range) = slot { Some(range.clone()) } else { None });
        let rest = Places::new(rest.flatten());
        let level = Level::best();
        let compile = |stages: &[Stage]| -> Vec<CompiledStage<T>> {
            let one = |stage: &Stage| CompiledStage {
                uniforms: UniformProgram::new(&dag, &slots, &stage.uniforms),
                level,
                pass: stage.pass.as_ref().map(|p| CompiledPass::new(lower_pass(T::DOUBLE, &dag, p, &slots, &output_column, output_columns), backend)),
            };
            stages.iter().map(one).collect()
        };
        let (bind, call) = (compile(&schedule.bind), compile(&schedule.call));
        Plan { dag, schedule, bind, call, slots: next, constants, count, params, outputs, rest, output_columns }
    }

    /// The slots before anything is computed.
    pub(super) fn blank_slots(&self) -> Vec<f64> {
        let mut slots = vec![0.0; self.slots];
        self.constants.iter().for_each(|(slot, c)| slots[*slot] = *c);
        slots
    }

    /// How many passes over the samples it makes.
    pub fn passes(&self) -> Passes {
        self.schedule.passes()
    }

    fn stages(&self) -> impl Iterator<Item = (&'static str, usize, &CompiledStage<T>)> {
        let bind = self.bind.iter().enumerate().map(|(k, s)| ("bind", k, s));
        bind.chain(self.call.iter().enumerate().map(|(k, s)| ("call", k, s)))
    }

    /// The names of a pass's columns.
    fn column_names(&self, pass: &CompiledPass<T>) -> Vec<String> {
        let input = |k: u32| &self.dag.data()[k as usize];
        let data = pass.kernels.columns.iter().map(|(k, e)| {
            let input = input(*k);
            if input.shape.entries() == 1 { input.name.clone() } else { format!("{}[{e}]", input.name) }
        });
        let label = |l: &u32| &input(pass.kernels.labels[*l as usize]).name;
        let made = pass.kernels.made.iter().map(|made| match made {
            Made::Number { label: l } => label(l).clone(),
            Made::Gather { label: l, slot, entry, .. } => format!("slots from {slot}, row {}, entry {entry}", label(l)),
        });
        data.chain(made).collect()
    }

    /// Every pass's machine code as text.
    pub fn assembly(&self) -> String {
        let mut out = String::new();
        for (moment, k, stage) in self.stages() {
            if let Some(pass) = &stage.pass {
                out += &format!("{moment} pass {k}, {}, {}\n", T::NAME, pass.describe());
                out += &pass.assembly(&self.column_names(pass)).unwrap_or_default();
            }
        }
        out
    }

    /// Every pass's kernels as text.
    pub fn kernels(&self) -> String {
        let mut out = String::new();
        for (moment, k, stage) in self.stages() {
            if let Some(pass) = &stage.pass {
                let names = self.column_names(pass);
                let label = |l: &u32| &self.dag.data()[pass.kernels.labels[*l as usize] as usize].name;
                out += &format!("{moment} pass {k}, {}, {} accumulators of {} lanes\n", T::NAME, pass.kernels.accumulators.len(), pass.kernels.lanes::<T>());
                out += &text::print(&pass.kernels, &names);
                for sum in &pass.kernels.group_sums {
                    let first = pass.kernels.outputs + sum.terms as usize;
                    let columns = first..first + sum.width as usize;
                    out += &format!("outputs {columns:?} summed in {} groups by {}\n", sum.groups, label(&sum.label));
                }
            }
        }
        out
    }

    /// What runs each pass.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        for (moment, k, stage) in self.stages() {
            if !stage.uniforms.is_empty() {
                out += &format!("{moment} stage {k}: {} instructions\n", stage.uniforms.len());
            }
            if let Some(pass) = &stage.pass {
                let insts: usize = pass.kernels.steps.iter().map(|s| s.insts.len()).sum();
                out += &format!("{moment} pass {k}: {} steps, {insts} instructions, {}\n", pass.kernels.steps.len(), pass.describe());
            }
        }
        out
    }

    /// The kernels of every pass, those that find maxima ahead before the pass's own.
    pub fn pass_kernels(&self) -> impl Iterator<Item = &crate::kernel::ir::PassKernels> {
        let passes = self.stages().filter_map(|(_, _, s)| s.pass.as_ref()).map(|p| &p.kernels);
        passes.flat_map(|kernels| kernels.ahead.iter().map(|ahead| &ahead.maxima).chain([kernels]))
    }
}

/// A pass's columns and labels, and threads' working memory for it.
struct BoundPass<'d, T> {
    columns: Vec<&'d [T]>,
    rows: Option<RowColumns<'d, T>>,
    labels: Vec<LabelColumn<'d>>,
    workers: Workers<T>,
}

impl<'d, T: Real> BoundPass<'d, T> {
    fn new(pass: &CompiledPass<T>, table: &Table<'d, T>) -> Self {
        let column = |(input, e): &(u32, u32)| table.inputs[*input as usize][*e as usize];
        let labels = |input: &u32| match table.inputs[*input as usize][0] {
            Column::Labels(x) => x,
            Column::Real(_) | Column::Strided(_) => unreachable!("binding checked what is bound"),
        };
        BoundPass {
            columns: pass.kernels.columns.iter().map(|at| column(at).side_by_side()).collect(),
            rows: pass.row_columns(pass.kernels.columns.iter().map(column)),
            labels: pass.kernels.labels.iter().map(labels).collect(),
            workers: Workers::new(table.samples),
        }
    }
}

/// A plan with data: columns resolved, the bind moment's results in place.
pub struct BoundPlan<'d, T> {
    slots: Vec<f64>,
    samples: usize,
    /// For each call stage what its pass reads, and workers.
    passes: Vec<Option<BoundPass<'d, T>>>,
    workspaces: Leases<Workspace<T>>,
}

/// One evaluation's working memory.
pub(super) struct Workspace<T> {
    pub(super) slots: Vec<f64>,
    /// Of any pass: each takes as many as it has.
    uniforms: Vec<T>,
    totals: Vec<f64>,
    partials: Vec<f64>,
    groups: Vec<Vec<Carried>>,
    /// For each stage its pass's working memory on this thread.
    workers: Vec<Option<Worker<T>>>,
}

impl<T> fmt::Debug for BoundPlan<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundPlan").field("samples", &self.samples).field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl<'d, T: Real> BoundPlan<'d, T> {
    /// Runs the bind moment.
    pub fn new(plan: &Plan<T>, table: &Table<'d, T>) -> Self {
        environment::with_default(|| Self::bound(plan, table))
    }

    fn bound(plan: &Plan<T>, table: &Table<'d, T>) -> Self {
        let mut workspace = Workspace::new(plan.blank_slots(), &plan.bind, table.samples);
        if let Some(slot) = plan.count {
            workspace.slots[slot] = table.samples as f64;
        }
        for (k, stage) in plan.bind.iter().enumerate() {
            stage.run_uniforms(&mut workspace.slots);
            if let Some(pass) = &stage.pass {
                let BoundPass { columns, rows, labels, workers } = BoundPass::new(pass, table);
                workspace.run_pass(k, pass, &columns, rows.as_ref().map(LeafRows::all), &labels, table.samples, &workers, &mut []);
            }
        }
        let passes = plan.call.iter().map(|s| s.pass.as_ref().map(|p| BoundPass::new(p, table))).collect();
        BoundPlan { slots: workspace.slots, samples: table.samples, passes, workspaces: Leases::new(64) }
    }

    /// Evaluates at a point; `read` gets the slots when all is done, `outputs` receives per-sample results.
    pub fn evaluate<R>(&self, plan: &Plan<T>, theta: &[T], outputs: &mut [Vec<T>], read: impl FnOnce(&[f64]) -> R) -> R {
        environment::with_default(|| self.evaluated(plan, theta, outputs, read))
    }

    fn evaluated<R>(&self, plan: &Plan<T>, theta: &[T], outputs: &mut [Vec<T>], read: impl FnOnce(&[f64]) -> R) -> R {
        let make = || Workspace::new(self.slots.clone(), &plan.call, self.samples);
        self.workspaces.with(make, |workspace| {
            self.evaluate_in(workspace, plan, theta, outputs);
            read(&workspace.slots)
        })
    }

    fn evaluate_in(&self, workspace: &mut Workspace<T>, plan: &Plan<T>, theta: &[T], outputs: &mut [Vec<T>]) {
        for (slot, x) in workspace.slots[..plan.params].iter_mut().zip(theta) {
            *slot = x.to_f64();
        }
        for (k, (stage, resolved)) in plan.call.iter().zip(&self.passes).enumerate() {
            stage.run_uniforms(&mut workspace.slots);
            if let (Some(pass), Some(BoundPass { columns, rows, labels, workers })) = (&stage.pass, resolved) {
                // Only the pass that writes per-sample results sees their columns.
                let outputs: &mut [Vec<T>] = if pass.writes_outputs { &mut *outputs } else { &mut [] };
                workspace.run_pass(k, pass, columns, rows.as_ref().map(LeafRows::all), labels, self.samples, workers, outputs);
            }
        }
    }

    /// Room for the per-sample results.
    pub fn output_columns(&self, plan: &Plan<T>) -> Vec<Vec<T>> {
        (0..plan.output_columns).map(|_| vec![T::default(); self.samples]).collect()
    }
}

impl<T: Real> Workspace<T> {
    pub(super) fn new(slots: Vec<f64>, stages: &[CompiledStage<T>], samples: usize) -> Self {
        let workers = stages.iter().map(|s| s.pass.as_ref().map(|p| p.new_worker(samples))).collect();
        let passes = || stages.iter().filter_map(|s| s.pass.as_ref()).map(|pass| &pass.kernels);
        let uniforms = vec![T::default(); passes().map(|kernels| kernels.uniforms.len()).max().unwrap_or(0)];
        let totals = vec![0.0; passes().map(|kernels| kernels.accumulators.len()).max().unwrap_or(0)];
        Workspace { slots, uniforms, totals, partials: Vec::new(), groups: Vec::new(), workers }
    }

    /// Runs the pass of stage `k` and puts its results into the slots.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn run_pass(
        &mut self,
        k: usize,
        pass: &CompiledPass<T>,
        columns: &[&[T]],
        rows: Option<LeafRows<'_, T>>,
        labels: &[LabelColumn<'_>],
        len: usize,
        workers: &Workers<T>,
        outputs: &mut [Vec<T>],
    ) {
        let Workspace { slots, uniforms, totals, partials, groups, workers: own } = self;
        let Some(own) = &mut own[k] else { unreachable!("a stage with a pass has a worker") };
        let totals = &mut totals[..pass.kernels.accumulators.len()];
        let uniforms = &mut uniforms[..pass.kernels.uniforms.len()];
        pass.read_uniforms(slots, uniforms);
        let sums = &pass.kernels.group_sums;
        let groups = if sums.is_empty() { &mut [][..] } else { groups::clear(groups, sums) };
        let samples = Samples { columns, rows, labels, uniforms, slots, start: 0, len };
        pass.run(samples, own, workers, partials, Results { totals: &mut *totals, groups: &mut *groups, outputs });
        if !sums.is_empty() {
            groups::finish(groups, sums, slots);
        }
        pass.write_totals(totals, slots);
    }
}
