//! Elements of the page. Whatever is not ours goes through [`escape`].

use sha2::{Digest, Sha256};

use super::super::chart::{Drawing, Whose};
use super::super::drawings::ASKED;
use super::super::format::{ABSENT, is_unit};
use super::super::tables::{Line, Sheet};
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

    /// A table of figures; `name` is read out to those who cannot see it.
    pub(super) fn sheet(&mut self, name: &str, sheet: &Sheet) {
        self.raw(&table(name, sheet, "figures"));
    }

    /// A table of words.
    pub(super) fn sheet_of_words(&mut self, name: &str, sheet: &Sheet) {
        self.raw(&table(name, sheet, "words"));
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
    pub(super) fn beside(
        &mut self,
        name: &str,
        sheet: &Sheet,
        drawings: &[Drawing],
        names: &[String],
    ) {
        let figures: String = drawings.iter().map(|of| figure(of, names)).collect();
        self.raw(&format!(
            "<div class=\"beside\"><div>{}</div><div>{figures}</div></div>",
            table(name, sheet, "figures")
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
            table(&drawing.title, &drawing.sheet, "figures"),
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

/// A word up to this long may keep a line from being broken: a longer one would
/// leave a phone's screen.
const SHORT: usize = 32;

/// Running text: a number and its unit stay on one line, and so does a flag with
/// its number, which browsers would break behind each hyphen.
pub(super) fn running(text: &str) -> String {
    unbroken(text, "&nbsp;")
}

/// The same of a command, whose blanks stay blanks: it will be copied.
pub(super) fn command(text: &str) -> String {
    unbroken(text, " ")
}

fn unbroken(text: &str, before_unit: &str) -> String {
    let is_flag = |word: &str| {
        let bare = word.trim_start_matches(['(', '\'', '`']);
        bare.starts_with("--") && word.chars().count() <= SHORT
    };
    let is_number = |word: &&str| {
        word.starts_with(|letter: char| letter.is_ascii_digit()) && word.len() <= SHORT
    };
    let mut out = String::with_capacity(text.len());
    let mut words = text.split(' ').peekable();
    let mut before = None;
    while let Some(word) = words.next() {
        match before {
            Some(number) if is_unit(number, word) => out.push_str(before_unit),
            Some(_) => out.push(' '),
            None => {}
        }
        before = Some(word);
        if !is_flag(word) {
            out.push_str(&escape(word));
            continue;
        }
        out.push_str(&format!("<span class=\"n\">{}", escape(word)));
        if let Some(number) = words.next_if(is_number) {
            out.push_str(&format!(" {}", escape(number)));
            before = Some(number);
        }
        out.push_str("</span>");
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
    format!("<td{class}>{}</td>", running(text))
}

fn table(name: &str, sheet: &Sheet, class: &str) -> String {
    let mut out = format!(
        "<div class=\"scroll\"><table class=\"{class}\" aria-label=\"{}\"><thead><tr>",
        escape(name)
    );
    for head in &sheet.head {
        out.push_str(&format!("<th scope=\"col\">{}</th>", running(head)));
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
    // Many of them are on a page: their names tell which is which.
    let figures = format!("The figures: {}", drawing.title);
    format!(
        "<figure><figcaption>{}</figcaption>{}{}{note}<details><summary aria-label=\"{}\">The \
         figures</summary>{}</details></figure>",
        running(&drawing.title),
        drawing.svg,
        legend(names, &drawing.legend),
        escape(&figures),
        table(&figures, &drawing.sheet, "figures")
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
    use super::{cell, command, escape, running};

    #[test]
    fn a_unit_stays_with_its_number() {
        for (text, expected) in [
            (
                "12.3 % (11 to 13 %) more",
                "12.3&nbsp;% (11 to 13&nbsp;%) more",
            ),
            ("a <b> 4 ms; c", "a &lt;b&gt; 4&nbsp;ms; c"),
            ("of % and ms", "of % and ms"),
            (
                "(--a-b), x --c 6.",
                "<span class=\"n\">(--a-b),</span> x <span class=\"n\">--c 6.</span>",
            ),
        ] {
            assert_eq!(running(text), expected);
        }
        assert_eq!(
            command("--ramp 2 s --x"),
            "<span class=\"n\">--ramp 2</span> s <span class=\"n\">--x</span>"
        );
        assert_eq!(cell("1.02 to 1.05"), "<td class=\"n\">1.02 to 1.05</td>");
        assert_eq!(
            cell("-0.2 %, -2.3 to +1.9 %"),
            "<td>-0.2&nbsp;%, -2.3 to +1.9&nbsp;%</td>"
        );
        let long = format!("--{}", "x".repeat(1_000));
        assert_eq!(running(&long), long, "it may be broken");
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
