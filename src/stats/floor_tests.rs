//! Spreads by hand, noise, and which calibration fits which run.

use proptest::prelude::*;

use super::{Circumstances, delay, difference, floor_for, is_taken, noise, uncertainty};
use crate::record::{BackendFloor, Calibration, Delay, Host, Load, Round};

fn rounds(means: &[i64]) -> Vec<Round> {
    means
        .iter()
        .map(|&mean_ns| Round {
            mean_ns,
            ..Round::default()
        })
        .collect()
}

fn found(backend: &str, means: &[i64]) -> BackendFloor {
    BackendFloor {
        backend: backend.to_owned(),
        rounds: rounds(means),
        ..BackendFloor::default()
    }
}

fn calibration() -> Calibration {
    Calibration {
        tool_version: "0.1.0".to_owned(),
        host: host(),
        load: Load {
            concurrency: 64,
            client_threads: 1,
            ..Load::default()
        },
        backends: vec![found("tis", &[100, 110, 90])],
        ..Calibration::default()
    }
}

fn host() -> Host {
    Host {
        cores: 2,
        online_cores: Some(2),
        cpu: "a processor".to_owned(),
        system: "a system".to_owned(),
    }
}

#[test]
fn delays_by_hand() {
    assert_eq!(delay(&[]), Delay::default());
    let expected = Delay {
        count: 4,
        mean_ns: 3,
        p50_ns: 3,
        p99_ns: 10,
        max_ns: 10,
    };
    assert_eq!(delay(&[10, -3, 2, 3]), expected);
}

#[test]
fn how_well_a_floor_is_known_by_hand() {
    // t(0.975, 2) = 4.302653; s = 10 and 20.8167; times t / sqrt(3), by the mean
    for (means, expected) in [
        (&[][..], None),
        (&[0, 0], None),
        (&[100], None),
        (&[100, 100], Some(0.0)),
        (&[100, 110, 90], Some(0.248_41)),
        (&[100, 130, 90], Some(0.484_80)),
    ] {
        let found = uncertainty(&rounds(means));
        assert_eq!(found.is_some(), expected.is_some(), "{means:?}");
        let off = found.unwrap_or_default() - expected.unwrap_or_default();
        assert!(off.abs() < 1e-4, "{means:?}: {found:?}");
    }
}

#[test]
fn noise_is_named() {
    let mut loud = calibration();
    loud.backends = vec![found("tis", &[100, 105, 95])];
    assert_eq!(noise(&loud), []);
    loud.backends[0].wait_share = Some(0.019);
    assert_eq!(noise(&loud), []);
    loud.backends[0].wait_share = Some(0.35);
    loud.backends.push(found("api_server", &[100, 130, 90]));
    let words: Vec<String> = noise(&loud).into_iter().map(|noise| noise.text).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].contains("tis") && words[0].contains("35.0 %"));
    assert!(words[1].contains("api_server") && words[1].contains("+-48 %"));
}

#[test]
fn what_the_host_took_is_named() {
    let round = |busy, stolen| Round {
        mean_ns: 100,
        cores_busy_ticks: Some(busy),
        cores_stolen_ticks: Some(stolen),
        ..Round::default()
    };
    for (span_ms, stolen, taken) in [
        (450, 0, false),
        (450, 1, true),
        (999, 1, true),
        (1_000, 1, false),
        (5_000, 5, false),
        (5_000, 6, true),
    ] {
        let round = Round {
            span_ns: span_ms * 1_000_000,
            ..round(40, stolen)
        };
        assert_eq!(is_taken(&round), taken, "{stolen} in {span_ms} ms");
    }
    assert!(!is_taken(&Round::default()), "not told");
    let mut robbed = calibration();
    robbed.backends[0].rounds = vec![round(80, 0), round(80, 40), round(80, 0)];
    let found = noise(&robbed);
    assert!(found[0].text.contains("14.3 %") && found[0].cure.contains("host"));
    robbed.backends[0].rounds.push(Round {
        mean_ns: 100,
        ..Round::default()
    });
    assert_eq!(noise(&robbed), [], "not told of all");
}

#[test]
fn a_difference_is_paired() {
    // differences 10, 30, 20: mean 20, s 10, t(0.975, 2) = 4.302653
    let by =
        difference(&found("a", &[100, 200, 300]), &found("b", &[110, 230, 320])).expect("pairs");
    assert_eq!((by.count, by.mean), (3, 20.0));
    assert!((by.high - 20.0 - 24.841_4).abs() < 1e-3, "{by:?}");
    assert_eq!(difference(&found("a", &[1]), &found("b", &[1])), None);
}

#[test]
fn a_calibration_of_other_circumstances_is_not_used() {
    let (this, other) = (
        host(),
        Host {
            online_cores: Some(4),
            ..host()
        },
    );
    // A new kernel makes no other machine.
    let renewed = Host {
        system: "another system".to_owned(),
        ..host()
    };
    let table = [
        ("0.1.0", &this, 64, 1, "tis", None),
        ("0.1.0", &renewed, 64, 1, "tis", None),
        ("0.1.0", &this, 32, 1, "tis", None),
        ("0.1.0", &this, 128, 1, "tis", None),
        ("0.1.0", &this, 31, 1, "tis", Some("64 requests in flight")),
        ("0.1.0", &this, 129, 1, "tis", Some("this run has 129")),
        (
            "0.1.0",
            &this,
            64,
            2,
            "tis",
            Some("1 client thread, this run has 2"),
        ),
        ("0.2.0", &this, 64, 1, "tis", Some("this is 0.2.0")),
        ("0.1.0", &other, 64, 1, "tis", Some("another machine")),
        (
            "0.1.0",
            &this,
            64,
            1,
            "api_server",
            Some("nothing on api_server"),
        ),
    ];
    for (tool_version, host, concurrency, client_threads, backend, refusal) in table {
        let run = Circumstances {
            tool_version,
            host,
            concurrency,
            client_threads,
        };
        match (floor_for(&calibration(), backend, &run), refusal) {
            (Ok(floor), None) => assert_eq!(floor.round_means_ns, [100, 110, 90]),
            (Err(words), Some(part)) => assert!(words.contains(part), "{words}"),
            (found, _) => panic!("{refusal:?}: {found:?}"),
        }
    }
}

#[test]
fn a_machine_and_the_cores_that_may_be_used_are_two_things() {
    let of = |cores, online_cores| Host {
        cores,
        online_cores,
        ..host()
    };
    let calibrated = |made: Host, here: &Host| {
        let made = Calibration {
            host: made,
            ..calibration()
        };
        let run = Circumstances {
            tool_version: "0.1.0",
            host: here,
            concurrency: 64,
            client_threads: 1,
        };
        floor_for(&made, "tis", &run).map(drop)
    };
    for (made, here, expected) in [
        (of(2, Some(2)), of(2, Some(2)), None),
        (
            of(2, Some(2)),
            of(1, Some(2)),
            Some(
                "it was made with 2 cores of this machine's 2, this run may use 1: start \
                 calibrate and the run under the same taskset or container's limit",
            ),
        ),
        (
            of(1, Some(2)),
            of(2, Some(2)),
            Some(
                "it was made with 1 core of this machine's 2, this run may use 2: start \
                 calibrate and the run under the same taskset or container's limit",
            ),
        ),
        (
            of(1, Some(1)),
            of(1, Some(8)),
            Some(
                "it was made on another machine (1 core, a processor), this one has 8 cores, a \
                 processor",
            ),
        ),
        // Files from before the machine's own cores were recorded.
        (of(2, None), of(2, Some(2)), None),
        (
            of(2, None),
            of(1, Some(2)),
            Some(
                "it was made with 2 cores, this run may use 1: on another machine, or under \
                 another taskset or container's limit",
            ),
        ),
    ] {
        let found = calibrated(made.clone(), &here).err();
        assert_eq!(found.as_deref(), expected, "{made:?} {here:?}");
    }
}

proptest! {
    #[test]
    fn any_samples_have_a_spread(samples in prop::collection::vec(any::<i32>(), 1..50)) {
        let samples: Vec<i64> = samples.into_iter().map(i64::from).collect();
        let found = delay(&samples);
        prop_assert_eq!(Some(found.max_ns), samples.iter().max().copied());
        prop_assert!(found.p50_ns <= found.p99_ns && found.p99_ns <= found.max_ns);
    }
}
