//! An objection to a run, as every rule puts it: numbers and a cure. Knows no
//! rule.

/// An objection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Number of the rule; 0: the run did not come to its planned end.
    pub rule: u8,
    /// Short name for the CSV.
    pub code: &'static str,
    /// The arm that it is about, by its place among the arms; `None`: all of
    /// them, or the only one.
    pub arm: Option<usize>,
    /// What was found, with numbers.
    pub text: String,
    /// What to do about it.
    pub cure: String,
}

pub(super) fn reason(rule: u8, code: &'static str, text: String, cure: &str) -> Reason {
    Reason {
        rule,
        code,
        arm: None,
        text,
        cure: cure.to_owned(),
    }
}

/// Whether more than one in a hundred of `whole` is `part`.
pub(super) fn above_one_percent(part: u64, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(whole)
}
