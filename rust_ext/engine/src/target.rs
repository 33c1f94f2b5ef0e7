//! Targets: state that outlives snapshots, found by address.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use fastgate_core::snapshot::Address;

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
}

impl Target {
    fn new(address: Address) -> Self {
        let state = match &address {
            Address::Ip { ip, port } => Resolved::Found(Arc::from([SocketAddr::new(*ip, *port)])),
            Address::Name { .. } | Address::Unix(_) => Resolved::Unknown,
        };
        let resolution = Mutex::new(Resolution { state, waiting: Vec::new() });
        Self { address, open: AtomicU32::new(0), turn: AtomicUsize::new(0), resolution }
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

    /// Connections open now.
    #[cfg(feature = "simulation")]
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
