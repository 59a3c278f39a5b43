//! The seal of a saved training: a checksum in its last line, by which a text that was cut off or changed is known.

use std::fmt::{self, Write};

/// What the last line begins with; sixteen lowercase hexadecimal digits follow.
const SEAL: &str = "checksum ";

/// Each byte's part of the checksum.
const TABLE: [u64; 256] = {
    // ECMA-182's polynomial, its bits in reverse order.
    const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC-64/XZ: no change of up to 64 bits in a row goes unseen, of others one in 2^64. Ten lines, where a crate would be one more to trust.
#[derive(Clone, Copy)]
pub(super) struct Crc(u64);

impl Crc {
    pub(super) fn new() -> Self {
        Crc(!0)
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8));
    }

    pub(super) fn sum(self) -> u64 {
        !self.0
    }
}

/// The checksum of a text.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut crc = Crc::new();
    crc.add(bytes);
    crc.sum()
}

/// Passes a text on and keeps its checksum.
pub(super) struct Sealing<'w, W> {
    to: &'w mut W,
    crc: Crc,
}

impl<'w, W: Write> Sealing<'w, W> {
    pub(super) fn new(to: &'w mut W) -> Self {
        Sealing { to, crc: Crc::new() }
    }

    /// Writes the last line.
    pub(super) fn seal(self) -> fmt::Result {
        writeln!(self.to, "{SEAL}{:016x}", self.crc.sum())
    }
}

impl<W: Write> Write for Sealing<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.crc.add(text.as_bytes());
        self.to.write_str(text)
    }
}

/// What became of a seal.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Seal<'t> {
    /// It is as it was put: this is the text above it.
    Whole(&'t [u8]),
    /// The last line isn't one.
    Missing,
    /// The checksum isn't that of the bytes above.
    Broken,
}

/// Looks at a text's seal, to the byte: `1A` is not `1a`, and nothing may follow.
pub(super) fn inspect(text: &[u8]) -> Seal<'_> {
    let Some((_, b"\n")) = text.split_at_checked(text.len().saturating_sub(1)) else { return Seal::Missing };
    let start = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (body, line) = text.split_at(start);
    if !line.starts_with(SEAL.as_bytes()) {
        return Seal::Missing;
    }
    if *line == *format!("{SEAL}{:016x}\n", checksum(body)).as_bytes() { Seal::Whole(body) } else { Seal::Broken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_64_xz() {
        // The check values of the catalogue of parametrised CRC algorithms (G. Cook) and of liblzma.
        assert_eq!(checksum(b"123456789"), 0x995d_c9bb_df19_39fa);
        assert_eq!(checksum(b""), 0);
        let mut parts = Crc::new();
        [&b"1234"[..], b"", b"56789"].iter().for_each(|part| parts.add(part));
        assert_eq!(parts.sum(), checksum(b"123456789"));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_shows() -> fmt::Result {
        let mut text = String::new();
        let mut sealing = Sealing::new(&mut text);
        writeln!(sealing, "first\nchecksum {}", 17)?;
        sealing.seal()?;
        let bytes = text.into_bytes();
        assert_eq!(inspect(&bytes), Seal::Whole(b"first\nchecksum 17\n"));
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(inspect(&changed), Seal::Whole(_)), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(!matches!(inspect(&bytes[..end]), Seal::Whole(_)), "{end} bytes");
        }
        for more in [&b"\n"[..], b" ", b"\0", b"x\n"] {
            assert_eq!(inspect(&[&bytes, more].concat()), Seal::Missing);
        }
        Ok(())
    }
}
