//! Pages of machine code: written, then made executable, never both; unmapped on drop.
//!
//! Where the system refuses to make a written page executable (`PR_SET_MDWE`, hardened kernels), the code goes into an anonymous file that is
//! sealed against writing and then mapped read-execute.

// One of the rooms with `unsafe`: the system calls that map and unmap.
#![allow(unsafe_code)]

use std::io::Error;
use std::ptr::NonNull;

/// Executable pages that nobody can write.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    len: usize,
    /// How they came to be executable.
    pub way: &'static str,
}

// SAFETY: the pages are never written again, and reading or running them needs no thread of its own.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Pages with this code at their start.
    ///
    /// # Errors
    /// What the system said, if it lets nobody have executable pages.
    pub fn new(code: &[u8]) -> Result<Pages, String> {
        let first = match Pages::protected(code) {
            Ok(pages) => return Ok(pages),
            Err(e) => e,
        };
        Pages::sealed(code).map_err(|second| format!("no executable pages: mprotect: {first}; sealed memfd: {second}"))
    }

    /// Anonymous pages, written, then made executable.
    fn protected(code: &[u8]) -> Result<Pages, Error> {
        let pages = Pages::map(code.len(), libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, "mprotect")?;
        // SAFETY: the mapping is new, writable, at least as long as the code, and nobody else knows it.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), pages.start.as_ptr(), code.len()) };
        // SAFETY: exactly the mapping just made; its writable time is over, `pages` gives out no way to write.
        let done = unsafe { libc::mprotect(pages.start.as_ptr().cast(), pages.len, libc::PROT_READ | libc::PROT_EXEC) };
        if done == 0 { Ok(pages) } else { Err(Error::last_os_error()) }
    }

    /// A sealed anonymous file, mapped read-execute.
    #[cfg(target_os = "linux")]
    fn sealed(code: &[u8]) -> Result<Pages, Error> {
        use std::io::Write;
        use std::os::fd::{AsRawFd, FromRawFd};
        // SAFETY: the name is a C string; the call has no other condition.
        let fd = unsafe { libc::memfd_create(c"tapeless".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: a descriptor just opened that nobody else owns.
        let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
        file.write_all(code)?;
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: an open descriptor; the call reads an integer.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(Error::last_os_error());
        }
        Pages::map(code.len(), libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE, file.as_raw_fd(), "sealed memfd")
    }

    #[cfg(not(target_os = "linux"))]
    fn sealed(_: &[u8]) -> Result<Pages, Error> {
        Err(Error::from(std::io::ErrorKind::Unsupported))
    }

    fn map(len: usize, protection: i32, flags: i32, fd: i32, way: &'static str) -> Result<Pages, Error> {
        let len = len.max(1);
        // SAFETY: no address is asked for, so nothing that is mapped changes; whatever comes back is checked.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::other("mapped at address 0"))?;
        Ok(Pages { start, len, way })
    }

    /// The code.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped readable for as long as `self` lives, and never written in that time.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map` made; with `self` the last way to reach it goes.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
