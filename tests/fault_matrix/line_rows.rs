//! The faults of connections to a Triton server, which many requests share.

use std::time::Duration;

use crate::door::{Dealt, PLAIN_HTTP, TLS_ALERT};
use crate::grpc_acts::{made, two};
use crate::grpc_proxy::Act;
use crate::pump::{Order, frame, goaway, goodbye};
use crate::row::{Fault, GRPC, Reach, Row};

/// A GOAWAY with the last stream that a server will answer, as gRPC C-core sends
/// it when it has had enough of pings.
const CALM: u32 = 0xb;

/// Every row of connections.
pub fn all() -> Vec<Row> {
    let mut rows = nobody();
    rows.extend(strangers());
    rows.extend(orders());
    rows.extend(odd_orders());
    rows
}

/// What the next connections get.
fn next(name: &str, dealt: Dealt, kinds: &'static [&'static str], reads: &str) -> Row {
    Row::one(GRPC, name, Fault::Next(dealt, 1), kinds, reads).reach(Reach::Next)
}

/// Connections that do not come about.
fn nobody() -> Vec<Row> {
    let refused = "no connection to HOST:PORT: Connection refused (os error 111); is the server \
                   running there?";
    vec![
        next(
            "nobody listens for a while",
            Dealt::Refused,
            &["connect"],
            // One that nobody had accepted yet is reset, and not refused.
            "no connection to HOST:PORT: Connection re... (os error ...); ...",
        )
        .reach(Reach::Window),
        next(
            "server restarts",
            Dealt::Restart,
            &["connect", "cut"],
            refused,
        )
        .reach(Reach::Window),
        next("reset at connect", Dealt::Reset, &["cut", "connect"], "..."),
        next(
            "half open: accepts and says nothing",
            Dealt::Silence,
            &["timeout_first_token", "timeout_between_tokens"],
            "no ...token... for ... s (limit: --...-timeout)",
        )
        .patient(),
    ]
}

/// Servers of another kind.
fn strangers() -> Vec<Row> {
    vec![
        next(
            "speaks TLS where plain text was expected",
            Dealt::Bytes(TLS_ALERT),
            &["protocol"],
            "...the server speaks TLS, so it does not understand plain text: give its address with \
             https:// in front",
        ),
        next(
            "HTTP/1 answer on the gRPC port",
            Dealt::Bytes(PLAIN_HTTP),
            &["protocol"],
            "...the server answers in HTTP/1, so this is no gRPC port (Triton's is 8001 by \
             default, LMDeploy's 33337); for an api_server use --backend api_server",
        ),
        next(
            "speaks plain text where TLS was expected",
            Dealt::Bytes(PLAIN_HTTP),
            &["connect"],
            "no connection to HOST:PORT: what answers there does not speak TLS; write http:// in \
             front of the address (...)",
        )
        .tls(),
    ]
}

/// What is done to the connection behind two tokens.
fn order(name: &str, orders: Vec<Order>, kinds: &'static [&'static str], reads: &str) -> Row {
    let acts = made(move |answer| {
        let mut acts = two(&answer);
        acts.push(Act::Wait(Duration::from_millis(30)));
        acts.extend(orders.clone().into_iter().map(Act::Line));
        acts.push(Act::Hold);
        acts
    });
    Row::one(GRPC, name, acts, kinds, reads).reach(Reach::Connection)
}

/// Connections that end or die.
fn orders() -> Vec<Row> {
    let cut: &'static [&'static str] = &["cut"];
    vec![
        order(
            "GOAWAY \"too_many_pings\"",
            vec![
                Order::Inject(goaway(0x7fff_ffff, CALM, b"too_many_pings")),
                Order::Close,
            ],
            cut,
            // The stream, or with `tis` a postprocessing call that is under way then.
            "... failed: the connection broke; the server had said: GOAWAY with \
             ENHANCE_YOUR_CALM: too_many_pings...",
        ),
        order(
            "GOAWAY with an internal error",
            vec![Order::Inject(goaway(0, 2, b"oh")), Order::Close],
            cut,
            "...",
        ),
        order(
            "connection closed after two tokens",
            vec![Order::Close],
            cut,
            "...",
        ),
        order(
            "connection reset after two tokens",
            vec![Order::Reset],
            cut,
            "...",
        ),
        order(
            "connection closed inside a frame",
            vec![Order::Inject(vec![0, 1, 0, 0, 0, 0, 0]), Order::Close],
            cut,
            "...",
        ),
    ]
}

/// Connections that go on in what is none, or not at all, or in good order.
fn odd_orders() -> Vec<Row> {
    vec![
        order(
            "HTTP/1 in the middle of HTTP/2",
            vec![Order::Inject(PLAIN_HTTP.to_vec()), Order::Close],
            &["cut", "protocol"],
            "...",
        ),
        order(
            "headers that cannot be decoded",
            vec![Order::Inject(frame(1, 4, 1, &[0xff; 40])), Order::Close],
            &["cut", "protocol"],
            "...",
        ),
        order(
            "half open: connection dead after two tokens",
            vec![Order::Freeze],
            &["timeout_between_tokens", "timeout_first_token"],
            "no further token for ... s (limit: --token-timeout)",
        )
        .patient(),
        {
            let acts = made(|answer| {
                let mut acts = two(&answer);
                acts.push(Act::Line(Order::Inject(goodbye())));
                acts.extend(answer.frames.into_iter().skip(2).map(Act::Frame));
                acts.push(Act::Status(0, ""));
                acts
            });
            Row::one(GRPC, "GOAWAY in good order", acts, &["ok"], "")
        },
    ]
}
