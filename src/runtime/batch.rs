//! A batch: some of a binding's samples, copied into buffers that are used again, and evaluated without binding anew.

use super::columns::Table;
use super::params::{Grad, Params};
use super::pass::Workers;
use super::plan::{CompiledStage, Plan, Workspace};
use super::program::{Bound, scalar, value_and_grad};
use crate::backend::environment;
use crate::backend::rows::{LeafRows, RowColumns};
use crate::column::Column;
use crate::error::{Error, NonFinite, Result};
use crate::labels::LabelColumn;
use crate::real::Real;
use rayon::prelude::*;
use std::fmt;
use std::ops::Range;

/// Numbers to copy above which the columns of a batch are copied in parallel: some 50 us of work.
const PARALLEL_COPY: usize = 1 << 15;
/// Columns of the same rows that are copied together: their numbers share cache lines.
const COLUMNS_AT_ONCE: usize = 16;
/// Rows whose lines stay in the L1 cache meanwhile.
const ROWS_AT_ONCE: usize = 64;

/// Some of a binding's samples, in any order: what mini-batches, cross-validation and the bootstrap evaluate.
///
/// [`Batch::select`] copies the rows' samples into buffers that are kept; value and gradient then have the bits that a fresh binding of
/// the same rows would give. Once a batch has been as large as it gets, choosing rows and evaluating allocate nothing.
///
/// Everything over samples is over the chosen ones: `mean()` divides by their number, and what depends on data alone is computed again for each choice.
///
/// ```
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().mean().compile()?;
/// let data = program.bind([("x", &[1.0, 2.0, 6.0, 9.0])])?;
/// let theta = program.params([("w", 1.0)])?;
/// let mut batch = data.batch();
/// batch.select(&[3, 0])?;
/// assert_eq!(batch.value(&theta)?, 32.0);                // of (9, 1)
/// batch.select(&[1, 1, 1])?;
/// assert_eq!(batch.value(&theta)?, 1.0);                 // of (2, 2, 2)
/// # Ok(())
/// # }
/// ```
pub struct Batch<'b, 'd, T: Real = f64> {
    bound: &'b Bound<'d, T>,
    /// The rows copied last.
    rows: Vec<usize>,
    window: Window,
    columns: Vec<Chosen<'d, T>>,
    value: Option<Runner<'d, T>>,
    gradient: Option<Runner<'d, T>>,
}

/// A column and the chosen rows of it.
struct Chosen<'d, T> {
    input: usize,
    /// Columns of one group are copied together: some that lie in the same rows, or one.
    group: usize,
    from: Column<'d, T>,
    numbers: Vec<T>,
    labels: Vec<u32>,
}

/// Copies the columns of a group.
fn copy<T: Real>(columns: &mut [Chosen<'_, T>], rows: &[usize]) {
    if let [column] = columns {
        column.numbers.clear();
        column.labels.clear();
        column.copy(rows);
        return;
    }
    columns.iter_mut().for_each(|column| column.numbers.clear());
    // A row is fetched once, for all of them.
    for rows in rows.chunks(ROWS_AT_ONCE) {
        columns.iter_mut().for_each(|column| column.copy(rows));
    }
}

impl<T: Real> Chosen<'_, T> {
    /// Copies rows behind those there are.
    fn copy(&mut self, rows: &[usize]) {
        match self.from {
            Column::Real(x) => self.numbers.extend(rows.iter().map(|row| x[*row])),
            Column::Strided(x) => self.numbers.extend(rows.iter().map(|row| x[*row])),
            // Checked when it was bound.
            Column::Labels(x) => {
                self.labels.extend(rows.iter().map(|row| x.get(*row).and_then(|l| u32::try_from(l).ok()).unwrap_or(u32::MAX)));
            }
        }
    }
}

/// Which samples a run is over.
#[derive(Clone)]
struct Window {
    /// The copies' rows, or the binding's own.
    copied: bool,
    rows: Range<usize>,
}

impl Window {
    fn of<'c, T: Real>(&self, column: &'c Chosen<'_, T>) -> Column<'c, T> {
        match (self.copied, column.from) {
            (false, from) => from.slice(self.rows.clone()),
            (true, Column::Real(_) | Column::Strided(_)) => Column::Real(&column.numbers[self.rows.clone()]),
            (true, Column::Labels(_)) => Column::Labels(column.labels[self.rows.clone()].into()),
        }
    }

    fn numbers<'c, T: Real>(&self, column: &'c Chosen<'_, T>) -> &'c [T] {
        self.of(column).side_by_side()
    }

    fn labels<'c, T: Real>(&self, column: &'c Chosen<'_, T>) -> LabelColumn<'c> {
        let Column::Labels(x) = self.of(column) else { unreachable!("binding checked what is bound") };
        x
    }
}

impl<T: Real> fmt::Debug for Batch<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch<{}> of {} of {} samples", T::NAME, self.window.rows.len(), self.bound.samples())
    }
}

impl<'b, 'd, T: Real> Batch<'b, 'd, T> {
    pub(super) fn new(bound: &'b Bound<'d, T>) -> Self {
        let inputs = bound.table.inputs.iter().enumerate().filter(|(k, _)| bound.compiled.needed[*k]);
        let chosen = |(input, slices): (usize, &Vec<Column<'d, T>>)| -> Vec<Chosen<'d, T>> {
            let one = |from: &Column<'d, T>| Chosen { input, group: 0, from: *from, numbers: Vec::new(), labels: Vec::new() };
            slices.iter().map(one).collect()
        };
        let mut columns: Vec<Chosen<'d, T>> = inputs.flat_map(chosen).collect();
        for k in 1..columns.len() {
            let (before, own) = (&columns[k - 1], &columns[k]);
            let first = columns[..k].iter().rposition(|c| c.group != before.group).map_or(0, |at| at + 1);
            let together = before.input == own.input && matches!(own.from, Column::Strided(_)) && k - first < COLUMNS_AT_ONCE;
            columns[k].group = before.group + usize::from(!together);
        }
        Batch { bound, rows: Vec::new(), window: Window { copied: true, rows: 0..0 }, columns, value: None, gradient: None }
    }

    /// Chooses the samples: their rows in the binding, in any order, any of them more than once. At first none is chosen.
    ///
    /// # Errors
    /// [`Error::Setting`] for a row that isn't there; [`Error::NoSamples`] for no rows, where the formula has a mean, minimum or maximum over them.
    /// The rows chosen before are then kept.
    pub fn select(&mut self, rows: &[usize]) -> Result<()> {
        let samples = self.bound.samples();
        if let Some(row) = rows.iter().find(|row| **row >= samples) {
            return Err(Error::Setting { name: "rows".into(), message: format!("row {row} of {samples} samples, which are counted from 0") });
        }
        self.bound.compiled.check_samples(rows.len())?;
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        self.window = Window { copied: true, rows: 0..rows.len() };
        // A column at a time: with millions of rows one column stays in the caches where all don't.
        let together = |a: &Chosen<'d, T>, b: &Chosen<'d, T>| a.group == b.group;
        if rows.len().saturating_mul(self.columns.len()) >= PARALLEL_COPY && rayon::current_num_threads() > 1 {
            self.columns.par_chunk_by_mut(together).for_each(|group| copy(group, rows));
        } else {
            self.columns.chunk_by_mut(together).for_each(|group| copy(group, rows));
        }
        Ok(())
    }

    /// Chooses samples that follow each other in the binding: nothing is copied.
    ///
    /// # Errors
    /// As [`Batch::select`].
    pub fn select_range(&mut self, rows: Range<usize>) -> Result<()> {
        self.check_range(&rows, self.bound.samples())?;
        self.window = Window { copied: false, rows };
        Ok(())
    }

    /// Of the rows last given to [`Batch::select`], evaluates those at these places: an epoch's samples copied at once, in the order
    /// of the epoch, and its batches evaluated one after the other cost half of the batches copied one by one.
    ///
    /// # Errors
    /// As [`Batch::select`], for places that aren't there.
    pub fn narrow(&mut self, places: Range<usize>) -> Result<()> {
        self.check_range(&places, self.rows.len())?;
        self.window = Window { copied: true, rows: places };
        Ok(())
    }

    fn check_range(&self, range: &Range<usize>, of: usize) -> Result<()> {
        if range.start > range.end || range.end > of {
            return Err(Error::Setting { name: "rows".into(), message: format!("rows {} to {} of {of}, which are counted from 0", range.start, range.end) });
        }
        self.bound.compiled.check_samples(range.len())
    }

    /// The chosen rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = usize> {
        self.window.rows.clone().map(|k| if self.window.copied { self.rows[k] } else { k })
    }

    /// The value over the chosen samples, without computing anything of the gradient.
    ///
    /// # Errors
    /// [`Error::Layout`] for a point of another program; [`Error::NoSamples`] before any were chosen, where the formula needs some.
    pub fn value(&mut self, theta: &Params<T>) -> Result<T> {
        let compiled = &self.bound.compiled;
        compiled.check_theta(theta)?;
        compiled.check_samples(self.window.rows.len())?;
        let plan: &Plan<T> = &compiled.value;
        let runner = Runner::for_batch(&mut self.value, plan, &self.columns, self.bound, self.window.rows.len());
        Ok(scalar(plan, runner.run(plan, &self.columns, &self.window, theta.values())))
    }

    /// Value and gradient over the chosen samples, into a gradient made before.
    ///
    /// # Errors
    /// As [`Bound::value_and_grad_into`]; [`Error::NoSamples`] as [`Batch::value`].
    pub fn value_and_grad_into(&mut self, theta: &Params<T>, grad: &mut Grad<T>) -> Result<T> {
        let compiled = &self.bound.compiled;
        compiled.check_theta(theta)?;
        compiled.check_grad(grad)?;
        let plan = compiled.gradient()?;
        compiled.check_samples(self.window.rows.len())?;
        let runner = Runner::for_batch(&mut self.gradient, plan, &self.columns, self.bound, self.window.rows.len());
        Ok(value_and_grad(plan, runner.run(plan, &self.columns, &self.window, theta.values()), grad))
    }

    /// As [`Bound::find_non_finite`], over the chosen samples; the sample of the report is its row in the binding.
    ///
    /// # Errors
    /// [`Error::Layout`] for a point of another program.
    pub fn find_non_finite(&self, theta: &Params<T>) -> Result<Option<NonFinite>> {
        let mut inputs: Vec<Vec<Column<'_, T>>> = vec![Vec::new(); self.bound.table.inputs.len()];
        for column in &self.columns {
            inputs[column.input].push(self.window.of(column));
        }
        let copy = Bound::over(&self.bound.compiled, Table { inputs, samples: self.window.rows.len() });
        let mut report = copy.find_non_finite(theta)?;
        if let Some(report) = &mut report {
            report.sample = report.sample.and_then(|k| self.rows().nth(k));
        }
        Ok(report)
    }
}

/// A stage's pass over a batch: its columns' and labels' places in the batch, and threads' working memory.
struct BatchPass<'d, T> {
    columns: Vec<usize>,
    /// Those that are entries of rows, of the whole binding.
    rows: Option<RowColumns<'d, T>>,
    labels: Vec<usize>,
    workers: Workers<T>,
}

/// The working memory to run a plan, its binding's part included, over columns that change from run to run.
struct Runner<'d, T: Real> {
    capacity: usize,
    /// One set of slots goes through both moments: it lies in the workspace of the one that runs.
    bind: Moment<'d, T>,
    call: Moment<'d, T>,
    /// Empty between passes: room for a pass's columns and labels.
    room: (Vec<&'static [T]>, Vec<LabelColumn<'static>>),
}

/// The stages of one moment.
struct Moment<'d, T> {
    workspace: Workspace<T>,
    passes: Vec<Option<BatchPass<'d, T>>>,
}

impl<'d, T: Real> Runner<'d, T> {
    /// The one kept, if it is large enough, else a new one.
    fn for_batch<'r>(kept: &'r mut Option<Self>, plan: &Plan<T>, columns: &[Chosen<'d, T>], bound: &Bound<'d, T>, samples: usize) -> &'r mut Self {
        let fits = kept.as_ref().is_some_and(|runner| runner.capacity >= samples);
        if !fits {
            *kept = None;
        }
        kept.get_or_insert_with(|| {
            let mut first = vec![0; bound.table.inputs.len()];
            for (k, column) in columns.iter().enumerate().rev() {
                first[column.input] = k;
            }
            let moment = |stages: &[CompiledStage<T>]| {
                let place = |(input, entry): &(u32, u32)| first[*input as usize] + *entry as usize;
                let pass = |stage: &CompiledStage<T>| {
                    let pass = stage.pass.as_ref()?;
                    let labels = pass.kernels.labels.iter().map(|input| first[*input as usize]).collect();
                    let places: Vec<usize> = pass.kernels.columns.iter().map(place).collect();
                    let rows = pass.row_columns(places.iter().map(|place| columns[*place].from));
                    Some(BatchPass { columns: places, rows, labels, workers: Workers::new(samples) })
                };
                Moment { workspace: Workspace::new(plan.blank_slots(), stages, samples), passes: stages.iter().map(pass).collect() }
            };
            Runner { capacity: samples, bind: moment(&plan.bind), call: moment(&plan.call), room: (Vec::new(), Vec::new()) }
        })
    }

    /// Runs both moments; gives back the slots.
    fn run(&mut self, plan: &Plan<T>, columns: &[Chosen<'_, T>], window: &Window, theta: &[T]) -> &[f64] {
        let slots = &mut self.bind.workspace.slots;
        if let Some(slot) = plan.count {
            slots[slot] = window.rows.len() as f64;
        }
        for (slot, x) in slots[..plan.params].iter_mut().zip(theta) {
            *slot = x.to_f64();
        }
        environment::with_default(|| {
            self.bind.run(&plan.bind, columns, window, &mut self.room);
            std::mem::swap(&mut self.bind.workspace.slots, &mut self.call.workspace.slots);
            self.call.run(&plan.call, columns, window, &mut self.room);
        });
        std::mem::swap(&mut self.bind.workspace.slots, &mut self.call.workspace.slots);
        &self.bind.workspace.slots
    }
}

impl<T: Real> Moment<'_, T> {
    fn run(&mut self, stages: &[CompiledStage<T>], columns: &[Chosen<'_, T>], window: &Window, room: &mut (Vec<&'static [T]>, Vec<LabelColumn<'static>>)) {
        for (k, (stage, pass)) in stages.iter().zip(&self.passes).enumerate() {
            stage.run_uniforms(&mut self.workspace.slots);
            if let (Some(compiled), Some(BatchPass { columns: places, rows, labels, workers })) = (&stage.pass, pass) {
                let mut slices: Vec<&[T]> = emptied(std::mem::take(&mut room.0));
                let mut label_slices: Vec<LabelColumn<'_>> = emptied(std::mem::take(&mut room.1));
                slices.extend(places.iter().map(|place| window.numbers(&columns[*place])));
                label_slices.extend(labels.iter().map(|place| window.labels(&columns[*place])));
                let rows = rows.as_ref().filter(|_| !window.copied).map(|columns| LeafRows { columns, first: window.rows.start });
                self.workspace.run_pass(k, compiled, &slices, rows, &label_slices, window.rows.len(), workers, &mut []);
                *room = (emptied(slices), emptied(label_slices));
            }
        }
    }
}

/// The same vector, empty, for slices of another lifetime: collecting in place keeps its memory.
fn emptied<A, B>(mut slices: Vec<A>) -> Vec<B> {
    slices.clear();
    slices.into_iter().map(|_| unreachable!("it is empty")).collect()
}
