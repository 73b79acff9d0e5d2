//! The faults of a Triton server's frames: outputs that are none, and frames that
//! are another's.

use crate::frame::{Answer, Frame, Output};
use crate::grpc_acts::{each, row};
use crate::grpc_proxy::Act;
use crate::row::{COUNTED, ENGINE, GRPC, Row, TEXT};

/// Every row of them.
pub fn all() -> Vec<Row> {
    let mut rows = unknown();
    rows.extend(wrong());
    rows.extend(counts());
    rows.extend(texts());
    rows.extend(orders());
    rows
}

/// Outputs that nobody asked for.
fn unknown() -> Vec<Row> {
    let other = || Output {
        name: "logprobs".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1],
        raw: vec![0; 4],
    };
    vec![
        row(
            GRPC,
            "an unknown output in front of the known ones",
            move |answer| each(answer, |_, frame| frame.outputs.insert(0, other())),
            &["ok"],
            "",
        ),
        row(
            ENGINE,
            "unknown outputs alone",
            move |answer| each(answer, |_, frame| frame.outputs = vec![other()]),
            &["malformed"],
            "output `sequence_length` of `turbomind` is missing",
        ),
        row(
            TEXT,
            "unknown outputs alone",
            move |answer| each(answer, |_, frame| frame.outputs = vec![other()]),
            &["malformed", "cut"],
            "`MODEL` ended its answer before the first token and does not say why",
        ),
    ]
}

/// Outputs of another type or size.
fn wrong() -> Vec<Row> {
    let typed = |kind: &'static str| {
        move |answer| {
            each(answer, move |_, frame| {
                for output in &mut frame.outputs {
                    output.datatype = kind.to_owned();
                }
            })
        }
    };
    vec![
        row(
            COUNTED,
            "wrong type: all floats",
            typed("FP32"),
            &["malformed"],
            "output `sequence_length` of `MODEL` is no count (4 bytes of FP32)",
        ),
        row(
            &["tis-python"],
            "wrong type: all floats",
            typed("FP32"),
            &["malformed"],
            "output `response` of `lmdeploy_model` is FP32, not BYTES",
        ),
        row(
            GRPC,
            "too few bytes in every output",
            |answer| {
                each(answer, |_, frame| {
                    for output in &mut frame.outputs {
                        output.raw.truncate(3);
                    }
                })
            },
            &["malformed"],
            "output `...` of `MODEL` ...",
        ),
        row(
            GRPC,
            "outputs without their bytes",
            |answer| each(answer, |_, frame| frame.bare = true),
            &["malformed"],
            "output `...` of `MODEL` has no bytes",
        ),
        row(
            GRPC,
            "wrong shapes around the right bytes",
            |answer| {
                each(answer, |_, frame| {
                    for output in &mut frame.outputs {
                        output.shape = vec![7, 7, 7, 7];
                    }
                })
            },
            &["ok"],
            "",
        ),
    ]
}

/// Lengths that cannot be.
fn counts() -> Vec<Row> {
    vec![
        row(
            COUNTED,
            "sequence_length that shrinks",
            |answer| {
                let first = answer.frames[0].clone();
                each(answer, move |at, frame| {
                    if at == 2 {
                        *frame = first.clone();
                    }
                    if let Some(length) = frame.output("sequence_length")
                        && at == 2
                    {
                        length.raw[0] = length.raw[0].saturating_sub(1);
                    }
                })
            },
            &["malformed"],
            "output `sequence_length` of `MODEL` shrinks to ... behind a prompt of ... and ... \
             tokens of answer",
        ),
        row(
            ENGINE,
            "sequence_length beyond the ids",
            |answer| {
                each(answer, |_, frame| {
                    if let Some(length) = frame.output("sequence_length") {
                        length.raw = 2_000_000_000_u32.to_le_bytes().to_vec();
                    }
                })
            },
            &["malformed"],
            "output `output_ids` of `turbomind` has no elements ...",
        ),
    ]
}

/// Texts that are none.
fn texts() -> Vec<Row> {
    vec![
        row(
            TEXT,
            "text whose length is not that of its bytes",
            |answer| {
                each(answer, |_, frame| {
                    for output in frame
                        .outputs
                        .iter_mut()
                        .filter(|one| one.datatype == "BYTES")
                    {
                        output.raw = vec![200, 0, 0, 0, b'a'];
                    }
                })
            },
            &["malformed"],
            "output `...` of `MODEL` has 5 bytes that are no strings",
        ),
        row(
            TEXT,
            "text cut inside a UTF-8 character",
            |answer| {
                each(answer, |_, frame| {
                    for output in frame
                        .outputs
                        .iter_mut()
                        .filter(|one| one.datatype == "BYTES")
                    {
                        output.raw = vec![2, 0, 0, 0, 0xe6, 0xb5];
                    }
                })
            },
            &["ok"],
            "",
        ),
    ]
}

fn orders() -> Vec<Row> {
    vec![
        row(
            TEXT,
            "text out of order (`compare` finds it beside another arm)",
            |answer| {
                let last = answer.frames.len() - 2;
                let mut frames = answer.frames.clone();
                for pair in frames[1..last].chunks_exact_mut(2) {
                    let [a, b] = pair else { continue };
                    let name = |frame: &Frame| {
                        frame.outputs.iter().position(|one| one.datatype == "BYTES")
                    };
                    if let (Some(at_a), Some(at_b)) = (name(a), name(b)) {
                        std::mem::swap(&mut a.outputs[at_a].raw, &mut b.outputs[at_b].raw);
                    }
                }
                each(Answer { frames, ..answer }, |_, _| {})
            },
            &["ok"],
            "",
        ),
        row(
            GRPC,
            "frames of another request in between",
            |answer| {
                let foreign = answer.frames.iter().cloned().map(|mut frame| {
                    frame.id = "424242".to_owned();
                    Act::Frame(frame)
                });
                let foreign: Vec<Act> = foreign.collect();
                [foreign, each(answer, |_, _| {})].concat()
            },
            &["ok"],
            "",
        ),
        row(
            GRPC,
            "all frames under another request's id",
            |answer| each(answer, |_, frame| frame.id = "424242".to_owned()),
            &["cut"],
            "the stream of `MODEL` ended with neither a final response nor an error; ... frames \
             came for other requests",
        ),
        row(
            GRPC,
            "frames without an id",
            |answer| each(answer, |_, frame| frame.id.clear()),
            &["ok"],
            "",
        ),
    ]
}
