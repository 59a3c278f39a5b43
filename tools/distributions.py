#!/usr/bin/env python3
"""Makes tests/tables/distributions.txt: log densities of every univariate distribution with their gradients, distribution functions and moments, by mpmath.

    python3 tools/distributions.py > tests/tables/distributions.txt

A line holds, separated by `|`: name, `x` and parameters; the log density and the size of the largest term of the formula that src/dist documents
(rounding is held against it); its derivatives by `x` (nan where `x` is a count) and by the parameters; the condition of each, that is the sum
of `|p dg/dp|` over all arguments `p`; the distribution function and its condition (nan where src/dist has none); mean and variance.
"""
import math
from mpmath import mp, mpf
import mpmath as m

mp.dps = 120
INF, NAN = mpf("inf"), mpf("nan")
TAU = 2 * m.pi


def lg(x):
    return m.loggamma(x)


def softplus(x):
    return m.log1p(m.exp(x)) if x < 0 else x + m.log1p(m.exp(-x))


def xlogy(x, y):
    return mpf(0) if x == 0 else x * (m.log(y) if y > 0 else -INF)


def x1p(x, y):
    return mpf(0) if x == 0 else x * (m.log1p(y) if y > -1 else -INF)


def stirling(a):
    return lg(a) - ((a - mpf(1) / 2) * m.log(a) - a + m.log(TAU) / 2)


def stirling_terms(a):
    s = stirling(a)
    return [s] if a >= 10 else [s] + [t for u in (lg(a), (a - mpf(1) / 2) * m.log(a), a) for t in (u, -u)]


def gamma_terms(r, a, plus, rest):
    """(a + plus) ln r - a (r - 1) + ..."""
    return [xlogy(a + plus, r), -a * (r - 1), m.log(a / TAU) / 2, *[-t for t in stirling_terms(a)], *rest]


def rising_terms(q, p):
    """Below 10 `ln_gamma` is called as it is, and its rounding counts; above, only `p ln(q + p)` is taken off again."""
    large = (lg(q), lg(q + p)) if q < 10 else (p * m.log(q + p),)
    return [lg(q + p) - lg(q)] + [t for u in large for t in (u, -u)]


def ln_beta_terms(a, b):
    p, q = min(a, b), max(a, b)
    return [lg(p)] + [-t for t in rising_terms(q, p)]


def z(x, l, s):
    return (x - l) / s


def phi(t):
    return m.erfc(-t / m.sqrt(2)) / 2


class D:
    def __init__(self, terms, outside, cdf, mean, var, points, count=False):
        self.terms, self.outside, self.cdf, self.mean, self.var, self.points, self.count = terms, outside, cdf, mean, var, points, count


def never(*_):
    return False


def no_count(y):
    return y < 0 or y != m.floor(y)


def pts(params, xs):
    return [(x, *p) for p in params for x in xs(*p)]


def around(l, s):
    """Locations from the centre to far tails."""
    return [l + s * t for t in (0, 0.1, -0.7, 1.3, -2.5, 5, -8, 20, -37, 150, -1e4, 1e8)]


LS = [(0.0, 1.0), (-1.5, 0.3), (250.0, 40.0), (1e-3, 1e-5)]
logit = lambda p: m.log(p) - m.log1p(-p)
sig = lambda l: 1 / (1 + m.exp(-l))
half = mpf(1) / 2

DIST = {
    "normal": D(lambda x, l, s: [-z(x, l, s) ** 2 / 2, -m.log(s), -m.log(TAU) / 2], never, lambda x, l, s: phi(z(x, l, s)),
                lambda l, s: l, lambda l, s: s * s, pts(LS, around)),
    "log_normal": D(lambda x, l, s: [-z(m.log(x), l, s) ** 2 / 2, -m.log(s), -m.log(x), -m.log(TAU) / 2, (m.log(x) / s) * z(m.log(x), l, s), -(m.log(x) / s) * z(m.log(x), l, s)],
                    lambda x, l, s: x <= 0, lambda x, l, s: phi(z(m.log(x), l, s)),
                    lambda l, s: m.exp(l + s * s / 2), lambda l, s: m.expm1(s * s) * m.exp(2 * l + s * s),
                    pts([(0.0, 1.0), (-1.5, 0.3), (2.0, 1.7), (0.1, 1e-4)], lambda l, s: [math.exp(l + s * t) for t in (0, 0.2, -1, 2, -6, 9, -20, 30)] + [0.0, -1.0])),
    "half_normal": D(lambda x, s: [-(x / s) ** 2 / 2, -m.log(s), m.log(2 / m.pi) / 2], lambda x, s: x < 0, lambda x, s: m.erf(x / (s * m.sqrt(2))),
                     lambda s: s * m.sqrt(2 / m.pi), lambda s: s * s * (1 - 2 / m.pi),
                     pts([(1.0,), (0.01,), (30.0,)], lambda s: [s * t for t in (0, 1e-9, 0.1, 0.7, 2, 5.5, 9, 40)] + [-1e-300, -2.0])),
    "student_t": D(lambda x, n, l, s: [*rising_terms(n / 2, half), -m.log(m.pi * n) / 2, -m.log(s), -(n + 1) / 2 * m.log1p(z(x, l, s) ** 2 / n)], never, None,
                   lambda n, l, s: l if n > 1 else NAN, lambda n, l, s: s * s * n / (n - 2) if n > 2 else INF if n > 1 else NAN,
                   pts([(1.0, 0.0, 1.0), (0.3, 1.0, 2.0), (2.0, 0.0, 1.0), (3.5, -2.0, 0.1), (19.0, 0.0, 1.0), (20.5, 0.0, 1.0), (200.0, 5.0, 3.0), (1e6, 0.0, 1.0), (1e12, 0.0, 1.0)],
                       lambda n, l, s: around(l, s))),
    "cauchy": D(lambda x, l, s: [-m.log(m.pi * s), -m.log1p(z(x, l, s) ** 2)], never, lambda x, l, s: m.atan2(1, -z(x, l, s)) / m.pi,
                lambda l, s: NAN, lambda l, s: NAN, pts(LS, around)),
    "laplace": D(lambda x, l, s: [-abs(z(x, l, s)), -m.log(2 * s)], never, lambda x, l, s: m.exp(z(x, l, s)) / 2 if x < l else 1 - m.exp(-z(x, l, s)) / 2,
                 lambda l, s: l, lambda l, s: 2 * s * s, pts(LS, lambda l, s: around(l, s)[1:])),
    "logistic": D(lambda x, l, s: [-z(x, l, s), -2 * softplus(-z(x, l, s)), -m.log(s)], never, lambda x, l, s: sig(z(x, l, s)),
                  lambda l, s: l, lambda l, s: s * s * m.pi ** 2 / 3, pts(LS, lambda l, s: around(l, s)[:-2] + [l - 700 * s, l + 700 * s])),
    "exponential": D(lambda x, r: [m.log(r), -r * x], lambda x, r: x < 0, lambda x, r: -m.expm1(-r * x), lambda r: 1 / r, lambda r: 1 / r ** 2,
                     pts([(1.0,), (0.003,), (1e5,)], lambda r: [t / r for t in (0, 1e-12, 0.3, 1, 4, 30, 800)] + [-0.1])),
    "gamma": D(lambda x, a, b: gamma_terms(x * b / a, a, -1, [m.log(b / a)]), lambda x, a, b: x < 0, None, lambda a, b: a / b, lambda a, b: a / b ** 2,
               pts([(1.0, 1.0), (0.5, 2.0), (0.01, 3.0), (2.5, 0.1), (9.9, 1.0), (10.5, 7.0), (300.0, 2.0), (1e6, 10.0), (1e10, 1e3)],
                   lambda a, b: [a / b * t for t in (1e-100, 1e-5, 0.1, 0.9, 1.0001, 1.1, 3, 20)] + [(a + t * math.sqrt(a)) / b for t in (0.5, 3)] + [-1.0])),
    "inverse_gamma": D(lambda x, a, b: gamma_terms(b / (a * x), a, 1, [-m.log(b / a)]), lambda x, a, b: x <= 0, None,
                       lambda a, b: b / (a - 1) if a > 1 else INF, lambda a, b: b * b / ((a - 1) ** 2 * (a - 2)) if a > 2 else INF,
                       pts([(1.0, 1.0), (0.5, 2.0), (2.5, 0.1), (9.9, 1.0), (10.5, 7.0), (300.0, 2.0), (1e6, 10.0)],
                           lambda a, b: [b / a * t for t in (0.01, 0.1, 0.9, 1.0001, 1.1, 3, 1e5, 1e100)] + [0.0, -1.0])),
    "beta": D(lambda x, a, b: [xlogy(a - 1, x), x1p(b - 1, -x), *[-t for t in ln_beta_terms(a, b)]], lambda x, a, b: x < 0 or x > 1, None,
              lambda a, b: a / (a + b), lambda a, b: a * b / ((a + b) ** 2 * (a + b + 1)),
              pts([(1.0, 1.0), (0.5, 0.5), (2.0, 1.0), (1.0, 3.0), (0.01, 4.0), (2.5, 7.0), (9.9, 0.3), (12.0, 3.0), (30.0, 40.0), (1e4, 1e4), (3.0, 1e8), (1e8, 0.5)],
                  lambda a, b: [1e-200, 1e-9, 0.1, 0.4, 0.5, 0.93, 1 - 2.0 ** -40, -1e-9, 1.0 + 1e-9])),
    "uniform": D(lambda x, l, h: [-m.log(h - l)], lambda x, l, h: x < l or x > h, lambda x, l, h: min(max((x - l) / (h - l), mpf(0)), mpf(1)),
                 lambda l, h: (l + h) / 2, lambda l, h: (h - l) ** 2 / 12, pts([(0.0, 1.0), (-3.0, 5.5), (100.0, 100.25)], lambda l, h: [l + (h - l) * t for t in (0.125, 0.5, 0.99, -0.5, 2.0)])),
    "weibull": D(lambda x, k, s: [m.log(k / s), xlogy(k - 1, x / s), -(x / s) ** k, (x / s) ** k * k * m.log(x / s), -(x / s) ** k * k * m.log(x / s)], lambda x, k, s: x < 0,
                 lambda x, k, s: -m.expm1(-(x / s) ** k) if x > 0 else mpf(0),
                 lambda k, s: s * m.gamma(1 + 1 / k), lambda k, s: s * s * (m.gamma(1 + 2 / k) - m.gamma(1 + 1 / k) ** 2),
                 pts([(1.0, 1.0), (0.5, 3.0), (2.0, 0.1), (7.5, 20.0)], lambda k, s: [s * t for t in (1e-30, 1e-3, 0.2, 0.95, 1.3, 3.0, 11.0)] + [-1.0])),
    "bernoulli": D(lambda y, p: [m.log(p) if y == 1 else m.log1p(-p)], lambda y, p: y not in (0, 1), lambda y, p: mpf(0) if y < 0 else 1 - p if y < 1 else mpf(1),
                   lambda p: p, lambda p: p * (1 - p), pts([(0.5,), (1e-12,), (0.93,)], lambda p: [0.0, 1.0, 2.0, 0.5, -1.0]), count=True),
    "bernoulli_logit": D(lambda y, l: [-softplus(-l) if y == 1 else -softplus(l)], lambda y, l: y not in (0, 1), lambda y, l: mpf(0) if y < 0 else sig(-l) if y < 1 else mpf(1),
                         sig, lambda l: sig(l) * sig(-l), pts([(0.0,), (0.7,), (-3.0,), (40.0,), (-300.0,)], lambda l: [0.0, 1.0, 2.0, 0.5, -1.0]), count=True),
    "binomial": D(lambda y, n, p: [*[-t for t in ln_beta_terms(y + 1, n - y + 1)], -m.log(n + 1), xlogy(y, p), x1p(n - y, -p)], lambda y, n, p: no_count(y) or y > n, None,
                  lambda n, p: n * p, lambda n, p: n * p * (1 - p),
                  pts([(1.0, 0.3), (10.0, 0.5), (40.0, 0.01), (1e4, 0.7), (1e8, 3e-8)], lambda n, p: [0.0, 1.0, n // 3, n, n + 1.0, 0.5, -1.0]), count=True),
    "binomial_logit": D(lambda y, n, l: [*[-t for t in ln_beta_terms(y + 1, n - y + 1)], -m.log(n + 1), -y * softplus(-l), -(n - y) * softplus(l)],
                        lambda y, n, l: no_count(y) or y > n, None, lambda n, l: n * sig(l), lambda n, l: n * sig(l) * sig(-l),
                        pts([(1.0, 0.3), (10.0, 50.0), (40.0, -4.0), (1e4, 0.7), (1e8, -17.0)], lambda n, l: [0.0, 1.0, n // 3, n, n + 1.0, 0.5, -1.0]), count=True),
    "poisson": D(lambda y, r: [xlogy(y, r), -r, -lg(y + 1)], lambda y, r: no_count(y), None, lambda r: r, lambda r: r,
                 pts([(0.3,), (4.0,), (1e-9,), (1000.0,), (1e7,)], lambda r: [0.0, 1.0, 7.0, float(round(r)), float(round(3 * r)), -1.0, 2.5]), count=True),
    "poisson_log_rate": D(lambda y, l: [y * l, -m.exp(l), -lg(y + 1)], lambda y, l: no_count(y), None, lambda l: m.exp(l), lambda l: m.exp(l),
                          pts([(0.3,), (-4.0,), (7.0,), (-700.0,)], lambda l: [0.0, 1.0, 7.0, 1000.0, -1.0, 2.5]), count=True),
    "geometric": D(lambda y, p: [m.log(p), x1p(y, -p)], lambda y, p: no_count(y), lambda y, p: mpf(0) if y < 0 else -m.expm1((m.floor(y) + 1) * m.log1p(-p)),
                   lambda p: (1 - p) / p, lambda p: (1 - p) / p ** 2, pts([(0.5,), (1e-7,), (0.97,)], lambda p: [0.0, 1.0, 13.0, 1e5, -1.0, 0.5]), count=True),
    "negative_binomial": D(lambda y, r, p: [*rising_terms(r, y), -lg(y + 1), r * m.log(p), x1p(y, -p)], lambda y, r, p: no_count(y), None,
                           lambda r, p: r * (1 - p) / p, lambda r, p: r * (1 - p) / p ** 2,
                           pts([(1.0, 0.5), (0.02, 0.1), (7.3, 0.9), (25.0, 0.3), (1e6, 0.99999)], lambda r, p: [0.0, 1.0, 13.0, 4000.0, -1.0, 0.5]), count=True),
    "negative_binomial_mean": D(lambda y, mu, r: [*rising_terms(r, y), -lg(y + 1), y * m.log(mu / (r + mu)), -r * m.log1p(mu / r)], lambda y, mu, r: no_count(y), None,
                                lambda mu, r: mu, lambda mu, r: mu + mu * mu / r,
                                pts([(1.0, 0.5), (20.0, 0.02), (3.0, 7.3), (30.0, 25.0), (4.0, 1e6), (4.0, 1e10)], lambda mu, r: [0.0, 1.0, 13.0, 4000.0, -1.0, 0.5]), count=True),
}


def show(v):
    if isinstance(v, m.mpc):
        v = v.real
    return repr(float(v))


def slope(f, args, k):
    """The derivative by the argument `k`, by a central difference in 120 digits at a step of 1e-35 of it."""
    h = abs(args[k]) * mpf("1e-35") or mpf("1e-35")
    up, down = list(args), list(args)
    up[k] += h
    down[k] -= h
    return (f(*up) - f(*down)) / (2 * h)


def line(name, d, point):
    args = [mpf(a) for a in point]
    outside = d.outside(*args)
    # The formula goes on where the terms only measure sizes: they come in pairs that cancel.
    log_prob = lambda *a: m.fsum(d.terms(*a))
    if outside:
        value, size, slopes = -INF, mpf(0), [NAN if d.count else mpf(0)] + [mpf(0)] * (len(args) - 1)
    else:
        terms = d.terms(*args)
        value, size = m.fsum(terms), max(abs(t) for t in terms)
        border = name in ("half_normal", "exponential") and args[0] == 0
        slopes = [NAN if (k == 0 and (d.count or border)) or (name.startswith("binomial") and k == 1) else slope(log_prob, args, k) for k in range(len(args))]
    conditions = []
    for k, g in enumerate(slopes):
        by_k = lambda *a, k=k: slope(log_prob, a, k)
        varied = [j for j in range(len(args)) if not (d.count and j == 0) and not (name.startswith("binomial") and j == 1) and args[j] != 0]
        conditions.append(g if outside or m.isnan(g) else abs(g) + m.fsum(abs(args[j] * slope(by_k, args, j)) for j in varied))
    cdf = condition = NAN
    if d.cdf:
        cdf = d.cdf(*args) if not (outside and name in ("log_normal", "half_normal", "exponential", "weibull")) else mpf(0)
        condition = abs(cdf)
        if 0 < cdf < 1 and not outside:
            condition += m.fsum(abs(a * slope(d.cdf, args, k)) for k, a in enumerate(args) if not (d.count and k == 0))
    moments = [d.mean(*args[1:]), d.var(*args[1:])]
    fields = [[name, *map(show, point)], map(show, [value, size]), map(show, slopes), map(show, conditions), map(show, [cdf, condition]), map(show, moments)]
    print(" | ".join(" ".join(f) for f in fields))


for name, d in DIST.items():
    for point in d.points:
        line(name, d, tuple(float(p) for p in point))
