//! Frames that are taken where HTTP/2 reads them, and no task woken for each. Knows
//! no tensor.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::frames::Frames;
use super::grpc::Messages;
use super::reply::Reply;
use super::unframer::Unframer;
use crate::http2::Listener;
use crate::{Error, Sink};

/// What becomes of an answer's frames. The sink is its own while it listens.
pub(super) trait Taker: Send + 'static {
    /// The sink that frames are told to.
    fn sink(&mut self) -> &mut Sink;

    /// The same, only to be looked at.
    fn lent(&self) -> &Sink;

    /// Takes a frame.
    ///
    /// # Errors
    /// When it makes no sense. It was the last.
    fn take(&mut self, reply: &Reply) -> Result<(), Error>;

    /// The last frame was taken, and all went well.
    fn end(&mut self);
}

/// Who listens to a call: what a token's frame needs in front, in a cache line of
/// its own and the next (see [`Sink`]).
#[repr(C, align(64))]
pub(super) struct Ear<T> {
    unframer: Unframer,
    frames: Frames,
    taker: T,
    end: Option<Result<(), Error>>,
}

/// Bytes of it before the taker: eight are left of the first cache line.
pub(super) const BEFORE_TAKER: usize = size_of::<Unframer>() + size_of::<Frames>();

impl<T: Taker> Listener for Ear<T> {
    #[inline]
    fn hear(&mut self, piece: Bytes) -> bool {
        if self.frames.is_over() {
            // The answer is whole: whatever follows, even an error, is not part of it.
            return false;
        }
        let mut message = self.unframer.take(piece);
        loop {
            let taken = match message {
                // One that does not end is for the task to give up.
                Ok(None) => return self.taker.sink().is_given_up(),
                Ok(Some(message)) => self.take(message),
                Err(status) => Err(self.frames.broken_off(Some(&status))),
            };
            if self.frames.is_over() {
                self.end = Some(taken);
                return true;
            }
            message = self.unframer.next();
        }
    }

    #[inline]
    fn look_ahead(&self) -> u64 {
        self.taker.lent().look_ahead() ^ u64::from(self.frames.is_over())
    }
}

impl<T: Taker> Ear<T> {
    pub(super) fn new(unframer: Unframer, frames: Frames, taker: T) -> Self {
        Self {
            unframer,
            frames,
            taker,
            end: None,
        }
    }

    /// The taker, and how the answer ended.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn into_parts(self) -> (T, Option<Result<(), Error>>) {
        (self.taker, self.end)
    }

    #[inline]
    fn take(&mut self, message: Bytes) -> Result<(), Error> {
        let Some(reply) = self.frames.read(message)? else {
            return Ok(());
        };
        let frames = &mut self.frames;
        self.taker.take(&reply).inspect_err(|_| frames.stop())?;
        if self.frames.is_over() {
            self.taker.end();
        }
        Ok(())
    }
}

/// An answer that is listened to. The sink that was lent for it comes back when it
/// is given up, too.
pub(super) struct Listening<'a, T: Taker> {
    messages: &'a mut Messages,
    sink: &'a mut Sink,
    taken_back: Option<(T, Frames)>,
}

impl<'a, T: Taker> Listening<'a, T> {
    /// Has the frames of a call taken by `taker`, whose sink is `sink` meanwhile.
    pub(super) fn new(
        messages: &'a mut Messages,
        frames: Frames,
        sink: &'a mut Sink,
        mut taker: T,
    ) -> Self {
        std::mem::swap(sink, taker.sink());
        let (call, unframer) = messages.lend();
        call.listen(Box::new(Ear::new(unframer, frames, taker)));
        Self {
            messages,
            sink,
            taken_back: None,
        }
    }

    /// How the answer ended; `None`: its call did, and the frames do not say why.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), Error>>> {
        let end = |ear: &mut Ear<T>| ear.end.take();
        self.messages.body().poll_listener(cx, end)
    }

    /// Stops listening: what took the frames, and what is known of them. `None` when
    /// that is done already.
    pub(super) fn stop(&mut self) -> Option<(T, Frames)> {
        self.take_back();
        self.taken_back.take()
    }

    fn take_back(&mut self) {
        let Some(ear) = self.messages.body().unlisten::<Ear<T>>() else {
            return;
        };
        let Ear {
            unframer,
            frames,
            mut taker,
            ..
        } = *ear;
        std::mem::swap(self.sink, taker.sink());
        self.messages.take_back(unframer);
        self.taken_back = Some((taker, frames));
    }
}

impl<T: Taker> Drop for Listening<'_, T> {
    fn drop(&mut self) {
        self.take_back();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;

    use super::super::direct::heard;
    use super::super::proto::infer_parameter::ParameterChoice;
    use super::super::proto::model_infer_response::InferOutputTensor;
    use super::super::proto::{InferParameter, ModelInferResponse, ModelStreamInferResponse};
    use crate::ErrorKind;

    /// A frame of the engine's behind a prompt of two, as it goes over the wire;
    /// `None`: the one without outputs that ends an answer.
    fn frame(length: Option<u32>, last: bool) -> Vec<u8> {
        let output = |name: &str| InferOutputTensor {
            name: name.to_owned(),
            datatype: "UINT32".to_owned(),
            ..InferOutputTensor::default()
        };
        let flag = InferParameter {
            parameter_choice: Some(ParameterChoice::BoolParam(last)),
        };
        let mut response = ModelInferResponse {
            id: "7".to_owned(),
            parameters: [("triton_final_response".to_owned(), flag)].into(),
            ..ModelInferResponse::default()
        };
        if let Some(length) = length {
            response.outputs = vec![output("sequence_length"), output("output_ids")];
            response.raw_output_contents =
                vec![length.to_le_bytes().to_vec().into(), vec![1; 64].into()];
        }
        let message = ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(response),
        };
        let message = message.encode_to_vec();
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        [&[0][..], &length, &message].concat()
    }

    fn marks(pieces: &[Vec<u8>]) -> (Vec<u32>, Option<Result<(), ErrorKind>>) {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
        let (trace, end) = heard(pieces);
        let tokens = trace.marks.iter().map(|mark| mark.tokens).collect();
        (tokens, end.map(|end| end.map_err(|error| error.kind)))
    }

    #[test]
    fn frames_are_marks_to_the_last() {
        let frames = [
            frame(Some(3), false),
            frame(Some(5), false),
            frame(Some(6), false),
            frame(None, true),
            frame(Some(9), false),
        ];
        assert_eq!(marks(&frames), (vec![1, 2, 1], Some(Ok(()))));
        assert_eq!(marks(&frames[..3]), (vec![1, 2, 1], None));
        assert_eq!(marks(&[frames.concat()]), (vec![1, 2, 1], Some(Ok(()))));
    }

    #[test]
    fn nothing_follows_a_frame_that_makes_no_sense() {
        let frames = [
            frame(Some(5), false),
            frame(Some(4), false),
            frame(Some(6), false),
            frame(None, true),
        ];
        let shrunk = (vec![3], Some(Err(ErrorKind::Malformed)));
        assert_eq!(marks(&frames), shrunk);
        assert_eq!(marks(&[frames.concat()]), shrunk);
    }
}
