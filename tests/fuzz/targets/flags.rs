//! Words as a user may type them, as a whole command line and as the value of each
//! flag that has a language of its own: understood, or refused in words that name
//! the flag and keep the key to themselves.

use backends::engine::Script;
use clap::Parser;
use pairbench::cli::{Cli, Command, JudgeArgs, PageArgs};
use pairbench::config::{
    CalibrateConfig, Config, Judgement, Pages, SimConfig, Work, shared_host, tokenizer_family,
};
use pairbench::stats::{Condition, Metric};

/// A key that is to be found nowhere.
const KEY: &str = "sesame-8c1f";

pub(crate) fn run(data: &[u8]) {
    let Some((&kind, content)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(content);
    match kind % 8 {
        0 => line(&["profile", "--api-key", KEY, "--backend"], &text),
        1 => line(
            &["compare", "--api-key", KEY, "tokenizer", "dataset"],
            &text,
        ),
        2 => {
            for verb in ["demo", "serve", "calibrate", "report", "dataset"] {
                line(&[verb], &text);
            }
        }
        3 => script(&text),
        4 => condition(&text),
        5 => share(&text),
        // Arms by their addresses, one a line.
        6 => {
            let arms: Vec<String> = text.lines().map(|arm| format!("--backend={arm}")).collect();
            let fixed = ["compare", "--api-key", KEY, "tokenizer", "dataset"];
            line(&fixed, &arms.join("\n"));
        }
        _ => value(content),
    }
}

/// A command line: what is fixed, then a word for each line of the text.
fn line(fixed: &[&str], text: &str) {
    let words = fixed.iter().copied().chain(text.lines());
    let refusal = match Cli::try_parse_from(std::iter::once("pairbench").chain(words)) {
        Ok(cli) => meant(cli.command).err().map(|error| format!("{error:#}")),
        Err(error) => Some(error.to_string()),
    };
    if let Some(words) = refusal {
        assert!(!words.trim().is_empty());
        assert!(!words.contains(KEY), "the key is told: {words}");
        // A user's own words come back once or twice, and help has a few pages.
        assert!(words.len() <= 60_000 + 3 * text.len(), "{}", words.len());
    }
}

/// What the command makes of its flags before it does anything.
fn meant(command: Command) -> anyhow::Result<()> {
    let config = match command {
        Command::Profile(args) => Config::of_profile(args)?,
        Command::Compare(args) => Config::of_compare(args)?,
        Command::Demo(args) => Config::of_demo(args)?,
        Command::Calibrate(args) => return CalibrateConfig::of(&args).map(drop),
        Command::Serve(args) => {
            tokenizer_family(args.tokenizer_family.as_deref())?;
            return SimConfig::of(&args.sim).map(drop);
        }
        Command::Report(args) => {
            let _ = Pages::of(args.page);
            return Judgement::of(args.judge).map(drop);
        }
        Command::Dataset(args) => return Work::of_dataset(&args.data, &args.ask).map(drop),
        Command::Yardstick(_) => return Ok(()),
    };
    assert!(!config.arms.is_empty() && config.run.concurrency > 0);
    assert!(config.run.client_threads > 0);
    assert!(!format!("{config:?}").contains(KEY), "the key is shown");
    assert!(shared_host(&config.arms).is_none_or(|words| words.contains(" on ")));
    Ok(())
}

fn script(text: &str) {
    match Script::parse(text) {
        Ok(script) => {
            for number in [1, 2, 10] {
                let fails = script.failure_of(number);
                assert!(fails.is_none() || script.failure.is_some());
            }
        }
        Err(words) => assert!(words.contains("fail=refuse"), "{words}"),
    }
    let _ = Script::default().with_orders(text);
}

/// What is understood is understood the same when it is repeated.
fn condition(text: &str) {
    match Condition::parse(text) {
        Ok(condition) => {
            let shown = condition.to_string();
            let again = Condition::parse(&shown).map(|again| again.to_string());
            assert_eq!(again, Ok(shown));
            let _ = condition.check(&["tis".to_owned(), "api_server".to_owned()]);
        }
        Err(words) => assert!(!words.trim().is_empty()),
    }
    if let Some(metric) = Metric::of_name(text) {
        assert!(Metric::names().contains(&metric.name()));
    }
}

fn share(text: &str) {
    let asked = JudgeArgs {
        margin: Some(text.to_owned()),
        ..JudgeArgs::default()
    };
    match Judgement::of(asked) {
        Ok(judgement) => {
            let share = judgement.margin.expect("one was given");
            assert!((0.0001..=0.5).contains(&share), "{share}");
        }
        Err(error) => assert!(format!("{error:#}").contains("--margin")),
    }
    let _ = Pages::of(PageArgs::default());
}

/// Flags of `profile` that take a number, a time or words.
const OF_PROFILE: [&str; 22] = [
    "client-threads",
    "concurrency",
    "connect-timeout",
    "first-token-timeout",
    "max-failed",
    "min-tokens",
    "num-prompts",
    "output-len",
    "ramp",
    "seed",
    "sim-first-token-ms",
    "sim-max-running",
    "sim-per-token-ms",
    "sim-postprocess-ms",
    "sim-prefill-us",
    "sim-script",
    "stream_output",
    "temperature",
    "token-timeout",
    "top_k",
    "top_p",
    "warmup",
];

/// The same of `compare`.
const OF_COMPARE: [&str; 6] = [
    "blocks",
    "fail-if",
    "margin",
    "max-time",
    "precision",
    "primary",
];

/// One flag, chosen by the first byte, with the rest of the line as its value.
fn value(content: &[u8]) {
    let Some((&which, value)) = content.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(value);
    let text = text.lines().next().unwrap_or_default();
    let which = usize::from(which) % (OF_PROFILE.len() + OF_COMPARE.len());
    match OF_PROFILE.get(which) {
        Some(flag) => {
            let fixed = ["profile", "--backend=tis", "a:1", "tokenizer", "dataset"];
            line(&fixed, &format!("--{flag}={text}"));
        }
        None => {
            let flag = OF_COMPARE[which - OF_PROFILE.len()];
            let fixed = [
                "compare",
                "--backend=tis=a:1",
                "--backend=api_server=b:2",
                "t",
                "d",
            ];
            line(&fixed, &format!("--{flag}={text}"));
        }
    }
}
