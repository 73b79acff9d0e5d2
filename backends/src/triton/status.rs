//! A server's refusals, as the kinds that failures are counted by. Knows both
//! ways in which Triton says no: a gRPC status, and an error frame within a
//! stream whose status stays OK.

use std::error::Error as _;
use std::io;

use tonic::{Code, Status};

use super::fields::Broken;
use crate::{Error, ErrorKind, excerpt, tls};

/// What a failed call means. `what` names the call, such as
/// "`preprocessing`".
pub(super) fn of_status(what: &str, status: &Status) -> Error {
    let by_tls = status.source().and_then(tls::refusal);
    if let Some(words) = by_tls {
        let words = format!("{what} failed: {}", excerpt(&words));
        return Error::new(ErrorKind::Connect, words);
    }
    let kind = if status.source().is_some() {
        // Not the server's word but the transport's: no status came at all.
        of_transport(status)
    } else {
        of_message(status).unwrap_or_else(|| of_code(status.code(), status.message()))
    };
    let words = if status.source().is_some() {
        chain_of(status)
    } else {
        without_request_id(status.message()).to_owned()
    };
    let words = if words.trim().is_empty() {
        format!("{:?}", status.code())
    } else {
        words
    };
    Error::new(kind, format!("{what} failed: {}", excerpt(&words)))
}

/// A message whose bytes are none; in the words of prost, which reads the
/// messages that are not timed.
#[cold]
pub(super) fn of_broken(what: &str, Broken(words): Broken) -> Error {
    Error::new(
        ErrorKind::Malformed,
        format!("{what} failed: failed to decode Protobuf message: {words}"),
    )
}

/// tonic's own verdicts on a message that it could not read, which come as if
/// they were the server's (tonic 0.14, prost 0.14; their words are the only
/// sign). A message whose bytes end too early is cut.
fn of_message(status: &Status) -> Option<ErrorKind> {
    let says = |code, words| status.code() == code && status.message().starts_with(words);
    if says(Code::Internal, "failed to decode Protobuf message")
        || says(Code::Internal, "protocol error: received message with")
        || says(Code::OutOfRange, "Error, decoded message length too large")
    {
        return Some(ErrorKind::Malformed);
    }
    let is_cut = says(Code::Internal, "Unexpected EOF decoding stream")
        || says(Code::Unknown, "protocol error: missing grpc-status trailer");
    is_cut.then_some(ErrorKind::Cut)
}

fn of_code(code: Code, message: &str) -> ErrorKind {
    match code {
        Code::NotFound => ErrorKind::Model,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => ErrorKind::Rejected,
        Code::Unauthenticated | Code::PermissionDenied => ErrorKind::Auth,
        Code::ResourceExhausted => ErrorKind::Overloaded,
        // Triton: a method that this server does not have, or a unary call of
        // a decoupled model. tonic's message of the first names no RPC.
        Code::Unimplemented if message.contains("decoupled") => ErrorKind::Rejected,
        Code::Unimplemented => ErrorKind::Protocol,
        Code::Unavailable if is_overload(message) => ErrorKind::Overloaded,
        // Known, and not loaded.
        Code::Unavailable if message.contains("no available versions") => ErrorKind::Model,
        Code::Unavailable => ErrorKind::Cut,
        _ => ErrorKind::Server,
    }
}

/// An answer that ended well and brought nothing.
#[cold]
pub(super) fn of_nothing(model: &str) -> Error {
    let words = format!("`{model}` ended its answer before the first token and does not say why");
    Error::new(ErrorKind::Cut, words)
}

/// What an error frame means.
///
/// Two kinds exist (seen on Triton 2.51): a request that is refused before the
/// model gets it carries no `triton_final_response`; what the model itself
/// says carries the flag. turbomind's own words end in its error number
/// (LMDeploy v0.2.5): 1 invalid, 2 conflict, 3 busy, 4 inactive, 5 fail,
/// 6 too long.
pub(super) fn of_frame(model: &str, words: &str, from_model: bool) -> Error {
    let bare = without_request_id(words);
    let kind = if is_overload(bare) {
        ErrorKind::Overloaded
    } else if let Some(code) = turbomind_code(bare) {
        match code {
            1..=4 | 6 => ErrorKind::Rejected,
            _ => ErrorKind::Server,
        }
    } else if from_model {
        ErrorKind::Server
    } else if bare.contains("Request for unknown model") {
        ErrorKind::Model
    } else {
        ErrorKind::Rejected
    };
    Error::new(kind, format!("`{model}` answered: {}", excerpt(bare)))
}

/// The words without Triton's `[request id: ID] ` in front, which would make
/// every failure a kind of its own.
fn without_request_id(words: &str) -> &str {
    words
        .strip_prefix("[request id: ")
        .and_then(|rest| rest.split_once("] "))
        .map_or(words, |(_, rest)| rest)
}

fn is_overload(words: &str) -> bool {
    // "Exceeds maximum queue size" (Triton's queue policy).
    words.contains("maximum queue size")
}

fn turbomind_code(words: &str) -> Option<u8> {
    let (_, code) = words.split_once("TurboMind execute failure:")?;
    code.trim().parse().ok()
}

/// The kind of a failure below gRPC.
fn of_transport(status: &Status) -> ErrorKind {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable
                | io::ErrorKind::NotFound => ErrorKind::Connect,
                // The connection's own finding; see `dial::stranger`.
                io::ErrorKind::Unsupported => ErrorKind::Protocol,
                _ => ErrorKind::Cut,
            };
        }
        cause = error.source();
    }
    ErrorKind::Cut
}

/// An error with its causes, outermost first, without repetition.
pub(super) fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = Vec::<String>::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let own = match error.downcast_ref::<Status>() {
            Some(status) => status.message().to_owned(),
            None => error.to_string(),
        };
        if !own.is_empty() && !words.iter().any(|said| said.contains(&own)) {
            words.push(own);
        }
        next = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tonic::{Code, Status};

    use super::super::proto::ModelInferResponse;
    use super::{of_frame, of_status, without_request_id};
    use crate::ErrorKind;

    #[test]
    fn codes_become_kinds() {
        for (code, words, kind) in [
            (
                Code::NotFound,
                "Request for unknown model: 'x' is not found",
                ErrorKind::Model,
            ),
            (
                Code::InvalidArgument,
                "unexpected inference input",
                ErrorKind::Rejected,
            ),
            (Code::Unauthenticated, "who are you", ErrorKind::Auth),
            (Code::ResourceExhausted, "slow down", ErrorKind::Overloaded),
            (
                Code::Unavailable,
                "Exceeds maximum queue size",
                ErrorKind::Overloaded,
            ),
            (
                Code::Unavailable,
                "Request for unknown model: 'x' has no available versions",
                ErrorKind::Model,
            ),
            (Code::Unavailable, "Too many pings", ErrorKind::Cut),
            (Code::Unimplemented, "", ErrorKind::Protocol),
            (
                Code::Unimplemented,
                "ModelInfer RPC doesn't support models with decoupled transaction policy",
                ErrorKind::Rejected,
            ),
            (Code::Internal, "it broke", ErrorKind::Server),
        ] {
            let error = of_status("`m`", &Status::new(code, words));
            assert_eq!(error.kind, kind, "{code:?} {words}");
            assert!(error.message.starts_with("`m` failed: "), "{error}");
        }
    }

    #[test]
    fn messages_that_cannot_be_read_are_not_the_servers_failure() {
        let broken = ModelInferResponse::decode(&[0x0a, 0xff][..]).expect_err("broken");
        let long = "Error, decoded message length too large: found 4294967295 bytes, \
                    the limit is: 268435456 bytes";
        for (status, kind) in [
            (Status::internal(broken.to_string()), ErrorKind::Malformed),
            (Status::out_of_range(long), ErrorKind::Malformed),
            (
                Status::internal("Unexpected EOF decoding stream."),
                ErrorKind::Cut,
            ),
            (
                Status::internal("the engine failed to decode"),
                ErrorKind::Server,
            ),
            (Status::out_of_range("no such id"), ErrorKind::Rejected),
        ] {
            let error = of_status("`m`", &status);
            assert_eq!(error.kind, kind, "{error}");
        }
    }

    #[test]
    fn both_kinds_of_error_frames_are_told_apart() {
        for (words, from_model, kind) in [
            (
                "Request for unknown model: 'x' is not found",
                false,
                ErrorKind::Model,
            ),
            (
                "[request id: 7] expected 1 inputs but got 0 inputs",
                false,
                ErrorKind::Rejected,
            ),
            ("TurboMind execute failure:  3", true, ErrorKind::Rejected),
            ("TurboMind execute failure:  6", true, ErrorKind::Rejected),
            (
                "in ensemble 'e', TurboMind execute failure:  5",
                true,
                ErrorKind::Server,
            ),
            ("fake tokenizer failure", true, ErrorKind::Server),
            ("Exceeds maximum queue size", false, ErrorKind::Overloaded),
        ] {
            let error = of_frame("m", words, from_model);
            assert_eq!(error.kind, kind, "{words}");
            assert!(
                !error.message.contains("request id"),
                "errors must group: {error}"
            );
        }
    }

    #[test]
    fn the_request_id_is_cut_off_and_nothing_else() {
        assert_eq!(
            without_request_id("[request id: 12] no such thing"),
            "no such thing"
        );
        assert_eq!(
            without_request_id("[request id: 12 no end"),
            "[request id: 12 no end"
        );
        assert_eq!(without_request_id("plain"), "plain");
    }
}
