//! The slots by thread: brought to the start with their requests at hand, and
//! sent off at one moment. Knows no protocol and keeps no record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backends::{Backend, Clock, Spawner, Task};
use tokio::sync::oneshot;

use super::Seat;
use super::gate::Gate;
use super::slot::{self, Shared, Slot};
use crate::record::Door;

/// The slots of the thread at `place` among `threads`, of `slots` in all: dealt
/// out one by one, so that a ramp loads all threads alike.
pub(super) fn slots_of(place: usize, threads: usize, slots: u32) -> impl Iterator<Item = u32> {
    let first = u32::try_from(place).unwrap_or(u32::MAX);
    (first..slots).step_by(threads.max(1))
}

/// All threads' slots, about to start.
#[derive(Default)]
pub(super) struct StartLine {
    starts: Vec<oneshot::Sender<u64>>,
    teams: Vec<Task<()>>,
}

impl StartLine {
    /// Brings all slots to the start: requests at hand, nothing sent.
    pub(super) async fn of(seats: &[Seat], shared: &Arc<Shared>, records: &Door) -> Self {
        let mut line = Self::default();
        let mut coming = Vec::new();
        for (place, seat) in seats.iter().enumerate() {
            let (ready, is_ready) = oneshot::channel();
            let (start, started) = oneshot::channel();
            let team = Team {
                shared: Arc::clone(shared),
                slots: slots_of(place, seats.len(), shared.slots).collect(),
                backend: Arc::clone(&seat.backend),
                records: records.clone(),
            };
            line.teams
                .push(seat.thread.spawn(team.work(ready, started)));
            line.starts.push(start);
            coming.push(is_ready);
        }
        for is_ready in coming {
            // A team that is gone is missed at the end.
            let _ = is_ready.await;
        }
        line
    }

    /// Starts all at one moment, waits for the last, and says when that moment
    /// was.
    pub(super) async fn run(self, clock: Clock) -> u64 {
        let start_ns = clock.now_ns();
        for start in self.starts {
            // The receiver is a task that waits for nothing else.
            let _ = start.send(start_ns);
        }
        for team in self.teams {
            // It counts the slots that fail; nothing else of it can.
            let _ = team.await;
        }
        start_ns
    }
}

/// The slots of one thread.
struct Team {
    shared: Arc<Shared>,
    slots: Vec<u32>,
    backend: Arc<dyn Backend>,
    records: Door,
}

impl Team {
    /// Gets every slot ready, says so, and starts them when told to.
    async fn work(self, ready: oneshot::Sender<()>, started: oneshot::Receiver<u64>) {
        let gate = Arc::new(Gate::default());
        let (loading, mut loaded) = tokio::sync::mpsc::channel(1);
        let thread = Spawner::here();
        let mut tasks = Vec::with_capacity(self.slots.len());
        for number in self.slots {
            let slot = Slot {
                number,
                backend: Arc::clone(&self.backend),
            };
            tasks.push(thread.spawn(slot::work(
                Arc::clone(&self.shared),
                slot,
                Arc::clone(&gate),
                loading.clone(),
                self.records.clone(),
            )));
        }
        drop((loading, self.records));
        // Closed when the last slot has let go of its end.
        let _ = loaded.recv().await;
        let _ = ready.send(());
        if let Ok(start_ns) = started.await {
            gate.open(start_ns);
            for task in tasks {
                if task.await.is_err() {
                    // A bug: the run is not what it says, and has to say so.
                    self.shared.lost_slots.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}
