//! Where a difference comes from, from the slow arm down to the fast one: parts,
//! their sources, and what is left unexplained.

use super::super::format::{ABSENT, capitalised, number};
use super::Sheet;
use crate::stats::words::one_line;
use crate::stats::{Estimate, PartKind, Time, Waterfall};

/// What a part is called.
pub(in super::super) fn part_name(kind: PartKind) -> &'static str {
    match kind {
        PartKind::ClientFloor => "client's own delay",
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
    format!("where the gap comes from: {}", subject(of, names))
}

/// Which time of which arms.
pub(in super::super) fn subject(of: &Waterfall, names: &[String]) -> String {
    format!(
        "{}, {} to {}",
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
    let mut row = |name: &str, of: Estimate, share| sheet.row(name, cells(of, share).into());
    row(name(names, of.slow), of.slow_ns, None);
    for part in &of.parts {
        let share = share(part.estimate, of.gap);
        row(part_name(part.kind), part.estimate, Some(share));
    }
    row("unexplained", of.rest, Some(share(of.rest, of.gap)));
    row("gap", of.gap, Some(share(of.gap, of.gap)));
    row(name(names, of.fast), of.fast_ns, None);
    sheet
}

/// Why there are no shares, and how each part was found.
pub(in super::super) fn sources(of: &Waterfall) -> Vec<String> {
    without_shares(of).into_iter().chain(found(of)).collect()
}

/// Why a gap has no shares; `None`: it has.
pub(in super::super) fn without_shares(of: &Waterfall) -> Option<String> {
    match of.gap.interval {
        None => Some("Gap: one value a side has no interval, so no shares of it".to_owned()),
        Some(_) if may_be_none(of.gap) => {
            Some("Gap: it may be none, so no shares of it".to_owned())
        }
        Some(_) => None,
    }
}

/// How each part was found.
pub(in super::super) fn found(of: &Waterfall) -> Vec<String> {
    let known = of.parts.iter().filter(|part| !part.source.is_empty());
    let said = known.map(|part| {
        let name = capitalised(part_name(part.kind));
        format!("{name}: {}", one_line(&part.source, 300))
    });
    said.collect()
}

/// Milliseconds to the microsecond.
pub(in super::super) fn fine(ns: f64) -> String {
    number(Some(ns / 1e6), 3)
}

fn cells(of: Estimate, share: Option<String>) -> [String; 3] {
    let interval = of.interval.map_or(ABSENT.to_owned(), |(low, high)| {
        format!("{} to {}", fine(low), fine(high))
    });
    [fine(of.mean_ns), interval, share.unwrap_or_default()]
}

fn share(part: Estimate, gap: Estimate) -> String {
    let share = part.mean_ns / gap.mean_ns * 100.0;
    match share.is_finite() && !may_be_none(gap) {
        true => format!("{} %", number(Some(share), 1)),
        false => ABSENT.to_owned(),
    }
}

/// Whether there may be no gap at all, for all that is known: shares of it would
/// be of chance.
fn may_be_none(gap: Estimate) -> bool {
    gap.interval
        .is_none_or(|(low, high)| low <= 0.0 && high >= 0.0)
}

/// Above the table of steps.
pub(in super::super) const STEPS: &str =
    "what each step costs: a slot's time per request, from each arm to the next faster one";

/// From each arm to the next faster one, the slowest first: what it costs and
/// what most of that is. `None`: two arms are one step, which has a table.
pub(in super::super) fn steps(all: &[Waterfall], names: &[String]) -> Option<Sheet> {
    let steps: Vec<&Waterfall> = all
        .iter()
        .filter(|of| of.of == Time::PerRequest)
        .skip(1)
        .collect();
    let mut sheet = Sheet::new(&["step", "ms", "95 % interval", "most of it"]);
    for of in &steps {
        let [ms, interval, _] = cells(of.gap, None);
        sheet.row(
            &format!("{} to {}", name(names, of.slow), name(names, of.fast)),
            vec![ms, interval, most(of)],
        );
    }
    (steps.len() > 1).then_some(sheet)
}

/// The largest part of a gap that is there.
fn most(of: &Waterfall) -> String {
    let parts = of
        .parts
        .iter()
        .map(|part| (part_name(part.kind), part.estimate));
    let all = parts.chain([("unexplained", of.rest)]);
    let largest = all.max_by(|one, other| one.1.mean_ns.total_cmp(&other.1.mean_ns));
    match largest {
        _ if may_be_none(of.gap) => "there may be no difference".to_owned(),
        Some((name, part)) => format!("{name}, {} ms", fine(part.mean_ns)),
        None => ABSENT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{sources, steps};
    use crate::stats::{Estimate, Part, PartKind, Time, Waterfall};

    fn estimate(ms: f64, half_ms: Option<f64>) -> Estimate {
        Estimate {
            mean_ns: ms * 1e6,
            interval: half_ms.map(|half| ((ms - half) * 1e6, (ms + half) * 1e6)),
        }
    }

    fn step(slow: usize, fast: usize, gap: Estimate) -> Waterfall {
        let part = |kind, ms| Part {
            kind,
            estimate: estimate(ms, None),
            source: String::new(),
        };
        Waterfall {
            of: Time::PerRequest,
            slow,
            fast,
            slow_ns: estimate(50.0, None),
            fast_ns: estimate(40.0, None),
            gap,
            parts: vec![part(PartKind::Engine, -1.0), part(PartKind::Connect, 9.5)],
            rest: estimate(1.5, None),
        }
    }

    #[test]
    fn a_step_says_what_most_of_it_is() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let whole = step(0, 2, estimate(12.0, Some(1.0)));
        let one = step(0, 1, estimate(10.0, Some(1.0)));
        let two = step(1, 2, estimate(2.0, Some(3.0)));
        assert_eq!(steps(&[whole.clone(), one.clone()], &names), None);
        let sheet = steps(&[whole, one, two], &names).expect("two steps");
        let said = format!("{:?}", sheet.lines);
        assert!(
            said.contains("a to b") && said.contains("connection set-up, 9.500 ms"),
            "{said}"
        );
        assert!(
            said.contains("b to c") && said.contains("there may be no difference"),
            "{said}"
        );
    }

    /// A rest of less than what is shown is neither more nor less.
    #[test]
    fn a_share_of_nothing_has_no_sign() {
        let mut of = step(0, 1, estimate(10.0, Some(1.0)));
        of.rest = estimate(-0.0004, None);
        let names = ["a", "b"].map(str::to_owned);
        let said = format!("{:?}", super::sheet(&of, &names).lines);
        assert!(
            said.contains("\"0.000\"") && said.contains("\"0.0 %\""),
            "{said}"
        );
        assert!(!said.contains("-0.0"), "{said}");
    }

    #[test]
    fn without_an_interval_there_are_no_shares() {
        let known = step(0, 1, estimate(10.0, Some(1.0)));
        let single = step(0, 1, estimate(10.0, None));
        let names = ["a", "b"].map(str::to_owned);
        let shares = |of: &Waterfall| format!("{:?}", super::sheet(of, &names).lines);
        assert!(shares(&known).contains("95.0 %") && !shares(&single).contains("95.0 %"));
        assert!(
            sources(&single)[0].contains("no interval"),
            "{:?}",
            sources(&single)
        );
    }
}
