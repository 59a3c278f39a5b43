//! The house's order, held by scanning `src/`: imports point down, `unsafe` stays in its room with its reasons, no room is too large.

use std::path::{Path, PathBuf};

/// Each module's floor. Within a floor a module may import those named before it: distributions are made of expressions, an error shows shapes.
const FLOORS: &[&[&str]] = &[
    &["known", "ranges", "special", "strided", "labels", "real", "lines", "column", "random", "shape", "op", "error"],
    &["graph"],
    &["expr", "constraint", "dist", "loss", "layer"],
    &["diff", "simplify"],
    &["schedule"],
    &["kernel"],
    &["backend"],
    &["runtime"],
    &["derivatives", "pipeline"],
    &["check", "data", "fit", "sample", "plot"],
    // Of this crate's own tests.
    &["mutants"],
];
/// The files that may hold `unsafe`.
const UNSAFE: &[&str] = &[
    "src/backend/environment.rs",
    "src/backend/interp/level.rs",
    "src/backend/interp/shuffle.rs",
    "src/backend/jit/call.rs",
    "src/backend/jit/mod.rs",
    "src/backend/jit/pages.rs",
    "src/mutants/process.rs",
];
/// How a block begins, in two pieces: this file has no unsafe code.
const BLOCK: &str = concat!("unsafe", " {");
const LONGEST: usize = 600;

/// The floor, and the position on it.
fn floor(module: &str) -> Option<(usize, usize)> {
    FLOORS.iter().enumerate().find_map(|(k, f)| Some((k, f.iter().position(|m| *m == module)?)))
}

/// Every Rust file under `src/`: its path from the crate's root, and its text.
fn sources() -> Vec<(String, String)> {
    fn walk(at: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    files.sort();
    assert!(files.len() > 20, "the sources are in src/");
    let name = |p: &Path| p.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    files.into_iter().map(|p| (name(&p), std::fs::read_to_string(&p).unwrap())).collect()
}

/// The module a file belongs to: the first name below `src/`.
fn module(file: &str) -> &str {
    let below = file.strip_prefix("src/").unwrap();
    below.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Numbered lines of code: without comments, string literals and `#[cfg(test)]` items (which end where the brace that they open closes).
fn code(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut test: Option<i64> = None;
    for (k, line) in text.lines().enumerate() {
        let line = without_literals(line);
        let line = line.split("//").next().unwrap_or("").to_string();
        if line.trim_start().starts_with("#[cfg(test)]") {
            test = Some(0);
        }
        let opened = line.matches('{').count() as i64;
        let depth = opened - line.matches('}').count() as i64;
        match &mut test {
            None => out.push((k + 1, line)),
            Some(held) => {
                let inside = *held > 0 || opened > 0;
                *held += depth;
                if (inside && *held <= 0) || (!inside && line.trim_end().ends_with(';')) {
                    test = None;
                }
            }
        }
    }
    out
}

/// The line with the insides of its string and character literals left out.
fn without_literals(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => {
                chars.next();
            }
            '"' => {
                quoted = !quoted;
                out.push('"');
            }
            // A character literal, not a lifetime: `'x'` or `'\n'`.
            '\'' if !quoted => {
                let rest: Vec<char> = chars.clone().take(3).collect();
                let skip = match rest[..] {
                    ['\\', _, '\'', ..] => 3,
                    [_, '\'', ..] => 2,
                    _ => 0,
                };
                for _ in 0..skip {
                    chars.next();
                }
                out.push('\'');
            }
            c if !quoted => out.push(c),
            _ => {}
        }
    }
    out
}

/// The modules a file's code names as `crate::module`, also inside `use crate::{a, b::c}`.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (line, code) in code(text) {
        for (at, _) in code.match_indices("crate::") {
            // `$crate::` in a macro counts as well; `mycrate::` does not.
            if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + "crate::".len()..];
            let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
            if let Some(list) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut expect = true;
                for (k, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => expect = true,
                        c if expect && (c.is_alphanumeric() || c == '_') => {
                            out.push((line, word(&list[k..])));
                            expect = false;
                        }
                        _ => {}
                    }
                }
            } else {
                out.push((line, word(rest)));
            }
        }
    }
    out
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, text) in sources() {
        let own = module(&file);
        if own == "lib" {
            continue;
        }
        let Some(at) = floor(own) else {
            wrong.push(format!("{file}: module `{own}` is on no floor"));
            continue;
        };
        for (line, name) in imports(&text) {
            seen += 1;
            match floor(&name) {
                Some(other) if other < at || name == own => {}
                Some(other) => wrong.push(format!("{file}:{line}: floor {} imports `{name}` of floor {}", at.0, other.0)),
                // A type that lib.rs re-exports: import it from where it lives.
                None => wrong.push(format!("{file}:{line}: `crate::{name}` is no module of a floor")),
            }
        }
    }
    assert!(seen > 80, "found only {seen} imports");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_stays_in_its_room() {
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, code) in code(&text) {
            let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            if !words.contains(&"unsafe") {
                assert!(!words.contains(&"unsafe_code") || UNSAFE.contains(&file.as_str()), "{file}:{number} relaxes the lint");
                continue;
            }
            assert!(UNSAFE.contains(&file.as_str()), "{file}:{number}: unsafe outside its room");
            if code.contains(BLOCK) {
                // Just above: the comment's last line, or its first one above the rest of it.
                let above = lines[..number - 1].iter().rev().take_while(|l| l.trim_start().starts_with("//")).any(|l| l.contains("SAFETY:"));
                assert!(above, "{file}:{number}: `{BLOCK}` without a SAFETY: comment just above");
            }
        }
    }
}

#[test]
fn rooms_are_small() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{file} has {lines} lines: look for the second idea in it");
        assert!(text.starts_with("//!"), "{file} starts by saying what it holds");
    }
}

#[test]
fn the_scanner_sees_what_it_should() {
    let text = "use crate::{graph::{Dag, NodeId}, op, runtime::LEAF};\n// crate::fit\nlet s = \"crate::fit // \"; crate::shape::x();\n#[cfg(test)]\nmod tests {\n    use crate::fit;\n}\nuse crate::real;\n#[cfg(test)]\nuse crate::check;\nuse crate::diff;";
    let found: Vec<String> = imports(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(found, ["1 graph", "1 op", "1 runtime", "3 shape", "8 real", "11 diff"]);
    assert_eq!(without_literals("'\"' => \"a\\\"b\", 'x', 'a>"), "' => \"\", ', 'a>");
}
