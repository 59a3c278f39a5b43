//! Bytes as the text of a graph, or as a recipe for one whose text is then read: parsed, checked, printed, compiled for every backend, evaluated,
//! differentiated. A first byte of 128 or more, which no text begins with, makes a recipe. What follows a zero byte chooses numbers and options.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tapeless_fuzz::random::Numbers;
use tapeless_fuzz::{backends, text_of_recipe};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    if first >= 128 {
        let (seed, recipe) = rest.split_at(rest.len().min(2));
        backends::check(&text_of_recipe(recipe), &mut Numbers(hash(seed)));
        return;
    }
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (text, seed) = bytes.split_at(end);
    backends::check(&String::from_utf8_lossy(text), &mut Numbers(hash(seed)));
});

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}
