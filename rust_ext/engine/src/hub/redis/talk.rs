//! The conversation on one connection: what was asked, what the answers and pushes mean.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fastgate_core::resp::{self, Node, Server, slot};

use super::desk::{Desk, Taken};
use super::flight::{Flight, Outgoing};
use super::thread::Context;
use crate::redis::{self, Frame, Settings, Trouble, code};

/// Channels in one command.
const BATCH: usize = 512;

/// How often a publication follows the cluster to another server.
const MAX_MOVES: u8 = 5;

/// The two kinds of subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What everybody publishes; in a cluster every server passes it on to all others.
    Classic,
    /// What is published to the slot's own server.
    Sharded,
}

/// A command that has no answer yet.
#[derive(Debug)]
enum Asked {
    Hello,
    Ping,
    Map,
    Publish,
    /// Acknowledged channel by channel, or refused as a whole.
    Subscribe(Kind, Vec<Arc<str>>, usize),
    Unsubscribe(usize),
}

/// What has come of an answer, beside what is delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing to act on.
    Nothing,
    /// The server serves us.
    Hello,
    /// The cluster's servers by their slots.
    Map(Vec<(u16, u16, Server)>),
}

/// One connection's conversation.
#[derive(Debug, Default)]
pub(super) struct Talk {
    asked: VecDeque<Asked>,
    flight: Flight,
    subscribed: HashSet<Arc<str>>,
    /// Answers so far, to see that the server gives some.
    answers: u64,
}

impl Talk {
    /// Greets the server.
    pub(super) fn hello(&mut self, settings: &Settings, out: &mut Vec<u8>) {
        redis::greet(settings, out);
        self.asked.push_back(Asked::Hello);
    }

    /// Asks whether it is there.
    pub(super) fn ping(&mut self, out: &mut Vec<u8>) {
        resp::command(out, &[b"PING"]);
        self.asked.push_back(Asked::Ping);
    }

    /// Asks for the cluster's map.
    pub(super) fn map(&mut self, out: &mut Vec<u8>) {
        resp::command(out, &[b"CLUSTER", b"SLOTS"]);
        self.asked.push_back(Asked::Map);
    }

    /// Whether something has no answer yet.
    pub(super) fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Answers so far.
    pub(super) fn answers(&self) -> u64 {
        self.answers
    }

    /// A while has passed.
    pub(super) fn settle(&mut self) {
        self.flight.settle();
    }

    /// The connection is gone: what has not come back.
    pub(super) fn lost(&mut self) -> impl Iterator<Item = Outgoing> + use<> {
        self.flight.lost()
    }

    /// Writes commands for what a lane has taken: subscriptions first, so that who joined before a publication gets it.
    pub(super) fn write(&mut self, desk: &Desk, lane: usize, taken: Taken, out: &mut Vec<u8>) {
        if taken.moved {
            let moved: Vec<_> =
                self.subscribed.iter().filter(|channel| !desk.belongs(lane, channel)).cloned().collect();
            self.forget(&moved);
            self.unsubscribe(&desk.settings, &moved, out);
        }
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        for (channel, wanted) in taken.changes {
            if wanted && self.subscribed.insert(channel.clone()) {
                join.push(channel);
            } else if !wanted && self.subscribed.remove(&channel) {
                leave.push(channel);
            }
        }
        self.unsubscribe(&desk.settings, &leave, out);
        self.subscribe(&desk.settings, &join, out);
        let command: &[u8] = if desk.settings.cluster { b"SPUBLISH" } else { b"PUBLISH" };
        for one in taken.publications {
            resp::array(out, 3);
            resp::bulk(out, command);
            resp::bulk_of(out, &[desk.settings.prefix.as_bytes(), one.channel.as_bytes()]);
            resp::bulk(out, &one.payload);
            self.asked.push_back(Asked::Publish);
            self.flight.sent(one);
        }
    }

    fn forget(&mut self, channels: &[Arc<str>]) {
        for channel in channels {
            self.subscribed.remove(channel);
        }
    }

    fn subscribe(&mut self, settings: &Settings, channels: &[Arc<str>], out: &mut Vec<u8>) {
        self.in_batches(settings, channels, (b"SUBSCRIBE", b"SSUBSCRIBE"), out, |kind, batch| {
            Asked::Subscribe(kind, batch.to_vec(), batch.len())
        });
    }

    fn unsubscribe(&mut self, settings: &Settings, channels: &[Arc<str>], out: &mut Vec<u8>) {
        self.in_batches(settings, channels, (b"UNSUBSCRIBE", b"SUNSUBSCRIBE"), out, |_, batch| {
            Asked::Unsubscribe(batch.len())
        });
    }

    /// Writes one command a batch; in a cluster another one for each slot, because a sharded one may not span slots.
    fn in_batches(
        &mut self,
        settings: &Settings,
        channels: &[Arc<str>],
        (classic, sharded): (&[u8], &[u8]),
        out: &mut Vec<u8>,
        asked: impl Fn(Kind, &[Arc<str>]) -> Asked,
    ) {
        let prefix = settings.prefix.as_bytes();
        let mut write = |command: &[u8], kind: Kind, batch: &[Arc<str>]| {
            resp::array(out, batch.len() + 1);
            resp::bulk(out, command);
            batch.iter().for_each(|channel| resp::bulk_of(out, &[prefix, channel.as_bytes()]));
            self.asked.push_back(asked(kind, batch));
        };
        channels.chunks(BATCH).for_each(|batch| write(classic, Kind::Classic, batch));
        if settings.cluster {
            let mut by_slot: HashMap<u16, Vec<Arc<str>>> = HashMap::new();
            for channel in channels {
                by_slot.entry(slot(&[prefix, channel.as_bytes()].concat())).or_default().push(channel.clone());
            }
            for same in by_slot.values() {
                same.chunks(BATCH).for_each(|batch| write(sharded, Kind::Sharded, batch));
            }
        }
    }

    /// Takes in one frame.
    pub(super) fn hear(
        &mut self,
        cx: &Rc<Context>,
        lane: Option<usize>,
        frame: Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Heard, Trouble> {
        match frame.nodes.first() {
            Some(Node::Push(_)) => {
                self.push(cx, lane, frame, out);
                Ok(Heard::Nothing)
            }
            Some(Node::Error(_)) => {
                let error = frame.text(0).unwrap_or_default();
                self.refused(cx, lane, error, out)
            }
            Some(_) => self.answer(cx, frame),
            None => Err(Trouble::Unexpected),
        }
    }

    fn push(&mut self, cx: &Rc<Context>, lane: Option<usize>, frame: Frame<'_>, out: &mut Vec<u8>) {
        let Some(name) = frame.text(2) else { return };
        match (frame.text(1).unwrap_or_default(), lane) {
            (kind @ (b"message" | b"smessage"), Some(lane)) => self.message(cx, lane, kind == b"smessage", name, frame),
            (b"subscribe", _) => self.acknowledged(Kind::Classic),
            (b"ssubscribe", _) => self.acknowledged(Kind::Sharded),
            (b"unsubscribe", _) => self.left(),
            (b"sunsubscribe", _) => {
                let name = channel(&cx.desk.settings, name).unwrap_or_default();
                if let Some(name) = self.subscribed.take(name) {
                    // Its slot has gone to another server, and the other subscription goes there too.
                    self.unsubscribe(&cx.desk.settings, &[name], out);
                    cx.look_again();
                } else {
                    self.left();
                }
            }
            _ => {}
        }
    }

    fn message(&mut self, cx: &Rc<Context>, lane: usize, sharded: bool, name: &[u8], frame: Frame<'_>) {
        let figures = &cx.shared.hub.figures;
        figures.received.fetch_add(1, Relaxed);
        let Some(channel) = channel(&cx.desk.settings, name) else { return };
        let Some(payload) = frame.text(3) else {
            figures.dropped.fetch_add(1, Relaxed);
            return;
        };
        // After a move both servers pass on what is published by the classic command.
        if !sharded && !cx.desk.belongs(lane, channel) {
            return;
        }
        let own = if sharded == cx.desk.settings.cluster { self.flight.returned(channel, payload) } else { None };
        let payload: Arc<[u8]> = payload.into();
        if cx.shared.hub.channels.deliver(&cx.shared.workers, channel, &payload, own.flatten()).is_err() {
            figures.dropped.fetch_add(1, Relaxed);
        }
    }

    fn acknowledged(&mut self, kind: Kind) {
        self.answers += 1;
        if let Some(Asked::Subscribe(asked, _, left)) = self.asked.front_mut()
            && *asked == kind
        {
            *left -= 1;
            if *left == 0 {
                self.asked.pop_front();
            }
        }
    }

    fn left(&mut self) {
        self.answers += 1;
        if let Some(Asked::Unsubscribe(left)) = self.asked.front_mut() {
            *left -= 1;
            if *left == 0 {
                self.asked.pop_front();
            }
        }
    }

    fn answer(&mut self, cx: &Rc<Context>, frame: Frame<'_>) -> Result<Heard, Trouble> {
        self.answers += 1;
        match self.asked.pop_front() {
            Some(Asked::Hello) => Ok(Heard::Hello),
            Some(Asked::Ping) => Ok(Heard::Nothing),
            Some(Asked::Map) => redis::read_map(frame, &cx.desk.settings.server).map(Heard::Map),
            Some(Asked::Publish) => {
                cx.shared.hub.figures.published.fetch_add(1, Relaxed);
                let weight = self.flight.answered();
                cx.freed(weight);
                Ok(Heard::Nothing)
            }
            Some(Asked::Subscribe(..) | Asked::Unsubscribe(_)) | None => Err(Trouble::Unexpected),
        }
    }

    fn refused(
        &mut self,
        cx: &Rc<Context>,
        lane: Option<usize>,
        error: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Heard, Trouble> {
        self.answers += 1;
        let code = code(error);
        let elsewhere = matches!(code.as_str(), "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN");
        match self.asked.pop_front() {
            // It is there.
            Some(Asked::Ping) => Ok(Heard::Nothing),
            Some(Asked::Publish) => {
                let Some(mut one) = self.flight.refused() else { return Ok(Heard::Nothing) };
                cx.freed(one.weight());
                if elsewhere && one.moves < MAX_MOVES {
                    one.moves += 1;
                    cx.redirect(one);
                } else {
                    cx.note_refusal("publish to", &one.channel, &code);
                    cx.desk.deliver(&cx.shared, &one);
                }
                Ok(Heard::Nothing)
            }
            Some(Asked::Subscribe(_, batch, _)) if elsewhere => {
                self.forget(&batch);
                self.unsubscribe(&cx.desk.settings, &batch, out);
                cx.look_again();
                Ok(Heard::Nothing)
            }
            Some(Asked::Subscribe(kind, batch, _)) if code == "NOPERM" => {
                if let ([only], Some(lane)) = (&batch[..], lane) {
                    self.subscribed.remove(only);
                    cx.desk.deny(lane, only);
                    cx.note_refusal("subscribe", only, &code);
                } else {
                    // One of them is refused; only asking for each says which.
                    for channel in batch {
                        let command: &[u8] = if kind == Kind::Classic { b"SUBSCRIBE" } else { b"SSUBSCRIBE" };
                        resp::array(out, 2);
                        resp::bulk(out, command);
                        resp::bulk_of(out, &[cx.desk.settings.prefix.as_bytes(), channel.as_bytes()]);
                        self.asked.push_back(Asked::Subscribe(kind, vec![channel], 1));
                    }
                }
                Ok(Heard::Nothing)
            }
            Some(Asked::Unsubscribe(_)) => Ok(Heard::Nothing),
            Some(Asked::Hello | Asked::Map | Asked::Subscribe(..)) | None => Err(Trouble::refused(error)),
        }
    }
}

/// A channel's name without the prefix.
fn channel<'a>(settings: &Settings, name: &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(name.strip_prefix(settings.prefix.as_bytes())?).ok()
}
