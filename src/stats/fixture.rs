//! Runs made by hand for tests.

use std::collections::BTreeMap;

use crate::record::{FORMAT, HopRecord, Mark, Record, Run, RunEnd, RunHeader};

pub(crate) fn header() -> RunHeader {
    RunHeader {
        format: FORMAT,
        tool_version: "0.1.0".to_owned(),
        started_utc: "2026-01-02T03:04:05Z".to_owned(),
        backend: "tis".to_owned(),
        family: "tis".to_owned(),
        answer: "text".to_owned(),
        address: "127.0.0.1:33337".to_owned(),
        server: "triton 2.51.0".to_owned(),
        model: "turbomind".to_owned(),
        prompt_mode: "raw".to_owned(),
        stream: true,
        concurrency: 2,
        num_prompts: 4,
        warmup: 1,
        workload: "a1b2c3d4".to_owned(),
        temperature: 1.0,
        top_p: 1.0,
        top_k: 1,
        ignore_eos: true,
        dataset: "sharegpt.json".to_owned(),
        tokenizer: "sentencepiece internlm".to_owned(),
        sampling_style: "lmdeploy".to_owned(),
        cores: 8,
        ..RunHeader::default()
    }
}

/// A finished request: `tokens` tokens, one per mark, the first `ftl_ns` after
/// the issue and then one every `gap_ns`.
pub(crate) fn record(index: u32, issued_ns: u64, ftl_ns: u64, gap_ns: u64, tokens: u32) -> Record {
    let first_ns = issued_ns + ftl_ns;
    let marks: Vec<Mark> = (0..u64::from(tokens))
        .map(|place| Mark {
            at_ns: first_ns + place * gap_ns,
            tokens: 1,
        })
        .collect();
    let hops = BTreeMap::from([
        (
            "preprocess".to_owned(),
            HopRecord {
                calls: 1,
                total_ns: ftl_ns / 4,
                until_first_ns: ftl_ns / 4,
            },
        ),
        (
            "engine".to_owned(),
            HopRecord {
                calls: 1,
                total_ns: ftl_ns,
                until_first_ns: ftl_ns / 2,
            },
        ),
    ]);
    Record {
        index,
        slot: index % 2,
        prompt_tokens: 10,
        requested_tokens: tokens,
        scheduled_ns: issued_ns,
        issued_ns,
        first_event_ns: Some(first_ns - ftl_ns / 4),
        end_ns: marks.last().map_or(first_ns, |mark| mark.at_ns),
        outcome: "ok".to_owned(),
        ending: Some("length".to_owned()),
        server_prompt_tokens: Some(10),
        completion_tokens: Some(tokens),
        token_source: Some("ids".to_owned()),
        marks,
        other_until_first_ns: ftl_ns - ftl_ns / 4 - ftl_ns / 2,
        hops,
        ..Record::default()
    }
}

pub(crate) fn failed(index: u32, kind: &str, error: &str) -> Record {
    Record {
        index,
        outcome: kind.to_owned(),
        error: Some(error.to_owned()),
        end_ns: 1_000 + u64::from(index),
        prompt_tokens: 10,
        requested_tokens: 3,
        ..Record::default()
    }
}

/// A run of these records, ended in order.
pub(crate) fn run(records: Vec<Record>) -> Run {
    let end_ns = records.iter().map(|record| record.end_ns).max();
    Run {
        header: RunHeader {
            num_prompts: u32::try_from(records.len()).unwrap_or(u32::MAX),
            ..header()
        },
        records,
        end: Some(RunEnd {
            span_ns: end_ns.unwrap_or(0),
            ..RunEnd::default()
        }),
        ..Run::default()
    }
}

/// A sound run: four requests of three tokens in two slots, every rule kept.
pub(crate) fn sound() -> Run {
    run((0..4)
        .map(|index| {
            let issued_ns = u64::from(index / 2) * 2_000_000;
            record(index, issued_ns, 1_000_000, 500_000, 3)
        })
        .collect())
}

/// Marks from pairs of time and tokens.
pub(crate) fn marks(pairs: &[(u64, u32)]) -> Vec<Mark> {
    pairs.iter().copied().map(Mark::from).collect()
}
