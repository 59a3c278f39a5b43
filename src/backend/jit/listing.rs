//! Machine code as text: each instruction with what it is for.

use super::code::Note;
use crate::kernel::ir::Kernel;
use crate::kernel::text;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};
use std::fmt::Write;

/// Where the notes begin.
const NOTES: usize = 64;

/// Prints the code of one function, which starts at `offset`, beside the IR it computes, if it computes any.
pub fn print(code: &[u8], offset: usize, notes: &[(u32, Note)], kernel: &Kernel, columns: &[String], out: &mut String) {
    let mut decoder = Decoder::with_ip(64, code, offset as u64, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let mut instruction = Instruction::default();
    let mut shown = None;
    let mut line = String::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let at = instruction.ip() as u32;
        // Filling between functions.
        if instruction.code() == iced_x86::Code::Int3 {
            continue;
        }
        line.clear();
        let _ = write!(line, "  {at:5x}  ");
        formatter.format(&instruction, &mut line);
        let position = notes.partition_point(|(start, _)| *start <= at);
        let note = position.checked_sub(1).map(|k| notes[k].1);
        if note != shown {
            while line.len() < NOTES {
                line.push(' ');
            }
            let _ = match note {
                Some(Note::Value(k)) => write!(line, " ; {}", text::line(k as usize, &kernel.insts[k as usize], columns)),
                Some(Note::Invariant(k)) => write!(line, " ; same for all samples: {}", text::line(k as usize, &kernel.insts[k as usize], columns)),
                Some(Note::Frame) => write!(line, " ; entry or exit"),
                Some(Note::Loop) => write!(line, " ; loop"),
                Some(Note::Tail) => write!(line, " ; mask of the samples left"),
                Some(Note::Accumulators) => write!(line, " ; accumulators"),
                Some(Note::Sums) => write!(line, " ; lanes added up"),
                Some(Note::Slow) => write!(line, " ; slow lanes"),
                None => Ok(()),
            };
            shown = note;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
