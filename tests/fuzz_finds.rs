//! Finds of the fuzz targets (`fuzz/`), each with its input as text, and what came to light while they were written.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tapeless::graph::{Bits, text};
use tapeless::prelude::*;
use tapeless::{Error, Mistake};

struct Watching;

thread_local! {
    /// The largest allocation of this thread.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Notes a size. A thread that is ending has nothing to note it in.
fn note(size: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call goes to the system's allocator unchanged; noting its size touches no memory of the caller's.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is this function's own.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System.alloc` above.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: `at` came from `System.alloc` above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// The largest allocation that a piece of work makes.
fn largest<R>(work: impl FnOnce() -> R) -> (R, usize) {
    LARGEST.set(0);
    let out = work();
    (out, LARGEST.get())
}

/// The mistakes of this expression.
fn mistakes(e: Expr<'_>) -> Vec<Mistake> {
    match e.sum().compile() {
        Err(Error::Expression(mistakes)) => mistakes,
        other => panic!("{other:?}"),
    }
}

/// `calls`: `a.matmul(b)` with `a` of `[2]` and `b` of `[3]` panicked ("attempt to subtract with overflow").
#[test]
fn a_product_of_vectors_of_different_lengths() {
    let g = Graph::new();
    let product = g.param_with("a", &[2]).matmul(g.param_with("b", &[3]));
    assert!(matches!(&mistakes(product)[..], [Mistake::Shapes { op, .. }] if op == "matmul"));
}

/// `graph_text`: NaN made by folding had another sign bit than the written one, was another node, and both read back as one.
#[test]
fn all_nans_are_one_constant() {
    assert_eq!(Bits::from(f64::NAN), Bits::from(-f64::NAN));
    assert_eq!(Bits::from(f64::from_bits(0x7ff0_0000_0000_0001)), Bits::from(f64::NAN));
    let g = Graph::new();
    let (a, b) = (g.constant(f64::NAN), g.constant(-f64::NAN));
    let program = (g.param("w") * a + g.param("v") * b).compile().unwrap();
    let printed = program.graph_text();
    assert_eq!(text::print(&text::parse(&printed).unwrap()), printed);
}

/// Dimensions that no value can have are refused before a list of the entries is made: `identity(2^15)` took 12 GiB to be refused.
#[test]
fn structure_of_impossible_dimensions() {
    let g = Graph::new();
    let long = g.param_with("long", &[1 << 20]);
    let half = g.param_with("half", &[1 << 27]);
    let refused = |name: &str, make: &dyn Fn()| {
        let before = g.mistakes().len();
        let (_, bytes) = largest(make);
        let mistakes = &g.mistakes()[before..];
        assert!(matches!(mistakes, [Mistake::UnusableShape { .. }]), "{name}: {mistakes:?}");
        assert!(bytes < 10_000, "{name}: {bytes} bytes");
    };
    for n in [1 << 15, usize::MAX, 0] {
        refused("identity", &|| {
            let _ = g.identity(n);
        });
    }
    refused("to_diag", &|| {
        let _ = long.to_diag();
    });
    refused("concat", &|| {
        let _ = g.concat(&[half, half, half], 0);
    });
}

/// An entry of a large value needs no list of all of its entries: this took 5 GiB to compile.
#[test]
fn one_entry_of_a_large_value() {
    let text = "param w []\n%0 = param w\n%1 = broadcast [16384, 16384] %0\n%2 = arrange [] ( 0/5 ) %1\noutput loss %2";
    let g = Graph::from_dag(text::parse_within(text, 1 << 30).unwrap());
    let (program, bytes) = largest(|| g.outputs()[0].1.compile().unwrap());
    assert!(bytes < 1 << 20, "{bytes} bytes");
    let theta = program.params([("w", 3.0)]).unwrap();
    let bound = program.bind::<&str, &[f64]>([]).unwrap();
    let ((value, grad), bytes) = largest(|| bound.value_and_grad(&theta).unwrap());
    assert_eq!((value, grad.values()), (3.0, &[1.0][..]));
    assert!(bytes < 1 << 20, "{bytes} bytes");
}

/// Values of millions of entries are compiled without a list of their entries: 171 bytes of text took 1 GiB and 20 s.
#[test]
fn large_values_without_samples() {
    const LARGE: usize = 1 << 27;
    let g = Graph::new();
    let w = g.param_with("w", &[1 << 13, 1]);
    let v = g.param_with("v", &[1, 1 << 13]);
    let long = g.param_with("long", &[LARGE]);
    for (name, loss) in [
        ("an outer product", (w * v).exp().sum()),
        ("a short dimension", (long.reshape(&[LARGE, 1]) * g.param_with("two", &[1, 2])).sum_dim(0).square().sum()),
        ("the largest of rows", (w + v).max_dim(1).sum()),
        ("the sums of columns", (w * v).sum_dim(0).square().sum()),
        ("a sum of squares", long.square().sum()),
    ] {
        let (program, bytes) = largest(|| loss.compile().unwrap());
        assert!(bytes < 1 << 20, "{name}: {bytes} bytes");
        assert_eq!(program.passes().call, 0, "{name}");
    }
    // Nor do many picks of one take a vector each.
    let picked: Vec<Expr> = (0..200).map(|k| long.index(&[k]).exp()).collect();
    let loss = g.stack(&picked, 0).sum();
    let short = g.param_with("short", &[1000]);
    let picked: Vec<Expr> = (0..1000).map(|k| short.index(&[k]).exp()).collect();
    let (nodes, bytes) = largest(|| (picked.into_iter().reduce(|a, b| a + b).unwrap() * loss.detach()).compile().unwrap().derived_dag().nodes().len());
    assert!(nodes < 10_000 && bytes < 1 << 23, "{nodes} nodes, {bytes} bytes");
}

/// More entries than 32 bits count are a mistake that says which value has the most.
#[test]
fn entries_beyond_32_bits() {
    let g = Graph::new();
    let large: Vec<Expr> = (0..9).map(|k| g.param_with(&format!("w{k}"), &[1 << 28])).collect();
    let loss = large.iter().map(|w| w.sum()).reduce(|a, b| a + b).unwrap();
    match &mistakes(loss)[..] {
        [Mistake::TooManyEntries { entries, shape, .. }] => assert!(*entries > 9 << 28 && shape.entries() == 1 << 28),
        other => panic!("{other:?}"),
    }
}

/// `calls`: `Columns::strided(&numbers, [1 << 63, 1], [0, 1])`, one number as 2^63 samples, was evaluated without end.
#[test]
fn one_number_as_more_samples_than_can_be_summed() {
    let g = Graph::new();
    let program = g.data("x").sum().compile().unwrap();
    let refused = program.bind([("x", Columns::strided(&[1.5], [1 << 63, 1], [0, 1]))]);
    assert!(matches!(refused, Err(Error::ColumnSource { .. })), "{refused:?}");
    let repeated = program.bind([("x", Columns::strided(&[1.5], [10_000, 1], [0, 1]))]).unwrap();
    assert_eq!(repeated.value(&program.zeros()).unwrap(), 15_000.0);
    // Nor is a list made of as many entries as one likes.
    let (_, bytes) = largest(|| (Columns::<f64>::strided(&[1.5], [1, 1 << 28], [0, 0]), Columns::<f64>::from_rows(&[], 1 << 28)));
    assert!(bytes < 10_000, "{bytes} bytes");
}

/// `calls`: the checker panicked over no samples ("source slice length (1) does not match destination slice length (0)").
#[test]
fn a_gradient_over_no_samples_is_checked() {
    let g = Graph::new();
    let (x, w) = (g.data_with("x", &[2]), g.param("w"));
    let none: [&[f64]; 2] = [&[], &[]];
    for loss in [(w * x.reshape(&[2, 1])).sum(), (w * x).reshape(&[1, 2]).exp().sum() + w.square(), (w * x).sum_dim(0).sum()] {
        let program = loss.compile().unwrap();
        let bound = program.bind([("x", none.to_vec())]).unwrap();
        let report = tapeless::check::gradient(&bound, &program.params([("w", 0.5)]).unwrap()).unwrap();
        assert!(report.passed(), "{report}");
    }
}
