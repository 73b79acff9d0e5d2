//! Figures against records with answers known by hand.

use std::collections::BTreeMap;

use super::fixture::{failed, marks, record, run, sound};
use super::{Distribution, Messages, ServerPrompts, TextCheck, TokenSource, summarize};
use crate::record::{Record, Recount, Run, RunEnd};

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("there");
    assert!(
        (found - expected).abs() <= expected.abs() * 1e-12,
        "{found} is not {expected}"
    );
}

fn same_everywhere(found: Option<Distribution>, count: u64, value: f64) {
    let expected = Distribution {
        count,
        mean: value,
        min: value,
        p50: value,
        p90: value,
        p95: value,
        p99: value,
        max: value,
    };
    assert_eq!(found, Some(expected));
}

#[test]
fn every_figure_of_a_sound_run() {
    let mut run = sound();
    run.end = Some(RunEnd {
        span_ns: 4_000_000,
        client_cpu_ns: Some(6_000_000),
        busiest_thread_cpu_ns: Some(1_000_000),
        ..RunEnd::default()
    });
    let summary = summarize(&run);
    assert_eq!(
        (
            summary.counts.planned,
            summary.counts.finished,
            summary.counts.failed(),
            summary.counts.unfinished
        ),
        (4, 4, 0, 0)
    );
    // Issued at 0 and 2 ms, each 1 ms to the first token and 2 gaps of 0.5 ms.
    assert_eq!(summary.elapsed_ns, Some(4_000_000));
    near(summary.output_tokens_per_s, 12.0 / 0.004);
    near(summary.total_tokens_per_s, 52.0 / 0.004);
    near(summary.requests_per_s, 1_000.0);
    near(summary.requests_per_min, 60_000.0);
    let latencies = summary.latencies;
    same_everywhere(latencies.ftl, 4, 1e6);
    same_everywhere(latencies.first_event, 4, 750e3);
    same_everywhere(latencies.tpot, 4, 500e3);
    same_everywhere(latencies.itl, 8, 500e3);
    same_everywhere(latencies.e2e, 4, 2e6);
    same_everywhere(latencies.slip, 4, 0.0);
    assert_eq!(
        (summary.messages.count, summary.messages.mean),
        (12, Some(1.0))
    );
    same_everywhere(summary.messages.tokens, 12, 1.0);
    let tokens = &summary.tokens;
    assert_eq!(
        (tokens.prompt, tokens.requested, tokens.generated),
        (40, 12, Some(12))
    );
    assert_eq!((tokens.shorter, tokens.longer, tokens.uncounted), (0, 0, 0));
    assert_eq!(tokens.sources, BTreeMap::from([(TokenSource::Ids, 4)]));
    assert_eq!(
        (tokens.source_words().as_str(), tokens.text_check),
        ("ids", None)
    );
    let prompts = ServerPrompts {
        requests: 4,
        server: 40,
        planned: 40,
        least_extra: 0,
        most_extra: 0,
    };
    assert_eq!(tokens.server_prompts, Some(prompts));
    assert_eq!(summary.client.in_flight_peak, 2);
    near(summary.client.cpu_percent, 150.0);
    near(summary.client.busiest_thread_percent, 25.0);
}

#[test]
fn the_way_to_the_first_token_adds_up() {
    let summary = summarize(&sound());
    let way = &summary.way;
    let names: Vec<&str> = way.hops.iter().map(|hop| hop.name.as_str()).collect();
    assert_eq!(names, ["preprocess", "engine"], "in the order of the way");
    assert_eq!(
        (
            way.hops[0].until_first_ns,
            way.hops[0].total_ns,
            way.hops[0].calls
        ),
        (250e3, 250e3, 1.0)
    );
    assert_eq!(
        (
            way.hops[1].until_first_ns,
            way.hops[1].total_ns,
            way.hops[1].calls
        ),
        (500e3, 1e6, 1.0)
    );
    assert_eq!(way.other_ns, Some(250e3));
    assert_eq!(way.parts_ns(), Some(1e6));
    assert_eq!((way.whole_ns, way.rest_ns()), (Some(1e6), Some(0.0)));
}

#[test]
fn what_the_parts_leave_out_is_shown_and_not_spread() {
    let mut only = record(0, 0, 1_000_000, 1, 2);
    only.hops.remove("engine");
    let summary = summarize(&run(vec![only]));
    assert_eq!(summary.way.rest_ns(), Some(500e3));
}

#[test]
fn a_hop_that_one_request_skips_counts_as_zero_there() {
    let mut skips = record(1, 0, 800_000, 1, 2);
    skips.hops.clear();
    skips.other_until_first_ns = 800_000;
    let summary = summarize(&run(vec![record(0, 0, 1_000_000, 1, 2), skips]));
    assert_eq!(summary.way.hops[0].until_first_ns, 125e3);
    assert_eq!(summary.way.hops[0].calls, 0.5);
    assert_eq!(summary.way.rest_ns(), Some(0.0));
    assert_eq!(summary.latencies.ftl.expect("streams").mean, 900e3);
}

#[test]
fn an_answer_without_tokens_is_not_on_the_way_to_one() {
    let mut silent = record(1, 0, 800_000, 1, 2);
    silent.marks.clear();
    silent.completion_tokens = Some(0);
    let summary = summarize(&run(vec![record(0, 0, 1_000_000, 1, 2), silent]));
    let engine = &summary.way.hops[1];
    assert_eq!((engine.until_first_ns, engine.total_ns), (500e3, 900e3));
    assert_eq!(summary.way.rest_ns(), Some(0.0));
    assert_eq!(summary.latencies.ftl.expect("streams").count, 1);
    assert_eq!(summary.latencies.e2e.expect("finished").count, 2);
}

/// Marks, tokens on the wire, recount (whole, first), TPOT, tokens per message,
/// whether each message's are known.
type Case<'a> = (
    &'a [(u64, u32)],
    Option<u32>,
    Option<(u32, u32)>,
    Option<f64>,
    Option<f64>,
    bool,
);

#[rustfmt::skip]
const MESSAGES: &[Case<'_>] = &[
    // The wire tells: 2 + 1 + 3 tokens, 4 of them after the first message.
    (&[(100, 2), (200, 1), (500, 3)], Some(6), None, Some(100.0), Some(2.0), true),
    // SSE, one token a message: as many messages as tokens.
    (&[(100, 0), (200, 0), (300, 0)], Some(3), None, Some(100.0), Some(1.0), true),
    // The same, and the recount of the first piece would say otherwise.
    (&[(100, 0), (200, 0), (300, 0)], Some(3), Some((3, 2)), Some(100.0), Some(1.0), true),
    // SSE, 6 tokens in 3 messages: the first piece is counted from its text.
    (&[(100, 0), (200, 0), (500, 0)], Some(6), Some((6, 2)), Some(100.0), Some(2.0), false),
    // A first piece without a token of its own still had one.
    (&[(100, 0), (500, 0)], Some(5), Some((5, 0)), Some(100.0), Some(2.5), false),
    // Nobody knows the first message: no TPOT rather than a wrong one.
    (&[(100, 0), (500, 0)], Some(5), None, None, Some(2.5), false),
    // Only the text is counted.
    (&[(100, 0), (500, 0)], None, Some((4, 2)), Some(200.0), Some(2.0), false),
    // Everything in one message.
    (&[(100, 7)], Some(7), None, None, Some(7.0), true),
    // All tokens in the first message, an empty rest.
    (&[(100, 3), (200, 0)], Some(3), None, None, Some(1.5), false),
    // No count at all.
    (&[(100, 0), (200, 0)], None, None, None, None, false),
    (&[], Some(0), None, None, None, false),
];

#[test]
fn tpot_and_messages_by_hand() {
    for (pairs, wire, recount, tpot, mean, each_known) in MESSAGES {
        let mut only = record(0, 0, 100, 1, 1);
        only.marks = marks(pairs);
        only.completion_tokens = *wire;
        only.token_source = wire.map(|_| "usage".to_owned());
        let mut run = run(vec![only]);
        let answer = recount.map(|(whole, first)| (0, whole, first));
        run.recount.answers = answer.into_iter().collect();
        let summary = summarize(&run);
        let case = format!("{pairs:?} {wire:?} {recount:?}");
        assert_eq!(summary.latencies.tpot.map(|of| of.mean), *tpot, "{case}");
        assert_eq!(summary.messages.mean, *mean, "{case}");
        assert_eq!(summary.messages.tokens.is_some(), *each_known, "{case}");
    }
}

#[test]
fn gaps_are_pooled_and_never_reach_over_requests() {
    let mut one = record(0, 0, 100, 1, 1);
    one.marks = marks(&[(100, 1), (110, 1), (150, 1)]);
    let mut other = record(1, 900, 100, 1, 1);
    other.marks = marks(&[(1_000, 1), (1_020, 1)]);
    let itl = summarize(&run(vec![one, other]))
        .latencies
        .itl
        .expect("gaps");
    assert_eq!(
        (itl.count, itl.min, itl.p50, itl.max),
        (3, 10.0, 20.0, 40.0)
    );
}

#[test]
fn sources_are_named_and_the_worst_counts() {
    let usage = Record {
        token_source: Some("usage".to_owned()),
        ..record(1, 0, 10, 10, 4)
    };
    let text = Record {
        token_source: None,
        completion_tokens: None,
        ..record(2, 0, 10, 10, 4)
    };
    let mut run = run(vec![record(0, 0, 10, 10, 4), usage, text]);
    run.recount = Recount {
        answers: vec![(1, 3, 1), (2, 5, 1)],
        ..Recount::default()
    };
    let tokens = summarize(&run).tokens;
    assert_eq!(tokens.source(), Some(TokenSource::Text));
    assert_eq!(tokens.source_words(), "text (ids 1, usage 1, text 1)");
    assert_eq!(tokens.generated, Some(13));
    let check = TextCheck {
        requests: 1,
        wire: 4,
        text: 3,
    };
    assert_eq!(tokens.text_check, Some(check));
}

#[test]
fn a_count_that_nobody_made_is_not_assumed() {
    let silent = Record {
        completion_tokens: None,
        token_source: None,
        ..record(1, 0, 10, 10, 4)
    };
    let summary = summarize(&run(vec![record(0, 0, 10, 10, 4), silent]));
    assert_eq!(
        (summary.tokens.generated, summary.tokens.uncounted),
        (None, 1)
    );
    assert_eq!(
        (summary.output_tokens_per_s, summary.total_tokens_per_s),
        (None, None)
    );
    assert!(summary.requests_per_s.is_some());
    assert_eq!(summary.messages.mean, None);
}

#[test]
fn time_runs_from_the_first_request_whatever_became_of_it() {
    let sound = summarize(&sound());
    let mut delayed = super::fixture::sound();
    let shift_ns = 10_000_000_000;
    for record in &mut delayed.records {
        record.issued_ns += shift_ns;
        record.end_ns += shift_ns;
    }
    delayed.records.push(failed(4, "connect", "refused"));
    delayed.records[4].issued_ns = 0;
    let first_ns = super::fixture::sound().records[0].issued_ns;
    let expected = sound.elapsed_ns.map(|ns| ns + shift_ns + first_ns);
    assert_eq!(summarize(&delayed).elapsed_ns, expected);
}

#[test]
fn a_failed_request_adds_nothing_but_its_kind() {
    let sound = summarize(&sound());
    let mut with_failures = super::fixture::sound();
    with_failures.header.num_prompts = 9;
    let late = Record {
        issued_ns: 50_000_000,
        end_ns: 90_000_000,
        completion_tokens: Some(99),
        server_prompt_tokens: Some(99),
        marks: marks(&[(60_000_000, 9)]),
        ..failed(4, "cut", "reset")
    };
    with_failures
        .records
        .extend([late, failed(5, "cut", "reset"), failed(6, "server", "500")]);
    let summary = summarize(&with_failures);
    let kinds = BTreeMap::from([("cut".to_owned(), 2), ("server".to_owned(), 1)]);
    assert_eq!(summary.counts.failed_by_kind, kinds);
    assert_eq!((summary.counts.finished, summary.counts.unfinished), (4, 2));
    assert_eq!(
        (summary.elapsed_ns, summary.latencies),
        (sound.elapsed_ns, sound.latencies)
    );
    assert_eq!((summary.tokens, summary.way), (sound.tokens, sound.way));
}

#[test]
fn what_does_not_stream_has_no_first_token() {
    let mut run = sound();
    run.header.stream = false;
    let summary = summarize(&run);
    let latencies = summary.latencies;
    assert_eq!((latencies.ftl, latencies.first_event), (None, None));
    assert_eq!((latencies.tpot, latencies.itl), (None, None));
    assert_eq!(summary.messages, Messages::default());
    assert!(latencies.e2e.is_some() && summary.way.whole_ns.is_some());
}

#[test]
fn nothing_finished_gives_absent_figures() {
    for records in [vec![], vec![failed(0, "connect", "refused")]] {
        let summary = summarize(&run(records));
        assert_eq!(summary.elapsed_ns, None);
        assert_eq!(
            summary.output_tokens_per_s.or(summary.total_tokens_per_s),
            None
        );
        assert_eq!(summary.requests_per_s.or(summary.requests_per_min), None);
        assert_eq!(summary.latencies, super::Latencies::default());
        assert_eq!(
            (summary.tokens.source(), summary.tokens.source_words()),
            (None, "-".to_owned())
        );
        assert_eq!((summary.way.other_ns, summary.way.rest_ns()), (None, None));
    }
    // All at once: no time passed, so no rate.
    let instant = Record {
        issued_ns: 7,
        end_ns: 7,
        marks: marks(&[(7, 1)]),
        ..record(0, 7, 0, 0, 1)
    };
    let summary = summarize(&run(vec![instant]));
    assert_eq!(
        (summary.elapsed_ns, summary.requests_per_s),
        (Some(0), None)
    );
    assert_eq!(summarize(&Run::default()).counts.planned, 0);
}
