//! `pairbench dataset`: what would be asked, and its digest, without a server.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::asked::{self, Asked};
use super::{Exit, chat, hand_over, show, tell};
use crate::cli::DatasetArgs;
use crate::config::Work;
use crate::plan;
use crate::report::dataset::{Page, page};
use crate::workload::{self, FilterCounts, Limits, Prompt, SamplingStyle, Tokenizer, Workload};

/// Reads, chooses, draws; exports if asked to.
///
/// # Errors
/// The data or the tokenizer cannot be read, do not give what was asked for,
/// or the export cannot be written.
pub(super) fn dataset(args: &DatasetArgs) -> Result<Exit> {
    let work = Work::of_dataset(&args.data, &args.ask)?;
    let tokenizer = asked::tokenizer(&work.data)?;
    let template = chat::template(&work, Some("the digest"))?;
    let asked = asked::choose(&work, &tokenizer, template.as_deref())?;
    let shown = page(&page_of(&work, &tokenizer, &asked));
    let prompts = &asked.workload.prompts;
    match args.export.as_deref() {
        None => show(&shown)?,
        // Standard output is the data's then.
        Some(path) if path.as_os_str() == "-" => {
            tell(&shown);
            let mut lines = Vec::new();
            workload::export(prompts, &mut lines)?;
            hand_over(&String::from_utf8(lines)?)?;
        }
        Some(path) => {
            write(path, prompts).with_context(|| format!("--export {}", path.display()))?;
            show(&shown)?;
            show(&format!("requests written to {}\n", path.display()))?;
        }
    }
    Ok(Exit::Valid)
}

/// Writes all or nothing: a file that is there is replaced when the new one is
/// complete.
fn write(path: &Path, prompts: &[Prompt]) -> Result<()> {
    // Of a link the file that it leads to.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = target.as_path();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        // A pipe or a device is written to, not replaced.
        let mut out = BufWriter::new(fs::File::create(path).context("cannot be written")?);
        workload::export(prompts, &mut out)?;
        return out.flush().context("cannot be written");
    }
    let file = tempfile::Builder::new()
        .prefix(".pairbench-export")
        .make_in(folder, |path| fs::File::create_new(path))
        .context("cannot be written")?;
    let mut out = BufWriter::new(file);
    workload::export(prompts, &mut out)?;
    let file = out
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .context("cannot be written")?;
    file.persist(path).context("cannot be written")?;
    Ok(())
}

fn page_of(work: &Work, tokenizer: &Tokenizer, asked: &Asked) -> Page {
    let lengths = |of: fn(&Prompt) -> u32| asked.workload.prompts.iter().map(of).collect();
    let begin = if tokenizer.adds_bos() {
        "adds begin of sequence when served"
    } else {
        "adds no begin of sequence"
    };
    Page {
        source: format!("{}: {}", work.data.describe(), asked.format),
        tokenizer: format!("{}; {begin}", tokenizer.describe()),
        rule: match asked.workload.style {
            Some(SamplingStyle::InOrder) => asked.style(),
            _ => format!("{}, seed {}", asked.style(), work.rules.seed),
        },
        steps: steps(work, &asked.workload),
        prompt_tokens: lengths(|prompt| prompt.prompt_tokens),
        output_tokens: lengths(|prompt| prompt.output_tokens),
        digest: plan::digest(&asked.workload.prompts, work.sampling),
    }
}

/// From what is in the file to what would be asked.
fn steps(work: &Work, workload: &Workload) -> Vec<(String, u64)> {
    let chosen = u64::try_from(workload.prompts.len()).unwrap_or(u64::MAX);
    if workload.style.is_none() {
        return vec![("made".to_owned(), chosen)];
    }
    let counts = &workload.filter;
    let mut steps = vec![
        ("records in the file".to_owned(), counts.records),
        (
            "  without a prompt and an answer".to_owned(),
            counts.records.saturating_sub(counts.pairs),
        ),
        ("looked at by this choice".to_owned(), counts.looked_at),
    ];
    if let Some(limits) = &workload.limits {
        let sum_counts = work.rules.output_tokens.is_none();
        let dropped = dropped(limits, counts).into_iter();
        steps.extend(
            dropped
                .filter(|(_, sum)| sum_counts || !sum)
                .map(|(step, _)| step),
        );
        steps.push(("left by the filter".to_owned(), counts.kept));
    }
    steps.push(("chosen".to_owned(), chosen));
    steps
}

/// What each rule of the filter took, and whether the rule is about the sum.
fn dropped(limits: &Limits, counts: &FilterCounts) -> [((String, u64), bool); 3] {
    let Limits {
        min_tokens,
        max_prompt_tokens,
        max_total_tokens,
    } = limits;
    let short = format!("  dropped: prompt or answer under {min_tokens} tokens");
    let long = format!("  dropped: prompt over {max_prompt_tokens} tokens");
    let sum = format!("  dropped: both together over {max_total_tokens} tokens");
    [
        ((short, counts.too_short), false),
        ((long, counts.prompt_too_long), false),
        ((sum, counts.sum_too_long), true),
    ]
}
