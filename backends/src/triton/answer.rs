//! The answer to one streamed request: frames, and where they end. Counts no
//! tokens.

use std::future::poll_fn;
use std::mem::offset_of;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::client::Doubt;
use super::grpc::Messages;
use super::reader::{Known, Reader};
use super::reply::Reply;
use super::status::{of_broken, of_frame, of_status};
use crate::{Error, ErrorKind, Timers, event_loop};

/// How long a stream may stay open after its last frame. Triton closes it at
/// once, as the request side is closed already.
const CLOSING: Duration = Duration::from_millis(50);

/// Frames of one request: what each of them needs in one cache line, and the rest.
/// Dropping it cancels the request.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Answer {
    messages: Messages,
    reader: Reader,
    /// The request's number.
    id: u64,
    over: bool,

    known: Known,
    model: String,
    timers: Timers,
    /// Frames that were for other requests.
    foreign: u64,
    doubt: Doubt,
}

const _: () = assert!(offset_of!(Answer, over) < 64);

impl Answer {
    pub(super) fn new(
        messages: Messages,
        known: &Known,
        model: String,
        id: u64,
        timers: Timers,
        doubt: Doubt,
    ) -> Self {
        Self {
            messages,
            reader: Reader::default(),
            id,
            over: false,
            known: known.clone(),
            model,
            timers,
            foreign: 0,
            doubt,
        }
    }

    /// Waits for the next frame; `None` after the one with the final flag. May be
    /// cancelled without losing a frame.
    ///
    /// The end is an error frame, the final flag, or the end of the stream,
    /// whichever comes first; the status of the call says nothing, it is OK
    /// even after errors.
    ///
    /// # Errors
    /// An error frame; [`ErrorKind::Cut`] when the stream breaks or ends
    /// without either.
    pub(super) async fn next(&mut self) -> Result<Option<Reply>, Error> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Reply>, Error>> {
        while !self.over {
            let message = match ready!(self.messages.poll_next(cx)) {
                Ok(Some(message)) => message,
                Ok(None) => return Poll::Ready(Err(self.broken_off())),
                Err(status) => {
                    self.over = true;
                    return Poll::Ready(Err(of_status(&self.what(), &status)));
                }
            };
            let reply = match self.reader.read(message, &self.known) {
                Ok(reply) => reply,
                Err(broken) => {
                    self.over = true;
                    return Poll::Ready(Err(of_broken(&self.what(), broken)));
                }
            };
            if self.is_ours(&reply)? {
                return Poll::Ready(Ok(Some(reply)));
            }
            self.foreign += 1;
        }
        Poll::Ready(Ok(None))
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
    #[inline]
    fn is_ours(&mut self, reply: &Reply) -> Result<bool, Error> {
        let id = reply.id();
        if !id.is_empty() && !is_number(id, self.id) {
            // Requests may share a stream; this one was opened for one alone,
            // but a proxy in between may know better.
            return Ok(false);
        }
        self.over = reply.final_flag() == Some(true);
        if !reply.error_message().is_empty() || !reply.has_response() {
            return Err(self.refusal(reply));
        }
        Ok(true)
    }

    /// What a frame says that is no piece of an answer.
    #[cold]
    fn refusal(&mut self, reply: &Reply) -> Error {
        self.over = true;
        let (model, words) = (&self.model, reply.error_message());
        if words.is_empty() {
            let words = "sent a frame with neither a response nor an error";
            return Error::new(ErrorKind::Malformed, format!("`{model}` {words}"));
        }
        let words = String::from_utf8_lossy(words);
        of_frame(model, &words, reply.final_flag().is_some())
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

/// Whether `digits` are how a number is written.
#[inline]
fn is_number(digits: &[u8], number: u64) -> bool {
    let mut rest = number;
    for &digit in digits.iter().rev() {
        let last = u8::try_from(rest % 10).unwrap_or_default();
        if digit != b'0' + last {
            return false;
        }
        rest /= 10;
    }
    let leads = digits.first() == Some(&b'0') && digits.len() > 1;
    rest == 0 && !digits.is_empty() && !leads
}

impl Drop for Answer {
    /// An answer that is dropped before its end was given up.
    fn drop(&mut self) {
        if self.over {
            self.doubt.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::is_number;

    #[test]
    fn a_number_is_written_in_one_way() {
        for (digits, number, is) in [
            ("", 0, false),
            ("0", 0, true),
            ("00", 0, false),
            ("07", 7, false),
            ("7", 7, true),
            ("7", 17, false),
            ("17", 7, false),
            ("1:", 20, false),
            ("18446744073709551615", u64::MAX, true),
            ("28446744073709551615", u64::MAX, false),
            ("118446744073709551615", u64::MAX, false),
        ] {
            assert_eq!(is_number(digits.as_bytes(), number), is, "{digits}");
        }
    }

    proptest! {
        #[test]
        fn as_it_is_printed(number in any::<u64>(), other in any::<u64>(), few in 0_u64..1000) {
            for number in [number, few] {
                let digits = number.to_string();
                assert!(is_number(digits.as_bytes(), number));
                assert_eq!(is_number(digits.as_bytes(), other), number == other);
            }
        }
    }
}
