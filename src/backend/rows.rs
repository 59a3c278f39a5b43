//! Columns that lie in memory as entries of rows: transposed for the tile at hand, which stays in the caches, and never as a whole.
//!
//! A kernel reads columns. Where the data are rows, the samples of a tile are first copied into a buffer, column after column, and the kernel is given the buffer
//! in the columns' place. A tile is a whole number of every accumulator's lanes, so the sums have the bits that columns give.

use super::interp::{Level, Run};
use crate::column::Column;
use crate::real::Real;
use crate::strided::Strided;

/// Bytes of the buffer that a tile of all row-major columns takes: it stays in the L2 cache beside the tile buffers, and in L1 where it fits. 8, 16 and 32 KiB
/// were alike (logistic on rows of 10 and 100, 2026-11-22).
const BUFFER_BYTES: usize = 32 << 10;
/// Samples in a tile at most.
const LONGEST_TILE: usize = 1024;
/// And at least: a multiple of every accumulator's number of lanes.
const SHORTEST_TILE: usize = 64;
/// Bytes between two columns of a buffer, beyond the tile: columns a power of two apart would share few sets of the cache.
const PADDING: usize = 64;

/// A pass's columns that are entries of rows.
#[derive(Debug)]
pub struct RowColumns<'d, T> {
    tables: Vec<Table<'d, T>>,
    /// For each column of the pass its place in the buffer.
    places: Vec<Option<usize>>,
    /// How many have one.
    count: usize,
    level: Level,
}

/// Rows, and which entries of them are columns.
#[derive(Debug)]
struct Table<'d, T> {
    numbers: &'d [T],
    stride: usize,
    /// The columns; their places in the buffer follow each other from `place` on.
    runs: Vec<Run>,
    place: usize,
}

/// The row-major columns of a leaf: those of a pass, read from some sample on.
#[derive(Clone, Copy, Debug)]
pub struct LeafRows<'a, T> {
    /// The pass's.
    pub columns: &'a RowColumns<'a, T>,
    /// Their sample that counts as the first.
    pub first: usize,
}

impl<'a, T> LeafRows<'a, T> {
    /// From the binding's first sample on.
    pub fn all(columns: &'a RowColumns<'a, T>) -> Self {
        LeafRows { columns, first: 0 }
    }
}

impl<'d, T: Real> RowColumns<'d, T> {
    /// Of a pass's columns those that are strided; `None` if there are none.
    pub fn new(columns: impl IntoIterator<Item = Column<'d, T>>) -> Option<Self> {
        let mut places = Vec::new();
        let mut found: Vec<(usize, Strided<'d, T>)> = Vec::new();
        for (k, column) in columns.into_iter().enumerate() {
            places.push(None);
            if let Column::Strided(x) = column {
                found.push((k, x));
            }
        }
        // Entries of the same rows side by side, in the order they have there.
        let table = |x: &Strided<'d, T>| (x.numbers().as_ptr() as usize, x.numbers().len(), x.stride());
        found.sort_by_key(|(_, x)| (table(x), x.first()));
        for (place, (k, _)) in found.iter().enumerate() {
            places[*k] = Some(place);
        }
        let count = found.len();
        let mut place = 0;
        let of_table = |columns: &[(usize, Strided<'d, T>)]| {
            let (_, one) = columns[0];
            let runs = columns.chunk_by(|(_, a), (_, b)| a.first() + 1 == b.first());
            let runs = runs.map(|run| Run { first: run[0].1.first(), len: run.len() }).collect();
            place += columns.len();
            Table { numbers: one.numbers(), stride: one.stride(), runs, place: place - columns.len() }
        };
        let tables = found.chunk_by(|(_, a), (_, b)| table(a) == table(b)).map(of_table).collect();
        (count > 0).then(|| RowColumns { tables, places, count, level: Level::best() })
    }

    /// Where a column of the pass lies in the buffer, if it is one of these.
    pub fn place(&self, column: usize) -> Option<usize> {
        self.places.get(column).copied().flatten()
    }

    /// Samples to transpose at a time: at most so many, and as many as stay in the cache.
    pub fn tile(&self, most: usize) -> usize {
        let fits = BUFFER_BYTES / (self.count * size_of::<T>());
        (fits / SHORTEST_TILE * SHORTEST_TILE).clamp(SHORTEST_TILE, LONGEST_TILE).min(most)
    }

    /// From one column to the next in a buffer of tiles of so many samples.
    pub fn pitch(&self, tile: usize) -> usize {
        tile + PADDING / size_of::<T>()
    }

    /// Numbers that a buffer holds.
    pub fn room(&self, tile: usize) -> usize {
        self.count * self.pitch(tile)
    }

    /// Copies `n` samples from `start` on into the buffer, each column from a multiple of `pitch` on.
    pub fn fill(&self, start: usize, n: usize, pitch: usize, buffer: &mut [T]) {
        for table in &self.tables {
            let rows = table.numbers.get(start * table.stride..).unwrap_or_default();
            self.level.transpose(&mut buffer[table.place * pitch..], pitch, rows, table.stride, &table.runs, n);
        }
    }
}
