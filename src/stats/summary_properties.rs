//! What holds for the figures of any records, sound or not.

use proptest::prelude::*;

use super::fixture::{marks, record, run};
use super::{Summary, summarize};
use crate::record::{Record, Run};

fn any_record() -> impl Strategy<Value = Record> {
    // Times on both ends of the range, so that nothing may run over.
    let time = || prop_oneof![0_u64..2_000, Just(u64::MAX), Just(0)];
    let some_marks = prop::collection::vec((time(), 0_u32..4), 0..6);
    (
        (time(), time(), time(), prop::option::of(time())),
        some_marks,
        (
            prop::option::of(0_u32..9),
            0_u32..9,
            0_u32..9,
            prop::option::of(0_u32..20),
        ),
        prop::sample::select(vec!["ok", "ok", "ok", "cut", "cancelled"]),
        prop::sample::select(vec![Some("ids"), Some("usage"), None]),
    )
        .prop_map(|(times, pairs, counts, outcome, source)| {
            let mut record = record(0, 0, 40, 1, 2);
            (
                record.scheduled_ns,
                record.issued_ns,
                record.end_ns,
                record.first_event_ns,
            ) = times;
            record.marks = marks(&pairs);
            (
                record.completion_tokens,
                record.requested_tokens,
                record.prompt_tokens,
                record.server_prompt_tokens,
            ) = counts;
            record.outcome = outcome.to_owned();
            record.token_source = source.map(str::to_owned);
            record
        })
}

fn any_run() -> impl Strategy<Value = Run> {
    (prop::collection::vec(any_record(), 0..12), any::<bool>()).prop_map(
        |(mut records, recounted)| {
            for (index, record) in (0_u32..).zip(&mut records) {
                record.index = index;
            }
            let mut run = run(records);
            if recounted {
                run.recount.answers = (0..12).map(|index| (index, 3 + index % 2, 1)).collect();
            }
            run
        },
    )
}

fn figures(summary: &Summary) -> Vec<f64> {
    let latencies = summary.latencies;
    let all = [
        latencies.ftl,
        latencies.first_event,
        latencies.tpot,
        latencies.itl,
        latencies.e2e,
        latencies.slip,
    ];
    let rates = [
        summary.output_tokens_per_s,
        summary.total_tokens_per_s,
        summary.requests_per_min,
    ];
    all.into_iter()
        .flatten()
        .flat_map(|of| [of.mean, of.min, of.p50, of.p90, of.p95, of.p99, of.max])
        .chain(rates.into_iter().flatten())
        .chain(summary.way.parts_ns())
        .chain(summary.messages.mean)
        .collect()
}

proptest! {
    #[test]
    fn the_order_of_records_does_not_matter(run in any_run(), seed in any::<u64>()) {
        let mut other = run.clone();
        other.records.sort_by_key(|record| (u64::from(record.index) + 1).wrapping_mul(seed | 1));
        other.recount.answers.reverse();
        prop_assert_eq!(summarize(&run), summarize(&other));
    }

    #[test]
    fn no_record_makes_a_figure_that_is_none(run in any_run()) {
        let summary = summarize(&run);
        for figure in figures(&summary) {
            prop_assert!(figure.is_finite() && figure >= 0.0, "{}", figure);
        }
        let counts = &summary.counts;
        prop_assert_eq!(counts.finished + counts.failed() + counts.unfinished, counts.planned);
    }
}
