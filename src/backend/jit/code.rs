//! Code under construction: instructions with labels and notes, then bytes.
//!
//! The encoder is `iced-x86`'s plain one. Its crate takes 5 s to compile where the `code_asm` layer on top of it makes that 13 (one core of a
//! Zen 5 server, 2026-11-22); jumps are few, so their distances are patched in here instead of by its block encoder.

use iced_x86::{Encoder, Instruction};

/// What an instruction is for, for the listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// Entry and exit: saved registers, the frame, base registers.
    Frame,
    /// Counting samples or points of the nest.
    Loop,
    /// The mask of a partial block.
    Tail,
    /// Accumulators into or out of their registers.
    Accumulators,
    /// The slow path of a few lanes.
    Slow,
    /// The lanes of accumulators, added up.
    Sums,
    /// Puts the value of this IR instruction, the same for all samples, into a register.
    Invariant(u32),
    /// Computes the value of this IR instruction.
    Value(u32),
}

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(u32);

/// When a jump is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Always.
    Always,
    /// Below, unsigned.
    Below,
    /// Above or equal, unsigned.
    AboveOrEqual,
    /// Above, unsigned.
    Above,
    /// Not zero.
    NotZero,
    /// Not a jump but a call.
    Call,
}

/// Instructions that do nothing, of 1 to 8 bytes (Intel 64 and IA-32 Architectures Software Developer's Manual, NOP).
const NOTHING: [&[u8]; 8] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

enum Item {
    Instruction(Instruction),
    Label(Label),
    Jump(When, Label),
    /// Fills up to a multiple of 32 bytes.
    Align,
}

/// Instructions in order.
#[derive(Default)]
pub struct Code {
    items: Vec<(Item, Note)>,
    /// What is rarely run, and comes after everything else.
    cold: Vec<(Item, Note)>,
    /// Whether what is added now is rarely run.
    in_cold: bool,
    labels: u32,
}

/// Bytes, and from which offset on they are for what.
pub struct Bytes {
    /// Machine code.
    pub code: Vec<u8>,
    /// The offset of each instruction that has another note than the one before.
    pub notes: Vec<(u32, Note)>,
}

impl Code {
    /// A new label, not yet anywhere.
    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    fn add(&mut self, item: Item, note: Note) {
        if self.in_cold { &mut self.cold } else { &mut self.items }.push((item, note));
    }

    /// Puts a label here.
    pub fn place(&mut self, label: Label) {
        self.add(Item::Label(label), Note::Loop);
    }

    /// Fills up with nothing to where a loop had best start.
    pub fn align(&mut self) {
        self.add(Item::Align, Note::Loop);
    }

    /// Adds an instruction.
    #[cfg_attr(test, track_caller)]
    pub fn push(&mut self, instruction: Instruction, note: Note) {
        #[cfg(test)]
        let Some(instruction) = super::fault::instruction(instruction) else { return };
        self.add(Item::Instruction(instruction), note);
    }

    /// Adds a jump.
    #[cfg_attr(test, track_caller)]
    pub fn jump(&mut self, when: When, to: Label, note: Note) {
        #[cfg(test)]
        let Some(when) = super::fault::jump(when) else { return };
        self.add(Item::Jump(when, to), note);
    }

    /// From here on, code that is rarely run; or not any more.
    pub fn cold(&mut self, cold: bool) {
        self.in_cold = cold;
    }

    /// Adds other code after this; its labels become labels of this code.
    pub fn append(&mut self, other: Code) {
        let shift = |l: Label| Label(l.0 + self.labels);
        let moved = other.items.into_iter().chain(other.cold).map(|(item, note)| {
            let item = match item {
                Item::Label(l) => Item::Label(shift(l)),
                Item::Jump(when, l) => Item::Jump(when, shift(l)),
                i => i,
            };
            (item, note)
        });
        let moved: Vec<_> = moved.collect();
        self.items.extend(moved);
        self.labels += other.labels;
    }

    /// The bytes, after those that are there already.
    pub fn encode(self, out: &mut Bytes) {
        let mut encoder = Encoder::new(64);
        encoder.set_buffer(std::mem::take(&mut out.code));
        let mut at = vec![0usize; self.labels as usize];
        let mut patches = Vec::new();
        // The encoder gives lengths, not its position.
        let mut here = {
            let buffer = encoder.take_buffer();
            let n = buffer.len();
            encoder.set_buffer(buffer);
            n
        };
        for (item, note) in self.items.into_iter().chain(self.cold) {
            if !matches!(item, Item::Label(_) | Item::Align) && out.notes.last().is_none_or(|(_, n)| *n != note) {
                out.notes.push((here as u32, note));
            }
            match item {
                Item::Align => {
                    let gap = here.next_multiple_of(32) - here;
                    for length in (0..gap / 8).map(|_| 8).chain([gap % 8]).filter(|n| *n > 0) {
                        for byte in NOTHING[length - 1] {
                            encoder.write_u8(*byte);
                        }
                    }
                    here += gap;
                }
                Item::Label(l) => at[l.0 as usize] = here,
                Item::Instruction(i) => here += encoder.encode(&i, 0).unwrap_or_else(|e| panic!("{e} in `{:?}`, which the emitter made", i.code())),
                Item::Jump(when, to) => {
                    let opcode: &[u8] = match when {
                        When::Always => &[0xe9],
                        When::Call => &[0xe8],
                        When::Below => &[0x0f, 0x82],
                        When::AboveOrEqual => &[0x0f, 0x83],
                        When::Above => &[0x0f, 0x87],
                        When::NotZero => &[0x0f, 0x85],
                    };
                    for byte in opcode.iter().chain(&[0; 4]) {
                        encoder.write_u8(*byte);
                    }
                    here += opcode.len() + 4;
                    patches.push((here, to));
                }
            }
        }
        out.code = encoder.take_buffer();
        for (end, to) in patches {
            let distance = at[to.0 as usize] as i64 - end as i64;
            let distance = i32::try_from(distance).expect("code is shorter than 2 GiB");
            out.code[end - 4..end].copy_from_slice(&distance.to_le_bytes());
        }
    }
}
