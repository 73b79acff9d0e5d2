use super::{Counters, HistogramFigures, ModelFigures, ServerFigures, server};
use crate::record::{Block, Run};
use crate::stats::fixture;

fn counters(pairs: &[(&str, f64)]) -> Counters {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}

fn with_blocks(blocks: &[(Counters, bool)]) -> Run {
    let mut run = fixture::sound();
    for (number, (counted, cut)) in (0..).zip(blocks) {
        run.blocks.push(Block {
            number,
            server_counters: counted.clone(),
            cut: *cut,
            ..Block::default()
        });
    }
    run
}

fn triton(calls: f64, each_ns: f64) -> Counters {
    counters(&[
        ("preprocessing.count", calls),
        ("preprocessing.executions", calls),
        ("preprocessing.success_count", calls),
        ("preprocessing.success_ns", calls * each_ns * 10.0),
        ("preprocessing.queue_count", calls),
        ("preprocessing.queue_ns", calls * each_ns),
        ("preprocessing.compute_input_ns", calls * each_ns * 2.0),
        ("preprocessing.compute_infer_ns", calls * each_ns * 5.0),
        ("preprocessing.compute_output_ns", calls * each_ns * 1.5),
        ("pre.v2.fail_count", 3.0),
        ("pre.v2.fail_ns", 1e6),
    ])
}

#[test]
fn calls_are_added_up_and_times_are_means_over_them() {
    // 10 calls of 100 us and 30 of 200 us: 175 us; the block that was cut is none.
    let run = with_blocks(&[
        (triton(10.0, 1e5), false),
        (triton(30.0, 2e5), false),
        (triton(999.0, 9e9), true),
    ]);
    let found = server(&run).expect("counters");
    let expected = ServerFigures {
        blocks_read: Some(2),
        blocks_whole: Some(2),
        fell: false,
        models: vec![
            ModelFigures {
                name: "pre.v2".to_owned(),
                failed_calls: 6.0,
                ..ModelFigures::default()
            },
            ModelFigures {
                name: "preprocessing".to_owned(),
                calls: 40.0,
                failed_calls: 0.0,
                queue_ns: Some(175_000.0),
                input_ns: Some(350_000.0),
                infer_ns: Some(875_000.0),
                output_ns: Some(262_500.0),
                whole_ns: Some(1_750_000.0),
                ends_before_answer: false,
            },
        ],
        ..ServerFigures::default()
    };
    assert_eq!(found, expected);
}

#[test]
fn histograms_have_means_and_gauges_and_buckets_are_left_out() {
    let block = |count: f64, each_s: f64| {
        counters(&[
            ("lmdeploy:request_queue_time_seconds_sum", count * each_s),
            ("lmdeploy:request_queue_time_seconds_count", count),
            ("lmdeploy:request_queue_time_seconds_bucket", 77.0),
            ("lmdeploy:request_queue_time_seconds_created", 1.7e9),
            ("lmdeploy:request_prompt_tokens_sum", count * 50.0),
            ("lmdeploy:request_prompt_tokens_count", count),
            ("lmdeploy:generation_tokens_total", 640.0),
            ("lmdeploy:num_requests_running", -2.0),
        ])
    };
    let run = with_blocks(&[
        (block(1.0, 0.5), false),
        (block(3.0, 0.1), false),
        (Counters::new(), false),
    ]);
    let found = server(&run).expect("counters");
    assert!(!found.fell && found.models.is_empty());
    assert_eq!((found.blocks_read, found.blocks_whole), (Some(2), Some(3)));
    let histogram = |name: &str, mean: f64| HistogramFigures {
        name: name.to_owned(),
        count: 4.0,
        mean,
    };
    let [tokens, queue] = found.histograms.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(*tokens, histogram("lmdeploy:request_prompt_tokens", 50.0));
    assert_eq!(tokens.mean_ms(), None);
    assert_eq!((queue.count, queue.mean), (4.0, 0.2));
    assert_eq!(queue.mean_ms(), Some(200.0));
    assert_eq!(
        found.totals,
        [("lmdeploy:generation_tokens_total".to_owned(), 1280.0)]
    );
}

#[test]
fn what_fell_is_in_no_sum() {
    let mut fallen = triton(5.0, 1e5);
    fallen.insert("preprocessing.queue_ns".to_owned(), -1.0);
    fallen.insert("a_total".to_owned(), -4.0);
    fallen.insert("b_seconds_count".to_owned(), -1.0);
    fallen.insert("b_seconds_sum".to_owned(), 1.0);
    let run = with_blocks(&[(triton(10.0, 1e5), false), (fallen, false)]);
    let found = server(&run).expect("counters");
    assert!(found.fell);
    assert!(found.totals.is_empty() && found.histograms.is_empty());
    assert_eq!(found.models[1].calls, 10.0);
    assert_eq!(found.models[1].queue_ns, Some(100_000.0));
    assert_eq!(found.models[0].failed_calls, 6.0);
}

#[test]
fn an_engines_time_is_told_from_that_of_its_answer() {
    // The fixture's answers come over 1 ms.
    for (inside_ns, model, expected) in [
        (400_000.0, "turbomind", true),
        (1_000_000.0, "turbomind", false),
        (400_000.0, "ensemble", true),
        (400_000.0, "preprocessing", false),
    ] {
        let counted = [
            (format!("{model}.success_count"), 4.0),
            (format!("{model}.success_ns"), 4.0 * inside_ns),
        ];
        let mut run = with_blocks(&[(counted.into(), false)]);
        run.header.model = "ensemble".to_owned();
        let found = server(&run).expect("counters");
        assert_eq!(found.models[0].ends_before_answer, expected, "{model}");
    }
}

#[test]
fn a_run_by_itself_has_the_counters_of_its_end_and_others_none() {
    let mut run = fixture::sound();
    assert_eq!(server(&run), None);
    run.end.as_mut().expect("it ended").server_counters = triton(2.0, 1e5);
    let found = server(&run).expect("counters");
    assert_eq!((found.blocks_read, found.blocks_whole), (None, None));
    assert_eq!(found.models[1].calls, 2.0);
    run.end.as_mut().expect("it ended").server_counters = counters(&[("asked", 4.0)]);
    assert_eq!(server(&run), None);
    run.end = None;
    assert_eq!(server(&run), None);
    assert_eq!(server(&with_blocks(&[(Counters::new(), false)])), None);
}
