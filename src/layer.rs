//! Layers as expressions: affine maps with named parameters and seeded initial values, and networks made of them and activations.

use crate::expr::{Expr, Graph};
use crate::random::SplitMix64;
use std::fmt;
use std::rc::Rc;

/// An affine map of vectors: `x W + b`, with weights `W` of shape `[inputs, outputs]` and a bias `b` of shape `[outputs]`, which may be left out (the
/// map is then linear).
///
/// The parameters are called `NAME.weight` and `NAME.bias`.
///
/// ```
/// use tapeless::{layer::Linear, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let x = g.data_with("x", &[3]);
/// let layer = Linear::new(&g, "scores", 3, 2);
/// let y = layer.apply(x);
/// assert_eq!(y.shape().to_string(), "[samples, 2]");
/// assert_eq!(layer.to_string(), "scores: 3 -> 2, scores.weight [3, 2], scores.bias [2]");
///
/// let program = y.square().mean().compile()?;
/// let theta = program.params(layer.init(7))?;           // the same numbers for the same seed, everywhere
/// assert!(theta.values().iter().all(|x| x.abs() <= 1.0 / 3f64.sqrt()));
/// assert_ne!(theta, program.params(layer.init(8))?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Linear<'g> {
    name: String,
    weight: Expr<'g>,
    bias: Option<Expr<'g>>,
    inputs: usize,
    outputs: usize,
}

impl<'g> Linear<'g> {
    /// A map from vectors of `inputs` entries to vectors of `outputs`, with a bias.
    #[track_caller]
    pub fn new(graph: &'g Graph, name: &str, inputs: usize, outputs: usize) -> Self {
        let mut layer = Self::without_bias(graph, name, inputs, outputs);
        layer.bias = Some(graph.param_with(&format!("{name}.bias"), &[outputs]));
        layer
    }

    /// The same without a bias.
    #[track_caller]
    pub fn without_bias(graph: &'g Graph, name: &str, inputs: usize, outputs: usize) -> Self {
        let weight = graph.param_with(&format!("{name}.weight"), &[inputs, outputs]);
        Linear { name: name.into(), weight, bias: None, inputs, outputs }
    }

    /// `x W + b`: a vector `[inputs]`, with or without samples, becomes a vector `[outputs]`; of more dimensions the last is the vector's.
    #[track_caller]
    pub fn apply(&self, x: Expr<'g>) -> Expr<'g> {
        let y = x.matmul(self.weight);
        match self.bias {
            Some(bias) => y + bias,
            None => y,
        }
    }

    /// The layer's name, which its parameters' names begin with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The weights, `[inputs, outputs]`.
    pub fn weight(&self) -> Expr<'g> {
        self.weight
    }

    /// The bias, `[outputs]`, if there is one.
    pub fn bias(&self) -> Option<Expr<'g>> {
        self.bias
    }

    /// The parameters by name.
    pub fn params(&self) -> Vec<(String, Expr<'g>)> {
        let weight = (format!("{}.weight", self.name), self.weight);
        std::iter::once(weight).chain(self.bias.map(|bias| (format!("{}.bias", self.name), bias))).collect()
    }

    /// Initial values for [`Program::params`](crate::Program::params): all numbers drawn evenly from `-r` to `r`, where `r = 1 / sqrt(inputs)`. They are a
    /// function of the seed and the parameter's name alone, so layers of one seed differ, and stay the same whatever else is in the graph.
    ///
    /// The range is what PyTorch's `nn.Linear` uses. It keeps the variance of the outputs at a third of the inputs' mean square whatever their number
    /// (LeCun, Bottou, Orr and Mueller, *Efficient BackProp*, 1998, section 4.6, has the argument).
    pub fn init(&self, seed: u64) -> Vec<(String, Vec<f64>)> {
        let range = 1.0 / (self.inputs.max(1) as f64).sqrt();
        let entries = |name: &str| if name.ends_with(".weight") { self.inputs * self.outputs } else { self.outputs };
        let names = self.params().into_iter().map(|(name, _)| name);
        names
            .map(|name| {
                let mut random = SplitMix64::stream(seed, hash(&name));
                let values = (0..entries(&name)).map(|_| range * random.symmetric()).collect();
                (name, values)
            })
            .collect()
    }
}

impl fmt::Display for Linear<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.name, self.inputs, self.outputs)?;
        self.params().iter().try_for_each(|(name, e)| write!(f, ", {name} {}", e.shape()))
    }
}

impl fmt::Debug for Linear<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fowler, Noll and Vo's hash FNV-1a of 64 bits.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Layers one after the other, with activations between them.
///
/// The layers are called `NAME.0`, `NAME.1` and so on; each takes as many inputs as the one before has outputs.
///
/// A perceptron with one hidden layer learns the exclusive or, which no linear map can:
///
/// ```
/// use tapeless::{layer::Network, loss::mse, prelude::*};
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, y) = (g.data_with("x", &[2]), g.data_with("y", &[1]));
/// let net = Network::new(&g, "net", 2).linear(4).then(Expr::tanh).linear(1);
/// let program = mse(net.apply(x), y).compile()?;
///
/// let (a, b, y) = ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]);
/// let data = program.bind([("x", vec![&a[..], &b[..]]), ("y", vec![&y[..]])])?;
/// let mut theta = program.params(net.init(1))?;
/// Training::new(&data, Adam::new(0.05)).steps(500).run(&mut theta)?;
/// assert!(data.value(&theta)? < 1e-3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Network<'g> {
    graph: &'g Graph,
    name: String,
    inputs: usize,
    stages: Vec<Stage<'g>>,
}

#[derive(Clone)]
enum Stage<'g> {
    Linear(Linear<'g>),
    Activation(Rc<dyn Fn(Expr<'g>) -> Expr<'g> + 'g>),
}

impl<'g> Network<'g> {
    /// An empty network of vectors of `inputs` entries.
    pub fn new(graph: &'g Graph, name: &str, inputs: usize) -> Self {
        Network { graph, name: name.into(), inputs, stages: Vec::new() }
    }

    /// A further affine map, to vectors of `outputs` entries.
    #[track_caller]
    pub fn linear(mut self, outputs: usize) -> Self {
        let (count, inputs) = (self.layers().count(), self.layers().last().map_or(self.inputs, |l| l.outputs));
        let layer = Linear::new(self.graph, &format!("{}.{count}", self.name), inputs, outputs);
        self.stages.push(Stage::Linear(layer));
        self
    }

    /// An activation: any function of expressions that keeps the shape, such as `Expr::tanh`, `Expr::relu` or `|x| x.max(0.01 * x)`.
    pub fn then(mut self, activation: impl Fn(Expr<'g>) -> Expr<'g> + 'g) -> Self {
        self.stages.push(Stage::Activation(Rc::new(activation)));
        self
    }

    /// The network's output for a vector, with or without samples.
    #[track_caller]
    pub fn apply(&self, x: Expr<'g>) -> Expr<'g> {
        let mut y = x;
        // A loop and no closure: a mistake's place is the caller's.
        for stage in &self.stages {
            y = match stage {
                Stage::Linear(layer) => layer.apply(y),
                Stage::Activation(f) => f(y),
            };
        }
        y
    }

    /// The affine maps in order.
    pub fn layers(&self) -> impl Iterator<Item = &Linear<'g>> {
        self.stages.iter().filter_map(|stage| if let Stage::Linear(layer) = stage { Some(layer) } else { None })
    }

    /// The parameters of all layers by name.
    pub fn params(&self) -> Vec<(String, Expr<'g>)> {
        self.layers().flat_map(Linear::params).collect()
    }

    /// Initial values of all layers: see [`Linear::init`].
    pub fn init(&self, seed: u64) -> Vec<(String, Vec<f64>)> {
        self.layers().flat_map(|layer| layer.init(seed)).collect()
    }
}

impl fmt::Debug for Network<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layers().try_for_each(|layer| writeln!(f, "{layer}"))
    }
}
