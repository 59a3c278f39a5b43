//! A rule's right side as a tree of words, and every way to break it in one place: operands exchanged, another operation, a part dropped, a sign,
//! another constant, another variable.

/// A pattern as text has it: a word, or a word and operands.
#[derive(Clone, PartialEq, Debug)]
struct Term {
    head: String,
    args: Vec<Term>,
}

impl Term {
    fn read(text: &str) -> Term {
        let text = text.trim();
        let Some(open) = text.find('(') else { return Term { head: text.into(), args: Vec::new() } };
        let (mut depth, mut start, mut args) = (0, open + 1, Vec::new());
        for (k, c) in text.char_indices().skip(open) {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                args.push(Term::read(&text[start..k]));
                start = k + 1;
            }
        }
        Term { head: text[..open].into(), args }
    }

    fn write(&self) -> String {
        match &self.args[..] {
            [] => self.head.clone(),
            args => format!("{}({})", self.head, args.iter().map(Term::write).collect::<Vec<_>>().join(", ")),
        }
    }

    fn word(head: &str) -> Term {
        Term { head: head.into(), args: Vec::new() }
    }

    fn of(head: &str, args: &[Term]) -> Term {
        Term { head: head.into(), args: args.to_vec() }
    }

    fn variables(&self, out: &mut Vec<String>) {
        if self.args.is_empty() && self.head != "count" && self.head.parse::<f64>().is_err() && !out.contains(&self.head) {
            out.push(self.head.clone());
        }
        self.args.iter().for_each(|a| a.variables(out));
    }

    /// Every term with one change at its root.
    fn broken_here(&self, variables: &[String]) -> Vec<Term> {
        let mut out = vec![Term::of("neg", std::slice::from_ref(self))];
        if self.args.is_empty() {
            if let Ok(number) = self.head.parse::<f64>() {
                out.extend([format!("{}", number + 1.0), format!("{}", number * 1.0001 + 1e-4)].iter().map(|n| Term::word(n)));
            } else if self.head == "count" {
                out.extend(["1", "2"].map(Term::word));
            } else {
                out.extend(variables.iter().filter(|v| **v != self.head).map(|v| Term::word(v)));
                out.extend(["0", "1"].map(Term::word));
            }
            return out;
        }
        // A part in place of the whole: a factor, a reduction, a function dropped.
        out.extend(self.args.iter().cloned());
        let others: &[&str] = match self.head.as_str() {
            "add" => &["sub", "mul"],
            "sub" => &["add", "div"],
            "mul" => &["add", "div"],
            "div" => &["mul", "sub"],
            "hypot" => &["add", "max"],
            "xlogy" => &["mul", "powf"],
            "gt" => &["lt", "ne"],
            "square" => &["abs", "sqrt"],
            "abs" => &["square", "relu"],
            "recip" => &["square", "sqrt"],
            "softplus" => &["sigmoid", "exp", "relu"],
            "sigmoid" => &["tanh", "softplus"],
            "exp" => &["exp_m1", "exp2"],
            "exp_m1" => &["exp", "ln_1p"],
            "ln" => &["ln_1p", "log2"],
            "ln_1p" => &["ln", "exp_m1"],
            _ => &[],
        };
        out.extend(others.iter().map(|head| Term::of(head, &self.args)));
        for (a, b) in [(0, 1), (1, 2)] {
            if b < self.args.len() && !["add", "mul", "hypot"].contains(&self.head.as_str()) {
                let mut args = self.args.clone();
                args.swap(a, b);
                out.push(Term::of(&self.head, &args));
            }
        }
        out
    }

    /// Every term with one change somewhere.
    fn broken(&self, variables: &[String]) -> Vec<Term> {
        let mut out = self.broken_here(variables);
        for (k, arg) in self.args.iter().enumerate() {
            for changed in arg.broken(variables) {
                let mut args = self.args.clone();
                args[k] = changed;
                out.push(Term::of(&self.head, &args));
            }
        }
        out
    }
}

/// Every broken right side of a rule.
pub fn mutants(left: &str, right: &str) -> Vec<String> {
    let (source, term) = (Term::read(left), Term::read(right));
    let mut variables = Vec::new();
    source.variables(&mut variables);
    let mut out: Vec<String> = Vec::new();
    for broken in term.broken(&variables) {
        // Nothing changed, or nothing is rewritten.
        if broken != term && broken != source && !out.contains(&broken.write()) {
            out.push(broken.write());
        }
    }
    out
}

/// Left sides that match what they shouldn't: a variable that stands for anything where it stood for what doesn't vary over samples or along
/// the axis, labels, or a constant. Both sides, renamed.
pub fn relaxed(left: &str, right: &str) -> Vec<(String, String)> {
    let (source, target) = (Term::read(left), Term::read(right));
    let mut variables = Vec::new();
    source.variables(&mut variables);
    fn renamed(term: &Term, from: &str, to: &str) -> Term {
        let head = if term.args.is_empty() && term.head == from { to.into() } else { term.head.clone() };
        Term { head, args: term.args.iter().map(|a| renamed(a, from, to)).collect() }
    }
    let strict = variables.iter().filter(|v| ["u", "v", "w", "h"].contains(&v.as_str()));
    strict.map(|v| (renamed(&source, v, "xx").write(), renamed(&target, v, "xx").write())).collect()
}
