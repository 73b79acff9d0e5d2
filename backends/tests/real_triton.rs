//! The five ways against a real Triton server, where one is at hand:
//! `PAIRBENCH_TRITON=HOST:PORT cargo test --test real_triton -- --nocapture`.
//! Says so when it is skipped. The server must have LMDeploy's models and an
//! ensemble, and ignore the end of sequence when asked.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail as the test does"
)]

use std::sync::Arc;
use std::time::Duration;

use backends::{
    ALL, Answer, Backend, Clock, Entry, Error, Finish, Hop, PromptMode, Pulse, Request, Sampling,
    Sink, Target, Trace,
};

const TOKENS: [u32; 5] = [1, 16, 32, 33, 128];

fn target(address: &str) -> Target {
    Target {
        address: address.to_owned(),
        model: None,
        api_key: None,
        tls: backends::Tls::default(),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(20),
    }
}

async fn ask(backend: &dyn Backend, request: &Request, clock: Clock) -> (Finish, Trace) {
    let mut sink = Sink::start(clock, Pulse::default(), request.output_tokens);
    let finish: Result<_, Error> = backend.generate(request, &mut sink).await;
    let finish = finish.unwrap_or_else(|error| panic!("request {}: {error}", request.id));
    (finish, sink.into_trace())
}

async fn run(
    entry: &Entry,
    address: &str,
    slots: u32,
    requests: u64,
    stream: bool,
) -> (f64, Vec<Trace>) {
    let backend = (entry.connect)(target(address)).expect("a good address");
    let info = backend
        .probe()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
    assert!(!info.simulated);
    backend.warm(slots).await.expect("warm");
    let clock = Clock::start();
    let next = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let tasks: Vec<_> = (0..slots)
        .map(|slot| {
            let (backend, next) = (Arc::clone(&backend), Arc::clone(&next));
            let text = entry.answer == Answer::Text;
            tokio::spawn(async move {
                let mut traces = Vec::new();
                loop {
                    let id = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if id > requests {
                        return traces;
                    }
                    let request = request(&*backend, id, slot, stream).await;
                    let (finish, trace) = ask(&*backend, &request, clock).await;
                    check(&request, &finish, &trace, text);
                    traces.push(trace);
                }
            })
        })
        .collect();
    let mut traces = Vec::new();
    for task in tasks {
        traces.extend(task.await.expect("every answer is as asked"));
    }
    let end_ns = traces.iter().map(|trace| trace.end_ns).max().expect("some");
    (Duration::from_nanos(end_ns).as_secs_f64(), traces)
}

/// A prompt with the ids that the server itself makes of it.
async fn request(backend: &dyn Backend, id: u64, slot: u32, stream: bool) -> Request {
    let prompt = format!("tell me about number {id}");
    // The harness's tokenizer: begin of sequence, then a byte each.
    let ids = std::iter::once(1).chain(prompt.bytes().map(|byte| u32::from(byte) + 3));
    let mut request = Request {
        id,
        slot,
        token_ids: ids.collect(),
        prompt: prompt.into(),
        turn: None,
        server_prompt_tokens: None,
        output_tokens: TOKENS[usize::try_from(id % 5).expect("small")],
        sampling: Sampling::default(),
        stream,
        prompt_mode: PromptMode::Raw,
        wire: None,
    };
    request.server_prompt_tokens = backend.prompt_tokens(&request).await.expect("counted");
    request
}

fn check(request: &Request, finish: &Finish, trace: &Trace, text: bool) {
    if let Some((tokens, _)) = finish.completion {
        assert_eq!(tokens, request.output_tokens);
        let marked: u32 = trace.marks.iter().map(|mark| mark.tokens).sum();
        assert_eq!(marked, request.output_tokens);
    }
    let counted = finish.prompt_tokens.or(request.server_prompt_tokens);
    assert_eq!(counted.map(|n| n as usize), Some(request.token_ids.len()));
    if text {
        // The harness answers words ` wN`: as many as tokens.
        let words = trace.text.matches(" w").count();
        assert_eq!(words, request.output_tokens as usize, "{:?}", trace.text);
    }
}

fn ms(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64() * 1e3
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / u32::try_from(values.len()).map_or(f64::NAN, f64::from)
}

#[tokio::test]
async fn its_http_port_is_told_apart() {
    let Ok(address) = std::env::var("PAIRBENCH_TRITON_HTTP") else {
        println!("skipped: set PAIRBENCH_TRITON_HTTP=HOST:PORT to its HTTP port");
        return;
    };
    for entry in ALL.iter().filter(|entry| entry.family == "tis") {
        let backend = (entry.connect)(target(&address)).expect("a good address");
        let error = backend.probe().await.expect_err("no gRPC there");
        assert_eq!(error.kind, backends::ErrorKind::Protocol, "{error}");
        assert!(error.message.contains("8001"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_ways_bring_exactly_what_was_asked() {
    let Ok(address) = std::env::var("PAIRBENCH_TRITON") else {
        println!("skipped: set PAIRBENCH_TRITON=HOST:PORT to a real Triton server");
        return;
    };
    println!(
        "backend        slots stream requests   FTL ms   E2E ms    tok/s  hops of the first token, ms"
    );
    for entry in ALL.iter().filter(|entry| entry.family == "tis") {
        for (slots, requests, stream) in [(1, 20, true), (32, 320, true), (32, 64, false)] {
            let (took_s, traces) = run(entry, &address, slots, requests, stream).await;
            let tokens: u32 = (1..=requests).map(|id| TOKENS[(id % 5) as usize]).sum();
            let ftl = mean(traces.iter().map(|t| ms(t.marks[0].at_ns - t.issued_ns)));
            let e2e = mean(traces.iter().map(|t| ms(t.end_ns - t.issued_ns)));
            let hops = Hop::ALL.map(|hop| {
                let part = traces
                    .iter()
                    .map(|t| ms(t.hops[hop as usize].until_first_ns));
                format!("{} {:.2}", hop.name(), mean(part))
            });
            println!(
                "{:14} {slots:5} {stream:6} {requests:8} {ftl:8.2} {e2e:8.2} {:8.0}  {}",
                entry.name,
                f64::from(tokens) / took_s,
                hops.join(", ")
            );
        }
    }
}
