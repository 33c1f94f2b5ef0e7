//! Targets: state that outlives snapshots, found by address.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use fastgate_core::snapshot::Address;
use rustls::pki_types::ServerName;

use crate::guard;
use crate::log::Log;
use crate::metrics::PoolLine;
use crate::tls::Sources;
use crate::trust::{Trust, Trusts};

/// What is known of a target's addresses.
#[derive(Debug, Clone, Default)]
enum Resolved {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// At least one address.
    Found(Arc<[SocketAddr]>),
    /// The look-up failed and nothing older is known.
    Failed,
}

#[derive(Debug, Default)]
struct Resolution {
    state: Resolved,
    waiting: Vec<Waker>,
}

/// How TLS is spoken to a target.
#[derive(Debug, Clone)]
pub(crate) struct TargetTls {
    pub(crate) trust: Arc<Trust>,
    /// What it is asked for by, and what its certificate must have.
    pub(crate) name: ServerName<'static>,
}

/// What a target is known by: connections that were opened under other rules are another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    address: Address,
    /// The trust's place in memory, which is its own for as long as a target has it.
    tls: Option<(usize, ServerName<'static>)>,
}

/// One target of the process: shared by every worker and every service that names the same address under the same rules.
#[derive(Debug)]
pub(crate) struct Target {
    key: Key,
    tls: Option<TargetTls>,
    /// Why its last handshake failed, and whether that was said.
    trouble: Mutex<Option<(String, bool)>>,
    /// Connections open now, all workers together.
    open: AtomicU32,
    /// Which of several addresses is tried first.
    turn: AtomicUsize,
    resolution: Mutex<Resolution>,
    /// Connections in a row that could not be opened.
    failures: AtomicU32,
    /// What each worker's pool shows.
    lines: Mutex<Vec<Weak<PoolLine>>>,
}

/// How a target is, for those who look from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetState {
    /// Connections open, or being opened.
    pub(crate) open: u32,
    /// Of them, those that no request uses.
    pub(crate) idle: u32,
    /// Requests that wait for one.
    pub(crate) waiting: u32,
    /// Connections in a row that could not be opened.
    pub(crate) failures: u32,
}

impl fmt::Display for Target {
    /// Where it is, as it is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tls.is_some() {
            f.write_str("https://")?;
        }
        match self.address() {
            Address::Ip { ip, port } => SocketAddr::new(*ip, *port).fmt(f),
            Address::Name { name, port } => write!(f, "{name}:{port}"),
            Address::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl Target {
    fn new(key: Key, tls: Option<TargetTls>) -> Self {
        let state = match &key.address {
            Address::Ip { ip, port } => Resolved::Found(Arc::from([SocketAddr::new(*ip, *port)])),
            Address::Name { .. } | Address::Unix(_) => Resolved::Unknown,
        };
        let resolution = Mutex::new(Resolution { state, waiting: Vec::new() });
        Self {
            key,
            tls,
            trouble: Mutex::default(),
            open: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
            resolution,
            failures: AtomicU32::new(0),
            lines: Mutex::default(),
        }
    }

    /// Where it is, as configured.
    pub(crate) fn address(&self) -> &Address {
        &self.key.address
    }

    /// What it is known by.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// How TLS is spoken to it, if it is.
    pub(crate) fn tls(&self) -> Option<&TargetTls> {
        self.tls.as_ref()
    }

    /// Notes why a handshake failed; `None`: it did not.
    pub(crate) fn shook_hands(&self, trouble: Option<String>) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, trouble) {
            (Some((before, _)), Some(now)) if *before == now => {}
            (_, now) => *known = now.map(|why| (why, false)),
        }
    }

    /// Why handshakes fail, where that is news.
    pub(crate) fn news(&self) -> Option<String> {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let (why, said) = known.as_mut()?;
        (!std::mem::replace(said, true)).then(|| why.clone())
    }

    /// Why handshakes fail, if they do.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(why, _)| why.clone())
    }

    /// Counts one more connection unless that would be more than `max`.
    pub(crate) fn reserve(self: &Arc<Self>, max: u32) -> Option<Reservation> {
        self.open.fetch_update(Relaxed, Relaxed, |open| (open < max).then_some(open + 1)).ok()?;
        Some(Reservation(self.clone()))
    }

    /// Whether a connection could be opened.
    pub(crate) fn dialled(&self, opened: bool) {
        let failures = if opened { 0 } else { self.failures.load(Relaxed).saturating_add(1) };
        self.failures.store(failures, Relaxed);
    }

    /// A new pool's place to show what it holds.
    pub(crate) fn new_line(&self) -> Arc<PoolLine> {
        let line = Arc::new(PoolLine::default());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&line));
        line
    }

    /// How it is now; `None` while no request has wanted it.
    pub(crate) fn state(&self) -> Option<TargetState> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = lines.iter().filter_map(Weak::upgrade).collect();
        if lines.is_empty() {
            return None;
        }
        let idle = lines.iter().map(|line| line.idle.load(Relaxed)).sum();
        let waiting = lines.iter().map(|line| line.waiting.load(Relaxed)).sum();
        Some(TargetState { open: self.open().max(idle), idle, waiting, failures: self.failures.load(Relaxed) })
    }

    /// Whether its name is known not to resolve.
    pub(crate) fn unresolved(&self) -> bool {
        matches!(self.resolution.lock().unwrap_or_else(PoisonError::into_inner).state, Resolved::Failed)
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// The addresses to try, the first one rotating; waits for the first look-up of a name.
    pub(crate) fn poll_addresses(&self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<SocketAddr>>> {
        let mut resolution = self.resolution.lock().unwrap_or_else(PoisonError::into_inner);
        match &resolution.state {
            Resolved::Unknown => {
                resolution.waiting.push(cx.waker().clone());
                Poll::Pending
            }
            Resolved::Failed => Poll::Ready(Err(io::Error::other("the name does not resolve"))),
            Resolved::Found(addresses) => {
                let mut addresses = addresses.to_vec();
                let turn = self.turn.fetch_add(1, Relaxed) % addresses.len();
                addresses.rotate_left(turn);
                Poll::Ready(Ok(addresses))
            }
        }
    }

    /// Takes the outcome of a look-up. A failure keeps what was known before.
    pub(crate) fn resolved(&self, outcome: Option<Vec<SocketAddr>>) {
        let mut resolution = self.resolution.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Some(addresses) if !addresses.is_empty() => resolution.state = Resolved::Found(addresses.into()),
            _ if matches!(resolution.state, Resolved::Found(_)) => {}
            _ => resolution.state = Resolved::Failed,
        }
        for waker in resolution.waiting.drain(..) {
            waker.wake();
        }
    }
}

/// The right to hold one connection to a target, given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation(Arc<Target>);

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// What lives beside snapshots: all targets in use, by address, what policies keep, and the TLS of listeners.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    targets: Mutex<HashMap<Key, Weak<Target>>>,
    pub(crate) guards: guard::State,
    /// Certificates and ticket keys of listeners.
    pub(crate) tls: Sources,
}

impl Registry {
    /// One for judging a snapshot alone: files of certificates that are not there are no faults.
    pub(crate) fn for_check() -> Self {
        let guards = guard::State { trusts: Trusts::lenient(), ..guard::State::default() };
        Self { tls: Sources::lenient(), guards, ..Self::default() }
    }

    /// Has the files of certificates looked at, and says what is odd about them.
    pub(crate) fn announce(&self, log: &Log) {
        self.tls.announce(&self.guards.watchlist, log);
    }

    /// The target of that address under these rules, the same one for as long as anybody holds it.
    pub(crate) fn target(&self, address: &Address, tls: Option<TargetTls>) -> Arc<Target> {
        let by = tls.as_ref().map(|tls| (Arc::as_ptr(&tls.trust) as usize, tls.name.clone()));
        let key = Key { address: address.clone(), tls: by };
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(&key).and_then(Weak::upgrade) {
            return target;
        }
        let target = Arc::new(Target::new(key.clone(), tls));
        targets.insert(key, Arc::downgrade(&target));
        target
    }

    /// Every target still in use; forgets the others.
    pub(crate) fn in_use(&self) -> Vec<Arc<Target>> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|_, target| target.strong_count() > 0);
        targets.values().filter_map(Weak::upgrade).collect()
    }
}
