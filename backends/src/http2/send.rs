//! Calls on their way out, as far as the server's windows let them. Writes no
//! socket: frames go to [`State::out`].

use bytes::Bytes;

use super::call::Call;
use super::error::{Error, Reason, Violation};
use super::frame::{Head, LARGEST, flag, kind};
use super::state::{LAST_CALL, State};

impl State {
    /// A new call; its key.
    pub(super) fn begin(&mut self, block: Vec<u8>, body: Bytes) -> Result<usize, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(goodbye) = &self.goodbye {
            return Err(Error::Unbegun(goodbye.clone()));
        }
        let waiting = u32::try_from(self.sending.len()).unwrap_or(LARGEST);
        if waiting > (LAST_CALL.saturating_sub(self.next_number)) / 2 {
            return Err(Error::Spent);
        }
        let key = self.calls.insert(Call::new(block, body));
        self.sending.push_back(key);
        self.send();
        self.wake_driver();
        Ok(key)
    }

    /// Sends what the server's windows allow.
    pub(super) fn send(&mut self) {
        let mut at = 0;
        while let Some(&key) = self.sending.get(at) {
            let begun = self.calls[key].rest.number != 0 || self.open_call(key);
            if !begun {
                // Nor can those behind it begin, and they are later.
                return;
            }
            if self.send_body(key) {
                self.sending.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Sends a call's headers, if the server takes one more.
    fn open_call(&mut self, key: usize) -> bool {
        let most = usize::try_from(self.peer.calls).unwrap_or(usize::MAX);
        if self.numbers.len() >= most || self.next_number > LAST_CALL {
            return false;
        }
        let call = &mut self.calls[key];
        call.rest.number = self.next_number;
        self.next_number += 2;
        call.rest.send_window = i64::from(self.peer.window_bytes);
        self.numbers
            .insert(call.rest.number, u32::try_from(key).unwrap_or(u32::MAX));
        let block = std::mem::take(&mut call.rest.block);
        let mut kind = kind::HEADERS;
        let mut parts = block.chunks(self.peer.frame_bytes).peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let head = Head {
                len: part.len(),
                kind,
                flags: if last { flag::END_HEADERS } else { 0 },
                stream: call.rest.number,
            };
            head.write(&mut self.out);
            self.out.extend_from_slice(part);
            kind = kind::CONTINUATION;
        }
        true
    }

    /// Sends of a call's message what the windows allow; whether that was all.
    fn send_body(&mut self, key: usize) -> bool {
        let call = &mut self.calls[key];
        loop {
            let window = call.rest.send_window.min(self.send_window).max(0);
            let window = usize::try_from(window).unwrap_or(usize::MAX);
            let len = call.rest.body.len().min(window).min(self.peer.frame_bytes);
            if len == 0 && !call.rest.body.is_empty() {
                return false;
            }
            let part = call.rest.body.split_to(len);
            call.rest.sent = call.rest.body.is_empty();
            let head = Head {
                len,
                kind: kind::DATA,
                flags: if call.rest.sent { flag::END_STREAM } else { 0 },
                stream: call.rest.number,
            };
            head.write(&mut self.out);
            self.out.extend_from_slice(&part);
            let len = i64::try_from(len).unwrap_or(i64::MAX);
            call.rest.send_window -= len;
            self.send_window -= len;
            if call.rest.sent {
                return true;
            }
        }
    }

    /// A window of the server's grew; `number` 0: that of all calls.
    pub(super) fn widen(&mut self, number: u32, bytes: u32) -> Result<(), Violation> {
        let violation = match bytes {
            0 => Violation::protocol("a window that grows by nothing"),
            _ => Violation::new(Reason::FLOW_CONTROL_ERROR, "a window of more than 2 GiB"),
        };
        let wider = |window: i64| {
            let wider = window + i64::from(bytes);
            (bytes > 0 && wider <= i64::from(LARGEST)).then_some(wider)
        };
        if number == 0 {
            self.send_window = wider(self.send_window).ok_or(violation)?;
        } else if let Some(key) = self.find(number)? {
            match wider(self.calls[key].rest.send_window) {
                Some(window) => self.calls[key].rest.send_window = window,
                None => self.refuse(key, violation),
            }
        }
        self.send();
        Ok(())
    }

    /// The server gives new calls another window; it holds for those at work, too.
    pub(super) fn set_window(&mut self, bytes: u32) -> Result<(), Violation> {
        let difference = i64::from(bytes) - i64::from(self.peer.window_bytes);
        self.peer.window_bytes = bytes;
        for (_, call) in &mut self.calls {
            call.rest.send_window += difference;
            if call.rest.send_window > i64::from(LARGEST) {
                let words = "a window of more than 2 GiB";
                return Err(Violation::new(Reason::FLOW_CONTROL_ERROR, words));
            }
        }
        Ok(())
    }
}
