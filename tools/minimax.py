#!/usr/bin/env python3
"""Makes every coefficient table of src/kernel/math: minimax polynomials by a weighted Remez exchange.

    python3 tools/minimax.py            prints all tables as Rust, each with the error of its rounded coefficients
    python3 tools/minimax.py EXP64 ...  only these

A table approximates g(x) on [a, b] by a polynomial of n coefficients so that w(x) * |p(x) - g(x)| is least; w turns the
error of p into a relative error of the function computed from it. Coefficients are rounded to the target type one at a
time from the lowest power up, the others being fitted again after each, so that later ones absorb earlier roundings.
"""
import sys
from mpmath import mp, mpf, matrix, lu_solve
import mpmath as m
import struct

mp.prec = 240


def to_type(x, bits):
    """x rounded to `bits` significant bits (53 or 24), exactly as the target type holds it."""
    x = mpf(x)
    if x == 0:
        return x
    old = mp.prec
    mp.prec = bits
    y = +x
    mp.prec = old
    return mpf(y)


def remez(g, w, a, b, powers, shift=lambda x: mpf(0)):
    """Coefficients of x**powers minimising max w |shift + p - g| on [a, b]."""
    n = len(powers)
    k = n + 1
    plain = w
    # With an odd lowest power the basis changes sign at 0; so must the weight for the errors to alternate.
    w = (lambda x: -plain(x) if x < 0 else plain(x)) if powers[0] % 2 else plain
    # The nodes are nudged off the interval's centre, where weights may vanish.
    pts = [(a + b) / 2 + (b - a) / 2 * (mpf("0.003") - m.cos(m.pi * (mpf(i) + mpf("0.5")) / k) * mpf("0.99")) for i in range(k)]
    grid_n = 40 * k
    grid = [(a + b) / 2 + (b - a) / 2 * -m.cos(m.pi * i / grid_n) for i in range(grid_n + 1)]
    gw = [(x, g(x) - shift(x), w(x)) for x in grid]
    coef = None
    for _ in range(30):
        A = matrix(k, k)
        y = matrix(k, 1)
        for i, x in enumerate(pts):
            for j, p in enumerate(powers):
                A[i, j] = x ** p
            A[i, n] = (-1) ** i / w(x)
            y[i] = g(x) - shift(x)
        sol = lu_solve(A, y)
        coef = [sol[j] for j in range(n)]

        def err(x, gx, wx):
            return wx * (sum(c * x ** p for c, p in zip(coef, powers)) - gx)

        es = [err(*t) for t in gw]
        # One extremum for each run of equal sign.
        new = []
        for (x, _, _), e in zip(gw, es):
            if e == 0:
                continue
            if new and (new[-1][1] > 0) == (e > 0):
                if abs(e) > abs(new[-1][1]):
                    new[-1] = (x, e)
            else:
                new.append((x, e))
        while len(new) > k:
            if len(new) - k >= 2 and min(abs(e) for _, e in new) < min(abs(new[0][1]), abs(new[-1][1])):
                i = min(range(len(new)), key=lambda i: abs(new[i][1]))
                if 0 < i < len(new) - 1:
                    j = i - 1 if abs(new[i - 1][1]) < abs(new[i + 1][1]) else i + 1
                    for q in sorted((i, j), reverse=True):
                        new.pop(q)
                    continue
            new.pop(0 if abs(new[0][1]) < abs(new[-1][1]) else -1)
        if len(new) < k:
            break
        top, low = max(abs(e) for _, e in new), min(abs(e) for _, e in new)
        pts = [x for x, _ in new]
        if top - low < top * mpf("1e-3"):
            break
    return coef


def fit(g, w, a, b, n, bits):
    a, b = mpf(a), mpf(b)
    done = []
    for i in range(n):
        fixed = lambda x, d=tuple(done): sum((c * x ** j for j, c in enumerate(d)), mpf(0))
        coef = remez(g, w, a, b, list(range(i, n)), fixed)
        done.append(to_type(coef[0], bits))
    worst = mpf(0)
    for i in range(4001):
        x = a + (b - a) * i / 4000
        e = w(x) * abs(sum(c * x ** j for j, c in enumerate(done)) - g(x))
        worst = max(worst, e)
    return done, worst


def rational(g, w, a, b, n, k, bits):
    """Coefficients of p (n of them) and of q (k, after a 1) with p / q nearest to g on [a, b], by Lawson's reweighted least squares; rounded at the end."""
    a, b = mpf(a), mpf(b)
    count = 24 * (n + k)
    xs = [(a + b) / 2 - (b - a) / 2 * m.cos(m.pi * (mpf(i) + HALF) / count) for i in range(count)]
    gs, ws = [g(x) for x in xs], [w(x) for x in xs]
    weights = [mpf(1) / count] * count
    q_at = [mpf(1)] * count
    best = None
    for _ in range(120):
        # p - g q = 0 in the mean, each row divided by the last q.
        rows = [[x ** j for j in range(n)] + [-gx * x ** j for j in range(1, k + 1)] for x, gx in zip(xs, gs)]
        A, y = matrix(n + k, n + k), matrix(n + k, 1)
        for row, gx, wx, weight, q in zip(rows, gs, ws, weights, q_at):
            scale = weight * (wx / q) ** 2
            for i in range(n + k):
                y[i] += scale * row[i] * gx
                for j in range(n + k):
                    A[i, j] += scale * row[i] * row[j]
        sol = lu_solve(A, y)
        top, bottom = [sol[j] for j in range(n)], [sol[n + j] for j in range(k)]
        value = lambda x: sum(c * x ** j for j, c in enumerate(top)) / (1 + sum(c * x ** (j + 1) for j, c in enumerate(bottom)))
        errors = [wx * abs(value(x) - gx) for x, gx, wx in zip(xs, gs, ws)]
        if best is None or max(errors) < best[0]:
            best = (max(errors), top, bottom)
        q_at = [1 + sum(c * x ** (j + 1) for j, c in enumerate(bottom)) for x in xs]
        weights = [u * e for u, e in zip(weights, errors)]
        total = sum(weights)
        weights = [u / total for u in weights]
    top, bottom = ([to_type(c, bits) for c in list] for list in best[1:])
    worst = mpf(0)
    for i in range(2001):
        x = a + (b - a) * i / 2000
        value = sum(c * x ** j for j, c in enumerate(top)) / (1 + sum(c * x ** (j + 1) for j, c in enumerate(bottom)))
        worst = max(worst, w(x) * abs(value - g(x)))
    return top, [mpf(1)] + bottom, worst


def series(f, x, terms):
    """f(j) x**j summed: for values near 0, where the closed form cancels."""
    return sum((f(j) * x ** j for j in range(terms)), mpf(0))


def exp_q(r):
    return series(lambda j: 1 / m.factorial(j + 2), r, 50)


def atanh_l(z):
    """(log(1+f) - 2s) / s**3 with z = s**2, s = f / (2 + f)."""
    return series(lambda j: mpf(2) / (2 * j + 3), z, 60)


def atanh_t(z):
    """The same after its first term: (atanh_l(z) - 2/3) / z."""
    return series(lambda j: mpf(2) / (2 * j + 5), z, 60)


def log_p(f):
    """(log(1+f) - f + f**2/2) / f**3."""
    if abs(f) < mpf("1e-3"):
        return series(lambda j: (-1) ** j * mpf(1) / (j + 3), f, 40)
    return (m.log(1 + f) - f + f * f / 2) / f ** 3


def log_q(e):
    """(log(1+e) - e) / e**2 + 5/16."""
    if abs(e) < mpf("1e-3"):
        return mpf(5) / 16 + series(lambda j: (-1) ** (j + 1) * mpf(1) / (j + 2), e, 40)
    return mpf(5) / 16 + (m.log(1 + e) - e) / e ** 2


def sin_s(z):
    """(r - sin r) / r**3."""
    return series(lambda j: (-1) ** j / m.factorial(2 * j + 3), z, 30)


def cos_c(z):
    """(cos r - 1 + z/2) / z**2."""
    return series(lambda j: (-1) ** j / m.factorial(2 * j + 4), z, 30)


HALF = mpf("0.5")
SQRT_HALF, SQRT_TWO = m.sqrt(mpf("0.5")), m.sqrt(mpf(2))
S_MAX = (SQRT_TWO - 1) / (SQRT_TWO + 1)
Z_MAX = S_MAX ** 2
R_MAX = m.log(2) / 2 * (1 + mpf("1e-3"))

W_EXP = lambda r: r * r / m.exp(r)
W_EXPM1 = lambda r: r * r / abs(m.expm1(r)) if r else mpf(0)
W_ATANH = lambda z: z / 2
W_ATANH_T = lambda z: z * z / 2
W_LOG = lambda f: abs(f ** 3 / m.log(1 + f)) if f else mpf(0)
W_LOG_Q = lambda e: e ** 2 / m.log(1 + e) if e else mpf(0)
W_SIN = lambda z: z / m.sinc(m.sqrt(z)) if z else mpf(0)
W_COS = lambda z: z * z / m.cos(m.sqrt(z))



def away(f):
    """f with its argument kept off 0, where closed forms are 0/0; the difference is of no account."""
    return lambda z: f(z if abs(z) > mpf("1e-22") else mpf("1e-22"))


def of_root(f):
    """A function of z = x**2 from one of x."""
    return away(lambda z: f(m.sqrt(z)))


def of_inverse(f):
    """A function of z = 1 / x**2 from one of x."""
    return away(lambda z: f(1 / m.sqrt(z)))


def erfcx(k):
    """(1 + 2x) e^(x^2) erfc x - 5/4 as a function of t = (x - k) / (x + k)."""

    def f(t):
        x = k * (1 + t) / (1 - t)
        return (1 + 2 * x) * m.exp(x * x) * m.erfc(x) - mpf("1.25")

    return f


def moved(k, x):
    """The t of `erfcx`."""
    return (mpf(x) - k) / (mpf(x) + k)


K64, K32 = mpf("3.75"), mpf("2.25")
ERF_P = of_root(lambda x: m.erf(x) / x - 1)
W_ERF = of_root(lambda x: x / m.erf(x))
ATAN_A = of_root(lambda t: (m.atan(t) / t - 1) / t ** 2)
W_ATAN = of_root(lambda t: t ** 3 / m.atan(t))
ASIN_P = of_root(lambda x: (m.asin(x) / x - 1) / x ** 2)
W_ASIN = of_root(lambda x: x ** 3 / m.asin(x))
SINH_P = of_root(lambda x: (m.sinh(x) / x - 1) / x ** 2)
W_SINH = of_root(lambda x: x ** 3 / m.sinh(x))
TANH_R = of_root(lambda x: (m.tanh(x) / x - 1) / x ** 2)
W_TANH = of_root(lambda x: x ** 3 / m.tanh(x))
SINPI_S = of_root(lambda r: (1 - m.sin(m.pi * r) / (m.pi * r)) / r ** 2)
W_SINPI = of_root(lambda r: m.pi * r ** 3 / m.sin(m.pi * r))
CBRT_R = lambda f: (1 + f) ** (-mpf(1) / 3)
W_CBRT = lambda f: (1 + f) ** (mpf(1) / 3)
LGAMMA_P = away(lambda y: m.loggamma(2 + y) / y)
W_LGAMMA = away(lambda y: y / m.loggamma(2 + y))
PSI_P = lambda y: m.digamma(2 + y)
W_ONE = lambda y: mpf(1)
# What follows the leading terms of the asymptotic series, and what each is multiplied by, relatively to the function.
STIRLING_S = of_inverse(lambda x: (m.loggamma(x) - (x - mpf("0.5")) * m.log(x) + x - m.log(2 * m.pi) / 2) * x)
W_STIRLING = of_inverse(lambda x: 1 / x / m.loggamma(x))
PSI_D = of_inverse(lambda x: (m.digamma(x) - m.log(x) + 1 / (2 * x)) * x ** 2)
W_PSI_D = of_inverse(lambda x: 1 / x ** 2 / m.digamma(x))
TRI_T = of_inverse(lambda x: (m.psi(1, x) - 1 / x - 1 / (2 * x ** 2)) * x ** 3)
W_TRI = of_inverse(lambda x: 1 / x ** 3 / m.psi(1, x))
TETRA_T = of_inverse(lambda x: (-m.psi(2, x) * x ** 2 - 1 - 1 / x) * x ** 2)
W_TETRA = of_inverse(lambda x: 1 / x ** 4 / -m.psi(2, x))
PENTA_T = of_inverse(lambda x: (m.psi(3, x) * x ** 3 - 2 - 3 / x) * x ** 2)
W_PENTA = of_inverse(lambda x: 1 / x ** 5 / m.psi(3, x))

TAIL = 1 / mpf("4.5") ** 2
TANH_END = mpf("0.75")
ATAN_Z = m.tan(m.pi / 8) ** 2 * mpf("1.0001")

# Numerator and denominator: so many coefficients, and so many after a 1.
RATIONALS = {
    # A little beyond 1, where the error changes its sign once more: ln 2 is to be right.
    "LOGUP64": (log_q, W_LOG_Q, 0, 1 + mpf(1) / 128, 6, 6, 53),
    "LOGUP32": (log_q, W_LOG_Q, 0, 1 + mpf(1) / 128, 4, 2, 24),
    "TANH64": (TANH_R, W_TANH, 0, TANH_END ** 2, 3, 3, 53),
    "TANH32": (TANH_R, W_TANH, 0, TANH_END ** 2, 2, 2, 24),
}

TABLES = {
    "EXP64": (exp_q, W_EXP, -R_MAX, R_MAX, 10, 53),
    "EXP32": (exp_q, W_EXP, -R_MAX, R_MAX, 6, 24),
    "EXPM1_64": (exp_q, W_EXPM1, -R_MAX, R_MAX, 11, 53),
    "EXPM1_32": (exp_q, W_EXPM1, -R_MAX, R_MAX, 6, 24),
    "LOG64": (atanh_l, W_ATANH, 0, Z_MAX, 7, 53),
    "LOG32": (log_p, W_LOG, SQRT_HALF - 1, SQRT_TWO - 1, 9, 24),
    "POWLOG64": (atanh_t, W_ATANH_T, 0, Z_MAX, 8, 53),
    "POWLOG32": (atanh_t, W_ATANH_T, 0, Z_MAX, 4, 24),
    "SIN64": (sin_s, W_SIN, 0, mpf("0.62"), 6, 53),
    "SIN32": (sin_s, W_SIN, 0, mpf("0.63"), 3, 24),
    "COS64": (cos_c, W_COS, 0, mpf("0.62"), 6, 53),
    "COS32": (cos_c, W_COS, 0, mpf("0.63"), 3, 24),
    "CBRT64": (CBRT_R, W_CBRT, SQRT_HALF - 1, SQRT_TWO - 1, 7, 53),
    "CBRT32": (CBRT_R, W_CBRT, SQRT_HALF - 1, SQRT_TWO - 1, 4, 24),
    "SINH64": (SINH_P, W_SINH, 0, 1, 7, 53),
    "SINH32": (SINH_P, W_SINH, 0, 1, 4, 24),
    "ATAN64": (ATAN_A, W_ATAN, 0, ATAN_Z, 11, 53),
    "ATAN32": (ATAN_A, W_ATAN, 0, ATAN_Z, 5, 24),
    "ASIN64": (ASIN_P, W_ASIN, 0, HALF ** 2, 13, 53),
    "ASIN32": (ASIN_P, W_ASIN, 0, HALF ** 2, 6, 24),
    "ERF64": (ERF_P, W_ERF, 0, 1, 12, 53),
    "ERF32": (ERF_P, W_ERF, 0, 1, 7, 24),
    "ERFCX32": (erfcx(K32), lambda t: 1 / (erfcx(K32)(t) + mpf("1.25")), moved(K32, HALF), moved(K32, "10.3"), 10, 24),
    "SINPI64": (SINPI_S, W_SINPI, 0, HALF ** 2, 8, 53),
    "SINPI32": (SINPI_S, W_SINPI, 0, HALF ** 2, 4, 24),
    "LGAMMA32": (LGAMMA_P, W_LGAMMA, -HALF, HALF, 9, 24),
    "STIRLING64": (STIRLING_S, W_STIRLING, 0, TAIL, 8, 53),
    "STIRLING32": (STIRLING_S, W_STIRLING, 0, TAIL, 3, 24),
    "PSI32": (PSI_P, W_ONE, -HALF, HALF, 9, 24),
    "PSI_TAIL64": (PSI_D, W_PSI_D, 0, TAIL, 9, 53),
    "PSI_TAIL32": (PSI_D, W_PSI_D, 0, TAIL, 3, 24),
    "TRI64": (TRI_T, W_TRI, 0, TAIL, 10, 53),
    "TRI32": (TRI_T, W_TRI, 0, TAIL, 3, 24),
    "TETRA64": (TETRA_T, W_TETRA, 0, TAIL, 11, 53),
    "TETRA32": (TETRA_T, W_TETRA, 0, TAIL, 4, 24),
    "PENTA64": (PENTA_T, W_PENTA, 0, TAIL, 11, 53),
    "PENTA32": (PENTA_T, W_PENTA, 0, TAIL, 4, 24),
    "LGAMMA64": (LGAMMA_P, W_LGAMMA, -HALF, HALF, 18, 53),
    "PSI64": (PSI_P, W_ONE, -HALF, HALF, 19, 53),
    "ERFCX64": (erfcx(K64), lambda t: 1 / (erfcx(K64)(t) + mpf("1.25")), moved(K64, HALF), moved(K64, "27.3"), 21, 53),
}


def literal(x, bits):
    s = repr(float(x))  # shortest that round-trips as f64; f32 values are exact in f64
    return s if ("." in s or "e" in s) else s + ".0"


def pieces(name, value, bits, count, down=False):
    out = []
    rest = mpf(value)
    for i in range(count):
        c = to_type(rest, bits)
        if down and i == 0 and c > rest:
            c -= m.ldexp(1, int(m.floor(m.log(c, 2))) - bits + 1)
        out.append(c)
        rest -= c
    print(f"{name} {bits}: " + ", ".join(literal(c, bits) for c in out))


def main():
    want = sys.argv[1:]
    for name, (g, w, a, b, n, bits) in TABLES.items():
        if want and name not in want:
            continue
        coef, worst = fit(g, w, a, b, n, bits)
        print(f"/// `tools/minimax.py {name}`: relative error 2^{float(m.log(worst, 2)):.1f}.")
        print(f"pub const {name}: [f64; {n}] = [")
        for c in coef:
            print(f"    {literal(c, bits)},")
        print("];", flush=True)
    for name, (g, w, a, b, n, k, bits) in RATIONALS.items():
        if want and name not in want:
            continue
        top, bottom, worst = rational(g, w, a, b, n, k, bits)
        print(f"/// `tools/minimax.py {name}`: relative error 2^{float(m.log(worst, 2)):.1f}.")
        for of, coef in (("TOP", top), ("BOTTOM", bottom)):
            print(f"const {name}_{of}: [f64; {len(coef)}] = [" + ", ".join(literal(c, bits) for c in coef) + "];", flush=True)
    if not want or "SPLITS" in want:
        for bits in (53, 24):
            pieces("ln2", m.log(2), bits, 3)
            pieces("pi/2", m.pi / 2, bits, 3, down=True)  # the second part positive: keeps zeros positive
            pieces("2/pi", 2 / m.pi, bits, 1)
            pieces("log2(e)", 1 / m.log(2), bits, 1)
            pieces("2/3", mpf(2) / 3, bits, 2)
            pieces("nearest pi/2", m.pi / 2, bits, 2)
            pieces("nearest log2(e)", 1 / m.log(2), bits, 2)
            pieces("log10(2)", m.log(2) / m.log(10), bits, 2)
            pieces("log10(e)", 1 / m.log(10), bits, 2)
            pieces("(ln(2 pi) - 1) / 2", (m.log(2 * m.pi) - 1) / 2, bits, 1)
            mant = bits - 1
            root = to_type(SQRT_HALF, bits)
            raw = struct.unpack("<Q", struct.pack("<d", float(root)))[0] if bits == 53 else struct.unpack("<I", struct.pack("<f", float(root)))[0]
            print(f"bits of sqrt(1/2) {bits}: {raw:#x}")
    if not want or "TWO_OVER_PI" in want:
        # 2/pi as a fixed-point fraction, 64 bits a word, most significant first.
        mp.prec = 1500
        words = 20
        v = int(m.floor(m.ldexp(2 / m.pi, 64 * words)))
        for i in range(words):
            print(f"    {(v >> (64 * (words - 1 - i))) & (2**64 - 1):#018x},")


if __name__ == "__main__":
    main()
