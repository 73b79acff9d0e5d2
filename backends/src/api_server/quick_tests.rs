//! Usual and unusual events, and that whatever is taken is what serde reads.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Usual, plain};
use crate::api_server::wire::Chunk;

fn text(data: &str) -> Option<&str> {
    Usual::default().text(data.as_bytes())
}

#[test]
fn an_event_is_compared_with_the_last() {
    let mut usual = Usual::default();
    let event = |text: &str| format!(r#"{{"id":7,"choices":[{{"text":"{text}"}}],"usage":null}}"#);
    for (event, wanted) in [
        (event(""), Some("")),
        (event("a"), Some("a")),
        (event("\u{e9}"), Some("\u{e9}")),
        (event(""), Some("")),
        (event("\\n"), None),
        (event(r#"","finish_reason":"stop"#), None),
        (event(r#"","logprobs":"x"#), Some("")),
        (event("b").replace('7', "8"), Some("b")),
        (event("c").replace("]", "],\"error\":{}"), None),
        (event("d"), Some("d")),
    ] {
        assert_eq!(usual.text(event.as_bytes()), wanted, "{event}");
    }
    let broken = [
        &br#"{"id":7,"choices":[{"text":""#[..],
        b"\xff",
        br#""}],"usage":null}"#,
    ]
    .concat();
    assert_eq!(usual.text(&broken), None, "no UTF-8");
}

#[test]
fn a_whole_event_is_compared_with_the_last() {
    let mut usual = Usual::default();
    let event = |text: &str| format!("data: {{\"choices\":[{{\"text\":\"{text}\"}}]}}\n\n");
    let first = event("a");
    assert_eq!(usual.whole_event(first.as_bytes()), None, "nothing known");
    assert_eq!(usual.whole_event(b""), None, "nothing known");
    let data = first.trim_start_matches("data: ").trim_end();
    assert_eq!(usual.text(data.as_bytes()), Some("a"));
    let two = event("b") + &event("c");
    let twice_ended = event("b") + "\n";
    let broken = [first.as_bytes(), b"\xff"].concat();
    for (bytes, wanted) in [
        (event("b").as_bytes(), Some("b")),
        (event("\u{6d41}").as_bytes(), Some("\u{6d41}")),
        (event("").as_bytes(), Some("")),
        (event("\\u6d41").as_bytes(), None),
        (two.as_bytes(), None),
        (twice_ended.as_bytes(), None),
        (broken.as_slice(), None),
        (&first.as_bytes()[1..], None),
        (&first.as_bytes()[..first.len() - 1], None),
        (data.as_bytes(), None),
        (b"", None),
    ] {
        let text = usual.whole_event(bytes).map(|text| &bytes[text]);
        assert_eq!(text, wanted.map(str::as_bytes), "{bytes:?}");
    }
    let event = event("b");
    assert_eq!(
        &event[Usual::data_of(0..event.len())],
        data.replace("\"a\"", "\"b\"")
    );
}

#[test]
fn usual_events_are_read() {
    for (event, wanted) in [
        // LMDeploy 0.18.0, 0.10.2, 0.5.3 and vLLM
        (
            r#"{"id": "-1", "object": "text_completion", "created": 1795487113, "model": "stub", "choices": [{"index": 0, "text": " the"}], "usage": null}"#,
            " the",
        ),
        (
            r#"{"id":"1","object":"chat.completion.chunk","created":17,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"é流","reasoning_content":null,"gen_tokens":null,"tool_calls":[]},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            "é流",
        ),
        (r#"{"choices":[{"index":0,"delta":{"content":""}}]}"#, ""),
        (
            r#"{"id":"c","choices":[{"index":0,"delta":{"reasoning":"hm","content":""},"token_ids":null}]}"#,
            "hm",
        ),
    ] {
        assert_eq!(text(event), Some(wanted), "{event}");
    }
}

#[test]
fn unusual_events_are_left_alone() {
    for event in [
        "",
        "[DONE]",
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[{"text":"a"},{"text":"b"}]}"#,
        r#"{"choices":[{"text":"a"}]} x"#,
        r#"{"choices":[{"text":"a"}],"error":{"message":"m"}}"#,
        r#"{"choices":[{"text":"a"}],"object":"error"}"#,
        r#"{"choices":[{"text":"a"}],"usage":{"completion_tokens":1}}"#,
        r#"{"choices":[{"text":"a"}],"choices":[{"text":"b"}]}"#,
        r#"{"choices":[{"index":1,"text":"a"}]}"#,
        r#"{"choices":[{"index":01,"text":"a"}]}"#,
        r#"{"choices":[{"text":"a","text":"a"}]}"#,
        r#"{"choices":[{"text":"a\n"}]}"#,
        r#"{"choices":[{"text":"a","finish_reason":"stop"}]}"#,
        r#"{"choices":[{"message":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","reasoning_content":"b"}}]}"#,
        r#"{"choices":[{"text":"a","x":007}]}"#,
        r#"{"choices":[{"text":"a","x":1.5e}]}"#,
        r#"{"choices":[{"text":"a",}]}"#,
    ] {
        assert_eq!(text(event), None, "{event}");
    }
}

/// Objects with these fields, in any order and as often as it comes.
fn object(fields: &[(String, String)], space: &str) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

const VALUE: &str =
    "null|true|0|1|00|-1|1.5|7|\\[\\]|\\{\\}|\"\"|\"a\"|\"error\"|\"\\\\n\"|\"\u{e9}\"";

proptest! {
    #[test]
    fn a_string_ends_where_it_ends(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[!-~\u{e9}\u{1f600}]{0,30}[\0-~]?.{0,9}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            let ends = |&byte: &u8| byte < b' ' || byte == b'"' || byte == b'\\';
            let end = bytes.iter().position(ends).unwrap_or(bytes.len());
            prop_assert_eq!(plain(bytes), end);
        }
    }

    #[test]
    fn what_it_takes_is_what_serde_reads(
        delta in prop::collection::vec(("content|reasoning|reasoning_content|tool_calls|role|x", VALUE), 0..4),
        choice in prop::collection::vec(("index|text|finish_reason|message|logprobs", VALUE), 0..4),
        top in prop::collection::vec(("id|object|created|usage|error|choices", VALUE), 0..4),
        with_delta in "[01]",
        space in "|| |\n",
        cut in prop::option::weighted(0.1, 0_usize..200),
        others in prop::collection::vec(VALUE, 0..4),
    ) {
        let mut choice = choice;
        if with_delta == "1" {
            choice.push(("delta".to_owned(), object(&delta, &space)));
        }
        let mut top = top;
        top.push(("choices".to_owned(), format!("[{}]", object(&choice, &space))));
        let mut event = object(&top, &space);
        if let Some(cut) = cut {
            let cut = (0..=cut.min(event.len())).rev().find(|&cut| event.is_char_boundary(cut));
            event.truncate(cut.unwrap_or(0));
        }
        // having read the one, it reads another as if it had not
        let mut usual = Usual::default();
        usual.text(event.as_bytes());
        for other in &others {
            let other = event.replacen("\"a\"", other, 1);
            prop_assert_eq!(usual.text(other.as_bytes()), text(&other));
        }
        if let Some(text) = text(&event) {
            let chunk: Chunk<'_> = serde_json::from_str(&event).expect("an event");
            prop_assert_eq!(chunk.usage, None);
            prop_assert!(chunk.error.is_none());
            prop_assert!(chunk.object.is_none_or(|object| object.0 != "error"));
            let choices = chunk.choices.expect("choices");
            prop_assert_eq!(choices.len(), 1);
            prop_assert_eq!(choices[0].index, 0);
            prop_assert!(choices[0].finish_reason.is_none() && !choices[0].calls_tool());
            prop_assert_eq!(choices[0].pieces().collect::<String>(), text);
            prop_assert!(choices[0].pieces().count() <= 1);
        }
    }
}
