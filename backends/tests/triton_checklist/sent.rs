//! What goes out: tensors as LMDeploy's client sends them, ids, parameters.

use std::collections::HashMap;

use bytes::Bytes;

use crate::proto::ModelInferRequest;
use crate::proto::infer_parameter::ParameterChoice;
use crate::scripted::{Act, Scripted, ask, connect, raw_u32s, request, tokens};

fn inputs(request: &ModelInferRequest) -> HashMap<&str, (&str, &[i64], Bytes)> {
    let tensors = request.inputs.iter().zip(&request.raw_input_contents);
    tensors
        .map(|(tensor, raw)| {
            let (datatype, shape) = (tensor.datatype.as_str(), tensor.shape.as_slice());
            (tensor.name.as_str(), (datatype, shape, raw.clone()))
        })
        .collect()
}

fn parameter<'a>(request: &'a ModelInferRequest, name: &str) -> Option<&'a ParameterChoice> {
    request.parameters.get(name)?.parameter_choice.as_ref()
}

#[tokio::test]
async fn the_engine_gets_what_lmdeploy_sends() {
    for (name, sequence) in [("tis", false), ("tis-chatbot", true), ("tis-direct", false)] {
        let scripted = Scripted::new(vec![tokens(&[300], true), Act::End]);
        let (outcome, _) = scripted.play(name, &request(1, 9)).await;
        outcome.expect(name);
        let sent = &scripted.streamed()[0];
        assert_eq!(
            (sent.model_name.as_str(), sent.id.as_str()),
            ("turbomind", "1")
        );
        let ask_for_end = parameter(sent, "triton_enable_empty_final_response");
        assert_eq!(
            ask_for_end,
            Some(&ParameterChoice::BoolParam(true)),
            "{name}"
        );
        let start = parameter(sent, "sequence_start");
        let expected = sequence.then_some(&ParameterChoice::BoolParam(true));
        assert_eq!(start, expected, "{name}");
        let inputs = inputs(sent);
        let one = &[1, 1][..];
        let float = |value: f32| Bytes::copy_from_slice(&value.to_le_bytes());
        for (input, expected) in [
            (
                "input_ids",
                ("UINT32", &[1, 3][..], raw_u32s(&[1, 107, 108])),
            ),
            ("input_lengths", ("UINT32", one, raw_u32s(&[3]))),
            ("request_output_len", ("UINT32", one, raw_u32s(&[9]))),
            ("runtime_top_k", ("UINT32", one, raw_u32s(&[1]))),
            ("runtime_top_p", ("FP32", one, float(1.0))),
            ("temperature", ("FP32", one, float(1.0))),
            ("repetition_penalty", ("FP32", one, float(1.0))),
            ("step", ("INT32", one, raw_u32s(&[0]))),
            ("START", ("INT32", one, raw_u32s(&[1]))),
            ("END", ("INT32", one, raw_u32s(&[1]))),
            ("STOP", ("INT32", one, raw_u32s(&[0]))),
            (
                "CORRID",
                ("UINT64", one, Bytes::copy_from_slice(&1_u64.to_le_bytes())),
            ),
            // The end-of-sequence id that preprocessing named, and where the
            // forbidden word ends.
            ("bad_words_list", ("INT32", &[1, 2, 1], raw_u32s(&[2, 1]))),
        ] {
            assert_eq!(inputs.get(input), Some(&expected), "{name}: {input}");
        }
    }
}

#[tokio::test]
async fn what_was_made_before_is_what_is_sent() {
    for name in ["tis", "tis-chatbot", "tis-direct"] {
        let scripted = Scripted::new(vec![tokens(&[300], true), Act::End]);
        let backend = connect(name, &scripted.start().await);
        backend.warm(1).await.expect("the models answer");
        let plain = request(1, 9);
        ask(&*backend, &plain).await.0.expect(name);
        let mut prepared = plain.clone();
        backend.prepare(&mut prepared).await.expect("fits");
        assert!(prepared.wire.is_some(), "{name}");
        // Too late to be said.
        prepared.prompt = "something else".into();
        prepared.token_ids = [1].into();
        let (outcome, _) = ask(&*backend, &prepared).await;
        let seen = scripted.seen.lock().expect("no panic").clone();
        let first = |model: &str| {
            let asked = seen.iter().filter(|request| request.model_name == model);
            let mut asked = asked.filter(|request| request.id == "1");
            (asked.next().cloned(), asked.next().cloned())
        };
        // The chained ways are told the prompt's ids by the server.
        let (plain, prepared) = match name {
            "tis-direct" => first("turbomind"),
            _ => {
                outcome.expect(name);
                first("preprocessing")
            }
        };
        assert!(plain.is_some() && plain == prepared, "{name}: {prepared:?}");
    }
}

#[tokio::test]
async fn the_end_of_sequence_is_forbidden_only_when_asked() {
    let scripted = Scripted::new(vec![tokens(&[300], true), Act::End]);
    let mut natural = request(1, 9);
    natural.sampling.ignore_eos = false;
    scripted.play("tis", &natural).await.0.expect("good");
    assert!(!inputs(&scripted.streamed()[0]).contains_key("bad_words_list"));
}

#[tokio::test]
async fn a_tokenizer_without_a_word_for_the_end_forbids_nothing() {
    let scripted = Scripted {
        knows_eos: false,
        ..Scripted::new(vec![tokens(&[300], true), Act::End])
    };
    scripted.play("tis", &request(1, 9)).await.0.expect("good");
    assert!(!inputs(&scripted.streamed()[0]).contains_key("bad_words_list"));
}

/// Ends of closed connections to `port` that still hold a local port.
#[cfg(target_os = "linux")]
fn waiting(port: u16) -> std::collections::BTreeSet<String> {
    const TIME_WAIT: &str = "06";
    let server = format!(":{port:04X}");
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let lines = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields[2].ends_with(&server) && fields[3] == TIME_WAIT)
        .map(|fields| fields[1].to_owned())
        .collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_per_call_leaves_no_port_behind() {
    let acts = (1..=9).map(|upto| tokens(&[300; 9][..upto], upto == 9));
    let scripted = Scripted::new(acts.chain([Act::End]).collect());
    let address = scripted.start().await;
    let (_, port) = address.rsplit_once(':').expect("a port");
    let port: u16 = port.parse().expect("a port");
    // Of whoever listened on this port before.
    let before = waiting(port);
    let backend = connect("tis-chatbot", &address);
    backend.warm(1).await.expect("warm");
    let (outcome, trace) = ask(&*backend, &request(1, 9)).await;
    outcome.expect("good");
    let connections = trace.hops[backends::Hop::Connect as usize].calls;
    assert_eq!(connections, 11);
    let left: Vec<_> = waiting(port).difference(&before).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn inputs_that_an_older_model_lacks_are_left_out() {
    let mut scripted = Scripted::new(vec![tokens(&[300], true), Act::End]);
    for model in &mut scripted.models {
        model
            .input
            .retain(|input| input.name != "CORRID" && input.name != "skip_special_tokens");
    }
    scripted.play("tis", &request(1, 1)).await.0.expect("good");
    let seen = scripted.seen.lock().expect("no panic").clone();
    assert!(seen.len() > 2);
    for request in &seen {
        let inputs = inputs(request);
        assert!(!inputs.contains_key("CORRID") && !inputs.contains_key("skip_special_tokens"));
    }
}

#[tokio::test]
async fn correlation_ids_are_the_requests_own() {
    let scripted = Scripted::new(vec![tokens(&[300], true), Act::End]);
    let backend = connect("tis-direct", &scripted.start().await);
    backend.warm(1).await.expect("warm");
    for id in 1..=20 {
        // The script answers as request 1: the others see a foreign id.
        let _ = ask(&*backend, &request(id, 1)).await;
    }
    let mut ids: Vec<Bytes> = scripted
        .streamed()
        .iter()
        .map(|request| inputs(request)["CORRID"].2.clone())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn postprocessing_gets_an_offset_and_no_more_than_it_needs() {
    let acts = vec![tokens(&[300], false), tokens(&[300, 301], true), Act::End];
    let scripted = Scripted::new(acts);
    scripted
        .play("tis-chatbot", &request(1, 2))
        .await
        .0
        .expect("good");
    let seen = scripted.seen.lock().expect("no panic").clone();
    let calls: Vec<_> = seen
        .iter()
        .filter(|request| request.model_name == "postprocessing")
        .map(|request| {
            let inputs = inputs(request);
            (
                inputs["TOKENS_BATCH"].2.clone(),
                inputs["sequence_length"].2.clone(),
            )
        })
        .collect();
    // LMDeploy's client: all ids so far, each time, and the offset of the new ones.
    let expected = [
        (raw_u32s(&[300]), raw_u32s(&[0])),
        (raw_u32s(&[300, 301]), raw_u32s(&[1])),
    ];
    assert_eq!(calls, expected);
}
