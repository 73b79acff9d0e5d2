//! What a comparison found, as every report shows it: per metric how large the
//! ratio is, how sure that is, and the sentence that follows. Types alone; how
//! they are filled is `paired`'s and `waterfall`'s affair.

use super::metric::Metric;

/// Several arms compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What each arm is called, in their order. Ratios are to the first.
    pub arms: Vec<String>,
    /// What was paired.
    pub basis: Basis,
    /// Largest difference that counts as none, as a share (0.02: 2 %).
    pub margin: f64,
    /// Each other arm against the first.
    pub pairs: Vec<ArmPair>,
}

/// What was paired, and so what may be said.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    /// Blocks of the same requests that all arms played close in time.
    Blocks {
        /// Blocks that every arm finished.
        blocks: u32,
        /// Requests of a block.
        requests: u32,
        /// The arms played at the same moment.
        duet: bool,
        /// What was asked for with `--precision`, if it was.
        precision: Option<f64>,
        /// Blocks in all that the pilot found this to take; absent where nobody
        /// asked, or the pilot could not tell.
        wanted: Option<u32>,
    },
    /// Requests of two runs that were made apart: whatever changed between
    /// them is in every figure, and no order of blocks could cancel it.
    Requests {
        /// Requests that both runs finished.
        pairs: u32,
        /// Of them in each batch, at least: what a percentile is taken over. 0: too
        /// few for batches.
        batch: u32,
    },
    /// Blocks of two runs that were made apart, unpaired: no block of the one was
    /// played close to one of the other.
    BlocksApart {
        /// Blocks that the first run finished.
        first_blocks: u32,
        /// Blocks that the other one did.
        other_blocks: u32,
        /// Requests of the smallest of them.
        least_requests: u32,
    },
}

/// One arm against the first.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmPair {
    /// The arm's place among the arms, from 1.
    pub other: usize,
    /// By metric, the primary ones first.
    pub metrics: Vec<Compared>,
}

/// One metric of one arm against the first arm's.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The metric.
    pub metric: Metric,
    /// Named before the run as one that decides; the others are looked at.
    pub primary: bool,
    /// Other divided by first: the geometric mean over the pairs, and its
    /// interval. `None`: fewer than two pairs have it.
    pub ratio: Option<Ratio>,
    /// The ratio of each block, in their order; `None` where a side lacks it.
    /// Runs made apart have none: their blocks are no pairs.
    pub blocks: Vec<Option<f64>>,
    /// What follows.
    pub finding: Finding,
}

/// A ratio and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Other divided by first.
    pub point: f64,
    /// Lower bound of the 95 % interval (of the corrected one, where several
    /// metrics are primary).
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// One of the four sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The first arm is better (faster, or waits less).
    First,
    /// The other one is.
    Other,
    /// No difference larger than the margin: both bounds lie inside it.
    Same,
    /// The interval neither excludes 1 nor lies inside the margin.
    Undecided {
        /// Blocks beyond those that were played that would decide it, if the
        /// spread stays what it is; `None`: not to be told.
        more_blocks: Option<u32>,
    },
    /// Too little to say anything: a figure is missing, or there is one block.
    Unknown,
}

/// A mean in nanoseconds and its 95 % interval; without one where there is
/// only one value, and for a time that is no difference of two arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean.
    pub mean_ns: f64,
    /// Bounds.
    pub interval: Option<(f64, f64)>,
}

/// Where the difference of two arms comes from, for one kind of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Waterfall {
    /// Which time.
    pub of: Time,
    /// The arm that takes longer, by its place.
    pub slow: usize,
    /// The arm that takes less.
    pub fast: usize,
    /// Time of the slow arm, without an interval: blocks hold other prompts, so
    /// that only differences within them tell how sure they are.
    pub slow_ns: Estimate,
    /// Time of the fast arm, likewise.
    pub fast_ns: Estimate,
    /// The difference of the two.
    pub gap: Estimate,
    /// Its parts, in the order in which a request meets them; a part may be
    /// negative (the fast arm spends more on it).
    pub parts: Vec<Part>,
    /// What the parts leave unexplained; parts and rest add up to the gap.
    pub rest: Estimate,
}

/// The kinds of time that are taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// To the first token.
    Ttft,
    /// From one message to the next.
    Itl,
    /// A slot's time for one request over the requests' count: what throughput
    /// is the inverse of, at a given concurrency.
    PerRequest,
}

/// A part of a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Slow minus fast.
    pub estimate: Estimate,
    /// How it was found, in a sentence.
    pub source: String,
}

/// What a difference may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// The client's own delay: what it measured of itself, and its floor by a
    /// calibration.
    ClientFloor,
    /// Connections opened for the request.
    Connect,
    /// Preprocessing: the model's time, or that of the calls where no counter
    /// tells it.
    Preprocess,
    /// What the client's own calls of pre- and postprocessing took beyond their
    /// models: the wire, and the server's front end.
    RoundTrips,
    /// The server's front end and the protocol: what is neither engine nor a
    /// call of its own.
    FrontEnd,
    /// Front end, protocol and engine, where nothing tells them apart.
    FrontEndAndEngine,
    /// The engine.
    Engine,
    /// Postprocessing, likewise.
    Postprocess,
}
