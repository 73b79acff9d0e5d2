//! Runs as they come from real servers, made by formula, for looking at pages.

mod experiment;

use std::collections::BTreeMap;

use crate::record::{
    ClientFloor, Delay, HopRecord, Host, Mark, Record, Run, RunEnd, RunHeader, TimeLimits,
};
use crate::stats::fixture::{failed, header};
pub(super) use experiment::{experiment, waterfalls};

/// How an arm spends its time, in microseconds.
struct Manner {
    backend: &'static str,
    answer: &'static str,
    server: &'static str,
    hops: &'static [(&'static str, u64, u32)],
    other_us: u64,
    gap_us: u64,
    /// Tokens in a message; 0: the wire does not tell.
    per_message: u32,
    source: &'static str,
}

const MANNERS: [Manner; 5] = [
    Manner {
        backend: "tis-chatbot",
        answer: "text",
        server: "triton 2.51.0",
        hops: &[
            ("connect", 1_100, 3),
            ("preprocess", 2_300, 1),
            ("engine", 41_000, 1),
            ("postprocess", 2_100, 64),
        ],
        other_us: 210,
        gap_us: 26_300,
        per_message: 1,
        source: "ids",
    },
    Manner {
        backend: "tis",
        answer: "text",
        server: "triton 2.51.0",
        hops: &[
            ("preprocess", 2_250, 1),
            ("engine", 40_800, 1),
            ("postprocess", 1_900, 52),
        ],
        other_us: 95,
        gap_us: 24_900,
        per_message: 1,
        source: "ids",
    },
    Manner {
        backend: "tis-ensemble",
        answer: "text",
        server: "triton 2.51.0",
        hops: &[("engine", 44_600, 1)],
        other_us: 60,
        gap_us: 24_800,
        per_message: 1,
        source: "ids",
    },
    Manner {
        backend: "tis-direct",
        answer: "token_ids",
        server: "triton 2.51.0",
        hops: &[("engine", 40_700, 1)],
        other_us: 55,
        gap_us: 24_700,
        per_message: 1,
        source: "ids",
    },
    Manner {
        backend: "api_server",
        answer: "text",
        server: "lmdeploy 0.18.0",
        hops: &[("engine", 43_900, 1)],
        other_us: 70,
        gap_us: 24_800,
        per_message: 0,
        source: "usage",
    },
];

/// A number from 0 to 999 that looks drawn.
fn drawn(index: u32, salt: u32) -> u64 {
    u64::from(
        (index + 1)
            .wrapping_mul(2_654_435_761)
            .wrapping_add(salt.wrapping_mul(40_503))
            >> 7,
    ) % 1_000
}

fn record(manner: &Manner, index: u32, issued_us: u64) -> Record {
    let slip_us = drawn(index, 9) % 90;
    let messages = u64::from(8 + index % 57);
    let luck = |us: u64| us * (950 + drawn(index, 1) / 10) / 1_000;
    let hops: BTreeMap<String, HopRecord> = manner
        .hops
        .iter()
        .map(|&(name, us, calls)| {
            let until_first_ns = luck(us) * 1_000;
            let hop = HopRecord {
                calls,
                total_ns: until_first_ns * u64::from(calls),
                until_first_ns,
            };
            (name.to_owned(), hop)
        })
        .collect();
    let other_ns = luck(manner.other_us) * 1_000;
    let ftl_ns = other_ns + hops.values().map(|hop| hop.until_first_ns).sum::<u64>();
    let issued_ns = issued_us * 1_000;
    let marks: Vec<Mark> = (0..messages)
        .map(|place| Mark {
            at_ns: issued_ns + ftl_ns + place * luck(manner.gap_us) * 1_000,
            tokens: manner.per_message,
        })
        .collect();
    // A server that holds back half characters sends fewer messages than tokens.
    let tokens = u32::try_from(messages).expect("few")
        + if manner.per_message == 0 {
            index % 3
        } else {
            0
        };
    let requested = u32::try_from(messages).expect("few")
        + if manner.per_message == 0 {
            index % 3
        } else {
            0
        };
    Record {
        index,
        slot: index % 32,
        prompt_tokens: 20 + index % 300,
        requested_tokens: requested,
        scheduled_ns: issued_ns - slip_us * 1_000,
        issued_ns,
        first_event_ns: marks
            .first()
            .map(|mark| mark.at_ns - luck(manner.hops[0].1) * 100),
        end_ns: marks.last().map_or(issued_ns, |mark| mark.at_ns + 40_000),
        outcome: "ok".to_owned(),
        ending: Some("length".to_owned()),
        server_prompt_tokens: Some(20 + index % 300 + 1),
        completion_tokens: Some(tokens),
        token_source: Some(manner.source.to_owned()),
        marks,
        hops,
        other_until_first_ns: other_ns,
        ..Record::default()
    }
}

fn sample(manner: &Manner) -> Run {
    let mut slots_us = [200_u64; 32];
    let mut records: Vec<Record> = Vec::new();
    for index in 0..1_000 {
        let slot = usize::try_from(index % 32).expect("small");
        let made = record(manner, index, slots_us[slot]);
        slots_us[slot] = made.end_ns / 1_000 + 120;
        records.push(made);
    }
    let span_ns = records
        .iter()
        .map(|record| record.end_ns)
        .max()
        .unwrap_or(0);
    let answers = records
        .iter()
        .filter(|_| manner.answer == "text")
        .map(|record| {
            let tokens = record.completion_tokens.unwrap_or(0);
            (
                record.index,
                tokens - u32::from(record.index % 11 == 0 && manner.per_message == 0),
                1,
            )
        })
        .collect();
    let mut header = header();
    header.backend = manner.backend.to_owned();
    header.answer = manner.answer.to_owned();
    header.server = manner.server.to_owned();
    header.model = "internlm-chat-7b".to_owned();
    header.dataset = "ShareGPT_V3_unfiltered_cleaned_split.json".to_owned();
    header.tokenizer = "sentencepiece BPE, 103,168 pieces (tokenizer.model)".to_owned();
    header.simulated = true;
    header.adds_bos = true;
    header.concurrency = 32;
    header.num_prompts = 1_000;
    header.client_floor = floor(manner.backend);
    machine(&mut header);
    Run {
        header,
        records,
        recount: crate::record::Recount {
            answers,
            ..crate::record::Recount::default()
        },
        end: Some(RunEnd {
            span_ns,
            client_cpu_ns: Some(span_ns / 10 * 4),
            busiest_thread_cpu_ns: Some(span_ns / 100 * 17),
            client_wait_ns: Some(span_ns / 1_000 * 4),
            busiest_thread_wait_ns: Some(span_ns / 1_000 * 3),
            client_turns: Some(span_ns / 1_000_000),
            cores_busy_ticks: Some(span_ns / 20_000_000),
            cores_stolen_ticks: Some(span_ns / 1_000_000_000),
            ..RunEnd::default()
        }),
        broken_lines: 0,
        damaged: Vec::new(),
        ..Run::default()
    }
}

/// What the run had for a machine, and how long it waited.
fn machine(header: &mut RunHeader) {
    header.host = Some(Host {
        cores: 8,
        online_cores: Some(16),
        cpu: "AMD EPYC 7B13".to_owned(),
        system: "Linux 6.1.0-18-amd64, Debian GNU/Linux 12 (bookworm)".to_owned(),
    });
    header.time_limits = Some(TimeLimits {
        connect_ns: 10_000_000_000,
        first_token_ns: 600_000_000_000,
        between_tokens_ns: 1_500_000_000,
    });
}

/// What a calibration says of the client, unless the backend cannot be
/// calibrated.
fn floor(backend: &str) -> Option<ClientFloor> {
    let mean_ns = 31_000 + 1_000 * i64::try_from(backend.len()).ok()?;
    (backend != "tis-chatbot").then(|| ClientFloor {
        calibrated_utc: "2026-01-02T02:59:10Z".to_owned(),
        concurrency: 32,
        floor: Delay {
            count: 38_400,
            mean_ns,
            p50_ns: mean_ns - 3_000,
            p99_ns: mean_ns * 4,
            max_ns: mean_ns * 30,
        },
        round_means_ns: (0..6).map(|round| mean_ns + mean_ns * round / 90).collect(),
    })
}

/// Five arms that did the same work.
pub(super) fn arms() -> Vec<Run> {
    let mut arms: Vec<Run> = MANNERS.iter().map(sample).collect();
    // The same lengths everywhere: what the api_server's arm was asked for.
    for arm in 0..4 {
        for index in 0..1_000_usize {
            let asked = arms[4].records[index].requested_tokens;
            let record = &mut arms[arm].records[index];
            let sent = u32::try_from(record.marks.len()).expect("few");
            if let Some(last) = record.marks.last_mut() {
                last.tokens += asked - sent;
            }
            record.requested_tokens = asked;
            record.completion_tokens = Some(asked);
        }
        let counted: Vec<u32> = arms[4]
            .records
            .iter()
            .map(|record| record.requested_tokens)
            .collect();
        for answer in &mut arms[arm].recount.answers {
            answer.1 = counted[usize::try_from(answer.0).expect("small")];
        }
    }
    arms
}

/// A real server with everything wrong that one run can show.
pub(super) fn troubled() -> Run {
    let mut run = arms().swap_remove(4);
    run.header.simulated = false;
    run.header.workload = "9f8e7d6c".to_owned();
    run.header.client_floor = None;
    run.header.client_floor_unused =
        Some("it was made with 256 requests in flight, this run has 32".to_owned());
    for record in &mut run.records {
        record.server_prompt_tokens = Some(record.prompt_tokens + 28);
        if record.index % 9 == 0 {
            record.completion_tokens = Some(record.requested_tokens - 5);
            record.ending = Some("stop".to_owned());
        }
        record.scheduled_ns = record
            .issued_ns
            .saturating_sub(15_000_000 + u64::from(record.index) * 1_000);
    }
    for index in [17_usize, 400, 401] {
        let plan = run.records[index].clone();
        run.records[index] = Record {
            end_ns: plan.end_ns,
            ..failed(
                plan.index,
                if index == 17 { "server" } else { "cut" },
                "the server closed the connection in the middle of the answer after 12 tokens; its last words: {\"error\": \"CUDA out of memory\"}",
            )
        };
    }
    if let Some(end) = &mut run.end {
        end.busiest_thread_cpu_ns = Some(end.span_ns / 100 * 91);
    }
    run
}

/// Answers that came in one piece.
pub(super) fn whole() -> Run {
    let mut run = arms().swap_remove(4);
    run.header.stream = false;
    run.header.simulated = false;
    for record in &mut run.records {
        let last = record.marks.pop();
        let way_ns = last.map_or(0, |mark| mark.at_ns - record.issued_ns);
        record.marks = last.into_iter().collect();
        for hop in record.hops.values_mut() {
            hop.until_first_ns = way_ns - record.other_until_first_ns;
            hop.total_ns = hop.until_first_ns;
        }
    }
    run
}

/// A run of which nothing came.
pub(super) fn nothing() -> Run {
    let mut run = arms().swap_remove(4);
    run.header.num_prompts = 2;
    run.recount.answers.clear();
    run.records = vec![failed(
        0,
        "connect",
        "connection refused by 127.0.0.1:23333",
    )];
    run.end = None;
    run
}
