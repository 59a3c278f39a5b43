//! Settings of single parameters: a factor of the learning rate, a weight decay, by the parameter's name.

use super::stepper::not_negative;
use crate::error::Result;
use crate::real::Real;
use crate::runtime::params::Layout;

/// The settings of single parameters, as methods of a stepper that has a `matching`. `$decay` is the setter of its weight decay; what comes before it
/// is added to the first method's documentation.
macro_rules! settings_of_parameters {
    ($(#[$example:meta])* $decay:literal) => {
        /// Multiplies the learning rate by this for one parameter (finite, at least 0), as a parameter group in PyTorch has a learning rate of its own.
        /// A name that no parameter has is an error of the first step.
        $(#[$example])*
        pub fn learning_rate_factor(mut self, param: &str, factor: f64) -> Self {
            self.matching.set_learning_rate_factor(param, factor);
            self
        }

        #[doc = concat!("The weight decay of one parameter (finite, at least 0), in place of [`", $decay, "`]: 0 for an intercept, say.")]
        /// A name that no parameter has is an error of the first step.
        pub fn weight_decay_of(mut self, param: &str, weight_decay: f64) -> Self {
            self.matching.set_weight_decay(param, weight_decay);
            self
        }
    };
}
pub(super) use settings_of_parameters;

/// Parameters with settings of their own, in the order they were named.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(Vec<Group>);

#[derive(Clone, Debug)]
struct Group {
    param: String,
    /// The settings' names in messages and saved states.
    names: [String; 2],
    factor: Option<f64>,
    decay: Option<f64>,
}

impl Groups {
    pub(super) fn set_learning_rate_factor(&mut self, param: &str, factor: f64) {
        self.group(param).factor = Some(factor);
    }

    pub(super) fn set_weight_decay(&mut self, param: &str, decay: f64) {
        self.group(param).decay = Some(decay);
    }

    fn group(&mut self, param: &str) -> &mut Group {
        let k = self.0.iter().position(|g| g.param == param).unwrap_or_else(|| {
            let names = ["learning_rate_factor", "weight_decay"].map(|setting| format!("{setting} of {param}"));
            self.0.push(Group { param: param.into(), names, factor: None, decay: None });
            self.0.len() - 1
        });
        &mut self.0[k]
    }

    /// A parameter's factor of the learning rate, and its own weight decay if it has one.
    pub(super) fn of(&self, param: &str) -> (f64, Option<f64>) {
        self.0.iter().find(|g| g.param == param).map_or((1.0, None), |g| (g.factor.unwrap_or(1.0), g.decay))
    }

    /// Every setting by name.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().flat_map(|g| g.names.iter().zip([g.factor, g.decay]).filter_map(|(name, value)| Some((name.as_str(), value?))))
    }

    #[inline]
    pub(super) fn check<T: Real>(&self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.settings().try_for_each(|(name, value)| not_negative::<T>(name, value))
    }

    /// Whether there are such parameters.
    pub(super) fn check_names(&self, layout: &Layout) -> Result<()> {
        match self.0.iter().find(|g| layout.shape(&g.param).is_none()) {
            Some(group) => Err(layout.unknown(&group.param)),
            None => Ok(()),
        }
    }
}
