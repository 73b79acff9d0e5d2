//! Lines of prompts, a workload of one's own: nothing is dropped or changed but by
//! what the user says.

use pairbench::workload::{Rules, SetLimits, Tokenizer, Workload, read_dataset_bytes, sample};

fn of(json: &str, rules: Rules) -> anyhow::Result<Workload> {
    let dataset = read_dataset_bytes(json.as_bytes().to_vec(), None, "test")?;
    sample(&dataset, &Tokenizer::bundled()?, &rules, &())
}

/// In file order nothing is dropped but by what the user says.
#[test]
fn one_limit_does_not_bring_the_others() {
    let lines = "{\"prompt\":\"a\",\"output_tokens\":70}\n\
                 {\"prompt\":\"a a a a a a\",\"output_tokens\":5000}\n\
                 {\"prompt\":\"a a a\",\"output_tokens\":4294967295}\n";
    let all = of(lines, Rules::default()).unwrap();
    assert_eq!((all.prompts.len(), all.limits), (3, None));
    let limits = SetLimits {
        max_prompt_tokens: Some(5),
        ..SetLimits::default()
    };
    let some = of(
        lines,
        Rules {
            limits,
            ..Rules::default()
        },
    )
    .unwrap();
    let kept: Vec<u32> = some.prompts.iter().map(|prompt| prompt.index).collect();
    assert_eq!((kept, some.filter.prompt_too_long), (vec![0, 2], 1));
}

/// Whatever the order of the keys, the most telling name wins.
#[test]
fn a_length_under_several_names_is_the_same_in_every_order() {
    for line in [
        r#"{"prompt":"a a","output_tokens":12,"max_tokens":4096}"#,
        r#"{"prompt":"a a","max_tokens":4096,"output_tokens":12}"#,
        r#"{"prompt":"a a","output_tokens":12,"max_tokens":null}"#,
        r#"{"prompt":"a a","output_len":12,"output":"a"}"#,
        r#"{"prompt":"a a","output":"a","max_tokens":12}"#,
    ] {
        let workload = of(line, Rules::default()).unwrap();
        assert_eq!(workload.prompts[0].output_tokens, 12, "{line}");
    }
}
