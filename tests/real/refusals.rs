//! What goes wrong in a server is told in the server's words, and leaves the
//! other requests alone.

use super::common::{Desk, dataset};
use super::{SESSION_TOKENS, Way, exactly_as_planned, runs, ways};
use pairbench::record::{Record, Run};

/// Eight good prompts and a bad one in their midst, asked for 8 tokens each.
/// Gives the bad one's record; the others have to be as planned.
fn with_one_bad(way: &Way, bad: &str) -> Record {
    let desk = Desk::new();
    let line = |prompt: &str| {
        let line = serde_json::json!({"prompt": prompt, "output_tokens": 8});
        format!("{line}\n")
    };
    let good = |number: u32| line(&format!("tell me about number {number}"));
    let lines: String = (0..4)
        .map(good)
        .chain([line(bad)])
        .chain((4..8).map(good))
        .collect();
    let data = desk.write("prompts.jsonl", &lines);
    let more = ["--concurrency", "2", "--stream_output=true"];
    let left = way.profile(&desk, &data, &more);
    assert_eq!(left.code, 1, "{}: {}", way.backend, left.err);
    left.no_panic();
    let [mut run]: [Run; 1] = runs(&desk).try_into().unwrap();
    assert_eq!(run.records.len(), 9);
    let bad = run.records.remove(4);
    run.header.num_prompts = 8;
    exactly_as_planned(&run);
    println!(
        "{} of {}: {}: {}",
        way.backend,
        way.server,
        bad.outcome,
        bad.error.as_deref().unwrap_or("-")
    );
    bad
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn an_engine_that_fails_in_mid_answer_is_quoted() {
    for way in ways() {
        let bad = with_one_bad(&way, "please fail after 3 tokens");
        let words = match (way.backend, way.server) {
            ("tis" | "tis-chatbot" | "tis-direct", _) => "TurboMind execute failure:  5",
            ("tis-ensemble", _) => "in ensemble 'ensemble', TurboMind execute failure:  5",
            ("tis-python", _) => "request: the engine failed after 3 tokens",
            (_, "lmdeploy 0.16.0 or newer") => "An internal server error occurred.",
            // It closes the connection and says nothing.
            _ => "closed the connection in the middle of the answer",
        };
        assert!(!bad.is_ok());
        let said = bad.error.unwrap_or_default();
        assert!(said.contains(words), "{}: {said}", way.backend);
    }
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn a_prompt_beyond_the_session_is_quoted() {
    let long = "word ".repeat(SESSION_TOKENS + 50);
    for way in ways() {
        let bad = with_one_bad(&way, &long);
        let words = match (way.backend, way.server) {
            ("tis" | "tis-chatbot" | "tis-direct", _) => "TurboMind execute failure:  6",
            ("tis-ensemble", _) => "in ensemble 'ensemble', TurboMind execute failure:  6",
            ("tis-python", _) => "tokens, the session 2048",
            (_, "lmdeploy 0.16.0 or newer") => "must be smaller than the model context length",
            // It says nothing but that, and no token came.
            _ => "finish_reason `length` before its first token",
        };
        assert!(!bad.is_ok());
        let said = bad.error.unwrap_or_default();
        assert!(said.contains(words), "{}: {said}", way.backend);
    }
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn a_model_that_is_not_there_is_refused_with_what_is() {
    for way in ways() {
        if way.backend == "tis-python" {
            continue;
        }
        let desk = Desk::new();
        let way = Way {
            model: Some("nope"),
            ..way
        };
        let left = way.profile(&desk, &dataset(), &["--num-prompts", "4"]);
        let there = match (way.backend, way.server) {
            ("api_server", "lmdeploy 0.16.0 or newer") => "real",
            ("api_server", _) => "internlm-chat-7b",
            _ => "turbomind",
        };
        left.refused(&["nope", there]);
    }
}
