//! Every captured answer of a real LMDeploy server, replayed to the client
//! whole and one byte at a time. The table says what the client must make of
//! each; a capture that it does not name fails the test.

#![expect(clippy::expect_used, reason = "what a test sets up has to be there")]

mod replay;
#[path = "api_captures/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use backends::{Ending, Error, Finish, PromptMode, TokenSource, Trace};
use replay::{Replay, Reply, request_for, sink};
use table::{How, ROWS, Row, Said};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures"))
}

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.http"))).expect(name)
}

/// The server around a captured answer: the rest of that version, as far as a
/// client looks at it.
fn routes(row: &Row, reply: Reply) -> Vec<(&'static str, Reply)> {
    let version = row.file.split('/').next().expect("a folder");
    let old = version == "lmdeploy-0.1.0";
    let models = match version {
        "lmdeploy-0.18.0-api-keys" => "lmdeploy-0.18.0/models".to_owned(),
        version => format!("{version}/models"),
    };
    let is_there = Reply::json(
        "405 Method Not Allowed",
        r#"{"detail":"Method Not Allowed"}"#,
    );
    let mut routes = vec![
        ("GET /v1/models", Reply::raw(capture(&models))),
        ("GET /v1/encode", is_there.clone()),
    ];
    if !old {
        routes.push(("GET /health", Reply::raw(capture("lmdeploy-0.18.0/health"))));
    }
    if version != "lmdeploy-0.5.3" {
        routes.push(("GET /generate", is_there.clone()));
    }
    if !version.starts_with("lmdeploy-0.18.0") {
        routes.push(("GET /v1/chat/interactive", is_there));
    }
    routes.push(match row.how {
        How::Stream | How::Whole => ("POST /v1/chat/completions", reply.clone()),
        How::Probe => ("GET /v1/models", reply.clone()),
        How::Encode => ("POST /v1/encode", reply.clone()),
    });
    routes.push(("POST /v1/completions", reply));
    routes
}

async fn asked(row: &Row, byte_by_byte: bool) -> (Result<Finish, Error>, Trace) {
    let mut reply = Reply::raw(capture(row.file));
    reply.byte_by_byte = byte_by_byte;
    let server = Replay::start(routes(row, reply)).await;
    let client = server.client();
    let mut request = request_for("hi", 4, row.how == How::Stream);
    if row.file.contains("/chat-") {
        request.prompt_mode = PromptMode::Chat;
    }
    let mut sink = sink();
    let outcome = match row.how {
        How::Stream | How::Whole => client.generate(&request, &mut sink).await,
        How::Probe => client.probe().await.map(|info| {
            sink.text(&info.model);
            nothing(None)
        }),
        How::Encode => {
            let mut request = request_for("hello world", 4, true);
            request.prompt_mode = PromptMode::Raw;
            client.prompt_tokens(&request).await.map(nothing)
        }
    };
    (outcome, sink.into_trace())
}

/// What is no answer in the form of one.
fn nothing(prompt_tokens: Option<u32>) -> Finish {
    Finish {
        ending: Ending::Unstated,
        prompt_tokens,
        completion: None,
    }
}

/// What came of it, in the table's words.
fn said(outcome: &Result<Finish, Error>, trace: &Trace) -> String {
    let marks: Vec<u32> = trace.marks.iter().map(|mark| mark.tokens).collect();
    match outcome {
        Ok(finish) => format!(
            "{:?} prompt {:?} tokens {:?} marks {marks:?} text {:?}",
            finish.ending,
            finish.prompt_tokens,
            finish.completion.map(|(tokens, _)| tokens),
            trace.text
        ),
        Err(error) => format!("{:?} marks {marks:?} {}", error.kind, error.message),
    }
}

fn agrees(row: &Row, outcome: &Result<Finish, Error>, trace: &Trace) -> bool {
    let marks = trace.marks.len();
    match (&row.said, outcome) {
        (Said::Good(ending, prompt, tokens, wanted_marks, text), Ok(finish)) => {
            finish.ending == *ending
                && finish.prompt_tokens == *prompt
                && finish.completion == tokens.map(|tokens| (tokens, TokenSource::Usage))
                && marks == *wanted_marks
                && trace.text == *text
        }
        (Said::Bad(kind, wanted_marks, words), Err(error)) => {
            error.kind == *kind && marks == *wanted_marks && error.message.contains(words)
        }
        _ => false,
    }
}

async fn replay_all(byte_by_byte: bool) {
    let mut wrong = Vec::new();
    for row in ROWS {
        let (outcome, trace) = asked(row, byte_by_byte).await;
        if !agrees(row, &outcome, &trace) {
            wrong.push(format!(
                "{} {:?}: {}",
                row.file,
                row.how,
                said(&outcome, &trace)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn whole() {
    replay_all(false).await;
}

#[tokio::test]
async fn one_byte_at_a_time() {
    replay_all(true).await;
}

#[test]
fn every_capture_is_in_the_table() {
    let mut there = BTreeSet::new();
    for version in std::fs::read_dir(folder()).expect("captures") {
        let version = version.expect("an entry").path();
        if !version.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&version).expect("a folder") {
            let file = file.expect("an entry").path();
            if file
                .extension()
                .is_some_and(|extension| extension == "http")
            {
                let version = version.file_name().expect("a name").to_string_lossy();
                let file = file.file_stem().expect("a name").to_string_lossy();
                there.insert(format!("{version}/{file}"));
            }
        }
    }
    let table: BTreeSet<String> = ROWS.iter().map(|row| row.file.to_owned()).collect();
    assert_eq!(table.len(), ROWS.len(), "a file is named twice");
    assert_eq!(there, table);
    assert!(there.len() > 130, "{}", there.len());
}
