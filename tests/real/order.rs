//! Text out of order: an ensemble with several postprocessing instances, without
//! and with what keeps their order.

use super::common::{Desk, Left, dataset, tokenizer};
use super::{
    Run, Way, compare, counts, exactly_as_planned, flat, new_api_server, reasons, runs, triton,
};

const CURE: &str = "dynamic_batching { preserve_ordering: true }";
const LOAD: [&str; 6] = ["--concurrency", "2", "--num-prompts", "8", "--blocks", "2"];

/// Beside the api_server, whose text is in order.
fn beside_api_server(model: &str) -> (Left, Vec<Run>) {
    let desk = Desk::new();
    let arms = [
        format!("tis-ensemble={},model={model}", triton()),
        format!("api_server={}", new_api_server()),
    ];
    let left = compare(
        &desk,
        &tokenizer(),
        &arms,
        &[&LOAD[..], &["--output-len", "24"]].concat(),
    );
    let runs = runs(&desk);
    assert_eq!(runs.len(), 2, "{}", left.err);
    // Whatever becomes of the text, the counts are right.
    runs.iter().for_each(exactly_as_planned);
    (left, runs)
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn text_out_of_order_does_not_count_and_the_cure_is_named() {
    let (left, runs) = beside_api_server("ensemble_unordered");
    assert_eq!(left.code, 1, "{}", left.out);
    let found = reasons(&runs);
    let lost = found.iter().find(|of| of.code == "text_out_of_order");
    let lost = lost.unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!((lost.rule, lost.arm), (2, Some(0)));
    assert!(lost.cure.contains(CURE), "{lost:?}");
    assert!(lost.cure.contains("`postprocessing_unordered`"), "{lost:?}");
    println!("{}\n{}", lost.text, lost.cure);
    let page = flat(&left.out);
    assert!(page.contains("text came out of order"), "{}", left.out);
    assert!(page.contains(CURE), "{}", left.out);
    // Known before the first request, too.
    assert!(left.err.contains("preserve_ordering"), "{}", left.err);
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn with_the_cure_the_same_instances_pass() {
    for model in ["ensemble_ordered", "ensemble"] {
        let (left, runs) = beside_api_server(model);
        counts(&left, &runs);
        for said in [&left.out, &left.err] {
            assert!(!said.contains("preserve_ordering"), "{said}");
        }
    }
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn alone_nothing_shows_it_and_the_configuration_is_named() {
    for (model, warned) in [("ensemble_unordered", true), ("ensemble_ordered", false)] {
        let desk = Desk::new();
        let way = Way {
            backend: "tis-ensemble",
            address: triton(),
            model: Some(model),
            server: "",
        };
        let left = way.profile(&desk, &dataset(), &LOAD[..4]);
        assert!(left.code <= 1, "{}", left.err);
        for said in [&left.out, &left.err] {
            assert_eq!(said.contains("preserve_ordering"), warned, "{said}");
        }
    }
}
