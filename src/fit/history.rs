//! What a training loop recorded: loss, gradient norm and, on request, the parameters, step by step; as CSV and as a short table.

use crate::real::Real;
use crate::runtime::params::Layout;
use std::fmt;
use std::io;

/// Rows shown at each end of a table too long to be shown whole.
const SHOWN: usize = 8;
/// Parameter columns shown in a table; CSV has all.
const COLUMNS: usize = 6;

/// One recorded step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Row<'h, T> {
    /// The step, from 1.
    pub step: u64,
    /// The loss before the step's update.
    pub loss: T,
    /// The Euclidean norm of the gradient there.
    pub grad_norm: f64,
    /// All numbers of the parameters before the step's update, in the order of the program's layout; empty unless they are recorded.
    pub params: &'h [T],
}

/// The recorded steps of a [`Training`](super::Training), oldest first.
///
/// `Display` is an aligned table, shortened in the middle; [`History::to_csv`] writes all of it.
#[derive(Clone, PartialEq, Debug)]
pub struct History<T: Real = f64> {
    rows: Vec<(u64, T, f64)>,
    /// One name for each number of a row's parameters; empty if they aren't recorded.
    names: Vec<String>,
    params: Vec<T>,
}

impl<T: Real> History<T> {
    pub(super) fn new() -> Self {
        History { rows: Vec::new(), names: Vec::new(), params: Vec::new() }
    }

    /// Records parameters from now on; only before the first row.
    pub(super) fn with_params(&mut self, layout: &Layout) {
        if self.rows.is_empty() {
            self.names = layout.names().flat_map(|name| entry_names(name, layout)).collect();
        }
    }

    pub(super) fn push(&mut self, step: u64, loss: T, grad_norm: f64, params: &[T]) {
        self.rows.push((step, loss, grad_norm));
        if !self.names.is_empty() {
            self.params.extend_from_slice(params);
        }
    }

    /// The same in another number type: without loss from `f32` to `f64`, and back.
    pub(super) fn converted<U: Real>(&self) -> History<U> {
        let number = |x: &T| U::from_f64(x.to_f64());
        let rows = self.rows.iter().map(|(step, loss, norm)| (*step, number(loss), *norm)).collect();
        History { rows, names: self.names.clone(), params: self.params.iter().map(number).collect() }
    }

    /// How many steps were recorded.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The recorded steps, oldest first.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_, T>> + DoubleEndedIterator {
        (0..self.rows.len()).map(|k| self.row(k))
    }

    /// The newest recorded step.
    pub fn last(&self) -> Option<Row<'_, T>> {
        self.rows().next_back()
    }

    /// The recorded losses, oldest first.
    pub fn losses(&self) -> impl ExactSizeIterator<Item = T> + '_ {
        self.rows.iter().map(|(_, loss, _)| *loss)
    }

    /// The names of the recorded parameters' numbers: `w`, `beta[0]`, `cov[1,2]`; none unless parameters are recorded.
    pub fn param_names(&self) -> &[String] {
        &self.names
    }

    /// Writes a header and one line for each row: `step,loss,grad_norm` and the recorded parameters. Numbers have the digits that read back
    /// as the same number; names with commas or quotes are quoted as in RFC 4180.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn to_csv<W: io::Write>(&self, mut to: W) -> io::Result<()> {
        write!(to, "step,loss,grad_norm")?;
        for name in &self.names {
            let plain = !name.contains([',', '"', '\n', '\r']);
            if plain { write!(to, ",{name}")? } else { write!(to, ",\"{}\"", name.replace('"', "\"\""))? }
        }
        writeln!(to)?;
        for row in self.rows() {
            write!(to, "{},{:?},{:?}", row.step, row.loss, row.grad_norm)?;
            for x in row.params {
                write!(to, ",{x:?}")?;
            }
            writeln!(to)?;
        }
        to.flush()
    }

    /// What [`History::to_csv`] writes, as text.
    pub fn csv(&self) -> String {
        let mut out = Vec::new();
        self.to_csv(&mut out).expect("memory takes all that is written");
        String::from_utf8(out).expect("only text was written")
    }

    fn row(&self, k: usize) -> Row<'_, T> {
        let (step, loss, grad_norm) = self.rows[k];
        let width = self.names.len();
        Row { step, loss, grad_norm, params: &self.params[k * width..(k + 1) * width] }
    }
}

impl<T: Real> fmt::Display for History<T> {
    /// Seven significant digits; at most eight rows at each end, at most six parameter columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.names[..self.names.len().min(COLUMNS)];
        let more = if shown.len() < self.names.len() { Some("...") } else { None };
        let mut lines: Vec<Vec<String>> = Vec::new();
        let heads = ["step", "loss", "gradient norm"].into_iter().chain(shown.iter().map(String::as_str)).chain(more);
        lines.push(heads.map(String::from).collect());
        let n = self.rows.len();
        for k in (0..n).filter(|k| n <= 2 * SHOWN || *k < SHOWN || *k >= n - SHOWN) {
            if n > 2 * SHOWN && k == n - SHOWN {
                lines.push(vec!["...".into(); lines[0].len()]);
            }
            let row = self.row(k);
            let numbers = [row.loss.to_f64(), row.grad_norm].into_iter().chain(row.params[..shown.len()].iter().map(|x| x.to_f64()));
            lines.push(std::iter::once(row.step.to_string()).chain(numbers.map(short)).chain(more.map(String::from)).collect());
        }
        let width = |c: usize| lines.iter().map(|line| line[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        for (k, line) in lines.iter().enumerate() {
            if k > 0 {
                writeln!(f)?;
            }
            for (c, cell) in line.iter().enumerate() {
                write!(f, "{}{cell:>width$}", if c == 0 { "" } else { "  " }, width = widths[c])?;
            }
        }
        Ok(())
    }
}

/// Seven significant digits, in the plain form where that is short.
fn short(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || !x.is_finite() {
        format!("{x}")
    } else if (1e-3..1e6).contains(&size) {
        let before = size.log10().floor().max(0.0) as usize + 1;
        format!("{x:.*}", 7usize.saturating_sub(before))
    } else {
        format!("{x:.6e}")
    }
}

/// A name for each entry of a parameter, in row-major order.
fn entry_names<'l>(name: &'l str, layout: &'l Layout) -> impl Iterator<Item = String> + 'l {
    let dims = layout.shape(name).map_or(&[][..], |shape| shape.dims());
    (0..dims.iter().product::<usize>()).map(move |entry| {
        let mut rest = entry;
        let mut index: Vec<String> = Vec::new();
        for d in dims.iter().rev() {
            index.push((rest % d).to_string());
            rest /= d;
        }
        index.reverse();
        if index.is_empty() { name.into() } else { format!("{name}[{}]", index.join(",")) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Input;
    use crate::shape::Shape;

    fn history(n: u64, params: &[(&str, &[usize])]) -> History<f32> {
        let params: Vec<Input> = params.iter().map(|(name, dims)| Input::new(name, Shape::new(dims))).collect();
        let layout = Layout::new(&params);
        let mut history = History::new();
        if !layout.is_empty() {
            history.with_params(&layout);
        }
        for step in 1..=n {
            history.push(step, 0.1 * step as f32, 1e-7 * step as f64, &vec![step as f32; layout.len()]);
        }
        history
    }

    #[test]
    fn csv_has_every_digit_and_quotes_names() -> io::Result<()> {
        let mut out = Vec::new();
        history(2, &[("w", &[]), ("a, \"b\"", &[1, 2])]).to_csv(&mut out)?;
        let text = "step,loss,grad_norm,w,\"a, \"\"b\"\"[0,0]\",\"a, \"\"b\"\"[0,1]\"\n1,0.1,1e-7,1.0,1.0,1.0\n2,0.2,2e-7,2.0,2.0,2.0\n";
        assert_eq!(String::from_utf8_lossy(&out), text);
        let mut out = Vec::new();
        history(1, &[]).to_csv(&mut out)?;
        assert_eq!(String::from_utf8_lossy(&out), "step,loss,grad_norm\n1,0.1,1e-7\n");
        Ok(())
    }

    #[test]
    fn tables_are_aligned_and_short() {
        let table = history(2, &[("w", &[])]).to_string();
        assert_eq!(table, "step      loss  gradient norm         w\n   1  0.100000    1.000000e-7  1.000000\n   2  0.200000    2.000000e-7  2.000000");
        let table = history(1000, &[("w", &[40])]).to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 1 + 8 + 1 + 8);
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].len()));
        assert!(lines[9].trim_start().starts_with("...") && lines[17].starts_with("1000") && lines[0].ends_with("..."), "{table}");
        assert_eq!(history(0, &[]).to_string(), "step  loss  gradient norm");
    }

    #[test]
    fn short_numbers_have_seven_digits() {
        let shown = [0.0, 1.0, -12345.678, 999999.5, 1e6, 1.5e-3, f64::INFINITY].map(short);
        assert_eq!(shown, ["0", "1.000000", "-12345.68", "999999.5", "1.000000e6", "0.001500", "inf"]);
    }
}
