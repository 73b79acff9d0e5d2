//! What the servers say of themselves, a table for each arm whose server tells
//! anything: Triton's models, or what an api_server's page of metrics grew by.

use super::super::format::{ABSENT, number};
use super::Sheet;
use crate::stats::words::one_line;
use crate::stats::{Arm, ModelFigures, ServerFigures};

/// Heading of all of it.
pub(in super::super) const HEADING: &str = "what the servers say of themselves";

/// The tables, each with its title.
pub(in super::super) fn tables(arms: &[Arm<'_>], names: &[String]) -> Vec<(String, Sheet)> {
    let mut tables = Vec::new();
    for (of, name) in told(arms, names) {
        let title = format!("what the server of {} says of itself", one_line(name, 28));
        let sheets = [models(of), metrics(of)].into_iter().flatten();
        tables.extend(sheets.map(|sheet| (title.clone(), sheet)));
    }
    tables
}

fn told<'a>(arms: &'a [Arm<'_>], names: &'a [String]) -> Vec<(&'a ServerFigures, &'a str)> {
    let arms = arms.iter().zip(names);
    let told = arms.filter_map(|(arm, name)| Some((arm.summary.server.as_ref()?, name.as_str())));
    told.collect()
}

/// Nanoseconds as milliseconds, to the microsecond: a call of a small model
/// takes no more.
fn fine(ns: Option<f64>) -> String {
    number(ns.map(|ns| ns / 1e6), 3)
}

fn models(of: &ServerFigures) -> Option<Sheet> {
    let mut sheet = Sheet::new(&[
        "model",
        "calls",
        "failed",
        "queue, ms",
        "input, ms",
        "infer, ms",
        "output, ms",
        "whole, ms",
    ]);
    for model in &of.models {
        let counts = [model.calls, model.failed_calls].map(|count| number(Some(count), 0));
        let times = [
            model.queue_ns,
            model.input_ns,
            model.infer_ns,
            model.output_ns,
            model.whole_ns,
        ];
        let cells = counts.into_iter().chain(times.map(fine));
        sheet.row(&one_line(&model.name, 18), cells.collect());
    }
    (!sheet.lines.is_empty()).then_some(sheet)
}

fn metrics(of: &ServerFigures) -> Option<Sheet> {
    let mut sheet = Sheet::new(&["counter", "count", "mean, ms", "mean"]);
    for histogram in &of.histograms {
        let mean = match histogram.mean_ms() {
            Some(ms) => [number(Some(ms), 3), ABSENT.to_owned()],
            None => [ABSENT.to_owned(), number(Some(histogram.mean), 2)],
        };
        let count = number(Some(histogram.count), 0);
        let cells = std::iter::once(count).chain(mean);
        sheet.row(&one_line(&histogram.name, 48), cells.collect());
    }
    for (name, value) in &of.totals {
        // Counters of time have parts of one.
        let decimals = if value.fract() == 0.0 { 0 } else { 2 };
        let cells = [number(Some(*value), decimals), ABSENT.into(), ABSENT.into()];
        sheet.row(&one_line(name, 48), cells.to_vec());
    }
    (!sheet.lines.is_empty()).then_some(sheet)
}

/// What must be known to read them.
pub(in super::super) fn notes(arms: &[Arm<'_>], names: &[String]) -> Vec<String> {
    let all = told(arms, names);
    let any = |has: fn(&ServerFigures) -> bool| all.iter().any(|(of, _)| has(of));
    let mut notes = Vec::new();
    if any(|of| !of.models.is_empty()) {
        notes.push(
            "Triton's ModelStatistics: sums over the run, times are means of the calls that came \
             to a good end. Calls that led in, and those of other clients, are among them. Of a \
             decoupled model, one that streams, a call is counted once, its time ends when the \
             model's own code returned and not with the last answer, and failures of the engine \
             count as good ends (seen on Triton 2.51)"
                .to_owned(),
        );
    }
    if any(|of| !of.histograms.is_empty() || !of.totals.is_empty()) {
        notes.push(
            "The api_server's /metrics: what histograms and totals grew by, all labels together. \
             Requests that led in, and those of other clients, are among them"
                .to_owned(),
        );
    }
    for (of, name) in &all {
        notes.extend(of_arm(of, name));
    }
    notes
}

/// What is particular to one arm's counters.
fn of_arm(of: &ServerFigures, name: &str) -> Vec<String> {
    let name = one_line(name, 28);
    let mut notes = Vec::new();
    let short = of.models.iter().filter(|model| model.ends_before_answer);
    let short: Vec<String> = short
        .map(|model: &ModelFigures| one_line(&model.name, 40))
        .collect();
    if !short.is_empty() {
        notes.push(format!(
            "{name}: the times of {} end before the tokens had come: they are not the engine's",
            short.join(", ")
        ));
    }
    if let Some((read, whole)) = of.blocks_read.zip(of.blocks_whole)
        && read < whole
    {
        notes.push(format!("{name}: read over {read} of {whole} blocks"));
    }
    if of.fell {
        notes.push(format!(
            "{name}: a counter fell, as when a server is started anew: what fell is left out"
        ));
    }
    notes
}
