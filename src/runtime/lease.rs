//! Working memory that calls hand on to each other without waiting.

use crossbeam_queue::ArrayQueue;
use spin::mutex::SpinMutex;
use std::fmt;

/// What calls need while they run, made when there is none to take over.
pub struct Leases<W> {
    /// Whoever finds this free has it for the whole call: one atomic operation to enter and a plain write to leave, where the queue takes one to take and one to give back. A call of
    /// 11 samples is a hundred nanoseconds long. Nobody waits for it.
    first: SpinMutex<Option<Box<W>>>,
    /// For calls at the same time.
    others: ArrayQueue<Box<W>>,
}

impl<W> fmt::Debug for Leases<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("others", &self.others.len()).finish_non_exhaustive()
    }
}

impl<W> Leases<W> {
    /// None yet; `kept` of them at most are kept beside the first.
    pub fn new(kept: usize) -> Self {
        Leases { first: SpinMutex::new(None), others: ArrayQueue::new(kept) }
    }

    /// Runs with one that nobody else has meanwhile. Where `run` panics, it is lost.
    #[inline]
    pub fn with<R>(&self, make: impl FnOnce() -> W, run: impl FnOnce(&mut W) -> R) -> R {
        // One place that calls `run`: it is compiled into the caller then.
        let mut first = self.first.try_lock();
        let idle = first.as_mut().map_or_else(|| self.others.pop(), |first| first.take());
        let mut lease = idle.unwrap_or_else(|| Box::new(make()));
        let result = run(&mut lease);
        match &mut first {
            Some(first) => **first = Some(lease),
            // A full queue only means that this one is made anew another time.
            None => drop(self.others.push(lease)),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn nobody_has_what_another_one_has() {
        let leases = Leases::new(1);
        let next = std::cell::Cell::new(0);
        let make = || next.replace(next.get() + 1);
        let inner = |expected: &[i32]| leases.with(make, |a| leases.with(make, |b| leases.with(make, |c| assert_eq!([*a, *b, *c], expected))));
        inner(&[0, 1, 2]);
        // The third found the queue full when it came back, or the second did.
        inner(&[0, 2, 3]);
        let caught = catch_unwind(AssertUnwindSafe(|| leases.with(make, |_| panic!("a call that fails"))));
        assert!(caught.is_err());
        assert_eq!(leases.with(make, |a| *a), 4);
    }
}
