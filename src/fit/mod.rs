//! Fitting: steppers that move parameters along a gradient, their saved states, the training loop and its history.

mod adam;
mod groups;
mod history;
mod matching;
mod sgd;
mod state;
mod stepper;
mod text;
mod train;

pub use adam::{Adam, AdamW};
pub use history::{History, Row};
pub use matching::{Matching, Run};
pub use sgd::Sgd;
pub use state::State;
pub use stepper::Stepper;
pub use train::{Outcome, Progress, Stop, Training};
