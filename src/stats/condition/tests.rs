//! What is a condition, and in which words everything else is refused.

use proptest::prelude::*;

use super::{Against, Condition, Relation};
use crate::stats::Metric;

fn arm(factor: f64, label: &str) -> Against {
    Against::Arm {
        factor,
        label: label.to_owned(),
    }
}

#[test]
fn conditions_are_read() {
    let api = "api_server";
    let table = [
        (
            "tis.ttft_p99 > 1.05 * api_server.ttft_p99",
            (Metric::FtlP99, "tis", Relation::More, arm(1.05, api)),
        ),
        (
            "tis (2).throughput<=api_server.throughput*0.9",
            (
                Metric::OutputTokensPerS,
                "tis (2)",
                Relation::AtMost,
                arm(0.9, api),
            ),
        ),
        (
            "2 * tis.itl >= 3 * api_server.itl",
            (Metric::ItlMean, "tis", Relation::AtLeast, arm(1.5, api)),
        ),
        (
            "tis.ttft_p99 > 200ms",
            (Metric::FtlP99, "tis", Relation::More, Against::Value(200e6)),
        ),
        (
            "1.5 s < tis.e2e",
            (
                Metric::E2eMean,
                "tis",
                Relation::More,
                Against::Value(1.5e9),
            ),
        ),
        (
            "tis.rps < 3.5",
            (
                Metric::RequestsPerS,
                "tis",
                Relation::Less,
                Against::Value(3.5),
            ),
        ),
    ];
    for (text, (metric, label, relation, against)) in table {
        let found = Condition::parse(text).unwrap();
        assert_eq!(found.metric, metric, "{text}");
        assert_eq!(found.label, label, "{text}");
        assert_eq!(found.relation, relation, "{text}");
        assert_eq!(found.against, against, "{text}");
        assert_eq!(found.to_string(), text);
    }
}

#[test]
fn what_is_none_is_refused_in_words() {
    let table = [
        ("", "needs one of <"),
        ("tis.ttft", "needs one of <"),
        ("tis.ttft == api_server.ttft", "needs one of <"),
        ("1 < tis.ttft < 2", "needs one of <"),
        ("tis.ttft >", "a side is empty"),
        (
            "tis.speed > api_server.speed",
            "no metric 'speed'; known are throughput",
        ),
        ("tis > api_server", "'tis' is neither an arm's figure"),
        ("tis.ttft > api_server.itl", "sets ttft against itl"),
        ("tis.ttft > tis.ttft", "both sides are of the arm tis"),
        ("tis.ttft > 200", "give 200 a unit"),
        ("tis.rps > 200ms", "give 200 no unit"),
        ("tis.ttft > 3 weeks", "'weeks' is no unit of time"),
        ("tis.ttft > 0ms", "not above 0"),
        ("tis.ttft > -1 * api_server.ttft", "not above 0"),
        ("tis.ttft > inf * api_server.ttft", "not above 0"),
        ("1 > 2", "neither side names"),
        ("tis.ttft > x * api_server.ttft", "is not a number times"),
    ];
    for (text, part) in table {
        let words = Condition::parse(text).unwrap_err();
        assert!(words.contains(part), "{text}: {words}");
    }
}

#[test]
fn arms_are_checked() {
    let arms = ["tis".to_owned(), "api_server".to_owned()];
    let check = |text: &str| Condition::parse(text).unwrap().check(&arms);
    assert_eq!(check("tis.ttft > api_server.ttft"), Ok(()));
    let words = check("tis.ttft > tls.ttft").unwrap_err();
    assert!(
        words.contains("'tls', which is none of: tis, api_server"),
        "{words}"
    );
    assert!(check("x.ttft > 2ms").is_err());
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in "\\PC{0,40}", figure in "[a-z.*<>=0-9 ]{0,30}") {
        let _ = Condition::parse(&text);
        let _ = Condition::parse(&figure);
    }
}
