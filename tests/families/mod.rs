//! Distributions by name, for tables.

use tapeless::dist::{self, Distribution};
use tapeless::prelude::*;

/// The distribution of this name with these parameters.
pub fn make<'g>(name: &str, p: &[Expr<'g>]) -> Box<dyn Distribution<'g> + 'g> {
    match name {
        "normal" => Box::new(dist::normal(p[0], p[1])),
        "log_normal" => Box::new(dist::log_normal(p[0], p[1])),
        "half_normal" => Box::new(dist::half_normal(p[0])),
        "student_t" => Box::new(dist::student_t(p[0], p[1], p[2])),
        "cauchy" => Box::new(dist::cauchy(p[0], p[1])),
        "laplace" => Box::new(dist::laplace(p[0], p[1])),
        "logistic" => Box::new(dist::logistic(p[0], p[1])),
        "exponential" => Box::new(dist::exponential(p[0])),
        "gamma" => Box::new(dist::gamma(p[0], p[1])),
        "inverse_gamma" => Box::new(dist::inverse_gamma(p[0], p[1])),
        "beta" => Box::new(dist::beta(p[0], p[1])),
        "uniform" => Box::new(dist::uniform(p[0], p[1])),
        "weibull" => Box::new(dist::weibull(p[0], p[1])),
        "bernoulli" => Box::new(dist::bernoulli(p[0])),
        "bernoulli_logit" => Box::new(dist::bernoulli_logit(p[0])),
        "binomial" => Box::new(dist::binomial(p[0], p[1])),
        "binomial_logit" => Box::new(dist::binomial_logit(p[0], p[1])),
        "poisson" => Box::new(dist::poisson(p[0])),
        "poisson_log_rate" => Box::new(dist::poisson_log_rate(p[0])),
        "geometric" => Box::new(dist::geometric(p[0])),
        "negative_binomial" => Box::new(dist::negative_binomial(p[0], p[1])),
        "negative_binomial_mean" => Box::new(dist::negative_binomial_mean(p[0], p[1])),
        _ => panic!("{name} is in the table, but not here"),
    }
}
