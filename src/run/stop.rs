//! How a run is stopped by hand: first wish, stop sending and let what runs
//! come to its end for a while; second wish, quit.

use std::time::Duration;

use tokio::sync::watch;

/// How long requests in flight may go on after the first wish.
const GRACE: Duration = Duration::from_secs(5);

/// The wish to stop, shared by everything that has to know. Clones share it.
#[derive(Clone, Debug)]
pub struct Stop {
    wishes: watch::Receiver<u32>,
    sender: watch::Sender<u32>,
}

impl Default for Stop {
    fn default() -> Self {
        let (sender, wishes) = watch::channel(0);
        Self { wishes, sender }
    }
}

impl Stop {
    /// Takes Ctrl-C (SIGINT) and, on Unix, SIGTERM for a wish, from now on.
    /// Must be called within a tokio runtime.
    pub fn listen(&self) {
        let stop = self.clone();
        tokio::spawn(async move {
            loop {
                if next_signal().await.is_err() {
                    return;
                }
                stop.wish();
            }
        });
    }

    /// Wishes that the run stop.
    pub fn wish(&self) {
        self.sender.send_modify(|wishes| *wishes += 1);
    }

    /// Stops the run for a reason of the house's own, such as a full disk. Never
    /// counts as the user's second wish.
    pub fn halt(&self) {
        self.sender.send_if_modified(|wishes| {
            let first = *wishes == 0;
            *wishes = (*wishes).max(1);
            first
        });
    }

    /// Whether somebody has wished so.
    #[must_use]
    pub fn is_wished(&self) -> bool {
        *self.wishes.borrow() > 0
    }

    /// Returns at the first wish.
    pub async fn wished(&self) {
        self.at_least(1).await;
    }

    /// Returns when requests in flight are to be cut: 5 s after the first
    /// wish, or at the second.
    pub async fn cut(&self) {
        self.at_least(1).await;
        tokio::select! {
            () = tokio::time::sleep(GRACE) => {}
            () = self.at_least(2) => {}
        }
    }

    /// Returns at the second wish.
    pub async fn quit(&self) {
        self.at_least(2).await;
    }

    async fn at_least(&self, count: u32) {
        let mut wishes = self.wishes.clone();
        // The sender lives in `self`, so the channel cannot be closed.
        let _ = wishes.wait_for(|wishes| *wishes >= count).await;
    }
}

#[cfg(unix)]
async fn next_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn next_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Stop;

    #[tokio::test(start_paused = true)]
    async fn many_halts_are_one_wish() {
        let stop = Stop::default();
        for _ in 0..3 {
            stop.halt();
        }
        assert!(stop.is_wished());
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, stop.quit()).await.is_err());
        stop.wish();
        stop.quit().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_wish_gives_grace_the_second_does_not() {
        let soon = Duration::from_secs(1);
        let stop = Stop::default();
        assert!(tokio::time::timeout(soon, stop.wished()).await.is_err());
        stop.wish();
        assert!(stop.is_wished());
        stop.wished().await;
        assert!(tokio::time::timeout(soon, stop.cut()).await.is_err());
        stop.cut().await;
        assert!(tokio::time::timeout(soon, stop.quit()).await.is_err());
        stop.wish();
        stop.quit().await;
        assert!(tokio::time::timeout(soon, stop.cut()).await.is_ok());
    }
}
