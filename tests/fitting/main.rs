//! Fitting: steppers, trainings, batches, checkpoints, data and layers, and the tutorials' systems.

mod batches;
mod data;
mod fit;
mod layers;
mod plots;
mod resume;
mod training;
mod tutorials_gaussian;
mod tutorials_models;
mod tutorials_thermometer;
