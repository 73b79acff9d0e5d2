//! Text that is made beside the stream: split characters, and a slow
//! postprocessing.

use std::time::Duration;

use backends::{ServeOptions, Trace};

use crate::scripted::{Act, Scripted, ask, connect, request, tokens};
use crate::simulated::{config, serve};

/// U+6D41 as three byte tokens of the codec.
const SPLIT: [u32; 3] = [0xe6 + 3, 0xb5 + 3, 0x81 + 3];

fn total(trace: &Trace) -> u32 {
    trace.marks.iter().map(|mark| mark.tokens).sum()
}

#[tokio::test]
async fn a_split_character_is_held_back_until_it_is_whole() {
    let answer = [300, SPLIT[0], SPLIT[1], SPLIT[2], 301];
    for name in ["tis", "tis-chatbot"] {
        let mut acts: Vec<Act> = (1..=5)
            .map(|upto| tokens(&answer[..upto], upto == 5))
            .collect();
        acts.push(Act::End);
        let (outcome, trace) = Scripted::new(acts).play(name, &request(1, 5)).await;
        outcome.expect(name);
        assert_eq!(trace.text, " w300\u{6d41} w301", "{name}");
        assert_eq!(total(&trace), 5, "{name}: {:?}", trace.marks);
        assert!(trace.marks.len() <= 3, "{name}: {:?}", trace.marks);
    }
}

#[tokio::test]
async fn a_character_that_never_becomes_whole_is_delivered_at_the_end() {
    for name in ["tis", "tis-chatbot"] {
        for ending in [
            vec![tokens(&[300, SPLIT[0]], true)],
            vec![
                tokens(&[300, SPLIT[0]], false),
                crate::scripted::frame(&[], true),
            ],
        ] {
            let mut acts = vec![tokens(&[300], false)];
            acts.extend(ending);
            acts.push(Act::End);
            let (outcome, trace) = Scripted::new(acts).play(name, &request(1, 2)).await;
            outcome.expect(name);
            assert_eq!(trace.text, " w300\u{fffd}", "{name}");
            assert_eq!(total(&trace), 2, "{name}");
        }
    }
}

#[tokio::test]
async fn split_characters_of_every_arm() {
    let config = config("text=split");
    for (name, whole) in [
        ("tis", true),
        ("tis-chatbot", true),
        ("tis-python", true),
        // The server makes text of each token alone.
        ("tis-ensemble", false),
    ] {
        let (address, _engine) = serve(config.clone(), ServeOptions::default());
        let backend = connect(name, &address);
        backend.warm(1).await.expect("warm");
        let (outcome, trace) = ask(&*backend, &request(1, 12)).await;
        outcome.expect(name);
        assert_eq!(
            trace.text.contains('\u{fffd}'),
            !whole,
            "{name}: {}",
            trace.text
        );
        assert_eq!(
            trace.text.matches('\u{6d41}').count(),
            if whole { 2 } else { 0 },
            "{name}"
        );
    }
}

#[tokio::test]
async fn slow_postprocessing_does_not_delay_the_engines_frames() {
    let tokens = 20;
    let cost = Duration::from_millis(60);
    for (name, calls) in [("tis", 2..=10), ("tis-chatbot", 20..=20)] {
        let options = ServeOptions {
            postprocess: cost,
            ..ServeOptions::default()
        };
        // 20 ms to the first token and 5 ms for each other.
        let (address, _engine) = serve(config(""), options);
        let backend = connect(name, &address);
        backend.warm(1).await.expect("warm");
        let (outcome, trace) = ask(&*backend, &request(1, tokens)).await;
        outcome.expect(name);
        let at = |at: usize| Duration::from_nanos(trace.engine_marks[at].at_ns - trace.issued_ns);
        assert_eq!(trace.engine_marks.len(), 20, "{name}");
        // 115 ms by the engine's clock; in turn with the text it were 1.2 s.
        assert!(at(19) < Duration::from_millis(500), "{name}: {:?}", at(19));
        let post = trace.hops[backends::Hop::Postprocess as usize];
        assert!(calls.contains(&post.calls), "{name}: {}", post.calls);
        assert_eq!(total(&trace), tokens, "{name}");
        let e2e = Duration::from_nanos(trace.end_ns - trace.issued_ns);
        if name == "tis-chatbot" {
            assert!(e2e >= cost * tokens, "{name}: {e2e:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_costs_one_call_where_made_well() {
    let mut whole = request(1, 9);
    whole.stream = false;
    for (name, calls) in [("tis", 1), ("tis-chatbot", 9)] {
        let (address, _engine) = serve(config(""), ServeOptions::default());
        let backend = connect(name, &address);
        backend.warm(1).await.expect("warm");
        let (outcome, trace) = ask(&*backend, &whole).await;
        outcome.expect(name);
        let hops = trace.hops;
        assert_eq!(
            hops[backends::Hop::Postprocess as usize].calls,
            calls,
            "{name}"
        );
        let connects = if name == "tis" { 0 } else { calls + 2 };
        assert_eq!(
            hops[backends::Hop::Connect as usize].calls,
            connects,
            "{name}"
        );
        assert_eq!(trace.marks.len(), 1, "{name}");
    }
}
