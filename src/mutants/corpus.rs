//! Kernels that make the emitter take each of its choices: every operation of the table, long and short blocks, more values than registers, nests,
//! sums over dimensions, extremes, slow lanes, groups, several leaves.

use super::process::guarded;
use crate::backend::{Backend, Executable, LEAF, Leaf, prepare};
use crate::expr::{Expr, Graph};
use crate::kernel::ir::{Access, Bin, Inst, Kernel, PassKernels, Un, V};
use crate::lines::Aligned;
use crate::op::Elem;
use crate::pipeline::{Options, compile_function};
use crate::real::Real;
use crate::runtime::plan::Plan;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A pass, what goes in and what comes out.
pub struct Case<T: 'static> {
    /// What it is for.
    pub name: String,
    /// The kernels.
    pub pass: PassKernels,
    /// How many samples, one after the other.
    pub lengths: Vec<usize>,
    /// For each length columns, uniforms, results to write, and what the interpreter made of them.
    runs: Vec<Run<T>>,
}

struct Run<T: 'static> {
    columns: Vec<&'static [T]>,
    uniforms: &'static [T],
    /// Where results go; each child writes into its own copy of the pages.
    outputs: Vec<Output<T>>,
    expected: Vec<u64>,
}

type Output<T> = Rc<RefCell<&'static mut [T]>>;

/// Memory between inaccessible pages, shared by all cases: a fork copies what is said of each piece.
struct Memory<T: 'static> {
    numbers: Numbers,
    /// By length, tameness and position.
    inputs: HashMap<(usize, bool, usize), &'static [T]>,
    /// By length and position.
    outputs: HashMap<(usize, usize), Output<T>>,
}

impl<T: Real> Memory<T> {
    fn input(&mut self, len: usize, tame: bool, position: usize) -> &'static [T] {
        let numbers = &mut self.numbers;
        self.inputs.entry((len, tame, position)).or_insert_with(|| {
            let made: Vec<T> = (0..len).map(|_| numbers.number(tame)).collect();
            guarded(&made, false)
        })
    }

    /// Uniforms lie in a place of their own for each number of them: any, or odd ones.
    fn uniforms(&mut self, len: usize, odd: bool) -> &'static [T] {
        if !odd {
            return self.input(len, true, usize::MAX);
        }
        let numbers = &mut self.numbers;
        self.inputs.entry((len, true, usize::MAX - 1)).or_insert_with(|| {
            let made: Vec<T> = (0..len).map(|_| T::from_f64((numbers.bits() % 4 * 2 + 1) as f64)).collect();
            guarded(&made, false)
        })
    }

    fn output(&mut self, len: usize, position: usize) -> Output<T> {
        let made = self.outputs.entry((len, position)).or_insert_with(|| Rc::new(RefCell::new(guarded(&vec![T::from_f64(RUBBISH); len], true))));
        made.clone()
    }
}

/// What memory holds before it is written.
const RUBBISH: f64 = 7.25e3;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Ordinary numbers mostly.
    fn number<T: Real>(&mut self, tame: bool) -> T {
        let special = [0.0, -0.0, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-310, 709.8, -745.2, 3e9, -7e22, 1.0, -1.0, 2.5];
        let unit = (self.bits() >> 11) as f64 * 2f64.powi(-53);
        T::from_f64(match self.bits() % 16 {
            0 | 4..=7 if !tame => special[(self.bits() % special.len() as u64) as usize],
            1 => unit * 200.0 - 100.0,
            2 => unit * 1e-3,
            3 => (unit * 9.0).floor() - 4.0,
            _ => unit * 8.0 - 4.0,
        })
    }
}

fn bits<T: Real>(x: T) -> u64 {
    let x = x.to_f64();
    if x.is_nan() { u64::MAX } else { x.to_bits() }
}

impl<T: Real> Case<T> {
    fn new(memory: &mut Memory<T>, name: &str, pass: &PassKernels, lengths: &[usize], tame: bool) -> Self {
        let interp = prepare::<T>(Backend::Interp, pass);
        let mut case = Case { name: name.into(), pass: pass.clone(), lengths: lengths.to_vec(), runs: Vec::new() };
        for len in lengths {
            let rows = if name.ends_with("from afar") { FAR } else { *len };
            let columns = (0..pass.columns.len() + pass.made.len()).map(|k| memory.input(rows, tame, k)).collect();
            let uniforms = memory.uniforms(pass.uniforms.len(), name.contains("power"));
            let outputs = (0..pass.outputs).map(|k| memory.output(*len, k)).collect();
            let mut run = Run { columns, uniforms, outputs, expected: Vec::new() };
            // Leaf by leaf.
            let parts: Vec<Vec<u64>> = (0..len.div_ceil(LEAF).max(1)).map(|leaf| run.over(&*interp, pass, leaf * LEAF, LEAF.min(*len - leaf * LEAF))).collect();
            let sums = pass.accumulators.len();
            run.expected = parts.iter().flat_map(|p| p[..sums].iter().copied()).collect();
            let columns = pass.outputs + pass.terms();
            for column in 0..columns {
                for (leaf, part) in parts.iter().enumerate() {
                    let n = LEAF.min(*len - leaf * LEAF);
                    run.expected.extend(&part[sums + column * n..][..n]);
                }
            }
            case.runs.push(run);
        }
        case
    }

    /// Whether an executable gives the interpreter's bits.
    pub fn is_right(&self, executable: &dyn Executable<T>) -> bool {
        self.runs.iter().zip(&self.lengths).all(|(run, len)| {
            let most = executable.leaves() * LEAF;
            if *len > most {
                return true;
            }
            run.outputs.iter().for_each(|o| o.borrow_mut().fill(T::from_f64(RUBBISH)));
            // Wherever the stack happens to stand.
            let depths = if self.name.starts_with("Gaussian") && *len < LEAF { 4 } else { 1 };
            (0..depths).all(|depth| deeper(depth, &mut || run.over(executable, &self.pass, 0, *len) == run.expected))
        })
    }
}

/// Runs something with the stack at one of four places between two multiples of 64.
fn deeper(by: usize, f: &mut dyn FnMut() -> bool) -> bool {
    #[inline(never)]
    fn above<const N: usize>(f: &mut dyn FnMut() -> bool) -> bool {
        let mut room = [0u8; N];
        std::hint::black_box(&mut room);
        let answer = f();
        std::hint::black_box(&mut room);
        answer
    }
    match by {
        0 => above::<16>(f),
        1 => above::<32>(f),
        2 => above::<48>(f),
        _ => above::<64>(f),
    }
}

impl<T: Real> Run<T> {
    fn over(&self, executable: &dyn Executable<T>, pass: &PassKernels, start: usize, len: usize) -> Vec<u64> {
        let (data, made) = self.columns.split_at(pass.columns.len());
        let made: Vec<Aligned<T>> = made.iter().map(|c| c[start..start + len].into()).collect();
        let mut terms = vec![Aligned::repeat(T::from_f64(RUBBISH), len); pass.terms()];
        let mut outputs: Vec<_> = self.outputs.iter().map(|o| o.borrow_mut()).collect();
        let mut parts: Vec<&mut [T]> = outputs.iter_mut().map(|o| &mut o[start..start + len]).collect();
        let mut sums = vec![RUBBISH; pass.accumulators.len() * len.div_ceil(LEAF).max(1)];
        let mut scratch = executable.scratch();
        scratch.lanes.fill(T::from_f64(RUBBISH));
        scratch.registers.iter_mut().for_each(|r| r.fill(T::from_f64(RUBBISH)));
        let mut leaf = Leaf { columns: data, rows: None, made: &made, start, len, uniforms: self.uniforms, outputs: &mut parts, terms: &mut terms };
        executable.run(&mut leaf, &mut scratch, &mut sums);
        let written = parts.iter().flat_map(|o| o.iter()).chain(terms.iter().flat_map(|terms| terms.iter()));
        sums.into_iter().map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() }).chain(written.map(|x| bits(*x))).collect()
    }
}

/// Around a block and a group of blocks, one group of every size and some more.
const SHORT: &[usize] = &[0, 1, 5, 11, 21, 37, 203];
/// Tiles of 64 samples, the last shorter than a group of blocks in either type.
const TILES: &[usize] = &[0, 1, 5, 37, 195, 203];
const LONG: &[usize] = &[3, 130, LEAF, LEAF + 37];
/// Samples of columns beyond what is near.
const FAR: usize = 70_000;
/// For numbers of which some are special.
const AWKWARD: &[usize] = &[1, 5, 37, 70, 131, 1003];

/// The passes of a program for a loss, or for results.
fn passes<T: Real>(loss: Option<Expr<'_>>, results: &[(&str, Expr<'_>)]) -> Vec<PassKernels> {
    let options = Options::new().backend(Backend::Interp);
    let dag = match loss {
        Some(loss) => options.compile(loss).expect("a program").dag().clone(),
        None => compile_function::<T>(results, &options).expect("a function").dag().clone(),
    };
    let plan = Plan::<T>::new(dag, Backend::Interp);
    plan.pass_kernels().cloned().collect()
}

/// Products with either sign added to either sign of what is needed no more, while their factors are: no formula is left with all of them.
fn products() -> PassKernels {
    let column = |k| Inst::Column(Access::fixed(k));
    let mut insts = vec![column(0), column(1), Inst::Un(Un::Abs, V(0)), Inst::Un(Un::Sqrt, V(2)), Inst::Bin(Bin::Add, V(0), V(1))];
    let [size, root, sum] = [V(2), V(3), V(4)];
    for (k, (np, nc)) in [(true, true), (true, false), (false, true), (false, false)].into_iter().enumerate() {
        let at = insts.len() as u32;
        insts.push(Inst::Bin(Bin::Mul, sum, sum));
        insts.push(Inst::Fma { a: size, b: root, c: V(at), np, nc });
        insts.push(Inst::Output(Access::fixed(k), V(at + 1)));
    }
    let last = insts.len() as u32;
    insts.extend([Inst::Bin(Bin::Sub, size, root), Inst::Output(Access::fixed(4), V(last))]);
    let kernel = Kernel { insts, ..Kernel::default() };
    let mut pass = PassKernels { steps: vec![kernel], columns: vec![(0, 0), (1, 0)], outputs: 5, ..PassKernels::default() };
    pass.choose_lanes();
    pass
}

/// All cases of a number type.
pub fn cases<T: Real>() -> Vec<Case<T>> {
    let mut memory = Memory { numbers: Numbers(11), inputs: HashMap::new(), outputs: HashMap::new() };
    let mut out = Vec::new();
    let mut add = |name: &str, loss: Option<Expr<'_>>, results: &[(&str, Expr<'_>)], lengths: &[usize]| {
        for (k, pass) in passes::<T>(loss, results).iter().enumerate() {
            out.push(Case::new(&mut memory, &format!("{name} {k}"), pass, lengths, true));
            // Beyond a few numbers one that is NaN hides all others.
            if pass.columns.len() <= 3 {
                out.push(Case::new(&mut memory, &format!("{name} {k}, awkward"), pass, AWKWARD, false));
            }
        }
    };
    let g = Graph::new();
    let (x, y, a, b) = (g.data("x"), g.data("y"), g.param("a"), g.param("b"));
    // Every operation, by itself.
    for op in Elem::ALL.iter().copied().chain([Elem::Powi(-3), Elem::Polygamma(3)]) {
        let operands: Vec<Expr> = [x, y, a].into_iter().take(op.arity()).collect();
        add(op.name(), None, &[("value", g.apply(op, &operands))], SHORT);
    }
    // Cheap and long loops, alone in their pass.
    add("Gaussian", Some(((x - a) / b.softplus()).square().sum() + b.softplus().ln() * g.count()), &[], LONG);
    add("waves", Some(((a * x).sin() * (b * y).exp() - x.tanh()).square().sum()), &[], SHORT);
    add("wave", None, &[("wave", ((a * x).sin() * (b * y).exp() - x.tanh()).square()), ("slope", (a * x).cos() * x)], SHORT);
    add("largest", None, &[("largest", (-1.0 - x.abs()).max_samples()), ("smallest", (y.square() + 1.5).min_samples())], LONG);
    add("largest alone", None, &[("largest", (-1.0 - x.abs()).max_samples())], LONG);
    add("powers", Some((x.powf(a.abs().round() * 2.0 + 1.0) + y.erf() * (b - x).softplus()).sum()), &[], SHORT);
    add("several", Some((x * y * a).sum() + (x * b).abs().sum().sqrt() + (x - y).square().sum().ln() + x.max(a).sum()), &[], LONG);
    add("extremes", Some((x * y * a).max_samples() - (x - b).min_samples() + (x * a).sum()), &[], LONG);
    add("extremes alone", Some((x * y * a).max_samples() - (x - b).min_samples()), &[], LONG);
    add("integer powers", None, &[("odd", x.powf(a.abs().round() * 2.0 + 1.0)), ("even", y.powf(b.round() * 2.0))], SHORT);
    // Whatever a fold starts from but its identity would be the extreme.
    add("one side", Some((x.abs() * a.square() + 1.0).min_samples() - (-1.0 - y.abs() * b.square()).max_samples()), &[], LONG);
    add("log-sum-exp", Some((a * x + b).exp().sum().ln()), &[], SHORT);
    // Per-sample results, many constants and uniforms.
    add("results", None, &[("sine", (a * x).sin()), ("mixed", (y * x + b).exp() - a), ("double", x * 2.0)], SHORT);
    let many: Vec<Expr> = (0..40).map(|k| g.param(&format!("m{k}"))).collect();
    let spread = many.iter().enumerate().fold(x, |s, (k, m)| (s * *m + y).max(*m - k as f64 * 0.37));
    add("many uniforms", Some(spread.sum()), &[], SHORT);
    // More values alive than there are registers.
    let alive: Vec<Expr> = many.iter().enumerate().map(|(k, m)| (x + k as f64 * 0.11) * *m - y.abs()).collect();
    let there = alive.iter().fold(x, |s, v| s * 0.7 + *v);
    let back = alive.iter().rev().fold(there, |s, v| s.max(*v * y) - *v * s);
    add("alive", None, &[("back", back)], SHORT);
    // Masks alive at the same time, more than mask registers.
    let masks: Vec<Expr> = (0..12).map(|k| (x * (k as f64 - 5.5)).lt(y)).collect();
    let chosen = masks.iter().enumerate().fold(y, |s, (k, m)| m.select(s + k as f64, s * 0.5 - 1.0));
    let again = masks.iter().rev().enumerate().fold(chosen, |s, (k, m)| m.select(s - 2.0 * k as f64, s * x));
    add("masks", None, &[("again", again)], SHORT);
    // Some lanes are slow, in either type.
    let slow = masks.iter().fold((x.powi(9) * 1e8).sin() + (y.powi(9) * 1e8).cos(), |s, m| m.select(s, (s.powi(9) * 1e13).tan()));
    add("slow lanes", None, &[("slow", slow + back)], SHORT);
    // Columns, unrolled and in nests.
    let few = g.data_with("few", &[3]);
    add("few columns", Some((few * g.param_with("w3", &[3])).sum_dim(-1).softplus().sum()), &[], SHORT);
    let (wide, w) = (g.data_with("wide", &[70]), g.param_with("w", &[70]));
    let z = (wide * w).sum_dim(-1) + b;
    add("logistic", Some((z.softplus() - y * z).sum()), &[], SHORT);
    let largest = (wide.abs() + 1.0).ln().max_dim(-1);
    add("wide", Some(largest.min_samples() + largest.sum() + (wide * w).max_dim(-1).sum()), &[], SHORT);
    add("smallest", Some((wide * w + 0.1).min_dim(-1).max_samples()), &[], SHORT);
    let (long, waves) = ((wide.abs() + 1.0).ln(), (wide * w).sin());
    add("long folds", None, &[("sum", (waves * 0.5).exp().sum_dim(-1)), ("largest", long.max_dim(-1)), ("smallest", waves.min_dim(-1))], SHORT);
    add("wide results", None, &[("wide", (wide * w + x).exp()), ("x", x * 2.0)], SHORT);
    let matrix = g.param_with("matrix", &[70, 10]);
    let scores = wide.reshape(&[1, 70]).matmul(matrix).reshape(&[10]);
    add("softmax", Some((scores.log_sum_exp_dim(-1) - scores.max_dim(-1)).sum()), &[], TILES);
    let (first, second) = (g.param_with("first", &[70, 20]), g.param_with("second", &[20]));
    let hidden = wide.reshape(&[1, 70]).matmul(first).reshape(&[20]).tanh();
    add("perceptron", Some(((hidden * second).sum_dim(-1) - y).square().sum()), &[], TILES);
    add("outer", Some((wide.reshape(&[70, 1]) * wide.reshape(&[1, 70])).sum_samples().square().sum()), &[], &[0, 5, 131]);
    add("norms", Some((wide.square().sum_dim(-1) + 1.0).sqrt().ln().sum() + (wide * 2.0 - w).sin().sum_dim(-1).abs().max_samples()), &[], SHORT);
    // Labels and groups.
    let group = g.labels("group");
    let effects = g.param_with("effects", &[50]).gather(group);
    add("groups", Some((x * effects - y).square().sum()), &[], SHORT);
    add("sums by group", Some((x * a).sum_by(group, 50).square().sum()), &[], SHORT);
    // So many sums that the columns are copied first.
    let hidden = wide.matmul(g.param_with("third", &[70, 40])).tanh();
    add("wide perceptron", Some((hidden.sum_dim(-1) - y).square().sum()), &[], SHORT);
    // Components with triangular factors.
    let (near, q) = (g.data_with("near", &[14]), g.param_with("q", &[3, 14, 14]).tril());
    let whitened = q.matmul((near - g.param_with("mu", &[3, 14])).reshape(&[3, 14, 1])).reshape(&[3, 14]);
    add("mixture", Some(-(-0.5 * whitened.square().sum_dim(-1)).log_sum_exp_dim(-1).sum()), &[], SHORT);
    out.push(Case::new(&mut memory, "products", &products(), SHORT, true));
    // Steps in turns, which passes of this size are too small for.
    let mut in_turns: Vec<Case<T>> = Vec::new();
    for case in out.iter().filter(|c| c.name.starts_with("mixture")) {
        let pass = PassKernels { in_turns: true, ..case.pass.clone() };
        in_turns.push(Case::new(&mut memory, &format!("{}, in turns", case.name), &pass, &[0, 5, 37, 203], true));
    }
    out.extend(in_turns);
    // Tile by tile what could be run as a whole.
    let mut by_tiles: Vec<Case<T>> = Vec::new();
    for case in out.iter().filter(|c| c.name.starts_with("Gaussian") || c.name.starts_with("several") || c.name.starts_with("extremes alone")) {
        let pass = PassKernels { by_tiles: true, ..case.pass.clone() };
        by_tiles.push(Case::new(&mut memory, &format!("{}, by tiles", case.name), &pass, &[0, 3, 29, 37, 61, 203, 1053, LEAF], true));
    }
    out.extend(by_tiles);
    // A part of columns that no cache holds.
    let mut afar: Vec<Case<T>> = Vec::new();
    for case in out.iter().filter(|c| c.name == "Gaussian 0" || c.name == "several 0") {
        afar.push(Case::new(&mut memory, &format!("{}, from afar", case.name), &case.pass, LONG, true));
    }
    out.extend(afar);
    out
}
