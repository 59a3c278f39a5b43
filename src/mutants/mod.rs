//! Breaks every choice of the emitter, one at a time, and asks whether a corpus of kernels gives other bits than the interpreter, touches what isn't its
//! own, or never ends. What makes no difference is listed in `equivalent.rs` with the reason.
//!
//! A broken emitter may do anything, so each break is tried in a process of its own, forked from one that has made everything beforehand. Columns,
//! uniforms and results end where an inaccessible page begins, inputs can't be written, and whatever the code is to write first holds rubbish.
//!
//! The suite tries one break in eight, others for each backend and number type. `TAPELESS_SHARE=1` tries all, and then says as well which of the list are
//! noticed after all; `TAPELESS_ONLY` those of source lines that contain it.

mod corpus;
mod equivalent;
mod process;

use crate::backend::jit::fault::{self, Choice, Defect};
use crate::backend::{Backend, prepare};
use crate::real::Real;
use corpus::{Case, cases};
use equivalent::{EQUIVALENT, SOMETIMES};
use process::{Fate, in_a_fork};
use std::collections::{BTreeMap, BTreeSet};

/// The emitter as it was compiled.
const SOURCES: &[(&str, &str)] = &[
    ("beside.rs", include_str!("../backend/jit/beside.rs")),
    ("body.rs", include_str!("../backend/jit/body.rs")),
    ("combine.rs", include_str!("../backend/jit/combine.rs")),
    ("contraction.rs", include_str!("../backend/jit/contraction.rs")),
    ("function.rs", include_str!("../backend/jit/function.rs")),
    ("operations.rs", include_str!("../backend/jit/operations.rs")),
    ("samples.rs", include_str!("../backend/jit/samples.rs")),
];

/// A break: where, what, and which cases come by.
struct Break {
    choice: Choice,
    defect: Defect,
    cases: Vec<usize>,
}

impl Break {
    /// The source line and what is done there, for the list of those that make no difference.
    fn named(&self) -> (String, String) {
        let (_, text) = SOURCES.iter().find(|(name, _)| self.choice.file.ends_with(name)).expect("a source of the emitter");
        let line = text.lines().nth(self.choice.line as usize - 1).expect("the line is there").trim().to_string();
        let file = self.choice.file.rsplit('/').next().unwrap_or_default();
        (format!("{file}: {line}"), format!("{}: {:?}", self.choice, self.defect))
    }
}

/// All breaks of all choices that any case makes the emitter take.
fn breaks<T: Real>(backend: Backend, cases: &[Case<T>]) -> Vec<Break> {
    let mut found: BTreeMap<Choice, (Vec<Defect>, Vec<usize>)> = BTreeMap::new();
    for (k, case) in cases.iter().enumerate() {
        let (executable, seen) = fault::record(|| prepare::<T>(backend, &case.pass));
        assert!(executable.describe().starts_with(backend.name()), "{}", executable.describe());
        for (choice, defects) in seen {
            let entry = found.entry(choice).or_insert_with(|| (defects, Vec::new()));
            entry.1.push(k);
        }
    }
    let each = found.into_iter().flat_map(|(choice, (defects, cases))| defects.into_iter().map(move |defect| Break { choice, defect, cases: cases.clone() }));
    each.collect()
}

/// What became of the breaks of one backend and number type.
#[derive(Default)]
struct Tally {
    made: usize,
    by_bits: usize,
    by_crash: usize,
    by_time: usize,
    refused: usize,
    none: usize,
    survive: usize,
}

/// Of how many breaks one is tried.
fn share() -> usize {
    std::env::var("TAPELESS_SHARE").map_or(8, |n| n.parse().expect("a number"))
}

fn broken<T: Real>(backend: Backend, tally: &mut Tally) {
    let mut cases = cases::<T>();
    // The quickest first.
    cases.sort_by_key(|case| case.pass.steps.iter().map(|s| s.insts.len()).sum::<usize>() * case.lengths.iter().sum::<usize>());
    for case in &cases {
        assert!(case.is_right(&*prepare::<T>(backend, &case.pass)), "{} {}: {}", backend.name(), T::NAME, case.name);
    }
    let only = std::env::var("TAPELESS_ONLY").unwrap_or_default();
    let first = 2 * usize::from(backend == Backend::Avx512) + usize::from(T::DOUBLE);
    for b in breaks(backend, &cases).into_iter().skip(first % share()).step_by(share()) {
        if !b.named().0.contains(&only) {
            continue;
        }
        tally.made += 1;
        let fate = in_a_fork(|| {
            fault::inject(b.choice, b.defect);
            b.cases.iter().all(|k| cases[*k].is_right(&*prepare::<T>(backend, &cases[*k].pass)))
        });
        match fate {
            Fate::Same => {
                let (line, what) = b.named();
                match EQUIVALENT.iter().position(|(l, w, _)| (*l == "*" || line == *l) && w.split('|').any(|w| w.split('&').all(|w| what.contains(w)))) {
                    Some(k) => {
                        tally.none += 1;
                        println!("LISTED {k}");
                    }
                    None => {
                        tally.survive += 1;
                        let names: Vec<&str> = b.cases.iter().rev().take(3).map(|k| cases[*k].name.as_str()).collect();
                        let line_number = b.choice.line;
                        println!("SURVIVES {line} # {what} # {} {}, line {line_number}, {} cases: {names:?}", backend.name(), T::NAME, b.cases.len());
                    }
                }
            }
            Fate::Different => tally.by_bits += 1,
            Fate::Crashed => tally.by_crash += 1,
            Fate::Endless => tally.by_time += 1,
            Fate::Refused => tally.refused += 1,
        }
    }
}

/// The backend whose emitter a child breaks.
const WHICH: &str = "TAPELESS_BROKEN_BACKEND";

/// Run by the test below in a process of its own, in which nothing else goes on: it forks.
#[test]
// Ignored here, and run in every suite all the same: `every_broken_choice_of_the_emitter_is_caught` starts it for each backend and asserts what it prints.
#[ignore = "run by the test below in a process of its own"]
fn child_breaks_the_emitter() {
    let which = std::env::var(WHICH).unwrap_or_default();
    for backend in Backend::available().into_iter().filter(|b| b.name() == which) {
        for double in [true, false] {
            let mut tally = Tally::default();
            if double {
                broken::<f64>(backend, &mut tally)
            } else {
                broken::<f32>(backend, &mut tally)
            }
            let Tally { made, by_bits, by_crash, by_time, refused, none, survive } = tally;
            println!(
                "DONE {which} f{}: {made} breaks: {by_bits} by other bits, {by_crash} by a crash, {by_time} by time, {refused} by a panic, \
                 {none} are none, {survive} survive",
                if double { 64 } else { 32 }
            );
        }
    }
}

#[test]
fn every_broken_choice_of_the_emitter_is_caught() {
    let child = |backend: &Backend| {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this file"));
        command.args(["--exact", "mutants::child_breaks_the_emitter", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(WHICH, backend.name()).stdout(std::process::Stdio::piped()).spawn().expect("it starts")
    };
    let native: Vec<Backend> = Backend::available().into_iter().filter(|b| *b != Backend::Interp).collect();
    let children: Vec<_> = native.iter().map(child).collect();
    let mut text = String::new();
    for child in children {
        let out = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && said.contains("1 passed") && said.matches("DONE").count() == 2, "{said}");
        text += &said;
    }
    let lines = |start: &str| text.lines().filter_map(|l| Some(l[l.find(start)? + start.len()..].trim())).collect::<BTreeSet<&str>>();
    lines("DONE ").iter().for_each(|l| println!("{l}"));
    let survivors = lines("SURVIVES ");
    assert!(survivors.is_empty(), "{} survive:\n{}", survivors.len(), survivors.iter().copied().collect::<Vec<_>>().join("\n"));
    // Only where everything was tried can it be said of what is listed that it is noticed after all.
    if share() == 1 && std::env::var("TAPELESS_ONLY").is_err() && native.len() == 2 {
        let used = lines("LISTED ");
        let stale: Vec<_> =
            EQUIVALENT.iter().enumerate().filter(|(k, _)| !used.contains(k.to_string().as_str())).filter(|(_, e)| e.2 != SOMETIMES).map(|(_, e)| e).collect();
        assert!(stale.is_empty(), "listed but noticed: {stale:#?}");
    }
}
