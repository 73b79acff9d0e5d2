//! The way to the first token, hop by hop. The parts do not overlap and add
//! up to the first-token latency; what does not is shown as the rest, never
//! spread over the parts.

use std::collections::BTreeMap;

use crate::record::Record;

/// One hop, averaged over a run's finished requests.
#[derive(Clone, Debug, PartialEq)]
pub struct HopMean {
    /// Its name in the records.
    pub name: String,
    /// Mean part of the way to the first token, in nanoseconds, over the
    /// requests that had a first token. A request that did not enter the hop
    /// counts with 0.
    pub until_first_ns: f64,
    /// Mean time inside it over the whole request, in nanoseconds. Hops may
    /// overlap: these do not add up.
    pub total_ns: f64,
    /// Mean number of times that a request entered it.
    pub calls: f64,
}

/// The way to the first token, averaged. Where answers do not come in pieces
/// it is the way to the whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// Hops that were entered, in the order in which a request passes them.
    pub hops: Vec<HopMean>,
    /// Mean time in no hop, in nanoseconds: the client itself. `None` when no
    /// request had a first token.
    pub other_ns: Option<f64>,
    /// Mean time from issue to the first mark, in nanoseconds.
    pub whole_ns: Option<f64>,
}

impl Way {
    /// The parts together, in nanoseconds.
    #[must_use]
    pub fn parts_ns(&self) -> Option<f64> {
        let hops: f64 = self.hops.iter().map(|hop| hop.until_first_ns).sum();
        self.other_ns.map(|other| hops + other)
    }

    /// What the parts leave unexplained, in nanoseconds; 0 in sound records.
    #[must_use]
    pub fn rest_ns(&self) -> Option<f64> {
        Some(self.whole_ns? - self.parts_ns()?)
    }
}

/// The order in which a request passes the hops that the contract names;
/// others come after them by name.
fn place(name: &str) -> usize {
    ["connect", "preprocess", "engine", "postprocess"]
        .iter()
        .position(|known| *known == name)
        .unwrap_or(usize::MAX)
}

#[derive(Default)]
struct Sum {
    until_first_ns: u128,
    total_ns: u128,
    calls: u64,
}

pub(super) fn way<'a>(finished: impl Iterator<Item = &'a Record>) -> Way {
    let (mut requests, mut with_first) = (0_u64, 0_u64);
    let (mut other_ns, mut whole_ns) = (0_u128, 0_u128);
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for record in finished {
        requests += 1;
        let first = record.marks.first();
        if let Some(first) = first {
            with_first += 1;
            other_ns += u128::from(record.other_until_first_ns);
            whole_ns += u128::from(first.at_ns.saturating_sub(record.issued_ns));
        }
        for (name, hop) in &record.hops {
            let sum = sums.entry(name).or_default();
            sum.calls += u64::from(hop.calls);
            sum.total_ns += u128::from(hop.total_ns);
            if first.is_some() {
                sum.until_first_ns += u128::from(hop.until_first_ns);
            }
        }
    }
    let mut hops: Vec<HopMean> = sums
        .into_iter()
        .map(|(name, sum)| HopMean {
            name: name.to_owned(),
            until_first_ns: mean(sum.until_first_ns, with_first).unwrap_or(0.0),
            total_ns: mean(sum.total_ns, requests).unwrap_or(0.0),
            calls: mean(u128::from(sum.calls), requests).unwrap_or(0.0),
        })
        .collect();
    hops.sort_by_key(|hop| place(&hop.name));
    Way {
        hops,
        other_ns: mean(other_ns, with_first),
        whole_ns: mean(whole_ns, with_first),
    }
}

fn mean(sum: u128, count: u64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / count as f64)
}
