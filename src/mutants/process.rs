//! Processes that may die, and numbers between inaccessible pages.

// Forks, and maps memory.
#![allow(unsafe_code)]

use crate::real::Real;
use std::sync::OnceLock;

/// What became of a process.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fate {
    /// It said yes.
    Same,
    /// It said no.
    Different,
    /// It was killed by what it did.
    Crashed,
    /// It took too long.
    Endless,
    /// It panicked.
    Refused,
}

/// Microseconds of a process's own time, and by the clock: many times what it needs.
const ENOUGH: [(libc::c_int, i64); 2] = [(libc::ITIMER_VIRTUAL, 400_000), (libc::ITIMER_REAL, 20_000_000)];

/// Runs the question in a forked process.
pub fn in_a_fork(question: impl FnOnce() -> bool) -> Fate {
    static FIRST: OnceLock<u32> = OnceLock::new();
    if *FIRST.get_or_init(std::process::id) != std::process::id() {
        // A child that came back from broken code to the wrong place, and takes itself for its parent.
        // SAFETY: ends this process.
        unsafe { libc::_exit(13) };
    }
    // SAFETY: the process has one thread that does anything, so no lock is held that the copy would wait for.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        for (clock, time) in ENOUGH {
            let time = libc::timeval { tv_sec: time / 1_000_000, tv_usec: time % 1_000_000 };
            let time = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: time };
            // SAFETY: reads a structure, and writes nothing. The signal ends the process.
            unsafe { libc::setitimer(clock, &time, std::ptr::null_mut()) };
        }
        std::panic::set_hook(Box::new(|_| {}));
        // SAFETY: what a dying process says is of no interest.
        unsafe { libc::close(2) };
        let code = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(question)) {
            Ok(true) => 10,
            Ok(false) => 11,
            Err(_) => 12,
        };
        // SAFETY: ends this process, without what the other one has to do at its end.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the process made above, and writes one integer.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 10) => Fate::Same,
        (true, 11) => Fate::Different,
        (true, 12) => Fate::Refused,
        (false, _) if [libc::SIGVTALRM, libc::SIGALRM].contains(&libc::WTERMSIG(status)) => Fate::Endless,
        _ => Fate::Crashed,
    }
}

const PAGE: usize = 4096;

/// Numbers that end where an inaccessible page begins, and come after another one. They stay for good.
pub fn guarded<T: Real>(numbers: &[T], writable: bool) -> &'static mut [T] {
    let data = size_of_val(numbers).next_multiple_of(PAGE).max(PAGE);
    // SAFETY: a new mapping wherever the system likes, checked below.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), data + 2 * PAGE, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
    assert_ne!(map, libc::MAP_FAILED);
    // SAFETY: inside the mapping.
    let inner = unsafe { map.cast::<u8>().add(PAGE) };
    // SAFETY: pages of the mapping.
    assert_eq!(unsafe { libc::mprotect(inner.cast(), data, libc::PROT_READ | libc::PROT_WRITE) }, 0);
    // SAFETY: inside the accessible pages; both ends are multiples of the number's size.
    let first: *mut T = unsafe { inner.add(data - size_of_val(numbers)) }.cast();
    // SAFETY: so many numbers fit between `first` and the end, and nobody else knows the mapping.
    let out = unsafe { std::slice::from_raw_parts_mut(first, numbers.len()) };
    out.copy_from_slice(numbers);
    if !writable {
        // SAFETY: pages of the mapping, which are only read from here on.
        assert_eq!(unsafe { libc::mprotect(inner.cast(), data, libc::PROT_READ) }, 0);
    }
    out
}
