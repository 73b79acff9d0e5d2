//! What each simulated model has done, as ModelStatistics tells it. Times are
//! taken by those who call. Of decoupled models Triton knows little, and this
//! says as little: one request each, the time until its stream of responses
//! was begun, and no failure once it was.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::super::proto::{InferStatistics, ModelStatistics, StatisticDuration};

/// Counts of every model that was asked.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    models: Mutex<BTreeMap<&'static str, Counts>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    good: u64,
    failed: u64,
    good_ns: u64,
    failed_ns: u64,
    queue_ns: u64,
    infer_ns: u64,
}

impl Statistics {
    /// Books one request: how long it waited for its turn and how long it ran.
    pub(super) fn book(&self, model: &'static str, good: bool, queue_ns: u64, infer_ns: u64) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = models.entry(model).or_default();
        if good {
            counts.good += 1;
            counts.good_ns += queue_ns + infer_ns;
            counts.queue_ns += queue_ns;
            counts.infer_ns += infer_ns;
        } else {
            counts.failed += 1;
            counts.failed_ns += queue_ns + infer_ns;
        }
    }

    /// One model's statistics.
    pub(super) fn of(&self, model: &str) -> ModelStatistics {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = models.get(model).copied().unwrap_or_default();
        let part = |count, ns| Some(StatisticDuration { count, ns });
        ModelStatistics {
            name: model.to_owned(),
            version: "1".to_owned(),
            // The date is not ours to know.
            last_inference: 0,
            inference_count: counts.good,
            execution_count: counts.good,
            inference_stats: Some(InferStatistics {
                success: part(counts.good, counts.good_ns),
                fail: part(counts.failed, counts.failed_ns),
                queue: part(counts.good, counts.queue_ns),
                // Tensors stay in one process: nothing is copied in or out.
                compute_input: part(counts.good, 0),
                compute_infer: part(counts.good, counts.infer_ns),
                compute_output: part(counts.good, 0),
                cache_hit: part(0, 0),
                cache_miss: part(0, 0),
            }),
        }
    }
}
