//! Layers and networks: values and gradients against PyTorch, initial values against an independent generator, and mistakes.

use tapeless::layer::{Linear, Network};
use tapeless::loss::mse;
use tapeless::prelude::*;
use tapeless::{Result, check};

const X: [[f64; 5]; 2] = [[0.0, 0.0, 1.0, 1.0, -2.0], [0.0, 1.0, 0.0, 1.0, 0.5]];
const Y: [f64; 5] = [0.0, 1.0, 1.0, 0.0, 0.3];

/// `tanh(x W0 + b0) W1 + b1` by PyTorch 2 in float64, with mean squared error and `backward()`.
#[test]
fn a_perceptron_agrees_with_pytorch() -> Result<()> {
    let g = Graph::new();
    let net = Network::new(&g, "net", 2).linear(3).then(Expr::tanh).linear(1);
    let loss = mse(net.apply(g.data_with("x", &[2])), g.data_with("y", &[1]));
    let program = loss.compile()?;
    assert_eq!(program.layout().to_string(), "net.0.weight [2, 3], net.0.bias [3], net.1.weight [3, 1], net.1.bias [1]");
    let data = program.bind([("x", X.iter().map(|c| &c[..]).collect::<Vec<_>>()), ("y", vec![&Y[..]])])?;
    let theta = program.params([
        ("net.0.weight", vec![0.1, -0.2, 0.3, 0.4, 0.5, -0.6]),
        ("net.0.bias", vec![0.05, -0.1, 0.2]),
        ("net.1.weight", vec![1.0, -2.0, 0.5]),
        ("net.1.bias", vec![0.25]),
    ])?;
    let (value, grad) = data.value_and_grad(&theta)?;
    let expected = [
        1.2148702839334022,
        -1.9536712699540004,
        0.42490795003772397,
        -0.5884839427665921,
        1.0302815486046253,
        -0.2408408706902745,
        -0.5267480081038364,
        0.7917328432124233,
        -0.1751921775757979,
        -0.15585411527205137,
        -0.4796060517886623,
        0.5835932876753831,
        -0.5859011605858117,
    ];
    assert!((value - 0.765616539803436).abs() < 1e-15, "{value}");
    for (g, e) in grad.values().iter().zip(expected) {
        assert!((g - e).abs() < 5e-15, "{g} {e}");
    }
    let report = check::gradient(&data, &theta)?;
    assert!(report.passed(), "{report}");
    Ok(())
}

/// The first numbers by a generator written in Python after the same papers.
#[test]
fn initial_values_are_a_function_of_seed_and_name() -> Result<()> {
    let g = Graph::new();
    let layer = Linear::new(&g, "scores", 3, 2);
    let init = layer.init(7);
    assert_eq!(init.iter().map(|(name, values)| (name.as_str(), values.len())).collect::<Vec<_>>(), [("scores.weight", 6), ("scores.bias", 2)]);
    let expected = [0.5245713073627687, 0.20085462803825777, 0.29038397988373316];
    assert!(init[0].1.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-15), "{init:?}");
    let expected = [-0.31571244431836093, 0.33858536370984527];
    assert!(init[1].1.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-15), "{init:?}");
    assert_ne!(layer.init(8), init);
    // The same whatever else is in the graph, and another for another layer.
    let h = Graph::new();
    let (other, same) = (Linear::new(&h, "other", 3, 2), Linear::new(&h, "scores", 3, 2));
    assert_eq!(same.init(7), init);
    assert_ne!(other.init(7)[0].1, init[0].1);
    Ok(())
}

/// The variance of the uniform distribution on -r to r is r^2 / 3: here 1 / 300, its estimate within four standard errors.
#[test]
fn initial_values_fill_their_range() -> Result<()> {
    let g = Graph::new();
    let values = Linear::without_bias(&g, "w", 100, 200).init(1).remove(0).1;
    let n = values.len() as f64;
    assert!(values.iter().all(|x| x.abs() <= 0.1) && values.iter().any(|x| x.abs() > 0.0999));
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| x * x).sum::<f64>() / n;
    assert!(mean.abs() < 4.0 * (1.0 / 300.0 / n).sqrt(), "{mean}");
    // Var(x^2) = r^4 (1/5 - 1/9).
    assert!((variance - 1.0 / 300.0).abs() < 4.0 * (1e-4 * (1.0 / 5.0 - 1.0 / 9.0) / n).sqrt(), "{variance}");
    Ok(())
}

#[test]
fn a_layer_lists_its_parameters() {
    let g = Graph::new();
    let (affine, linear) = (Linear::new(&g, "a", 3, 2), Linear::without_bias(&g, "l", 3, 2));
    assert_eq!((affine.to_string(), linear.to_string()), ("a: 3 -> 2, a.weight [3, 2], a.bias [2]".into(), "l: 3 -> 2, l.weight [3, 2]".into()));
    assert!(linear.bias().is_none() && affine.bias().is_some() && affine.name() == "a");
    assert_eq!(affine.params()[0].1.id(), affine.weight().id());
    let net = Network::new(&g, "n", 4).linear(5).then(Expr::relu).linear(2);
    assert_eq!(net.params().into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["n.0.weight", "n.0.bias", "n.1.weight", "n.1.bias"]);
}

#[test]
fn mistakes_name_the_callers_line() {
    let g = Graph::new();
    let layer = Linear::new(&g, "a", 3, 2);
    let line = line!() + 1;
    let message = layer.apply(g.data_with("x", &[4])).sum().compile().unwrap_err().to_string();
    assert!(message.contains("matmul: shapes [samples, 4] and [3, 2] do not fit") && message.contains(&format!("layers.rs:{line}")), "{message}");
    let g = Graph::new();
    let net = Network::new(&g, "n", 3).linear(2);
    let line = line!() + 1;
    let message = net.apply(g.data("x")).sum().compile().unwrap_err().to_string();
    assert!(message.contains("matmul") && message.contains(&format!("layers.rs:{line}")), "{message}");
    let g = Graph::new();
    let (_, b) = (Linear::new(&g, "a", 3, 2), Linear::new(&g, "a", 3, 2));
    let message = b.apply(g.data_with("x", &[3])).sum().compile().unwrap_err().to_string();
    assert!(message.contains("the name `a.weight` is taken"), "{message}");
}
