//! Breaks the math recipes, and the lowering of every other operation, one instruction of the expanded kernel at a time, and asks whether the points and
//! bounds of `accuracy` notice; holds every recipe to the bits that it had when its error was measured.
//!
//! A break is noticed by the bound (P2), or by what docs/numerics.md says was measured, or because some bits are others than those that were measured.
//! What gives the same bits at every point is listed below with the reason.

use super::instructions::{Change, changed, changes};
use super::measured;
use super::reference::exact::{Exact, error};
use super::reference::points::{Numbers, draw, edges, fixed};
use super::reference::rows::{EXACT, Pairs, ROWS, Row};
use rayon::prelude::*;
use tapeless::backend::{self, Backend, Executable, LEAF, Leaf};
use tapeless::kernel::build::expand;
use tapeless::kernel::ir::{Bin, Cmp, Inst, Int, Kernel, PassKernels, V};
use tapeless::op::Elem;
use tapeless::prelude::*;
use tapeless::real::Bits;
use tapeless::runtime::plan::Plan;
use tapeless::{Real, compile_function};

/// Points of every function and type that no library of the system has a hand in.
const FIXED: usize = 32_768;
/// Points as `accuracy` draws them, on top.
const DRAWN: usize = 16_384;

/// The function as one pass of primitives, its operands the columns.
fn pass<T: Real>(row: &Row) -> PassKernels {
    let g = Graph::new();
    let x = g.data("x");
    let y = if row.pairs == Pairs::None { x } else { g.data("y") };
    pass_of::<T>((row.formula)(x, y))
}

fn pass_of<T: Real>(formula: Expr<'_>) -> PassKernels {
    let function = compile_function::<T>(&[("value", formula)], &Options::new().backend(Backend::Interp).without_simplifier()).expect("a function");
    let plan = Plan::<T>::new(function.dag().clone(), Backend::Interp);
    let mut passes: Vec<PassKernels> = plan.pass_kernels().cloned().collect();
    assert!(passes.len() == 1 && passes[0].steps.len() == 1, "{}", plan.kernels());
    let mut pass = passes.remove(0);
    pass.steps[0] = expand::<T>(&pass.steps[0]);
    pass
}

/// Points of a leaf, with what is known of them.
struct Points<T> {
    x: Vec<T>,
    y: Vec<T>,
    exact: Vec<Exact>,
    unit: Vec<f64>,
    /// What the recipe makes of them.
    right: Vec<T>,
    /// Whether their bits are held.
    held: bool,
}

fn run<T: Real>(executable: &dyn Executable<T>, pass: &PassKernels, inputs: &[&[T]]) -> Vec<T> {
    let columns: Vec<&[T]> = pass.columns.iter().map(|(input, _)| inputs[*input as usize]).collect();
    let len = inputs[0].len();
    let mut out = vec![T::default(); len];
    let mut scratch = executable.scratch();
    let mut outputs = [out.as_mut_slice()];
    let mut leaf = Leaf { columns: &columns, rows: None, made: &[], start: 0, len, uniforms: &[], outputs: &mut outputs, terms: &mut [] };
    executable.run(&mut leaf, &mut scratch, &mut []);
    out
}

/// The points whose bits are held.
fn held_points<T: Real>(row: &Row) -> Vec<(T, T)> {
    let mut numbers = Numbers(seed(row));
    let mut all = edges::<T>(row);
    all.extend((0..FIXED).map(|_| fixed::<T>(row, &mut numbers)));
    all
}

fn seed(row: &Row) -> u64 {
    row.name.bytes().fold(3, |h: u64, b| h.wrapping_mul(0x100_0000_01b3) ^ u64::from(b))
}

fn points<T: Real>(row: &Row, pass: &PassKernels) -> Vec<Points<T>> {
    let mut numbers = Numbers(!seed(row));
    let drawn: Vec<(T, T)> = (0..DRAWN.div_ceil(row.every)).map(|_| draw(row, &mut numbers)).collect();
    let held = held_points::<T>(row);
    let executable = backend::prepare::<T>(Backend::Interp, pass);
    let chunks = held.par_chunks(LEAF).map(|c| (c, true)).chain(drawn.par_chunks(LEAF).map(|c| (c, false)));
    chunks
        .map(|(points, held)| {
            let x: Vec<T> = points.iter().map(|p| p.0).collect();
            let y: Vec<T> = points.iter().map(|p| p.1).collect();
            let both = || points.iter().map(|(x, y)| (x.to_f64(), y.to_f64()));
            let exact = both().map(|(x, y)| (row.exact)(x, y)).collect();
            let unit = both().map(|(x, y)| (row.unit)(x, y, T::DOUBLE)).collect();
            let right = run(&*executable, pass, &[&x, &y]);
            Points { x, y, exact, unit, right, held }
        })
        .collect()
}

/// A number's bits; one NaN is as good as another.
fn bits<T: Real>(x: T) -> u64 {
    if x.to_f64().is_nan() { u64::MAX } else { x.bits().widen() }
}

/// How a break shows.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
enum Noticed {
    /// The same bits at all points.
    Not,
    /// Other bits at points where they aren't held, and no larger error.
    Unheld,
    /// Other bits, and no larger error.
    Bits,
    /// A larger error than was measured.
    Measured,
    /// An error beyond the bound.
    Bound,
}

fn noticed<T: Real>(pass: &PassKernels, points: &[Points<T>], bound: f64, measured: f64) -> Noticed {
    let executable = backend::prepare::<T>(Backend::Interp, pass);
    let mut most = Noticed::Not;
    for p in points {
        let found = run(&*executable, pass, &[&p.x, &p.y]);
        for (k, got) in found.iter().enumerate().filter(|(k, got)| bits(**got) != bits(p.right[*k])) {
            let e = error(*got, p.exact[k], p.unit[k]).abs();
            let here = match e {
                _ if e > bound => return Noticed::Bound,
                _ if e > measured => Noticed::Measured,
                _ if p.held => Noticed::Bits,
                _ => Noticed::Unheld,
            };
            most = if here > most { here } else { most };
        }
    }
    most
}

/// The break without the numbers of values, so that it is the same wherever the recipe is used.
fn named(inst: &Inst, change: &Change) -> String {
    let whole = match (inst, change) {
        (Inst::Const(bits), Change::Scaled(by)) => format!("{:e} * {}", f64::from_bits(*bits), 1.0 + by),
        (Inst::Const(bits), Change::Other(Inst::Const(other))) => format!("{:e} is {:e}", f64::from_bits(*bits), f64::from_bits(*other)),
        (Inst::IntConst(c), Change::Added(n)) => format!("{c:#x} + {n:#x}"),
        (_, Change::Other(other)) => format!("{inst:?} is {other:?}"),
        (_, Change::Operand(v)) => {
            let which = inst.operands().iter().position(|o| o == v).expect("an operand");
            format!("{inst:?} is its operand {which}")
        }
        _ => format!("{inst:?}: {change:?}"),
    };
    let mut out = String::new();
    let mut rest = whole.as_str();
    while let Some(at) = rest.find("V(") {
        out += &rest[..at];
        out.push('_');
        rest = &rest[at + 2..];
        rest = &rest[rest.find(')').expect("a value's end") + 1..];
    }
    (out + rest).replace(", np: false, nc: false", "")
}

/// Why a break that gives the same bits everywhere may be none, by its kind.
fn reason(kernel: &Kernel, at: usize, change: &Change) -> Option<&'static str> {
    let thresholds = |v: usize| {
        let uses = kernel.insts.iter().filter(|i| i.operands().contains(&V(v as u32)));
        uses.clone().count() > 0 && uses.clone().all(|i| matches!(i, Inst::Cmp(..) | Inst::Bin(Bin::Min | Bin::Max, ..)))
    };
    match (&kernel.insts[at], change) {
        (_, Change::Unfused) => Some("one rounding more, of what is small beside the result"),
        (Inst::Cmp(Cmp::Lt, a, b), Change::Other(Inst::Cmp(Cmp::Le, c, d))) if (a, b) == (c, d) => Some("both sides agree where they meet"),
        (Inst::Cmp(Cmp::Eq, a, b), Change::Other(Inst::Cmp(Cmp::Le, c, d))) if (a, b) == (c, d) => Some("what is less is selected elsewhere, or can't be"),
        (Inst::Cmp(Cmp::Lt, a, b), Change::Other(Inst::Cmp(Cmp::Ne, c, d))) if (a, b) == (c, d) => Some("what is more is selected elsewhere, or can't be"),
        (Inst::Int(Int::Or, ..), Change::Other(Inst::Int(Int::Xor, ..))) => Some("no bit is set in both"),
        (Inst::Bin(Bin::Min | Bin::Max, a, b), Change::Other(Inst::Bin(_, c, d))) if (a, b) == (d, c) => {
            Some("differs at NaN and zeros of both signs, which can't be or are selected")
        }
        (Inst::Const(_), Change::Scaled(_)) if thresholds(at) => Some("both sides are good for a while, or nothing comes so far"),
        _ => None,
    }
}

/// Other breaks that give the same bits at every point: function (or all that have it), which, why.
const EQUIVALENT: &[(&str, &str, &str)] = &[
    ("sin", "0x8000000000000000 + 0x10000000000000", CODE),
    ("sin", "0x80000000 + 0x800000", CODE),
    ("cos", "0x8000000000000000 + 0x10000000000000", CODE),
    ("cos", "0x80000000 + 0x800000", CODE),
    ("tan", "6.755399441055744e15 is -6.755399441055744e15", "the integer in its low bits is as even or odd"),
    ("tan", "1.2582912e7 is -1.2582912e7", "the integer in its low bits is as even or odd"),
    ("atan", "Bin(Mul, _, _) is its operand 1", ONE),
    ("atan", "Select(_, _, _) is its operand 1", ONE),
    ("atan2", "2.8451311993408992e-160 * 0.5", SCALE),
    ("atan2", "3.7739624248215414e168 * 0.5", SCALE),
    ("atan2", "3.3881317890172014e-21 * 0.5", SCALE),
    ("atan2", "3.094850098213451e26 * 0.5", SCALE),
    ("cbrt", "Bin(Add, _, _) is its operand 0", "of 0, infinities and NaN: a quiet NaN is as good as a signalling one"),
    ("ln_gamma", "Bin(Sub, _, _) is Bin(Sub, _, _)", "the distance from an integer is squared"),
    ("ln_gamma", "Cmp(Lt, _, _): Always(true)", "scaled up though it needn't be: at most 1/2, it doesn't overflow, and the exponent is taken off again"),
    ("ln_gamma", "Un(Neg, _) is Un(Abs, _)", "the sign is known: ln w below 0, and the sine is made positive after"),
    ("log2", "Fma { a: _, b: _, c: _ } is Bin(Mul, _, _)", HALF),
    ("log2", "Fma { a: _, b: _, c: _ } is Fma { a: _, b: _, c: _, np: false, nc: true }", HALF),
    ("log10", "Fma { a: _, b: _, c: _ } is Bin(Mul, _, _)", HALF),
    ("log10", "Fma { a: _, b: _, c: _ } is Fma { a: _, b: _, c: _, np: false, nc: true }", HALF),
    ("polygamma(3)", "3.141592653589793e0 is -3.141592653589793e0", EVEN),
    ("polygamma(3)", "3.1415927410125732e0 is -3.1415927410125732e0", EVEN),
    ("polygamma(3)", "Bin(Sub, _, _) is Bin(Sub, _, _)", EVEN),
    ("trigamma", "Bin(Sub, _, _) is Bin(Sub, _, _)", EVEN),
    ("polygamma(4)", "1.565093994140625e0 is -1.565093994140625e0", EVEN),
    ("polygamma(10)", "3.5972900390625e0 is -3.5972900390625e0", EVEN),
    ("polygamma(100)", "3.6283203125e1 is -3.6283203125e1", EVEN),
    ("polygamma(100)", "-1.47375828125e5 * 0.5", SMALL),
    ("polygamma(100)", "-1.47375828125e5 * 1.5", SMALL),
    ("polygamma(100)", "-1.47375828125e5 is 1.47375828125e5", SMALL),
    ("polygamma(100)", "3.8317716e7 * 0.5", SMALL),
    ("polygamma(100)", "3.8317716e7 * 1.5", SMALL),
    ("polygamma(100)", "3.8317716e7 is -3.8317716e7", SMALL),
    ("polygamma(100)", "8.416666870117188e2 * 1.5", SMALL),
    ("polygamma(100)", "Bin(Mul, _, _) is Bin(Div, _, _)", SMALL),
    ("polygamma(100)", "Bin(Mul, _, _) is its operand 0", SMALL),
    ("polygamma(100)", "Fma { a: _, b: _, c: _ } is Bin(Mul, _, _)", SMALL),
    ("polygamma(100)", "Fma { a: _, b: _, c: _ } is Fma { a: _, b: _, c: _, np: false, nc: true }", SMALL),
    ("polygamma(100)", "Fma { a: _, b: _, c: _ } is Fma { a: _, b: _, c: _, np: true, nc: false }", SMALL),
    ("polygamma(100)", "Fma { a: _, b: _, c: _ } is its operand 2", SMALL),
    ("powf", "5e-1 is -5e-1", "half of an integer is one, whatever its sign"),
    ("powf", "Un(Floor, _) is Un(Round, _)", "compared with what was rounded: only an integer is the same, either way"),
    ("powf", "Cmp(Ne, _, _) is Cmp(Lt, _, _)", "what is rounded down is never more"),
];
const CODE: &str = "nothing but the two highest bits is ever set in what is masked";
const ONE: &str = "the recipe is atan2's, with 1 for the other operand";
const SCALE: &str = "both are scaled by it, and any power of two that keeps them from over- and underflow will do";
const HALF: &str = "the addend is f^2/2 less itself: what `ln_tail` takes off is what this one puts on";
const EVEN: &str = "it goes into an even power, or an even function";
const SMALL: &str = "of an order so high nothing but the first of the series' terms shows in f32";

#[derive(Default)]
struct Tally {
    made: usize,
    bound: usize,
    measured: usize,
    bits: usize,
    fine: usize,
    by_kind: std::collections::BTreeMap<&'static str, usize>,
    listed: Vec<bool>,
    survivors: Vec<String>,
}

fn broken<T: Real>(row: &Row, tally: &mut Tally) {
    let pass = pass::<T>(row);
    let points = points::<T>(row, &pass);
    let bound = if T::DOUBLE { row.bounds.0 } else { row.bounds.1 } + f64::EPSILON * 4.0;
    let measured = measured(row, T::DOUBLE).min(bound);
    let kernel = &pass.steps[0];
    let changes = changes::<T>(kernel);
    let found: Vec<Noticed> = changes
        .par_iter()
        .map(|(at, change)| {
            let mut pass = pass.clone();
            pass.steps[0] = changed::<T>(kernel, *at, change);
            noticed(&pass, &points, bound, measured)
        })
        .collect();
    for ((at, change), noticed) in changes.iter().zip(found) {
        tally.made += 1;
        match noticed {
            Noticed::Bound => tally.bound += 1,
            Noticed::Measured => tally.measured += 1,
            Noticed::Bits => tally.bits += 1,
            Noticed::Unheld | Noticed::Not => {
                let name = named(&kernel.insts[*at], change);
                let listed = EQUIVALENT.iter().position(|(of, what, _)| (*of == row.name || *of == "*") && *what == name);
                if let Some(why) = reason(kernel, *at, change) {
                    *tally.by_kind.entry(why).or_default() += 1;
                } else if let Some(k) = listed {
                    tally.listed[k] = true;
                } else if change.is_fine() {
                    tally.fine += 1;
                } else {
                    tally.survivors.push(format!("(\"{}\", \"{name}\", \"\"), // {} {at} {noticed:?}", row.name, T::NAME));
                }
            }
        }
    }
}

#[test]
fn every_broken_recipe_is_caught() {
    let only = std::env::var("TAPELESS_ONLY").unwrap_or_default();
    let mut tally = Tally { listed: vec![false; EQUIVALENT.len()], ..Tally::default() };
    for row in ROWS.iter().filter(|r| r.name.contains(&only)) {
        broken::<f64>(row, &mut tally);
        broken::<f32>(row, &mut tally);
    }
    let Tally { made, bound, measured, bits, fine, by_kind, listed, survivors } = tally;
    let stale: Vec<_> = EQUIVALENT.iter().zip(&listed).filter(|(e, listed)| !**listed && e.0.contains(&only)).map(|(e, _)| e).collect();
    println!("{made} broken instructions of recipes: {bound} beyond the bound, {measured} beyond what was measured, {bits} by their bits alone");
    println!("the same bits everywhere: {fine} constants changed by a thousandth, {} listed one by one, and by kind {by_kind:#?}", listed.len());
    assert!(survivors.is_empty() && stale.is_empty(), "{} not noticed:\n{}\nnoticed, though listed: {stale:#?}", survivors.len(), survivors.join("\n"));
}

/// The same for exact operations.
const EXACT_EQUIVALENT: &[(&str, &str, &str)] = &[("pivot", "Cmp(Lt, _, _) is Cmp(Ne, _, _)", "the root of what is less than 0 is NaN by itself")];

/// Awkward numbers, all triples of which are a leaf.
const AWKWARD: [f64; 16] = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, -0.25, 3.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e-40];

/// Operations that are exact, against their row of the table, bit for bit: what survives of their broken lowerings.
fn broken_exact<T: Real>(op: Elem, made: &mut usize, survivors: &mut Vec<String>) {
    let g = Graph::new();
    let operands: Vec<Expr> = ["a", "b", "c"].into_iter().take(op.arity()).map(|name| g.data(name)).collect();
    let pass = pass_of::<T>(g.apply(op, &operands));
    let triples = || AWKWARD.iter().flat_map(|a| AWKWARD.iter().flat_map(move |b| AWKWARD.iter().map(move |c| [*a, *b, *c])));
    let columns: Vec<Vec<T>> = (0..3).map(|k| triples().map(|t| T::from_f64(t[k])).collect()).collect();
    let expected: Vec<u64> = (0..columns[0].len())
        .map(|i| {
            let args: Vec<f64> = columns.iter().take(op.arity()).map(|c| c[i].to_f64()).collect();
            bits(T::from_f64(op.value(&args)))
        })
        .collect();
    let slices: Vec<&[T]> = columns.iter().map(Vec::as_slice).collect();
    let right = |pass: &PassKernels| {
        let executable = backend::prepare::<T>(Backend::Interp, pass);
        run(&*executable, pass, &slices).into_iter().map(bits).eq(expected.iter().copied())
    };
    assert!(right(&pass), "{op:?} {}", T::NAME);
    for (at, change) in changes::<T>(&pass.steps[0]) {
        let mut broken = pass.clone();
        broken.steps[0] = changed::<T>(&pass.steps[0], at, &change);
        *made += 1;
        let name = named(&pass.steps[0].insts[at], &change);
        let listed = EXACT_EQUIVALENT.iter().any(|(of, what, _)| *of == op.name() && *what == name);
        if right(&broken) && !listed && !change.is_fine() {
            survivors.push(format!("(\"{}\", \"{name}\", \"\"), // {}", op.name(), T::NAME));
        }
    }
}

#[test]
fn every_broken_exact_operation_is_caught() {
    let (mut made, mut survivors) = (0, Vec::new());
    for op in Elem::ALL.iter().copied().filter(|op| EXACT.contains(&op.name())) {
        broken_exact::<f64>(op, &mut made, &mut survivors);
        broken_exact::<f32>(op, &mut made, &mut survivors);
    }
    println!("{made} broken instructions of exact operations");
    assert!(survivors.is_empty(), "{} not noticed:\n{}", survivors.len(), survivors.join("\n"));
}

/// The bits of a recipe over the points that are held, in one number (FNV-1a).
fn digest<T: Real>(row: &Row) -> u64 {
    let pass = pass::<T>(row);
    let executable = backend::prepare::<T>(Backend::Interp, &pass);
    let points = held_points::<T>(row);
    let found = points.chunks(LEAF).flat_map(|points| {
        let (x, y): (Vec<T>, Vec<T>) = points.iter().copied().unzip();
        run(&*executable, &pass, &[&x, &y])
    });
    found.fold(0xcbf2_9ce4_8422_2325, |h, x| (h ^ bits(x)).wrapping_mul(0x100_0000_01b3))
}

/// A recipe that gives other bits is another recipe: measure its error again (docs/numerics.md says how), then write the table that this prints into
/// `tests/tables/recipe_bits.txt`.
#[test]
fn every_recipe_gives_the_bits_that_were_measured() {
    let table: Vec<String> = ROWS.par_iter().map(|row| format!("{} {:016x} {:016x}", row.name, digest::<f64>(row), digest::<f32>(row))).collect();
    let expected: Vec<&str> = include_str!("../tables/recipe_bits.txt").lines().filter(|l| !l.starts_with('#')).collect();
    let others: Vec<&String> = table.iter().filter(|line| !expected.contains(&line.as_str())).collect();
    assert!(others.is_empty() && table.len() == expected.len(), "other bits than were measured: {others:#?}\n{}", table.join("\n"));
}
