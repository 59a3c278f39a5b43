"""True values of log-sum-exp over samples and its first two derivatives, by mpmath (60 digits).

    python3 tools/log_sums_reference.py > tests/tables/log_sums.txt

Sample i is x_i = ((i * p) % q - r) * 2^k, or i's own size for p = 0: numbers that every language makes exactly. Each line: n p q r k a and then of
f(a) = ln(sum(exp(a x_i))) the value, the first and the second derivative (the mean and the variance of x under weights exp(a x_i)).
"""

from mpmath import exp, log, mp, mpf, nstr

mp.dps = 60

CASES = [
    # (p, q, r, k, a): spread over +-1000 and mixed
    (7919, 2003, 1001, 0, 1.0),
    (7919, 2003, 1001, 0, -0.75),
    # all near 1000, all near -1000: naive sums overflow and vanish
    (13, 16, -8000, -3, 1.0),
    (13, 16, 8000, -3, 1.0),
    # small exponents: the plain case
    (7, 64, 32, -5, 0.5),
    # ascending and descending: every leaf has another largest exponent
    (1, 1 << 20, 512, -4, 1.0),
    (1, 1 << 20, 512, -4, -1.0),
    # nearly equal terms: the value is ln n and the rest is small
    (5, 8, 4, -40, 1.0),
]
LENGTHS = [1, 2, 7, 4095, 4096, 4097, 10007, 20001]


def main():
    print("# n p q r k a value slope curvature: tools/log_sums_reference.py")
    for p, q, r, k, a in CASES:
        for n in LENGTHS:
            x = [mpf((i * p) % q - r) * mpf(2) ** k for i in range(n)]
            top = max(mpf(a) * v for v in x)
            w = [exp(mpf(a) * v - top) for v in x]
            s = sum(w)
            mean = sum(wi * v for wi, v in zip(w, x)) / s
            var = sum(wi * (v - mean) ** 2 for wi, v in zip(w, x)) / s
            print(n, p, q, r, k, a, nstr(top + log(s), 20), nstr(mean, 20), nstr(var, 20))


main()
