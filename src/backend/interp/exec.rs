//! The interpreter's walk over a leaf: tile by tile, step by step, operation by operation.

use super::level::Level;
use super::loops::{self, Operand};
use super::tile::{Operation, Source, Target, TileProgram};
use crate::backend::{Leaf, Scratch};
use crate::kernel::arith::{Scalar, Slow};
use crate::kernel::ir::{Inst, MathFn};
use crate::kernel::lower;
use crate::kernel::math::slow;
use crate::real::Real;
use Operand::{Lanes, One};

/// A tile of a leaf at a point of a step's nest.
#[derive(Clone, Copy)]
struct Tile<'p> {
    point: &'p [usize],
    /// The leaf's samples before this tile.
    done: usize,
    /// Samples in the tile.
    n: usize,
    /// Samples in a tile that isn't a leaf's last.
    longest: usize,
}

/// Runs all steps over a leaf, tile by tile.
pub fn run<T: Real>(level: Level, program: &TileProgram<T>, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>) {
    let tile = leaf.rows.map_or(program.tile, |rows| rows.columns.tile(program.tile));
    let mut done = 0;
    while done < leaf.len {
        let n = tile.min(leaf.len - done);
        if let Some(rows) = leaf.rows {
            let pitch = rows.columns.pitch(tile);
            scratch.rows.resize(rows.columns.room(tile), T::default());
            rows.columns.fill(rows.first + leaf.start + done, n, pitch, &mut scratch.rows);
        }
        for step in &program.steps {
            for (buffer, identity) in &step.starts {
                scratch.registers[*buffer][..n].fill(*identity);
            }
            if step.dims.is_empty() {
                operations(level, &step.operations, program, Tile { point: &[], done, n, longest: tile }, leaf, scratch);
                continue;
            }
            // The loop nest as an odometer.
            let mut point = crate::shape::Dims::new();
            point.resize(step.dims.len(), 0);
            'nest: loop {
                operations(level, &step.operations, program, Tile { point: &point, done, n, longest: tile }, leaf, scratch);
                let mut axis = step.dims.len();
                loop {
                    if axis == 0 {
                        break 'nest;
                    }
                    axis -= 1;
                    point[axis] += 1;
                    if point[axis] < step.dims[axis] {
                        break;
                    }
                    point[axis] = 0;
                }
            }
        }
        done += n;
    }
}

/// Every operation of a step at one point of its nest.
fn operations<T: Real>(level: Level, list: &[Operation<T>], program: &TileProgram<T>, tile: Tile<'_>, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>) {
    let lanes = program.lanes;
    let Tile { point, done, n, .. } = tile;
    for operation in list {
        // The target leaves its place while the operands are read; the register allocator never lets an operation read its target,
        // and a fold reads it as the target.
        match &operation.target {
            Target::Register(r) => {
                let mut out = std::mem::take(&mut scratch.registers[*r]);
                compute(level, operation, &mut out[..n], tile, leaf, scratch);
                scratch.registers[*r] = out;
            }
            Target::Tile(at) => {
                let r = at.at(point);
                let mut out = std::mem::take(&mut scratch.registers[r]);
                let a = operand(&operation.sources[0], tile, leaf, scratch);
                match &operation.inst {
                    Inst::Fold(fold, ..) => level.fold_into(*fold, &mut out[..n], a),
                    Inst::FoldProduct(..) => {
                        let b = operand(&operation.sources[1], tile, leaf, scratch);
                        level.fold_product(&mut out[..n], a, b);
                    }
                    _ => loops::copy(&mut out[..n], a),
                }
                scratch.registers[r] = out;
            }
            Target::Output(at) => {
                let column = at.at(point);
                match column.checked_sub(program.outputs) {
                    None => {
                        let out = std::mem::take(&mut leaf.outputs[column]);
                        loops::copy(&mut out[done..done + n], operand(&operation.sources[0], tile, leaf, scratch));
                        leaf.outputs[column] = out;
                    }
                    Some(term) => {
                        let mut out = std::mem::take(&mut leaf.terms[term]);
                        loops::copy(&mut out[done..done + n], operand(&operation.sources[0], tile, leaf, scratch));
                        leaf.terms[term] = out;
                    }
                }
            }
            Target::Accumulator(at) => {
                let first = at.at(point) * lanes;
                let mut held = std::mem::take(&mut scratch.lanes);
                let acc = &mut held[first..first + lanes];
                let a = operand(&operation.sources[0], tile, leaf, scratch);
                match &operation.inst {
                    Inst::AccumulateProduct(..) => {
                        let b = operand(&operation.sources[1], tile, leaf, scratch);
                        level.accumulate_product(acc, a, b, n);
                    }
                    Inst::Accumulate(fold, ..) => level.accumulate(*fold, acc, a, n),
                    _ => unreachable!("an accumulator takes an accumulation"),
                }
                scratch.lanes = held;
            }
        }
    }
}

#[inline]
fn operand<'a, T: Real>(source: &Source<T>, tile: Tile<'_>, leaf: &'a Leaf<'_, '_, T>, scratch: &'a Scratch<T>) -> Operand<'a, T> {
    let Tile { point, done, n, .. } = tile;
    match source {
        Source::Register(r) => Lanes(&scratch.registers[*r][..n]),
        Source::Tile(at) => Lanes(&scratch.registers[at.at(point)][..n]),
        Source::Column(at) => {
            let column = at.at(point);
            if let Some(rows) = leaf.rows.map(|rows| rows.columns)
                && let Some(place) = rows.place(column)
            {
                return Lanes(&scratch.rows[place * rows.pitch(tile.longest)..][..n]);
            }
            match leaf.columns.get(column) {
                Some(x) => Lanes(&x[leaf.start + done..][..n]),
                None => Lanes(&leaf.made[column - leaf.columns.len()][done..done + n]),
            }
        }
        Source::Uniform(at) => One(leaf.uniforms[at.at(point)]),
        Source::Constant(c) => One(*c),
    }
}

/// An operation with a value.
fn compute<T: Real>(level: Level, operation: &Operation<T>, out: &mut [T], tile: Tile<'_>, leaf: &Leaf<'_, '_, T>, scratch: &Scratch<T>) {
    let read = |k: usize| operand(&operation.sources[k], tile, leaf, scratch);
    let a = read(0);
    match operation.inst {
        Inst::Un(op, _) => level.unary(op, out, a),
        Inst::Bin(op, ..) => level.binary(op, out, a, read(1)),
        Inst::Fma { np, nc, .. } => level.fma(np, nc, out, a, read(1), read(2)),
        Inst::Cmp(op, ..) => level.compare(op, out, a, read(1)),
        Inst::Mask(op, ..) => level.mask(op, out, a, read(1)),
        Inst::Not(_) => level.not(out, a),
        Inst::Select(..) => level.select(out, a, read(1), read(2)),
        Inst::Bits(_) | Inst::Real(_) => loops::copy(out, a),
        Inst::Int(op, ..) => level.integer(op, out, a, read(1)),
        Inst::Shl(_, k) => level.shift(true, k, out, a),
        Inst::Shr(_, k) => level.shift(false, k, out, a),
        Inst::Patch(which, ..) => {
            loops::copy(out, read(1));
            patch(which, out, a);
        }
        Inst::Math(f, ..) if f.is_binary() => function_of_two(level, f, out, a, read(1)),
        Inst::Math(f, ..) => function(level, f, out, a),
        Inst::Column(_)
        | Inst::Tile(_)
        | Inst::Uniform(_)
        | Inst::Const(_)
        | Inst::IntConst(_)
        | Inst::Store(..)
        | Inst::Output(..)
        | Inst::Fold(..)
        | Inst::FoldProduct(..)
        | Inst::Accumulate(..)
        | Inst::AccumulateProduct(..) => unreachable!("loads are operands and sinks have targets of their own"),
    }
}

/// A function of one real: its loop, then lanes in a slow range one by one.
fn function<T: Real>(level: Level, f: MathFn, out: &mut [T], a: Operand<'_, T>) {
    match a {
        Lanes(lanes) => {
            level.function(f, out, lanes, lanes);
            if let Some(slow) = f.slow() {
                patch(slow, out, a);
            }
        }
        // A function of no lanes belongs to the call stage; it gets here only without the simplifier.
        One(x) => out.fill(lower::recipe(&mut Scalar::<T>::new(), f, x, x)),
    }
}

/// A function of two reals; a single number on one side is repeated over a short tile.
fn function_of_two<T: Real>(level: Level, f: MathFn, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    const COPIES: usize = 64;
    match (a, b) {
        (Lanes(a), Lanes(b)) => level.function(f, out, a, b),
        (Lanes(a), One(y)) => {
            for (out, a) in out.chunks_mut(COPIES).zip(a.chunks(COPIES)) {
                level.function(f, out, a, &[y; COPIES]);
            }
        }
        (One(x), Lanes(b)) => {
            for (out, b) in out.chunks_mut(COPIES).zip(b.chunks(COPIES)) {
                level.function(f, out, &[x; COPIES], b);
            }
        }
        (One(x), One(y)) => out.fill(lower::recipe(&mut Scalar::<T>::new(), f, x, y)),
    }
}

/// Mends lanes whose argument lies in a slow range.
fn patch<T: Real>(which: Slow, out: &mut [T], a: Operand<'_, T>) {
    match a {
        Lanes(a) => {
            for (o, x) in out.iter_mut().zip(a).filter(|(_, x)| slow::needs(which, **x)) {
                *o = slow::mend(which, *x, *o);
            }
        }
        One(x) => {
            for o in out {
                *o = slow::mend(which, x, *o);
            }
        }
    }
}
