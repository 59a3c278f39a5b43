//! A progress bar for long trainings.

use super::progress::Progress;
use super::watch::Watch;
use crate::real::Real;
use indicatif::{ProgressDrawTarget, ProgressStyle};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How often the bar is told of a step: a step may take less than a microsecond.
const EVERY: Duration = Duration::from_millis(50);

/// A progress bar on the terminal's standard error: step, loss, and how long it will take. Where that is no terminal (a file, a pipe, a test), it draws
/// nothing. Needs the feature `progress`.
///
/// ```
/// use tapeless::fit::{ProgressBar, Sgd, Training};
/// use tapeless::prelude::*;
/// # fn main() -> tapeless::Result<()> {
/// let g = Graph::new();
/// let (x, w) = (g.data("x"), g.param("w"));
/// let program = (w - x).square().mean().compile()?;
/// let data = program.bind([("x", &[2.0, 3.0, 4.0])])?;
/// let mut theta = program.zeros();
/// Training::new(&data, Sgd::new(0.1)).steps(100).watch(ProgressBar::new()).run(&mut theta)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ProgressBar {
    target: Option<ProgressDrawTarget>,
    /// Made at the first step of a run.
    bar: Option<indicatif::ProgressBar>,
    told: Instant,
    last: (u64, f64),
}

impl Default for ProgressBar {
    fn default() -> Self {
        Self::new()
    }
}

impl ProgressBar {
    /// A bar on standard error.
    pub fn new() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        ProgressBar { target: Some(target), bar: None, told: Instant::now(), last: (0, f64::NAN) }
    }

    fn tell(&mut self) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{:.6e}", self.last.1));
            bar.set_position(self.last.0);
        }
        self.told = Instant::now();
    }
}

impl<T: Real> Watch<T> for ProgressBar {
    fn step(&mut self, progress: &Progress<'_, T>) -> ControlFlow<()> {
        self.last = (progress.step, progress.loss.to_f64());
        if self.bar.is_none() {
            // A further run draws a further bar, on the same terminal.
            let target = self.target.take().unwrap_or_else(ProgressDrawTarget::stderr);
            let bar = indicatif::ProgressBar::with_draw_target(Some(progress.last_step), target);
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  loss {msg}  {elapsed_precise} (eta {eta_precise})");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            // The steps of earlier runs are no progress of this one.
            bar.set_position(progress.step - 1);
            bar.reset_eta();
            self.bar = Some(bar);
            self.tell();
        } else if self.told.elapsed() >= EVERY {
            self.tell();
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self) {
        self.tell();
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Graph;
    use crate::fit::{Sgd, Training};
    use indicatif::TermLike;
    use std::io;
    use std::sync::{Arc, Mutex};

    /// A terminal that keeps what is written.
    #[derive(Clone, Debug, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, s: &str) -> io::Result<()> {
            self.write_str(&format!("{s}\n"))
        }
        fn write_str(&self, s: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(s);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn fit(bars: Vec<ProgressBar>, steps: u64, break_at: u64) {
        let g = Graph::new();
        let (x, w) = (g.data("x"), g.param("w"));
        let program = (w - x).square().mean().compile().unwrap();
        let data = program.bind([("x", &[2.0, 4.0])]).unwrap();
        let mut theta = program.zeros();
        let training = Training::new(&data, Sgd::new(0.5)).steps(steps);
        let training = bars.into_iter().fold(training, |t, bar| t.watch(bar));
        let stop = |p: &Progress<'_, f64>| if p.step == break_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        training.observe(stop).run(&mut theta).unwrap();
    }

    #[test]
    fn it_ends_where_the_run_ends() {
        for (steps, break_at, expected) in [(7, 0, " 7/7  loss 1.000000e0 "), (100, 1, " 1/100  loss 1.000000e1 ")] {
            let paper = Paper::default();
            fit(vec![ProgressBar::on(ProgressDrawTarget::term_like(Box::new(paper.clone())))], steps, break_at);
            let written = paper.0.lock().unwrap().clone();
            // What the last drawing shows.
            let last = written.rsplit('░').next().and_then(|rest| rest.rsplit('█').next()).unwrap_or_default();
            assert!(last.contains(expected), "{written:?}");
        }
    }

    #[test]
    fn it_is_silent_without_a_terminal() {
        // The standard error of a test run under CI is no terminal; a hidden target stands for it here.
        let mut bar = ProgressBar::on(ProgressDrawTarget::hidden());
        assert!(bar.target.as_ref().is_some_and(ProgressDrawTarget::is_hidden));
        bar.tell();
        fit(vec![bar], 3, 0);
    }
}
