//! The interpreter's loops. Everything here is inlined into one function per number type and CPU level, which is what makes the compiler
//! vectorise it for that level; so no closures and no calls that aren't `inline(always)`.

use super::tile::{Operation, Source, Target, TileProgram};
use crate::backend::{Leaf, Scratch};
use crate::graph::Fold;
use crate::kernel::arith::{Scalar, Slow};
use crate::kernel::ir::{Bin, Cmp, Inst, Int, Mask, MathFn, Un};
use crate::kernel::lower;
use crate::kernel::math::{self, slow};
use crate::real::{Bits, Real};

/// An operand of one operation: a tile of lanes, or one number for all.
#[derive(Clone, Copy)]
enum Operand<'a, T> {
    Lanes(&'a [T]),
    One(T),
}

use Operand::{Lanes, One};

/// Runs all steps over a leaf, tile by tile.
#[inline(always)]
pub fn run<T: Real>(program: &TileProgram<T>, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>) {
    let mut done = 0;
    while done < leaf.len {
        let n = program.tile.min(leaf.len - done);
        for step in &program.steps {
            for (buffer, identity) in &step.starts {
                scratch.registers[*buffer][..n].fill(*identity);
            }
            if step.dims.is_empty() {
                operations(&step.operations, program.lanes, &[], done, n, leaf, scratch);
                continue;
            }
            // The loop nest as an odometer.
            let mut point = crate::shape::Dims::new();
            point.resize(step.dims.len(), 0);
            'nest: loop {
                operations(&step.operations, program.lanes, &point, done, n, leaf, scratch);
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
#[inline(always)]
fn operations<T: Real>(list: &[Operation<T>], lanes: usize, point: &[usize], done: usize, n: usize, leaf: &mut Leaf<'_, '_, T>, scratch: &mut Scratch<T>) {
    for operation in list {
        // The target leaves its place while the operands are read; the register allocator never lets an operation read its target,
        // and a fold reads it as the target.
        match &operation.target {
            Target::Register(r) => {
                let mut out = std::mem::take(&mut scratch.registers[*r]);
                compute(operation, &mut out[..n], point, done, n, leaf, scratch);
                scratch.registers[*r] = out;
            }
            Target::Tile(at) => {
                let r = at.at(point);
                let mut out = std::mem::take(&mut scratch.registers[r]);
                let a = operand(&operation.sources[0], point, done, n, leaf, scratch);
                match &operation.inst {
                    Inst::Fold(fold, ..) => fold_into(*fold, &mut out[..n], a),
                    Inst::FoldProduct(..) => {
                        let b = operand(&operation.sources[1], point, done, n, leaf, scratch);
                        fold_product(&mut out[..n], a, b);
                    }
                    _ => copy(&mut out[..n], a),
                }
                scratch.registers[r] = out;
            }
            Target::Output(at) => {
                let column = at.at(point);
                let out = std::mem::take(&mut leaf.outputs[column]);
                let a = operand(&operation.sources[0], point, done, n, leaf, scratch);
                copy(&mut out[done..done + n], a);
                leaf.outputs[column] = out;
            }
            Target::Accumulator(at) => {
                let first = at.at(point) * lanes;
                let mut held = std::mem::take(&mut scratch.lanes);
                let acc = &mut held[first..first + lanes];
                let a = operand(&operation.sources[0], point, done, n, leaf, scratch);
                match &operation.inst {
                    Inst::AccumulateProduct(..) => {
                        let b = operand(&operation.sources[1], point, done, n, leaf, scratch);
                        match lanes {
                            8 => accumulate_product::<T, 8>(acc, a, b, n),
                            16 => accumulate_product::<T, 16>(acc, a, b, n),
                            32 => accumulate_product::<T, 32>(acc, a, b, n),
                            _ => accumulate_product::<T, 64>(acc, a, b, n),
                        }
                    }
                    Inst::Accumulate(fold, ..) => match lanes {
                        8 => accumulate::<T, 8>(*fold, acc, a, n),
                        16 => accumulate::<T, 16>(*fold, acc, a, n),
                        32 => accumulate::<T, 32>(*fold, acc, a, n),
                        _ => accumulate::<T, 64>(*fold, acc, a, n),
                    },
                    _ => unreachable!("an accumulator takes an accumulation"),
                }
                scratch.lanes = held;
            }
        }
    }
}

#[inline(always)]
fn operand<'a, T: Real>(source: &Source<T>, point: &[usize], done: usize, n: usize, leaf: &'a Leaf<'_, '_, T>, scratch: &'a Scratch<T>) -> Operand<'a, T> {
    match source {
        Source::Register(r) => Lanes(&scratch.registers[*r][..n]),
        Source::Tile(at) => Lanes(&scratch.registers[at.at(point)][..n]),
        Source::Column(at) => {
            let start = leaf.start + done;
            Lanes(&leaf.columns[at.at(point)][start..start + n])
        }
        Source::Uniform(at) => One(leaf.uniforms[at.at(point)]),
        Source::Constant(c) => One(*c),
    }
}

/// `out = f(a)`
macro_rules! map1 {
    ($out:expr, $a:expr, |$x:ident| $f:expr) => {
        match $a {
            Lanes(a) => {
                for (o, $x) in $out.iter_mut().zip(a) {
                    let $x = *$x;
                    *o = $f;
                }
            }
            One($x) => $out.fill($f),
        }
    };
}

/// `out = f(a, b)`
macro_rules! map2 {
    ($out:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $f:expr) => {
        match ($a, $b) {
            (Lanes(a), Lanes(b)) => {
                for ((o, $x), $y) in $out.iter_mut().zip(a).zip(b) {
                    let ($x, $y) = (*$x, *$y);
                    *o = $f;
                }
            }
            (Lanes(a), One($y)) => {
                for (o, $x) in $out.iter_mut().zip(a) {
                    let $x = *$x;
                    *o = $f;
                }
            }
            (One($x), Lanes(b)) => {
                for (o, $y) in $out.iter_mut().zip(b) {
                    let $y = *$y;
                    *o = $f;
                }
            }
            (One($x), One($y)) => $out.fill($f),
        }
    };
}

#[inline(always)]
fn truth<T: Real>(m: bool) -> T {
    T::from_bits(if m { T::Bits::truncate(u64::MAX) } else { T::Bits::default() })
}

#[inline(always)]
fn copy<T: Real>(out: &mut [T], a: Operand<'_, T>) {
    match a {
        Lanes(a) => out.copy_from_slice(a),
        One(x) => out.fill(x),
    }
}

/// An operation with a value.
#[inline(always)]
fn compute<T: Real>(operation: &Operation<T>, out: &mut [T], point: &[usize], done: usize, n: usize, leaf: &Leaf<'_, '_, T>, scratch: &Scratch<T>) {
    let read = |k: usize| operand(&operation.sources[k], point, done, n, leaf, scratch);
    let a = read(0);
    match operation.inst {
        Inst::Un(op, _) => match op {
            Un::Neg => map1!(out, a, |x| -x),
            Un::Abs => map1!(out, a, |x| x.abs()),
            Un::Sqrt => map1!(out, a, |x| x.sqrt()),
            Un::Floor => map1!(out, a, |x| x.floor()),
            Un::Round => map1!(out, a, |x| x.round_even()),
        },
        Inst::Bin(op, ..) => {
            let b = read(1);
            match op {
                Bin::Add => map2!(out, a, b, |x, y| x + y),
                Bin::Sub => map2!(out, a, b, |x, y| x - y),
                Bin::Mul => map2!(out, a, b, |x, y| x * y),
                Bin::Div => map2!(out, a, b, |x, y| x / y),
                Bin::Min => map2!(out, a, b, |x, y| if x < y { x } else { y }),
                Bin::Max => map2!(out, a, b, |x, y| if x > y { x } else { y }),
            }
        }
        Inst::Fma { np, nc, .. } => {
            let (b, c) = (read(1), read(2));
            match (np, nc) {
                (false, false) => fma::<T, false, false>(out, a, b, c),
                (false, true) => fma::<T, false, true>(out, a, b, c),
                (true, false) => fma::<T, true, false>(out, a, b, c),
                (true, true) => fma::<T, true, true>(out, a, b, c),
            }
        }
        Inst::Cmp(op, ..) => {
            let b = read(1);
            match op {
                Cmp::Lt => map2!(out, a, b, |x, y| truth(x < y)),
                Cmp::Le => map2!(out, a, b, |x, y| truth(x <= y)),
                Cmp::Eq => map2!(out, a, b, |x, y| truth(x == y)),
                Cmp::Ne => map2!(out, a, b, |x, y| truth(x != y)),
            }
        }
        Inst::Mask(op, ..) => {
            let b = read(1);
            match op {
                Mask::And => map2!(out, a, b, |x, y| T::from_bits(x.bits().and(y.bits()))),
                Mask::Or => map2!(out, a, b, |x, y| T::from_bits(x.bits().or(y.bits()))),
            }
        }
        Inst::Not(_) => map1!(out, a, |x| T::from_bits(x.bits().xor(T::Bits::truncate(u64::MAX)))),
        Inst::Select(..) => select(out, a, read(1), read(2)),
        Inst::Bits(_) | Inst::Real(_) => copy(out, a),
        Inst::Int(op, ..) => {
            let b = read(1);
            match op {
                Int::Add => map2!(out, a, b, |x, y| T::from_bits(x.bits().add(y.bits()))),
                Int::Sub => map2!(out, a, b, |x, y| T::from_bits(x.bits().sub(y.bits()))),
                Int::And => map2!(out, a, b, |x, y| T::from_bits(x.bits().and(y.bits()))),
                Int::Or => map2!(out, a, b, |x, y| T::from_bits(x.bits().or(y.bits()))),
                Int::Xor => map2!(out, a, b, |x, y| T::from_bits(x.bits().xor(y.bits()))),
            }
        }
        Inst::Shl(_, k) => map1!(out, a, |x| T::from_bits(x.bits().shl(k))),
        Inst::Shr(_, k) => map1!(out, a, |x| T::from_bits(x.bits().shr(k))),
        Inst::Patch(which, ..) => {
            copy(out, read(1));
            patch(which, out, a);
        }
        Inst::Math(f, ..) => function(f, out, a, if f == MathFn::Pow { read(1) } else { a }),
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

#[inline(always)]
fn fma<T: Real, const NP: bool, const NC: bool>(out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, c: Operand<'_, T>) {
    macro_rules! one {
        ($x:expr, $y:expr, $z:expr) => {{
            let (x, z) = (if NP { -$x } else { $x }, if NC { -$z } else { $z });
            x.fma($y, z)
        }};
    }
    // A product's factors may change places.
    let (a, b) = if let (One(_), Lanes(_)) = (a, b) { (b, a) } else { (a, b) };
    match (a, b, c) {
        (Lanes(a), Lanes(b), Lanes(c)) => {
            for (((o, x), y), z) in out.iter_mut().zip(a).zip(b).zip(c) {
                *o = one!(*x, *y, *z);
            }
        }
        (Lanes(a), Lanes(b), One(z)) => {
            for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                *o = one!(*x, *y, z);
            }
        }
        (Lanes(a), One(y), Lanes(c)) => {
            for ((o, x), z) in out.iter_mut().zip(a).zip(c) {
                *o = one!(*x, y, *z);
            }
        }
        (Lanes(a), One(y), One(z)) => {
            for (o, x) in out.iter_mut().zip(a) {
                *o = one!(*x, y, z);
            }
        }
        (One(x), One(y), Lanes(c)) => {
            for (o, z) in out.iter_mut().zip(c) {
                *o = one!(x, y, *z);
            }
        }
        (One(x), One(y), One(z)) => out.fill(one!(x, y, z)),
        (One(_), Lanes(_), _) => unreachable!("the factors changed places"),
    }
}

#[inline(always)]
fn select<T: Real>(out: &mut [T], m: Operand<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>) {
    let m = match m {
        Lanes(m) => m,
        One(m) => return copy(out, if m.bits() == T::Bits::default() { b } else { a }),
    };
    macro_rules! one {
        ($m:expr, $x:expr, $y:expr) => {
            if $m.bits() == T::Bits::default() { $y } else { $x }
        };
    }
    match (a, b) {
        (Lanes(a), Lanes(b)) => {
            for (((o, m), x), y) in out.iter_mut().zip(m).zip(a).zip(b) {
                *o = one!(m, *x, *y);
            }
        }
        (Lanes(a), One(y)) => {
            for ((o, m), x) in out.iter_mut().zip(m).zip(a) {
                *o = one!(m, *x, y);
            }
        }
        (One(x), Lanes(b)) => {
            for ((o, m), y) in out.iter_mut().zip(m).zip(b) {
                *o = one!(m, x, *y);
            }
        }
        (One(x), One(y)) => {
            for (o, m) in out.iter_mut().zip(m) {
                *o = one!(m, x, y);
            }
        }
    }
}

/// Functions by their recipes; lanes in a slow range are mended in a second loop.
#[inline(always)]
fn function<T: Real>(f: MathFn, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    let mut s = Scalar::<T, false>::new();
    // A function of no lanes belongs to the call stage; it gets here only without the simplifier.
    if let (One(x), One(y)) = (a, b) {
        return out.fill(of_one(f, x, y));
    }
    macro_rules! map {
        (|$x:ident| $f:expr) => {
            if let Lanes(a) = a {
                for (o, $x) in out.iter_mut().zip(a) {
                    let $x = *$x;
                    *o = $f;
                }
            }
        };
    }
    match f {
        MathFn::Exp => map!(|x| math::exp(&mut s, x)),
        MathFn::ExpM1 => map!(|x| math::exp_m1(&mut s, x)),
        MathFn::Ln => map!(|x| math::ln(&mut s, x)),
        MathFn::Ln1p => map!(|x| math::ln_1p(&mut s, x)),
        MathFn::Sin => {
            map!(|x| math::sin(&mut s, x));
            patch(Slow::Sin, out, a);
        }
        MathFn::Cos => {
            map!(|x| math::cos(&mut s, x));
            patch(Slow::Cos, out, a);
        }
        MathFn::Tanh => map!(|x| math::tanh(&mut s, x)),
        MathFn::Sigmoid => map!(|x| math::sigmoid(&mut s, x)),
        MathFn::Softplus => map!(|x| math::softplus(&mut s, x)),
        MathFn::Pow => match (a, b) {
            (Lanes(a), Lanes(b)) => {
                for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                    *o = math::pow(&mut s, *x, *y);
                }
            }
            (Lanes(a), One(y)) => {
                for (o, x) in out.iter_mut().zip(a) {
                    *o = math::pow(&mut s, *x, y);
                }
            }
            (One(x), Lanes(b)) => {
                for (o, y) in out.iter_mut().zip(b) {
                    *o = math::pow(&mut s, x, *y);
                }
            }
            (One(_), One(_)) => unreachable!("done above"),
        },
    }
}

/// A function of numbers, out of line.
#[cold]
#[inline(never)]
fn of_one<T: Real>(f: MathFn, x: T, y: T) -> T {
    lower::recipe(&mut Scalar::<T>::new(), f, x, y)
}

#[inline(always)]
fn patch<T: Real>(which: Slow, out: &mut [T], a: Operand<'_, T>) {
    match a {
        Lanes(a) => {
            let mut any = false;
            for x in a {
                any |= slow::needs(which, *x);
            }
            if any {
                for (o, x) in out.iter_mut().zip(a) {
                    *o = slow::mend(which, *x, *o);
                }
            }
        }
        One(x) => {
            for o in out {
                *o = slow::mend(which, x, *o);
            }
        }
    }
}

#[inline(always)]
fn fold_into<T: Real>(fold: Fold, out: &mut [T], a: Operand<'_, T>) {
    macro_rules! each {
        ($fold:expr) => {
            match a {
                Lanes(a) => {
                    for (o, x) in out.iter_mut().zip(a) {
                        *o = $fold.combine(*o, *x);
                    }
                }
                One(x) => {
                    for o in out {
                        *o = $fold.combine(*o, x);
                    }
                }
            }
        };
    }
    match fold {
        Fold::Sum => each!(Fold::Sum),
        Fold::Min => each!(Fold::Min),
        Fold::Max => each!(Fold::Max),
    }
}

#[inline(always)]
fn fold_product<T: Real>(out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    let (a, b) = if let (One(_), Lanes(_)) = (a, b) { (b, a) } else { (a, b) };
    match (a, b) {
        (Lanes(a), Lanes(b)) => {
            for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                *o = x.fma(*y, *o);
            }
        }
        (Lanes(a), One(y)) => {
            for (o, x) in out.iter_mut().zip(a) {
                *o = x.fma(y, *o);
            }
        }
        (One(x), One(y)) => {
            for o in out {
                *o = x.fma(y, *o);
            }
        }
        (One(_), Lanes(_)) => unreachable!("the factors changed places"),
    }
}

/// Sample `i` goes to lane `i % L`; a tile starts at a multiple of `L`.
#[inline(always)]
fn accumulate<T: Real, const L: usize>(fold: Fold, acc: &mut [T], a: Operand<'_, T>, n: usize) {
    let Ok(acc) = <&mut [T; L]>::try_from(acc) else { unreachable!("an accumulator has its lanes") };
    macro_rules! each {
        ($fold:expr) => {{
            let mut held = *acc;
            match a {
                Lanes(a) => {
                    let (blocks, rest) = a.as_chunks::<L>();
                    for block in blocks {
                        for k in 0..L {
                            held[k] = $fold.combine(held[k], block[k]);
                        }
                    }
                    for (h, x) in held.iter_mut().zip(rest) {
                        *h = $fold.combine(*h, *x);
                    }
                }
                One(x) => {
                    for i in 0..n {
                        held[i % L] = $fold.combine(held[i % L], x);
                    }
                }
            }
            *acc = held;
        }};
    }
    match fold {
        Fold::Sum => each!(Fold::Sum),
        Fold::Min => each!(Fold::Min),
        Fold::Max => each!(Fold::Max),
    }
}

#[inline(always)]
fn accumulate_product<T: Real, const L: usize>(acc: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, n: usize) {
    let Ok(acc) = <&mut [T; L]>::try_from(acc) else { unreachable!("an accumulator has its lanes") };
    let mut held = *acc;
    let (a, b) = if let (One(_), Lanes(_)) = (a, b) { (b, a) } else { (a, b) };
    match (a, b) {
        (Lanes(a), Lanes(b)) => {
            let ((xs, x_rest), (ys, y_rest)) = (a.as_chunks::<L>(), b.as_chunks::<L>());
            for (x, y) in xs.iter().zip(ys) {
                for k in 0..L {
                    held[k] = x[k].fma(y[k], held[k]);
                }
            }
            for ((h, x), y) in held.iter_mut().zip(x_rest).zip(y_rest) {
                *h = x.fma(*y, *h);
            }
        }
        (Lanes(a), One(y)) => {
            let (xs, rest) = a.as_chunks::<L>();
            for x in xs {
                for k in 0..L {
                    held[k] = x[k].fma(y, held[k]);
                }
            }
            for (h, x) in held.iter_mut().zip(rest) {
                *h = x.fma(y, *h);
            }
        }
        (One(x), One(y)) => {
            for i in 0..n {
                held[i % L] = x.fma(y, held[i % L]);
            }
        }
        (One(_), Lanes(_)) => unreachable!("the factors changed places"),
    }
    *acc = held;
}
