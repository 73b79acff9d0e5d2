//! Blocks, lead-ins and orders, by hand and for any numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use backends::{PromptMode, Sampling};
use proptest::prelude::*;

use super::super::{Plan, Settings, plan};
use super::{Schedule, balanced, usual_blocks};
use crate::workload::Prompt;

fn plan_of(jobs: u32, concurrency: u32) -> Plan {
    let prompts: Vec<Prompt> = (0..jobs)
        .map(|index| Prompt {
            index,
            text: Arc::from(format!("prompt {index}")),
            turn: None,
            token_ids: Arc::from([1]),
            prompt_tokens: 1,
            output_tokens: 100 + index,
        })
        .collect();
    let settings = Settings {
        sampling: Sampling::default(),
        prompt_mode: PromptMode::Raw,
        stream: true,
        concurrency,
        warmup: 0,
    };
    plan(&prompts, settings)
}

#[test]
fn blocks_are_slices_and_what_is_left_over_is_nobodys() {
    let plan = plan_of(11, 2);
    let schedule = Schedule::new(11, 3, 2, 0).unwrap();
    assert_eq!((schedule.block_requests(), schedule.used_jobs()), (3, 9));
    // (block; indices of the lead-in, of the block)
    for (number, lead_in, own) in [
        (0, [7, 8], [0, 1, 2]),
        (1, [1, 2], [3, 4, 5]),
        (2, [4, 5], [6, 7, 8]),
        (3, [7, 8], [0, 1, 2]),
    ] {
        let block = schedule.block(&plan, number);
        let of = |lead_in: bool| -> Vec<u32> {
            let placed = block.iter().filter(|placed| placed.lead_in == lead_in);
            placed.map(|placed| placed.index).collect()
        };
        assert_eq!(of(true), lead_in, "{number}");
        assert_eq!(of(false), own, "{number}");
    }
}

#[test]
fn a_lead_in_lets_its_slots_go_out_of_step() {
    let plan = plan_of(8, 4);
    let block = Schedule::new(8, 2, 2, 0).unwrap().block(&plan, 1);
    let asked: Vec<u32> = block
        .iter()
        .map(|placed| placed.job.request.output_tokens)
        .collect();
    // A quarter, a half, three quarters and all of 100 to 103.
    assert_eq!(asked, [25, 51, 77, 103, 104, 105, 106, 107]);
}

#[test]
fn two_arms_take_turns_and_the_seed_says_who_begins() {
    let order = |seed, number| Schedule::new(9, 3, 2, seed).unwrap().order(number);
    for seed in 0..20 {
        let first = order(seed, 0);
        assert!(first == [0, 1] || first == [1, 0]);
        let turned: Vec<usize> = first.iter().rev().copied().collect();
        assert_eq!(order(seed, 1), turned);
        assert_eq!(order(seed, 2), first);
    }
    let begins: BTreeSet<usize> = (0..20).map(|seed| order(seed, 0)[0]).collect();
    assert_eq!(begins.len(), 2, "not always the same arm");
}

#[test]
fn what_cannot_be_cut_is_refused() {
    for (jobs, slices, arms) in [(0, 1, 2), (5, 6, 2), (5, 0, 2), (5, 1, 0)] {
        assert_eq!(Schedule::new(jobs, slices, arms, 0), None);
    }
}

#[test]
fn the_usual_number_of_blocks_is_balanced_and_costs_no_validity() {
    for (jobs, arms, block_requests, blocks) in [
        (1000, 1, 64, 6),
        (1000, 2, 64, 6),
        (1000, 3, 64, 6),
        (1000, 4, 64, 8),
        (1000, 5, 64, 10),
        (1000, 6, 64, 6),
        (1000, 7, 64, 7),
        // 8 blocks of 62 are too short, 4 of 125 are not.
        (500, 4, 64, 4),
        (500, 5, 64, 5),
        // Too few for any number of blocks: rule 5 says so.
        (100, 2, 64, 6),
        (100, 4, 64, 4),
        (100, 7, 64, 7),
    ] {
        let found = usual_blocks(jobs, arms, block_requests);
        assert_eq!(found, blocks, "{jobs} jobs, {arms} arms");
        assert_eq!(balanced(found, arms), found);
    }
    for (blocks, arms, expected) in [(5, 2, 6), (6, 4, 8), (1, 5, 5), (9, 3, 9), (4, 0, 4)] {
        assert_eq!(
            balanced(blocks, arms),
            expected,
            "{blocks} blocks, {arms} arms"
        );
    }
}

proptest! {
    #[test]
    fn every_arm_has_every_turn_once_in_as_many_blocks(
        arms in 1_u32..12,
        seed: u64,
        from in 0_u32..1_000_000,
    ) {
        let schedule = Schedule::new(100, 5, arms, seed).unwrap();
        let orders: Vec<Vec<usize>> = (from..from + arms).map(|k| schedule.order(k)).collect();
        for turn in 0..usize::try_from(arms).unwrap() {
            let seen: BTreeSet<usize> = orders.iter().map(|order| order[turn]).collect();
            prop_assert_eq!(seen.len(), orders.len());
        }
    }

    #[test]
    fn a_round_of_slices_asks_every_used_job_once(
        jobs in 1_u32..300,
        slices in 1_u32..20,
        concurrency in 1_u32..50,
    ) {
        let plan = plan_of(jobs, concurrency);
        let Some(schedule) = Schedule::new(jobs, slices, 2, 1) else {
            prop_assert!(jobs < slices);
            return Ok(());
        };
        let slots = usize::try_from(schedule.slots(concurrency)).unwrap();
        let mut asked = Vec::new();
        for number in 0..slices {
            let block = schedule.block(&plan, number);
            let (lead_in, own) = block.split_at(slots);
            prop_assert!(lead_in.iter().all(|placed| placed.lead_in));
            prop_assert!(own.iter().all(|placed| !placed.lead_in));
            let led: BTreeSet<u32> = lead_in.iter().map(|placed| placed.index).collect();
            prop_assert_eq!(led.len(), slots, "a lead-in asks nothing twice");
            for placed in lead_in {
                let whole = plan.jobs[usize::try_from(placed.index).unwrap()].request.output_tokens;
                let cut = placed.job.request.output_tokens;
                prop_assert!((1..=whole).contains(&cut));
            }
            asked.extend(own.iter().map(|placed| placed.index));
        }
        prop_assert_eq!(asked, (0..schedule.used_jobs()).collect::<Vec<_>>());
        prop_assert!(jobs - schedule.used_jobs() < slices);
    }
}
