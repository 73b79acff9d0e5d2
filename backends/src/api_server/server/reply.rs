//! One request's way through the engine and back: steps into messages, and
//! each message into the ledger as it is handed to the transport. Dropping the
//! answer's body cancels the request.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream;

use super::ask::{Ask, Prompt, in_template};
use super::held::Held;
use super::shape::{Dialect, Shape};
use super::{Answered, Site, json_answer, plain_answer};
use crate::Ending;
use crate::engine::{Engine, Job, Refusal, Step, Steps};
use crate::spend::spend;

/// The ids that the engine gets.
pub(super) fn ids(site: &Site, prompt: Prompt) -> Vec<u32> {
    let codec = site.engine.codec();
    match prompt {
        Prompt::Text(text) => codec.encode(&text),
        Prompt::Turn(turn) => codec.encode(&in_template(codec, &turn)),
        Prompt::Ids(ids) => ids,
    }
}

/// Answers a request that made sense. `name` is the client's `x-request-id`,
/// `number` counts the requests from 1.
pub(super) async fn reply(site: &Site, ask: Ask, name: &str, number: u64) -> Answered {
    let prompt = ids(site, ask.prompt);
    let shape = Shape::new(
        site.dialect,
        ask.endpoint,
        &site.options.model,
        ask.session_id.unwrap_or(number),
        ask.include_usage,
        prompt.len(),
    );
    let job = Job {
        // 0 never clashes: without a session id of the client's there is none to clash
        id: ask.session_id.map_or(0, |id| id.saturating_add(1)),
        prompt,
        max_tokens: ask.max_tokens,
        ignore_eos: ask.ignore_eos,
    };
    let steps = match site.engine.submit(job) {
        Ok(steps) => Source::Steps(Box::new(steps)),
        Err(refusal) => match (site.dialect, refusal) {
            // 0.1.0 has sent its head and first event by the time it learns of it
            (Dialect::Old, _) => Source::Refused(refusal),
            (Dialect::New, Refusal::TooLong) => {
                return shape.too_long(site.engine.config().session_tokens);
            }
            (Dialect::New, Refusal::Busy) => return shape.occupied(ask.session_id),
            (Dialect::New, _) => return shape.failed(),
        },
    };
    let answer = Answer {
        engine: site.engine.clone(),
        name: name.to_owned(),
        source: steps,
        held: Held::default(),
        total: 0,
        shape,
        front_end: site.options.front_end,
    };
    if ask.stream {
        answer.streamed()
    } else {
        answer.whole().await
    }
}

/// Where the tokens come from.
enum Source {
    Steps(Box<Steps>),
    Refused(Refusal),
    Over,
}

/// What the engine did next.
enum Event {
    Step(Step),
    Failed(Refusal),
    Over,
}

struct Answer {
    engine: Engine,
    name: String,
    source: Source,
    held: Held,
    total: u32,
    shape: Shape,
    front_end: Duration,
}

/// Something to hand to the transport.
enum Parcel {
    /// A message, and the answer's tokens so far if it carries any.
    Message(String, Option<u32>),
    /// The connection is to be closed without a word.
    Cut,
}

impl Answer {
    async fn next(&mut self) -> Event {
        match &mut self.source {
            Source::Steps(steps) => match steps.next().await {
                Some(Ok(step)) => Event::Step(step),
                Some(Err(refusal)) => Event::Failed(refusal),
                None => Event::Over,
            },
            Source::Refused(refusal) => Event::Failed(*refusal),
            Source::Over => Event::Over,
        }
    }

    fn hand_over(&self, total: Option<u32>) {
        if let Some(total) = total {
            self.engine.ledger().hand_over(&self.name, total);
        }
    }

    /// The messages of what the engine does next; `None`: it is done.
    async fn parcels(&mut self) -> Option<Vec<Parcel>> {
        let parcels = match self.next().await {
            Event::Over => return None,
            Event::Step(step) => self.messages(&step),
            Event::Failed(refusal) => {
                self.source = Source::Over;
                match (refusal, self.shape.failure_messages()) {
                    (Refusal::TooLong, _) => {
                        let end = self.shape.end("", Ending::Length, 0);
                        end.into_iter()
                            .map(|end| Parcel::Message(end, None))
                            .collect()
                    }
                    (Refusal::Cut, _) | (_, None) => vec![Parcel::Cut],
                    (_, Some(messages)) => {
                        let message = |message| Parcel::Message(message, None);
                        messages.into_iter().map(message).collect()
                    }
                }
            }
        };
        Some(parcels)
    }

    fn messages(&mut self, step: &Step) -> Vec<Parcel> {
        self.total = step.total;
        let text = self.held.push(&self.engine.codec().decode(&step.tokens));
        let piece = self.shape.piece(&text, &step.tokens, step.total);
        let piece = piece.map(|piece| Parcel::Message(piece, Some(step.total)));
        let mut parcels: Vec<Parcel> = piece.into_iter().collect();
        if let Some(ending) = step.ending {
            let end = self.shape.end(self.held.rest(), ending, step.total);
            parcels.extend(end.into_iter().map(|end| Parcel::Message(end, None)));
        }
        parcels
    }

    fn streamed(self) -> Answered {
        let opening = self.shape.opening();
        let waiting: VecDeque<Parcel> = opening
            .into_iter()
            .map(|message| Parcel::Message(message, None))
            .collect();
        let messages = stream::unfold((self, waiting), |(mut answer, mut waiting)| async move {
            while waiting.is_empty() {
                // a step whose bytes are held back makes no message
                waiting.extend(answer.parcels().await?);
            }
            match waiting.pop_front()? {
                Parcel::Message(message, total) => {
                    spend(answer.front_end).await;
                    answer.hand_over(total);
                    Some((Ok(Bytes::from(message)), (answer, waiting)))
                }
                Parcel::Cut => {
                    // An error drops what the transport has not flushed, and it
                    // flushes when there is nothing more to take.
                    tokio::task::yield_now().await;
                    Some((Err(cut()), (answer, waiting)))
                }
            }
        });
        let kind = "text/event-stream; charset=utf-8";
        plain_answer(StatusCode::OK, kind, Body::from_stream(messages))
    }

    async fn whole(mut self) -> Answered {
        let mut text = String::new();
        let mut ids = Vec::new();
        loop {
            let step = match self.next().await {
                Event::Step(step) => step,
                Event::Failed(Refusal::TooLong) => {
                    let body = self.shape.whole("", &[], Ending::Length, 0);
                    return json_answer(StatusCode::OK, body);
                }
                Event::Failed(Refusal::Cut) => {
                    let nothing = stream::once(async { Err::<Bytes, _>(cut()) });
                    let body = Body::from_stream(nothing);
                    return plain_answer(StatusCode::OK, "application/json", body);
                }
                Event::Failed(_) | Event::Over => return self.shape.failed(),
            };
            text.push_str(&self.held.push(&self.engine.codec().decode(&step.tokens)));
            ids.extend_from_slice(&step.tokens);
            if let Some(ending) = step.ending {
                text.push_str(self.shape.kept(self.held.rest()));
                let body = self.shape.whole(&text, &ids, ending, step.total);
                self.hand_over(Some(step.total));
                return json_answer(StatusCode::OK, body);
            }
        }
    }
}

/// What makes the transport close the connection without a last chunk.
fn cut() -> std::io::Error {
    std::io::Error::other("cut by the engine's script")
}
