//! One seed's world: clients, origins, time, reloads and the end, one event after the other.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use fastgate_core::filter::Edit;
use fastgate_engine::Snapshot;
use fastgate_engine::host::{self, Decision, HookAnswer, HookFailed, HookJob, Host, Level};
use fastgate_engine::simulation::{self, End, Left, World};

use crate::book::Book;
use crate::client::Client;
use crate::origin::Origin;
use crate::rng::Rng;

/// Events of one seed, at least.
pub const EVENTS: usize = 50;

/// Clients at the same time, and of one seed.
const OPEN_CLIENTS: usize = 6;
const MAX_CLIENTS: usize = 60;

/// Bytes that an exchange may hold beyond `held_bytes`: a head that is written anew, and the framing of a body.
const SLACK: usize = 2 * 1024;

/// The largest pipe, and so the most that one read finds.
const LARGEST_PIPE: usize = 16 * 1024;

/// A route's `max_body`.
const MAX_BODY: usize = 3_000;

/// What a seed led to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub events: usize,
    pub requests: u64,
    pub forwarded: u64,
    pub retried: u64,
    pub answers: u64,
    pub reloads: usize,
    /// A digest of every event and what it led to: the same for the same seed.
    pub trail: u64,
}

/// Keeps the requests that wait for a hook.
#[derive(Default)]
struct Hooks(Mutex<Vec<HookJob>>);

impl Host for Hooks {
    fn on_request(&self, job: HookJob) {
        self.0.lock().expect("one thread").push(job);
    }

    fn log(&self, _level: Level, _message: &str) {}
}

/// Runs one seed; an error is a broken invariant. With `trace`, events are printed.
pub fn simulate(seed: u64, snapshots: &[Snapshot], trace: bool) -> Result<Outcome, String> {
    simulation::run(async {
        let mut sim = Sim::new(seed, snapshots, trace)?;
        sim.live().await?;
        sim.calm().await?;
        sim.end().await?;
        Ok(sim.outcome)
    })
}

struct Sim {
    rng: Rng,
    world: World,
    hooks: Arc<Hooks>,
    book: Book,
    clients: Vec<Client>,
    origins: Vec<Origin>,
    /// Connections that the engine opened and the simulation has not met yet, and the refused ones.
    dialled: Rc<RefCell<(Vec<End>, usize)>>,
    outcome: Outcome,
    trace: bool,
}

impl Sim {
    fn new(seed: u64, snapshots: &[Snapshot], trace: bool) -> Result<Self, String> {
        let dialled = Rc::new(RefCell::new((Vec::new(), 0)));
        let (mut rng, mut dials) = (Rng::new(seed), Rng::new(!seed));
        let hooks = Arc::new(Hooks::default());
        let new = dialled.clone();
        let dial = move || {
            let after = if dials.percent(80) { 0 } else { dials.between(1, 400) as u64 };
            if dials.percent(5) {
                new.borrow_mut().1 += 1;
                return (after, None);
            }
            let (ours, theirs) = simulation::pair(*dials.pick(&[100, 300, 2_000, 6_000, LARGEST_PIPE]));
            new.borrow_mut().0.push(ours);
            (after, Some(theirs))
        };
        let world = World::new(snapshots, hooks.clone(), Rc::new(RefCell::new(dial)), seed);
        let world = world.map_err(|invalid| format!("{invalid:?}"))?;
        world.reload(rng.below(snapshots.len()));
        let (clients, origins, book, outcome) = (Vec::new(), Vec::new(), Book::default(), Outcome::default());
        Ok(Self { rng, world, hooks, book, clients, origins, dialled, outcome, trace })
    }

    /// Lets the engine run, meets new connections, checks what holds after every step.
    async fn settle(&mut self, ms: u64) -> Result<(), String> {
        self.world.pass(ms).await;
        self.book.now_ms = self.world.now_ms();
        let (new, refused) = &mut *self.dialled.borrow_mut();
        self.book.refused = *refused;
        for end in new.drain(..) {
            self.origins.push(Origin::new(self.origins.len(), end));
        }
        let held = self.world.held();
        let most_pending = 64 * 1024 + LARGEST_PIPE;
        if held.to_client_over > SLACK
            || held.to_upstream_over > SLACK + LARGEST_PIPE
            || held.partial > 64 * 1024
            || held.pending > most_pending
        {
            return Err(format!("more is held than allowed: {held:?}"));
        }
        let (begun, ended) = self.world.requests();
        let facts = [begun, ended, self.book.answers, self.book.heads, self.book.now_ms, self.outcome.events as u64];
        for fact in facts {
            self.outcome.trail = (self.outcome.trail ^ fact).wrapping_mul(0x0100_0000_01b3);
        }
        if ended > begun || begun - ended > u64::from(self.world.left().connections) {
            return Err(format!("{begun} requests begun and {ended} ended: {:?}", self.world.left()));
        }
        Ok(())
    }

    fn event(&mut self, what: impl FnOnce() -> String) {
        self.outcome.events += 1;
        if self.trace {
            println!("{:6} ms  {}", self.book.now_ms, what());
        }
    }

    /// An event that is told from how things stand.
    fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        let what = if self.trace { what(self) } else { String::new() };
        self.event(|| what);
    }

    /// The restless part.
    async fn live(&mut self) -> Result<(), String> {
        let steps = self.rng.between(EVENTS + 10, 4 * EVENTS);
        let mut turns = 0;
        let mut drains = self.rng.percent(10);
        while self.outcome.events < steps {
            turns += 1;
            if turns > 20 * steps {
                return Err("nothing happens any more".to_owned());
            }
            if drains && self.outcome.events > steps * 3 / 4 {
                drains = false;
                self.world.drain();
                self.event(|| "drain".to_owned());
            }
            let ms = self.step()?;
            self.settle(ms).await?;
        }
        Ok(())
    }

    /// One event, if the one that was drawn is possible; says how much time passes with it.
    fn step(&mut self) -> Result<u64, String> {
        let most = if self.rng.percent(50) { usize::MAX } else { self.rng.between(1, 700) };
        match self.rng.below(100) {
            0..32 if !self.clients.is_empty() => {
                let i = self.any_client();
                if self.clients[i].send(&mut self.rng, &mut self.book, MAX_BODY, false) {
                    self.tell(|sim| format!("client {i} sends: {}", sim.clients[i].stands()));
                }
            }
            32..52 if !self.clients.is_empty() => {
                let i = self.any_client();
                if self.clients[i].read(&mut self.book, most)? {
                    self.tell(|sim| format!("client {i} reads: {}", sim.clients[i].stands()));
                }
            }
            52..66 if !self.origins.is_empty() => {
                let i = self.any_origin();
                if self.origins[i].read(&mut self.rng, &mut self.book, most)? {
                    self.tell(|sim| format!("origin {i} reads: {}", sim.origins[i].stands()));
                }
            }
            66..84 if !self.origins.is_empty() => {
                let i = self.any_origin();
                if self.origins[i].write(&mut self.rng, &mut self.book, false) {
                    self.tell(|sim| format!("origin {i} writes: {}", sim.origins[i].stands()));
                }
            }
            84..86 if !self.origins.is_empty() => {
                let i = self.any_origin();
                if self.origins[i].disturb(&mut self.rng, &mut self.book)? {
                    self.tell(|sim| format!("origin {i} breaks: {}", sim.origins[i].stands()));
                }
            }
            86..88 if self.clients.len() > 2 => {
                let i = self.any_client();
                if self.clients[i].leave(&mut self.rng) {
                    self.tell(|sim| format!("client {i} leaves: {}", sim.clients[i].stands()));
                }
            }
            88..90 => {
                let ms = match self.rng.below(20) {
                    0 => 7_000,
                    1..3 => 1_200,
                    _ => 90,
                };
                self.event(|| format!("{ms} ms pass"));
                return Ok(ms);
            }
            90 => {
                let to = self.rng.below(2);
                self.world.reload(to);
                self.outcome.reloads += 1;
                self.event(|| format!("reload to snapshot {to}"));
            }
            91..95 => self.decide(),
            95.. if self.may_connect() => {
                let (ours, theirs) = simulation::pair(*self.rng.pick(&[64, 300, 2_000, 6_000, LARGEST_PIPE]));
                let id = self.clients.len();
                let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(id).expect("few clients")));
                self.world.connect(theirs, peer);
                self.clients.push(Client::new(id, ours, self.rng.percent(50)));
                self.event(|| format!("client {id} connects"));
            }
            _ => {}
        }
        Ok(1)
    }

    fn may_connect(&self) -> bool {
        let open = self.clients.iter().filter(|client| !client.is_over()).count();
        open < OPEN_CLIENTS && self.clients.len() < MAX_CLIENTS
    }

    /// A client, one of the newest.
    fn any_client(&mut self) -> usize {
        let n = self.clients.len();
        n - 1 - self.rng.below(n.min(OPEN_CLIENTS + 2))
    }

    /// An origin connection, one of the newest.
    fn any_origin(&mut self) -> usize {
        let n = self.origins.len();
        n - 1 - self.rng.below(n.min(6))
    }

    /// A hook decides.
    fn decide(&mut self) {
        let mut jobs = self.hooks.0.lock().expect("one thread");
        if jobs.is_empty() {
            return;
        }
        let i = self.rng.below(jobs.len());
        let job = jobs.swap_remove(i);
        drop(jobs);
        let path = String::from_utf8_lossy(job.request().path(job.bytes())).into_owned();
        let tag = path.split('/').nth(2).unwrap_or_default().to_owned();
        let Some(entry) = self.book.get(&tag) else { return };
        match self.rng.below(6) {
            0 => {
                entry.hook = Some(500);
                host::finish(vec![(job, Err(HookFailed))]);
            }
            1 => {
                entry.hook = Some(500);
                drop(job);
            }
            2 => {
                entry.hook = Some(299);
                let answer = HookAnswer { status: 299, fields: Vec::new(), body: b"hooked".to_vec() };
                host::finish(vec![(job, Ok(Decision { edits: Vec::new(), answer: Some(answer) }))]);
            }
            _ => {
                let edit = Edit::set(b"X-Hooked", b"yes").expect("a valid field");
                host::finish(vec![(job, Ok(Decision { edits: vec![edit], answer: None }))]);
            }
        }
        self.event(|| format!("hook of {tag} decides"));
    }

    /// Everybody does what is left to do, without faults: every request is answered, or its connection has ended.
    async fn calm(&mut self) -> Result<(), String> {
        self.event(|| "calm".to_owned());
        let mut idle = 0;
        while idle < 60 {
            let mut moved = false;
            while !self.hooks.0.lock().expect("one thread").is_empty() {
                self.decide();
                moved = true;
            }
            for client in &mut self.clients {
                moved |= client.read(&mut self.book, usize::MAX)?;
                moved |= client.send(&mut self.rng, &mut self.book, MAX_BODY, true);
            }
            for origin in &mut self.origins {
                moved |= origin.read(&mut self.rng, &mut self.book, usize::MAX)?;
                moved |= origin.write(&mut self.rng, &mut self.book, true);
            }
            // Whatever waits for time gets it, once nothing else happens: longer than every limit but keep-alive's.
            idle += usize::from(!moved);
            self.settle(if moved { 1 } else { 400 }).await?;
            if !moved && self.clients.iter().all(|client| client.is_over() || client.is_served()) {
                break;
            }
        }
        match self.clients.iter().find(|client| !client.is_over() && !client.is_served()) {
            Some(client) => Err(format!("a request was never answered: {}", client.stands())),
            None => Ok(()),
        }
    }

    /// Draining ends everything: nothing is held any more, and every count is as it was.
    async fn end(&mut self) -> Result<(), String> {
        self.event(|| "end".to_owned());
        self.world.drain();
        if self.rng.percent(50) {
            self.clients.clear();
        }
        for _ in 0..20 {
            self.settle(5_000).await?;
            for client in &mut self.clients {
                while client.read(&mut self.book, usize::MAX)? {}
            }
        }
        self.world.close_pools();
        self.settle(1).await?;
        for origin in &mut self.origins {
            while origin.read(&mut self.rng, &mut self.book, usize::MAX)? {}
            if !origin.is_over() {
                return Err(format!("an upstream connection is still held: {}", origin.stands()));
            }
        }
        if let Some(client) = self.clients.iter().find(|client| !client.is_over()) {
            return Err(format!("a client connection is still held: {}", client.stands()));
        }
        let left = self.world.left();
        let none = Left { connections: 0, counted: 0, descriptors: 0, deadlines: 0, upstreams: 0, hooks: 0, tasks: 0 };
        if left != none {
            return Err(format!("something is left: {left:?}"));
        }
        self.judge_counts()
    }

    /// What the engine counted is what both sides saw.
    fn judge_counts(&mut self) -> Result<(), String> {
        let stats = self.world.stats();
        let count = |name: &str| stats[name].as_u64().unwrap_or(u64::MAX);
        let mut wrong = String::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                let _ = write!(wrong, "{what}; ");
            }
        };
        let (forwarded, retried) = (count("forwarded"), count("retried"));
        let book = &self.book;
        check(count("requests") == count("finished"), "requests and their ends differ");
        check(count("panics") == 0, "something panicked");
        check(book.heads + book.beginnings <= forwarded + retried, "origins saw more requests than were sent");
        let excuses = book.beginnings + book.early + book.broken as u64;
        check(forwarded <= book.forwarded() + excuses, "requests were sent that no origin saw");
        check(
            book.answers <= count("requests") + stats_sum(&stats["refused"]) + stats_sum(&stats["faults"]),
            "more answers than requests",
        );
        self.outcome.requests = count("requests");
        self.outcome.forwarded = forwarded;
        self.outcome.retried = retried;
        self.outcome.answers = book.answers;
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong}{stats}")) }
    }
}

fn stats_sum(counts: &serde_json::Value) -> u64 {
    counts.as_object().map_or(0, |counts| counts.values().filter_map(serde_json::Value::as_u64).sum())
}

impl Outcome {
    /// Adds up.
    pub fn add(&mut self, one: Self) {
        self.events += one.events;
        self.requests += one.requests;
        self.forwarded += one.forwarded;
        self.retried += one.retried;
        self.answers += one.answers;
        self.reloads += one.reloads;
        self.trail ^= one.trail;
    }
}
