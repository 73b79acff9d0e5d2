//! The yardstick servers in a process of their own, from the outside.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;
use std::time::Duration;

use backends::yardstick::{Pace, Wire};
use backends::{Clock, PromptMode, Pulse, Request, Sampling, Sink, Target, find};
use pairbench::calibrate::{YardOptions, YardProcess, cores};

fn options(core: Option<usize>) -> YardOptions {
    YardOptions {
        pace: Pace {
            first_token: Duration::from_millis(2),
            per_token: Duration::from_millis(1),
            output_ids_len: 0,
            phases: 0,
        },
        core,
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_pairbench"))),
    }
}

fn request(id: u64, output_tokens: u32) -> Request {
    Request {
        id,
        slot: 0,
        prompt: "Once upon".into(),
        turn: None,
        token_ids: [1, 2, 3].into(),
        server_prompt_tokens: None,
        output_tokens,
        sampling: Sampling::default(),
        stream: true,
        prompt_mode: PromptMode::Raw,
        wire: None,
    }
}

#[tokio::test]
async fn a_process_of_its_own_shares_the_clock() {
    let clock = Clock::start();
    let core = cores::allowed().last().copied();
    let mut yard = YardProcess::start(&options(core), clock).unwrap();
    assert_eq!(yard.has_own_process(), cfg!(unix));
    assert_eq!(yard.not_pinned().is_none(), core.is_some() || cfg!(unix));
    for (name, wire, id) in [("api_server", Wire::Http, 1), ("tis-direct", Wire::Grpc, 2)] {
        let target = Target {
            address: yard.address(wire).to_owned(),
            model: None,
            api_key: None,
            tls: backends::Tls::default(),
            prompt_mode: PromptMode::Raw,
            connect_timeout: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(5),
        };
        let client = (find(name).unwrap().connect)(target).unwrap();
        let mut sink = Sink::start(clock, Pulse::default(), 9);
        client.generate(&request(id, 9), &mut sink).await.unwrap();
        let trace = sink.into_trace();
        let book = yard.take().unwrap();
        assert_eq!(book.len(), 1);
        assert_eq!((book[0].request, book[0].at_ns.len()), (id, 9));
        // Hand-over before mark, though two processes read the clock: they are
        // some tens of nanoseconds apart, a message takes longer.
        assert!(trace.issued_ns < book[0].arrived_ns, "{book:?} {trace:?}");
        assert!(book[0].arrived_ns < book[0].at_ns[0]);
        assert!(book[0].at_ns[0] < trace.marks[0].at_ns);
        assert!(book[0].at_ns[8] < trace.end_ns);
    }
    assert!(yard.take().unwrap().is_empty());
    assert_eq!(yard.cpu_ns().unwrap().is_some_and(|ns| ns > 0), cfg!(unix));
}

#[test]
#[cfg(unix)]
fn the_child_ends_when_its_input_does_and_refuses_nonsense() {
    use std::io::Write;
    use std::process::{Command, Stdio};

    let origin_ns = Clock::start().origin_since_boot_ns().unwrap();
    for (origin_ns, order, good) in [
        (origin_ns, "", true),
        (origin_ns, "take\ncpu\n", true),
        (origin_ns, "sing\n", false),
        (u64::MAX, "", false),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pairbench"))
            .args(["yardstick", "--origin-ns", &origin_ns.to_string()])
            .args(["--first-token-us", "0", "--per-token-us", "0"])
            .args(["--output-ids-len", "0", "--core", "123456"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A child that has given up already does not read its orders.
        let _ = child.stdin.take().unwrap().write_all(order.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.success(), good, "{order}");
        let text = String::from_utf8(output.stdout).unwrap();
        let not_pinned = text.contains("123456");
        assert_eq!(not_pinned, origin_ns != u64::MAX, "{text}");
    }
}

#[test]
fn a_program_that_is_none_is_told() {
    for program in ["/nonexistent/pairbench", "/bin/true"] {
        let options = YardOptions {
            program: Some(PathBuf::from(program)),
            ..options(None)
        };
        let started = YardProcess::start(&options, Clock::start());
        if cfg!(unix) {
            let words = format!("{:#}", started.unwrap_err());
            assert!(
                words.contains("cannot start") || words.contains("ended without"),
                "{words}"
            );
        }
    }
}
