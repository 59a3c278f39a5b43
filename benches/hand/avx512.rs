//! The loops. Lengths are multiples of 32: so are the benchmark's.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

#[target_feature(enable = "avx512f,avx512dq,fma")]
fn c(x: f64) -> __m512d {
    _mm512_set1_pd(x)
}

#[target_feature(enable = "avx512f,avx512dq,fma")]
fn load(x: &[f64], at: usize) -> __m512d {
    debug_assert!(at + 8 <= x.len());
    // SAFETY: the loops stop before the end of the columns.
    unsafe { _mm512_loadu_pd(x.as_ptr().add(at)) }
}

/// `e^x`: the parts that `ln_1p` and others take, too.
#[target_feature(enable = "avx512f,avx512dq,fma")]
fn exp(x: __m512d) -> __m512d {
    let x = _mm512_min_pd(c(710.0), _mm512_max_pd(c(-746.0), x));
    let magic = c(6755399441057790.0);
    let shifted = _mm512_fmadd_pd(x, c(std::f64::consts::LOG2_E), magic);
    let n = _mm512_sub_pd(shifted, magic);
    let head = _mm512_fmadd_pd(n, c(-std::f64::consts::LN_2), x);
    let rest = _mm512_mul_pd(n, c(-2.3190468138462996e-17));
    let r = _mm512_add_pd(head, rest);
    let r2 = _mm512_mul_pd(r, r);
    let mut even = c(2.5005608920296612e-8);
    for k in [2.755756541518378e-6, 0.00019841269535872917, 0.008333333333476632, 0.16666666666666452] {
        even = _mm512_fmadd_pd(even, r2, c(k));
    }
    let mut odd = c(2.763034561067639e-7);
    for k in [2.4801492796121803e-5, 0.0013888888943998081, 0.04166666666652805] {
        odd = _mm512_fmadd_pd(odd, r2, c(k));
    }
    let q = _mm512_fmadd_pd(odd, r, even);
    let q = _mm512_fmadd_pd(r, q, c(0.5000000000000011));
    let tail = _mm512_fmadd_pd(r2, q, rest);
    let p = _mm512_add_pd(c(1.0), _mm512_add_pd(head, tail));
    let biased = _mm512_castpd_si512(shifted);
    let half = _mm512_srli_epi64::<1>(biased);
    let other = _mm512_sub_epi64(biased, half);
    let half = _mm512_castsi512_pd(_mm512_slli_epi64::<52>(half));
    let other = _mm512_castsi512_pd(_mm512_slli_epi64::<52>(other));
    _mm512_mul_pd(_mm512_mul_pd(p, half), other)
}

/// `n ln 2 + ln(1 + f) + rest`, as the recipes of logarithms end.
#[target_feature(enable = "avx512f,avx512dq,fma")]
fn ln_end(n: __m512d, f: __m512d, rest: Option<__m512d>) -> __m512d {
    let ln2 = c(std::f64::consts::LN_2);
    let high = _mm512_fmadd_pd(n, ln2, f);
    let lost = _mm512_add_pd(_mm512_fmsub_pd(n, ln2, high), f);
    let lost = match rest {
        Some(rest) => _mm512_add_pd(lost, rest),
        None => lost,
    };
    let lost = _mm512_fmadd_pd(n, c(2.3190468138462996e-17), lost);
    let f2 = _mm512_mul_pd(f, f);
    let s = _mm512_div_pd(f, _mm512_add_pd(c(2.0), f));
    let s2 = _mm512_mul_pd(s, s);
    let s4 = _mm512_mul_pd(s2, s2);
    let mut even = c(0.147956327053378);
    for k in [0.18183562829674157, 0.2857142874202172, 0.6666666666666734] {
        even = _mm512_fmadd_pd(even, s4, c(k));
    }
    let mut odd = c(0.15314085144236636);
    for k in [0.2222219860563853, 0.39999999999416663] {
        odd = _mm512_fmadd_pd(odd, s4, c(k));
    }
    let q = _mm512_fmadd_pd(odd, s2, even);
    let half = _mm512_mul_pd(f2, c(0.5));
    let q = _mm512_fmadd_pd(s2, q, half);
    let tail = _mm512_fmadd_pd(s, q, _mm512_sub_pd(lost, half));
    _mm512_add_pd(high, tail)
}

/// `ln(1 + x)` for `x` above -1.
#[target_feature(enable = "avx512f,avx512dq,fma")]
fn ln_1p(x: __m512d) -> __m512d {
    let one = c(1.0);
    let sum = _mm512_add_pd(one, x);
    let lost = _mm512_sub_pd(_mm512_min_pd(x, one), _mm512_sub_pd(sum, _mm512_max_pd(x, one)));
    let bits = _mm512_add_epi64(_mm512_castpd_si512(sum), _mm512_set1_epi64(2638147582215219));
    let fraction = _mm512_and_si512(bits, _mm512_set1_epi64(4503599627370495));
    let m = _mm512_castsi512_pd(_mm512_add_epi64(fraction, _mm512_set1_epi64(4604544271217802189)));
    let n = _mm512_or_si512(_mm512_srli_epi64::<52>(bits), _mm512_set1_epi64(4841369599423283200));
    let n = _mm512_sub_pd(_mm512_castsi512_pd(n), c(4503599627371519.0));
    let f = _mm512_sub_pd(m, one);
    let exponent = _mm512_and_si512(bits, _mm512_set1_epi64(-4503599627370496));
    let scale = _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_set1_epi64(-8962163258467287040), exponent));
    let rest = _mm512_mul_pd(_mm512_mul_pd(lost, c(8.673617379884035e-19)), scale);
    let slope = _mm512_mul_pd(f, _mm512_fmadd_pd(f, c(0.8), c(-1.0)));
    let rest = _mm512_fmadd_pd(rest, slope, rest);
    let value = ln_end(n, f, Some(rest));
    // Infinity, -1, below -1, and what is too small to change 1.
    let finite = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(x, c(f64::INFINITY));
    let value = _mm512_mask_blend_pd(finite, x, value);
    let pole = _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(x, c(-1.0));
    let value = _mm512_mask_blend_pd(pole, value, c(f64::NEG_INFINITY));
    let outside = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(x, c(-1.0));
    let value = _mm512_mask_blend_pd(outside, value, c(f64::NAN));
    let tiny = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(_mm512_abs_pd(x), c(1e-300));
    _mm512_mask_blend_pd(tiny, value, x)
}

#[target_feature(enable = "avx512f,avx512dq,fma")]
fn total(parts: &[__m512d]) -> f64 {
    let mut sum = parts[0];
    for p in &parts[1..] {
        sum = _mm512_add_pd(sum, *p);
    }
    _mm512_reduce_add_pd(sum)
}

#[target_feature(enable = "avx512f,avx512dq,fma")]
pub fn gaussian(x: &[f64], theta: &[f64]) -> Vec<f64> {
    let (loc, raw) = (theta[0], theta[1]);
    let at = c(loc);
    let (mut s1, mut s2) = ([c(0.0); 4], [c(0.0); 4]);
    let mut i = 0;
    while i < x.len() {
        for k in 0..4 {
            let r = _mm512_sub_pd(load(x, i + 8 * k), at);
            s1[k] = _mm512_add_pd(s1[k], r);
            s2[k] = _mm512_fmadd_pd(r, r, s2[k]);
        }
        i += 32;
    }
    let (s1, s2) = (total(&s1), total(&s2));
    let (n, scale) = (x.len() as f64, raw.exp().ln_1p());
    let value = 0.5 * s2 / (scale * scale) + n * (scale.ln() + 0.5 * std::f64::consts::TAU.ln());
    let d_scale = n / scale - s2 / (scale * scale * scale);
    vec![value, -s1 / (scale * scale), d_scale / (1.0 + (-raw).exp())]
}

#[target_feature(enable = "avx512f,avx512dq,fma")]
pub fn decay(x: &[f64], y: &[f64], theta: &[f64]) -> Vec<f64> {
    let (a, b, offset) = (theta[0], theta[1], theta[2]);
    let (va, vb, vc) = (c(a), c(-b), c(offset));
    let mut s = [c(0.0); 4];
    let mut i = 0;
    while i < x.len() {
        let xs = load(x, i);
        let e = exp(_mm512_mul_pd(xs, vb));
        let d = _mm512_fnmadd_pd(va, e, load(y, i));
        let r = _mm512_sub_pd(d, vc);
        let t = _mm512_mul_pd(e, r);
        s[0] = _mm512_fmadd_pd(r, r, s[0]);
        s[1] = _mm512_add_pd(s[1], d);
        s[2] = _mm512_add_pd(s[2], t);
        s[3] = _mm512_fmadd_pd(xs, t, s[3]);
        i += 8;
    }
    let [rr, d, t, xt] = s.map(|v| total(&[v]));
    vec![rr, -2.0 * t, 2.0 * a * xt, -2.0 * (d - offset * x.len() as f64)]
}

#[target_feature(enable = "avx512f,avx512dq,fma")]
pub fn logistic(x: &[f64], y: &[f64], theta: &[f64]) -> Vec<f64> {
    let (va, vb) = (c(theta[0]), c(theta[1]));
    let (zero, one) = (c(0.0), c(1.0));
    let mut s = [zero; 3];
    let mut i = 0;
    while i < x.len() {
        let (xs, ys) = (load(x, i), load(y, i));
        let z = _mm512_fmadd_pd(xs, va, vb);
        let e = exp(_mm512_xor_pd(_mm512_abs_pd(z), c(-0.0)));
        // softplus: max(z, 0) + ln(1 + e), e at most 1
        let upper = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(c(std::f64::consts::SQRT_2 - 1.0), e);
        let f = _mm512_mask_blend_pd(upper, e, _mm512_mul_pd(_mm512_sub_pd(e, one), c(0.5)));
        let n = _mm512_mask_blend_pd(upper, zero, one);
        let softplus = _mm512_add_pd(_mm512_max_pd(zero, z), ln_end(n, f, None));
        let value = _mm512_fnmadd_pd(ys, z, softplus);
        // sigmoid: 1 or e over 1 + e, the quotient corrected once
        let below = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(z, zero);
        let top = _mm512_mask_blend_pd(below, one, e);
        let bottom = _mm512_add_pd(one, e);
        let lost = _mm512_add_pd(_mm512_sub_pd(one, bottom), e);
        let inverse = _mm512_div_pd(one, bottom);
        let q = _mm512_mul_pd(top, inverse);
        let minus = _mm512_xor_pd(q, c(-0.0));
        let off = _mm512_add_pd(_mm512_fmadd_pd(minus, bottom, top), _mm512_fmadd_pd(minus, lost, zero));
        let sigmoid = _mm512_fmadd_pd(off, inverse, q);
        let d = _mm512_sub_pd(sigmoid, ys);
        s[0] = _mm512_add_pd(s[0], value);
        s[1] = _mm512_add_pd(s[1], d);
        s[2] = _mm512_fmadd_pd(xs, d, s[2]);
        i += 8;
    }
    let [value, d, xd] = s.map(|v| total(&[v]));
    vec![value, xd, d]
}

/// Location and scale with 4 degrees of freedom.
#[target_feature(enable = "avx512f,avx512dq,fma")]
pub fn student(x: &[f64], theta: &[f64]) -> Vec<f64> {
    let (loc, scale) = (theta[0], theta[1]);
    let (at, w) = (c(loc), 0.25 / (scale * scale));
    let (vw, one) = (c(w), c(1.0));
    let mut s = [c(0.0); 3];
    let mut i = 0;
    while i < x.len() {
        let r = _mm512_sub_pd(load(x, i), at);
        let t = _mm512_mul_pd(_mm512_mul_pd(r, r), vw);
        let ln = ln_1p(t);
        let q = _mm512_div_pd(r, _mm512_add_pd(one, t));
        s[0] = _mm512_add_pd(s[0], ln);
        s[1] = _mm512_add_pd(s[1], q);
        s[2] = _mm512_fmadd_pd(r, q, s[2]);
        i += 8;
    }
    let [ln, q, rq] = s.map(|v| total(&[v]));
    let n = x.len() as f64;
    vec![2.5 * ln + n * scale.ln(), -5.0 * w * q, n / scale - 5.0 * w / scale * rq]
}
