//! What waits for a session whose socket takes no more, bounded by bytes; control frames stand before data.
//!
//! A message of which a part is out is never dropped and never interrupted.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use fastgate_core::snapshot::WhenFull;

use super::frames::Frames;

/// What a waiting message counts for besides its bytes.
pub(crate) const OVERHEAD: usize = size_of::<Piece>();

/// Pieces written in one call.
pub(crate) const GATHER: usize = 64;

/// Bytes of control frames that may wait; a pong beyond it is left out (RFC 6455 §5.5.3 asks for the latest only).
const MAX_CONTROL_WAITING: usize = 512;

/// One message of shared frames.
#[derive(Debug)]
struct Piece {
    frames: Rc<Frames>,
    at: u32,
    end: u32,
    /// The channel it belongs to, as the shard knows it.
    channel: u32,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        &self.frames.bytes[self.at as usize..self.end as usize]
    }

    fn weight(&self) -> usize {
        (self.end - self.at) as usize + OVERHEAD
    }
}

/// What is partly out: it goes first.
#[derive(Debug)]
enum Begun {
    Piece(Piece),
    Control(Vec<u8>),
}

impl Begun {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Piece(piece) => piece.bytes(),
            Self::Control(rest) => rest,
        }
    }
}

/// What became of a message that was to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits; so many others were dropped for it.
    Waits(u32),
    /// It was dropped itself, with so many others.
    Dropped(u32),
    /// There is no room, and the policy is to disconnect.
    Full,
}

/// A queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    begun: Option<Begun>,
    control: Vec<u8>,
    pieces: VecDeque<Piece>,
    /// What the messages count for.
    weight: usize,
    /// Messages dropped that the client has not been told of.
    pub(crate) untold: u64,
    /// The tick of the last progress.
    pub(crate) moved: u32,
}

impl Queue {
    /// An empty one, at this tick.
    pub(crate) fn new(now: u32) -> Self {
        Self { moved: now, ..Self::default() }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.control.is_empty() && self.pieces.is_empty()
    }

    /// What waits counts for so much.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Messages of which nothing is out.
    pub(crate) fn messages(&self) -> usize {
        self.pieces.len()
    }

    /// Whether a message or a control frame is partly out.
    #[cfg(test)]
    pub(crate) fn is_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Puts a message of which `sent` bytes are out before everything else. Nothing else may wait then.
    pub(crate) fn begin(&mut self, frames: &Rc<Frames>, range: (u32, u32), sent: u32, channel: u32) {
        let piece = Piece { frames: frames.clone(), at: range.0 + sent, end: range.1, channel };
        self.weight += piece.weight();
        self.begun = Some(Begun::Piece(piece));
    }

    /// Puts the rest of a control frame or head of which a part may be out before everything else.
    pub(crate) fn begin_control(&mut self, rest: &[u8]) {
        debug_assert!(self.begun.is_none());
        self.begun = Some(Begun::Control(rest.to_vec()));
    }

    /// Puts a control frame before the data that waits; `false`: too many wait already.
    pub(crate) fn control(&mut self, frame: &[u8]) -> bool {
        if self.control.len() + frame.len() > MAX_CONTROL_WAITING {
            return false;
        }
        self.control.extend_from_slice(frame);
        true
    }

    /// Drops what has not begun and puts the last frame there is; how many messages were dropped.
    pub(crate) fn end_with(&mut self, close: &[u8]) -> u32 {
        let dropped = self.abandon();
        self.control.clear();
        self.control.extend_from_slice(close);
        dropped
    }

    /// Puts a message behind the others, within `limit`.
    pub(crate) fn push(
        &mut self,
        frames: &Rc<Frames>,
        range: (u32, u32),
        channel: u32,
        limit: usize,
        policy: WhenFull,
    ) -> Pushed {
        let piece = Piece { frames: frames.clone(), at: range.0, end: range.1, channel };
        let mut dropped = 0;
        if policy == WhenFull::LatestOnly {
            dropped += self.drop_where(|other| other.channel == channel);
        }
        while self.weight + piece.weight() > limit {
            match (policy, self.pieces.pop_front()) {
                (WhenFull::Disconnect, oldest) => {
                    if let Some(oldest) = oldest {
                        self.pieces.push_front(oldest);
                    }
                    return Pushed::Full;
                }
                (_, Some(oldest)) => {
                    self.weight -= oldest.weight();
                    dropped += 1;
                }
                (_, None) => {
                    self.untold += u64::from(dropped + 1);
                    return Pushed::Dropped(dropped);
                }
            }
        }
        self.weight += piece.weight();
        self.pieces.push_back(piece);
        self.untold += u64::from(dropped);
        Pushed::Waits(dropped)
    }

    fn drop_where(&mut self, of: impl Fn(&Piece) -> bool) -> u32 {
        let before = self.pieces.len();
        let weight = &mut self.weight;
        self.pieces.retain(|piece| {
            let gone = of(piece);
            if gone {
                *weight -= piece.weight();
            }
            !gone
        });
        u32::try_from(before - self.pieces.len()).unwrap_or(u32::MAX)
    }

    /// What to write next, in order.
    pub(crate) fn gather<'a>(&'a self, out: &mut Vec<IoSlice<'a>>) {
        out.extend(self.begun.iter().map(|begun| IoSlice::new(begun.bytes())));
        if !self.control.is_empty() {
            out.push(IoSlice::new(&self.control));
        }
        out.extend(self.pieces.iter().take(GATHER - out.len()).map(|piece| IoSlice::new(piece.bytes())));
    }

    /// Notes that so many bytes of it are out; messages that are out whole.
    pub(crate) fn advance(&mut self, mut n: usize) -> u32 {
        let mut whole = 0;
        while n > 0
            && let Some(mut begun) = self.begun.take().or_else(|| self.first())
        {
            let took = n.min(begun.bytes().len());
            n -= took;
            match &mut begun {
                Begun::Piece(piece) => {
                    piece.at += u32::try_from(took).unwrap_or(0);
                    self.weight -= took;
                }
                Begun::Control(rest) => drop(rest.drain(..took)),
            }
            if !begun.bytes().is_empty() {
                self.begun = Some(begun);
            } else if let Begun::Piece(_) = begun {
                self.weight -= OVERHEAD;
                whole += 1;
            }
        }
        whole
    }

    /// Takes what goes first of what has not begun.
    fn first(&mut self) -> Option<Begun> {
        if self.control.is_empty() {
            self.pieces.pop_front().map(Begun::Piece)
        } else {
            Some(Begun::Control(std::mem::take(&mut self.control)))
        }
    }

    /// Drops every message of which nothing is out; how many there were.
    fn abandon(&mut self) -> u32 {
        self.drop_where(|_| true)
    }

    /// Everything that waits, as bytes in order: for a session that moves.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.begun.iter().for_each(|begun| out.extend_from_slice(begun.bytes()));
        out.extend_from_slice(&self.control);
        self.pieces.iter().for_each(|piece| out.extend_from_slice(piece.bytes()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: u8, len: usize) -> Rc<Frames> {
        Rc::new(Frames { bytes: vec![name; len], ends: vec![u32::try_from(len).unwrap()] })
    }

    fn push(queue: &mut Queue, name: u8, len: usize, limit: usize, policy: WhenFull) -> Pushed {
        let frames = message(name, len);
        queue.push(&frames, (0, u32::try_from(len).unwrap()), u32::from(name), limit, policy)
    }

    fn waiting(queue: &Queue) -> String {
        String::from_utf8(queue.bytes()).unwrap()
    }

    #[test]
    fn control_frames_stand_before_data_and_behind_what_is_begun() {
        let mut queue = Queue::default();
        queue.begin(&message(b'a', 4), (0, 4), 1, 0);
        assert_eq!(push(&mut queue, b'b', 2, 1_000, WhenFull::Disconnect), Pushed::Waits(0));
        assert!(queue.control(b"PP"));
        assert_eq!(waiting(&queue), "aaaPPbb");
        assert_eq!(queue.advance(2), 0);
        assert!(queue.is_begun());
        assert_eq!(queue.advance(2), 1);
        assert_eq!(waiting(&queue), "Pbb");
        assert!(queue.control(b"Q"));
        assert_eq!(waiting(&queue), "PQbb", "the frame that is begun ends first");
        assert_eq!(queue.advance(4), 1);
        assert!(queue.is_empty() && queue.weight() == 0);
        assert!(!queue.control(&[0; MAX_CONTROL_WAITING + 1]));
    }

    #[test]
    fn a_full_queue_does_what_its_policy_says() {
        let limit = 2 * (10 + OVERHEAD);
        for (policy, third, left) in [
            (WhenFull::Disconnect, Pushed::Full, "aaaaaaaaaabbbbbbbbbb"),
            (WhenFull::DropOldest, Pushed::Waits(1), "bbbbbbbbbbcccccccccc"),
            (WhenFull::LatestOnly, Pushed::Waits(1), "bbbbbbbbbbcccccccccc"),
        ] {
            let mut queue = Queue::default();
            push(&mut queue, b'a', 10, limit, policy);
            push(&mut queue, b'b', 10, limit, policy);
            assert_eq!(push(&mut queue, b'c', 10, limit, policy), third);
            assert_eq!(waiting(&queue), left);
        }
        let mut queue = Queue::default();
        push(&mut queue, b'a', 10, limit, WhenFull::LatestOnly);
        assert_eq!(push(&mut queue, b'a', 5, limit, WhenFull::LatestOnly), Pushed::Waits(1));
        assert_eq!((waiting(&queue).as_str(), queue.untold), ("aaaaa", 1));
        assert_eq!(push(&mut queue, b'b', limit, limit, WhenFull::DropOldest), Pushed::Dropped(1));
        assert_eq!((queue.weight(), queue.untold), (0, 3));
    }

    #[test]
    fn what_is_partly_out_is_never_dropped() {
        let limit = 20 + 2 * OVERHEAD;
        let mut queue = Queue::default();
        push(&mut queue, b'a', 10, limit, WhenFull::DropOldest);
        push(&mut queue, b'b', 10, limit, WhenFull::DropOldest);
        queue.advance(3);
        assert_eq!(push(&mut queue, b'c', 10, limit, WhenFull::DropOldest), Pushed::Waits(1));
        assert_eq!(waiting(&queue), "aaaaaaacccccccccc");
        assert_eq!(queue.end_with(b"X"), 1);
        assert_eq!(waiting(&queue), "aaaaaaaX");
    }

    /// From a seed: whatever is pushed, written and dropped, what comes out are whole messages in order, none twice,
    /// and the weight is that of what waits.
    #[test]
    fn whole_messages_come_out_in_order() {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for policy in [WhenFull::DropOldest, WhenFull::LatestOnly] {
            let (mut queue, mut out, mut sent) = (Queue::default(), Vec::new(), 0_u32);
            for number in 0..2_000_u32 {
                let text = format!("<{number}{}>", ".".repeat(usize::try_from(random(40)).unwrap()));
                let frames = Rc::new(Frames { ends: vec![u32::try_from(text.len()).unwrap()], bytes: text.into() });
                let channel = u32::try_from(random(3)).unwrap();
                let pushed = queue.push(&frames, (0, frames.ends[0]), channel, 400, policy);
                assert_ne!(pushed, Pushed::Full);
                assert!(queue.weight() <= 400);
                let waiting = queue.bytes();
                let n = waiting.len().min(usize::try_from(random(60)).unwrap());
                out.extend_from_slice(&waiting[..n]);
                sent += queue.advance(n);
            }
            let rest = queue.bytes();
            sent += queue.advance(rest.len());
            out.extend_from_slice(&rest);
            assert!(queue.is_empty() && queue.weight() == 0);
            let text = String::from_utf8(out).unwrap();
            let numbers: Vec<u32> = text
                .strip_suffix('>')
                .unwrap()
                .split('>')
                .map(|one| one.strip_prefix('<').unwrap().trim_end_matches('.').parse().unwrap())
                .collect();
            assert!(numbers.is_sorted_by(|a, b| a < b));
            assert_eq!(numbers.len(), sent as usize);
            assert_eq!(u64::from(sent) + queue.untold, 2_000);
        }
    }
}
