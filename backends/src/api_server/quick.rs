//! The usual event of a stream, read without the general reader of JSON: one
//! choice with one piece of text in it, no reason to end, no usage. Knows when
//! it does not know: anything else is `None`, and read by
//! [`super::wire::Chunk`], with which this agrees on what it takes.
//!
//! The events of one stream mostly differ in nothing but their text, so an event
//! is first compared with the one before it; only one that differs elsewhere is
//! read field by field.

use std::str;

/// Bits of the fields that serde takes once only.
mod seen {
    pub(super) const CHOICES: u32 = 1;
    pub(super) const USAGE: u32 = 1 << 1;
    pub(super) const ERROR: u32 = 1 << 2;
    pub(super) const OBJECT: u32 = 1 << 3;
    pub(super) const INDEX: u32 = 1 << 4;
    pub(super) const DELTA: u32 = 1 << 5;
    pub(super) const TEXT: u32 = 1 << 6;
    pub(super) const REASON: u32 = 1 << 7;
    pub(super) const CONTENT: u32 = 1 << 8;
    pub(super) const REASONING_CONTENT: u32 = 1 << 9;
    pub(super) const REASONING: u32 = 1 << 10;
    pub(super) const TOOL_CALLS: u32 = 1 << 11;
}

/// What the events of one stream have in common.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// All before the text of the last event that was read field by field.
    start: Vec<u8>,
    /// All behind it.
    end: Vec<u8>,
}

impl Usual {
    /// The text of a usual event, which may be empty.
    pub(super) fn text<'a>(&mut self, data: &'a [u8]) -> Option<&'a str> {
        if let Some(text) = self.alike(data) {
            return Some(text);
        }
        let (at, text) = text(str::from_utf8(data).ok()?)?;
        if !text.is_empty() {
            self.start.clear();
            self.start.extend_from_slice(&data[..at]);
            self.end.clear();
            self.end.extend_from_slice(&data[at + text.len()..]);
        }
        Some(text)
    }

    /// The same if the event differs from the last one in its text alone. What
    /// stands there now is a string as well if nothing in it ends or breaks one.
    #[inline]
    fn alike<'a>(&self, data: &'a [u8]) -> Option<&'a str> {
        let text = data.strip_prefix(&*self.start)?.strip_suffix(&*self.end)?;
        if self.end.is_empty() || plain(text) < text.len() {
            return None;
        }
        str::from_utf8(text).ok()
    }
}

/// The text of a usual event, which may be empty, and where it is.
fn text(data: &str) -> Option<(usize, &str)> {
    let mut cursor = Cursor {
        rest: data.as_bytes(),
        seen: 0,
        text: b"",
        behind_text: 0,
    };
    cursor.object(Cursor::top)?;
    cursor.space();
    let whole = cursor.rest.is_empty() && cursor.seen & seen::CHOICES != 0;
    let text = str::from_utf8(cursor.text).ok().filter(|_| whole)?;
    // a quote is between the text and what is behind it
    let end = data.len().checked_sub(cursor.behind_text + 1)?;
    Some((end.checked_sub(text.len())?, text))
}

/// A place in an event, and what came before it.
struct Cursor<'a> {
    rest: &'a [u8],
    seen: u32,
    text: &'a [u8],
    /// How many bytes follow the text and its quote.
    behind_text: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes `byte`, whatever white space is before it.
    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| self.rest = rest)
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    /// Notes a field, which may come once.
    fn once(&mut self, field: u32) -> Option<()> {
        let first = self.seen & field == 0;
        self.seen |= field;
        first.then_some(())
    }

    /// A string without escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let length = plain(self.rest);
        let (string, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(string)
    }

    /// An object of which `field` reads every value.
    #[inline]
    fn object(&mut self, field: impl Fn(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.take(b':')?;
            self.space();
            field(self, name)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    fn top(&mut self, name: &[u8]) -> Option<()> {
        match name {
            b"choices" => {
                self.once(seen::CHOICES)?;
                self.take(b'[')?;
                self.object(Self::choice)?;
                self.take(b']')
            }
            b"usage" => self.null_once(seen::USAGE),
            b"error" => self.null_once(seen::ERROR),
            b"object" => {
                self.once(seen::OBJECT)?;
                self.string().filter(|object| *object != b"error").map(drop)
            }
            _ => self.scalar(),
        }
    }

    fn choice(&mut self, name: &[u8]) -> Option<()> {
        match name {
            b"index" => {
                self.once(seen::INDEX)?;
                self.zero()
            }
            b"delta" => {
                self.once(seen::DELTA)?;
                self.object(Self::delta)
            }
            b"text" => self.piece(seen::TEXT),
            b"finish_reason" => self.null_once(seen::REASON),
            b"message" => None,
            _ => self.scalar(),
        }
    }

    fn delta(&mut self, name: &[u8]) -> Option<()> {
        match name {
            b"content" => self.piece(seen::CONTENT),
            b"reasoning_content" => self.piece(seen::REASONING_CONTENT),
            b"reasoning" => self.piece(seen::REASONING),
            b"tool_calls" => {
                self.once(seen::TOOL_CALLS)?;
                self.word(b"null").or_else(|| self.word(b"[]"))
            }
            _ => self.scalar(),
        }
    }

    /// A piece of text; a second one that is not empty is unusual.
    fn piece(&mut self, field: u32) -> Option<()> {
        self.once(field)?;
        if self.rest.first()? == &b'n' {
            return self.word(b"null");
        }
        let piece = self.string()?;
        if !piece.is_empty() {
            if !self.text.is_empty() {
                return None;
            }
            self.text = piece;
            self.behind_text = self.rest.len();
        }
        Some(())
    }

    fn null_once(&mut self, field: u32) -> Option<()> {
        self.once(field)?;
        self.word(b"null")
    }

    fn zero(&mut self) -> Option<()> {
        self.word(b"0")?;
        self.ends_number()
    }

    /// Whether a whole number ends here; what goes on is unusual.
    fn ends_number(&self) -> Option<()> {
        matches!(self.rest, [b',' | b'}' | b' ', ..]).then_some(())
    }

    /// A value that does not matter: a string, a natural number or a constant.
    fn scalar(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(drop),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'0' => self.zero(),
            b'1'..=b'9' => {
                while let [b'0'..=b'9', rest @ ..] = self.rest {
                    self.rest = rest;
                }
                self.ends_number()
            }
            _ => None,
        }
    }
}

/// How many bytes come before one that a string cannot hold as it is: a quote,
/// a backslash or a control character.
///
/// Eight bytes at once, by the test for a byte below a number in a word (S. E.
/// Anderson, "Bit Twiddling Hacks", "Determine if a word has a byte less than
/// n"): it may err above the first such byte, never below it.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & TOPS;
    let mut length = 0;
    while let Some(eight) = bytes[length..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
        let slashes = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quotes | slashes | below(word, u64::from(b' '));
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = &bytes[length..];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '));
    length + end.unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::super::wire::Chunk;
    use super::{Usual, plain};

    fn text(data: &str) -> Option<&str> {
        Usual::default().text(data.as_bytes())
    }

    #[test]
    fn an_event_is_compared_with_the_last() {
        let mut usual = Usual::default();
        let event =
            |text: &str| format!(r#"{{"id":7,"choices":[{{"text":"{text}"}}],"usage":null}}"#);
        for (event, wanted) in [
            (event(""), Some("")),
            (event("a"), Some("a")),
            (event("\u{e9}"), Some("\u{e9}")),
            (event(""), Some("")),
            (event("\\n"), None),
            (event(r#"","finish_reason":"stop"#), None),
            (event(r#"","logprobs":"x"#), Some("")),
            (event("b").replace('7', "8"), Some("b")),
            (event("c").replace("]", "],\"error\":{}"), None),
            (event("d"), Some("d")),
        ] {
            assert_eq!(usual.text(event.as_bytes()), wanted, "{event}");
        }
        let (start, end) = (usual.start, usual.end);
        let broken = [&start[..], b"\xff", &end].concat();
        assert_eq!(Usual { start, end }.text(&broken), None, "no UTF-8");
    }

    #[test]
    fn usual_events_are_read() {
        for (event, wanted) in [
            // LMDeploy 0.18.0, 0.10.2, 0.5.3 and vLLM
            (
                r#"{"id": "-1", "object": "text_completion", "created": 1795487113, "model": "stub", "choices": [{"index": 0, "text": " the"}], "usage": null}"#,
                " the",
            ),
            (
                r#"{"id":"1","object":"chat.completion.chunk","created":17,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"é流","reasoning_content":null,"gen_tokens":null,"tool_calls":[]},"logprobs":null,"finish_reason":null}],"usage":null}"#,
                "é流",
            ),
            (r#"{"choices":[{"index":0,"delta":{"content":""}}]}"#, ""),
            (
                r#"{"id":"c","choices":[{"index":0,"delta":{"reasoning":"hm","content":""},"token_ids":null}]}"#,
                "hm",
            ),
        ] {
            assert_eq!(text(event), Some(wanted), "{event}");
        }
    }

    #[test]
    fn unusual_events_are_left_alone() {
        for event in [
            "",
            "[DONE]",
            r#"{"choices":[]}"#,
            r#"{"choices":null}"#,
            r#"{"choices":[{"text":"a"},{"text":"b"}]}"#,
            r#"{"choices":[{"text":"a"}]} x"#,
            r#"{"choices":[{"text":"a"}],"error":{"message":"m"}}"#,
            r#"{"choices":[{"text":"a"}],"object":"error"}"#,
            r#"{"choices":[{"text":"a"}],"usage":{"completion_tokens":1}}"#,
            r#"{"choices":[{"text":"a"}],"choices":[{"text":"b"}]}"#,
            r#"{"choices":[{"index":1,"text":"a"}]}"#,
            r#"{"choices":[{"index":01,"text":"a"}]}"#,
            r#"{"choices":[{"text":"a","text":"a"}]}"#,
            r#"{"choices":[{"text":"a\n"}]}"#,
            r#"{"choices":[{"text":"a","finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{"content":"a"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"content":"a","reasoning_content":"b"}}]}"#,
            r#"{"choices":[{"text":"a","x":007}]}"#,
            r#"{"choices":[{"text":"a","x":1.5e}]}"#,
            r#"{"choices":[{"text":"a",}]}"#,
        ] {
            assert_eq!(text(event), None, "{event}");
        }
    }

    /// Objects with these fields, in any order and as often as it comes.
    fn object(fields: &[(String, String)], space: &str) -> String {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }

    const VALUE: &str =
        "null|true|0|1|00|-1|1.5|7|\\[\\]|\\{\\}|\"\"|\"a\"|\"error\"|\"\\\\n\"|\"\u{e9}\"";

    proptest! {
        #[test]
        fn a_string_ends_where_it_ends(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[!-~\u{e9}\u{1f600}]{0,30}[\0-~]?.{0,9}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let ends = |&byte: &u8| byte < b' ' || byte == b'"' || byte == b'\\';
                let end = bytes.iter().position(ends).unwrap_or(bytes.len());
                prop_assert_eq!(plain(bytes), end);
            }
        }

        #[test]
        fn what_it_takes_is_what_serde_reads(
            delta in prop::collection::vec(("content|reasoning|reasoning_content|tool_calls|role|x", VALUE), 0..4),
            choice in prop::collection::vec(("index|text|finish_reason|message|logprobs", VALUE), 0..4),
            top in prop::collection::vec(("id|object|created|usage|error|choices", VALUE), 0..4),
            with_delta in "[01]",
            space in "|| |\n",
            cut in prop::option::weighted(0.1, 0_usize..200),
            others in prop::collection::vec(VALUE, 0..4),
        ) {
            let mut choice = choice;
            if with_delta == "1" {
                choice.push(("delta".to_owned(), object(&delta, &space)));
            }
            let mut top = top;
            top.push(("choices".to_owned(), format!("[{}]", object(&choice, &space))));
            let mut event = object(&top, &space);
            if let Some(cut) = cut {
                let cut = (0..=cut.min(event.len())).rev().find(|&cut| event.is_char_boundary(cut));
                event.truncate(cut.unwrap_or(0));
            }
            // having read the one, it reads another as if it had not
            let mut usual = Usual::default();
            usual.text(event.as_bytes());
            for other in &others {
                let other = event.replacen("\"a\"", other, 1);
                prop_assert_eq!(usual.text(other.as_bytes()), text(&other));
            }
            if let Some(text) = text(&event) {
                let chunk: Chunk<'_> = serde_json::from_str(&event).expect("an event");
                prop_assert_eq!(chunk.usage, None);
                prop_assert!(chunk.error.is_none());
                prop_assert!(chunk.object.is_none_or(|object| object.0 != "error"));
                let choices = chunk.choices.expect("choices");
                prop_assert_eq!(choices.len(), 1);
                prop_assert_eq!(choices[0].index, 0);
                prop_assert!(choices[0].finish_reason.is_none() && !choices[0].calls_tool());
                prop_assert_eq!(choices[0].pieces().collect::<String>(), text);
                prop_assert!(choices[0].pieces().count() <= 1);
            }
        }
    }
}
