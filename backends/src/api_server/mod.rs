//! LMDeploy's api_server: HTTP/1.1 with server-sent events, from 0.1.0a1 to
//! 0.18.0, and its relatives that speak OpenAI's protocol. A client that is
//! measured and a simulated server to measure it against; what versions do
//! differently is told in [`family`].

mod address;
mod answer;
mod client;
mod errors;
mod events;
mod family;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod metrics;
mod quick;
mod server;
mod sessions;
mod splitter;
mod transport;
mod wire;

pub(crate) use client::connect;
pub(crate) use server::{completion_events, router, serve};

/// What our own server calls itself in the `server` header, where LMDeploy's
/// says `uvicorn`.
const SIMULATED: &str = "pairbench-simulated";
