//! What is a mark and what is counted: text in hand, and only the server's own
//! counts of tokens.

use backends::{Request, TokenSource};
use bytes::Bytes;

use crate::proto::{ModelConfig, ModelOutput};
use crate::scripted::{Act, Scripted, frame, model, raw_u32s, request, tokens};

/// The codec's end of sequence: an id without text.
const SILENT: u32 = 2;

fn marks(trace: &backends::Trace) -> Vec<u32> {
    trace.marks.iter().map(|mark| mark.tokens).collect()
}

/// An ensemble that says how long prompt and answer are.
fn ensemble() -> ModelConfig {
    let output = |name: &str| ModelOutput {
        name: name.to_owned(),
        ..ModelOutput::default()
    };
    ModelConfig {
        platform: "ensemble".to_owned(),
        output: vec![output("text_output"), output("sequence_length")],
        ..model("ensemble", &["text_input", "max_tokens"])
    }
}

/// A frame of the ensemble.
fn piece(text: &str, length: u32, last: bool) -> Act {
    let bytes = u32::try_from(text.len()).expect("short").to_le_bytes();
    let raw = Bytes::from([&bytes, text.as_bytes()].concat());
    frame(
        &[
            ("sequence_length", "UINT32", &[1, 1], raw_u32s(&[length])),
            ("text_output", "BYTES", &[1], raw),
        ],
        last,
    )
}

fn chained(acts: Vec<Act>) -> Scripted {
    let mut scripted = Scripted::new(acts);
    scripted.models.push(ensemble());
    scripted
}

fn behind(prompt: Option<u32>, output_tokens: u32) -> Request {
    Request {
        server_prompt_tokens: prompt,
        ..request(1, output_tokens)
    }
}

#[tokio::test]
async fn a_prompt_that_the_server_did_not_count_leaves_the_answer_uncounted() {
    // The server makes one token of the prompt, the client three.
    let acts = vec![piece(" a", 2, false), piece(" b", 3, true), Act::End];
    let scripted = chained(acts);
    let (outcome, trace) = scripted.play("tis-ensemble", &behind(None, 2)).await;
    let finish = outcome.expect("nothing is wrong with the answer");
    assert_eq!((finish.prompt_tokens, finish.completion), (None, None));
    assert_eq!(marks(&trace), [0, 0]);
    let (outcome, trace) = scripted.play("tis-ensemble", &behind(Some(1), 2)).await;
    let finish = outcome.expect("good");
    assert_eq!(finish.completion, Some((2, TokenSource::Ids)));
    assert_eq!(marks(&trace), [1, 1]);
}

#[tokio::test]
async fn tokens_without_text_are_marked_with_the_next_text() {
    let acts = vec![
        tokens(&[300], false),
        tokens(&[300, SILENT], false),
        tokens(&[300, SILENT, 301], false),
        tokens(&[300, SILENT, 301, SILENT], true),
        Act::End,
    ];
    let scripted = Scripted::new(acts);
    let (outcome, trace) = scripted.play("tis-chatbot", &request(1, 4)).await;
    assert_eq!(outcome.expect("good").completion.map(|(n, _)| n), Some(4));
    assert_eq!(marks(&trace), [1, 2]);
    assert_eq!(trace.text, " w300 w301");
    let acts = vec![
        piece("", 4, false),
        piece(" a", 5, false),
        piece("", 6, false),
        piece("", 7, false),
        piece(" b", 8, false),
        piece("", 9, true),
        Act::End,
    ];
    let scripted = chained(acts);
    let (outcome, trace) = scripted.play("tis-ensemble", &behind(Some(3), 6)).await;
    assert_eq!(outcome.expect("good").completion.map(|(n, _)| n), Some(6));
    assert_eq!(marks(&trace), [2, 3]);
    assert_eq!((trace.text.as_str(), trace.first_text_bytes), (" a b", 2));
}

#[tokio::test]
async fn an_answer_without_any_text_has_no_mark() {
    for stream in [true, false] {
        for (name, acts) in [
            ("tis", vec![tokens(&[SILENT], true), Act::End]),
            ("tis-chatbot", vec![tokens(&[SILENT], true), Act::End]),
            ("tis-ensemble", vec![piece("", 4, true), Act::End]),
        ] {
            let request = Request {
                stream,
                ..behind(Some(3), 1)
            };
            let (outcome, trace) = chained(acts).play(name, &request).await;
            let completion = outcome.expect(name).completion;
            assert_eq!(completion, Some((1, TokenSource::Ids)), "{name}");
            assert!(marks(&trace).is_empty(), "{name} {stream}");
            assert!(trace.first_event_ns.is_some(), "{name}");
        }
    }
}
