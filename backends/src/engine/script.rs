//! What goes wrong on purpose, and for whom. Pure.

use std::time::Duration;

/// How a scripted failure looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The engine refuses the request before it starts.
    Refuse,
    /// The engine fails: the server says so in its protocol's way.
    Error,
    /// The server closes the connection without a word.
    Cut,
    /// No further token, no end: the server holds the answer open.
    Stall,
}

/// A plan of failures and oddities.
///
/// Words for the command line and for prompts (`@@KEY=VALUE`, obeyed when
/// [`super::EngineConfig::prompt_orders`] is on): `fail=refuse|error|cut|stall`,
/// `after=TOKENS`, `every=N`, `text=split` (characters split over tokens),
/// `eos=TOKENS` (ends there unless told to ignore it), `ttft_ms=`, `itl_ms=`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What happens; `None`: nothing.
    pub failure: Option<Failure>,
    /// After how many tokens it happens.
    pub after_tokens: u32,
    /// To every n-th request; 0 and 1: to each.
    pub every: u64,
    /// Every fourth, fifth and sixth token of six are the bytes of one character.
    pub split_characters: bool,
    /// Overrides [`super::EngineConfig::natural_tokens`].
    pub natural_tokens: Option<u32>,
    /// Overrides the time to the first token of exact timing.
    pub first_token: Option<Duration>,
    /// Overrides the time per token of exact timing.
    pub per_token: Option<Duration>,
}

impl Script {
    /// Reads words such as `fail=cut after=3 every=10`.
    ///
    /// # Errors
    /// The word that makes no sense, in a sentence.
    pub fn parse(words: &str) -> Result<Self, String> {
        words
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .try_fold(Self::default(), Self::with_word)
    }

    /// This script, changed by the orders in a prompt. What is no order is
    /// left alone.
    #[must_use]
    pub fn with_orders(&self, prompt: &str) -> Self {
        prompt
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("@@"))
            .fold(self.clone(), |script, word| {
                script.clone().with_word(word).unwrap_or(script)
            })
    }

    /// What fails for the request with this number (from 1), and after how
    /// many tokens.
    #[must_use]
    pub fn failure_of(&self, number: u64) -> Option<(Failure, u32)> {
        let failure = self.failure?;
        number
            .is_multiple_of(self.every.max(1))
            .then_some((failure, self.after_tokens))
    }

    fn with_word(mut self, word: &str) -> Result<Self, String> {
        let objection = || {
            format!(
                "`{word}` is no failure script word; use fail=refuse|error|cut|stall, \
                 after=TOKENS, every=N, text=split, eos=TOKENS, ttft_ms=MS, itl_ms=MS"
            )
        };
        let (key, value) = word.split_once('=').ok_or_else(objection)?;
        let number = value.parse::<u32>().map_err(|_| objection());
        let millis = || number.clone().map(|ms| Duration::from_millis(ms.into()));
        match key {
            "fail" => {
                self.failure = Some(match value {
                    "refuse" => Failure::Refuse,
                    "error" => Failure::Error,
                    "cut" => Failure::Cut,
                    "stall" => Failure::Stall,
                    _ => return Err(objection()),
                });
            }
            "after" => self.after_tokens = number?,
            "every" => self.every = number?.into(),
            "text" if value == "split" => self.split_characters = true,
            "eos" => self.natural_tokens = Some(number?),
            "ttft_ms" => self.first_token = Some(millis()?),
            "itl_ms" => self.per_token = Some(millis()?),
            _ => return Err(objection()),
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Script};

    #[test]
    fn words_are_read() {
        let script = Script::parse("fail=cut after=3,every=10").expect("good words");
        assert_eq!(script.failure, Some(Failure::Cut));
        assert_eq!(script.failure_of(9), None);
        assert_eq!(script.failure_of(10), Some((Failure::Cut, 3)));
        for bad in ["fail", "fail=maybe", "after=-1", "text=whole", "what=1"] {
            assert!(Script::parse(bad).expect_err(bad).contains(bad));
        }
    }

    #[test]
    fn orders_in_a_prompt_change_only_what_they_name() {
        let script = Script::parse("after=2").expect("good words");
        let changed = script.with_orders("say hi @@fail=stall @@nonsense @@eos=x now");
        assert_eq!(changed.failure_of(1), Some((Failure::Stall, 2)));
        assert_eq!(script.with_orders("no orders"), script);
    }
}
