//! The page of a comparison, below its verdict: a column per arm, a row per
//! figure. Ratios are plain ratios to the first arm; how certain they are, one
//! run per arm cannot say, and the page does not pretend to.

use std::collections::BTreeMap;

use super::asked::{asked, server};
use super::format::{ABSENT, Grid, fine_ms, line, ms, number, token_source, wrap};
use crate::record::{Delay, RunHeader};
use crate::stats::words::{grouped, one_line};
use crate::stats::{Arm, Metric, Summary, floor_difference, ratio};

/// Rows of throughput, with their decimals.
const THROUGHPUT: [(&str, Metric, usize); 3] = [
    ("output tokens/s", Metric::OutputTokensPerS, 1),
    ("total tokens/s", Metric::TotalTokensPerS, 1),
    ("requests/s", Metric::RequestsPerS, 2),
];

/// Rows of latencies, in milliseconds.
const LATENCIES: [(&str, Metric); 11] = [
    ("FTL mean", Metric::FtlMean),
    ("FTL p50", Metric::FtlP50),
    ("FTL p99", Metric::FtlP99),
    ("first event mean", Metric::FirstEventMean),
    ("TPOT mean", Metric::TpotMean),
    ("TPOT p99", Metric::TpotP99),
    ("ITL mean", Metric::ItlMean),
    ("ITL p99", Metric::ItlP99),
    ("E2E mean", Metric::E2eMean),
    ("E2E p50", Metric::E2eP50),
    ("E2E p99", Metric::E2eP99),
];

/// Rows of ratios.
const RATIOS: [(&str, Metric); 7] = [
    ("output tokens/s", Metric::OutputTokensPerS),
    ("requests/s", Metric::RequestsPerS),
    ("FTL mean", Metric::FtlMean),
    ("FTL p99", Metric::FtlP99),
    ("TPOT mean", Metric::TpotMean),
    ("ITL mean", Metric::ItlMean),
    ("E2E mean", Metric::E2eMean),
];

pub(super) fn render(out: &mut String, arms: &[Arm<'_>], names: &[String]) {
    out.push('\n');
    asked(out, &|property| shared(arms, names, property));
    out.push('\n');
    for (arm, name) in arms.iter().zip(names) {
        line(out, name, &server(&arm.run.header));
    }
    out.push('\n');
    let mut grid = Grid::new("", names);
    throughput(&mut grid, arms);
    latencies(&mut grid, arms);
    ratios(&mut grid, arms, names);
    way(&mut grid, arms);
    counts(&mut grid, arms);
    client(&mut grid, arms);
    grid.print(out);
    notes(out, arms, names);
}

/// A property that all arms have, or each value with the arms that have it.
fn shared(arms: &[Arm<'_>], names: &[String], property: fn(&RunHeader) -> String) -> String {
    let mut values: Vec<(String, Vec<&str>)> = Vec::new();
    for (arm, name) in arms.iter().zip(names) {
        let value = property(&arm.run.header);
        match values.iter_mut().find(|(known, _)| *known == value) {
            Some((_, with)) => with.push(name),
            None => values.push((value, vec![name])),
        }
    }
    match values.as_slice() {
        [] => ABSENT.to_owned(),
        [(value, _)] => value.clone(),
        several => several
            .iter()
            .map(|(value, with)| format!("[{}] {value}", with.join(", ")))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

fn row(grid: &mut Grid, name: &str, arms: &[Arm<'_>], cell: impl Fn(&Summary) -> String) {
    let cells: Vec<String> = arms.iter().map(|arm| cell(arm.summary)).collect();
    grid.row(&format!("  {name}"), &cells);
}

fn throughput(grid: &mut Grid, arms: &[Arm<'_>]) {
    grid.section("throughput");
    for (name, metric, decimals) in THROUGHPUT {
        row(grid, name, arms, |summary| {
            number(metric.of(summary), decimals)
        });
    }
}

fn latencies(grid: &mut Grid, arms: &[Arm<'_>]) {
    grid.section("latency, ms");
    for (name, metric) in LATENCIES {
        row(grid, name, arms, |summary| ms(metric.of(summary)));
    }
}

fn ratios(grid: &mut Grid, arms: &[Arm<'_>], names: &[String]) {
    let (Some(first), Some(name)) = (arms.first(), names.first()) else {
        return;
    };
    grid.section(&format!("ratio to {name}"));
    for (name, metric) in RATIOS {
        row(grid, name, arms, |summary| {
            number(ratio(metric, first.summary, summary), 3)
        });
    }
}

fn way(grid: &mut Grid, arms: &[Arm<'_>]) {
    let streams = arms.iter().all(|arm| arm.run.header.stream);
    grid.section(match streams {
        true => "way to first token, ms",
        false => "way to answer, ms",
    });
    let hops = hop_names(arms);
    for name in &hops {
        row(grid, &one_line(name, 20), arms, |summary| {
            let hop = summary.way.hops.iter().find(|hop| hop.name == *name);
            ms(hop.map(|hop| hop.until_first_ns))
        });
    }
    row(grid, "client (in no hop)", arms, |summary| {
        ms(summary.way.other_ns)
    });
    let rest = |summary: &Summary| summary.way.rest_ns().filter(|rest| rest.abs() >= 500.0);
    if arms.iter().any(|arm| rest(arm.summary).is_some()) {
        row(grid, "unexplained", arms, |summary| {
            number(rest(summary).map(|ns| ns / 1e6), 2)
        });
    }
    row(grid, "together, mean", arms, |summary| {
        ms(summary.way.whole_ns)
    });
    grid.section("calls per request");
    for name in &hops {
        row(grid, &one_line(name, 20), arms, |summary| {
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

fn counts(grid: &mut Grid, arms: &[Arm<'_>]) {
    let count = |figure: Option<u64>| figure.map_or(ABSENT.to_owned(), grouped);
    grid.section("counts");
    row(grid, "finished", arms, |summary| {
        grouped(summary.counts.finished)
    });
    row(grid, "failed", arms, |summary| {
        grouped(summary.counts.failed())
    });
    row(grid, "prompt tokens", arms, |summary| {
        grouped(summary.tokens.prompt)
    });
    row(grid, "as server counts", arms, |summary| {
        count(summary.tokens.server_prompts.map(|counts| counts.server))
    });
    row(grid, "generated tokens", arms, |summary| {
        count(summary.tokens.generated)
    });
    row(grid, "counted from", arms, |summary| {
        summary
            .tokens
            .source()
            .map_or(ABSENT, |source| source.name())
            .to_owned()
    });
    row(grid, "tokens per message", arms, |summary| {
        number(summary.messages.mean, 2)
    });
}

fn client(grid: &mut Grid, arms: &[Arm<'_>]) {
    grid.section("client");
    row(grid, "slip p99, ms", arms, |summary| {
        ms(summary.latencies.slip.map(|slip| slip.p99))
    });
    row(grid, "most in flight", arms, |summary| {
        grouped(summary.client.in_flight_peak)
    });
    row(grid, "CPU, % of a core", arms, |summary| {
        number(summary.client.cpu_percent, 1)
    });
    row(grid, "busiest thread, %", arms, |summary| {
        number(summary.client.busiest_thread_percent, 1)
    });
    row(grid, "waited for a core, %", arms, |summary| {
        number(summary.client.busiest_thread_wait_percent, 1)
    });
    floors(grid, arms);
}

/// What the calibration says, if any arm has one.
fn floors(grid: &mut Grid, arms: &[Arm<'_>]) {
    let floor = |arm: &Arm<'_>| arm.run.header.client_floor.as_ref().map(|of| of.floor);
    if arms.iter().all(|arm| floor(arm).is_none()) {
        return;
    }
    let mut row = |name: &str, part: fn(Delay) -> i64| {
        let cell = |arm| floor(arm).map_or(ABSENT.to_owned(), |of| fine_ms(part(of)));
        let cells: Vec<String> = arms.iter().map(cell).collect();
        grid.row(name, &cells);
    };
    row("  floor mean, ms", |of| of.mean_ns);
    row("  floor p99, ms", |of| of.p99_ns);
}

/// How much longer the client takes with each arm than with the first, and why
/// a calibration was not used.
fn floor_notes(out: &mut String, arms: &[Arm<'_>], names: &[String]) {
    for (arm, name) in arms.iter().zip(names) {
        if let Some(why) = &arm.run.header.client_floor_unused {
            let text = format!(
                "{name}: the client's floor is not known: a calibration is there, but {}",
                one_line(why, 200)
            );
            wrap(out, "", &text);
        }
    }
    // Against the first arm that has one.
    let mut known = arms
        .iter()
        .zip(names)
        .filter_map(|(arm, name)| Some((arm.run.header.client_floor.as_ref()?, name)));
    let Some((first, first_name)) = known.next() else {
        return;
    };
    for (other, name) in known {
        if let Some(by) = floor_difference(first, other) {
            let text = format!(
                "client floor of {name} minus {first_name}: {:+.3} ms, 95 % interval {:+.3} to \
                 {:+.3} ms ({} paired rounds of the calibration); reported, never subtracted",
                by.mean / 1e6,
                by.low / 1e6,
                by.high / 1e6,
                by.count
            );
            wrap(out, "", &text);
        }
    }
}

/// What does not fit a cell, and what the ratios are not.
fn notes(out: &mut String, arms: &[Arm<'_>], names: &[String]) {
    let mut by_words: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (arm, name) in arms.iter().zip(names) {
        let words = token_source(&arm.summary.tokens);
        if arm
            .summary
            .tokens
            .source()
            .is_some_and(|source| source.name() != words)
        {
            by_words.entry(words).or_default().push(name);
        }
    }
    out.push('\n');
    for (words, names) in by_words {
        wrap(
            out,
            "",
            &format!("{}: tokens counted from {words}", names.join(", ")),
        );
    }
    floor_notes(out, arms, names);
    if arms.len() > 1 {
        out.push_str("one run per arm: the ratios are of these runs; how certain they are, they do not say\n");
    }
}
