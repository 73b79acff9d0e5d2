//! Runs that are no arms of one experiment.

use super::made::{PLAIN, Way, run};
use super::tests::{adds_up, near, of, one};
use crate::record::Run;
use crate::stats::comparison::Time;

/// Two runs that were made apart; the other one cut the same jobs into blocks twice
/// as long, or into none.
fn made_apart() -> [Run; 3] {
    let way = |engine_us: u64| {
        move |block: u64| Way {
            engine: engine_us + block * 10_000,
            ..PLAIN
        }
    };
    let arm = |name: &str, engine_us: u64| {
        let ways: Vec<Way> = (0..6).map(way(engine_us)).collect();
        let mut run = run(name, &ways);
        run.header.experiment = None;
        run
    };
    let (slow, mut longer) = (arm("tis", 20_500), arm("api_server", 20_000));
    let mut plain = longer.clone();
    longer.blocks.truncate(3);
    longer.records.iter_mut().for_each(|of| of.block /= 2);
    plain.blocks.clear();
    plain.records.iter_mut().for_each(|of| of.block = 0);
    [slow, longer, plain]
}

#[test]
fn runs_made_apart_are_set_side_by_side_job_by_job() {
    let [slow, longer, plain] = made_apart();
    for other in [longer, plain] {
        let found = of(&[slow.clone(), other]);
        let ttft = one(&found, Time::Ttft);
        assert_eq!((ttft.slow, ttft.fast), (0, 1));
        near(ttft.gap.mean_ns, 0.5e6);
        assert_eq!(ttft.gap.interval, None, "one run a side");
        adds_up(ttft);
    }
}

#[test]
fn a_job_that_one_run_lacks_counts_for_neither() {
    let [mut slow, longer, _] = made_apart();
    slow.blocks[5].cut = true;
    let found = of(&[slow, longer]);
    near(one(&found, Time::Ttft).gap.mean_ns, 0.5e6);
}

#[test]
fn runs_that_did_other_work_are_not_taken_apart() {
    let [slow, mut longer, _] = made_apart();
    longer.header.workload = "another".to_owned();
    assert_eq!(of(&[slow, longer]), []);
}
