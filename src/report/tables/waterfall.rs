//! Where a difference comes from, from the slow arm down to the fast one: parts,
//! their sources, and what is left unexplained.

use super::super::format::ABSENT;
use super::Sheet;
use crate::stats::words::{grouped_decimal, one_line};
use crate::stats::{Estimate, PartKind, Time, Waterfall};

/// What a part is called.
pub(in super::super) fn part_name(kind: PartKind) -> &'static str {
    match kind {
        PartKind::ClientFloor => "client floor",
        PartKind::Connect => "connection set-up",
        PartKind::Preprocess => "preprocessing",
        PartKind::RoundTrips => "round trips of these calls",
        PartKind::FrontEnd => "front end and protocol",
        PartKind::FrontEndAndEngine => "front end, protocol and engine",
        PartKind::Engine => "engine",
        PartKind::Postprocess => "postprocessing",
    }
}

/// What a kind of time is called.
pub(in super::super) fn time_name(time: Time) -> &'static str {
    match time {
        Time::Ttft => "time to the first token",
        Time::Itl => "time between messages",
        Time::PerRequest => "a slot's time per request",
    }
}

/// A line above the table.
pub(in super::super) fn title(of: &Waterfall, names: &[String]) -> String {
    format!(
        "where the gap comes from: {}, {} to {}",
        time_name(of.of),
        name(names, of.slow),
        name(names, of.fast)
    )
}

/// The arm at `place`.
pub(in super::super) fn name(names: &[String], place: usize) -> &str {
    names.get(place).map_or(ABSENT, String::as_str)
}

/// The table.
pub(in super::super) fn sheet(of: &Waterfall, names: &[String]) -> Sheet {
    let mut sheet = Sheet::new(&["part", "ms", "95 % interval", "share of gap"]);
    sheet.row(name(names, of.slow), cells(of.slow_ns, None));
    for part in &of.parts {
        let share = share(part.estimate, of.gap);
        sheet.row(part_name(part.kind), cells(part.estimate, Some(share)));
    }
    sheet.row("unexplained", cells(of.rest, Some(share(of.rest, of.gap))));
    sheet.row("gap", cells(of.gap, Some(share(of.gap, of.gap))));
    sheet.row(name(names, of.fast), cells(of.fast_ns, None));
    sheet
}

/// How each part was found.
pub(in super::super) fn sources(of: &Waterfall) -> Vec<String> {
    let none = may_be_none(of.gap).then(|| "gap: it may be none, so no shares of it".to_owned());
    let parts = of
        .parts
        .iter()
        .filter(|part| !part.source.is_empty())
        .map(|part| format!("{}: {}", part_name(part.kind), one_line(&part.source, 300)));
    none.into_iter().chain(parts).collect()
}

/// Milliseconds to the microsecond.
pub(in super::super) fn fine(ns: f64) -> String {
    let text = grouped_decimal(ns / 1e6, 3);
    if text == "-0.000" {
        "0.000".to_owned()
    } else {
        text
    }
}

fn cells(of: Estimate, share: Option<String>) -> Vec<String> {
    let interval = of.interval.map_or(ABSENT.to_owned(), |(low, high)| {
        format!("{} to {}", fine(low), fine(high))
    });
    vec![fine(of.mean_ns), interval, share.unwrap_or_default()]
}

fn share(part: Estimate, gap: Estimate) -> String {
    let share = part.mean_ns / gap.mean_ns * 100.0;
    match share.is_finite() && !may_be_none(gap) {
        true => format!("{} %", grouped_decimal(share, 1)),
        false => ABSENT.to_owned(),
    }
}

/// Whether there may be no gap at all: shares of it would be of chance.
fn may_be_none(gap: Estimate) -> bool {
    gap.interval
        .is_some_and(|(low, high)| low <= 0.0 && high >= 0.0)
}
