//! The page of a calibration: what made it doubtful first, then the load, the
//! client's delays by backend, how they differ, and the ladder of rates.

use super::asked::foreign;
use super::format::{ABSENT, Grid, fine_ms, line, number, wrap};
use crate::record::{BackendFloor, Calibration, Delay, Load, Rung};
use crate::stats::words::{counted, grouped, one_line};
use crate::stats::{Noise, difference, taken_percent, uncertainty};

/// The page. Ends with a line feed; where the result lies is the caller's to
/// say.
#[must_use]
pub fn page(calibration: &Calibration, noise: &[Noise]) -> String {
    let mut out = String::new();
    warnings(&mut out, noise);
    circumstances(&mut out, calibration);
    delays(&mut out, &calibration.backends);
    differences(&mut out, &calibration.backends);
    for found in &calibration.backends {
        ladder(&mut out, found);
    }
    out.push('\n');
    wrap(
        &mut out,
        "",
        "The floor is what the client adds to every time that it takes. It is reported and \
         weighed against what is claimed, never subtracted.",
    );
    out
}

fn warnings(out: &mut String, noise: &[Noise]) {
    if noise.is_empty() {
        return;
    }
    out.push_str("WARNING: the machine was too noisy to calibrate\n");
    for (place, noise) in (1..).zip(noise) {
        wrap(out, &format!("{place:>3}. "), &noise.text);
        wrap(out, "     cure: ", noise.cure);
    }
    out.push('\n');
}

fn circumstances(out: &mut String, calibration: &Calibration) {
    let load = &calibration.load;
    line(out, "load", &load_words(load));
    let threads = counted(u64::from(load.client_threads), "thread", "threads");
    line(
        out,
        "client",
        &format!("{threads}; {}", one_line(&load.places, 200)),
    );
    let host = &calibration.host;
    line(
        out,
        "machine",
        &format!(
            "{}, {}",
            counted(u64::from(host.cores), "core", "cores"),
            foreign(&host.cpu)
        ),
    );
    if calibration.left_out_rounds > 0 {
        let times = counted(calibration.left_out_rounds.into(), "round", "rounds");
        let words = format!(
            "{times} played again or left out with their pass, as the host of this virtual \
             machine had its cores for more than 1 % of a round's time"
        );
        line(out, "left out", &words);
    }
    line(
        out,
        "started",
        &format!(
            "{}, pairbench {}",
            foreign(&calibration.started_utc),
            foreign(&calibration.tool_version)
        ),
    );
    out.push('\n');
}

fn load_words(load: &Load) -> String {
    let start = match load.ramp_ns {
        0 => "all at once".to_owned(),
        ns => format!("over {} s", number(Some(ns as f64 / 1e9), 2)),
    };
    let come = match load.phases {
        0 => "as the requests came",
        1 => "all streams in step",
        _ => "the streams evenly spread over the gap",
    };
    let ids = match load.output_ids {
        0 => "the ids that there are".to_owned(),
        ids => counted(u64::from(ids), "id", "ids"),
    };
    format!(
        "{} in flight, started {start}; first token after {} ms, then one every {} ms, {come}; {} tokens \
         per answer, {} per slot and round, {} per backend; {ids} in each message of Triton's engine",
        grouped(u64::from(load.concurrency)),
        number(Some(load.first_token_ns as f64 / 1e6), 1),
        number(Some(load.per_token_ns as f64 / 1e6), 1),
        grouped(u64::from(load.output_tokens)),
        counted(u64::from(load.requests), "request", "requests"),
        counted(u64::from(load.rounds), "round", "rounds"),
    )
}

/// A figure of a delay, and a delay of a backend, with their names.
type Part = (&'static str, fn(&Delay) -> i64);
type Section = (&'static str, fn(&BackendFloor) -> &Delay);

fn delays(out: &mut String, backends: &[BackendFloor]) {
    let names: Vec<String> = backends
        .iter()
        .map(|found| one_line(&found.backend, 20))
        .collect();
    let mut grid = Grid::new("client's own delay, ms", &names);
    let parts: [Part; 4] = [
        ("mean", |of| of.mean_ns),
        ("p50", |of| of.p50_ns),
        ("p99", |of| of.p99_ns),
        ("max", |of| of.max_ns),
    ];
    let sections: [Section; 5] = [
        ("hand-over to mark (floor)", |found| &found.floor),
        ("issue to arrival of a request", |found| &found.request),
        ("first token: error", |found| &found.first_token_error),
        ("between tokens: error", |found| &found.gap_error),
        ("slip", |found| &found.slip),
    ];
    for (title, of) in sections {
        grid.section(title);
        for (name, part) in parts {
            row(&mut grid, name, backends, |found| fine_ms(part(of(found))));
        }
    }
    grid.section("client");
    row(&mut grid, "tokens", backends, |found| {
        grouped(found.floor.count)
    });
    row(&mut grid, "CPU per token, us", backends, |found| {
        number(found.cpu_ns_per_event.map(|ns| ns as f64 / 1e3), 2)
    });
    row(&mut grid, "waited for a core, %", backends, |found| {
        number(found.wait_share.map(|share| share * 100.0), 2)
    });
    row(&mut grid, "taken by the host, %", backends, |found| {
        number(taken_percent(&found.rounds), 1)
    });
    row(&mut grid, "mean floor known to, +-%", backends, |found| {
        number(uncertainty(&found.rounds).map(|share| share * 100.0), 1)
    });
    row(&mut grid, "tokens/s followed", backends, followed);
    grid.print(out);
}

fn row(
    grid: &mut Grid,
    name: &str,
    backends: &[BackendFloor],
    cell: impl Fn(&BackendFloor) -> String,
) {
    let cells: Vec<String> = backends.iter().map(cell).collect();
    grid.row(&format!("  {name}"), &cells);
}

/// The highest rate that was followed; where nobody gave up it may be higher.
fn followed(found: &BackendFloor) -> String {
    match found.highest_rate() {
        None => ABSENT.to_owned(),
        Some((0, _)) => "none".to_owned(),
        Some((rate, "client")) => grouped(rate),
        Some((rate, _)) => format!("{} or more", grouped(rate)),
    }
}

/// Every pair of backends, from their paired rounds.
fn differences(out: &mut String, backends: &[BackendFloor]) {
    if backends.len() < 2 {
        return;
    }
    out.push_str("\ndifference of the mean floors, 95 % interval over the paired rounds, ms\n");
    for (place, first) in backends.iter().enumerate() {
        for other in backends.iter().skip(place + 1) {
            let names = format!(
                "{} - {}",
                one_line(&other.backend, 20),
                one_line(&first.backend, 20)
            );
            let words = difference(first, other).map_or(ABSENT.to_owned(), |by| {
                let shown = if by.holds_zero() {
                    "none shown"
                } else {
                    "shown"
                };
                format!(
                    "{:+.3} ({:+.3} to {:+.3}), {shown}",
                    by.mean / 1e6,
                    by.low / 1e6,
                    by.high / 1e6
                )
            });
            out.push_str(&format!("  {names:<34} {words}\n"));
        }
    }
}

fn ladder(out: &mut String, found: &BackendFloor) {
    if found.ladder.is_empty() {
        return;
    }
    let header = [
        "gap, ms", "tokens/s", "floor", "slip", "late", "client", "server", "gave up",
    ];
    let title = format!(
        "\nladder of {}: p99 of floor, slip and the server's lateness in ms; busy in % of a core\n",
        one_line(&found.backend, 20)
    );
    out.push_str(&title);
    let mut grid = Grid::new("streams", &header.map(str::to_owned));
    for rung in &found.ladder {
        grid.row(&grouped(u64::from(rung.streams)), &rung_cells(rung));
    }
    grid.print(out);
    let verdict = match found.highest_rate() {
        Some((_, "server")) => {
            "the ladder ended at the server's limit, not the client's: the client may follow more"
        }
        Some((_, "machine")) => {
            "the ladder ended because something else ran on the client's core: end it and try again"
        }
        Some((_, "host")) => {
            "the ladder ended because the host of this virtual machine took its cores each time: \
             the client may follow more; try again when the host is quiet"
        }
        Some((_, "client")) => {
            "above the last rate that was followed the client's p99 delay or slip passes 1 ms"
        }
        _ => "the client followed every rate",
    };
    wrap(out, "  ", verdict);
}

fn rung_cells(rung: &Rung) -> [String; 8] {
    let percent = |figure: Option<u64>| figure.map_or(ABSENT.to_owned(), grouped);
    [
        number(Some(rung.per_token_ns as f64 / 1e6), 2),
        grouped(rung.events_per_s),
        fine_ms(rung.floor_p99_ns),
        fine_ms(rung.slip_p99_ns),
        fine_ms(rung.server_late_p99_ns),
        percent(rung.client_busy_percent),
        percent(rung.server_busy_percent),
        match rung.limit.as_str() {
            "none" => ABSENT.to_owned(),
            other => one_line(other, 20),
        },
    ]
}

#[cfg(test)]
#[path = "calibrate_tests.rs"]
mod tests;
