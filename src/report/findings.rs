//! All that a report of several arms is made of. Knows how the arms are called
//! and which of them were simulated; holds no figure of its own.

use super::format::number;
use crate::record::RunHeader;
use crate::stats::{self, Arm, Comparison, Holds, Outcome, Verdict, Waterfall, labels};

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
    /// What became of the conditions of `--fail-if`.
    pub conditions: &'a [Outcome],
}

/// What is said of a run whose server was not made to prove who it is.
pub(super) const UNCHECKED: &str = "NOT SECURE: the server's certificate was not checked \
    (--tls-insecure): whoever stood between could read the key and answer in the server's place";

impl Findings<'_> {
    /// Whether the arms' figures are set beside each other as they are: nothing was
    /// paired, and they did the same work.
    pub(super) fn plain_ratios(&self) -> bool {
        self.comparison.is_none() && stats::work_differs(self.arms).is_none()
    }

    /// What each arm is called.
    pub(super) fn names(&self) -> Vec<String> {
        labels(self.arms)
    }

    /// What became of each condition of `--fail-if`, in a line that says whether
    /// the command fails by it.
    #[must_use]
    pub fn decided(&self) -> Vec<String> {
        let line = |of: &Outcome| match of.holds {
            Holds::Yes => format!("FAILED: {}", of.why),
            Holds::No | Holds::Undecided => format!("Not failed: {}", of.why),
        };
        self.conditions.iter().map(line).collect()
    }

    /// What has to be read before any figure.
    pub(super) fn warnings(&self) -> Vec<String> {
        [self.simulated(), self.unchecked(), self.taken()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Says whose certificate was not checked; `None` where all were, or none
    /// was shown.
    pub(super) fn unchecked(&self) -> Option<String> {
        let names = self.names();
        let which = self.which(&names, |header| {
            header
                .encryption
                .as_ref()
                .is_some_and(|of| !of.is_checked())
        });
        (!which.is_empty()).then(|| match which.len() == self.arms.len() {
            true => UNCHECKED.to_owned(),
            false => format!("{}: {UNCHECKED}", which.join(", ")),
        })
    }

    /// Says what the host of a virtual machine had of its cores; `None` where that
    /// was little, or the system does not tell.
    fn taken(&self) -> Option<String> {
        let clients = self.arms.iter().map(|arm| &arm.summary.client);
        let disturbed = clients.filter(|client| client.is_disturbed_by_host());
        let most = disturbed.filter_map(|client| client.host_took_percent);
        let most = most.reduce(f64::max)?;
        Some(format!(
            "The host of this virtual machine had its cores for up to {} % of the time in which \
             they had work: times are late by that, high percentiles first. Measure when the host \
             is less busy, or from a machine with cores of its own",
            number(Some(most), 1)
        ))
    }

    fn which<'a>(&self, names: &'a [String], is: fn(&RunHeader) -> bool) -> Vec<&'a str> {
        let arms = self.arms.iter().zip(names);
        arms.filter(|(arm, _)| is(&arm.run.header))
            .map(|(_, name)| name.as_str())
            .collect()
    }

    /// Says whose engine was simulated; `None` where none was.
    pub(super) fn simulated(&self) -> Option<String> {
        let names = self.names();
        let which = self.which(&names, |header| header.simulated);
        match which.len() {
            0 => None,
            all if all == self.arms.len() => Some(
                "The engine is simulated: these figures say nothing about a real server".to_owned(),
            ),
            _ => Some(format!(
                "The engine of {} is simulated: those figures say nothing about a real server",
                which.join(", ")
            )),
        }
    }
}
