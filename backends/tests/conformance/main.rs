//! One suite for every row of `ALL`, each against its own simulated server:
//! what the house relies on, whatever the protocol. Knows no wire.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail as the test does"
)]

mod bench;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backends::engine::{EngineConfig, Handover};
use backends::{Entry, ErrorKind, PromptMode, Pulse, Request, Sink, Trace, find};

use bench::{
    Bench, FIRST_TOKEN, PER_TOKEN, arrived, config, counts, marked, request, rows, scripted,
};

#[tokio::test]
async fn streams_bring_every_token_and_its_text() {
    for entry in rows() {
        let bench = Bench::ready(entry, config()).await;
        for (id, tokens) in [(1, 1), (2, 7), (3, 30)] {
            let request = request(id, "say something", tokens);
            let (_, trace) = bench.asked(&request).await;
            let messages = usize::try_from(tokens).expect("small");
            if trace.engine_marks.is_empty() {
                assert_eq!(
                    trace.marks.len(),
                    messages,
                    "{}: one per message",
                    entry.name
                );
            } else {
                assert_eq!(trace.engine_marks.len(), messages, "{}", entry.name);
                assert!(trace.marks.len() <= messages, "{}", entry.name);
            }
            let first_ns = u128::from(trace.marks[0].at_ns - trace.issued_ns);
            assert!(
                first_ns >= FIRST_TOKEN.as_nanos(),
                "{}: {first_ns}",
                entry.name
            );
        }
    }
}

#[tokio::test]
async fn whole_answers_come_as_one_mark() {
    for entry in rows() {
        let bench = Bench::ready(entry, config()).await;
        let request = Request {
            stream: false,
            ..request(1, "say something", 9)
        };
        let (_, trace) = bench.asked(&request).await;
        assert_eq!(trace.marks.len(), 1, "{}", entry.name);
        let took_ns = u128::from(trace.marks[0].at_ns - trace.issued_ns);
        assert!(
            took_ns >= (FIRST_TOKEN + 8 * PER_TOKEN).as_nanos(),
            "{}",
            entry.name
        );
    }
}

#[tokio::test]
async fn several_tokens_per_message_are_counted_one_by_one() {
    for entry in rows() {
        let config = EngineConfig {
            tokens_per_message: 4,
            ..config()
        };
        let bench = Bench::ready(entry, config).await;
        let (_, trace) = bench.asked(&request(1, "say something", 10)).await;
        assert!(trace.marks.len() <= 3, "{}: {:?}", entry.name, trace.marks);
    }
}

#[tokio::test]
async fn the_end_of_sequence_is_ignored_only_when_asked() {
    for entry in rows() {
        let bench = Bench::ready(entry, scripted("eos=4")).await;
        bench.asked(&request(1, "say something", 9)).await;
        let mut natural = request(2, "say something", 9);
        natural.sampling.ignore_eos = false;
        let (outcome, trace) = bench.ask(&natural).await;
        let finish = outcome.expect("served");
        bench.check_answer(&request(2, "say something", 4), &finish, &trace);
    }
}

#[tokio::test]
async fn prompts_are_counted_by_the_server() {
    for entry in rows() {
        let bench = Bench::ready(entry, config()).await;
        let request = request(1, "say something", 1);
        let asked = bench
            .backend
            .prompt_tokens(&request)
            .await
            .expect("counted");
        let ids = bench.backend.prompt_ids(&request).await.expect("told");
        assert_eq!(ids.as_deref(), Some(&*request.token_ids), "{}", entry.name);
        let (finish, _) = bench.asked(&request).await;
        let count = finish.prompt_tokens.or(asked).map(|count| count as usize);
        assert_eq!(count, Some(request.token_ids.len()), "{}", entry.name);
    }
}

/// The text that the simulated api_server's own small template makes.
const RENDERED: &str = "<|im_start|>user\nsay something\n<|im_end|>\n<|im_start|>assistant\n";

#[tokio::test]
async fn a_turn_and_its_rendered_text_are_the_same_tokens() {
    for entry in rows() {
        let bench = Bench::ready(entry, config()).await;
        let request = Request {
            turn: Some("say something".into()),
            prompt_mode: PromptMode::Chat,
            ..request(1, RENDERED, 3)
        };
        let ids = bench.backend.prompt_ids(&request).await.expect("told");
        assert_eq!(ids.as_deref(), Some(&*request.token_ids), "{}", entry.name);
        let (finish, _) = bench.asked(&request).await;
        if let Some(count) = finish.prompt_tokens {
            assert_eq!(count as usize, request.token_ids.len(), "{}", entry.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_keep_apart_and_agree_with_the_ledger() {
    for entry in rows() {
        let bench = Arc::new(Bench::ready(entry, config()).await);
        let tasks: Vec<_> = (1..=32)
            .map(|id| {
                let tokens = 5 + u32::try_from(id % 7).expect("small");
                let request = request(id, &format!("prompt number {id}"), tokens);
                let bench = Arc::clone(&bench);
                tokio::spawn(async move { (id.to_string(), bench.asked(&request).await.1) })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("no panic"));
        }
        let mut ledger: HashMap<String, Vec<Handover>> = HashMap::new();
        for message in bench.engine.ledger().take() {
            ledger
                .entry(message.request.clone())
                .or_default()
                .push(message);
        }
        for (id, trace) in &answers {
            let given = ledger.get(id);
            let given = given.unwrap_or_else(|| panic!("{}: no entry {id}", entry.name));
            agrees(entry, given, trace);
        }
    }
}

/// No piece is in the client's hands before the server handed it over.
fn agrees(entry: &Entry, given: &[Handover], trace: &Trace) {
    let mut total = 0;
    for (at, mark) in trace.marks.iter().enumerate() {
        total += mark.tokens;
        let source = if counts(entry) {
            given.iter().find(|message| message.total_tokens >= total)
        } else {
            given.get(at)
        };
        let source = source.unwrap_or_else(|| panic!("{}: {given:?} {trace:?}", entry.name));
        assert!(
            mark.at_ns >= source.at_ns,
            "{}: {mark:?} before {source:?}",
            entry.name
        );
    }
    for (mark, message) in trace.engine_marks.iter().zip(given) {
        assert!(
            mark.at_ns >= message.at_ns,
            "{}: {mark:?} {message:?}",
            entry.name
        );
    }
}

#[tokio::test]
async fn scripted_failures_have_their_kind_and_keep_what_came() {
    for entry in rows() {
        for (script, kind, came) in [
            ("fail=refuse", ErrorKind::Server, 0),
            ("fail=error after=3", ErrorKind::Server, 3),
            ("fail=cut after=0", ErrorKind::Cut, 0),
            ("fail=cut after=3", ErrorKind::Cut, 3),
        ] {
            let bench = Bench::ready(entry, scripted(script)).await;
            let (outcome, trace) = bench.ask(&request(1, "say something", 9)).await;
            let error = outcome.expect_err(script);
            assert_eq!(error.kind, kind, "{} {script}: {error}", entry.name);
            assert!(!error.message.is_empty());
            // A reset may overtake the last message before it.
            let least = if kind == ErrorKind::Cut {
                came.min(1)
            } else {
                came
            };
            let came = least..=came;
            if counts(entry) {
                assert!(came.contains(&arrived(&trace)), "{} {script}", entry.name);
                assert!(marked(&trace) <= *came.end(), "{} {script}", entry.name);
            } else {
                let marks = u32::try_from(trace.marks.len()).expect("few");
                assert!(came.contains(&marks), "{} {script}", entry.name);
            }
        }
    }
}

#[tokio::test]
async fn one_failure_in_ten_leaves_the_others_alone() {
    for entry in rows() {
        let bench = Bench::ready(entry, scripted("fail=cut after=2 every=10")).await;
        let bench = Arc::new(bench);
        let tasks: Vec<_> = (1..=20)
            .map(|id| {
                let bench = Arc::clone(&bench);
                tokio::spawn(async move { bench.ask(&request(id, "hi", 5)).await.0 })
            })
            .collect();
        let mut failed = 0;
        for task in tasks {
            if let Err(error) = task.await.expect("no panic") {
                assert_eq!(error.kind, ErrorKind::Cut, "{}: {error}", entry.name);
                failed += 1;
            }
        }
        assert_eq!(failed, 2, "{}", entry.name);
    }
}

#[tokio::test]
async fn a_dropped_request_frees_its_place() {
    // An ensemble hands no cancellation to its steps: see below.
    for entry in rows().filter(|entry| entry.name != "tis-ensemble") {
        let config = EngineConfig {
            max_running: 1,
            ..scripted("fail=stall after=2 every=2")
        };
        let bench = Bench::ready(entry, config).await;
        bench.asked(&request(1, "hi", 3)).await;
        let mut sink = Sink::start(bench.clock, Pulse::default(), 9);
        let stalled = request(2, "hi", 9);
        let answer = bench.backend.generate(&stalled, &mut sink);
        let outcome = tokio::time::timeout(Duration::from_millis(300), answer).await;
        assert!(outcome.is_err(), "{}: {outcome:?}", entry.name);
        let trace = sink.into_trace();
        assert!(!trace.marks.is_empty(), "{}: what came is kept", entry.name);
        let next = request(3, "hi", 3);
        let served = tokio::time::timeout(Duration::from_secs(10), bench.asked(&next)).await;
        served.unwrap_or_else(|_| panic!("{}: the place is not free", entry.name));
    }
}

/// Triton does not pass a cancellation through an ensemble: the engine's step
/// runs to its end.
#[tokio::test]
async fn a_dropped_request_of_an_ensemble_keeps_its_place_to_its_end() {
    let entry = find("tis-ensemble").expect("listed");
    let config = EngineConfig {
        max_running: 1,
        ..config()
    };
    let bench = Bench::ready(entry, config).await;
    let start_ns = bench.clock.now_ns();
    let mut sink = Sink::start(bench.clock, Pulse::default(), 300);
    let long = request(1, "hi", 300);
    let answer = bench.backend.generate(&long, &mut sink);
    let outcome = tokio::time::timeout(Duration::from_millis(100), answer).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(!sink.into_trace().marks.is_empty(), "it ran");
    let next = request(2, "hi", 3);
    let next = bench.asked(&next);
    let (_, trace) = tokio::time::timeout(Duration::from_secs(10), next)
        .await
        .expect("the place is free at last");
    let began_ns = u128::from(trace.marks[0].at_ns - start_ns);
    let least = FIRST_TOKEN + 299 * PER_TOKEN + FIRST_TOKEN;
    assert!(began_ns >= least.as_nanos(), "{began_ns}");
}

#[tokio::test]
async fn counters_are_read_where_there_are_any() {
    for entry in rows() {
        let bench = Bench::ready(entry, config()).await;
        let before = bench.backend.server_counters().await.expect("no refusal");
        bench.asked(&request(1, "hi", 3)).await;
        let after = bench.backend.server_counters().await.expect("no refusal");
        assert_eq!(before.is_some(), after.is_some());
        if let (Some(before), Some(after)) = (before, after) {
            let grown = |(name, value): (&String, &f64)| {
                *value > before.values.get(name).copied().unwrap_or(0.0)
            };
            assert!(after.values.iter().any(grown), "{}: {after:?}", entry.name);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_no_connection_or_a_cut() {
    for entry in rows() {
        let bench = Bench::ready(entry, config()).await;
        let long = request(1, "hi", 2000);
        let mut sink = Sink::start(bench.clock, Pulse::default(), 2000);
        let death = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            bench.server.abort();
        };
        let (outcome, ()) = tokio::join!(bench.backend.generate(&long, &mut sink), death);
        let error = outcome.expect_err("the server died");
        let kinds = [ErrorKind::Connect, ErrorKind::Cut];
        // A way that opens a connection per call may find it closed instead.
        assert!(kinds.contains(&error.kind), "{}: {error:?}", entry.name);
        assert!(!sink.into_trace().marks.is_empty(), "{}", entry.name);
        let (outcome, _) = bench.ask(&request(2, "hi", 2)).await;
        let error = outcome.expect_err("the server is dead");
        assert!(kinds.contains(&error.kind), "{}: {error:?}", entry.name);
        let (outcome, _) = bench.ask(&request(3, "hi", 2)).await;
        let error = outcome.expect_err("the server is dead");
        assert_eq!(error.kind, ErrorKind::Connect, "{}: {error:?}", entry.name);
    }
}
