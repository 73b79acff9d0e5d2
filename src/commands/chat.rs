//! What `--prompt chat` adds to a run before the clock: the model's template,
//! and the first place where a server's own tokens leave the plan's.

use std::sync::Arc;

use anyhow::{Result, bail};
use backends::{Backend, PromptMode};

use super::advise;
use crate::config::{Data, Work};
use crate::plan::{self, Plan};
use crate::run::Wall;
use crate::workload::{ChatTemplate, Tokenizer, Workload, chat};

/// Prompts whose tokens a server is asked for one by one.
const ASKED: usize = 16;

/// The template of the model, where the run needs one; `needing` is who cannot
/// do without.
///
/// # Errors
/// It cannot be read, or there is none and somebody needs its text.
pub(super) fn template(work: &Work, needing: Option<&str>) -> Result<Option<Arc<ChatTemplate>>> {
    let Data::Files { tokenizer, .. } = &work.data else {
        return Ok(None);
    };
    if work.prompt_mode != PromptMode::Chat {
        return Ok(None);
    }
    let today = Wall::now().utc();
    if let Some(template) = ChatTemplate::load(tokenizer, Some(&today))? {
        return Ok(Some(Arc::new(template)));
    }
    if let Some(needing) = needing {
        bail!(
            "--prompt chat: {needing} gets the text that the model's chat template makes, and \
             there is none (looked for {}); put the model's chat_template.jinja or \
             tokenizer_config.json beside its tokenizer, or use --prompt raw",
            ChatTemplate::looked_in(tokenizer)
        );
    }
    Ok(None)
}

/// Renders the prompts and says what is remarkable about them.
///
/// # Errors
/// Of [`chat::apply`].
pub(super) fn apply(
    workload: &mut Workload,
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
) -> Result<()> {
    let applied = chat::apply(workload, template, tokenizer)?;
    if template.is_dated() {
        advise(
            "the chat template may write today's date (UTC) into every prompt: the workload's \
             digest may be another one tomorrow",
        );
    }
    if !applied.spelled_out.is_empty() {
        advise(&format!(
            "the tokenizer ({}) spells {} of the chat template out in characters, while a server \
             with the model's Hugging Face tokenizer reads one token: give the folder with \
             tokenizer.json or tokenizer_config.json as TOKENIZER, and the same to Triton's \
             preprocessing",
            tokenizer.describe(),
            applied.spelled_out.join(", ")
        ));
    }
    if applied.parted > 0 {
        advise(&format!(
            "{} of {} prompts make other tokens behind a begin-of-sequence token that the \
             template writes than behind one that the tokenizer inserts: an arm that gets text \
             cannot get the tokens of a server that applies the template itself",
            applied.parted,
            workload.prompts.len()
        ));
    }
    Ok(())
}

/// The first place where the server's own tokens of a prompt are not the
/// plan's, in words; `None` where there is none or the server cannot say. Not
/// timed.
pub(super) async fn parting(
    backend: &dyn Backend,
    plan: &Plan,
    tokenizer: &Tokenizer,
) -> Option<String> {
    let bytes_of = |id| tokenizer.decode_bytes(&[id]);
    for (index, job) in plan.jobs.iter().take(ASKED).enumerate() {
        // A server that refuses here has its say in the run itself.
        let theirs = backend.prompt_ids(&job.request).await.ok()??;
        if let Some(words) = plan::parting(&job.request.token_ids, &theirs, bytes_of) {
            return Some(format!("request {index}: {words}"));
        }
    }
    None
}
