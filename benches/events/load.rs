//! What is asked of the yardstick servers in one run, and what that cost.
//! Knows no wire.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use backends::Clock;
use backends::yardstick::{Pace, Wire};
use pairbench::calibrate::{YardOptions, YardProcess};
use rustix::time::{ClockId, clock_gettime};

/// Ids in each message of the engine, as LMDeploy's turbomind sends them.
pub(crate) const WHOLE_BUFFER: u32 = 2056;

/// The same in a session that has just room for the request: the servers widen it.
pub(crate) const SHORT_BUFFER: u32 = 1;

/// Tokens of every prompt.
pub(crate) const PROMPT_TOKENS: u32 = 16;

/// A way of asking, and a pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) backend: &'static str,
    pub(crate) wire: Wire,
    /// Full speed instead of `--gap-us`.
    pub(crate) full_speed: bool,
    pub(crate) output_ids_len: u32,
    /// Whether the bare reader of the wire gets the same.
    pub(crate) has_bare: bool,
}

const fn case(name: &'static str, backend: &'static str, wire: Wire) -> Case {
    Case {
        name,
        backend,
        wire,
        full_speed: false,
        output_ids_len: 0,
        has_bare: true,
    }
}

pub(crate) const CASES: &[Case] = &[
    case("http-paced", "api_server", Wire::Http),
    Case {
        full_speed: true,
        ..case("http-full", "api_server", Wire::Http)
    },
    Case {
        output_ids_len: SHORT_BUFFER,
        ..case("grpc-paced", "tis-direct", Wire::Grpc)
    },
    Case {
        output_ids_len: WHOLE_BUFFER,
        ..case("grpc-paced-8k", "tis-direct", Wire::Grpc)
    },
    Case {
        full_speed: true,
        output_ids_len: SHORT_BUFFER,
        ..case("grpc-full", "tis-direct", Wire::Grpc)
    },
    Case {
        full_speed: true,
        output_ids_len: WHOLE_BUFFER,
        ..case("grpc-full-8k", "tis-direct", Wire::Grpc)
    },
    Case {
        has_bare: false,
        output_ids_len: SHORT_BUFFER,
        ..case("tis-paced", "tis", Wire::Grpc)
    },
    Case {
        has_bare: false,
        output_ids_len: WHOLE_BUFFER,
        ..case("tis-paced-8k", "tis", Wire::Grpc)
    },
    Case {
        has_bare: false,
        output_ids_len: SHORT_BUFFER,
        ..case("ensemble-paced", "tis-ensemble", Wire::Grpc)
    },
];

/// How much of a case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) case: Case,
    pub(crate) streams: u32,
    /// Requests of each stream, one after the other.
    pub(crate) requests: u32,
    pub(crate) tokens: u32,
    pub(crate) first_token: Duration,
    pub(crate) gap: Duration,
    /// Over which the streams start, so that they are not in step.
    pub(crate) ramp: Duration,
}

impl Load {
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            first_token: self.first_token,
            per_token: if self.case.full_speed {
                Duration::ZERO
            } else {
                self.gap
            },
            output_ids_len: self.case.output_ids_len,
            phases: 0,
        }
    }

    /// Token events of a run.
    pub(crate) fn events(&self) -> u64 {
        u64::from(self.streams) * u64::from(self.requests) * u64::from(self.tokens)
    }

    /// The servers for it.
    pub(crate) fn yard(&self, core: Option<usize>, clock: Clock) -> Result<YardProcess> {
        let options = YardOptions {
            pace: self.pace(),
            core,
            program: Some(PathBuf::from(env!("CARGO_BIN_EXE_pairbench"))),
        };
        YardProcess::start(&options, clock).context("cannot start the yardstick servers")
    }
}

/// What a run cost the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) events: u64,
    /// Processor time of the process.
    pub(crate) process_ns: u64,
    /// Of it, the client thread's.
    pub(crate) thread_ns: Option<u64>,
    pub(crate) span_ns: u64,
}

impl Cost {
    fn per_event_us(&self, ns: u64) -> f64 {
        ns as f64 / self.events.max(1) as f64 / 1e3
    }

    pub(crate) fn us(&self) -> f64 {
        self.per_event_us(self.process_ns)
    }

    pub(crate) fn thread_us(&self) -> Option<f64> {
        self.thread_ns.map(|ns| self.per_event_us(ns))
    }

    pub(crate) fn events_per_s(&self) -> f64 {
        self.events as f64 * 1e9 / self.span_ns.max(1) as f64
    }
}

/// Counts processor time and time from its start on.
pub(crate) struct Meter {
    clock: Clock,
    process_ns: u64,
    start_ns: u64,
}

impl Meter {
    pub(crate) fn start(clock: Clock) -> Self {
        Self {
            clock,
            process_ns: process_ns(),
            start_ns: clock.now_ns(),
        }
    }

    pub(crate) fn stop(&self, events: u64) -> Cost {
        Cost {
            events,
            process_ns: process_ns() - self.process_ns,
            thread_ns: None,
            span_ns: self.clock.now_ns() - self.start_ns,
        }
    }
}

/// Processor time of this process, user and system, as `getrusage` counts it.
fn process_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}
