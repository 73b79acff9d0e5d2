//! Every way by itself: the counts are exact, in pieces and whole.

use super::common::{Desk, dataset};
use super::{NATURAL_END, counts, exactly_as_planned, flat, runs, summarize, ways};

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn every_way_brings_exactly_what_was_planned() {
    for way in ways() {
        for stream in [true, false] {
            let desk = Desk::new();
            let stream_output = format!("--stream_output={stream}");
            let load = ["--concurrency", "2", "--num-prompts", "8"];
            let more = [&load[..], &["--output-len", "16", &stream_output]].concat();
            let left = way.profile(&desk, &dataset(), &more);
            println!("{} of {}, stream {stream}", way.backend, way.server);
            let runs = runs(&desk);
            let [run] = &runs[..] else {
                panic!("{}", left.err)
            };
            assert_eq!(run.header.server, way.server);
            assert!(!run.header.simulated);
            exactly_as_planned(run);
            let source = summarize(run)
                .tokens
                .source()
                .map(pairbench::stats::TokenSource::name);
            assert_eq!(source, Some(source_of(way.backend, way.server, stream)));
            for record in &run.records {
                // Held together by a busy machine two pieces may be; not all of them.
                let pieces = record.marks.len();
                assert!(if stream { pieces > 4 } else { pieces == 1 }, "{record:?}");
            }
            counts(&left, &runs);
        }
    }
}

/// Where the count of an answer's tokens comes from.
fn source_of(backend: &str, server: &str, stream: bool) -> &'static str {
    match backend {
        "tis-python" => "text",
        "api_server" if stream && server.contains("0.1.0") => "text",
        "api_server" => "usage",
        _ => "ids",
    }
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn the_datasets_own_lengths_come_at_sixteen_at_once() {
    for way in ways() {
        let desk = Desk::new();
        let limits = ["--max-total-tokens", "200", "--stream_output=true"];
        let load = ["--concurrency", "16", "--num-prompts", "48"];
        let left = way.profile(&desk, &dataset(), &[&load[..], &limits].concat());
        let runs = runs(&desk);
        assert_eq!(runs.len(), 1, "{}", left.err);
        exactly_as_planned(&runs[0]);
        println!("{} of {}: 48 of 48", way.backend, way.server);
        counts(&left, &runs);
    }
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn an_engine_that_may_end_by_itself_does_and_the_run_does_not_count() {
    for way in ways() {
        let desk = Desk::new();
        let load = ["--concurrency", "2", "--num-prompts", "4"];
        let ends = ["--output-len", "20", "--ignore_eos=false"];
        let left = way.profile(&desk, &dataset(), &[&load[..], &ends].concat());
        let runs = runs(&desk);
        assert_eq!(runs.len(), 1, "{}", left.err);
        let tokens = summarize(&runs[0]).tokens;
        assert_eq!(tokens.generated, Some(4 * NATURAL_END), "{}", way.backend);
        assert_eq!((left.code, tokens.shorter), (1, 4), "{}", left.out);
        assert!(flat(&left.out).contains("(rule 2)"), "{}", left.out);
    }
}
