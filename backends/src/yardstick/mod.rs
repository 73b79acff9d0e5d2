//! Two servers to measure a client against: they hand over tokens at a given
//! pace, write down when, and cost less than any client. Same endpoints and
//! names as the simulated servers, whose answers they give to whatever is not
//! a stream of tokens; no engine, no queue, no judgement of requests.

mod arrivals;
mod book;
mod departures;
mod frames;
mod gather;
mod grpc;
mod http;
mod pacing;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

pub use book::{Book, Handed};

use crate::engine::{ByteCodec, Engine, EngineConfig, Timing};
use crate::{Clock, Error, ErrorKind, ServeOptions, Served};

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 with server-sent events, in the shapes of LMDeploy 0.18.0's
    /// api_server; streamed `/v1/completions` are paced and booked.
    Http,
    /// Triton's gRPC; streams of `turbomind` and `ensemble` are paced and
    /// booked.
    Grpc,
}

/// When tokens are handed over, and in how large messages. Every token is a
/// message of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From the request's arrival to its first token, without the wait for its phase.
    pub first_token: Duration,
    /// From each token to the next, kept by tokio's timer with its grain of a
    /// millisecond: below that, each tick hands over as many as are due. Zero:
    /// as fast as the socket takes them.
    pub per_token: Duration,
    /// Ids in each message of the engine model, where LMDeploy's turbomind
    /// sends its whole buffer of (by default) 2,056; never less than the answer
    /// needs. 0: the ids that there are by then.
    pub output_ids_len: u32,
    /// Moments of a gap at which tokens are handed over, evenly spread over it: an
    /// answer has the one that its request's number, divided by them, leaves, and
    /// begins when that comes next. 1: all are in step, as the answers of an engine
    /// are that gives each a token with every step. 0: each answer's tokens come as
    /// its own request did.
    pub phases: u32,
}

impl Pace {
    /// When the first token is due of a request that had been read at `arrived_ns`.
    #[must_use]
    pub fn first_due_ns(&self, arrived_ns: u64, request: u64) -> u64 {
        let ready_ns = arrived_ns.saturating_add(nanoseconds(self.first_token));
        let gap_ns = nanoseconds(self.per_token);
        let (Some(phases), true) = (NonZeroU64::new(self.phases.into()), gap_ns > 0) else {
            return ready_ns;
        };
        let share = u128::from(gap_ns) * u128::from(request % phases) / u128::from(phases.get());
        let phase_ns = u64::try_from(share).unwrap_or(0);
        let behind_ns = (ready_ns % gap_ns + gap_ns - phase_ns) % gap_ns;
        match behind_ns {
            0 => ready_ns,
            behind_ns => ready_ns.saturating_add(gap_ns - behind_ns),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Model name that the HTTP side reports.
const MODEL: &str = "yardstick";

/// More requests than anybody sends at once, so that no client thinks that
/// some have to wait.
const MAX_RUNNING: usize = 1_000_000;

/// Serves on a bound listener until the future is dropped; with it end all
/// connections. Wants a tokio runtime with I/O and time. Every finished
/// request is entered into the book.
pub fn serve(wire: Wire, listener: TcpListener, pace: Pace, clock: Clock, book: Book) -> Served {
    Box::pin(async move {
        let failed = |error: std::io::Error| {
            let words = format!("cannot serve on the listener: {error}");
            Error::new(ErrorKind::Connect, words)
        };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let desk = Desk { pace, clock, book };
        match wire {
            Wire::Http => {
                let site = Arc::new(http::Site::new(desk));
                accept(&listener, |stream| {
                    http::connection(stream, Arc::clone(&site))
                })
                .await;
            }
            Wire::Grpc => {
                let site = grpc::Site::new(desk);
                accept(&listener, |stream| grpc::connection(stream, site.clone())).await;
            }
        }
        Ok(())
    })
}

/// Takes connections in, for ever.
async fn accept<F>(
    listener: &tokio::net::TcpListener,
    connection: impl Fn(tokio::net::TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    // Owned here, so that dropping the server closes what it opened.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Without it the kernel would hold small messages back for an ACK.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(stream));
                }
                // Out of descriptors: those in use have to be given back first.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What both servers share.
#[derive(Clone, Debug)]
struct Desk {
    pace: Pace,
    clock: Clock,
    book: Book,
}

impl Desk {
    /// The simulation that answers what is no stream of tokens.
    fn simulation(&self) -> (Engine, ServeOptions) {
        let session_tokens = match self.pace.output_ids_len {
            0 => EngineConfig::default().session_tokens,
            ids => ids,
        };
        let config = EngineConfig {
            timing: Timing::Exact {
                first_token: self.pace.first_token,
                per_token: self.pace.per_token,
            },
            max_running: MAX_RUNNING,
            session_tokens,
            ..EngineConfig::default()
        };
        let options = ServeOptions {
            model: MODEL.to_owned(),
            full_output_ids: self.pace.output_ids_len > 0,
            ..ServeOptions::default()
        };
        (
            Engine::new(config, Arc::new(ByteCodec), self.clock),
            options,
        )
    }
}
