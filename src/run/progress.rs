//! What a person at a terminal sees while a run goes: done of total, failures,
//! tokens per second, time left. Nothing where standard error is no terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Running counts, written by the slots. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
    tokens: AtomicU64,
    late: AtomicU64,
}

impl Progress {
    /// A request came to its end.
    pub fn finished(&self, ok: bool, tokens: u64) {
        self.0.done.fetch_add(1, Ordering::Relaxed);
        self.0.tokens.fetch_add(tokens, Ordering::Relaxed);
        if !ok {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Progress {
    /// A request went out `slip_ns` after it was due, and took `took_ns`. Late is
    /// one whose slip is more than 1 % of that.
    pub fn went_out(&self, slip_ns: u64, took_ns: u64) {
        if slip_ns.saturating_mul(100) > took_ns {
            self.0.late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests that are over, and those of them that went out late.
    pub(super) fn late(&self) -> (u64, u64) {
        let late = self.0.late.load(Ordering::Relaxed);
        (self.0.done.load(Ordering::Relaxed).max(late), late)
    }
}

/// The line on the terminal; gone when dropped.
#[derive(Debug)]
pub struct Show {
    bar: ProgressBar,
    drawing: Option<tokio::task::JoinHandle<()>>,
}

/// Often enough to look alive, seldom enough to cost nothing.
const REDRAW_EVERY: Duration = Duration::from_millis(250);

impl Show {
    /// Shows `what` going from 0 to `total`, if standard error is a terminal.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(what: &str, total: u64, progress: &Progress) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
                drawing: None,
            };
        }
        let bar = ProgressBar::new(total);
        bar.set_style(style(progress.clone()));
        bar.set_message(what.to_owned());
        let drawing = tokio::spawn(draw(bar.clone(), progress.clone()));
        Self {
            bar,
            drawing: Some(drawing),
        }
    }
}

impl Show {
    /// Shows that `what` is being done, for work whose length nobody knows, if
    /// standard error is a terminal.
    #[must_use]
    pub fn busy(what: &str) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(REDRAW_EVERY);
        Self { bar, drawing: None }
    }
}

/// Work in steps before a run, such as reading and counting: a line on the
/// terminal, gone when dropped. May be used from any thread.
#[derive(Debug)]
pub struct Steps {
    bar: ProgressBar,
}

impl Steps {
    /// Shows nothing yet, and nothing at all where standard error is no
    /// terminal.
    #[must_use]
    pub fn start() -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.enable_steady_tick(REDRAW_EVERY);
        Self { bar }
    }

    /// The next step begins; `total` is 0 where its length is not known.
    pub fn begin(&self, what: &str, total: u64) {
        self.bar.set_message(what.to_owned());
        self.bar.set_position(0);
        if total == 0 {
            self.bar.unset_length();
            self.bar.set_style(ProgressStyle::default_spinner());
        } else {
            self.bar.set_length(total);
            // A constant with known keys; if it were wrong the plain bar
            // would do.
            let style = ProgressStyle::with_template("{msg:<24} {bar:24} {pos}/{len}, {eta} left");
            self.bar
                .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
    }

    /// So many more are done.
    pub fn advance(&self, by: u64) {
        self.bar.inc(by);
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        if let Some(drawing) = &self.drawing {
            drawing.abort();
        }
        self.bar.finish_and_clear();
    }
}

async fn draw(bar: ProgressBar, progress: Progress) {
    loop {
        bar.set_position(progress.0.done.load(Ordering::Relaxed));
        tokio::time::sleep(REDRAW_EVERY).await;
    }
}

fn style(progress: Progress) -> ProgressStyle {
    let failed = progress.clone();
    // The template is a constant with known keys; if it were wrong the plain
    // bar would do.
    ProgressStyle::with_template(
        "{msg:<14} {bar:24} {pos}/{len}, {failed} failed, {rate} tokens/s, {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .with_key(
        "failed",
        move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}", failed.0.failed.load(Ordering::Relaxed));
        },
    )
    .with_key(
        "rate",
        move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let tokens = progress.0.tokens.load(Ordering::Relaxed);
            let millis = u64::try_from(state.elapsed().as_millis()).unwrap_or(u64::MAX);
            let _ = write!(out, "{}", tokens.saturating_mul(1000) / millis.max(1));
        },
    )
}
