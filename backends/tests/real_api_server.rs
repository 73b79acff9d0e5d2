//! The client against a running api_server: `PAIRBENCH_API_SERVER=HOST:PORT`
//! names it, and `PAIRBENCH_API_SERVER_FIRST_TOKEN_MS` the time before which
//! it cannot have a first token, if that is known. Without the first there is
//! nothing to test, and the test says so.

#![expect(clippy::expect_used, reason = "what a test sets up has to be there")]

mod replay;

use std::sync::Arc;

use backends::{Backend, Clock, Ending, Finish, PromptMode, Pulse, Sink, Trace};
use futures_util::future::join_all;
use replay::{connect, request_for, target};

const OUTPUT_TOKENS: u32 = 24;

async fn one(
    client: &Arc<dyn Backend>,
    clock: Clock,
    slot: u32,
    stream: bool,
    mode: PromptMode,
) -> (Finish, Trace) {
    let mut request = request_for("hello world, say something", OUTPUT_TOKENS, stream);
    request.id = u64::from(slot) + 1;
    request.slot = slot;
    request.prompt_mode = mode;
    let mut sink = Sink::start(clock, Pulse::default(), OUTPUT_TOKENS);
    let outcome = client.generate(&request, &mut sink).await;
    (outcome.expect("an answer"), sink.into_trace())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_gives_what_was_asked_for() {
    let Ok(address) = std::env::var("PAIRBENCH_API_SERVER") else {
        eprintln!("skipped: PAIRBENCH_API_SERVER=HOST:PORT names no server");
        return;
    };
    let floor_ms: u64 = std::env::var("PAIRBENCH_API_SERVER_FIRST_TOKEN_MS")
        .map_or(0, |text| text.parse().expect("milliseconds"));
    let mut target = target(&address);
    target.api_key = std::env::var("OPENAI_API_KEY").ok();
    let client = connect(target);
    let info = client.probe().await.expect("a server");
    eprintln!("{info:?}");
    let counters = client.server_counters().await.expect("counters or none");
    eprintln!(
        "counters: {:?}",
        counters.map(|counters| counters.values.len())
    );
    let clock = Clock::start();
    for (stream, mode) in [
        (true, PromptMode::Raw),
        (true, PromptMode::Chat),
        (false, PromptMode::Raw),
        (false, PromptMode::Chat),
    ] {
        let mut request = request_for("hello world, say something", OUTPUT_TOKENS, stream);
        request.prompt_mode = mode;
        let asked = client
            .prompt_tokens(&request)
            .await
            .expect("a count or none");
        for concurrency in [1, 32] {
            client.warm(concurrency).await.expect("connections");
            let all = (0..concurrency).map(|slot| one(&client, clock, slot, stream, mode));
            let all = join_all(all).await;
            check(&all, floor_ms, stream);
            let first: Vec<u64> = all
                .iter()
                .map(|(_, trace)| (trace.marks[0].at_ns - trace.issued_ns) / 1000)
                .collect();
            let early = all
                .iter()
                .map(|(_, trace)| (trace.first_event_ns.unwrap_or(0) - trace.issued_ns) / 1000);
            eprintln!(
                "stream {stream} {mode:?} x{concurrency}: first token {} to {} us, first event \
                 from {} us, marks {}, usage {:?}, prompt {:?}, encode {asked:?}, text {:?}",
                first.iter().min().expect("some"),
                first.iter().max().expect("some"),
                early.min().expect("some"),
                all[0].1.marks.len(),
                all[0].0.completion,
                all[0].0.prompt_tokens,
                all[0].1.text
            );
        }
    }
}

fn check(all: &[(Finish, Trace)], floor_ms: u64, stream: bool) {
    for (finish, trace) in all {
        assert_eq!(finish.ending, Ending::Length);
        if let Some((tokens, _)) = finish.completion {
            assert_eq!(tokens, OUTPUT_TOKENS);
        }
        let first_ns = trace.marks[0].at_ns - trace.issued_ns;
        assert!(
            first_ns >= floor_ms * 1_000_000,
            "first token after {first_ns} ns"
        );
        assert!(stream || trace.marks.len() == 1);
        assert_eq!(trace.text, all[0].1.text, "the same prompt, the same text");
    }
}
