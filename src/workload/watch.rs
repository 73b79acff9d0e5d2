//! Who is told how far the work is.
//!
//! Knows that work has stages, and steps within a stage. It refuses to draw
//! anything: a terminal's bar is somebody else's.

/// Is told how reading and tokenising go on. `()` is nobody.
pub trait Watch: Sync {
    /// A new stage begins: `what` is done, in `total` steps (0: nobody knows).
    fn stage(&self, what: &str, total: u64);

    /// `by` more steps of the stage are done. Called from several threads.
    fn advance(&self, by: u64);
}

impl Watch for () {
    fn stage(&self, _: &str, _: u64) {}

    fn advance(&self, _: u64) {}
}
