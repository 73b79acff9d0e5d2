//! Connections of a loop, against plain sockets of other threads.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Tcp, Thread, server, spawn};

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
