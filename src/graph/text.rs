//! The graph as text that parses back: one line a node.
//!
//! ```text
//! data x [samples]
//! labels site 12
//! param w []
//! %0 = data x
//! %1 = param w
//! %2 = mul %1, %0
//! %3 = sum samples %2
//! output loss %3
//! ```

use super::dense::Dense;
use super::{Args, Axis, Dag, Fold, Limit, NodeId, Op};
use crate::error::{Error, Result};
use crate::op::Elem;
use crate::shape::{Dims, Shape};
use std::fmt::Write;

/// Prints the graph; [`parse`] reads it back to an equal one.
pub fn print(dag: &Dag) -> String {
    let mut out = String::new();
    for (kind, inputs) in [("data", dag.data()), ("param", dag.params())] {
        for input in inputs {
            let _ = match input.labels {
                Some(limit) => writeln!(out, "labels {} {}", quote(&input.name), limit.below),
                None => writeln!(out, "{kind} {} {}", quote(&input.name), input.shape),
            };
        }
    }
    for id in dag.ids() {
        let node = dag.node(id);
        let _ = write!(out, "{id} = ");
        let _ = match &node.op {
            Op::Const(c) => write!(out, "const {:?}", c.value()),
            Op::Data(k) => write!(out, "data {}", quote(&dag.data()[*k as usize].name)),
            Op::Param(k) => write!(out, "param {}", quote(&dag.params()[*k as usize].name)),
            Op::Count => write!(out, "count"),
            Op::Elem(e) => match e.attribute() {
                Some(n) => write!(out, "{} {n}", e.name()),
                None => write!(out, "{}", e.name()),
            },
            Op::Reduce(fold, Axis::Samples) => write!(out, "reduce_{} samples", fold.name()),
            Op::Reduce(fold, Axis::Dim(k)) => write!(out, "reduce_{} {k}", fold.name()),
            Op::Broadcast(to) => write!(out, "broadcast {to}"),
            Op::Detach => write!(out, "detach"),
            Op::Dense(d) => write!(out, "{}", d.name()),
            Op::Gather => write!(out, "gather"),
            Op::SumBy(groups) => write!(out, "sum_by {groups}"),
            Op::Reshape(dims) => write!(out, "reshape {}", Shape::new(dims)),
            Op::Arrange(a) => {
                let _ = write!(out, "arrange {} (", Shape::new(&a.dims));
                for source in &a.sources {
                    let _ = match source {
                        Some((operand, entry)) => write!(out, " {operand}/{entry}"),
                        None => write!(out, " ."),
                    };
                }
                write!(out, " )")
            }
        };
        for (k, a) in node.args.iter().enumerate() {
            let _ = write!(out, "{}{a}", if k == 0 { " " } else { ", " });
        }
        let _ = writeln!(out, "  : {}", node.shape);
    }
    for (name, id) in dag.outputs() {
        let _ = writeln!(out, "output {} {id}", quote(name));
    }
    out
}

/// A name as the text form holds it: bare where it is a plain word, else in quotes with `\` escapes.
fn quote(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { name.to_string() } else { format!("{name:?}") }
}

/// The most entries that the values of a text may have together for [`parse`] (2^20).
pub const MOST_ENTRIES: usize = 1 << 20;

/// Reads a graph back. Shapes after a colon are checked against those that follow from the operations.
///
/// A short line may ask for a large value, and a text may come from anyone: the inputs and nodes of all lines together may have [`MOST_ENTRIES`] entries (a value per
/// sample counts those of one sample). [`parse_within`] takes another limit.
///
/// # Errors
/// [`Error::Parse`] with the line and what is wrong there.
pub fn parse(text: &str) -> Result<Dag> {
    parse_within(text, MOST_ENTRIES)
}

/// [`parse`] with another limit on the entries of all values together.
///
/// ```
/// use tapeless::graph::text::{parse, parse_within};
/// let large = "param w [2000000]\n%0 = param w\n%1 = reduce_sum 0 %0\n%2 = reshape [] %1\noutput s %2";
/// assert!(parse(large).unwrap_err().to_string().contains("entries"));
/// assert!(parse_within(large, 10_000_000).is_ok());
/// ```
///
/// # Errors
/// As [`parse`].
pub fn parse_within(text: &str, most: usize) -> Result<Dag> {
    let mut dag = Dag::new();
    let mut ids = Names::new();
    let mut entries = 0usize;
    for (k, raw) in text.lines().enumerate() {
        let fail = |message: String| Error::Parse { line: k + 1, message };
        entries = entries.saturating_add(parse_line(&mut dag, &mut ids, raw).map_err(fail)?);
        if entries > most {
            return Err(fail(format!("the values up to here have {entries} entries, where {most} are allowed (`parse_within` allows more)")));
        }
    }
    Ok(dag)
}

type Names = std::collections::HashMap<String, NodeId>;

/// Adds what a line says; gives the entries of its value.
fn parse_line(dag: &mut Dag, ids: &mut Names, raw: &str) -> Result<usize, String> {
    let tokens = tokens(raw)?;
    let mut at = Cursor { tokens: &tokens, next: 0 };
    let Some(head) = at.take() else { return Ok(0) };
    match head {
        "labels" => {
            let name = unquote(at.need("a name")?)?;
            let word = at.need("a number")?;
            let below = word.parse().map_err(|_| format!("`{word}` is no number of labels"))?;
            at.end()?;
            free(dag, &name)?;
            dag.data.push(super::Input { name, shape: Shape::per_sample(&[]), place: None, labels: Some(Limit { below, place: None }) });
            Ok(1)
        }
        "data" | "param" => {
            let name = unquote(at.need("a name")?)?;
            let shape = at.shape()?;
            at.end()?;
            free(dag, &name)?;
            if !shape.is_sound() {
                return Err(format!("no value can have shape {shape}"));
            }
            if shape.varies_over_samples() != (head == "data") {
                return Err(format!("{head} `{name}` has shape {shape}: data have the samples axis, parameters have not"));
            }
            let entries = shape.entries();
            // The input's node comes where its own line stands.
            if head == "data" {
                dag.data.push(super::Input::new(&name, shape));
            } else {
                dag.params.push(super::Input::new(&name, shape));
            }
            Ok(entries)
        }
        "output" => {
            let name = unquote(at.need("a name")?)?;
            let id = at.node(ids)?;
            at.end()?;
            dag.output(&name, id);
            Ok(0)
        }
        id if id.starts_with('%') => {
            let name = id.to_string();
            at.expect("=")?;
            let op = parse_op(dag, &mut at)?;
            let mut args = Args::new();
            while at.peek().is_some_and(|t| t.starts_with('%')) {
                args.push(at.node(ids)?);
                if at.peek() == Some(",") {
                    at.take();
                }
            }
            let declared = if at.peek() == Some(":") {
                at.take();
                Some(at.shape()?)
            } else {
                None
            };
            at.end()?;
            let shapes: Vec<String> = args.iter().map(|a| dag.shape(*a).to_string()).collect();
            let id = dag.push(op, args, None).ok_or_else(|| format!("the operation does not fit operands of shapes {}", shapes.join(" and ")))?;
            if let Some(declared) = declared
                && &declared != dag.shape(id)
            {
                return Err(format!("shape {declared} where the operation gives {}", dag.shape(id)));
            }
            if ids.insert(name.clone(), id).is_some() {
                return Err(format!("{name} is defined twice"));
            }
            Ok(dag.shape(id).entries())
        }
        other => Err(format!("expected `data`, `labels`, `param`, `output` or a node, found `{other}`")),
    }
}

/// Whether no input has this name yet.
fn free(dag: &Dag, name: &str) -> Result<(), String> {
    if dag.data().iter().chain(dag.params()).any(|i| i.name == name) { Err(format!("the name `{name}` is taken")) } else { Ok(()) }
}

fn parse_op(dag: &Dag, at: &mut Cursor<'_>) -> Result<Op, String> {
    let word = at.need("an operation")?;
    let input = |list: &[super::Input], name: String| {
        list.iter().position(|i| i.name == name).map(|k| k as u32).ok_or_else(|| format!("no input `{name}` is declared above"))
    };
    if let Some(fold) = word.strip_prefix("reduce_") {
        let fold = *Fold::ALL.iter().find(|f| f.name() == fold).ok_or_else(|| format!("no reduction `{fold}`"))?;
        let axis = match at.need("an axis")? {
            "samples" => Axis::Samples,
            k => Axis::Dim(k.parse().map_err(|_| format!("`{k}` is no axis"))?),
        };
        return Ok(Op::Reduce(fold, axis));
    }
    Ok(match word {
        "const" => Op::Const(at.need("a number")?.parse::<f64>().map_err(|e| e.to_string())?.into()),
        "data" => Op::Data(input(dag.data(), unquote(at.need("a name")?)?)?),
        "param" => Op::Param(input(dag.params(), unquote(at.need("a name")?)?)?),
        "count" => Op::Count,
        "detach" => Op::Detach,
        name if Dense::ALL.iter().any(|d| d.name() == name) => Op::Dense(*Dense::ALL.iter().find(|d| d.name() == name).expect("just seen")),
        "gather" => Op::Gather,
        "sum_by" => {
            let word = at.need("a number of groups")?;
            Op::SumBy(word.parse().map_err(|_| format!("`{word}` is no number of groups"))?)
        }
        "broadcast" => Op::Broadcast(at.shape()?),
        "arrange" => {
            let dims = Dims::from_slice(at.shape()?.dims());
            at.expect("(")?;
            let mut sources = Vec::new();
            loop {
                match at.need("`)`")? {
                    ")" => break,
                    "." => sources.push(None),
                    word => {
                        let (operand, entry) = word.split_once('/').ok_or_else(|| format!("`{word}` is no source"))?;
                        let number = |t: &str| t.parse::<u32>().map_err(|_| format!("`{word}` is no source"));
                        sources.push(Some((number(operand)?, number(entry)?)));
                    }
                }
            }
            Op::Arrange(std::sync::Arc::new(super::Arrangement { dims, sources }))
        }
        "reshape" => Op::Reshape(Dims::from_slice(at.shape()?.dims())),
        name => {
            let attribute = match at.peek() {
                Some(t) if !t.starts_with('%') => {
                    at.take();
                    Some(t.parse::<i32>().map_err(|_| format!("`{t}` is no integer"))?)
                }
                _ => None,
            };
            Op::Elem(Elem::from_name(name, attribute).ok_or_else(|| format!("no operation `{name}`"))?)
        }
    })
}

struct Cursor<'a> {
    tokens: &'a [&'a str],
    next: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.next).copied()
    }
    fn take(&mut self) -> Option<&'a str> {
        let t = self.peek();
        self.next += 1;
        t
    }
    fn need(&mut self, what: &str) -> Result<&'a str, String> {
        self.take().ok_or_else(|| format!("expected {what}"))
    }
    fn expect(&mut self, token: &str) -> Result<(), String> {
        match self.take() {
            Some(t) if t == token => Ok(()),
            other => Err(format!("expected `{token}`, found `{}`", other.unwrap_or("the end of the line"))),
        }
    }
    fn end(&mut self) -> Result<(), String> {
        self.take().map_or(Ok(()), |t| Err(format!("unexpected `{t}`")))
    }
    fn node(&mut self, ids: &Names) -> Result<NodeId, String> {
        let name = self.need("a node")?;
        ids.get(name).copied().ok_or_else(|| format!("{name} is not defined above"))
    }
    fn shape(&mut self) -> Result<Shape, String> {
        self.expect("[")?;
        let mut samples = false;
        let mut dims = Dims::new();
        loop {
            match self.need("`]`")? {
                "]" => return Ok(Shape::with(samples, dims)),
                "," => {}
                "samples" if !samples && dims.is_empty() => samples = true,
                t => dims.push(t.parse().map_err(|_| format!("`{t}` is no dimension"))?),
            }
        }
    }
}

/// Words, punctuation and quoted names.
fn tokens(line: &str) -> Result<Vec<&str>, String> {
    let mut out = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if first == '"' {
            let mut escaped = false;
            let close = rest.char_indices().skip(1).find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            close.ok_or("a quoted name does not end")?.0 + 1
        } else if "[],:=".contains(first) {
            1
        } else if first == '#' {
            break;
        } else {
            rest.find(|c: char| c.is_whitespace() || "[],:=\"#".contains(c)).unwrap_or(rest.len())
        };
        out.push(&rest[..len]);
        rest = rest[len..].trim_start();
    }
    Ok(out)
}

fn unquote(token: &str) -> Result<String, String> {
    let Some(inner) = token.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else { return Ok(token.to_string()) };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('0') => out.push('\0'),
            Some('u') => {
                let code: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                out.push(code.ok_or("a bad \\u escape")?);
            }
            Some(c) => out.push(c),
            None => return Err("a name ends in `\\`".into()),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_reads_back() {
        let text = "data x [samples, 2]\nparam \"a b\\\"\" [2]\n%0 = data x\n%1 = param \"a b\\\"\"\n%2 = mul %0, %1 : [samples, 2]\n%3 = powi -3 %2\n%4 = reduce_sum 0 %3\n%5 = reshape [] %4\n%6 = reduce_max samples %5\n%7 = const NaN\n%8 = const -inf\n%9 = add %7, %8\noutput loss %6\n";
        let dag = parse(text).unwrap();
        super::super::verify::verify(&dag).unwrap();
        let printed = print(&dag);
        assert_eq!(print(&parse(&printed).unwrap()), printed);
        assert_eq!(dag.params()[0].name, "a b\"");
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (text, line, word) in [
            ("data x [samples]\ndata x [samples]", 2, "taken"),
            ("%0 = exp %7", 1, "not defined"),
            ("param w [3]\n%0 = param w\nparam v [2]\n%1 = param v\n%2 = add %0, %1", 5, "does not fit"),
            ("param w [0]", 1, "no value"),
            ("param w []\n%0 = param w\n%1 = broadcast [1024, 1024] %0", 3, "1048578 entries"),
            ("param w [1048576]\n\n# no value\n%0 = param w", 4, "2097152 entries"),
            ("data x []", 1, "samples axis"),
            ("%0 = const one", 1, "float"),
            ("%0 = wiggle", 1, "no operation"),
            ("%0 = const 1 : [3]", 1, "gives []"),
            ("data \"x", 1, "does not end"),
            ("hello", 1, "expected"),
        ] {
            match parse(text) {
                Err(Error::Parse { line: l, message }) => assert!(l == line && message.contains(word), "{text}: {l} {message}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
