//! Our bytes against captured ones, with ids and times made equal.

use super::{Dialect, Endpoint, Shape, ascii};
use crate::Ending;

/// The data of a captured stream's events, dechunked.
fn events(capture: &str) -> Vec<String> {
    let (_, body) = capture.split_once("\r\n\r\n").expect("a head");
    body.split('\n')
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| line.starts_with("data: ") || line.starts_with('{'))
        .map(level)
        .collect()
}

/// Makes ids and times equal, which differ from run to run.
fn level(text: &str) -> String {
    let mut text = text.to_owned();
    for key in ["\"id\":", "\"created\":"] {
        let Some(at) = text.find(key) else { continue };
        let end = text[at..].find(',').expect("more fields") + at;
        let space = if text[at + key.len()..].starts_with(' ') {
            " "
        } else {
            ""
        };
        text.replace_range(at + key.len()..end, &format!("{space}0"));
    }
    text
}

fn capture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures");
    std::fs::read_to_string(format!("{folder}/{name}.http")).expect(name)
}

fn streamed(shape: &Shape, pieces: &[(&str, &[u32])], ending: Ending) -> Vec<String> {
    let mut out: Vec<String> = shape.opening().into_iter().collect();
    let mut total = 0;
    for (text, ids) in pieces {
        total += u32::try_from(ids.len()).expect("few");
        out.extend(shape.piece(text, ids, total));
    }
    out.extend(shape.end("", ending, total));
    out.iter()
        .map(|message| level(message.trim_end()))
        .collect()
}

const PIECES: &[(&str, &[u32])] = &[
    (" the", &[333]),
    (" stream", &[485]),
    (" of", &[383]),
    (" tokens", &[855]),
];

/// Capture, endpoint, whether usage was asked for, steps, ending.
const STREAMS: &[(&str, Endpoint, bool, usize, Ending)] = &[
    (
        "0.18.0/chat-stream",
        Endpoint::Chat,
        false,
        4,
        Ending::Length,
    ),
    (
        "0.18.0/chat-stream-usage",
        Endpoint::Chat,
        true,
        4,
        Ending::Length,
    ),
    (
        "0.18.0/completions-stream",
        Endpoint::Completions,
        false,
        4,
        Ending::Length,
    ),
    (
        "0.18.0/completions-stream-usage",
        Endpoint::Completions,
        true,
        4,
        Ending::Length,
    ),
    (
        "0.18.0/completions-min-new-tokens",
        Endpoint::Completions,
        false,
        2,
        Ending::Stop,
    ),
    (
        "0.18.0/generate-stream",
        Endpoint::Generate,
        false,
        4,
        Ending::Length,
    ),
    (
        "0.1.0/chat-stream",
        Endpoint::Chat,
        false,
        4,
        Ending::Length,
    ),
    (
        "0.1.0/chat-stream-eos",
        Endpoint::Chat,
        false,
        3,
        Ending::Stop,
    ),
    (
        "0.1.0/completions-stream",
        Endpoint::Completions,
        false,
        4,
        Ending::Length,
    ),
    (
        "0.1.0/interactive-stream",
        Endpoint::Generate,
        false,
        4,
        Ending::Length,
    ),
];

#[test]
fn streams_are_the_captured_ones() {
    for &(name, endpoint, usage, steps, ending) in STREAMS {
        let (dialect, model) = match name.starts_with("0.1.0/") {
            true => (Dialect::Old, "internlm-chat-7b"),
            false => (Dialect::New, "stub"),
        };
        let shape = Shape::new(dialect, endpoint, model, 1, usage, 26);
        let captured = events(&capture(&format!("lmdeploy-{name}")));
        assert_eq!(
            streamed(&shape, &PIECES[..steps], ending),
            captured,
            "{name}"
        );
    }
}

#[test]
fn whole_answers_are_the_captured_ones() {
    let (new, old) = (Dialect::New, Dialect::Old);
    for (name, dialect, endpoint, model, prompt) in [
        (
            "lmdeploy-0.18.0/chat-nonstream",
            new,
            Endpoint::Chat,
            "stub",
            26,
        ),
        (
            "lmdeploy-0.18.0/completions-nonstream",
            new,
            Endpoint::Completions,
            "stub",
            26,
        ),
        (
            "lmdeploy-0.18.0/generate-nonstream",
            new,
            Endpoint::Generate,
            "stub",
            26,
        ),
        (
            "lmdeploy-0.1.0/chat-nonstream",
            old,
            Endpoint::Chat,
            "internlm-chat-7b",
            301,
        ),
        (
            "lmdeploy-0.1.0/completions-nonstream",
            old,
            Endpoint::Completions,
            "internlm-chat-7b",
            26,
        ),
        (
            "lmdeploy-0.1.0/interactive-nonstream",
            old,
            Endpoint::Generate,
            "internlm-chat-7b",
            26,
        ),
    ] {
        let shape = Shape::new(dialect, endpoint, model, 1, false, prompt);
        let ids = [333, 485, 383, 855];
        let body = shape.whole(" the stream of tokens", &ids, Ending::Length, 4);
        assert_eq!([level(&body)].as_slice(), events(&capture(name)), "{name}");
    }
}

#[test]
fn failures_are_the_captured_ones() {
    let shape = Shape::new(Dialect::New, Endpoint::Chat, "stub", 1, true, 33);
    let all = events(&capture("lmdeploy-0.18.0/chat-stream-engine-error"));
    let ours = shape.failure_messages().expect("0.18.0 says so");
    let ours: Vec<&str> = ours.iter().map(|message| message.trim_end()).collect();
    assert_eq!(ours, all[all.len() - 2..]);
    let old = Shape::new(Dialect::Old, Endpoint::Chat, "stub", 1, false, 33);
    assert_eq!(old.failure_messages(), None);
    let models = level(&Dialect::New.models("stub"));
    let theirs = &events(&capture("lmdeploy-0.18.0/models"))[0];
    let fields = |text: &str| text.matches("\":").count();
    assert_eq!(fields(&models), fields(theirs));
}

#[test]
fn a_cut_character_is_lost_or_replaced() {
    let old = Shape::new(
        Dialect::Old,
        Endpoint::Chat,
        "internlm-chat-7b",
        1,
        false,
        37,
    );
    let end = old.end("\u{fffd}", Ending::Length, 4);
    let all = events(&capture("lmdeploy-0.1.0/chat-stream-utf8-cut"));
    let ours: Vec<String> = end
        .iter()
        .map(|message| level(message.trim_end()))
        .collect();
    assert_eq!(ours, all[all.len() - 2..]);
    let new = Shape::new(Dialect::New, Endpoint::Chat, "stub", 1, false, 37);
    assert!(
        !new.end("\u{fffd}", Ending::Length, 4)
            .concat()
            .contains("fffd")
    );
}

#[test]
fn python_writes_ascii() {
    assert_eq!(ascii("a\"é流😀\n"), r#""a\"\u00e9\u6d41\ud83d\ude00\n""#);
}
