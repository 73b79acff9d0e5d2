//! One answer as the measured client takes it, off a socket and in given pieces;
//! see [`crate::fuzzing`]. The server's end of the socket is here, so no port is
//! used; what reads is what measures.

#![expect(
    clippy::expect_used,
    reason = "without a socket or a runtime nothing can be fuzzed"
)]

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;

use super::{ApiServer, Family, Known, transport};
use crate::{Clock, Error, Finish, PromptMode, Pulse, Sink, Target};

/// What a server does that the client knows of.
#[derive(Clone, Copy, Debug)]
pub(in crate::api_server) struct Server {
    pub(in crate::api_server) streams: bool,
    pub(in crate::api_server) says_why_it_ends: bool,
}

/// What came of an answer, without its times. Whether its connection can be used
/// again is not a part of it: the client waits for a quarter of a second for an
/// answer's end, and a fuzzer may be put off for longer.
#[derive(Debug, PartialEq)]
pub(in crate::api_server) struct Outcome {
    pub(in crate::api_server) finish: Result<Finish, Error>,
    /// Of each mark.
    pub(in crate::api_server) tokens: Vec<u32>,
    pub(in crate::api_server) text: String,
    pub(in crate::api_server) first_text_bytes: usize,
    has_event: bool,
}

impl Outcome {
    pub(in crate::api_server) fn of(finish: Result<Finish, Error>, sink: Sink) -> Self {
        let trace = sink.into_trace();
        // Who a stranger is, is told by as much as has come.
        let strange = "does not answer in HTTP/1.1";
        let finish = finish.map_err(|error| match error.message.find(strange) {
            Some(at) => Error::new(error.kind, &error.message[..at + strange.len()]),
            None => error,
        });
        Self {
            finish,
            tokens: trace.marks.iter().map(|mark| mark.tokens).collect(),
            text: trace.text,
            first_text_bytes: trace.first_text_bytes,
            has_event: trace.first_event_ns.is_some(),
        }
    }
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    /// A client is costly to make, and one answer does not change it.
    static CLIENTS: [ApiServer; 2] = [false, true].map(client);
}

/// Asks a server that answers with these pieces and closes the connection. Each
/// piece is read before the next is sent.
pub(in crate::api_server) fn asked(pieces: &[&[u8]], server: Server) -> Outcome {
    CLIENTS.with(|clients| {
        let client = &clients[usize::from(server.says_why_it_ends)];
        let outcome = RUNTIME.with(|runtime| runtime.block_on(play(pieces, client, server)));
        // Lets go of the connection: nobody is at its other end any more.
        client.transport.kept_bytes();
        outcome
    })
}

async fn play(pieces: &[&[u8]], client: &ApiServer, server: Server) -> Outcome {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    ours.set_nonblocking(true).expect("a mode of sockets");
    // Read and written as any other; it has no port that could run out.
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let connection = transport::over(TcpStream::from_std(ours).expect("a socket"));
    let mut sink = Sink::start(Clock::start(), Pulse::default(), 16);
    let finish = {
        let mut answer = pin!(client.answered(connection, b"", server.streams, &mut sink));
        let mut finish = Poll::Pending;
        for piece in pieces {
            theirs.write_all(piece).expect("room in the socket");
            // Hears of what has come; the second look is for what was woken by it.
            tokio::task::yield_now().await;
            finish = futures_util::poll!(&mut answer);
            if finish.is_ready() {
                break;
            }
        }
        drop(theirs);
        match finish {
            Poll::Ready(finish) => finish,
            Poll::Pending => answer.await,
        }
    };
    Outcome::of(finish, sink)
}

/// A client that has asked its server about itself.
fn client(says_why_it_ends: bool) -> ApiServer {
    let target = Target {
        address: "127.0.0.1:1".to_owned(),
        model: None,
        api_key: None,
        tls: crate::Tls::default(),
        prompt_mode: PromptMode::Raw,
        connect_timeout: Duration::from_secs(1),
        probe_timeout: Duration::from_secs(1),
    };
    let mut client = ApiServer::new(target, Duration::from_secs(4)).expect("a good address");
    client.known = OnceCell::new_with(Some(Known {
        model: "m".to_owned(),
        family: Family {
            name: "fuzzed".to_owned(),
            session_id: false,
            usage_in_streams: true,
            finish_reason_in_streams: says_why_it_ends,
            encode: false,
        },
        session_tokens: None,
        simulated: false,
    }));
    client
}
