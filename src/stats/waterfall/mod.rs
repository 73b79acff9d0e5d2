//! Where the difference of two arms comes from: the slow arm's time minus the
//! fast one's, part by part, block by block, so that each part has an interval.
//! Parts and rest add up to the difference; what no record and no counter tells
//! apart stays together, and what nothing explains is the rest.

#[cfg(test)]
mod apart_tests;
mod costs;
mod counters;
#[cfg(test)]
mod made;
mod pace;
#[cfg(test)]
mod pace_tests;
mod slice;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use costs::{Costs, costs};
use pace::Pace;
use slice::{Slice, common_jobs, of_jobs, slices};
pub(super) use slice::{arrivals, span};

use super::comparison::{Estimate, Part, PartKind, Time, Waterfall};
use super::instrument::floor_difference;
use super::interval::Interval;
use super::together::{Arm, labels, one_experiment};
use super::work::work_differs;
use source::{Side, Sides};

/// Takes the differences apart: for each kind of time from the slowest arm to
/// the fastest; with more than two arms also, for the time per request, from
/// each arm to the next faster one, slowest first.
///
/// Only blocks that both arms of a pair played to their end count. Runs that were
/// made apart, and those without blocks, have one value each, over the requests that
/// all of them finished, and no interval: blocks of one number are no pairs there.
/// Nothing for fewer than two arms, for a time that an arm does not have (answers in
/// one piece have no time between messages), and where the arms did not get the same
/// work.
#[must_use]
pub fn waterfalls(arms: &[Arm<'_>]) -> Vec<Waterfall> {
    if work_differs(arms).is_some() {
        return Vec::new();
    }
    let names = labels(arms);
    let slices = slices_of(arms);
    let mut found = Vec::new();
    for of in [Time::Ttft, Time::Itl, Time::PerRequest] {
        let order = by_slowness(&slices, of);
        if let [slow, .., fast] = order.as_slice() {
            found.extend(between(arms, &slices, &names, of, (*slow, *fast)));
        }
    }
    let order = by_slowness(&slices, Time::PerRequest);
    if order.len() > 2 {
        for step in order.windows(2) {
            if let [slow, fast] = step {
                found.extend(between(
                    arms,
                    &slices,
                    &names,
                    Time::PerRequest,
                    (*slow, *fast),
                ));
            }
        }
    }
    found
}

/// What each arm's requests are taken apart in: blocks where they are pairs.
type Slices<'a> = BTreeMap<u32, Slice<'a>>;

fn slices_of<'a>(arms: &[Arm<'a>]) -> Vec<Slices<'a>> {
    if one_experiment(arms) {
        return arms.iter().map(|arm| slices(arm.run)).collect();
    }
    let common = common_jobs(arms.iter().map(|arm| arm.run));
    let of = |arm: &Arm<'a>| BTreeMap::from([(0, of_jobs(arm.run, &common))]);
    arms.iter().map(of).collect()
}

/// The arms that have this time, the slowest first; those alike in their order.
/// Blocks that one of them lacks do not count.
fn by_slowness(arms: &[Slices<'_>], of: Time) -> Vec<usize> {
    let known: Vec<(usize, BTreeMap<u32, f64>)> = arms
        .iter()
        .enumerate()
        .map(|(place, slices)| {
            let wholes = slices
                .iter()
                .filter_map(|(number, slice)| Some((*number, costs(slice, of)?.whole)));
            (place, wholes.collect())
        })
        .filter(|(_, wholes): &(usize, BTreeMap<u32, f64>)| !wholes.is_empty())
        .collect();
    let in_all = |number: &u32| known.iter().all(|(_, wholes)| wholes.contains_key(number));
    let mut order: Vec<(usize, f64)> = known
        .iter()
        .map(|(place, wholes)| {
            let common = wholes.iter().filter(|(number, _)| in_all(number));
            (
                *place,
                mean(&common.map(|(_, whole)| *whole).collect::<Vec<_>>()),
            )
        })
        .collect();
    order.sort_by(|one, other| other.1.total_cmp(&one.1));
    order.into_iter().map(|(place, _)| place).collect()
}

/// One block of both arms.
struct Pair {
    slow: Costs,
    fast: Costs,
}

fn between(
    arms: &[Arm<'_>],
    slices: &[Slices<'_>],
    names: &[String],
    of: Time,
    (slow, fast): (usize, usize),
) -> Option<Waterfall> {
    let (slow_arm, fast_arm) = (arms.get(slow)?, arms.get(fast)?);
    let (slow_slices, fast_slices) = (slices.get(slow)?, slices.get(fast)?);
    let both: Vec<(&Slice<'_>, &Slice<'_>)> = slow_slices
        .iter()
        .filter_map(|(number, slow)| Some((slow, fast_slices.get(number)?)))
        .collect();
    let pairs: Vec<Pair> = both
        .iter()
        .filter_map(|(slow, fast)| {
            Some(Pair {
                slow: costs(slow, of)?,
                fast: costs(fast, of)?,
            })
        })
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let gap = difference(&pairs, |costs| costs.whole);
    let sides = Sides {
        of,
        slow: &slow_arm.run.header,
        fast: &fast_arm.run.header,
        slow_name: names.get(slow).map_or("", String::as_str),
        fast_name: names.get(fast).map_or("", String::as_str),
        same_call: both
            .iter()
            .all(|(slow, fast)| slow.asks_engine && fast.asks_engine),
        pace: Pace::of(&pairs, gap),
    };
    Some(Waterfall {
        of,
        slow,
        fast,
        slow_ns: own(&pairs, |pair| pair.slow.whole),
        fast_ns: own(&pairs, |pair| pair.fast.whole),
        gap,
        parts: parts(&pairs, &sides),
        rest: difference(&pairs, Costs::rest),
    })
}

/// The parts that either arm has, in the order of a request's way.
fn parts(pairs: &[Pair], sides: &Sides<'_>) -> Vec<Part> {
    let floor = floor(sides);
    let mut found = Vec::new();
    let client = difference(pairs, |costs| costs.client);
    if sides.of != Time::Itl {
        found.push(Part {
            kind: PartKind::ClientFloor,
            estimate: floor.map_or(client, |floor| sum(client, floor)),
            source: sides.client(floor.is_some()),
        });
    }
    let connect = call(pairs, sides, PartKind::Connect, |costs| costs.connect);
    found.extend(connect);
    let pre = call(pairs, sides, PartKind::Preprocess, |costs| costs.preprocess);
    found.extend(pre);
    found.extend(round_trips(pairs, sides));
    found.extend(served(pairs, sides, floor));
    let post = call(pairs, sides, PartKind::Postprocess, |costs| {
        costs.postprocess
    });
    found.extend(post);
    found
}

/// A part that is left out where neither arm has it.
fn call(pairs: &[Pair], sides: &Sides<'_>, kind: PartKind, of: fn(&Costs) -> f64) -> Option<Part> {
    let mean_of = |side: fn(&Pair) -> &Costs| {
        mean(&pairs.iter().map(|pair| of(side(pair))).collect::<Vec<_>>())
    };
    let (slow_ns, fast_ns) = (mean_of(|pair| &pair.slow), mean_of(|pair| &pair.fast));
    let chained = |side: fn(&Pair) -> &Costs| pairs.iter().any(|pair| side(pair).chained);
    let chained = (chained(|pair| &pair.slow), chained(|pair| &pair.fast));
    let told = |side: fn(&Pair) -> &Costs| {
        pairs.iter().all(|pair| match kind {
            PartKind::Preprocess => side(pair).told.0,
            PartKind::Postprocess => side(pair).told.1,
            _ => false,
        })
    };
    let slow = Side {
        mean_ns: slow_ns,
        told: told(|pair| &pair.slow),
        chained: chained.0,
    };
    let fast = Side {
        mean_ns: fast_ns,
        told: told(|pair| &pair.fast),
        chained: chained.1,
    };
    (slow_ns != 0.0 || fast_ns != 0.0).then(|| Part {
        kind,
        estimate: difference(pairs, of),
        source: sides.call(kind, slow, fast),
    })
}

/// What the client's own calls took beyond their models, where a server tells.
fn round_trips(pairs: &[Pair], sides: &Sides<'_>) -> Option<Part> {
    let any = pairs
        .iter()
        .any(|pair| pair.slow.round_trips != 0.0 || pair.fast.round_trips != 0.0);
    any.then(|| Part {
        kind: PartKind::RoundTrips,
        estimate: difference(pairs, |costs| costs.round_trips),
        source: sides.round_trips(),
    })
}

/// Front end, protocol and engine: apart where both servers tell the engine's
/// time, or where both arms meet the same front end or an engine of the same
/// pace; else together. Less the client's floor, which lies at the end of them.
fn served(pairs: &[Pair], sides: &Sides<'_>, floor: Option<Estimate>) -> Vec<Part> {
    let net = |whole: Estimate| match floor {
        Some(floor) => sum(whole, negative(floor)),
        None => whole,
    };
    let told = pairs
        .iter()
        .all(|pair| pair.slow.engine.is_some() && pair.fast.engine.is_some());
    if told {
        let engine = |costs: &Costs| costs.engine.unwrap_or(0.0);
        let front = difference(pairs, |costs| costs.served - engine(costs));
        return vec![
            Part {
                kind: PartKind::FrontEnd,
                estimate: net(front),
                source: sides.front_end_less_engine(),
            },
            Part {
                kind: PartKind::Engine,
                estimate: difference(pairs, engine),
                source: sides.engine_told(),
            },
        ];
    }
    let (kind, source) = sides.served();
    vec![Part {
        kind,
        estimate: net(difference(pairs, |costs| costs.served)),
        source,
    }]
}

/// What the calibration says that the slow arm's client adds to a token beyond
/// the fast one's. It shifts every mark of an answer alike, so that no time
/// between marks has it.
fn floor(sides: &Sides<'_>) -> Option<Estimate> {
    if sides.of == Time::Itl {
        return None;
    }
    let slow = sides.slow.client_floor.as_ref()?;
    let fast = sides.fast.client_floor.as_ref()?;
    let paired = floor_difference(fast, slow).map(|interval| Estimate {
        mean_ns: interval.mean,
        interval: Some((interval.low, interval.high)),
    });
    Some(paired.unwrap_or_else(|| Estimate {
        mean_ns: slow.floor.mean_ns.saturating_sub(fast.floor.mean_ns) as f64,
        interval: None,
    }))
}

/// An arm's own time. It has no interval: blocks hold other prompts, and how far
/// short answers are from long ones says nothing of how sure the mean is. Only
/// differences within a block do.
fn own(pairs: &[Pair], of: fn(&Pair) -> f64) -> Estimate {
    Estimate {
        mean_ns: mean(&pairs.iter().map(of).collect::<Vec<_>>()),
        interval: None,
    }
}

/// Slow minus fast, block by block.
fn difference(pairs: &[Pair], of: impl Fn(&Costs) -> f64) -> Estimate {
    let values: Vec<f64> = pairs
        .iter()
        .map(|pair| of(&pair.slow) - of(&pair.fast))
        .collect();
    estimate(&values)
}

fn estimate(values: &[f64]) -> Estimate {
    Estimate {
        mean_ns: mean(values),
        interval: Interval::of(values).map(|interval| (interval.low, interval.high)),
    }
}

/// Of two that do not depend on each other: their half widths add up as sides of
/// a right triangle. One without an interval is taken as it is.
fn sum(one: Estimate, other: Estimate) -> Estimate {
    let mean_ns = one.mean_ns + other.mean_ns;
    let half = |of: Estimate| of.interval.map(|(low, high)| (high - low) / 2.0);
    let half = match (half(one), half(other)) {
        (Some(one), Some(other)) => Some(one.hypot(other)),
        (one, other) => one.or(other),
    };
    Estimate {
        mean_ns,
        interval: half.map(|half| (mean_ns - half, mean_ns + half)),
    }
}

fn negative(of: Estimate) -> Estimate {
    Estimate {
        mean_ns: -of.mean_ns,
        interval: of.interval.map(|(low, high)| (-high, -low)),
    }
}

/// NaN, which is like nothing, for no values.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
