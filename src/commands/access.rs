//! Reads the files that let the client in, and enters what they hold. Repeats
//! nothing of a key in what it says.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use backends::Tls;

use super::advise;
use crate::config::{Access, Arm, Config};

/// The most bytes of a file with a key or certificates; a device never ends.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The configuration with keys and certificates in place.
///
/// # Errors
/// Names the flag, the file and what is wrong with it.
pub(super) fn enter(mut config: Config) -> Result<Config> {
    let Access {
        key_file,
        ca,
        identity,
        insecure,
    } = &config.access;
    let key = key_file.as_deref().map(key_of).transpose()?;
    let mut tls = Tls::default();
    if let Some(path) = ca {
        let flag = || format!("--tls-ca {}", path.display());
        tls.trust(&read(path).with_context(flag)?)
            .with_context(flag)?;
    }
    if let Some((certificate, key)) = identity {
        let flag = |flag: &str, path: &Path| format!("{flag} {}", path.display());
        let chain = read(certificate).with_context(|| flag("--tls-cert", certificate))?;
        let secret = read(key).with_context(|| flag("--tls-key", key))?;
        let both = || {
            let certificate = flag("--tls-cert", certificate);
            format!("{certificate} {}", flag("--tls-key", key))
        };
        tls.identify(&chain, &secret).with_context(both)?;
    }
    if *insecure {
        tls.trust_anybody();
        advise(&unchecked(&config.arms));
    }
    for arm in &mut config.arms {
        arm.target.tls = tls.clone();
        if key.is_some() {
            arm.target.api_key.clone_from(&key);
        }
    }
    Ok(config)
}

fn unchecked(arms: &[Arm]) -> String {
    let asked: Vec<&str> = arms
        .iter()
        .filter(|arm| arm.is_encrypted())
        .map(|arm| arm.address.as_str())
        .collect();
    format!(
        "--tls-insecure: NOBODY CHECKS WHO ANSWERS at {}: whoever stands between can read prompts \
         and key, and answer in the server's place; give the server's certificate with --tls-ca \
         instead",
        asked.join(", ")
    )
}

fn key_of(path: &Path) -> Result<String> {
    let flag = || format!("--api-key-file {}", path.display());
    let bytes = read(path).with_context(flag)?;
    let key = match String::from_utf8(bytes) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => bail!("{}: it is no text; it has to hold the key alone", flag()),
    };
    ensure!(
        !key.is_empty(),
        "{}: it is empty; it has to hold the key",
        flag()
    );
    ensure!(
        !key.contains(char::is_whitespace),
        "{}: it holds more than one word; it has to hold the key alone",
        flag()
    );
    Ok(key)
}

/// A file that should be small.
fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).context("cannot be read")?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .context("cannot be read")?;
    ensure!(
        bytes.len() as u64 <= FILE_BYTES_MAX,
        "it is larger than {FILE_BYTES_MAX} bytes; is it the right file?"
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn a_file_holds_a_key_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        for (content, expected) in [
            (&b"sk-1\n"[..], Ok("sk-1")),
            (b" sk-1 \r\n\n", Ok("sk-1")),
            (b"", Err("empty")),
            (b"\n \n", Err("empty")),
            (b"sesame sk-1", Err("more than one word")),
            (b"sesame\nsesame\n", Err("more than one word")),
            (b"sesame\xff", Err("no text")),
        ] {
            std::fs::write(&path, content).expect("writable");
            match (key_of(&path), expected) {
                (Ok(key), Ok(expected)) => assert_eq!(key, expected),
                (Err(error), Err(part)) => {
                    let words = format!("{error:#}");
                    assert!(
                        words.contains(part) && words.contains("--api-key-file"),
                        "{words}"
                    );
                    assert!(!words.contains("sesame"), "{words}");
                }
                (found, _) => panic!("{content:?}: {found:?}"),
            }
        }
        let error = key_of(&folder.path().join("none")).expect_err("not there");
        assert!(
            format!("{error:#}").contains("none: cannot be read"),
            "{error:#}"
        );
    }
}
