//! gRPC over bare HTTP/2: streams of the engine and the ensemble by frames that
//! are made before the first token; everything else by the simulated Triton's
//! own service. Knows gRPC's prefix and trailers, no tensor.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use hyper::body::{Body as _, Frame as HttpFrame};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::codegen::{BoxFuture, Service};

use super::Desk;
use super::gather::Gather;
use super::pacing::{Beat, arrived};
use crate::engine::ByteCodec;
use crate::triton::{Asked, Frame, service};

/// What a client may send before it has to wait: a prompt never does.
const WINDOW_BYTES: u32 = 16 << 20;
/// Streams that one connection may carry at once: more than any load here.
const STREAMS_PER_CONNECTION: u32 = 1_000_000;
/// Queued bytes of one stream at which one that is not paced waits for the
/// socket, so that a message is not handed over long before it can leave.
const QUEUED_BYTES: usize = 1024;
/// The longest request that is looked at.
const REQUEST_BYTES_MAX: usize = 64 << 20;

const STREAM_PATH: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// The simulation's service, in the shape of a function: request in, reply out.
type Simulation = std::sync::Arc<
    dyn Fn(Request<Body>) -> BoxFuture<Response<Body>, std::convert::Infallible> + Send + Sync,
>;

/// What all connections share.
#[derive(Clone)]
pub(super) struct Site {
    desk: Desk,
    simulation: Simulation,
}

impl Site {
    pub(super) fn new(desk: Desk) -> Self {
        let (engine, options) = desk.simulation();
        let service = service(engine, options);
        Self {
            desk,
            simulation: std::sync::Arc::new(move |request| Box::pin(service.clone().call(request))),
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn connection(stream: TcpStream, site: Site) {
    let socket = Gather::new(stream, site.desk.clone());
    let mut handshake = h2::server::Builder::new()
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_send_buffer_size(QUEUED_BYTES)
        .handshake::<_, Frame>(socket.clone());
    let greeted = poll_fn(|context| {
        let greeted = Pin::new(&mut handshake).poll(context);
        written_out(&socket, context, greeted.map(Some))
    });
    // A client that goes away ends its connection with an error; that is its right.
    let Some(Ok(mut connection)) = greeted.await else {
        return;
    };
    loop {
        let accepted = poll_fn(|context| {
            let accepted = connection.poll_accept(context);
            written_out(&socket, context, accepted)
        });
        let Some(Ok((request, respond))) = accepted.await else {
            return;
        };
        let (site, socket) = (site.clone(), socket.clone());
        // It ends with its connection: nothing can be sent without.
        tokio::spawn(async move {
            // An error of the transport: the client has gone.
            let _ = answer(request, respond, &site, &socket).await;
        });
    }
}

/// What the connection's turn came to, after what it has to say was written;
/// `None`: nothing can be written any more.
fn written_out<T>(
    socket: &Gather,
    context: &mut Context<'_>,
    turn: Poll<Option<T>>,
) -> Poll<Option<T>> {
    match socket.poll_write_out(context) {
        Poll::Ready(Err(_)) => Poll::Ready(None),
        // Half written is no reason not to read on; the socket wakes the task.
        Poll::Ready(Ok(())) | Poll::Pending => turn,
    }
}

async fn answer(
    request: Request<RecvStream>,
    respond: SendResponse<Frame>,
    site: &Site,
    socket: &Gather,
) -> Result<(), h2::Error> {
    let (parts, mut inbound) = request.into_parts();
    let stream = respond.stream_id().as_u32();
    let mut first = None;
    if parts.uri.path() == STREAM_PATH {
        let message = first_message(&mut inbound).await?;
        // The library reads on and on in a burst before it hands a request over.
        let read_ns = socket.arrived_ns(stream);
        let arrived_ns = read_ns.unwrap_or(arrived(&site.desk).await);
        if let Some(asked) = Asked::read(&message, &ByteCodec) {
            let beat = Beat::start(&site.desk, arrived_ns, asked.id(), asked.tokens());
            let streamed = streamed(respond, beat, socket, &site.desk, &asked).await;
            return streamed.inspect_err(|_| socket.forget(stream));
        }
        first = Some(message);
    } else {
        let _ = socket.arrived_ns(stream);
    }
    let body = Body::new(Inbound { first, inbound });
    let Ok(reply) = (site.simulation)(Request::from_parts(parts, body)).await;
    aside(respond, reply).await
}

/// Reads until one message is there, whatever else comes with it.
async fn first_message(inbound: &mut RecvStream) -> Result<Bytes, h2::Error> {
    let mut read = BytesMut::new();
    while let Some(piece) = inbound.data().await {
        let piece = piece?;
        inbound.flow_control().release_capacity(piece.len())?;
        if read.is_empty() && is_whole(&piece) {
            return Ok(piece);
        }
        read.extend_from_slice(&piece);
        if is_whole(&read) || read.len() > REQUEST_BYTES_MAX {
            break;
        }
    }
    Ok(read.freeze())
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some((prefix, rest)) = bytes.split_first_chunk::<5>() else {
        return false;
    };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    usize::try_from(length).is_ok_and(|length| rest.len() >= length)
}

/// The head of a gRPC answer.
fn head() -> Response<()> {
    let mut head = Response::new(());
    let kind = HeaderValue::from_static("application/grpc");
    head.headers_mut().insert("content-type", kind);
    head
}

/// Hands over an answer, token by token. The headers go with the first, as
/// Triton's do.
async fn streamed(
    mut respond: SendResponse<Frame>,
    mut beat: Beat<'_>,
    socket: &Gather,
    desk: &Desk,
    asked: &Asked,
) -> Result<(), h2::Error> {
    let stream = respond.stream_id().as_u32();
    let mut frames = asked.frames(desk.pace.output_ids_len);
    let mut due = beat.due().await;
    let mut outbound = respond.send_response(head(), false)?;
    while due > 0 {
        for _ in 0..due {
            if desk.pace.per_token.is_zero() {
                room(&mut outbound).await?;
            }
            let frame = frames.frame(beat.total() + 1);
            beat.hand_over();
            socket.expect(stream, frame.remaining());
            outbound.send_data(frame, false)?;
        }
        due = beat.due().await;
    }
    socket.end(stream, beat.finish());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    outbound.send_trailers(trailers)
}

/// Waits until what this stream has queued has mostly left.
async fn room(outbound: &mut SendStream<Frame>) -> Result<(), h2::Error> {
    outbound.reserve_capacity(1);
    while outbound.capacity() == 0 {
        match poll_fn(|context| outbound.poll_capacity(context)).await {
            Some(capacity) => drop(capacity?),
            None => return Err(Reason::CANCEL.into()),
        }
    }
    Ok(())
}

/// Passes on what the simulation answers.
async fn aside(mut respond: SendResponse<Frame>, reply: Response<Body>) -> Result<(), h2::Error> {
    let (parts, mut body) = reply.into_parts();
    let ends = body.is_end_stream();
    let mut outbound = respond.send_response(Response::from_parts(parts, ()), ends)?;
    if ends {
        return Ok(());
    }
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else {
            outbound.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        };
        match frame.into_data() {
            Ok(data) => outbound.send_data(Frame::from(data), false)?,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                return outbound.send_trailers(trailers);
            }
        }
    }
    outbound.send_data(Frame::from(Bytes::new()), true)
}

/// A request's body, some of which may have been read.
struct Inbound {
    first: Option<Bytes>,
    inbound: RecvStream,
}

impl hyper::body::Body for Inbound {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, h2::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(HttpFrame::data(first))));
        }
        let Some(piece) = ready!(self.inbound.poll_data(context)) else {
            return Poll::Ready(None);
        };
        let piece = piece.and_then(|piece| {
            let mut flow = self.inbound.flow_control().clone();
            flow.release_capacity(piece.len())?;
            Ok(HttpFrame::data(piece))
        });
        Poll::Ready(Some(piece))
    }
}
