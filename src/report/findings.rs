//! All that a report of several arms is made of. Knows how the arms are called
//! and which of them were simulated; holds no figure of its own.

use crate::stats::{Arm, Comparison, Verdict, Waterfall, labels};

/// What a comparison leaves to be reported, in whatever format.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// The arms, in their order; ratios are to the first.
    pub arms: &'a [Arm<'a>],
    /// Whether the figures count.
    pub verdict: &'a Verdict,
    /// The arms compared; `None`: there was nothing to pair.
    pub comparison: Option<&'a Comparison>,
    /// Where differences come from.
    pub waterfalls: &'a [Waterfall],
}

impl Findings<'_> {
    /// What each arm is called.
    pub(super) fn names(&self) -> Vec<String> {
        labels(self.arms)
    }

    /// Says whose engine was simulated; `None` where none was.
    pub(super) fn simulated(&self) -> Option<String> {
        let names = self.names();
        let which: Vec<&str> = self
            .arms
            .iter()
            .zip(&names)
            .filter(|(arm, _)| arm.run.header.simulated)
            .map(|(_, name)| name.as_str())
            .collect();
        match which.len() {
            0 => None,
            all if all == self.arms.len() => Some(
                "the engine is simulated: these figures say nothing about a real server".to_owned(),
            ),
            _ => Some(format!(
                "the engine of {} is simulated: those figures say nothing about a real server",
                which.join(", ")
            )),
        }
    }
}
