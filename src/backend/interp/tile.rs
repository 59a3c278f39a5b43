//! From kernel IR to operations over tiles: loads become operands, values get registers that are used again when they are dead.

use crate::graph::Fold;
use crate::kernel::ir::{Access, Inst, Kernel, PassKernels, V};
use crate::real::Real;
use crate::shape::Dims;
use smallvec::SmallVec;

/// Bytes of registers and tile buffers: they stay in the L2 cache, and mostly in L1. Measured (logistic on 100 columns, f64, ns a sample):
/// 12 KiB 55, 24 KiB 37, 40 KiB 31, 64 KiB 29, 128 KiB 30 (Zen 5 server, 48 KiB of L1, 2026-11-21, one run
/// with other work on the machine: above 40 KiB the differences are within its noise).
const TILE_BYTES: usize = 64 << 10;
/// Samples in a tile at most. An exponential kernel took 1.3 ns a sample with tiles of 256 and 1.05 with 1024.
const LONGEST_TILE: usize = 1024;
/// And at least: a multiple of every accumulator's number of lanes.
const SHORTEST_TILE: usize = 64;

/// Where an operand is read.
#[derive(Clone, Debug)]
pub enum Source<T> {
    /// A register or a fixed tile buffer.
    Register(usize),
    /// A tile buffer at a point of the nest.
    Tile(Access),
    /// A column's samples.
    Column(Access),
    /// One number for all samples.
    Uniform(Access),
    /// A constant.
    Constant(T),
}

/// Where a result goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// A register or a fixed tile buffer.
    Register(usize),
    /// A tile buffer at a point of the nest.
    Tile(Access),
    /// A per-sample output.
    Output(Access),
    /// An accumulator.
    Accumulator(Access),
}

/// One operation over a tile: the instruction says which, sources and target where.
#[derive(Clone, Debug)]
pub struct Operation<T> {
    /// What is done; its own operands and accesses are not read any more.
    pub inst: Inst,
    /// Its operands.
    pub sources: SmallVec<[Source<T>; 3]>,
    /// Its result.
    pub target: Target,
}

/// One step.
#[derive(Clone, Debug)]
pub struct TileStep<T> {
    /// The loop nest.
    pub dims: Dims,
    /// Tile buffers that folds start from, with their identity.
    pub starts: Vec<(usize, T)>,
    /// The operations.
    pub operations: Vec<Operation<T>>,
}

/// A pass.
#[derive(Clone, Debug)]
pub struct TileProgram<T> {
    /// The steps.
    pub steps: Vec<TileStep<T>>,
    /// How each accumulator folds.
    pub folds: Vec<Fold>,
    /// Lanes of an accumulator.
    pub lanes: usize,
    /// Tile buffers and registers.
    pub registers: usize,
    /// Samples in a tile.
    pub tile: usize,
    /// Per-sample results; outputs beyond are terms of sums by groups.
    pub outputs: usize,
}

impl<T: Real> TileProgram<T> {
    /// Prepares a pass.
    pub fn new(pass: &PassKernels) -> Self {
        let mut registers = pass.tiles;
        let mut steps = Vec::new();
        for kernel in &pass.steps {
            // Several parts may fold into the same buffers: all start before the first.
            let identity = |(fold, at): (Fold, &Access)| at.targets(&kernel.dims).into_iter().map(move |t| (t, T::from_f64(fold.identity())));
            let mut starts: Vec<(usize, T)> = kernel.folds().flat_map(identity).collect();
            for part in kernel.whole().iter() {
                let (step, used) = step::<T>(part, pass.tiles, std::mem::take(&mut starts));
                registers = registers.max(used);
                steps.push(step);
            }
        }
        let fits = TILE_BYTES / (registers.max(1) * size_of::<T>());
        let tile = (fits / SHORTEST_TILE * SHORTEST_TILE).clamp(SHORTEST_TILE, LONGEST_TILE);
        TileProgram { steps, folds: pass.accumulators.iter().map(|(f, _)| *f).collect(), lanes: pass.lanes::<T>(), registers, tile, outputs: pass.outputs }
    }
}

/// Linear scan: a register is free again after the last use of its value. The target is taken before the operands are given back, so an
/// operation never writes what it reads.
fn step<T: Real>(kernel: &Kernel, buffers: usize, starts: Vec<(usize, T)>) -> (TileStep<T>, usize) {
    let n = kernel.insts.len();
    let mut last_use = vec![0usize; n];
    for (k, inst) in kernel.insts.iter().enumerate() {
        for v in inst.operands() {
            last_use[v.index()] = k;
        }
    }
    // A value whose first use to be stored is in a fixed buffer is computed there.
    let mut home: Vec<Option<usize>> = vec![None; n];
    if kernel.dims.is_empty() {
        for inst in &kernel.insts {
            if let Inst::Store(at, v) = inst
                && home[v.index()].is_none()
                && !is_load(&kernel.insts[v.index()])
            {
                home[v.index()] = Some(at.base as usize);
            }
        }
    }
    let mut sources: Vec<Option<Source<T>>> = vec![None; n];
    let mut free: Vec<usize> = Vec::new();
    let mut used = buffers;
    let mut operations = Vec::new();
    for (k, inst) in kernel.insts.iter().enumerate() {
        let constant = |c: f64| Some(Source::Constant(T::from_f64(c)));
        let loaded = match inst {
            Inst::Column(at) => Some(Source::Column(at.clone())),
            Inst::Tile(at) if at.strides.is_empty() => Some(Source::Register(at.base as usize)),
            Inst::Tile(at) => Some(Source::Tile(at.clone())),
            Inst::Uniform(at) => Some(Source::Uniform(at.clone())),
            Inst::Const(bits) => constant(f64::from_bits(*bits)),
            Inst::IntConst(c) => Some(Source::Constant(T::from_bits(crate::real::Bits::truncate(*c as u64)))),
            _ => None,
        };
        if loaded.is_some() {
            sources[k] = loaded;
            continue;
        }
        let operands: SmallVec<[V; 3]> = inst.operands();
        let read = operands.iter().map(|v| sources[v.index()].clone().expect("operands come first")).collect();
        let target = match inst {
            Inst::Store(at, v) if home[v.index()] == Some(at.base as usize) && kernel.dims.is_empty() => {
                // Computed in place; another store of the same value still copies.
                release(&operands, k, &last_use, &home, &sources, buffers, &mut free);
                continue;
            }
            Inst::Store(at, _) => Target::Tile(at.clone()),
            Inst::Output(at, _) => Target::Output(at.clone()),
            Inst::Fold(_, at, _) | Inst::FoldProduct(at, ..) => Target::Tile(at.clone()),
            Inst::Accumulate(_, at, _) | Inst::AccumulateProduct(at, ..) => Target::Accumulator(at.clone()),
            _ => {
                let register = home[k].unwrap_or_else(|| {
                    free.pop().unwrap_or_else(|| {
                        used += 1;
                        used - 1
                    })
                });
                sources[k] = Some(Source::Register(register));
                Target::Register(register)
            }
        };
        operations.push(Operation { inst: inst.clone(), sources: read, target });
        release(&operands, k, &last_use, &home, &sources, buffers, &mut free);
    }
    (TileStep { dims: kernel.dims.clone(), starts, operations }, used)
}

fn is_load(inst: &Inst) -> bool {
    matches!(inst, Inst::Column(_) | Inst::Tile(_) | Inst::Uniform(_) | Inst::Const(_) | Inst::IntConst(_))
}

/// Gives back the registers of operands that were used for the last time.
fn release<T>(operands: &[V], k: usize, last_use: &[usize], home: &[Option<usize>], sources: &[Option<Source<T>>], buffers: usize, free: &mut Vec<usize>) {
    for (j, v) in operands.iter().enumerate() {
        let repeated = operands[..j].contains(v);
        if last_use[v.index()] == k
            && !repeated
            && home[v.index()].is_none()
            && let Some(Source::Register(r)) = sources[v.index()]
            && r >= buffers
        {
            free.push(r);
        }
    }
}
