//! `tis-chatbot`: the three calls as LMDeploy's own client makes them
//! (v0.2.5, `lmdeploy/serve/turbomind/chatbot.py`), so that the published gap
//! can be reproduced and taken apart.
//!
//! There a thread reads the engine's stream into a queue without limit, and
//! the caller takes one message after the other out of it and makes a
//! postprocessing call for each, with all ids of the answer so far and the
//! offset of those that are text already. Each call, the stream too, has a
//! client object and so a channel of its own. The queue is the client's, and
//! what waits in it is part of this arm: when postprocessing is slower than
//! the engine, marks fall behind and `engine_marks` do not. Here reader and
//! consumer are two sides of one task instead of two threads.
//!
//! Three things differ. The cost of Python is not reproduced: no message is made
//! into JSON and back. And a channel here always is a TCP connection, while
//! grpcio lets clients to one address share theirs as long as one is alive (it
//! opens a new one for preprocessing and for the stream, none beside the
//! stream). `Hop::Connect` tells how much that is. So many connections would
//! use up the local ports, so each is reset when it is done with.

use async_trait::async_trait;

use super::chain::{Manner, text_of};
use super::client::Client;
use super::line::Line;
use super::repository;
use super::status::of_nothing;
use super::texts::{self, POSTPROCESSING, PREPROCESSING};
use super::turbomind::{Progress, Turbomind};
use crate::{
    Backend, Ending, Error, Finish, Hop, Request, ServerCounters, ServerInfo, Sink, Target,
    TokenSource,
};

/// The three models, chained as LMDeploy's client does it.
#[derive(Debug)]
pub(super) struct Chatbot {
    /// Its shared channel serves what is not timed; a request opens its own.
    client: Client,
    engine: Turbomind,
}

impl Chatbot {
    /// A client of the target; opens nothing.
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        Ok(Self {
            engine: Turbomind::new(target.model.as_deref()),
            client: Client::new(target)?,
        })
    }

    async fn connect(&self, sink: &mut Sink) -> Result<Line, Error> {
        sink.enter(Hop::Connect);
        let line = self.client.open().await?;
        sink.leave(Hop::Connect);
        Ok(line)
    }
}

#[async_trait]
impl Backend for Chatbot {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        let needed = [PREPROCESSING, &self.engine.model, POSTPROCESSING];
        let info = repository::probe(&self.client, &needed).await?;
        self.engine.describe(&self.client, info).await
    }

    /// Opens nothing ahead: opening is part of this arm. Only the ids that
    /// LMDeploy's client fetches when it is made are fetched.
    async fn warm(&self, _streams: u32) -> Result<(), Error> {
        self.engine.facts(&self.client).await.map(|_| ())
    }

    async fn prompt_tokens(&self, _request: &Request) -> Result<Option<u32>, Error> {
        Ok(None)
    }

    async fn prompt_ids(&self, request: &Request) -> Result<Option<Vec<u32>>, Error> {
        texts::prompt_ids(&self.client, request.id, &request.prompt).await
    }

    /// The preprocessing call: what is sent to the engine comes of its answer.
    async fn prepare(&self, request: &mut Request) -> Result<(), Error> {
        request.wire = Some(texts::preprocessing(request.id, &request.prompt)?);
        Ok(())
    }

    async fn generate(&self, request: &Request, sink: &mut Sink) -> Result<Finish, Error> {
        let facts = self.engine.facts(&self.client).await?;
        let call = match &request.wire {
            Some(call) => call.clone(),
            None => texts::preprocessing(request.id, &request.prompt)?,
        };
        let line = self.connect(sink).await?;
        sink.enter(Hop::Preprocess);
        let prompt = texts::preprocess(&self.client, line, call).await?;
        sink.leave(Hop::Preprocess);
        let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let line = self.connect(sink).await?;
        let call = self
            .engine
            .call(facts, request, &prompt, true)
            .framed(true)?;
        sink.enter(Hop::Engine);
        let mut answer = self
            .client
            .stream(line, &self.engine.model, request.id, call)
            .await?;
        let progress = Progress::after(prompt_tokens);
        let (client, manner) = (&self.client, Manner::PerCall);
        let tokens = text_of(client, facts, manner, request, &mut answer, progress, sink).await?;
        sink.end();
        answer.close();
        if tokens == 0 {
            return Err(of_nothing(&self.engine.model));
        }
        Ok(Finish {
            ending: Ending::Unstated,
            prompt_tokens: Some(prompt_tokens),
            completion: Some((tokens, TokenSource::Ids)),
        })
    }

    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
        repository::counters(&self.client).await.map(Some)
    }
}
