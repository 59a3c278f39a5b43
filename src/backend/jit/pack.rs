//! Columns that a tile reads many times over are copied into tile buffers first. A column lies where its owner put it: its samples seldom start at a cache
//! line, so that every load touches two, and columns that were each allocated by themselves lie alike within a page, so that the same samples of a
//! dozen of them fill a set of the first cache. Tile buffers have neither fault.

use super::jam::{Group, loads};
use crate::kernel::ir::{Access, Inst, Kernel, PassKernels, V};
use std::borrow::Cow;

/// Loads of each number of a column, from which on a copy pays. Measured (f64, one thread, 10^5 samples, ms, Zen 5 server, 2026-11-22; columns of one matrix, and each by
/// itself): a perceptron of 64 by 64, 32 loads: 25.4 and 31 without, 23.6 and 24.0 with copies; softmax of 64 columns and 10 classes, 4 loads: 5.0 and 4.8 without, 5.8 and 6.1 with.
const MANY: usize = 8;

/// The pass with those columns in tile buffers, if there are any, given how many points of a nest are taken at once.
pub fn pack(pass: &PassKernels, group: Group) -> Cow<'_, PassKernels> {
    // What a pass without tiles reads it reads once.
    if pass.tiles == 0 {
        return Cow::Borrowed(pass);
    }
    let columns = pass.columns.len();
    let mut read = vec![0usize; columns];
    let reads = |kernel: &Kernel| -> Vec<(Vec<usize>, usize)> {
        let of = |inst: &Inst| {
            let Inst::Column(at) = inst else { return None };
            Some((at.targets(&kernel.dims), loads(kernel, group, at)))
        };
        kernel.insts.iter().filter_map(of).collect()
    };
    let all: Vec<(Vec<usize>, usize)> = pass.steps.iter().flat_map(reads).collect();
    for (of, times) in &all {
        of.iter().filter(|c| **c < columns).for_each(|c| read[*c] += times);
    }
    let mut packed: Vec<bool> = read.iter().map(|n| *n >= MANY).collect();
    // An access goes to copies alone, or to none: what lies between its columns goes with them.
    for (of, _) in &all {
        let (Some(first), Some(last)) = (of.iter().min(), of.iter().max()) else { continue };
        if *last < columns && of.iter().any(|c| packed[*c]) {
            packed[*first..=*last].fill(true);
        }
    }
    // Those that were packed before may have got company since.
    if all.iter().any(|(of, _)| of.iter().any(|c| packed.get(*c) == Some(&true)) && !of.iter().all(|c| packed.get(*c) == Some(&true)))
        || !packed.contains(&true)
    {
        return Cow::Borrowed(pass);
    }
    let mut out = pass.clone();
    let mut buffer = vec![0; columns];
    let mut copies = Vec::new();
    let mut c = 0;
    while c < columns {
        let len = packed[c..].iter().take_while(|p| **p).count();
        if len > 0 {
            let (from, to) = (c as u32, out.tiles as u32);
            (0..len).for_each(|k| buffer[c + k] = out.tiles + k);
            out.tiles += len;
            let at = |base| Access { base, strides: if len > 1 { smallvec::smallvec![1] } else { Default::default() } };
            let dims = if len > 1 { smallvec::smallvec![len] } else { Default::default() };
            copies.push(Kernel { dims, insts: vec![Inst::Column(at(from)), Inst::Store(at(to), V(0))], ..Kernel::default() });
        }
        c += len.max(1);
    }
    for inst in out.steps.iter_mut().flat_map(|kernel| &mut kernel.insts) {
        if let Inst::Column(at) = inst
            && packed.get(at.base as usize) == Some(&true)
        {
            *inst = Inst::Tile(Access { base: buffer[at.base as usize] as u32, strides: at.strides.clone() });
        }
    }
    out.steps.splice(0..0, copies);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::super::jam::tests::GROUP;
    use super::*;
    use smallvec::smallvec;

    /// `tile 0..rows += column from.. * uniform` over `rows` sums of `len` columns, and another read of column `other`.
    fn pass(rows: usize, from: u32, len: usize, other: u32) -> PassKernels {
        let product = vec![
            Inst::Column(Access { base: from, strides: smallvec![0, 1] }),
            Inst::Uniform(Access { base: 0, strides: smallvec![0, 1] }),
            Inst::FoldProduct(Access { base: 0, strides: smallvec![1, 0] }, V(0), V(1)),
        ];
        let steps = vec![
            Kernel { dims: smallvec![rows, len], insts: product, ..Kernel::default() },
            Kernel { insts: vec![Inst::Column(Access::fixed(other as usize)), Inst::Tile(Access::fixed(0))], ..Kernel::default() },
        ];
        PassKernels { steps, columns: (0..20).map(|k| (0, k)).collect(), tiles: rows, ..PassKernels::default() }
    }

    #[test]
    fn columns_read_often_are_copied_and_others_are_not() {
        // 40 rows in groups of 5: 8 loads.
        let of = pass(40, 3, 10, 1);
        let packed = pack(&of, GROUP);
        assert_eq!((packed.steps.len(), packed.tiles), (3, 50));
        let copy = &packed.steps[0];
        assert_eq!(copy.dims[..], [10]);
        assert!(
            matches!(&copy.insts[..], [Inst::Column(c), Inst::Store(t, V(0))] if (c.base, t.base) == (3, 40) && c.strides[..] == [1] && t.strides[..] == [1])
        );
        assert!(matches!(&packed.steps[1].insts[0], Inst::Tile(at) if at.base == 40 && at.strides[..] == [0, 1]));
        assert!(matches!(&packed.steps[2].insts[0], Inst::Column(at) if at.base == 1));
        // A column read often enough with others is read from its copy everywhere.
        assert!(matches!(&pack(&pass(40, 3, 10, 5), GROUP).steps[2].insts[0], Inst::Tile(at) if at.base == 42));
        assert_eq!(*pack(&pass(35, 3, 10, 1), GROUP), pass(35, 3, 10, 1));
    }
}
