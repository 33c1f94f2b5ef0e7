//! The thread that keeps the connections, and what they share.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fastgate_core::resp::Server;

use super::desk::Desk;
use super::flight::Outgoing;
use super::{cluster, link};
use crate::clock::{self, Clock};
use crate::dns::Resolving;
use crate::engine;
use crate::host::Level;
use crate::redis::{Settings, Trouble};
use crate::rt::{self, Inbox, Runtime};
use crate::worker::Shared;

/// The same line again only after this time.
const SAME_LINE: Duration = Duration::from_secs(60);

/// Lines about refused channels and publications, a minute.
const REFUSALS: u32 = 5;

enum Note {
    Follow(Option<Arc<Desk>>),
    Stop,
}

/// The thread's handle.
pub(crate) struct Redis {
    inbox: Arc<Inbox<Note>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    current: Mutex<Option<Arc<Desk>>>,
}

impl Redis {
    /// Starts it; its runtime is built before `built` is passed.
    pub(crate) fn start(shared: Arc<Shared>, servers: &[SocketAddr], built: Arc<Barrier>) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::new());
        let notes = inbox.clone();
        let servers = servers.to_vec();
        let thread = engine::spawn("fastgate-redis", move || {
            let runtime = Runtime::new();
            built.wait();
            match runtime {
                Ok(runtime) => runtime.block_on(run(&shared, &servers, &notes)),
                Err(error) => shared.host.log(Level::Error, &format!("Redis cannot be reached: {error}")),
            }
        })?;
        Ok(Self { inbox, thread: Mutex::new(Some(thread)), current: Mutex::default() })
    }

    /// Goes over to these settings; the connection stays where they are the same.
    pub(crate) fn follow(&self, shared: &Shared, settings: Option<Settings>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let same = match (&*current, &settings) {
            (Some(desk), Some(settings)) => desk.settings.same(settings),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        let desk = settings.map(|settings| Arc::new(Desk::new(settings)));
        if let Some(old) = std::mem::replace(&mut *current, desk.clone()) {
            old.close();
        }
        shared.hub.connect(desk.clone().map(|desk| desk as _));
        self.inbox.send([Note::Follow(desk)]);
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        self.inbox.send([Note::Stop]);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

async fn run(shared: &Arc<Shared>, servers: &[SocketAddr], inbox: &Inbox<Note>) {
    // Dropping it ends the connections.
    let mut task = None;
    loop {
        for note in inbox.receive().await {
            match note {
                Note::Stop => return,
                Note::Follow(desk) => {
                    drop(task.take());
                    task = desk.map(|desk| {
                        let cx = Rc::new(Context::new(shared.clone(), desk, servers.to_vec()));
                        if cx.desk.settings.cluster { rt::task(cluster::keep(cx)) } else { rt::task(link::keep(cx, 0)) }
                    });
                }
            }
        }
    }
}

/// What the connections to one Redis share.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) desk: Arc<Desk>,
    /// Publications that the cluster sent elsewhere; they go on when its map is known again.
    pub(super) redirected: RefCell<Vec<Outgoing>>,
    /// Rings when the map may have changed.
    pub(super) wants_map: Inbox<()>,
    resolver: Resolving,
    random: Cell<u64>,
    freed: Cell<usize>,
    clock: Clock,
    /// What was last said, and when.
    said: RefCell<Option<(String, Duration)>>,
    refusals: Cell<(u64, u32)>,
}

impl Context {
    fn new(shared: Arc<Shared>, desk: Arc<Desk>, servers: Vec<SocketAddr>) -> Self {
        Self {
            shared,
            desk,
            redirected: RefCell::default(),
            wants_map: Inbox::new(),
            resolver: Resolving::new(servers),
            random: Cell::new(clock::seed(0)),
            freed: Cell::new(0),
            clock: Clock::start(),
            said: RefCell::default(),
            refusals: Cell::default(),
        }
    }

    /// A number nobody foresees (splitmix64).
    pub(super) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The addresses of a name.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        self.resolver.look_up(host, port).await
    }

    /// The cluster's map may have changed.
    pub(super) fn look_again(&self) {
        if self.desk.settings.cluster {
            self.wants_map.send([()]);
        }
    }

    /// Keeps a publication until the map is known again.
    pub(super) fn redirect(&self, one: Outgoing) {
        self.redirected.borrow_mut().push(one);
        self.look_again();
    }

    /// So many bytes of publications are done with; the lane learns it with the next [`Context::settle_freed`].
    pub(super) fn freed(&self, bytes: usize) {
        self.freed.set(self.freed.get() + bytes);
    }

    /// Tells the lane what was freed.
    pub(super) fn settle_freed(&self, lane: usize) {
        self.desk.done(lane, self.freed.take());
    }

    /// Says that a server is connected, if it was said that it is not.
    pub(super) fn note_up(&self, server: &Server) {
        let known = self.said.borrow_mut().take();
        let again = if known.is_some() { " again" } else { "" };
        let _ = self.shared.log.line(Level::Info, format!("Redis at {server} is connected{again}"));
    }

    /// Says why a server is not connected: once, and again when the reason is another or a minute has passed.
    pub(super) fn note_down(&self, server: &Server, trouble: &Trouble) {
        let line = format!("Redis at {server}: {trouble}; publications stay in this process until it is connected");
        let now = self.clock.elapsed();
        let mut said = self.said.borrow_mut();
        if said.as_ref().is_some_and(|(last, at)| *last == line && now.saturating_sub(*at) < SAME_LINE) {
            return;
        }
        let _ = self.shared.log.line(Level::Warning, line.clone());
        *said = Some((line, now));
    }

    /// Says what the server does not allow, a few times a minute.
    pub(super) fn note_refusal(&self, what: &str, channel: &str, code: &str) {
        let minute = self.clock.elapsed().as_secs() / 60;
        let (last, lines) = self.refusals.get();
        let lines = if last == minute { lines + 1 } else { 1 };
        self.refusals.set((minute, lines));
        if lines <= REFUSALS {
            let message =
                format!("Redis refuses to {what} {channel:?} ({code}): its publications stay in this process");
            let _ = self.shared.log.line(Level::Warning, message);
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        for one in self.redirected.take() {
            self.desk.deliver(&self.shared, &one);
        }
    }
}
