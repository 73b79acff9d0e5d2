//! A proxy in front of a Triton server: passes every call and answer on
//! unchanged, but for those of the chosen requests.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use crate::door::{Aim, Book, Door, reset};
use crate::frame::{self, Answer, Frame};
use crate::pump::{Order, goodbye, pump};
use crate::row::{Case, Fault};

/// A step of an answer.
#[derive(Clone, Debug)]
pub enum Act {
    Frame(Frame),
    /// A message of a stream, whatever it is.
    Message(Vec<u8>),
    /// Bytes of the body, with no prefix of ours.
    Data(Vec<u8>),
    /// Other headers than an answer of gRPC has.
    Head(u16, &'static str),
    /// The status, in front of which nothing need have come.
    Status(i32, &'static str),
    /// The end, without a status.
    End,
    Reset(Reason),
    Line(Order),
    /// This message again and again, until nobody listens.
    Flood(Vec<u8>),
    Wait(Duration),
    /// Says nothing more.
    Hold,
}

/// The proxy's share of a run.
pub struct GrpcProxy {
    pub upstream: SocketAddr,
    pub door: Arc<Door>,
    pub book: Arc<Book>,
    pub aim: Aim,
    pub cases: Arc<Vec<Case>>,
    pub tls: Option<TlsAcceptor>,
    /// The case of each chosen request.
    pub chosen: Mutex<HashMap<u64, usize>>,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl GrpcProxy {
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut listener = Some(listener);
        let socket = TcpStream::connect(self.upstream).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (upstream, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        loop {
            let socket = self.door.next(&mut listener).await;
            tokio::spawn(Arc::clone(&self).connection(socket, upstream.clone()));
        }
    }

    async fn connection(self: Arc<Self>, socket: TcpStream, upstream: SendRequest<Bytes>) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (orders, heard) = unbounded_channel();
        let door = Arc::clone(&self.door);
        if let Some(tls) = self.tls.clone() {
            let Ok(mut socket) = tls.accept(socket).await else {
                return;
            };
            tokio::spawn(async move {
                if pump(&mut socket, theirs, heard, &door).await {
                    reset(socket.get_ref().0);
                }
            });
        } else {
            let mut socket = socket;
            tokio::spawn(async move {
                if pump(&mut socket, theirs, heard, &door).await {
                    reset(&socket);
                }
            });
        }
        let Ok(mut calls) = h2::server::handshake(ours).await else {
            return;
        };
        while let Some(Ok((request, respond))) = calls.accept().await {
            let call = Call {
                proxy: Arc::clone(&self),
                upstream: upstream.clone(),
                orders: orders.clone(),
                respond,
                sending: None,
            };
            tokio::spawn(async move {
                // A client that does not listen any more is none of its business.
                let _ = call.answer(request).await;
            });
        }
    }

    /// What is to be done to the answer of this call.
    fn fault(&self, path: &str, model: &str, id: u64) -> Option<Fault> {
        let streams = path.ends_with("/ModelStreamInfer");
        let first = self.cases.iter().any(
            |case| matches!(&case.fault, Fault::Call(called, _) if *called == "preprocessing"),
        );
        // Whoever tokenizes for the run itself, or asks for no request, is not meant.
        let arrives = if first {
            model == "preprocessing" && id > 0
        } else {
            streams
        };
        if arrives && let Some(case) = self.book.arrived(id, &self.aim) {
            self.chosen.lock().unwrap().insert(id, case);
        }
        let case = *self.chosen.lock().unwrap().get(&id)?;
        let fault = self.cases[case].fault.clone();
        let meant = match &fault {
            Fault::Call(called, _) => !streams && *called == model,
            _ => streams,
        };
        meant.then_some(fault)
    }
}

/// A call of the client.
struct Call {
    proxy: Arc<GrpcProxy>,
    upstream: SendRequest<Bytes>,
    orders: UnboundedSender<Order>,
    respond: SendResponse<Bytes>,
    sending: Option<SendStream<Bytes>>,
}

impl Call {
    async fn answer(self, request: Request<RecvStream>) -> Result<(), Failed> {
        let (parts, body) = request.into_parts();
        let body = read(body).await?;
        let (model, id) = frame::asked(&body);
        let path = parts.uri.path().to_owned();
        let infers = path.ends_with("Infer");
        let fault = infers
            .then(|| self.proxy.fault(&path, &model, id))
            .flatten();
        let asked = Request::from_parts(parts, ());
        let (response, mut sending) = self
            .upstream
            .clone()
            .ready()
            .await?
            .send_request(asked, false)?;
        sending.send_data(body.into(), true)?;
        let response = response.await?;
        match fault {
            None => self.pass(response).await,
            Some(Fault::Next(dealt, connections)) => {
                self.proxy.door.arm(dealt, connections);
                self.orders.send(Order::Inject(goodbye()))?;
                self.pass(response).await
            }
            Some(Fault::Stream(acts)) => {
                let whole = read(response.into_body()).await?;
                let messages = frame::messages(&whole);
                let frames = messages.into_iter().map(Frame::of_stream).collect();
                self.play(acts(Answer {
                    model,
                    id: id.to_string(),
                    frames,
                }))
                .await
            }
            Some(Fault::Call(_, acts)) => {
                let whole = read(response.into_body()).await?;
                let messages = frame::messages(&whole);
                let frames = messages.into_iter().map(Frame::of_call).collect();
                self.play(acts(Answer {
                    model,
                    id: id.to_string(),
                    frames,
                }))
                .await
            }
            Some(Fault::Http(_)) => unreachable!("no fault of gRPC"),
        }
    }

    /// The server's answer as it comes.
    async fn pass(mut self, response: Response<RecvStream>) -> Result<(), Failed> {
        let (parts, mut body) = response.into_parts();
        let alone = body.is_end_stream();
        let mut sending = self
            .respond
            .send_response(Response::from_parts(parts, ()), alone)?;
        if alone {
            return Ok(());
        }
        while let Some(piece) = body.data().await {
            let piece = piece?;
            let _ = body.flow_control().release_capacity(piece.len());
            sending.send_data(piece, false)?;
        }
        match body.trailers().await? {
            Some(trailers) => sending.send_trailers(trailers)?,
            None => sending.send_data(Bytes::new(), true)?,
        }
        Ok(())
    }

    async fn play(mut self, acts: Vec<Act>) -> Result<(), Failed> {
        for act in acts {
            match act {
                Act::Frame(frame) => self.data(frame::framed(&frame.stream()))?,
                Act::Message(message) => self.data(frame::framed(&message))?,
                Act::Data(bytes) => self.data(bytes)?,
                Act::Head(status, kind) => {
                    let head = Response::builder()
                        .status(status)
                        .header("content-type", kind);
                    self.sending = Some(self.respond.send_response(head.body(())?, false)?);
                }
                Act::Status(code, words) => return self.status(code, words),
                Act::End => return Ok(self.sending()?.send_data(Bytes::new(), true)?),
                Act::Reset(reason) => {
                    self.sending()?.send_reset(reason);
                    return Ok(());
                }
                Act::Line(order) => self.orders.send(order)?,
                Act::Wait(time) => tokio::time::sleep(time).await,
                Act::Flood(message) => return self.flood(frame::framed(&message).into()).await,
                Act::Hold => break,
            }
        }
        self.until_reset().await;
        Ok(())
    }

    fn sending(&mut self) -> Result<&mut SendStream<Bytes>, Failed> {
        if self.sending.is_none() {
            let head = Response::builder().header("content-type", "application/grpc");
            self.sending = Some(self.respond.send_response(head.body(())?, false)?);
        }
        self.sending.as_mut().ok_or_else(|| "no answer".into())
    }

    fn data(&mut self, bytes: Vec<u8>) -> Result<(), Failed> {
        Ok(self.sending()?.send_data(bytes.into(), false)?)
    }

    fn status(&mut self, code: i32, words: &str) -> Result<(), Failed> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.to_string().parse()?);
        trailers.insert("grpc-message", words.parse()?);
        match &mut self.sending {
            Some(sending) => sending.send_trailers(trailers)?,
            None => {
                let head = Response::builder().header("content-type", "application/grpc");
                let mut head = head.body(())?;
                head.headers_mut().extend(trailers);
                self.respond.send_response(head, true)?;
            }
        }
        Ok(())
    }

    async fn flood(mut self, message: Bytes) -> Result<(), Failed> {
        let sending = self.sending()?;
        loop {
            sending.reserve_capacity(message.len());
            while sending.capacity() < message.len() {
                match poll_fn(|cx| sending.poll_capacity(cx)).await {
                    Some(Ok(_)) => {}
                    _ => return Ok(()),
                }
            }
            sending.send_data(message.clone(), false)?;
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the client has given the call up.
    async fn until_reset(&mut self) {
        match &mut self.sending {
            Some(sending) => drop(poll_fn(|cx| sending.poll_reset(cx)).await),
            None => drop(poll_fn(|cx| self.respond.poll_reset(cx)).await),
        }
    }
}

async fn read(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
