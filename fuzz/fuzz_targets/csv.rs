//! The CSV reader on any bytes: a frame or an error, and a frame reads back what it is written as.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fmt::Write;
use std::io::{self, Read};
use tapeless::data::Frame;

/// Gives a few bytes at a time, as a pipe may.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(to.len()).min(self.0.len());
        to[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

/// Every name in quotes, every number as its shortest text.
fn write(frame: &Frame) -> String {
    let mut out = frame.names().iter().map(|n| format!("\"{}\"", n.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
    let columns: Vec<&[f64]> = frame.columns().map(|(_, c)| c).collect();
    for row in 0..frame.rows() {
        for (k, column) in columns.iter().enumerate() {
            write!(out, "{}{:?}", if k == 0 { "\r\n" } else { "," }, column[row]).expect("a string takes what is written");
        }
    }
    out
}

fn same(a: &Frame, b: &Frame) -> bool {
    let bits = |x: &f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    a.names() == b.names() && a.columns().zip(b.columns()).all(|((_, x), (_, y))| x.iter().map(bits).eq(y.iter().map(bits)))
}

fuzz_target!(|bytes: &[u8]| {
    let whole = Frame::from_csv(bytes);
    let trickled = Frame::from_csv(Trickle(bytes, 1 + bytes.len() % 7));
    match (whole, trickled) {
        (Ok(frame), Ok(again)) => {
            assert!(same(&frame, &again), "the pieces that bytes come in matter");
            assert!(frame.rows() * frame.names().len() <= bytes.len(), "more cells than bytes");
            let text = write(&frame);
            let back = Frame::from_csv(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\nfor what was read from\n{text}"));
            assert!(same(&frame, &back), "{frame:?}\nreads back as\n{back:?}");
        }
        (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
        (whole, trickled) => panic!("{whole:?}\nat once, and piece by piece\n{trickled:?}"),
    }
});
