//! A graph drawn: as DOT text always, as SVG where Graphviz is there.

use super::write;
use crate::error::{Error, Result};
use crate::graph::{Dag, dot};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes a graph in Graphviz's language to `path` with the extension `dot`, and, where the program `dot` is installed, its drawing beside it with the
/// extension `svg`. Gives back the files written.
///
/// # Errors
/// [`Error::File`] if a file can't be written, or `dot` is there and fails.
pub fn graph(dag: &Dag, path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let (source, drawing) = (path.as_ref().with_extension("dot"), path.as_ref().with_extension("svg"));
    write(&source, &dot::print(dag))?;
    let failed = |message: String| Err(Error::File { path: drawing.display().to_string(), message });
    match Command::new("dot").arg("-Tsvg").arg("-o").arg(&drawing).arg(&source).output() {
        Ok(run) if run.status.success() => Ok(vec![source, drawing]),
        Ok(run) => failed(format!("dot says: {}", String::from_utf8_lossy(&run.stderr).trim())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(vec![source]),
        Err(e) => failed(e.to_string()),
    }
}
