//! Bad input is an `Err` whose message names the thing (a column, a parameter, shapes, this file and line); nothing panics.

use nalgebra::{DMatrix, DVector};
use tapeless::prelude::*;
use tapeless::{Error, Result, compile_function};

const NONE: [(&str, f64); 0] = [];
const NO_COLUMNS: [(&str, &[f64]); 0] = [];

/// A message must hold all of these words.
fn says<T>(what: &str, result: Result<T>, words: &[&str]) {
    let message = match result {
        Ok(_) => panic!("{what}: accepted"),
        Err(e) => e.to_string(),
    };
    for word in words {
        assert!(message.contains(word), "{what}: `{word}` is not in: {message}");
    }
}

/// A line of this file as messages print it.
fn here(line: u32) -> String {
    format!("(at {}:{line})", file!())
}

fn line_model(g: &Graph) -> Expr<'_> {
    let (x, y, w, b) = (g.data("x"), g.data("y"), g.param("w"), g.param("b"));
    (w * x + b - y).square().mean()
}

#[test]
fn columns() {
    let g = Graph::new();
    let p = line_model(&g).compile().unwrap();
    let (three, four) = ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]);
    says("unknown", p.bind([("x", &three), ("z", &three)]), &["no data column `z`", "`x`, `y`"]);
    says("a parameter's name", p.bind([("x", &three), ("w", &three)]), &["no data column `w`"]);
    says("missing", p.bind([("x", &three)]), &["data column `y` is not bound"]);
    says("nothing", p.bind(NO_COLUMNS), &["data column `x` is not bound"]);
    says("repeated", p.bind([("x", &three), ("y", &three), ("x", &three)]), &["`x`", "twice"]);
    says("lengths", p.bind([("x", &three[..]), ("y", &four[..])]), &["`y` has 4 samples", "`x` has 3"]);
    says("a matrix for a column", p.bind([("x", &DMatrix::<f64>::zeros(3, 2)), ("y", &DMatrix::zeros(3, 1))]), &["`x` has 2 columns", "[samples]"]);
    says("no samples", p.bind([("x", &[0.0; 0]), ("y", &[0.0; 0])]), &["mean over no samples", file!()]);

    let g = Graph::new();
    let (x, w) = (g.data_with("x", &[2]), g.param_with("w", &[2]));
    let p = (x * w).sum().compile().unwrap();
    for columns in [0, 1, 3] {
        says("columns of a matrix", p.bind([("x", &DMatrix::zeros(5, columns))]), &[&format!("`x` has {columns} columns"), "[samples, 2]"]);
    }
    says("a vector for a matrix", p.bind([("x", &DVector::zeros(5))]), &["`x` has 1 columns", "[samples, 2]"]);
    says("ragged", p.bind([("x", vec![&three[..], &four[..]])]), &["`x` has 4 samples", "`x` has 3"]);
    says("no list", p.bind([("x", Vec::<&[f64]>::new())]), &["`x` has 0 columns"]);

    // A column that the formula doesn't need may be left out or given; a wrong one is still wrong.
    let g = Graph::new();
    let (x, _unused) = (g.data("x"), g.data("unused"));
    let f = (x * 2.0).compile_function().unwrap();
    assert!(f.bind([("x", &three)]).is_ok() && f.bind([("x", &three), ("unused", &three)]).is_ok());
    says("an unneeded column's length", f.bind([("x", &three[..]), ("unused", &four[..])]), &["`unused` has 4 samples"]);
    says("function: unknown", f.bind([("z", &three)]), &["no data column `z`"]);
    says("function: missing", f.bind([("unused", &three)]), &["data column `x` is not bound"]);
}

#[test]
fn parameters() {
    let g = Graph::new();
    let p = line_model(&g).compile().unwrap();
    says("unknown", p.params([("w", 1.0), ("v", 2.0)]), &["no parameter `v`", "`w`, `b`"]);
    says("a column's name", p.params([("x", 1.0)]), &["no parameter `x`"]);
    says("missing", p.params([("w", 1.0)]), &["parameter `b` has no value"]);
    says("none", p.params(NONE), &["parameter `w` has no value"]);
    says("repeated", p.params([("w", 1.0), ("b", 0.0), ("w", 1.0)]), &["parameter `w` is given twice"]);
    says("a list for a number", p.params([("w", vec![1.0, 2.0]), ("b", vec![0.0])]), &["`w` is given 2 numbers", "[]"]);
    let mut theta = p.zeros();
    says("set unknown", theta.set("v", 1.0), &["no parameter `v`"]);
    says("set another shape", theta.set("w", [1.0, 2.0]), &["`w` is given 2 numbers"]);
    says("get unknown", theta.get("v"), &["no parameter `v`"]);
    says("scalar unknown", theta.scalar("v"), &["no parameter `v`"]);

    let g = Graph::new();
    let (m, k) = (g.param_with("m", &[2, 3]), g.param("k"));
    let p = (m.sum() * k).compile().unwrap();
    for n in [0, 1, 5, 7] {
        says("entries", p.params([("m", vec![0.0; n]), ("k", vec![1.0])]), &[&format!("`m` is given {n} number"), "[2, 3]"]);
    }
    let (k, transposed) = (DMatrix::from_element(1, 1, 1.0), DMatrix::from_element(3, 2, 1.0));
    says("a transposed matrix", p.params([("m", &transposed), ("k", &k)]), &["`m` is given a matrix [3, 2]", "declared [2, 3]"]);
    says("a column for a matrix", p.params([("m", &DMatrix::zeros(6, 1)), ("k", &k)]), &["`m` is given a matrix [6, 1]", "declared [2, 3]"]);
    says("no scalar", p.zeros().scalar("m"), &["`m`", "[2, 3]"]);
    assert!(p.params([("m", &DMatrix::from_element(2, 3, 1.0)), ("k", &DMatrix::from_element(1, 1, 1.0))]).is_ok());
}

#[test]
fn names_taken_twice() {
    let g = Graph::new();
    let w = g.param("w");
    let (again, line) = (g.param_with("w", &[2]), line!());
    says("two parameters", (w * again).sum().compile(), &["1 mistake ", "the name `w` is taken: first [], then [2]", &here(line)]);

    let g = Graph::new();
    let x = g.data("x");
    let (p, line) = (g.param("x"), line!());
    says("a parameter with a column's name", (x * p).sum().compile(), &["`x` is taken: first [samples], then []", &here(line)]);

    let g = Graph::new();
    let p = g.param("x");
    let (x, line) = (g.data("x"), line!());
    says("a column with a parameter's name", (x * p).sum().compile(), &["`x` is taken: first [], then [samples]", &here(line)]);

    let g = Graph::new();
    let (x, line) = ([g.data("x"), g.data("x")], line!());
    says("two columns", (x[0] * x[1]).sum().compile(), &["`x` is taken", &here(line)]);
}

#[test]
fn no_samples() {
    let empty: [f64; 0] = [];
    type Make = for<'g> fn(Expr<'g>) -> Expr<'g>;
    let refused: [(&str, Make); 11] = [
        ("mean", |x| x.var()),
        ("mean", |x| x.std_samples()),
        ("max", |x| x.log_sum_exp()),
        ("max", |x| x.log_sum_exp_samples()),
        ("mean", |x| x.mean()),
        ("mean", |x| x.mean_samples()),
        ("min", |x| x.min_all()),
        ("max", |x| x.max_all()),
        ("min", |x| x.min_samples()),
        ("max", |x| x.max_samples()),
        ("mean", |x| (x - x.mean()).square().sum()),
    ];
    for (op, make) in refused {
        let g = Graph::new();
        let p = (make(g.data("x") * g.param("w")) * 2.0).compile().unwrap();
        says(op, p.bind([("x", &empty)]), &[op, "over no samples has no value", file!()]);
        let g = Graph::new();
        let f = make(g.data("x")).compile_function().unwrap();
        says(op, f.bind([("x", &empty)]), &[op, "over no samples has no value"]);
        assert!(p.bind([("x", &[1.0])]).is_ok());
    }
    // Over a matrix as well.
    let g = Graph::new();
    let p = (g.data_with("x", &[3]) * g.param("w")).mean().compile().unwrap();
    says("mean", p.bind([("x", &DMatrix::zeros(0, 3))]), &["mean over no samples"]);

    // A plain sum over no samples is fine: 0, with gradient 0.
    let g = Graph::new();
    let p = (g.data("x") * g.param("w")).exp().sum().compile().unwrap();
    let bound = p.bind([("x", &empty)]).unwrap();
    let (value, grad) = bound.value_and_grad(&p.params([("w", 3.0)]).unwrap()).unwrap();
    assert_eq!((value, grad.values(), bound.samples()), (0.0, &[0.0][..], 0));
    assert_eq!(bound.value(&p.params([("w", 3.0)]).unwrap()).unwrap(), 0.0);
    let f = (g.data("z") + 1.0).compile_function().unwrap();
    let out = f.bind([("z", &empty)]).unwrap().eval(&f.params([("w", 0.0)]).unwrap()).unwrap();
    assert!(out[0].numbers.is_empty() && out[0].rows == 0);
}

#[test]
fn another_graph() {
    let (g, h) = (Graph::new(), Graph::new());
    let (x, w) = (g.data("x"), h.param("w"));
    let (product, line) = (x * w, line!());
    says("this graph", product.sum().compile(), &["mul: an operand belongs to another graph", &here(line)]);
    // The other graph refuses as well: either may be the one the user goes on with.
    says("that graph", w.compile(), &["mul: an operand belongs to another graph", &here(line)]);

    let (g, h) = (Graph::new(), Graph::new());
    says("a function's results", compile_function::<f64>(&[("a", g.param("a")), ("b", h.param("b"))], &Options::new()), &["result `b`", "another graph"]);
    assert!(g.param("c").compile().is_ok(), "a refused function leaves the graph usable");

    let (g, h) = (Graph::new(), Graph::new());
    let (loss, foreign) = (g.param("w").square(), h.param("w"));
    let (result, line) = (loss.gradient(&[foreign]), line!());
    says("gradient", result, &["gradient: an operand belongs to another graph", &here(line)]);
}

#[test]
fn a_loss_that_is_not_one_number() {
    let g = Graph::new();
    let (x, w) = (g.data("x"), g.param_with("w", &[3]));
    let (residual, line) = (x - 1.0, line!());
    says("a column", residual.compile(), &["1 mistake ", "the loss must be one number, but has shape [samples]", "sum() or mean()", &here(line)]);
    says("a vector", w.compile(), &["1 mistake ", "the loss must be one number, but has shape [3]"]);
    says("f32", Options::new().compile_f32(residual), &["[samples]"]);
    says("derivative of a vector", w.gradient(&[w]), &["what is differentiated must be one number", "[3]"]);
    // Asking was the mistake, not the expression: the graph can still be used.
    assert!(residual.sum().compile().is_ok(), "{:?}", residual.sum().compile().err());
    assert!(w.sum().gradient(&[w]).is_ok());
}

#[test]
fn all_mistakes_come_back_at_once() {
    let g = Graph::new();
    let (x, v) = (g.data_with("x", &[2]), g.param_with("v", &[3]));
    let m = g.param_with("m", &[4, 5]);
    let (first, a) = (x * v, line!());
    let (second, b) = (m + v, line!());
    let (third, c) = (first.exp() - x.max(m), line!());
    let (fourth, d) = (g.constant(1.0).select(v, m), line!());
    let loss = (second + third + fourth).sum();
    let message = loss.compile().unwrap_err().to_string();
    let lines: Vec<&str> = message.lines().collect();
    let expected = [
        ("mul: shapes [samples, 2] and [3] do not fit", a),
        ("add: shapes [4, 5] and [3] do not fit", b),
        ("max: shapes [samples, 2] and [4, 5] do not fit", c),
        ("select: shapes [] and [3] and [4, 5] do not fit", d),
    ];
    assert_eq!(lines[0], "4 mistakes in the expression", "{message}");
    for ((text, line), found) in expected.iter().zip(&lines[1..]) {
        assert_eq!(found.trim(), format!("{text} {}", here(*line)));
    }
    assert_eq!(lines.len(), 5, "what is made from a mistake is not reported again: {message}");
    assert_eq!(loss.compile().unwrap_err().to_string(), message, "asking again gives the same");
    match loss.compile_function() {
        Err(Error::Expression(mistakes)) => assert_eq!(mistakes.len(), 4),
        other => panic!("{other:?}"),
    }
}

#[test]
fn axes_and_shapes() {
    let g = Graph::new();
    let (x, w) = (g.data_with("x", &[2]), g.param_with("w", &[3, 4]));
    type Case<'a> = (&'a str, Expr<'a>, u32, &'a [&'a str]);
    let cases: Vec<Case> = vec![
        ("axis 2 of a matrix", w.sum_dim(2), line!(), &["sum_dim: [3, 4] has no axis 2"]),
        ("axis -3 of a matrix", w.max_dim(-3), line!(), &["max_dim: [3, 4] has no axis -3"]),
        ("axis 1 of a vector per sample", x.min_dim(1), line!(), &["min_dim: [samples, 2] has no axis 1"]),
        ("mean over an axis", x.mean_dim(-2), line!(), &["mean_dim: [samples, 2] has no axis -2"]),
        ("huge axis", w.sum_dim(isize::MIN), line!(), &["sum_dim", "has no axis -92"]),
        ("samples of a parameter", w.sum_samples(), line!(), &["sum_samples: [3, 4] has no axis samples"]),
        ("mean over samples of a parameter", w.mean_samples(), line!(), &["mean_samples: [3, 4] has no axis samples"]),
        ("max over samples of a parameter", w.max_samples(), line!(), &["max_samples: [3, 4] has no axis samples"]),
        ("min over samples of a sum", x.sum().min_samples(), line!(), &["min_samples: [] has no axis samples"]),
        ("a reshape of other size", w.reshape(&[5]), line!(), &["reshape to [5]: shapes [3, 4] do not fit"]),
        ("a reshape to nothing", w.reshape(&[0]), line!(), &["reshape to [0]", "[3, 4]"]),
        ("a reshape beyond counting", w.reshape(&[usize::MAX, 2]), line!(), &["reshape to", "[3, 4]"]),
        ("a broadcast that does not fit", w.broadcast_to(&[3, 5]), line!(), &["broadcast to [3, 5]: shapes [3, 4] do not fit"]),
        ("a broadcast to fewer dimensions", w.broadcast_to(&[4]), line!(), &["broadcast to [4]", "[3, 4]"]),
        ("a broadcast beyond counting", w.broadcast_to(&[usize::MAX, 3, 4]), line!(), &["broadcast to", "[3, 4]"]),
        ("no entries", g.param_with("p0", &[3, 0]), line!(), &["`p0`: no value can have shape [3, 0]"]),
        ("no entries per sample", g.data_with("d0", &[0]), line!(), &["`d0`: no value can have shape [samples, 0]"]),
        ("too many entries", g.param_with("p1", &[1 << 20, 1 << 20]), line!(), &["`p1`: no value can have shape [1048576, 1048576]"]),
        ("an overflowing product", g.data_with("d1", &[usize::MAX, usize::MAX]), line!(), &["`d1`: no value can have shape [samples, 18446744073709551615"]),
        ("an overflow that ends at 0", g.param_with("p2", &[1 << 63, 2]), line!(), &["`p2`: no value can have shape"]),
    ];
    let message = cases.iter().map(|c| c.1.sum()).reduce(|a, b| a + b).unwrap().compile().unwrap_err().to_string();
    let lines: Vec<&str> = message.lines().skip(1).collect();
    assert_eq!(lines.len(), cases.len(), "{message}");
    for ((what, _, line, words), found) in cases.iter().zip(lines) {
        for word in *words {
            assert!(found.contains(word), "{what}: `{word}` is not in: {found}");
        }
        assert!(found.ends_with(&here(*line)), "{what}, line {line}: {found}");
    }
    // Two shapes that are fine alone and absurd together.
    let g = Graph::new();
    let (tall, wide) = (g.param_with("tall", &[1 << 15, 1]), g.param_with("wide", &[1, 1 << 15]));
    says("an outer product beyond reason", (tall * wide).sum().compile(), &["mul: shapes [32768, 1] and [1, 32768]", file!()]);
}

#[test]
fn another_program() {
    let (g, h, i) = (Graph::new(), Graph::new(), Graph::new());
    let a = (g.data("x") * g.param("w")).sum().compile().unwrap();
    let b = (h.data("x") * h.param("v")).sum().compile().unwrap();
    let c = (i.data("x") * i.param_with("w", &[2])).sum().compile().unwrap();
    let x = [1.0, 2.0];
    let bound = a.bind([("x", &x)]).unwrap();
    for (other, name) in [(&b, "v []"), (&c, "w [2]")] {
        let words = ["parameters of another program", "expected w []", name];
        says("value", bound.value(&other.zeros()), &words);
        says("value_and_grad", bound.value_and_grad(&other.zeros()), &words);
        says("find_non_finite", bound.find_non_finite(&other.zeros()), &words);
        says("theta", bound.value_and_grad_into(&other.zeros(), &mut a.grad_zeros()), &words);
        says("gradient", bound.value_and_grad_into(&a.zeros(), &mut other.grad_zeros()), &words);
    }
    // A program without parameters says so.
    let j = Graph::new();
    let none = j.data("x").sum().compile().unwrap();
    says("expected none", none.bind([("x", &x)]).unwrap().value(&a.zeros()), &["expected no parameters", "found w []"]);
    says("found none", bound.value(&none.zeros()), &["expected w []", "found no parameters"]);
    // Functions.
    let k = Graph::new();
    let f = (k.data("x") * k.param("u")).compile_function().unwrap();
    says("eval", f.bind([("x", &x)]).unwrap().eval(&a.zeros()), &["expected u []", "found w []"]);
    // A gradient by some parameters is laid out for those.
    let l = Graph::new();
    let loss = (l.data("x") * l.param("w") + l.param("b")).square().sum();
    let some = Options::new().wrt(["b"]).compile(loss).unwrap();
    let bound = some.bind([("x", &x)]).unwrap();
    says("a whole gradient for a part", bound.value_and_grad_into(&some.zeros(), &mut some.zeros()), &["expected b []", "found w [], b []"]);
    let value_only = Options::new().wrt([] as [&str; 0]).compile(loss).unwrap();
    let bound = value_only.bind([("x", &x)]).unwrap();
    says("no gradient compiled", bound.value_and_grad(&value_only.zeros()), &["gradient", "compiled for its value alone"]);
    assert!(bound.value(&value_only.zeros()).is_ok());
}

#[test]
fn gradients_by_what() {
    let g = Graph::new();
    let (x, w) = (g.data("x"), g.param("w"));
    let (product, line) = (w * x, line!());
    let loss = product.square().sum();
    says("an expression", loss.gradient(&[w, product]), &["with respect to parameters and data, not mul", &here(line)]);
    says("a constant", loss.gradient(&[g.constant(2.5)]), &["not 2.5"]);
    says("the loss itself", loss.gradient(&[loss]), &["not sum over samples"]);
    assert!(loss.gradient(&[w, x]).is_ok() && loss.gradient(&[]).unwrap().is_empty());

    says("wrt unknown", Options::new().wrt(["w", "nope"]).compile(loss), &["no parameter `nope`", "`w`"]);
    says("wrt a column", Options::new().wrt(["x"]).compile(loss), &["no parameter `x`", "`w`"]);
    says("wrt twice", Options::new().wrt(["w", "w"]).compile(loss), &["parameter `w` is given twice"]);
    says("wrt unknown, f32", Options::new().wrt(["nope"]).compile_f32(loss), &["no parameter `nope`"]);
}

#[test]
fn nothing_at_all() {
    let f = compile_function::<f64>(&[], &Options::new()).unwrap();
    assert!(f.bind(NO_COLUMNS).unwrap().eval(&f.params(NONE).unwrap()).unwrap().is_empty());
    // An objective without data, and one without anything.
    let g = Graph::new();
    let p = (g.param("w") - 3.0).square().compile().unwrap();
    let (value, grad) = p.bind(NO_COLUMNS).unwrap().value_and_grad(&p.params([("w", 1.0)]).unwrap()).unwrap();
    assert_eq!((value, grad.values()), (4.0, &[-4.0][..]));
    let g = Graph::new();
    let p = g.constant(2.0).compile().unwrap();
    assert_eq!(p.bind(NO_COLUMNS).unwrap().value(&p.zeros()).unwrap(), 2.0);
}

/// What the subprocesses below run: compiles with whatever backend the environment asks for and prints what came of it.
#[test]
// Ignored here, and run in every suite all the same: `backends_by_environment` starts it for each value and asserts what it prints.
#[ignore = "run by the test below with the environment variable set"]
fn child() {
    let g = Graph::new();
    match line_model(&g).compile() {
        Ok(_) => println!("OUTCOME ok"),
        Err(e) => println!("OUTCOME {e}"),
    }
}

#[test]
fn backends_by_environment() {
    use std::ffi::OsString;
    let variable = tapeless::backend::VARIABLE;
    assert_eq!(variable, "TAPELESS_BACKEND");
    let mut cases: Vec<(OsString, &[&str])> = vec![
        ("warp-drive".into(), &["backend `warp-drive` can't be used here", "available: ", "`interp`"]),
        ("INTERP ".into(), &["backend `INTERP ` can't be used here"]),
        ("interp".into(), &["OUTCOME ok"]),
        ("".into(), &["OUTCOME ok"]),
    ];
    // Those of the CPU, and those that it lacks.
    let available: Vec<&str> = tapeless::backend::Backend::available().into_iter().map(|b| b.name()).collect();
    for name in ["avx2", "avx512"] {
        let words: &[&str] = if available.contains(&name) { &["OUTCOME ok"] } else { &["can't be used here", "`interp`"] };
        cases.push((name.into(), words));
    }
    #[cfg(unix)]
    cases.push((std::os::unix::ffi::OsStringExt::from_vec(vec![0xff, b'x']), &["can't be used here", "`interp`"]));
    for (value, words) in cases {
        let out = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(variable, &value)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && words.iter().all(|w| text.contains(w)), "{value:?}: {text}\n{}", String::from_utf8_lossy(&out.stderr));
    }
}

/// Products whose inner dimensions don't match, and reductions over axes that aren't there: both shapes, or the shape and the axis, and the line.
#[test]
fn products_and_reductions() {
    type Make = for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>) -> (Expr<'g>, u32);
    let cases: [(&str, Make, &[&str]); 22] = [
        ("matrix times matrix", |g, _, w| (w.matmul(g.param_with("v", &[3, 2])), line!()), &["matmul: shapes [3, 4] and [3, 2] do not fit"]),
        ("matrix times vector", |g, _, w| (w.matmul(g.param_with("v", &[3])), line!()), &["matmul: shapes [3, 4] and [3] do not fit"]),
        ("samples times matrix", |_, x, w| (x.matmul(w), line!()), &["matmul: shapes [samples, 2] and [3, 4] do not fit"]),
        ("number times matrix", |g, _, w| (g.param("s").matmul(w), line!()), &["matmul: shapes [] and [3, 4] do not fit"]),
        (
            "large matrices",
            |g, _, _| (g.param_with("a", &[40, 50]).matmul(g.param_with("b", &[40, 50])), line!()),
            &["matmul: shapes [40, 50] and [40, 50] do not fit"],
        ),
        (
            "large batches",
            |g, _, _| (g.param_with("a", &[2, 40, 50]).matmul(g.param_with("b", &[3, 50, 40])), line!()),
            &["shapes [2, 40, 50] and [3, 50, 40] do not fit"],
        ),
        ("dot", |g, x, _| (x.dot(g.param_with("v", &[3])), line!()), &["mul: shapes [samples, 2] and [3] do not fit"]),
        ("a solve", |g, x, _| (g.param_with("l", &[3, 3]).solve_lower(x), line!()), &["solve_lower: shapes [3, 3] and [samples, 2] do not fit"]),
        ("a large solve", |g, x, _| (g.param_with("l", &[70, 70]).solve_upper(x), line!()), &["solve_upper: shapes [70, 70] and [samples, 2] do not fit"]),
        ("no square", |_, _, w| (w.cholesky(), line!()), &["cholesky: shapes [3, 4] do not fit"]),
        (
            "a large one per sample",
            |g, _, _| (g.data_with("c", &[65, 65]).cholesky(), line!()),
            &["cholesky (at most 64 rows per sample): shapes [samples, 65, 65]"],
        ),
        ("a quadratic form", |_, x, w| (w.quadratic_form(x), line!()), &["shapes [3, 4] and [samples, 1, 2] do not fit"]),
        ("variance over an axis", |_, _, w| (w.var_dim(2), line!()), &["[3, 4] has no axis 2"]),
        ("norm over an axis", |_, _, w| (w.norm_dim(-3), line!()), &["[3, 4] has no axis -3"]),
        ("log_sum_exp over an axis", |_, x, _| (x.log_sum_exp_dim(1), line!()), &["[samples, 2] has no axis 1"]),
        ("softmax over an axis", |_, x, _| (x.softmax(1), line!()), &["[samples, 2] has no axis 1"]),
        ("log_softmax over an axis", |_, x, _| (x.log_softmax(-2), line!()), &["[samples, 2] has no axis -2"]),
        ("cumulative sum over an axis", |_, _, w| (w.cumsum(7), line!()), &["[3, 4] has no axis 7"]),
        ("variance over samples of a parameter", |_, _, w| (w.var_samples(), line!()), &["[3, 4] has no axis samples"]),
        ("log_sum_exp over samples of a parameter", |_, _, w| (w.log_sum_exp_samples(), line!()), &["max_samples: [3, 4] has no axis samples"]),
        ("trace of a vector", |_, x, _| (x.trace(), line!()), &["diag: [samples, 2] has no axis -2"]),
        ("an empty slice", |_, _, w| (w.slice(1, 2..2).sum_dim(1), line!()), &["slice: [3, 4] has no axis 1, entries 2..2"]),
    ];
    for (what, make, words) in cases {
        let g = Graph::new();
        let (e, line) = make(&g, g.data_with("x", &[2]), g.param_with("w", &[3, 4]));
        let result = e.sum().compile();
        says(what, result, words);
        let place = here(line);
        says(what, e.sum().compile(), &[&place]);
    }
}
