//! The same faults of connections from the very first: nothing is measured, and
//! the command says why, with exit code 2.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::common::{Desk, dataset, tokenizer};
use crate::door::{Dealt, Door, PLAIN_HTTP, TLS_ALERT};
use crate::identity::Identity;

const WAYS: [&str; 3] = ["tis", "tis-chatbot", "api_server"];

/// Runs a profile against a server that does this to every connection, and asks
/// for these words.
fn refused(scheme: &str, dealt: Dealt, words: [&str; 3]) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (door, listener) = runtime.block_on(Door::open(Duration::ZERO));
    let door = Arc::new(door);
    let address = format!("{scheme}{}", door.address());
    if dealt == Dealt::Refused {
        drop(listener);
    } else {
        door.arm(dealt, usize::MAX);
        let door = Arc::clone(&door);
        runtime.spawn(async move { drop(door.next(&mut Some(listener)).await) });
    }
    let identity = Identity::new();
    std::thread::scope(|scope| {
        for (way, words) in WAYS.into_iter().zip(words) {
            let (address, identity) = (&address, &identity);
            scope.spawn(move || refuses(way, address, identity, words));
        }
    });
    runtime.shutdown_background();
}

fn refuses(way: &str, address: &str, identity: &Identity, words: &str) {
    let desk = Desk::new();
    let (tokenizer, dataset) = (tokenizer(), dataset());
    let mut args = vec!["profile", "--backend", way, address, &tokenizer, &dataset];
    args.extend(["--num-prompts", "4"]);
    let mut command = desk.command(&args);
    command.env("SSL_CERT_FILE", identity.certificate_file());
    let run = crate::common::left(command.output().unwrap());
    run.refused(&[words]);
    assert!(run.out.is_empty(), "{}", run.out);
}

#[test]
fn nobody_listens() {
    let grpc = "Connection refused";
    refused(
        "",
        Dealt::Refused,
        [grpc, grpc, "Connection refused (os error 111); is the"],
    );
}

#[test]
fn every_connection_is_reset() {
    let grpc = "does not answer as a Triton gRPC server";
    refused(
        "",
        Dealt::Reset,
        [grpc, grpc, "closed the connection instead of answering"],
    );
}

#[test]
fn the_server_wants_tls() {
    let grpc = "the server speaks TLS";
    refused(
        "",
        Dealt::Bytes(TLS_ALERT),
        [grpc, grpc, "if it speaks TLS, give its address with"],
    );
}

#[test]
fn the_server_has_no_tls() {
    let words = "what answers there does not speak TLS; write http:// in front of the";
    refused("https://", Dealt::Bytes(PLAIN_HTTP), [words; 3]);
}

#[test]
fn an_http_server_where_grpc_was_expected() {
    let grpc = "this looks like an HTTP server; use --backend api_server";
    refused(
        "",
        Dealt::Bytes(PLAIN_HTTP),
        [grpc, grpc, "the server answered HTTP 400"],
    );
}

#[test]
fn the_server_says_nothing() {
    let grpc = "did not answer";
    refused(
        "",
        Dealt::Silence,
        [grpc, grpc, "no answer to /v1/models within"],
    );
}
