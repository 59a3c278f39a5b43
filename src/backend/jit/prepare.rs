//! What a pass is before any code: packed, in turns, in groups of points; and held against its tables, since the code has no checks of its own.

use super::jam::{Group, Jammed, jam};
use super::pack;
use super::turns::{Run, Turned, turned};
use crate::kernel::build::expand;
use crate::kernel::ir::{Access, Inst, Kernel, Part, PassKernels, V};
use crate::real::Real;
use std::ops::Range;

/// The pass as it is compiled: columns that are read often in tiles, steps in turns if they are to be.
pub fn prepared(pass: &PassKernels, group: Group) -> Turned<'_> {
    let packed = pack::pack(pass, group);
    if packed.in_turns { turned(packed) } else { Turned::whole(packed) }
}

/// For each step the turns of its run.
pub fn turns_of(runs: &[Run]) -> impl Iterator<Item = Option<usize>> {
    runs.iter().flat_map(|run| run.steps.clone().map(|_| run.turns))
}

/// For each step its functions' kernels: one, or several that the same blocks go through together.
pub fn jammed<T: Real>(pass: &PassKernels, runs: &[Run], group: Group) -> Vec<Vec<Vec<Jammed>>> {
    let of = |kernel: &Kernel, turns: Option<usize>| {
        let mut units: Vec<Vec<Jammed>> = Vec::new();
        for mut part in kernel.whole().iter().flat_map(|part| jam(&expand::<T>(part), group, turns.is_some())) {
            // Another part has begun them.
            part.first &= kernel.parts_fold_apart();
            match units.last_mut() {
                Some(unit) if unit[0].blocks == part.blocks && part.blocks > 0 => unit.push(part),
                _ => units.push(vec![part]),
            }
        }
        units
    };
    pass.steps.iter().zip(turns_of(runs)).map(|(kernel, turns)| of(kernel, turns)).collect()
}

/// The instructions of a function's kernels, as its notes count them.
pub fn one_after_another(unit: &[Jammed]) -> Kernel {
    let mut out = Kernel::default();
    for Jammed { kernel, .. } in unit {
        let before = out.insts.len() as u32;
        out.insts.extend(kernel.insts.iter().map(|inst| inst.map(|v| V(v.0 + before))));
    }
    out
}

/// The functions of some steps, given those of each.
pub fn functions(of: &[Range<usize>]) -> Range<usize> {
    of.first().map_or(0, |r| r.start)..of.last().map_or(0, |r| r.end)
}

/// How many entries of a table are reached.
pub fn entries(pass: &PassKernels, of: impl Fn(&Inst) -> Option<&Access>) -> usize {
    let of = &of;
    let all = pass.steps.iter().flat_map(|kernel| kernel.insts.iter().filter_map(of).map(|at| at.last(&kernel.dims) + 1));
    all.max().unwrap_or(0)
}

/// Every access stays inside its table: the code has no checks of its own.
pub fn check(pass: &PassKernels, runs: &[Run]) -> Result<(), String> {
    for (kernel, turns) in pass.steps.iter().zip(turns_of(runs)) {
        // Which turn it is moves every address by the outermost loop's stride, which must not be a loop of parts.
        let outermost = kernel.dims.len() > if kernel.parts.is_empty() { 0 } else { 2 };
        if turns.is_some_and(|turns| !outermost || kernel.dims[0] != turns) {
            return Err(format!("a step over {:?} in {turns:?} turns", kernel.dims));
        }
    }
    if ![64, 128, 256].contains(&pass.lane_bytes) {
        return Err(format!("{} bytes of lanes", pass.lane_bytes));
    }
    for kernel in &pass.steps {
        if kernel.dims.contains(&0) {
            return Err("a loop over nothing".into());
        }
        let mut free = 0;
        for Part { rows, columns } in &kernel.parts {
            let [.., all_rows, all_columns] = kernel.dims[..] else { return Err("a part of no nest".into()) };
            let inside = rows.end as usize <= all_rows && columns.end as usize <= all_columns;
            if !inside || rows.start < free || rows.is_empty() || columns.is_empty() {
                return Err(format!("a part of {rows:?} x {columns:?} of {all_rows} x {all_columns}"));
            }
            free = rows.end;
        }
        let mut accumulated = Vec::new();
        for inst in &kernel.insts {
            let (at, len, what) = match inst {
                Inst::Column(at) => (at, pass.columns.len() + pass.made.len(), "column"),
                Inst::Tile(at) | Inst::Store(at, _) | Inst::Fold(_, at, _) | Inst::FoldProduct(at, ..) => (at, pass.tiles, "tile buffer"),
                Inst::Uniform(at) => (at, pass.uniforms.len(), "uniform"),
                Inst::Output(at, _) if (at.base as usize) < pass.outputs => (at, pass.outputs, "output"),
                Inst::Output(at, _) => (at, pass.outputs + pass.terms(), "term"),
                Inst::Accumulate(_, at, _) | Inst::AccumulateProduct(at, ..) => (at, pass.accumulators.len(), "accumulator"),
                _ => continue,
            };
            if at.last(&kernel.dims) >= len {
                return Err(format!("{what} {} of {len}", at.last(&kernel.dims)));
            }
            if matches!(inst, Inst::Accumulate(..) | Inst::AccumulateProduct(..)) {
                // The order of a lane's additions would depend on the order of the loops.
                let turns = at.strides.iter().chain(std::iter::repeat(&0)).zip(&kernel.dims).any(|(s, d)| *s == 0 && *d > 1);
                if turns || accumulated.contains(&at) {
                    return Err("an accumulator that is written more than once a sample".into());
                }
                accumulated.push(at);
            }
        }
    }
    Ok(())
}

/// The buffers that folds go through, with the folds' identities: all of them, or those of the first turn and the distance to the next.
pub fn starts<T: Real>(kernel: &Kernel, one_turn: bool) -> Vec<(usize, usize, T)> {
    let mut out = Vec::new();
    for (fold, at) in kernel.folds() {
        let (mut dims, mut further) = (kernel.dims.clone(), 0);
        if let (true, Some(outermost)) = (one_turn, dims.first_mut()) {
            *outermost = 1;
            further = at.strides.first().map_or(0, |s| *s as usize);
        }
        out.extend(at.targets(&dims).into_iter().map(|t| (t, further, T::from_f64(fold.identity()))));
    }
    out
}
