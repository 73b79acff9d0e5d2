//! The only clock while a request is in flight. A backend says *what* came;
//! the sink knows *when*, in one line, the same for every protocol. Computes
//! no metric and never spreads tokens over time.

use std::time::{Duration, Instant};

use crate::trace::{Hop, Mark, Trace};

mod pulse;

pub use self::pulse::Pulse;

/// One monotonic clock: nanoseconds since an origin. Copies share the origin,
/// so their readings may be subtracted from each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Nanoseconds since the origin.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn now_ns(&self) -> u64 {
        let since = Instant::now().saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The origin on the system's own monotonic clock (`CLOCK_MONOTONIC`), in
    /// nanoseconds since the machine started: what another process on the
    /// machine needs to share this clock by [`Clock::with_origin`]. `None`
    /// where the system has no such clock.
    #[must_use]
    #[cfg(unix)]
    pub fn origin_since_boot_ns(&self) -> Option<u64> {
        let (at, since_boot_ns) = both_clocks();
        let since = at.saturating_duration_since(self.origin);
        since_boot_ns.checked_sub(u64::try_from(since.as_nanos()).ok()?)
    }

    /// The clock with an origin that another process told. The two agree
    /// within the time of one reading, some tens of nanoseconds. `None` where
    /// the system has no such clock or the origin is no moment on it.
    #[must_use]
    #[cfg(unix)]
    pub fn with_origin(origin_since_boot_ns: u64) -> Option<Self> {
        let (at, since_boot_ns) = both_clocks();
        let since_ns = since_boot_ns.checked_sub(origin_since_boot_ns)?;
        let origin = at.checked_sub(Duration::from_nanos(since_ns))?;
        Some(Self { origin })
    }

    /// Here no clock is known to be shared by processes.
    #[must_use]
    #[cfg(not(unix))]
    pub fn origin_since_boot_ns(&self) -> Option<u64> {
        None
    }

    /// Here no clock is known to be shared by processes.
    #[must_use]
    #[cfg(not(unix))]
    pub fn with_origin(_origin_since_boot_ns: u64) -> Option<Self> {
        None
    }

    /// The moment `at_ns` after the origin, for timers.
    #[must_use]
    pub fn instant_at(&self, at_ns: u64) -> Instant {
        self.origin + Duration::from_nanos(at_ns)
    }
}

/// The same moment on our clock and on the system's, the latter in nanoseconds.
/// Readings of one between two of the other, the tightest of a few: a process
/// that was put off in between would else be off by as much.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
fn both_clocks() -> (Instant, u64) {
    use rustix::time::{ClockId, clock_gettime};

    const TRIES: usize = 8;
    let read = || {
        let before = Instant::now();
        let system = clock_gettime(ClockId::Monotonic);
        let width = before.elapsed();
        let seconds = u64::try_from(system.tv_sec).unwrap_or_default();
        let rest = u64::try_from(system.tv_nsec).unwrap_or_default();
        (width, before + width / 2, seconds * 1_000_000_000 + rest)
    };
    let mut best = read();
    for _ in 1..TRIES {
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    (best.1, best.2)
}

/// The most pieces that are kept of an answer, or this many for each token asked
/// for where that is more. Beyond it the server does not mean to stop.
pub const PIECES_MAX: usize = 1 << 16;

/// The most text that is kept of an answer, bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Receives one request's messages and stamps them. All that a mark needs comes
/// first: where it lies at the begin of a cache line, in that.
#[derive(Debug)]
#[repr(C)]
pub struct Sink {
    clock: Clock,
    pulse: Pulse,
    marks: Vec<Mark>,
    tokens_so_far: u32,

    /// What was seen but for the marks.
    trace: Trace,
    engine_so_far: u32,
    open: [Option<u64>; 4],
    phase: Option<Hop>,
    phase_since_ns: u64,
    ended: bool,
    pieces_max: usize,
}

impl Sink {
    /// A sink for one request, issued now.
    #[must_use]
    pub fn start(clock: Clock, pulse: Pulse, expected_tokens: u32) -> Self {
        // The vector should not grow while the clock runs, and a request for a
        // million tokens should not take memory before it has any.
        let expected = usize::try_from(expected_tokens).unwrap_or(0);
        let room = expected.min(4096) + 2;
        let issued_ns = clock.now_ns();
        pulse.reset(issued_ns);
        Self {
            marks: Vec::with_capacity(room),
            pieces_max: PIECES_MAX.max(expected.saturating_mul(4)),
            ..Self::issued(clock, pulse, issued_ns)
        }
    }

    /// One to stand in its place while it is lent.
    pub(crate) fn stand_in(&self) -> Self {
        Self::issued(self.clock, self.pulse.clone(), self.trace.issued_ns)
    }

    fn issued(clock: Clock, pulse: Pulse, issued_ns: u64) -> Self {
        Self {
            clock,
            pulse,
            marks: Vec::new(),
            tokens_so_far: 0,
            trace: Trace {
                issued_ns,
                ..Trace::default()
            },
            engine_so_far: 0,
            open: [None; 4],
            phase: None,
            phase_since_ns: issued_ns,
            ended: false,
            pieces_max: usize::MAX,
        }
    }

    /// Whether nobody waits for the request any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.pulse.is_given_up()
    }

    /// Looks at what the next mark will touch, or near it. What it says means
    /// nothing.
    #[inline]
    pub(crate) fn look_ahead(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.at_ns) ^ self.pulse.look_ahead()
    }

    /// A message without tokens: a role-only event, an empty delta, usage, an
    /// empty final frame. No mark.
    pub fn event(&mut self) {
        if self.trace.first_event_ns.is_none() {
            self.trace.first_event_ns = Some(self.clock.now_ns());
        }
    }

    /// A piece of the answer with `new` tokens; 0 where the wire does not say.
    pub fn tokens(&mut self, new: u32) {
        let at_ns = self.clock.now_ns();
        self.mark(at_ns, new);
    }

    /// A message of a wire that repeats the whole answer, `total` tokens by
    /// now. Says how many of them are new; none is no mark. A total that
    /// shrinks counts as nothing new: the backend must object.
    pub fn tokens_so_far(&mut self, total: u32) -> u32 {
        let at_ns = self.clock.now_ns();
        let new = total.saturating_sub(self.tokens_so_far);
        if new == 0 {
            self.trace.first_event_ns.get_or_insert(at_ns);
        } else {
            self.mark(at_ns, new);
        }
        new
    }

    /// The engine's own message, `total` tokens by now, where the client still
    /// has to make text of it. No mark: the answer is not in the client's
    /// hands yet. Says how many tokens are new.
    pub fn engine_tokens_so_far(&mut self, total: u32) -> u32 {
        let at_ns = self.clock.now_ns();
        self.trace.first_event_ns.get_or_insert(at_ns);
        let tokens = total.saturating_sub(self.engine_so_far);
        if tokens > 0 {
            self.engine_so_far = total;
            if self.trace.engine_marks.len() == self.trace.engine_marks.capacity() {
                self.limit(self.trace.engine_marks.len());
            }
            self.trace.engine_marks.push(Mark { at_ns, tokens });
            // The engine lives, so the request does, however long the text takes.
            self.pulse.beat(at_ns);
        }
        tokens
    }

    /// Text of the piece that was just marked. Call it after the mark.
    pub fn text(&mut self, piece: &str) {
        let text = &self.trace.text;
        if text.capacity() - text.len() < piece.len() && !self.has_room(piece.len()) {
            return;
        }
        self.trace.text.push_str(piece);
        if self.marks.len() == 1 {
            self.trace.first_text_bytes = self.trace.text.len();
        }
    }

    /// The request enters a part of its way.
    pub fn enter(&mut self, hop: Hop) {
        let at_ns = self.clock.now_ns();
        self.turn(at_ns, Some(hop));
        self.trace.hops[hop.index()].calls += 1;
        self.open[hop.index()].get_or_insert(at_ns);
    }

    /// The request leaves a part of its way. Leaving what was not entered is
    /// nothing.
    pub fn leave(&mut self, hop: Hop) {
        let at_ns = self.clock.now_ns();
        if self.phase == Some(hop) {
            // Whoever is still open is waited for: the engine, while the first
            // piece of text is held back for the rest of its character.
            let still_open = Hop::ALL
                .into_iter()
                .rev()
                .find(|other| *other != hop && self.open[other.index()].is_some());
            self.turn(at_ns, still_open);
        }
        if let Some(since_ns) = self.open[hop.index()].take() {
            self.trace.hops[hop.index()].total_ns += at_ns.saturating_sub(since_ns);
        }
    }

    /// The answer has ended, whatever the client still has to read. The first
    /// call counts.
    pub fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.trace.end_ns = self.clock.now_ns();
        }
    }

    /// Tokens marked so far.
    #[must_use]
    pub fn token_count(&self) -> u32 {
        self.tokens_so_far
    }

    /// Whether a piece with tokens has come.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Ends the request, if that has not been done, and hands out what was seen.
    #[must_use]
    pub fn into_trace(mut self) -> Trace {
        self.end();
        for hop in Hop::ALL {
            if let Some(since_ns) = self.open[hop.index()].take() {
                let inside_ns = self.trace.end_ns.saturating_sub(since_ns);
                self.trace.hops[hop.index()].total_ns += inside_ns;
            }
        }
        self.trace.marks = self.marks;
        self.trace
    }

    #[inline]
    fn mark(&mut self, at_ns: u64, tokens: u32) {
        if self.marks.is_empty() {
            self.first(at_ns);
        }
        self.tokens_so_far = self.tokens_so_far.saturating_add(tokens);
        if self.marks.len() == self.marks.capacity() {
            self.limit(self.marks.len());
        }
        self.marks.push(Mark { at_ns, tokens });
        self.pulse.beat(at_ns);
    }

    #[cold]
    fn first(&mut self, at_ns: u64) {
        self.turn(at_ns, self.phase);
        self.trace.first_event_ns.get_or_insert(at_ns);
    }

    /// Gives the request up when it has so many pieces that its answer does not
    /// end. Looked at only when the pieces need more memory.
    #[cold]
    fn limit(&self, pieces: usize) {
        if pieces >= self.pieces_max {
            self.pulse.flood();
        }
    }

    /// Whether so much more text may be kept. Looked at only when the text needs
    /// more memory.
    #[cold]
    fn has_room(&self, more: usize) -> bool {
        let has_room = self.trace.text.len().saturating_add(more) <= TEXT_BYTES_MAX;
        if !has_room {
            self.pulse.flood();
        }
        has_room
    }

    /// Books the time since the last turn on the phase that it was spent in.
    fn turn(&mut self, at_ns: u64, next: Option<Hop>) {
        if self.marks.is_empty() {
            let spent_ns = at_ns.saturating_sub(self.phase_since_ns);
            match self.phase {
                Some(hop) => self.trace.hops[hop.index()].until_first_ns += spent_ns,
                None => self.trace.other_until_first_ns += spent_ns,
            }
            self.phase_since_ns = at_ns;
        }
        self.phase = next;
    }
}

#[cfg(test)]
mod tests;
