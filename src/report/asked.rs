//! The lines of a page that say who was asked, what, and how.

use super::format::line;
use crate::record::RunHeader;
use crate::stats::words::{counted, grouped, one_line};

/// Foreign words on one line; `-` for none.
pub(super) fn foreign(text: &str) -> String {
    match one_line(text, 72) {
        empty if empty.is_empty() => "-".to_owned(),
        words => words,
    }
}

/// `triton 2.51.0 at 127.0.0.1:33337, model turbomind`.
pub(super) fn server(header: &RunHeader) -> String {
    format!(
        "{} at {}, model {}",
        foreign(&header.server),
        foreign(&header.address),
        foreign(&header.model)
    )
}

/// The lines that say what was asked. `of` turns a property of a run into
/// words; side by side, it names the arms that differ.
pub(super) fn asked(out: &mut String, of: &dyn Fn(fn(&RunHeader) -> String) -> String) {
    line(out, "workload", &of(workload));
    line(out, "tokenizer", &of(|header| foreign(&header.tokenizer)));
    line(out, "sampling", &of(sampling));
    line(out, "load", &of(load));
    line(out, "client", &of(client));
}

fn workload(header: &RunHeader) -> String {
    format!(
        "{}: {} from {} (seed {}, style {}), {} text",
        foreign(&header.workload),
        counted(u64::from(header.num_prompts), "prompt", "prompts"),
        foreign(&header.dataset),
        header.seed,
        foreign(&header.sampling_style),
        foreign(&header.prompt_mode)
    )
}

fn sampling(header: &RunHeader) -> String {
    let end = if header.ignore_eos {
        "ignored"
    } else {
        "ends the answer"
    };
    format!(
        "top_k {}, top_p {}, temperature {}, end of sequence {end}",
        header.top_k, header.top_p, header.temperature
    )
}

fn load(header: &RunHeader) -> String {
    let answers = if header.stream {
        "streaming"
    } else {
        "whole answers"
    };
    format!(
        "closed loop, concurrency {}, {answers}, warm-up {} per slot",
        grouped(u64::from(header.concurrency)),
        counted(u64::from(header.warmup), "request", "requests")
    )
}

fn client(header: &RunHeader) -> String {
    format!(
        "pairbench {} on {}",
        foreign(&header.tool_version),
        counted(u64::from(header.cores), "core", "cores")
    )
}
