//! The loop with real sockets and other threads.

use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

#[test]
fn bytes_go_both_ways_however_much_and_end() {
    let one = Thread::start();
    let (address, server) = server(|mut client| {
        let mut all = vec![0; 3 << 20];
        client.read_exact(&mut all).expect("all of it");
        client.write_all(&all).expect("all of it");
    });
    let same = one.run(async move {
        let mut socket = Tcp::connect(address).await.expect("open");
        let sent: Vec<u8> = (0..3 << 20)
            .map(|at: u32| u8::try_from(at % 251).expect("small"))
            .collect();
        socket.write_all(&sent).await.expect("all of it");
        let mut came = Vec::new();
        socket.read_to_end(&mut came).await.expect("to its end");
        came == sent
    });
    server.join().expect("no panic");
    assert_eq!(same, Ok(true));
}

/// Data and the end of the connection in one event, and a read that is shorter
/// than its room: the end must be seen all the same.
#[test]
fn an_end_that_came_with_the_last_bytes_is_seen() {
    let one = Thread::start();
    for _ in 0..50 {
        let (address, server) = server(|mut client| client.write_all(b"last").expect("open"));
        let came = one.run(async move {
            let mut socket = Tcp::connect(address).await.expect("open");
            thread::sleep(Duration::from_millis(2));
            let mut came = Vec::new();
            socket.read_to_end(&mut came).await.expect("to its end");
            came
        });
        server.join().expect("no panic");
        assert_eq!(came, Ok(b"last".to_vec()));
    }
}

/// Whose waker is no task's: each part of the task has its own.
#[test]
fn parts_of_a_task_wait_for_sockets_of_their_own() {
    let one = Thread::start();
    let servers: Vec<_> = (1..=20)
        .map(|number: u8| {
            server(move |mut client| {
                for byte in [number; 3] {
                    thread::sleep(Duration::from_millis(u64::from(number % 5)));
                    client.write_all(&[byte]).expect("open");
                }
            })
        })
        .collect();
    let (addresses, threads): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
    let sum = one.run(async move {
        let reads = addresses.into_iter().map(|address| async move {
            let mut socket = Tcp::connect(address).await.expect("open");
            let mut came = Vec::new();
            socket.read_to_end(&mut came).await.expect("to its end");
            came.into_iter().map(u32::from).sum::<u32>()
        });
        let sums: Vec<u32> = reads.collect::<FuturesUnordered<_>>().collect().await;
        sums.into_iter().sum::<u32>()
    });
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(sum, Ok(3 * 210));
}

#[test]
fn nobody_there_is_an_error() {
    let one = Thread::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let kind = one.run(async move { Tcp::connect(address).await.map_err(|error| error.kind()) });
    let kind = kind.expect("ends").map(drop);
    assert_eq!(kind, Err(std::io::ErrorKind::ConnectionRefused));
}

/// Reset as soon as it was accepted: it was open, and is closed.
#[test]
fn who_hangs_up_at_once_was_there() {
    let one = Thread::start();
    for turn in 0..50 {
        let (address, server) = server(|client| {
            let linger = Some(Duration::ZERO);
            let socket = socket2::SockRef::from(&client);
            socket.set_linger(linger).expect("open");
        });
        let read = one.run(async move {
            let connecting = spawn(Tcp::connect(address));
            // The reset mostly comes before the connection is looked at.
            tokio::task::yield_now().await;
            thread::sleep(Duration::from_millis(turn % 3));
            let mut socket = connecting.await.expect("ends").expect("it was there");
            socket.read(&mut [0]).await
        });
        server.join().expect("no panic");
        match read.expect("ends") {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_connection_that_is_to_end_with_a_reset_does() {
    let one = Thread::start();
    let (address, server) = server(|mut client| {
        let error = client.read(&mut [0]).expect_err("reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
    let reset = one.run(async move {
        let socket = Tcp::connect(address).await.expect("open");
        socket.end_with_reset().expect("open");
    });
    server.join().expect("no panic");
    assert_eq!(reset, Ok(()));
}

#[tokio::test]
async fn small_messages_are_not_held_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let one = Thread::start();
    let there = one.spawner.spawn(Tcp::connect(address)).await;
    for socket in [there.expect("ends"), Tcp::connect(address).await] {
        let socket = socket.expect("open");
        assert!(socket.socket().tcp_nodelay().expect("open"));
    }
}

/// Of a server that sends without end there is always more to read: its reader must
/// not keep the thread.
#[test]
fn a_server_that_is_quicker_than_its_reader_starves_nobody() {
    let one = Thread::start();
    let (address, server) = server(|mut client| {
        let piece = vec![7; 1 << 20];
        while client.write_all(&piece).is_ok() {}
    });
    let reads = one.run(async move {
        let mut socket = Tcp::connect(address).await.expect("open");
        let reader = spawn(async move {
            let mut room = [0; 4096];
            for number in 0..20_000 {
                socket.read_exact(&mut room).await.expect("more");
                // The sender stays ahead, however many cores there are.
                if number % 64 == 0 {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        });
        let mut turns = 0;
        let mut reader = std::pin::pin!(reader);
        poll_fn(|cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            reader.as_mut().poll(cx)
        })
        .await
        .expect("ends");
        turns
    });
    server.join().expect("no panic");
    let turns = reads.expect("ends");
    assert!(turns > 500, "{turns} turns beside 20,000 reads");
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
