//! `pairbench serve`: a simulated server until Ctrl-C.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use backends::Clock;

use super::{Exit, advise, farewell, show};
use crate::cli::ServeArgs;
use crate::config::{self, SimConfig, find};
use crate::run::{Stop, Wall, make_all_room};
use crate::sim::{self, Embedded};
use crate::workload::{ChatTemplate, Tokenizer};

/// The chat template beside the tokenizer. A broken one is no reason not to
/// serve raw prompts.
fn template(path: &Path) -> Option<ChatTemplate> {
    ChatTemplate::load(path, Some(&Wall::now().utc())).unwrap_or_else(|error| {
        advise(&format!("serving without a chat template: {error:#}"));
        None
    })
}

/// Serves until told to stop.
///
/// # Errors
/// When the tokenizer cannot be read or the address not be listened on.
pub(super) fn serve(args: &ServeArgs) -> Result<Exit> {
    let entry = find(&args.backend)?;
    let sim = SimConfig::of(&args.sim)?;
    let family = config::tokenizer_family(args.tokenizer_family.as_deref())?;
    ensure!(
        family.is_none() || args.tokenizer.is_some(),
        "--tokenizer-family: goes with --tokenizer only"
    );
    let codec = match &args.tokenizer {
        Some(path) => {
            let template = template(path);
            let tokenizer = Tokenizer::load_as(path, family)?;
            sim::codec_of(Arc::new(tokenizer), template.map(Arc::new))?
        }
        None => sim::byte_codec(),
    };
    make_all_room();
    let server = Embedded::start(entry, &sim, codec, Clock::start(), &args.listen)?;
    show(&format!(
        "serving a simulated model as {} on {} until Ctrl-C\n",
        entry.family, server.address
    ))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a thread that waits for Ctrl-C")?;
    runtime.block_on(async {
        let stop = Stop::default();
        stop.listen(farewell)?;
        stop.wished().await;
        Ok(Exit::Valid)
    })
}
