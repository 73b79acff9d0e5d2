//! Workloads as users make them: by each style's rules, at random, and read back
//! from an export.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use pairbench::workload::{
    DatasetFormat, RandomLengths, Rules, SamplingStyle, SetLimits, Tokenizer, Watch, Workload,
    export, random, read_dataset, read_dataset_bytes, sample,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn tokenizer() -> Tokenizer {
    Tokenizer::bundled().unwrap()
}

fn of(json: &str, rules: Rules) -> anyhow::Result<Workload> {
    let dataset = read_dataset_bytes(json.as_bytes().to_vec(), None, "test")?;
    sample(&dataset, &tokenizer(), &rules, &())
}

fn mini(rules: Rules) -> anyhow::Result<Workload> {
    let dataset = read_dataset(&data("sharegpt_mini.json"), None)?;
    sample(&dataset, &tokenizer(), &rules, &())
}

fn error(result: anyhow::Result<Workload>, complaints: &[&str]) {
    let error = format!("{:#}", result.unwrap_err());
    for complaint in complaints {
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
}

/// Conversations of prompts and answers of so many tokens.
fn conversations(lengths: &[(usize, usize)]) -> String {
    let text = |tokens: usize| " a".repeat(tokens).trim_start().to_owned();
    let records: Vec<_> = lengths
        .iter()
        .map(|&(prompt, answer)| {
            serde_json::json!({"conversations": [
                {"value": text(prompt)}, {"value": text(answer)}]})
        })
        .collect();
    serde_json::to_string(&records).unwrap()
}

fn styled(style: SamplingStyle, num_prompts: u32) -> Rules {
    Rules {
        style: Some(style),
        num_prompts: Some(num_prompts),
        ..Rules::default()
    }
}

#[test]
fn too_small_a_dataset_ends_as_in_each_of_lmdeploys_versions() {
    let json = conversations(&[(5, 5); 40]);
    error(
        of(&json, styled(SamplingStyle::Lmdeploy01, 41)),
        &["41 prompts", "only 40", "--num-prompts 40"],
    );
    error(
        of(&json, styled(SamplingStyle::Lmdeploy026, 10)),
        &[
            "40 pairs",
            "first draws 1000 for 10 prompts",
            "ValueError",
            "--sampling lmdeploy-0.1",
        ],
    );
    // Enough for the first draw, too few for the second.
    let mut lengths = vec![(5, 5); 900];
    lengths.extend([(1, 1); 400]);
    error(
        of(
            &conversations(&lengths),
            styled(SamplingStyle::Lmdeploy026, 1083),
        ),
        &[
            "1083 prompts",
            "of the 1299 that were drawn of the 1300 others",
        ],
    );
    let workload = of(&json, styled(SamplingStyle::Lmdeploy062, 41)).unwrap();
    assert_eq!(workload.prompts.len(), 40);
    assert_eq!(workload.notes.len(), 1);
    assert!(
        workload.notes[0].contains("only 40"),
        "{:?}",
        workload.notes
    );
}

#[test]
fn begin_of_sequence_moves_the_edges_from_0_6_2_on() {
    let lengths = [
        (3, 3),
        (3, 4),
        (1024, 5),
        (1023, 1023),
        (1023, 1024),
        (1024, 1024),
    ];
    let kept = |style| {
        let workload = of(&conversations(&lengths), styled(style, 99));
        let rules = styled(style, 1);
        let workload = workload.or_else(|_| {
            let all = of(&conversations(&lengths), rules)?.filter.kept;
            of(&conversations(&lengths), styled(style, u32::try_from(all)?))
        });
        let mut kept: Vec<_> = workload
            .unwrap()
            .prompts
            .iter()
            .map(|prompt| (prompt.index, prompt.prompt_tokens, prompt.output_tokens))
            .collect();
        kept.sort_unstable();
        kept
    };
    assert_eq!(
        kept(SamplingStyle::Lmdeploy01),
        [
            (2, 1024, 5),
            (3, 1023, 1023),
            (4, 1023, 1024),
            (5, 1024, 1024)
        ]
    );
    assert_eq!(
        kept(SamplingStyle::Lmdeploy062),
        [(0, 4, 4), (1, 4, 5), (3, 1024, 1024)]
    );
}

#[test]
fn a_fixed_length_frees_the_answer_and_the_sum() {
    let json = conversations(&[(5, 0), (1024, 3000), (3, 9), (1025, 9)]);
    let rules = Rules {
        output_tokens: Some(1500),
        ..styled(SamplingStyle::Lmdeploy01, 2)
    };
    let workload = of(&json, rules).unwrap();
    let mut found: Vec<_> = workload
        .prompts
        .iter()
        .map(|prompt| (prompt.index, prompt.output_tokens))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(0, 1500), (1, 1500)]);
    error(
        of(
            &json,
            Rules {
                output_tokens: Some(3),
                ..rules
            },
        ),
        &["--output-len 3", "--min-tokens 4"],
    );
}

#[test]
fn limits_can_be_set_and_nonsense_is_refused() {
    let json = conversations(&[(1, 1), (9, 9), (10, 9), (9, 12)]);
    let limits = SetLimits {
        min_tokens: Some(1),
        max_prompt_tokens: Some(9),
        max_total_tokens: Some(20),
    };
    let rules = Rules {
        limits,
        ..styled(SamplingStyle::Lmdeploy01, 2)
    };
    let filter = of(&json, rules).unwrap().filter;
    assert_eq!(
        (filter.kept, filter.prompt_too_long, filter.sum_too_long),
        (2, 1, 1)
    );
    let limits = |min_tokens, max_prompt_tokens, max_total_tokens| Rules {
        limits: SetLimits {
            min_tokens: Some(min_tokens),
            max_prompt_tokens: Some(max_prompt_tokens),
            max_total_tokens: Some(max_total_tokens),
        },
        ..rules
    };
    error(
        of(&json, limits(10, 9, 99)),
        &["--min-tokens 10", "--max-prompt-tokens 9"],
    );
    error(of(&json, limits(6, 9, 11)), &["--max-total-tokens 11"]);
    error(of(&json, limits(0, 9, 11)), &["--min-tokens 0"]);
    // With one length for all the sum has no limit, so nothing contradicts it.
    let fixed = Rules {
        output_tokens: Some(100),
        num_prompts: Some(1),
        ..limits(6, 9, 11)
    };
    assert_eq!(of(&json, fixed).unwrap().filter.kept, 2);
}

#[test]
fn lines_of_prompts_are_taken_in_order_and_need_a_length() {
    let json = "{\"prompt\": \"a\", \"output_tokens\": 3000}\n\"b\"\n\"c\"";
    error(
        of(json, Rules::default()),
        &["record 1", "no `output_tokens`", "--output-len"],
    );
    let rules = Rules {
        output_tokens: Some(2),
        ..Rules::default()
    };
    let workload = of(json, rules).unwrap();
    assert_eq!(workload.style, Some(SamplingStyle::InOrder));
    let found: Vec<_> = workload
        .prompts
        .iter()
        .map(|prompt| (&*prompt.text, prompt.prompt_tokens, prompt.output_tokens))
        .collect();
    assert_eq!(found, [("a", 1, 2), ("b", 1, 2), ("c", 1, 2)]);
    let one = Rules {
        num_prompts: Some(1),
        ..Rules::default()
    };
    assert_eq!(of(json, one).unwrap().prompts[0].output_tokens, 3000);
    let four = Rules {
        num_prompts: Some(4),
        ..rules
    };
    error(of(json, four), &["4 prompts", "only 3", "--num-prompts 3"]);
    error(
        of("{\"prompt\": \"\"}", rules),
        &["record 0", "the prompt is empty"],
    );
    let five = Rules {
        output_tokens: Some(5),
        ..rules
    };
    error(of("[]", five), &["of 0 records none has a prompt"]);
}

/// What an export is read back to: the same prompts, in the same order.
#[test]
fn an_export_is_read_back_to_the_same_workload() {
    for style in ["lmdeploy-0.1", "lmdeploy-0.2.6", "lmdeploy-0.6.2"] {
        let rules = Rules {
            seed: 3,
            ..styled(style.parse().unwrap(), 120)
        };
        let workload = mini(rules).unwrap();
        let mut lines = Vec::new();
        export(&workload.prompts, &mut lines).unwrap();
        let again = read_dataset_bytes(lines, None, "export").unwrap();
        assert_eq!(again.format(), DatasetFormat::JsonlPrompts);
        let again = sample(&again, &tokenizer(), &Rules::default(), &()).unwrap();
        assert_eq!(again.notes, Vec::<String>::new());
        for (place, (new, old)) in again.prompts.iter().zip(&workload.prompts).enumerate() {
            assert_eq!(new.index as usize, place);
            let mut old = old.clone();
            old.index = new.index;
            assert_eq!(*new, old, "{style}");
        }
        assert_eq!(again.prompts.len(), 120);
    }
}

#[test]
fn an_export_of_another_tokenizer_is_told() {
    let line = r#"{"prompt": "hello there", "prompt_tokens": 77, "output_tokens": 5}"#;
    let workload = of(line, Rules::default()).unwrap();
    assert_eq!(workload.notes.len(), 1);
    for part in ["77 stated", "record 0", "another tokenizer"] {
        assert!(workload.notes[0].contains(part), "{:?}", workload.notes);
    }
}

#[test]
fn random_prompts_have_exact_lengths_on_every_tokenizer() {
    let lengths = RandomLengths {
        input_tokens: 700,
        output_tokens: 300,
        range_ratio: 0.1,
    };
    let folders = [
        "internlm-sp",
        "mistral-v3-sp",
        "mistral-v1-hf",
        "sp-small-unk",
        "sp-small-bytes",
    ];
    let loaded = folders.map(|name| Tokenizer::load(&data("tokenizers").join(name)).unwrap());
    for tokenizer in loaded.iter().chain([&tokenizer()]) {
        let name = tokenizer.describe();
        let workload = random(tokenizer, lengths, 40, 42, &()).unwrap();
        assert_eq!(random(tokenizer, lengths, 40, 42, &()).unwrap(), workload);
        assert_ne!(random(tokenizer, lengths, 40, 43, &()).unwrap(), workload);
        for prompt in &workload.prompts {
            assert_eq!(
                tokenizer.count(&prompt.text).unwrap(),
                prompt.prompt_tokens,
                "{name}"
            );
            assert_eq!(
                *tokenizer.encode_as_served(&prompt.text).unwrap(),
                *prompt.token_ids
            );
            assert!(!prompt.text.contains(char::is_control), "{name}");
        }
        // np.random.seed(42); np.random.randint(70, 701, 40), then randint(30, 301, 40).
        let first = |tokens: fn(&pairbench::workload::Prompt) -> u32| -> Vec<u32> {
            workload.prompts.iter().take(5).map(tokens).collect()
        };
        assert_eq!(
            first(|prompt| prompt.prompt_tokens),
            [172, 505, 340, 176, 141]
        );
        assert_eq!(first(|prompt| prompt.output_tokens), OUTPUTS);
    }
}

const OUTPUTS: [u32; 5] = [164, 50, 196, 118, 43];

#[test]
fn random_lengths_out_of_range_are_refused() {
    let lengths = |input_tokens, output_tokens, range_ratio| RandomLengths {
        input_tokens,
        output_tokens,
        range_ratio,
    };
    for (lengths, seed, complaint) in [
        (lengths(0, 5, 0.0), 0, "--random-input-len 0"),
        (lengths(5, 0, 0.0), 0, "--random-output-len 0"),
        (lengths(5, 5, 1.5), 0, "--random-range-ratio 1.5"),
        (lengths(5, 5, f64::NAN), 0, "--random-range-ratio NaN"),
        (lengths(5, 5, 1.0), 1 << 32, "--seed 4294967296"),
    ] {
        error(random(&tokenizer(), lengths, 3, seed, &()), &[complaint]);
    }
    error(
        random(&tokenizer(), lengths(5, 5, 1.0), 0, 0, &()),
        &["0 prompts"],
    );
}

#[derive(Default)]
struct Counted {
    total: AtomicU64,
    done: AtomicU64,
}

impl Watch for Counted {
    fn stage(&self, what: &str, total: u64) {
        assert!(what.contains("tokens"), "{what}");
        self.total.store(total, Ordering::Relaxed);
    }

    fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }
}

#[test]
fn progress_is_told() {
    let dataset = read_dataset(&data("sharegpt_mini.json"), None).unwrap();
    let watch = Counted::default();
    let rules = styled(SamplingStyle::Lmdeploy01, 5);
    sample(&dataset, &tokenizer(), &rules, &watch).unwrap();
    assert_eq!(watch.total.into_inner(), 2059);
    assert_eq!(watch.done.into_inner(), 2059);
}
