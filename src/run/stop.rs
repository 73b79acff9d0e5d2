//! How a run is stopped by hand: first wish, stop sending and let what runs
//! come to its end for a while; second wish, quit at once.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Builder;
use tokio::sync::watch;

/// How long requests in flight may go on after the first wish.
const GRACE: Duration = Duration::from_secs(5);

/// How long the process may take to end by itself after the second wish: long
/// enough to hand over to the system what had finished.
const QUIT_WITHIN: Duration = Duration::from_secs(2);

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
    /// Takes Ctrl-C (SIGINT) and, on Unix, SIGTERM for a wish, from now on and on
    /// a thread of its own: whatever the others are at, a second wish ends the
    /// process, with `farewell` and exit code 2, if it does not end by itself.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
    pub fn listen(&self, farewell: fn()) -> Result<()> {
        let stop = self.clone();
        let failed = "cannot start the thread that waits for Ctrl-C";
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context(failed)?;
        let (ready, is_ready) = std::sync::mpsc::channel();
        let listen = move || {
            runtime.block_on(async {
                let signals = signals(&stop);
                let mut signals = std::pin::pin!(signals);
                // From its first look on it hears every signal.
                let _ = futures_util::poll!(&mut signals);
                let _ = ready.send(());
                tokio::select! {
                    () = signals => {}
                    () = stop.quit() => {
                        tokio::time::sleep(QUIT_WITHIN).await;
                        farewell();
                        std::process::exit(2);
                    }
                }
            });
        };
        let thread = std::thread::Builder::new().name("pb-signals".to_owned());
        thread.spawn(listen).context(failed)?;
        // An error is a thread that is gone, and then nobody listens.
        let _ = is_ready.recv();
        Ok(())
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

/// Makes a wish of every signal; returns where signals cannot be heard.
#[cfg(unix)]
async fn signals(stop: &Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = heard else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => stop.wish(),
            _ = terminate.recv() => stop.wish(),
        }
    }
}

#[cfg(not(unix))]
async fn signals(stop: &Stop) {
    while tokio::signal::ctrl_c().await.is_ok() {
        stop.wish();
    }
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
