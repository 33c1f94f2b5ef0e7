//! What both sides know of every request: its plan, how often an origin saw it, what was answered.

use std::collections::HashMap;
use std::rc::Rc;

use crate::plan::{Kind, Plan};

/// An origin's answer, as the client must get it.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// It stops half-way or is not valid: the client may get a part of it, or the gateway's own answer.
    pub faulted: bool,
}

/// One time an origin saw a request.
#[derive(Debug)]
pub struct Seen {
    /// The first request on its connection.
    pub fresh: bool,
    /// The gateway may have seen a byte of an answer.
    pub begun: bool,
    pub reply: Reply,
}

/// A request.
#[derive(Debug)]
pub struct Entry {
    pub plan: Rc<Plan>,
    /// When its first byte was sent.
    pub sent_ms: Option<u64>,
    pub seen: Vec<Seen>,
    /// Its hook failed or answered with this status.
    pub hook: Option<u16>,
}

/// All of them, by tag, and the faults that have no tag.
#[derive(Debug, Default)]
pub struct Book {
    entries: HashMap<String, Entry>,
    pub now_ms: u64,
    /// Connections that an origin refused.
    pub refused: usize,
    /// Connections that broke before anybody knew for which request.
    pub broken: usize,
    /// The gateway's own answers that these explain.
    pub explained: usize,
    /// Heads that origins saw, and the beginnings of some more.
    pub heads: u64,
    pub beginnings: u64,
    /// Requests that were answered before they were complete.
    pub early: u64,
    /// Complete answers that clients got.
    pub answers: u64,
}

impl Book {
    pub fn add(&mut self, plan: Plan) -> Rc<Plan> {
        let plan = Rc::new(plan);
        let entry = Entry { plan: plan.clone(), sent_ms: None, seen: Vec::new(), hook: None };
        self.entries.insert(plan.tag.clone(), entry);
        plan
    }

    pub fn get(&mut self, tag: &str) -> Option<&mut Entry> {
        self.entries.get_mut(tag)
    }

    /// The entry of a plan that was added.
    pub fn of(&mut self, plan: &Plan) -> &mut Entry {
        self.entries.get_mut(&plan.tag).expect("every plan is in the book")
    }

    /// Milliseconds since a request's first byte.
    pub fn age_ms(&self, plan: &Plan) -> u64 {
        let sent = self.entries[&plan.tag].sent_ms.unwrap_or(self.now_ms);
        self.now_ms - sent
    }

    /// One fault without a tag, if there is one left to explain an answer of the gateway's own.
    pub fn explain(&mut self) -> bool {
        self.explained += 1;
        self.explained <= self.refused + self.broken
    }

    /// Requests that an origin saw at least once, or whose body may have been refused before a byte of them was sent.
    pub fn forwarded(&self) -> u64 {
        let counts =
            |entry: &&Entry| !entry.seen.is_empty() || matches!(entry.plan.kind, Kind::BadBody | Kind::TooLarge);
        self.entries.values().filter(counts).count() as u64
    }
}
