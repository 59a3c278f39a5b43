//! A stepper's saved state, exact to the bit, and its text form.

use super::stepper::bad;
use super::text::{Vectors, bits, once, read_param, whole, words, write_param, write_setting, write_vector};
use crate::error::{Error, Result};
use crate::graph::Input;
use crate::real::Real;
use crate::runtime::params::Layout;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The first line of the text form.
const HEADER: &str = "tapeless stepper state 1";

/// All that a stepper's next steps depend on beside the parameters: what [`Stepper::state`](super::Stepper::state) gives and
/// [`Stepper::restore`](super::Stepper::restore) takes.
///
/// Numbers are `f64`; those of an `f32` stepper are exact in it. The text form, from `Display` and read by `FromStr`, holds the bit patterns in hexadecimal,
/// so that what is read is what was written, to the bit. What follows a `#` is for people.
///
/// ```
/// use tapeless::fit::{Adam, State, Stepper};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().mean().compile()?;
/// let data = program.bind([("x", &[1.0, 2.0, 6.0])])?;
/// let mut theta = program.params([("w", 0.0)])?;
/// let mut adam = Adam::new(0.1);
/// let (_, grad) = data.value_and_grad(&theta)?;
/// adam.step(&mut theta, &grad)?;
///
/// let text = adam.state().to_string();
/// assert!(text.starts_with("tapeless stepper state 1\nstepper \"adam\"\nnumber \"f64\"\nlearning_rate 3fb999999999999a # 0.1\n"));
/// let mut other = Adam::new(0.1);
/// other.restore(&text.parse::<State>()?)?;
/// let mut there = theta.clone();
/// let (_, grad) = data.value_and_grad(&theta)?;
/// adam.step(&mut theta, &grad)?;
/// other.step(&mut there, &grad)?;
/// assert_eq!(theta, there);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// The kind of stepper.
    pub stepper: String,
    /// The number type, `f64` or `f32`.
    pub number: String,
    /// The learning rate, which a restored stepper takes over.
    pub learning_rate: f64,
    /// Settings that the restored stepper must have too.
    pub settings: Vec<(String, f64)>,
    /// How many steps were taken.
    pub steps: u64,
    /// The parameters; empty before the first step.
    pub layout: Arc<Layout>,
    /// How many steps each parameter has taken: fewer than `steps` for one that some gradients didn't hold.
    pub counts: Vec<u64>,
    /// The stepper's vectors by name, each laid out like the parameters.
    pub vectors: Vec<(String, Vec<f64>)>,
}

impl State {
    /// The state of a stepper of this kind before its first step.
    pub fn new<T: Real>(stepper: &str, learning_rate: f64) -> Self {
        State {
            stepper: stepper.into(),
            number: T::NAME.into(),
            learning_rate,
            settings: Vec::new(),
            steps: 0,
            layout: Arc::default(),
            counts: Vec::new(),
            vectors: Vec::new(),
        }
    }

    /// With these settings.
    pub fn settings(mut self, settings: &[(&str, f64)]) -> Self {
        self.settings = settings.iter().map(|(name, value)| ((*name).into(), *value)).collect();
        self
    }

    /// With one more vector.
    pub fn vector<T: Real>(mut self, name: &str, numbers: &[T]) -> Self {
        self.vectors.push((name.into(), numbers.iter().map(|x| x.to_f64()).collect()));
        self
    }

    /// Holds a state against what a stepper expects: its kind, its number type, its settings, its vectors. Gives back the vectors in the order asked.
    ///
    /// # Errors
    /// [`Error::Setting`] that says what differs.
    pub fn check<T: Real>(&self, stepper: &str, settings: &[(&str, f64)], vectors: &[&str]) -> Result<Vec<Vec<T>>> {
        if self.stepper != stepper {
            return Err(self.refused(format!("this stepper is `{stepper}`")));
        }
        if self.number != T::NAME {
            return Err(self.refused(format!("its numbers are {}, this stepper's are {}", self.number, T::NAME)));
        }
        same_settings(&self.settings, settings, "state", "stepper")?;
        if self.vectors.len() != vectors.len() {
            return Err(self.refused(format!("it holds {} vectors, this stepper {}", self.vectors.len(), vectors.len())));
        }
        let find = |name: &&str| {
            let (_, numbers) = self.vectors.iter().find(|(n, _)| n == name).ok_or_else(|| self.refused(format!("it has no vector `{name}`")))?;
            if numbers.len() != self.layout.len() {
                return Err(self.refused(format!("`{name}` has {} numbers, the parameters {}", numbers.len(), self.layout.len())));
            }
            Ok(numbers.iter().map(|x| T::from_f64(*x)).collect())
        };
        vectors.iter().map(find).collect()
    }

    /// The error for a state that can't be restored.
    pub(super) fn refused(&self, why: String) -> Error {
        bad("state", format!("saved by `{}` and not to be restored here: {why}", self.stepper))
    }
}

/// Whether saved settings are what they are now.
pub(super) fn same_settings<N: AsRef<str>>(saved: &[(String, f64)], settings: &[(N, f64)], what: &str, whose: &str) -> Result<()> {
    for (name, value) in settings.iter().map(|(name, value)| (name.as_ref(), value)) {
        match saved.iter().find(|(n, _)| n == name) {
            Some((_, saved)) if saved.to_bits() == value.to_bits() => {}
            Some((_, saved)) => return Err(bad(name, format!("the {what} was saved with {saved}, this {whose} has {value}"))),
            None => return Err(bad(name, format!("the {what} doesn't hold it, this {whose} has {value}"))),
        }
    }
    match saved.iter().find(|(name, _)| settings.iter().all(|(n, _)| n.as_ref() != name)) {
        Some((name, value)) => Err(bad(name, format!("the {what} was saved with {value}, this {whose} doesn't know it"))),
        None => Ok(()),
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "stepper {:?}", self.stepper)?;
        writeln!(f, "number {:?}", self.number)?;
        writeln!(f, "learning_rate {:016x} # {}", self.learning_rate.to_bits(), self.learning_rate)?;
        for (name, value) in &self.settings {
            write_setting(f, name, *value)?;
        }
        writeln!(f, "steps {}", self.steps)?;
        for (name, count) in self.layout.names().zip(&self.counts) {
            write_param(f, &self.layout, name, &format!(" {count}"))?;
        }
        for (name, numbers) in &self.vectors {
            write_vector(f, name, numbers)?;
        }
        writeln!(f, "end")
    }
}

impl FromStr for State {
    type Err = Error;

    /// Reads the text form. [`Error::Parse`] names the line that is not one.
    fn from_str(text: &str) -> Result<State> {
        let mut state = State::new::<f64>("", 0.0);
        let mut seen = Seen::default();
        let mut count = 0;
        for (k, line) in text.lines().enumerate() {
            count = k + 1;
            read(&mut state, &mut seen, k, line).map_err(|message| Error::Parse { line: k + 1, message })?;
        }
        let fail = |message: &str| Error::Parse { line: count + 1, message: message.into() };
        if !seen.end {
            return Err(fail("the state ends before `end`"));
        }
        if !(seen.stepper && seen.number && seen.learning_rate && seen.steps) {
            return Err(fail("a state has a stepper, a number type, a learning rate and steps"));
        }
        state.layout = Arc::new(Layout::new(&seen.params));
        if let Some(message) = seen.vectors.misfit(&state.layout) {
            return Err(fail(&message));
        }
        state.vectors = seen.vectors.list;
        Ok(state)
    }
}

/// What the reader has met so far.
#[derive(Default)]
struct Seen {
    stepper: bool,
    number: bool,
    learning_rate: bool,
    steps: bool,
    end: bool,
    params: Vec<Input>,
    vectors: Vectors,
}

fn read(state: &mut State, seen: &mut Seen, k: usize, line: &str) -> Result<(), String> {
    let words = words(line)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if k == 0 {
        return if words.join(" ") == HEADER { Ok(()) } else { Err(format!("a state begins with `{HEADER}`")) };
    }
    if words.is_empty() {
        return Ok(());
    }
    if seen.end {
        return Err("nothing comes after `end`".into());
    }
    if seen.vectors.take(&words)? {
        return Ok(());
    }
    match *words.as_slice() {
        ["stepper", name] => {
            once(&mut seen.stepper, "stepper")?;
            state.stepper = name.into();
        }
        ["number", name] => {
            once(&mut seen.number, "number")?;
            state.number = name.into();
        }
        ["learning_rate", value] => {
            once(&mut seen.learning_rate, "learning_rate")?;
            state.learning_rate = bits(value)?;
        }
        ["setting", name, value] => state.settings.push((name.into(), bits(value)?)),
        ["steps", count] => {
            once(&mut seen.steps, "steps")?;
            state.steps = whole(count)?;
        }
        ["param", name, count, ref dims @ ..] => {
            read_param(&mut seen.params, name, dims)?;
            state.counts.push(whole(count)?);
        }
        ["vector", name, count] => seen.vectors.begin(name, count)?,
        ["end"] => seen.end = true,
        [first, ..] => return Err(format!("not a line of a state, or not all of it: `{first} ...`")),
        [] => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn the_text_form_is_exact() -> Result<()> {
        let name = "odd \"name\" # with\n\t\\ and \u{7f}\u{200b}é";
        let params = [("", &[][..]), (name, &[2, 3])].map(|(name, dims)| Input::new(name, Shape::new(dims)));
        let numbers = [0.1, -0.0, f64::INFINITY, f64::MIN_POSITIVE / 8.0, f64::MAX, 1.0 / 3.0, -7.0];
        let mut state = State::new::<f64>("own \\ stepper", 0.1).settings(&[("a b", -0.0), ("c", 1e300)]).vector("v", &numbers).vector("w", &[0f32; 7]);
        (state.layout, state.counts, state.steps) = (Arc::new(Layout::new(&params)), vec![3, u64::MAX], u64::MAX);
        let text = state.to_string();
        let read: State = text.parse()?;
        assert_eq!(read, state);
        assert_eq!(read.to_string(), text);
        assert!(read.vectors[0].1[1].is_sign_negative());
        let nan = f64::from_bits(0xfff8_0000_0000_1234);
        let state = State::new::<f64>("s", nan);
        assert_eq!(state.to_string().parse::<State>()?.learning_rate.to_bits(), nan.to_bits());
        assert_eq!(state.to_string().replace('\n', "\r\n").parse::<State>()?.to_string(), state.to_string());
        Ok(())
    }

    #[test]
    fn every_cut_and_every_broken_line_is_an_error() {
        let params = [Input::new("w", Shape::new(&[9]))];
        let mut state = State::new::<f64>("adam", 0.1).settings(&[("eps", 1e-8)]).vector("m", &[1.0; 9]);
        (state.layout, state.counts) = (Arc::new(Layout::new(&params)), vec![3]);
        let text = state.to_string();
        for end in 0..text.len() - 1 {
            assert!(text[..end].parse::<State>().is_err(), "{}", &text[..end]);
        }
        let fails = |from: &str, to: &str| match text.replacen(from, to, 1).parse::<State>() {
            Err(Error::Parse { line, message }) => (line, message),
            other => panic!("{from} -> {to}: {other:?}"),
        };
        assert_eq!(fails("state 1", "state 2").0, 1);
        assert_eq!(fails("\"adam\"", "\"adam"), (2, "a quote that doesn't close".into()));
        assert_eq!(fails("\"adam\"", "\"\\u{d800}\""), (2, "a bad \\u escape".into()));
        assert_eq!(fails("number", "stepper"), (3, "`stepper` comes twice".into()));
        assert_eq!(fails("3fb999999999999a", "3fb999999999999").0, 4);
        assert_eq!(fails("3fb999999999999a", "+fb999999999999a").0, 4);
        assert_eq!(fails("steps 0", "steps -1"), (6, "`-1` is not a whole number".into()));
        assert_eq!(fails("3 9", "3 9 0").1, "no parameter can have shape [9, 0]");
        assert_eq!(fails("3 9", "3 8").1, "vector \"m\" has 9 numbers, but the parameters have 8");
        assert_eq!(fails("\"m\" 9", "\"m\" 4"), (9, "8 numbers where 4 were to come".into()));
        assert_eq!(fails("\"m\" 9", "\"m\" 18446744073709551615").0, 11);
        assert_eq!(fails("end\n", "end\nend\n").1, "nothing comes after `end`");
    }
}
