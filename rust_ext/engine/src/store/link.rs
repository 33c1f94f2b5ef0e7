//! One connection of a worker to a server: opened, greeted, given the script, probed, and opened again when it ends.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use fastgate_core::resp::{self, Node, Server};
use fastgate_core::store::Script;

use super::lane::{Call, Lane};
use super::report::Failed;
use super::{CALL, Inner, MAP_PAUSE};
use crate::host::Level;
use crate::redis::{self, CONNECT, Frame, MAX_UNSENT, Trouble, Wire, code};
use crate::rt::{self, Timer};

/// Room to read into: answers are small.
const ROOM: usize = 16 * 1024;

/// Bytes of a string that an answer may hold.
const MAX_TEXT: usize = 64 * 1024;

/// Reads until others have their turn.
const READS: u32 = 16;

/// Between two probes of a server that is not asked, and of one that nobody asks anything.
const PROBE: Duration = Duration::from_millis(50);
const IDLE_PROBE: Duration = Duration::from_secs(1);

/// Without an answer for so long, the connection is given up.
const STUCK: Duration = Duration::from_secs(1);

/// What was asked and has no answer yet.
enum Asked {
    Hello,
    Script,
    Map,
    Probe(Duration),
    Call(Rc<Call>),
}

/// Keeps one server connected for as long as it is not dropped.
pub(super) async fn keep(inner: Rc<Inner>, lane: Rc<Lane>) {
    lane.begin(&inner.figures);
    loop {
        let trouble = match Link::open(&inner, &lane).await {
            Ok(mut link) => {
                if lane.is_news_up(&inner.figures) {
                    let _ = inner.log.line(Level::Info, format!("the store at {} is connected again", lane.server));
                }
                link.run().await
            }
            Err(trouble) => trouble,
        };
        lane.fall(inner.clock.elapsed(), &inner.figures);
        if lane.is_news_down(&inner.figures) {
            let line = format!("the store at {}: {trouble}; its limits go on as on_store_failure says", lane.server);
            let _ = inner.log.line(Level::Warning, line);
        }
        inner.figures.probes[1].fetch_add(1, Relaxed);
        let wait = lane.breaker.borrow_mut().probe_failed(inner.random());
        rt::sleep(wait).await;
    }
}

/// A connection that was greeted and has the script.
struct Link {
    inner: Rc<Inner>,
    lane: Rc<Lane>,
    wire: Wire,
    asked: VecDeque<Asked>,
    timer: Timer,
    /// When the last answer came, or the first question was asked after it.
    heard: Duration,
    /// When the next probe is due.
    probe: Duration,
    /// One is under way, and has not failed.
    probing: bool,
    /// When it is looked next whether another server is gone.
    look: Duration,
    reads: u32,
}

impl Link {
    async fn open(inner: &Rc<Inner>, lane: &Rc<Lane>) -> Result<Self, Trouble> {
        let opened = rt::timeout(CONNECT, async {
            let look_up = async |host: &str, port| inner.look_up(host, port).await;
            let carrier = redis::connect(inner.settings(), &lane.server, look_up).await?;
            let now = inner.clock.elapsed();
            let mut link = Self {
                inner: inner.clone(),
                lane: lane.clone(),
                wire: Wire::new(carrier, ROOM, MAX_TEXT),
                asked: VecDeque::from([Asked::Hello, Asked::Script]),
                timer: Timer::new(0),
                heard: now,
                probe: now,
                probing: false,
                look: if inner.settings().cluster { now } else { Duration::MAX },
                reads: 0,
            };
            redis::greet(inner.settings(), &mut link.wire.out);
            Script::load(&mut link.wire.out);
            if inner.wants_map() {
                link.ask_map();
            }
            while !link.asked.is_empty() {
                link.turn().await?;
            }
            Ok(link)
        });
        opened.await.unwrap_or_else(|| Err(Trouble::Silent))
    }

    async fn run(&mut self) -> Trouble {
        loop {
            self.probe();
            if let Err(trouble) = self.turn().await {
                return trouble;
            }
        }
    }

    fn ask_map(&mut self) {
        resp::command(&mut self.wire.out, &[b"CLUSTER", b"SLOTS"]);
        self.asked.push_back(Asked::Map);
    }

    /// Asks whether it is there, when it is time.
    fn probe(&mut self) {
        let now = self.inner.clock.elapsed();
        if now >= self.probe && !self.probing {
            resp::command(&mut self.wire.out, &[b"PING"]);
            self.asked.push_back(Asked::Probe(now));
            self.probing = true;
            self.probe = now + self.pause();
        }
        // Nobody else says that another has taken the place of a server that is gone.
        if now >= self.look {
            self.look = now + MAP_PAUSE;
            if self.inner.misses_one() && self.inner.wants_map() {
                self.ask_map();
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.lane.breaker.borrow().is_open() { PROBE } else { IDLE_PROBE }
    }

    /// Writes calls, sends, reads; waits when there was nothing to do.
    async fn turn(&mut self) -> Result<(), Trouble> {
        while self.wire.unsent() < MAX_UNSENT
            && let Some(call) = self.lane.next()
        {
            if !call.over.get() {
                self.write(call);
            }
        }
        self.wire.send().map_err(|error| Trouble::Broken(error.to_string()))?;
        if self.wire.read()? {
            self.frames()?;
            self.reads += 1;
            if self.reads.is_multiple_of(READS) {
                rt::yield_now().await;
            }
            if !self.lane.breaker.borrow().is_open() {
                // Answers are a sign of life as good as a probe's.
                self.probe = self.inner.clock.elapsed() + IDLE_PROBE;
            }
            return Ok(());
        }
        self.wait().await
    }

    fn write(&mut self, call: Rc<Call>) {
        self.wire.out.extend_from_slice(&call.command);
        self.asked.push_back(Asked::Call(call));
    }

    fn frames(&mut self) -> Result<(), Trouble> {
        let now = self.inner.clock.elapsed();
        self.heard = now;
        loop {
            let Some(frame) = self.wire.next().map_err(Trouble::Malformed)? else { return Ok(()) };
            if let Some(Node::Push(_)) = frame.nodes.first() {
                continue;
            }
            let Some(asked) = self.asked.pop_front() else { return Err(Trouble::Unexpected) };
            let again = hear(&self.inner, &self.lane, asked, frame, now)?;
            match again {
                Next::Nothing => {}
                Next::Probed => {
                    self.probing = false;
                    self.lane.probed(now, &self.inner.figures);
                    self.probe = now + if self.lane.breaker.borrow().is_open() { PROBE } else { IDLE_PROBE };
                }
                Next::LateProbe(wait) => {
                    self.probing = false;
                    self.probe = now + wait;
                }
                Next::Load(call) => {
                    Script::load(&mut self.wire.out);
                    self.asked.push_back(Asked::Script);
                    self.write(call);
                }
                Next::Look => {
                    if self.inner.wants_map() {
                        self.ask_map();
                    }
                }
            }
        }
    }

    async fn wait(&mut self) -> Result<(), Trouble> {
        // What `frames` has asked leaves before anybody waits.
        if self.wire.unsent() > 0 {
            self.wire.send().map_err(|error| Trouble::Broken(error.to_string()))?;
        }
        let now = self.inner.clock.elapsed();
        let calls = self.lane.expire(now, &self.inner.figures);
        let probe = if self.probing { now + STUCK } else { self.probe };
        let next = calls.unwrap_or(probe).min(probe).min(self.look).saturating_sub(now);
        // The wheel turns by milliseconds: never before the time, and not at once again.
        self.timer.reset(u64::try_from(next.as_millis()).unwrap_or(u64::MAX).clamp(1, 1_000));
        poll_fn(|cx| {
            let rang = self.lane.poll_ring(cx.waker()) && self.wire.unsent() < MAX_UNSENT;
            let tick = self.timer.poll(cx).is_ready();
            if self.wire.poll(cx).is_ready() || rang || tick { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.overdue()
    }

    /// Sees what took too long.
    fn overdue(&mut self) -> Result<(), Trouble> {
        let now = self.inner.clock.elapsed();
        self.lane.expire(now, &self.inner.figures);
        if self.asked.is_empty() {
            self.heard = now;
        }
        if now.saturating_sub(self.heard) >= STUCK { Err(Trouble::Silent) } else { Ok(()) }
    }
}

/// What follows from an answer.
enum Next {
    Nothing,
    Probed,
    LateProbe(Duration),
    /// The script is not there.
    Load(Rc<Call>),
    /// The cluster's map has changed.
    Look,
}

fn hear(inner: &Rc<Inner>, lane: &Lane, asked: Asked, frame: Frame<'_>, now: Duration) -> Result<Next, Trouble> {
    let error = matches!(frame.nodes.first(), Some(Node::Error(_))).then(|| frame.text(0).unwrap_or_default());
    match (asked, error) {
        (Asked::Hello | Asked::Script, None) => Ok(Next::Nothing),
        (Asked::Hello | Asked::Script | Asked::Map, Some(error)) => Err(Trouble::refused(error)),
        (Asked::Map, None) => {
            inner.follow(redis::read_map(frame, &lane.server)?);
            Ok(Next::Nothing)
        }
        (Asked::Probe(since), _) if now.saturating_sub(since) > CALL => {
            inner.figures.probes[1].fetch_add(1, Relaxed);
            if !lane.breaker.borrow().is_open() {
                lane.failed(now, &inner.figures);
                return Ok(Next::LateProbe(PROBE));
            }
            Ok(Next::LateProbe(lane.breaker.borrow_mut().probe_failed(inner.random())))
        }
        (Asked::Probe(_), None) => Ok(Next::Probed),
        (Asked::Probe(_), Some(error)) => Err(Trouble::refused(error)),
        (Asked::Call(call), None) => {
            let Some(answer) = call.rule.read(frame.nodes) else { return Err(Trouble::Unexpected) };
            if call.settle(Ok(answer)) {
                lane.answered();
                inner.figures.answered.fetch_add(1, Relaxed);
                let took = u64::try_from(now.saturating_sub(call.asked).as_micros()).unwrap_or(u64::MAX);
                inner.figures.microseconds.fetch_add(took, Relaxed);
            }
            Ok(Next::Nothing)
        }
        (Asked::Call(call), Some(error)) => refused(inner, lane, call, error, now),
    }
}

fn refused(inner: &Rc<Inner>, lane: &Lane, call: Rc<Call>, error: &[u8], now: Duration) -> Result<Next, Trouble> {
    let code = code(error);
    if call.over.get() {
        return Ok(Next::Nothing);
    }
    let first = !call.again.replace(true);
    if code == "NOSCRIPT" && first {
        return Ok(Next::Load(call));
    }
    if code == "MOVED" && first {
        let to = moved(error, &lane.server).and_then(|server| inner.lane_of(&server));
        let sent = to.filter(|to| to.server != lane.server).map(|to| to.put(call.clone()));
        if !matches!(sent, Some(Ok(()))) && call.settle(Err(Failed::Refused)) {
            inner.figures.failed(Failed::Refused);
        }
        return Ok(Next::Look);
    }
    if call.settle(Err(Failed::Refused)) {
        inner.figures.failed(Failed::Refused);
        lane.failed(now, &inner.figures);
    }
    match code.as_str() {
        // It has become a replica: its address may lead to another server now.
        "READONLY" => Err(Trouble::Refused("it is a replica (READONLY)".to_owned())),
        "MOVED" | "ASK" | "CLUSTERDOWN" => Ok(Next::Look),
        _ => Ok(Next::Nothing),
    }
}

/// The server that `MOVED SLOT HOST:PORT` names.
fn moved(error: &[u8], asked: &Server) -> Option<Server> {
    let Server::Tcp { host: asked_host, tls, .. } = asked else { return None };
    let place = std::str::from_utf8(error).ok()?.split(' ').nth(2)?;
    let (host, port) = place.rsplit_once(':')?;
    let host = if host.is_empty() { asked_host.clone() } else { host.to_owned() };
    Some(Server::Tcp { host, port: port.parse().ok()?, tls: *tls })
}
