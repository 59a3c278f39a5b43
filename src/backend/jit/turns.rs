//! Steps that share their outermost loop take its turns together. A mixture of K Gaussians is, step by step for all components,
//!
//! ```text
//! y[k, i] = x[i] - mu[k, i]        z[k, i] = sum_j q[k, i, j] y[k, j]        t[k] = sum_i z[k, i]^2
//! r[k] = what the log-sum-exp over k makes of them
//! s[k, i] = r[k] z[k, i]           sum over samples of s[k, i] y[k, j]
//! ```
//! and the buffers of all y and z leave every cache between one step and the next, unless a tile is so short that the accumulators do. Turn by turn, with
//! what the later steps need of y and z made again, one component's buffers are all there is:
//!
//! ```text
//! for k: y[i] = ..  z[i] = ..  t[k] = ..
//! r[k] = ..
//! for k: y[i] = ..  z[i] = ..  s[i] = ..  sums[k, i, j] += ..
//! ```
//! The same operations on the same numbers, and each accumulator's samples in their order: the bits are the interpreter's.

use crate::kernel::ir::{Access, Inst, Kernel, PassKernels, V};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Steps one after the other, again for each turn of the outermost loop that they share.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Which steps.
    pub steps: Range<usize>,
    /// How many turns; none where every step takes its whole nest at once.
    pub turns: Option<usize>,
}

/// A pass and how its steps are run.
pub struct Turned<'p> {
    /// The pass.
    pub pass: Cow<'p, PassKernels>,
    /// All of its steps.
    pub runs: Vec<Run>,
    /// Tile buffers that every turn writes anew.
    pub locals: usize,
}

impl<'p> Turned<'p> {
    /// Every step for itself.
    pub fn whole(pass: Cow<'p, PassKernels>) -> Self {
        let runs = vec![Run { steps: 0..pass.steps.len(), turns: None }];
        Turned { pass, runs, locals: 0 }
    }
}

/// What an instruction does to tile buffers.
fn buffers(inst: &Inst) -> Option<(&Access, bool)> {
    match inst {
        Inst::Tile(at) => Some((at, false)),
        Inst::Store(at, _) | Inst::Fold(_, at, _) | Inst::FoldProduct(at, ..) => Some((at, true)),
        _ => None,
    }
}

/// The buffers from the first to the last that an access reaches.
type Span = (usize, usize);

fn span(at: &Access, dims: &[usize]) -> Span {
    (at.base as usize, at.last(dims))
}

/// Those of the first turn.
fn turn(at: &Access, dims: &[usize]) -> Span {
    let inner = at.strides.iter().zip(dims).skip(1).map(|(s, d)| *s as usize * (d - 1)).sum::<usize>();
    (at.base as usize, at.base as usize + inner)
}

fn stride(at: &Access) -> usize {
    at.strides.first().map_or(0, |s| *s as usize)
}

fn overlap(a: Span, b: Span) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

fn covers(a: Span, b: Span) -> bool {
    a.0 <= b.0 && b.1 <= a.1
}

/// An instruction that writes tile buffers.
struct Sink<'p> {
    step: usize,
    inst: usize,
    at: &'p Access,
    dims: &'p [usize],
}

impl Sink<'_> {
    fn span(&self) -> Span {
        span(self.at, self.dims)
    }
}

/// The tile buffers of a pass: who writes them, and which steps go through the same outermost loop without touching each other's turns.
struct Buffers<'p> {
    pass: &'p PassKernels,
    sinks: Vec<Sink<'p>>,
    /// For each step its group.
    groups: Vec<Option<usize>>,
    /// For each group its steps.
    ranges: Vec<Range<usize>>,
}

/// The pass with its steps in groups, where there are such; as it is otherwise.
pub fn turned(pass: Cow<'_, PassKernels>) -> Turned<'_> {
    let own = Buffers::of(&pass);
    if own.ranges.is_empty() {
        return Turned::whole(pass);
    }
    let (pass, runs, locals) = own.in_turns();
    Turned { pass: Cow::Owned(pass), runs, locals }
}

impl<'p> Buffers<'p> {
    fn of(pass: &'p PassKernels) -> Self {
        let mut sinks = Vec::new();
        for (step, kernel) in pass.steps.iter().enumerate() {
            for (inst, of) in kernel.insts.iter().enumerate() {
                if let Some((at, true)) = buffers(of) {
                    sinks.push(Sink { step, inst, at, dims: &kernel.dims });
                }
            }
        }
        let mut out = Buffers { pass, sinks, groups: vec![None; pass.steps.len()], ranges: Vec::new() };
        // The loops that parts are parts of are the last two.
        let lead = |s: usize| out.pass.steps.get(s).filter(|k| k.dims.len() >= if k.parts.is_empty() { 2 } else { 3 }).map(|k| k.dims[0]);
        let mut ranges = Vec::new();
        let mut s = 0;
        while s < pass.steps.len() {
            let mut end = s + 1;
            if lead(s).is_some() && out.by_turns(s..end) {
                while lead(end) == lead(s) && out.by_turns(s..end + 1) {
                    end += 1;
                }
                ranges.push(s..end);
            }
            s = end;
        }
        for (g, range) in ranges.iter().enumerate() {
            out.groups[range.clone()].fill(Some(g));
        }
        out.ranges = ranges;
        out
    }

    /// What one of these steps writes, they read and write in the same turn only.
    fn by_turns(&self, steps: Range<usize>) -> bool {
        let own = || self.sinks.iter().filter(|sink| steps.contains(&sink.step));
        let mut touched = self.pass.steps[steps.clone()].iter().flat_map(|k| k.insts.iter().filter_map(buffers).map(|(at, _)| (at, &k.dims[..])));
        touched.all(|(at, dims)| {
            let apart = |sink: &Sink<'_>| {
                let ((a, b), (c, d)) = (turn(at, dims), turn(sink.at, sink.dims));
                stride(at) == stride(sink.at) && b.max(d) - a.min(c) < stride(at)
            };
            own().filter(|sink| overlap(sink.span(), span(at, dims))).all(apart)
        })
    }

    /// Who wrote what a step reads there, if it was one instruction.
    fn writer(&self, step: usize, of: Span) -> Option<usize> {
        let k = self.sinks.iter().rposition(|sink| sink.step < step && overlap(sink.span(), of))?;
        covers(self.sinks[k].span(), of).then_some(k)
    }

    /// Whether something is written there by the steps.
    fn written(&self, of: Span, steps: Range<usize>) -> bool {
        self.sinks.iter().any(|sink| steps.contains(&sink.step) && overlap(sink.span(), of))
    }

    /// Whether `sink` wrote, in another group, what is read at `at` in group `g` turn by turn: several buffers in each.
    fn elsewhere(&self, sink: usize, at: &Access, dims: &[usize], g: usize) -> bool {
        let Sink { step, at: from, dims: own, .. } = &self.sinks[sink];
        let many = turn(from, own);
        let other = self.groups[*step].is_some_and(|other| other != g);
        other && own[0] == dims[0] && stride(from) == stride(at) && covers(many, turn(at, dims)) && many.1 - many.0 < stride(from) && many.0 < many.1
    }

    /// Adds to `again` what has to be computed again at the head of group `g` for this sink's buffers to be there. `false` if that can't be.
    fn repeat(&self, sink: usize, g: usize, again: &mut BTreeSet<usize>) -> bool {
        if again.contains(&sink) {
            return true;
        }
        let Sink { step, inst, .. } = self.sinks[sink];
        let kernel = only(&self.pass.steps[step], &[inst]);
        for read in &kernel.insts {
            let Inst::Tile(at) = read else { continue };
            let of = span(at, &kernel.dims);
            let from = self.writer(step, of);
            let repeats = from.is_some_and(|from| self.elsewhere(from, at, &kernel.dims, g) && self.repeat(from, g, again));
            // Nobody may have written there since, nor in an earlier turn of the group.
            if !repeats && self.written(of, step + 1..self.ranges[g].end) {
                return false;
            }
        }
        again.insert(sink);
        true
    }

    /// The reads of a step, each with the sink it reads from, if that is one.
    fn reads(&self, step: usize) -> impl Iterator<Item = (&Access, Option<usize>)> {
        let kernel = &self.pass.steps[step];
        kernel.insts.iter().filter_map(move |inst| if let Inst::Tile(at) = inst { Some((at, self.writer(step, span(at, &kernel.dims)))) } else { None })
    }

    /// The sinks whose buffers group `g` computes again.
    fn repeats(&self, g: usize) -> BTreeSet<usize> {
        let mut again = BTreeSet::new();
        for step in self.ranges[g].clone() {
            for (at, sink) in self.reads(step) {
                let Some(sink) = sink.filter(|sink| self.elsewhere(*sink, at, &self.pass.steps[step].dims, g)) else { continue };
                let mut more = again.clone();
                if self.repeat(sink, g, &mut more) {
                    again = more;
                }
            }
        }
        // Whoever reads one of them in the group has to find all of it in the turn at hand.
        let steps = self.ranges[g].clone().chain(again.iter().map(|sink| self.sinks[*sink].step));
        let mut reads = steps.flat_map(|step| self.reads(step).map(move |(at, sink)| (step, at, sink)));
        let whole = reads.all(|(step, at, sink)| sink.is_none_or(|sink| !again.contains(&sink) || self.elsewhere(sink, at, &self.pass.steps[step].dims, g)));
        if whole { again } else { BTreeSet::new() }
    }

    /// The pass in groups, and how many buffers each turn writes anew.
    fn in_turns(&self) -> (PassKernels, Vec<Run>, usize) {
        let repeats: Vec<BTreeSet<usize>> = (0..self.ranges.len()).map(|g| self.repeats(g)).collect();
        let mut new = Steps::default();
        let mut runs: Vec<Run> = Vec::new();
        for (step, kernel) in self.pass.steps.iter().enumerate() {
            let group = self.groups[step];
            let first = group.is_some_and(|g| self.ranges[g].start == step);
            if first || group.is_none() && runs.last().is_none_or(|run| run.turns.is_some()) {
                runs.push(Run { steps: new.steps.len()..0, turns: group.map(|_| kernel.dims[0]) });
            }
            if let (true, Some(g)) = (first, group) {
                // Steps in their order, each with all it is repeated for.
                let mut by_step: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
                repeats[g].iter().for_each(|sink| by_step.entry(self.sinks[*sink].step).or_default().push(self.sinks[*sink].inst));
                for (from, insts) in by_step {
                    new.push(self, only(&self.pass.steps[from], &insts), from, Some(g), &repeats);
                }
            }
            new.push(self, kernel.clone(), step, group, &repeats);
            if let Some(run) = runs.last_mut() {
                run.steps.end = new.steps.len();
            }
        }
        let mut pass = PassKernels { steps: Vec::new(), ..self.pass.clone() };
        let locals;
        (pass.steps, pass.tiles, locals) = new.placed(self);
        (pass, runs, locals)
    }
}

/// A kernel with these of its sinks alone.
fn only(kernel: &Kernel, sinks: &[usize]) -> Kernel {
    let mut map: Vec<V> = Vec::with_capacity(kernel.insts.len());
    let mut insts: Vec<Inst> = Vec::new();
    for (k, inst) in kernel.insts.iter().enumerate() {
        map.push(V(insts.len() as u32));
        if !inst.is_sink() || sinks.contains(&k) {
            insts.push(inst.map(|v| map[v.index()]));
        }
    }
    Kernel { insts, ..kernel.clone() }.without_dead()
}

/// Buffers that one sink writes: the pass's own, or those of a repetition in a group.
type Array = (usize, Option<usize>);

/// The steps as they will be, with the array that each access to tile buffers is to, if that is known.
#[derive(Default)]
struct Steps {
    steps: Vec<(Kernel, Option<usize>, Vec<Option<Array>>)>,
}

impl Steps {
    /// Adds step `from` of the pass, or what is left of it, to a group.
    fn push(&mut self, pass: &Buffers<'_>, kernel: Kernel, from: usize, group: Option<usize>, repeats: &[BTreeSet<usize>]) {
        let repeated = |sink: usize| group.filter(|g| repeats[*g].contains(&sink) && pass.groups[pass.sinks[sink].step] != Some(*g));
        let array = |inst: &Inst| {
            let (at, writes) = buffers(inst)?;
            let sink = if writes { pass.sinks.iter().position(|sink| sink.step == from && sink.at == at) } else { pass.writer(from, span(at, &kernel.dims)) };
            sink.map(|sink| (sink, repeated(sink)))
        };
        let arrays = kernel.insts.iter().map(array).collect();
        self.steps.push((kernel, group, arrays));
    }

    /// Kernels with the buffers they will have, how many, and how many of those are written anew in each turn: what stays within the turns of a group.
    fn placed(self, pass: &Buffers<'_>) -> (Vec<Kernel>, usize, usize) {
        // Where each array is touched; `None` if by steps of several groups, or with other strides.
        let mut homes: BTreeMap<Array, Option<usize>> = BTreeMap::new();
        let mut unknown: Vec<Span> = Vec::new();
        for (kernel, group, arrays) in &self.steps {
            for (inst, array) in kernel.insts.iter().zip(arrays) {
                let Some((at, _)) = buffers(inst) else { continue };
                let Some(array) = array else {
                    unknown.push(span(at, &kernel.dims));
                    continue;
                };
                let written = &pass.sinks[array.0];
                let (own, here) = (turn(written.at, written.dims), turn(at, &kernel.dims));
                let alike = stride(at) == stride(written.at) && covers(own, here) && own.1 - own.0 < stride(at);
                let home = group.filter(|_| alike);
                homes.entry(*array).and_modify(|held| *held = held.filter(|h| Some(*h) == home)).or_insert(home);
            }
        }
        for (array, home) in &mut homes {
            // A buffer a turn is not worth it: what comes after the turns reads them all.
            let sink = &pass.sinks[array.0];
            let several = turn(sink.at, sink.dims);
            if several.0 == several.1 || array.1.is_none() && unknown.iter().any(|u| overlap(*u, sink.span())) {
                *home = None;
            }
        }
        // The others keep their neighbours.
        let mut spans = unknown;
        spans.extend(homes.iter().filter(|(_, home)| home.is_none()).map(|((sink, _), _)| pass.sinks[*sink].span()));
        spans.sort_unstable();
        let mut kept: Vec<(Span, usize)> = Vec::new();
        let mut tiles = 0;
        for (first, end) in spans {
            match kept.last_mut() {
                Some(((_, until), _)) if first <= *until + 1 => {
                    tiles += end.max(*until) - *until;
                    *until = end.max(*until);
                }
                _ => {
                    kept.push(((first, end), tiles));
                    tiles += end + 1 - first;
                }
            }
        }
        let mut locals: BTreeMap<Array, usize> = BTreeMap::new();
        let mut room: BTreeMap<usize, usize> = BTreeMap::new();
        for (array, home) in &homes {
            if let Some(group) = home {
                let (from, until) = turn(pass.sinks[array.0].at, pass.sinks[array.0].dims);
                let place = room.entry(*group).or_insert(tiles);
                locals.insert(*array, *place);
                *place += until + 1 - from;
            }
        }
        let all = room.values().copied().max().unwrap_or(tiles);
        let place = |at: &mut Access, array: Option<Array>| match array.and_then(|a| Some((a.0, locals.get(&a)?))) {
            Some((sink, local)) => {
                at.base = (*local + at.base as usize - pass.sinks[sink].at.base as usize) as u32;
                at.strides[0] = 0;
            }
            None => {
                let held = kept.iter().rev().find(|((from, _), _)| *from <= at.base as usize);
                let ((from, _), to) = held.expect("every buffer that stays has its place");
                at.base = (to + at.base as usize - from) as u32;
            }
        };
        let mut kernels = Vec::with_capacity(self.steps.len());
        for (mut kernel, _, arrays) in self.steps {
            for (inst, array) in kernel.insts.iter_mut().zip(arrays) {
                if let Inst::Tile(at) | Inst::Store(at, _) | Inst::Fold(_, at, _) | Inst::FoldProduct(at, ..) = inst {
                    place(at, array);
                }
            }
            kernels.push(kernel);
        }
        (kernels, all, all - tiles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Fold;
    use crate::kernel::ir::Bin;

    fn at(base: u32, strides: &[u32]) -> Access {
        Access { base, strides: strides.into() }
    }

    fn step(dims: &[usize], insts: Vec<Inst>) -> Kernel {
        Kernel { dims: dims.into(), insts, ..Kernel::default() }
    }

    /// The mixture of this module's first lines, three components in four dimensions; `y` is scaled by three numbers that lie at `scales`.
    fn mixture(scales: u32) -> PassKernels {
        let (y, z) = (at(0, &[4, 1]), at(12, &[4, 1]));
        let first = (0..3).flat_map(|k| [Inst::Column(at(k, &[])), Inst::Store(at(scales + k, &[]), V(2 * k))]).collect();
        let shares = (0..3).flat_map(|k| [Inst::Tile(at(24 + k, &[])), Inst::Store(at(27 + k, &[]), V(2 * k))]).collect();
        let steps = vec![
            step(&[], first),
            step(&[3, 4], vec![Inst::Column(at(0, &[0, 1])), Inst::Tile(at(scales, &[1, 0])), Inst::Bin(Bin::Mul, V(0), V(1)), Inst::Store(y.clone(), V(2))]),
            step(&[3, 4, 4], vec![Inst::Uniform(at(0, &[16, 4, 1])), Inst::Tile(at(0, &[4, 0, 1])), Inst::FoldProduct(at(12, &[4, 1, 0]), V(0), V(1))]),
            step(&[3, 4], vec![Inst::Tile(z.clone()), Inst::FoldProduct(at(24, &[1, 0]), V(0), V(0))]),
            step(&[], shares),
            step(&[3, 4], vec![Inst::Tile(z), Inst::Tile(at(27, &[1, 0])), Inst::Bin(Bin::Mul, V(0), V(1)), Inst::Store(at(30, &[4, 1]), V(2))]),
            step(&[3, 4, 4], vec![Inst::Tile(at(30, &[4, 1, 0])), Inst::Tile(at(0, &[4, 0, 1])), Inst::AccumulateProduct(at(0, &[16, 4, 1]), V(0), V(1))]),
        ];
        let accumulators = (0..48).map(|k| (Fold::Sum, k)).collect();
        PassKernels { steps, columns: (0..4).map(|k| (0, k)).collect(), uniforms: (0..48).collect(), tiles: 45, accumulators, ..PassKernels::default() }
    }

    #[test]
    fn components_one_by_one_with_buffers_of_one() {
        let pass = mixture(42);
        let Turned { pass, runs, locals } = turned(Cow::Borrowed(&pass));
        let run = |steps, turns| Run { steps, turns };
        assert_eq!(runs, [run(0..1, None), run(1..4, Some(3)), run(4..5, None), run(5..9, Some(3))]);
        // y, z and s; beside them the scales, the squares and the shares.
        assert_eq!((locals, pass.tiles), (12, 9 + 12));
        let [again, .., last] = &pass.steps[5..] else { panic!("{} steps", pass.steps.len()) };
        assert_eq!((&again.dims[..], &again.insts[..2]), (&[3, 4][..], &pass.steps[1].insts[..2]));
        let strides: Vec<&[u32]> = last.insts.iter().filter_map(|inst| Some(&buffers(inst)?.0.strides[..])).collect();
        assert_eq!(strides, [&[0, 1, 0][..], &[0, 0, 1]]);
    }

    #[test]
    fn nothing_is_made_again_from_what_is_gone() {
        // The last turns write where the scales are: they would spoil the next turn's y, which stays as it is then. z is made again from it.
        let pass = mixture(30);
        let Turned { pass, runs, locals } = turned(Cow::Borrowed(&pass));
        assert_eq!(runs.last(), Some(&Run { steps: 5..8, turns: Some(3) }));
        assert_eq!((&pass.steps[5].dims[..], pass.steps[5].insts[1].clone()), (&[3, 4, 4][..], Inst::Tile(at(0, &[4, 0, 1]))));
        // z; s shares its place with the scales, and stays there.
        assert_eq!(locals, 4);
    }
}
