//! Jinja as transformers sets it up for chat templates.
//!
//! Knows the functions, filters and switches of transformers' environment
//! (`utils/chat_template_utils.py`, 4.57; `apply_chat_template`, 4.38). It
//! refuses to know files, prompts and clocks: the date is given to it.

use std::borrow::Cow;

use anyhow::anyhow;
use jiff::civil::DateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Name of the one template.
pub(super) const NAME: &str = "chat template";
/// Instructions that one prompt may take: templates take hundreds, one that
/// counts for ever is stopped within about a second. 64 bytes of text that a
/// template makes are one, too, so no text grows above 128 MB. Lists that are
/// joined with `+` are not charged (minijinja 3.1): one that is doubled again and
/// again still fills the memory.
const FUEL: u64 = 2_000_000;

/// The environment with `text` as its template; `now` is what `strftime_now`
/// writes, which is undefined without it.
///
/// # Errors
/// The template's syntax.
pub(super) fn environment(
    text: &str,
    now: Option<DateTime>,
) -> Result<Environment<'static>, Error> {
    let mut jinja = Environment::new();
    jinja.set_auto_escape_callback(|_| AutoEscape::None);
    jinja.set_fuel(Some(FUEL));
    jinja.set_unknown_method_callback(method);
    jinja.add_filter("trim", |text: Cow<'_, str>, set: Option<Cow<'_, str>>| {
        stripped(&text, [true, true], set.as_deref()).to_owned()
    });
    jinja.add_filter("tojson", |value: &Value, options: Kwargs| {
        to_json(value, &options)
    });
    jinja.add_function("raise_exception", |words: Cow<'_, str>| {
        Err::<Value, _>(Error::new(
            ErrorKind::InvalidOperation,
            format!("the template refuses the prompt: {words}"),
        ))
    });
    if let Some(now) = now {
        jinja.add_function("strftime_now", move |form: Cow<'_, str>| {
            jiff::fmt::strtime::format(form.as_ref(), now)
                .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
        });
    }
    let mut syntax = SyntaxConfig::builder();
    jinja.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build()?);
    jinja.add_template_owned(NAME, without_generation_marks(text))?;
    Ok(jinja)
}

/// Python's methods. Those that strip white space are ours: Python counts U+001C
/// to U+001F as such (`str.isspace`), Rust does not.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let sides = match name {
        "strip" => [true, true],
        "lstrip" => [true, false],
        "rstrip" => [false, true],
        _ => return unknown_method_callback(state, value, name, args),
    };
    match (value.as_str(), args) {
        (Some(text), []) => Ok(stripped(text, sides, None).into()),
        _ => unknown_method_callback(state, value, name, args),
    }
}

fn stripped<'a>(text: &'a str, [start, end]: [bool; 2], set: Option<&str>) -> &'a str {
    let goes = |letter: char| match set {
        Some(set) => set.contains(letter),
        None => letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter),
    };
    let text = if start {
        text.trim_start_matches(goes)
    } else {
        text
    };
    if end {
        text.trim_end_matches(goes)
    } else {
        text
    }
}

/// `{% generation %}` marks what a model is trained on; it prints nothing.
/// Replaced by a condition that holds, on the same line and with the same
/// signs for white space.
pub(super) fn without_generation_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        let sign = |byte: Option<char>| byte.filter(|sign| matches!(sign, '-' | '+'));
        let inner = tag.trim_start_matches("{%").trim_end_matches("%}");
        let (open, close) = (sign(inner.chars().next()), sign(inner.chars().next_back()));
        let word = inner.trim_matches(['-', '+']).trim();
        let stands_for = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => "",
        };
        if stands_for.is_empty() {
            // Only the opening, so that a tag inside this one's text is seen, too.
            out.push_str("{%");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str("{%");
        out.extend(open);
        out.push_str(&format!(" {stands_for} "));
        out.extend(close);
        out.push_str("%}");
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `tojson` as transformers has it: `json.dumps(x, ensure_ascii=False, ...)`,
/// no escapes for HTML.
fn to_json(value: &Value, options: &Kwargs) -> Result<String, Error> {
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        let words = "tojson with ensure_ascii=true is not followed";
        return Err(Error::new(ErrorKind::InvalidOperation, words));
    }
    let form = Form {
        indent: options.get("indent")?,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    form.write(value, 0, &mut out)?;
    Ok(out)
}

/// Nesting that JSON may have; deeper is a mistake and no message.
const DEEPEST: usize = 128;

struct Form {
    indent: Option<usize>,
    sort_keys: bool,
}

impl Form {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        let refused = |words: String| Error::new(ErrorKind::BadSerialization, words);
        if depth > DEEPEST {
            return Err(refused("nested too deep for JSON".to_owned()));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&value.to_string()),
            ValueKind::String => out.push_str(&quoted(value)),
            ValueKind::Seq | ValueKind::Iterable => {
                let mut items = Vec::new();
                for item in value.try_iter()? {
                    let mut text = String::new();
                    self.write(&item, depth + 1, &mut text)?;
                    items.push(text);
                }
                self.group(['[', ']'], &items, depth, out);
            }
            ValueKind::Map => {
                let mut items = Vec::new();
                for key in value.try_iter()? {
                    let mut text = format!("{}: ", quoted(&key));
                    self.write(&value.get_item(&key)?, depth + 1, &mut text)?;
                    items.push((key.to_string(), text));
                }
                if self.sort_keys {
                    items.sort();
                }
                let items: Vec<String> = items.into_iter().map(|(_, text)| text).collect();
                self.group(['{', '}'], &items, depth, out);
            }
            other => return Err(refused(format!("{other} is nothing that JSON can hold"))),
        }
        Ok(())
    }

    fn group(&self, [open, close]: [char; 2], items: &[String], depth: usize, out: &mut String) {
        out.push(open);
        match self.indent.filter(|_| !items.is_empty()) {
            None => out.push_str(&items.join(", ")),
            Some(indent) => {
                // The width of a terminal is plenty; a wild number fills memory.
                let indent = indent.min(80);
                let line = |depth: usize| format!("\n{}", " ".repeat(indent * depth));
                let inner = line(depth + 1);
                out.push_str(&inner);
                out.push_str(&items.join(&format!(",{inner}")));
                out.push_str(&line(depth));
            }
        }
        out.push(close);
    }
}

fn quoted(value: &Value) -> String {
    serde_json::Value::from(value.to_string()).to_string()
}

/// What went wrong, where, and what to do.
pub(super) fn in_words(error: &Error, origin: &str) -> anyhow::Error {
    let line = error.line().map_or(String::new(), |line| {
        format!(", line {line} of the template")
    });
    let cure = match error.kind() {
        ErrorKind::UnknownFunction
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownMethod => {
            "pairbench knows what transformers gives to a template; use a template without it"
        }
        ErrorKind::OutOfFuel => "it does not come to an end; is it the model's own?",
        ErrorKind::SyntaxError => "repair the template",
        _ => "use another template or prompt",
    };
    let words = match error.detail() {
        Some(detail) => format!("{} ({})", detail, error.kind()),
        None => error.kind().to_string(),
    };
    anyhow!("chat template {origin}{line}: {words}; {cure}, or send raw prompts (--prompt raw)")
}
