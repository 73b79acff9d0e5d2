//! The house rules that a compiler does not know: which room may use which,
//! who may read a clock, how long a file may be. See docs/architecture.md.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/map.rs"]
mod map;

use imports::{taken_from_root, words};
use map::{HOUSE, SIDE_DOOR};

/// The only files that read a clock: the monotonic one, and the date.
const CLOCKS: &[&str] = &["backends/src/sink.rs", "src/run/wall.rs"];

/// What the SentencePiece encoder may name besides itself: it could be a crate of
/// its own, and stays so.
const SENTENCEPIECE: &str = "src/workload/tokenizer/sentencepiece";

const MOST_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // A fuzz build leaves generated code behind.
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {below}");
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The room of a file: the first step below `src`, without its ending.
fn room(path: &Path, below: &str) -> String {
    let inside = path.strip_prefix(root().join(below)).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without comments, so that a doc link is no import.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// How many steps below the crate's root the module of a file is. One that is
/// named by a `#[path]` may be deeper, which only makes the map stricter.
fn depth(path: &Path, below: &str) -> usize {
    let inside = path.strip_prefix(root().join(below)).unwrap();
    let folders = inside.components().count() - 1;
    match inside.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod") => folders,
        Some("lib" | "main") if folders == 0 => 0,
        _ => folders + 1,
    }
}

/// Names that are rooms, as against types that a crate exports at its top, and
/// crates of ours.
fn rooms_used(text: &str, depth: usize, table: &[(&str, &[&str])]) -> BTreeSet<String> {
    let mut used = taken_from_root(text, depth);
    used.retain(|name| table.iter().any(|(room, _)| room == name));
    for pair in words(text).windows(2) {
        if matches!(pair, ["backends" | "pairbench", "::"]) {
            used.insert(pair[0].to_owned());
        }
    }
    used
}

fn check_arrows(below: &str, table: &[(&str, &[&str])]) {
    let mut broken = Vec::new();
    for path in sources(below) {
        let room = room(&path, below);
        let Some((_, allowed)) = table.iter().find(|(name, _)| *name == room) else {
            broken.push(format!("{}: room `{room}` is not on the map", name(&path)));
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        for used in rooms_used(&text, depth(&path, below), table) {
            if used != room && !allowed.contains(&used.as_str()) {
                broken.push(format!("{}: `{room}` may not use `{used}`", name(&path)));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "arrows that are not on the map:\n{}",
        broken.join("\n")
    );
}

#[test]
fn arrows_of_the_house_point_one_way() {
    check_arrows("src", HOUSE);
}

#[test]
fn the_side_door_knows_nothing_of_the_house() {
    check_arrows("backends/src", SIDE_DOOR);
}

#[test]
fn only_two_files_read_a_clock() {
    let readers: BTreeSet<String> = ["src", "backends/src"]
        .iter()
        .flat_map(|below| sources(below))
        .filter(|path| {
            let code = code(path);
            [
                "Instant::now",
                "SystemTime::now",
                ".elapsed()",
                "Timestamp::now",
                "Zoned::now",
            ]
            .iter()
            .any(|read| code.replace("state.elapsed()", "").contains(read))
        })
        .map(|path| name(&path))
        .collect();
    let expected: BTreeSet<String> = CLOCKS.iter().map(|&file| file.to_owned()).collect();
    assert_eq!(readers, expected);
}

/// The date is asked for once per command, before anything is measured: a system
/// clock that steps meanwhile moves nothing.
#[test]
fn only_commands_ask_for_the_date() {
    let asking: BTreeSet<String> = sources("src")
        .iter()
        .filter(|path| code(path).contains("Wall::now()"))
        .map(|path| name(path))
        .collect();
    let commands = ["calibrate", "chat", "measure", "serve"];
    let expected = commands.map(|verb| format!("src/commands/{verb}.rs"));
    assert_eq!(asking, expected.into());
}

#[test]
fn one_place_is_unsafe_and_says_why() {
    let below = ["src", "backends/src", "tests", "backends/tests", "benches"];
    let mut places = Vec::new();
    for path in below.iter().flat_map(|below| sources(below)) {
        let text = fs::read_to_string(&path).unwrap();
        let times = words(&text)
            .iter()
            .filter(|word| **word == "unsafe")
            .count();
        places.extend(std::iter::repeat_n(name(&path), times));
    }
    assert_eq!(places, ["src/workload/dataset/source.rs"]);
    let place = fs::read_to_string(root().join(&places[0])).unwrap();
    assert!(place.contains("// SAFETY: "));
    for lib in ["backends/src/lib.rs", "backends/build.rs"] {
        let text = fs::read_to_string(root().join(lib)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{lib}");
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// What servers say comes in by this crate; it can make no path of it.
#[test]
fn the_side_door_opens_no_file() {
    for path in sources("backends/src") {
        let of_tests = name(&path).ends_with("tests.rs");
        let text = fs::read_to_string(&path).unwrap();
        for word in words(&text) {
            let opens = matches!(word, "fs" | "File" | "Path" | "PathBuf" | "tempfile");
            assert!(of_tests || !opens, "{}: {word}", name(&path));
        }
    }
}

#[test]
fn the_sentencepiece_encoder_could_be_a_crate_of_its_own() {
    let mut files = sources(SENTENCEPIECE);
    files.push(root().join(format!("{SENTENCEPIECE}.rs")));
    let mut taken = Vec::new();
    for path in files {
        // Steps from the file's module to the encoder's own root.
        let steps = path.components().count() - root().join(SENTENCEPIECE).components().count();
        let code = code(&path);
        // Inside `mod tests { ... }` one step more leads to the same place.
        let (code, tests) = code.split_once("mod tests {").unwrap_or((&code, ""));
        for (code, steps) in [(code, steps), (tests, steps + 1)] {
            taken.extend(
                foreign_to(&words(code), steps)
                    .into_iter()
                    .map(|word| format!("{}: {word}", name(&path))),
            );
        }
    }
    assert!(taken.is_empty(), "taken from outside: {taken:?}");
}

/// Names that `words` take from outside of a module whose root is `steps` up:
/// crates other than std and anyhow (and proptest, for tests), or the house.
fn foreign_to(words: &[&str], steps: usize) -> Vec<String> {
    let mut foreign = Vec::new();
    for (at, pair) in words.windows(2).enumerate() {
        let climbs = words[at..]
            .chunks(2)
            .take_while(|chunk| *chunk == ["super", "::"])
            .count();
        let starts = at == 0 || words[at - 1] != "::";
        let is_used = at > 0 && words[at - 1] == "use";
        let crates = ["std", "anyhow", "proptest", "super", "self"];
        let modules = |first: &str| {
            let file = root().join(format!("{SENTENCEPIECE}/{first}.rs"));
            file.exists()
        };
        match *pair {
            ["crate" | "pairbench" | "backends", "::"] => foreign.push(pair[0].to_owned()),
            ["super", "::"] if starts && climbs > steps => foreign.push("super::".repeat(climbs)),
            [first, "::"] if is_used && !crates.contains(&first) && !modules(first) => {
                foreign.push(first.to_owned());
            }
            _ => {}
        }
    }
    foreign
}

#[test]
fn what_is_foreign_is_seen() {
    for (code, steps, wanted) in [
        ("use super::tables::pair_key;", 1, &[][..]),
        ("use super::super::blocks;", 1, &["super::super::"]),
        ("use super::settings::Settings;", 0, &["super::"]),
        ("let one = crate::workload::blocks();", 1, &["crate"]),
        ("use serde::Deserialize;", 1, &["serde"]),
        ("use std::fmt; use anyhow::Result;", 0, &[]),
    ] {
        assert_eq!(foreign_to(&words(code), steps), wanted, "{code}");
    }
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = ["src", "backends/src", "tests", "backends/tests"]
        .iter()
        .filter(|below| root().join(below).exists())
        .flat_map(|below| sources(below))
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            (lines > MOST_LINES).then(|| format!("{}: {lines} lines", name(&path)))
        })
        .collect();
    assert!(
        long.is_empty(),
        "above {MOST_LINES} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn depths_are_counted_from_the_root() {
    for (file, steps) in [
        ("src/lib.rs", 0),
        ("src/plan.rs", 1),
        ("src/run/mod.rs", 1),
        ("src/run/wall.rs", 2),
        ("src/run/deep/mod.rs", 2),
    ] {
        assert_eq!(depth(&root().join(file), "src"), steps, "{file}");
    }
}
