//! Gives requests up that say nothing for too long, or that a stop cuts. All
//! are looked after from one place off the client's threads: a timer there would
//! cost every wake-up for a token, as the system arms and clears one for each
//! wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use backends::{Clock, Error, ErrorKind, PIECES_MAX, Pulse, TEXT_BYTES_MAX};
use futures_util::task::AtomicWaker;

use super::Stop;

/// How long a request may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To the first token; for an answer in one piece, to its end.
    pub first_token: Duration,
    /// From each token to the next.
    pub between_tokens: Duration,
}

/// Time between two looks at what a stop may have missed.
const CUT_EVERY: Duration = Duration::from_millis(50);

/// Where a slot's requests are watched.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) pulse: Pulse,
    task: AtomicWaker,
    open: Mutex<Option<Open>>,
}

/// A request under watch.
#[derive(Debug)]
struct Open {
    issued_ns: u64,
    stream: bool,
    verdict: Option<Error>,
}

impl Post {
    /// Watches the request that the pulse has begun to tell of, until
    /// [`Self::close`].
    pub(super) fn open(&self, stream: bool) {
        *self.lock() = Some(Open {
            issued_ns: self.pulse.read().0,
            stream,
            verdict: None,
        });
    }

    /// Wakes that task when there is a verdict.
    pub(super) fn wakes(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Why the request was given up, if it was.
    pub(super) fn verdict(&self) -> Poll<Error> {
        if !self.pulse.is_given_up() {
            return Poll::Pending;
        }
        let verdict = self.lock().as_mut().and_then(|open| open.verdict.take());
        let verdict = verdict.or_else(|| self.pulse.is_flooded().then(flood));
        verdict.map_or(Poll::Pending, Poll::Ready)
    }

    /// The request is over.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// Gives the request up if it has been silent for too long at `now`; else
    /// when it will have been. `None`: there is nothing to wait for.
    fn look(&self, clock: Clock, limits: Limits, now: Instant) -> Option<Instant> {
        // Held over the look, so that it is still the request that the pulse tells of.
        let mut open = self.lock();
        let request = open.as_mut().filter(|open| open.verdict.is_none())?;
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
        self.give_up(request, silence(limit, streaming));
        None
    }

    /// Gives the request up whatever it says.
    fn cut(&self) {
        if let Some(request) = self.lock().as_mut() {
            let words = "stopped by the user before the answer had ended";
            self.give_up(request, Error::new(ErrorKind::Cancelled, words));
        }
    }

    fn give_up(&self, request: &mut Open, why: Error) {
        request.verdict.get_or_insert(why);
        self.pulse.give_up();
        self.task.wake();
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
    pub(super) fn start(clock: Clock, limits: Limits, posts: Arc<[Post]>, stop: Stop) -> Self {
        Self(tokio::spawn(async move {
            tokio::select! {
                () = patrol(clock, limits, &posts) => {}
                () = stop.cut() => {}
            }
            // Again and again: one may have been about to begin.
            loop {
                posts.iter().for_each(Post::cut);
                tokio::time::sleep(CUT_EVERY).await;
            }
        }))
    }
}

impl Drop for Patrol {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn patrol(clock: Clock, limits: Limits, posts: &[Post]) {
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

/// An answer that has grown beyond all bounds.
fn flood() -> Error {
    Error::new(
        ErrorKind::Malformed,
        format!(
            "the answer does not end: it was given up when it had grown far beyond what was asked \
             for (limit: {PIECES_MAX} pieces or 4 for each token asked for, and {} MiB of text)",
            TEXT_BYTES_MAX >> 20
        ),
    )
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
    use std::task::Poll;
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
            post.open(stream);
            if token {
                sink.tokens(1);
            }
            let later = clock.instant_at(clock.now_ns()) + Duration::from_secs(seconds);
            let due = post.look(clock, LIMITS, later);
            let case = format!("{stream} {token} {seconds}");
            assert_eq!(due.is_some(), failure.is_none(), "{case}");
            let verdict = match post.verdict() {
                Poll::Ready(error) => Some(error.kind),
                Poll::Pending => None,
            };
            assert_eq!(verdict, failure, "{case}");
        }
    }

    #[test]
    fn an_answer_without_an_end_is_given_up() {
        let (post, clock) = (Post::default(), Clock::start());
        let mut sink = Sink::start(clock, post.pulse.clone(), 1);
        post.open(true);
        while post.verdict().is_pending() {
            assert!(sink.token_count() < 200_000, "it goes on");
            sink.tokens(1);
        }
        assert!(sink.token_count() >= 65_536, "{}", sink.token_count());
        // The slot's next request is another one.
        let mut sink = Sink::start(clock, post.pulse.clone(), 1);
        post.open(true);
        let megabyte = "x".repeat(1 << 20);
        for _ in 0..16 {
            sink.tokens(1);
            sink.text(&megabyte);
        }
        assert!(post.verdict().is_pending());
        sink.text(&megabyte);
        let Poll::Ready(error) = post.verdict() else {
            panic!("it goes on");
        };
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains("does not end"), "{error}");
        assert_eq!(sink.into_trace().text.len(), 16 << 20);
    }

    #[test]
    fn what_is_over_is_left_alone() {
        let (post, clock) = (Post::default(), Clock::start());
        let far = clock.instant_at(0) + Duration::from_secs(100);
        assert_eq!(post.look(clock, LIMITS, far), None);
        post.open(true);
        post.close();
        assert_eq!(post.look(clock, LIMITS, far), None);
        assert!(post.verdict().is_pending());
        post.open(true);
        assert_eq!(post.look(clock, LIMITS, far), None);
        assert!(post.verdict().is_ready());
    }
}
