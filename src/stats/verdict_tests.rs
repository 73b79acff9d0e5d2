//! Every rule, on both sides of its edge.

use super::fixture::{failed, record, run, sound};
use super::{Arm, Verdict, judge, judge_together, summarize};
use crate::record::{Record, Run, RunEnd};

pub(super) fn verdict(run: &Run) -> Verdict {
    judge(run, &summarize(run))
}

pub(super) fn codes(verdict: &Verdict) -> Vec<&'static str> {
    verdict.reasons.iter().map(|reason| reason.code).collect()
}

pub(super) fn together(runs: &[&Run]) -> Verdict {
    let summaries: Vec<_> = runs.iter().map(|run| summarize(run)).collect();
    let arms: Vec<Arm<'_>> = runs
        .iter()
        .zip(&summaries)
        .map(|(run, summary)| Arm { run, summary })
        .collect();
    judge_together(&arms)
}

/// A hundred requests of a hundred prompt tokens and three answer tokens.
pub(super) fn hundred() -> Run {
    run((0..100)
        .map(|index| Record {
            prompt_tokens: 100,
            server_prompt_tokens: Some(100),
            ..record(index, u64::from(index) * 3_000_000, 1_000_000, 500_000, 3)
        })
        .collect())
}

fn only_reason(run: &Run, code: &str) -> (String, String) {
    let verdict = verdict(run);
    assert_eq!(codes(&verdict), [code]);
    let reason = &verdict.reasons[0];
    assert!(
        !reason.cure.is_empty() && !reason.text.contains("  "),
        "{reason:?}"
    );
    (reason.text.clone(), reason.cure.clone())
}

#[test]
fn a_sound_run_is_valid() {
    for run in [sound(), hundred()] {
        assert!(verdict(&run).is_valid(), "{:?}", verdict(&run));
        assert!(together(&[&run, &run]).is_valid());
    }
}

#[test]
fn rule_0_a_run_that_did_not_end() {
    let mut dead = sound();
    dead.end = None;
    dead.header.num_prompts = 10;
    let (text, _) = only_reason(&dead, "died");
    assert!(text.contains("4 of 10 requests"), "{text}");
    let mut stopped = sound();
    stopped.header.num_prompts = 10;
    stopped.end = Some(RunEnd {
        interrupted: true,
        span_ns: 1,
        ..RunEnd::default()
    });
    // What the interruption cancelled is not held against the server.
    stopped
        .records
        .push(failed(4, "cancelled", "stopped by the user"));
    only_reason(&stopped, "interrupted");
    stopped.records.push(failed(5, "cut", "reset"));
    assert_eq!(codes(&verdict(&stopped)), ["interrupted", "failed"]);
    let mut holes = sound();
    holes.header.num_prompts = 5;
    holes.broken_lines = 1;
    let (text, _) = only_reason(&holes, "records_missing");
    assert!(text.contains("1 line could not be read"), "{text}");
}

#[test]
fn rule_1_edge_of_the_prompt_count() {
    // 10,000 tokens planned: 100 more or less are one percent.
    for (extra, objects) in [(100_i64, false), (101, true), (-100, false), (-101, true)] {
        let mut run = hundred();
        let first = &mut run.records[0].server_prompt_tokens;
        *first = Some(u32::try_from(100 + extra.max(-100)).expect("small"));
        if extra < -100 {
            run.records[1].server_prompt_tokens = Some(99);
        }
        assert_eq!(!verdict(&run).is_valid(), objects, "{extra}");
    }
}

#[test]
fn rule_1_begin_of_sequence_is_expected_where_the_tokenizer_adds_it() {
    // (adds_bos, ids that the plan does not count, server's extra tokens in a
    // prompt of 10, objects).
    for (adds_bos, inserted, extra, objects) in [
        (true, None, 0, false),
        (true, None, 1, false),
        (true, None, 2, true),
        (true, Some(2), 2, false),
        (true, Some(0), 1, true),
        (false, None, 0, false),
        (false, None, 1, true),
    ] {
        let mut run = sound();
        run.header.adds_bos = adds_bos;
        run.header.inserted_tokens = inserted;
        for record in &mut run.records {
            record.server_prompt_tokens = Some(10 + extra);
        }
        assert_eq!(!verdict(&run).is_valid(), objects, "{adds_bos} {extra}");
    }
}

#[test]
fn rule_1_says_what_it_usually_is() {
    type Counted = fn(u32) -> u32;
    let table: [(Counted, &str, &str); 5] = [
        // Tokens may join where a template ends and the prompt begins.
        (
            |index| 128 + index % 4,
            "chat template",
            "+28 to +31 a prompt",
        ),
        (
            |_| 127,
            "chat template",
            "12,700 prompt tokens, the plan has 10,000 (+27.0 %; +27 in every prompt)",
        ),
        (
            |index| 100 + index,
            "another tokenizer",
            "+0 to +99 a prompt",
        ),
        (
            |_| 90,
            "cuts",
            "9,000 prompt tokens, the plan has 10,000 (-10.0 %; -10 in every prompt)",
        ),
        (|_| 102, "chat template", "+2.0 %"),
    ];
    for (counted, usually, numbers) in table {
        let mut run = hundred();
        for record in &mut run.records {
            record.server_prompt_tokens = Some(counted(record.index));
        }
        let (text, _) = only_reason(&run, "prompt_tokens");
        assert!(text.contains(usually) && text.contains(numbers), "{text}");
    }
    let mut short = sound();
    for record in &mut short.records {
        record.server_prompt_tokens = Some(11);
    }
    let (text, cure) = only_reason(&short, "prompt_tokens");
    assert!(
        text.contains("begin-of-sequence") && cure.contains("TOKENIZER"),
        "{text} {cure}"
    );
}

#[test]
fn rule_2_edge_of_the_lengths() {
    for (off, objects) in [(1, false), (2, true)] {
        for tokens in [1, 9] {
            let mut run = hundred();
            for record in run.records.iter_mut().take(off) {
                record.completion_tokens = Some(tokens);
            }
            assert_eq!(
                !verdict(&run).is_valid(),
                objects,
                "{off} answers of {tokens}"
            );
        }
    }
}

#[test]
fn rule_2_cures_what_it_sees() {
    // (ignore_eos, ending, tokens of 3, word in the cure).
    for (ignore_eos, ending, tokens, word) in [
        (true, Some("stop"), 1, "did not honour ignore_eos"),
        (true, Some("length"), 1, "session"),
        (true, None, 1, "check both"),
        (false, Some("stop"), 1, "may end by themselves"),
        (true, Some("length"), 9, "ignores the asked length"),
    ] {
        let mut run = hundred();
        run.header.ignore_eos = ignore_eos;
        for record in &mut run.records {
            record.completion_tokens = Some(tokens);
            record.ending = ending.map(str::to_owned);
        }
        let (text, cure) = only_reason(&run, "answer_lengths");
        assert!(cure.contains(word), "{cure}");
        assert!(text.starts_with("100 of 100 answers"), "{text}");
        assert!(text.contains("for 300 asked, source ids"), "{text}");
    }
}

#[test]
fn rule_2_a_count_of_the_text_may_be_off_by_a_little() {
    // (requested, text tokens, ending, objects): 5 %, at least 2.
    for (requested, text, ending, objects) in [
        (100, 95, "length", false),
        (100, 94, "length", true),
        (100, 105, "length", false),
        (100, 106, "length", true),
        (10, 8, "unstated", false),
        (10, 7, "unstated", true),
        (100, 99, "stop", true),
    ] {
        let mut run = sound();
        for record in &mut run.records {
            record.requested_tokens = requested;
            record.completion_tokens = None;
            record.ending = Some(ending.to_owned());
            run.recount.answers.push((record.index, text, 1));
        }
        assert_eq!(
            !verdict(&run).is_valid(),
            objects,
            "{text} of {requested}, {ending}"
        );
    }
}

#[test]
fn rule_2_counts_from_nowhere() {
    let mut run = sound();
    run.records[2].completion_tokens = None;
    let (text, _) = only_reason(&run, "token_count_unknown");
    assert!(text.contains("1 of 4 answers"), "{text}");
}

#[test]
fn rule_3_edge_kinds_and_the_first_error() {
    let mut run = hundred();
    run.header.num_prompts = 103;
    run.header.max_failed = 3;
    run.records.extend([
        failed(102, "server", "later"),
        failed(100, "cut", "stream\nreset \u{1b}[31m"),
        failed(101, "cut", "middle"),
    ]);
    assert!(verdict(&run).is_valid());
    run.header.max_failed = 2;
    let (text, cure) = only_reason(&run, "failed");
    assert_eq!(
        text,
        "3 of 103 requests failed, 2 allowed: 2 cut, 1 server; the first (request 100): stream reset [31m"
    );
    assert!(cure.contains("server's log"), "{cure}");
    run.header.max_failed = 0;
    assert!(
        only_reason(&run, "failed")
            .0
            .contains("requests failed: 2 cut")
    );
}

#[test]
fn rule_3_every_kind_has_a_cure() {
    for (kind, word) in [
        ("connect", "still runs"),
        ("auth", "--api-key"),
        ("overloaded", "--concurrency"),
        ("rejected", "parameters"),
        ("timeout_first_token", "time limit"),
        ("timeout_between_tokens", "time limit"),
        ("server", "log"),
        ("malformed", "version"),
        ("cancelled", "--max-failed"),
        ("something new", "--max-failed"),
    ] {
        let mut run = sound();
        run.header.num_prompts = 5;
        run.records.push(failed(4, kind, "words"));
        assert!(only_reason(&run, "failed").1.contains(word), "{kind}");
    }
}

#[test]
fn rule_4_edges_of_the_client() {
    // Median end to end: 2 ms, so 20 us of slip are the most.
    for (slip_ns, objects) in [(20_000, false), (20_001, true)] {
        let mut run = hundred();
        for record in &mut run.records {
            record.issued_ns += 30_000;
            record.scheduled_ns = record.issued_ns - slip_ns;
            record.end_ns += 30_000;
        }
        assert_eq!(!verdict(&run).is_valid(), objects, "{slip_ns}");
        if objects {
            let (text, _) = only_reason(&run, "client_slip");
            assert!(
                text.contains("0.020 ms") && text.contains("2.000 ms"),
                "{text}"
            );
        }
    }
    for (busiest_ns, objects) in [(Some(800), false), (Some(801), true), (None, false)] {
        let mut run = sound();
        run.end = Some(RunEnd {
            span_ns: 1_000,
            busiest_thread_cpu_ns: busiest_ns,
            ..RunEnd::default()
        });
        assert_eq!(!verdict(&run).is_valid(), objects, "{busiest_ns:?}");
        if objects {
            assert!(only_reason(&run, "client_cpu").0.contains("80.1 %"));
        }
    }
}

#[test]
fn rule_5_edge_of_too_short() {
    for (concurrency, objects) in [(2, false), (3, true)] {
        let mut run = sound();
        run.header.concurrency = concurrency;
        assert_eq!(!verdict(&run).is_valid(), objects, "{concurrency}");
        if objects {
            let (text, cure) = only_reason(&run, "too_short");
            assert!(
                text.contains("4 requests finished") && cure.contains("at least 6"),
                "{text} {cure}"
            );
        }
    }
    assert_eq!(codes(&verdict(&Run::default())), ["died", "too_short"]);
}

#[test]
fn rule_1_holds_for_chat_where_the_template_is_known() {
    let count = |extra: u32, template: Option<&str>| {
        let mut run = hundred();
        run.header.prompt_mode = "chat".to_owned();
        run.header.chat_template = template.map(str::to_owned);
        run.header.prompt_parting = Some("request 0: after 3 equal ones".to_owned());
        for record in &mut run.records {
            record.server_prompt_tokens = Some(100 + extra);
        }
        run
    };
    assert!(verdict(&count(27, None)).is_valid());
    assert!(verdict(&count(0, Some("there"))).is_valid());
    let (text, cure) = only_reason(&count(27, Some("there")), "prompt_tokens");
    for words in [
        "+27 in every prompt",
        "another chat template",
        "; request 0: after 3 equal ones",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(cure.contains("--chat-template"), "{cure}");
}
