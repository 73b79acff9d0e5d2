//! The loop with real sockets and other threads.

mod sockets;

use std::future::{pending, poll_fn};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::{EventLoop, Gone, Spawner, Tcp, spawn};
use crate::Clock;

/// A loop on a thread of its own, ended when dropped.
struct Thread {
    spawner: Spawner,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    fn start() -> Self {
        let events = EventLoop::new().expect("descriptors");
        let spawner = events.spawner();
        let thread = thread::spawn(|| events.run().expect("events"));
        let thread = Some(thread);
        Self { spawner, thread }
    }

    /// What `work` comes to on it, from outside of any runtime.
    fn run<F>(&self, work: F) -> Result<F::Output, Gone>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        futures_util::future::FutureExt::boxed(self.spawner.spawn(work)).block()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.spawner.end();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

/// Waits for a future on a thread that has nothing else to do.
trait Block: Future + Unpin {
    fn block(mut self) -> Self::Output
    where
        Self: Sized,
    {
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = std::pin::Pin::new(&mut self).poll(cx) {
                return output;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl<F: Future + Unpin> Block for F {}

/// Takes connections one after the other and does `talk` with each.
fn server(
    mut talk: impl FnMut(std::net::TcpStream) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let thread = thread::spawn(move || talk(listener.accept().expect("a client").0));
    (address, thread)
}

#[test]
fn a_task_from_outside_runs_there_and_its_result_comes_back() {
    let one = Thread::start();
    let own = one.thread.as_ref().map(|thread| thread.thread().id());
    let there = one.run(async { thread::current().id() });
    assert_eq!(there.ok(), own);
}

#[test]
fn tasks_begin_others_and_wait_for_them() {
    let one = Thread::start();
    let sum = one.run(async {
        let parts: Vec<_> = (0..1000_u32)
            .map(|number| spawn(async move { number }))
            .collect();
        let mut sum = 0;
        for part in parts {
            sum += part.await.expect("ends");
        }
        sum
    });
    assert_eq!(sum, Ok(499_500));
}

#[test]
fn a_task_is_woken_from_another_thread() {
    let one = Thread::start();
    for number in 0..200 {
        let (tell, told) = oneshot::channel();
        let task = one.spawner.spawn(async move { told.await.ok() });
        if number % 2 == 0 {
            // The loop may sleep by now.
            thread::sleep(Duration::from_micros(200));
        }
        tell.send(number).expect("awaited");
        assert_eq!(task.block(), Ok(Some(number)));
    }
}

#[test]
fn a_panic_ends_its_own_task_only() {
    let one = Thread::start();
    assert_eq!(one.run(async { panic!("a bug") }), Err::<(), _>(Gone));
    assert_eq!(one.run(async { 7 }), Ok(7));
}

#[test]
fn the_end_drops_what_has_not_ended_and_takes_no_more() {
    struct Told(Arc<AtomicU32>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicU32::new(0));
    let one = Thread::start();
    let spawner = one.spawner.clone();
    let endless = |told| async move {
        let _told: Told = told;
        pending::<()>().await;
    };
    let begun = spawner.spawn(endless(Told(Arc::clone(&dropped))));
    one.run(async {}).expect("after it");
    drop(one);
    let late = spawner.spawn(endless(Told(Arc::clone(&dropped))));
    assert_eq!((begun.block(), late.block()), (Err(Gone), Err(Gone)));
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

/// Its end comes at the very moment at which somebody wakes one of its tasks.
#[test]
fn an_end_among_other_news_is_an_end() {
    let (done, is_done) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for turn in 0..3000 {
            let one = Thread::start();
            let (tell, told) = oneshot::channel::<()>();
            let _task = one.spawner.spawn(told);
            one.run(async {}).expect("after it");
            drop(tell);
            // About as long as a thread takes to wake.
            let clock = Clock::start();
            while clock.now_ns() < turn * 97 % 120_000 {}
            drop(one);
        }
        done.send(()).expect("awaited");
    });
    let within = Duration::from_secs(60);
    is_done.recv_timeout(within).expect("every loop ended");
}

#[test]
fn whoever_gives_way_comes_back_after_all_others_and_the_sockets() {
    let one = Thread::start();
    let (address, server) = server(|mut client| client.write_all(b"!").expect("open"));
    let seen = one.run(async move {
        let mut socket = Tcp::connect(address).await.expect("open");
        // What was sent is here before anybody looks.
        thread::sleep(Duration::from_millis(50));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |seen: &Arc<Mutex<Vec<_>>>, what| seen.lock().expect("whole").push(what);
        let others = (Arc::clone(&seen), Arc::clone(&seen));
        let reader = spawn(async move {
            socket.read_u8().await.expect("a byte");
            note(&others.0, "read");
        });
        let chain = spawn(async move {
            let next = Arc::clone(&others.1);
            let last = spawn(async move { note(&next, "woken") });
            last.await.expect("ends");
            note(&others.1, "woken by that");
        });
        // Their first turns: the reader finds nothing, as nobody has looked.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        note(&seen, "back");
        reader.await.expect("ends");
        chain.await.expect("ends");
        seen.lock().expect("whole").clone()
    });
    server.join().expect("no panic");
    let seen = seen.expect("ends");
    assert_eq!(seen.last(), Some(&"back"), "{seen:?}");
    assert_eq!(seen.len(), 4);
}

/// Of a task that wakes others and itself without end, neither the sockets nor
/// calls from outside are forgotten.
#[test]
fn who_is_always_ready_starves_nobody() {
    let one = Thread::start();
    let (stop, mut stopped) = oneshot::channel::<()>();
    let busy = one.spawner.spawn(poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        match std::pin::Pin::new(&mut stopped).poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }));
    let (address, server) = server(|mut client| client.write_all(b"!").expect("open"));
    let byte = one.run(async move {
        let mut socket = Tcp::connect(address).await.expect("open");
        socket.read_u8().await.expect("a byte")
    });
    server.join().expect("no panic");
    assert_eq!(byte, Ok(b'!'));
    stop.send(()).expect("awaited");
    assert_eq!(busy.block(), Ok(()));
}
