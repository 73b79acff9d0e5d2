//! The runner against a backend of known behaviour, without a wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backends::{
    Backend, Clock, Ending, Error, ErrorKind, Finish, PromptMode, Request, Sampling,
    ServerCounters, ServerInfo, Sink, TokenSource,
};

use super::{Crew, Ids, Limits, Runner, Seat, Stop};
use crate::plan::{Job, Plan};
use crate::record::{self, Record, RunHeader};

/// Obeys the first word of each prompt.
#[derive(Default)]
pub(super) struct Puppet {
    in_flight: AtomicU32,
    peak: AtomicU32,
    pub(super) asked: AtomicU32,
}

#[async_trait]
impl Backend for Puppet {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        Ok(ServerInfo::default())
    }

    async fn warm(&self, _: u32) -> Result<(), Error> {
        Ok(())
    }

    async fn prompt_tokens(&self, request: &Request) -> Result<Option<u32>, Error> {
        match &*request.prompt {
            "uncountable" => Err(Error::new(ErrorKind::Rejected, "cannot count")),
            prompt => Ok(u32::try_from(prompt.len()).ok()),
        }
    }

    async fn prepare(&self, request: &mut Request) -> Result<(), Error> {
        match &*request.prompt {
            "unwritable" => Err(Error::new(ErrorKind::Rejected, "cannot be written")),
            "panic early" => panic!("a bug"),
            prompt => {
                request.wire = Some(prompt.to_owned().into());
                Ok(())
            }
        }
    }

    async fn generate(&self, request: &Request, sink: &mut Sink) -> Result<Finish, Error> {
        assert_eq!(request.wire.as_deref(), Some(request.prompt.as_bytes()));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(in_flight, Ordering::SeqCst);
        // A client's thread has no timers.
        let wait = || std::thread::sleep(Duration::from_millis(5));
        let _ = tokio::task::spawn_blocking(wait).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        match &*request.prompt {
            "fail" => {
                sink.tokens(1);
                return Err(Error::new(ErrorKind::Server, "out of memory"));
            }
            "silent" => std::future::pending::<()>().await,
            "stall" => {
                sink.tokens(1);
                std::future::pending::<()>().await;
            }
            "panic" => panic!("a bug"),
            _ => {}
        }
        for _ in 0..request.output_tokens {
            sink.tokens(1);
        }
        Ok(Finish {
            ending: Ending::Length,
            prompt_tokens: None,
            completion: Some((request.output_tokens, TokenSource::Ids)),
        })
    }

    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
        let asked = f64::from(self.asked.load(Ordering::SeqCst));
        Ok(Some(ServerCounters {
            values: [("asked".to_owned(), asked), ("idle".to_owned(), 3.0)].into(),
        }))
    }
}

fn job(prompt: &str) -> Job {
    Job {
        request: Request {
            id: 0,
            slot: 0,
            prompt: Arc::from(prompt),
            turn: None,
            token_ids: Arc::from([1_u32]),
            server_prompt_tokens: None,
            output_tokens: 3,
            sampling: Sampling::default(),
            stream: true,
            prompt_mode: PromptMode::Raw,
            wire: None,
        },
        prompt_tokens: 1,
    }
}

pub(super) fn plan(prompts: &[&str], concurrency: u32) -> Plan {
    Plan {
        jobs: prompts.iter().map(|prompt| job(prompt)).collect(),
        warmup: Vec::new(),
        concurrency,
        digest: String::new(),
    }
}

pub(super) fn runner(puppet: &Arc<Puppet>) -> Runner {
    Runner {
        aside: Arc::clone(puppet) as Arc<dyn Backend>,
        seats: vec![Seat::new(
            tokio::runtime::Handle::current(),
            Arc::clone(puppet) as Arc<dyn Backend>,
        )],
        clock: Clock::start(),
        limits: Limits {
            first_token: Duration::from_millis(80),
            between_tokens: Duration::from_millis(40),
        },
        stop: Stop::default(),
        ids: Ids::from(1),
        ramp: Duration::ZERO,
        embedded: false,
        warn: |_| {},
    }
}

async fn run(runner: &Runner, plan: &Plan) -> record::Run {
    let folder = tempfile::tempdir().expect("temporary folder");
    let header = RunHeader {
        format: record::FORMAT,
        ..RunHeader::default()
    };
    runner
        .run(plan, &header, folder.path())
        .await
        .expect("written");
    record::load(folder.path()).expect("readable")
}

fn outcomes(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.outcome.as_str())
        .collect()
}

#[tokio::test]
async fn the_asked_number_is_in_flight_and_all_is_recorded() {
    let puppet = Arc::new(Puppet::default());
    let run = run(&runner(&puppet), &plan(&["ok"; 40], 8)).await;
    assert_eq!(puppet.peak.load(Ordering::SeqCst), 8);
    let indexes: Vec<u32> = run.records.iter().map(|record| record.index).collect();
    assert_eq!(indexes, (0..40).collect::<Vec<_>>());
    assert!(
        run.records
            .iter()
            .all(|record| record.slot < 8 && record.marks.len() == 3)
    );
    let end = run.end.expect("ended");
    assert_eq!(end.server_counters, [("asked".to_owned(), 40.0)].into());
    assert!(!end.interrupted);
}

#[tokio::test]
async fn many_threads_leave_the_records_of_one() {
    let puppet = Arc::new(Puppet::default());
    let crew = Crew::start(3).expect("threads");
    let seats = crew.seats(|| Ok::<_, Error>(Arc::clone(&puppet) as Arc<dyn Backend>));
    let runner = Runner {
        seats: seats.expect("connects"),
        ..runner(&puppet)
    };
    let run = run(&runner, &plan(&["ok"; 41], 8)).await;
    assert_eq!(puppet.peak.load(Ordering::SeqCst), 8);
    let indexes: Vec<u32> = run.records.iter().map(|record| record.index).collect();
    assert_eq!(indexes, (0..41).collect::<Vec<_>>());
    let first_slots: Vec<u32> = run.records[..8].iter().map(|record| record.slot).collect();
    assert_eq!(first_slots, (0..8).collect::<Vec<_>>());
    let tokens: usize = run.records.iter().map(|record| record.marks.len()).sum();
    assert_eq!(tokens, 41 * 3);
}

#[tokio::test]
async fn all_slots_start_at_one_moment_or_along_the_ramp() {
    let puppet = Arc::new(Puppet::default());
    for ramp in [Duration::ZERO, Duration::from_millis(30)] {
        let runner = Runner {
            ramp,
            ..runner(&puppet)
        };
        let run = run(&runner, &plan(&["ok"; 6], 6)).await;
        let start_ns = run.records[0].scheduled_ns;
        let ramp_ns = u64::try_from(ramp.as_nanos()).expect("short");
        for (slot, record) in (0..).zip(&run.records) {
            assert_eq!(record.scheduled_ns, start_ns + ramp_ns * slot / 6);
            assert!(record.issued_ns >= record.scheduled_ns);
        }
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_written_is_a_failure_of_its_own() {
    let puppet = Arc::new(Puppet::default());
    let run = run(&runner(&puppet), &plan(&["ok", "unwritable", "ok"], 1)).await;
    assert_eq!(outcomes(&run.records), ["ok", "rejected", "ok"]);
    assert_eq!(puppet.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_panic_costs_its_own_request_only_wherever_it_is() {
    let puppet = Arc::new(Puppet::default());
    let prompts = ["panic early", "ok", "panic early", "panic", "ok"];
    let run = run(&runner(&puppet), &plan(&prompts, 1)).await;
    let expected = ["malformed", "ok", "malformed", "malformed", "ok"];
    assert_eq!(outcomes(&run.records), expected);
    assert_eq!(run.end.expect("ended").lost_slots, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slot_waits_for_a_disk_that_does_not_follow() {
    waits_for_a_disk(runner(&Arc::default()), Duration::from_secs(60)).await;
}

/// Where there are no timers but those of the thread that directs.
#[tokio::test]
async fn a_slot_on_a_client_thread_waits_for_a_disk() {
    let puppet = Arc::new(Puppet::default());
    let crew = Crew::start(1).expect("a thread");
    let seats = crew.seats(|| Ok::<_, Error>(Arc::clone(&puppet) as Arc<dyn Backend>));
    let runner = Runner {
        seats: seats.expect("connects"),
        ..runner(&puppet)
    };
    waits_for_a_disk(runner, Duration::from_millis(50)).await;
}

async fn waits_for_a_disk(runner: Runner, long: Duration) {
    let plan = plan(&["ok"; 3], 1);
    let shared = Arc::new(runner.shared(crate::plan::Placed::all(&plan.jobs), 1));
    // Full with the first record.
    let (door, records) = record::Door::to_memory(0);
    let line = super::team::StartLine::of(&runner.seats, &shared, &door).await;
    let waits = async {
        while shared.waited_for_disk() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(long).await;
        runner.stop.wish();
    };
    tokio::join!(line.run(runner.clock), waits);
    assert_eq!((shared.waited_for_disk(), shared.lost_slots()), (1, 0));
    drop(door);
    assert_eq!(records.records().len(), 1, "no further one was sent");
}

#[tokio::test]
async fn a_slot_is_scheduled_when_it_became_free() {
    let puppet = Arc::new(Puppet::default());
    let run = run(&runner(&puppet), &plan(&["ok"; 5], 1)).await;
    for pair in run.records.windows(2) {
        assert!(pair[1].scheduled_ns >= pair[0].end_ns);
        assert!(pair[1].issued_ns >= pair[1].scheduled_ns);
    }
}

#[tokio::test]
async fn failures_cost_their_own_request_only() {
    let puppet = Arc::new(Puppet::default());
    let prompts = ["ok", "fail", "silent", "stall", "panic", "ok"];
    let run = run(&runner(&puppet), &plan(&prompts, 2)).await;
    let expected = [
        "ok",
        "server",
        "timeout_first_token",
        "timeout_between_tokens",
        "malformed",
        "ok",
    ];
    assert_eq!(outcomes(&run.records), expected);
    assert_eq!(run.records[1].marks.len(), 1, "what had come is kept");
    assert_eq!(run.records[1].error.as_deref(), Some("out of memory"));
    assert!(run.records[1].completion_tokens.is_none());
    let waited_ns = run.records[2].end_ns - run.records[2].issued_ns;
    assert!(waited_ns >= 80_000_000, "{waited_ns}");
}

#[tokio::test]
async fn a_stall_is_seen_long_before_the_first_tokens_limit() {
    let puppet = Arc::new(Puppet::default());
    let runner = Runner {
        limits: Limits {
            first_token: Duration::from_secs(3600),
            between_tokens: Duration::from_millis(40),
        },
        ..runner(&puppet)
    };
    let run = run(&runner, &plan(&["stall"], 1)).await;
    assert_eq!(outcomes(&run.records), ["timeout_between_tokens"]);
}

#[tokio::test]
async fn an_answer_in_one_piece_has_the_first_tokens_limit() {
    let puppet = Arc::new(Puppet::default());
    let mut plan = plan(&["stall"], 1);
    plan.jobs[0].request.stream = false;
    let run = run(&runner(&puppet), &plan).await;
    assert_eq!(outcomes(&run.records), ["timeout_first_token"]);
    let waited_ns = run.records[0].end_ns - run.records[0].issued_ns;
    assert!(waited_ns >= 80_000_000, "{waited_ns}");
}

#[tokio::test]
async fn a_wish_to_stop_cuts_what_runs_and_sends_no_more() {
    let puppet = Arc::new(Puppet::default());
    let runner = runner(&puppet);
    let stop = runner.stop.clone();
    let plan = plan(&["ok", "stall", "ok", "ok"], 1);
    let runner = Runner {
        limits: Limits {
            first_token: Duration::from_secs(60),
            between_tokens: Duration::from_secs(60),
        },
        ..runner
    };
    let (run, ()) = tokio::join!(run(&runner, &plan), async {
        while puppet.asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        stop.wish();
        stop.wish();
    });
    assert_eq!(outcomes(&run.records), ["ok", "cancelled"]);
    assert!(run.end.expect("ended").interrupted);
}

#[tokio::test]
async fn prompts_are_counted_by_the_server_before_the_run() {
    let puppet = Arc::new(Puppet::default());
    let mut good = plan(&["ab", "abc"], 1);
    runner(&puppet)
        .ask_prompt_tokens(&mut good)
        .await
        .expect("countable");
    let counts: Vec<_> = good
        .jobs
        .iter()
        .map(|job| job.request.server_prompt_tokens)
        .collect();
    assert_eq!(counts, [Some(2), Some(3)]);
    let mut bad = plan(&["ab", "uncountable"], 1);
    let error = runner(&puppet)
        .ask_prompt_tokens(&mut bad)
        .await
        .expect_err("refused");
    assert!(error.message.contains("prompt 1") && error.message.contains("cannot count"));
}

#[tokio::test]
async fn warm_up_objects_only_if_nothing_works() {
    let puppet = Arc::new(Puppet::default());
    let mut mixed = plan(&[], 2);
    mixed.warmup = vec![job("fail"), job("ok")];
    runner(&puppet).warm_up(&mixed).await.expect("one worked");
    mixed.warmup = vec![job("fail"), job("fail")];
    let error = runner(&puppet)
        .warm_up(&mixed)
        .await
        .expect_err("none worked");
    assert!(error.to_string().contains("out of memory"), "{error}");
}
