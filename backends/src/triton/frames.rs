//! What the messages of one streamed request say: whose they are, and where the
//! answer ends. Knows no connection and counts no tokens.

use bytes::Bytes;
use tonic::Status;

use super::reader::{Known, Reader};
use super::reply::Reply;
use super::status::{of_broken, of_frame, of_status};
use crate::{Error, ErrorKind};

/// The frames of one request, one after the other.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Frames {
    reader: Reader,
    /// The request's number.
    id: u64,
    about: Box<About>,
    over: bool,
}

/// What a frame does not need, out of the way of what it does.
#[derive(Debug)]
struct About {
    known: Known,
    model: String,
    /// Frames that were for other requests.
    foreign: u64,
}

impl Frames {
    /// Those that answer the request with number `id` to `model`.
    pub(super) fn new(known: Known, model: String, id: u64) -> Self {
        Self {
            reader: Reader::default(),
            id,
            about: Box::new(About {
                known,
                model,
                foreign: 0,
            }),
            over: false,
        }
    }

    /// Whether nothing follows.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Has nothing follow: what came last makes no sense.
    #[cold]
    pub(super) fn stop(&mut self) {
        self.over = true;
    }

    /// The frame that a message is; `None` where it is for another request.
    ///
    /// The end is an error frame, the final flag, or the end of the stream,
    /// whichever comes first; the status of the call says nothing, it is OK
    /// even after errors.
    ///
    /// # Errors
    /// An error frame, or a message that is none. It was the last.
    #[inline]
    pub(super) fn read(&mut self, message: Bytes) -> Result<Option<Reply>, Error> {
        match self.reader.read(message, &self.about.known) {
            Ok(reply) if self.is_ours(&reply)? => Ok(Some(reply)),
            Ok(_) => {
                self.about.foreign += 1;
                Ok(None)
            }
            Err(broken) => {
                self.over = true;
                Err(of_broken(&self.what(), broken))
            }
        }
    }

    /// Why a stream ended without a frame that ends the answer.
    ///
    /// Also [`ErrorKind::Cut`] when there is no reason.
    #[cold]
    pub(super) fn broken_off(&mut self, status: Option<&Status>) -> Error {
        self.over = true;
        if let Some(status) = status {
            return of_status(&self.what(), status);
        }
        let mut words = format!(
            "{} ended with neither a final response nor an error",
            self.what()
        );
        if self.about.foreign > 0 {
            words += &format!("; {} frames came for other requests", self.about.foreign);
        }
        Error::new(ErrorKind::Cut, words)
    }

    fn what(&self) -> String {
        format!("the stream of `{}`", self.about.model)
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
        let (model, words) = (&self.about.model, reply.error_message());
        if words.is_empty() {
            let words = "sent a frame with neither a response nor an error";
            return Error::new(ErrorKind::Malformed, format!("`{model}` {words}"));
        }
        let words = String::from_utf8_lossy(words);
        of_frame(model, &words, reply.final_flag().is_some())
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
