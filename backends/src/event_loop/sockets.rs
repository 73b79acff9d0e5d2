//! What each socket of a loop is ready for, and whose task waits for it. Knows no
//! bytes.
//!
//! The system tells of each change once (edge-triggered): what it told holds
//! until a read or a write finds that it no longer does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use mio::Token;
use mio::event::Event;
use slab::Slab;

/// The sockets of a loop by the keys that the system tells them by.
#[derive(Default)]
pub(super) struct Sockets(Slab<Arc<Readiness>>);

impl Sockets {
    pub(super) fn add(&mut self) -> (usize, Arc<Readiness>) {
        let readiness = Arc::new(Readiness::default());
        (self.0.insert(Arc::clone(&readiness)), readiness)
    }

    /// To be dropped when nobody is kept waiting: what waits for it may have
    /// anything to do at its end.
    #[must_use]
    pub(super) fn remove(&mut self, key: usize) -> Option<Arc<Readiness>> {
        self.0.try_remove(key)
    }

    /// Passes on what the system told. Of a socket that was closed since, or whose
    /// key another has by now, that is no harm: it is only a look too many.
    #[inline]
    pub(super) fn tell(&self, event: &Event) {
        let Token(key) = event.token();
        let Some(readiness) = self.0.get(key) else {
            return;
        };
        let mut news = 0;
        if event.is_readable() {
            news |= Side::Read.ready();
        }
        if event.is_writable() {
            news |= Side::Write.ready();
        }
        if event.is_read_closed() || event.is_error() {
            news |= Side::Read.closed();
        }
        if event.is_write_closed() || event.is_error() {
            news |= Side::Write.closed();
        }
        readiness.is(news);
    }
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read = 0,
    Write = 1,
}

impl Side {
    /// It can be read, or written.
    const fn ready(self) -> usize {
        1 << self as usize
    }

    /// It can, and that will not change: the other end has closed, or the socket
    /// failed.
    const fn closed(self) -> usize {
        4 << self as usize
    }

    const fn either(self) -> usize {
        self.ready() | self.closed()
    }
}

/// One more event: tells apart what was seen before it and after.
const EVENT: usize = 16;

/// What a socket is ready for.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    state: AtomicUsize,
    waiting: Mutex<[Option<Waker>; 2]>,
}

/// A state in which a socket was ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(usize);

impl Readiness {
    #[inline]
    fn is(&self, news: usize) {
        // First the event: whoever is about to forget what it saw before finds that
        // things have changed. Only the loop's thread adds events.
        self.state.fetch_add(EVENT, Ordering::AcqRel);
        let before = self.state.fetch_or(news, Ordering::AcqRel);
        for side in [Side::Read, Side::Write] {
            // Nobody waits for what was there already.
            if news & !before & side.either() != 0 {
                self.wake(side);
            }
        }
    }

    #[inline]
    fn wake(&self, side: Side) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &waiting[side as usize] {
            waker.wake_by_ref();
        }
    }

    /// Waits until the socket is ready. `woken` is who the last wait was for, as
    /// whoever asks remembers it: mostly the same again.
    #[inline]
    pub(super) fn poll_ready(
        &self,
        side: Side,
        woken: &mut Option<Waker>,
        cx: &mut Context<'_>,
    ) -> Poll<Seen> {
        let seen = self.state.load(Ordering::Acquire);
        if seen & side.either() != 0 {
            return Poll::Ready(Seen(seen));
        }
        if woken
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        self.wait(side, woken, cx)
    }

    #[cold]
    fn wait(&self, side: Side, woken: &mut Option<Waker>, cx: &mut Context<'_>) -> Poll<Seen> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting[side as usize] = Some(cx.waker().clone());
        drop(waiting);
        *woken = Some(cx.waker().clone());
        // An event may have come in between, and found nobody.
        let seen = self.state.load(Ordering::Acquire);
        if seen & side.either() != 0 {
            return Poll::Ready(Seen(seen));
        }
        Poll::Pending
    }

    /// The socket had no more than what was taken, so it is not ready any more;
    /// unless an event has come since. One that is closed is at its end instead.
    #[inline]
    pub(super) fn took_all(&self, side: Side, seen: Seen) {
        self.forget(seen, side.ready());
    }

    /// The socket would have had whoever asked it wait.
    #[inline]
    pub(super) fn would_block(&self, side: Side, seen: Seen) {
        self.forget(seen, side.either());
    }

    #[inline]
    fn forget(&self, Seen(seen): Seen, what: usize) {
        let now = seen & !what;
        // It fails when an event has come since, or the other side has changed: a
        // look too many, then.
        let _ = self
            .state
            .compare_exchange(seen, now, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::{Readiness, Seen, Side};

    fn looks(at: &Readiness) -> Option<Seen> {
        let cx = &mut Context::from_waker(Waker::noop());
        match at.poll_ready(Side::Read, &mut None, cx) {
            Poll::Ready(seen) => Some(seen),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_was_told_holds_until_it_is_seen_not_to() {
        let one = Readiness::default();
        assert!(looks(&one).is_none());
        one.is(Side::Write.ready());
        assert!(looks(&one).is_none());
        one.is(Side::Read.ready());
        let seen = looks(&one).expect("ready");
        one.took_all(Side::Read, seen);
        assert!(looks(&one).is_none());
    }

    #[test]
    fn an_event_that_comes_before_the_end_of_a_read_is_not_lost() {
        let one = Readiness::default();
        one.is(Side::Read.ready());
        let seen = looks(&one).expect("ready");
        one.is(Side::Read.ready());
        one.would_block(Side::Read, seen);
        assert!(looks(&one).is_some());
    }

    #[test]
    fn a_closed_socket_stays_ready_for_its_end() {
        let one = Readiness::default();
        one.is(Side::Read.closed());
        let seen = looks(&one).expect("ready");
        one.took_all(Side::Read, seen);
        let seen = looks(&one).expect("at its end");
        one.would_block(Side::Read, seen);
        assert!(looks(&one).is_none());
    }
}
