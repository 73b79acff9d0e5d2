//! A client whose words do not give its key away: what a server echoes of it
//! ends here. Knows no protocol, and touches nothing that is timed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::secret::Secret;
use crate::{Backend, Error, Finish, Request, ServerCounters, ServerInfo, Sink};

/// The client, and the key that it sends.
pub(crate) struct Discreet {
    client: Arc<dyn Backend>,
    key: Secret,
}

impl Discreet {
    /// The same client, discreet.
    pub(crate) fn new(client: Arc<dyn Backend>, key: Secret) -> Self {
        Self { client, key }
    }

    fn hidden<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.map_err(|error| hidden(&self.key, &error))
    }
}

/// The error without the key.
pub(crate) fn hidden(key: &Secret, error: &Error) -> Error {
    Error::new(error.kind, key.hide(&error.message))
}

#[async_trait]
impl Backend for Discreet {
    async fn probe(&self) -> Result<ServerInfo, Error> {
        let info = self.hidden(self.client.probe().await)?;
        Ok(ServerInfo {
            server: self.key.hide(&info.server),
            model: self.key.hide(&info.model),
            ..info
        })
    }

    async fn warm(&self, streams: u32) -> Result<(), Error> {
        self.hidden(self.client.warm(streams).await)
    }

    async fn prompt_tokens(&self, request: &Request) -> Result<Option<u32>, Error> {
        self.hidden(self.client.prompt_tokens(request).await)
    }

    async fn prompt_ids(&self, request: &Request) -> Result<Option<Vec<u32>>, Error> {
        self.hidden(self.client.prompt_ids(request).await)
    }

    async fn prepare(&self, request: &mut Request) -> Result<(), Error> {
        self.hidden(self.client.prepare(request).await)
    }

    /// The client's own future: one of ours around it would be polled for every
    /// token. Whoever makes a record of it hides what [`Self::key`] tells.
    fn generate<'this, 'request, 'sink, 'answer>(
        &'this self,
        request: &'request Request,
        sink: &'sink mut Sink,
    ) -> Pin<Box<dyn Future<Output = Result<Finish, Error>> + Send + 'answer>>
    where
        'this: 'answer,
        'request: 'answer,
        'sink: 'answer,
        Self: 'answer,
    {
        self.client.generate(request, sink)
    }

    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
        let counters = self.hidden(self.client.server_counters().await)?;
        Ok(counters.map(|counters| ServerCounters {
            values: counters
                .values
                .into_iter()
                .map(|(name, value)| (self.key.hide(&name), value))
                .collect(),
        }))
    }

    fn key(&self) -> Option<&Secret> {
        Some(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::Discreet;
    use crate::secret::Secret;
    use crate::{
        Backend, Clock, Error, ErrorKind, Finish, PromptMode, Pulse, Request, Sampling,
        ServerCounters, ServerInfo, Sink,
    };

    /// Says its key whatever it is asked.
    struct Echo;

    const KEY: &str = "sk-0123456789abcdef";

    fn said() -> Error {
        Error::new(ErrorKind::Auth, format!("no such key: {KEY}"))
    }

    #[async_trait]
    impl Backend for Echo {
        async fn probe(&self) -> Result<ServerInfo, Error> {
            Ok(ServerInfo {
                server: format!("gateway for {KEY}"),
                model: format!("model of {KEY}"),
                ..ServerInfo::default()
            })
        }
        async fn warm(&self, _: u32) -> Result<(), Error> {
            Err(said())
        }
        async fn prompt_tokens(&self, _: &Request) -> Result<Option<u32>, Error> {
            Err(said())
        }
        async fn prompt_ids(&self, _: &Request) -> Result<Option<Vec<u32>>, Error> {
            Err(said())
        }
        async fn prepare(&self, _: &mut Request) -> Result<(), Error> {
            Err(said())
        }
        async fn generate(&self, _: &Request, _: &mut Sink) -> Result<Finish, Error> {
            Err(said())
        }
        async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
            let values = [(format!("{KEY}.count"), 1.0)].into();
            Ok(Some(ServerCounters { values }))
        }
    }

    #[tokio::test]
    async fn nothing_that_is_not_timed_tells_the_key() {
        let client = Discreet::new(Arc::new(Echo), Secret::from(KEY.to_owned()));
        let mut request = Request {
            id: 1,
            slot: 0,
            prompt: "hi".into(),
            turn: None,
            token_ids: [1].into(),
            server_prompt_tokens: None,
            output_tokens: 1,
            sampling: Sampling::default(),
            stream: true,
            prompt_mode: PromptMode::Raw,
            wire: None,
        };
        let mut sink = Sink::start(Clock::start(), Pulse::default(), 1);
        let all = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            client.probe().await,
            client.warm(1).await,
            client.prompt_tokens(&request).await,
            client.prompt_ids(&request).await,
            client.prepare(&mut request).await,
            client.server_counters().await,
        );
        assert!(all.contains("***") && !all.contains(KEY), "{all}");
        let error = client.generate(&request, &mut sink).await.expect_err("one");
        let key = client.key().expect("the key");
        assert_eq!(key.hide(&error.message), "no such key: ***");
    }
}
