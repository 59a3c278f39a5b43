//! Formulas written with the DSL out of bytes, operands that don't fit and shapes that can't exist included.

use arbitrary::{Result, Unstructured};
use tapeless::dist;
use tapeless::graph::Dag;
use tapeless::layer::Linear;
use tapeless::op::Elem;
use tapeless::prelude::*;
use tapeless::{constraint, loss};

/// Entries of an operand of what makes many of them.
const LARGE: usize = 200;
/// Nodes beyond which a formula is at its end.
const NODES: usize = 150;

const NAMES: [&str; 8] = ["x", "y", "w", "a b", "", "β", "d_w", "along_w"];

/// A few dimensions, most of them small.
pub fn dims(u: &mut Unstructured<'_>) -> Result<Vec<usize>> {
    Ok(match u.int_in_range(0..=63)? {
        0..20 => vec![],
        20..28 => vec![2],
        28..34 => vec![3],
        34..40 => vec![3, 3],
        40..44 => vec![2, 2],
        44..48 => vec![2, 3],
        48..51 => vec![1],
        51..53 => vec![3, 1],
        53..55 => vec![2, 1, 3],
        55 => vec![17, 17],
        56 => vec![70],
        57 => vec![5, 20],
        58 => vec![0],
        59 => vec![usize::MAX, 2],
        60 => vec![1 << 30],
        61 => vec![1 << 20, 1 << 20],
        62 => vec![1 << 63, 2, 1],
        _ => (0..u.int_in_range(0..=6)?).map(|_| u.int_in_range(0..=3)).collect::<Result<_>>()?,
    })
}

fn number(u: &mut Unstructured<'_>) -> Result<f64> {
    Ok(match u.int_in_range(0..=15)? {
        0 => f64::from_bits(u.arbitrary()?),
        1 => 0.0,
        2 => f64::INFINITY,
        3 => -1.0,
        _ => f64::from(u.arbitrary::<i8>()?) / 8.0,
    })
}

fn axis(u: &mut Unstructured<'_>) -> Result<isize> {
    Ok(match u.int_in_range(0..=15)? {
        0..10 => -1,
        10 | 11 => 0,
        12 => 1,
        13 => -2,
        14 => isize::MIN,
        _ => isize::MAX,
    })
}

fn some<V: Copy>(u: &mut Unstructured<'_>, of: &[V]) -> Result<V> {
    Ok(of[u.choose_index(of.len())?])
}

/// Writes a formula and hands it on, with the graph's other expressions.
pub fn with_one(u: &mut Unstructured<'_>, then: impl FnOnce(&mut Unstructured<'_>, Expr<'_>, &[Expr<'_>]) -> Result<()>) -> Result<()> {
    let (graph, foreign) = (Graph::new(), Graph::new());
    let other = foreign.param("w");
    let mut pool = vec![graph.param("p"), graph.data("q")];
    let mut labels = Vec::new();
    for _ in 0..u.int_in_range(1..=20)? {
        if graph.dag().nodes().len() > NODES {
            break;
        }
        let made = step(u, &graph, &pool, &mut labels, other)?;
        pool.push(made);
    }
    let e = pool[pool.len() - 1];
    let loss = match u.int_in_range(0..=15)? {
        0 => e,
        1 => e.mean(),
        2 => e.log_sum_exp(),
        3 => e.max_all(),
        _ => e.sum(),
    };
    // A parameter is in nearly every one.
    let loss = if u.ratio(7, 8)? { loss + pool[0].square() } else { loss };
    then(u, loss, &pool)
}

fn step<'g>(u: &mut Unstructured<'_>, g: &'g Graph, pool: &[Expr<'g>], labels: &mut Vec<Labels<'g>>, other: Expr<'g>) -> Result<Expr<'g>> {
    let recent = |u: &mut Unstructured<'_>| -> Result<Expr<'g>> {
        let back = if u.ratio(2, 3)? { u.choose_index(pool.len().min(3))? } else { u.choose_index(pool.len())? };
        Ok(pool[pool.len() - 1 - back])
    };
    let x = recent(u)?;
    let y = recent(u)?;
    let small = x.shape().entries() <= LARGE;
    let kind = u.int_in_range(0..=71)?;
    Ok(match kind {
        0..4 => g.data_with(some(u, &NAMES)?, &dims(u)?),
        4..8 => g.param_with(some(u, &NAMES)?, &dims(u)?),
        8 | 9 => {
            let made = g.labels(some(u, &["l", "m", "x"])?);
            labels.push(made);
            made.number()
        }
        10 => g.constant(number(u)?),
        11 => g.count(),
        12..20 => {
            let op = some(u, &Elem::ALL)?;
            let op = Elem::from_name(op.name(), op.attribute().map(|_| i32::from(u.arbitrary::<i8>().unwrap_or(2)) % 20)).unwrap_or(op);
            let mut operands = vec![x];
            for _ in 1..op.arity() + usize::from(u.ratio(1, 60)?) {
                operands.push(recent(u)?);
            }
            g.apply(op, &operands)
        }
        20 => x + recent(u)?,
        21 => x * recent(u)?,
        22 => x - number(u)?,
        23 => number(u)? / x,
        24 => x.powf(number(u)?),
        25 => x.clamp(number(u)?, number(u)?),
        26 => x + other,
        27 => x.sum(),
        28 => x.mean(),
        29 => x.min_all(),
        30 => x.sum_samples(),
        31 => x.mean_samples(),
        32 => x.max_samples(),
        33 => x.sum_dim(axis(u)?),
        34 => x.mean_dim(axis(u)?),
        35 => x.max_dim(axis(u)?),
        36 => x.var(),
        37 => x.std_dim(axis(u)?),
        38 => x.norm_dim(axis(u)?),
        39 => x.log_sum_exp_dim(axis(u)?),
        40 => x.log_sum_exp_samples(),
        41 => x.log_softmax(axis(u)?),
        42 => x.softmax(axis(u)?),
        43 if small => x.cumsum(axis(u)?),
        44 => x.reshape(&dims(u)?),
        45 => x.broadcast_to(&dims(u)?),
        46 => x.detach(),
        47 => x.index(&(0..x.shape().dims().len()).map(|_| u.int_in_range(0..=3)).collect::<Result<Vec<usize>>>()?),
        48 => x.slice(axis(u)?, u.int_in_range(0..=2)?..u.int_in_range(0..=4)?),
        49 => x.slice(axis(u)?, u.arbitrary()?..u.arbitrary()?),
        50 => x.transpose(),
        51 => match u.int_in_range(0..=3)? {
            0 => x.diag(),
            1 => x.trace(),
            2 => x.tril(),
            _ => x.triu(),
        },
        52 if small => x.to_diag(),
        53 => x.dot(recent(u)?),
        54 => x.outer(recent(u)?),
        55 => x.matmul(recent(u)?),
        56 if x.shape().entries() <= 25 || x.shape().entries() == 289 => {
            // Definite more often than not.
            let square = if u.ratio(3, 4)? { x.matmul(x.transpose()) + g.identity(x.shape().dims().last().copied().unwrap_or(2).min(20)) } else { x };
            match u.int_in_range(0..=4)? {
                0 => square.cholesky(),
                1 => square.log_det(),
                2 => square.inverse(),
                3 => square.solve_lower(recent(u)?),
                _ => square.quadratic_form(recent(u)?),
            }
        }
        57 if small => x.solve_upper(recent(u)?),
        58 if small => x.solve_lower_transposed(recent(u)?),
        59 => match labels.last() {
            Some(l) => x.pick(*l),
            None => x.square(),
        },
        60 => match labels.last() {
            Some(l) => x.gather(*l),
            None => x.tanh(),
        },
        61 => match labels.last() {
            Some(l) => x.sum_by(*l, some(u, &[1, 3, 7, 0, 1 << 40, usize::MAX])?),
            None => x.sigmoid(),
        },
        62 => match labels.last() {
            Some(l) => l.one_hot(some(u, &[2, 3, 5, 0, usize::MAX])?),
            None => x.exp(),
        },
        63 if small => {
            let parts: Vec<Expr<'g>> = (0..u.int_in_range(0..=3)?).map(|_| recent(u)).collect::<Result<_>>()?;
            let at = some(u, &[0, 0, 1, 7, usize::MAX])?;
            if u.arbitrary()? { g.stack(&parts, at) } else { g.concat(&parts, at) }
        }
        64 => {
            let values: Vec<f64> = (0..u.int_in_range(0..=5)?).map(|_| number(u)).collect::<Result<_>>()?;
            g.array(&dims(u)?, &values)
        }
        65 => g.identity(some(u, &[1, 3, 0, 1 << 15, usize::MAX])?),
        66 => {
            let z = recent(u)?;
            distribution(u, x, y, z)?
        }
        67 if small => match u.int_in_range(0..=5)? {
            0 => constraint::simplex(x).value,
            1 => constraint::ordered(x).value,
            2 => constraint::positive(x).log_jacobian,
            3 => constraint::interval(x, -1.0, 2.0).value,
            4 => constraint::correlation_cholesky(x).value,
            _ => constraint::covariance_cholesky(x).log_jacobian,
        },
        68 => match labels.last() {
            Some(l) => loss::cross_entropy(x, *l),
            None => loss::huber(x, recent(u)?, number(u)?),
        },
        69 => match u.int_in_range(0..=3)? {
            0 => loss::log_loss(x, y),
            1 => loss::mse(x, y),
            2 => loss::kl_logits(x, y),
            _ => loss::soft_cross_entropy(x, y),
        },
        70 => {
            let (inputs, outputs) = (some(u, &[1, 2, 3, 0, usize::MAX])?, some(u, &[1, 2, 0, 1 << 40])?);
            Linear::new(g, some(u, &NAMES)?, inputs, outputs).apply(x)
        }
        71 => derivative(u, x, &[y, pool[0]])?,
        _ => x,
    })
}

fn derivative<'g>(u: &mut Unstructured<'_>, x: Expr<'g>, by: &[Expr<'g>]) -> Result<Expr<'g>> {
    let made = match u.int_in_range(0..=5)? {
        0..=3 => x.sum().gradient(by),
        4 if x.shape().entries() <= 9 => x.jacobian(by),
        _ => x.sum().hessian_vector(by, &[by[1], by[0]]),
    };
    Ok(match made {
        Ok(list) => list[u.choose_index(list.len())?],
        Err(error) => {
            assert!(!error.to_string().is_empty());
            x
        }
    })
}

fn distribution<'g>(u: &mut Unstructured<'_>, x: Expr<'g>, a: Expr<'g>, b: Expr<'g>) -> Result<Expr<'g>> {
    let scale = if u.arbitrary()? { b.softplus() } else { b };
    Ok(match u.int_in_range(0..=13)? {
        0 => dist::normal(a, scale).log_prob(x),
        1 => dist::gamma(a.softplus(), scale).log_prob(x),
        2 => dist::beta(a.softplus(), scale).log_prob(x),
        3 => dist::student_t(3.0, a, scale).log_prob(x),
        4 => dist::bernoulli_logit(a).log_prob(x),
        5 => dist::poisson(scale).log_prob(x),
        6 => dist::negative_binomial(scale, 0.25).log_prob(x),
        7 => dist::dirichlet(scale).log_prob(x),
        8 => dist::multivariate_normal_cholesky(a, b).log_prob(x),
        9 => dist::multivariate_normal_diagonal(a, scale).log_prob(x),
        10 => dist::multivariate_normal_isotropic(a, scale).log_prob(x),
        11 => dist::binomial_logit(10.0, a).log_prob(x),
        12 => dist::weibull(scale, 2.0).log_prob(x),
        _ => dist::mixture(a, [dist::normal(a, scale), dist::normal(b, 1.0)]).log_prob(x),
    })
}

/// Entries of all values and inputs together, no more than `usize::MAX`.
pub fn entries(dag: &Dag) -> usize {
    let inputs = dag.data().iter().chain(dag.params()).map(|i| i.shape.entries());
    dag.nodes().iter().map(|n| n.shape.entries()).chain(inputs).fold(0, usize::saturating_add)
}
