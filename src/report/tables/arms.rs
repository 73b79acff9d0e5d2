//! The arms' table: a column per arm, a row per figure. Ratios in it are plain
//! ratios to the first arm; how certain they are, one run per arm cannot say,
//! and they are left out where a comparison says it.

use super::super::format::{ABSENT, fine_ms, ms, number, token_source};
use super::super::sentences::metric_name;
use super::Sheet;
use crate::record::Delay;
use crate::stats::words::{grouped, one_line};
use crate::stats::{Arm, Metric, Summary, floor_difference, order_may_be_lost, ratio};
use std::collections::BTreeMap;

/// Rows of throughput, with their decimals.
pub(in super::super) const THROUGHPUT: [(Metric, usize); 3] = [
    (Metric::OutputTokensPerS, 1),
    (Metric::TotalTokensPerS, 1),
    (Metric::RequestsPerS, 2),
];

/// Rows of latencies, in milliseconds.
pub(in super::super) const LATENCIES: [Metric; 11] = [
    Metric::FtlMean,
    Metric::FtlP50,
    Metric::FtlP99,
    Metric::FirstEventMean,
    Metric::TpotMean,
    Metric::TpotP99,
    Metric::ItlMean,
    Metric::ItlP99,
    Metric::E2eMean,
    Metric::E2eP50,
    Metric::E2eP99,
];

/// Rows of ratios.
const RATIOS: [Metric; 7] = [
    Metric::OutputTokensPerS,
    Metric::RequestsPerS,
    Metric::FtlMean,
    Metric::FtlP99,
    Metric::TpotMean,
    Metric::ItlMean,
    Metric::E2eMean,
];

/// The table. `plain_ratios`: with ratios of these runs, where there are several.
pub(in super::super) fn sheet(arms: &[Arm<'_>], names: &[String], plain_ratios: bool) -> Sheet {
    let mut sheet = Sheet {
        head: std::iter::once(String::new())
            .chain(names.iter().cloned())
            .collect(),
        lines: Vec::new(),
    };
    throughput(&mut sheet, arms);
    latencies(&mut sheet, arms);
    if plain_ratios && arms.len() > 1 {
        ratios(&mut sheet, arms, names);
    }
    way(&mut sheet, arms);
    counts(&mut sheet, arms);
    client(&mut sheet, arms);
    sheet
}

fn row(sheet: &mut Sheet, name: &str, arms: &[Arm<'_>], cell: impl Fn(&Summary) -> String) {
    let cells: Vec<String> = arms.iter().map(|arm| cell(arm.summary)).collect();
    sheet.row(name, cells);
}

fn throughput(sheet: &mut Sheet, arms: &[Arm<'_>]) {
    sheet.section("throughput");
    for (metric, decimals) in THROUGHPUT {
        row(sheet, metric_name(metric), arms, |summary| {
            number(metric.of(summary), decimals)
        });
    }
}

fn latencies(sheet: &mut Sheet, arms: &[Arm<'_>]) {
    sheet.section("latency, ms");
    for metric in LATENCIES {
        row(sheet, metric_name(metric), arms, |summary| {
            ms(metric.of(summary))
        });
    }
}

fn ratios(sheet: &mut Sheet, arms: &[Arm<'_>], names: &[String]) {
    let (Some(first), Some(name)) = (arms.first(), names.first()) else {
        return;
    };
    sheet.section(&format!("ratio to {name}"));
    for metric in RATIOS {
        row(sheet, metric_name(metric), arms, |summary| {
            number(ratio(metric, first.summary, summary), 3)
        });
    }
}

fn way(sheet: &mut Sheet, arms: &[Arm<'_>]) {
    let streams = arms.iter().all(|arm| arm.run.header.stream);
    sheet.section(match streams {
        true => "way to first token, ms",
        false => "way to answer, ms",
    });
    let hops = hop_names(arms);
    for name in &hops {
        row(sheet, &one_line(name, 20), arms, |summary| {
            let hop = summary.way.hops.iter().find(|hop| hop.name == *name);
            ms(hop.map(|hop| hop.until_first_ns))
        });
    }
    row(sheet, "client (in no hop)", arms, |summary| {
        ms(summary.way.other_ns)
    });
    let rest = |summary: &Summary| summary.way.rest_ns().filter(|rest| rest.abs() >= 500.0);
    if arms.iter().any(|arm| rest(arm.summary).is_some()) {
        row(sheet, "unexplained", arms, |summary| {
            number(rest(summary).map(|ns| ns / 1e6), 2)
        });
    }
    row(sheet, "together, mean", arms, |summary| {
        ms(summary.way.whole_ns)
    });
    sheet.section("calls per request");
    for name in &hops {
        row(sheet, &one_line(name, 20), arms, |summary| {
            let hop = summary.way.hops.iter().find(|hop| hop.name == *name);
            number(hop.map(|hop| hop.calls), 2)
        });
    }
}

/// Every hop of any arm, in the order of the way: hops of one arm stay in
/// their order, others are put in where their arm has them.
fn hop_names(arms: &[Arm<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for arm in arms {
        let mut at = 0;
        for hop in &arm.summary.way.hops {
            match names.iter().position(|known| *known == hop.name) {
                Some(known) => at = known + 1,
                None => {
                    names.insert(at, hop.name.clone());
                    at += 1;
                }
            }
        }
    }
    names
}

fn counts(sheet: &mut Sheet, arms: &[Arm<'_>]) {
    let count = |figure: Option<u64>| figure.map_or(ABSENT.to_owned(), grouped);
    sheet.section("counts");
    row(sheet, "finished", arms, |summary| {
        grouped(summary.counts.finished)
    });
    row(sheet, "failed", arms, |summary| {
        grouped(summary.counts.failed())
    });
    row(sheet, "prompt tokens", arms, |summary| {
        grouped(summary.tokens.prompt)
    });
    row(sheet, "as server counts", arms, |summary| {
        count(summary.tokens.server_prompts.map(|counts| counts.server))
    });
    row(sheet, "generated tokens", arms, |summary| {
        count(summary.tokens.generated)
    });
    row(sheet, "counted from", arms, |summary| {
        summary
            .tokens
            .source()
            .map_or(ABSENT, |source| source.name())
            .to_owned()
    });
    row(sheet, "tokens per message", arms, |summary| {
        number(summary.messages.mean, 2)
    });
}

fn client(sheet: &mut Sheet, arms: &[Arm<'_>]) {
    sheet.section("client");
    row(sheet, "slip p99, ms", arms, |summary| {
        ms(summary.latencies.slip.map(|slip| slip.p99))
    });
    row(sheet, "most in flight", arms, |summary| {
        grouped(summary.client.in_flight_peak)
    });
    row(sheet, "CPU, % of a core", arms, |summary| {
        number(summary.client.cpu_percent, 1)
    });
    row(sheet, "busiest thread, %", arms, |summary| {
        number(summary.client.busiest_thread_percent, 1)
    });
    row(sheet, "waited for a core, %", arms, |summary| {
        number(summary.client.busiest_thread_wait_percent, 1)
    });
    row(sheet, "taken by the host, %", arms, |summary| {
        number(summary.client.host_took_percent, 1)
    });
    floors(sheet, arms);
}

/// What the calibration says, if any arm has one.
fn floors(sheet: &mut Sheet, arms: &[Arm<'_>]) {
    let floor = |arm: &Arm<'_>| arm.run.header.client_floor.as_ref().map(|of| of.floor);
    if arms.iter().all(|arm| floor(arm).is_none()) {
        return;
    }
    let mut row = |name: &str, part: fn(Delay) -> i64| {
        let cell = |arm| floor(arm).map_or(ABSENT.to_owned(), |of| fine_ms(part(of)));
        let cells: Vec<String> = arms.iter().map(cell).collect();
        sheet.row(name, cells);
    };
    row("floor mean, ms", |of| of.mean_ns);
    row("floor p99, ms", |of| of.p99_ns);
}

/// How much longer the client takes with each arm than with the first, and why
/// a calibration was not used.
fn floor_notes(arms: &[Arm<'_>], names: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    for (arm, name) in arms.iter().zip(names) {
        if let Some(why) = &arm.run.header.client_floor_unused {
            notes.push(format!(
                "{name}: the client's floor is not known: a calibration is there, but {}",
                one_line(why, 200)
            ));
        }
    }
    // Against the first arm that has one.
    let mut known = arms
        .iter()
        .zip(names)
        .filter_map(|(arm, name)| Some((arm.run.header.client_floor.as_ref()?, name)));
    let Some((first, first_name)) = known.next() else {
        return notes;
    };
    for (other, name) in known {
        if let Some(by) = floor_difference(first, other) {
            notes.push(format!(
                "Client floor of {name} minus {first_name}: {:+.3} ms, 95 % interval {:+.3} to \
                 {:+.3} ms ({} paired rounds of the calibration); reported, never subtracted",
                by.mean / 1e6,
                by.low / 1e6,
                by.high / 1e6,
                by.count
            ));
        }
    }
    notes
}

/// What does not fit a cell, and what plain ratios are not.
pub(in super::super) fn notes(
    arms: &[Arm<'_>],
    names: &[String],
    plain_ratios: bool,
) -> Vec<String> {
    let mut by_words: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (arm, name) in arms.iter().zip(names) {
        let words = token_source(&arm.summary.tokens);
        let source = arm.summary.tokens.source();
        if source.is_some_and(|source| source.name() != words) {
            by_words.entry(words).or_default().push(name);
        }
    }
    let mut notes: Vec<String> = by_words
        .iter()
        .map(|(words, names)| format!("{}: tokens counted from {words}", names.join(", ")))
        .collect();
    for (arm, name) in arms.iter().zip(names) {
        if let Some(model) = &arm.run.header.unordered_model {
            notes.push(format!("{name}: {}", order_may_be_lost(model)));
        }
    }
    notes.extend(floor_notes(arms, names));
    if arms.len() > 1 && plain_ratios {
        notes.push(
            "One run per arm: the ratios are of these runs; how certain they are, they do not say"
                .to_owned(),
        );
    }
    notes
}
