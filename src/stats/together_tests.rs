//! Several runs judged together.

use super::fixture::{failed, sound};
use super::verdict_tests::{codes, hundred, together, verdict};
use super::{Arm, labels, summarize};
use crate::record::{Block, Run};

#[test]
fn together_the_arms_must_have_the_same_work() {
    type Change = fn(&mut Run);
    let table: [(Change, &str, &str); 3] = [
        (
            |run| run.header.workload = "other".to_owned(),
            "workload_differs",
            "a1b2c3d4 (tis), other (api_server)",
        ),
        (
            |run| run.header.prompt_mode = "chat".to_owned(),
            "prompt_mode_differs",
            "chat (api_server), raw (tis)",
        ),
        (
            |run| run.header.stream = false,
            "stream_differs",
            "streaming (tis), whole answers (api_server)",
        ),
    ];
    for (change, code, words) in table {
        let mut other = sound();
        other.header.backend = "api_server".to_owned();
        change(&mut other);
        let verdict = together(&[&sound(), &other]);
        assert_eq!(codes(&verdict), [code]);
        assert!(
            verdict.reasons[0].text.contains(words),
            "{:?}",
            verdict.reasons
        );
        assert_eq!(verdict.reasons[0].arm, None);
    }
}

#[test]
fn together_edge_of_the_counts() {
    // Both within one percent of the plan of 10,000; apart from each other by
    // 100 of 10,000 or by 101 of 9,999.
    for (less, more, expected) in [(0, 100, &[][..]), (1, 100, &["prompt_tokens_differ"])] {
        let (mut one, mut other) = (hundred(), hundred());
        one.records[0].server_prompt_tokens = Some(100 - less);
        other.records[0].server_prompt_tokens = Some(100 + more);
        assert_eq!(codes(&together(&[&one, &other])), expected);
        assert_eq!(codes(&together(&[&other, &one])), expected);
    }
    // 300 tokens generated on one side: 3 more are one percent.
    for (more, objects) in [(3, false), (4, true)] {
        let (one, mut other) = (hundred(), hundred());
        other.records[0].completion_tokens = Some(3 + more);
        let found = together(&[&one, &other]);
        assert_eq!(!found.is_valid(), objects);
        if objects {
            assert_eq!(codes(&found), ["generated_tokens_differ"]);
            let text = &found.reasons[0].text;
            assert!(
                text.contains(
                    "tis (1) 300 tokens, tis (2) 304 (+1.3 %) over the same 100 requests"
                ),
                "{text}"
            );
        }
    }
}

#[test]
fn together_compares_only_what_both_have() {
    let (one, mut other) = (hundred(), hundred());
    other.header.max_failed = 50;
    for record in other.records.iter_mut().take(50) {
        *record = failed(record.index, "cut", "reset");
    }
    assert!(together(&[&one, &other]).is_valid());
}

#[test]
fn together_ids_count_as_sent() {
    let mut direct = sound();
    direct.header.answer = "token_ids".to_owned();
    for record in &mut direct.records {
        record.server_prompt_tokens = None;
    }
    assert!(together(&[&direct, &sound()]).is_valid());
    // Both sides know the begin-of-sequence token; one sends it, the other's
    // server leaves it out: not the same work.
    let mut text = sound();
    direct.header.adds_bos = true;
    text.header.adds_bos = true;
    assert_eq!(
        codes(&together(&[&direct, &text])),
        ["prompt_tokens_differ"]
    );
    for record in &mut text.records {
        record.server_prompt_tokens = Some(11);
    }
    assert!(together(&[&direct, &text]).is_valid());
}

#[test]
fn the_cure_of_unequal_prompts_knows_what_was_asked_for() {
    for (mode, words) in [
        ("raw", "take the text as it is"),
        ("chat", "same chat template"),
    ] {
        let (mut one, mut other) = (hundred(), hundred());
        for run in [&mut one, &mut other] {
            run.header.prompt_mode = mode.to_owned();
        }
        for record in &mut other.records {
            record.server_prompt_tokens = Some(150);
        }
        let found = together(&[&one, &other]);
        let reason = &found.reasons[0];
        assert!(
            reason.code == "prompt_tokens_differ" && reason.cure.contains(words),
            "{reason:?}"
        );
    }
}

#[test]
fn together_names_the_arm_and_keeps_the_order_of_the_rules() {
    let mut failing = sound();
    failing.header.num_prompts = 5;
    failing.header.workload = "other".to_owned();
    failing.records.push(failed(4, "cut", "reset"));
    let all = together(&[&sound(), &failing]);
    assert_eq!(codes(&all), ["workload_differs", "failed"]);
    assert_eq!(all.reasons[1].arm, Some(1));
    assert_eq!(codes(&all.of_arm(0)), ["workload_differs"]);
    assert_eq!(codes(&all.of_arm(1)), ["workload_differs", "failed"]);
    let (run, mut named) = (sound(), sound());
    named.header.backend = "api_server".to_owned();
    let summary = summarize(&run);
    let arms = [&run, &named, &run].map(|run| Arm {
        run,
        summary: &summary,
    });
    assert_eq!(labels(&arms), ["tis (1)", "api_server", "tis (2)"]);
    assert_eq!(together(&[&failing]), verdict(&failing));
}

#[test]
fn a_job_that_two_blocks_play_counts_in_both() {
    // Blocks 0 and 1 play the same jobs; only in block 0 did one arm generate less.
    let arm = |less: u32| {
        let mut run = hundred();
        let again = run.records.clone();
        for mut record in again {
            record.block = 1;
            record.scheduled_ns += 1 << 40;
            run.records.push(record);
        }
        run.blocks = (0..2)
            .map(|number| Block {
                number,
                ..Block::default()
            })
            .collect();
        for record in run.records.iter_mut().filter(|record| record.block == 0) {
            record.completion_tokens = record.completion_tokens.map(|tokens| tokens - less);
        }
        run
    };
    let reason = |less: u32| {
        let arms = [arm(0), arm(less)];
        let found = together(&[&arms[0], &arms[1]]);
        codes(&found).contains(&"generated_tokens_differ")
    };
    assert!(!reason(0));
    assert!(reason(1));
}
