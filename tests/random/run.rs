//! Runs a property over random values: how many, which ones, and what is said of the smallest that fails.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Runs a property on random values: so many hundredths of `TAPELESS_CASES` of them.
pub fn check<S: Strategy>(hundredths: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let cases = cases(hundredths);
    // The same cases every time, unless another seed is asked for.
    let mut seed = [7u8; 32];
    seed[..4].copy_from_slice(&variable("TAPELESS_SEED", 1).to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    // A panic is a failure like any other: shrunk, and told once.
    let quiet = |value| {
        QUIET.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| property(value)));
        QUIET.set(false);
        outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            Err(fail(format!("panic: {}", text.unwrap_or_default())))
        })
    };
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                PLACE.set(info.location().map(|l| l.to_string()).unwrap_or_default());
            } else {
                loud(info);
            }
        }));
    });
    match runner.run(&strategy, quiet) {
        Ok(()) => {}
        Err(TestError::Fail(reason, value)) => panic!("{reason}\nof the smallest case found, {}:\n{value:?}", PLACE.take()),
        Err(TestError::Abort(reason)) => panic!("given up: {reason}"),
    }
}

thread_local! {
    /// Whether a panic of this thread is a property's.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// Where the last such panic was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A number from the environment.
fn variable(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// The cases of a property that has so many hundredths of a full one's. Unoptimised code gets fewer.
pub fn cases(hundredths: u32) -> u32 {
    let full = variable("TAPELESS_CASES", if cfg!(debug_assertions) { 1000 } else { 12_000 });
    (u64::from(full) * u64::from(hundredths)).div_ceil(100) as u32
}

/// Fails a property.
pub fn fail(message: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(message.into())
}
