//! What a stepper is: something that moves parameters along a gradient, and can be saved and restored to the bit.

use super::state::State;
use crate::error::{Error, Result};
use crate::real::Real;
use crate::runtime::params::{Grad, Params};

/// Moves parameters along a gradient, one step at a time.
///
/// [`Sgd`](super::Sgd), [`Adam`](super::Adam) and [`AdamW`](super::AdamW) implement it; so can you. [`Matching`](super::Matching) does the
/// book-keeping of names and layouts.
///
/// ```
/// use tapeless::fit::{Matching, State, Stepper};
/// use tapeless::prelude::*;
/// use tapeless::{Real, Result};
///
/// /// Each number moves by the learning rate against the sign of its gradient.
/// struct SignDescent {
///     learning_rate: f64,
///     matching: Matching,
/// }
///
/// impl<T: Real> Stepper<T> for SignDescent {
///     fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()> {
///         let (rate, zero) = (T::from_f64(self.learning_rate), T::default());
///         for run in self.matching.begin(theta.layout(), grad.layout())? {
///             for (x, g) in theta.values_mut()[run.theta.clone()].iter_mut().zip(&grad.values()[run.grad.clone()]) {
///                 *x = if *g > zero { *x - rate } else if *g < zero { *x + rate } else { *x };
///             }
///         }
///         Ok(())
///     }
///     fn learning_rate(&self) -> f64 {
///         self.learning_rate
///     }
///     fn set_learning_rate(&mut self, learning_rate: f64) {
///         self.learning_rate = learning_rate;
///     }
///     fn state(&self) -> State {
///         let mut state = State::new::<T>("sign_descent", self.learning_rate);
///         self.matching.save(&mut state);
///         state
///     }
///     fn restore(&mut self, state: &State) -> Result<()> {
///         state.check::<T>("sign_descent", &[], &[])?;
///         self.matching.restore(state)?;
///         self.learning_rate = state.learning_rate;
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().sum().compile()?;
/// let data = program.bind([("x", &[1.0, 3.0])])?;
/// let mut theta = program.params([("w", 0.0)])?;
/// let mut stepper = SignDescent { learning_rate: 0.5, matching: Matching::new() };
/// for _ in 0..5 {
///     let (_, grad) = data.value_and_grad(&theta)?;
///     stepper.step(&mut theta, &grad)?;
/// }
/// assert_eq!(theta.scalar("w")?, 2.0);
/// # Ok(())
/// # }
/// ```
pub trait Stepper<T: Real> {
    /// One step: changes `theta` in place.
    ///
    /// The gradient may be by a part of the parameters only (see [`Options::wrt`](crate::Options::wrt)): they are matched by name, and the others
    /// stay. A gradient that is not finite is used as it is; [`Training`](super::Training) looks for that.
    ///
    /// # Errors
    /// [`Error::Layout`] for a gradient of a parameter that `theta` doesn't have or has in another shape, or for a `theta` laid out otherwise than in
    /// the steps before; [`Error::Setting`] for a setting out of its range; [`Error::UnknownParam`] for a setting of a parameter that isn't there.
    /// `theta` and the stepper are then as before.
    fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()>;

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the next step and those after. A bad one is an error of that step.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// All that the next steps depend on beside the parameters themselves.
    fn state(&self) -> State;

    /// Continues where a state was saved, to the bit.
    ///
    /// # Errors
    /// [`Error::Setting`] for a state of another stepper, of another number type or with other settings; [`Error::Layout`] for a state of
    /// parameters that are laid out otherwise (found here if this stepper has taken steps, else at the first step). The stepper is then as before.
    fn restore(&mut self, state: &State) -> Result<()>;
}

impl<T: Real, S: Stepper<T> + ?Sized> Stepper<T> for &mut S {
    fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()> {
        (**self).step(theta, grad)
    }
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }
    fn state(&self) -> State {
        (**self).state()
    }
    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }
}

impl<T: Real, S: Stepper<T> + ?Sized> Stepper<T> for Box<S> {
    fn step(&mut self, theta: &mut Params<T>, grad: &Grad<T>) -> Result<()> {
        (**self).step(theta, grad)
    }
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }
    fn state(&self) -> State {
        (**self).state()
    }
    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }
}

/// A setting that must be at least 0 and finite, in the number type it is used in too.
#[inline(always)]
pub(super) fn not_negative<T: Real>(name: &str, value: f64) -> Result<()> {
    if sound::<T>(value) { Ok(()) } else { Err(out_of_range(name, "must be finite and at least 0", value)) }
}

/// Whether a number is at least 0, and finite as a `T`. In one comparison: a step of one parameter is a hundred instructions long, and `>= 0.0` beside `is_finite` is twenty.
#[inline(always)]
fn sound<T: Real>(value: f64) -> bool {
    // The largest that doesn't round to infinity: for `f32` what is just below the middle between its largest and the next power of two.
    let largest = if T::DOUBLE { f64::MAX } else { f64::from_bits(0x47ef_ffff_efff_ffff) };
    // Bits of numbers from 0 on are ordered as the numbers, and all others come after; the sum takes the sign from a zero.
    (value + 0.0).to_bits() <= largest.to_bits()
}

/// A setting that must lie in `[0, 1)`.
#[inline(always)]
pub(super) fn fraction(name: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) { Ok(()) } else { Err(out_of_range(name, "must be at least 0 and below 1", value)) }
}

#[cold]
fn out_of_range(name: &str, must: &str, value: f64) -> Error {
    bad(name, format!("{must}, but is {value}"))
}

#[cold]
pub(super) fn bad(name: &str, message: String) -> Error {
    Error::Setting { name: name.into(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_sound_as_the_number_it_becomes() {
        let middle = 2.0f64.powi(128) - 2.0f64.powi(103);
        let around = |x: f64| [x.next_down(), x, x.next_up()];
        let at = [0.0, 1e-3, 1.0, f64::from(f32::MAX), middle, 1e300, f64::MAX, f64::MIN_POSITIVE].into_iter().flat_map(around);
        for x in at.flat_map(|x| [x, -x]).chain([f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY]) {
            assert_eq!(sound::<f64>(x), x >= 0.0 && x.is_finite(), "{x:e}");
            assert_eq!(sound::<f32>(x), x >= 0.0 && (x as f32).is_finite(), "{x:e}");
        }
    }
}
