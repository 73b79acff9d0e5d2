//! The floor of HTTP: an epoll loop over plain sockets that reads and counts
//! events, and does nothing else. No HTTP but the request's text and the end
//! of a chunked body.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backends::Clock;
use memchr::memmem::Finder;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::load::{Cost, Load, Meter, PROMPT_TOKENS};

/// Events of an answer that carry no token: its end, the usage, `[DONE]`.
const OTHER_EVENTS: u64 = 3;
/// The end of a chunked body.
const END: &[u8; 5] = b"0\r\n\r\n";

struct Stream {
    socket: TcpStream,
    /// The last bytes that were read, for what a read may split.
    tail: [u8; 5],
    events: u64,
    requests_left: u32,
}

/// Runs the load with one thread.
///
/// # Errors
/// When the server closes a connection or sends another number of events.
pub(crate) fn run(address: &str, load: &Load, clock: Clock) -> Result<Cost> {
    let request = request(address, load);
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut streams = Vec::new();
    for number in 0..load.streams {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        epoll::add(
            &epoll,
            &socket,
            EventData::new_u64(number.into()),
            EventFlags::IN,
        )?;
        streams.push(Stream {
            socket,
            tail: [0; 5],
            events: 0,
            requests_left: load.requests,
        });
    }
    let meter = Meter::start(clock);
    let gap = load.ramp / load.streams.max(1);
    for stream in &mut streams {
        stream.socket.write_all(&request)?;
        if gap > Duration::ZERO {
            std::thread::sleep(gap);
        }
    }
    let per_answer = u64::from(load.tokens) + OTHER_EVENTS;
    let (finder, mut buffer) = (Finder::new(b"\n\n"), vec![0; 64 << 10]);
    let (mut events, mut open) = (0, load.streams);
    let mut ready = Vec::with_capacity(1024);
    while open > 0 {
        ready.clear();
        epoll::wait(&epoll, spare_capacity(&mut ready), None)?;
        for event in &ready {
            let at = usize::try_from(event.data.u64())?;
            let stream = streams.get_mut(at).context("an unknown socket")?;
            let read = match stream.socket.read(&mut buffer) {
                Ok(0) => anyhow::bail!("the server closed the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            stream.count(&finder, &buffer[..read]);
            if stream.events < per_answer || &stream.tail != END {
                continue;
            }
            ensure!(stream.events == per_answer, "{} events came", stream.events);
            events += stream.events - OTHER_EVENTS;
            stream.events = 0;
            stream.requests_left -= 1;
            if stream.requests_left == 0 {
                open -= 1;
            } else {
                stream.socket.write_all(&request)?;
            }
        }
    }
    Ok(meter.stop(events))
}

impl Stream {
    fn count(&mut self, finder: &Finder<'_>, read: &[u8]) {
        let split = self.tail[4] == b'\n' && read[0] == b'\n';
        self.events += u64::from(split) + finder.find_iter(read).count() as u64;
        let kept = read.len().min(5);
        self.tail.rotate_left(kept);
        self.tail[5 - kept..].copy_from_slice(&read[read.len() - kept..]);
    }
}

/// The request that our client sends, as far as the server reads it.
fn request(address: &str, load: &Load) -> Vec<u8> {
    let prompt = "a".repeat(usize::try_from(PROMPT_TOKENS - 1).unwrap_or_default());
    let body = format!(
        r#"{{"model":"yardstick","prompt":"{prompt}","max_tokens":{},"ignore_eos":true,"stream":true,"stream_options":{{"include_usage":true}}}}"#,
        load.tokens
    );
    format!(
        "POST /v1/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
