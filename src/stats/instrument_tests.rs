//! Rule 4, clause by clause.

use super::super::fixture::{record, run, sound};
use super::super::{Arm, Summary, judge, judge_together, summarize};
use super::floor_difference;
use crate::record::{ClientFloor, Delay, Run, RunEnd};

const MS: u64 = 1_000_000;

fn floor(mean_ns: i64) -> ClientFloor {
    ClientFloor {
        calibrated_utc: "2026-01-02T03:04:05Z".to_owned(),
        concurrency: 2,
        floor: Delay {
            count: 100,
            mean_ns,
            p50_ns: mean_ns,
            p99_ns: 3 * mean_ns,
            max_ns: 9 * mean_ns,
        },
        round_means_ns: vec![mean_ns - 10, mean_ns, mean_ns + 10],
    }
}

/// Four requests whose first token takes so long.
fn with_ftl(ftl_ms: u64, floor_ns: Option<i64>) -> Run {
    let records = (0..4)
        .map(|index| record(index, u64::from(index / 2) * 2_000 * MS, ftl_ms * MS, MS, 3))
        .collect();
    let mut run = run(records);
    run.header.client_floor = floor_ns.map(floor);
    run
}

fn reasons(runs: &[Run]) -> Vec<(&'static str, Option<usize>, String)> {
    let summaries: Vec<Summary> = runs.iter().map(summarize).collect();
    let arms: Vec<Arm<'_>> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    judge_together(&arms)
        .reasons
        .into_iter()
        .map(|reason| (reason.code, reason.arm, reason.text))
        .collect()
}

#[test]
fn a_floor_is_weighed_against_the_difference_claimed() {
    // (FTL of the first, of the second, floors, whether it objects)
    let table = [
        // 10 ms claimed, of which 5 % are 0.5 ms
        (100, 110, [Some(400_000), Some(300_000)], false),
        (100, 110, [Some(600_000), Some(300_000)], true),
        (100, 110, [Some(300_000), Some(600_000)], true),
        (110, 100, [Some(300_000), Some(600_000)], true),
        // one floor is known
        (100, 110, [None, Some(600_000)], true),
        (100, 110, [None, None], false),
        // within 2 % nothing is claimed
        (100, 101, [Some(9_000_000), Some(9_000_000)], false),
    ];
    for (first, second, [one, other], objects) in table {
        let found = reasons(&[with_ftl(first, one), with_ftl(second, other)]);
        let expected = if objects {
            // the first token is most of the answer: both claims are hit
            vec![("client_floor", Some(1)); 2]
        } else {
            Vec::new()
        };
        let codes: Vec<_> = found.iter().map(|(code, arm, _)| (*code, *arm)).collect();
        assert_eq!(codes, expected, "{first} {second} {one:?} {other:?}");
    }
    let found = reasons(&[with_ftl(100, None), with_ftl(110, Some(600_000))]);
    assert!(
        found[0].2.contains("10.000 ms") && found[0].2.contains("0.600 ms"),
        "{found:?}"
    );
}

fn judged(end: RunEnd, ftl_ms: u64) -> Vec<&'static str> {
    let mut run = with_ftl(ftl_ms, None);
    let span_ns = run.end.map_or(0, |end| end.span_ns);
    run.end = Some(RunEnd { span_ns, ..end });
    let reasons = judge(&run, &summarize(&run)).reasons;
    reasons.iter().map(|reason| reason.code).collect()
}

#[test]
fn waiting_for_a_core_counts_as_busy() {
    // The span is 2,052 ms.
    for (cpu_ms, wait_ms, expected) in [
        (200, None, &[][..]),
        (200, Some(90), &[]),
        (200, Some(110), &["client_waits"]),
        (2, Some(2), &[]),
        (200, Some(1_000), &["client_waits"]),
        (200, Some(1_500), &["client_cpu"]),
        (1_700, Some(0), &["client_cpu"]),
        (1_700, None, &["client_cpu"]),
    ] {
        let end = RunEnd {
            busiest_thread_cpu_ns: Some(cpu_ms * MS),
            busiest_thread_wait_ns: wait_ms.map(|ms: u64| ms * MS),
            client_wait_ns: wait_ms.map(|ms: u64| ms * MS),
            client_turns: wait_ms.map(|_| 1_000_000),
            ..RunEnd::default()
        };
        assert_eq!(judged(end, 50), expected, "{cpu_ms} {wait_ms:?}");
    }
}

#[test]
fn an_embedded_server_has_the_same_cores() {
    for (address, expected) in [("127.0.0.1:1", &["client_waits"][..]), ("sim", &[])] {
        let mut run = with_ftl(50, None);
        let span_ns = run.end.map_or(0, |end| end.span_ns);
        address.clone_into(&mut run.header.address);
        run.end = Some(RunEnd {
            span_ns,
            busiest_thread_cpu_ns: Some(80 * MS),
            busiest_thread_wait_ns: Some(60 * MS),
            client_wait_ns: Some(60 * MS),
            client_turns: Some(2_000),
            ..RunEnd::default()
        });
        let reasons = judge(&run, &summarize(&run)).reasons;
        let codes: Vec<_> = reasons.iter().map(|reason| reason.code).collect();
        assert_eq!(codes, expected, "{address}");
    }
}

#[test]
fn waits_are_weighed_against_the_first_token() {
    // (mean wait in microseconds, mean FTL in ms, whether it objects)
    for (wait_us, ftl_ms, objects) in [
        (100, 5, false),
        (250, 5, true),
        (250, 50, false),
        (600, 50, true),
        (600, 500, false),
    ] {
        let end = RunEnd {
            // A third of the time would be another clause.
            busiest_thread_cpu_ns: Some(wait_us * 1_000 * 150),
            busiest_thread_wait_ns: Some(wait_us * 1_000 * 50),
            client_wait_ns: Some(wait_us * 1_000 * 50),
            client_turns: Some(50),
            ..RunEnd::default()
        };
        let expected: &[_] = if objects { &["client_waits"] } else { &[] };
        assert_eq!(judged(end, ftl_ms), expected, "{wait_us} {ftl_ms}");
    }
    assert!(judge(&sound(), &summarize(&sound())).is_valid());
}

#[test]
fn waits_say_which_limit_they_broke() {
    let said = |cpu_ms: u64, wait_ms: u64, turns: u64, ftl_ms: u64| {
        let mut run = with_ftl(ftl_ms, None);
        let span_ns = 2_000 * MS;
        run.end = Some(RunEnd {
            span_ns,
            busiest_thread_cpu_ns: Some(cpu_ms * MS),
            busiest_thread_wait_ns: Some(wait_ms * MS),
            client_wait_ns: Some(wait_ms * MS),
            client_turns: Some(turns),
            ..RunEnd::default()
        });
        let reasons = judge(&run, &summarize(&run)).reasons;
        let waits = reasons.into_iter().find(|of| of.code == "client_waits");
        waits.expect("an objection").text
    };
    let start = "something else ran on the client's cores: its busiest thread waited for a core";
    for ((cpu_ms, wait_ms, turns, ftl_ms), broken) in [
        (
            (14, 12, 400, 22),
            "for 46.2 % of the time in which it had something to do (limit: 33.3 %)",
        ),
        (
            (1_000, 220, 1_000_000, 22),
            "for 11.0 % of the time (limit: 10 %)",
        ),
        (
            (1_000, 15, 50, 20),
            "for 0.300 ms each time on average, 1.5 % of the mean first-token latency of 20.000 ms \
             (limit: 1 %)",
        ),
        (
            (200, 300, 1_000_000, 22),
            "for 15.0 % of the time (limit: 10 %); for 60.0 % of the time in which it had something \
             to do (limit: 33.3 %)",
        ),
    ] {
        assert_eq!(
            said(cpu_ms, wait_ms, turns, ftl_ms),
            format!("{start} {broken}")
        );
    }
}

#[test]
fn a_difference_of_floors_needs_one_calibration() {
    let (one, other) = (floor(1_000), floor(1_500));
    let found = floor_difference(&one, &other).expect("together");
    assert_eq!((found.low, found.mean, found.high), (500.0, 500.0, 500.0));
    let later = ClientFloor {
        calibrated_utc: "2026-01-03T03:04:05Z".to_owned(),
        ..floor(1_500)
    };
    assert_eq!(floor_difference(&one, &later), None);
    let fewer = ClientFloor {
        round_means_ns: vec![1_500, 1_500],
        ..floor(1_500)
    };
    assert_eq!(floor_difference(&one, &fewer), None);
    let none = ClientFloor {
        round_means_ns: Vec::new(),
        ..floor(1_500)
    };
    assert_eq!(floor_difference(&none, &none), None);
}
