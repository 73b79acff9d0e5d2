//! Triton Inference Server over gRPC.
use crate::*;
use std::net::TcpListener;
use std::sync::Arc;
pub(crate) fn connect_tis(_t: Target) -> Result<Arc<dyn Backend>, Error> {
    Err(Error::new(ErrorKind::Connect, ""))
}
pub(crate) use connect_tis as connect_chatbot;
pub(crate) use connect_tis as connect_direct;
pub(crate) use connect_tis as connect_ensemble;
pub(crate) use connect_tis as connect_python;
pub(crate) fn serve(_l: TcpListener, _e: engine::Engine, _o: ServeOptions) -> Served {
    Box::pin(async { Ok(()) })
}
