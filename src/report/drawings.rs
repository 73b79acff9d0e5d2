//! Which charts a report has, and how much each of them may draw. Pages show them,
//! Markdown has their figures.

use super::chart::curves::{self, Axis, Samples};
use super::chart::timeline::{self, What};
use super::chart::{Drawing, Whose, blocks, scatter};
use super::findings::Findings;
use super::sentences;
use super::series::{self, Latency, Sorted, course};
use crate::record::Run;
use crate::stats::{ArmPair, Comparison};

/// Points of all scatters together: some 150 bytes each, drawn and in a table.
const POINTS: usize = 1_600;

/// Points that a scatter has at least.
const FEWEST: usize = 60;

const TTFT: Axis = Axis {
    title: "Time to the first token (TTFT, FTL)",
    unit: "ms",
    decimals: 2,
};

const ITL: Axis = Axis {
    title: "Time between messages (ITL)",
    unit: "ms",
    decimals: 3,
};

const LENGTHS: Axis = Axis {
    title: "Lengths asked for and generated",
    unit: "tokens",
    decimals: 0,
};

/// What the curve of the lengths that were asked for is called.
pub(super) const ASKED: &str = "asked for";

const THROUGHPUT: What = What {
    title: "Output tokens/s over time",
    unit: "tokens/s",
    figures: |lane| &lane.tokens_per_s,
};

const RUNNING: What = What {
    title: "Running requests over time",
    unit: "requests",
    figures: |lane| &lane.in_flight,
};

/// The gap of each block, for every primary metric of a pair of arms.
pub(super) fn of_blocks(comparison: &Comparison, pair: &ArmPair) -> Vec<Drawing> {
    let (first, other) = sentences::arms(comparison, pair.other);
    let names = (first.as_str(), other.as_str());
    let primary = pair.metrics.iter().filter(|of| of.primary);
    primary
        .filter_map(|of| blocks::draw(of, names, pair.other, comparison.margin))
        .collect()
}

/// All that is drawn from the records.
pub(super) fn of_runs(findings: &Findings<'_>, names: &[String]) -> Vec<Drawing> {
    let mut drawn = Vec::new();
    drawn.extend(curves::draw(&TTFT, &samples(findings, names, series::ttft)));
    drawn.extend(curves::draw(&ITL, &samples(findings, names, series::itl)));
    drawn.extend(scatters(findings, names));
    if let Some(course) = course::course(findings.arms) {
        drawn.push(timeline::draw(&THROUGHPUT, &course, names));
        drawn.push(timeline::draw(&RUNNING, &course, names));
    }
    drawn.extend(curves::draw(&LENGTHS, &lengths(findings, names)));
    drawn
}

fn samples(findings: &Findings<'_>, names: &[String], of: fn(&Run) -> Sorted) -> Vec<Samples> {
    let arms = findings.arms.iter().zip(names).enumerate();
    arms.map(|(place, (arm, name))| Samples {
        whose: Whose::Arm(place),
        name: name.clone(),
        sorted: of(arm.run),
    })
    .collect()
}

/// What the first arm was asked for stands for all: the verdict says where
/// another one got other work. It comes first, so that the arms' curves, which
/// should be the same, lie on top of it.
fn lengths(findings: &Findings<'_>, names: &[String]) -> Vec<Samples> {
    let asked = findings.arms.first().map(|first| Samples {
        whose: Whose::Asked,
        name: ASKED.to_owned(),
        sorted: series::asked(first.run),
    });
    let generated = samples(findings, names, series::generated);
    asked.into_iter().chain(generated).collect()
}

fn scatters(findings: &Findings<'_>, names: &[String]) -> Vec<Drawing> {
    let (Some((first, others)), Some(first_name)) = (findings.arms.split_first(), names.first())
    else {
        return Vec::new();
    };
    let most = (POINTS / (others.len() * 2).max(1)).max(FEWEST);
    let mut drawn = Vec::new();
    for (place, (other, name)) in (1..).zip(others.iter().zip(names.iter().skip(1))) {
        for (what, of) in [("TTFT", Latency::Ttft), ("E2E", Latency::E2e)] {
            let points = series::paired(first.run, other.run, of);
            drawn.extend(scatter::draw(
                what,
                (first_name, name),
                place,
                &points,
                most,
            ));
        }
    }
    drawn
}
