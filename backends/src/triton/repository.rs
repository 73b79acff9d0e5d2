//! What a Triton server has: its models, their configurations and counters,
//! and which of our ways fits them. Asks nothing while the clock runs.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::TURBOMIND;
use super::client::Client;
use super::proto::{
    ModelConfig, ModelConfigRequest, ModelReadyRequest, ModelStatisticsRequest,
    RepositoryIndexRequest, ServerMetadataRequest, ServerReadyRequest, StatisticDuration,
};
use super::status::of_status;
use super::texts::{POSTPROCESSING, PREPROCESSING};
use crate::{Error, ErrorKind, ServerCounters, ServerInfo, excerpt};

/// The name that our own simulated server answers to.
pub(super) const SIMULATED: &str = "pairbench-simulated-triton";

/// LMDeploy's later python model.
pub(super) const LMDEPLOY_MODEL: &str = "lmdeploy_model";

/// Asks whether the server and the models that a way needs are ready, and who
/// the server is.
///
/// # Errors
/// [`ErrorKind::Connect`] when nobody answers, [`ErrorKind::Protocol`] when
/// somebody else does, [`ErrorKind::Model`] when a model is missing, with a
/// list of what is there and the way that fits it.
pub(super) async fn probe(client: &Client, needed: &[&str]) -> Result<ServerInfo, Error> {
    let mut stub = client.stub().await?;
    let ready = client
        .untimed("whether it is ready", async {
            let request = client.request(ServerReadyRequest {});
            let answer = stub.server_ready(request).await;
            answer.map_err(|status| of_status("asking whether the server is ready", &status))
        })
        .await;
    let ready = match ready {
        Ok(answer) => answer.into_inner().ready,
        Err(error) => return Err(client.hinted(who_answers(client, error).await)),
    };
    if !ready {
        let words = format!(
            "{} is up and not ready; wait for its models",
            client.authority()
        );
        return Err(Error::new(ErrorKind::Model, words));
    }
    client
        .untimed("about its models", require(client, needed))
        .await?;
    client.untimed("with its name", name_of(client)).await
}

async fn name_of(client: &Client) -> Result<ServerInfo, Error> {
    let request = client.request(ServerMetadataRequest {});
    let metadata = client.stub().await?.server_metadata(request).await;
    let metadata = metadata.map_err(|status| of_status("asking for the server's name", &status))?;
    let metadata = metadata.into_inner();
    Ok(ServerInfo {
        server: excerpt(&format!("{} {}", metadata.name, metadata.version)),
        simulated: metadata.name == SIMULATED,
        ..ServerInfo::default()
    })
}

async fn require(client: &Client, needed: &[&str]) -> Result<(), Error> {
    for &model in needed {
        let request = client.request(ModelReadyRequest {
            name: model.to_owned(),
            ..ModelReadyRequest::default()
        });
        let ready = match client.stub().await?.model_ready(request).await {
            Ok(answer) => answer.into_inner().ready,
            Err(status) => {
                let error = of_status(&format!("asking whether `{model}` is ready"), &status);
                if error.kind != ErrorKind::Model {
                    return Err(error);
                }
                false
            }
        };
        if !ready {
            return Err(missing(client, &format!("model `{model}` is not ready there")).await);
        }
    }
    Ok(())
}

/// A complaint about a model, with what the repository has instead.
pub(super) async fn missing(client: &Client, complaint: &str) -> Error {
    let have = match Inventory::of(client).await {
        Ok(inventory) => inventory.in_words(),
        Err(error) => format!("its repository cannot be listed ({error})"),
    };
    Error::new(
        ErrorKind::Model,
        format!("{complaint} ({}); {have}", client.authority()),
    )
}

/// The ready models of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    models: Vec<String>,
    /// Those that chain others.
    pub(super) ensembles: Vec<String>,
}

impl Inventory {
    /// Asks the server.
    ///
    /// # Errors
    /// Its refusal to list its repository.
    pub(super) async fn of(client: &Client) -> Result<Self, Error> {
        let request = client.request(RepositoryIndexRequest::default());
        let index = client.stub().await?.repository_index(request).await;
        let index = index.map_err(|status| of_status("listing the models", &status))?;
        let mut models: Vec<String> = index
            .into_inner()
            .models
            .into_iter()
            .filter(|model| model.state == "READY")
            .map(|model| model.name)
            .collect();
        models.sort_unstable();
        models.dedup();
        let mut ensembles = Vec::new();
        for model in &models {
            if config_of(client, model)
                .await
                .is_ok_and(|config| config.platform == "ensemble")
            {
                ensembles.push(model.clone());
            }
        }
        Ok(Self { models, ensembles })
    }

    fn in_words(&self) -> String {
        if self.models.is_empty() {
            return "no model is ready on this server".to_owned();
        }
        let list = excerpt(&self.models.join(", "));
        let fitting = self.fitting();
        if fitting.is_empty() {
            format!("ready are {list}; none of the tis backends fits them without --model")
        } else {
            format!(
                "ready are {list}; try --backend {}",
                fitting.join(" or --backend ")
            )
        }
    }

    /// The backends that these models can serve.
    fn fitting(&self) -> Vec<String> {
        let has = |name: &str| self.models.iter().any(|model| model == name);
        let mut ways = Vec::new();
        if has(TURBOMIND) && has(PREPROCESSING) && has(POSTPROCESSING) {
            ways.push("tis".to_owned());
        } else if has(TURBOMIND) {
            ways.push("tis-direct".to_owned());
        }
        match &self.ensembles[..] {
            [] => {}
            [_] => ways.push("tis-ensemble".to_owned()),
            [first, ..] => ways.push(format!("tis-ensemble --model {first}")),
        }
        if has(LMDEPLOY_MODEL) {
            ways.push("tis-python".to_owned());
        }
        ways
    }
}

/// A model's configuration.
///
/// # Errors
/// The server's refusal; [`ErrorKind::Model`] when it has no such model.
pub(super) async fn config_of(client: &Client, model: &str) -> Result<ModelConfig, Error> {
    let request = client.request(ModelConfigRequest {
        name: model.to_owned(),
        ..ModelConfigRequest::default()
    });
    let answer = client.stub().await?.model_config(request).await;
    let what = || format!("asking for the configuration of `{model}`");
    let answer = answer.map_err(|status| of_status(&what(), &status))?;
    answer.into_inner().config.ok_or_else(|| {
        let words = format!("{}: the answer is empty", what());
        Error::new(ErrorKind::Malformed, words)
    })
}

/// A whole number among a configuration's parameters.
pub(super) fn integer_parameter(config: &ModelConfig, name: &str) -> Option<u32> {
    config
        .parameters
        .get(name)?
        .string_value
        .trim()
        .parse()
        .ok()
}

/// Requests that run at once: the instances of a model whose backend blocks one
/// for each request, as turbomind's does. A python model may take any number
/// per instance, so its count says nothing.
pub(super) fn running_limit(config: &ModelConfig) -> Option<u32> {
    if config.backend != TURBOMIND {
        return None;
    }
    let count: u64 = config
        .instance_group
        .iter()
        .filter_map(|group| u64::try_from(group.count).ok())
        .sum();
    u32::try_from(count).ok().filter(|&count| count > 0)
}

/// Whether a model's answers may overtake each other: several instances work on
/// them, and no scheduler puts them in the order of the requests again (seen on
/// 2.51; LMDeploy's postprocessing has 16 instances).
pub(super) fn loses_order(config: &ModelConfig) -> bool {
    let ordered = config.dynamic_batching.as_ref();
    let instances: u64 = config
        .instance_group
        .iter()
        .map(|group| {
            let on_each = u64::try_from(group.count).unwrap_or(0);
            on_each * u64::try_from(group.gpus.len().max(1)).unwrap_or(1)
        })
        .sum();
    instances > 1 && !ordered.is_some_and(|batching| batching.preserve_ordering)
}

/// ModelStatistics of every model, as `MODEL.FIELD`.
///
/// # Errors
/// The server's refusal.
pub(super) async fn counters(client: &Client) -> Result<ServerCounters, Error> {
    client
        .untimed("with its statistics", async {
            let request = client.request(ModelStatisticsRequest::default());
            let answer = client.stub().await?.model_statistics(request).await;
            let answer = answer.map_err(|status| of_status("asking for statistics", &status))?;
            let mut values = BTreeMap::new();
            for model in answer.into_inner().model_stats {
                let mut add = |field: &str, value: u64| {
                    // Exact up to 2^53 ns, 104 days of counted time.
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "counters are compared, not kept"
                    )]
                    let value = value as f64;
                    *values
                        .entry(format!("{}.{field}", model.name))
                        .or_insert(0.0) += value;
                };
                add("count", model.inference_count);
                add("executions", model.execution_count);
                let stats = model.inference_stats.unwrap_or_default();
                let mut part = |name: &str, part: Option<StatisticDuration>| {
                    let part = part.unwrap_or_default();
                    add(&format!("{name}_count"), part.count);
                    add(&format!("{name}_ns"), part.ns);
                };
                part("success", stats.success);
                part("fail", stats.fail);
                part("queue", stats.queue);
                part("compute_input", stats.compute_input);
                part("compute_infer", stats.compute_infer);
                part("compute_output", stats.compute_output);
            }
            Ok(ServerCounters { values })
        })
        .await
}

/// The failure of a first call, after a look at who is behind the port.
async fn who_answers(client: &Client, error: Error) -> Error {
    match error.kind {
        ErrorKind::Cut | ErrorKind::Protocol | ErrorKind::Server | ErrorKind::Connect => {}
        _ => return error,
    }
    let authority = client.authority();
    let wait = client.probe_timeout().min(Duration::from_secs(2));
    let speaks_http = client.timers().timeout(wait, speaks_http(authority)).await;
    if speaks_http.unwrap_or(false) {
        return Error::new(
            ErrorKind::Protocol,
            format!(
                "{authority}: this looks like an HTTP server; use --backend api_server or \
                 Triton's gRPC port (default 8001; LMDeploy 33337)"
            ),
        );
    }
    let kind = match error.kind {
        ErrorKind::Connect => ErrorKind::Connect,
        _ => ErrorKind::Protocol,
    };
    Error::new(
        kind,
        format!(
            "{authority} does not answer as a Triton gRPC server: {}",
            error.message
        ),
    )
}

/// Whether an HTTP/1 server answers there.
async fn speaks_http(authority: &str) -> bool {
    let Ok(mut socket) = TcpStream::connect(authority).await else {
        return false;
    };
    let ask = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    let mut start = [0; 7];
    socket.write_all(ask.as_bytes()).await.is_ok()
        && socket.read_exact(&mut start).await.is_ok()
        && &start == b"HTTP/1."
}

#[cfg(test)]
mod tests {
    use super::super::proto::{ModelConfig, ModelDynamicBatching, ModelInstanceGroup};
    use super::{Inventory, loses_order};

    #[test]
    fn several_instances_lose_the_order_unless_it_is_kept() {
        let batching = |preserve_ordering| Some(ModelDynamicBatching { preserve_ordering });
        for (counts, gpus, dynamic_batching, loses) in [
            (&[][..], 0, None, false),
            (&[1], 0, None, false),
            (&[1], 1, None, false),
            (&[16], 0, None, true),
            (&[1, 1], 0, None, true),
            (&[1], 2, None, true),
            (&[16], 0, batching(false), true),
            (&[16], 0, batching(true), false),
            (&[1], 0, batching(false), false),
            (&[-1], 0, None, false),
        ] {
            let group = |&count: &i32| ModelInstanceGroup {
                count,
                gpus: (0..gpus).collect(),
                ..ModelInstanceGroup::default()
            };
            let config = ModelConfig {
                instance_group: counts.iter().map(group).collect(),
                dynamic_batching,
                ..ModelConfig::default()
            };
            assert_eq!(loses_order(&config), loses, "{config:?}");
        }
    }

    fn inventory(models: &[&str], ensembles: &[&str]) -> Inventory {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Inventory {
            models: own(models),
            ensembles: own(ensembles),
        }
    }

    #[test]
    fn what_is_there_suggests_a_backend() {
        for (models, ensembles, words) in [
            (
                &["preprocessing", "postprocessing", "turbomind"][..],
                &[][..],
                "--backend tis",
            ),
            (&["turbomind"], &[], "--backend tis-direct"),
            (&["lmdeploy_model"], &[], "--backend tis-python"),
            (&["a", "ensemble"], &["ensemble"], "--backend tis-ensemble"),
            (&["a", "b"], &["a", "b"], "--backend tis-ensemble --model a"),
            (&["resnet"], &[], "none of the tis backends fits"),
            (&[], &[], "no model is ready"),
        ] {
            let said = inventory(models, ensembles).in_words();
            assert!(said.contains(words), "{said}");
        }
    }
}
