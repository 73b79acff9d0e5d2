//! Ends requests that say nothing for too long. All are looked after from one
//! place off the client's threads: a timer there would cost every wake-up for a
//! token, as the system arms and clears one for each wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backends::{Clock, Error, ErrorKind, Pulse};
use tokio::sync::oneshot;

/// How long a request may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To the first token; for an answer in one piece, to its end.
    pub first_token: Duration,
    /// From each token to the next.
    pub between_tokens: Duration,
}

/// Where a slot's requests are watched.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) pulse: Pulse,
    open: Mutex<Option<Open>>,
}

/// A request under watch.
#[derive(Debug)]
struct Open {
    issued_ns: u64,
    stream: bool,
    tell: oneshot::Sender<Error>,
}

impl Post {
    /// Watches the request that the pulse has begun to tell of, until
    /// [`Self::close`]. What comes is its failure.
    pub(super) fn open(&self, stream: bool) -> oneshot::Receiver<Error> {
        let (tell, told) = oneshot::channel();
        *self.lock() = Some(Open {
            issued_ns: self.pulse.read().0,
            stream,
            tell,
        });
        told
    }

    /// The request is over.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// Fails the request if it has been silent for too long at `now`; else when
    /// it will have been. `None`: no request is open.
    fn look(&self, clock: Clock, limits: Limits, now: Instant) -> Option<Instant> {
        // Held over the look, so that it is still the request that the pulse tells of.
        let mut open = self.lock();
        let request = open.as_ref()?;
        let (last_ns, has_tokens) = self.pulse.read();
        // An answer in one piece may come over a wire that shows it growing; its
        // limit is for the whole all the same.
        let streaming = request.stream && has_tokens;
        let (since_ns, limit) = if streaming {
            (last_ns, limits.between_tokens)
        } else {
            (request.issued_ns, limits.first_token)
        };
        let due = clock.instant_at(since_ns) + limit;
        if due > now {
            return Some(due);
        }
        // Who is not there any more needs no word.
        let _ = open.take()?.tell.send(silence(limit, streaming));
        None
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // Nothing panics while it is held, and each write is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch over all posts of a run; ends when dropped.
#[derive(Debug)]
pub(super) struct Patrol(tokio::task::JoinHandle<()>);

impl Patrol {
    /// Starts to look. Must be called within a tokio runtime, not one of the
    /// client's own.
    pub(super) fn start(clock: Clock, limits: Limits, posts: Arc<[Post]>) -> Self {
        Self(tokio::spawn(patrol(clock, limits, posts)))
    }
}

impl Drop for Patrol {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn patrol(clock: Clock, limits: Limits, posts: Arc<[Post]>) {
    // A request that begins after a look cannot be due before the next.
    let look_every = limits.between_tokens.min(limits.first_token);
    loop {
        let now = clock.instant_at(clock.now_ns());
        let dues = posts
            .iter()
            .filter_map(|post| post.look(clock, limits, now));
        let next = dues.fold(now + look_every, Instant::min);
        tokio::time::sleep_until(next.into()).await;
    }
}

fn silence(limit: Duration, streaming: bool) -> Error {
    let seconds = limit.as_secs_f64();
    if streaming {
        Error::new(
            ErrorKind::TimeoutBetweenTokens,
            format!("no further token for {seconds} s (limit: --token-timeout)"),
        )
    } else {
        Error::new(
            ErrorKind::TimeoutFirstToken,
            format!(
                "no token, or no whole answer without streaming, for {seconds} s (limit: --first-token-timeout)"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backends::{Clock, ErrorKind, Sink};

    use super::{Limits, Post};

    const LIMITS: Limits = Limits {
        first_token: Duration::from_secs(10),
        between_tokens: Duration::from_secs(1),
    };

    #[test]
    fn the_limit_is_that_of_what_is_awaited() {
        use ErrorKind::{TimeoutBetweenTokens, TimeoutFirstToken};
        // (streamed, whether a token came, seconds since; how it failed)
        for (stream, token, seconds, failure) in [
            (true, false, 9, None),
            (true, false, 11, Some(TimeoutFirstToken)),
            (true, true, 2, Some(TimeoutBetweenTokens)),
            (false, true, 9, None),
            (false, true, 11, Some(TimeoutFirstToken)),
        ] {
            let (post, clock) = (Post::default(), Clock::start());
            let mut sink = Sink::start(clock, post.pulse.clone(), 1);
            let mut told = post.open(stream);
            if token {
                sink.tokens(1);
            }
            let later = clock.instant_at(clock.now_ns()) + Duration::from_secs(seconds);
            let due = post.look(clock, LIMITS, later);
            let case = format!("{stream} {token} {seconds}");
            assert_eq!(due.is_some(), failure.is_none(), "{case}");
            assert_eq!(
                told.try_recv().ok().map(|error| error.kind),
                failure,
                "{case}"
            );
        }
    }

    #[test]
    fn what_is_over_is_left_alone() {
        let (post, clock) = (Post::default(), Clock::start());
        let far = clock.instant_at(0) + Duration::from_secs(100);
        assert_eq!(post.look(clock, LIMITS, far), None);
        let mut first = post.open(true);
        post.close();
        let mut second = post.open(true);
        assert_eq!(post.look(clock, LIMITS, far), None);
        assert!(first.try_recv().is_err());
        assert!(second.try_recv().is_ok());
    }
}
