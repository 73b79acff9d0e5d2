//! Ways side by side: the same work, said so; other work, said so.

use super::common::{Desk, tokenizer};
use super::{
    compare, counts, exactly_as_planned, letters, new_api_server, reasons, runs, summarize, triton,
};

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn four_ways_do_the_same_work() {
    let desk = Desk::new();
    let (triton, api_server) = (triton(), new_api_server());
    let arms = [
        format!("tis={triton}"),
        format!("tis-ensemble={triton},model=ensemble"),
        format!("tis-direct={triton}"),
        format!("api_server={api_server}"),
    ];
    let load = ["--concurrency", "4", "--num-prompts", "32", "--blocks", "2"];
    let more = [&load[..], &["--output-len", "24"]].concat();
    let left = compare(&desk, &tokenizer(), &arms, &more);
    let runs = runs(&desk);
    assert_eq!(runs.len(), 4, "{}", left.err);
    for run in &runs {
        exactly_as_planned(run);
        let tokens = summarize(run).tokens;
        println!(
            "{}: {} prompt tokens, {:?} by the server, {:?} generated",
            run.header.backend, tokens.prompt, tokens.server_prompts, tokens.generated
        );
    }
    let [tis, ensemble, _ids, server] = &runs[..] else {
        unreachable!("four arms")
    };
    for (place, record) in server.records.iter().enumerate() {
        assert!(!record.text.is_empty());
        for other in [tis, ensemble] {
            let same = &other.records[place];
            assert_eq!((same.block, same.index), (record.block, record.index));
            assert_eq!(letters(same), letters(record));
        }
    }
    counts(&left, &runs);
}

#[test]
#[ignore = "needs real servers: tests/real/run"]
fn a_chat_template_on_one_side_is_found() {
    let desk = Desk::new();
    // The folder has a template, the api_server's model has none: LMDeploy goes
    // without and does not say so.
    std::fs::create_dir(desk.path("model")).unwrap();
    std::fs::copy(tokenizer(), desk.path("model/tokenizer.model")).unwrap();
    let template = "{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}";
    let config = serde_json::json!({"chat_template": template, "bos_token": "<s>"});
    desk.write("model/tokenizer_config.json", &config.to_string());
    let arms = [
        format!("tis={}", triton()),
        format!("api_server={}", new_api_server()),
    ];
    let load = ["--concurrency", "2", "--num-prompts", "8", "--blocks", "2"];
    let more = [&load[..], &["--output-len", "8", "--prompt", "chat"]].concat();
    let left = compare(&desk, "model", &arms, &more);
    assert_eq!(left.code, 1, "{}\n{}", left.out, left.err);
    let runs = runs(&desk);
    let found = reasons(&runs);
    let between = found.iter().find(|of| of.code == "prompt_tokens_differ");
    let between = between.unwrap_or_else(|| panic!("{found:?}"));
    let counted = |run| summarize(run).tokens.server_prompts.unwrap().server;
    let (tis, server) = (counted(&runs[0]), counted(&runs[1]));
    assert!(
        tis > server,
        "{tis} tokens with the template, {server} without"
    );
    let words = format!("api_server {server} tokens tis {tis} (");
    let without_groups = between.text.replace(',', "");
    assert!(without_groups.contains(&words), "{between:?}");
    assert!(left.out.contains("INVALID"), "{}", left.out);
    let own = found
        .iter()
        .find(|of| of.code == "prompt_tokens" && of.arm == Some(1));
    assert!(own.is_some(), "{found:?}");
    println!("{}", between.text);
}
