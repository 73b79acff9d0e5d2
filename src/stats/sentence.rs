//! What a comparison found, in English sentences with their numbers, the same on
//! every page. Knows the types of a comparison; works nothing out but percent.

use super::comparison::{ArmPair, Basis, Compared, Comparison, Finding, Ratio};
use super::metric::Metric;
use super::together::Arm;
use super::words::{counted, grouped, grouped_decimal, one_line};

/// From this ratio on "times as many" reads better than percent.
const TIMES_FROM: f64 = 2.0;

/// How a metric is spoken of.
enum Speech {
    /// An arm does something: verb, object.
    Does(&'static str, &'static str),
    /// An arm has a time.
    Has(&'static str),
}

fn speech(metric: Metric) -> Speech {
    match metric {
        Metric::OutputTokensPerS => Speech::Does("generates", "tokens per second"),
        Metric::TotalTokensPerS => {
            Speech::Does("handles", "tokens (prompt and generated) per second")
        }
        Metric::RequestsPerS => Speech::Does("finishes", "requests per second"),
        Metric::FtlMean => Speech::Has("mean time to first token"),
        Metric::FtlP50 => Speech::Has("median time to first token"),
        Metric::FtlP99 => Speech::Has("p99 time to first token"),
        Metric::FirstEventMean => Speech::Has("mean time to the first event"),
        Metric::TpotMean => Speech::Has("mean time per output token"),
        Metric::TpotP99 => Speech::Has("p99 time per output token"),
        Metric::ItlMean => Speech::Has("mean gap between messages"),
        Metric::ItlP99 => Speech::Has("p99 gap between messages"),
        Metric::E2eMean => Speech::Has("mean end-to-end latency"),
        Metric::E2eP50 => Speech::Has("median end-to-end latency"),
        Metric::E2eP99 => Speech::Has("p99 end-to-end latency"),
    }
}

/// What a metric is called within a sentence: `tokens per second`, `mean time
/// to first token`.
#[must_use]
pub fn noun(metric: Metric) -> &'static str {
    match speech(metric) {
        Speech::Does(_, noun) | Speech::Has(noun) => noun,
    }
}

/// The sentence on one metric of one pair of arms, without a full stop. Bounds
/// are those of the interval in [`Compared::ratio`].
#[must_use]
pub fn sentence(comparison: &Comparison, pair: &ArmPair, metric: Metric) -> String {
    let name = |place: usize| comparison.arms.get(place).map_or("", String::as_str);
    let (first, other) = (name(0), name(pair.other));
    let Some(of) = pair.metrics.iter().find(|of| of.metric == metric) else {
        return format!("{} was not compared", noun(metric));
    };
    let Some(ratio) = of.ratio else {
        return unknown(first, other, metric, of, &comparison.basis);
    };
    let about = match comparison.basis {
        Basis::Blocks { .. } => "",
        Basis::Requests { .. } | Basis::BlocksApart { .. } => "in these two runs, made apart, ",
    };
    match of.finding {
        // The better arm is the sentence's subject.
        Finding::Other => format!("{about}{}", claim(metric, other, first, ratio)),
        Finding::First => format!("{about}{}", claim(metric, first, other, inverse(ratio))),
        Finding::Same => format!(
            "{about}no difference larger than {}: {}",
            margin(comparison.margin),
            leaning(metric, first, other, ratio)
        ),
        Finding::Undecided { more_blocks } => format!(
            "not decided: {}{}",
            leaning(metric, first, other, ratio),
            forecast(&comparison.basis, more_blocks)
        ),
        Finding::Unknown => format!(
            "not decided, one run a side is too little to judge by: {}",
            leaning(metric, first, other, ratio)
        ),
    }
}

/// The sentence on the most important metric of the pair that matters most: the
/// widest gap that is shown, or the first pair where none is. With its caveat, if
/// there is one, and a full stop. Empty where nothing was compared.
#[must_use]
pub fn headline(comparison: &Comparison) -> String {
    let first_metric = |pair: &ArmPair| pair.metrics.first().map(|of| of.metric);
    let gap = |pair: &ArmPair| {
        let of = pair.metrics.first()?;
        let shown = matches!(of.finding, Finding::First | Finding::Other);
        Some(of.ratio.filter(|_| shown)?.point.ln().abs())
    };
    let mut widest: Option<(&ArmPair, f64)> = None;
    for pair in &comparison.pairs {
        let gap = gap(pair).unwrap_or(0.0);
        if widest.is_none_or(|(_, known)| gap > known) {
            widest = Some((pair, gap));
        }
    }
    let Some((pair, metric)) = widest.and_then(|(pair, _)| Some((pair, first_metric(pair)?)))
    else {
        return String::new();
    };
    let said = sentence(comparison, pair, metric);
    match comparison.basis {
        Basis::Blocks { .. } => format!("{said}."),
        Basis::Requests { .. } | Basis::BlocksApart { .. } => format!(
            "{said}. How much a run differs from the next on the same server, runs made apart \
             cannot say."
        ),
    }
}

/// What must be said with every figure of a comparison that does not rest on
/// blocks played close in time; a sentence with a full stop.
#[must_use]
pub(super) fn caveat(basis: &Basis) -> Option<String> {
    match basis {
        Basis::Blocks { .. } => None,
        Basis::Requests { pairs, .. } => Some(apart(&format!(
            "{} of both are set side by side",
            counted(u64::from(*pairs), "request", "requests")
        ))),
        Basis::BlocksApart {
            first_blocks,
            other_blocks,
            ..
        } => Some(apart(&format!(
            "{} of the first and {} of the other, unpaired",
            counted(u64::from(*first_blocks), "block", "blocks"),
            other_blocks
        ))),
    }
}

/// What runs that were made apart cannot say.
fn apart(what: &str) -> String {
    format!(
        "These runs were made apart ({what}): no order of blocks could cancel what changed between \
         them, and how much a run differs from the next on the same server is not known. Intervals \
         tell the spread within the runs only; `pairbench compare` plays the arms in turn."
    )
}

/// What must be said with a 99th percentile of few requests; `None` where it is one
/// of many.
#[must_use]
pub(super) fn p99_caveat(basis: &Basis) -> Option<String> {
    let (what, requests) = match *basis {
        Basis::Blocks { requests, .. } => ("block", requests),
        Basis::BlocksApart { least_requests, .. } => ("block", least_requests),
        Basis::Requests { batch, .. } => ("batch", batch),
    };
    (1..1000).contains(&requests).then(|| {
        format!(
            "A p99 is taken per {what} of {}, whose slowest {} decide it; it is not the p99 of a \
             long run.",
            counted(u64::from(requests), "request", "requests"),
            match requests {
                ..=101 => "one or two",
                _ => "few",
            }
        )
    })
}

/// How the intervals of several primary metrics hold; `None` for one.
#[must_use]
pub(super) fn joint_caveat(comparison: &Comparison) -> Option<String> {
    let joint = comparison.joint_intervals();
    (joint > 1).then(|| {
        format!(
            "The {joint} intervals of primary metrics hold together in 95 % (each is one of {} %, \
             after Bonferroni); those of secondary metrics are 95 % each: of twenty such intervals \
             one misses by chance.",
            grouped_decimal(100.0 - 5.0 / joint as f64, 2)
        )
    })
}

/// What must be said where a precision was asked for and not reached.
#[must_use]
pub(super) fn precision_caveat(comparison: &Comparison) -> Option<String> {
    let Basis::Blocks {
        blocks,
        precision: Some(precision),
        ..
    } = comparison.basis
    else {
        return None;
    };
    let metrics = comparison.pairs.iter().flat_map(|pair| &pair.metrics);
    let primary = metrics.filter(|of| of.primary);
    let halves = primary.filter_map(|of| of.ratio.map(|ratio| (ratio.high / ratio.low).ln() / 2.0));
    let widest = halves.fold(0.0, f64::max).exp_m1();
    // The asked width itself may be off by a rounding.
    (widest > precision * 1.000_001).then(|| {
        format!(
            "The precision asked for was not reached: {} after {}, {} were asked for; the \
             interval holds all the same.",
            percent(widest),
            counted(u64::from(blocks), "block", "blocks"),
            margin(precision)
        )
    })
}

/// What must be said of arms that played at the same moment from one host.
#[must_use]
pub(super) fn duet_caveat(arms: &[Arm<'_>]) -> Option<String> {
    let experiment = arms.first()?.run.header.experiment.as_ref()?;
    let shared = experiment
        .shared_host
        .as_ref()
        .filter(|_| experiment.duet)?;
    Some(format!(
        "The arms played at the same moment (--duet) and some answer from one host ({}): unless \
         each has a device of its own, they slowed each other down, and the ratio says how they \
         share the machine, not how fast either is alone.",
        one_line(shared, 100)
    ))
}

/// Everything that must be said beside the figures of a comparison, each a
/// sentence or two.
#[must_use]
pub fn caveats(comparison: &Comparison, arms: &[Arm<'_>]) -> Vec<String> {
    [
        caveat(&comparison.basis),
        duet_caveat(arms),
        precision_caveat(comparison),
        joint_caveat(comparison),
        p99_caveat(&comparison.basis),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn unknown(first: &str, other: &str, metric: Metric, of: &Compared, basis: &Basis) -> String {
    let known = of.blocks.iter().flatten().count();
    let why = match basis {
        Basis::Blocks { .. } if known == 1 => "only one block has it on both sides".to_owned(),
        Basis::Blocks { .. } => "no block has it on both sides".to_owned(),
        Basis::BlocksApart { .. } => "a side has it in fewer than two blocks".to_owned(),
        Basis::Requests { pairs, .. } => format!(
            "{} of both runs are too few, or a side does not have it",
            counted(u64::from(*pairs), "request", "requests")
        ),
    };
    format!(
        "nothing can be said on {} of {first} and {other}: {why}",
        noun(metric)
    )
}

/// "B generates 12.3 % (11.0 to 13.6 %) more tokens per second than A".
fn claim(metric: Metric, better: &str, worse: &str, ratio: Ratio) -> String {
    match speech(metric) {
        Speech::Does(verb, noun) if ratio.point >= TIMES_FROM => format!(
            "{better} {verb} {} times ({} to {} times) as many {noun} as {worse}",
            times(ratio.point),
            times(ratio.low),
            times(ratio.high)
        ),
        Speech::Does(verb, noun) => format!(
            "{better} {verb} {} more {noun} than {worse}",
            range(ratio.point - 1.0, ratio.low - 1.0, ratio.high - 1.0)
        ),
        Speech::Has(noun) => format!(
            "{better}'s {noun} is {} shorter than {worse}'s",
            range(1.0 - ratio.point, 1.0 - ratio.high, 1.0 - ratio.low)
        ),
    }
}

/// "B generates 0.4 % more tokens per second than A (from 0.8 % fewer to 1.6 %
/// more)"; all three figures in times where one of them has to be.
fn leaning(metric: Metric, first: &str, other: &str, ratio: Ratio) -> String {
    if ratio.high >= TIMES_FROM {
        let [point, low, high] = [ratio.point, ratio.low, ratio.high].map(times);
        let figures = format!("{point} times ({low} to {high} times)");
        return match speech(metric) {
            Speech::Does(verb, noun) => {
                format!("{other} {verb} {figures} as many {noun} as {first}")
            }
            Speech::Has(noun) => format!("{other}'s {noun} is {figures} {first}'s"),
        };
    }
    let (more, less) = match speech(metric) {
        Speech::Does(..) => ("more", "fewer"),
        Speech::Has(_) => ("longer", "shorter"),
    };
    let word = |ratio: f64| if ratio >= 1.0 { more } else { less };
    let plain = |ratio: f64| format!("{} {}", percent((ratio - 1.0).abs()), word(ratio));
    let bounds = if word(ratio.low) == word(ratio.high) {
        let mut sizes = [ratio.low, ratio.high].map(|ratio| (ratio - 1.0).abs());
        sizes.sort_unstable_by(f64::total_cmp);
        let [least, most] = sizes;
        format!(
            "{} to {} {}",
            percent(least),
            percent(most),
            word(ratio.low)
        )
    } else {
        format!("from {} to {}", plain(ratio.low), plain(ratio.high))
    };
    let point = plain(ratio.point);
    match speech(metric) {
        Speech::Does(verb, noun) => {
            format!("{other} {verb} {point} {noun} than {first} ({bounds})")
        }
        Speech::Has(noun) => format!("{other}'s {noun} is {point} than {first}'s ({bounds})"),
    }
}

/// `35.32`, with more places where it would read as none at all.
fn times(ratio: f64) -> String {
    grouped_decimal(ratio, places(&[ratio]).max(2))
}

fn forecast(basis: &Basis, more_blocks: Option<u32>) -> String {
    let Basis::Blocks { blocks, .. } = basis else {
        return String::new();
    };
    match more_blocks {
        Some(more) => format!(
            "; about {} more {} would decide if the spread stays what it is: start anew with \
             --blocks {}",
            grouped(u64::from(more)),
            if more == 1 { "block" } else { "blocks" },
            blocks.saturating_add(more)
        ),
        None => "; how many more blocks would decide cannot be told".to_owned(),
    }
}

fn inverse(ratio: Ratio) -> Ratio {
    Ratio {
        point: 1.0 / ratio.point,
        low: 1.0 / ratio.high,
        high: 1.0 / ratio.low,
    }
}

/// A share in percent, with as many places as it takes to show that it is not
/// zero: `2.0 %`, `12.3 %`, `0.04 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    format!("{} %", grouped_decimal(percent, places(&[percent])))
}

/// As a user says it: the margin of 2 % is not called 2.0 %.
fn margin(share: f64) -> String {
    percent(share).replace(".0 %", " %")
}

/// `12.3 % (11.0 to 13.6 %)`.
fn range(point: f64, low: f64, high: f64) -> String {
    let (point, low, high) = (point * 100.0, low * 100.0, high * 100.0);
    let places = places(&[point, low, high]).max(1);
    format!(
        "{} % ({} to {} %)",
        grouped_decimal(point, places),
        grouped_decimal(low, places),
        grouped_decimal(high, places)
    )
}

/// One decimal, or as many as show that none of them is zero (up to 4).
fn places(percents: &[f64]) -> usize {
    let shown = |places: usize| {
        let least = 0.5 * 0.1_f64.powi(i32::try_from(places).unwrap_or(0));
        percents
            .iter()
            .all(|percent| *percent == 0.0 || percent.abs() >= least)
    };
    (1..4).find(|places| shown(*places)).unwrap_or(4)
}

#[cfg(test)]
#[path = "sentence_tests.rs"]
mod tests;
