//! `tis`: the three calls, made well. One shared line; text is made beside
//! the engine's stream, never in front of it.

use async_trait::async_trait;

use super::chain::{Manner, text_of};
use super::client::Client;
use super::repository;
use super::status::of_nothing;
use super::texts::{self, POSTPROCESSING, PREPROCESSING};
use super::turbomind::{Progress, Turbomind};
use crate::{
    Backend, Ending, Error, Finish, Hop, Request, ServerCounters, ServerInfo, Sink, Target,
    TokenSource,
};

/// The three models, chained by the client.
#[derive(Debug)]
pub(super) struct Tis {
    client: Client,
    engine: Turbomind,
}

impl Tis {
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
}

#[async_trait]
impl Backend for Tis {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        let needed = [PREPROCESSING, &self.engine.model, POSTPROCESSING];
        let info = repository::probe(&self.client, &needed).await?;
        self.engine.describe(&self.client, info).await
    }

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
        let line = self.client.shared().await?;
        sink.enter(Hop::Preprocess);
        let prompt = texts::preprocess(&self.client, line, call).await?;
        sink.leave(Hop::Preprocess);
        let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let call = self
            .engine
            .call(facts, request, &prompt, false)
            .framed(true)?;
        sink.enter(Hop::Engine);
        // Asked for again: the server may have said goodbye on the other meanwhile.
        let line = self.client.shared().await?;
        let mut answer = self
            .client
            .stream(line, &self.engine.model, request.id, call)
            .await?;
        let progress = Progress::after(prompt_tokens);
        let (client, manner) = (&self.client, Manner::Shared);
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
