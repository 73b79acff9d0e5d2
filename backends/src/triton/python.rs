//! `tis-python`: one call to LMDeploy's later python model (v0.4.0,
//! `lmdeploy/serve/turbomind/triton_python_backend`). Its answer is text, and
//! nothing on the wire says how many tokens it is.

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::client::Client;
use super::dialect::Wire;
use super::repository::{self, LMDEPLOY_MODEL, config_of, integer_parameter};
use super::texts::{self, count_prompt, eos_id};
use crate::{Backend, Error, Finish, Request, ServerCounters, ServerInfo, Sink, Target};

/// The python model.
#[derive(Debug)]
pub(super) struct Python {
    client: Client,
    model: String,
    found: OnceCell<(Option<u32>, Wire)>,
}

impl Python {
    /// A client of the target; opens nothing.
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        Ok(Self {
            model: target.model.as_deref().unwrap_or(LMDEPLOY_MODEL).to_owned(),
            client: Client::new(target)?,
            found: OnceCell::new(),
        })
    }

    /// The session's length, if the configuration says, and the tensors.
    async fn found(&self) -> Result<&(Option<u32>, Wire), Error> {
        let find = || {
            self.client.untimed("about its models", async {
                let config = config_of(&self.client, &self.model).await?;
                let wire = Wire::of(&config, eos_id(&self.client).await?)?;
                Ok((integer_parameter(&config, "session_len"), wire))
            })
        };
        self.found.get_or_try_init(find).await
    }
}

#[async_trait]
impl Backend for Python {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        let info = repository::probe(&self.client, &[&self.model]).await?;
        let (session_tokens, _) = self.found().await?;
        Ok(ServerInfo {
            model: self.model.clone(),
            session_tokens: *session_tokens,
            ..info
        })
    }

    async fn warm(&self, _streams: u32) -> Result<(), Error> {
        self.found().await.map(|_| ())
    }

    async fn prompt_tokens(&self, request: &Request) -> Result<Option<u32>, Error> {
        count_prompt(&self.client, request.id, &request.prompt).await
    }

    async fn prompt_ids(&self, request: &Request) -> Result<Option<Vec<u32>>, Error> {
        texts::prompt_ids(&self.client, request.id, &request.prompt).await
    }

    async fn prepare(&self, request: &mut Request) -> Result<(), Error> {
        let (_, wire) = self.found().await?;
        request.wire = Some(wire.framed(request)?);
        Ok(())
    }

    async fn generate(&self, request: &Request, sink: &mut Sink) -> Result<Finish, Error> {
        let (_, wire) = self.found().await?;
        wire.generate(&self.client, request, sink).await
    }

    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
        repository::counters(&self.client).await.map(Some)
    }
}
