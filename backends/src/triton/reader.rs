//! A stream's messages, read one after the other: what one of them says and where,
//! is mostly known from others before it. Knows no model.
//!
//! The engine's messages differ in the request's id and in their tensors' bytes. So
//! a message is compared with one that was read before, and read only where that
//! does not fit; and the streams of a client share what they compare with, as what
//! each of them had of its own would be found in no cache when its next token comes
//! (`docs/performance.md`).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::fields::Broken;
use super::layout::Layout;
use super::reply::Reply;

/// Layouts that the streams of a client share: that of a token for each length
/// that a request's id has, and that of an answer's end.
const KNOWN_MAX: usize = 8;

/// Layouts that messages were seen to have again. Clones share them.
///
/// One that had to give way to others is still compared with by those who have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<Vec<Arc<Layout>>>>);

impl Known {
    fn find(&self, is_it: impl Fn(&Layout) -> bool) -> Option<Arc<Layout>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|layout| is_it(layout)).cloned()
    }

    /// Adds one, in place of the oldest where there are many.
    fn add(&self, layout: &Arc<Layout>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == KNOWN_MAX {
            known.remove(0);
        }
        layout.is_known.store(true, Ordering::Relaxed);
        known.push(Arc::clone(layout));
    }
}

/// Reads the messages of one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Of the message that was read last.
    layout: Arc<Layout>,
}

impl Reader {
    /// Reads a `ModelStreamInferResponse`, and shares what it learns.
    ///
    /// # Errors
    /// When the bytes are no such message.
    #[inline]
    pub(super) fn read(&mut self, bytes: Bytes, known: &Known) -> Result<Reply, Broken> {
        if !self.layout.fits(&bytes) {
            self.read_anew(&bytes, known)?;
        } else if !self.layout.is_known() {
            self.make_known(known);
        }
        Ok(Reply::of(bytes, Arc::clone(&self.layout)))
    }

    #[inline(never)]
    fn read_anew(&mut self, bytes: &[u8], known: &Known) -> Result<(), Broken> {
        if let Some(known) = known.find(|layout| layout.fits(bytes)) {
            self.layout = known;
            return Ok(());
        }
        // Mostly nobody else has it, and its memory will do.
        if let Some(layout) = Arc::get_mut(&mut self.layout) {
            return layout.read_stream(bytes);
        }
        let mut layout = Layout::default();
        let read = layout.read_stream(bytes);
        self.layout = Arc::new(layout);
        read
    }

    /// A layout that came twice will come again, here and elsewhere. Not at once, as
    /// texts make for messages that are each of their own length.
    #[cold]
    fn make_known(&mut self, known: &Known) {
        match known.find(|layout| layout.is_as(&self.layout)) {
            Some(known) => self.layout = known,
            None => known.add(&self.layout),
        }
    }
}

#[cfg(test)]
mod tests;
