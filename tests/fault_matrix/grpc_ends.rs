//! The faults of a Triton server's calls that end as they should not, or by a
//! refusal.

use std::time::Duration;

use h2::Reason;

use crate::frame::Answer;
use crate::frame::Frame;
use crate::grpc_acts::{BETWEEN, each, error, made, row, two};
use crate::grpc_proxy::Act;
use crate::row::{Case, GRPC, Row};

/// Every row of them.
pub fn all() -> Vec<Row> {
    let mut rows = errors();
    rows.push(statuses());
    rows.push(no_grpc());
    rows.push(resets());
    rows.extend(ends());
    rows
}

fn errors() -> Vec<Row> {
    vec![
        row(
            GRPC,
            "error frame of the model after two tokens",
            |answer| {
                let mut acts = two(&answer);
                acts.push(error(&answer, "TurboMind execute failure:  5", Some(true)));
                acts.push(Act::Status(0, ""));
                acts
            },
            &["server"],
            "`MODEL` answered: TurboMind execute failure:  5",
        ),
        row(
            GRPC,
            "error frame in front of the model, no final flag, stream left open",
            |answer| {
                let id = answer.id.clone();
                let words = format!("[request id: {id}] unexpected inference input 'X'");
                vec![error(&answer, &words, None), Act::Hold]
            },
            &["rejected"],
            "`MODEL` answered: unexpected inference input 'X'",
        ),
        row(
            GRPC,
            "error frame: unknown model",
            |answer| {
                let words = "Request for unknown model: 'm' is not found";
                vec![error(&answer, words, None), Act::Hold]
            },
            &["model"],
            "`MODEL` answered: Request for unknown model: 'm' is not found",
        ),
    ]
}

/// Refusals by status, before anything came and behind two tokens.
fn statuses() -> Row {
    let codes: [(i32, &str, &'static [&'static str]); 7] = [
        (3, "unexpected shape for input", &["rejected"]),
        (5, "Request for unknown model: 'm' is not found", &["model"]),
        (8, "slow down", &["overloaded"]),
        (12, "no such method", &["protocol"]),
        (13, "it broke", &["server"]),
        (14, "server is shutting down", &["cut"]),
        (16, "who are you", &["auth"]),
    ];
    let cases = codes.into_iter().flat_map(|(code, words, kinds)| {
        let early = made(move |_| vec![Act::Status(code, words)]);
        let late = made(move |answer| {
            let mut acts = two(&answer);
            acts.push(Act::Status(code, words));
            acts
        });
        [
            Case::new(
                &format!("grpc-status {code} instead of an answer"),
                early,
                kinds,
                &format!("`MODEL` failed: {words}"),
            ),
            Case::new(
                &format!("grpc-status {code} behind two tokens"),
                late,
                kinds,
                &format!("the stream of `MODEL` failed: {words}"),
            ),
        ]
    });
    Row::of(GRPC, cases.collect())
}

/// HTTP/2 without gRPC.
fn no_grpc() -> Row {
    let page = |status: u16| {
        made(move |_| {
            vec![
                Act::Head(status, "text/html"),
                Act::Data(b"<p>a page</p>".to_vec()),
                Act::End,
            ]
        })
    };
    let cases: [(u16, &'static [&'static str]); 7] = [
        (200, &["protocol"]),
        (307, &["protocol"]),
        (401, &["auth"]),
        (404, &["protocol"]),
        (429, &["overloaded"]),
        (502, &["cut"]),
        (503, &["overloaded"]),
    ];
    let cases = cases.into_iter().map(|(status, kinds)| {
        let reads = format!(
            "`MODEL` failed: HTTP {status} with `text/html` came where gRPC was expected: this is \
             no gRPC port, or a proxy in between answers for the server"
        );
        let name = format!("HTTP {status} and a page instead of gRPC");
        Case::new(&name, page(status), kinds, &reads)
    });
    Row::of(GRPC, cases.collect())
}

fn resets() -> Row {
    let reset = |reason| {
        made(move |answer| {
            let mut acts = two(&answer);
            // So that they are on their way: a reset drops what is not.
            acts.push(Act::Wait(Duration::from_millis(100)));
            acts.push(Act::Reset(reason));
            acts
        })
    };
    let resets = [
        (Reason::CANCEL, "CANCEL"),
        (Reason::NO_ERROR, "NO_ERROR"),
        (Reason::INTERNAL_ERROR, "INTERNAL_ERROR"),
        (Reason::REFUSED_STREAM, "REFUSED_STREAM"),
        (Reason::ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
    ];
    let resets = resets.into_iter().map(|(reason, name)| {
        let name = format!("RST_STREAM {name} after two tokens");
        Case::new(
            &name,
            reset(reason),
            &["cut"],
            "the stream of `MODEL` failed: ...",
        )
    });
    Row::of(GRPC, resets.collect())
}

fn ends() -> Vec<Row> {
    let mut rows = flags();
    rows.extend(endings());
    rows
}

/// The flag that ends an answer: missing, or too early.
fn flags() -> Vec<Row> {
    let neither = "the stream of `MODEL` ended with neither a final response nor an error";
    let without = |answer: Answer| {
        let mut acts = each(answer, |_, frame| frame.last = Some(false));
        acts.pop();
        acts
    };
    vec![
        row(
            GRPC,
            "no final flag, stream ended",
            move |answer| [without(answer), vec![Act::Status(0, "")]].concat(),
            &["cut"],
            neither,
        ),
        row(
            GRPC,
            "no final flag, stream left open",
            move |answer| [without(answer), vec![Act::Hold]].concat(),
            &["timeout_between_tokens"],
            BETWEEN,
        )
        .patient(),
        row(
            GRPC,
            "final flag on an empty frame in front of all others",
            |answer| {
                let first = Frame {
                    model: answer.model.clone(),
                    id: answer.id.clone(),
                    last: Some(true),
                    ..Frame::default()
                };
                [vec![Act::Frame(first)], each(answer, |_, _| {})].concat()
            },
            &["cut"],
            "`MODEL` ended its answer before the first token and does not say why",
        ),
        row(
            GRPC,
            "final flag on the first token",
            |answer| each(answer, |at, frame| frame.last = Some(at == 0)),
            &["ok"],
            "... of ... answers have another length than asked for (...",
        ),
    ]
}

/// Ends that do not fit what came before.
fn endings() -> Vec<Row> {
    vec![
        row(
            GRPC,
            "no answer at all",
            |_| vec![Act::Status(0, "")],
            &["cut"],
            "the stream of `MODEL` ended with neither a final response nor an error",
        ),
        row(
            GRPC,
            "cut inside a message, without a status",
            |answer| {
                let mut acts = two(&answer);
                acts.extend([Act::Data(vec![0, 0, 0, 1, 0, 8, 9]), Act::End]);
                acts
            },
            &["cut"],
            "the stream of `MODEL` failed: Unexpected EOF decoding stream.",
        ),
        row(
            GRPC,
            "grpc-status 13 behind the final flag",
            |answer| {
                let mut acts = each(answer, |_, _| {});
                acts.pop();
                acts.push(Act::Status(13, "too late"));
                acts
            },
            &["ok"],
            "",
        ),
    ]
}
