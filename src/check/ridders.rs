//! Ridders' method: central differences at shrinking steps, extrapolated to step zero, with an estimate of the error.
//!
//! C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4 (1982) 75-76.

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

/// The derivative of `f` at `x`, from starting steps of 0.05 and 0.002 of `|x|` (of 1, at 0): the better of the two by their own estimates.
/// The large step is right for smooth formulas, the small one near kinks and poles.
pub fn derivative(x: f64, mut f: impl FnMut(f64) -> f64) -> Derivative {
    let at = f(x);
    let size = if x == 0.0 { 1.0 } else { x.abs() };
    let mut best = Derivative { value: f64::NAN, error: f64::INFINITY, at };
    for step in [0.05 * size, 0.002 * size] {
        let (value, error) = extrapolate(x, step, &mut f);
        if error < best.error {
            (best.value, best.error) = (value, error);
        }
    }
    best
}

/// One tableau (Neville's scheme in the square of the step).
fn extrapolate(x: f64, step: f64, f: &mut impl FnMut(f64) -> f64) -> (f64, f64) {
    let mut h = step;
    let mut difference = |h: f64| {
        // The step as the numbers have it.
        let (above, below) = (x + h, x - h);
        (f(above) - f(below)) / (above - below)
    };
    let mut row = [0.0f64; ROWS];
    row[0] = difference(h);
    let (mut value, mut error) = (row[0], f64::INFINITY);
    for i in 1..ROWS {
        h /= SHRINK;
        let previous = row;
        row[0] = difference(h);
        let mut factor = SHRINK * SHRINK;
        for j in 1..=i {
            row[j] = (row[j - 1] * factor - previous[j - 1]) / (factor - 1.0);
            factor *= SHRINK * SHRINK;
            let doubt = (row[j] - row[j - 1]).abs().max((row[j] - previous[j - 1]).abs());
            if doubt <= error {
                (value, error) = (row[j], doubt);
            }
        }
        if (row[i] - previous[i - 1]).abs() >= WORSE * error {
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
            (2.0, derivative(2.0, |x| x.powi(5)), 80.0),
            (0.01, derivative(0.01, f64::ln), 100.0),
        ] {
            assert!((got.value - want).abs() <= 20.0 * got.error + 1e-10 * want.abs(), "at {x}: {got:?} against {want}");
            assert!(got.error <= 1e-9 * want.abs(), "at {x}: {got:?}");
        }
        // At a kink the mean of the two slopes; near one, doubt.
        assert!(derivative(0.0, f64::abs).value.abs() < 1e-12);
        let near = derivative(1.0 + 1e-5, |x| (x - 1.0).max(0.0));
        assert!(near.error > 1e-5, "{near:?}");
    }
}
