//! Elements of the page. Whatever is not ours goes through [`escape`].

use sha2::{Digest, Sha256};

use super::super::chart::{Drawing, Whose};
use super::super::format::{ABSENT, is_unit};
use super::super::tables::{Line, Sheet};
use super::drawings::ASKED;
use crate::record::RunHeader;
use crate::stats::words::{is_steering, one_line};

/// How it looks: on a phone, on paper, by day and by night.
const STYLE: &str = include_str!("style.css");

/// Text that HTML takes for what it is, in an element or a quoted attribute.
/// Steering characters become blanks (but for line feeds).
pub(in super::super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            letter if is_steering(letter) => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// What a policy calls inline content by (CSP level 3, `hash-source`).
fn digest(content: &str) -> String {
    use base64::Engine as _;
    let digest = Sha256::digest(content.as_bytes());
    let text = base64::engine::general_purpose::STANDARD.encode(digest);
    format!("sha256-{text}")
}

/// A page that grows.
pub(super) struct Page {
    out: String,
}

impl Page {
    /// The head. No script may run, no style but ours counts and nothing may be
    /// fetched or sent: the policy says so to the browser, too. It names our style
    /// by its digest, so that markup that slipped in could not even dress up.
    pub(super) fn new(title: &str) -> Self {
        let style = format!("\n{STYLE}");
        Self {
            out: format!(
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <meta name=\"color-scheme\" content=\"light dark\">\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
                 style-src '{}'; base-uri 'none'; form-action 'none'\">\n<title>{}</title>\n\
                 <style>{style}</style>\n</head>\n<body>\n<main>\n",
                digest(&style),
                escape(&one_line(title, 200))
            ),
        }
    }

    /// Appends markup of ours.
    pub(super) fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
        self.out.push('\n');
    }

    /// A heading.
    pub(super) fn section(&mut self, title: &str) {
        self.raw(&format!("<h2>{}</h2>", escape(title)));
    }

    /// A paragraph.
    pub(super) fn paragraph(&mut self, class: &str, text: &str) {
        self.raw(&format!("<p class=\"{class}\">{}</p>", running(text)));
    }

    /// Sentences below a table.
    pub(super) fn notes(&mut self, notes: &[String]) {
        self.raw(&list(notes));
    }

    /// A table of figures.
    pub(super) fn sheet(&mut self, sheet: &Sheet) {
        self.raw(&table(sheet, "figures"));
    }

    /// A table of words.
    pub(super) fn sheet_of_words(&mut self, sheet: &Sheet) {
        self.raw(&table(sheet, "words"));
    }

    /// Charts side by side, as many as there is room for, their figures folded.
    pub(super) fn drawings(&mut self, drawings: &[Drawing], names: &[String]) {
        self.raw("<div class=\"charts\">");
        for drawing in drawings {
            self.raw(&figure(drawing, names));
        }
        self.raw("</div>");
    }

    /// A table, and charts beside it where there is room.
    pub(super) fn beside(&mut self, sheet: &Sheet, drawings: &[Drawing], names: &[String]) {
        let figures: String = drawings.iter().map(|of| figure(of, names)).collect();
        self.raw(&format!(
            "<div class=\"beside\"><div>{}</div><div>{figures}</div></div>",
            table(sheet, "figures")
        ));
    }

    /// A chart with its figures beside it and what is to be said of them.
    pub(super) fn spread(&mut self, drawing: &Drawing, notes: &[String]) {
        self.raw(&format!(
            "<figure class=\"beside\"><div><figcaption>{}</figcaption>{}<p>{}</p></div><div>{}</div>\
             {}</figure>",
            running(&drawing.title),
            drawing.svg,
            running(&drawing.note),
            table(&drawing.sheet, "figures"),
            list(notes)
        ));
    }

    /// The whole page.
    pub(super) fn finish(mut self, header: Option<&RunHeader>) -> String {
        if let Some(header) = header {
            let text = format!("pairbench {}", one_line(&header.tool_version, 40));
            self.raw(&format!("<footer>{}</footer>", escape(&text)));
        }
        self.raw("</main>\n</body>\n</html>");
        self.out
    }
}

/// Running text: a number and its unit stay on one line.
pub(super) fn running(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = "";
    for (place, word) in text.split(' ').enumerate() {
        if place > 0 {
            out.push_str(if is_unit(before, word) { "&nbsp;" } else { " " });
        }
        out.push_str(&escape(word));
        before = word;
    }
    out
}

fn list(notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let lines = notes
        .iter()
        .map(|note| format!("<li>{}</li>", running(note)));
    format!("<ul class=\"notes\">{}</ul>", lines.collect::<String>())
}

/// Figures are not broken into lines; words are.
fn cell(text: &str) -> String {
    let figure = |word: &str| word == "to" || !word.chars().any(char::is_alphabetic);
    let class = match text.split(' ').all(figure) && !text.contains(", ") {
        true => " class=\"n\"",
        false => "",
    };
    format!("<td{class}>{}</td>", escape(text))
}

fn table(sheet: &Sheet, class: &str) -> String {
    let mut out = format!("<div class=\"scroll\"><table class=\"{class}\"><thead><tr>");
    for head in &sheet.head {
        out.push_str(&format!("<th scope=\"col\">{}</th>", escape(head)));
    }
    out.push_str("</tr></thead><tbody>");
    let columns = sheet.head.len();
    for line in &sheet.lines {
        match line {
            Line::Section(title) => out.push_str(&format!(
                "\n<tr class=\"part\"><th colspan=\"{columns}\" scope=\"rowgroup\"><span>{}</span></th></tr>",
                escape(title)
            )),
            Line::Row(name, cells) => {
                out.push_str(&format!("\n<tr><th scope=\"row\">{}</th>", escape(name)));
                for text in cells {
                    out.push_str(&cell(text));
                }
                out.push_str("</tr>");
            }
        }
    }
    out.push_str("</tbody></table></div>");
    out
}

fn figure(drawing: &Drawing, names: &[String]) -> String {
    let note = match drawing.note.is_empty() {
        true => String::new(),
        false => format!("<p>{}</p>", running(&drawing.note)),
    };
    format!(
        "<figure><figcaption>{}</figcaption>{}{}{note}<details><summary>the figures</summary>{}\
         </details></figure>",
        running(&drawing.title),
        drawing.svg,
        legend(names, &drawing.legend),
        table(&drawing.sheet, "figures")
    )
}

/// The look of curves beside their names.
pub(super) fn legend(names: &[String], curves: &[Whose]) -> String {
    if curves.is_empty() {
        return String::new();
    }
    let mut out = String::from("<p class=\"legend\">");
    for of in curves {
        let name = match of {
            Whose::Arm(place) => names.get(*place).map_or(ABSENT, String::as_str),
            Whose::Asked => ASKED,
        };
        let look = of.look();
        out.push_str(&format!(
            "<span><svg viewBox=\"0 0 30 12\" aria-hidden=\"true\"><path class=\"l {look}\" \
             d=\"M1 6H29\"/><path class=\"p {look}\" d=\"{}\"/></svg>{}</span> ",
            of.marker(15.0, 6.0),
            escape(name)
        ));
    }
    out.push_str("</p>");
    out
}

#[cfg(test)]
mod tests {
    use super::{cell, escape, running};

    #[test]
    fn a_unit_stays_with_its_number() {
        for (text, expected) in [
            (
                "12.3 % (11 to 13 %) more",
                "12.3&nbsp;% (11 to 13&nbsp;%) more",
            ),
            ("a <b> 4 ms; c", "a &lt;b&gt; 4&nbsp;ms; c"),
            ("of % and ms", "of % and ms"),
        ] {
            assert_eq!(running(text), expected);
        }
        assert_eq!(cell("1.02 to 1.05"), "<td class=\"n\">1.02 to 1.05</td>");
        assert_eq!(cell("tis is better"), "<td>tis is better</td>");
    }

    #[test]
    fn nothing_foreign_becomes_markup() {
        for (text, expected) in [
            (
                "<script>alert('x')</script>",
                "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;",
            ),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("&lt;", "&amp;lt;"),
            ("a\u{0}b\u{1b}[2J", "a b [2J"),
            ("a\u{9b}b\u{202e}c", "a b c"),
            ("é\n中", "é\n中"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }
}
