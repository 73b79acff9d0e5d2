//! The sentences, word for word.

use super::super::fixture::sound;
use super::super::{Arm, ArmPair, Basis, Compared, Comparison, Finding, Metric, Ratio, summarize};
use super::{
    caveat, caveats, duet_caveat, headline, joint_caveat, p99_caveat, precision_caveat, sentence,
};

fn blocks() -> Basis {
    Basis::Blocks {
        blocks: 6,
        requests: 100,
        duet: false,
        precision: None,
        wanted: None,
    }
}

fn comparison(metric: Metric, bounds: Option<(f64, f64, f64)>, finding: Finding) -> Comparison {
    Comparison {
        arms: vec!["tis".to_owned(), "api_server".to_owned()],
        basis: blocks(),
        margin: 0.02,
        pairs: vec![ArmPair {
            other: 1,
            metrics: vec![Compared {
                metric,
                primary: true,
                ratio: bounds.map(|(point, low, high)| Ratio { point, low, high }),
                blocks: vec![None; 6],
                finding,
            }],
        }],
    }
}

fn said(metric: Metric, bounds: Option<(f64, f64, f64)>, finding: Finding) -> String {
    let comparison = comparison(metric, bounds, finding);
    sentence(&comparison, &comparison.pairs[0], metric)
}

#[test]
fn the_four_sentences_word_for_word() {
    let (rate, ttft) = (Metric::OutputTokensPerS, Metric::FtlMean);
    let more_blocks = Some(14);
    let undecided = Finding::Undecided { more_blocks };
    let table = [
        (
            said(rate, Some((1.123, 1.11, 1.136)), Finding::Other),
            "api_server generates 12.3 % (11.0 to 13.6 %) more tokens per second than tis",
        ),
        (
            said(rate, Some((0.8, 0.75, 0.85)), Finding::First),
            "tis generates 25.0 % (17.6 to 33.3 %) more tokens per second than api_server",
        ),
        (
            said(rate, Some((3.5, 3.25, 3.75)), Finding::Other),
            "api_server generates 3.50 times (3.25 to 3.75 times) as many tokens per second as tis",
        ),
        (
            said(ttft, Some((0.8, 0.75, 0.85)), Finding::Other),
            "api_server's mean time to first token is 20.0 % (15.0 to 25.0 %) shorter than tis's",
        ),
        (
            said(ttft, Some((1.25, 1.2, 1.3)), Finding::First),
            "tis's mean time to first token is 20.0 % (16.7 to 23.1 %) shorter than api_server's",
        ),
        (
            said(rate, Some((1.004, 0.992, 1.016)), Finding::Same),
            "no difference larger than 2 %: \
             api_server generates 0.4 % more tokens per second than tis (from 0.8 % fewer to \
             1.6 % more)",
        ),
        (
            said(ttft, Some((0.99, 0.985, 0.9996)), Finding::Same),
            "no difference larger than 2 %: api_server's mean time to first token is 1.0 % shorter \
             than tis's (0.04 % to 1.5 % shorter)",
        ),
        (
            said(ttft, Some((0.99, 0.96, 1.021)), undecided),
            "not decided: api_server's mean time to first token is 1.0 % shorter than tis's (from \
             4.0 % shorter to 2.1 % longer); about 14 more blocks would decide if the spread stays \
             what it is: start anew with --blocks 20",
        ),
        (
            said(Metric::RequestsPerS, None, Finding::Unknown),
            "nothing can be said on requests per second of tis and api_server: no block has it on \
             both sides",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_range_has_one_unit() {
    let (rate, ttft) = (Metric::OutputTokensPerS, Metric::FtlMean);
    let table = [
        (
            said(
                ttft,
                Some((2.5, 0.9, 4.0)),
                Finding::Undecided { more_blocks: None },
            ),
            "not decided: api_server's mean time to first token is 2.50 times (0.90 to 4.00 times) \
             tis's; how many more blocks would decide cannot be told",
        ),
        (
            said(
                rate,
                Some((1.703, 0.082, 35.32)),
                Finding::Undecided { more_blocks: None },
            ),
            "not decided: api_server generates 1.70 times (0.08 to 35.32 times) as many tokens per \
             second as tis; how many more blocks would decide cannot be told",
        ),
        (
            said(
                rate,
                Some((0.6, 0.004, 90.0)),
                Finding::Undecided { more_blocks: None },
            ),
            "not decided: api_server generates 0.60 times (0.004 to 90.00 times) as many tokens per \
             second as tis; how many more blocks would decide cannot be told",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_small_difference_never_reads_as_none() {
    let bounds = Some((1.0004, 1.0002, 1.0006));
    assert_eq!(
        said(Metric::OutputTokensPerS, bounds, Finding::Other),
        "api_server generates 0.04 % (0.02 to 0.06 %) more tokens per second than tis"
    );
}

#[test]
fn the_headline_takes_the_widest_gap() {
    let mut three = comparison(
        Metric::OutputTokensPerS,
        Some((1.05, 1.04, 1.06)),
        Finding::Other,
    );
    three.arms.push("tis-chatbot".to_owned());
    let mut third = three.pairs[0].clone();
    third.other = 2;
    third.metrics[0].ratio = Some(Ratio {
        point: 0.5,
        low: 0.4,
        high: 0.6,
    });
    third.metrics[0].finding = Finding::First;
    three.pairs.push(third);
    assert_eq!(
        headline(&three),
        "tis generates 2.00 times (1.67 to 2.50 times) as many tokens per second as tis-chatbot."
    );
    three.pairs[1].metrics[0].finding = Finding::Undecided { more_blocks: None };
    assert!(headline(&three).starts_with("api_server generates 5.0 %"));
    three.basis = Basis::Requests {
        pairs: 40,
        batch: 10,
    };
    let words = headline(&three);
    assert!(
        words.starts_with("in these two runs, made apart, api_server generates"),
        "{words}"
    );
    assert!(words.ends_with("runs made apart cannot say."), "{words}");
    let caveat = caveat(&three.basis).unwrap();
    assert!(
        caveat.contains("made apart (40 requests of both"),
        "{caveat}"
    );
    three.pairs.clear();
    assert_eq!(headline(&three), "");
}

#[test]
fn caveats_are_said_where_they_hold() {
    assert_eq!(caveat(&blocks()), None);
    let few = p99_caveat(&blocks()).unwrap();
    assert!(
        few.contains("100 requests, whose slowest one or two decide"),
        "{few}"
    );
    let many = Basis::Blocks {
        blocks: 6,
        requests: 1000,
        duet: false,
        precision: None,
        wanted: None,
    };
    assert_eq!(p99_caveat(&many), None);
    let mut one = comparison(Metric::OutputTokensPerS, None, Finding::Unknown);
    assert_eq!(joint_caveat(&one), None);
    let second = Compared {
        metric: Metric::FtlMean,
        ..one.pairs[0].metrics[0].clone()
    };
    one.pairs[0].metrics.push(second);
    let words = joint_caveat(&one).unwrap();
    assert!(words.contains("97.50 %"), "{words}");
}

#[test]
fn a_precision_that_was_not_reached_is_named() {
    let with = |high: f64| {
        let bounds = Some((1.0, 1.0 / high, high));
        let mut found = comparison(Metric::OutputTokensPerS, bounds, Finding::Same);
        found.basis = Basis::Blocks {
            blocks: 6,
            requests: 2000,
            duet: false,
            precision: Some(0.02),
            wanted: None,
        };
        found
    };
    assert_eq!(precision_caveat(&with(1.019)), None);
    assert_eq!(precision_caveat(&with(1.02)), None);
    let words = precision_caveat(&with(1.035)).unwrap();
    assert!(words.contains("3.5 % after 6 blocks, 2 % were"), "{words}");
    assert_eq!(caveats(&with(1.035), &[]), [words]);
    let unasked = comparison(Metric::RequestsPerS, None, Finding::Unknown);
    assert_eq!(precision_caveat(&unasked), None);
}

#[test]
fn a_duet_on_one_host_is_named() {
    let words = |duet: bool, shared_host: Option<&str>| {
        let mut run = sound();
        run.header.experiment = Some(crate::record::Experiment {
            duet,
            shared_host: shared_host.map(str::to_owned),
            ..crate::record::Experiment::default()
        });
        let summary = summarize(&run);
        duet_caveat(&[Arm {
            run: &run,
            summary: &summary,
        }])
    };
    let found = words(true, Some("tis and api_server on this machine")).unwrap();
    assert!(
        found.contains("one host (tis and api_server on this machine)"),
        "{found}"
    );
    assert_eq!(
        words(false, Some("tis and api_server on this machine")),
        None
    );
    assert_eq!(words(true, None), None);
}
