#!/usr/bin/env python3
"""Prints the numbers in tests/language/losses.rs: Kullback-Leibler divergences by quadrature and summation, losses of single samples, by mpmath."""
from mpmath import mp, mpf
import mpmath as m

mp.dps = 40


def kl(p, q, points):
    return m.quad(lambda x: m.exp(p(x)) * (p(x) - q(x)), points)


normal = lambda l, s: lambda x: -(((x - l) / s) ** 2) / 2 - m.log(s) - m.log(2 * m.pi) / 2
expo = lambda r: lambda x: m.log(r) - r * x
laplace = lambda l, s: lambda x: -abs(x - l) / s - m.log(2 * s)
gamma = lambda a, b: lambda x: a * m.log(b) - m.loggamma(a) + (a - 1) * m.log(x) - b * x
poisson = lambda r: lambda y: y * m.log(r) - r - m.loggamma(y + 1)
show = lambda name, x: print(f"{name:24} {m.nstr(x, 20)}")
half = mpf(1) / 2

line = [-60, -20, -5, -1, 0, 1, 2, 5, 20, 60]
show("normal", kl(normal(1, 2), normal(-half, 3), line))
show("laplace", kl(laplace(1, 2), laplace(-half, 3), [-200, -50, -10, -half, 1, 10, 50, 200]))
show("exponential", kl(expo(2), expo(half), [0, 1, 5, 20, 60]))
show("gamma", kl(gamma(3, 2), gamma(half, 5), [0, half, 1, 3, 10, 30, 60]))
show("poisson", m.nsum(lambda y: m.exp(poisson(3)(y)) * (poisson(3)(y) - poisson(5)(y)), [0, m.inf]))
show("bernoulli", m.mpf(3) / 10 * m.log(m.mpf(3) / 2) + m.mpf(7) / 10 * m.log(m.mpf(7) / 8))
# Two dimensions: covariances L L^T with L = [[1, 0], [0.5, 2]] and [[2, 0], [-1, 1.5]], means (0, 1) and (1, -1).
P = m.matrix([[1, half], [half, mpf(17) / 4]])
Q = m.matrix([[4, -2], [-2, mpf(13) / 4]])
d = m.matrix([1, -2])
trace = sum((Q**-1 * P)[k, k] for k in range(2))
show("multivariate_normal", (trace - 2 + (d.T * Q**-1 * d)[0] + m.log(m.det(Q) / m.det(P))) / 2)
show("isotropic", (2 * mpf("0.25") / 4 - 2 + (d.T * d)[0] / 4 + 4 * m.log(mpf(2) / half)) / 2)
show("kl vectors", sum(p * m.log(p / q) for p, q in ((mpf(1) / 2, mpf(1) / 4), (mpf(1) / 4, mpf(1) / 4), (mpf(1) / 4, mpf(1) / 2))))
soft = lambda v: [m.exp(x) / sum(m.exp(y) for y in v) for x in v]
p, q = soft([1, 2, -3]), soft([0, half, 4])
show("kl_logits", sum(a * m.log(a / b) for a, b in zip(p, q)))
show("soft_cross_entropy", -sum(t * m.log(b) for t, b in zip((mpf(1) / 5, mpf(1) / 2, mpf(3) / 10), q)))
for z in (-745, -40, 0, mpf("1.5"), 40, 800):
    show(f"softplus({z})", m.log1p(m.exp(z)))
show("soft_log_loss", mpf("0.3") * m.log1p(m.exp(-mpf("1.5"))) + mpf("0.7") * m.log1p(m.exp(mpf("1.5"))))
