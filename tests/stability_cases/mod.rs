//! Naive formulas, points where they are no good, and what is right there.

use tapeless::prelude::*;

pub type Build = for<'g> fn(Expr<'g>) -> Expr<'g>;

/// A formula, a point, the value and the derivative there (40 digits by mpmath, rounded).
pub struct Case {
    pub rule: &'static str,
    pub formula: Build,
    pub at: f64,
    pub value: f64,
    pub slope: f64,
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { rule: "ln_1p_exp", formula: |x| (1.0 + x.exp()).ln(), at: 1000.0, value: 1000.0, slope: 1.0 },
    Case { rule: "ln_1p_exp", formula: |x| (x.exp() + 1.0).ln(), at: -40.0, value: 4.248_354_255_291_589e-18, slope: 4.248_354_255_291_589e-18 },
    Case { rule: "softplus_of_ln_1p", formula: |x| x.exp().ln_1p(), at: 1000.0, value: 1000.0, slope: 1.0 },
    Case { rule: "ln_1m_exp", formula: |x| (1.0 - x.exp()).ln(), at: -1e-20, value: -46.051_701_859_880_914, slope: -1e20 },
    Case { rule: "ln_1m_exp", formula: |x| (1.0 - x.exp()).ln(), at: -50.0, value: -1.928_749_847_963_917_8e-22, slope: -1.928_749_847_963_917_8e-22 },
    Case { rule: "ln_1p", formula: |x| (1.0 + x).ln(), at: 1e-18, value: 1e-18, slope: 1.0 },
    Case { rule: "exp_minus_one", formula: |x| x.exp() - 1.0, at: 1e-18, value: 1e-18, slope: 1.0 },
    Case { rule: "minus_one_exp", formula: |x| -1.0 + x.exp(), at: -1e-17, value: -1e-17, slope: 1.0 },
    Case { rule: "sigmoid_of_exp", formula: |x| x.exp() / (1.0 + x.exp()), at: 1000.0, value: 1.0, slope: 0.0 },
    Case { rule: "sigmoid_quotient", formula: |x| 1.0 / (1.0 + (-x).exp()), at: -1000.0, value: 0.0, slope: 0.0 },
    Case { rule: "sigmoid_recip", formula: |x| (1.0 + (-x).exp()).recip(), at: -1000.0, value: 0.0, slope: 0.0 },
    Case { rule: "one_minus_sigmoid", formula: |x| 1.0 - x.sigmoid(), at: 50.0, value: 1.928_749_847_963_917_8e-22, slope: -1.928_749_847_963_917_8e-22 },
    Case { rule: "ln_sigmoid", formula: |x| x.sigmoid().ln(), at: -1000.0, value: -1000.0, slope: 1.0 },
    Case { rule: "one_minus_sigmoid", formula: |x| (1.0 - x.sigmoid()).ln(), at: 1000.0, value: -1000.0, slope: -1.0 },
    Case { rule: "ln_exp", formula: |x| x.exp().ln(), at: 1000.0, value: 1000.0, slope: 1.0 },
    Case { rule: "ln_softmax", formula: |x| (x.exp() / 3.0).ln(), at: -1000.0, value: -1_001.098_612_288_668, slope: 1.0 },
    Case { rule: "root_squared", formula: |x| x.square().sqrt().square(), at: 0.0, value: 0.0, slope: 0.0 },
    Case { rule: "root_to_the_second", formula: |x| x.square().sqrt().powi(2), at: 0.0, value: 0.0, slope: 0.0 },
    Case { rule: "root_times_itself", formula: |x| x.square().sqrt() * x.square().sqrt(), at: 0.0, value: 0.0, slope: 0.0 },
    Case { rule: "x_ln_x", formula: |x| x * x.ln(), at: 0.0, value: 0.0, slope: f64::NEG_INFINITY },
];

/// Whether a result is the one the case has.
pub fn close(got: f64, want: f64) -> bool {
    got == want || (got - want).abs() <= 1e-14 * want.abs()
}
