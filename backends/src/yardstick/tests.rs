//! Every client against the servers that are to measure it.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Book, Handed, Pace, Wire, serve};
use crate::{
    Backend, Clock, PromptMode, Pulse, Request, Sampling, Sink, Target, TokenSource, Trace, find,
};

const PROMPT: &str = "Once upon";

struct Yard {
    address: String,
    clock: Clock,
    book: Book,
    server: JoinHandle<()>,
}

impl Yard {
    fn start(wire: Wire, pace: Pace) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (clock, book) = (Clock::start(), Book::default());
        let served = serve(wire, listener, pace, clock, book.clone());
        let server = tokio::spawn(async move {
            served.await.expect("serves");
        });
        Self {
            address,
            clock,
            book,
            server,
        }
    }

    fn client(&self, name: &str) -> Arc<dyn Backend> {
        let target = Target {
            address: self.address.clone(),
            model: None,
            api_key: None,
            tls: crate::Tls::default(),
            prompt_mode: PromptMode::Raw,
            connect_timeout: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(5),
        };
        (find(name).expect("listed").connect)(target).expect("a client")
    }

    async fn ask(&self, client: &Arc<dyn Backend>, id: u64, tokens: u32) -> Trace {
        let mut request = request(id, tokens);
        request.server_prompt_tokens = client.prompt_tokens(&request).await.expect("counted");
        client.prepare(&mut request).await.expect("prepared");
        let mut sink = Sink::start(self.clock, Pulse::default(), tokens);
        let finish = client.generate(&request, &mut sink).await.expect("answers");
        let (count, source) = finish.completion.expect("counted");
        assert_eq!(count, tokens);
        assert!(source <= TokenSource::Usage);
        sink.into_trace()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn request(id: u64, output_tokens: u32) -> Request {
    let ids = std::iter::once(1).chain(PROMPT.bytes().map(|byte| u32::from(byte) + 3));
    Request {
        id,
        slot: u32::try_from(id).expect("small"),
        prompt: PROMPT.into(),
        turn: None,
        token_ids: ids.collect(),
        server_prompt_tokens: None,
        output_tokens,
        sampling: Sampling::default(),
        stream: true,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

fn pace(first_ms: u64, per_token_us: u64, output_ids_len: u32) -> Pace {
    Pace {
        first_token: Duration::from_millis(first_ms),
        per_token: Duration::from_micros(per_token_us),
        output_ids_len,
        phases: 0,
    }
}

#[test]
fn answers_begin_when_their_phase_comes_next() {
    // 3 ms to the first token, then one every 2 ms.
    let due = |phases, arrived_ns, request| {
        let pace = Pace {
            phases,
            ..pace(3, 2000, 0)
        };
        pace.first_due_ns(arrived_ns, request)
    };
    let ms = 1_000_000;
    for (phases, arrived_ns, request, due_ns) in [
        (0, 5 * ms + 1, 7, 8 * ms + 1),
        (1, 5 * ms, 7, 8 * ms),
        (1, 5 * ms + 1, 7, 10 * ms),
        (1, 6 * ms, 7, 10 * ms),
        (4, 5 * ms, 8, 8 * ms),
        (4, 5 * ms, 9, 8 * ms + ms / 2),
        (4, 5 * ms, 11, 9 * ms + ms / 2),
        (4, 6 * ms, 8, 10 * ms),
        (4, 6 * ms, 9, 10 * ms + ms / 2),
        (4, 6 * ms, 10, 9 * ms),
        (4, 6 * ms + ms / 2, 11, 9 * ms + ms / 2),
        (3, 5 * ms, 1, 8 * ms + 666_666),
        (4, u64::MAX, 1, u64::MAX),
    ] {
        assert_eq!(
            due(phases, arrived_ns, request),
            due_ns,
            "{phases} {arrived_ns} {request}"
        );
    }
    let full_speed = Pace {
        phases: 4,
        ..pace(3, 0, 0)
    };
    assert_eq!(
        full_speed.first_due_ns(1, 3),
        3 * ms + 1,
        "no gap, no phase"
    );
}

#[tokio::test]
async fn streams_keep_their_phases() {
    let pace = Pace {
        phases: 4,
        ..pace(2, 8000, 0)
    };
    for &(name, wire) in &[WAYS[0], WAYS[3]] {
        let yard = Yard::start(wire, pace);
        let client = yard.client(name);
        let asked = (0..4).map(|id| yard.ask(&client, id, 5));
        futures_util::future::join_all(asked).await;
        let book = yard.book.take();
        assert_eq!(book.len(), 4, "{name}");
        for handed in book {
            let mut due_ns = pace.first_due_ns(handed.arrived_ns, handed.request);
            assert_eq!(due_ns % 8_000_000, handed.request * 2_000_000, "{name}");
            for &at_ns in &handed.at_ns {
                assert!(at_ns >= due_ns, "{name}: {at_ns} before {due_ns}");
                due_ns += 8_000_000;
            }
        }
    }
}

/// Each message after it was handed over, in order; each token once.
fn check(handed: &Handed, trace: &Trace, tokens: u32, pace: Pace) {
    assert!(handed.arrived_ns > trace.issued_ns);
    assert_eq!(handed.at_ns.len(), usize::try_from(tokens).expect("small"));
    let mut due = u128::from(handed.arrived_ns) + pace.first_token.as_nanos();
    for &at_ns in &handed.at_ns {
        assert!(u128::from(at_ns) >= due, "{at_ns} before {due}");
        due += pace.per_token.as_nanos();
    }
    assert!(handed.at_ns.is_sorted());
    let marked: u32 = trace.marks.iter().map(|mark| mark.tokens).sum();
    // The api_server's events do not say how many tokens they carry.
    assert!(marked == tokens || marked == 0);
    let mut seen = 0;
    for mark in &trace.marks {
        seen += usize::try_from(mark.tokens.max(1)).expect("small");
        assert!(mark.at_ns > handed.at_ns[seen - 1], "{mark:?} {handed:?}");
    }
    assert_eq!(seen, handed.at_ns.len());
}

const WAYS: &[(&str, Wire)] = &[
    ("api_server", Wire::Http),
    ("tis", Wire::Grpc),
    ("tis-chatbot", Wire::Grpc),
    ("tis-direct", Wire::Grpc),
    ("tis-ensemble", Wire::Grpc),
];

#[tokio::test]
async fn every_way_gets_what_it_asked_for_and_the_book_knows_when() {
    for pace in [
        pace(0, 0, 0),
        pace(0, 0, 2056),
        pace(3, 2000, 0),
        pace(3, 2000, 12),
        pace(1, 100, 64),
    ] {
        for &(name, wire) in WAYS {
            let yard = Yard::start(wire, pace);
            let client = yard.client(name);
            let info = client.probe().await.expect("is a server");
            assert!(info.simulated, "{name}: {info:?}");
            client.warm(4).await.expect("connects");
            let lengths = [1, 2, 40, 7];
            let answers = lengths.iter().zip(1_u64..);
            let traces = answers.map(|(&tokens, id)| yard.ask(&client, id, tokens));
            let traces = futures_util::future::join_all(traces).await;
            let mut book = yard.book.take();
            book.sort_by_key(|handed| handed.request);
            assert_eq!(book.len(), lengths.len(), "{name} {pace:?}");
            for ((handed, trace), tokens) in book.iter().zip(&traces).zip(lengths) {
                check(handed, trace, tokens, pace);
            }
            assert!(yard.book.take().is_empty());
        }
    }
}

#[tokio::test]
async fn messages_share_the_time_of_a_write_and_not_that_of_a_burst() {
    let yard = Yard::start(Wire::Grpc, pace(20, 10_000, 2056));
    let client = yard.client("tis-direct");
    let all = (0..64).map(|id| yard.ask(&client, id, 8));
    futures_util::future::join_all(all).await;
    let mut shared = HashMap::new();
    for at_ns in yard.book.take().iter().flat_map(|handed| &handed.at_ns) {
        *shared.entry(*at_ns).or_insert(0) += 1;
    }
    // A write takes 64 KiB and what the library gives at once beyond, some of a
    // message of 8 kB that began before included.
    let most = shared.values().max().expect("handed over");
    assert!((2..=12).contains(most), "{most} messages with one write");
    assert_eq!(shared.values().sum::<u32>(), 64 * 8);
}

#[tokio::test]
async fn long_messages_are_booked_with_their_last_byte() {
    // 40 kB each: frames have 16 at most, and the library cuts them.
    let pace = pace(5, 5000, 10_000);
    let yard = Yard::start(Wire::Grpc, pace);
    let client = yard.client("tis-direct");
    let all = (0..8).map(|id| yard.ask(&client, id, 6));
    let traces = futures_util::future::join_all(all).await;
    let mut book = yard.book.take();
    book.sort_by_key(|handed| handed.request);
    assert_eq!(book.len(), traces.len());
    for (handed, trace) in book.iter().zip(&traces) {
        check(handed, trace, 6, pace);
    }
}

#[tokio::test]
async fn the_http_side_passes_for_a_new_lmdeploy() {
    let yard = Yard::start(Wire::Http, pace(0, 0, 0));
    let client = yard.client("api_server");
    let info = client.probe().await.expect("is a server");
    assert_eq!(
        info.server,
        "pairbench simulation of lmdeploy 0.16.0 or newer"
    );
    assert_eq!(info.model, super::MODEL);
    let ids = client.prompt_ids(&request(1, 1)).await.expect("encodes");
    assert_eq!(ids.expect("knows"), *request(1, 1).token_ids);
    assert!(client.server_counters().await.expect("answers").is_none());
}

#[tokio::test]
async fn the_python_model_is_answered_by_the_simulation() {
    let yard = Yard::start(Wire::Grpc, pace(1, 1000, 0));
    let client = yard.client("tis-python");
    let mut sink = Sink::start(yard.clock, Pulse::default(), 5);
    client
        .generate(&request(1, 5), &mut sink)
        .await
        .expect("answers");
    assert!(sink.has_tokens());
    assert!(yard.book.take().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_ends_its_connection_only() {
    let yard = Yard::start(Wire::Http, pace(0, 0, 0));
    for noise in [
        "GET / HTTP/7\r\n\r\n",
        "\0\x01\x02",
        "POST /v1/completions HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(&yard.address).await.expect("listens");
        stream.write_all(noise.as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("half closed");
        let mut answer = Vec::new();
        // A reset is as good an end.
        let _ = stream.read_to_end(&mut answer).await;
    }
    let client = yard.client("api_server");
    yard.ask(&client, 1, 3).await;
    let grpc = Yard::start(Wire::Grpc, pace(0, 0, 0));
    let mut stream = TcpStream::connect(&grpc.address).await.expect("listens");
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("sent");
    let _ = stream.read_to_end(&mut Vec::new()).await;
    grpc.ask(&grpc.client("tis-direct"), 1, 3).await;
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_not_booked() {
    for (name, wire) in [("api_server", Wire::Http), ("tis-direct", Wire::Grpc)] {
        let yard = Yard::start(wire, pace(0, 1000, 0));
        let client = yard.client(name);
        client.probe().await.expect("is a server");
        let mut sink = Sink::start(yard.clock, Pulse::default(), 1);
        let request = request(9, 100_000);
        tokio::select! {
            _ = client.generate(&request, &mut sink) => panic!("it cannot be over"),
            () = async { yard.ask(&client, 1, 20).await; } => {}
        }
        drop(client);
        let client = yard.client(name);
        yard.ask(&client, 2, 3).await;
        let names: Vec<u64> = yard.book.take().iter().map(|it| it.request).collect();
        assert_eq!(names, [1, 2], "{name}");
    }
}

#[test]
fn a_clock_is_shared_by_its_origin() {
    let clock = Clock::start();
    let Some(origin_ns) = clock.origin_since_boot_ns() else {
        return;
    };
    let same = Clock::with_origin(origin_ns).expect("has been");
    let (before, between, after) = (clock.now_ns(), same.now_ns(), clock.now_ns());
    // The two are some tens of nanoseconds apart; a wrong unit or sign is not.
    assert!(between + 1_000_000 > before, "{before} {between}");
    assert!(between < after + 1_000_000, "{between} {after}");
    assert!(Clock::with_origin(u64::MAX).is_none());
}
