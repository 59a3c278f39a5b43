//! The interpreter's loops: plain Rust over slices, inlined into one function per operation, number type and CPU level (`level.rs`),
//! which is what makes the compiler vectorise them for that level.

use crate::graph::Fold;
use crate::kernel::arith::Scalar;
use crate::kernel::ir::{Bin, Cmp, Int, Mask, Un, functions};
use crate::kernel::math;
use crate::real::{Bits, Real};

/// An operand of one operation: a tile of lanes, or one number for all.
#[derive(Clone, Copy)]
pub enum Operand<'a, T> {
    /// One number per sample.
    Lanes(&'a [T]),
    /// One number for all samples.
    One(T),
}

use Operand::{Lanes, One};

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

/// The operand as it is.
#[inline(always)]
pub fn copy<T: Real>(out: &mut [T], a: Operand<'_, T>) {
    match a {
        Lanes(a) => out.copy_from_slice(a),
        One(x) => out.fill(x),
    }
}

/// One real operand.
#[inline(always)]
pub fn unary<T: Real>(op: Un, out: &mut [T], a: Operand<'_, T>) {
    match op {
        Un::Neg => map1!(out, a, |x| -x),
        Un::Abs => map1!(out, a, |x| x.abs()),
        Un::Sqrt => map1!(out, a, |x| x.sqrt()),
        Un::Floor => map1!(out, a, |x| x.floor()),
        Un::Round => map1!(out, a, |x| x.round_even()),
    }
}

/// Two real operands.
#[inline(always)]
pub fn binary<T: Real>(op: Bin, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    match op {
        Bin::Add => map2!(out, a, b, |x, y| x + y),
        Bin::Sub => map2!(out, a, b, |x, y| x - y),
        Bin::Mul => map2!(out, a, b, |x, y| x * y),
        Bin::Div => map2!(out, a, b, |x, y| x / y),
        Bin::Min => map2!(out, a, b, |x, y| if x < y { x } else { y }),
        Bin::Max => map2!(out, a, b, |x, y| if x > y { x } else { y }),
    }
}

/// A mask from two reals.
#[inline(always)]
pub fn compare<T: Real>(op: Cmp, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    match op {
        Cmp::Lt => map2!(out, a, b, |x, y| truth(x < y)),
        Cmp::Le => map2!(out, a, b, |x, y| truth(x <= y)),
        Cmp::Eq => map2!(out, a, b, |x, y| truth(x == y)),
        Cmp::Ne => map2!(out, a, b, |x, y| truth(x != y)),
    }
}

/// A mask from two.
#[inline(always)]
pub fn mask<T: Real>(op: Mask, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    match op {
        Mask::And => map2!(out, a, b, |x, y| T::from_bits(x.bits().and(y.bits()))),
        Mask::Or => map2!(out, a, b, |x, y| T::from_bits(x.bits().or(y.bits()))),
    }
}

/// A mask turned round.
#[inline(always)]
pub fn not<T: Real>(out: &mut [T], a: Operand<'_, T>) {
    map1!(out, a, |x| T::from_bits(x.bits().xor(T::Bits::truncate(u64::MAX))));
}

/// An integer from two.
#[inline(always)]
pub fn integer<T: Real>(op: Int, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
    match op {
        Int::Add => map2!(out, a, b, |x, y| T::from_bits(x.bits().add(y.bits()))),
        Int::Sub => map2!(out, a, b, |x, y| T::from_bits(x.bits().sub(y.bits()))),
        Int::And => map2!(out, a, b, |x, y| T::from_bits(x.bits().and(y.bits()))),
        Int::Or => map2!(out, a, b, |x, y| T::from_bits(x.bits().or(y.bits()))),
        Int::Xor => map2!(out, a, b, |x, y| T::from_bits(x.bits().xor(y.bits()))),
    }
}

/// A shift by a constant, to the left if `left`.
#[inline(always)]
pub fn shift<T: Real>(left: bool, n: u32, out: &mut [T], a: Operand<'_, T>) {
    if left {
        map1!(out, a, |x| T::from_bits(x.bits().shl(n)));
    } else {
        map1!(out, a, |x| T::from_bits(x.bits().shr(n)));
    }
}

macro_rules! loops {
    ({ $($one:ident $one_name:ident,)* } { $($two:ident $two_name:ident,)* }) => {
        $(
            /// The function of this name by its recipe, slow ranges left unmended.
            #[inline(always)]
            pub fn $one_name<T: Real>(out: &mut [T], a: &[T]) {
                let mut s = Scalar::<T, false>::new();
                for (o, x) in out.iter_mut().zip(a) {
                    *o = math::$one_name(&mut s, *x);
                }
            }
        )*
        $(
            /// The function of this name by its recipe.
            #[inline(always)]
            pub fn $two_name<T: Real>(out: &mut [T], a: &[T], b: &[T]) {
                let mut s = Scalar::<T, false>::new();
                for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                    *o = math::$two_name(&mut s, *x, *y);
                }
            }
        )*
    };
}
functions!(loops);

/// `±(a * b) ± c`, rounded once.
#[inline(always)]
pub fn fma<T: Real>(np: bool, nc: bool, out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, c: Operand<'_, T>) {
    match (np, nc) {
        (false, false) => signed_fma::<T, false, false>(out, a, b, c),
        (false, true) => signed_fma::<T, false, true>(out, a, b, c),
        (true, false) => signed_fma::<T, true, false>(out, a, b, c),
        (true, true) => signed_fma::<T, true, true>(out, a, b, c),
    }
}

#[inline(always)]
fn signed_fma<T: Real, const NP: bool, const NC: bool>(out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, c: Operand<'_, T>) {
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

/// The first real where the mask holds, else the second.
#[inline(always)]
pub fn select<T: Real>(out: &mut [T], m: Operand<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>) {
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

/// Folds an operand into the target.
#[inline(always)]
pub fn fold_into<T: Real>(fold: Fold, out: &mut [T], a: Operand<'_, T>) {
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

/// Adds a product to the target.
#[inline(always)]
pub fn fold_product<T: Real>(out: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>) {
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

/// Folds `n` samples into an accumulator's lanes: sample `i` goes to lane `i % lanes`; a tile starts at a multiple of that.
#[inline(always)]
pub fn accumulate<T: Real>(fold: Fold, acc: &mut [T], a: Operand<'_, T>, n: usize) {
    match acc.len() {
        8 => accumulate_lanes::<T, 8>(fold, acc, a, n),
        16 => accumulate_lanes::<T, 16>(fold, acc, a, n),
        32 => accumulate_lanes::<T, 32>(fold, acc, a, n),
        _ => accumulate_lanes::<T, 64>(fold, acc, a, n),
    }
}

#[inline(always)]
fn accumulate_lanes<T: Real, const L: usize>(fold: Fold, acc: &mut [T], a: Operand<'_, T>, n: usize) {
    let Ok(acc) = <&mut [T; L]>::try_from(acc) else { unreachable!("an accumulator has its lanes") };
    macro_rules! each {
        ($fold:expr) => {{
            // Fewer samples than lanes: no need to carry the lanes through registers.
            if let (Lanes(a), true) = (a, n < L) {
                for (h, x) in acc.iter_mut().zip(a) {
                    *h = $fold.combine(*h, *x);
                }
                return;
            }
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

/// Adds the products of `n` samples to an accumulator's lanes.
#[inline(always)]
pub fn accumulate_product<T: Real>(acc: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, n: usize) {
    match acc.len() {
        8 => product_lanes::<T, 8>(acc, a, b, n),
        16 => product_lanes::<T, 16>(acc, a, b, n),
        32 => product_lanes::<T, 32>(acc, a, b, n),
        _ => product_lanes::<T, 64>(acc, a, b, n),
    }
}

#[inline(always)]
fn product_lanes<T: Real, const L: usize>(acc: &mut [T], a: Operand<'_, T>, b: Operand<'_, T>, n: usize) {
    let Ok(acc) = <&mut [T; L]>::try_from(acc) else { unreachable!("an accumulator has its lanes") };
    if let (Lanes(a), Lanes(b), true) = (a, b, n < L) {
        for ((h, x), y) in acc.iter_mut().zip(a).zip(b) {
            *h = x.fma(*y, *h);
        }
        return;
    }
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
