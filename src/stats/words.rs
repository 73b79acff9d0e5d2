//! Numbers as people read them, for the sentences of a verdict and the text
//! report. Knows no figure's meaning.

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    group(&number.to_string())
}

/// `number` with `decimals` places and grouped thousands; `-` for what is no
/// number.
pub(crate) fn grouped_decimal(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    let plain = format!("{number:.decimals$}");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.as_str()),
    };
    match digits.split_once('.') {
        Some((whole, part)) => format!("{sign}{}.{part}", group(whole)),
        None => format!("{sign}{}", group(digits)),
    }
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How far `found` is from `expected`, signed, in percent of `expected`, with
/// as many places as it takes to show that it is not zero: `+2.4 %`, `-0.03 %`.
/// `-` when nothing was expected.
pub(crate) fn percent_off(found: u64, expected: u64) -> String {
    if expected == 0 {
        return "-".to_owned();
    }
    let percent = (found as f64 / expected as f64 - 1.0) * 100.0;
    let decimals = (1..9)
        .find(|decimals| found == expected || shows(percent, *decimals))
        .unwrap_or(9);
    format!("{percent:+.decimals$} %")
}

fn shows(percent: f64, decimals: usize) -> bool {
    format!("{:.decimals$}", percent.abs())
        .bytes()
        .any(|digit| matches!(digit, b'1'..=b'9'))
}

/// `one` or `many`, after the number.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

/// A word as a POSIX shell takes it literally.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Whether a letter steers whoever shows it instead of being shown: control
/// characters, and those that turn the direction of reading or begin a line
/// (Unicode's `Bidi_Control`, U+2028, U+2029).
pub(crate) fn is_steering(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

/// Foreign text on one line and harmless to a terminal: steering characters
/// become spaces, runs of blanks one blank, and what is over `most` characters
/// is cut and marked.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    // Only so much is looked at: an error may carry a megabyte.
    let clean: String = text
        .chars()
        .take(most.saturating_mul(8))
        .map(|letter| if is_steering(letter) { ' ' } else { letter })
        .collect();
    let joined = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= most {
        return joined;
    }
    let mut cut: String = joined.chars().take(most.saturating_sub(3)).collect();
    cut.push_str("...");
    cut
}

#[cfg(test)]
mod tests {
    use super::{grouped, grouped_decimal, one_line, percent_off, shell_word};

    #[test]
    fn words_survive_a_shell() {
        for (word, expected) in [
            ("--seed", "--seed"),
            ("./pairbench-runs", "./pairbench-runs"),
            ("a b", "'a b'"),
            ("my runs", "'my runs'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("*.json", "'*.json'"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }

    #[test]
    fn thousands() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!(grouped_decimal(-1234.567, 2), "-1,234.57");
        assert_eq!(grouped_decimal(-123.4, 1), "-123.4");
        assert_eq!(grouped_decimal(1234.5, 0), "1,234");
        assert_eq!(grouped_decimal(f64::NAN, 2), "-");
    }

    #[test]
    fn a_difference_never_reads_as_none() {
        for (found, expected, text) in [
            (100, 100, "+0.0 %"),
            (1_024, 1_000, "+2.4 %"),
            (997, 1_000, "-0.3 %"),
            (9_997, 10_000, "-0.03 %"),
            (1_000_001, 1_000_000, "+0.0001 %"),
            (5, 0, "-"),
        ] {
            assert_eq!(percent_off(found, expected), text);
        }
    }

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(one_line("a\r\n\u{1b}[31m  b\t", 20), "a [31m b");
        assert_eq!(one_line("abcdefghij", 8), "abcde...");
        assert_eq!(one_line("éééé", 4), "éééé");
        assert_eq!(one_line("a\u{9b}2Jb\u{202e}c\u{2028}d", 20), "a 2Jb c d");
    }
}
