//! Sizes of tiles, and which loads ask the cache for the samples to come. Measured numbers, each with its measurement.

use super::isa::Isa;
use super::jam::Jammed;
use super::{LEAVES, jam};
use crate::backend::LEAF;
use crate::kernel::ir::{Inst, Kernel, PassKernels};
use crate::lines::LINE;
use std::ops::Range;

/// [`Isa::TILE_BYTES_OF_SUMS`] is for no more bytes of accumulators than this: more leave the L1 cache in any case, and a longer tile visits them less often. A perceptron of 64 by 64, with
/// 28, 64, 256 KiB: 30, 30, 26.
const FEW_ACCUMULATORS: usize = 64 << 10;
/// And beyond so many they leave the L2 cache, so that the shortest tile is twice as long: a mixture of 100 Gaussians in 64 dimensions, 4096 samples, with
/// 64, 128, 256 samples: 220, 168, 170.
pub const MANY_ACCUMULATORS: usize = 1 << 20;
/// Buffers of a tile that a turn writes and reads, where steps take turns. 100 Gaussians in 64 dimensions, 4096 samples, with 192, 384, 768, 1536 KiB, ms: `f64` 106, 98, 95, 111; `f32` 103, 80, 65, 53.
const TILE_BYTES_OF_TURNS: usize = 768 << 10;
/// Samples in a tile where no step waits for another: as many as come in a call.
const WHOLE: usize = LEAVES * LEAF;
/// Samples in a tile at most, where steps share tile buffers.
const LONGEST_TILE: usize = 1024;
/// And at least: a multiple of every accumulator's number of lanes.
const SHORTEST_TILE: usize = 64;

/// Bytes that all columns together are asked for ahead of what is read, where nothing waits in tiles; for a column no nearer and no further than
/// the instruction set's two. A cache's own guess is late for many columns, and stops at the end of a page. Measured (f64, one thread, Zen 5 server, 2026-11-22, 10^7 or 10^6
/// samples; ms without, with 1, 2, 4, 8 KiB a column): Gaussian 2.40, 2.05, 1.90, 1.74, 1.65; line through points 4.27, 4.41, 3.92, 3.8, 4.0;
/// 8-dimensional Gaussian 9.3, 3.2, 3.1, 3.5; logistic on 10 columns 4.0, 2.9, 2.7, 2.7. AVX2: `Isa::AHEAD`.
const AHEAD: usize = 12 << 10;

/// Samples in a tile: all of a leaf if no step waits for another.
pub fn tile<I: Isa>(pass: &PassKernels, size: usize, locals: usize) -> usize {
    if pass.tiles == 0 {
        return WHOLE;
    }
    if locals > 0 {
        return (TILE_BYTES_OF_TURNS / (locals * size) / SHORTEST_TILE * SHORTEST_TILE).clamp(SHORTEST_TILE, LONGEST_TILE);
    }
    let few = pass.accumulators.len() * pass.lane_bytes <= FEW_ACCUMULATORS;
    let sums = few && pass.steps.iter().any(jam::sums_stay);
    let bytes = if sums { I::TILE_BYTES_OF_SUMS } else { I::TILE_BYTES };
    let fits = bytes / ((pass.columns.len() + pass.made.len() + pass.tiles + pass.outputs + pass.terms()) * size);
    let shortest = if pass.accumulators.len() * pass.lane_bytes > MANY_ACCUMULATORS { 2 * SHORTEST_TILE } else { SHORTEST_TILE };
    (fits / SHORTEST_TILE * SHORTEST_TILE).clamp(shortest, LONGEST_TILE)
}

/// Numbers from one tile buffer to the next: an odd number of cache lines, so that the same samples of many buffers lie in many sets of a cache.
pub fn pitch(tile: usize, size: usize) -> usize {
    ((tile * size).div_ceil(LINE) | 1) * LINE / size
}

/// Operations of a step for each cache line that its points ask for, at least: enough to hide that.
const A_LINE: usize = 16;
/// Lines asked for at one point, at most.
const LINES_AT_ONCE: usize = 256;

/// Columns that the points of a step's nest ask the cache for, a tile of `tile` bytes ahead: those that other steps do nothing but copy, by the step that computes longest. Asked for where they are
/// copied, all at once, they make the copy wait for memory. Measured (perceptron of 64 by 64, 10^5 samples, Zen 5 server, ns a sample where they are copied, and so, with one thread and with two):
/// `f64` 216, 193; 113, 103, `f32` 105, 96; 56, 51, as in cache; with AVX2 on the same server 410, 392, `f32` 195, 191.
pub fn apart(units: &[&Vec<Jammed>], columns: usize, tile: usize) -> Option<Apart> {
    // What functions do nothing but copy, several points at once.
    let copied = |unit: &Vec<Jammed>| -> Vec<usize> {
        let kernels = || unit.iter().map(|part| &part.kernel);
        let copies = kernels().flat_map(|kernel| &kernel.insts).all(|inst| matches!(inst, Inst::Column(_) | Inst::Store(..)));
        let read = kernels().flat_map(|kernel| kernel.insts.iter().flat_map(|inst| reached(kernel, inst)));
        if copies { read.collect() } else { Vec::new() }
    };
    let each: Vec<Vec<usize>> = units.iter().map(|unit| copied(unit)).collect();
    let mut all: Vec<usize> = each.iter().flatten().copied().filter(|c| *c < columns).collect();
    all.sort_unstable();
    all.dedup();
    let columns = all.chunk_by(|a, b| a + 1 == *b).max_by_key(|run| run.len()).map(|run| run[0]..run[run.len() - 1] + 1)?;
    let computes = |inst: &&Inst| !matches!(inst, Inst::Column(_) | Inst::Tile(_) | Inst::Uniform(_) | Inst::Const(_) | Inst::Store(..));
    let long = |unit: &Vec<Jammed>| match &unit[..] {
        [Jammed { kernel, blocks: 0, .. }] => match kernel.dims[..] {
            [points] => {
                let operations = points * kernel.insts.iter().filter(computes).count();
                let fits = operations >= A_LINE * columns.len() && columns.len().div_ceil(points) * tile.div_ceil(LINE) <= LINES_AT_ONCE;
                fits.then_some(operations)
            }
            _ => None,
        },
        _ => None,
    };
    let (by, _) = units.iter().enumerate().filter_map(|(n, unit)| Some((n, long(unit)?))).max_by_key(|(_, operations)| *operations)?;
    let copies = (0..each.len()).filter(|n| !each[*n].is_empty() && each[*n].iter().all(|c| columns.contains(c))).collect();
    Some(Apart { columns, by, copies })
}

/// What is asked for apart from where it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Apart {
    /// These columns,
    pub columns: Range<usize>,
    /// by this function,
    pub by: usize,
    /// and not by these, which copy them.
    pub copies: Vec<usize>,
}

/// What each of so many points asks for of some columns, given how many are left, itself included: column `from + left - 1` for each `from`, as long as no more are left than the limit
/// beside it, if there is one.
pub fn shares(columns: Range<usize>, points: usize) -> impl Iterator<Item = (usize, Option<usize>)> {
    let end = columns.end;
    columns.step_by(points).map(move |from| (from, (from + points > end).then(|| end - from)))
}

/// The columns that an instruction reads at the points of its kernel's nest.
fn reached(kernel: &Kernel, inst: &Inst) -> Vec<usize> {
    if let Inst::Column(at) = inst { at.targets(&kernel.dims) } else { Vec::new() }
}

/// For each kernel the instructions that ask the cache for the samples to come: of a column that one kernel reads, its loads; of columns that several
/// read, every other one's in the first of them and the others' in the last, so that memory is busy in both.
pub fn asking<'k>(kernels: impl DoubleEndedIterator<Item = &'k Kernel> + Clone, columns: usize) -> Vec<Vec<bool>> {
    // How many kernels read each column.
    let mut left = vec![0usize; columns];
    let note = |kernel: &Kernel, counts: &mut Vec<usize>, by: isize| {
        let mut seen = vec![false; columns];
        for c in kernel.insts.iter().flat_map(|inst| reached(kernel, inst)) {
            if c < columns && !std::mem::replace(&mut seen[c], true) {
                counts[c] = counts[c].wrapping_add_signed(by);
            }
        }
    };
    kernels.clone().for_each(|kernel| note(kernel, &mut left, 1));
    let mut before = vec![0usize; columns];
    kernels
        .map(|kernel| {
            note(kernel, &mut left, -1);
            let mut ordinal = 0;
            let asks = kernel.insts.iter().map(|inst| {
                let Some(c) = reached(kernel, inst).into_iter().find(|c| *c < columns) else { return false };
                ordinal += 1;
                match (before[c] > 0, left[c] > 0) {
                    (false, false) => true,
                    (false, true) => ordinal % 2 == 0,
                    (true, false) => ordinal % 2 == 1,
                    (true, true) => false,
                }
            });
            let asks = asks.collect();
            note(kernel, &mut before, 1);
            asks
        })
        .collect()
}

/// Bytes ahead of what is read that a column is asked for, if nothing waits in tiles.
pub fn ahead<I: Isa>(columns: usize) -> usize {
    let (nearest, furthest) = I::AHEAD;
    (AHEAD / columns.max(1) / LINE * LINE).clamp(nearest, furthest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ir::{Access, Un, V};
    use smallvec::smallvec;

    fn copy(from: u32, len: usize) -> Vec<Jammed> {
        let at = |base| Access { base, strides: smallvec![1] };
        let kernel = Kernel { dims: smallvec![len], insts: vec![Inst::Column(at(from)), Inst::Store(at(0), V(0))], ..Kernel::default() };
        vec![Jammed { kernel, blocks: 0, first: false }]
    }

    fn long(points: usize, operations: u32) -> Vec<Jammed> {
        let load = std::iter::once(Inst::Tile(Access::fixed(0)));
        let insts = load.chain((0..operations).map(|k| Inst::Un(Un::Neg, V(k)))).collect();
        vec![Jammed { kernel: Kernel { dims: smallvec![points], insts, ..Kernel::default() }, blocks: 0, first: false }]
    }

    #[test]
    fn copied_columns_are_asked_for_by_the_longest_step() {
        let found = |units: &[Vec<Jammed>], tile: usize| apart(&units.iter().collect::<Vec<_>>(), 40, tile);
        // Those that follow each other.
        let units = [copy(3, 10), copy(15, 2), copy(13, 1), long(4, 90), long(2, 100), long(9, 6)];
        assert_eq!(found(&units, 512), Some(Apart { columns: 3..14, by: 3, copies: vec![0, 2] }));
        // Nothing computes for long, or there are too few points for so long a tile, or nothing is copied; the copies themselves compute nothing.
        assert_eq!(found(&[copy(3, 10), long(9, 6)], 512), None);
        assert_eq!(found(&[copy(3, 30), long(3, 900)], 512).map(|apart| apart.by), Some(1));
        assert_eq!(found(&[copy(3, 30), long(3, 900)], 4096), None);
        assert_eq!(found(&[long(4, 90)], 512), None);
        let group = <super::super::isa::Avx512 as Isa>::GROUP;
        let jammed = jam::jam(&copy(0, 32)[0].kernel, group, false);
        assert!(jammed[0].kernel.insts.len() >= A_LINE, "several points at once");
        assert_eq!(found(&[jammed], 512), None);
    }

    #[test]
    fn shares_are_each_column_once() {
        for (first, len, points) in (0..3).flat_map(|first| (1..20).flat_map(move |len| (1..25).map(move |points| (first, len, points)))) {
            let mut asked: Vec<usize> = Vec::new();
            for left in 1..=points {
                asked.extend(
                    shares(first..first + len, points).take_while(|(_, limit)| limit.is_none_or(|limit| left <= limit)).map(|(from, _)| from + left - 1),
                );
            }
            asked.sort_unstable();
            assert_eq!(asked, (first..first + len).collect::<Vec<_>>(), "{points} points");
        }
    }
}
