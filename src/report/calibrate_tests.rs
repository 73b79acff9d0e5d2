//! The page of a calibration: every figure, doubts first, no panic.

use super::page;
use crate::record::{BackendFloor, Calibration, Delay, Host, Load, Round, Rung};
use crate::stats::noise;

fn found(backend: &str, means: &[i64], limit: &str) -> BackendFloor {
    let delay = |mean_ns| Delay {
        count: 38_400,
        mean_ns,
        p50_ns: mean_ns - 1_000,
        p99_ns: mean_ns * 4,
        max_ns: mean_ns * 20,
    };
    let rung = |streams, limit: &str| Rung {
        streams,
        per_token_ns: 10_000_000,
        events_per_s: u64::from(streams) * 100,
        floor_p99_ns: i64::from(streams) * 5_000,
        slip_p99_ns: 120_000,
        server_late_p99_ns: 1_050_000,
        client_busy_percent: Some(40),
        client_wait_percent: None,
        server_busy_percent: None,
        limit: limit.to_owned(),
    };
    BackendFloor {
        backend: backend.to_owned(),
        floor: delay(means[0]),
        request: delay(80_000),
        first_token_error: delay(200_000),
        gap_error: delay(30_000),
        slip: delay(15_000),
        cpu_ns_per_event: Some(5_432),
        wait_share: Some(0.004),
        rounds: means
            .iter()
            .map(|&mean_ns| Round {
                mean_ns,
                ..Round::default()
            })
            .collect(),
        ladder: vec![rung(64, "none"), rung(128, limit)],
    }
}

fn calibration() -> Calibration {
    Calibration {
        tool_version: "0.1.0".to_owned(),
        started_utc: "2026-01-02T03:04:05Z".to_owned(),
        host: Host {
            cores: 2,
            cpu: "a processor".to_owned(),
            ..Host::default()
        },
        load: Load {
            concurrency: 64,
            client_threads: 1,
            first_token_ns: 50_000_000,
            per_token_ns: 10_000_000,
            output_tokens: 100,
            requests: 2,
            rounds: 3,
            ramp_ns: 0,
            phases: 64,
            output_ids: 2056,
            places: "server a process of its own on core 1, client on core 0".to_owned(),
        },
        backends: vec![
            found("tis-direct", &[100_000, 104_000, 98_000], "client"),
            found("api_server", &[120_000, 122_000, 119_000], "server"),
        ],
        ..Calibration::default()
    }
}

#[test]
fn the_page_has_every_figure() {
    let calibration = calibration();
    let page = page(&calibration, &noise(&calibration));
    for part in [
        "64 in flight, started all at once",
        "evenly spread over the gap",
        "2,056 ids",
        "on core 1",
        "a processor",
        "hand-over to mark (floor)",
        "0.120",
        "0.099",
        "2.400",
        "5.43",
        "0.40",
        "6,400",
        "6,400 or more",
        "api_server - tis-direct",
        "+0.020",
        "shown",
        "ladder of tis-direct",
        "the server's limit, not the client's",
        "passes 1 ms",
        "never subtracted",
    ] {
        assert!(page.contains(part), "`{part}` is not in:\n{page}");
    }
    assert!(!page.contains("WARNING"), "{page}");
    for line in page.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
        assert_eq!(line.trim_end(), line, "blanks at the end");
    }
}

#[test]
fn who_ended_the_ladder_is_named() {
    for (limit, rate, words) in [
        ("none", "12,800 or more", "the client followed every rate"),
        (
            "client",
            "6,400",
            "the client's p99 delay or slip passes 1 ms",
        ),
        ("server", "6,400 or more", "at the server's limit"),
        (
            "machine",
            "6,400 or more",
            "something else ran on the client's core",
        ),
        (
            "host",
            "6,400 or more",
            "the host of this virtual machine took its cores",
        ),
    ] {
        let mut calibration = calibration();
        calibration.backends = vec![found("tis-direct", &[120_000, 121_000, 119_000], limit)];
        let page = page(&calibration, &[]);
        let followed = page.lines().find(|line| line.contains("tokens/s followed"));
        assert!(
            followed.is_some_and(|line| line.ends_with(rate)),
            "{limit}:\n{page}"
        );
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(words), "{limit}: {page}");
    }
}

#[test]
fn a_noisy_machine_is_named_first() {
    let mut calibration = calibration();
    calibration.backends[1] = found("api_server", &[120_000, 222_000, 119_000], "none");
    calibration.backends[0].wait_share = Some(0.3);
    calibration.left_out_rounds = 2;
    for round in &mut calibration.backends[0].rounds {
        round.cores_busy_ticks = Some(40);
        round.cores_stolen_ticks = Some(10);
    }
    let page = page(&calibration, &noise(&calibration));
    assert!(page.starts_with("WARNING"), "{page}");
    for part in [
        "+-96 %",
        "30.0 %",
        "20.0 %",
        "2 rounds played again",
        "cure: ",
    ] {
        assert!(page.contains(part), "`{part}` is not in:\n{page}");
    }
}

#[test]
fn nothing_is_no_panic() {
    let empty = Calibration::default();
    assert!(page(&empty, &noise(&empty)).contains("never subtracted"));
    let bare = Calibration {
        backends: vec![BackendFloor::default(), BackendFloor::default()],
        ..Calibration::default()
    };
    let page = page(&bare, &noise(&bare));
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}
