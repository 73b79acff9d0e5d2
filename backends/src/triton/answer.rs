//! The answer to one streamed request: frames, and where they end. Counts no
//! tokens.

use std::time::Duration;

use tonic::Streaming;

use super::proto::infer_parameter::ParameterChoice;
use super::proto::{ModelInferResponse, ModelStreamInferResponse};
use super::status::{of_frame, of_status};
use crate::{Error, ErrorKind};

/// How long a stream may stay open after its last frame. Triton closes it at
/// once, as the request side is closed already.
const CLOSING: Duration = Duration::from_millis(50);

/// Frames of one request. Dropping it cancels the request.
#[derive(Debug)]
pub(super) struct Answer {
    stream: Streaming<ModelStreamInferResponse>,
    model: String,
    id: String,
    over: bool,
}

/// One response.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) response: ModelInferResponse,
    /// Nothing follows.
    pub(super) last: bool,
}

impl Answer {
    pub(super) fn new(
        stream: Streaming<ModelStreamInferResponse>,
        model: String,
        id: String,
    ) -> Self {
        Self {
            stream,
            model,
            id,
            over: false,
        }
    }

    /// The next frame; `None` after the one with the final flag. May be
    /// cancelled without losing a frame.
    ///
    /// The end is an error frame, the final flag, or the end of the stream,
    /// whichever comes first; the status of the call says nothing, it is OK
    /// even after errors.
    ///
    /// # Errors
    /// An error frame; [`ErrorKind::Cut`] when the stream breaks or ends
    /// without either.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, Error> {
        while !self.over {
            let message = match self.stream.message().await {
                Ok(message) => message,
                Err(status) => {
                    self.over = true;
                    return Err(of_status(
                        &format!("the stream of `{}`", self.model),
                        &status,
                    ));
                }
            };
            let Some(message) = message else {
                self.over = true;
                return Err(Error::new(
                    ErrorKind::Cut,
                    format!(
                        "the stream of `{}` ended with neither a final response nor an error",
                        self.model
                    ),
                ));
            };
            if let Some(frame) = self.frame(message)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Reads a message; `None` when it answers another request.
    fn frame(&mut self, message: ModelStreamInferResponse) -> Result<Option<Frame>, Error> {
        let id = message
            .infer_response
            .as_ref()
            .map_or("", |response| &response.id);
        if !id.is_empty() && id != self.id {
            // Requests may share a stream; this one was opened for one alone,
            // but a proxy in between may know better.
            return Ok(None);
        }
        let flag = message.infer_response.as_ref().and_then(final_flag);
        if !message.error_message.is_empty() {
            self.over = true;
            return Err(of_frame(
                &self.model,
                &message.error_message,
                flag.is_some(),
            ));
        }
        let Some(response) = message.infer_response else {
            self.over = true;
            return Err(Error::new(
                ErrorKind::Malformed,
                format!(
                    "`{}` sent a frame with neither a response nor an error",
                    self.model
                ),
            ));
        };
        let last = flag == Some(true);
        self.over = last;
        Ok(Some(Frame { response, last }))
    }

    /// Lets the server close the stream, so that it is not reset behind a
    /// finished answer: beside the caller, who need not wait, and no longer than
    /// a moment for a server that keeps it open.
    pub(super) fn close(mut self) {
        tokio::spawn(async move {
            // The answer is whole: whatever follows, even an error, is not part of it.
            let _ = tokio::time::timeout(CLOSING, async {
                while let Ok(Some(_)) = self.stream.message().await {}
            })
            .await;
        });
    }
}

/// `triton_final_response`, where the frame has it. A frame that refuses the
/// request before the model got it does not.
fn final_flag(response: &ModelInferResponse) -> Option<bool> {
    let flag = response.parameters.get("triton_final_response")?;
    match flag.parameter_choice {
        Some(ParameterChoice::BoolParam(last)) => Some(last),
        _ => None,
    }
}
