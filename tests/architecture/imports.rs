//! Reads what a source file takes from the root of its crate, however it is
//! written: by `crate::`, by `super::` out of its folder, or inside a group.
//! Knows words and braces of Rust, no rooms.

use std::collections::BTreeSet;

/// The code in words and signs, without comments, texts and lifetimes: a brace
/// in a text is no brace. `::` is one sign.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap();
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = text_length(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            words.push(&rest[..end.unwrap_or(rest.len())]);
            end.unwrap_or(rest.len())
        } else {
            let length = if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                words.push(&rest[..length]);
            }
            length
        };
        at += length;
    }
    words
}

/// How long the text, the character or the lifetime is that code starts with.
fn text_length(code: &str) -> Option<usize> {
    let raw = code.trim_start_matches(['b', 'c']);
    if let Some(hashes) = raw.strip_prefix('r') {
        let inside = hashes.trim_start_matches('#');
        let end = format!("\"{}", "#".repeat(hashes.len() - inside.len()));
        if let Some(inside) = inside.strip_prefix('"') {
            let start = code.len() - inside.len();
            let found = inside.find(&end).unwrap_or(inside.len());
            return Some((start + found + end.len()).min(code.len()));
        }
    }
    let plain = code.strip_prefix(['b', 'c']).unwrap_or(code);
    let quote = plain.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = &plain[1..];
    let start = code.len() - inside.len();
    let mut characters = inside.char_indices();
    if quote == '\'' && !inside.starts_with('\\') && inside.chars().nth(1) != Some('\'') {
        return Some(start);
    }
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            c if c == quote => return Some(start + at + 1),
            _ => {}
        }
    }
    Some(code.len())
}

/// What a module `depth` steps below the crate's root takes from that root, by
/// `crate::` or by as many `super::` as lead there. Groups are opened, modules
/// inside the file counted. The root under another name, or all of it, is
/// `lib`: nobody may have that.
pub(crate) fn taken_from_root(text: &str, depth: usize) -> BTreeSet<String> {
    let words = words(text);
    let mut taken = BTreeSet::new();
    // for each open brace, whether it is a module's
    let mut open = Vec::new();
    for (at, &word) in words.iter().enumerate() {
        let before = |steps: usize| at.checked_sub(steps).map(|at| words[at]);
        let here = depth + open.iter().filter(|&&module| module).count();
        match word {
            "{" => open.push(before(2) == Some("mod")),
            "}" => drop(open.pop()),
            "crate" | "super" | "self" if before(1) != Some("::") => {
                follow(&words[at..], here, &mut taken);
            }
            _ => {}
        }
    }
    taken
}

/// Follows a path, or each of a group, from a module `level` steps below the
/// root. Returns how many words it took.
fn follow(words: &[&str], level: usize, taken: &mut BTreeSet<String>) -> usize {
    let Some(&first) = words.first() else {
        return 0;
    };
    let level = match first {
        "crate" => 0,
        "super" => level.saturating_sub(1),
        "self" => level,
        "{" => return group(words, level, taken),
        name => {
            if level == 0 {
                let name = if name == "*" { "lib" } else { name };
                taken.insert(name.to_owned());
            }
            return 1;
        }
    };
    match words.get(1) {
        Some(&"::") => 2 + follow(&words[2..], level, taken),
        Some(&"as") if level == 0 => {
            taken.insert("lib".to_owned());
            1
        }
        _ => 1,
    }
}

fn group(words: &[&str], level: usize, taken: &mut BTreeSet<String>) -> usize {
    let mut at = 1;
    let mut depth = 1_u32;
    let mut start = true;
    while at < words.len() && depth > 0 {
        if start && depth == 1 && words[at] != "}" {
            at += follow(&words[at..], level, taken);
            start = false;
            continue;
        }
        match words[at] {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => start = true,
            _ => {}
        }
        at += 1;
    }
    at
}

#[test]
fn the_import_reader_sees_through_groups() {
    for (code, depth, expected) in [
        (
            "use crate::{alpha, beta::{x, y}, Gamma};",
            1,
            "Gamma alpha beta",
        ),
        ("crate::delta::f(); mycrate::no::f();", 1, "delta"),
        ("use super::record;", 1, "record"),
        ("use super::record;", 2, ""),
        ("use super::super::record::Run;", 2, "record"),
        (
            "use super::{a, super::{record, stats::x}};",
            2,
            "record stats",
        ),
        (
            "use self::super::record; fn f() { super::stats::g() }",
            1,
            "record stats",
        ),
        (
            "mod tests { use super::record; use super::super::plan; }",
            1,
            "plan",
        ),
        (
            "mod a { mod b {} use super::no; } use super::stats;",
            1,
            "stats",
        ),
        (
            "fn f() { \"{ crate::no\"; '{'; } mod a { use super::no; }",
            1,
            "",
        ),
        (
            "r#\"mod a { \" crate::no\"#; use super::run; // crate::no",
            1,
            "run",
        ),
        (
            "fn f<'a>(x: &'a str) { b'\\''; '\\\\'; super::run::g() }",
            1,
            "run",
        ),
        (
            "pub(crate) mod a; pub(super) fn f() {} pub(in crate::b) x",
            1,
            "b",
        ),
        ("use crate as root;", 1, "lib"),
        ("use super::{self as up};", 1, "lib"),
        ("use super::*;", 1, "lib"),
        ("use super::*; mod tests { use super::*; }", 2, ""),
        ("use record::Run;", 1, ""),
    ] {
        let taken: Vec<String> = taken_from_root(code, depth).into_iter().collect();
        assert_eq!(taken.join(" "), expected, "{code}");
    }
}
