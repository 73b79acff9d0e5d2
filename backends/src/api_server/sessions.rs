//! Session ids for the versions that must be given one (LMDeploy up to 0.2.4,
//! see [`super::family::Family::session_id`]): distinct among all requests that
//! the server may be running, those that we gave up included. Sends nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How far a slot's next id is from one that the server may still be running.
///
/// A repeated id loses 0.1.0 an engine instance for good, so the next one has
/// to be another slot's never: above every slot. And 0.1.0a1 runs a request on
/// instance `id % instances`, where equal remainders queue behind each other,
/// so the next one should keep its remainder: it then waits for what its own
/// slot left behind, as a request that comes after a timeout does elsewhere,
/// and no other slot has to. This number is 2^7 x 3^2 x 5 x 7 x 11 x 13: a
/// multiple of every number of instances up to 16, and of 18, 20, 24, 28, 30,
/// 32, 36, 40, 48, 56, 60, 64, 72, 80, 96, 120 and 128.
const STRIDE: u32 = 5_765_760;

/// Steps after which a slot starts again from its first id, so that ids stay
/// below 2^31: 371 requests of one slot would have to be lost and the first of
/// them still be running for two to meet.
const STEPS_MAX: u32 = 372;

/// The ids of one client's slots.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Steps of the slots that lost a request.
    steps: Mutex<HashMap<u32, u32>>,
}

impl Sessions {
    /// The id for a slot's next request, in use until the answer has ended.
    pub(super) fn begin(&self, slot: u32) -> Session<'_> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let step = steps.get(&slot).copied().unwrap_or(0);
        Session {
            sessions: self,
            slot,
            id: (slot % STRIDE).saturating_add(step * STRIDE),
            ended: false,
        }
    }
}

/// A session that the server is running. Dropped before it is
/// [ended](Self::end), it may go on there, and its id is not used again.
#[derive(Debug)]
pub(super) struct Session<'a> {
    sessions: &'a Sessions,
    slot: u32,
    id: u32,
    ended: bool,
}

impl Session<'_> {
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The server has ended the answer: the id is free.
    pub(super) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let steps = self.sessions.steps.lock();
            let mut steps = steps.unwrap_or_else(PoisonError::into_inner);
            let step = steps.entry(self.slot).or_default();
            *step = (*step + 1) % STEPS_MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{STEPS_MAX, STRIDE, Sessions};

    #[test]
    fn an_id_is_free_when_its_answer_has_ended() {
        let sessions = Sessions::default();
        sessions.begin(3).end();
        assert_eq!(sessions.begin(3).id(), 3, "ended, and this one is lost");
        let next = sessions.begin(3);
        assert_eq!(next.id(), 3 + STRIDE);
        next.end();
        assert_eq!(sessions.begin(3).id(), 3 + STRIDE);
        assert_eq!(sessions.begin(3).id(), 3 + 2 * STRIDE);
        assert_eq!(sessions.begin(4).id(), 4, "another slot's are its own");
    }

    #[test]
    fn lost_ids_meet_no_other_and_keep_their_instance() {
        let sessions = Sessions::default();
        let mut seen = HashSet::new();
        for step in 0..STEPS_MAX {
            for slot in [0, 1, 2, 63, 64, 127, 19_999] {
                let id = sessions.begin(slot).id();
                assert!(seen.insert(id), "{slot} {step}");
                assert!(i32::try_from(id).is_ok());
                for instances in (1..=16).chain([24, 32, 48, 64, 96, 128]) {
                    assert_eq!(id % instances, slot % instances);
                }
            }
        }
        assert_eq!(sessions.begin(7).id(), 7);
        assert_eq!(sessions.begin(63).id(), 63, "round");
    }
}
