//! The floor of gRPC: a blocking reader of one HTTP/2 connection that counts
//! messages, and does nothing else. Headers that come are skipped unread, so
//! no table of them is kept; window updates are sent so that nobody waits.
//!
//! Frames: RFC 9113, sections 4 to 6. Header literals: RFC 7541, section 6.2.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use backends::Clock;

use super::load::{Cost, Load, Meter, PROMPT_TOKENS};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PATH: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const INITIAL_WINDOW_SIZE: u8 = 4;
const WINDOW_MAX: u32 = (1 << 31) - 1;
const WINDOW_DEFAULT: u32 = 65_535;
/// Bytes after which the connection's window is filled up again.
const REFILL: u32 = 1 << 29;

/// How far the message of a stream has come.
#[derive(Clone, Copy, Default)]
struct Partial {
    prefix: [u8; 5],
    prefix_read: usize,
    left: usize,
}

struct Connection<'a> {
    socket: TcpStream,
    load: &'a Load,
    address: &'a str,
    streams: Vec<Partial>,
    started: u32,
    ended: u32,
    messages: u64,
    since_refill: u32,
}

/// Runs the load with one thread.
///
/// # Errors
/// When the server ends the connection or a stream, or sends another number
/// of messages.
pub(crate) fn run(address: &str, load: &Load, clock: Clock) -> Result<Cost> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut hello = PREFACE.to_vec();
    let window = [&[0, INITIAL_WINDOW_SIZE][..], &WINDOW_MAX.to_be_bytes()].concat();
    frame(&mut hello, SETTINGS, 0, 0, &window);
    let more = WINDOW_MAX - WINDOW_DEFAULT;
    frame(&mut hello, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
    socket.write_all(&hello)?;
    let requests = load.streams * load.requests;
    let mut connection = Connection {
        socket,
        load,
        address,
        streams: vec![Partial::default(); usize::try_from(requests)?],
        started: 0,
        ended: 0,
        messages: 0,
        since_refill: 0,
    };
    let meter = Meter::start(clock);
    let gap = load.ramp / load.streams.max(1);
    for _ in 0..load.streams {
        connection.ask()?;
        if gap > Duration::ZERO {
            std::thread::sleep(gap);
        }
    }
    connection.read(requests)?;
    ensure!(
        connection.messages == load.events(),
        "{} messages came",
        connection.messages
    );
    Ok(meter.stop(connection.messages))
}

impl Connection<'_> {
    /// Sends the next request on a stream of its own.
    fn ask(&mut self) -> Result<()> {
        let stream = self.started * 2 + 1;
        self.started += 1;
        let mut out = Vec::new();
        frame(
            &mut out,
            HEADERS,
            END_HEADERS,
            stream,
            &headers(self.address),
        );
        frame(
            &mut out,
            DATA,
            END_STREAM,
            stream,
            &message(self.load, self.started),
        );
        self.socket.write_all(&out)?;
        Ok(())
    }

    /// Reads until that many requests are answered.
    fn read(&mut self, requests: u32) -> Result<()> {
        let mut buffer = vec![0; 256 << 10];
        let mut filled = 0;
        while self.ended < requests {
            let read = self.socket.read(&mut buffer[filled..])?;
            ensure!(read > 0, "the server closed the connection");
            filled += read;
            let mut rest = &buffer[..filled];
            while let Some((head, after)) = rest.split_first_chunk::<9>() {
                let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]]))?;
                let Some((payload, after)) = after.split_at_checked(length) else {
                    break;
                };
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                self.frame(head[3], head[4], stream, payload)?;
                rest = after;
            }
            let kept = rest.len();
            buffer.copy_within(filled - kept..filled, 0);
            filled = kept;
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let mut out = Vec::new();
        match kind {
            DATA => {
                self.data(stream, payload)?;
                self.since_refill += u32::try_from(payload.len())?;
                if self.since_refill >= REFILL {
                    let more = std::mem::take(&mut self.since_refill);
                    frame(&mut out, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
                }
            }
            SETTINGS if flags & ACK == 0 => frame(&mut out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(&mut out, PING, ACK, 0, payload),
            RST_STREAM | GOAWAY => bail!("the server gave up: {payload:?}"),
            _ => {}
        }
        if !out.is_empty() {
            self.socket.write_all(&out)?;
        }
        if flags & END_STREAM != 0 && matches!(kind, DATA | HEADERS) {
            self.ended += 1;
            if self.started < self.load.streams * self.load.requests {
                self.ask()?;
            }
        }
        Ok(())
    }

    /// Counts the messages that end in a frame.
    fn data(&mut self, stream: u32, mut bytes: &[u8]) -> Result<()> {
        let at = usize::try_from(stream / 2)?;
        let partial = self.streams.get_mut(at).context("an unknown stream")?;
        while !bytes.is_empty() {
            if partial.prefix_read < 5 {
                let taken = (5 - partial.prefix_read).min(bytes.len());
                let room = partial.prefix_read..partial.prefix_read + taken;
                partial.prefix[room].copy_from_slice(&bytes[..taken]);
                partial.prefix_read += taken;
                bytes = &bytes[taken..];
                if partial.prefix_read == 5 {
                    let [_, a, b, c, d] = partial.prefix;
                    partial.left = usize::try_from(u32::from_be_bytes([a, b, c, d]))?;
                }
                continue;
            }
            let taken = partial.left.min(bytes.len());
            partial.left -= taken;
            bytes = &bytes[taken..];
            if partial.left == 0 {
                self.messages += 1;
                partial.prefix_read = 0;
            }
        }
        Ok(())
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The request's headers: from the static table, and literals that no table
/// keeps.
fn headers(address: &str) -> Vec<u8> {
    // :method POST and :scheme http are entries 3 and 6 of the static table.
    let mut out = vec![0x83, 0x86];
    let mut text = |name: &[u8], value: &str| {
        out.extend_from_slice(name);
        out.push(u8::try_from(value.len()).unwrap_or(127));
        out.extend_from_slice(value.as_bytes());
    };
    // :path, :authority and content-type are entries 4, 1 and 31 (15 + 16).
    text(&[0x04], PATH);
    text(&[0x01], address);
    text(&[0x0f, 0x10], "application/grpc");
    text(b"\0\x02te", "trailers");
    out
}

/// The request for tokens, with gRPC's prefix (protobuf's wire format; field
/// numbers as in `proto/grpc_service.proto`).
fn message(load: &Load, id: u32) -> Vec<u8> {
    let mut ids = vec![b'a' as u32 + 3; usize::try_from(PROMPT_TOKENS).unwrap_or_default()];
    ids[0] = 1;
    let mut request = Vec::new();
    field(&mut request, 1, b"turbomind");
    field(&mut request, 3, id.to_string().as_bytes());
    let tensors = [
        ("input_ids", &ids[..]),
        ("input_lengths", &[PROMPT_TOKENS]),
        ("request_output_len", &[load.tokens]),
    ];
    for (name, values) in tensors {
        let mut tensor = Vec::new();
        field(&mut tensor, 1, name.as_bytes());
        field(&mut tensor, 2, b"UINT32");
        field(
            &mut tensor,
            3,
            &[1, u8::try_from(values.len()).unwrap_or(127)],
        );
        field(&mut request, 5, &tensor);
    }
    for (_, values) in tensors {
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        field(&mut request, 7, &raw);
    }
    let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), &request].concat()
}

/// A field of bytes, shorter than 128 of them.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    out.push(u8::try_from(bytes.len()).unwrap_or(127));
    out.extend_from_slice(bytes);
}
