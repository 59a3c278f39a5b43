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

use tapeless::prelude::*;
use tapeless::{Error, Real, Result};

fn bits<T: Real>(theta: &Params<T>) -> Vec<u64> {
    theta.values().iter().map(|x| x.to_f64().to_bits()).collect()
}

/// The name of the setting at fault.
fn setting(result: Result<impl Sized>) -> String {
    match result {
        Err(Error::Setting { name, .. }) => name,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}
