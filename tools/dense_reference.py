#!/usr/bin/env python3
"""Makes tests/tables/dense.txt: log-determinants, Cholesky factors, solves, quadratic forms and inverses of symmetric positive definite matrices,
with their derivatives along a direction, in 60 digits (mpmath), rounded to 17.

The matrices are made of numbers that Python and Rust compute to the same bits (`entry`), so the table holds sums of results with weights, not matrices.
Derivatives are by forward formulas (dL = L phi(L^-1 dA L^-T)), so they share nothing with the reverse ones they are held against.

    python3 tools/dense_reference.py > tests/tables/dense.txt
"""
import mpmath as mp

mp.mp.dps = 60


def number(i, j, salt):
    return ((i * 7919 + j * 104729 + 13 * i * j + salt * 611953) % 1009) / 1009 - 0.5


def entry(kind, n, i, j):
    """Entry (i, j) of the matrix, the same double in Rust."""
    a, b = max(i, j), min(i, j)
    well = number(a, b, 1) + (float(n) if i == j else 0.0)
    return well if kind == "well" else 1000.0 + well * 2.0**-20


def lower_inverse(l, n):
    inv = [[mp.mpf(0)] * n for _ in range(n)]
    for j in range(n):
        inv[j][j] = 1 / l[j][j]
        for i in range(j + 1, n):
            inv[i][j] = -mp.fdot(l[i][j:i], [inv[k][j] for k in range(j, i)]) / l[i][i]
    return inv


def case(kind, n):
    a = [[mp.mpf(entry(kind, n, i, j)) for j in range(n)] for i in range(n)]
    e = [[mp.mpf(number(max(i, j), min(i, j), 2)) for j in range(n)] for i in range(n)]
    w = [[mp.mpf(number(i, j, 3)) for j in range(n)] for i in range(n)]
    b = [mp.mpf(number(i, 5, 4)) for i in range(n)]
    c = [mp.mpf(number(i, 7, 5)) for i in range(n)]
    l = [[mp.mpf(0)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = a[i][j] - mp.fdot(l[i][:j], l[j][:j])
            l[i][j] = mp.sqrt(rest) if i == j else rest / l[j][j]
    inv = lower_inverse(l, n)  # L^-1
    columns = [[inv[i][j] for i in range(n)] for j in range(n)]  # its columns
    # M = L^-1 E L^-T, lower triangle; phi halves the diagonal; dL = L phi(M).
    le = [[mp.fdot(inv[i][: i + 1], [e[k][j] for k in range(i + 1)]) for j in range(n)] for i in range(n)]
    m = [[mp.fdot(le[i][: j + 1], inv[j][: j + 1]) for j in range(i + 1)] for i in range(n)]
    phi = [[m[i][j] / 2 if i == j else m[i][j] for j in range(i + 1)] for i in range(n)]
    dl = [[mp.fdot([l[i][k] for k in range(j, i + 1)], [phi[k][j] for k in range(j, i + 1)]) for j in range(i + 1)] for i in range(n)]
    x = [mp.fdot(inv[i][: i + 1], b[: i + 1]) for i in range(n)]  # L^-1 b
    dlx = [mp.fdot(dl[i], x[: i + 1]) for i in range(n)]
    dx = [-mp.fdot(inv[i][: i + 1], dlx[: i + 1]) for i in range(n)]
    s = [mp.fdot([columns[i][k] for k in range(i, n)], x[i:]) for i in range(n)]  # A^-1 b
    es = [mp.fdot(e[i], s) for i in range(n)]
    ai = [[mp.fdot(columns[i][max(i, j):], columns[j][max(i, j):]) for j in range(n)] for i in range(n)]
    ea = [[mp.fdot(e[i], ai[j]) for j in range(n)] for i in range(n)]  # E A^-1
    flat = lambda r, t: mp.fsum(mp.fdot(r[i][: len(t[i])], t[i]) for i in range(n))
    results = {
        "log_det": (2 * mp.fsum(mp.log(l[i][i]) for i in range(n)), mp.fsum(mp.fdot(ai[i], e[i]) for i in range(n))),
        "cholesky": (flat(w, [l[i][: i + 1] for i in range(n)]), flat(w, dl)),
        "solve": (mp.fdot(c, x), mp.fdot(c, dx)),
        "quadratic": (mp.fdot(b, s), -mp.fdot(s, es)),
    }
    # A^-1 E A^-1 entry by entry.
    aea = [[mp.fdot(ai[i], [ea[k][j] for k in range(n)]) for j in range(n)] for i in range(n)]
    results["inverse"] = (flat(w, ai), -flat(w, aea))
    for name, (value, slope) in results.items():
        print(kind, n, name, mp.nstr(value, 17), mp.nstr(slope, 17), flush=True)


print("# tools/dense_reference.py: kind of matrix, rows, what, its value, its derivative along the direction")
for n in (3, 65, 100, 200):
    for kind in ("well", "ill"):
        case(kind, n)
