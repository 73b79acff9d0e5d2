//! What is in a frame, and how much of it counts.

use backends::ErrorKind;
use bytes::Bytes;

use crate::scripted::{Act, Scripted, frame, raw_u32s, request, tokens};

fn marks(trace: &backends::Trace) -> Vec<u32> {
    trace.marks.iter().map(|mark| mark.tokens).collect()
}

#[tokio::test]
async fn outputs_come_in_any_order_and_any_rank() {
    for shape in [&[][..], &[1], &[1, 1, 1]] {
        for turned in [false, true] {
            let mut outputs = vec![
                (
                    "output_ids",
                    "UINT32",
                    &[1, 1, 4][..],
                    raw_u32s(&[1, 107, 108, 300]),
                ),
                ("sequence_length", "UINT32", shape, raw_u32s(&[4])),
                ("something_else", "FP32", shape, Bytes::from_static(&[0; 4])),
            ];
            if turned {
                outputs.reverse();
            }
            let acts = vec![frame(&outputs, true), Act::End];
            let (outcome, trace) = Scripted::new(acts).play("tis", &request(1, 1)).await;
            assert!(outcome.is_ok(), "{shape:?} {turned}: {outcome:?}");
            assert_eq!((marks(&trace), trace.text.as_str()), (vec![1], " w300"));
        }
    }
}

#[tokio::test]
async fn tokens_are_counted_by_the_length_not_by_frames() {
    let acts = vec![
        tokens(&[300], false),
        // One ahead, and the next repeats it.
        tokens(&[300, 301, 302], false),
        tokens(&[300, 301, 302], false),
        tokens(&[300, 301, 302, 303], true),
        Act::End,
    ];
    let scripted = Scripted::new(acts);
    let (outcome, trace) = scripted.play("tis-direct", &request(1, 4)).await;
    assert_eq!(outcome.expect("good").completion.map(|(n, _)| n), Some(4));
    assert_eq!(marks(&trace), [1, 2, 1]);
    for name in ["tis", "tis-chatbot"] {
        let (outcome, trace) = scripted.play(name, &request(1, 4)).await;
        assert_eq!(outcome.expect("good").completion.map(|(n, _)| n), Some(4));
        assert_eq!(marks(&trace).iter().sum::<u32>(), 4, "{name}");
        assert_eq!(trace.engine_marks.len(), 3, "{name}");
        assert_eq!(trace.text, " w300 w301 w302 w303", "{name}");
    }
}

#[tokio::test]
async fn a_length_that_shrinks_is_malformed() {
    for name in ["tis", "tis-direct"] {
        for acts in [
            vec![tokens(&[300, 301], false), tokens(&[300], false), Act::Hang],
            // Shorter than the prompt.
            vec![frame(
                &[("sequence_length", "UINT32", &[1], raw_u32s(&[2]))],
                true,
            )],
            vec![frame(
                &[("output_ids", "UINT32", &[1], raw_u32s(&[2]))],
                true,
            )],
            // A length without the ids.
            vec![frame(
                &[("sequence_length", "UINT32", &[1], raw_u32s(&[5]))],
                true,
            )],
        ] {
            let (outcome, _) = Scripted::new(acts).play(name, &request(1, 3)).await;
            let error = outcome.expect_err(name);
            assert_eq!(error.kind, ErrorKind::Malformed, "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn only_the_tail_of_a_large_buffer_is_read() {
    // 4.8 MB, beyond tonic's own limit; the prompt's part is not ours to judge.
    let mut buffer = vec![u32::MAX; 1_200_000];
    buffer[3] = 300;
    let acts = vec![
        frame(
            &[
                (
                    "output_ids",
                    "UINT32",
                    &[1, 1, 1_200_000],
                    raw_u32s(&buffer),
                ),
                ("sequence_length", "UINT32", &[1, 1], raw_u32s(&[4])),
            ],
            true,
        ),
        Act::End,
    ];
    let (outcome, trace) = Scripted::new(acts).play("tis", &request(1, 1)).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!((marks(&trace), trace.text.as_str()), (vec![1], " w300"));
}

#[tokio::test]
async fn frames_of_other_requests_are_left_alone() {
    let mut other = tokens(&[900, 901], true);
    if let Act::Frame(frame) = &mut other {
        frame.infer_response.as_mut().expect("there").id = "2".to_owned();
    }
    let acts = vec![other, tokens(&[300], true), Act::End];
    let (outcome, trace) = Scripted::new(acts).play("tis-direct", &request(1, 1)).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(marks(&trace), [1]);
}
