//! A workload as a file that somebody else can run.
//!
//! Knows the JSON lines that `dataset` reads back to the same prompts. It refuses
//! to write ids: the reader's tokenizer makes them again, and the digest tells
//! whether they are the same.

use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Prompt;

#[derive(Serialize)]
struct Line<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u32>,
    output_tokens: u32,
    prompt: &'a str,
}

/// Writes one line for each prompt, in their order: `index` and `prompt_tokens`
/// for people (the count is compared when it is read), `output_tokens` and
/// `prompt` for the run.
///
/// # Errors
/// `out` cannot be written.
pub fn export(prompts: &[Prompt], out: &mut dyn Write) -> Result<()> {
    for prompt in prompts {
        let line = Line {
            index: prompt.index,
            // Of a chat prompt the count is the rendered text's, not this one's.
            prompt_tokens: prompt.turn.is_none().then_some(prompt.prompt_tokens),
            output_tokens: prompt.output_tokens,
            prompt: prompt.turn.as_deref().unwrap_or(&prompt.text),
        };
        let mut text = serde_json::to_string(&line).context("a prompt cannot be written")?;
        text.push('\n');
        out.write_all(text.as_bytes())
            .context("the prompts cannot be written")?;
    }
    out.flush().context("the prompts cannot be written")
}
