//! Which server this is, as far as its habits matter to a client. Learned from
//! what the server itself says, never from a version number: LMDeploy has no
//! endpoint that tells one.
//!
//! Asked, in this order: `owned_by` in `/v1/models`; `/openapi.json`, which
//! lists every path and every request field (LMDeploy 0.1.0 to 0.18.0, unless
//! the server was started with `--disable-fastapi-docs`); without it, a GET on
//! four paths, where 404 means that the path is not served (an endpoint that
//! only takes POST answers 405). What the paths and fields mean was read off
//! the tags v0.1.0a1 to v0.16.0 of LMDeploy and the packages 0.17.0 and 0.18.0.

use serde_json::Value;

use super::transport::Transport;
use crate::Error;

/// A server's habits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    /// Product and versions, for the reader.
    pub(super) name: String,
    /// Draws session ids at random from 1 to 10086 when a request has none, so
    /// that requests in flight clash: it has to be given one (up to 0.2.4).
    /// Later versions count up, and a number of ours would clash with theirs.
    pub(super) session_id: bool,
    /// Streams carry usage; `false` up to 0.5.3 and where it is not known.
    pub(super) usage_in_streams: bool,
    /// Streams say why they end; all but 0.1.0a1 do.
    pub(super) finish_reason_in_streams: bool,
    /// Has `/v1/encode`.
    pub(super) encode: bool,
}

/// What is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signs {
    health: bool,
    generate: bool,
    interactive: bool,
    encode: bool,
    fields: Option<Fields>,
}

/// What `/openapi.json` says about the chat request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fields {
    /// 0.6.0 on.
    stream_options: bool,
    /// 0.10.0 on.
    max_completion_tokens: bool,
    /// `max_tokens` is 512 when left out: up to 0.2.4, the last version with
    /// random session ids.
    default_512: bool,
}

/// Asks the server what it is. `owned_by` is what its model list says.
///
/// # Errors
/// When it stops answering.
pub(super) async fn learn(transport: &Transport, owned_by: &str) -> Result<Family, Error> {
    match owned_by {
        "lmdeploy" => {
            let signs = match from_schema(transport).await? {
                Some(signs) => signs,
                None => from_paths(transport).await?,
            };
            Ok(lmdeploy(signs))
        }
        "vllm" => {
            let version = version(transport).await?;
            Ok(other(format!(
                "vllm {}",
                version.as_deref().unwrap_or("of unknown version")
            )))
        }
        "" => Ok(other("OpenAI-compatible server".to_owned())),
        owner => Ok(other(format!(
            "OpenAI-compatible server (owned_by {})",
            crate::excerpt(owner)
        ))),
    }
}

/// A server that is not LMDeploy: the protocol as OpenAI wrote it.
fn other(name: String) -> Family {
    Family {
        name,
        session_id: false,
        usage_in_streams: true,
        finish_reason_in_streams: true,
        encode: false,
    }
}

fn lmdeploy(signs: Signs) -> Family {
    let early = !signs.health;
    let usage = signs.fields.is_some_and(|fields| fields.stream_options);
    Family {
        name: format!("lmdeploy {}", versions(signs)),
        // 0.2.5 to 0.4.2 overwrite what they are sent: where they cannot be
        // told from 0.2.2 to 0.2.4, sending one is right for both
        session_id: early && signs.fields.is_none_or(|fields| fields.default_512),
        usage_in_streams: !early && (usage || signs.generate),
        finish_reason_in_streams: !early || signs.encode,
        encode: signs.encode,
    }
}

/// The versions that show these signs.
fn versions(signs: Signs) -> &'static str {
    match signs.fields {
        _ if !signs.health && !signs.encode => "0.1.0a1",
        _ if !signs.health && signs.generate => "0.1.0 to 0.2.1",
        Some(fields) if !signs.health && fields.default_512 => "0.2.2 to 0.2.4",
        Some(_) if !signs.health => "0.2.5 to 0.4.2",
        None if !signs.health => "0.2.2 to 0.4.2",
        _ if !signs.interactive => "0.16.0 or newer",
        None if signs.generate => "0.10.2 to 0.15.0",
        None => "0.5.0 to 0.10.1",
        Some(fields) if !fields.stream_options => "0.5.0 to 0.5.3",
        Some(fields) if fields.max_completion_tokens => "0.10.0 to 0.15.0",
        Some(_) => "0.6.0 to 0.9.2",
    }
}

async fn from_schema(transport: &Transport) -> Result<Option<Signs>, Error> {
    let path = "/openapi.json";
    let answer = transport.get(path).await?;
    if answer.status != reqwest::StatusCode::OK {
        return Ok(None);
    }
    Ok(serde_json::from_slice(&answer.body)
        .ok()
        .and_then(|schema| signs_of(&schema)))
}

fn signs_of(schema: &Value) -> Option<Signs> {
    let paths = schema.get("paths")?.as_object()?;
    let chat = schema.pointer("/components/schemas/ChatCompletionRequest/properties")?;
    Some(Signs {
        health: paths.contains_key("/health"),
        generate: paths.contains_key("/generate"),
        interactive: paths.contains_key("/v1/chat/interactive"),
        encode: paths.contains_key("/v1/encode"),
        fields: Some(Fields {
            stream_options: chat.get("stream_options").is_some(),
            max_completion_tokens: chat.get("max_completion_tokens").is_some(),
            default_512: chat.pointer("/max_tokens/default").and_then(Value::as_u64) == Some(512),
        }),
    })
}

async fn from_paths(transport: &Transport) -> Result<Signs, Error> {
    Ok(Signs {
        health: is_served(transport, "/health").await?,
        generate: is_served(transport, "/generate").await?,
        interactive: is_served(transport, "/v1/chat/interactive").await?,
        encode: is_served(transport, "/v1/encode").await?,
        fields: None,
    })
}

async fn is_served(transport: &Transport, path: &str) -> Result<bool, Error> {
    let answer = transport.get(path).await?;
    Ok(answer.status != reqwest::StatusCode::NOT_FOUND)
}

async fn version(transport: &Transport) -> Result<Option<String>, Error> {
    let answer = transport.get("/version").await?;
    let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let version = value
        .as_ref()
        .and_then(|value| value.get("version")?.as_str());
    Ok(version.map(crate::excerpt))
}

#[cfg(test)]
mod tests {
    use super::{Fields, Signs, lmdeploy, signs_of};

    fn schema(paths: &[&str], fields: &[&str], default: Option<u64>) -> serde_json::Value {
        let paths: serde_json::Map<_, _> = paths
            .iter()
            .map(|path| ((*path).to_owned(), serde_json::json!({})))
            .collect();
        let mut properties: serde_json::Map<_, _> = fields
            .iter()
            .map(|field| ((*field).to_owned(), serde_json::json!({})))
            .collect();
        properties.insert("max_tokens".into(), serde_json::json!({"default": default}));
        serde_json::json!({
            "info": {"title": "FastAPI", "version": "0.1.0"},
            "paths": paths,
            "components": {"schemas": {"ChatCompletionRequest": {"properties": properties}}},
        })
    }

    #[test]
    fn paths_and_fields_tell_the_versions() {
        const OLD: &[&str] = &["/v1/chat/interactive", "/v1/encode"];
        const MIDDLE: &[&str] = &["/v1/chat/interactive", "/v1/encode", "/health"];
        for (paths, fields, default, versions, session_id, usage) in [
            (
                &["/generate", "/v1/chat/interactive"][..],
                &[][..],
                Some(512),
                "0.1.0a1",
                true,
                false,
            ),
            (
                &["/generate", "/v1/encode", "/v1/chat/interactive"],
                &[],
                Some(512),
                "0.1.0 to 0.2.1",
                true,
                false,
            ),
            (OLD, &[], Some(512), "0.2.2 to 0.2.4", true, false),
            (OLD, &[], None, "0.2.5 to 0.4.2", false, false),
            (MIDDLE, &[], None, "0.5.0 to 0.5.3", false, false),
            (
                MIDDLE,
                &["stream_options"],
                None,
                "0.6.0 to 0.9.2",
                false,
                true,
            ),
            (
                MIDDLE,
                &["stream_options", "max_completion_tokens"],
                None,
                "0.10.0 to 0.15.0",
                false,
                true,
            ),
            (
                &["/generate", "/v1/encode", "/health"],
                &["stream_options", "max_completion_tokens"],
                None,
                "0.16.0 or newer",
                false,
                true,
            ),
        ] {
            let signs = signs_of(&schema(paths, fields, default)).expect("a schema");
            let family = lmdeploy(signs);
            assert_eq!(family.name, format!("lmdeploy {versions}"));
            assert_eq!(family.session_id, session_id, "{versions}");
            assert_eq!(family.usage_in_streams, usage, "{versions}");
            assert_eq!(family.finish_reason_in_streams, versions != "0.1.0a1");
        }
    }

    #[test]
    fn paths_alone_tell_what_matters() {
        let signs = |health, generate, interactive, encode| Signs {
            health,
            generate,
            interactive,
            encode,
            fields: None,
        };
        for (signs, versions, session_id, usage) in [
            (signs(false, true, true, false), "0.1.0a1", true, false),
            (
                signs(false, true, true, true),
                "0.1.0 to 0.2.1",
                true,
                false,
            ),
            (
                signs(false, false, true, true),
                "0.2.2 to 0.4.2",
                true,
                false,
            ),
            (
                signs(true, false, true, true),
                "0.5.0 to 0.10.1",
                false,
                false,
            ),
            (
                signs(true, true, true, true),
                "0.10.2 to 0.15.0",
                false,
                true,
            ),
            (
                signs(true, true, false, true),
                "0.16.0 or newer",
                false,
                true,
            ),
        ] {
            let family = lmdeploy(signs);
            assert_eq!(family.name, format!("lmdeploy {versions}"));
            assert_eq!(
                (family.session_id, family.usage_in_streams),
                (session_id, usage)
            );
        }
    }

    #[test]
    fn no_schema_is_no_sign() {
        assert_eq!(signs_of(&serde_json::json!({"paths": {}})), None);
        assert_eq!(signs_of(&serde_json::json!([])), None);
        let fields = signs_of(&schema(&[], &[], None)).expect("a schema").fields;
        assert_eq!(fields, Some(Fields::default()));
    }
}
