//! Gradient clipping by the Euclidean norm, as `torch.nn.utils.clip_grad_norm_` defines it.

use super::stepper::bad;
use crate::error::Result;
use crate::real::Real;
use crate::runtime::params::Grad;

/// Scales a gradient by `min(1, max / (norm + 1e-6))`, where `norm` is the Euclidean norm of all its numbers, and gives back that norm: the
/// rule of `torch.nn.utils.clip_grad_norm_`. Allocates nothing.
///
/// Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks* (2013, arXiv:1211.5063).
///
/// ```
/// use tapeless::fit::clip_norm;
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let program = (3.0 * g.param("a") + 4.0 * g.param("b")).compile()?;
/// let (_, mut grad) = program.bind::<&str, &[f64]>([])?.value_and_grad(&program.zeros())?;
/// assert_eq!(clip_norm(&mut grad, 1.0)?, 5.0);
/// assert!((grad.scalar("a")? - 0.6).abs() < 1e-6 && (grad.norm() - 1.0).abs() < 1e-6);
/// assert!(clip_norm(&mut grad, -1.0).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if `max` is negative or NaN; the gradient is then as before.
pub fn clip_norm<T: Real>(grad: &mut Grad<T>, max: f64) -> Result<f64> {
    check(max)?;
    let norm = grad.norm();
    let factor = max / (norm + 1e-6);
    if factor < 1.0 {
        let factor = T::from_f64(factor);
        for g in grad.values_mut() {
            *g = *g * factor;
        }
    }
    Ok(norm)
}

/// Whether gradients can be clipped to this norm.
pub(super) fn check(max: f64) -> Result<()> {
    if max >= 0.0 { Ok(()) } else { Err(bad("clip_norm", format!("must be at least 0, but is {max}"))) }
}
