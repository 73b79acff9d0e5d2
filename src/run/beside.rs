//! What goes on beside a request, at no cost per wake-up: another future that
//! watches it, an act once it has begun. Knows nothing of requests.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::Either;
use futures_util::task::AtomicWaker;

/// Tells a wake-up that the watching future asked for from all others.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// Whichever ends first; `work` where both do. `tokio::select!` would poll both
/// at every wake-up; here a token that wakes `work` costs `watch` nothing, as it
/// is polled only when it asked for that.
pub(super) async fn beside<W: Future, O: Future>(
    work: W,
    watch: O,
) -> Either<W::Output, O::Output> {
    let bell = Arc::new(Bell {
        rung: AtomicBool::new(true),
        task: AtomicWaker::new(),
    });
    let waker = Waker::from(Arc::clone(&bell));
    let (mut work, mut watch) = (pin!(work), pin!(watch));
    let mut registered: Option<Waker> = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Either::Left(output));
        }
        // Before the look at the bell, or a ring in between would be lost. A task
        // keeps its waker, so that this is done once and not at every wake-up.
        if !registered
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            bell.task.register(cx.waker());
            registered = Some(cx.waker().clone());
        }
        if bell.rung.load(Ordering::Acquire) && bell.rung.swap(false, Ordering::Acquire) {
            let mut context = Context::from_waker(&waker);
            return watch.as_mut().poll(&mut context).map(Either::Right);
        }
        Poll::Pending
    })
    .await
}

/// Looks at the runtime's other tasks and its sockets after which what `work`
/// has begun is taken to be under way.
const LOOKS: u32 = 2;

/// Does `act` when `work` has begun, and all tasks that it woke have had their
/// turn, too: a call over a shared connection goes through several before it is
/// written.
pub(super) async fn once_begun<W: Future>(work: W, act: impl FnOnce()) -> W::Output {
    let mut work = pin!(work);
    for _ in 0..LOOKS {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            act();
            return output;
        }
        // tokio wakes it after its next look at the sockets, when those that are
        // ready now have run.
        tokio::task::yield_now().await;
    }
    act();
    work.await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn, ready};
    use std::task::Poll;
    use std::time::Duration;

    use futures_util::future::Either;

    use super::{beside, once_begun};

    #[tokio::test]
    async fn the_act_comes_after_what_the_work_woke() {
        let seen = std::cell::RefCell::new(Vec::new());
        let (hand, taken) = tokio::sync::oneshot::channel();
        let (reply, replied) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            taken.await.expect("handed over");
            tokio::spawn(async move { reply.send(()) });
        });
        let work = async {
            seen.borrow_mut().push("begun");
            hand.send(()).expect("awaited");
            replied.await.expect("sent");
            seen.borrow_mut().push("replied");
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen.borrow_mut().push("rest");
        };
        once_begun(work, || seen.borrow_mut().push("act")).await;
        once_begun(ready(()), || seen.borrow_mut().push("at once")).await;
        let expected = ["begun", "replied", "act", "rest", "at once"];
        assert_eq!(*seen.borrow(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_end_wins_and_work_before_watch() {
        assert!(matches!(beside(ready(1), ready(2)).await, Either::Left(1)));
        assert!(matches!(
            beside(pending::<()>(), ready(2)).await,
            Either::Right(2)
        ));
        let late = tokio::time::sleep(Duration::from_secs(5));
        assert!(matches!(
            beside(pending::<()>(), late).await,
            Either::Right(())
        ));
        let soon = tokio::time::sleep(Duration::from_secs(1));
        let late = tokio::time::sleep(Duration::from_secs(5));
        assert!(matches!(beside(soon, late).await, Either::Left(())));
    }

    #[tokio::test]
    async fn the_watch_is_not_polled_for_what_wakes_the_work() {
        let polls = Cell::new(0);
        let watch = poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::<()>::Pending
        });
        let work = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        assert!(matches!(beside(work, watch).await, Either::Left(())));
        assert_eq!(polls.get(), 1);
    }
}
