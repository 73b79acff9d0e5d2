//! The simulated api_server, in both dialects, asked by the client and by
//! hand: counts, text, ledger, failures, and what happens when a client leaves.

#![expect(clippy::expect_used, reason = "what a test sets up has to be there")]

mod replay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backends::engine::{ByteCodec, Codec, Engine, EngineConfig, Script, Timing};
use backends::{
    Backend, Clock, Error, ErrorKind, Finish, Hop, PromptMode, Pulse, Request, ServeOptions, Sink,
    Trace,
};
use futures_util::future::join_all;
use replay::{connect, request_for, target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Site {
    address: SocketAddr,
    engine: Engine,
    clock: Clock,
    task: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn config(words: &str) -> EngineConfig {
    EngineConfig {
        timing: Timing::Exact {
            first_token: Duration::from_millis(5),
            per_token: Duration::from_millis(1),
        },
        script: Script::parse(words).expect("good words"),
        ..EngineConfig::default()
    }
}

fn serve(config: EngineConfig, options: ServeOptions) -> Site {
    let clock = Clock::start();
    let engine = Engine::new(config, Arc::new(ByteCodec), clock);
    engine.ledger().listen();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let entry = backends::find("api_server").expect("a row");
    let task = tokio::spawn((entry.serve)(listener, engine.clone(), options));
    Site {
        address,
        engine,
        clock,
        task,
    }
}

fn options(old_api: bool) -> ServeOptions {
    ServeOptions {
        old_api,
        ..ServeOptions::default()
    }
}

impl Site {
    fn client(&self) -> Arc<dyn Backend> {
        connect(target(&self.address.to_string()))
    }

    async fn ask(&self, request: &Request) -> (Result<Finish, Error>, Trace) {
        let client = self.client();
        client.probe().await.expect("a model");
        self.ask_by(client.as_ref(), request).await
    }

    async fn ask_by(
        &self,
        client: &dyn Backend,
        request: &Request,
    ) -> (Result<Finish, Error>, Trace) {
        let mut sink = Sink::start(self.clock, Pulse::default(), request.output_tokens);
        let outcome = client.generate(request, &mut sink).await;
        (outcome, sink.into_trace())
    }

    /// One request by hand; the answer's bytes.
    async fn raw(&self, line: &str, body: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.address)
            .await
            .expect("a server");
        let head = format!(
            "{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        answer
    }
}

/// What the engine answers to `prompt`, as text.
fn expected(prompt: &str, tokens: u32) -> String {
    let prompt = ByteCodec.encode(prompt);
    let ids: Vec<u32> = (0..tokens)
        .map(|at| ByteCodec.answer(&prompt, at))
        .collect();
    String::from_utf8(ByteCodec.decode(&ids)).expect("words")
}

const TURN: (&str, &str) = (
    "<|im_start|>user\n",
    "\n<|im_end|>\n<|im_start|>assistant\n",
);

/// 32 requests of different lengths at once.
fn crowd(stream: bool, mode: PromptMode) -> Vec<Request> {
    let one = |number: u32| {
        let mut request = request_for(&format!("say {number}"), 5 + number, stream);
        (request.id, request.slot) = (number.into(), number - 1);
        request.prompt_mode = mode;
        request
    };
    (1..=32).map(one).collect()
}

/// The prompt as the simulated engine gets it.
fn wrapped(request: &Request) -> String {
    match request.prompt_mode {
        PromptMode::Raw => request.prompt.to_string(),
        PromptMode::Chat => format!("{}{}{}", TURN.0, request.prompt, TURN.1),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_text_and_ledger_agree() {
    for (old, stream, mode) in [
        (false, true, PromptMode::Raw),
        (false, true, PromptMode::Chat),
        (false, false, PromptMode::Raw),
        (false, false, PromptMode::Chat),
        (true, true, PromptMode::Raw),
        (true, true, PromptMode::Chat),
        (true, false, PromptMode::Raw),
        (true, false, PromptMode::Chat),
    ] {
        let site = serve(config(""), options(old));
        let client = site.client();
        let info = client.probe().await.expect("a model");
        assert!(info.simulated && info.model == "simulated", "{info:?}");
        client.warm(32).await.expect("connections");
        let requests = crowd(stream, mode);
        let all = requests
            .iter()
            .map(|request| site.ask_by(client.as_ref(), request));
        let all = join_all(all).await;
        let ledger = site.engine.ledger().take();
        for (request, (outcome, trace)) in requests.iter().zip(all) {
            let finish = outcome.expect("good");
            let what = format!("old {old} stream {stream} {mode:?} {}", request.id);
            let by_encode = client
                .prompt_tokens(request)
                .await
                .expect("a count or none");
            counts_agree(old, request, &finish, by_encode, &what);
            let text = expected(&wrapped(request), request.output_tokens);
            assert_eq!(trace.text, text, "{what}");
            let engine = trace.hops[Hop::Engine as usize];
            let first_token_ns = trace.marks[0].at_ns - trace.issued_ns;
            assert_eq!(engine.calls, 1, "{what}");
            assert_eq!(
                engine.until_first_ns + trace.other_until_first_ns,
                first_token_ns
            );
            assert!(!old || !stream || trace.first_event_ns < Some(trace.marks[0].at_ns));
            let name = request.id.to_string();
            let handed = ledger.iter().filter(|entry| entry.request == name);
            let handed: Vec<_> = handed
                .map(|entry| (entry.at_ns, entry.total_tokens))
                .collect();
            assert_eq!(handed.last().expect(&what).1, request.output_tokens);
            assert_eq!(handed.len(), trace.marks.len(), "{what}");
            for ((sent_ns, _), mark) in handed.iter().zip(&trace.marks) {
                assert!(*sent_ns <= mark.at_ns, "{what}: seen before it was sent");
            }
        }
    }
}

/// Old streams carry no counts; there, encode has the raw prompt's.
fn counts_agree(old: bool, request: &Request, finish: &Finish, by_encode: Option<u32>, what: &str) {
    let told = !(old && request.stream);
    let prompt_tokens = u32::try_from(ByteCodec.encode(&wrapped(request)).len()).expect("few");
    let completion = finish.completion.map(|(tokens, _)| tokens);
    assert_eq!(completion, told.then_some(request.output_tokens), "{what}");
    assert_eq!(
        finish.prompt_tokens,
        told.then_some(prompt_tokens),
        "{what}"
    );
    let wanted = !told && request.prompt_mode == PromptMode::Raw;
    assert_eq!(by_encode, wanted.then_some(prompt_tokens), "{what}");
}

#[tokio::test]
async fn split_characters_come_whole() {
    // tokens 4 to 6 of six are one character; the limit falls inside one at 5 and 11
    for (old, tokens, end) in [
        (false, 12, "流"),
        (true, 12, "流"),
        (false, 11, ""),
        (true, 11, "\u{fffd}"),
    ] {
        for stream in [true, false] {
            let site = serve(config("text=split"), options(old));
            let (outcome, trace) = site.ask(&request_for("p", tokens, stream)).await;
            let finish = outcome.expect("good");
            assert!(finish.completion.is_none_or(|(told, _)| told == tokens));
            assert_eq!(
                trace.text.matches('流').count(),
                if tokens == 12 { 2 } else { 1 }
            );
            assert!(
                trace.text.ends_with(end),
                "old {old} {tokens}: {}",
                trace.text
            );
            assert_eq!(trace.text.contains('\u{fffd}'), end == "\u{fffd}");
        }
    }
}

#[tokio::test]
async fn failures_look_as_the_version_has_them() {
    for (words, old, stream, kind, marks) in [
        ("fail=error after=3", false, true, ErrorKind::Server, 3),
        ("fail=error after=3", false, false, ErrorKind::Server, 0),
        ("fail=error after=3", true, true, ErrorKind::Cut, 3),
        ("fail=error after=3", true, false, ErrorKind::Server, 0),
        ("fail=error after=0", false, true, ErrorKind::Server, 0),
        ("fail=cut after=3", false, true, ErrorKind::Cut, 3),
        ("fail=cut after=3", false, false, ErrorKind::Cut, 0),
        ("fail=cut after=3", true, true, ErrorKind::Cut, 3),
        ("fail=cut after=0", true, false, ErrorKind::Cut, 0),
        ("fail=refuse", false, true, ErrorKind::Server, 0),
        ("fail=refuse", false, false, ErrorKind::Server, 0),
        ("fail=refuse", true, true, ErrorKind::Cut, 0),
        ("fail=refuse", true, false, ErrorKind::Server, 0),
    ] {
        let site = serve(config(words), options(old));
        let (outcome, trace) = site.ask(&request_for("p", 8, stream)).await;
        let error = outcome.expect_err(words);
        assert_eq!(
            error.kind, kind,
            "{words} old {old} stream {stream}: {error}"
        );
        assert_eq!(
            trace.marks.len(),
            marks,
            "{words} old {old} stream {stream}"
        );
        let ledger = site.engine.ledger().take();
        assert_eq!(ledger.len(), marks, "{words} old {old} stream {stream}");
    }
    for old in [false, true] {
        for stream in [false, true] {
            let site = serve(config(""), options(old));
            let long = "x".repeat(3000);
            let (outcome, _) = site.ask(&request_for(&long, 8, stream)).await;
            assert_eq!(outcome.expect_err("too long").kind, ErrorKind::Rejected);
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    for old in [false, true] {
        for stream in [true, false] {
            let mut config = config("");
            config.max_running = 1;
            config.prompt_orders = true;
            let site = serve(config, options(old));
            let stalled = request_for("wait @@fail=stall @@after=2", 8, stream);
            let patience = Duration::from_millis(200);
            let given_up = tokio::time::timeout(patience, site.ask(&stalled)).await;
            assert!(given_up.is_err(), "it stalls");
            let mut next = request_for("next", 8, stream);
            next.slot = 4;
            let next = tokio::time::timeout(Duration::from_secs(20), site.ask(&next)).await;
            let (outcome, _) = next.expect("its place is free");
            outcome.expect("good");
        }
    }
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let site = serve(config(""), options(false));
    let client = site.client();
    client.probe().await.expect("a model");
    site.task.abort();
    let mut sink = replay::sink();
    let request = request_for("p", 8, true);
    let wait = Duration::from_secs(20);
    let outcome = tokio::time::timeout(wait, client.generate(&request, &mut sink)).await;
    let error = outcome.expect("it ends").expect_err("nobody there");
    assert!(
        matches!(error.kind, ErrorKind::Connect | ErrorKind::Cut),
        "{error}"
    );
}

#[tokio::test]
async fn keys_are_asked_for() {
    for old in [false, true] {
        let mut options = options(old);
        options.api_keys = vec!["one".to_owned(), "two".to_owned()];
        let site = serve(config(""), options);
        let mut target = target(&site.address.to_string());
        for key in [None, Some("three".to_owned())] {
            target.api_key = key;
            let error = connect(target.clone()).probe().await.expect_err("no entry");
            assert_eq!(error.kind, ErrorKind::Auth, "{error}");
        }
        target.api_key = Some("two".to_owned());
        let client = connect(target);
        let (outcome, _) = site
            .ask_by(client.as_ref(), &request_for("p", 3, true))
            .await;
        outcome.expect("good");
    }
}

const WRONG_MODEL: &str = r#"{"model":"nope","prompt":"p"}"#;
const BAD_TYPE: &str = r#"{"model":"simulated","prompt":"p","max_tokens":"many"}"#;
const IDS: &str = r#"{"input_ids":[1,9,8],"max_tokens":2,"stream":true}"#;
const LINES: &str = r#"{"prompt":"p","request_output_len":2,"stream":true,"ignore_eos":true}"#;
const INPUT: &str = r#"{"input":"ab"}"#;
const ENCODED: &str = r#"{"input_ids":[1,100,101],"length":3}"#;
const NO_INTEGER: &str = "Input should be a valid integer, unable to parse string as an integer";

/// Whether old, what is asked, and what the answer holds.
#[rustfmt::skip]
const BY_HAND: &[(bool, &str, &str, &str)] = &[
    (false, "GET /health", "", r#"{"status":"healthy","message":"Engine is healthy."}"#),
    (true, "GET /health", "", "404 Not Found"),
    (false, "GET /nowhere", "", r#"{"detail":"Not Found"}"#),
    (false, "GET /v1/completions", "", r#"{"detail":"Method Not Allowed"}"#),
    (false, "POST /v1/chat/interactive", "{}", "404 Not Found"),
    (false, "POST /v1/encode", INPUT, ENCODED),
    (true, "POST /v1/encode", INPUT, ENCODED),
    (false, "POST /v1/completions", WRONG_MODEL, r#"{"message":"The model 'nope' does not exist.","type":"not_found_error","code":404,"param":null,"object":"error"}"#),
    (true, "POST /v1/completions", WRONG_MODEL, r#"{"object":"error","message":"The model `nope` does not exist.","code":404}"#),
    (false, "POST /v1/completions", BAD_TYPE, r#""type":"invalid_request_error","code":400,"param":null,"object":"error"}"#),
    (false, "POST /v1/completions", BAD_TYPE, NO_INTEGER),
    (true, "POST /v1/completions", BAD_TYPE, "422 Unprocessable Entity"),
    (true, "POST /v1/completions", BAD_TYPE, r#"{"detail":[{"type":"int_parsing","loc":["body","max_tokens"],"msg":"#),
    (true, "POST /v1/completions", "{", r#""msg":"JSON decode error""#),
    (false, "POST /v1/completions", "{", r#"JSON decode error","type":"invalid_request_error""#),
    (false, "POST /generate", IDS, r#""finish_reason":{"type":"length"}"#),
    (true, "POST /v1/chat/interactive", LINES, "\"tokens\":2,\"finish_reason\":\"length\"}\n"),
];

#[tokio::test]
async fn answers_by_hand_have_the_versions_shapes() {
    let new = serve(config(""), options(false));
    let old = serve(config(""), options(true));
    for (is_old, line, body, wanted) in BY_HAND {
        let site = if *is_old { &old } else { &new };
        let answer = site.raw(line, body).await;
        assert!(answer.contains(wanted), "{line} {body}: {answer}");
        assert!(answer.contains("server: pairbench-simulated"), "{answer}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_five_seconds() {
    let site = serve(config(""), options(false));
    let mut stream = tokio::net::TcpStream::connect(site.address)
        .await
        .expect("a server");
    let ask = b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n";
    stream.write_all(ask).await.expect("sent");
    let since_ns = site.clock.now_ns();
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    end.await.expect("it is closed").expect("in order");
    let idle_ns = site.clock.now_ns() - since_ns;
    assert!(idle_ns >= 4_500_000_000, "closed after {idle_ns} ns");
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200 OK"));
}
