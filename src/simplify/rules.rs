//! The simplifier's rules, one line each: a name, what is replaced, by what, and what can change.
//!
//! A pattern is an expression over variables; the first letter of a variable says what it may stand for:
//!
//! | letter | stands for |
//! |---|---|
//! | `x y z` | anything |
//! | `u v` | a value that does not vary over samples |
//! | `s t` | a value that varies over samples |
//! | `f` | a value that varies over samples and is not affine in the data |
//! | `g` | as `f`, and without parameters |
//! | `w` | a value with extent 1 along the dimension that `sum_dim` reduces |
//! | `p` | a value that is never negative: squares, exponentials, sums of such |
//! | `h` | labels as a vector along the dimension that `sum_dim` reduces: 1 at the label and 0 elsewhere |
//! | `a b` | a constant |
//!
//! `once(..)` is a value that nothing else needs so far: where something does, replacing it would compute it twice.
//! `sum` is the sum over samples, `sum_dim` over one static dimension, `count` the number of samples, `extent` that of entries along the dimension which
//! `sum_dim` reduces; `powi_N` is `powi` with that power.
//! Operands of `add` and `mul` match in either order. The rule for rules: a rule never makes the work in the loop over samples more, and
//! its right side is nearer to the normal form than its left (invariant factors outside, negations outside, constants first), so that
//! rewriting ends.
//!
//! Why `sum(f + u)` is split for `f` but not for a residual `sum(x - u)`: `sum(x) - count * u` cancels where the data lie far from zero.

use crate::op::Elem;

/// What a rule can change, beside the shape of the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing: the same bits for every input, NaN and infinities included.
    Exact,
    /// The sign of a zero.
    ZeroSign,
    /// The last bits: another order of roundings, which may also overflow or underflow at other points near the ends of the range.
    Rounding,
}

/// A rule as written.
#[derive(Debug)]
pub struct Rule {
    /// Its name in statistics and tests.
    pub name: &'static str,
    /// What is replaced.
    pub left: &'static str,
    /// By what.
    pub right: &'static str,
    /// What can change.
    pub change: Change,
}

macro_rules! rules {
    ($($name:ident: $left:literal => $right:literal, $change:ident;)*) => {
        &[$(Rule { name: stringify!($name), left: $left, right: $right, change: Change::$change }),*]
    };
}

/// Every rule, in the order they are tried.
pub const RULES: &[Rule] = rules! {
    neg_neg:              "neg(neg(x))"             => "x",                                 Exact;
    add_zero:             "add(x, 0)"               => "x",                                 ZeroSign;
    sub_zero:             "sub(x, 0)"               => "x",                                 Exact;
    zero_sub:             "sub(0, x)"               => "neg(x)",                            ZeroSign;
    mul_one:              "mul(x, 1)"               => "x",                                 Exact;
    mul_minus_one:        "mul(x, -1)"              => "neg(x)",                            Exact;
    div_one:              "div(x, 1)"               => "x",                                 Exact;
    add_neg:              "add(x, neg(y))"          => "sub(x, y)",                         Exact;
    sub_neg:              "sub(x, neg(y))"          => "add(x, y)",                         Exact;
    neg_sub:              "neg(once(sub(x, y)))"    => "sub(y, x)",                         ZeroSign;
    mul_neg:              "mul(x, neg(s))"          => "neg(mul(x, s))",                    Exact;
    mul_neg_invariant:    "mul(u, neg(v))"          => "neg(mul(u, v))",                    Exact;
    div_neg_above:        "div(neg(x), y)"          => "neg(div(x, y))",                    Exact;
    div_neg_below:        "div(x, neg(y))"          => "neg(div(x, y))",                    Exact;
    neg_constant_factor:  "neg(mul(a, x))"          => "mul(neg(a), x)",                    Exact;
    add_self:             "add(x, x)"               => "mul(2, x)",                         Exact;
    mul_self:             "mul(x, x)"               => "square(x)",                         Exact;
    square_neg:           "square(neg(x))"          => "square(x)",                         Exact;
    abs_neg:              "abs(neg(x))"             => "abs(x)",                            Exact;
    abs_abs:              "abs(abs(x))"             => "abs(x)",                            Exact;
    abs_square:           "abs(square(x))"          => "square(x)",                         Exact;
    square_abs:           "square(abs(x))"          => "square(x)",                         Exact;
    powi_zero:            "powi_0(x)"               => "1",                                 Exact;
    powi_one:             "powi_1(x)"               => "x",                                 Exact;
    powi_two:             "powi_2(x)"               => "square(x)",                         Exact;
    powi_minus_one:       "powi_-1(x)"              => "recip(x)",                          Exact;
    powf_one:             "powf(x, 1)"              => "x",                                 Exact;
    powf_two:             "powf(x, 2)"              => "square(x)",                         Rounding;
    one_over:             "div(1, x)"               => "recip(x)",                          Exact;
    select_same:          "select(x, y, y)"         => "y",                                 Exact;
    select_never:         "select(0, x, y)"         => "y",                                 Exact;
    select_always:        "select(1, x, y)"         => "x",                                 Exact;
    constants_add:        "add(a, add(b, x))"       => "add(add(a, b), x)",                 Rounding;
    constants_sub:        "sub(add(a, x), b)"       => "add(sub(a, b), x)",                 Rounding;
    constants_mul:        "mul(a, mul(b, x))"       => "mul(mul(a, b), x)",                 Rounding;
    constants_div:        "div(mul(a, x), b)"       => "mul(div(a, b), x)",                 Rounding;
    constants_over:       "mul(a, div(b, x))"       => "div(mul(a, b), x)",                 Rounding;
    constant_recip:       "mul(a, recip(x))"        => "div(a, x)",                         Rounding;
    square_constant:      "square(mul(a, x))"       => "mul(square(a), square(x))",         Rounding;
    recip_of_invariant:   "div(s, u)"               => "mul(recip(u), s)",                  Rounding;
    recip_back:           "mul(u, recip(v))"        => "div(u, v)",                         Rounding;
    recip_into_div:       "mul(x, recip(s))"        => "div(x, s)",                         Rounding;
    invariant_out_of_mul: "mul(s, mul(u, t))"       => "mul(u, mul(s, t))",                 Rounding;
    invariants_together:  "mul(u, mul(v, s))"       => "mul(mul(u, v), s)",                 Rounding;
    invariant_out_of_div: "div(mul(u, s), t)"       => "mul(u, div(s, t))",                 Rounding;
    invariant_over:       "mul(s, div(u, t))"       => "mul(u, div(s, t))",                 Rounding;
    invariant_out_of_neg: "neg(mul(u, s))"          => "mul(neg(u), s)",                    Exact;
    invariant_out_of_square: "square(mul(u, s))"    => "mul(square(u), square(s))",         Rounding;
    invariant_out_of_add: "add(mul(u, s), mul(u, t))" => "mul(u, add(s, t))",               Rounding;
    invariant_out_of_sub: "sub(mul(u, s), mul(u, t))" => "mul(u, sub(s, t))",               Rounding;
    sum_of_product:       "sum(mul(u, s))"          => "mul(u, sum(s))",                    Rounding;
    sum_of_quotient:      "sum(div(u, s))"          => "mul(u, sum(recip(s)))",             Rounding;
    sum_of_linear_map:    "sum(sum_dim(mul(u, s)))" => "sum_dim(mul(u, sum(s)))",           Rounding;
    sum_of_neg:           "sum(neg(s))"             => "neg(sum(s))",                       Exact;
    sum_of_invariant_term: "sum(add(u, f))"         => "add(mul(u, count), sum(f))",        Rounding;
    sum_minus_invariant:  "sum(sub(f, u))"          => "sub(sum(f), mul(u, count))",        Rounding;
    sum_from_invariant:   "sum(sub(u, f))"          => "sub(mul(u, count), sum(f))",        Rounding;
    sum_of_data_term:     "sum(add(g, f))"          => "add(sum(g), sum(f))",               Rounding;
    sum_minus_data_term:  "sum(sub(f, g))"          => "sub(sum(f), sum(g))",               Rounding;
    sum_from_data_term:   "sum(sub(g, f))"          => "sub(sum(g), sum(f))",               Rounding;
    sum_dim_of_product:   "sum_dim(mul(w, x))"      => "mul(w, sum_dim(x))",                Rounding;
    sum_dim_of_neg:       "sum_dim(neg(x))"         => "neg(sum_dim(x))",                   Exact;
    sum_dim_of_unit_term: "sum_dim(add(w, f))"      => "add(mul(extent, w), sum_dim(f))",   Rounding;
    sum_dim_minus_unit:   "sum_dim(sub(f, w))"      => "sub(sum_dim(f), mul(extent, w))",   Rounding;
    sum_dim_from_unit:    "sum_dim(sub(w, f))"      => "sub(mul(extent, w), sum_dim(f))",   Rounding;
    pick_of_unit:         "sum_dim(select(h, w, 0))"         => "w",                               ZeroSign;
    pick_minus_unit:      "sum_dim(select(h, sub(x, w), 0))" => "sub(sum_dim(select(h, x, 0)), w)", ZeroSign;
};

/// Rules that replace a formula by a stable one. They run before differentiation, so that the gradient is that of the stable formula; beside
/// them `ln(sum(exp(x)))` over dimensions and samples is shifted by its largest exponent (`simplify/stable.rs`).
pub const STABLE: &[Rule] = rules! {
    double_neg:           "neg(neg(x))"                 => "x",                             Exact;
    ln_1p_exp:            "ln(add(1, exp(x)))"          => "softplus(x)",                   Rounding;
    softplus_of_ln_1p:    "ln_1p(exp(x))"               => "softplus(x)",                   Rounding;
    ln_1m_exp:            "ln(sub(1, exp(x)))"          => "select(gt(x, -0.6931471805599453), ln(sub(0, exp_m1(x))), ln_1p(sub(0, exp(x))))", Rounding;
    ln_1p:                "ln(add(1, x))"               => "ln_1p(x)",                      Rounding;
    exp_minus_one:        "sub(exp(x), 1)"              => "exp_m1(x)",                     Rounding;
    minus_one_exp:        "add(-1, exp(x))"             => "exp_m1(x)",                     Rounding;
    sigmoid_quotient:     "div(1, add(1, exp(neg(x))))" => "sigmoid(x)",                    Rounding;
    sigmoid_recip:        "recip(add(1, exp(neg(x))))"  => "sigmoid(x)",                    Rounding;
    sigmoid_of_exp:       "div(exp(x), add(1, exp(x)))" => "sigmoid(x)",                    Rounding;
    one_minus_sigmoid:    "sub(1, sigmoid(x))"          => "sigmoid(neg(x))",               Rounding;
    ln_sigmoid:           "ln(sigmoid(x))"              => "neg(softplus(neg(x)))",         Rounding;
    ln_exp:               "ln(exp(x))"                  => "x",                             Rounding;
    ln_softmax:           "ln(div(exp(x), y))"          => "sub(x, ln(y))",                 Rounding;
    x_ln_x:               "mul(x, ln(x))"               => "xlogy(x, x)",                   Rounding;
    root_of_squares:      "sqrt(add(square(x), square(y)))" => "hypot(x, y)",               Rounding;
    root_of_products:     "sqrt(add(mul(x, x), mul(y, y)))" => "hypot(x, y)",               Rounding;
    root_squared:         "square(sqrt(p))"             => "p",                             Rounding;
    root_to_the_second:   "powi_2(sqrt(p))"             => "p",                             Rounding;
    root_times_itself:    "mul(sqrt(p), sqrt(p))"       => "p",                             Rounding;
    root_of_powers:       "sqrt(add(powi_2(x), powi_2(y)))" => "hypot(x, y)",               Rounding;
};

/// A pattern, parsed.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// A variable: its slot and kind.
    Var(usize, Kind),
    /// A constant of this value.
    Number(f64),
    /// The number of samples.
    Count,
    /// The number of entries along the dimension of `sum_dim`.
    Extent,
    /// The sum over samples.
    Sum(Box<Pattern>),
    /// The sum over one static dimension; both sides of a rule mean the same one.
    SumDim(Box<Pattern>),
    /// An elementwise operation.
    Elem(Elem, Vec<Pattern>),
    /// What nothing else needs so far.
    Once(Box<Pattern>),
}

/// What a variable may stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `x y z`
    Any,
    /// `u v`
    Invariant,
    /// `s t`
    PerSample,
    /// `f`
    Curved,
    /// `g`
    CurvedData,
    /// `w`
    UnitAxis,
    /// `p`
    NotNegative,
    /// `h`
    OneHot,
    /// `a b`
    Constant,
}

/// A rule ready to match.
#[derive(Debug)]
pub struct Compiled {
    /// The rule's index in [`RULES`].
    pub index: usize,
    /// What is replaced.
    pub left: Pattern,
    /// By what.
    pub right: Pattern,
}

/// All of [`RULES`], parsed once.
pub fn compiled() -> &'static [Compiled] {
    static COMPILED: std::sync::OnceLock<Vec<Compiled>> = std::sync::OnceLock::new();
    COMPILED.get_or_init(|| compile(RULES))
}

/// All of [`STABLE`], parsed once.
pub fn compiled_stable() -> &'static [Compiled] {
    static COMPILED: std::sync::OnceLock<Vec<Compiled>> = std::sync::OnceLock::new();
    COMPILED.get_or_init(|| compile(STABLE))
}

/// Rules, parsed.
pub fn compile(rules: &'static [Rule]) -> Vec<Compiled> {
    let one = |(index, rule): (usize, &'static Rule)| {
        let mut names = Vec::new();
        Compiled { index, left: parse(rule.left, &mut names), right: parse(rule.right, &mut names) }
    };
    rules.iter().enumerate().map(one).collect()
}

/// Reads a pattern; variables get slots in the order they appear.
fn parse<'t>(text: &'t str, names: &mut Vec<&'t str>) -> Pattern {
    let text = text.trim();
    if let Some(open) = text.find('(') {
        let head = &text[..open];
        let inner = &text[open + 1..text.len() - 1];
        let mut depth = 0;
        let mut args = Vec::new();
        let mut start = 0;
        for (k, c) in inner.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                ',' if depth == 0 => {
                    args.push(parse(&inner[start..k], names));
                    start = k + 1;
                }
                _ => {}
            }
        }
        args.push(parse(&inner[start..], names));
        let one = |mut args: Vec<Pattern>| Box::new(args.remove(0));
        return match head {
            "sum" => Pattern::Sum(one(args)),
            "sum_dim" => Pattern::SumDim(one(args)),
            "once" => Pattern::Once(one(args)),
            _ => {
                let power = head.strip_prefix("powi_").map(|n| n.parse::<i32>().expect("a power"));
                let name = if power.is_some() { "powi" } else { head };
                Pattern::Elem(Elem::from_name(name, power).expect("an operation of the table"), args)
            }
        };
    }
    if text == "count" {
        return Pattern::Count;
    }
    if text == "extent" {
        return Pattern::Extent;
    }
    if let Ok(number) = text.parse::<f64>() {
        return Pattern::Number(number);
    }
    let slot = names.iter().position(|n| *n == text).unwrap_or_else(|| {
        names.push(text);
        names.len() - 1
    });
    let kind = match &text[..1] {
        "u" | "v" => Kind::Invariant,
        "s" | "t" => Kind::PerSample,
        "f" => Kind::Curved,
        "g" => Kind::CurvedData,
        "w" => Kind::UnitAxis,
        "p" => Kind::NotNegative,
        "h" => Kind::OneHot,
        "a" | "b" => Kind::Constant,
        _ => Kind::Any,
    };
    Pattern::Var(slot, kind)
}
