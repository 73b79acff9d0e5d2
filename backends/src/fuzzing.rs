//! Doors for the fuzzer (`tests/fuzz`): bytes of a server, or words of a user, go
//! in, and a broken promise is a panic. Knows what must hold of the wires' readers;
//! nothing of the fuzzer.
//!
//! Not part of the crate's face. What reads a wire is private, and stays so: nobody
//! outside has a use for half a client. The fuzzer needs it all the same, so these
//! functions exist in tests and with the feature `fuzzing`, which nothing of ours
//! turns on but `tests/fuzz`. The tests below play the seeds through the same
//! functions, so that they cannot rot.

use crate::Error;

pub use crate::api_server::fuzzing::{events, json};
pub use crate::http2::fuzzing::frames;
pub use crate::triton::fuzzing::tensors;

/// The longest error that is still one for people, in bytes: the server's words
/// are cut to 300, and some sentences repeat two pieces of them.
const ERROR_BYTES_MAX: usize = 1_500;

/// An address as typed, for either protocol: read, or refused in words that do not
/// repeat what may be a password.
pub fn address(text: &str) {
    for refusal in [
        crate::api_server::fuzzing::address(text),
        crate::triton::fuzzing::address(text),
    ]
    .into_iter()
    .flatten()
    {
        for_people(&refusal);
        // The host is shown; it may happen to hold the same letters.
        if let Some((secret, host)) = text.rsplit_once('@')
            && let Some((_, password)) = secret.rsplit_once(':')
            && password.len() > 8
            && !host.contains(password)
            && password.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            let words = &refusal.message;
            assert!(!words.contains(password), "a password is repeated: {words}");
        }
    }
}

/// Whether an error is fit to be shown: short, on one line, without orders to a
/// terminal.
pub(crate) fn for_people(error: &Error) {
    let words = &error.message;
    assert!(!words.is_empty(), "an error without a word");
    assert!(
        words.len() <= ERROR_BYTES_MAX,
        "{} bytes of error",
        words.len()
    );
    assert!(!words.contains(char::is_control), "{words:?}");
}

/// `bytes` in pieces of these lengths, taken in turn; a few hundred at most, the
/// last of which is the rest. Without lengths every byte is a piece.
pub(crate) fn pieces<'a>(bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    const PIECES_MAX: usize = 300;
    let lengths = if lengths.is_empty() { &[1] } else { lengths };
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for &length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let length = if pieces.len() < PIECES_MAX {
            usize::from(length).clamp(1, rest.len())
        } else {
            rest.len()
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// An input's parts: what kind it is, how it is cut (up to 31 lengths), and its
/// content.
pub(crate) fn parts(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, cuts], rest) = data.split_first_chunk::<2>()?;
    let cuts = usize::from(cuts & 31).min(rest.len());
    let (lengths, content) = rest.split_at(cuts);
    Some((kind, lengths, content))
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
