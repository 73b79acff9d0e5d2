//! From the configuration of the work to the requests of a plan: what
//! `profile`, `compare`, `demo` and `dataset` do before any server is asked.

use anyhow::Result;

use super::{advise, chat};
use crate::config::{Data, Source, Work};
use crate::run::Steps;
use crate::workload::{self, ChatTemplate, DatasetFormat, Tokenizer, Watch, Workload};

/// Loads the tokenizer.
///
/// # Errors
/// Nothing is there, or nothing that is read.
pub(super) fn tokenizer(data: &Data) -> Result<Tokenizer> {
    match data {
        Data::Files {
            tokenizer, family, ..
        } => Tokenizer::load_as(tokenizer, *family),
        Data::Bundled => Tokenizer::bundled(),
    }
}

/// What is to be asked, and what it was chosen from.
pub(super) struct Asked {
    pub(super) workload: Workload,
    /// Where the prompts come from.
    pub(super) format: DatasetFormat,
}

impl Asked {
    /// The rule of the choice, for the records: `lmdeploy-0.1`, or `random`.
    pub(super) fn style(&self) -> String {
        let random = || DatasetFormat::Random.to_string();
        self.workload
            .style
            .map_or_else(random, |style| style.to_string())
    }
}

/// Reads the data, chooses the prompts, renders them where there is a template,
/// and warns of what is remarkable; a terminal sees how far it is.
///
/// # Errors
/// The data cannot be read, or do not give what was asked for.
pub(super) fn choose(
    work: &Work,
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
) -> Result<Asked> {
    let mut asked = chosen(work, tokenizer)?;
    if let Some(template) = template {
        chat::apply(&mut asked.workload, template, tokenizer)?;
    }
    asked.workload.notes.iter().for_each(|note| advise(note));
    Ok(asked)
}

fn chosen(work: &Work, tokenizer: &Tokenizer) -> Result<Asked> {
    let steps = Steps::start();
    let rules = &work.rules;
    let dataset = match &work.data {
        Data::Bundled => workload::bundled_conversations()?,
        Data::Files { source, .. } => match source {
            Source::Random(lengths) => {
                let count = rules.num_prompts.unwrap_or(workload::NUM_PROMPTS);
                let workload =
                    workload::random(tokenizer, *lengths, count, rules.seed, &Shown(&steps))?;
                return Ok(Asked {
                    workload,
                    format: DatasetFormat::Random,
                });
            }
            Source::File { path, format } => {
                steps.begin("reading the dataset", 0);
                workload::read_dataset(path, *format)?
            }
        },
    };
    Ok(Asked {
        workload: workload::sample(&dataset, tokenizer, rules, &Shown(&steps))?,
        format: dataset.format(),
    })
}

/// What the workload's room tells, put on the terminal.
struct Shown<'a>(&'a Steps);

impl Watch for Shown<'_> {
    fn stage(&self, what: &str, total: u64) {
        self.0.begin(what, total);
    }

    fn advance(&self, by: u64) {
        self.0.advance(by);
    }
}
