//! Text to token ids and back, for the simulated servers. The house can give
//! them its real tokenizer; without one they use a toy that needs no files.

/// What a simulated server needs of a tokenizer.
pub trait Codec: Send + Sync {
    /// Token ids of a prompt as the server's preprocessing makes them, with a
    /// begin-of-sequence token where the tokenizer adds one.
    fn encode(&self, text: &str) -> Vec<u32>;

    /// What the model's own chat template makes of a user's turn; `None` where
    /// there is no template, and a server has to take one of its own.
    fn in_template(&self, _user_text: &str) -> Option<String> {
        None
    }

    /// The bytes that the ids stand for. Not text: a character may be split
    /// over ids.
    fn decode(&self, ids: &[u32]) -> Vec<u8>;

    /// The id of the answer's token number `at` (from 0) to `prompt`. The same
    /// prompt gives the same answer; an end-of-sequence id never comes.
    fn answer(&self, prompt: &[u32], at: u32) -> u32;

    /// The end-of-sequence id, for requests that want it ignored.
    fn eos(&self) -> u32;

    /// Three ids that together are the bytes of one character, if the
    /// vocabulary has byte tokens.
    fn split_character(&self) -> Option<[u32; 3]>;
}

/// Begin-of-sequence id of the [`ByteCodec`].
pub const BOS_ID: u32 = 1;
/// End-of-sequence id of the [`ByteCodec`].
pub const EOS_ID: u32 = 2;

const FIRST_BYTE_ID: u32 = 3;
const FIRST_WORD_ID: u32 = FIRST_BYTE_ID + 256;
const WORDS: u32 = 1000;

/// A tokenizer that needs no file: 1 begins a sequence, 2 ends one, a byte `b`
/// is `b + 3`, and 1,000 words ` w259` to ` w1258` are answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByteCodec;

impl Codec for ByteCodec {
    fn encode(&self, text: &str) -> Vec<u32> {
        std::iter::once(BOS_ID)
            .chain(text.bytes().map(|byte| u32::from(byte) + FIRST_BYTE_ID))
            .collect()
    }

    fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let mut out = Vec::new();
        for &id in ids {
            match id.checked_sub(FIRST_BYTE_ID).map(u8::try_from) {
                Some(Ok(byte)) => out.push(byte),
                Some(Err(_)) => out.extend_from_slice(format!(" w{id}").as_bytes()),
                None => {}
            }
        }
        out
    }

    fn answer(&self, prompt: &[u32], at: u32) -> u32 {
        let sum = prompt.iter().fold(0_u64, |sum, &id| sum + u64::from(id));
        let word = (sum + 7 * u64::from(at)) % u64::from(WORDS);
        FIRST_WORD_ID + u32::try_from(word).unwrap_or_default()
    }

    fn eos(&self) -> u32 {
        EOS_ID
    }

    fn split_character(&self) -> Option<[u32; 3]> {
        // U+6D41, "to flow"
        Some([0xe6, 0xb5, 0x81].map(|byte: u32| byte + FIRST_BYTE_ID))
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteCodec, Codec};

    #[test]
    fn bytes_come_back() {
        let ids = ByteCodec.encode("hé\0");
        assert_eq!(ids, [1, 107, 198, 172, 3]);
        assert_eq!(ByteCodec.decode(&ids), "hé\0".as_bytes());
    }

    #[test]
    fn answers_are_words_and_repeatable() {
        let ids: Vec<u32> = (0..3).map(|at| ByteCodec.answer(&[1, 2], at)).collect();
        assert_eq!(ids, [262, 269, 276]);
        assert_eq!(ByteCodec.decode(&ids), b" w262 w269 w276");
    }

    #[test]
    fn the_split_character_is_one_character() {
        let ids = ByteCodec.split_character().expect("has bytes");
        let text = String::from_utf8(ByteCodec.decode(&ids)).expect("whole");
        assert_eq!(text.chars().count(), 1);
        assert!(std::str::from_utf8(&ByteCodec.decode(&ids[..2])).is_err());
    }
}
