//! What a person at a terminal sees while a run goes: done of total, failures,
//! tokens per second, time left. Nothing where standard error is no terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    took_ns: AtomicU64,
    /// A request waited as the disk does not follow.
    waits_for_disk: AtomicBool,
    /// Requests by their slip in microseconds: none, 1, 2 to 3, 4 to 7, ...
    slips: [AtomicU64; SLIP_STEPS],
}

/// Steps of two; the last one has everything above half an hour.
const SLIP_STEPS: usize = 32;

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
    /// A request went out `slip_ns` after it was due, and took `took_ns`.
    pub fn went_out(&self, slip_ns: u64, took_ns: u64) {
        self.0.took_ns.fetch_add(took_ns, Ordering::Relaxed);
        let bits = u64::BITS - (slip_ns / 1_000).leading_zeros();
        let step = usize::try_from(bits).unwrap_or(usize::MAX);
        if let Some(slips) = self.0.slips.get(step.min(SLIP_STEPS - 1)) {
            slips.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request waits, as the disk does not follow with the records.
    pub fn waits_for_disk(&self) {
        self.0.waits_for_disk.store(true, Ordering::Relaxed);
    }

    /// Whether one has.
    pub(super) fn has_waited_for_disk(&self) -> bool {
        self.0.waits_for_disk.load(Ordering::Relaxed)
    }

    /// What is known of the requests that are over.
    pub(super) fn slips(&self) -> Slips {
        let counts: Vec<u64> = self
            .0
            .slips
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let requests: u64 = counts.iter().sum();
        let mut above = 0;
        let step = counts.iter().rposition(|count| {
            above += count;
            above * 100 > requests
        });
        Slips {
            requests,
            mean_ns: self
                .0
                .took_ns
                .load(Ordering::Relaxed)
                .checked_div(requests)
                .unwrap_or(0),
            p99_ns: match step {
                Some(step) if step > 0 => 1_000 << (step - 1),
                _ => 0,
            },
        }
    }
}

/// The client's own delays before requests, as far as a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slips {
    /// Requests that are over.
    pub(super) requests: u64,
    /// What they took, on average.
    pub(super) mean_ns: u64,
    /// What the 99th percentile of their slips is at least, and less than twice
    /// of.
    pub(super) p99_ns: u64,
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
    /// Says what is going on now.
    pub(super) fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

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
        "{msg:<14} {bar:20} {pos}/{len}, {failed} failed, {rate} tokens/s, {eta} left",
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

#[cfg(test)]
mod tests {
    use super::{Progress, Slips};

    #[test]
    fn slips_are_known_to_a_factor_of_two() {
        let progress = Progress::default();
        let nothing = Slips {
            requests: 0,
            mean_ns: 0,
            p99_ns: 0,
        };
        assert_eq!(progress.slips(), nothing);
        for _ in 0..99 {
            progress.went_out(999, 10_000);
        }
        progress.went_out(5_500_000, 30_000);
        let one_in_a_hundred = Slips {
            requests: 100,
            mean_ns: 10_200,
            p99_ns: 0,
        };
        assert_eq!(progress.slips(), one_in_a_hundred, "that is not above 1 %");
        progress.went_out(u64::MAX, 10_200);
        let found = progress.slips();
        assert_eq!((found.requests, found.p99_ns), (101, 4_096_000));
    }
}
