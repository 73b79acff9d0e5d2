//! Embedded, simulated servers: gives the simulated engine of `backends` the
//! house's real tokenizer, and starts its servers on loopback, on threads of
//! their own. Nothing here is measured or reported.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use backends::engine::{ByteCodec, Codec, Engine};
use backends::{Clock, Entry};
use tokio::runtime::{Builder, Runtime};

use crate::config::SimConfig;
use crate::workload::{ChatTemplate, Tokenizer};

/// Words that the simulated model knows; enough that answers differ.
const WORDS: usize = 512;
/// Threads of an embedded server: it shares the machine with the client.
const SERVER_THREADS: usize = 2;

/// A server at work until it is dropped.
#[derive(Debug)]
pub struct Embedded {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Embedded {
    /// Starts a server of `entry`'s protocol on `listen`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(
        entry: &'static Entry,
        config: &SimConfig,
        codec: Arc<dyn Codec>,
        clock: Clock,
        listen: &str,
    ) -> Result<Self> {
        let listener = TcpListener::bind(listen).with_context(|| {
            format!("cannot listen on {listen}; choose another HOST:PORT (port 0 takes a free one)")
        })?;
        listener
            .set_nonblocking(true)
            .context("cannot set up the listening socket")?;
        let address = listener
            .local_addr()
            .context("the listening socket has no address")?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(SERVER_THREADS)
            .thread_name("pb-sim")
            .enable_all()
            .build()
            .context("cannot start the threads of the simulated server")?;
        let engine = Engine::new(config.engine.clone(), codec, clock);
        let served = {
            // The listener registers with the runtime that is entered here.
            let _entered = runtime.enter();
            (entry.serve)(listener, engine, config.serve.clone())
        };
        runtime.spawn(async move {
            // It ends only with an error of the listening socket; clients then
            // see a refused connection, which they report.
            let _ = served.await;
        });
        Ok(Self {
            address,
            runtime: Some(runtime),
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // A runtime must not be dropped where futures run; in the background it may.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The codec of a server without a tokenizer.
#[must_use]
pub fn byte_codec() -> Arc<dyn Codec> {
    Arc::new(ByteCodec)
}

/// The codec of a server that has the workload's tokenizer, so that its
/// prompt counts are the plan's, and its answers count as many tokens as it
/// generated. With `template` a user's turn is wrapped in it.
///
/// # Errors
/// When the vocabulary has no words to answer with.
pub fn codec_of(
    tokenizer: Arc<Tokenizer>,
    template: Option<Arc<ChatTemplate>>,
) -> Result<Arc<dyn Codec>> {
    let words = words(&tokenizer);
    if words.is_empty() {
        bail!(
            "the simulated model finds no whole words in this tokenizer ({}) to answer with; use \
             another tokenizer for simulated servers",
            tokenizer.describe()
        );
    }
    Ok(Arc::new(WordCodec {
        split: [0xe6, 0xb5, 0x81].map(|byte| byte_id(&tokenizer, byte)),
        words,
        tokenizer,
        template,
    }))
}

struct WordCodec {
    tokenizer: Arc<Tokenizer>,
    template: Option<Arc<ChatTemplate>>,
    words: Vec<u32>,
    split: [Option<u32>; 3],
}

impl Codec for WordCodec {
    fn encode(&self, text: &str) -> Vec<u32> {
        // The engine refuses an empty prompt in its protocol's own words.
        self.tokenizer.encode_as_served(text).unwrap_or_default()
    }

    fn in_template(&self, user_text: &str) -> Option<String> {
        let template = self.template.as_ref()?;
        // The client has rendered the same turn already, and would have said so.
        let rendered = template.render(user_text).ok()?;
        let text = template.without_begin(&rendered, &self.tokenizer);
        Some(text.to_owned())
    }

    fn decode(&self, ids: &[u32]) -> Vec<u8> {
        self.tokenizer.decode_bytes(ids)
    }

    fn answer(&self, prompt: &[u32], at: u32) -> u32 {
        let sum = prompt.iter().fold(0_u64, |sum, &id| sum + u64::from(id));
        let count = u64::try_from(self.words.len()).unwrap_or(1);
        let word = (sum + 7 * u64::from(at)) % count;
        self.words[usize::try_from(word).unwrap_or_default()]
    }

    fn eos(&self) -> u32 {
        self.tokenizer.eos_id().unwrap_or_default()
    }

    fn split_character(&self) -> Option<[u32; 3]> {
        let [first, second, third] = self.split;
        Some([first?, second?, third?])
    }
}

/// Ids of whole words: a space, then letters, and the word alone is that one
/// token again.
fn words(tokenizer: &Tokenizer) -> Vec<u32> {
    vocabulary(tokenizer)
        .filter(|&id| {
            let bytes = tokenizer.decode_bytes(&[id]);
            let is_word = bytes.len() >= 4
                && bytes[0] == b' '
                && bytes[1..].iter().all(u8::is_ascii_lowercase);
            is_word
                && std::str::from_utf8(&bytes)
                    .is_ok_and(|word| tokenizer.count_answer(word).is_ok_and(|count| count == 1))
        })
        .take(WORDS)
        .collect()
}

fn byte_id(tokenizer: &Tokenizer, byte: u8) -> Option<u32> {
    vocabulary(tokenizer).find(|&id| tokenizer.decode_bytes(&[id]) == [byte])
}

fn vocabulary(tokenizer: &Tokenizer) -> std::ops::Range<u32> {
    0..u32::try_from(tokenizer.vocabulary_len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::codec_of;
    use crate::workload::Tokenizer;

    #[test]
    fn an_answer_counts_as_many_tokens_as_were_generated() {
        let tokenizer = Arc::new(Tokenizer::bundled().expect("bundled"));
        let codec = codec_of(Arc::clone(&tokenizer), None).expect("has words");
        let prompt = codec.encode("Where does the gap come from?");
        let ids: Vec<u32> = (0..700).map(|at| codec.answer(&prompt, at)).collect();
        let text = String::from_utf8(codec.decode(&ids)).expect("words");
        assert_eq!(tokenizer.count_answer(&text).expect("countable"), 700);
    }

    #[test]
    fn a_character_can_be_split() {
        let codec =
            codec_of(Arc::new(Tokenizer::bundled().expect("bundled")), None).expect("has words");
        let ids = codec.split_character().expect("byte pieces");
        assert_eq!(codec.decode(&ids), "\u{6d41}".as_bytes());
    }
}
