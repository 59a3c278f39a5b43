//! Native code and the system around it: buffers that end at an inaccessible page, pages that come and go, processes that may not have them, the
//! caller's floating-point setting, what the reports say.

// Guard pages, system calls and the floating-point setting need it.
#![allow(unsafe_code)]
#![cfg(all(feature = "jit", target_arch = "x86_64", target_os = "linux"))]

mod random;

use random::Numbers;
use random::leaf::{awkward, run_pass};
use tapeless::backend::{self, Backend, Executable, LEAF, Leaf};
use tapeless::graph::Fold;
use tapeless::kernel::arith::Slow;
use tapeless::kernel::ir::{Access, Bin, Inst, Kernel, PassKernels, V};
use tapeless::prelude::*;
use tapeless::runtime::plan::Plan;
use tapeless::{Real, compile_function};

/// The native backends of this machine.
fn native() -> Vec<Backend> {
    Backend::available().into_iter().filter(|b| *b != Backend::Interp).collect()
}

const PAGE: usize = 4096;

/// Numbers between two inaccessible pages, touching one of them.
struct Guarded<T> {
    map: *mut u8,
    bytes: usize,
    first: *mut T,
    len: usize,
}

impl<T: Real> Guarded<T> {
    /// `at_end`: the last number ends where the page behind begins; otherwise the first begins where the page before ends.
    fn new(len: usize, at_end: bool, mut fill: impl FnMut() -> T) -> Self {
        let data = (len * size_of::<T>()).next_multiple_of(PAGE).max(PAGE);
        let bytes = data + 2 * PAGE;
        // SAFETY: a new mapping wherever the system likes, checked below.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED);
        let map: *mut u8 = map.cast();
        // SAFETY: inside the mapping.
        let inner = unsafe { map.add(PAGE) };
        // SAFETY: pages of the mapping.
        assert_eq!(unsafe { libc::mprotect(inner.cast(), data, libc::PROT_READ | libc::PROT_WRITE) }, 0);
        let skip = if at_end { data - len * size_of::<T>() } else { 0 };
        // SAFETY: inside the accessible pages, aligned to the type because both ends are.
        let first: *mut T = unsafe { inner.add(skip) }.cast();
        for k in 0..len {
            // SAFETY: `len` numbers fit between `first` and the end.
            unsafe { first.add(k).write(fill()) };
        }
        Guarded { map, bytes, first, len }
    }

    fn numbers(&self) -> &[T] {
        // SAFETY: `len` numbers were written there.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }

    fn numbers_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.first, self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        unsafe { libc::munmap(self.map.cast(), self.bytes) };
    }
}

/// Kernels of every kind: cheap and long, with slow lanes, with outputs, with nests and folds, with many columns, minima.
fn kernels<T: Real>() -> Vec<PassKernels> {
    let g = Graph::new();
    let (x, y, a, b) = (g.data("x"), g.data("y"), g.param("a"), g.param("b"));
    let (wide, w) = (g.data_with("wide", &[70]), g.param_with("w", &[70]));
    let z = (wide * w).sum_dim(-1) + b;
    // Columns that a tile reads many times over.
    let hidden = wide.matmul(g.param_with("m", &[70, 48])).tanh();
    let apart = (wide - g.param_with("centres", &[9, 70])).square().sum_dim(-1);
    // Steps that share an outermost loop: components with triangular factors, and experts whose hidden values two sums need.
    let (near, q) = (g.data_with("near", &[14]), g.param_with("q", &[3, 14, 14]).tril());
    // Fewer columns, read as often, than points of a nest.
    let broad = near.matmul(g.param_with("n", &[14, 60])).tanh();
    let whitened = q.matmul((near - g.param_with("mu", &[3, 14])).reshape(&[3, 14, 1])).reshape(&[3, 14]);
    let mixture = -(q.diag().ln().sum_dim(-1) - 0.5 * whitened.square().sum_dim(-1)).log_sum_exp_dim(-1).sum();
    let inputs = near.reshape(&[1, 1, 14]);
    let hidden_of = ((inputs * g.param_with("into", &[4, 10, 14])).sum_dim(-1) + g.param_with("shift", &[4, 10])).tanh();
    let scores = (hidden_of * g.param_with("gate", &[4, 10])).sum_dim(-1);
    let experts = ((hidden_of * g.param_with("out", &[4, 10])).sum_dim(-1) * scores.softmax(-1)).sum_dim(-1) - y;
    // Extremes of which two are read, so that most of the nest is left out.
    let least = g.data_with("grid", &[5, 20]).min_samples();
    // Back through a triangle for each sample, with its own gradient and without.
    let bent = q.matmul((near * g.param_with("bend", &[14])).reshape(&[14, 1])).sin().sum();
    let stiff = q.detach().matmul((near * g.param_with("bow", &[14])).reshape(&[14, 1])).cos().sum();
    let losses = [
        bent,
        stiff,
        least.index(&[4, 10]) - least.index(&[0, 13]) * a,
        mixture,
        experts.square().sum(),
        (hidden.sum_dim(-1) - y).square().sum() + apart.min_dim(-1).sum(),
        (broad.sum_dim(-1) - y).square().sum(),
        -tapeless::dist::normal(a, b.softplus()).log_prob(x).sum(),
        ((a * x).sin() * (b * y).exp() - x.tanh()).square().sum(),
        (z.softplus() - y * z).sum() + (wide.abs() + 1.0).ln().max_dim(-1).min_samples(),
        (x * y * a).max_samples() - (x - b).min_samples(),
    ];
    let mut out = Vec::new();
    for loss in losses {
        let program = Options::new().backend(Backend::Interp).compile(loss).unwrap();
        out.push(program.dag().clone());
    }
    let named = [("sine", (a * x).sin()), ("wide", (wide * w + x).exp()), ("x", x * 2.0)];
    // One sum, whose accumulator AVX2's registers hold too.
    let single = [("loss", (x - a).square().sum())];
    for results in [&named[..], &single] {
        out.push(compile_function::<f64>(results, &Options::new().backend(Backend::Interp)).unwrap().dag().clone());
    }
    let plans: Vec<Plan<T>> = out.into_iter().map(|dag| Plan::new(dag, Backend::Interp)).collect();
    let mut passes: Vec<PassKernels> = plans.iter().flat_map(|p| p.pass_kernels().cloned()).collect();
    assert!(passes.iter().any(|p| p.steps.iter().any(|s| !s.parts.is_empty())));
    // And in turns, which passes of this size are too small for.
    let nests = passes.iter().filter(|p| p.steps.iter().any(|s| s.dims.len() > 1));
    let turned: Vec<PassKernels> = nests.map(|p| PassKernels { in_turns: true, ..p.clone() }).collect();
    passes.extend(turned);
    assert!(passes.iter().any(|p| p.outputs > 0) && passes.iter().any(|p| p.tiles > 0) && passes.iter().any(|p| p.columns.len() > 64));
    passes
}

/// Sums and outputs of a leaf, as bits that are equal for all NaNs.
fn run<T: Real>(executable: &dyn Executable<T>, pass: &PassKernels, columns: &[&[T]], uniforms: &[T], outputs: &mut [&mut [T]], len: usize) -> Vec<u64> {
    let mut sums = vec![0.0; pass.accumulators.len()];
    executable.run(&mut Leaf { columns, rows: None, made: &[], start: 0, len, uniforms, outputs, terms: &mut [] }, &mut executable.scratch(), &mut sums);
    let bits = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    sums.into_iter().map(bits).chain(outputs.iter().flat_map(|o| o.iter().map(|x| bits(x.to_f64())))).collect()
}

fn stays_inside<T: Real>() {
    let mut numbers = Numbers(17);
    let mut turned = 0;
    let lengths = (0..=33).chain([63, 64, 65, 511, 512, 513]);
    let passes = kernels::<T>();
    // For tools that get NaN wrong (`tools/memory.sh`): then numbers are in the middle of the range.
    let gentle = std::env::var_os("TAPELESS_GENTLE").is_some();
    let number = |numbers: &mut Numbers| if gentle { T::from_f64(numbers.around()) } else { awkward(numbers) };
    let mut seen = [false; 16];
    for len in lengths {
        seen[len % 16] = true;
        for pass in &passes {
            for at_end in [true, false] {
                let columns: Vec<Guarded<T>> = pass.columns.iter().map(|_| Guarded::new(len, at_end, || number(&mut numbers))).collect();
                let uniforms = Guarded::new(pass.uniforms.len(), at_end, || number(&mut numbers));
                let slices: Vec<&[T]> = columns.iter().map(Guarded::numbers).collect();
                let mut of = |backend: Backend| {
                    let executable = backend::prepare::<T>(backend, pass);
                    assert!(executable.describe().starts_with(backend.name()), "{}", executable.describe());
                    turned += usize::from(executable.describe().contains("in turns"));
                    let mut outputs: Vec<Guarded<T>> = (0..pass.outputs).map(|_| Guarded::new(len, at_end, T::default)).collect();
                    let mut parts: Vec<&mut [T]> = outputs.iter_mut().map(Guarded::numbers_mut).collect();
                    run(&*executable, pass, &slices, uniforms.numbers(), &mut parts, len)
                };
                let expected = of(Backend::Interp);
                for backend in native() {
                    assert_eq!(of(backend), expected, "{}, {}, {len} samples, at the end: {at_end}", T::NAME, backend.name());
                }
            }
        }
    }
    assert_eq!(seen, [true; 16]);
    assert!(turned > 0 || native().is_empty(), "no steps took turns");
}

/// Several leaves in one call against the interpreter leaf by leaf.
fn runs_of_leaves<T: Real>() {
    let mut numbers = Numbers(29);
    let mut together = vec![0; native().len()];
    for pass in &kernels::<T>() {
        let interp = backend::prepare::<T>(Backend::Interp, pass);
        for (k, backend) in native().into_iter().enumerate() {
            let executable = backend::prepare::<T>(backend, pass);
            let most = executable.leaves();
            together[k] += usize::from(most > 1);
            for len in [most * LEAF, (most - 1) * LEAF + 1, 2 * LEAF + 33, 2 * LEAF, LEAF + 4095].into_iter().filter(|len| len.div_ceil(LEAF) <= most) {
                let start = 5;
                let columns: Vec<Vec<T>> = pass.columns.iter().map(|_| (0..start + len).map(|_| T::from_f64(numbers.around())).collect()).collect();
                let uniforms: Vec<T> = pass.uniforms.iter().map(|_| T::from_f64(numbers.around())).collect();
                let all = run_pass(&*executable, pass, &columns, &uniforms, start, len);
                let rows = len.div_ceil(LEAF) * pass.accumulators.len();
                for leaf in 0..len.div_ceil(LEAF) {
                    let n = LEAF.min(len - leaf * LEAF);
                    let one = run_pass(&*interp, pass, &columns, &uniforms, start + leaf * LEAF, n);
                    let (sums, outputs) = one.split_at(pass.accumulators.len());
                    assert_eq!(&all[leaf * sums.len()..][..sums.len()], sums, "{} {}, {len} samples, leaf {leaf}", T::NAME, backend.name());
                    for (column, expected) in all[rows..].chunks_exact(len).zip(outputs.chunks_exact(n)) {
                        assert_eq!(&column[leaf * LEAF..][..n], expected, "{} {}, {len} samples, leaf {leaf}", T::NAME, backend.name());
                    }
                }
            }
        }
    }
    assert!(together.iter().all(|passes| *passes > 0), "passes that take several leaves: {together:?}");
}

#[test]
fn runs_of_leaves_give_the_bits_of_single_ones() {
    runs_of_leaves::<f64>();
    runs_of_leaves::<f32>();
}

#[test]
fn no_access_past_a_buffer_f64() {
    stays_inside::<f64>();
}

#[test]
fn no_access_past_a_buffer_f32() {
    stays_inside::<f32>();
}

/// Mappings of this process, those that are executable among them, and resident pages.
fn memory() -> (usize, usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let executable = maps.lines().filter(|l| l.split_whitespace().nth(1).is_some_and(|p| p.contains('x'))).count();
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    (maps.lines().count(), executable, statm.split_whitespace().nth(1).unwrap().parse().unwrap())
}

/// In a process of its own: other tests of this file map and unmap at the same time.
#[test]
// Ignored here, and run in every suite all the same: `ten_thousand_programs_leave_no_pages` starts it and asserts that it passed.
#[ignore = "run by the test below in a process of its own"]
fn child_compiles_ten_thousand_times() {
    let g = Graph::new();
    let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    let loss = ((a * x).exp() - b).square().sum();
    let cycle = |backend: Backend| {
        let program = Options::new().backend(backend).compile(loss).unwrap();
        assert!(program.report().contains(backend.name()));
    };
    for _ in 0..100 {
        native().into_iter().for_each(cycle);
    }
    let before = memory();
    let backends = native();
    for k in 0..10_000 {
        cycle(backends[k % backends.len()]);
    }
    let after = memory();
    println!("OUTCOME before {before:?}, after {after:?}");
    // None executable more; the allocator may have moved its own mappings, and grown by a few pages.
    assert_eq!(before.1, after.1);
    assert!(after.0 <= before.0 + 2, "{before:?} {after:?}");
    assert!(after.2 <= before.2 + 256, "{before:?} {after:?}");
}

/// Runs an ignored test of this file in another process.
fn child(name: &str, variables: &[(&str, &str)]) -> String {
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
        .env_remove(backend::VARIABLE)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && text.contains("1 passed"), "{name}: {text}\n{}", String::from_utf8_lossy(&out.stderr));
    text
}

#[test]
fn ten_thousand_programs_leave_no_pages() {
    if !native().is_empty() {
        child("child_compiles_ten_thousand_times", &[]);
    }
}

/// A process that may not make pages executable; with `TAPELESS_NO_FILES` not open files either.
#[test]
// Ignored here, and run in every suite all the same: `without_executable_pages` starts it, twice, and asserts that it passed.
#[ignore = "run by the test below in a process of its own"]
fn child_without_executable_pages() {
    const PR_SET_MDWE: i32 = 65;
    const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    let g = Graph::new();
    let (x, a) = (g.data("x"), g.param("a"));
    let loss = (x * a).exp().sum();
    let value = |p: &Program<f64>| p.bind([("x", &[0.5, 1.5, -2.0])]).unwrap().value_and_grad(&p.params([("a", 0.7)]).unwrap()).unwrap();
    let expected = value(&Options::new().backend(Backend::Interp).compile(loss).unwrap());
    // SAFETY: prctl with integers.
    if unsafe { libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) } != 0 {
        println!("OUTCOME the kernel has no PR_SET_MDWE");
        return;
    }
    let no_files = std::env::var_os("TAPELESS_NO_FILES").is_some();
    if no_files {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: reads the structure.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) }, 0);
    }
    let program = loss.compile().unwrap();
    println!("OUTCOME {}", program.report());
    assert_eq!(value(&program).0.to_bits(), expected.0.to_bits());
    assert_eq!(value(&program).1.values(), expected.1.values());
    for backend in native() {
        match Options::new().backend(backend).compile(loss) {
            Ok(p) => assert_eq!(value(&p).0.to_bits(), expected.0.to_bits()),
            // Forced, and impossible.
            Err(e) => {
                assert!(no_files, "{e}");
                assert!(e.to_string().contains("refuses executable pages"), "{e}");
            }
        }
    }
}

#[test]
fn without_executable_pages() {
    if native().is_empty() {
        return;
    }
    let sealed = child("child_without_executable_pages", &[]);
    if sealed.contains("no PR_SET_MDWE") {
        println!("{sealed}");
        return;
    }
    assert!(sealed.contains("(sealed memfd)"), "{sealed}");
    let refused = child("child_without_executable_pages", &[("TAPELESS_NO_FILES", "1")]);
    assert!(refused.contains("interp (") && refused.contains("instead of avx") && refused.contains("mprotect: "), "{refused}");
}

/// The floating-point setting.
fn setting() -> u32 {
    let mut now = 0u32;
    // SAFETY: writes four bytes.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut now) };
    now
}

fn set(to: u32) {
    // SAFETY: reads four bytes; no reserved bit is set by this file.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &to) };
}

#[test]
fn the_callers_rounding_changes_nothing() {
    const CONTROL: u32 = !0x3f;
    let g = Graph::new();
    let (x, a, b) = (g.data("x"), g.param("a"), g.param("b"));
    let loss = (((a * x).exp() + b) / 3.0 + x * 1e-310).sum() + (a / 3.0).exp();
    let samples: Vec<f64> = (0..5000).map(|i| (i as f64 * 0.618_033_988_749).fract() * 1e-3 + if i % 7 == 0 { 1e-300 } else { 0.5 }).collect();
    for backend in Backend::available() {
        let program = Options::new().backend(backend).compile(loss).unwrap();
        let theta = program.params([("a", 0.7), ("b", 1e-309)]).unwrap();
        let bits = |fresh: bool| {
            let data = program.bind([("x", &samples)]).unwrap();
            if !fresh {
                data.value_and_grad(&theta).unwrap();
            }
            let (value, grad) = data.value_and_grad(&theta).unwrap();
            [vec![value.to_bits()], grad.values().iter().map(|x| x.to_bits()).collect()].concat()
        };
        let expected = bits(true);
        let default = setting();
        // Down, up, towards zero, each with and without flushing subnormals.
        for rounding in [0x0000, 0x2000, 0x4000, 0x6000] {
            for flush in [0x0000, 0x8040] {
                let other = 0x1f80 | rounding | flush;
                set(other);
                let found = bits(rounding & 0x2000 != 0);
                let left = setting();
                set(default);
                assert_eq!(left & CONTROL, other & CONTROL, "{}: left as it was", backend.name());
                assert_eq!(found, expected, "{}: rounding {rounding:x}, flush {flush:x}", backend.name());
            }
        }
    }
}

/// A kernel alone, under another setting.
#[test]
fn a_kernels_rounding_is_its_own() {
    for pass in kernels::<f64>() {
        let mut numbers = Numbers(3);
        let columns: Vec<Vec<f64>> = pass.columns.iter().map(|_| (0..100).map(|_| awkward(&mut numbers)).collect()).collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let uniforms: Vec<f64> = pass.uniforms.iter().map(|_| awkward(&mut numbers)).collect();
        for backend in Backend::available() {
            let executable = backend::prepare::<f64>(backend, &pass);
            let of = || {
                let mut outputs = vec![vec![0.0; 100]; pass.outputs];
                let mut parts: Vec<&mut [f64]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
                run(&*executable, &pass, &slices, &uniforms, &mut parts, 100)
            };
            let expected = of();
            let default = setting();
            set(0x1f80 | 0x4000 | 0x8040);
            let found = of();
            set(default);
            assert_eq!(found, expected, "{}", backend.name());
        }
    }
}

#[test]
fn the_listing_shows_code_beside_its_kernel() {
    let g = Graph::new();
    let (x, loc, raw) = (g.data("height"), g.param("loc"), g.param("raw"));
    let loss = -tapeless::dist::normal(loc, raw.softplus()).log_prob(x).sum();
    for (backend, words) in
        [(Backend::Avx512, ["vfmadd231pd zmm", "zmm0,[rbx+r8]", "{k1}{z}"]), (Backend::Avx2, ["vfmadd231pd ymm", "ymm0,[rbx+r8]", "vmaskmovpd"])]
    {
        if !native().contains(&backend) {
            continue;
        }
        let listing = Options::new().backend(backend).compile(loss).unwrap().assembly();
        for word in words.into_iter().chain(["acc 0 sum= v2 * v2", "v2 = sub v0, v1", "same for all samples: v1 = uniform 0", "ret", "lanes added up"]) {
            assert!(listing.contains(word), "{word} in\n{listing}");
        }
    }
    let interp = Options::new().backend(Backend::Interp).compile(loss).unwrap();
    assert!(interp.assembly().contains("interp ("), "{}", interp.assembly());
    assert!(!interp.assembly().contains("vfmadd"));
}

#[test]
fn copied_columns_are_asked_for_while_something_is_computed() {
    let g = Graph::new();
    let hidden = g.data_with("x", &[20]).matmul(g.param_with("w", &[20, 48])).tanh();
    let loss = (hidden.sum_dim(-1) - g.data("y")).square().sum();
    for backend in native() {
        let listing = Options::new().backend(backend).compile(loss).unwrap().assembly();
        let steps: Vec<&str> = listing.split("\nstep ").skip(1).collect();
        let asking: Vec<usize> = (0..steps.len()).filter(|n| steps[*n].contains("prefetcht0 [r11")).collect();
        let [by] = asking[..] else { panic!("steps {asking:?} ask\n{listing}") };
        // The first step copies; the one that asks has the quotient of `tanh`.
        assert!(!steps[0].contains("prefetch") && !steps[0].contains("fmadd") && steps[by].contains("vdivpd"), "{listing}");
    }
}

#[test]
fn the_same_program_is_the_same_code() {
    let g = Graph::new();
    let (x, y) = (g.data_with("x", &[10]), g.data("y"));
    let scores = x.matmul(g.param_with("w", &[10, 7])).tanh();
    let loss = (-y * x.dot(g.param_with("v", &[10]))).softplus().sum() + (scores.sum_dim(-1) - y).square().sum();
    for backend in native() {
        let code = || Options::new().backend(backend).compile(loss).unwrap().assembly();
        let first = code();
        assert!(["rbx", "r12", "r13"].iter().all(|pointer| first.contains(pointer)), "{first}");
        (0..4).for_each(|_| assert_eq!(code(), first, "{}", backend.name()));
    }
}

/// What native code can't do, the interpreter does, and says why; no access leaves its table.
#[test]
fn what_it_cannot_do_is_said() {
    let x = Inst::Column(Access::fixed(0));
    let twice = Kernel {
        dims: Default::default(),
        parts: Vec::new(),
        insts: vec![
            x.clone(),
            Inst::Bin(Bin::Add, V(0), V(0)),
            Inst::Accumulate(Fold::Sum, Access::fixed(0), V(0)),
            Inst::Accumulate(Fold::Sum, Access::fixed(0), V(1)),
        ],
    };
    let mut pass = PassKernels { steps: vec![twice], columns: vec![(0, 0)], accumulators: vec![(Fold::Sum, 0)], lane_bytes: 64, ..PassKernels::default() };
    for backend in native() {
        let executable = backend::prepare::<f64>(backend, &pass);
        let told = executable.describe();
        assert!(
            told.starts_with("interp (") && told.contains(&format!("instead of {}: an accumulator that is written more than once", backend.name())),
            "{told}"
        );
        assert_eq!(run(&*executable, &pass, &[&[1.0, 2.0]], &[], &mut [], 2), [9.0f64.to_bits()]);
    }
    pass.steps[0].insts.pop();
    for backend in native() {
        let executable = backend::prepare::<f64>(backend, &pass);
        assert!(executable.describe().starts_with(backend.name()), "{}", executable.describe());
        assert_eq!(run(&*executable, &pass, &[&[1.0, 2.0]], &[], &mut [], 2), [3.0f64.to_bits()]);
    }
}

/// The address of a column that has no register for it, read before and after a slow path, which has the same scratch register.
#[test]
fn a_slow_path_leaves_no_address_behind() {
    let others = 7;
    let mut insts = Vec::new();
    for k in 1..=others {
        let column = V(insts.len() as u32);
        insts.push(Inst::Column(Access::fixed(k)));
        // Read more often, so their addresses are in registers.
        insts.extend((0..8).map(|n| Inst::Bin(Bin::Mul, V(column.0 + n), column)));
        insts.push(Inst::Accumulate(Fold::Sum, Access::fixed(k), V(column.0 + 8)));
    }
    let x = V(insts.len() as u32);
    let at = Access::fixed(0);
    insts.push(Inst::Column(at.clone()));
    insts.push(Inst::Patch(Slow::Sin, x, x));
    insts.push(Inst::Column(at.clone()));
    insts.push(Inst::Bin(Bin::Mul, V(x.0 + 1), V(x.0 + 2)));
    insts.push(Inst::Accumulate(Fold::Sum, at, V(x.0 + 3)));
    let pass = PassKernels {
        steps: vec![Kernel { insts, ..Kernel::default() }],
        columns: (0..=others as u32).map(|k| (k, 0)).collect(),
        accumulators: (0..=others as u32).map(|k| (Fold::Sum, k)).collect(),
        lane_bytes: 64,
        ..PassKernels::default()
    };
    let far: Vec<Vec<f64>> = (1..=others + 1).map(|k| vec![k as f64 * 1e13; 24]).collect();
    let columns: Vec<&[f64]> = far.iter().map(Vec::as_slice).collect();
    let expected = run(&*backend::prepare::<f64>(Backend::Interp, &pass), &pass, &columns, &[], &mut [], 24);
    let sum = f64::from_bits(expected[0]);
    assert!((sum / (24.0 * 1e13) - 1e13f64.sin()).abs() < 1e-15, "{sum}");
    for backend in native() {
        let executable = backend::prepare::<f64>(backend, &pass);
        // The others' addresses are in all registers there are for them, so this one's isn't.
        let listing = executable.assembly(&pass, &[]).unwrap();
        assert!(["[r10+r8", "[rax+r8"].iter().all(|address| listing.contains(address)), "{listing}");
        assert_eq!(run(&*executable, &pass, &columns, &[], &mut [], 24), expected, "{}", backend.name());
    }
}
