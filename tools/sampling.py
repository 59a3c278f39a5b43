#!/usr/bin/env python3
"""Makes tests/tables/sampling.txt: distribution functions by SciPy that samples are held against.

    python3 tools/sampling.py > tests/tables/sampling.txt

A line holds the name and the parameters as src/dist takes them, then points `x F(x)` with `F(x)` the probability of at most `x`.
"""
import math
import numpy as np
from scipy import stats as s

sig = lambda l: 1 / (1 + math.exp(-l))
CASES = {
    "normal": (lambda l, c: s.norm(l, c), [(0, 1), (-3, 0.2)]),
    "log_normal": (lambda l, c: s.lognorm(c, scale=math.exp(l)), [(0.5, 0.7)]),
    "half_normal": (lambda c: s.halfnorm(scale=c), [(2.5,)]),
    "student_t": (lambda n, l, c: s.t(n, l, c), [(3, 1, 2), (0.7, 0, 1), (40, 0, 1)]),
    "cauchy": (lambda l, c: s.cauchy(l, c), [(2, 0.5)]),
    "laplace": (lambda l, c: s.laplace(l, c), [(-1, 3)]),
    "logistic": (lambda l, c: s.logistic(l, c), [(1, 0.4)]),
    "exponential": (lambda r: s.expon(scale=1 / r), [(4,)]),
    "gamma": (lambda a, b: s.gamma(a, scale=1 / b), [(0.3, 2), (1, 1), (7.5, 0.1)]),
    "inverse_gamma": (lambda a, b: s.invgamma(a, scale=b), [(0.8, 2), (5, 1)]),
    "beta": (lambda a, b: s.beta(a, b), [(0.4, 0.6), (2, 5), (30, 10)]),
    "uniform": (lambda l, h: s.uniform(l, h - l), [(-2, 5)]),
    "weibull": (lambda k, c: s.weibull_min(k, scale=c), [(0.7, 2), (3, 1)]),
    "bernoulli": (lambda p: s.bernoulli(p), [(0.3,), (0,), (1,)]),
    "bernoulli_logit": (lambda l: s.bernoulli(sig(l)), [(-1,)]),
    "binomial": (lambda n, p: s.binom(n, p), [(5, 0.4), (300, 0.9), (7, 0), (0, 0.5)]),
    "binomial_logit": (lambda n, l: s.binom(n, sig(l)), [(40, 1.5)]),
    "poisson": (lambda r: s.poisson(r), [(0.4,), (60,), (0,)]),
    "poisson_log_rate": (lambda l: s.poisson(math.exp(l)), [(1.2,)]),
    "geometric": (lambda p: s.geom(p, loc=-1), [(0.3,), (0.001,)]),
    "negative_binomial": (lambda n, p: s.nbinom(n, p), [(0.6, 0.1), (12, 0.5)]),
    "negative_binomial_mean": (lambda m, n: s.nbinom(n, n / (n + m)), [(4, 2), (30, 1e6), (0, 1)]),
}
for name, (make, params) in CASES.items():
    for p in params:
        d = make(*p)
        xs = sorted(set(float(d.ppf(q)) for q in (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99)))
        print(name, *map(float, p), "|", *(f"{x!r} {float(d.cdf(x))!r}" for x in xs))
