//! Literal events of the known versions, in and out.

use super::{Answer, Flow};
use crate::{Clock, Ending, Error, ErrorKind, Finish, Pulse, Sink, TokenSource, Trace};

fn sink() -> Sink {
    Sink::start(Clock::start(), Pulse::default(), 8)
}

fn play(needs_finish_reason: bool, events: &[&str]) -> (Result<Finish, Error>, Trace) {
    let mut sink = sink();
    let mut answer = Answer::new(needs_finish_reason);
    for event in events {
        match answer.event(event.as_bytes(), &mut sink) {
            Ok(Flow::More) => {}
            Ok(Flow::Done) => return (answer.finish(), sink.into_trace()),
            Err(error) => return (Err(error), sink.into_trace()),
        }
    }
    panic!("no [DONE] in {events:?}");
}

fn marks(trace: &Trace) -> Vec<u32> {
    trace.marks.iter().map(|mark| mark.tokens).collect()
}

fn kind(outcome: Result<Finish, Error>) -> ErrorKind {
    outcome.expect_err("no success").kind
}

const END: &str = r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"length"}]}"#;

#[test]
fn a_role_event_is_no_mark() {
    let (finish, trace) = play(
        true,
        &[
            r#"{"id":"3","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}]}"#,
            END,
            "[DONE]",
        ],
    );
    let finish = finish.expect("good");
    assert_eq!((finish.ending, finish.completion), (Ending::Length, None));
    assert_eq!((marks(&trace), trace.text.as_str()), (vec![0], " the"));
    assert!(trace.first_event_ns.expect("seen") <= trace.marks[0].at_ns);
}

#[test]
fn a_running_count_gives_each_mark_its_tokens() {
    // 0.6 to 0.9: the second token is held back, so the third event brings two
    let event = |text: &str, total: u32, reason: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"text":"{text}","finish_reason":{reason}}}],"usage":{{"prompt_tokens":9,"total_tokens":{},"completion_tokens":{total}}}}}"#,
            9 + total
        )
    };
    let events = [
        event(" a", 1, "null"),
        event("", 2, "null"),
        event("é", 3, "null"),
        event("", 3, "\"length\""),
    ];
    let mut events: Vec<&str> = events.iter().map(String::as_str).collect();
    events.push("[DONE]");
    let (finish, trace) = play(true, &events);
    let finish = finish.expect("good");
    assert_eq!(finish.completion, Some((3, TokenSource::Usage)));
    assert_eq!(finish.prompt_tokens, Some(9));
    assert_eq!((marks(&trace), trace.text.as_str()), (vec![1, 2], " aé"));

    let shrinking = [event("a", 4, "null"), event("b", 3, "null")];
    let shrinking: Vec<&str> = shrinking.iter().map(String::as_str).collect();
    let (outcome, trace) = play(true, &shrinking);
    assert_eq!(kind(outcome), ErrorKind::Malformed);
    assert_eq!(marks(&trace), [4], "what came before stays");
}

#[test]
fn a_count_at_the_end_says_nothing_about_single_marks() {
    // 0.10 to 0.13: on the finish event; vLLM gives the last text there too
    let (finish, trace) = play(
        true,
        &[
            r#"{"choices":[{"index":0,"text":"a"}],"usage":null}"#,
            r#"{"choices":[{"index":0,"text":"b","finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":2}}"#,
            "[DONE]",
        ],
    );
    assert_eq!(
        finish.expect("good").completion,
        Some((2, TokenSource::Usage))
    );
    assert_eq!(marks(&trace), [0, 0]);
}

#[test]
fn usage_in_an_event_of_its_own_is_taken() {
    // 0.14 on and vLLM; the last figures that are not null hold
    let (finish, trace) = play(
        true,
        &[
            r#"{"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": null}"#,
            r#"{"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], "usage": null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":26,"total_tokens":30,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":0}}}"#,
            r#"{"choices":[],"usage":null}"#,
            "[DONE]",
        ],
    );
    let finish = finish.expect("good");
    assert_eq!(finish.ending, Ending::Stop);
    assert_eq!(finish.completion, Some((4, TokenSource::Usage)));
    assert_eq!(marks(&trace), [0]);
}

#[test]
fn thoughts_and_tool_calls_are_answers() {
    for event in [
        r#"{"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"hm"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":"hm"}}]}"#,
    ] {
        let (finish, trace) = play(true, &[event, END, "[DONE]"]);
        assert!(finish.is_ok(), "{event}");
        assert_eq!(
            (trace.marks.len(), trace.text.as_str()),
            (1, "hm"),
            "{event}"
        );
    }
    let tool = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]},"finish_reason":"tool_calls"}]}"#;
    let (finish, trace) = play(true, &[tool, "[DONE]"]);
    assert_eq!(finish.expect("good").ending, Ending::Stop);
    assert_eq!(trace.marks.len(), 1);
}

#[test]
fn done_alone_is_no_success() {
    let text = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    assert_eq!(kind(play(true, &[text, "[DONE]"]).0), ErrorKind::Cut);
    assert_eq!(kind(play(true, &["[DONE]"]).0), ErrorKind::Cut);
    let old = play(false, &[text, "[DONE]"])
        .0
        .expect("0.1.0a1 says no more");
    assert_eq!((old.ending, old.completion), (Ending::Unstated, None));
    assert_eq!(kind(play(false, &["[DONE]"]).0), ErrorKind::Cut);
    assert_eq!(kind(play(true, &[END, "[DONE]"]).0), ErrorKind::Rejected);
}

#[test]
fn failures_inside_a_stream_are_failures() {
    let text = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    for (event, expected, words) in [
        (
            r#"{"error": {"message": "An internal server error occurred.", "code": 500}}"#,
            ErrorKind::Server,
            "An internal server error",
        ),
        (
            r#"{"object":"error","message":"busy","code":503}"#,
            ErrorKind::Overloaded,
            "busy",
        ),
        (
            r#"{"choices":[{"index":0,"delta":{"content":"internal error happened"},"finish_reason":"error"}],"usage":null}"#,
            ErrorKind::Server,
            "internal error happened",
        ),
        (
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"abort"}]}"#,
            ErrorKind::Server,
            "`abort`",
        ),
        (
            r#"{"text":" the","tokens":1}"#,
            ErrorKind::Malformed,
            "no piece",
        ),
        ("{", ErrorKind::Malformed, "cannot be read"),
        ("null", ErrorKind::Malformed, "cannot be read"),
        (
            r#"{"choices":[],"usage":{"completion_tokens":-1}}"#,
            ErrorKind::Malformed,
            "cannot be read",
        ),
    ] {
        let (outcome, trace) = play(true, &[text, event]);
        let error = outcome.expect_err(event);
        assert_eq!(error.kind, expected, "{event}");
        assert!(error.message.contains(words), "{}", error.message);
        assert_eq!(
            (trace.marks.len(), trace.text.as_str()),
            (1, "a"),
            "{event}"
        );
    }
}

/// Found by the fuzzer: serde repeats a string that it did not expect, all of it.
#[test]
fn an_error_is_short_whatever_the_server_sends() {
    let long = format!(r#"{{"choices":[{{"index":"{}"}}]}}"#, "no ".repeat(5_000));
    let streamed = play(true, &[&long]).0;
    let whole = Answer::whole(long.as_bytes(), &mut sink());
    for error in [streamed, whole].map(|outcome| outcome.expect_err("no number")) {
        assert!(error.message.len() < 1_000, "{} bytes", error.message.len());
        assert!(error.message.contains("cannot be read"), "{error}");
    }
}

#[test]
fn a_whole_answer_is_one_mark() {
    let mut chat = sink();
    let finish = Answer::whole(
        br#"{"choices":[{"index":0,"message":{"role":"assistant","content":" the stream","tool_calls":null},"finish_reason":"length"}],"usage":{"prompt_tokens":26,"total_tokens":28,"completion_tokens":2}}"#,
        &mut chat,
    );
    assert_eq!(
        finish.expect("good").completion,
        Some((2, TokenSource::Usage))
    );
    let trace = chat.into_trace();
    assert_eq!(
        (marks(&trace), trace.text.as_str()),
        (vec![2], " the stream")
    );

    for (body, expected) in [
        (
            r#"{"object":"error","message":"no","code":404}"#,
            ErrorKind::Model,
        ),
        (r#"{"choices":[]}"#, ErrorKind::Malformed),
        ("[]", ErrorKind::Malformed),
        ("", ErrorKind::Malformed),
        (
            r#"{"choices":[{"text":"internal error happened","finish_reason":"error"}],"usage":{"completion_tokens":0}}"#,
            ErrorKind::Server,
        ),
        (
            r#"{"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":2602,"completion_tokens":0}}"#,
            ErrorKind::Rejected,
        ),
    ] {
        let mut sink = sink();
        assert_eq!(
            kind(Answer::whole(body.as_bytes(), &mut sink)),
            expected,
            "{body}"
        );
        assert!(!sink.has_tokens(), "{body}");
    }
}

proptest::proptest! {
    /// Whatever comes is an answer or an error, and text is marked.
    #[test]
    fn nothing_is_too_odd(events in proptest::collection::vec(odd_event(), 0..6)) {
        let mut sink = sink();
        let mut answer = Answer::new(true);
        for event in &events {
            if answer.event(event.as_bytes(), &mut sink).is_err() {
                break;
            }
        }
        let ended = answer.finish();
        let trace = sink.into_trace();
        proptest::prop_assert!(trace.text.is_empty() || !trace.marks.is_empty());
        if let Err(error) = ended {
            proptest::prop_assert!(error.message.len() < 1000);
        }
    }
}

/// Events that are nearly right, and noise.
fn odd_event() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::{Just, Strategy as _, any, prop_oneof};
    let value = || {
        prop_oneof![
            Just("null".to_owned()),
            Just("[]".to_owned()),
            Just("{}".to_owned()),
            Just("\"stop\"".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        ]
    };
    let near = (value(), value(), value(), value()).prop_map(|(text, reason, index, tokens)| {
        format!(
            r#"{{"choices":[{{"index":{index},"text":{text},"finish_reason":{reason}}}],"usage":{{"completion_tokens":{tokens}}}}}"#
        )
    });
    let nearer = (any::<String>(), any::<u32>()).prop_map(|(text, tokens)| {
        let text = serde_json::Value::from(text);
        format!(r#"{{"choices":[{{"text":{text}}}],"usage":{{"completion_tokens":{tokens}}}}}"#)
    });
    prop_oneof![near, nearer, any::<String>()]
}
