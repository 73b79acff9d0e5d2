//! The table of backends: everything the house knows about a protocol before
//! it is used. Adding a protocol means a folder and a row here.

use std::fmt;
use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::discreet::{Discreet, hidden};
use crate::engine::Engine;
use crate::secret::Secret;
use crate::tls::Tls;
use crate::yardstick::Wire;
use crate::{Backend, Error, PromptMode, api_server, triton};

/// In which form an arm delivers its answer: what a mark means there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Text, ready to be shown.
    Text,
    /// Token ids; nobody makes text of them.
    TokenIds,
}

/// How many connections a client holds open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// One, whatever is in flight.
    Shared,
    /// Up to so many for each request in flight.
    PerRequest(u32),
}

impl Connections {
    /// The most that a client with so many requests in flight has open: those
    /// of the requests, and one for what is not timed.
    #[must_use]
    pub fn most(self, in_flight: u32) -> u64 {
        match self {
            Self::Shared => 2,
            Self::PerRequest(each) => 1 + u64::from(each) * u64::from(in_flight),
        }
    }
}

/// Where a server is and what to know about it to talk to it. Does not print
/// its key.
#[derive(Clone)]
pub struct Target {
    /// `HOST:PORT`, with `http://` or `https://` in front if wanted.
    pub address: String,
    /// Name of the model to ask; `None`: the backend's own default (Triton:
    /// the names of LMDeploy's repository; api_server: the first of /v1/models).
    pub model: Option<String>,
    /// Key sent as `Authorization: Bearer`.
    pub api_key: Option<String>,
    /// Whom an encrypted connection (`https://`) trusts, and as whom it comes.
    pub tls: Tls,
    /// Raw or chat; decides the api_server's endpoint.
    pub prompt_mode: PromptMode,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer that is not timed (probe, counters).
    pub probe_timeout: Duration,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("address", &self.address)
            .field("model", &self.model)
            .field("prompt_mode", &self.prompt_mode)
            .finish_non_exhaustive()
    }
}

/// How a simulated server behaves around its engine. Does not print its keys.
#[derive(Clone, PartialEq)]
pub struct ServeOptions {
    /// Model name that the api_server reports.
    pub model: String,
    /// api_server: answers as LMDeploy 0.1.0 does, instead of 0.18.0.
    pub old_api: bool,
    /// api_server: wraps raw prompts, too, in the chat template, as LMDeploy's
    /// 0.1.0a1 did: a way to make two sides unequal.
    pub chat_template: bool,
    /// api_server: keys that are let in; empty lets everybody in.
    pub api_keys: Vec<String>,
    /// Triton: time of one preprocessing call.
    pub preprocess: Duration,
    /// Triton: preprocessing calls that run at once.
    pub preprocess_instances: usize,
    /// Triton: time of one postprocessing call.
    pub postprocess: Duration,
    /// Triton: postprocessing calls that run at once.
    pub postprocess_instances: usize,
    /// Triton: `output_ids` is the whole session buffer in every response, as
    /// LMDeploy sends it, not only the part that is filled.
    pub full_output_ids: bool,
    /// Triton: time from a connection's arrival to the server's first word on
    /// it.
    pub connect: Duration,
    /// Time that the front end takes for each streamed message.
    pub front_end: Duration,
    /// Triton: the ensemble's text loses its order, as a real one's does with
    /// several postprocessing instances: every other piece comes before the one
    /// in front of it, while the count of tokens stays right.
    pub unordered_text: bool,
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("model", &self.model)
            .field("old_api", &self.old_api)
            .field("keys", &self.api_keys.len())
            .finish_non_exhaustive()
    }
}

impl Default for ServeOptions {
    /// The newest api_server without keys; Triton's pre- and postprocessing
    /// with LMDeploy's instance counts (4 and 16) at no cost per call; and
    /// turbomind's whole buffer in each message.
    fn default() -> Self {
        Self {
            model: "simulated".to_owned(),
            old_api: false,
            chat_template: false,
            api_keys: Vec::new(),
            preprocess: Duration::ZERO,
            preprocess_instances: 4,
            postprocess: Duration::ZERO,
            postprocess_instances: 16,
            full_output_ids: true,
            connect: Duration::ZERO,
            front_end: Duration::ZERO,
            unordered_text: false,
        }
    }
}

/// A simulated server at work: runs until it is dropped.
pub type Served = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A row of [`ALL`].
#[derive(Clone, Copy)]
pub struct Entry {
    /// The name that `--backend` takes.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// One line for the help text.
    pub about: &'static str,
    /// LMDeploy's short name of the server kind, used in default file names:
    /// `tis` or `api_server`.
    pub family: &'static str,
    /// What the arm delivers.
    pub answer: Answer,
    /// With `--prompt chat` the server wraps the user's turn in the model's chat
    /// template itself; the others get the text that the template makes.
    pub applies_template: bool,
    /// What a client opens.
    pub connections: Connections,
    /// Makes a client that may repeat a server's words with its key in them; see
    /// [`Entry::client`]. Opens nothing yet.
    pub connect: fn(Target) -> Result<Arc<dyn Backend>, Error>,
    /// Serves the simulated engine over this protocol on a bound listener.
    pub serve: fn(TcpListener, Engine, ServeOptions) -> Served,
    /// The yardstick server that has paced answers for it; `None`: neither has.
    pub yardstick: Option<Wire>,
}

impl Entry {
    /// Makes a client that keeps its key to itself. Opens nothing yet.
    ///
    /// # Errors
    /// When the address, the key or the certificates cannot be used.
    pub fn client(&self, target: Target) -> Result<Arc<dyn Backend>, Error> {
        let Some(key) = target.api_key.clone().map(Secret::from) else {
            return (self.connect)(target);
        };
        match (self.connect)(target) {
            Ok(client) => Ok(Arc::new(Discreet::new(client, key))),
            Err(error) => Err(hidden(&key, &error)),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every backend, in the order in which the help lists them.
pub static ALL: &[Entry] = &[
    Entry {
        name: "tis",
        aliases: &["triton"],
        about: "Triton, three models chained by the client: preprocessing, turbomind, \
                postprocessing; one shared channel, text made beside the stream",
        family: "tis",
        answer: Answer::Text,
        applies_template: false,
        connections: Connections::Shared,
        connect: triton::connect_tis,
        serve: triton::serve,
        yardstick: Some(Wire::Grpc),
    },
    Entry {
        name: "tis-chatbot",
        aliases: &[],
        about: "the same three calls as LMDeploy's own client makes them: a new channel per \
                call, one postprocessing call per message, in turn",
        family: "tis",
        answer: Answer::Text,
        applies_template: false,
        // The engine's, a postprocessing call's, and one that is being closed.
        connections: Connections::PerRequest(3),
        connect: triton::connect_chatbot,
        serve: triton::serve,
        yardstick: None,
    },
    Entry {
        name: "tis-direct",
        aliases: &[],
        about: "Triton, token ids to the engine model alone; no text",
        family: "tis",
        answer: Answer::TokenIds,
        applies_template: false,
        connections: Connections::Shared,
        connect: triton::connect_direct,
        serve: triton::serve,
        yardstick: Some(Wire::Grpc),
    },
    Entry {
        name: "tis-ensemble",
        aliases: &[],
        about: "Triton, one call to an ensemble that chains the models in the server",
        family: "tis",
        answer: Answer::Text,
        applies_template: false,
        connections: Connections::Shared,
        connect: triton::connect_ensemble,
        serve: triton::serve,
        yardstick: Some(Wire::Grpc),
    },
    Entry {
        name: "tis-python",
        aliases: &[],
        about: "Triton, one call to LMDeploy's python model `lmdeploy_model`",
        family: "tis",
        answer: Answer::Text,
        applies_template: false,
        connections: Connections::Shared,
        connect: triton::connect_python,
        serve: triton::serve,
        yardstick: None,
    },
    Entry {
        name: "api_server",
        aliases: &["api-server"],
        about: "LMDeploy's api_server: HTTP with server-sent events",
        family: "api_server",
        answer: Answer::Text,
        applies_template: true,
        connections: Connections::PerRequest(1),
        connect: api_server::connect,
        serve: api_server::serve,
        yardstick: Some(Wire::Http),
    },
];

/// The row with this name or alias.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter()
        .find(|entry| entry.name == name || entry.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::{ALL, PromptMode, ServeOptions, Target, Tls, find};

    #[test]
    fn keys_are_not_printed() {
        let target = Target {
            address: "host:1".to_owned(),
            model: None,
            api_key: Some("sesame".to_owned()),
            tls: Tls::default(),
            prompt_mode: PromptMode::Raw,
            connect_timeout: std::time::Duration::ZERO,
            probe_timeout: std::time::Duration::ZERO,
        };
        let options = ServeOptions {
            api_keys: vec!["sesame".to_owned()],
            ..ServeOptions::default()
        };
        let printed = format!("{target:?} {options:?}");
        assert!(
            printed.contains("host:1") && !printed.contains("sesame"),
            "{printed}"
        );
    }

    #[test]
    fn every_name_finds_its_own_row() {
        for entry in ALL {
            for name in std::iter::once(&entry.name).chain(entry.aliases) {
                assert_eq!(find(name).expect("listed").name, entry.name);
            }
        }
        assert!(find("nope").is_none());
    }
}
