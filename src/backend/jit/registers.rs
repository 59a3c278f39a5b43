//! Who is in which register: linear scan over a block of straight-line code. What is needed last leaves first (Belady), and costs a store only
//! if it was computed and isn't in the frame yet; constants, uniforms and columns can always be read again.

use super::machine::{Home, Program, Val};

/// No register, no slot.
const NOWHERE: u32 = u32::MAX;

/// One kind of registers.
#[derive(Clone, Debug)]
pub struct File {
    holder: [Val; 32],
    /// Those the allocator may use.
    usable: u32,
    /// Those of them that hold nothing.
    free: u32,
    /// Those that the operation at hand needs.
    locked: u32,
}

impl File {
    fn new(usable: u32) -> Self {
        File { holder: [Val::NONE; 32], usable, free: usable, locked: 0 }
    }
}

/// All registers, and where each value is.
#[derive(Clone, Debug)]
pub struct Registers {
    /// Vectors, then mask registers.
    files: [File; 2],
    /// For each value its register.
    at: Vec<u32>,
    /// For each value its slot in the frame.
    slot: Vec<u32>,
    /// For each value how many of its uses are behind.
    behind: Vec<u32>,
    free_slots: Vec<u32>,
    /// Slots in use, at most.
    pub slots: u32,
}

/// What has to be stored before a register can be taken.
#[derive(Clone, Copy, Debug)]
pub struct Evicted {
    /// The slot.
    pub slot: u32,
    /// From this register.
    pub register: u8,
}

impl Registers {
    /// `vectors` and `masks` are the registers that may be used, as bits.
    pub fn new(n: usize, vectors: u32, masks: u32) -> Self {
        Registers {
            files: [File::new(vectors), File::new(masks)],
            at: vec![NOWHERE; n],
            slot: vec![NOWHERE; n],
            behind: vec![0; n],
            free_slots: Vec::new(),
            slots: 0,
        }
    }

    /// Takes a vector register out of the allocator's hands.
    pub fn reserve(&mut self) -> u8 {
        let file = &mut self.files[0];
        // From the top, so that the lowest stay for the block's values.
        let r = 31 - file.free.leading_zeros();
        file.free &= !(1 << r);
        file.usable &= !(1 << r);
        r as u8
    }

    /// Gives reserved registers back.
    pub fn give_back(&mut self, registers: &[u8]) {
        for r in registers {
            self.files[0].usable |= 1 << r;
            self.files[0].free |= 1 << r;
        }
    }

    /// Keeps a value in a reserved register for good.
    pub fn pin(&mut self, v: Val, register: u8) {
        self.at[v.index()] = u32::from(register);
    }

    /// How many vector registers may be used.
    pub fn usable(&self) -> usize {
        self.files[0].usable.count_ones() as usize
    }

    /// A new block: nothing is anywhere but what is pinned.
    pub fn begin(&mut self) {
        for file in &mut self.files {
            let mut held = file.usable & !file.free;
            while held != 0 {
                let r = held.trailing_zeros();
                held &= held - 1;
                let v = file.holder[r as usize];
                if v != Val::NONE {
                    self.at[v.index()] = NOWHERE;
                }
            }
            file.free = file.usable;
            file.locked = 0;
        }
        self.slot.fill(NOWHERE);
        self.behind.fill(0);
        self.free_slots = (0..self.slots).rev().collect();
    }

    /// A new operation: nothing is locked.
    pub fn unlock(&mut self) {
        self.files[0].locked = 0;
        self.files[1].locked = 0;
    }

    /// The register a value is in.
    pub fn register(&self, v: Val) -> Option<u8> {
        let r = self.at[v.index()];
        (r != NOWHERE).then_some(r as u8)
    }

    /// The slot it was stored to.
    pub fn slot(&self, v: Val) -> Option<u32> {
        let s = self.slot[v.index()];
        (s != NOWHERE).then_some(s)
    }

    /// Whether it is in a register that an operation may overwrite.
    pub fn is_pinned(&self, v: Val, file: usize) -> bool {
        self.register(v).is_some_and(|r| self.files[file].usable & (1 << r) == 0)
    }

    /// Keeps the register from being taken until the next operation.
    pub fn lock(&mut self, file: usize, register: u8) {
        self.files[file].locked |= 1 << register;
    }

    /// A free register of a kind at operation `now`, and what must be stored first.
    pub fn take(&mut self, program: &Program, file: usize, now: u32) -> (u8, Option<Evicted>) {
        let free = self.files[file].free & !self.files[file].locked;
        if free != 0 {
            let r = free.trailing_zeros();
            self.files[file].free &= !(1 << r);
            self.files[file].locked |= 1 << r;
            self.files[file].holder[r as usize] = Val::NONE;
            return (r as u8, None);
        }
        let mut held = self.files[file].usable & !self.files[file].locked;
        let mut last: Option<(u32, u32)> = None;
        while held != 0 {
            let r = held.trailing_zeros();
            held &= held - 1;
            let v = self.files[file].holder[r as usize];
            let next = self.next_use(program, v, now);
            if last.is_none_or(|(n, _)| next > n) {
                last = Some((next, r));
            }
        }
        let Some((_, r)) = last else { unreachable!("an operation needs fewer registers than there are") };
        let v = self.files[file].holder[r as usize];
        self.at[v.index()] = NOWHERE;
        let stored = program.values[v.index()].home != Home::Computed || self.slot[v.index()] != NOWHERE;
        let evicted = (!stored).then(|| {
            let slot = self.free_slots.pop().unwrap_or_else(|| {
                self.slots += 1;
                self.slots - 1
            });
            self.slot[v.index()] = slot;
            Evicted { slot, register: r as u8 }
        });
        self.files[file].locked |= 1 << r;
        self.files[file].holder[r as usize] = Val::NONE;
        (r as u8, evicted)
    }

    fn next_use(&mut self, program: &Program, v: Val, now: u32) -> u32 {
        let uses = program.uses(v);
        let behind = &mut self.behind[v.index()];
        while uses.get(*behind as usize).is_some_and(|u| *u <= now) {
            *behind += 1;
        }
        uses.get(*behind as usize).copied().unwrap_or(u32::MAX)
    }

    /// Whether a value is used after operation `now`.
    pub fn is_used_after(&mut self, program: &Program, v: Val, now: u32) -> bool {
        self.next_use(program, v, now) != u32::MAX
    }

    /// Whether a value is used by one of the next two operations, and there are registers to spare.
    pub fn is_used_soon(&mut self, program: &Program, v: Val, now: u32) -> bool {
        let free = self.files[0].free & !self.files[0].locked;
        free.count_ones() >= 2 && self.next_use(program, v, now) <= now + 2
    }

    /// Puts a value into a taken register.
    pub fn hold(&mut self, file: usize, v: Val, register: u8) {
        self.files[file].holder[register as usize] = v;
        self.at[v.index()] = u32::from(register);
    }

    /// Takes a particular register that was just left.
    pub fn claim(&mut self, file: usize, register: u8) {
        self.files[file].free &= !(1 << register);
        self.files[file].locked |= 1 << register;
    }

    /// Gives back a register taken for the moment.
    pub fn free(&mut self, file: usize, register: u8) {
        self.files[file].free |= 1 << register;
        self.files[file].locked &= !(1 << register);
        self.files[file].holder[register as usize] = Val::NONE;
    }

    /// Gives back the register of a value that isn't needed any more, unless it is pinned.
    pub fn leave(&mut self, file: usize, v: Val) {
        if let Some(r) = self.register(v)
            && self.files[file].usable & (1 << r) != 0
        {
            self.at[v.index()] = NOWHERE;
            self.free(file, r);
        }
    }

    /// Gives back the slot of a value that isn't needed any more. Not before the operation that reads it is emitted: the next store may go there.
    pub fn leave_slot(&mut self, v: Val) {
        let slot = std::mem::replace(&mut self.slot[v.index()], NOWHERE);
        if slot != NOWHERE {
            self.free_slots.push(slot);
        }
    }
}
