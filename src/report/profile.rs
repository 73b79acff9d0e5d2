//! The page of one run, below its verdict.

use super::asked::{asked, foreign, server};
use super::format::{ABSENT, Grid, fine_ms, line, ms, ms_row, number, token_source};
use super::side_by_side::servers;
use crate::record::Run;
use crate::stats::words::{grouped, one_line, percent_off};
use crate::stats::{Arm, Client, Summary, Tokens, order_may_be_lost};

pub(super) fn render(out: &mut String, run: &Run, summary: &Summary) {
    out.push('\n');
    let header = &run.header;
    line(
        out,
        "backend",
        &format!("{}: {}", one_line(&header.backend, 24), server(header)),
    );
    asked(out, &|property| property(header));
    line(out, "started", &foreign(&header.started_utc));
    out.push('\n');
    counts(out, summary);
    throughput(out, summary);
    latencies(out, summary);
    way(out, summary, header.stream);
    let backend = [header.backend.clone()];
    servers(out, &[Arm { run, summary }], &backend);
    out.push('\n');
    messages(out, summary, header.stream);
    if let Some(model) = &header.unordered_model {
        line(out, "text order", &order_may_be_lost(model));
    }
    start(out, summary);
    client(out, run, summary);
}

fn counts(out: &mut String, summary: &Summary) {
    let counts = &summary.counts;
    let kinds: Vec<String> = counts
        .failed_by_kind
        .iter()
        .map(|(kind, requests)| format!("{} {}", grouped(*requests), one_line(kind, 40)))
        .collect();
    let kinds = match kinds.is_empty() {
        true => String::new(),
        false => format!(" ({})", kinds.join(", ")),
    };
    let mut text = format!(
        "{} planned, {} finished, {} failed{kinds}",
        grouped(counts.planned),
        grouped(counts.finished),
        grouped(counts.failed())
    );
    if counts.unfinished > 0 {
        text.push_str(&format!(
            ", {} without a record",
            grouped(counts.unfinished)
        ));
    }
    line(out, "requests", &text);
    let tokens = &summary.tokens;
    line(
        out,
        "prompt",
        &format!(
            "{} tokens as planned; {}",
            grouped(tokens.prompt),
            server_count(tokens)
        ),
    );
    line(
        out,
        "generated",
        &format!(
            "{} tokens of {} asked for; source {}",
            tokens.generated.map_or(ABSENT.to_owned(), grouped),
            grouped(tokens.requested),
            token_source(tokens)
        ),
    );
}

fn server_count(tokens: &Tokens) -> String {
    match tokens.server_prompts {
        None => "the server gives no count".to_owned(),
        Some(counts) if counts.planned == tokens.prompt => format!(
            "the server counts {} ({})",
            grouped(counts.server),
            percent_off(counts.server, counts.planned)
        ),
        Some(counts) => format!(
            "the server counts {} for {} of them ({})",
            grouped(counts.server),
            grouped(counts.planned),
            percent_off(counts.server, counts.planned)
        ),
    }
}

fn throughput(out: &mut String, summary: &Summary) {
    let (tokens, rate) = match summary.requests_per_s {
        None => (ABSENT.to_owned(), ABSENT.to_owned()),
        Some(requests_per_s) => (
            format!(
                "{} output tokens/s, {} tokens/s with prompts",
                number(summary.output_tokens_per_s, 2),
                number(summary.total_tokens_per_s, 2)
            ),
            format!(
                "{} requests/s, {} requests/min, over {} s",
                number(Some(requests_per_s), 2),
                number(summary.requests_per_min, 1),
                number(summary.elapsed_ns.map(|ns| ns as f64 / 1e9), 3)
            ),
        ),
    };
    line(out, "throughput", &tokens);
    line(out, "rate", &rate);
    out.push('\n');
}

fn latencies(out: &mut String, summary: &Summary) {
    let header = ["mean", "p50", "p90", "p95", "p99", "max", "samples"].map(str::to_owned);
    let mut grid = Grid::new("latency, ms", &header);
    let all = &summary.latencies;
    for (name, of) in [
        ("first token (FTL)", all.ftl),
        ("first event", all.first_event),
        ("per output token (TPOT)", all.tpot),
        ("between messages (ITL)", all.itl),
        ("end to end (E2E)", all.e2e),
        ("client's own delay (slip)", all.slip),
    ] {
        let mut figures = ms_row(of);
        figures.push(of.map_or(ABSENT.to_owned(), |of| grouped(of.count)));
        grid.row(name, &figures);
    }
    grid.print(out);
    out.push('\n');
}

fn way(out: &mut String, summary: &Summary, stream: bool) {
    let way = &summary.way;
    let title = match stream {
        true => "way to the first token, mean ms",
        false => "way to the whole answer, mean ms",
    };
    let header = ["part", "share", "calls/request", "whole request, ms"].map(str::to_owned);
    let mut grid = Grid::new(title, &header);
    let share = |ns: Option<f64>| {
        let percent = way
            .whole_ns
            .filter(|whole| *whole > 0.0)
            .zip(ns)
            .map(|(whole, ns)| ns / whole * 100.0);
        percent.map_or(ABSENT.to_owned(), |percent| format!("{percent:.1} %"))
    };
    for hop in &way.hops {
        let until = way.whole_ns.map(|_| hop.until_first_ns);
        grid.row(
            &one_line(&hop.name, 24),
            &[
                ms(until),
                share(until),
                number(Some(hop.calls), 2),
                ms(Some(hop.total_ns)),
            ],
        );
    }
    grid.row(
        "client (in no hop)",
        &[ms(way.other_ns), share(way.other_ns)],
    );
    // Only broken records leave a rest; then it is shown.
    if let Some(rest) = way.rest_ns().filter(|rest| rest.abs() >= 500.0) {
        grid.row(
            "unexplained",
            &[number(Some(rest / 1e6), 2), share(Some(rest))],
        );
    }
    let sum = if stream { "together (FTL)" } else { "together" };
    grid.row(sum, &[ms(way.whole_ns), share(way.whole_ns)]);
    grid.print(out);
}

fn messages(out: &mut String, summary: &Summary, stream: bool) {
    if !stream {
        return;
    }
    let messages = &summary.messages;
    if messages.count == 0 {
        line(out, "per message", ABSENT);
        return;
    }
    let each = match messages.tokens {
        Some(of) => format!(
            "p50 {}, p99 {}, max {}",
            number(Some(of.p50), 1),
            number(Some(of.p99), 1),
            number(Some(of.max), 0)
        ),
        None => "the wire does not tell the tokens of a single message".to_owned(),
    };
    line(
        out,
        "per message",
        &format!(
            "{} tokens on average over {} messages; {each}",
            number(messages.mean, 2),
            grouped(messages.count)
        ),
    );
}

fn start(out: &mut String, summary: &Summary) {
    if let Some(start) = summary.start {
        let text = format!(
            "{} requests at once, the last one sent {} ms after the first was due",
            grouped(start.requests),
            ms(Some(start.within_ns as f64))
        );
        line(out, "start", &text);
    }
}

fn client(out: &mut String, run: &Run, summary: &Summary) {
    let client = &summary.client;
    let percent = |figure: Option<f64>| match figure {
        Some(figure) => format!("{} % of a core", number(Some(figure), 1)),
        None => ABSENT.to_owned(),
    };
    line(
        out,
        "client's cost",
        &format!(
            "CPU {}, busiest thread {}{}{}; slip p99 {} ms; most in flight {}",
            percent(client.cpu_percent),
            percent(client.busiest_thread_percent),
            waited(client),
            taken(client),
            ms(summary.latencies.slip.map(|slip| slip.p99)),
            grouped(client.in_flight_peak)
        ),
    );
    let floor = match (&run.header.client_floor, &run.header.client_floor_unused) {
        (Some(of), _) => format!(
            "mean {} ms, p99 {} ms from hand-over to mark, at {} in flight (calibrated {})",
            fine_ms(of.floor.mean_ns),
            fine_ms(of.floor.p99_ns),
            grouped(u64::from(of.concurrency)),
            foreign(&of.calibrated_utc)
        ),
        (None, Some(why)) => format!(
            "not known: a calibration is there, but {}",
            one_line(why, 200)
        ),
        (None, None) => return,
    };
    line(out, "client floor", &floor);
}

/// What the host of a virtual machine took, where it took something.
fn taken(client: &Client) -> String {
    match client.host_took_percent {
        Some(percent) if percent >= 0.05 => {
            format!(
                "; host took {} % of the cores' busy time",
                number(Some(percent), 1)
            )
        }
        _ => String::new(),
    }
}

/// The part of the busy time that was no work, where there was some.
fn waited(client: &Client) -> String {
    match client.busiest_thread_wait_percent {
        Some(percent) if percent >= 0.05 => {
            format!(" (of which {} % waiting for one)", number(Some(percent), 1))
        }
        _ => String::new(),
    }
}
