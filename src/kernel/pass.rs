//! From a scheduled pass to kernels: each step's nodes lowered, entry by entry where the step is unrolled, once per point of the nest where not.

use super::arith::Arith;
use super::build::Builder;
use super::ir::{Access, Ahead, GroupSum, Inst, Kernel, Made, PassKernels, Shift, V};
use super::lower;
use super::parts;
use crate::graph::{Axis, Dag, Fold, NodeId, Op};
use crate::known::Known;
use crate::real::Real;
use crate::schedule::{self, Pass, Step, source};
use crate::shape::{broadcast_index, strides};
use smallvec::SmallVec;

/// Lowers a pass. `slots` gives each node without samples its first call-stage slot; `output_column` each per-sample result its first column.
///
/// It is compiled here for both number types, and not again in the crates that use this one.
pub fn lower_pass(double: bool, dag: &Dag, pass: &Pass, slots: &[usize], output_column: &Known<NodeId, usize>, outputs: usize) -> PassKernels {
    let lower = if double { lowered::<f64> } else { lowered::<f32> };
    lower(dag, pass, slots, output_column, outputs)
}

fn lowered<T: Real>(dag: &Dag, pass: &Pass, slots: &[usize], output_column: &Known<NodeId, usize>, outputs: usize) -> PassKernels {
    let mut shared = Shared::new(dag, slots, output_column);
    shared.kernels.outputs = outputs;
    lower_steps::<T>(&mut shared, pass);
    let ahead = pass.ahead.as_ref().map(|ahead| lower_ahead::<T>(&mut shared, ahead));
    let mut kernels = shared.kernels;
    kernels.ahead = ahead.map(|mut ahead| {
        let PassKernels { columns, labels, made, uniforms, .. } = kernels.clone();
        ahead.maxima = PassKernels { columns, labels, made, uniforms, ..ahead.maxima };
        finish(&mut ahead.maxima);
        Box::new(ahead)
    });
    finish(&mut kernels);
    kernels
}

/// What can be said when all columns are known.
fn finish(kernels: &mut PassKernels) {
    // The made ones come after the data columns.
    let data = kernels.columns.len() as u32;
    for inst in kernels.steps.iter_mut().flat_map(|s| &mut s.insts) {
        if let Inst::Column(at) = inst
            && at.base >= MADE
        {
            at.base = at.base - MADE + data;
        }
    }
    kernels.choose_lanes();
    kernels.in_turns = kernels.accumulators.len() * kernels.lane_bytes > TOO_MANY_ACCUMULATORS;
}

/// Bytes of lanes beyond which accumulators leave the L3 cache too, or what a core has of it: tiles have to be long, and so their buffers few. Measured (one thread, Zen 5 server,
/// 2026-11-22), 4096 samples, in turns and not, ms: 100 Gaussians in 64 dimensions (26 MB of lanes) 95 and 165 in `f64`, 53 and 78 in `f32`; 50 in 32 (3 MB) 12.6 and 11.4 in `f64`.
const TOO_MANY_ACCUMULATORS: usize = 8 << 20;

/// Steps, tile buffers and accumulators.
fn lower_steps<T: Real>(shared: &mut Shared<'_>, pass: &Pass) {
    let (dag, slots) = (shared.dag, shared.slots);
    (shared.tiles, shared.kernels.tiles) = buffers(dag, pass);
    for id in &pass.reductions {
        let first = slots[id.index()];
        match dag.node(*id).op {
            Op::Reduce(fold, Axis::Samples) => {
                shared.accumulators.insert(*id, shared.kernels.accumulators.len());
                shared.kernels.accumulators.extend((0..dag.shape(*id).entries()).map(|e| (fold, (first + e) as u32)));
            }
            Op::SumBy(groups) => {
                let label = shared.label(dag.node(*id).args[1]);
                let (width, terms) = (dag.shape(dag.node(*id).args[0]).entries() as u32, shared.kernels.terms() as u32);
                shared.terms.insert(*id, shared.kernels.outputs + terms as usize);
                shared.kernels.group_sums.push(GroupSum { label, groups, width, terms, slot: first as u32 });
            }
            _ => unreachable!("a reduction over samples"),
        }
    }
    for step in &pass.steps {
        let mut kernel = if step.dims.is_empty() { unrolled::<T>(shared, step) } else { nested::<T>(shared, step) };
        kernel.drop_single_turns();
        kernel.parts = parts::of(dag, pass, step, &kernel.dims);
        shared.kernels.steps.push(kernel);
    }
}

/// Each stored node's first tile buffer, and how many there are. A node's buffers are free again after the last step that reads them.
fn buffers(dag: &Dag, pass: &Pass) -> (Known<NodeId, usize>, usize) {
    let mut last: Known<NodeId, usize> = Known::default();
    for (s, step) in pass.steps.iter().enumerate() {
        let operands = step.nodes.iter().chain(&step.reductions).flat_map(|id| &dag.node(*id).args);
        for a in operands.chain(&step.outputs) {
            last.insert(source(dag, *a), s);
        }
    }
    let mut first: Known<NodeId, usize> = Known::default();
    // Where and how many, in order, and the last step they are needed in.
    let mut held: Vec<(usize, usize, usize)> = Vec::new();
    let mut all = 0;
    for (s, step) in pass.steps.iter().enumerate() {
        held.retain(|(.., until)| *until >= s);
        for id in step.nodes.iter().filter(|id| pass.stored.binary_search(id).is_ok()) {
            let len = dag.shape(*id).entries();
            let mut at = 0;
            let mut k = 0;
            while k < held.len() && held[k].0 < at + len {
                at = held[k].0 + held[k].1;
                k += 1;
            }
            held.insert(k, (at, len, last.get(id).copied().unwrap_or(s)));
            first.insert(*id, at);
            all = all.max(at + len);
        }
    }
    (first, all)
}

/// The maxima alone that sums of the pass lowered before are relative to. Both read the same columns and uniforms.
fn lower_ahead<T: Real>(shared: &mut Shared<'_>, ahead: &schedule::Ahead) -> Ahead {
    use std::mem::take;
    let own_accumulators = take(&mut shared.accumulators);
    shared.tiles.clear();
    let own = |k: &mut PassKernels| (take(&mut k.steps), take(&mut k.tiles), take(&mut k.accumulators), take(&mut k.group_sums), take(&mut k.outputs));
    let held = own(&mut shared.kernels);
    lower_steps::<T>(shared, &ahead.maxima);
    let (steps, tiles, accumulators, ..) = own(&mut shared.kernels);
    let k = &mut shared.kernels;
    (k.steps, k.tiles, k.accumulators, k.group_sums, k.outputs) = held;
    let mut shifts: Vec<Shift> = Vec::new();
    for shift in &ahead.shifts {
        for (entry, tops) in shift.tops.iter().enumerate() {
            let sums: Vec<u32> = shift.sums.iter().filter(|(_, of)| *of as usize == entry).map(|((sum, e), _)| own_accumulators[sum] as u32 + e).collect();
            if sums.is_empty() {
                continue;
            }
            let place = |(max, e): &(NodeId, u32)| (own_accumulators[max] as u32 + e, shared.accumulators[max] as u32 + e);
            let mut tops: Vec<(u32, u32)> = tops.iter().map(place).collect();
            tops.sort_unstable();
            let at = shifts.iter().position(|s| s.tops == tops).unwrap_or_else(|| {
                shifts.push(Shift { tops, ..Shift::default() });
                shifts.len() - 1
            });
            shifts[at].uniforms.push((shared.uniforms[&shift.node] + entry) as u32);
            shifts[at].sums.extend(sums);
        }
    }
    Ahead { maxima: PassKernels { steps, tiles, accumulators, ..PassKernels::default() }, shifts }
}

/// Until all data columns are known, made columns are counted from here.
const MADE: u32 = 1 << 31;

/// What the steps of a pass share.
struct Shared<'d> {
    dag: &'d Dag,
    slots: &'d [usize],
    output_column: &'d Known<NodeId, usize>,
    kernels: PassKernels,
    /// How often the graph uses each node.
    uses: Vec<usize>,
    /// First local uniform of a node.
    uniforms: Known<NodeId, usize>,
    /// First local column of a data input.
    columns: Known<u32, usize>,
    /// First tile buffer of a stored node.
    tiles: Known<NodeId, usize>,
    /// First accumulator of a reduction.
    accumulators: Known<NodeId, usize>,
    /// First made column of labels and gathered rows.
    made: Known<NodeId, usize>,
    /// First output column of a sum by groups' terms.
    terms: Known<NodeId, usize>,
}

impl<'d> Shared<'d> {
    fn new(dag: &'d Dag, slots: &'d [usize], output_column: &'d Known<NodeId, usize>) -> Self {
        Shared {
            dag,
            slots,
            output_column,
            kernels: PassKernels::default(),
            uses: uses(dag),
            uniforms: Known::default(),
            columns: Known::default(),
            tiles: Known::default(),
            accumulators: Known::default(),
            made: Known::default(),
            terms: Known::default(),
        }
    }

    /// The load of an entry of a value that this step doesn't compute.
    fn load(&mut self, id: NodeId, at: impl Fn(usize) -> Access) -> Inst {
        let dag = self.dag;
        if !dag.shape(id).varies_over_samples() {
            if let Some(c) = dag.as_constant(id) {
                return Inst::Const(c.to_bits());
            }
            let first = *self.uniforms.entry(id).or_insert_with(|| {
                let first = self.kernels.uniforms.len();
                let slot = self.slots[id.index()];
                self.kernels.uniforms.extend((0..dag.shape(id).entries()).map(|e| (slot + e) as u32));
                first
            });
            return Inst::Uniform(at(first));
        }
        let from = source(dag, id);
        match dag.node(from).op {
            Op::Data(_) | Op::Gather if dag.labels(from).is_some() || dag.node(from).op == Op::Gather => {
                let first = match self.made.get(&from) {
                    Some(first) => *first,
                    None => self.make(from),
                };
                Inst::Column(at(MADE as usize + first))
            }
            Op::Data(k) => {
                let first = *self.columns.entry(k).or_insert_with(|| {
                    let first = self.kernels.columns.len();
                    self.kernels.columns.extend((0..dag.shape(from).entries()).map(|e| (k, e as u32)));
                    first
                });
                Inst::Column(at(first))
            }
            _ => Inst::Tile(at(self.tiles[&from])),
        }
    }
}

impl Shared<'_> {
    /// The place of a label input among the pass's.
    fn label(&mut self, labels: NodeId) -> u32 {
        let Op::Data(input) = self.dag.node(labels).op else { unreachable!("labels are an input") };
        let list = &mut self.kernels.labels;
        let at = list.iter().position(|l| *l == input).unwrap_or_else(|| {
            list.push(input);
            list.len() - 1
        });
        at as u32
    }

    /// Plans the columns of labels as numbers, or of gathered rows; gives the first.
    fn make(&mut self, id: NodeId) -> usize {
        let first = self.kernels.made.len();
        let node = self.dag.node(id);
        if node.op == Op::Gather {
            let (label, slot) = (self.label(node.args[1]), self.slots[node.args[0].index()] as u32);
            let (rows, width) = (self.dag.shape(node.args[0]).dims()[0] as u32, node.shape.entries() as u32);
            self.kernels.made.extend((0..width).map(|entry| Made::Gather { label, slot, rows, width, entry }));
        } else {
            let label = self.label(id);
            self.kernels.made.push(Made::Number { label });
        }
        self.made.insert(id, first);
        first
    }
}

/// How often the results' operations use each node; as a result it is used once more.
fn uses(dag: &Dag) -> Vec<usize> {
    let live = dag.live();
    let mut uses = vec![0; live.len()];
    let operands = dag.ids().filter(|id| live[id.index()]).flat_map(|id| &dag.node(id).args);
    operands.chain(dag.outputs().iter().map(|(_, id)| id)).for_each(|id| uses[id.index()] += 1);
    uses
}

/// Pushes a load; constants go through the builder, which rounds them.
fn push<T: Real>(builder: &mut Builder<T>, inst: Inst) -> V {
    match inst {
        Inst::Const(bits) => builder.lit(f64::from_bits(bits)),
        other => builder.push(other),
    }
}

/// A step without a nest: every entry of every node is a value of its own.
fn unrolled<T: Real>(shared: &mut Shared<'_>, step: &Step) -> Kernel {
    let dag = shared.dag;
    let mut builder = Builder::<T>::new(Default::default());
    let mut values: Known<NodeId, SmallVec<[V; 1]>> = Known::default();
    // The entry of an operand: computed here, or loaded.
    fn entry<T: Real>(shared: &mut Shared<'_>, builder: &mut Builder<T>, values: &Known<NodeId, SmallVec<[V; 1]>>, id: NodeId, e: usize) -> V {
        if let Some(v) = values.get(&id) {
            return v[e];
        }
        let inst = shared.load(id, |first| Access::fixed(first + e));
        push(builder, inst)
    }
    for id in &step.nodes {
        let node = dag.node(*id);
        let entries = node.shape.entries();
        let computed: SmallVec<[V; 1]> = match &node.op {
            Op::Elem(op) => {
                let tables: SmallVec<[Vec<usize>; 3]> =
                    if entries == 1 { SmallVec::new() } else { node.args.iter().map(|a| broadcast_index(dag.shape(*a).dims(), node.shape.dims())).collect() };
                let mut out = SmallVec::with_capacity(entries);
                for e in 0..entries {
                    let mut x: SmallVec<[V; 3]> = SmallVec::new();
                    for (k, a) in node.args.iter().enumerate() {
                        let from = tables.get(k).map_or(0, |t| t[e]);
                        x.push(entry(shared, &mut builder, &values, *a, from));
                    }
                    out.push(lower::elem(&mut builder, *op, &x));
                }
                out
            }
            Op::Broadcast(to) => {
                let table = broadcast_index(dag.shape(node.args[0]).dims(), to.dims());
                table.into_iter().map(|e| entry(shared, &mut builder, &values, node.args[0], e)).collect()
            }
            Op::Arrange(a) => {
                let mut out = SmallVec::with_capacity(entries);
                for source in &a.sources {
                    out.push(match source {
                        Some((operand, e)) => entry(shared, &mut builder, &values, node.args[*operand as usize], *e as usize),
                        None => builder.lit(0.0),
                    });
                }
                out
            }
            Op::Reshape(_) | Op::Detach => (0..entries).map(|e| entry(shared, &mut builder, &values, node.args[0], e)).collect(),
            Op::Reduce(fold, Axis::Dim(_)) => {
                let mut out: SmallVec<[Option<V>; 1]> = smallvec::smallvec![None; entries];
                let table = broadcast_index(node.shape.dims(), dag.shape(node.args[0]).dims());
                for (e, target) in table.into_iter().enumerate() {
                    let v = entry(shared, &mut builder, &values, node.args[0], e);
                    out[target] = Some(match out[target] {
                        None => v,
                        Some(held) => fold_pair(&mut builder, *fold, held, v),
                    });
                }
                out.into_iter().map(|v| v.expect("a dimension is not empty")).collect()
            }
            Op::Const(_) | Op::Data(_) | Op::Param(_) | Op::Count | Op::Reduce(_, Axis::Samples) | Op::Gather | Op::SumBy(_) | Op::Dense(_) => {
                unreachable!("not a step's node")
            }
        };
        if let Some(first) = shared.tiles.get(id) {
            for (e, v) in computed.iter().enumerate() {
                builder.push(Inst::Store(Access::fixed(first + e), *v));
            }
        }
        if shared.uses[id.index()] > 1 {
            computed.iter().for_each(|v| builder.share(*v));
        }
        values.insert(*id, computed);
    }
    for r in &step.reductions {
        let value = dag.node(*r).args[0];
        for e in 0..dag.shape(value).entries() {
            let v = entry(shared, &mut builder, &values, value, e);
            builder.push(match dag.node(*r).op {
                Op::Reduce(fold, _) => Inst::Accumulate(fold, Access::fixed(shared.accumulators[r] + e), v),
                _ => Inst::Output(Access::fixed(shared.terms[r] + e), v),
            });
        }
    }
    for o in &step.outputs {
        for e in 0..dag.shape(*o).entries() {
            let v = entry(shared, &mut builder, &values, *o, e);
            builder.push(Inst::Output(Access::fixed(shared.output_column[o] + e), v));
        }
    }
    builder.finish_contracted()
}

/// One step of a fold, as [`Fold::combine`] does it.
fn fold_pair<T: Real>(builder: &mut Builder<T>, fold: Fold, held: V, v: V) -> V {
    let extreme = match fold {
        Fold::Sum => return builder.add(held, v),
        Fold::Min => builder.min(held, v),
        Fold::Max => builder.max(held, v),
    };
    let nan = builder.ne(held, held);
    builder.select(nan, held, extreme)
}

/// A step with a nest: every node is one value per point.
fn nested<T: Real>(shared: &mut Shared<'_>, step: &Step) -> Kernel {
    let dag = shared.dag;
    let dims = &step.dims;
    let mut builder = Builder::<T>::new(dims.clone());
    let mut values: Known<NodeId, V> = Known::default();
    let access = |operand: &[usize], first: usize| Access { base: first as u32, strides: strides(operand, dims).iter().map(|s| *s as u32).collect() };
    fn point<T: Real>(
        shared: &mut Shared<'_>,
        builder: &mut Builder<T>,
        values: &Known<NodeId, V>,
        id: NodeId,
        access: &dyn Fn(&[usize], usize) -> Access,
    ) -> V {
        if let Some(v) = values.get(&id) {
            return *v;
        }
        let own = shared.dag.shape(id).dims();
        let inst = shared.load(id, |first| access(own, first));
        push(builder, inst)
    }
    for id in &step.nodes {
        let node = dag.node(*id);
        let v = match &node.op {
            Op::Elem(op) => {
                let mut x: SmallVec<[V; 3]> = SmallVec::new();
                for a in &node.args {
                    x.push(point(shared, &mut builder, &values, *a, &access));
                }
                lower::elem(&mut builder, *op, &x)
            }
            Op::Broadcast(_) | Op::Detach => point(shared, &mut builder, &values, node.args[0], &access),
            Op::Reduce(fold, Axis::Dim(_)) => {
                let v = point(shared, &mut builder, &values, node.args[0], &access);
                builder.push(Inst::Fold(*fold, access(node.shape.dims(), shared.tiles[id]), v));
                continue;
            }
            _ => unreachable!("not a nested step's node"),
        };
        if let Some(first) = shared.tiles.get(id) {
            builder.push(Inst::Store(access(node.shape.dims(), *first), v));
        }
        if shared.uses[id.index()] > 1 {
            builder.share(v);
        }
        values.insert(*id, v);
    }
    for r in &step.reductions {
        let node = dag.node(*r);
        let v = point(shared, &mut builder, &values, node.args[0], &access);
        builder.push(match node.op {
            Op::Reduce(fold, _) => Inst::Accumulate(fold, access(node.shape.dims(), shared.accumulators[r]), v),
            _ => Inst::Output(access(dag.shape(node.args[0]).dims(), shared.terms[r]), v),
        });
    }
    for o in &step.outputs {
        let v = point(shared, &mut builder, &values, *o, &access);
        builder.push(Inst::Output(access(dag.shape(*o).dims(), shared.output_column[o]), v));
    }
    builder.finish_contracted()
}
