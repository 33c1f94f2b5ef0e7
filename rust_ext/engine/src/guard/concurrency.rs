//! How many at once: places that requests hold until they end, and a queue for those that find none.
//!
//! Whoever gives a place back hands it to the first that waits, so nobody who comes later is faster.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastgate_core::limit::Key;
use fastgate_core::snapshot::policies as plain;

use super::key::Keyed;
use super::{Ask, Compile, Denial, End, Resumed, Step};
use crate::fault::FaultKind;
use crate::rt;

/// Requests at the same time.
#[derive(Debug)]
pub(crate) struct Concurrency {
    max: u32,
    queue: usize,
    wait: Duration,
    keyed: Keyed,
    gates: Arc<Gates>,
}

impl Concurrency {
    pub(crate) fn compile(plain: &plain::Concurrency, cx: &mut Compile<'_>) -> Option<Self> {
        if plain.max == 0 {
            cx.invalid("max", "found 0; allowed: at least 1");
            return None;
        }
        Some(Self {
            max: plain.max,
            queue: plain.queue as usize,
            wait: Duration::from_millis(plain.wait_ms),
            keyed: Keyed::new(cx.state.limits.hasher(), &plain.per),
            gates: cx.state.gates.gates(plain),
        })
    }

    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Step {
        let key = self.keyed.key(ask);
        match self.gates.enter(&key, self.max, self.queue) {
            Entered::Now(permit) => {
                ask.about.find().held.borrow_mut().push(permit);
                Step::Pass
            }
            Entered::Full => full("no place, and no room to wait").into(),
            Entered::Queued(mut turn) => {
                let wait = self.wait;
                Step::Wait(Box::pin(async move {
                    match rt::timeout(wait, poll_fn(|cx| turn.poll(cx))).await {
                        Some(permit) => Resumed { permit: Some(permit), ..Resumed::default() },
                        None => {
                            let end = End::Deny(Box::new(full("no place within the time that it may wait")));
                            Resumed { end: Some(end), ..Resumed::default() }
                        }
                    }
                }))
            }
        }
    }
}

fn full(reason: &str) -> Denial {
    Denial::new(FaultKind::ConcurrencyLimited, "concurrency", reason).with("Retry-After", "1")
}

/// A place among those that run, given back when dropped: at the end of a request, a tunnel or a session.
#[derive(Debug)]
pub(crate) struct Permit {
    gates: Arc<Gates>,
    key: (u64, u64),
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gates.leave(self.key);
    }
}

/// The places of one policy, by key. There are no more keys than requests that run or wait.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<(u64, u64), Gate>>);

#[derive(Debug, Default)]
struct Gate {
    running: u32,
    /// As it was last asked for.
    max: u32,
    waiting: VecDeque<Arc<Waiter>>,
}

#[derive(Debug, Default)]
struct Waiter(Mutex<Waits>);

#[derive(Debug, Default)]
enum Waits {
    #[default]
    New,
    For(Waker),
    /// It has a place.
    Granted,
    /// The place has been taken up.
    Gone,
}

enum Entered {
    Now(Permit),
    Queued(Turn),
    Full,
}

/// A request's turn in the queue, given up when dropped.
struct Turn {
    gates: Arc<Gates>,
    key: (u64, u64),
    waiter: Arc<Waiter>,
}

impl Gates {
    fn enter(self: &Arc<Self>, key: &Key, max: u32, queue: usize) -> Entered {
        let key = key.words();
        let mut gates = self.lock();
        let gate = gates.entry(key).or_default();
        gate.max = max;
        if gate.running < max && gate.waiting.is_empty() {
            gate.running += 1;
            return Entered::Now(Permit { gates: self.clone(), key });
        }
        if gate.waiting.len() >= queue {
            return Entered::Full;
        }
        let waiter = Arc::new(Waiter::default());
        gate.waiting.push_back(waiter.clone());
        Entered::Queued(Turn { gates: self.clone(), key, waiter })
    }

    /// Hands a place on, or frees it.
    fn leave(&self, key: (u64, u64)) {
        let mut gates = self.lock();
        let Some(gate) = gates.get_mut(&key) else { return };
        gate.running = gate.running.saturating_sub(1);
        while gate.running < gate.max
            && let Some(next) = gate.waiting.pop_front()
        {
            gate.running += 1;
            next.grant();
        }
        if gate.running == 0 && gate.waiting.is_empty() {
            gates.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, u64), Gate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn state(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grant(&self) {
        if let Waits::For(waker) = std::mem::replace(&mut *self.state(), Waits::Granted) {
            waker.wake();
        }
    }
}

impl Turn {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Permit> {
        let mut state = self.waiter.state();
        if let Waits::Granted = *state {
            *state = Waits::Gone;
            return Poll::Ready(Permit { gates: self.gates.clone(), key: self.key });
        }
        *state = Waits::For(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut gates = self.gates.lock();
        if let Some(gate) = gates.get_mut(&self.key) {
            gate.waiting.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
        }
        drop(gates);
        let granted = matches!(*self.waiter.state(), Waits::Granted);
        if granted {
            // It was handed a place that it never took up.
            self.gates.leave(self.key);
        }
    }
}

/// The places of all policies, found by where they stand and what they count; they live as long as somebody uses them.
#[derive(Debug, Default)]
pub(crate) struct State(Mutex<HashMap<Box<str>, Weak<Gates>>>);

impl State {
    fn gates(&self, plain: &plain::Concurrency) -> Arc<Gates> {
        let id = format!("{} {:?}", plain.scope, plain.per).into_boxed_str();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gates) = all.get(&id).and_then(Weak::upgrade) {
            return gates;
        }
        all.retain(|_, gates| gates.strong_count() > 0);
        let gates = Arc::new(Gates::default());
        all.insert(id, Arc::downgrade(&gates));
        gates
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use fastgate_core::limit::Hasher;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn key(value: &[u8]) -> Key {
        Hasher::new((1, 2)).one(value)
    }

    fn now(entered: Entered) -> Permit {
        match entered {
            Entered::Now(permit) => permit,
            _ => panic!("there was a place"),
        }
    }

    fn queued(entered: Entered) -> Turn {
        match entered {
            Entered::Queued(turn) => turn,
            _ => panic!("there was room to wait"),
        }
    }

    #[test]
    fn places_are_handed_on_in_order_and_given_back() {
        let gates = Arc::new(Gates::default());
        let (a, woken) = (key(b"a"), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let cx = Context::from_waker(&waker);
        let first = now(gates.enter(&a, 1, 2));
        let other = now(gates.enter(&key(b"b"), 1, 2));
        let mut second = queued(gates.enter(&a, 1, 2));
        let mut third = queued(gates.enter(&a, 1, 2));
        assert!(matches!(gates.enter(&a, 1, 2), Entered::Full));
        assert!(second.poll(&cx).is_pending() && third.poll(&cx).is_pending());
        drop(first);
        assert_eq!(woken.0.load(SeqCst), 1, "one place, one wake-up");
        assert!(third.poll(&cx).is_pending());
        let Poll::Ready(permit) = second.poll(&cx) else { panic!("it was its turn") };
        drop(second);
        // Handed a place and gone before it looked: the next one gets it.
        let mut fourth = queued(gates.enter(&a, 1, 2));
        assert!(fourth.poll(&cx).is_pending());
        drop(permit);
        drop(third);
        let Poll::Ready(permit) = fourth.poll(&cx) else { panic!("it was its turn") };
        drop((fourth, permit, other));
        assert!(gates.lock().is_empty(), "nothing is kept of keys that nobody uses");
    }

    #[test]
    fn a_reload_that_allows_more_or_fewer_counts_those_that_run() {
        let gates = Arc::new(Gates::default());
        let a = key(b"a");
        let running: Vec<Permit> = (0..4).map(|_| now(gates.enter(&a, 4, 0))).collect();
        let waiting = queued(gates.enter(&a, 2, 1));
        let mut running = running.into_iter();
        let cx = Context::from_waker(Waker::noop());
        let mut turn = waiting;
        for _ in 0..2 {
            drop(running.next());
            assert!(turn.poll(&cx).is_pending(), "still as many as the new bound");
        }
        drop(running.next());
        assert!(turn.poll(&cx).is_ready());
    }

    #[test]
    fn the_same_place_in_the_config_finds_the_same_places() {
        let state = State::default();
        let plain =
            |scope: &str, max| plain::Concurrency { scope: scope.into(), max, queue: 0, wait_ms: 0, per: vec![] };
        let gates = state.gates(&plain("routes/a", 1));
        assert!(Arc::ptr_eq(&gates, &state.gates(&plain("routes/a", 9))));
        assert!(!Arc::ptr_eq(&gates, &state.gates(&plain("routes/b", 1))));
    }
}
