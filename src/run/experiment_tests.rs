//! Blocks played by arms of known behaviour, without a wire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backends::{Backend, Clock, Error};

use super::tests::{Puppet, plan, runner};
use super::{Crew, End, Experiment, Ids, Limits, Pace, Player, Runner, Stop};
use crate::plan::Schedule;
use crate::record::{self, Block, Record, Run, RunHeader};

const SLICES: u32 = 3;
const REQUESTS: u32 = 6;
const SLOTS: u32 = 2;

/// A slice of six requests that go well, three times.
const GOOD: [&str; 18] = ["ok"; 18];

/// Two arms and what they leave behind.
struct Stage {
    folder: tempfile::TempDir,
    puppets: [Arc<Puppet>; 2],
    experiment: Experiment,
}

impl Stage {
    fn of(first: &[&str], other: &[&str], limits: Option<Limits>) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (clock, stop, ids) = (Clock::start(), Stop::default(), Ids::from(1));
        let puppets: [Arc<Puppet>; 2] = Default::default();
        let player = |place: u32, puppet: &Arc<Puppet>, prompts: &[&str]| {
            let base = runner(puppet);
            let runner = Runner {
                clock,
                stop: stop.clone(),
                ids: ids.clone(),
                limits: limits.unwrap_or(base.limits),
                ..base
            };
            let folder = folder.path().join(place.to_string());
            std::fs::create_dir(&folder).expect("new");
            let header = header(place);
            Player::begin(runner, plan(prompts, SLOTS), header, &folder).expect("writable")
        };
        let schedule = Schedule::new(SLICES * REQUESTS, SLICES, 2, 0).expect("divides");
        let players = vec![player(0, &puppets[0], first), player(1, &puppets[1], other)];
        Self {
            experiment: Experiment {
                players,
                schedule,
                duet: false,
                max_time: None,
                clock,
                stop,
                embedded: false,
                warn: |_| {},
                pace: Pace::default(),
            },
            folder,
            puppets,
        }
    }

    async fn runs(self) -> [Run; 2] {
        self.experiment.finish(|_| {}).await.expect("written");
        ["0", "1"].map(|arm| record::load(&self.folder.path().join(arm)).expect("readable"))
    }
}

fn header(arm: u32) -> RunHeader {
    RunHeader {
        format: record::FORMAT,
        num_prompts: SLICES * REQUESTS,
        experiment: Some(record::Experiment {
            arm,
            arms: 2,
            ..record::Experiment::default()
        }),
        ..RunHeader::default()
    }
}

fn numbers(run: &Run) -> Vec<u32> {
    run.blocks.iter().map(|block| block.number).collect()
}

#[tokio::test]
async fn arms_take_turns_and_every_request_is_recorded_once() {
    let mut stage = Stage::of(&GOOD, &GOOD, None);
    assert_eq!(stage.experiment.play(4).await.expect("written"), End::Done);
    let schedule = stage.experiment.schedule;
    let runs = stage.runs().await;
    let mut sequence = Vec::new();
    for (arm, run) in runs.iter().enumerate() {
        assert_eq!(numbers(run), [0, 1, 2, 3]);
        for block in &run.blocks {
            sequence.push((block.start_ns, block.end_ns, block.number, block.turn, arm));
        }
        // The fourth block is the first slice again.
        let asked: Vec<(u32, u32)> = run.records.iter().map(|of| (of.block, of.index)).collect();
        let slices = (0..4).flat_map(|k| (0..6).map(move |at| (k, (k % SLICES) * 6 + at)));
        assert_eq!(asked, slices.collect::<Vec<_>>());
        assert!(run.records.iter().all(|record| !record.lead_in));
        assert_eq!(run.lead_in.len(), 8, "one per slot and block");
        assert_eq!(run.header.num_prompts, 24);
        assert!(!run.end.as_ref().expect("ended").interrupted);
    }
    sequence.sort_unstable();
    let played: Vec<_> = sequence
        .iter()
        .map(|(_, _, k, turn, arm)| (*k, *turn, *arm))
        .collect();
    let planned = (0..4).flat_map(|k| {
        let order = schedule.order(k);
        (0..).zip(order).map(move |(turn, arm)| (k, turn, arm))
    });
    assert_eq!(played, planned.collect::<Vec<_>>());
    let alone = sequence.windows(2).all(|pair| pair[0].1 <= pair[1].0);
    assert!(alone, "one arm under load at a time");
}

#[tokio::test]
async fn in_the_steady_window_every_slot_is_busy() {
    let mut stage = Stage::of(&GOOD, &GOOD, None);
    stage.experiment.play(SLICES).await.expect("written");
    for run in stage.runs().await {
        for block in &run.blocks {
            let of = |records: &[Record]| -> Vec<Record> {
                let ours = records.iter().filter(|record| record.block == block.number);
                ours.cloned().collect()
            };
            let (own, lead_in) = (of(&run.records), of(&run.lead_in));
            let first_ns = own.iter().map(|record| record.issued_ns).min();
            assert_eq!(Some(block.steady_from_ns), first_ns);
            assert!(block.start_ns <= lead_in[0].issued_ns);
            assert!(block.steady_ns() >= 5_000_000, "{block:?}");
            assert!(block.steady_to_ns <= block.end_ns);
            let mut slots: BTreeMap<u32, Vec<&Record>> = BTreeMap::new();
            for record in lead_in.iter().chain(&own) {
                slots.entry(record.slot).or_default().push(record);
            }
            assert_eq!(slots.len(), 2);
            for records in slots.values() {
                assert!(records[0].lead_in && records[0].issued_ns <= block.steady_from_ns);
                let last = records.iter().map(|record| record.end_ns).max();
                // Closing the last answer is the slot's time, too.
                let closing_ns = 1_000_000;
                assert!(
                    last.expect("some") + closing_ns >= block.steady_to_ns,
                    "{block:?}"
                );
                for pair in records.windows(2) {
                    assert!(pair[1].scheduled_ns >= pair[0].end_ns, "one at a time");
                    assert_eq!(
                        pair[1].scheduled_ns.max(pair[0].end_ns),
                        pair[1].scheduled_ns
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn between_its_blocks_an_arm_has_no_time_of_its_own() {
    let mut stage = Stage::of(&GOOD, &GOOD, None);
    // Threads of the client's name, whose time is counted.
    let crew = Crew::start(1).expect("thread");
    for (player, puppet) in stage.experiment.players.iter_mut().zip(&stage.puppets) {
        let seats = crew.seats(|| Ok::<_, Error>(Arc::clone(puppet) as Arc<dyn Backend>));
        player.runner.seats = seats.expect("connects");
    }
    stage.experiment.play(SLICES).await.expect("written");
    for run in stage.runs().await {
        let end = run.end.as_ref().expect("ended");
        let span = |block: &Block| block.end_ns - block.start_ns;
        assert_eq!(end.span_ns, run.blocks.iter().map(span).sum::<u64>());
        let cpu: Option<u64> = run.blocks.iter().map(|block| block.client_cpu_ns).sum();
        assert_eq!(end.client_cpu_ns, cpu);
        // Six requests and two that led in, three times.
        assert_eq!(end.server_counters["asked"], 24.0);
        assert_eq!(run.blocks[1].server_counters["asked"], 8.0);
    }
}

#[tokio::test]
async fn a_server_that_fails_costs_its_own_requests_only() {
    let mut other = GOOD;
    other[6..12].fill("fail");
    let mut stage = Stage::of(&GOOD, &other, None);
    assert_eq!(stage.experiment.play(3).await.expect("written"), End::Done);
    let [first, other] = stage.runs().await;
    assert!(first.records.iter().all(Record::is_ok));
    let failed: Vec<u32> = other
        .records
        .iter()
        .filter(|of| !of.is_ok())
        .map(|of| of.block)
        .collect();
    assert_eq!(failed, [1; 6]);
    for run in [first, other] {
        assert_eq!(numbers(&run), [0, 1, 2]);
        assert!(run.blocks.iter().all(|block| !block.cut));
    }
}

#[tokio::test]
async fn a_wish_to_stop_cuts_the_block_in_play_and_keeps_the_others() {
    let patient = Limits {
        first_token: Duration::from_secs(60),
        between_tokens: Duration::from_secs(60),
    };
    let mut other = GOOD;
    other[8] = "stall";
    let mut stage = Stage::of(&GOOD, &other, Some(patient));
    let stop = stage.experiment.stop.clone();
    let puppet = Arc::clone(&stage.puppets[1]);
    let (end, ()) = tokio::join!(stage.experiment.play(SLICES), async {
        // A block, a lead-in, two that go well, the one that hangs.
        while puppet.asked.load(Ordering::SeqCst) < 13 {
            tokio::task::yield_now().await;
        }
        stop.wish();
        stop.wish();
    });
    assert_eq!(end.expect("written"), End::Stopped);
    let [first, other] = stage.runs().await;
    assert_eq!(numbers(&other), [0, 1]);
    let cut: Vec<bool> = other.blocks.iter().map(|block| block.cut).collect();
    assert_eq!(cut, [false, true]);
    assert!(first.blocks.iter().all(|block| !block.cut));
    for run in [first, other] {
        assert!(run.end.expect("ended").interrupted);
        assert_eq!(run.header.num_prompts, 18, "what was planned");
    }
}

#[tokio::test]
async fn no_block_begins_that_would_end_too_late() {
    let mut stage = Stage::of(&GOOD, &GOOD, None);
    stage.experiment.max_time = Some(Duration::from_nanos(1));
    assert_eq!(
        stage.experiment.play(3).await.expect("written"),
        End::OutOfTime
    );
    assert_eq!(
        stage.experiment.pace.blocks(),
        1,
        "the first is always played"
    );
    for run in stage.runs().await {
        assert_eq!(numbers(&run), [0]);
        assert_eq!(run.header.num_prompts, 6, "nobody owes the others");
        assert!(!run.end.expect("ended").interrupted);
    }
}

#[tokio::test]
async fn in_a_duet_all_play_at_the_same_moment() {
    let mut stage = Stage::of(&GOOD, &GOOD, None);
    stage.experiment.duet = true;
    assert_eq!(stage.experiment.play(2).await.expect("written"), End::Done);
    let [first, other] = stage.runs().await;
    for (one, two) in first.blocks.iter().zip(&other.blocks) {
        assert_eq!(one.number, two.number);
        assert!(one.start_ns < two.steady_from_ns && two.start_ns < one.steady_from_ns);
        assert_ne!(one.turn, two.turn);
    }
}

#[test]
fn a_pace_foretells() {
    let mut pace = Pace::default();
    let minute = Duration::from_secs(60);
    assert_eq!(
        (pace.forecast(3), pace.blocks_within(minute, 7)),
        (None, None)
    );
    pace.add(1_000_000_000, 11_000_000_000);
    pace.add(12_000_000_000, 32_000_000_000);
    assert_eq!(pace.blocks(), 2);
    assert_eq!(pace.forecast(3), Some(Duration::from_secs(45)));
    // 29 of 61 seconds are left, at 15 each.
    assert_eq!(pace.blocks_within(minute, 32_000_000_000), Some(1));
    assert_eq!(pace.blocks_within(minute, 50_000_000_000), Some(0));
    assert_eq!(pace.blocks_within(minute, 500_000_000_000), Some(0));
}
