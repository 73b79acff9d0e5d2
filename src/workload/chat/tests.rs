use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::environment::without_generation_marks;
use super::*;
use crate::workload::{Family, FilterCounts, Prompt};

#[derive(Deserialize)]
struct Cases {
    texts: Vec<String>,
    templates: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    tokens: serde_json::Map<String, serde_json::Value>,
    template: String,
    rendered: Vec<String>,
}

fn template(text: &str) -> Result<ChatTemplate> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("chat_template.jinja"), text)?;
    Ok(ChatTemplate::load(folder.path(), None)?.expect("it is there"))
}

/// The error of loading or rendering, all of its words.
fn refusal(text: &str) -> String {
    match template(text).and_then(|template| template.render("hi")) {
        Ok(rendered) => panic!("{text} gives `{rendered}`"),
        Err(error) => format!("{error:#}"),
    }
}

/// tests/data/tools/make_chat_cases.py
#[test]
fn real_templates_render_as_transformers_renders_them() {
    let cases: Cases = serde_json::from_str(include_str!("../../../tests/data/chat_cases.json"))
        .expect("the stored cases");
    assert!(cases.templates.len() >= 13 && cases.texts.len() >= 35);
    let mut different = Vec::new();
    for case in &cases.templates {
        let folder = tempfile::tempdir().unwrap();
        let mut config = case.tokens.clone();
        config.insert("chat_template".to_owned(), json!(case.template));
        let path = folder.path().join("tokenizer_config.json");
        fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
        let template = ChatTemplate::load(folder.path(), None).unwrap().unwrap();
        assert_eq!(case.rendered.len(), cases.texts.len());
        for (text, wanted) in cases.texts.iter().zip(&case.rendered) {
            let rendered = template.render(text).unwrap();
            if rendered != *wanted {
                different.push(format!("{}: {text:?}\n{rendered:?}\n{wanted:?}", case.name));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn a_template_is_found_where_transformers_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let load = || ChatTemplate::load(&at("tokenizer.json"), None).unwrap();
    let rendered = || load().expect("there").render("hi").unwrap();
    fs::write(at("tokenizer.json"), "{}").unwrap();
    assert!(load().is_none());
    fs::write(at("tokenizer_config.json"), r#"{"chat_template": null}"#).unwrap();
    assert!(load().is_none());
    let list = json!({"bos_token": {"content": "<s>"}, "chat_template": [
        {"name": "tool_use", "template": "no"},
        {"name": "default", "template": "{{ bos_token }}D {{ messages[0].content }}"}]});
    fs::write(at("tokenizer_config.json"), list.to_string()).unwrap();
    assert_eq!(rendered(), "<s>D hi");
    let jinja = "J{{ bos_token }} {{ messages[0].content }}";
    fs::write(at("chat_template.jinja"), jinja).unwrap();
    assert_eq!(rendered(), "J<s> hi");
    assert!(load().unwrap().origin().contains("chat_template.jinja"));
}

#[test]
fn files_that_make_no_sense_are_refused_in_words() {
    for (name, content, words) in [
        ("chat_template.jinja", &b"\xff\xfe"[..], "is not UTF-8"),
        ("tokenizer_config.json", b"{", "is not JSON"),
        (
            "tokenizer_config.json",
            br#"{"chat_template": 5}"#,
            "must be a text or a list",
        ),
        (
            "tokenizer_config.json",
            br#"{"chat_template": []}"#,
            "it has none",
        ),
        (
            "tokenizer_config.json",
            br#"{"chat_template": [{"name": "rag", "template": "x"}]}"#,
            "it has `rag`",
        ),
        (
            "tokenizer_config.json",
            br#"{"chat_template": [{"name": "default"}]}"#,
            "has no text `template`",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), content).unwrap();
        let error = ChatTemplate::load(folder.path(), None).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(name) && error.contains(words), "{error}");
    }
}

#[test]
fn templates_that_cannot_be_followed_are_refused_with_their_line() {
    for (text, words) in [
        (
            "a\nb {{ now() }}",
            "line 2 of the template: now is unknown (unknown function)",
        ),
        ("{{ strftime_now('%Y') }}", "strftime_now is unknown"),
        ("{{ 'x' | shout }}", "shout"),
        ("\n\n{% if %}", "line 3 of the template"),
        ("{% for m in messages %}", "line 1 of the template"),
        ("{% include 'x' %}", "x"),
        (
            "{{ raise_exception('no turns') }}",
            "the template refuses the prompt: no turns",
        ),
        ("{{ missing.field }}", "undefined"),
        ("{{ messages[0].content.shout() }}", "shout"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "does not come to an end",
        ),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "recursion",
        ),
        // Two to the power of 200 bytes, at a few instructions for each doubling.
        (
            "{% set n = namespace(x='ab') %}{% for a in range(200) %}{% set n.x = n.x ~ n.x %}\
             {% endfor %}",
            "does not come to an end",
        ),
        (
            "{% set x = 'x' * 9000 %}{% for a in range(9000) %}{{ x }}{% endfor %}",
            "bytes",
        ),
        ("{{ 1 / 0 }}", "line 1"),
        ("{{ messages | tojson(nonsense=1) }}", "nonsense"),
    ] {
        let error = refusal(text);
        assert!(error.contains(words), "{text}: {error}");
        assert!(error.contains("chat_template.jinja"), "{error}");
    }
}

#[test]
fn a_date_comes_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}-\
                {% endif %}{{ messages[0].content }}";
    fs::write(folder.path().join("chat_template.jinja"), text).unwrap();
    let at = |today| ChatTemplate::load(folder.path(), today).unwrap().unwrap();
    assert!(at(None).is_dated());
    assert_eq!(at(None).render("").unwrap(), "-");
    let today = Some("2026-11-04T03:18:24Z");
    assert_eq!(at(today).render("").unwrap(), "04 Nov 2026");
}

#[test]
fn generation_marks_print_nothing_and_nothing_else_is_changed() {
    for (text, wanted) in [
        (
            "a{% generation %}b{%- endgeneration +%}c",
            "a{% if true %}b{%- endif +%}c",
        ),
        ("{%generation%}", "{% if true %}"),
        (
            "{% set generation = 1 %}{% if x %}",
            "{% set generation = 1 %}{% if x %}",
        ),
        ("{% open", "{% open"),
        ("{{ '{%' }}{% generation -%}", "{{ '{%' }}{% if true -%}"),
    ] {
        assert_eq!(without_generation_marks(text), wanted);
    }
}

fn workload(texts: &[&str]) -> Workload {
    let prompt = |text: &&str| Prompt {
        index: 0,
        text: Arc::from(*text),
        turn: None,
        token_ids: Arc::from([9_u32]),
        prompt_tokens: 1,
        output_tokens: 5,
    };
    Workload {
        prompts: texts.iter().map(prompt).collect(),
        filter: FilterCounts::default(),
        limits: None,
        style: None,
        notes: Vec::new(),
    }
}

fn mistral() -> Tokenizer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers/mistral-v1-hf");
    Tokenizer::load(&path).expect("stored")
}

/// The ids are those that LMDeploy 0.18.0 answered on `/v1/encode` with
/// `do_preprocess` for the same folder.
#[test]
fn a_prompt_begins_once_and_counts_as_the_server_counts_it() {
    let tokenizer = mistral();
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template":
        "{{ bos_token }}{{ '[INST] ' + messages[0].content + ' [/INST]' }}"});
    let path = folder.path().join("tokenizer_config.json");
    fs::write(path, config.to_string()).unwrap();
    let template = ChatTemplate::load(folder.path(), None).unwrap().unwrap();
    let mut workload = workload(&["hi there", "<s> hi"]);
    let applied = apply(&mut workload, &template, &tokenizer).unwrap();
    assert_eq!(applied, Applied::default());
    let [first, second] = &workload.prompts[..] else {
        panic!("two prompts");
    };
    assert_eq!(&*first.text, "[INST] hi there [/INST]");
    assert_eq!(first.turn.as_deref(), Some("hi there"));
    let ids = [1, 733, 16289, 28793, 12014, 736, 733, 28748, 16289, 28793];
    assert_eq!(first.token_ids[..], ids);
    assert_eq!((first.prompt_tokens, first.output_tokens), (9, 5));
    // The user's own `<s>` stays.
    assert_eq!(second.token_ids.iter().filter(|id| **id == 1).count(), 2);
}

#[test]
fn special_tokens_that_a_tokenizer_spells_out_are_named() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/tokenizer.model");
    let plain = Tokenizer::load(&path).unwrap();
    let text = "<s><|im_start|>user\n{{ messages[0].content }}</s>";
    let template = template(text).unwrap();
    let mut workload = workload(&["hi"]);
    let applied = apply(&mut workload, &template, &plain).unwrap();
    assert_eq!(applied.spelled_out, ["</s>", "<|im_start|>"]);
    assert!(workload.prompts[0].text.starts_with("<|im_start|>"));
    assert_eq!(Some(workload.prompts[0].token_ids[0]), plain.bos_id());
}

#[test]
fn a_template_without_the_users_words_is_refused_with_its_place() {
    let jinja = [
        "",
        "fixed",
        "{# nothing #}",
        "{% if messages %}x{% endif %}",
    ];
    // The words for turns of several parts: a text has none.
    let parts = "{% for part in messages[0].content %}{{ part.text }}{% endfor %}";
    for text in jinja.into_iter().chain([parts]) {
        let error = format!("{:#}", template(text).unwrap_err());
        for words in ["chat_template.jinja", "what the user says", "--prompt raw"] {
            assert!(error.contains(words), "{text}: {error}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer_config.json");
    fs::write(path, r#"{"chat_template": ""}"#).unwrap();
    let error = ChatTemplate::load(folder.path(), None).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("`chat_template` in `"), "{error}");
}

#[test]
fn a_prompt_that_a_template_makes_empty_is_refused() {
    let template = template("{{ messages[0].content | trim }}").unwrap();
    let mut workload = workload(&["hi", "  \n"]);
    let error = apply(&mut workload, &template, &mistral()).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("makes it empty"), "{error}");
}

/// GLM-4's own template writes what its class would insert; LMDeploy's class for
/// it inserts nothing.
#[test]
fn glm_4_begins_once() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers/qwen-cut");
    let path = path.join("qwen.tiktoken");
    let tokenizer = Tokenizer::load_as(&path, Some(Family::Glm4)).unwrap();
    let text = "[gMASK]<sop><|user|>\n{{ messages[0].content }}<|assistant|>";
    let template = template(text).unwrap();
    let mut workload = workload(&["Hello"]);
    apply(&mut workload, &template, &tokenizer).unwrap();
    let prompt = &workload.prompts[0];
    assert_eq!(prompt.token_ids[..3], [20_002, 20_004, 20_007]);
    assert_eq!(prompt.token_ids.last(), Some(&20_008));
    assert_eq!(prompt.prompt_tokens as usize, prompt.token_ids.len());
}

/// Whatever a tokenizer inserts is not the prompt's own, at the end, too.
#[test]
fn all_that_is_inserted_is_left_out_of_the_count() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers/mistral-v1-hf");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy(from.join("tokenizer.json"), at("tokenizer.json")).unwrap();
    let config = json!({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>",
        "eos_token": "</s>", "add_eos_token": true});
    fs::write(at("tokenizer_config.json"), config.to_string()).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    for (text, inserted) in [
        ("{{ messages[0].content }}", 2),
        ("{{ '<s>' + messages[0].content }}", 2),
        ("{{ '<s><s>' + messages[0].content }}", 1),
    ] {
        let template = template(text).unwrap();
        let mut workload = workload(&["hi there"]);
        apply(&mut workload, &template, &tokenizer).unwrap();
        let prompt = &workload.prompts[0];
        let counted = prompt.prompt_tokens as usize;
        assert_eq!(prompt.token_ids.len() - counted, inserted, "{text}");
    }
}
