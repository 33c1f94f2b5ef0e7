//! One thread of subscribers: opens them at a bounded pace and does what it is told; what they get is read in `receiving`.

mod receiving;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::counts::{Counts, Fault};
use super::payload::Payload;
use super::plan::Plan;
use super::sequence::Sequence;
use super::shared::Shared;
use super::subscriber::{All, Losses, Phase, Subscriber};
use crate::net::{self, Poll};
use crate::sys;

const BUFFER: usize = 64 * 1024;
const WAKE: u64 = u64::MAX;
/// How often limits of time are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Subscribers of one source address: fewer than the smallest usual range of ports.
const PER_ADDRESS: usize = 10_000;
/// A slow subscriber that got nothing for so long gets nothing more.
const QUIET_NS: u64 = 1_000_000_000;

/// What a shard can be told. It answers with its counts.
#[derive(Debug)]
pub(super) enum Command {
    /// Open so many more, of which so many at once, within a limit (nanoseconds).
    Open { count: usize, at_once: usize, limit: u64 },
    /// End all.
    Close,
    /// So many of them stop reading.
    Stall(usize),
    /// Those read again; answered when they have got what they get, then they are ended.
    Resume,
    /// What has not come by now counts as lost.
    Settle,
    /// Only the counts.
    Count,
}

/// The place of a shard among all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) of: usize,
    pub(super) private: bool,
}

/// What a shard works with.
pub(super) struct Links {
    pub(super) wake: Arc<OwnedFd>,
    pub(super) commands: Receiver<Command>,
    pub(super) answers: Sender<Counts>,
}

#[derive(Debug, Clone, Copy)]
struct Opening {
    left: usize,
    at_once: usize,
    under_way: usize,
    end: u64,
}

struct Shard {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    place: Place,
    links: Links,
    poll: Poll,
    subscribers: Vec<Subscriber>,
    /// How often all were ended; the upper half of the tokens, so that events of old connections are known.
    era: u32,
    opening: Option<Opening>,
    resuming: Option<u64>,
    later: VecDeque<Command>,
    buffer: Vec<u8>,
    /// The last payload as it came, and what it means: most subscribers get the same one.
    last: (Vec<u8>, Payload),
    arrived: u64,
    counts: Counts,
}

/// Runs a shard until the other end of its commands is gone. `ready` is met once its table of descriptors is its own.
///
/// # Errors
/// What the system said to epoll or to the table.
pub(super) fn run(plan: Arc<Plan>, shared: Arc<Shared>, place: Place, links: Links, ready: &Barrier) -> io::Result<()> {
    let made = if place.private { sys::private_descriptors() } else { Ok(()) };
    ready.wait();
    made?;
    let poll = Poll::new()?;
    poll.add(&*links.wake, WAKE)?;
    let mut shard = Shard {
        plan,
        shared,
        place,
        links,
        poll,
        subscribers: Vec::new(),
        era: 0,
        opening: None,
        resuming: None,
        later: VecDeque::new(),
        buffer: vec![0; BUFFER],
        last: (Vec::new(), Payload::default()),
        arrived: 0,
        counts: Counts::default(),
    };
    shard.serve()
}

impl Shard {
    fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::new();
        loop {
            let busy = self.opening.is_some() || self.resuming.is_some();
            self.poll.wait(busy.then_some(TICK), &mut events)?;
            for event in &events {
                if event.token == WAKE {
                    let _ = rustix::io::read(&*self.links.wake, &mut [0; 8]);
                } else {
                    self.event(*event);
                }
            }
            if self.arrived > 0 {
                self.shared.delivered(std::mem::take(&mut self.arrived), self.shared.now());
            }
            loop {
                match self.links.commands.try_recv() {
                    Ok(command) => self.later.push_back(command),
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(()),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                }
            }
            self.go_on();
            while self.opening.is_none()
                && self.resuming.is_none()
                && let Some(command) = self.later.pop_front()
            {
                self.command(command);
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Open { count, at_once, limit } => {
                let end = self.shared.now().saturating_add(limit);
                self.opening = Some(Opening { left: count, at_once, under_way: 0, end });
                self.go_on();
                return;
            }
            Command::Close => {
                let open = self.subscribers.iter().filter(|one| one.phase == Phase::Open);
                open.filter(|one| one.slow.is_none()).for_each(|one| one.leave(&self.shared));
                self.subscribers.clear();
                self.era += 1;
            }
            Command::Stall(count) => {
                for one in self.subscribers.iter_mut().filter(|one| one.phase == Phase::Open).take(count) {
                    one.stalled = true;
                    if one.slow.is_none() {
                        one.slow = Some(Box::new(Losses::default()));
                        one.leave(&self.shared);
                    }
                }
            }
            Command::Resume => {
                self.resuming = Some(self.shared.now());
                for index in 0..self.subscribers.len() {
                    if std::mem::take(&mut self.subscribers[index].stalled) {
                        self.read(index, true);
                    }
                }
                self.go_on();
                return;
            }
            Command::Settle => {
                for one in &mut self.subscribers {
                    if one.phase == Phase::Open && one.slow.is_none() {
                        let missing = one.settle(&self.shared);
                        self.counts.fault(Fault::Lost, missing);
                    }
                }
            }
            Command::Count => {}
        }
        self.tell();
    }

    /// Answers with what was counted since the last answer.
    fn tell(&mut self) {
        let mut counts = std::mem::take(&mut self.counts);
        counts.open = self.subscribers.iter().filter(|one| one.phase == Phase::Open).count() as u64;
        // Nobody who waits: the process ends.
        let _ = self.links.answers.send(counts);
    }

    /// What is not told by events: more connections while the pace allows, limits of time.
    fn go_on(&mut self) {
        while let Some(opening) = self.opening.as_mut().filter(|o| o.left > 0 && o.under_way < o.at_once) {
            opening.left -= 1;
            opening.under_way += 1;
            self.connect();
        }
        if let Some(opening) = self.opening {
            if self.shared.now() > opening.end {
                for index in 0..self.subscribers.len() {
                    if matches!(self.subscribers[index].phase, Phase::Connecting | Phase::Handshake) {
                        self.failed(index, Fault::Timeout);
                    }
                }
                self.counts.fault(Fault::Timeout, opening.left as u64);
                self.opening = Some(Opening { left: 0, under_way: 0, ..opening });
            }
            if self.opening.is_some_and(|o| o.left == 0 && o.under_way == 0) {
                self.opening = None;
                self.tell();
            }
        }
        if self.resuming.is_some_and(|last| self.shared.now() > last + QUIET_NS) {
            self.resuming = None;
            self.judge_slow();
            self.tell();
        }
    }

    fn judge_slow(&mut self) {
        for one in self.subscribers.iter_mut().filter(|one| one.slow.is_some()) {
            let Some(losses) = one.slow.take() else { continue };
            let missing = losses.missing + one.settle(&self.shared);
            let slow = &mut self.counts.slow;
            *match (one.phase == Phase::Open, missing) {
                (false, _) => &mut slow.closed,
                (true, 0) => &mut slow.complete,
                (true, missing) if losses.told >= missing => &mut slow.told,
                (true, _) => &mut slow.silent,
            } += 1;
            (one.phase, one.fd) = (Phase::Ended, None);
        }
    }

    fn connect(&mut self) {
        let index = self.subscribers.len();
        let global = index * self.place.of + self.place.index;
        let room = u32::try_from(global % self.shared.rooms() as usize).unwrap_or(0);
        let number = |n: usize| u8::try_from(n % 250 + 1).unwrap_or(1);
        let source =
            Ipv4Addr::new(127, number(self.era as usize), number(self.place.index), number(index / PER_ADDRESS));
        let made = connect_from(source, self.plan.to);
        let mut one = Subscriber::new(room, self.shared.published(room), self.shared.now());
        if self.plan.redis.is_some() {
            let rooms = 0..self.shared.rooms();
            let sequences = rooms.map(|room| Sequence::new(self.shared.published(room))).collect();
            one.all = Some(Box::new(All { confirmed: 0, sequences }));
        }
        self.subscribers.push(one);
        let token = u64::from(self.era) << 32 | index as u64;
        match made.and_then(|fd| self.poll.add(&fd, token).map(|()| fd)) {
            Ok(fd) => self.subscribers[index].fd = Some(fd),
            Err(_) => self.failed(index, Fault::Refused),
        }
    }

    /// A handshake that did not come to its end.
    fn failed(&mut self, index: usize, fault: Fault) {
        self.counts.fault(fault, 1);
        self.subscribers[index].phase = Phase::Ended;
        self.subscribers[index].fd = None;
        self.subscribers[index].partial = Vec::new();
        if let Some(opening) = &mut self.opening {
            opening.under_way = opening.under_way.saturating_sub(1);
        }
    }
}

/// Starts a connection from an own address of the loopback network, so that ports do not run out.
fn connect_from(source: Ipv4Addr, to: SocketAddr) -> io::Result<OwnedFd> {
    let ours = matches!(to, SocketAddr::V4(v4) if v4.ip().is_loopback());
    net::connect_from(ours.then_some(source), &to)
}
