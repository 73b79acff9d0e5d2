//! `tis-ensemble`: one call to a model that chains the others in the server.
//! Takes names and types from its configuration.
//!
//! Dropping a request does not end it: Triton (seen on 2.51) hands a
//! cancellation to no step of an ensemble, so the engine's step runs to its
//! end and keeps its place. Whoever measures after an aborted run waits until
//! the engine is idle, or restarts the server.

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::client::Client;
use super::dialect::Wire;
use super::proto::ModelConfig;
use super::repository::{
    self, Inventory, config_of, integer_parameter, loses_order, missing, running_limit,
};
use super::texts::{self, count_prompt, eos_id};
use crate::{Backend, Error, Finish, Request, ServerCounters, ServerInfo, Sink, Target};

/// An ensemble, found by its platform or by the name that was given.
#[derive(Debug)]
pub(super) struct Ensemble {
    client: Client,
    asked_for: Option<String>,
    found: OnceCell<(ModelConfig, Wire)>,
}

impl Ensemble {
    /// A client of the target; opens nothing.
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        Ok(Self {
            asked_for: target.model.clone(),
            client: Client::new(target)?,
            found: OnceCell::new(),
        })
    }

    async fn found(&self) -> Result<&(ModelConfig, Wire), Error> {
        let find = || self.client.untimed("about its models", self.find());
        self.found.get_or_try_init(find).await
    }

    async fn find(&self) -> Result<(ModelConfig, Wire), Error> {
        let name = match &self.asked_for {
            Some(name) => name.clone(),
            None => match &Inventory::of(&self.client).await?.ensembles[..] {
                [only] => only.clone(),
                [] => return Err(missing(&self.client, "no ensemble is ready there").await),
                several => {
                    let words = format!(
                        "several ensembles are ready there, {}: choose one with --model",
                        several.join(", ")
                    );
                    return Err(missing(&self.client, &words).await);
                }
            },
        };
        let config = config_of(&self.client, &name).await?;
        let wire = Wire::of(&config, eos_id(&self.client).await?)?;
        Ok((config, wire))
    }

    /// Fills in what the steps' configurations say about the engine, and about
    /// the order of the text.
    async fn describe(
        &self,
        config: &ModelConfig,
        wire: &Wire,
        mut info: ServerInfo,
    ) -> ServerInfo {
        let steps = config
            .ensemble_scheduling
            .iter()
            .flat_map(|ensemble| &ensemble.step);
        for place in steps {
            let Ok(step) = config_of(&self.client, &place.model_name).await else {
                continue;
            };
            let makes_text = place.output_map.values().any(|name| name == wire.text());
            if makes_text && loses_order(&step) {
                info.unordered_model = Some(place.model_name.clone());
            }
            info.session_tokens = info
                .session_tokens
                .or_else(|| integer_parameter(&step, "session_len"));
            info.max_running = info.max_running.or_else(|| running_limit(&step));
        }
        info.model.clone_from(&config.name);
        info
    }
}

#[async_trait]
impl Backend for Ensemble {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        let needed: Vec<&str> = self.asked_for.as_deref().into_iter().collect();
        let info = repository::probe(&self.client, &needed).await?;
        let (config, wire) = self.found().await?;
        let describe = async { Ok(self.describe(config, wire, info).await) };
        self.client.untimed("about its models", describe).await
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
