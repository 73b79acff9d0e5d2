//! Text out of token bytes, as a streaming server makes it: a character whose
//! bytes are spread over tokens is held back until it is whole.

/// The bytes that are held back.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<u8>);

impl Held {
    /// Takes a token's bytes; gives the text that they complete. Bytes that
    /// can never become a character are U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.0) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.0.clear();
                    return text;
                }
                Err(error) => {
                    let (good, rest) = self.0.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(good));
                    let bad = error.error_len();
                    self.0 = rest[bad.unwrap_or(0)..].to_vec();
                    if bad.is_none() {
                        return text;
                    }
                    text.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
    }

    /// What is left of a character that will not be completed.
    pub(super) fn rest(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "\u{fffd}" }
    }
}

#[cfg(test)]
mod tests {
    use super::Held;

    #[test]
    fn a_split_character_comes_whole() {
        let mut held = Held::default();
        let pieces: Vec<String> = [
            "a".as_bytes(),
            &[0xe6],
            &[0xb5],
            &[0x81, b'b'],
            &[0xff, b'c'],
            &[0xc3],
        ]
        .into_iter()
        .map(|bytes| held.push(bytes))
        .collect();
        assert_eq!(pieces, ["a", "", "", "流b", "\u{fffd}c", ""]);
        assert_eq!(held.rest(), "\u{fffd}");
        assert_eq!(held.push(&[0xa9]), "é");
        assert_eq!(held.rest(), "");
    }

    proptest::proptest! {
        #[test]
        fn text_comes_whole_whatever_the_tokens(text in ".{0,40}", length in 1_usize..6) {
            let mut held = Held::default();
            let pieces = text.as_bytes().chunks(length).map(|bytes| held.push(bytes));
            proptest::prop_assert_eq!(pieces.collect::<String>(), text);
            proptest::prop_assert_eq!(held.rest(), "");
        }
    }
}
