//! A request in flight: one future that polls the answer, and for a token
//! nothing else. Knows who may give the request up, and keeps a panic within it
//! to itself.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use backends::{Error, ErrorKind, Finish, Pulse};
use futures_util::future::BoxFuture;

use super::silence::Post;

/// The answer to the request that a post watches. What comes to its end first
/// counts: the answer, or what the watch has to say. Flat on purpose, not of
/// combinators: each of those would have its state looked up for every token.
pub(super) struct Flight<'a> {
    answer: BoxFuture<'a, Result<Finish, Error>>,
    /// The post's own, at hand.
    pulse: Pulse,
    post: &'a Post,
    /// Who the watch wakes.
    task: Option<Waker>,
}

impl<'a> Flight<'a> {
    /// The request whose sink has begun and whose answer is `answer`.
    pub(super) fn new(
        answer: BoxFuture<'a, Result<Finish, Error>>,
        post: &'a Post,
        stream: bool,
    ) -> Self {
        post.open(stream);
        Self {
            answer,
            pulse: post.pulse.clone(),
            post,
            task: None,
        }
    }
}

impl Future for Flight<'_> {
    type Output = Result<Finish, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let answer = AssertUnwindSafe(|| this.answer.as_mut().poll(cx));
        match catch_unwind(answer) {
            Ok(Poll::Pending) => {}
            Ok(ended) => return ended,
            Err(_) => return Poll::Ready(Err(panicked())),
        }
        // Before the look, or a word in between would be lost.
        if !this
            .task
            .as_ref()
            .is_some_and(|task| task.will_wake(cx.waker()))
        {
            this.post.wakes(cx.waker());
            this.task = Some(cx.waker().clone());
        }
        if !this.pulse.is_given_up() {
            return Poll::Pending;
        }
        Poll::Ready(Err(ready!(this.post.verdict())))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.post.close();
    }
}

/// A panic within a request is its failure: a bug of ours must cost one
/// request, not the slot and with it the concurrency of the whole run.
#[cold]
pub(super) fn panicked() -> Error {
    Error::new(
        ErrorKind::Malformed,
        "pairbench itself failed on this answer; please report it as a bug",
    )
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    use backends::{Clock, Ending, ErrorKind, Finish, Sink};

    use super::super::Stop;
    use super::super::silence::{Limits, Patrol, Post};
    use super::Flight;

    const FINISH: Finish = Finish {
        ending: Ending::Length,
        prompt_tokens: None,
        completion: None,
    };

    fn patrolled(between: Duration) -> (Arc<[Post]>, Patrol, Stop, Clock) {
        let (stop, clock) = (Stop::default(), Clock::start());
        let posts: Arc<[Post]> = [Post::default()].into();
        let limits = Limits {
            first_token: Duration::from_secs(60),
            between_tokens: between,
        };
        let patrol = Patrol::start(clock, limits, Arc::clone(&posts), stop.clone());
        (posts, patrol, stop, clock)
    }

    #[tokio::test]
    async fn the_answer_counts_if_it_comes() {
        let (posts, _patrol, _stop, clock) = patrolled(Duration::from_secs(60));
        let _sink = Sink::start(clock, posts[0].pulse.clone(), 1);
        let answer = Box::pin(ready(Ok(FINISH)));
        let finish = Flight::new(answer, &posts[0], true).await;
        assert_eq!(finish.expect("good").ending, Ending::Length);
    }

    #[tokio::test]
    async fn silence_ends_it_and_the_next_is_not_touched() {
        let (posts, _patrol, _stop, clock) = patrolled(Duration::from_millis(5));
        for _ in 0..3 {
            let mut sink = Sink::start(clock, posts[0].pulse.clone(), 1);
            sink.tokens(1);
            let flight = Flight::new(Box::pin(pending()), &posts[0], true);
            let error = flight.await.expect_err("silent");
            assert_eq!(error.kind, ErrorKind::TimeoutBetweenTokens);
            let _sink = Sink::start(clock, posts[0].pulse.clone(), 1);
            let answer = Box::pin(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(FINISH)
            });
            let next = Flight::new(answer, &posts[0], true).await;
            assert!(next.is_ok(), "{next:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_cuts_it() {
        let (posts, _patrol, stop, clock) = patrolled(Duration::from_secs(60));
        let _sink = Sink::start(clock, posts[0].pulse.clone(), 1);
        let flight = Flight::new(Box::pin(pending()), &posts[0], true);
        stop.wish();
        stop.wish();
        let error = flight.await.expect_err("cut");
        assert_eq!(error.kind, ErrorKind::Cancelled);
    }

    #[tokio::test]
    async fn a_panic_costs_one_request() {
        let (posts, _patrol, _stop, clock) = patrolled(Duration::from_secs(60));
        let _sink = Sink::start(clock, posts[0].pulse.clone(), 1);
        let answer = poll_fn(|_| -> Poll<Result<Finish, _>> { panic!("a bug") });
        let error = Flight::new(Box::pin(answer), &posts[0], true).await;
        assert!(error.expect_err("a failure").message.contains("a bug"));
    }
}
