//! `tis-direct`: token ids to the engine model alone. Makes no text.

use std::mem::offset_of;

use async_trait::async_trait;
use bytes::Bytes;

use super::answer::Answer;
use super::client::Client;
use super::ear::{BEFORE_TAKER, Taker};
use super::reply::Reply;
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

/// What becomes of the engine's frames: marks, where the answer is streamed.
///
/// What a token needs of it lies in the rest of one cache line and in the next.
#[repr(C)]
struct Tokens<const STREAM: bool> {
    progress: Progress,
    sink: Sink,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(BEFORE_TAKER + offset_of!(Tokens<true>, sink) == 64);

impl<const STREAM: bool> Tokens<STREAM> {
    /// Follows an answer to its end; its tokens.
    async fn follow(
        answer: &mut Answer,
        progress: Progress,
        sink: &mut Sink,
    ) -> Result<u32, Error> {
        let tokens = Self {
            progress,
            sink: sink.stand_in(),
        };
        let (tokens, end) = answer.listen(sink, tokens).await;
        end.map(|()| tokens.map_or(0, |tokens| tokens.progress.total()))
    }
}

impl<const STREAM: bool> Taker for Tokens<STREAM> {
    fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    fn lent(&self) -> &Sink {
        &self.sink
    }

    #[inline]
    fn take(&mut self, reply: &Reply) -> Result<(), Error> {
        let Some(length) = length_of(reply)? else {
            self.sink.event();
            return Ok(());
        };
        let before = self.progress.total();
        let total = self.progress.advance(reply, length)?;
        if STREAM {
            self.sink.tokens_so_far(total);
        } else {
            self.sink.event();
        }
        // A length alone is no answer: the ids have to be there.
        self.progress.ids(reply, before).map(drop)
    }

    fn end(&mut self) {
        if !STREAM {
            self.sink.tokens_so_far(self.progress.total());
        }
        self.sink.leave(Hop::Engine);
        self.sink.end();
    }
}

/// What comes of an answer whose body is these pieces: its trace, and how it ended.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn heard(
    pieces: impl Iterator<Item = Bytes>,
) -> (crate::Trace, Option<Result<(), Error>>) {
    use super::ear::Ear;
    use super::frames::Frames;
    use super::unframer::Unframer;
    use crate::http2::Listener;

    let tokens = Tokens::<true> {
        progress: Progress::after(2),
        sink: Sink::start(crate::Clock::start(), crate::Pulse::default(), 4),
    };
    let unframer = Unframer::new(tonic::codegen::http::StatusCode::OK);
    let frames = Frames::new(super::reader::Known::default(), "m".to_owned(), 7);
    let mut ear = Ear::new(unframer, frames, tokens);
    for piece in pieces {
        ear.hear(piece);
    }
    let (tokens, end) = ear.into_parts();
    (tokens.sink.into_trace(), end)
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
        let progress = Progress::after(prompt_tokens);
        let total = match request.stream {
            true => Tokens::<true>::follow(&mut answer, progress, sink).await?,
            false => Tokens::<false>::follow(&mut answer, progress, sink).await?,
        };
        answer.close();
        if total == 0 {
            return Err(of_nothing(model));
        }
        Ok(Finish {
            ending: Ending::Unstated,
            // What was sent is not the server's count; `prompt_tokens` asks for that.
            prompt_tokens: None,
            completion: Some((total, TokenSource::Ids)),
        })
    }

    async fn server_counters(&self) -> Result<Option<ServerCounters>, Error> {
        repository::counters(&self.client).await.map(Some)
    }
}
