//! One slot of a closed loop: sends a request, waits for its end, sends the
//! next. And the watch over a request that may never end.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use backends::{
    Backend, Clock, Ending, Error, ErrorKind, Finish, Hop, HopTimes, Pulse, Request, Sink, Trace,
};

use futures_util::FutureExt;

use super::{Progress, Stop};
use crate::plan::Job;
use crate::record::{HopRecord, Mark, Record};

/// How long a request may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To the first token; for an answer in one piece, to its end.
    pub first_token: Duration,
    /// From each token to the next.
    pub between_tokens: Duration,
}

/// What all slots of a run share.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) jobs: Vec<Job>,
    pub(super) next: AtomicUsize,
    pub(super) first_id: u64,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) stop: Stop,
    pub(super) progress: Progress,
}

/// Works through the shared jobs until there are none, or until told to stop.
/// `free_ns` is when the slot came to be free: the start of the run.
pub(super) async fn work(
    shared: Arc<Shared>,
    slot: u32,
    mut free_ns: u64,
    records: mpsc::Sender<Record>,
) {
    let pulse = Pulse::default();
    while !shared.stop.is_wished() {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(job) = shared.jobs.get(number) else {
            return;
        };
        let mut request = job.request.clone();
        request.slot = slot;
        request.id = shared.first_id + u64::try_from(number).unwrap_or_default();
        let mut sink = Sink::start(shared.clock, pulse.clone(), request.output_tokens);
        let outcome = watched(&shared, &request, &mut sink, &pulse).await;
        let scheduled_ns = free_ns;
        sink.end();
        // Not the answer's end: what the server takes to close it is its own
        // time, and no delay of the client.
        free_ns = shared.clock.now_ns();
        let record = record(
            number,
            job,
            &request,
            scheduled_ns,
            sink.into_trace(),
            outcome,
        );
        // Where nobody has counted yet, pieces stand for tokens: this is for the
        // progress line only.
        let pieces = u32::try_from(record.marks.len()).unwrap_or(u32::MAX);
        let tokens = u64::from(record.completion_tokens.unwrap_or(pieces));
        shared.progress.finished(record.is_ok(), tokens);
        if records.send(record).is_err() {
            // The disk is full or gone: the recorder says so at the end, and
            // sending more requests would measure for nobody.
            shared.stop.halt();
            return;
        }
    }
}

/// Runs one request and cuts it when it is silent for too long, or when the
/// run is stopped. What the sink has seen by then is kept.
async fn watched(
    shared: &Shared,
    request: &Request,
    sink: &mut Sink,
    pulse: &Pulse,
) -> Result<Finish, Error> {
    let silence = watch(shared.clock, pulse, shared.limits, request.stream);
    tokio::select! {
        biased;
        outcome = caught(shared.backend.generate(request, sink)) => outcome,
        error = silence => Err(error),
        () = shared.stop.cut() => Err(Error::new(
            ErrorKind::Cancelled,
            "stopped by the user before the answer had ended",
        )),
    }
}

/// Turns a panic within a request into its failure: a bug of ours must cost
/// one request, not the slot and with it the concurrency of the whole run.
async fn caught(answer: impl Future<Output = Result<Finish, Error>>) -> Result<Finish, Error> {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Malformed,
                "pairbench itself failed on this answer; please report it as a bug",
            ))
        })
}

/// Returns when the request has been silent for too long. Looks as often as
/// the shorter limit asks for, so a running request costs no timer per token.
async fn watch(clock: Clock, pulse: &Pulse, limits: Limits, stream: bool) -> Error {
    let look_every = limits.between_tokens.min(limits.first_token);
    let issued_ns = pulse.read().0;
    loop {
        let (last_ns, has_tokens) = pulse.read();
        // An answer in one piece may come over a wire that shows it growing; its
        // limit is for the whole all the same.
        let streaming = stream && has_tokens;
        let (since_ns, limit) = if streaming {
            (last_ns, limits.between_tokens)
        } else {
            (issued_ns, limits.first_token)
        };
        let due = clock.instant_at(since_ns) + limit;
        let now = clock.instant_at(clock.now_ns());
        if due <= now {
            return silence(limit, streaming);
        }
        tokio::time::sleep_until(due.min(now + look_every).into()).await;
    }
}

fn silence(limit: Duration, streaming: bool) -> Error {
    let seconds = limit.as_secs_f64();
    if streaming {
        Error::new(
            ErrorKind::TimeoutBetweenTokens,
            format!("no further token for {seconds} s (limit: --token-timeout)"),
        )
    } else {
        Error::new(
            ErrorKind::TimeoutFirstToken,
            format!(
                "no token, or no whole answer without streaming, for {seconds} s (limit: --first-token-timeout)"
            ),
        )
    }
}

fn record(
    number: usize,
    job: &Job,
    request: &Request,
    scheduled_ns: u64,
    trace: Trace,
    outcome: Result<Finish, Error>,
) -> Record {
    let mut record = Record {
        index: u32::try_from(number).unwrap_or(u32::MAX),
        slot: request.slot,
        prompt_tokens: job.prompt_tokens,
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
