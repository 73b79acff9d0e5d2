//! What a server counted of itself.

use serde::Serialize;

use crate::stats::{HistogramFigures, ModelFigures, ServerFigures};

#[derive(Serialize)]
pub(super) struct Shown<'a> {
    blocks_read: Option<u32>,
    blocks_whole: Option<u32>,
    fell: bool,
    models: Vec<Model<'a>>,
    histograms: Vec<Histogram<'a>>,
    totals: Vec<Total<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    calls: f64,
    failed_calls: f64,
    queue_ns: Option<f64>,
    compute_input_ns: Option<f64>,
    compute_infer_ns: Option<f64>,
    compute_output_ns: Option<f64>,
    whole_ns: Option<f64>,
    ends_before_answer: bool,
}

#[derive(Serialize)]
struct Histogram<'a> {
    name: &'a str,
    count: f64,
    mean: f64,
}

#[derive(Serialize)]
struct Total<'a> {
    name: &'a str,
    value: f64,
}

impl<'a> Shown<'a> {
    pub(super) fn of(of: &'a ServerFigures) -> Self {
        let totals = of.totals.iter();
        Self {
            blocks_read: of.blocks_read,
            blocks_whole: of.blocks_whole,
            fell: of.fell,
            models: of.models.iter().map(model).collect(),
            histograms: of.histograms.iter().map(histogram).collect(),
            totals: totals
                .map(|(name, value)| Total {
                    name,
                    value: *value,
                })
                .collect(),
        }
    }
}

fn model(of: &ModelFigures) -> Model<'_> {
    Model {
        name: &of.name,
        calls: of.calls,
        failed_calls: of.failed_calls,
        queue_ns: of.queue_ns,
        compute_input_ns: of.input_ns,
        compute_infer_ns: of.infer_ns,
        compute_output_ns: of.output_ns,
        whole_ns: of.whole_ns,
        ends_before_answer: of.ends_before_answer,
    }
}

fn histogram(of: &HistogramFigures) -> Histogram<'_> {
    Histogram {
        name: &of.name,
        count: of.count,
        mean: of.mean,
    }
}
