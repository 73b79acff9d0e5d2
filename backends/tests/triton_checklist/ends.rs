//! Where an answer ends: an error frame, the final flag, or the end of the
//! stream, whichever comes first.

use backends::{Clock, ErrorKind, Pulse, Sink};

use crate::proto::{ModelInferResponse, ModelStreamInferResponse};
use crate::scripted::{Act, Scripted, connect, final_response, frame, request, tokens};

fn error(words: &str, from_model: bool) -> Act {
    Act::Frame(ModelStreamInferResponse {
        error_message: words.to_owned(),
        infer_response: Some(ModelInferResponse {
            id: "1".to_owned(),
            parameters: from_model
                .then(|| final_response(true))
                .into_iter()
                .collect(),
            ..ModelInferResponse::default()
        }),
    })
}

const CHAINED_AND_ALONE: [&str; 3] = ["tis", "tis-chatbot", "tis-direct"];

#[tokio::test]
async fn the_final_flag_ends_it_even_if_the_stream_stays_open() {
    for name in CHAINED_AND_ALONE {
        let acts = vec![tokens(&[300], false), tokens(&[300, 301], true), Act::Hang];
        let (outcome, trace) = Scripted::new(acts).play(name, &request(1, 2)).await;
        assert_eq!(
            outcome.expect(name).completion.map(|(n, _)| n),
            Some(2),
            "{name}"
        );
        let total: u32 = trace.marks.iter().map(|mark| mark.tokens).sum();
        assert_eq!(total, 2, "{name}");
    }
}

/// What a server does behind an answer is not the caller's time.
#[tokio::test]
async fn a_stream_that_stays_open_costs_the_caller_nothing() {
    for name in CHAINED_AND_ALONE {
        let acts = vec![tokens(&[300], true), Act::Hang];
        let backend = connect(name, &Scripted::new(acts).start().await);
        backend.warm(1).await.expect("warm");
        let clock = Clock::start();
        let mut best_ns = u64::MAX;
        for _ in 0..5 {
            let mut sink = Sink::start(clock, Pulse::default(), 1);
            let outcome = backend.generate(&request(1, 1), &mut sink).await;
            let back_ns = clock.now_ns();
            outcome.expect(name);
            best_ns = best_ns.min(back_ns - sink.into_trace().end_ns);
        }
        assert!(best_ns < 25_000_000, "{name}: {best_ns}");
    }
}

#[tokio::test]
async fn a_final_flag_on_an_empty_frame_ends_it_and_is_no_mark() {
    for name in CHAINED_AND_ALONE {
        let acts = vec![tokens(&[300], false), frame(&[], true), Act::Hang];
        let (outcome, trace) = Scripted::new(acts).play(name, &request(1, 1)).await;
        assert_eq!(
            outcome.expect(name).completion.map(|(n, _)| n),
            Some(1),
            "{name}"
        );
        assert_eq!(trace.marks.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_end_with_neither_flag_nor_error_is_a_cut() {
    for name in CHAINED_AND_ALONE {
        let acts = vec![tokens(&[300], false), tokens(&[300, 301], false), Act::End];
        let (outcome, trace) = Scripted::new(acts).play(name, &request(1, 2)).await;
        let error = outcome.expect_err(name);
        assert_eq!(error.kind, ErrorKind::Cut, "{name}: {error}");
        assert!(error.message.contains("neither"), "{name}: {error}");
        let kept = trace.engine_marks.len().max(trace.marks.len());
        assert_eq!(kept, 2, "{name}: what came is kept");
        let (outcome, _) = Scripted::new(vec![Act::End])
            .play(name, &request(1, 2))
            .await;
        assert_eq!(outcome.expect_err(name).kind, ErrorKind::Cut, "{name}");
    }
}

#[tokio::test]
async fn an_error_before_the_model_has_no_flag_and_ends_it() {
    for (words, kind) in [
        (
            "Request for unknown model: 'turbomind' is not found",
            ErrorKind::Model,
        ),
        (
            "[request id: 1] expected 3 inputs but got 2 inputs for model",
            ErrorKind::Rejected,
        ),
        (
            "unexpected inference input 'X' for model 'turbomind'",
            ErrorKind::Rejected,
        ),
    ] {
        for name in CHAINED_AND_ALONE {
            // The stream stays open: whoever waits for the flag hangs.
            let acts = vec![error(words, false), Act::Hang];
            let (outcome, trace) = Scripted::new(acts).play(name, &request(1, 2)).await;
            let error = outcome.expect_err(name);
            assert_eq!(error.kind, kind, "{name}: {error}");
            assert!(!error.message.contains("request id"), "{name}: {error}");
            assert!(trace.marks.is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_error_of_the_model_may_follow_good_tokens() {
    for (words, kind) in [
        ("TurboMind execute failure:  5", ErrorKind::Server),
        ("TurboMind execute failure:  3", ErrorKind::Rejected),
        ("fake failure after 1 tokens", ErrorKind::Server),
    ] {
        for name in CHAINED_AND_ALONE {
            // The call's own status is OK.
            let acts = vec![tokens(&[300], false), error(words, true), Act::End];
            let (outcome, trace) = Scripted::new(acts).play(name, &request(1, 2)).await;
            let error = outcome.expect_err(name);
            assert_eq!(error.kind, kind, "{name}: {error}");
            assert!(error.message.contains(words), "{name}: {error}");
            assert_eq!(trace.engine_marks.len().max(trace.marks.len()), 1, "{name}");
        }
    }
}

#[tokio::test]
async fn a_frame_that_says_nothing_is_malformed() {
    let acts = vec![Act::Frame(ModelStreamInferResponse::default()), Act::Hang];
    let (outcome, _) = Scripted::new(acts).play("tis-direct", &request(1, 2)).await;
    assert_eq!(outcome.expect_err("nonsense").kind, ErrorKind::Malformed);
}
