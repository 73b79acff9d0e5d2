//! The model's own chat template: what a server makes of a user's turn before
//! it counts tokens.
//!
//! Knows where templates lie, what transformers does with them, and how a
//! rendered text and a begin-of-sequence token go together. It refuses to know
//! servers and clocks, and keeps no conversation: one turn of a user is all.

mod environment;
mod source;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use jiff::civil::DateTime;
use minijinja::{Environment, Value, context};

use super::{Tokenizer, Workload, blocks};
use source::Source;

/// Longer than any prompt: 64 MiB.
const LONGEST_PROMPT_BYTES: usize = 64 << 20;

/// A turn that no template says by itself.
const PROBE: &str = "pairbench probes this template";

/// A chat template, ready to render. Renders from any number of threads at the
/// same time.
#[derive(Debug)]
pub struct ChatTemplate {
    jinja: Environment<'static>,
    source: Source,
}

impl ChatTemplate {
    /// The template of the model whose tokenizer is at `tokenizer_path` (a
    /// folder, or a file in it): `chat_template.jinja`, or else `chat_template`
    /// in `tokenizer_config.json`; of a list the one named `default`. `None`
    /// where there is neither. `today` is the date for templates that ask for
    /// one (`strftime_now`), `2026-11-24T03:18:24Z`.
    ///
    /// # Errors
    /// A file cannot be read, is of no known form, or the template has a fault
    /// in its syntax or leaves out what the user says; the text says where.
    pub fn load(tokenizer_path: &Path, today: Option<&str>) -> Result<Option<Self>> {
        let folder = source::folder_of(tokenizer_path);
        let found = source::find(&folder)?;
        found.map(|source| Self::of(source, today)).transpose()
    }

    /// Where [`Self::load`] looks, for people.
    #[must_use]
    pub fn looked_in(tokenizer_path: &Path) -> String {
        format!(
            "chat_template.jinja and tokenizer_config.json in `{}`",
            source::folder_of(tokenizer_path).display()
        )
    }

    fn of(source: Source, today: Option<&str>) -> Result<Self> {
        let now = today
            .map(|today| today.trim_end_matches('Z').parse::<DateTime>())
            .transpose()
            .context("the date for the chat template is no date")?;
        let jinja = environment::environment(&source.text, now)
            .map_err(|error| environment::in_words(&error, &source.origin))?;
        let template = Self { jinja, source };
        template.check_turn()?;
        Ok(template)
    }

    /// Objects to a template that leaves out the turn: every prompt would be the
    /// same. One that refuses the turn has its say when it renders prompts.
    fn check_turn(&self) -> Result<()> {
        let leaves_out = |text: String| !text.contains(PROBE);
        ensure!(
            !self.render(PROBE).is_ok_and(leaves_out),
            "chat template {}: its text leaves out what the user says, so all prompts would be \
             the same; put the model's own chat_template.jinja there (one for turns of several \
             parts, such as images, takes no plain text), or send raw prompts (--prompt raw)",
            self.source.origin
        );
        Ok(())
    }

    /// Where the template was found.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.source.origin
    }

    /// Whether the template may write the date: the same turn makes other
    /// tokens on another day.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        self.source.text.contains("strftime_now")
    }

    /// The text that the model gets for one turn of a user: transformers'
    /// `apply_chat_template([{"role": "user", "content": ...}],
    /// tokenize=False, add_generation_prompt=True)`.
    ///
    /// # Errors
    /// The template refuses the turn, calls what transformers does not give it,
    /// does not end, or writes more than 64 MiB; the text says where and what to
    /// do.
    pub fn render(&self, user_text: &str) -> Result<String> {
        let origin = &self.source.origin;
        let in_words = |error| environment::in_words(&error, origin);
        let template = self
            .jinja
            .get_template(environment::NAME)
            .map_err(in_words)?;
        let mut out = Bounded::default();
        let rendered = template.render_captured_to(self.variables(user_text), &mut out);
        ensure!(
            !out.is_full,
            "chat template {origin}: it writes more than {LONGEST_PROMPT_BYTES} bytes for one \
             prompt; is it the model's own?"
        );
        rendered.map_err(in_words)?;
        String::from_utf8(out.bytes).map_err(|_| anyhow!("chat template {origin}: no UTF-8"))
    }

    fn variables(&self, user_text: &str) -> Value {
        let turn = context! { role => "user", content => user_text };
        let fixed = [
            ("messages", Value::from(vec![turn])),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(true)),
        ];
        let named = self.source.named.iter();
        let named = named.map(|(name, token)| (name.as_str(), Value::from(token.as_str())));
        let more = &self.source.additional;
        let more = (!more.is_empty()).then(|| {
            let list: Vec<Value> = more.iter().map(|token| token.as_str().into()).collect();
            ("additional_special_tokens", Value::from(list))
        });
        Value::from_pairs(fixed.into_iter().chain(named).chain(more))
    }

    /// `rendered` without the begin-of-sequence text that it starts with, where
    /// `tokenizer` puts that token in front by itself: two of them are one too
    /// many, and a server's text input would get two.
    #[must_use]
    pub fn without_begin<'a>(&self, rendered: &'a str, tokenizer: &Tokenizer) -> &'a str {
        let begin = self.source.named.get("bos_token").map(String::as_str);
        // A folder without settings: SentencePiece's own name for it.
        let begin = begin.or(Some("<s>")).filter(|_| tokenizer.adds_bos());
        begin
            .and_then(|begin| rendered.strip_prefix(begin))
            .unwrap_or(rendered)
    }

    /// The special tokens in the template's own words that `tokenizer` does not
    /// read as one id each.
    fn spelled_out(&self, tokenizer: &Tokenizer) -> Result<Vec<String>> {
        let frame = self.render("x")?;
        let frame = self.without_begin(&frame, tokenizer);
        let listed = self.source.specials.iter().map(String::as_str);
        let mut found = Vec::new();
        for special in listed.chain(["<s>", "</s>"]).chain(marks(frame)) {
            let is_known = found.iter().any(|known| known == special);
            if frame.contains(special) && !is_known && tokenizer.encode(special)?.len() != 1 {
                found.push(special.to_owned());
            }
        }
        Ok(found)
    }
}

/// Texts that look like special tokens: `<|name|>`.
fn marks(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("<|").filter_map(move |(start, _)| {
        let end = text[start..].find("|>")? + start + 2;
        let mark = &text[start..end];
        (!mark.contains(char::is_whitespace)).then_some(mark)
    })
}

/// What rendering found out about template and tokenizer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Special tokens of the template that the tokenizer spells out in
    /// characters.
    pub spelled_out: Vec<String>,
    /// Prompts whose text makes other ids without its begin-of-sequence text
    /// than with it: whoever gets text gets other tokens than a server that
    /// applies the template.
    pub parted: usize,
}

/// Makes every prompt of `workload` a turn in `template`: `text` is what a model
/// gets, `turn` what the user said, ids and counts are those of the text. Works
/// on all cores.
///
/// The ids are those that LMDeploy's api_server makes (0.18.0,
/// `MultimodalProcessor._get_text_prompt_input` and `Tokenizer.encode`): the
/// rendered text is encoded with what the tokenizer inserts, and of two
/// begin-of-sequence tokens one goes.
///
/// # Errors
/// Of [`ChatTemplate::render`] and the tokenizer, for the first prompt that
/// fails; a prompt has no token but those that the tokenizer inserts.
pub fn apply(
    workload: &mut Workload,
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
) -> Result<Applied> {
    let spelled_out = template.spelled_out(tokenizer)?;
    let made = blocks::for_each(&workload.prompts, |_, prompt| {
        let mut made = prompt.clone();
        let of = || format!("the prompt of pair {}", prompt.index);
        let rendered = template.render(&prompt.text).with_context(of)?;
        let text = template.without_begin(&rendered, tokenizer);
        let (ids, parted) = ids(&rendered, text, tokenizer).with_context(of)?;
        made.prompt_tokens = own_tokens(&ids, text, tokenizer).with_context(of)?;
        ensure!(
            made.prompt_tokens > 0,
            "{}: the chat template {} makes it empty; leave the pair out, or send raw prompts \
             (--prompt raw)",
            of(),
            template.origin()
        );
        made.token_ids = ids.into();
        made.turn = Some(Arc::clone(&prompt.text));
        made.text = text.into();
        Ok((made, parted))
    })?;
    let parted = made.iter().filter(|(_, parted)| *parted).count();
    workload.prompts = made.into_iter().map(|(prompt, _)| prompt).collect();
    Ok(Applied {
        spelled_out,
        parted,
    })
}

/// How many of `ids` the tokenizer did not insert into `text`.
fn own_tokens(ids: &[u32], text: &str, tokenizer: &Tokenizer) -> Result<u32> {
    let served = tokenizer.encode_as_served(text)?.len();
    let inserted = served.saturating_sub(tokenizer.encode(text)?.len());
    Ok(u32::try_from(ids.len().saturating_sub(inserted))?)
}

/// The ids of a rendered text, and whether its form without begin-of-sequence
/// text makes others.
fn ids(rendered: &str, text: &str, tokenizer: &Tokenizer) -> Result<(Vec<u32>, bool)> {
    let sent = tokenizer.encode_as_served(text)?;
    let begin = &rendered[..rendered.len() - text.len()];
    let is_token = !begin.is_empty()
        && tokenizer.bos_id().is_some_and(|bos| {
            let alone = tokenizer.encode(begin);
            alone.is_ok_and(|ids| ids == [bos])
        });
    if !is_token {
        return Ok((sent, false));
    }
    let whole = tokenizer.encode_as_served(rendered)?;
    let parted = whole != sent;
    Ok((whole, parted))
}

/// Bytes up to a limit.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > LONGEST_PROMPT_BYTES {
            self.is_full = true;
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
