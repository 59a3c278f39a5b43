//! Native code for x86-64: a pass's kernels become machine code at run time, for AVX-512 or for AVX2 with FMA, whichever the CPU has.
//!
//! `docs/codegen.md` follows a kernel through this room. In order: `prepare` (a pass packed, in turns and in groups of points: `pack`, `turns`, `jam`, `tiles`), `machine` (kernel IR to operations over virtual values), `operations`, `body` and
//! `registers` (operations to instructions over the registers that linear scan gives out), `function` (the loops around), `code` (bytes), `pages`
//! (executable memory), `call`. `isa` and `cpu` know the two instruction sets, `frame` who lives where, `listing` prints.

mod beside;
mod body;
mod call;
mod code;
mod combine;
mod contraction;
mod cpu;
#[cfg(test)]
pub mod fault;
mod frame;
mod function;
mod halves;
mod isa;
mod jam;
mod listing;
mod machine;
mod operations;
mod order;
mod pack;
mod pages;
mod prepare;
mod registers;
mod samples;
mod tiles;
mod turns;

use super::{Executable, LEAF, Leaf, Scratch, combine_lanes};
use crate::graph::Fold;
use crate::kernel::ir::{Inst, Kernel, PassKernels};
use crate::lines::{Aligned, LINE, aligned};
use crate::ranges::ranges;
use crate::real::Real;
use body::Sizes;
use code::{Bytes, Note};
use cpu::{HasAvx2, HasAvx512, Target};
use frame::words;
use function::Role;
use isa::{Avx2, Avx512, Isa};
use jam::Jammed;
use machine::{Pool, Program};
use pages::Pages;
use prepare::{check, entries, functions, jammed, one_after_another, prepared, starts, turns_of};
use std::fmt;
use std::ops::Range;
use tiles::{MANY_ACCUMULATORS, asking, pitch, tile};
use turns::{Run, Turned};

/// Leaves in one call of a pass whose code adds up their lanes: enough that what a call costs is nothing beside them.
const LEAVES: usize = 16;
/// Bytes of columns that lie in the second cache from one call to the next.
const NEAR: usize = 256 << 10;
/// Columns of so many bytes together are in the last cache at most, where cores share one of 32 MiB. Measured (Zen 3, line through points whose columns don't start at lines, ns a sample in several
/// ways over in one way): 0.64 with 3, 5, 6 and 10 MB, 1.0 with 16, 1.2 with 160.
const CACHED: usize = 8 << 20;
/// Bytes of a column gone through in one way before the next begins, where there are several: from a cache, and from further away. Measured (Zen 3 server with 32 KiB of L1, line through points,
/// one thread): 10,000 samples, `f64` and `f32`, cycles a sample with 2 KiB 0.65, 0.34, with 1 KiB 0.69, 0.41, in one way 0.9, 0.5; 10^7 samples, the C's time over ours, `f32` with 2, 1, 0.75, 0.5 KiB
/// 0.88, 0.99, 0.95, 0.88, in one way 0.93; columns that start 16 bytes past a line 0.93 with 1 KiB, in one way 0.96.
const AT_ONCE: [usize; 2] = [2 << 10, 1 << 10];

/// Whether this machine can run AVX2 code, and AVX-512 code.
pub fn available() -> (bool, bool) {
    (HasAvx2::ask().is_some(), HasAvx512::ask().is_some())
}

/// Whether the system lets this process have executable pages.
///
/// # Errors
/// What it said.
pub fn pages_available() -> Result<(), String> {
    // `ret`
    Pages::new(&[0xc3]).map(|_| ())
}

/// A pass as machine code.
pub struct Jit<T> {
    target: Target,
    pages: Pages,
    notes: Vec<(u32, Note)>,
    steps: Vec<Step<T>>,
    /// In which order they are called.
    runs: Vec<Run>,
    /// Where the function starts that adds up lanes, if the steps don't.
    sums: Option<usize>,
    /// The pass's only function adds up the lanes of each leaf.
    adds_up: bool,
    /// Leaves in one call, at most.
    leaves: usize,
    constants: Box<[Line]>,
    folds: Vec<Fold>,
    /// Accumulators whose lanes hold their identities before a leaf; the code writes those of the others before it reads them.
    filled: Vec<Range<usize>>,
    /// Sums whose lanes are added up, and those that have none: 0.
    summed: Vec<Range<usize>>,
    unwritten: Vec<Range<usize>>,
    /// Whether some fold is not a sum.
    extremes: bool,
    /// Lanes of an accumulator.
    lanes: usize,
    /// Samples in a tile.
    tile: usize,
    /// The functions go on from what the lanes hold, so that a leaf can be run in parts.
    by_tiles: bool,
    tiles: usize,
    /// Data columns.
    columns: usize,
    /// Columns made for the leaf.
    made: usize,
    uniforms: usize,
    /// Per-sample results of the whole plan.
    results: usize,
    /// Those that are written, at least.
    written: usize,
    /// Columns of terms of sums by groups.
    terms: usize,
    code_bytes: usize,
    spills: u32,
    mend: usize,
}

/// What becomes of an accumulator's lanes.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Nobody writes them.
    Unwritten,
    /// They are read and written: they hold the identity first.
    Filled,
    /// They are written in a leaf's first samples, and read after.
    Started,
}

struct Step<T> {
    /// Where its function starts.
    offset: usize,
    /// Tile buffers that folds start from, how much further those of the next turn lie, and their identity.
    starts: Vec<(usize, usize, T)>,
    /// But for whole groups of so many samples.
    group: usize,
}

impl<T> fmt::Debug for Jit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jit").field("target", &self.target).field("pages", &self.pages).field("functions", &self.steps.len()).finish_non_exhaustive()
    }
}

impl<T: Real> Jit<T> {
    /// Compiles a pass for AVX-512.
    ///
    /// # Errors
    /// Why it can't be: the CPU, the system, or what the kernels contain.
    pub fn avx512(pass: &PassKernels) -> Result<Self, String> {
        let target = HasAvx512::ask().ok_or("the CPU has no AVX-512 F, DQ and VL")?;
        Self::compile::<Avx512>(pass, Target::Avx512(target))
    }

    /// Compiles a pass for AVX2.
    ///
    /// # Errors
    /// As [`Jit::avx512`].
    pub fn avx2(pass: &PassKernels) -> Result<Self, String> {
        let target = HasAvx2::ask().ok_or("the CPU has no AVX2 and FMA")?;
        Self::compile::<Avx2>(pass, Target::Avx2(target))
    }

    fn compile<I: Isa>(pass: &PassKernels, target: Target) -> Result<Self, String> {
        let size = size_of::<T>();
        let Turned { pass, runs, locals } = prepared(pass, I::GROUP);
        let pass = &*pass;
        check(pass, &runs)?;
        let lanes = pass.lanes::<T>();
        let tile = tile::<I>(pass, size, locals);
        // Each step's kernels, and which of their loads ask the cache for the samples to come.
        let kernels: Vec<Vec<Vec<Jammed>>> = jammed::<T>(pass, &runs, I::GROUP);
        let mut asking = asking(kernels.iter().flatten().flatten().map(|j| &j.kernel), pass.columns.len()).into_iter();
        let units: Vec<&Vec<Jammed>> = kernels.iter().flatten().collect();
        let apart = if runs.iter().all(|run| run.turns.is_none()) { tiles::apart(&units, pass.columns.len(), tile * size) } else { None };
        let ahead = if pass.tiles == 0 { tiles::ahead::<I>(pass.columns.len()) } else { tile * size };
        let columns = pass.columns.len() + pass.made.len();
        let sizes = Sizes { double: T::DOUBLE, number: size, tile: pitch(tile, size) * size, lanes: lanes * size, columns, ahead, leaf: LEAF * size };
        let mut pool = Pool::default();
        let mut bytes = Bytes { code: Vec::new(), notes: Vec::new() };
        let mut steps = Vec::new();
        let mut spills = 0;
        let by_tiles = pass.by_tiles || pass.tiles > 0;
        let mut fates = vec![Fate::Unwritten; pass.accumulators.len()];
        let mut adds_up = false;
        let extremes = pass.accumulators.iter().any(|(f, _)| *f != Fold::Sum);
        let many = pass.accumulators.len() * pass.lane_bytes > MANY_ACCUMULATORS;
        let mut offsets: Vec<Range<usize>> = Vec::new();
        for ((kernel, parts), turns) in pass.steps.iter().zip(&kernels).zip(turns_of(&runs)) {
            let first = steps.len();
            let mut starts = starts(kernel, turns.is_some());
            // Whole groups of blocks start from 0 by themselves.
            let group =
                if parts.iter().flatten().all(|part| part.blocks > 0) && kernel.parts_fold_apart() { parts[0][0].blocks * I::BYTES / size } else { usize::MAX };
            let alone = pass.steps.len() == 1 && parts.len() == 1 && !extremes;
            let mut started = true;
            for unit in parts {
                let n = steps.len();
                let copies = apart.as_ref().is_some_and(|apart| apart.copies.contains(&n));
                let mut programs = Vec::with_capacity(unit.len());
                let mut asks: Vec<bool> = Vec::new();
                for (part, asking) in unit.iter().zip(&mut asking) {
                    let mut program = Program::new::<T>(&part.kernel, &mut pool, I::MASKS)?;
                    program.after(asks.len() as u32);
                    programs.push((program, part.first));
                    asks.extend(asking.into_iter().map(|asks| asks && !copies));
                }
                let role = Role {
                    whole: !by_tiles,
                    alone: alone.then_some(pass.accumulators.len()),
                    asking: &asks,
                    asks_columns: apart.as_ref().filter(|apart| apart.by == n).map(|apart| &apart.columns),
                    blocks: unit[0].blocks,
                    one_turn: turns.is_some(),
                    many_accumulators: many,
                };
                let emitted = match &programs[..] {
                    [(program, _)] if role.blocks == 0 => function::step::<I>(program, sizes, &mut pool, role)?,
                    all => contraction::step::<I>(all, sizes, &mut pool, role)?,
                };
                spills = spills.max(emitted.slots);
                adds_up |= emitted.sums;
                started &= emitted.starts;
                // Entries of functions at addresses that the fetch likes.
                bytes.code.resize(bytes.code.len().next_multiple_of(LINE), 0xcc);
                let offset = bytes.code.len();
                emitted.code.encode(&mut bytes);
                steps.push(Step { offset, starts: std::mem::take(&mut starts), group });
            }
            offsets.push(first..steps.len());
            // Accumulators that no part of the nest has are written by nobody.
            for part in kernel.whole().iter() {
                let accumulated =
                    part.insts.iter().filter_map(|inst| if let Inst::Accumulate(_, at, _) | Inst::AccumulateProduct(at, ..) = inst { Some(at) } else { None });
                let fate = if started { Fate::Started } else { Fate::Filled };
                accumulated.flat_map(|at| at.targets(&part.dims)).for_each(|at| fates[at] = fate);
            }
        }
        let runs = runs.into_iter().map(|run| Run { steps: functions(&offsets[run.steps]), turns: run.turns }).collect();
        let mut sums = None;
        if !adds_up && pass.accumulators.iter().any(|(f, _)| *f == Fold::Sum) {
            bytes.code.resize(bytes.code.len().next_multiple_of(LINE), 0xcc);
            sums = Some(bytes.code.len());
            combine::sums::<I>(lanes * size, size, many).encode(&mut bytes);
        }
        let memory = pool.memory(size, if I::MASKS { 1 } else { I::BYTES / size });
        let constants = memory.chunks(LINE).map(|c| {
            let mut line = Line([0; LINE]);
            line.0[..c.len()].copy_from_slice(c);
            line
        });
        // Extremes are combined from their lanes, whoever wrote them.
        let of = |wanted: &dyn Fn(Fate, bool) -> bool| {
            let all = fates.iter().zip(&pass.accumulators).enumerate();
            ranges(all.filter(|(_, (fate, (fold, _)))| wanted(**fate, *fold == Fold::Sum)).map(|(k, _)| k))
        };
        let result = |inst: &Inst| matches!(inst, Inst::Output(at, _) if (at.base as usize) < pass.outputs);
        let written = entries(pass, |inst| if let Inst::Output(at, _) = inst { Some(at).filter(|_| result(inst)) } else { None });
        Ok(Jit {
            target,
            pages: Pages::new(&bytes.code)?,
            code_bytes: bytes.code.len(),
            notes: bytes.notes,
            steps,
            runs,
            sums,
            adds_up,
            // Columns made for a leaf are there for one.
            leaves: if adds_up && pass.made.is_empty() && pass.terms() == 0 { LEAVES } else { 1 },
            constants: constants.collect(),
            filled: of(&|fate, sum| fate == Fate::Filled || fate == Fate::Unwritten && !sum),
            summed: of(&|fate, sum| fate != Fate::Unwritten && sum),
            unwritten: of(&|fate, sum| fate == Fate::Unwritten && sum),
            extremes,
            folds: pass.accumulators.iter().map(|(f, _)| *f).collect(),
            lanes,
            tile,
            by_tiles,
            tiles: pass.tiles,
            columns: pass.columns.len(),
            made: pass.made.len(),
            uniforms: pass.uniforms.len(),
            results: pass.outputs,
            written,
            terms: pass.terms(),
            spills,
            mend: call::mender::<T>(I::BYTES),
        })
    }

    fn name(&self) -> &'static str {
        match self.target {
            Target::Avx512(_) => Avx512::NAME,
            Target::Avx2(_) => Avx2::NAME,
        }
    }

    /// The machine code of the pass this was compiled from, with what each instruction is for.
    pub fn listing(&self, pass: &PassKernels, columns: &[String]) -> String {
        let mut out = String::new();
        let group = match self.target {
            Target::Avx512(_) => Avx512::GROUP,
            Target::Avx2(_) => Avx2::GROUP,
        };
        let Turned { pass, runs, .. } = prepared(pass, group);
        let kernels: Vec<Kernel> = jammed::<T>(&pass, &runs, group).iter().flatten().map(|unit| one_after_another(unit)).collect();
        for (k, (step, kernel)) in self.steps.iter().zip(&kernels).enumerate() {
            let end = self.steps.get(k + 1).map(|s| s.offset).or(self.sums).unwrap_or(self.code_bytes);
            out += &format!("step {k}, {} bytes\n", end - step.offset);
            listing::print(&self.pages.bytes()[step.offset..end], step.offset, &self.notes, kernel, columns, &mut out);
        }
        if let Some(start) = self.sums {
            out += &format!("sums, {} bytes\n", self.code_bytes - start);
            listing::print(&self.pages.bytes()[start..self.code_bytes], start, &self.notes, &Kernel::default(), columns, &mut out);
        }
        out
    }
}

impl<T: Real> Executable<T> for Jit<T> {
    fn scratch(&self) -> Scratch<T> {
        // Room to start at a multiple of 64 bytes.
        let slack = LINE / size_of::<T>();
        let tiles = if self.tiles == 0 { 0 } else { self.tiles * self.pitch() + slack };
        Scratch {
            registers: vec![vec![T::default(); tiles].into_boxed_slice()],
            lanes: vec![T::default(); self.lanes * self.folds.len() + slack],
            words: vec![0; words::COLUMNS + self.columns + self.made + self.results + self.terms],
            rows: Vec::new(),
        }
    }

    fn leaves(&self) -> usize {
        self.leaves
    }

    fn run_here(&self, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>, sums: &mut [f64]) {
        self.run_leaf(leaf, scratch, sums);
    }

    fn runs_by_tiles(&self) -> bool {
        self.by_tiles
    }

    fn describe(&self) -> String {
        let Jit { steps, code_bytes, spills, tile, .. } = self;
        let turns: usize = self.runs.iter().filter(|run| run.turns.is_some()).map(|run| run.steps.len()).sum();
        let turns = if turns > 0 { format!(" ({turns} in turns)") } else { String::new() };
        format!(
            "{}, {} functions{turns}, {code_bytes} bytes of code ({}), {spills} spill slots, tiles of {tile} samples",
            self.name(),
            steps.len(),
            self.pages.way
        )
    }

    fn assembly(&self, pass: &PassKernels, columns: &[String]) -> Option<String> {
        Some(self.listing(pass, columns))
    }
}

/// A cache line: AVX2 reads constants as whole vectors, and one that lies in two lines is read twice.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u8; LINE]);

impl<T: Real> Jit<T> {
    fn pitch(&self) -> usize {
        pitch(self.tile, size_of::<T>())
    }

    // The one other place with `unsafe`: the words are filled in and vouched for here.
    #[allow(unsafe_code)]
    fn run_leaf(&self, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>, sums: &mut [f64]) {
        let size = size_of::<T>();
        let Scratch { registers, lanes, words, rows: row_buffer } = scratch;
        let end = leaf.start.checked_add(leaf.len).unwrap_or_else(|| panic!("a leaf of {} samples from {}", leaf.len, leaf.start));
        let whole = leaf.columns.len() >= self.columns && leaf.uniforms.len() >= self.uniforms && leaf.outputs.len() >= self.written;
        assert!(whole, "a leaf lacks something");
        let (fixed, tables) = words.split_at_mut(words::COLUMNS);
        let (data, others) = tables.split_at_mut(self.columns);
        for (k, (word, column)) in data.iter_mut().zip(leaf.columns).enumerate() {
            // Those of rows lie in the buffer, tile by tile.
            if leaf.rows.is_none_or(|rows| rows.columns.place(k).is_none()) {
                *word = column[leaf.start..end].as_ptr() as usize;
            }
        }
        // Most passes have data alone.
        if !others.is_empty() {
            let room = |buffers: &[Aligned<T>], n| buffers.len() >= n && buffers.iter().all(|b| b.len() >= leaf.len);
            assert!(room(leaf.made, self.made) && room(leaf.terms, self.terms), "a leaf lacks a column");
            let (made, outputs) = others.split_at_mut(self.made);
            for (word, column) in made.iter_mut().zip(leaf.made) {
                *word = column.as_ptr() as usize;
            }
            let (outputs, terms) = outputs.split_at_mut(self.results);
            for (word, column) in terms.iter_mut().zip(leaf.terms.iter_mut()) {
                *word = column.as_mut_ptr() as usize;
            }
            for (word, output) in outputs.iter_mut().zip(leaf.outputs.iter_mut()) {
                *word = output[..leaf.len].as_mut_ptr() as usize;
            }
        }
        let held = &mut aligned(lanes)[..self.lanes * self.folds.len()];
        assert!(leaf.len <= self.leaves * LEAF, "more leaves than one call takes");
        assert_eq!(sums.len(), self.folds.len() * leaf.len.div_ceil(LEAF).max(1), "a sum for each accumulator");
        fixed[words::SUMS as usize / 8] = sums.as_mut_ptr() as usize;
        fixed[words::LANES as usize / 8] = held.as_mut_ptr() as usize;
        fixed[words::UNIFORMS as usize / 8] = leaf.uniforms.as_ptr() as usize;
        fixed[words::CONSTANTS as usize / 8] = self.constants.as_ptr() as usize;
        fixed[words::MEND as usize / 8] = self.mend;
        let bytes = leaf.columns.first().map_or(0, |column| size_of_val(*column) * self.columns);
        let cached = bytes <= CACHED;
        let split = !cached && data.iter().any(|word| !word.is_multiple_of(LINE));
        // A buffer of rows is near, and filled from lines asked for in time.
        fixed[words::FAR as usize / 8] = if leaf.rows.is_some() { 0 } else { usize::from(bytes > NEAR) + usize::from(split) };
        fixed[words::AT_ONCE as usize / 8] = AT_ONCE[usize::from(!cached)];
        if leaf.len == 0 {
            self.folds.iter().zip(sums).for_each(|(fold, sum)| *sum = fold.identity());
            return;
        }
        if self.adds_up {
            fixed[words::START as usize / 8] = 0;
            fixed[words::END as usize / 8] = leaf.len * size;
            // SAFETY: as below; the function writes every lane before it reads it, and a row of sums for each leaf, as many as were asserted.
            unsafe { call::call(&self.pages, self.steps[0].offset, self.target, words) };
            return;
        }
        let tiles = aligned(&mut registers[0]);
        assert!(tiles.len() >= self.tiles * self.pitch(), "the scratch of another pass");
        for filled in &self.filled {
            held[filled.start * self.lanes..filled.end * self.lanes].fill(T::default());
            // Few folds are not sums.
            if self.extremes {
                for k in filled.clone().filter(|k| self.folds[*k] != Fold::Sum) {
                    held[k * self.lanes..][..self.lanes].fill(T::from_f64(self.folds[k].identity()));
                }
            }
        }
        let mut tile = self.tile;
        let mut buffer: &mut [T] = &mut [];
        if let Some(rows) = leaf.rows {
            assert!(self.by_tiles, "columns that come tile by tile need functions that go on");
            tile = rows.columns.tile(self.tile);
            row_buffer.resize(rows.columns.room(tile) + LINE / size, T::default());
            buffer = aligned(row_buffer);
        }
        let mut done = 0;
        while done < leaf.len {
            let n = tile.min(leaf.len - done);
            if let Some(rows) = leaf.rows {
                let pitch = rows.columns.pitch(tile);
                rows.columns.fill(rows.first + leaf.start + done, n, pitch, buffer);
                for k in 0..self.columns {
                    if let Some(place) = rows.columns.place(k) {
                        words[words::COLUMNS + k] = (buffer[place * pitch..][..n].as_ptr() as usize).wrapping_sub(done * size);
                    }
                }
            }
            for (step, turn) in
                self.runs.iter().flat_map(|run| (0..run.turns.unwrap_or(1)).flat_map(|turn| self.steps[run.steps.clone()].iter().map(move |s| (s, turn))))
            {
                let whole = n / step.group * step.group;
                for (buffer, further, identity) in &step.starts {
                    tiles[(buffer + further * turn) * self.pitch()..][whole..n].fill(*identity);
                }
                words[words::START as usize / 8] = done * size;
                words[words::END as usize / 8] = (done + n) * size;
                words[words::TILES as usize / 8] = (tiles.as_mut_ptr() as usize).wrapping_sub(done * size);
                words[words::TURN as usize / 8] = turn;
                words[words::FIRST as usize / 8] = usize::from(done == 0);
                // SAFETY: `step.offset` is where `compile` had a function for this target encoded. The words were just filled in: columns and
                // outputs cut to the leaf's samples, of which `done..done + n` are a part, or a buffer that holds those, lanes, tile buffers and uniforms of the lengths
                // asserted above, which `check` held every access against, and `ask_columns` the columns it asks for; none of them is looked at until the function returns.
                unsafe { call::call(&self.pages, step.offset, self.target, words) };
            }
            done += n;
        }
        if let Some(offset) = self.sums {
            for summed in &self.summed {
                words[words::LANES as usize / 8] = held[summed.start * self.lanes..summed.end * self.lanes].as_mut_ptr() as usize;
                words[words::SUMS as usize / 8] = sums[summed.clone()].as_mut_ptr() as usize;
                words[words::COUNT as usize / 8] = summed.len();
                // SAFETY: as above; the function reads the lanes of these accumulators and writes as many sums.
                unsafe { call::call(&self.pages, offset, self.target, words) };
            }
        }
        for unwritten in &self.unwritten {
            sums[unwritten.clone()].fill(0.0);
        }
        if self.extremes {
            for ((fold, lanes), sum) in self.folds.iter().zip(held.chunks_exact(self.lanes)).zip(sums).filter(|((f, _), _)| **f != Fold::Sum) {
                *sum = combine_lanes(*fold, lanes);
            }
        }
    }
}
