#!/usr/bin/env python3
"""Makes tests/tables/derivatives.txt and tests/tables/formulas.txt with mpmath (40 digits, rounded to 17).

derivatives: function, point (one or two numbers), its value, its derivative by each operand.
formulas: a reduction or normalisation of a vector, the vector, the value, the derivative by each entry. Infinite entries are limits.

    python3 tools/formula_reference.py
"""
import os

import mpmath as mp

mp.mp.dps = 60
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "tables")


def text(x):
    x = mp.mpf(x)
    return "inf" if x == mp.inf else "-inf" if x == -mp.inf else mp.nstr(x, 17)


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


# Each: points, value, derivative.
near = [1e-300, 1e-20, 1e-8, 0.001, 0.1, 0.5, 0.9, 1.0, 1.5, 3.0, 7.5]
both = lambda l: [-x for x in l] + l
UNARY = {
    "recip": (both(near + [1e6, 1e100]), lambda x: 1 / x, lambda x: -1 / x**2),
    "sqrt": (near + [1e6, 1e300], mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x))),
    "cbrt": (near + [1e6, 1e300], mp.cbrt, lambda x: mp.cbrt(x) / (3 * x)),
    "exp": (both(near + [100.0, 700.0]), mp.exp, mp.exp),
    "exp2": (both(near + [100.0, 1000.0]), lambda x: mp.mpf(2) ** x, lambda x: mp.mpf(2) ** x * mp.log(2)),
    "exp_m1": (both(near + [100.0, 700.0]), mp.expm1, mp.exp),
    "ln": (near + [1e10, 1e300], mp.log, lambda x: 1 / x),
    "log2": (near + [1e10, 1e300], lambda x: mp.log(x, 2), lambda x: 1 / x / mp.log(2)),
    "log10": (near + [1e10, 1e300], mp.log10, lambda x: 1 / x / mp.log(10)),
    "ln_1p": (near + [1e10, 1e300] + [-0.999, -0.5, -1e-8, -1e-20], mp.log1p, lambda x: 1 / (1 + x)),
    "sin": (both(near + [100.0, 1e6]), mp.sin, mp.cos),
    "cos": (both(near + [100.0, 1e6]), mp.cos, lambda x: -mp.sin(x)),
    "tan": (both(near + [100.0, 1e6]), mp.tan, lambda x: 1 + mp.tan(x) ** 2),
    "asin": (both([1e-300, 1e-8, 0.1, 0.5, 0.9, 0.999]), mp.asin, lambda x: 1 / mp.sqrt(1 - x * x)),
    "acos": (both([1e-300, 1e-8, 0.1, 0.5, 0.9, 0.999]), mp.acos, lambda x: -1 / mp.sqrt(1 - x * x)),
    "atan": (both(near + [1e6, 1e100]), mp.atan, lambda x: 1 / (1 + x * x)),
    "sinh": (both(near + [100.0, 700.0]), mp.sinh, mp.cosh),
    "cosh": (both(near + [100.0, 700.0]), mp.cosh, mp.sinh),
    "tanh": (both(near + [20.0]), mp.tanh, lambda x: 1 / mp.cosh(x) ** 2),
    "sigmoid": (both(near + [40.0, 700.0]), sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "softplus": (both(near + [40.0, 700.0]), lambda x: mp.log1p(mp.exp(x)), sigmoid),
    "log_sigmoid": (both(near + [40.0, 700.0]), lambda x: -mp.log1p(mp.exp(-x)), lambda x: sigmoid(-x)),
    "erf": (both(near + [20.0]), mp.erf, lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x)),
    "erfc": (both(near + [20.0]), mp.erfc, lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x)),
    "ln_gamma": ([1e-20, 1e-8, 0.1, 0.5, 0.9, 1.3, 1.5, 3.0, 7.5, 30.0, 1e6, 1e100, -0.5, -1.7, -10.3], lambda x: mp.log(abs(mp.gamma(x))) if x < 1e3 else mp.loggamma(x), mp.digamma),
    "digamma": ([1e-20, 1e-8, 0.1, 0.5, 0.9, 1.3, 1.5, 3.0, 7.5, 30.0, 1e6, 1e100, -0.5, -1.7, -10.3], mp.digamma, lambda x: mp.polygamma(1, x)),
    "trigamma": ([1e-8, 0.1, 0.5, 0.9, 1.3, 1.5, 3.0, 7.5, 30.0, 1e6, -0.5, -1.7, -10.3], lambda x: mp.polygamma(1, x), lambda x: mp.polygamma(2, x)),
    "polygamma2": ([1e-6, 0.1, 0.5, 0.9, 1.3, 1.5, 3.0, 7.5, 30.0, 1e6], lambda x: mp.polygamma(2, x), lambda x: mp.polygamma(3, x)),
    "polygamma3": ([1e-6, 0.1, 0.5, 0.9, 1.3, 1.5, 3.0, 7.5, 30.0, 1e6], lambda x: mp.polygamma(3, x), lambda x: mp.polygamma(4, x)),
}
BINARY = {
    "powf": ([(0.3, 2.5), (7.0, -1.5), (1e-10, 0.5), (1e100, 2.9), (2.0, 0.0), (1.0000001, 1e6)], lambda x, z: x**z, lambda x, z: (z * x ** (z - 1), x**z * mp.log(x))),
    "atan2": ([(1.0, 2.0), (-1.0, -2.0), (1e-300, 1.0), (3.0, -1e-5), (1e100, 1e100), (-0.5, 1e8)], mp.atan2, lambda x, z: (z / (x * x + z * z), -x / (x * x + z * z))),
    "hypot": ([(3.0, 4.0), (1e200, 2e200), (1e-200, -3e-200), (-1.0, 1e-20)], mp.hypot, lambda x, z: (x / mp.hypot(x, z), z / mp.hypot(x, z))),
    "logaddexp": ([(1.0, 2.0), (1000.0, 999.0), (-1000.0, -1001.0), (1000.0, -1000.0), (0.0, 0.0)], lambda x, z: mp.log(mp.exp(x) + mp.exp(z)), lambda x, z: (sigmoid(x - z), sigmoid(z - x))),
    "xlogy": ([(2.0, 3.0), (1e-300, 1e-300), (1e10, 1.0), (0.5, 1e300), (-2.0, 0.5)], lambda x, z: x * mp.log(z), lambda x, z: (mp.log(z), x / z)),
}
with open(os.path.join(HERE, "derivatives.txt"), "w") as out:
    out.write("# tools/formula_reference.py: function; point; value; derivatives\n")
    for name, (points, value, slope) in UNARY.items():
        for x in points:
            m = mp.mpf(x)
            out.write(f"{name};{x!r};{text(value(m))};{text(slope(m))}\n")
    for name, (points, value, slope) in BINARY.items():
        for x, z in points:
            a, b = mp.mpf(x), mp.mpf(z)
            out.write(f"{name};{x!r} {z!r};{text(value(a, b))};{' '.join(text(s) for s in slope(a, b))}\n")

VECTORS = [[0.3, -1.2, 2.0], [1e3, -1e3, 999.0], [-1e3, -1001.0, -999.5], [-mp.inf, 0.5, 1.5], [1e3, -mp.inf, -1e3], [0.7], [2.0, 2.0, 2.0, 2.0], [1e300, 0.0], [1e-300, 1e-300]]
PLAIN = [[0.3, -1.2, 2.0], [1e8 + 1, 1e8 + 2, 1e8 + 4], [1e-8, 2e-8, 5e-8], [1e5, 1e-5], [3.0, 4.0], [-1e3, 1e3, 0.0]]


def exps(v):
    # Exact: the largest taken off, minus infinity has weight 0.
    top = max(v)
    return [mp.mpf(0) if x == -mp.inf else mp.exp(x - top) for x in v], top


def softmax(v):
    e, _ = exps(v)
    return [x / mp.fsum(e) for x in e]


def formulas():
    for v in VECTORS:
        v = [mp.mpf(x) for x in v]
        e, top = exps(v)
        p = softmax(v)
        yield "log_sum_exp", v, top + mp.log(mp.fsum(e)), p
        k = v.index(max(v))
        # Of one entry: p_k, with dp_k/dv_j = p_k (delta_jk - p_j); and its logarithm. 1 - p_k is the sum of the others.
        rest = lambda j: mp.fsum(p[i] for i in range(len(v)) if i != j)
        yield "softmax", v, p[k], [p[k] * rest(k) if j == k else -p[k] * p[j] for j in range(len(v))]
        yield "log_softmax", v, -mp.log(mp.fsum(e)), [rest(k) if j == k else -p[j] for j in range(len(v))]
    for v in PLAIN:
        v = [mp.mpf(x) for x in v]
        n = len(v)
        mean = mp.fsum(v) / n
        var = mp.fsum((x - mean) ** 2 for x in v) / n
        yield "var", v, var, [2 * (x - mean) / n for x in v]
        yield "std", v, mp.sqrt(var), [(x - mean) / n / mp.sqrt(var) for x in v]
        norm = mp.sqrt(mp.fsum(x * x for x in v))
        yield "norm", v, norm, [x / norm for x in v]
        # The quadratic form of the matrix of entries 1 / (i + 2 j + 1).
        a = [[mp.mpf(1.0 / (i + 2 * j + 1)) for j in range(n)] for i in range(n)]
        yield "quadratic_form", v, mp.fsum(a[i][j] * v[i] * v[j] for i in range(n) for j in range(n)), [mp.fsum((a[i][j] + a[j][i]) * v[j] for j in range(n)) for i in range(n)]


with open(os.path.join(HERE, "formulas.txt"), "w") as out:
    out.write("# tools/formula_reference.py: formula; entries; value; derivatives\n")
    for name, v, value, slopes in formulas():
        out.write(f"{name};{' '.join(text(x) for x in v)};{text(value)};{' '.join(text(s) for s in slopes)}\n")
