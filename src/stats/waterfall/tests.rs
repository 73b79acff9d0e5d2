use std::collections::BTreeMap;

use proptest::prelude::*;

use super::made::{CHATBOT, PLAIN, Way, run, way};
use super::waterfalls;
use crate::record::{ClientFloor, Delay, Run};
use crate::stats::comparison::{Part, PartKind, Time, Waterfall};
use crate::stats::{Arm, summarize};

const MS: u64 = 1_000_000;

pub(super) fn of(runs: &[Run]) -> Vec<Waterfall> {
    let summaries: Vec<_> = runs.iter().map(summarize).collect();
    let arms: Vec<Arm<'_>> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    waterfalls(&arms)
}

pub(super) fn one(found: &[Waterfall], time: Time) -> &Waterfall {
    found
        .iter()
        .find(|found| found.of == time)
        .expect("this time")
}

pub(super) fn part(found: &Waterfall, kind: PartKind) -> Option<&Part> {
    found.parts.iter().find(|part| part.kind == kind)
}

/// Milliseconds of a part; 0 where it is left out.
pub(super) fn ms(found: &Waterfall, kind: PartKind) -> f64 {
    part(found, kind).map_or(0.0, |part| part.estimate.mean_ns / 1e6)
}

#[track_caller]
pub(super) fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
}

#[track_caller]
pub(super) fn adds_up(found: &Waterfall) {
    let parts: f64 = found.parts.iter().map(|part| part.estimate.mean_ns).sum();
    let sum = parts + found.rest.mean_ns;
    assert!((sum - found.gap.mean_ns).abs() < 1.0, "{found:?}");
    let gap = found.slow_ns.mean_ns - found.fast_ns.mean_ns;
    assert!((gap - found.gap.mean_ns).abs() < 1.0, "{found:?}");
}

#[test]
fn each_cause_is_named() {
    let api = Way {
        engine: 20_500,
        ..PLAIN
    };
    let found = of(&[
        run("api_server", &[api; 3]),
        run("tis-chatbot", &[CHATBOT; 3]),
    ]);
    assert_eq!(found.len(), 3);
    for time in [Time::Ttft, Time::PerRequest] {
        let found = one(&found, time);
        assert_eq!((found.slow, found.fast), (1, 0));
        adds_up(found);
        // Before preprocessing, engine and the first (or last) postprocessing.
        near(ms(found, PartKind::Connect), 9.0);
        near(ms(found, PartKind::Preprocess), 8.0);
        near(ms(found, PartKind::Postprocess), 1.0);
        near(ms(found, PartKind::FrontEnd), -0.5);
        near(found.rest.mean_ns, 0.0);
        assert!(found.parts.iter().all(|part| !part.source.is_empty()));
        assert!(
            found
                .parts
                .iter()
                .all(|part| part.estimate.interval.is_some())
        );
    }
    near(ms(one(&found, Time::Ttft), PartKind::ClientFloor), 0.0);
    near(
        ms(one(&found, Time::PerRequest), PartKind::ClientFloor),
        0.4,
    );
    let found = one(&found, Time::Itl);
    adds_up(found);
    near(found.gap.mean_ns, 0.0);
}

#[test]
fn the_same_call_leaves_the_engine() {
    let direct = Way {
        engine: 18_000,
        ..PLAIN
    };
    let mut direct = run("tis-direct", &[direct; 2]);
    "token_ids".clone_into(&mut direct.header.answer);
    let found = of(&[run("tis", &[CHATBOT; 2]), direct]);
    let found = one(&found, Time::Ttft);
    near(ms(found, PartKind::Engine), 2.0);
    assert!(part(found, PartKind::FrontEnd).is_none());
}

#[test]
fn an_arms_own_time_has_no_interval() {
    // Blocks hold other prompts: how their times scatter says nothing of the
    // arm, while their differences pair up.
    let lengths = [3, 40, 9].map(|tokens| Way { tokens, ..PLAIN });
    let longer = lengths.map(|way| Way {
        engine: 22_000,
        ..way
    });
    for found in of(&[run("tis", &longer), run("api_server", &lengths)]) {
        assert_eq!(found.slow_ns.interval, None);
        assert_eq!(found.fast_ns.interval, None);
        assert!(found.gap.interval.is_some());
    }
}

#[test]
fn text_that_falls_behind_is_postprocessing() {
    // Calls of 7 ms behind messages of 5 ms: the text comes at the calls' rhythm.
    let mut late = run("tis", &[CHATBOT; 2]);
    for record in &mut late.records {
        let start_ns = record.engine_marks[0].at_ns;
        for (place, mark) in (1..).zip(&mut record.marks) {
            mark.at_ns = start_ns + place * 7 * MS;
        }
        record.end_ns = record.marks[10].at_ns;
        record.hops.remove("connect");
    }
    let found = of(&[late, run("api_server", &[PLAIN; 2])]);
    let itl = one(&found, Time::Itl);
    adds_up(itl);
    near(ms(itl, PartKind::Postprocess), 2.0);
    near(ms(itl, PartKind::FrontEnd), 0.0);
    near(
        ms(one(&found, Time::PerRequest), PartKind::Postprocess),
        27.0,
    );
}

#[test]
fn a_chaining_server_tells_by_its_counters() {
    let inside = Way {
        engine: 20_000 + 8_000 + 1_500,
        ..PLAIN
    };
    let counters = |pre: f64| {
        BTreeMap::from([
            ("preprocessing.success_count".to_owned(), pre),
            ("preprocessing.success_ns".to_owned(), pre * 8e6),
            ("postprocessing.success_count".to_owned(), 22.0),
            ("postprocessing.success_ns".to_owned(), 22.0 * 1.5e6),
        ])
    };
    // Calls of others are among them: not to be believed.
    for (counted, expected_ms) in [(2.0, 8.0), (5.0, 0.0)] {
        let mut ensemble = run("tis-ensemble", &[inside; 2]);
        for block in &mut ensemble.blocks {
            block.server_counters = counters(counted);
        }
        let found = of(&[ensemble, run("api_server", &[PLAIN; 2])]);
        let found = one(&found, Time::Ttft);
        adds_up(found);
        near(ms(found, PartKind::Preprocess), expected_ms);
        near(
            ms(found, PartKind::FrontEnd),
            if counted < 3.0 { 0.0 } else { 9.5 },
        );
    }
}

#[test]
fn the_way_to_the_models_is_told_from_their_time() {
    // Two requests of a block led in with a long wait for each other, which the
    // server counts, too: 14 ms per call as the client saw it, over all four.
    let arm = |counted_ms: f64| {
        let mut chatbot = run("tis-chatbot", &[CHATBOT; 2]);
        for record in chatbot.records.clone() {
            let mut led_in = record;
            let pre = led_in.hops.get_mut("preprocess").expect("a call");
            (pre.total_ns, pre.until_first_ns) = (20 * MS, 20 * MS);
            chatbot.lead_in.push(led_in);
        }
        for block in &mut chatbot.blocks {
            let posts = 4.0 * CHATBOT.tokens as f64;
            block.server_counters = BTreeMap::from([
                ("preprocessing.success_count".to_owned(), 4.0),
                ("preprocessing.success_ns".to_owned(), 4e6 * counted_ms),
                ("preprocessing.compute_infer_ns".to_owned(), 4e6 * 0.5),
                ("preprocessing.compute_output_ns".to_owned(), 4e6 * 0.1),
                ("postprocessing.success_count".to_owned(), posts),
                ("postprocessing.success_ns".to_owned(), posts * 0.7e6),
            ]);
        }
        chatbot
    };
    for (counted_ms, expected_ms) in [(13.4, 7.4), (14.0, 8.0), (14.5, 8.0), (1.0, 0.6)] {
        let found = of(&[arm(counted_ms), run("api_server", &[PLAIN; 2])]);
        for time in [Time::Ttft, Time::PerRequest] {
            let found = one(&found, time);
            adds_up(found);
            near(ms(found, PartKind::Preprocess), expected_ms);
            near(ms(found, PartKind::Postprocess), 0.7);
            let way_ms = 8.0 - expected_ms + 0.3;
            near(ms(found, PartKind::RoundTrips), way_ms);
            near(found.rest.mean_ns, 0.0);
        }
    }
}

#[test]
fn counters_of_both_servers_tell_the_engine() {
    let api = |engine_ms: f64, way: Way| {
        let mut run = run("api_server", &[way; 2]);
        for block in &mut run.blocks {
            for (name, each_s) in [
                ("queue", 0.001),
                ("prefill", engine_ms / 1e3 - 0.001),
                ("decode", 0.050),
            ] {
                let name = format!("lmdeploy:request_{name}_time_seconds");
                block
                    .server_counters
                    .insert(format!("{name}_sum"), each_s * 2.0);
                block.server_counters.insert(format!("{name}_count"), 2.0);
            }
        }
        run
    };
    let slow = Way {
        engine: 23_000,
        ..PLAIN
    };
    let found = of(&[api(19.0, PLAIN), api(20.0, slow)]);
    for time in [Time::Ttft, Time::PerRequest] {
        let found = one(&found, time);
        adds_up(found);
        near(ms(found, PartKind::Engine), 1.0);
        near(ms(found, PartKind::FrontEnd), 2.0);
    }
    // An engine that took longer than its caller waited is no engine's time.
    let found = of(&[api(19.0, PLAIN), api(90.0, slow)]);
    assert!(part(one(&found, Time::Ttft), PartKind::Engine).is_none());
}

#[test]
fn triton_counters_of_a_decoupled_engine_are_not_believed() {
    let arm = |inside_ms: f64, way: Way| {
        let mut run = run("other", &[way; 2]);
        for block in &mut run.blocks {
            block.server_counters.extend([
                ("turbomind.success_count".to_owned(), 2.0),
                ("turbomind.success_ns".to_owned(), 2.0 * inside_ms * 1e6),
            ]);
        }
        run
    };
    let slow = Way {
        engine: 23_000,
        ..PLAIN
    };
    for (fast_ms, slow_ms, expected) in [(1.5, 1.6, None), (69.0, 70.0, Some(1.0))] {
        let found = of(&[arm(fast_ms, PLAIN), arm(slow_ms, slow)]);
        let found = one(&found, Time::PerRequest);
        adds_up(found);
        let engine = part(found, PartKind::Engine).map(|part| part.estimate.mean_ns / 1e6);
        assert_eq!(engine.map(f64::round), expected);
    }
}

#[test]
fn a_calibration_takes_its_share_out_of_what_follows() {
    let floor = |means: &[i64]| ClientFloor {
        calibrated_utc: "2026-01-01T00:00:00Z".to_owned(),
        floor: Delay {
            mean_ns: means.iter().sum::<i64>() / 2,
            ..Delay::default()
        },
        round_means_ns: means.to_vec(),
        ..ClientFloor::default()
    };
    let mut slow = run(
        "tis-ensemble",
        &[Way {
            engine: 21_000,
            ..PLAIN
        }; 3],
    );
    slow.header.client_floor = Some(floor(&[300_000, 320_000]));
    let mut fast = run("api_server", &[PLAIN; 3]);
    fast.header.client_floor = Some(floor(&[100_000, 110_000]));
    let found = of(&[slow, fast]);
    for time in [Time::Ttft, Time::PerRequest] {
        let found = one(&found, time);
        adds_up(found);
        near(ms(found, PartKind::ClientFloor), 0.205);
        near(ms(found, PartKind::FrontEnd), 0.795);
    }
    near(ms(one(&found, Time::Itl), PartKind::ClientFloor), 0.0);
}

#[test]
fn runs_without_blocks_have_no_interval_and_answers_in_one_piece_one_time() {
    let mut pair = [run("tis", &[CHATBOT; 1]), run("api_server", &[PLAIN; 1])];
    for run in &mut pair {
        run.blocks.clear();
    }
    let found = of(&pair);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|found| found.gap.interval.is_none()));
    for run in &mut pair {
        run.header.stream = false;
    }
    let found = of(&pair);
    assert_eq!(found.len(), 1);
    adds_up(&found[0]);
    assert!(of(&pair[..1]).is_empty() && of(&[]).is_empty());
    let nothing = [run("tis", &[]), run("api_server", &[])];
    assert!(of(&nothing).is_empty());
}

#[test]
fn blocks_that_one_arm_lacks_count_nowhere() {
    let mut slow = run(
        "tis",
        &[
            CHATBOT,
            CHATBOT,
            Way {
                pre: 99_000,
                ..CHATBOT
            },
        ],
    );
    slow.blocks[2].cut = true;
    let found = of(&[slow, run("api_server", &[PLAIN; 3])]);
    near(ms(one(&found, Time::Ttft), PartKind::Preprocess), 8.0);
}

#[test]
fn several_arms_are_taken_step_by_step() {
    let middle = Way {
        connect: 0,
        ..CHATBOT
    };
    let found = of(&[
        run("tis", &[middle; 2]),
        run("api_server", &[PLAIN; 2]),
        run("tis-chatbot", &[CHATBOT; 2]),
    ]);
    let steps: Vec<_> = found
        .iter()
        .filter(|found| found.of == Time::PerRequest)
        .map(|found| (found.slow, found.fast))
        .collect();
    assert_eq!(steps, [(2, 1), (2, 0), (0, 1)]);
    near(ms(&found[3], PartKind::Connect), 9.0);
}

proptest! {
    #[test]
    fn parts_and_rest_are_the_gap(
        one in prop::collection::vec(way(), 1..5),
        other in prop::collection::vec(way(), 1..5),
        cut in prop::collection::vec((0..10_usize, 0..60_u64), 0..4),
    ) {
        let mut runs = [run("tis", &one), run("api_server", &other)];
        // Records that do not fit together: still no panic, and still the sum.
        for (at, ms) in cut {
            let [run, _] = &mut runs;
            let count = run.records.len();
            run.records[at % count].end_ns /= ms + 1;
            run.records[at % count].issued_ns *= ms + 1;
        }
        for found in of(&runs) {
            adds_up(&found);
            prop_assert!(found.gap.mean_ns >= -1.0);
        }
    }
}
