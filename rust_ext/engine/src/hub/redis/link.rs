//! One connection's life: it is opened, greeted, kept busy, and opened again when it ends.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use fastgate_core::backoff::Backoff;
use fastgate_core::resp::Server;

use super::talk::{Heard, Talk};
use super::thread::Context;
use crate::clock::Clock;
use crate::hub::MAX_PUBLICATION;
use crate::redis::{self, CONNECT, MAX_UNSENT, Trouble, Wire};
use crate::rt::{self, Inbox, Timer};

/// Room to read into.
const ROOM: usize = 128 * 1024;

/// Between two looks at whether the server answers.
const TICK_MS: u64 = if cfg!(test) { 100 } else { 1_000 };

/// Ticks without a byte from the server until it is asked.
const QUIET: u32 = 5;

/// Ticks in which it answers nothing of what it was asked until it is given up.
const STUCK: u32 = 3;

/// Reads until others have their turn.
const READS: usize = 16;

/// A connection that lived so long was a good one: the next failure is a first one.
const STEADY: Duration = Duration::from_secs(5);

const FIRST_WAIT: Duration = Duration::from_millis(50);
const MOST_WAIT: Duration = Duration::from_secs(5);

/// Keeps one server connected for as long as it is not dropped.
pub(super) async fn keep(cx: Rc<Context>, lane: usize) {
    let server = cx.desk.server(lane);
    let mut backoff = Backoff::new(FIRST_WAIT, MOST_WAIT);
    let mut before = false;
    loop {
        let trouble = match Link::open(&cx, &server, Some(lane)).await {
            Ok(mut link) => {
                let clock = Clock::start();
                if std::mem::replace(&mut before, true) {
                    cx.shared.hub.figures.reconnects.fetch_add(1, Relaxed);
                }
                cx.desk.up(&cx.shared, lane);
                cx.note_up(&server);
                let trouble = link.run().await;
                if clock.elapsed() >= STEADY {
                    backoff.reset();
                }
                trouble
            }
            Err(trouble) => trouble,
        };
        cx.shared.hub.figures.ended(&trouble);
        cx.desk.set_trouble(lane, &trouble.to_string());
        cx.note_down(&server, &trouble);
        // The cluster may have given its slots to another server.
        cx.look_again();
        rt::sleep(backoff.failed(cx.random())).await;
    }
}

/// Asks one server for the map of its cluster.
pub(super) async fn ask_map(cx: &Rc<Context>, server: &Server) -> Result<Vec<(u16, u16, Server)>, Trouble> {
    let mut link = Link::open(cx, server, None).await?;
    link.talk.map(&mut link.wire.out);
    let answer = async {
        loop {
            if let Heard::Map(map) = link.turn().await? {
                return Ok(map);
            }
        }
    };
    rt::timeout(CONNECT, answer).await.unwrap_or(Err(Trouble::Silent))
}

/// A connection that was greeted.
struct Link {
    cx: Rc<Context>,
    /// Whose notes it serves.
    lane: Option<usize>,
    bell: Arc<Inbox<()>>,
    wire: Wire,
    talk: Talk,
    timer: Timer,
    /// Something came since the last tick.
    heard: bool,
    quiet: u32,
    stuck: u32,
    /// Answers at the last tick.
    answers: u64,
}

impl Link {
    async fn open(cx: &Rc<Context>, server: &Server, lane: Option<usize>) -> Result<Self, Trouble> {
        let opened = rt::timeout(CONNECT, async {
            let look_up = async |host: &str, port| cx.look_up(host, port).await;
            let carrier = redis::connect(&cx.desk.settings, server, look_up).await?;
            let mut link = Self {
                cx: cx.clone(),
                lane,
                bell: lane.map_or_else(|| Arc::new(Inbox::new()), |lane| cx.desk.bell(lane)),
                wire: Wire::new(carrier, ROOM, MAX_PUBLICATION),
                talk: Talk::default(),
                timer: Timer::new(TICK_MS),
                heard: false,
                quiet: 0,
                stuck: 0,
                answers: 0,
            };
            link.talk.hello(&cx.desk.settings, &mut link.wire.out);
            while link.turn().await? != Heard::Hello {}
            Ok(link)
        });
        opened
            .await
            .unwrap_or_else(|| Err(Trouble::Connect(format!("it does not answer within {} s", CONNECT.as_secs()))))
    }

    /// Serves until it ends; why.
    async fn run(&mut self) -> Trouble {
        loop {
            if let Err(trouble) = self.turn().await {
                return trouble;
            }
        }
    }

    /// Takes notes, sends, reads; waits when there was nothing to do.
    async fn turn(&mut self) -> Result<Heard, Trouble> {
        if let Some(lane) = self.lane
            && let Some(room) = MAX_UNSENT.checked_sub(self.wire.unsent())
            && room > 0
        {
            let taken = self.cx.desk.take(lane, room);
            self.talk.write(&self.cx.desk, lane, taken, &mut self.wire.out);
        }
        self.wire.send().map_err(|error| Trouble::Broken(error.to_string()))?;
        // What stood behind a frame that was acted on.
        let heard = self.frames()?;
        if heard != Heard::Nothing {
            return Ok(heard);
        }
        for _ in 0..READS {
            if !self.wire.read()? {
                return self.wait().await;
            }
            self.heard = true;
            let heard = self.frames()?;
            if heard != Heard::Nothing {
                return Ok(heard);
            }
        }
        rt::yield_now().await;
        Ok(Heard::Nothing)
    }

    /// Takes in the whole frames of what was read, up to one that is to be acted on.
    fn frames(&mut self) -> Result<Heard, Trouble> {
        let mut more = Vec::new();
        let mut heard = Heard::Nothing;
        while heard == Heard::Nothing {
            let Some(frame) = self.wire.next().map_err(Trouble::Malformed)? else { break };
            heard = self.talk.hear(&self.cx, self.lane, frame, &mut more)?;
        }
        self.wire.out.append(&mut more);
        if let Some(lane) = self.lane {
            self.cx.settle_freed(lane);
        }
        Ok(heard)
    }

    async fn wait(&mut self) -> Result<Heard, Trouble> {
        // What `frames` has asked leaves before anybody waits.
        if self.wire.unsent() > 0 {
            self.wire.send().map_err(|error| Trouble::Broken(error.to_string()))?;
        }
        let mut tick = false;
        {
            let bell = self.bell.clone();
            let mut ring = pin!(bell.receive());
            poll_fn(|cx| {
                tick = self.timer.poll(cx).is_ready();
                let rang = ring.as_mut().poll(cx).is_ready();
                if self.wire.poll(cx).is_ready() || rang || tick { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        if tick {
            self.timer.reset(TICK_MS);
            self.tick()?;
        }
        Ok(Heard::Nothing)
    }

    /// Sees that the server is there: that it says something, and that it answers what it was asked.
    fn tick(&mut self) -> Result<(), Trouble> {
        self.talk.settle();
        self.quiet = if std::mem::take(&mut self.heard) { 0 } else { self.quiet + 1 };
        let answers = std::mem::replace(&mut self.answers, self.talk.answers());
        self.stuck = if self.talk.waits() && answers == self.answers { self.stuck + 1 } else { 0 };
        if self.stuck > STUCK {
            return Err(Trouble::Silent);
        }
        if self.quiet >= QUIET && !self.talk.waits() {
            self.talk.ping(&mut self.wire.out);
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(lane) = self.lane {
            let lost = self.talk.lost();
            self.cx.desk.fall(&self.cx.shared, lane, lost);
        }
    }
}
