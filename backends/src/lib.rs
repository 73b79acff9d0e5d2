//! The wires of pairbench: for each protocol a client that is measured and a
//! simulated server to try it against; and [`yardstick`] servers to measure it by.
//!
//! This crate knows protocols and nothing else. It reads no flag, computes no
//! metric, tokenizes nothing, retries nothing and, apart from [`Sink`], reads
//! no clock: a request goes in, marks come out. A new protocol is one folder
//! here and one row of [`ALL`].

#![forbid(unsafe_code)]

mod api_server;
mod discreet;
pub mod engine;
mod entry;
mod error;
mod event_loop;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http2;
mod reach;
mod request;
mod secret;
mod sink;
mod spend;
mod timers;
mod tls;
mod trace;
mod triton;
pub mod yardstick;

pub use entry::{ALL, Answer, Connections, Entry, ServeOptions, Served, Target, find};
pub use error::{Error, ErrorKind, excerpt};
pub use event_loop::{EventLoop, Gone, Spawner, Task};
pub use request::{
    Ending, Finish, PromptMode, Request, Sampling, ServerCounters, ServerInfo, TokenSource,
};
pub use secret::Secret;
pub use sink::{Clock, PIECES_MAX, Pulse, Sink, TEXT_BYTES_MAX};
pub use timers::Timers;
pub use tls::Tls;
pub use trace::{Hop, HopTimes, Mark, Trace};

use async_trait::async_trait;

/// One way of asking a server for tokens.
///
/// Push, not pull: `generate` drives the wire and tells the [`Sink`] what
/// came. A stream of tokens to pull from would box a future per token under
/// `async_trait`; a call on `&mut Sink` is a plain call.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Asks the server what it is and whether the model is ready. Never timed.
    ///
    /// # Errors
    /// When nobody answers, somebody else answers (another protocol), the key
    /// is refused, or the model is not there; the text says what is there
    /// instead.
    async fn probe(&self) -> Result<ServerInfo, Error>;

    /// Opens the connections that `streams` requests at once will use, so that
    /// no set-up falls into the measurement. Never timed. Does nothing where
    /// opening connections is what the arm is about.
    ///
    /// # Errors
    /// When a connection cannot be opened.
    async fn warm(&self, streams: u32) -> Result<(), Error>;

    /// The server's own count of a prompt's tokens, for wires whose answers do
    /// not carry it. Asked before the run, never timed; `None` where the
    /// answers carry it or the server cannot say.
    ///
    /// # Errors
    /// When the server refuses the prompt.
    async fn prompt_tokens(&self, request: &Request) -> Result<Option<u32>, Error>;

    /// The ids that the server itself makes of a prompt, in chat of the user's
    /// turn in its own template. Asked before the run, never timed; `None` where
    /// the server cannot say.
    ///
    /// # Errors
    /// When the server refuses the prompt.
    async fn prompt_ids(&self, _request: &Request) -> Result<Option<Vec<u32>>, Error> {
        Ok(None)
    }

    /// Makes the message that `generate` will send, and keeps it in
    /// [`Request::wire`], so that no message is written while the clock runs.
    /// What id and slot the request has must be settled by then. Never timed.
    ///
    /// # Errors
    /// When the request cannot be put on this wire.
    async fn prepare(&self, _request: &mut Request) -> Result<(), Error> {
        Ok(())
    }

    /// Sends one request and tells `sink` of every message that carries
    /// tokens, before anything else is done with it. Returns when the server
    /// has ended the answer. Dropping the future cancels the request. What
    /// `sink` holds stays valid whatever the outcome.
    ///
    /// # Errors
    /// Any end of the answer that is not a success; see [`ErrorKind`].
    async fn generate(&self, request: &Request, sink: &mut Sink) -> Result<Finish, Error>;

    /// The server's own counters (Triton's ModelStatistics, `/metrics`), where
    /// it has them. Never timed.
    ///
    /// # Errors
    /// When the server has counters and does not hand them out.
    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error>;

    /// The key that the client sends, where it sends one: a server may echo it in
    /// an error or an answer, which nobody keeps or prints with the key in it.
    fn key(&self) -> Option<&Secret> {
        None
    }
}
