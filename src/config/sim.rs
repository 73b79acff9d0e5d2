//! How simulated servers behave, for `serve`, the address `sim` and `demo`.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use backends::ServeOptions;
use backends::engine::{EngineConfig, Script, Timing};

use crate::cli::SimArgs;

/// Most milliseconds (an hour) or microseconds that a flag may ask for.
const MAX_MS: f64 = 3_600_000.0;

/// A simulated server: its engine and what lies around it.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// The engine.
    pub engine: EngineConfig,
    /// Everything around it.
    pub serve: ServeOptions,
}

impl SimConfig {
    /// What the flags ask for.
    ///
    /// # Errors
    /// Names the flag that makes no sense, and what it takes.
    pub fn of(args: &SimArgs) -> Result<Self> {
        let per_token = millis(args.per_token_ms, "--sim-per-token-ms")?;
        let first_token = millis(args.first_token_ms, "--sim-first-token-ms")?;
        let prefill = micros(args.prefill_us, "--sim-prefill-us")?;
        let timing = if args.batching {
            batching(per_token, prefill)
        } else {
            Timing::Exact {
                first_token,
                per_token,
            }
        };
        for (value, flag) in [
            (args.max_running, "--sim-max-running"),
            (args.session_tokens, "--sim-session-tokens"),
            (args.tokens_per_message, "--sim-tokens-per-message"),
            (args.postprocess_instances, "--sim-postprocess-instances"),
        ] {
            ensure!(value >= 1, "{flag} {value}: must be 1 or more");
        }
        let script = Script::parse(args.script.as_deref().unwrap_or_default())
            .map_err(|error| anyhow!("--sim-script: {error}"))?;
        Ok(Self {
            engine: EngineConfig {
                timing,
                max_running: usize::try_from(args.max_running)?,
                session_tokens: args.session_tokens,
                tokens_per_message: args.tokens_per_message,
                script,
                ..EngineConfig::default()
            },
            serve: ServeOptions {
                model: args.model.clone(),
                old_api: args.old_api,
                chat_template: args.chat_template,
                api_keys: args
                    .api_key
                    .iter()
                    .map(|key| key.expose().to_owned())
                    .collect(),
                preprocess: millis(args.preprocess_ms, "--sim-preprocess-ms")?,
                postprocess: millis(args.postprocess_ms, "--sim-postprocess-ms")?,
                postprocess_instances: usize::try_from(args.postprocess_instances)?,
                connect: millis(args.connect_ms, "--sim-connect-ms")?,
                front_end: millis(args.front_end_ms, "--sim-front-end-ms")?,
                unordered_text: args.unordered_text,
                full_output_ids: !args.trimmed_output_ids,
                ..ServeOptions::default()
            },
        })
    }

    /// The demo's servers: a batching engine, about 1 ms per call of pre- and
    /// postprocessing (seen on a real Triton python backend), turbomind's habit
    /// of repeating the whole session buffer.
    #[must_use]
    pub fn of_demo() -> Self {
        Self {
            engine: EngineConfig {
                timing: batching(Duration::from_millis(3), Duration::from_micros(20)),
                ..EngineConfig::default()
            },
            serve: ServeOptions {
                preprocess: Duration::from_millis(1),
                postprocess: Duration::from_millis(1),
                ..ServeOptions::default()
            },
        }
    }
}

/// A step that takes `step` alone, and 2 % longer for each running request.
fn batching(step: Duration, prefill_per_token: Duration) -> Timing {
    Timing::Batching {
        step_base: step,
        step_per_request: step / 50,
        prefill_per_token,
    }
}

fn millis(value: f64, flag: &str) -> Result<Duration> {
    ensure!(
        (0.0..=MAX_MS).contains(&value),
        "{flag} {value}: must be from 0 to {MAX_MS} milliseconds"
    );
    Ok(Duration::from_secs_f64(value / 1e3))
}

fn micros(value: f64, flag: &str) -> Result<Duration> {
    ensure!(
        (0.0..=MAX_MS).contains(&value),
        "{flag} {value}: must be from 0 to {MAX_MS} microseconds"
    );
    Ok(Duration::from_secs_f64(value / 1e6))
}
