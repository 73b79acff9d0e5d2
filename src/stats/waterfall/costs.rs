//! One arm's time of a slice, taken apart into what a request met on its way.
//! Takes hops and marks as they were recorded; what servers say of themselves
//! comes from `counters`. Knows no other arm.

use super::counters::{self, Chained};
use super::slice::{Slice, arrivals, hop, lag_ns, since_ns};
use crate::record::Record;
use crate::stats::comparison::Time;

/// Means over a slice's requests, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Costs {
    /// The time itself.
    pub(super) whole: f64,
    /// What the client measured of its own delay.
    pub(super) client: f64,
    /// Connections.
    pub(super) connect: f64,
    /// Preprocessing: the calls, or the model's part of them where the server
    /// tells.
    pub(super) preprocess: f64,
    /// What postprocessing added to the engine's time, likewise.
    pub(super) postprocess: f64,
    /// What the client's own calls of both took beyond the models' time, where
    /// the server tells: front end and wire.
    pub(super) round_trips: f64,
    /// Front end, protocol and engine together.
    pub(super) served: f64,
    /// The engine's part of it, where the server tells.
    pub(super) engine: Option<f64>,
    /// The server tells what of the client's own calls the models took: of
    /// preprocessing, of postprocessing.
    pub(super) told: (bool, bool),
    /// The server chained the models, and said how long the calls took.
    pub(super) chained: bool,
    /// Time from one token of the engine to the next, where answers come in
    /// pieces.
    pub(super) pace_ns: Option<f64>,
}

impl Costs {
    /// What the parts leave unexplained.
    pub(super) fn rest(&self) -> f64 {
        let calls = self.preprocess + self.postprocess + self.round_trips;
        self.whole - self.client - self.connect - calls - self.served
    }
}

/// Takes one kind of time apart; `None` where no request has it.
pub(super) fn costs(slice: &Slice<'_>, of: Time) -> Option<Costs> {
    let costs = match of {
        Time::Ttft => to_first(slice),
        Time::Itl => between(slice),
        Time::PerRequest => of_slot(slice),
    }?;
    Some(Costs {
        pace_ns: slice.pace_ns(),
        ..costs
    })
}

/// The hops of the way to the first token do not overlap and add up.
fn to_first(slice: &Slice<'_>) -> Option<Costs> {
    if !slice.stream {
        return None;
    }
    let first = |figure: &dyn Fn(&Record) -> f64| {
        slice.mean(|record| record.marks.first().map(|_| figure(record)))
    };
    let until = |name: &'static str| first(&|record| hop(record, name).until_first_ns as f64);
    let mut costs = Costs {
        whole: slice
            .mean(|record| Some(since_ns(record.marks.first()?.at_ns, record.issued_ns)))?,
        client: first(&|record| record.other_until_first_ns as f64)?,
        connect: until("connect")?,
        preprocess: until("preprocess")?,
        postprocess: until("postprocess")?,
        served: until("engine")?,
        engine: counters::first_token_ns(slice),
        ..Costs::default()
    };
    costs.calls(slice);
    if let Some(Chained { pre_ns, post_ns }) = counters::chained(slice) {
        costs.within(pre_ns, post_ns);
    }
    costs.plausible();
    Some(costs)
}

/// Text that comes at another rhythm than the engine's messages owes it to the
/// postprocessing.
fn between(slice: &Slice<'_>) -> Option<Costs> {
    if !slice.stream {
        return None;
    }
    let whole = slice.gap_ns(|record| &record.marks)?;
    let served = slice.gap_ns(arrivals)?;
    let added = whole - served;
    let opening = slice.mean(|record| Some(opening_share(record)))?;
    let mut costs = Costs {
        whole,
        connect: added * opening,
        postprocess: added * (1.0 - opening),
        served,
        engine: counters::pace_ns(slice).and_then(|pace_ns| {
            let tokens = slice.pace_ns().map(|seen_ns| served / seen_ns)?;
            Some(pace_ns * tokens)
        }),
        ..Costs::default()
    };
    costs.plausible();
    Some(costs)
}

/// From the moment at which the slot was free to the answer's end. Calls in
/// front of the engine count as long as they took; postprocessing counts as
/// much as it ended later than the engine: what lay beside it cost nothing.
fn of_slot(slice: &Slice<'_>) -> Option<Costs> {
    let mean = |figure: &dyn Fn(&Record) -> f64| slice.mean(|record| Some(figure(record)));
    let total = |name: &'static str| mean(&|record| hop(record, name).total_ns as f64);
    let late = |record: &Record| lag_ns(record) * opening_share(record);
    let mut costs = Costs {
        whole: mean(&|record| since_ns(record.end_ns, record.scheduled_ns))?,
        client: mean(&|record| {
            since_ns(record.issued_ns, record.scheduled_ns) + record.other_until_first_ns as f64
        })?,
        connect: mean(&|record| opened_before_ns(record) + late(record))?,
        preprocess: total("preprocess")?,
        postprocess: mean(&|record| lag_ns(record) - late(record))?,
        served: total("engine")?,
        engine: counters::request_ns(slice),
        ..Costs::default()
    };
    costs.calls(slice);
    // The text of an answer in one piece is made behind the engine's stream, and
    // the time until its first mark is all of it: nothing is counted twice.
    if let Some(Chained { pre_ns, post_ns }) = counters::chained(slice) {
        costs.within(pre_ns, post_ns);
    }
    costs.plausible();
    Some(costs)
}

/// Of the time that text comes behind the engine, the share in which a channel
/// was opened for the call; 0 where calls share one.
fn opening_share(record: &Record) -> f64 {
    let (connect, post) = (hop(record, "connect"), hop(record, "postprocess"));
    if connect.calls == 0 || post.calls == 0 {
        return 0.0;
    }
    let opening = connect.total_ns as f64 / f64::from(connect.calls);
    let calling = post.total_ns as f64 / f64::from(post.calls);
    let both = opening + calling;
    if both > 0.0 { opening / both } else { 0.0 }
}

/// Connections that were opened in front of the engine: one less for each call
/// of the postprocessing. Out of those before the first token, not out of all: the
/// later ones meet those of all other answers, as an engine gives every answer
/// its token at one moment.
fn opened_before_ns(record: &Record) -> f64 {
    let (connect, post) = (hop(record, "connect"), hop(record, "postprocess"));
    let before = connect.calls.saturating_sub(post.calls);
    let to_first = before + post.calls.min(1);
    if to_first == 0 {
        return 0.0;
    }
    connect.until_first_ns as f64 * f64::from(before) / f64::from(to_first)
}

impl Costs {
    /// Takes the calls that the client made apart into the models' time and what
    /// is on the way to them.
    fn calls(&mut self, slice: &Slice<'_>) {
        let (pre, post) = counters::inside(slice);
        self.told = (pre.is_some(), post.is_some());
        for (part, inside) in [(&mut self.preprocess, pre), (&mut self.postprocess, post)] {
            let within = *part * inside.unwrap_or(1.0);
            self.round_trips += *part - within;
            *part = within;
        }
    }

    /// Calls that the server made itself lie within the one that the client made.
    fn within(&mut self, pre_ns: f64, post_ns: f64) {
        if pre_ns + post_ns <= self.served {
            self.preprocess += pre_ns;
            self.postprocess += post_ns;
            self.served -= pre_ns + post_ns;
            self.chained = true;
        }
    }

    /// An engine that took nothing, or longer than its caller waited, was
    /// counted in another way than it is read here.
    fn plausible(&mut self) {
        let served = self.served;
        self.engine = self
            .engine
            .filter(|engine| *engine > 0.0 && *engine <= served);
    }
}
