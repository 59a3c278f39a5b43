//! The kernel builder: `Arith` interpreted as "add an instruction", with equal instructions kept once; and the expansion of
//! functions into their recipes for backends that know primitives only.

use super::arith::{Arith, Slow};
use super::contract::contract;
use super::ir::{Access, Bin, Cmp, Inst, Int, Kernel, Mask, MathFn, Un, V};
use super::lower::{Math, recipe};
use crate::known::Positions;
use crate::real::Real;
use crate::shape::Dims;
use std::collections::HashSet;
use std::marker::PhantomData;

/// Builds one kernel over lanes of `T`.
#[derive(Debug)]
pub struct Builder<T> {
    kernel: Kernel,
    known: Positions,
    /// Functions become their recipes at once.
    expand: bool,
    /// Values that the graph uses more than once.
    shared: HashSet<V>,
    number: PhantomData<T>,
}

impl<T: Real> Builder<T> {
    /// An empty kernel with this loop nest.
    pub fn new(dims: Dims) -> Self {
        Builder { kernel: Kernel { dims, ..Kernel::default() }, known: Positions::default(), expand: false, shared: HashSet::new(), number: PhantomData }
    }

    /// Adds an instruction, or finds the equal one. Sinks are always added.
    pub fn push(&mut self, inst: Inst) -> V {
        if inst.is_sink() {
            self.kernel.insts.push(inst);
            return V(self.kernel.insts.len() as u32 - 1);
        }
        let insts = &self.kernel.insts;
        let found = self.known.find_or_note(&&inst, insts.len(), |k| &insts[k]);
        V(found.unwrap_or_else(|| {
            self.kernel.insts.push(inst);
            self.kernel.insts.len() - 1
        }) as u32)
    }

    /// A uniform.
    pub fn uniform(&mut self, at: Access) -> V {
        self.push(Inst::Uniform(at))
    }

    /// Notes a value that the graph uses more than once.
    pub fn share(&mut self, v: V) {
        self.shared.insert(v);
    }

    /// The kernel with products contracted, without what nothing needs.
    pub fn finish_contracted(self) -> Kernel {
        contract(&self.kernel, &self.shared)
    }

    /// The kernel, without what nothing needs.
    pub fn finish(self) -> Kernel {
        self.kernel.without_dead()
    }

    fn is_literal(&self, v: V, c: f64) -> bool {
        matches!(self.kernel.insts[v.index()], Inst::Const(bits) if f64::from_bits(bits) == c)
    }
}

/// The kernel with every function replaced by its recipe: primitives only.
pub fn expand<T: Real>(kernel: &Kernel) -> Kernel {
    let mut builder = Builder::<T>::new(kernel.dims.clone());
    builder.expand = true;
    // A recipe is some thirty instructions.
    let functions = kernel.insts.iter().filter(|i| matches!(i, Inst::Math(..))).count();
    builder.known = Positions::with_capacity(kernel.insts.len() + 30 * functions);
    builder.kernel.insts.reserve(kernel.insts.len() + 30 * functions);
    let mut map: Vec<V> = Vec::with_capacity(kernel.insts.len());
    for inst in &kernel.insts {
        let v = match *inst {
            Inst::Math(f, x, y) => builder.math(f, map[x.index()], map[y.index()]),
            _ => builder.push(inst.map(|v| map[v.index()])),
        };
        map.push(v);
    }
    builder.finish()
}

impl<T: Real> Arith for Builder<T> {
    type Real = T;
    type F = V;
    type I = V;
    type M = V;

    fn lit(&mut self, c: f64) -> V {
        self.push(Inst::Const(T::from_f64(c).to_f64().to_bits()))
    }
    fn add(&mut self, a: V, b: V) -> V {
        self.push(Inst::Bin(Bin::Add, a, b))
    }
    fn sub(&mut self, a: V, b: V) -> V {
        self.push(Inst::Bin(Bin::Sub, a, b))
    }
    fn mul(&mut self, a: V, b: V) -> V {
        self.push(Inst::Bin(Bin::Mul, a, b))
    }
    fn div(&mut self, a: V, b: V) -> V {
        self.push(Inst::Bin(Bin::Div, a, b))
    }
    fn fma(&mut self, a: V, b: V, c: V) -> V {
        self.push(Inst::Fma { a, b, c, np: false, nc: false })
    }
    fn neg(&mut self, a: V) -> V {
        self.push(Inst::Un(Un::Neg, a))
    }
    fn abs(&mut self, a: V) -> V {
        self.push(Inst::Un(Un::Abs, a))
    }
    fn sqrt(&mut self, a: V) -> V {
        self.push(Inst::Un(Un::Sqrt, a))
    }
    fn floor(&mut self, a: V) -> V {
        self.push(Inst::Un(Un::Floor, a))
    }
    fn round(&mut self, a: V) -> V {
        self.push(Inst::Un(Un::Round, a))
    }
    fn min(&mut self, a: V, b: V) -> V {
        self.push(Inst::Bin(Bin::Min, a, b))
    }
    fn max(&mut self, a: V, b: V) -> V {
        self.push(Inst::Bin(Bin::Max, a, b))
    }
    fn lt(&mut self, a: V, b: V) -> V {
        self.push(Inst::Cmp(Cmp::Lt, a, b))
    }
    fn le(&mut self, a: V, b: V) -> V {
        self.push(Inst::Cmp(Cmp::Le, a, b))
    }
    fn eq(&mut self, a: V, b: V) -> V {
        self.push(Inst::Cmp(Cmp::Eq, a, b))
    }
    fn ne(&mut self, a: V, b: V) -> V {
        // A truth value made into 1 or 0 and asked again is the mask it came from.
        if let Inst::Select(mask, one, zero) = self.kernel.insts[a.index()]
            && self.is_literal(one, 1.0)
            && self.is_literal(zero, 0.0)
            && self.is_literal(b, 0.0)
        {
            return mask;
        }
        self.push(Inst::Cmp(Cmp::Ne, a, b))
    }
    fn both(&mut self, a: V, b: V) -> V {
        self.push(Inst::Mask(Mask::And, a, b))
    }
    fn either(&mut self, a: V, b: V) -> V {
        self.push(Inst::Mask(Mask::Or, a, b))
    }
    fn not(&mut self, a: V) -> V {
        self.push(Inst::Not(a))
    }
    fn select(&mut self, m: V, a: V, b: V) -> V {
        if a == b { a } else { self.push(Inst::Select(m, a, b)) }
    }
    fn bits(&mut self, a: V) -> V {
        self.push(Inst::Bits(a))
    }
    fn real(&mut self, a: V) -> V {
        self.push(Inst::Real(a))
    }
    fn int(&mut self, c: i64) -> V {
        self.push(Inst::IntConst(c))
    }
    fn iadd(&mut self, a: V, b: V) -> V {
        self.push(Inst::Int(Int::Add, a, b))
    }
    fn isub(&mut self, a: V, b: V) -> V {
        self.push(Inst::Int(Int::Sub, a, b))
    }
    fn iand(&mut self, a: V, b: V) -> V {
        self.push(Inst::Int(Int::And, a, b))
    }
    fn ior(&mut self, a: V, b: V) -> V {
        self.push(Inst::Int(Int::Or, a, b))
    }
    fn ixor(&mut self, a: V, b: V) -> V {
        self.push(Inst::Int(Int::Xor, a, b))
    }
    fn shl(&mut self, a: V, n: u32) -> V {
        self.push(Inst::Shl(a, n))
    }
    fn shr(&mut self, a: V, n: u32) -> V {
        self.push(Inst::Shr(a, n))
    }
    fn patch(&mut self, slow: Slow, x: V, fast: V) -> V {
        self.push(Inst::Patch(slow, x, fast))
    }
}

impl<T: Real> Math for Builder<T> {
    fn math(&mut self, f: MathFn, x: V, y: V) -> V {
        if self.expand { recipe(self, f, x, y) } else { self.push(Inst::Math(f, x, if f.is_binary() { y } else { x })) }
    }
}
