//! Whether the engine gave its tokens at the same pace to both arms, so that it
//! may be taken for equal. How much a difference of two paces matters depends on
//! the gap that is to be explained: half a percent of a long answer is more than
//! most front ends take.

use super::{Pair, mean};
use crate::stats::comparison::Estimate;
use crate::stats::interval::Interval;

/// Most of a gap that a difference of paces may be worth and still count as
/// none, as a share.
const WORTH_MOST: f64 = 0.1;

/// The pace of both arms' engines, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Mean time between tokens in the slow arm, over the blocks.
    pub(super) slow_ns: f64,
    /// In the fast one.
    pub(super) fast_ns: f64,
    /// How much longer the slow arm's calls of the engine took if all of their
    /// time went by its pace: slow minus fast, over the blocks.
    pub(super) worth: Estimate,
    /// That is nothing beside the gap.
    pub(super) is_same: bool,
}

impl Pace {
    /// Of blocks that both arms played; `None` where an arm shows no pace.
    pub(super) fn of(pairs: &[Pair], gap: Estimate) -> Option<Self> {
        let (mut slow, mut fast, mut worths) = (Vec::new(), Vec::new(), Vec::new());
        for pair in pairs {
            let (Some(slow_ns), Some(fast_ns)) = (pair.slow.pace_ns, pair.fast.pace_ns) else {
                continue;
            };
            slow.push(slow_ns);
            fast.push(fast_ns);
            worths.push((slow_ns / fast_ns - 1.0) * pair.fast.served);
        }
        let interval = Interval::of(&worths);
        let worth = Estimate {
            mean_ns: mean(&worths),
            interval: interval.map(|of| (of.low, of.high)),
        };
        (!worths.is_empty()).then(|| Self {
            slow_ns: mean(&slow),
            fast_ns: mean(&fast),
            worth,
            is_same: is_nothing(worth, gap.mean_ns),
        })
    }
}

/// Whether paces are as good as equal: what was seen of a difference is small
/// beside the gap, and it is either not shown to be one or small for sure. An
/// interval about 0 alone would not do: that of two blocks holds everything.
fn is_nothing(worth: Estimate, gap_ns: f64) -> bool {
    let small = |ns: f64| ns.abs() <= gap_ns.abs() * WORTH_MOST;
    let unshown_or_small = worth.interval.is_none_or(|(low, high)| {
        let may_be_none = low <= 0.0 && high >= 0.0;
        may_be_none || (small(low) && small(high))
    });
    small(worth.mean_ns) && unshown_or_small
}

#[cfg(test)]
mod tests {
    use super::{Estimate, is_nothing};

    #[test]
    fn a_pace_is_weighed_against_the_gap() {
        // (mean, interval, as good as equal) beside a gap of 100
        for (mean_ns, interval, expected) in [
            (0.0, None, true),
            (10.0, None, true),
            (11.0, None, false),
            (-11.0, None, false),
            (5.0, Some((-40.0, 50.0)), true),
            (11.0, Some((-40.0, 62.0)), false),
            (5.0, Some((2.0, 8.0)), true),
            (8.0, Some((4.0, 12.0)), false),
            (100.0, Some((99.0, 101.0)), false),
        ] {
            let worth = Estimate { mean_ns, interval };
            for gap_ns in [100.0, -100.0] {
                assert_eq!(is_nothing(worth, gap_ns), expected, "{worth:?}");
            }
        }
    }
}
