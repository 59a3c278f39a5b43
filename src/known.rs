//! Hash maps over what the library itself makes: nodes, instructions, bits.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are our own, so that no hash needs to withstand an adversary: looking for equal nodes and instructions
/// took more than half of their making with the standard hash.
pub type Known<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// Hashing by a rotation, an exclusive or and a product per word (after Fox, as the Rust compiler's own maps do).
#[derive(Clone, Copy, Default, Debug)]
pub struct Multiply(u64);

impl Multiply {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, x: u8) {
        self.word(u64::from(x));
    }
    fn write_u32(&mut self, x: u32) {
        self.word(u64::from(x));
    }
    fn write_u64(&mut self, x: u64) {
        self.word(x);
    }
    fn write_usize(&mut self, x: usize) {
        self.word(x as u64);
    }
    // The map takes its buckets from the low bits, a product's weakest.
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
