//! The faults of a Triton server that sends what is no message, more than it
//! should, or nothing; and of the models before and behind the engine.

use std::sync::Arc;

use crate::frame::Answer;
use crate::grpc_acts::{BETWEEN, FIRST, each, row, two};
use crate::grpc_proxy::Act;
use crate::row::{CHAINED, ENGINE, Fault, GRPC, Row, TEXT};

/// Every row of them.
pub fn all() -> Vec<Row> {
    let mut rows = bytes();
    rows.extend(lengths());
    rows.extend(silences());
    rows.extend(calls());
    rows.extend(late_calls());
    rows
}

fn bytes() -> Vec<Row> {
    let after_two = |bytes: &'static [u8]| {
        move |answer: Answer| {
            let mut acts = two(&answer);
            acts.extend([Act::Data(bytes.to_vec()), Act::Hold]);
            acts
        }
    };
    let kinds: &'static [&'static str] = &["malformed"];
    vec![
        row(
            GRPC,
            "garbage where a message should be",
            after_two(b"\0\0\0\0\x04\x12\xff\xff\xff"),
            kinds,
            "the stream of `MODEL` failed: failed to decode Protobuf message: ...",
        ),
        row(
            GRPC,
            "a message of nothing",
            after_two(b"\0\0\0\0\0"),
            kinds,
            "`MODEL` sent a frame with neither a response nor an error",
        ),
        row(
            GRPC,
            "a message of 4 GiB",
            after_two(b"\0\xff\xff\xff\xff"),
            kinds,
            "the stream of `MODEL` failed: Error, decoded message length too large: found \
             4294967295 bytes, the limit is: ... bytes",
        ),
        row(
            GRPC,
            "compressed message",
            after_two(b"\x01\0\0\0\x03abc"),
            kinds,
            "the stream of `MODEL` failed: protocol error: received message with compressed-flag \
             but no grpc-encoding was specified",
        ),
        row(
            GRPC,
            "no gRPC prefix",
            after_two(b"hello, world"),
            kinds,
            "the stream of `MODEL` failed: protocol error: received message with invalid \
             compression flag: 104 ...",
        ),
    ]
}

/// Answers that are good but for their length.
fn lengths() -> Vec<Row> {
    let other = "... of ... answers have another length than asked for (...";
    vec![
        row(
            ENGINE,
            "more tokens than asked for",
            |answer| grown(answer, 6),
            &["ok"],
            other,
        ),
        row(
            GRPC,
            "fewer tokens than asked for",
            |answer| each(answer, |at, frame| frame.last = Some(at == 2)),
            &["ok"],
            other,
        ),
        row(
            TEXT,
            "an endless stream",
            |answer| {
                let mut first = answer.frames[0].clone();
                first.outputs.retain(|output| output.datatype == "BYTES");
                vec![Act::Flood(first.stream())]
            },
            &["malformed"],
            "the answer does not end: it was given up when it had grown far beyond what was asked \
             for (limit: 65536 pieces or 4 for each token asked for, and 16 MiB of text)",
        ),
        row(
            &["tis", "tis-direct"],
            "an endless stream of one frame",
            |answer| vec![Act::Flood(answer.frames[0].stream())],
            &["timeout_between_tokens"],
            BETWEEN,
        )
        .patient(),
        row(
            &["tis-chatbot"],
            "an endless stream of one frame",
            |answer| vec![Act::Flood(answer.frames[0].stream())],
            &["malformed"],
            "the answer does not end: 65536 messages of the engine wait for postprocessing",
        ),
    ]
}

/// The engine's answer, gone on for so many tokens, one to a frame.
fn grown(answer: Answer, more: u32) -> Vec<Act> {
    let mut frames = answer.frames;
    let mut last = frames.pop().unwrap();
    last.last = Some(false);
    frames.push(last.clone());
    let length = last.output("sequence_length").unwrap().raw.clone();
    let length = u32::from_le_bytes(length.try_into().unwrap());
    for step in 1..=more {
        let length = length + step;
        last.output("sequence_length").unwrap().raw = length.to_le_bytes().to_vec();
        let ids = &mut last.output("output_ids").unwrap().raw;
        ids.resize(ids.len().max(4 * length as usize), 7);
        last.last = Some(step == more);
        frames.push(last.clone());
    }
    let frames = frames.into_iter().map(Act::Frame);
    frames.chain([Act::Status(0, "")]).collect()
}

fn silences() -> Vec<Row> {
    vec![
        row(
            GRPC,
            "silence instead of an answer",
            |_| vec![Act::Hold],
            &["timeout_first_token"],
            FIRST,
        )
        .patient(),
        row(
            GRPC,
            "stall after the first token",
            |answer| vec![Act::Frame(answer.frames[0].clone()), Act::Hold],
            &["timeout_between_tokens"],
            BETWEEN,
        )
        .patient(),
        row(
            GRPC,
            "silence behind half a message",
            |answer| {
                let mut acts = two(&answer);
                acts.extend([Act::Data(vec![0, 0, 0, 1, 0, 8]), Act::Hold]);
                acts
            },
            &["timeout_between_tokens"],
            BETWEEN,
        )
        .patient(),
    ]
}

/// A fault of a call of this model.
fn call(
    model: &'static str,
    name: &str,
    acts: fn(Answer) -> Vec<Act>,
    kinds: &'static [&'static str],
    reads: &str,
) -> Row {
    Row::one(
        CHAINED,
        name,
        Fault::Call(model, Arc::new(acts)),
        kinds,
        reads,
    )
}

/// The calls of the models before and behind the engine.
fn calls() -> Vec<Row> {
    vec![
        call(
            "preprocessing",
            "preprocessing refuses",
            |_| vec![Act::Status(3, "no such text")],
            &["rejected"],
            "`preprocessing` failed: no such text",
        ),
        call(
            "preprocessing",
            "preprocessing answers without ids",
            |mut answer| {
                answer.frames[0]
                    .outputs
                    .retain(|one| one.name != "INPUT_ID");
                vec![Act::Message(answer.frames[0].call()), Act::Status(0, "")]
            },
            &["malformed"],
            "output `INPUT_ID` of `preprocessing` is missing",
        ),
        call(
            "postprocessing",
            "postprocessing fails",
            |_| vec![Act::Status(13, "Traceback (most recent call last): ...")],
            &["server"],
            "`postprocessing` failed: Traceback (most recent call last): ...",
        ),
        call(
            "postprocessing",
            "postprocessing answers with numbers",
            |mut answer| {
                answer.frames[0].outputs[0].datatype = "UINT32".to_owned();
                vec![Act::Message(answer.frames[0].call()), Act::Status(0, "")]
            },
            &["malformed"],
            "output `OUTPUT` of `postprocessing` is UINT32, not BYTES",
        ),
        call(
            "postprocessing",
            "postprocessing answers nothing",
            |_| vec![Act::Status(0, "")],
            &["cut", "server"],
            "`postprocessing` failed: Missing response message.",
        ),
    ]
}

/// Those that say nothing.
fn late_calls() -> Vec<Row> {
    vec![
        call(
            "postprocessing",
            "postprocessing says nothing",
            |_| vec![Act::Hold],
            &["timeout_between_tokens"],
            BETWEEN,
        )
        .patient(),
        call(
            "preprocessing",
            "preprocessing says nothing",
            |_| vec![Act::Hold],
            &["timeout_first_token"],
            FIRST,
        )
        .patient(),
    ]
}
