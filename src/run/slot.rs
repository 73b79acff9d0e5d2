//! One slot of a closed loop: sends a request, waits for its end, sends the
//! next.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use backends::{
    Backend, Clock, Ending, Error, ErrorKind, Finish, Hop, HopTimes, Request, Secret, Sink, Timers,
    Trace,
};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::flight::{Flight, panicked};
use super::gate::{Gate, once_begun, until};
use super::silence::Post;
use super::steady::Steady;
use super::{Progress, Stop};
use crate::plan::Placed;
use crate::record::{Door, HopRecord, Mark, Record};

/// How long before its turn in a ramp a slot looks after its request again.
const AFRESH_NS: u64 = 20_000_000;

/// How often a slot looks whether the disk has taken records meanwhile.
const LOOK_AT_DISK_EVERY: Duration = Duration::from_millis(5);

/// What all slots of a run, or of one block, share.
pub(super) struct Shared {
    pub(super) jobs: Vec<Placed>,
    /// Number of the block; 0 in a run without.
    pub(super) block: u32,
    /// Slots over all threads; the first jobs are theirs.
    pub(super) slots: u32,
    /// The job after those that have been taken.
    pub(super) next: AtomicUsize,
    /// Requests before which a slot waited for the disk.
    pub(super) waited_for_disk: AtomicU32,
    /// Slots that a bug ended.
    pub(super) lost_slots: AtomicU32,
    /// Over which the slots start.
    pub(super) ramp: Duration,
    pub(super) first_id: u64,
    pub(super) clock: Clock,
    pub(super) timers: Timers,
    /// Where each slot's requests are watched.
    pub(super) posts: Arc<[Post]>,
    pub(super) stop: Stop,
    pub(super) progress: Progress,
    pub(super) steady: Steady,
}

/// A slot: its number over all threads, and the client it sends with.
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) backend: Arc<dyn Backend>,
}

impl Slot {
    fn index(&self) -> usize {
        usize::try_from(self.number).unwrap_or(usize::MAX)
    }
}

/// A request that may go out at once, and the job it is of.
struct Loaded {
    number: usize,
    request: Request,
    /// Whether its message could be made.
    message: Result<(), Error>,
}

/// At the begin of a cache line, where a sink has all that a token needs in that.
#[repr(align(64))]
struct InLine<T>(T);

/// Works through the shared jobs until there are none, or until told to stop:
/// first the job with the slot's own number, then whichever is next. Drops
/// `ready` when its first request is at hand, and sends it when `gate` opens.
pub(super) async fn work(
    shared: Arc<Shared>,
    slot: Slot,
    gate: Arc<Gate>,
    ready: mpsc::Sender<()>,
    records: Door,
) {
    let Some(post) = shared.posts.get(slot.index()) else {
        return; // no slot of this run
    };
    let first = slot.index();
    let mut next = shared.load(&slot, first).await;
    drop(ready);
    let mut turn = gate.turn().await;
    let mut free_ns = shared.free_ns(gate.start_ns(), slot.number);
    if !shared.ramp.is_zero() {
        turn = None;
        // A connection may have been given up while its slot waited its turn.
        shared.until(free_ns.saturating_sub(AFRESH_NS)).await;
        next = shared.load(&slot, first).await;
        shared.until(free_ns).await;
    }
    while let Some(loaded) = next.take_if(|_| !shared.stop.is_wished()) {
        let Loaded {
            number,
            request,
            message,
        } = loaded;
        if turn.is_none() {
            turn = gate.turn().await;
        }
        let sink = Sink::start(shared.clock, post.pulse.clone(), request.output_tokens);
        let mut sink = InLine(sink);
        let outcome = match message {
            Ok(()) => {
                let answer = slot.backend.generate(&request, &mut sink.0);
                let flight = Flight::new(answer, post, request.stream);
                once_begun(flight, || drop(turn.take())).await
            }
            Err(error) => {
                turn = None;
                Err(error)
            }
        };
        let scheduled_ns = free_ns;
        sink.0.end();
        // Not the answer's end: what the server takes to close it is its own
        // time, and no delay of the client.
        free_ns = shared.clock.now_ns();
        let trace = sink.0.into_trace();
        let mut record = shared.record(number, &request, scheduled_ns, trace, outcome);
        if let Some(key) = slot.backend.key() {
            hide(key, &mut record);
        }
        shared.note(&record);
        if records.send(record).is_err() {
            // The disk is full or gone: the recorder says so at the end, and
            // sending more requests would measure for nobody.
            shared.stop.halt();
            return;
        }
        if records.is_full() {
            shared.wait_for_disk(&records).await;
        }
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        next = shared.load(&slot, number).await;
    }
    shared.steady.idle(free_ns);
}

impl Shared {
    /// When a slot is free for its first request: at the start, or at its place
    /// in the ramp.
    fn free_ns(&self, start_ns: u64, slot: u32) -> u64 {
        let ramp_ns = u64::try_from(self.ramp.as_nanos()).unwrap_or(u64::MAX);
        let share = u128::from(ramp_ns) * u128::from(slot) / u128::from(self.slots.max(1));
        start_ns.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }

    async fn until(&self, due_ns: u64) {
        until(self.clock, &self.timers, due_ns).await;
    }

    /// Makes the request of a job ready to go out; `None`: there is no such job.
    async fn load(&self, slot: &Slot, number: usize) -> Option<Loaded> {
        let mut request = self.jobs.get(number)?.job.request.clone();
        request.slot = slot.number;
        request.id = self.first_id + u64::try_from(number).unwrap_or_default();
        // A panic is the failure of this request, as it is in flight.
        let message = AssertUnwindSafe(slot.backend.prepare(&mut request)).catch_unwind();
        let message = message.await.unwrap_or_else(|_| Err(panicked()));
        Some(Loaded {
            number,
            request,
            message,
        })
    }

    /// Holds a slot back until the disk has taken records, as the memory would
    /// grow without an end. The wait lies before the next request is issued: in
    /// slip, where the client's own delays belong.
    #[cold]
    async fn wait_for_disk(&self, records: &Door) {
        self.waited_for_disk.fetch_add(1, Ordering::Relaxed);
        self.progress.waits_for_disk();
        while records.is_full() && !self.stop.is_wished() {
            self.timers.sleep(LOOK_AT_DISK_EVERY).await;
        }
    }

    /// Requests that waited for the disk.
    pub(super) fn waited_for_disk(&self) -> u32 {
        self.waited_for_disk.load(Ordering::Relaxed)
    }

    /// Slots that a bug ended.
    pub(super) fn lost_slots(&self) -> u32 {
        self.lost_slots.load(Ordering::Relaxed)
    }

    /// Tells those who watch the run of a request that is over.
    fn note(&self, record: &Record) {
        // Where nobody has counted yet, pieces stand for tokens: this is for the
        // progress line only.
        let pieces = u32::try_from(record.marks.len()).unwrap_or(u32::MAX);
        let tokens = u64::from(record.completion_tokens.unwrap_or(pieces));
        self.progress.finished(record.is_ok(), tokens);
        if record.lead_in {
            // Its burst is in no figure, so its slip is none, either.
            self.steady.led_in(record.issued_ns);
            return;
        }
        let through = record.outcome != ErrorKind::Cancelled.name();
        self.steady.own(record.issued_ns, through);
        let slip_ns = record.issued_ns.saturating_sub(record.scheduled_ns);
        let took_ns = record.end_ns.saturating_sub(record.issued_ns);
        self.progress.went_out(slip_ns, took_ns);
    }

    fn record(
        &self,
        number: usize,
        request: &Request,
        scheduled_ns: u64,
        trace: Trace,
        outcome: Result<Finish, Error>,
    ) -> Record {
        let placed = self.jobs.get(number);
        Record {
            index: placed.map_or(u32::MAX, |placed| placed.index),
            block: self.block,
            lead_in: placed.is_some_and(|placed| placed.lead_in),
            prompt_tokens: placed.map_or(0, |placed| placed.job.prompt_tokens),
            ..record(request, scheduled_ns, trace, outcome)
        }
    }
}

fn record(
    request: &Request,
    scheduled_ns: u64,
    trace: Trace,
    outcome: Result<Finish, Error>,
) -> Record {
    let mut record = Record {
        slot: request.slot,
        requested_tokens: request.output_tokens,
        scheduled_ns,
        issued_ns: trace.issued_ns,
        first_event_ns: trace.first_event_ns,
        end_ns: trace.end_ns,
        server_prompt_tokens: request.server_prompt_tokens,
        marks: marks(&trace.marks),
        engine_marks: marks(&trace.engine_marks),
        other_until_first_ns: trace.other_until_first_ns,
        text: trace.text,
        first_text_bytes: trace.first_text_bytes,
        ..Record::default()
    };
    for (hop, times) in Hop::ALL.into_iter().zip(trace.hops) {
        if times.calls > 0 {
            record.hops.insert(hop.name().to_owned(), hop_record(times));
        }
    }
    match outcome {
        Ok(finish) => finished(&mut record, &finish),
        Err(error) => {
            error.kind.name().clone_into(&mut record.outcome);
            record.error = Some(error.message);
        }
    }
    record
}

/// A server may echo the key that it was sent: no record has it.
fn hide(key: &Secret, record: &mut Record) {
    record.error = record.error.take().map(|words| key.hide(&words));
    key.mask(&mut record.text);
}

fn finished(record: &mut Record, finish: &Finish) {
    "ok".clone_into(&mut record.outcome);
    let ending = match finish.ending {
        Ending::Length => "length",
        Ending::Stop => "stop",
        Ending::Unstated => "unstated",
    };
    record.ending = Some(ending.to_owned());
    record.server_prompt_tokens = finish.prompt_tokens.or(record.server_prompt_tokens);
    if let Some((tokens, source)) = finish.completion {
        record.completion_tokens = Some(tokens);
        record.token_source = Some(source.name().to_owned());
    }
}

fn marks(marks: &[backends::Mark]) -> Vec<Mark> {
    marks
        .iter()
        .map(|mark| Mark {
            at_ns: mark.at_ns,
            tokens: mark.tokens,
        })
        .collect()
}

fn hop_record(times: HopTimes) -> HopRecord {
    HopRecord {
        calls: times.calls,
        total_ns: times.total_ns,
        until_first_ns: times.until_first_ns,
    }
}
