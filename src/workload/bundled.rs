//! What the binary carries, so that `demo` needs no files: real conversations
//! and a real tokenizer. Sources and licences: `src/demo/README.md`.

use anyhow::Result;

use super::{Dataset, DatasetFormat, Tokenizer, read_dataset_bytes};

const CONVERSATIONS: &[u8] = include_bytes!("../demo/conversations.json");
const TOKENIZER: &[u8] = include_bytes!("../demo/tokenizer.model");

/// The bundled conversations.
///
/// # Errors
/// Only if the binary was built from a damaged file.
pub fn bundled_conversations() -> Result<Dataset> {
    read_dataset_bytes(
        CONVERSATIONS,
        Some(DatasetFormat::ShareGpt),
        "the bundled conversations",
    )
}

impl Tokenizer {
    /// The bundled tokenizer.
    ///
    /// # Errors
    /// Only if the binary was built from a damaged file.
    pub fn bundled() -> Result<Self> {
        Self::from_sentencepiece_bytes(TOKENIZER)
    }
}
