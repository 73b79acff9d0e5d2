//! Text that came out of order. A Triton ensemble with several postprocessing
//! instances sends pieces of text in the order in which they were done, beside
//! counts of tokens in the right one (seen on 2.51): no message tells, only the
//! text, beside another arm's answer to the same request. Knows no protocol.

use std::collections::HashMap;

use super::reason::{Reason, reason};
use super::together::{Arm, by_block};
use super::words::{counted, grouped, one_line};
use crate::record::Record;

/// How a server is told to keep the order.
const SETTING: &str = "dynamic_batching { preserve_ordering: true }";

/// What a model's configuration forebodes, and the cure.
#[must_use]
pub fn order_may_be_lost(model: &str) -> String {
    format!(
        "pieces of text may come out of order: several instances of `{}` make them, and its \
         configuration does not keep their order; put {SETTING} into its config.pbtxt, or let it \
         have one instance",
        one_line(model, 60)
    )
}

/// Rule 2: the answers' text came as the engine made it. Every answer counts: a
/// server that keeps the order never mixes one up, and that which it is held
/// against has the same letters.
pub(super) fn text_order(arms: &[Arm<'_>], names: &[String]) -> Vec<Reason> {
    let found = out_of_order(arms);
    let Some(beside) = reference(arms).and_then(|place| names.get(place)) else {
        return Vec::new();
    };
    let lost = (0..).zip(arms).zip(found);
    lost.filter_map(|((place, arm), found)| {
        let found = found.filter(|found| found.requests > 0)?;
        let model = arm.run.header.unordered_model.as_deref();
        let model = model.map_or(
            "the model that makes the text (postprocessing)".to_owned(),
            |model| format!("`{}`", one_line(model, 60)),
        );
        let mut objection = reason(
            2,
            "text_out_of_order",
            format!(
                "text came out of order: {} of {} that {beside} answered, too, {} the same letters \
                 in another order (words at another place: {} of {}); the counts of tokens do not \
                 show it",
                grouped(found.requests),
                counted(found.compared, "answer", "answers"),
                if found.requests == 1 { "has" } else { "have" },
                grouped(found.words),
                grouped(found.of_words),
            ),
            "",
        );
        objection.cure = format!(
            "let {model} keep the order of its answers: {SETTING} in its config.pbtxt, or one \
             instance of it"
        );
        objection.arm = Some(place);
        Some(objection)
    })
    .collect()
}

/// The arm that the others' texts are held against.
fn reference(arms: &[Arm<'_>]) -> Option<usize> {
    let keeps = |arm: &Arm<'_>| arm.run.header.answer == "text" && !may_lose(arm);
    arms.iter().position(keeps)
}

/// What an arm's texts say beside those of an arm that keeps their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutOfOrder {
    /// Requests that both arms answered with text.
    pub compared: u64,
    /// Of them, those with the same letters in another order.
    pub requests: u64,
    /// Words of these that stand at another place; where their letters alone
    /// agree, the words cannot be told and count nowhere.
    pub words: u64,
    /// Words of the answers that were compared.
    pub of_words: u64,
}

/// For each arm whose server makes the text of pieces, how much of it was out of
/// order; `None` for the other arms, and where no other arm can be asked: one
/// whose text the client or one process made, in order.
///
/// Equal answers are taken for granted (greedy sampling); an answer with other
/// letters is another answer, and says nothing.
#[must_use]
pub fn out_of_order(arms: &[Arm<'_>]) -> Vec<Option<OutOfOrder>> {
    let Some(reference) = reference(arms).and_then(|place| arms.get(place)) else {
        return vec![None; arms.len()];
    };
    let by_block = by_block(arms);
    let place = |record: &Record| (if by_block { record.block } else { 0 }, record.index);
    let answers: HashMap<(u32, u32), &str> = reference
        .run
        .records
        .iter()
        .filter(|record| record.is_ok() && !record.text.is_empty())
        .map(|record| (place(record), record.text.as_str()))
        // Of a job that was played again, its first play.
        .rev()
        .collect();
    let of = |arm: &Arm<'_>| {
        let mut found = OutOfOrder::default();
        let finished = arm.run.records.iter().filter(|record| record.is_ok());
        for record in finished.filter(|record| !record.text.is_empty()) {
            if let Some(answer) = answers.get(&place(record)) {
                found.compare(&record.text, answer);
            }
        }
        found
    };
    arms.iter()
        .map(|arm| may_lose(arm).then(|| of(arm)))
        .collect()
}

/// A server of Triton's family that hands out pieces of text: the client asked
/// for neither ids nor their text.
fn may_lose(arm: &Arm<'_>) -> bool {
    let header = &arm.run.header;
    let made = |record: &Record| !record.engine_marks.is_empty();
    header.family == "tis" && header.answer == "text" && !arm.run.records.iter().any(made)
}

impl OutOfOrder {
    fn compare(&mut self, text: &str, answer: &str) {
        let (found, expected) = (words(text), words(answer));
        self.compared += 1;
        self.of_words += u64::try_from(expected.len()).unwrap_or(u64::MAX);
        // One token's text by itself may lack the blank in front of it.
        if letters(text) == letters(answer) || sorted(letters(text)) != sorted(letters(answer)) {
            return;
        }
        self.requests += 1;
        if sorted(found.clone()) == sorted(expected.clone()) {
            let moved = found
                .iter()
                .zip(&expected)
                .filter(|(one, other)| one != other);
            self.words += u64::try_from(moved.count()).unwrap_or(u64::MAX);
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn letters(text: &str) -> Vec<char> {
    text.chars()
        .filter(|letter| !letter.is_whitespace())
        .collect()
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items
}

#[cfg(test)]
mod tests {
    use super::{OutOfOrder, out_of_order};
    use crate::record::{Mark, Run};
    use crate::stats::{Arm, fixture, judge_together, summarize};

    fn run(family: &str, texts: &[&str], chained: bool) -> Run {
        let records = (0..).zip(texts).map(|(index, text)| {
            let mut record = fixture::record(index, 0, 10, 10, 3);
            (*text).clone_into(&mut record.text);
            if chained {
                record.engine_marks = vec![Mark {
                    at_ns: 1,
                    tokens: 3,
                }];
            }
            record
        });
        let mut run = fixture::run(records.collect());
        family.clone_into(&mut run.header.family);
        run
    }

    fn of(runs: &[Run]) -> Vec<Option<OutOfOrder>> {
        let summaries: Vec<_> = runs.iter().map(summarize).collect();
        let arms = runs.iter().zip(&summaries);
        let arms: Vec<Arm<'_>> = arms.map(|(run, summary)| Arm { run, summary }).collect();
        out_of_order(&arms)
    }

    #[test]
    fn pieces_are_counted_beside_an_arm_that_keeps_order() {
        let good = ["a b c d", "e f", "g h i", "stream of", "same"];
        let lost = ["b a c d", "ef", "other words", "of stream", ""];
        for reference in [run("tis", &good, true), run("api_server", &good, false)] {
            let found = of(&[run("tis", &lost, false), reference]);
            let expected = OutOfOrder {
                compared: 4,
                requests: 2,
                words: 4,
                of_words: 11,
            };
            assert_eq!(found, [Some(expected), None]);
        }
    }

    #[test]
    fn a_single_answer_out_of_order_does_not_count() {
        let verdict = |lost: &str, model: Option<&str>| {
            let mut ensemble = run("tis", &[lost, "same words"], false);
            "tis-ensemble".clone_into(&mut ensemble.header.backend);
            ensemble.header.unordered_model = model.map(str::to_owned);
            let mut server = run("api_server", &["a b c d", "same words"], false);
            "api_server".clone_into(&mut server.header.backend);
            let runs = [ensemble, server];
            let summaries: Vec<_> = runs.iter().map(summarize).collect();
            let arms = runs.iter().zip(&summaries);
            let arms: Vec<Arm<'_>> = arms.map(|(run, summary)| Arm { run, summary }).collect();
            let reasons = judge_together(&arms).reasons.into_iter();
            reasons.filter(|reason| reason.code == "text_out_of_order")
        };
        assert_eq!(verdict("a b c d", Some("post")).count(), 0);
        assert_eq!(verdict("another answer", Some("post")).count(), 0);
        let reason = verdict("a c b d", Some("post")).next().expect("lost");
        assert_eq!((reason.rule, reason.arm), (2, Some(0)));
        let words = "1 of 2 answers that api_server answered, too, has the same letters";
        assert!(reason.text.contains(words), "{reason:?}");
        assert!(reason.text.contains("2 of 6"), "{reason:?}");
        assert!(reason.cure.contains("let `post` keep"), "{reason:?}");
        assert!(
            reason.cure.contains("preserve_ordering: true"),
            "{reason:?}"
        );
        let reason = verdict("a c b d", None).next().expect("lost");
        assert!(reason.cure.contains("(postprocessing)"), "{reason:?}");
    }

    #[test]
    fn letters_alone_tell_of_the_request_but_of_no_word() {
        let found = of(&[
            run("tis", &["bacd"], false),
            run("api_server", &["ab cd"], false),
        ]);
        let found = found[0].expect("a reference");
        assert_eq!((found.requests, found.words), (1, 0));
    }

    #[test]
    fn runs_made_apart_are_held_together_by_job() {
        let mut runs = [
            run("tis", &["b a", "same"], false),
            run("api_server", &["a b", "same"], false),
        ];
        for (first, run) in (0..).zip(&mut runs) {
            // One run cut its jobs into blocks, and another one into others.
            let blocks = (0..).zip(&mut run.records);
            blocks.for_each(|(block, record)| record.block = block * first);
            run.blocks = vec![crate::record::Block::default()];
        }
        let found = of(&runs)[0].expect("a reference");
        assert_eq!((found.compared, found.requests), (2, 1));
    }

    #[test]
    fn without_an_ordered_arm_nothing_is_said() {
        let mut ids = run("tis", &[""], false);
        "token_ids".clone_into(&mut ids.header.answer);
        assert_eq!(of(&[run("tis", &["b a"], false), ids]), [None, None]);
        assert_eq!(of(&[]), []);
    }
}
