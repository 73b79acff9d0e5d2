//! When the next token of one answer is due. One timer per answer.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Sleep;

use super::{Desk, Handed, nanoseconds};

/// Notes when a request had been read, and lets every other that is there be
/// read before anything is done for this one: when hundreds come at once, none
/// is to look late because others are being answered.
pub(super) async fn arrived(desk: &Desk) -> u64 {
    let arrived_ns = desk.clock.now_ns();
    tokio::task::yield_now().await;
    arrived_ns
}

/// The pace of one answer, and what was handed over of it.
#[derive(Debug)]
pub(super) struct Beat<'a> {
    desk: &'a Desk,
    request: u64,
    arrived_ns: u64,
    first_ns: u64,
    per_token_ns: u64,
    tokens: u32,
    handed: u32,
    at_ns: Vec<u64>,
    timer: Pin<Box<Sleep>>,
}

impl<'a> Beat<'a> {
    /// The pace of an answer of `tokens` tokens to a request that had been
    /// read at `arrived_ns`. `name` is what the client calls it.
    pub(super) fn start(desk: &'a Desk, arrived_ns: u64, name: &str, tokens: u32) -> Self {
        let request = name.parse().unwrap_or(u64::MAX);
        Self {
            desk,
            request,
            arrived_ns,
            first_ns: desk.pace.first_due_ns(arrived_ns, request),
            per_token_ns: nanoseconds(desk.pace.per_token),
            tokens,
            handed: 0,
            at_ns: Vec::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// Tokens handed over.
    pub(super) fn total(&self) -> u32 {
        self.handed
    }

    /// Waits for the next tokens; how many are due. 0: there are no more.
    pub(super) async fn due(&mut self) -> u32 {
        let sent = self.total();
        let left = self.tokens.saturating_sub(sent);
        if left == 0 {
            return 0;
        }
        if sent > 0 && self.per_token_ns == 0 {
            // Every answer's turn comes before the next of this one.
            tokio::task::yield_now().await;
            return 1;
        }
        let gaps_ns = u64::from(sent).saturating_mul(self.per_token_ns);
        let next_ns = self.first_ns.saturating_add(gaps_ns);
        let mut now_ns = self.desk.clock.now_ns();
        while now_ns < next_ns {
            let at = self.desk.clock.instant_at(next_ns);
            self.timer.as_mut().reset(at.into());
            self.timer.as_mut().await;
            now_ns = self.desk.clock.now_ns();
        }
        if self.per_token_ns == 0 {
            return 1;
        }
        let due = (now_ns - next_ns) / self.per_token_ns + 1;
        u32::try_from(due).unwrap_or(u32::MAX).min(left)
    }

    /// A token is handed over now.
    pub(super) fn stamp(&mut self) {
        if self.at_ns.is_empty() {
            // Whoever asks for a thousand million tokens gets no memory before they come.
            let room = usize::try_from(self.tokens).unwrap_or(0).min(4096);
            self.at_ns.reserve(room);
        }
        self.at_ns.push(self.desk.clock.now_ns());
        self.hand_over();
    }

    /// A token is handed to whoever will know its time.
    pub(super) fn hand_over(&mut self) {
        self.handed += 1;
    }

    /// The answer is out: enters it into the book.
    pub(super) fn book(self) {
        let desk = self.desk;
        desk.book.enter(self.finish());
    }

    /// The answer is out: what the book is to hold, with the times that were stamped.
    pub(super) fn finish(self) -> Handed {
        Handed {
            request: self.request,
            arrived_ns: self.arrived_ns,
            at_ns: self.at_ns,
        }
    }
}
