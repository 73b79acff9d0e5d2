//! What a row of the matrix says: what a server does, to whom, and what has to
//! come of it. Plain values.

use std::sync::Arc;

use crate::door::Dealt;
use crate::frame::Answer;
use crate::grpc_proxy::Act;
use crate::http_proxy::Say;

/// All ways over gRPC.
pub const GRPC: &[&str] = &[
    "tis",
    "tis-chatbot",
    "tis-direct",
    "tis-ensemble",
    "tis-python",
];
/// Those that read the engine model's own frames.
pub const ENGINE: &[&str] = &["tis", "tis-chatbot", "tis-direct"];
/// Those that call the models before and behind the engine themselves.
pub const CHAINED: &[&str] = &["tis", "tis-chatbot"];
/// Those whose server makes the text.
pub const TEXT: &[&str] = &["tis-ensemble", "tis-python"];
/// Those that count by a length in the server's frames.
pub const COUNTED: &[&str] = &["tis", "tis-chatbot", "tis-direct", "tis-ensemble"];
/// The way over HTTP.
pub const HTTP: &[&str] = &["api_server"];

/// The most faults in one run.
const CASES_MAX: usize = 16;

/// One line of the matrix: a run, and the faults in it.
#[derive(Clone, Debug)]
pub struct Row {
    pub ways: &'static [&'static str],
    pub cases: Vec<Case>,
    pub reach: Reach,
    /// It ends by a time limit, so that is short.
    pub patient: bool,
    /// Answers come in pieces.
    pub stream: bool,
    /// The server speaks TLS.
    pub tls: bool,
}

/// A fault and what has to come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the server does.
    pub name: String,
    pub fault: Fault,
    /// The outcomes that are right, first the one that is usual.
    pub kinds: &'static [&'static str],
    /// What the user reads, `...` standing for any words.
    pub reads: String,
}

/// Whom a fault may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The chosen requests.
    Own,
    /// Those that share a connection with them.
    Connection,
    /// Those that need a connection next.
    Next,
    /// Whoever asks until the server is back.
    Window,
}

/// What is done.
#[derive(Clone)]
pub enum Fault {
    /// The answer, written by hand.
    Http(Arc<dyn Fn() -> Vec<Say> + Send + Sync>),
    /// What the proxy makes of the real answer's frames.
    Stream(Arc<dyn Fn(Answer) -> Vec<Act> + Send + Sync>),
    /// The same for the answer of a call of this model, which is a part of the
    /// chosen request.
    Call(&'static str, Arc<dyn Fn(Answer) -> Vec<Act> + Send + Sync>),
    /// The chosen request is answered well; then its connection ends in good
    /// order, and the next ones get this.
    Next(Dealt, usize),
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http(_) => "Http",
            Self::Stream(_) => "Stream",
            Self::Call(..) => "Call",
            Self::Next(..) => "Next",
        })
    }
}

impl Row {
    /// A row of one fault that touches the chosen request alone.
    pub fn one(
        ways: &'static [&'static str],
        name: &str,
        fault: Fault,
        kinds: &'static [&'static str],
        reads: &str,
    ) -> Self {
        Self::of(ways, vec![Case::new(name, fault, kinds, reads)])
    }

    /// A row of several faults of the same reach, dealt to one request each.
    pub fn of(ways: &'static [&'static str], cases: Vec<Case>) -> Self {
        Self {
            ways,
            cases,
            reach: Reach::Own,
            patient: false,
            stream: true,
            tls: false,
        }
    }

    pub fn reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    pub fn patient(self) -> Self {
        Self {
            patient: true,
            ..self
        }
    }

    pub fn whole(self) -> Self {
        Self {
            stream: false,
            ..self
        }
    }

    pub fn tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// What the row is called.
    pub fn name(&self) -> String {
        match &self.cases[..] {
            [only] => only.name.clone(),
            [first, more @ ..] => format!("{} and {} more", first.name, more.len()),
            [] => String::new(),
        }
    }

    /// One run for several rows, each of whose faults has a request of its own.
    pub fn together(rows: Vec<Self>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for row in rows {
            let alike = all.iter_mut().find(|one| {
                let own = one.reach == Reach::Own && row.reach == Reach::Own;
                let cases = one.cases.len() + row.cases.len();
                own && one.ways == row.ways
                    && (one.patient, row.patient) == (false, false)
                    && one.stream == row.stream
                    && cases <= CASES_MAX
            });
            match alike {
                Some(one) => one.cases.extend(row.cases),
                None => all.push(row),
            }
        }
        all
    }
}

impl Case {
    pub fn new(name: &str, fault: Fault, kinds: &'static [&'static str], reads: &str) -> Self {
        Self {
            name: name.to_owned(),
            fault,
            kinds,
            reads: reads.to_owned(),
        }
    }
}

/// Whether `text` is what `pattern` says, from its first word to its last.
/// `...`, `HOST:PORT` and `MODEL` stand for whatever is there.
pub fn fits(pattern: &str, text: &str) -> bool {
    let pattern = pattern.replace("HOST:PORT", "...").replace("MODEL", "...");
    let parts: Vec<&str> = pattern.split("...").collect();
    let [first, middle @ .., last] = &parts[..] else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn patterns_are_anchored() {
    assert!(fits("a...c", "abbbc") && fits("a...b...c", "a1b2c") && fits("abc", "abc"));
    assert!(!fits("a...c", "xabc") && !fits("a...c", "abcd") && !fits("a...b...c", "a2c"));
    assert!(fits("HOST:PORT said `MODEL`", "127.0.0.1:1 said `x`"));
}
