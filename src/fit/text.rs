//! The text of saved states: lines of words, whole numbers, bit patterns in hexadecimal, vectors, parameters.

use crate::graph::Input;
use crate::runtime::params::Layout;
use crate::shape::Shape;
use std::fmt;
use std::str::FromStr;

/// Numbers on a line.
const ROW: usize = 8;

/// A number as its bit pattern, with what it is for people.
pub(super) fn write_setting(f: &mut impl fmt::Write, name: &str, value: f64) -> fmt::Result {
    writeln!(f, "setting {name:?} {:016x} # {value}", value.to_bits())
}

/// A parameter's line: its name, what `extra` says, its dimensions.
pub(super) fn write_param(f: &mut impl fmt::Write, layout: &Layout, name: &str, extra: &str) -> fmt::Result {
    write!(f, "param {name:?}{extra}")?;
    for d in layout.shape(name).map_or(&[][..], Shape::dims) {
        write!(f, " {d}")?;
    }
    writeln!(f)
}

/// A vector's name and length, and its numbers.
pub(super) fn write_vector(f: &mut impl fmt::Write, name: &str, numbers: &[f64]) -> fmt::Result {
    writeln!(f, "vector {name:?} {}", numbers.len())?;
    for row in numbers.chunks(ROW) {
        for (k, x) in row.iter().enumerate() {
            write!(f, "{}{:016x}", if k == 0 { "" } else { " " }, x.to_bits())?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Reads parameters: adds one of this name and these dimensions.
pub(super) fn read_param(params: &mut Vec<Input>, name: &str, dims: &[&str]) -> Result<(), String> {
    let shape = Shape::new(&dims.iter().map(|d| whole(d)).collect::<Result<Vec<_>, _>>()?);
    if !shape.is_sound() {
        return Err(format!("no parameter can have shape {shape}"));
    }
    if params.iter().any(|p| p.name == name) {
        return Err(format!("parameter {name:?} comes twice"));
    }
    params.push(Input::new(name, shape));
    Ok(())
}

/// Reads vectors, line by line.
#[derive(Default)]
pub(super) struct Vectors {
    /// Those begun so far.
    pub(super) list: Vec<(String, Vec<f64>)>,
    /// Numbers still to come of the last one.
    missing: usize,
}

impl Vectors {
    pub(super) fn begin(&mut self, name: &str, count: &str) -> Result<(), String> {
        if self.list.iter().any(|(n, _)| n == name) {
            return Err(format!("vector {name:?} comes twice"));
        }
        self.missing = whole(count)?;
        self.list.push((name.into(), Vec::new()));
        Ok(())
    }

    /// Takes a line of numbers, if some are still to come.
    pub(super) fn take(&mut self, words: &[&str]) -> Result<bool, String> {
        let (Some((_, numbers)), 1..) = (self.list.last_mut(), self.missing) else { return Ok(false) };
        if words.len() > self.missing {
            return Err(format!("{} numbers where {} were to come", words.len(), self.missing));
        }
        for word in words {
            numbers.push(bits(word)?);
        }
        self.missing -= words.len();
        Ok(true)
    }

    /// A vector that hasn't one number for each of the parameters'.
    pub(super) fn misfit(&self, layout: &Layout) -> Option<String> {
        let (name, numbers) = self.list.iter().find(|(_, numbers)| numbers.len() != layout.len())?;
        Some(format!("vector {name:?} has {} numbers, but the parameters have {}", numbers.len(), layout.len()))
    }
}

pub(super) fn once(seen: &mut bool, what: &str) -> Result<(), String> {
    if std::mem::replace(seen, true) { Err(format!("`{what}` comes twice")) } else { Ok(()) }
}

pub(super) fn whole<N: FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("`{word}` is not a whole number"))
}

pub(super) fn bits(word: &str) -> Result<f64, String> {
    let digits = word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let number = digits.then(|| u64::from_str_radix(word, 16).ok()).flatten();
    number.map(f64::from_bits).ok_or_else(|| format!("`{word}` is not a bit pattern of 16 hexadecimal digits"))
}

/// A line's words up to a `#`: bare ones, and quoted ones with Rust's escapes.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        if let Some(inner) = rest.strip_prefix('"') {
            let (word, after) = quoted(inner)?;
            out.push(word);
            rest = after.trim_start();
        } else {
            let len = rest.find(|c: char| c.is_whitespace() || c == '#' || c == '"').unwrap_or(rest.len());
            out.push(rest[..len].to_string());
            rest = rest[len..].trim_start();
        }
    }
    Ok(out)
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((out, chars.as_str())),
            '\\' => out.push(match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('0') => '\0',
                Some('u') => {
                    let code: String = chars.by_ref().skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
                    u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).ok_or("a bad \\u escape")?
                }
                Some(c) => c,
                None => break,
            }),
            c => out.push(c),
        }
    }
    Err("a quote that doesn't close".into())
}
