//! What can be made of a Triton server's real answer. Knows no fault.

use std::sync::Arc;

use crate::frame::{Answer, Frame};
use crate::grpc_proxy::Act;
use crate::row::{Fault, Row};

pub const BETWEEN: &str = "no further token for ... s (limit: --token-timeout)";
pub const FIRST: &str = "no token, or no whole answer without streaming, for ... s (limit: \
                         --first-token-timeout)";

/// A fault made of the real answer.
pub fn made(acts: impl Fn(Answer) -> Vec<Act> + Send + Sync + 'static) -> Fault {
    Fault::Stream(Arc::new(acts))
}

pub fn row(
    ways: &'static [&'static str],
    name: &str,
    acts: impl Fn(Answer) -> Vec<Act> + Send + Sync + 'static,
    kinds: &'static [&'static str],
    reads: &str,
) -> Row {
    Row::one(ways, name, made(acts), kinds, reads)
}

/// The first two frames of an answer.
pub fn two(answer: &Answer) -> Vec<Act> {
    answer
        .frames
        .iter()
        .take(2)
        .cloned()
        .map(Act::Frame)
        .collect()
}

/// Every frame, changed, and a good end.
pub fn each(answer: Answer, change: impl Fn(usize, &mut Frame)) -> Vec<Act> {
    let frames = answer
        .frames
        .into_iter()
        .enumerate()
        .map(|(at, mut frame)| {
            change(at, &mut frame);
            Act::Frame(frame)
        });
    frames.chain([Act::Status(0, "")]).collect()
}

pub fn error(answer: &Answer, words: &str, last: Option<bool>) -> Act {
    Act::Frame(Frame {
        error: words.to_owned(),
        id: answer.id.clone(),
        last,
        ..Frame::default()
    })
}
