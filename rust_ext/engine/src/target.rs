//! Targets: state that outlives snapshots, found by address.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use fastgate_core::snapshot::Address;

use crate::metrics::PoolLine;

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

/// One target of the process: shared by every worker and every service that names the same address.
#[derive(Debug)]
pub(crate) struct Target {
    address: Address,
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
        match &self.address {
            Address::Ip { ip, port } => SocketAddr::new(*ip, *port).fmt(f),
            Address::Name { name, port } => write!(f, "{name}:{port}"),
            Address::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl Target {
    fn new(address: Address) -> Self {
        let state = match &address {
            Address::Ip { ip, port } => Resolved::Found(Arc::from([SocketAddr::new(*ip, *port)])),
            Address::Name { .. } | Address::Unix(_) => Resolved::Unknown,
        };
        let resolution = Mutex::new(Resolution { state, waiting: Vec::new() });
        Self {
            address,
            open: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
            resolution,
            failures: AtomicU32::new(0),
            lines: Mutex::default(),
        }
    }

    /// Where it is, as configured.
    pub(crate) fn address(&self) -> &Address {
        &self.address
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

/// All targets in use, by address.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<Address, Weak<Target>>>);

impl Registry {
    /// The target of that address, the same one for as long as anybody holds it.
    pub(crate) fn target(&self, address: &Address) -> Arc<Target> {
        let mut targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(address).and_then(Weak::upgrade) {
            return target;
        }
        let target = Arc::new(Target::new(address.clone()));
        targets.insert(address.clone(), Arc::downgrade(&target));
        target
    }

    /// Every target still in use; forgets the others.
    pub(crate) fn in_use(&self) -> Vec<Arc<Target>> {
        let mut targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|_, target| target.strong_count() > 0);
        targets.values().filter_map(Weak::upgrade).collect()
    }
}
