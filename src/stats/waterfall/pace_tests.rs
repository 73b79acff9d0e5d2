//! When front end and protocol are told from the engine by its pace.

use super::made::{PLAIN, Way, run};
use super::tests::{ms, near, of, one, part};
use crate::stats::comparison::{PartKind, Time};

#[test]
fn another_pace_is_not_told_apart() {
    let slow = Way {
        pace: 6_000,
        ..PLAIN
    };
    let found = of(&[run("api_server", &[PLAIN; 2]), run("other", &[slow; 2])]);
    let found = one(&found, Time::PerRequest);
    near(ms(found, PartKind::FrontEndAndEngine), 10.0);
}

#[test]
fn a_small_difference_of_paces_that_is_the_gap_is_not_the_front_ends() {
    // 1.64 % apart, as two arms were whose whole gap that was: 1.002 ms a token.
    let pace = |pace: u64| Way {
        pace,
        tokens: 130,
        ..PLAIN
    };
    let slow = run("tis", &[pace(61_000), pace(61_010), pace(60_990)]);
    let fast = run("api_server", &[pace(59_998); 3]);
    let found = of(&[slow, fast]);
    let found = one(&found, Time::PerRequest);
    near(ms(found, PartKind::FrontEndAndEngine), 1.002 * 129.0);
    let source = &part(found, PartKind::FrontEndAndEngine).unwrap().source;
    assert!(
        source.contains("61.000 ms to tis") && source.contains("59.998 ms to api_server"),
        "{source}"
    );
    assert!(source.len() < 300, "{source}");
}

#[test]
fn paces_that_may_be_equal_leave_the_front_end() {
    // 10 ms of front end; the paces scatter by 0.02 ms about each other.
    let way = |engine: u64, pace: u64| Way {
        engine,
        pace,
        ..PLAIN
    };
    let slow = [(30_000, 5_010), (30_000, 4_990), (30_000, 5_010)];
    let slow = run("tis", &slow.map(|(engine, pace)| way(engine, pace)));
    let fast = run("api_server", &[PLAIN; 3]);
    let found = of(&[slow, fast]);
    for time in [Time::Ttft, Time::PerRequest] {
        let found = one(&found, time);
        assert!(part(found, PartKind::FrontEndAndEngine).is_none());
        let front = part(found, PartKind::FrontEnd).unwrap();
        assert!((front.estimate.mean_ns / 1e6 - 10.0).abs() < 0.1);
        assert!(front.source.len() < 300, "{}", front.source);
    }
    // What scatters as much as the gap is wide shows nothing, though it may be 0.
    let slow = [(20_000, 6_000), (20_000, 4_500), (20_000, 6_000)];
    let slow = run("tis", &slow.map(|(engine, pace)| way(engine, pace)));
    let found = of(&[slow, run("api_server", &[PLAIN; 3])]);
    let found = one(&found, Time::PerRequest);
    assert!(part(found, PartKind::FrontEnd).is_none());
}

#[test]
fn answers_in_one_piece_show_no_pace() {
    let slow = Way {
        engine: 25_000,
        ..PLAIN
    };
    let mut pair = [run("tis", &[slow; 2]), run("api_server", &[PLAIN; 2])];
    for run in &mut pair {
        run.header.stream = false;
    }
    let found = of(&pair);
    let part = part(&found[0], PartKind::FrontEndAndEngine).unwrap();
    assert!(part.source.contains("in one piece"), "{}", part.source);
}
