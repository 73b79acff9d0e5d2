//! `tis-direct`: token ids to the engine model alone. Makes no text.

use async_trait::async_trait;
use bytes::Bytes;

use super::client::Client;
use super::repository;
use super::status::of_nothing;
use super::texts::{self, count_prompt};
use super::turbomind::{Progress, Turbomind, length_of};
use crate::{
    Backend, Ending, Error, Finish, Hop, Request, ServerCounters, ServerInfo, Sink, Target,
    TokenSource,
};

/// The engine model alone.
#[derive(Debug)]
pub(super) struct Direct {
    client: Client,
    engine: Turbomind,
}

impl Direct {
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

    /// The engine's call, as it goes out.
    async fn call(&self, request: &Request) -> Result<Bytes, Error> {
        let facts = self.engine.facts(&self.client).await?;
        let call = self.engine.call(facts, request, &request.token_ids, false);
        call.framed(true)
    }
}

#[async_trait]
impl Backend for Direct {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        let info = repository::probe(&self.client, &[&self.engine.model]).await?;
        self.engine.describe(&self.client, info).await
    }

    async fn warm(&self, _streams: u32) -> Result<(), Error> {
        self.engine.facts(&self.client).await.map(|_| ())
    }

    async fn prompt_tokens(&self, request: &Request) -> Result<Option<u32>, Error> {
        count_prompt(&self.client, request.id, &request.prompt).await
    }

    async fn prompt_ids(&self, request: &Request) -> Result<Option<Vec<u32>>, Error> {
        texts::prompt_ids(&self.client, request.id, &request.prompt).await
    }

    async fn prepare(&self, request: &mut Request) -> Result<(), Error> {
        request.wire = Some(self.call(request).await?);
        Ok(())
    }

    async fn generate(&self, request: &Request, sink: &mut Sink) -> Result<Finish, Error> {
        let call = match &request.wire {
            Some(call) => call.clone(),
            None => self.call(request).await?,
        };
        let line = self.client.shared().await?;
        let model = &self.engine.model;
        sink.enter(Hop::Engine);
        let mut answer = self.client.stream(line, model, request.id, call).await?;
        let prompt_tokens = u32::try_from(request.token_ids.len()).unwrap_or(u32::MAX);
        let mut progress = Progress::after(prompt_tokens);
        let stream = request.stream;
        while let Some(reply) = answer.next().await? {
            let Some(length) = length_of(&reply)? else {
                sink.event();
                continue;
            };
            let before = progress.total();
            let total = progress.advance(&reply, length)?;
            if stream {
                sink.tokens_so_far(total);
            } else {
                sink.event();
            }
            // A length alone is no answer: the ids have to be there.
            progress.ids(&reply, before)?;
        }
        if !request.stream {
            sink.tokens_so_far(progress.total());
        }
        sink.leave(Hop::Engine);
        sink.end();
        answer.close();
        if progress.total() == 0 {
            return Err(of_nothing(model));
        }
        Ok(Finish {
            ending: Ending::Unstated,
            // What was sent is not the server's count; `prompt_tokens` asks for that.
            prompt_tokens: None,
            completion: Some((progress.total(), TokenSource::Ids)),
        })
    }

    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
        repository::counters(&self.client).await.map(Some)
    }
}
