//! A simulated Triton server: LMDeploy's models over the simulated engine, by
//! the real protocol over real sockets. Judges requests as Triton 2.51 does,
//! in its words; knows no client.

mod catalog;
mod check;
mod cut;
mod lane;
mod models;
mod reply;
mod service;
mod socket;
mod statistics;

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;

use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::transport::Server;

use super::proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::status::chain_of;
use super::wire::MESSAGE_LIMIT_BYTES;
use crate::engine::Engine;
use crate::{Error, ErrorKind, ServeOptions, Served};

pub(crate) use lane::{Asked, Frame};

/// Streams that one connection may carry at once: more than any load here.
const STREAMS_PER_CONNECTION: u32 = 100_000;

/// The service itself, for whoever brings the transport.
pub(crate) fn service(
    engine: Engine,
    options: ServeOptions,
) -> impl Service<
    http::Request<Body>,
    Response = http::Response<Body>,
    Error = Infallible,
    Future: Send + 'static,
> + NamedService
+ Clone
+ Send
+ Sync
+ 'static {
    let simulation = Arc::new(models::Simulation::new(engine, options));
    let service = GrpcInferenceServiceServer::new(service::Service::new(simulation))
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES);
    cut::Cutting::new(service)
}

/// Serves the engine on a bound listener. Dropping the future closes the
/// listener and every connection.
pub(crate) fn serve(listener: TcpListener, engine: Engine, options: ServeOptions) -> Served {
    Box::pin(async move {
        let unusable = |error: std::io::Error| {
            let words = format!("the listening socket cannot be used: {error}");
            Error::new(ErrorKind::Connect, words)
        };
        listener.set_nonblocking(true).map_err(unusable)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
        let life = socket::Life::default();
        let connect = options.connect;
        let sockets = TcpListenerStream::new(listener).map(|accepted| {
            let accepted = accepted?;
            // tonic's own setting does not reach sockets that are handed in,
            // and without it every first token waits some 40 ms.
            accepted.set_nodelay(true)?;
            Ok::<_, std::io::Error>(life.socket(accepted, connect))
        });
        Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .add_service(service(engine, options))
            .serve_with_incoming(sockets)
            .await
            .map_err(|error| {
                let words = format!("the simulated server stopped: {}", chain_of(&error));
                Error::new(ErrorKind::Server, words)
            })
    })
}
