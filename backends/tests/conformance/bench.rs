//! A row of the table with its own simulated server, and what every good
//! answer looks like.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use backends::engine::{ByteCodec, Codec, Engine, EngineConfig, Script, Timing};
use backends::{
    ALL, Answer, Backend, Clock, Entry, Error, Finish, PromptMode, Pulse, Request, Sampling,
    ServeOptions, Sink, Target, Trace,
};

pub(crate) const FIRST_TOKEN: Duration = Duration::from_millis(20);
pub(crate) const PER_TOKEN: Duration = Duration::from_millis(2);

/// Every row: none is left out.
pub(crate) fn rows() -> impl Iterator<Item = &'static Entry> {
    assert!(ALL.len() >= 6, "the table has shrunk");
    ALL.iter()
}

/// A row's client and server in one process, on one clock.
pub(crate) struct Bench {
    pub(crate) entry: &'static Entry,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) server: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        timing: Timing::Exact {
            first_token: FIRST_TOKEN,
            per_token: PER_TOKEN,
        },
        ..EngineConfig::default()
    }
}

pub(crate) fn scripted(words: &str) -> EngineConfig {
    EngineConfig {
        script: Script::parse(words).expect("good words"),
        ..config()
    }
}

impl Bench {
    pub(crate) fn start(entry: &'static Entry, config: EngineConfig) -> Self {
        let clock = Clock::start();
        let engine = Engine::new(config, Arc::new(ByteCodec), clock);
        engine.ledger().listen();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let options = ServeOptions::default();
        let server = tokio::spawn((entry.serve)(listener, engine.clone(), options));
        let target = Target {
            address,
            model: None,
            api_key: None,
            tls: backends::Tls::default(),
            prompt_mode: PromptMode::Raw,
            connect_timeout: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(5),
        };
        let backend = (entry.connect)(target).expect("a good address");
        Self {
            entry,
            backend,
            engine,
            clock,
            server,
        }
    }

    pub(crate) async fn ready(entry: &'static Entry, config: EngineConfig) -> Self {
        let bench = Self::start(entry, config);
        let name = entry.name;
        let info = bench.backend.probe().await;
        let info = info.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(info.simulated, "{name}: {info:?}");
        assert!(
            !info.model.is_empty() && !info.server.is_empty(),
            "{name}: {info:?}"
        );
        bench.backend.warm(4).await.expect("warm");
        bench
    }

    pub(crate) async fn ask(&self, request: &Request) -> (Result<Finish, Error>, Trace) {
        let mut request = request.clone();
        // Every other request is made ready before, as the runner does it.
        if request.id.is_multiple_of(2) {
            let prepared = self.backend.prepare(&mut request).await;
            prepared.unwrap_or_else(|error| panic!("{}: {error}", self.entry.name));
        }
        let mut sink = Sink::start(self.clock, Pulse::default(), request.output_tokens);
        let outcome = self.backend.generate(&request, &mut sink).await;
        (outcome, sink.into_trace())
    }

    /// Asks for an answer that has to come, and has to be right.
    pub(crate) async fn asked(&self, request: &Request) -> (Finish, Trace) {
        let (outcome, trace) = self.ask(request).await;
        let finish = outcome.unwrap_or_else(|error| panic!("{}: {error}", self.entry.name));
        self.check_answer(request, &finish, &trace);
        (finish, trace)
    }

    pub(crate) fn check_answer(&self, request: &Request, finish: &Finish, trace: &Trace) {
        let name = self.entry.name;
        let tokens = request.output_tokens;
        if let Some((count, _)) = finish.completion {
            assert_eq!(count, tokens, "{name}: counted tokens");
        }
        if counts(self.entry) {
            assert!(
                finish.completion.is_some(),
                "{name}: the wire says how many"
            );
            assert_eq!(marked(trace), tokens, "{name}: marked tokens");
        }
        match self.entry.answer {
            Answer::Text => {
                assert_eq!(trace.text, expected_text(&request.prompt, tokens), "{name}");
            }
            Answer::TokenIds => assert_eq!(trace.text, "", "{name}"),
        }
        assert!(
            trace.end_ns >= trace.marks.last().expect("marks").at_ns,
            "{name}"
        );
    }
}

pub(crate) fn request(id: u64, prompt: &str, output_tokens: u32) -> Request {
    let token_ids = ByteCodec.encode(prompt);
    Request {
        id,
        slot: u32::try_from(id).expect("small"),
        prompt: prompt.into(),
        turn: None,
        // As the runner does: the server was asked before.
        server_prompt_tokens: u32::try_from(token_ids.len()).ok(),
        token_ids: token_ids.into(),
        output_tokens,
        sampling: Sampling::default(),
        stream: true,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

/// What the engine answers to a prompt.
fn expected_text(prompt: &str, tokens: u32) -> String {
    let prompt = ByteCodec.encode(prompt);
    let ids: Vec<u32> = (0..tokens)
        .map(|at| ByteCodec.answer(&prompt, at))
        .collect();
    String::from_utf8(ByteCodec.decode(&ids)).expect("words")
}

pub(crate) fn marked(trace: &Trace) -> u32 {
    trace.marks.iter().map(|mark| mark.tokens).sum()
}

/// Tokens that came from the engine: the marks, or the engine's own where the
/// client chains the models.
pub(crate) fn arrived(trace: &Trace) -> u32 {
    match &trace.engine_marks[..] {
        [] => marked(trace),
        marks => marks.iter().map(|mark| mark.tokens).sum(),
    }
}

/// Whether the arm's messages say how many tokens they carry.
pub(crate) fn counts(entry: &Entry) -> bool {
    entry.family == "tis" && entry.name != "tis-python"
}
