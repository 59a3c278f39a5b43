#!/usr/bin/env python3
"""Makes src/kernel/math/reference.txt: arguments and true values of every math recipe, computed with mpmath.

    python3 tools/reference.py > src/kernel/math/reference.txt
    python3 tools/reference.py check < LINES     errors at lines of: name type x y got (the numbers as bit patterns)

A line holds the bit pattern of x (and of y for pow, atan2, logaddexp), of the value rounded to the type, and of an f32: what that rounding left
out, in ulps of the rounded value. Hard arguments that searches have found are in tools/hard.txt.
"""
import math
import os
import random
import struct
import sys
import mpmath as m
from mpmath import mp, mpf

mp.prec = 200
INF, NAN = float("inf"), float("nan")
NAMES = ["exp", "exp_m1", "sigmoid", "softplus", "tanh", "ln", "ln_1p", "sin", "cos", "pow"]
FIRST = len(NAMES)
NAMES += ["erf", "erfc", "ln_gamma", "digamma", "trigamma", "tetragamma", "pentagamma", "tan", "atan", "asin", "acos", "atan2"]
NAMES += ["sinh", "cosh", "exp2", "log2", "log10", "cbrt", "logaddexp", "log_sigmoid"]
BINARY = ("pow", "atan2", "logaddexp")
GAMMA = ("digamma", "trigamma", "tetragamma", "pentagamma")


class Type:
    def __init__(self, name, pack, ipack, bits, emin, emax):
        self.name, self.pack, self.ipack = name, pack, ipack
        self.bits, self.emin, self.emax = bits, emin, emax
        self.digits = struct.calcsize(ipack) * 2

    def hex(self, x):
        return format(struct.unpack(self.ipack, struct.pack(self.pack, x))[0], f"0{self.digits}x")

    def unhex(self, s):
        return struct.unpack(self.pack, struct.pack(self.ipack, int(s, 16)))[0]

    def cut(self, x):
        """A Python float rounded to the type."""
        try:
            return struct.unpack(self.pack, struct.pack(self.pack, x))[0]
        except OverflowError:
            return INF if x > 0 else -INF

    def ulp(self, x):
        e = self.emin if x == 0 else max(m.frexp(x)[1] - 1, self.emin)
        return m.ldexp(mpf(1), min(e, self.emax - 1) - self.bits + 1)


TYPES = {
    "f64": Type("f64", "<d", "<Q", 53, -1022, 1024),
    "f32": Type("f32", "<f", "<I", 24, -126, 128),
}


def true(name, x, y):
    """The value at exact floats: a special float, or an mpf (which has no signed zero: zeros are floats here)."""
    if name == "pow":
        return true_pow(x, y)
    if name in NAMES[FIRST:] and name != "tan":
        return true_later(name, x, y)
    if x != x:
        return NAN
    if x == 0 and name in ("exp_m1", "tanh", "ln_1p", "sin", "tan"):
        return x
    if x in (INF, -INF):
        plus = x > 0
        return {
            "exp": INF if plus else 0.0, "exp_m1": INF if plus else mpf(-1), "sigmoid": mpf(1) if plus else 0.0,
            "softplus": INF if plus else 0.0, "tanh": mpf(1) if plus else mpf(-1), "ln": INF if plus else NAN,
            "ln_1p": INF if plus else NAN, "sin": NAN, "cos": NAN, "tan": NAN,
        }[name]
    v = mpf(x)
    if name in ("exp", "exp_m1", "sigmoid", "softplus") and abs(x) > 2000:
        if x < 0:
            return mpf(-1) if name == "exp_m1" else 0.0
        return {"exp": INF, "exp_m1": INF, "sigmoid": mpf(1), "softplus": v}[name]
    if name == "exp":
        return m.exp(v)
    if name == "exp_m1":
        return m.expm1(v)
    if name == "sigmoid":
        return 1 / (1 + m.exp(-v))
    if name == "softplus":
        return (v if x > 0 else 0) + m.log1p(m.exp(-abs(v)))
    if name == "tanh":
        return m.tanh(v) if abs(x) < 2000 else mpf(1 if x > 0 else -1)
    if name == "ln":
        return -INF if x == 0 else NAN if x < 0 else m.log(v)
    if name == "ln_1p":
        return -INF if x == -1 else NAN if x < -1 else m.log1p(v)
    old = mp.prec
    mp.prec = 1500  # room for the range reduction of the largest arguments
    r = {"sin": m.sin, "cos": m.cos, "tan": m.tan}[name](mpf(x))
    mp.prec = old
    return +r


def true_pow(x, y):
    if y == 0 or x == 1:
        return mpf(1)
    if x != x or y != y:
        return NAN
    whole = y in (INF, -INF) or y == int(y)
    odd = whole and y not in (INF, -INF) and int(y) % 2 == 1
    minus = m.sign(x) < 0 or (x == 0 and str(x)[0] == "-")
    sign = -1.0 if minus and odd else 1.0
    if x == 0:
        return sign * (INF if y < 0 else 0.0)
    if x in (INF, -INF):
        return sign * (INF if y > 0 else 0.0)
    if x == -1 and y in (INF, -INF):
        return mpf(1)
    if y in (INF, -INF):
        return INF if (abs(x) > 1) == (y > 0) else 0.0
    if x < 0 and not whole:
        return NAN
    e = mpf(y) * m.log(abs(mpf(x)))
    if abs(e) > 2000:
        return sign * (INF if e > 0 else 0.0)
    return mpf(sign) * m.exp(e)


def true_later(name, x, y):
    """The functions after the first ten."""
    if x != x or (name in BINARY and y != y):
        return NAN
    v = mpf(x)
    endless = x in (INF, -INF)
    if name == "atan2":
        if x == 0 or endless or y in (0, INF, -INF):
            plain = math.atan2(x, y)
            eighths = round(plain / (math.pi / 4))
            return eighths * m.pi / 4 if eighths else plain
        return m.atan2(v, mpf(y))
    if name == "logaddexp":
        if max(x, y) in (INF, -INF):
            return max(x, y)
        gap = abs(v - mpf(y))
        return mpf(max(x, y)) + (m.log1p(m.exp(-gap)) if gap < 2000 else m.mpf(2) ** -2000)
    if x == 0 and name in ("erf", "atan", "asin", "sinh", "cbrt"):
        return x
    if name == "ln_gamma" or name in GAMMA:
        return true_gamma(name, x, v)
    if name == "erf":
        return m.erf(v) if abs(x) < 20 else mpf(1 if x > 0 else -1)
    if name == "erfc":
        return m.erfc(v) if -20 < x < 100 else mpf(2) if x < 0 else 0.0
    if name == "atan":
        return m.atan(v)
    if name in ("asin", "acos"):
        return NAN if abs(x) > 1 else getattr(m, name)(v)
    if name in ("sinh", "cosh"):
        return getattr(m, name)(v) if abs(x) < 2000 else INF if name == "cosh" else INF if x > 0 else -INF
    if name == "exp2":
        return mpf(2) ** v if abs(x) < 2000 else INF if x > 0 else 0.0
    if name in ("log2", "log10"):
        if x <= 0 or endless:
            return -INF if x == 0 else NAN if x < 0 else INF
        return m.log(v) / m.log(2 if name == "log2" else 10)
    if name == "cbrt":
        return x if endless else m.sign(v) * m.cbrt(abs(v))
    assert name == "log_sigmoid"
    return (-0.0 if x > 0 else v if not endless else -INF) if abs(x) > 2000 else -m.log1p(m.exp(-v))


def true_gamma(name, x, v):
    """ln |gamma| and its derivatives: by reflection for negative x; NaN (or inf, ln_gamma) at the poles."""
    if x == INF:
        return {"ln_gamma": INF, "digamma": INF, "tetragamma": -0.0}.get(name, 0.0)
    if x <= 0 and (x == -INF or x == int(x)):
        return INF if name == "ln_gamma" else NAN
    old = mp.prec
    mp.prec = 400
    if name == "ln_gamma":
        r = m.loggamma(v) if x > 0 else m.log(m.pi / abs(m.sinpi(v))) - m.loggamma(1 - v)
    else:
        n = GAMMA.index(name)
        right = polygamma(n, v if x > 0 else 1 - v)
        if x < 0:
            s, c = m.sinpi(v) / m.pi, m.cospi(v)
            right = (right - c / s, 1 / s ** 2 - right, right - 2 * c / s ** 3, 2 * (1 + 2 * c * c) / s ** 4 - right)[n]
        r = right
    mp.prec = old
    return +r


def polygamma(n, v):
    """Of positive v: far out and near 0 by the leading terms, where mpmath is slow."""
    if v > mpf("1e40"):
        return m.log(v) if n == 0 else (-1) ** (n + 1) * (m.factorial(n - 1) / v ** n + m.factorial(n) / (2 * v ** (n + 1)))
    if v < mpf("1e-40"):
        return (-1) ** (n + 1) * m.factorial(n) / v ** (n + 1) + m.psi(n, 1)
    return m.psi(n, v)


def unit(name, x, y):
    """The magnitude below which errors are counted in ulps of it (the same as in tests.rs and main.rs)."""
    size = abs(x)
    if name == "ln_gamma":
        return 0.25 if x > 0 else 1 + size * math.log1p(size)
    if name == "digamma":
        return 0.125 if x > 0 else 1 + math.log1p(size)
    if name == "tetragamma" and x < 0:
        return 1.0
    if name == "logaddexp" and -INF < max(x, y) < 0:
        return math.log1p(math.exp(-abs(x - y)))
    return 0.0


def rounded(t, v):
    """v to the nearest number of the type, ties to even, and what is left in ulps."""
    if isinstance(v, float):
        return v, 0.0
    u = t.ulp(v)
    q = v / u
    n = int(m.floor(q))
    rest = q - n
    if rest > mpf("0.5") or (rest == mpf("0.5") and n % 2):
        n += 1
    w = n * u
    if abs(w) >= m.ldexp(1, t.emax):
        return (INF if v > 0 else -INF), 0.0
    f = float(w)
    if f == 0 and v < 0:
        f = -0.0
    return f, float((v - w) / t.ulp(mpf(f) if f else v))


def error(t, got, v, least=0.0):
    """|got - v| in ulps of v (or of `least`, if that is more); infinite for a wrong NaN or sign."""
    if v != v or got != got:
        return 0.0 if v != v and got != got else INF
    minus = m.sign(v) < 0 or str(v)[0] == "-"
    if minus != (str(got)[0] == "-") and not (least and abs(v) < least):
        return INF
    top = m.ldexp(1, t.emax)
    clip = lambda z: top if z > top or z == INF else -top if z < -top or z == -INF else mpf(z)
    w = clip(v)
    scale = t.ulp(max(abs(w), least)) if least and least < INF else t.ulp(w)
    return float(abs(clip(got) - w) / scale)


def near_multiples(t, exponents):
    """For each exponent the number nearest to a multiple of pi/2, relatively: by the continued fraction of 2**k * 2/pi."""
    old = mp.prec
    mp.prec = 1600
    out = []
    for k in exponents:
        alpha = m.ldexp(2 / m.pi, k)
        x = alpha - m.floor(alpha)
        q0, q1, best = 0, 1, None
        while q1 < 2**t.bits:
            if q1 >= 2 ** (t.bits - 1):
                best = q1
            x = 1 / x
            a = int(m.floor(x))
            x -= a
            # Intermediate fractions count too, the last that fits most.
            fit = min(a, (2**t.bits - 1 - q0) // q1)
            if q0 + fit * q1 >= 2 ** (t.bits - 1) and best is None:
                best = q0 + fit * q1
            q0, q1 = q1, q0 + a * q1
        if best is None:
            best = q0 * (2 ** (t.bits - 1) // q0 + 1)
        if best < 2**t.bits:
            out.append(float(m.ldexp(best, k)))
    mp.prec = old
    return out


def points(name, t, rng):
    """Edges, then hard arguments, then random ones: about 400."""
    big = t.name == "f64"
    tiny = 5e-324 if big else 1.401298464324817e-45
    small = 2.2250738585072014e-308 if big else 1.1754943508222875e-38
    top = 1.7976931348623157e308 if big else 3.4028234663852886e38
    edge = [0.0, 1.0, 2.0, 0.5, tiny, 3 * tiny, small, small - tiny, top, INF, 1e-10, 1e-5, 1000.0, 800.0, 700.0, 0.1, 3.0, 10.0]
    edge += [709.0, 709.78, 710.0, 745.0, 745.2, 708.4, 744.44] if big else [88.0, 88.72, 88.73, 89.0, 103.0, 103.9, 104.1, 87.3]
    edge = [s * e for e in edge for s in (1.0, -1.0)] + [NAN]
    any_ = lambda: t.unhex(format(rng.getrandbits(t.digits * 4), "x"))
    exp2 = lambda a, b: rng.choice((1, -1)) * 2.0 ** rng.uniform(a, b)
    low, high = (-746, 710) if big else (-104.5, 89)
    out = []
    if name == "pow":
        few = [0.0, 1.0, 2.0, 3.0, 0.5, INF, 2.5, tiny, top]
        few = [s * e for e in few for s in (1.0, -1.0)] + [NAN]
        out = [(x, y) for x in few for y in few][::2] if big else [(x, y) for x in few for y in few][1::2]
        out += [(-2.0, 2.0**53 - 1), (-2.0, 2.0**53), (-1.0, 2.0**53 - 1), (-1.0, 2.0**24 - 1), (10.0, 22.0), (10.0, -5.0), (2.0, low), (2.0, 1023.0)]
        while len(out) < 400:
            x = rng.choice((lambda: abs(any_()), lambda: rng.uniform(0, 2), lambda: rng.uniform(0.7, 1.42), lambda: 1 + exp2(1 - t.bits, -2)))()
            x = t.cut(x)
            if x != x or x in (0.0, 1.0, INF):
                continue
            ln = float(m.log(x))
            y = rng.choice((lambda: rng.uniform(low, high) / ln, lambda: rng.uniform(low, high) / ln, lambda: rng.uniform(-1, 1) / ln, lambda: float(rng.randint(-30, 30)), lambda: rng.uniform(-3, 3)))()
            if y == int(y):
                x *= rng.choice((1, -1))
            out.append((x, y))
    else:
        draw = {
            "ln": (lambda: abs(any_()), lambda: rng.uniform(0.5, 2), lambda: rng.uniform(0.7, 1.42), lambda: 1 + exp2(-40, -1), lambda: rng.uniform(0, tiny * 2**30)),
            "ln_1p": (lambda: abs(any_()), lambda: rng.uniform(-1, 2), lambda: rng.uniform(-0.5, 0.5), lambda: exp2(-60, 0), lambda: exp2(-3, 1)),
            "sin": (any_, lambda: rng.uniform(-0.8, 0.8), lambda: rng.uniform(-10, 10), lambda: exp2(0, 42), lambda: round(2 ** rng.uniform(0, 40)) * 1.5707963267948966),
        }
        draw["cos"] = draw["sin"]
        rest = (any_, lambda: rng.uniform(low, high), lambda: rng.uniform(-45, 45), lambda: rng.uniform(-2, 2), lambda: exp2(-40, 2))
        if name in ("sin", "cos"):
            edge += [262144.0, 262145.0, 2.0**40, 2.0**40 + 1, 5.319372648326541e255, 16367173.0 * 2.0**72, 6381956970095103.0 * 2.0**797, 3.141592653589793, 1.5707963267948966, 0.7853981633974483]
            edge += near_multiples(t, range(1 - t.bits, 42 - t.bits) if big else range(1 - t.bits, 21 - t.bits))
            edge += near_multiples(t, range(42 - t.bits, t.emax - t.bits, 40 if big else 8))
        out = [(x, 0.0) for x in edge]
        while len(out) < 400:
            out.append((rng.choice(draw.get(name, rest))(), 0.0))
    return [(t.cut(x), t.cut(y)) for x, y in out]


def later_points(name, t, rng):
    """The same for the functions after the first ten: about 255, to keep the file small."""
    big = t.name == "f64"
    tiny = 5e-324 if big else 1.401298464324817e-45
    small = 2.2250738585072014e-308 if big else 1.1754943508222875e-38
    top = 1.7976931348623157e308 if big else 3.4028234663852886e38
    low, high = (-746, 710) if big else (-104.5, 89)
    count = 255
    any_ = lambda: t.unhex(format(rng.getrandbits(t.digits * 4), "x"))
    sign = lambda: rng.choice((1, -1))
    e = lambda a, b: 2.0 ** rng.uniform(a, b)
    u = rng.uniform
    if name in BINARY:
        few = [0.0, 1.0, INF, 2.5, tiny, top]
        few = [s * f for f in few for s in (1.0, -1.0)] + [NAN]
        out = [(x, y) for x in few for y in few][0 if big else 1 :: 2]
        if name == "atan2":
            x = lambda: sign() * e(-1074, 1000) if big else sign() * e(-149, 120)
            draw = (
                lambda: (any_(), any_()), lambda: (u(-3, 3), u(-3, 3)), lambda: (lambda w: (w * u(-3, 3), w))(x()),
                lambda: (lambda w: (w * sign(), w * (1 + e(2 - t.bits, -4))))(x()), lambda: (lambda w: (w * sign() * e(-60, 20), w))(x()),
                lambda: (lambda w: (w * 0.41421356237309503 * u(0.99, 1.01), w))(x()), lambda: (lambda w: (w * 2.414213562373095 * u(0.99, 1.01), w))(x()),
            )
        else:
            x = lambda: rng.choice((lambda: u(-3, 3), lambda: sign() * e(-30, 10), lambda: u(low, high), any_))()
            draw = (
                lambda: (lambda w: (w, w + u(low, high) * 0.1))(x()), lambda: (lambda w: (w, w + sign() * e(-20, 4)))(x()),
                lambda: (x(), u(-3, 3)), lambda: (lambda w: (w, w))(x()),
            )
        while len(out) < count:
            out.append(rng.choice(draw)())
        return [(t.cut(x), t.cut(y)) for x, y in out]
    edge = [0.0, 1.0, 2.0, 0.5, 3.0, 1.5, 10.0, tiny, 3 * tiny, small, small - tiny, top, INF, 1e-10, 1000.0, 1 / 3]
    whole = 2.0 ** (t.bits - 1)
    gamma = ([4.5, 2.5, 3.5, 1.4616321449683622, whole, whole / 2 + 0.5, whole / 8, 170.6, 1e30, 1e-30], (
        lambda: u(0, 3), lambda: u(0, 12), lambda: u(-12, 0), lambda: round(u(-20, 6)) + sign() * e(-40, -1), lambda: abs(any_()), lambda: e(-40, 40)))
    extra, draw = {
        "erf": ([0.8, 6.0, 5.9, 3.9, 4.0], (lambda: u(-1.1, 1.1), lambda: u(-7, 7), lambda: u(0.7, 0.9), lambda: sign() * e(-40, 0))),
        "erfc": ([26.5, 27.2, 27.3, 9.1, 10.0, 10.05, 10.3], (lambda: u(-1, 1), lambda: u(-7, 7), lambda: u(0.4, 0.6), lambda: u(0, 27.3 if big else 10.3), lambda: u(26.5, 27.3) if big else u(9, 10.1))),
        "ln_gamma": gamma, "digamma": gamma, "trigamma": gamma, "tetragamma": gamma, "pentagamma": gamma,
        "tan": ([262144.0, 262145.0, 2.0**40, 2.0**40 + 1, 5.319372648326541e255, 16367173.0 * 2.0**72, 6381956970095103.0 * 2.0**797, 3.141592653589793, 1.5707963267948966, 0.7853981633974483]
                + near_multiples(t, range(42 - t.bits if big else 20 - t.bits, t.emax - t.bits, 40 if big else 8)) + near_multiples(t, range(1 - t.bits, 42 - t.bits if big else 20 - t.bits, 2)),
                (any_, lambda: u(-0.8, 0.8), lambda: u(-10, 10), lambda: sign() * e(0, 42), lambda: round(e(0, 40)) * 1.5707963267948966)),
        "atan": ([0.41421356237309503, 2.414213562373095, 1e20, 1e12], (lambda: u(-0.45, 0.45), lambda: u(0.4, 2.5), lambda: sign() * e(-5, 70), lambda: u(-4, 4), any_)),
        "asin": ([1 - 2.0**-t.bits], (lambda: u(0.45, 0.55), lambda: sign() * (1 - e(1 - t.bits, 0)), lambda: u(-1, 1), lambda: sign() * e(-30, 0))),
        "sinh": ([710.4758600739439, 710.47586007394395, 709.79, 89.4159, 89.41598, 89.4160], (lambda: u(-1.1, 1.1), lambda: u(-4, 4), lambda: u(-40, 40), lambda: u(-high - 1, high + 1), lambda: sign() * e(-30, 1))),
        "exp2": ([1023.9999999999999, 1024.0, -1022.5, -1074.0, -1075.0, -1074.9, 127.99999, 128.0, -126.5, -149.0, -150.0, -149.9], (lambda: u(-1, 1), lambda: u(-20, 20), lambda: u(-1080, 1024) if big else u(-151, 128), lambda: u(-1075, -1020) if big else u(-150, -126), lambda: float(rng.randint(-100, 100)))),
        "log2": ([10.0**k for k in range(2, 23, 3)], (lambda: abs(any_()), lambda: u(0.5, 2), lambda: u(0.7, 1.42), lambda: 1 + sign() * e(-40, -1), lambda: u(0, tiny * 2**30))),
        "cbrt": ([27.0, 1e300, 1e-300, 1e18], (any_, any_, lambda: u(-10, 10), lambda: float(rng.randint(1, 200) ** 3), lambda: u(0, tiny * 2**30))),
        "log_sigmoid": ([], (lambda: u(low, high), lambda: u(-45, 45), lambda: u(-4, 4), lambda: sign() * e(-40, 2))),
    }[{"acos": "asin", "cosh": "sinh", "log10": "log2"}.get(name, name)]
    out = [(s * x, 0.0) for x in edge + extra for s in (1.0, -1.0)] + [(NAN, 0.0)]
    while len(out) < count:
        out.append((rng.choice(draw)(), 0.0))
    return [(t.cut(x), t.cut(y)) for x, y in out]


def hard():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hard.txt")
    if os.path.exists(path):
        for line in open(path):
            yield line.split()


def generate():
    print("# Made by tools/reference.py: x [y] nearest-value rest-in-ulps(f32)")
    extra = list(hard())
    for name in NAMES:
        for t in TYPES.values():
            rng = random.Random(f"{name} {t.name}")
            print(f"{name} {t.name}")
            pts = [(t.unhex(f[2]), t.unhex(f[3])) for f in extra if f[:2] == [name, t.name]]
            for x, y in pts + (points if name in NAMES[:FIRST] else later_points)(name, t, rng):
                value, rest = rounded(t, true(name, x, y))
                args = t.hex(x) + (" " + t.hex(y) if name in BINARY else "")
                print(args, t.hex(value), format(struct.unpack("<I", struct.pack("<f", rest))[0], "x"))


def check():
    worst = {}
    for line in sys.stdin:
        name, type_, x, y, got = line.split()
        t = TYPES[type_]
        x, y, got = t.unhex(x), t.unhex(y), t.unhex(got)
        e = error(t, got, true(name, x, y), unit(name, x, y))
        n, w = worst.get((name, type_), (0, (-1.0,)))
        worst[name, type_] = n + 1, max(w, (e, x, y, got), key=lambda q: q[0])
    for (name, type_), (n, w) in worst.items():
        print(f"{name:9} {type_} {n} points, worst {w[0]:.4f} at {w[1]!r} {w[2]!r} got {w[3]!r}")


if __name__ == "__main__":
    check() if "check" in sys.argv else generate()
