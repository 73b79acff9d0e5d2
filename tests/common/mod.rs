//! What whole-program tests share: the built binary in a folder of its own,
//! and simulated servers as processes of their own.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The bundled tokenizer, as a user's path.
pub fn tokenizer() -> String {
    manifest("src/demo/tokenizer.model")
}

/// The bundled conversations, as a user's path.
pub fn dataset() -> String {
    manifest("src/demo/conversations.json")
}

fn manifest(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(path)
        .to_str()
        .unwrap()
        .to_owned()
}

/// A folder that a user works in; gone at the end.
pub struct Desk {
    folder: tempfile::TempDir,
}

/// An engine that keeps nobody waiting, unless `args` says how fast it is.
fn quick(args: &[&str]) -> &'static [&'static str] {
    if args.contains(&"--sim-per-token-ms") {
        &[]
    } else {
        &["--sim-per-token-ms", "0.2"]
    }
}

/// What a command left behind.
pub struct Left {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command of pairbench, to be run in this folder without a key from the
    /// environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pairbench"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("OPENAI_API_KEY");
        command
    }

    pub fn run(&self, args: &[&str]) -> Left {
        left(self.command(args).output().unwrap())
    }

    /// Runs `profile` with the bundled data, on a fast engine unless `more` asks
    /// for another.
    pub fn profile(&self, backend: &str, address: &str, more: &[&str]) -> Left {
        let (tokenizer, dataset) = (tokenizer(), dataset());
        let mut args = vec![
            "profile",
            "--backend",
            backend,
            address,
            &tokenizer,
            &dataset,
        ];
        args.extend(more);
        args.extend(quick(more));
        self.run(&args)
    }

    /// Runs `compare` with the bundled data, in two blocks unless `more` says
    /// how many.
    pub fn compare(&self, arms: &[&str], more: &[&str]) -> Left {
        let (tokenizer, dataset) = (tokenizer(), dataset());
        let mut args = vec!["compare", &tokenizer, &dataset];
        for arm in arms {
            args.extend(["--backend", arm]);
        }
        if !more.contains(&"--blocks") && !more.contains(&"--precision") {
            args.extend(["--blocks", "2"]);
        }
        args.extend(more);
        args.extend(quick(more));
        self.run(&args)
    }

    /// The rows of a CSV file, by column name.
    pub fn rows(&self, csv: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path(csv)).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// The folders of raw records, oldest name first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(self.path("pairbench-runs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        folders
    }
}

pub fn left(output: Output) -> Left {
    Left {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Left {
    /// Asserts that the command refused with exit code 2, said all `parts`,
    /// and did not panic.
    pub fn refused(&self, parts: &[&str]) {
        assert_eq!(self.code, 2, "out: {}\nerr: {}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in: {}", self.err);
        }
        self.no_panic();
    }

    pub fn no_panic(&self) {
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// A simulated server as a process of its own; ended when dropped.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// `pairbench serve --backend BACKEND`, with the bundled tokenizer.
    pub fn start(backend: &str, more: &[&str]) -> Self {
        Self::start_with(backend, &tokenizer(), more)
    }

    /// The same with another tokenizer.
    pub fn start_with(backend: &str, tokenizer: &str, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pairbench"))
            .args(["serve", "--backend", backend, "--tokenizer", tokenizer])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split(" on ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let address = address
            .unwrap_or_else(|| panic!("no address in `{line}`"))
            .to_owned();
        Self { child, address }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
