//! Frames read from CSV, with errors that name row and column.

use super::frame::Frame;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

impl Frame<f64> {
    /// Reads a CSV file: a header with the columns' names, and numbers below; quoted or not, with any line ends, spaces around them left out. Needs the
    /// feature `csv`.
    ///
    /// # Errors
    /// [`Error::File`] if the file can't be read; [`Error::Cell`] for the first cell that is no number, or is missing or one too many;
    /// [`Error::RepeatedColumn`].
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        read(open(path.as_ref())?, Some(path.as_ref()), None)
    }

    /// Reads some columns of a CSV file; the others may hold anything.
    ///
    /// # Errors
    /// As [`Frame::read_csv`]; [`Error::NoColumn`] for one that the header lacks.
    pub fn read_csv_columns(path: impl AsRef<Path>, names: &[&str]) -> Result<Self> {
        read(open(path.as_ref())?, Some(path.as_ref()), Some(names))
    }

    /// Reads CSV from anywhere.
    ///
    /// ```
    /// use tapeless::data::Frame;
    /// # fn main() -> tapeless::Result<()> {
    /// let frame = Frame::from_csv("t_u, t_c\n35.7, 0.5\n55.9, 14".as_bytes())?;
    /// assert_eq!(frame.column("t_c")?, [0.5, 14.0]);
    /// let error = Frame::from_csv("t_u,t_c\n35.7,0.5\n55.9,cold".as_bytes()).unwrap_err();
    /// assert_eq!(error.to_string(), "row 2, column `t_c`: `cold` is no number");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Frame::read_csv`].
    pub fn from_csv(reader: impl Read) -> Result<Self> {
        read(reader, None, None)
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::File { path: path.display().to_string(), message: e.to_string() })
}

fn read(mut reader: impl Read, path: Option<&Path>, wanted: Option<&[&str]>) -> Result<Frame> {
    let file = path.map(|p| p.display().to_string());
    let unread = |message: String| Error::File { path: file.clone().unwrap_or_else(|| "CSV".into()), message };
    let failed = |e: ::csv::Error| unread(e.to_string());
    // A byte order mark is left out only where it comes in one piece, with something behind it; a pipe may give less at a time.
    let mut start = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut start).map_err(|e| unread(e.to_string()))?;
    let reader = start.as_slice().chain(reader);
    // Rows of other lengths are let through, to be reported by row and column.
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).flexible(true).from_reader(reader);
    let header: Vec<String> = reader.headers().map_err(failed)?.iter().map(String::from).collect();
    let places: Vec<usize> = match wanted {
        None => (0..header.len()).collect(),
        Some(names) => names
            .iter()
            .map(|name| header.iter().position(|h| h == name).ok_or_else(|| Error::NoColumn { name: name.to_string(), known: header.clone() }))
            .collect::<Result<_>>()?,
    };
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); places.len()];
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(failed)?;
        let cell = |k: usize, message: String| {
            let column = header.get(k).cloned().unwrap_or_else(|| format!("{}", k + 1));
            Error::Cell { file: file.clone(), row: row as u64 + 1, column, message }
        };
        if record.len() > header.len() {
            return Err(cell(header.len(), format!("the row has {} cells, the header {}", record.len(), header.len())));
        }
        for (to, k) in columns.iter_mut().zip(&places) {
            let number = match record.get(*k) {
                None => return Err(cell(*k, format!("is missing: the row has {} cells, the header {}", record.len(), header.len()))),
                Some("") => return Err(cell(*k, "is empty".into())),
                Some(text) => text.parse().map_err(|_| cell(*k, format!("`{text}` is no number")))?,
            };
            to.push(number);
        }
    }
    Frame::new(places.iter().map(|k| header[*k].clone()).zip(columns))
}
