//! Ridders' method: central differences at shrinking steps, extrapolated to step zero, with an estimate of the error.
//!
//! C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4 (1982) 75-76.

use smallvec::SmallVec;

/// A derivative by differences.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Derivative {
    /// The extrapolated value.
    pub value: f64,
    /// How wrong it may be.
    pub error: f64,
    /// The function at the point itself.
    pub at: f64,
}

/// Steps shrink by this factor.
const SHRINK: f64 = 1.4;
/// Rows of the tableau.
const ROWS: usize = 12;
/// A tableau is given up when its newest diagonal entry is this much worse than the best one.
const WORSE: f64 = 2.0;
/// An error below this fraction of the value is as good as any: no further start is tried.
const ENOUGH: f64 = 1e-11;
/// Numbers below this are nothing: what roundings below the normal range can become in differences, and no gradient that anybody uses.
pub(super) const NOTHING: f64 = 1e-290;
/// What extrapolation makes of a rounding in one of its differences, at most.
const AMPLIFIED: f64 = 4.0;

/// A starting step: a fraction of `|x|`, or a length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Of(f64),
    Long(f64),
}

/// The steps for a whole formula: large ones are right for smooth formulas, small ones near kinks and poles.
const STEPS: [Step; 5] = [Step::Of(0.05), Step::Of(0.002), Step::Long(0.02), Step::Of(8e-5), Step::Long(3e-4)];
/// The steps for one operation, which can be computed often.
pub(super) const LOCAL_STEPS: [Step; 8] =
    [Step::Of(0.05), Step::Long(0.05), Step::Of(0.002), Step::Long(1e-3), Step::Of(0.5), Step::Of(8e-5), Step::Long(1e-5), Step::Of(3e-6)];

/// The derivative of `f` at `x`, the best of several starting steps by their own estimates.
pub fn derivative(x: f64, mut f: impl FnMut(f64) -> f64) -> Derivative {
    refined(x, &STEPS, 0.5 * f64::EPSILON, &mut f)
}

/// The same from these starting steps, for values good to a fraction `noise` of themselves. A tableau's own estimate can be small by accident,
/// where it straddles a pole or a kink; that two starts agree can't: the result is the pair that agrees best.
pub(super) fn refined(x: f64, steps: &[Step], noise: f64, f: &mut impl FnMut(f64) -> f64) -> Derivative {
    let at = f(x);
    let mut best = Derivative { value: f64::NAN, error: f64::INFINITY, at };
    let mut found: SmallVec<[(f64, f64); 8]> = SmallVec::new();
    for step in steps {
        let h = match step {
            Step::Of(part) => part * x.abs(),
            Step::Long(length) => *length,
        };
        if !(h > 0.0 && h.is_finite()) {
            continue;
        }
        let (value, error) = extrapolate(x, h, noise, f);
        for (other, doubt) in &found {
            let together = error.min(*doubt).max((value - other).abs());
            if together < best.error {
                (best.value, best.error) = (if error < *doubt { value } else { *other }, together);
            }
        }
        found.push((value, error));
        if best.error <= ENOUGH * best.value.abs() + NOTHING {
            break;
        }
    }
    best
}

/// One tableau (Neville's scheme in the square of the step).
fn extrapolate(x: f64, step: f64, noise: f64, f: &mut impl FnMut(f64) -> f64) -> (f64, f64) {
    let mut h = step;
    let mut difference = |h: f64| {
        // The step as the numbers have it.
        let (above, below) = (x + h, x - h);
        let (up, down) = (f(above), f(below));
        // Below the normal range a rounding is one of its smallest number, however small the value is; one that is 0 may have underflowed.
        ((up - down) / (above - below), AMPLIFIED * noise * up.abs().max(down.abs()).max(f64::MIN_POSITIVE) / h)
    };
    let mut row = [0.0f64; ROWS];
    row[0] = difference(h).0;
    let (mut value, mut error) = (row[0], f64::INFINITY);
    for i in 1..ROWS {
        h /= SHRINK;
        let previous = row;
        let rounding;
        (row[0], rounding) = difference(h);
        let mut factor = SHRINK * SHRINK;
        let mut best_of_row = f64::INFINITY;
        for j in 1..=i {
            row[j] = (row[j - 1] * factor - previous[j - 1]) / (factor - 1.0);
            factor *= SHRINK * SHRINK;
            let doubt = (row[j] - row[j - 1]).abs().max((row[j] - previous[j - 1]).abs()) + rounding;
            best_of_row = best_of_row.min(doubt);
            if doubt <= error {
                (value, error) = (row[j], doubt);
            }
        }
        // Roundings have taken over.
        if (row[i] - previous[i - 1]).abs() >= WORSE * error && best_of_row > error {
            break;
        }
    }
    (value, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_derivatives() {
        for (x, got, want) in [
            (1.3, derivative(1.3, f64::exp), 1.3f64.exp()),
            (0.0, derivative(0.0, f64::sin), 1.0),
            (1e-20, derivative(1e-20, f64::exp), 1.0),
            (1e3, derivative(1e3, f64::sin), 1e3f64.cos()),
            (2.0, derivative(2.0, |x| x.powi(5)), 80.0),
            (0.01, derivative(0.01, f64::ln), 100.0),
        ] {
            assert!((got.value - want).abs() <= 20.0 * got.error + 1e-10 * want.abs(), "at {x}: {got:?} against {want}");
            assert!(got.error <= 1e-9 * want.abs(), "at {x}: {got:?}");
        }
        // At a kink the mean of the two slopes; near one, doubt.
        assert!(derivative(0.0, f64::abs).value.abs() < 1e-12);
        let near = derivative(1.0 + 1e-7, |x| (x - 1.0).max(0.0));
        assert!(near.error > 1e-9, "{near:?}");
    }
}
