//! What a sink saw of one request. Plain data: no clock, no metric.

/// The moment at which the client held the next piece of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Nanoseconds on the run's clock.
    pub at_ns: u64,
    /// New tokens in the piece; 0 where text came and the wire does not say
    /// how many tokens it is.
    pub tokens: u32,
}

/// A named, timed part of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Opening a connection, where that happens per call.
    Connect,
    /// Triton: the call of the preprocessing model.
    Preprocess,
    /// The engine's stream, or the whole answer where one call does it all.
    Engine,
    /// Triton: the calls of the postprocessing model.
    Postprocess,
}

impl Hop {
    /// Every hop, in the order in which a request passes them.
    pub const ALL: [Self; 4] = [
        Self::Connect,
        Self::Preprocess,
        Self::Engine,
        Self::Postprocess,
    ];

    /// The name in records and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Preprocess => "preprocess",
            Self::Engine => "engine",
            Self::Postprocess => "postprocess",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// What one hop took within one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopTimes {
    /// Times the hop was entered.
    pub calls: u32,
    /// Time inside it over the whole request. Hops may overlap (the
    /// postprocessing of `tis` runs beside the engine), so totals of different
    /// hops do not add up to the request.
    pub total_ns: u64,
    /// Its part of the way to the first token. These parts do not overlap:
    /// over all hops, with [`Trace::other_until_first_ns`], they add up to the
    /// first-token latency.
    pub until_first_ns: u64,
}

/// All that a sink saw of one request. Times are on the run's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// When the backend was called.
    pub issued_ns: u64,
    /// First message of any kind, role-only events and empty frames included.
    pub first_event_ns: Option<u64>,
    /// When the answer ended.
    pub end_ns: u64,
    /// The pieces, in order of arrival.
    pub marks: Vec<Mark>,
    /// Where the client itself chains models: when the engine's tokens
    /// arrived, before they were made into text. Empty elsewhere.
    pub engine_marks: Vec<Mark>,
    /// By [`Hop::ALL`].
    pub hops: [HopTimes; 4],
    /// The way to the first token that lay in no hop: the client itself.
    pub other_until_first_ns: u64,
    /// The answer's text, as far as it came.
    pub text: String,
    /// Bytes of `text` that the first mark brought.
    pub first_text_bytes: usize,
}
