//! The answer to one streamed request: frames, and where they end. Counts no
//! tokens.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::client::Doubt;
use super::grpc::Messages;
use super::reply::{News, Reply};
use super::status::{of_broken, of_frame, of_status};
use crate::{Error, ErrorKind, Timers, event_loop};

/// How long a stream may stay open after its last frame. Triton closes it at
/// once, as the request side is closed already.
const CLOSING: Duration = Duration::from_millis(50);

/// Frames of one request. Dropping it cancels the request.
#[derive(Debug)]
pub(super) struct Answer {
    messages: Messages,
    model: String,
    id: String,
    reply: Reply,
    timers: Timers,
    /// The last frame answers this request.
    ours: bool,
    over: bool,
    /// Frames that were for other requests.
    foreign: u64,
    doubt: Doubt,
}

impl Answer {
    pub(super) fn new(
        messages: Messages,
        model: String,
        id: u64,
        timers: Timers,
        doubt: Doubt,
    ) -> Self {
        Self {
            messages,
            model,
            id: id.to_string(),
            reply: Reply::default(),
            timers,
            ours: false,
            over: false,
            foreign: 0,
            doubt,
        }
    }

    /// Waits for the next frame, which [`Self::reply`] is then; false after the
    /// one with the final flag. May be cancelled without losing a frame.
    ///
    /// The end is an error frame, the final flag, or the end of the stream,
    /// whichever comes first; the status of the call says nothing, it is OK
    /// even after errors.
    ///
    /// # Errors
    /// An error frame; [`ErrorKind::Cut`] when the stream breaks or ends
    /// without either.
    pub(super) async fn next(&mut self) -> Result<bool, Error> {
        self.reply.let_go();
        while !self.over {
            let message = match self.messages.next().await {
                Ok(Some(message)) => message,
                Ok(None) => return Err(self.broken_off()),
                Err(status) => {
                    self.over = true;
                    return Err(of_status(&self.what(), &status));
                }
            };
            match self.reply.read_stream(message) {
                // Whose it is was settled with the one before.
                Ok(News::Contents) => {}
                Ok(News::Any) => self.ours = self.is_ours()?,
                Err(broken) => {
                    self.over = true;
                    return Err(of_broken(&self.what(), broken));
                }
            }
            if self.ours {
                return Ok(true);
            }
            self.foreign += 1;
        }
        Ok(false)
    }

    /// The frame that has come.
    pub(super) fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Whether nothing follows the frame that has come.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    fn what(&self) -> String {
        format!("the stream of `{}`", self.model)
    }

    #[cold]
    fn broken_off(&mut self) -> Error {
        self.over = true;
        let mut words = format!(
            "{} ended with neither a final response nor an error",
            self.what()
        );
        if self.foreign > 0 {
            words += &format!("; {} frames came for other requests", self.foreign);
        }
        Error::new(ErrorKind::Cut, words)
    }

    /// Whether the frame answers this request; an error, if that is what it says.
    fn is_ours(&mut self) -> Result<bool, Error> {
        let reply = &self.reply;
        let id = reply.id();
        if !id.is_empty() && id != self.id.as_bytes() {
            // Requests may share a stream; this one was opened for one alone,
            // but a proxy in between may know better.
            return Ok(false);
        }
        self.over = reply.final_flag() == Some(true);
        let words = reply.error_message();
        if !words.is_empty() {
            self.over = true;
            let words = String::from_utf8_lossy(words);
            return Err(of_frame(&self.model, &words, reply.final_flag().is_some()));
        }
        if !reply.has_response() {
            self.over = true;
            let words = "sent a frame with neither a response nor an error";
            let words = format!("`{}` {words}", self.model);
            return Err(Error::new(ErrorKind::Malformed, words));
        }
        Ok(true)
    }

    /// Lets the server close the stream, so that it is not reset behind a
    /// finished answer: beside the caller, who need not wait, and no longer than
    /// a moment for a server that keeps it open.
    pub(super) fn close(mut self) {
        // Mostly the end came with the last frame: then there is nobody to wait for.
        let now = &mut Context::from_waker(Waker::noop());
        loop {
            match self.messages.poll_next(now) {
                // The answer is whole: whatever follows, even an error, is not part of it.
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(_) => return,
                Poll::Pending => break,
            }
        }
        event_loop::spawn(async move {
            let timers = self.timers.clone();
            let rest = async { while let Ok(Some(_)) = self.messages.next().await {} };
            let _ = timers.timeout(CLOSING, rest).await;
        });
    }
}

impl Drop for Answer {
    /// An answer that is dropped before its end was given up.
    fn drop(&mut self) {
        if self.over {
            self.doubt.clear();
        }
    }
}
