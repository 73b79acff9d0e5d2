//! Three models chained by the client: ids, engine, text. Reads the engine's
//! stream and makes its text beside it, in one task; the two ways that do so
//! differ only in a [`Manner`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;

use super::answer::Answer;
use super::client::Client;
use super::line::Line;
use super::reply::Reply;
use super::texts::{self, append, as_text, is_unfinished};
use super::turbomind::{Facts, Progress, length_of};
use crate::{Error, ErrorKind, Hop, PIECES_MAX, Request, Sink};

/// How the client goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// One shared line; a postprocessing call takes all that has arrived
    /// since the last one.
    Shared,
    /// LMDeploy's chatbot: a new channel for each call, and one postprocessing
    /// call for each message of the engine, in turn.
    PerCall,
}

/// Ids on their way to text, and the text that has come of them.
struct Text<'a> {
    client: &'a Client,
    facts: &'a Facts,
    manner: Manner,
    request: &'a Request,
    /// Every id of the answer.
    ids: Vec<u32>,
    /// Totals of the messages that nobody has made text of.
    queue: VecDeque<u32>,
    /// Tokens whose text is settled: it ends with a whole character.
    settled: u32,
    /// Text behind the settled tokens that ends within a character, and the
    /// tokens up to its end.
    held: Option<(Bytes, u32)>,
    /// What a request that is not streamed has so far.
    whole: String,
}

/// A call in flight, and the tokens it covers.
struct Pending<'a> {
    covers: u32,
    step: Pin<Box<dyn Future<Output = Result<Step, Error>> + Send + 'a>>,
}

enum Step {
    Connected(Line),
    Text(Bytes),
}

/// Makes text of the engine's answer. Returns its tokens.
///
/// A frame of the engine is stamped when it arrives, whatever the
/// postprocessing is at; a mark is stamped when the text is in hand.
///
/// # Errors
/// The first failure of the engine's stream or of a postprocessing call.
pub(super) async fn text_of(
    client: &Client,
    facts: &Facts,
    manner: Manner,
    request: &Request,
    answer: &mut Answer,
    mut progress: Progress,
    sink: &mut Sink,
) -> Result<u32, Error> {
    let mut text = Text {
        client,
        facts,
        manner,
        request,
        ids: Vec::with_capacity(request.output_tokens.min(4096) as usize),
        queue: VecDeque::new(),
        settled: 0,
        held: None,
        whole: String::new(),
    };
    let mut open = true;
    let mut pending: Option<Pending<'_>> = None;
    loop {
        if pending.is_none() {
            pending = text.begin(open, sink).await?;
        }
        if pending.is_none() && !open {
            text.finish(sink)?;
            return Ok(progress.total());
        }
        // The call first: it has to be sent before the next frame is looked
        // at, or frames that are there already would keep it waiting. It
        // cannot starve them, as each call is a round trip.
        tokio::select! {
            biased;
            step = advance(&mut pending), if pending.is_some() => {
                let (covers, step) = step?;
                pending = text.stepped(covers, step, open, sink)?;
            }
            came = answer.next(), if open => {
                if let Some(reply) = came? {
                    text.arrived(&mut progress, &reply, sink)?;
                }
                if answer.is_over() {
                    open = false;
                    sink.leave(Hop::Engine);
                }
            }
        }
    }
}

/// Waits for the call in flight; for ever where there is none.
async fn advance(pending: &mut Option<Pending<'_>>) -> Result<(u32, Step), Error> {
    poll_fn(|cx| match pending {
        None => Poll::Pending,
        Some(pending) => {
            let covers = pending.covers;
            pending
                .step
                .as_mut()
                .poll(cx)
                .map(|step| step.map(|step| (covers, step)))
        }
    })
    .await
}

impl<'a> Text<'a> {
    /// Takes in a frame of the engine, stamping it before anything else.
    fn arrived(
        &mut self,
        progress: &mut Progress,
        response: &Reply,
        sink: &mut Sink,
    ) -> Result<(), Error> {
        let Some(length) = length_of(response)? else {
            sink.event();
            return Ok(());
        };
        let before = progress.total();
        let total = progress.advance(response, length)?;
        sink.engine_tokens_so_far(total);
        if total > before {
            let new = progress.ids(response, before)?;
            self.ids
                .extend(new.iter().map(|&id| u32::from_le_bytes(id)));
        }
        // The chatbot makes text of a message that repeats the one before, too.
        if total > before || self.manner == Manner::PerCall {
            if self.queue.len() >= PIECES_MAX {
                let words = format!(
                    "the answer does not end: {PIECES_MAX} messages of the engine wait for \
                     postprocessing"
                );
                return Err(Error::new(ErrorKind::Malformed, words));
            }
            self.queue.push_back(total);
        }
        Ok(())
    }

    /// Begins the next postprocessing call, if there is something to do.
    async fn begin(&mut self, open: bool, sink: &mut Sink) -> Result<Option<Pending<'a>>, Error> {
        let covers = match self.manner {
            Manner::PerCall => self.queue.pop_front(),
            // Nobody waits for pieces: one call at the end makes all of it.
            Manner::Shared if open && !self.request.stream => None,
            Manner::Shared => self.queue.drain(..).next_back(),
        };
        let Some(covers) = covers else {
            return Ok(None);
        };
        let client = self.client;
        Ok(Some(match self.manner {
            Manner::PerCall => {
                sink.enter(Hop::Connect);
                let step = async move { client.open().await.map(Step::Connected) };
                Pending {
                    covers,
                    step: Box::pin(step),
                }
            }
            Manner::Shared => {
                let line = client.shared().await?;
                self.call(covers, line, sink)
            }
        }))
    }

    fn call(&self, covers: u32, line: Line, sink: &mut Sink) -> Pending<'a> {
        sink.enter(Hop::Postprocess);
        let from = match self.manner {
            Manner::PerCall => 0,
            // One settled token in front, so that the offset says whether the
            // text goes on; the rest of the answer need not travel again.
            Manner::Shared => self.settled.saturating_sub(1),
        };
        let place = |tokens: u32| usize::try_from(tokens).unwrap_or(usize::MAX);
        let ids = self.ids.get(place(from)..place(covers)).unwrap_or_default();
        let (offset, skips_special) = (self.settled - from, self.facts.skips_special);
        let call = texts::postprocessing(self.request.id, ids, offset, skips_special);
        let client = self.client;
        let step = async move {
            texts::postprocess(client, line, call?)
                .await
                .map(Step::Text)
        };
        Pending {
            covers,
            step: Box::pin(step),
        }
    }

    /// Takes in what a call in flight brought; the call that follows from it.
    fn stepped(
        &mut self,
        covers: u32,
        step: Step,
        open: bool,
        sink: &mut Sink,
    ) -> Result<Option<Pending<'a>>, Error> {
        match step {
            Step::Connected(line) => {
                sink.leave(Hop::Connect);
                Ok(Some(self.call(covers, line, sink)))
            }
            Step::Text(bytes) => {
                if is_unfinished(&bytes) && (open || !self.queue.is_empty()) {
                    self.held = Some((bytes, covers));
                } else {
                    self.deliver(&bytes, covers, sink)?;
                }
                sink.leave(Hop::Postprocess);
                Ok(None)
            }
        }
    }

    /// The text up to and with token number `covers` is in hand.
    fn deliver(&mut self, bytes: &[u8], covers: u32, sink: &mut Sink) -> Result<(), Error> {
        if !self.request.stream {
            append(&mut self.whole, &as_text(bytes))?;
        } else if bytes.is_empty() {
            // Tokens without text are no mark: the next text brings them.
            sink.event();
        } else {
            sink.tokens_so_far(covers);
            sink.text(&as_text(bytes));
        }
        self.settled = covers;
        self.held = None;
        Ok(())
    }

    /// Nothing follows: what was held back is the model's own word, and an
    /// answer that is not streamed is whole.
    fn finish(&mut self, sink: &mut Sink) -> Result<(), Error> {
        if let Some((bytes, covers)) = self.held.take() {
            self.deliver(&bytes, covers, sink)?;
        }
        if self.request.stream {
            return Ok(());
        }
        if self.whole.is_empty() {
            sink.event();
        } else {
            sink.tokens_so_far(self.settled);
            sink.text(&self.whole);
        }
        Ok(())
    }
}
