//! Who lives where, apart from the allocator's vectors: general registers, the words a call is given, the stack frame.
//!
//! ```text
//! rdi  the call's words (below)            rax  scratch; the last address that has no register
//! rsi  constants: a window of 64 bytes of ones and 64 of zeros, then the numbers
//! rdx  uniforms                            rcx  lanes of the accumulators
//! r8   the sample, in bytes from the leaf's first      r9   where the loop at hand ends
//! r10  tile buffers, less the tile's first sample, or one more pointer      r11  which lanes of the accumulators the block at hand belongs to; how far samples were
//!      asked for in several ways; scratch between blocks
//! rbx r12 r13 r14 r15 rbp   pointers to columns, outputs and entries at the nest's point, as many as fit
//!
//! words:  0 first sample, in bytes   8 end   16 lanes   24 uniforms   32 constants   40 tile buffers   48 mends slow lanes   56 sums
//!         64 where the columns come from   72 end of the leaf at hand   80 turn of the outermost loop
//!         88 whether the lanes hold nothing yet   96 how many accumulators to add up   104 bytes gone through in one way
//!         112.. columns, each at the first sample, then outputs
//!
//! rsp (64-byte aligned):
//!   one pointer for each strided address; one counter for each loop of the nest
//!   a block's argument and value on their way to the slow path, and everything the called function may change
//!   what one turn of a loop hands to the next; spill slots: one register wide
//!   saved rsp
//! ```

use super::isa::Isa;

/// Offsets into a call's words.
pub mod words {
    /// The first sample.
    pub const START: i64 = 0;
    /// Behind the last sample.
    pub const END: i64 = 8;
    /// Lanes.
    pub const LANES: i64 = 16;
    /// Uniforms.
    pub const UNIFORMS: i64 = 24;
    /// Constants.
    pub const CONSTANTS: i64 = 32;
    /// Tile buffers.
    pub const TILES: i64 = 40;
    /// The function that mends lanes.
    pub const MEND: i64 = 48;
    /// Where the sums go.
    pub const SUMS: i64 = 56;
    /// Where the columns come from: 0 if they stay in the L2 cache; 1 if not, so that it pays to ask for what comes next; 2 if no cache holds them and they
    /// don't start at its lines.
    pub const FAR: i64 = 64;
    /// Behind the last sample of the leaf at hand: kept by code that runs over several.
    pub const LEAF_END: i64 = 72;
    /// Which turn of the outermost loop is to be taken, by a step that takes one.
    pub const TURN: i64 = 80;
    /// Behind the last whole group, kept by code that goes through the samples in several ways: there is no nest around it, so it takes no turn.
    pub const GROUPS_END: i64 = TURN;
    /// Whether these are the leaf's first samples, so that accumulators start from their identities.
    pub const FIRST: i64 = 88;
    /// How many accumulators are to be added up, by the function that does.
    pub const COUNT: i64 = 96;
    /// Bytes of a column gone through in one way before the next begins, by code that goes through the samples in several: whole groups, more than none.
    pub const AT_ONCE: i64 = 104;
    /// How many words come before the columns.
    pub const COLUMNS: usize = 14;
}

/// Offsets into the frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    strided: usize,
    slow: usize,
    handed: usize,
    slots: usize,
    bytes: usize,
}

impl Frame {
    /// A frame for so many strided addresses and loops, with or without a slow path, and so many vectors that one turn hands to the next.
    pub fn new<I: Isa>(strided: usize, loops: usize, slow: bool, handed: usize) -> Self {
        let pointers = (8 * (strided + loops)).next_multiple_of(64);
        // Two blocks, every vector, eight mask registers, eight general ones.
        let saved = if slow { I::BYTES * (2 + I::REGISTERS) + 128 } else { 0 };
        let own = pointers + saved;
        Frame { strided, slow: pointers, handed: own, slots: own + handed * I::BYTES, bytes: I::BYTES }
    }

    /// The pointer of a strided address.
    pub fn pointer(&self, k: usize) -> i64 {
        8 * k as i64
    }

    /// The counter of a loop.
    pub fn counter(&self, axis: usize) -> i64 {
        8 * (self.strided + axis) as i64
    }

    /// The argument of the slow path; the value follows.
    pub fn argument(&self) -> i64 {
        self.slow as i64
    }

    /// The value on its way through the slow path.
    pub fn value(&self) -> i64 {
        (self.slow + self.bytes) as i64
    }

    /// Where the slow path saves vector `n`.
    pub fn vector(&self, n: usize) -> i64 {
        (self.slow + (2 + n) * self.bytes) as i64
    }

    /// Where it saves mask or general register `n`, 16 in all.
    pub fn general<I: Isa>(&self, n: usize) -> i64 {
        self.vector(I::REGISTERS) + 8 * n as i64
    }

    /// What one turn of a loop hands to the next.
    pub fn handed(&self, n: u32) -> i64 {
        (self.handed + n as usize * self.bytes) as i64
    }

    /// A spill slot.
    pub fn slot(&self, n: u32) -> i64 {
        (self.slots + n as usize * self.bytes) as i64
    }

    /// The whole frame.
    pub fn size(&self, slots: u32) -> i64 {
        (self.slots + slots as usize * self.bytes).next_multiple_of(64) as i64
    }
}
