//! Publications that were sent: whose they are when they come back, and which of them never do.
//!
//! A server answers commands in order, and pushes a publication to its own publisher directly before or directly behind
//! the answer (versions differ). So a push that is one's own is the first that has no answer, or the last that got one:
//! two places to look at, however many are under way. Another publisher's equal bytes may be taken for one's own, which
//! nobody can tell apart.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::hub::Sender;

/// A publication on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Without the prefix.
    pub(super) channel: Box<str>,
    pub(super) payload: Arc<[u8]>,
    pub(super) from: Option<Sender>,
    /// How often the cluster sent it elsewhere.
    pub(super) moves: u8,
}

impl Outgoing {
    /// What it counts for besides its payload.
    const OVERHEAD: usize = 128;

    /// Bytes it counts for.
    pub(super) fn weight(&self) -> usize {
        self.channel.len() + self.payload.len() + Self::OVERHEAD
    }
}

/// What was sent and has no answer, and the last that got one.
#[derive(Debug, Default)]
pub(super) struct Flight {
    unanswered: VecDeque<(Outgoing, bool)>,
    last: Option<Outgoing>,
}

impl Flight {
    /// One more was sent.
    pub(super) fn sent(&mut self, publication: Outgoing) {
        self.unanswered.push_back((publication, false));
    }

    /// A publication has come: if it is one's own, who sent it.
    pub(super) fn returned(&mut self, channel: &str, payload: &[u8]) -> Option<Option<Sender>> {
        let is = |one: &Outgoing| *one.channel == *channel && *one.payload == *payload;
        if let Some(last) = self.last.take_if(|last| is(last)) {
            return Some(last.from);
        }
        match self.unanswered.front_mut() {
            Some((first, returned)) if !*returned && is(first) => {
                *returned = true;
                Some(first.from)
            }
            _ => None,
        }
    }

    /// The server took the first; what it counted for.
    pub(super) fn answered(&mut self) -> usize {
        let Some((first, returned)) = self.unanswered.pop_front() else { return 0 };
        let weight = first.weight();
        self.last = (!returned).then_some(first);
        weight
    }

    /// The server refused the first.
    pub(super) fn refused(&mut self) -> Option<Outgoing> {
        self.unanswered.pop_front().map(|(first, _)| first)
    }

    /// Time has passed: what was answered and has not come back has no member here.
    pub(super) fn settle(&mut self) {
        self.last = None;
    }

    /// The connection is gone: what has not come back, in order.
    pub(super) fn lost(&mut self) -> impl Iterator<Item = Outgoing> + use<> {
        let rest = std::mem::take(&mut self.unanswered).into_iter();
        self.last.take().into_iter().chain(rest.filter_map(|(one, returned)| (!returned).then_some(one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(slot: u32) -> Sender {
        Sender { worker: 0, slot, generation: 1, echo: false }
    }

    fn outgoing(channel: &str, payload: &[u8], slot: u32) -> Outgoing {
        Outgoing { channel: channel.into(), payload: payload.into(), from: Some(from(slot)), moves: 0 }
    }

    /// Sends a, b (to a channel nobody here is in), c.
    fn flight() -> Flight {
        let mut flight = Flight::default();
        flight.sent(outgoing("a", b"1", 1));
        flight.sent(outgoing("nobody", b"2", 2));
        flight.sent(outgoing("a", b"3", 3));
        flight
    }

    #[test]
    fn ones_own_is_known_where_pushes_come_first() {
        let mut flight = flight();
        assert_eq!(flight.returned("a", b"other"), None);
        assert_eq!(flight.returned("a", b"1"), Some(Some(from(1))));
        assert_eq!(flight.returned("a", b"1"), None, "an equal one of somebody else");
        assert!(flight.answered() > 2 && flight.answered() > 2);
        assert_eq!(flight.returned("a", b"3"), Some(Some(from(3))));
        flight.answered();
        assert_eq!(flight.lost().count(), 0);
        assert_eq!(flight.answered(), 0);
    }

    #[test]
    fn ones_own_is_known_where_answers_come_first() {
        let mut flight = flight();
        flight.answered();
        assert_eq!(flight.returned("a", b"1"), Some(Some(from(1))));
        flight.answered();
        flight.answered();
        assert_eq!(flight.returned("a", b"3"), Some(Some(from(3))));
        assert_eq!(flight.returned("a", b"3"), None);
    }

    #[test]
    fn what_never_came_back_is_told_in_order() {
        let mut flight = flight();
        flight.returned("a", b"1");
        let lost: Vec<_> = flight.lost().map(|one| one.payload[0]).collect();
        assert_eq!(lost, *b"23");
        let mut flight = self::flight();
        flight.answered();
        let lost: Vec<_> = flight.lost().map(|one| one.payload[0]).collect();
        assert_eq!(lost, *b"123");
        let mut flight = self::flight();
        flight.answered();
        flight.settle();
        assert_eq!(flight.refused().map(|one| one.payload[0]), Some(b'2'));
        assert_eq!(flight.lost().count(), 1);
    }
}
