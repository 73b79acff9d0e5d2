//! Which write carried the end of each message of an HTTP/2 connection. What
//! many streams have to say at one moment may be more than one write takes, and a
//! library writes it when it likes: so the frames are followed as they leave.
//! Knows no clock and no message.

use std::collections::{HashMap, VecDeque};

use super::frames::{DATA, Frames};

/// What leaves by a connection: `A` is what is known of a whole answer.
#[derive(Debug)]
pub(super) struct Departures<A> {
    frames: Frames,
    streams: HashMap<u32, Stream<A>>,
    /// Answers of which all has left, with the write of each message.
    complete: Vec<(A, Vec<u64>)>,
}

/// The messages of one stream.
#[derive(Debug)]
struct Stream<A> {
    /// Bytes that were given to the library, and those that have left.
    given: u64,
    left: u64,
    /// Where messages end that have not left.
    ends: VecDeque<u64>,
    writes: Vec<u64>,
    /// No more messages come.
    answer: Option<A>,
}

impl<A> Stream<A> {
    fn is_complete(&self) -> bool {
        self.answer.is_some() && self.ends.is_empty()
    }
}

impl<A> Default for Stream<A> {
    fn default() -> Self {
        Self {
            given: 0,
            left: 0,
            ends: VecDeque::new(),
            writes: Vec::new(),
            answer: None,
        }
    }
}

impl<A> Default for Departures<A> {
    fn default() -> Self {
        Self {
            // A server says nothing before its first frame.
            frames: Frames::after(0),
            streams: HashMap::new(),
            complete: Vec::new(),
        }
    }
}

impl<A> Departures<A> {
    /// A message of so many bytes is about to be given to the library.
    pub(super) fn expect(&mut self, stream: u32, bytes: usize) {
        let stream = self.streams.entry(stream).or_default();
        stream.given += count(bytes);
        stream.ends.push_back(stream.given);
    }

    /// All of an answer has been given to the library.
    pub(super) fn end(&mut self, stream: u32, answer: A) {
        let messages = self.streams.entry(stream).or_default();
        messages.answer = Some(answer);
        if messages.is_complete() {
            self.complete(stream);
        }
    }

    /// The answer will not be given to its end. One that a client gives up when all
    /// was given to the library is kept, unfinished, as long as its connection.
    pub(super) fn forget(&mut self, stream: u32) {
        self.streams.remove(&stream);
    }

    /// These bytes leave next, by the write of this number.
    pub(super) fn leave(&mut self, bytes: &[u8], write: u64) {
        let (frames, streams) = (&mut self.frames, &mut self.streams);
        let mut complete = Vec::new();
        frames.follow(bytes, |passed| {
            if passed.kind != DATA {
                return;
            }
            // Of others nobody asks.
            let Some(stream) = streams.get_mut(&passed.stream) else {
                return;
            };
            stream.left += count(passed.bytes);
            while stream.ends.front().is_some_and(|&end| end <= stream.left) {
                stream.ends.pop_front();
                stream.writes.push(write);
            }
            if stream.is_complete() {
                complete.push(passed.stream);
            }
        });
        for stream in complete {
            self.complete(stream);
        }
    }

    /// The answers of which all has left since, with the number of the write that
    /// carried the end of each message.
    pub(super) fn take_complete(&mut self) -> Vec<(A, Vec<u64>)> {
        std::mem::take(&mut self.complete)
    }

    fn complete(&mut self, stream: u32) {
        if let Some(stream) = self.streams.remove(&stream)
            && let Some(answer) = stream.answer
        {
            self.complete.push((answer, stream.writes));
        }
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::frames::tests::frame;
    use super::Departures;

    #[test]
    fn a_message_leaves_with_its_last_byte() {
        let mut departures = Departures::default();
        for stream in [1, 3] {
            departures.expect(stream, 6);
            departures.expect(stream, 4);
        }
        departures.end(1, "one");
        departures.leave(&frame(1, 1, b"headers"), 0);
        departures.leave(&frame(0, 1, b"first "), 0);
        // Cut by the library, and in the middle of a frame.
        let cut = [frame(0, 3, b"fir"), frame(0, 3, b"st ")].concat();
        departures.leave(&cut[..20], 1);
        departures.leave(&cut[20..], 2);
        // Of a stream that nobody asks about.
        departures.leave(&frame(0, 5, b"other"), 2);
        assert!(departures.take_complete().is_empty());
        departures.leave(&frame(0, 1, b"last"), 3);
        assert_eq!(departures.take_complete(), [("one", vec![0, 3])]);
        departures.leave(&frame(0, 3, b"last"), 4);
        assert!(departures.take_complete().is_empty(), "more may come");
        departures.end(3, "three");
        assert_eq!(departures.take_complete(), [("three", vec![2, 4])]);
        assert!(departures.take_complete().is_empty(), "once");
    }

    #[test]
    fn two_messages_may_leave_in_one_frame_and_one_that_is_forgotten_never_does() {
        let mut departures = Departures::default();
        for stream in [1, 3] {
            departures.expect(stream, 2);
            departures.expect(stream, 3);
        }
        departures.forget(3);
        let wire = [frame(0, 3, b"aabbb"), frame(0, 1, b"aabbb")].concat();
        departures.leave(&wire, 7);
        departures.end(1, ());
        assert_eq!(departures.take_complete(), [((), vec![7, 7])]);
    }
}
