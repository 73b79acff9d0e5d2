//! Known answers of the simulated engine, on tokio's paused time where only
//! the order matters.

use std::sync::Arc;
use std::time::Duration;

use super::{ByteCodec, Codec, Engine, EngineConfig, Job, Refusal, Script, Step, Steps, Timing};
use crate::{Clock, Ending};

fn config() -> EngineConfig {
    EngineConfig {
        timing: Timing::Exact {
            first_token: Duration::from_millis(3),
            per_token: Duration::from_millis(1),
        },
        prompt_orders: true,
        ..EngineConfig::default()
    }
}

fn engine(config: EngineConfig) -> Engine {
    Engine::new(config, Arc::new(ByteCodec), Clock::start())
}

fn job(id: u64, prompt: &str, max_tokens: u32) -> Job {
    Job {
        id,
        prompt: ByteCodec.encode(prompt),
        max_tokens,
        ignore_eos: true,
    }
}

async fn all(mut steps: Steps) -> Vec<Result<Step, Refusal>> {
    let mut out = Vec::new();
    while let Some(step) = steps.next().await {
        out.push(step);
    }
    out
}

#[tokio::test]
async fn exactly_the_asked_tokens_come() {
    let steps = engine(config()).submit(job(1, "hi", 5)).expect("taken");
    let steps = all(steps).await;
    let totals: Vec<u32> = steps.iter().flatten().map(|step| step.total).collect();
    assert_eq!(totals, [1, 2, 3, 4, 5]);
    let last = steps.last().expect("some").as_ref().expect("good");
    assert_eq!(last.ending, Some(Ending::Length));
}

#[tokio::test]
async fn exact_times_are_kept_on_the_clock() {
    let clock = Clock::start();
    let engine = Engine::new(config(), Arc::new(ByteCodec), clock);
    let mut steps = engine.submit(job(1, "hi", 3)).expect("taken");
    let start_ns = clock.now_ns();
    for due_ms in [3, 4, 5] {
        steps.next().await.expect("a step").expect("good");
        assert!(clock.now_ns() - start_ns >= due_ms * 1_000_000);
    }
}

#[tokio::test]
async fn messages_carry_several_tokens_and_stop_before_a_failure() {
    let config = EngineConfig {
        tokens_per_message: 4,
        ..config()
    };
    let steps = engine(config)
        .submit(job(1, "@@fail=error @@after=6", 9))
        .expect("taken");
    let steps = all(steps).await;
    let sizes: Vec<_> = steps
        .iter()
        .flatten()
        .map(|step| step.tokens.len())
        .collect();
    assert_eq!(sizes, [4, 2]);
    assert_eq!(steps.last(), Some(&Err(Refusal::Failed)));
}

#[tokio::test]
async fn an_answer_ends_by_itself_unless_told_otherwise() {
    let engine = engine(config());
    let mut asked = job(1, "@@eos=2", 9);
    asked.ignore_eos = false;
    let steps = all(engine.submit(asked).expect("taken")).await;
    let last = steps.last().expect("some").as_ref().expect("good");
    assert_eq!((last.total, last.ending), (2, Some(Ending::Stop)));
    assert_eq!(
        all(engine.submit(job(1, "@@eos=2", 9)).expect("taken"))
            .await
            .len(),
        9
    );
}

#[tokio::test]
async fn refusals_have_turbominds_numbers() {
    let engine = engine(EngineConfig {
        session_tokens: 8,
        ..config()
    });
    let refused = |job: Job| engine.submit(job).expect_err("refused").code();
    assert_eq!(refused(job(1, "hi", 0)), 1);
    assert_eq!(refused(job(1, "far too long", 1)), 6);
    let running = engine.submit(job(7, "hi", 2)).expect("taken");
    assert_eq!(refused(job(7, "hi", 2)), 3);
    drop(running);
    let steps = all(engine.submit(job(7, "hi", 99)).expect("free again")).await;
    assert_eq!(steps.len(), 5, "cut at the session's length");
}

#[tokio::test]
async fn a_full_engine_makes_requests_wait() {
    let engine = engine(EngineConfig {
        max_running: 1,
        ..config()
    });
    let mut first = engine.submit(job(1, "hi", 2)).expect("taken");
    first.next().await.expect("a step").expect("good");
    let mut second = engine.submit(job(2, "hi", 1)).expect("taken");
    let early = tokio::time::timeout(Duration::from_millis(20), second.next()).await;
    assert!(early.is_err(), "the only place is taken");
    drop(first);
    second.next().await.expect("a step").expect("good");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_answer_stays_open() {
    let mut steps = engine(config())
        .submit(job(1, "@@fail=stall @@after=0", 2))
        .expect("taken");
    let waited = tokio::time::timeout(Duration::from_secs(3600), steps.next()).await;
    assert!(waited.is_err());
}

#[tokio::test]
async fn characters_are_split_by_order() {
    let steps = engine(config())
        .submit(job(1, "@@text=split", 6))
        .expect("taken");
    let ids: Vec<u32> = all(steps)
        .await
        .into_iter()
        .flatten()
        .flat_map(|step| step.tokens)
        .collect();
    let text = String::from_utf8(ByteCodec.decode(&ids)).expect("whole characters");
    assert!(text.ends_with('\u{6d41}'), "{text}");
}

#[tokio::test]
async fn a_batch_serves_all_and_lets_nobody_in_above_its_size() {
    let engine = engine(EngineConfig {
        timing: Timing::Batching {
            step_base: Duration::from_millis(1),
            step_per_request: Duration::from_micros(10),
            prefill_per_token: Duration::from_micros(1),
        },
        max_running: 2,
        ..config()
    });
    let tasks: Vec<_> = (1..=5)
        .map(|id| tokio::spawn(all(engine.submit(job(id, "hi", 7)).expect("taken"))))
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("whole").len(), 7);
    }
}

#[tokio::test]
async fn scripts_count_requests() {
    let engine = engine(EngineConfig {
        script: Script::parse("fail=refuse every=3").expect("good words"),
        ..config()
    });
    let outcomes: Vec<bool> = (1..=6)
        .map(|id| engine.submit(job(id, "hi", 1)).is_ok())
        .collect();
    assert_eq!(outcomes, [true, true, false, true, true, false]);
}
