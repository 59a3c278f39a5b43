//! Hash maps over what the library itself makes: nodes, instructions, bits.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// A map whose keys are our own, so that no hash needs to withstand an adversary: looking for equal nodes and instructions
/// took more than half of their making with the standard hash.
pub type Known<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// Where in a list each of its elements lies, by what it is: the elements are in the list alone.
#[derive(Clone, Debug, Default)]
pub struct Positions(HashTable<u32>);

impl Positions {
    /// Of no elements yet, with room for so many.
    pub fn with_capacity(elements: usize) -> Self {
        Positions(HashTable::with_capacity(elements))
    }

    /// How many elements were noted.
    pub fn noted(&self) -> usize {
        self.0.len()
    }

    /// The position of the element equal to this one; if there is none, it is noted at the end of a list this long, where the caller adds it.
    /// `at` reads the list.
    pub fn find_or_note<E: Hash + PartialEq>(&mut self, element: &E, length: usize, at: impl Fn(usize) -> E) -> Option<usize> {
        match self.0.entry(hash(element), |k| at(*k as usize) == *element, |k| hash(&at(*k as usize))) {
            Entry::Occupied(found) => Some(*found.get() as usize),
            Entry::Vacant(free) => {
                free.insert(length as u32);
                None
            }
        }
    }

    /// Notes the element at this position, which no other is equal to.
    pub fn note<E: Hash>(&mut self, position: usize, at: impl Fn(usize) -> E) {
        self.0.insert_unique(hash(&at(position)), position as u32, |k| hash(&at(*k as usize)));
    }
}

fn hash(element: &impl Hash) -> u64 {
    BuildHasherDefault::<Multiply>::default().hash_one(element)
}

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
