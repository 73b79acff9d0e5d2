//! The arms of a run, made ready: embedded servers started, every server
//! asked who it is. Nothing here is timed.

use std::sync::Arc;

use anyhow::{Context, Result};
use backends::{Backend, Clock, ServerInfo};

use super::advise;
use crate::config::{Arm, Config};
use crate::run::{Crew, Seat};
use crate::sim::{self, Embedded};
use crate::stats;
use crate::workload::{ChatTemplate, Tokenizer};

/// An arm whose server has answered.
pub(super) struct Ready<'a> {
    pub(super) arm: &'a Arm,
    /// For what is not timed.
    pub(super) aside: Arc<dyn Backend>,
    /// A client per thread.
    pub(super) seats: Vec<Seat>,
    pub(super) info: ServerInfo,
    /// Keeps an embedded server alive.
    _server: Option<Embedded>,
}

impl Ready<'_> {
    /// What errors call the arm.
    pub(super) fn name(&self) -> String {
        name(self.arm)
    }
}

fn name(arm: &Arm) -> String {
    format!("--backend {} at {}", arm.entry.name, arm.address)
}

/// Starts the embedded servers, each with an engine of its own.
///
/// # Errors
/// When a server cannot be started, or the tokenizer is of no use to it.
pub(super) fn embedded(
    config: &Config,
    tokenizer: &Arc<Tokenizer>,
    template: Option<&Arc<ChatTemplate>>,
    clock: Clock,
) -> Result<Vec<Option<Embedded>>> {
    let mut codec = None;
    let start = |arm: &Arm| {
        if !arm.is_embedded() {
            return Ok(None);
        }
        let codec = match &codec {
            Some(codec) => Arc::clone(codec),
            None => Arc::clone(codec.insert(sim::codec_of(
                Arc::clone(tokenizer),
                template.map(Arc::clone),
            )?)),
        };
        Embedded::start(arm.entry, &config.sim, codec, clock, "127.0.0.1:0").map(Some)
    };
    config.arms.iter().map(start).collect()
}

/// Connects to an arm's server and asks who it is.
///
/// # Errors
/// What the server, or its absence, has to say.
pub(super) async fn probe<'a>(
    arm: &'a Arm,
    server: Option<Embedded>,
    concurrency: u32,
    crew: &Crew,
) -> Result<Ready<'a>> {
    let mut target = arm.target.clone();
    if let Some(server) = &server {
        target.address = server.address.to_string();
    }
    let of_arm = || name(arm);
    let connect = || arm.entry.client(target.clone());
    let aside = connect().with_context(of_arm)?;
    let info = aside.probe().await.with_context(of_arm)?;
    if let Some(most) = info.max_running.filter(|most| *most < concurrency) {
        advise(&format!(
            "{} runs {most} requests at once; of {concurrency} in flight the rest waits in its \
             queue, and the first-token latency holds that wait (see --concurrency)",
            of_arm()
        ));
    }
    if let Some(model) = &info.unordered_model {
        advise(&format!(
            "{}: {}",
            of_arm(),
            stats::order_may_be_lost(model)
        ));
    }
    Ok(Ready {
        arm,
        aside,
        seats: crew.seats(connect).with_context(of_arm)?,
        info,
        _server: server,
    })
}
