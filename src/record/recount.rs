//! How many tokens the answers' texts are, and which request each count is of.
//! Knows no tokenizer.

use serde::{Deserialize, Serialize};

/// What tells a request from every other one of its run. The index alone does
/// not: lead-ins, and blocks beyond the workload's end, play jobs again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestKey {
    /// [`super::Record::block`].
    pub block: u32,
    /// [`super::Record::lead_in`].
    pub lead_in: bool,
    /// [`super::Record::index`].
    pub index: u32,
}

/// Tokens of the answers' texts, counted after the run with the tokenizer of
/// the workload: tokens of the whole text, tokens of the first piece.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recount {
    /// Index, tokens of the whole text, tokens of the first piece: in a run
    /// without blocks.
    pub answers: Vec<(u32, u32, u32)>,
    /// The same in an arm of a comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_blocks: Vec<(RequestKey, u32, u32)>,
}

impl Recount {
    /// All counts, each with its request.
    pub fn counts(&self) -> impl Iterator<Item = (RequestKey, u32, u32)> + '_ {
        let by_itself = self.answers.iter().map(|&(index, whole, first)| {
            let key = RequestKey {
                index,
                ..RequestKey::default()
            };
            (key, whole, first)
        });
        by_itself.chain(self.in_blocks.iter().copied())
    }
}
