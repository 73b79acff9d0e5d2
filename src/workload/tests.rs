use std::sync::LazyLock;

use super::*;
use proptest::prelude::*;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    Tokenizer::from_sentencepiece_bytes(include_bytes!("../demo/tokenizer.model")).unwrap()
});

/// A text of so many tokens: each " a" is one.
fn text(tokens: usize) -> String {
    " a".repeat(tokens).trim_start().to_owned()
}

/// Two records without a pair, and pairs with these numbers of tokens.
fn dataset(lengths: &[(usize, usize)]) -> Dataset {
    let mut records = vec![serde_json::json!({"conversations": []}); 2];
    records.extend(lengths.iter().map(|&(prompt, answer)| {
        serde_json::json!({"conversations": [{"value": text(prompt)}, {"value": text(answer)}]})
    }));
    let json = serde_json::to_vec(&records).unwrap();
    read_dataset_bytes(json, None, "test").unwrap()
}

fn rules(num_prompts: u32, seed: u64) -> Rules {
    Rules {
        num_prompts: Some(num_prompts),
        seed,
        ..Rules::default()
    }
}

fn draw(lengths: &[(usize, usize)], num_prompts: u32, seed: u64) -> Result<Workload> {
    sample(
        &dataset(lengths),
        &TOKENIZER,
        &rules(num_prompts, seed),
        &(),
    )
}

#[test]
fn the_filter_keeps_what_lmdeploy_keeps() {
    for (prompt, answer, rule) in [
        (4, 4, "kept"),
        (3, 4, "short"),
        (4, 3, "short"),
        (0, 9, "short"),
        (1024, 1024, "kept"),
        (1024, 1025, "sum"),
        (1025, 4, "prompt"),
        (1025, 3, "prompt"),
        (4, 2044, "kept"),
        (4, 2045, "sum"),
    ] {
        let workload = draw(&[(8, 9), (prompt, answer)], 1, 0).unwrap();
        let FilterCounts {
            too_short,
            prompt_too_long,
            sum_too_long,
            kept,
            ..
        } = workload.filter;
        let counts = (too_short, prompt_too_long, sum_too_long, kept);
        let wanted = match rule {
            "short" => (1, 0, 0, 1),
            "prompt" => (0, 1, 0, 1),
            "sum" => (0, 0, 1, 1),
            _ => (0, 0, 0, 2),
        };
        assert_eq!(counts, wanted, "{prompt} {answer}");
        assert_eq!((workload.filter.records, workload.filter.pairs), (4, 2));
    }
}

#[test]
fn prompts_carry_what_a_backend_needs() {
    let workload = draw(&[(2, 2), (5, 6), (1, 1), (7, 8)], 2, 3).unwrap();
    let mut prompts = workload.prompts;
    prompts.sort_by_key(|prompt| prompt.index);
    for (prompt, (index, tokens, output)) in prompts.iter().zip([(1, 5, 6), (3, 7, 8)]) {
        assert_eq!((prompt.index, prompt.prompt_tokens), (index, tokens));
        assert_eq!(prompt.output_tokens, output);
        assert_eq!(prompt.token_ids[0], 1);
        assert_eq!(prompt.token_ids.len(), tokens as usize + 1);
        assert_eq!(
            TOKENIZER.decode_bytes(&prompt.token_ids),
            format!(" {}", prompt.text).as_bytes()
        );
    }
}

#[test]
fn a_seed_is_a_choice() {
    let lengths: Vec<_> = (0..300).map(|place| (4 + place % 30, 5)).collect();
    let indices = |seed| -> Vec<u32> {
        let workload = draw(&lengths, 40, seed).unwrap();
        workload.prompts.iter().map(|prompt| prompt.index).collect()
    };
    assert_eq!(indices(7), indices(7));
    assert_ne!(indices(7), indices(8));
    // random.seed(7); random.sample(range(300), 40) in CPython 3.11.
    assert_eq!(indices(7)[..6], [165, 77, 202, 24, 37, 274]);
}

#[test]
fn too_many_and_too_few_are_refused_with_numbers_and_cure() {
    let lengths = [(5, 5), (1, 5), (5, 1), (1025, 5), (5, 2044), (6, 6)];
    let error = format!("{:#}", draw(&lengths, 3, 0).unwrap_err());
    for part in [
        "3 prompts were asked for, but only 2 conversations are left",
        "of 8 records 2 have no prompt or no answer",
        "of the 6 others 2 have a prompt or answer under 4",
        "1 a prompt over 1024",
        "1 more than 2048 together",
        "--num-prompts 2",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = format!("{:#}", draw(&lengths[1..5], 1, 0).unwrap_err());
    assert!(error.contains("no conversation is left"), "{error}");
    assert!(error.contains("no prompt or no answer"), "{error}");
    let error = format!("{:#}", draw(&[], 1, 0).unwrap_err());
    assert!(error.contains("of 2 records none has a prompt"), "{error}");
    assert!(
        draw(&lengths, 0, 0)
            .unwrap_err()
            .to_string()
            .contains("0 prompts")
    );
}

#[test]
fn styles_and_formats_have_names() {
    for name in [
        "lmdeploy-0.1",
        "lmdeploy-0.2.6",
        "lmdeploy-0.6.2",
        "in-order",
    ] {
        let style: SamplingStyle = name.parse().unwrap();
        assert_eq!(style.to_string(), name);
    }
    for name in ["sharegpt", "openai", "jsonl-prompts", "random"] {
        let format: DatasetFormat = name.parse().unwrap();
        assert_eq!(format.to_string(), name);
    }
    for name in ["vllm", "", "lmdeploy-0.2"] {
        let error = name.parse::<SamplingStyle>().unwrap_err().to_string();
        assert!(error.contains(&format!("`{name}`")), "{error}");
        assert!(error.contains("lmdeploy-0.6.2"), "{error}");
        let error = name.parse::<DatasetFormat>().unwrap_err().to_string();
        assert!(error.contains("jsonl-prompts"), "{error}");
    }
}

/// What `pairbench demo` embeds is good for a run.
#[test]
fn the_bundled_conversations_can_be_sampled() {
    let dataset = bundled_conversations().unwrap();
    assert!(dataset.len() >= 350, "{}", dataset.len());
    let workload = sample(&dataset, &TOKENIZER, &rules(300, 0), &()).unwrap();
    assert_eq!(workload.prompts.len(), 300);
    let longest = workload
        .prompts
        .iter()
        .map(|prompt| prompt.prompt_tokens)
        .max();
    assert!(longest > Some(200), "{longest:?}");
}

proptest! {
    /// Every prompt that is drawn passed the filter, and none is drawn twice.
    #[test]
    fn drawn_prompts_obey_the_rules(
        lengths in proptest::collection::vec((0_usize..12, 0_usize..12), 1..40), seed: u64,
    ) {
        let fits = |&&(prompt, answer): &&(usize, usize)| prompt >= 4 && answer >= 4;
        let kept = lengths.iter().filter(fits).count();
        prop_assume!(kept > 0);
        let count = u32::try_from(kept).unwrap();
        let workload = draw(&lengths, count, seed).unwrap();
        let mut indices: Vec<u32> = workload.prompts.iter().map(|prompt| prompt.index).collect();
        indices.sort_unstable();
        indices.dedup();
        prop_assert_eq!(indices.len(), kept);
        for prompt in workload.prompts {
            let (tokens, output) = lengths[prompt.index as usize];
            prop_assert_eq!(prompt.prompt_tokens as usize, tokens);
            prop_assert_eq!(prompt.output_tokens as usize, output);
        }
        prop_assert!(draw(&lengths, count + 1, seed).is_err());
    }
}
