//! Kernels as text.

use super::ir::{Access, Inst, PassKernels};
use std::fmt::Write;

/// Every step of a pass, an instruction a line; `columns` names the data.
pub fn print(pass: &PassKernels, columns: &[String]) -> String {
    let mut out = String::new();
    if let Some(ahead) = &pass.ahead {
        out += "maxima ahead\n";
        out += &print(&ahead.maxima, columns);
        for shift in &ahead.shifts {
            let _ = writeln!(
                out,
                "uniforms {:?} near the largest of (acc below, above) {:?}, to which acc {:?} are relative",
                shift.uniforms, shift.tops, shift.sums
            );
        }
    }
    for (k, kernel) in pass.steps.iter().enumerate() {
        let _ = write!(out, "step {k}");
        for (axis, d) in kernel.dims.iter().enumerate() {
            let _ = write!(out, "{} i{axis} < {d}", if axis == 0 { ": for" } else { "," });
        }
        for (k, part) in kernel.parts.iter().enumerate() {
            let _ = write!(out, "{} {:?} x {:?}", if k == 0 { ", of the last two" } else { "," }, part.rows, part.columns);
        }
        out.push('\n');
        for (v, inst) in kernel.insts.iter().enumerate() {
            let _ = writeln!(out, "  {}", line(v, inst, columns));
        }
    }
    out
}

fn access(at: &Access) -> String {
    let mut s = at.base.to_string();
    for (axis, stride) in at.strides.iter().enumerate().filter(|(_, s)| **s != 0) {
        let _ = write!(s, " + {stride} i{axis}");
    }
    s
}

/// An instruction, the `k`th of its kernel; `columns` names the data.
pub fn line(k: usize, inst: &Inst, columns: &[String]) -> String {
    match inst {
        Inst::Column(at) => {
            let name = columns.get(at.base as usize).map_or("?", String::as_str);
            format!("v{k} = column {} ({name})", access(at))
        }
        Inst::Tile(at) => format!("v{k} = tile {}", access(at)),
        Inst::Uniform(at) => format!("v{k} = uniform {}", access(at)),
        Inst::Const(bits) => format!("v{k} = const {:?}", f64::from_bits(*bits)),
        Inst::Un(op, a) => format!("v{k} = {} v{}", format!("{op:?}").to_lowercase(), a.0),
        Inst::Bin(op, a, b) => format!("v{k} = {} v{}, v{}", format!("{op:?}").to_lowercase(), a.0, b.0),
        Inst::Fma { a, b, c, np, nc } => {
            format!("v{k} = fma {}v{} * v{} {} v{}", if *np { "-" } else { "" }, a.0, b.0, if *nc { "-" } else { "+" }, c.0)
        }
        Inst::Cmp(op, a, b) => format!("v{k} = {} v{}, v{}", format!("{op:?}").to_lowercase(), a.0, b.0),
        Inst::Mask(op, a, b) => format!("v{k} = mask {} v{}, v{}", format!("{op:?}").to_lowercase(), a.0, b.0),
        Inst::Not(a) => format!("v{k} = mask not v{}", a.0),
        Inst::Select(m, a, b) => format!("v{k} = select v{}, v{}, v{}", m.0, a.0, b.0),
        Inst::Bits(a) => format!("v{k} = bits v{}", a.0),
        Inst::Real(a) => format!("v{k} = real v{}", a.0),
        Inst::IntConst(c) => format!("v{k} = int {c}"),
        Inst::Int(op, a, b) => format!("v{k} = int {} v{}, v{}", format!("{op:?}").to_lowercase(), a.0, b.0),
        Inst::Shl(a, n) => format!("v{k} = shl v{}, {n}", a.0),
        Inst::Shr(a, n) => format!("v{k} = shr v{}, {n}", a.0),
        Inst::Patch(slow, x, fast) => format!("v{k} = patch {} v{}, v{}", format!("{slow:?}").to_lowercase(), x.0, fast.0),
        Inst::Math(f, x, y) => {
            let second = if x == y { String::new() } else { format!(", v{}", y.0) };
            format!("v{k} = {} v{}{second}", format!("{f:?}").to_lowercase(), x.0)
        }
        Inst::Store(at, a) => format!("tile {} = v{}", access(at), a.0),
        Inst::Output(at, a) => format!("output {} = v{}", access(at), a.0),
        Inst::Fold(fold, at, a) => format!("tile {} {}= v{}", access(at), fold.name(), a.0),
        Inst::FoldProduct(at, a, b) => format!("tile {} sum= v{} * v{}", access(at), a.0, b.0),
        Inst::Accumulate(fold, at, a) => format!("acc {} {}= v{}", access(at), fold.name(), a.0),
        Inst::AccumulateProduct(at, a, b) => format!("acc {} sum= v{} * v{}", access(at), a.0, b.0),
    }
}
