//! Where a server is: an address as people write it, and TLS for https. Opens
//! nothing.

use reqwest::Url;

use crate::{Error, ErrorKind, excerpt};

fn connect(words: &str) -> Error {
    Error::new(ErrorKind::Connect, words)
}

/// An address as far as an error may repeat it: without what stands before an
/// `@`, which may be a password, and without a query, which may be a key.
fn shown(address: &str) -> String {
    let query = address.find(['?', '#']).unwrap_or(address.len());
    match address.rfind('@') {
        // a query with an `@` in it, or a password with a `?`
        Some(at) if query < at => "...".to_owned(),
        Some(at) => format!("...{}", excerpt(&address[at..query])),
        None => excerpt(&address[..query]),
    }
}

/// `HOST:PORT` is http; a path behind it stays in front of every endpoint.
///
/// LMDeploy's guide writes `0.0.0.0:23333`, which a server listens on and not
/// every system can connect to: it becomes the loopback address, as for Triton.
///
/// # Errors
/// What is wrong with the text, without the secrets that it may hold.
pub(super) fn base_url(address: &str) -> Result<Url, Error> {
    let text = address.trim();
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let bad = |why: &str| {
        connect(&format!(
            "`{}` is no address of an api_server ({why}); give HOST:PORT, with http:// or \
             https:// in front if wanted",
            shown(address)
        ))
    };
    let mut url = Url::parse(&text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it speaks http or https only"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(connect(
            "the address holds a user name or a password, which would show in records; give the \
             key by --api-key or OPENAI_API_KEY",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it holds a query"));
    }
    let loopback = match url.host_str() {
        Some("0.0.0.0") => Some("127.0.0.1"),
        Some("[::]") => Some("[::1]"),
        _ => None,
    };
    if loopback.is_some() {
        url.set_host(loopback)
            .map_err(|error| bad(&error.to_string()))?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::base_url;

    #[test]
    fn addresses_are_read() {
        for (address, url) in [
            ("127.0.0.1:23333", "http://127.0.0.1:23333/"),
            (" localhost:1 ", "http://localhost:1/"),
            ("[::1]:23333", "http://[::1]:23333/"),
            ("https://host/prefix/", "https://host/prefix/"),
            ("0.0.0.0:23333", "http://127.0.0.1:23333/"),
            ("https://0.0.0.0:1/p", "https://127.0.0.1:1/p"),
            ("[::]:23333", "http://[::1]:23333/"),
        ] {
            assert_eq!(base_url(address).expect(address).as_str(), url);
        }
        for address in ["", "http://", "ftp://h:1", "h:port", "http://h:1/?q=1"] {
            let error = base_url(address).expect_err(address);
            assert!(error.message.contains("HOST:PORT"), "{}", error.message);
        }
    }

    #[test]
    fn errors_tell_no_secret() {
        for (address, told) in [
            ("http://me:sekret@h:1", "--api-key"),
            ("http://me:sekret@h:port", "`...@h:port`"),
            ("me:sekret@h:port", "`...@h:port`"),
            ("me:sek@sekret@h:port", "`...@h:port`"),
            ("ftp://me:sekret@h", "`...@h`"),
            ("http://me:sekret?x@h:port", "HOST:PORT"),
            ("http://me:se#sekret@h:port", "HOST:PORT"),
            ("http://h:1/?key=sekret", "`http://h:1/`"),
            ("http://h:port?key=sekret", "`http://h:port`"),
            ("http://h:port?key=a@sekret", "HOST:PORT"),
            ("http://me@h:port?key=sekret", "`...@h:port`"),
            ("http://h:1/#sekret", "`http://h:1/`"),
        ] {
            let error = base_url(address).expect_err(address);
            let words = &error.message;
            assert!(!words.contains("sekret"), "{words}");
            assert!(words.contains(told), "{words}");
        }
    }
}
