//! Replacing a file as a whole: whoever reads it finds the old one or the new one, whenever the writer is stopped.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Writes a file in place of what is there. The new one is made beside the old one, brought to the disk, and renamed over it; then the folder is brought to the
/// disk. Where something fails, the old file stays and the new one is taken away.
///
/// # Errors
/// [`Error::File`] with the system's words.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let failed = |error: io::Error| file_error(path, error.to_string());
    let name = path.file_name().ok_or_else(|| file_error(path, "not the path of a file".into()))?;
    // Beside it, so that renaming doesn't leave the file system. No two writers share one: neither processes nor threads.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let mut beside = name.to_os_string();
    beside.push(format!(".{}.{}.tmp", std::process::id(), WRITTEN.fetch_add(1, Relaxed)));
    let beside = path.with_file_name(beside);
    let made = File::create(&beside).and_then(|file| {
        let mut to = BufWriter::with_capacity(1 << 16, file);
        write(&mut to)?;
        // Renamed before its bytes are on the disk, it could be found empty after a power failure.
        to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    if let Err(error) = made.and_then(|()| fs::rename(&beside, path)) {
        // What went wrong first is what is told.
        let _ = fs::remove_file(&beside);
        return Err(failed(error));
    }
    sync_folder(path).map_err(failed)
}

/// Brings a folder's entries to the disk, where the system does so by a file handle.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(folder)?.sync_all() {
        // Some file systems, those of networks first, have nothing to do for a folder and say so.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
}

pub(super) fn file_error(path: &Path, message: String) -> Error {
    Error::File { path: path.display().to_string(), message }
}
