//! Writes what `graph_text` begins with: a dictionary of the text form's words, `DIR.dict`, and in `DIR` the texts of some hundred random graphs.
//!
//! `cargo run --release --manifest-path fuzz/Cargo.toml --example seeds -- fuzz/corpus/graph_text`

use std::fmt::Write;
use std::fs;
use tapeless::graph::dense::Dense;
use tapeless::op::Elem;
use tapeless_fuzz::random::Numbers;
use tapeless_fuzz::text_of_recipe;

const GRAPHS: u64 = 400;
const WORDS: [&str; 22] = [
    "data x [samples]",
    "param w []",
    "labels g 3",
    "output o %1",
    "%2 = ",
    "const ",
    "count",
    "detach",
    "reduce_sum samples",
    "reduce_min samples",
    "reduce_max samples",
    "reduce_sum 0",
    "reduce_max 1",
    "broadcast [samples, 3]",
    "reshape [2, 3]",
    "arrange [2] ( 0/0 . )",
    "gather",
    "sum_by 3",
    "[samples, 2]",
    "NaN",
    "-inf",
    "268435456",
];

fn main() -> std::io::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "fuzz/corpus/graph_text".into());
    fs::create_dir_all(&directory)?;
    let mut numbers = Numbers(1);
    for k in 0..GRAPHS {
        // Short ones more often than long ones.
        let steps = 1 + numbers.bits() % (1 + k % 14);
        let bytes: Vec<u8> = (0..4 + 7 * steps).map(|_| numbers.bits() as u8).collect();
        fs::write(format!("{directory}/recipe{k}"), text_of_recipe(&bytes))?;
    }
    let mut dictionary = String::new();
    let operations = Elem::ALL.iter().map(|e| e.name()).chain(Dense::ALL.iter().map(|d| d.name()));
    for word in operations.chain(WORDS) {
        let _ = writeln!(dictionary, "{word:?}");
    }
    fs::write(format!("{directory}.dict"), dictionary)
}
