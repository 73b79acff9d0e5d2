//! The header of a run's records: its settings, made from the configuration
//! and from what the probe found.

use std::time::Duration;

use backends::{Answer, Secret, ServerInfo};

use crate::config::{Arm, Config};
use crate::plan::Plan;
use crate::record::{Encryption, FORMAT, RunHeader, TimeLimits};
use crate::run::host;
use crate::workload::Tokenizer;

/// The header of one arm's run, started at `started_utc`.
pub(super) fn header(
    config: &Config,
    arm: &Arm,
    info: &ServerInfo,
    tokenizer: &Tokenizer,
    plan: &Plan,
    style: &str,
    started_utc: String,
) -> RunHeader {
    let work = &config.work;
    let keys = config.keys();
    RunHeader {
        format: FORMAT,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_utc,
        backend: arm.entry.name.to_owned(),
        family: arm.entry.family.to_owned(),
        answer: match arm.entry.answer {
            Answer::Text => "text".to_owned(),
            Answer::TokenIds => "token_ids".to_owned(),
        },
        address: hidden(&keys, arm.address.clone()),
        encryption: encryption(arm),
        server: info.server.clone(),
        model: info.model.clone(),
        simulated: info.simulated,
        unordered_model: info.unordered_model.clone(),
        prompt_mode: work.prompt_mode.name().to_owned(),
        chat_template: None,
        prompt_parting: None,
        stream: work.stream,
        seed: work.rules.seed,
        concurrency: plan.concurrency,
        num_prompts: u32::try_from(plan.jobs.len()).unwrap_or(u32::MAX),
        warmup: config.run.warmup,
        client_threads: u32::try_from(config.run.client_threads).unwrap_or(u32::MAX),
        ramp_ms: u64::try_from(config.run.ramp.as_millis()).unwrap_or(u64::MAX),
        workload: plan.digest.clone(),
        temperature: work.sampling.temperature,
        top_p: work.sampling.top_p,
        top_k: work.sampling.top_k,
        ignore_eos: work.sampling.ignore_eos,
        dataset: work.data.describe(),
        tokenizer: tokenizer.describe(),
        sampling_style: style.to_owned(),
        adds_bos: tokenizer.adds_bos(),
        inserted_tokens: Some(plan.inserted_tokens()),
        max_failed: config.run.max_failed,
        command: command_line(
            std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()),
            &keys,
        ),
        cores: std::thread::available_parallelism()
            .map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        host: Some(host()),
        time_limits: Some(TimeLimits {
            connect_ns: ns(arm.target.connect_timeout),
            first_token_ns: ns(config.run.first_token_timeout),
            between_tokens_ns: ns(config.run.token_timeout),
        }),
        client_floor: None,
        client_floor_unused: None,
        experiment: None,
    }
}

/// How the arm's connections are encrypted; an embedded server's are not.
fn encryption(arm: &Arm) -> Option<Encryption> {
    let tls = &arm.target.tls;
    arm.is_encrypted().then(|| Encryption {
        trusted: tls.trusted().to_owned(),
        client_certificate: tls.has_identity(),
    })
}

fn ns(limit: Duration) -> u64 {
    u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
}

fn hidden(keys: &[Secret], word: String) -> String {
    keys.iter().fold(word, |word, key| key.hide(&word))
}

/// The command line without keys: neither behind their flags nor anywhere else.
fn command_line(args: impl Iterator<Item = String>, keys: &[Secret]) -> Vec<String> {
    let mut hide_next = false;
    let args = args.map(|arg| {
        if std::mem::take(&mut hide_next) {
            return "***".to_owned();
        }
        match arg.split_once('=') {
            Some((flag, _)) if is_key(flag) => return format!("{flag}=***"),
            _ => hide_next = is_key(&arg),
        }
        arg
    });
    args.map(|arg| hidden(keys, arg)).collect()
}

fn is_key(flag: &str) -> bool {
    matches!(flag, "--api-key" | "--api_key" | "--sim-api-key")
}

#[cfg(test)]
mod tests {
    use backends::Secret;

    use super::command_line;

    #[test]
    fn an_embedded_server_has_one_name() {
        use crate::{config::Arm, record::RunHeader};
        assert_eq!(Arm::SIM, RunHeader::EMBEDDED);
    }

    #[test]
    fn keys_do_not_reach_the_records() {
        for (words, expected) in [
            (
                "pairbench profile --api-key sesame --seed 1 --api-key=sesame --sim-api-key sesame x",
                "pairbench profile --api-key *** --seed 1 --api-key=*** --sim-api-key *** x",
            ),
            (
                "pairbench profile --api_key sesame --api_key=sesame",
                "pairbench profile --api_key *** --api_key=***",
            ),
            (
                "pairbench profile --api-key-file sesame --model sk-0123456789/x",
                "pairbench profile --api-key-file sesame --model ***/x",
            ),
        ] {
            let keys = [Secret::from("sk-0123456789".to_owned())];
            let line = command_line(words.split(' ').map(str::to_owned), &keys).join(" ");
            assert_eq!(line, expected);
        }
    }
}
