//! A stretch of requests that goes without a break: a run, or one block of it.
//! Lined up, sent off, waited for. Knows what the system and the server count
//! meanwhile, and writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use backends::ServerCounters;

use super::Runner;
use super::slot::Shared;
use super::team::StartLine;
use crate::record::Door;

/// Everything ready, nothing sent.
pub(super) struct Lined {
    shared: Arc<Shared>,
    line: StartLine,
    counters: Option<ServerCounters>,
}

/// All requests are over.
pub(super) struct Gone {
    pub(super) shared: Arc<Shared>,
    /// The moment at which all slots were let go.
    pub(super) start_ns: u64,
    /// The last answer's end.
    pub(super) end_ns: u64,
    counters: Option<ServerCounters>,
}

impl Lined {
    /// Reads the server's counters, opens connections, and brings all slots to
    /// the start with their first requests at hand.
    pub(super) async fn up(runner: &Runner, shared: Shared, door: Door) -> Self {
        let shared = Arc::new(shared);
        let counters = runner.counters().await;
        // Again: a connection that was idle since the warm-up, or the block
        // before, may have been given up by the server. If it fails, the first
        // requests will say so, and count.
        let _ = runner.warm(shared.slots).await;
        let line = StartLine::of(&runner.seats, &shared, &door).await;
        Self {
            shared,
            line,
            counters,
        }
    }

    /// Lets all slots go at one moment and waits for the last.
    pub(super) async fn go(self, runner: &Runner) -> Gone {
        let patrol = runner.patrol(&self.shared);
        let start_ns = self.line.run(runner.clock).await;
        drop(patrol);
        Gone {
            shared: self.shared,
            start_ns,
            end_ns: runner.clock.now_ns(),
            counters: self.counters,
        }
    }
}

impl Gone {
    /// What the server counted meanwhile.
    pub(super) async fn server_counters(&mut self, runner: &Runner) -> BTreeMap<String, f64> {
        difference(self.counters.take(), runner.counters().await)
    }
}

fn difference(
    before: Option<ServerCounters>,
    after: Option<ServerCounters>,
) -> BTreeMap<String, f64> {
    let (Some(before), Some(after)) = (before, after) else {
        return BTreeMap::new();
    };
    let before = before.values;
    after
        .values
        .into_iter()
        .map(|(name, value)| {
            let earlier = before.get(&name).copied().unwrap_or_default();
            (name, value - earlier)
        })
        .filter(|(_, value)| *value != 0.0)
        .collect()
}
