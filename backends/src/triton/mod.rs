//! Triton Inference Server over gRPC: five ways of asking, one simulated
//! server. The wire's facts were seen on Triton 2.51 or read in LMDeploy's
//! source (v0.1 to v0.5); each stands beside the code that relies on it.

mod address;
mod answer;
mod ask;
mod budget;
mod chain;
mod chatbot;
mod client;
mod dial;
mod dialect;
mod direct;
mod ear;
mod ensemble;
mod fields;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grpc;
mod layout;
mod line;
mod proto;
mod python;
mod reader;
mod reply;
mod repository;
mod server;
mod status;
mod texts;
mod tis;
mod turbomind;
mod unframer;
mod wire;

use std::sync::Arc;

use crate::{Backend, Error, Target};

pub(crate) use server::{Asked, Frame, serve, service};

/// The name of the folder in the served repository.
const TURBOMIND: &str = "turbomind";

/// See [`crate::ALL`].
pub(crate) fn connect_tis(target: Target) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(tis::Tis::new(target)?))
}

/// See [`crate::ALL`].
pub(crate) fn connect_chatbot(target: Target) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(chatbot::Chatbot::new(target)?))
}

/// See [`crate::ALL`].
pub(crate) fn connect_direct(target: Target) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(direct::Direct::new(target)?))
}

/// See [`crate::ALL`].
pub(crate) fn connect_ensemble(target: Target) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(ensemble::Ensemble::new(target)?))
}

/// See [`crate::ALL`].
pub(crate) fn connect_python(target: Target) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(python::Python::new(target)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{chatbot, direct, ensemble, python, tis};
    use crate::{PromptMode, Target};

    #[test]
    fn no_client_shows_its_key() {
        let target = || Target {
            address: "127.0.0.1:8001".to_owned(),
            model: None,
            api_key: Some("open-sesame".to_owned()),
            tls: crate::Tls::default(),
            prompt_mode: PromptMode::Raw,
            connect_timeout: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(1),
        };
        for shown in [
            format!("{:#?}", tis::Tis::new(target()).expect("good")),
            format!("{:#?}", chatbot::Chatbot::new(target()).expect("good")),
            format!("{:#?}", direct::Direct::new(target()).expect("good")),
            format!("{:#?}", ensemble::Ensemble::new(target()).expect("good")),
            format!("{:#?}", python::Python::new(target()).expect("good")),
        ] {
            assert!(shown.contains("127.0.0.1:8001"), "{shown}");
            assert!(!shown.contains("sesame"), "{shown}");
        }
    }
}
