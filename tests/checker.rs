//! The gradient checker: passes what is right, catches a relative error of 1e-4 in any pullback, and names the operation.

mod mutants;

use mutants::formula::{formula, is_step};
use tapeless::check::{self, Fault, Verdict};
use tapeless::op::Elem;
use tapeless::prelude::*;

const X: [f64; 5] = [0.3, -1.1, 0.8, 1.9, -0.4];

fn report<T: tapeless::Real>(program: &tapeless::Program<T>, x: &[T]) -> check::Report {
    let data = program.bind([("x", x)]).unwrap();
    check::gradient(&data, &program.params([("w", 0.7), ("v", -0.4)]).unwrap()).unwrap()
}

#[test]
fn every_operation_passes() {
    for &op in Elem::ALL {
        let g = Graph::new();
        let loss = formula(&g, op);
        let right = report(&loss.compile().unwrap(), &X);
        assert!(right.passed(), "{op:?}\n{right}");
        assert!(right.fault.is_none());
        let narrow = report(&Options::new().compile_f32(loss).unwrap(), &X.map(|x| x as f32));
        assert!(narrow.passed(), "{op:?} in f32\n{narrow}");
    }
}

#[test]
fn every_seeded_error_is_caught_and_named() {
    for &op in Elem::ALL.iter().filter(|op| !is_step(**op)) {
        for factor in [1.0001, 0.9999, -2.0, 0.0] {
            let g = Graph::new();
            let loss = formula(&g, op);
            let program = Options::new().with_fault(op.name(), factor).compile(loss).unwrap();
            let wrong = report(&program, &X);
            assert!(wrong.failed(), "{op:?} times {factor}\n{wrong}");
            match &wrong.fault {
                Some(Fault::Operation(culprit)) => {
                    assert_eq!(culprit.op, op.name(), "{wrong}");
                    assert!(culprit.place.is_some_and(|p| p.file.ends_with("formula.rs")), "{wrong}");
                }
                other => panic!("{op:?} times {factor}: {other:?}\n{wrong}"),
            }
        }
    }
}

#[test]
fn seeded_errors_in_reductions_are_named() {
    for (name, build) in [
        ("sum", (|m, v| (m * v).sum_dim(-1).sin().sum()) as for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>),
        ("max", |m, v| (m * v).max_dim(0).sum()),
        ("min", |m, v| (m * v).min_all()),
    ] {
        let g = Graph::new();
        let loss = build(g.data_with("m", &[2]), g.param_with("v", &[2]));
        let columns: [&[f64]; 2] = [&[1.0, 2.0, -0.5], &[0.3, 0.7, 1.5]];
        for (factor, fails) in [(1.0, false), (1.0001, true)] {
            let program = Options::new().with_fault(name, factor).compile(loss).unwrap();
            let data = program.bind([("m", columns.to_vec())]).unwrap();
            let report = check::gradient(&data, &program.params([("v", [0.7, -0.4])]).unwrap()).unwrap();
            assert_eq!(report.failed(), fails, "{name} times {factor}\n{report}");
            if fails {
                assert!(matches!(&report.fault, Some(Fault::Operation(c)) if c.op == name), "{report}");
            }
        }
    }
}

#[test]
fn a_kink_is_no_alarm() {
    let g = Graph::new();
    let (x, w) = (g.data("x"), g.param("w"));
    let program = (w * x).abs().sum().compile().unwrap();
    // At w = 1e-7 every step of the difference reaches over the kink or drowns.
    let data = program.bind([("x", &X)]).unwrap();
    for w in [1e-7, 0.0, 1e-3] {
        let report = check::gradient(&data, &program.params([("w", w)]).unwrap()).unwrap();
        assert!(!report.failed(), "{report}");
    }
}

/// A sum that is 0 but for its roundings, held against labels (found by `verdicts`): the formula as written and as simplified answer differently, and whether the two
/// are equal hangs on a single number within what roundings leave open.
#[test]
fn an_equality_that_roundings_decide_is_no_alarm() -> tapeless::Result<()> {
    for equality in ["eq %10, %9", "ne %10, %9", "not %9", "or %9, %10", "and %9, %10"] {
        let text = format!(
            "data x [samples]\nlabels label 3\nparam a []\n%0 = data x\n%1 = param a\n%2 = square %0\n%3 = min %0, %2\n%4 = neg %3\n%5 = reduce_sum samples %3\n%6 = count\n\
             %7 = div %5, %6\n%8 = sub %3, %7\n%9 = reduce_sum samples %8\n%10 = data label\n%11 = {equality}\n%12 = sigmoid %11\n%13 = exp %12\n%14 = const 0.0\n%15 = mul %14, %10\n\
             %16 = add %13, %15\n%17 = reduce_sum samples %16\n%20 = powf %17, %1\n%21 = reduce_sum samples %4\n%22 = div %21, %6\n%23 = add %20, %22\noutput loss %23"
        );
        let g = Graph::from_dag(tapeless::graph::text::parse(&text)?);
        let program = g.outputs()[0].1.compile()?;
        for i in 0..200 {
            let at = |j: usize| ((i * 7 + j) as f64 * 0.618_033_988_749_895).fract() * 4.0 - 2.0;
            let (x, label) = ([at(1), at(2), at(3)], [0u32, 1, 2]);
            let data = program.bind([("x", Columns::from(&x)), ("label", Columns::from(&label))])?;
            let report = check::gradient(&data, &program.params([("a", at(4))])?)?;
            assert!(!report.failed(), "{equality}, {i}: {report}");
        }
    }
    Ok(())
}

/// `-0 - (-0 - 0 - ...)` as written and `0 - 0` simplified are zeros of two signs, between which an angle on the negative axis turns by a whole turn (found by `verdicts`).
#[test]
fn the_sign_of_a_zero_on_the_cut_of_an_angle_is_no_alarm() -> tapeless::Result<()> {
    let text = "data x [samples]\nparam square [3, 3]\nparam b []\n%0 = data x\n%1 = neg %0\n%2 = not %1\n%3 = neg %2\n%4 = neg %3\n%5 = reduce_sum samples %3\n%6 = sub %3, %5\n\
                %7 = param square\n%8 = atan2 %6, %7\n%9 = neg %8\n%10 = param b\n%11 = atan2 %10, %8\n%12 = reduce_sum 0 %11\n%13 = reduce_sum 1 %12\n%14 = reshape [] %13\n\
                %15 = reduce_sum samples %14\n%16 = reduce_sum 0 %9\n%17 = reduce_sum 1 %16\n%18 = reshape [] %17\n%19 = reduce_sum samples %18\n%20 = add %15, %19\n\
                %21 = reduce_sum samples %4\n%22 = add %20, %21\noutput loss %22";
    let g = Graph::from_dag(tapeless::graph::text::parse(text)?);
    let program = g.outputs()[0].1.compile()?;
    let data = program.bind([("x", &[0.5, -0.25, 1.0])])?;
    let theta = program.params([("b", vec![0.3]), ("square", vec![-0.5, 0.4, -0.3, 1.0, 0.2, -0.8, 0.1, -0.9, 0.7])])?;
    let report = check::gradient(&data, &theta)?;
    assert!(!report.failed(), "{report}");
    Ok(())
}

#[test]
fn the_tutorials_central_difference() {
    // Readings and figures of the thermometer: loss 1763.8846, rate of change 4517.2979 in f32 arithmetic, 4517.2964 exactly.
    let t_c = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    let t_u = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4];
    let g = Graph::new();
    let (u, c, w, b) = (g.data("t_u"), g.data("t_c"), g.param("w"), g.param("b"));
    let loss = (w * u + b - c).square().mean();
    let program = loss.compile().unwrap();
    let data = program.bind([("t_u", &t_u), ("t_c", &t_c)]).unwrap();
    let theta = program.params([("w", 1.0), ("b", 0.0)]).unwrap();
    let difference = check::central_difference(&data, &theta, 0.1).unwrap();
    assert!((difference.scalar("w").unwrap() - 4517.2964).abs() < 5e-5 && (difference.scalar("b").unwrap() - 82.6).abs() < 5e-5);
    let (value, grad) = data.value_and_grad(&theta).unwrap();
    assert!((value - 1763.8845).abs() < 5e-5 && (grad.scalar("w").unwrap() - 4517.2964).abs() < 5e-5);
    let report = check::gradient(&data, &theta).unwrap();
    assert_eq!(report.count(Verdict::Passed), 2);
    let text = report.to_string();
    assert!(text.starts_with("gradient check: 2 of 2 components agree"), "{text}");
}

#[test]
fn underflow_is_no_alarm() {
    // Adjoints and values below the normal range have few digits or none; what is made of them is as good as they are.
    type Model = for<'g> fn(x: tapeless::Expr<'g>, w: tapeless::Expr<'g>) -> tapeless::Expr<'g>;
    let models: [(&str, Model); 4] = [
        ("tails of a sigmoid", |x, w| {
            let y = x * w;
            ((-(y * y.sum())).sigmoid() * 6.0 - 3.0).square().mean().sigmoid().ln() + w * w
        }),
        ("tails of an exponential", |x, w| (0.37 * (-(x * w) * 3.0).exp()).mean() + w),
        ("a high power of a small number", |x, w| (x * w * 1e-23).powi(16).sum() + w),
        ("squares", |x, w| (x * w * 1e-164).square().mean() + w),
    ];
    let x: Vec<f64> = (0..40).map(|k| 100.0 + 5.0 * k as f64).collect();
    for (name, model) in models {
        let g = Graph::new();
        let program = model(g.data("x"), g.param("w")).compile().unwrap();
        let data = program.bind([("x", &x)]).unwrap();
        for w in [0.06, 0.11, 0.7, 0.83, 1.0] {
            let report = check::gradient(&data, &program.params([("w", w)]).unwrap()).unwrap();
            assert!(report.passed(), "{name} at {w}: {report}");
        }
    }
}
