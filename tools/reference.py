#!/usr/bin/env python3
"""Makes src/kernel/math/reference.txt: arguments and true values of every math recipe, computed with mpmath.

    python3 tools/reference.py > src/kernel/math/reference.txt

A line holds the bit pattern of x (and of y for pow), of the value rounded to the type, and of an f32: what that rounding left
out, in ulps of the rounded value. Hard arguments that searches have found are in tools/hard.txt.
"""
import os
import random
import struct
import mpmath as m
from mpmath import mp, mpf

mp.prec = 200
INF, NAN = float("inf"), float("nan")
NAMES = ["exp", "exp_m1", "sigmoid", "softplus", "tanh", "ln", "ln_1p", "sin", "cos", "pow"]


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
    if x != x:
        return NAN
    if x == 0 and name in ("exp_m1", "tanh", "ln_1p", "sin"):
        return x
    if x in (INF, -INF):
        plus = x > 0
        return {
            "exp": INF if plus else 0.0, "exp_m1": INF if plus else mpf(-1), "sigmoid": mpf(1) if plus else 0.0,
            "softplus": INF if plus else 0.0, "tanh": mpf(1) if plus else mpf(-1), "ln": INF if plus else NAN,
            "ln_1p": INF if plus else NAN, "sin": NAN, "cos": NAN,
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
    r = m.sin(mpf(x)) if name == "sin" else m.cos(mpf(x))
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
            for x, y in pts + points(name, t, rng):
                value, rest = rounded(t, true(name, x, y))
                args = t.hex(x) + (" " + t.hex(y) if name == "pow" else "")
                print(args, t.hex(value), format(struct.unpack("<I", struct.pack("<f", rest))[0], "x"))


if __name__ == "__main__":
    generate()
