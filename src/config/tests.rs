//! What the flags mean, and which of them make no sense.

use clap::{CommandFactory, Parser};

use super::{Config, Data};
use crate::cli::{Cli, Command};

fn config(words: &str) -> Result<Config, String> {
    let words = std::iter::once("pairbench").chain(words.split(' '));
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let config = match cli.command {
        Command::Profile(args) => Config::of_profile(args),
        Command::Compare(args) => Config::of_compare(args),
        Command::Demo(args) => Config::of_demo(args),
        _ => return Err("another command".to_owned()),
    };
    config.map_err(|error| format!("{error:#}"))
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn lmdeploys_arguments_have_lmdeploys_defaults() {
    let config = config("profile --backend tis 0.0.0.0:33337 tok data.json").expect("good");
    assert_eq!(config.run.concurrency, 32);
    assert_eq!(config.work.rules, crate::workload::Rules::default());
    assert_eq!(config.work.sampling, backends::Sampling::default());
    assert!(!config.work.stream);
    assert_eq!(config.run.csv, std::path::Path::new("./profile_tis.csv"));
}

#[test]
fn switches_are_read_in_every_spelling() {
    for (words, stream) in [
        ("--stream_output", true),
        ("--stream-output true", true),
        ("--stream_output False", false),
    ] {
        let words = format!("profile --backend tis a:1 tok data {words}");
        assert_eq!(config(&words).expect(&words).work.stream, stream, "{words}");
    }
    let compare = config("compare --backend tis=a:1 --backend api_server=b:2 tok data");
    assert!(compare.expect("good").work.stream);
}

#[test]
fn what_makes_no_sense_is_named() {
    let base = "profile --backend tis a:1 tok data";
    for (words, part) in [
        (format!("{base} --concurrency 0"), "--concurrency 0"),
        (format!("{base} --num-prompts 0"), "--num-prompts 0"),
        (format!("{base} --num-prompts -3"), "-3"),
        (format!("{base} --temperature 0"), "--temperature 0"),
        (format!("{base} --top_p 1.5"), "--top_p 1.5"),
        (format!("{base} --top_k 0"), "--top_k 0"),
        (format!("{base} --token-timeout 0"), "--token-timeout"),
        (format!("{base} --connect-timeout NaN"), "--connect-timeout"),
        (format!("{base} --sampling random"), "random"),
        (
            "profile --backend nope a:1 tok data".to_owned(),
            "tis-ensemble",
        ),
        ("compare --backend tis=a:1 tok data".to_owned(), "two arms"),
        (
            "compare --backend tis --backend b=1 tok data".to_owned(),
            "NAME=ADDRESS",
        ),
    ] {
        let error = config(&words).expect_err(&words);
        assert!(error.contains(part), "{words}: {error}");
    }
}

#[test]
fn a_configuration_does_not_print_its_key() {
    let words = "profile --backend api_server a:1 tok data --api-key sesame";
    let config = config(words).expect("good");
    assert_eq!(config.arms[0].target.api_key.as_deref(), Some("sesame"));
    assert!(!format!("{config:?}").contains("sesame"));
}

#[test]
fn a_model_is_named_per_arm() {
    let base = "compare --backend tis=a:1 --backend api_server=b:2,model=m tok data";
    let models: Vec<_> = config(base)
        .expect("good")
        .arms
        .iter()
        .map(|arm| (arm.address.clone(), arm.target.model.clone()))
        .collect();
    let expected = [("a:1", None), ("b:2", Some("m"))]
        .map(|(address, model)| (address.to_owned(), model.map(str::to_owned)));
    assert_eq!(models, expected);
    let both = base.replace(",model=m", "") + " --model m";
    let error = config(&both).expect_err("two meanings");
    assert!(error.contains("per arm"), "{error}");
}

#[test]
fn how_many_blocks_is_open_unless_told() {
    let base = "compare --backend tis=a:1 --backend api_server=b:2 tok data";
    let experiment = |more: &str| config(&format!("{base}{more}")).map(|of| of.experiment.unwrap());
    let usual = experiment("").expect("good");
    assert_eq!(
        (usual.blocks, usual.precision, usual.duet),
        (None, None, false)
    );
    let told = experiment(" --precision 2% --max-time 1.5 --duet").expect("good");
    assert_eq!(
        (told.blocks, told.precision, told.duet),
        (None, Some(0.02), true)
    );
    assert_eq!(told.max_time, Some(std::time::Duration::from_secs(90)));
    assert_eq!(experiment(" --blocks 4").expect("good").blocks, Some(4));
    assert!(experiment(" --precision 2% --blocks 4").is_err());
    let profile = config("profile --backend tis a:1 tok data").expect("good");
    assert_eq!(profile.experiment, None);
}

#[test]
fn arms_of_a_duet_share_more_threads() {
    let base = "compare --backend tis=a:1 --backend api_server=b:2 tok data --concurrency 128";
    let threads = |words: &str| config(words).expect("good").run.client_threads;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    assert_eq!(threads(base), 1);
    assert_eq!(threads(&format!("{base} --duet")), cores.min(2));
}

#[test]
fn the_demo_shows_every_way() {
    let config = config("demo").expect("good");
    assert_eq!(config.arms.len(), backends::ALL.len());
    assert!(config.arms.iter().all(super::Arm::is_embedded));
    assert_eq!(config.work.data, Data::Bundled);
}
