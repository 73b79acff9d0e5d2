//! Samples of a long run, and its first third against its last.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::process::{Held, held};

/// Looks at this process once a second until dropped.
pub(crate) struct Sampler {
    ended: mpsc::Sender<()>,
    thread: JoinHandle<Vec<Held>>,
}

impl Sampler {
    pub(crate) fn start() -> Self {
        let (ended, end) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::with_capacity(4_096);
            while end.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
                samples.extend(held(std::process::id()));
            }
            samples
        });
        Self { ended, thread }
    }

    pub(crate) fn samples(self) -> Vec<Held> {
        drop(self.ended);
        self.thread.join().unwrap_or_default()
    }
}

/// A figure over the first and the last third of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thirds {
    pub(crate) first: f64,
    pub(crate) last: f64,
}

impl Thirds {
    /// `of` each third of `samples`.
    pub(crate) fn of<T>(samples: &[T], of: impl Fn(&[T]) -> f64) -> Self {
        let third = samples.len() / 3;
        Self {
            first: of(&samples[..third]),
            last: of(&samples[samples.len() - third..]),
        }
    }

    /// Last over first, in percent above it.
    pub(crate) fn growth_percent(self) -> f64 {
        (self.last / self.first - 1.0) * 100.0
    }
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    sum / count
}

/// The value that a `percent` of the others are below.
pub(crate) fn percentile(values: impl Iterator<Item = f64>, percent: usize) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = values.len().saturating_sub(1) * percent / 100;
    values.get(at).copied().unwrap_or(f64::NAN)
}
