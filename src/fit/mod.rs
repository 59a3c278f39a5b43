//! Fitting: steppers that move parameters along a gradient, their saved states, the training loop over batches or all samples, schedules, early stopping,
//! checkpoints and history.

mod adam;
mod autosave;
#[cfg(feature = "progress")]
mod bar;
mod batches;
mod checkpoint;
mod clip;
mod feed;
mod groups;
mod history;
mod matching;
mod plateau;
mod progress;
mod records;
mod replace;
mod report;
mod resume;
mod run;
mod schedule;
mod seal;
mod sgd;
mod state;
mod stepper;
mod stopping;
mod text;
mod train;
mod watch;

pub use adam::{Adam, AdamW};
pub use autosave::Every;
#[cfg(feature = "progress")]
pub use bar::ProgressBar;
pub use batches::Batches;
pub use checkpoint::Checkpoint;
pub use clip::clip_norm;
pub use history::{History, Row};
pub use matching::{Matching, Run};
pub use plateau::OnPlateau;
pub use progress::{EpochEnd, Outcome, Progress, Stop};
pub use schedule::Schedule;
pub use sgd::Sgd;
pub use state::State;
pub use stepper::Stepper;
pub use stopping::EarlyStopping;
pub use train::Training;
pub use watch::Watch;
